"""The models on this machine, and the one a name stands for."""

from recipes.models.found import Found, Unusable, one_line
from recipes.models.own import NANO
from recipes.models.resolve import examples_of, name_of, prefix_of, resolve
from recipes.models.survey import Survey, find, survey

__all__ = [
    "NANO",
    "Found",
    "Survey",
    "Unusable",
    "examples_of",
    "find",
    "name_of",
    "one_line",
    "prefix_of",
    "resolve",
    "survey",
]
