"""GGUF files from GGUF files, without torch: an adapter merged into its base, or all in 16 bits.

When merging, each matrix that the adapter changes is dequantized, `alpha / rank * B A` is added in float32, and the sum
is stored as Q8_0; all others are copied as they are. Rows of query and key are in llama.cpp's order in both files.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from runtime.errors import ModelError
from runtime.files import atomic_path, sha256_file
from runtime.lce import BASE_KEY, ROLE_KEY


def merge_adapter(base: Path, adapter: Path, target: Path) -> None:
    """Write `base` with `adapter` in it to `target`, atomically, with the roles of the adapter's tokens.

    Raises:
        ModelError: the adapter is not one for this file.
        WriteError: the file cannot be written.
    """
    import gguf
    import numpy as np

    reader, pairs = gguf.GGUFReader(str(base)), gguf.GGUFReader(str(adapter))
    said = {key: field.contents() for key, field in pairs.fields.items()}
    if said.get("adapter.type") != "lora" or said.get(BASE_KEY) not in (None, sha256_file(base)):
        raise ModelError(
            f"{adapter} is not an adapter for {base}", "nothing was merged", "give the file it was made for"
        )
    parts = {tensor.name: gguf.dequantize(tensor.data, tensor.tensor_type) for tensor in pairs.tensors}
    known = {f"{tensor.name}.lora_{part}" for tensor in reader.tensors for part in "ab"}
    if strange := parts.keys() - known:
        raise ModelError(
            f"{adapter} changes {min(strange)}, which {base} does not have", "nothing was merged", "give its own base"
        )
    with atomic_path(target) as temporary:
        writer = _writer_like(reader, temporary, gguf.LlamaFileType.MOSTLY_Q8_0)
        for key, value in said.items():
            if key.startswith(ROLE_KEY):
                writer.add_string(key, value)
        for tensor in reader.tensors:
            a, b = (parts.get(f"{tensor.name}.lora_{part}") for part in "ab")
            if a is None or b is None:
                writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
                continue
            scale = float(said["adapter.lora.alpha"]) / len(a)
            merged: Any = gguf.dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
            merged = merged + np.float32(scale) * (b.astype(np.float32) @ a.astype(np.float32))
            kind = gguf.GGMLQuantizationType.Q8_0
            writer.add_tensor(tensor.name, gguf.quantize(merged, kind), raw_dtype=kind)
        _write(writer)


def half_precision(path: Path, target: Path) -> None:
    """Write a copy of the GGUF `path` with its matrices in F16 to `target`, atomically.

    With quantized weights llama.cpp rounds activations to 8 bits, which no other program does; with these it computes
    what torch computes.

    Raises:
        WriteError: the file cannot be written.
    """
    import gguf
    import numpy as np

    reader = gguf.GGUFReader(str(path))
    with atomic_path(target) as temporary:
        writer = _writer_like(reader, temporary, gguf.LlamaFileType.MOSTLY_F16)
        for tensor in reader.tensors:
            if tensor.tensor_type in (gguf.GGMLQuantizationType.F32, gguf.GGMLQuantizationType.BF16):
                writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
            else:
                writer.add_tensor(tensor.name, gguf.dequantize(tensor.data, tensor.tensor_type).astype(np.float16))
        _write(writer)


def _writer_like(reader: Any, target: Path, kind: Any) -> Any:
    """A writer with all that `reader`'s file says of its model, but for the type of its tensors."""
    import gguf

    writer = gguf.GGUFWriter(target, str(reader.fields["general.architecture"].contents()))
    for key, field in reader.fields.items():
        # Those of the header itself, and those that the writer sets.
        if not key.startswith("GGUF.") and key not in ("general.architecture", "general.file_type"):
            inner = field.types[-1] if field.types[0] == gguf.GGUFValueType.ARRAY else None
            writer.add_key_value(key, field.contents(), field.types[0], inner)
    writer.add_file_type(kind)
    return writer


def _write(writer: Any) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
