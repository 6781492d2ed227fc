"""The files of a model folder: its JSON files, and its weights (one file, or shards with an index)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from runtime.errors import ModelError


def read_object(file: Path, consequence: str) -> dict[str, Any]:
    """The object in a JSON file.

    Args:
        file: a config.json, run.json or the like.
        consequence: what follows where it cannot be read, for the message.

    Raises:
        ModelError: it is missing, unreadable, or holds something else.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelError(f"{file} cannot be read ({error.strerror})", consequence, "check the folder") from error
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{file} is not valid JSON ({error})", consequence, "fetch or copy it again") from error
    if not isinstance(content, dict):
        raise ModelError(f"{file} holds no JSON object", consequence, "fetch or copy it again")
    return content


def weight_files(folder: Path, stem: str = "model") -> list[Path]:
    """The safetensors files of `folder`, in the order of their names.

    Args:
        folder: of a model or an adapter.
        stem: name of the file without its ending (`adapter_model` for an adapter).

    Raises:
        ModelError: there are none, one is missing, or the index is not one or names a file outside the folder.
    """
    index = folder / f"{stem}.safetensors.index.json"
    if index.is_file():
        return _shards(folder, index)
    single = folder / f"{stem}.safetensors"
    if single.is_file():
        return [single]
    other = sorted(path.name for path in folder.glob("pytorch_model*.bin"))
    raise ModelError(
        f"{folder} lacks {stem}.safetensors" + (f" and holds only {', '.join(other[:3])}" if other else ""),
        "the weights cannot be read",
        "save the model as safetensors" if other else "check the folder, or fetch the model again",
    )


def _shards(folder: Path, index: Path) -> list[Path]:
    try:
        placed = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        names = sorted(set(placed.values()))
        if not names:
            raise ValueError("it names no shard")
        # A name alone: `../x`, `/etc/x` and `a/b` are files of somebody else.
        if outside := [name for name in names if name in ("", ".", "..") or "\0" in name or Path(name).name != name]:
            raise ValueError(f"{outside[0]!r} is not the name of a file beside it")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        reason = f"{type(error).__name__}: {error}"[:200]
        raise ModelError(f"{index} is not a shard index ({reason})", "the model cannot be read") from error
    if missing := [name for name in names if not (folder / name).is_file()]:
        raise ModelError(
            f"{folder} lacks {len(missing)} of {len(names)} shards: {', '.join(missing[:4])}",
            "the model cannot be read",
            "finish the download",
        )
    return [folder / name for name in names]
