"""`mathcoder models dialect`: the record of what a model is spoken to in."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from gguf_factory import write_model

from recipes.cli import main

TEMPLATE = (
    "{% if tools %}<|im_start|>system\nTools: {{ tools | tojson }}<|im_end|>\n{% endif %}"
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}"
    "{% for c in m.tool_calls or [] %}\n<tool_call>\n{{ c.function | tojson }}\n</tool_call>{% endfor %}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MATHCODER_CACHE", str(tmp_path / "cache"))
    control = ("<|im_start|>", "<|im_end|>", "<tool_call>", "</tool_call>")
    return write_model(tmp_path / "model.gguf", control=control, chat_template=TEMPLATE, end="<|im_end|>")


def test_the_record_holds_prompt_call_result_ends_and_evidence(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "dialect", str(model), "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert (record["dialect"], record["evidence"]) == ("template", "template")
    assert record["prompt"].startswith("<|im_start|>system\nTools: [{")
    call = '<tool_call>\n{"name": "python", "arguments": {"code": "print(6 * 7)"}}\n</tool_call><|im_end|>'
    assert record["call"] == call
    assert record["result"] == "\n<|im_start|>tool\n42<|im_end|>\n<|im_start|>assistant\n"
    assert "<|im_end|>" in record["ends"]


def test_the_record_is_shown_with_the_reason_first(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "dialect", str(model)]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("dialect template (template): its chat template declares tools")
    assert "\ncall\n  <tool_call>" in shown


def test_an_unknown_dialect_is_a_wrong_call(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "dialect", str(model), "--dialect", "klingon"]) == 2
    assert "hoose one of auto, lce" in capsys.readouterr().err
