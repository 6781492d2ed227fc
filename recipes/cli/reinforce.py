"""`mathcoder reinforce`: a model that solves already learns from its own executed solutions."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from recipes.cli.command import Parser, positive_int, require_training
from recipes.cli.train import add_recipe_arguments, recipe_of


def parser() -> Parser:
    """Arguments of `mathcoder reinforce`."""
    result = Parser(
        "reinforce",
        "Let a fine-tuned model learn from its own executed solutions, rewarded by right answers alone.",
        details="""\
Each step asks questions, solves each of them several times with real execution, rewards 1 for the right answer and 0
for anything else, and updates a fresh LoRA adapter, which llama.cpp then samples with. The recipe's `base` is the
merged model to start from: a GGUF file, a run folder with one exported file in it, `nano` or `smollm2`; its `data`
are questions with gold answers. See docs/reinforce.md.

A run that was stopped, by Ctrl-C, a kill or a power cut, goes on where it was when the same command is given again.""",
        examples=[
            ("mathcoder reinforce reinforce-nano", "the packaged model on fresh problems of its own kind"),
            ("mathcoder reinforce reinforce-nano method=rft updates=8 steps=3", "three rounds of rejection sampling"),
            ("mathcoder reinforce reinforce-nano reward=random", "the control: nothing should be learned"),
            ("mathcoder reinforce my.yaml --data questions.jsonl base=runs/x", "a model and questions of your own"),
        ],
        see_also=["train", "export", "eval"],
    )
    add_recipe_arguments(
        result, data="questions with gold answers: a .jsonl or .parquet file, a folder, a hub id, or nano"
    )
    result.add_argument("--out", type=Path, metavar="DIR", help="run folder (default runs/NAME-HASH8, by the settings)")
    result.add_argument("--fresh", action="store_true", help="start over where the folder holds a run already")
    result.add_argument(
        "--threads", type=positive_int, metavar="N", help="threads to sample with (default: the physical cores)"
    )
    result.add_argument(
        "--gpu-layers", type=int, default=0, metavar="N", help="layers that llama.cpp keeps on the GPU; -1: all"
    )
    result.add_argument("--json", action="store_true", help="print a summary of the run as JSON on standard output")
    return result


def run(args: argparse.Namespace) -> int:
    """Reinforce; exit code 130 where it was interrupted."""
    import yaml

    recipe = recipe_of(args)
    require_training("reinforce")
    from recipes.reinforce.job import Job, merged_model
    from recipes.reinforce.loop import reinforce
    from recipes.reinforce.questions import load_questions
    from runtime.files import write_text
    from runtime.show.console import make_console

    console = make_console(stderr=True)
    options = recipe.reinforce
    gguf = merged_model(recipe.base)  # First: it is quick to say what it lacks.
    questions = load_questions(
        recipe.data.source, options.held_out, percent=recipe.data.held_out_percent,
        most_held_out=options.held_out_questions,
    )  # fmt: skip
    for reason, count in questions.refused.items():
        console.print(f"left out: {count:,} lines: {reason}", style="yellow", highlight=False, markup=False)
    out = args.out or recipe.reinforced_folder
    job = Job(
        recipe.name, gguf, questions, recipe.data.source, options, recipe.train, recipe.lora,
        recipe.solve, recipe.sandbox, out, args.threads, args.gpu_layers,
    )  # fmt: skip
    outcome = reinforce(job, console, fresh=args.fresh)
    write_text(out / "recipe.yaml", yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True))
    if args.json:
        facts = {
            "out_dir": str(out), "status": outcome.status, "steps": outcome.steps, "stopped": outcome.stopped,
            "held_out": outcome.held_out,
        }  # fmt: skip
        print(json.dumps(facts, indent=2))
    if outcome.status != "finished":
        return 130
    for line in (
        f"Next: mathcoder export {out} --quant Q8_0",
        f"or:   mathcoder chat {job.gguf} --lora {out / 'adapter.gguf'}",
    ):
        console.print(line, highlight=False, markup=False, soft_wrap=not console.is_terminal)
    return 0
