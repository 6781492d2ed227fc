"""A batch whose processes are killed at random: does every question still have exactly one result?

    python benchmarks/solver_killed.py [--questions 1000] [--model MODEL.gguf] [--slots 8]

Runs `mathcoder solve MODEL --questions FILE --out FILE` over generated problems. Every few seconds one process that
belongs to it is killed (SIGKILL), now a random one of the sandbox's (supervisors, their zygotes, the workers that run
cells), now the solving process itself, which is then called again, until a call ends by itself. Then:

- every question has exactly one line, each line is whole, and nothing else stands in the file;
- a third call finds nothing left to do and leaves every byte as it is;
- no process of any of the calls is left.

A cell whose worker dies tells the model so; how many solutions that touched is printed, and how many of the others
are right. Exit code 1 where a line is missing, doubled or broken, or a process was left.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from figures import ROOT, Figures, add_json_argument

from recipes.data.rows import write_lines
from recipes.nano.problems import held_out
from recipes.places import PACKAGED_MODEL

FULL = 1000
"""Questions of a run whose figures are kept."""
RESULTS_A_LIFE = 20
"""Results between two deaths of the solving process, on average."""


@dataclass
class Killer:
    """Starts the call again and again and kills what belongs to it; counts."""

    words: list[str]
    out: Path
    rng: random.Random
    log: Path
    solving: int = 0
    cells: int = 0
    seen: set[tuple[int, str]] = field(default_factory=set)
    """(pid, start time) of every process below one of the calls."""

    def run(self) -> int:
        """Until a call ends by itself; its exit code."""
        while True:
            with open(self.log, "ab") as log:
                process = subprocess.Popen(self.words, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=log)
            code = self._life(process)
            if code is not None:
                return code
            self.solving += 1
            print(f"  killed {self.solving} times, {self.cells} of the sandbox's; {whole_lines(self.out)} results")

    def _life(self, process: subprocess.Popen[bytes]) -> int | None:
        """Some seconds of one call; None where it was killed."""
        # A life ends in the seconds after so many more results, so that a slow machine changes the duration and not
        # whether it ends. At some results a second that is every few seconds.
        enough = whole_lines(self.out) + self.rng.randint(1, 2 * RESULTS_A_LIFE)
        end: float | None = None
        next_kill = time.monotonic() + self.rng.uniform(2, 8)
        while process.poll() is None:
            time.sleep(0.02)
            below = descendants(process.pid)
            self.seen |= below
            now = time.monotonic()
            if end is None and whole_lines(self.out) >= enough:
                end = now + self.rng.uniform(0, 1)
            if end is not None and now >= end:
                process.kill()
                process.wait()
                return None
            if below and now >= next_kill:
                victim, _ = self.rng.choice(sorted(below))
                try:
                    os.kill(victim, signal.SIGKILL)
                    self.cells += 1
                except ProcessLookupError:
                    pass  # It ended in the meantime.
                next_kill = now + self.rng.uniform(2, 8)
        return process.returncode

    def left(self) -> list[int]:
        """Processes below any of the calls that still live, some seconds after the last one ended."""
        deadline = time.monotonic() + 10
        while (alive := [pid for pid, began in self.seen if start_time(pid) == began]) and time.monotonic() < deadline:
            time.sleep(0.2)
        return alive


def descendants(pid: int) -> set[tuple[int, str]]:
    """(pid, start time) of the processes below `pid`."""
    children: dict[int, list[tuple[int, str]]] = collections.defaultdict(list)
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := stat(int(entry.name))):
            children[int(fields[1])].append((int(entry.name), fields[19]))
    found: set[tuple[int, str]] = set()
    stack = [pid]
    while stack:
        for child in children[stack.pop()]:
            found.add(child)
            stack.append(child[0])
    return found


def stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the state on; empty where the process is gone or a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [] if fields[0] == "Z" else fields


def start_time(pid: int) -> str:
    """When the process `pid` began (in clock ticks): tells it from a later one of the same number."""
    fields = stat(pid)
    return fields[19] if fields else ""


def whole_lines(file: Path) -> int:
    return file.read_bytes().count(b"\n") if file.exists() else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=PACKAGED_MODEL, help="a GGUF file (default: the packaged one)")
    parser.add_argument("--questions", type=int, default=FULL)
    parser.add_argument("--slots", type=int, default=8)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    add_json_argument(parser, "solver_killed")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        questions, out = folder / "questions.jsonl", folder / "results.jsonl"
        problems = held_out("numbers", arguments.questions, seed=arguments.seed)
        ids = [f"n{number}" for number in range(len(problems))]
        rows = zip(ids, problems, strict=True)
        write_lines(questions, ({"id": key, "question": p.question, "gold": p.gold} for key, p in rows))
        words = [
            sys.executable, "-m", "recipes", "solve", str(arguments.model), "--questions", str(questions),
            "--out", str(out), "--slots", str(arguments.slots), "--threads", str(arguments.threads),
            "--max-tokens", "400",
        ]  # fmt: skip
        begun = time.monotonic()
        killer = Killer(words, out, random.Random(arguments.seed), folder / "log.txt")
        code = killer.run()
        seconds = time.monotonic() - begun
        content = out.read_bytes()
        again = subprocess.run(words, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
        figures = Figures("solver_killed", questions=arguments.questions, slots=arguments.slots, seed=arguments.seed)
        figures.details["run"] = {
            "seconds": round(seconds, 1),
            "exit_code": code,
            "of_the_call_after": again.returncode,
        }
        figures.add("kills of the solving process", killer.solving, at_least=1)
        figures.add("kills of the sandbox's processes", killer.cells, at_least=1)
        report(figures, content, ids)
        figures.count("bytes changed by a call after the end", int(out.read_bytes() != content), 0)
        figures.count("processes left", len(killer.left()), 0)
        if code or again.returncode:
            print(killer.log.read_text(encoding="utf-8")[-2000:], file=sys.stderr)
    return figures.finish(arguments.json if arguments.questions >= FULL else None)


def report(figures: Figures, content: bytes, ids: list[str]) -> None:
    """What the results file holds."""
    *lines, rest = content.split(b"\n")
    results = [json.loads(line) for line in lines]
    count = collections.Counter(result["id"] for result in results)
    figures.count("questions with exactly one result", sum(count[key] == 1 for key in ids), len(ids))
    figures.count("lines of no question", sum(result["id"] not in set(ids) for result in results), 0)
    figures.count("bytes after the last line", len(rest), 0)
    statuses = collections.Counter(result["status"] for result in results)
    figures.details["statuses"] = dict(statuses)
    untouched = [result for result in results if not result["failed_cells"] and result["status"] != "error"]
    figures.add("solutions touched by a kill", len(results) - len(untouched))
    right = sum(bool(result["lenient"]) for result in untouched)
    figures.add("right answers among the others", right / max(1, len(untouched)))


if __name__ == "__main__":
    sys.exit(main())
