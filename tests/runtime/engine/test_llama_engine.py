"""The embedded engine: tokens, cache, sampling, errors of loading."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from gguf_factory import LONG_PIECE, vocabulary, write_adapter, write_model

from runtime.engine import ContextFullError, Decoder, Drawn, StoppedError, TokenSequence, load
from runtime.engine.interrupt import stop_on_sigint
from runtime.engine.llama import schedule
from runtime.engine.llama.engine import LlamaDecoder, LlamaEngine
from runtime.engine.llama.library import usable_cores
from runtime.errors import EngineError, InputError, ModelError
from runtime.lce import CONTROL_TOKENS, END_OF_BLOCK, END_OF_MESSAGE, Segment, conversation, segments
from runtime.settings import EngineSettings, SamplingSettings, derived_seed

GREEDY = SamplingSettings()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model") / "tiny.gguf")


@pytest.fixture
def engine(model: Path) -> Iterator[LlamaEngine]:
    with LlamaEngine(model, EngineSettings(threads=1)) as engine:
        yield engine


def prompt(question: str = "What is 1+1?") -> list[Segment]:
    return segments(conversation(question), generation_prompt=True)


def write(decoder: Decoder, sequence: TokenSequence, count: int) -> list[int]:
    """Draw `count` tokens."""
    drawn: list[Drawn] = []
    while len(drawn) < count:
        drawn += decoder.step([sequence])
    return [token for _, token, _ in drawn]


def logits(decoder: LlamaDecoder, index: int) -> np.ndarray:
    pointer = decoder.lib.llama_get_logits_ith(decoder.context, index)
    return np.ctypeslib.as_array(pointer, shape=(decoder.engine.vocabulary.size,)).copy()


# Vocabulary


@pytest.mark.parametrize("text", ["the answer is 42", "  indented\n\tcode  ", "ü→😀", "a\0b", " " * 100, ""])
def test_text_survives_encoding_and_decoding(engine: LlamaEngine, text: str) -> None:
    words = engine.vocabulary
    assert b"".join(map(words.piece, words.encode(text))) == text.encode()


def test_a_file_whose_name_is_not_utf8_is_opened_like_any_other(model: Path, tmp_path: Path) -> None:
    strange = tmp_path / os.fsdecode(b"caf\xe9.gguf")
    try:
        strange.symlink_to(model)
    except OSError:
        pytest.skip("this file system takes only names in UTF-8")
    engine = LlamaEngine(strange, EngineSettings(n_ctx=64), vocab_only=True)
    assert engine.vocabulary.encode("1 + 1")
    engine.close()


def test_a_piece_longer_than_the_usual_buffer_is_whole(engine: LlamaEngine, model: Path) -> None:
    tokens, _, _ = vocabulary(512)
    assert engine.vocabulary.piece(tokens.index(LONG_PIECE)) == b" " * 40
    # A token of 100 bytes needs the second call, with the size llama.cpp asks for.
    path = model.with_name("long.gguf")
    long_words = ("x" * 100,)
    write_model(path, control=(*CONTROL_TOKENS, *long_words), control_type=gguf.TokenType.NORMAL)
    with LlamaEngine(path, EngineSettings(threads=1), vocab_only=True) as other:
        ids = [i for i, name in enumerate(vocabulary(512, (*CONTROL_TOKENS, *long_words))[0]) if len(name) == 100]
        assert [other.vocabulary.piece(i) for i in ids] == [b"x" * 100]


@pytest.mark.parametrize("spelling", [*CONTROL_TOKENS, "<s>", "</s>", END_OF_BLOCK * 3, f"1{END_OF_MESSAGE}2"])
def test_text_that_spells_a_control_token_stays_text(engine: LlamaEngine, spelling: str) -> None:
    words = engine.vocabulary
    ids = words.encode(f"before {spelling} after")
    special = {words.control_id(name) for name in CONTROL_TOKENS} | {1, 2}
    assert not special & set(ids)
    assert b"".join(map(words.piece, ids)) == f"before {spelling} after".encode()


def test_a_user_defined_token_that_ends_generation_cannot_be_spelled_either(model: Path) -> None:
    """llama.cpp matches user-defined tokens even with special parsing off, so spellings are halved."""
    path = model.with_name("user-defined.gguf")
    write_model(path, control_type=gguf.TokenType.USER_DEFINED)
    with LlamaEngine(path, EngineSettings(threads=1), vocab_only=True) as engine:
        words = engine.vocabulary
        end = vocabulary(512)[0].index(END_OF_MESSAGE)
        assert words.is_end(end)
        assert end in words.tokenize(f"a{END_OF_MESSAGE}b", special=False), "the trap this guards against is gone"
        ids = words.encode(f"a{END_OF_MESSAGE}b{END_OF_MESSAGE}")
        assert end not in ids
        assert b"".join(map(words.piece, ids)) == f"a{END_OF_MESSAGE}b{END_OF_MESSAGE}".encode()


def test_control_tokens_are_found_by_name_and_ordinary_ones_are_not(engine: LlamaEngine, model: Path) -> None:
    tokens, _, _ = vocabulary(512)
    assert [engine.vocabulary.control_id(name) for name in CONTROL_TOKENS] == [tokens.index(n) for n in CONTROL_TOKENS]
    assert engine.vocabulary.control_id("<|unheard|>") is None
    assert engine.vocabulary.control_id("the") is None
    path = write_model(model.with_name("normal.gguf"), control_type=gguf.TokenType.NORMAL)
    with LlamaEngine(path, EngineSettings(threads=1), vocab_only=True) as other:
        assert other.vocabulary.control_id(CONTROL_TOKENS[0]) is None


def test_a_lone_surrogate_in_a_question_is_no_error(engine: LlamaEngine) -> None:
    assert engine.vocabulary.encode("a\ud800b")


# Cache


def test_appended_tokens_cost_only_their_own_evaluation(engine: LlamaEngine) -> None:
    with engine.open() as decoder:
        sequence = decoder.start(prompt(), GREEDY, 1)
        asked = sequence.length
        write(decoder, sequence, 10)
        assert sequence.evaluated == asked + 9
        added = decoder.feed(sequence, [Segment("execution", END_OF_BLOCK, True), Segment("execution", "42", False)])
        write(decoder, sequence, 1)
        assert sequence.evaluated == asked + 10 + added


def test_an_appended_sequence_gives_the_logits_of_one_read_from_the_start(engine: LlamaEngine) -> None:
    with engine.open() as decoder:
        sequence = decoder.start(prompt(), GREEDY, 1)
        write(decoder, sequence, 20)
        decoder.feed(sequence, [Segment("execution", "12 apples", False)])
        ids = list(sequence.ids)
        decoder.step([sequence])
        kept = logits(decoder, -1)
        decoder.finish(sequence)
        again = decoder.start(prompt(), GREEDY, 1)
        again.ids[:] = ids
        decoder.step([again])
        np.testing.assert_allclose(logits(decoder, -1), kept, atol=5e-3)


def test_sequences_of_a_batch_do_not_see_each_other(engine: LlamaEngine) -> None:
    questions = ["What is 1+1?", "Name a prime above 100.", "x", "What is 7 times 8, and why is it not 54?"]
    alone = []
    with engine.open() as decoder:
        for question in questions:
            sequence = decoder.start(prompt(question), GREEDY, 1)
            alone.append(write(decoder, sequence, 1) and logits(decoder, -1))
            decoder.finish(sequence)
    with engine.open(4) as decoder:
        sequences = [decoder.start(prompt(question), GREEDY, 1) for question in questions]
        decoder.step(sequences)
        ends = np.cumsum([sequence.past for sequence in sequences]) - 1
        # Short prompts come first in the batch only when they are one token long; here the order is as given.
        for expected, end in zip(alone, ends, strict=True):
            np.testing.assert_allclose(logits(decoder, int(end)), expected, atol=5e-3)


def test_a_shared_prefix_is_read_once_and_changes_nothing(engine: LlamaEngine) -> None:
    with engine.open(2) as decoder:
        first = decoder.start(prompt("What is 1+1?"), GREEDY, 1)
        expected = write(decoder, first, 12)
        second = decoder.start(prompt("What is 1+1?"), GREEDY, 1, share=True)
        assert second.reused == len(prompt_ids(engine)) - 1
        assert write(decoder, second, 12) == expected
        assert second.evaluated == 12
        decoder.finish(first)
        assert write(decoder, second, 1), "what was shared outlives the sequence it came from"


def prompt_ids(engine: LlamaEngine) -> list[int]:
    with engine.open() as decoder:
        return list(decoder.start(prompt(), GREEDY, 1).ids)


def test_a_parked_sequence_goes_on_as_if_nothing_had_happened(engine: LlamaEngine) -> None:
    with engine.open() as decoder:
        sequence = decoder.start(prompt(), GREEDY, 1)
        expected = write(decoder, sequence, 30)
        decoder.finish(sequence)
        sequence = decoder.start(prompt(), GREEDY, 1)
        first = write(decoder, sequence, 15)
        decoder.park(sequence)
        assert first + write(decoder, sequence, 15) == expected


def test_a_conversation_keeps_what_the_next_prompt_begins_with(engine: LlamaEngine) -> None:
    with engine.open() as decoder:
        first = decoder.start(prompt("What is 1+1?"), GREEDY, 1)
        write(decoder, first, 3)
        longer = [*prompt("What is 1+1?"), Segment("text", "and more", False)]
        second = decoder.start(longer, GREEDY, 1, after=first)
        assert second.reused == len(prompt_ids(engine))
        expected = write(decoder, second, 5)
        decoder.finish(second)
        fresh = decoder.start(longer, GREEDY, 1)
        assert write(decoder, fresh, 5) == expected


def test_a_full_context_is_an_error_that_changes_nothing(model: Path) -> None:
    with LlamaEngine(model, EngineSettings(threads=1, n_ctx=256)) as engine, engine.open() as decoder:
        sequence = decoder.start(prompt(), GREEDY, 1)
        before = sequence.length
        decoder.feed(sequence, [Segment("text", "x" * 300, False)])
        assert decoder.step([sequence]) == [], "the first 256 tokens fit"
        with pytest.raises(ContextFullError, match="the context is full"):
            decoder.step([sequence])
        del sequence.ids[before:]
        decoder.park(sequence)
        assert write(decoder, sequence, 3)


def test_slots_are_given_back(engine: LlamaEngine) -> None:
    with engine.open(2) as decoder:
        for _ in range(5):
            sequence = decoder.start(prompt(), GREEDY, 1)
            decoder.step([sequence])
            decoder.finish(sequence)
            decoder.finish(sequence)
        kept = [decoder.start(prompt(), GREEDY, 1) for _ in range(2)]
        assert {sequence.slot for sequence in kept} == {0, 1}
        with pytest.raises(EngineError, match="slots are in use"):
            decoder.start(prompt(), GREEDY, 1)


def test_a_long_prompt_is_read_in_chunks_beside_one_that_writes(model: Path) -> None:
    with LlamaEngine(model, EngineSettings(threads=1, batch_tokens=32)) as engine, engine.open(2) as decoder:
        writer = decoder.start(prompt(), GREEDY, 1)
        write(decoder, writer, 1)
        reader = decoder.start(prompt("a" * 200), GREEDY, 1)
        turns = 0
        while reader.past < 200:
            drawn = decoder.step([reader, writer])
            turns += 1
            assert [d.sequence for d in drawn if d.sequence is writer], "the writer is held up by the reader"
        assert turns >= 200 // 32


def sorted_slots(decoder: LlamaDecoder) -> list[TokenSequence]:
    """A sequence in every slot, each of another length, all with one token pending."""
    sequences = []
    for number in range(decoder.slots):
        sequence = decoder.start(prompt("1+" * number), GREEDY, 1)
        write(decoder, sequence, 3 + number)
        sequences.append(sequence)
    assert [sequence.slot for sequence in sequences] == list(range(decoder.slots))
    return sequences


def test_a_gap_between_slots_is_filled_and_nothing_of_the_filler_stays(
    engine: LlamaEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without it llama.cpp reads the weights once more for the slots behind the gap."""

    def run(cost: Any) -> tuple[list[list[int]], list[int], list[int]]:
        monkeypatch.setattr("runtime.engine.llama.schedule.cost", cost)
        with engine.open(6) as decoder:
            sequences = sorted_slots(decoder)
            decoder.finish(sequences[2])  # An empty slot, and one whose code runs, say.
            waiting, others = sequences[3], [sequences[n] for n in (0, 1, 4, 5)]
            expected = waiting.past
            sizes = []
            for _ in range(4):
                decoder.step(others)
                sizes.append(int(decoder.batch.n_tokens))
            last = [int(decoder.lib.llama_memory_seq_pos_max(decoder.memory, slot)) for slot in (2, 3)]
            assert last == [-1, expected - 1]
            assert waiting.past == waiting.evaluated == expected
            write(decoder, waiting, 4)
            return (
                [list(sequence.ids) for sequence in (*others, waiting)],
                sizes,
                [sequence.past for sequence in others],
            )

    apart = run(lambda rows: float(rows))
    joined = run(lambda rows: 1.0)
    assert apart[1] == [4] * 4
    assert joined[1] == [6] * 4
    assert joined[0] == apart[0]
    assert joined[2] == apart[2]


