"""Worlds of amounts side by side: parts and wholes, more and fewer, several days."""

from __future__ import annotations

from recipes.stories.words import ACTIVITIES, ANIMAL_PLACES, ANIMALS, DAYS, PEOPLE, PEOPLE_PLACES, TIMES, TREES
from recipes.stories.world import Ask, Draw, World, world

# What a world says is easier to read a line a fact.
# fmt: off


@world
def parts(d: Draw) -> World:
    """Two or three sorts that make a whole."""
    n, t = d.person(), d.thing()
    k, j = d.two(t.kinds)
    a, b, z = d.number(), d.number(), d.number()
    other = d.thing()
    kt, jt = f"{k} {t.many}", f"{j} {t.many}"
    facts = {
        "both": (f"{n.name} has {a} {kt} and {b} {jt}.", f"There are {a} {kt} and {b} {jt} in {n.name}'s bag.", f"{n.name} {d.rng.choice(t.gained)} {a} {kt} and {b} {jt}."),
        "first": (f"{n.name} has {a} {kt}.", f"{a} of them are {k}.", f"{n.he} has {a} {kt}."),
        "all": (f"{n.name} has {a + b} {t.many}, some of them {k} and the others {j}.", f"There are {a + b} {t.many} in {n.name}'s box, all of them {k} or {j}."),
        "other": (f"{n.he} also has {z} {other.many}.", f"There are {z} {other.many} as well.", f"{n.he} has {z} {other.many} too."),
    }
    hi, lo = ((a, kt), (b, jt)) if a > b else ((b, jt), (a, kt))
    asks = [
        Ask("both", "other", (f"How many {t.many} does {n.name} have in all?", f"How many {t.many} are there altogether?", f"What is the total number of {t.many}?", f"How many {t.many} does {n.he.lower()} have?"),
            ((kt, a), (jt, b)), f"{kt} + {jt}", f"The {a} {kt} and the {b} {jt} together, so add."),
        Ask("all first", "other", (f"How many {jt} does {n.name} have?", f"How many of the {t.many} are {j}?", f"How many are {j}?"),
            ((t.many, a + b), (kt, a)), f"{t.many} - {kt}", f"Of the {a + b} {t.many} {a} are {k}, so subtract."),
    ]
    if a != b:
        asks.append(Ask("both", "other", (f"How many more {hi[1]} than {lo[1]} does {n.name} have?", f"How many fewer {lo[1]} than {hi[1]} are there?"),
            ((hi[1], hi[0]), (lo[1], lo[0])), f"{hi[1]} - {lo[1]}", f"Compare the {hi[0]} {hi[1]} with the {lo[0]} {lo[1]}, so subtract."))
    return World(facts, tuple(asks))


@world
def more_than(d: Draw) -> World:
    """Two or three people, one of whom has more than the other."""
    n, m, o, t = d.person(), d.person(), d.person(), d.thing()
    b, k, z = d.number(), d.number(), d.number(2, 40)
    a = b + k
    other = d.thing()
    w = d.number()
    facts = {
        "high": (f"{n.name} has {a} {t.many}.", f"{n.name} {d.rng.choice(t.gained)} {a} {t.many}."),
        "low": (f"{m.name} has {b} {t.many}.",),
        "by": (f"{n.name} has {k} more {t.many} than {m.name}.", f"{m.name} has {k} fewer {t.many} than {n.name}.", f"That is {k} more than {m.name} has."),
        "lowby": (f"{n.name} has {k} more {t.many} than {m.name}.", f"{m.name} has {k} fewer {t.many} than {n.name}.", f"{m.name} has {k} less than {n.name}."),
        "third": (f"{o.name} has {z} more {t.many} than {m.name}.", f"{m.name} has {z} fewer {t.many} than {o.name}."),
        "friend": (f"{o.name} has {z + 1} {t.many}.", f"{o.name} has {w} {other.many}."),
        "other": (f"{n.name} also has {w} {other.many}.", f"{m.name} has {w} {other.many} as well."),
    }
    nt, mt = f"{n.name} {t.many}", f"{m.name} {t.many}"
    asks = (
        Ask("high low", "friend other", (f"How many more {t.many} does {n.name} have than {m.name}?", f"How many fewer {t.many} does {m.name} have than {n.name}?", f"How many {t.many} does {m.name} need to have as many as {n.name}?", "What is the difference between the two?"),
            ((nt, a), (mt, b)), f"{nt} - {mt}", f"Compare {n.name}'s {a} {t.many} with {m.name}'s {b}, so subtract."),
        Ask("high by", "third other", (f"How many {t.many} does {m.name} have?",),
            ((nt, a), ("more", k)), f"{nt} - more", f"{m.name} has {k} fewer than {n.name}'s {a}, so subtract."),
        Ask("low lowby", "other", (f"How many {t.many} does {n.name} have?",),
            ((mt, b), ("more", k)), f"{mt} + more", f"{n.name} has {k} more than {m.name}'s {b}, so add."),
        Ask("low lowby", "third", (f"How many {t.many} does {n.name} have?",),
            ((mt, b), ("more", k)), f"{mt} + more", f"{n.name} has {k} more than {m.name}'s {b}, so add. What {o.name} has does not matter."),
        Ask("low third", "lowby", (f"How many {t.many} does {o.name} have?",),
            ((mt, b), ("more", z)), f"{mt} + more", f"{o.name} has {z} more than {m.name}'s {b}, so add. What {n.name} has does not matter."),
        Ask("low lowby", "friend", (f"How many {t.many} do {n.name} and {m.name} have together?", f"How many {t.many} do they have in all?"),
            ((mt, b), ("more", k)), f"{mt} + ({mt} + more)", f"{n.name} has {k} more than {m.name}'s {b}; add that to {m.name}'s own."),
        Ask("high low", "", (f"How many {t.many} do {n.name} and {m.name} have in total?", f"How many {t.many} do they have together?"),
            ((nt, a), (mt, b)), f"{nt} + {mt}", f"{n.name}'s {a} {t.many} and {m.name}'s {b} together, so add."),
    )
    return World(facts, asks)


