"""What a GPU really does is tried in a child: here on the processor, with pretended crashes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from qlora import probes
from qlora.probes import PROBES, Outcome, has_kernels, try_all

ROOT = Path(__file__).resolve().parent.parent.parent


def test_every_probe_runs_in_a_child_and_finds_the_processor_right() -> None:
    found = {outcome.name: outcome for outcome in try_all("cpu", seconds=240)}
    assert list(found) == list(PROBES)
    assert {found[name].state for name in ("seen", "matmul", "nf4", "attention")} == {"ok"}
    assert found["memory"].state == "note"
    assert 1e-4 < found["matmul"].figures["error"] < 2e-2
    assert found["matmul"].figures["flops"] > 1e8
    assert found["nf4"].figures["differing"] == 0
    assert 0.05 < found["nf4"].figures["loss"] < 0.12
    assert "math" in found["attention"].figures["kernels"]


def child_of(program: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the children of `try_all` be a Python program; the probes' names are in `names`."""
    real = subprocess.Popen
    header = (
        "import json, os, signal, sys, time\n"
        "names, seconds = sys.argv[2:-2], int(sys.argv[-1])\n"
        "def say(name): print(json.dumps({'name': name, 'state': 'ok', 'detail': 'well'}), flush=True)\n"
    )

    def start(command: list[str], **options: object) -> object:
        return real([sys.executable, "-c", header + program, *command[3:]], **options)  # type: ignore[call-overload]

    monkeypatch.setattr(probes.subprocess, "Popen", start)


def test_a_crash_is_the_outcome_of_its_probe_and_the_others_are_tried(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    child_of("for name in names:\n  os.kill(os.getpid(), 11) if name == 'nf4' else say(name)", monkeypatch)
    found = list(try_all("cuda", ["matmul", "nf4", "attention"]))
    assert [(outcome.name, outcome.state) for outcome in found] == [
        ("matmul", "ok"), ("nf4", "bad"), ("attention", "ok"),
    ]  # fmt: skip
    assert "SIGSEGV" in found[1].detail
    assert found[1].remedy


def test_a_hang_ends_in_time_and_is_the_outcome_of_the_probe_it_came_in(monkeypatch: pytest.MonkeyPatch) -> None:
    child_of("say(names[0])\nsignal.alarm(seconds)\nwhile True: time.sleep(1)", monkeypatch)
    found = list(try_all("cuda", ["matmul", "nf4"], seconds=1))
    assert [(outcome.name, outcome.state) for outcome in found] == [("matmul", "ok"), ("nf4", "bad")]
    assert "no answer within 1 s" in found[1].detail


def test_a_child_that_cannot_start_says_its_last_line(monkeypatch: pytest.MonkeyPatch) -> None:
    child_of("sys.exit('ImportError: libcudart.so.13')", monkeypatch)
    (found,) = try_all("cuda", ["seen"])
    assert found.state == "bad"
    assert "libcudart.so.13" in found.detail


def test_an_error_inside_a_probe_is_its_outcome_with_a_remedy(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(_device: str) -> Outcome:
        raise torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate")

    monkeypatch.setitem(PROBES, "nf4", broken)
    assert probes.main(["cpu", "nf4", "--seconds", "30"]) == 0
    said = capsys.readouterr().out
    assert '"bad"' in said
    assert "CUDA out of memory." in said
    assert "Tried" not in said
    assert probes.REMEDIES["nf4"][:20] in said


def wrong_product(monkeypatch: pytest.MonkeyPatch) -> None:
    real = torch.Tensor.__matmul__
    monkeypatch.setattr(torch.Tensor, "__matmul__", lambda a, b: real(a, b) * (1.1 if a.dtype == torch.bfloat16 else 1))


def wrong_codes(monkeypatch: pytest.MonkeyPatch) -> None:
    import bitsandbytes.functional as functional

    real, calls = functional.quantize_4bit, []

    def second_is_wrong(weight: torch.Tensor, **options: object) -> object:
        calls.append(1)
        return real(weight if len(calls) == 1 else -weight, **options)

    monkeypatch.setattr(functional, "quantize_4bit", second_is_wrong)


def wrong_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    real = torch.nn.functional.scaled_dot_product_attention

    def doubled(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, **options: object) -> torch.Tensor:
        if q.dtype == torch.bfloat16:
            v = v.clone()
            v.register_hook(lambda gradient: 2 * gradient) if v.requires_grad else None
        return real(q, k, v, **options)

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", doubled)


@pytest.mark.parametrize(
    ("name", "damage"), [("matmul", wrong_product), ("nf4", wrong_codes), ("attention", wrong_gradient)]
)
def test_wrong_numbers_are_found(
    name: str, damage: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    damage(monkeypatch)
    assert PROBES[name]("cpu").state == "bad"


def test_a_gpu_needs_kernels_of_its_own_major_version_or_ptx() -> None:
    built = ["sm_75", "sm_80", "sm_86", "sm_90", "sm_100", "sm_120"]
    assert has_kernels((8, 9), built)  # sm_86's cubin
    assert has_kernels((12, 0), built)
    assert not has_kernels((7, 0), built)  # V100: sm_75 is newer
    assert not has_kernels((6, 1), built)
    assert not has_kernels((13, 0), built)
    assert has_kernels((13, 0), [*built, "compute_120"])
    assert not has_kernels((9, 0), ["sm_75", "gfx1100"])


def test_what_triton_compiles_with_is_named_where_it_is_not_here(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(probes.sysconfig, "get_paths", lambda: {"include": str(tmp_path)})
    assert probes.triton_needs() == ["C compiler", f"Python.h ({tmp_path / 'Python.h'})"]
    (tmp_path / "Python.h").touch()
    compiler = tmp_path / "gcc"
    compiler.touch()
    compiler.chmod(0o755)
    assert probes.triton_needs() == []


def test_tritons_kernel_gives_right_numbers_in_its_interpreter() -> None:
    pytest.importorskip("triton", reason="triton comes with the gpu extra")
    done = subprocess.run(
        [sys.executable, "-m", "qlora.probes", "cpu", "triton"], cwd=ROOT, capture_output=True, text=True, timeout=120,
        env={**os.environ, "TRITON_INTERPRET": "1"},
    )  # fmt: skip
    assert '"ok"' in done.stdout, done.stdout + done.stderr
