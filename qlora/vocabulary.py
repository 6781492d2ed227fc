"""A fast tokenizer as the solver's vocabulary: ids as llama.cpp makes them, and tokens by name.

Content is tokenized by a private copy of the tokenizer's own rules with three things switched off: special-token
parsing (text that spells a control token stays text), the BOS and EOS of its template, and the space that
SentencePiece-style tokenizers put before a text. Without the last, every block would begin with a space that is in no
row, and labels would not decode to the row. The runtime does the same through llama.cpp (`add_space_prefix` false).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

from runtime.engine.spelling import apart, is_marker, marker_pattern
from runtime.lce import END_OF_MESSAGE

ENDS_KEY = "mathcoder_ends"
"""Where `tokenizer_config.json` of a base made from a GGUF lists the ids that end generation there."""
_ENDS = frozenset(
    "<|eot_id|> <|im_end|> <|end|> <|return|> <|call|> <|flush|> <|calls|> <end_of_turn> <|endoftext|> </s> <|eom_id|> "
    "<EOT> _<EOT> [EOT] [EOS] <|end_of_text|> <end_of_utterance> <eos> <turn|> <|tool_response> "
    "<｜end▁of▁sentence｜> [e~[".split()
)
"""Tokens that llama.cpp takes as the end of generation by their names (llama-vocab.cpp)."""
_ALWAYS_MATCHED = frozenset({"<|start|>", "<|channel|>", "<|message|>", "<|constrain|>"})
"""Tokens that it matches in any text whatever a file says."""
_HARMONY = frozenset({"<|return|>", "<|call|>", "<|end|>"})


class TokenizerVocabulary:
    """See `runtime.engine.protocol.Vocabulary` for the contract.

    Attributes:
        size: token ids, added tokens included.
        eos_name: the token that ends a text, as it is spelled; empty where the tokenizer has none.
    """

    space_prefix = False

    def __init__(self, tokenizer: Any, roles: Mapping[str, str] | None = None, *, template: str = "") -> None:
        """
        Args:
            tokenizer: a fast transformers tokenizer.
            roles: block token to the token that plays its role, where it is another one.
            template: the chat template that the model's file will have; what it delimits with, no content can spell.
        """
        self._roles = dict(roles or {})
        self.size = len(tokenizer)
        self._ids: dict[str, int] = tokenizer.get_vocab()
        self._names = {token: name for name, token in self._ids.items()}
        self._added = {token: str(added) for token, added in tokenizer.added_tokens_decoder.items()}
        self._special = self._special_ids(tokenizer)
        self._content = _content_tokenizer(tokenizer, self._special)
        self._bos: list[int] = bos_prefix(tokenizer)
        self._ends = {int(token) for token in tokenizer.init_kwargs.get(ENDS_KEY) or ()}
        self._eos: int | None = tokenizer.eos_token_id
        self.eos_name = str(tokenizer.eos_token or "")
        self._spellings = {name for name in self._matched if is_marker(name) and name in template}
        self._pattern = marker_pattern(self._spellings)
        decoder = json.dumps(json.loads(tokenizer.backend_tokenizer.to_str()).get("decoder"))
        self._byte_of = _byte_of_character() if '"ByteLevel"' in decoder else None

    def _special_ids(self, tokenizer: Any) -> set[int]:
        """Added tokens that llama.cpp will take as CONTROL."""
        special = {token for token, added in tokenizer.added_tokens_decoder.items() if added.special}
        if ENDS_KEY not in tokenizer.init_kwargs:
            # Its converter goes by the spelling, too; a base made from a GGUF has the types that the file gives.
            special |= {token for token, name in self._added.items() if _is_spelled_as_control(name)}
        special |= {token for token, name in self._added.items() if name in _ENDS}
        special -= {token for token, name in self._added.items() if name in _ALWAYS_MATCHED}
        return special | set(tokenizer.all_special_ids)

    @property
    def _matched(self) -> set[str]:
        """Added tokens that the tokenizer matches in any text."""
        return {name for token, name in self._added.items() if token not in self._special}

    @property
    def bos(self) -> int | None:
        """The token that begins every prompt, or None."""
        return self._bos[0] if self._bos else None

    def encode(self, text: str) -> list[int]:
        """Token ids of `text` as content: no control, end-of-generation or reserved id, whatever it spells."""
        return self.contents([text.encode("utf-8", "replace").decode()])[0] if text else []

    def contents(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of many content texts at once (the tokenizer's own threads)."""
        encode = getattr(self._content, "encode_batch_fast", self._content.encode_batch)
        ids = [encoding.ids for encoding in encode(list(texts), add_special_tokens=False)]
        if self._pattern is not None:
            for number, text in enumerate(texts):
                pieces = apart(text, self._pattern)
                if len(pieces) > 1:
                    parts = encode(pieces, add_special_tokens=False)
                    ids[number] = [token for part in parts for token in part.ids]
        return ids

    def reserve(self, spellings: Iterable[str]) -> None:
        """Let no content spell these any more; those that are no token of their own are left alone."""
        found = self._matched & set(spellings)
        if not found <= self._spellings:
            self._spellings |= found
            self._pattern = marker_pattern(self._spellings)

    @property
    def reserved(self) -> list[str]:
        """What content cannot spell beside control tokens, in order."""
        return sorted(self._spellings)

    def piece(self, token: int) -> bytes:
        """The bytes a token stands for; control tokens stand for none."""
        if token in self._special or token not in self._names:
            return b""
        if token in self._added:
            return self._added[token].encode()
        name = self._names[token]
        if self._byte_of is not None:
            return bytes(self._byte_of[character] for character in name)
        if len(name) == 6 and name.startswith("<0x") and name.endswith(">"):
            return bytes([int(name[3:5], 16)])
        return name.replace("▁", " ").encode()

    def control_id(self, name: str) -> int | None:
        """The id of the token `name`, if it is a control token or one that `reserve` can guard, else None."""
        token = self._ids.get(self._roles.get(name, name))
        return token if token in self._special or token in self._added else None

    @cached_property
    def ends(self) -> frozenset[int]:
        """All tokens that end generation."""
        names = _ENDS - ({"<|end|>"} if self._ids.keys() >= _HARMONY else set())
        known = {self._ids[name] for name in names if name in self._ids}
        own = {token for token in (self.control_id(END_OF_MESSAGE), self._eos) if token is not None}
        return frozenset(self._ends | known | own)

    def is_end(self, token: int) -> bool:
        """Whether `token` ends generation."""
        return token in self.ends


