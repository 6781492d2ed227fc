"""Does `data check` find planted faults, invent none, and how fast is it beside Jupyter kernels?

    python benchmarks/data_check.py [--data DIR] [--rows N] [--faults 200] [--sample 60] [--sessions N]

1. All development rows (or the first N): the share of executions that agree with the record, promised 99.7 %.
2. Faults planted into rows that are clean, one a row: a changed number in an execution, a dropped line of code or
   output, two neighbouring blocks swapped, a wrong last answer. All have to be found, in the rows they were planted in
   and in no other. A dropped line of code that changes nothing the row prints (an import that an earlier cell made,
   say) is no fault; that is decided by running both rows, and another line is drawn. Half as many of harder kinds are
   counted beside them: a wrong box, box and answer wrong alike, an execution of another row, a missing one, one too
   many, a row cut off.
3. The same rows through Jupyter kernels (`jupyter_client`), as many side by side as there are sandbox sessions: a fresh
   kernel for each row, which is what a fresh session is, and, for comparison, kernels that are kept and cleared with
   `%reset -f`, which forgets names but not what code did to modules.

Exit code 1 where a promise is broken.
"""

from __future__ import annotations

import argparse
import collections
import copy
import itertools
import json
import queue
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from figures import RESULTS, SHARED_DATA, Figures

from recipes.data.check import OUTPUT_CHARS, check
from recipes.data.outputs import agreement, is_traceback
from recipes.data.rows import write_lines
from recipes.data.verdict import run_cells
from runtime.sandbox import Limits, warm

KINDS = ("changed number", "dropped output line", "dropped code line", "swapped block", "wrong last answer")
"""All of these must be found."""
HARDER = (
    *("wrong box", "wrong box and answer", "another row's execution", "missing execution", "stray execution"),
    "row cut off",
)
"""Not all of these can be: a box and an answer may both say another number that the solution has rightly found, and the
rest of a row that was cut off may be a solution in words."""
LIMITS = Limits(cell_seconds=20.0, output_chars=OUTPUT_CHARS)


def blocks_of(row: dict[str, Any]) -> list[dict[str, str]]:
    return row["messages"][-1]["content"]


def outputs_of(row: dict[str, Any]) -> list[str]:
    return [
        result.output for result in run_cells([b["content"] for b in blocks_of(row) if b["type"] == "code"], LIMITS)
    ]


def changed(text: str, rng: random.Random) -> str | None:
    """`text` with one digit of one number raised by 1 to 8."""
    digits = [match.start() for match in re.finditer(r"\d", text)]
    if not digits:
        return None
    place = rng.choice(digits)
    digit = (int(text[place]) + rng.randint(1, 8)) % 10
    new = text[:place] + str(digit) + text[place + 1 :]
    return None if agreement(text, new) != "differs" else new


