"""The frozen base shared by the processes of a run (FSDP), for a base that is too large for one GPU.

torch's `fully_shard`: of the linear weights of every decoder layer, packed in 4 bits as they are, each process keeps
one part, and a layer is gathered only while it computes, forward and backward. What is trained stays whole in every
process, with its gradients and its optimizer's state (for a 70B base at r=16 a tenth of the weights), and so does the
small rest: norms, biases, the scales of the quantization, the two ends.

bitsandbytes' advice to store the packed weights as floats is for the first FSDP; `fully_shard` takes bytes, and bytes
cannot be mistaken for a NaN on their way.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from qlora.adapter import Adapted
from qlora.processes import Processes
from runtime.errors import TrainError


class ShardedBase:
    """The base of `adapted` in shards.

    Attributes:
        layers: decoder layers, each gathered and let go as a whole.
        held: bytes of sharded weights in this process; whole: in all together.
    """

    def __init__(self, adapted: Adapted, processes: Processes, device: torch.device) -> None:
        """Shard the base and put everything on `device`; from then on a forward pass is one of all processes.

        Args:
            adapted: its base may lie in the memory of the host, so that no GPU ever has to hold all of it.
            processes: those of the run.
            device: where this process computes.
        """
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard

        self.processes = processes
        self.backbone = adapted.backbone
        self.layers: list[Any] = list(adapted.backbone.layers)
        self.held = self.whole = 0
        mesh = init_device_mesh(device.type, (processes.world,))
        for layer in self.layers:
            shared = [_plain_weight(linear) for linear in _frozen_linears(layer)]
            self.whole += sum(weight.nbytes for weight in shared)
            # By hand rather than by `fully_shard`, which may not see what it is told to ignore.
            _move(layer, device)
            fully_shard(layer, mesh=mesh, reshard_after_forward=True, ignored_params=_others(layer, shared))
            self.held += sum(linear.weight.to_local().nbytes for linear in _frozen_linears(layer))
        _move(adapted.peft, device)
        for before, layer in zip([self.layers[0], *self.layers], self.layers, strict=False):
            # Else each process gathers ahead in the reverse order of its own forward passes, a sample's among them.
            layer.set_modules_to_backward_prefetch([before])
        # The root has no weights of its own here; it lets the layers share their buffers.
        fully_shard(self.backbone, mesh=mesh, ignored_params=_others(self.backbone, []))
        adapted.locate()

    def account(self) -> str:
        """`12.3 of 24.6`, in megabytes."""
        return f"{self.held / 1e6:,.3g} of {self.whole / 1e6:,.3g}"

    @contextmanager
    def first_computes(self) -> Iterator[None]:
        """In the first process, while it alone computes with the model: the others gather along in `follow`.

        Raises:
            TrainError: a forward pass broke off, while the others wait for it to go on.
        """
        inside = False

        def enter(*_: Any) -> None:
            nonlocal inside
            self._tell(True)
            inside = True

        def leave(*_: Any) -> None:
            nonlocal inside
            inside = False

        handles = [self.backbone.register_forward_pre_hook(enter), self.backbone.register_forward_hook(leave)]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()
            if not inside:
                self._tell(False)
        if inside:
            raise TrainError(
                "a sample broke off in the middle of a layer that all processes gather",
                "they cannot find together again; the last checkpoint is kept",
                "set train.sample_every=0 (or a smaller train.sample_tokens) and give the same command again",
            )

    def follow(self) -> None:
        """Give the parts of every layer, once for each forward pass of the first process."""
        while self._tell(False):
            for layer in self.layers:
                layer.unshard()
                layer.reshard()

    def _tell(self, go: bool) -> bool:
        """What the first process says."""
        return self.processes.any(go)


def _frozen_linears(layer: nn.Module) -> list[Any]:
    from peft.tuners.lora.layer import LoraLayer

    return [module.get_base_layer() for module in layer.modules() if isinstance(module, LoraLayer)]


def _plain_weight(linear: Any) -> nn.Parameter:
    """Keep the quantization's state on the layer, where bitsandbytes looks next.

    It keeps it on its own kind of tensor, which sharding would lose.
    """
    state = getattr(linear.weight, "quant_state", None)
    if state is not None:
        linear.quant_state = state
    packed: Tensor = linear.weight.detach().as_subclass(Tensor)
    linear.weight = nn.Parameter(packed, requires_grad=False)
    weight: nn.Parameter = linear.weight
    return weight


def _others(module: nn.Module, shared: list[nn.Parameter]) -> set[nn.Parameter]:
    managed = set(shared)
    return {parameter for parameter in module.parameters() if parameter not in managed}


def _move(module: nn.Module, device: torch.device) -> None:
    """Parameters, buffers and scales to `device`, where they are not there yet; shards stay in place."""
    for part in module.modules():
        for parameter in part.parameters(recurse=False):
            if parameter.device != device:
                parameter.data = parameter.data.to(device)
        for name, buffer in part.named_buffers(recurse=False):
            part._buffers[name] = buffer.to(device)
        state = getattr(part, "quant_state", None)
        if state is not None:
            state.to(device)
