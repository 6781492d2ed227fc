"""What the paper's runs would take on one kind of GPU: arithmetic, no measurement.

    python benchmarks/reproduction_hours.py [--rows FILE] [--utilization 0.35] [--peak 989]

For every recipe of the paper: memory of the smallest of the usual GPUs that holds it (as `mathcoder plan RECIPE --gpu`
says it), and hours: floating-point operations of the run (`qlora.shape`), divided by `--peak` TFLOP/s (989: an H100's
dense bfloat16) and by the share of it that training reaches. Lengths of rows are those of FILE in characters, at
CHARACTERS a token of Llama's tokenizer. Prints a table in Markdown.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path

from figures import SHARED_DATA

from qlora.cards import plan_for_card
from qlora.data import load_rows
from qlora.published import shape_of
from qlora.settings import QloraSettings
from recipes.schema import load_recipe
from runtime.evaluate.sheets import Sheet

RECIPES = (
    "mathcoder-l-7b", "paper/mathcoder-l-13b", "paper/mathcoder-l-70b", "mathcoder-cl-7b", "paper/mathcoder-cl-13b",
    "paper/mathcoder-cl-34b", "mistral-7b",
)  # fmt: skip
ROWS = 79_100
"""Rows of the hub's file."""
CARDS = (24, 48, 80)
CHARACTERS = 2.8
"""Of a token: Llama cuts digits one by one, so that mathematics has fewer than prose. An assumption."""


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    shared = SHARED_DATA
    parser.add_argument("--rows", type=Path, default=shared / "mathcodeinstruct_dev.jsonl")
    parser.add_argument("--utilization", type=float, default=0.35)
    parser.add_argument("--peak", type=float, default=989.0, help="TFLOP/s")
    args = parser.parse_args()
    lengths, supervised = [], []
    for row in load_rows(args.rows).rows:
        blocks = [(message["role"], block) for message in row.messages for block in message["content"]]
        lengths.append(sum(len(block["content"]) for _, block in blocks) / CHARACTERS + 3 * len(blocks))
        own = [block for role, block in blocks if role == "assistant" and block["type"] != "execution"]
        supervised.append(sum(len(block["content"]) for block in own) / CHARACTERS + 2 * len(own))
    body = []
    for name in RECIPES:
        recipe = load_recipe(name)
        settings = QloraSettings(
            name=recipe.name, base=recipe.base, data=recipe.data, train=recipe.train, lora=recipe.lora
        )
        flops = shape_of(recipe.base).training_flops(recipe.lora, [int(n) for n in lengths], int(sum(supervised)))
        flops *= ROWS / len(lengths) * recipe.train.epochs
        hours = flops / (args.peak * 1e12 * args.utilization) / 3600
        fitting = next((size for size in CARDS if plan_for_card(settings, size * 10**9).fits), None)
        body.append([name, recipe.base, f"{fitting} GB" if fitting else "several", f"{hours:.0f}"])
    mean = statistics.fmean(lengths)
    note = f"{ROWS:,} rows of {mean:.0f} tokens, 3 epochs; {args.utilization:.0%} of {args.peak:g} TFLOP/s"
    print(Sheet("GPU hours of the paper's runs", ["recipe", "base", "smallest GPU", "hours"], body, 3, note).markdown())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
