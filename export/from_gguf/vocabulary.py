"""The tokenizer of a GGUF file, rebuilt so that its token ids equal llama.cpp's.

The file says how it splits text by a name alone (`tokenizer.ggml.pre`); llama.cpp has the rule behind each name in
`src/llama-vocab.cpp`. Here are the rules of the names whose rebuilding was held against llama.cpp, on the strings that
it ships beside its own vocabularies among others. Every other name is refused: a tokenizer that differs on one word in
a thousand would train a model that llama.cpp then asks something else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from export.gguf.file import CONTROL, USER_DEFINED, GgufFile
from qlora.vocabulary import ENDS_KEY
from runtime.errors import ModelError

_GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)"
_CONTRACTIONS = r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])"
_WORDS = _CONTRACTIONS + (r"|[^\r\n\p{L}\p{N}]?\p{L}+|DIGITS| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
_CASED = (
    "A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-ώᾀ"
    "-ᾴᾶ-ᾼιῂ-ῄῆ-ῌῐ-ΐῖ-Ίῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤΩℨK-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰"
    "-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃"
)
"""Cased letters as DeepSeek's tokenizer lists them, which is an older Unicode's list."""
_HAN = "[一-龥\u0800-一가-\ud7ff]+"


@dataclass(frozen=True)
class PreTokenizer:
    """How a byte-level vocabulary splits text.

    Attributes:
        splits: regular expressions, each applied to the pieces that the one before left.
        whole_words: whether a piece that is a token is taken as it is, whatever the merges say.
    """

    splits: tuple[str, ...]
    whole_words: bool = False


_DIGIT_AND_GPT2 = PreTokenizer((r"\p{N}", _GPT2))
_LLAMA3 = PreTokenizer((_WORDS.replace("DIGITS", r"\p{N}{1,3}"),), whole_words=True)
_QWEN2 = PreTokenizer((_WORDS.replace("DIGITS", r"\p{N}"),))
PRE_TOKENIZERS: dict[str, PreTokenizer] = {
    **dict.fromkeys(("smollm", "starcoder", "refact", "command-r", "codeshell", "mellum2"), _DIGIT_AND_GPT2),
    **dict.fromkeys(("gpt-2", "phi-2", "mpt", "olmo"), PreTokenizer((_GPT2,))),
    **dict.fromkeys(("llama-bpe", "llama3", "llama-v3", "falcon3"), _LLAMA3),
    **dict.fromkeys(("dbrx", "smaug-bpe"), PreTokenizer(_LLAMA3.splits)),
    **dict.fromkeys(("qwen2", "deepseek-r1-qwen", "stablelm2"), _QWEN2),
    # Without the ideographic space, which is white space to llama.cpp before it is punctuation.
    "deepseek-llm": PreTokenizer(
        ("[\r\n]", rf"\s?[{_CASED}]+", r"\s?[!-/:-~！-／：-～‘-‟、-。]+", r"\s+$", _HAN, r"\p{N}+")
    ),
    "deepseek-coder": PreTokenizer(("[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", _HAN, r"\p{N}")),
}
"""llama.cpp's name -> its rule (`llm_tokenizer_bpe` of `src/llama-vocab.cpp`)."""


def tokenizer_of(file: GgufFile, ends: tuple[int, ...] = ()) -> Any:
    """A fast transformers tokenizer with the ids of `file`'s vocabulary.

    Args:
        file: the header.
        ends: ids that llama.cpp takes as the end of generation; the tokenizer remembers them.

    Raises:
        ModelError: there is no vocabulary, or it is of a kind that is not rebuilt.
    """
    from transformers import PreTrainedTokenizerFast

    kind = file.metadata.get("tokenizer.ggml.model")
    tokens = file.tokens
    if not tokens:
        raise ModelError(f"{file.path} holds no vocabulary", "nothing can be tokenized for it", "give a whole model")
    if kind == "gpt2":
        backend = _byte_level(file, tokens)
    elif kind == "llama":
        backend = _sentencepiece(file, tokens)
    else:
        raise ModelError(
            f"{file.path} has a tokenizer of the kind {kind}",
            "it is not rebuilt here, and a guess would change token ids",
            "kinds that are rebuilt: gpt2 (byte-level BPE), llama (SentencePiece BPE)",
        )
    _add_tokens(file, tokens, backend)
    special = {
        f"{name}_token": tokens[index]
        for name, key in (("bos", "bos"), ("eos", "eos"), ("unk", "unknown"), ("pad", "padding"))
        if isinstance(index := file.metadata.get(f"tokenizer.ggml.{key}_token_id"), int) and index < len(tokens)
    }
    if adds_bos(file):
        _begin_with(backend, special.get("bos_token"), tokens)
    if template := file.metadata.get("tokenizer.chat_template"):
        special["chat_template"] = str(template)
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, clean_up_tokenization_spaces=False, **special, **{ENDS_KEY: list(ends)}
    )


