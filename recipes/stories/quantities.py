"""Worlds of measures and money: decimals, rates, rows, percent, numbers that must be rounded."""

from __future__ import annotations

from recipes.stories.words import CONTAINERS, PEOPLE
from recipes.stories.world import Ask, Draw, World, world

# What a world says is easier to read a line a fact.
# fmt: off


@world
def bill(d: Draw) -> World:
    """Prices in dollars and cents: summed, multiplied, taken from what there is."""
    n, t, u, v = d.person(), d.thing(), d.thing(), d.thing()
    p, q, r, k, he = d.decimal(1, 30), d.decimal(1, 30), d.decimal(1, 30), d.small(2, 9), n.he.lower()
    have, lot = 10 * d.rng.randint(3, 10), d.small(2, 6)
    facts = {
        "two": (f"{n.name} spent {p} dollars on {t.many} and {q} dollars on {u.many}.", f"{n.name} bought a {t.one} for {p} dollars and a {u.one} for {q} dollars.", f"{n.name} purchased a {t.one} for {p} dollars, and a {u.one} for {q} dollars."),
        "third": (f"A {v.one} cost {n.him} {r} dollars.", f"{n.he} also paid {r} dollars for {v.many}."),
        "each": (f"Each {t.one} costs {p} dollars.", f"A {t.one} costs {p} dollars.", f"{t.many.capitalize()} cost {p} dollars each."), "buys": (f"{n.name} buys {k} {t.many}.", f"{n.name} pays for {k} {t.many}."),
        "have": (f"{n.name} had {have} dollars.", f"{n.name} paid with {have} dollars."),
        "set": (f"At the store you can buy {lot} {t.many} for {p * lot} dollars.", f"{lot} {t.many} cost {p * lot} dollars."),
        "found": (f"{n.he} found {d.small(2, 9)} coins on the way.", f"{n.he} has {d.small(2, 9)} {v.many} already."),
    }
    asks = [
        Ask("two", "found", (f"How much did {n.name} spend in all?", "What was the total cost?", f"How much money did {he} spend?"), ((f"{t.many} cost", p), (f"{u.many} cost", q)), f"{t.many} cost + {u.many} cost", f"{p} and {q} dollars together, so add."),
        Ask("two third", "", (f"What was the total cost of what {n.name} bought?", f"How much did {n.name} spend in all?", f"In total, how much did {he} pay?"), ((f"{t.many} cost", p), (f"{u.many} cost", q), (f"{v.many} cost", r)), f"{t.many} cost + {u.many} cost + {v.many} cost", f"{p}, {q} and {r} dollars together, so add."),
        Ask("each buys", "found", (f"How much must {n.name} pay?", f"How much does {he} pay in all?"), ((f"price of a {t.one}", p), (t.many, k)), f"price of a {t.one} * {t.many}", f"{k} {t.many} at {p} dollars each, so multiply."),
        Ask("set", "", (f"How much would it cost to buy {k} {t.many}?", f"How much do {k} {t.many} cost?"), (("dollars", p * lot), ("number", lot), (t.many, k)), f"dollars / number * {t.many}", f"{lot} {t.many} cost {p * lot} dollars, so divide for one and multiply by {k}."),
    ]
    if p < have:
        asks.append(Ask("have each", "", (f"{n.name} buys one {t.one}. How much change does {he} get?", f"How much is left after buying one {t.one}?"), (("had", have), (f"price of a {t.one}", p)), f"had - price of a {t.one}", f"{p} of the {have} dollars are spent, so subtract."))
    return World(facts, tuple(asks))


