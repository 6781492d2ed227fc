"""Does `data decontaminate` find what comes from a benchmark, and nothing else?

    python benchmarks/data_decontaminate.py [--data DIR]

- Every development row comes from one of the question sets: all of them have to be found.
- 200 questions of the sets, edited in case, spacing, typography or LaTeX spacing (words and numbers untouched): all
  have to be found.
- The generated nano problems come from templates of our own: under 0.1 % may be found.

Exit code 1 where a promise is broken.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import sys
import tempfile
import time
import unicodedata
from pathlib import Path

from figures import RESULTS, SHARED_DATA, Figures

from recipes.data.decontaminate import decontaminate
from recipes.data.rows import Refused, read_questions, write_lines
from recipes.nano.problems import training_problems


def edited(text: str, rng: random.Random) -> str:
    """`text` with its case, its spacing, both, its typography or its LaTeX spacing changed."""
    kind = rng.choice(("upper", "lower", "title", "double", "lines", "commas", "both", "typography", "latex"))
    if kind in ("upper", "both"):
        text = text.upper()
    elif kind == "lower":
        text = text.lower()
    elif kind == "title":
        text = " ".join(word[:1].upper() + word[1:] for word in text.split(" "))
    if kind in ("double", "both"):
        text = text.replace(" ", "  ")
    elif kind == "lines":
        text = text.replace(". ", ".\n\n").replace(" ", "\t", 3)
    elif kind == "commas":
        text = text.replace(",", " ,").replace("?", " ?")
    elif kind == "typography":
        text = (
            unicodedata.normalize("NFD", text).replace(" ", "\u00a0", 5).replace("'", "\u2019").replace("-", "\u2212")
        )
        text = text.replace("$", "\u200b$", 1)
    elif kind == "latex":
        text = re.sub(r"(?<=\d),(?=\d{3})", r"{,}", text).replace("\\frac", "\\dfrac").replace("\\cdot", "\\times")
        text = text.replace("(", "\\left( ").replace(")", " \\right)").replace(" + ", " \\,+\\; ")
    return f" {text}\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, default=SHARED_DATA)
    parser.add_argument("--nano", type=int, default=4000, help="generated problems")
    arguments = parser.parse_args()
    questions, figures = str(arguments.data / "questions"), Figures("data_decontaminate")

    begun = time.monotonic()
    overlap = decontaminate(str(arguments.data / "mathcodeinstruct_dev.jsonl"), [questions])
    print(f"{dict(overlap.by_reason)}, against {overlap.benchmark_questions} questions in "
          f"{time.monotonic() - begun:.1f} s")  # fmt: skip
    figures.details["development_rows"] = dict(overlap.by_reason)
    figures.count("development rows found", len(overlap.hits), overlap.rows)

    rng = random.Random(9)
    everything = [q for path in sorted(Path(questions).glob("*.jsonl")) for q in read_questions(str(path), Refused())]
    chosen = [question.question for question in rng.sample(everything, 200)]
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "edited.jsonl"
        write_lines(source, ({"question": edited(text, rng)} for text in chosen))
        overlap = decontaminate(str(source), [questions])
        figures.details["edited_questions"] = dict(overlap.by_reason)
        figures.count("edited questions found", len(overlap.hits), len(chosen))

        source = Path(folder) / "nano.jsonl"
        write_lines(source, ({"question": problem.question} for problem in training_problems(arguments.nano, 1)))
        overlap = decontaminate(str(source), [questions])
        share = 100 * len(overlap.hits) / overlap.rows
        figures.details["generated_problems"] = {"found": len(overlap.hits), "of": overlap.rows}
        figures.add("generated problems found", share, below=0.1, unit="%")
        for hit in overlap.hits[:5]:
            print(json.dumps(hit.as_dict()))
    return figures.finish(RESULTS / "data_decontaminate.json" if arguments.nano >= 4000 else None)


if __name__ == "__main__":
    sys.exit(main())
