"""Import this first, in a process of its own: unsloth's code for GPUs, computing on a CPU.

Triton's interpreter runs its kernels, and a few answers of CUDA are invented. What needs a real GPU stays out of reach:
the 4-bit kernels, the fused LoRA (which declines float32), streams and memory.
"""

from __future__ import annotations

import os
import sys
from contextlib import nullcontext
from typing import Any

os.environ.update(
    UNSLOTH_ALLOW_CPU="1", TRITON_INTERPRET="1", UNSLOTH_DISABLE_STATISTICS="1", HF_HUB_OFFLINE="1",
    UNSLOTH_SKIP_TRANSFORMERS_DEPENDENCY_CHECK="1",
)  # fmt: skip
os.environ.pop("UNSLOTH_FORCE_CPU", None)

import torch

from qlora.quiet import no_telemetry

no_telemetry()
torch.set_num_threads(1)
import unsloth  # noqa: E402, F401 - after its variables and before what it rewrites
from unsloth.models import llama  # noqa: E402

ANSWERS: dict[str, Any] = {
    "get_device_stats": lambda: ("none. ", "no GPU.", 0),
    "clean_gpu_cache": lambda: None,
    "get_current_device": lambda: 0,
    "DEVICE_COUNT": 1,
    "DEVICE_TYPE_TORCH": "cpu",
}
"""What unsloth's modules have asked of CUDA."""
OF_CUDA: dict[str, Any] = {
    "get_device_capability": lambda *_: (8, 9),
    "current_device": lambda: 0,
    "synchronize": lambda *_: None,
    "empty_cache": lambda: None,
    "is_bf16_supported": lambda *_, **__: True,
    "manual_seed_all": lambda _: None,
}


def invent() -> None:
    """Give the answers above, and put on the CPU what is meant for device 0."""
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] != "unsloth":
            continue
        for answer, value in ANSWERS.items():
            if answer in vars(module):
                setattr(module, answer, value)
        if "torch_gpu_device" in vars(module):
            module.torch_gpu_device = lambda _device: nullcontext()  # type: ignore[attr-defined]
    for name, value in OF_CUDA.items():
        setattr(torch.cuda, name, value)
    empty = torch.empty

    def on_cpu(*size: Any, **options: Any) -> torch.Tensor:
        if isinstance(options.get("device"), int):
            options["device"] = "cpu"
        options.pop("pin_memory", None)
        made: torch.Tensor = empty(*size, **options)
        return made

    torch.empty = on_cpu  # type: ignore[assignment]
    llama._PerDeviceRopeCache._build_rope_cache = rope_table


def rope_table(self: Any, index: int) -> None:
    """The table of rotations, which unsloth builds on the GPU of number `index`."""
    angles = torch.outer(torch.arange(self._rope_cache_rows()).float(), self._unsloth_recompute_inv_freq())
    both = torch.cat((angles, angles), -1)
    slot = index or 0
    self.multi_gpu_cos_cached[slot] = both.cos().to(self._rope_cache_dtype)
    self.multi_gpu_sin_cached[slot] = both.sin().to(self._rope_cache_dtype)
    self._rope_cache_versions[slot] = self._rope_cache_version
    self._rope_rebuild_for_grad[slot] = False


invent()
