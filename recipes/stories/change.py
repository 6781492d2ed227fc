"""Worlds of change: somebody has some, comes to have more or fewer, and has some in the end."""

from __future__ import annotations

from recipes.stories.words import ANIMAL_PLACES, ANIMALS, CONTAINERS, PEOPLE, PEOPLE_PLACES
from recipes.stories.world import Ask, Draw, World, world

# What a world says is easier to read a line a fact.
# fmt: off


def _wording(verb: str, what: str, friend: str) -> str:
    """`gave away 5 pens` with somebody to give them to, where the verb allows it."""
    if verb in ("gave away", "lent out") and friend:
        return f"{'gave' if verb == 'gave away' else 'lent'} {what} to {friend}"
    return f"{verb} {what}"


@world
def gain(d: Draw) -> World:
    """Some, and more of them."""
    n, m, t = d.person(), d.person(), d.thing()
    a, b, z = d.number(), d.number(), d.number()
    other = d.thing()
    verb = d.rng.choice(t.gained)
    first = (f"{n.name} had {a} {t.many}.", f"{n.name} has {a} {t.many}.", f"There were {a} {t.many} in {n.name}'s room.")
    more = (f"Then {n.he.lower()} {verb} {b} more {t.many}.", f"{n.he} {verb} {b} more.", f"{m.name} gave {n.him} {b} more {t.many}.")
    end = (f"Now {n.he.lower()} has {a + b} {t.many}.", f"{n.name} has {a + b} {t.many} now.")
    had, got, now = f"{t.many} at first", f"{t.many} added", f"{t.many} now"
    extra = {
        "other": (f"{n.he} also has {z} {other.many}.", f"{m.name} has {z} {other.many}.", f"{n.name} also {verb} {z} {other.many}."),
        "friend": (f"{m.name} has {z} {t.many}.", f"{n.name}'s friend {m.name} had {z} {t.many}."),
    }
    asks = (
        Ask("first more", "other friend", (f"How many {t.many} does {n.name} have now?", f"How many {t.many} does {n.name} have in all?", f"How many {t.many} does {n.he.lower()} have altogether?"),
            ((had, a), (got, b)), f"{had} + {got}", f"The {a} {t.many} at first and the {b} more make the {t.many} now, so add."),
        Ask("first end", "other friend", (f"How many {t.many} did {n.name} get?", f"How many more {t.many} did {n.he.lower()} get?"),
            ((now, a + b), (had, a)), f"{now} - {had}", f"{n.name} has {a + b} {t.many} now and had {a} before, so subtract."),
        Ask("more end", "other friend", (f"How many {t.many} did {n.name} have at first?", f"How many {t.many} did {n.name} have to start with?", f"How many {t.many} did {n.he.lower()} have before?"),
            ((now, a + b), (got, b)), f"{now} - {got}", f"The {a + b} {t.many} now hold the {b} that were added, so subtract."),
    )
    return World({"first": first, "more": more, "end": end, **extra}, asks)


@world
def loss(d: Draw) -> World:
    """Some, and fewer of them."""
    n, m, t = d.person(), d.person(), d.thing()
    b = d.number()
    e = d.number()
    a, z = b + e, d.number()
    other = d.thing()
    verb = d.rng.choice(t.lost)
    first = (f"{n.name} had {a} {t.many}.", f"{n.name} {d.rng.choice(t.gained)} {a} {t.many}.", f"{n.name} has {a} {t.many}.")
    less = (f"{n.he} {_wording(verb, f'{b} of them', m.name)}.", f"{n.he} {_wording(verb, f'{b} {t.many}', m.name)}.", f"Then {n.he.lower()} {_wording(verb, f'{b} {t.many}', '')}.")
    end = (f"Now {n.he.lower()} has {e} {t.many} left.", f"{n.name} has {e} {t.many} left.", f"{e} {t.many} are left.")
    had, gone, left = f"{t.many} at first", f"{t.many} gone", f"{t.many} left"
    facts = {
        "first": first, "less": less, "end": end,
        "other": (f"{n.he} also has {z} {other.many}.", f"{m.name} has {z} {other.many}.", f"{n.he} {_wording(verb, f'{z} {other.many}', '')} too."),
        "friend": (f"{m.name} has {z} {t.many}.", f"{m.name} had {z} {t.many} at first."),
    }
    plain = {"lost": "lose", "sold": "sell", "gave away": "give away", "threw away": "throw away", "broke": "break", "donated": "donate", "traded": "trade", "used": "use", "lent out": "lend out", "ate": "eat", "shared": "share"}[verb]
    asks = (
        Ask("first less", "other friend", (f"How many {t.many} does {n.name} have left?", f"How many {t.many} are left?", f"How many {t.many} does {n.name} have now?", f"How many {t.many} did {n.he.lower()} have left?"),
            ((had, a), (gone, b)), f"{had} - {gone}", f"Of the {a} {t.many} {b} are gone, so subtract."),
        Ask("first end", "other friend", (f"How many {t.many} did {n.name} {plain}?", f"How many {t.many} did {n.he.lower()} {plain}?"),
            ((had, a), (left, e)), f"{had} - {left}", f"Of the {a} {t.many} {e} are left, so subtract."),
        Ask("less end", "other friend", (f"How many {t.many} did {n.name} have at first?", f"How many {t.many} did {n.he.lower()} start with?", f"How many {t.many} did {n.name} have before?"),
            ((gone, b), (left, e)), f"{gone} + {left}", f"The {b} {t.many} that are gone and the {e} that are left make those at first, so add."),
    )
    return World(facts, asks)


