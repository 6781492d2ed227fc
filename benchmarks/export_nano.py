"""Time of a whole export of the nano model, by stage, and its certificate.

    python benchmarks/export_nano.py [--run RUN] [--problems N] [--quant F16,Q8_0,Q4_K_M]

With RUN, that run is exported; without, an adapter is made on the nano base in a few steps (its answers mean nothing,
its shapes and times do). With problems, they are solved with execution on every type.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

ROOT = Path(__file__).resolve().parent.parent


def make_run(folder: Path) -> Path:
    """A run on the nano base."""
    from tests.export.factory import ROWS, add_control_tokens, make_adapter, row

    base, run = ROOT / "recipes" / "nano" / "base", folder / "run"
    run.mkdir(parents=True)
    make_adapter(base, run / "adapter", add_control_tokens(base, run / "tokenizer"), steps=10)
    record = {"name": "nano", "base_path": str(base), "quantization": {"type": "nf4", "load_dtype": "float32"}}
    (run / "run.json").write_text(json.dumps(record))
    rows = [row(question, blocks) for question, blocks in ROWS] * 8
    (run / "held_out.jsonl").write_text("".join(json.dumps(one) + "\n" for one in rows))
    return run


def main() -> None:
    """Export in a fresh process and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", type=Path)
    parser.add_argument("--problems", type=int, default=0)
    parser.add_argument("--quant", default="F16,Q8_0")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child is None:
        with tempfile.TemporaryDirectory() as scratch:
            run = arguments.run or make_run(Path(scratch))
            command = [sys.executable, __file__, "--run", str(run), "--child", str(Path(scratch) / "out")]
            command += ["--problems", str(arguments.problems), "--quant", arguments.quant]
            begun, cpu = time.perf_counter(), os.times()
            if os.spawnv(os.P_WAIT, sys.executable, command):
                raise SystemExit("the export failed")
            after = os.times()
            used = after.children_user - cpu.children_user + after.children_system - cpu.children_system
            print(f"whole process: {time.perf_counter() - begun:.1f} s (at most 60), {used:.1f} s of processor time")
        return
    from rich.console import Console

    from export.pipeline import export
    from export.settings import CertifySettings, ExportSettings, parse_types

    settings = ExportSettings(
        quant=parse_types(arguments.quant), certify=CertifySettings(rows=24, problems=arguments.problems)
    )
    summary = export(arguments.run, settings, arguments.child, console=Console(width=120))
    print(json.dumps({"seconds": summary.seconds, "certified": summary.certified}))


if __name__ == "__main__":
    main()
