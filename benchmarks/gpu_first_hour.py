"""The first hour on a GPU: does every part of the GPU path do what the processor does?

One line each, one file to send.

    python benchmarks/gpu_first_hour.py                      everything, in order; at most 8 minutes a part
    python benchmarks/gpu_first_hour.py --part gradients     one part
    python benchmarks/gpu_first_hour.py --paged              optimizers with paged state too: on a machine of your own

The file is benchmarks/results/gpu_first_hour.json (`--json FILE`), written anew after every part, so that an hour that
is cut off keeps what it has. Without a GPU it says so. `--device cpu` runs on the processor what can be tried there,
which shows that the script works and nothing else. Every part computes in processes of their own.

Parts: `doctor` (what `mathcoder doctor` tries), `nf4` (4-bit codes against the processor's), `gradients` (a tiny base:
CUDA in float32 and in 16 bits against the processor in float32), `isolation` (rows of a pack do not see each other, on
both backends), `rows` (the eight token rows move), `resume` (5 + 5 steps are 10), `memory` (what happens when memory
runs out), `plan-1.5b` and `plan-7b` (`mathcoder plan` against what is allocated), `speed-1.5b` and `speed-7b`
(benchmarks/qlora_gpu.py). The 7B shape needs 14 GB of disk in the temporary folder.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from figures import ROOT, Figures, add_json_argument
from gpu_sides import one_side

sys.path.insert(0, str(ROOT / "tests" / "qlora"))

PART_SECONDS = 480
BASE_SEED = 0


def main() -> int:
    """Run the parts, one after the other, each in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", nargs="*", choices=list(PARTS), help="only these")
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--paged", action="store_true", help="`resume` with paged optimizers too")
    parser.add_argument("--run", choices=list(PARTS), help=argparse.SUPPRESS)
    parser.add_argument("--side", help=argparse.SUPPRESS)
    add_json_argument(parser, "gpu_first_hour")
    args = parser.parse_args()
    if args.side:
        return one_side(json.loads(args.side))
    if args.run:
        return run_here(args)
    return run_all(args)


def run_all(args: argparse.Namespace) -> int:
    """Each part in a child; the figures of all of them go into one file."""
    import torch

    from qlora import devices

    if args.device == "cuda" and not devices.gpu_is_usable():
        driver = devices.nvidia_driver()
        reason = "there is no GPU here" if driver is None else ". ".join(devices.why_unusable(driver))
        print(f"gpu_first_hour: not run: {reason}. `--device cpu` tries the script on the processor")
        return 0
    figures = Figures("gpu_first_hour", device=args.device, paged=args.paged)
    figures.details["facts"] = facts(args.device)
    figures.details["parts"] = {}
    # A trial on the processor goes into no file unless one is named.
    named = args.device == "cuda" or args.json != parser_default()
    print(f"torch {torch.__version__}, {figures.details['facts'].get('gpu', 'processor')}", flush=True)
    for part in args.part or [name for name in PARTS if args.device == "cuda" or name in ON_CPU]:
        began = time.monotonic()
        told = child_part(part, args)
        seconds = round(time.monotonic() - began, 1)
        figures.details["parts"][part] = {"seconds": seconds, **told.get("details", {})}
        for name, value, bounds in told.get("figures", []):
            figures.add(f"{part}: {name}", value, **bounds)
        figures.count(f"{part}: came to its end", int("error" not in told), 1)
        if "error" in told:
            print(f"{part}: {told['error']}", flush=True)
            figures.details["parts"][part]["error"] = told["error"]
        if named:
            figures.finish(args.json)
    if named:
        print(f"all of it stands in {args.json}")
        return 0 if figures.met else 1
    return figures.finish(None)


def parser_default() -> Path:
    """Where the figures of a GPU go."""
    return ROOT / "benchmarks" / "results" / "gpu_first_hour.json"


