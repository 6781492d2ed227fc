"""What a recipe may say about data, adapters and training. `recipes` composes these models into one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from runtime.lce import ROLES

Backend = Literal["auto", "unsloth", "peft"]


class Settings(BaseModel):
    """Base of all settings: unknown keys are mistakes, values never change after validation."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


class DataSettings(Settings):
    """Which rows are trained on. In a recipe a bare string stands for `source`."""

    source: str = Field(description="hub id, .jsonl, .jsonl.gz, .parquet, or a folder of such files")
    file: str | None = Field(default=None, description="the one file to read of a hub data set or folder")
    revision: str | None = Field(default=None, description="branch, tag or commit of a hub data set")
    held_out_percent: int = Field(
        default=1, ge=0, le=50, description="hold out rows with sha256(question) mod 100 below this"
    )
    max_bad_percent: float = Field(default=1.0, ge=0, le=100, description="refuse when more rows than this are invalid")
    max_rows: int | None = Field(default=None, ge=1, description="train on the first N rows that are not held out")
    blocks: Literal["all", "text", "code"] = Field(
        "all",
        description="ablation: all blocks; text only (chain of thought); code and executions (program of thought)",
    )
    train_on_execution: bool = Field(default=False, description="ablation: execution results carry loss too")
    only_questions: list[str] = Field(
        default_factory=list,
        description="keep only rows whose question stands in these .jsonl files (ablation: without interpolated rows)",
    )
    exclude_questions: list[str] = Field(
        default_factory=list, description="drop rows whose question stands in these .jsonl files (test sets)"
    )

    @model_validator(mode="before")
    @classmethod
    def _from_string(cls, value: Any) -> Any:
        return {"source": value} if isinstance(value, str) else value


def problem_of_roles(tokens: dict[str, str]) -> str | None:
    """Why `tokens` does not name one token for each of the eight roles, None where it does."""
    if unknown := [role for role in tokens if role not in ROLES]:
        return f"reuse_tokens names {', '.join(unknown)}; the roles are {', '.join(ROLES)}"
    if missing := [role for role in ROLES if role not in tokens]:
        return f"reuse_tokens has no token for {', '.join(missing)}"
    if twice := sorted({token for token in tokens.values() if list(tokens.values()).count(token) > 1}):
        return f"{', '.join(twice)} would play two roles, and a reader could not tell which"
    return None


class LoraSettings(Settings):
    """The adapter. All linear layers except the output head get one."""

    r: int = Field(default=16, ge=1, le=1024, description="rank")
    alpha: float = Field(default=32.0, gt=0, description="scale numerator: alpha / r, or alpha / sqrt(r) with rslora")
    dropout: float = Field(default=0.0, ge=0, lt=1, description="share of the adapter's inputs set to zero")
    rslora: bool = Field(default=False, description="rank-stabilized scale (arXiv 2312.03732)")
    dora: bool = Field(default=False, description="weight-decomposed adapter (arXiv 2402.09353)")
    control_tokens: Literal["new", "reuse", "none"] = Field(
        default="new",
        description="new: the eight block tokens are added and their rows trained; reuse: tokens of the base play "
        "their roles (reuse_tokens), so that an adapter alone carries everything; none: what another `dialect` "
        "than lce has, by itself",
    )
    reuse_tokens: dict[str, str] = Field(
        default_factory=dict,
        description="with control_tokens reuse: the base's token for each of system, user, assistant, endofmessage, "
        "text, code, execution, endofblock",
    )
    start: str | None = Field(
        default=None, description="adapter to go on from: a run or peft folder, or a LoRA GGUF made by --adapter-only"
    )

    @model_validator(mode="after")
    def _every_role_once(self) -> LoraSettings:
        if self.control_tokens != "reuse":
            if self.reuse_tokens:
                raise ValueError("reuse_tokens belongs to control_tokens: reuse")
            return self
        if problem := problem_of_roles(self.reuse_tokens):
            raise ValueError(problem)
        return self


