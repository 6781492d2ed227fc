"""The algebra worker: math-verify and sympy in a process of their own, which its parent may kill at any moment.

Requests and replies are JSON lines. Only the LaTeX parser of latex2sympy2_extended reads the input. Sympy's own string
parser evaluates code, and the libraries call it for every numeral; here it builds numerals and refuses the rest. Memory
is limited, and a request that runs for ten seconds ends the process should the parent no longer be there to do it.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from typing import Any

MEMORY_BYTES = 2 << 30
_ORPHAN_SECONDS = 10
_NUMERAL = re.compile(r"(Integer|Float)\s*\(\s*'?(\d+(?:\.\d*)?(?:[eE][-+]?\d{1,4})?)'?\s*\)")
_SAMPLES = ("17/13", "-23/29", "101/37")


def main() -> None:
    """Serve requests until the input ends."""
    # Replies go out on a private descriptor; whatever the libraries print goes nowhere.
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    _limit()
    compare = _load()
    print(json.dumps({"ready": True}), file=replies, flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        signal.alarm(_ORPHAN_SECONDS)
        try:
            verdict = compare(request["left"], request["right"])
        except (Exception, RecursionError):
            verdict = False
        signal.alarm(0)
        print(json.dumps({"id": request["id"], "equal": bool(verdict)}), file=replies, flush=True)


def _limit() -> None:
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    except (ImportError, ValueError, OSError):
        return  # Not every system has the limit; the parent's deadline holds everywhere.


def _load() -> Any:
    import logging

    import sympy
    import sympy.parsing.sympy_parser as string_parser

    def numeral(code: str, *_: object) -> Any:
        match = _NUMERAL.fullmatch(code.strip())
        if match is None:
            raise ValueError("the grader reads LaTeX only; evaluating strings is disabled")
        return sympy.Integer(int(match[2])) if match[1] == "Integer" else sympy.Float(match[2])

    string_parser.eval_expr = numeral
    logging.disable(logging.CRITICAL)

    from latex2sympy2_extended import NormalizationConfig, latex2sympy, normalize_latex
    from math_verify import verify
    from math_verify.grader import should_treat_as_complex

    config = NormalizationConfig(
        basic_latex=True, units=False, malformed_operators=True, nits=True, boxed="none", equations=False
    )

    def read(text: str) -> Any:
        return latex2sympy(
            normalize_latex(text, config=config),
            is_real=not should_treat_as_complex(text),
            convert_degrees=False,
            normalization_config=None,
        )

    def compare(left: str, right: str) -> bool:
        prediction, gold = read(left), read(right)
        if not verify([gold], [prediction], timeout_seconds=None, strict=True):
            return False
        return not numbers_disagree(prediction, gold)

    compare("1+x", "x+1")  # Load what is loaded on first use, before the first deadline runs.
    return compare


def numbers_disagree(left: Any, right: Any) -> bool:
    """Whether two sympy expressions differ as numbers: vetoes what a symbolic comparison wrongly calls equal."""
    import sympy

    if not (isinstance(left, sympy.Expr) and isinstance(right, sympy.Expr)):
        return False
    symbols = sorted(left.free_symbols | right.free_symbols, key=str)
    for offset in range(len(_SAMPLES) if symbols else 1):
        point = {
            symbol: sympy.Rational(_SAMPLES[(offset + index) % len(_SAMPLES)]) + index
            for index, symbol in enumerate(symbols)
        }
        here, there = (sympy.N(side.doit().subs(point), 40) for side in (left, right))
        if not (here.is_number and there.is_number and here.is_finite and there.is_finite):
            continue
        if abs(here - there) > sympy.Float("1e-12") * sympy.Max(abs(here), abs(there)):
            return True
    return False


if __name__ == "__main__":
    main()
