"""The project's own attacks on the sandbox, in every tier here: what gets through.

`benchmarks/sandbox_attacks.py --own` runs all of `data/probes.json`; here those that only use time up are left out.
"""

from __future__ import annotations

import json
import os
import platform
import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from runtime.sandbox import CellResult, Limits, Sandbox

SHARDS = 4
PROBES = [
    probe
    for probe in json.loads((Path(__file__).parent / "data" / "probes.json").read_text())
    if not probe.get("slow") and probe.get("machine") in (None, platform.machine())
]
SECRET = "hunter2"
QUOTED = re.compile(r"\s*(?:-+> *)?\d+ ")
"""A line of a traceback that shows a probe's own source, which spells the word too."""


class Victim:
    """A host with something to lose: files, a secret in the environment, listeners."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self.canary, self.victim = folder / "sbx_canary.txt", folder / "sbx_victim.txt"
        self.canary.write_text("CANARY")
        self.victim.write_text("victim")
        self.victim.chmod(0o666)
        folder.chmod(0o777)
        self.abstract = f"sbx_canary_{os.getpid()}"
        tcp = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        self.port = tcp.getsockname()[1]
        for address in (str(folder / "sbx_canary.sock"), "\0" + self.abstract):
            listener = stack.enter_context(socket.socket(socket.AF_UNIX))
            listener.bind(address)
            listener.listen()

    def aim(self, code: list[str]) -> str:
        """A probe's code, pointed at this victim."""
        text = "\n".join(code).replace("/tmp/sbx_", f"{self.folder}/sbx_").replace("45871", str(self.port))
        return text.replace("\\0sbx_canary", f"\\0{self.abstract}")

    def harm(self) -> list[str]:
        """What has happened to it."""
        known = {"sbx_canary.txt", "sbx_victim.txt", "sbx_canary.sock"}
        found = [f"{path.name} was made" for path in self.folder.iterdir() if path.name not in known]
        if self.canary.read_text() != "CANARY":
            found.append("the canary changed")
        if (
            not self.victim.exists()
            or self.victim.read_text() != "victim"
            or self.victim.stat().st_mode & 0o777 != 0o666
        ):
            found.append("the victim changed")
        return found


@pytest.fixture
def host_to_attack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Victim]:
    """A host with something to lose."""
    monkeypatch.setenv("SBX_SECRET", SECRET)
    with ExitStack() as stack:
        yield Victim(tmp_path, stack)


def got_through(result: CellResult) -> bool:
    """Whether the probe says so, or shows what it should not know."""
    printed = [line for line in result.output.splitlines() if not QUOTED.match(line)]
    return any("ESCAPE" in line for line in printed) or SECRET in result.output or "CANARY" in result.output


@pytest.mark.parametrize("shard", range(SHARDS))
def test_nothing_gets_through_and_the_session_goes_on(tier: str, shard: int, host_to_attack: Victim) -> None:
    share = -(-len(PROBES) // SHARDS)
    probes = PROBES[shard * share : (shard + 1) * share]
    faults: list[str] = []
    lost: list[str] = []
    with Sandbox(Limits(cell_seconds=4), tier=tier) as sandbox:
        for probe in probes:
            sandbox.run(f"kept = {probe['id']!r}")
            result = sandbox.run(host_to_attack.aim(probe["code"]))
            after, again = sandbox.run("kept"), sandbox.run("6 * 7")
            name = f"{probe['id']} ({probe['tries']})"
            if got_through(result):
                faults.append(f"{name} got through: {result.output[:200]}")
            faults += [f"{name}: {harm}" for harm in host_to_attack.harm()]
            if after.output.split("\n")[0] != repr(probe["id"]):
                lost.append(name)
                if not any("lost" in notice for notice in (*result.notices, *after.notices)):
                    faults.append(f"{name}: state lost without a word: {after.output[:200]}")
            if again.output.split("\n")[0] != "42":
                faults.append(f"{name}: the next cell gave {again.output[:200]}")
    assert faults == []
    assert len(lost) <= len(probes) * 0.02, lost