class TrainSettings(Settings):
    """How the adapter is trained.

    A step is `batch_rows` rows, whatever the hardware: packing, micro-batches and the answer to an out-of-memory error
    only decide how these rows are laid out, never what the step computes.
    """

    backend: Backend = Field(
        default="auto", description="auto is peft until benchmarks/qlora_gpu.py has proved unsloth's kernels on a GPU"
    )
    context: int = Field(default=2048, ge=16, description="rows with more tokens are dropped and listed, never cut")
    batch_rows: int = Field(default=64, ge=1, description="rows per optimizer step")
    micro_tokens: Literal["auto"] | Annotated[int, Field(ge=16)] = Field(
        default="auto", description="tokens per forward pass; auto: what the free memory holds (on a CPU at most 4,096)"
    )
    packing: bool = Field(
        default=True, description="rows one after the other in one sequence, isolated; else padded batches"
    )
    epochs: float = Field(default=3.0, gt=0, description="passes over the rows")
    max_steps: int | None = Field(default=None, ge=1, description="stop after this many steps, whatever `epochs` says")
    learning_rate: float = Field(default=2e-4, gt=0, description="of the adapters, after the warm-up")
    token_learning_rate: float | None = Field(
        default=None, gt=0, description="for the new token rows; default: learning_rate"
    )
    schedule: Literal["cosine", "linear", "constant"] = Field(
        default="cosine", description="course of the learning rate after the warm-up"
    )
    warmup_steps: int = Field(
        default=50, ge=0, description="steps in which the learning rate rises from zero, at most a tenth of the run"
    )
    min_lr_ratio: float = Field(
        default=0.0, ge=0, le=1, description="the schedule ends at this share of the learning rate"
    )
    weight_decay: float = Field(default=0.0, ge=0, description="of the adapters; token rows have none")
    max_grad_norm: float = Field(default=1.0, gt=0, description="longer gradients are clipped to this norm")
    optimizer: Literal["adamw", "adamw_8bit", "paged_adamw_8bit", "paged_adamw_32bit"] = Field(
        default="adamw", description="torch's AdamW, or one of bitsandbytes; paged: its state may move to the host"
    )
    neftune_alpha: float | None = Field(default=None, gt=0, description="noise on embeddings (arXiv 2310.05914)")
    compute_dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        default="auto", description="a GPU: bfloat16, or float16 with a loss scale where it has none; a CPU: float32"
    )
    deterministic: bool = Field(
        default=False, description="on a GPU: a run and its repetition give the same bits, for some of the speed"
    )
    quantize: bool = Field(
        default=True, description="NF4 with double quantization; false trains LoRA on the 16-bit base"
    )
    checkpoint_layers: Literal["auto", "all"] | Annotated[int, Field(ge=0)] = Field(
        default="auto",
        description="decoder layers that keep only their input and compute again in the backward pass: less memory, "
        "more time; auto: on a GPU as many as must be, on a CPU none",
    )
    offload_checkpoints: bool = Field(
        default=False, description="keep the inputs of checkpointed layers in the host's memory; peft backend, on a GPU"
    )
    fsdp: bool | None = Field(
        default=None,
        description="share the frozen base among the processes of torchrun or accelerate launch, for a base that one "
        "GPU cannot hold; default: what `accelerate launch --use_fsdp` says",
    )
    untested_architecture: bool = Field(
        default=False,
        description="try a base outside the tested architectures; the run first proves on the loaded model that it "
        "computes the model's own loss and that packed rows do not see each other",
    )
    attention: Literal["auto", "rows", "sdpa", "eager"] = Field(
        default="auto", description="attention of the peft backend"
    )
    seed: int = Field(default=0, ge=0, description="of the order of the rows, the adapter and dropout")
    log_every: int = Field(default=1, ge=1, description="steps between lines on the screen")
    save_every: int = Field(default=100, ge=1, description="steps between checkpoints")
    keep_checkpoints: int = Field(default=2, ge=1, description="how many of the newest checkpoints are kept")
    sample_every: int = Field(
        default=0, ge=0, description="steps between samples, held-out rows solved with execution; 0: never"
    )
    sample_rows: int = Field(default=8, ge=1, description="held-out rows solved in a sample")
    sample_tokens: int = Field(default=512, ge=1, description="tokens the model may write for one of them")
    tensorboard: bool = Field(default=False, description="short for trackers: [tensorboard]")
    trackers: list[Literal["tensorboard", "wandb", "trackio", "mlflow"]] = Field(
        default_factory=list, description="where the numbers of log.jsonl go as well; each has to be installed"
    )

    @model_validator(mode="before")
    @classmethod
    def _from_first_version(cls, value: Any) -> Any:
        """Recipes of version 0.1 say `gradient_checkpointing` (yes, no, null), and null for `micro_tokens`."""
        if not isinstance(value, Mapping):
            return value
        known = dict(value)
        if "micro_tokens" in known and known["micro_tokens"] is None:
            del known["micro_tokens"]
        if "gradient_checkpointing" in known and "checkpoint_layers" not in known:
            said = known.pop("gradient_checkpointing")
            if said is not None:
                known["checkpoint_layers"] = {True: "all", False: 0}.get(said, said)
        return known


LAYOUT_KEYS = frozenset(
    {
        "micro_tokens",
        "log_every",
        "save_every",
        "keep_checkpoints",
        "sample_every",
        "sample_rows",
        "sample_tokens",
        "tensorboard",
        "trackers",
        "gradient_checkpointing",
        "deterministic",
        "checkpoint_layers",
        "offload_checkpoints",
        "fsdp",
    }
)
"""Keys of `train` that change how a run goes but not what it computes; a run may be continued with other values."""


def problem_of_dialect(dialect: str, lora: LoraSettings) -> str | None:
    """Why rows cannot be rendered in `dialect` with these settings, None where they can."""
    if dialect != "lce" and lora.control_tokens == "reuse":
        return f"lora.control_tokens: reuse belongs to the block format (dialect: lce), and the dialect is {dialect}"
    if dialect == "lce" and lora.control_tokens == "none":
        return (
            "the block format (dialect: lce) cannot be written without control tokens, and lora.control_tokens is none"
        )
    return None


class QloraSettings(Settings):
    """Everything `qlora.train.train` needs to know."""

    name: str = Field(default="model", min_length=1, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    base: str = Field(description="folder or hub id of the base model")
    dialect: str = Field(default="lce", min_length=1)
    data: DataSettings
    train: TrainSettings = TrainSettings()
    lora: LoraSettings = LoraSettings()

    @model_validator(mode="before")
    @classmethod
    def _adds_no_tokens(cls, value: Any) -> Any:
        """A dialect other than the block format is written with the tokens that the base has."""
        if not isinstance(value, Mapping) or value.get("dialect", "lce") == "lce":
            return value
        lora = value.get("lora", LoraSettings())
        lora = dict(lora) if isinstance(lora, Mapping) else lora.model_dump()
        if lora.get("control_tokens", "new") == "new":
            lora["control_tokens"] = "none"
        return {**value, "lora": lora}

    @model_validator(mode="after")
    def _one_format(self) -> QloraSettings:
        if problem := problem_of_dialect(self.dialect, self.lora):
            raise ValueError(problem)
        return self
