"""How many floating-point operations a second this device can do: what the use of it (MFU) is held against."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cache

import torch

DATASHEET = {
    "B200": 2250e12,
    "H200": 989e12,
    "H100 NVL": 835e12,
    "H100 PCIe": 756e12,
    "H100": 989e12,
    "A100": 312e12,
    "A40": 149.7e12,
    "A30": 165e12,
    "A10": 125e12,
    "L40S": 362e12,
    "L40": 181e12,
    "L4": 121e12,
    "RTX 4090": 165e12,
    "RTX 3090": 71e12,
}
"""Dense bfloat16 FLOP/s with float32 sums, from NVIDIA's data sheets, by a part of the name; the first that fits."""


@dataclass(frozen=True)
class Peak:
    """FLOP/s at most, and where the number comes from."""

    flops: float
    source: str


@cache
def peak_of(device: torch.device, dtype: torch.dtype) -> Peak:
    """The peak of `device` for products of matrices of `dtype`.

    A GPU in the table has its data sheet's figure in bfloat16; anything else is measured once, for a fraction of a
    second. A measured peak is what large products reach, so use held against it reads higher than against a data sheet.
    """
    name = str(dtype).removeprefix("torch.")
    if device.type == "cuda" and dtype == torch.bfloat16:
        model = torch.cuda.get_device_name(device)
        for part, flops in DATASHEET.items():
            if part in model:
                return Peak(flops, f"data sheet of {part}, {name}")
    return Peak(measure(device, dtype), f"measured, {name} matrix product on {device.type}")


def measure(device: torch.device, dtype: torch.dtype) -> float:
    """FLOP/s of the fastest of some square matrix products."""
    size, rounds, products = (1024, 5, 1) if device.type == "cpu" else (4096, 5, 10)
    # Full of one number: no random numbers are drawn, on which an exact resume depends.
    a = torch.full((size, size), 0.5, device=device, dtype=dtype)
    fastest = float("inf")
    for _ in range(rounds):
        _wait(device)
        started = time.perf_counter()
        for _ in range(products):
            a @ a
        _wait(device)
        fastest = min(fastest, time.perf_counter() - started)
    return products * 2 * size**3 / fastest


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
