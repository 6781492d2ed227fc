"""LoRA on every linear layer, and the rows of the control tokens, put on a loaded base."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from qlora.backend import by_unsloth, device_and_dtype
from qlora.fused import fuse
from qlora.fused_blocks import fuse_blocks
from qlora.gradient_checkpointing import GradientCheckpointing
from qlora.memory import checkpoint_layers
from qlora.quiet import quiet_libraries
from qlora.settings import LoraSettings, TrainSettings
from qlora.tokens import add_control_tokens
from runtime.errors import TrainError
from runtime.lce import CONTROL_TOKENS


@dataclass(frozen=True)
class TokenRows:
    """An embedding or head as the loop uses it: frozen rows, and trained rows that stand in place of some.

    Attributes:
        weight: [V, H], frozen.
        rows: [K, H], trained.
        ids: int64 [K], which rows of `weight` they replace.
        slot: int64 [V], index into `rows`, or -1.
        factor: what the model multiplies by at this end: its embeddings, or its logits.
    """

    weight: Tensor
    rows: Tensor
    ids: Tensor
    slot: Tensor
    factor: float = 1.0


class Adapted:
    """A base with its adapter, and the parts of it that the training loop calls.

    Attributes:
        peft: the peft model, for saving.
        backbone: the decoder without its head; takes `inputs_embeds`, gives the final hidden states.
        by_unsloth: whether the backbone computes with unsloth's own forward pass (it does on a GPU).
        device: where the decoder layers are.
        dtype: what they compute in.
        checkpointing: which decoder layers compute again in the backward pass.
        embedding, head: token rows at the two ends; the same parameter where the base ties them.
    """

    def __init__(self, peft_model: Any, backend: str, *, checkpointed: bool = False, offload: bool = False) -> None:
        causal = peft_model.get_base_model()
        self.peft = peft_model
        self.backend = backend
        self.backbone = causal.base_model
        self.by_unsloth = by_unsloth(self.backbone)
        self.checkpointing = GradientCheckpointing(causal, self.backbone, enabled=checkpointed, offload=offload)
        self.locate()

    def locate(self) -> None:
        """Find the two ends where they are now: again after the model was moved to another device."""
        causal = self.peft.get_base_model()
        self.embedding = _token_rows(causal.get_input_embeddings(), _embedding_factor)
        self.head = _token_rows(causal.get_output_embeddings(), lambda _: logit_factor(causal.config))
        if len(self.embedding.ids):
            self.tied = self.embedding.rows is self.head.rows
        else:
            self.tied = self.embedding.weight.data_ptr() == self.head.weight.data_ptr()
        rows = getattr(causal.get_input_embeddings(), "token_adapter", None)
        # From the adapter's own list: the embedding may lie where it cannot be copied from.
        self._token_ids = torch.tensor([] if rows is None else rows.token_indices["default"], dtype=torch.int64)
        # Not where the embedding is: that may have been put elsewhere to save memory.
        self.device: torch.device = next(self.backbone.layers[0].parameters()).device
        self.dtype = self.embedding.weight.dtype

    def trainable(self) -> dict[str, nn.Parameter]:
        """Trained parameters by name, in a fixed order."""
        return {name: parameter for name, parameter in self.peft.named_parameters() if parameter.requires_grad}

    def embed(self, ids: Tensor) -> Tensor:
        """[..., H] embeddings of `ids`, differentiable with respect to the trained rows alone.

        peft's own forward copies the whole embedding each time, and its gradient is as large as the embedding. Where
        `ids` are still in the host's memory, no step of this waits for the GPU.
        """
        table = self.embedding
        device = table.weight.device
        places = torch.isin(ids, self._token_ids.to(ids.device)).reshape(-1).nonzero().squeeze(1).to(device)
        ids = ids.to(device)
        with torch.no_grad():
            embedded = nn.functional.embedding(ids, table.weight)
            if not len(table.ids):
                return embedded if table.factor == 1.0 else embedded * table.factor
            slots = table.slot[ids]
        flat = embedded.reshape(-1, embedded.shape[-1])
        trained = _SelectRows.apply(table.rows, slots.reshape(-1)[places], flat.dtype)
        replaced = flat.index_copy(0, places, trained).reshape(embedded.shape)
        return replaced if table.factor == 1.0 else replaced * table.factor

    def before_head(self, hidden: Tensor) -> Tensor:
        """[..., H] whose product with the head's rows is the model's logits, given its final hidden states."""
        return hidden if self.head.factor == 1.0 else hidden * self.head.factor


class _SelectRows(torch.autograd.Function):
    """`rows[slots]` in `dtype`, whose gradient is summed in float32 and in a fixed order.

    A control token stands hundreds of times in a micro-batch. Summed in bfloat16 one after the other, as `index_select`
    does, 1,000 occurrences leave 4 % of error in the gradient, or 20 % where all have one sign; and on a GPU they come
    in any order.
    """

    @staticmethod
    def forward(ctx: Any, rows: Tensor, slots: Tensor, dtype: torch.dtype) -> Tensor:
        ctx.save_for_backward(slots)
        ctx.count, ctx.dtype = len(rows), rows.dtype
        return rows.to(dtype).index_select(0, slots)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        (slots,) = ctx.saved_tensors
        wide = grads[0].float()
        is_row = (slots[None, :] == torch.arange(ctx.count, device=slots.device)[:, None]).float()
        return torch.stack([(wide * of_row[:, None]).sum(0) for of_row in is_row]).to(ctx.dtype), None, None


def _embedding_factor(layer: Any) -> float:
    """What an embedding layer multiplies its rows by, rounded as it rounds it.

    Gemma: the root of the width.
    """
    scale = getattr(layer, "scalar_embed_scale", 1.0)
    return float(torch.tensor(scale, dtype=layer.weight.dtype))


def logit_factor(config: Any) -> float:
    """What a model multiplies its logits by: `logit_scale` (Cohere), 1 / `logits_scaling` (Granite)."""
    config = config.get_text_config()
    return float(getattr(config, "logit_scale", None) or 1.0) / float(getattr(config, "logits_scaling", None) or 1.0)


def _token_rows(module: Any, factor_of: Callable[[Any], float]) -> TokenRows:
    if getattr(module, "token_adapter", None) is None:  # the roles are played by tokens whose rows stay as they are
        weight = module.weight.detach()
        none = torch.zeros(0, dtype=torch.int64, device=weight.device)
        return TokenRows(weight, weight.new_zeros(0, weight.shape[1]), none, none, factor_of(module))
    layer = module.token_adapter
    base = layer.get_base_layer()
    weight = base.weight
    rows = layer.trainable_tokens_delta["default"]
    ids = torch.tensor(layer.token_indices["default"], device=weight.device)
    slot = torch.full((weight.shape[0],), -1, device=weight.device)
    slot[ids] = torch.arange(len(ids), device=weight.device)
    return TokenRows(weight.detach(), rows, ids, slot, factor_of(base))


def add_adapter(
    model: Any, tokenizer: Any, lora: LoraSettings, train: TrainSettings, backend: str, *, base_name: str
) -> Adapted:
    """Put LoRA on all linear layers, and trained rows for the added control tokens on both ends.

    Trained parameters are float32 whatever the compute type: steps of 1e-4 vanish in bfloat16's 8 bits.
    """
    tied = model.get_input_embeddings().weight is model.get_output_embeddings().weight
    ids = add_control_tokens(tokenizer) if lora.control_tokens == "new" else []
    # Where the head is apart it must be named too, or its rows stay still.
    ends = [model.get_input_embeddings()] if tied else [model.get_input_embeddings(), model.get_output_embeddings()]
    names = {id(module): name.rpartition(".")[2] for name, module in model.named_modules()}
    rows = {names[id(end)]: ids for end in ends}
    options: dict[str, Any] = {
        "r": lora.r,
        "lora_alpha": lora.alpha,
        "lora_dropout": lora.dropout,
        "target_modules": linear_names(model),
        "use_rslora": lora.rslora,
        "use_dora": lora.dora,
        "bias": "none",
    }
    if lora.control_tokens == "new":
        options["trainable_token_indices"] = rows
    # Where it will compute: a base that is to be shared among processes still lies in the memory of the host.
    on_gpu = device_and_dtype(train)[0].type != "cpu"
    offload = train.offload_checkpoints and on_gpu
    torch.manual_seed(train.seed)
    with quiet_libraries():
        if backend == "unsloth":
            from unsloth import FastLanguageModel

            peft_model = FastLanguageModel.get_peft_model(
                model,
                # On a GPU always prepared, and switched layer by layer below.
                use_gradient_checkpointing="unsloth" if on_gpu else False,
                random_state=train.seed,
                **options,
            )
            if on_gpu:
                # It leaves the choice to torch, which warns of that in the middle of the progress bar.
                peft_model.get_base_model().gradient_checkpointing_enable({"use_reentrant": True})
        else:
            from peft import LoraConfig, get_peft_model

            peft_model = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", **options))
    for name, parameter in peft_model.named_parameters():
        if "trainable_tokens_delta" in name:
            # On a GPU unsloth freezes all but the matrices of LoRA.
            parameter.requires_grad_(True)
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    for config in peft_model.peft_config.values():
        config.base_model_name_or_path = base_name
    peft_model.config.use_cache = False
    peft_model.train()
    adapted = Adapted(peft_model, backend, checkpointed=backend == "unsloth" and on_gpu, offload=offload)
    adapted.checkpointing.set(checkpoint_layers(train, adapted.checkpointing.layers, on_gpu=on_gpu))
    one_matrix = bool(peft_model.config.get_text_config().tie_word_embeddings)
    count = len(CONTROL_TOKENS) if lora.control_tokens == "new" else 0
    refuse_unlike_meant(adapted, tied=one_matrix, dtype=device_and_dtype(train)[1], token_rows=count)
    if not adapted.by_unsloth:
        fuse(peft_model, adapted.dtype)
        fuse_blocks(peft_model)
    return adapted


def refuse_unlike_meant(
    adapted: Adapted, *, tied: bool, dtype: torch.dtype, token_rows: int = len(CONTROL_TOKENS)
) -> None:
    """Refuse a run that would not train what it says: the loss would fall, and nobody would notice.

    Args:
        adapted: ready for the first step.
        tied: whether the base has one matrix for both ends.
        dtype: meant to compute in.
        token_rows: that are to be trained at each end; none where tokens of the base play the block tokens' roles.

    Raises:
        TrainError: token rows are frozen, tied ends are two, or the base is in another number format.
    """
    trained = {id(parameter) for parameter in adapted.trainable().values()}
    remedy = "report this with the versions that `mathcoder doctor` prints"
    if adapted.backend != "peft":
        remedy = f"set train.backend=peft, and {remedy}"
    for end, table in (("embedding", adapted.embedding), ("output head", adapted.head)):
        if len(table.ids) != token_rows or (token_rows and id(table.rows) not in trained):
            raise TrainError(
                f"the rows of the control tokens in the {end} are frozen or not there (backend {adapted.backend})",
                "the blocks' markers would never be learned, so nothing was trained",
                remedy,
            )
        if table.weight.dtype != dtype:
            raise TrainError(
                f"the {end} was loaded in {table.weight.dtype}, and the run is to compute in {dtype}",
                "memory, speed and numbers would not be those of the plan, so nothing was trained",
                f"set train.compute_dtype={str(table.weight.dtype).removeprefix('torch.')}, or {remedy}",
            )
    if tied and not (adapted.tied and adapted.embedding.weight.data_ptr() == adapted.head.weight.data_ptr()):
        raise TrainError(
            f"the base has one matrix for both ends, and the {adapted.backend} backend has made two of it",
            "the file that is exported could hold only one of them, so nothing was trained",
            remedy,
        )


def linear_names(model: Any) -> list[str]:
    """Last names of the linear layers of the decoder, head excluded (`q_proj`, ..., `down_proj`)."""
    head = model.get_output_embeddings()
    linear = (name for name, module in model.named_modules() if isinstance(module, nn.Linear) and module is not head)
    return sorted({name.rpartition(".")[2] for name in linear})


@contextmanager
def inference(adapted: Adapted) -> Iterator[None]:
    """Dropout and gradient checkpointing off and no gradients, for sampling in the middle of training.

    The linear layers stay in training mode: in evaluation mode bitsandbytes repacks their 4-bit weights on a CPU, for
    good, in a layout that has no backward pass. Decoder layers under checkpointing throw a key-value cache away without
    an error, so they leave training mode, themselves and not what is in them; so does attention that drops weights out
    by its own mode (`attention_dropout` of the base), without a module for it.
    """
    switched = [
        module
        for module in adapted.peft.modules()
        if module.training
        and (
            isinstance(module, nn.Dropout)
            or hasattr(module, "gradient_checkpointing")
            or getattr(module, "attention_dropout", 0.0)
        )
    ]
    for module in switched:
        module.training = False
    try:
        with torch.no_grad():
            yield
    finally:
        for module in switched:
            module.training = True
