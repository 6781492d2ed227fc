"""The ladder of isolation: the tiers, what each lets through, what would give a stronger one."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from ...errors import SandboxError

NAMES = ("namespaces", "bubblewrap", "reduced", "sandbox-exec", "unsafe")

UNSAFE_WARNING = (
    "UNSAFE: code written by the model runs with your own rights. "
    "It can read and change your files and use the network."
)

TITLES = {
    "namespaces": "own namespaces (tier 1)",
    "bubblewrap": "bubblewrap (tier 1b)",
    "reduced": "reduced: Landlock, seccomp and limits only (tier 2)",
    "sandbox-exec": "sandbox-exec (macOS, experimental)",
    "unsafe": "none (--unsafe-exec)",
}

_SIGNALLING = (
    "signalling: record locks and futexes on the libraries' files carry bits between sessions, and to programs outside "
    "that watch for them"
)
_MEMORY = (
    "memory of a session's processes together between two looks of the supervisor, ten a second: several may touch "
    "more than memory_mb in that time, though one alone cannot; no memory cgroup is used"
)
_EVERYWHERE = (
    "faults of the kernel itself, as in every sandbox without a virtual machine",
    "timing: code can measure how busy the processor is",
    "what a cell reports about itself: it can lie about its own result, never about another session's",
)
NOT_BLOCKED = {
    "namespaces": (*_EVERYWHERE, _SIGNALLING, _MEMORY),
    "bubblewrap": (
        *_EVERYWHERE,
        _SIGNALLING,
        _MEMORY,
        "sessions of one program share a process table and a scratch file system of 1 GiB; Landlock and seccomp keep "
        "them apart",
        "disk use between two looks of the supervisor, ten a second, is bounded by those 1 GiB alone",
    ),
    "reduced": (
        *_EVERYWHERE,
        _SIGNALLING,
        _MEMORY,
        "whether a file exists, its size and times, where a link leads: Landlock does not govern stat and readlink",
        "changing into folders of the user, without seeing what is in them",
        "disk use between two looks of the supervisor, ten a second, is bounded by the file size limit alone",
        "processor time and process numbers are shared with the user's other programs",
    ),
    "sandbox-exec": (
        *_EVERYWHERE,
        "memory: macOS enforces no cap",
        "everything not yet tried: nobody has run this tier",
    ),
    "unsafe": ("anything that you could do yourself",),
}

APPARMOR_RECIPE = """\
Ubuntu 23.10 and newer forbid namespaces to programs without an AppArmor profile. Either install bubblewrap 0.12 or
newer (sudo apt install bubblewrap), whose profile allows them, or give this Python one:
  sudo tee /etc/apparmor.d/mathcoder-python <<'PROFILE'
abi <abi/4.0>,
include <tunables/global>
profile mathcoder-python {python} flags=(unconfined) {{
  userns,
}}
PROFILE
  sudo apparmor_parser -r /etc/apparmor.d/mathcoder-python"""


def ladder() -> list[str]:
    """Tiers to try on this system, strongest first."""
    if sys.platform == "linux":
        return ["namespaces", "bubblewrap", "reduced"]
    return ["sandbox-exec"] if sys.platform == "darwin" else []


def remedies(failures: Sequence[tuple[str, str]]) -> list[str]:
    """What to do for a stronger tier than those that failed leave."""
    advice: list[str] = []
    if sys.platform == "win32":
        advice.append("on Windows, install WSL2 (wsl --install) and run this program inside it")
    reasons = dict(failures)
    if "namespaces" in reasons:
        restricted = _reads_one("/proc/sys/kernel/apparmor_restrict_unprivileged_userns")
        if restricted:
            advice.append(APPARMOR_RECIPE.format(python=os.path.realpath(sys.executable)))
        elif _reads_zero("/proc/sys/user/max_user_namespaces"):
            advice.append("allow user namespaces: sudo sysctl user.max_user_namespaces=15000")
        elif _reads_zero("/proc/sys/kernel/unprivileged_userns_clone"):
            advice.append("allow user namespaces: sudo sysctl kernel.unprivileged_userns_clone=1")
        else:
            advice.append(
                "in a container, allow namespaces (Docker: --security-opt seccomp=unconfined "
                "--security-opt systempaths=unconfined); elsewhere install bubblewrap 0.12 or newer"
            )
    if "bubblewrap" in reasons and not advice:
        advice.append("install bubblewrap 0.12 or newer (its package is called bubblewrap), or let the tier be chosen")
    if "reduced" in reasons and sys.platform == "linux":
        advice.append("use Linux 5.13 or newer with Landlock switched on (boot option lsm=landlock,...)")
    return advice


def refusal(failures: Sequence[tuple[str, str]]) -> SandboxError:
    """The error that says that code is not run here, why, and what would change it."""
    if sys.platform == "win32":
        cause = "there is no isolation for model-written code on Windows"
    else:
        cause = "no isolation for model-written code works here (" + "; ".join(f"{a}: {b}" for a, b in failures) + ")"
    error = SandboxError(
        cause,
        "no code is run",
        " Or: ".join(
            [*remedies(failures), "--unsafe-exec (of solve and chat) runs code without protection, at your own risk"]
        ),
    )
    error.failures = tuple(failures)  # type: ignore[attr-defined]
    return error


def _reads_one(path: str) -> bool:
    return _read(path) not in ("", "0")


def _reads_zero(path: str) -> bool:
    return _read(path) == "0"


def _read(path: str) -> str:
    try:
        with open(path) as handle:
            return handle.read().strip()
    except OSError:
        return ""
