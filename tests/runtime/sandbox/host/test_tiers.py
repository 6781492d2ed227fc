"""Where a tier is found: roots in name only, inherited signals, Python behind symbolic links."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from runtime.sandbox import host
from runtime.sandbox.boundary import bubblewrap
from runtime.sandbox.host import launchers, paths

ROOT = Path(__file__).resolve().parents[4]
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="users and capabilities are Linux's here")

PROGRAM = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
from runtime.sandbox import Sandbox, host
tier = sys.argv[1] if len(sys.argv) > 1 else None
with Sandbox(tier=tier) as sandbox:
    print(sandbox.tier, sandbox.run("import numpy, sympy; int(numpy.int64(6)) * 7").output)
"""
DOCKER = (
    "-all,+chown,+dac_override,+fowner,+fsetid,+kill,+setgid,+setuid,+setpcap,+net_bind_service,+net_raw,+sys_chroot,"
    "+mknod,+audit_write,+setfcap"
)
needs_root = pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="taking capabilities away takes root")


def output(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} (util-linux) is not installed")
    return found


@needs_root
@pytest.mark.parametrize("held", ["-all", DOCKER], ids=["none", "docker's"])
def test_a_root_without_the_capabilities_of_one_finds_a_tier(held: str) -> None:
    words = output(
        tool("setpriv"), f"--bounding-set={held}", "--inh-caps=-all", sys.executable, "-c", PROGRAM
    ).split()  # fmt: skip
    assert words[0] in ("namespaces", "reduced")
    assert words[1] == "42"


@needs_root
@pytest.mark.parametrize("held", ["-all", DOCKER], ids=["none", "docker's"])
def test_the_reduced_tier_needs_no_capability_to_give_rights_up(held: str) -> None:
    limited = (tool("setpriv"), f"--bounding-set={held}", "--inh-caps=-all")
    assert output(*limited, sys.executable, "-c", PROGRAM, "reduced") == "reduced 42"


def test_the_only_user_of_a_container_finds_the_strongest_tier() -> None:
    unshare = tool("unshare")
    if subprocess.run([unshare, "-Ur", "true"], capture_output=True, check=False).returncode:
        pytest.skip("user namespaces are not allowed here")
    assert output(unshare, "-Ur", sys.executable, "-c", PROGRAM).endswith(" 42")
    assert output(unshare, "-Ur", sys.executable, "-c", PROGRAM, "reduced") == "reduced 42"


@needs_root
def test_what_the_kernel_does_not_bound_for_a_root_in_name_the_supervisor_counts() -> None:
    code = PROGRAM + (
        "\nfrom runtime.sandbox import Limits\n"
        "with Sandbox(Limits(processes=16, cell_seconds=30), tier=tier) as sandbox:\n"
        "    sandbox.run('x = 5')\n"
        "    bomb = 'import os, time\\ntry:\\n  for _ in range(200): os.fork() or time.sleep(60)\\n'\n"
        "    bomb += 'except OSError: pass\\ntime.sleep(20)'\n"
        "    print(sandbox.run(bomb).status, sandbox.run('x').output)\n"
    )
    limited = (tool("setpriv"), "--bounding-set=-all", "--inh-caps=-all")
    assert output(*limited, sys.executable, "-c", code, "reduced").splitlines()[1] == "killed 5"


def test_an_ignored_sigchld_and_blocked_signals_are_not_handed_down() -> None:
    program = (
        "import signal\nsignal.signal(signal.SIGCHLD, signal.SIG_IGN)\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGCHLD})\n" + PROGRAM
    )
    assert output(sys.executable, "-c", program).endswith(" 42")


def test_a_virtual_environment_behind_symbolic_links_works_in_every_tier(tier: str, tmp_path: Path) -> None:
    if sys.prefix == sys.base_prefix:
        pytest.skip("this Python is not in a virtual environment")
    if tier != "namespaces" and os.geteuid() == 0:
        tmp_path = Path(os.path.realpath(tmp_path))
    (tmp_path / "project").mkdir()
    (tmp_path / "other").symlink_to(tmp_path / "project")
    (tmp_path / "project" / ".venv").symlink_to(sys.prefix)
    python = tmp_path / "other" / ".venv" / "bin" / Path(sys.executable).name
    older = f"from runtime.sandbox.boundary import bubblewrap; bubblewrap.OLDEST = {bubblewrap.OLDEST}"
    program = PROGRAM.replace("tier = sys", f"{older}\ntier = sys", 1)
    assert output(str(python), "-c", program, tier) == f"{tier} 42"


def test_links_in_any_part_of_a_path_are_shown_beside_what_they_lead_to(tmp_path: Path) -> None:
    real = tmp_path / "disk" / "env" / "lib" / "site-packages"
    (real / "ours").mkdir(parents=True)
    store = tmp_path / "store" / "numbers"
    store.mkdir(parents=True)
    (store / "__init__.py").touch()
    (real / "numbers").symlink_to(store)
    (real / "files").mkdir()
    (real / "files" / "a.py").symlink_to(store / "__init__.py")
    (tmp_path / "home").symlink_to("disk")
    (tmp_path / "disk" / "venv").symlink_to(tmp_path / "disk" / "env")
    seen = str(tmp_path / "home" / "venv" / "lib" / "site-packages")
    shown = [path for path in paths.trees([seen]) if path.startswith(str(tmp_path))]
    assert shown == [
        str(tmp_path / "disk" / "env" / "lib" / "site-packages"),
        str(tmp_path / "disk" / "venv"),
        str(tmp_path / "home"),
        str(store),
    ]


@pytest.mark.parametrize(
    ("bound", "scratch"),
    [
        (["/usr"], "/work"),
        (["/work/a/lib"], "/work/scratch"),
        (["/work"], "/session"),
        (["/work/scratch/x"], "/session"),
    ],
)
def test_the_sessions_folder_hides_nothing_that_python_needs(bound: list[str], scratch: str) -> None:
    assert paths.scratch_path(bound) == scratch


def test_a_weaker_tier_says_so_and_why(monkeypatch: pytest.MonkeyPatch) -> None:
    start = launchers.start

    def without_namespaces(tier: str) -> host.Host:
        if tier == "namespaces":
            raise launchers.TierError("forbidden here")
        return start(tier)

    monkeypatch.setattr(launchers, "start", without_namespaces)
    monkeypatch.setattr(launchers, "hosts", {})
    assert launchers.weaker_tier() == ""
    found = host.get()
    try:
        assert f"weaker sandbox ({found.tier})" in launchers.weaker_tier()
        assert "namespaces does not work (forbidden here)" in launchers.weaker_tier()
    finally:
        launchers.forget(found)


def test_a_launcher_killed_while_it_starts_does_not_cost_its_tier(monkeypatch: pytest.MonkeyPatch) -> None:
    start = launchers.start
    tried: list[str] = []

    def killed_once(tier: str) -> host.Host:
        tried.append(tier)
        if len(tried) == 1:
            raise launchers.TierError(launchers.SILENT)
        return start(tier)

    monkeypatch.setattr(launchers, "start", killed_once)
    monkeypatch.setattr(launchers, "hosts", {})
    found = host.get()
    try:
        assert tried[0] == tried[1]
        assert found.failures == ()
    finally:
        launchers.forget(found)
