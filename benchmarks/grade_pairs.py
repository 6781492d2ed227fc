"""Three graders on the labelled pairs: ours, math-verify alone, and the released evaluator's rules.

    python benchmarks/grade_pairs.py [--list] [--json FILE]

Prints, for each grader, false "equal" verdicts, missed true equals and seconds, on the pairs of
tests/runtime/grade/data/graded_pairs.jsonl. `--list` names them. Exit code 1 where ours calls an unequal
pair equal or misses more than 1 % of the equal ones.

The released evaluator's rules (MathCoder, `utils.py`) are written anew from their description: lower case, the text
after ` is `, the last box, what follows `=`, unit names removed wherever they occur together with every `^2` and `^3`
behind them, percent and dollar signs removed, then equality of the LaTeX parser's results or a difference below 1e-2.
It applied `eval` to its input; here sympy's own arithmetic takes that place, under an alarm. It is a stand-in: the
parser is the maintained successor of the one it used.
"""

from __future__ import annotations

import argparse
import json
import logging
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from runtime.grade import equivalent, last_boxed  # noqa: E402

PAIRS = ROOT / "tests" / "runtime" / "grade" / "data" / "graded_pairs.jsonl"
ALARM_SECONDS = 5

_UNITS = (
    "cookies screws square degree pints oranges persecond liters sq.ft. inches hours feet minutes seconds cents mph "
    "meters rams centimeters years weeks miles units km mm ms am mg kg cm ml pm gb"
).split()


class ExpiredError(Exception):
    """The alarm went off."""


@contextmanager
def alarm(seconds: int) -> Iterator[None]:
    """Raise ExpiredError in the block after `seconds`."""

    def ring(*_: object) -> None:
        raise ExpiredError

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def math_verify_alone() -> Callable[[str, str], bool]:
    """math-verify as its README uses it: both sides as text that may hold LaTeX."""
    from math_verify import parse, verify

    def grade(prediction: str, gold: str) -> bool:
        sides = [parse(side if "$" in side else f"${side}$") for side in (gold, prediction)]
        return bool(verify(*sides))

    return grade


def released_rules() -> Callable[[str, str], bool]:
    """The released evaluator's rules."""
    import sympy
    from latex2sympy2_extended import latex2sympy

    def strip(text: str) -> str:
        text = text.lower().rpartition(" is ")[2] if " is " in text.lower() else text.lower()
        text = last_boxed(text) or text
        text = text.rpartition("=")[2].rpartition(r"\approx")[2]
        for name in (r"\text", r"\mbox", r"\left", r"\right", r"^\circ", r"^{\circ}", r"\$", "$", r"\%", "%", r"\!"):
            text = text.replace(name, "")
        text = text.replace("tfrac", "frac").replace("dfrac", "frac").replace(" ", "")
        for unit in _UNITS:
            text = text.replace(unit + "^3", "").replace(unit + "^2", "").replace(unit, "")
        # An empty name in the released list of units makes the rule above apply to every power.
        text = text.replace("^3", "").replace("^2", "")
        return re.sub(r"^\.", "0.", text)

    def grade(prediction: str, gold: str) -> bool:
        left, right = strip(prediction), strip(gold)
        if not left or not right:
            return False
        if left == right:
            return True
        try:
            difference = latex2sympy(left) - latex2sympy(right)
            return bool(abs(sympy.N(difference)) < 1e-2)
        except ExpiredError:
            raise
        except Exception:
            return False

    return grade


def measure(pairs: list[dict[str, Any]], grade: Callable[[str, str], bool]) -> dict[str, Any]:
    """Verdicts of one grader on all pairs."""
    false_equal, missed, slowest, expired = [], [], 0.0, 0
    started = time.monotonic()
    for pair in pairs:
        begun = time.monotonic()
        try:
            with alarm(ALARM_SECONDS):
                verdict = grade(pair["prediction"], pair["gold"])
        except Exception as error:
            expired += isinstance(error, ExpiredError)
            verdict = False
        slowest = max(slowest, time.monotonic() - begun)
        if verdict and not pair["equal"]:
            false_equal.append(pair)
        elif pair["equal"] and not verdict:
            missed.append(pair)
    return {
        "false_equal": false_equal,
        "missed": missed,
        "seconds": time.monotonic() - started,
        "slowest": slowest,
        "expired": expired,
    }


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--list", action="store_true", help="name the pairs that each grader gets wrong")
    parser.add_argument("--json", type=Path, help="write the figures here")
    arguments = parser.parse_args()
    logging.disable(logging.CRITICAL)
    pairs = [json.loads(line) for line in PAIRS.read_text("utf-8").splitlines()]
    true = sum(pair["equal"] for pair in pairs)
    drawn = sum(pair["from"] == "traces" for pair in pairs)
    print(f"{len(pairs)} pairs, {true} equal, {drawn} drawn from published answers")
    graders = {"ours": equivalent, "math-verify alone": math_verify_alone(), "released rules": released_rules()}
    figures: dict[str, Any] = {}
    for name, grade in graders.items():
        found = measure(pairs, grade)
        figures[name] = {
            "false_equal": len(found["false_equal"]),
            "missed": len(found["missed"]),
            "found_percent": round(100 * (1 - len(found["missed"]) / true), 2),
            "seconds": round(found["seconds"], 2),
            "slowest_seconds": round(found["slowest"], 3),
            "expired": found["expired"],
        }
        print(f"{name:18} " + "  ".join(f"{key} {value}" for key, value in figures[name].items()))
        if arguments.list:
            for kind in ("false_equal", "missed"):
                for pair in found[kind]:
                    print(f"    {kind:11} {pair['prediction']!r} against {pair['gold']!r}")
    if arguments.json:
        from runtime.files import write_text

        write_text(
            arguments.json, json.dumps({"pairs": len(pairs), "equal": true, "graders": figures}, indent=2) + "\n"
        )
    ours = figures["ours"]
    return int(ours["false_equal"] > 0 or ours["found_percent"] < 99)


if __name__ == "__main__":
    sys.exit(main())
