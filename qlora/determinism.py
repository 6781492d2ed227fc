"""The same bits from the same run on a GPU (`train.deterministic`). On a CPU a run has them anyway.

Otherwise two things differ from run to run there: the order in which attention's backward pass and `index_add` sum with
atomics, and the algorithm that cuBLAS picks by the memory it finds.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"


@contextmanager
def deterministic(wanted: bool) -> Iterator[None]:
    """Let torch take deterministic algorithms in here, and warn of an operation that has none.

    To be entered before CUDA starts: cuBLAS reads its variable once. It stays set; what torch was told is taken back.

    Args:
        wanted: else nothing is changed.
    """
    if not wanted:
        yield
        return
    os.environ.setdefault(WORKSPACE, ":4096:8")
    import torch

    kernels = torch.backends.cuda
    before = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        kernels.mem_efficient_sdp_enabled(),
        kernels.cudnn_sdp_enabled(),
    )
    torch.use_deterministic_algorithms(True, warn_only=True)
    # As long as it only warns, torch leaves this one's backward pass as it is; flash attention and plain products have
    # one that is deterministic.
    kernels.enable_mem_efficient_sdp(False)
    kernels.enable_cudnn_sdp(False)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        kernels.enable_mem_efficient_sdp(before[2])
        kernels.enable_cudnn_sdp(before[3])
