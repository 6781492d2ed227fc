"""Worlds of work, goals, journeys and shops: two or three steps, with numbers that play no part."""

from __future__ import annotations

from recipes.stories.words import CONTAINERS, DAYS, PEOPLE
from recipes.stories.world import Ask, Draw, World, world

# What a world says is easier to read a line a fact.
# fmt: off


@world
def work_to_do(d: Draw) -> World:
    """So many to do, some done, a time for each."""
    n = d.person()
    who, do, done, many, one, unit = d.rng.choice([
        ("A painter", "paint", "painted", "rooms", "room", "hours"), ("A builder", "install", "installed", "windows", "window", "hours"),
        ("A cook", "cook", "cooked", "potatoes", "potato", "minutes"), (n.name, "grade", "graded", "papers", "paper", "minutes"),
        (n.name, "wash", "washed", "cars", "car", "minutes"), ("A tailor", "sew", "sewed", "dresses", "dress", "hours"),
        (n.name, "mow", "mowed", "lawns", "lawn", "minutes"), ("A mechanic", "repair", "repaired", "bikes", "bike", "hours"),
        (n.name, "frame", "framed", "pictures", "picture", "minutes"), ("A gardener", "trim", "trimmed", "bushes", "bush", "minutes"),
    ])
    left, gone, t, z = d.small(2, 20), d.small(2, 20), d.small(2, 15), d.small(2, 30)
    all_ = left + gone
    facts = {
        "all": (f"{who} has to {do} {all_} {many}.", f"{who} needs to {do} {all_} {many}.", f"There are {all_} {many} to {do}."),
        "each": (f"Each {one} takes {t} {unit} to {do}.", f"It takes {t} {unit} to {do} one {one}.", f"{who} needs {t} {unit} for each {one}."),
        "gone": (f"{who} already {done} {gone} of them.", f"{gone} of the {many} are done already.", f"{who} already {done} {gone}."),
        "left": (f"{left} {many} are still to be done.", f"There are still {left} left."),
        "pay": (f"Each {one} brings {z} dollars.", f"{who} has {z} helpers.", f"The day has {z % 8 + 6} working hours."),
    }
    asks = (
        Ask("all each gone", "pay", (f"How many {unit} will it take to {do} the rest?", f"How long will it take to {do} the rest?", f"How many more {unit} are needed?"), ((many, all_), ("done", gone), (f"{unit} each", t)), f"({many} - done) * {unit} each", f"{all_} {many} less the {gone} done are left, at {t} {unit} each, so subtract and then multiply."),
        Ask("all gone", "each pay", (f"How many {many} are left to {do}?", f"How many more {many} have to be {done if done != 'sewed' else 'sewn'}?"), ((many, all_), ("done", gone)), f"{many} - done", f"Of the {all_} {many} {gone} are done, so subtract."),
        Ask("all each", "pay", (f"How many {unit} will it take to {do} all of them?", "How long will it take in all?"), ((many, all_), (f"{unit} each", t)), f"{many} * {unit} each", f"{all_} {many} at {t} {unit} each, so multiply."),
        Ask("gone left", "each", (f"How many {many} were there to {do} at first?",), (("done", gone), ("left", left)), "done + left", f"The {gone} done and the {left} left are all {many}, so add."),
    )
    return World(facts, asks)


@world
def points_in_a_game(d: Draw) -> World:
    """Points for each of something, of which some are missed; rounds that are added up."""
    n, m = d.person(), d.person()
    many, one, verb = d.rng.choice([("enemies", "enemy", "defeat"), ("targets", "target", "hit"), ("questions", "question", "answer"), ("rings", "ring", "catch"), ("coins", "coin", "collect")])
    p, hit, miss, z = d.small(2, 12), d.small(2, 15), d.small(2, 10), d.number()
    a, b = d.number(), d.number()
    facts = {
        "each": (f"In a game each {one} gives you {p} points.", f"Every {one} is worth {p} points.", f"{n.name} gets {p} points for each {one}."),
        "all": (f"A level has {hit + miss} {many}.", f"There are {hit + miss} {many} in all."),
        "but": (f"{n.name} gets all but {miss} of them.", f"You miss {miss} of them.", f"{n.name} does not {verb} {miss} of them."),
        "hit": (f"{n.name} got {hit} of them.", f"{n.name} got {hit} {many}."),
        "score": (f"{n.name} scored {p * hit} points.", f"{n.name} has {p * hit} points."),
        "rounds": (f"In the first round {n.name} scored {a} points and in the second round {b} points.", f"{n.name} scored {a} points in the first game and {b} points in the second."),
        "friend": (f"{m.name} scored {z} points.", f"{m.name} was {z % 12 + 6} years old."),
    }
    asks = (
        Ask("each all but", "friend", (f"How many points does {n.name} get?", "How many points is that?", "How many points would you earn?"), ((many, hit + miss), ("missed", miss), ("points each", p)), f"({many} - missed) * points each", f"{hit + miss} {many} less the {miss} missed, at {p} points each, so subtract and then multiply."),
        Ask("each hit", "friend", (f"How many points does {n.name} have?", f"How many points did {n.name} score?"), ((many, hit), ("points each", p)), f"{many} * points each", f"{hit} {many} at {p} points each, so multiply."),
        Ask("each score", "friend", (f"How many {many} did {n.name} {verb}?",), (("points", p * hit), ("points each", p)), "points / points each", f"{p} of the {p * hit} points for each {one}, so divide."),
        Ask("rounds", "friend", (f"How many points did {n.name} score in all?", f"What was {n.his} total?"), (("first", a), ("second", b)), "first + second", f"Add the {a} and the {b} points."),
    )
    return World(facts, asks)


