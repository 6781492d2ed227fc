"""Tiny random bases and tokenizers, made on the fly from text written here."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

WORDS = (
    "Ann has three apples and buys four more. How many does she have? Let us add them up with Python. "
    "We solve the equation for x. The total is the sum of all parts. Therefore the answer is \\boxed{7}. "
    "import sympy as sp\nx = sp.symbols('x')\nsolution = sp.solve(sp.Eq(2*x + 3, 11), x)\nsolution[0]\n"
    "def total(items):\n    return sum(items)\n\nresult = total([1, 2, 3])\nprint(result)\n"
    "Below is a math problem. Please solve it step by step. What is 12.5 % of 640? "
    "The price rises from 80 to 92 dollars; by how many per cent did it rise? "
    "for i in range(10):\n    if i % 2 == 0:\n        print(i)\n"
)


def _corpus() -> list[str]:
    return [WORDS, *WORDS.split(". "), *(f"{a} plus {b} is {a + b}" for a in range(20) for b in range(20))]


@cache
def sentencepiece_tokenizer_json() -> str:
    """A Llama-2-style tokenizer.json: BPE over SentencePiece pieces, dummy prefix, byte fallback, BOS."""
    from tokenizers import Tokenizer, decoders, models, normalizers, processors, trainers

    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    special = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    tokenizer.train_from_iterator(
        [line.replace(" ", "▁") for line in _corpus()],
        trainers.BpeTrainer(vocab_size=640, special_tokens=special, max_token_length=12, show_progress=False),
    )
    state = json.loads(tokenizer.to_str())
    # Byte pieces are ordinary vocabulary in a real Llama tokenizer; only the first three are special.
    state["added_tokens"] = state["added_tokens"][:3]
    tokenizer = Tokenizer.from_str(json.dumps(state))
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return tokenizer.to_str()


@cache
def byte_level_tokenizer_json() -> str:
    """A Qwen-style tokenizer.json: byte-level BPE, digits apart, no BOS."""
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r"\p{N}| ?\p{L}+| ?[^\s\p{L}\p{N}]+|\s+"), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        _corpus(),
        trainers.BpeTrainer(
            vocab_size=640,
            special_tokens=["<|endoftext|>"],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    return tokenizer.to_str()


def tokenizer_of(style: str) -> Any:
    """A transformers tokenizer of style `sentencepiece` or `bytes`, without the control tokens."""
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    if style == "sentencepiece":
        return PreTrainedTokenizerFast(
            tokenizer_object=Tokenizer.from_str(sentencepiece_tokenizer_json()),
            unk_token="<unk>", bos_token="<s>", eos_token="</s>",
        )  # fmt: skip
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(byte_level_tokenizer_json()),
        eos_token="<|endoftext|>", pad_token="<|endoftext|>",
    )  # fmt: skip


def make_base(
    folder: Path,
    architecture: str = "llama",
    *,
    tied: bool = False,
    style: str = "sentencepiece",
    seed: int = 0,
    owned: Sequence[str] = (),
    **over: Any,
) -> Path:
    """Write a random base of `architecture` (transformers' `model_type`) with its tokenizer to `folder`.

    Args:
        owned: control tokens that it has already.
    """
    import torch
    from transformers import AddedToken, AutoConfig, AutoModelForCausalLM

    tokenizer = tokenizer_of(style)
    tokenizer.add_tokens([AddedToken(token, special=True, normalized=False) for token in owned], True)
    config: dict[str, Any] = {
        "vocab_size": len(tokenizer), "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 2048,
        "tie_word_embeddings": tied, "bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id,
    }  # fmt: skip
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(architecture, **config | over))
    for parameter in model.parameters():
        # The default spread of 0.02 makes a net so small answer alike to everything; tests must see differences.
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=0.1)
    model.to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def row_of(question: str, *blocks: tuple[str, str]) -> dict[str, Any]:
    """A row in the hub schema; `blocks` are (type, content)."""
    from runtime.lce import Block, conversation

    return {"messages": conversation(question, [Block(kind, content) for kind, content in blocks])}  # type: ignore[arg-type]


def sum_rows(count: int, start: int = 0) -> list[dict[str, Any]]:
    """Short rows of different lengths with text, code and execution blocks."""
    rows = []
    for number in range(start, start + count):
        terms = [number + k for k in range(2 + number % 5)]
        code = "total = " + " + ".join(map(str, terms)) + "\ntotal"
        rows.append(
            row_of(
                f"What is the sum of {', '.join(map(str, terms))}?",
                ("text", "Let us add them up."), ("code", code), ("execution", str(sum(terms))),
                ("text", f"The answer is \\boxed{{{sum(terms)}}}."), ("text", str(sum(terms))),
            )
        )  # fmt: skip
    return rows


def write_jsonl(path: Path, rows: list[dict[str, Any]]) -> Path:
    """Write `rows` as JSON lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def kept_bytes(made: Any) -> tuple[Any, int]:
    """A micro-batch of 16 rows, and the bytes of activations that its forward pass keeps."""
    import torch

    (micro,) = made.stepper.micro_batches(list(range(16)))
    kept: dict[int, int] = {}
    held = {parameter.untyped_storage().data_ptr() for parameter in made.adapted.peft.parameters()}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in held and tensor.is_floating_point():
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss, _ = made.stepper.forward(micro)
    assert loss.requires_grad
    return micro, sum(kept.values())
