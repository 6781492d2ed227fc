"""Arguments that the verbs which run a model share, and what they become."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recipes.cli.command import Parser, positive_int, say
from runtime.errors import InputError

if TYPE_CHECKING:
    from recipes.preferences import Preferences
    from runtime.engine import Engine
    from runtime.sandbox import Limits
    from runtime.settings import SolverSettings

SEE_HELP = "see --help for what is allowed"
NO_ADAPTER = "none"
"""What `--lora` takes for the model alone; a file of that name is `./none`."""
_FLAGS: dict[str, tuple[Callable[[str], Any], str, str]] = {
    "temperature": (float, "T", "how freely tokens are drawn; 0 is greedy and repeatable (default 0)"),
    "seed": (int, "S", "seed of the sampling (default 1)"),
    "max_tokens": (positive_int, "N", "tokens one solution may have (default 3072)"),
    "max_seconds": (float, "S", "seconds one solution may take (default 600)"),
    "max_blocks": (positive_int, "N", "text and code blocks one solution may have (default 32)"),
}


def add_model_arguments(parser: Parser) -> None:
    """`--n-ctx`, `--threads` and what else belongs to loading a model."""
    group = parser.add_argument_group("the model")
    group.add_argument(
        "--n-ctx",
        type=positive_int,
        metavar="N",
        help="tokens of context (default: 4096; models of other dialects: by memory)",
    )
    group.add_argument(
        "--threads", type=positive_int, metavar="N", help="threads for decoding (default: physical cores)"
    )
    group.add_argument("--gpu-layers", type=int, metavar="N", help="layers kept on the GPU, -1 for all (default 0)")
    group.add_argument(
        "--flash-attention", choices=("auto", "on", "off"), help="flash attention (default: on with a GPU, off without)"
    )
    group.add_argument("--cache-type", metavar="TYPE", help="type of the key-value cache, e.g. q8_0 (default f16)")
    group.add_argument(
        "--lora",
        metavar="FILE",
        help="a LoRA adapter in GGUF form on top of the model; none: not the packaged one either",
    )
    group.add_argument("--endpoint", metavar="URL", help="an OpenAI-compatible server that holds the model")
    group.add_argument(
        "--dialect",
        metavar="NAME",
        help="how the model is asked and calls Python (default: read off its file)",
    )


def add_solver_arguments(parser: Parser) -> None:
    """Sampling, budgets and limits of the cells."""
    group = parser.add_argument_group("solving")
    for name, (kind, metavar, text) in _FLAGS.items():
        group.add_argument(f"--{name.replace('_', '-')}", type=kind, metavar=metavar, help=text)
    group.add_argument(
        "--thinking", choices=("on", "off"), help="whether a reasoning model thinks first (default: as it was trained)"
    )
    group.add_argument(
        "--no-execution", action="store_true", help="do not run the code (to measure what running is worth)"
    )
    group.add_argument("--cell-seconds", type=float, metavar="S", help="seconds one cell may take (default 6)")
    group.add_argument("--memory-mb", type=positive_int, metavar="MB", help="memory the code may use (default 1024)")


def add_session_arguments(parser: Parser) -> None:
    """What `solve` and `chat` have in common."""
    parser.add_argument(
        "--samples", type=positive_int, metavar="K", help="solutions that vote on each answer (default 1)"
    )
    parser.add_argument("--unsafe-exec", action="store_true", help="run code WITHOUT isolation where none works here")
    add_model_arguments(parser)
    add_solver_arguments(parser)


def given(args: argparse.Namespace, *names: str) -> dict[str, Any]:
    """Those of `names` that stand on the command line."""
    return {name: value for name in names if (value := getattr(args, name, None)) is not None}


@dataclass(frozen=True)
class Call:
    """What a call that solves says.

    Attributes:
        args: the command line.
        preferences: the person's settings, those on the command line included.
        settings: how a question is solved.
        limits: of the cells.
    """

    args: argparse.Namespace
    preferences: Preferences
    settings: SolverSettings
    limits: Limits

    def load(self, name: str | None) -> AbstractContextManager[Engine]:
        """The model called `name`, loaded; it is freed at the end of the `with` block."""
        return closing(load_engine(self.args, model_of(self.args, name), self.preferences))


def read_call(args: argparse.Namespace) -> Call:
    """What the command line, the environment and the settings file say together.

    Raises:
        InputError: an impossible value.
    """
    preferences = person(args)
    return Call(args, preferences, solver_settings(args, preferences), cell_limits(preferences))


def load_engine(args: argparse.Namespace, model: Path | str, preferences: Preferences) -> Engine:
    """Load `model` as the arguments and the settings say.

    Raises:
        InputError: the arguments contradict each other or hold impossible values.
        ModelError: the file cannot be used.
    """
    from runtime.engine import load
    from runtime.settings import EngineSettings, validated

    values: dict[str, Any] = {
        "n_ctx": preferences.n_ctx,
        "threads": preferences.threads,
        "gpu_layers": preferences.gpu_layers,
        **given(args, "flash_attention"),
    }
    if args.cache_type is not None:
        values |= {"cache_type_k": args.cache_type, "cache_type_v": args.cache_type}
    settings = validated(EngineSettings, values, remedy=SEE_HELP)
    engine = load(model, lora=_adapter(args, model), endpoint=args.endpoint, settings=settings)
    try:
        _tell_dialect(engine, getattr(args, "dialect", None) or "auto")
    except BaseException:
        engine.close()
        raise
    return engine


def _tell_dialect(engine: Engine, name: str) -> None:
    """Say how the model is spoken to, and why, where that is another way than the block format."""
    from runtime.solver.dialects import choose, line_about

    dialect = choose(name, engine)
    if dialect.name != "lce":
        say(line_about(dialect))


def _adapter(args: argparse.Namespace, model: Path | str) -> Path | None:
    """The adapter that was asked for, or the packaged one for `model` in the block format."""
    from recipes.smollm2 import adapter_for

    if args.lora is not None:
        return None if args.lora == NO_ADAPTER else Path(args.lora)
    if args.endpoint or getattr(args, "dialect", None) not in (None, "auto", "lce"):
        return None
    return adapter_for(Path(model))


def solver_settings(args: argparse.Namespace, preferences: Preferences) -> SolverSettings:
    """Budgets and sampling.

    Raises:
        InputError: an impossible value.
    """
    from runtime.settings import SolverSettings, validated

    values: dict[str, Any] = given(args, *_FLAGS, "dialect")
    if preferences.temperature:  # Where nobody set one, a model whose makers recommend one is drawn from with that.
        values.setdefault("temperature", preferences.temperature)
    if args.thinking is not None:
        values["thinking"] = args.thinking == "on"
    if args.no_execution:
        values["code_execution"] = False
    return validated(SolverSettings, values, remedy=SEE_HELP)


def follow_verdict(args: argparse.Namespace, engine: Engine, settings: SolverSettings) -> SolverSettings:
    """`settings` without code where it was measured that code makes this model worse; a line says so.

    A dialect that is named on the command line, and `--no-execution`, are followed whatever was measured.
    """
    from recipes.verdicts import has_outdated_verdict, subject_of, verdict_of
    from runtime.solver.dialects import choose

    if args.endpoint or args.no_execution or getattr(args, "dialect", None):
        return settings
    subject = subject_of(engine, choose("auto", engine).name)
    if subject is None:
        return settings
    verdict = verdict_of(subject)
    if verdict is None:
        if has_outdated_verdict(subject.model):
            say(
                f"an earlier verdict on {subject.model.name} does not say with which adapter it was measured, so it is "
                "not followed; measure again: mathcoder eval --with-and-without"
            )
        return settings
    if verdict.finding != "hurts":
        say(verdict.told)
        return settings
    say(f"{verdict.told}; so it answers without code. --dialect {verdict.dialect} runs code even so.")
    return settings.model_copy(update={"mode": "chain-of-thought"})


def cell_limits(preferences: Preferences) -> Limits:
    """Limits of the cells.

    Raises:
        InputError: an impossible value.
    """
    from runtime.sandbox import Limits
    from runtime.settings import validated

    return validated(Limits, preferences.model_dump(include={"cell_seconds", "memory_mb"}), remedy=SEE_HELP)


def model_of(args: argparse.Namespace, name: str | None) -> Path | str:
    """The file that `name` stands for; with `--endpoint` a name that only the server knows stays as it is."""
    from recipes.models import resolve

    if getattr(args, "endpoint", None):
        if name is None:
            raise InputError("no model was named", "", "with --endpoint, give the name the server knows the model by")
        return Path(name) if Path(name).is_file() else name
    return resolve(name)


def person(args: argparse.Namespace) -> Preferences:
    """The settings that count, those on the command line included."""
    from recipes.preferences import Preferences, preferences

    return preferences(**given(args, *Preferences.model_fields.keys() - {"model", "models"}))


def warn_unsafe(unsafe: bool) -> None:
    """Say, every time, that code runs without isolation."""
    if unsafe:
        from runtime.sandbox import UNSAFE_WARNING

        say(UNSAFE_WARNING, style="red")


def differing(settings: SolverSettings, what: str) -> SolverSettings:
    """`settings` for several samples of a question; a line says where that changed the temperature."""
    varied = settings.that_differ()
    if varied != settings:
        say(f"{what} must differ: temperature {varied.temperature} instead of 0")
    return varied
