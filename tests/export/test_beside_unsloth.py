"""An export compares with plain models of transformers, or does not start."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest

from export.pipeline import export
from export.settings import CertifySettings, ExportSettings
from runtime.errors import ExportError, InputError


def test_an_export_does_not_start_where_unsloth_has_replaced_parts_of_transformers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "unsloth", ModuleType("unsloth"))
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    with pytest.raises(ExportError, match=r"unsloth was imported.*process of its own \(`mathcoder export RUN`\)"):
        export(tmp_path / "run")
    # Without a certificate no model is loaded: then it is the missing run that is told.
    with pytest.raises(InputError, match=r"does not exist|there is no"):
        export(tmp_path / "run", ExportSettings(certify=CertifySettings(rows=0)))


def test_on_a_processor_unsloth_leaves_transformers_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "unsloth", ModuleType("unsloth"))
    with pytest.raises(InputError, match=r"does not exist|there is no"):
        export(tmp_path / "run")
