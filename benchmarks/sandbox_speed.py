"""What does the boundary cost? The sandbox and a Jupyter kernel, side by side in one run.

    python benchmarks/sandbox_speed.py [--cells 200] [--starts 5] [--tier TIER] [--json FILE]

Three ratios, each of medians, the two sides taken in turns so that a busy machine is busy for both:

- cell: round trip of `x = x + 1; x` in a session with a snapshot before each cell, against jupyter_client with
  ipykernel, which has none (2 times faster promised);
- session: from nothing to the first cell's answer, out of a running zygote, against a fresh kernel (20 times faster);
- start: from nothing to a zygote that is ready, against a plain Python that imports the same (at most 1.2 times as
  long).

Exit code 1 where a promise is broken.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from jupyter_client.manager import start_new_kernel  # noqa: E402

from benchmarks.figures import Figures, add_json_argument  # noqa: E402
from runtime.sandbox import Limits, Sandbox, host  # noqa: E402
from runtime.sandbox.host import launchers  # noqa: E402

PLAIN = (
    "import numpy, sympy; from IPython.core.interactiveshell import InteractiveShell; InteractiveShell.instance();"
    "print(1, flush=True)"
)
CELL = "x = x + 1; x"


def timed(action: Callable[[], Any]) -> float:
    """Seconds an action takes."""
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def execute(client: Any, code: str) -> None:
    """One cell in the kernel: until its reply and its last output are here."""
    identifier = client.execute(code)
    while client.get_shell_msg(timeout=60)["parent_header"].get("msg_id") != identifier:
        pass
    while True:
        message = client.get_iopub_msg(timeout=60)
        if message["parent_header"].get("msg_id") == identifier and message["content"].get("execution_state") == "idle":
            return


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=200)
    parser.add_argument("--starts", type=int, default=5)
    parser.add_argument("--tier", default=None)
    parser.add_argument(
        "--nice", type=int, default=19, help="niceness of workers; 0 on a busy machine, to compare like"
    )
    add_json_argument(parser, "sandbox_speed")
    arguments = parser.parse_args()
    launchers.NICE = arguments.nice
    limits, tier = Limits(), arguments.tier

    plain, start = [], []
    for _ in range(arguments.starts):
        plain.append(timed(lambda: subprocess.run([sys.executable, "-c", PLAIN], check=True, capture_output=True)))
        host.close_all()
        start.append(timed(lambda: host.get(tier)))

    kernel, session = [], []
    for _ in range(arguments.starts):
        started = time.perf_counter()
        manager, client = start_new_kernel()
        execute(client, "1")
        kernel.append(time.perf_counter() - started)
        client.stop_channels()
        manager.shutdown_kernel(now=True)
        for _ in range(4):
            with Sandbox(limits, tier=tier) as sandbox:
                session.append(timed(lambda: sandbox.run("1")))

    manager, client = start_new_kernel()
    theirs, ours = [], []
    with Sandbox(limits, tier=tier) as sandbox:
        execute(client, "x = 0")
        sandbox.run("x = 0")
        for number in range(arguments.cells + 10):
            one, other = timed(lambda: execute(client, CELL)), timed(lambda: sandbox.run(CELL))
            if number >= 10:
                theirs.append(one)
                ours.append(other)
    client.stop_channels()
    manager.shutdown_kernel(now=True)

    figures = Figures("sandbox_speed", cells=arguments.cells, starts=arguments.starts, tier=host.get(tier).tier)
    for name, slow, fast, bound in (
        ("cell, kernel / sandbox", theirs, ours, {"at_least": 2.0}),
        ("session, kernel / sandbox", kernel, session, {"at_least": 20.0}),
        ("start, sandbox / plain Python", start, plain, {"at_most": 1.2}),
    ):
        a, b = statistics.median(slow), statistics.median(fast)
        print(f"{name}: {a * 1000:.2f} ms / {b * 1000:.2f} ms")
        figures.details[name] = {"ms": [round(a * 1000, 3), round(b * 1000, 3)]}
        figures.add(name, a / b, **bound)
    return figures.finish(arguments.json)


if __name__ == "__main__":
    sys.exit(main())