def test_a_parked_sequence_in_a_gap_and_a_stopped_step_leave_nothing_behind(
    engine: LlamaEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.engine.llama.schedule.cost", lambda rows: 1.0)
    with engine.open(3) as decoder:
        first, middle, last = sorted_slots(decoder)
        expected = [list(sequence.ids) for sequence in (first, middle, last)]
        for known, sequence in zip(expected, (first, middle, last), strict=True):
            known += write(decoder, sequence, 3)
            del sequence.ids[len(known) - 3 :]
            decoder.park(sequence)
        decoder.step([first])
        decoder.step([last])
        engine.stop_flag.set()
        with pytest.raises(StoppedError, match="the computation was stopped"):
            decoder.step([first, last])
        assert decoder.batch.n_tokens == 3
        engine.stop_flag.clear()
        pasts = [int(decoder.lib.llama_memory_seq_pos_max(decoder.memory, slot)) for slot in range(3)]
        assert pasts == [first.past - 1, -1, last.past - 1]
        for _ in range(2):
            decoder.step([first, last])
        write(decoder, middle, 3)
        assert [list(sequence.ids) for sequence in (first, middle, last)] == expected


def test_gaps_are_filled_where_one_group_costs_less_and_there_is_room(engine: LlamaEngine) -> None:
    with engine.open(12) as decoder:
        sequences = sorted_slots(decoder)

        def fillers(*slots: int, each: int = 1) -> list[int]:
            parts = [(sequences[slot], each) for slot in slots]
            return sorted(
                slot for slot, _ in schedule.fillers(parts, lambda slot: sequences[slot].past, 512, decoder.n_ctx)
            )

        assert fillers(*range(12)) == []
        assert fillers(0, 2) == []
        assert fillers(0, 11) == []
        assert fillers(0, 1, 2, 3, 5, 6, 7, 8) == [4]
        assert fillers(0, 2, 4, 6, 8, 10) == [1, 3, 5, 7, 9], "no two of them are worth joining, all of them are"
        assert fillers(0, 8, 9, 11) == []
        assert fillers(0, 1, 2, 3, 5, 6, 7, 8, each=20) == [], "the others of each would be a group more"
        sequences[4].past = decoder.n_ctx
        assert fillers(0, 1, 2, 3, 5, 6, 7, 8) == [], "a full sequence has no room for a filler"


def test_a_few_pending_tokens_ride_along_and_many_are_read_at_once(model: Path) -> None:
    """llama.cpp evaluates as many tokens of each stream together as all of them have.

    The rest would cost another reading of the weights.
    """
    with LlamaEngine(model, EngineSettings(threads=1)) as engine, engine.open(4) as decoder:
        sequences = sorted_slots(decoder)
        sequences[1].ids += [5, 6, 7]
        sequences[2].ids += [5] * 9
        shares = [count for _, count in schedule.share_out(sequences, 512, len(sequences))]
        assert shares == [1, 1, 10, 1]
        drawn = decoder.step(sequences)
        assert [d.sequence.slot for d in drawn] == [0, 2, 3]
        for _ in range(3):
            drawn = decoder.step(sequences)
        assert [d.sequence.slot for d in drawn] == [0, 1, 2, 3]
        for sequence in sequences:
            sequence.ids += [5, 6]
        assert [count for _, count in schedule.share_out(sequences, 512, 4)] == [3] * 4, "as many as all of them have"
    with LlamaEngine(model, EngineSettings(threads=1)) as engine, engine.open(1) as decoder:
        sequence = decoder.start(prompt(), GREEDY, 1)
        assert schedule.share_out([sequence], 512, 1) == [(sequence, sequence.length)]


# Sampling


def test_greedy_is_the_largest_logit_and_repeats_to_the_bit(engine: LlamaEngine) -> None:
    def run() -> tuple[list[int], bytes]:
        with engine.open() as decoder:
            sequence = decoder.start(prompt(), GREEDY, 1)
            tokens = write(decoder, sequence, 1)
            assert tokens[0] == int(np.argmax(logits(decoder, -1)))
            # As llama.cpp's own sampler finds it.
            sampler = decoder.lib.llama_sampler_init_greedy()
            assert tokens[0] == decoder.lib.llama_sampler_sample(sampler, decoder.context, -1)
            decoder.lib.llama_sampler_free(sampler)
            return tokens + write(decoder, sequence, 40), logits(decoder, -1).tobytes()

    assert run() == run()


def test_seeds_decide_what_is_drawn(engine: LlamaEngine) -> None:
    warm = SamplingSettings(temperature=1.5)

    def run(seed: int) -> tuple[int, ...]:
        with engine.open() as decoder:
            return tuple(write(decoder, decoder.start(prompt(), warm, seed), 20))

    assert run(7) == run(7)
    assert len({run(seed) for seed in range(1, 9)}) == 8


def test_derived_seeds_are_distinct_and_never_the_reserved_values() -> None:
    seeds = {derived_seed(base, index, sample) for base in (1, 2) for index in range(1000) for sample in range(16)}
    assert len(seeds) == 2 * 1000 * 16
    assert 0 not in seeds
    assert 2**32 - 1 not in seeds


def test_a_sequence_draws_only_what_it_may(engine: LlamaEngine) -> None:
    words = engine.vocabulary
    with engine.open() as decoder:
        sequence = decoder.start(prompt(), SamplingSettings(temperature=2.0), 3)
        allowed = frozenset({words.control_id("<|text|>"), words.control_id("<|code|>")})
        sequence.only = allowed
        tokens = write(decoder, sequence, 30)
        assert set(tokens) == allowed
        sequence.only = None
        sequence.forbidden = frozenset(range(300))
        assert min(write(decoder, sequence, 50)) >= 300


def test_a_forbidden_greedy_choice_gives_the_second_best(engine: LlamaEngine) -> None:
    with engine.open() as decoder:
        sequence = decoder.start(prompt(), GREEDY, 1)
        best = write(decoder, sequence, 1)[0]
        second = int(np.argsort(logits(decoder, -1))[-2])
        decoder.finish(sequence)
        sequence = decoder.start(prompt(), GREEDY, 1)
        sequence.forbidden = frozenset({best})
        assert write(decoder, sequence, 1) == [second]


def test_the_repeat_penalty_looks_back_over_the_whole_solution(engine: LlamaEngine) -> None:
    with engine.open() as decoder:
        plain = write(decoder, decoder.start(prompt(), GREEDY, 1), 60)
    with engine.open() as decoder:
        punished = write(decoder, decoder.start(prompt(), SamplingSettings(repeat_penalty=2.0), 1), 60)
    assert len(set(punished)) > len(set(plain))


# Stopping


def test_a_stop_request_ends_a_long_prefill_and_leaves_the_sequence_usable(model: Path) -> None:
    big = write_model(model.with_name("big.gguf"), hidden=256, feed_forward=1024, layers=8, context=4096)
    with LlamaEngine(big, EngineSettings(threads=1, batch_tokens=2048)) as engine, engine.open() as decoder:
        sequence = decoder.start(prompt("a" * 1900), GREEDY, 1)
        begun = time.monotonic()
        decoder.step([sequence])
        whole = time.monotonic() - begun
        decoder.park(sequence)
        del sequence.ids[-1]
        threading.Timer(whole / 10, engine.stop_flag.set).start()
        begun = time.monotonic()
        with pytest.raises(StoppedError, match="the computation was stopped"):
            decoder.step([sequence])
        assert time.monotonic() - begun < whole * 0.7
        engine.stop_flag.clear()
        assert decoder.step([sequence])


def test_what_a_stopped_computation_had_stored_is_forgotten(model: Path) -> None:
    class Stopped:
        """llama.cpp whose computation is stopped when all but the last micro-batch is done."""

        def __init__(self, library: Any) -> None:
            self._library = library

        def __getattr__(self, name: str) -> Any:
            return getattr(self._library, name)

        def llama_decode(self, context: Any, batch: Any) -> int:
            assert self._library.llama_decode(context, batch) == 0
            return 2

    with LlamaEngine(model, EngineSettings(threads=1)) as engine, engine.open() as decoder:
        sequence = decoder.start(prompt("one two three"), GREEDY, 1)
        decoder.step([sequence])
        past, library = sequence.past, decoder.lib
        decoder.feed(sequence, prompt("four"))
        decoder.lib = Stopped(library)
        with pytest.raises(StoppedError, match="the computation was stopped"):
            decoder.step([sequence])
        assert sequence.past == past
        assert library.llama_memory_seq_pos_max(decoder.memory, sequence.slot) == past - 1
        decoder.lib = library
        assert decoder.step([sequence])


def test_ctrl_c_sets_the_flag_while_native_code_runs_and_the_old_handler_comes_back(engine: LlamaEngine) -> None:
    before = signal.getsignal(signal.SIGINT)
    flag = engine.stop_flag
    with stop_on_sigint(flag):
        # One uninterruptible native call of the main thread: no Python handler can run before it is over.
        os.kill(os.getpid(), signal.SIGINT)
        deadline = time.monotonic() + 5
        while not flag.is_set() and time.monotonic() < deadline:
            ctypes.CDLL(None).usleep(1000)
        assert flag.is_set()
    assert signal.getsignal(signal.SIGINT) is before
    flag.clear()


# Loading


def test_a_missing_model_is_a_wrong_call(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no model file"):
        load(tmp_path / "nothing.gguf")


def test_a_file_that_is_no_gguf_is_named_as_such(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_text("version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(ModelError, match="is not a GGUF file"):
        load(path)


def test_a_truncated_model_is_refused_with_llama_cpps_own_reason(model: Path) -> None:
    path = model.with_name("short.gguf")
    path.write_bytes(model.read_bytes()[:-50_000])
    with pytest.raises(ModelError, match=r"not within the file bounds|corrupted|incomplete"):
        load(path, threads=1)


def test_a_context_that_cannot_be_had_is_one_clear_error(model: Path) -> None:
    with pytest.raises(InputError, match="n_ctx"):
        load(model, n_ctx=3)


def test_gpu_layers_without_gpu_support_are_refused(model: Path) -> None:
    import llama_cpp

    if llama_cpp.llama_supports_gpu_offload():
        pytest.skip("this llama.cpp can offload")
    with pytest.raises(InputError, match="without GPU support"):
        load(model, gpu_layers=-1)


def test_flash_attention_is_off_on_the_cpu_unless_asked_for(model: Path) -> None:
    with LlamaEngine(model, EngineSettings(threads=1)) as engine:
        assert engine.facts()["flash_attention"] is False
    wide = write_model(model.with_name("wide-heads.gguf"), heads=2)
    quantized = EngineSettings(threads=1, flash_attention="on", cache_type_v="q8_0")
    with LlamaEngine(wide, quantized) as engine, engine.open() as decoder:
        assert write(decoder, decoder.start(prompt(), GREEDY, 1), 3)
    half = EngineSettings(threads=1, cache_type_k="bf16", cache_type_v="bf16")
    with LlamaEngine(model, half) as engine, engine.open() as decoder:
        assert write(decoder, decoder.start(prompt(), GREEDY, 1), 3)
    with pytest.raises(InputError, match="flash attention"):
        LlamaEngine(model, EngineSettings(cache_type_v="q8_0"))


def test_facts_name_the_file_by_its_hash(engine: LlamaEngine, model: Path) -> None:
    import hashlib

    facts = engine.facts()
    assert facts["model_sha256"] == hashlib.sha256(model.read_bytes()).hexdigest()
    assert json.dumps(facts)


def test_facts_tell_what_the_weights_are_stored_in(engine: LlamaEngine, tmp_path: Path) -> None:
    assert engine.facts()["quantization"] == "F32 (guessed)", "the file does not say: llama.cpp's guess, as one"
    for number, name in ((7, "Q8_0"), (15, "Q4_K_M"), (0, "F32")):
        path = write_model(tmp_path / f"{name}.gguf", file_type=number)
        with load(path, threads=1) as said:  # type: ignore[attr-defined]
            facts = said.facts()
        assert facts["quantization"] == name
        assert said.facts() == facts, "a closed engine still says what it was"


@pytest.mark.skipif(sys.platform != "linux", reason="GNU's OpenMP runtime is Linux's")
@pytest.mark.parametrize(("given", "expected"), [({}, "1000"), ({"GOMP_SPINCOUNT": "77"}, "77")])
def test_threads_that_wait_for_each_other_do_not_spin_for_long(
    model: Path, given: dict[str, str], expected: str
) -> None:
    """Another busy process would take the processor from the thread that all wait for."""
    code = "import os, sys; from runtime.engine import load; load(sys.argv[1]); print(os.environ.get('GOMP_SPINCOUNT'))"
    unset = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
    environment = {name: value for name, value in os.environ.items() if name not in unset}
    done = subprocess.run(
        [sys.executable, "-c", code, str(model)],
        env={**environment, **given, "OMP_DISPLAY_ENV": "verbose"},
        capture_output=True,
        text=True,
        check=True,
    )
    if "GOMP_SPINCOUNT" not in done.stderr:
        pytest.skip("this llama.cpp was built without GNU's OpenMP")
    assert f"GOMP_SPINCOUNT = '{expected}'" in done.stderr
    assert done.stdout.strip() == str(given.get("GOMP_SPINCOUNT")), "what else this process starts is not to see it"


def test_nothing_is_printed_while_a_model_loads_and_runs(model: Path) -> None:
    """llama.cpp logs to stderr from C, so only a process of its own can show it."""
    code = textwrap.dedent(f"""
        from runtime.engine import load
        from runtime.lce import conversation, segments
        from runtime.settings import SamplingSettings
        engine = load({str(model)!r}, threads=1)
        decoder = engine.open()
        sequence = decoder.start(segments(conversation("hi"), generation_prompt=True), SamplingSettings(), 1)
        decoder.step([sequence])
        engine.close()
    """)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert (done.stdout, done.stderr) == ("", "")


def test_a_file_that_makes_llama_cpp_give_up_ends_the_process_with_one_clear_line(model: Path) -> None:
    """Its own assertions abort the process with a backtrace of C functions, which no `except` can catch."""
    damaged = model.with_name("damaged.gguf")
    data = bytearray(model.read_bytes())
    data[data.find(b"llama.block_count") + len("llama.block_count") + 4 + 2] ^= 0xFF
    damaged.write_bytes(data)
    code = f"from runtime.engine import load; load({str(damaged)!r}, threads=1)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1, done.stderr
    assert "cannot go on (llama-model.cpp" in done.stderr
    assert "Check that the model file is complete" in done.stderr


def test_a_small_model_decodes_on_one_thread_and_a_larger_one_on_every_core(model: Path) -> None:
    """Threads that wait for each other at every layer slow a small model, on a busy machine fiftyfold."""
    with LlamaEngine(model, EngineSettings()) as engine:
        assert engine.threads == 1
    with LlamaEngine(model, EngineSettings(threads=3)) as engine:
        assert engine.threads == 3
    larger = write_model(model.with_name("larger.gguf"), hidden=512, feed_forward=2048, layers=8, dtype=np.float16)
    with LlamaEngine(larger, EngineSettings()) as engine:
        assert engine.threads == usable_cores()


# Adapters


def test_an_adapter_changes_what_the_model_says(model: Path) -> None:
    adapter = write_adapter(model.with_name("adapter.gguf"))
    results = []
    for lora in (None, adapter):
        with LlamaEngine(model, EngineSettings(threads=1), lora=lora) as engine, engine.open() as decoder:
            write(decoder, decoder.start(prompt(), GREEDY, 1), 1)
            results.append(logits(decoder, -1))
            assert (engine.facts()["lora_sha256"] is None) == (lora is None)
    assert np.abs(results[0] - results[1]).max() > 0.01


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda path: path.write_bytes(b"not gguf"), ModelError),
        (lambda path: None, InputError),
        (lambda path: write_adapter(path, hidden=128), ModelError),
        (lambda path: write_adapter(path, arch="qwen2"), ModelError),
        (lambda path: write_model(path), ModelError),
    ],
    ids=["no GGUF", "missing", "another width", "another architecture", "a whole model"],
)
def test_a_wrong_adapter_is_an_error_and_not_a_crash(model: Path, tmp_path: Path, make: object, error: type) -> None:
    path = tmp_path / "adapter.gguf"
    make(path)  # type: ignore[operator]
    with pytest.raises(error, match="adapter"):
        load(model, lora=path, threads=1)
