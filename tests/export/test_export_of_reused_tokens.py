"""A run whose block tokens are its base's: the merged file and the adapter both say which is which."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from export.certify.adapter import certify_adapter
from export.certify.check import check_gguf
from export.gguf.adapter import export_adapter
from export.gguf.file import read_gguf
from export.merge.source import open_source
from export.pipeline import export
from export.settings import CertifySettings, ExportSettings
from qlora.settings import LoraSettings, QloraSettings, TrainSettings
from qlora.train import train
from runtime.engine import load
from runtime.errors import InputError
from runtime.lce import BASE_KEY, ROLES
from runtime.settings import EngineSettings
from tests.export.factory import base_as_file, make_base
from tests.qlora.factory import sum_rows, write_jsonl

# A conversion starts a process that imports torch.
pytestmark = pytest.mark.timeout(1200)
NAMES = {role: f"<own_{role}>" for role in ROLES}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three steps on a tiny base that has eight control tokens of its own."""
    from tokenizers import AddedToken
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = tmp_path_factory.mktemp("reused")
    base = make_base(folder / "base")
    tokenizer = AutoTokenizer.from_pretrained(str(base))
    tokenizer.add_tokens([AddedToken(name, special=True, normalized=False) for name in NAMES.values()], True)
    tokenizer.eos_token = NAMES["endofmessage"]
    tokenizer.save_pretrained(str(base))
    model = AutoModelForCausalLM.from_pretrained(str(base))
    model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    model.save_pretrained(str(base))
    settings = QloraSettings(
        name="reused",
        base=str(base),
        data={"source": str(write_jsonl(folder / "rows.jsonl", sum_rows(40))), "held_out_percent": 20},
        train=TrainSettings(quantize=False, batch_rows=4, max_steps=3, learning_rate=1e-2, backend="peft", context=256),
        lora=LoraSettings(r=32, alpha=32, control_tokens="reuse", reuse_tokens=NAMES),
    )
    train(settings, folder / "run")
    return folder / "run"


@pytest.fixture(scope="module")
def merged(run: Path, converter: Any) -> Path:
    """The merged model as F16."""
    settings = ExportSettings(
        llama_cpp=converter.folder, certify=CertifySettings(rows=2, speed_tokens=0), quant=("F16",)
    )
    summary = export(run, settings, run.parent / "out")
    assert summary.ok, json.loads((run.parent / "out" / "reused.certificate.json").read_text())["models"]
    return summary.files["F16"]


def assert_roles(engine: Any) -> None:
    for role, token in ROLES.items():
        index = engine.vocabulary.control_id(token)
        assert index is not None
        assert engine.vocabulary.name(index) == NAMES[role]


def test_the_merged_file_names_the_roles_and_the_solver_and_the_check_follow(merged: Path) -> None:
    report = check_gguf(merged)
    assert not report.problems
    assert report.dialect == "lce"
    assert report.facts["chat template"] == "the block format"
    tokens = read_gguf(merged).tokens
    assert {tokens[index] for index in report.control.values()} == set(NAMES.values())
    engine = load(merged, settings=EngineSettings(n_ctx=128, threads=1))
    assert_roles(engine)
    assert NAMES["assistant"] in engine.chat_template
    engine.close()


def test_the_adapter_alone_is_certified_on_the_base_s_file_and_used_there(
    run: Path, converter: Any, tmp_path: Path
) -> None:
    settings = ExportSettings(llama_cpp=converter.folder, certify=CertifySettings(rows=0), quant=("F16",))
    with base_as_file(run, settings, tmp_path) as (gguf, facts, record):
        adapter = export_adapter(run, settings.model_copy(update={"adapter_type": "q8_0"}), tmp_path / "adapter")
        assert read_gguf(adapter).metadata[BASE_KEY] == facts["sha256"]
        certificate = certify_adapter(open_source(run, settings), adapter, gguf, ExportSettings())
        assert certificate["certified"], certificate["reasons"]
        assert certificate["token_ids_equal"]
        engine = load(gguf, lora=adapter, settings=EngineSettings(n_ctx=128, threads=1))
        assert_roles(engine)
        engine.close()
        record.write_text(json.dumps({**facts, "adds_space": True}), encoding="utf-8")
        with pytest.raises(InputError, match="puts a space before every block, which training did not"):
            export_adapter(run, settings, tmp_path / "none")
