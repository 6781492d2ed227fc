"""Tiny random bases, tokenizers and adapters, made with transformers and peft alone."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from export.settings import ExportSettings

CORPUS = (
    "Janet has 12 ducks and each lays 3 eggs. How many eggs does she sell in 7 days?\n"
    "Let x be the number of apples; then 2*x + 5 = 17, so x = 6.\n"
    "from sympy import symbols, solve\nx = symbols('x')\nsolve(2*x + 5 - 17, x)\n"
    "def total(prices):\n    result = 0\n    for price in prices:\n        result += price\n    return result\n"
    "The answer is $\\boxed{42}$. Therefore the train travels 120 km in 1.5 hours.\n"
) * 8

SHAPES = ("llama", "mistral", "qwen2", "qwen3")


def make_sentencepiece(folder: Path, *, vocabulary: int = 400, dummy_prefix: bool = False) -> None:
    """A SentencePiece BPE tokenizer with byte fallback and split digits, as the nano base has it."""
    import sentencepiece
    from transformers import LlamaTokenizer

    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(CORPUS.split("\n")), model_writer=model, model_type="bpe", vocab_size=vocabulary,
        byte_fallback=True, split_digits=True, normalization_rule_name="identity", remove_extra_whitespaces=False,
        add_dummy_prefix=dummy_prefix, allow_whitespace_only_pieces=True, character_coverage=1.0, unk_id=0, bos_id=1,
        eos_id=2, pad_id=-1, num_threads=1, minloglevel=2,
    )  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.model").write_bytes(model.getvalue())
    tokenizer = LlamaTokenizer.from_pretrained(str(folder), legacy=False, add_prefix_space=dummy_prefix)
    tokenizer.save_pretrained(str(folder))
    (folder / "tokenizer.model").write_bytes(model.getvalue())


def make_byte_level(folder: Path, *, vocabulary: int = 400, owned: Sequence[str] = ()) -> None:
    """A byte-level BPE tokenizer that splits text as Qwen2 does, with a vocabulary of its own.

    Args:
        owned: further special tokens, the last of which is the end of a text.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    from export.gguf.tokenizer import KNOWN_SPLITS

    split = next(pattern for pattern, name in KNOWN_SPLITS.items() if name == "qwen2")
    tokenizer = Tokenizer(models.BPE(byte_fallback=False))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(split), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=["<|endoftext|>", *owned],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([CORPUS], trainer)
    end = ["<|endoftext|>", *owned][-1]
    wrapped = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=end, pad_token="<|endoftext|>")
    wrapped.save_pretrained(str(folder))


def make_base(
    folder: Path, shape: str = "llama", *, tied: bool = False, seed: int = 0, owned: Sequence[str] = (), **changes: Any
) -> Path:
    """A tiny random base of one architecture (transformers' `model_type`), with a tokenizer, in float16."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    torch.manual_seed(seed)
    pieces = shape in ("llama", "mistral", "gemma3_text")
    if pieces:
        make_sentencepiece(folder)
    else:
        make_byte_level(folder, owned=owned)
    common = {
        "vocab_size": 400, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 512,
        "tie_word_embeddings": tied, "bos_token_id": None, "eos_token_id": 0,
    }  # fmt: skip
    if pieces:
        common |= {"bos_token_id": 1, "eos_token_id": 2}
    if shape in ("mistral", "qwen3"):
        common |= {"head_dim": 16}
    if shape == "mistral":
        common |= {"sliding_window": None}
    config = AutoConfig.for_model(shape, **(common | changes))
    model = AutoModelForCausalLM.from_config(config).to(torch.float16)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                # Larger than the default, so that logits differ enough for faults to show.
                parameter.normal_(0, 0.06)
            elif parameter.abs().sum() == 0:
                parameter.normal_(0, 0.1)
    model.save_pretrained(str(folder))
    return folder


def add_control_tokens(base: Path, target: Path) -> Any:
    """The base's tokenizer with the eight control tokens, as training writes it."""
    from transformers import AddedToken, AutoTokenizer

    from runtime.lce import CONTROL_TOKENS

    tokenizer = AutoTokenizer.from_pretrained(str(base))
    tokens = [AddedToken(token, special=True, normalized=False) for token in CONTROL_TOKENS]
    tokenizer.add_special_tokens({"extra_special_tokens": tokens})
    tokenizer.save_pretrained(str(target))
    if (base / "tokenizer.model").is_file():
        (target / "tokenizer.model").write_bytes((base / "tokenizer.model").read_bytes())
    return tokenizer


def load_for_training(base: Path, tokenizer: Any, *, nf4: bool) -> Any:
    """The base as training has it, quantized or not, with mean rows for added tokens; else float32."""
    import torch
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    options: dict[str, Any] = {"dtype": torch.float32}
    if nf4:
        options["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=torch.float32,
        )  # fmt: skip
        options["device_map"] = {"": "cpu"}
    model = AutoModelForCausalLM.from_pretrained(str(base), **options)
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False  # a bfloat16 kernel otherwise; see export.measure_torch
    old = model.get_input_embeddings().weight.shape[0]
    if len(tokenizer) > old:
        model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
        with torch.no_grad():
            for module in (model.get_input_embeddings(), model.get_output_embeddings()):
                module.weight[old:] = module.weight[:old].mean(dim=0)
    return model


