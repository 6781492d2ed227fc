"""TRL's SFTTrainer as the other side of a comparison: our rows, labels and order, each step timed."""

from __future__ import annotations

import time
from typing import Any


def labelled_rows(data: Any, count: int) -> list[dict[str, list[int]]]:
    """The first `count` rows of prepared data as SFTTrainer takes them, with our labels."""
    from qlora.tokenized import supervised_mask

    rows = []
    for index in range(count):
        tokens, kinds = data.table.row(index)
        carries = supervised_mask(kinds, data.supervised)
        labels = [int(token) if carry else -100 for token, carry in zip(tokens, carries, strict=True)]
        rows.append({"input_ids": tokens.tolist(), "labels": labels})
    return rows


def sft_in_order() -> tuple[Any, Any]:
    """A class of SFTTrainer that takes rows in their order, and a callback that keeps losses and times.

    The callback has `losses`, and `ends` of steps as (seconds of the wall, seconds of the processor).
    """
    import torch
    from torch.utils.data import SequentialSampler
    from transformers import TrainerCallback
    from trl import SFTTrainer

    class Watch(TrainerCallback):
        def __init__(self) -> None:
            self.ends: list[tuple[float, float]] = []
            self.losses: list[float] = []

        def on_step_end(self, _args: Any, _state: Any, _control: Any, **_: Any) -> None:
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            self.ends.append((time.perf_counter(), time.process_time()))

        def on_log(self, _args: Any, _state: Any, _control: Any, logs: Any = None, **_: Any) -> None:
            if logs and "loss" in logs:
                self.losses.append(float(logs["loss"]))

    class InOrder(SFTTrainer):
        def _get_train_sampler(self, dataset: Any = None) -> Any:
            return SequentialSampler(dataset if dataset is not None else self.train_dataset)

    return InOrder, Watch()
