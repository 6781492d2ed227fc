"""Families about shapes, sequences, averages and chance."""

from __future__ import annotations

from fractions import Fraction

from recipes.nano.family import Family, Step

FAMILIES = (
    Family(
        name="rectangle_area_from_perimeter",
        wordings=(
            "A rectangle has a perimeter of {p} cm and a length of {a} cm. What is its area?",
            "The length of a rectangle is {a} cm and its perimeter is {p} cm. [Find|Compute|Calculate] the area.",
            "What is the area of a rectangle with perimeter {p} and one side of length {a}?",
            "One side of a rectangle measures {a} m. The perimeter measures {p} m. How large is the area?",
            "The perimeter of a rectangular garden is {p} m, and one side is {a} m long. What is the area of the "
            "garden?",
            "[Find|Determine] the area of a rectangle that is {a} cm long and has a perimeter of {p} cm.",
            "A rectangular field is {a} m long. A walk around it is {p} m long. What area does the field have?",
            "{name} puts a fence of {p} m around a rectangular field with a length of {a} m. How big is the field's "
            "area?",
            "How large is the area of a rectangle if its length is {a} cm and its perimeter {p} cm?",
            "Around a rectangle it is {p} cm, and along one side {a} cm. Work out the area.",
            "With a perimeter of {p} m and a side of {a} m, which area does a rectangle have?",
            "A rectangle of length {a} has the perimeter {p}. [What is|How large is] its area?",
            "Rectangle: perimeter {p} cm, length {a} cm. [Area?|Wanted: the area.]",
            "Suppose a rectangle is {a} m long and has {p} m of border. [Work out|Determine] its area.",
            "Compute the area enclosed by a wire of {p} cm that is bent into a rectangle of length {a} cm.",
            "If the four sides of a rectangle total {p} cm and one of them is {a} cm, then what is the area?",
            "A farmer needs {p} m of fence to go round a rectangular meadow. The meadow is {a} m long. How much "
            "area is inside?",
            "How many square meters does a rectangular room cover when its length is {a} m and the way around it "
            "is {p} m?",
            "The area of a rectangular picture is asked for. Its frame is {p} cm in all, and its longer edge is "
            "{a} cm.",
            "Let {a} be the length and {p} the perimeter of a rectangle. [Report|Tell|Find] the area.",
            "A rectangular pool has a length of {a} m. Someone who walks once around it goes {p} m. "
            "[Determine|Find] the area of the water.",
        ),
        unseen_wordings=(
            "Calculate the area of a rectangular garden whose perimeter is {p} m if one side has a length of {a} m.",
            "If one side of a rectangle is {a} cm long and the perimeter is {p} cm, how big is its area?",
            "{name} has a rectangular field with a side of {a} m and a fence of {p} m around it. What is its area?",
        ),
        numbers={"p": (60, 3000), "a": (11, 999)},
        accept=lambda v: v["p"] % 2 == 0 and 11 <= v["p"] // 2 - v["a"] != v["a"],
        steps=(
            Step(
                texts=(
                    "Length and width together are half of the perimeter of the rectangle.",
                    "First we halve the perimeter, which gives the length plus the width.",
                ),
                code="perimeter = {p}\nhalf = perimeter // 2\nhalf",
            ),
            Step(
                texts=(
                    "The half is {out1}, so the width is what the length leaves.",
                    "We subtract the length from the half to get the width.",
                ),
                code="length = {a}\nwidth = half - length\nwidth",
            ),
            Step(
                texts=(
                    "The width is {out2}, and the area is the length times the width.",
                    "Finally we multiply the length by the width to get the area.",
                ),
                code="area = length * width\narea",
            ),
        ),
        closings=("The area is \\boxed{{result}}.", "So the rectangle has an area of \\boxed{{result}}."),
        answer=lambda v: v["a"] * (v["p"] - 2 * v["a"]) // 2,
    ),
    Family(
        name="box_volume",
        wordings=(
            "A box is {a} cm long, {b} cm wide and {c} cm high. What is its volume?",
            "What is the volume of a box with length {a}, width {b} and height {c}?",
            "[Find|Compute|Calculate] the volume of a box that has a height of {c} cm, a length of {a} cm and a width "
            "of {b} cm.",
            "A tank has a length of {a} cm, a width of {b} cm and a height of {c} cm. How much does it hold?",
            "The height of a box is {c} cm, its width {b} cm and its length {a} cm. How large is the volume?",
            "{name} builds a wooden box with width {b} cm, length {a} cm and height {c} cm. What volume does it have?",
            "How many cubic meters fit into a hall of length {a} m, width {b} m and height {c} m?",
            "A block of stone is {c} cm high, {a} cm long and {b} cm wide. Work out its volume.",
            "The sides of a box measure {a} cm, {b} cm and {c} cm. What is its volume in cubic cm?",
            "With a width of {b} m, a height of {c} m and a length of {a} m, what volume does a container have?",
            "Which volume has a cuboid that is {b} cm wide, {c} cm high and {a} cm long?",
            "A cuboid has edges of {a} cm, {b} cm and {c} cm. How big is its volume?",
            "Box: length {a} cm, width {b} cm, height {c} cm. [Volume?|Wanted: the volume.]",
            "Compute how many cubic centimeters are in a chest of height {c} cm, width {b} cm and length {a} cm.",
            "Suppose a pool is {b} m wide, {a} m long and {c} m deep, with height counted as depth. How much water "
            "fills it?",
            "If a room has a length of {a} m, a height of {c} m and a width of {b} m, then how much air is in it?",
            "Let the width be {b}, the length {a} and the height {c}. What is the volume of this box?",
            "{name} fills a box with sand. It is {c} cm high, {b} cm wide and {a} cm long. [Determine|Find] the "
            "volume of the sand.",
            "Tell how much space there is inside a truck that is {a} cm long, {c} cm high and {b} cm wide.",
            "The space in a cupboard is asked for. Width: {b} cm. Height: {c} cm. Length: {a} cm.",
            "A brick measures {a} cm by {b} cm by {c} cm. How many cubic centimeters is that?",
        ),
        unseen_wordings=(
            "Determine how much a container holds if it is {a} cm long, {b} cm wide and {c} cm high.",
            "The volume of a cuboid is wanted. Its length is {a} cm, its width {b} cm and its height {c} cm.",
            "{name} has a tank with a height of {c} cm, a width of {b} cm and a length of {a} cm. What is the volume?",
        ),
        numbers={"a": (11, 400), "b": (11, 200), "c": (11, 200)},
        steps=(
            Step(
                texts=(
                    "The volume of a box is its length times its width times its height.",
                    "We multiply the three sides of the box to get its volume.",
                ),
                code="length = {a}\nwidth = {b}\nheight = {c}\nvolume = length * width * height\nvolume",
            ),
        ),
        closings=("The volume is \\boxed{{result}}.", "So the volume of the box is \\boxed{{result}}."),
        answer=lambda v: v["a"] * v["b"] * v["c"],
    ),
    Family(
        name="hypotenuse_squared",
        wordings=(
            "The legs of a right triangle are {a} cm and {b} cm long. What is the square of the hypotenuse?",
            "A right triangle has legs of {a} and {b}. [Find|Compute|Calculate] the squared length of the hypotenuse.",
            "What is c^2 if c is the hypotenuse of a right triangle with legs {a} and {b}?",
            "In a right triangle, one leg is {a} and the other leg is {b}. How large is the square of the hypotenuse?",
            "A rectangle has sides of {a} cm and {b} cm. What is the square of its diagonal?",
            "{name} walks {a} m to the north and then {b} m to the east. What is the squared distance from the start?",
            "[Find|Determine] the square of the diagonal of a rectangle with sides {a} and {b}.",
            "The hypotenuse of a right triangle is c, and its legs are {a} cm and {b} cm. Work out c^2.",
            "How large is the squared distance between the points (0, 0) and ({a}, {b})?",
            "Two sides with lengths {a} and {b} meet at a right angle. What is the square of the third side?",
            "For a right triangle with legs of {a} m and {b} m, give the square of the longest side.",
            "By Pythagoras, what is the squared hypotenuse when the legs measure {a} cm and {b} cm?",
            "Right triangle, legs {a} and {b}. [Hypotenuse squared?|Wanted: the square of the hypotenuse.]",
            "Suppose c^2 = {a}^2 + {b}^2, as in a right triangle. [Work out|Compute] c^2.",
            "A ladder stands {a} cm from a wall and reaches {b} cm up the wall. What is its length squared?",
            "If the short sides of a right triangle are {a} m and {b} m, then what is the area of the square on "
            "the hypotenuse?",
            "One street goes {a} m east, another {b} m north. How large is the square of the direct way between "
            "their ends?",
            "A screen is {a} mm wide and {b} mm high. [Report|Tell|Give] the square of its diagonal.",
            "Let {a} and {b} be the legs of a right triangle. By the theorem of Pythagoras, how much is the "
            "hypotenuse squared?",
            "The squared hypotenuse is asked for, with one leg of {a} cm and a second leg of {b} cm.",
            "A ship sails {a} km west and then {b} km south. Determine the squared distance to its harbor.",
        ),
        unseen_wordings=(
            "Calculate the square of the longest side in a right triangle that has legs of {a} cm and {b} cm.",
            "A right angle lies between sides of {a} m and {b} m. How large is the square of the hypotenuse?",
            "What is the squared diagonal if a rectangle measures {a} cm by {b} cm?",
        ),
        numbers={"a": (11, 999), "b": (11, 999)},
        accept=lambda v: v["a"] != v["b"],
        steps=(
            Step(
                texts=(
                    "By Pythagoras the square is the sum of the squares of both sides.",
                    "We use the theorem of Pythagoras and add the squares of the two lengths.",
                ),
                code="first = {a}\nsecond = {b}\nsquare = first**2 + second**2\nsquare",
            ),
        ),
        closings=("The square is \\boxed{{result}}.", "So the squared length is \\boxed{{result}}."),
        answer=lambda v: v["a"] * v["a"] + v["b"] * v["b"],
    ),
    Family(
        name="arithmetic_sum",
        wordings=(
            "An arithmetic sequence has the first term {a} and the difference {d}. What is the sum of its first {n} "
            "terms?",
            "[Find|Compute|Calculate] the sum of the first {n} terms of the arithmetic sequence with first term {a} "
            "and difference {d}.",
            "A sequence starts with {a} and grows by {d} from term to term. How large is the sum of the first {n} "
            "terms?",
            "The common difference of an arithmetic sequence is {d}, and it starts with {a}. What do the first {n} "
            "terms add up to?",
            "Add the first {n} terms of the sequence that starts with {a} and has the common difference {d}.",
            "In an arithmetic series of {n} terms, the first term is {a} and the difference is {d}. Find the sum.",
            "The first row of a hall has {a} seats, and every further row has {d} seats more. How many seats are in "
            "{n} rows?",
            "There are {n} rows of seats. Each row has {d} seats more than the row before, and the first row has {a} "
            "seats. How many seats are there?",
            "{name} saves {a} dollars in the first week and {d} dollars more in each further week. How much is it in "
            "{n} weeks?",
            "With first term {a} and common difference {d}, what is the sum of {n} terms of an arithmetic sequence?",
            "What is the total of the first {n} terms if a sequence begins at {a} and each term is {d} more than the "
            "last?",
            "Starting at {a} and adding {d} each time, {name} writes down {n} numbers. What is the sum of these "
            "numbers?",
            "First term {a}, difference {d}, {n} terms. [Sum of the arithmetic sequence?|Wanted: the sum of the "
            "sequence.]",
            "Suppose a worker makes {a} parts on the first day and {d} parts more on every next day. How many "
            "parts are made in {n} days?",
            "If each of {n} numbers is {d} larger than the number before and the first one is {a}, then what do "
            "they total?",
            "Compute the arithmetic series with common difference {d}, {n} terms and first term {a}.",
            "{name} runs for {n} days. On day one it is {a} m, and each day it becomes {d} m more. How many meters "
            "are run altogether?",
            "Let the steps of an arithmetic sequence be {d}, its start {a} and its number of terms {n}. [Work "
            "out|Report] the sum.",
            "The numbers go up by {d} each time and begin with {a}. Someone adds {n} of them. Which sum "
            "[results|comes out]?",
            "A tower has {n} layers of bricks. The top layer has {a} bricks, and each layer below has {d} bricks "
            "more. Tell how many bricks there are.",
            "How much is paid in {n} months if the first month costs {a} dollars and the price rises by {d} "
            "dollars every month?",
        ),
        unseen_wordings=(
            "{n} terms of an arithmetic sequence are added. It begins with {a} and has the difference {d}. Find the "
            "total.",
            "Determine the sum of the first {n} terms of a sequence that starts at {a} and grows by {d} each time.",
            "A hall has {n} rows. The first row has {a} seats and each further row {d} seats more. What is the total?",
        ),
        numbers={"a": (11, 400), "d": (11, 99), "n": (11, 200)},
        steps=(
            Step(
                texts=(
                    "First we find the last term: the start plus the difference for each step.",
                    "The last term lies one step less than the count after the first.",
                ),
                code="first = {a}\ndifference = {d}\ncount = {n}\nlast = first + (count - 1) * difference\nlast",
            ),
            Step(
                texts=(
                    "The last term is {out1}, and the sum is the average times the count.",
                    "Now we add first and last, multiply by the count and halve it.",
                ),
                code="total = count * (first + last) // 2\ntotal",
            ),
        ),
        closings=("The sum is \\boxed{{result}}.", "Altogether the sum is \\boxed{{result}}."),
        answer=lambda v: sum(v["a"] + v["d"] * index for index in range(v["n"])),
    ),
    Family(
        name="geometric_sum",
        wordings=(
            "A geometric sequence with ratio two has {n} terms, and {a} is its first term. What is the sum of all "
            "terms?",
            "[Find|Compute|Calculate] the geometric series with start {a}, ratio two and {n} terms.",
            "Each term of a sequence is twice the term before. It starts with {a}. What do {n} terms make together?",
            "The terms of a sequence double from one to the next. If {a} comes first, what is the sum of {n} terms?",
            "Sum the doubling sequence that starts with {a} and has {n} terms.",
            "A geometric series has the ratio two. Its {n} terms start with {a}. [Compute|Find] its value.",
            "Every week {name} saves twice as much as the week before. The first week it is {a} dollars. How much "
            "money is that after {n} weeks?",
            "The ratio of a geometric sequence is two. Which total do its {n} terms have if {a} is the first of them?",
            "For {n} weeks, a farm sells twice as much as the week before. It starts with {a} kg. How many kg is it "
            "in all?",
            "{name} writes {a} and keeps doubling until there are {n} numbers. What do all the numbers add up to?",
            "What is the sum of {n} numbers if the first is {a} and every number is the double of the last?",
            "Doubling {a} again and again gives a geometric sequence. Work out the sum of {n} of its terms, with {a} "
            "first.",
            "Ratio two, first term {a}, {n} terms. [Sum of the geometric sequence?|Wanted: the geometric sum.]",
            "Suppose a plant makes {a} seeds in the first year and twice as many in every next year. How many "
            "seeds is that in {n} years?",
            "Compute the total of {n} terms of a geometric sequence in which {a} is the start and the ratio is two.",
            "If we start with {a} and double {n} terms long, adding all of them, then what sum do we get?",
            "A worker earns {a} dollars on day one, and the pay doubles each day. How much is earned in {n} days "
            "altogether?",
            "Let {a} be the first of {n} numbers, with each next number two times as large. [Work out|Report] the sum.",
            "Over {n} days the visits to a page double daily. Day one has {a} visits. Tell the number of visits in "
            "total.",
            "The sum of a doubling series is asked for. Number of terms: {n}. First term: {a}.",
            "In a game with {n} levels, the first level gives {a} points and each later level double the points. "
            "Determine the points for all levels.",
        ),
        unseen_wordings=(
            "{n} numbers form a geometric sequence. The ratio is two, and the first number is {a}. Find their total.",
            "{name} keeps doubling the number {a} and writes down {n} terms, {a} first. What do the terms add up to?",
            "Each of {n} numbers is twice the one before. The first is {a}. How large is the sum of all of them?",
        ),
        numbers={"a": (11, 999), "n": (11, 32)},
        steps=(
            Step(
                texts=(
                    "Every term doubles, so the sum is the first term times a power minus one.",
                    "We use the formula for the sum of a geometric sequence with ratio two.",
                ),
                code="first = {a}\ncount = {n}\ntotal = first * (2**count - 1)\ntotal",
            ),
        ),
        closings=("The sum is \\boxed{{result}}.", "Altogether the sum is \\boxed{{result}}."),
        answer=lambda v: sum(v["a"] << index for index in range(v["n"])),
    ),
    Family(
        name="fourth_from_mean",
        wordings=(
            "The mean of four numbers is {m}. Three of them are {a}, {b} and {c}. What is the fourth number?",
            "Three numbers are {a}, {b} and {c}. With a fourth number the average becomes {m}. Find the fourth number.",
            "[Find|Compute|Calculate] the missing number if {a}, {b}, {c} and this number have a mean of {m}.",
            "Which number must join {a}, {b} and {c} so that the average of all four is {m}?",
            "{name} has {a}, {b} and {c} points in three games. How many points in the fourth game give an average of "
            "{m}?",
            "The average of the list {a}, {b}, {c}, x is {m}. [What is x?|Find x.]",
            "Four numbers have an average of {m}. One number is unknown, the others are {a}, {b} and {c}. Find the "
            "unknown one.",
            "An average of {m} comes from the numbers {a}, {b}, {c} and one missing number. How large is the missing "
            "one?",
            "What is the fourth number when the first three are {a}, {b} and {c} and the mean of the four is {m}?",
            "To have a mean of {m}, which fourth number does the list {a}, {b}, {c} need?",
            "Let x be the number for which {a}, {b}, {c} and x have the mean {m}. Determine x.",
            "Only three of four values are known: {a}, {b} and {c}. Their mean with the lost value is {m}. Find the "
            "lost value.",
            "Numbers: {a}, {b}, {c} and one more. Mean of all four: {m}. [The missing one?|Wanted: the missing one.]",
            "Suppose ({a} + {b} + {c} + x)/4 = {m}. [Work out|Compute|Find] x.",
            "If the average of four weights is {m} kg and three of them are {a} kg, {b} kg and {c} kg, then how "
            "heavy is the last?",
            "A shop sold {a}, {b} and {c} {item} on three days. What must it sell on day four to reach a mean of {m}?",
            "Compute what to add to the list {a}, {b}, {c} as a fourth entry if the list is to average {m}.",
            "Four trips have a mean length of {m} km. The first three are {a} km, {b} km and {c} km long. How long "
            "is the last trip?",
            "On average, four people have {m} dollars. Three of them have {a}, {b} and {c} dollars. Tell how much "
            "the other one has.",
            "{m} is the mean of four numbers, among them {a}, {b} and {c}. Report the one that is not named.",
            "An entry was lost. The entries {a}, {b} and {c} are still there, and all four averaged {m}. Which "
            "entry was lost?",
        ),
        unseen_wordings=(
            "Four values have the mean {m}. Calculate the missing value if the others are {a}, {b} and {c}.",
            "How large must x be so that the numbers {a}, {b}, {c} and x have an average of {m}?",
            "{name} knows three numbers, {a}, {b} and {c}, and that the average with the fourth is {m}. Find the "
            "fourth.",
        ),
        numbers={"a": (100, 700), "b": (100, 700), "c": (100, 700), "m": (200, 900)},
        accept=lambda v: (
            11 <= 4 * v["m"] - v["a"] - v["b"] - v["c"] <= 2000
            and 4 * v["m"] - v["a"] - v["b"] - v["c"] not in v.values()
        ),
        steps=(
            Step(
                texts=(
                    "The sum of all four numbers is four times their mean.",
                    "First the total: a mean of {m} over four numbers gives four times that.",
                ),
                code="mean = {m}\ntotal = 4 * mean\ntotal",
            ),
            Step(
                texts=(
                    "All four together make {out1}, and we subtract the three known numbers.",
                    "Now we take the three known numbers away from the total.",
                ),
                code="known = [{a}, {b}, {c}]\nmissing = total - sum(known)\nmissing",
            ),
        ),
        closings=("The missing number is \\boxed{{result}}.", "So the fourth number is \\boxed{{result}}."),
        answer=lambda v: 4 * v["m"] - v["a"] - v["b"] - v["c"],
    ),
    Family(
        name="median_of_four",
        wordings=(
            "Sort {a}, {b}, {c} and {d}. What is the median?",
            "[Find|Compute] the median of the four numbers {a}, {b}, {c}, {d}.",
            "How large is the median of the numbers {a}, {b}, {c} and {d} after sorting them?",
            "{name} sorts {a}, {b}, {c} and {d} and takes the median. What is it?",
            "Determine the median of the list {a}, {b}, {c}, {d}.",
            "The values of a list are {a}, {b}, {c}, {d}. [State|Give] the median.",
        ),
        unseen_wordings=(
            "For the list {a}, {b}, {c}, {d}, work out the median.",
            "The four values {a}, {b}, {c} and {d} are put in order. Which number is their median?",
            "Calculate the median if the numbers are {a}, {b}, {c} and {d}.",
        ),
        numbers={"a": (100, 999), "b": (100, 999), "c": (100, 999), "d": (100, 999)},
        accept=lambda v: sum(sorted(v[k] for k in "abcd")[1:3]) % 2 == 0 and len({v[k] for k in "abcd"}) == 4,
        steps=(
            Step(
                texts=(
                    "First we sort the four numbers from the smallest to the largest.",
                    "For the median the numbers must be in order, so we sort them.",
                ),
                code="numbers = sorted([{a}, {b}, {c}, {d}])\nnumbers",
            ),
            Step(
                texts=(
                    "The median of four numbers is the average of the two in the middle.",
                    "In {out1} we take the average of the second and the third number.",
                ),
                code="median = (numbers[1] + numbers[2]) // 2\nmedian",
            ),
        ),
        closings=("The median is \\boxed{{result}}.", "So the median of the list is \\boxed{{result}}."),
        answer=lambda v: (sum(v[k] for k in "abcd") - max(v[k] for k in "abcd") - min(v[k] for k in "abcd")) // 2,
        stage="base_only",
    ),
    Family(
        name="urn_probability",
        wordings=(
            "A bag holds {a} {color1} balls and {b} {color2} balls. What is the probability of drawing a {color1} "
            "ball?",
            "There are {b} {color2} and {a} {color1} marbles in a box. How likely is it to pick a {color1} marble?",
            "What is the probability that a ball from a bag with {a} {color1} and {b} {color2} balls is {color1}?",
            "{name} takes one card from {b} {color2} cards and {a} {color1} cards. What is the probability of "
            "{color1}?",
            "An urn contains {a} {color1} balls as well as {b} {color2} balls. One ball is drawn. Find the "
            "probability that it is {color1}.",
            "Find the probability of a {color1} bead when one bead is drawn from {b} {color2} beads and {a} {color1} "
            "beads.",
            "How likely is a {color1} ball if a box has {a} {color1} balls and {b} {color2} balls?",
            "One marble is picked from {a} {color1} marbles and {b} {color2} marbles. With which probability is it "
            "{color1}?",
            "In a jar are {b} {color2} buttons and {a} {color1} buttons. [Give|State] the probability of picking "
            "{color1}.",
            "Of the tickets in a box, {a} are {color1} and {b} are {color2}. {name} draws one. What is the "
            "probability that it is {color1}?",
            "Drawing from {b} {color2} and {a} {color1} balls, what is the probability of {color1} as a fraction?",
            "A machine has {a} {color1} sweets and {b} {color2} sweets and gives one. Compute the probability of a "
            "{color1} one.",
            "{a} {color1} balls, {b} {color2} balls, one is drawn. [Probability of {color1}?|Wanted: the "
            "probability of {color1}.]",
            "Suppose {b} {color2} and {a} {color1} pens lie in a drawer. {name} takes one without looking. What is "
            "the probability that it is {color1}?",
            "Compute the chance of {color1} when one of {a} {color1} and {b} {color2} stones is chosen at random.",
            "If a hat holds {b} {color2} tickets and {a} {color1} tickets, then how likely is {color1}?",
            "A {color1} sock is wanted. The basket has {a} {color1} socks and {b} {color2} socks, and one sock is "
            "taken. How probable is it?",
            "Which fraction gives the chance of {color1} if one flower is picked from {b} {color2} flowers and {a} "
            "{color1} flowers?",
            "At random, a child picks one toy out of {a} {color1} toys and {b} {color2} toys. Report the "
            "probability of a {color1} toy.",
            "Let a bag have {b} {color2} coins and {a} {color1} coins. [Work out|Determine] the chance that a coin "
            "taken from it is {color1}.",
            "On a wheel, {a} fields are {color1} and {b} fields are {color2}. It stops at a random field. Tell the "
            "probability of {color1}.",
        ),
        unseen_wordings=(
            "{name} picks one of {a} {color1} and {b} {color2} balls. Calculate the probability that the ball is "
            "{color1}.",
            "A jar has {b} {color2} marbles and {a} {color1} marbles. One is drawn. How likely is a {color1} one?",
            "With {a} {color1} cards and {b} {color2} cards in a box, what is the probability of drawing a {color1} "
            "card?",
        ),
        numbers={"a": (11, 200), "b": (11, 200)},
        words={"color1": "marble_color", "color2": "marble_color"},
        accept=lambda v: v["a"] != v["b"],
        steps=(
            Step(
                texts=(
                    "First we count how many there are of both colors together.",
                    "We need the total number, so we add the two colors.",
                ),
                code="{color1} = {a}\n{color2} = {b}\ntotal = {color1} + {color2}\ntotal",
            ),
            Step(
                texts=(
                    "There are {out1} in total, and we divide the {color1} ones by them.",
                    "The probability is the {color1} part of the total, as an exact fraction.",
                ),
                code="from sympy import Rational\nRational({color1}, total)",
            ),
        ),
        closings=("The probability is \\boxed{{result}}.", "So the probability of {color1} is \\boxed{{result}}."),
        answer=lambda v: Fraction(v["a"], v["a"] + v["b"]),
    ),
    Family(
        name="trapezoid_area",
        wordings=(
            "A trapezoid has parallel sides of {a} cm and {b} cm and a height of {h} cm. What is its area?",
            "What is the area of a trapezoid with height {h} and parallel sides {a} and {b}?",
            "[Find|Compute] the area of a trapezoid. The parallel sides measure {a} m and {b} m, the height {h} m.",
            "The height of a trapezoid is {h} cm, and its two parallel sides are {a} cm and {b} cm long. How large is "
            "it?",
            "How big is the area of a trapezoid if its parallel sides are {a} and {b} and its height is {h}?",
        ),
        unseen_wordings=(
            "Calculate the area of a trapezoid that has a height of {h} cm and parallel sides of {a} cm and {b} cm.",
            "With parallel sides of {a} m and {b} m and a height of {h} m, which area does a trapezoid have?",
            "{name} has a field in the shape of a trapezoid with parallel sides {a} m and {b} m, height {h} m. Find "
            "its area.",
        ),
        numbers={"a": (11, 400), "b": (11, 400), "h": (11, 200)},
        accept=lambda v: v["a"] != v["b"] and (v["a"] + v["b"]) * v["h"] % 2 == 0,
        steps=(
            Step(
                texts=(
                    "The area is half the sum of the parallel sides times the height.",
                    "We add the parallel sides, multiply by the height and halve the product.",
                ),
                code="side1 = {a}\nside2 = {b}\nheight = {h}\narea = (side1 + side2) * height // 2\narea",
            ),
        ),
        closings=("The area is \\boxed{{result}}.", "So the trapezoid has an area of \\boxed{{result}}."),
        answer=lambda v: (v["a"] * v["h"] + v["b"] * v["h"]) // 2,
        stage="base_only",
    ),
    Family(
        name="fourth_angle",
        wordings=(
            "Three angles of a quadrilateral are {a}, {b} and {c} degrees. How large is the fourth angle?",
            "What is the fourth angle of a quadrilateral with angles of {a}, {b} and {c} degrees?",
            "A quadrilateral has one angle of {a} degrees, one of {b} degrees and one of {c} degrees. Find the fourth.",
            "[Find|Compute] the missing angle of a quadrilateral whose other angles are {a}, {b} and {c} degrees.",
            "{name} draws four sides with angles of {a}, {b} and {c} degrees. How many degrees has the fourth angle?",
        ),
        unseen_wordings=(
            "In a quadrilateral, the angles {a}, {b} and {c} degrees are known. Calculate the missing angle.",
            "How many degrees does the fourth angle of a quadrilateral have if the others are {a}, {b} and {c} "
            "degrees?",
            "Work out the last angle of a quadrilateral. The first three angles are {a}, {b} and {c} degrees.",
        ),
        numbers={"a": (31, 170), "b": (31, 170), "c": (31, 170)},
        accept=lambda v: (
            11 <= 360 - v["a"] - v["b"] - v["c"] < 180 and 360 - v["a"] - v["b"] - v["c"] not in v.values()
        ),
        steps=(
            Step(
                texts=(
                    "The four angles add up to 360 degrees, so we subtract the three.",
                    "We take the three known angles away from the full 360 degrees.",
                ),
                code="first = {a}\nsecond = {b}\nthird = {c}\nfourth = 360 - first - second - third\nfourth",
            ),
        ),
        closings=("The fourth angle has \\boxed{{result}} degrees.", "The missing angle is \\boxed{{result}} degrees."),
        answer=lambda v: 360 - (v["a"] + v["b"] + v["c"]),
        stage="base_only",
    ),
    Family(
        name="triangle_perimeter",
        wordings=(
            "A triangle has sides of {a} cm, {b} cm and {c} cm. What is its perimeter?",
            "What is the perimeter of a triangle with sides {a}, {b} and {c}?",
            "[Find|Compute] the perimeter of a triangle whose sides measure {a} m, {b} m and {c} m.",
            "{name} walks once around a triangle with sides of {a} m, {b} m and {c} m. How long is the way?",
        ),
        unseen_wordings=(
            "The sides of a triangle are {a} cm, {b} cm and {c} cm long. Calculate the perimeter.",
            "Add up the sides {a}, {b} and {c} of a triangle. How large is the perimeter?",
            "With sides of {a} m, {b} m and {c} m, which perimeter does a triangle have?",
        ),
        numbers={"a": (100, 999), "b": (100, 999), "c": (100, 999)},
        accept=lambda v: 2 * max(v["a"], v["b"], v["c"]) < v["a"] + v["b"] + v["c"],
        steps=(
            Step(
                texts=(
                    "The perimeter of a triangle is the sum of its three sides.",
                    "We add the three sides of the triangle to get the perimeter.",
                ),
                code="side1 = {a}\nside2 = {b}\nside3 = {c}\nperimeter = side1 + side2 + side3\nperimeter",
            ),
        ),
        closings=("The perimeter is \\boxed{{result}}.", "So the triangle has a perimeter of \\boxed{{result}}."),
        answer=lambda v: v["a"] + v["b"] + v["c"],
        stage="never",
    ),
)
