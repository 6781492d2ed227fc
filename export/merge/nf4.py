"""The base as QLoRA training saw it: quantized to NF4 and back by the same library.

NF4: arXiv 2305.14314.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from export.merge.tensors import TensorFolder
from qlora.quiet import quiet_libraries
from runtime.errors import ModelError

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Nf4:
    """How the base was quantized.

    Attributes:
        blocksize: weights that share a scale.
        double_quant: whether the scales are quantized too.
        load_dtype: dtype in which the base was loaded; dequantized weights are rounded to it. None: as stored.
    """

    blocksize: int = 64
    double_quant: bool = True
    load_dtype: str | None = None

    def round_trip(self, weight: torch.Tensor) -> torch.Tensor:
        """`weight` `(out, in)` quantized and dequantized, float32."""
        bnb = import_bitsandbytes()
        import torch

        if self.load_dtype is not None:
            weight = weight.to(getattr(torch, self.load_dtype))
        packed, state = bnb.functional.quantize_4bit(
            weight.contiguous(), blocksize=self.blocksize, compress_statistics=self.double_quant, quant_type="nf4"
        )
        return bnb.functional.dequantize_4bit(packed, state).reshape(weight.shape).float()


_STATE = ".quant_state.bitsandbytes__nf4"
_PARTS = (".absmax", ".quant_map", ".nested_absmax", ".nested_quant_map", _STATE)


def is_part(name: str) -> bool:
    """Whether a stored tensor only describes how another one was quantized."""
    return name.endswith(_PARTS)


def stored_shape(tensors: TensorFolder, name: str) -> tuple[int, ...] | None:
    """Shape of a weight that is stored in NF4 (a base that was published in 4 bits), None where it is not."""
    if name + _STATE not in tensors:
        return None
    facts = json.loads(bytes(tensors.read(name + _STATE).numpy()))
    return tuple(facts["shape"])


def dequantize_stored(tensors: TensorFolder, name: str) -> torch.Tensor:
    """A weight that is stored in NF4, float32."""
    bnb = import_bitsandbytes()
    parts = {name + part: tensors.read(name + part) for part in _PARTS if name + part in tensors}
    state = bnb.functional.QuantState.from_dict(parts, device="cpu")
    return bnb.functional.dequantize_4bit(tensors.read(name), state).reshape(state.shape).float()


def nf4_of(run: dict[str, Any]) -> Nf4:
    """The quantization that `run.json` records, or the usual one."""
    recorded = run.get("quantization") or {}
    return Nf4(
        blocksize=int(recorded.get("blocksize", 64)),
        double_quant=bool(recorded.get("double_quant", True)),
        load_dtype=recorded.get("load_dtype"),
    )


def import_bitsandbytes() -> Any:
    """bitsandbytes, without its complaint that an optional kernel package is absent.

    Raises:
        ModelError: it is not installed.
    """
    try:
        with quiet_libraries():
            import bitsandbytes
    except ImportError as error:
        raise ModelError(
            "bitsandbytes is not installed",
            "the 4-bit base cannot be reproduced",
            "pip install 'mathcoder-toolkit[train]', or merge into the 16-bit base with merge_into=16bit",
        ) from error
    return bitsandbytes
