"""`mathcoder models dialect`: how a model would be asked, how it calls Python and how it is answered."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

from recipes.cli.command import Parser

if TYPE_CHECKING:
    from runtime.engine.llama.vocabulary import LlamaVocabulary
    from runtime.solver.dialects import Dialect


def parser() -> Parser:
    """Arguments of `mathcoder models dialect`."""
    result = Parser(
        "models dialect",
        "Show the dialect that a model is spoken to in: prompt, call, result, ends, and what speaks for it.",
        details="""\
A dialect is read off the file: its tokens, its architecture, its name and its chat template, in this order. Evidence
is `trained` where the model was trained to run code in this very form, `template` where its chat template declares
tools, and `prompted` where nothing says that it ever ran code. What is derived from a template was checked: a call that
nothing was derived from is rendered by the template as the dialect writes it. Control tokens stand as the file spells
them. See docs/dialects.md.""",
        examples=[
            ("mathcoder models dialect model.gguf", "what is chosen by itself"),
            ("mathcoder models dialect model.gguf --dialect generic", "another one with the same model"),
            ("mathcoder models dialect model.gguf --json", "the record, for a program"),
        ],
        see_also=["models", "chat", "solve"],
    )
    result.add_argument("model", metavar="MODEL", help="a name from `mathcoder models`, or a path")
    result.add_argument("--dialect", metavar="NAME", default="auto", help="show this one (default: what is chosen)")
    result.add_argument("--json", action="store_true", help="print the record as JSON")
    return result


def run(args: argparse.Namespace) -> int:
    """Read the file, no weights, and print."""
    from recipes.models import resolve
    from runtime.engine.llama.engine import LlamaEngine
    from runtime.settings import EngineSettings
    from runtime.solver.dialects import choose, line_about

    with LlamaEngine(resolve(args.model), EngineSettings(), vocab_only=True) as engine:
        dialect = choose(args.dialect, engine)
        record = _record(dialect, engine.vocabulary)
    if args.json:
        print(json.dumps(record, ensure_ascii=False, indent=2))
        return 0
    print(line_about(dialect))
    for key in ("prompt", "call", "result", "thinking", "ends", "limits"):
        if record[key]:
            print(f"\n{key}")
            print(_indented(record[key]))
    return 0


def _record(spoken: Dialect, vocabulary: LlamaVocabulary) -> dict[str, object]:
    from runtime.lce import DEFAULT_SYSTEM, Block, Segment, assistant_block_segments
    from runtime.solver.dialects.native import NativeDialect

    def text(pieces: list[Segment]) -> str:
        return "".join(piece.text for piece in pieces)

    code, output = Block("code", "print(6 * 7)"), Block("execution", "42")
    made: dict[str, object] = {
        "dialect": spoken.name,
        "evidence": spoken.evidence,
        "why": spoken.why,
        "prompt": text(spoken.prompt("QUESTION", DEFAULT_SYSTEM)),
        "ends": sorted(vocabulary.name(token) for token in vocabulary.ends),
        "limits": dict(spoken.limits),
        "thinking": None,
    }
    if isinstance(spoken, NativeDialect):
        think = spoken.think
        made |= {
            "call": text(spoken.solution([code])),
            "result": text(spoken.solution([output])),
            "thinking": f"{think.open} … {think.close}" if think is not None and think.open else None,
            "markers": sorted(spoken.markers),
            "forbidden": list(spoken.forbidden),
        }
    else:
        call, result = (assistant_block_segments(block.type, block.content) for block in (code, output))
        made |= {"call": text(call), "result": text(result), "markers": list(spoken.needs), "forbidden": []}
    return made


def _indented(value: object) -> str:
    from runtime.text import for_screen

    shown = " ".join(map(str, value)) if isinstance(value, list) else str(value)
    return "\n".join(f"  {line}" for line in for_screen(shown).split("\n"))
