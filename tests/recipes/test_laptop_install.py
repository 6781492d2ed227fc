"""The install without the `train` extra: what needs it says so in one sentence, before any work."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
ABSENT = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {modules!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Absent())
from recipes.cli import main
sys.exit(main(sys.argv[1:]))
"""
TRAINING = ("torch", "transformers", "peft", "bitsandbytes", "datasets", "accelerate", "safetensors", "sentencepiece",
            "unsloth", "matplotlib", "plotext", "huggingface_hub", "tokenizers", "pyarrow", "pandas")  # fmt: skip


def call(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    code = ABSENT.format(modules=TRAINING)
    program = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{code}", *words]
    return subprocess.run(program, capture_output=True, text=True, cwd=folder, timeout=60, check=False)


@pytest.mark.parametrize(
    "words",
    [
        ("train", "nano"),
        ("plan", "nano", "--measure"),
        ("demo",),
        ("demo", "--fast"),
        ("export", "run"),
        ("export", "run", "--adapter-only"),
        ("data", "stats", "rows.jsonl", "--base", "HuggingFaceTB/SmolLM2-135M"),
        ("data", "show", "MathLLMs/MathCodeInstruct"),
    ],
    ids=" ".join,
)
def test_a_verb_that_needs_the_train_extra_names_it_before_any_work(tmp_path: Path, words: tuple[str, ...]) -> None:
    (tmp_path / "run").mkdir()
    row = '{"messages": [{"role": "user", "content": [{"type": "text", "content": "q"}]}]}\n'
    (tmp_path / "rows.jsonl").write_text(row, encoding="utf-8")
    before = sorted(tmp_path.rglob("*"))
    done = call(tmp_path, *words)
    assert "mathcoder-toolkit[train]" in done.stderr
    assert "fault of MathCoder" not in done.stderr
    assert done.returncode == 2
    assert sorted(tmp_path.rglob("*")) == before
