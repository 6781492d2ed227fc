"""A run in the dialect of its base's template: no token is added, and the file names the dialect."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from export.certify.adapter import certify_adapter
from export.certify.check import check_gguf
from export.gguf.adapter import export_adapter
from export.gguf.file import USER_DEFINED, read_gguf
from export.merge.source import open_source
from export.pipeline import export
from export.settings import CertifySettings, ExportSettings
from qlora.settings import QloraSettings, TrainSettings
from qlora.train import train
from runtime.engine import load
from runtime.lce import CONTROL_TOKENS, DIALECT_META
from runtime.settings import EngineSettings
from runtime.solver.dialects import choose
from tests.export.factory import base_as_file, make_base
from tests.qlora.factory import sum_rows, write_jsonl

# A conversion starts a process that imports torch.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]
TEMPLATE = (
    "{% if tools %}<tools>{{ tools | tojson }}</tools>\n{% endif %}"
    "{% for m in messages %}<|im_start|>{{ 'user' if m.role == 'tool' else m.role }}\n"
    "{% if m.role == 'tool' %}<result>{{ m.content }}</result>{% else %}{{ m.content or '' }}{% endif %}"
    "{% for c in m.tool_calls or [] %}<tool_call>{{ c.function | tojson }}</tool_call>{% endfor %}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three steps on a tiny base with a chat template; some of its markers are tokens, some spelled."""
    from tokenizers import AddedToken
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = tmp_path_factory.mktemp("dialect")
    base = make_base(folder / "base")
    tokenizer = AutoTokenizer.from_pretrained(str(base))
    tokenizer.add_tokens([AddedToken(n, special=True, normalized=False) for n in ("<|im_start|>", "<|im_end|>")], True)
    tokenizer.add_tokens([AddedToken(n, special=False, normalized=False) for n in ("<tool_call>", "</tool_call>")])
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(str(base))
    model = AutoModelForCausalLM.from_pretrained(str(base))
    model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    model.save_pretrained(str(base))
    rows = sum_rows(40)
    # What a row spells is no token, in training and in the file alike.
    rows[1]["messages"][1]["content"][0]["content"] += " </tool_call> <|im_end|>"
    settings = QloraSettings(
        name="spoken",
        base=str(base),
        dialect="auto",
        data={"source": str(write_jsonl(folder / "rows.jsonl", rows)), "held_out_percent": 20},
        train=TrainSettings(quantize=False, batch_rows=4, max_steps=3, learning_rate=1e-2, backend="peft", context=512),
    )
    train(settings, folder / "run")
    return folder / "run"


def test_the_merged_file_is_certified_and_spoken_to_in_the_dialect(run: Path, converter: Any, tmp_path: Path) -> None:
    settings = ExportSettings(
        llama_cpp=converter.folder, certify=CertifySettings(rows=4, speed_tokens=0), quant=("F16",)
    )
    summary = export(run, settings, tmp_path)
    certificate = json.loads((tmp_path / "spoken.certificate.json").read_text())
    assert summary.ok, certificate["models"]
    merged = summary.files["F16"]
    file = read_gguf(merged)
    assert file.metadata[DIALECT_META] == "template"
    assert file.metadata["tokenizer.chat_template"] == TEMPLATE
    assert not set(CONTROL_TOKENS) & set(file.tokens)
    assert file.token_type(file.tokens.index("</tool_call>")) == USER_DEFINED
    report = check_gguf(merged)
    assert (report.dialect, report.problems) == ("template", [])
    engine = load(merged, settings=EngineSettings(n_ctx=128, threads=1))
    chosen = choose("auto", engine)
    assert (chosen.name, chosen.evidence) == ("template", "trained")
    engine.close()


def test_the_adapter_alone_is_certified_on_the_base_s_file(run: Path, converter: Any, tmp_path: Path) -> None:
    settings = ExportSettings(llama_cpp=converter.folder, certify=CertifySettings(rows=0), quant=("F16",))
    with base_as_file(run, settings, tmp_path) as (gguf, _, _):
        adapter = export_adapter(run, settings, tmp_path / "adapter")
        certificate = certify_adapter(open_source(run, settings), adapter, gguf, ExportSettings())
        assert certificate["certified"], certificate["reasons"]
        assert certificate["token_ids_equal"]
        engine = load(gguf, lora=adapter, settings=EngineSettings(n_ctx=128, threads=1))
        assert choose("auto", engine).evidence == "trained"
        engine.close()
