"""On a GPU: our two backends against plain unsloth with SFTTrainer, on random models of real shapes.

    python benchmarks/qlora_gpu.py --shape qwen2-1.5b --limit 200 --json qwen2-1.5b.json
    python benchmarks/qlora_gpu.py --shape llama-7b --limit 300 --json llama-7b.json
    python benchmarks/qlora_gpu.py --shape tiny                    on a CPU, too: all of it runs; it says nothing else

One shape a call: the 7B one takes about six minutes and 14 GB of disk in the temporary folder. `--limit` is in seconds,
for one side; the file is benchmarks/results/qlora_gpu-SHAPE.json where `--json` names no other.

For each side: tokens a second, use of the GPU (MFU), peaks of allocated and reserved memory, and how often the
allocator had to free its cache and try again; NF4, r=16 on all linear layers, context 2048, rows packed. Each side is
a process of its own; ours is `qlora.train.train` as the command runs it, on both backends and on peft without gradient
checkpointing; theirs is what unsloth's documentation does: `FastLanguageModel`, its `get_peft_model`, TRL's
`SFTTrainer` padding-free, with the labels given. Same rows in the same order, same start: the losses of the first step
agree within 1e-2. Not the same: theirs trains no token rows, and its loss runs over all positions, supervised or not,
where ours computes logits for those alone. Random weights: neither speed nor memory asks what they say.

Targets: as many tokens a second as plain unsloth and no more reserved memory; the 7B shape within 8 GB reserved; every
token row moved.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from figures import RESULTS, Figures
from plain_trl import labelled_rows, sft_in_order
from random_bases import SHAPES, write_base, write_rows

SIDES = ("ours, unsloth", "ours, peft", "ours, peft, no checkpointing", "unsloth + SFTTrainer")
PLAIN = SIDES[-1]
PREPARE = "prepare"
PASSES, WARM_UP = 4, 2
"""Forward passes of an optimizer step; steps that are not timed."""
PACKAGES = ("torch", "transformers", "peft", "bitsandbytes", "trl", "unsloth", "unsloth_zoo")


def main() -> int:
    """Run all sides of all shapes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=SHAPES, default="llama-7b")
    parser.add_argument("--steps", type=int, default=6, help=f"optimizer steps, of which {WARM_UP} are not timed")
    parser.add_argument("--micro-tokens", type=int, default=8192, help="tokens of one forward pass (default 8192)")
    parser.add_argument("--limit", type=float, default=150.0, help="seconds one side may take")
    parser.add_argument("--side", choices=[PREPARE, *SIDES], help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--rows", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--json", type=Path, help="where the figures go (default results/qlora_gpu-SHAPE.json)")
    args = parser.parse_args()
    if args.steps <= WARM_UP:
        parser.error(f"--steps is {args.steps}, of which {WARM_UP} are not timed; ask for more")
    if args.side:
        print("\n" + json.dumps(one_side(args)))
        return 0
    import torch

    gpu, shape = torch.cuda.is_available(), args.shape
    if not gpu and shape != "tiny":
        print("qlora_gpu: not run, for there is no GPU here; --shape tiny tries the script on a CPU")
        return 0
    figures = Figures("qlora_gpu", shape=shape, steps=args.steps, micro_tokens=args.micro_tokens, context=2048)
    figures.details["versions"] = {name: version(name) for name in PACKAGES if installed(name)}
    figures.details["device"] = torch.cuda.get_device_name() if gpu else "cpu"
    if gpu:
        figures.details["capability"] = list(torch.cuda.get_device_capability())
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / shape
        folder.mkdir()
        prepared = run_side(PREPARE, folder, args)
        if "error" in prepared:
            sys.exit(f"qlora_gpu: the base of {shape} cannot be made: {prepared['error']}")
        args.rows = prepared["rows"]
        found: dict[str, dict[str, Any]] = {}
        for side in SIDES:
            found[side] = run_side(side, folder, args)
            print(line_of(shape, side, found[side]), flush=True)
        figures.details[shape] = found
        compare(figures, shape, found, gpu=gpu)
    target = args.json or (RESULTS / f"qlora_gpu-{shape}.json" if gpu else None)
    return figures.finish(target)