def facts(device: str) -> dict[str, Any]:
    """What the figures were taken on."""
    import torch

    from qlora import devices
    from qlora.runfolder import versions

    found: dict[str, Any] = {"versions": versions(), "torch_cuda": torch.version.cuda}
    if device == "cuda":
        driver = devices.nvidia_driver()
        found |= {
            "gpu": torch.cuda.get_device_name(),
            "gpus": torch.cuda.device_count(),
            "capability": list(torch.cuda.get_device_capability()),
            "memory": torch.cuda.get_device_properties(0).total_memory,
            "driver": driver and driver.version,
            "driver_cuda": driver and driver.cuda,
        }
    return found


def child_part(part: str, args: argparse.Namespace) -> dict[str, Any]:
    """A part in a process of its own: what it tells, or how it ended."""
    command = [
        sys.executable,
        sys.argv[0],
        "--run",
        part,
        "--device",
        args.device,
        *(["--paged"] if args.paged else []),
    ]
    with tempfile.TemporaryFile("w+") as errors:
        child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, start_new_session=True)
        try:
            out, _ = child.communicate(timeout=PART_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            child.communicate()
            return {"error": f"took more than {PART_SECONDS} s"}
        errors.seek(0)
        last = errors.read()[-1500:]
    lines = out.splitlines()
    if child.returncode != 0 or not lines:
        return {"error": f"ended with code {child.returncode}: {last}"}
    told: dict[str, Any] = json.loads(lines[-1])
    return told


class Part:
    """What a part finds: figures with bounds, and details for the file."""

    def __init__(self, device: str, folder: Path, *, paged: bool) -> None:
        self.device, self.folder, self.paged = device, folder, paged
        self.figures: list[tuple[str, float, dict[str, Any]]] = []
        self.details: dict[str, Any] = {}

    def add(self, name: str, value: float, **bounds: Any) -> None:
        """A figure, as `Figures.add` takes it."""
        self.figures.append((name, value, bounds))

    def side(self, do: str, *, device: str | None = None, **spec: Any) -> dict[str, Any]:
        """One computation in a process of its own, on this part's device or on the processor.

        Raises:
            RuntimeError: it failed; the end of what it said.
        """
        environment = dict(os.environ)
        if (device or self.device) == "cpu":
            # One thread: what is computed here is small, and threads that wait for each other are slower.
            environment |= {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
        call = json.dumps({"do": do, "folder": str(self.folder), **spec})
        done = subprocess.run(
            [sys.executable, __file__, "--side", call], capture_output=True, text=True, env=environment, check=False
        )
        if done.returncode != 0:
            raise RuntimeError(f"{do} {spec}: code {done.returncode}: {done.stderr[-1200:]}")
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return found


def run_here(args: argparse.Namespace) -> int:
    """One part; a line of JSON at the end."""
    with tempfile.TemporaryDirectory() as scratch:
        part = Part(args.device, Path(scratch), paged=args.paged)
        told: dict[str, Any] = {}
        try:
            PARTS[args.run](part)
        except RuntimeError as error:
            told["error"] = str(error)
        print("\n" + json.dumps({"figures": part.figures, "details": part.details, **told}))
    return 0


# The parts


def doctor(part: Part) -> None:
    """What `mathcoder doctor` tries."""
    from qlora.probes import PROBES, try_all

    outcomes = list(try_all(part.device))
    part.details["outcomes"] = [outcome.as_dict() for outcome in outcomes]
    for outcome in outcomes:
        print(f"doctor, {outcome.name}: {outcome.state}: {outcome.detail}", file=sys.stderr)
        # Triton is for unsloth alone.
        bound = {} if outcome.name == "triton" else {"at_least": 1}
        part.add(f"{outcome.name} ({outcome.detail})", int(outcome.state != "bad"), **bound)
    assert len(outcomes) == len(PROBES)


def nf4(part: Part) -> None:
    """Packed codes and weights of a layer, GPU against processor: `export` quantizes on the processor."""
    from qlora.probes import RARE, nf4_figures

    found = nf4_figures(part.device, 4096)
    part.details |= found
    part.add("codes that differ from the processor's", found["differing"], at_most=RARE)
    part.add("difference of the weights", found["error"], at_most=1e-4)


def gradients(part: Part) -> None:
    """Loss and gradient of eight rows on a tiny base, against the processor in float32."""
    tiny(part.folder)
    plain = {"quantize": False, "compute_dtype": "float32"}
    right = part.side("gradient", device="cpu", train=plain, out="right.pt")
    for name, train, bound in (
        ("float32", plain, 1e-5),
        ("float32 with checkpointing", {**plain, "gradient_checkpointing": True}, 1e-5),
        ("NF4, float32", {"compute_dtype": "float32"}, 1e-4),
        ("bfloat16", {"quantize": False, "compute_dtype": "bfloat16"}, 2e-2),
    ):
        against = right
        if name.startswith("NF4"):
            against = part.side("gradient", device="cpu", train=train, out="nf4.pt")
        found = part.side("gradient", train=train, out="found.pt")
        loss = abs(found["loss"] - against["loss"]) / against["loss"]
        part.add(f"{name}: relative difference of the loss", loss, at_most=bound)
        part.add(f"{name}: relative difference of the gradient", apart(found["file"], against["file"]), at_most=bound)


def isolation(part: Part) -> None:
    """A row's token losses alone and in a pack; and, not by luck, in a pack without walls."""
    tiny(part.folder)
    for backend in backends(part):
        # unsloth's kernels are made for 16 bits.
        exact = backend == "peft" or part.device == "cpu"
        train = {"quantize": False, "compute_dtype": "float32" if exact else "bfloat16"}
        found = part.side("isolation", train=train, backend=backend)
        bound = 1e-4 if exact else 3e-2
        part.add(f"{backend}: a row in a pack against alone, largest difference", found["packed"], at_most=bound)
        part.add(f"{backend}: the same without walls", found["open"], at_least=10 * bound)


def rows(part: Part) -> None:
    """After a step each of the eight token rows has moved, at both ends, and nothing else of the ends."""
    tiny(part.folder)
    for backend in backends(part):
        found = part.side("moved", train={}, backend=backend)
        part.details[backend] = found
        for end in ("embedding", "head"):
            part.add(f"{backend}: rows of the {end} that moved", found[end], at_least=8, at_most=8)
        part.add(f"{backend}: adapter parameters that moved", found["adapter"], at_least=found["of"])


def resume(part: Part) -> None:
    """10 steps at once, and 5 steps, a stop and 5 steps: the same losses and the same adapter."""
    tiny(part.folder)
    optimizers = ["adamw"]
    if part.device == "cuda":
        optimizers += ["adamw_8bit", *(["paged_adamw_8bit", "paged_adamw_32bit"] if part.paged else [])]
        if not part.paged:
            part.details["left out"] = "paged optimizers; --paged, where nobody else uses the GPU"
    for optimizer in optimizers:
        whole = part.side("run", train={"optimizer": optimizer}, out=f"whole-{optimizer}")
        cut = part.side("run", train={"optimizer": optimizer}, out=f"cut-{optimizer}", stop=5)
        assert cut["stopped"] == 5, cut
        cut = part.side("run", train={"optimizer": optimizer}, out=f"cut-{optimizer}")
        # On a processor bit for bit. On a GPU some sums have no fixed order, and 8-bit states round what they get.
        bound = 0.0 if part.device == "cpu" else 1e-3 if optimizer == "adamw" else 2e-2
        worst = max(abs(a - b) / a for a, b in zip(whole["losses"], cut["losses"], strict=True))
        part.details[optimizer] = {"whole": whole["losses"], "cut": cut["losses"]}
        part.add(f"{optimizer}: steps", len(cut["losses"]), at_least=10, at_most=10)
        part.add(f"{optimizer}: losses after the stop, relative difference", worst, at_most=bound)
        part.add(f"{optimizer}: loss of the last step against the first", cut["losses"][-1] / cut["losses"][0], below=1)


def memory(part: Part) -> None:
    """With less memory than the run would take, it goes on in smaller passes and computes the same."""
    sizes = {"hidden_size": 1024, "intermediate_size": 2816, "num_hidden_layers": 8, "num_attention_heads": 16}
    tiny(part.folder, **(sizes if part.device == "cuda" else {}))
    train = {"micro_tokens": 16_384, "batch_rows": 256, "max_steps": 3, "gradient_checkpointing": False}
    free = part.side("run", train=train, out="free", rows=512)
    limit = {"fraction_of": 0.6 * free["allocated"]} if part.device == "cuda" else {"pretend_tokens": 4000}
    tight = part.side("run", train=train, out="tight", rows=512, **limit)
    part.details |= {"free": free, "tight": tight}
    worst = max(abs(a - b) / a for a, b in zip(free["losses"], tight["losses"], strict=True))
    part.add("losses with 60 % of the memory, relative difference", worst, at_most=1e-3)
    if part.device == "cuda":
        part.add("memory taken against without a limit", tight["allocated"] / free["allocated"], at_most=0.61)
    else:
        part.add("tokens of a pass, once memory ran out", tight["micro_tokens"], below=16_384)


def plan_of(shape: str) -> Callable[[Part], None]:
    """`mathcoder plan` against the bytes that a step allocates, for a shape of benchmarks/qlora_gpu.py."""

    def run(part: Part) -> None:
        from random_bases import SHAPES, write_base, write_rows

        name = shape if part.device == "cuda" else "tiny"
        write_base(part.folder / "base", SHAPES[name])
        write_rows(part.folder / "rows.jsonl", 96, small=name == "tiny")
        train = {"max_steps": 2, "batch_rows": 32, "micro_tokens": 4096, "context": 2048}
        found = part.side("plan", train=train)
        part.details |= found
        bounds = {"at_least": 0.9, "at_most": 1.1} if part.device == "cuda" else {}
        part.add("planned against allocated", found["planned"] / found["allocated"], **bounds)

    return run


def speed_of(shape: str) -> Callable[[Part], None]:
    """benchmarks/qlora_gpu.py on one shape."""

    def run(part: Part) -> None:
        out = part.folder / "speed.json"
        command = [sys.executable, str(ROOT / "benchmarks" / "qlora_gpu.py"), "--shape", shape, "--limit", "95"]
        done = subprocess.run([*command, "--json", str(out)], capture_output=True, text=True, check=False)
        if not out.is_file():
            raise RuntimeError(f"qlora_gpu.py: code {done.returncode}: {done.stdout[-800:]} {done.stderr[-800:]}")
        found = json.loads(out.read_text())
        part.details |= found
        for name, figure in found["figures"].items():
            bounds = {key: figure[key] for key in ("at_least", "at_most", "above", "below") if key in figure}
            part.add(name, figure["value"], **bounds)

    return run


PARTS: dict[str, Callable[[Part], None]] = {
    "doctor": doctor,
    "nf4": nf4,
    "gradients": gradients,
    "isolation": isolation,
    "rows": rows,
    "resume": resume,
    "memory": memory,
    "plan-1.5b": plan_of("qwen2-1.5b"),
    "plan-7b": plan_of("llama-7b"),
    "speed-1.5b": speed_of("qwen2-1.5b"),
    "speed-7b": speed_of("llama-7b"),
}
"""In the order in which a GPU that is new to the project should be tried."""
ON_CPU = ("doctor", "nf4", "gradients", "isolation", "rows", "resume", "memory", "plan-1.5b")
"""What `--device cpu` can try."""


def tiny(folder: Path, **over: Any) -> None:
    """A small random base and rows."""
    from factory import make_base, sum_rows, write_jsonl

    make_base(folder / "base", seed=BASE_SEED, **over)
    write_jsonl(folder / "rows.jsonl", sum_rows(512))


def backends(part: Part) -> list[str]:
    """The backends to try: unsloth has kernels for a GPU alone."""
    return ["peft", *(["unsloth"] if part.device == "cuda" and find_spec("unsloth") else [])]


def apart(found: str, right: str) -> float:
    """Relative difference of two gradients, over all parameters together."""
    import torch

    one, other = (torch.load(file, weights_only=True) for file in (found, right))
    assert one.keys() == other.keys()
    difference = sum(float((one[name] - other[name]).double().square().sum()) for name in one)
    return float((difference / sum(float(value.double().square().sum()) for value in other.values())) ** 0.5)


if __name__ == "__main__":
    sys.exit(main())
