"""Families about algebra and calculus: equations, systems, polynomials, functions, derivatives and integrals."""

from __future__ import annotations

from fractions import Fraction

from recipes.nano.family import Family, Step

FAMILIES = (
    Family(
        name="linear_equation",
        wordings=(
            "Solve {a}*{var} + {b} = {c} for {var}.",
            "Find {var} if {a}{var} + {b} = {c}.",
            "[What|Which] value of {var} [satisfies|solves] the equation {a}*{var} + {b} = {c}?",
            "[If|When] {b} + {a}{var} = {c}, what is {var}?",
            "Let {var} be a number with {c} = {a}*{var} + {b}. [Compute|Calculate|Find] {var}.",
            "{name} writes the equation {a}{var} + {b} = {c} on the board. What is {var}?",
            "The equation {b} + {a}*{var} = {c} has exactly one solution. [Give|State|Write down] this solution.",
            "Given that {a}{var} + {b} is equal to {c}, [find|work out] the value of the unknown {var}.",
            "For which number {var} does {a}*{var} + {b} [give|make|equal] {c}?",
            "{c} = {b} + {a}{var}. [Solve this equation.|What does {var} equal?]",
            "[Solve for|Determine] {var}: {a}{var} + {b} = {c}",
            "How [large|big] is the unknown {var} in {a}*{var} + {b} = {c}?",
            "A linear equation is given by {a}{var} + {b} = {c}. [Calculate|Compute] its solution.",
            "Suppose {a}*{var} + {b} [is equal to|has the value|comes out as] {c}. Work out {var}.",
            "Unknown: {var}. Equation: {a}{var} + {b} = {c}. [Solution?|Value of {var}?]",
            "Someone tells you that {b} plus {a} times {var} [makes|gives|is] {c}. What number is {var}?",
            "Compute the [root|solution] {var} of {c} = {a}*{var} + {b}.",
            "The expression {a}{var} + {b} takes the value {c}. Which {var} was put in?",
            "To get {c} from {a}*{var} + {b}, what number do we [choose for|put in place of] {var}?",
            "{name} has {b}, adds {a} times {var} and ends at {c}. [Report|Tell] {var}.",
            "Here is an equation: {a}*{var} + {b} = {c}. {name} wants to know {var}. [Help with this.|Which number "
            "is it?]",
            "In the equation {c} = {b} + {a}*{var}, one number is not known. [Determine|Compute|Find] this number "
            "{var}.",
            "If {a} times {var}, increased by {b}, makes {c}, then what is {var}?",
        ),
        unseen_wordings=(
            "Determine the number {var} for which {a}*{var} + {b} equals {c}.",
            "We know that {c} is the same as {a}{var} + {b}. Calculate the unknown number {var}.",
            "What must {var} be so that the equation {b} + {a}*{var} = {c} [is true|holds]?",
        ),
        numbers={"a": (11, 99), "b": (11, 400), "c": (100, 3000)},
        accept=lambda v: v["c"] > v["b"] and v["c"] - v["b"] != v["a"],
        steps=(
            Step(
                texts=(
                    "We write the equation with sympy and solve it for {var}.",
                    "The equation is linear in {var}, so sympy finds its only solution.",
                    "We let sympy solve the equation {a}*{var} + {b} = {c} for the unknown {var}.",
                ),
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
    Family(
        name="linear_both_sides",
        wordings=(
            "Solve {a}*{var} + {b} = {c}*{var} + {d} for {var}.",
            "Find {var} if {a}{var} + {b} = {c}{var} + {d}.",
            "For which {var} are {a}*{var} + {b} and {c}*{var} + {d} equal?",
            "The unknown {var} stands on both sides of {a}{var} + {b} = {c}{var} + {d}. What is {var}?",
            "[Compute|Calculate] the solution of the equation {a}*{var} + {b} = {c}*{var} + {d}.",
        ),
        unseen_wordings=(
            "Which number {var} makes both sides of {a}{var} + {b} = {c}{var} + {d} equal?",
            "Given {a}*{var} + {b} = {c}*{var} + {d}, work out the value of {var}.",
            "What is the solution of {a}{var} + {b} = {c}{var} + {d}?",
        ),
        numbers={"a": (11, 200), "b": (11, 400), "c": (11, 200), "d": (11, 3000)},
        accept=lambda v: v["a"] > v["c"] + 1 and v["d"] > v["b"],
        steps=(
            Step(
                texts=(
                    "We write both sides as one sympy equation and solve it for {var}.",
                    "The unknown is on both sides, so we let sympy solve the equation for {var}.",
                ),
                code=(
                    "from sympy import symbols, Eq, solve\n"
                    "{var} = symbols('{var}')\n"
                    "equation = Eq({a}*{var} + {b}, {c}*{var} + {d})\n"
                    "solve(equation, {var})[0]"
                ),
            ),
        ),
        closings=(
            "The solution is ${var} = \\boxed{{result}}$.",
            "Both sides are equal for {var} = \\boxed{{result}}.",
        ),
        answer=lambda v: Fraction(v["d"] - v["b"], v["a"] - v["c"]),
        stage="never",
    ),
    Family(
        name="sum_difference_product",
        wordings=(
            "The sum of two numbers is {s} and their difference is {d}. What is their product?",
            "Two numbers have the difference {d} and the sum {s}. [Find|Compute|Calculate] their product.",
            "Find the product of two numbers that add up to {s} and differ by {d}.",
            "What do you get when you multiply two numbers whose sum is {s} and whose difference is {d}?",
            "{name} thinks of two numbers. They differ by {d}, and together they make {s}. What is their product?",
            "Together two numbers are {s}. One of them is {d} more than the other. What is their product?",
            "One number is {d} larger than another, and both add up to {s}. [Compute|Find] the product of the two.",
            "Let x and y be numbers with x + y = {s} and x - y = {d}. [What is x*y?|Find x*y.|Compute x*y.]",
            "Suppose x - y = {d} and x + y = {s}. What is the value of the product x*y?",
            "The difference of two numbers is {d}. Their sum is {s}. How large is their product?",
            "How [large|big] is the product of two numbers with sum {s} and difference {d}?",
            "Adding two numbers gives {s}, subtracting them gives {d}. What is their product?",
            "A pair of numbers has a difference of {d} and a total of {s}. Multiply the numbers of the pair.",
            "x and y are two numbers. Sum: {s}. Difference: {d}. [Product?|Give x times y.]",
            "Compute x*y, where x + y is {s} and x - y is {d}.",
            "If one number exceeds another by {d} and [both total|the pair totals] {s}, then what is their product?",
            "Determine how much two numbers give when multiplied, given a difference of {d} and a sum of {s}.",
            "A total of {s} is split into two parts, one of them {d} greater than the other. Work out the product "
            "of the two parts.",
            "The larger of two numbers minus the smaller is {d}; the larger plus the smaller is {s}. [Multiply "
            "them.|What is larger times smaller?]",
            "Split {s} into two numbers with a gap of {d} between them. What [product do they have|is the first "
            "times the second]?",
            "Someone adds two numbers and finds {s}. The first minus the second is {d}. Which product do the "
            "numbers have?",
            "There is a gap of {d} between two numbers that sum to {s}. Their product is [wanted|asked for].",
            "{name} needs the product of two numbers. Known are their difference, {d}, and their sum, {s}. "
            "[Compute it.|What is it?]",
        ),
        unseen_wordings=(
            "Of two numbers we know the sum, {s}, and the difference, {d}. Calculate the product.",
            "{name} writes down two numbers that differ by {d} and have a sum of {s}. What is the product of both?",
            "Multiply the two numbers that have a total of {s} if one is {d} larger than the other. What comes out?",
        ),
        numbers={"s": (100, 3000), "d": (11, 400)},
        accept=lambda v: v["s"] > v["d"] + 21 and (v["s"] - v["d"]) % 2 == 0,
        steps=(
            Step(
                texts=(
                    "Adding the sum and the difference gives twice the larger number, so we halve it.",
                    "First the larger number: it is half of the sum plus the difference.",
                ),
                code="total = {s}\ndifference = {d}\nlarger = (total + difference) // 2\nlarger",
            ),
            Step(
                texts=(
                    "The larger number is {out1}, and the smaller one is the rest of the sum.",
                    "Now we subtract the larger number from the sum to get the smaller one.",
                ),
                code="smaller = total - larger\nsmaller",
            ),
            Step(
                texts=(
                    "The two numbers are {out1} and {out2}, and we multiply them.",
                    "Finally we multiply both numbers to get the product of the two.",
                ),
                code="product = larger * smaller\nproduct",
            ),
        ),
        closings=("The product is \\boxed{{result}}.", "The two numbers have the product \\boxed{{result}}."),
        answer=lambda v: (v["s"] ** 2 - v["d"] ** 2) // 4,
    ),
    Family(
        name="linear_system",
        wordings=(
            "Solve the system {a}*x + {b}*y = {c} and {d}*x + {e}*y = {f}. What is x + y?",
            "If {a}x + {b}y = {c} and {d}x + {e}y = {f}, [find x + y.|compute x + y.|what is the value of x + y?]",
            "Two equations hold: {a}x + {b}y = {c}, {d}x + {e}y = {f}. [Compute|Calculate] x + y.",
            "What is the sum of x and y when {a}*x + {b}*y = {c} and {d}*x + {e}*y = {f}?",
            "Find x + y, given the equations {c} = {a}x + {b}y and {f} = {d}x + {e}y.",
            "Let x and y satisfy {a}x + {b}y = {c} as well as {d}x + {e}y = {f}. How large is x + y?",
            "{name} solves {a}x + {b}y = {c} together with {d}x + {e}y = {f}. What is the sum x + y of the solution?",
            "The numbers x and y solve both {a}*x + {b}*y = {c} and {d}*x + {e}*y = {f}. [Add x and y.|What is x + y?]",
            "Consider the system of equations {a}x + {b}y = {c}; {d}x + {e}y = {f}. Determine x + y.",
            "[Calculate|Work out] the sum x + y of the numbers with {a}x + {b}y = {c} and {d}x + {e}y = {f}.",
            "Given that {a}*x + {b}*y equals {c} and that {d}*x + {e}*y equals {f}, find x + y.",
            "There is one pair x, y with {a}x + {b}y = {c} and {d}x + {e}y = {f}. What do x and y add up to?",
            "System: {a}x + {b}y = {c} and {d}x + {e}y = {f}. [Wanted: x + y.|x + y = ?]",
            "Compute the sum of the two unknowns if {a}*x + {b}*y = {c} while {d}*x + {e}*y = {f}.",
            "First equation: {a}x + {b}y = {c}. Second equation: {d}x + {e}y = {f}. What is the total of x and y?",
            "How much is x + y, when {a}x + {b}y makes {c} and {d}x + {e}y makes {f}?",
            "The lines {a}x + {b}y = {c} and {d}x + {e}y = {f} [meet|cross] at one point. What is the sum of its "
            "coordinates?",
            "[Two|The two] unknown numbers x and y are fixed by {a}*x + {b}*y = {c} and by {d}*x + {e}*y = {f}. "
            "Determine their sum.",
            "Suppose {a}x + {b}y is equal to {c} and {d}x + {e}y is equal to {f}. [Work out|Find|Compute] the "
            "number x + y.",
            "We look for x + y. It is known that {a}*x + {b}*y gives {c} and that {d}*x + {e}*y gives {f}.",
            "From {c} = {a}x + {b}y and {f} = {d}x + {e}y, [get|determine|find out] what x plus y is.",
            "Solve for x and y, then add them: {a}x + {b}y = {c}, {d}x + {e}y = {f}.",
        ),
        unseen_wordings=(
            "For the solution of the two equations {a}x + {b}y = {c} and {d}x + {e}y = {f}, what does x + y equal?",
            "Both {a}*x + {b}*y = {c} and {d}*x + {e}*y = {f} are true. Work out what x and y make together.",
            "Suppose {c} = {a}x + {b}y and also {f} = {d}x + {e}y. Add the two unknowns x and y.",
        ),
        numbers={"a": (11, 99), "b": (11, 99), "d": (11, 99), "e": (11, 99), "p": (11, 99), "q": (11, 99)},
        accept=lambda v: v["a"] * v["e"] != v["b"] * v["d"],
        derive=lambda v: {"c": v["a"] * v["p"] + v["b"] * v["q"], "f": v["d"] * v["p"] + v["e"] * v["q"]},
        steps=(
            Step(
                texts=(
                    "We write both equations with sympy, solve the system and add x and y.",
                    "Two equations determine the two unknowns, so sympy solves them and we add the values.",
                ),
                code=(
                    "from sympy import symbols, Eq, solve\n"
                    "x, y = symbols('x y')\n"
                    "first = Eq({a}*x + {b}*y, {c})\n"
                    "second = Eq({d}*x + {e}*y, {f})\n"
                    "solution = solve([first, second], [x, y])\n"
                    "solution[x] + solution[y]"
                ),
            ),
        ),
        closings=("So $x + y = \\boxed{{result}}$.", "The sum of x and y is \\boxed{{result}}."),
        answer=lambda v: v["p"] + v["q"],
    ),
    Family(
        name="quadratic_larger_root",
        wordings=(
            "What is the larger root of {var}^2 - {s}*{var} + {p} = 0?",
            "Find the larger solution of the equation {var}^2 - {s}{var} + {p} = 0.",
            "The quadratic equation {var}^2 - {s}{var} + {p} = 0 has two solutions. Give the larger one.",
            "Solve {var}^2 - {s}*{var} + {p} = 0 and [state|give|write down] the larger root.",
            "[Compute|Calculate] the greater of the two roots of {var}^2 - {s}{var} + {p}.",
            "Let {var}^2 + {p} = {s}{var}. What is the largest possible value of {var}?",
            "Which is the largest number {var} that satisfies {var}^2 - {s}*{var} + {p} = 0?",
            "If {var}^2 - {s}{var} + {p} = 0, how large can {var} be at most?",
            "{name} solves the quadratic {var}^2 - {s}{var} + {p} = 0. What is the larger of the two solutions?",
            "The polynomial {var}^2 - {s}*{var} + {p} has two zeros. [Find|Determine] the larger zero.",
            "Of the two numbers {var} with {var}^2 - {s}{var} + {p} = 0, [find|give] the larger one.",
            "[Work out|Determine] the maximum of the roots of the quadratic {var}^2 - {s}{var} + {p}.",
            "Quadratic: {var}^2 - {s}{var} + {p} = 0. [Larger root?|Wanted: the larger root.]",
            "Compute both solutions of {var}^2 - {s}*{var} + {p} = 0 and tell me the [larger|greater|bigger] one.",
            "Suppose {p} - {s}{var} + {var}^2 = 0. Then what is the larger possible {var}?",
            "The parabola y = {var}^2 - {s}{var} + {p} crosses the axis twice. Which crossing lies [further to the "
            "right|furthest right]?",
            "If {var}^2 + {p} is equal to {s}*{var}, [determine|find|compute] the bigger of the two possible {var}.",
            "An unknown {var} obeys {var}^2 - {s}*{var} + {p} = 0. Two numbers are possible. [Choose|Take|Report] "
            "the larger.",
            "For the equation {var}^2 + {p} = {s}{var}, [pick|choose] the solution that is larger.",
            "Someone factors {var}^2 - {s}{var} + {p} and reads off its two roots. How big is the bigger root?",
            "We need the maximum solution {var} of {p} + {var}^2 = {s}*{var}. [Compute|Find] it.",
        ),
        unseen_wordings=(
            "Two values of {var} make {var}^2 - {s}{var} + {p} equal to zero. What is the greater value?",
            "A quadratic has the form {var}^2 - {s}*{var} + {p}. Set it to zero and determine its largest root.",
            "Where is the larger zero of the function {var}^2 - {s}{var} + {p}?",
        ),
        numbers={"s": (60, 400), "root": (11, 300)},
        accept=lambda v: 11 <= v["s"] - v["root"] != v["root"],
        derive=lambda v: {"p": v["root"] * (v["s"] - v["root"])},
        steps=(
            Step(
                texts=(
                    "We write the quadratic equation with sympy and find both of its roots.",
                    "First we let sympy solve the quadratic equation for {var}, which gives two roots.",
                ),
                code=(
                    "from sympy import symbols, Eq, solve\n"
                    "{var} = symbols('{var}')\n"
                    "equation = Eq({var}**2 - {s}*{var} + {p}, 0)\n"
                    "roots = solve(equation, {var})\n"
                    "roots"
                ),
            ),
            Step(
                texts=(
                    "The roots are {out1}, and the question asks for the larger of them.",
                    "Now we take the maximum of the two roots that were found.",
                ),
                code="larger = max(roots)\nlarger",
            ),
        ),
        closings=("The larger root is \\boxed{{result}}.", "So the larger solution is ${var} = \\boxed{{result}}$."),
        answer=lambda v: max(v["root"], v["s"] - v["root"]),
    ),
    Family(
        name="polynomial_value",
        wordings=(
            "What is the value of {a}*x^2 + {b}*x + {c} at x = {n}?",
            "[Evaluate|Compute|Calculate] {a}x^2 + {b}x + {c} for x = {n}.",
            "Let p(x) = {a}x^2 + {b}x + {c}. [What is p({n})?|Find p({n}).|Compute p({n}).]",
            "If x = {n}, what is {a}x^2 + {b}x + {c}?",
            "For x = {n}, find the value of the polynomial {a}*x^2 + {b}*x + {c}.",
            "Put x = {n} into {a}x^2 + {b}x + {c}. What [comes out|do you get]?",
            "A polynomial is given by p(x) = {a}x^2 + {b}x + {c}. Work out its value p({n}).",
            "What does the expression {a}*x^2 + {b}*x + {c} equal when x is {n}?",
            "Substitute {n} for x in the expression {a}x^2 + {b}x + {c}.",
            "{name} plots y = {a}x^2 + {b}x + {c}. Which y belongs to x = {n}?",
            "Find p({n}) for the polynomial p(x) = {a}*x^2 + {b}*x + {c}.",
            "The number x is {n}. How [large|big] is {a}x^2 + {b}x + {c}?",
            "p(x) = {a}x^2 + {b}x + {c}, x = {n}. [Value?|p(x) = ?]",
            "Suppose x has the value {n}. Determine {a}*x^2 + {b}*x + {c}.",
            "Which number [is|do we get for] {a}x^2 + {b}x + {c} once x is replaced by {n}?",
            "Let x = {n}. [Work out|Compute|Find] {c} + {b}x + {a}x^2.",
            "The function f sends x to {a}x^2 + {b}x + {c}. Where does it send {n}?",
            "How much is {c} + {b}*x + {a}*x^2 if we choose x = {n}?",
            "A curve follows y = {a}x^2 + {b}x + {c}. [Compute|Find|Determine] its height y above the point x = {n}.",
            "Someone needs f({n}), and the rule is f(x) = {a}*x^2 + {b}*x + {c}. [Compute it.|Tell the value.]",
            "Insert the number {n} into f(x) = {a}x^2 + {b}x + {c} and report [the result|what you get].",
            "The quadratic {a}x^2 + {b}x + {c} is evaluated, with x being {n}. Which result is found?",
        ),
        unseen_wordings=(
            "Given the polynomial p(x) = {a}x^2 + {b}x + {c}, determine the value it has at x = {n}.",
            "When {n} is put in the place of x, what does {a}*x^2 + {b}*x + {c} give?",
            "With x = {n}, how large is the value of p(x) = {a}x^2 + {b}x + {c}?",
        ),
        numbers={"a": (11, 99), "b": (11, 400), "c": (11, 3000), "n": (11, 99)},
        steps=(
            Step(
                texts=(
                    "We set x to {n} and compute the value of the polynomial.",
                    "We put the number into the polynomial in place of x and evaluate it.",
                    "The value follows when x is replaced by {n} in every term.",
                ),
                code="x = {n}\nvalue = {a}*x**2 + {b}*x + {c}\nvalue",
            ),
        ),
        closings=("The value is \\boxed{{result}}.", "At x = {n} the polynomial has the value \\boxed{{result}}."),
        answer=lambda v: (v["a"] * v["n"] + v["b"]) * v["n"] + v["c"],
    ),
    Family(
        name="derivative_at_point",
        wordings=(
            "What is the derivative of {a}*x^3 + {b}*x^2 at x = {n}?",
            "Let f(x) = {a}x^3 + {b}x^2. [Find|Compute|Calculate] f'({n}).",
            "Differentiate {a}x^3 + {b}x^2 and evaluate the derivative at x = {n}.",
            "[Find|Determine] the slope of the curve y = {a}x^3 + {b}x^2 at x = {n}.",
            "At x = {n}, what is the slope of the graph of f(x) = {a}*x^3 + {b}*x^2?",
            "How steep is the tangent to y = {a}x^3 + {b}x^2 at the point with x = {n}?",
            "The function f is given by f(x) = {a}x^3 + {b}x^2. What is the value of f'({n})?",
            "For x = {n}, [compute|find] the derivative of f(x) = {a}*x^3 + {b}*x^2.",
            "{name} differentiates f(x) = {a}x^3 + {b}x^2 and puts in x = {n}. What is the result?",
            "What is f'({n}) if f(x) = {a}x^3 + {b}x^2?",
            "Work out the rate of change of {a}*x^3 + {b}*x^2 with respect to x at x = {n}.",
            "Take the derivative of the polynomial {a}x^3 + {b}x^2. What is its value for x = {n}?",
            "f(x) = {a}x^3 + {b}x^2. [Wanted: f'({n}).|f'({n}) = ?]",
            "A road follows the curve y = {a}*x^3 + {b}*x^2. Report its slope over x = {n}.",
            "Suppose f(x) = {a}x^3 + {b}x^2. How fast does f [grow|change|increase] at x = {n}?",
            "A point moves so that its position at time x is {a}x^3 + {b}x^2. What is its speed at time x = {n}?",
            "First differentiate y = {a}*x^3 + {b}*x^2, then set x to {n}. Which number [results|comes out|do you "
            "get]?",
            "The tangent at x = {n} touches the graph of y = {b}x^2 + {a}x^3. Determine [its slope|how steep it is].",
            "If y = {b}*x^2 + {a}*x^3, then what is dy/dx at x = {n}?",
            "We want the derivative of a cubic, {a}x^3 + {b}x^2, where x is {n}. [Work it out.|Find it.]",
            "Choose x = {n}. [Report|Determine|Find] the slope of {b}x^2 + {a}x^3 there.",
            "Someone asks for the rate at which {a}x^3 + {b}x^2 changes when x is {n}. [Give|Compute] this rate.",
        ),
        unseen_wordings=(
            "Calculate the slope of the tangent at x = {n} for the function f(x) = {a}x^3 + {b}x^2.",
            "Given f(x) = {a}*x^3 + {b}*x^2, the derivative f' is evaluated at {n}. What do you get?",
            "When x = {n}, how large is the derivative of the function {a}x^3 + {b}x^2?",
        ),
        numbers={"a": (11, 99), "b": (11, 99), "n": (11, 99)},
        steps=(
            Step(
                texts=(
                    "We define the function with sympy and differentiate it with respect to x.",
                    "First we find the derivative of the function as an expression in x.",
                ),
                code=(
                    "from sympy import symbols, diff\n"
                    "x = symbols('x')\n"
                    "f = {a}*x**3 + {b}*x**2\n"
                    "derivative = diff(f, x)\n"
                    "derivative"
                ),
            ),
            Step(
                texts=(
                    "The derivative is {out1}, and we put in x = {n}.",
                    "Now we substitute {n} for x in the derivative to get the slope.",
                ),
                code="derivative.subs(x, {n})",
            ),
        ),
        closings=("The derivative there is \\boxed{{result}}.", "So $f'({n}) = \\boxed{{result}}$."),
        answer=lambda v: 3 * v["a"] * v["n"] ** 2 + 2 * v["b"] * v["n"],
    ),
    Family(
        name="definite_integral",
        wordings=(
            "What is the integral of {a}*x + {b} from x = {lo} to x = {hi}?",
            "[Compute|Calculate|Evaluate] the definite integral of {a}x + {b} from {lo} to {hi}.",
            "Integrate f(x) = {a}x + {b} over the interval from {lo} to {hi}.",
            "From x = {lo} to x = {hi}, what is the area under the line y = {a}*x + {b}?",
            "Find the area between the x-axis and the line y = {a}x + {b} from x = {lo} to x = {hi}.",
            "Let f(x) = {a}x + {b}. What is the integral of f from {lo} to {hi}?",
            "The function {a}*x + {b} is integrated from {lo} to {hi}. [What is the result?|Give the result.]",
            "How large is the area under the graph of f(x) = {a}x + {b} between x = {lo} and x = {hi}?",
            "With lower limit {lo} and upper limit {hi}, [find|compute] the integral of {a}x + {b}.",
            "{name} integrates {a}*x + {b} with x running from {lo} to {hi}. Which value comes out?",
            "Between x = {lo} and x = {hi}, [determine|work out] the integral of the function {a}x + {b}.",
            "Work out the integral of the linear function y = {a}x + {b} with x from {lo} to {hi}.",
            "f(x) = {a}x + {b}; limits: {lo} to {hi}. [Integral?|Compute the integral.]",
            "Suppose y = {a}*x + {b}. How much area lies under this line, starting at x = {lo} and ending at x = {hi}?",
            "A region is bounded by the line y = {a}x + {b}, the x-axis, x = {lo} on the left and x = {hi} on the "
            "right. [What|Which] area does it have?",
            "If we integrate {b} + {a}x from {lo} up to {hi}, what do we [get|find]?",
            "The upper limit is {hi} and the lower limit is {lo}. Which value has the integral of {b} + {a}*x?",
            "[Find|Report|Tell] the result of integrating y = {b} + {a}x, where x starts at {lo} and stops at {hi}.",
            "At time x a machine works at a rate of {a}x + {b}. How much does it make from time {lo} [to|until] "
            "time {hi}?",
            "Let F be the area that lies under y = {b} + {a}*x and goes up to x = {hi}, starting from x = {lo}. "
            "Compute F.",
            "Someone needs an integral up to {hi}, beginning at {lo}, of the function f(x) = {a}*x + {b}. Give its "
            "value.",
        ),
        unseen_wordings=(
            "Determine the value of the definite integral of f(x) = {a}*x + {b} with limits {lo} and {hi}.",
            "When x goes from {lo} to {hi}, how large is the area below the line y = {a}x + {b}?",
            "Calculate the area that the graph of {a}x + {b} has below it while x goes from {lo} to {hi}.",
        ),
        numbers={"a": (11, 99), "b": (11, 400), "lo": (11, 60), "hi": (31, 200)},
        accept=lambda v: v["hi"] > v["lo"] and v["a"] * (v["hi"] + v["lo"]) * (v["hi"] - v["lo"]) % 2 == 0,
        steps=(
            Step(
                texts=(
                    "We define the function with sympy and integrate it between the two limits.",
                    "The definite integral over x from {lo} to {hi} is computed with sympy.",
                ),
                code=(
                    "from sympy import symbols, integrate\n"
                    "x = symbols('x')\n"
                    "f = {a}*x + {b}\n"
                    "integrate(f, (x, {lo}, {hi}))"
                ),
            ),
        ),
        closings=("The integral is \\boxed{{result}}.", "The value of the integral is \\boxed{{result}}."),
        answer=lambda v: v["a"] * (v["hi"] ** 2 - v["lo"] ** 2) // 2 + v["b"] * (v["hi"] - v["lo"]),
    ),
    Family(
        name="function_composition",
        wordings=(
            "Let f(x) = {a}x + {b} and g(x) = {c}x + {d}. [Find f(g({n})).|Compute f(g({n})).|What is f(g({n}))?]",
            "If g(x) = {c}*x + {d} and f(x) = {a}*x + {b}, what is f(g({n}))?",
            "What is f(g({n})) for the functions f(x) = {a}x + {b} and g(x) = {c}x + {d}?",
            "Find f(g({n})) when g(x) = {c}x + {d} and f(x) = {a}x + {b}.",
            "Two functions are given by f(x) = {a}*x + {b} and g(x) = {c}*x + {d}. Evaluate f(g({n})).",
            "The function g sends x to {c}x + {d}, and f sends x to {a}x + {b}. [Calculate|Work out] f(g({n})).",
            "Given f(x) = {a}x + {b} and g(x) = {c}x + {d}, [determine|compute] the value of f(g({n})).",
            "Apply g(x) = {c}*x + {d} to {n}, and then apply f(x) = {a}*x + {b}. What is f(g({n}))?",
            "For f(x) = {a}x + {b} and g(x) = {c}x + {d}, how large is f(g(x)) at x = {n}?",
            "{name} has two functions, g(x) = {c}x + {d} and f(x) = {a}x + {b}. What is f(g({n}))?",
            "At x = {n}, what is the value of f(g(x)) if f(x) = {a}x + {b} and g(x) = {c}x + {d}?",
            "Suppose that f(x) = {a}*x + {b}, while g(x) = {c}*x + {d}. Then f(g({n})) is which number?",
            "f(x) = {a}x + {b}; g(x) = {c}x + {d}. [Wanted: f(g({n})).|f(g({n})) = ?]",
            "First g(x) = {c}*x + {d} is applied to the number {n}, next f(x) = {a}*x + {b} is applied to the "
            "result. Which number [results|comes out]?",
            "Suppose g(x) = {c}x + {d}. Suppose also f(x) = {a}x + {b}. Work out f of g of {n}.",
            "[Start|Begin] with x = {n}. Take g(x) = {c}x + {d}, and use that as the input of f(x) = {a}x + {b}. "
            "Report the final value.",
            "We need f(g({n})). The rule of f is f(x) = {a}*x + {b}; the rule of g is g(x) = {c}*x + {d}.",
            "Two machines are connected: machine g turns x into {c}x + {d}, and machine f turns x into {a}x + {b}. "
            "Tell [me|us] f(g({n})).",
            "The inner function is g(x) = {c}*x + {d}, the outer one f(x) = {a}*x + {b}. Which value has f(g(x)) "
            "if x is {n}?",
            "How much is f(g({n})), where f(x) is {a}x + {b} and g(x) is {c}x + {d}?",
            "The outer function f(x) = {a}x + {b} takes what the inner function g(x) = {c}x + {d} gives for x = "
            "{n}. [Compute|Determine|Find] the result.",
            "If the number {n} goes through g(x) = {c}*x + {d} and then through f(x) = {a}*x + {b}, then what is "
            "the final result?",
        ),
        unseen_wordings=(
            "Compute the value f(g({n})), where g(x) = {c}x + {d} and f(x) = {a}x + {b} are linear functions.",
            "Put x = {n} into f(g(x)). Here f(x) = {a}*x + {b} and g(x) = {c}*x + {d}. What comes out?",
            "With g(x) = {c}x + {d} and f(x) = {a}x + {b}, what does f(g({n})) equal?",
        ),
        numbers={"a": (11, 99), "b": (11, 400), "c": (11, 99), "d": (11, 400), "n": (11, 99)},
        steps=(
            Step(
                texts=(
                    "The inner function comes first, so we put {n} into g.",
                    "We start inside and compute the value of g at x = {n}.",
                ),
                code="x = {n}\ninner = {c}*x + {d}\ninner",
            ),
            Step(
                texts=(
                    "The inner value is {out1}, and now we put it into f.",
                    "Next we apply the outer function f to the value of g.",
                ),
                code="outer = {a}*inner + {b}\nouter",
            ),
        ),
        closings=("So $f(g({n})) = \\boxed{{result}}$.", "The value is \\boxed{{result}}."),
        answer=lambda v: v["a"] * (v["c"] * v["n"] + v["d"]) + v["b"],
    ),
    Family(
        name="think_of_number",
        wordings=(
            "{name} thinks of a number, multiplies it by {a} and adds {b}. The result is {c}. What is the number?",
            "When a number is multiplied by {a} and then {b} is added, the result is {c}. Find the number.",
            "A secret number times {a}, plus {b}, makes {c}. [What|Which] number is it?",
            "The result {c} came out after {name} multiplied a number by {a} and added {b}. What was the number?",
            "Which number gives {c} if you multiply it by {a} and afterwards add {b}?",
            "Add {b} to {a} times a number and you get {c}. [Find|Work out] this number.",
        ),
        unseen_wordings=(
            "{name} multiplied a secret number by {a}, added {b} and got {c}. Determine the secret number.",
            "What number was multiplied by {a} if {c} came out after adding {b}?",
            "The number that {name} thinks of makes {c} when it is taken times {a} and {b} is added. Find it.",
        ),
        numbers={"a": (11, 99), "b": (11, 400), "n": (11, 400)},
        accept=lambda v: v["n"] not in (v["a"], v["b"]),
        derive=lambda v: {"c": v["a"] * v["n"] + v["b"]},
        steps=(
            Step(
                texts=(
                    "We go backwards: subtract what was added, then divide by the factor.",
                    "To undo the steps we subtract {b} from the result and divide by {a}.",
                ),
                code="factor = {a}\nadded = {b}\nresult = {c}\nnumber = (result - added) // factor\nnumber",
            ),
        ),
        closings=("The number is \\boxed{{result}}.", "So the number was \\boxed{{result}}."),
        answer=lambda v: v["n"],
        stage="base_only",
    ),
)
