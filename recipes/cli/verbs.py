"""The verbs of `mathcoder` and the module behind each."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from runtime.errors import InputError
from runtime.text import did_you_mean

VERBS: dict[str, str] = {
    "doctor": "check this machine: what is installed, what works, what to do about the rest",
    "demo": "the whole journey with the embedded nano model, in a few minutes",
    "data": "look at, check, clean, convert, grow and count training rows",
    "plan": "what a training run will need, before it is started",
    "train": "fine-tune a base model with QLoRA by a recipe",
    "ablate": "train and evaluate variants of a recipe, each with one part taken away",
    "reinforce": "let a fine-tuned model learn from its own executed solutions",
    "export": "merge a finished run, convert it to GGUF, quantize and certify it",
    "solve": "solve one question, or a file of them",
    "chat": "solve problems in conversation",
    "eval": "measure a model on question sets, or grade answers that exist",
    "serve": "offer the solver to other programs over HTTP",
    "models": "list the models this machine has",
}
"""Verb to the one line that `mathcoder --help` says about it."""


def verb_module(name: str) -> ModuleType:
    """The module of one verb.

    Raises:
        InputError: no such verb; the message names the nearest.
    """
    if name not in VERBS:
        raise InputError(
            f"unknown verb {name!r}" if not name.startswith("-") else f"unknown option {name!r} before a verb",
            "",
            did_you_mean(name, VERBS, "Did you mean `mathcoder {}`?") or f"The verbs are {', '.join(VERBS)}",
        )
    return import_module(f"recipes.cli.{name}")


def action_module(verb: str, name: str) -> ModuleType:
    """The module of one action of a verb that has some (`ACTIONS`).

    Raises:
        InputError: no such action; the message names the nearest.
    """
    actions = verb_module(verb).ACTIONS
    if name not in actions:
        hint = did_you_mean(name, actions) or f"The actions are {', '.join(actions)}"
        raise InputError(f"unknown action {name!r} of `mathcoder {verb}`", "", hint)
    return import_module(f"recipes.cli.{verb}.{name}")
