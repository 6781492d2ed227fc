"""Families about whole numbers: divisors, remainders, digits, bases, sums and counting."""

from __future__ import annotations

from math import comb, gcd, lcm

from recipes.nano.family import Family, Step


def _divisors(number: int) -> list[int]:
    """All positive divisors of `number`, without sympy."""
    return [divisor for divisor in range(1, number + 1) if number % divisor == 0]


def _largest_prime_factor(number: int) -> int:
    """By trial division, without sympy."""
    factor = 2
    while factor * factor <= number:
        if number % factor == 0:
            number //= factor
        else:
            factor += 1
    return number


FAMILIES = (
    Family(
        name="greatest_common_divisor",
        wordings=(
            "What is the greatest common divisor of {a} and {b}?",
            "[Find|Compute|Calculate] the greatest common divisor of the numbers {a} and {b}.",
            "gcd({a}, {b}) = ?",
            "Which is the largest number that divides both {a} and {b}?",
            "The numbers {a} and {b} have several common divisors. [Give|State|Find] the greatest of them.",
            "{name} looks for the largest whole number that divides {a} and also {b}. Which number is it?",
            "Determine gcd({a}, {b}).",
            "Both {a} and {b} can be divided by d without remainder. What is the largest possible d?",
            "How large is the greatest common factor of {a} and {b}?",
            "Ropes of {a} cm and {b} cm are cut into equal pieces with nothing left. How long can a piece be at most?",
            "Work out the highest common factor of the two numbers {a} and {b}.",
            "By which number at most can the fraction {a}/{b} be reduced?",
            "For the numbers {a} and {b}, what is the gcd?",
            "Two numbers: {a} and {b}. [Greatest common divisor?|Wanted: their gcd.]",
            "Suppose g is the greatest common divisor of {a} and {b}. [Work out|Compute|Determine] g.",
            "What common divisor of {a} and {b} is as large as possible?",
            "Compare the divisors of {a} with the divisors of {b}. Which is the largest that they share?",
            "{a} {item} and {b} balls are packed in equal bags with none left over. At most how many bags can be "
            "filled?",
            "If a whole number divides {a} as well as {b}, how large can it be at most?",
            "The fraction {a}/{b} is written in lowest terms. By which number are both parts divided?",
            "[Report|Tell] the highest factor shared by the numbers {a} and {b}.",
            "A floor of {a} cm by {b} cm is covered with equal square tiles. How long is the side of the largest "
            "such tile?",
            "Someone needs gcd of {a} and {b}. [Compute it.|What is it?]",
        ),
        unseen_wordings=(
            "Of all numbers that divide both {a} and {b} without remainder, give the largest.",
            "Calculate the gcd of the two whole numbers {a} and {b}.",
            "The greatest common factor of {a} and {b} is which number?",
        ),
        numbers={"a": (100, 9999), "b": (100, 9999)},
        accept=lambda v: 11 <= gcd(v["a"], v["b"]) < min(v["a"], v["b"]),
        steps=(
            Step(
                texts=(
                    "The greatest common divisor of the two numbers is computed with gcd from math.",
                    "We need the largest number that divides both, which is their gcd.",
                ),
                code="from math import gcd\nfirst = {a}\nsecond = {b}\ngcd(first, second)",
            ),
        ),
        closings=("The greatest common divisor is \\boxed{{result}}.", "So $\\gcd({a}, {b}) = \\boxed{{result}}$."),
        answer=lambda v: gcd(v["a"], v["b"]),
    ),
    Family(
        name="least_common_multiple",
        wordings=(
            "What is the least common multiple of {a} and {b}?",
            "[Find|Compute|Calculate] the least common multiple of the numbers {a} and {b}.",
            "lcm({a}, {b}) = ?",
            "Which is the smallest positive number that is a multiple of both {a} and {b}?",
            "The numbers {a} and {b} have many common multiples. [Give|State|Find] the smallest positive one.",
            "One bell rings every {a} minutes, another every {b} minutes. Both ring now. When do they ring "
            "together again?",
            "Determine lcm({a}, {b}).",
            "A number is divisible by {a} and by {b}. How small can this positive number be?",
            "How large is the lowest common multiple of {a} and {b}?",
            "Two buses leave together. One leaves every {a} minutes, the other every {b} minutes. After how many "
            "minutes is this so again?",
            "{name} looks for the smallest positive whole number divisible by {a} and also by {b}. Which number is it?",
            "Of which smallest positive number are {a} and {b} both divisors?",
            "{a} and {b} are two numbers. [Compute|Find] their lcm.",
            "Two numbers: {a} and {b}. [Least common multiple?|Wanted: their lcm.]",
            "Suppose m is the least common multiple of {a} and {b}. [Work out|Compute|Determine] m.",
            "Count up in steps of {a} and also in steps of {b}. What is the first number that both counts reach?",
            "If a positive number can be divided by {a} as well as by {b}, how large must it be at least?",
            "One wheel turns once in {a} seconds, another in {b} seconds. After how many seconds are both back at "
            "the start?",
            "What common multiple of {a} and {b} is as small as possible, but not zero?",
            "The fractions 1/{a} and 1/{b} are added. How large is their lowest common denominator?",
            "[Report|Tell] the lowest number that appears in the table of {a} and in the table of {b}.",
            "A red light flashes every {a} seconds, a green light every {b} seconds. They flash together now. How "
            "long until the next time?",
            "Someone needs lcm of {a} and {b}. [Compute it.|What is it?]",
        ),
        unseen_wordings=(
            "Of all positive numbers divisible by both {a} and {b}, give the smallest.",
            "Which positive number is the first in both the multiples of {a} and the multiples of {b}?",
            "Find the lcm: how large is the smallest multiple that {a} and {b} have in common?",
        ),
        numbers={"a": (11, 400), "b": (11, 400)},
        accept=lambda v: v["a"] % v["b"] != 0 and v["b"] % v["a"] != 0,
        steps=(
            Step(
                texts=(
                    "The least common multiple of the two numbers is computed with lcm from math.",
                    "We need the smallest number that both numbers divide, which is their lcm.",
                ),
                code="from math import lcm\nfirst = {a}\nsecond = {b}\nlcm(first, second)",
            ),
        ),
        closings=("The least common multiple is \\boxed{{result}}.", "So the number is \\boxed{{result}}."),
        answer=lambda v: lcm(v["a"], v["b"]),
    ),
    Family(
        name="number_of_divisors",
        wordings=(
            "How many positive divisors does {n} have?",
            "[Find|Determine|Compute] the number of positive divisors of {n}.",
            "By how many positive whole numbers can {n} be divided without remainder?",
            "Count the positive divisors of {n}.",
            "{n} is divided by every whole number from one to {n}. How often is there no remainder?",
            "How many whole numbers from one up to {n} divide the number {n}?",
            "What is the count of all factors of {n}, including one and {n} itself?",
            "{name} writes down all divisors of {n}. How many numbers are on the list?",
            "Let n = {n}. How many divisors does n have?",
            "The number {n} has how many different factors?",
            "{n} {item} are put in equal rows. How many different numbers of rows are possible?",
            "Tell how many positive integers are divisors of the number {n}.",
            "n = {n}. [Wanted: how many divisors n has.|Number of divisors?]",
            "Suppose d divides {n} and d is positive. How many choices are there for d?",
            "Compute how many factors the whole number {n} has.",
            "In how many ways can we choose a positive whole number d so that {n}/d is again a whole number?",
            "A list shows every factor of {n}, from the smallest to the largest. [Work out|Find] its length.",
            "{n} balls are shared equally among some children, with none left. How many different numbers of "
            "children can there be?",
            "[Report|Tell] the total count of positive numbers that go into {n} exactly.",
            "If all the divisors of {n} are collected in a set, then how many elements are there?",
            "Someone asks about the divisors of {n}. Not which they are, but how many. [Answer this.|Count them.]",
        ),
        unseen_wordings=(
            "How many numbers are on the list of all factors of {n}?",
            "Count all whole numbers that divide {n} without remainder.",
            "For the number {n}, determine how many positive divisors there are.",
        ),
        numbers={"n": (200, 3000)},
        accept=lambda v: len(_divisors(v["n"])) >= 10,
        steps=(
            Step(
                texts=(
                    "We list all divisors of the number with sympy and count them.",
                    "The divisors come from sympy, and the length of the list is their count.",
                ),
                code="from sympy import divisors\nnumber = {n}\nfactors = divisors(number)\nlen(factors)",
            ),
        ),
        closings=("There are \\boxed{{result}} divisors.", "The number {n} has \\boxed{{result}} divisors."),
        answer=lambda v: len(_divisors(v["n"])),
    ),
    Family(
        name="sum_of_divisors",
        wordings=(
            "What is the sum of all positive divisors of {n}?",
            "Add up all divisors of {n}, including one and {n} itself. What is the total?",
            "[Compute|Find] the sum of the divisors of the number {n}.",
            "{name} adds all positive factors of {n} together. What sum comes out?",
            "What do the divisors of {n} add up to?",
            "Let n = {n}. [Find|Determine] the total of all whole numbers that divide n.",
        ),
        unseen_wordings=(
            "All positive factors of {n} are added. What is the total?",
            "Calculate what the positive divisors of {n} make together when you add them.",
            "How large is the sum of all factors of {n}?",
        ),
        numbers={"n": (200, 3000)},
        accept=lambda v: len(_divisors(v["n"])) >= 4,
        steps=(
            Step(
                texts=(
                    "We list all divisors of the number with sympy and add them up.",
                    "The divisors come from sympy, and their sum is the answer we need.",
                ),
                code="from sympy import divisors\nnumber = {n}\nfactors = divisors(number)\nsum(factors)",
            ),
        ),
        closings=("The sum of the divisors is \\boxed{{result}}.", "Together they make \\boxed{{result}}."),
        answer=lambda v: sum(_divisors(v["n"])),
        stage="base_only",
    ),
    Family(
        name="largest_prime_factor",
        wordings=(
            "What is the largest prime factor of {n}?",
            "[Find|Determine|Compute] the largest prime number that divides {n}.",
            "Factor {n} into primes. Which prime is the largest?",
            "Which is the greatest prime divisor of {n}?",
            "Let n = {n}. [Find|Give] the biggest prime factor of n.",
            "{name} writes {n} as a product of primes. What is the largest of these primes?",
            "The number {n} has several prime factors. [State|Give] the largest one.",
            "How large is the greatest prime in the prime factorization of {n}?",
            "{n} is a product of prime numbers. Which of them is the biggest?",
            "Among the primes that divide {n}, which one is the largest?",
            "Write {n} as a product of primes and [give|state] the largest prime in it.",
            "Name the largest prime p such that p divides {n}.",
            "n = {n}. [Largest prime factor?|Wanted: the largest prime factor of n.]",
            "Suppose p is a prime factor of {n}. How large can p be at most?",
            "Split the number {n} into its prime factors and report the [biggest|greatest|largest].",
            "What prime number divides {n} and is as large as possible?",
            "If we break {n} down into primes, which prime comes last when they are sorted?",
            "Take all the prime divisors of {n}. [Compute|Work out|Find] their maximum.",
            "Someone factors the integer {n}. [Tell|Report] the highest prime found.",
            "A prime goes into {n} without remainder, and no larger prime does. Which prime is it?",
            "Of the primes whose product is {n}, we only need the maximum. [Compute it.|Find it.]",
        ),
        unseen_wordings=(
            "In the prime factorization of {n}, what is the greatest prime factor?",
            "Give the biggest prime number by which {n} can be divided without remainder.",
            "When {n} is factored into primes, how large is the largest of them?",
        ),
        numbers={"n": (200, 9999)},
        accept=lambda v: 11 <= _largest_prime_factor(v["n"]) < v["n"],
        steps=(
            Step(
                texts=(
                    "We factor the number into primes with sympy and take the largest prime.",
                    "The prime factors come from factorint, and we need the maximum of them.",
                ),
                code="from sympy import factorint\nnumber = {n}\nprimes = factorint(number)\nmax(primes)",
            ),
        ),
        closings=("The largest prime factor is \\boxed{{result}}.", "So the largest prime is \\boxed{{result}}."),
        answer=lambda v: _largest_prime_factor(v["n"]),
    ),
    Family(
        name="modular_power",
        wordings=(
            "What is the remainder when {a}^{e} is divided by {m}?",
            "[Find|Compute|Calculate] {a}^{e} mod {m}.",
            "Divide {a}^{e} by {m}. What is the remainder?",
            "Let r be the remainder of {a}^{e} divided by {m}. [Find|Determine] r.",
            "The power {a}^{e} is divided by {m}. Which remainder is left?",
            "When you divide the number {a}^{e} by {m}, how much is left over?",
            "Modulo {m}, what is the value of {a}^{e}?",
            "Which remainder does {a}^{e} leave on division by {m}?",
            "Work out the remainder on dividing {a} to the power {e} by {m}.",
            "{name} computes {a} to the power {e} and takes the result modulo {m}. What does {name} get?",
            "Raise {a} to the power {e} and [find|give] the remainder after division by {m}.",
            "On division by {m}, what is the remainder of the power {a}^{e}?",
            "{a}^{e} mod {m} = ?",
            "Base {a}, exponent {e}, modulus {m}. [Find the remainder of the power.|What is the power modulo the "
            "modulus?]",
            "Suppose {a} is multiplied by itself until there are {e} factors. What is left when the product is "
            "divided by {m}?",
            "With modulus {m}, base {a} and exponent {e}, [determine|compute|work out] the modular power.",
            "If we take {a} to the power {e} and remove {m} as often as possible, what number is left?",
            "Someone needs the power with exponent {e} and base {a}, reduced modulo {m}. [Compute it.|Which number "
            "is it?]",
            "Reduce the power {a}^{e} modulo {m} and report the [result|remainder].",
            "A clock has {m} hours, numbered from zero. At which hour does it stand after {a}^{e} hours, having "
            "started at zero?",
            "The divisor is {m}, and the number to divide is {a}^{e}. Tell [us|me] the remainder.",
        ),
        unseen_wordings=(
            "How large is the remainder if the power {a}^{e} gets divided by {m}?",
            "Determine the value of {a} to the power {e} modulo {m}.",
            "A computer divides {a}^{e} by {m}. Give the remainder.",
        ),
        numbers={"a": (11, 400), "e": (11, 99), "m": (31, 400)},
        accept=lambda v: pow(v["a"], v["e"], v["m"]) not in (*range(11), v["a"], v["e"]),
        steps=(
            Step(
                texts=(
                    "The power is huge, so we compute it modulo the divisor with pow.",
                    "We use pow with base, exponent and modulus to get the remainder directly.",
                ),
                code="base = {a}\nexponent = {e}\nmodulus = {m}\npow(base, exponent, modulus)",
            ),
        ),
        closings=("The remainder is \\boxed{{result}}.", "So the remainder left is \\boxed{{result}}."),
        answer=lambda v: v["a"] ** v["e"] % v["m"],
    ),
    Family(
        name="digit_sum_of_product",
        wordings=(
            "What is the sum of the digits of {a} * {b}?",
            "Multiply {a} by {b} and add up the digits of the product. What is the sum?",
            "[Find|Compute|Calculate] the digit sum of the product {a} * {b}.",
            "How large is the digit sum of {a} times {b}?",
            "The product of {a} and {b} is written down. What do its digits add up to?",
            "{name} multiplies {a} by {b} and then adds the digits of the result. What does {name} get?",
            "Let P = {a} * {b}. [Find|Determine] the sum of the digits of P.",
            "Add all digits of the number {a} * {b}.",
            "If you multiply {a} and {b}, what is the sum of all digits in the result?",
            "What do you get when you add the digits of the product of {a} and {b}?",
            "Take the number {a} times {b}. What is its digit sum?",
            "[Work out|Determine] the total of the digits in the product {a} * {b}.",
            "{a} * {b}: [digit sum of the product?|add the digits of the result.]",
            "Suppose n is equal to {a} times {b}. Work out the digit sum of n.",
            "First compute {a} * {b}. Then add its digits one by one. Which number [results|do you get]?",
            "How much do all the digits of {a} * {b} make together?",
            "A shop has {a} boxes with {b} {item} in each. Write down the number of {item}; what is the sum of its "
            "digits?",
            "If p is the product of the numbers {a} and {b}, then what do the digits of p total?",
            "Each digit in the result of {a} times {b} is added to the others. [Report|Tell] the sum.",
            "We want a digit sum, the one of the number that {a} and {b} give when multiplied.",
            "Someone computes the product {a} * {b}. [Determine|Find|Compute] the total of its digits.",
        ),
        unseen_wordings=(
            "A number is the product of {a} and {b}. Calculate its digit sum.",
            "After multiplying {a} by {b}, {name} adds up all digits. What is the total?",
            "The digits of {a} * {b} have which sum?",
        ),
        numbers={"a": (100, 3000), "b": (100, 3000)},
        steps=(
            Step(
                texts=(
                    "First we multiply the two numbers to get the product.",
                    "We start with the product, because we need to know its digits.",
                ),
                code="first = {a}\nsecond = {b}\nproduct = first * second\nproduct",
            ),
            Step(
                texts=(
                    "The product is {out1}, and now we add up its digits.",
                    "Now we turn the product into digits and take their sum.",
                ),
                code="digits = [int(digit) for digit in str(product)]\nsum(digits)",
            ),
        ),
        closings=("The digit sum is \\boxed{{result}}.", "The digits add up to \\boxed{{result}}."),
        answer=lambda v: sum(map(int, str(v["a"] * v["b"]))),
    ),
    Family(
        name="to_binary",
        wordings=(
            "How is {n} written in binary?",
            "Write the number {n} in base two.",
            "[Convert|Change] {n} to binary.",
            "What is the binary form of {n}?",
            "[Find|Give|State] the base two representation of {n}.",
            "In base two, which digits does the number {n} have?",
            "{name} writes {n} with the digits 0 and 1 only, as a computer does. What does {name} write?",
            "The decimal number {n} is converted to the binary system. What is the result?",
            "Express {n} as a binary number.",
            "What does {n} look like in the binary system?",
            "A computer stores the number {n} in binary. Which binary number is it?",
            "Let n = {n}. Write n as a number in base two.",
            "{n} in binary: [which digits?|what is it?]",
            "Suppose a number is {n} in the decimal system. [Work out|Determine|Compute] its binary digits.",
            "Translate {n} from base ten to base two.",
            "Which row of zeros and ones stands for the number {n}?",
            "Someone needs {n} as a sum of powers of two, written with zeros and ones. What are the digits?",
            "[Compute|Report|Tell] the binary digits of {n}.",
            "Using only zeros and ones, how do we write {n}?",
            "We have the number {n} in base ten. What is the same number in base two?",
            "Lamps that are on count as one, lamps that are off as zero. Show {n} in this way, in binary.",
        ),
        unseen_wordings=(
            "Give the number {n} in the binary system.",
            "If {n} is written as a base two number, what does it look like?",
            "Which binary number is equal to the decimal number {n}?",
        ),
        numbers={"n": (100, 4000)},
        steps=(
            Step(
                texts=(
                    "We convert the number to binary and drop the prefix of the string.",
                    "Python writes the number in base two with bin, and we remove the prefix.",
                ),
                code="number = {n}\nbinary = bin(number)[2:]\nint(binary)",
            ),
        ),
        closings=("In binary the number is \\boxed{{result}}.", "So in base two it is \\boxed{{result}}."),
        answer=lambda v: int(f"{v['n']:b}"),
    ),
    Family(
        name="consecutive_product",
        wordings=(
            "The sum of three consecutive integers is {s}. What is their product?",
            "Three consecutive whole numbers add up to {s}. [Find|Compute|Calculate] their product.",
            "Find the product of three consecutive integers whose sum is {s}.",
            "What is the product of the three consecutive numbers that have the sum {s}?",
            "{name} adds three consecutive integers and gets {s}. What does {name} get by multiplying them?",
            "If three whole numbers in a row have the sum {s}, what is the product of the three?",
            "Multiply the three consecutive integers that add up to {s}.",
            "Three numbers follow one after another, and their total is {s}. How large is their product?",
            "n, n + 1 and n + 2 are integers with the sum {s}. [Find|Determine] the product of these three integers.",
            "Let {s} be the sum of three consecutive integers. What is the product of these integers?",
            "With a sum of {s}, three consecutive integers have which product?",
            "A sum of {s} comes from three consecutive whole numbers. Work out the product of the three numbers.",
            "Three consecutive integers. Sum: {s}. [Product?|Wanted: the product.]",
            "Suppose a, b and c are consecutive whole numbers and a + b + c = {s}. [Work out|Compute|Determine] a*b*c.",
            "Split {s} into three consecutive integers and report what they give when multiplied.",
            "Three pages in a row have page numbers that total {s}. What do you get if you multiply the page numbers?",
            "How much is x*(x + 1)*(x + 2) if x + (x + 1) + (x + 2) = {s} and x is whole?",
            "Someone finds three consecutive numbers that sum to {s}. Then they are multiplied. Which number "
            "[results|comes out]?",
            "The number {s} is written as a sum of three neighbours on the number line. [Tell|Give] the product of "
            "these neighbours.",
            "We want to multiply three consecutive integers. All we know is that they total {s}. [Find the "
            "result.|What do we get?]",
            "The ages of three children are consecutive whole numbers, {s} in all. What is the product of the ages?",
        ),
        unseen_wordings=(
            "Three integers in a row make {s} together. What comes out when you multiply the three?",
            "Determine the product of three consecutive whole numbers with a total of {s}.",
            "Adding three consecutive numbers gives {s}. How large is the product of these numbers?",
        ),
        numbers={"s": (60, 3000)},
        accept=lambda v: v["s"] % 3 == 0,
        steps=(
            Step(
                texts=(
                    "The middle one of three consecutive integers is a third of their sum.",
                    "First we divide the sum by three to find the number in the middle.",
                ),
                code="total = {s}\nmiddle = total // 3\nmiddle",
            ),
            Step(
                texts=(
                    "The middle number is {out1}; its neighbours are one less and one more.",
                    "Now we multiply the middle number by the numbers before and after it.",
                ),
                code="product = (middle - 1) * middle * (middle + 1)\nproduct",
            ),
        ),
        closings=("The product is \\boxed{{result}}.", "The three integers have the product \\boxed{{result}}."),
        answer=lambda v: (v["s"] // 3) ** 3 - v["s"] // 3,
    ),
    Family(
        name="choose_two_groups",
        wordings=(
            "A team needs three of {a} women and two of {b} men. How many teams are possible?",
            "In how many ways can you choose three girls from {a} girls and two boys from {b} boys?",
            "From {b} men and {a} women, a group of two men and three women is chosen. How many ways are there?",
            "How many groups of three women and two men can be formed from {a} women and {b} men?",
            "There are {a} girls and {b} boys in a school. {name} chooses three girls and two boys. In how many "
            "ways is this possible?",
            "A club with {b} men and {a} women [elects|chooses] two of the men and three of the women. Count the "
            "choices.",
            "[Find|Compute] the number of ways to pick two of {b} boys and three of {a} girls.",
            "Three women out of {a} women and two men out of {b} men go on a trip. How many selections are possible?",
            "Out of {a} women three are chosen, and out of {b} men two are chosen. In how many ways can this be done?",
            "With {b} boys and {a} girls to choose from, how many teams of two boys and three girls are there?",
            "A committee has two men and three women. It is chosen from {b} men and {a} women. How many committees are "
            "possible?",
            "Count the ways of choosing three from {a} women and, at the same time, two from {b} men.",
            "{a} women, {b} men; choose three women and two men. [How many ways?|Number of choices?]",
            "Compute how many different teams can be made by taking two from {b} men and three from {a} women.",
            "Suppose a class has {b} boys and {a} girls. Two boys and three girls are to sing. How many selections "
            "can be made?",
            "If {name} may invite three of {a} girls and two of {b} boys, then how many different invitations are "
            "there?",
            "Three places go to women and two places to men. There are {a} women and {b} men. Determine in how "
            "many ways the places can be given.",
            "Two men are needed from a list of {b} men, and three women from a list of {a} women. [Work out|Find] "
            "the number of possible choices.",
            "A coach has {a} girls and {b} boys. Report how many groups the coach can form with three girls and "
            "two boys.",
            "How many possibilities are there to select two men, when {b} men are present, together with three "
            "women, when {a} women are present?",
            "A list names {b} boys, a second list {a} girls. Two boys and three girls are picked. Tell the number "
            "of different results.",
        ),
        unseen_wordings=(
            "{name} picks a team: three girls from {a} girls, two boys from {b} boys. How many teams are possible?",
            "How many committees with two men and three women can a club of {b} men and {a} women choose?",
            "A school has {a} girls and {b} boys. Three of the girls and two of the boys are chosen. Count the ways.",
        ),
        numbers={"a": (11, 200), "b": (11, 200)},
        accept=lambda v: v["a"] != v["b"],
        steps=(
            Step(
                texts=(
                    "First we count the ways to choose three from the group of {a}.",
                    "The order plays no role, so a binomial counts the choices of three.",
                ),
                code="from math import comb\nthree_of = {a}\nfirst_ways = comb(three_of, 3)\nfirst_ways",
            ),
            Step(
                texts=(
                    "In the same way we count how to choose two from the {b}.",
                    "Next we count the choices of two from the other group.",
                ),
                code="two_of = {b}\nsecond_ways = comb(two_of, 2)\nsecond_ways",
            ),
            Step(
                texts=(
                    "Every choice of three goes with every choice of two, so we multiply.",
                    "We multiply {out1} by {out2}, because the two choices are free.",
                ),
                code="first_ways * second_ways",
            ),
        ),
        closings=("There are \\boxed{{result}} ways.", "The number of choices is \\boxed{{result}}."),
        answer=lambda v: comb(v["a"], 3) * comb(v["b"], 2),
    ),
    Family(
        name="sum_of_multiples",
        wordings=(
            "What is the sum of all positive multiples of {k} up to {n}?",
            "Add up all numbers from one to {n} that are divisible by {k}.",
            "[Find|Compute|Calculate] the sum of the multiples of {k} that are at most {n}.",
            "Up to {n}, what do all positive multiples of {k} add up to?",
            "{name} adds every multiple of {k} that is not larger than {n}. Which sum does {name} get?",
            "How large is the sum of all positive integers up to {n} that {k} divides?",
            "Numbers divisible by {k} are added, from {k} itself up to at most {n}. What is the total?",
            "Among the whole numbers up to {n}, [take|add] all those divisible by {k}. What is their sum?",
            "The multiples of {k} no greater than {n} are added together. [What comes out?|Give the total.]",
            "Let S be the sum of all multiples of {k} between one and {n}. [Find|Determine] S.",
            "Of the integers from one to {n}, which total do the multiples of {k} have?",
            "[Work out|Determine] the total of all numbers up to {n} that can be divided by {k} without remainder.",
            "Multiples of {k}, limit {n}. [Sum?|Wanted: their sum.]",
            "Count in steps of {k}, starting at {k}, and stop before you pass {n}. What is the sum of all the "
            "numbers you say?",
            "Suppose we list the multiples of {k} and end the list at the limit {n}. [Work out|Compute|Determine] "
            "the sum of the list.",
            "How much do the numbers divisible by {k} make together if none may exceed {n}?",
            "The limit is {n}. Each positive multiple of {k} within the limit is added. Which sum [results|do we get]?",
            "If every number not above {n} that is a multiple of {k} is put in a sum, then how large is this sum?",
            "With {n} as the upper limit, compute the sum of the numbers in the table of {k}.",
            "Someone marks each number from one to {n} that has {k} as a divisor. [Report|Tell] the total of the "
            "marked numbers.",
            "Starting from {k} and going up by {k} each time, but never above {n}, we add all numbers. What do "
            "they total?",
        ),
        unseen_wordings=(
            "Take every positive integer up to {n} that is divisible by {k} and find the sum of them.",
            "All multiples of {k} from one up to {n} are added. How large is the sum?",
            "Calculate the total of the positive multiples of {k} that are not greater than {n}.",
        ),
        numbers={"k": (11, 99), "n": (200, 3000)},
        accept=lambda v: v["n"] >= 2 * v["k"],
        steps=(
            Step(
                texts=(
                    "The multiples go up in equal steps, so we sum a range with that step.",
                    "We let Python add all multiples of {k} that are at most {n}.",
                ),
                code="step = {k}\nlimit = {n}\nmultiples = range(step, limit + 1, step)\nsum(multiples)",
            ),
        ),
        closings=("The sum is \\boxed{{result}}.", "The multiples add up to \\boxed{{result}}."),
        answer=lambda v: v["k"] * (v["n"] // v["k"]) * (v["n"] // v["k"] + 1) // 2,
    ),
)
