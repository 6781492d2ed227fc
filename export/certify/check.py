"""`mathcoder export --check FILE.gguf`: can the solver use this file, and what will it do with it."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, field
from typing import Any

from export.gguf.file import CONTROL, GgufFile, read_gguf
from export.gguf.template import chat_template
from runtime.errors import ModelError
from runtime.lce import (
    BASE_FILE_KEY,
    BASE_KEY,
    CONTROL_TOKENS,
    DIALECT_META,
    END_OF_MESSAGE,
    ROLE_KEY,
    ROLES,
)
from runtime.solver.dialects import fitting

_KNOWN_EOG = ("</s>", "<|endoftext|>", "<|im_end|>", "<|eot_id|>", "<|end_of_text|>", "<|end|>", "<eos>")
"""Token texts that llama.cpp takes as end of generation by themselves (llama-vocab.cpp), as far as they matter here."""
_SCAN_ROWS_BYTES = 64 * 1024 * 1024


@dataclass
class GgufReport:
    """What stands in a GGUF file.

    Attributes:
        problems: what keeps the solver from using the file. Empty: it can be used.
        dialect: how the solver talks to the model; None where it has no vocabulary.
        warnings: what a person should know.
        facts: readable lines, by name.
    """

    path: str
    dialect: str | None = None
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    facts: dict[str, str] = field(default_factory=dict)
    control: dict[str, int] = field(default_factory=dict)
    end_of_generation: list[int] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether the solver can use the file."""
        return not self.problems

    def as_dict(self) -> dict[str, Any]:
        """The report for `--json`."""
        return {"ok": self.ok, **vars(self)}


def check_gguf(path: str | os.PathLike[str], *, tensors: bool = True) -> GgufReport:
    """Look at block tokens, ends, chat template, context, BOS and, with `tensors`, at the numbers.

    Raises:
        InputError: no such file.
        ModelError: the file is not a whole GGUF.
    """
    file = read_gguf(path)
    report = GgufReport(str(path))
    if file.metadata.get("general.type") == "adapter":
        _describe_adapter(file, report)
        return report
    _check_tokens(file, report)
    _check_template(file, report)
    _describe(file, report)
    if tensors:
        _check_tensors(file, report)
    report.facts["the solver will"] = _expectation(report)
    return report


def _expectation(report: GgufReport) -> str:
    if report.problems:
        return "not get right answers from this file: see the problems"
    if report.dialect == "lce":
        return "write text and code blocks, run code blocks, and stop at " + END_OF_MESSAGE
    return f"run the model's code, with --dialect {report.dialect}"


def _check_tokens(file: GgufFile, report: GgufReport) -> None:
    tokens = file.tokens
    if not tokens:
        report.problems.append("the file holds no vocabulary")
        return
    tokens_of = {name: token for token, name in role_names(file).items()}
    places: dict[str, list[int]] = {}
    for index, name in enumerate(tokens):
        if name in tokens_of:
            places.setdefault(tokens_of[name], []).append(index)
    if trained_in := file.metadata.get(DIALECT_META):
        report.dialect = str(trained_in)
        _find_ends(file, report)
        return
    control = {name for index, name in enumerate(tokens) if file.token_type(index) == CONTROL}
    if missing := [token for token in CONTROL_TOKENS if token not in places]:
        report.dialect = fitting(control.__contains__)
        report.warnings.append(
            f"not a MathCoder model: it lacks the block tokens {', '.join(missing)}; it can be used with "
            f"--dialect {report.dialect}"
        )
        _find_ends(file, report)
        return
    report.dialect = "lce"
    for token, found in places.items():
        if len(found) > 1:
            report.problems.append(f"{token} stands {len(found)} times in the vocabulary")
        report.control[token] = found[0]
        if file.token_type(found[0]) != CONTROL:
            report.problems.append(
                f"{token} has the token type {file.token_type(found[0])}, not CONTROL: text could spell it"
            )
    _find_ends(file, report)
    if END_OF_MESSAGE in report.control and report.control[END_OF_MESSAGE] not in report.end_of_generation:
        report.problems.append(f"{END_OF_MESSAGE} does not end generation")
    for token, index in report.control.items():
        if token != END_OF_MESSAGE and index in report.end_of_generation:
            report.problems.append(f"{token} ends generation: the model would stop in the middle of a solution")
    broken = sum(token.startswith("[PAD") for token in tokens)
    if broken:
        report.facts["unused ids"] = str(broken)


def _find_ends(file: GgufFile, report: GgufReport) -> None:
    ends = {file.metadata.get(f"tokenizer.ggml.{kind}_token_id") for kind in ("eos", "eot", "eom")}
    known = {index for index, token in enumerate(file.tokens) if token in _KNOWN_EOG}
    report.end_of_generation = sorted(known | {index for index in ends if isinstance(index, int)})


def role_names(file: GgufFile) -> dict[str, str]:
    """Each control token to the token of the file's vocabulary that plays its role: mostly itself."""
    return {token: str(file.metadata.get(f"{ROLE_KEY}{role}", token)) for role, token in ROLES.items()}


def _describe_adapter(file: GgufFile, report: GgufReport) -> None:
    names = role_names(file)
    reused = [f"{name} as {token}" for token, name in names.items() if name != token]
    pairs = sum(name.endswith(".lora_a") for name in file.tensors)
    types = sorted({tensor.type_name for tensor in file.tensors.values()})
    report.facts |= {
        "kind": f"a LoRA adapter for {file.architecture}: {pairs} pairs in {', '.join(types)}",
        "base": f"{file.metadata.get(BASE_FILE_KEY, 'not stated')}, {file.metadata.get(BASE_KEY, 'hash not stated')}",
        "block tokens": ", ".join(reused) or "those of the base's file",
        "the solver will": "use it on top of that base (--lora)",
    }
    report.dialect = str(file.metadata.get(DIALECT_META, "lce"))
    if BASE_KEY not in file.metadata:
        report.warnings.append("it does not say which base it belongs to; on another one it writes nonsense")
    if not pairs:
        report.problems.append("the file holds no low-rank pair")


