"""Rollouts on disk: whole or not there, and only taken for what they are.

`rollouts/00042-0.jsonl` holds the first part of the solutions of step 42. Its first line says which adapter drew them
and for which questions, its last one is the hash of the rest. A resumed run reads it back where all of that fits, and
draws again where it does not.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recipes.reinforce.reward import is_void
from runtime.engine.trajectory import Trajectory
from runtime.files import write_text


@dataclass
class Rollout:
    """One solution of a step.

    Attributes:
        question: its number in the pool; `sample`: which of its solutions.
        reward: 1 or 0.
        solution: as `Solution.as_dict` has it, with `supported` and the `question`'s id, for people and figures.
        trajectory: what was drawn.
    """

    question: int
    sample: int
    reward: float
    solution: dict[str, Any]
    trajectory: Trajectory

    @property
    def void(self) -> bool:
        """Whether it ended by a limit."""
        return is_void(self.solution["status"])


class Journal:
    """The rollout files of one run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, step: int, part: int) -> Path:
        """The file of one part of one step."""
        return self.folder / f"{step:05d}-{part}.jsonl"

    def write(self, step: int, part: int, facts: Mapping[str, Any], rollouts: Sequence[Rollout]) -> None:
        """Write the file atomically.

        Raises:
            WriteError: no room; nothing is lost but these rollouts.
        """
        lines = [json.dumps({"facts": facts})]
        for rollout in rollouts:
            head = {"question": rollout.question, "sample": rollout.sample, "reward": rollout.reward}
            line = {**head, "solution": rollout.solution, "trajectory": rollout.trajectory.as_dict()}
            lines.append(json.dumps(line))
        text = "\n".join(lines) + "\n"
        digest = hashlib.sha256(text.encode()).hexdigest()
        write_text(self.path(step, part), f"{text}{json.dumps({'sha256': digest})}\n")

    def read(self, step: int, part: int, facts: Mapping[str, Any] | None = None) -> list[Rollout] | None:
        """The rollouts; None where there are none, the file is damaged, or (where given) `facts` differ."""
        try:
            text = self.path(step, part).read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        body, _, tail = text.rstrip("\n").rpartition("\n")
        try:
            head, *lines = [json.loads(line) for line in body.split("\n")]
            whole = json.loads(tail)["sha256"] == hashlib.sha256(f"{body}\n".encode()).hexdigest()
        except (ValueError, KeyError, TypeError):
            return None
        if not whole or (facts is not None and head["facts"] != json.loads(json.dumps(facts))):
            return None
        return [
            Rollout(
                line["question"], line["sample"], line["reward"], line["solution"],
                Trajectory.from_dict(line["trajectory"]),
            )
            for line in lines
        ]  # fmt: skip

    def parts(self, step: int) -> list[list[Rollout]]:
        """All parts of a finished step."""
        found: list[list[Rollout]] = []
        while (rollouts := self.read(step, len(found))) is not None:
            found.append(rollouts)
        return found
