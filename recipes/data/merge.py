"""Putting the shards of one `data solve` together, and noticing what is missing or there twice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from recipes.data.solve import Keep, SelectReport, Shard, _meta, samples_path, select
from runtime.errors import DataError, InputError
from runtime.evaluate.results_file import DECIDING, read_results


def merge(
    shards: Sequence[str | Path],
    out: str | Path,
    keep: Keep,
    *,
    per_question: int | None = None,
    allow_missing: bool = False,
) -> SelectReport:
    """Write the rows of all shards as one run without shards would have.

    Args:
        shards: the `--out` of every shard's call.
        allow_missing: go on without the shards or samples that are missing.

    Raises:
        InputError: shards of different runs, or one given twice, if only under another name.
        DataError: shards or samples are missing; every one is named.
    """
    files = [samples_path(shard) for shard in shards]
    metas = [_meta(path) for path in files]
    _same_run(files, metas)
    problems = _doubled(files, metas) + _strangers(files, metas)
    if problems:
        raise InputError("; ".join(problems), "a row would stand twice", "give every shard once")
    problems = _missing(files, metas)
    if problems and not allow_missing:
        raise DataError("; ".join(problems), "nothing was merged", "finish them, or merge with --allow-missing")
    return select(files, out, keep, per_question=per_question)


def _same_run(files: Sequence[Path], metas: Sequence[Mapping[str, Any]]) -> None:
    def deciding(meta: Mapping[str, Any]) -> dict[str, Any]:
        facts = {key: meta.get(key) for key in DECIDING if key != "endpoint"}
        return {**facts, "data": {**meta["data"], "shard": meta["data"]["shard"].partition("/")[2]}}

    first = deciding(metas[0])
    for path, meta in zip(files, metas, strict=True):
        facts = deciding(meta)
        changed = [key for key, value in facts.items() if value != first[key]]
        if changed:
            raise InputError(
                f"{path} and {files[0]} are of different runs ({', '.join(changed)} differ)",
                "their rows would not be comparable",
                "merge the shards of one call only",
            )


def _doubled(files: Sequence[Path], metas: Sequence[Mapping[str, Any]]) -> list[str]:
    seen: dict[str, Path] = {}
    problems = []
    for path, meta in zip(files, metas, strict=True):
        shard = str(meta["data"]["shard"])
        if shard in seen:
            problems.append(f"shard {shard} is there twice ({seen[shard]} and {path})")
        seen.setdefault(shard, path)
    return problems


def _strangers(files: Sequence[Path], metas: Sequence[Mapping[str, Any]]) -> list[str]:
    """Files whose samples are not of the shard they say they are: a copy of another one under a new name."""
    problems = []
    for path, meta in zip(files, metas, strict=True):
        shard = Shard.parse(meta["data"]["shard"])
        if count := sum(not shard.holds(index) for index in (int(line["index"]) for line in read_results(path))):
            problems.append(f"{path} says it is shard {shard} and holds {count} samples of another one")
    return problems


def _missing(files: Sequence[Path], metas: Sequence[Mapping[str, Any]]) -> list[str]:
    count = Shard.parse(metas[0]["data"]["shard"]).count
    present = {Shard.parse(meta["data"]["shard"]).number for meta in metas}
    problems = [f"shard {number}/{count} is missing" for number in range(1, count + 1) if number not in present]
    for path, meta in zip(files, metas, strict=True):
        keys = {(str(line["id"]), int(line["sample"])) for line in read_results(path)}
        if len(keys) < meta["expected"]:
            problems.append(f"{path} holds {len(keys)} of {meta['expected']} samples")
    return problems
