"""Every model on this machine: the person's own files, what was fetched, and what other programs hold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from recipes.models.caches import HUB_PREFIX, LLAMA_PREFIX, look_at_hub_cache, look_at_llama_cache
from recipes.models.fetched import look_at_fetched
from recipes.models.found import Found, Look, Unusable
from recipes.models.lmstudio import PREFIX as LMSTUDIO_PREFIX
from recipes.models.lmstudio import look_at_lmstudio
from recipes.models.ollama import PREFIX as OLLAMA_PREFIX
from recipes.models.ollama import look_at_ollama
from recipes.models.own import look_at_own

LOOKS: dict[str, tuple[Callable[[], Look], ...]] = {
    HUB_PREFIX: (look_at_fetched, look_at_hub_cache, look_at_llama_cache),
    OLLAMA_PREFIX: (look_at_ollama,),
    LMSTUDIO_PREFIX: (look_at_lmstudio,),
    LLAMA_PREFIX: (look_at_llama_cache,),
}
"""Where names that begin with a prefix are looked for, the first place first."""


@dataclass(frozen=True)
class Survey:
    """What there is, and what could not be used."""

    found: list[Found]
    unusable: list[Unusable]


def survey() -> Survey:
    """Every model, the person's own first; a file that two places hold is told once."""
    found: list[Found] = []
    unusable: list[Unusable] = []
    seen: set[Path] = set()
    for look_at in dict.fromkeys((look_at_own, *(look for looks in LOOKS.values() for look in looks))):
        look = look_at()
        # Two names of one program for one file are both told: people know them by both.
        found += [item for item in look.found if item.path.resolve() not in seen]
        seen |= {item.path.resolve() for item in look.found}
        unusable += look.unusable
    return Survey(found, unusable)


def find() -> list[Found]:
    """Every model that can be used."""
    return survey().found
