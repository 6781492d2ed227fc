"""The GPU's NF4 is the NF4 that `export` makes on the processor."""

from __future__ import annotations


def test_packed_bytes_and_weights_of_a_layer_are_those_of_the_processor() -> None:
    import bitsandbytes.functional as functional
    import torch

    torch.manual_seed(0)
    weight = (torch.randn(4096, 4096) * 0.02).to(torch.bfloat16)
    found = {}
    for device in ("cpu", "cuda"):
        packed, state = functional.quantize_4bit(
            weight.to(device), blocksize=64, compress_statistics=True, quant_type="nf4"
        )
        found[device] = packed.cpu().reshape(-1), functional.dequantize_4bit(packed, state).float().cpu()
    differing = (found["cpu"][0] != found["cuda"][0]).float().mean().item()
    assert differing < 1e-6
    assert torch.allclose(found["cpu"][1], found["cuda"][1], atol=1e-4)
