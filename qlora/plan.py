"""What a run will need, before anything is spent: rows, tokens, parameters, memory, disk, and whether this GPU fits.

Sizes follow from the base's config.json and the rows; no weights are loaded. The activation figures count what the
functions of `qlora.fused`, `qlora.fused_blocks`, `qlora.attention` and `qlora.loss` keep for the backward pass; a test
holds them against the tensors that a real step keeps.
"""

from __future__ import annotations

import math
import os
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from qlora.architectures import OTHER, Architecture, tested
from qlora.base import BLOCKSIZE, BaseModel, choose_backend, device_and_dtype, find_base, load_tokenizer
from qlora.packing import RowOrder, group_rows
from qlora.prepare import Prepared, prepare
from qlora.settings import LoraSettings, QloraSettings, TrainSettings
from qlora.setup import check_context, micro_tokens

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

LIBRARIES = 0.6e9
"""Bytes that a CUDA context with cuBLAS takes on a GPU before the first tensor; from NVIDIA's own figures for H100
class cards, not measured here. Without a GPU the libraries' share is measured, in this process."""
_STEPS_LOOKED_AT = 200


@dataclass(frozen=True)
class Shape:
    """The sizes of a decoder that decide about memory and arithmetic.

    Attributes:
        hidden, inner, layers, vocabulary: widths and counts; `vocabulary` with the control tokens.
        queries, keys: width of all query heads together, and of all key heads.
        tied: whether the head is the embedding.
        architecture: which linear layers are one, and how many norms there are.
    """

    hidden: int
    inner: int
    layers: int
    vocabulary: int
    queries: int
    keys: int
    tied: bool
    architecture: Architecture = OTHER

    @classmethod
    def of(cls, config: dict[str, Any], tokens: int) -> Shape:
        """From a config.json and the number of tokens of the grown tokenizer."""
        architecture = tested(config) or OTHER
        config = config.get("text_config") or config
        heads = config["num_attention_heads"]
        width = config.get("head_dim") or config["hidden_size"] // heads
        return cls(
            config["hidden_size"],
            config["intermediate_size"],
            config["num_hidden_layers"],
            max(tokens, config["vocab_size"]),
            heads * width,
            (config.get("num_key_value_heads") or heads) * width,
            bool(config.get("tie_word_embeddings", architecture.is_tied)),
            architecture,
        )

    @property
    def linears(self) -> list[tuple[int, int]]:
        """(in, out) of the linear layers of one decoder layer: seven, fewer where some are one."""
        h, q, k, i = self.hidden, self.queries, self.keys, self.inner
        attention = [(h, q + 2 * k)] if self.architecture.is_qkv_fused else [(h, q), (h, k), (h, k)]
        widening = [(h, 2 * i)] if self.architecture.is_gate_up_fused else [(h, i), (h, i)]
        return [*attention, (q, h), *widening, (i, h)]

    @property
    def linear_parameters(self) -> int:
        """Weights of all linear layers of the decoder."""
        return self.layers * sum(a * b for a, b in self.linears)

    def lora_parameters(self, lora: LoraSettings) -> int:
        """Trained parameters of the adapters."""
        extra = sum(b for _, b in self.linears) if lora.dora else 0
        return self.layers * (lora.r * sum(a + b for a, b in self.linears) + extra)

    @property
    def token_parameters(self) -> int:
        """Trained parameters of the eight control tokens' rows."""
        return 8 * self.hidden * (1 if self.tied else 2)

    def kept_per_token(self, r: int, width: int, *, slots: float = 1.0, keys: int | None = None) -> float:
        """Bytes per token that one layer keeps for the backward pass, its input included.

        Args:
            r: rank of the adapters.
            width: bytes of a number.
            slots: attention slots per token: rows of a pack are padded to the longest there.
            keys: width of the keys as attention sees them, where they are repeated for each query head.
        """
        norms = self.architecture.norms * (self.hidden * width + 4)  # each norm's input, and its scale in float32
        if self.architecture.has_qk_norms:
            norms += width * (self.queries + self.keys)
        inputs = 2 * self.hidden + self.queries + self.inner  # of q/k/v, of gate/up, of o, of down
        attention = 2 * self.queries + 2 * (keys or self.keys)  # queries, keys, values and the output
        gates = 2 * self.inner if self.architecture.has_silu else 3 * self.inner
        return norms + width * (inputs + slots * attention + gates + len(self.linears) * r)

    def training_flops(self, lora: LoraSettings, lengths: Sequence[int] | NDArray[np.int64], supervised: int) -> float:
        """Floating-point operations that training on rows of these lengths needs, forward and backward.

        The model FLOPs of the PaLM report (arXiv 2204.02311, appendix B) for a frozen base: per token 2 forward and 2
        backward for each weight, since a frozen weight needs no gradient (6 for one of the adapters); the head only
        where a token carries loss; attention only between a token and those before it, in its own row. What is computed
        again (gradient checkpointing, dequantization) does not count.

        Args:
            lora: the adapters.
            lengths: tokens of each row.
            supervised: tokens that carry loss.
        """
        tokens, pairs = 0.0, 0.0
        for length in lengths:
            tokens += int(length)
            pairs += int(length) * (int(length) + 1) / 2
        linear = tokens * (4.0 * self.linear_parameters + 6.0 * self.lora_parameters(lora))
        head = 4.0 * supervised * self.vocabulary * self.hidden
        # Two products, queries with keys and weights with values, each 2 forward and 4 backward.
        return linear + head + 12.0 * self.layers * self.queries * pairs


