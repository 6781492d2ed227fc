"""The loop of reinforcement: sample with real execution, reward, update the adapter, swap it, go on."""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qlora import optimizer
from qlora.checks import check_context
from qlora.out_of_memory import is_out_of_memory
from qlora.policy import Seen, rollouts_of
from qlora.quiet import quiet_libraries
from qlora.runfolder import RunFolder
from recipes.reinforce import record
from recipes.reinforce.evaluate import Evaluation
from recipes.reinforce.figures import rounded, sample_figures
from recipes.reinforce.groups import centred, held_out_reason, refuse_pool, stop_reason, varies, warnings
from recipes.reinforce.job import Job, sampled_file
from recipes.reinforce.journal import Journal, Rollout
from recipes.reinforce.policy import Policy
from recipes.reinforce.sample import Sampled, Sampler
from recipes.reinforce.swap import SwapCheck
from recipes.reinforce.view import PARTS, View, evaluation_line, summary
from runtime.engine.llama.library import usable_cores
from runtime.engine.protocol import encode
from runtime.errors import TrainError
from runtime.lce import conversation, segments
from runtime.settings import EngineSettings

if TYPE_CHECKING:
    from rich.console import Console

    from runtime.engine.llama.engine import LlamaEngine

CHECK_TOKENS = 256
"""Tokens that the check after each swap reads: fewer could not tell a small step from rounding."""
DRIFT_ROWS = 16
"""Solutions of a step on which the way from the model that a run began with is measured."""


@dataclass(frozen=True)
class Outcome:
    """How a run ended: `status` is `finished` or `interrupted`; `stopped` says why it ended early."""

    folder: Path
    status: str
    steps: int
    stopped: str
    held_out: dict[str, Any]


def reinforce(job: Job, console: Console, *, fresh: bool = False) -> Outcome:
    """Run `job`, or go on with it where it was interrupted.

    Raises:
        MathCoderError: bad questions, a pool without anything to learn, no memory, a full disk; what was sampled and
            the last checkpoint are kept.
    """
    from runtime.engine.llama.engine import LlamaEngine
    from runtime.sandbox import Sandbox

    folder = RunFolder(job.out)
    with Sandbox(job.limits) as sandbox:
        _ = sandbox.tier  # Fail before anything is loaded where code cannot be isolated.
    with folder.locked():
        if fresh:
            folder.clear()
            for name in ("rollouts", "evaluations"):
                shutil.rmtree(job.out / name, ignore_errors=True)
        # A 16-bit sampler's last digits depend on its batch anyhow, so that it can have the faster attention.
        settings = EngineSettings(
            threads=job.threads, n_ctx=job.train.context, gpu_layers=job.gpu_layers,
            flash_attention="on" if job.options.sampler == "f16" else "auto",
        )  # fmt: skip
        try:
            with LlamaEngine(sampled_file(job.gguf, job.options.sampler), settings) as engine:
                return _Run(job, folder, engine, console)()
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            raise TrainError(
                f"memory ran out ({(str(error).splitlines() or [type(error).__name__])[0]})",
                "the run stops; what was sampled and the last checkpoint are kept",
                "lower reinforce.slots or train.context, end what else uses it, and give the same command again",
            ) from error


