"""Families about everyday life: shopping, travel, work, money, sharing."""

from __future__ import annotations

from recipes.nano.family import Family, Step

FAMILIES = (
    Family(
        name="total_cost",
        wordings=(
            "{name} buys {a} {item} for {b} dollars each. How much does {name} pay?",
            "A {place} sells {item} at {b} dollars each. {name} [buys|takes|orders] {a} of them. What is the total cost?",
            "Each of the {a} {item} that {name} [bought|ordered] cost {b} dollars. How much did {name} spend in total?",
        ),
        unseen_wordings=("For {a} {item} {name} pays {b} dollars a piece. What does the whole purchase cost?",),
        numbers={"a": (11, 400), "b": (11, 99)},
        steps=(
            Step(
                texts=(
                    "The total cost is the number of {item} times the price of one.",
                    "We multiply the number of {item} by the price of each.",
                ),
                code="count = {a}\nprice = {b}\ntotal = count * price\ntotal",
            ),
        ),
        closings=("{name} pays \\boxed{{result}} dollars.", "The total cost is \\boxed{{result}} dollars."),
        answer=lambda v: v["a"] * v["b"],
    ),
)
