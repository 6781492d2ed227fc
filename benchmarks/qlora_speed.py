"""Our loop against TRL's SFTTrainer: supervised tokens a second, peak memory, loss of every step.

    python benchmarks/qlora_speed.py [--base DIR] [--rows FILE] [--steps 6] [--rounds 2]

Prints each target beside its figure, writes benchmarks/results/qlora_speed.json, and exits with 1 where a target is
missed. About four minutes on two idle cores.

Same base (NF4, double quantization), adapter, initial values, rows, order, labels, rows per step and optimizer for
all; each side runs in a process of its own, one after the other, and the order of the sides is turned round in the
second of two rounds, because a machine warms up. TRL's sides: its padded default (batch of 8, accumulated to the same
rows per step) and padding-free (its packed layout, rows kept apart by their positions and use_cache=False). Gradient
checkpointing is off for all. TRL 1.15 computes its loss in a Triton kernel, which a CPU cannot run, from a head
without trained rows; its sides therefore use the model's own loss. `trl` is a need of this script alone.

Times are of the wall and of the processor; on a machine that others use only the second says anything.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from figures import ROOT, Figures
from plain_trl import labelled_rows, sft_in_order

SIDES = ("ours", "trl-padded", "trl-padding-free")
BATCH, TRL_BATCH, RATE = 16, 8, 1e-3


def main() -> int:
    """Run all sides and print both the figures and their ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base", default=str(ROOT / "recipes" / "nano" / "base"))
    parser.add_argument("--rows", default=str(ROOT.parent / "shared" / "data" / "mathcodeinstruct_dev.jsonl"))
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--context", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--limit", type=float, default=300.0, help="seconds one side may take in one round")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "qlora_speed.json")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.side:
        print("\n" + json.dumps(one_side(args.side, args)))
        return 0
    load = os.getloadavg()[0]
    if load > 0.5:
        print(f"others use this machine (load {load:.1f}): times of the wall will mislead", file=sys.stderr)
    found: dict[str, list[dict[str, Any]]] = {side: [] for side in SIDES}
    for number in range(args.rounds):
        for side in SIDES if number % 2 == 0 else reversed(SIDES):
            found[side].append(run_side(side, args))
            print(line_of(side, found[side][-1]), flush=True)
    figures = Figures("qlora_speed", steps=args.steps, context=args.context, rounds=args.rounds, rows_per_step=BATCH)
    figures.details["versions"] = {n: version(n) for n in ("torch", "transformers", "peft", "bitsandbytes", "trl")}
    figures.details["load_before"], figures.details["runs"] = load, found
    compare(found, figures)
    return figures.finish(args.out)


def compare(found: dict[str, list[dict[str, Any]]], figures: Figures) -> None:
    """The figures with their targets: of each side the fastest round, and the smallest peak."""
    seconds = {side: min(run["seconds"] for run in runs) for side, runs in found.items()}
    peak = {side: min(run["peak_mb"] for run in runs) for side, runs in found.items()}
    for side, least in (("trl-padded", 1.5), ("trl-padding-free", 1.0)):
        figures.add(f"supervised tokens/s, ours / {side}", seconds[side] / seconds["ours"], at_least=least)
        figures.add(f"peak memory, ours / {side}", peak["ours"] / peak[side], below=1)
        pairs = zip(found["ours"][0]["losses"], found[side][0]["losses"], strict=True)
        apart = max(abs(a - b) for a, b in pairs)
        figures.add(f"loss per step, ours and {side} apart", apart, at_most=0.01)