class _Run:
    """One call: the policy in torch, the engine that samples from it, and the steps."""

    def __init__(self, job: Job, folder: RunFolder, engine: LlamaEngine, console: Console) -> None:
        self.job, self.options, self.folder, self.engine = job, job.options, folder, engine
        self.policy = Policy(job.gguf, job.train, job.lora)
        check_context(self.policy.base, job.train.context)
        self.run = record.describe(job, self.policy)
        if (earlier := folder.read()) is not None:
            record.refuse_other(earlier, self.run, folder.path)
        self.state = self.policy.resume(folder.checkpoints)
        folder.truncate_log(self.policy.done)
        self.log = folder.log()
        self.adapter = folder.path / "adapter.gguf"
        decoders = side_by_side(engine, job.threads)
        self.sampler = Sampler(
            engine, job.questions.pool, job.options, job.solve, job.limits, Journal(folder.path / "rollouts"),
            job.train.seed, decoders,
        )  # fmt: skip
        self.sampler.recall(self.policy.done)
        self.evaluation = Evaluation(
            folder.path / "evaluations", job.questions.held_out, job.solve, job.limits, job.options.slots,
            samples=job.options.held_out_samples, decoders=decoders,
        )  # fmt: skip
        self.view = View(console, job.options.steps, self.policy.done)
        self.stopped = self.reason()
        self.held_out: dict[str, Any] = {}

    def __call__(self) -> Outcome:
        """All steps."""
        status = "interrupted"
        try:
            with self.view.live():
                self.begin()
                while self.policy.done < self.options.steps and not self.stopped:
                    self.step()
                self.evaluate()
            if self.log:
                self.view.say(summary(self.log))
            status = "finished"
        except KeyboardInterrupt:
            self.view.say(f"stopped after step {self.policy.done}, saved; the same call goes on from here", "yellow")
        finally:
            # Also where an error goes on its way: the checkpoint is newer than this file, and the next call says so.
            self.close(status)
        return Outcome(self.folder.path, status, self.policy.done, self.stopped, self.held_out)

    def begin(self) -> None:
        """Start sampler and trainer with the adapter as it stands, and evaluate what the run begins with."""
        job, options = self.job, self.options
        self.folder.write(self.run | {"status": "running", "steps": self.policy.done})
        with quiet_libraries():
            self.policy.tokenizer.save_pretrained(self.folder.path / "tokenizer")
        texts = [question.text for question in job.questions.pool[:CHECK_TOKENS]]
        self.check = SwapCheck(self.engine, self.policy, check_ids(self.engine, texts, job.solve.system))
        self.swap()
        self.view.say(
            f"{job.gguf.name}: {len(job.questions.pool):,} questions to train on, {len(job.questions.held_out):,} held "
            f"out; {options.method}, {options.questions} x {options.samples} solutions a step; sampler and trainer "
            f"differ by {self.check.base_kl:.1e} nats a token"
            + (f"; going on after step {self.policy.done}" if self.policy.done else "")
        )
        if not self.policy.done:
            self.evaluate()

    def step(self) -> None:
        """Sample, reward, update, swap; write it down."""
        began, number = time.perf_counter(), self.policy.done
        sampled = self.sampler(
            number, self.policy.sha256(), lambda n, of: self.view.phase("sampling", n, of),
            # A round of rft has thousands of solutions: where the first hundreds teach nothing, the rest is not drawn.
            self.refuse_pool if number == 0 and self.options.method == "rft" else None,
        )  # fmt: skip
        if number == 0:
            self.refuse_pool(sampled)
        entry: dict[str, Any] = {"step": number + 1, **sample_figures(sampled.groups)}
        sampled_at = time.perf_counter()
        entry |= self.update(sampled)
        trained_at = time.perf_counter()
        entry["swap_kl"] = self.swap()
        seconds = {**sampled.seconds, "train": trained_at - sampled_at, "swap": time.perf_counter() - trained_at}
        every = self.options.evaluate_every
        if every and self.policy.done % every == 0 and self.policy.done < self.options.steps:
            evaluated_at = time.perf_counter()
            entry["held_out"] = self.evaluate()
            seconds["eval"] = time.perf_counter() - evaluated_at
        if sampled.fresh:
            entry["tokens_per_second"] = sum(map(_length, sampled.rollouts)) / seconds["sample"]
        entry["seconds"] = {**seconds, "step": time.perf_counter() - began}
        entry["rollouts_so_far"] = entry["rollouts"] + (self.log[-1]["rollouts_so_far"] if self.log else 0)
        self.note(rounded(entry))

    def refuse_pool(self, sampled: Sampled) -> None:
        """Refuse a pool that this model never or always solves; see `groups.refuse_pool`."""
        refuse_pool(sampled.rewards(), self.options.method)

    def update(self, sampled: Sampled) -> dict[str, Any]:
        """The optimizer steps of one step's solutions; their part of the log."""
        options, policy = self.options, self.policy
        batches, advantages, chosen = self.examples(sampled)
        rate = optimizer.learning_rate(policy.done, options.steps, policy.train)
        seen, tokens, drift = Seen(), 0, 0.0
        norms: list[float] = []
        rollouts = rollouts_of([one.trajectory for one in chosen], advantages, policy.vocabulary)
        for number, rows in enumerate(batches):
            self.view.phase("training", number, len(batches))
            drawn = float(sum(len(chosen[row].trajectory.places) for row in rows))
            divisor = self.divisor(sampled) if options.method == "pg" else drawn
            cap = options.cap if options.method == "pg" else None
            update = policy.update(rollouts, rows, divisor=divisor, rate=rate, cap=cap)
            if not norms:
                # Only here: later updates of a step see a model that has moved on from the one that was sampled.
                seen, drift = update.seen, policy.drift(rollouts, rows[:DRIFT_ROWS], update.seen)
            norms.append(update.norm)
            tokens += update.tokens
        policy.done += 1
        return {
            **seen.figures(options.cap), "lr": rate, "grad_norm": max(norms, default=0.0), "trained": len(chosen),
            "tokens": tokens, "kl_to_start": drift,
        }  # fmt: skip

    def examples(self, sampled: Sampled) -> tuple[list[list[int]], list[float], list[Rollout]]:
        """Rows of each update, and advantage and solution of each row."""
        options = self.options
        chosen: list[Rollout] = []
        advantages: list[float] = []
        for group in sampled.groups.values():
            rewards = [rollout.reward for rollout in group]
            if options.method == "rft":
                # Short ones first: of right solutions the longer ones wander more.
                right = sorted((one for one in group if one.reward and not one.void), key=_length)
                chosen += right[: options.per_question]
            elif varies(rewards):
                # Solutions that a limit ended are in the mean and not in the loss.
                pairs = [(one, a) for one, a in zip(group, centred(rewards), strict=True) if not one.void]
                chosen += [one for one, _ in pairs]
                advantages += [a for _, a in pairs]
        if options.method == "pg":
            return [list(range(len(chosen)))] if chosen else [], advantages, chosen
        order = list(range(len(chosen)))
        random.Random(f"rows {self.job.train.seed} {self.policy.done}").shuffle(order)
        parts = [order[turn :: options.updates] for turn in range(options.updates)]
        return [part for part in parts if part], [1.0] * len(chosen), chosen

    def divisor(self, sampled: Sampled) -> float:
        """Tokens that a step is planned to draw: constant, so that no solution counts by its length."""
        if "divisor" not in self.state:
            every = sampled.rollouts
            mean = sum(map(_length, every)) / len(every)
            self.state["divisor"] = mean * self.options.questions * self.options.samples
        return float(self.state["divisor"])

    def swap(self) -> float:
        """Let the sampler use the adapter as it stands; nats a token in which the two still differ."""
        # An adapter that names its base is refused on a copy of that.
        self.policy.write(self.adapter, named=self.engine.path == self.job.gguf)
        return self.check(self.adapter)

    def evaluate(self) -> dict[str, Any]:
        """Held-out questions, solved by the adapter as it stands."""
        step, adapter = self.policy.done, self.policy.sha256()
        self.held_out = self.evaluation(self.engine, step, adapter, lambda n, of: self.view.phase("evaluating", n, of))
        self.view.say(evaluation_line(step, self.held_out))
        return self.held_out

    def note(self, entry: dict[str, Any]) -> None:
        """Write a step down, show it, and see whether the run should go on."""
        self.folder.append_log(entry)
        # After the log: what the log has beyond the checkpoint is dropped when a run goes on.
        self.policy.save(self.folder.checkpoints, {"divisor": self.state.get("divisor", 0.0)})
        self.log.append(entry)
        self.view.step(entry)
        for warning in warnings(self.log):
            self.view.say(f"warning: {warning}", "yellow")
        self.stopped = self.reason()
        if self.stopped:
            self.view.say(f"stopped after step {self.policy.done}: {self.stopped}", "yellow")

    def reason(self) -> str:
        """Why the run should stop here; empty where it should not."""
        if not self.log:
            return ""
        # The evaluation after the last step stops nothing, neither now nor when a finished run is opened again.
        evaluated = self.evaluation.until(min(self.policy.done, self.options.steps - 1))
        return stop_reason(self.log) or held_out_reason(evaluated, self.options.patience) or ""

    def close(self, status: str) -> None:
        """The adapter and the account of the run."""
        finished = status == "finished"
        if finished:
            self.folder.write_adapter(self.policy.adapted)
            self.policy.write(self.adapter)
            lines = self.evaluation.read(self.policy.done) or []
            record.write_held_out(self.folder, lines, self.job.solve.system)
        record.plot(self.log, self.evaluation.until(self.policy.done), self.folder.path / "plots")
        totals = {name: sum(e["seconds"].get(name, 0.0) for e in self.log) for name in ("step", *PARTS)}
        self.folder.write(
            self.run
            | {"status": status, "steps": self.policy.done, "stopped": self.stopped, "held_out_share": self.held_out}
            | {"seconds": rounded(totals), "rollouts": self.log[-1]["rollouts_so_far"] if self.log else 0}
            | {"device": self.policy.adapted.device.type, "micro_tokens": self.policy.micro_tokens}
        )


def side_by_side(engine: LlamaEngine, threads: int | None) -> int:
    """How many decoders to sample with: for a small model one a thread, for a larger one just one."""
    if not engine.is_small:
        return 1
    engine.threads = 1
    return threads or usable_cores()


def check_ids(engine: LlamaEngine, texts: Sequence[str], system: str) -> list[int]:
    """At most CHECK_TOKENS token ids of prompts that ask `texts`, one after the other."""
    vocabulary = engine.vocabulary
    ids = [] if vocabulary.bos is None else [vocabulary.bos]
    for text in texts:
        if len(ids) >= CHECK_TOKENS:
            break
        ids += encode(vocabulary, segments(conversation(text, system=system), generation_prompt=True))
    return ids[:CHECK_TOKENS]


def _length(rollout: Rollout) -> int:
    """Tokens drawn."""
    return len(rollout.trajectory.places)
