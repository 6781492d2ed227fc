"""The journey on a real base: SmolLM2 from pip, rows, fine-tuning, export, questions before and after.

Each step is a call of `mathcoder` that a person could type; it is printed before it runs. A step whose result is there
is not done again, so a demo that was stopped goes on.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recipes import smollm2
from runtime.errors import InputError, MathCoderError

NOTHING = "nothing was done"
GSM8K = "train.jsonl of grade-school-math, which OpenAI publishes on GitHub (openai/grade-school-math, MIT)"
HELD_OUT_SEED = 9_001
"""Of the questions that are asked: another seed than any rows'."""


@dataclass(frozen=True)
class RealScale:
    """How much is done: generated rows, questions before and after, optimizer steps (None: one epoch)."""

    rows: int
    questions: int
    steps: int | None


FULL, SHORT = RealScale(3300, 200, None), RealScale(600, 100, 70)


def demo_real(out: Path, *, short: bool, gsm8k: Path | None = None, questions: Path | None = None) -> int:
    """Run it; returns the exit code.

    Args:
        out: where everything goes.
        short: about a quarter of an hour on two cores, instead of over an hour.
        gsm8k: the file of GSM8K's training questions, for rows in people's own English beside the generated ones.
        questions: a .jsonl file with `question` and `gold` to ask instead of generated held-out ones.

    Raises:
        InputError: a file that was named cannot be used, or `out` was begun with other inputs; nothing was done.
        MathCoderError: a step failed; the same command goes on there.
    """
    from recipes.places import models_folder

    scale = SHORT if short else FULL
    _check(gsm8k, questions)
    _begin(out, {"short": short, "gsm8k": _hash(gsm8k), "questions": _hash(questions)})
    if smollm2.base_file(models_folder()) is None:
        _do(["models", "get", smollm2.NAME])
    rows = out / "rows"
    if gsm8k is not None:
        _do(["data", "convert", str(gsm8k)], rows / "gsm8k.jsonl")
    else:
        print(f"Without --gsm8k the rows are the generated ones alone. It wants {GSM8K}.", flush=True)
    _do(["data", "stories", "--rows", str(scale.rows), "--seed", "1"], rows / "stories.jsonl")
    asked = questions or _held_out(out / "questions.jsonl", scale.questions)
    clean = out / "clean.jsonl"
    _do(["data", "decontaminate", str(rows), "--against", str(asked)], clean)
    nothing = ["train.max_steps=1", "train.learning_rate=1e-12", "train.warmup_steps=0"]
    shares = {}
    for name, changes in (("before", nothing), ("after", [] if scale.steps is None else [f"max_steps={scale.steps}"])):
        run = out / name
        if changes is nothing:
            print("First one step that changes nothing (its warning is meant): what the base solves, asked alike.")
        _do(["train", "smollm2-135m", "--data", str(clean), "--out", str(run), *changes])
        adapter = run / "export" / "smollm2-135m-adapter.gguf"
        if not adapter.is_file():
            # A certificate that does not hold is said; the adapter is there, and its answers are counted below.
            _do(["export", str(run), "--adapter-only"], allowed=(0, 1))
        if not adapter.is_file():
            raise MathCoderError("`mathcoder export` wrote no adapter", "the demo stops here; see its message")
        results = out / f"{name}-results"
        _do(
            ["eval", smollm2.NAME, "--lora", str(adapter), "--data", f"questions={asked}", "--out", str(results),
             "--limit", str(scale.questions), "--max-tokens", "256", "--slots", "16", "--no-plots"]
        )  # fmt: skip
        shares[name] = _solved(results / "results.jsonl")
    for name, (right, of) in shares.items():
        print(f"{name:<7} {right} of {of} questions solved ({right / max(1, of):.1%})")
    print(f"Next: mathcoder chat {smollm2.NAME} --lora {out / 'after' / 'export' / 'smollm2-135m-adapter.gguf'}")
    return 0


def _check(gsm8k: Path | None, questions: Path | None) -> None:
    """Refuse what a later step would refuse after an hour of work."""
    if gsm8k is not None and not gsm8k.is_file():
        raise InputError(f"there is no file {gsm8k}", NOTHING, f"--gsm8k wants {GSM8K}")
    if questions is not None:
        from runtime.evaluate.question_sets import load_set

        if "," in str(questions):
            raise InputError(f"the path {questions} holds a comma, which parts question sets", NOTHING, "rename it")
        load_set(f"questions={questions}")


def _hash(file: Path | None) -> str | None:
    from runtime.files import sha256_file

    return None if file is None else sha256_file(file)


def _begin(out: Path, inputs: dict[str, Any]) -> None:
    """Note what `out` is made from: steps that are done must have been of the same inputs."""
    from runtime.files import write_json

    file = out / "inputs.json"
    if not file.is_file():
        write_json(file, inputs)
        return
    try:
        before = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        before = None
    if before != inputs:
        raise InputError(
            f"{out} was begun with other inputs (--fast, --gsm8k or --questions)",
            f"what is done there would be mixed with them, so {NOTHING}",
            "give another --out, or remove that folder",
        )


def _do(words: Sequence[str], out: Path | None = None, *, allowed: tuple[int, ...] = (0,)) -> None:
    """One call of `mathcoder`; with `out`, only where that is not there yet."""
    if out is not None:
        if out.is_file():
            return
        out.parent.mkdir(parents=True, exist_ok=True)
        words = [*words, "--out", str(out)]
    print(f"$ mathcoder {' '.join(words)}", flush=True)
    code = subprocess.run([sys.executable, "-m", "recipes", *words], check=False).returncode
    if code == 130:
        raise KeyboardInterrupt
    if code not in allowed:
        raise MathCoderError(f"`mathcoder {words[0]}` ended with code {code}", "the demo stops here; see its message")


def _held_out(file: Path, count: int) -> Path:
    from itertools import islice

    from recipes.stories.rows import stories
    from runtime.files import write_text

    if not file.is_file():
        lines = (
            json.dumps({"id": f"story-{number}", "question": story.question, "gold": story.gold})
            for number, story in enumerate(islice(stories(HELD_OUT_SEED), count))
        )
        write_text(file, "\n".join(lines) + "\n")
    return file


def _solved(results: Path) -> tuple[int, int]:
    lines = [json.loads(line) for line in results.read_text(encoding="utf-8").split("\n") if line]
    if not lines:
        raise InputError(f"{results} holds no result", "there is nothing to compare", "remove its folder and try again")
    return sum(bool(line["correct"]) for line in lines), len(lines)
