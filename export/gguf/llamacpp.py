"""llama.cpp's own converter in the version of the installed llama-cpp-python, without a compiler.

Neither the wheel nor PyPI's `gguf` holds the converter; the source distribution of llama-cpp-python does, under
`vendor/llama.cpp`. pip fetches that distribution once (so a person's index, proxy and certificates apply), its hash is
checked, and the few folders that are needed are unpacked into a cache.

`pip download` of a source distribution runs its build backend for metadata, which here would install a build
environment. pip looks the backend up by name, so a stand-in of that name which answers with name and version is put
first on its path: nothing of the distribution is executed.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tarfile
import tempfile
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from runtime.errors import ExportError, InputError
from runtime.files import cache_folder, sha256_file
from runtime.files.pip import pip_download

PACKAGE = "llama-cpp-python"
SHA256 = {"0.3.36": "832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e"}
"""SHA-256 of the source distributions this project knows; others are refused unless given by hand."""

TREES = {"0.3.36": "95c409163187f6e9d29fb6d426d5578c8c71e685e4788d70e8c89f0d2bbe1cdb"}
"""`tree_hash` of the converter in each of these distributions, for a folder that a person unpacked."""

_NEEDED = ("convert_hf_to_gguf.py", "convert_lora_to_gguf.py", "conversion", "gguf-py/gguf")
_WANTED = (*_NEEDED, "LICENSE", "models/ggml-vocab-llama-bpe.gguf.inp")
"""The last one is llama.cpp's own collection of awkward strings for tokenizers."""
_BACKEND = """
import pathlib

def prepare_metadata_for_build_wheel(folder, config_settings=None):
    name = "{module}-{version}.dist-info"
    target = pathlib.Path(folder, name)
    target.mkdir()
    (target / "METADATA").write_text("Metadata-Version: 2.1\\nName: {package}\\nVersion: {version}\\n")
    return name
"""


@dataclass(frozen=True)
class LlamaCpp:
    """A folder with llama.cpp's converter, where it is from, and what is odd about it."""

    folder: Path
    version: str
    origin: str
    mismatch: str | None = None
    """Why it may not be the converter that belongs to the installed llama.cpp; said to the person, no error."""

    @property
    def converter(self) -> Path:
        """`convert_hf_to_gguf.py`."""
        return self.folder / "convert_hf_to_gguf.py"


def installed_version() -> str:
    """Version of the installed llama-cpp-python.

    Raises:
        ExportError: it is not installed.
    """
    try:
        return version(PACKAGE)
    except PackageNotFoundError as error:
        message = f"{PACKAGE} is not installed"
        raise ExportError(message, "nothing can be converted", f"pip install {PACKAGE}") from error


def find(given: Path | None = None) -> LlamaCpp:
    """The converter: `given` (a folder or .tar.gz), else the cache, else fetched by pip.

    An archive that is given replaces what the cache holds for its version, and where the version's converter is known,
    a cache that differs from it is fetched again.

    Raises:
        InputError: `given` holds no converter, or is the source distribution of another version.
        ExportError: there is no network, or what came does not have the known hash.
    """
    wanted = installed_version()
    if given is not None and given.is_dir():
        for folder in (given, given / "vendor" / "llama.cpp"):
            if _is_complete(folder):
                return LlamaCpp(folder, wanted, str(given), _mismatch(folder, wanted))
        raise InputError(
            f"{given} holds no llama.cpp converter (convert_hf_to_gguf.py, conversion/ and gguf-py/)",
            "nothing was converted",
            f"point --llama-cpp at the source distribution of {PACKAGE} {wanted}, unpacked or as it is (.tar.gz)",
        )
    target = cache_folder() / f"llama.cpp-{wanted}"
    if given is not None:
        if not given.is_file():
            raise InputError(f"{given} does not exist", "nothing was converted", "check --llama-cpp")
        _unpack(given, target, wanted)
    elif not _is_usable(target, wanted):
        _fetch(target, wanted)
    return LlamaCpp(target, wanted, f"source distribution of {PACKAGE} {wanted}", _mismatch(target, wanted))


def is_at_hand() -> bool:
    """Whether the converter is already in the cache, so that no network is needed."""
    wanted = installed_version()
    return _is_usable(cache_folder() / f"llama.cpp-{wanted}", wanted)


def _is_complete(folder: Path) -> bool:
    return all((folder / name).exists() for name in _NEEDED)


def _is_usable(cached: Path, wanted: str) -> bool:
    return _is_complete(cached) and (wanted not in TREES or tree_hash(cached) == TREES[wanted])


