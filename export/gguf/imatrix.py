"""Importance matrices: how much each input column of a weight matters, for quantization below 5 bits.

llama.cpp's `llama-imatrix` writes two kinds of file: a GGUF with `NAME.in_sum2` and `NAME.counts` tensors, and an older
binary. Both are read here. The bindings cannot collect one, so from a file of rows it is collected on the merged model
in torch: the mean square of what goes into each linear layer is the same number wherever it is computed.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

from export.gguf.file import read_gguf
from runtime.errors import InputError, ModelError
from runtime.files import atomic_path

if TYPE_CHECKING:
    import numpy as np

    from export.rows import Samples

GGUF_NAMES = {
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.qkv_proj": "attn_qkv", "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up", "mlp.gate_up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
}  # fmt: skip
"""Linear layers of the tested architectures by the name llama.cpp gives them. The converter reorders rows of
some, never columns, and an importance belongs to a column."""


_LARGEST = 2_000_000_000
"""Bytes of an importance matrix at most; one of a 70B model has 25 MB."""


def is_rows(path: Path) -> bool:
    """Whether `path` is a file of rows to collect a matrix from, rather than a matrix."""
    return path.suffix == ".jsonl"


def read_imatrix(path: Path) -> dict[str, np.ndarray]:
    """Mean squared activation of every input column, float32 `(columns,)`, by tensor name.

    Raises:
        InputError: no such file.
        ModelError: the file is not an importance matrix.
    """
    if not path.is_file():
        raise InputError(f"the importance matrix {path} does not exist", "nothing was exported", "check imatrix")
    with open(path, "rb") as handle:
        is_gguf = handle.read(4) == b"GGUF"
    matrix = _from_gguf(path) if is_gguf else _from_binary(path)
    if not matrix:
        raise ModelError(f"{path} holds no importance matrix", "nothing was exported", "make it with llama-imatrix")
    return matrix


def _from_gguf(path: Path) -> dict[str, np.ndarray]:
    import numpy as np

    file = read_gguf(path)
    result = {}
    for name in file.tensors:
        if name.endswith(".in_sum2"):
            stem = name.removesuffix(".in_sum2")
            sums = file.rows(name)
            counts = file.rows(f"{stem}.counts").reshape(-1, 1) if f"{stem}.counts" in file.tensors else np.ones((1, 1))
            if not sums.size or not counts.size or sums.size % counts.size:
                raise ModelError(
                    f"{path} is not an importance matrix ({sums.size} sums and {counts.size} counts of {stem})",
                    "nothing was exported",
                    "make it again with llama-imatrix",
                )
            sums = sums.reshape(counts.shape[0], -1)
            # Experts that saw no token count as all equal, as llama.cpp has it.
            mean = np.where(counts > 0, sums / np.maximum(counts, 1), 1.0)
            result[stem] = np.ascontiguousarray(mean.reshape(-1), dtype=np.float32)
    return result


def _from_binary(path: Path) -> dict[str, np.ndarray]:
    import numpy as np

    result = {}
    try:
        if path.stat().st_size > _LARGEST:
            raise ValueError("it is larger than one of any model")
        raw = path.read_bytes()
        (entries,) = struct.unpack_from("<i", raw, 0)
        position = 4
        if not 0 < entries < 100_000:
            raise ValueError("no plausible number of entries")
        for _ in range(entries):
            (length,) = struct.unpack_from("<i", raw, position)
            if length <= 0:
                raise ValueError("an entry has no name")
            name = raw[position + 4 : position + 4 + length].decode("utf-8")
            position += 4 + length
            calls, count = struct.unpack_from("<ii", raw, position)
            position += 8
            if count <= 0 or position + 4 * count > len(raw):
                raise ValueError("an entry is cut")
            values = np.frombuffer(raw, dtype="<f4", count=count, offset=position).astype(np.float32)
            position += 4 * count
            result[name] = values / max(1, calls)
    except (struct.error, ValueError, UnicodeDecodeError) as error:
        raise ModelError(
            f"{path} is not an importance matrix ({error})", "nothing was exported", "make it with llama-imatrix"
        ) from error
    return result


def collect_imatrix(model: Any, samples: Samples) -> dict[str, np.ndarray]:
    """Mean squared input of every linear layer of the merged `model` over all tokens of `samples`."""
    import torch

    sums: dict[str, torch.Tensor] = {}
    tokens = sum(len(row.input_ids) for row in samples.rows)
    hooks = []

    def watch(name: str) -> Any:
        def hook(_module: Any, inputs: tuple[torch.Tensor, ...]) -> None:
            squares = inputs[0].detach().reshape(-1, inputs[0].shape[-1]).double().square().sum(dim=0)
            sums[name] = sums[name] + squares if name in sums else squares

        return hook

    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear) and (gguf_name := _gguf_name(name)):
            hooks.append(module.register_forward_pre_hook(watch(gguf_name)))
    with torch.inference_mode():
        for row in samples.rows:
            model(input_ids=torch.tensor([row.input_ids]), use_cache=False)
    for hook in hooks:
        hook.remove()
    return {name: (total / tokens).float().numpy() for name, total in sums.items()}


def _gguf_name(module: str) -> str | None:
    if module == "lm_head":
        return "output.weight"
    head, _, rest = module.partition(".layers.")
    number, _, part = rest.partition(".")
    if not head or part not in GGUF_NAMES:
        return None
    return f"blk.{number}.{GGUF_NAMES[part]}.weight"


def write_imatrix(matrix: dict[str, np.ndarray], target: Path) -> None:
    """Write llama.cpp's older binary form, atomically: names, one call each, values."""
    with atomic_path(target) as temporary, open(temporary, "wb") as handle:
        handle.write(struct.pack("<i", len(matrix)))
        for name, values in matrix.items():
            encoded = name.encode()
            handle.write(struct.pack("<i", len(encoded)) + encoded + struct.pack("<ii", 1, values.size))
            handle.write(values.astype("<f4").tobytes())
