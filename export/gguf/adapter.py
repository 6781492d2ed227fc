"""`--adapter-only`: the adapter as a GGUF file of its own, for a base GGUF that stays untouched.

Only where the adapter is nothing but low-rank pairs of one scale: llama.cpp applies `alpha / rank` to every pair and
knows neither trained token rows nor DoRA. Whatever else an adapter does is refused with the reason; a merge can do it.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from export.gguf.convert import conversion_error, run_worker
from export.gguf.llamacpp import find
from export.merge.adapter import Adapter
from export.merge.source import Source, open_source
from export.merge.vocabulary import load_tokenizer, vocabulary_size
from export.settings import ExportSettings
from runtime.errors import InputError
from runtime.files import atomic_path
from runtime.lce import BASE_FILE_KEY, BASE_KEY, DIALECT_META, ROLE_KEY, ROLES


def export_adapter(
    run_dir: str | os.PathLike[str],
    settings: ExportSettings | None = None,
    out_dir: str | os.PathLike[str] | None = None,
    *,
    on_note: Callable[[str], None] | None = None,
) -> Path:
    """Write `DIR/NAME-adapter.gguf` and return its path.

    Args:
        run_dir: a run folder, or an adapter folder of plain peft or unsloth.
        settings: of these, where the converter is, and the type of the file's tensors.
        out_dir: where the file goes; default `RUN/export`.
        on_note: told what is odd about the converter.

    Raises:
        InputError: the adapter does something that an adapter GGUF on the base as it is cannot hold.
        ModelError: base or adapter cannot be used.
        ExportError: llama.cpp's converter refuses the adapter.
    """
    settings = settings or ExportSettings()
    source = open_source(run_dir, settings)
    if source.adapter is None:
        raise InputError(f"{run_dir} holds no adapter", "there is nothing to export alone", "export without it")
    if reason := why_not_alone(source.adapter) or _grown(source) or _space_before_blocks(source):
        raise InputError(
            reason,
            "on an untouched base GGUF it would be missing; nothing was written",
            f"merge it instead, which keeps everything: mathcoder export {run_dir} --quant Q8_0",
        )
    llama_cpp = find(settings.llama_cpp)
    if llama_cpp.mismatch and on_note is not None:
        on_note(llama_cpp.mismatch)
    target = Path(out_dir if out_dir is not None else Path(run_dir) / "export") / f"{source.name}-adapter.gguf"
    with tempfile.TemporaryDirectory(prefix="mathcoder-") as scratch, atomic_path(target) as temporary:
        folder = Path(scratch) / "adapter"
        folder.mkdir()
        shutil.copyfile(source.adapter.folder / "adapter_model.safetensors", folder / "adapter_model.safetensors")
        pair = next(iter(source.adapter.low_rank.values()))
        assert pair.b is not None
        rank = pair.b.shape[1]
        # llama.cpp computes alpha / rank, so an rsLoRA scale is written as the alpha that gives it.
        config = {**source.adapter.config, "lora_alpha": pair.scale * rank, "use_rslora": False}
        (folder / "adapter_config.json").write_text(json.dumps(config), encoding="utf-8")
        spec = {
            "llama_cpp": str(llama_cpp.folder.resolve()),
            "script": "convert_lora_to_gguf.py",
            "arguments": [
                str(folder), "--base", str(source.base.resolve()), "--outfile", str(temporary.resolve()),
                "--outtype", settings.adapter_type,
            ],
            "adapter_strings": _strings(source),
        }  # fmt: skip
        spec_file = Path(scratch) / "spec.json"
        spec_file.write_text(json.dumps(spec), encoding="utf-8")
        done = run_worker("export.gguf.convert_worker", [str(spec_file)], lambda _line: None)
        if done.code or not temporary.stat().st_size:
            raise conversion_error(done.lines)
    return target


def _strings(source: Source) -> dict[str, str]:
    """What the file says about itself: the base it belongs to, and which token plays which role."""
    from qlora.dialects import dialect_name
    from qlora.tokens import control_names

    strings: dict[str, str] = {}
    if source.gguf is not None:
        strings |= {BASE_KEY: source.gguf["sha256"], BASE_FILE_KEY: source.gguf["file"]}
    tokenizer = load_tokenizer(source.tokenizer)
    if (dialect := dialect_name(tokenizer)) != "lce":
        return strings | {DIALECT_META: dialect}
    names = control_names(tokenizer)
    return strings | {f"{ROLE_KEY}{role}": names[token] for role, token in ROLES.items() if names[token] != token}


def _space_before_blocks(source: Source) -> str | None:
    """Why the base's own file would ask the model something else than training did."""
    if source.gguf is None or not source.gguf["adds_space"]:
        return None
    return f"the base's file ({source.gguf['file']}) puts a space before every block, which training did not"


def why_not_alone(adapter: Adapter) -> str | None:
    """Why an adapter cannot be a GGUF of its own, None if it can."""
    if adapter.token_rows:
        count = sum(len(indices) for indices, _ in adapter.token_rows.values())
        return f"the adapter trained {count} token rows, which a base GGUF does not have"
    if adapter.replaced:
        return f"the adapter replaces whole tensors ({next(iter(adapter.replaced))})"
    if any(pair.magnitude is not None for pair in adapter.low_rank.values()):
        return "the adapter is a DoRA, whose magnitudes llama.cpp does not know"
    if any(pair.bias is not None for pair in adapter.low_rank.values()):
        return "the adapter has trained biases"
    if len({pair.scale for pair in adapter.low_rank.values()}) > 1:
        return "the adapter's modules have different scales"
    return None


def _grown(source: Source) -> str | None:
    """Why the base GGUF cannot carry the adapter: tokens that were added and not trained."""
    config = source.base_config.get("text_config") or source.base_config
    rows = config.get("vocab_size")
    added = 0 if rows is None else vocabulary_size(source.tokenizer) - int(rows)
    return f"the run's tokenizer has {added} tokens more than the base has rows" if added > 0 else None
