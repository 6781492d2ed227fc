"""Does the boundary hold? Runs every probe of attacks.json in a sandbox and looks at what got through.

    python benchmarks/sandbox_attacks.py [--data DIR] [--own] [--tier TIER,TIER] [--sessions 2] [--only ID,ID]
                                         [--old-bubblewrap] [--json FILE]

With --own it runs this project's own probes (tests/runtime/sandbox/data/probes.json) instead. Without --tier every tier
is tried that this machine can run. Fixtures on the host, as the probes expect: a secret in the environment, two files
in /tmp, a TCP listener, a unix and an abstract socket. Each session runs its share of the probes in order. After each:
an ordinary cell runs, a variable from before is still there or its loss was announced, the host's files are as they
were, this process has not grown (what sessions at once do to the host is seen, though not always put down to the right
probe; --sessions 1 does that).

An *escape* is: `ESCAPE` in the output of a probe, a host fixture changed, a secret read, a session that does not come
back. Prints one line per figure; exit code 1 where there was an escape, or (first tier) state kept on under 98 %.

Run it as root and as an ordinary user, each of which has a results file of its own. Nothing here runs a probe outside a
sandbox.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from figures import SHARED_DATA  # noqa: E402

from benchmarks.figures import Figures, add_json_argument  # noqa: E402
from runtime.errors import SandboxError  # noqa: E402
from runtime.sandbox import CellResult, Limits, Sandbox, host  # noqa: E402
from runtime.sandbox.boundary import bubblewrap, kernel  # noqa: E402
from runtime.sandbox.host import launchers  # noqa: E402
from runtime.sandbox.inside.allowance import MOST  # noqa: E402
from runtime.sandbox.inside.supervisor import STARVED_GRACE  # noqa: E402
from runtime.text import for_model, for_screen  # noqa: E402

CANARY, VICTIM = Path("/tmp/sbx_canary.txt"), Path("/tmp/sbx_victim.txt")
FORBIDDEN = (Path("/tmp/sbx_w01"), Path("/tmp/sbx_pickled"))
OWN = ROOT / "tests" / "runtime" / "sandbox" / "data" / "probes.json"
SECRET = "hunter2"
TIERS = ("namespaces", "bubblewrap", "reduced")
GROWTH_MB = 64
"""MiB this process may grow during one probe; a cell's own output limit is far below."""

_QUOTED = re.compile(r"\s*(?:-+> *)?\d+ ")

EXPECTED = {
    # Controls: what must work, by what must stand in the output.
    "C01": ("3.0", "x**3/3"), "C03": ("42",), "C04": ("hi",), "C05": ("[1]",), "C06": ("ok",), "C07": ("5736",),
    "C08": ("é∑😀\nerr\nafter",), "C09": ("7",), "C10": ("16",), "C11": ("ZeroDivisionError",), "C12": ("True",),
    # Probes whose text names an outcome
    "R02": ("MemoryError",), "R03": ("MemoryError",), "R31": ("EOFError",), "S11": ("TypeError",),
}  # fmt: skip
STATUS = {"C02": "ok", "C11": "error", "R13": "timeout", "R21": "killed", "R22": "killed", "S16": "error"}


def load(path: Path) -> list[dict]:
    """The probes of a file that this processor can run; their code is text, or a list of its lines."""
    probes = json.loads(path.read_text(encoding="utf-8"))
    for probe in probes:
        if isinstance(probe["code"], list):
            probe["code"] = "\n".join(probe["code"])
    return [probe for probe in probes if probe.get("machine") in (None, kernel.machine())]


@contextmanager
def fixtures() -> Iterator[None]:
    """The host as the probes expect it."""
    with ExitStack() as stack:
        os.environ["SBX_SECRET"] = SECRET
        stack.callback(os.environ.pop, "SBX_SECRET", None)
        for path, text in ((CANARY, "CANARY"), (VICTIM, "victim")):
            with suppress(FileNotFoundError, PermissionError):
                path.unlink()
            path.write_text(text)
            stack.callback(path.unlink, missing_ok=True)
        for path in FORBIDDEN:
            with suppress(FileNotFoundError):
                path.unlink()
        tcp = stack.enter_context(socket.socket())
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with suppress(OSError):
            tcp.bind(("127.0.0.1", 45871))
            tcp.listen()
        unix = Path("/tmp/sbx_canary.sock")
        unix.unlink(missing_ok=True)
        for address in (str(unix), "\0sbx_canary"):
            listener = stack.enter_context(socket.socket(socket.AF_UNIX))
            with suppress(OSError):
                listener.bind(address)
                listener.listen()
        stack.callback(unix.unlink, missing_ok=True)
        yield


