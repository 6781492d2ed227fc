"""QLoRA on one page, for reading: the nano base in 4 bits, rows executed on this machine, a few steps.

    python -m recipes.examples.train_loop runs/by-hand

`qlora/train.py` is the loop that `mathcoder train` runs. It computes the same gradient and adds what a long run needs:
checkpoints that go on bit for bit, smaller passes when memory runs out, several GPUs, a log, samples on held-out rows.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from torch.nn.utils import clip_grad_norm_

from qlora import attention, optimizer
from qlora.adapter import Adapted, add_adapter
from qlora.base import find_base, load_tokenizer
from qlora.load import load_model
from qlora.loss import supervised_loss
from qlora.packing import MicroBatch, RowOrder, group_rows, lay_out
from qlora.prepare import prepare
from recipes.schema import load_recipe

MICRO_TOKENS = 2048
"""Tokens of one forward pass; the rows of a step are shared out over as many passes as that takes."""


def train(out: Path, overrides: Sequence[str] = ()) -> list[float]:
    """Fine-tune the nano base and save the adapter in `out`; returns each step's loss (nats a token)."""
    settings = load_recipe("nano", overrides).qlora()
    options = settings.train

    base = find_base(settings.base)
    tokenizer = load_tokenizer(base)  # with the eight control tokens
    data = prepare(settings.data, tokenizer, options.context)  # token ids, and a kind for each: prompt, text, code, ...

    model = load_model(base, tokenizer, options, "peft")  # NF4, frozen
    adapted = add_adapter(model, tokenizer, settings.lora, options, "peft", base_name=settings.base)
    trained = list(adapted.trainable().values())  # low-rank pairs, and the rows of the control tokens; float32
    adamw = optimizer.build(adapted, options)

    order = RowOrder(len(data.rows), options.batch_rows, options.seed)
    steps = options.max_steps or order.steps(options.epochs)
    losses = []
    for step in range(steps):
        groups = group_rows(order.at(step), data.table.lengths, MICRO_TOKENS, packed=True)
        batches = [lay_out(data.table, group, data.supervised, packed=True) for group in groups]
        # The mean is over all tokens of the step that carry loss, however the rows fall into passes.
        supervised = sum(len(batch.targets) for batch in batches)
        adamw.zero_grad()
        total = 0.0
        for batch in batches:
            loss = sum_of_losses(adapted, batch) / supervised
            loss.backward()
            total += loss.item()
        norm = clip_grad_norm_(trained, options.max_grad_norm)
        optimizer.set_learning_rate(adamw, optimizer.learning_rate(step, steps, options))
        adamw.step()
        losses.append(total)
        print(f"step {step + 1:4} of {steps}  loss {total:.4f}  gradient {norm:.3f}  tokens {supervised:,}")

    adapted.peft.save_pretrained(out)
    tokenizer.save_pretrained(out)
    return losses


def sum_of_losses(adapted: Adapted, batch: MicroBatch) -> torch.Tensor:
    """Cross-entropy of the tokens of `batch` that carry loss, summed; prompts and executions carry none."""
    ids, positions, predicts, targets = (
        torch.from_numpy(array).to(adapted.device)
        for array in (batch.ids, batch.positions, batch.predicts, batch.targets)
    )
    with torch.autocast(adapted.device.type, adapted.dtype, enabled=adapted.dtype != torch.float32):
        hidden = adapted.backbone(
            inputs_embeds=adapted.embed(ids),
            position_ids=positions,
            use_cache=False,
            # Several rows lie in one sequence; attention works on each by itself.
            row_layout=attention.RowLayout(batch.lengths, adapted.device),
        )[0]
    # Only positions that predict such a token go through the head: the others would be most of the memory.
    hidden = adapted.before_head(hidden[0, predicts])
    head = adapted.head
    return supervised_loss(hidden, head.weight, head.rows, head.ids, targets)[0]


if __name__ == "__main__":
    train(Path(sys.argv[1]), sys.argv[2:])
