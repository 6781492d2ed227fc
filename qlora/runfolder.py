"""The folder of a run: what is written there, under which name, and whether it may be continued."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import yaml

from qlora.adapter import Adapted
from qlora.base import Base
from qlora.data import Row, rows_to_jsonl
from qlora.quiet import quiet_libraries
from qlora.settings import LAYOUT_KEYS, QloraSettings
from runtime.errors import InputError, TrainError
from runtime.files import locked, write_text

PACKAGES = ("torch", "transformers", "peft", "bitsandbytes", "unsloth", "tokenizers", "mathcoder-toolkit")


class RunFolder:
    """Paths and files of one run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.run_file = path / "run.json"
        self.log_file = path / "log.jsonl"
        self.checkpoints = path / "checkpoints"
        self.adapter = path / "adapter"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep a second process out of this folder.

        Raises:
            TrainError: one is at work here already.
            WriteError: the folder cannot be written.
        """
        busy = TrainError(
            f"another process is training in {self.path}", "nothing was started", "wait for it, or give another --out"
        )
        with locked(self.path / ".lock", busy):
            yield

    def read(self) -> dict[str, Any] | None:
        """`run.json`, or None where there is none.

        Raises:
            TrainError: it cannot be read.
        """
        try:
            value: dict[str, Any] = json.loads(self.run_file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise TrainError(
                f"{self.run_file} cannot be read ({error})", "the run cannot be continued", "start over with --fresh"
            ) from error
        return value

    def write(self, run: dict[str, Any]) -> None:
        """Write `run.json` atomically."""
        write_text(self.run_file, json.dumps(run, indent=1, ensure_ascii=False) + "\n")

    def clear(self) -> None:
        """Remove what an earlier run wrote here, and nothing else."""
        for name in ("run.json", "log.jsonl", "held_out.jsonl", "recipe.yaml"):
            (self.path / name).unlink(missing_ok=True)
        for name in ("checkpoints", "adapter", "tokenizer", "plots", "samples", "tensorboard"):
            shutil.rmtree(self.path / name, ignore_errors=True)

    def write_inputs(self, settings: QloraSettings, tokenizer: Any, base: Base, held_out: Sequence[Row]) -> None:
        """What is known before the first step: recipe, tokenizer, held-out rows."""
        write_text(self.path / "recipe.yaml", yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False))
        write_text(self.path / "held_out.jsonl", rows_to_jsonl(held_out))
        folder = self.path / "tokenizer"
        with quiet_libraries():
            tokenizer.save_pretrained(folder)
        # transformers writes none, and a llama.cpp converter that finds none loses scores and token types.
        if (base.path / "tokenizer.model").is_file():
            shutil.copyfile(base.path / "tokenizer.model", folder / "tokenizer.model")

    def write_adapter(self, adapted: Adapted) -> None:
        """The adapter in peft's format; the old one is replaced only when the new one is on disk."""
        temporary = self.path / ".adapter.tmp"
        shutil.rmtree(temporary, ignore_errors=True)
        with quiet_libraries():
            adapted.peft.save_pretrained(temporary, save_embedding_layers=False)
        shutil.rmtree(self.adapter, ignore_errors=True)
        os.replace(temporary, self.adapter)

    def append_log(self, entry: dict[str, Any]) -> None:
        """One line to `log.jsonl`."""
        with open(self.log_file, "a", encoding="utf-8") as out:
            out.write(json.dumps(entry) + "\n")

    def log(self) -> list[dict[str, Any]]:
        """All whole lines of `log.jsonl`."""
        entries = []
        if self.log_file.is_file():
            for line in self.log_file.read_text(encoding="utf-8").splitlines():
                try:
                    entries.append(json.loads(line))
                except ValueError:
                    break  # the line that was being written when the power went
        return entries

    def truncate_log(self, step: int) -> None:
        """Drop lines after `step`: they describe steps that a resumed run takes again."""
        kept = [entry for entry in self.log() if entry["step"] <= step]
        write_text(self.log_file, "".join(json.dumps(entry) + "\n" for entry in kept))


def versions() -> dict[str, str]:
    """Installed versions of what decides about the numbers."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def refuse_other_run(old: dict[str, Any], new: dict[str, Any], folder: Path) -> None:
    """Refuse to continue a run with another recipe, base or data.

    Raises:
        InputError: the difference, key by key.
    """
    refuse_difference(_decisive(old), _decisive(new), folder)


def refuse_difference(before: dict[str, Any], after: dict[str, Any], folder: Path) -> None:
    """Refuse to continue the run in `folder` where what decided it `before` is another thing now.

    Raises:
        InputError: the difference, key by key.
    """
    differ = sorted(key for key in before.keys() | after.keys() if before.get(key) != after.get(key))
    if differ:
        listed = "; ".join(f"{key} was {before.get(key)!r}, is {after.get(key)!r}" for key in differ[:6])
        raise InputError(
            f"{folder} holds a run of another recipe ({listed})",
            "it cannot be continued with this one",
            "restore the recipe, give another --out, or start over with --fresh",
        )


def _with_defaults(recipe: dict[str, Any]) -> dict[str, Any]:
    """A recorded recipe with today's defaults for the keys that it is too old to have."""
    try:
        return QloraSettings.model_validate(recipe).model_dump(mode="json")
    except ValueError:
        return recipe  # it has keys or values that are gone; the comparison then names them


def _decisive(run: dict[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {"base_sha256": run.get("base_sha256"), "data.sha256": run.get("data", {}).get("sha256")}
    for section, values in _with_defaults(run.get("recipe", {})).items():
        if isinstance(values, dict):
            flat |= {f"{section}.{key}": value for key, value in values.items() if key not in LAYOUT_KEYS}
    # A file that moved is the same file: the hashes above speak for base and data.
    for key in ("data.source", "data.file", "data.revision"):
        flat.pop(key, None)
    return flat
