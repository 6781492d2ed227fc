"""Segments to token ids, the same way for every tokenizer.

Content is tokenized by a private copy of the tokenizer's own rules with three things switched off: special-token
parsing (text that spells a control token stays text), the BOS and EOS of its template, and the space that
SentencePiece-style tokenizers put before a text. Without the last, every block would begin with a space that is in no
row, and labels would not decode to the row. The runtime does the same through llama.cpp (`add_space_prefix` false).
"""

from __future__ import annotations

import json
import weakref
from collections.abc import Iterable, Sequence
from typing import Any

from runtime.errors import ModelError
from runtime.lce import CONTROL_TOKENS, END_OF_MESSAGE, ROLES, Segment

ROLES_KEY = "mathcoder_control_tokens"
"""Where `tokenizer_config.json` says which token of the base plays which role: `{"text": "<|im_start|>", ...}`."""

ENDS_KEY = "mathcoder_ends"
"""Where `tokenizer_config.json` of a base made from a GGUF lists the ids that end generation there."""

UNLEARNED = 1.0
"""Mean loss of the control tokens, in nats, above which a model does not know when to open and end blocks. A choice at
random between the two or three that may come costs less; after some hundred rows of training it is below 0.1."""


def unlearned(control_loss: float | None) -> str | None:
    """What a mean loss of the control tokens says about a model that did not learn them; None where it did."""
    if control_loss is None or control_loss <= UNLEARNED:
        return None
    return (
        f"the control tokens were not learned (loss {control_loss:.1f}, below 0.1 is usual), so the model will not "
        "open or end its blocks; train longer, on more rows or for more steps"
    )


class SegmentTokenizer:
    """Token ids of segments, for one tokenizer at one size of its vocabulary.

    Attributes:
        control: id of each of the eight control tokens, by name.
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
        vocabulary = tokenizer.get_vocab()
        names = control_names(tokenizer)
        missing = [token for token in names.values() if token not in vocabulary]
        if missing:
            raise ModelError(
                f"the tokenizer lacks the control tokens {' '.join(missing)}",
                "rows cannot be rendered",
                "add them with qlora.tokens.add_control_tokens(tokenizer)",
            )
        self.control: dict[str, int] = {token: vocabulary[name] for token, name in names.items()}
        self.prefix = bos_prefix(tokenizer)
        self._content = _content_tokenizer(tokenizer)

    def ids(self, segment: Segment) -> list[int]:
        """Token ids of one segment; a control segment is exactly one id."""
        if segment.is_control:
            return [self.control[segment.text]]
        return self._content.encode(segment.text, add_special_tokens=False).ids

    def contents(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of many content texts at once (the tokenizer's own threads)."""
        encode = getattr(self._content, "encode_batch_fast", self._content.encode_batch)
        return [encoding.ids for encoding in encode(list(texts), add_special_tokens=False)]


def segment_tokenizer(tokenizer: Any) -> SegmentTokenizer:
    """The `SegmentTokenizer` of `tokenizer`, built once per size of its vocabulary."""
    size = len(tokenizer)
    known = _BUILT.get(tokenizer)
    if known is None or known[0] != size:
        known = (size, SegmentTokenizer(tokenizer))
        _BUILT[tokenizer] = known
    return known[1]


_BUILT: weakref.WeakKeyDictionary[Any, tuple[int, SegmentTokenizer]] = weakref.WeakKeyDictionary()


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
            problem = "it is no control token of the base, so that text could spell it"
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


def bos_prefix(tokenizer: Any) -> list[int]:
    """`[bos_token_id]` if the tokenizer itself begins a text with it, else `[]`."""
    bos = tokenizer.bos_token_id
    # Asked of the tokenizer, not of a flag: add_bos_token, the template and the class disagree in published models.
    ids = tokenizer("1").input_ids
    return [bos] if bos is not None and ids and ids[0] == bos else []


def _content_tokenizer(tokenizer: Any) -> Any:
    from tokenizers import Tokenizer

    state = json.loads(tokenizer.backend_tokenizer.to_str())
    state["normalizer"] = _without_prefix(state.get("normalizer"))
    state["pre_tokenizer"] = _without_prefix(state.get("pre_tokenizer"))
    state.update(post_processor=None, truncation=None, padding=None)
    content = Tokenizer.from_str(json.dumps(state, ensure_ascii=False))
    content.encode_special_tokens = True
    return content


def _without_prefix(node: dict[str, Any] | None) -> dict[str, Any] | None:
    """A normalizer or pre-tokenizer description without the part that puts a space before the text."""
    if node is None or node["type"] == "Prepend":
        return None
    node = dict(node)
    if node["type"] == "Metaspace":
        node["prepend_scheme"] = "never"
        node.pop("add_prefix_space", None)
    elif node["type"] == "ByteLevel":
        node["add_prefix_space"] = False
    elif node["type"] == "Sequence":
        key = "normalizers" if "normalizers" in node else "pretokenizers"
        children: Iterable[dict[str, Any] | None] = (_without_prefix(child) for child in node[key])
        node[key] = [child for child in children if child is not None]
    return node