def planted(row: dict[str, Any], kind: str, rng: random.Random, others: list[dict[str, Any]]) -> dict[str, Any] | None:
    """A copy of `row` with one fault of `kind`, None where the row has no place for it."""
    row = copy.deepcopy(row)
    blocks = blocks_of(row)
    if kind.startswith("wrong box"):
        return row if wrong_box(blocks, rng, answer_too=kind != "wrong box") else None
    if kind in ("another row's execution", "missing execution", "stray execution", "row cut off"):
        return row if misplaced(blocks, kind, rng, others) else None
    if kind == "wrong last answer":
        new = changed(blocks[-1]["content"], rng)
        # Leading zeros and decimals beyond what the box holds would be the same answer written otherwise.
        if new is None or float_of(new) == float_of(blocks[-1]["content"]):
            return None
        blocks[-1]["content"] = new
        return row
    if kind == "swapped block":
        places = [i for i in range(len(blocks) - 1) if {blocks[i]["type"], blocks[i + 1]["type"]} != {"text"}]
        place = rng.choice(places) if places else None
        if place is None:
            return None
        blocks[place], blocks[place + 1] = blocks[place + 1], blocks[place]
        return row
    if kind == "dropped code line":
        before = outputs_of(row)
        for block in rng.sample([b for b in blocks if b["type"] == "code"], k=sum(b["type"] == "code" for b in blocks)):
            lines = block["content"].splitlines()
            live = [i for i, line in enumerate(lines) if line.strip() and not line.strip().startswith("#")]
            if len(live) < 2:
                continue
            whole = block["content"]
            drop = rng.choice(live)
            block["content"] = "\n".join(line for i, line in enumerate(lines) if i != drop)
            if any(agreement(a, b) == "differs" for a, b in zip(before, outputs_of(row), strict=True)):
                return row
            block["content"] = whole
        return None
    # Addresses and line numbers in a traceback are of a version of Python, not of the solution.
    executions = [b for b in blocks if b["type"] == "execution" and not is_traceback(b["content"])]
    rng.shuffle(executions)
    for block in executions:
        if kind == "changed number" and (new := changed(block["content"], rng)) is not None:
            block["content"] = new
            return row
        lines = [line for line in block["content"].split("\n") if line.strip()]
        if kind == "dropped output line" and len(lines) > 1:
            del lines[rng.randrange(len(lines))]
            block["content"] = "\n".join(lines)
            return row
    return None


def wrong_box(blocks: list[dict[str, str]], rng: random.Random, *, answer_too: bool) -> bool:
    """Another number in the last box before the answer, and in the answer alike where asked for."""
    answer = blocks[-1]["content"].strip()
    new = changed(answer, rng)
    if len(blocks) < 2 or new is None or float_of(new) == float_of(answer):
        return False
    text = blocks[-2]["content"]
    box, other = "\\boxed{" + answer + "}", "\\boxed{" + new + "}"
    if blocks[-2]["type"] != "text" or box not in text:
        return False
    blocks[-2]["content"] = text.replace(box, other)
    if answer_too:
        blocks[-1]["content"] = new
    return True


def misplaced(blocks: list[dict[str, str]], kind: str, rng: random.Random, others: list[dict[str, Any]]) -> bool:
    """An execution misplaced, gone, or put where no code is; or everything from some block on missing."""
    if kind == "row cut off":
        # Without its bare answer alone, a row still ends in a text that boxes it: that is no fault.
        del blocks[rng.randrange(1, max(2, len(blocks) - 1)) :]
        return True
    places = [place for place, block in enumerate(blocks) if block["type"] == "execution"]
    found = [block["content"] for block in blocks_of(rng.choice(others)) if block["type"] == "execution"]
    if not places or not found:
        return False
    place, foreign = rng.choice(places), rng.choice(found)
    if kind == "missing execution":
        del blocks[place]
    elif kind == "stray execution":
        blocks.insert(rng.choice([0, place + 1]), {"type": "execution", "content": foreign})
    elif agreement(blocks[place]["content"], foreign) == "differs":
        blocks[place]["content"] = foreign
    else:
        return False
    return True


def float_of(text: str) -> float | str:
    try:
        return float(text.replace(",", "").strip("$ "))
    except ValueError:
        return text