@world
def savings(d: Draw) -> World:
    """Money saved at several times, spent, and wanted for something."""
    n, m, t = d.person(), d.person(), d.thing()
    one, two, three = d.rng.choice([("September", "October", "November"), ("March", "April", "May"), ("the first week", "the second week", "the third week"), ("June", "July", "August")])
    a, b, c = d.number(3, 90), d.number(3, 90), d.number(3, 90)
    s = d.rng.randint(2, a + b - 1)
    w = d.number(5, 80)
    what = d.pick("a video game", "a jacket", "a bike lamp", "a ball", "a present", "a book")
    facts = {
        "one": (f"{n.name} saved {a} dollars in {one}.",), "two": (f"{n.he} saved {b} dollars in {two}.",),
        "both": (f"{n.name} saved {a} dollars in {one} and {b} dollars in {two}.", f"In {one} {n.name} earned {a} dollars, and in {two} {b} dollars."),
        "three": (f"In {three} {n.he.lower()} saved {c} dollars.",),
        "spent": (f"Then {n.he.lower()} spent {s} dollars on {what}.", f"{n.he} bought {what} for {s} dollars."),
        "want": (f"{n.name} wants {what} that costs {a + b + w} dollars.", f"{what.capitalize()} costs {a + b + w} dollars."),
        "friend": (f"{m.name} saved {c} dollars.", f"{m.name} has {c} dollars."),
        "things": (f"{n.he} also has {c} {t.many}.",),
    }
    asks = (
        Ask("both spent", "friend things", (f"How much money does {n.name} have left?", "How many dollars are left?"), (("saved first", a), ("saved second", b), ("spent", s)), "saved first + saved second - spent", f"Add the {a} and the {b} dollars, then take off the {s} spent."),
        Ask("one two three spent", "", (f"How much money does {n.name} have left?",), (("saved first", a), ("saved second", b), ("saved third", c), ("spent", s)), "saved first + saved second + saved third - spent", f"Add {a}, {b} and {c} dollars, then take off the {s} spent."),
        Ask("both", "friend things", (f"How much did {n.name} save in all?", f"How many dollars did {n.he.lower()} get in total?"), (("first", a), ("second", b)), "first + second", f"Add the {a} and the {b} dollars."),
        Ask("want both", "friend", (f"How much more money does {n.name} need?", "How many dollars are missing?"), (("price", a + b + w), ("first", a), ("second", b)), "price - first - second", f"Take the {a} and the {b} dollars off the {a + b + w}."),
    )
    return World(facts, asks)


