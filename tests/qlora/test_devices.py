"""A GPU that torch cannot use, and two where one is meant: a sentence each, before minutes are spent."""

from __future__ import annotations

import ctypes
import io
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from rich.console import Console
from test_training_run import recipe

from qlora import devices
from qlora.devices import Driver, announce_gpus, cuda_of_driver, nvidia_driver
from qlora.train import train
from runtime.errors import TrainError

RTX = "NVIDIA GeForce RTX 4090"
OLD = Driver((RTX,), "550.54.14", (12, 4))


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Pretend a machine: `machine(driver, usable=..., built=..., count=...)`."""

    def pretend(driver: Driver | None, *, usable: bool = False, built: str | None = "13.0", count: int = 1) -> None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
        monkeypatch.setattr(devices, "nvidia_driver", lambda: driver)
        monkeypatch.setattr(devices, "gpu_is_usable", lambda: usable)
        monkeypatch.setattr(torch.version, "cuda", built)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
        monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda _number: RTX)

    return pretend


def said(base: str | None = None, world: int = 1) -> list[str]:
    notes: list[str] = []
    announce_gpus(base, world, notes.append)
    return notes


def test_a_driver_too_old_for_torch_is_said_in_one_sentence_with_the_remedy(machine: Callable[..., None]) -> None:
    machine(OLD)
    (note,) = said()
    for part in (RTX, "CUDA 13.0", "550.54.14", "CUDA 12.4", "runs on the processor", "update the driver"):
        assert part in note


def test_a_machine_without_a_gpu_or_with_a_hidden_one_hears_nothing(
    machine: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    machine(None)
    assert said("some/base") == []
    machine(OLD)
    for value in ("", "-1"):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", value)
        assert said("some/base") == []


def test_a_large_base_is_refused_before_it_is_fetched_where_the_gpu_cannot_be_used(
    machine: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine(OLD)
    with pytest.raises(TrainError, match="too old for it") as caught:
        said("codellama/CodeLlama-7b-Instruct-hf")
    assert "CUDA_VISIBLE_DEVICES=" in caught.value.remedy
    (tmp_path / "model-1.safetensors").write_bytes(bytes(600))
    (tmp_path / "model-2.safetensors").write_bytes(bytes(600))
    assert len(said(str(tmp_path))) == 1
    monkeypatch.setattr(devices, "LARGE", 1000)
    with pytest.raises(TrainError, match="takes weeks"):
        said(str(tmp_path))


def test_two_gpus_where_one_is_meant_are_said_and_several_processes_are_not(machine: Callable[..., None]) -> None:
    machine(None, usable=True, count=2)
    (note,) = said("some/base")
    for part in ("2 GPUs", RTX, "CUDA_VISIBLE_DEVICES=1", "torchrun --nproc-per-node 2"):
        assert part in note
    assert said("some/base", world=2) == []
    machine(None, usable=True, count=1)
    assert said("some/base") == []


def test_training_says_it_before_the_first_row_is_read(
    machine: Callable[..., None], base: Callable[..., Path], tmp_path: Path
) -> None:
    machine(OLD)
    settings = recipe(base(), tmp_path / "no-such-rows.jsonl", max_steps=1)
    screen = io.StringIO()
    with pytest.raises(Exception, match="no-such-rows"):
        train(settings, tmp_path / "out", console=Console(file=screen, width=400))
    assert "550.54.14 is too old" in screen.getvalue()


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Put an nvidia-smi of this content first on the path."""

    def write(script: str) -> None:
        path = tmp_path / "nvidia-smi"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")

    return write


def test_the_driver_is_read_from_nvidia_smi(tool: Callable[[str], None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "cuda_of_driver", lambda: (12, 4))
    tool(f'echo "550.54.14, {RTX}"; echo "550.54.14, NVIDIA GeForce RTX 3060"')
    assert nvidia_driver() == Driver((RTX, "NVIDIA GeForce RTX 3060"), "550.54.14", (12, 4))


@pytest.mark.parametrize(
    "script", ["exit 9", "echo NVIDIA-SMI has failed; exit 9", "true", "echo No devices were found"]
)
def test_an_nvidia_smi_without_an_answer_is_no_driver(script: str, tool: Callable[[str], None]) -> None:
    tool(script)
    assert nvidia_driver() is None


def test_the_cuda_of_the_driver_is_asked_of_its_own_library(monkeypatch: pytest.MonkeyPatch) -> None:
    class Library:
        @staticmethod
        def cuDriverGetVersion(target: object) -> int:  # noqa: N802
            target._obj.value = 12040  # type: ignore[attr-defined]
            return 0

    monkeypatch.setattr(ctypes, "CDLL", lambda _name: Library)
    assert cuda_of_driver() == (12, 4)

    def absent(_name: str) -> object:
        raise OSError("no such library")

    monkeypatch.setattr(ctypes, "CDLL", absent)
    assert cuda_of_driver() is None
