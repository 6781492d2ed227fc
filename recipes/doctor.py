"""What is on this machine and whether it will do: one finding a line, each with its remedy."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from runtime.errors import MathCoderError
from runtime.files import cache_folder

State = Literal["ok", "note", "bad"]

KNOWN_GOOD = {
    "llama-cpp-python": "0.3.36",
    "torch": "2.13.0",
    "transformers": "5.17.0",
    "peft": "0.21.2",
    "bitsandbytes": "0.50.2",
    "datasets": "4.8.5",
    "unsloth": "2026.10.9",
    "unsloth_zoo": "2026.10.9",
}
"""Versions that were tested together; the constraints files pin the same."""
RUNTIME = ("llama-cpp-python", "pydantic", "rich", "prompt_toolkit", "ipython", "sympy", "math-verify")
TRAINING = ("torch", "transformers", "peft", "bitsandbytes", "datasets", "accelerate", "sentencepiece", "safetensors")
GIGABYTE = 1024**3


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Attributes:
        area: the heading it stands under.
        name: what was looked at.
        state: ok; note: works, with a limitation; bad: broken.
        detail: what was found.
        remedy: what to do where it is not ok.
    """

    area: str
    name: str
    state: State
    detail: str
    remedy: str = ""

    def as_dict(self) -> dict[str, str]:
        """For `--json`."""
        return asdict(self)


def examine() -> Iterator[Finding]:
    """Every finding. Nothing here raises: a check that fails becomes a finding itself."""
    parts: list[tuple[str, Callable[[], Iterator[Finding]]]] = [
        ("machine", _machine),
        ("solving", _solving),
        ("sandbox", _sandbox),
        ("training", _training),
        ("files", _files),
    ]
    for area, part in parts:
        try:
            yield from part()
        except Exception as error:
            detail = f"the check itself failed: {type(error).__name__}: {error}"
            yield Finding(area, "check", "bad", detail, "Report this with the output of `mathcoder doctor --json`.")


def _machine() -> Iterator[Finding]:
    from recipes.cli.places import tilde

    area = "machine"
    system = f"{platform.system()} {platform.release()}, {platform.machine()}"
    if sys.platform == "win32":
        yield Finding(area, "system", "bad", system, "Use WSL2: the sandbox needs a Linux kernel.")
    else:
        yield Finding(area, "system", "ok", system)
    supported = sys.version_info >= (3, 11)
    yield Finding(
        area,
        "Python",
        "ok" if supported else "bad",
        f"{platform.python_version()} at {tilde(Path(sys.executable))}",
        "" if supported else "Python 3.11 or newer is needed.",
    )
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    yield Finding(area, "processor", "ok", f"{cores} core{'s' if cores != 1 else ''} for this process")
    memory = memory_bytes()
    if memory is not None:
        total, free = (value / GIGABYTE for value in memory)
        enough = free >= 2
        yield Finding(
            area,
            "memory",
            "ok" if enough else "note",
            f"{free:.1f} of {total:.1f} GiB free",
            "" if enough else "Models of more than about 1 GB will not fit; close other programs.",
        )


def memory_bytes() -> tuple[int, int] | None:
    """(total, available) memory in bytes; None where the system does not tell."""
    try:
        text = Path("/proc/meminfo").read_text(encoding="ascii")
        values = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in text.splitlines() if ":" in line}
        return values["MemTotal"], values["MemAvailable"]
    except (OSError, KeyError, ValueError, IndexError):
        return None


def _solving() -> Iterator[Finding]:
    area = "solving"
    for package in RUNTIME:
        yield _package(area, package, needed=True, extra="")
    if find_spec("llama_cpp") is not None:
        yield from _llama()
    from recipes.cli.places import PACKAGED_MODEL

    if PACKAGED_MODEL.is_file():
        yield Finding(area, "nano model", "ok", f"packaged, {PACKAGED_MODEL.stat().st_size / 1e6:.1f} MB")
    else:
        yield Finding(area, "nano model", "note", "not in this installation", "`mathcoder demo` makes one.")


def _llama() -> Iterator[Finding]:
    from runtime.engine.llama.library import build_facts

    facts: dict[str, Any] = build_facts()
    features = [part.strip() for part in str(facts["system_info"]).split("|") if "= 1" in part]
    names = ", ".join(part.split("=")[0].split(":")[-1].strip() for part in features)
    yield Finding("solving", "llama.cpp features", "ok", names or str(facts["system_info"]))
    if facts["gpu_offload"]:
        yield Finding("solving", "GPU offload", "ok", "built in; use --gpu-layers -1")
    elif shutil.which("nvidia-smi"):
        package = f"llama-cpp-python=={KNOWN_GOOD['llama-cpp-python']}"
        remedy = f'Build it: CMAKE_ARGS="-DGGML_CUDA=on" pip install --force-reinstall --no-cache-dir {package}'
        yield Finding("solving", "GPU offload", "note", "there is a GPU, but llama.cpp was built without", remedy)
    else:
        yield Finding("solving", "GPU offload", "ok", "not built in, and no GPU to use it")


