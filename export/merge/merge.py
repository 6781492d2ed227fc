"""Adapter + base -> a 16-bit model folder, tensor by tensor.

Each output tensor is `round(base + change)` with the sum in float32, where `base` is the base as training saw it: its
linear layers quantized to NF4 and back (the default for QLoRA), or the 16-bit base. Large tensors come in pieces of
rows, so that peak memory is a few pieces plus, for NF4, one linear layer: the double quantization of its scales needs
all of them at once.
"""

from __future__ import annotations

import json
import math
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from export.merge.adapter import Adapter
from export.merge.nf4 import Nf4, dequantize_stored, is_part, stored_shape
from export.merge.source import Source
from export.merge.tensors import (
    SAFETENSORS_NAME,
    Planned,
    TensorFolder,
    TensorInfo,
    read_header,
    read_rows,
    write_safetensors,
)
from export.merge.values import Values, merged_bias, merged_weight
from export.merge.vocabulary import vocabulary_size
from export.settings import OnProgress
from runtime.errors import ModelError
from runtime.files import write_text

if TYPE_CHECKING:
    import torch

"""Called with what is being done and the share that is done."""


@dataclass(frozen=True)
class Layout:
    """What the base's architecture says about its tensors.

    Attributes:
        linear: modules that 4-bit loading quantizes (every linear layer but the output head).
        embedding, head: parameter names of the input and output embeddings.
        tied: whether both are one tensor.
    """

    linear: frozenset[str]
    embedding: str
    head: str
    tied: bool


@dataclass
class MergePlan:
    """Every tensor that will be written, and how to compute it."""

    planned: list[Planned] = field(default_factory=list)
    produce: dict[str, Callable[[], Iterator[torch.Tensor]]] = field(default_factory=dict)
    rows: int = 0
    tied: bool = False

    @property
    def nbytes(self) -> int:
        """Size of the merged weights."""
        return sum(tensor.nbytes for tensor in self.planned)

    @property
    def items(self) -> int:
        """Parameters."""
        return sum(math.prod(tensor.shape) for tensor in self.planned)


def read_layout(base: Path) -> Layout:
    """Linear layers and embeddings of the model in `base`, found on an empty copy of its architecture.

    Raises:
        ModelError: transformers does not know the architecture as a causal language model.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    try:
        config = AutoConfig.from_pretrained(str(base))
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(config)
    except (ValueError, KeyError, OSError, AttributeError) as error:
        raise ModelError(
            f"transformers does not know the architecture of {base} ({str(error).splitlines()[0][:160]})",
            "nothing was merged",
            "install the version that the base's model card asks for",
        ) from error
    modules = {id(module): name for name, module in model.named_modules()}
    head = model.get_output_embeddings()
    linear = {
        name for name, module in model.named_modules() if isinstance(module, torch.nn.Linear) and module is not head
    }
    return Layout(
        linear=frozenset(linear),
        embedding=modules[id(model.get_input_embeddings())] + ".weight",
        head=modules[id(head)] + ".weight",
        tied=bool(model.config.get_text_config().tie_word_embeddings),
    )


def vocabulary_rows(source: Source, layout: Layout) -> int:
    """Embedding rows of the merged model: the base's, or more where tokens were added to the tokenizer."""
    rows = source.tensors[layout.embedding].shape[0]
    adapter = source.adapter
    if adapter is None:
        return rows
    if layout.embedding in adapter.replaced:
        return adapter.replaced[layout.embedding].shape[0]
    trained = [max(indices, default=-1) + 1 for indices, _ in adapter.token_rows.values()]
    return max(rows, vocabulary_size(source.tokenizer), *trained)


