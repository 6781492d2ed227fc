"""What a GPU really does, tried in a process of its own, so that a crash or a hang is a line.

outcomes = try_all("cuda")            # for `mathcoder doctor` and the first hour on a GPU
python -m qlora.probes cuda nf4       # one of them by hand; prints a line of JSON
"""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from qlora.quiet import quiet_libraries

if TYPE_CHECKING:
    from torch import Tensor

SECONDS = 90
"""For one probe, the imports of the first one included; Triton's compiles with a C compiler."""
ROUNDING = 2e-2
"""Relative error that 16-bit products may have against float32: a few roundings of 2^-9."""
RARE = 1e-6
"""Share of NF4 codes that may differ between devices: weights that lie on the border of two codes."""


@dataclass(frozen=True)
class Outcome:
    """What a probe found.

    Attributes:
        name: of the probe.
        state: ok; note: works, with a limitation; bad: broken.
        detail: what was found.
        remedy: what to do where it is not ok.
        figures: numbers behind it, by name.
    """

    name: str
    state: Literal["ok", "note", "bad"]
    detail: str
    remedy: str = ""
    figures: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def try_all(device: str = "cuda", names: Iterable[str] | None = None, *, seconds: int = SECONDS) -> Iterator[Outcome]:
    """Run probes in a child process, each within `seconds`.

    What ends the child is the outcome of the probe it ended in.

    Args:
        device: `cuda`, or `cpu`, which shows that the probes themselves work.
        names: of the probes, default all, in the order of `PROBES`.
        seconds: limit of one probe.
    """
    left = list(PROBES if names is None else names)
    while left:
        outcomes, end = _child(device, left, seconds)
        yield from outcomes
        left = left[len(outcomes) :]
        if left:
            remedy = "Look at the driver's messages (dmesg), and at `nvidia-smi` for other programs on the GPU."
            yield Outcome(left.pop(0), "bad", end, remedy if device == "cuda" else "")


def _child(device: str, names: list[str], seconds: int) -> tuple[list[Outcome], str]:
    """Outcomes in order, as far as the child came, and how it ended."""
    root = str(Path(__file__).resolve().parent.parent)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])}
    child = subprocess.Popen(
        [sys.executable, "-m", "qlora.probes", device, *names, "--seconds", str(seconds)],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
        start_new_session=True,
    )  # fmt: skip
    late = False
    try:
        # The child ends itself in time, unless it hangs in the driver.
        out, err = child.communicate(timeout=seconds * len(names) + 10)
    except subprocess.TimeoutExpired:
        late = True
        os.killpg(child.pid, signal.SIGKILL)
        try:
            out, err = child.communicate(timeout=5)
        except subprocess.TimeoutExpired:
            return [], "the process hangs in the driver and cannot be ended"
    outcomes = [Outcome(**json.loads(line)) for line in out.splitlines() if line.startswith('{"name"')]
    if late or child.returncode == -signal.SIGALRM:
        return outcomes, f"no answer within {seconds} s"
    if child.returncode < 0:
        return outcomes, f"the process died of {signal.Signals(-child.returncode).name}"
    last = (err.strip().splitlines() or ["without a word"])[-1]
    return outcomes, f"the process ended with code {child.returncode}: {last[:200]}"


def main(arguments: list[str]) -> int:
    """Run the named probes here, a line of JSON for each."""
    import argparse

    parser = argparse.ArgumentParser(prog="python -m qlora.probes")
    parser.add_argument("device", choices=["cuda", "cpu"])
    parser.add_argument("names", nargs="+", choices=list(PROBES))
    parser.add_argument("--seconds", type=int, default=SECONDS)
    args = parser.parse_args(arguments)
    for name in args.names:
        signal.alarm(args.seconds)  # whose default ends the process, whatever C code it is in
        try:
            with quiet_libraries():
                outcome = PROBES[name](args.device)
        except Exception as error:  # not narrower: whatever a driver, a kernel or a compiler raises is the outcome
            first = (str(error).strip().splitlines() or [""])[0]
            outcome = Outcome(name, "bad", f"{type(error).__name__}: {first[:200]}", REMEDIES[name])
        signal.alarm(0)
        print(json.dumps(outcome.as_dict()), flush=True)
    return 0


def seen(device: str) -> Outcome:
    """Which GPUs torch sees.

    The state is ok where it sees none, too: whether that is right is not for a probe.
    """
    import torch

    if device == "cpu" or not torch.cuda.is_available():
        return Outcome("seen", "ok", "torch sees no GPU", figures={"names": []})
    names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return Outcome("seen", "ok", ", ".join(names), figures={"names": names})


