"""Whether the tokens that play the block tokens' roles can be told apart by their rows.

Tokens that pre-training never saw keep rows that weight decay has made equal. What a model reads may still be clear
from where it stands; what it writes is a choice between rows, and between equal rows there is none.
"""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

from qlora.settings import LoraSettings
from runtime.errors import ModelError
from runtime.lce import CODE, END_OF_BLOCK, END_OF_MESSAGE, ROLES, TEXT

if TYPE_CHECKING:
    from torch import Tensor

WRITTEN = (TEXT, CODE, END_OF_BLOCK, END_OF_MESSAGE)
"""The control tokens that the model has to write; the others are put there for it."""
APART = 0.02
"""Distance of two rows, as a share of their length, below which they count as equal (trained ones: 0.1 and more)."""


def refuse_equal_rows(head: Tensor, ids: dict[str, int], lora: LoraSettings) -> None:
    """Refuse roles that the model could not choose between.

    Args:
        head: [V, H], rows of the output head.
        ids: id by control token.
        lora: which token plays which role.

    Raises:
        ModelError: two roles that the model has to write lie on rows that are equal.
    """
    named = {ROLES[role]: name for role, name in lora.reuse_tokens.items()}
    for one, two in combinations(WRITTEN, 2):
        a, b = head[ids[one]].float(), head[ids[two]].float()
        share = float((a - b).norm() / a.norm().clamp_min(1e-9))
        if share < APART:
            raise ModelError(
                f"the rows of {named[one]} ({one}) and {named[two]} ({two}) differ by {share:.1%} of their length",
                "the model could not choose which of the two to write",
                "give these roles to tokens that pre-training has seen",
            )