def measure_faults(
    clean: list[dict[str, Any]], kinds: tuple[str, ...], count: int, sessions: int, folder: Path, figures: Figures
) -> None:
    rng = random.Random(3)
    order = rng.sample(range(len(clean)), len(clean))
    rows: list[dict[str, Any]] = []
    truth: dict[int, str] = {}
    # Rows with outputs of several lines are rare: they are given out first, and what they fall short of is made up for
    # by dropped lines of code.
    short = count % len(kinds)
    for kind in sorted(kinds, key=lambda kind: (kind != "dropped output line", kind != "dropped code line")):
        wanted = count // len(kinds) + (short if kind == "dropped code line" else 0)
        for index in list(order):
            if not wanted:
                break
            row = planted(clean[index], kind, rng, clean)
            if row is not None:
                order.remove(index)
                truth[len(rows)] = kind
                rows.append(row)
                wanted -= 1
        short += wanted
    faults = len(rows)
    rows += [clean[index] for index in order[:faults]]
    source = folder / "planted.jsonl"
    write_lines(source, rows)
    report = check(str(source), limits=LIMITS, sessions=sessions, fresh=True)
    flagged = {verdict.index for verdict in report.flagged}
    found = collections.Counter(kind for index, kind in truth.items() if index in flagged)
    for kind, total in collections.Counter(truth.values()).items():
        print(f"planted, {kind}: {found[kind]} of {total} found")
    for index in set(truth) - flagged:
        print(f"missed ({truth[index]}): {json.dumps(blocks_of(rows[index])[-6:])[:600]}")
    invented = [index for index in flagged if index not in truth]
    for index in invented:
        print(f"invented: {json.dumps(blocks_of(rows[index])[-6:])[:600]}")
    name = "faults" if kinds == KINDS else "harder faults"
    figures.details[name] = {"planted": faults, "found": dict(found), "clean_rows_beside_them": len(rows) - faults}
    if kinds == KINDS:
        figures.count("faults planted", faults, count)
        figures.count("faults found", found.total(), faults)
    else:
        figures.add(f"harder faults found, of {faults}", found.total())
    figures.count(f"{name} invented", len(invented), 0)


# Jupyter


class Kernels:
    """Jupyter kernels, `count` side by side."""

    def __init__(self, count: int, fresh: bool) -> None:
        self.fresh = fresh
        self.idle: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.lock = threading.Lock()
        for _ in range(count):
            self.idle.put(None if fresh else self.start())

    def start(self) -> Any:
        from jupyter_client.manager import start_new_kernel

        # Each of hundreds of kernels would warn that it talks over TCP.
        return start_new_kernel(kernel_name="python3", stderr=subprocess.DEVNULL)

    def run(self, row: dict[str, Any]) -> int:
        """Cells whose output agrees with the record."""
        kept = self.idle.get()
        manager, client = kept or self.start()
        try:
            equal = 0
            blocks = blocks_of(row)
            if not self.fresh:
                self.cell(client, "%reset -f")
            for block, following in itertools.pairwise(blocks):
                if block["type"] == "code" and following["type"] == "execution":
                    equal += agreement(following["content"], self.cell(client, block["content"])) != "differs"
            return equal
        finally:
            if self.fresh:
                client.stop_channels()
                manager.shutdown_kernel(now=True)
            self.idle.put(None if self.fresh else (manager, client))

    def cell(self, client: Any, code: str) -> str:
        parts: list[str] = []

        def output(message: dict[str, Any]) -> None:
            content = message["content"]
            if message["msg_type"] == "stream":
                parts.append(content["text"])
            elif message["msg_type"] in ("execute_result", "display_data"):
                parts.append(content["data"].get("text/plain", ""))
            elif message["msg_type"] == "error":
                parts.append("\n".join(content["traceback"]))

        client.execute_interactive(code, output_hook=output, timeout=60)
        return "".join(parts) or "<empty_execution>"

    def close(self) -> None:
        if not self.fresh:
            while not self.idle.empty():
                manager, client = self.idle.get()
                client.stop_channels()
                manager.shutdown_kernel(now=True)


