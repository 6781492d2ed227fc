"""LaTeX in a terminal: what models write becomes readable, what is unknown stays, nothing raises."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, strategies

from runtime.show.latex import formula, readable
from runtime.show.notebook import dollars


@pytest.mark.parametrize(
    ("latex", "shown"),
    [
        (r"\frac{x^2+1}{2}", "(x²+1)/2"),
        (r"3\frac12", "3 1/2"),
        (r"\frac{1}{2}x", "(1/2)x"),
        (r"\frac{1}{2a}", "1/(2a)"),
        (r"\dfrac{distance}{time}", "distance/time"),
        (r"\sqrt[3]{27}+\sqrt{2}", "∛27+√2"),
        (r"\sqrt{b^2-4ac}", "√(b²−4ac)"),
        (r"\sum_{i=1}^{n} i", "∑ᵢ₌₁ⁿ i"),
        (r"e^{i\pi}+1=0", "e^(iπ)+1 = 0"),
        (r"x_{12}^{2n+1}", "x₁₂²ⁿ⁺¹"),
        (r"x^{\frac{1}{2}}", "x^(1/2)"),
        (r"90^\circ", "90°"),
        (r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", "(1 2; 3 4)"),
        (r"\begin{cases}x & x>0\\-x & \text{otherwise}\end{cases}", "{x  x > 0; −x  otherwise"),
        (r"\begin{align*}x&=1\\y&=2\end{align*}", "x = 1\ny = 2"),
        (r"a\equiv b\pmod{7}", "a ≡ b (mod 7)"),
        (r"\left(\frac{a}{b}\right)^2", "(a/b)²"),
        (r"\left. x \right|", "x |"),
        (r"\overline{AB}\parallel\overline{CD}", "A̅B̅ ∥ C̅D̅"),
        (r"\text{Area of } S = \pi r^2", "Area of S = π r²"),
        (r"\sin^2\theta", "sin² θ"),
        (r"5\times 10^{-3}", "5 × 10⁻³"),
        (r"\lfloor x \rfloor", "⌊x⌋"),
        (r"\mathbb{R}", "ℝ"),
        (r"100\%", "100%"),
        (r"\binom{n}{k}", "C(n, k)"),
        (r"x \neq -1", "x ≠ −1"),
    ],
)
def test_a_formula_reads_as_a_person_would_write_it(latex: str, shown: str) -> None:
    assert formula(latex) == shown


def test_an_unknown_command_stays_as_it_stands() -> None:
    assert formula(r"\foo{x}{y} + 1") == r"\foo{x}{y} + 1"


def test_money_is_no_mathematics() -> None:
    assert readable("He paid $5 and $6, so $x = 5+6$.") == "He paid $5 and $6, so x = 5+6."


def test_every_delimiter_is_found_and_code_is_left_alone() -> None:
    text = r"\(a^2\) \[b^2\] $c^2$ $$d^2$$ `$e^2$` \boxed{\frac{3}{4}} \$3"
    assert readable(text) == "a² b² c² d² `$e^2$` 3/4 $3"


def test_a_formula_cannot_turn_into_markdown() -> None:
    assert readable(r"$a_1 * b * c$ and $x[0](y)$", markdown=True) == r"a₁ \* b \* c and x\[0\](y)"


def test_the_box_is_bold_in_markdown() -> None:
    assert readable(r"Thus $x = \boxed{11}$.", markdown=True) == "Thus x = **11**."


UNITS = [
    "$", "$a$ ", "$$a", r"\[", r"\(", r"\begin{a}", r"\boxed{", r"\frac{", r"\sqrt[", r"\frac[", "{", "`", "`a\n",
    "``` ", "$a", r"\$", "_", "x^{", r"\hat ", r"\hat{", r"\tilde{\hat{", r"\left(", r"\text{$", r"\quad", r"\binom",
    r"\not", r"\begin{cases}", r"\overset", r"\begin{aligned}a&", "$ a", r"\[a", r"$\a", "- ```", r"\sum_",
]  # fmt: skip
"""Pieces that open something. Repeated, nothing ever closes them, or everything nests."""


@pytest.mark.parametrize("unit", UNITS)
def test_what_opens_and_never_closes_is_shown_without_an_error(unit: str) -> None:
    for count in (1, 61, 400):
        for text in (unit * count, f"${unit * count}$", f"{unit * count}x{'}' * count}"):
            readable(text)
            readable(text, markdown=True)
            formula(text)
            dollars(text)


@pytest.mark.parametrize("unit", [*UNITS, *(f"\\begin{{{name}}}" for name in ("b{n}", "{n}"))])
def test_twice_the_text_takes_about_twice_the_time(unit: str) -> None:
    def text(size: int) -> str:
        # Names that differ from one another cannot be remembered as "never closed" one by one.
        return "".join(unit.replace("{n}", _name(at)) for at in range(size // len(unit)))

    def seconds(size: int) -> float:
        sample, best = text(size), float("inf")
        for _ in range(2):
            began = time.process_time()
            readable(sample), formula(sample), dollars(sample)
            best = min(best, time.process_time() - began)
        return best

    # Quadratic work would quadruple; below a tenth of a second the clock decides, not the text.
    assert seconds(24_000) < max(0.1, 3 * seconds(12_000))


def _name(number: int) -> str:
    return "".join(chr(97 + number // 26**place % 26) for place in range(3))


def test_an_accent_inside_the_same_accent_is_shown_once() -> None:
    assert formula(r"\hat{\hat{ab}}") == formula(r"\hat{ab}")
    assert len(formula(r"\hat{\tilde{" * 10 + "a" + "}}" * 10)) < 20


@given(strategies.text(alphabet="\\${}[]()^_&abfrcsqtx12 \n", max_size=60))
def test_no_text_makes_it_raise(text: str) -> None:
    readable(text)
    readable(text, markdown=True)
    formula(text)
    dollars(text)
