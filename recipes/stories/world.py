"""What a world is: facts in plain sentences, and questions that need some of them."""

from __future__ import annotations

import keyword
import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from recipes.stories.words import HE, SHE, THINGS, Thing


@dataclass(frozen=True)
class Person:
    """Somebody, with the pronouns that stand for them."""

    name: str
    he: str
    his: str
    him: str


@dataclass(frozen=True)
class Ask:
    """One question of a world.

    Attributes:
        needs: ids of the facts it cannot do without, in the order in which they are told.
        extra: ids of facts of the same world that may be told and do not matter.
        texts: ways to put the question.
        values: (name of the variable, number) for every number the solution uses.
        expression: of these names; its value is the answer.
        how: the sentence that says what is computed.
        whole: "up" or "down" where the answer is the value rounded to the next whole number.
    """

    needs: str
    extra: str
    texts: tuple[str, ...]
    values: tuple[tuple[str, int | Decimal], ...]
    expression: str
    how: str
    whole: str = ""


@dataclass(frozen=True)
class World:
    """Facts by id, each in one or more wordings, and the questions that can be asked about them."""

    facts: Mapping[str, tuple[str, ...]]
    asks: tuple[Ask, ...]


Maker = Callable[["Draw"], World]
MAKERS: list[Maker] = []
KINDS = ("amounts", "change", "everyday", "groups", "quantities", "tasks")
"""The modules of this package that hold worlds."""


def world(maker: Maker) -> Maker:
    """Make a maker of worlds known."""
    MAKERS.append(maker)
    return maker


class Draw:
    """Draws what a world is made of."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self._used: set[str] = set()

    def person(self) -> Person:
        """Somebody who is not in this world yet."""
        while True:
            she = self.rng.random() < 0.5
            name = self.rng.choice(SHE if she else HE)
            if name not in self._used:
                self._used.add(name)
                return Person(name, *(("She", "her", "her") if she else ("He", "his", "him")))

    def thing(self) -> Thing:
        """A noun that is not in this world yet."""
        while True:
            thing = self.rng.choice(THINGS)
            if thing.many not in self._used:
                self._used.add(thing.many)
                return thing

    def pick(self, *choices: str) -> str:
        """One of `choices`."""
        return self.rng.choice(choices)

    def number(self, low: int = 2, high: int = 99) -> int:
        """A number as word problems have them: mostly small, now and then large."""
        share = self.rng.random()
        if share < 0.4:
            high = min(high, max(low + 8, 20))
        elif share > 0.92 and high == 99:
            high = 900
        return self.rng.randint(low, high)

    def decimal(self, low: int, high: int) -> Decimal:
        """A number with one or two places, as prices and weights have them."""
        return (
            Decimal(self.rng.randint(low * 100 + 1, high * 100))
            .scaleb(-2)
            .quantize(Decimal("0.1" if self.rng.random() < 0.3 else "0.01"))
        )

    def small(self, low: int = 2, high: int = 12) -> int:
        """A number of groups or of times."""
        return self.rng.randint(low, high)

    def two(self, items: tuple[str, ...]) -> tuple[str, str]:
        """Two different ones of `items`."""
        first, second = self.rng.sample(items, 2)
        return first, second


def variable(text: str) -> str:
    """`text` as the name of a variable: `toy cars left` becomes `toy_cars_left`."""
    name = re.sub(r"\W+", "_", text.lower()).strip("_")
    return f"n_{name}" if not name or name[0].isdigit() or keyword.iskeyword(name) else name


def several(count: int, thing: tuple[str, str]) -> str:
    """`1 box`, `3 boxes`, from (plural, singular)."""
    return f"{count} {thing[1] if count == 1 else thing[0]}"
