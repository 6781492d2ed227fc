"""Worlds of equal groups, prices and rates, and what comes before or after them."""

from __future__ import annotations

from recipes.stories.words import ACTIVITIES, CONTAINERS, PEOPLE
from recipes.stories.world import Ask, Draw, World, several, world

# What a world says is easier to read a line a fact.
# fmt: off


@world
def equal_groups(d: Draw) -> World:
    """So many in each of so many."""
    n, m, t, other = d.person(), d.person(), d.thing(), d.thing()
    boxes = d.rng.choice(CONTAINERS)
    g, s, z = d.small(2, 40), d.number(2, 60), d.number()
    total = g * s
    facts = {
        "each": (f"Each {boxes[1]} holds {s} {t.many}.", f"There are {s} {t.many} in each {boxes[1]}.", f"Every {boxes[1]} has {s} {t.many} in it."),
        "groups": (f"{n.name} has {g} {boxes[0]}.", f"There are {g} {boxes[0]}.", f"{n.name} filled {g} {boxes[0]}."),
        "total": (f"{n.name} has {total} {t.many}.", f"There are {total} {t.many}.", f"{n.name} has {total} {t.many} in {n.his} collection."),
        "into": (f"{n.he} puts them into {g} equal {boxes[0]}.", f"They are placed equally in {g} {boxes[0]}.", f"{n.he} divides the {t.many} evenly among {g} {boxes[0]}."),
        "by": (f"{n.he} puts {s} {t.many} into each {boxes[1]}.", f"{s} {t.many} go into each {boxes[1]}."),
        "other": (f"{n.he} also has {z} {other.many}.", f"{n.name} also has {z} {other.many}.", f"{m.name} has {z} {t.many}."),
        "price": (f"Each {boxes[1]} costs {several(d.small(2, 30), ('dollars', 'dollar'))}.", f"Each {boxes[1]} weighs {d.small(2, 30)} pounds."),
    }
    asks = (
        Ask("groups each", "other price", (f"How many {t.many} are there in all?", f"How many {t.many} does {n.name} have?", f"How many {t.many} are in the {g} {boxes[0]}?", f"How many {t.many} are there altogether?"), ((boxes[0], g), (f"{t.many} in each {boxes[1]}", s)), f"{boxes[0]} * {t.many} in each {boxes[1]}", f"{g} {boxes[0]} with {s} {t.many} each, so multiply."),
        Ask("total into", "other price", (f"How many {t.many} are in each {boxes[1]}?", f"How many {t.many} does each {boxes[1]} hold?", f"How big is each {boxes[1]}?"), ((t.many, total), (boxes[0], g)), f"{t.many} / {boxes[0]}", f"The {total} {t.many} are split over {g} {boxes[0]}, so divide."),
        Ask("total by", "other price", (f"How many {boxes[0]} does {n.name} need?", f"How many {boxes[0]} are there?", f"How many {boxes[0]} can {n.he.lower()} fill?"), ((t.many, total), (f"{t.many} in each {boxes[1]}", s)), f"{t.many} / {t.many} in each {boxes[1]}", f"{s} of the {total} {t.many} fill one {boxes[1]}, so divide."),
    )
    return World(facts, asks)


