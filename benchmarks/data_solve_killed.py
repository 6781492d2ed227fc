"""Is a `data solve` that is killed at random the same as one that is left alone?

    python benchmarks/data_solve_killed.py [--model MODEL.gguf] [--questions 500] [--slots 8]

Runs `mathcoder data solve` over generated problems at temperature 0 twice: once undisturbed, once in a process that is
killed (SIGKILL) at random and started again until it finishes. Prints how many questions were lost or
doubled, whether the rows are the same bytes, and in how many questions the solutions differ. Cells and decoding run
side by side, so a killed run decodes in other company; on a quantized model that may change a rounding, which is why
differing solutions are listed. With `--slots 1` no such company exists.

Exit code 1 where a question was lost or doubled, or rows differ.
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
from pathlib import Path
from typing import Any

from figures import RESULTS, ROOT, Figures

from recipes.data.rows import write_lines
from recipes.data.solve import samples_path
from recipes.nano.problems import held_out
from recipes.places import PACKAGED_MODEL


def command(arguments: argparse.Namespace, questions: Path, out: Path) -> list[str]:
    return [
        sys.executable, "-m", "recipes", "data", "solve", str(questions), "--model", str(arguments.model),
        "--keep", arguments.keep, "--samples", "1", "--slots", str(arguments.slots), "--out", str(out),
        "--max-tokens", "400", "--max-seconds", "3600", "--cell-seconds", "60", "--threads", str(arguments.threads),
    ]  # fmt: skip


def samples(path: Path) -> dict[str, Any]:
    """Solutions by id, without what a clock decides; doubled ids are an error."""
    lines = [json.loads(line) for line in path.read_bytes().splitlines()]
    doubled = [key for key, count in collections.Counter(line["id"] for line in lines).items() if count > 1]
    if doubled:
        print(f"doubled: {doubled[:10]}")
    return {line["id"]: (line["blocks"], line["answer"], line["status"], line["seed"]) for line in lines}


def killed_run(words: list[str], file: Path, rng: random.Random, most: int) -> tuple[int, int]:
    """Start, kill, start again; (kills, exit code).

    A life ends some moments after 1 to `most` more samples, so that a slow machine changes the duration and not whether
    it ends.
    """
    kills = 0
    while True:
        process = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        limit = size(file) + rng.randint(1, most)
        while process.poll() is None and size(file) < limit:
            time.sleep(0.05)
        if process.poll() is None:
            # In the middle of whatever it is doing: decoding, a cell, a write.
            time.sleep(rng.uniform(0, 1.0))
        if process.poll() is not None:
            return kills, process.returncode
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        kills += 1
        print(f"  killed {kills} times, {size(file)} samples done", flush=True)


def size(file: Path) -> int:
    """Whole lines of `file`."""
    return file.read_bytes().count(b"\n") if file.exists() else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", type=Path, default=PACKAGED_MODEL, help="a GGUF file (default: the packaged one)")
    parser.add_argument("--questions", type=int, default=500)
    parser.add_argument("--slots", type=int, default=8)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--kills", type=int, default=10, help="about how often to kill")
    parser.add_argument("--keep", choices=("gold",), default="gold")
    parser.add_argument("--out", type=Path, help="keep the files here, and what of an earlier call is there")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = arguments.out or Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        questions = folder / "questions.jsonl"
        if not questions.exists():
            problems = held_out("numbers", arguments.questions, seed=11)
            write_lines(
                questions, ({"id": f"n{i}", "question": p.question, "gold": p.gold} for i, p in enumerate(problems))
            )
        whole, killed = folder / "whole.jsonl", folder / "killed.jsonl"
        begun = time.monotonic()
        code = subprocess.run(
            command(arguments, questions, whole), cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ).returncode
        seconds = time.monotonic() - begun
        print(f"undisturbed: {arguments.questions} questions in {seconds:.0f} s, exit code {code}", flush=True)
        words = command(arguments, questions, killed)
        most = max(1, 2 * arguments.questions // arguments.kills)
        kills, code = killed_run(words, samples_path(killed), random.Random(1), most)
        one, two = samples(samples_path(whole)), samples(samples_path(killed))
        doubled = len(samples_path(killed).read_bytes().splitlines()) - len(two)
        lost = set(one) - set(two)
        differing = [key for key in one if key in two and one[key] != two[key]]
        rows = [len(path.read_bytes().splitlines()) for path in (whole, killed)]
        same = whole.read_bytes() == killed.read_bytes()
        print(f"killed {kills} times, exit code {code}; rows {rows[0]} and {rows[1]}; differing: {len(differing)}")
        for key in differing[:3]:
            print(f"  {key}: {one[key][1]!r} and {two[key][1]!r}")
        figures = Figures("data_solve_killed")
        figures.details["run"] = {"kills": kills, "rows": rows, "slots": arguments.slots, "seconds": round(seconds, 1)}
        figures.count("questions answered by the undisturbed run", len(one), arguments.questions)
        figures.add("kills", kills, at_least=1)
        figures.count("questions lost", len(lost), 0)
        figures.count("questions doubled", doubled, 0)
        figures.count("solutions that differ", len(differing), 0)
        figures.count("files of rows with the same bytes", int(same), 1)
        return figures.finish(RESULTS / "data_solve_killed.json" if arguments.questions >= 500 else None)


if __name__ == "__main__":
    sys.exit(main())
