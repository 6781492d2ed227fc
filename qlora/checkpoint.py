"""Checkpoints: whole or not there at all.

A checkpoint is a folder `step-N` with the trained parameters, the optimizer's state and `state.json`, which holds the
hash of the other two. It is written under a hidden name and renamed when everything is on disk, so that a crash leaves
no half of one under the final name; one that was damaged later is recognised by its hashes and passed over.

The learning rate, the rows of a step and its random numbers are functions of (seed, step) and need no saving.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runtime.files import fsync, sha256_file

if TYPE_CHECKING:
    import torch

    from qlora.adapter import Adapted

PARAMETERS, OPTIMIZER, STATE = "parameters.safetensors", "optimizer.pt", "state.json"
_NAME = re.compile(r"step-(\d+)")


def save(
    folder: Path, step: int, adapted: Adapted, optimizer: torch.optim.Optimizer, state: dict[str, Any], *, keep: int
) -> Path:
    """Write `folder/step-N` atomically, then remove all but the newest `keep` checkpoints.

    Raises:
        OSError: no space, or no permission; earlier checkpoints are untouched.
    """
    import torch
    from safetensors.torch import save_file

    final = folder / f"step-{step}"
    temporary = folder / f".step-{step}.tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        save_file(
            {name: p.detach().cpu().contiguous() for name, p in adapted.trainable().items()}, temporary / PARAMETERS
        )
        torch.save(optimizer.state_dict(), temporary / OPTIMIZER)
        hashes = {name: sha256_file(temporary / name) for name in (PARAMETERS, OPTIMIZER)}
        (temporary / STATE).write_text(json.dumps({"step": step, "sha256": hashes, **state}), encoding="utf-8")
        for path in [*temporary.iterdir(), temporary]:
            fsync(path)
        shutil.rmtree(final, ignore_errors=True)
        os.replace(temporary, final)
        fsync(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    for old in _all(folder)[keep:]:
        shutil.rmtree(old, ignore_errors=True)
    return final


def latest(folder: Path) -> Path | None:
    """The newest whole checkpoint in `folder`, or None."""
    return next((path for path in _all(folder) if _is_whole(path)), None)


def state_of(checkpoint: Path) -> dict[str, Any]:
    """What `save` was given as `state`, and `step`."""
    state: dict[str, Any] = json.loads((checkpoint / STATE).read_text(encoding="utf-8"))
    return state


def load(checkpoint: Path, adapted: Adapted, optimizer: torch.optim.Optimizer) -> None:
    """Put the trained parameters and the optimizer's state back."""
    import torch
    from safetensors.torch import load_file

    saved = load_file(checkpoint / PARAMETERS)
    with torch.no_grad():
        for name, parameter in adapted.trainable().items():
            parameter.copy_(saved[name])
    # By way of the host: what is loaded straight to a GPU comes back as ordinary memory that says it is paged, and
    # bitsandbytes ends the process when it tries to move pages that are none.
    state = torch.load(checkpoint / OPTIMIZER, map_location="cpu", weights_only=True)
    optimizer.load_state_dict(_plain(state))
    if getattr(optimizer, "is_paged", False):
        _page(optimizer)


def _plain(value: Any) -> Any:
    """`value` with new tensors for its own, without the attributes that bitsandbytes puts on them."""
    import torch

    if isinstance(value, torch.Tensor):
        return value.detach()
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    return [_plain(part) for part in value] if isinstance(value, list) else value


def _page(optimizer: Any) -> None:
    """Put a paged optimizer's moments where it puts them itself: in memory that may move to the host."""
    for parameter, state in optimizer.state.items():
        for name in ("state1", "state2"):
            pages = optimizer.get_state_buffer(parameter, dtype=state[name].dtype)
            pages.copy_(state[name])
            state[name] = pages


def _all(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    steps = [(int(match.group(1)), path) for path in folder.iterdir() if (match := _NAME.fullmatch(path.name))]
    return [path for _, path in sorted(steps, reverse=True)]


def _is_whole(checkpoint: Path) -> bool:
    try:
        hashes = state_of(checkpoint)["sha256"]
        return all(sha256_file(checkpoint / name) == hashes[name] for name in (PARAMETERS, OPTIMIZER))
    except (OSError, ValueError, KeyError, TypeError):
        return False
