"""The grader on the golds of every question set: rewritten forms of each, and wrong neighbours.

    python benchmarks/grade_golds.py [--data DIR] [--sets a,b] [--list] [--json FILE]

For each file of DIR/questions: every different gold against itself, its box, its LaTeX form and five rewritten forms
(fractions as quotients, roots as powers, terms swapped, a name in front, Unicode), which are equal; and against twenty
wrong neighbours (ten other golds drawn by seed, ten golds with a digit, sign or operator changed), which are not. A
neighbour that is called equal is listed and may be one: `\\frac{2}{4}` beside `\\frac12`. Then 2,000 random pairs of
different golds of each set, or all pairs of a small one. Golds that cannot be read, and so are compared as text, are
listed. Answers are compared by the rule of the set where its name is known (`runtime.evaluate.known_sets`).
`--list` names what was not found, too.

Exit code 1 where a gold does not equal itself, its box or its LaTeX form.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from figures import SHARED_DATA  # noqa: E402

from runtime.evaluate.question_sets import load_set  # noqa: E402
from runtime.grade import last_boxed  # noqa: E402
from runtime.grade.rules import accepts, is_readable  # noqa: E402

NEIGHBOURS = 20
RANDOM_PAIRS = 2000
_FRACTION = re.compile(r"\\frac\{([^{}]*)\}\{([^{}]*)\}")
_ROOT = re.compile(r"\\sqrt\{([^{}]*)\}")


def exact_forms(gold: str) -> list[str]:
    """Forms that say the same whatever the gold is: itself, boxed, as mathematics."""
    box = rf"\boxed{{{gold}}}" if last_boxed(rf"\boxed{{{gold}}}") is not None else gold  # damaged golds have no box
    bare = gold.strip().strip("$") if gold.count("$") in (0, 2) else gold
    return [gold, box, f"${bare}$" if "$" not in bare else gold]


def rewritten(gold: str) -> list[str]:
    """Five other ways to write a gold."""
    quotient = _FRACTION.sub(r"((\1)/(\2))", gold)
    power = _ROOT.sub(r"(\1)^{1/2}", gold)
    terms = re.fullmatch(r"\$?([^-+=,<>(){}\[\]|:]+(?:\{[^{}]*\})*)\+([^-+=,<>(){}\[\]|:]+(?:\{[^{}]*\})*)\$?", gold)
    swapped = f"{terms[2]}+{terms[1]}" if terms else rf"\displaystyle {gold}"
    typed = gold.replace(r"\pi", "π").replace(r"\le ", "≤ ").replace(r"\infty", "∞").replace(r"\cup", "∪")
    typed = typed.replace("-", "−") if re.fullmatch(r"-[\d.]+", gold) else typed.replace(r"\frac", r"\dfrac")
    return [quotient, power, swapped, f"The answer is {gold}", typed]


def neighbours(gold: str, golds: list[str], rng: random.Random) -> list[str]:
    """Ten other golds and up to ten changed ones."""
    found = [other for other in rng.sample(golds, min(len(golds), 11)) if other != gold][:10]
    changes: list[Callable[[str], str]] = [
        lambda text: re.sub(r"\d(?=\D*$)", lambda m: str((int(m.group()) + rng.randint(1, 8)) % 10), text, count=1),
        lambda text: re.sub(r"\d", lambda m: str(int(m.group()) % 9 + 1), text, count=1),
        lambda text: text.replace("+", "-", 1) if "+" in text else "-" + text,
        lambda text: text + "0" if re.fullmatch(r"-?\d+", text) else text.replace("2", "3", 1),
        lambda text: f"{text}+1",
        lambda text: f"2({text})",
        lambda text: text.replace("(", "[", 1) if "(" in text else f"({text})^2",
        lambda text: text.replace(r"\sin", r"\cos") if r"\sin" in text else f"{text}, 1",
        lambda text: text.replace("x", "y") if "x" in text else f"{text}-2",
        lambda text: text.replace("3", "5", 1),
    ]
    changed = {change(gold) for change in changes} - {gold}
    return [*found, *sorted(changed)][:NEIGHBOURS]


def measure(path: Path) -> dict[str, Any]:
    """Verdicts on the golds of one set."""
    rules = {question.gold: question.rule for question in load_set(str(path)).questions}
    golds = sorted(rules)

    def equal(form: str, gold: str) -> bool:
        return accepts(form, gold, rules[gold])

    rng = random.Random(11)
    started = time.process_time()
    exact = [(form, gold) for gold in golds for form in exact_forms(gold) if not equal(form, gold)]
    forms = [(form, gold) for gold in golds for form in rewritten(gold)]
    missed = [pair for pair in forms if not equal(*pair)]
    wrong = [(other, gold) for gold in golds for other in neighbours(gold, golds, rng)]
    called = [pair for pair in wrong if equal(*pair)]
    if len(golds) * (len(golds) - 1) <= RANDOM_PAIRS:
        drawn = list(itertools.permutations(golds, 2))
    else:
        drawn = [(rng.choice(golds), rng.choice(golds)) for _ in range(RANDOM_PAIRS)]
    pairs = [(one, other) for one, other in drawn if one != other and equal(one, other)]
    return {
        "golds": len(golds),
        "not_read": [(gold,) for gold in golds if not is_readable(gold)],
        "exact_missed": exact,
        "rewritten": len(forms),
        "rewritten_missed": missed,
        "neighbours": len(wrong),
        "neighbours_equal": called,
        "random_pairs_equal": pairs,
        "seconds": round(time.process_time() - started, 1),
    }


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=SHARED_DATA, help="folder with questions/")
    parser.add_argument("--sets", default="", help="names of files without .jsonl, with commas between")
    parser.add_argument("--list", action="store_true", help="name the forms that were not found")
    parser.add_argument("--json", type=Path, help="write the figures here")
    arguments = parser.parse_args()
    folder = arguments.data / "questions"
    if not folder.is_dir():
        print(f"no question sets at {folder}; name the folder above it with --data", file=sys.stderr)
        return 2
    chosen = [name for name in arguments.sets.split(",") if name]
    figures: dict[str, Any] = {}
    print(f"{'set':18} {'golds':>6} {'self, box, LaTeX':>17} {'rewritten':>15} {'neighbours':>14} {'pairs':>6}")
    for path in sorted(folder.glob("*.jsonl")):
        if chosen and path.stem not in chosen:
            continue
        found = measure(path)
        exact, forms = 3 * found["golds"], found["rewritten"]
        exact_found, forms_found = exact - len(found["exact_missed"]), forms - len(found["rewritten_missed"])
        equal = f"{len(found['neighbours_equal'])}/{found['neighbours']}"
        print(
            f"{path.stem:18} {found['golds']:6} {exact_found:9}/{exact:<7} {forms_found:7}/{forms:<7} {equal:>14}"
            f" {len(found['random_pairs_equal']):6}   {found['seconds']} s"
        )
        kinds = ["not_read", "exact_missed", "neighbours_equal", "random_pairs_equal"]
        for kind in [*kinds, "rewritten_missed"] if arguments.list else kinds:
            for pair in found[kind]:
                print(f"    {kind}: {' against '.join(map(repr, pair))}")
        figures[path.stem] = {key: len(value) if isinstance(value, list) else value for key, value in found.items()}
    if arguments.json:
        from runtime.files import write_text

        write_text(arguments.json, json.dumps(figures, indent=2) + "\n")
    return int(any(row["exact_missed"] for row in figures.values()))


if __name__ == "__main__":
    sys.exit(main())
