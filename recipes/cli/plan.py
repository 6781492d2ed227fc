"""`mathcoder plan`: what a training run will need, before it is started."""

from __future__ import annotations

import argparse
import json
from typing import Any

from recipes.cli.command import Parser
from recipes.cli.train import add_recipe_arguments, recipe_of


def parser() -> Parser:
    """Arguments of `mathcoder plan`."""
    result = Parser(
        "plan",
        "Say what a training run will need, before anything is spent.",
        details="""\
Rows, tokens of each kind, rows over the context (listed), steps and trainable parameters, without loading the
weights. The recipe is checked as a whole, so this is also the way to validate one.""",
        examples=[
            ("mathcoder plan nano", "the embedded recipe"),
            ("mathcoder plan mathcoder-cl-7b train.context=4096", "with a longer context"),
            ("mathcoder plan my.yaml --json", "for a program"),
        ],
        see_also=["train", "data"],
    )
    add_recipe_arguments(result)
    result.add_argument("--json", action="store_true", help="print the plan as JSON")
    return result


def run(args: argparse.Namespace) -> int:
    """Plan and print."""
    recipe = recipe_of(args)
    settings = recipe.qlora()
    facts, too_long = plan(settings)
    facts = {"recipe": recipe.name, "run folder": str(args.recipe and recipe.run_folder), **facts}
    if args.json:
        print(json.dumps({**facts, "too_long": too_long}, indent=2))
        return 0
    from rich.table import Table
    from rich.text import Text

    from runtime.render import make_console

    console = make_console()
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in facts.items():
        table.add_row(name, Text(f"{value:,}" if isinstance(value, int) else str(value)))
    console.print(table)
    for row in too_long[:10]:
        console.print(Text(f"over the context: {row['row']} ({row['tokens']} tokens)", style="warning"))
    if len(too_long) > 10:
        console.print(Text(f"and {len(too_long) - 10} more", style="warning"))
    return 0


def plan(settings: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Facts of a run of `settings` by name, and the rows over the context.

    Raises:
        InputError: base or rows cannot be found.
        DataError: the rows cannot be used.
    """
    import math

    from qlora.base import find_base, load_tokenizer
    from qlora.prepare import prepare
    from qlora.setup import adapter_bytes, check_context

    options = settings.train
    base = find_base(settings.base)
    check_context(base, options.context)
    data = prepare(settings.data, load_tokenizer(base), options.context)
    account = data.account()
    tokens: dict[str, int] = account["tokens"]
    steps = math.ceil(options.epochs * len(data.rows) / options.batch_rows)
    total = sum(tokens.values())
    supervised = int(data.supervised_per_row.sum())
    facts: dict[str, Any] = {
        "base": settings.base,
        "rows": len(data.rows),
        "held out": len(data.held_out),
        "bad rows": len(data.bad),
        "rows over the context": len(data.too_long),
        "tokens in an epoch": total,
        "of these carry loss": supervised,
        **{f"tokens of kind {kind}": count for kind, count in tokens.items()},
        "steps": min(steps, options.max_steps) if options.max_steps is not None else steps,
        "adapter on disk": f"{adapter_bytes(base, settings.lora) / 1e6:.1f} MB",
    }
    return facts, account["too_long"]
