"""Questions by the name of their set, from the hub or a file, each with its grading rule."""

from __future__ import annotations

import hashlib
import importlib
import json
import random
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from runtime.errors import DataError, InputError
from runtime.evaluate.known_sets import KNOWN, Hub, KnownSet, known_set, plain_name, rule_of
from runtime.files import prefer_the_cache_where_the_hub_is_out_of_reach, read_objects
from runtime.grade.rules import EXACT, Rule, is_readable
from runtime.text import did_you_mean, well_formed_json

_ALTERNATIVE = "give a local .jsonl file with `question` and `gold` instead: --data path/to/{name}.jsonl"
ALL_SHORT = "all-short"
"""In place of a set: a few questions of each set that is at hand."""
SHORT = 20
"""Questions of each set in the tour."""


@dataclass(frozen=True, slots=True)
class Question:
    """One question.

    Attributes:
        id: its name in its set.
        index: its position in the whole set, whatever was left out; seeds derive from it.
        subject, level: the part of its set, where known: MATH's subjects and levels, MAWPS's four parts.
        rule: how its answer is compared with the gold.
    """

    id: str
    index: int
    question: str
    gold: str
    subject: str = ""
    level: str = ""
    rule: Rule = EXACT


@dataclass(frozen=True, slots=True)
class QuestionSet:
    """A named list of questions and the facts that identify it."""

    name: str
    questions: tuple[Question, ...]
    source: str
    sha256: str = field(default="")

    def facts(self) -> dict[str, Any]:
        """What a record of a run needs."""
        return {"set": self.name, "source": self.source, "questions": len(self.questions), "sha256": self.sha256}

    def unread(self) -> list[Question]:
        """Questions whose gold the grader can compare as text alone."""
        return [question for question in self.questions if not is_readable(question.gold)]


def load_sets(
    specs: Iterable[str], *, limit: int | None = None, seed: int = 1, folder: Path | None = None
) -> tuple[list[QuestionSet], dict[str, str]]:
    """The sets that `specs` name, and for the tour `all-short` why others are not at hand.

    Raises:
        InputError: a set that was named cannot be had, or none of the tour can.
        DataError: see `load_set`.
    """
    found: list[QuestionSet] = []
    absent: dict[str, str] = {}
    for spec in specs:
        if spec.lower() != ALL_SHORT:
            found.append(load_set(spec, limit=limit, seed=seed, folder=folder))
            continue
        for name in KNOWN:
            try:
                found.append(load_set(name, limit=min(limit or SHORT, SHORT), seed=seed, folder=folder))
            except InputError as error:
                absent[name] = error.cause
        if not found:
            raise InputError(
                f"none of the {len(KNOWN)} sets is at hand",
                "nothing was evaluated",
                "connect to the network, or give a folder of NAME.jsonl files with --questions",
            )
    return found, absent


def load_set(spec: str, *, limit: int | None = None, seed: int = 1, folder: Path | None = None) -> QuestionSet:
    """Questions by name or from a file.

    Args:
        spec: a name in `known_sets.KNOWN`, or the path of a .jsonl, .jsonl.gz or .json file, or `name=path` to give the
            file's questions a name, and with it the rule of that set.
        limit: this many questions, drawn by `seed` and kept in their order; None for all.
        folder: where NAME.jsonl files of named sets are looked for before the hub.

    Raises:
        InputError: neither a known name nor a file, or the hub cannot be reached.
        DataError: a row without question or gold.
    """
    name, _, path = spec.rpartition("=")
    if not path or not Path(path).exists():
        path = path if name else spec
    known = known_set(spec)
    if Path(path).suffix in (".jsonl", ".gz", ".json") or Path(path).exists():
        full = _from_files([Path(path)], name or _stem(Path(path)))
    elif known is not None and folder is not None and (files := _files_of(known, folder)):
        full = _from_files(files, known.name)
    elif known is not None:
        full = _from_hub(known)
    else:
        near = did_you_mean(spec, [*KNOWN, ALL_SHORT], "did you mean {}? ")
        raise InputError(
            f"{spec!r} is neither a question set nor a file",
            "nothing was evaluated",
            f"{near}the sets are {', '.join(KNOWN)}; a file is .jsonl with `question` and `gold` on every line",
        )
    if limit is None or limit >= len(full.questions):
        return full
    if limit < 1:
        raise InputError(f"a limit of {limit} leaves no question", "", "give a limit of 1 or more")
    chosen = sorted(random.Random(seed).sample(range(len(full.questions)), limit))
    return replace(full, questions=tuple(full.questions[index] for index in chosen))


def _stem(path: Path) -> str:
    stem = path.name.removesuffix(".gz").rsplit(".", 1)[0].lower()
    known = known_set(stem)
    return known.name if known else stem


def _files_of(known: KnownSet, folder: Path) -> list[Path]:
    """The set's file in a folder of sets, whatever the case of its name, or its parts NAME_1, NAME_2, ..."""
    if not folder.is_dir():
        raise InputError(f"there is no folder {folder}", "nothing was evaluated", "check the path of --questions")
    name = plain_name(known.name)
    suffixes = (".jsonl", ".jsonl.gz", ".json")
    files = {path: plain_name(_stem(path)) for path in sorted(folder.iterdir()) if path.name.endswith(suffixes)}
    whole = [path for path, stem in files.items() if stem == name]
    return whole[:1] or [path for path, stem in files.items() if re.fullmatch(rf"{re.escape(name)}-\d+", stem)]


