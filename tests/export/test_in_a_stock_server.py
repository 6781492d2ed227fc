"""An exported model in other programs: a stock server and client, and our sandbox as the tool."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from stock_server import stock_server

from recipes.examples.openai_tools import calls_in, dialect_of, solve
from runtime.engine import load
from runtime.sandbox import Sandbox
from runtime.settings import EngineSettings, SolverSettings
from runtime.solver import Solver

openai = pytest.importorskip("openai", reason="the dev extra is not installed")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]
# Qwen's form: the calls are text between tokens that llama.cpp marks as a user's own, and results stand in a user turn.
TEMPLATE = (
    "{% if tools %}<|im_start|>system\n{{ tools | tojson }}<|im_end|>\n{% endif %}"
    "{% for m in messages %}{% if m.role == 'tool' %}<|im_start|>user\n<tool_response>\n{{ m.content }}\n"
    "</tool_response>{% else %}<|im_start|>{{ m.role }}\n{{ m.content or '' }}{% endif %}"
    "{% for c in m.tool_calls or [] %}\n<tool_call>\n{{ c.function | tojson }}\n</tool_call>{% endfor %}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SUMS = {"What is 17 * 23?": "391", "What is 8 - 11?": "-3"}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, converter: Any) -> Path:
    """A tiny base that learned two questions by heart, in the dialect of its chat template, exported."""
    import torch
    from tokenizers import AddedToken
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from export.pipeline import export
    from export.settings import CertifySettings, ExportSettings
    from qlora.settings import QloraSettings, TrainSettings
    from qlora.train import train
    from tests.export.factory import make_base
    from tests.qlora.factory import row_of, write_jsonl

    folder = tmp_path_factory.mktemp("stock")
    base = make_base(folder / "base", max_position_embeddings=1024)
    tokenizer = AutoTokenizer.from_pretrained(str(base))
    tokenizer.add_tokens([AddedToken(n, special=True, normalized=False) for n in ("<|im_start|>", "<|im_end|>")], True)
    spelled = ("<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>")
    tokenizer.add_tokens([AddedToken(name, special=False, normalized=False) for name in spelled])
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(str(base))
    net = AutoModelForCausalLM.from_pretrained(str(base))
    net.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    torch.manual_seed(0)
    for matrix in (net.get_input_embeddings().weight, net.get_output_embeddings().weight):
        torch.nn.init.normal_(matrix, std=0.3)  # So that few steps can tell tokens apart.
    net.save_pretrained(str(base))
    rows = [
        row_of(
            question,
            ("text", "We compute it."),
            ("code", f"print({question[8:-1]})"),
            ("execution", answer),
            ("text", f"It is \\boxed{{{answer}}}."),
        )
        for question, answer in SUMS.items()
    ]
    settings = QloraSettings(
        name="stock",
        base=str(base),
        dialect="auto",
        data={"source": str(write_jsonl(folder / "rows.jsonl", rows * 4)), "held_out_percent": 0},
        train=TrainSettings(
            quantize=False, batch_rows=2, max_steps=80, learning_rate=1e-2, backend="peft", context=1024
        ),
    )
    train(settings, folder / "run")
    chosen = ExportSettings(llama_cpp=converter.folder, certify=CertifySettings(rows=0, speed_tokens=0), quant=("F16",))
    return export(folder / "run", chosen, folder / "out").files["F16"]


@pytest.fixture(scope="module")
def client(model: Path) -> Iterator[Any]:
    with stock_server(model, "--n_ctx", "1024") as url:
        yield openai.OpenAI(base_url=url, api_key="none")


def test_a_stock_server_and_client_solve_with_our_sandbox_what_our_solver_solves(model: Path, client: Any) -> None:
    with load(model, settings=EngineSettings(n_ctx=1024, threads=1)) as engine, Sandbox() as sandbox:  # type: ignore[attr-defined]
        for question, gold in SUMS.items():
            ours = Solver(engine, sandbox, SolverSettings()).solve(question)
            answer, messages = solve(client, "m", question, sandbox, dialect_of(model))
            assert (ours.answer, answer) == (gold, gold), (ours.blocks, messages)
            outputs = [block.content for block in ours.blocks if block.type == "execution"]
            assert [m["content"] for m in messages if m["role"] == "tool"] == outputs == [gold]


def test_llama_cpp_server_leaves_calls_in_the_text(model: Path, client: Any) -> None:
    """What docs/dialects.md says of it; where a version reads them itself, the page can say so."""
    dialect = dialect_of(model)
    with Sandbox() as sandbox:
        _, messages = solve(client, "m", next(iter(SUMS)), sandbox, dialect)
    assert "tool_calls" not in messages[1]
    assert json.loads(calls_in(messages[1]["content"], dialect.call)[0][1]) == {"code": "print(17 * 23)"}
