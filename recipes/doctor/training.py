"""What training needs: the packages, the GPU tried in a process of its own, the GGUF converter."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec

from recipes.doctor.finding import Finding, State, package
from recipes.doctor.machine import is_wsl

AREA = "training"
TRAINING = ("torch", "transformers", "peft", "bitsandbytes", "datasets", "accelerate", "sentencepiece", "safetensors")
PROBED = {
    "memory": "GPU memory",
    "matmul": "GPU products",
    "nf4": "GPU NF4",
    "attention": "GPU attention",
    "triton": "Triton",
}
"""Probes of `qlora.probes`, and the lines they become."""


def training() -> Iterator[Finding]:
    """Packages, GPU, converter."""
    if find_spec("torch") is None:
        detail = "not installed: this machine can solve, not train"
        yield Finding(AREA, "torch", "note", detail, "pip install 'mathcoder-toolkit[train]'")
        return
    for name in TRAINING:
        yield package(AREA, name, needed=True, extra="train")
    yield from _gpu()
    yield package(AREA, "unsloth", needed=False, extra="gpu")
    from export.gguf.llamacpp import is_at_hand

    if is_at_hand():
        yield Finding(AREA, "GGUF converter", "ok", "in the cache")
    else:
        remedy = "The first export fetches it; without a network, point `mathcoder export --llama-cpp` at a copy."
        yield Finding(AREA, "GGUF converter", "note", "not fetched yet", remedy)


def _gpu() -> Iterator[Finding]:
    """Driver, GPU, and what it really does. Nothing of CUDA runs in this process: it might not come back."""
    import torch

    from qlora import devices, probes

    driver = devices.nvidia_driver()
    if driver is not None:
        speaks = "unknown" if driver.cuda is None else ".".join(map(str, driver.cuda))
        detail = f"{driver.version}, CUDA {speaks}; torch {torch.__version__} is built for CUDA {torch.version.cuda}"
        fits = torch.version.cuda is not None and not devices.is_too_old(driver, torch.version.cuda)
        yield Finding(AREA, "GPU driver", "ok" if fits else "note", detail)
    elif devices.cuda_of_driver() is None and torch.version.hip is None:
        remedy = "The nano recipe trains here; for a 1.5B model or larger, use a machine with an NVIDIA GPU."
        yield Finding(AREA, "GPU", "note", "none: training runs on the processor", remedy)
        return
    if devices.is_hidden():
        remedy = "Unset the variable to train on the GPU."
        yield Finding(AREA, "GPU", "note", "hidden by CUDA_VISIBLE_DEVICES: training runs on the processor", remedy)
        return
    (seen,) = probes.try_all("cuda", ["seen"])
    names = seen.figures.get("names", [])
    if seen.state == "bad":
        yield Finding(AREA, "GPU", "bad", f"CUDA does not start: {seen.detail}", seen.remedy)
    elif names:
        yield from _tried(names)
    elif driver is not None:
        cause, remedy = devices.why_unusable(driver)
        yield Finding(AREA, "GPU", "note", f"{cause}; training runs on the processor", f"{remedy}.")
    else:
        yield Finding(AREA, "GPU", "note", "none that torch can use: training runs on the processor")


def _tried(names: list[str]) -> Iterator[Finding]:
    from qlora import probes

    remedy = "CUDA_VISIBLE_DEVICES=1 takes the second; `mathcoder train --help` says how to use all."
    for number, name in enumerate(names):
        used = number == 0
        detail = f"{name}; training uses it" if used else f"{name}; not used by a run of one process"
        yield Finding(AREA, f"GPU {number}", "ok" if used else "note", detail, "" if used else remedy)
    for outcome in probes.try_all("cuda", PROBED):
        # Only unsloth needs Triton, and the backend that is taken by default needs neither.
        state: State = "note" if outcome.name == "triton" and outcome.state == "bad" else outcome.state
        yield Finding(AREA, PROBED[outcome.name], state, outcome.detail, outcome.remedy)
    if is_wsl():
        detail = "where memory runs out, Windows' driver goes on in the memory of the host, many times slower"
        yield Finding(AREA, "GPU under WSL2", "note", detail, "Keep to what `mathcoder plan` says fits.")
