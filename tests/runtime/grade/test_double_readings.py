r"""One notation, several meanings: what may be read in two ways never equals by the other reading.

Labels were decided before the grader ran on them. A clock text is a time or a duration, digits joined by hyphens or
slashes are a score, a range or a date, and what only looks like arithmetic is not computed.
"""

from __future__ import annotations

import pytest

from runtime.grade import equivalent

DIFFERENT = [
    # Clock times and durations are no ratios.
    ("4:00", "5:00"),
    ("3:00", "15:00"),
    ("10:30", "5:15"),
    ("0:20", "0:50"),
    ("00:10", "00:40"),
    ("1:20", "2:40"),
    ("12:00", "24:00"),
    ("0:15", "15"),
    ("7:00", "7"),
    ("1:30", "1.3"),
    ("1:30", "1.5"),
    ("2:15", "215"),
    ("1:00:00", "2:00:00"),
    ("0:01:00", "0:02:00"),
    ("1:30:00", "2:60:00"),
    ("5:30 a.m.", "5:30 p.m."),
    ("05:30", "5:30 pm"),
    ("17:30", "5:30"),
    ("12:20 am", "2:12 am"),
    ("6:15 pm", "6:45"),
    ("1:30", "90 hours"),
    ("8:00, 9:00", "8:00, 10:00"),
    ("(4:00, 5:00)", "(5:00, 6:00)"),
    ("t = 4:00", "t = 5:00"),
    # A ratio with a zero is never equal by a factor.
    ("1:0", "2:0"),
    ("0:3", "0:7"),
    ("0 : 1", "0 : 2"),
    ("3:0:1", "6:0:2"),
    ("1:2:0", "2:4:0"),
    ("x:0", "y:0"),
    ("1:2", "1:2:0"),
    ("-0:45", "0:45"),
    ("4:30-5:45", "4:31-6:45"),
    ("4:00-5:00", "8:00-10:00"),
    # Scores, ranges, telephone numbers.
    ("3-1", "4-2"),
    ("3-1", "2"),
    ("21-18", "3"),
    ("3-1", "1-3"),
    ("5-7", "-2"),
    ("5-7", "6-8"),
    ("10-12, 3-1", "2-4, 4-2"),
    ("555-0142", "413"),
    ("555-0142", "556-0143"),
    ("+1-555-0142", "-696"),
    ("+44-20-1234", "+44-21-1235"),
    # Dates.
    ("2021-03-04", "2014"),
    ("2021-03-04", "2021-04-03"),
    ("1/2/2021", "2/4/2021"),
    ("6/3/24", "4/2/24"),
    ("12/3/2020", "4/2020"),
    ("6/3/2", "1"),
    ("March 4", "March 5"),
    ("4 June", "4 July"),
    ("March 4, 2020", "March 4, 2021"),
    ("Mar 4", "May 4"),
    ("4 Jun", "4 Jul"),
    ("March 4th, 2020", "4 March 2021"),
    ("March 4", "4"),
    # Versions and numbered items.
    ("1.2.3", "1.2.30"),
    ("2.10.1", "2.1.1"),
    ("v1.10", "v1.1"),
    ("3.10.0", "3.1"),
    # Commas: a list, or thousands.
    ("1,2", "12"),
    ("1,2", "1.2"),
    ("12,34", "1234"),
    ("1, 234", "1234"),
    ("(1,234)", "1234"),
    ("1,234", "1.234"),
    ("1,23", "123"),
    ("0,5", "5,0,5"),
    ("1,000", "1,0"),
    # Intervals, pairs, sets, rows.
    ("(1,2)", "[1,2]"),
    ("(1,2)", "(2,1)"),
    ("[1,2)", "(1,2]"),
    (r"\{1,2\}", "[1,2]"),
    (r"\{1,2\}", "(1,2)"),
    ("(1,2)", "1.5"),
    ("1 2", "12"),
    ("1 2", "2 1"),
    ("1 23", "123"),
    # Dimensions are no products.
    (r"2 \times 6", r"3 \times 4"),
    ("2x6", "3x4"),
    ("4x5", "20x"),
    # Angles.
    (r"90^\circ", r"\frac{\pi}{3}"),
    (r"\frac{\pi}{2}", "90"),
    (r"30^\circ 15'", r"30.15^\circ"),
    (r"1^\circ", "1 minute"),
    (r"180^\circ", "1"),
    # Percent.
    ("50%", "50"),
    ("50%", "5"),
    ("0.5%", "0.5"),
    ("5%", "5 dollars"),
    # Bases.
    ("101_2", "5"),
    ("101_2", "101"),
    ("101_2", "101_3"),
    ("11_{10}", "110"),
    # Mixed numbers.
    ("1 1/2", "11/2"),
    ("1 1/2", "1/2"),
    (r"2\frac{1}{2}", "1"),
    (r"2 \frac12", r"\frac{21}{2}"),
    # Units.
    ("5 m", "5 min"),
    ("5 pounds", "5 ounces"),
    ("3 ft 6 in", "36 in"),
    ("6 pm", "6 am"),
    ("6 pm", "6 months"),
    ("5 cm", r"5 \text{ cm}^2"),
    (r"\$5", r"5\%"),
    ("1e3", "e^3"),
    ("1e3", "13"),
    ("1 in 2", "1"),
    ("1 dozen", "1"),
    ("one half", "one"),
    ("no solution", "no"),
    ("0x11", "0"),
    ("midnight", "12"),
    # A value of a function is no product, a member of a set has its name.
    ("I(0)", "0"),
    ("2I(0)", "I(0)"),
    (r"y \in [2,7]", r"x \in [2,7]"),
    (r"-x \in [2,7]", r"x \in [2,7]"),
    (r"y' + ry = 0", "0"),
]  # fmt: skip

