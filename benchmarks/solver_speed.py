"""What the solve loop costs, and what a batch gains.

    python benchmarks/solver_speed.py [overhead] [batch] [nano] [--model MODEL.gguf] [--slots 1 8 16]

`overhead`: tokens a second of the solver against a bare loop of llama_decode and a greedy llama_sampler, in turns, on
the same model and prompt; with --cpu per second of processor time, which other work on the machine disturbs less
(take --threads 1 then: waiting threads spin). `batch`: finished solutions a minute with several slots against one
after another, with real decodes, scripted turns (each sequence draws prepared text, code and text, as long as recorded
solutions are, and all alike) and real cells. `nano`: the same with the packaged nano model and its own solutions; how
many of them a batch changes.

Without --model, a random model of the shape of a 0.5B Qwen2 (24 layers, width 896, 151,936 tokens, Q4_K_M) is made once
in a cache folder; it needs about 4 GB of disk for a moment.
"""

from __future__ import annotations

import argparse
import ctypes
import itertools
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
sys.path.insert(0, str(ROOT / "tests" / "runtime"))

from figures import Figures, add_json_argument  # noqa: E402

from recipes.nano.exam import sit  # noqa: E402
from recipes.places import PACKAGED_MODEL  # noqa: E402
from runtime.engine.llama.engine import LlamaDecoder, LlamaEngine  # noqa: E402
from runtime.engine.llama.library import captured_log, library  # noqa: E402
from runtime.engine.scripted import script_tokens  # noqa: E402
from runtime.lce import TEXT, Block, conversation, segments  # noqa: E402
from runtime.sandbox import Sandbox  # noqa: E402
from runtime.settings import EngineSettings, SolverSettings  # noqa: E402
from runtime.solver import Solver  # noqa: E402
from runtime.solver.batch import Item, solve_batch  # noqa: E402
from runtime.solver.solution import Solution  # noqa: E402

CLOCK: Callable[[], float] = time.perf_counter
QUESTION = "Pens at 3, books at 7: how much are 4 and 5?"
"""About as many bytes as the recorded questions have tokens."""


def half_billion(folder: Path) -> Path:
    """A random Q4_K_M model of the shape of Qwen2-0.5B.

    Its width of 896 is padded to 1024: K-quants need 256s.
    """
    import numpy as np
    from gguf_factory import write_model

    target = folder / "random-0.5b-Q4_K_M.gguf"
    if target.exists():
        return target
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        source = write_model(
            Path(scratch) / "f16.gguf",
            hidden=1024,
            feed_forward=4864,
            layers=22,
            heads=16,
            kv_heads=2,
            vocab=151_936,
            context=4096,
            dtype=np.float16,
            spread=0.02,
        )
        lib = library()
        params = lib.llama_model_quantize_default_params()
        params.ftype = lib.LLAMA_FTYPE_MOSTLY_Q4_K_M
        partial = Path(scratch) / "q4.gguf"
        with captured_log() as log:
            code = lib.llama_model_quantize(str(source).encode(), str(partial).encode(), ctypes.byref(params))
        if code:
            sys.exit(f"quantizing failed: {log}")
        os.replace(partial, target)
    return target


# Overhead


def bare_loop(engine: LlamaEngine, ids: list[int], count: int) -> float:
    """Tokens a second of the shortest possible loop, prompt not counted."""
    lib = library()
    params = lib.llama_context_default_params()
    params.n_ctx, params.n_batch, params.n_ubatch = engine.n_ctx, 512, 512
    params.n_threads = params.n_threads_batch = engine.threads
    params.flash_attn_type = lib.LLAMA_FLASH_ATTN_TYPE_DISABLED
    context = lib.llama_init_from_model(engine.handle, params)
    chain = lib.llama_sampler_chain_init(lib.llama_sampler_chain_default_params())
    lib.llama_sampler_chain_add(chain, lib.llama_sampler_init_greedy())
    prompt = (ctypes.c_int32 * len(ids))(*ids)
    lib.llama_decode(context, lib.llama_batch_get_one(prompt, len(ids)))
    one = (ctypes.c_int32 * 1)()
    begun = CLOCK()
    for _ in range(count):
        one[0] = lib.llama_sampler_sample(chain, context, -1)
        lib.llama_decode(context, lib.llama_batch_get_one(one, 1))
    seconds = CLOCK() - begun
    lib.llama_sampler_free(chain)
    lib.llama_free(context)
    return count / seconds


class NeverEnding(LlamaEngine):
    """Draws greedily, but no control token in an open block, so that both loops write as many tokens."""

    def open(self, slots: int = 1) -> LlamaDecoder:
        decoder = super().open(slots)
        draw = decoder._draw

        text = self.vocabulary.control_id(TEXT)

        def steady(sequence: Any, index: int) -> int:
            token = draw(sequence, index)
            if sequence.only is not None:
                return text if text in sequence.only else token
            return token if self.vocabulary.piece(token) else 300

        decoder._draw = steady  # type: ignore[method-assign]
        return decoder


