"""Derived dialects as records in the cache, by what they were derived from; read as plain data."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, fields
from datetime import date
from pathlib import Path
from typing import Any, TypeVar

from runtime.errors import WriteError
from runtime.files import cache_folder, write_text
from runtime.solver.dialects.form import Call, Frame, Notices, Result, Think
from runtime.solver.dialects.markers import SPELLED
from runtime.solver.dialects.native import NativeDialect
from runtime.solver.dialects.template.derive import Reading, derive

_VERSION = 3
"""Of what is derived and how; older records are derived anew."""
_T = TypeVar("_T")


def read_template(
    template: str,
    *,
    name: str = "python",
    argument: str = "code",
    bos: str = "",
    eos: str = "",
    keeps_bos: bool = False,
    is_end: Callable[[str], bool] | None = None,
    cache: Path | None = None,
) -> Reading:
    """`derive`, or what it gave for the same template before.

    Args:
        template, name, argument, bos, eos, keeps_bos, is_end: see `derive`.
        cache: folder of the records; None: `dialects` in the cache.

    Raises:
        ModelError: see `derive`.
    """
    spelled = sorted({*SPELLED.findall(template), eos})
    ends = [one for one in spelled if is_end(one)] if is_end is not None else None
    asked = [_VERSION, template, name, argument, bos, eos, keeps_bos, ends]
    key = hashlib.sha256(json.dumps(asked).encode("utf-8", "replace")).hexdigest()[:32]
    path = (cache or cache_folder() / "dialects") / f"{key}.json"
    known = _read(path)
    if known is not None:
        return known
    made = derive(template, name=name, argument=argument, bos=bos, eos=eos, keeps_bos=keeps_bos, is_end=is_end)
    kept = asdict(made) | {
        "dialect": as_record(made.dialect) if made.dialect is not None else None,
        "date": date.today().isoformat() if made.is_dated else "",
    }
    # A cache that cannot be written costs a fifth of a second the next time.
    with contextlib.suppress(OSError, WriteError):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, json.dumps(kept))
    return made


def as_record(dialect: NativeDialect) -> dict[str, Any]:
    """A derived dialect as plain data."""
    kept = ("frame", "plain", "think", "call", "result", "forbidden", "evidence", "why")
    made = {key: getattr(dialect, key) for key in kept}
    return {key: asdict(value) if hasattr(value, "__dataclass_fields__") else value for key, value in made.items()}


def from_record(record: dict[str, Any]) -> NativeDialect:
    """The dialect of a record.

    Raises:
        ValueError, KeyError, TypeError: it is not one.
    """
    return NativeDialect(
        name="template",
        evidence=record["evidence"],
        why=record["why"],
        frame=_part(Frame, record["frame"]),
        plain=_part(Frame, record["plain"]) if record["plain"] else None,
        think=_part(Think, record["think"]) if record["think"] else None,
        call=_part(Call, record["call"]),
        result=_part(Result, record["result"]),
        notices=Notices(),
        forbidden=tuple(record["forbidden"]),
    )


def _part(kind: type[_T], values: dict[str, Any]) -> _T:
    known = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    if set(values) != known:
        raise ValueError(f"a {kind.__name__} has {', '.join(sorted(known))}")
    return kind(**values)


def _read(path: Path) -> Reading | None:
    """A record that is there and can be used; one that is damaged, or of another day, is made anew."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        if value["date"] and value["date"] != date.today().isoformat():
            return None
        return Reading(
            dialect=from_record(value["dialect"]) if value["dialect"] else None,
            problem=str(value["problem"]),
            plain=_part(Frame, value["plain"]) if value["plain"] else None,
            think=_part(Think, value["think"]) if value["think"] else None,
            declares=bool(value["declares"]),
            is_dated=bool(value["date"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
