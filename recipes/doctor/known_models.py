"""Which models that are known to solve well with Python fit the memory of this machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from recipes.doctor.finding import Finding
from recipes.doctor.machine import GIGABYTE, memory_bytes

AREA = "models"
LIST = Path(__file__).with_name("good_models.yaml")


class GoodModel(BaseModel):
    """One entry of the list: facts that were published, and where."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    get: str = Field(description="what `mathcoder models get` takes")
    bytes: int = Field(gt=0, description="of the file that is taken by default")
    scores: dict[str, float] = Field(min_length=1, description="per cent with Python, by question set")
    source: str = Field(min_length=1)

    @property
    def needs(self) -> int:
        """Bytes of memory, about: the weights, and a tenth and half a gigabyte for some thousand tokens."""
        return int(1.1 * self.bytes + 5e8)

    @property
    def told(self) -> str:
        """Scores and source, for a person."""
        scores = ", ".join(f"{name} {value:g} %" for name, value in self.scores.items())
        return f"with Python {scores} ({self.source})"


def good_models() -> list[GoodModel]:
    """The list, the smallest first."""
    from recipes.yaml_text import load_yaml

    found = TypeAdapter(list[GoodModel]).validate_python(load_yaml(LIST.read_text(encoding="utf-8")))
    return sorted(found, key=lambda item: item.bytes)


def models() -> Iterator[Finding]:
    """A line for each model that fits, with what was published of it; one for those that do not."""
    from runtime.text import size_text

    memory = memory_bytes()
    if memory is None:
        told = "how much memory there is cannot be found out here, so nothing is said of what fits"
        yield Finding(AREA, "known to solve well", "ok", told)
        return
    total, free = memory
    large = []
    for model in good_models():
        if model.needs > total:
            large.append(f"{model.name} (about {model.needs / GIGABYTE:.1f} GiB)")
            continue
        room = "fits" if model.needs <= free else f"fits once others give back memory ({free / GIGABYTE:.1f} GiB free)"
        needs = f"{room}, about {model.needs / GIGABYTE:.1f} GiB; {size_text(model.bytes)} to fetch"
        yield Finding(AREA, model.name, "ok", f"{needs}\n{model.told}\nmathcoder models get {model.get}")
    if large:
        yield Finding(AREA, "too large here", "ok", f"of {total / GIGABYTE:.1f} GiB: {', '.join(large)}")