def _check_template(file: GgufFile, report: GgufReport) -> None:
    template = file.metadata.get("tokenizer.chat_template")
    if not template:
        report.warnings.append("no chat template: `mathcoder` does not need one, stock llama-server does")
    elif report.dialect != "lce":
        report.facts["chat template"] = "the model's own"
    elif template not in [chat_template(adds_bos=adds, names=role_names(file)) for adds in (True, False)]:
        report.warnings.append("the chat template is not the block format's; stock clients will prompt it wrongly")
    else:
        report.facts["chat template"] = "the block format"


def _describe(file: GgufFile, report: GgufReport) -> None:
    tokens = file.tokens
    types: dict[str, int] = {}
    for tensor in file.tensors.values():
        types[tensor.type_name] = types.get(tensor.type_name, 0) + 1
    parameters = sum(math.prod(tensor.shape) for tensor in file.tensors.values())
    context = file.context
    report.facts |= {
        "architecture": file.architecture,
        "parameters": f"{parameters / 1e6:,.1f} M",
        "tensor types": ", ".join(f"{count} {name}" for name, count in sorted(types.items(), key=lambda x: -x[1])),
        "context": f"{context:,} tokens" if context else "not stated",
        "vocabulary": f"{len(file.tokens):,} tokens, {file.metadata.get('tokenizer.ggml.model', 'unknown')}"
        + (f" / {pre}" if (pre := file.metadata.get("tokenizer.ggml.pre")) else ""),
        "BOS": "added" if file.metadata.get("tokenizer.ggml.add_bos_token") else "not added",
        "end of generation": ", ".join(f"{tokens[i]} ({i})" for i in report.end_of_generation if i < len(tokens)),
    }
    if file.metadata.get("tokenizer.ggml.add_bos_token") is None:
        report.warnings.append("whether BOS is added is not stated; llama.cpp decides by the tokenizer's type")
    if not context:
        report.warnings.append("the context length is not stated")
    if (run := file.metadata.get("mathcoder.fingerprint")) is not None:
        report.facts["exported by"] = f"mathcoder {file.metadata.get('mathcoder.version', '')} ({run})"


def _check_tensors(file: GgufFile, report: GgufReport) -> None:
    """Every float tensor is finite and not all zero; embeddings have a row for every token."""
    import numpy as np

    embedding = file.tensors.get("token_embd.weight")
    if embedding is None:
        report.problems.append("the file holds no token embeddings")
    elif embedding.shape[0] != len(file.tokens):
        report.problems.append(f"{embedding.shape[0]} embedding rows for {len(file.tokens)} tokens")
    for tensor in file.tensors.values():
        if tensor.type_name not in ("F32", "F16", "BF16", "Q8_0"):
            continue
        largest = 0.0
        for values in _float_pieces(file, tensor):
            if not np.isfinite(values).all():
                report.problems.append(f"{tensor.name} holds NaN or infinite values")
                break
            largest = max(largest, float(np.abs(values).max(initial=0.0)))
        else:
            if largest == 0.0 and not tensor.name.endswith(".bias"):
                report.problems.append(f"{tensor.name} is all zero")


def _float_pieces(file: GgufFile, tensor: Any) -> Any:
    import numpy as np

    if tensor.type_name == "Q8_0":
        # A block is a half-precision scale and 32 bytes; the scale alone decides whether its values are finite.
        size = tensor.nbytes
        step = _SCAN_ROWS_BYTES // 34 * 34
        for offset in range(0, size, step):
            raw = np.frombuffer(file.read(tensor.offset + offset, min(step, size - offset)), dtype=np.uint8)
            yield raw.reshape(-1, 34)[:, :2].copy().view("<f2").astype(np.float32)
        return
    width = int(np.prod(tensor.shape[1:])) * 4 if len(tensor.shape) > 1 else 4
    step = max(1, _SCAN_ROWS_BYTES // max(1, width))
    for first in range(0, tensor.shape[0], step):
        yield file.rows(tensor.name, first, min(step, tensor.shape[0] - first))


def require_round_trip(path: str | os.PathLike[str], facts: Any) -> None:
    """Read an exported file back and compare it with what the tokenizer does.

    Args:
        path: the GGUF.
        facts: `export.gguf.tokenizer.TokenizerFacts`.

    Raises:
        ModelError: something was lost on the way; the message names it.
    """
    report = check_gguf(path, tensors=False)
    problems = list(report.problems)
    file = read_gguf(path)
    if report.control != facts.control:
        problems.append(f"control token ids are {report.control}, the tokenizer has {facts.control}")
    if lost := [index for index in facts.end_of_generation if index not in report.end_of_generation]:
        problems.append(f"ids {lost} do not end generation")
    if bool(file.metadata.get("tokenizer.ggml.add_bos_token")) != facts.adds_bos:
        problems.append("the BOS flag differs from the tokenizer's")
    if facts.bos is not None and file.metadata.get("tokenizer.ggml.bos_token_id") != facts.bos:
        problems.append("the BOS id differs from the tokenizer's")
    if facts.kind == "spm" and file.metadata.get("tokenizer.ggml.add_space_prefix") is not False:
        problems.append("a space would be put before every block")
    if file.metadata.get("tokenizer.chat_template", "") != facts.template:
        problems.append("the chat template was lost")
    if problems:
        raise ModelError(
            f"{path} lost something on the way: {'; '.join(problems)}", "it is not what was trained", "report this"
        )