def plan_merge(source: Source, layout: Layout, *, into: str, dtype: str) -> MergePlan:
    """Decide every output tensor before any work is done.

    Args:
        source: base and adapter.
        layout: from `read_layout`.
        into: `nf4` or `16bit`.
        dtype: torch name of the output dtype.

    Raises:
        ModelError: base and adapter do not fit together.
    """
    names = _base_names(source.tensors, layout)
    load_dtype = source.nf4.load_dtype if into == "nf4" else None
    adapter = source.adapter or Adapter(Path(), {})
    nf4 = source.nf4 if into == "nf4" and source.adapter is not None else None
    rows = vocabulary_rows(source, layout)
    plan = MergePlan(rows=rows, tied=layout.tied and not _unties(adapter, layout))
    wanted = {name for name in names if not (plan.tied and name == layout.head)}
    if layout.tied and not plan.tied:
        names[layout.head] = names[layout.embedding]
        wanted.add(layout.head)
    out_dtype = SAFETENSORS_NAME[dtype]
    for name in sorted(wanted, key=_natural):
        info = names[name]
        module, _, part = name.rpartition(".")
        is_vocabulary = name in (layout.embedding, layout.head)
        if replaced := adapter.replaced.get(name):
            values = Values(replaced, replaced.shape)
        elif stored := stored_shape(source.tensors, info.name):
            values = Values(info, stored, whole=partial(dequantize_stored, source.tensors, info.name))
        elif nf4 is not None and module in layout.linear and part == "weight":
            values = Values(info, info.shape, whole=partial(_round_trip, nf4, info))
        else:
            values = Values(info, info.shape, load_dtype=load_dtype)
        shape = (rows, *values.shape[1:]) if is_vocabulary else values.shape
        pair = adapter.low_rank.get(module)
        produce: Callable[[], Iterator[torch.Tensor]]
        if part == "bias":
            produce = partial(merged_bias, values, pair, dtype, name)
        else:
            token_rows = adapter.token_rows.get(module) if is_vocabulary else None
            produce = partial(merged_weight, values, pair if part == "weight" else None, token_rows, shape, dtype, name)
        plan.planned.append(Planned(name, out_dtype, tuple(shape)))
        plan.produce[name] = produce
    _refuse_leftovers(adapter, set(names), plan)
    return plan


def _base_names(tensors: TensorFolder, layout: Layout) -> dict[str, TensorInfo]:
    """The base's tensors by the name they have in the full causal model."""
    names = {
        name: info
        for name, info in tensors.tensors.items()
        if not name.endswith("rotary_emb.inv_freq") and not is_part(name)
    }
    if layout.embedding not in names:
        prefix = layout.embedding.partition(".")[0] + "."
        names = {prefix + name: info for name, info in names.items()}
    if layout.embedding not in names:
        raise ModelError(f"{tensors.path} lacks {layout.embedding}", "the model cannot be merged", "check the base")
    if not layout.tied and layout.head not in names:
        raise ModelError(
            f"{tensors.path} lacks {layout.head}, and its config says that the head is not tied",
            "the model would have a random head",
            "set tie_word_embeddings in its config.json if it is tied",
        )
    if integers := [name for name, info in names.items() if info.dtype in _INTEGERS and not _is_nf4(tensors, info)]:
        raise ModelError(
            f"the base is stored in a quantized form this project cannot read ({integers[0]})",
            "nothing was merged",
            "point base_model_name_or_path at the 16-bit model of the same name",
        )
    return names


def _unties(adapter: Adapter, layout: Layout) -> bool:
    """Whether the adapter gives a tied head something of its own: the merged model must be untied then."""
    head, embedding = layout.head.removesuffix(".weight"), layout.embedding.removesuffix(".weight")
    if head in adapter.low_rank or embedding in adapter.low_rank:
        return True
    if (layout.head in adapter.replaced) != (layout.embedding in adapter.replaced) and layout.head in adapter.replaced:
        return True
    if layout.head in adapter.replaced and layout.embedding in adapter.replaced:
        return not _equal(adapter.replaced[layout.head], adapter.replaced[layout.embedding])
    if head in adapter.token_rows and embedding in adapter.token_rows:
        (ours, a), (theirs, b) = adapter.token_rows[head], adapter.token_rows[embedding]
        return ours != theirs or not _equal(a, b)
    return head in adapter.token_rows


def _equal(a: TensorInfo, b: TensorInfo) -> bool:
    import torch

    return a.shape == b.shape and bool(torch.equal(read_rows(a), read_rows(b)))


