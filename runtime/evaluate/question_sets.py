"""Where questions come from: the five sets of the paper by name, or a local .jsonl file with `question` and `gold`."""

from __future__ import annotations

import hashlib
import importlib
import json
import random
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runtime.errors import DataError, InputError
from runtime.files import prefer_the_cache_where_the_hub_is_out_of_reach, read_objects
from runtime.text import well_formed_json

_ALTERNATIVE = "give a local .jsonl file with `question` and `gold` instead: --data path/to/{name}.jsonl"


@dataclass(frozen=True, slots=True)
class Question:
    """One question.

    Attributes:
        id: its name in its set.
        index: its position in the whole set, whatever was left out; seeds derive from it.
        subject, level: of the MATH data set, where known.
    """

    id: str
    index: int
    question: str
    gold: str
    subject: str = ""
    level: str = ""


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


@dataclass(frozen=True, slots=True)
class _HubSet:
    path: str
    config: str | None
    split: str
    row: Callable[[dict[str, Any]], dict[str, Any]]


def _gsm8k(row: dict[str, Any]) -> dict[str, Any]:
    return {"question": row["question"], "gold": row["answer"].rpartition("####")[2].strip()}


def _math(row: dict[str, Any]) -> dict[str, Any]:
    from runtime.grade import last_boxed

    gold = row.get("answer") or last_boxed(row.get("solution", "")) or ""
    return {
        "question": row["problem"],
        "gold": gold,
        "subject": row.get("subject") or row.get("type", ""),
        "level": row.get("level", ""),
        "id": row.get("unique_id"),
    }


def _svamp(row: dict[str, Any]) -> dict[str, Any]:
    body = row["Body"].strip()
    joined = f"{body} {row['Question']}" if body.endswith((".", "?", "!", ",")) else f"{body}, {row['Question']}"
    return {"question": joined, "gold": row["Answer"], "id": row.get("ID")}


HUB_SETS: dict[str, _HubSet | None] = {
    "gsm8k": _HubSet("openai/gsm8k", "main", "test", _gsm8k),
    "math": _HubSet("EleutherAI/hendrycks_math", None, "test", _math),
    "svamp": _HubSet("ChilleD/SVAMP", None, "train+test", _svamp),
    "mathematics": None,
    "simuleq": None,
}
"""The five sets of the paper. The test questions of Mathematics and SimulEq that the paper used are files of its code
repository and no hub data set, so these two always need a local file."""


def load_set(spec: str, *, limit: int | None = None, seed: int = 1) -> QuestionSet:
    """Questions by name or from a file.

    Args:
        spec: `gsm8k`, `math`, `svamp`, `mathematics`, `simuleq`, or the path of a .jsonl or .jsonl.gz file, or
            `name=path` to give the file's questions a name.
        limit: this many questions, drawn by `seed` and kept in their order; None for all.

    Raises:
        InputError: neither a known name nor a file, or the hub cannot be reached.
        DataError: a row without question or gold.
    """
    name, _, path = spec.rpartition("=")
    if not path or not Path(path).exists():
        path = path if name else spec
    if Path(path).suffix in (".jsonl", ".gz", ".json") or Path(path).exists():
        full = _from_file(Path(path), name or _stem(Path(path)))
    elif spec.lower() in HUB_SETS:
        full = _from_hub(spec.lower())
    else:
        raise InputError(
            f"{spec!r} is neither a question set nor a file",
            "nothing was evaluated",
            f"the sets are {', '.join(HUB_SETS)}; a file is .jsonl with `question` and `gold` on every line",
        )
    if limit is None or limit >= len(full.questions):
        return full
    if limit < 1:
        raise InputError(f"a limit of {limit} leaves no question", "", "give a limit of 1 or more")
    chosen = sorted(random.Random(seed).sample(range(len(full.questions)), limit))
    return QuestionSet(full.name, tuple(full.questions[index] for index in chosen), full.source, full.sha256)


def _stem(path: Path) -> str:
    return path.name.removesuffix(".gz").rsplit(".", 1)[0].lower()


def _from_file(path: Path, name: str) -> QuestionSet:
    if not path.is_file():
        raise InputError(f"there is no file {path}", "nothing was evaluated", "check the path given with --data")
    return _checked(name, read_objects(path, "nothing was evaluated"), str(path))


def _from_hub(name: str) -> QuestionSet:
    source = HUB_SETS[name]
    remedy = _ALTERNATIVE.format(name=name)
    if source is None:
        raise InputError(
            f"the paper's test questions of {name} are in no hub data set", "nothing was evaluated", remedy
        )
    prefer_the_cache_where_the_hub_is_out_of_reach()
    try:
        # Not an import statement: the laptop's runtime does without the training libraries unless asked for them.
        datasets = importlib.import_module("datasets")
    except ImportError as error:
        raise InputError(
            f"the question set {name} comes from the hub, which needs the package `datasets`",
            "nothing was evaluated",
            f'pip install "mathcoder-toolkit[train]", or {remedy}',
        ) from error
    try:
        rows = _hub_rows(datasets, source)
    except Exception as error:  # The library raises a dozen unrelated types for "no network".
        why = str(error).strip().splitlines()
        raise InputError(
            f"{source.path} could not be loaded from the hub: {why[0][:200] if why else type(error).__name__}",
            "nothing was evaluated",
            f"connect to the network, or {remedy}",
        ) from error
    return _checked(name, enumerate(well_formed_json(rows), start=1), f"hub:{source.path}")


def _hub_rows(datasets: Any, source: _HubSet) -> list[dict[str, Any]]:
    # A set without a named configuration is divided by subject, one configuration each.
    configs = [source.config] if source.config else sorted(datasets.get_dataset_config_names(source.path))
    rows = []
    for config in configs:
        for row in datasets.load_dataset(source.path, config, split=source.split):
            converted = source.row(row)
            if config and not converted.get("subject") and len(configs) > 1:
                converted["subject"] = config
            rows.append(converted)
    return rows


def _checked(name: str, rows: Iterable[tuple[int, dict[str, Any]]], source: str) -> QuestionSet:
    questions: list[Question] = []
    digest = hashlib.sha256()
    seen: set[str] = set()
    for index, (number, row) in enumerate(rows):
        question, gold = row.get("question"), row.get("gold", row.get("answer"))
        if not isinstance(question, str) or not question.strip() or gold is None or not str(gold).strip():
            raise DataError(
                f"row {number} of {source} has no `question` or no `gold`",
                "nothing was evaluated",
                "every line needs both",
            )
        identity = str(row.get("id") or index)
        if identity in seen:
            identity = f"{identity}#{index}"
        seen.add(identity)
        digest.update(json.dumps([question, str(gold)]).encode())
        subject = str(row.get("subject") or subject_in(identity))
        level = re.sub(r"\D", "", str(row.get("level") or ""))
        questions.append(Question(identity, index, question, str(gold), subject.replace("_", " ").lower(), level))
    if not questions:
        raise DataError(f"{source} holds no questions", "nothing was evaluated", "check the file")
    return QuestionSet(name, tuple(questions), source, digest.hexdigest())


def subject_in(identity: str) -> str:
    """The subject in a MATH id such as `test/number_theory/1128.json`."""
    match = re.search(r"(?:^|/)(?:test|train)/([a-z_&]+)/\d+\.json$", identity)
    return match.group(1).replace("_", " ") if match else ""