def _from_files(paths: list[Path], name: str) -> QuestionSet:
    for path in paths:
        if not path.is_file():
            raise InputError(f"there is no file {path}", "nothing was evaluated", "check the path given with --data")
    source = str(paths[0]) if len(paths) == 1 else f"{paths[0]} and {len(paths) - 1} more parts"
    rows = ((number, row) for path in paths for number, row in _rows_of(path))
    return _checked(name, rows, source)


def _rows_of(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rows of a file: one object a line, or one JSON list or object, as some owners publish theirs."""
    if path.suffix == ".json":
        try:
            whole = json.loads(path.read_text(encoding="utf-8-sig"))
        except (OSError, ValueError, RecursionError):
            whole = None  # Lines that are objects, or a mistake that is told with its line below.
        if isinstance(whole, dict) and whole and all(isinstance(row, dict) for row in whole.values()):
            whole = [{"id": key, **row} for key, row in whole.items()]
        if isinstance(whole, list) and all(isinstance(row, dict) for row in whole):
            yield from enumerate(well_formed_json(whole), start=1)
            return
    yield from read_objects(path, "nothing was evaluated")


def _from_hub(known: KnownSet) -> QuestionSet:
    remedy = _ALTERNATIVE.format(name=known.name)
    if known.hub is None:
        problem = f"the test questions of {known.name} are in no hub data set of their owners"
        raise InputError(problem, "nothing was evaluated", f"{known.where}; " * bool(known.where) + remedy)
    prefer_the_cache_where_the_hub_is_out_of_reach()
    try:
        # Not an import statement: the laptop's runtime does without the training libraries unless asked for them.
        datasets = importlib.import_module("datasets")
    except ImportError as error:
        raise InputError(
            f"the question set {known.name} comes from the hub, which needs the package `datasets`",
            "nothing was evaluated",
            f'pip install "mathcoder-toolkit[train]", or {remedy}',
        ) from error
    try:
        rows = _hub_rows(datasets, known.hub)
    except Exception as error:  # The library raises a dozen unrelated types for "no network".
        why = str(error).strip().splitlines()
        raise InputError(
            f"{known.hub.path} could not be loaded from the hub: {why[0][:200] if why else type(error).__name__}",
            "nothing was evaluated",
            f"connect to the network, or {remedy}",
        ) from error
    return _checked(known.name, enumerate(well_formed_json(rows), start=1), f"hub:{known.hub.path}")


def _hub_rows(datasets: Any, source: Hub) -> list[dict[str, Any]]:
    """Rows as their owners write them; those of several configurations know theirs as `subject`."""
    configs = [source.config] if source.config != "*" else sorted(datasets.get_dataset_config_names(source.path))
    rows = []
    for config in configs:
        for row in datasets.load_dataset(source.path, config, split=source.split):
            part = row.get("subject") or row.get("type") or config
            rows.append({**row, "subject": part} if len(configs) > 1 else dict(row))
    return rows


def _converted(known: KnownSet | None, row: dict[str, Any], place: str) -> dict[str, Any]:
    """A row as ours; one in its owners' schema is converted."""
    if known is None or ("question" in row and "gold" in row):
        return row
    try:
        return known.convert(row)
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        if "question" in row and "answer" in row:
            return row
        raise DataError(
            f"{place} has no `question` or no `gold`, and is not a row of {known.name} as its owners publish it either "
            f"({type(error).__name__}: {error})",
            "nothing was evaluated",
            "every line needs both",
        ) from None


def _checked(name: str, rows: Iterable[tuple[int, dict[str, Any]]], source: str) -> QuestionSet:
    known = known_set(name)
    questions: list[Question] = []
    digest = hashlib.sha256()
    seen: set[str] = set()
    for index, (number, given) in enumerate(rows):
        place = f"row {number} of {source}"
        row = _converted(known, given, place)
        question, gold = row.get("question"), row.get("gold", row.get("answer"))
        if not isinstance(question, str) or not question.strip() or gold is None or not str(gold).strip():
            raise DataError(f"{place} has no `question` or no `gold`", "nothing was evaluated", "every line needs both")
        identity = str(row.get("id") or given.get("id") or index)
        if identity in seen:
            identity = f"{identity}#{index}"
        seen.add(identity)
        digest.update(json.dumps([question, str(gold)]).encode())
        try:
            rule = rule_of(name, row)
        except ValueError as error:
            raise DataError(f"{place}: {error}", "nothing was evaluated", "correct or remove `grading`") from None
        subject = str(row.get("subject") or _part(known, given) or subject_in(identity))
        level = re.sub(r"\D", "", str(row.get("level") or ""))
        subject = subject.replace("_", " ").lower()
        questions.append(Question(identity, index, question, str(gold), subject, level, rule))
    if not questions:
        raise DataError(f"{source} holds no questions", "nothing was evaluated", "check the file")
    return QuestionSet(name, tuple(questions), source, digest.hexdigest())


def _part(known: KnownSet | None, row: dict[str, Any]) -> str:
    """The part of its set, under the names that files have for it."""
    keys = ("part", "subfield", "type") if known is not None else ("part", "subfield")
    return next((str(row[key]) for key in keys if isinstance(row.get(key), str) and row[key]), "")


def subject_in(identity: str) -> str:
    """The subject in a MATH id such as `test/number_theory/1128.json`."""
    match = re.search(r"(?:^|/)(?:test|train)/([a-z_&]+)/\d+\.json$", identity)
    return match.group(1).replace("_", " ") if match else ""
