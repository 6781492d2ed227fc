"""Random bases of shapes that people train, and rows for them.

Neither speed nor memory asks what they say.
"""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path
from typing import Any

from figures import ROOT

sys.path.insert(0, str(ROOT / "tests" / "qlora"))

SHAPES: dict[str, dict[str, Any]] = {
    "llama-7b": {
        "architecture": "llama", "vocab_size": 32_000, "hidden_size": 4096, "intermediate_size": 11_008,
        "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 32,
    },
    "qwen2-1.5b": {
        "architecture": "qwen2", "vocab_size": 151_936, "hidden_size": 1536, "intermediate_size": 8960,
        "num_hidden_layers": 28, "num_attention_heads": 12, "num_key_value_heads": 2, "tied": True,
    },
    "tiny": {
        "architecture": "llama", "vocab_size": 2048, "hidden_size": 128, "intermediate_size": 384,
        "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 4,
    },
}  # fmt: skip


def write_rows(path: Path, count: int, *, small: bool) -> None:
    """Rows of text, code and execution blocks, of different lengths."""
    from factory import WORDS, row_of, write_jsonl

    draw = random.Random(0)
    rows = []
    for number in range(count):
        text = WORDS * draw.randint(1, 1 if small else 3)
        code = "\n".join(f"a{k} = {k} + {number}" for k in range(draw.randint(2, 8 if small else 40)))
        blocks = ("text", text), ("code", code), ("execution", "42"), ("text", "It is \\boxed{42}."), ("text", "42")
        rows.append(row_of(f"What is row {number}?", *blocks))
    write_jsonl(path, rows)


def write_base(folder: Path, shape: dict[str, Any]) -> None:
    """A random base in bfloat16, its weights drawn where they are drawn fastest, a file for each layer."""
    import torch
    import transformers
    from factory import tokenizer_of
    from safetensors.torch import save_file

    options = dict(shape)
    architecture, tied = options.pop("architecture"), options.pop("tied", False)
    name = {"llama": "Llama", "qwen2": "Qwen2"}[architecture]
    tokenizer = tokenizer_of("sentencepiece" if architecture == "llama" else "bytes")
    config = getattr(transformers, f"{name}Config")(
        **options, max_position_embeddings=4096, tie_word_embeddings=tied, torch_dtype="bfloat16",
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id,
        architectures=[f"{name}ForCausalLM"],
    )  # fmt: skip
    with torch.device("meta"):
        model = getattr(transformers, f"{name}ForCausalLM")(config)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    folder.mkdir(parents=True)
    files: dict[str, dict[str, Any]] = {}
    for key, value in model.state_dict().items():
        if tied and key == "lm_head.weight":
            continue
        part = key.split(".")[2] if ".layers." in key else "rest"
        if key.endswith("norm.weight"):
            tensor = torch.ones(value.shape, dtype=torch.bfloat16)
        else:
            tensor = torch.empty(value.shape, dtype=torch.bfloat16, device=device).normal_(std=0.02).cpu()
        files.setdefault(part, {})[key] = tensor
    index: dict[str, str] = {}
    for part, tensors in files.items():
        save_file(tensors, folder / f"model-{part}.safetensors", metadata={"format": "pt"})
        index |= dict.fromkeys(tensors, f"model-{part}.safetensors")
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": index}))
    config.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
