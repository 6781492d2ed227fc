"""The process in which llama.cpp quantizes: `python -m export.gguf.quantize_worker SPEC.json`.

Own process: a fault in native code must not take an hour of work with it. Prints `PROGRESS done total` lines.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import sys
from pathlib import Path
from typing import Any


def main(spec_file: str) -> int:
    """Quantize as the JSON file `spec_file` says; returns the process's exit code."""
    spec = json.loads(Path(spec_file).read_text(encoding="utf-8"))
    import llama_cpp

    @llama_cpp.llama_log_callback
    def on_log(_level: int, text: bytes, _user: Any) -> None:
        line = text.decode("utf-8", "replace")
        if match := re.match(r"\[\s*(\d+)/\s*(\d+)\]", line):
            print("PROGRESS", match[1], match[2], flush=True)
        elif re.search(r"fail|error|missing|not supported|cannot|did not find", line, re.IGNORECASE):
            print(line.strip(), flush=True)

    llama_cpp.llama_log_set(on_log, None)
    llama_cpp.llama_backend_init()
    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype = spec["ftype"]
    params.nthread = spec["threads"]
    # The default of 8 GiB is more than a laptop has to spare.
    params.max_buf_size = 256 * 1024 * 1024
    if spec["token_embedding_type"] is not None:
        params.token_embedding_type = spec["token_embedding_type"]
    if spec["output_tensor_type"] is not None:
        params.output_tensor_type = spec["output_tensor_type"]
    keep = []
    if spec["imatrix"]:
        from export.gguf.imatrix import read_imatrix

        matrix = read_imatrix(Path(spec["imatrix"]))
        array = (llama_cpp.llama_model_imatrix_data * (len(matrix) + 1))()
        for place, (name, values) in zip(array, matrix.items(), strict=False):
            data = (ctypes.c_float * values.size).from_buffer_copy(values.tobytes())
            keep.append((data, name.encode()))
            place.name, place.size = keep[-1][1], len(data)
            place.data = ctypes.cast(data, ctypes.POINTER(ctypes.c_float))
        params.imatrix = array
    code = llama_cpp.llama_model_quantize(
        os.fsencode(spec["source"]), os.fsencode(spec["target"]), ctypes.byref(params)
    )
    return int(code != 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
