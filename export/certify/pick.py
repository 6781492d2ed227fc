"""Which quantization is chosen by `--pick`: the smallest that still solves enough."""

from __future__ import annotations

from typing import Any

from export.gguf.quantize import UNQUANTIZED
from runtime.errors import ExportError


def pick(certificate: dict[str, Any], share: float) -> str:
    """The smallest certified type whose solve rate is at least `share` of the unquantized file's.

    Raises:
        ExportError: there is none, or no problem was solved at all, which would make every type as good as any.
    """
    models = certificate["models"]
    wide = next(entry for name, entry in models.items() if name in UNQUANTIZED)
    if wide["solved"]["correct"] == 0:
        raise ExportError(
            f"the unquantized file solves none of {wide['solved']['of']} problems, so solve rates tell nothing apart",
            "nothing was picked; all files were kept",
            "leave --pick away, or raise certify.problems",
        )
    needed = share * wide["solved"]["correct"]
    fit = [
        (models[name]["bytes"], name)
        for name, holds in certificate["files"].items()
        if holds and models[name]["solved"]["correct"] >= needed
    ]
    if not fit:
        raise ExportError(
            f"no certified type solves {share:.0%} of what the unquantized file does",
            "nothing was picked",
            "add wider types to --quant",
        )
    return min(fit)[1]
