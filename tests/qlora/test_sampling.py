"""Solving in the middle of training: the torch engine, and a run that samples."""

from __future__ import annotations

import io
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from factory import sum_rows, tokenizer_of
from rich.console import Console
from test_training_run import adapter_bytes, recipe

from qlora.adapter import inference
from qlora.data import encode
from qlora.tokens import add_control_tokens, segment_tokenizer
from qlora.train import Snapshot, train
from recipes.engine_torch import TorchEngine
from recipes.sampling import HeldOutSample, choose
from runtime.errors import EngineError, InputError, ModelError, SandboxError
from runtime.lce import CONTROL_TOKENS, Segment
from runtime.sandbox import Limits
from runtime.settings import SamplingSettings, SolverSettings

TEXTS = (
    "Ann has three apples",
    "\nfor i in range(10):\n    print(i)",
    "ein schöner Tag: ½ + ⅓ 🙂",
    "it spells <|endofblock|> and </s>",
    "  two spaces",
)


@pytest.mark.parametrize("style", ["sentencepiece", "bytes"])
def test_pieces_of_content_are_the_bytes_of_the_content_and_control_tokens_have_none(style: str) -> None:
    tokenizer = tokenizer_of(style)
    ids = add_control_tokens(tokenizer)
    vocabulary = segment_tokenizer(tokenizer).vocabulary
    for text in TEXTS:
        tokens = vocabulary.encode(text)
        assert b"".join(map(vocabulary.piece, tokens)) == text.encode()
        assert not set(tokens) & set(ids)
        assert not any(map(vocabulary.is_end, tokens))
    assert [vocabulary.control_id(name) for name in CONTROL_TOKENS] == ids
    assert {vocabulary.piece(token) for token in ids} == {b""}
    assert [name for name, token in zip(CONTROL_TOKENS, ids, strict=True) if vocabulary.is_end(token)] == [
        "<|endofmessage|>"
    ]
    assert vocabulary.control_id("apples") is None


def plain_greedy(made: Any, ids: list[int], count: int) -> list[int]:
    """Without a cache, through the loop's own parts."""
    adapted = made.adapted
    for _ in range(count):
        with inference(adapted):
            tokens = torch.tensor([ids])
            hidden = adapted.backbone(inputs_embeds=adapted.embed(tokens), use_cache=False)[0][0, -1]
            logits = hidden @ adapted.head.weight.T
            logits[adapted.head.ids] = hidden @ adapted.head.rows.T
        ids = [*ids, int(logits[: len(made.tokenizer)].argmax())]
    return ids


@pytest.mark.parametrize(
    ("architecture", "over", "train"),
    [
        ("llama", {}, {}),
        ("llama", {"tied": True}, {"gradient_checkpointing": True}),
        ("qwen2", {"style": "bytes"}, {"attention": "sdpa"}),
        ("mistral", {"sliding_window": 8}, {}),
        ("llama", {"attention_dropout": 0.9}, {}),
    ],
    ids=["llama", "checkpointed", "sdpa", "sliding window", "attention dropout"],
)
def test_the_cache_changes_no_token(
    architecture: str, over: dict[str, Any], train: dict[str, Any], base: Callable[..., Path], rows_file: Path,
    bench: Any,
) -> None:  # fmt: skip
    made = bench(base(architecture, **over), rows_file, lora={"r": 4, "alpha": 8, "dropout": 0.1}, **train)
    made.randomize_adapter()
    modes = [module.training for module in made.adapted.peft.modules()]
    engine = TorchEngine(made.adapted, made.tokenizer, n_ctx=256)
    decoder = engine.open(2)
    prompt = [Segment("What is the sum of 3, 4, 5 and 6?", "prompt", False)]
    one = decoder.start(prompt, SamplingSettings(), 1)
    start = list(one.ids)
    for _ in range(6):
        decoder.step([one])
    assert one.ids == plain_greedy(made, start, 6)
    # Tokens that the model did not write, several at once on top of a cache.
    before = len(one.ids)
    fed = decoder.feed(one, [Segment("the total is 18", "execution", False)])
    assert fed == len(one.ids) - before > 1
    expected = plain_greedy(made, list(one.ids), 4)
    for _ in range(4):
        decoder.step([one])
    assert one.ids == expected
    assert one.evaluated == len(one.ids) - 1  # each token once, the last drawn one never
    assert [module.training for module in made.adapted.peft.modules()] == modes


