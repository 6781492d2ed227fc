"""RMS norm and SwiGLU, each as one differentiable function that keeps its inputs and nothing else.

transformers' own keep five tensors per norm and three of the MLP's width per gate. Both functions here hold frozen
weights only, so no weight gradient is computed. Numbers are those of transformers' modules; a test holds them together.
"""

from __future__ import annotations

from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn


class _RmsNorm(torch.autograd.Function):
    """y = w x / sqrt(mean(x^2) + eps), statistics in float32."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        wide = x.float()
        scale = torch.linalg.vector_norm(wide, dim=-1, keepdim=True)
        scale.square_().div_(x.shape[-1]).add_(eps).rsqrt_()
        ctx.save_for_backward(x, weight, scale)
        return (wide * scale).to(x.dtype).mul_(weight)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        x, weight, scale = ctx.saved_tensors
        wide, grad = x.float(), (grads[0] * weight).float()
        # d/dx of x * s(x): s g - x s^3 <g, x> / H
        inner = torch.linalg.vecdot(grad, wide).unsqueeze_(-1).mul_(scale.pow(3)).div_(-x.shape[-1])
        return (grad * scale).addcmul_(wide, inner).to(x.dtype), None, None


class _SwiGlu(torch.autograd.Function):
    """silu(gate) * up; silu is computed again in the backward pass rather than kept."""

    @staticmethod
    def forward(ctx: Any, gate: Tensor, up: Tensor) -> Tensor:
        ctx.save_for_backward(gate, up)
        return nn.functional.silu(gate).mul_(up)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        gate, up = ctx.saved_tensors
        grad_up = nn.functional.silu(gate).mul_(grads[0])
        grad_gate = torch.ops.aten.silu_backward(grads[0] * up, gate)
        return grad_gate, grad_up


def fuse_blocks(model: nn.Module) -> int:
    """Let the RMS norms and SwiGLU MLPs of `model` use the functions above; returns how many now do."""
    fused = 0
    for module in model.modules():
        if type(module).__name__.endswith("RMSNorm") and hasattr(module, "variance_epsilon"):
            if module.weight.requires_grad:
                continue
            module.forward = MethodType(_norm_forward, module)
            fused += 1
        elif type(module).__name__ == "Gemma3RMSNorm" and not module.weight.requires_grad:
            module.forward = MethodType(_norm_about_one_forward, module)
            fused += 1
        elif type(module).__name__.endswith("MLP") and isinstance(getattr(module, "act_fn", None), nn.SiLU | _silu()):
            module.forward = MethodType(_mlp_forward, module)
            fused += 1
        elif hasattr(module, "gate_up_proj") and isinstance(getattr(module, "activation_fn", None), nn.SiLU | _silu()):
            module.forward = MethodType(_fused_mlp_forward, module)
            fused += 1
    return fused


def _silu() -> type[nn.Module]:
    from transformers.activations import SiLUActivation

    silu: type[nn.Module] = SiLUActivation
    return silu


def _norm_forward(self: Any, hidden_states: Tensor) -> Tensor:
    normed: Tensor = _RmsNorm.apply(hidden_states, self.weight, self.variance_epsilon)
    return normed


def _norm_about_one_forward(self: Any, x: Tensor) -> Tensor:
    """Gemma stores how far its weights are from one."""
    normed: Tensor = _RmsNorm.apply(x, 1.0 + self.weight, self.eps)
    return normed


def _fused_mlp_forward(self: Any, x: Tensor) -> Tensor:
    """Phi and GLM: gate and up are the halves of one linear layer."""
    output: Tensor = self.down_proj(_SwiGlu.apply(*self.gate_up_proj(x).chunk(2, dim=-1)))
    return output


def _mlp_forward(self: Any, x: Tensor) -> Tensor:
    output: Tensor = self.down_proj(_SwiGlu.apply(self.gate_proj(x), self.up_proj(x)))
    return output
