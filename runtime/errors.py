"""One root for every error this project raises on purpose.

A message has three parts: the cause, the consequence, and the remedy. The command line prints it as one red line; a
program that uses the packages catches the subclass it can handle.
"""

from __future__ import annotations


class MathCoderError(Exception):
    """Something the user can act on went wrong.

    Args:
        cause: what is wrong, with the value that is wrong.
        consequence: what therefore does not happen (may be empty where the cause says it).
        remedy: what to do about it.
    """

    exit_code = 1

    def __init__(self, cause: str, consequence: str = "", remedy: str = "") -> None:
        self.cause = cause
        self.consequence = consequence
        self.remedy = remedy
        super().__init__(" ".join(_sentence(part) for part in (cause, consequence, remedy) if part))

    def for_people(self) -> str:
        """The message as a screen shows it: consequence and remedy are sentences that begin with a capital."""
        parts = [self.cause, *(_capital(part) for part in (self.consequence, self.remedy))]
        return " ".join(_sentence(part) for part in parts if part)


def _sentence(part: str) -> str:
    part = part.strip()
    return part if part.endswith((".", "!", "?", ":")) else part + "."


def _capital(part: str) -> str:
    # A command or a file name stays as it is typed.
    word = part.split(" ", 1)[0]
    return part[:1].upper() + part[1:] if word.isalpha() and word not in ("mathcoder", "pip") else part


class InputError(MathCoderError):
    """The call itself was wrong: an unknown key, a missing file, an impossible combination."""

    exit_code = 2


class RecipeError(InputError):
    """A recipe does not validate; the message lists every mistake at once."""


class DataError(MathCoderError):
    """Rows that cannot be read, or too many bad ones."""


class WriteError(MathCoderError, OSError):
    """A file or an output cannot be written: no room, no permission, a read-only or missing place.

    Also an OSError, with its `errno`, so that who can do without the file may catch it as one.
    """

    def __str__(self) -> str:
        return str(self.args[0])  # OSError's own would be "[Errno 28] ...".

    @classmethod
    def of(
        cls, target: object, error: OSError, consequence: str = "what stood there before is untouched"
    ) -> WriteError:
        """The error for `target` that says why the system refused."""
        made = cls(
            f"{target} cannot be written: {error.strerror or error}",
            consequence,
            "make room or choose another place, and run the same command again",
        )
        made.errno, made.strerror, made.filename = error.errno, error.strerror, str(target)
        return made


class ModelError(MathCoderError):
    """A model, adapter, tokenizer or GGUF file cannot be used."""


class SandboxError(MathCoderError):
    """Code cannot be run in isolation here; it is refused rather than run unprotected."""


class CellNotRunError(SandboxError):
    """The machine, not the code, kept a cell from running: no process, memory or room.

    Attributes:
        lost: whether the session's variables are lost, so that the same cell cannot simply be tried again.
    """

    def __init__(self, cause: str, consequence: str = "", remedy: str = "", *, lost: bool = False) -> None:
        super().__init__(cause, consequence, remedy)
        self.lost = lost


class EngineError(MathCoderError):
    """The inference engine failed, or cannot do what was asked of it."""


class TrainError(MathCoderError):
    """Training cannot start or cannot go on."""


class ExportError(MathCoderError):
    """A merge, conversion or quantization failed, or a certificate does not hold."""