@dataclass(frozen=True)
class Memory:
    """Bytes on the device at the peak of a step, part by part."""

    weights: int
    embeddings: int
    adapter: int
    activations: int
    loss: int
    libraries: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.weights + self.embeddings + self.adapter + self.activations + self.loss + self.libraries


@dataclass(frozen=True)
class Plan:
    """The answer of `plan`.

    Attributes:
        rows, held_out, bad: counts; too_long: rows over the context, with their tokens.
        tokens: per kind, one epoch; supervised: of these, tokens that carry loss.
        steps, micro_batches: optimizer steps in all, forward passes in a step (mean).
        fill: how full the micro-batches are, 0 to 1; attention_waste: share of attention slots that are padding.
        lora_parameters, token_parameters: what is trained.
        memory: bytes on the device by part, and their sum under `total`.
        disk: bytes that the run folder takes.
        device, device_memory: what is here; memory is None without a GPU.
        fits: whether it fits this GPU; None without one. advice: the change that would make it fit.
        hours: from `seconds_per_step` where that was measured, else None.
        flops: floating-point operations of the whole run.
    """

    name: str
    base: str
    backend: str
    rows: int
    held_out: int
    bad: int
    too_long: list[dict[str, Any]]
    tokens: dict[str, int]
    supervised: int
    steps: int
    micro_tokens: int
    micro_batches: float
    fill: float
    attention_waste: float
    lora_parameters: int
    token_parameters: int
    memory: dict[str, int]
    disk: int
    device: str
    device_memory: int | None
    fits: bool | None
    advice: str
    flops: float
    seconds_per_step: float | None = None
    hours: float | None = field(default=None)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def plan(settings: QloraSettings, *, measure: bool = False) -> Plan:
    """Plan a run of `settings` on this machine.

    Args:
        settings: what would be trained.
        measure: load the base and time one step, for `hours`. Without it nothing larger than a tokenizer is loaded.

    Raises:
        InputError, DataError, ModelError: what `train` would raise before its first step.
    """
    options = settings.train
    base = find_base(settings.base, untested=options.untested_architecture)
    check_context(base, options.context)
    tokenizer = load_tokenizer(base)
    data = prepare(settings.data, tokenizer, options.context)
    device, dtype = device_and_dtype(options)
    shape = Shape.of(base.config, len(tokenizer))
    limit = micro_tokens(options, device, data.table.lengths)
    order = RowOrder(len(data.rows), options.batch_rows, options.seed)
    steps = options.max_steps or order.steps(options.epochs)
    groups = _sample_of_groups(data, order, steps, limit, options)
    lengths = data.table.lengths
    flat = [[int(lengths[row]) for row in group] for step in groups for group in step]
    used, slots = [sum(group) for group in flat], [len(group) * max(group) for group in flat]
    largest = max(range(len(flat)), key=lambda at: used[at] if options.packing else slots[at])
    peak = used[largest] if options.packing else slots[largest]
    waste = slots[largest] / peak
    memory = memory_of(shape, settings, peak, dtype.itemsize, on_gpu=device.type == "cuda", slots=waste)
    if device.type == "cpu":
        memory = replace(memory, libraries=_resident_with_libraries())
    available = _device_memory() if device.type == "cuda" else None
    fits = None if available is None else memory.total <= available
    counts = data.table.tokens_per_kind()
    supervised = sum(counts[kind] for kind in data.supervised)
    seconds = _measure(settings, base, tokenizer, data, groups, limit) if measure else None
    return Plan(
        name=settings.name,
        base=settings.base,
        backend=choose_backend(options.backend)[0],
        rows=len(data.rows),
        held_out=len(data.held_out),
        bad=len(data.bad),
        too_long=[{"row": row.place, "tokens": tokens} for row, tokens in data.too_long],
        tokens=counts,
        supervised=supervised,
        steps=steps,
        micro_tokens=limit,
        micro_batches=len(used) / len(groups),
        fill=sum(used) / (len(used) * limit),
        attention_waste=1 - sum(used) / sum(slots),
        lora_parameters=shape.lora_parameters(settings.lora),
        token_parameters=shape.token_parameters,
        memory={**asdict(memory), "total": memory.total},
        disk=disk_of(shape, settings),
        device=device.type,
        device_memory=available,
        fits=fits,
        advice="" if fits in (True, None) else _advice(shape, settings, peak, dtype.itemsize, available or 0),
        flops=shape.training_flops(settings.lora, lengths, supervised) * steps * order.batch_rows / len(data.rows),
        seconds_per_step=seconds,
        hours=None if seconds is None else seconds * steps / 3600,
    )