@world
def sold_and_bought(d: Draw) -> World:
    """Some go and others come."""
    n, m, t, other = d.person(), d.person(), d.thing(), d.thing()
    b, left, c, z = d.number(), d.number(), d.number(), d.number()
    a = b + left
    lost = d.rng.choice(t.lost)
    got = d.rng.choice(t.gained)
    facts = {
        "have": (f"{n.name} had {a} {t.many}.", f"{n.name} has {a} {t.many}."),
        "lost": (f"{n.he} {lost} {b} of them.", f"{n.he} {lost} {b} {t.many}."),
        "got": (f"Then {n.he.lower()} {got} {c} new ones.", f"Later {n.he.lower()} {got} {c} {t.many}.", f"{n.he} {got} {c} more."),
        "other": (f"{n.he} also {got} {z} {other.many}.", f"{m.name} has {z} {t.many}.", f"{n.he} also has {z} {other.many}."),
        "now": (f"In the end {n.he.lower()} had {left + c} {t.many}.", f"Now {n.he.lower()} has {left + c} {t.many}."),
    }
    asks = [
        Ask("have lost got", "other", (f"How many {t.many} does {n.name} have now?", f"How many {t.many} would {n.name} have?", f"How many {t.many} did {n.he.lower()} have in the end?"), ((f"{t.many} at first", a), ("gone", b), ("new", c)), f"{t.many} at first - gone + new", f"Of the {a} {t.many} {b} are gone and {c} are new, so subtract and then add."),
        Ask("have lost now", "other", (f"How many {t.many} did {n.he.lower()} get at last?", f"How many new {t.many} did {n.name} get?"), ((f"{t.many} now", left + c), (f"{t.many} at first", a), ("gone", b)), f"{t.many} now - ({t.many} at first - gone)", f"Take the {a} less the {b} gone from the {left + c} {t.many} now."),
    ]
    if c > b:
        asks.append(Ask("have lost got", "", (f"How many more {t.many} does {n.name} have now than at first?",), (("new", c), ("gone", b)), "new - gone", f"{c} {t.many} are new and {b} are gone, so the difference is what was gained. The {a} at first do not matter."))
    return World(facts, tuple(asks))


@world
def mixed_groups(d: Draw) -> World:
    """Every group holds two sorts."""
    n, t, u = d.person(), d.thing(), d.thing()
    boxes = d.rng.choice([c for c in CONTAINERS if c[1] not in ("row", "group", "pile")])
    g, a, b, z = d.small(2, 15), d.small(2, 12), d.small(2, 12), d.small(2, 30)
    facts = {
        "groups": (f"{n.name} found {g} {boxes[0]}.", f"{n.name} bought {g} {boxes[0]}.", f"There are {g} {boxes[0]}."),
        "each": (f"Inside each {boxes[1]} there were {a} {t.many} and {b} {u.many}.", f"Each {boxes[1]} holds {a} {t.many} and {b} {u.many}."),
        "price": (f"One {boxes[1]} costs {z} dollars.", f"Each {boxes[1]} weighs {z} pounds."),
    }
    hi, lo = ((a, t.many), (b, u.many)) if a > b else ((b, u.many), (a, t.many))
    asks = [
        Ask("groups each", "price", (f"How many {t.many} and {u.many} are there in all?", f"How many things did {n.name} have in total?", "How many pieces are there altogether?"), ((boxes[0], g), (f"{t.many} each", a), (f"{u.many} each", b)), f"{boxes[0]} * ({t.many} each + {u.many} each)", f"Each of the {g} {boxes[0]} holds {a} and {b}, so add and then multiply."),
        Ask("groups each", "price", (f"How many {t.many} are there?", f"How many {t.many} does {n.name} have?"), ((boxes[0], g), (f"{t.many} each", a)), f"{boxes[0]} * {t.many} each", f"{g} {boxes[0]} with {a} {t.many} each, so multiply. The {u.many} do not matter."),
    ]
    if a != b:
        asks.append(Ask("groups each", "price", (f"How many more {hi[1]} than {lo[1]} are there?",), ((boxes[0], g), (f"{hi[1]} each", hi[0]), (f"{lo[1]} each", lo[0])), f"{boxes[0]} * ({hi[1]} each - {lo[1]} each)", f"Each of the {g} {boxes[0]} has {hi[0]} {hi[1]} and {lo[0]} {lo[1]}, so subtract and then multiply."))
    return World(facts, tuple(asks))


