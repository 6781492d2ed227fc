"""There and back: formats give the same blocks again, foreign files are read, GSM8K becomes code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rows_factory import good_row, read, row, write

import recipes.data.convert as converting
import recipes.data.journal as journal_module
from recipes.cli import main
from recipes.data import fenced, gsm8k, tools
from recipes.data.convert import convert
from recipes.data.formats import detect
from recipes.data.formats import read as read_any
from recipes.data.records import FormatError
from runtime.lce import Block
from runtime.sandbox import Limits

QUICK = Limits(cell_seconds=20.0)

contents = st.text(alphabet=st.sampled_from("ab1 \n\r\t`'\"\\{}é<|>#"), max_size=30) | st.sampled_from(
    ["```python\n1\n```", "````", "  ```output", "", "\n", "<<1+1=2>>"]
)


@st.composite
def solutions(draw: Any) -> list[tuple[str, str]]:
    blocks: list[tuple[str, str]] = []
    for kind in draw(st.lists(st.sampled_from(["text", "code", "cell"]), min_size=1, max_size=6)):
        blocks.append(("code" if kind == "cell" else kind, draw(contents)))
        if kind == "cell":
            blocks.append(("execution", draw(contents)))
    return [*blocks, ("text", "42")]


@given(solutions(), st.booleans())
@settings(max_examples=150)
def test_fenced_text_and_tool_calls_give_the_same_blocks_back(blocks: list[tuple[str, str]], system: bool) -> None:
    value = row("What?", *blocks)
    if not system:
        del value["messages"][0]
    for module in (fenced, tools):
        there = json.loads(json.dumps(module.write(value["messages"])))
        assert detect(there) == ("fenced" if module is fenced else "tools")
        assert read_any(there).messages() == value["messages"]


def test_fenced_text_without_spans_is_read_as_other_projects_write_it() -> None:
    there = fenced.write(good_row()["messages"])
    del there["spans"]
    blocks = read_any(there).turns[0][1]
    # The two last text blocks cannot be told apart in plain text; everything before them can.
    expected = [block["content"] for block in good_row()["messages"][-1]["content"]]
    assert [block.content for block in blocks] == [*expected[:-2], "\n".join(expected[-2:])]


def test_spans_that_no_longer_fit_an_edited_text_are_not_believed() -> None:
    there = fenced.write(good_row()["messages"])
    there["messages"][-1]["content"] = there["messages"][-1]["content"].replace(
        "She eats one.", "She eats exactly one."
    )
    contents = [block.content for block in read_any(there).turns[0][1]]
    assert "She eats exactly one." in contents
    assert "left = total - 1\nleft" in contents


def test_several_turns_go_there_and_back() -> None:
    value = good_row()
    value["messages"] += good_row(4, 5)["messages"][1:]
    for module in (fenced, tools):
        assert read_any(module.write(value["messages"])).messages() == value["messages"]


def called(calls: list[Any], outputs: list[Any]) -> dict[str, Any]:
    return {
        "messages": [
            {"role": "user", "content": "What?"},
            {"role": "assistant", "content": "Both:", "tool_calls": calls},
            *outputs,
            {"role": "assistant", "content": "3"},
        ]
    }


def python(arguments: Any, name: str = "python", **more: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "arguments": arguments}, **more}


def blocks_of(value: dict[str, Any]) -> list[tuple[str, str]]:
    return [(block.type, block.content) for block in read_any(value).turns[0][1]]


PARALLEL = [("text", "Both:"), ("code", "1"), ("execution", "one"), ("code", "2"), ("execution", "two"), ("text", "3")]


@pytest.mark.parametrize("ids", [("a", "b"), ("a", "a"), (None, None)])
def test_parallel_calls_get_their_own_outputs_even_where_ids_repeat_or_are_missing(ids: tuple[Any, Any]) -> None:
    calls = [python('{"code": "1"}', id=ids[0]), python('{"code": "2"}', id=ids[1])]
    outputs = [
        {"role": "tool", "tool_call_id": ids[0], "content": "one"},
        {"role": "tool", "tool_call_id": ids[1], "content": "two"},
    ]
    assert blocks_of(called(calls, outputs)) == PARALLEL
    if ids == ("a", "b"):
        assert blocks_of(called(calls, outputs[::-1])) == PARALLEL


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (python({"code": "1 + 1"}, "execute_python"), "1 + 1"),
        (python('{"query": "1 + 1"}', "python_repl_ast"), "1 + 1"),
        (python("x = 1\nx", "python"), "x = 1\nx"),
        (python("[1, 2]", "code_interpreter"), "[1, 2]"),
        (python("5", "ipython"), "5"),
        ({"type": "custom", "custom": {"name": "code_exec", "input": "2 ** 3"}}, "2 ** 3"),
        ({"type": "code_interpreter", "code_interpreter": {"input": "2 ** 3"}}, "2 ** 3"),
    ],
)
def test_the_usual_spellings_of_a_python_call_are_read(call: dict[str, Any], code: str) -> None:
    output = {"role": "tool", "content": [{"type": "text", "text": "x"}]}
    assert blocks_of(called([call], [output]))[1:3] == [("code", code), ("execution", "x")]


def test_the_older_function_call_is_read() -> None:
    value = {
        "messages": [
            {"role": "user", "content": "What?"},
            {"role": "assistant", "content": None, "function_call": {"name": "python", "arguments": '{"code": "1"}'}},
            {"role": "function", "name": "python", "content": "1"},
            {"role": "assistant", "content": "1"},
        ]
    }
    assert detect(value) == "tools"
    assert blocks_of(value) == [("code", "1"), ("execution", "1"), ("text", "1")]


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        (python('{"query": "capital of France"}', "web_search"), "'web_search', which holds no Python"),
        (python('{"code": "US"}', "get_country"), "'get_country', which holds no Python"),
        (python('{"code": "ls"}', "execute_bash"), "'execute_bash', which holds no Python"),
        (python("{}", "python"), "'python' without code"),
        ({"id": "x"}, "without a function"),
    ],
)
def test_a_call_of_another_tool_is_never_taken_for_python(call: dict[str, Any], reason: str) -> None:
    with pytest.raises(FormatError, match=reason):
        read_any(called([call], []))


def test_an_image_among_the_parts_is_told_as_the_reason() -> None:
    image = {"role": "tool", "content": [{"type": "image_url", "image_url": {"url": "data:"}}]}
    with pytest.raises(FormatError, match="is not text but 'image_url'"):
        read_any(called([python('{"code": "1"}')], [image]))


def test_fences_of_other_spellings_and_line_ends_are_read() -> None:
    text = "First.\r\n```Python\r\nx = 1\r\nx\r\n```\r\n```OUTPUT\r\n1\r\n```\r\nDone."
    assert fenced.parse(text) == [
        Block("text", "First."), Block("code", "x = 1\nx"), Block("execution", "1"), Block("text", "Done."),
    ]  # fmt: skip


def test_executions_come_from_running_the_code_and_what_the_record_claimed_is_counted(tmp_path: Path) -> None:
    tora = {
        "idx": 7,
        "question": "What is 6 times 7?",
        "gt": "42",
        "code": ["We multiply.\n```python\nprint(6 * 7)\n```\n```output\n41\n```\nThe answer is $\\boxed{42}$."],
    }
    call = {"id": "x", "type": "function", "function": {"name": "python", "arguments": '{"code": "2 ** 10"}'}}
    called = {
        "messages": [
            {"role": "user", "content": "What is two to the tenth?"},
            {"role": "assistant", "content": "", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "x", "content": "1024"},
            {"role": "assistant", "content": "It is \\boxed{1024}."},
        ]
    }
    marked = {"question": "Two apples and three?", "answer": "In all 2+3=<<2+3=5>>5 apples.\n#### 5"}
    out = tmp_path / "rows.jsonl"
    source = write(tmp_path / "mixed.jsonl", [tora, called, marked, good_row(), b"{nonsense\n", {"question": "?"}])
    report = convert(source, out, limits=QUICK, sessions=2)
    assert report.read == {"tora": 1, "tools": 1, "gsm8k": 1, "lce": 1, "unreadable": 1, "unknown": 1}
    assert (report.written, report.cells, report.differing) == (4, 3, 1)
    first, second, third, fourth = (
        [(block["type"], block["content"]) for block in value["messages"][-1]["content"]] for value in read(out)
    )
    assert first[1:3] == [("code", "print(6 * 7)"), ("execution", "42")]
    assert second[:2] == [("code", "2 ** 10"), ("execution", "1024")]
    assert third == [
        ("text", "In all 2+3="),
        ("code", "step1 = 2 + 3\nstep1"),
        ("execution", "5"),
        ("text", "5 apples.\n\nThe answer is \\boxed{5}."),
        ("text", "5"),
    ]
    assert fourth[-1] == ("text", "5")
    assert [entry["reason"].split(" (")[0] for entry in read(tmp_path / "rows.left-out.jsonl")] == [
        "not valid JSON",
        "of no known format",
    ]


def test_the_bare_answer_is_added_where_it_is_asked_for_and_only_there(tmp_path: Path) -> None:
    boxed = {"question": "6 * 7?", "code": "```python\n6 * 7\n```\nIt is \\boxed{42}."}
    source = write(tmp_path / "tora.jsonl", [boxed, good_row()])
    out = tmp_path / "rows.jsonl"
    convert(source, out, limits=QUICK, sessions=1)
    assert read(out)[0]["messages"][-1]["content"][-1]["content"] == "It is \\boxed{42}."
    convert(source, out, limits=QUICK, sessions=1, bare_answer=True)
    first, second = read(out)
    assert [block["content"] for block in first["messages"][-1]["content"][-2:]] == ["It is \\boxed{42}.", "42"]
    assert second == good_row()


def test_a_killed_conversion_goes_on_where_it_stopped_and_writes_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "CHUNK", 2)
    monkeypatch.setenv("MATHCODER_CACHE", str(tmp_path / "cache"))
    records: list[Any] = [
        {"question": f"{n} + 1?", "answer": f"<<{n}+1={n + 1}>>{n + 1}\n#### {n + 1}"} for n in range(6)
    ]
    records[3] = {"question": "?"}
    source = write(tmp_path / "gsm8k.jsonl", records)
    whole, out = tmp_path / "whole.jsonl", tmp_path / "rows.jsonl"
    expected = convert(source, whole, limits=QUICK, sessions=1)

    def kill(_: int) -> None:
        raise KeyboardInterrupt("by the test")

    with pytest.raises(KeyboardInterrupt, match="by the test"):
        convert(source, out, limits=QUICK, sessions=1, on_progress=kill)
    assert not out.exists(), "half a conversion is never taken for a whole one"
    [journal] = (tmp_path / "cache" / "data").glob("convert-????????????????.jsonl")
    with journal.open("a") as handle:
        handle.write('{"id": "1", "sample": 0, "ro')  # the line a SIGKILL cut
    ran: list[str] = []
    run_again = converting.convert_one
    monkeypatch.setattr(
        converting, "convert_one", lambda line, *a, **k: ran.append(line.place) or run_again(line, *a, **k)
    )
    assert convert(source, out, limits=QUICK, sessions=1) == expected
    assert 0 < len(ran) < len(records), "what the journal held was not converted again"
    assert out.read_bytes() == whole.read_bytes()
    assert not list((tmp_path / "cache" / "data").iterdir()), "the journal goes when the rows are written"


def test_code_that_never_ends_leaves_its_record_out(tmp_path: Path) -> None:
    source = write(tmp_path / "s.jsonl", [{"question": "Q?", "solution": "```python\nwhile True: pass\n```"}])
    report = convert(source, tmp_path / "out.jsonl", limits=Limits(cell_seconds=0.3), sessions=1)
    assert report.left_out == {"a cell that did not end": 1}


@pytest.mark.parametrize(
    "messages",
    [
        [{"role": "tool", "tool_call_id": "1", "content": "2"}],
        [{"role": "user", "content": "Q"}, {"role": "tool", "tool_call_id": "1", "content": "2"}],
        [
            {"role": "user", "content": "Q"},
            {"role": "assistant", "tool_calls": [{"function": {"name": "search", "arguments": '{"q": "x"}'}}]},
        ],
        [{"role": "user", "content": "Q"}, {"role": "assistant", "tool_calls": [{"id": "1"}]}],
    ],
)
def test_broken_tool_calls_are_refused_by_name(messages: list[Any]) -> None:
    reasons = r"out of turn|call '1', which is nowhere|call of 'search', which holds no Python|call without a function"
    with pytest.raises(FormatError, match=reasons):
        tools.read({"messages": messages})


def test_an_unclosed_fence_is_refused() -> None:
    with pytest.raises(FormatError, match="never closed"):
        fenced.parse("Let us see.\n```python\n1 + 1")


@pytest.mark.parametrize(
    ("mark", "expected"),
    [
        ("48/2", "48 / 2"),
        ("1,200*3", "1200 * 3"),
        ("20%*50", "(20 / 100) * 50"),
        ("5x4", "5 * 4"),
        ("2(3+4)", "2 * (3 + 4)"),
        ("05*10", "5 * 10"),
        ("1 1/2*4", "(1 + 1 / 2) * 4"),
        ("$15+$5", "15 + 5"),
        ("-3+5", "-3 + 5"),
        ("2*x", None),
        ("10 apples", None),
        ("__import__('os')", None),
        ("", None),
    ],
)
def test_a_calculator_mark_becomes_python_or_stays_text(mark: str, expected: str | None) -> None:
    assert gsm8k.python_of(mark) == expected


@pytest.mark.parametrize(
    ("solution", "gold", "last_cell"),
    [
        ("He has 4*5=<<4*5=20>>20. Half of 20 is 20/2=<<20/2=10>>10.", "20", "step1"),
        ("He has 4*5=<<4*5=20>>20. With one more, 20 + 1 = 21.", "21", "20 + 1"),
        ("That is 10/4=<<10/4=2.5>>2.5, so he needs a whole number, 3.", "3", "import math\n\nmath.ceil(step1)"),
        ("The share is 1/4=<<1/4=.25>>.25, or 25%.", "25", "step1 * 100"),
    ],
)
def test_the_answer_is_looked_for_in_what_the_solution_says(solution: str, gold: str, last_cell: str) -> None:
    cells = [block.content for block in gsm8k.blocks_of(solution, gold) if block.type == "code"]
    assert cells[-1] == last_cell


def test_a_solution_that_never_computes_its_answer_is_left_out() -> None:
    with pytest.raises(FormatError, match="no step gives the gold answer"):
        gsm8k.blocks_of("There are 5 because five is five, and 2+2=<<2+2=4>>4.", "5")


def test_huge_powers_and_hostile_lengths_end_soon() -> None:
    assert gsm8k.value_of("9 ** 9 ** 9") is None
    with pytest.raises(FormatError, match="no step gives the gold answer"):
        gsm8k.blocks_of("1+" * 50_000 + "1=" * 2_000, "5")


def test_released_rows_go_there_and_back(shared_data: Path) -> None:
    with open(shared_data / "mathcodeinstruct_dev.jsonl", encoding="utf-8") as lines:
        for _, line in zip(range(400), lines, strict=False):
            messages = json.loads(line)["messages"]
            for module in (fenced, tools):
                assert read_any(module.write(messages)).messages() == messages


def test_gsm8k_solutions_compute_their_gold_answer(shared_data: Path) -> None:
    with open(shared_data / "questions" / "GSM8K_train.jsonl", encoding="utf-8") as lines:
        values = [json.loads(line) for line in lines][::10]
    computed = 0
    for value in values:
        try:
            blocks = gsm8k.read(value).turns[0][1]
        except FormatError:
            continue
        computed += 1
        assert blocks[-1] == Block("text", value["gold"])
        assert blocks[-2].type == "text"
    assert computed / len(values) > 0.95


CALL = "print(3 * 9)"
FOREIGN: dict[str, dict[str, Any]] = {
    "ShareGPT": {
        "conversations": [
            {"from": "system", "value": "Be brief."},
            {"from": "human", "value": "What is 3*9?"},
            {"from": "gpt", "value": f"```python\n{CALL}\n```\n```output\n27\n```\n\\boxed{{27}}"},
        ]
    },
    "ShareGPT with a tool": {
        "conversations": [
            {"from": "human", "value": "What is 3*9?"},
            {"from": "function_call", "value": json.dumps({"name": "python", "arguments": {"code": CALL}})},
            {"from": "observation", "value": "27"},
            {"from": "gpt", "value": "\\boxed{27}"},
        ]
    },
    "lists of messages": {
        "prompt": [{"role": "user", "content": "What is 3*9?"}],
        "completion": [{"role": "assistant", "content": f"```python\n{CALL}\n```\n\\boxed{{27}}"}],
    },
    "preferences": {
        "prompt": [{"role": "user", "content": "What is 3*9?"}],
        "chosen": [{"role": "assistant", "content": f"```python\n{CALL}\n```\n\\boxed{{27}}"}],
        "rejected": [{"role": "assistant", "content": "\\boxed{28}"}],
    },
    "preferences as text": {
        "prompt": "What is 3*9?",
        "chosen": f"```python\n{CALL}\n```\n\\boxed{{27}}",
        "rejected": "28",
    },
    "a dialogue": {
        "dialogue": [
            {"role": "user", "content": "What is 3*9?"},
            {"role": "assistant", "content": f"```python\n{CALL}\n```\n\\boxed{{27}}"},
        ]
    },
    "input and target": {"input": "What is 3*9?", "target": f"```python\n{CALL}\n```\n\\boxed{{27}}"},
    "prompt and completion": {"prompt": "What is 3*9?", "completion": f"```python\n{CALL}\n```\n\\boxed{{27}}"},
    "query and response": {"query": "What is 3*9?", "response": f"```python\n{CALL}\n```\n\\boxed{{27}}"},
    "OpenMathInstruct": {
        "problem": "What is 3*9?",
        "generated_solution": f"<llm-code>\n{CALL}\n</llm-code>\n<llm-code-output>\n27\n</llm-code-output>\n"
        "\\boxed{27}",
        "expected_answer": "27",
    },
    "Alpaca": {
        "instruction": "Solve.",
        "input": "What is 3*9?",
        "output": f"```python\n{CALL}\n```\n\\boxed{{27}}",
    },
    "a line of results": {
        "id": "1",
        "question": "What is 3*9?",
        "status": "answered",
        "blocks": [
            {"type": "code", "content": CALL},
            {"type": "execution", "content": "27"},
            {"type": "text", "content": "\\boxed{27}"},
        ],
    },
}


@pytest.mark.parametrize("name", FOREIGN)
def test_the_shapes_that_data_sets_have_are_read_and_their_code_is_run(tmp_path: Path, name: str) -> None:
    source, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text(json.dumps(FOREIGN[name]) + "\n", encoding="utf-8")
    report = convert(str(source), out, limits=QUICK)
    assert report.written == 1, report.left_out
    messages = read(out)[0]["messages"]
    assert "What is 3*9?" in messages[-2]["content"][0]["content"]
    assert [block["type"] for block in messages[-1]["content"]] == ["code", "execution", "text"]
    assert messages[-1]["content"][1]["content"] == "27"
    assert name != "Alpaca" or messages[-2]["content"][0]["content"].startswith("Solve.")
    assert name != "ShareGPT" or messages[0]["content"][0]["content"] == "Be brief."


def test_solutions_without_code_are_read_and_bare_answers_are_not() -> None:
    assert read_any({"prompt": "2+2?", "completion": "It is \\boxed{4}."}).turns[0][1] == (
        Block("text", "It is \\boxed{4}."),
    )
    assert detect({"question": "2+2?", "answer": "4"}) is None


def test_an_unfinished_solution_is_left_out_with_its_status() -> None:
    line = {"question": "q", "status": "token_limit", "blocks": [{"type": "text", "content": "We"}]}
    with pytest.raises(FormatError, match="token_limit"):
        read_any(line)


@pytest.mark.parametrize(("good", "code"), [(1, 1), (3, 0)])
def test_where_most_records_are_left_out_the_exit_code_says_so(tmp_path: Path, good: int, code: int) -> None:
    source = tmp_path / "in.jsonl"
    records = [FOREIGN["prompt and completion"]] * good + [{"nothing": 1}] * 2
    source.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    assert main(["data", "convert", str(source), "--out", str(tmp_path / "out.jsonl")]) == code
