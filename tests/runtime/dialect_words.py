"""A tiny vocabulary with every hand-written dialect's tokens at their types, and solutions."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from gguf_factory import write_model

from runtime.engine import Vocabulary
from runtime.engine.protocol import encode
from runtime.engine.scripted import ReplayEngine
from runtime.lce import DEFAULT_SYSTEM, Block, Segment
from runtime.sandbox import CellResult
from runtime.settings import SolverSettings
from runtime.solver import Solution, Solver
from runtime.solver.dialects import DIALECTS, Exchange, choose
from runtime.solver.dialects.native import NativeDialect

CONTROL = (
    "<|im_start|>", "<|im_end|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<|eom_id|>",
    "<|python_tag|>", "<|action_start|>", "<|action_end|>", "<|interpreter|>", "<|return|>", "<|call|>",
)  # fmt: skip
USER_DEFINED = (
    "<tool_call>", "</tool_call>", "<think>", "</think>", "<|start|>", "<|channel|>", "<|message|>", "<|end|>",
    "<|constrain|>",
)  # fmt: skip
NATIVE = [name for name, dialect in DIALECTS.items() if isinstance(dialect, NativeDialect)]
SPOKEN = [*NATIVE, "template"]
"""The hand-written ones, and one that is derived from TEMPLATE."""
TEMPLATE = (
    "{% if tools %}<|im_start|>system\nTools: {{ tools | tojson }}<|im_end|>\n{% endif %}"
    "{% for m in messages %}{% if m.role == 'tool' %}<|im_start|>user\n<tool_response>\n{{ m.content }}\n"
    "</tool_response>{% else %}<|im_start|>{{ m.role }}\n{{ m.content }}{% endif %}"
    "{% for c in m.tool_calls or [] %}\n<tool_call>\n{{ c.function | tojson }}\n</tool_call>{% endfor %}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""A chat template in the form of Qwen2.5's; of its markers this vocabulary lacks those of a result."""
SOLUTIONS: dict[str, list[Block]] = {
    "one call": [
        Block("text", "Let me compute."),
        Block("code", "x = 2\nprint(x * '<b>\\n')"),
        Block("execution", "<b>\n<b>\n"),
        Block("text", "The answer is \\boxed{4}."),
    ],
    "code first, twice": [
        Block("code", "a = 1"),
        Block("execution", "<empty_execution>"),
        Block("code", 'print(f"{a}")'),
        Block("execution", "1"),
        Block("text", "So it is \\boxed{1}."),
    ],
    "an error": [
        Block("text", "We divide."),
        Block("code", "1 / 0"),
        Block("execution", "ZeroDivisionError: division by zero"),
        Block("text", "That fails; the limit is needed."),
        Block("code", "    indented = 'é — ½'\nindented"),
        Block("execution", "'é — ½'"),
        Block("text", "Done: \\boxed{0}"),
    ],
    "text alone": [Block("text", "It is \\boxed{7}.")],
}


def write_vocabulary(path: Path, **more: Any) -> Path:
    """A GGUF file with the tokens of all dialects."""
    return write_model(path, control=CONTROL, user_defined=USER_DEFINED, vocab=560, end="<|im_end|>", **more)


def fitted(name: str, words: Vocabulary) -> NativeDialect:
    """The dialect as the solver would speak it with `words`."""
    engine = ReplayEngine(lambda _: [], vocabulary=words)
    engine.chat_template = TEMPLATE
    dialect = choose(name, engine) if name == "template" else DIALECTS[name]
    assert isinstance(dialect, NativeDialect)
    dialect = dialect.fitted(words)
    words.reserve([*dialect.markers, *dialect.needs])
    return dialect


def end_segments(dialect: NativeDialect, words: Vocabulary, end: str = "</s>") -> list[Segment]:
    """What the model ends its answer with."""
    return [Segment("control", dialect.end_of_answer(words) or end, True)]


def ids_of(
    dialect: NativeDialect, words: Vocabulary, question: str, blocks: Sequence[Block], **asked: Any
) -> list[int]:
    """What training sees: prompt, solution, end."""
    prompt = dialect.prompt(question, asked.get("system", DEFAULT_SYSTEM), asked.get("history", ()))
    bos = [] if words.bos is None else [words.bos]
    return bos + encode(words, [*prompt, *dialect.solution(blocks), *end_segments(dialect, words)])


def drawn(dialect: NativeDialect, words: Vocabulary, blocks: Sequence[Block], *, end: str = "</s>") -> list[int]:
    """The ids that a model draws to write `blocks`: all but what the runtime writes."""
    written = [segment for segment in dialect.solution(blocks) if segment.kind != "execution"]
    return encode(words, [*written, *end_segments(dialect, words, end)])


def replayed(
    name: str,
    words: Vocabulary,
    question: str,
    tokens: Iterable[int],
    outputs: Iterable[str],
    history: Sequence[Exchange] = (),
    *,
    dialect: NativeDialect | None = None,
    chat_template: str = "",
    shaped: bool = False,
    **settings: Any,
) -> tuple[Solution, list[int]]:
    """A solution whose tokens are given, through the solver's loop, and every token of its sequence.

    `dialect` takes the place of the one that the solver chooses. `shaped`: outputs come as from a sandbox, and are put
    into the dialect's words.
    """
    engine = ReplayEngine(lambda _: [], vocabulary=words, write=lambda _: list(tokens))
    engine.chat_template = chat_template or (TEMPLATE if name == "template" else "")
    chosen = SolverSettings(dialect=name, code_execution=shaped, max_blocks=200, **settings)
    record = Recorded(outputs)
    if shaped:
        solver = Solver(engine, record, chosen)  # type: ignore[arg-type]
    else:
        solver = Solver(engine, None, chosen, on_execution=lambda code, _output: record.run(code).output)
    solver.dialect = dialect or solver.dialect
    solution = solver.solve(question, history=history)
    assert solver.kept is not None
    return solution, list(solver.kept.ids)


class Recorded:
    """In place of a sandbox: gives what the cells of a record gave."""

    def __init__(self, outputs: Iterable[str]) -> None:
        self._outputs = iter(outputs)

    def run(self, _code: str) -> CellResult:
        return CellResult(next(self._outputs), "ok", 0.0)

    def reset(self) -> None:
        """A record has no state."""

    interrupt = close = reset


def outputs_of(blocks: Iterable[Block]) -> list[str]:
    """What the cells gave."""
    return [block.content for block in blocks if block.type == "execution"]


def joined(blocks: list[dict[str, str]]) -> list[Block]:
    """The blocks, texts in a row as one, as a form without markers between texts has them."""
    made: list[Block] = []
    for block in blocks:
        content = block["content"].strip()
        if made and made[-1].type == block["type"] == "text":
            made[-1] = Block("text", f"{made[-1].content}\n{content}")
        else:
            made.append(Block(block["type"], content))  # type: ignore[arg-type]
    return made


def alternating(blocks: list[Block]) -> bool:
    """Whether the blocks are as a solver writes them: none empty, executions after code, text last."""
    kinds = [block.type for block in blocks]
    pairs_of = list(itertools.pairwise(kinds))
    return (
        bool(kinds)
        and kinds[-1] == "text"
        and kinds[0] != "execution"
        and all((a == "code") == (b == "execution") for a, b in pairs_of)
        and ("text", "text") not in pairs_of
        and all(block.content for block in blocks)
        and not any("```" in block.content for block in blocks)
    )