def template_of(tokenizer: Any) -> str:
    """The tokenizer's chat template, empty where it has none (or several)."""
    return tokenizer.chat_template if isinstance(tokenizer.chat_template, str) else ""


def _is_spelled_as_control(name: str) -> bool:
    # As `does_token_look_special` of llama.cpp's converter.
    marked = (name.startswith("<|") and name.endswith("|>")) or (name.startswith("<｜") and name.endswith("｜>"))
    return (
        marked or name in ("<pad>", "<mask>", "<2mass>", "[@BOS@]") or (name.startswith("<unused") and name[-1] == ">")
    )


def bos_prefix(tokenizer: Any) -> list[int]:
    """`[bos_token_id]` if the tokenizer itself begins a text with it, else `[]`."""
    bos = tokenizer.bos_token_id
    # Asked of the tokenizer, not of a flag: add_bos_token, the template and the class disagree in published models.
    ids = tokenizer("1").input_ids
    return [bos] if bos is not None and ids and ids[0] == bos else []


def _content_tokenizer(tokenizer: Any, special: set[int]) -> Any:
    from tokenizers import Tokenizer

    state = json.loads(tokenizer.backend_tokenizer.to_str())
    state["normalizer"] = _without_prefix(state.get("normalizer"))
    state["pre_tokenizer"] = _without_prefix(state.get("pre_tokenizer"))
    state.update(post_processor=None, truncation=None, padding=None)
    for entry in state.get("added_tokens", []):
        entry["special"] = entry["id"] in special
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


def _byte_of_character() -> dict[str, int]:
    """The byte behind each character of a byte-level vocabulary.

    Printable Latin-1 stands for itself, the rest, in order, for the characters from 256 on (Radford et al. 2019,
    GPT-2).
    """
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in set(printable)]
    return {chr(byte): byte for byte in printable} | {chr(256 + n): byte for n, byte in enumerate(others)}
