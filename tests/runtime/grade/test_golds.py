r"""Golds in the forms of the other sets: floats, scientific notation, units, several answers."""

from __future__ import annotations

import pytest

from runtime.grade import equivalent

EQUAL = [
    # gsm-hard: floats as a program printed them
    ("4153305.8", "4153305.8000000007"),
    ("268735624", "268735624.0"),
    (r"2.879744 \times 10^{-4}", "0.0002879744"),
    ("2.6666666667", "2.66666666666667"),
    (r"\frac{8}{3}", "2.6666666667"),
    # minerva: scientific notation and units
    (r"6.25\times 10^{-12}", "6.25e-12"),
    (r"6.25 \cdot 10^{-12} \text{ m}", "6.25e-12"),
    (r"2 \times 10^{31}\,\mathrm{erg/s}", "2e31"),
    ("3.0 \\times 10^8 m/s", "3e8"),
    ("6200", "6.2e3"),
    ("5200 K", "5200"),
    (r"9 \Omega", "9"),
    (r"4.6 \mu m", "4.6"),
    (r"30 \text{ m s}^{-1}", "30 m/s"),
    (r"30~\mathrm{m\,s^{-1}}", "30"),
    (r"-\frac15", "-1./5"),
    (r"\frac{t}{m}", r"\frac{1}{m} t"),
    (r"c e^{-3x}+\frac{x}{3}", "x / 3+c e^{-3 x}"),
    (r"\ln 3+\frac{i\pi}{4}", r"\ln 3 + i\pi / 4"),
    (r"k\frac{dv}{dt}+cv=g", r"k \frac{d v}{d t}+c v=g"),
    # olympiadbench: dollars, several answers in any order, names
    (r"-\log_{10} 350, 3", r"$3,-\log _{10} 350$"),
    ("(5,1,2),(1,-4,-2)", "(1,-4,-2),(5,1,2)"),
    (r"\frac{1+\sqrt{4n+1}}{2}", r"$d=\frac{1+\sqrt{1+4 n}}{2}$"),
    (r"x=\frac{\pi}{5}+k\pi, \frac{2\pi}{5}+k\pi", r"$x=\frac{1}{5} \pi+\pi k, \frac{2}{5} \pi+\pi k$"),
    (r"(3+\sqrt2,1+\sqrt2)", r"$\quad(3+\sqrt{2}, 1+\sqrt{2})$"),
    ("7", r"$7^{\circ}$"),
    # aime: leading zeros; asdiv: words, units, ratios
    ("66", "066"),
    ("Store C", "store c"),
    ("10 (meters)", "10"),
    ("4 to 1", "4:1"),
    (r"\lfloor\frac{3n+6}{7}\rfloor", r"\lfloor\frac{3n-1}{7}\rfloor+1"),
]
DIFFERENT = [
    ("4153306", "4153305.8000000007"),
    ("0.00029", "0.0002879744"),
    (r"6.3\times 10^{-12}", "6.25e-12"),
    (r"6.25\times 10^{12}", "6.25e-12"),
    ("5.1", "5.08"),
    ("3, -5, 1", "3, -5"),
    ("(1,5,2),(1,-4,-2)", "(1,-4,-2),(5,1,2)"),
    (r"30 \text{ m s}^{-1}", r"30 \text{ m s}^{-2}"),
    (r"30 \text{ m s}^{-1}", "30 km/h"),
    ("C", "Store C"),
    (r"(\lfloor\frac{3n-1}{7}\rfloor)^2", r"\lfloor\frac{3n-1}{7}\rfloor"),
    (r"\lceil\frac{n}{9}\rceil^3", r"\lceil\frac{n}{9}\rceil"),
]


@pytest.mark.parametrize(("prediction", "gold"), EQUAL)
def test_a_gold_of_another_set_is_found(prediction: str, gold: str) -> None:
    assert equivalent(prediction, gold) is True


@pytest.mark.parametrize(("prediction", "gold"), DIFFERENT)
def test_a_gold_of_another_set_is_not_found_beside_it(prediction: str, gold: str) -> None:
    assert equivalent(prediction, gold) is False
