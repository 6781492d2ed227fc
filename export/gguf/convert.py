"""A merged model folder -> an F16 GGUF, by llama.cpp's own converter in a process of its own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from export.gguf.llamacpp import LlamaCpp
from export.gguf.tokenizer import TokenizerFacts
from export.settings import OnProgress
from runtime.errors import ExportError
from runtime.files import atomic_path
from runtime.lce import DIALECT_META, ROLE_KEY, ROLES

GGUF_DTYPE = {"float16": "f16", "bfloat16": "bf16", "float32": "f32"}
_SHARE = re.compile(r"(\d+)%\|")


def convert(
    merged: Path,
    target: Path,
    llama_cpp: LlamaCpp,
    facts: TokenizerFacts,
    *,
    dtype: str,
    name: str,
    pre_tokenizer: str | None = None,
    strings: dict[str, str] | None = None,
    progress: OnProgress | None = None,
) -> None:
    """Write `target` from the folder `merged`, atomically.

    Args:
        merged: weights, config and tokenizer files.
        target: the GGUF file.
        llama_cpp: the converter.
        facts: what the tokenizer does; written where the converter cannot know it.
        dtype: torch name of the dtype of the weights.
        name: `general.name`.
        pre_tokenizer: llama.cpp's name for the pre-tokenizer, from the user.
        strings: further metadata.
        progress: called with a line and the share that is done.

    Raises:
        ExportError: the converter refuses the model; the message holds its reason.
    """
    with tempfile.TemporaryDirectory(prefix="mathcoder-") as scratch, atomic_path(target) as temporary:
        metadata = Path(scratch) / "metadata.json"
        metadata.write_text(json.dumps({"general.name": name}), encoding="utf-8")
        spec = {
            "llama_cpp": str(llama_cpp.folder.resolve()),
            "script": llama_cpp.converter.name,
            "arguments": [
                str(merged.resolve()), "--outfile", str(temporary.resolve()), "--outtype", GGUF_DTYPE[dtype],
                "--model-name", name, "--metadata", str(metadata),
            ],
            "kind": facts.kind,
            "end_of_turn": facts.end,
            "eos": facts.eos,
            "adds_bos": facts.adds_bos,
            "space_prefix": False if facts.kind == "spm" else None,
            "strings": {**(strings or {}), **_roles(facts), **_dialect(facts)},
            "pre_tokenizer_forced": pre_tokenizer,
            "pre_tokenizer_recognised": facts.pre_tokenizer,
        }  # fmt: skip
        spec_file = Path(scratch) / "spec.json"
        spec_file.write_text(json.dumps(spec), encoding="utf-8")
        done = run_worker("export.gguf.convert_worker", [str(spec_file)], _percent(progress))
        if done.code or not temporary.stat().st_size:
            raise conversion_error(done.lines)


def _roles(facts: TokenizerFacts) -> dict[str, str]:
    """Which token plays which role, of those that do not play their own."""
    names = facts.names
    return {f"{ROLE_KEY}{role}": names[token] for role, token in ROLES.items() if names.get(token, token) != token}


def _dialect(facts: TokenizerFacts) -> dict[str, str]:
    """What the model was trained in, where it was not the block format."""
    return {} if facts.dialect == "lce" else {DIALECT_META: facts.dialect}


@dataclass(frozen=True)
class Finished:
    """How a worker process ended: its exit code, and its last lines for error messages."""

    code: int
    lines: list[str]


def run_worker(module: str, arguments: list[str], on_line: Callable[[str], None]) -> Finished:
    """Run `python -m module arguments` with both outputs joined, handing each line to `on_line`."""
    root = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
    # Nothing phones home, and a bar is drawn by us.
    environment = {**os.environ, "PYTHONPATH": path, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    process = subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", env=environment,
    )  # fmt: skip
    lines: list[str] = []
    assert process.stdout is not None
    try:
        for line in process.stdout:
            for part in line.split("\r"):
                if part.strip():
                    lines = [*lines[-40:], part.rstrip()]
                    on_line(part)
        process.wait()
    except BaseException:
        process.kill()
        process.wait()
        raise
    return Finished(process.returncode, lines)


def _percent(progress: OnProgress | None) -> Callable[[str], None]:
    def on_line(line: str) -> None:
        if progress is not None and (match := _SHARE.search(line)):
            progress("convert", int(match[1]) / 100)

    return on_line


def conversion_error(lines: list[str]) -> ExportError:
    """One sentence for what the converter said."""
    text = "\n".join(lines)
    if "pre-tokenizer was not recognized" in text:
        return ExportError(
            "llama.cpp does not know how this byte-level tokenizer splits text",
            "a guess would change token ids, so nothing was converted",
            "set export.pre_tokenizer to llama.cpp's name for it (e.g. gpt-2, qwen2, llama-bpe); the certificate then "
            "compares the token ids",
        )
    if match := re.search(r"Model (\S+) is not supported", text):
        return ExportError(
            f"llama.cpp's converter does not know the architecture {match[1]}",
            "nothing was converted",
            "choose a base that llama.cpp supports",
        )
    reasons = [line for line in lines if re.match(r"\s*\w*(Error|Exception)\b", line)] or lines
    reason = reasons[-1].strip() if reasons else "it said nothing"
    return ExportError(
        f"llama.cpp's converter failed ({reason[:300]})",
        "nothing was converted",
        "check that llama.cpp supports this base",
    )