def installed(name: str) -> bool:
    """Whether a package is installed."""
    return find_spec(name) is not None


def line_of(shape: str, side: str, run: dict[str, Any]) -> str:
    """One run on one line."""
    if "error" in run:
        return f"{shape}, {side}: failed: {run['error']}"
    use = "" if run["mfu"] is None else f"MFU {run['mfu']:.1%}, "
    return (
        f"{shape}, {side}: {run['tokens_per_second']:,.0f} tokens/s, {use}"
        f"{run['allocated_gb']:.2f} GB allocated, {run['reserved_gb']:.2f} GB reserved, "
        f"{run['retries']} allocations tried again, attention {run['attention']}"
    )


def compare(figures: Figures, shape: str, found: dict[str, dict[str, Any]], *, gpu: bool) -> None:
    """The figures of one shape, with targets where a GPU took them."""
    plain = found[PLAIN]
    figures.count(f"{shape}: sides that ran", sum("error" not in run for run in found.values()), len(SIDES))
    ours = {side: run for side, run in found.items() if side != PLAIN and "error" not in run}
    for side, run in ours.items():
        moved = run["token_rows_moved"]
        figures.count(f"{shape}: token rows moved, {side}", moved["moved"], moved["of"])
    first = {side: run["losses"][0] for side, run in found.items() if "error" not in run}
    if len(first) > 1:
        apart = max(first.values()) - min(first.values())
        figures.add(f"{shape}: losses of the sides at the first step, largest difference", apart, at_most=1e-2)
    if not ours or "error" in plain:
        return
    # Without checkpointing a base of any size is fast and fits few GPUs: it is a figure, not the one compared.
    checkpointed = {side: run for side, run in ours.items() if "no checkpointing" not in side} or ours
    best = max(checkpointed.values(), key=lambda run: run["tokens_per_second"])
    ratio = best["tokens_per_second"] / plain["tokens_per_second"]
    figures.add(f"{shape}: tokens/s, our faster backend / plain unsloth", ratio, at_least=1.0 if gpu else None)
    memory = best["reserved_gb"] / plain["reserved_gb"]
    figures.add(f"{shape}: reserved memory of the same, / plain unsloth", memory, at_most=1.0 if gpu else None)
    free = ours.get(SIDES[2])
    if free is not None:
        gain = free["tokens_per_second"] / best["tokens_per_second"]
        figures.add(f"{shape}: tokens/s without checkpointing, / with", gain)
    if shape == "llama-7b":
        figures.add("llama-7b: reserved memory", best["reserved_gb"], at_most=8.0, unit="GB")


def run_side(side: str, folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """One side in a process of its own; where it fails, why."""
    command = [sys.executable, __file__, "--side", side, "--folder", str(folder), "--steps", str(args.steps)]
    command += ["--micro-tokens", str(args.micro_tokens), "--rows", str(args.rows or 0)]
    # A folder for what unsloth compiles, so that no side finds another's.
    environment = {**os.environ, "UNSLOTH_COMPILE_LOCATION": str(folder / f"compiled-{side.replace(', ', '-')}")}
    # unsloth sets this for itself: set for all, reserved memory is like for like.
    environment.setdefault("PYTORCH_ALLOC_CONF", "expandable_segments:True")
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=args.limit, env=environment, cwd=folder)
    except subprocess.TimeoutExpired:
        return {"error": f"took more than {args.limit:.0f} s"}
    if done.returncode != 0:
        return {"error": done.stderr[-2000:]}
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


# What is trained