def overhead(figures: Figures, model: Path, threads: int | None, count: int, rounds: int) -> None:
    settings = SolverSettings(max_tokens=count + 1, max_block_tokens=count + 1, code_execution=False)
    with NeverEnding(model, EngineSettings(n_ctx=2048, threads=threads)) as engine:
        ids = [1]
        for piece in segments(conversation(QUESTION), generation_prompt=True):
            token = engine.vocabulary.control_id(piece.text) if piece.is_control else None
            ids += [token] if token is not None else engine.vocabulary.encode(piece.text)
        solver = Solver(engine, None, settings)
        ratios = []
        for number in range(rounds):
            bare = bare_loop(engine, ids, count)
            ours = _solver_rate(solver)
            ratios.append(ours / bare)
            print(
                f"round {number + 1}: bare {bare:8.1f} tokens/s   solver {ours:8.1f} tokens/s   ratio {ours / bare:.3f}"
            )
        figures.details["overhead"] = {"model": model.name, "threads": engine.threads, "ratios": ratios}
        figures.add("tokens/s of the solver, of a bare loop's", statistics.median(ratios), at_least=0.95)


def _solver_rate(solver: Solver) -> float:
    times: list[float] = []
    from runtime.solver import Attempt

    push = Attempt.push

    def timed(self: Attempt, token: int, piece: bytes) -> Any:
        times.append(CLOCK())
        return push(self, token, piece)

    Attempt.push = timed  # type: ignore[method-assign]
    try:
        solver.solve(QUESTION)
    finally:
        Attempt.push = push  # type: ignore[method-assign]
    return (len(times) - 1) / (times[-1] - times[0])


# Batch


EQUAL = (173, 1)
"""(tokens, cells) of a short solution, to a short question: the longer the question, the less a batch gains."""
LENGTHS = (
    *((78, 1), (146, 1), (176, 1), (204, 1), (232, 1), (258, 1), (283, 1), (313, 2)),
    *((345, 2), (378, 2), (416, 2), (461, 2), (523, 3), (606, 3), (771, 4), (900, 5)),
)
"""(tokens, cells): each stands for a sixteenth of the recorded solutions of MathCoder-7B on four benchmarks, by the
characters of their text and code at 3.5 a token. The last sixteenth, solutions that repeat themselves for thousands of
tokens, is cut to what fits."""
WORDS = "We first find the price of the pens and then that of the books, and add both to know what is to be paid. "
CELLS = (
    "from sympy import Rational\npens = 4 * 3\nbooks = Rational(5) * 7\npens + books",
    "total = pens + books\nprint(total)",
)


