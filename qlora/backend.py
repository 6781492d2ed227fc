"""What computes: peft or unsloth, on which device and in which type."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qlora.quiet import quiet_libraries
from qlora.settings import Backend, TrainSettings
from runtime.errors import TrainError

if TYPE_CHECKING:
    import torch


def choose_backend(requested: Backend, *, sharded: bool = False) -> tuple[str, str]:
    """The backend to use and the reason, for the screen.

    Args:
        requested: what the recipe says.
        sharded: whether processes share the base (`train.fsdp`).

    Raises:
        TrainError: unsloth is asked for and not installed, or cannot do what is asked for.
    """
    from importlib.util import find_spec

    if sharded and requested == "unsloth":
        raise TrainError(
            "train.backend=unsloth needs the whole base in each process, and train.fsdp gives each a shard of it",
            "nothing was trained",
            "set train.backend=peft, or train.fsdp=false",
        )
    if sharded and requested == "auto":
        return "peft", "processes can share its layers"
    installed = find_spec("unsloth") is not None and find_spec("unsloth_zoo") is not None
    if requested == "peft":
        return "peft", "asked for"
    if requested == "unsloth":
        if not installed:
            raise TrainError(
                "train.backend is unsloth, which is not installed",
                "nothing was trained",
                "pip install 'mathcoder-toolkit[gpu]', or set train.backend=peft",
            )
        return "unsloth", "asked for"
    if not installed:
        return "peft", "unsloth is not installed"
    import torch

    if not torch.cuda.is_available():
        # There unsloth runs transformers' own modules, as the peft backend does, and takes seconds more to import.
        return "peft", "no GPU for unsloth's kernels"
    # Its kernels were only tested on a CPU, in Triton's interpreter; peft's loop is the one that all tests hold.
    return "peft", "unsloth has not been proved on a GPU by benchmarks/qlora_gpu.py; train.backend=unsloth takes it"


def has_bfloat16() -> bool:
    """Whether this GPU multiplies matrices of bfloat16: from compute capability 8.0 (Ampere) on.

    `torch.cuda.is_bf16_supported` counts emulation too, which costs a Turing card its tensor cores, and answers
    otherwise once unsloth was imported; this is asked before and after.
    """
    import torch

    return torch.cuda.get_device_capability() >= (8, 0)


def import_unsloth_first() -> None:
    """Unsloth rewrites parts of transformers and peft, and can do so only before others import them."""
    with quiet_libraries() as said:
        try:
            import unsloth  # noqa: F401
        except Exception as error:  # not narrower: its import patches a dozen libraries and raises what they raise
            raise TrainError(
                f"unsloth cannot be imported ({type(error).__name__}: {error})",
                "nothing was trained",
                f"set train.backend=peft, or repair the installation {said.getvalue()[-200:]}".strip(),
            ) from error


def device_and_dtype(settings: TrainSettings) -> tuple[torch.device, torch.dtype]:
    """Where to compute and in what, for `plan` and `train` alike.

    On a GPU bfloat16, or float16 (with a loss scale, see `qlora.loss_scale`) where it has none; on a CPU float32, which
    is also the measured choice with AVX-512: at the nano base's shapes its matrix products run at 131 GFLOP/s a core,
    bfloat16's at 76.
    """
    import torch

    gpu = torch.cuda.is_available()
    device = torch.device("cuda", torch.cuda.current_device()) if gpu else torch.device("cpu")
    if settings.compute_dtype != "auto":
        return device, getattr(torch, settings.compute_dtype)
    if not gpu:
        return device, torch.float32
    return device, torch.bfloat16 if has_bfloat16() else torch.float16


def by_unsloth(model: Any) -> bool:
    """Whether unsloth's own forward pass computes `model`, and not transformers' (which it uses on a CPU)."""
    return bool(getattr(model, "_unsloth_fast_path", False))
