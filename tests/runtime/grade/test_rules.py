"""How the authors of question sets compare answers, rule by rule."""

from __future__ import annotations

import pytest

from runtime.evaluate.known_sets import KNOWN, rule_of, smallest_error
from runtime.grade.rules import EXACT, Rule, accepts, is_readable


def judged(name: str, answer: str, gold: str, **row: object) -> bool:
    return accepts(answer, gold, rule_of(name, {"gold": gold, **row}))


@pytest.mark.parametrize(
    ("name", "answer", "gold", "right"),
    [
        # GSM-Hard: floats, to a thousandth; small golds to a thousandth of themselves.
        ("gsm-hard", "14053029.6667", "14053029.666666666", True),
        ("gsm-hard", "14053029.67", "14053029.666666666", False),
        ("gsm-hard", "-9867630", "-9867630.0", True),
        ("gsm-hard", "3,244,047.1", "3244047.0999999996", True),
        ("gsm-hard", r"\$ 21459061", "21459061.0", True),
        ("gsm-hard", "0.00168", "0.0016791648", True),
        ("gsm-hard", "0.002", "0.0016791648", False),
        ("gsm-hard", "0.0004", "0", False),
        # MAWPS: decimals cut at ten places stand for their fractions.
        ("mawps", "2/3", "0.6666666667", True),
        ("mawps", r"\frac{2}{3}", "0.6666666667", True),
        ("mawps", "0.7", "0.6666666667", False),
        # Integers, with AIME's leading zeros.
        ("aime24", "25", "025", True),
        ("aime25", "073", "73", True),
        ("aime24", "730", "073", False),
        ("amc23", "27.0", "27", True),
        ("multiarith", "27 apples", "27", True),
        ("math500", r"\frac{3}{4}", r"\dfrac34", True),
        # Minerva: the question names the unit, the answer may repeat it.
        ("minerva_math", r"1.6 \mathrm{~cm}", "1.6", True),
        ("minerva_math", r"4.5 \times 10^{33} erg/s", "4.5e33", True),
        ("minerva_math", r"4.5 \times 10^{33} \, \mathrm{erg} \cdot \mathrm{s}^{-1}", "4.5e33", True),
        ("minerva_math", r"5.47e5 \AA", "5.47e5", True),
        ("minerva_math", "0.5 kg m / s", "0.5", True),
        ("minerva_math", "8.7e8 meters per second", "8.7e8", True),
        ("minerva_math", r"2 \pi", "2", False),
        ("minerva_math", "4 x", "4", False),
        ("minerva_math", r"5 \sqrt{2}", "5", False),
        ("minerva_math", "928", "927.5", False),
        ("minerva_math", "20.3901", "20.39", True),
        ("minerva_math", "4.5e32", "4.5e33", False),
        ("minerva_math", r"\arcsin(10/13)", "np.arcsin(10/13)", True),
        ("minerva_math", r"\sqrt{4 \pi \rho_{0} G r_{0}^{2}}", r"\sqrt{4 \pi G \rho_{0} r_{0}^{2}}", True),
        ("ocwcourses", "3.61e-10", "3.6e-10", True),
        ("ocwcourses", "3.61", "3.6", False),
        ("ocwcourses", r"1.5 \times 10^{-3} \mathrm{~kg}", "0.0015", True),
        # OlympiadBench: several answers in any order.
        ("olympiadbench", "84, 69", "$69$,$84$", True),
        ("olympiadbench", "69", "$69$,$84$", False),
        ("olympiadbench", "(2,6), (-6,6)", "$(-6,6)$, $(2,6)$", True),
        ("olympiadbench", "f(x)=2-x, f(x)=x", "$f(x)=x$,$f(x)=2-x$", True),
        ("olympiadbench", "2^n(n-2)+1", "$(n-2) 2^{n}+1$", True),
        ("olympiadbench", r"\lfloor\sqrt{n-2}\rfloor", r"$\lfloor\sqrt{n-1}\rfloor$", False),
        # TabMWP: three decimals.
        ("tabmwp", "0.3333", "1/3", True),
        ("tabmwp", "0.33", "1/3", False),
        ("tabmwp", "$1,234.50", "1,234.5", True),
        ("tabmwp", "7:25 P.M.", "7:25 P.M.", True),
        ("tabmwp", "7:25 A.M.", "7:25 P.M.", False),
        # A set that nobody knows compares exactly.
        ("mine", "0.33", "1/3", False),
        ("mine", "1.0001", "1", False),
    ],
)
def test_an_answer_is_judged_by_the_rule_of_its_set(name: str, answer: str, gold: str, right: bool) -> None:
    assert judged(name, answer, gold) is right


