"""The Hugging Face folder that a GGUF file becomes, kept in the cache under the file's hash.

Weights come from transformers' own GGUF loader, which knows names, shapes and the order of the rotary halves. They are
stored in 16 bits unless the file itself has wider ones: a weight of 4 bits is a product of a few of them and loses
nothing that its quantization had left.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from export.from_gguf.vocabulary import adds_space, tokenizer_of
from export.gguf.file import BLOCKS, GgufFile, read_gguf
from export.merge.source import GGUF_FILE
from runtime.errors import ModelError
from runtime.files import cache_folder, sha256_file

FORMAT = 2
"""Raised when a change of code changes what is written, so that older folders are made again."""
ARCHITECTURES = {
    "llama": "LlamaForCausalLM",
    "mistral": "MistralForCausalLM",
    "qwen2": "Qwen2ForCausalLM",
    "qwen3": "Qwen3ForCausalLM",
}
"""`general.architecture` -> the class that training knows, of those that transformers' loader reads."""
_WIDE = ("F32", "BF16")


def base_folder(path: str | os.PathLike[str], on_note: Callable[[str], None] | None = None) -> Path:
    """The folder of the GGUF at `path`, made on the first call.

    Args:
        path: a whole GGUF file with weights.
        on_note: told what is being done, where it takes a while.

    Raises:
        InputError: there is no such file.
        ModelError: it is of a kind that cannot become a base; the message names what.
    """
    file = read_gguf(path)
    refuse_unusable(file)
    digest = sha256_file(file.path)
    target = cache_folder() / "gguf" / f"{digest[:16]}-{FORMAT}"
    if (target / GGUF_FILE).is_file():
        return target
    tokenizer = tokenizer_of(file, _ends(file))
    if on_note is not None:
        on_note(f"{file.path.name} is dequantized into {target}")
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=".gguf-", dir=target.parent))
    try:
        _write_weights(file, scratch)
        tokenizer.save_pretrained(str(scratch))
        types = sorted({tensor.type_name for tensor in file.tensors.values()})
        facts = {
            "file": file.path.name,
            "path": str(file.path.resolve()),
            "sha256": digest,
            "architecture": file.architecture,
            "tensor_types": types,
            "adds_space": adds_space(file),
        }
        (scratch / GGUF_FILE).write_text(json.dumps(facts, indent=2), encoding="utf-8")
        shutil.rmtree(target, ignore_errors=True)
        os.replace(scratch, target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return target


def refuse_unusable(file: GgufFile) -> None:
    """Refuse a file that cannot become a base.

    Raises:
        ModelError: an adapter, a model of another kind or architecture, or a tensor type that cannot be read.
    """
    remedy = "train on the model's Hugging Face folder, or take another file"
    if file.metadata.get("general.type") == "adapter":
        raise ModelError(f"{file.path} is an adapter", "it has no weights of its own", "give the GGUF of its base")
    if file.architecture in ("clip", "mmproj") or any(name.startswith(("v.", "mm.")) for name in file.tensors):
        raise ModelError(f"{file.path} is the image or sound part of a multimodal model", "it writes no text", remedy)
    if file.parameter("expert_count") or any("_exps." in name for name in file.tensors):
        raise ModelError(f"{file.path} is a mixture of experts", "training here knows dense models only", remedy)
    if file.architecture not in ARCHITECTURES:
        raise ModelError(
            f"{file.path} is of the architecture {file.architecture}",
            "it cannot be trained from a GGUF here",
            f"architectures that can: {', '.join(ARCHITECTURES)}",
        )
    readable = _readable_types()
    strange = sorted({t.type_name for t in file.tensors.values() if t.type_name not in readable})
    if strange:
        raise ModelError(f"{file.path} holds tensors of {', '.join(strange)}", "gguf-py cannot read them", remedy)
    if "token_embd.weight" not in file.tensors:
        raise ModelError(f"{file.path} holds no weights (only a vocabulary)", "there is nothing to train on", remedy)


def _readable_types() -> set[str]:
    from gguf import quants

    names = {kind.name for kind in quants._type_traits}
    return {name for name, _, _ in BLOCKS.values() if name in names} | {"F32", "F16", "BF16"}


def _ends(file: GgufFile) -> tuple[int, ...]:
    """Ids that llama.cpp takes as the end of generation: asked of llama.cpp, which goes by spellings too."""
    from runtime.engine.llama.engine import LlamaEngine
    from runtime.settings import EngineSettings

    with LlamaEngine(file.path, EngineSettings(), vocab_only=True) as engine:
        return tuple(sorted(engine.vocabulary.ends))


def _write_weights(file: GgufFile, target: Path) -> None:
    import torch
    from safetensors.torch import save_file
    from transformers import AutoModelForCausalLM

    from qlora.quiet import quiet_libraries

    wide = any(t.type_name in _WIDE and len(t.shape) > 1 for t in file.tensors.values())
    dtype = torch.float32 if wide else torch.float16
    with quiet_libraries():
        try:
            model = AutoModelForCausalLM.from_pretrained(
                str(file.path.parent), gguf_file=file.path.name, dtype=torch.float32
            )
        except Exception as error:  # not narrower: the loader raises whatever its parser and torch raise
            first = (str(error).strip().splitlines() or [""])[0][:200]
            raise ModelError(
                f"transformers cannot read {file.path} ({type(error).__name__}: {first})",
                "there is no base to train on",
                "take another file of this model, or its Hugging Face folder",
            ) from error
    config = model.config.to_dict()
    for key in ("quantization_config", "_name_or_path", "_model_name_or_path"):
        config.pop(key, None)
    config |= {"architectures": [ARCHITECTURES[file.architecture]], "dtype": str(dtype).removeprefix("torch.")}
    tied = model.get_output_embeddings().weight is model.get_input_embeddings().weight
    weights = {
        name: tensor.to(dtype).contiguous()
        for name, tensor in model.state_dict().items()
        if not (tied and name == "lm_head.weight")
    }
    save_file(weights, target / "model.safetensors", metadata={"format": "pt"})
    (target / "config.json").write_text(json.dumps(config, indent=2, default=str), encoding="utf-8")
