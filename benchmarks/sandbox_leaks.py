"""Does anything stay behind? Many cells and many sessions in one process, then a look at what is left.

    python benchmarks/sandbox_leaks.py [--cells 10000] [--sessions 1000] [--tier TIER] [--json FILE]

Counts, before and after: descriptors, child processes, zombies, mounts of this process, entries in the temporary
folder, descendants of the launcher. Then an app is killed with SIGKILL in the middle of a cell that ignores everything,
and its sandbox processes are looked for one second later. Exit code 1 where anything is left.
"""

from __future__ import annotations

import argparse
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.figures import Figures, add_json_argument  # noqa: E402
from runtime.sandbox import Limits, Sandbox, host  # noqa: E402
from runtime.sandbox.host import launchers  # noqa: E402
from runtime.sandbox.inside import processes  # noqa: E402

GROWTH_MB = 64
"""MiB this process may have grown over the whole run."""

APP = """
import sys, threading
sys.path.insert(0, {root!r})
from runtime.sandbox import Limits, Sandbox
sandboxes = [Sandbox(Limits(cell_seconds=600), tier={tier!r}) for _ in range(3)]
for sandbox in sandboxes:
    sandbox.run("x = 1")
print("ready", flush=True)
code = "import signal, os\\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\\nos.fork()\\nwhile True: pass"
threads = [threading.Thread(target=sandbox.run, args=(code,)) for sandbox in sandboxes]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
"""


def census() -> dict[str, int]:
    """What this process holds now."""
    children = processes.descendants(os.getpid())
    mounts = Path("/proc/self/mountinfo").read_text().count("\n") if os.path.exists("/proc/self/mountinfo") else 0
    return {
        "descriptors": len(os.listdir("/proc/self/fd")),
        "descendants": len(children),
        "zombies": sum(not processes.alive(child) for child in children),
        "mounts": mounts,
        "temporary entries": sum(1 for name in os.listdir(tempfile.gettempdir()) if "mathcoder" in name),
    }


def settled(expected: dict[str, int]) -> dict[str, int]:
    """The census once it is as expected, or after five seconds."""
    deadline = time.monotonic() + 5
    while (now := census()) != expected and time.monotonic() < deadline:
        time.sleep(0.05)
    return now


def survivors(tier: str | None) -> tuple[int, int]:
    """Sandbox processes before an app is killed with SIGKILL, and one second after."""
    program = APP.format(root=str(ROOT), tier=tier)
    app = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert app.stdout is not None
    app.stdout.readline()
    time.sleep(0.5)
    below = processes.descendants(app.pid)
    app.kill()
    app.wait()
    time.sleep(1.0)
    return len(below), sum(processes.alive(pid) for pid in below)


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=10_000)
    parser.add_argument("--sessions", type=int, default=1_000)
    parser.add_argument("--tier", default=None)
    parser.add_argument("--nice", type=int, default=19)
    add_json_argument(parser, "sandbox_leaks")
    arguments = parser.parse_args()
    launchers.NICE = arguments.nice
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)

    clean = census()
    running = host.get(arguments.tier)
    with Sandbox(Limits(), tier=arguments.tier) as sandbox:
        sandbox.run("1")
    time.sleep(0.5)
    before = census()
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.monotonic()
    with Sandbox(Limits(), tier=arguments.tier) as sandbox:
        for number in range(arguments.cells):
            result = sandbox.run(f"x = {number}; print(x)")  # IPython warns of its thousandth echo
            assert result.output == str(number), result
    cells = time.monotonic() - started
    started = time.monotonic()
    for _ in range(arguments.sessions):
        with Sandbox(Limits(), tier=arguments.tier) as sandbox:
            result = sandbox.run("import os; open('f', 'w').write('x'); os.fork() or os._exit(0); 6 * 7")
            assert result.output == "42", result
    sessions = time.monotonic() - started
    after = settled(before)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - grown
    figures = Figures("sandbox_leaks", tier=running.tier, cells=arguments.cells, sessions=arguments.sessions)
    figures.add("cells", cells, unit="s")
    figures.add("sessions", sessions, unit="s")
    for name in before:
        figures.add(f"{name} left behind", after[name] - before[name], at_most=0)
    figures.add("growth of this process", grown / 1024, at_most=GROWTH_MB, unit="MiB")
    host.close_all()
    alone = settled({**census(), "descendants": 0})
    figures.add("descendants after closing", alone["descendants"], at_most=0)
    figures.add("temporary entries after closing", alone["temporary entries"] - clean["temporary entries"], at_most=0)
    had, alive = survivors(arguments.tier)
    figures.add("sandbox processes of an app", had, at_least=3)
    figures.add("of these, alive one second after its SIGKILL", alive, at_most=0)
    return figures.finish(arguments.json)


if __name__ == "__main__":
    sys.exit(main())