def _refuse_leftovers(adapter: Adapter, names: set[str], plan: MergePlan) -> None:
    used = set(plan.produce)
    left = [name for name in adapter.replaced if name not in used and not (plan.tied and name in names)]
    left += [f"{module}.weight" for module in adapter.low_rank if f"{module}.weight" not in used]
    left += [f"{module}.weight" for module in adapter.token_rows if f"{module}.weight" not in used and not plan.tied]
    left += [
        f"{module}.bias" for module, pair in adapter.low_rank.items() if pair.bias and f"{module}.bias" not in used
    ]
    if left:
        raise ModelError(
            f"the adapter changes {left[0]}, which the base does not have",
            "it belongs to another base; nothing merged",
            "give its own base",
        )


def _natural(name: str) -> list[Any]:
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]


_INTEGERS = ("I8", "U8", "I16", "I32", "I64")


def _is_nf4(tensors: TensorFolder, info: TensorInfo) -> bool:
    return stored_shape(tensors, info.name) is not None


def _round_trip(nf4: Nf4, info: TensorInfo) -> torch.Tensor:
    return nf4.round_trip(read_rows(info))


def merge(
    source: Source,
    plan: MergePlan,
    target: Path,
    *,
    dtype: str,
    shard_bytes: int,
    fingerprint: str,
    progress: OnProgress | None = None,
) -> None:
    """Write the merged model into `target`.

    Finished shards of the same fingerprint are kept, so kills cost little.
    """
    target.mkdir(parents=True, exist_ok=True)
    shards = _shards(plan.planned, shard_bytes)
    names = {}
    done = 0
    for number, shard in enumerate(shards, 1):
        part = "" if len(shards) == 1 else f"-{number:05}-of-{len(shards):05}"
        file = target / f"model{part}.safetensors"
        names.update({tensor.name: file.name for tensor in shard})
        if not _is_finished(file, shard, fingerprint):
            report = _Reporter(progress, done, plan.nbytes)
            produce = {tensor.name: report.wrap(tensor, plan.produce[tensor.name]) for tensor in shard}
            write_safetensors(file, shard, produce, {"format": "pt", "mathcoder.fingerprint": fingerprint})
        done += sum(tensor.nbytes for tensor in shard)
    if len(shards) > 1:
        index = {"metadata": {"total_size": plan.nbytes}, "weight_map": names}
        write_text(target / "model.safetensors.index.json", json.dumps(index, indent=1))
    _write_config(source, plan, target, dtype)


def _shards(planned: list[Planned], limit: int) -> list[list[Planned]]:
    shards: list[list[Planned]] = [[]]
    size = 0
    for tensor in planned:
        if shards[-1] and size + tensor.nbytes > limit:
            shards.append([])
            size = 0
        shards[-1].append(tensor)
        size += tensor.nbytes
    return shards


def _is_finished(file: Path, shard: list[Planned], fingerprint: str) -> bool:
    if not file.is_file():
        return False
    try:
        found = TensorFolder(file)
        same = found.metadata().get("mathcoder.fingerprint") == fingerprint
        return same and [(info.name, info.shape) for info in read_header(file)] == [(t.name, t.shape) for t in shard]
    except ModelError:
        return False


class _Reporter:
    def __init__(self, progress: OnProgress | None, done: int, total: int) -> None:
        self.progress, self.done, self.total = progress, done, max(1, total)

    def wrap(
        self, tensor: Planned, produce: Callable[[], Iterator[torch.Tensor]]
    ) -> Callable[[], Iterator[torch.Tensor]]:
        def run() -> Iterator[torch.Tensor]:
            for piece in produce():
                yield piece
                self.done += piece.numel() * piece.element_size()
                if self.progress is not None:
                    self.progress(tensor.name, self.done / self.total)

        return run


def _write_config(source: Source, plan: MergePlan, target: Path, dtype: str) -> None:
    """Write the base's configuration with what the merge changed.

    rope_theta and all else stay as the base has them.
    """
    config = {key: value for key, value in source.base_config.items() if key != "quantization_config"}
    text = config.get("text_config")
    for part in (config, text) if isinstance(text, dict) else (config,):
        if part is config or "vocab_size" in part:
            part["vocab_size"] = plan.rows
    config["tie_word_embeddings"] = plan.tied
    config.pop("torch_dtype", None)
    config["dtype"] = dtype
    write_text(target / "config.json", json.dumps(config, indent=2))
    generation = source.base / "generation_config.json"
    if generation.is_file():
        shutil.copyfile(generation, target / "generation_config.json")
