"""What GPUs are here, and whether this torch can use them."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from runtime.errors import TrainError

LARGE = 2_000_000_000
"""Bytes of weights (a billion of them in 16 bits) above which nobody means to train on a processor."""
CUDA_12 = "make demo TORCH_INDEX=https://download.pytorch.org/whl/cu126"


@dataclass(frozen=True)
class Driver:
    """An NVIDIA driver that answers.

    Attributes:
        gpus: their names, in the order of nvidia-smi (that of the bus, which is not torch's).
        version: of the driver, like `550.54.14`.
        cuda: the newest CUDA that it speaks; None where it does not tell.
    """

    gpus: tuple[str, ...]
    version: str
    cuda: tuple[int, int] | None


def nvidia_driver() -> Driver | None:
    """The driver by nvidia-smi; None where there is no such tool, no GPU, or no answer within 20 s."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return None
    call = [tool, "--query-gpu=driver_version,name", "--format=csv,noheader"]
    try:
        done = subprocess.run(call, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    lines = [line.partition(",") for line in done.stdout.splitlines() if "," in line]
    if not lines:
        return None
    return Driver(tuple(name.strip() for _, _, name in lines), lines[0][0].strip(), cuda_of_driver())


def cuda_of_driver() -> tuple[int, int] | None:
    """The newest CUDA version that the driver speaks, by its own library; None where it is not found."""
    for name in ("libcuda.so.1", "/usr/lib/wsl/lib/libcuda.so.1"):
        try:
            library = ctypes.CDLL(name)
        except OSError:
            continue
        version = ctypes.c_int(0)
        if library.cuDriverGetVersion(ctypes.byref(version)) == 0 and version.value:
            return version.value // 1000, version.value % 1000 // 10
    return None


def is_hidden() -> bool:
    """Whether the user hid every GPU on purpose (`CUDA_VISIBLE_DEVICES=` or `-1`)."""
    return os.environ.get("CUDA_VISIBLE_DEVICES", "all").strip() in ("", "-1")


def gpu_is_usable() -> bool:
    """Whether torch can compute on a GPU here."""
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what it warns of, `why_unusable` says with a remedy
        return torch.cuda.is_available()


def is_too_old(driver: Driver, built: str) -> bool:
    """Whether a torch built for CUDA `built` needs a newer driver.

    Minor versions run on each other's drivers.
    """
    return driver.cuda is not None and driver.cuda[0] < int(built.split(".")[0])


def why_unusable(driver: Driver) -> tuple[str, str]:
    """Why torch cannot use the GPU of a driver that answers, and the remedy."""
    import torch

    gpu = driver.gpus[0] if len(driver.gpus) == 1 else f"{len(driver.gpus)} GPUs"
    here = f"torch {torch.__version__} cannot use the GPU here ({gpu})"
    built = torch.version.cuda
    if built is None:
        return f"{here}: it was built without CUDA", "install torch with CUDA (pip install --force-reinstall torch)"
    if driver.cuda is not None and is_too_old(driver, built):
        speaks = ".".join(map(str, driver.cuda))
        return (
            f"{here}: it needs CUDA {built}, and the driver {driver.version} is too old for it (CUDA {speaks})",
            f"update the driver, or install a torch for CUDA {driver.cuda[0]}, as `{CUDA_12}` does for CUDA 12",
        )
    return (
        f"{here}, though the driver {driver.version} answers",
        f"look at `python -c 'import torch; torch.zeros(1).cuda()'`; in a container, was the GPU passed in whole? "
        f"a GPU older than the RTX 20 series needs a torch for CUDA 12 (`{CUDA_12}`)",
    )


def announce_gpus(base: str | None, world: int, say: Callable[[str], None]) -> None:
    """Say what a user should know before a run: a GPU that cannot be used, or several where one is meant.

    Args:
        base: folder, file or hub id, looked at before anything is fetched; None: nothing is trained.
        world: processes of the run.
        say: told each sentence.

    Raises:
        TrainError: a large base would be trained on the processor, for weeks, with a GPU idle.
    """
    if is_hidden():
        return
    if gpu_is_usable():
        _announce_several(world, say)
        return
    driver = nvidia_driver()
    if driver is None:
        return
    cause, remedy = why_unusable(driver)
    if base is not None and _weights(base) > LARGE:
        raise TrainError(
            cause,
            f"{base} would be trained on the processor, which takes weeks",
            f"{remedy}; CUDA_VISIBLE_DEVICES= (empty) says that the processor is meant",
        )
    say(f"{cause}; training runs on the processor. To use the GPU: {remedy}")


def _announce_several(world: int, say: Callable[[str], None]) -> None:
    import torch

    count = torch.cuda.device_count()
    if world > 1 or count < 2:
        return
    number = torch.cuda.current_device()
    say(
        f"{count} GPUs are here, and this run takes one: number {number} in CUDA's order, "
        f"{torch.cuda.get_device_name(number)}. CUDA_VISIBLE_DEVICES={(number + 1) % count} takes another, "
        f"`torchrun --nproc-per-node {count} -m recipes train ...` takes all"
    )


def _weights(base: str) -> float:
    """Bytes of the weights of a base on disk; infinite for one that is still to be fetched."""
    path = Path(base).expanduser()
    if path.is_file():
        return path.stat().st_size
    if path.is_dir():
        return sum(file.stat().st_size for file in path.glob("*.safetensors"))
    return float("inf")
