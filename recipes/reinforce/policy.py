"""The model under training: a fresh adapter on what the sampler's GGUF holds, and its optimizer."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from export.certify.check import role_names
from export.gguf.file import read_gguf
from export.gguf.write_adapter import write_adapter
from qlora import checkpoint, optimizer
from qlora.adapter import Adapted, add_adapter, inference
from qlora.base import Base, find_base, load_tokenizer
from qlora.checks import disk_errors
from qlora.load import load_model
from qlora.policy import PolicyStepper, Rollouts, Seen
from qlora.settings import LoraSettings, TrainSettings
from runtime.errors import InputError, ModelError, TrainError
from runtime.lce import BASE_FILE_KEY, BASE_KEY, ROLES

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch

MICRO_TOKENS, CPU_MICRO_TOKENS = 4096, 1024
"""Tokens of a forward pass to begin with; halved when memory runs out. On a CPU the activations of more tokens leave
its caches (the nano model: 3,100 tokens a second with 1,024, 2,200 with 4,096)."""


@dataclass
class Update:
    """What one optimizer step saw."""

    norm: float
    tokens: int
    seen: Seen


class Policy:
    """An adapter on the dequantized weights of a GGUF file, whose token rows stay as they are.

    So the trainer's base is what the sampler holds, and the model without the adapter is the one a run started from.

    Attributes:
        lora: the recipe's, with the roles of the block tokens as the file says them.
        base: the folder the GGUF was dequantized into.
        done: steps taken.
    """

    def __init__(self, gguf: Path, train: TrainSettings, lora: LoraSettings) -> None:
        """
        Args:
            gguf: a model that writes the block format.
            train: rates and optimizer; the base is never quantized once more.
            lora: rank and scale of the adapter.

        Raises:
            InputError: settings that an adapter of plain low-rank pairs does not have.
            ModelError: the file cannot become a base, or lacks the block tokens.
            TrainError: no memory.
        """
        from export.from_gguf import base_folder

        if lora.dora or lora.dropout or lora.start is not None:
            raise InputError(
                "lora.dora, lora.dropout and lora.start do not go with reinforcement",
                "the adapter is written as a GGUF each step, and has to compute there what it computes here",
                "leave them away; to go on from an adapter, merge it first (mathcoder export)",
            )
        self.gguf = gguf
        file = read_gguf(gguf)
        names = role_names(file)
        roles = {role: names.get(token, token) for role, token in ROLES.items()}
        if missing := [name for name in roles.values() if name not in file.tokens]:
            raise ModelError(
                f"{gguf} has no token {missing[0]}: the model does not write the block format",
                "there is nothing to reinforce",
                "fine-tune it first (mathcoder train), export it, and give the exported file",
            )
        self.architecture = file.architecture
        self.base: Base = find_base(str(base_folder(gguf)))
        self.train = train.model_copy(update={"quantize": False, "backend": "peft"})
        self.lora = lora.model_copy(update={"control_tokens": "reuse", "reuse_tokens": roles})
        self.tokenizer = load_tokenizer(self.base, self.lora)
        model = load_model(self.base, self.tokenizer, self.train, "peft")
        self.adapted: Adapted = add_adapter(
            model, self.tokenizer, self.lora, self.train, "peft", base_name=str(self.base.path)
        )
        self.optimizer: torch.optim.Optimizer = optimizer.build(self.adapted, self.train)
        most = CPU_MICRO_TOKENS if self.adapted.device.type == "cpu" else MICRO_TOKENS
        self.micro_tokens = most if self.train.micro_tokens == "auto" else int(self.train.micro_tokens)
        self.done = 0

    @property
    def vocabulary(self) -> int:
        """Rows of the output head."""
        return len(self.adapted.head.weight)

    def update(
        self, rollouts: Rollouts, rows: Sequence[int], *, divisor: float, rate: float, cap: float | None
    ) -> Update:
        """One optimizer step on `rows`.

        Raises:
            TrainError: one row alone does not fit in memory, or the gradient is not a number; nothing was changed.
        """
        stepper = PolicyStepper(self.adapted, rollouts, self.train, self.micro_tokens, cap=cap)
        stepper.divisor = divisor
        result, norm = stepper.clipped_gradient(rows)
        self.micro_tokens = stepper.micro_tokens
        if not np.isfinite(norm):
            raise TrainError(
                f"the gradient's norm is {norm}",
                "training stops; the last checkpoint is kept",
                "lower train.learning_rate, and give the same command again",
            )
        optimizer.set_learning_rate(self.optimizer, rate)
        self.optimizer.step()
        return Update(norm, result.tokens, stepper.seen)

    def drift(self, rollouts: Rollouts, rows: Sequence[int], seen: Seen) -> float:
        """Nats a token from the model without the adapter to the one that drew `rows`, on its tokens.

        Args:
            seen: what the latter thought of them, see `update`.
        """
        import torch

        stepper = PolicyStepper(self.adapted, rollouts, self.train, self.micro_tokens, cap=None)
        with torch.no_grad(), self.scaled(0.0):
            for micro in stepper.micro_batches(rows):
                stepper.forward(micro)
        ratio = np.concatenate([stepper.seen.log_pi[row].astype(np.float64) - seen.log_pi[row] for row in rows])
        return float(np.mean(np.expm1(ratio) - ratio))

    def write(self, target: Path, *, named: bool = True) -> None:
        """Write the adapter as a GGUF file.

        `named`: with the hash of the model it is for, so that it is used on no other.

        Raises:
            WriteError: it cannot be written.
        """
        facts = json.loads((self.base.path / "gguf.json").read_text(encoding="utf-8"))
        strings = {BASE_KEY: facts["sha256"], BASE_FILE_KEY: facts["file"]} if named else {}
        lora = self.lora
        # llama.cpp computes alpha / rank, so an rsLoRA scale is written as the alpha that gives it.
        alpha = lora.alpha * lora.r**0.5 if lora.rslora else lora.alpha
        write_adapter(target, self.adapted.trainable(), self.base.config, self.architecture, alpha, strings)

    def sha256(self) -> str:
        """Of the adapter's numbers."""
        digest = hashlib.sha256()
        for name, parameter in self.adapted.trainable().items():
            digest.update(name.encode())
            digest.update(parameter.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()

    def log_probabilities(self, ids: Sequence[int], scale: float = 1.0) -> NDArray[np.float32]:
        """float32 [tokens, vocabulary]: what the model predicts after each of `ids`.

        Args:
            ids: of one row.
            scale: of the adapter; 0 for the model without it.
        """
        import torch

        adapted = self.adapted
        with inference(adapted), self.scaled(scale):
            positions = torch.arange(len(ids), device=adapted.device)[None]
            with torch.autocast(adapted.device.type, adapted.dtype, enabled=adapted.dtype != torch.float32):
                output = adapted.backbone(
                    inputs_embeds=adapted.embed(torch.tensor([list(ids)])), position_ids=positions, use_cache=False
                )
            hidden = adapted.before_head(output[0][0])
            logits = (hidden.to(adapted.head.weight.dtype) @ adapted.head.weight.T).float()
            found: NDArray[np.float32] = torch.log_softmax(logits, 1).cpu().numpy()
        return found

    @contextmanager
    def scaled(self, scale: float) -> Iterator[None]:
        """The adapter multiplied by `scale` in here; to the bit the old one afterwards."""
        import torch

        pairs = {name: p for name, p in self.adapted.trainable().items() if ".lora_B" in name} if scale != 1.0 else {}
        kept = {name: parameter.detach().clone() for name, parameter in pairs.items()}
        with torch.no_grad():
            for parameter in pairs.values():
                parameter.mul_(scale)
        try:
            yield
        finally:
            with torch.no_grad():
                for name, parameter in pairs.items():
                    parameter.copy_(kept[name])

    def save(self, folder: Path, state: dict[str, Any]) -> None:
        """A checkpoint of this step.

        Raises:
            TrainError: the disk is full; the checkpoint before is whole.
        """
        state = {**state, "micro_tokens": self.micro_tokens}
        with disk_errors(folder.parent):
            checkpoint.save(folder, self.done, self.adapted, self.optimizer, state, keep=self.train.keep_checkpoints)

    def resume(self, folder: Path) -> dict[str, Any]:
        """Go on from the newest whole checkpoint; what `save` was given, empty where there is none."""
        last = checkpoint.latest(folder)
        if last is None:
            return {}
        checkpoint.load(last, self.adapted, self.optimizer)
        state = checkpoint.state_of(last)
        self.done, self.micro_tokens = state["step"], state["micro_tokens"]
        return state