def measure_speed(rows: list[dict[str, Any]], sessions: int, folder: Path, figures: Figures) -> None:
    source = folder / "sample.jsonl"
    write_lines(source, rows)
    rates: dict[str, list[float]] = {"sandbox": [], "fresh kernels": [], "kept kernels": []}
    warm()
    # Taken in turn, so that what else the machine does falls on all of them.
    for part in range(3):
        chunk = rows[part::3]
        write_lines(source, chunk)
        begun = time.monotonic()
        report = check(str(source), limits=LIMITS, sessions=sessions, fresh=True)
        rates["sandbox"].append(60 * len(chunk) / (time.monotonic() - begun))
        for name, fresh in (("fresh kernels", True), ("kept kernels", False)):
            kernels = Kernels(sessions, fresh)
            begun = time.monotonic()
            with ThreadPoolExecutor(sessions) as pool:
                equal = sum(pool.map(kernels.run, chunk))
            rates[name].append(60 * len(chunk) / (time.monotonic() - begun))
            kernels.close()
            print(f"  round {part + 1}: sandbox agrees on {report.equal} cells, {name} on {equal}", flush=True)
    median = {name: sorted(values)[1] for name, values in rates.items()}
    for name, rate in median.items():
        print(
            f"{name}: {rate:.0f} rows a minute, {sessions} side by side (median of {[round(r) for r in rates[name]]})"
        )
    ratio = median["sandbox"] / median["fresh kernels"]
    print(f"sandbox / kept kernels: {median['sandbox'] / median['kept kernels']:.1f}")
    figures.details["rows_a_minute"] = {name: round(rate) for name, rate in median.items()}
    figures.details["sample"] = {"rows": len(rows), "side_by_side": sessions}
    figures.add("rows a minute, beside fresh Jupyter kernels", ratio, at_least=4, unit="times")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, default=SHARED_DATA)
    parser.add_argument("--rows", type=int, help="a random sample of so many development rows")
    parser.add_argument("--faults", type=int, default=200, help="0: skip")
    parser.add_argument("--sample", type=int, default=60, help="rows of the comparison with Jupyter; 0: skip")
    parser.add_argument("--sessions", type=int, default=None)
    arguments = parser.parse_args()
    path = arguments.data / "mathcodeinstruct_dev.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").rstrip("\n").split("\n")]
    with tempfile.TemporaryDirectory() as name:
        if arguments.rows:
            rows = random.Random(2).sample(rows, arguments.rows)
            path = Path(name) / "rows.jsonl"
            write_lines(path, rows)
        return measure(arguments, path, rows, Path(name))


def measure(arguments: argparse.Namespace, path: Path, rows: list[dict[str, Any]], folder: Path) -> int:
    whole = arguments.rows is None and arguments.faults >= 200 and arguments.sample >= 60
    figures = Figures("data_check")
    report = check(
        str(path), limits=LIMITS, sessions=arguments.sessions, fresh=True,
        on_progress=lambda n: n % 512 or print(f"  {n} rows", flush=True),
    )  # fmt: skip
    share = 100 * report.equal / report.cells
    print(f"{report.rows} rows, {report.equal} of {report.cells} executions agree, "
          f"{60 * report.rows / report.seconds:.0f} rows a minute")  # fmt: skip
    figures.details["rows"] = {key: value for key, value in report.as_dict().items() if key != "flagged"}
    figures.details["seconds_of_all_rows"] = round(report.seconds, 1)
    figures.add("executions that agree", share, at_least=99.7, unit="%")
    print(f"causes: {dict(report.causes.most_common())}; rows: {dict(report.faults)}")
    for verdict in report.flagged[:40]:
        for cell in verdict.differing[:1]:
            print(f"  {Path(verdict.place).name}: {cell.cause}: {str(cell.recorded)[-90:]!r} now {cell.now[-90:]!r}")
    bad = {verdict.index for verdict in report.flagged}
    if arguments.faults:
        clean = [row for index, row in enumerate(rows) if index not in bad]
        measure_faults(clean, KINDS, arguments.faults, arguments.sessions, folder, figures)
        measure_faults(clean, HARDER, arguments.faults // 2, arguments.sessions, folder, figures)
    if arguments.sample:
        sample = random.Random(5).sample(rows, min(len(rows), arguments.sample))
        measure_speed(sample, arguments.sessions, folder, figures)
    return figures.finish(RESULTS / "data_check.json" if whole else None)


if __name__ == "__main__":
    sys.exit(main())
