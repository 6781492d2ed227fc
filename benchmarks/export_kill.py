"""Kill an export with SIGKILL at ten points and finish it: the bytes must be an undisturbed one's.

    python benchmarks/export_kill.py [--run RUN] [--points 10] [--json FILE]

Without RUN a tiny random one is made. The points are spread evenly over the time an undisturbed export takes. Exit code
1 where a finished export differs from the undisturbed one.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.figures import Figures, add_json_argument

_CHILD = (
    "import sys; from export.pipeline import export; from export.settings import ExportSettings, CertifySettings; "
    "export(sys.argv[1], ExportSettings(quant=('F16', 'Q8_0', 'Q4_K_M'), keep_merged=True, shard_mb=1, "
    "certify=CertifySettings(speed_tokens=0)), sys.argv[2])"
)


def start(run: Path, out: Path) -> subprocess.Popen[bytes]:
    """An export in a process group of its own, so that its workers die with it."""
    root = Path(__file__).resolve().parent.parent
    environment = {**os.environ, "PYTHONPATH": str(root)}
    return subprocess.Popen(
        [sys.executable, "-c", _CHILD, str(run), str(out)], env=environment, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def finished(run: Path, out: Path) -> float:
    """Export without disturbance; returns the seconds it took."""
    begun = time.perf_counter()
    if code := start(run, out).wait():
        raise SystemExit(f"the export ended with code {code}")
    return time.perf_counter() - begun


def hashes(out: Path) -> dict[str, str]:
    """Of every tensor and GGUF file."""
    from runtime.files import sha256_file

    return {file.name: sha256_file(file) for file in sorted(out.rglob("*")) if file.suffix in (".gguf", ".safetensors")}


def main() -> int:
    """Compare every killed and finished export with the undisturbed one."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", type=Path)
    parser.add_argument("--points", type=int, default=10)
    add_json_argument(parser, "export_kill")
    arguments = parser.parse_args()
    points = arguments.points
    figures = Figures("export_kill", run=arguments.run and arguments.run.name, points=points)
    kills = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        run = arguments.run
        if run is None:
            from tests.export.factory import make_run

            make_run(folder / "made")
            run = folder / "made" / "run"
        seconds = finished(run, folder / "whole")
        wanted = hashes(folder / "whole")
        print(f"undisturbed: {seconds:.1f} s, {len(wanted)} files")
        equal = 0
        for point in range(1, points + 1):
            out = folder / "killed"
            process = start(run, out)
            at = seconds * point / (points + 1)
            time.sleep(at)
            alive = process.poll() is None
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            there = sorted(file.name for file in out.rglob("*") if file.is_file()) if out.exists() else []
            again = finished(run, out)
            same = hashes(out) == wanted and not any(file.name.endswith(".tmp") for file in out.rglob("*"))
            equal += same
            kills.append({"at": round(at, 2), "still_running": alive, "files": len(there), "equal": same})
            print(f"killed at {at:5.1f} s{'' if alive else ', when it had ended,'} ({len(there):2} files there), "
                  f"finished in {again:5.1f} s, bytes {'equal' if same else 'DIFFER'}", flush=True)  # fmt: skip
            shutil.rmtree(out)
        figures.add("undisturbed export", round(seconds, 2), unit="s")
        figures.add("killed while running", sum(kill["still_running"] for kill in kills), at_least=max(1, points - 2))
        figures.add("equal after a kill", equal, at_least=points)
        figures.details["kills"] = kills
    return figures.finish(arguments.json)


if __name__ == "__main__":
    sys.exit(main())