def run_side(side: str, args: argparse.Namespace) -> dict[str, Any]:
    """One side in a process of its own."""
    command = [sys.executable, __file__, "--side", side, "--base", args.base, "--rows", args.rows]
    command += ["--steps", str(args.steps), "--context", str(args.context)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=args.limit)
    except subprocess.TimeoutExpired:
        raise SystemExit(f"{side} took more than {args.limit:.0f} s; is the machine idle?") from None
    if done.returncode != 0:
        raise SystemExit(f"{side} failed:\n{done.stderr[-2000:]}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def line_of(side: str, run: dict[str, Any]) -> str:
    """One run on one line."""
    return (
        f"{side:17} {run['supervised'] / run['seconds']:8,.0f} supervised tokens/s of wall, "
        f"{run['supervised'] / run['cpu_seconds']:8,.0f} of processor time; peak {run['peak_mb']:,.0f} MB "
        f"({run['grown_mb']:,.0f} more than before the first step); "
        f"loss {run['losses'][0]:.3f} to {run['losses'][-1]:.3f}"
    )


def one_side(side: str, args: argparse.Namespace) -> dict[str, Any]:
    """Train `args.steps` steps; the first is warm-up and not timed."""
    from qlora.base import find_base, load_tokenizer
    from qlora.load import load_model
    from qlora.prepare import prepare
    from qlora.settings import DataSettings, LoraSettings, TrainSettings

    options = TrainSettings(
        backend="peft", context=args.context, batch_rows=BATCH, learning_rate=RATE, checkpoint_layers=0,
        attention="auto" if side == "ours" else "sdpa",
    )  # fmt: skip
    base = find_base(args.base)
    tokenizer = load_tokenizer(base)
    data = prepare(DataSettings(source=args.rows, max_rows=2 * BATCH * args.steps), tokenizer, args.context)
    model = load_model(base, tokenizer, options, "peft")
    run = ours if side == "ours" else trl
    losses, seconds, cpu, before = run(side, model, tokenizer, data, options, LoraSettings(), args.steps)
    supervised = int(data.supervised_per_row[BATCH : BATCH * args.steps].sum())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    # The peak holds each side's libraries too; what training itself added is told beside it.
    return {
        "losses": losses, "seconds": seconds, "cpu_seconds": cpu, "supervised": supervised, "peak_mb": peak,
        "grown_mb": max(0.0, peak - before),
    }  # fmt: skip


def resident_mb() -> float:
    """Memory of this process now."""
    import psutil

    return float(psutil.Process().memory_info().rss / 1e6)


def ours(_side: str, model: Any, tokenizer: Any, data: Any, options: Any, lora: Any, steps: int) -> Any:
    """The loop of qlora.train, on the rows in file order."""
    import torch

    from qlora import optimizer
    from qlora.adapter import add_adapter
    from qlora.layout import CPU_TOKENS
    from qlora.step import Stepper

    adapted = add_adapter(model, tokenizer, lora, options, "peft", base_name="base")
    optim = optimizer.build(adapted, options)
    stepper = Stepper(adapted, data, options, max(CPU_TOKENS, int(data.table.lengths.max())))
    losses, started, before = [], (0.0, 0.0), resident_mb()
    for step in range(steps):
        if step == 1:
            started = (time.perf_counter(), time.process_time())
        result = stepper.gradient(range(step * BATCH, (step + 1) * BATCH))
        torch.nn.utils.clip_grad_norm_(adapted.trainable().values(), options.max_grad_norm)
        optim.step()
        losses.append(result.loss)
    return losses, time.perf_counter() - started[0], time.process_time() - started[1], before


def trl(side: str, model: Any, tokenizer: Any, data: Any, options: Any, lora: Any, steps: int) -> Any:
    """SFTTrainer on the same rows, already tokenized and labelled, in the same order."""
    import torch
    from datasets import Dataset
    from peft import LoraConfig, get_peft_model
    from trl import SFTConfig

    from qlora.adapter import linear_names
    from qlora.tokens import add_control_tokens

    tied = model.get_input_embeddings().weight is model.get_output_embeddings().weight
    ids = add_control_tokens(tokenizer)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    torch.manual_seed(options.seed)
    config = LoraConfig(
        task_type="CAUSAL_LM", r=lora.r, lora_alpha=lora.alpha, lora_dropout=0.0, bias="none",
        target_modules=linear_names(model),
        trainable_token_indices={"embed_tokens": ids} if tied else {"embed_tokens": ids, "lm_head": ids},
    )  # fmt: skip
    peft_model = get_peft_model(model, config)
    rows = labelled_rows(data, BATCH * steps)

    trainer_class, watch = sft_in_order()

    class OwnLoss(trainer_class):  # type: ignore[misc,valid-type]
        def compute_loss(
            self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
        ) -> Any:
            outputs = model(**inputs, use_cache=False, num_items_in_batch=num_items_in_batch)
            return (outputs.loss, outputs) if return_outputs else outputs.loss

    with tempfile.TemporaryDirectory() as folder:
        trainer = OwnLoss(
            model=peft_model,
            args=SFTConfig(
                output_dir=folder, per_device_train_batch_size=TRL_BATCH,
                gradient_accumulation_steps=BATCH // TRL_BATCH,
                max_steps=steps, learning_rate=RATE, lr_scheduler_type="constant", warmup_steps=0, weight_decay=0.0,
                max_grad_norm=options.max_grad_norm, logging_steps=1, save_strategy="no", report_to="none", bf16=False,
                use_cpu=True, gradient_checkpointing=False, dataset_kwargs={"skip_prepare_dataset": True},
                max_length=None, padding_free=side == "trl-padding-free", disable_tqdm=True, seed=options.seed,
                optim="adamw_torch_fused", dataloader_pin_memory=False,
            ),
            train_dataset=Dataset.from_list(rows),
            processing_class=tokenizer,
            callbacks=[watch],
        )  # fmt: skip
        before = resident_mb()
        trainer.train()
    (started, started_cpu), (ended, ended_cpu) = watch.ends[0], watch.ends[-1]
    return watch.losses, ended - started, ended_cpu - started_cpu, before


if __name__ == "__main__":
    sys.exit(main())