def make_adapter(
    base: Path,
    folder: Path,
    tokenizer: Any,
    *,
    nf4: bool = True,
    seed: int = 1,
    noise: float = 0.05,
    steps: int = 0,
    **lora: Any,
) -> Any:
    """A peft adapter on every linear layer with trained token rows, random or trained a few steps.

    Returns the live model, which is what an export has to equal.
    """
    import torch
    from peft import LoraConfig, get_peft_model

    from runtime.lce import CONTROL_TOKENS

    model = load_for_training(base, tokenizer, nf4=nf4)
    ids = sorted(tokenizer.convert_tokens_to_ids(list(CONTROL_TOKENS)))
    layers = {"embed_tokens": ids} if model.config.tie_word_embeddings else {"embed_tokens": ids, "lm_head": ids}
    options: dict[str, Any] = {
        "r": 4, "lora_alpha": 8, "target_modules": "all-linear", "trainable_token_indices": layers,
        "task_type": "CAUSAL_LM",
    }  # fmt: skip
    torch.manual_seed(seed)
    adapted = get_peft_model(model, LoraConfig(**(options | lora)))
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name:
                parameter.normal_(0, noise)
            elif "magnitude" in name:
                parameter.mul_(1 + 0.1 * torch.rand_like(parameter))
            elif "trainable_tokens" in name:
                parameter.add_(torch.randn_like(parameter) * 0.05)
    if steps:
        train(adapted, tokenizer, steps)
    adapted.eval()
    adapted.save_pretrained(str(folder), save_embedding_layers=False)
    return adapted


def train(model: Any, tokenizer: Any, steps: int) -> None:
    """A few steps on `ROWS`, so that the adapter is better than its base on them."""
    import torch

    from qlora.data import encode

    encoded = [encode(row(question, blocks), tokenizer) for question, blocks in ROWS]
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=0.02)
    for _ in range(steps):
        for one in encoded:
            loss = model(input_ids=torch.tensor([one.input_ids]), labels=torch.tensor([one.labels])).loss
            loss.backward()
        optimizer.step()
        optimizer.zero_grad()


ROWS = [
    ("How many eggs does Janet sell?", [("text", "Multiply."), ("code", "12 * 3 * 7"), ("execution", "252"),
                                        ("text", "$\\boxed{252}$"), ("text", "252")]),
    ("Solve 2x + 5 = 17.", [("code", "from sympy import symbols, solve\nx = symbols('x')\nsolve(2*x + 5 - 17, x)"),
                            ("execution", "[6]"), ("text", "6")]),
    ("What is  1/3 of 21?\nAnswer exactly.", [("text", "A third of 21 is 7: “sieben”."), ("text", "7")]),
]  # fmt: skip


def row(question: str, blocks: list[tuple[str, str]]) -> dict[str, Any]:
    """A row in the hub schema."""
    from runtime.lce import Block, conversation

    return {"messages": conversation(question, [Block(kind, content) for kind, content in blocks])}


def make_run(
    folder: Path, shape: str = "llama", *, tied: bool = False, nf4: bool = True, base_changes: Any = None, **lora: Any
) -> Any:
    """A run folder as training writes it; returns the live adapter model."""
    base = make_base(folder / "base", shape, tied=tied, **(base_changes or {}))
    run = folder / "run"
    run.mkdir(parents=True)
    tokenizer = add_control_tokens(base, run / "tokenizer")
    model = make_adapter(base, run / "adapter", tokenizer, nf4=nf4, **({"steps": 15} | lora))
    quantization = {"type": "nf4", "double_quant": True, "compute_dtype": "float32", "blocksize": 64,
                    "load_dtype": "float32"} if nf4 else None  # fmt: skip
    record = {
        "name": "tiny", "base": str(base), "base_path": str(base), "status": "finished", "steps": 1, "seed": 1,
        "base_sha256": hashlib.sha256((base / "model.safetensors").read_bytes()).hexdigest(),
        "quantization": quantization, "versions": {}, "recipe": {}, "held_out": [], "data": {},
    }  # fmt: skip
    (run / "run.json").write_text(json.dumps(record), encoding="utf-8")
    rows = "".join(json.dumps(row(question, blocks)) + "\n" for question, blocks in ROWS)
    (run / "held_out.jsonl").write_text(rows, encoding="utf-8")
    return model


@contextmanager
def base_as_file(run: Path, settings: ExportSettings, folder: Path) -> Iterator[tuple[Path, dict[str, Any], Path]]:
    """The run's base as a GGUF file that somebody has; the file, its record, and the record's place."""
    from export.merge.source import GGUF_FILE, open_source
    from export.pipeline import export
    from runtime.files import sha256_file

    base = open_source(run, settings).base
    plain = folder / "plain"
    plain.mkdir()
    for file in base.iterdir():
        (plain / file.name).write_bytes(file.read_bytes())
    config = json.loads((run / "tokenizer" / "tokenizer_config.json").read_text())
    (plain / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    gguf = export(plain, settings.model_copy(update={"name": "base"}), folder / "base").files["F16"]
    facts = {"file": gguf.name, "path": str(gguf), "sha256": sha256_file(gguf), "adds_space": False}
    (base / GGUF_FILE).write_text(json.dumps(facts), encoding="utf-8")
    try:
        yield gguf, facts, base / GGUF_FILE
    finally:
        (base / GGUF_FILE).unlink()