@world
def two_kinds_two_events(d: Draw) -> World:
    """Two sorts, each with a number before and a number taken or added: only one sort is asked about."""
    n, t = d.person(), d.thing()
    k, j = d.two(t.kinds)
    b, c, e, f = d.number(), d.number(), d.number(), d.number()
    a, g = b + e, c + f
    verb = d.rng.choice(t.lost)
    facts = {
        "have": (f"{n.name} had {a} {k} {t.many} and {g} {j} {t.many}.", f"{n.name} had {g} {j} {t.many} and {a} {k} {t.many}."),
        "took": (f"{n.he} {verb} {b} {k} {t.many} and {c} {j} {t.many}.", f"{n.he} {verb} {c} {j} {t.many} and {b} {k} {t.many}."),
        "keep": (f"Now {n.he.lower()} has {e} {k} {t.many} and {f} {j} {t.many} left.", f"After that {n.he.lower()} had {f} {j} {t.many} and {e} {k} {t.many}."),
    }
    plain = {"lost": "lose", "sold": "sell", "gave away": "give away", "threw away": "throw away", "broke": "break", "donated": "donate", "traded": "trade", "used": "use", "lent out": "lend out", "ate": "eat", "shared": "share"}[verb]
    kt, jt = f"{k} {t.many}", f"{j} {t.many}"
    more = ((b, c, kt, jt), (c, b, jt, kt))[c > b]
    asks = [
        Ask("have took", "", (f"How many {kt} did {n.name} have left?", f"How many {kt} does {n.he.lower()} have now?"),
            ((kt, a), (f"{kt} gone", b)), f"{kt} - {kt} gone", f"Of the {a} {kt} {b} are gone, so subtract. The {jt} do not matter."),
        Ask("took keep", "", (f"How many {jt} did {n.name} have at first?", f"How many {jt} did {n.he.lower()} have before that?"),
            ((f"{jt} gone", c), (f"{jt} left", f)), f"{jt} gone + {jt} left", f"The {c} {jt} that are gone and the {f} that are left make those at first, so add. The {kt} do not matter."),
        Ask("have keep", "", (f"How many {kt} did {n.name} {plain}?",),
            ((kt, a), (f"{kt} left", e)), f"{kt} - {kt} left", f"Of the {a} {kt} {e} are left, so subtract. The {jt} do not matter."),
        Ask("have", "took", (f"How many {t.many} did {n.name} have in all at first?", f"How many {t.many} did {n.he.lower()} have altogether in the beginning?"),
            ((kt, a), (jt, g)), f"{kt} + {jt}", f"The {a} {kt} and the {g} {jt} are all {t.many} at first, so add."),
        Ask("took", "have", (f"How many {t.many} did {n.name} {plain} altogether?", f"How many {t.many} did {n.he.lower()} {plain} in total?"),
            ((f"{kt} gone", b), (f"{jt} gone", c)), f"{kt} gone + {jt} gone", f"The {b} {kt} and the {c} {jt} that are gone are added."),
    ]
    if b != c:
        asks.append(Ask("took", "have", (f"How many more {more[2]} than {more[3]} did {n.name} {plain}?",),
            ((f"{more[2]} gone", more[0]), (f"{more[3]} gone", more[1])), f"{more[2]} gone - {more[3]} gone", f"Compare the {more[0]} {more[2]} with the {more[1]} {more[3]} that are gone, so subtract."))
    return World(facts, tuple(asks))


