"""`mathcoder models get hf:...`: the real client against a hub that breaks off, lies and refuses."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

pytest.importorskip("huggingface_hub", reason="fetching needs huggingface_hub (the hub extra)")
ROOT = Path(__file__).resolve().parents[3]
PIECE = 1 << 20
COMMIT = "0123456789abcdef0123456789abcdef01234567"
REPOSITORY = "org/tiny-GGUF"


def weights(seed: int, size: int = 3_000_000) -> bytes:
    """A file that begins as a GGUF file does."""
    return b"GGUF" + bytes([3, 0, 0, 0]) + bytes(16) + (hashlib.sha256(bytes([seed])).digest() * (size // 32))


class Hub:
    """A hub with one repository, and what it does wrong.

    Attributes:
        files: what the repository holds.
        longer: bytes that it sends beyond what it tells of.
        listed: what it says of them (size and SHA-256), where that differs from what it sends.
        cut_after: bytes after which it ends each of the next connections, one by one.
        refusal: status and error code that it answers downloads with.
        ranges: where each download began.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.listed: dict[str, dict[str, Any]] = {}
        self.cut_after: list[int] = []
        self.refusal: tuple[int, str] | None = None
        self.ranges: list[int] = []
        self.longer = 0
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path = self.path.partition("?")[0]
                if path == f"/api/models/{REPOSITORY}":
                    body = json.dumps({"id": REPOSITORY, "sha": COMMIT, "siblings": hub.siblings()}).encode()
                    self.answer(200, body, {"Content-Type": "application/json"})
                elif hub.refusal is not None:
                    self.answer(hub.refusal[0], b"{}", {"X-Error-Code": hub.refusal[1]})
                elif (file := path.removeprefix(f"/{REPOSITORY}/resolve/{COMMIT}/")) in hub.files:
                    self.send_file(hub.files[file])
                else:
                    self.answer(404, b"{}", {"X-Error-Code": "RepoNotFound"})

            def send_file(self, data: bytes) -> None:
                wanted = self.headers.get("Range")
                begin = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
                hub.ranges.append(begin)
                data += bytes(hub.longer)
                told = {"Content-Range": f"bytes {begin}-{len(data) - 1}/{len(data)}"} if wanted else {}
                self.send_response(206 if wanted else 200)
                for key, value in {**told, "Content-Length": str(len(data) - begin)}.items():
                    self.send_header(key, value)
                self.end_headers()
                stop = hub.cut_after.pop(0) if hub.cut_after else len(data)
                self.wfile.write(data[begin : begin + stop])
                self.close_connection = True

            def answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
                self.send_response(status)
                for key, value in {**headers, "Content-Length": str(len(body))}.items():
                    self.send_header(key, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Nothing on the screen."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def siblings(self) -> list[dict[str, Any]]:
        result = []
        for name, data in self.files.items():
            told = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()} | self.listed.get(name, {})
            lfs = {"sha256": told["sha256"], "size": told["size"], "pointerSize": 130} if told["sha256"] else None
            result.append({"rfilename": name, "size": told["size"], "blobId": "0" * 40, "lfs": lfs})
        return result


