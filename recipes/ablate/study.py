"""What an ablation consists of: its variants' rows, and a training for each budget and seed.

Everything that can be refused is refused here, before a minute is spent. The study is written to `study.json`; a folder
that holds another study is refused.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import ValidationError

from qlora.data import Row, rows_to_jsonl
from qlora.packing import RowOrder
from qlora.settings import LAYOUT_KEYS, QloraSettings
from recipes.ablate.variants import LCE, Variant, derive
from recipes.schema import Recipe
from runtime.errors import InputError
from runtime.files import read_objects, sha256_file, write_json, write_text

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from runtime.evaluate.question_sets import QuestionSet

Budget = Literal["steps", "tokens"]
BUDGETS: dict[Budget, str] = {"steps": "equal steps", "tokens": "equal supervised tokens"}
LONGEST = 20
"""A variant at equal supervised tokens takes at most so many times the steps of LCE."""


@dataclass(frozen=True, eq=False)
class Counts:
    """int64 [rows] each: tokens of a row that carry loss, and all its tokens."""

    supervised: NDArray[np.int64]
    lengths: NDArray[np.int64]

    def seen(self, steps: int, batch_rows: int, seed: int) -> NDArray[np.int64]:
        """int64 [steps]: supervised tokens seen up to the end of each step."""
        import numpy as np

        order = RowOrder(len(self.supervised), batch_rows, seed)
        return np.cumsum([int(self.supervised[order.at(step)].sum()) for step in range(steps)])


@dataclass(frozen=True)
class Training:
    """One adapter: rows, steps and seed. Several variants, modes or budgets may share it."""

    variant: Variant
    steps: int
    seed: int
    supervised: int

    @property
    def name(self) -> str:
        """Its folder's name."""
        return f"{self.variant.name}-{self.steps}-seed{self.seed}"


@dataclass(frozen=True)
class Cell:
    """One entry of the table for one seed: a variant at a budget, and the training that it is."""

    variant: Variant
    budget: Budget
    training: Training


@dataclass
class Study:
    """The whole experiment.

    Attributes:
        recipe: what all variants share.
        sets: the questions, the same for all.
        cells: what is measured, variants in order, then budgets, then seeds.
        rows: of each variant, with how many LCE rows gave none.
        folder: where everything goes.
        facts: what decides the result; a folder that holds others is refused.
        files: the rows of each variant, held-out ones included, by the file they go to.
        counts: tokens of the rows that are trained on, by what decides a training.
    """

    recipe: Recipe
    qlora: QloraSettings
    sets: list[QuestionSet]
    cells: list[Cell]
    rows: dict[str, dict[str, int]]
    folder: Path
    facts: dict[str, Any] = field(default_factory=dict)
    files: dict[Path, list[Row]] = field(default_factory=dict, repr=False)
    counts: dict[tuple[Any, ...], Counts] = field(default_factory=dict, repr=False)

    @property
    def trainings(self) -> list[Training]:
        """Each adapter once, in the order of the table."""
        return list(dict.fromkeys(cell.training for cell in self.cells))

    def evaluations(self) -> Iterator[tuple[Training, str]]:
        """Each training with each mode that its model is solved with."""
        yield from dict.fromkeys((cell.training, cell.variant.mode) for cell in self.cells)

    def settings(self, training: Training) -> QloraSettings:
        """The settings of one training."""
        variant, base = training.variant, self.qlora
        data = base.data.model_copy(
            update={
                "source": str(self.rows_file(variant)),
                "file": None,
                "revision": None,
                "max_rows": None,
                "only_questions": [],
                "exclude_questions": [],
                "train_on_execution": variant.on_execution,
            }
        )
        options = {"max_steps": training.steps, "seed": training.seed, "sample_every": 0, "keep_checkpoints": 1}
        lora = base.lora
        if variant.rank is not None:
            lora = lora.model_copy(update={"r": variant.rank, "alpha": base.lora.alpha * variant.rank / base.lora.r})
        return base.model_copy(
            update={
                "name": training.name,
                "data": data,
                "train": base.train.model_copy(update=options),
                "lora": lora,
            }
        )

    def rows_file(self, variant: Variant) -> Path:
        """Where the rows of a variant lie."""
        interpolated = "-original" if variant.original_only else ""
        share = f"-{variant.share:g}" if variant.share < 1 else ""
        return self.folder / "rows" / f"{variant.rows}{share}{interpolated}.jsonl"

    def run_folder(self, training: Training) -> Path:
        """The run folder of a training."""
        return self.folder / "runs" / training.name