@pytest.mark.parametrize(
    ("name", "answer", "gold", "unit", "right"),
    [
        ("asdiv", "9", "9", "apples", True),
        ("asdiv", "9 apples", "9", "apples", True),
        ("asdiv", "15 pieces of candy", "15", "pieces of candy", True),
        ("asdiv", "60 minutes", "60", "minutes", True),
        ("asdiv", "1 hour", "60", "minutes", True),
        ("asdiv", "60 seconds", "60", "minutes", False),
        ("asdiv", r"60 \text{ minutes}", "60", "minutes", True),
        ("asdiv", "$5", "5", "dollars", True),
        ("asdiv", "5 cents", "5", "dollars", False),
        ("asdiv", "500 cents", "5", "dollars", True),
        ("asdiv", "10", "9", "apples", False),
        ("olympiadbench", "8 min", "8", "min", True),
        ("olympiadbench", r"166 cm^2", "$166$", "$cm^2$", True),
        ("olympiadbench", r"4.2\%", "4.2", "%", True),
        ("olympiadbench", "0.042", "4.2", "%", True),
        ("olympiadbench", "4.2", "4.2", "%", True),
        ("olympiadbench", "42", "4.2", "%", False),
        ("olympiadbench", r"\frac{41}{12} km", r"$\frac{41}{12}$", "km", True),
        ("olympiadbench", r"\frac{41}{12} m", r"$\frac{41}{12}$", "km", False),
    ],
)
def test_a_unit_kept_apart_may_be_left_out_converted_and_not_contradicted(
    name: str, answer: str, gold: str, unit: str, right: bool
) -> None:
    assert judged(name, answer, gold, unit=unit) is right


def test_an_error_bound_of_a_row_holds_for_that_row_and_for_every_answer_in_it() -> None:
    assert judged("olympiadbench", "3.2", "3.14159", error="1e-1")
    assert not judged("olympiadbench", "3.3", "3.14159", error="1e-1")
    assert not judged("olympiadbench", "3.2", "3.14159")
    assert judged("olympiadbench", "2.01, 1.01", "1, 2", error="0.02")
    assert not judged("olympiadbench", "2.01, 2.01", "1, 2", error="0.02")
    assert judged("olympiadbench", "(1.01, 2.01)", "(1, 2)", error="0.02")
    assert not judged("olympiadbench", "(2.01, 1.01)", "(1, 2)", error="0.02")
    assert not judged("olympiadbench", "y = 1.01", "x = 1", error="0.02")
    assert (smallest_error("1e-1,1e-2"), smallest_error(""), smallest_error(None)) == (0.01, None, None)


def test_an_option_may_be_named_by_its_letter() -> None:
    options = ["surplus", "shortage"]
    for answer in ("shortage", "B", "(B)", "B. shortage", "(B) shortage", r"\text{B}", "Shortage"):
        assert judged("tabmwp", answer, "shortage", choices=options), answer
    for answer in ("A", "(A) shortage", "B. surplus", "C", "surplus"):
        assert not judged("tabmwp", answer, "shortage", choices=options), answer
    # An option that is itself a letter means itself.
    assert not judged("tabmwp", "B", "A", choices=["B", "A"])


def test_golds_that_cannot_be_read_are_known_and_words_are_read() -> None:
    for gold in (r"$t(0,4]$", r"f(x)=ax+b, where $b$ is \mho", "x" * 2000):
        assert not is_readable(gold), gold
    for gold in ("18", r"\frac{1}{2}", "They are equal", r"\text{(B)}", "7:25 P.M.", "$69$,$84$", "[3]", r"x \le 3"):
        assert is_readable(gold), gold


def test_a_rule_survives_the_file_it_is_written_to_and_refuses_what_it_does_not_know() -> None:
    for known in KNOWN.values():
        assert Rule.from_dict(known.rule.as_dict()) == known.rule
    assert EXACT.as_dict() == {}
    assert Rule.from_dict({"choices": ["a", "b"], "decimals": 3}) == Rule(choices=("a", "b"), decimals=3)
    for wrong in ({"tolerance": 1}, {"absolute": "1"}, {"absolute": -1}, {"choices": "ab"}, {"capped": 1}):
        with pytest.raises(ValueError, match="grading rule"):
            Rule.from_dict(wrong)


def test_every_rule_is_bounded_and_never_raises() -> None:
    for rule in (Rule(relative=1e-3), Rule(absolute=1.0, loose_units=True), Rule(decimals=3), Rule(unit="km")):
        for text in ("9^{9^9}", "(" * 400, r"\frac{1}{0}", "1e999999", "", "%" * 50, "1e-999999999"):
            assert isinstance(accepts(text, "1", rule), bool)
            assert isinstance(accepts("1", text, rule), bool)
    assert not accepts(None, "1", Rule(relative=1.0))
