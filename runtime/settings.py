"""Settings of inference: how a model is loaded, how tokens are drawn, what a solution may cost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from runtime.errors import InputError
from runtime.lce import DEFAULT_SYSTEM

CacheType = Literal["f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0"]
Switch = Literal["auto", "on", "off"]
Mode = Literal["full", "chain-of-thought", "program-of-thought", "imagined", "wrong-results"]
"""
full: text, code and real executions, as often as the model wants.
chain-of-thought: no code; the model may begin text blocks only.
program-of-thought: one code block, run once; what it printed is the answer and the model writes nothing further
    (Chen et al., arXiv 2211.12588).
imagined: the model writes the execution blocks itself and no code is run (the ablation of arXiv 2310.03731). In every
    other mode an execution block can come from the runtime alone.
wrong-results: the full loop, but every number the model reads in a result is another one (`wrong_result`).
"""
WITHOUT_CELLS: frozenset[Mode] = frozenset({"chain-of-thought", "imagined"})
"""Modes in which no code is ever run."""

VARIED_TEMPERATURE = 0.7
"""Several samples of a question must differ: this stands in for a temperature of 0."""

MAX_SEED = 2**32 - 2
"""Largest seed: llama.cpp reads 2**32 - 1 as "draw one from the clock"."""


Model = TypeVar("Model", bound=BaseModel)


def validated(model: type[Model], values: Mapping[str, Any], consequence: str = "", remedy: str = "") -> Model:
    """`values` as settings of the kind `model`.

    Raises:
        InputError: with every value that is not valid, followed by `consequence` and `remedy`.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        mistakes = [
            f"{'.'.join(map(str, item['loc']))}: {item['msg']} (got {item['input']!r})" for item in error.errors()
        ]
        raise InputError("; ".join(mistakes), consequence, remedy) from None


class EngineSettings(BaseModel):
    """How a model is loaded. The defaults are for a laptop's CPU."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    n_ctx: int | None = Field(default=None, ge=16)
    """Tokens one solution may hold; None takes what the model was trained with, at most 4096 in the block format, and
    for other models at most 32768 and a quarter of the free memory."""
    gpu_layers: int = Field(default=0, ge=-1)
    """Layers kept on the GPU; -1 for all of them."""
    threads: int | None = Field(default=None, ge=1)
    """Threads for decoding; None takes the physical cores this process may use, and one for a very small model."""
    flash_attention: Switch = "auto"
    """auto: on where layers are on a GPU, off on the CPU. There it sums values in 16 bits, so that greedy solutions
    depend on what else is in the batch (28 of the nano model's 400; none without it), and on some CPUs it halves the
    speed of a single solution at 3k tokens. A batch of solutions of different lengths gains a tenth."""
    cache_type_k: CacheType = "f16"
    cache_type_v: CacheType = "f16"
    """Type of the value cache; a quantized one needs flash attention."""
    batch_tokens: int = Field(default=512, ge=8)
    """Most tokens given to one decode."""


class SamplingSettings(BaseModel):
    """How the next token is drawn. Temperature 0 is greedy and ignores the rest."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    temperature: float = Field(default=0.0, ge=0.0, le=10.0)
    """0: greedy, the most likely token each time."""
    top_k: int = Field(default=0, ge=0)
    """Draw from the K most likely tokens; 0: no limit."""
    top_p: float = Field(default=1.0, gt=0.0, le=1.0)
    """Draw from the most likely tokens that have this probability together."""
    min_p: float = Field(default=0.0, ge=0.0, le=1.0)
    """Draw from tokens with at least this share of the most likely one's probability."""
    repeat_penalty: float = Field(default=1.0, gt=0.0)
    """1.0: off. Applied over the last 64 tokens of the whole solution."""
    seed: int = Field(default=1, ge=1, le=MAX_SEED)
    """Base seed; every question and sample derives its own from it (see `derived_seed`)."""


class SolverSettings(SamplingSettings):
    """What one solution may cost, and how it is asked for."""

    system: str = DEFAULT_SYSTEM
    """System text of the block format; other dialects bring their own where this is left as it is."""
    dialect: str = "auto"
    """auto: the one that the model's file speaks for (its tokens, architecture, name, chat template)."""
    mode: Mode = "full"
    """The full loop or a baseline, see `runtime.solver.modes`."""
    code_execution: bool = True
    """False: cells are not run and the execution block says so; used to measure what execution is worth."""
    max_blocks: int = Field(default=32, ge=1)
    """Text and code blocks the model may write (31 of 18,260 correct released solutions need more than 16)."""
    max_block_tokens: int = Field(default=1024, ge=1)
    """Tokens the model may write in one block."""
    max_tokens: int = Field(default=3072, ge=1)
    """Tokens the model may write in one solution."""
    max_execution_tokens: int = Field(default=1024, ge=16)
    """Longer execution results lose their middle before the model reads them."""
    max_seconds: float = Field(default=600.0, gt=0)
    """Wall-clock seconds of one solution, executions included."""
    thinking: bool | None = None
    """Whether a reasoning model thinks before it answers, where its format has a switch for that; None: as it is."""
    max_thinking_tokens: int = Field(default=8192, ge=1)
    """Tokens a reasoning model may think before its thinking is ended for it."""
    max_calls: int = Field(default=64, ge=1)
    """Cells that are run; the model is told when few are left, and when none is."""
    max_unreadable_calls: int = Field(default=3, ge=0)
    """Calls that cannot be read and are answered with what is wrong, before the solution ends."""
    answer_tokens: int = Field(default=64, ge=0)
    """Tokens kept for an answer that is begun in the model's place where `max_tokens` ends without one; 0: none is.
    The block format is never forced."""
    max_repeated_errors: int = Field(default=3, ge=1)
    """The same cell failing with the same output this many times ends the solution."""

    @model_validator(mode="after")
    def _a_program_is_run(self) -> Self:
        if self.mode == "program-of-thought" and not self.code_execution:
            raise ValueError("mode program-of-thought answers with what its code prints, and code_execution is off")
        if self.mode == "wrong-results" and not self.code_execution:
            raise ValueError("mode wrong-results changes what the code gave, and code_execution is off")
        return self

    def that_differ(self) -> Self:
        """These settings for several samples of one question: a temperature of 0 becomes VARIED_TEMPERATURE."""
        return self if self.temperature else self.model_copy(update={"temperature": VARIED_TEMPERATURE})

    @property
    def runs_cells(self) -> bool:
        """Whether code is run, so that a sandbox is needed."""
        return self.code_execution and self.mode not in WITHOUT_CELLS


def derived_seed(base: int, index: int, sample: int) -> int:
    """A seed for one sample of one question: non-zero, and distinct for each `index` and `sample`.

    llama.cpp's unseeded samplers draw the same numbers in every process, and votes need different ones. Multiplying by
    an odd constant is a bijection modulo 2**32 (Knuth's multiplicative hash), so that for one base up to 2**12 samples
    of 2**20 questions collide only where the folding below does.
    """
    mixed = (base * 0x9E3779B1 + (index * 4096 + sample) * 0x85EBCA6B) % 2**32
    return mixed % MAX_SEED + 1
