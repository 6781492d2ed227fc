"""Which peak a device is held to, and that no step is said to do more than it."""

from __future__ import annotations

import io

import pytest
import torch
from rich.console import Console

from qlora import peak
from qlora.peak import Peak, Utilization, listed, peak_of
from qlora.progress import Progress, numbers_of

ENTRY = {"step": 1, "loss": 1.0, "lr": 1e-3, "tokens": 100, "supervised": 60, "padding": 0.0, "seconds": 0.5,
         "memory_gb": 1.0}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("NVIDIA B200", "B200"),
        ("NVIDIA H200", "H200"),
        ("NVIDIA H200 NVL", "H200 NVL"),
        ("NVIDIA H100 80GB HBM3", "H100"),
        ("NVIDIA H100 PCIe", "H100 PCIe"),
        ("NVIDIA H100 NVL", "H100 NVL"),
        ("NVIDIA A100-SXM4-80GB", "A100"),
        ("NVIDIA A100 80GB PCIe", "A100"),
        ("NVIDIA A100-PCIE-40GB", "A100"),
        ("NVIDIA L4", "L4"),
        ("NVIDIA L40S", "L40S"),
        ("NVIDIA RTX 6000 Ada Generation", "RTX 6000 Ada"),
        ("NVIDIA RTX A6000", "RTX A6000"),
        ("NVIDIA GeForce RTX 5090", "RTX 5090"),
        ("NVIDIA GeForce RTX 5080", "RTX 5080"),
        ("NVIDIA GeForce RTX 4090", "RTX 4090"),
        ("NVIDIA GeForce RTX 4080 SUPER", "RTX 4080 SUPER"),
        ("NVIDIA GeForce RTX 4070", "RTX 4070"),
        ("NVIDIA GeForce RTX 4070 Ti", "RTX 4070 Ti"),
        ("NVIDIA GeForce RTX 4060", "RTX 4060"),
        ("NVIDIA GeForce RTX 3080", "RTX 3080"),
        ("GeForce RTX 3060", "RTX 3060"),
    ],
)
def test_a_gpu_is_held_to_the_peak_of_its_own_model(name: str, model: str) -> None:
    assert listed(name, torch.bfloat16) == (model, peak.DATASHEET[model])


@pytest.mark.parametrize(
    "name",
    [
        "NVIDIA RTX A1000",
        "NVIDIA RTX A3000 Laptop GPU",
        "NVIDIA A10G",
        "NVIDIA RTX A400",
        "NVIDIA GeForce RTX 4090 Laptop GPU",
        "NVIDIA GeForce RTX 4090 D",
        "NVIDIA GeForce RTX 3080 with Max-Q Design",
        "NVIDIA A100-SXM4-40GB MIG 1g.5gb",
        "NVIDIA GH200 480GB",
        "NVIDIA L400",
        "NVIDIA GeForce GTX 1660",
        "Quadro RTX 6000",
        "",
    ],
)
def test_a_gpu_whose_name_only_resembles_a_listed_one_is_measured(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert listed(name, torch.bfloat16) is None
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _device: name)
    monkeypatch.setattr(peak, "measure", lambda *_: 5e12)
    peak_of.cache_clear()
    found = peak_of(torch.device("cuda", 7), torch.bfloat16)
    peak_of.cache_clear()
    assert (found.flops, found.measured) == (5e12, True)


def test_a_card_without_bfloat16_has_a_peak_in_float16_alone() -> None:
    assert listed("Tesla T4", torch.float16) == ("T4", 65e12)
    assert listed("Tesla T4", torch.bfloat16) is None


def test_a_listed_gpu_is_measured_in_float32_and_a_cpu_always_once_and_without_random_numbers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _device: "NVIDIA GeForce RTX 4090")
    peak_of.cache_clear()
    assert peak_of(torch.device("cuda", 7), torch.bfloat16) == Peak(165.2e12, "data sheet of RTX 4090, bfloat16", False)
    monkeypatch.setattr(peak, "measure", lambda *_: 5e12)
    assert peak_of(torch.device("cuda", 7), torch.float32).flops == 5e12
    monkeypatch.undo()
    peak_of.cache_clear()
    before = torch.random.get_rng_state()
    cpu = peak_of(torch.device("cpu"), torch.float32)
    assert cpu.flops > 1e8
    assert peak_of(torch.device("cpu"), torch.float32) is cpu
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What the next measurements of the peak give, in order."""
    values: list[float] = []
    monkeypatch.setattr(peak, "measure", lambda *_: values.pop(0))
    peak_of.cache_clear()
    yield values
    peak_of.cache_clear()


def test_a_peak_measured_on_a_busy_machine_is_measured_again_when_a_step_beats_it(measured: list[float]) -> None:
    measured += [1e9, 0.9e9, 4e9]
    said: list[str] = []
    use = Utilization(torch.device("cpu"), torch.float32, say=said.append)
    assert use(0.5e9, 1.0) == pytest.approx(0.5)
    assert said == []
    assert use(2e9, 1.0) == pytest.approx(0.5)  # 200 % of the first peak
    assert use.peak.flops == 4e9
    assert len(said) == 1
    assert measured == []


def test_a_use_that_stays_above_the_peak_is_left_out_and_no_time_is_lost_on_it_for_ever(measured: list[float]) -> None:
    measured += [1e9] * (1 + Utilization.MEASURED_AGAIN_AT_MOST)
    use = Utilization(torch.device("cpu"), torch.float32)
    assert use(2e9, 1.0) is None
    assert measured == []
    assert use(3e9, 1.0) is None
    assert use(4e9, 8.0) == pytest.approx(0.5)


def test_two_devices_share_a_step(measured: list[float]) -> None:
    measured += [1e9]
    assert Utilization(torch.device("cpu"), torch.float32, 2)(1e9, 1.0) == pytest.approx(0.5)


def test_a_step_without_a_use_is_shown_without_one() -> None:
    assert "MFU" not in numbers_of(ENTRY)
    assert "MFU 50%" in numbers_of({**ENTRY, "mfu": 0.5})
    screen = io.StringIO()
    Progress(Console(file=screen, width=200), steps=1, first=0).step(ENTRY)
    assert "1.0 GB" in screen.getvalue()
