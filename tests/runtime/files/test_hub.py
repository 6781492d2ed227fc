"""The hub: its real client against servers on loopback, and against none."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hub_server import COMMIT, HubHandler, served

pytest.importorskip("huggingface_hub", reason="fetching needs huggingface_hub (the train extra)")
ROOT = Path(__file__).resolve().parents[3]
FILES = {"config.json": b'{"model_type": "llama"}', "notes.txt": b"not asked for"}


@contextmanager
def hub(refusal: tuple[int, str] | None = None) -> Iterator[str]:
    """The endpoint of a hub with the repository `org/name`; with `refusal`, one that answers only that."""

    class Handler(HubHandler):
        def do_GET(self) -> None:
            if refusal is not None:
                self.refuse(*refusal)
            elif self.path.startswith("/api/models/org/name"):
                siblings = [{"rfilename": name} for name in FILES]
                told = {"id": "org/name", "modelId": "org/name", "sha": COMMIT, "siblings": siblings, "private": False}
                if "/tree/" in self.path:
                    listed = [{"type": "file", "path": n, "size": len(d), "oid": "0" * 40} for n, d in FILES.items()]
                    self.answer_json(listed)
                else:
                    self.answer_json(told)
            elif (name := self.path.rpartition("/")[2]) in FILES:
                self.answer_file(name, FILES[name])
            else:
                self.refuse(404, "RepoNotFound")

    with served(Handler) as endpoint:
        yield endpoint


def closed_port() -> str:
    """An endpoint where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


def call(endpoint: str, home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    removed = ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY")
    env = {key: value for key, value in os.environ.items() if key not in removed}
    env |= {"HF_ENDPOINT": endpoint, "HF_HOME": str(home), "PYTHONPATH": str(ROOT)}
    return subprocess.run([sys.executable, *words], capture_output=True, text=True, env=env, timeout=120, check=False)


FETCH = """
import sys
from runtime.errors import InputError
from runtime.files import fetch
try:
    folder = fetch(sys.argv[1], "model", ["*.json"], consequence="nothing was done", remedy="give a folder")
    print(sorted(path.name for path in folder.iterdir()))
except InputError as error:
    print(error.for_people())
"""


def test_what_was_fetched_once_is_found_again_without_the_hub(tmp_path: Path) -> None:
    with hub() as endpoint:
        told = call(endpoint, tmp_path, "-c", FETCH, "org/name")
        assert told.stdout == "['config.json']\n", told.stderr
    began = time.monotonic()
    again = call(closed_port(), tmp_path, "-c", FETCH, "org/name")
    assert again.stdout == "['config.json']\n", again.stderr
    assert time.monotonic() - began < 30, "the client's own five attempts take longer on a busy machine"


@pytest.mark.parametrize(
    ("refusal", "told"),
    [
        ((403, "GatedRepo"), "licence"),
        ((404, "RepoNotFound"), "none of that name"),
        ((401, "GatedRepo"), "hf auth login"),
    ],
)
def test_a_refusal_of_the_hub_is_one_sentence_on_what_to_do(
    tmp_path: Path, refusal: tuple[int, str], told: str
) -> None:
    with hub(refusal) as endpoint:
        done = call(endpoint, tmp_path, "-c", FETCH, "org/name")
    assert told in done.stdout
    assert "give a folder" in done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize(
    "words",
    [
        ("eval", "nano", "--data", "gsm8k", "--out", "out"),
        ("data", "stats", "MathLLMs/MathCodeInstruct"),
        ("plan", "llama-3.2-3b", "base=org/name"),
        ("train", "llama-3.2-3b", "base=org/name"),
    ],
    ids=" ".join,
)
def test_without_the_hub_a_verb_says_so_once_and_soon(tmp_path: Path, words: tuple[str, ...]) -> None:
    pytest.importorskip("datasets", reason="question sets of the hub need datasets (the train extra)")
    done = call(closed_port(), tmp_path, "-m", "recipes", *words)
    assert done.returncode in (1, 2)
    assert done.stderr.count("mathcoder:") == 1
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert "Retry" not in done.stderr
