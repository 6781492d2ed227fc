"""A step computes the same thing however its rows are laid out."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from qlora.loss import supervised_loss
from qlora.packing import RowOrder, group_rows, lay_out
from qlora.tokenized import tokenize_rows
from runtime.errors import TrainError

ROWS = list(range(8))


def cosine(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> float:
    assert a.keys() == b.keys()
    flat = [torch.cat([tensors[name].double().flatten() for name in sorted(a)]) for tensors in (a, b)]
    return float(torch.nn.functional.cosine_similarity(flat[0], flat[1], dim=0))


def assert_same(one: tuple[float, dict[str, Any]], other: tuple[float, dict[str, Any]]) -> None:
    assert one[0] == pytest.approx(other[0], abs=1e-5)
    assert cosine(one[1], other[1]) > 0.999999
    for name, gradient in one[1].items():
        torch.testing.assert_close(other[1][name], gradient, rtol=1e-3, atol=1e-6)


@pytest.fixture(scope="module", params=[("llama", False), ("qwen2", True), ("mistral", False)])
def model(request: pytest.FixtureRequest, base: Callable[..., Path], rows_file: Path, bench: Any) -> Any:
    architecture, tied = request.param
    style = "bytes" if architecture == "qwen2" else "sentencepiece"
    made = bench(base(architecture, tied=tied, style=style), rows_file)
    made.randomize_adapter()
    return made


def test_eight_micro_batches_of_one_row_give_the_gradient_of_one_of_eight(model: Any) -> None:
    whole = model.gradients(ROWS)
    try:
        model.stepper.micro_tokens = 1
        assert len(model.stepper.micro_batches(ROWS)) == 8
        single = model.gradients(ROWS)
    finally:
        model.stepper.micro_tokens = 4096
    assert len(model.stepper.micro_batches(ROWS)) == 1
    assert_same(whole, single)


def test_packed_rows_give_the_gradient_of_padded_rows(model: Any) -> None:
    packed = model.gradients(ROWS)
    options = model.stepper.settings
    try:
        model.stepper.settings = options.model_copy(update={"packing": False})
        padded_batch = model.stepper.micro_batches(ROWS)[0]
        padded = model.gradients(ROWS)
    finally:
        model.stepper.settings = options
    assert padded_batch.padding > 0
    assert_same(packed, padded)


def losses_by_row(model: Any, rows: list[int]) -> dict[int, list[float]]:
    """Each row's token losses from the very call that the trainer makes."""
    micro = lay_out(model.data.table, rows, model.data.supervised, packed=True)
    _, losses = model.stepper.forward(micro)
    edges = np.searchsorted(micro.predicts, np.cumsum([0, *micro.lengths]))
    return {row: losses[edges[i] : edges[i + 1]].tolist() for i, row in enumerate(micro.rows)}


def test_a_row_of_a_pack_has_the_loss_it_has_alone_and_no_neighbour_moves_it(model: Any) -> None:
    alone = losses_by_row(model, [3])[3]
    for pack in ([3, 4, 5], [4, 3, 5], [7, 1, 3], [10, 11, 3, 2]):
        assert losses_by_row(model, pack)[3] == pytest.approx(alone, abs=1e-4)
    # Not by luck: the same call on a sequence that is one row of all tokens gives another loss.
    micro = lay_out(model.data.table, [4, 3], model.data.supervised, packed=True)
    merged = replace(micro, lengths=[micro.tokens], positions=np.arange(micro.tokens)[None])
    _, leaking = model.stepper.forward(merged)
    assert max(abs(a - b) for a, b in zip(leaking.tolist()[-len(alone) :], alone, strict=True)) > 1e-2


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_rows_of_a_pack_are_apart_with_transformers_own_attention_too(
    attention: str, base: Callable[..., Path], rows_file: Path, bench: Any
) -> None:
    made = bench(base("llama"), rows_file, attention=attention)
    made.randomize_adapter()
    alone = losses_by_row(made, [3])[3]
    assert losses_by_row(made, [4, 3, 5])[3] == pytest.approx(alone, abs=1e-4)
    ours = bench(base("llama"), rows_file)
    ours.randomize_adapter()
    assert losses_by_row(ours, [3])[3] == pytest.approx(alone, abs=1e-4)


def test_a_sliding_window_is_kept_inside_a_pack(base: Callable[..., Path], rows_file: Path, bench: Any) -> None:
    folder = base("mistral", sliding_window=16)
    made, reference = bench(folder, rows_file), bench(folder, rows_file, attention="sdpa")
    for each in (made, reference):
        each.randomize_adapter()
    assert min(made.data.table.lengths[[3, 4]]) > 16
    expected = losses_by_row(reference, [3])[3]
    assert losses_by_row(made, [4, 3])[3] == pytest.approx(expected, abs=1e-4)


def test_after_a_step_exactly_the_new_token_rows_have_moved(model: Any) -> None:
    from qlora import optimizer

    adapted = model.adapted
    optim = optimizer.build(adapted, model.options)
    before = adapted.embedding.rows.detach().clone(), adapted.head.rows.detach().clone()
    model.stepper.gradient(ROWS)
    optim.step()
    # Five of the eight stand in these rows' targets; all eight move in the head, where every row is a wrong answer.
    assert (adapted.head.rows != before[1]).any(1).all()
    assert (adapted.embedding.rows != before[0]).any(1).sum() == 8
    causal = adapted.peft.get_base_model()
    for module, name in (
        (causal.get_input_embeddings(), "model.embed_tokens.weight"),
        (causal.get_output_embeddings(), "lm_head.weight"),
    ):
        effective = module.weight.detach()
        initial = model.initial["model.embed_tokens.weight" if adapted.tied else name]
        moved = (effective != initial).any(1).nonzero().flatten().tolist()
        assert moved == sorted(adapted.embedding.ids.tolist())