@world
def journeys(d: Draw) -> World:
    """Distance, time and speed, fuel."""
    n, m = d.person(), d.person()
    unit, per, spans, span = d.rng.choice([("miles", "hour", "hours", "hour"), ("kilometers", "hour", "hours", "hour"), ("miles", "gallon", "gallons", "gallon"), ("kilometers", "day", "days", "day"), ("miles", "day", "days", "day")])
    v, k, z, a, b = d.number(2, 70), d.small(2, 14), d.small(2, 40), d.number(), d.number()
    way = v * k
    car = d.pick(f"{n.name}'s car", "The car", "The bus")
    facts = {
        "speed": ((f"{car} goes {v} {unit} per {per}.", f"{n.name} travels {v} {unit} each {span}.") if per != "gallon" else (f"{car} gets {v} {unit} per gallon.", f"{car} needs one gallon for {v} {unit}.")),
        "way": (f"The trip is {way} {unit} long.", f"It is {way} {unit} to the coast.", f"{n.name} wants to go {way} {unit}."),
        "time": ((f"The trip took {k} {spans}.", f"{n.name} was on the way for {k} {spans}.") if per != "gallon" else (f"{n.name} filled in {k} gallons of gas.", f"The tank holds {k} gallons.")),
        "parts": (f"{n.name} drove {a} {unit} before lunch and {b} {unit} after it.", f"{n.name} went {a} {unit} on {d.rng.choice(DAYS)} and {b} {unit} the day after."),
        "rest": (f"{n.name} stopped {z} times.", f"{m.name} is {z} years old.", f"There were {z} people on board."),
    }
    asks = [
        Ask("speed time", "rest", (f"How many {unit} did {n.name} go?", f"How far did {n.name} go?", f"How many {unit} can {n.he.lower()} drive?"), ((f"{unit} per {per}", v), (spans, k)), f"{unit} per {per} * {spans}", f"{v} {unit} for each of {k} {spans}, so multiply."),
        Ask("way speed", "rest", (f"How many {spans} does it take?", f"How many {spans} are needed?"), ((unit, way), (f"{unit} per {per}", v)), f"{unit} / {unit} per {per}", f"{v} of the {way} {unit} for each {per}, so divide."),
        Ask("way time", "rest", ((f"How fast did {n.name} go?", f"How many {unit} per {per} is that?") if per != "gallon" else (f"How many {unit} per gallon is that?",)), ((unit, way), (spans, k)), f"{unit} / {spans}", f"The {way} {unit} are spread over {k} {spans}, so divide."),
        Ask("parts", "rest", (f"How many {unit} did {n.name} go in all?", "How far is that altogether?"), (("first", a), ("second", b)), "first + second", f"Add the {a} and the {b} {unit}."),
    ]
    if a != b:
        hi, lo = (("first", a), ("second", b)) if a > b else (("second", b), ("first", a))
        asks.append(Ask("parts", "rest", ("What is the difference between the two parts of the way?",), (hi, lo), f"{hi[0]} - {lo[0]}", f"Compare {hi[1]} with {lo[1]} {unit}, so subtract."))
    return World(facts, tuple(asks))


@world
def two_prices(d: Draw) -> World:
    """Two things with prices: sums, differences, what is spent more on the one."""
    n, t, u = d.person(), d.thing(), d.thing()
    a, b, have = d.number(2, 90), d.number(2, 90), d.number(2, 90)
    if a == b:
        a += 2
    k = d.small(2, 9)
    facts = {
        "both": (f"{n.name} bought a {t.one} for {a} dollars and a {u.one} for {b} dollars.", f"{n.name} spent {a} dollars on {t.many} and {b} dollars on {u.many}.", f"A {t.one} costs {a} dollars and a {u.one} costs {b} dollars."),
        "left": (f"{n.he} has {have} dollars left.", f"Now {n.he.lower()} has {have} dollars."),
        "had": (f"{n.name} had {a + b + have} dollars.", f"{n.name} came with {a + b + have} dollars."),
        "count": (f"{n.he} looked at {k} other shops first.", f"The shop has {k} kinds of {t.many}."),
    }
    hi, lo = ((a, t.many), (b, u.many)) if a > b else ((b, u.many), (a, t.many))
    asks = (
        Ask("both", "left count", (f"How much did {n.name} spend in all?", "How much do both cost together?", "What was the total cost?"), ((f"{t.many} cost", a), (f"{u.many} cost", b)), f"{t.many} cost + {u.many} cost", f"Add the {a} and the {b} dollars."),
        Ask("both", "left count", (f"How much more did {n.name} pay for {hi[1]} than for {lo[1]}?", f"How many dollars more is that for {hi[1]} than for {lo[1]}?"), ((f"{hi[1]} cost", hi[0]), (f"{lo[1]} cost", lo[0])), f"{hi[1]} cost - {lo[1]} cost", f"Compare {hi[0]} dollars for {hi[1]} with {lo[0]} dollars for {lo[1]}, so subtract."),
        Ask("had both", "count", (f"How much money does {n.name} have left?", "How many dollars are left?"), (("had", a + b + have), (f"{t.many} cost", a), (f"{u.many} cost", b)), f"had - {t.many} cost - {u.many} cost", f"Take the {a} and the {b} dollars off the {a + b + have}."),
        Ask("both left", "count", (f"How much money did {n.name} have at first?",), ((f"{t.many} cost", a), (f"{u.many} cost", b), ("left", have)), f"{t.many} cost + {u.many} cost + left", f"Add what was spent, {a} and {b} dollars, and the {have} left."),
    )
    return World(facts, asks)