def turns(tokens: int, cells: int) -> list[Block]:
    """A solution of about so many tokens, in a vocabulary of bytes: text and code, and the answer."""
    end = [Block("text", "Together they cost \\boxed{47} dollars."), Block("text", "47")]
    codes = [CELLS[min(number, 1)] for number in range(cells)]
    spare = tokens - sum(len(text) for text in codes) - sum(len(block.content) for block in end)
    each = max(1, spare // cells)
    blocks = []
    for code in codes:
        blocks += [Block("text", (WORDS * (1 + each // len(WORDS)))[:each]), Block("code", code)]
    return blocks + end


class Scripted(LlamaEngine):
    """Real decodes, prepared draws: the sequences draw the scripts in the order in which they start."""

    scripts: ClassVar[Iterator[list[int]]] = iter(())

    def open(self, slots: int = 1) -> LlamaDecoder:
        decoder = super().open(slots)
        scripts: dict[int, Any] = {}
        start, draw = decoder.start, decoder._draw

        def begin(*args: Any, **kwargs: Any) -> Any:
            sequence = start(*args, **kwargs)
            scripts[id(sequence)] = iter(next(self.scripts))
            return sequence

        def prepared(sequence: Any, index: int) -> int:
            draw(sequence, index)
            return next(scripts[id(sequence)])

        decoder.start, decoder._draw = begin, prepared  # type: ignore[method-assign]
        return decoder


def batch(figures: Figures, model: Path, threads: int | None, slots: list[int], count: int) -> None:
    with Sandbox() as warm:
        warm.run("1")
    order = list(LENGTHS)
    random.Random(1).shuffle(order)
    # Equal ones are in step: all their cells come at once. Recorded ones attend to the longest of the batch.
    equal, recorded = "equal lengths", "recorded lengths"
    settings = EngineSettings(n_ctx=1024, threads=threads)
    several = [number for number in slots if number > 1]
    base: dict[str, float] = {}
    for name, lengths, flash, runs in (
        (equal, [EQUAL], "off", [1, *several]),
        (recorded, order, "off", [1, *several[-1:]]),
        (f"{recorded}, flash attention", order, "on", several[-1:]),
    ):
        if not several:
            break
        with Scripted(model, settings.model_copy(update={"flash_attention": flash})) as engine:
            figures.details["threads"] = engine.threads
            times: dict[int, float] = {}
            for number in runs:
                # One after another, the lengths need to come up only once.
                questions = count // (3 if lengths == [EQUAL] else 1) if number > 1 else max(8, len(lengths))
                rate = _solutions_a_minute(engine, lengths, questions, number, name)
                base.setdefault(name.partition(", flash")[0], rate)
                times[number] = rate / base[name.partition(", flash")[0]]
            figures.details[name] = {"times one after another": {n: round(t, 3) for n, t in times.items()}}
            target = None if name == recorded else 2.5
            figures.add(f"finished solutions, several slots of one, {name}", max(times.values()), at_least=target)


def _solutions_a_minute(
    engine: LlamaEngine, lengths: list[tuple[int, int]], questions: int, slots: int, name: str
) -> float:
    prepared = [script_tokens(engine.vocabulary, turns(*length)) for length in lengths]
    Scripted.scripts = itertools.cycle(prepared)
    asked = [Item(str(n), n, f"({n}) {QUESTION}") for n in range(questions)]
    begun = CLOCK()
    done = list(solve_batch(engine, asked, slots=slots))
    seconds = CLOCK() - begun
    for item, solution in done:
        assert (solution.status, solution.answer) == ("answered", "47"), solution
        assert solution.cells == lengths[item.index % len(lengths)][1], solution
    tokens = sum(solution.tokens["generated"] for _, solution in done) / seconds
    rate = 60 * questions / seconds
    print(f"{name}, {slots:2} slots: {rate:6.1f} solutions a minute, {tokens:6.1f} tokens/s", flush=True)
    return rate


# Nano


def nano(figures: Figures, slots: list[int], count: int) -> None:
    """The packaged model on held-out problems: the ratio, and whether a batch gives what one by one gives."""
    details: dict[str, Any] = {}
    settings = EngineSettings(n_ctx=1024)
    with LlamaEngine(PACKAGED_MODEL, settings) as engine:
        sit(engine, "numbers", 4, slots=1)
        alone, base = _exam(engine, count, 1)
    several = [number for number in slots if number > 1]
    for flash, number in [*(("off", number) for number in several), *(("on", number) for number in several[-1:])]:
        with LlamaEngine(PACKAGED_MODEL, settings.model_copy(update={"flash_attention": flash})) as engine:
            together, rate = _exam(engine, count, number)
        pairs = list(zip(alone, together, strict=True))
        name = f"{number} slots, flash attention {flash}"
        details[name] = {
            "times one after another": round(rate / base, 3),
            "other answers": sum(a.answer != b.answer for a, b in pairs),
            "other blocks": sum(a.blocks != b.blocks for a, b in pairs),
            "of": count,
        }
        print(f"nano, {name}: {details[name]}", flush=True)
        target = 0 if flash == "off" else None
        figures.add(f"nano, answers that differ, {name}", details[name]["other answers"], at_most=target)
    figures.details["nano"] = details


def _exam(engine: LlamaEngine, count: int, slots: int) -> tuple[list[Solution], float]:
    begun = CLOCK()
    solutions = [s for kind in ("numbers", "wording") for s in sit(engine, kind, count // 2, slots=slots).solutions]
    return solutions, count / (CLOCK() - begun)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("what", nargs="*", choices=["overhead", "batch", "nano", []], default=[], help="default: all")
    parser.add_argument("--model", type=Path)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--slots", type=int, nargs="*", default=[1, 8, 16])
    parser.add_argument("--questions", type=int, default=96, help="a multiple of 16")
    parser.add_argument("--problems", type=int, default=400, help="of the nano model")
    parser.add_argument("--cpu", action="store_true", help="count processor time instead of wall time")
    add_json_argument(parser, "solver_speed")
    arguments = parser.parse_args()
    if arguments.cpu:
        globals()["CLOCK"] = time.process_time
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "mathcoder-toolkit" / "benchmarks"
    model = arguments.model or half_billion(cache)
    figures = Figures("solver_speed", model=model.name, slots=arguments.slots, questions=arguments.questions)
    if "overhead" in (arguments.what or ["overhead"]):
        overhead(figures, model, arguments.threads, arguments.tokens, arguments.rounds)
    if "batch" in (arguments.what or ["batch"]):
        batch(figures, model, arguments.threads, arguments.slots, arguments.questions)
    if "nano" in (arguments.what or ["nano"]):
        nano(figures, arguments.slots, arguments.problems)
    return figures.finish(arguments.json)


if __name__ == "__main__":
    raise SystemExit(main())
