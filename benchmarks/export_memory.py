"""Peak memory and time of merging a random 1B model, by tensors and by `merge_and_unload`.

    python benchmarks/export_memory.py [--layers 18] [--keep DIR] [--json FILE]

Takes 5 GB of disk in the temporary folder (TMPDIR), or in DIR, where the model is kept for another run. Prints both
sides of each ratio. Memory is the peak resident set of a process of its own, less what the same process holds after
importing the same libraries. Time is held against `merge_and_unload` on the same 16-bit base; the merge into the
dequantized 4-bit base, which peft cannot do without holding the model, is printed beside it. Exit code 1 where a target
is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.figures import Figures, add_json_argument

HIDDEN, INTERMEDIATE, HEADS, VOCABULARY = 2048, 5632, 32, 32_000
_PROJECTIONS = {
    "self_attn.q_proj": (HIDDEN, HIDDEN), "self_attn.k_proj": (HIDDEN, HIDDEN), "self_attn.v_proj": (HIDDEN, HIDDEN),
    "self_attn.o_proj": (HIDDEN, HIDDEN), "mlp.gate_proj": (INTERMEDIATE, HIDDEN),
    "mlp.up_proj": (INTERMEDIATE, HIDDEN), "mlp.down_proj": (HIDDEN, INTERMEDIATE),
}  # fmt: skip


def make(folder: Path, layers: int) -> None:
    """A random base of about 1B parameters and an adapter for it, written tensor by tensor."""
    import torch
    from safetensors.torch import save_file

    from export.merge.tensors import Planned, write_safetensors
    from tests.export.factory import add_control_tokens, make_sentencepiece

    base, run = folder / "base", folder / "run"
    make_sentencepiece(base)
    shapes = {"model.embed_tokens.weight": (VOCABULARY, HIDDEN), "lm_head.weight": (VOCABULARY, HIDDEN)}
    for layer in range(layers):
        shapes |= {f"model.layers.{layer}.{name}.weight": shape for name, shape in _PROJECTIONS.items()}
        for norm in ("input_layernorm", "post_attention_layernorm"):
            shapes[f"model.layers.{layer}.{norm}.weight"] = (HIDDEN,)  # type: ignore[assignment]
    shapes["model.norm.weight"] = (HIDDEN,)  # type: ignore[assignment]
    generator = torch.Generator().manual_seed(0)

    def random(shape: tuple[int, ...]) -> Any:
        return lambda: iter([torch.randn(shape, generator=generator).mul_(0.02).half()])

    write_safetensors(
        base / "model.safetensors", [Planned(name, "F16", shape) for name, shape in shapes.items()],
        {name: random(shape) for name, shape in shapes.items()}, {"format": "pt"},
    )  # fmt: skip
    config = {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": HIDDEN, "vocab_size": VOCABULARY,
        "intermediate_size": INTERMEDIATE, "num_hidden_layers": layers, "num_attention_heads": HEADS,
        "num_key_value_heads": HEADS, "tie_word_embeddings": False, "dtype": "float16", "bos_token_id": 1,
        "eos_token_id": 2, "max_position_embeddings": 2048, "rms_norm_eps": 1e-6, "hidden_act": "silu",
    }  # fmt: skip
    (base / "config.json").write_text(json.dumps(config))
    add_control_tokens(base, run / "tokenizer")
    adapter = run / "adapter"
    adapter.mkdir()
    tensors = {}
    for name, shape in shapes.items():
        if "_proj" in name:
            key = f"base_model.model.{name.removesuffix('.weight')}"
            tensors[f"{key}.lora_A.weight"] = torch.randn(16, shape[1], generator=generator) * 0.02
            tensors[f"{key}.lora_B.weight"] = torch.randn(shape[0], 16, generator=generator) * 0.02
    save_file(tensors, adapter / "adapter_model.safetensors")
    lora = {
        "peft_type": "LORA", "r": 16, "lora_alpha": 32, "target_modules": [n.split(".")[1] for n in _PROJECTIONS],
        "task_type": "CAUSAL_LM", "base_model_name_or_path": str(base),
    }  # fmt: skip
    (adapter / "adapter_config.json").write_text(json.dumps(lora))
    record = {"name": "synthetic", "base_path": str(base), "quantization": {"type": "nf4"}}
    (run / "run.json").write_text(json.dumps(record))


def ours(folder: Path, into: str) -> None:
    """The merge of this project, with shards of 2 GB."""
    from export.merge.merge import merge, plan_merge, read_layout
    from export.merge.nf4 import import_bitsandbytes
    from export.merge.source import open_source
    from export.settings import ExportSettings

    if into == "nf4":
        import_bitsandbytes()
    from transformers import AutoModelForCausalLM  # noqa: F401  part of the libraries, not of the merge

    start = time.perf_counter(), resident()
    source = open_source(folder / "run", ExportSettings())
    plan = plan_merge(source, read_layout(source.base), into=into, dtype="float16")
    merge(source, plan, folder / f"ours-{into}", dtype="float16", shard_bytes=2_000_000_000, fingerprint="x")
    report(start)


def theirs(folder: Path) -> None:
    """peft's merge_and_unload on the 16-bit base, saved with shards of 2 GB."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    start = time.perf_counter(), resident()
    model = AutoModelForCausalLM.from_pretrained(str(folder / "base"), dtype=torch.float16)
    merged = PeftModel.from_pretrained(model, str(folder / "run" / "adapter")).merge_and_unload()
    merged.save_pretrained(str(folder / "theirs"), max_shard_size="2GB")
    report(start)


