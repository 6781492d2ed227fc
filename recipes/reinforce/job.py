"""One reinforcement run as one value: paths, questions and settings, all checked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from runtime.errors import InputError, ModelError

if TYPE_CHECKING:
    from qlora.settings import LoraSettings, TrainSettings
    from recipes.reinforce.questions import Questions
    from recipes.reinforce.settings import ReinforceSettings
    from runtime.sandbox import Limits
    from runtime.settings import SolverSettings


@dataclass(frozen=True)
class Job:
    """Everything `recipes.reinforce.loop.reinforce` needs.

    Attributes:
        name: of the run.
        gguf: the model to start from, merged: what llama.cpp samples from and torch trains on.
        questions: pool and held out; `source`: what the recipe calls the pool.
        out: the run folder.
        threads, gpu_layers: of llama.cpp; see `EngineSettings`.
    """

    name: str
    gguf: Path
    questions: Questions
    source: str
    options: ReinforceSettings
    train: TrainSettings
    lora: LoraSettings
    solve: SolverSettings
    limits: Limits
    out: Path
    threads: int | None = None
    gpu_layers: int = 0


def merged_model(base: str) -> Path:
    """The GGUF file of the model to start from.

    Args:
        base: a GGUF file, a run or model folder with one exported file in it, or the name of a packaged model.

    Raises:
        InputError: nothing is there, or a model that has no merged form yet.
        ModelError: the file is an adapter.
    """
    from export.gguf.file import read_gguf
    from recipes import smollm2
    from recipes.models import resolve

    if base == smollm2.NAME:
        return merged_smollm2()
    path = Path(base).expanduser()
    if path.is_dir():
        exported = sorted(p for f in (path, path / "export") for p in f.glob("*.gguf") if "adapter" not in p.name)
        if len(exported) != 1:
            found = (
                f"{len(exported)} GGUF files ({', '.join(p.name for p in exported)})" if exported else "no GGUF file"
            )
            raise InputError(
                f"{base} holds {found}, and reinforcement starts from one merged model",
                "nothing was started",
                "name the file" if exported else f"make one (mathcoder export {base} --quant Q8_0), and give that file",
            )
        path = exported[0]
    elif not path.is_file():
        if base.count("/") == 1 and not base.lower().endswith(".gguf"):
            raise InputError(
                f"{base} is not a file or folder here, and reinforcement starts from a merged model",
                "nothing was started",
                "check the path; a base on the hub is fine-tuned and exported first (mathcoder train, export)",
            )
        path = resolve(base)
    if read_gguf(path).metadata.get("general.type") == "adapter":
        raise ModelError(
            f"{path} is an adapter, and reinforcement starts from one merged model",
            "nothing was started",
            "merge it first: mathcoder export RUN --quant Q8_0",
        )
    return path


def sampled_file(gguf: Path, kind: str) -> Path:
    """The file that llama.cpp samples from: `gguf` itself, or its 16-bit copy in the cache."""
    from export.gguf.rewrite import half_precision
    from runtime.files import cache_folder, sha256_file

    if kind == "file":
        return gguf
    target = cache_folder() / "gguf" / f"{sha256_file(gguf)[:16]}-f16.gguf"
    if not target.is_file():
        half_precision(gguf, target)
    return target


def merged_smollm2() -> Path:
    """The packaged adapter merged into its base, made once and kept in the cache.

    Raises:
        InputError: the base is not on this machine.
    """
    from export.gguf.rewrite import merge_adapter
    from recipes import smollm2
    from recipes.models import resolve
    from runtime.files import cache_folder, sha256_file

    base = resolve(smollm2.NAME)
    target = cache_folder() / "gguf" / f"smollm2-135m-merged-{sha256_file(smollm2.ADAPTER)[:12]}-Q8_0.gguf"
    if not target.is_file():
        merge_adapter(base, smollm2.ADAPTER, target)
    return target
