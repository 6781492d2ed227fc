"""One of several processes, as torchrun starts it; `test_several_processes.py` reads what it leaves.

several.py PLAN.json     where PLAN is a list of {"settings", "out", and what is to go wrong or be sampled}
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parent.parent.parent), str(Path(__file__).parent)]

import torch  # noqa: E402
from rich.console import Console  # noqa: E402

import qlora.optimizer  # noqa: E402
from qlora.settings import QloraSettings  # noqa: E402
from qlora.step import Stepper  # noqa: E402
from qlora.train import Snapshot, train  # noqa: E402

torch.set_num_threads(1)

RANK = os.environ.get("RANK", "0")


def probe(snapshot: Snapshot) -> dict[str, float]:
    """A number that any change of the model as a whole would change, computed by the first process alone."""
    from qlora.adapter import inference

    with inference(snapshot.adapted):
        logits = snapshot.adapted.peft(input_ids=torch.tensor([[1, 40, 7, 50, 30]]), use_cache=False).logits
    return {"pass_at_1": float(logits.double().pow(2).mean())}


def main() -> None:
    """Run every entry of the plan, one after the other."""
    for entry in json.loads(Path(sys.argv[1]).read_text()):
        with mishaps(entry.get("memory", 0), entry.get("kill", [])):
            settings = QloraSettings.model_validate(entry["settings"])
            train(settings, entry["out"], console=Console(width=200), on_sample=probe)


@contextmanager
def mishaps(memory: int, killed: list[Any]) -> Iterator[None]:
    """The second process has room for `memory` tokens; `killed`: a rank, and the step that kills it."""
    forward, set_rate = Stepper.forward, qlora.optimizer.set_learning_rate
    steps = iter(range(1, 1000))

    def narrow(self: Any, micro: Any) -> Any:
        if memory and RANK == "1" and micro.ids.size > memory:
            raise torch.OutOfMemoryError("tried to allocate")
        return forward(self, micro)

    def deadly(*args: Any) -> None:
        if [RANK, next(steps)] == killed:
            os.kill(os.getpid(), signal.SIGKILL)
        set_rate(*args)

    Stepper.forward, qlora.optimizer.set_learning_rate = narrow, deadly  # type: ignore[method-assign]
    try:
        yield
    finally:
        Stepper.forward, qlora.optimizer.set_learning_rate = forward, set_rate  # type: ignore[method-assign]


if __name__ == "__main__":
    main()