@world
def weights(d: Draw) -> World:
    """Weights, lengths, volumes and rain with decimals: together, and how much more."""
    n = d.person()
    a, b, c, z = d.decimal(0, 9), d.decimal(0, 9), d.decimal(0, 9), d.small(2, 9)
    b += b == a
    unit, one, two, was = d.rng.choice([("pounds", "blue ball", "brown ball", "weighs"), ("inches", "long stick", "painted stick", "measures"), ("liters", "big pot", "small pot", "holds"), ("gallons", "first tank", "second tank", "holds"), ("miles", "morning walk", "evening walk", "takes"), ("kilograms", "bag of rice", "bag of flour", "weighs"), ("inches", "rain on Monday", "rain on Tuesday", "measures"), ("cups", "bowl of sugar", "bowl of oats", "holds")])
    hi, lo = ((a, one), (b, two)) if a > b else ((b, two), (a, one))
    facts = {
        "both": (f"The {one} {was} {a} {unit} and the {two} {b} {unit}.", f"The {one} {was} {a} {unit}. The {two} {was} {b} {unit}."),
        "eat": (f"{n.name} used {a} {unit} on Friday and {b} {unit} on Saturday.", f"{n.name} used {a} {unit} of it on Friday night and {b} {unit} on Saturday night."), "more": (f"On Sunday {n.he.lower()} used {c} {unit}.",),
        "there": (f"There are {a} {unit} of water in a tank.", f"A tank holds {a} {unit} of water."), "add": (f"{n.name} adds {b} {unit} more.", f"{n.name} pours in {b} {unit}."),
        "piece": (f"{n.name} has {hi[0]} {unit} of it.", f"There were {hi[0]} {unit} of it."), "cut": (f"{n.he} uses {lo[0]} {unit}.", f"{lo[0]} {unit} were used."),
        "other": (f"{n.name} is {z + 6} years old.", f"{n.name} has {z} more of them."),
    }
    return World(facts, (
        Ask("both", "other", (f"How many {unit} is that in all?", f"How many {unit} are both together?"), ((one, a), (two, b)), f"{one} + {two}", f"{a} and {b} {unit} together, so add."),
        Ask("both", "other", (f"How many {unit} more is the {hi[1]} than the {lo[1]}?", f"By how many {unit} do they differ?", "What is the difference?"), ((hi[1], hi[0]), (lo[1], lo[0])), f"{hi[1]} - {lo[1]}", f"Compare {hi[0]} {unit} with {lo[0]}, so subtract."),
        Ask("eat", "", (f"How many {unit} did {n.name} use in all?",), (("Friday", a), ("Saturday", b)), "Friday + Saturday", f"{a} and {b} {unit} together, so add."),
        Ask("eat more", "", (f"How many {unit} is that in all?", f"How many {unit} did {n.name} use?"), (("Friday", a), ("Saturday", b), ("Sunday", c)), "Friday + Saturday + Sunday", f"{a}, {b} and {c} {unit} together, so add."),
        Ask("there add", "", (f"How many {unit} will there be in all?", f"How many {unit} of water are in the tank then?"), ((f"{unit} there", a), ("added", b)), f"{unit} there + added", f"{b} {unit} come to the {a}, so add."),
        Ask("piece cut", "other", (f"How many {unit} are left?",), ((f"{unit} at first", hi[0]), ("used", lo[0])), f"{unit} at first - used", f"{lo[0]} of the {hi[0]} {unit} are used, so subtract."),
    ))


