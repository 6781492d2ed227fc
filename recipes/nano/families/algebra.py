"""Families about equations, number theory, geometry, sequences and counting."""

from __future__ import annotations

from fractions import Fraction

from recipes.nano.family import Family, Step

FAMILIES = (
    Family(
        name="linear_equation",
        wordings=(
            "Solve {a}*{var} + {b} = {c} for {var}.",
            "Find {var} if {a}*{var} + {b} = {c}.",
            "[What|Which] value of {var} [satisfies|solves] the equation {a}*{var} + {b} = {c}?",
        ),
        unseen_wordings=("Determine the number {var} for which {a}*{var} + {b} equals {c}.",),
        numbers={"a": (11, 60), "b": (11, 400), "c": (100, 3000)},
        accept=lambda v: v["c"] > v["b"],
        steps=(
            Step(
                texts=("We write the equation with sympy and solve it for {var}.",),
                code=(
                    "from sympy import symbols, Eq, solve\n"
                    "{var} = symbols('{var}')\n"
                    "equation = Eq({a}*{var} + {b}, {c})\n"
                    "solve(equation, {var})[0]"
                ),
            ),
        ),
        closings=("The solution is ${var} = \\boxed{{result}}$.", "So {var} is \\boxed{{result}}."),
        answer=lambda v: Fraction(v["c"] - v["b"], v["a"]),
    ),
)
