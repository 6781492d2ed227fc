"""What holds for all files (docstrings, private names), and for the suite on other machines."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("runtime", "qlora", "export", "recipes")
THEIRS = {"_actions", "_attn_implementation"}
"""Private names of argparse and transformers that our code has to set, and that tests may look at."""
WITHOUT_MESSAGE = {"KeyboardInterrupt"}
"""Exceptions that come without one: Ctrl-C says nothing."""
CUDA_12 = "https://download.pytorch.org/whl/cu126"


def collected(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A pytest in a process of its own."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST", "MATHCODER_TEST"))}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
    return subprocess.run(command, cwd=ROOT, env={**clean, **environment}, capture_output=True, text=True, timeout=120)


def test_the_suite_hides_the_gpu_from_torch_and_from_the_processes_that_tests_start() -> None:
    assert os.environ["CUDA_VISIBLE_DEVICES"] == ""
    assert os.environ["UNSLOTH_FORCE_CPU"] == "1"
    torch = pytest.importorskip("torch", reason="needs the train extra")
    assert not torch.cuda.is_available()


def test_tests_that_need_a_gpu_are_skipped_with_the_command_that_runs_them() -> None:
    done = collected("tests/gpu", "-rs")
    assert done.returncode == 0, done.stdout
    assert "make test-gpu" in done.stdout
    assert "passed" not in done.stdout


def test_with_the_variable_only_the_tests_of_the_gpu_run_and_they_see_it() -> None:
    done = collected(
        "tests/gpu", "tests/test_house.py", "--collect-only", MATHCODER_TEST_GPU="1", CUDA_VISIBLE_DEVICES="5"
    )
    assert done.returncode == 0, done.stdout
    assert "tests/gpu/" in done.stdout
    assert "tests/test_house.py" not in done.stdout
    program = "import sys; sys.path.insert(0, 'tests'); import conftest, os; print(os.environ['CUDA_VISIBLE_DEVICES'])"
    seen = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60,
        env={**os.environ, "MATHCODER_TEST_GPU": "1", "CUDA_VISIBLE_DEVICES": "5"},
    )  # fmt: skip
    assert seen.stdout.strip() == "5", seen.stderr


@pytest.fixture
def installs(tmp_path: Path) -> object:
    """What `make demo` would install, line by line: `installs(gpu=True, index=...)`."""
    if shutil.which("make") is None:
        pytest.skip("make is not installed")

    def dry_run(*, gpu: bool, index: str = "") -> list[str]:
        tool = tmp_path / "nvidia-smi"
        tool.write_text(f"#!/bin/sh\nexit {0 if gpu else 9}\n")
        tool.chmod(0o755)
        call = ["make", "-n", "demo", f"VENV={tmp_path / 'venv'}", *([f"TORCH_INDEX={index}"] if index else [])]
        path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
        # A make that runs this suite must not speak for the one that is tried.
        spoken = ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")
        environment = {key: value for key, value in os.environ.items() if key not in spoken}
        done = subprocess.run(
            call, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True, env={**environment, "PATH": path}
        )
        return [line for line in done.stdout.replace("\\\n", " ").splitlines() if " -m pip " in line]

    return dry_run


def test_a_torch_index_holds_for_torch_and_torchvision_where_there_is_a_gpu(installs: object) -> None:
    lines = installs(gpu=True, index=CUDA_12)
    gone = next(number for number, line in enumerate(lines) if "uninstall" in line and "torchvision" in line)
    indexed = next(number for number, line in enumerate(lines) if CUDA_12 in line)
    extra = next(number for number, line in enumerate(lines) if ".[gpu]" in line)
    assert gone < indexed < extra
    assert "^torch==" in lines[indexed]
    assert "^torchvision==" in lines[indexed]
    assert any(line.startswith("torchvision==") for line in (ROOT / "constraints" / "gpu.txt").read_text().splitlines())


def test_without_an_index_a_gpu_machine_takes_what_the_extra_brings_and_keeps_its_torch(installs: object) -> None:
    lines = installs(gpu=True)
    assert not any("uninstall" in line or "--index-url" in line or "^torch==" in line for line in lines)
    assert any(".[gpu]" in line for line in lines)


def test_without_a_gpu_no_torchvision_is_installed(installs: object) -> None:
    cpu = "https://download.pytorch.org/whl/cpu"
    lines = [line for line in installs(gpu=False, index=cpu) if "uninstall" not in line]
    assert any(cpu in line and "^torch==" in line for line in lines)
    assert not any("torchvision" in line for line in lines)


def test_naming_another_index_installs_again(installs: object, tmp_path: Path) -> None:
    venv = tmp_path / "venv"
    (venv / "bin").mkdir(parents=True)
    (venv / "bin" / "python").touch()
    (venv / ".installed-train-gpu").touch()
    assert installs(gpu=True) == []
    assert installs(gpu=True, index=CUDA_12) != []


def test_slow_tests_run_under_a_target_of_their_own_and_in_ci() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert "pytest -m 'not slow and not alone'" in makefile
    assert "pytest -m 'slow and not alone'" in makefile
    assert "pytest -m alone" in makefile
    assert "make test-slow" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


# What is written


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def files(*folders: str) -> list[Path]:
    return [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


def nodes(path: Path, *kinds: type[ast.AST]) -> Iterator[ast.AST]:
    return (node for node in ast.walk(tree_of(path)) if isinstance(node, kinds))


def at(path: Path, node: ast.AST) -> str:
    return f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 1)}"


def test_a_docstring_says_something_in_a_first_line_of_at_most_100_characters() -> None:
    found, bad = 0, []
    for path in files(*ROOMS, "tests", "benchmarks", "docs"):
        for node in nodes(path, ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef):
            text = ast.get_docstring(node)  # type: ignore[arg-type]
            if text is not None:
                found += 1
                first, _, rest = text.partition("\n")
                if len(first) > 100 or (first.startswith("See ") and not rest):
                    bad.append(f"{at(path, node)} {first}")
    assert found > 3000
    assert bad == []


def private(name: object) -> bool:
    return isinstance(name, str) and name.startswith("_") and not name.startswith("__")


def assigned(path: Path) -> set[str]:
    """Names that a file gives something: functions, classes, variables and attributes."""
    names = {node.name for node in nodes(path, ast.FunctionDef, ast.ClassDef)}  # type: ignore[attr-defined]
    for node in nodes(path, ast.Name, ast.Attribute):
        if isinstance(node.ctx, ast.Store):  # type: ignore[attr-defined]
            names.add(node.id if isinstance(node, ast.Name) else node.attr)  # type: ignore[attr-defined]
    return names


def test_no_test_reaches_for_a_private_name_of_ours() -> None:
    ours = {name for path in files(*ROOMS) for name in assigned(path) if private(name)} - THEIRS
    assert len(ours) > 1000
    bad = []
    for path in files("tests"):
        own = assigned(path)
        for node in nodes(path, ast.ImportFrom, ast.Attribute, ast.Call):
            used: list[object] = []
            if isinstance(node, ast.ImportFrom):
                used = [alias.name for alias in node.names]
            elif isinstance(node, ast.Attribute):
                used = [node.attr]
            elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("setattr", "getattr", "delattr")):
                texts = [one.value for one in node.args if isinstance(one, ast.Constant) and isinstance(one.value, str)]
                used = [text.rpartition(".")[2] for text in texts]
            bad += [f"{at(path, node)} {name}" for name in used if private(name) and name in ours - own]
    assert bad == []


def test_a_test_says_which_message_it_expects() -> None:
    found, bad = 0, []
    for path in files("tests"):
        for node in nodes(path, ast.Call):
            assert isinstance(node, ast.Call)
            if ast.unparse(node.func) in ("pytest.raises", "pytest.warns"):
                found += 1
                is_silent = ast.unparse(node.args[0]) in WITHOUT_MESSAGE
                if not is_silent and not any(keyword.arg == "match" for keyword in node.keywords):
                    bad.append(at(path, node))
    assert found > 300
    assert bad == []
