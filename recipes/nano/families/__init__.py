"""All families of problems, by name."""

from __future__ import annotations

from recipes.nano.families.algebra import FAMILIES as ALGEBRA
from recipes.nano.families.everyday import FAMILIES as EVERYDAY
from recipes.nano.families.money import FAMILIES as MONEY
from recipes.nano.families.numbers import FAMILIES as NUMBERS
from recipes.nano.families.rates import FAMILIES as RATES
from recipes.nano.families.shapes import FAMILIES as SHAPES
from recipes.nano.family import Family

FAMILIES: dict[str, Family] = {
    family.name: family for family in (*EVERYDAY, *MONEY, *RATES, *ALGEBRA, *NUMBERS, *SHAPES)
}
