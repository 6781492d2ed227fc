"""Logits at every position of given tokens, for whoever compares models."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from runtime.engine.llama.decoder import LlamaDecoder
from runtime.errors import EngineError, InputError


class LogitsDecoder(LlamaDecoder):
    """A context of one slot that evaluates what it is given and draws nothing."""

    def __enter__(self) -> LogitsDecoder:
        return self

    def logits(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """float32 [tokens, vocabulary]: what the model predicts after each of `ids`.

        Raises:
            InputError: more tokens than the context holds.
            EngineError: llama.cpp cannot evaluate them.
        """
        if len(ids) > self.n_ctx:
            raise InputError(f"{len(ids)} tokens were given", f"the context holds {self.n_ctx}", "give fewer")
        self.lib.llama_memory_seq_rm(self.memory, 0, -1, -1)
        found = []
        for first in range(0, len(ids), self._batch_tokens):
            part = ids[first : first + self._batch_tokens]
            for place, token in enumerate(part):
                self._token[place], self._position[place], self._slot[place] = token, first + place, 0
                self._wanted[place] = 1
            self.batch.n_tokens = len(part)
            if code := self.lib.llama_decode(self.context, self.batch):
                raise EngineError(f"llama_decode failed with code {code}", "nothing was compared", "free memory")
            found += [self._logits(place).copy() for place in range(len(part))]
        return np.stack(found)
