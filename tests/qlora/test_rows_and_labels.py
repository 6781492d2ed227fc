"""Rows in, token ids with kinds and labels out."""

from __future__ import annotations

import gzip
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from factory import row_of, sum_rows, tokenizer_of, write_jsonl
from hypothesis import given, settings
from hypothesis import strategies as st

from qlora.data import encode, is_held_out, load_rows, split_held_out
from qlora.show import show_row
from qlora.tokens import add_control_tokens, segment_tokenizer
from runtime.errors import DataError, InputError, ModelError
from runtime.lce import CONTROL_TOKENS, SUPERVISED_KINDS

STYLES = ("sentencepiece", "bytes")


@pytest.fixture(scope="module", params=STYLES)
def tokenizer(request: pytest.FixtureRequest) -> Any:
    tokenizer = tokenizer_of(request.param)
    add_control_tokens(tokenizer)
    return tokenizer


def supervised_string(row: dict[str, Any]) -> str:
    """What labels must decode to, built from the JSON alone and by other means than runtime.lce."""
    out = ""
    for message in row["messages"]:
        if message["role"] != "assistant":
            continue
        for block in message["content"]:
            if block["type"] != "execution":
                out += f"<|{block['type']}|>" + block["content"] + "<|endofblock|>"
        out += "<|endofmessage|>"
    return out


def decode(tokenizer: Any, ids: list[int]) -> str:
    """Text of `ids` by one token at a time, so that no rule of the decoder hides a character."""
    text = b""
    for token in tokenizer.convert_ids_to_tokens(ids):
        if token in CONTROL_TOKENS:
            text += token.encode()
        elif tokenizer.bos_token is None:
            text += bytes(BYTES_OF[char] for char in token)
        elif len(token) == 6 and token.startswith("<0x"):
            text += bytes([int(token[3:5], 16)])
        else:
            text += token.replace("▁", " ").encode()
    return text.decode()


def _byte_alphabet() -> dict[str, int]:
    # GPT-2's table: printable bytes stand for themselves, the others follow from U+0100 on.
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + i): byte for i, byte in enumerate(rest)}


BYTES_OF = _byte_alphabet()


def assert_labels_say_exactly(row: dict[str, Any], tokenizer: Any) -> None:
    encoded = encode(row, tokenizer)
    assert len(encoded.input_ids) == len(encoded.labels) == len(encoded.kinds)
    assert decode(tokenizer, [label for label in encoded.labels if label != -100]) == supervised_string(row)
    for token, label, kind in zip(*encoded, strict=True):
        assert label == (token if kind in SUPERVISED_KINDS else -100)


def test_labels_of_a_row_decode_to_its_text_and_code_blocks_and_nothing_else(tokenizer: Any) -> None:
    for row in sum_rows(5):
        assert_labels_say_exactly(row, tokenizer)


def test_labels_of_real_rows_decode_to_their_text_and_code_blocks(tokenizer: Any, shared_data: Path) -> None:
    with open(shared_data / "mathcodeinstruct_dev.jsonl", encoding="utf-8") as lines:
        for number, line in enumerate(lines):
            if number % 25 == 0:
                assert_labels_say_exactly(json.loads(line), tokenizer)


@settings(max_examples=60, deadline=None)
@given(content=st.text(st.characters(exclude_categories=["Cs"])) | st.sampled_from(CONTROL_TOKENS))
def test_content_never_becomes_a_control_token(content: str) -> None:
    for style in STYLES:
        tokenizer = tokenizer_of(style)
        control = set(add_control_tokens(tokenizer))
        row = row_of("Q" + content, ("text", content), ("execution", content))
        encoded = encode(row, tokenizer)
        # system, user and assistant turns: 4 + 4 + 1 markers, two blocks of 2, the final one
        assert sum(token in control for token in encoded.input_ids) == 14


def test_the_tokenizer_that_adds_bos_gets_exactly_one_and_the_other_none() -> None:
    for style, expected in (("sentencepiece", 1), ("bytes", 0)):
        tokenizer = tokenizer_of(style)
        add_control_tokens(tokenizer)
        encoded = encode(sum_rows(1)[0], tokenizer)
        assert segment_tokenizer(tokenizer).prefix == [tokenizer.bos_token_id] * expected
        assert encoded.input_ids.count(tokenizer.bos_token_id) == expected
        assert encoded.kinds[0] == "prompt"


def test_execution_carries_loss_only_when_asked_for(tokenizer: Any) -> None:
    row = row_of("Q?", ("code", "1+1"), ("execution", "2"), ("text", "2"))
    masked, full = encode(row, tokenizer), encode(row, tokenizer, supervised=SUPERVISED_KINDS | {"execution"})
    execution = [i for i, kind in enumerate(masked.kinds) if kind == "execution"]
    assert execution
    assert all(masked.labels[i] == -100 and full.labels[i] == full.input_ids[i] for i in execution)


def test_a_tokenizer_without_the_control_tokens_is_refused() -> None:
    with pytest.raises(ModelError, match="lacks the control tokens"):
        encode(sum_rows(1)[0], tokenizer_of("bytes"))


