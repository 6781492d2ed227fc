"""F16 GGUF -> a quantized one, through `llama_model_quantize` of the installed llama-cpp-python."""

from __future__ import annotations

import json
import os
import re
import tempfile
from pathlib import Path

from export.gguf.convert import run_worker
from export.settings import ExportSettings, OnProgress, file_types, tensor_types
from runtime.errors import ExportError
from runtime.files import atomic_path

UNQUANTIZED = ("F32", "F16", "BF16")
NEEDS_IMATRIX = ("IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ1_S", "IQ1_M", "Q2_K_S")
"""Types llama.cpp writes only with an importance matrix."""


def quantize(
    source: Path,
    target: Path,
    type_name: str,
    settings: ExportSettings,
    imatrix: Path | None = None,
    progress: OnProgress | None = None,
) -> None:
    """Write `target`, of the llama.cpp type `type_name`, from the F16 file `source`, atomically.

    Raises:
        ExportError: llama.cpp refuses; the message holds its reason.
    """
    tensors = tensor_types()
    with tempfile.TemporaryDirectory(prefix="mathcoder-") as scratch, atomic_path(target) as temporary:
        spec = {
            "source": str(source.resolve()),
            "target": str(temporary.resolve()),
            "ftype": file_types()[type_name],
            "threads": settings.threads or os.cpu_count() or 1,
            "token_embedding_type": _type(settings.token_embedding_type, tensors),
            "output_tensor_type": _type(settings.output_tensor_type, tensors),
            "imatrix": None if imatrix is None else str(imatrix),
        }
        spec_file = Path(scratch) / "spec.json"
        spec_file.write_text(json.dumps(spec), encoding="utf-8")

        def on_line(line: str) -> None:
            if progress is not None and (match := re.match(r"PROGRESS (\d+) (\d+)", line)):
                progress(type_name, int(match[1]) / max(1, int(match[2])))

        done = run_worker("export.gguf.quantize_worker", [str(spec_file)], on_line)
        if done.code or not temporary.stat().st_size:
            reasons = [line for line in done.lines if not line.startswith("PROGRESS")]
            raise ExportError(
                f"llama.cpp could not write {type_name} ({reasons[0][:200] if reasons else 'it gave no reason'})",
                "this file was not written",
                "choose another type" if imatrix else "choose another type, or give an importance matrix",
            )


def _type(name: str | None, known: dict[str, int]) -> int | None:
    return None if name is None else known[name.upper()]
