"""What a cell leaves that would keep the next from running is undone, or the cell is taken back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from runtime.sandbox import Limits, Sandbox


@pytest.fixture
def sandbox(tier: str) -> Iterator[Sandbox]:
    """A session of each tier, with something to lose."""
    with Sandbox(Limits(cell_seconds=30), tier=tier) as session:
        session.run("x = 5")
        yield session


@pytest.mark.parametrize(
    "code",
    [
        "import signal; signal.signal(signal.SIGCHLD, signal.SIG_IGN)",
        "import signal; signal.signal(signal.SIGCONT, lambda *_: 1 / 0)",
        "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())",
        "import resource\nhard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))",
        "import sys; sys.setrecursionlimit(60)",
        "import gc; gc.callbacks.append(lambda *_: 1 / 0)",
        "kept = []\ntry:\n    while True: kept.append(open('/dev/null'))\nexcept OSError: pass",
        "import json, os; json.dumps = os.read = os.write = None",
        "import faulthandler; faulthandler.dump_traceback_later(0.3, exit=True)",
        "import sys; sys.stdout.__class__ = type('X', (type(sys.stdout),), {'write': lambda *_: 1 / 0})",
        "import sys; sys.stdout.detach()",
        "import sys\nclass Bad:\n    def __getattr__(self, name): raise RuntimeError\nsys.stdout = Bad()",
    ],
)  # fmt: skip
def test_what_can_be_undone_is_undone_and_the_cell_counts(sandbox: Sandbox, code: str) -> None:
    sandbox.run(f"done = 0\n{code}\ndone = 1")
    assert sandbox.run("import time; time.sleep(0.5)").status == "ok"
    assert sandbox.run("x, done").output == "(5, 1)"
    assert sandbox.run("import os; os._exit(3)").status == "killed"
    assert sandbox.run("x, done").output == "(5, 1)", "and there is a snapshot to return to"


@pytest.mark.parametrize(
    "code",
    [
        "import os; os.close(62)",
        "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))",
        "import builtins; builtins.len = None",
        "get_ipython().run_code = None",
        "type(get_ipython()).run = lambda self, code: True",
        "get_ipython().user_ns.clear()",
        "import sys\ndef hook(event, _):\n    if event == 'exec': raise RuntimeError\nsys.addaudithook(hook)",
        "import os; get_ipython().events.register('pre_execute', lambda: os._exit(0))",
    ],
)
def test_a_cell_after_which_no_other_could_run_is_taken_back(sandbox: Sandbox, code: str) -> None:
    result = sandbox.run(f"gone = 1\n{code}")
    assert result.status == "killed"
    assert result.notices == (
        "the process running the cell could not have run another cell",
        "what this cell had changed is lost; the variables from before it are kept",
    )
    assert sandbox.run("x").output == "5"
    assert "NameError" in sandbox.run("gone").output


def test_what_a_program_may_want_to_keep_stays(sandbox: Sandbox) -> None:
    sandbox.run(
        "import builtins, signal\nbuiltins.mine = 7\nshout = print\n"
        "builtins.print = lambda *a: shout(*a, '!')\nsignal.signal(signal.SIGALRM, lambda *_: None)"
    )
    assert sandbox.run("print(mine)").output == "7 !"
    assert sandbox.run("signal.getsignal(signal.SIGALRM) is not signal.SIG_DFL").output == "True"


def test_orders_that_a_cell_wrote_itself_are_not_carried_out(sandbox: Sandbox) -> None:
    sandbox.run(
        "import json, os, struct\ntry:\n    pipe = os.open('/proc/self/fd/60', os.O_WRONLY)\n"
        "    for n in range(1000):\n        body = json.dumps({'n': n, 'code': 'x = 6'}).encode()\n"
        "        os.write(pipe, struct.pack('!I', len(body)) + body)\n    os.close(pipe)\nexcept OSError: pass"
    )
    assert sandbox.run("x").output == "5"


@pytest.mark.parametrize(
    "report",
    [
        "{'event': 'died', 'n': n, 'wait_status': 9}",
        "{'event': 'died', 'n': n, 'wait_status': 10 ** 15}",
        "{'event': 'ready', 'n': n, 'pid': child}",
        "{'event': 'done', 'n': n, 'status': 'ok', 'images': ['iVBORw0KGgoAAAANSUhEUgAAA']}",
    ],
)
def test_made_up_reports_reach_neither_the_app_nor_later_cells(sandbox: Sandbox, report: str) -> None:
    sandbox.run(
        "import json, os, struct\nchild = os.fork()\nif child == 0: os._exit(0)\n"
        f"for n in range(500):\n    body = json.dumps({report}).encode()\n"
        "    os.write(61, struct.pack('!I', len(body)) + body)"
    )
    kept, *notices = sandbox.run("x").output.split("\n")
    assert kept == "5"
    # What the forger itself had changed may be lost, and is then announced.
    assert all(notice.startswith("[sandbox] variables set since cell 2 are lost") for notice in notices)
    assert sandbox.run("1 / 0").status == "error"


def test_half_a_report_hides_no_death(sandbox: Sandbox) -> None:
    result = sandbox.run("import os, struct\nos.write(61, struct.pack('!I', 1000) + b'x')\nos._exit(3)")
    assert result.status == "killed"
    assert result.seconds < 20
    assert sandbox.run("x").output == "5"


def test_a_cell_that_is_no_text_is_refused_and_nothing_is_lost(sandbox: Sandbox) -> None:
    with pytest.raises(TypeError, match="a cell is text, not bytes"):
        sandbox.run(b"x")  # type: ignore[arg-type]
    assert sandbox.run("x").output == "5"