EQUAL = [
    ("04:00", "4:00"),
    ("16:30", "4:30 p.m."),
    ("16:30:00", "16:30"),
    ("4:30", "4:30 PM"),
    ("0:15", "12:15 am"),
    ("12:00 pm", "noon"),
    ("4 pm", "16:00"),
    ("1:30", "90 minutes"),
    ("1:30", "1 hour 30 minutes"),
    ("2:05", "125 seconds"),
    ("1:02:03", "3723 seconds"),
    ("0:02:05", "2:05"),
    ("8:15, 9:45", "9:45, 8:15"),
    ("t = 4:00", "4:00"),
    (r"\text{4:00}", "4:00"),
    ("9:03:36 AM", "09:03:36 a.m."),
    # Ratios are still ratios.
    ("2:4", "3:6"),
    ("10:20", "1:2"),
    ("1 : 30", "2 : 60"),
    ("4 to 6", "2:3"),
    ("0:1", "0 : 1"),
    ("1:2:3", "2:4:6"),
    ("25:75", "1:3"),
    # Text that is the same notation.
    ("3-1", "3 - 1"),
    ("3–1", "3-1"),
    ("03/04/2021", "3/4/2021"),
    ("3-4-2021", "3/4/2021"),
    ("1.2.3", "1.2.3"),
    ("Sept. 4", "September 4th"),
    ("4 March 2020", "Mar 4, 2020"),
    ("4th of March", "March 4"),
    ("(1+2):3", "1:1"),
    ("x+1:2", "2x+2:4"),
    # What is arithmetic stays arithmetic.
    ("3 - 1", "2"),
    ("3+1", "4"),
    ("x = 3-1", "2"),
    ("3-x", "-x+3"),
    ("1/2-1/3", "1/6"),
    ("2^5-1", "31"),
    ("-3-1", "-4"),
    (r"\frac{1}{2}/3", r"\frac16"),
    ("(3-1, 4)", "(2, 4)"),
    (r"3 \times 4", "12"),
    (r"3 \times 4", r"4 \times 3"),
    ("3x4", r"3 \times 4"),
    ("3/4", "6/8"),
    # Commas, intervals, rows.
    ("1,234", "1234"),
    ("45,135", "135,45"),
    ("(1,2)", "1<x<2"),
    ("(1,2)", "1,2"),
    # Angles, percent, units, mixed numbers.
    (r"90^\circ", r"\frac{\pi}{2}"),
    (r"30^\circ 15'", r"30.25^\circ"),
    ("50%", "1/2"),
    ("1 1/2", "1.5"),
    ("3 ft 6 in", "42 inches"),
    ("1 year", "12 months"),
    ("1 gallon", "4 quarts"),
    ("1e3", "1000"),
    ("2 dozen", "24"),
    (r"x \in [2,7]", "[2,7]"),
    (r"x \in [2,7]", r"2 \le x \le 7"),
    (r"y^{\prime} = 2y", "y' = 2 y"),
    (r"y' + \frac{r}{V} y = c", r"c = \frac{ry}{V} + y'"),
    ("5 in2", "5 square inches"),
]  # fmt: skip


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_one_notation_is_not_equal_by_another_reading(one: str, other: str) -> None:
    assert equivalent(one, other) is False
    assert equivalent(other, one) is False


@pytest.mark.parametrize(("one", "other"), EQUAL)
def test_the_reading_that_is_meant_still_counts(one: str, other: str) -> None:
    assert equivalent(one, other) is True
    assert equivalent(other, one) is True


@pytest.mark.parametrize("pair", [("0:30", "0"), ("0:1", "0"), ("1:0", "1"), ("7:00", "8:00"), ("2:00", "14:00")])
def test_lenient_grading_takes_no_ratio_with_a_zero_for_a_fraction(pair: tuple[str, str]) -> None:
    assert not equivalent(*pair, lenient=True)


@pytest.mark.parametrize("pair", [("40^\\circ", "40%"), ("7%", "7 dollars"), ("7 cm", r"7\%")])
def test_lenient_grading_takes_no_percent_sign_for_another_unit(pair: tuple[str, str]) -> None:
    assert not equivalent(*pair, lenient=True)
    assert equivalent("7%", "7", lenient=True)
