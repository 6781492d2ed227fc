"""The whole loop on a tiny scale: what it writes, what a kill costs, what it says of bad input."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from qlora.settings import LoraSettings, TrainSettings
from recipes.places import PACKAGED_MODEL
from recipes.reinforce import sample
from recipes.reinforce.evaluate import Evaluation
from recipes.reinforce.job import Job, merged_model
from recipes.reinforce.journal import Journal
from recipes.reinforce.loop import Outcome, reinforce
from recipes.reinforce.policy import Policy
from recipes.reinforce.questions import Questions, load_questions
from recipes.reinforce.settings import ReinforceSettings
from runtime.errors import InputError, ModelError, TrainError, WriteError
from runtime.sandbox import Limits
from runtime.settings import SolverSettings

SOLVE = SolverSettings(max_tokens=160, max_blocks=9)
TRAIN = TrainSettings(context=512, learning_rate=1e-3, schedule="constant", warmup_steps=0)


class Killed(BaseException):
    """In place of a kill: nothing that the loop catches."""


def job(out: Path, *, questions: Questions | None = None, train: dict[str, Any] | None = None, **options: Any) -> Job:
    found = questions or load_questions("nano", "nano", percent=1, most_held_out=3)
    small = {
        "steps": 2,
        "questions": 2,
        "samples": 4,
        "slots": 8,
        "refill": 1,
        "hardest": 0.0,
        "easiest": 1.0,
    }
    return Job(
        "tiny", PACKAGED_MODEL, found, "nano", ReinforceSettings(**{**small, **options}),
        TRAIN.model_copy(update=train or {}), LoraSettings(r=4, alpha=8), SOLVE, Limits(cell_seconds=60), out, 2,
    )  # fmt: skip


def run(made: Job) -> Outcome:
    return reinforce(made, Console(file=open(os.devnull, "w"), width=200))


def told(out: Path) -> list[dict[str, Any]]:
    """The log without what the clock says."""
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if "second" not in key} for line in lines]


@pytest.fixture(autouse=True)
def _cache(base_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(base_cache))


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_killed_anywhere_it_goes_on_to_the_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample, "PART", 4)  # A question's solutions are written down before the next one is asked.
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert run(job(whole)).status == "finished"

    def killed_at(owner: type, name: str, call: int) -> None:
        """One call of the run that ends where `owner.name` is called for the `call`-th time."""
        calls = []
        original = getattr(owner, name)

        def dying(*arguments: Any, **named: Any) -> Any:
            calls.append(1)
            if len(calls) == call:
                raise Killed(name)
            return original(*arguments, **named)

        with monkeypatch.context() as patch:
            patch.setattr(owner, name, dying)
            with pytest.raises(Killed, match=name):
                run(job(broken))

    killed_at(Evaluation, "_solve", 1)
    killed_at(Journal, "write", 2)  # The second question's solutions are lost, and drawn again.
    killed_at(Policy, "update", 1)  # They are on disk, and read back.
    killed_at(Policy, "write", 2)  # The update is lost, the swap did not happen.
    killed_at(Policy, "save", 1)  # The log has the step, the checkpoint has not.
    killed_at(Journal, "write", 1)
    assert run(job(broken)).status == "finished"
    assert told(broken) == told(whole)
    assert len(told(whole)) == 2
    for name in ("checkpoints/step-2/parameters.safetensors", "adapter.gguf", "adapter/adapter_model.safetensors"):
        assert (broken / name).read_bytes() == (whole / name).read_bytes(), name
    changed = {entry["grad_norm"] > 0 for entry in told(whole)}
    assert changed == {True}, "there was something to learn"
    _is_a_run_folder(whole)


def _is_a_run_folder(out: Path) -> None:
    """What `export` and a person look for."""
    from export.merge.source import open_source
    from export.settings import ExportSettings

    record = json.loads((out / "run.json").read_text())
    assert (record["status"], record["steps"]) == ("finished", 2)
    source = open_source(out, ExportSettings())
    assert source.adapter is not None
    assert not source.adapter.token_rows
    assert source.gguf is not None
    assert source.gguf["file"] == PACKAGED_MODEL.name
    entry = told(out)[-1]
    assert entry["mismatch_kl"] < 1e-3
    assert entry["kl_to_start"] > 1e-9 > told(out)[0]["kl_to_start"]
    assert {"pass_at_1", "pass_at_k", "maj_at_k", "entropy", "no_cell_share", "void_share", "lr"} <= entry.keys()
    assert "# Solutions after step 2" in (out / "evaluations" / "step-00002.md").read_text()
    for name in ("pass", "held_out"):
        assert (out / "plots" / f"{name}.png").stat().st_size > 1000


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_mismatch_of_a_round_is_that_of_the_model_which_was_sampled(tmp_path: Path) -> None:
    run(
        job(
            tmp_path,
            steps=1,
            method="rft",
            samples=16,
            per_question=4,
            updates=2,
            sampler="f16",
            train={"learning_rate": 1e-2},
        )
    )
    (entry,) = told(tmp_path)
    assert entry["trained"] >= 2, "two updates, the second of another model than was sampled"
    assert entry["mismatch_kl"] < 1e-5


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_full_disk_or_memory_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import errno

    from qlora import checkpoint

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "save", full)
        with pytest.raises(TrainError, match="the disk of"):
            run(job(tmp_path, steps=1, sampler="f16"))
    rollouts = list((tmp_path / "rollouts").iterdir())
    assert rollouts
    before = {path: path.stat().st_mtime_ns for path in rollouts}
    with monkeypatch.context() as patch:
        patch.setattr(Journal, "write", lambda *_: pytest.fail("drawn again"))
        assert run(job(tmp_path, steps=1, sampler="f16")).steps == 1
    assert told(tmp_path)[0]["mismatch_kl"] < 1e-5, "a sampler in 16 bits rounds no activations"
    assert {path: path.stat().st_mtime_ns for path in rollouts} == before
    with monkeypatch.context() as patch:
        patch.setattr(Policy, "update", _too_large)
        with pytest.raises(TrainError, match="memory ran out") as raised:
            run(job(tmp_path, steps=2, sampler="f16"))
    assert "what was sampled and the last checkpoint are kept" in str(raised.value)
    assert list((tmp_path / "rollouts").glob("00001-*")), "the solutions of the second step"
    monkeypatch.setattr("recipes.reinforce.journal.write_text", _refuses)
    for path in (tmp_path / "rollouts").glob("00001-*"):
        path.unlink()
    with pytest.raises(WriteError, match="No space left on device"):
        run(job(tmp_path, steps=2, sampler="f16"))


def _too_large(*_: Any, **__: Any) -> None:
    import torch

    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")


def _refuses(target: Path, _text: str) -> None:
    import errno

    raise WriteError.of(target, OSError(errno.ENOSPC, "No space left on device"))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_pool_that_is_never_solved_is_refused_and_another_recipe_too(tmp_path: Path) -> None:
    found = load_questions("nano", "nano", percent=1, most_held_out=3)
    wrong = [dataclasses.replace(question, gold="-1.5") for question in found.pool]
    hopeless = dataclasses.replace(found, pool=wrong, sha256="of other answers")
    with pytest.raises(InputError, match="reinforcement cannot begin where nothing succeeds"):
        run(job(tmp_path, questions=hopeless, refill=0))
    with pytest.raises(InputError, match="holds a run of another recipe"):
        run(job(tmp_path, refill=0))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_long_round_of_a_hopeless_pool_is_not_drawn_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sample, "PART", 4)
    found = load_questions("nano", "nano", percent=1, most_held_out=3)
    wrong = [dataclasses.replace(question, gold="-1.5") for question in found.pool]
    with pytest.raises(InputError, match="of 4 solutions to 1 questions 0% earn"):
        run(job(tmp_path, questions=dataclasses.replace(found, pool=wrong), method="rft", refill=0))
    assert len(list((tmp_path / "rollouts").iterdir())) == 1


def test_a_model_without_a_merged_form_is_told_what_makes_one(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(InputError, match=r"no GGUF file.*mathcoder export"):
        merged_model(str(tmp_path))
    with pytest.raises(InputError, match="a base on the hub is fine-tuned and exported first"):
        merged_model("Qwen/Qwen2.5-Math-1.5B")
    with pytest.raises(ModelError, match="is an adapter"):
        merged_model(str(PACKAGED_MODEL.parents[1] / "smollm2" / "smollm2-135m-adapter.gguf"))
    assert merged_model("nano") == PACKAGED_MODEL
    for name in ("a.gguf", "b.gguf"):
        (tmp_path / name).write_bytes(b"GGUF")
    with pytest.raises(InputError, match="2 GGUF files"):
        merged_model(str(tmp_path))


def test_an_adapter_that_llama_cpp_could_not_hold_is_refused() -> None:
    for setting in ({"dora": True}, {"dropout": 0.1}, {"start": "runs/x"}):
        with pytest.raises(InputError, match="do not go with reinforcement"):
            Policy(PACKAGED_MODEL, TRAIN, LoraSettings(**setting))