@world
def days(d: Draw) -> World:
    """The same activity at three times."""
    n, m = d.person(), d.person()
    did, do, unit, _ = d.rng.choice(ACTIVITIES)
    if d.rng.random() < 0.5:
        one, two = d.two(DAYS)
        when = (f"on {one}", f"on {two}", f"on {d.rng.choice([x for x in DAYS if x not in (one, two)])}")
    else:
        when = d.rng.choice(TIMES)
    x, y, z = d.number(), d.number(), d.number()
    if x == y:
        y += 3
    hi, lo = ((x, when[0]), (y, when[1])) if x > y else ((y, when[1]), (x, when[0]))
    facts = {
        "one": (f"{n.name} {did} {x} {unit} {when[0]}.", f"{when[0][0].upper()}{when[0][1:]} {n.name} {did} {x} {unit}."),
        "two": (f"{n.he} {did} {y} {unit} {when[1]}.", f"{when[1][0].upper()}{when[1][1:]} {n.he.lower()} {did} {y} {unit}."),
        "pair": (f"{n.name} {did} {x} {unit} {when[0]} and {y} {when[1]}.", f"{n.name} {did} {x} {unit} {when[0]} and {y} {unit} {when[1]}."),
        "three": (f"{when[2][0].upper()}{when[2][1:]} {n.he.lower()} {did} {z} {unit}.", f"{n.he} also {did} {z} {unit} {when[2]}."),
        "sum": (f"In these two {d.pick('parts', 'times')} {n.name} {did} {x + y} {unit} in all.", f"{n.name} {did} {x + y} {unit} {when[0]} and {when[1]} together."),
        "friend": (f"{m.name} {did} {z} {unit} {when[0]}.", f"{m.name} {did} {d.number()} {unit}."),
    }
    v1, v2, v3 = (f"{unit} {w}" for w in when)
    asks = [
        Ask("one two", "three friend", (f"How many more {unit} did {n.name} {do} {hi[1]} than {lo[1]}?", f"How many fewer {unit} did {n.he.lower()} {do} {lo[1]} than {hi[1]}?"),
            ((f"{unit} {hi[1]}", hi[0]), (f"{unit} {lo[1]}", lo[0])), f"{unit} {hi[1]} - {unit} {lo[1]}", f"Compare {hi[0]} {hi[1]} with {lo[0]} {lo[1]}, so subtract."),
        Ask("pair", "three friend", (f"How many {unit} did {n.name} {do} {when[0]} and {when[1]}?",),
            ((v1, x), (v2, y)), f"{v1} + {v2}", f"Add the {x} {unit} {when[0]} and the {y} {when[1]}."),
        Ask("one two three", "", (f"How many {unit} did {n.name} {do} in all?", f"How many {unit} did {n.he.lower()} {do} altogether?"),
            ((v1, x), (v2, y), (v3, z)), f"{v1} + {v2} + {v3}", f"Add {x}, {y} and {z} {unit}."),
        Ask("pair", "", (f"How many {unit} did {n.name} {do} in all?", f"What is the total number of {unit}?"),
            ((v1, x), (v2, y)), f"{v1} + {v2}", f"Add the {x} and the {y} {unit}."),
        Ask("sum one", "three", (f"How many {unit} did {n.name} {do} {when[1]}?",),
            (("both", x + y), (v1, x)), f"both - {v1}", f"Of the {x + y} {unit} {x} belong to the other time, so subtract."),
    ]
    return World(facts, tuple(asks))


