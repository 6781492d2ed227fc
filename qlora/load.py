"""The base in memory: in 4 bits on its device, with a row for every token."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from qlora import attention
from qlora.architectures import architecture_of, tested
from qlora.backend import by_unsloth, device_and_dtype
from qlora.base import Base, first_line
from qlora.out_of_memory import is_out_of_memory
from qlora.quiet import quiet_libraries
from qlora.settings import TrainSettings
from runtime.errors import MathCoderError, ModelError, TrainError

ROWS_AT_A_TIME = 4096
"""Rows of an embedding that are summed in float64 at one time."""


def load_model(base: Base, tokenizer: Any, settings: TrainSettings, backend: str, *, on_host: bool = False) -> Any:
    """The base on its device: linear layers in NF4, embeddings grown for the added tokens.

    Rows of tokens that the base did not know start at the mean of the rows it knew, input and output.

    Args:
        base: what to load.
        tokenizer: with the control tokens.
        settings: of the training.
        backend: `peft` or `unsloth`.
        on_host: in the memory of the host, whatever computes later: the GPU gets it in parts.

    Raises:
        ModelError: a weight file is truncated or does not fit the configuration.
        TrainError: not enough memory for the weights.
    """
    architecture = tested(base.config)
    if backend == "unsloth" and not (architecture and architecture.has_unsloth):
        raise TrainError(
            f"train.backend is unsloth, whose kernels were not tested with a {architecture_of(base.config)}",
            "nothing was trained",
            "set train.backend=peft",
        )
    device, dtype = device_and_dtype(settings)
    if on_host:
        device = torch.device("cpu")
    known = _known_tokens(base)
    with quiet_libraries(), _room_for(base, device):
        try:
            model = (_load_unsloth if backend == "unsloth" else _load_transformers)(base, settings, device, dtype)
        except MathCoderError:
            raise
        except Exception as error:
            if _is_too_large(error):
                raise
            # Not narrower: SafetensorError derives from Exception alone, and a config.json that does not fit its
            # weights fails in transformers' model code with whatever that line raises.
            raise ModelError(
                f"the weights of {base.name} cannot be loaded ({first_line(error)})",
                "nothing was trained",
                "fetch the base again",
            ) from error
        _refuse_mixed(model, base, backend)
        _grow(model, tokenizer, known)
    return model


@contextmanager
def _room_for(base: Base, device: torch.device) -> Iterator[None]:
    """Say what it means that memory runs out in here."""
    try:
        yield
    except (RuntimeError, ValueError, MemoryError, OSError) as error:
        if not _is_too_large(error):
            raise
        place = "this GPU" if device.type == "cuda" else "this machine"
        raise TrainError(
            f"the weights of {base.name} do not fit in the memory of {place}",
            "nothing was trained",
            "end what else uses that memory, or use a smaller base; `mathcoder plan` says what fits",
        ) from error


def _is_too_large(error: BaseException) -> bool:
    # What transformers' 4-bit loader says where accelerate found no room on the GPU for all layers.
    return is_out_of_memory(error) or "dispatched on the CPU" in str(error)


def _refuse_mixed(model: Any, base: Base, backend: str) -> None:
    """Refuse a model that is partly transformers' and partly unsloth's.

    Raises:
        TrainError: one whose rows would see each other, or whose numbers are not those of its backend.
    """
    on_gpu = model.get_output_embeddings().weight.device.type == "cuda"
    if backend == "unsloth" and on_gpu and not by_unsloth(model):
        raise TrainError(
            f"unsloth has loaded {base.name} without its own forward pass",
            "the rows of a pack would see each other, so nothing was trained",
            "set train.backend=peft",
        )
    foreign = sorted({type(module).__name__ for module in model.modules() if _is_unsloths(type(module))})
    if backend == "peft" and foreign:
        raise TrainError(
            f"unsloth has replaced parts of transformers in this process ({', '.join(foreign[:3])})",
            "the peft backend would compute with them, so nothing was trained",
            "train in a process that has not imported unsloth (the command line does), or set train.backend=unsloth",
        )


def _is_unsloths(kind: type) -> bool:
    return kind.__module__.partition(".")[0].startswith("unsloth")


def _quantization(settings: TrainSettings, dtype: torch.dtype) -> Any:
    from transformers import BitsAndBytesConfig

    if not settings.quantize:
        return None
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
    )


def _load_transformers(base: Base, settings: TrainSettings, device: torch.device, dtype: torch.dtype) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(
        str(base.path),
        dtype=dtype,
        device_map={"": device},
        quantization_config=None if base.config.get("quantization_config") else _quantization(settings, dtype),
        attn_implementation=_attention(settings),
    )


def _load_unsloth(base: Base, settings: TrainSettings, device: torch.device, dtype: torch.dtype) -> Any:
    from unsloth import FastLanguageModel

    model, _ = FastLanguageModel.from_pretrained(
        # A relative folder named like a hub id would be replaced by unsloth's own 4-bit upload of that model.
        str(base.path.resolve()),
        use_exact_model_name=True,
        max_seq_length=settings.context,
        load_in_4bit=settings.quantize,
        dtype=dtype,
        device_map={"": device},
        # On a card with little room it would go to the host, and half of every step with it.
        offload_embedding=False,
        use_gradient_checkpointing="unsloth" if device.type != "cpu" else False,
    )
    _restore_padding_row(model, base)
    if not by_unsloth(model):
        # On a CPU unsloth runs transformers' own attention, so ours can take its place; on a GPU it has its own.
        model.config._attn_implementation = _attention(settings)
    return model


def _attention(settings: TrainSettings) -> str:
    """The name of the attention that a model is to compute with, known to transformers."""
    attention.register()
    return attention.NAME if settings.attention in ("auto", "rows") else settings.attention


def _restore_padding_row(model: Any, base: Base) -> None:
    """Give the embedding's row for padding its own numbers again.

    unsloth takes a token of the base for padding where the base names none, `<unk>` of Llama, and sets its row to zero:
    the mean that new rows start at would be another than that of the base which is exported.
    """
    from safetensors import safe_open

    embedding = model.get_input_embeddings()
    name = next((name for name, module in model.named_modules() if module is embedding), "")
    for file in base.weight_files if embedding.padding_idx is not None else []:
        with safe_open(file, "pt") as tensors:
            if f"{name}.weight" in tensors.keys():  # noqa: SIM118 - it is no dict
                row = tensors.get_slice(f"{name}.weight")[embedding.padding_idx]
                with torch.no_grad():
                    embedding.weight[embedding.padding_idx] = row.to(embedding.weight)


def _known_tokens(base: Base) -> int:
    """Rows of the base's embedding that belong to tokens (published bases pad theirs to a round number)."""
    from transformers import AutoTokenizer

    with quiet_libraries():
        return len(AutoTokenizer.from_pretrained(str(base.path)))


def _grow(model: Any, tokenizer: Any, known: int) -> None:

    rows = model.get_input_embeddings().weight.shape[0]
    if len(tokenizer) > rows:
        model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    new = torch.arange(known, len(tokenizer))
    weights = [model.get_input_embeddings().weight]
    if model.get_output_embeddings().weight is not weights[0]:
        weights.append(model.get_output_embeddings().weight)
    with torch.no_grad():
        for weight in weights:
            weight[new.to(weight.device)] = _mean_row(weight[: min(known, rows)]).to(weight.dtype)


def _mean_row(weight: torch.Tensor) -> torch.Tensor:
    """[H] float64 mean of the rows of `weight`.

    In float64: a sum of 150,000 rows in bfloat16 would stop growing long before its end. A part at a time: a float64
    copy of a whole embedding is several GB, on a GPU that the base has all but filled.
    """

    total = torch.zeros(weight.shape[1], dtype=torch.float64, device=weight.device)
    for part in weight.split(ROWS_AT_A_TIME):
        total += part.double().sum(0)
    return total / len(weight)
