"""Other libraries kept off our screen: what remains on it is chosen."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import platform
import warnings
from collections.abc import Iterator

from runtime.files import cache_folder

ENVIRONMENT = {
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TRANSFORMERS_NO_ADVISORY_WARNINGS": "1",
    "TOKENIZERS_PARALLELISM": "true",
    "UNSLOTH_DISABLE_STATISTICS": "1",
    "BITSANDBYTES_NOWELCOME": "1",
    # torch.compile of each decoder layer, again for every shape of a padded batch: a minute before the first step.
    # Packed rows are left alone by it.
    "UNSLOTH_BLOCK_COMPILE": "0",
}


def expandable_segments_work(system: str | None = None, release: str | None = None) -> bool:
    """Whether torch's allocator can grow its segments here: on Linux, but not in WSL.

    WSL's driver cannot map them.
    """
    system, release = system or platform.system(), release or platform.release()
    return system == "Linux" and "microsoft" not in release.lower()


def no_telemetry() -> None:
    """Set what the libraries read when they are imported; what the user has set stays."""
    for key, value in ENVIRONMENT.items():
        os.environ.setdefault(key, value)
    # Else memory that one shape has left behind is of no use to the next, a larger one. Both names are torch's.
    if expandable_segments_work() and "PYTORCH_CUDA_ALLOC_CONF" not in os.environ:
        os.environ.setdefault("PYTORCH_ALLOC_CONF", "expandable_segments:True")
    # Else into the folder that the command was called from.
    os.environ.setdefault("UNSLOTH_COMPILE_LOCATION", str(cache_folder() / "unsloth_compiled"))


@contextlib.contextmanager
def quiet_libraries() -> Iterator[io.StringIO]:
    """Silence prints, warnings, progress bars and log lines up to WARNING of what runs inside.

    Yields what was printed, for an error message that needs it. Errors raise as ever.
    """
    no_telemetry()
    said = io.StringIO()
    disabled = logging.root.manager.disable
    with warnings.catch_warnings(), contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        warnings.simplefilter("ignore")
        # Among others: bitsandbytes on the optional `kernels` package, transformers on attention it falls back from.
        logging.disable(logging.WARNING)
        try:
            yield said
        finally:
            logging.disable(disabled)