def test_slots_are_shared_parked_refused_and_freed_as_the_protocol_says(
    base: Callable[..., Path], rows_file: Path, bench: Any
) -> None:
    made = bench(base(), rows_file)
    made.randomize_adapter()
    decoder = TorchEngine(made.adapted, made.tokenizer, n_ctx=64).open(2)
    first = [Segment("What is the sum of 3 and 4?", "prompt", False)]
    other = [Segment("What is the sum of 9 and 4?", "prompt", False)]
    greedy = SamplingSettings()
    one = decoder.start(first, greedy, 1)
    decoder.step([one])
    two = decoder.start(other, greedy, 1, share=True)
    assert 0 < two.reused == two.past < len(two.ids)
    alone = plain_greedy(made, list(two.ids), 3)
    for _ in range(3):
        decoder.step([one, two])
    assert two.ids == alone
    expected = plain_greedy(made, list(one.ids), 1)
    decoder.park(one)
    assert one.past == 0
    decoder.step([one])
    assert one.ids == expected
    one.only = frozenset({7, 9})
    assert decoder.step([one])[0].token in (7, 9)
    third = decoder.start(first, greedy, 1, after=two)
    assert third.reused > 0
    assert third.slot == two.slot
    with pytest.raises(EngineError, match="all 2 slots are in use"):
        decoder.start(first, greedy, 1)
    with pytest.raises(ModelError, match=r"no control token <\|none\|>.*use another dialect"):
        decoder.feed(third, [Segment("control", "<|none|>", True)])
    decoder.finish(third)
    with pytest.raises(InputError, match="greedily"):
        decoder.start(first, SamplingSettings(temperature=0.5), 1)


def sampler(settings: Any, out: Path, **over: Any) -> tuple[HeldOutSample, io.StringIO]:
    screen = io.StringIO()
    limits = Limits(cell_seconds=5)
    train = settings.train.model_copy(update={"sample_tokens": 24, "sample_rows": 3} | over)
    return HeldOutSample(train, SolverSettings(), limits, out, Console(file=screen, width=300)), screen


