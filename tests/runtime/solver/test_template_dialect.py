"""Dialects derived from chat templates, those that llama.cpp ships and templates that mean harm."""

from __future__ import annotations

import hashlib
import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runtime.errors import ModelError
from runtime.lce import DEFAULT_SYSTEM, Block
from runtime.solver.dialects.native import NativeDialect
from runtime.solver.dialects.template import Reading, as_record, derive, from_record, read_template
from runtime.solver.dialects.template.render import LONGEST_TEMPLATE, SECONDS, render

KNOWN: dict[str, dict[str, Any]] = json.loads(
    (Path(__file__).parent / "data" / "templates.json").read_text(encoding="utf-8")
)
CHATML = (
    "{% if tools %}<|im_start|>system\nTools: {{ tools | tojson }}<|im_end|>\n{% endif %}"
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}"
    "{% for c in m.tool_calls or [] %}\n<tool_call>\n{{ c.function | tojson }}\n</tool_call>{% endfor %}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def described(found: Reading) -> dict[str, Any]:
    """A reading without the long texts of its prompt."""
    if found.dialect is None:
        return {"refused": found.problem}
    call, result, think = found.dialect.call, found.dialect.result, found.dialect.think
    close = result.close
    if len(close) >= 200:
        close = f"sha256 {hashlib.sha256(close.encode()).hexdigest()}"
    return {
        "declares": found.declares,
        "call": [call.open, call.before, call.decode, call.after, call.close, call.end],
        "result": [result.open, close],
        "think": [think.open, think.close, think.prefilled] if think else None,
    }


def dialect_of(template: str, name: str = "python") -> NativeDialect:
    """The dialect derived from `template`, which has one."""
    found = derive(template, name=name)
    assert found.dialect is not None, found.problem
    return found.dialect


@pytest.mark.slow
def test_the_templates_that_llama_cpp_ships_give_their_known_forms(llama_cpp_models: Path) -> None:
    """`derive` holds the round trip: a call nothing was derived from is rendered as the form writes it."""
    files = sorted((llama_cpp_models / "templates").glob("*.jinja"))
    assert [file.stem for file in files] == list(KNOWN)

    def found(file: Path) -> dict[str, Any]:
        text = file.read_text(encoding="utf-8")
        return {"sha256": hashlib.sha256(text.encode()).hexdigest()} | described(derive(text))

    with ThreadPoolExecutor(2) as pool:
        rows = dict(zip([file.stem for file in files], pool.map(found, files), strict=True))
    assert rows == KNOWN
    assert sum(row.get("declares", False) for row in rows.values()) >= 55


def test_a_derived_prompt_is_what_the_template_renders() -> None:
    found = dialect_of(CHATML)
    values = {
        "messages": [{"role": "system", "content": "S"}, {"role": "user", "content": "Q"}],
        "add_generation_prompt": True,
    }
    plain = replace(found, plain=derive(CHATML).plain).in_mode("chain-of-thought").prompt("Q", "S")
    assert "".join(piece.text for piece in plain) == render(CHATML, [values]).results[0].text
    assert "Tools: [{" in "".join(piece.text for piece in found.prompt("Q", "S"))


def test_a_derived_history_is_what_the_template_renders() -> None:
    found = dialect_of(CHATML).in_mode("chain-of-thought")
    turns = [("user", "Q"), ("assistant", "A"), ("user", "R")]
    values = {"messages": [{"role": role, "content": text} for role, text in turns], "add_generation_prompt": True}
    made = found.prompt("R", DEFAULT_SYSTEM, [("Q", [Block("text", "A")])])
    assert "".join(piece.text for piece in made) == render(CHATML, [values]).results[0].text


def test_the_tool_has_the_name_the_model_was_trained_with() -> None:
    found = dialect_of(CHATML, "jupyter_code")
    assert found.call.name == "jupyter_code"
    assert '"name": "jupyter_code"' in found.call.before


def test_a_derived_dialect_is_kept_and_read_back(tmp_path: Path) -> None:
    first = read_template(CHATML, cache=tmp_path)
    (record,) = tmp_path.iterdir()
    assert read_template(CHATML, cache=tmp_path) == first
    assert first.dialect is not None
    assert from_record(json.loads(json.dumps(as_record(first.dialect)))) == first.dialect
    record.write_text('{"dialect": {}, "date": ""}')
    assert read_template(CHATML, cache=tmp_path) == first, "a damaged record is derived anew"


def test_a_prompt_with_a_date_is_derived_anew_the_next_day(tmp_path: Path) -> None:
    dated = "{{ strftime_now('%d %b %Y') }}" + CHATML
    assert read_template(dated, cache=tmp_path).is_dated
    (record,) = tmp_path.iterdir()
    kept = json.loads(record.read_text())
    kept["date"], kept["dialect"]["call"]["name"] = "2020-01-01", "stale"
    record.write_text(json.dumps(kept))
    again = read_template(dated, cache=tmp_path).dialect
    assert again is not None
    assert again.call.name == "python"


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{% macro a() %}{{ a() }}{% endmacro %}{{ a() }}", "it calls itself without an end"),
        ("{{ 'a' * 100000000 }}", "more than 1,000,000 characters"),
        ("{{ 'a' * 100000000000 }}", "memory"),
        ("{% for i in range(99999) %}aaaaaaaaaaaaaaaaaaaaaaaaaaa{% endfor %}", "more than 1,000,000 characters"),
        ("{% include '/etc/passwd' %}", "no loader"),
        ("{{ open('/etc/passwd').read() }}", "'open' is undefined"),
        ("{{ ''.__class__.__mro__[1].__subclasses__() }}", "unsafe"),
        ("{{ cycler.__init__.__globals__ }}", "unsafe"),
        ("{{ raise_exception('two\nlines') }}", "two lines"),
        ("{% if %}", "TemplateSyntaxError"),
        ("no messages at all", "does not stand in what it renders"),
    ],
)
def test_a_template_that_means_harm_gets_one_line(template: str, said: str) -> None:
    found = derive(template)
    assert found.dialect is None
    assert said in found.problem
    assert "\n" not in found.problem
    assert len(found.problem) < 500


@pytest.mark.slow
def test_a_template_that_does_not_end_is_ended() -> None:
    nested = "{% for i in range(99999) %}" * 4 + "{% endfor %}" * 4
    begun = time.monotonic()
    with pytest.raises(ModelError, match=r"did not end|was killed"):
        derive(nested)
    assert time.monotonic() - begun < SECONDS + 5


def test_a_template_that_is_too_long_is_not_rendered() -> None:
    with pytest.raises(ModelError, match="characters"):
        derive("x" * (LONGEST_TEMPLATE + 1))
