"""Memory that runs out is known as such wherever it happens, and costs as little as it can."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from qlora.base import find_base, load_tokenizer
from qlora.load import ROWS_AT_A_TIME, load_model
from qlora.out_of_memory import is_out_of_memory
from qlora.settings import TrainSettings
from runtime.errors import ModelError, TrainError

OUT_OF_MEMORY = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has a total capacity of 7.78 GiB"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported"),
    RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    RuntimeError("Triton Error [CUDA]: out of memory"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory: you tried to ..."),
    RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 4294967296 bytes."),
    MemoryError(),
]
NAMES = [str(error)[:44] or "MemoryError" for error in OUT_OF_MEMORY]


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=NAMES)
def test_every_librarys_message_is_known_in_a_step(error: Exception, base: Any, rows_file: Path, bench: Any) -> None:
    made = bench(base("llama"), rows_file)
    rows = list(range(8))
    forward, largest = made.stepper.forward, max(micro.ids.size for micro in made.stepper.micro_batches(rows))

    def full(micro: Any) -> Any:
        if micro.ids.size == largest:
            raise error
        return forward(micro)

    made.stepper.forward = full
    assert made.stepper.gradient(rows).micro_batches > 1


@pytest.mark.parametrize("place", ["load", "grow"])
@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=NAMES)
def test_every_librarys_message_is_known_while_a_base_is_loaded_and_grown(
    error: Exception, place: str, base: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import AutoModelForCausalLM, PreTrainedModel

    def full(*_args: Any, **_kwargs: Any) -> None:
        raise error

    if place == "load":
        monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", full)
    else:
        monkeypatch.setattr(PreTrainedModel, "resize_token_embeddings", full)
    found = find_base(str(base("llama")))
    with pytest.raises(TrainError, match="do not fit in the memory of this"):
        load_model(found, load_tokenizer(found), TrainSettings(), "peft")


def test_layers_that_found_no_room_on_the_gpu_are_no_broken_download(base: Any, monkeypatch: Any) -> None:
    from transformers import AutoModelForCausalLM

    said = ["Some modules are dispatched on the CPU or the disk. Make sure you have enough GPU RAM"]

    def refuse(*_args: Any, **_kwargs: Any) -> None:
        raise ValueError(said[0])

    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", refuse)
    found = find_base(str(base("llama")))
    with pytest.raises(TrainError, match="do not fit in the memory of this"):
        load_model(found, load_tokenizer(found), TrainSettings(), "peft")
    said[0] = "something else"
    with pytest.raises(ModelError, match="something else"):
        load_model(found, load_tokenizer(found), TrainSettings(), "peft")


@pytest.mark.parametrize(
    "error",
    [RuntimeError("CUDA error: an illegal memory access was encountered"), RuntimeError("mat1 and mat2 shapes ...")],
)
def test_another_error_is_not_taken_for_it(error: Exception) -> None:
    assert not is_out_of_memory(error)
    wrapped = RuntimeError("loading failed")
    wrapped.__cause__ = error
    assert not is_out_of_memory(wrapped)
    wrapped.__cause__ = OUT_OF_MEMORY[1]
    assert is_out_of_memory(wrapped)


def test_an_embedding_grows_without_a_float64_copy_of_itself(
    base: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = find_base(str(base("llama")))
    tokenizer = load_tokenizer(found)
    known = len(tokenizer) - 8
    seen: list[int] = []
    double = torch.Tensor.double

    def watched(tensor: torch.Tensor) -> torch.Tensor:
        seen.append(len(tensor))
        return double(tensor)

    assert ROWS_AT_A_TIME == 4096
    monkeypatch.setattr("qlora.load.ROWS_AT_A_TIME", 100)
    monkeypatch.setattr(torch.Tensor, "double", watched)
    model = load_model(found, tokenizer, TrainSettings(), "peft")
    assert max(seen) == 100
    assert sum(seen) == 2 * known
    for weight in (model.get_input_embeddings().weight, model.get_output_embeddings().weight):
        expected = double(weight[:known]).mean(0).to(weight.dtype)
        assert torch.equal(weight[known:], expected.expand(8, -1))