def memory_of(
    shape: Shape, settings: QloraSettings, tokens: int, width: int, *, on_gpu: bool, slots: float = 1.0, parts: int = 1
) -> Memory:
    """Bytes by part at the peak of a step.

    Args:
        shape: of the base.
        settings: of the run.
        tokens: in the largest micro-batch.
        width: bytes of a number of the compute type.
        on_gpu: whether it runs on a GPU (checkpointing by default, keys not repeated).
        slots: attention slots per token.
        parts: processes that the linear weights are cut over (`train.fsdp`).
    """
    options, lora = settings.train, settings.lora
    # Half a byte a weight, a scale of one byte per 64 weights, and a float32 scale of 256 such scales.
    per_weight = 0.5 + 1 / BLOCKSIZE + 4 / (BLOCKSIZE * 256) if options.quantize else width
    weights = int(shape.linear_parameters * per_weight)
    if parts > 1:
        # The part of this process, and two whole layers: the one that computes, and the next on its way.
        weights = weights // parts + 2 * weights // shape.layers
    embeddings = shape.vocabulary * shape.hidden * width * (1 if shape.tied else 2)
    trained = shape.lora_parameters(lora) + shape.token_parameters
    moments = 2 if options.optimizer in ("adamw_8bit", "paged_adamw_8bit") else 8
    adapter = trained * (4 + 4 + moments)
    keys = shape.keys if on_gpu else shape.queries
    layer = shape.kept_per_token(lora.r, width, slots=slots, keys=keys) * tokens
    checkpointing = on_gpu if options.gradient_checkpointing is None else options.gradient_checkpointing
    kept = shape.layers * shape.hidden * width * tokens + layer if checkpointing else shape.layers * layer
    # At the peak the backward pass of one layer holds the gradients of gate and up, and a weight in 16 bits.
    passing = 2 * shape.inner * width * tokens + shape.hidden * shape.inner * width * (1 if options.quantize else 0)
    from qlora.loss import CHUNK

    logits = 2 * min(CHUNK, tokens) * shape.vocabulary * 4
    return Memory(
        weights, embeddings, adapter, int(kept + passing), int(logits + 2 * tokens * shape.hidden * width),
        int(LIBRARIES) if on_gpu else 0,
    )  # fmt: skip