@world
def speed(d: Draw) -> World:
    """Distance, time and speed; pay and hours."""
    n = d.person()
    v, h, z = d.small(2, 60), d.small(2, 12), d.small(2, 30)
    did, do, unit = d.rng.choice([("walked", "walk", "miles"), ("jogged", "jog", "kilometers"), ("drove", "drive", "miles"), ("biked", "bike", "kilometers"), ("ran", "run", "miles"), ("sailed", "sail", "miles"), ("skated", "skate", "kilometers")])
    he, his = n.he.lower(), n.his.lower()
    pay = d.decimal(5, 20) if d.rng.random() < 0.3 else d.small(5, 30)
    facts = {
        "far": (f"{n.name} {did} {v * h} {unit}.", f"{n.name} {did} {v * h} {unit} to {his} friend's house."), "at": (f"{n.his} speed was {v} {unit} per hour.", f"{n.he} went at {v} {unit} per hour."),
        "both": (f"{n.name} {did} {v * h} {unit} at {v} {unit} per hour.",), "took": (f"It took {n.him} {h} hours.", f"{n.he} needed {h} hours to get there."),
        "for": (f"{n.name} {did} at {v} {unit} per hour for {h} hours.", f"{n.name} {did} for {h} hours at {v} {unit} an hour."),
        "pay": (f"{n.name} earns {pay} dollars per hour.", f"{n.name} is paid {pay} dollars for each hour."), "works": (f"{n.he} works {h} hours.", f"This week {he} worked {h} hours."),
        "earned": (f"{n.name} earned {v * h} dollars.", f"{n.name} was paid {v * h} dollars for {his} work."), "rate": (f"{n.he} earns {v} dollars an hour.", f"{n.he} gets {v} dollars per hour."),
        "other": (f"{n.he} is {z + 5} years old.", f"{n.he} rested {z} minutes.", f"{n.his} friend {did} {z} {unit}."),
    }
    return World(facts, (
        Ask("both", "other", (f"How long did {n.name} {do}?", "How many hours is that?", f"How many hours did it take {n.him}?"), ((unit, v * h), (f"{unit} per hour", v)), f"{unit} / {unit} per hour", f"{v} of the {v * h} {unit} go by in each hour, so divide."),
        Ask("far at", "other", (f"How long did it take {n.him}?", f"How many hours did {he} {do}?"), ((unit, v * h), (f"{unit} per hour", v)), f"{unit} / {unit} per hour", f"{v} of the {v * h} {unit} go by in each hour, so divide."),
        Ask("far took", "other", (f"How fast did {n.name} go?", f"How many {unit} per hour is that?", f"What was {his} speed?"), ((unit, v * h), ("hours", h)), f"{unit} / hours", f"{v * h} {unit} in {h} hours, so divide."),
        Ask("for", "other", (f"How far did {n.name} go?", f"How many {unit} did {n.name} {do}?"), ((f"{unit} per hour", v), ("hours", h)), f"{unit} per hour * hours", f"{v} {unit} in each of {h} hours, so multiply."),
        Ask("pay works", "", (f"How much does {he} earn?", "How many dollars is that?", f"What is {his} pay?"), (("dollars per hour", pay), ("hours", h)), "dollars per hour * hours", f"{pay} dollars for each of {h} hours, so multiply."),
        Ask("earned rate", "", (f"How many hours did {n.name} work?", f"How long did {he} work?"), (("earned", v * h), ("dollars per hour", v)), "earned / dollars per hour", f"{v} of the {v * h} dollars for each hour, so divide."),
    ))


@world
def rows_and_columns(d: Draw) -> World:
    """Things in rows; areas and borders of rectangles."""
    n, t = d.person(), d.thing()
    a, b, c = d.number(2, 60), d.small(2, 30), d.small(2, 9)
    what, unit = d.rng.choice([("garden", "feet"), ("room", "meters"), ("field", "yards"), ("yard", "meters"), ("rug", "feet"), ("poster", "inches")])
    facts = {
        "rows": (f"A shelf has {a} rows and {b} columns of {t.many}.", f"The {t.many} stand in {a} rows with {b} in each row.", f"There are {a} rows and {b} columns of {t.many}.", f"{n.name} put {t.many} in {a} rows. There were {b} in each row."),
        "sides": (f"A {what} is {a} {unit} long and {b} {unit} wide.", f"The length of a {what} is {a} {unit}, and its width is {b} {unit}."), "deep": (f"It cost {c} dollars.", f"{n.name} has {c} of them."),
        "all": (f"{n.name} has {a * b} {t.many}.",), "by": (f"{n.he} puts them in {b} equal rows.", f"{n.he} wants {b} rows of the same length."),
    }
    return World(facts, (
        Ask("rows", "", (f"How many {t.many} are there in all?", f"How many {t.many} are there?", f"How many {t.many} is that in total?"), (("rows", a), ("in each row", b)), "rows * in each row", f"{a} rows with {b} {t.many} each, so multiply."),
        Ask("sides", "deep", ("What is its area?", f"How many square {unit} does the {what} cover?"), (("length", a), ("width", b)), "length * width", f"The area is {a} times {b}, so multiply."),
        Ask("sides", "", ("How long is the border all around it?", "What is its perimeter?"), (("length", a), ("width", b)), "2 * (length + width)", f"{a} and {b} {unit} twice, so add and then double."),
        Ask("all by", "", (f"How many {t.many} are in each row?",), ((t.many, a * b), ("rows", b)), f"{t.many} / rows", f"{a * b} {t.many} are split over {b} rows, so divide."),
    ))