def judge(probe: dict, result: CellResult) -> list[str]:
    """What is wrong with one result; empty where nothing is."""
    output, identifier = result.output, probe["id"]
    faults = []
    # A traceback quotes the probe's source, which spells the word too.
    printed = "\n".join(line for line in output.splitlines() if not _QUOTED.match(line))
    if "ESCAPE" in printed:
        faults.append("ESCAPE: " + printed.strip()[:200])
    if SECRET in output:
        faults.append("the secret was read")
    if "CANARY" in output:
        faults.append("the canary was read")
    if CANARY.read_text() != "CANARY" or not VICTIM.exists():
        faults.append("a host file changed")
    faults += [f"{path} exists" for path in FORBIDDEN if path.exists()]
    for text in EXPECTED.get(identifier, ()):
        if text not in output:
            faults.append(f"{text!r} is not in {output[:200]!r}")
    if identifier in STATUS and result.status != STATUS[identifier]:
        faults.append(f"status {result.status}, expected {STATUS[identifier]}")
    if identifier.startswith("C") and result.status not in ("ok",) and identifier != "C11":
        faults.append(f"a control ended with {result.status}: {output[:200]}")
    shown, fed = for_screen(output), for_model(output, 4096)
    for name, text in (("screen", shown), ("model", fed)):
        bad = sorted({hex(ord(c)) for c in text if (ord(c) < 32 and c not in "\n\t") or 0x7F <= ord(c) < 0xA0})
        if bad:
            faults.append(f"control characters towards the {name}: {bad}")
    return faults


@dataclass
class Outcome:
    """What the probes of one session came to."""

    faults: list[str] = field(default_factory=list)
    attacked: int = 0
    kept: int = 0
    slowest: float = 0.0


