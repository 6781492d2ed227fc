"""Does the sandbox print what Jupyter printed? Replays recorded solutions, compares every execution.

    python benchmarks/sandbox_fidelity.py [--rows N] [--tracebacks] [--threads 3] [--tier TIER] [--list FILE]
                                          [--json FILE]

The rules, fixed before the run:

- Every row of the traces is replayed in a session of its own, all of its code blocks in order, output limit raised.
- Both sides: numbers with a decimal point rounded to 6 decimals (the authors' own rounding), white space around the
  whole output dropped, colour codes dropped, the folder Python is installed in dropped from paths.
- *Plain* blocks, which must match byte for byte: the record is no traceback and no time-out, and no time-out comes
  before it in its row.
- Left out of the plain blocks, judged by the record alone, and counted: `set order`, where the record shows a Python
  set of two or more elements (the order depends on the run's hash seed).
- *Tracebacks*: the same exception type (the last `Name: ` or the name after the rule), and the same last line, where a
  line in which Python or sympy have changed their words since, as `recipes.data.rewordings` lists them, counts as the
  same. Exceptions that were renamed are of the same type where they are listed there, too.

Prints one line per figure; exit code 1 where a figure is below its promise (99.7 %, 99.8 %, 95 %).
"""

from __future__ import annotations

import argparse
import collections
import json
import random
import re
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from figures import SHARED_DATA  # noqa: E402

from benchmarks.figures import Figures, add_json_argument  # noqa: E402
from recipes.data.rewordings import change_between  # noqa: E402
from runtime.sandbox import Limits, Sandbox, host  # noqa: E402
from runtime.sandbox.host import launchers  # noqa: E402

PROMISES = {"plain": 0.997, "type": 0.998, "last line": 0.95}

_COLOUR = re.compile(r"\x1b\[[0-9;]*m?")
_NUMBER = re.compile(r"\d+\.\d+(?:[eE][-+]?\d+)?")
_TRACEBACK = re.compile(r"Traceback \(most recent call last\)|^\s*(?:Cell In|File ).*?(?:Error|Warning)\b", re.S)
_ERROR_LINE = re.compile(
    r"([A-Za-z_][\w.]*(?:Error|Exception|Interrupt|Exit|Iteration|Warning|Infinity|Invalid\w*|Operation|Infeasible\w*|Failed|NoConvergence|Undefined\w*|Timeout))\b(?::|$)"
)
_INSTALLED = re.compile(r"/\S*?/lib/python3\.\d+/")
_SET = re.compile(r"\{[^{}:]*,[^{}:]*\}")


def rounded(text: str) -> str:
    """The authors' rounding: every decimal number to 6 places."""
    return _NUMBER.sub(lambda found: repr(round(float(found.group()), 6)), text)


def normal(text: str) -> str:
    """What is compared."""
    text = _INSTALLED.sub("", _COLOUR.sub("", text).replace("\r\n", "\n"))
    return rounded(text.strip())


def is_traceback(text: str) -> bool:
    """A recorded traceback or syntax error."""
    return bool(_TRACEBACK.search(text))


def executions(row: dict) -> list[str]:
    """What the record of a row shows of its cells' outputs."""
    return [block["content"] for block in row["blocks"] if block["type"] == "execution"]


def is_timeout(text: str) -> bool:
    """A cell the recording gave up on."""
    return "Timeout waiting for reply" in text or "KeyboardInterrupt" in text


def kind_of(recorded: str, *, after_timeout: bool) -> str:
    """`plain`, `traceback`, or why a block is left out, judged by the record alone.

    `after_timeout`: whether an earlier cell of the row timed out, so that the session is another one since.
    """
    if is_timeout(recorded):
        return "timed out in the record"
    if after_timeout:
        return "after a time-out"
    if is_traceback(recorded):
        return "traceback"
    return "set order" if _SET.search(recorded) else "plain"


def last_error(text: str) -> tuple[str, str]:
    """Exception type and last line of a traceback.

    The record joins lines with spaces: the last `Name:` decides.
    """
    text = normal(text)
    found = list(_ERROR_LINE.finditer(text))
    if not found:
        return "", text.rpartition("\n")[2].strip()
    # The exception's own line is the last one that *starts* with a name; a message may name another exception.
    starts = [match for match in found if match.start() == 0 or text[match.start() - 1] in "\n "]
    own = [m for m in starts if m.start() == 0 or text[: m.start()].endswith("\n") or text[: m.start()].endswith("\n ")]
    match = (own or starts or found)[-1]
    return match.group(1).rpartition(".")[2], " ".join(text[match.start() :].split())


