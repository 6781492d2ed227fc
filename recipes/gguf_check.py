"""Before training on a GGUF: does the model in torch say what the file says under llama.cpp?

Both read the same 16 short texts. A wrong name, a wrong order of rows or a wrong tokenizer shows at once, as a
divergence of whole nats; what remains is rounding, above all of llama.cpp's activations to 8 bits.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runtime.errors import ModelError
from runtime.files import write_text
from runtime.likeness import Likeness

if TYPE_CHECKING:
    from rich.console import Console

KL, TOP1 = 1e-2, 0.93
"""Limits: nats a token, and the share of positions with the same likeliest token."""
_RESULT = "comparison.json"
TEXTS = (
    "Four friends share 36 marbles equally. How many marbles does each of them get?",
    "A train leaves at 9:15 and arrives at 11:40. The trip takes two hours and twenty-five minutes.",
    "def area(width, height):\n    return width * height\n\nprint(area(3, 7))\n",
    "The sum of the angles in a triangle is 180 degrees, so the third angle is 180 - 35 - 75 = 70 degrees.",
    "In spring the snow melts, the rivers rise, and the fields along the banks are under water for weeks.",
    "Solve for x: 2x + 6 = 14. Subtract 6 from both sides: 2x = 8. Divide by 2: x = 4.",
    "import math\n\nvalues = [math.sqrt(n) for n in range(1, 6)]\nprint(sum(values) / len(values))\n",
    "She bought three notebooks at $2.50 each and paid with a ten dollar bill. Her change was $2.50.",
    "Water boils at 100 degrees Celsius at sea level; on a high mountain it boils at a lower temperature.",
    "The museum opens at ten. Children under twelve pay half, and on Sundays the entrance is free for everybody.",
    "To find the average of five numbers, add them up and divide the sum by five.",
    "for i in range(10):\n    if i % 2 == 0:\n        print(i, 'is even')\n",
    "A rectangle is 12 cm long and 5 cm wide. Its perimeter is 34 cm and its area is 60 square centimeters.",
    "He had 52 cards, lost 3, and found 1 again, which leaves him with 50.",
    "Dear Anna, thank you for your letter. We arrived safely on Monday and the weather has been fine since.",
    "15 % of 240 is 36, because 240 * 0.15 = 36. The new price is therefore 240 - 36 = 204 euros.",
)


def check_base(gguf: Path, folder: Path, console: Console | None = None) -> dict[str, Any]:
    """Compare the two once, show the figures, and keep them in the folder.

    Args:
        gguf: the file.
        folder: what `export.from_gguf.base_folder` made of it.
        console: where the figures go.

    Returns:
        `{"kl", "top1", "positions", "texts", "llama_cpp_python"}`.

    Raises:
        ModelError: token ids differ, or the models are not alike enough to train one and use the other.
    """
    from export.gguf.llamacpp import installed_version

    version = installed_version()
    result = _known(folder / _RESULT, version) or _compare(gguf, folder, version)
    if console is not None:
        console.print(
            f"base      {gguf.name}: torch against llama.cpp on {result['texts']} texts, {result['positions']} "
            f"positions: KL {result['kl']:.1e}, top-1 {result['top1']:.1%}",
            highlight=False,
        )
    if result["kl"] > KL or result["top1"] < TOP1:
        raise ModelError(
            f"in torch {gguf.name} is not what it is under llama.cpp (KL {result['kl']:.2g}, top-1 "
            f"{result['top1']:.1%}; allowed are {KL:g} and {TOP1:.0%})",
            "an adapter trained on the one would not fit the other",
            "take a file with wider weights (Q8_0, F16), or train on the model's Hugging Face folder",
        )
    return result


def _known(file: Path, version: str) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if found.get("llama_cpp_python") == version and found.get("texts") == len(TEXTS) else None


def _compare(gguf: Path, folder: Path, version: str) -> dict[str, Any]:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from export.certify.measure_worker import Measured
    from qlora.quiet import quiet_libraries
    from runtime.engine.llama.library import usable_cores

    with quiet_libraries():
        tokenizer = AutoTokenizer.from_pretrained(str(folder))
        model = AutoModelForCausalLM.from_pretrained(str(folder), dtype=torch.float32).eval()
    measured = Measured(str(gguf), n_ctx=512, threads=usable_cores())
    likeness = Likeness()
    for text in TEXTS:
        ids = list(tokenizer(text).input_ids)
        bos = [] if measured.vocabulary.bos is None else [measured.vocabulary.bos]
        if ids != bos + measured.vocabulary.encode(text):
            raise ModelError(
                f"the rebuilt tokenizer of {gguf.name} and llama.cpp's give different token ids for {text[:40]!r}",
                "a model trained with the one could not be asked with the other",
                "train on the model's Hugging Face folder",
            )
        measured.forget()
        theirs = measured.decode(ids, 0, set(range(len(ids))))
        with torch.inference_mode():
            ours = model(input_ids=torch.tensor([ids]), use_cache=False).logits[0].float().numpy()
        width = min(ours.shape[1], theirs.shape[1])
        likeness.add(theirs[:, :width], ours[:, :width])
    result = {"kl": likeness.kl, "top1": likeness.top1, "positions": likeness.positions, "texts": len(TEXTS),
              "llama_cpp_python": version}  # fmt: skip
    write_text(folder / _RESULT, json.dumps(result, indent=2))
    return result
