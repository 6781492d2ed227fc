"""Time of a whole export of the nano model, by stage, and its certificate.

    python benchmarks/export_nano.py [--run RUN] [--problems 200] [--quant F16,Q8_0,Q4_K_M] [--json FILE]

With RUN, that run is exported, and held-out problems of its recipe are solved with execution on every type; without, an
adapter is made on the nano base in a few steps (its answers mean nothing, its shapes and times do). Exit code 1 where
a target is missed: a minute for the whole export, Q8_0 within one problem in 200 of F16, every certificate held.
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

from benchmarks.figures import Figures, add_json_argument

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


def solved(file: Path, problems: int) -> int:
    """Held-out problems of known wordings that a file solves, greedily and with execution."""
    from recipes.nano.exam import sit
    from runtime.engine import load

    engine = load(file, n_ctx=8192)
    try:
        return sit(engine, "numbers", problems).solved
    finally:
        engine.close()


def child(arguments: argparse.Namespace) -> int:
    """The export that is timed, in a process of its own: imports are part of it."""
    from rich.console import Console

    from export.pipeline import export
    from export.settings import CertifySettings, ExportSettings

    settings = ExportSettings(quant=arguments.quant, certify=CertifySettings(rows=24))
    summary = export(arguments.run, settings, arguments.child, console=Console(width=120))
    facts = {"seconds": summary.seconds, "certified": summary.certified, "files": summary.files}
    (arguments.child / "summary.json").write_text(json.dumps(facts, default=str))
    return 0


def main() -> int:
    """Export in a fresh process and hold what it took against the targets."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", type=Path)
    parser.add_argument("--problems", type=int, default=200, help="solved by every type, where RUN is given")
    parser.add_argument("--quant", default="F16,Q8_0,Q4_K_M")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    add_json_argument(parser, "export_nano")
    arguments = parser.parse_args()
    if arguments.child is not None:
        return child(arguments)
    problems = arguments.problems if arguments.run is not None else 0
    figures = Figures("export_nano", run=arguments.run and arguments.run.name, problems=problems, quant=arguments.quant)
    with tempfile.TemporaryDirectory() as scratch:
        run, out = arguments.run or make_run(Path(scratch)), Path(scratch) / "out"
        command = [sys.executable, __file__, "--run", str(run), "--child", str(out), "--quant", arguments.quant]
        begun, cpu = time.perf_counter(), os.times()
        if os.spawnv(os.P_WAIT, sys.executable, command):
            raise SystemExit("the export failed")
        seconds, after = time.perf_counter() - begun, os.times()
        used = after.children_user - cpu.children_user + after.children_system - cpu.children_system
        summary = json.loads((out / "summary.json").read_text())
        figures.details["stages"] = summary["seconds"]
        figures.add("whole export", seconds, at_most=60.0, unit="s")
        figures.add("processor time", used, unit="s")
        if arguments.run is not None:
            figures.add("certified", sum(summary["certified"].values()), at_least=len(summary["certified"]))
        if problems:
            right = {name: solved(Path(file), problems) for name, file in summary["files"].items()}
            for name, count in right.items():
                figures.add(f"solved, {name}", count, unit=f"of {problems}")
            if {"F16", "Q8_0"} <= right.keys():
                allowed = max(1, problems // 200)
                figures.add("Q8_0 away from F16", abs(right["Q8_0"] - right["F16"]), at_most=allowed, unit="problems")
    return figures.finish(arguments.json)


if __name__ == "__main__":
    sys.exit(main())
