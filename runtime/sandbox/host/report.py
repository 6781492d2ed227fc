"""What isolates code on this machine, in words: the tier, its layers, and what it does not block."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ...errors import SandboxError
from ..boundary import kernel
from . import launchers, tiers


@dataclass(frozen=True)
class Layer:
    """One layer of the boundary."""

    name: str
    active: bool
    detail: str


@dataclass(frozen=True)
class Report:
    """What `probe` found."""

    tier: str | None
    """The tier in force; None: code is refused."""
    title: str
    """The same in words."""
    layers: tuple[Layer, ...]
    not_blocked: tuple[str, ...]
    """What code can still do in this tier."""
    failures: tuple[tuple[str, str], ...]
    """Stronger tiers that were tried, and why each does not work here."""
    remedies: tuple[str, ...]
    """What would give a stronger tier."""


def probe() -> Report:
    """Find the strongest tier by starting it, and describe it. Starts the zygote, which stays for use.

    Never raises: where nothing works, the report says so.
    """
    try:
        found = launchers.get()
    except SandboxError as error:
        failures = tuple(getattr(error, "failures", ()))
        return Report(None, "refused: no isolation works here", (), (), failures, tuple(tiers.remedies(failures)))
    return Report(
        found.tier,
        tiers.TITLES[found.tier],
        tuple(_layers(found.tier, found.layers)),
        tiers.NOT_BLOCKED[found.tier],
        found.failures,
        tuple(tiers.remedies(found.failures)),
    )


_NETWORK = {
    "namespaces": "empty: not even a loopback that is up",
    "bubblewrap": "a loopback of its own, no sockets",
}


def _layers(tier: str, facts: dict[str, Any]) -> list[Layer]:
    isolated = tier == "namespaces"
    boxed = tier in ("namespaces", "bubblewrap")
    abi = int(facts.get("landlock", 0))
    shared = "shared by all sessions" if tier == "bubblewrap" else "one for each session" if isolated else "the host's"
    return [
        Layer("user, pid, mount and ipc namespaces", boxed, shared),
        Layer("network namespace", boxed, _NETWORK.get(tier, "the host's, no sockets")),
        Layer("file system of its own", boxed, "libraries read-only, nothing else" if boxed else "the host's, fenced"),
        Layer("scratch folder with a size", isolated, "tmpfs" if isolated else "watched, and file size limited"),
        Layer("Landlock", abi > 0, f"ABI {abi}" if abi else "not in this kernel"),
        Layer("seccomp", bool(facts.get("seccomp")), f"deny-list for {kernel.machine()}"),
        Layer("resource limits", bool(facts.get("limits")), ", ".join(facts.get("limits", ()))),
    ]
