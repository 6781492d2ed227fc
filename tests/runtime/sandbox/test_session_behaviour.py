"""A session behaves as a Jupyter notebook, and keeps its state through what would kill one."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator

import pytest

from runtime.sandbox import Limits, Sandbox
from runtime.sandbox.protocol import FrameReader

pytestmark = pytest.mark.skipif(os.name != "posix", reason="there is no sandbox on Windows")


@pytest.fixture(scope="module")
def shared() -> Iterator[Sandbox]:
    """One session for the tests that leave nothing behind."""
    with Sandbox(Limits(cell_seconds=60)) as sandbox:
        yield sandbox


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("6 * 7", "42"),
        ("print('a'); 'b'", "a\n'b'"),
        ("x = 1", "<empty_execution>"),
        ("5;", "<empty_execution>"),
        ("# only a comment", "<empty_execution>"),
        ("", "<empty_execution>"),
        ("None", "<empty_execution>"),
        ("import sys; print('out'); print('err', file=sys.stderr); print('again')", "out\nerr\nagain"),
        ("import os\nprint('python'); _ = os.write(1, b'below\\n'); print('python')", "python\nbelow\npython"),
        ("{'b': 1, 'a': [1, 2]}", "{'b': 1, 'a': [1, 2]}"),
        (
            "from sympy import symbols, solve, Eq\nx, y = symbols('x y')\nsolve([Eq(x+y, 5), Eq(x-y, 1)], [x, y])",
            "{x: 3, y: 2}",
        ),
        ("import numpy as np; np.arange(3)", "array([0, 1, 2])"),
        ("import numpy as np; np.float64(-3.0)", "-3.0"),
        (
            "import numpy as np; print([np.float64(0.5), np.int64(2), np.bool_(True)], {np.int64(1): np.float64(2)})",
            "[0.5, 2, True] {1: 2.0}",
        ),
        ("import numpy as np; np.roots([1, -3, 2]), max(np.array([1.5, 2.5]))", "(array([2., 1.]), 2.5)"),
        (
            "import numpy as np; np.set_printoptions(precision=3); np.float64(2.5), np.array([1 / 3])",
            "(2.5, array([0.333]))",
        ),
        ("import fractions; fractions.Fraction(1, 3)", "Fraction(1, 3)"),
        ("from math import factorial\nlen(str(factorial(2000)))", "5736"),
        ("import asyncio\nasync def f(): return 7\nprint(asyncio.run(f()))", "7"),
        ("async def g(): return 8\nawait g()", "8"),
        ("%precision 3\n3.14159", "3.142"),
        ("%precision\n3.14159", "3.14159"),
        ("import threading\nt = threading.Thread(target=print, args=('thread',)); t.start(); t.join()", "thread"),
        ("import tempfile\nwith tempfile.NamedTemporaryFile() as f: f.write(b'x')", "<empty_execution>"),
        ("open('note.txt', 'w').write('hi'); print(open('note.txt').read())", "hi"),
        ("print('é∑😀')", "é∑😀"),
        ("print('\\ud800')", "\\ud800"),
    ],
)
def test_output_is_what_jupyter_shows(shared: Sandbox, code: str, expected: str) -> None:
    result = shared.run(code)
    assert (result.output, result.status) == (expected, "ok")


@pytest.mark.parametrize(
    ("code", "last"),
    [
        ("1/0", "ZeroDivisionError: division by zero"),
        ("undefined_name", "NameError: name 'undefined_name' is not defined"),
        ("def f(:", "SyntaxError: invalid syntax"),
        ("return 1", "SyntaxError: 'return' outside function"),
        ("x = '\0'", "SyntaxError: source code string cannot contain null bytes"),
        ("input('name? ')", "EOFError: EOF when reading a line"),
        ("'\ud800'.encode()", "UnicodeEncodeError: 'utf-8' codec can't encode character '\\ud800' in position 1: surrogates not allowed"),  # noqa: E501
        ("import subprocess; subprocess.run(['ls'])", "PermissionError: [Errno 1] Operation not permitted: 'ls'"),
    ],
)  # fmt: skip
def test_a_failing_cell_ends_with_its_error_and_the_session_goes_on(shared: Sandbox, code: str, last: str) -> None:
    result = shared.run(code)
    assert result.status == "error"
    assert result.output.splitlines()[-1].strip() == last
    assert shared.run("1 + 1").output == "2"


def test_a_traceback_reads_as_ipython_writes_it(shared: Sandbox) -> None:
    lines = shared.run("a = 1\nb = a / 0").output.splitlines()
    assert lines[0] == "-" * 75
    assert lines[1].split() == ["ZeroDivisionError", "Traceback", "(most", "recent", "call", "last)"]
    assert "----> 2 b = a / 0" in lines


def test_a_repr_that_raises_is_an_error_text_and_no_crash(shared: Sandbox) -> None:
    result = shared.run("class E:\n  def __repr__(self): raise ValueError('no repr')\nE()")
    assert "ValueError: no repr" in result.output
    assert shared.run("2").output == "2"


def test_output_that_is_not_utf8_is_shown_as_replacement(shared: Sandbox) -> None:
    assert shared.run("import os; _ = os.write(1, b'caf\\xe9\\n')").output == "caf\ufffd"


def test_ten_megabytes_of_source_are_refused_and_the_session_goes_on(shared: Sandbox) -> None:
    result = shared.run("x = 1\n" * 1_700_000)
    assert (result.status, result.output.split(":")[0]) == ("error", "ValueError")
    assert shared.run("3").output == "3"


def test_a_figure_comes_back_as_png_bytes_and_as_no_text(shared: Sandbox) -> None:
    result = shared.run("import matplotlib.pyplot as plt\nplt.plot([1, 2]);")
    assert result.output == "<empty_execution>"
    assert [image[:8] for image in result.images] == [b"\x89PNG\r\n\x1a\n"]


def test_outputs_have_the_numbers_of_their_cells() -> None:
    with Sandbox() as sandbox:
        sandbox.run("6 * 7")
        sandbox.run("'await' and 8")  # goes through IPython's own way, as all that might not be plain Python
        sandbox.run("None")
        assert sandbox.run("Out, _1, _2").output == "({1: 42, 2: 8}, 42, 8)"


def test_an_output_that_does_not_block_loses_nothing() -> None:
    with Sandbox(Limits(output_chars=4_000_000, cell_seconds=60)) as sandbox:
        same = sandbox.run("import os\nos.set_blocking(1, False)\nprint('y' * 3_000_000)\nprint('end')")
        assert same.output == "y" * 3_000_000 + "\nend"
        later = sandbox.run("print('y' * 3_000_000)\nprint('end')")
        assert later.output == same.output


@pytest.mark.parametrize(
    "code",
    [
        "from multiprocessing import Pool\nPool(2)",
        "from concurrent.futures import ProcessPoolExecutor\nwith ProcessPoolExecutor(2) as p: list(p.map(abs, [1]))",
        "import multiprocessing\nmultiprocessing.Lock()",
    ],
)
def test_multiprocessing_says_what_it_lacks_here(shared: Sandbox, code: str) -> None:
    assert shared.run(code).output.endswith("the sandbox has no semaphores for processes; use threads")


def test_the_history_has_inputs_and_outputs() -> None:
    with Sandbox() as sandbox:
        sandbox.run("6 * 7")
        assert sandbox.run("%history -o").output == "6 * 7\n42\n%history -o"


def test_random_numbers_go_on_from_cell_to_cell() -> None:
    with Sandbox() as sandbox:
        sandbox.run("import random, numpy as np; random.seed(1); np.random.seed(1)")
        cells = [sandbox.run("random.random(), float(np.random.rand())").output for _ in range(2)]
        expected = "import random, numpy as np; random.seed(1); np.random.seed(1)\n"
        expected += "for _ in range(2): print((random.random(), float(np.random.rand())))"
        assert "\n".join(cells) == sandbox.run(expected).output


def test_two_sessions_share_neither_variables_nor_files_nor_random_numbers() -> None:
    with Sandbox() as one, Sandbox() as other:
        one.run("x = 1; open('f', 'w').write('secret')")
        assert "NameError" in other.run("x").output
        assert other.run("import os; os.listdir('.')").output == "[]"
        draw = "import random, numpy as np; random.random(), float(np.random.rand())"
        assert one.run(draw).output != other.run(draw).output


def test_sessions_run_at_the_same_time_in_many_threads() -> None:
    outputs: dict[int, str] = {}

    def work(number: int) -> None:
        with Sandbox() as sandbox:
            sandbox.run(f"x = {number}")
            outputs[number] = sandbox.run("x * x").output

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outputs == {number: str(number * number) for number in range(8)}


def test_a_session_outlives_the_thread_that_started_it() -> None:
    with Sandbox() as sandbox:
        starter = threading.Thread(target=sandbox.run, args=("x = 5",))
        starter.start()
        starter.join()
        time.sleep(0.2)
        assert sandbox.run("x").output == "5"


def test_reset_gives_a_fresh_session() -> None:
    with Sandbox() as sandbox:
        sandbox.run("x = 1; open('f', 'w').close()")
        sandbox.reset()
        assert "NameError" in sandbox.run("x").output
        assert sandbox.run("import os; os.path.exists('f')").output == "False"


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("import ctypes; ctypes.string_at(0)", "killed"),
        ("import os; os._exit(0)", "killed"),
        ("import os, signal; signal.setitimer(signal.ITIMER_REAL, .02); import time; time.sleep(5)", "killed"),
        ("import os\nfor n in range(3, 99):\n  try: os.write(n, b'\\xff' * 99)\n  except OSError: pass", "killed"),
        ("import os\nfor n in range(99):\n  try: os.close(n)\n  except OSError: pass", "killed"),
        ("import os\nif os.fork() == 0: raise ValueError\n_ = os.wait()", "ok"),
    ],
)
def test_state_from_before_the_cell_survives_the_death_of_its_process(code: str, status: str) -> None:
    with Sandbox(Limits(cell_seconds=60)) as sandbox:
        sandbox.run("x = 'kept'")
        result = sandbox.run("x = 'changed'\n" + code)
        assert result.status == status
        if status == "killed":
            assert any("variables from before it are kept" in notice for notice in result.notices)
            assert "[sandbox] " in result.output
        assert sandbox.run("x").output == ("'kept'" if status == "killed" else "'changed'")


def test_an_endless_loop_times_out_and_keeps_what_it_changed() -> None:
    with Sandbox(Limits(cell_seconds=1)) as sandbox:
        result = sandbox.run("n = 1\nprint('before', flush=True)\nwhile True: n = 2")
        assert result.status == "timeout"
        assert result.output.startswith("before\n")
        assert "the cell was stopped after 1 s" in result.output
        assert sandbox.run("n").output == "2"


def test_a_loop_that_ignores_the_interrupt_is_killed_and_its_loss_announced() -> None:
    with Sandbox(Limits(cell_seconds=1)) as sandbox:
        sandbox.run("n = 1")
        result = sandbox.run("import signal; signal.signal(signal.SIGINT, signal.SIG_IGN); n = 2\nwhile True: pass")
        assert result.status == "timeout"
        assert "what this cell had changed is lost" in result.output
        assert sandbox.run("n").output == "1"


def test_a_thread_pool_made_in_one_cell_works_in_the_next() -> None:
    with Sandbox() as sandbox:
        sandbox.run("from concurrent.futures import ThreadPoolExecutor\npool = ThreadPoolExecutor(2)")
        sandbox.run("list(pool.map(abs, [-1]))")
        assert sandbox.run("list(pool.map(abs, [-1, -2]))").output == "[1, 2]"
        result = sandbox.run("import os; os._exit(1)")
        assert result.status == "killed"
        assert "are lost" in result.output
        assert sandbox.run("1").output == "1"


def test_interrupt_from_another_thread_stops_the_cell_and_keeps_the_session() -> None:
    with Sandbox(Limits(cell_seconds=60)) as sandbox:
        sandbox.run("x = 1")
        sandbox.interrupt()  # nothing runs: it must not hit the next cell
        assert sandbox.run("x").output == "1"
        timer = threading.Timer(0.5, sandbox.interrupt)
        timer.start()
        result = sandbox.run("x = 2\nwhile True: pass")
        assert result.status == "error"
        assert "KeyboardInterrupt" in result.output
        assert result.seconds < 30
        assert sandbox.run("x").output == "2"


def test_an_exception_out_of_run_leaves_the_session_in_step(monkeypatch: pytest.MonkeyPatch) -> None:
    with Sandbox(Limits(cell_seconds=60)) as sandbox:
        sandbox.run("x = 1")
        following = FrameReader.next
        calls: list[int] = []

        def struck(self: FrameReader) -> object:
            calls.append(1)
            if len(calls) == 1:
                time.sleep(0.3)
                raise KeyboardInterrupt("by the test")
            return following(self)

        monkeypatch.setattr(FrameReader, "next", struck)
        with pytest.raises(KeyboardInterrupt, match="by the test"):
            sandbox.run("while True: pass")
        assert sandbox.run("x").output == "1"
