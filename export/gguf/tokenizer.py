"""Tokenizer files in the form in which llama.cpp's converter loses nothing.

Four things go wrong by themselves, each seen: without `tokenizer.model` the scores of a SentencePiece vocabulary become
-1000; with it, tokens that were added later turn into `[PAD…]`; only `added_tokens_decoder` in `tokenizer_config.json`
makes them CONTROL; and unless `add_prefix_space` is false, llama.cpp puts a space after every control token. Training
tokenizes blocks without that space whatever the base does (`qlora.tokens`), so every exported file says false.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from export.gguf.template import chat_template
from export.merge.vocabulary import piece_ids, read_tokenizer_json, vocabulary_size
from qlora.dialects import dialect_name
from qlora.tokens import control_names, segment_tokenizer
from qlora.vocabulary import bos_prefix, template_of
from runtime.errors import ModelError
from runtime.files import write_text
from runtime.lce import CONTROL_TOKENS, END_OF_MESSAGE

_COPIED = ("special_tokens_map.json", "vocab.json", "merges.txt", "added_tokens.json")

_OTHER_ENDS = ("<|endoftext|>", "<|end_of_text|>", "</s>", "<eos>")
"""Ends of a text that a base has beside an end of a turn."""

_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|DIGITS| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
KNOWN_SPLITS = {
    _SPLIT.replace("DIGITS", r"\p{N}"): "qwen2",
    _SPLIT.replace("DIGITS", r"\p{N}{1,3}"): "llama-bpe",
}
"""Splitting expression of a byte-level tokenizer -> llama.cpp's name for it."""


@dataclass(frozen=True)
class TokenizerFacts:
    """What the GGUF has to carry.

    Attributes:
        kind: `spm` (SentencePiece BPE with byte fallback) or `bpe` (byte-level BPE).
        control: id of each control token.
        names: the token of the vocabulary that plays each control token's role (itself, where it was added).
            Both are empty where the model was trained in another dialect than the block format.
        dialect: what it was trained in.
        template: the chat template that the file gets.
        end: the token that ends an answer.
        bos, eos: the base's own, or None. An end that is one of the control tokens (GLM-4 ends a turn with `<|user|>`)
            gives way to another end of the base, or to `<|endofmessage|>`.
        adds_bos: whether the tokenizer puts BOS first.
        pre_tokenizer: llama.cpp's name for how a byte-level BPE splits text, as far as it is recognised.
        size: number of token ids.
    """

    kind: str
    control: dict[str, int]
    names: dict[str, str]
    dialect: str
    template: str
    end: int
    bos: int | None
    eos: int | None
    adds_bos: bool
    pre_tokenizer: str | None
    size: int

    @property
    def end_of_generation(self) -> list[int]:
        """Ids that end generation: the end of an answer and the base's own end of sequence."""
        return sorted({self.end, *([] if self.eos is None else [self.eos])})


def tokenizer_facts(folder: Path, tokenizer: Any) -> TokenizerFacts:
    """What `tokenizer`, loaded from `folder`, does.

    Raises:
        ModelError: it lacks control tokens, or is of a kind GGUF cannot hold.
    """
    content = read_tokenizer_json(folder)
    vocabulary, dialect = tokenizer.get_vocab(), dialect_name(tokenizer)
    names = control_names(tokenizer) if dialect == "lce" else {}
    if missing := [name for name in names.values() if name not in vocabulary]:
        raise ModelError(
            f"the tokenizer in {folder} lacks {', '.join(missing)}",
            "the model could not be told where blocks begin and end",
            "export the folder that training wrote, with its tokenizer",
        )
    model = content["model"]
    if model["type"] != "BPE":
        raise ModelError(
            f"the tokenizer in {folder} is of type {model['type']}",
            "only BPE tokenizers can be exported to GGUF here",
            "choose another base",
        )
    adds_bos = bool(bos_prefix(tokenizer))
    return TokenizerFacts(
        kind="spm" if model.get("byte_fallback") else "bpe",
        control={token: vocabulary[name] for token, name in names.items()},
        names=names,
        dialect=dialect,
        template=chat_template(adds_bos=adds_bos, names=names) if dialect == "lce" else template_of(tokenizer),
        end=vocabulary[names[END_OF_MESSAGE] if dialect == "lce" else segment_tokenizer(tokenizer).end],
        bos=tokenizer.bos_token_id,
        eos=_end_of_sequence(tokenizer, vocabulary) if dialect == "lce" else tokenizer.eos_token_id,
        adds_bos=adds_bos,
        pre_tokenizer=_recognise_split(json.loads(tokenizer.backend_tokenizer.to_str())),
        size=vocabulary_size(folder),
    )


def _end_of_sequence(tokenizer: Any, vocabulary: dict[str, int]) -> int | None:
    own: int | None = tokenizer.eos_token_id
    if own is None or tokenizer.convert_ids_to_tokens(own) not in CONTROL_TOKENS:
        return own
    return next((vocabulary[token] for token in _OTHER_ENDS if token in vocabulary), vocabulary[END_OF_MESSAGE])