def design(
    recipe: Recipe,
    variants: Sequence[Variant],
    *,
    sets: list[QuestionSet],
    seeds: int,
    budgets: Sequence[Budget],
    folder: Path,
    originals: Sequence[Path] = (),
) -> Study:
    """Derive all rows, count their tokens and say how many steps each training takes. Nothing is written.

    Raises:
        InputError: a recipe that is an ablation itself, a variant without rows, a budget that a variant cannot reach.
    """
    from qlora.base import find_base, load_tokenizer
    from qlora.prepare import prepare
    from qlora.token_cache import cached_table

    settings = recipe.qlora()
    if settings.data.blocks != "all" or settings.data.train_on_execution:
        raise InputError(
            f"{recipe.name} is an ablation itself (data.blocks, data.train_on_execution)",
            "nothing was started",
            "give the recipe of the full rows",
        )
    base = find_base(settings.base, untested=settings.train.untested_architecture)
    tokenizer = load_tokenizer(base, settings.lora)
    prepared = prepare(settings.data, tokenizer, settings.train.context)
    questions = _questions(originals) if originals else None
    study = Study(recipe, settings, sets, [], {}, folder)
    # LCE is the measure of the others even where it is not asked for.
    for variant in dict.fromkeys([LCE, *variants]):
        found = derive(prepared.rows, variant, questions)
        held_out = derive(prepared.held_out, variant, questions, may_be_empty=True)
        study.files[study.rows_file(variant)] = [*found.rows, *held_out.rows]
        study.rows[variant.name] = {"rows": len(found.rows), "left_out": found.left_out}
        if variant.training not in study.counts:
            # The rows of LCE are tokenized already; those of others once, for all seeds, budgets and modes.
            table = prepared.table if variant == LCE else cached_table(found.rows, tokenizer)
            kinds = prepared.supervised | ({"execution"} if variant.on_execution else set())
            fits = table.lengths <= settings.train.context
            study.counts[variant.training] = Counts(table.supervised_per_row(kinds)[fits], table.lengths[fits])
    study.cells = list(_cells(study, list(dict.fromkeys(variants)), seeds, budgets))
    study.facts = {
        "recipe": _deciding(recipe),
        "base_sha256": base.sha256(),
        "rows_sha256": prepared.source.sha256,
        "variants": [variant.name for variant in dict.fromkeys(variants)],
        "seeds": seeds,
        "budgets": list(budgets),
        "sets": {chosen.name: {**chosen.facts(), "asked": len(chosen.questions)} for chosen in sets},
        "originals": [sha256_file(path) for path in originals],
    }
    return study


def _deciding(recipe: Recipe) -> dict[str, Any]:
    """The recipe without what changes how a training goes and not what it computes."""
    told = recipe.model_dump(mode="json")
    told["train"] = {key: value for key, value in told["train"].items() if key not in LAYOUT_KEYS}
    return told


def _cells(study: Study, variants: Sequence[Variant], seeds: int, budgets: Sequence[Budget]) -> Iterator[Cell]:
    """Every cell of the table.

    Variants that agree in what decides the weights share the first one's training.
    """
    options = study.qlora.train
    measure = study.counts[LCE.training]
    owners: dict[tuple[Any, ...], Variant] = {}
    order = RowOrder(len(measure.supervised), options.batch_rows, 0)
    steps = options.max_steps or order.steps(options.epochs)
    for variant in variants:
        owner = owners.setdefault(variant.training, variant)
        counts = study.counts[variant.training]
        for budget in budgets:
            if budget == "tokens" and not variant.is_main:
                continue
            for seed in range(1, seeds + 1):
                target = int(measure.seen(steps, options.batch_rows, seed)[-1])
                taken = steps if budget == "steps" else _steps_for(target, counts, options.batch_rows, seed, variant)
                supervised = int(counts.seen(taken, options.batch_rows, seed)[-1])
                yield Cell(variant, budget, Training(owner, taken, seed, supervised))


def _steps_for(target: int, counts: Counts, batch_rows: int, seed: int, variant: Variant) -> int:
    """Steps after which as many supervised tokens were seen as by LCE: the number that comes nearest."""
    import numpy as np

    mean = max(1.0, float(counts.supervised.mean()) * min(batch_rows, len(counts.supervised)))
    most = int(LONGEST * target / mean) + 2
    if target / mean > 100_000:
        raise InputError(
            f"{variant.name} would take over 100,000 steps to see {target:,} supervised tokens",
            "nothing was started",
            "compare at equal steps: --budget steps",
        )
    seen = counts.seen(min(most, int(target / mean * 1.5) + 10), batch_rows, seed)
    return int(np.abs(seen - target).argmin()) + 1


def _questions(files: Sequence[Path]) -> set[str]:
    found = set()
    for path in files:
        for number, row in read_objects(path, "nothing was started"):
            question = row.get("question") or row.get("problem")
            if not isinstance(question, str):
                raise InputError(
                    f"line {number} of {path} has no `question`", "nothing was started", "every line needs one"
                )
            found.add(question)
    return found


def open_folder(study: Study) -> None:
    """Write the study and its rows to its folder.

    Raises:
        InputError: the folder holds another study, or something else.
    """
    path = study.folder / "study.json"
    facts = json.loads(json.dumps(study.facts, default=str))
    if path.is_file():
        before = json.loads(path.read_text(encoding="utf-8"))
        with contextlib.suppress(ValidationError):
            # A study of a version that had not yet a setting was begun with what is now its default.
            before["recipe"] = json.loads(json.dumps(_deciding(Recipe.model_validate(before.get("recipe")))))
        if changed := [key for key in facts if before.get(key) != facts[key]]:
            raise InputError(
                f"{study.folder} holds an ablation with another {', '.join(changed)}",
                "its table would mix both",
                "choose another --out, or give the call that began it",
            )
    elif study.folder.is_dir() and any(not entry.name.startswith(".") for entry in study.folder.iterdir()):
        raise InputError(f"{study.folder} holds something else", "nothing was started", "choose an empty --out")
    else:
        study.folder.mkdir(parents=True, exist_ok=True)
        # First: from here on the folder is known to be this study's, whatever kills it.
        write_json(path, facts)
    for file, rows in study.files.items():
        text = rows_to_jsonl(rows)
        if not file.is_file() or file.read_text(encoding="utf-8") != text:
            file.parent.mkdir(parents=True, exist_ok=True)
            write_text(file, text)
