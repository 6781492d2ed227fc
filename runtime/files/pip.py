"""A file fetched with pip: nothing is installed, and of the package alone."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path


def pip_download(
    folder: Path, pattern: str, arguments: list[str], environment: Mapping[str, str] | None = None
) -> tuple[Path | None, str]:
    """The file that `pip download` puts into `folder`, or None with pip's last word on why not.

    Args:
        folder: gets the file.
        pattern: of its name.
        arguments: what is fetched, and how; dependencies never are.
        environment: variables for pip, beside those of this process.
    """
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-input", "--disable-pip-version-check"]
    command += ["--no-deps", "--dest", str(folder), *arguments]
    done = subprocess.run(
        command, env={**os.environ, **(environment or {})}, capture_output=True, text=True, check=False
    )
    found = next(folder.glob(pattern), None)
    if found is not None and not done.returncode:
        return found, ""
    lines = [line for line in done.stderr.splitlines() if line.strip() and not line.startswith("WARNING")]
    return None, lines[-1].removeprefix("ERROR: ") if lines else f"pip ended with code {done.returncode}"
