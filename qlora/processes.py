"""Several processes on one run, as `torchrun` or `accelerate launch` start them.

Each takes every n-th micro-batch of a step; their gradients are added up. Since a step divides by the supervised tokens
of all its rows, the sum is the gradient of one process, and the processes stay equal to each other.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor, nn

    from qlora.step import StepResult


@dataclass(frozen=True)
class Processes:
    """This process among those of the run.

    Attributes:
        rank: number of this one.
        world: how many there are.
    """

    rank: int = 0
    world: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the one that writes files and talks."""
        return self.rank == 0

    def add_up(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace every gradient by the sum over all processes, in one message."""
        if self.world == 1:
            return
        import torch
        import torch.distributed as dist

        trained = list(parameters)
        flat = torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).reshape(-1) for p in trained])
        dist.all_reduce(flat)
        for parameter, part in zip(trained, flat.split([p.numel() for p in trained]), strict=True):
            parameter.grad = part.view_as(parameter).clone()

    def add_up_result(self, result: StepResult) -> None:
        """Replace sums and counts of a step by those over all processes."""
        if self.world == 1:
            return
        import torch
        import torch.distributed as dist

        kinds = sorted(result.loss_sum)
        numbers = [*(result.loss_sum[kind] for kind in kinds), *(float(result.count[kind]) for kind in kinds)]
        values: Tensor = torch.tensor(
            [*numbers, result.tokens, result.slots, result.micro_batches], dtype=torch.float64, device=_device()
        )
        dist.all_reduce(values)
        total = values.tolist()
        result.loss_sum = dict(zip(kinds, total, strict=False))
        result.count = {kind: int(value) for kind, value in zip(kinds, total[len(kinds) :], strict=False)}
        result.tokens, result.slots, result.micro_batches = (int(value) for value in total[-3:])

    def any(self, flag: bool) -> bool:
        """Whether `flag` holds in any process: a Ctrl-C that reached one must stop all at the same step."""
        if self.world == 1:
            return flag
        import torch
        import torch.distributed as dist

        value = torch.tensor([float(flag)], device=_device())
        dist.all_reduce(value)
        return bool(value.item() > 0)

    def wait(self) -> None:
        """Until all have come here."""
        if self.world > 1:
            import torch.distributed as dist

            dist.barrier()


def join() -> Processes:
    """Join the processes that a launcher started with this one; alone where there is none."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        return Processes()
    import torch
    import torch.distributed as dist

    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    if not dist.is_initialized():
        dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    return Processes(dist.get_rank(), world)


def _device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
