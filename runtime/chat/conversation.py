"""The state behind a chat: the turns, the Python session they share, and the solver.

Nothing here prints or reads keys; `runtime.chat.app` does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from runtime.chat.log import ChatLog, Recorded, cells_of
from runtime.lce import Block
from runtime.sandbox import CellResult, Limits, Sandbox
from runtime.settings import MAX_SEED, SolverSettings, derived_seed
from runtime.show.notebook import Turn
from runtime.solver import BlockEnded, Event, Execution, OnEvent, Solution, Solver
from runtime.solver.vote import Vote
from runtime.solver.vote import vote as majority

if TYPE_CHECKING:
    from runtime.engine import Engine
    from runtime.lce import Segment
    from runtime.solver.dialects import Dialect, Exchange

ROOM = 1024
"""Tokens kept free for the next solution when older turns have to go."""


@dataclass(frozen=True)
class Votes:
    """Several solutions to one question and what came of the vote.

    Attributes:
        solutions: in the order they were made.
        outcome: the groups of equal answers.
        chosen: index of the solution that is kept: the first one with the winning answer, else the last one.
    """

    solutions: list[Solution]
    outcome: Vote
    chosen: int


class Conversation:
    """Questions, answers and variables.

    Args:
        engine: the model.
        settings: budgets and sampling.
        limits: of the Python session.
        log: where events are recorded.
        unsafe_exec: run cells without isolation where none works.
    """

    def __init__(
        self, engine: Engine, settings: SolverSettings, limits: Limits, log: ChatLog, *, unsafe_exec: bool = False
    ) -> None:
        self.engine = engine
        self.settings = settings
        self.log = log
        self.turns: list[Turn] = []
        self.cells: list[str] = []
        self.samples = 1
        self.last: Solution | None = None
        self.last_vote: Votes | None = None
        self.dropped = 0
        """Turns that did not fit the model's context at the last question."""
        self._unsafe = unsafe_exec
        self.sandbox = self._session(limits)
        try:
            self.solver = Solver(engine, self.sandbox, settings)
        except BaseException:
            self.sandbox.close()
            raise
        self._images: dict[int, list[bytes]] = {}
        self._executions = 0
        self._tries = 0

    @property
    def limits(self) -> Limits:
        """Limits of the Python session."""
        return self.sandbox.limits

    # Asking

    def ask(self, question: str, on_event: OnEvent | None = None, *, prefix: Sequence[Block] = ()) -> Solution:
        """Solve `question` as the next turn and keep it.

        Args:
            question: the user's text.
            on_event: see `runtime.solver.loop.Solver.solve`.
            prefix: blocks that the solution begins with, already executed (an edited solution that goes on).
        """
        self.log.write("question", text=question)
        for block in prefix:
            self.log.write("block", block=block.as_dict())
        self._images, self._executions = {}, sum(block.type == "execution" for block in prefix)
        history = self._fitting_history(question)
        solver = self.solver
        plain = solver.dialect
        if prefix:
            solver.dialect = _GoingOn(plain, prefix)
        try:
            solution = solver.solve(
                question, on_event=self._recording(on_event), history=history, keep_session=True, seed=self._seed()
            )
        finally:
            solver.dialect = plain
        if prefix:
            stopped = [index + len(prefix) for index in solution.stopped]
            solution = replace(solution, blocks=[*prefix, *solution.blocks], stopped=stopped)
        self._keep(question, solution)
        return solution

    def vote(
        self,
        question: str,
        samples: int,
        on_event: OnEvent | None = None,
        on_sample: Callable[[int, Solution], None] | None = None,
    ) -> Votes:
        """Solve `question` several times, each in a copy of the session, and keep one of the majority.

        `on_event` follows the first sample, `on_sample` hears of every finished one. An interrupt ends the
        voting with what there is.
        """
        self.log.write("question", text=question)
        history = self._fitting_history(question)
        settings = self.settings.that_differ()
        solutions: list[Solution] = []
        images: list[dict[int, list[bytes]]] = []
        base = self._seed()
        for number in range(samples):
            self._images, self._executions = {}, 0
            # Each sample runs in a session of its own: what one defines must not reach the next.
            with self._session(self.limits) as sandbox:
                replay(sandbox, self.cells)
                solver = Solver(self.engine, sandbox, settings)
                try:
                    solution = solver.solve(
                        question,
                        on_event=self._recording(on_event if number == 0 else None, log=False),
                        history=history,
                        keep_session=True,
                        seed=(base + number * 0x9E3779B1) % MAX_SEED + 1,
                    )
                finally:
                    solver.close()
            solutions.append(solution)
            images.append(self._images)
            if on_sample is not None:
                on_sample(number, solution)
            if solution.status == "interrupted":
                break
        outcome = majority(solutions)
        vote = Votes(solutions, outcome, outcome.members[0] if outcome.members else len(solutions) - 1)
        self._images = images[vote.chosen]
        chosen = solutions[vote.chosen]
        self._keep(question, chosen, votes=[[answer, count] for answer, count in outcome.groups])
        replay(self.sandbox, cells_of(self.turns[-1]))
        self.last_vote = vote
        return vote

    def run(self, code: str) -> CellResult:
        """Run the user's own code in the session; it is recorded, and not part of what the model reads."""
        result = self.sandbox.run(code)
        facts = {"stopped": [1] if result.is_stopped else []}
        turn = Turn("", [Block("code", code), Block("execution", result.output)], None, result.status, facts=facts)
        if result.images:
            turn.images[0] = list(result.images)
        self.turns.append(turn)
        self.cells += cells_of(turn)
        self.log.turn(turn)
        return result

    def variables(self) -> CellResult:
        """The session's variables, one a line, as `name<TAB>type<TAB>value`."""
        return self.sandbox.run(_LIST_VARIABLES)

    # Going back

    def undo(self) -> Turn | None:
        """Forget the last turn and what its cells did to the session."""
        if not self.turns:
            return None
        turn = self.turns.pop()
        cells = cells_of(turn)
        if cells:
            del self.cells[len(self.cells) - len(cells) :]
            self.rebuild_session()
        self.log.write("undo")
        self.last, self.last_vote = None, None
        return turn

    def clear(self) -> None:
        """Forget the conversation, keep the variables."""
        self.turns, self.last, self.last_vote = [], None, None
        self.log.write("clear")

    def reset(self) -> None:
        """Forget the conversation and the variables."""
        self.turns, self.cells, self.last, self.last_vote = [], [], None, None
        self.sandbox.reset()
        self.log.write("reset")

    def rebuild_session(self) -> int:
        """A fresh session with every kept cell run again; returns how many were."""
        self.sandbox.reset()
        return replay(self.sandbox, self.cells)

    def take(self, recorded: Recorded) -> int:
        """Go on from a recorded conversation; returns how many cells were run to restore its variables."""
        self.turns, self.cells = list(recorded.turns), list(recorded.cells)
        self.last, self.last_vote = None, None
        return self.rebuild_session()

    # Changing what it runs on

    def use_settings(self, settings: SolverSettings) -> None:
        """Go on with other budgets or another temperature."""
        self._take_solver(Solver(self.engine, self.sandbox, settings))
        self.settings = settings

    def use_limits(self, limits: Limits) -> None:
        """Go on with other limits; the session is built anew with its variables.

        Raises:
            SandboxError: such a session cannot be started; the old one is kept.
        """
        sandbox = self._session(limits)
        try:
            replay(sandbox, self.cells)
            solver = Solver(self.engine, sandbox, self.settings)
        except BaseException:
            sandbox.close()
            raise
        self._take_solver(solver)
        old, self.sandbox = self.sandbox, sandbox
        old.close()

    def use_engine(self, engine: Engine, settings: SolverSettings) -> None:
        """Go on with another model; the old one is freed.

        Raises:
            ModelError: the model cannot be used with these settings; it is freed and the old one is kept.
        """
        try:
            solver = Solver(engine, self.sandbox, settings)
        except BaseException:
            engine.close()
            raise
        self._take_solver(solver)
        self.settings = settings
        old, self.engine = self.engine, engine
        old.close()

    def close(self) -> None:
        """End the session and free the model."""
        self.solver.close()
        self.sandbox.close()
        self.engine.close()

    # Inside

    def _session(self, limits: Limits) -> Sandbox:
        return Sandbox(limits, unsafe_exec=self._unsafe)

    def _take_solver(self, solver: Solver) -> None:
        self.solver.close()
        self.solver = solver

    def _seed(self) -> int:
        # The number of tries, not of turns: /retry at a temperature must not draw the same solution again.
        self._tries += 1
        return derived_seed(self.settings.seed, len(self.turns), self._tries)

    def _keep(self, question: str, solution: Solution, **more: Any) -> None:
        facts = {
            "tokens": dict(solution.tokens),
            "seconds": round(solution.seconds, 3),
            "seed": solution.seed,
            "detail": solution.detail,
            "stopped": list(solution.stopped),
            **more,
        }
        turn = Turn(question, solution.blocks, solution.answer, solution.status, dict(self._images), facts)
        self.turns.append(turn)
        self.cells += cells_of(turn)
        self.last = solution
        self.last_vote = None
        self.log.turn(turn)

    def _recording(self, on_event: OnEvent | None, *, log: bool = True) -> OnEvent:
        stopped: list[bool] = []

        def take(event: Event) -> None:
            if isinstance(event, Execution):
                stopped[:] = [True] if event.is_stopped else []
                if event.images:
                    self._images[self._executions] = list(event.images)
                self._executions += 1
            elif isinstance(event, BlockEnded) and log:
                told = bool(stopped) and event.block.type == "execution"
                self.log.write("block", block=event.block.as_dict(), stopped=told)
            if on_event is not None:
                on_event(event)

        return take

    def _fitting_history(self, question: str) -> list[Exchange]:
        """The newest turns that fit the context with room for a solution; the system text always stays."""
        turns = [(turn.question, turn.blocks) for turn in self.turns if turn.question and _whole(turn.blocks)]
        room = min(ROOM, self.engine.n_ctx // 2)
        self.dropped = 0
        while turns and self._prompt_tokens(question, turns) > self.engine.n_ctx - room:
            turns = turns[1:]
            self.dropped += 1
        return turns

    def _prompt_tokens(self, question: str, history: Sequence[Exchange]) -> int:
        vocabulary = self.engine.vocabulary
        pieces = self.solver.dialect.prompt(question, self.settings.system, history)
        if vocabulary is None:  # a server that shows no token ids: four characters a token is the usual density
            return sum(1 + len(piece.text) // 4 for piece in pieces)
        return 1 + sum(1 if piece.is_control else len(vocabulary.encode(piece.text)) for piece in pieces)


def _whole(blocks: Sequence[Block]) -> bool:
    """Whether a solution can stand in the history: not empty, and no code without its execution."""
    return bool(blocks) and blocks[-1].type != "code"


def replay(sandbox: Sandbox, cells: Sequence[str]) -> int:
    """Run `cells` to restore the names they define; returns how many."""
    for code in cells:
        sandbox.run(code)
    return len(cells)


class _GoingOn:
    """A dialect whose prompt already holds the first blocks of the solution."""

    def __init__(self, dialect: Dialect, prefix: Sequence[Block]) -> None:
        self._dialect = dialect
        self._prefix = prefix

    def __getattr__(self, name: str) -> Any:
        return getattr(self._dialect, name)

    def prompt(self, question: str, system: str, history: Any = ()) -> list[Segment]:
        from runtime.lce import assistant_block_segments

        pieces = self._dialect.prompt(question, system, history)
        for block in self._prefix:
            pieces += assistant_block_segments(block.type, block.content)
        return pieces


# One expression, so that listing the variables adds none. `_` and Out stay as they are, because its value is None.
_LIST_VARIABLES = """\
(lambda space, module, short: [
    print(name, type(value).__name__, short(' '.join(__import__('builtins').repr(value).split())), sep='\\t')
    for name, value in sorted(space.items())
    if not name.startswith('_') and name not in ('In', 'Out', 'exit', 'quit', 'get_ipython', 'open')
    and not isinstance(value, module)
] and None)(
    dict(globals()), type(__import__('sys')), lambda text: text if len(text) <= 200 else text[:197] + '...'
) or None"""