def tree_hash(folder: Path) -> str:
    """SHA-256 over names and contents of the converter's Python files.

    It tells versions apart and finds damage and edits. It is no defence against a person who may write to the folder:
    bytecode, other files in it and the packages that the converter imports are not part of it.
    """
    digest = hashlib.sha256()
    for name in _NEEDED:
        files = sorted((folder / name).rglob("*.py")) if (folder / name).is_dir() else [folder / name]
        for file in files:
            digest.update(f"{file.relative_to(folder).as_posix()} {sha256_file(file)}\n".encode())
    return digest.hexdigest()


def _mismatch(folder: Path, wanted: str) -> str | None:
    if wanted not in TREES:
        return f"no converter of {PACKAGE} {wanted} is known to compare {folder} with"
    if tree_hash(folder) == TREES[wanted]:
        return None
    return f"{folder} differs from the converter of {PACKAGE} {wanted}, which is installed"


def _fetch(target: Path, wanted: str) -> None:
    if wanted not in SHA256:
        raise ExportError(
            f"the converter of {PACKAGE} {wanted} is not among those with a known hash ({', '.join(SHA256)})",
            "it is not fetched",
            f"pip install {PACKAGE}=={next(iter(SHA256))}, or give its source distribution with --llama-cpp FILE",
        )
    with tempfile.TemporaryDirectory(prefix="mathcoder-") as scratch:
        archive = download(Path(scratch), wanted)
        _unpack(archive, target, wanted)


def download(scratch: Path, wanted: str) -> Path:
    """Fetch the source distribution of `wanted` with pip into `scratch`; pip checks its hash.

    Raises:
        ExportError: there is no network.
    """
    backend = scratch / "backend" / "scikit_build_core"
    backend.mkdir(parents=True)
    (backend / "__init__.py").touch()
    text = _BACKEND.format(module=PACKAGE.replace("-", "_"), package=PACKAGE, version=wanted)
    (backend / "build.py").write_text(text, encoding="utf-8")
    requirements = scratch / "requirements.txt"
    requirements.write_text(f"{PACKAGE}=={wanted} --hash=sha256:{SHA256[wanted]}\n", encoding="utf-8")
    options = ["--no-build-isolation", "--no-binary", PACKAGE, "--require-hashes", "--requirement", str(requirements)]
    variables = {"PYTHONPATH": str(scratch / "backend")}
    found, reason = pip_download(scratch / "got", "*.tar.gz", options, variables)
    if found is None:
        raise ExportError(
            f"llama.cpp's converter could not be fetched ({reason})",
            "nothing was converted",
            f"connect to the network once, or download the source distribution of {PACKAGE} {wanted} (.tar.gz) "
            "elsewhere and pass it with --llama-cpp FILE",
        )
    return found


def _unpack(archive: Path, target: Path, wanted: str) -> None:
    """Unpack the converter atomically: a folder under the final name is always whole."""
    if (other := _version_in(archive)) not in (None, wanted):
        raise InputError(
            f"{archive.name} is the source distribution of {PACKAGE} {other}; {wanted} is installed",
            "converter and llama.cpp would not belong together; nothing was converted",
            f"give the source distribution of {PACKAGE} {wanted}",
        )
    digest = sha256_file(archive)
    if wanted in SHA256 and digest != SHA256[wanted]:
        raise ExportError(
            f"{archive.name} has the SHA-256 {digest}, expected {SHA256[wanted]}",
            "it is not used",
            f"fetch the source distribution of {PACKAGE} {wanted} again",
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        try:
            with tarfile.open(archive) as tar:
                for member in tar:
                    _, marker, inside = member.name.partition("/vendor/llama.cpp/")
                    if marker and any(inside == name or inside.startswith(name + "/") for name in _WANTED):
                        tar.extract(_renamed(member, inside), scratch, filter="data")
        except (tarfile.TarError, EOFError, OSError) as error:
            raise ExportError(f"{archive} is not a readable .tar.gz ({error})", "it is not used") from error
        if not _is_complete(scratch):
            raise ExportError(f"{archive} holds no vendor/llama.cpp with a converter", "it is not used")
        if _is_complete(target) and tree_hash(target) == tree_hash(scratch):
            return  # Left alone: another export may be running it.
        if target.exists():
            shutil.rmtree(target)
        os.replace(scratch, target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _version_in(archive: Path) -> str | None:
    """Version in the name of a source distribution's one folder; None where there is no such name."""
    try:
        with tarfile.open(archive) as tar:
            first = tar.next()
    except (tarfile.TarError, EOFError, OSError):
        return None  # `_unpack` says what is wrong with it
    name, dash, found = (first.name if first else "").partition("/")[0].rpartition("-")
    return found if dash and name.replace("_", "-") == PACKAGE else None


def _renamed(member: tarfile.TarInfo, name: str) -> tarfile.TarInfo:
    member.name = name
    return member
