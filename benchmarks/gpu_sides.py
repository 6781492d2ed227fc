"""What the parts of gpu_first_hour.py compute, each in a process: a gradient, losses, a run, a plan."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROWS = list(range(8))


def one_side(spec: dict[str, Any]) -> int:
    """Compute what `spec` says; a line of JSON at the end."""
    if spec.get("backend") == "unsloth":
        from qlora.quiet import quiet_libraries

        with quiet_libraries():
            import unsloth  # noqa: F401  (before what it rewrites)
    found = SIDES[spec["do"]](spec)
    print("\n" + json.dumps(found))
    return 0


class Trial:
    """A base with its adapter and rows, without a run around them."""

    def __init__(self, spec: dict[str, Any]) -> None:
        import torch

        from qlora.adapter import add_adapter
        from qlora.base import find_base, load_tokenizer
        from qlora.load import load_model
        from qlora.prepare import prepare
        from qlora.settings import DataSettings, LoraSettings, TrainSettings
        from qlora.step import Stepper

        folder, backend = Path(spec["folder"]), spec.get("backend", "peft")
        self.options = TrainSettings(backend=backend, **spec["train"])
        base = find_base(str(folder / "base"))
        tokenizer = load_tokenizer(base)
        model = load_model(base, tokenizer, self.options, backend)
        lora = LoraSettings(r=4, alpha=8)
        self.adapted = add_adapter(model, tokenizer, lora, self.options, backend, base_name="base")
        data = DataSettings(source=str(folder / "rows.jsonl"), held_out_percent=0)
        self.data = prepare(data, tokenizer, self.options.context)
        self.stepper = Stepper(self.adapted, self.data, self.options, 4096)
        # A fresh adapter adds nothing; these numbers are the same on every device.
        random = torch.Generator().manual_seed(1)
        with torch.no_grad():
            for name, parameter in sorted(self.adapted.trainable().items()):
                if "lora_" in name:
                    parameter.copy_(torch.randn(parameter.shape, generator=random) * 0.05)


def gradient(spec: dict[str, Any]) -> dict[str, Any]:
    """Loss and gradient of a step."""
    import torch

    trial = Trial(spec)
    result = trial.stepper.gradient(ROWS)
    file = str(Path(spec["folder"]) / spec["out"])
    torch.save({name: p.grad.cpu() for name, p in trial.adapted.trainable().items() if p.grad is not None}, file)
    return {"loss": result.loss, "file": file}


def isolated(spec: dict[str, Any]) -> dict[str, Any]:
    """Largest difference of a row's token losses, in a pack and in one without walls, from those alone."""
    from dataclasses import replace

    import numpy as np
    import torch

    from qlora.packing import lay_out

    trial = Trial(spec)

    def losses(pack: list[int], row: int, *, walls: bool = True) -> Any:
        micro = lay_out(trial.data.table, pack, trial.data.supervised, packed=True)
        edges = np.searchsorted(micro.predicts, np.cumsum([0, *micro.lengths]))
        if not walls:
            micro = replace(micro, lengths=[micro.tokens], positions=np.arange(micro.tokens)[None])
        with torch.no_grad():
            _, found = trial.stepper.forward(micro)
        place = pack.index(row)
        return found[edges[place] : edges[place + 1]].float().cpu()

    alone = losses([3], 3)
    packs = ([3, 4, 5], [4, 3, 5], [7, 1, 3], [10, 11, 3, 2])
    return {
        "packed": max(float((losses(pack, 3) - alone).abs().max()) for pack in packs),
        "open": float((losses([4, 3], 3, walls=False) - alone).abs().max()),
    }