def memory(device: str) -> Outcome:
    """Compute capability, kernels for it, and the memory that is free once CUDA runs in a process."""
    import torch

    if device == "cpu":
        return Outcome("memory", "note", "no GPU: nothing to look at")
    torch.zeros(1, device=device)
    free, total = torch.cuda.mem_get_info()
    major, minor = torch.cuda.get_device_capability()
    detail = f"compute capability {major}.{minor}; {free / 2**30:.1f} of {total / 2**30:.1f} GiB free once CUDA runs"
    figures = {"capability": [major, minor], "free": free, "total": total}
    if not has_kernels((major, minor), torch.cuda.get_arch_list()):
        built = ", ".join(torch.cuda.get_arch_list())
        return Outcome(
            "memory", "bad", f"{detail}; torch has kernels for {built} alone",
            "Install a torch for an older CUDA (see README.md, Installing), or use another GPU.", figures,
        )  # fmt: skip
    if free < 0.75 * total:
        remedy = "Other programs hold the rest (nvidia-smi lists them); close them, or fewer tokens fit in a pass."
        return Outcome("memory", "note", detail, remedy, figures)
    if major < 8:
        return Outcome("memory", "note", f"{detail}; no bfloat16 below capability 8.0", "", figures)
    return Outcome("memory", "ok", detail, figures=figures)


def has_kernels(capability: tuple[int, int], built: list[str]) -> bool:
    """Whether a torch built for `built` (`sm_86`, `compute_90`) runs on a GPU of `capability`.

    A cubin runs on its own major version from its minor on; PTX (`compute_`) on everything newer.
    """
    for name in built:
        kind, _, digits = name.partition("_")
        digits = digits.rstrip("af")
        if not digits.isdigit():
            continue
        major, minor = int(digits[:-1]), int(digits[-1])
        if kind == "sm" and major == capability[0] and minor <= capability[1]:
            return True
        if kind == "compute" and (major, minor) <= capability:
            return True
    return False


def matmul(device: str) -> Outcome:
    """A 16-bit product of matrices: right, and how fast against the data sheet."""
    import torch

    from qlora.peak import listed, measure

    dtype = _half(device)
    name = str(dtype).removeprefix("torch.")
    random = torch.Generator().manual_seed(0)
    a, b = (torch.randn(size, generator=random).to(dtype) for size in ((256, 4096), (4096, 256)))
    error = _error((a.to(device) @ b.to(device)).float().cpu(), a.float() @ b.float())
    flops = measure(torch.device(device), dtype)
    known = listed(torch.cuda.get_device_name(), dtype) if device == "cuda" else None
    against = f", {flops / known[1]:.0%} of the data sheet of {known[0]}" if known else ""
    figures = {"dtype": name, "error": error, "flops": flops, "data_sheet": known and known[1]}
    detail = f"{name}, error {error:.0e}; {flops / 1e12:.3g} TFLOP/s measured{against}"
    if not error < ROUNDING:
        return Outcome("matmul", "bad", detail, REMEDIES["matmul"], figures)
    if known and flops < 0.5 * known[1]:
        return Outcome("matmul", "note", detail, "Is it busy, hot or limited in power? nvidia-smi says.", figures)
    return Outcome("matmul", "ok", detail, figures=figures)


def nf4(device: str) -> Outcome:
    """NF4 to and from 4 bits, against what the processor makes of the same weights (which `export` uses)."""
    figures = nf4_figures(device)
    detail = (
        f"{figures['differing']:.1e} of the codes differ from the processor's, "
        f"the weights by {figures['error']:.1e}, from the original by {figures['loss']:.0%}"
    )
    if not (figures["error"] < ROUNDING and 0.01 < figures["loss"] < 0.15):
        return Outcome("nf4", "bad", detail, REMEDIES["nf4"], figures)
    if figures["differing"] > RARE:
        remedy = "An export is certified against the processor's codes: please report this line."
        return Outcome("nf4", "note", detail, remedy, figures)
    return Outcome("nf4", "ok", detail, figures=figures)


def nf4_figures(device: str, size: int = 2048) -> dict[str, float]:
    """Share of differing codes; relative difference of the weights, between devices and from the original."""
    import bitsandbytes.functional as functional
    import torch

    weight = (torch.randn(size, size, generator=torch.Generator().manual_seed(0)) * 0.02).to(torch.bfloat16)
    made: dict[str, tuple[Tensor, Tensor]] = {}
    for place in ("cpu", device):
        packed, state = functional.quantize_4bit(
            weight.to(place), blocksize=64, compress_statistics=True, quant_type="nf4"
        )
        made[place] = packed.reshape(-1).cpu(), functional.dequantize_4bit(packed, state).float().cpu()
    (codes, weights), (other, others) = made["cpu"], made[device]
    # A byte holds two codes.
    differing = ((codes ^ other) & 15 != 0).double().mean() / 2 + ((codes ^ other) >> 4 != 0).double().mean() / 2
    return {
        "differing": float(differing),
        "error": _error(others, weights),
        "loss": _error(others, weight.float()),
    }


