r"""Which part of a last text block is the answer: a box, a mark, a stated value, or nothing."""

from __future__ import annotations

import pytest

from runtime.grade import equivalent, final_answer, last_boxed

LONG = "We add the two numbers and find, after some more words than sixty characters, what was asked for. "

BOXES = [
    (r"The answer is \fbox{42}.", "42"),
    (LONG + r"So it is \fbox{42}.", "42"),
    (LONG + r"\fbox{$42$}", "$42$"),
    (LONG + r"\fboxed{42}", "42"),
    (LONG + r"\framebox{42}", "42"),
    (LONG + r"\bbox[5px, border: 2px solid]{42}", "42"),
    (LONG + r"$\boxed {42}$", "42"),
    (LONG + r"\boxed{\frac{1}{2}}", r"\frac{1}{2}"),
    (LONG + r"\boxed{\fbox{42}}", "42"),
    (LONG + r"\fbox{1} and \fbox{42}", "42"),
    (LONG + r"\boxed{x = \fbox{3} + 1}", r"x = \fbox{3} + 1"),
    (LONG + r"\boxed 42.", "42"),
    (LONG + "\x08oxed{42}", "42"),
    (LONG + r"\boxed{42}, not 43. The total is 43.", "42"),
    (r"\boxed{42} #### 43", "42"),
]
MARKED = [
    ("#### 42", "42"),
    ("####42", "42"),
    (LONG + "\n#### 42", "42"),
    (LONG + "\n#### $1,234", "$1,234"),
    (LONG + "\n#### -4.5.", "-4.5"),
    ("3 + 4 = 7\n#### 7", "7"),
    (LONG + "\n#### **42**", "42"),
    (LONG + "\n#### 1\n#### 2", "2"),
    (LONG + "\n#### The answer is 42", "42"),
    (
        LONG + "\n#### x = 1 + \\sqrt{2}, 1 - \\sqrt{2}, 2 + \\sqrt{3}, 2 - \\sqrt{3}, 5, 6, 7, 8, 9",
        "x = 1 + \\sqrt{2}, 1 - \\sqrt{2}, 2 + \\sqrt{3}, 2 - \\sqrt{3}, 5, 6, 7, 8, 9",
    ),
]
STATED = [
    ("**42**", "42"),
    ("*42*", "42"),
    ("`42`", "42"),
    ("**x = 42**", "42"),
    ("**$\\frac{1}{2}$**", "0.5"),
    ("So, 6*7 = 42.", "42"),
    ("6 + 30 + 6 = 42 apples in total, so the answer is 42.", "42"),
    ("Thus 6 x 7 = 42 apples.", "42"),
    ("Therefore, the total is 12 + 30 = $42.", "42"),
    ("The total cost is $42.", "42"),
    ("The total cost is \\$42.", "42"),
    ("The total cost is 42 dollars.", "42"),
    ("It is 42", "42"),
    ("It is 42.", "42"),
    ("She has 42 apples left.", "42"),
    ("There are 42 apples in the basket.", "42"),
    ("Therefore, Tom needs 42 minutes.", "42"),
    ("He pays $42 each week.", "42"),
    ("42 apples are left.", "42"),
    ("It takes 42%.", "42%"),
    ("The probability is 1/6.", "1/6"),
    ("The probability is $\\frac{1}{6}$.", "1/6"),
    ("The probability is \\frac{1}{6}.", "1/6"),
    ("Thus the area is $12\\pi$.", "12\\pi"),
    ("The area is 12\\pi square centimeters.", "12\\pi"),
    ("Hence \\(x = 42\\).", "42"),
    ("Hence $x = 42$.", "42"),
    ("So the value of $f(3)$ is $42$.", "42"),
    ("The solution is (3, 4).", "(3,4)"),
    ("The solutions are 3 and 4.", "3, 4"),
    ("The ratio is 3:4.", "3:4"),
    ("The train arrives at 6:30 p.m.", "6:30 p.m."),
    ("The answer is 6:30 p.m. on Sunday.", "6:30 p.m. on Sunday"),
    ("The difference of 50 and 8 is 42.", "42"),
    ("So she earned a total of 42 dollars.", "42"),
    ("**Answer: 42**", "42"),
    ("**Answer:** 42", "42"),
    ("Answer: **42**", "42"),
    ("Answer: 42", "42"),
    ("Answer 42", "42"),
    ("The answer is 42", "42"),
    ("The answer is 42 apples.", "42"),
    ("The answer is therefore 42.", "42"),
    ("The correct answer is (C).", "C"),
    ("The answer is $x = 42$.", "42"),
    ("The answer is yes.", "yes"),
    ("Final answer: 42", "42"),
    ("**Final Answer**\n\n42", "42"),
    ("The answer to the problem is 42.", "42"),
    ("The final answer is 3.5 km.", "3.5 km"),
    ("Final Answer: The final answer is $42$. I hope it is correct.", "42"),
    ("Final Answer: The final answer is $\\frac{1}{2}$. I hope it is correct.", "0.5"),
    ("Final Answer: The final answer is $0.25$. I hope it is correct.", "0.25"),
    ("Final Answer: The final answer is 42. I hope it is correct.", "42"),
    ("Final Answer: The final answer is $x=3, y=4$. I hope it is correct.", "x=3,y=4"),
    (LONG + "\n\nFinal Answer: The final answer is $[2,5)$. I hope it is correct.", "[2,5)"),
    (LONG + "The answer is 42.", "42"),
    (LONG + "Hence the answer is 42, since 6 times 7 is 42.", "42"),
    (LONG + "So she has 42 apples.", "42"),
    (LONG + "It is 42.", "42"),
    (LONG + "So, 6*7 = 42.", "42"),
    (LONG + "The total cost is $1,234.50.", "1234.5"),
    (LONG + "Therefore, $a + b = \\frac{3}{7}$.", "3/7"),
    (LONG + "The answer is 42. Let me know if you have questions.", "42"),
    (LONG + "\n\n42", "42"),
    (LONG + "\n\n**42**", "42"),
    (LONG + "\n$$x = 42$$", "42"),
    (LONG + "\n\\[ 6 \\cdot 7 = 42 \\]", "42"),
    (LONG + "\n6 * 7 = 42", "42"),
    (LONG + "So 42.", "42"),
    ("We get 42.", "42"),
    ("It's 42.", "42"),
    ("That's 42 apples.", "42"),
    (LONG + "That's 42.", "42"),
    ("Final result: **42**", "42"),
    (LONG + "Result: 42", "42"),
    (LONG + "\n\nSolution: $42$", "42"),
    (LONG + "*The answer is 42*", "42"),
    (LONG + "\n\n*The answer is 42.*", "42"),
    (LONG + "\\textbf{Answer: 42}", "42"),
    (LONG + "\\textbf{The answer is $42$.}", "42"),
    (LONG + "Step 2: 6 * 7 = 42. #### 42", "42"),
    ("42 is the answer.", "42"),
    ("The vertex is at (2, 5).", "(2,5)"),
    ("The equation is y = 2x + 3.", "y=2x+3"),
    ("Option (B) is correct.", "B"),
    ("The correct choice is B.", "B"),
    (LONG + "Let the number be 5. Then 5 + 37 = 42.", "42"),
]
WHOLE = [
    "42",
    r"\frac{1}{2}",
    "$42",
    "x = 5",
    "x = 5, y = 3",
    "x=5\ny=3",
    "y = 2x + 3",
    "448{ml}",
    "10,000{dollars}",
    "Tuesday",
    "no solution",
    "Sunday, March 3",
    "1 hour and 30 minutes",
    "5 apples and 2 pears",
    "(-1, 5]",
    r"\{1, 2\}",
    r"\text{(A)}",
    "3and5",
    "2hours30minutes",
    "sqrt2",
    "log2(8)",
    "x1 = 3, x2 = 4",
    "5 cm2",
    "7 is not the answer",
    "x is 5 and y is 3",
    "The function is increasing.",
    "A",
    "x^2+1",
    "-4*u",
    "6:30 p.m.",
]
NOTHING = [
    "So we7",
    "So we 7the",
    "The}$",
    "The total$",
    "So the answer is}",
    "Then7 apples",
    r"\frac{1}{",
    r"The answer is \frac{1}{",
    "So x =",
    "The answer is",
    "So we have that",
    "The",
    "so",
    "3 +",
    "12 * (",
    r"\boxed{4",
    "",
    "   ",
    LONG,
    "$",
    "=",
    "So 5we",
    "we7the",
    "Let's compute 6*7",
    "The answer is $",
    LONG + "So we7",
    LONG + "The}$",
    LONG + r"\[ 6 \cdot 7 = 4",
    LONG + "\nx = 5\ny = 3",
    LONG + "The answer is either 5 or",
    LONG + "We know that each ticket costs 42",
    LONG + "There is no way to say whether it is 42.",
    LONG + "It is not 42.",
    LONG + "Is it 42?",
    LONG + "Now let us compute 6*7.",
    LONG + "We need to add 42.",
    LONG + "There are 3 apples and 4 pears.",
    LONG + "If it is 42, we are done.",
    LONG + "The answer is not clear.",
    LONG + "She has less than 42 apples.",
    "#### Step 3: add them\n" + LONG,
    LONG + "#### Step 3: we add all the numbers of the list",
]


@pytest.mark.parametrize(("text", "answer"), BOXES)
def test_the_last_box_is_the_answer(text: str, answer: str) -> None:
    assert final_answer(text) == answer
    assert last_boxed(text) == answer


@pytest.mark.parametrize(("text", "answer"), MARKED)
def test_what_follows_the_marks_of_gsm8k_is_the_answer(text: str, answer: str) -> None:
    assert final_answer(text) == answer


@pytest.mark.parametrize(("text", "gold"), STATED)
def test_a_closing_sentence_states_its_value(text: str, gold: str) -> None:
    assert equivalent(final_answer(text), gold), final_answer(text)


@pytest.mark.parametrize("text", WHOLE)
def test_a_short_block_that_states_nothing_is_the_answer_itself(text: str) -> None:
    assert final_answer(text) == text


@pytest.mark.parametrize("text", NOTHING)
def test_broken_or_unfinished_text_answers_nothing(text: str) -> None:
    assert final_answer(text) is None
