"""What a cell may use, and what comes back from one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from .protocol import INTERRUPTED

CellStatus = Literal["ok", "error", "timeout", "killed"]


class Limits(BaseModel):
    """Bounds of one session.

    They hold whatever the code does; what was cut or lost is announced in the output.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    cell_seconds: float = Field(default=6.0, gt=0, le=86_400)
    """Wall-clock seconds one cell may take; then it is interrupted, half a second later killed. Time for which a busy
    machine kept the cell from running does not count while the cell is one process; four times this is the end."""
    memory_mb: int = Field(default=1024, ge=64, le=1_048_576)
    """MiB that code may allocate on top of what the interpreter and its libraries take."""
    output_chars: int = Field(default=4096, ge=64, le=100_000_000)
    """Characters of output that come back from a cell; of longer output the head and the tail are kept."""
    disk_mb: int = Field(default=64, ge=1, le=65_536)
    """MiB of files in the session's scratch folder."""
    processes: int = Field(default=64, ge=8, le=4096)
    """Processes and threads of a session, its own two or three included."""

    @model_validator(mode="before")
    @classmethod
    def _without_retired(cls, values: Any) -> Any:
        # Recipes and records of version 0.1 hold `error_wording`, which means nothing any more.
        if isinstance(values, dict) and "error_wording" in values:
            return {key: value for key, value in values.items() if key != "error_wording"}
        return values

    def shown(self) -> list[tuple[str, str]]:
        """Names and values for people."""
        return [(key, f"{value:g}") for key, value in self.model_dump().items()]


@dataclass(frozen=True, slots=True)
class CellResult:
    """What one cell did."""

    output: str
    """What a Jupyter cell would have shown, as text: prints, echo, traceback; `<empty_execution>` for nothing."""
    status: CellStatus
    """`ok`; `error`: the code raised or did not compile; `timeout`; `killed`: the process running the cell died."""
    seconds: float
    """Wall-clock seconds, measured outside the process that ran the code."""
    images: list[bytes] = field(default_factory=list)
    """PNG bytes of the figures shown. Made by untrusted code: the signature is checked, nothing else."""
    notices: tuple[str, ...] = ()
    """What the sandbox itself has to say (time-out, lost state, cut output); in `output` too, after `[sandbox] `."""

    @property
    def is_stopped(self) -> bool:
        """Whether a limit, an interrupt or the death of its process stopped the cell before its end."""
        return self.status in ("timeout", "killed") or INTERRUPTED in self.notices
