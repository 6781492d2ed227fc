"""Several processes on one run, as `torchrun` or `accelerate launch` start them.

Each takes every n-th micro-batch of a step; their gradients are added up. Since a step divides by the supervised tokens
of all its rows, the sum is the gradient of one process, and the processes stay equal to each other. All read and one
writes the same run folder.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from runtime.errors import TrainError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from qlora.settings import TrainSettings


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

    def sums(self, values: Sequence[float]) -> list[float]:
        """Each of these numbers added up over all processes."""
        if self.world == 1:
            return list(values)
        import torch
        import torch.distributed as dist

        total: Tensor = torch.tensor(values, dtype=torch.float64, device=_device())
        dist.all_reduce(total)
        return [float(value) for value in total.tolist()]

    def least(self, value: int | None) -> int | None:
        """The smallest of this number in all processes; None where one of them has none."""
        if self.world == 1:
            return value
        import torch
        import torch.distributed as dist

        told = torch.tensor([-1 if value is None else value], dtype=torch.int64, device=_device())
        dist.all_reduce(told, dist.ReduceOp.MIN)
        return int(told.item()) if told.item() >= 0 else None

    def any(self, flag: bool) -> bool:
        """Whether `flag` holds in any process: a Ctrl-C that reached one must stop all at the same step."""
        if self.world == 1:
            return flag
        import torch
        import torch.distributed as dist

        value = torch.tensor([float(flag)], device=_device())
        dist.all_reduce(value)
        return bool(value.item() > 0)

    def agree(self, value: int) -> bool:
        """Whether `value` is the same in all processes."""
        return not self.any(self._of_first(value) != value)

    def _of_first(self, value: int) -> int:
        if self.world == 1:
            return value
        import torch
        import torch.distributed as dist

        told = torch.tensor([value], dtype=torch.int64, device=_device())
        dist.broadcast(told, 0)
        return int(told.item())

    def wait(self) -> None:
        """Until all have come here."""
        if self.world > 1:
            import torch.distributed as dist

            dist.barrier()

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Say what it means that another process was lost in the middle of a common operation.

        Raises:
            TrainError: one was.
        """
        try:
            yield
        except RuntimeError as error:
            if self.world == 1 or not _is_loss_of_another(error):
                raise
            raise TrainError(
                f"another of the {self.world} processes of this run ended before its time",
                "training stops; the last checkpoint is kept",
                "look for its own error above (no error: it was killed, perhaps for its memory), "
                "and give the same command again, which goes on from there",
            ) from error


def join() -> Processes:
    """Join the processes that a launcher started with this one; alone where there is none.

    Raises:
        TrainError: there are fewer GPUs here than processes.
    """
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        return Processes()
    import torch
    import torch.distributed as dist

    if torch.cuda.is_available():
        place, gpus = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
        if place >= gpus:
            raise TrainError(
                f"process {place + 1} of this machine has no GPU: there {'is' if gpus == 1 else 'are'} {gpus}",
                "nothing was trained",
                f"start {gpus} (torchrun --nproc-per-node {gpus}, accelerate launch --num_processes {gpus})",
            )
        torch.cuda.set_device(place)
    if not dist.is_initialized():
        # While the first process solves a sample or writes a large checkpoint, the others wait for it; one that is lost
        # is noticed by its closed connections, or by the launcher, and not by this.
        dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo", timeout=timedelta(hours=2))
    return Processes(dist.get_rank(), world)


def is_sharded(options: TrainSettings) -> bool:
    """Whether the processes that a launcher started are to share the base; one alone keeps it whole."""
    wanted = options.fsdp
    if wanted is None:
        wanted = os.environ.get("ACCELERATE_USE_FSDP", "false").lower() in ("1", "true")
    return wanted and int(os.environ.get("WORLD_SIZE", "1")) > 1


def speaks_for_all() -> bool:
    """Whether this process should print the error that ends it: the first of the run to ask, and no other.

    Before the processes have met, the recipe and its files are all that can be wrong, and wrong for each of them: then
    it is the first of this machine.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return True
    import torch.distributed as dist

    if not (dist.is_available() and dist.is_initialized()):
        return os.environ.get("LOCAL_RANK", "0") == "0"
    try:
        asked: int = dist.distributed_c10d._get_default_store().add("mathcoder/asked_to_speak", 1)
    except RuntimeError:
        return True  # the store went with another process; rather two voices than none
    return asked == 1


def _is_loss_of_another(error: RuntimeError) -> bool:
    import torch.distributed as dist

    # gloo says it in a plain RuntimeError: "[…/gloo/transport/tcp/pair.cc:547] Connection closed by peer […]"
    return isinstance(error, dist.DistError) or "gloo" in str(error) or "by peer" in str(error)


def _device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
