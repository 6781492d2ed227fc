"""Families about everyday life: shopping, sharing, packing, counting."""

from __future__ import annotations

from recipes.nano.family import Family, Step

FAMILIES = (
    Family(
        name="total_cost",
        wordings=(
            "{name} buys {a} {item} for {b} dollars each. How much does {name} pay?",
            "A {shop} sells {item} at {b} dollars each. {name} [buys|takes|orders] {a} {item}. What is the total cost?",
            "Each of the {a} {item} that {name} [bought|ordered] cost {b} dollars. How much did {name} spend in total?",
            "How much must {name} pay for {a} {item} if each costs {b} dollars?",
            "One of the {item} costs {b} dollars. Find the total price of {a} {item} for {name}.",
            "What is the [total cost|whole price] of {a} {item} at {b} dollars each that {name} buys in a {shop}?",
            "{a} {item} were bought by {name} at {b} dollars each. Find the total cost.",
            "The price is {b} dollars each, and {name} [needs|wants] {a} {item}. What does {name} pay in all?",
            "At {b} dollars each, how many dollars does {name} spend on {a} {item}?",
            "Compute the cost of the order: {name} orders {a} {item}, and each one is {b} dollars.",
            "In the {shop} {name} pays {b} dollars for each of {a} {item}. How many dollars is that altogether?",
            "{name} went to the {shop} on {day} and bought {a} {item}. Each cost {b} dollars. How much was the bill?",
            "The {item} cost {b} dollars each. {name} [takes|buys] {a} {item}. Find the sum that {name} pays.",
            "Let the price of one be {b} dollars. Work out the price of {a} {item}.",
            "Determine the [sum|amount] due: {a} {item}, all at the same price of {b} dollars each.",
            "If {name} must pay {b} dollars for every single one, then how many dollars will {a} {item} cost?",
            "Shopping list: {a} {item}. Unit price: {b} dollars. Total in dollars?",
            "Nobody gets a discount in the {shop}, so {name} pays the full {b} dollars for each. How much money "
            "goes for {a} {item}?",
            "The owner of a {shop} hands {a} {item} to {name} and asks {b} dollars for each one. [Work "
            "out|Determine] what {name} owes.",
            "Buying {a} {item} is expensive when each one costs {b} dollars. What amount must be paid?",
            "{b} dollars is the price of one. {name} puts {a} {item} into the basket. Give the total cost.",
            "How expensive are {a} {item} altogether, given that a single one costs {b} dollars?",
            "A class in {city} needs {a} {item}. The teacher finds them for {b} dollars each. What amount of "
            "money does the teacher spend?",
        ),
        unseen_wordings=(
            "For {a} {item} at a price of {b} dollars each, {name} pays at the {shop}. What does the purchase cost?",
            "Suppose every one of {a} {item} costs {b} dollars. What total must {name} spend to buy them all?",
            "{name} has to pay {b} dollars each for the {a} {item} in the bag. Find the bill in dollars.",
        ),
        numbers={"a": (11, 400), "b": (11, 250)},
        steps=(
            Step(
                texts=(
                    "The total cost is the number of {item} times the price of one.",
                    "We multiply the number of {item} by the price of each.",
                    "Every one of the {item} has the same price, so one product gives the total.",
                ),
                code="count = {a}\nprice = {b}\ntotal = count * price\ntotal",
            ),
        ),
        closings=("{name} pays \\boxed{{result}} dollars.", "The total cost is \\boxed{{result}} dollars."),
        answer=lambda v: v["a"] * v["b"],
    ),
    Family(
        name="two_purchases",
        wordings=(
            "{name} buys {a} {item} for {b} dollars each and {c} {item2} for {d} dollars each. What is the total cost?",
            "How much do {a} {item} at {b} dollars each and {c} {item2} at {d} dollars each cost together?",
            "A {shop} sells {a} {item} at {b} dollars each and also {c} {item2} at {d} dollars each. "
            "How much money does it take in?",
            "An order has two lines: {a} {item} at {b} dollars each, and {c} {item2} at {d} dollars each. Find "
            "the total.",
            "Find the whole bill for {a} {item}, {b} dollars each, together with {c} {item2}, {d} dollars each.",
            "{name} [took|bought] {a} {item}, each for {b} dollars. Then {name} [took|bought] {c} {item2}, "
            "each for {d} dollars. How much was spent in all?",
            "For a party, {name} pays {b} dollars for each of {a} {item} and {d} dollars for each of {c} {item2}. "
            "How many dollars is that together?",
            "What does {name} pay altogether: {b} dollars for each of {a} {item}, {d} dollars for each of {c} {item2}?",
            "The {item} cost {b} dollars each and the {item2} cost {d} dollars each. "
            "{name} wants {a} {item} and {c} {item2}. What will both cost together?",
            "A school orders {a} {item} and {c} {item2}. The {item} are {b} dollars each and the {item2} are "
            "{d} dollars each. What is the sum of the bill?",
            "Compute the price of {a} {item} and {c} {item2} if the {item} cost {b} dollars each and the {item2} "
            "{d} dollars each.",
            "On {day} {name} spent money on {a} {item} at {b} dollars each. On the next day {name} bought {c} {item2} "
            "at {d} dollars each. What was the total for both days?",
            "Let {a} {item} cost {b} dollars each and let {c} {item2} cost {d} dollars each. Work out the total "
            "amount.",
            "Determine the cost of everything: {c} {item2} at {d} dollars each, besides {a} {item} at {b} dollars"
            " each.",
            "Bill: {a} {item}, each {b} dollars; {c} {item2}, each {d} dollars. Sum in dollars?",
            "If one pays {b} dollars each for {a} {item} and {d} dollars each for {c} {item2}, then how large is "
            "the sum?",
            "Two kinds of goods are bought in a {shop}. First there are {a} {item}, and each costs {b} dollars. "
            "Then there are {c} {item2}, and each costs {d} dollars. What amount is due?",
            "How much money leaves the purse of {name} when {a} {item} are paid at {b} dollars each and {c} "
            "{item2} at {d} dollars each?",
            "Both {a} {item} and {c} {item2} were ordered by {name}. One pays {b} dollars each for the {item} but"
            " {d} dollars each for the {item2}. Work out the full cost.",
            "What is the value of a box with {a} {item}, worth {b} dollars each, and {c} {item2}, worth {d} "
            "dollars each?",
            "{name} brings {a} {item} for {b} dollars each. {name2} brings {c} {item2} for {d} dollars each. How "
            "many dollars did they spend altogether?",
            "Add up the costs of {a} {item} ({b} dollars each) and of {c} {item2} ({d} dollars each).",
        ),
        unseen_wordings=(
            "At the {shop} {a} {item} go into the basket at {b} dollars each, then {c} {item2} at {d} dollars each. "
            "What must be paid for everything?",
            "With {item} at {b} dollars each and {item2} at {d} dollars each, find the cost of {a} {item} plus "
            "{c} {item2}.",
            "Someone needs {a} {item}, which cost {b} dollars each, and {c} {item2}, which cost {d} dollars each. "
            "How much money is needed for both?",
        ),
        numbers={"a": (11, 200), "b": (11, 200), "c": (11, 200), "d": (11, 200)},
        accept=lambda v: len(set(v.values())) == 4,
        steps=(
            Step(
                texts=(
                    "First we find the cost of the {item}: their number times the price of one.",
                    "We begin with the {item} and multiply their number by their price.",
                ),
                code="count1 = {a}\nprice1 = {b}\ncost1 = count1 * price1\ncost1",
            ),
            Step(
                texts=(
                    "The {item} cost {out1} dollars. Now we find the cost of the {item2} in the same way.",
                    "That is {out1} dollars. Next come the {item2}: their number times their price.",
                ),
                code="count2 = {c}\nprice2 = {d}\ncost2 = count2 * price2\ncost2",
            ),
            Step(
                texts=(
                    "The {item2} cost {out2} dollars. The total is the sum of the two costs.",
                    "At last we add the cost of the {item} and the cost of the {item2}.",
                ),
                code="total = cost1 + cost2\ntotal",
            ),
        ),
        closings=("Together it costs \\boxed{{result}} dollars.", "The total is \\boxed{{result}} dollars."),
        answer=lambda v: v["a"] * v["b"] + v["c"] * v["d"],
    ),
    Family(
        name="fair_share",
        wordings=(
            "{name} has {a} bags with {b} {sweet} in each and shares all of them equally among {c} {group}. "
            "How many {sweet} does each get?",
            "There are {a} bags of {b} {sweet} each. They are shared equally by {c} {group}. "
            "[Find the share of one.|What does each receive?]",
            "How many {sweet} does each of {c} {group} get if {a} bags with {b} {sweet} each are shared equally?",
            "{c} {group} share {a} bags of {b} {sweet} equally. How many {sweet} go to each?",
            "{name} opens {a} bags. Each bag holds {b} {sweet}. All are divided equally among {c} {group}. "
            "What is the share of each?",
            "Divide the {sweet} from {a} bags, {b} {sweet} in each, equally among {c} {group}. How many are for one?",
            "Among {c} {group}, {name} wants to share {a} bags that hold {b} {sweet} each. Find the number for each.",
            "A school got {a} bags of {sweet} with {b} {sweet} in each bag. Its {c} {group} share them equally. "
            "How many does each receive?",
            "Each bag holds {b} {sweet}, and {name} has {a} bags. How many {sweet} does each of {c} {group} get "
            "in an equal share?",
            "Each of {c} {group} gets the same number of {sweet} from {a} bags with {b} {sweet} each. "
            "What is that number?",
            "If {b} {sweet} are in each bag, and {a} bags are shared by {c} {group}, what is the equal share?",
            "{c} {group} came to the party, where {name} shared {a} bags of {b} {sweet} equally. "
            "Compute how many {sweet} each got.",
            "Let {a} bags hold {b} {sweet} each. Work out the equal share for each of {c} {group}.",
            "Determine how many {sweet} one person gets when {c} {group} divide {a} bags of {b} {sweet} fairly.",
            "{a} bags, {b} {sweet} per bag, {c} {group}: how large is a fair share?",
            "If every bag contains {b} {sweet} and {c} {group} empty {a} bags together, then how many {sweet} are"
            " for each one?",
            "A teacher pours {a} bags into a bowl. There were {b} {sweet} inside each bag. Now {c} {group} take "
            "equal parts. How large is each part?",
            "Nobody among {c} {group} may get more than another. How many {sweet} can each take from {a} bags "
            "with {b} {sweet} inside each?",
            "The {c} {group} were given {a} bags. Inside each bag there are {b} {sweet}, and [nothing is left "
            "over|all are handed out]. Work out what one of them gets.",
            "What does every single one of {c} {group} get, given that {a} bags with {b} {sweet} apiece are split"
            " fairly?",
            "{name} buys {b} {sweet} in each of {a} bags for {c} {group}. All of the {group} take the same "
            "number. Give that number.",
            "Fairly split: the contents of {a} bags, each with {b} {sweet}, between {c} {group}. How many per person?",
        ),
        unseen_wordings=(
            "Equal shares are made for {c} {group} from {a} bags, every bag with {b} {sweet} in it. "
            "Find how many {sweet} one share has.",
            "On {day} {name} gives {a} bags, {b} {sweet} in each, to {c} {group}, the same to everyone. "
            "What does each of them receive?",
            "{name} bought {a} bags of {b} {sweet} and divides the {sweet} equally. There are {c} {group}. "
            "How many does each get?",
        ),
        numbers={"a": (11, 200), "b": (11, 300), "c": (11, 120)},
        accept=lambda v: v["a"] * v["b"] % v["c"] == 0 and v["c"] not in (v["a"], v["b"]),
        steps=(
            Step(
                texts=(
                    "First we count all the {sweet}: the number of bags times the number in each.",
                    "We find how many {sweet} there are by multiplying the bags by their contents.",
                ),
                code="bags = {a}\nin_bag = {b}\ntotal = bags * in_bag\ntotal",
            ),
            Step(
                texts=(
                    "There are {out1} {sweet}. We divide them by the number of {group}.",
                    "Now the {out1} {sweet} are split into equal shares, one for each of the {group}.",
                ),
                code="people = {c}\nshare = total // people\nshare",
            ),
        ),
        closings=("Each gets \\boxed{{result}} {sweet}.", "The share of each is \\boxed{{result}} {sweet}."),
        answer=lambda v: v["a"] * v["b"] // v["c"],
    ),
    Family(
        name="packing_left_over",
        wordings=(
            "{name} packs {n} {sweet} into boxes of {k}. How many {sweet} are left over?",
            "A worker fills boxes with {k} {sweet} each until [fewer than one box remains|no full box is possible]. "
            "There were {n} {sweet}. How many are left over?",
            "{n} {sweet} are packed in full boxes that hold {k} each. Find the number left over.",
            "How many of {n} {sweet} remain unpacked when each full box holds {k} {sweet}?",
            "Each box holds {k} {sweet}. {name} has {n} {sweet} and fills as many boxes as possible. "
            "What number of {sweet} is left over?",
            "Boxes of {k} {sweet} are made from {n} {sweet}. How many {sweet} do not fit into a full box?",
            "What is left over after {name} puts {n} {sweet} into full boxes of {k} {sweet}?",
            "Find how many {sweet} remain when {n} {sweet} are packed, {k} to a box.",
            "Only full boxes are sold, and a full box has {k} {sweet}. {name} made {n} {sweet}. "
            "How many {sweet} remain unsold?",
            "In the factory {n} {sweet} came off the line. Packing them {k} to a box, how many are left over?",
            "With {n} {sweet} and boxes that take {k} each, {name} fills every box completely. How many remain?",
            "{name} must pack {k} {sweet} in every box. From {n} {sweet}, how many are left without a full box?",
            "Let a box hold exactly {k} {sweet}. Work out how many of {n} {sweet} stay outside the full boxes.",
            "Determine the remainder when {n} {sweet} are put into boxes of {k} each.",
            "Stock: {n} {sweet}. Size of a box: {k} {sweet}. Only full boxes count. How many are over?",
            "If {name} ties {n} {sweet} into packs of {k} each, then how many {sweet} will be left at the end?",
            "{k} {sweet} make one full box. How many {sweet} are still on the table after {name} has packed all "
            "the full boxes out of {n} {sweet}?",
            "A machine puts {k} {sweet} into every box and stops when it cannot fill another. It began with {n} "
            "{sweet}. What rest is left in the machine?",
            "The last {sweet} are not enough for a box of {k}. How many are they, if there were {n} {sweet} at first?",
            "After all possible boxes were filled with {k} {sweet} each, some of the {n} {sweet} were still "
            "there. Give their number.",
            "What is the rest if a pile of {n} {sweet} is sorted into groups of {k}?",
            "{name} counts {n} {sweet} and takes away {k} at a time, as often as possible. How many {sweet} are "
            "left then?",
        ),
        unseen_wordings=(
            "From a heap of {n} {sweet}, full boxes of {k} each are packed. What remains of the heap at the end?",
            "Suppose {name} fills one box after another with {k} {sweet} each. "
            "Out of {n} {sweet}, how many are left over?",
            "Boxes take {k} {sweet} each. Find the rest that remains unpacked when {n} {sweet} go into full boxes.",
        ),
        numbers={"n": (400, 3000), "k": (17, 199)},
        accept=lambda v: v["n"] % v["k"] > 1,
        steps=(
            Step(
                texts=(
                    "What is left over is the remainder when the {sweet} are divided into full boxes.",
                    "The remainder of the division by the size of a box tells what remains.",
                ),
                code="total = {n}\nper_box = {k}\nleft = total % per_box\nleft",
            ),
        ),
        closings=("There are \\boxed{{result}} {sweet} left over.", "The number left over is \\boxed{{result}}."),
        answer=lambda v: v["n"] - v["n"] // v["k"] * v["k"],
    ),
    Family(
        name="buses_needed",
        wordings=(
            "{n} {group} go on a trip. Each bus has {k} seats. How many buses are needed?",
            "How many buses with {k} seats each are needed for {n} {group}?",
            "A school takes {n} {group} to {city} in buses of {k} seats. Find the [smallest|least] number of buses.",
            "Each bus seats {k}. What is the smallest number of buses for a trip of {n} {group}?",
            "{name} must order buses for {n} {group}. A bus has {k} seats. How many must be ordered?",
            "Buses with {k} seats take {n} {group} to the {place}. How many buses does it take for all of them?",
            "Find how many buses are needed so that all {n} {group} have a seat, with {k} seats in each bus.",
            "All {n} {group} want to ride to {city}, and one bus has room for {k}. How many buses will be needed?",
            "There is room for {k} in one bus. At least how many buses must {name} order for {n} {group}?",
            "On {day} {n} {group} will travel by bus. {k} seats are in each. Compute the number of buses needed.",
            "What number of buses is needed to carry {n} {group} if no bus holds more than {k}?",
            "No bus may carry more than {k}. A group of {n} {group} is waiting. How many buses must come?",
            "Let one bus carry {k} people. Work out how many buses {n} {group} must have.",
            "Determine the least number of buses for {n} {group} when every bus has {k} places.",
            "People: {n} {group}. Seats per bus: {k}. Buses?",
            "If at most {k} people fit into a bus, then how many buses are required to bring all {n} {group} to "
            "{city}?",
            "A bus company sends buses with {k} seats each. All of the {n} {group} must sit. How many buses does "
            "the company send?",
            "Nobody may stand. {name} wants a seat for each of {n} {group}, and a bus offers {k} seats. How many "
            "buses must {name} rent?",
            "Every bus is filled with {k} people before the next one starts. How many buses leave in all when {n}"
            " {group} are waiting?",
            "A visit to the {place} is planned for {n} {group}. The buses that are rented have {k} seats each. "
            "Give the smallest number of buses that is enough.",
            "How many times must buses of {k} seats be ordered so that none of {n} {group} stays at home?",
            "{k} people can sit in a bus, and {n} {group} would like to come along. Work out the number of buses.",
        ),
        unseen_wordings=(
            "For the trip to {city} {name} counts {n} {group}, and a bus has {k} seats. How many buses must be there?",
            "With {k} seats in every bus, find the least number of buses that carry {n} {group}.",
            "The {n} {group} all travel together in several buses, {k} seats each. At least how many buses is that?",
        ),
        numbers={"n": (400, 3000), "k": (17, 120)},
        accept=lambda v: v["n"] % v["k"] > 0,
        steps=(
            Step(
                texts=(
                    "We divide the number of {group} by the seats of a bus and round up.",
                    "A bus that is not full is also needed, so the quotient is rounded up.",
                ),
                code="from math import ceil\npeople = {n}\nseats = {k}\nbuses = ceil(people / seats)\nbuses",
            ),
        ),
        closings=("\\boxed{{result}} buses are needed.", "The number of buses is \\boxed{{result}}."),
        answer=lambda v: -(-v["n"] // v["k"]),
    ),
    Family(
        name="boxes_and_loose",
        wordings=(
            "{name} has {a} crates with {b} {item} in each and {c} loose {item}. How many {item} are there in all?",
            "There are {c} loose {item} and {a} crates of {b} {item} each. Find the number of all {item}.",
            "How many {item} does {name} have: {a} crates with {b} each, and {c} loose ones?",
            "In the {place} stand {a} crates. Each crate holds {b} {item}. Another {c} {item} lie loose on the floor. "
            "What is the total number of {item}?",
            "Each crate holds {b} {item}. {name} counts {a} full crates and {c} loose {item}. "
            "How many {item} is that altogether?",
            "Count the {item}: {c} are loose, and {a} crates hold {b} each.",
            "A truck brings {a} crates of {b} {item}. {c} more {item} come loose. How many {item} come in all?",
            "Besides {c} loose {item}, {name} owns {a} crates with {b} {item} in each. What is the total?",
            "What is the total number of {item} in {a} crates of {b} each, together with {c} loose {item}?",
            "{a} crates were filled with {b} {item} each, and {c} {item} were left loose. "
            "How many {item} were there in total?",
            "With {b} {item} in each of {a} crates and {c} loose {item}, how many {item} are there?",
            "A {shop} got {c} loose {item} on {day} and {a} crates that hold {b} {item} each. How many did it get?",
            "Let {a} crates contain {b} {item} each. Work out the sum when {c} loose {item} are added.",
            "Determine how many {item} there are in all: {a} full crates, {b} {item} per crate, and {c} loose ones.",
            "Stock list: {c} loose {item}; {a} crates, each with {b} {item}. Total number?",
            "If every crate is packed with {b} {item} and there are {a} crates as well as {c} loose {item}, then "
            "how many {item} can be counted?",
            "{name} opens {a} crates and finds {b} {item} inside each. Then {name} puts {c} loose {item} with "
            "them. How large is the pile now?",
            "Only {c} {item} are loose. The others are in {a} crates that contain {b} apiece. Give the number of "
            "all {item}.",
            "How large is the stock of a {shop} with {a} crates, each full of {b} {item}, plus {c} {item} lying loose?",
            "The workers loaded {b} {item} into each of {a} crates, but {c} {item} did not fit and stayed loose. "
            "Work out how many {item} they had.",
            "To the {item} from {a} crates, {b} in each, come {c} loose ones. What sum does this make?",
            "A count in the {place} gives {c} loose {item} and also {a} crates. One crate has {b} {item} inside. "
            "How many {item} are that altogether?",
        ),
        unseen_wordings=(
            "Find how many {item} stand in the {place} if {a} crates hold {b} {item} each and {c} more are loose.",
            "The {c} loose {item} are counted first. Then come {a} crates, each with {b} {item}. What is the count?",
            "{name} filled {a} crates, putting {b} {item} in each, and still has {c} loose {item}. "
            "How many {item} does {name} have in all?",
        ),
        numbers={"a": (11, 199), "b": (11, 300), "c": (11, 600)},
        words={"item": "sweet"},
        steps=(
            Step(
                texts=(
                    "We multiply the crates by what each of them holds and add the loose {item}.",
                    "The total is the number in the crates plus the number of loose {item}.",
                ),
                code="crates = {a}\nin_crate = {b}\nloose = {c}\ntotal = crates * in_crate + loose\ntotal",
            ),
        ),
        closings=("There are \\boxed{{result}} {item} in all.", "The total is \\boxed{{result}} {item}."),
        answer=lambda v: v["a"] * v["b"] + v["c"],
    ),
    Family(
        name="adult_tickets",
        wordings=(
            "{n} people went to a {event}. An adult ticket cost {a} dollars and a child ticket {b} dollars. "
            "Together they paid {t} dollars. How many adults were there?",
            "How many adults came to the {event} if {n} people paid {t} dollars in all, with adult tickets at {a} "
            "dollars and child tickets at {b} dollars?",
            "Tickets for a {event} cost {a} dollars per adult and {b} dollars per child. A group of {n} people paid "
            "{t} dollars in total. Find the number of adults.",
            "A group of {n} people, adults and children, paid {t} dollars for a {event}. Each child paid {b} dollars "
            "and each adult paid {a} dollars. How many adults were in the group?",
            "{t} dollars were taken in total from {n} people at the {event}. The adult price was {a} dollars, the "
            "child price {b} dollars. Find how many adults came.",
            "At the {event} a child pays {b} dollars and an adult pays {a} dollars. From {n} people, {t} dollars came "
            "in altogether. What is the number of adults?",
            "Find the number of adults among {n} people who paid {t} dollars in total for a {event}, where adult "
            "tickets are {a} dollars and child tickets are {b} dollars.",
            "With {a} dollars per adult and {b} dollars per child, a {event} sold {n} tickets for {t} dollars in all. "
            "How many adult tickets were sold?",
            "A {event} sold {n} tickets and took in {t} dollars in total. Adult tickets cost {a} dollars, child "
            "tickets {b} dollars. How many adult tickets were sold?",
            "Child tickets for the {event} are {b} dollars, adult tickets are {a} dollars. {name} sold {n} tickets on "
            "{day} and took in {t} dollars in all. How many were adult tickets?",
            "Of {n} people at the {event}, each adult paid {a} dollars and each child {b} dollars, which made {t} "
            "dollars in all. How many adults were there?",
            "Compute how many adult tickets {name} sold: {n} tickets in all, {t} dollars in total, {a} dollars per "
            "adult, {b} dollars per child.",
            "Let an adult pay {a} dollars and a child {b} dollars. Altogether {n} people pay {t} dollars. Work "
            "out how many of them are adults.",
            "Determine the number of adults at a {event}: {n} visitors, {t} dollars in total, {a} dollars for an "
            "adult, {b} dollars for a child.",
            "Visitors: {n}. Money: {t} dollars in all. Adult price: {a} dollars. Child price: {b} dollars. Adults?",
            "If {n} tickets bring {t} dollars in all, and one pays {b} dollars for a child but {a} dollars for an"
            " adult, then how many adults are there?",
            "The money from the {event} was counted and came to {t} dollars in all. Every adult had paid {a} "
            "dollars, every child {b} dollars. There were {n} visitors. How many of these were adults?",
            "Nobody came to the {event} for free. Children paid {b} dollars each, adults paid {a} dollars each, "
            "and all {n} visitors together paid {t} dollars. How many adults did {name} see?",
            "How many of the {n} tickets were for adults when the tickets cost {a} dollars for adults and {b} "
            "dollars for children and {t} dollars were paid in total?",
            "Give the number of adult visitors, knowing that {t} dollars in total were paid by {n} visitors, with"
            " {b} dollars for each child and {a} dollars for each adult.",
            "A {event} in {city} has two prices, {b} dollars for children and {a} dollars for adults. Its {n} "
            "visitors pay a sum of {t} dollars. Work out how many adults are among them.",
            "{name} sells tickets for {a} dollars to adults and for {b} dollars to children. After {n} tickets "
            "there are {t} dollars in the box. How many times was an adult ticket sold?",
        ),
        unseen_wordings=(
            "The {event} took in {t} dollars in total. {n} people came, and each adult paid {a} dollars while each "
            "child paid {b} dollars. What is the number of adults?",
            "An adult ticket to the {event} is {a} dollars and a child ticket is {b} dollars. If {name} sold {n} "
            "tickets and got {t} dollars altogether, how many adult tickets were there?",
            "Adults and children, {n} people together, visit a {event} for {t} dollars in all. It is {b} dollars per "
            "child and {a} dollars per adult. Find the number of adults.",
        ),
        numbers={"x": (11, 600), "y": (11, 600), "a": (21, 150), "b": (11, 99)},
        accept=lambda v: v["a"] > v["b"] + 2 and v["x"] not in (v["a"], v["b"]),
        derive=lambda v: {"n": v["x"] + v["y"], "t": v["a"] * v["x"] + v["b"] * v["y"]},
        steps=(
            Step(
                texts=(
                    "If all of them were children, they would pay the number of people times the child price.",
                    "First we suppose that everyone had a child ticket and find what they would pay.",
                ),
                code="people = {n}\nadult = {a}\nchild = {b}\npaid_as_children = people * child\npaid_as_children",
            ),
            Step(
                texts=(
                    "What was paid beyond {out1} comes from the adults, who each pay the difference more.",
                    "Each adult adds the difference of the two prices, so we divide the rest by it.",
                ),
                code="total = {t}\nadults = (total - paid_as_children) // (adult - child)\nadults",
            ),
        ),
        closings=("There were \\boxed{{result}} adults.", "The number of adults is \\boxed{{result}}."),
        answer=lambda v: v["x"],
    ),
    Family(
        name="heads_and_legs",
        wordings=(
            "A farm has {bird} and {beast}, together {h} heads and {l} legs. How many {beast} are there?",
            "On a farm live {bird} with two legs and {beast} with four legs. {name} counts {h} heads and {l} legs. "
            "How many {beast} live there?",
            "How many {beast} are among {h} animals with {l} legs, if the rest are {bird}?",
            "There are {h} animals on the farm, {bird} and {beast}, with {l} legs in all. Find the number of {beast}.",
            "{name} keeps {beast} and {bird}. The animals have {l} legs and {h} heads. How many {beast} does "
            "{name} keep?",
            "Count the {beast}: in a field stand {h} animals, all {bird} or {beast}, on {l} legs.",
            "Find how many {beast} {name} has if the {bird} and {beast} have {h} heads and {l} legs together.",
            "{l} legs and {h} heads belong to the {bird} and {beast} of a farmer. What is the number of {beast}?",
            "The {bird} and {beast} in a barn have {l} legs in total, and there are {h} heads. How many are {beast}?",
            "A farmer sees {l} legs of {bird} and {beast} under the fence and {h} heads above it. "
            "How many {beast} are there?",
            "If {bird} and {beast} together make {h} heads and {l} legs, what is the number of {beast}?",
            "In a barn there are {h} heads. The {beast} and {bird} there stand on {l} legs. Compute the number "
            "of {beast}.",
            "Let a farm have only {bird} and {beast}, with {l} legs and {h} heads in all. Work out how many "
            "{beast} it has.",
            "Determine how many animals are {beast} when {h} heads and {l} legs of {beast} and {bird} are counted.",
            "Heads: {h}. Legs: {l}. Animals: {bird} and {beast}. How many {beast}?",
            "If every one of {h} animals is one of the {bird} or one of the {beast}, and they walk on {l} legs, "
            "then how many {beast} are there?",
            "{name} looks over the wall and sees {h} heads. Below the wall there are {l} legs. The animals are "
            "{bird} and {beast}. Give the number of {beast}.",
            "Some {bird} and some {beast} stand in a garden. {l} legs can be counted there, but only {h} heads. "
            "How many of the animals are {beast}?",
            "The {beast} have four legs each and the {bird} have two legs each. There are {h} heads and {l} legs "
            "altogether. How many {beast} must there be?",
            "How many {beast} does a farmer feed whose {bird} and {beast} have {l} legs and {h} heads altogether?",
            "A truck carries {h} animals to the market. They are {beast} and {bird} and have {l} legs. Work out "
            "the number of {beast} in the truck.",
            "Knowing that the {beast} and {bird} of {name} have {l} legs in all and {h} heads, say how many "
            "{beast} there are.",
        ),
        unseen_wordings=(
            "A farmer keeps only {bird} and {beast}. Counting gives {l} legs and {h} heads. Find how many "
            "{beast} he has.",
            "What number of {beast} does {name} own, if {h} heads and {l} legs are counted among the {beast} "
            "and {bird}?",
            "Together the {h} animals of the farm stand on {l} legs. They are {beast} and {bird}. How many are "
            "{beast}?",
        ),
        numbers={"x": (11, 900), "y": (11, 900)},
        derive=lambda v: {"h": v["x"] + v["y"], "l": 4 * v["x"] + 2 * v["y"]},
        steps=(
            Step(
                texts=(
                    "Let x be the number of {beast}. They have four legs, the {bird} two. We solve for x.",
                    "We write x for the {beast}, so the {bird} are the rest, and count the legs.",
                ),
                code=(
                    "from sympy import symbols, solve\n"
                    "heads = {h}\n"
                    "legs = {l}\n"
                    "x = symbols('x')\n"
                    "solve(4*x + 2*(heads - x) - legs, x)[0]"
                ),
            ),
        ),
        closings=("There are \\boxed{{result}} {beast}.", "The number of {beast} is \\boxed{{result}}."),
        answer=lambda v: v["x"],
    ),
    Family(
        name="outfits",
        wordings=(
            "{name} has {a} shirts, {b} pairs of shoes and {c} hats. How many different outfits are possible?",
            "How many outfits can {name} make from {a} shirts, {b} pairs of shoes and {c} hats, one of each?",
            "An outfit is one shirt, one pair of shoes and one hat. There are {a} shirts, {b} pairs of shoes and "
            "{c} hats. Find the number of outfits.",
            "A theater owns {c} hats, {a} shirts and {b} pairs of shoes. In how many ways can an actor dress with one "
            "of each?",
            "Find the number of ways to choose a shirt, a hat and a pair of shoes from {a} shirts, {c} hats and "
            "{b} pairs of shoes.",
            "In how many ways can {name} dress with one of {a} shirts, one of {b} pairs of shoes and one of {c} hats?",
            "{b} pairs of shoes, {a} shirts and {c} hats are in the closet. How many different outfits do they give?",
            "There are {c} hats to choose from, also {b} pairs of shoes and {a} shirts. How many outfits can be made?",
            "From {a} shirts, {c} hats and {b} pairs of shoes {name} picks one each. How many choices are there?",
            "Count the outfits of one hat, one shirt and one pair of shoes, given {c} hats, {a} shirts and "
            "{b} pairs of shoes.",
            "A {shop} shows {a} shirts, {b} pairs of shoes and {c} hats. What is the number of different outfits with "
            "one of each?",
            "Every day {name} wears a shirt, shoes and a hat. With {a} shirts, {b} pairs of shoes and {c} hats, how "
            "many days can pass without the same outfit twice?",
            "Let a closet contain {b} pairs of shoes, {c} hats and {a} shirts. Work out in how many ways one of "
            "each can be worn.",
            "Determine the number of combinations of one shirt, one hat and one pair of shoes: {a} shirts, {c} "
            "hats, {b} pairs of shoes.",
            "Hats: {c}. Shirts: {a}. Pairs of shoes: {b}. How many outfits?",
            "If an actor takes one of {c} hats, one of {b} pairs of shoes and one of {a} shirts, then how many "
            "different looks are possible?",
            "{name} packs {b} pairs of shoes, {c} hats and {a} shirts for a trip. Each outfit takes one of each "
            "kind. How many outfits does {name} have?",
            "{a} different shirts can be combined with {b} different pairs of shoes and {c} different hats. Give "
            "the number of all combinations.",
            "A doll comes with {c} hats, {a} shirts and {b} pairs of shoes. In how many different ways can {name}"
            " dress the doll?",
            "How many combinations does {name} have, with {b} pairs of shoes below, {a} shirts to put on and {c} "
            "hats on top?",
            "A photo needs a person with a hat, a shirt and shoes. {c} hats, {b} pairs of shoes and {a} shirts "
            "are ready. How many different photos can be taken?",
            "First {name} chooses one of {a} shirts. Next comes one of {c} hats, and last one of {b} pairs of "
            "shoes. Work out how many choices are possible.",
        ),
        unseen_wordings=(
            "The closet of {name} holds {c} hats, {b} pairs of shoes and {a} shirts. "
            "Find how many outfits with one of each are possible.",
            "To dress, an actor chooses among {a} shirts, {b} pairs of shoes and {c} hats. "
            "What is the number of different outfits?",
            "How many ways are there to choose one of {c} hats, one of {a} shirts and one of {b} pairs of shoes?",
        ),
        numbers={"a": (11, 150), "b": (11, 99), "c": (11, 99)},
        accept=lambda v: len(set(v.values())) == 3,
        steps=(
            Step(
                texts=(
                    "Every shirt goes with every pair of shoes and every hat, so we multiply the three numbers.",
                    "The choices are independent of each other. Their numbers are multiplied.",
                ),
                code="shirts = {a}\nshoes = {b}\nhats = {c}\noutfits = shirts * shoes * hats\noutfits",
            ),
        ),
        closings=("There are \\boxed{{result}} different outfits.", "The number of outfits is \\boxed{{result}}."),
        answer=lambda v: v["a"] * v["b"] * v["c"],
    ),
    Family(
        name="more_than_total",
        wordings=(
            "{name} has {a} {sweet}. {name2} has {b} more {sweet} than {name}. How many {sweet} do they have together?",
            "How many {sweet} do {name} and {name2} own together if {name} owns {a} and {name2} owns {b} more "
            "than {name}?",
            "{name} collected {a} {sweet}, and {name2} collected {b} more than {name}. Find the total for both.",
            "With {b} more {sweet} than {name}, {name2} has the larger collection. The collection of {name} has {a} "
            "{sweet}. What is the number of {sweet} in both collections?",
            "There are {a} {sweet} in the box of {name}. In the box of {name2} there are {b} more. "
            "How many are in both boxes?",
            "Find how many {sweet} {name} and {name2} have in all: {name} has {a}, and {name2} has {b} more.",
        ),
        unseen_wordings=(
            "{name2} counts {b} more {sweet} than {name}, who counts {a}. How many {sweet} are there for both "
            "together?",
            "What is the total if {name} has {a} {sweet} in a bag, and {name2} has {b} more in another bag?",
            "Together, how many {sweet} were collected by {name}, who found {a}, and by {name2}, who found {b} more?",
        ),
        numbers={"a": (11, 900), "b": (11, 400)},
        steps=(
            Step(
                texts=(
                    "First we find how many {sweet} the second one has, by adding the difference.",
                    "The second collection is larger by the given number, so we add it.",
                ),
                code="first = {a}\nmore = {b}\nsecond = first + more\nsecond",
            ),
            Step(
                texts=(
                    "The second has {out1} {sweet}. We add both numbers to find the total.",
                    "Now we add the first collection and the second one, which has {out1}.",
                ),
                code="total = first + second\ntotal",
            ),
        ),
        closings=("Together they have \\boxed{{result}} {sweet}.", "The total is \\boxed{{result}} {sweet}."),
        answer=lambda v: 2 * v["a"] + v["b"],
        stage="base_only",
    ),
)
