"""The vocabulary of a GGUF file through llama.cpp's own functions."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any

from runtime.engine.llama.library import library
from runtime.engine.spelling import apart, is_marker, marker_pattern

_PIECE_BYTES = 64


class LlamaVocabulary:
    """Tokenizer of one loaded model; see `runtime.engine.protocol.Vocabulary` for the contract."""

    def __init__(
        self, handle: Any, *, space_prefix: bool, roles: Mapping[str, str] | None = None, template: str = ""
    ) -> None:
        """
        Args:
            handle: `llama_vocab` pointer; the model it belongs to must outlive this object.
            space_prefix: the file's `tokenizer.ggml.add_space_prefix`.
            roles: block token to the token of this vocabulary that plays its role, where it is another one.
            template: the file's chat template; what it delimits with, no content can spell.
        """
        self._lib = library()
        self._handle = handle
        self.space_prefix = space_prefix
        self._roles = dict(roles or {})
        self.size: int = self._lib.llama_vocab_n_tokens(handle)
        self._pieces: dict[int, bytes] = {}
        self._reserved: dict[int, bool] = {}
        self._spellings: set[str] = set()
        self._pattern: re.Pattern[str] | None = None
        if template:
            self._reserve(token for token in set(self.tokenize(template, special=True)) if is_marker(self.name(token)))

    @property
    def bos(self) -> int | None:
        """The token that begins every prompt, or None."""
        if not self._lib.llama_vocab_get_add_bos(self._handle):
            return None
        token = int(self._lib.llama_vocab_bos(self._handle))
        return token if token >= 0 else None

    def encode(self, text: str) -> list[int]:
        """Token ids of `text` as content: no control, end-of-generation or other reserved id comes out.

        With special parsing off, llama.cpp leaves CONTROL tokens alone but still matches USER_DEFINED ones, whatever
        spells them. A reserved spelling is therefore tokenized in two halves, which cannot match it.
        """
        pieces = apart(text, self._pattern)
        if len(pieces) > 1:
            return [token for piece in pieces for token in self.encode(piece)]
        if not text:
            return []
        ids = self.tokenize(text, special=False)
        reserved = self._reserved
        for token in ids:
            if reserved[token] if token in reserved else self._look_at(token):
                return self._encode_around(text, self.name(token))
        return ids

    def reserve(self, spellings: Iterable[str]) -> None:
        """Let no content spell these any more; those that are no token of their own are left alone."""
        self._reserve(token for spelling in spellings if (token := self.control_id(spelling)) is not None)

    def _reserve(self, tokens: Iterable[int]) -> None:
        # llama.cpp never matches a CONTROL token in content: only the others are looked for in it.
        found = {self.name(token) for token in tokens if self._is_user_defined(token)}
        if not found <= self._spellings:
            self._spellings |= found
            self._pattern = marker_pattern(self._spellings)

    def _is_user_defined(self, token: int) -> bool:
        return bool(self._lib.llama_vocab_get_attr(self._handle, token) & self._lib.LLAMA_TOKEN_ATTR_USER_DEFINED)

    def _encode_around(self, text: str, spelling: str) -> list[int]:
        middle = len(spelling) // 2
        if middle == 0 or spelling not in text:
            # Nothing to halve: drop the token rather than let content end a block.
            return [token for token in self.tokenize(text, special=False) if not self._look_at(token)]
        halves = self.encode(spelling[:middle]) + self.encode(spelling[middle:])
        result: list[int] = []
        for number, part in enumerate(text.split(spelling)):
            result += (halves if number else []) + self.encode(part)
        return result

    def tokenize(self, text: str, *, special: bool) -> list[int]:
        """llama.cpp's own ids of `text`; `special`: whether spellings of control tokens become them."""
        # Lone surrogates can stand in a question read from JSON; UTF-8 has no form for them.
        data = text.encode("utf-8", "replace")
        room = len(data) + 8
        buffer = (ctypes.c_int32 * room)()
        count = self._lib.llama_tokenize(self._handle, data, len(data), buffer, room, False, special)
        if count < 0:
            buffer = (ctypes.c_int32 * -count)()
            count = self._lib.llama_tokenize(self._handle, data, len(data), buffer, -count, False, special)
        return buffer[:count]

    def _look_at(self, token: int) -> bool:
        known = self._reserved.get(token)
        if known is None:
            known = self._reserved[token] = bool(
                self._lib.llama_vocab_is_control(self._handle, token)
                or self._lib.llama_vocab_is_eog(self._handle, token)
            )
        return known

    def name(self, token: int) -> str:
        """The token as the file spells it (`▁the`, `<|text|>`, `<0x0A>`)."""
        text = self._lib.llama_vocab_get_text(self._handle, token)
        return (text or b"").decode("utf-8", "replace")

    def piece(self, token: int) -> bytes:
        """The bytes a token stands for; control tokens stand for none.

        llama-cpp-python's own detokenizer uses a 32-byte buffer and silently drops longer tokens (its issue 2362),
        runs of 35 spaces among them; here the call is repeated with the size it asks for.
        """
        piece = self._pieces.get(token)
        if piece is None:
            buffer = ctypes.create_string_buffer(_PIECE_BYTES)
            count = self._lib.llama_token_to_piece(self._handle, token, buffer, _PIECE_BYTES, 0, False)
            if count < 0:
                buffer = ctypes.create_string_buffer(-count)
                count = self._lib.llama_token_to_piece(self._handle, token, buffer, -count, 0, False)
            piece = self._pieces[token] = buffer.raw[:count]
        return piece

    def control_id(self, name: str) -> int | None:
        """The id of the token `name`, if the file marks it CONTROL or USER_DEFINED, else None.

        What a dialect writes by id it also names to `reserve`, so that no content can spell it.
        """
        name = self._roles.get(name, name)
        ids = self.tokenize(name, special=True)
        # A space prefix may stand before it; the name itself must be exactly one token.
        found = [token for token in ids if self.name(token) == name]
        if len(found) != 1:
            return None
        token = found[0]
        marked = self._lib.llama_vocab_is_control(self._handle, token) or self._is_user_defined(token)
        return token if marked else None

    def is_end(self, token: int) -> bool:
        """Whether `token` ends generation."""
        return bool(self._lib.llama_vocab_is_eog(self._handle, token))

    @cached_property
    def ends(self) -> frozenset[int]:
        """All tokens that end generation."""
        return frozenset(token for token in range(self.size) if self.is_end(token))
