"""The base model: found, checked, and loaded in 4-bit with the eight control tokens added."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qlora.architectures import architecture_of, refuse_untrainable, tested
from qlora.out_of_memory import is_out_of_memory
from qlora.quiet import quiet_libraries
from qlora.settings import Backend, LoraSettings, TrainSettings
from qlora.tokens import ENDS_KEY, add_control_tokens, reuse_control_tokens, segment_tokenizer
from qlora.weights import read_object, weight_files
from runtime.errors import InputError, MathCoderError, ModelError, TrainError
from runtime.files import fetch, sha256_file

if TYPE_CHECKING:
    import torch

BLOCKSIZE = 64
"""Weights that share one NF4 scale (arXiv 2305.14314, section 3)."""
ROWS_AT_A_TIME = 4096
"""Rows of an embedding that are summed in float64 at one time."""


@dataclass(frozen=True)
class BaseModel:
    """A base on disk.

    Attributes:
        name: what the recipe calls it.
        path: its folder.
        config: its config.json.
    """

    name: str
    path: Path
    config: dict[str, Any]

    @property
    def weight_files(self) -> list[Path]:
        """The safetensors files that hold its weights."""
        return weight_files(self.path)

    def sha256(self) -> str:
        """Of the weight file, or of the hashes of all weight files in the order of their names."""
        hashes = [_name_in_hub_cache(file) or sha256_file(file) for file in self.weight_files]
        return hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()

    @property
    def is_tested(self) -> bool:
        """Whether the loop was tested with its architecture."""
        return tested(self.config) is not None


def _name_in_hub_cache(file: Path) -> str | None:
    """The SHA-256 of a file that lies in the hub's cache, whose large files are named by it; None elsewhere.

    To hash the 13.5 GB of a 7B base takes 8 s from an NVMe disk and minutes from a slower one, at every start.
    """
    blob = file.resolve()
    in_cache = blob.parent.name == "blobs" and blob.parent.parent.name.startswith("models--")
    return blob.name if in_cache and re.fullmatch(r"[0-9a-f]{64}", blob.name) else None


def find_base(name: str, *, untested: bool = False) -> BaseModel:
    """Find a base by folder or hub id and check that it can be trained.

    Args:
        name: folder or hub id.
        untested: take an architecture outside the tested ones, too.

    Raises:
        InputError: there is no such base.
        ModelError: files are missing or broken, or the architecture or its quantization is not supported.
    """
    path = Path(name).expanduser()
    if not path.is_dir():
        path = _from_hub(name)
    if not (path / "config.json").is_file():
        raise ModelError(f"{path} has no config.json", "it is not a model folder", "check `base`")
    base = BaseModel(name, path, read_object(path / "config.json", "the base cannot be loaded"))
    _check(base, untested=untested)
    return base


def _from_hub(name: str) -> Path:
    if name.startswith((".", "/", "~")) or name.count("/") != 1:
        raise InputError(f"there is no base model {name}", "nothing was trained", "give a folder or a hub id ORG/NAME")
    with quiet_libraries():
        return fetch(
            name,
            "model",
            ["*.json", "*.safetensors", "tokenizer*", "*.txt", "*.jinja"],
            # Mistral's own format beside transformers': all weights a second time.
            ignored=["consolidated*"],
            consequence="nothing was trained",
            remedy="give a folder that holds the model",
        )


def _check(base: BaseModel, *, untested: bool) -> None:
    refuse_untrainable(base.name, base.config, untested=untested)
    quantization = base.config.get("quantization_config")
    if quantization and not (quantization.get("load_in_4bit") and quantization.get("bnb_4bit_quant_type") == "nf4"):
        method = quantization.get("quant_method", "an unknown method")
        raise ModelError(
            f"{base.name} is already quantized with {method}",
            "NF4 cannot be put on top of it",
            "use the base in 16 bits, or one quantized to NF4 by bitsandbytes",
        )
    weight_files(base.path)


def choose_backend(requested: Backend, *, sharded: bool = False) -> tuple[str, str]:
    """The backend to use and the reason, for the screen.

    Args:
        requested: what the recipe says.
        sharded: whether processes share the base (`train.fsdp`).

    Raises:
        TrainError: unsloth is asked for and not installed, or cannot do what is asked for.
    """
    from importlib.util import find_spec

    if sharded and requested == "unsloth":
        raise TrainError(
            "train.backend=unsloth needs the whole base in each process, and train.fsdp gives each a shard of it",
            "nothing was trained",
            "set train.backend=peft, or train.fsdp=false",
        )
    if sharded and requested == "auto":
        return "peft", "processes can share its layers"
    installed = find_spec("unsloth") is not None and find_spec("unsloth_zoo") is not None
    if requested == "peft":
        return "peft", "asked for"
    if requested == "unsloth":
        if not installed:
            raise TrainError(
                "train.backend is unsloth, which is not installed",
                "nothing was trained",
                "pip install 'mathcoder-toolkit[gpu]', or set train.backend=peft",
            )
        return "unsloth", "asked for"
    if not installed:
        return "peft", "unsloth is not installed"
    import torch

    if not torch.cuda.is_available():
        # There unsloth runs transformers' own modules, as the peft backend does, and takes seconds more to import.
        return "peft", "no GPU for unsloth's kernels"
    # Its kernels were only tested on a CPU, in Triton's interpreter; peft's loop is the one that all tests hold.
    return "peft", "unsloth has not been proved on a GPU by benchmarks/qlora_gpu.py; train.backend=unsloth takes it"


def has_bfloat16() -> bool:
    """Whether this GPU multiplies matrices of bfloat16: from compute capability 8.0 (Ampere) on.

    `torch.cuda.is_bf16_supported` counts emulation too, which costs a Turing card its tensor cores, and answers
    otherwise once unsloth was imported; this is asked before and after.
    """
    import torch

    return torch.cuda.get_device_capability() >= (8, 0)


def import_unsloth_first() -> None:
    """Unsloth rewrites parts of transformers and peft, and can do so only before others import them."""
    with quiet_libraries() as said:
        try:
            import unsloth  # noqa: F401
        except Exception as error:  # not narrower: its import patches a dozen libraries and raises what they raise
            raise TrainError(
                f"unsloth cannot be imported ({type(error).__name__}: {error})",
                "nothing was trained",
                f"set train.backend=peft, or repair the installation {said.getvalue()[-200:]}".strip(),
            ) from error


def device_and_dtype(settings: TrainSettings) -> tuple[torch.device, torch.dtype]:
    """Where to compute and in what, for `plan` and `train` alike.

    On a GPU bfloat16, or float16 (with a loss scale, see `qlora.loss_scale`) where it has none; on a CPU float32, which
    is also the measured choice with AVX-512: at the nano base's shapes its matrix products run at 131 GFLOP/s a core,
    bfloat16's at 76.
    """
    import torch

    gpu = torch.cuda.is_available()
    device = torch.device("cuda", torch.cuda.current_device()) if gpu else torch.device("cpu")
    if settings.compute_dtype != "auto":
        return device, getattr(torch, settings.compute_dtype)
    if not gpu:
        return device, torch.float32
    return device, torch.bfloat16 if has_bfloat16() else torch.float16


def load_tokenizer(base: BaseModel, lora: LoraSettings | None = None) -> Any:
    """The base's tokenizer with the eight control tokens added, or their roles given to tokens it has.

    Raises:
        ModelError: it is missing, broken or not a fast one.
    """
    with quiet_libraries():
        from transformers import AutoTokenizer

        try:
            tokenizer = AutoTokenizer.from_pretrained(str(base.path))
        except Exception as error:
            # Not narrower: for a broken tokenizer.json the Rust tokenizers raise Exception itself.
            if not (base.path / "tokenizer.json").is_file():
                raise ModelError(
                    f"{base.name} has no tokenizer.json, and its other files make no fast tokenizer",
                    "rows cannot be tokenized segment by segment",
                    "use a base whose folder has one, or fetch the base again",
                ) from error
            raise ModelError(
                f"the tokenizer of {base.name} cannot be loaded ({_first_line(error)})", "", "fetch the base again"
            ) from error
        if lora is not None and lora.control_tokens == "reuse":
            reuse_control_tokens(tokenizer, lora.reuse_tokens, tokenizer.init_kwargs.get(ENDS_KEY) or ())
        else:
            add_control_tokens(tokenizer)
        segment_tokenizer(tokenizer)
    return tokenizer


def load_model(base: BaseModel, tokenizer: Any, settings: TrainSettings, backend: str, *, on_host: bool = False) -> Any:
    """The base on its device, its linear layers in NF4 with double quantization, embeddings grown for the tokens.

    Rows of tokens that the base did not know start at the mean of the rows it knew, input and output.

    Args:
        base: what to load.
        tokenizer: with the control tokens.
        settings: of the training.
        backend: `peft` or `unsloth`.
        on_host: in the memory of the host, whatever computes later: the GPU gets it in parts.

    Raises:
        ModelError: a weight file is truncated or does not fit the configuration.
        TrainError: not enough memory for the weights.
    """
    import torch

    architecture = tested(base.config)
    if backend == "unsloth" and not (architecture and architecture.has_unsloth):
        raise TrainError(
            f"train.backend is unsloth, whose kernels were not tested with a {architecture_of(base.config)}",
            "nothing was trained",
            "set train.backend=peft",
        )
    device, dtype = device_and_dtype(settings)
    if on_host:
        device = torch.device("cpu")
    known = _known_tokens(base)
    with quiet_libraries(), _room_for(base, device):
        try:
            model = (_load_unsloth if backend == "unsloth" else _load_transformers)(base, settings, device, dtype)
        except MathCoderError:
            raise
        except Exception as error:
            if _is_too_large(error):
                raise
            # Not narrower: SafetensorError derives from Exception alone, and a config.json that does not fit its
            # weights fails in transformers' model code with whatever that line raises.
            raise ModelError(
                f"the weights of {base.name} cannot be loaded ({_first_line(error)})",
                "nothing was trained",
                "fetch the base again",
            ) from error
        _refuse_mixed(model, base, backend)
        _grow(model, tokenizer, known)
    return model


@contextmanager
def _room_for(base: BaseModel, device: torch.device) -> Iterator[None]:
    """Say what it means that memory runs out in here."""
    try:
        yield
    except (RuntimeError, ValueError, MemoryError, OSError) as error:
        if not _is_too_large(error):
            raise
        place = "this GPU" if device.type == "cuda" else "this machine"
        raise TrainError(
            f"the weights of {base.name} do not fit in the memory of {place}",
            "nothing was trained",
            "end what else uses that memory, or use a smaller base; `mathcoder plan` says what fits",
        ) from error


def _is_too_large(error: BaseException) -> bool:
    # What transformers' 4-bit loader says where accelerate found no room on the GPU for all layers.
    return is_out_of_memory(error) or "dispatched on the CPU" in str(error)


def _refuse_mixed(model: Any, base: BaseModel, backend: str) -> None:
    """Refuse a model that is partly transformers' and partly unsloth's.

    Raises:
        TrainError: one whose rows would see each other, or whose numbers are not those of its backend.
    """
    on_gpu = model.get_output_embeddings().weight.device.type == "cuda"
    if backend == "unsloth" and on_gpu and not by_unsloth(model):
        raise TrainError(
            f"unsloth has loaded {base.name} without its own forward pass",
            "the rows of a pack would see each other, so nothing was trained",
            "set train.backend=peft",
        )
    foreign = sorted({type(module).__name__ for module in model.modules() if _is_unsloths(type(module))})
    if backend == "peft" and foreign:
        raise TrainError(
            f"unsloth has replaced parts of transformers in this process ({', '.join(foreign[:3])})",
            "the peft backend would compute with them, so nothing was trained",
            "train in a process that has not imported unsloth (the command line does), or set train.backend=unsloth",
        )


def _is_unsloths(kind: type) -> bool:
    return kind.__module__.partition(".")[0].startswith("unsloth")


def _first_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0][:200]}"


def _quantization(settings: TrainSettings, dtype: torch.dtype) -> Any:
    from transformers import BitsAndBytesConfig

    if not settings.quantize:
        return None
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
    )


def _load_transformers(base: BaseModel, settings: TrainSettings, device: torch.device, dtype: torch.dtype) -> Any:
    from transformers import AutoModelForCausalLM

    import qlora.attention

    qlora.attention.register()
    attention = qlora.attention.NAME if settings.attention in ("auto", "rows") else settings.attention
    return AutoModelForCausalLM.from_pretrained(
        str(base.path),
        dtype=dtype,
        device_map={"": device},
        quantization_config=None if base.config.get("quantization_config") else _quantization(settings, dtype),
        attn_implementation=attention,
    )


def _load_unsloth(base: BaseModel, settings: TrainSettings, device: torch.device, dtype: torch.dtype) -> Any:
    from unsloth import FastLanguageModel

    model, _ = FastLanguageModel.from_pretrained(
        # A relative folder named like a hub id would be replaced by unsloth's own 4-bit upload of that model.
        str(base.path.resolve()),
        use_exact_model_name=True,
        max_seq_length=settings.context,
        load_in_4bit=settings.quantize,
        dtype=dtype,
        device_map={"": device},
        # On a card with little room it would go to the host, and half of every step with it.
        offload_embedding=False,
        use_gradient_checkpointing="unsloth" if device.type != "cpu" else False,
    )
    _restore_padding_row(model, base)
    if not by_unsloth(model):
        # On a CPU unsloth runs transformers' own attention, so ours can take its place; on a GPU it has its own.
        import qlora.attention

        qlora.attention.register()
        attention = qlora.attention.NAME if settings.attention in ("auto", "rows") else settings.attention
        model.config._attn_implementation = attention
    return model


def _restore_padding_row(model: Any, base: BaseModel) -> None:
    """Give the embedding's row for padding its own numbers again.

    unsloth takes a token of the base for padding where the base names none, `<unk>` of Llama, and sets its row to zero:
    the mean that new rows start at would be another than that of the base which is exported.
    """
    import torch
    from safetensors import safe_open

    embedding = model.get_input_embeddings()
    name = next((name for name, module in model.named_modules() if module is embedding), "")
    for file in base.weight_files if embedding.padding_idx is not None else []:
        with safe_open(file, "pt") as tensors:
            if f"{name}.weight" in tensors.keys():  # noqa: SIM118 - it is no dict
                row = tensors.get_slice(f"{name}.weight")[embedding.padding_idx]
                with torch.no_grad():
                    embedding.weight[embedding.padding_idx] = row.to(embedding.weight)


def by_unsloth(model: Any) -> bool:
    """Whether unsloth's own forward pass computes `model`, and not transformers' (which it uses on a CPU)."""
    return bool(getattr(model, "_unsloth_fast_path", False))


def _known_tokens(base: BaseModel) -> int:
    """Rows of the base's embedding that belong to tokens (published bases pad theirs to a round number)."""
    from transformers import AutoTokenizer

    with quiet_libraries():
        return len(AutoTokenizer.from_pretrained(str(base.path)))


def _grow(model: Any, tokenizer: Any, known: int) -> None:
    import torch

    rows = model.get_input_embeddings().weight.shape[0]
    if len(tokenizer) > rows:
        model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    new = torch.arange(known, len(tokenizer))
    weights = [model.get_input_embeddings().weight]
    if model.get_output_embeddings().weight is not weights[0]:
        weights.append(model.get_output_embeddings().weight)
    with torch.no_grad():
        for weight in weights:
            weight[new.to(weight.device)] = _mean_row(weight[: min(known, rows)]).to(weight.dtype)


def _mean_row(weight: torch.Tensor) -> torch.Tensor:
    """[H] float64 mean of the rows of `weight`.

    In float64: a sum of 150,000 rows in bfloat16 would stop growing long before its end. A part at a time: a float64
    copy of a whole embedding is several GB, on a GPU that the base has all but filled.
    """
    import torch

    total = torch.zeros(weight.shape[1], dtype=torch.float64, device=weight.device)
    for part in weight.split(ROWS_AT_A_TIME):
        total += part.double().sum(0)
    return total / len(weight)
