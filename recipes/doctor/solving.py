"""What solving needs: llama.cpp and its features, the packaged model, the layers of the sandbox."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

from recipes.doctor.finding import KNOWN_GOOD, Finding, package
from runtime.solver.libraries import OPTIONAL, PLOTS

RUNTIME = ("llama-cpp-python", "pydantic", "rich", "prompt_toolkit", "ipython", "sympy")


def solving() -> Iterator[Finding]:
    """Packages, llama.cpp, the nano model."""
    area = "solving"
    for name in RUNTIME:
        yield package(area, name, needed=True, extra="")
    yield plots()
    if find_spec("llama_cpp") is not None:
        yield from _llama()
    from recipes.places import PACKAGED_MODEL

    if PACKAGED_MODEL.is_file():
        yield Finding(area, "nano model", "ok", f"packaged, {PACKAGED_MODEL.stat().st_size / 1e6:.1f} MB")
    else:
        yield Finding(area, "nano model", "note", "not in this installation", "`mathcoder demo` makes one.")


def plots() -> Finding:
    """What cells can import beyond numpy and sympy."""
    absent = [name for name in OPTIONAL if find_spec(name) is None]
    if not absent:
        return Finding("solving", "figures, tables", "ok", f"{', '.join(OPTIONAL)} can be imported by cells")
    detail = f"{', '.join(absent)} not installed: code of the model that imports it fails"
    return Finding("solving", "figures, tables", "note", detail, f"pip install '{PLOTS}'")


def _llama() -> Iterator[Finding]:
    from runtime.engine.llama.library import build_facts

    facts: dict[str, Any] = build_facts()
    features = [part.strip() for part in str(facts["system_info"]).split("|") if "= 1" in part]
    names = ", ".join(part.split("=")[0].split(":")[-1].strip() for part in features)
    yield Finding("solving", "llama.cpp features", "ok", names or str(facts["system_info"]))
    if facts["gpu_offload"]:
        yield Finding("solving", "GPU offload", "ok", "built in; use --gpu-layers -1")
    elif shutil.which("nvidia-smi"):
        yield Finding("solving", "GPU offload", "note", "there is a GPU, but llama.cpp was built without", _build())
    else:
        yield Finding("solving", "GPU offload", "ok", "not built in, and no GPU to use it")


def _build() -> str:
    """How llama.cpp is built for the GPU here; README.md has the same command."""
    package = f"llama-cpp-python=={KNOWN_GOOD['llama-cpp-python']}"
    flags = "-DGGML_CUDA=on -DCMAKE_CUDA_ARCHITECTURES=native"
    command = f'CMAKE_ARGS="{flags}" pip install --force-reinstall --no-deps --no-cache-dir {package}'
    if shutil.which("nvcc") is None:
        toolkit = "First install the CUDA toolkit (nvcc is not here; an RTX 50 needs 12.8 or newer). Then build it: "
        return toolkit + command
    return f"Build it: {command}"


def sandbox() -> Iterator[Finding]:
    """The isolation in force, layer by layer, and a cell in it."""
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
    with Sandbox() as session:
        result = session.run("import sympy; sympy.factorial(12) / sympy.factorial(10)")
    right = result.output == "132"
    yield Finding(
        area,
        "a cell",
        "ok" if right else "bad",
        f"12!/10! = {result.output[:60]!r} in {result.seconds * 1000:.0f} ms",
        "" if right else "132 was expected; report this with the output of `mathcoder doctor --json`.",
    )