def attention(device: str) -> Outcome:
    """Scaled dot product attention, causal, forward and backward, against float32 on the processor."""
    import torch
    from torch.nn.functional import scaled_dot_product_attention

    dtype = _half(device)
    random = torch.Generator().manual_seed(0)
    inputs = [torch.randn(1, 4, 256, 64, generator=random).to(dtype) for _ in range(4)]

    def run(place: str, kind: torch.dtype) -> list[Tensor]:
        q, k, v, up = (x.to(place, kind, copy=True) for x in inputs)
        leaves = [x.requires_grad_() for x in (q, k, v)]
        out = scaled_dot_product_attention(q, k, v, is_causal=True)
        out.backward(up)
        return [x.detach().float().cpu() for x in (out, *(leaf.grad for leaf in leaves if leaf.grad is not None))]

    pairs = zip(run(device, dtype), run("cpu", torch.float32), strict=True)
    error = max(_error(found, right) for found, right in pairs)
    kernels = _attention_kernels(device, inputs)
    figures = {"error": error, "kernels": kernels}
    detail = f"forward and backward, error {error:.0e}; kernels: {', '.join(kernels) or 'none named'}"
    if not error < ROUNDING:
        return Outcome("attention", "bad", detail, REMEDIES["attention"], figures)
    if device == "cuda" and not set(kernels) & {"flash", "memory-efficient", "cudnn"}:
        return Outcome("attention", "note", detail, "Only the slow kernel runs: packs cost more memory.", figures)
    return Outcome("attention", "ok", detail, figures=figures)


def _attention_kernels(device: str, inputs: list[Tensor]) -> list[str]:
    """Which of torch's kernels run here."""
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.nn.functional import scaled_dot_product_attention

    names = {
        "flash": SDPBackend.FLASH_ATTENTION, "memory-efficient": SDPBackend.EFFICIENT_ATTENTION,
        "cudnn": SDPBackend.CUDNN_ATTENTION, "math": SDPBackend.MATH,
    }  # fmt: skip
    found = []
    q, k, v = (x.to(device) for x in inputs[:3])
    for name, backend in names.items():
        try:
            with sdpa_kernel(backend):
                scaled_dot_product_attention(q, k, v, is_causal=True)
            found.append(name)
        except RuntimeError:  # "No available kernel": not on this device
            continue
    return found


def triton(device: str) -> Outcome:
    """Try a kernel of Triton's, which unsloth is made of: its C compiler, Python.h, and one product."""
    from importlib.util import find_spec

    if find_spec("triton") is None:
        return Outcome("triton", "note", "not installed: unsloth needs it, backend peft does not")
    lacking = triton_needs()
    if lacking:
        remedy = "Only unsloth needs them. Ubuntu: sudo apt install gcc python3-dev (Fedora: gcc python3-devel)."
        return Outcome("triton", "note", f"cannot compile here: no {' and no '.join(lacking)}", remedy)
    import torch

    from qlora.probe_kernel import double

    x = torch.arange(128, dtype=torch.float32, device=device)
    y = torch.zeros_like(x)
    double[(1,)](x, y, SIZE=128)
    if not torch.equal(y, 2 * x):
        return Outcome("triton", "bad", "its kernel gives wrong numbers", REMEDIES["triton"])
    return Outcome("triton", "ok", "a kernel was compiled and gives the right numbers")


def triton_needs() -> list[str]:
    """What Triton compiles its launcher with and is not here."""
    compiler = os.environ.get("CC") or next((name for name in ("clang", "gcc", "cc") if shutil.which(name)), "")
    lacking = [] if compiler and shutil.which(compiler) else ["C compiler"]
    header = Path(sysconfig.get_paths()["include"]) / "Python.h"
    return lacking if header.is_file() else [*lacking, f"Python.h ({header})"]


def _half(device: str) -> Any:
    """The 16-bit type that this GPU's tensor cores have."""
    import torch

    if device == "cuda" and torch.cuda.get_device_capability() < (8, 0):
        return torch.float16
    return torch.bfloat16


def _error(found: Tensor, right: Tensor) -> float:
    """Relative error in the Frobenius norm; infinite where a number is none."""
    error = float((found.double() - right.double()).norm() / right.double().norm())
    return error if math.isfinite(error) else math.inf


PROBES: dict[str, Callable[[str], Outcome]] = {
    "seen": seen,
    "memory": memory,
    "matmul": matmul,
    "nf4": nf4,
    "attention": attention,
    "triton": triton,
}
_WRONG = "Training on this GPU would learn from wrong numbers: update the driver; CUDA_VISIBLE_DEVICES= trains without."
REMEDIES = {
    "seen": "Does `nvidia-smi` answer? Update the driver, or start the machine again.",
    "memory": "Is another program using the GPU in exclusive mode? `nvidia-smi` says; update the driver.",
    "matmul": _WRONG,
    "nf4": f"pip install 'mathcoder-toolkit[train]' brings the bitsandbytes that was tested. {_WRONG}",
    "attention": f"train.attention=eager computes it another way. {_WRONG}",
    "triton": "Only unsloth needs it: train.backend=peft.",
}
"""What to do where a probe fails."""

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