def resident(which: str = "VmRSS") -> int:
    """Resident bytes of this process, now (`VmRSS`) or at most (`VmHWM`)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(which + ":"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("this benchmark reads /proc and runs on Linux")


def report(start: tuple[float, int]) -> None:
    """One line of JSON about this process."""
    seconds, before = start
    print(json.dumps({"seconds": time.perf_counter() - seconds, "peak": resident("VmHWM") - before}))


def measured(folder: Path, what: str) -> dict[str, float]:
    """One side in a process of its own; what it wrote is deleted, and nobody else's writes are waited for."""
    os.sync()
    command = [sys.executable, __file__, "--side", what, "--keep", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    shutil.rmtree(folder / what, ignore_errors=True)
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    return dict(json.loads(done.stdout.strip().splitlines()[-1]))


def main() -> int:
    """Make the model and measure every side."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--layers", type=int, default=18, help="18 layers are 1.06B parameters")
    parser.add_argument("--keep", type=Path, help="folder for the model; kept")
    add_json_argument(parser, "export_memory")
    parser.add_argument("--side", choices=["ours-nf4", "ours-16bit", "theirs"])
    arguments = parser.parse_args()
    if arguments.side:
        if arguments.side == "theirs":
            theirs(arguments.keep)
        else:
            ours(arguments.keep, arguments.side.removeprefix("ours-"))
        return 0
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.keep or Path(scratch)
        if not (folder / "run" / "run.json").is_file():
            make(folder, arguments.layers)
        size = (folder / "base" / "model.safetensors").stat().st_size
        largest = VOCABULARY * HIDDEN * 2
        allowed = max(size / 4, 2 * largest)
        print(
            f"model: {size / 2e9:.2f} B parameters, {size / 1e9:.2f} GB in 16 bits, "
            f"largest tensor {largest / 1e6:.0f} MB"
        )
        results = {what: measured(folder, what) for what in ("ours-nf4", "ours-16bit", "theirs")}
    figures = Figures("export_memory", layers=arguments.layers, parameters=size // 2, bytes_16bit=size)
    figures.details["sides"] = results
    theirs_did = results["theirs"]
    figures.add("merge_and_unload, memory", theirs_did["peak"] / 1e6, unit="MB")
    figures.add("merge_and_unload, time", theirs_did["seconds"], unit="s")
    for what in ("ours-16bit", "ours-nf4"):
        did = results[what]
        figures.add(f"{what}, memory", did["peak"] / 1e6, at_most=allowed / 1e6, unit="MB")
        figures.add(f"{what}, time", did["seconds"], unit="s")
        figures.add(f"{what} / merge_and_unload, memory", did["peak"] / theirs_did["peak"])
        bound = 1.5 if what == "ours-16bit" else None
        figures.add(f"{what} / merge_and_unload, time", did["seconds"] / theirs_did["seconds"], at_most=bound)
    return figures.finish(arguments.json)


if __name__ == "__main__":
    sys.exit(main())