def test_new_rows_start_at_the_mean_of_the_rows_the_base_knew(model: Any) -> None:
    known = min(model.adapted.embedding.ids).item()
    for name, weight in model.initial.items():
        if name in ("model.embed_tokens.weight", "lm_head.weight"):
            torch.testing.assert_close(weight[known : known + 8], weight[:known].mean(0).expand(8, -1))


def test_our_embedding_is_pefts(model: Any) -> None:
    ids = torch.tensor([[1, 5, *model.adapted.embedding.ids.tolist(), 7]])
    with torch.no_grad():
        model.adapted.embedding.rows.add_(0.25)
        expected = model.adapted.peft.get_base_model().get_input_embeddings()(ids)
        assert torch.equal(model.adapted.embed(ids), expected)
        model.adapted.embedding.rows.sub_(0.25)


def test_the_fused_functions_compute_what_peft_and_transformers_compute(model: Any) -> None:
    fused = [module for module in model.adapted.peft.modules() if "forward" in module.__dict__]
    # In each of two layers seven linear layers, two norms and one gate; and the last norm.
    assert len(fused) == 21
    ours = model.gradients(ROWS)
    replaced = {module: module.__dict__.pop("forward") for module in fused}
    try:
        theirs = model.gradients(ROWS)
    finally:
        for module, forward in replaced.items():
            module.forward = forward
    assert_same(ours, theirs)


@pytest.mark.parametrize("chunk", [1, 7, 1000])
def test_chunked_supervised_loss_equals_the_plain_one_in_value_and_gradient(chunk: int) -> None:
    torch.manual_seed(0)
    hidden = torch.randn(23, 12, requires_grad=True)
    weight, ids = torch.randn(40, 12), torch.tensor([38, 3, 17])
    rows = torch.randn(3, 12, requires_grad=True)
    targets = torch.randint(0, 40, (23,))
    targets[:3] = ids
    whole = weight.index_copy(0, ids, rows)
    plain = torch.nn.functional.cross_entropy(hidden @ whole.T, targets, reduction="sum")
    expected = torch.autograd.grad(plain / 23, (hidden, rows))
    loss, each = supervised_loss(hidden, weight, rows, ids, targets, chunk=chunk)
    torch.testing.assert_close(loss, plain)
    assert float(each.sum()) == pytest.approx(float(plain), rel=1e-5)
    for got, want in zip(torch.autograd.grad(loss / 23, (hidden, rows)), expected, strict=True):
        torch.testing.assert_close(got, want)


def test_memory_that_runs_out_checkpoints_more_layers_then_halves_and_keeps_the_gradient(model: Any) -> None:
    expected = model.gradients(ROWS)
    stepper, checkpointing = model.stepper, model.adapted.checkpointing
    said: list[tuple[int, int]] = []
    forward = stepper.forward

    def limited(micro: Any) -> Any:
        if micro.ids.size > 300:
            raise torch.OutOfMemoryError("tried to allocate")
        return forward(micro)

    stepper.forward, stepper.on_smaller = limited, lambda: said.append((checkpointing.count, stepper.micro_tokens))
    try:
        after = model.gradients(ROWS)
    finally:
        del stepper.forward
        stepper.micro_tokens, stepper.on_smaller = 4096, None
        checkpointing.set(0)
    assert said == [(1, 4096), (2, 4096), (2, 2048), (2, 1024), (2, 512), (2, 256)]
    assert_same(expected, after)


def test_a_row_that_does_not_fit_alone_is_one_clear_error(model: Any) -> None:
    def never(_micro: Any) -> Any:
        raise torch.OutOfMemoryError("tried to allocate")

    model.stepper.forward = never
    try:
        with pytest.raises(TrainError, match="memory ran out on a single row"):
            model.stepper.gradient(ROWS)
    finally:
        del model.stepper.forward
        model.stepper.micro_tokens = 4096
        model.adapted.checkpointing.set(0)


@settings(max_examples=100, deadline=None)
@given(lengths=st.lists(st.integers(1, 90), min_size=1, max_size=40), limit=st.integers(1, 200), packed=st.booleans())
def test_grouping_keeps_every_row_once_and_within_the_limit(lengths: list[int], limit: int, packed: bool) -> None:
    groups = group_rows(range(len(lengths)), np.array(lengths), limit, packed=packed)
    assert sorted(row for group in groups for row in group) == list(range(len(lengths)))
    for group in groups:
        sizes = [lengths[row] for row in group]
        assert len(group) == 1 or (sum(sizes) if packed else len(sizes) * max(sizes)) <= limit


def test_every_epoch_visits_every_row_once_in_another_order() -> None:
    order = RowOrder(20, 5, seed=3)
    first, second = ([row for step in range(4 * e, 4 * e + 4) for row in order.at(step)] for e in (0, 1))
    assert sorted(first) == sorted(second) == list(range(20))
    assert first != second
    assert RowOrder(20, 5, seed=3).at(6) == order.at(6)
    assert RowOrder(20, 5, seed=4).at(6) != order.at(6)
    assert order.steps(1.5) == math.ceil(30 / 5)


def test_the_fast_tokenizer_says_of_real_rows_what_encode_says(model: Any, shared_data: Path) -> None:
    from qlora.data import encode, load_rows
    from runtime.lce import KINDS

    rows = load_rows(shared_data / "mathcodeinstruct_dev.jsonl")[::150]
    table = tokenize_rows(rows, model.tokenizer)
    for index, row in enumerate(rows):
        ids, kinds = table.row(index)
        encoded = encode(row, model.tokenizer)
        assert ids.tolist() == encoded.input_ids
        assert [KINDS[kind] for kind in kinds] == encoded.kinds
