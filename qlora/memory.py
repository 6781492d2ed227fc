"""Bytes on the device at the peak of a step, part by part.

Sizes follow from the base's shape and the rows; nothing is loaded. The activations are those that the functions of
`qlora.fused`, `qlora.fused_blocks`, `qlora.attention` and `qlora.loss` keep and hold; tests compare them with the
tensors that a real step keeps and with the peak of all tensors in a real step.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

from qlora.base import BLOCKSIZE
from qlora.settings import QloraSettings, TrainSettings
from qlora.shape import Shape

CHUNK = 1024
"""Supervised positions whose logits exist at one time (`qlora.loss`). At V = 32k that is 128 MB in float32."""
LIBRARIES = 0.6e9
"""Bytes that a CUDA context with cuBLAS takes on a GPU before the first tensor; from NVIDIA's own figures for H100
class cards, not measured here."""
ROUNDING = 0.05
"""Share of the activations that torch's allocator loses to rounding on a GPU, with expandable segments; from reading
it, not measured here."""


@dataclass(frozen=True)
class Memory:
    """Bytes on the device at the peak, part by part.

    Attributes:
        weights: of the linear layers. embeddings: of both ends.
        adapter: trained parameters, gradients and optimizer state.
        activations: what the layers keep for the backward pass, or the checkpoints of those that keep nothing.
        working: what one moment holds beside it: the logits of a chunk, or the backward pass of one layer.
        libraries: CUDA context on a GPU; on a CPU what the process holds before the base.
    """

    weights: int
    embeddings: int
    adapter: int
    activations: int
    working: int
    libraries: int

    @property
    def total(self) -> int:
        """All of it."""
        return sum(asdict(self).values())


def memory_of(
    shape: Shape,
    settings: QloraSettings,
    tokens: int,
    width: int,
    *,
    on_gpu: bool,
    checkpointed: int | None = None,
    slots: float = 1.0,
    carrying: float = 1.0,
    parts: int = 1,
) -> Memory:
    """Bytes by part at the peak of a step.

    Args:
        shape: of the base.
        settings: of the run.
        tokens: in the largest micro-batch.
        width: bytes of a number of the compute type.
        on_gpu: whether it runs on a GPU (keys not repeated, checkpointing by default).
        checkpointed: decoder layers under gradient checkpointing, the first ones; default: what the settings say.
        slots: attention slots per token.
        carrying: share of the tokens that carry loss.
        parts: processes that share the linear weights (`train.fsdp`).
    """
    options, lora = settings.train, settings.lora
    count = checkpoint_layers(settings.train, shape.layers, on_gpu=on_gpu) if checkpointed is None else checkpointed
    # Half a byte a weight, a scale of one byte per 64 weights, and a float32 scale of 256 such scales.
    per_weight = 0.5 + 1 / BLOCKSIZE + 4 / (BLOCKSIZE * 256) if options.quantize else width
    weights = int(shape.linear_parameters * per_weight)
    if parts > 1:
        # The part of this process, and two whole layers: the one that computes, and the next on its way.
        weights = weights // parts + 2 * weights // shape.layers
    end = shape.vocabulary * shape.hidden * width
    trained = shape.lora_parameters(lora) + shape.token_parameters(lora)

    hidden, inner = shape.hidden * width * tokens, shape.inner * width * tokens
    keys = shape.keys if on_gpu else shape.queries
    layer = int(shape.kept_per_token(lora.r, width, slots=slots, keys=keys) * tokens)
    on_device = 0 if options.offload_checkpoints and on_gpu else hidden
    kept = count * on_device + (shape.layers - count) * layer
    # The first layers are the checkpointed ones: what the others keep is gone before one of them computes again.
    again = layer if count == shape.layers else 0
    # Backward through SwiGLU: the gradients of gate and up, and a product, beside the three that the layer keeps;
    # or through the MLP's last product, with its weight in 16 bits. Both with the gradient of the residual stream.
    dequantized = shape.hidden * shape.inner * width if options.quantize else 0
    backward = again + hidden + max(3 * inner, inner + dequantized)
    # Logits and their exponentials in float32; the final states, those that are supervised, and their gradient.
    loss = int(2 * min(CHUNK, carrying * tokens) * shape.vocabulary * 4 + (1 + 2 * carrying) * hidden)
    # While the ends grow, before the first step, the new one stands beside the old one.
    growth = end if shape.grows else 0
    working = max(backward, loss, growth - kept)
    rounding = 1 + ROUNDING if on_gpu else 1.0
    return Memory(
        weights=weights,
        embeddings=end * (1 if shape.tied else 2),
        adapter=trained * (4 + 4 + optimizer_bytes(settings)),
        activations=int(rounding * kept),
        working=int(rounding * working),
        libraries=int(LIBRARIES) if on_gpu else 0,
    )


def optimizer_bytes(settings: QloraSettings) -> int:
    """Bytes of optimizer state for each trained parameter: two moments of one byte or of four."""
    return 2 if settings.train.optimizer in ("adamw_8bit", "paged_adamw_8bit") else 8


def checkpoint_layers(train: TrainSettings, layers: int, *, on_gpu: bool) -> int:
    """How many layers are checkpointed where nothing is known of the memory: on a GPU all, on a CPU none."""
    said = train.checkpoint_layers
    if said == "auto":
        return layers if on_gpu else 0
    return layers if said == "all" else min(said, layers)


def disk_of(shape: Shape, settings: QloraSettings) -> int:
    """Bytes of the run folder at its largest: checkpoints (one more than are kept), and the adapter twice."""
    trained = 4 * (shape.lora_parameters(settings.lora) + shape.token_parameters(settings.lora))
    return trained * (3 * (settings.train.keep_checkpoints + 1) + 2)