@world
def prices(d: Draw) -> World:
    """Buying at a price, with money before and after."""
    n, t, u = d.person(), d.thing(), d.thing()
    p, q, k = d.small(2, 40), d.small(2, 12), d.small(2, 12)
    left = d.number()
    off = d.rng.randint(1, max(1, p - 1))
    cost = p * k
    have = cost + left
    facts = {
        "price": (f"Each {t.one} costs {p} dollars.", f"{t.many.capitalize()} cost {p} dollars each.", f"The price of one {t.one} is {p} dollars."),
        "count": (f"{n.name} bought {k} {t.many}.", f"{n.name} buys {k} {t.many}."),
        "have": (f"{n.name} had {have} dollars.", f"{n.name} has {have} dollars to spend.", f"{n.name} went to the shop with {have} dollars."),
        "paid": (f"{n.name} paid {cost} dollars for {k} {t.many}.", f"{n.name} spent {cost} dollars on {k} {t.many}."),
        "spent": (f"{n.he} spent {cost} dollars on {t.many}.", f"{n.he} bought some {t.many} for {cost} dollars."),
        "left": (f"Now {n.he.lower()} has {left} dollars left.", f"{n.he} has {left} dollars left."),
        "off": (f"There is a discount of {off} dollars on each {t.one}.", f"Today every {t.one} is {off} dollars cheaper."),
        "other": (f"Each {u.one} costs {q} dollars.", f"{n.he} also bought {q} {u.many}.", f"{u.many.capitalize()} cost {q} dollars each."),
    }
    asks = (
        Ask("price count", "other", (f"How much did {n.name} spend on {t.many}?", f"How much do the {t.many} cost in all?", f"How many dollars did {n.name} pay for the {t.many}?"), ((f"price of a {t.one}", p), (t.many, k)), f"price of a {t.one} * {t.many}", f"{k} {t.many} at {p} dollars each, so multiply."),
        Ask("paid", "other", (f"How much does one {t.one} cost?", f"How much did each {t.one} cost?", f"What is the price of a {t.one}?"), (("paid", cost), (t.many, k)), f"paid / {t.many}", f"{cost} dollars for {k} {t.many}, so divide."),
        Ask("have spent", "other", (f"How much money does {n.name} have left?", f"How many dollars does {n.he.lower()} have left?"), (("dollars at first", have), ("spent", cost)), "dollars at first - spent", f"Of the {have} dollars {cost} are spent, so subtract."),
        Ask("have left", "other", (f"How much did {n.name} spend?", f"How many dollars did {n.name} spend on {t.many}?"), (("dollars at first", have), ("dollars left", left)), "dollars at first - dollars left", f"Of the {have} dollars {left} are left, so subtract."),
        Ask("spent left", "other", (f"How much money did {n.name} have at first?", f"How many dollars did {n.name} have before?"), (("spent", cost), ("dollars left", left)), "spent + dollars left", f"The {cost} dollars spent and the {left} left were there at first, so add."),
        Ask("price off", "other", (f"How much does a {t.one} cost now?", f"How much do you have to pay for each {t.one}?"), ((f"price of a {t.one}", p), ("discount", off)), f"price of a {t.one} - discount", f"The discount of {off} dollars comes off the {p}, so subtract."),
        Ask("price off count", "", (f"How much did {n.name} pay?", f"How much do the {t.many} cost with the discount?"), ((f"price of a {t.one}", p), ("discount", off), (t.many, k)), f"(price of a {t.one} - discount) * {t.many}", f"Each {t.one} costs {p} less {off} dollars, and there are {k}, so subtract and then multiply."),
        Ask("have price count", "other", (f"How much money did {n.name} have left?", "How many dollars are left?"), (("dollars at first", have), (f"price of a {t.one}", p), (t.many, k)), f"dollars at first - price of a {t.one} * {t.many}", f"{k} {t.many} at {p} dollars each come off the {have} dollars."),
    )
    return World(facts, asks)


@world
def rates(d: Draw) -> World:
    """So many in each hour, day or week."""
    n, m = d.person(), d.person()
    did, do, unit, _ = d.rng.choice([x for x in ACTIVITIES if x[2] != "fish"])
    span, spans = d.rng.choice([("hour", "hours"), ("day", "days"), ("week", "weeks"), ("minute", "minutes"), ("month", "months")])
    r, k, z = d.number(2, 60), d.small(2, 20), d.small(2, 30)
    total = r * k
    does = {"do": "does"}.get(do, do + ("es" if do.endswith(("sh", "ch", "o")) else "s"))
    does = {"carrys": "carries"}.get(does, does)
    facts = {
        "rate": (f"{n.name} {did} {r} {unit} each {span}.", f"{n.name} {does} {r} {unit} every {span}.", f"Every {span} {n.name} {does} {r} {unit}."),
        "long": (f"{n.he} does so for {k} {spans}.", f"{n.he} kept at it for {k} {spans}."),
        "all": (f"{n.name} {did} {total} {unit} in {k} {spans}.", f"In {k} {spans} {n.name} {did} {total} {unit}."),
        "goal": (f"{n.he} wants to {do} {total} {unit}.", f"{n.his.capitalize()} goal is {total} {unit}."),
        "friend": (f"{m.name} {did} {z} {unit} each {span}.", f"{m.name} did the same for {z} {spans}."),
        "rest": (f"{n.he} rests {z} minutes a day.", f"{n.he} is {z + 5} years old."),
    }
    rate = f"{unit} each {span}"
    asks = (
        Ask("rate long", "friend rest", (f"How many {unit} did {n.name} {do} in all?", f"How many {unit} did {n.name} {do} in {k} {spans}?"), ((rate, r), (spans, k)), f"{rate} * {spans}", f"{r} {unit} in each of {k} {spans}, so multiply."),
        Ask("all", "friend rest", (f"How many {unit} did {n.name} {do} each {span}?", f"If {n.he.lower()} did the same number every {span}, how many {unit} did {n.he.lower()} {do} in one {span}?"), ((unit, total), (spans, k)), f"{unit} / {spans}", f"{total} {unit} over {k} {spans}, so divide."),
        Ask("rate goal", "friend rest", (f"How many {spans} will it take?", f"For how many {spans} does {n.he.lower()} have to do it?"), ((unit, total), (rate, r)), f"{unit} / {rate}", f"{r} of the {total} {unit} are done in one {span}, so divide."),
    )
    return World(facts, asks)


