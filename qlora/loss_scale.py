"""The loss scale that float16 needs: a power of two that follows what the gradients can bear.

arXiv 1710.03740, section 3.2.

float16 has no number above 65,504 and none between 0 and 6e-8, where most gradients of a mean loss lie. So the loss is
multiplied before the backward pass, and the gradients are divided after it. Where they overflow, the scale is halved
and the same step is computed again: no step is lost, and what it computes does not depend on the scale. A power of two
changes no digit of what it multiplies.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import nn

START, SMALLEST, LARGEST = 2.0**16, 2.0**-8, 2.0**24
GROW_AFTER = 2000
"""Steps without an overflow before the scale is doubled; torch's own choice, which loses a pass in some thousand."""


class LossScale:
    """The scale in force: 1 for compute types that need none.

    Attributes:
        value: what losses are multiplied by.
        steps: taken since it was changed.
    """

    def __init__(self, dtype: torch.dtype) -> None:
        import torch

        self.is_dynamic = dtype == torch.float16
        self.value = START if self.is_dynamic else 1.0
        self.steps = 0

    def unscale(self, parameters: Iterable[nn.Parameter]) -> None:
        """Divide the gradients by the scale, in place."""
        import torch

        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        if self.is_dynamic and gradients:
            torch._foreach_mul_(gradients, 1.0 / self.value)

    def lower(self) -> bool:
        """Halve the scale after an overflow; False where that cannot help."""
        if not self.is_dynamic or self.value <= SMALLEST:
            return False
        self.value, self.steps = self.value / 2, 0
        return True

    def count_step(self) -> None:
        """A step was taken; now and then the scale is tried twice as large."""
        if self.is_dynamic:
            self.steps += 1
            if self.steps == GROW_AFTER and self.value < LARGEST:
                self.value, self.steps = self.value * 2, 0

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps, so that a resumed run is the same run."""
        return {"value": self.value, "steps": self.steps} if self.is_dynamic else {}

    def load(self, state: dict[str, Any]) -> None:
        """Take up what `state` gave; an empty one changes nothing."""
        if self.is_dynamic and state:
            self.value, self.steps = float(state["value"]), int(state["steps"])