def disk_of(shape: Shape, settings: QloraSettings) -> int:
    """Bytes of the run folder at its largest: checkpoints (one more than are kept), and the adapter twice."""
    trained = 4 * (shape.lora_parameters(settings.lora) + shape.token_parameters)
    return trained * (3 * (settings.train.keep_checkpoints + 1) + 2)


def _sample_of_groups(
    data: Prepared, order: RowOrder, steps: int, limit: int, options: TrainSettings
) -> list[list[list[int]]]:
    every = max(1, steps // _STEPS_LOOKED_AT)
    lengths = data.table.lengths
    return [group_rows(order.at(step), lengths, limit, packed=options.packing) for step in range(0, steps, every)]


def _resident_with_libraries() -> int:
    """Bytes that this process holds once it has what training imports: there they are before the first weight."""
    import sys

    import bitsandbytes  # noqa: F401
    import peft  # noqa: F401
    import transformers.models.auto.modeling_auto  # noqa: F401

    if sys.platform == "linux":
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    import torch

    from qlora.setup import peak_memory

    return peak_memory(torch.device("cpu"))


def _device_memory() -> int:
    import torch

    return int(torch.cuda.mem_get_info()[0])


def _advice(shape: Shape, settings: QloraSettings, peak: int, width: int, available: int) -> str:
    """The smallest change that makes it fit, tried one after the other."""
    train = settings.train
    changes: list[tuple[str, dict[str, Any], int]] = []
    for tokens in (peak // 2, peak // 4, settings.train.context):
        if tokens < peak and tokens >= min(peak, settings.train.context):
            changes.append((f"train.micro_tokens={tokens}", {}, tokens))
    smallest = min(peak, train.context)
    changes += [
        (
            f"train.micro_tokens={smallest} train.gradient_checkpointing=true",
            {"gradient_checkpointing": True},
            smallest,
        ),
        (
            f"train.micro_tokens={smallest} train.gradient_checkpointing=true train.optimizer=paged_adamw_8bit",
            {"gradient_checkpointing": True, "optimizer": "paged_adamw_8bit"},
            smallest,
        ),
        (
            f"train.context={train.context // 2} train.gradient_checkpointing=true train.optimizer=paged_adamw_8bit",
            {"gradient_checkpointing": True, "optimizer": "paged_adamw_8bit"},
            smallest // 2,
        ),
    ]
    for words, update, tokens in changes:
        changed = settings.model_copy(update={"train": train.model_copy(update=update)})
        if memory_of(shape, changed, tokens, width, on_gpu=True).total <= available:
            return words
    smallest_step = settings.model_copy(update={"train": train.model_copy(update={"gradient_checkpointing": True})})
    for parts in (2, 4, 8):
        if memory_of(shape, smallest_step, smallest, width, on_gpu=True, parts=parts).total <= available:
            return (
                f"{parts} GPUs like this, each with a part of the base: torchrun --nproc-per-node {parts} -m recipes "
                f"train ... train.fsdp=true train.gradient_checkpointing=true train.micro_tokens={smallest}"
            )
    return "no setting makes it fit; take a smaller base"


def _measure(
    settings: QloraSettings, base: BaseModel, tokenizer: Any, data: Prepared, groups: Sequence[Any], limit: int
) -> float:
    """Seconds of one step, from the second of two."""
    import time

    from qlora.adapter import add_adapter
    from qlora.base import load_model
    from qlora.step import Stepper

    backend, _ = choose_backend(settings.train.backend)
    if backend == "unsloth":
        from qlora.train import import_unsloth_first

        import_unsloth_first()
    model = load_model(base, tokenizer, settings.train, backend)
    adapted = add_adapter(model, tokenizer, settings.lora, settings.train, backend, base_name=settings.base)
    stepper = Stepper(adapted, data, settings.train, limit)
    rows = [row for group in groups[0] for row in group]
    taken = math.inf
    for _ in range(2):
        started = time.perf_counter()
        stepper.gradient(rows)
        taken = time.perf_counter() - started
    return taken
