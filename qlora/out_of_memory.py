"""Whether an error says that memory ran out, whichever library says it."""

from __future__ import annotations

import re

_SIGNS = re.compile(
    r"OutOfMemory|out of memory"  # torch's class; "CUDA error: out of memory" of the driver, Triton, NCCL
    r"|_ALLOC(?:ATION)?_FAILED"  # CUBLAS_STATUS_ALLOC_FAILED, CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED
    r"|cudaErrorMemoryAllocation"
    r"|can(?:'t|not) allocate memory|not enough memory: you tried to allocate",  # torch on a CPU, by system
    re.IGNORECASE,
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether `error`, or one it was raised from, says that an allocation failed, on a GPU or a CPU.

    torch raises OutOfMemoryError only where its own allocator failed; cuBLAS, cuDNN and the driver fail on a full GPU
    with a RuntimeError (or torch.AcceleratorError) of their own.
    """
    reason: BaseException | None = error
    while reason is not None:
        if isinstance(reason, MemoryError) or _SIGNS.search(f"{type(reason).__name__}: {reason}"):
            return True
        reason = reason.__cause__
    return False
