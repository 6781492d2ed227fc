"""Rows to segments and segments to token ids, the same way for every tokenizer and every dialect."""

from __future__ import annotations

import weakref
from collections.abc import Mapping, Sequence
from typing import Any

from qlora.dialects import dialect_name, end_of_answer, fitted, native_segments
from qlora.vocabulary import TokenizerVocabulary, bos_prefix, template_of
from runtime.errors import ModelError
from runtime.lce import CONTROL_TOKENS, END_OF_MESSAGE, ROLES, Segment, segments

ROLES_KEY = "mathcoder_control_tokens"
"""Where `tokenizer_config.json` says which token of the base plays which role: `{"text": "<|im_start|>", ...}`."""

UNLEARNED = 1.0
"""Mean loss of the control tokens, in nats, above which a model does not know when to open and end blocks. A choice at
random between the two or three that may come costs less; after some hundred rows of training it is below 0.1."""


def unlearned(control_loss: float | None) -> str | None:
    """What a mean loss of the control tokens says of a model that did not learn them, else None."""
    if control_loss is None or control_loss <= UNLEARNED:
        return None
    return (
        f"the control tokens were not learned (loss {control_loss:.1f}, below 0.1 is usual), so the model will not "
        "open or end its blocks; train longer, on more rows or for more steps"
    )


class SegmentTokenizer:
    """Segments of rows and their token ids, for one tokenizer at one size of its vocabulary.

    Attributes:
        vocabulary: the tokenizer as the solver's vocabulary.
        dialect: what the rows are rendered in; None: the block format.
        control: id of each of the eight control tokens, by name; empty in another dialect.
        prefix: what stands before every row: `[bos]` where the base's tokenizer adds it, else `[]`.

    Raises:
        ModelError: the tokenizer is not a fast one, or lacks a control token.
    """

    def __init__(self, tokenizer: Any) -> None:
        if getattr(tokenizer, "backend_tokenizer", None) is None:
            raise ModelError(
                f"{type(tokenizer).__name__} is not a fast tokenizer (no offsets, no batches)",
                "rows cannot be tokenized segment by segment",
                "use a base whose folder has a tokenizer.json, or convert its tokenizer with transformers",
            )
        name = dialect_name(tokenizer)
        # An export in the block format brings its own template; an adapter alone, and other dialects, leave the base's.
        keeps_template = name != "lce" or ROLES_KEY in tokenizer.init_kwargs
        template = template_of(tokenizer) if keeps_template else ""
        self.vocabulary = TokenizerVocabulary(tokenizer, control_names(tokenizer), template=template)
        self.prefix = bos_prefix(tokenizer)
        self.control: dict[str, int] = {}
        self.dialect = None if name == "lce" else fitted(name, tokenizer, self.vocabulary)
        if self.dialect is None:
            self.control = _control_tokens(tokenizer)

    def segments(self, messages: Sequence[Mapping[str, Any]]) -> list[Segment]:
        """The segments of a row's messages, in order."""
        if self.dialect is None:
            return segments(messages)
        return native_segments(self.dialect, self.vocabulary, messages)

    @property
    def end(self) -> str:
        """The token that ends an answer, by its name in the vocabulary."""
        if self.dialect is None:
            return END_OF_MESSAGE
        return end_of_answer(self.dialect, self.vocabulary)

    def ids(self, segment: Segment) -> list[int]:
        """Token ids of one segment; a control segment is exactly one id."""
        return [self.id_of(segment.text)] if segment.is_control else self.vocabulary.encode(segment.text)

    def id_of(self, name: str) -> int:
        """The id of a control segment."""
        if self.dialect is None:
            return self.control[name]
        token = self.vocabulary.control_id(name)
        assert token is not None, name
        return token

    def contents(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of many content texts at once (the tokenizer's own threads)."""
        return self.vocabulary.contents(texts)


def _control_tokens(tokenizer: Any) -> dict[str, int]:
    vocabulary, names = tokenizer.get_vocab(), control_names(tokenizer)
    if missing := [token for token in names.values() if token not in vocabulary]:
        raise ModelError(
            f"the tokenizer lacks the control tokens {' '.join(missing)}",
            "rows cannot be rendered",
            "add them with qlora.tokens.add_control_tokens(tokenizer)",
        )
    return {token: vocabulary[name] for token, name in names.items()}


def segment_tokenizer(tokenizer: Any) -> SegmentTokenizer:
    """The `SegmentTokenizer` of `tokenizer`, built once per size of its vocabulary and dialect."""
    key = (len(tokenizer), dialect_name(tokenizer))
    known = _BUILT.get(tokenizer)
    if known is None or known[0] != key:
        known = (key, SegmentTokenizer(tokenizer))
        _BUILT[tokenizer] = known
    return known[1]


_BUILT: weakref.WeakKeyDictionary[Any, tuple[tuple[int, str], SegmentTokenizer]] = weakref.WeakKeyDictionary()


def add_control_tokens(tokenizer: Any) -> list[int]:
    """Add the eight control tokens to `tokenizer` where it lacks them.

    Returns:
        The ids of all eight, in the order of `CONTROL_TOKENS`.
    """
    if getattr(tokenizer, "init_kwargs", {}).get(ROLES_KEY):
        return list(tokenizer.convert_tokens_to_ids(list(control_names(tokenizer).values())))
    from tokenizers import AddedToken

    tokenizer.add_tokens([AddedToken(token, special=True, normalized=False) for token in CONTROL_TOKENS], True)
    return list(tokenizer.convert_tokens_to_ids(list(CONTROL_TOKENS)))


def control_names(tokenizer: Any) -> dict[str, str]:
    """Each control token to the token of the vocabulary that plays its role: itself, where it was added."""
    reused = getattr(tokenizer, "init_kwargs", {}).get(ROLES_KEY) or {}
    return {token: str(reused.get(role, token)) for role, token in ROLES.items()}


def reuse_control_tokens(tokenizer: Any, tokens: dict[str, str], ends: Sequence[int] = ()) -> list[int]:
    """Let tokens that `tokenizer` has play the eight roles; it remembers this when it is saved.

    Args:
        tokens: token by role (`LoraSettings.reuse_tokens`).
        ends: ids that llama.cpp takes as the end of generation in the base's file.

    Returns:
        The ids of all eight, in the order of `CONTROL_TOKENS`.

    Raises:
        ModelError: a token is not there, is no control token, or ends generation without being the end of a message.
    """
    special = {token.content for token in tokenizer.added_tokens_decoder.values() if token.special}
    vocabulary = tokenizer.get_vocab()
    for role, name in tokens.items():
        problem = None
        if name not in vocabulary:
            problem = "the base has no such token"
        elif name not in special:
            problem = "it is not a control token of the base, so that text could spell it"
        elif ROLES[role] != END_OF_MESSAGE and (vocabulary[name] in ends or name == tokenizer.eos_token):
            problem = "it ends generation, and only the end of a message may"
        elif ROLES[role] == END_OF_MESSAGE and vocabulary[name] not in ends and name != tokenizer.eos_token:
            problem = "it does not end generation, and the end of a message has to"
        if problem:
            raise ModelError(
                f"lora.reuse_tokens gives the role {role} to {name}: {problem}",
                "nothing was trained",
                f"control tokens of this base: {', '.join(sorted(special))}",
            )
    tokenizer.init_kwargs[ROLES_KEY] = dict(tokens)
    return [vocabulary[control_names(tokenizer)[token]] for token in CONTROL_TOKENS]
