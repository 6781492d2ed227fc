"""Problems that the packaged nano model solves: what it is good for, shown where it is used."""

EXAMPLES = {
    "What does 2858 look like in the binary system?": "101100101010",
    "Evaluate the definite integral of 57x + 97 from 57 to 69.": "44256",
    "What does a bicycle of 400 dollars cost after a discount of 69 percent?": "124",
    "What number of buses is needed to carry 1553 workers if no bus holds more than 93?": "17",
    "Two functions are given by f(x) = 16*x + 103 and g(x) = 63*x + 206. Evaluate f(g(63)).": "66903",
    "If the average of four weights is 527 kg and three of them are 651 kg, 651 kg and 281 kg, "
    "then how heavy is the last?": "525",
    "A team needs three of 103 women and two of 185 men. How many teams are possible?": "3010004020",
}
"""Problem -> answer. Drawn from the families with numbers that training never used; a test solves each of them."""