@world
def change_then_share(d: Draw) -> World:
    """Some are added or lost, then they are put into groups."""
    n, t, other = d.person(), d.thing(), d.thing()
    boxes = d.rng.choice(CONTAINERS)
    g, s = d.small(2, 15), d.small(2, 15)
    total = g * s
    gone, z = d.number(2, 60), d.number()
    a = d.rng.randint(1, total - 1)
    have = total + gone
    verb = d.rng.choice(t.lost)
    k, j = d.two(t.kinds)
    facts = {
        "have": (f"{n.name} had {have} {t.many}.", f"{n.name} {d.rng.choice(t.gained)} {have} {t.many}."),
        "gone": (f"{n.he} {verb} {gone} of them.", f"{n.he} {verb} {gone} {t.many}."),
        "two": (f"{n.name} has {a} {k} {t.many} and {total - a} {j} {t.many}.", f"{n.name} {d.rng.choice(t.gained)} {a} {k} {t.many} and {total - a} {j} {t.many}."),
        "by": (f"{n.he} puts the rest into {boxes[0]} with {s} in each.", f"The {t.many} {n.he.lower()} has now go into {boxes[0]} of {s}."),
        "by2": (f"{n.he} puts {s} {t.many} into each {boxes[1]}.", f"{s} {t.many} fit into one {boxes[1]}."),
        "into": (f"{n.he} shares the rest equally among {g} friends.", f"{n.he} gives the rest to {g} friends, the same number to each."),
        "each": (f"Each of {n.his} {g} {boxes[0]} holds {s} {t.many}.", f"{n.name} has {g} {boxes[0]} with {s} {t.many} in each.",),
        "loses": (f"{n.he} {verb} {a} of the {t.many}.", f"{n.he} {verb} {a} {t.many}."),
        "gains": (f"{n.he} also has {gone} loose {t.many}.", f"Then {n.he.lower()} got {gone} more {t.many}."),
        "other": (f"{n.he} also has {z} {other.many}.", f"{n.name} has {z} {other.many} too."),
    }
    in_each = f"{t.many} in each {boxes[1]}"
    asks = (
        Ask("have gone by", "other", (f"How many {boxes[0]} does {n.he.lower()} need?", f"How many {boxes[0]} are there?"), ((t.many, have), ("gone", gone), (in_each, s)), f"({t.many} - gone) / {in_each}", f"Take the {gone} from the {have} {t.many}, then divide by {s} for each {boxes[1]}."),
        Ask("two by2", "other", (f"How many {boxes[0]} can {n.he.lower()} fill?", f"How many {boxes[0]} does {n.name} need?"), ((f"{k} {t.many}", a), (f"{j} {t.many}", total - a), (in_each, s)), f"({k} {t.many} + {j} {t.many}) / {in_each}", f"Add the {a} and the {total - a} {t.many}, then divide by {s} for each {boxes[1]}."),
        Ask("have gone into", "other", (f"How many {t.many} does each friend get?",), ((t.many, have), ("gone", gone), ("friends", g)), f"({t.many} - gone) / friends", f"Take the {gone} from the {have} {t.many}, then divide among {g} friends."),
        Ask("each loses", "other", (f"How many {t.many} are left?", f"How many {t.many} does {n.name} have left?"), ((boxes[0], g), (in_each, s), ("gone", a)), f"{boxes[0]} * {in_each} - gone", f"{g} {boxes[0]} of {s} {t.many}, and {a} are gone, so multiply and then subtract."),
        Ask("each gains", "other", (f"How many {t.many} does {n.name} have in all?",), ((boxes[0], g), (in_each, s), ("more", gone)), f"{boxes[0]} * {in_each} + more", f"{g} {boxes[0]} of {s} {t.many} and {gone} more, so multiply and then add."),
    )
    return World(facts, asks)


