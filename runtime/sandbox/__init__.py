"""Running model-written Python behind a kernel boundary, with the behaviour of a Jupyter kernel.

    with Sandbox(Limits(cell_seconds=6)) as sandbox:
        sandbox.run("x = 41").output          # '<empty_execution>'
        sandbox.run("x + 1").output           # '42'

Everything here is loaded on first use: the launcher process imports this package too, and must stay light.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..text import for_model, for_screen
    from .host.launchers import weaker_tier
    from .host.report import Report, probe
    from .host.tiers import UNSAFE_WARNING
    from .limits import CellResult, Limits
    from .session import NOTICE, Sandbox, warm

_HOMES = {
    "CellResult": ".limits",
    "Limits": ".limits",
    "NOTICE": ".session",
    "Report": ".host.report",
    "Sandbox": ".session",
    "UNSAFE_WARNING": ".host.tiers",
    "for_model": "..text",
    "for_screen": "..text",
    "probe": ".host.report",
    "warm": ".session",
    "weaker_tier": ".host.launchers",
}

__all__ = [
    "NOTICE",
    "UNSAFE_WARNING",
    "CellResult",
    "Limits",
    "Report",
    "Sandbox",
    "for_model",
    "for_screen",
    "probe",
    "warm",
    "weaker_tier",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    value = getattr(importlib.import_module(_HOMES[name], __name__), name)
    globals()[name] = value
    return value