@world
def rounded(d: Draw) -> World:
    """Loads and buses that are rounded up, toys one can pay for that are rounded down."""
    n, t, u = d.person(), d.thing(), d.thing()
    a, b, s, p = d.number(), d.number(2, 60), d.small(3, 15), d.small(2, 12)
    many, he = d.rng.choice(PEOPLE)[0], n.he.lower()
    vans, boxes = d.rng.choice([("buses", "bus"), ("vans", "van"), ("cars", "car"), ("boats", "boat")]), d.rng.choice(CONTAINERS[:8])
    spent = d.rng.randint(1, a + b)
    facts = {
        "wash": (f"A washing machine takes {s} pieces of clothing at a time.", f"{n.name}'s washing machine could only wash {s} pieces at a time."), "clothes": (f"{n.name} has to wash {a} shirts and {b} sweaters.", f"There are {a} shirts and {b} socks to wash."),
        "people": (f"{a} {many} go on a trip.", f"{a} {many} are going to the museum."), "seats": (f"Each {vans[1]} holds {s} {many}.", f"{s} {many} fit in one {vans[1]}."),
        "things": (f"{n.name} has {a} {t.many} and {b} {u.many}.",), "fit": (f"Each {boxes[1]} holds {s} things.",),
        "had": (f"{n.name} had {a + b} dollars.", f"{n.name} made {a + b} dollars mowing lawns."), "spent": (f"{n.he} spent {spent} dollars on a game.", f"{n.he} paid {spent} dollars for a book."),
        "got": (f"{n.name} saved {a} dollars and got {b} dollars for {n.his.lower()} allowance.", f"{n.name} had {a} dollars and received another {b} dollars.", f"{n.name} made {a} dollars washing cars and {b} dollars raking leaves."),
        "week": (f"{n.he} spends {p} dollars a week.", f"{n.he} uses {p} dollars each week."),
    }
    toys = (f"How many {p} dollar toys can {he} buy?", f"How many toys could {he} buy if each toy costs {p} dollars?")
    rest = (f"How many {p} dollar toys can {he} buy with the money that is left?", f"If each toy costs {p} dollars, how many can {he} buy with the rest?")
    return World(facts, (
        Ask("wash clothes", "", ("How many loads are there?", f"How many loads does {n.name} have to do?"), (("first", a), ("second", b), ("in each load", s)), "(first + second) / in each load", f"{a} and {b} pieces with {s} in each load, so add, divide and round up.", "up"),
        Ask("people seats", "", (f"How many {vans[0]} are needed?", f"How many {vans[0]} do they need?"), ((many, a), (f"in each {vans[1]}", s)), f"{many} / in each {vans[1]}", f"{s} of the {a} {many} fill one {vans[1]}, so divide and round up.", "up"),
        Ask("things fit", "", (f"How many {boxes[0]} does {n.name} need for all of them?",), ((t.many, a), (u.many, b), ("in each", s)), f"({t.many} + {u.many}) / in each", f"{a} and {b} things with {s} in each {boxes[1]}, so add, divide and round up.", "up"),
        Ask("got", "", toys, (("had", a), ("got", b), ("price", p)), "(had + got) / price", f"{a} and {b} dollars at {p} dollars for each toy, so add, divide and round down.", "down"),
        Ask("had spent", "", rest, (("had", a + b), ("spent", spent), ("price", p)), "(had - spent) / price", f"{spent} of the {a + b} dollars are spent and each toy costs {p}, so subtract, divide and round down.", "down"),
        Ask("had spent", "", ("How many dollars are left?", f"How much money does {n.name} have left?"), (("had", a + b), ("spent", spent)), "had - spent", f"{spent} of the {a + b} dollars are spent, so subtract."),
        Ask("got", "week", ("How many dollars is that in all?", f"How much money did {n.name} get together?"), (("first", a), ("second", b)), "first + second", f"{a} and {b} dollars together, so add."),
        Ask("wash clothes", "", ("How many pieces are that in all?",), (("first", a), ("second", b)), "first + second", f"{a} and {b} pieces, so add. The machine does not matter."),
        Ask("got week", "", ("How many weeks would the money last?", f"How long does the money last {n.him}?"), (("first", a), ("second", b), ("each week", p)), "(first + second) / each week", f"{a} and {b} dollars with {p} gone each week, so add, divide and round down.", "down"),
    ))