@world
def two_batches(d: Draw) -> World:
    """Two counts with one number in each, or two products side by side."""
    n, t = d.person(), d.thing()
    boxes = d.rng.choice(CONTAINERS)
    k, j = d.two(t.kinds)
    a, b, s, r = d.small(2, 15), d.small(2, 15), d.small(2, 15), d.small(2, 15)
    if a * s == b * r:
        r += 1
    facts = {
        "same": (f"{n.name} bought {a} {boxes[0]} of {k} {t.many} and {b} {boxes[0]} of {j} {t.many}. Each {boxes[1]} had {s} {t.many}.",),
        "left": (f"{n.name} had {a + b} {boxes[0]} of {t.many} and gave {b} of the {boxes[0]} away. Each {boxes[1]} has {s} {t.many}.", f"There are {s} {t.many} in each {boxes[1]}. {n.name} had {a + b} {boxes[0]} and sold {b}."),
        "diff": (f"{n.name} has {a} {boxes[0]} with {s} {k} {t.many} each and {b} {boxes[0]} with {r} {j} {t.many} each.",),
    }
    in_each = f"{t.many} in each {boxes[1]}"
    kb, jb = f"{k} {boxes[0]}", f"{j} {boxes[0]}"
    first, second = f"{k} in each", f"{j} in each"
    hi, lo = (k, j) if a * s > b * r else (j, k)
    asks = (
        Ask("same", "", (f"How many {t.many} did {n.name} buy in all?", f"How many {t.many} did {n.he.lower()} get altogether?"), ((kb, a), (jb, b), (in_each, s)), f"({kb} + {jb}) * {in_each}", f"Add the {a} and the {b} {boxes[0]}, then multiply by {s}."),
        Ask("same", "", (f"How many {j} {t.many} did {n.name} buy?",), ((jb, b), (in_each, s)), f"{jb} * {in_each}", f"{b} {boxes[0]} of {j} {t.many} with {s} each, so multiply. The {k} ones do not matter."),
        Ask("left", "", (f"How many {t.many} are left?", f"How many {t.many} does {n.he.lower()} have left?"), ((boxes[0], a + b), ("gone", b), (in_each, s)), f"({boxes[0]} - gone) * {in_each}", f"Take the {b} from the {a + b} {boxes[0]}, then multiply by {s}."),
        Ask("diff", "", (f"How many {t.many} does {n.name} have in all?",), ((kb, a), (first, s), (jb, b), (second, r)), f"{kb} * {first} + {jb} * {second}", f"{a} times {s} {k} {t.many} and {b} times {r} {j} ones, so multiply and add."),
        Ask("diff", "", (f"How many more {hi} {t.many} than {lo} {t.many} does {n.name} have?",), ((kb, a), (first, s), (jb, b), (second, r)), f"{kb} * {first} - {jb} * {second}" if hi == k else f"{jb} * {second} - {kb} * {first}", f"Find how many {hi} and how many {lo} {t.many} there are, then subtract."),
        Ask("diff", "", (f"How many {boxes[0]} does {n.name} have?",), ((kb, a), (jb, b)), f"{kb} + {jb}", f"Add the {a} and the {b} {boxes[0]}."),
    )
    return World(facts, asks)