@world
def kinds_in_a_place(d: Draw) -> World:
    """People or animals of two or three sorts in one place; some sorts join."""
    if d.rng.random() < 0.5:
        place = d.rng.choice(PEOPLE_PLACES)
        many, _, (k, j) = d.rng.choice(PEOPLE)
    else:
        place, many = d.rng.choice(ANIMAL_PLACES), "animals"
        k, j = d.two(tuple(a for a, _ in ANIMALS))
    a, b, c, e = d.number(), d.number(), d.number(), d.number()
    facts = {
        "both": (f"There are {a} {k} and {b} {j} {place}.", f"{a} {k} and {b} {j} are {place}.", f"There were {a} {k} and {b} {j} {place}."),
        "join": (f"{c} more {k} and {e} more {j} joined them.", f"Then {c} {k} and {e} {j} came."),
        "joink": (f"{c} more {k} joined them.", f"Then {c} {k} came."),
        "all": (f"There are {a + b} {many} {place}.", f"{a + b} {many} are {place}."),
        "some": (f"{a} of them are {k}.", f"Among them are {a} {k}."),
    }
    hi, lo = ((a, k), (b, j)) if a > b else ((b, j), (a, k))
    asks = [
        Ask("both join", "", (f"How many {k} are there now?", f"How many {k} are {place} now?"), ((k, a), (f"more {k}", c)), f"{k} + more {k}", f"{c} {k} joined the {a}, so add. The {j} do not matter."),
        Ask("both joink", "", (f"How many {j} and {k} are there altogether?", f"How many {many} are there in all?"), ((k, a), (j, b), (f"more {k}", c)), f"{k} + {j} + more {k}", f"Add the {a} {k}, the {b} {j} and the {c} {k} that came."),
        Ask("all some", "", (f"How many {j} are there?", f"How many are {j}?") if many != "animals" else (f"The others are {j}. How many {j} are there?",), ((many, a + b), (k, a)), f"{many} - {k}", f"Of the {a + b} {many} {a} are {k}, so subtract."),
        Ask("both", "joink", (f"How many {k} and {j} were there at first?",), ((k, a), (j, b)), f"{k} + {j}", f"Add the {a} {k} and the {b} {j}."),
    ]
    if a != b:
        asks.append(Ask("both", "", (f"How many more {hi[1]} than {lo[1]} are there?", f"How many fewer {lo[1]} than {hi[1]} are there {place}?"), ((hi[1], hi[0]), (lo[1], lo[0])), f"{hi[1]} - {lo[1]}", f"Compare the {hi[0]} {hi[1]} with the {lo[0]} {lo[1]}, so subtract."))
    if a + c > b and d.rng.random() < 0.6:
        asks.append(Ask("both joink", "", (f"How many more {k} than {j} are there now?",), ((k, a), (f"more {k}", c), (j, b)), f"{k} + more {k} - {j}", f"There are {a} and {c} more {k} now; compare them with the {b} {j}."))
    return World(facts, tuple(asks))


@world
def trees(d: Draw) -> World:
    """Trees that are there, are planted, or are cut down."""
    k, j = d.two(TREES)
    a, b, c = d.number(), d.number(), d.number()
    who = d.pick("Workers", "The gardeners", "Park workers", "Volunteers", "The city")
    when = d.pick("today", "tomorrow", "this year", "this week")
    kt, jt = f"{k} trees", f"{j} trees"
    facts = {
        "has": (f"There are {a} {kt} in the park.", f"The park has {a} {kt}.", f"There are {a} {kt} in the garden."),
        "both": (f"There are {a} {kt} and {b} {jt} in the park.", f"The park has {b} {jt} and {a} {kt}."),
        "plant": (f"{who} will plant {c} more {kt} {when}.", f"{who} plant {c} {kt} {when}."),
        "after": (f"When the work is done there will be {a + c} {kt}.", f"Afterwards there will be {a + c} {kt} in the park."),
        "other": (f"There are also {b} {jt}.", f"{b} {jt} stand there as well."),
    }
    asks = (
        Ask("both plant", "", (f"How many {kt} will there be in the park?", f"How many {kt} will the park have when the work is done?"), ((kt, a), ("planted", c)), f"{kt} + planted", f"{c} {kt} come to the {a}, so add. The {jt} do not matter."),
        Ask("has plant", "other", (f"How many {kt} will there be in all?", f"How many {kt} will the park have then?"), ((kt, a), ("planted", c)), f"{kt} + planted", f"{c} {kt} come to the {a}, so add."),
        Ask("has after", "other", (f"How many {kt} will be planted?", f"How many {kt} did the workers plant?"), ((f"{kt} after", a + c), (kt, a)), f"{kt} after - {kt}", f"There are {a} {kt} and will be {a + c}, so subtract."),
        Ask("plant after", "other", (f"How many {kt} are in the park now?",), ((f"{kt} after", a + c), ("planted", c)), f"{kt} after - planted", f"Without the {c} new ones of the {a + c} {kt}, so subtract."),
        Ask("both", "plant", ("How many trees are there in the park now?", "How many trees does the park have at the moment?"), ((kt, a), (jt, b)), f"{kt} + {jt}", f"Add the {a} {kt} and the {b} {jt} that are there."),
    )
    return World(facts, asks)