def _sandbox() -> Iterator[Finding]:
    from runtime.sandbox import Sandbox, probe

    area = "sandbox"
    report = probe()
    remedy = " ".join(report.remedies)
    if report.tier is None:
        for tier, reason in report.failures:
            yield Finding(area, tier, "note", reason)
        yield Finding(area, "isolation", "bad", report.title, remedy or "Code cannot be run here.")
        return
    weaker = report.tier not in ("namespaces", "bubblewrap")
    yield Finding(area, "isolation", "note" if weaker else "ok", report.title, remedy if weaker else "")
    for layer in report.layers:
        yield Finding(area, layer.name, "ok" if layer.active else "note", layer.detail)
    yield Finding(area, "not blocked", "ok", "\n".join(f"- {item}" for item in report.not_blocked))
    with Sandbox() as sandbox:
        result = sandbox.run("import sympy; sympy.factorial(12) / sympy.factorial(10)")
    right = result.output == "132"
    yield Finding(
        area,
        "a cell",
        "ok" if right else "bad",
        f"12!/10! = {result.output[:60]!r} in {result.seconds * 1000:.0f} ms",
        "" if right else "132 was expected; report this with the output of `mathcoder doctor --json`.",
    )


def _training() -> Iterator[Finding]:
    area = "training"
    if find_spec("torch") is None:
        yield Finding(
            area,
            "torch",
            "note",
            "not installed: this machine can solve, not train",
            "pip install 'mathcoder-toolkit[train]'",
        )
        return
    for package in TRAINING:
        yield _package(area, package, needed=True, extra="train")
    yield from _gpu()
    unsloth = _package(area, "unsloth", needed=False, extra="gpu")
    yield unsloth
    from export.gguf.llamacpp import is_at_hand

    if is_at_hand():
        yield Finding(area, "GGUF converter", "ok", "in the cache")
    else:
        remedy = "The first export fetches it; without a network, point `mathcoder export --llama-cpp` at a copy."
        yield Finding(area, "GGUF converter", "note", "not fetched yet", remedy)


def _gpu() -> Iterator[Finding]:
    import torch

    area = "training"
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            free, total = torch.cuda.mem_get_info(index)
            name = torch.cuda.get_device_name(index)
            yield Finding(
                area, f"GPU {index}", "ok", f"{name}, {free / GIGABYTE:.1f} of {total / GIGABYTE:.1f} GiB free"
            )
        yield Finding(area, "CUDA", "ok", str(torch.version.cuda))
        return
    if shutil.which("nvidia-smi"):
        remedy = "Install torch with CUDA (pip install torch) and check the driver with nvidia-smi."
        yield Finding(area, "GPU", "note", f"there is one, but torch {torch.__version__} cannot use it", remedy)
    else:
        remedy = "The nano recipe trains here; for a 1.5B model or larger, use a machine with an NVIDIA GPU."
        yield Finding(area, "GPU", "note", "none: training runs on the processor", remedy)


def _package(area: str, package: str, *, needed: bool, extra: str) -> Finding:
    target = f"mathcoder-toolkit[{extra}]" if extra else "mathcoder-toolkit"
    try:
        found = version(package)
    except PackageNotFoundError:
        state: State = "bad" if needed else "note"
        return Finding(area, package, state, "not installed", f"pip install '{target}'")
    known = KNOWN_GOOD.get(package)
    if known is None or found.split("+")[0] == known:
        return Finding(area, package, "ok", found)
    return Finding(area, package, "note", f"{found}; tested with {known}", f"pip install '{package}=={known}'")


def _files() -> Iterator[Finding]:
    from recipes.cli.places import settings_file, state_folder, tilde
    from recipes.cli.preferences import gather, preferences

    area = "files"
    for name, folder in (("working folder", Path.cwd()), ("cache", cache_folder())):
        existing = next(path for path in (folder, *folder.parents) if path.exists())
        free = shutil.disk_usage(existing).free / GIGABYTE
        writable = os.access(existing, os.W_OK)
        detail = f"{tilde(folder)}: {free:.1f} GiB free" + ("" if writable else ", not writable")
        state: State = "ok" if writable and free >= 1 else "note"
        remedy = "" if state == "ok" else "Free some space, or set MATHCODER_CACHE to another folder."
        yield Finding(area, name, state, detail, remedy)
    yield Finding(area, "chats", "ok", tilde(state_folder() / "chats"))
    try:
        preferences()
        _, origins = gather()
    except MathCoderError as error:
        yield Finding(area, "settings", "bad", str(error), f"Correct {tilde(settings_file())} or the variable.")
        return
    told = ", ".join(f"{key} from {origin}" for key, origin in origins.items())
    yield Finding(area, "settings", "ok", told or f"none ({tilde(settings_file())} would be read)")