@world
def times_as_many(d: Draw) -> World:
    """One has so many times what another has."""
    n, m, t, other = d.person(), d.person(), d.thing(), d.thing()
    k, b, z = d.small(2, 9), d.number(2, 60), d.number()
    a = k * b
    word = {2: d.pick("twice", "2 times")}.get(k, f"{k} times")
    facts = {
        "times": (f"{n.name} has {word} as many {t.many} as {m.name}.", f"{n.name} {d.pick('owns', 'has')} {word} as many {t.many} as {m.name} does."),
        "low": (f"{m.name} has {b} {t.many}.",),
        "high": (f"{n.name} has {a} {t.many}.",),
        "other": (f"{m.name} also has {z} {other.many}.", f"{n.name} also has {z} {other.many}."),
    }
    nt, mt = f"{n.name} {t.many}", f"{m.name} {t.many}"
    asks = (
        Ask("low times", "other", (f"How many {t.many} does {n.name} have?",), ((mt, b), ("times", k)), f"{mt} * times", f"{k} times {m.name}'s {b} {t.many}, so multiply."),
        Ask("high times", "other", (f"How many {t.many} does {m.name} have?",), ((nt, a), ("times", k)), f"{nt} / times", f"{n.name}'s {a} {t.many} are {k} times {m.name}'s, so divide."),
        Ask("low times", "", (f"How many {t.many} do they have together?", f"How many {t.many} do {n.name} and {m.name} have in all?"), ((mt, b), ("times", k)), f"{mt} * times + {mt}", f"{k} times {m.name}'s {b} {t.many} for {n.name}, and {m.name}'s own."),
        Ask("high low", "other", (f"How many times as many {t.many} does {n.name} have as {m.name}?",), ((nt, a), (mt, b)), f"{nt} / {mt}", f"How often {m.name}'s {b} fit into {n.name}'s {a}, so divide."),
    )
    return World(facts, asks)


@world
def teams(d: Draw) -> World:
    """People in groups of one size; some do not come."""
    many, _, (k, j) = d.rng.choice(PEOPLE)
    group = d.rng.choice([("teams", "team"), ("groups", "group"), ("vans", "van"), ("tables", "table"), ("buses", "bus"), ("boats", "boat"), ("rooms", "room"), ("benches", "bench")])
    g, s, gone, z = d.small(2, 20), d.small(2, 30), d.small(2, 30), d.number()
    total = g * s
    a = d.rng.randint(1, total - 1)
    facts = {
        "all": (f"There are {total} {many}.", f"{total} {many} go on a trip.", f"{total} {many} came to the school."),
        "two": (f"There are {a} {k} and {total - a} {j}.", f"{a} {k} and {total - a} {j} go on a trip."),
        "seats": (f"Each {group[1]} takes {s} {many}.", f"{s} {many} fit into one {group[1]}.", f"There are {s} places for each {group[1]}."),
        "into": (f"They are split into {g} {group[0]} of the same size.", f"They form {g} equal {group[0]}."),
        "groups": (f"There are {g} {group[0]}.", f"The school has {g} {group[0]}."),
        "signed": (f"{total + gone} {many} wanted to come, but {gone} of them fell ill.", f"Of {total + gone} {many} {gone} stayed at home."),
        "other": (f"The trip takes {z} minutes.", f"The ticket costs {z % 30 + 2} dollars.", f"There are {z % 30 + 2} chairs at the wall."),
    }
    per = f"{many} in each {group[1]}"
    asks = (
        Ask("all seats", "other", (f"How many {group[0]} are needed?", f"How many {group[0]} do they need?"), ((many, total), (per, s)), f"{many} / {per}", f"{s} of the {total} {many} make one {group[1]}, so divide."),
        Ask("all into", "other", (f"How many {many} are in each {group[1]}?", f"How many {many} does each {group[1]} have?"), ((many, total), (group[0], g)), f"{many} / {group[0]}", f"The {total} {many} are split into {g} {group[0]}, so divide."),
        Ask("groups seats", "other", (f"How many {many} are there in all?", f"How many {many} can come?"), ((group[0], g), (per, s)), f"{group[0]} * {per}", f"{g} {group[0]} with {s} {many} each, so multiply."),
        Ask("two seats", "other", (f"How many {group[0]} are needed?",), ((k, a), (j, total - a), (per, s)), f"({k} + {j}) / {per}", f"Add the {a} {k} and the {total - a} {j}, then divide by {s}."),
        Ask("signed into", "other", (f"How many {many} are in each {group[1]}?",), ((many, total + gone), ("missing", gone), (group[0], g)), f"({many} - missing) / {group[0]}", f"Without the {gone} missing of the {total + gone} {many}, split into {g} {group[0]}."),
    )
    return World(facts, asks)
