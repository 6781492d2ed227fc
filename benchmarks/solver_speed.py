"""What the solve loop costs, and what a batch gains.

    python benchmarks/solver_speed.py [overhead] [batch] [--model MODEL.gguf] [--slots 1 8 16]

`overhead`: tokens a second of the solver against a bare loop of llama_decode and a greedy llama_sampler, in turns, on
the same model and prompt; with --cpu per second of processor time, which other work on the machine disturbs less
(take --threads 1 then: waiting threads spin). `batch`: finished solutions a minute with several slots against one
after another, with real decodes, scripted turns (each sequence draws a prepared text, code, text) and real cells.

Without --model, a random model of the shape of a 0.5B Qwen2 (24 layers, width 896, 151,936 tokens, Q4_K_M) is made once
in a cache folder; it needs about 4 GB of disk for a moment.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
sys.path.insert(0, str(ROOT / "tests" / "runtime"))

from figures import Figures, add_json_argument  # noqa: E402

from runtime.batch import Item, solve_batch  # noqa: E402
from runtime.engine_llama import LlamaDecoder, LlamaEngine  # noqa: E402
from runtime.engine_native import captured_log, library  # noqa: E402
from runtime.lce import TEXT, Block, conversation, segments  # noqa: E402
from runtime.replay import script_tokens  # noqa: E402
from runtime.sandbox import Sandbox  # noqa: E402
from runtime.settings import EngineSettings, SolverSettings  # noqa: E402
from runtime.solver import Solver  # noqa: E402

CLOCK: Callable[[], float] = time.perf_counter
QUESTION = "A shop sells pens at 3 dollars and books at 7. How much do 4 pens and 5 books cost together?"


def half_billion(folder: Path) -> Path:
    """A random Q4_K_M model of the shape of Qwen2-0.5B (its width of 896 is padded to 1024: K-quants need 256s)."""
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
    context = lib.llama_init_from_model(engine._model, params)
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
    """Draws greedily, but no control token once a block is open, so that both loops write equally many tokens."""

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


class Scripted(LlamaEngine):
    """Real decodes, prepared draws."""

    script: ClassVar[list[int]] = []

    def open(self, slots: int = 1) -> LlamaDecoder:
        decoder = super().open(slots)
        scripts: dict[int, Any] = {}
        start, draw = decoder.start, decoder._draw

        def begin(*args: Any, **kwargs: Any) -> Any:
            sequence = start(*args, **kwargs)
            scripts[id(sequence)] = iter(self.script)
            return sequence

        def prepared(sequence: Any, index: int) -> int:
            draw(sequence, index)
            return next(scripts[id(sequence)])

        decoder.start, decoder._draw = begin, prepared  # type: ignore[method-assign]
        return decoder


def batch(figures: Figures, model: Path, threads: int | None, slots: list[int], count: int) -> None:
    with Sandbox() as warm:
        warm.run("1")
    with Scripted(model, EngineSettings(n_ctx=1024, threads=threads)) as engine:
        words = "We first find the price of the pens and then that of the books, and add both. "
        blocks = [
            Block("text", words),
            Block("code", "from sympy import Rational\npens = 4 * 3\nbooks = Rational(5) * 7\npens + books"),
            Block("text", "Together they cost \\boxed{47} dollars."),
            Block("text", "47"),
        ]
        Scripted.script = script_tokens(engine.vocabulary, blocks)
        items = [Item(str(n), n, f"[{n}] {QUESTION}") for n in range(count)]
        base = 0.0
        times = {}
        for number in slots:
            # One after another, all take equally long, and a quarter of them tells the rate.
            asked = items if number > 1 else items[: max(4, count // 4)]
            begun = CLOCK()
            done = [solution for _, solution in solve_batch(engine, asked, slots=number)]
            seconds = CLOCK() - begun
            assert all(s.status == "answered" and s.answer == "47" and s.cells == 1 for s in done)
            rate = 60 * len(asked) / seconds
            base = base or rate
            times[number] = rate / base
            tokens = sum(s.tokens["generated"] for s in done) / seconds
            print(
                f"{number:3} slots: {rate:8.1f} solutions a minute, {tokens:8.1f} tokens/s, {rate / base:.2f} times",
                flush=True,
            )
        figures.details["batch"] = {"threads": engine.threads, "times one after another": times}
        figures.add("finished solutions, several slots of one", max(times.values()), at_least=2.5)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("what", nargs="*", choices=["overhead", "batch", []], default=[], help="default: both")
    parser.add_argument("--model", type=Path)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--slots", type=int, nargs="*", default=[1, 8, 16])
    parser.add_argument("--questions", type=int, default=32)
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
    return figures.finish(arguments.json)


if __name__ == "__main__":
    raise SystemExit(main())