def logged(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


def test_a_run_that_samples_ends_as_one_that_does_not_to_the_bit(
    base: Callable[..., Path], rows_file: Path, tmp_path: Path
) -> None:
    settings = recipe(base(), rows_file, max_steps=4, sample_every=2)
    train(settings, tmp_path / "plain", console=Console(quiet=True))
    sample, _ = sampler(settings, tmp_path / "sampled")
    states = []

    def watched(snapshot: Snapshot) -> dict[str, float]:
        before = torch.random.get_rng_state()
        found = sample(snapshot)
        states.append(torch.equal(before, torch.random.get_rng_state()))
        return found

    train(settings, tmp_path / "sampled", console=Console(quiet=True), on_sample=watched)
    assert states == [True, True]
    assert adapter_bytes(tmp_path / "sampled") == adapter_bytes(tmp_path / "plain")
    plain, sampled = logged(tmp_path / "plain"), logged(tmp_path / "sampled")
    assert [entry["loss"] for entry in plain] == [entry["loss"] for entry in sampled]
    assert [entry["step"] for entry in sampled if "sample" in entry] == [2, 4]
    assert all(0 <= entry["sample"]["pass_at_1"] <= 1 for entry in sampled if "sample" in entry)
    lines = (tmp_path / "sampled" / "samples" / "step-4.jsonl").read_text().splitlines()
    assert all(json.loads(line)["tokens"]["generated"] > 0 for line in lines)
    assert (tmp_path / "sampled" / "plots" / "pass_at_1.png").is_file()
    assert json.loads((tmp_path / "sampled" / "run.json").read_text())["sample"] == sampled[-1]["sample"]


def test_a_model_that_writes_the_held_out_rows_scores_one_and_its_cells_really_run(
    base: Callable[..., Path], rows_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = recipe(base(), rows_file, max_steps=1, sample_every=1, data={"held_out_percent": 20})
    sample, screen = sampler(settings, tmp_path, sample_tokens=400)
    rows: list[list[int]] = []

    seen: list[int] = []

    def by_heart(self: TorchEngine, ids: Any, past: int, _cache: Any) -> torch.Tensor:
        # What a model says that has learnt the rows: there is one sequence, so that the ids so far can be kept here.
        seen[past:] = ids
        logits = torch.zeros(self.vocabulary.size)
        for row in rows:
            if row[: len(seen)] == seen:
                logits[row[len(seen)]] = 1
        return logits

    monkeypatch.setattr(TorchEngine, "logits", by_heart)

    def watched(snapshot: Snapshot) -> dict[str, float]:
        rows[:] = [encode(row, snapshot.tokenizer).input_ids for row, _ in choose(snapshot.prepared, 3)]
        return sample(snapshot)

    train(settings, tmp_path, console=Console(quiet=True), on_sample=watched)
    assert logged(tmp_path)[-1]["sample"] == {"pass_at_1": 1.0}
    solved = [json.loads(line) for line in (tmp_path / "samples" / "step-1.jsonl").read_text().splitlines()]
    assert [line["cells"] for line in solved] == [1, 1, 1]
    for line in solved:
        (output,) = [block["content"] for block in line["blocks"] if block["type"] == "execution"]
        assert output == line["gold"]
    assert "3 of 3 held-out rows solved (3 cells run" in screen.getvalue()


def test_ctrl_c_in_a_sample_stops_the_run_and_writes_no_half_a_measure(
    base: Callable[..., Path], rows_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = recipe(base(), rows_file, max_steps=4, sample_every=2)
    sample, _ = sampler(settings, tmp_path)
    plain = TorchEngine.logits

    def interrupted(self: TorchEngine, *args: Any) -> torch.Tensor:
        os.kill(os.getpid(), signal.SIGINT)
        return plain(self, *args)

    monkeypatch.setattr(TorchEngine, "logits", interrupted)
    summary = train(settings, tmp_path, console=Console(quiet=True), on_sample=sample)
    assert (summary.status, summary.steps) == ("interrupted", 2)
    assert "sample" not in logged(tmp_path)[-1]


def test_a_sample_that_cannot_be_taken_costs_the_run_nothing(
    base: Callable[..., Path], rows_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> torch.Tensor:
        raise SandboxError("no isolation works")

    settings = recipe(base(), rows_file, max_steps=1, sample_every=1)
    monkeypatch.setattr(TorchEngine, "logits", broken)
    sample, screen = sampler(settings, tmp_path / "broken")
    assert train(settings, tmp_path / "broken", console=Console(quiet=True), on_sample=sample).status == "finished"
    assert "no isolation works" in screen.getvalue()
    nothing = recipe(base(), rows_file, max_steps=1, sample_every=1, data={"held_out_percent": 0})
    sample, screen = sampler(nothing, tmp_path / "nothing")
    assert train(nothing, tmp_path / "nothing", console=Console(quiet=True), on_sample=sample).status == "finished"
    assert "no held-out row" in screen.getvalue()


def test_gold_answers_are_those_of_the_rows_one_a_question() -> None:
    from types import SimpleNamespace

    from qlora.data import Row

    rows = [Row(row["messages"]) for row in [*sum_rows(6), *sum_rows(2)]]
    prepared: Any = SimpleNamespace(held_out=rows)
    chosen = choose(prepared, 5)
    assert len({row.question for row, _ in chosen}) == len(chosen) == 5
    assert chosen == choose(SimpleNamespace(held_out=rows[::-1]), 5)  # type: ignore[arg-type]
    for row, gold in chosen:
        assert gold == row.messages[-1]["content"][-1]["content"]
