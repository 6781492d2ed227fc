"""Fixtures that several rooms share, and where the suite computes: on the processor, on every machine."""

from __future__ import annotations

import os
from pathlib import Path

# Before anything imports torch. The suite holds exact float32 results and starts several processes, so it hides the
# GPU also where there is one; what needs a GPU stands in tests/gpu and runs apart (`make test-gpu`). With a driver and
# no visible GPU the import of unsloth would raise, hence its variable.
os.environ.update(
    {} if os.environ.get("MATHCODER_TEST_GPU") == "1" else {"CUDA_VISIBLE_DEVICES": "", "UNSLOTH_FORCE_CPU": "1"}
)

import hypothesis
import pytest

# A property is about values, never about this machine's speed on a busy day.
hypothesis.settings.register_profile("mathcoder", deadline=None)
hypothesis.settings.load_profile("mathcoder")

ROOT = Path(__file__).resolve().parent.parent
ON_GPU = os.environ.get("MATHCODER_TEST_GPU") == "1"
SHARED_DATA = Path(os.environ.get("MATHCODER_SHARED_DATA", ROOT.parent / "shared" / "data"))
GPU_TESTS = Path(__file__).resolve().parent / "gpu"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what cannot run here; of each such group one test is skipped, with the reason for all."""
    on_gpu = [item for item in items if item.path.is_relative_to(GPU_TESTS)]
    on_data = [item for item in items if "shared_data" in getattr(item, "fixturenames", ())]
    left_out = {id(item) for item in items if item not in on_gpu} if ON_GPU else set()
    for is_here, group, reason in (
        (ON_GPU, on_gpu, "needs a GPU; `make test-gpu` (MATHCODER_TEST_GPU=1) runs it"),
        (
            SHARED_DATA.is_dir(),
            on_data,
            f"needs the shared development data (MATHCODER_SHARED_DATA, not {SHARED_DATA})",
        ),
    ):
        if not is_here and group:
            group[0].add_marker(pytest.mark.skip(reason=f"{reason}, as do {len(group) - 1} others"))
            left_out |= {id(item) for item in group[1:]}
    config.hook.pytest_deselected(items=[item for item in items if id(item) in left_out])
    items[:] = [item for item in items if id(item) not in left_out]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of the shared development data; where it is absent, no test that needs it is run."""
    return SHARED_DATA


@pytest.fixture(scope="session")
def llama_cpp_models() -> Path:
    """llama.cpp's `models` folder: vocabularies without weights, and `templates/*.jinja`.

    They are in llama-cpp-python's source distribution, which is fetched once and kept in the cache; nothing of them is
    part of this project. Tests skip, saying so, where it cannot be had, and fail under CI.
    """
    import tarfile
    import tempfile

    from export.gguf.llamacpp import download, installed_version
    from runtime.errors import MathCoderError
    from runtime.files import cache_folder

    folder = cache_folder() / f"llama.cpp-{installed_version()}-models"
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".models-") as scratch:
        try:
            archive = download(Path(scratch), installed_version())
        except MathCoderError as error:
            if os.environ.get("CI"):
                raise
            pytest.skip(f"llama.cpp's templates and vocabularies cannot be fetched: {error.cause}")
        with tarfile.open(archive) as members:
            for member in members:
                member.name = member.name.partition("/vendor/llama.cpp/models/")[2]
                if member.name and member.isfile():
                    members.extract(member, Path(scratch) / "models", filter="data")
        try:
            (Path(scratch) / "models").rename(folder)
        except OSError:
            assert folder.is_dir()  # Another worker was faster.
    return folder


@pytest.fixture(scope="session")
def nano_base() -> Path:
    """Folder of the embedded nano base."""
    return ROOT / "recipes" / "nano" / "base"
