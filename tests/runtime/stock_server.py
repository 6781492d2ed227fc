"""The real `llama_cpp.server` on a free loopback port."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def stock_server(model: Path, *options: str) -> Iterator[str]:
    """Its base URL while it serves `model` on one thread; skips where the server's packages are missing."""
    for module in ("uvicorn", "starlette_context"):
        pytest.importorskip(module, reason="the server extra of llama-cpp-python is not installed")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "llama_cpp.server", "--model", str(model), "--port", str(port)]
    written = model.with_name("server.log")
    url = f"http://127.0.0.1:{port}/v1"
    with written.open("wb") as log:
        process = subprocess.Popen([*command, "--n_threads", "1", *options], stdout=log, stderr=log)
        try:
            for _ in range(600):
                assert process.poll() is None, written.read_text()[-2000:]
                try:
                    urllib.request.urlopen(f"{url}/models", timeout=1).close()
                    break
                except OSError:
                    time.sleep(0.2)
            yield url
        finally:
            # It would wait for open streams, and holds nothing worth keeping.
            process.kill()
            process.wait()
