"""The app's side of the sandbox: finds a tier that works here, starts its launcher, asks it for sessions.

Names are loaded on first use: some of them import what the app may never need.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .launchers import Host, TierError, close_all, forget, get, start, weaker_tier
    from .report import Layer, Report, probe
    from .tiers import UNSAFE_WARNING, ladder

_HOMES = {
    "Host": "launchers",
    "Layer": "report",
    "Report": "report",
    "TierError": "launchers",
    "UNSAFE_WARNING": "tiers",
    "close_all": "launchers",
    "forget": "launchers",
    "get": "launchers",
    "ladder": "tiers",
    "probe": "report",
    "start": "launchers",
    "weaker_tier": "launchers",
}

__all__ = [
    "UNSAFE_WARNING",
    "Host",
    "Layer",
    "Report",
    "TierError",
    "close_all",
    "forget",
    "get",
    "ladder",
    "probe",
    "start",
    "weaker_tier",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