@world
def books(d: Draw) -> World:
    """Pages and chapters, read and left, by day."""
    n, m = d.person(), d.person()
    what, unit, part = d.rng.choice([("book", "pages", "chapters"), ("album", "photos", "sections"), ("magazine", "pages", "articles"), ("movie", "minutes", "scenes")])
    k, per, c = d.small(2, 20), d.small(3, 40), d.small(2, 30)
    total = k * per
    read = d.rng.randint(1, total - 1)
    facts = {
        "has": (f"A {what} has {total} {unit}.", f"{n.name} has a {what} with {total} {unit}.", f"The {what} has {total} {unit} in it."),
        "read": (f"{n.name} is through with {read} of them.", f"{n.name} has finished {read} {unit}.", f"{n.name} has already gone through {read} {unit}."),
        "daily": (f"{n.name} does {per} {unit} each day.", f"Every day {n.name} goes through {per} {unit}."),
        "days": (f"{n.name} finished it in {k} days.", f"It took {n.name} {k} days."),
        "parts": (f"There are {c} {part} in it.", f"It has {c} {part}.", f"{m.name} has a {what} with {total + c} {unit}."),
        "equal": (f"It has {k} {part} of the same length.", f"It is cut into {k} equal {part}."),
    }
    asks = (
        Ask("has read", "parts", (f"How many {unit} are left?", f"How many more {unit} does {n.name} have to go through?"), ((unit, total), ("done", read)), f"{unit} - done", f"Of the {total} {unit} {read} are done, so subtract."),
        Ask("has daily", "parts", ("How many days will it take?", f"In how many days is {n.name} done?"), ((unit, total), ("each day", per)), f"{unit} / each day", f"{per} of the {total} {unit} each day, so divide."),
        Ask("has days", "parts", (f"How many {unit} is that each day?", f"How many {unit} did {n.name} do per day?"), ((unit, total), ("days", k)), f"{unit} / days", f"The {total} {unit} are spread over {k} days, so divide."),
        Ask("has equal", "", (f"How many {unit} are in each of the {part}?",), ((unit, total), (part, k)), f"{unit} / {part}", f"The {total} {unit} are split over {k} {part}, so divide."),
        Ask("daily days", "parts", (f"How many {unit} does the {what} have?",), (("each day", per), ("days", k)), "each day * days", f"{per} {unit} on each of {k} days, so multiply."),
    )
    return World(facts, asks)


@world
def enough_for_all(d: Draw) -> World:
    """So many for each of so many people, and some are there already."""
    n, t, other = d.person(), d.thing(), d.thing()
    many, one, _ = d.rng.choice(PEOPLE)
    p, k, _, z = d.small(2, 25), d.small(2, 9), d.number(2, 40), d.number()
    need = p * k
    have = d.rng.randint(1, need - 1)
    stay = d.rng.randint(1, p - 1)
    facts = {
        "people": (f"{n.name} invited {p} {many}.", f"There are {p} {many} in the class.", f"{p} {many} are coming."),
        "each": (f"Each {one} gets {k} {t.many}.", f"{n.name} wants every {one} to have {k} {t.many}."),
        "have": (f"{n.name} already has {have} {t.many}.", f"{n.he} has {have} {t.many} at home."),
        "stay": (f"{stay} of them cannot come.", f"But {stay} of the {many} stay away."),
        "pool": (f"{n.name} has {need} {t.many} for {p} {many}.", f"{n.name} shares {need} {t.many} equally among {p} {many}."),
        "other": (f"{n.he} also has {z} {other.many}.", f"There are also {z} {other.many}."),
    }
    asks = (
        Ask("people each", "other", (f"How many {t.many} are needed?", f"How many {t.many} does {n.name} need in all?"), ((many, p), (f"{t.many} each", k)), f"{many} * {t.many} each", f"{p} {many} with {k} {t.many} each, so multiply."),
        Ask("people each have", "other", (f"How many more {t.many} does {n.name} need?", f"How many {t.many} does {n.name} still have to get?"), ((many, p), (f"{t.many} each", k), ("there", have)), f"{many} * {t.many} each - there", f"{p} {many} with {k} {t.many} each, and {have} are there, so multiply and then subtract."),
        Ask("people each stay", "", (f"How many {t.many} are needed now?", f"How many {t.many} should {n.name} get?"), ((many, p), ("away", stay), (f"{t.many} each", k)), f"({many} - away) * {t.many} each", f"{p} {many} less the {stay} away, with {k} {t.many} each, so subtract and then multiply."),
        Ask("pool", "other", (f"How many {t.many} does each of them get?", f"How many {t.many} does one {one} get?"), ((t.many, need), (many, p)), f"{t.many} / {many}", f"The {need} {t.many} are split among {p} {many}, so divide."),
    )
    return World(facts, asks)