@dataclass
class Tally:
    """Counts over all rows."""

    counts: collections.Counter[str] = field(default_factory=collections.Counter)
    misses: list[dict[str, object]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


def replay(row: dict, source: str, limits: Limits, tier: str | None, tally: Tally) -> None:
    """Run one row and count."""
    after_timeout = False
    with Sandbox(limits, tier=tier) as sandbox:
        blocks = row["blocks"]
        for position, block in enumerate(blocks[:-1]):
            following = blocks[position + 1]
            if block["type"] != "code" or following["type"] != "execution":
                continue
            recorded = following["content"]
            result = sandbox.run(block["content"])
            kind = kind_of(recorded, after_timeout=after_timeout)
            same = normal(recorded) == normal(result.output)
            after_timeout = after_timeout or kind == "timed out in the record"
            with tally.lock:
                tally.counts["blocks"] += 1
                if kind == "traceback":
                    tally.counts["tracebacks"] += 1
                    (name, line), (our_name, our_line) = last_error(recorded), last_error(result.output)
                    change = None if line == our_line else change_between(line, our_line)
                    tally.counts["tracebacks, same type"] += name == our_name or change is not None
                    tally.counts["tracebacks, same last line"] += line == our_line or change is not None
                    if change is not None:
                        tally.counts[f"worded otherwise since {change.since}: {change.name}"] += 1
                    elif name != our_name or line != our_line:
                        cause = "type" if name != our_name else "last line"
                        tally.misses.append(_miss(row, source, position, cause, block, recorded, result))
                elif kind == "plain":
                    tally.counts["plain"] += 1
                    if same:
                        tally.counts["plain, equal"] += 1
                    else:
                        cause = result.status if result.status in ("timeout", "killed") else f"plain {result.status}"
                        tally.misses.append(_miss(row, source, position, cause, block, recorded, result))
                else:
                    tally.counts[f"left out: {kind}"] += 1
                    if kind == "set order":
                        tally.counts["left out: set order, yet equal"] += same


def _miss(row: dict, source: str, position: int, cause: str, block: dict, recorded: str, result) -> dict[str, object]:
    return {
        "where": f"{source}#{row['id']}@{position}",
        "cause": cause,
        "code": block["content"],
        "recorded": recorded,
        "ours": result.output,
        "status": result.status,
        "seconds": round(result.seconds, 2),
    }


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=SHARED_DATA)
    parser.add_argument("--rows", type=int, default=0, help="a random sample of so many rows; 0: all")
    parser.add_argument("--tracebacks", action="store_true", help="only rows in which a recorded execution is one")
    parser.add_argument("--threads", type=int, default=3, help="sessions at once")
    parser.add_argument("--tier", default=None)
    parser.add_argument("--seconds", type=float, default=20.0, help="time limit of a cell")
    parser.add_argument("--list", type=Path, default=None, help="write every mismatch here, one JSON a line")
    add_json_argument(parser, "sandbox_fidelity")
    arguments = parser.parse_args()

    launchers.NICE = 0  # This is about what is printed; waiting behind everything else would only take longer.
    rows = [
        (path.stem, json.loads(line))
        for path in sorted((arguments.data / "traces").glob("*.jsonl"))
        for line in path.read_text(encoding="utf-8").splitlines()
        if line
    ]
    if arguments.tracebacks:
        rows = [row for row in rows if any(map(is_traceback, executions(row[1])))]
    if arguments.rows:
        rows = random.Random(1).sample(rows, arguments.rows)
    limits = Limits(cell_seconds=arguments.seconds, output_chars=2_000_000, memory_mb=2048)
    tally = Tally()
    started = time.monotonic()
    with ThreadPoolExecutor(arguments.threads) as pool:
        for done, _ in enumerate(
            pool.map(lambda item: replay(item[1], item[0], limits, arguments.tier, tally), rows), start=1
        ):
            if done % 500 == 0:
                print(f"  {done} rows, {time.monotonic() - started:.0f} s", file=sys.stderr)
    figures = Figures(
        "sandbox_fidelity",
        rows=len(rows),
        tier=host.get(arguments.tier).tier,
        seconds=arguments.seconds,
    )
    report(tally, figures, time.monotonic() - started, arguments.list)
    return figures.finish(arguments.json)


def report(tally: Tally, figures: Figures, seconds: float, listing: Path | None) -> None:
    """Print the figures beside what was promised, and what was left out or differed, by cause."""
    counts = tally.counts
    figures.add("blocks", counts["blocks"])
    figures.add("time", seconds, unit="s")
    for name in sorted(counts):
        if name.startswith("left out"):
            figures.add(name, counts[name])
    for name, equal, total in (
        ("plain", counts["plain, equal"], counts["plain"]),
        ("type", counts["tracebacks, same type"], counts["tracebacks"]),
        ("last line", counts["tracebacks, same last line"], counts["tracebacks"]),
    ):
        print(f"{name}: {equal} of {total}")
        figures.details[name] = {"equal": equal, "of": total}
        figures.add(f"{name}, share equal", equal / total if total else 1.0, at_least=PROMISES[name])
    reworded = {name: count for name, count in sorted(counts.items()) if name.startswith("worded otherwise")}
    print(f"last lines in which only the words have changed: {sum(reworded.values())}")
    figures.details["worded otherwise"] = reworded
    causes = collections.Counter(str(miss["cause"]) for miss in tally.misses).most_common()
    for cause, count in causes:
        print(f"mismatch, {cause}: {count}")
    figures.details["mismatches"] = dict(causes)
    if listing is not None:
        listing.write_text("".join(json.dumps(miss) + "\n" for miss in tally.misses), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
