"""How many floating-point operations a second this device can do: the 100 % of MFU."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import torch

DATASHEET = {
    "B200": 2250e12,
    "H200": 989e12,
    "H200 NVL": 835e12,
    "H100": 989e12,
    "H100 NVL": 835e12,
    "H100 PCIe": 756e12,
    "A100": 312e12,
    "A40": 149.7e12,
    "A30": 165e12,
    "A10": 125e12,
    "L40S": 362e12,
    "L40": 181e12,
    "L4": 121e12,
    "RTX 6000 Ada": 364.2e12,
    "RTX A6000": 154.8e12,
    "RTX A5000": 111.1e12,
    "RTX A4000": 76.7e12,
    "RTX 5090": 209.5e12,
    "RTX 5080": 112.6e12,
    "RTX 5070 Ti": 87.9e12,
    "RTX 5070": 61.7e12,
    "RTX 5060 Ti": 47.4e12,
    "RTX 5060": 38.4e12,
    "RTX 4090": 165.2e12,
    "RTX 4080 SUPER": 104.4e12,
    "RTX 4080": 97.5e12,
    "RTX 4070 Ti SUPER": 88.2e12,
    "RTX 4070 Ti": 80.2e12,
    "RTX 4070 SUPER": 71e12,
    "RTX 4070": 58.3e12,
    "RTX 4060 Ti": 44.1e12,
    "RTX 4060": 30.2e12,
    "RTX 3090 Ti": 80e12,
    "RTX 3090": 71e12,
    "RTX 3080 Ti": 68.2e12,
    "RTX 3080": 59.5e12,
    "RTX 3070 Ti": 43.5e12,
    "RTX 3070": 40.6e12,
    "RTX 3060 Ti": 32.4e12,
    "RTX 3060": 25.5e12,
}
"""Dense bfloat16 and float16 FLOP/s with float32 sums, by the model's name.

From NVIDIA's data sheets and architecture papers; GeForce cards of the 30, 40 and 50 series run such products at twice
their float32 rate. Two cards of one name that differ in this (RTX 3080 with 12 GB) have the slower one's figure.
"""
FLOAT16_ONLY = {"T4": 65e12, "RTX 2080 Ti": 53.8e12}
"""The same for cards whose tensor cores do float16 and no bfloat16."""
_NEUTRAL = re.compile(r"nvidia|geforce|tesla|gpu|generation|\d+gb|hbm\d+e?|sxm\d*", re.IGNORECASE)
"""Words of a device's name that do not tell one chip from another."""
_SLOWER_ON_PCIE = ("h100",)


@dataclass(frozen=True)
class Peak:
    """FLOP/s at most, and where the number comes from.

    Attributes:
        flops: per second.
        source: for the screen.
        measured: on this machine, perhaps while it was busy; else from a data sheet.
    """

    flops: float
    source: str
    measured: bool = True


@cache
def peak_of(device: torch.device, dtype: torch.dtype) -> Peak:
    """The peak of `device` for products of matrices of `dtype`.

    A GPU in the table has its data sheet's figure in 16 bits; anything else is measured once, for a fraction of a
    second. A measured peak is what large products reach, so use held against it reads higher than against a data sheet.
    """
    name = str(dtype).removeprefix("torch.")
    if device.type == "cuda" and dtype in (torch.bfloat16, torch.float16):
        known = listed(torch.cuda.get_device_name(device), dtype)
        if known is not None:
            model, flops = known
            return Peak(flops, f"data sheet of {model}, {name}", measured=False)
    return Peak(measure(device, dtype), f"measured, {name} matrix product on {device.type}")


def listed(device_name: str, dtype: torch.dtype) -> tuple[str, float] | None:
    """The entry of the table whose words are all and only those of `device_name`, as the driver says it.

    So `RTX A1000`, `A10G`, `RTX 4090 Laptop GPU` and a slice of a GPU (MIG) are none of A100, A10, RTX 4090.
    """
    words = [word for word in re.split(r"[^A-Za-z0-9.]+", device_name) if word and not _NEUTRAL.fullmatch(word)]
    spelled = [word.lower() for word in words]
    if "pcie" in spelled and not set(spelled) & set(_SLOWER_ON_PCIE):
        spelled.remove("pcie")
    table = DATASHEET | (FLOAT16_ONLY if dtype == torch.float16 else {})
    return next(((model, flops) for model, flops in table.items() if model.lower().split() == spelled), None)


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


class Utilization:
    """The use of the devices of a run (MFU), step by step.

    A step cannot do more than the peak. One that seems to says that the peak was measured while the machine was busy:
    it is measured again, and what still reads above 1 is left out.
    """

    MEASURED_AGAIN_AT_MOST = 5

    def __init__(
        self, device: torch.device, dtype: torch.dtype, devices: int = 1, *, say: Callable[[str], None] = lambda _: None
    ) -> None:
        """
        Args:
            device, dtype: what computes, and in what.
            devices: of this kind, that share every step.
            say: told where the peak was measured again and is higher.
        """
        self.device, self.dtype, self.devices, self.say = device, dtype, devices, say
        self.peak = peak_of(device, dtype)
        self._left = self.MEASURED_AGAIN_AT_MOST if self.peak.measured else 0

    def __call__(self, flops: float, seconds: float) -> float | None:
        """Share of the peak, 0 to 1, of `flops` operations in `seconds`; None where it cannot be said."""
        rate = flops / seconds / self.devices
        while rate > self.peak.flops and self._left:
            self._left -= 1
            again = measure(self.device, self.dtype)
            if again > self.peak.flops:
                self.peak = Peak(again, self.peak.source)
                self.say(f"peak measured again: {again / 1e12:,.2f} TFLOP/s; the machine was busy before")
        return rate / self.peak.flops if rate <= self.peak.flops else None


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