def _recognise_split(content: dict[str, Any]) -> str | None:
    steps = content.get("pre_tokenizer") or {}
    steps = steps.get("pretokenizers", [steps])
    byte_level = next((step for step in steps if step.get("type") == "ByteLevel"), None)
    if byte_level is None:
        return None
    splits = [step["pattern"].get("Regex") for step in steps if step.get("type") == "Split"]
    if not splits and byte_level.get("use_regex", True):
        return "gpt-2" if len(steps) == 1 else None
    return KNOWN_SPLITS.get(splits[0]) if len(splits) == 1 and len(steps) == 2 else None


def write_tokenizer(folder: Path, target: Path, facts: TokenizerFacts) -> None:
    """Write the tokenizer files of `folder` into `target` so that the converter keeps every token."""
    content = read_tokenizer_json(folder)
    for name in _COPIED:
        if (folder / name).is_file():
            shutil.copyfile(folder / name, target / name)
    for entry in content.get("added_tokens", []):
        if entry["content"] in facts.names.values():
            entry["special"] = True
    write_text(target / "tokenizer.json", json.dumps(content, ensure_ascii=False))
    config_file = folder / "tokenizer_config.json"
    config = json.loads(config_file.read_text(encoding="utf-8")) if config_file.is_file() else {}
    config.pop("chat_template", None)
    config["added_tokens_decoder"] = {
        str(entry["id"]): {key: value for key, value in entry.items() if key != "id"}
        for entry in content.get("added_tokens", [])
    }
    config["add_bos_token"] = facts.adds_bos
    if facts.kind == "spm":
        config["add_prefix_space"] = False
        write_sentencepiece(folder, target, content)
    write_text(target / "tokenizer_config.json", json.dumps(config, indent=2, ensure_ascii=False))
    if facts.template:
        write_text(target / "chat_template.jinja", facts.template)


def write_sentencepiece(folder: Path, target: Path, content: dict[str, Any]) -> None:
    """Write `tokenizer.model`: the base's own if it agrees with `tokenizer.json`, else one made of that."""
    own = folder / "tokenizer.model"
    vocabulary = piece_ids(content)
    if own.is_file() and _agrees(own, vocabulary):
        shutil.copyfile(own, target / "tokenizer.model")
    else:
        (target / "tokenizer.model").write_bytes(_sentencepiece_from_json(content, vocabulary))


def _agrees(file: Path, vocabulary: dict[str, int]) -> bool:
    from sentencepiece import SentencePieceProcessor

    try:
        model = SentencePieceProcessor(model_file=str(file))
    except (RuntimeError, OSError) as error:
        raise ModelError(
            f"{file} is not a SentencePiece model ({error})", "nothing was exported", "copy it again"
        ) from error
    return all(vocabulary.get(model.id_to_piece(index)) == index for index in range(model.get_piece_size()))


def _sentencepiece_from_json(content: dict[str, Any], vocabulary: dict[str, int]) -> bytes:
    """A SentencePiece model with the vocabulary and the merge order of `tokenizer.json`.

    A SentencePiece BPE merges the pair whose result has the highest score, so a piece's score is minus the rank of the
    first merge that makes it.
    """
    from sentencepiece import sentencepiece_model_pb2 as protocol

    rank: dict[str, int] = {}
    for merge in content["model"]["merges"]:
        piece = "".join(merge.split(" ") if isinstance(merge, str) else merge)
        rank.setdefault(piece, len(rank))
    special = {entry["id"] for entry in content.get("added_tokens", []) if entry.get("special")}
    types = protocol.ModelProto.SentencePiece
    model = protocol.ModelProto()
    for piece, index in sorted(vocabulary.items(), key=lambda item: item[1]):
        if index != len(model.pieces):
            raise ModelError(
                f"the vocabulary has no token with id {len(model.pieces)}",
                "it cannot be exported",
                "check tokenizer.json",
            )
        kind = types.NORMAL
        if piece == content["model"].get("unk_token"):
            kind = types.UNKNOWN
        elif len(piece) == 6 and piece.startswith("<0x") and piece.endswith(">"):
            kind = types.BYTE
        elif index in special:
            kind = types.CONTROL
        model.pieces.add(piece=piece, score=-float(rank.get(piece, len(rank) + index)), type=kind)
    model.trainer_spec.model_type = protocol.TrainerSpec.BPE
    model.trainer_spec.vocab_size = len(model.pieces)
    model.trainer_spec.byte_fallback = True
    model.trainer_spec.unk_id = vocabulary.get(content["model"].get("unk_token") or "<unk>", 0)
    model.normalizer_spec.name = "identity"
    model.normalizer_spec.add_dummy_prefix = False
    model.normalizer_spec.remove_extra_whitespaces = False
    return bytes(model.SerializeToString())
