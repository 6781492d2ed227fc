"""What was drawn for a sequence, token by token, with its probability: for reinforcement."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

Allowed = tuple[frozenset[int] | None, frozenset[int]]
"""`TokenSequence.only` and `TokenSequence.forbidden`: from which tokens one was drawn."""


@dataclass
class Trajectory:
    """The tokens that the sampler drew for one sequence; all others in its `ids` were put there.

    Attributes:
        ids: all tokens of the sequence, filled in when it ends.
        places: where in `ids` each drawn token stands.
        log_mu: its log-probability (nats) among the tokens that were allowed, at the sampler's temperature.
        sets: the different sets of allowed tokens.
        kinds: which of `sets` each token was drawn from.
    """

    ids: list[int] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    log_mu: list[float] = field(default_factory=list)
    sets: list[Allowed] = field(default_factory=list)
    kinds: list[int] = field(default_factory=list)

    def add(self, place: int, allowed: Allowed, log_mu: float) -> None:
        """One drawn token."""
        if allowed not in self.sets:
            self.sets.append(allowed)
        self.places.append(place)
        self.log_mu.append(log_mu)
        self.kinds.append(self.sets.index(allowed))

    def as_dict(self) -> dict[str, Any]:
        """For JSON; `from_dict` gives the same numbers back to the bit."""
        sets = [
            {"forbidden": sorted(forbidden)} if only is None else {"only": sorted(only)}
            for only, forbidden in self.sets
        ]
        return {"ids": self.ids, "places": self.places, "log_mu": self.log_mu, "sets": sets, "kinds": self.kinds}

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> Trajectory:
        """The reverse of `as_dict`."""
        sets: list[Allowed] = [
            (frozenset(one["only"]), frozenset()) if "only" in one else (None, frozenset(one["forbidden"]))
            for one in value["sets"]
        ]
        return cls(value["ids"], value["places"], value["log_mu"], sets, value["kinds"])


def log_probability(
    logits: np.ndarray[Any, np.dtype[np.float32]], token: int, allowed: Allowed, temperature: float
) -> float:
    """log of the probability of `token` among the allowed ones.

    Drawing again under a mask after a miss, as the decoder does, is drawing from the distribution that the mask leaves:
    P(t) = p(t) + p(not allowed) p(t) / p(allowed) = p(t) / p(allowed).
    """
    import numpy as np

    only, forbidden = allowed
    if only is not None:
        values = logits[sorted(only)]
    else:
        values = logits.copy()
        values[sorted(forbidden)] = -np.inf
    scaled = values.astype(np.float64) / (temperature or 1.0)
    highest = scaled.max()
    return float(logits[token] / (temperature or 1.0) - highest - np.log(np.exp(scaled - highest).sum()))
