"""A linear layer in NF4 with LoRA on it, as one differentiable function.

    y = x W' + s (x A') B'       W frozen, 4 bits; A [r, in] and B [out, r] trained, float32; s the scale

peft computes this with a dozen operations that keep the input twice (once cast to the adapter's float32), the base's
output and two copies of it for the backward pass. Here the adapter's part is added in place and only `x` and the
narrow `x A'` are kept. The numbers are those of peft's own forward; a test holds both against each other.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn


class _LoraLinear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, a: Tensor, b: Tensor, layer: Any, scale: float, dtype: torch.dtype) -> Tensor:
        flat = x.reshape(-1, x.shape[-1]).to(dtype)
        cast_a, cast_b = a.to(dtype), b.to(dtype)
        narrow = flat @ cast_a.T
        bias = layer.bias
        out = nn.functional.linear(flat, frozen_weight(layer, dtype), None if bias is None else bias.to(dtype))
        out.addmm_(narrow, cast_b.T, alpha=scale)
        ctx.save_for_backward(flat, narrow, cast_a, cast_b)
        ctx.layer, ctx.scale, ctx.shape, ctx.dtypes = layer, scale, x.shape, (x.dtype, a.dtype, dtype)
        return out.reshape(*x.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        flat, narrow, a, b = ctx.saved_tensors
        x_dtype, adapter_dtype, dtype = ctx.dtypes
        grad = grads[0].reshape(-1, grads[0].shape[-1]).to(dtype)
        grad_narrow = (grad @ b).mul_(ctx.scale)
        grad_b = (grad.T @ narrow).mul_(ctx.scale)
        grad_a = grad_narrow.T @ flat
        grad_x = None
        if ctx.needs_input_grad[0]:
            grad_x = grad @ frozen_weight(ctx.layer, dtype)
            grad_x.addmm_(grad_narrow, a)
            grad_x = grad_x.reshape(ctx.shape).to(x_dtype)
        return grad_x, grad_a.to(adapter_dtype), grad_b.to(adapter_dtype), None, None, None


def frozen_weight(layer: Any, dtype: torch.dtype) -> Tensor:
    """[out, in] weight of a linear layer, dequantized where it is in 4 bits."""
    # A sharded weight has lost the state of its quantization; its layer has it.
    state = getattr(layer.weight, "quant_state", None) or getattr(layer, "quant_state", None)
    if state is None:
        return layer.weight.to(dtype)
    from bitsandbytes.functional import dequantize_4bit

    weight: Tensor = dequantize_4bit(layer.weight, state)
    return weight.to(dtype)


def fuse(peft_model: nn.Module, dtype: torch.dtype) -> int:
    """Let every plain LoRA layer of `peft_model` compute with the function above.

    Layers with dropout or DoRA keep peft's forward, and every layer does while its adapter is disabled or merged.

    Returns:
        How many layers now do.
    """
    from peft.tuners.lora.layer import LoraLayer

    fused = 0
    for module in peft_model.modules():
        if isinstance(module, LoraLayer) and _is_plain(module):
            module.forward = _Forward(module, dtype)
            fused += 1
    return fused


@contextmanager
def unfused(model: nn.Module) -> Iterator[None]:
    """Let `model` compute with the forward passes of peft and transformers, as if nothing had been fused."""
    ours = {
        module: module.__dict__["forward"]
        for module in model.modules()
        if "forward" in module.__dict__ and module.forward.__module__.startswith("qlora.")
    }
    for module in ours:
        del module.forward
    try:
        yield
    finally:
        for module, forward in ours.items():
            module.forward = forward


def _is_plain(module: Any) -> bool:
    base = module.get_base_layer()
    return (
        list(module.lora_A) == ["default"]
        and isinstance(module.lora_dropout["default"], nn.Identity)
        and not module.use_dora.get("default", False)
        and not module.lora_bias.get("default", False)
        and isinstance(base, nn.Linear)
        # Packed for inference on a CPU, a 4-bit weight has another layout, from which no gradient can be had.
        and not getattr(getattr(base.weight, "quant_state", None), "packing_format_for_cpu", False)
    )


class _Forward:
    """Stands in for one layer's `forward`."""

    def __init__(self, module: Any, dtype: torch.dtype) -> None:
        self.module = module
        self.dtype = dtype
        self.original = module.forward

    def __call__(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        module = self.module
        if module.disable_adapters or module.merged or args or kwargs:
            result: Tensor = self.original(x, *args, **kwargs)
            return result
        a, b = module.lora_A["default"].weight, module.lora_B["default"].weight
        fused: Tensor = _LoraLinear.apply(x, a, b, module.get_base_layer(), module.scaling["default"], self.dtype)
        return fused
