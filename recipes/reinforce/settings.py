"""What a recipe may say about reinforcement."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class ReinforceSettings(BaseModel):
    """How `mathcoder reinforce` samples, rewards and updates. Optimizer and rates are those under `train`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: Literal["pg", "rft"] = Field(
        default="pg",
        description="pg: policy gradient with centred advantages; rft: fine-tuning on the right solutions "
        "(rejection sampling)",
    )
    steps: int = Field(default=60, ge=1, description="steps: sample, reward, update")
    questions: int = Field(default=16, ge=1, description="questions of a step")
    samples: int = Field(default=16, ge=2, description="solutions to each of them")
    reward: Literal["gold", "random", "shuffled"] = Field(
        default="gold",
        description="gold: 1 for the right answer, else 0; controls, which must not gain: random, a coin; shuffled, "
        "the rewards of gold dealt out anew among solutions drawn together",
    )
    cap: float = Field(
        default=2.0, ge=1, description="pg: most that a token's weight pi / mu may be (sampler and trainer differ)"
    )
    refill: int = Field(
        default=2, ge=0, description="how often a step draws new questions for those all or none of whose samples earn"
    )
    hardest: float = Field(default=0.1, ge=0, le=1, description="questions solved less often than this are put off")
    easiest: float = Field(default=0.9, ge=0, le=1, description="questions solved more often than this are put off")
    updates: int = Field(default=1, ge=1, description="rft: optimizer steps into which a step's solutions are cut")
    per_question: int = Field(default=1, ge=1, description="rft: right solutions of a question that are trained on")
    sampler: Literal["file", "f16"] = Field(
        default="file",
        description="what llama.cpp samples from: the file; or a 16-bit copy of it, which is slower on a CPU and "
        "rounds no activations, so that sampler and trainer hardly differ; solutions that are drawn again after a kill "
        "may differ in the last digits of their probabilities",
    )
    slots: int = Field(default=16, ge=1, le=255, description="solutions decoded together")
    held_out: str | None = Field(
        default=None,
        description="questions that are never trained on, `nano` for its exam; default: data.held_out_percent of the "
        "questions, by hash",
    )
    held_out_questions: int = Field(default=400, ge=1, description="most held-out questions solved in an evaluation")
    held_out_samples: int = Field(
        default=0,
        ge=0,
        description="solutions drawn to each of 50 held-out questions in an evaluation, for pass@k; 0: none",
    )
    evaluate_every: int = Field(default=20, ge=0, description="steps between evaluations; 0: only first and last")
    patience: int = Field(
        default=3, ge=0,
        description="evaluations without a new best held-out share after which the run stops; 0: it never does",
    )  # fmt: skip

    @model_validator(mode="after")
    def _fits_method(self) -> Self:
        if self.method == "pg" and self.updates != 1:
            raise ValueError("method pg makes one update of a step's solutions; updates belongs to rft")
        if self.hardest >= self.easiest:
            raise ValueError("hardest must be below easiest")
        return self