def moved(spec: dict[str, Any]) -> dict[str, Any]:
    """How many token rows, and adapter parameters, one optimizer step has moved."""
    from qlora import optimizer

    trial = Trial(spec)
    adapted = trial.adapted
    before = {name: p.detach().clone() for name, p in adapted.trainable().items()}
    ends = {"embedding": adapted.embedding.rows, "head": adapted.head.rows}
    rows_before = {end: rows.detach().clone() for end, rows in ends.items()}
    optim = optimizer.build(adapted, trial.options)
    trial.stepper.gradient(ROWS)
    optim.step()
    changed = {end: int((rows != rows_before[end]).any(1).sum()) for end, rows in ends.items()}
    lora = [name for name in before if "lora_" in name]
    return {
        **changed,
        "adapter": sum(bool((adapted.trainable()[name] != before[name]).any()) for name in lora),
        "of": len(lora),
    }


def run(spec: dict[str, Any]) -> dict[str, Any]:
    """`qlora.train.train`, stopped after `stop` steps, with a part of the memory, or as it is."""
    import torch
    from rich.console import Console

    from qlora.settings import DataSettings, LoraSettings, QloraSettings, TrainSettings
    from qlora.step import Stepper
    from qlora.train import Snapshot, train

    if "fraction_of" in spec:
        total = torch.cuda.get_device_properties(0).total_memory
        torch.cuda.set_per_process_memory_fraction(spec["fraction_of"] / total)
    if "pretend_tokens" in spec:
        real = Stepper.forward

        def short_of_memory(self: Stepper, micro: Any) -> Any:
            if micro.tokens > spec["pretend_tokens"]:
                raise torch.OutOfMemoryError("CUDA out of memory. (pretended)")
            return real(self, micro)

        Stepper.forward = short_of_memory  # type: ignore[method-assign]
    folder = Path(spec["folder"])
    options = {"backend": spec.get("backend", "peft"), "max_steps": 10, "batch_rows": 8, "warmup_steps": 0,
               "learning_rate": 1e-3, "save_every": 5, "sample_every": 1, **spec["train"]}  # fmt: skip
    settings = QloraSettings(
        base=str(folder / "base"),
        data=DataSettings(source=str(folder / "rows.jsonl"), held_out_percent=0),
        train=TrainSettings(**options),
        lora=LoraSettings(r=4, alpha=8),
    )

    def stop(snapshot: Snapshot) -> dict[str, float]:
        if snapshot.step == spec.get("stop"):
            os.kill(os.getpid(), signal.SIGINT)  # as Ctrl-C: the step is ended and saved
        return {}

    out = folder / spec["out"]
    summary = train(settings, out, console=Console(quiet=True), on_sample=stop)
    log = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    gpu = torch.cuda.is_available()
    return {
        "losses": [entry["loss"] for entry in log],
        "stopped": summary.steps if summary.status == "interrupted" else None,
        "micro_tokens": summary.micro_tokens,
        "allocated": torch.cuda.max_memory_allocated() if gpu else 0,
        "reserved": torch.cuda.max_memory_reserved() if gpu else 0,
    }


def planned(spec: dict[str, Any]) -> dict[str, Any]:
    """Bytes that the plan says, without the CUDA context, and bytes that two steps allocate."""
    from qlora.plan import plan
    from qlora.settings import DataSettings, LoraSettings, QloraSettings, TrainSettings

    folder = Path(spec["folder"])
    settings = QloraSettings(
        base=str(folder / "base"),
        data=DataSettings(source=str(folder / "rows.jsonl"), held_out_percent=0),
        train=TrainSettings(backend="peft", **spec["train"]),
        lora=LoraSettings(r=4, alpha=8),
    )
    found = plan(settings)
    ran = run({**spec, "out": "planned"})
    from qlora_gpu import memory

    allocated = ran["allocated"] or int(memory()["allocated_gb"] * 1e9)
    total = found.memory["total"] - (found.memory["libraries"] if ran["allocated"] else 0)
    return {"planned": total, "allocated": allocated, "parts": found.memory, "reserved": ran["reserved"]}


SIDES: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "gradient": gradient,
    "isolation": isolated,
    "moved": moved,
    "run": run,
    "plan": planned,
}
