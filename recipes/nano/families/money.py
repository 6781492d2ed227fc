"""Families about money: change, discounts, tax, wages, interest, savings, profit."""

from __future__ import annotations

from recipes.nano.family import Family, Step, Values


def _decimal(cents: int) -> str:
    """Dollars with cents as Python prints the float; `cents` is no whole number of dollars."""
    return f"{cents // 100}.{cents % 100:02d}".rstrip("0")


def _share_cents(values: Values) -> int:
    total_cents = values["b"] * (100 + values["t"])
    return int((2 * total_cents + values["n"]) // (2 * values["n"]))


def _is_clear_share(values: Values) -> bool:
    """Whether the tip is whole, and the share is neither whole nor halfway between two cents."""
    total_cents = values["b"] * (100 + values["t"])
    halfway = 2 * total_cents % (2 * values["n"]) == values["n"]
    return total_cents % 100 == 0 and not halfway and _share_cents(values) % 100 != 0


FAMILIES = (
    Family(
        name="change_back",
        wordings=(
            "{name} buys {a} {item} for {b} dollars each and pays with {m} dollars. How much change does {name} get?",
            "How much change does {name} get from {m} dollars after buying {a} {item} at {b} dollars each?",
            "With {m} dollars in hand, {name} [buys|orders] {a} {item} at {b} dollars each. How many dollars of change "
            "come back?",
            "{name} gives the seller {m} dollars for {a} {item}. Each costs {b} dollars. Find the change.",
            "Find the change from {m} dollars when {a} {item} are bought at {b} dollars each.",
            "The {item} cost {b} dollars each. {name} takes {a} {item} and hands over {m} dollars. What is the change?",
            "In a {shop} {name} pays {m} dollars for {a} {item} that cost {b} dollars each. How much money comes back?",
            "Compute the change: {a} {item}, {b} dollars each, paid with {m} dollars.",
            "{a} {item} at {b} dollars each were paid for with {m} dollars. How much change was given back?",
            "{m} dollars were handed to the seller for {a} {item} at {b} dollars each. What change must be given?",
            "Each of {a} {item} costs {b} dollars. What change is given back to {name}, who pays with {m} dollars?",
            "A seller gets {m} dollars from {name}, who wants {a} {item} at {b} dollars each. "
            "How much change must the seller return?",
            "Let {name} pay with {m} dollars for {a} {item} that cost {b} dollars each. Work out the change.",
            "Determine how much change is due: paid {m} dollars, bought {a} {item}, price {b} dollars each.",
            "Paid: {m} dollars. Bought: {a} {item}, each {b} dollars. Change?",
            "If each one costs {b} dollars and {name} lays {m} dollars on the table for {a} {item}, then how much"
            " money is returned as change?",
            "{b} dollars each is what the {shop} asks. {name} pays for {a} {item} and gives {m} dollars. How many"
            " dollars are returned?",
            "{name} has {m} dollars. After paying for {a} {item} at {b} dollars each, {name} counts the change. "
            "How much is it?",
            "The seller takes {m} dollars from {name} and packs {a} {item}. Since each costs {b} dollars, some "
            "change is due. Give the change.",
            "From the {m} dollars that were paid, the cost of {a} {item} at {b} dollars each is kept. What change"
            " goes back to {name}?",
            "How many dollars does the seller owe {name} as change when {a} {item} cost {b} dollars each and {m} "
            "dollars were handed over?",
            "Too much was paid: {m} dollars for {a} {item}, although each one costs only {b} dollars. Work out "
            "the change.",
        ),
        unseen_wordings=(
            "On {day} {name} paid with {m} dollars at the {shop}. The {a} {item} cost {b} dollars each. Find how much "
            "change came back.",
            "If {item} are {b} dollars each and {name} takes {a} {item}, what is the change from {m} dollars?",
            "The seller got {m} dollars and gave {a} {item}, worth {b} dollars each. How many dollars must be given "
            "back as change?",
        ),
        numbers={"a": (11, 99), "b": (11, 99), "m": (500, 5000)},
        accept=lambda v: v["m"] - v["a"] * v["b"] > 10 and v["m"] < 2 * v["a"] * v["b"] and v["a"] != v["b"],
        steps=(
            Step(
                texts=(
                    "The change is what was paid minus the cost of all the {item}.",
                    "We multiply number and price, then take the cost away from the money paid.",
                ),
                code="count = {a}\nprice = {b}\npaid = {m}\nchange = paid - count * price\nchange",
            ),
        ),
        closings=("The change is \\boxed{{result}} dollars.", "\\boxed{{result}} dollars come back."),
        answer=lambda v: v["m"] - v["a"] * v["b"],
    ),
    Family(
        name="discount_price",
        wordings=(
            "A {goods} costs {p} dollars. The {shop} gives a discount of {d} percent. What is the new price?",
            "What does a {goods} of {p} dollars cost after a discount of {d} percent?",
            "There is a discount of {d} percent on a {goods} that costs {p} dollars. Find the reduced price.",
            "{name} gets a discount of {d} percent on a {goods} priced at {p} dollars. How much does {name} pay?",
            "The price of a {goods}, {p} dollars, is [lowered|reduced] by {d} percent. What is the price now?",
            "Find the sale price: a {goods} for {p} dollars with {d} percent off.",
            "How much must {name} pay for a {goods} marked {p} dollars if it is {d} percent off?",
            "With {d} percent off, what is the price of a {goods} that was {p} dollars before?",
            "In the sale everything is {d} percent off. {name} buys a {goods} that used to cost {p} dollars. "
            "How much is paid?",
            "A {goods} was marked {p} dollars. On {day} its price was cut by {d} percent. Compute the sale price.",
            "A price of {p} dollars for a {goods} is reduced by a discount of {d} percent. How many dollars remain to "
            "be paid?",
            "{d} percent is taken off the price of a {goods}. The full price was {p} dollars. What is the price after "
            "the discount?",
            "Let a {goods} cost {p} dollars. Work out its price after a discount of {d} percent.",
            "Determine the price to pay: {d} percent off, full price {p} dollars.",
            "Old price: {p} dollars. Discount: {d} percent. New price of the {goods}?",
            "If the {shop} takes {d} percent off, then how much does {name} pay for a {goods} with a full price "
            "of {p} dollars?",
            "A {goods} stood in the {shop} for {p} dollars, but nobody wanted it. Now it is {d} percent cheaper. "
            "What does it cost now?",
            "{name} has a card that gives {d} percent off. At the {shop} {name} chooses a {goods} for {p} "
            "dollars. How many dollars are to be paid with the card?",
            "How cheap is a {goods} after its price of {p} dollars falls by {d} percent?",
            "The owner lowers the price of a {goods} by {d} percent. It cost {p} dollars at first. Give the lower"
            " price.",
            "Once it was {p} dollars, now the {goods} is sold with {d} percent off. Work out what a buyer pays.",
            "Knowing that a discount of {d} percent is given on the price of {p} dollars, say what the {goods} "
            "costs in the end.",
        ),
        unseen_wordings=(
            "The {shop} reduces the price of each {goods} by {d} percent. If the full price is {p} dollars, what does "
            "{name} pay?",
            "Compute what remains to be paid for a {goods} of {p} dollars when {d} percent is taken off.",
            "During the sale {name} found a {goods} marked {p} dollars with a discount of {d} percent. "
            "Find the reduced price.",
        ),
        numbers={"p": (120, 6000), "d": (11, 90)},
        accept=lambda v: v["p"] * v["d"] % 100 == 0,
        steps=(
            Step(
                texts=(
                    "We find the discount in dollars and subtract it from the price.",
                    "The discount is the given percent of the price. The rest is paid.",
                ),
                code="price = {p}\npercent = {d}\ndiscount = price * percent // 100\nprice - discount",
            ),
        ),
        closings=("The price is \\boxed{{result}} dollars.", "After the discount it costs \\boxed{{result}} dollars."),
        answer=lambda v: v["p"] * (100 - v["d"]) // 100,
    ),
    Family(
        name="price_with_tax",
        wordings=(
            "A {goods} costs {p} dollars before tax. The sales tax is {t} percent. What is the price with tax?",
            "What is the total price of a {goods} of {p} dollars with a sales tax of {t} percent?",
            "A sales tax of {t} percent is added to the price of a {goods}, which is {p} dollars. Find the total.",
            "{name} buys a {goods} for {p} dollars plus {t} percent tax. How much does {name} pay in all?",
            "How much is paid for a {goods} at {p} dollars if {t} percent tax is added?",
            "Find the price with tax: {p} dollars for a {goods}, tax {t} percent.",
            "In {city} the sales tax is {t} percent. {name} takes a {goods} for {p} dollars before tax. "
            "What is the bill with tax?",
            "The price of the {goods} without tax is {p} dollars. Add {t} percent for the tax. What does it cost then?",
            "With {t} percent sales tax, how many dollars must {name} pay for a {goods} of {p} dollars?",
            "Tax is {t} percent of the price. The price of a {goods} is {p} dollars before tax. "
            "Compute the price with tax.",
            "Before tax a {goods} is {p} dollars. After a tax of {t} percent is added, what is the total?",
            "To the {p} dollars for a {goods} the {shop} must add a tax of {t} percent. What total is to be paid?",
            "Let the price before tax be {p} dollars and the tax {t} percent. Work out the price of the {goods} "
            "with tax.",
            "Determine what a {goods} costs with tax, given a tax of {t} percent on {p} dollars.",
            "Price before tax: {p} dollars. Tax: {t} percent. Price with tax?",
            "If {t} percent tax must be paid on top of {p} dollars, then how much does {name} pay for the {goods}?",
            "{name} sees a {goods} for {p} dollars. At the desk {t} percent tax is put on top. How many dollars "
            "does {name} pay in the end?",
            "The state takes {t} percent tax on everything that is sold. How much does a buyer spend on a {goods}"
            " with a price of {p} dollars before tax?",
            "A {shop} writes {p} dollars on a {goods} and adds {t} percent for tax. Give the full amount.",
            "{t} percent sales tax makes a {goods} more expensive. It is {p} dollars without tax. How expensive "
            "is it with tax?",
            "How large is the bill when {p} dollars are charged for a {goods} and a tax of {t} percent comes on top?",
            "In {city} a {goods} was sold for {p} dollars, and then {t} percent was paid as tax as well. Work out"
            " the whole amount.",
        ),
        unseen_wordings=(
            "The {shop} adds {t} percent sales tax to every bill. {name} wants a {goods} of {p} dollars. "
            "Find the price with tax.",
            "Compute the total that {name} must pay for a {goods}: the price is {p} dollars and the tax {t} percent.",
            "If the tax is {t} percent, what is the bill with tax for a {goods} that costs {p} dollars before tax?",
        ),
        numbers={"p": (101, 3000), "t": (11, 49)},
        accept=lambda v: v["p"] * v["t"] % 100 != 0,
        steps=(
            Step(
                texts=(
                    "First we compute the tax, which is the given percent of the price.",
                    "We begin with the tax in dollars: the price times the percent, over one hundred.",
                ),
                code="price = {p}\npercent = {t}\ntax = price * percent / 100\ntax",
            ),
            Step(
                texts=(
                    "The tax is {out1} dollars. We add it to the price and round to cents.",
                    "Now we add the tax of {out1} dollars to the price before tax.",
                ),
                code="total = round(price + tax, 2)\ntotal",
            ),
        ),
        closings=("The price with tax is \\boxed{{result}} dollars.", "In all it costs \\boxed{{result}} dollars."),
        answer=lambda v: _decimal(v["p"] * (100 + v["t"])),
    ),
    Family(
        name="wage_weeks",
        wordings=(
            "A {job} earns {w} dollars per hour and works {h} hours per week. How much is earned in {k} weeks?",
            "How much does a {job} earn in {k} weeks at {w} dollars per hour, working {h} hours per week?",
            "{name} works {h} hours per week for {k} weeks. The wage is {w} dollars per hour. Find the total earned.",
            "For {k} weeks {name} works as a {job}, {h} hours per week, at {w} dollars per hour. What is the "
            "whole pay?",
            "The wage of a {job} is {w} dollars per hour. What does {name} earn over {k} weeks of {h} hours per week?",
            "Find the pay for {k} weeks if a {job} gets {w} dollars per hour and the job takes {h} hours per week.",
            "Working {h} hours per week, a {job} is paid {w} dollars per hour. How many dollars is that in {k} weeks?",
            "Over {k} weeks {name} earned {w} dollars per hour. The work took {h} hours per week. "
            "How much did {name} earn altogether?",
            "Compute the total wage: {w} dollars per hour, {h} hours per week, {k} weeks.",
            "A {place} pays {name} {w} dollars per hour. {name} works there {h} hours per week. What is paid for "
            "{k} weeks?",
            "During {k} weeks a {job} worked {h} hours per week and was paid {w} dollars per hour. What was the total "
            "pay?",
            "{w} dollars per hour are paid to {name}, who works {h} hours per week. Find the pay over {k} weeks.",
            "Let the wage be {w} dollars per hour. Work out the pay for {k} weeks with {h} hours per week.",
            "Determine how many dollars a {job} makes: {k} weeks, {h} hours per week, {w} dollars per hour.",
            "Wage: {w} dollars per hour. Time: {h} hours per week, {k} weeks. Total pay?",
            "If {name} works {h} hours per week and gets {w} dollars per hour, then how much money does {name} "
            "have after {k} weeks?",
            "A {job} in {city} keeps working for {k} weeks. The contract says {h} hours per week and {w} dollars "
            "per hour. What amount is paid in the end?",
            "{name} makes {w} dollars per hour. There are {h} hours per week to work, and the job ends after {k} "
            "weeks. Give the money that {name} makes.",
            "How many dollars does a {place} spend on a {job} who comes for {k} weeks, {h} hours per week, and "
            "costs {w} dollars per hour?",
            "{h} hours per week is what {name} works as a {job}. After {k} weeks at {w} dollars per hour, how "
            "much has been earned?",
            "The work lasted {k} weeks and took {h} hours per week. Since {w} dollars per hour were paid, what "
            "did {name} receive altogether?",
            "Money is earned at {w} dollars per hour by a {job} during {h} hours per week. Work out the sum for "
            "{k} weeks.",
        ),
        unseen_wordings=(
            "What wage does {name} get in total for {k} weeks of work, with {h} hours per week and {w} dollars "
            "per hour?",
            "As a {job}, {name} gets {w} dollars per hour. How much is that in {k} weeks, if {h} hours per week are "
            "worked?",
            "The job of {name} takes {h} hours per week and lasts {k} weeks. The job pays {w} dollars per hour. "
            "Compute the whole pay.",
        ),
        numbers={"w": (11, 120), "h": (11, 70), "k": (11, 150)},
        accept=lambda v: len(set(v.values())) == 3,
        steps=(
            Step(
                texts=(
                    "The pay is the wage per hour times the hours per week times the number of weeks.",
                    "We multiply the hourly wage, the hours of a week and the weeks.",
                ),
                code="wage = {w}\nhours = {h}\nweeks = {k}\npay = wage * hours * weeks\npay",
            ),
        ),
        closings=("The total pay is \\boxed{{result}} dollars.", "That makes \\boxed{{result}} dollars."),
        answer=lambda v: v["w"] * v["h"] * v["k"],
    ),
    Family(
        name="simple_interest",
        wordings=(
            "{name} puts {p} dollars in a bank at {r} percent simple interest per year. How much interest is earned in "
            "{t} years?",
            "How much simple interest do {p} dollars earn in {t} years at {r} percent per year?",
            "Find the simple interest on {p} dollars at {r} percent per year for {t} years.",
            "A bank pays {r} percent simple interest per year. {name} leaves {p} dollars there for {t} years. "
            "What is the interest?",
            "For {t} years {name} keeps {p} dollars at a simple interest of {r} percent per year. Find the interest.",
            "A loan of {p} dollars runs for {t} years at {r} percent simple interest per year. How much "
            "interest is due?",
            "At {r} percent simple interest per year, how many dollars of interest come from {p} dollars over "
            "{t} years?",
            "Compute the interest: {p} dollars, {t} years, {r} percent simple interest per year.",
            "The simple interest rate is {r} percent per year. What interest do {p} dollars bring after {t} years?",
            "After {t} years at {r} percent simple interest per year, what interest has {name} earned on {p} dollars?",
            "{p} dollars are lent by {name} for {t} years. The simple interest is {r} percent per year. "
            "How much interest does {name} get?",
            "What is the total interest when {p} dollars lie {t} years in a bank that pays {r} percent simple "
            "interest?",
            "Let {p} dollars lie in a bank for {t} years. Work out the interest at a simple rate of {r} percent "
            "per year.",
            "Determine the interest: sum {p} dollars, simple rate {r} percent per year, time {t} years.",
            "Money: {p} dollars. Time: {t} years. Simple rate: {r} percent per year. Interest in dollars?",
            "If {name} borrows {p} dollars for {t} years and pays {r} percent simple interest per year, then how "
            "much interest does {name} pay?",
            "A bank lends money at {r} percent simple interest per year. A {job} takes {p} dollars and returns "
            "them after {t} years. How many dollars of interest are to be paid?",
            "Every year {r} percent of the first sum is paid as simple interest. The sum is {p} dollars. How much"
            " interest is that for {t} years?",
            "How large is the simple interest after {t} years, with {r} percent per year on a sum of {p} dollars?",
            "{name} opened an account with {p} dollars. It brings {r} percent simple interest per year and is "
            "closed after {t} years. Give the interest.",
            "{t} years long a bank keeps {p} dollars for {name}. It gives {r} percent simple interest per year. "
            "What is the amount of interest?",
            "Simple interest of {r} percent per year is paid during {t} years on a deposit of {p} dollars. Work "
            "out how much interest this brings.",
        ),
        unseen_wordings=(
            "{name} lends {p} dollars at a simple interest rate of {r} percent per year. The loan runs {t} years. "
            "Compute the interest.",
            "Over {t} years, how much interest will a bank pay on {p} dollars with {r} percent simple interest "
            "per year?",
            "With simple interest of {r} percent per year, {p} dollars lie in the bank for {t} years. "
            "What interest is earned?",
        ),
        numbers={"p": (200, 3000), "r": (11, 60), "t": (11, 60)},
        accept=lambda v: v["p"] * v["r"] * v["t"] % 100 == 0 and v["r"] != v["t"],
        steps=(
            Step(
                texts=(
                    "Simple interest is the sum times the rate times the years, divided by one hundred.",
                    "Every year brings the same percent of the sum, so we multiply by the years.",
                ),
                code=("principal = {p}\nrate = {r}\nyears = {t}\ninterest = principal * rate * years // 100\ninterest"),
            ),
        ),
        closings=("The interest is \\boxed{{result}} dollars.", "The interest comes to \\boxed{{result}} dollars."),
        answer=lambda v: v["p"] * v["r"] * v["t"] // 100,
    ),
    Family(
        name="savings_goal",
        wordings=(
            "{name} has {a} dollars and saves {s} dollars per week. After how many weeks does {name} have {g} dollars?",
            "How many weeks must {name} save {s} dollars per week to reach {g} dollars, starting with {a} dollars?",
            "{name} wants to reach {g} dollars. There are {a} dollars already, and {s} dollars per week are saved. "
            "How many weeks does it take?",
            "Starting with {a} dollars, {name} saves {s} dollars per week until the goal of {g} dollars is reached. "
            "Find the number of weeks.",
            "The goal is {g} dollars. {name} starts with {a} dollars and adds {s} dollars per week. "
            "In how many weeks is the goal reached?",
            "Saving {s} dollars per week, {name} wants {g} dollars for a {goods}. {name} already has {a} dollars. "
            "How many weeks are needed?",
            "A {goods} costs {g} dollars. {name} already has {a} dollars and can save {s} dollars per week. "
            "In how many weeks will it be possible to buy it?",
            "Find how many weeks it takes to save up to {g} dollars with {s} dollars per week if {name} starts with "
            "{a} dollars.",
            "The box of {name} already holds {a} dollars, and {s} dollars per week are added. "
            "After how many weeks will it reach {g} dollars?",
            "To reach the goal of {g} dollars, {name}, who already has {a} dollars, saves {s} dollars per week. "
            "For how many weeks?",
            "{a} dollars are already saved by {name}. With {s} dollars per week more, how many weeks pass until the "
            "goal of {g} dollars?",
            "Compute the number of weeks: {name} starts with {a} dollars, saves {s} dollars per week and wants to "
            "reach {g} dollars.",
            "Let the goal be {g} dollars and the weekly savings {s} dollars. {name} begins with {a} dollars. Work"
            " out the number of weeks.",
            "Determine how long {name} must save, in weeks: {a} dollars at the start, {s} dollars per week, goal "
            "{g} dollars.",
            "Start: {a} dollars. Savings: {s} dollars per week. Goal: {g} dollars. Weeks?",
            "If {s} dollars per week are put aside and {a} dollars are already there, then how many weeks pass "
            "before {name} owns {g} dollars?",
            "{name} dreams of a {goods} for {g} dollars. Every week {s} dollars are put aside, and {a} dollars "
            "were saved before. How long does {name} have to wait, in weeks?",
            "Every week {name} puts {s} dollars into a box that had {a} dollars in it at first. When are {g} "
            "dollars in the box? Give the number of weeks.",
            "An account grows by {s} dollars per week from {a} dollars to {g} dollars. How many weeks does this take?",
            "How long, in weeks, is the way from {a} dollars to a goal of {g} dollars when {name} saves {s} "
            "dollars per week?",
            "The {goods} that {name} wants has a price of {g} dollars. So far {name} has {a} dollars, and {s} "
            "dollars per week come from a job. Work out after how many weeks {name} can pay.",
            "{g} dollars are the goal of {name}. Savings of {s} dollars per week are added to the {a} dollars "
            "from the start. How many weeks go by?",
        ),
        unseen_wordings=(
            "If {name} starts with {a} dollars in the bank and adds {s} dollars per week, how many weeks does it take "
            "to reach the goal of {g} dollars?",
            "{name} needs to reach {g} dollars and can save {s} dollars per week. {a} dollars are there already. "
            "Find the number of weeks.",
            "For a {goods} of {g} dollars {name} saves {s} dollars per week and already has {a} dollars. "
            "After how many weeks is there enough?",
        ),
        numbers={"a": (11, 900), "s": (11, 150), "w": (11, 99)},
        accept=lambda v: v["w"] not in (v["a"], v["s"]),
        derive=lambda v: {"g": v["a"] + v["s"] * v["w"]},
        steps=(
            Step(
                texts=(
                    "First we find how much money is still missing: the goal minus what is there.",
                    "We subtract the money that is already saved from the goal.",
                ),
                code="start = {a}\ngoal = {g}\nmissing = goal - start\nmissing",
            ),
            Step(
                texts=(
                    "{out1} dollars are missing. We divide them by the savings of one week.",
                    "Every week brings the same sum, so the missing {out1} dollars are divided by it.",
                ),
                code="per_week = {s}\nweeks = missing // per_week\nweeks",
            ),
        ),
        closings=("It takes \\boxed{{result}} weeks.", "The goal is reached after \\boxed{{result}} weeks."),
        answer=lambda v: v["w"],
    ),
    Family(
        name="profit_sale",
        wordings=(
            "{name} buys {n} {item} at {c} dollars each and sells them at {s} dollars each. What is the profit?",
            "How much profit does {name} make by selling {n} {item} for {s} dollars each that were bought for {c} "
            "dollars each?",
            "A {shop} bought {n} {item} for {c} dollars each and sold them all for {s} dollars each. Find the profit.",
            "{n} {item} were sold at {s} dollars each. They had been bought at {c} dollars each. "
            "What was the total profit?",
            "Find the profit on {n} {item}: bought at {c} dollars each, sold at {s} dollars each.",
            "A {shop} sells {item} for {s} dollars each after buying them for {c} dollars each. How much profit is "
            "made on {n} {item}?",
            "To make a profit, {name} bought at {c} dollars each and sold at {s} dollars each. How many dollars of "
            "profit came from {n} {item}?",
            "What profit comes from {n} {item} if {name} buys at {c} dollars each and sells at {s} dollars each?",
            "The {item} are bought for {c} dollars each. Then they are sold for {s} dollars each. "
            "Compute the profit for {n} {item}.",
            "Selling at {s} dollars each, {name} makes a profit on {item} bought at {c} dollars each. "
            "What is the whole profit for {n} {item}?",
            "On {day} {name} sold {n} {item} for {s} dollars each. They had been bought for {c} dollars each. "
            "How big is the profit?",
            "A {shop} bought {item} at {c} dollars each and sold {n} of these {item} at {s} dollars each. "
            "How much profit did it make?",
            "Let {name} buy {n} {item} for {c} dollars each and sell all of them for {s} dollars each. Work out "
            "the profit.",
            "Determine the profit in dollars: {n} {item}, selling price {s} dollars each, buying price {c} "
            "dollars each.",
            "Bought: {n} {item} at {c} dollars each. Sold: all, at {s} dollars each. Profit?",
            "If a {shop} pays {c} dollars each and takes {s} dollars each, then how much does it gain as profit "
            "with {n} {item}?",
            "{name} opens a {shop}. The price for buying is {c} dollars each, the price for selling is {s} "
            "dollars each, and {n} {item} are sold. What does {name} gain?",
            "A seller takes {s} dollars each from the people who buy. The seller had paid only {c} dollars each. "
            "Give the profit after {n} {item}.",
            "How much richer is {name} after {n} {item} were bought at {c} dollars each and sold again at {s} "
            "dollars each?",
            "{s} dollars each were paid to {name} for {item} that {name} had got at {c} dollars each. The number "
            "of {item} was {n}. Work out the profit.",
            "A farmer trades with {n} {item}. They are bought at {c} dollars each and leave the {shop} at {s} "
            "dollars each. What gain does this bring?",
            "With a buying price of {c} dollars each and a selling price of {s} dollars each, what is gained on "
            "{n} {item} in all?",
        ),
        unseen_wordings=(
            "Suppose {n} {item} are bought by {name} at {c} dollars each. All are sold again at {s} dollars each. "
            "How many dollars of profit is that?",
            "The {shop} of {name} sells {n} {item} at {s} dollars each, and it had bought them for {c} dollars each. "
            "Compute the profit.",
            "What is the profit of a {shop} that sold {item} for {s} dollars each, when {n} {item} were bought for "
            "{c} dollars each?",
        ),
        numbers={"n": (11, 300), "c": (11, 150), "s": (16, 250)},
        accept=lambda v: v["s"] > v["c"] + 1 and v["n"] not in (v["c"], v["s"]),
        steps=(
            Step(
                texts=(
                    "The profit on one is the selling price minus the buying price. We multiply by the number.",
                    "We subtract the two prices and multiply the difference by the number of {item}.",
                ),
                code="count = {n}\nbought = {c}\nsold = {s}\nprofit = count * (sold - bought)\nprofit",
            ),
        ),
        closings=("The profit is \\boxed{{result}} dollars.", "The profit comes to \\boxed{{result}} dollars."),
        answer=lambda v: v["n"] * v["s"] - v["n"] * v["c"],
    ),
    Family(
        name="bill_split",
        wordings=(
            "A dinner bill is {b} dollars. A tip of {t} percent is added, and {n} friends split it equally. "
            "How much does each pay?",
            "{n} friends split a dinner bill of {b} dollars equally, with a tip of {t} percent added. What does "
            "each pay?",
            "How much does each of {n} friends pay if a bill of {b} dollars plus a tip of {t} percent is split "
            "equally?",
            "With a tip of {t} percent, a bill of {b} dollars is split equally by {n} friends. Find the share of each.",
            "The bill at the restaurant comes to {b} dollars. The {n} friends add a tip of {t} percent and split the "
            "total. What is one share?",
            "Split a bill of {b} dollars with a {t} percent tip among {n} friends. How many dollars is it for each?",
            "A group of {n} friends adds a {t} percent tip to the bill of {b} dollars and splits everything equally. "
            "How much is each share?",
            "Find what each of {n} friends pays for a dinner of {b} dollars with a tip of {t} percent.",
            "A tip of {t} percent is given on a dinner of {b} dollars. The total is paid in equal parts by {n} "
            "friends. What does each pay?",
            "{name} and the others, {n} friends in all, had a dinner for {b} dollars. They gave {t} percent tip and "
            "split the total. How much did each pay?",
            "Compute the equal share of {n} friends in a dinner bill of {b} dollars when a tip of {t} percent "
            "is added.",
            "After dinner {n} friends get a bill of {b} dollars. A {t} percent tip goes on top. "
            "If the total is split equally, how much is it for each?",
            "Let {n} friends share a bill of {b} dollars and a tip of {t} percent equally. Work out what one of "
            "them pays.",
            "Determine the amount for each person: bill {b} dollars, tip {t} percent, {n} friends.",
            "Bill: {b} dollars. Tip: {t} percent. Friends: {n}. Amount for each?",
            "If the tip is {t} percent and {n} friends share all costs of a dinner for {b} dollars, then how much"
            " money does one friend give?",
            "The waiter brings a bill of {b} dollars. Everybody is happy, so {t} percent are added as a tip. How "
            "much does each of the {n} friends give?",
            "{n} friends sat at one table in {city}. They ate for {b} dollars and left a tip of {t} percent. All "
            "gave the same amount. Give this amount.",
            "How many dollars does {name} give as one of {n} friends who share a restaurant bill of {b} dollars "
            "with {t} percent for the tip?",
            "Everyone in a group of {n} friends pays the same. A tip of {t} percent comes on top of {b} dollars "
            "for the food. What does one person pay?",
            "A meal costs {b} dollars. On top of this comes a tip of {t} percent. The costs are shared by {n} "
            "friends, all alike. Work out the part of one friend.",
            "To the {b} dollars for their meal, a tip of {t} percent is added. What does it cost every one of {n}"
            " friends when they share fairly?",
        ),
        unseen_wordings=(
            "A restaurant bill of {b} dollars is paid equally by {n} friends, who give a tip of {t} percent on top. "
            "Find the share of each.",
            "If {n} friends add {t} percent tip to their dinner bill of {b} dollars, how many dollars must each pay?",
            "Dinner for {n} friends comes to {b} dollars, and the tip is {t} percent. The total is split equally. "
            "Compute one share.",
        ),
        numbers={"b": (300, 4000), "t": (11, 60), "n": (11, 99)},
        accept=_is_clear_share,
        steps=(
            Step(
                texts=(
                    "First we compute the tip, which is the given percent of the bill.",
                    "We start with the tip: the bill times the percent, over one hundred.",
                ),
                code="bill = {b}\npercent = {t}\ntip = bill * percent // 100\ntip",
            ),
            Step(
                texts=(
                    "The tip is {out1} dollars. We add it to the bill.",
                    "Now the tip of {out1} dollars goes on top of the bill.",
                ),
                code="total = bill + tip\ntotal",
            ),
            Step(
                texts=(
                    "The total of {out2} dollars is divided by the number of friends and rounded to cents.",
                    "At last we split {out2} dollars into equal shares and round to cents.",
                ),
                code="friends = {n}\nshare = round(total / friends, 2)\nshare",
            ),
        ),
        closings=("Each pays \\boxed{{result}} dollars.", "The share of each is \\boxed{{result}} dollars."),
        answer=lambda v: _decimal(_share_cents(v)),
    ),
    Family(
        name="earlier_salary",
        wordings=(
            "After a raise of {d} percent a {job} earns {p} dollars per month. What was the salary before the raise?",
            "{name} now earns {p} dollars per month after a raise of {d} percent. Find the salary before the raise.",
            "What did a {job} earn before a raise of {d} percent that made the salary {p} dollars?",
            "The salary of {name} grew by {d} percent and is now {p} dollars. How much was it before the raise?",
            "A raise of {d} percent brings the salary of a {job} to {p} dollars. Compute the salary before it.",
            "Now {p} dollars per month are paid to a {job}. Before the raise of {d} percent, what was the salary?",
        ),
        unseen_wordings=(
            "Find what {name} earned before the salary grew by {d} percent to {p} dollars.",
            "A {job} got a raise of {d} percent and now has a salary of {p} dollars. What was paid before the raise?",
            "How many dollars was the salary before a raise of {d} percent, if it is {p} dollars now?",
        ),
        numbers={"u": (11, 500), "d": (11, 99)},
        accept=lambda v: v["u"] * v["d"] % 2 == 0,
        derive=lambda v: {"p": v["u"] * (100 + v["d"]) // 2},
        steps=(
            Step(
                texts=(
                    "Let x be the earlier salary. Together with the raise it equals the salary of today.",
                    "We write an equation for the earlier salary x and solve it with sympy.",
                ),
                code=(
                    "from sympy import symbols, Eq, solve\n"
                    "salary = {p}\n"
                    "percent = {d}\n"
                    "x = symbols('x')\n"
                    "solve(Eq(x * (100 + percent) / 100, salary), x)[0]"
                ),
            ),
        ),
        closings=("The earlier salary was \\boxed{{result}} dollars.", "It was \\boxed{{result}} dollars before."),
        answer=lambda v: v["p"] * 100 // (100 + v["d"]),
        stage="base_only",
    ),
    Family(
        name="installments",
        wordings=(
            "A {goods} costs {p} dollars. {name} pays {d} dollars at once and the rest in {m} equal monthly payments. "
            "How much is each payment?",
            "How big is each of {m} equal monthly payments for a {goods} of {p} dollars, if {d} dollars are "
            "paid at once?",
            "{name} pays {d} dollars at once for a {goods} of {p} dollars. The rest is paid in {m} equal monthly "
            "payments. Find one payment.",
            "In {m} equal monthly payments {name} pays the rest of the price of {p} dollars, after {d} dollars at "
            "once. What is one payment?",
            "The price of a {goods} is {p} dollars, of which {d} dollars are paid at once. "
            "The rest is split into {m} equal monthly payments. What must be paid per month?",
        ),
        unseen_wordings=(
            "Paying {d} dollars at once, {name} buys a {goods} for {p} dollars and clears the rest in {m} equal "
            "monthly payments. Compute one monthly payment.",
            "What must {name} pay per month for a {goods} of {p} dollars, with {d} dollars paid at once and {m} equal "
            "monthly payments for the rest?",
            "The {shop} wants {d} dollars at once and then {m} equal monthly payments for a {goods}, {p} dollars in "
            "all. Find each payment.",
        ),
        numbers={"q": (11, 150), "d": (11, 900), "m": (11, 60)},
        accept=lambda v: v["q"] not in (v["d"], v["m"]),
        derive=lambda v: {"p": v["d"] + v["q"] * v["m"]},
        steps=(
            Step(
                texts=(
                    "First we find the rest by taking away what is paid at once.",
                    "The rest is the price minus the money that is paid at once.",
                ),
                code="price = {p}\nat_once = {d}\nrest = price - at_once\nrest",
            ),
            Step(
                texts=(
                    "The rest is {out1} dollars. We divide it by the number of months.",
                    "Now {out1} dollars are split into equal payments, one for every month.",
                ),
                code="months = {m}\npayment = rest // months\npayment",
            ),
        ),
        closings=("Each payment is \\boxed{{result}} dollars.", "\\boxed{{result}} dollars are paid per month."),
        answer=lambda v: v["q"],
        stage="base_only",
    ),
    Family(
        name="exchange_money",
        wordings=(
            "{name} changes {a} dollars into {coinage}. One dollar gives {b} {coinage}, and the bank keeps a fee of "
            "{c} {coinage}. How many {coinage} does {name} get?",
            "How many {coinage} does {name} get for {a} dollars at {b} {coinage} per dollar after a fee of "
            "{c} {coinage}?",
            "A bank gives {b} {coinage} per dollar and takes a fee of {c} {coinage}. {name} brings {a} dollars. "
            "Find how many {coinage} are paid out.",
            "After a fee of {c} {coinage}, what does {name} get for {a} dollars, if the rate is {b} {coinage} "
            "per dollar?",
            "The rate is {b} {coinage} per dollar. {a} dollars are changed, and {c} {coinage} are kept as a fee. "
            "What is paid out?",
        ),
        unseen_wordings=(
            "With a fee of {c} {coinage} and a rate of {b} {coinage} per dollar, how many {coinage} are paid for "
            "{a} dollars?",
            "In {city} {name} brings {a} dollars to the bank. It pays {b} {coinage} per dollar, less a fee of "
            "{c} {coinage}. How many {coinage} does {name} receive?",
            "Find the {coinage} that {name} gets: {a} dollars, {b} {coinage} per dollar, and a fee of {c} {coinage}.",
        ),
        numbers={"a": (11, 400), "b": (11, 150), "c": (11, 120)},
        accept=lambda v: len(set(v.values())) == 3,
        steps=(
            Step(
                texts=(
                    "We multiply the dollars by the rate and take away the fee of the bank.",
                    "The dollars times the rate give {coinage}. From these the fee is subtracted.",
                ),
                code="dollars = {a}\nrate = {b}\nfee = {c}\nreceived = dollars * rate - fee\nreceived",
            ),
        ),
        closings=("\\boxed{{result}} {coinage} are paid out.", "The bank pays \\boxed{{result}} {coinage}."),
        answer=lambda v: v["a"] * v["b"] - v["c"],
        stage="never",
    ),
)
