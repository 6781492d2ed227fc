"""The `mathcoder` command: a table of verbs, and what happens around every one of them.

A verb is a module `recipes.cli.NAME` with `parser()` and `run(args)`; only the module of the verb that was typed is
imported, so that `mathcoder --help` answers at once. Results go to standard output, everything else to standard error.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence

from recipes.cli.command import filled, help_width, missing_library, paint, show_message, wants_colour
from recipes.cli.outputs import prepare_outputs, silence_output
from recipes.cli.verbs import VERBS, action_module, verb_module
from runtime.errors import MathCoderError

OVERVIEW = """\
usage: mathcoder VERB [arguments]
       mathcoder VERB --help

Fine-tune, export and run models that solve maths by writing text, running code and reading the result.

{verbs}

Examples:
  mathcoder demo                               see everything once, on any CPU
  mathcoder chat nano                          talk to the packaged model
  mathcoder solve nano "Write 77 in base 2."   one answer
  mathcoder train nano                         fine-tune the embedded base
  mathcoder export runs/nano-… --quant Q8_0    make a GGUF file of the result

Options:
  -h, --help             this text; `mathcoder VERB --help` for a verb's own
  --version              the version
  --debug                show the traceback of an error (also: MATHCODER_DEBUG=1)
  --completion SHELL     print completions for bash, zsh or fish

Settings: a command-line option wins over an environment variable (MATHCODER_MODEL, ...), which wins over the settings
file ({settings}), which wins over the built-in default.

Exit codes: 0 done, 1 the work failed (or any item of a batch), 2 the call was wrong, 130 interrupted."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one `mathcoder` call and return its exit code (0, 1, 2 or 130)."""
    words = list(sys.argv[1:] if argv is None else argv)
    # Everything after `--` is content, and `--debug` in a question is not for us.
    flags = words[: words.index("--")] if "--" in words else words
    debug = "--debug" in flags or os.environ.get("MATHCODER_DEBUG", "") not in ("", "0")
    words = [word for position, word in enumerate(words) if not (word == "--debug" and position < len(flags))]
    _stay_offline_and_quiet()
    prepare_outputs()
    try:
        code = _dispatch(words)
        sys.stdout.flush()
        return code
    except MathCoderError as error:
        if debug:
            raise
        _complain(error.for_people())
        return error.exit_code
    except KeyboardInterrupt:
        if debug:
            raise
        _complain("interrupted")
        return 130
    except BrokenPipeError:
        # The reader has gone (`| head`).
        silence_output()
        return 1
    except (OSError, MemoryError) as error:
        # The machine's, not the program's: a full disk, a closed output, no permission, no memory.
        if debug:
            raise
        silence_output()
        _complain(_machine(error))
        return 1
    except Exception as error:
        if debug:
            raise
        missing = missing_library(error)
        if missing is not None:
            _complain(missing.for_people())
            return missing.exit_code
        detail = " ".join(str(error).split()) or "no message"
        _complain(
            f"unexpected {type(error).__name__}: {detail}. This is a fault of MathCoder Toolkit; "
            "run the same command with --debug and report what it prints."
        )
        return 1


def _dispatch(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help", "help"):
        if len(words) > 1 and words[0] == "help" and words[1] in VERBS:
            return _dispatch([words[1], "--help"])
        print(overview(), end="")
        return 0 if words else 2
    if words[0] == "--version":
        from export.pipeline import toolkit_version

        print(f"mathcoder {toolkit_version()}")
        return 0
    if words[0] == "--completion":
        from recipes.cli.completion import script

        print(script(words[1] if len(words) > 1 else ""), end="")
        return 0
    verb, rest = words[0], words[1:]
    module = verb_module(verb)
    if hasattr(module, "ACTIONS") and rest and not rest[0].startswith("-"):  # such as `data show`
        module, rest = action_module(verb, rest[0]), rest[1:]
    args = module.parser().read(rest)
    return 0 if args is None else int(module.run(args))


def overview() -> str:
    """The text of `mathcoder --help`."""
    from recipes.places import settings_file, tilde

    width = max(map(len, VERBS))
    verbs = "\n".join(f"  {name:<{width}}  {summary}" for name, summary in VERBS.items())
    text = filled(OVERVIEW.format(verbs=verbs, settings=tilde(settings_file())), help_width()) + "\n"
    # Painted last: escape codes have no width.
    words = rf"^(?:  (?:{'|'.join(VERBS)})(?=  )|[A-Z][a-z]+:$)"
    colour = wants_colour(sys.stdout)
    return re.sub(words, lambda found: paint(found.group(), "bold", colour), text, flags=re.M)


def _machine(error: OSError | MemoryError) -> str:
    if isinstance(error, MemoryError):
        return "there is not enough memory. What was finished is kept; free some, and run the same command again."
    place = error.filename2 or error.filename  # of a copy or a move, it is the target that fails
    where = f"{place} cannot be used" if place else "an output cannot be written"
    return (
        f"{where}: {error.strerror or error}. No half-written file stands under an output's name, and what a long "
        "command did is kept. Make room or choose another place, and run the same command again."
    )


def _complain(message: str) -> None:
    show_message(f"mathcoder: {message}", "red")


def _stay_offline_and_quiet() -> None:
    # Nothing phones home. A user who wants a library's telemetry can still set its variable.
    for name in ("HF_HUB_DISABLE_TELEMETRY", "DO_NOT_TRACK", "UNSLOTH_DISABLE_STATISTICS"):
        os.environ.setdefault(name, "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
