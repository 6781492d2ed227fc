"""Fixtures that several rooms share, and where the suite computes: on the processor, on every machine."""

from __future__ import annotations

import os
import shutil
import tempfile
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
GPU_TESTS = Path(__file__).resolve().parent / "gpu"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With MATHCODER_TEST_GPU=1 only tests/gpu runs; without it, each test in there is skipped."""
    apart = [item for item in items if item.path.is_relative_to(GPU_TESTS)]
    if ON_GPU:
        config.hook.pytest_deselected(items=[item for item in items if item not in apart])
        items[:] = apart
        return
    for item in apart:
        item.add_marker(pytest.mark.skip(reason="needs a GPU; `make test-gpu` (MATHCODER_TEST_GPU=1) runs it"))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of the shared development data; tests that need it skip, saying so, where it is absent."""
    folder = Path(os.environ.get("MATHCODER_SHARED_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"shared development data is not at {folder}; set MATHCODER_SHARED_DATA to where it is")
    return folder


@pytest.fixture(scope="session")
def llamacpp_models(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`models/` of llama.cpp as llama-cpp-python's source distribution has it: vocabularies of published models
    (`ggml-vocab-*.gguf`, no weights) and their chat templates (`templates/`). Fetched once; skips without network."""
    import tarfile

    from export.gguf.llamacpp import download, installed_version
    from runtime.errors import ExportError

    wanted = installed_version()
    folder = request.config.cache.mkdir("llama.cpp-models") / wanted  # type: ignore[union-attr]
    if not folder.is_dir():
        scratch = tmp_path_factory.mktemp("llama.cpp-models")
        try:
            archive = download(scratch, wanted)
        except ExportError as error:
            pytest.skip(str(error))
        with tarfile.open(archive) as tar:
            for member in tar:
                _, marker, inside = member.name.partition("/vendor/llama.cpp/models/")
                if marker and inside:
                    member.name = inside
                    tar.extract(member, scratch / "models", filter="data")
        archive.unlink()
        made = Path(tempfile.mkdtemp(dir=folder.parent))
        shutil.copytree(scratch / "models", made / "models")
        try:
            os.replace(made / "models", folder)
        except OSError:
            assert folder.is_dir()  # Another worker was faster.
        shutil.rmtree(made)
    return folder


@pytest.fixture(scope="session")
def nano_base() -> Path:
    """Folder of the embedded nano base."""
    return ROOT / "recipes" / "nano" / "base"
