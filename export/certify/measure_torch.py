"""Next-token logits of the models in torch: the adapter model, its base, and the merged folder.

The adapter model is loaded by transformers, bitsandbytes and peft as anyone would load it, and shares no code with
`export.merge`: it is the witness the merge is held against. All sums run in float32.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from export.merge.nf4 import import_bitsandbytes
from export.merge.source import Source
from export.rows import Samples
from export.settings import OnProgress
from qlora.quiet import quiet_libraries

if TYPE_CHECKING:
    import numpy as np


def load_adapter_model(source: Source, *, nf4: bool, rows: int) -> Any:
    """The base (4-bit or not) with the adapter on it, in evaluation mode, computing in float32.

    Args:
        source: base and adapter.
        nf4: quantize the base as training did.
        rows: embedding rows after adding tokens; new ones get the mean row, as in training.
    """
    import torch

    with quiet_libraries():  # peft imports bitsandbytes, which complains of an optional package on some processors
        from peft import PeftModel
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    assert source.adapter is not None
    options: dict[str, Any] = {"dtype": torch.float32}
    if nf4:
        import_bitsandbytes()
        recorded = source.nf4
        options["dtype"] = getattr(torch, recorded.load_dtype or _stored_dtype(source))
        options["device_map"] = {"": "cpu"}
        options["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=recorded.double_quant,
            bnb_4bit_compute_dtype=torch.float32,
        )
    with quiet_libraries():
        model = AutoModelForCausalLM.from_pretrained(str(source.base), **options)
        if nf4 and options["dtype"] is not torch.float32:
            for parameter in model.parameters():
                if parameter.is_floating_point():
                    parameter.data = parameter.data.float()
        _grow(model, rows)
        model = PeftModel.from_pretrained(model, str(source.adapter.folder))
    exact_four_bit(model)
    return model.eval()


def exact_four_bit(model: Any) -> None:
    """Make 4-bit layers compute with their dequantized weights, as they do in training.

    In evaluation mode on a CPU with AVX-512 BF16, bitsandbytes 0.50 repacks them for a bfloat16 kernel: logits move by
    2e-2, and a DoRA, which reads the weights itself, reads the packed layout as if it were the plain one.
    """
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False


def _stored_dtype(source: Source) -> str:
    kinds = {"F16": "float16", "BF16": "bfloat16", "F32": "float32"}
    sizes: dict[str, int] = {}
    for info in source.tensors.tensors.values():
        sizes[info.dtype] = sizes.get(info.dtype, 0) + info.nbytes
    return kinds.get(max(sizes, key=lambda name: sizes[name]), "float32")


def _grow(model: Any, rows: int) -> None:
    import torch

    old = model.get_input_embeddings().weight.shape[0]
    if rows <= old:
        return
    model.resize_token_embeddings(rows, mean_resizing=False)
    with torch.no_grad():
        for module in (model.get_input_embeddings(), model.get_output_embeddings()):
            module.weight[old:] = module.weight[:old].mean(dim=0)


def load_merged_model(folder: Path) -> Any:
    """A merged folder as transformers loads it, computing in float32."""
    import torch
    from transformers import AutoModelForCausalLM

    with quiet_libraries():
        return AutoModelForCausalLM.from_pretrained(str(folder), dtype=torch.float32).eval()


def supervised_logits(
    model: Any, samples: Samples, progress: OnProgress | None = None, what: str = ""
) -> Iterator[np.ndarray]:
    """Logits that predict the supervised tokens, row by row, float32 `(positions of the row, vocabulary)`."""
    import torch

    with torch.inference_mode():
        for number, row in enumerate(samples.rows, 1):
            before = torch.tensor(row.positions) - 1
            # Only wanted positions go through the head: the rest would be most of the memory.
            output = model(input_ids=torch.tensor([row.input_ids]), logits_to_keep=before, use_cache=False)
            yield output.logits[0].float().numpy()
            if progress is not None:
                progress(what, number / len(samples.rows))
