"""Which decoder layers keep only their input and compute again in the backward pass.

arXiv 1604.06174.
"""

from __future__ import annotations

from typing import Any


class GradientCheckpointing:
    """The switch of a model's decoder layers.

    The first layers are the checkpointed ones: the backward pass has let go of what the others keep before one of them
    computes again, so at the peak no layer is held twice.

    Attributes:
        layers: decoder layers in all.
        count: of these, checkpointed.
    """

    def __init__(self, model: Any, decoder: Any, *, enabled: bool, offload: bool) -> None:
        """Nothing is switched yet.

        Args:
            model: the base, which transformers' own method prepares.
            decoder: the part of it that has the `layers`.
            enabled: it has been prepared already (unsloth does so with functions of its own).
            offload: keep the inputs of checkpointed layers in the host's memory.
        """
        self._model, self._decoder_layers = model, list(decoder.layers)
        self._enabled, self._offload = enabled, offload
        self.layers = len(self._decoder_layers)
        self.count = self.layers if enabled else 0

    def set(self, count: int) -> None:
        """Checkpoint the first `count` layers, and no other."""
        count = min(count, self.layers)
        if count and not self._enabled:
            self._model.gradient_checkpointing_enable({"use_reentrant": False}, offload=self._offload)
            self._enabled = True
        if self._enabled:
            for number, layer in enumerate(self._decoder_layers):
                layer.gradient_checkpointing = number < count
        self.count = count

    def raised(self) -> int:
        """The next count to try where memory ran out: half of the layers that are left, and in the end all."""
        return self.count + (self.layers - self.count + 1) // 2
