"""`data stats`: what each file holds: rows, tokens by kind, blocks, answers, imports, failures."""

from __future__ import annotations

import ast
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from recipes.data.outputs import is_timeout, is_traceback
from recipes.data.rows import files_of, read_lines, solutions_of, why_no_row
from runtime.grade import final_answer
from runtime.lce import EMPTY_EXECUTION, KINDS

ANSWER_KINDS = ("integer", "decimal", "fraction or LaTeX", "other text", "none")


@dataclass
class Statistics:
    """Counts over some rows. `tokens` is filled where a tokenizer is given; lengths are of the whole row."""

    rows: int = 0
    invalid: Counter[str] = field(default_factory=Counter)
    questions: set[bytes] = field(default_factory=set)
    blocks: Counter[str] = field(default_factory=Counter)
    cells: Counter[int] = field(default_factory=Counter)
    characters: list[int] = field(default_factory=list)
    tokens: Counter[str] = field(default_factory=Counter)
    row_tokens: list[int] = field(default_factory=list)
    answers: Counter[str] = field(default_factory=Counter)
    imports: Counter[str] = field(default_factory=Counter)
    executions: Counter[str] = field(default_factory=Counter)
    failed_rows: int = 0

    def as_dict(self) -> dict[str, Any]:
        """For `--json` and the table."""
        told: dict[str, Any] = {
            "rows": self.rows,
            "invalid rows": self.invalid.total(),
            "different questions": len(self.questions),
            "blocks": dict(self.blocks.most_common()),
            "code blocks in a row": {str(n): count for n, count in sorted(self.cells.items())},
            "characters of a row": _quantiles(self.characters),
            "answers": {kind: self.answers[kind] for kind in ANSWER_KINDS if self.answers[kind]},
            "executions": dict(self.executions.most_common()),
            "rows with a failed cell": self.failed_rows,
            "imports": dict(self.imports.most_common(15)),
        }
        if self.row_tokens:
            told["tokens by kind"] = {kind: self.tokens[kind] for kind in KINDS}
            told["tokens of a row"] = _quantiles(self.row_tokens)
        if self.invalid:
            told["why invalid"] = dict(self.invalid.most_common(10))
        return told


def _quantiles(values: Sequence[int]) -> dict[str, int]:
    if not values:
        return {}
    ordered = sorted(values)
    return {
        name: ordered[min(len(ordered) - 1, round(share * (len(ordered) - 1)))]
        for name, share in (("shortest", 0.0), ("median", 0.5), ("90 %", 0.9), ("99 %", 0.99), ("longest", 1.0))
    }


def statistics(
    source: str, tokenizer: Any = None, *, on_progress: Callable[[int], None] | None = None
) -> dict[str, Statistics]:
    """Statistics of each file of `source`, and of all together under `all` where there are several.

    Args:
        tokenizer: counts tokens as training sees them.

    Raises:
        InputError: no such source.
        DataError: a file that cannot be read to its end.
        ModelError: the tokenizer lacks the control tokens.
    """
    result: dict[str, Statistics] = {}
    files = files_of(source)
    together = Statistics()
    count = 0
    for path in files:
        of_file = result.setdefault(str(path), Statistics())
        for line in read_lines([path]):
            reason = why_no_row(line.value)
            for statistics in (of_file, together) if len(files) > 1 else (of_file,):
                if reason is None:
                    add(statistics, line.value, tokenizer)
                else:
                    statistics.invalid[reason.split(" (")[0]] += 1
            count += 1
            if on_progress is not None:
                on_progress(count)
    return {**result, "all": together} if len(files) > 1 else result


def add(statistics: Statistics, value: Mapping[str, Any], tokenizer: Any = None) -> None:
    """Count one valid row."""
    import hashlib

    from qlora.data import encode, question_of

    statistics.rows += 1
    # Hashes, because a set of a million questions in full would be larger than the file.
    statistics.questions.add(hashlib.sha256(question_of(value["messages"]).encode()).digest()[:12])
    blocks = [block for solution in solutions_of(value["messages"]) for block in solution]
    statistics.blocks.update(block.type for block in blocks)
    codes = [block.content for block in blocks if block.type == "code"]
    statistics.cells[len(codes)] += 1
    statistics.imports.update(name for code in codes for name in imports_of(code))
    outcomes = [_outcome(block.content) for block in blocks if block.type == "execution"]
    statistics.executions.update(outcomes)
    statistics.failed_rows += any(outcome in ("failed", "timed out") for outcome in outcomes)
    statistics.answers[answer_kind(final_answer(solutions_of(value["messages"])[-1]))] += 1
    statistics.characters.append(
        sum(len(block["content"]) for message in value["messages"] for block in message["content"])
    )
    if tokenizer is not None:
        kinds = encode(value, tokenizer).kinds
        statistics.tokens.update(kinds)
        statistics.row_tokens.append(len(kinds))


def _outcome(text: str) -> str:
    if text == EMPTY_EXECUTION:
        return "empty"
    if is_timeout(text):
        return "timed out"
    return "failed" if is_traceback(text) else "with a result"


def answer_kind(answer: str | None) -> str:
    """What sort of thing an answer is."""
    from runtime.grade.strict import plain_number

    if answer is None:
        return "none"
    number = plain_number(answer)
    if number is not None:
        return "integer" if number == int(number) and "." not in answer else "decimal"
    return "fraction or LaTeX" if "\\" in answer or "/" in answer or "^" in answer else "other text"


def imports_of(code: str) -> set[str]:
    """Top-level names of the modules that `code` imports; none where it is not valid Python."""
    try:
        with warnings.catch_warnings():
            # A cell's own invalid escapes are no concern of the reader.
            warnings.simplefilter("ignore")
            tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set()
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return names


def plot(statistics: Mapping[str, Statistics], folder: Path) -> list[Path]:
    """Histograms of row lengths and code blocks, one line a source, as PNG files; returns their paths.

    Raises:
        InputError: matplotlib is not installed.
    """
    from runtime.evaluate.plots import figure, write_figure

    folder.mkdir(parents=True, exist_ok=True)
    shown = {Path(name).name: item for name, item in statistics.items() if item.rows}
    in_tokens = all(item.row_tokens for item in shown.values())
    unit = "tokens" if in_tokens else "characters"
    drawings: list[tuple[str, str, dict[str, Iterable[int]]]] = [
        ("lengths", f"{unit} of a row", {n: s.row_tokens if in_tokens else s.characters for n, s in shown.items()}),
        ("cells", "code blocks in a row", {n: list(s.cells.elements()) for n, s in shown.items()}),
    ]
    paths: list[Path] = []
    for name, label, series in drawings:
        picture = figure(7, 4)
        axes = picture.subplots()
        for title, values in series.items():
            axes.hist(list(values), bins=60 if name == "lengths" else 16, histtype="step", label=title)
        axes.set_xlabel(label)
        axes.set_ylabel("rows")
        axes.legend(fontsize="small")
        paths += write_figure(picture, folder / name, ("png",))
    return paths