@world
def up_and_down(d: Draw) -> World:
    """Some leave and others come."""
    if d.rng.random() < 0.5:
        many, _ = d.rng.choice(ANIMALS)
        place, come, go = d.rng.choice(ANIMAL_PLACES), "came to join them", "went away"
    else:
        many, _, _ = d.rng.choice(PEOPLE)
        place, come, go = d.rng.choice(PEOPLE_PLACES), d.pick("came in", "arrived", "got on", "joined"), d.pick("left", "got off", "went home")
        if "bus" not in place and "train" not in place:
            come, go = come.replace("got on", "came"), go.replace("got off", "left")
    low, b, c = d.number(), d.number(), d.number()
    a = low + c
    e = a + b - c
    facts = {
        "first": (f"There were {a} {many} {place}.", f"{a} {many} were {place}.", f"Some {many} were {place}: {a} in all."),
        "come": (f"Then {b} more {many} {come}.", f"{b} more {come}.", f"{b} {many} {come}."),
        "go": (f"{c} {many} {go}.", f"After a while {c} of them {go}.", f"Then {c} {go}."),
        "end": (f"Now there are {e} {many} {place}.", f"In the end {e} {many} were {place}."),
    }
    had, came, gone, now = f"{many} at first", f"{many} that came", f"{many} that went", f"{many} now"
    asks = [
        Ask("first come", "", (f"How many {many} are there now?", f"How many {many} are {place} now?", f"How many {many} are there in total?"),
            ((had, a), (came, b)), f"{had} + {came}", f"{b} {many} joined the {a}, so add."),
        Ask("first go", "", (f"How many {many} are left?", f"How many {many} are still {place}?", f"How many {many} stayed?"),
            ((had, a), (gone, c)), f"{had} - {gone}", f"{c} of the {a} {many} went, so subtract."),
        Ask("first come go", "", (f"How many {many} are {place} now?", f"How many {many} are there in the end?"),
            ((had, a), (came, b), (gone, c)), f"{had} + {came} - {gone}", f"{b} {many} came to the {a} and {c} went, so add and then subtract."),
        Ask("come go end", "", (f"How many {many} were {place} at first?", f"How many {many} were there in the beginning?"),
            ((now, e), (gone, c), (came, b)), f"{now} + {gone} - {came}", f"Go back from the {e} {many} now: add the {c} that went and subtract the {b} that came."),
    ]
    if b > c:
        asks.append(Ask("first come go", "", (f"How many more {many} came than went away?",),
            ((came, b), (gone, c)), f"{came} - {gone}", f"Compare the {b} {many} that came with the {c} that went, so subtract. The {a} at first do not matter."))
    if c > b:
        asks.append(Ask("first come go", "", (f"How many fewer {many} are there now than at first?",),
            ((gone, c), (came, b)), f"{gone} - {came}", f"{c} {many} went and {b} came, so the difference is what is missing. The {a} at first do not matter."))
    if a > c:
        asks.append(Ask("first end", "", (f"How many {many} were there at first and at the end together?",),
            ((had, a), (now, e)), f"{had} + {now}", f"Add the {a} {many} at first and the {e} at the end.") if d.rng.random() < 0.1 else asks[0])
    return World(facts, tuple(asks))


@world
def fill_and_empty(d: Draw) -> World:
    """A container that gets some and loses some."""
    t = d.thing()
    where, box = d.rng.choice([c for c in CONTAINERS if c[1] not in ("row", "group", "pile", "pack")])
    n = d.person()
    b, e, c = d.number(), d.number(), d.number()
    a = b + e
    facts = {
        "first": (f"There were {a} {t.many} in the {box}.", f"A {box} had {a} {t.many} in it.", f"{a} {t.many} were in the {box}."),
        "out": (f"{n.name} took {b} {t.many} out of the {box}.", f"{n.name} removed {b} of them.", f"{n.name} took away {b} {t.many}."),
        "left": (f"There are {e} {t.many} left in the {box}.", f"Now there are {e} {t.many} in the {box}."),
        "in": (f"Then {n.name} put {c} {t.many} into the {box}.", f"{n.name} placed {c} more {t.many} in the {box}."),
        "many": (f"There are {d.small()} other {where} in the room.",),
    }
    had, out, left, put = f"{t.many} at first", f"{t.many} taken out", f"{t.many} left", f"{t.many} put in"
    asks = (
        Ask("first out", "many", (f"How many {t.many} are left in the {box}?", f"How many {t.many} are in the {box} now?"), ((had, a), (out, b)), f"{had} - {out}", f"{b} of the {a} {t.many} were taken out, so subtract."),
        Ask("first left", "many", (f"How many {t.many} did {n.name} take out of the {box}?", f"How many {t.many} were removed from the {box}?"), ((had, a), (left, e)), f"{had} - {left}", f"{e} of the {a} {t.many} are left, so subtract."),
        Ask("out left", "many", (f"How many {t.many} were in the {box} at first?",), ((out, b), (left, e)), f"{out} + {left}", f"The {b} {t.many} taken out and the {e} left were all in the {box}, so add."),
        Ask("first in", "many", (f"How many {t.many} are in the {box} now?", f"How many {t.many} are there in the {box} altogether?"), ((had, a), (put, c)), f"{had} + {put}", f"{c} {t.many} were put to the {a}, so add."),
        Ask("first out in", "many", (f"How many {t.many} are in the {box} now?",), ((had, a), (out, b), (put, c)), f"{had} - {out} + {put}", f"{b} of the {a} {t.many} came out and {c} went in, so subtract and then add."),
    )
    return World(facts, asks)