def run(tier: str, probes: list[dict], sessions: int, limits: Limits, verbose: bool) -> Outcome:
    """All probes, dealt out over `sessions` sessions at once."""
    print(f"tier {tier}, uid {os.getuid()}, {len(probes)} probes, {sessions} sessions", flush=True)
    # Probes that use the processor up slow the other session's; alone, a cell has the machine to itself.
    allowed = 2 * limits.cell_seconds + 3
    if sessions > 1:
        allowed = (1 + MOST) * limits.cell_seconds + STARVED_GRACE + 3
    with fixtures(), ThreadPoolExecutor(sessions) as pool:
        # In runs of neighbours: some probes read what the one before them left.
        share = -(-len(probes) // sessions)
        dealt = [probes[start : start + share] for start in range(0, len(probes), share)]
        outcomes = list(pool.map(lambda share: one_session(tier, share, limits, allowed, verbose), dealt))
    return Outcome(
        [fault for outcome in outcomes for fault in outcome.faults],
        sum(outcome.attacked for outcome in outcomes),
        sum(outcome.kept for outcome in outcomes),
        max(outcome.slowest for outcome in outcomes),
    )


def one_session(tier: str, probes: list[dict], limits: Limits, allowed: float, verbose: bool) -> Outcome:
    """Some probes in one session."""
    outcome = Outcome()
    with Sandbox(limits, tier=tier) as sandbox:
        for probe in probes:
            marker = f"kept_{probe['id']}"
            sandbox.run(f"{marker} = 'alive'")
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            started = time.monotonic()
            result = sandbox.run(probe["code"])
            seconds = time.monotonic() - started
            grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
            faults = judge(probe, result)
            if seconds > allowed:
                faults.append(f"took {seconds:.1f} s, with a limit of {limits.cell_seconds:g} s")
            if grown > GROWTH_MB:
                faults.append(f"this process grew by {grown:.0f} MiB")
            after = sandbox.run(marker)
            alive = after.status == "ok" and "alive" in after.output
            if not probe["id"].startswith("C"):
                outcome.attacked += 1
                outcome.kept += alive
            if not alive and not any("lost" in notice for notice in (*result.notices, *after.notices)):
                faults.append(f"state lost without a word: {after.output[:120]!r}")
            again = sandbox.run("6 * 7")
            if re.sub(r"\n\[sandbox\] .*", "", again.output) != "42":
                faults.append(f"the next cell gave {again.output[:120]!r}")
            if probe["id"] == "X08":
                faults += _daemon(sandbox)
            outcome.slowest = max(outcome.slowest, seconds)
            outcome.faults += [f"{probe['id']}: {fault}" for fault in faults]
            if verbose or faults or not alive:
                first = " | ".join(result.output.strip().splitlines())[:110]
                line = f"  {probe['id']:4} {result.status:8} {seconds:6.2f} s  {'!' if faults else ' '} {first}"
                print(line, flush=True)
    return outcome


def _daemon(sandbox: Sandbox) -> list[str]:
    """No process may outlive its cell: the heartbeat of X08 must have stopped."""
    read = "print(open('beat').read() if __import__('os').path.exists('beat') else 'none')"
    first = sandbox.run(read).output
    time.sleep(0.3)
    return [] if sandbox.run(read).output == first else ["a daemon of the cell lives on"]


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=SHARED_DATA)
    parser.add_argument("--tier", default=",".join(TIERS), help="default: every one that works here")
    parser.add_argument("--only", default="")
    parser.add_argument("--sessions", type=int, default=2, help="at once")
    parser.add_argument("--seconds", type=float, default=3.0, help="time limit of a cell; more on a busy machine")
    parser.add_argument("--nice", type=int, default=19, help="niceness of workers; 0 on a busy machine")
    parser.add_argument("--verbose", action="store_true")
    parser.add_argument("--own", action="store_true", help="this project's own probes")
    parser.add_argument("--old-bubblewrap", action="store_true", help="try its tier with one from 0.8 on, and say so")
    who = "root" if os.getuid() == 0 else "user"
    own = "_own" if "--own" in sys.argv else ""
    add_json_argument(parser, f"sandbox_attacks{own}_{who}")
    arguments = parser.parse_args()
    probes = load(OWN if arguments.own else arguments.data / "attacks.json")
    if arguments.old_bubblewrap:
        bubblewrap.OLDEST = (0, 8)
    if arguments.only:
        probes = [probe for probe in probes if probe["id"] in arguments.only.split(",")]
    launchers.NICE = arguments.nice
    limits = Limits(cell_seconds=arguments.seconds)
    figures = Figures("sandbox_attacks", user=who, probes=len(probes), cell_seconds=arguments.seconds)
    if program := shutil.which("bwrap"):
        version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout.strip()
        oldest = ".".join(map(str, bubblewrap.OLDEST))
        figures.details["bubblewrap found"] = version
        print(f"{version}; used here from {oldest} on, elsewhere from 0.12 on")
    ran = 0
    for tier in arguments.tier.split(","):
        try:
            host.get(tier)
        except SandboxError as error:
            print(f"tier {tier} does not work here: {error.cause}")
            figures.details[tier] = {"does not work here": str(error.cause)}
            continue
        ran += 1
        outcome = run(tier, probes, min(arguments.sessions, len(probes)), limits, arguments.verbose)
        host.close_all()
        for fault in outcome.faults:
            print("  FAULT", fault)
        figures.details[tier] = {"faults": outcome.faults, "kept": outcome.kept, "of": outcome.attacked}
        figures.add(f"{tier}: faults, escapes among them", len(outcome.faults), at_most=0)
        figures.add(f"{tier}: slowest probe", outcome.slowest, unit="s")
        share = outcome.kept / outcome.attacked if outcome.attacked else 1.0
        print(f"{tier}: state kept after {outcome.kept} of {outcome.attacked}")
        figures.add(f"{tier}: state kept, share", share, at_least=0.98 if tier == "namespaces" else None)
    figures.add("tiers tried", ran, at_least=1)
    return figures.finish(arguments.json)


if __name__ == "__main__":
    sys.exit(main())
