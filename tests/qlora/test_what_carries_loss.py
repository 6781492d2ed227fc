"""What a batch carries loss on is exactly its rows' labels: no token more, no place beside."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from factory import row_of, sum_rows, write_jsonl

import qlora.packing
from qlora.data import encode, load_rows
from runtime.lce import CONTROL_TOKENS, KINDS

SUPERVISED = {"text", "code", "control"}
ROWS = [
    *sum_rows(7),
    # Two code blocks, an empty result, and text that spells a control token.
    row_of("Try <|endofblock|> twice.", ("text", "So <|code|> it is."), ("code", "x = 1"), ("execution", ""),
           ("code", "x + 1"), ("execution", "2"), ("text", "Two.")),
    row_of("Say yes.", ("text", "Yes.")),
]  # fmt: skip


@pytest.fixture(scope="module", params=[("llama", "sentencepiece"), ("qwen2", "bytes")], ids=lambda p: p[1])
def made(request: pytest.FixtureRequest, base: Callable[..., Path], tmp_path_factory: Any, bench: Any) -> Any:
    architecture, style = request.param
    file = write_jsonl(tmp_path_factory.mktemp(style) / "rows.jsonl", ROWS)
    made = bench(base(architecture, style=style), file)
    made.labelled = [encode(row, made.tokenizer) for row in load_rows(file)]
    made.randomize_adapter()
    return made


def pairs_of_rows(made: Any) -> Counter[tuple[int, tuple[int, ...], int]]:
    """For each label of each row: the row, the tokens before it, and the label."""
    found: Counter[tuple[int, tuple[int, ...], int]] = Counter()
    for number, row in enumerate(made.labelled):
        assert len(row.input_ids) == len(row.labels) == len(row.kinds)
        for place, (label, kind) in enumerate(zip(row.labels, row.kinds, strict=True)):
            assert (label != -100) == (kind in SUPERVISED)
            if label != -100:
                found[number, tuple(row.input_ids[:place]), label] += 1
    return found


def pairs_of_batch(made: Any, *, packed: bool) -> Counter[tuple[int, tuple[int, ...], int]]:
    """For each position that carries loss in a forward pass: its row, the row up to it, its target."""
    stepper = made.stepper
    options = stepper.settings
    stepper.settings = options.model_copy(update={"packing": packed})
    found: Counter[tuple[int, tuple[int, ...], int]] = Counter()
    try:
        for micro in stepper.micro_batches(list(range(len(ROWS)))):
            assert micro.packed is packed
            starts = np.cumsum([0, *micro.lengths[:-1]]) if packed else np.arange(len(micro.rows)) * micro.ids.shape[1]
            flat = micro.ids.reshape(-1).tolist()
            for place, target in zip(micro.predicts.tolist(), micro.targets.tolist(), strict=True):
                at = int(np.searchsorted(starts, place, side="right")) - 1
                assert place < starts[at] + micro.lengths[at]
                found[micro.rows[at], tuple(flat[starts[at] : place + 1]), target] += 1
    finally:
        stepper.settings = options
    return found


def reference_loss(made: Any) -> float:
    """Mean loss over the labels of all rows, each row alone through the model as transformers calls it."""
    total, count = 0.0, 0
    adapted = made.adapted
    for row in made.labelled:
        with torch.no_grad():
            logits = adapted.peft(input_ids=torch.tensor([row.input_ids]), use_cache=False).logits[0]
        labels = torch.tensor(row.labels[1:])
        total += float(torch.nn.functional.cross_entropy(logits[:-1].float(), labels, reduction="sum"))
        count += int((labels != -100).sum())
    return total / count


@pytest.mark.parametrize("packed", [True, False], ids=["packed", "padded"])
def test_a_batch_carries_loss_on_the_labels_of_its_rows_and_on_nothing_else(packed: bool, made: Any) -> None:
    expected, found = pairs_of_rows(made), pairs_of_batch(made, packed=packed)
    assert sum(expected.values()) > 100
    assert found == expected
    end = made.tokenizer.convert_tokens_to_ids(CONTROL_TOKENS[-1])
    assert sum(count for (_, _, label), count in found.items() if label == end) > 0


@pytest.mark.parametrize("packed", [True, False], ids=["packed", "padded"])
def test_the_loss_of_a_step_is_the_models_own_over_the_labels(packed: bool, made: Any) -> None:
    options = made.stepper.settings
    made.stepper.settings = options.model_copy(update={"packing": packed})
    try:
        result = made.stepper.gradient(list(range(len(ROWS))))
    finally:
        made.stepper.settings = options
    kinds = Counter(
        kind for row in made.labelled for kind, label in zip(row.kinds, row.labels, strict=True) if label != -100
    )
    assert result.count == {kind: kinds[kind] for kind in KINDS if kind in SUPERVISED}
    assert result.loss == pytest.approx(reference_loss(made), abs=1e-4)


@pytest.mark.parametrize("packed", [True, False], ids=["packed", "padded"])
@pytest.mark.parametrize("fault", ["one token later", "one token earlier", "everything"])
def test_a_shifted_mask_and_loss_on_everything_would_be_noticed(
    fault: str, packed: bool, made: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    mask = qlora.packing.supervised_mask

    def shifted(kinds: Any, supervised: Any) -> Any:
        if fault == "everything":
            return np.ones(len(kinds), bool)
        return np.roll(mask(kinds, supervised), 1 if fault == "one token later" else -1)

    monkeypatch.setattr("qlora.packing.supervised_mask", shifted)
    assert pairs_of_batch(made, packed=packed) != pairs_of_rows(made)


def test_targets_moved_by_one_position_would_be_noticed(made: Any) -> None:
    (micro,) = made.stepper.micro_batches(list(range(len(ROWS))))
    with torch.no_grad():
        right, _ = made.stepper.forward(micro)
        wrong, _ = made.stepper.forward(replace(micro, predicts=micro.predicts + 1))
    count = len(micro.targets)
    assert float(right) / count == pytest.approx(reference_loss(made), abs=1e-4)
    assert abs(float(wrong) / count - reference_loss(made)) > 1e-2