@world
def percent(d: Draw) -> World:
    """Parts of a hundred, halves and other shares."""
    n, t = d.person(), d.thing()
    k, j = d.two(t.kinds)
    p = d.rng.choice([5, 10, 15, 20, 25, 30, 40, 50, 60, 70, 75, 80, 90])
    total = d.rng.choice([20, 40, 60, 80, 100, 120, 200, 300, 400, 500])
    part = total * p // 100
    f = d.small(2, 6)
    word = {2: "half", 3: "a third", 4: "a quarter", 5: "a fifth", 6: "a sixth"}[f]
    m = d.number(2, 50) * f
    facts = {
        "part": (f"{part} of {total} {t.many} are {k}.", f"In a box of {total} {t.many}, {part} are {k}.", f"{n.name} has {total} {t.many}, and {part} of them are {k}."), "all": (f"There are {total} {t.many}.", f"{n.name} has {total} {t.many}."), "percent": (f"{p} percent of them are {k}.", f"{p}% of the {t.many} are {k}."),
        "some": (f"{n.name} had {m} {t.many}.", f"{n.name} has {m} {t.many}."), "gave": (f"{n.he} gave {word} of them away.", f"{n.he} sold {word} of the {t.many}."),
        "other": (f"The others are {j}.",),
    }
    asks = [
        Ask("all percent", "other", (f"How many {t.many} are {k}?", f"How many {k} {t.many} are there?"), ((t.many, total), ("percent", p)), f"{t.many} * percent / 100", f"{p} of every 100 of the {total} {t.many}, so multiply and divide by 100."),
        Ask("some gave", "", ("How many are gone?", f"How many {t.many} are no longer there?", f"How many {t.many} is {word} of them?"), ((t.many, m), ("parts", f)), f"{t.many} / parts", f"{word} of {m} is one of {f} equal parts, so divide."),
        Ask("some gave", "", (f"How many {t.many} does {n.name} have left?", "How many are left?"), ((t.many, m), ("parts", f)), f"{t.many} - {t.many} / parts", f"{word} of the {m} {t.many} goes, so divide and subtract."),
    ]
    if part * 100 == total * p:
        asks.append(Ask("part", "other", (f"What percent of the {t.many} are {k}?", f"What percentage of them is {k}?"), ((k, part), (t.many, total)), f"{k} / {t.many} * 100", f"{part} of {total} in parts of a hundred, so divide and multiply by 100."))
    return World(facts, tuple(asks))


@world
def ages_and_heights(d: Draw) -> World:
    """Two people's ages, heights and weights: together, apart, and in some years."""
    n, m = d.person(), d.person()
    unit, be, together = d.rng.choice([("years", "old", "age"), ("inches", "tall", "height"), ("pounds", "heavy", "weight"), ("centimeters", "tall", "height")])
    a, b, k, y = d.number(4, 90), d.number(4, 90), d.small(2, 20), d.small(2, 6)
    ask = {"years": "old", "inches": "tall", "pounds": "heavy", "centimeters": "tall"}[unit]
    facts = {
        "sum": (f"{n.name} and {m.name} have a total {together} of {a + b} {unit}.", f"The {together}s of {n.name} and {m.name} add up to {a + b} {unit}."), "one": (f"{n.name} is {a} {unit} {be}.",),
        "more": (f"{m.name} is {k} {unit} more than {n.name}.", f"{m.name} is {k} {unit} above {n.name}."), "less": (f"{m.name} is {k} {unit} less than {n.name}.",),
        "times": (f"{m.name} is {'twice' if y == 2 else f'{y} times'} as {ask} as {n.name}.",), "friend": (f"Their dog is {k} {unit} {be}.",),
    }
    asks = [
        Ask("sum one", "friend", (f"How {ask} is {m.name}?", f"What is the {together} of {m.name}?"), (("total", a + b), (n.name, a)), f"total - {n.name}", f"{a} of the {a + b} {unit} belong to {n.name}, so subtract."),
        Ask("one more", "", (f"How {ask} is {m.name}?",), ((n.name, a), ("more", k)), f"{n.name} + more", f"{k} more than {n.name}'s {a} {unit}, so add."),
        Ask("one less", "", (f"How {ask} is {m.name}?",), ((n.name, a), ("less", k)), f"{n.name} - less", f"{k} less than {n.name}'s {a} {unit}, so subtract."),
        Ask("one times", "friend", (f"How {ask} is {m.name}?",), ((n.name, a), ("times", y)), f"{n.name} * times", f"{y} times {n.name}'s {a} {unit}, so multiply."),
        Ask("one more", "", (f"How many {unit} are they together?",), ((n.name, a), ("more", k)), f"{n.name} + ({n.name} + more)", f"{m.name} has {k} more than {n.name}'s {a} {unit}; add {n.name}'s own."),
    ]
    return World(facts, tuple(asks))
