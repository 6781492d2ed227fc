"""Token ids that the tokenizer in a folder knows, and that tokenizer as training loads it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from runtime.errors import ModelError


def read_tokenizer_json(folder: Path) -> dict[str, Any]:
    """`tokenizer.json` of a folder, made from `tokenizer.model` by transformers where only that is there.

    Raises:
        ModelError: it is broken.
    """
    file = folder / "tokenizer.json"
    try:
        if file.is_file():
            return dict(json.loads(file.read_text(encoding="utf-8")))
        return dict(json.loads(load_tokenizer(folder).backend_tokenizer.to_str()))
    except ValueError as error:
        raise ModelError(f"{file} is not a tokenizer ({error})", "nothing was exported", "save it again") from error


def piece_ids(content: dict[str, Any]) -> dict[str, int]:
    """`{piece: id}` of the model in a `tokenizer.json`, added tokens left out."""
    pieces = content["model"]["vocab"]
    if isinstance(pieces, dict):
        return pieces
    return {entry[0]: index for index, entry in enumerate(pieces)}


def vocabulary_size(folder: Path) -> int:
    """Number of token ids, added tokens included."""
    content = read_tokenizer_json(folder)
    return 1 + max([*piece_ids(content).values(), *(entry["id"] for entry in content.get("added_tokens", []))])


def load_tokenizer(folder: Path) -> Any:
    """The tokenizer of a folder, as training loads it.

    Raises:
        ModelError: transformers cannot load it.
    """
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(str(folder))
    except Exception as error:  # transformers raises whatever the file's parser raised
        raise ModelError(
            f"the tokenizer in {folder} does not load ({error})", "nothing was exported", "save it again"
        ) from error
