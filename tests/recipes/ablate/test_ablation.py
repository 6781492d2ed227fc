"""A whole study on the nano base in small: shared trainings, budgets, resumption, the table."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

pytest.importorskip("peft", reason="ablate needs the train extra")

from recipes.ablate.plan import Estimate, estimate, refuse_small_disk
from recipes.ablate.study import design, open_folder
from recipes.ablate.table import draw, sheets
from recipes.ablate.variants import LCE, variant_of
from recipes.schema import load_recipe
from runtime.errors import InputError
from runtime.evaluate.question_sets import Question, QuestionSet
from runtime.evaluate.stats import clustered_difference
from runtime.lce import ROLES, Block, conversation
from tests.runtime.gguf_factory import write_model

ROOT = Path(__file__).resolve().parents[3]
OWN = {role: f"<own_{role}>" for role in ROLES}
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
    one, two = (estimate(study, jobs=jobs) for jobs in (1, 2))
    assert one.disk < two.disk < 2 * one.disk, "checkpoints and model files of two at a time"


def test_a_study_begun_before_a_setting_existed_goes_on_and_another_one_is_refused(tmp_path: Path) -> None:
    study = design(recipe(tmp_path), [LCE], sets=SETS, seeds=1, budgets=["steps"], folder=tmp_path / "out")
    open_folder(study)
    told = json.loads((tmp_path / "out" / "study.json").read_text(encoding="utf-8"))
    del told["recipe"]["solve"]["max_blocks"]
    (tmp_path / "out" / "study.json").write_text(json.dumps(told), encoding="utf-8")
    open_folder(study)
    told["recipe"]["solve"]["max_blocks"] = 3
    (tmp_path / "out" / "study.json").write_text(json.dumps(told), encoding="utf-8")
    with pytest.raises(InputError, match="another recipe"):
        open_folder(study)


def test_a_rank_keeps_the_scale_of_the_adapter(tmp_path: Path) -> None:
    study = design(
        recipe(tmp_path), [variant_of("rank-4")], sets=SETS, seeds=1, budgets=["steps"], folder=tmp_path / "out"
    )
    lora, before = study.settings(study.trainings[0]).lora, study.qlora.lora
    assert lora.r == 4
    assert lora.alpha / lora.r == before.alpha / before.r


def test_a_disk_too_small_is_one_sentence(tmp_path: Path) -> None:
    found = Estimate(9, 10, 43, 12, None, None, disk=20_000_000_000, free=1_000_000)
    with pytest.raises(InputError, match=r"1\.0 MB free, and the ablation needs up to 20\.0 GB"):
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
    same = clustered_difference([[0.0] * 100])
    assert same.low == -same.high, "a hundred questions with equal outcomes do not prove that all are equal"
    assert same.high == pytest.approx(0.037, abs=1e-3)
    with pytest.raises(ValueError, match="different numbers"):
        clustered_difference([[1.0], [1.0, 0.0]])


def entry(variant: str, budget: str, value: float, difference: float | None) -> dict[str, Any]:
    share = {"value": value, "low": value / 2, "high": (1 + value) / 2}
    told = {"value": difference, "low": -0.5, "high": 0.5} if difference is not None else None
    return {
        "variant": variant, "says": "a_b & c", "budget": budget, "mode": "full", "rows": 10, "left_out": 1,
        "steps": [3, 4], "supervised": [5, 5], "seeds": 2, "generated": 1.0, "cells": None,
        "sets": {name: {"accuracy": share, "difference": told} for name in ("first", "second", "all")},
    }  # fmt: skip


def test_a_table_has_each_set_s_accuracy_and_keeps_their_differences_apart(tmp_path: Path) -> None:
    entries = [entry("lce", "steps", 0.5, None), entry("lce", "tokens", 0.25, None)]
    entries += [entry("text-only", "steps", 0.1, -0.4), entry("rank-4", "steps", 0.5, 0.0)]
    first, apart, *_, meaning = sheets(entries)
    assert list(first.header) == [
        "variant", "at equal", "steps", "seeds", "first % [95 %]", "second % [95 %]", "all % [95 %]", "minus lce [95 %]"
    ]  # fmt: skip
    assert first.rows[0][-2:] == ["50.0 [25.0, 75.0]", "-"]
    assert first.rows[2][2:4] + first.rows[2][-1:] == ["3 to 4", "2", "-40.0 [-50.0, +50.0]"]
    assert [row[0] for row in apart.rows] == ["text-only", "rank-4"]
    assert len(apart.rows[0]) == 5
    assert r"a\_b \& c" in meaning.latex()
    pictures = draw(entries, tmp_path)
    assert [path.name for path in pictures] == ["ablation.png", "ablation.svg"]
    drawn = pictures[1].read_text(encoding="utf-8")
    assert all(drawn.count(f">{name}<") == 1 for name in ("text-only", "rank-4", "equal steps", "minus lce, points"
                                                          " (95 % interval)"))  # fmt: skip


def ablate(folder: Path, out: Path, *more: str) -> list[str]:
    return [
        sys.executable, "-m", "recipes", "ablate", "nano", "--out", str(out), "--rows", str(folder / "rows.jsonl"),
        "--data", str(folder / "sums.jsonl"), "--variants", "lce,imagined", "--threads", "1",
        "--slots", "2", "train.max_steps=3", "train.batch_rows=4", "train.save_every=1", "data.held_out_percent=0",
        "solve.max_tokens=24", "sandbox.cell_seconds=30", *more,
    ]  # fmt: skip


def finish(words: list[str], out: Path) -> tuple[dict[str, Any], list[str]]:
    """The table of a call that goes to its end, and the lines that it printed on the way."""
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=1500, check=False, env=environment())
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads((out / "table.json").read_text(encoding="utf-8")), done.stderr.splitlines()


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}


def write_sums(path: Path, count: int = 4) -> None:
    lines = [json.dumps({"id": n, "question": f"What is {n} plus {n}?", "gold": 2 * n}) for n in range(1, count + 1)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def killed_after(words: list[str], place: str, count: int, delay: float) -> str:
    """Kill a call and all it started `delay` s after its `count`-th line that begins with `place`."""
    process = subprocess.Popen(
        words, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment(),
        start_new_session=True,
    )  # fmt: skip
    assert process.stderr is not None
    line = ""
    for line in process.stderr:
        # With --jobs the name of a training stands in front.
        count -= bool(re.match(rf"(\S+-seed\d  )?{place}", line))
        if not count:
            break
    time.sleep(delay)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    # Up to the end of the pipe: with --jobs the processes of its own hold it, and end by themselves.
    rest = process.stderr.read()
    process.stderr.close()
    assert process.wait() == -signal.SIGKILL, f"it ended before it was killed: {line}{rest}"
    return line.strip()


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_a_study_killed_ten_times_at_random_ends_with_the_same_table(tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.jsonl")
    write_sums(tmp_path / "sums.jsonl", 32)
    whole, _ = finish(ablate(tmp_path, tmp_path / "whole"), tmp_path / "whole")
    rng = random.Random(5)
    # In training, in evaluation, and at some time after the first line: while something is loaded or exported.
    early, late = ["", "", "step ", "step ", "step "], ["", "sums ", "sums ", "sums ", "sums "]
    rng.shuffle(early)
    rng.shuffle(late)
    for number, place in enumerate([*early, *late]):
        jobs = ["--jobs", "2"] if number % 3 == 2 else []
        words = ablate(tmp_path, tmp_path / "killed", *jobs)
        killed_after(
            words, place, rng.choice((1, 2)) if place == "sums " else 1, rng.uniform(0, 0.03 if place else 1.2)
        )
    killed, _ = finish(ablate(tmp_path, tmp_path / "killed"), tmp_path / "killed")
    assert killed == whole
    for name in ("table.md", "table.tex", "table.csv"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    entries = {(entry["variant"], entry["budget"]): entry for entry in whole["entries"]}
    assert set(entries) == {(v, b) for v in ("lce", "imagined") for b in ("steps", "tokens")}
    assert all(entry["sets"]["sums"]["accuracy"]["n"] == 32 for entry in entries.values())
    assert not list((tmp_path / "killed" / "runs").glob("*/checkpoints"))
    # Another study is refused in the same folder.
    other = subprocess.run(
        ablate(tmp_path, tmp_path / "killed", "--seeds", "2"),
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=False, env=environment(),
    )  # fmt: skip
    assert other.returncode == 2
    assert "another seeds" in " ".join(other.stderr.split())


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_on_a_gguf_base_only_adapters_are_trained_and_solved_with_two_at_a_time_and_interrupted(tmp_path: Path) -> None:
    base = write_model(tmp_path / "base.gguf", control=tuple(OWN.values()), end=OWN["endofmessage"], spread=0.2)
    recipe = {
        "name": "tiny",
        "base": str(base),
        "data": {"source": str(write_rows(tmp_path / "rows.jsonl")), "held_out_percent": 0},
        "train": {"batch_rows": 4, "max_steps": 3, "save_every": 1, "context": 400},
        "lora": {"r": 32, "control_tokens": "reuse", "reuse_tokens": OWN},
        "solve": {"max_tokens": 16},
    }
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    write_sums(tmp_path / "sums.jsonl", 3)
    with open(tmp_path / "sums.jsonl", "a", encoding="utf-8") as file:
        file.write(json.dumps({"id": "odd", "question": "Which curves?", "gold": "SRAC=LRAC"}) + "\n")

    def words(out: Path, *more: str) -> list[str]:
        return [
            sys.executable, "-m", "recipes", "ablate", str(tmp_path / "tiny.yaml"), "--out", str(out),
            "--variants", "execution-loss,imagined,code-only", "--budget", "steps",
            "--data", str(tmp_path / "sums.jsonl"),
            "--slots", "2", "--n-ctx", "1024", *more,
        ]  # fmt: skip

    one, lines = finish(words(tmp_path / "one", "--keep"), tmp_path / "one")
    assert any(re.match(r"sums 4/4  \d right \(.* %\), \d wrong", line) for line in lines), "how far it is"
    told = " ".join(" ".join(lines).split())
    assert "1 of 4 golds cannot be read and are compared as text alone (odd: SRAC=LRAC)" in told
    assert sorted(path.name for path in (tmp_path / "one" / "runs").rglob("export/*")) == [
        "code-only-3-seed1-adapter.gguf",
        "execution-loss-3-seed1-adapter.gguf",
    ], "nothing is merged"
    meta = json.loads(
        (tmp_path / "one/runs/execution-loss-3-seed1/eval-imagined/results.meta.json").read_text(encoding="utf-8")
    )
    assert meta["model"] == base.name
    assert meta["lora"] == "execution-loss-3-seed1-adapter.gguf"
    # Two at a time, stopped by Ctrl-C while they train.
    process = subprocess.Popen(
        words(tmp_path / "two", "--jobs", "2"), cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        text=True, env=environment(),
        # A shell starts what runs in its background with Ctrl-C ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    assert process.stderr is not None
    next(line for line in process.stderr if re.match(r"(execution-loss|code-only)-3-seed1  step 1/3", line))
    process.send_signal(signal.SIGINT)
    told = process.stderr.read()
    assert process.wait() == 130, told
    assert "The same command goes on from there" in told
    assert "Traceback" not in told
    two, lines = finish(words(tmp_path / "two", "--jobs", "2"), tmp_path / "two")
    assert two == one
    assert any(line.startswith("code-only-3-seed1  sums 4/4") for line in lines)