@world
def measure(d: Draw) -> World:
    """Heights, weights, ages, amounts of ingredients."""
    n, m = d.person(), d.person()
    z = d.number()
    if d.rng.random() < 0.5:
        stuff, unit = d.rng.choice([("flour", "cups"), ("sugar", "cups"), ("water", "liters"), ("salt", "teaspoons"), ("milk", "cups"), ("rice", "cups"), ("oil", "spoons"), ("paint", "liters")])
        other = d.rng.choice(["butter", "honey", "cocoa", "vanilla", "oats", "yeast"])
        have, more = d.small(2, 9), d.small(2, 9)
        need = have + more
        facts = {
            "need": (f"{n.name} is baking a cake. The recipe calls for {need} {unit} of {stuff}.", f"A recipe needs {need} {unit} of {stuff}.", f"{n.name} needs {need} {unit} of {stuff}."),
            "have": (f"{n.he} already put in {have} {unit}.", f"{n.he} has added {have} {unit} of {stuff} so far.", f"{n.he} already has {have} {unit} of {stuff}."),
            "more": (f"{n.he} still has to add {more} {unit} of {stuff}.", f"{more} {unit} of {stuff} are still missing."),
            "other": (f"It also calls for {z % 9 + 2} {unit} of {other}.", f"{n.he} also used {z % 9 + 2} {unit} of {other}."),
        }
        asks = (
            Ask("need have", "other", (f"How many more {unit} of {stuff} does {n.name} need?", f"How many {unit} of {stuff} does {n.he.lower()} still have to add?"), (("needed", need), ("added", have)), "needed - added", f"{need} {unit} are needed and {have} are there, so subtract."),
            Ask("need more", "other", (f"How many {unit} of {stuff} did {n.name} already put in?",), (("needed", need), ("missing", more)), "needed - missing", f"Of the {need} {unit} {more} are missing, so subtract."),
            Ask("have more", "other", (f"How many {unit} of {stuff} are needed in all?", f"How many {unit} of {stuff} does the recipe call for?"), (("added", have), ("missing", more)), "added + missing", f"The {have} {unit} that are in and the {more} missing make what is needed, so add."),
        )  # fmt: skip
        return World(facts, asks)
    noun, verb, unit = d.rng.choice([("rope", "long", "meters"), ("pencil", "long", "centimeters"), ("tree", "tall", "feet"), ("tower", "tall", "meters"), ("plant", "tall", "inches"), ("ribbon", "long", "inches"), ("river", "wide", "meters")])
    b, k = d.number(), d.number(2, 50)
    facts = {
        "a": (f"{n.name}'s {noun} is {b + k} {unit} {verb}.", f"{n.name} has a {noun} that is {b + k} {unit} {verb}."),
        "b": (f"{m.name}'s {noun} is {b} {unit} {verb}.", f"{m.name} has a {noun} that is {b} {unit} {verb}."),
        "by": (f"It is {k} {unit} {verb}er than {m.name}'s {noun}.".replace("wideer", "wider"), f"{n.name}'s {noun} is {k} {unit} {verb}er than {m.name}'s.".replace("wideer", "wider")),
        "other": (f"{n.name} is {z % 20 + 6} years old.", f"{m.name} bought it {z % 20 + 2} days ago."),
    }
    compared = (
        Ask("a b", "other", (f"How much {verb}er is {n.name}'s {noun} than {m.name}'s?".replace("wideer", "wider"), f"How many {unit} {verb}er is {n.name}'s {noun}?".replace("wideer", "wider")), ((f"{n.name} {noun}", b + k), (f"{m.name} {noun}", b)), f"{n.name} {noun} - {m.name} {noun}", f"Compare {b + k} {unit} with {b} {unit}, so subtract."),
        Ask("a by", "other", (f"How {verb} is {m.name}'s {noun}?", f"How many {unit} {verb} is {m.name}'s {noun}?"), ((f"{n.name} {noun}", b + k), ("difference", k)), f"{n.name} {noun} - difference", f"{m.name}'s {noun} is {k} {unit} less than {b + k}, so subtract."),
    )
    return World(facts, compared)