def test_a_tokenizer_that_is_not_fast_is_refused() -> None:
    class Slow:
        def __len__(self) -> int:
            return 1

    with pytest.raises(ModelError, match="not a fast tokenizer"):
        encode(sum_rows(1)[0], Slow())


def test_control_tokens_that_a_base_already_has_are_reused() -> None:
    tokenizer = tokenizer_of("bytes")
    ids = add_control_tokens(tokenizer)
    assert add_control_tokens(tokenizer) == ids
    assert len(set(ids)) == 8


@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz", ".parquet"])
def test_every_format_gives_the_same_rows(tmp_path: Path, suffix: str) -> None:
    rows = sum_rows(7)
    path = tmp_path / f"rows{suffix}"
    if suffix == ".parquet":
        pa = pytest.importorskip("pyarrow", reason="writing a parquet file needs pyarrow (the train extra)")
        import pyarrow.parquet

        pyarrow.parquet.write_table(pa.Table.from_pylist(rows), path)
    elif suffix == ".jsonl.gz":
        with gzip.open(path, "wt") as out:
            out.writelines(json.dumps(row) + "\n" for row in rows)
    else:
        write_jsonl(path, rows)
    loaded = load_rows(path)
    assert [{"messages": row.messages} for row in loaded] == rows
    assert loaded.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert loaded[3].line == 4


BAD_LINES = {
    "{": "not valid JSON",
    "[1]": "a row is an object",
    '{"messages": []}': "`messages` is missing, empty",
    '{"messages": [{"role": "tool", "content": []}]}': r"messages\[0\]: expected an object with role",
    json.dumps({"messages": row_of("q", ("text", "a"))["messages"][:2]}): "roles are system, user",
    json.dumps(row_of("q", ("execution", "1"))): "nothing carries loss",
    json.dumps(row_of("q", ("code", "1"))).replace('"code"', '"python"'): "`type` must be text or code or execution",
    json.dumps(row_of("q", ("text", "1"))).replace('"1"', "1"): "is int, expected a string",
    json.dumps(row_of("q", ("text", "\ud800"))): "surrogate",
    json.dumps(row_of(" ", ("text", "1"))): "the question is empty",
}


@pytest.mark.parametrize(("line", "reason"), BAD_LINES.items())
def test_a_bad_row_is_named_with_file_line_and_reason(tmp_path: Path, line: str, reason: str) -> None:
    path = write_jsonl(tmp_path / "rows.jsonl", sum_rows(3))
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(DataError, match=rf"rows\.jsonl:4: .*{reason}"):
        load_rows(path)
    tolerated = load_rows(path, max_bad_percent=25)
    assert len(tolerated) == 3
    assert [bad.line for bad in tolerated.bad] == [4]


def test_bytes_that_are_no_utf8_make_a_bad_row_and_not_a_crash(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "rows.jsonl", sum_rows(1))
    path.write_bytes(path.read_bytes() + b'{"messages": "\xff\xfe"}\n')
    with pytest.raises(DataError, match="not UTF-8"):
        load_rows(path)


def test_a_truncated_archive_is_one_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl.gz"
    path.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in sum_rows(200)).encode())[:-40])
    with pytest.raises(DataError, match="cannot be read to its end"):
        load_rows(path)


def test_a_truncated_parquet_file_is_one_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    path.write_bytes(b"PAR1 nothing of use")
    with pytest.raises(DataError, match="cannot be read to its end"):
        load_rows(path)


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no rows"):
        load_rows(write_jsonl(tmp_path / "rows.jsonl", []))


@pytest.mark.parametrize("source", ["nowhere/rows.jsonl", "/nowhere", "rows.csv"])
def test_a_source_that_is_not_there_is_the_callers_mistake(source: str) -> None:
    with pytest.raises(InputError, match="does not exist"):
        load_rows(source)


def test_held_out_rows_follow_from_the_question_alone() -> None:
    rows = list(map(_as_row, sum_rows(300) + sum_rows(300)))
    kept, held = split_held_out(rows, 10)
    assert len(kept) + len(held) == 600
    assert 30 <= len(held) <= 90
    assert not {row.question for row in kept} & {row.question for row in held}
    for row in rows:
        expected = int(hashlib.sha256(row.question.encode()).hexdigest(), 16) % 100 < 10
        assert is_held_out(row.question, 10) == expected == (row in held)


def _as_row(value: dict[str, Any]) -> Any:
    from qlora.data import Row

    return Row(value["messages"])


def test_a_shown_row_counts_the_tokens_of_each_kind_and_cannot_drive_the_terminal(tokenizer: Any) -> None:
    import io

    from rich.console import Console

    row = row_of("Q?", ("code", "1+1"), ("execution", "\x1b[2Jboo\x9b"), ("text", "2"))
    encoded = encode(row, tokenizer)
    screen = io.StringIO()
    Console(file=screen, width=100, color_system=None).print(show_row(row, tokenizer))
    shown = screen.getvalue()
    assert "\x1b" not in shown
    assert "\x9b" not in shown
    assert "\\x1b[2Jboo" in shown
    for kind in ("prompt", "execution", "control"):
        line = next(line for line in shown.splitlines() if line.startswith(kind))
        assert str(encoded.kinds.count(kind)) in line.split()