@pytest.fixture
def hub() -> Iterator[Hub]:
    made = Hub()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def call(tmp_path: Path, hub: Hub) -> Any:
    def environment() -> dict[str, str]:
        removed = ("HF_HUB_OFFLINE", "HF_TOKEN", "http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY")
        env = {key: value for key, value in os.environ.items() if key not in removed}
        env |= {"HF_ENDPOINT": hub.endpoint, "HF_HOME": str(tmp_path / "hf"), "PYTHONPATH": str(ROOT)}
        (tmp_path / "home").mkdir(exist_ok=True)
        return env | {"XDG_DATA_HOME": str(tmp_path / "data"), "HOME": str(tmp_path / "home"), "XDG_CACHE_HOME": ""}

    def run(*words: str, code: int = 0, endpoint: str = "", program: tuple[str, ...] = ("-m", "recipes")) -> Any:
        env = environment() | ({"HF_ENDPOINT": endpoint} if endpoint else {})
        done = subprocess.run(
            [sys.executable, *program, *words], capture_output=True, text=True, env=env, timeout=120, check=False,
            cwd=tmp_path, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode == code, done.stderr
        assert "fault of MathCoder" not in done.stderr
        return done

    run.environment = environment  # type: ignore[attr-defined]
    return run


def kept(tmp_path: Path) -> dict[str, bytes]:
    """The GGUF files in the models folder, by their path in the repository."""
    folder = tmp_path / "data" / "mathcoder" / "models" / "hf" / REPOSITORY
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.gguf"))}


def growing(tmp_path: Path) -> list[int]:
    """Sizes of what has come of files that are not whole."""
    return [path.stat().st_size for path in tmp_path.rglob("*.part")]


def test_the_usual_quantization_is_taken_told_listed_used_and_deleted(hub: Hub, call: Any, tmp_path: Path) -> None:
    hub.files = {f"tiny-{quant}.gguf": weights(seed) for seed, quant in enumerate(("Q8_0", "Q4_K_M", "F16"))}
    hub.files["mmproj-tiny-F16.gguf"] = weights(9)
    done = call("models", "get", f"hf:{REPOSITORY}")
    assert f"hf:{REPOSITORY}:Q4_K_M: 3.0 MB" in done.stderr
    assert "There is also F16 (3.0 MB), Q8_0 (3.0 MB)" in done.stderr
    assert kept(tmp_path) == {"tiny-Q4_K_M.gguf": hub.files["tiny-Q4_K_M.gguf"]}
    listed = json.loads(call("models", "--json").stdout)
    named = {item["name"]: item for item in listed}
    assert named[f"hf:{REPOSITORY}:Q4_K_M"]["bytes"] == len(hub.files["tiny-Q4_K_M.gguf"])
    assert "tiny-Q4_K_M" not in named, "it has one name"
    # A file of noise is not a model, but it is found by its name, in any case and without the tag.
    for name in (f"hf:{REPOSITORY}:q4_k_m", f"hf:{REPOSITORY}"):
        assert "llama.cpp cannot load" in call("solve", name, "1+1?", code=1).stderr
    assert "Add --yes" in call("models", "rm", f"hf:{REPOSITORY}:Q4_K_M", code=2).stderr
    call("models", "rm", f"hf:{REPOSITORY}:Q4_K_M", "--yes")
    assert list((tmp_path / "data" / "mathcoder" / "models" / "hf").rglob("*")) == []


def test_a_download_that_is_cut_goes_on_where_it_was_in_this_process_and_in_the_next(
    hub: Hub, call: Any, tmp_path: Path
) -> None:
    hub.files = {"tiny-Q4_K_M.gguf": weights(1)}
    hub.cut_after = [PIECE + 1000]
    call("models", "get", f"hf:{REPOSITORY}")
    assert hub.ranges == [0, PIECE], "whole pieces are kept"
    assert kept(tmp_path) == hub.files
    # Now until the client gives up: the first connection brings something, the following ones nothing.
    hub.files = {"tiny-Q4_K_M.gguf": weights(2)}
    hub.ranges, hub.cut_after = [], [2 * PIECE] + [0] * 7
    done = call("models", "get", f"hf:{REPOSITORY}", code=2)
    assert "what has come is kept" in done.stderr.lower()
    assert f"mathcoder models get hf:{REPOSITORY}:Q4_K_M" in done.stderr
    assert growing(tmp_path) == [2 * PIECE]
    assert "2.1 MB of 3.0 MB came" in " ".join(call("models").stdout.split())
    hub.ranges, hub.cut_after = [], []
    call("models", "get", f"hf:{REPOSITORY}:Q4_K_M")
    assert hub.ranges == [2 * PIECE]
    assert kept(tmp_path) == hub.files
    assert growing(tmp_path) == []


def test_a_file_with_another_hash_is_refused_and_not_kept(hub: Hub, call: Any, tmp_path: Path) -> None:
    hub.files = {"tiny-Q4_K_M.gguf": weights(1)}
    call("models", "get", f"hf:{REPOSITORY}")
    before = kept(tmp_path)
    hub.listed = {"tiny-Q4_K_M.gguf": {"sha256": hashlib.sha256(b"another").hexdigest()}}
    done = call("models", "get", f"hf:{REPOSITORY}", code=1)
    assert "SHA-256" in done.stderr
    assert "damaged or exchanged" in done.stderr
    assert kept(tmp_path) == before, "the file from before is still there"
    assert growing(tmp_path) == []


def test_more_than_the_hub_tells_of_is_not_written(hub: Hub, call: Any, tmp_path: Path) -> None:
    hub.files, hub.longer = {"tiny-Q4_K_M.gguf": weights(1)}, 50_000_000
    done = call("models", "get", f"hf:{REPOSITORY}", code=1)
    assert "the hub sends more of tiny-Q4_K_M.gguf than" in done.stderr
    assert growing(tmp_path) == [2 * PIECE]


def test_what_is_here_already_is_checked_and_not_fetched_again(hub: Hub, call: Any, tmp_path: Path) -> None:
    hub.files = {"tiny-Q4_K_M.gguf": weights(1)}
    call("models", "get", f"hf:{REPOSITORY}")
    hub.ranges = []
    assert "it is here already" in call("models", "get", f"hf:{REPOSITORY}").stderr
    assert hub.ranges == []
    # Damaged on the disk since, with the same length: fetched again.
    path = next((tmp_path / "data").rglob("*.gguf"))
    path.write_bytes(bytes(len(hub.files["tiny-Q4_K_M.gguf"])))
    call("models", "get", f"hf:{REPOSITORY}")
    assert kept(tmp_path) == hub.files
    call("models", "rm", f"hf:{REPOSITORY}", "--yes")
    assert kept(tmp_path) == {}


def test_a_model_in_several_files_is_one_model(hub: Hub, call: Any, tmp_path: Path) -> None:
    hub.files = {f"Q4_K_M/tiny-Q4_K_M-0000{n}-of-00003.gguf": weights(n, 500_000) for n in (1, 2, 3)}
    hub.files["Q8_0/tiny-Q8_0-00001-of-00002.gguf"] = weights(8)  # its second part is missing on the hub
    done = call("models", "get", f"hf:{REPOSITORY}")
    assert f"hf:{REPOSITORY}:Q4_K_M: 1.5 MB in 3 files" in done.stderr
    assert "Q8_0" not in done.stderr
    assert sorted(kept(tmp_path)) == [name for name in hub.files if "Q4" in name]
    listed = {item["name"]: item for item in json.loads(call("models", "--json").stdout)}
    item = listed[f"hf:{REPOSITORY}:Q4_K_M"]
    assert (item["parts"], item["path"][-len("00001-of-00003.gguf") :]) == (3, "00001-of-00003.gguf")
    (tmp_path / "data/mathcoder/models/hf" / REPOSITORY / "Q4_K_M/tiny-Q4_K_M-00002-of-00003.gguf").unlink()
    assert "1 of its 3 files are missing" in " ".join(call("models").stdout.split())


@pytest.mark.parametrize(
    ("refusal", "told"),
    [((403, "GatedRepo"), "its owners ask for a licence to be accepted"), ((404, "RepoNotFound"), "none of that name")],
)
def test_a_refusal_is_one_sentence(hub: Hub, call: Any, refusal: tuple[int, str], told: str) -> None:
    hub.files, hub.refusal = {"tiny-Q4_K_M.gguf": weights(1)}, refusal
    done = call("models", "get", f"hf:{REPOSITORY}", code=2)
    assert told in done.stderr
    assert done.stderr.count("mathcoder: ") == 1


def test_names_that_the_hub_does_not_know_are_a_sentence_each(hub: Hub, call: Any) -> None:
    hub.files = {"tiny-Q4_K_M.gguf": weights(1), "tiny-Q8_0.gguf": weights(2, 4_000_000)}
    done = call("models", "get", f"hf:{REPOSITORY}:Q2_K", code=2)
    assert "has no Q2_K" in done.stderr
    assert "Q4_K_M (3.0 MB), Q8_0 (4.0 MB)" in done.stderr
    assert "none of that name" in call("models", "get", "hf:org/none", code=2).stderr
    assert "Write hf:ORG/REPO[:QUANT]" in call("models", "get", "hf:justaname", code=2).stderr
    hub.files = {"model.safetensors": b"x"}
    assert "holds no GGUF file" in call("models", "get", f"hf:{REPOSITORY}", code=2).stderr


def test_a_hub_that_never_answers_is_given_up(call: Any) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        done = call("models", "get", f"hf:{REPOSITORY}", code=2, endpoint=endpoint, program=("-c", IMPATIENT))
    assert "the hub does not answer" in done.stderr


IMPATIENT = """
import sys
from runtime.files import hub
hub.ANSWER = 1.0
from recipes.cli import main
sys.exit(main(sys.argv[1:]))
"""


def test_without_a_network_it_says_so_at_once_and_a_chat_too(call: Any) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{probe.getsockname()[1]}"
    done = call("models", "get", f"hf:{REPOSITORY}", code=2, endpoint=nobody)
    assert "the hub cannot be reached" in done.stderr
    done = call("chat", f"hf:{REPOSITORY}", code=2, endpoint=nobody)
    assert f"mathcoder models get hf:{REPOSITORY}" in done.stderr


@pytest.mark.parametrize("path", ["../../outside-Q4_K_M.gguf", "{tmp}/outside-Q4_K_M.gguf", "a\x1b[2Jb-Q4_K_M.gguf"])
def test_a_file_name_that_would_leave_the_folder_or_drive_the_terminal_is_refused(
    hub: Hub, call: Any, tmp_path: Path, path: str
) -> None:
    hub.files = {path.format(tmp=tmp_path): weights(1)}
    done = call("models", "get", f"hf:{REPOSITORY}", code=1)
    assert "without a plain name" in done.stderr
    assert "\x1b" not in done.stderr
    assert not list(tmp_path.rglob("*Q4_K_M.gguf"))


def test_a_file_without_a_published_hash_is_refused(hub: Hub, call: Any) -> None:
    hub.files = {"tiny-Q4_K_M.gguf": weights(1)}
    hub.listed = {"tiny-Q4_K_M.gguf": {"sha256": None}}
    assert "without a SHA-256" in call("models", "get", f"hf:{REPOSITORY}", code=1).stderr


def test_a_disk_without_room_is_told_before_anything_is_fetched(hub: Hub, call: Any) -> None:
    hub.files = {"tiny-Q4_K_M.gguf": weights(1)}
    hub.listed = {"tiny-Q4_K_M.gguf": {"size": 10**16}}
    done = call("models", "get", f"hf:{REPOSITORY}", code=1)
    assert "needs 10000 TB more" in done.stderr
    assert hub.ranges == []


def test_a_chat_asks_before_it_fetches_and_no_is_no(hub: Hub, call: Any, tmp_path: Path) -> None:
    pexpect = pytest.importorskip("pexpect", reason="a terminal to answer at needs pexpect (the dev extra)")
    hub.files = {"nano-Q8_0.gguf": (ROOT / "recipes" / "nano" / "nano-q8_0.gguf").read_bytes()}

    def chat(answer: str) -> Any:
        env = call.environment() | {"TERM": "dumb", "COLUMNS": "200"}
        child = pexpect.spawn(
            sys.executable, ["-m", "recipes", "chat", f"hf:{REPOSITORY}", "--private"], env=env, encoding="utf-8",
            timeout=60, cwd=str(tmp_path), dimensions=(40, 200),
        )  # fmt: skip
        child.expect_exact(f"hf:{REPOSITORY}:Q8_0: 4.1 MB. It is not on this machine. Fetch it? [y/N]")
        child.sendline(answer)
        return child

    child = chat("n")
    child.expect_exact("is not on this machine. `mathcoder models get")
    child.expect(pexpect.EOF)
    assert hub.ranges == []
    child = chat("y")
    child.expect_exact("with nano-Q8_0.gguf")
    child.sendline("/quit")
    child.expect(pexpect.EOF)
    assert kept(tmp_path) == hub.files


FULL_DISK = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1_500_000, 1_500_000))
from recipes.cli import main
sys.exit(main(sys.argv[1:]))
"""


def test_a_disk_that_runs_full_on_the_way_keeps_what_has_come(hub: Hub, call: Any, tmp_path: Path) -> None:
    hub.files = {"tiny-Q4_K_M.gguf": weights(1)}
    done = call("models", "get", f"hf:{REPOSITORY}", code=1, program=("-c", FULL_DISK))
    assert "cannot be written" in done.stderr
    assert "What has come is kept" in done.stderr
    assert 0 < growing(tmp_path)[0] <= 1_500_000
    call("models", "get", f"hf:{REPOSITORY}")
    assert hub.ranges[-1] == 1_500_000
    assert kept(tmp_path) == hub.files