def make(args: argparse.Namespace) -> dict[str, Any]:
    """Make base and rows; returns how many rows fit a pass.

    In a process of its own, which gives the GPU back.
    """
    from qlora.base import find_base, load_tokenizer
    from qlora.prepare import prepare
    from qlora.settings import DataSettings

    shape, rows = args.folder.name, args.folder / "rows.jsonl"
    write_base(args.folder / "base", SHAPES[shape])
    write_rows(rows, 256, small=shape == "tiny")
    tokenizer = load_tokenizer(find_base(str(args.folder / "base")))
    mean = prepare(DataSettings(source=str(rows), held_out_percent=0), tokenizer, 2048).table.lengths.mean()
    each = max(1, int(args.micro_tokens // mean))
    write_rows(rows, PASSES * each * args.steps, small=shape == "tiny")
    return {"rows": each, "tokens": round(float(each * mean))}


# The sides


def one_side(args: argparse.Namespace) -> dict[str, Any]:
    """Train, and say how fast and with how much memory."""
    run = {PREPARE: make, PLAIN: plain_unsloth}.get(args.side, ours)
    return run(args)


def ours(args: argparse.Namespace) -> dict[str, Any]:
    """`mathcoder train`, by its own log."""
    import torch
    from rich.console import Console

    from qlora.settings import DataSettings, LoraSettings, QloraSettings, TrainSettings
    from qlora.train import Snapshot, train

    gpu = torch.cuda.is_available()
    settings = QloraSettings(
        base=str(args.folder / "base"),
        data=DataSettings(source=str(args.folder / "rows.jsonl"), held_out_percent=0),
        train=TrainSettings(
            backend="unsloth" if args.side == SIDES[0] else "peft", context=2048, batch_rows=PASSES * args.rows,
            micro_tokens=args.micro_tokens, max_steps=args.steps, warmup_steps=0, save_every=10_000, sample_every=1,
            gradient_checkpointing=gpu and "no checkpointing" not in args.side,
        ),
        lora=LoraSettings(r=16),
    )  # fmt: skip
    out = args.folder / args.side.replace(", ", "-")
    seen: dict[str, Any] = {}

    def look(snapshot: Snapshot) -> dict[str, float]:
        # Between steps: their seconds are taken before. Rows after the first step, and how many have moved since.
        adapted = snapshot.adapted
        ends = [adapted.embedding.rows] if adapted.tied else [adapted.embedding.rows, adapted.head.rows]
        now = [rows.detach().clone() for rows in ends]
        before = seen.setdefault("rows", now)
        changed = sum(int((a != b).any(1).sum()) for a, b in zip(before, now, strict=True))
        seen["moved"] = {"moved": changed, "of": sum(len(rows) for rows in now)}
        seen["attention"] = attention_of(adapted.backbone, args.side)
        return {}

    train(settings, out, console=Console(quiet=True), on_sample=look)
    log = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    log = [entry for entry in log if "step" in entry]
    timed = log[WARM_UP:]
    seconds = sum(entry["seconds"] for entry in timed)
    uses = [entry["mfu"] * entry["seconds"] for entry in timed if "mfu" in entry]
    return {
        "tokens_per_second": sum(entry["tokens"] for entry in timed) / seconds,
        "supervised_per_second": sum(entry["supervised"] for entry in timed) / seconds,
        "mfu": sum(uses) / seconds if len(uses) == len(timed) else None,
        "losses": [entry["loss"] for entry in log],
        "token_rows_moved": seen["moved"],
        "attention": seen["attention"],
        **memory(),
    }


def attention_of(model: Any, side: str) -> str:
    """What computes attention: the name that transformers has for it, or what unsloth found to do it with."""
    import torch

    if "unsloth" in side and torch.cuda.is_available():
        from unsloth.utils import attention_dispatch as dispatch

        found = [name for name in ("FLASH_ATTENTION", "XFORMERS") if getattr(dispatch, f"HAS_{name}", False)]
        return f"unsloth ({', '.join(found).lower() or 'SDPA'})"
    return str(model.config._attn_implementation)


def plain_unsloth(args: argparse.Namespace) -> dict[str, Any]:
    """What unsloth's documentation does, with the same rows, labels and rows in a forward pass."""
    import torch
    from unsloth import FastLanguageModel  # isort: skip  (before what it rewrites)
    from datasets import Dataset
    from trl import SFTConfig

    from qlora.base import find_base, load_tokenizer
    from qlora.packing import RowOrder
    from qlora.peak import peak_of
    from qlora.plan import Shape
    from qlora.prepare import prepare
    from qlora.settings import DataSettings, LoraSettings

    base = find_base(str(args.folder / "base"))
    tokenizer = load_tokenizer(base)
    data = prepare(DataSettings(source=str(args.folder / "rows.jsonl"), held_out_percent=0), tokenizer, 2048)
    each, step = args.rows, PASSES * args.rows
    # The rows of our steps, in their order.
    order = RowOrder(len(data.rows), step, 0)
    chosen = [row for number in range(args.steps) for row in order.at(number)]
    lengths = data.table.lengths[chosen]
    gpu = torch.cuda.is_available()
    model, _ = FastLanguageModel.from_pretrained(str(base.path), max_seq_length=2048, load_in_4bit=True)
    model = FastLanguageModel.get_peft_model(
        model, r=16, lora_alpha=16, lora_dropout=0, bias="none", random_state=0,
        target_modules=["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
        use_gradient_checkpointing="unsloth" if gpu else False,
    )  # fmt: skip
    if len(tokenizer) > model.get_input_embeddings().weight.shape[0]:
        sys.exit("the vocabulary has no room for the control tokens")
    start_new_rows_at_the_mean(model, len(tokenizer))
    labelled = labelled_rows(data, len(data.rows))
    rows = [labelled[row] for row in chosen]

    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    trainer_class, watch = sft_in_order()
    trainer = trainer_class(
        model=model,
        args=SFTConfig(
            output_dir=str(args.folder / "plain"), per_device_train_batch_size=each,
            gradient_accumulation_steps=PASSES, max_steps=args.steps, learning_rate=2e-4,
            lr_scheduler_type="constant", warmup_steps=0, logging_steps=1, save_strategy="no", report_to="none",
            bf16=gpu, use_cpu=not gpu, dataset_kwargs={"skip_prepare_dataset": True}, max_length=None,
            padding_free=True, disable_tqdm=True, optim="adamw_torch_fused", seed=0,
        ),
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
        callbacks=[watch],
    )  # fmt: skip
    trainer.train()
    seconds = watch.ends[-1][0] - watch.ends[WARM_UP - 1][0]
    timed = slice(step * WARM_UP, step * args.steps)
    supervised = int(data.supervised_per_row[chosen[timed]].sum())
    device = torch.device("cuda", 0) if gpu else torch.device("cpu")
    flops = Shape.of(base.config, len(tokenizer)).training_flops(LoraSettings(r=16), lengths[timed], supervised)
    peak = peak_of(device, torch.bfloat16 if gpu else torch.float32)
    return {
        "tokens_per_second": int(lengths[timed].sum()) / seconds,
        "supervised_per_second": supervised / seconds,
        "mfu": flops / seconds / peak.flops,
        "rows_per_forward": each,
        "losses": watch.losses,
        "attention": attention_of(model, PLAIN),
        **memory(),
    }


def start_new_rows_at_the_mean(model: Any, tokens: int) -> None:
    """Give the eight control tokens the rows that our run starts them with: the mean of those before them."""
    import torch

    ends = {id(end.weight): end.weight for end in (model.get_input_embeddings(), model.get_output_embeddings())}
    with torch.no_grad():
        for weight in ends.values():
            weight[tokens - 8 : tokens] = weight[: tokens - 8].double().mean(0).to(weight.dtype)


def memory() -> dict[str, float]:
    """Peaks of this process in GB, of the GPU or else the host, and allocations tried again."""
    import torch

    if torch.cuda.is_available():
        stats = torch.cuda.memory_stats()
        allocated, reserved = torch.cuda.max_memory_allocated(), torch.cuda.max_memory_reserved()
        retries = stats.get("num_alloc_retries", 0)
    else:
        allocated = reserved = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        retries = 0
    return {"allocated_gb": allocated / 1e9, "reserved_gb": reserved / 1e9, "retries": retries}


if __name__ == "__main__":
    sys.exit(main())
