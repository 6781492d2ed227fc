"""The arrows between the floors, what the laptop runtime may import, and names that nobody else owns."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
OURS = ("qlora", "export", "runtime", "recipes")


def test_arrows_between_the_floors_only_point_down() -> None:
    pytest.importorskip("importlinter", reason="the arrows are checked by import-linter (the dev extra)")
    code = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_our_import_names_belong_to_no_other_distribution() -> None:
    owners = packages_distributions()
    for name in OURS:
        assert set(owners.get(name, [])) <= {"mathcoder-toolkit"}, f"{name} belongs to {owners[name]}"


def test_the_runtime_works_where_no_training_library_is_installed() -> None:
    blocked = ("torch", "transformers", "peft", "bitsandbytes", "datasets", "unsloth", "accelerate")
    code = f"""
import sys, importlib, pathlib
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Absent())
for path in sorted(pathlib.Path("runtime").rglob("*.py")):
    importlib.import_module(".".join(path.with_suffix("").parts).removesuffix(".__init__"))
from recipes.cli import main
assert main(["models"]) == 0
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr


def test_every_module_says_what_it_is_for() -> None:
    files = [path for name in OURS for path in (ROOT / name).rglob("*.py")]
    assert files
    silent = [str(path) for path in files if not path.read_text(encoding="utf-8").lstrip().startswith(('"""', 'r"""'))]
    assert silent == []
