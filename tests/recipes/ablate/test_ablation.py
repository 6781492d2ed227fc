"""A whole study on the nano base at the smallest scale: shared trainings, budgets, resumption, the table."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("peft", reason="ablate needs the train extra")

from recipes.ablate.plan import Estimate, refuse_small_disk
from recipes.ablate.study import design
from recipes.ablate.variants import LCE, variant_of
from recipes.schema import load_recipe
from runtime.errors import InputError
from runtime.evaluate.question_sets import Question, QuestionSet
from runtime.evaluate.stats import clustered_difference
from runtime.lce import Block, conversation

ROOT = Path(__file__).resolve().parents[3]
SETS = [QuestionSet("sums", (Question("0", 0, "What is 1 + 1?", "2"),), "here")]


def write_rows(path: Path, count: int = 24) -> Path:
    """Rows of text, code and executions in the hub schema."""
    lines = []
    for n in range(count):
        blocks = [
            Block("text", f"Add {n} to itself."),
            Block("code", f"x = {n}\nx + x"),
            Block("execution", str(2 * n)),
            Block("text", f"So it is {2 * n}."),
            Block("text", str(2 * n)),
        ]
        lines.append(json.dumps({"messages": conversation(f"What is {n} plus {n}?", blocks)}) + "\n")
    path.write_text("".join(lines), encoding="utf-8")
    return path


def recipe(tmp_path: Path, *words: str):  # type: ignore[no-untyped-def]
    given = ["train.max_steps=6", "train.batch_rows=4", "data.held_out_percent=0", *words]
    return load_recipe("nano", given, data=str(write_rows(tmp_path / "rows.jsonl")))


def test_equal_steps_are_equal_and_equal_tokens_come_as_near_as_a_step_can(tmp_path: Path) -> None:
    names = ["lce", "execution-loss", "text-only", "code-only", "imagined", "rank-4"]
    study = design(
        recipe(tmp_path),
        [variant_of(name) for name in names],
        sets=SETS,
        seeds=2,
        budgets=["steps", "tokens"],
        folder=tmp_path / "out",
    )
    assert {cell.training.steps for cell in study.cells if cell.budget == "steps"} == {6}
    for seed in (1, 2):
        target = next(c.training.supervised for c in study.cells if c.variant == LCE and c.training.seed == seed)
        for cell in study.cells:
            if cell.budget == "tokens" and cell.training.seed == seed:
                step = cell.training.supervised / cell.training.steps
                assert abs(cell.training.supervised - target) <= step, cell.variant.name
    tokens = {cell.variant.name: cell.training.steps for cell in study.cells if cell.budget == "tokens"}
    assert "rank-4" not in tokens, "only the main variants are trained at equal tokens"
    assert tokens["lce"] == 6
    assert tokens["execution-loss"] < 6 < tokens["code-only"]
    # imagined shares execution-loss's trainings; lce at equal tokens is lce at equal steps.
    assert {cell.training.variant.name for cell in study.cells if cell.variant.name == "imagined"} == {"execution-loss"}
    assert len(study.trainings) == len({training.name for training in study.trainings})


def test_a_rank_keeps_the_scale_of_the_adapter(tmp_path: Path) -> None:
    study = design(
        recipe(tmp_path), [variant_of("rank-4")], sets=SETS, seeds=1, budgets=["steps"], folder=tmp_path / "out"
    )
    lora, before = study.settings(study.trainings[0]).lora, study.qlora.lora
    assert lora.r == 4
    assert lora.alpha / lora.r == before.alpha / before.r


def test_a_disk_too_small_is_one_sentence(tmp_path: Path) -> None:
    found = Estimate(9, 10, 43, 12, None, None, disk=20_000_000_000, free=1_000_000)
    with pytest.raises(InputError, match=r"1 MB free, and the ablation needs up to 20\.0 GB"):
        refuse_small_disk(found, tmp_path)


def test_a_difference_over_seeds_is_wider_where_the_seeds_disagree() -> None:
    agree = clustered_difference([[1, 0, 0, 0] * 25, [0, 1, 0, 0] * 25])
    apart = clustered_difference([[1, 1, 0, 0] * 25, [0, 0, 0, 0] * 25])
    assert agree.value == apart.value == 0.25
    assert apart.high - apart.low > 2 * (agree.high - agree.low)
    one = clustered_difference([[1, -1, 0, 0] * 25])
    assert (one.value, one.runs, one.n) == (0.0, 1, 100)
    # One run: the usual interval of a mean.
    assert one.high == pytest.approx(1.96 * (50 / 99) ** 0.5 / 10, rel=1e-3)
    with pytest.raises(ValueError, match="different numbers"):
        clustered_difference([[1.0], [1.0, 0.0]])


def ablate(folder: Path, out: str, *more: str) -> list[str]:
    return [
        sys.executable, "-m", "recipes", "ablate", "nano", "--out", out, "--rows", str(folder / "rows.jsonl"),
        "--data", str(folder / "sums.jsonl"), "--variants", "lce,text-only,imagined", "--threads", "1",
        "--slots", "2", "train.max_steps=3", "train.batch_rows=4", "train.save_every=1", "data.held_out_percent=0",
        "solve.max_tokens=24", "sandbox.cell_seconds=30", *more,
    ]  # fmt: skip


def finish(folder: Path, out: str) -> dict[str, object]:
    done = subprocess.run(
        ablate(folder, out), cwd=ROOT, capture_output=True, text=True, timeout=280, check=False, env=environment()
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(Path(out, "table.json").read_text(encoding="utf-8"))


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_a_study_killed_again_and_again_at_random_ends_with_the_same_table(tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.jsonl")
    lines = [json.dumps({"id": n, "question": f"What is {n} plus {n}?", "gold": 2 * n}) for n in range(1, 5)]
    (tmp_path / "sums.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    began = time.monotonic()
    whole = finish(tmp_path, str(tmp_path / "whole"))
    length = time.monotonic() - began
    rng = random.Random(5)
    kills = 0
    while kills < 10:
        process = subprocess.Popen(
            ablate(tmp_path, str(tmp_path / "killed")),
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment(),
            start_new_session=True,
        )
        try:
            # From the imports to well into a stage; never long enough for the whole study.
            process.wait(timeout=rng.uniform(0.05, 0.4) * length)
            break
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            kills += 1
    killed = finish(tmp_path, str(tmp_path / "killed"))
    assert kills >= 5, "the study must not end before it was killed a few times"
    assert killed == whole
    for name in ("table.md", "table.tex", "table.csv"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    entries = {(entry["variant"], entry["budget"]): entry for entry in whole["entries"]}  # type: ignore[attr-defined]
    assert set(entries) == {(v, b) for v in ("lce", "text-only", "imagined") for b in ("steps", "tokens")}
    assert all(entry["sets"]["sums"]["accuracy"]["n"] == 4 for entry in entries.values())
    assert not list((tmp_path / "killed" / "runs").glob("*/checkpoints"))
    # Another study is refused in the same folder.
    other = subprocess.run(
        ablate(tmp_path, str(tmp_path / "killed"), "--seeds", "2"),
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=False, env=environment(),
    )  # fmt: skip
    assert other.returncode == 2
    assert "another seeds" in " ".join(other.stderr.split())