def adds_bos(file: GgufFile) -> bool:
    """Whether llama.cpp puts the beginning-of-sequence token before a text."""
    said = file.metadata.get("tokenizer.ggml.add_bos_token")
    if said is not None:
        return bool(said)
    # llama.cpp's own defaults (llama_vocab::impl::load).
    pre = file.metadata.get("tokenizer.ggml.pre")
    return file.metadata.get("tokenizer.ggml.model") == "llama" or pre in ("llama-bpe", "llama3", "llama-v3", "falcon3")


def adds_space(file: GgufFile) -> bool:
    """Whether llama.cpp puts a space before a text.

    SentencePiece vocabularies do unless the file says no.
    """
    said = file.metadata.get("tokenizer.ggml.add_space_prefix")
    return file.metadata.get("tokenizer.ggml.model") == "llama" if said is None else bool(said)


def _byte_level(file: GgufFile, tokens: list[str]) -> Any:
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers

    name = file.metadata.get("tokenizer.ggml.pre")
    rule = PRE_TOKENIZERS.get(str(name))
    if rule is None:
        raise ModelError(
            f"{file.path} splits text by the pre-tokenizer {name or 'default (the file names none)'}",
            "how to rebuild it exactly is not known here, and a guess would change token ids",
            f"known: {', '.join(PRE_TOKENIZERS)}; or train on the model's Hugging Face folder",
        )
    merges = [_pair(merge) for merge in file.metadata.get("tokenizer.ggml.merges", [])]
    known = {token: index for index, token in enumerate(tokens)}
    # A merge into something that is no token cannot be taken by llama.cpp either (its result has no id).
    merges = [pair for pair in merges if pair[0] in known and pair[1] in known and "".join(pair) in known]
    backend = Tokenizer(models.BPE(vocab=known, merges=merges, fuse_unk=False, ignore_merges=rule.whole_words))
    steps: list[Any] = [pre_tokenizers.Split(Regex(split), behavior="isolated") for split in rule.splits]
    steps.append(pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False))
    if absent := "".join(sorted(set(pre_tokenizers.ByteLevel.alphabet()) - known.keys())):
        # Bytes without a token of their own disappear in both; here also from between two that would then be merged.
        steps.append(pre_tokenizers.Split(Regex(f"[{absent}]"), behavior="isolated"))
    backend.pre_tokenizer = pre_tokenizers.Sequence(steps)
    backend.decoder = decoders.ByteLevel()
    return backend


def _pair(merge: str) -> tuple[str, str]:
    # A space may begin the first part; llama.cpp looks for one from the second character on.
    cut = merge.find(" ", 1)
    return merge[:cut], merge[cut + 1 :]


def _sentencepiece(file: GgufFile, tokens: list[str]) -> Any:
    """A BPE by scores: the pair is merged whose result has the highest score, the leftmost of equal ones."""
    from tokenizers import Tokenizer, decoders, models, normalizers

    scores = file.metadata.get("tokenizer.ggml.scores")
    if not scores or len(scores) != len(tokens):
        raise ModelError(
            f"{file.path} has a SentencePiece vocabulary without scores", "its merges are not known", "convert it again"
        )
    known = {token: index for index, token in enumerate(tokens)}
    pairs = []
    for token, index in known.items():
        for cut in range(1, len(token)):
            if token[:cut] in known and token[cut:] in known:
                pairs.append((-scores[index], index, known[token[:cut]], token[:cut], token[cut:]))
    merges = [(left, right) for *_, left, right in sorted(pairs)]
    unknown = file.metadata.get("tokenizer.ggml.unknown_token_id", 0)
    backend = Tokenizer(
        models.BPE(vocab=known, merges=merges, unk_token=tokens[unknown], fuse_unk=True, byte_fallback=True)
    )
    steps: list[Any] = [normalizers.Replace(" ", "▁")]
    if adds_space(file):
        steps.insert(0, normalizers.Prepend("▁"))
    backend.normalizer = normalizers.Sequence(steps)
    backend.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    return backend


def _add_tokens(file: GgufFile, tokens: list[str], backend: Any) -> None:
    from tokenizers import AddedToken

    added = [
        AddedToken(token, special=kind == CONTROL, normalized=False)
        for index, token in enumerate(tokens)
        if (kind := file.token_type(index)) in (CONTROL, USER_DEFINED)
    ]
    backend.add_tokens(added)


def _begin_with(backend: Any, bos: str | None, tokens: list[str]) -> None:
    from tokenizers import processors

    if bos is not None:
        backend.post_processor = processors.TemplateProcessing(
            single=f"{bos} $A", pair=f"{bos} $A {bos} $B", special_tokens=[(bos, tokens.index(bos))]
        )
