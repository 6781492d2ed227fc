"""Worlds in the short words of school books: who gives to whom, what is put where."""

from __future__ import annotations

from recipes.stories.words import CONTAINERS, PEOPLE, PEOPLE_PLACES
from recipes.stories.world import Ask, Draw, World, world

# What a world says is easier to read a line a fact.
# fmt: off


@world
def given(d: Draw) -> World:
    """Somebody is given some, by one or two others."""
    n, m, t, other = d.person(), d.person(), d.thing(), d.thing()
    a, b, c, z = d.number(), d.number(), d.number(), d.number()
    his, he = n.his.lower(), n.he.lower()
    who = d.pick(m.name, f"{his} dad", f"{his} mother", f"{his} friend {m.name}", f"{his} sister", f"{his} grandfather", f"{his} teacher")
    first = (f"{n.name} had {a} {t.many}.", f"{n.name} has {a} {t.many}.", f"{n.name} starts with {a} {t.many}.", f"{n.name} had {a} {t.many} in {his} {d.pick('room', 'bag', 'desk', 'box')}.")
    gave = (f"{who} gave {n.him} {b} {t.many}.", f"{who} gave {n.him} {b} more.", f"{who} gave {n.name} {b} new {t.many}.", f"{n.he} got {b} more from {who}.", f"{n.he} finds another {b}.", f"{n.name} was given {b} more.", f"{n.he} borrowed {b} {t.many} from {who}.")
    own = (f"{n.he} bought {c} {t.many}.", f"{n.name} bought {c} more {t.many}.", f"Then {he} found {c} {t.many}.", f"For {his} birthday {he} got {c} more {t.many}.")
    now = (f"Now {he} has {a + b} {t.many}.", f"{n.name} now has {a + b} {t.many}.", f"{n.name} ended up with {a + b} {t.many}.")
    some = (f"{n.name} had some {t.many}.", f"{n.name} has some {t.many}.", f"{n.name} had a few {t.many}.")
    several = (f"{who} gave {n.him} several more.", f"{n.he} found several more {t.many}.", f"{who} gave {n.name} some more {t.many}.")
    facts = {"first": first, "gave": gave, "own": own, "now": now, "some": some, "several": several,
             "already": (f"{n.name} bought {b} {t.many} but already had {a} {t.many}.", f"{n.name} got {b} {t.many} and already had {a} at home."),
             "other": (f"{n.he} also has {z} {other.many}.", f"{n.name} had {z} {other.many} too.", f"{who} has {z} {other.many}."), "friend": (f"{m.name} has {z} {t.many}.",)}
    had, got = f"{t.many} at first", f"{t.many} added"
    end = (f"How many {t.many} does {n.name} have now?", f"How many {t.many} does {he} have in all?", f"How many {t.many} does {n.name} end with?", f"How many {t.many} does {n.name} have total?", f"How many {t.many} did {n.name} have then?")
    return World(facts, (
        Ask("first gave", "other", end, ((had, a), (got, b)), f"{had} + {got}", f"{n.name} has {a} {t.many} and gets {b} more, so add."),
        Ask("already", "other", end, ((had, a), (got, b)), f"{had} + {got}", f"{b} new {t.many} come to the {a} that were there, so add."),
        Ask("first gave own", "", end, ((had, a), (got, b), ("bought", c)), f"{had} + {got} + bought", f"{n.name} has {a} {t.many} and gets {b} and then {c} more, so add all three."),
        Ask("first gave own", "", (f"How many {t.many} did {n.name} get?", f"How many {t.many} came to those that {he} had?"), ((got, b), ("bought", c)), f"{got} + bought", f"{b} and then {c} {t.many} come, so add these. The {a} at first do not matter."),
        Ask("some gave now", "friend", (f"How many {t.many} did {n.name} have to start with?", f"How many {t.many} did {he} have at first?", f"How many did {he} have before?"),
            ((f"{t.many} now", a + b), (got, b)), f"{t.many} now - {got}", f"{a + b} {t.many} are there now and {b} of them were added, so subtract."),
        Ask("first several now", "", (f"How many {t.many} did {n.name} get?", f"How many {t.many} were added?", f"How many more did {he} get?"),
            ((f"{t.many} now", a + b), (had, a)), f"{t.many} now - {had}", f"{n.name} has {a + b} {t.many} now and had {a}, so subtract."),
    ))


@world
def gives(d: Draw) -> World:
    """Somebody gives some to others, and may get some back."""
    n, m, o, t, other = d.person(), d.person(), d.person(), d.thing(), d.thing()
    b, c, left, z = d.number(), d.number(), d.number(), d.number()
    a, he = b + left, n.he.lower()
    facts = {
        "first": (f"{n.name} had {a} {t.many}.", f"{n.name} has {a} {t.many}.", f"{n.name} {d.rng.choice(t.gained)} {a} {t.many}."),
        "gave": (f"{n.he} gave {b} to {m.name}.", f"{n.he} gave {m.name} {b} of {n.his.lower()} {t.many}.", f"{n.he} gave {b} {t.many} to {n.his.lower()} friend {m.name}.", f"{m.name} borrowed {b} of the {t.many}.", f"{m.name} took {b} of the {t.many}.", f"{b} of them {d.pick('were lost', 'broke', 'were sold', 'were taken')}."),
        "two": (f"{n.name} had {a + c} {t.many}. {n.he} gave {b} to {m.name} and {c} to {o.name}.", f"{n.name} has {a + c} {t.many} and gives {m.name} {b} and {o.name} {c} of them."),
        "some": (f"{n.name} had some {t.many}.", f"{n.name} had a box of {t.many}."),
        "any": (f"{n.he} gave some of them to {m.name}.", f"{n.he} gave {m.name} some of {n.his.lower()} {t.many}.", f"{n.he} lost some of them."),
        "left": (f"Now {he} has {left} {t.many} left.", f"{n.he} has {left} left.", f"{n.name} now has {left} {t.many}."),
        "got": (f"Then {o.name} gave {n.him} {c} {t.many}.", f"Later {he} bought {c} more {t.many}."),
        "other": (f"{m.name} already had {z} {t.many}.", f"{n.he} also gave {m.name} {z} {other.many}.", f"{n.name} also has {z} {other.many}."),
    }
    had, gone, rest = f"{t.many} at first", "given away", f"{t.many} left"
    end = (f"How many {t.many} does {n.name} have now?", f"How many {t.many} does {n.name} have left?", "How many are left?", f"How many {t.many} did {he} keep?")
    return World(facts, (
        Ask("first gave", "other", end, ((had, a), (gone, b)), f"{had} - {gone}", f"{n.name} has {a} {t.many} and {b} go away, so subtract."),
        Ask("two", "other", end, ((had, a + c), ("given first", b), ("given then", c)), f"{had} - given first - given then", f"{b} and {c} of the {a + c} {t.many} go away, so subtract both."),
        Ask("two", "", (f"How many {t.many} did {n.name} give away?", f"How many {t.many} did {m.name} and {o.name} get in all?"), (("given first", b), ("given then", c)), "given first + given then", f"{b} and {c} {t.many} go away, so add these. The {a + c} at first do not matter."),
        Ask("first gave got", "", (f"How many {t.many} does {n.name} have now?",), ((had, a), (gone, b), ("got", c)), f"{had} - {gone} + got", f"{b} of the {a} {t.many} go away and {c} come, so subtract and then add."),
        Ask("some gave left", "other", (f"How many {t.many} did {n.name} have to start with?", f"How many {t.many} did {n.name} have at first?", f"How many did {he} start with?", f"How many {t.many} were there at the beginning?"),
            ((gone, b), (rest, left)), f"{gone} + {rest}", f"The {b} {t.many} that went and the {left} that are left were there at first, so add."),
        Ask("first any left", "other", (f"How many {t.many} did {n.name} give away?", f"How many {t.many} are gone?", f"How many {t.many} did {he} not keep?"),
            ((had, a), (rest, left)), f"{had} - {rest}", f"{n.name} had {a} {t.many} and has {left} left, so subtract."),
    ))


@world
def put_in_a_place(d: Draw) -> World:
    """Some are in a place; somebody puts some in or takes some out."""
    n, m, t = d.person(), d.person(), d.thing()
    place = d.pick("in the drawer", "on the desk", "in the box", "on the table", "in the closet", "on the shelf", "in the bag", "in the cabinet", "in the basket", "in the garage")
    a, b, c, z = d.number(), d.number(), d.number(), d.number()
    facts = {
        "are": (f"There are {a} {t.many} {place}.", f"There were {a} {t.many} {place}.", f"{a} {t.many} are {place}."),
        "in": (f"{n.name} {d.pick('placed', 'put')} {b} {t.many} {place}.", f"{n.name} put in {b} more {t.many}.", f"{n.name} adds {b} more {t.many}."),
        "in2": (f"{m.name} put {c} more there.", f"{m.name} added another {c} {t.many}."),
        "out": (f"{n.name} took {b} {t.many} out.", f"{n.name} took {b} of the {t.many}.", f"{n.name} takes out {b}."),
        "were": (f"There were {a + b} {t.many} {place}.",),
        "now": (f"There are now {a + b} {t.many} {place}.", f"Now there are {a + b} {t.many}."),
        "some": (f"{n.name} put some more there.", f"{n.name} placed several {t.many} there."),
        "other": (f"There are {z} {t.many} in another place.", f"{m.name} is {z % 12 + 5} years old."),
    }
    end = (f"How many {t.many} are now there in total?", f"How many {t.many} are {place} now?", f"How many {t.many} are there now?", f"How many {t.many} are there in all?")
    return World(facts, (
        Ask("are in", "other", end, ((f"{t.many} there", a), ("put in", b)), f"{t.many} there + put in", f"{b} {t.many} come to the {a}, so add."),
        Ask("are in in2", "", end, ((f"{t.many} there", a), ("put in", b), ("then", c)), f"{t.many} there + put in + then", f"{b} and {c} {t.many} come to the {a}, so add all."),
        Ask("are in in2", "", (f"How many {t.many} did they put there?", f"How many {t.many} were added in all?"), (("put in", b), ("then", c)), "put in + then", f"{b} and {c} {t.many} are put in, so add these. The {a} that were there do not matter."),
        Ask("were out", "other", (f"How many {t.many} are left?", f"How many {t.many} are still {place}?", f"How many {t.many} are {place} now?"), ((f"{t.many} there", a + b), ("taken", b)), f"{t.many} there - taken", f"{b} of the {a + b} {t.many} are taken out, so subtract."),
        Ask("are some now", "", (f"How many {t.many} did {n.name} put there?", f"How many {t.many} did {n.name} add?"), ((f"{t.many} now", a + b), (f"{t.many} before", a)), f"{t.many} now - {t.many} before", f"There were {a} {t.many} and now there are {a + b}, so subtract."),
    ))


@world
def put_together(d: Draw) -> World:
    """What two or three people, years or sorts have together, or how they differ."""
    n, m, o, t = d.person(), d.person(), d.person(), d.thing()
    a, b, c, z = d.number(2, 900) if d.rng.random() < 0.3 else d.number(), d.number(), d.number(), d.number()
    big, small_ = d.rng.randint(200, 9000), d.rng.randint(200, 9000)
    events, did, do = d.rng.choice([("games", "played", "play"), ("concerts", "went to", "go to"), ("movies", "watched", "watch"), ("matches", "won", "win"), ("trips", "made", "make"), ("books", "read", "read")])
    group, k, j = d.rng.choice([("employees", "part-time employees", "full-time employees"), ("passengers", "early passengers", "late passengers"), ("people", "children", "adults"), ("votes", "valid votes", "invalid votes"), ("houses", "old houses", "new houses"), ("fans", "young fans", "old fans")])
    facts = {
        "two": (f"{n.name} has {a} {t.many}. {m.name} has {b} {t.many}.", f"{n.name} had {a} {t.many} and {m.name} had {b} {t.many}.", f"{n.name} found {a} {t.many} and {m.name} found {b}."),
        "three": (f"{o.name} has {c} {t.many}.", f"{o.name} also found {c}."),
        "years": (f"{n.name} {did} {a} {events} this year and {b} {events} last year.", f"{n.name} {did} {a} {events} this year. {n.he} {did} {b} {events} last year."),
        "sorts": (f"A company counts {big} {k} and {small_} {j}.", f"There are {big} {k} and {small_} {j} in the town.", f"{big} {k} came. In addition {small_} {j} came."),
        "whole": (f"There are {big + small_} {group} in all.", f"Of {big + small_} {group} some are {k} and the rest {j}."), "part": (f"{big} of them are {k}.",),
        "other": (f"{o.name} has {z} dollars.", f"{o.name} {did} {z} {events}."),
    }
    return World(facts, (
        Ask("two", "other", (f"If they put their {t.many} together, how many would they have?", f"How many {t.many} do they have together?", f"How many {t.many} do {n.name} and {m.name} have in all?", f"How many {t.many} is that in total?"), ((f"{n.name} {t.many}", a), (f"{m.name} {t.many}", b)), f"{n.name} {t.many} + {m.name} {t.many}", f"{a} and {b} {t.many} together, so add."),
        Ask("two", "three other", (f"How many fewer {t.many} does {m.name} have than {n.name}?", f"How many more {t.many} does {n.name} have than {m.name}?"), ((f"{n.name} {t.many}", a), (f"{m.name} {t.many}", b)), f"{n.name} {t.many} - {m.name} {t.many}", f"Compare {n.name}'s {a} {t.many} with {m.name}'s {b}, so subtract."),
        Ask("two three", "", (f"How many {t.many} do they have in all?", f"How many {t.many} do the three have together?"), ((f"{n.name} {t.many}", a), (f"{m.name} {t.many}", b), (f"{o.name} {t.many}", c)), f"{n.name} {t.many} + {m.name} {t.many} + {o.name} {t.many}", f"{a}, {b} and {c} {t.many} together, so add."),
        Ask("years", "other", (f"How many {events} did {n.name} {do} in all?", f"How many {events} did {n.he.lower()} {do} altogether?"), ((f"{events} this year", a), (f"{events} last year", b)), f"{events} this year + {events} last year", f"{a} {events} this year and {b} last year, so add."),
        Ask("sorts", "", (f"How many {group} is that in all?", f"What is the total number of {group}?", f"How many {group} are there altogether?"), ((k, big), (j, small_)), f"{k} + {j}", f"{big} {k} and {small_} {j} together, so add."),
        Ask("whole part", "", (f"How many are {j}?", f"How many {j} are there?"), ((group, big + small_), (k, big)), f"{group} - {k}", f"Of the {big + small_} {group} {big} are {k}, so subtract."),
    ))


@world
def still_needed(d: Draw) -> World:
    """So many are needed, and some are there already; some more than are wanted; some of one state."""
    n, t, many = d.person(), d.thing(), d.rng.choice(PEOPLE)[0]
    k, j = d.two(t.kinds)
    b, c, more = d.number(), d.number(), d.number()
    need, he = b + c + more, n.he.lower()
    gone = d.rng.randint(1, b + c)
    facts = {
        "need": (f"{n.name} needs {need} {t.many} for a party.", f"{n.name} wants {need} {t.many}.", f"{n.name}'s goal is to have {need} {t.many}."),
        "has": (f"{n.he} already has {b} {k} {t.many} and {c} {j} {t.many}.", f"{n.he} has {b} {k} and {c} {j} ones."),
        "one": (f"{n.he} already has {b} {t.many}.", f"{n.he} has {b} of them."),
        "order": (f"The cafeteria ordered {b} {k} {t.many} and {c} {j} {t.many}.", f"The school got {b} {k} {t.many} and {c} {j} ones.", f"There were {b} {k} {t.many} and {c} {j} {t.many} in a store."),
        "want": (f"Only {gone} {many} wanted one.", f"But only {gone} of the {t.many} were taken.", f"During a sale they sold {gone} {t.many}.", f"{gone} {t.many} were sold."),
        "state": (f"{gone} of the {t.many} were used.", f"{gone} of them were used ones."), "sorts": (f"{n.name} bought {b} {k} {t.many} and {c} {j} {t.many}.", f"At the fair {n.name} got {b} {k} {t.many} and {c} {j} ones."), "used": (f"{gone} of the {t.many} were broken.", f"{gone} of them were damaged."),
    }
    kt, jt = f"{k} {t.many}", f"{j} {t.many}"
    return World(facts, (
        Ask("need has", "", (f"How many more {t.many} should {n.name} buy?", f"How many {t.many} are still missing?", f"How many more {t.many} does {he} need?"), (("needed", need), (kt, b), (jt, c)), f"needed - ({kt} + {jt})", f"{b} and {c} of the {need} {t.many} are there, so add these and then subtract."),
        Ask("need one", "", (f"How many more {t.many} does {n.name} need?", f"How many more {t.many} should {he} get?"), (("needed", need), ("there", b)), "needed - there", f"{b} of the {need} {t.many} are there, so subtract."),
        Ask("need has", "", (f"How many {t.many} does {n.name} already have?",), ((kt, b), (jt, c)), f"{kt} + {jt}", f"{b} and {c} {t.many} are there, so add. The {need} do not matter."),
        Ask("order", "want", (f"How many {t.many} were there at first?", f"How many {t.many} were ordered in all?"), ((kt, b), (jt, c)), f"{kt} + {jt}", f"{b} and {c} {t.many} were there, so add. The {gone} do not matter."),
        Ask("order want", "", ("How many extra are there in the end?", f"How many {t.many} are left?", f"How many {t.many} do they have left over?"), ((kt, b), (jt, c), ("taken", gone)), f"{kt} + {jt} - taken", f"{b} and {c} {t.many} are there and {gone} go, so add and then subtract."),
        Ask("sorts state", "", (f"How many new {t.many} did {he} get?", f"How many of the {t.many} were new?"), ((kt, b), (jt, c), ("used", gone)), f"{kt} + {jt} - used", f"{b} and {c} {t.many} are bought and {gone} are used ones, so add and then subtract."),
        Ask("sorts used", "", ("How many are still good?", f"How many good {t.many} did {n.name} buy?", f"How many of the {t.many} can {he} still use?"), ((kt, b), (jt, c), ("used", gone)), f"{kt} + {jt} - used", f"{b} and {c} {t.many} are bought and {gone} are not good, so add and then subtract."),
    ))


@world
def shared_out(d: Draw) -> World:
    """So many for so many: how many each, or how many groups, in few words."""
    n, t, other = d.person(), d.thing(), d.thing()
    many = d.rng.choice(PEOPLE)[0]
    boxes = d.rng.choice(CONTAINERS)
    g, s, extra, z = d.small(2, 25), d.small(2, 25), d.small(2, 20), d.number()
    total = g * s
    vans = d.rng.choice([("cars", "car"), ("vans", "van"), ("tables", "table"), ("buses", "bus"), ("rooms", "room"), ("boats", "boat"), ("benches", "bench")])
    facts = {
        "go": (f"{total} people are going to the zoo.", f"There are {total} {many} in the school.", f"{total} {many} go on a trip."), "vans": (f"There are {g} {vans[0]} to take them.", f"They have {g} {vans[0]}."),
        "seats": (f"Each {vans[1]} holds {s} people.", f"There are {s} seats in each {vans[1]}.", f"{s} fit in one {vans[1]}."),
        "friends": (f"{n.name} is inviting {g} friends to a party. {n.he} has {total} {t.many}.", f"{n.name} has {total} {t.many} for {g} friends.", f"{n.name} has {g} friends. {n.he} brings {total} {t.many} for them."),
        "requires": (f"Each {other.one} requires {s} {t.many}, and {n.name} has {total} {t.many}.", f"{n.name} has {total} {t.many} and needs {s} {t.many} to make one toy."),
        "have": (f"{n.name} has {total} {t.many}.", f"There are {total} {t.many}."), "into": (f"{n.he} puts them into {boxes[0]} with {s} in each.", f"The {t.many} come in {boxes[0]} of {s}."), "cups": (f"They go into {g} {boxes[0]} with the same number in each.",),
        "packs": (f"{n.name} has {g} {boxes[0]} of {t.many}. Each {boxes[1]} has {s} {t.many} in it.", f"There are {g} {boxes[0]} with {s} {t.many} each."), "loose": (f"{n.he} also has {extra} extra {t.many}.", f"There are {extra} loose {t.many} too."),
        "other": (f"{n.name} also has {z} {other.many}.", f"The trip takes {z} minutes."),
    }
    return World(facts, (
        Ask("go vans", "", (f"How many will go in each {vans[1]} if the same number go in each?", f"How many people are in each {vans[1]}?"), (("people", total), (vans[0], g)), f"people / {vans[0]}", f"{total} people are split over {g} {vans[0]}, so divide."),
        Ask("go seats", "other", (f"How many {vans[0]} are needed?", f"How many {vans[0]} are needed to take the trip?"), (("people", total), (f"in each {vans[1]}", s)), f"people / in each {vans[1]}", f"{s} of the {total} people fill one {vans[1]}, so divide."),
        Ask("friends", "", (f"How many {t.many} will each friend get?", "How many can each of them have?"), ((t.many, total), ("friends", g)), f"{t.many} / friends", f"{total} {t.many} are shared by {g} friends, so divide."),
        Ask("requires", "", ("How many can be made?", f"How many is {n.name} able to make?"), ((t.many, total), ("for each", s)), f"{t.many} / for each", f"{s} of the {total} {t.many} make one, so divide."),
        Ask("have into", "other", (f"How many {boxes[0]} are there?", f"How many {boxes[0]} does {n.name} need?"), ((t.many, total), ("in each", s)), f"{t.many} / in each", f"{s} of the {total} {t.many} fill one {boxes[1]}, so divide."),
        Ask("have cups", "", (f"How many {t.many} are in each {boxes[1]}?", f"How many {t.many} should go in each {boxes[1]}?"), ((t.many, total), (boxes[0], g)), f"{t.many} / {boxes[0]}", f"{total} {t.many} are split over {g} {boxes[0]}, so divide."),
        Ask("packs loose", "", (f"How many {t.many} are there altogether?", f"How many {t.many} does {n.name} have in all?"), ((boxes[0], g), ("in each", s), ("extra", extra)), f"{boxes[0]} * in each + extra", f"{g} {boxes[0]} with {s} {t.many} each, and {extra} more, so multiply and then add."),
        Ask("packs", "loose", (f"How many {t.many} are in the {boxes[0]}?",), ((boxes[0], g), ("in each", s)), f"{boxes[0]} * in each", f"{g} {boxes[0]} with {s} {t.many} each, so multiply. The {extra} others do not matter."),
        Ask("packs", "other", (f"How many {t.many} are there?", f"How many {t.many} is that in total?"), ((boxes[0], g), ("in each", s)), f"{boxes[0]} * in each", f"{g} {boxes[0]} with {s} {t.many} each, so multiply."),
    ))


@world
def rest_in_groups(d: Draw) -> World:
    """Some leave, and what is there then is grouped, worth something, or of two sizes."""
    many, place = d.rng.choice(PEOPLE)[0], d.rng.choice(PEOPLE_PLACES)
    n = d.person()
    g, s, gone, u, v = d.small(2, 15), d.small(2, 15), d.small(2, 40), d.small(2, 12), d.small(2, 20)
    unit, units = d.rng.choice([("table", "tables"), ("team", "teams"), ("group", "groups"), ("row", "rows")])
    facts = {
        "start": (f"There were {g * s + gone} {many} {place}.", f"{g * s + gone} {many} were {place}.", f"A waiter had {g * s + gone} customers."), "left": (f"{gone} of them left.", f"{gone} left.", f"{gone} did not stay."),
        "per": (f"The rest sat with {s} at each {unit}." if unit == "table" else f"The rest made {units} of {s}.", f"There were {s} in each {unit}."), "into": (f"The rest were put into {g} {units}.", f"The others form {g} equal {units}."),
        "play": (f"{g + gone} friends were playing a game when {gone} quit.", f"There were {g + gone} players in a game, and {gone} of them left."), "lives": (f"Each player left had {s} {d.pick('lives', 'points', 'cards')}.",),
        "right": (f"{n.name} answered {g} questions right in the first half and {gone} in the second half.", f"{n.name} hit {g} targets at first and {gone} targets later."), "worth": (f"Each was worth {s} points.", f"{n.he} got {s} points for each."),
        "sizes": (f"They took {u} vans and {v} buses. There were {s} people in each van and {g} people in each bus.", f"There were {s} people in each of {u} vans and {g} people in each of {v} buses."),
    }
    return World(facts, (
        Ask("start left per", "", (f"How many {units} were there?", f"How many {units} is that?"), ((many, g * s + gone), ("left", gone), ("in each", s)), f"({many} - left) / in each", f"{gone} of the {g * s + gone} leave, and {s} of the others make one {unit}, so subtract and then divide."),
        Ask("start left", "per into", (f"How many {many} stayed?", "How many did not leave?"), ((many, g * s + gone), ("left", gone)), f"{many} - left", f"{gone} of the {g * s + gone} leave, so subtract."),
        Ask("right", "worth", ("How many is that altogether?", f"How many did {n.name} get in both halves?"), (("first", g), ("second", gone)), "first + second", f"{g} and {gone} of them, so add. The points do not matter."),
        Ask("sizes", "", ("How many people went in vans?", "How many people were in the vans?"), (("vans", u), ("in each van", s)), "vans * in each van", f"{u} vans with {s} people each, so multiply. The buses do not matter."),
        Ask("sizes", "", ("How many vans and buses did they take?",), (("vans", u), ("buses", v)), "vans + buses", f"{u} vans and {v} buses, so add."),
        Ask("start left into", "", (f"How many were in each {unit}?", f"How many {many} are in each {unit}?"), ((many, g * s + gone), ("left", gone), (units, g)), f"({many} - left) / {units}", f"{gone} of the {g * s + gone} leave, and the others are split over {g} {units}, so subtract and then divide."),
        Ask("play lives", "", ("How many did they have in total?", "What do all who are left have together?"), (("players", g + gone), ("left", gone), ("each", s)), "(players - left) * each", f"{gone} of the {g + gone} leave, and each of the others has {s}, so subtract and then multiply."),
        Ask("right worth", "", ("What was the final score?", f"How many points did {n.name} have?"), (("first", g), ("second", gone), ("points each", s)), "(first + second) * points each", f"{g} and {gone} of them at {s} points each, so add and then multiply."),
        Ask("sizes", "", ("How many people went in all?", "How many people is that?"), (("vans", u), ("in each van", s), ("buses", v), ("in each bus", g)), "vans * in each van + buses * in each bus", f"{u} times {s} people in vans and {v} times {g} in buses, so multiply and add."),
    ))


@world
def score_up_and_down(d: Draw) -> World:
    """Points, degrees, floors or dollars that rise and fall."""
    n = d.person()
    up, down, c = d.number(), d.number(2, 60), d.number()
    a = d.number() + down
    facts = {
        "rounds": (f"{n.name} scored {a} points in the first round and {up} points in the second round.", f"In a game {n.name} got {a} points and then {up} points."), "lost": (f"In the last round {n.he.lower()} lost {down} points.", f"Then {n.he.lower()} lost {down} of them."),
        "money": (f"{n.name} had {a} dollars. {n.he} got {up} more dollars for {n.his.lower()} birthday.", f"{n.name} saved {a} dollars and then earned {up} dollars."), "spent": (f"{n.he} spent {down} dollars on a game.", f"But {n.he.lower()} spent {down} dollars."),
        "games": (f"A team played {a + c} games this year.", f"{n.name}'s team played {a + c} games."), "defeat": (f"They lost {a} games.", f"They were beaten in {a} of them."),
    }
    return World(facts, (
        Ask("rounds lost", "", (f"How many points did {n.he.lower()} have at the end?", f"What was {n.his.lower()} final score?"), (("first", a), ("second", up), ("lost", down)), "first + second - lost", f"{a} and {up} points come and {down} go, so add and then subtract."),
        Ask("rounds", "lost", (f"How many points did {n.name} score in the two rounds?", "How many points was that before the last round?"), (("first", a), ("second", up)), "first + second", f"{a} and {up} points come, so add. What was lost later does not matter."),
        Ask("money", "spent", (f"How much money did {n.name} have before {n.he.lower()} spent any?", f"How many dollars did {n.name} have in all?"), (("had", a), ("got", up)), "had + got", f"{a} and {up} dollars come, so add. What was spent does not matter."),
        Ask("money spent", "", (f"How much money does {n.name} have now?", "How many dollars are left?"), (("had", a), ("got", up), ("spent", down)), "had + got - spent", f"{a} and {up} dollars come and {down} go, so add and then subtract."),
        Ask("games defeat", "", ("How many games did they win?", "How many games were won?"), (("games", a + c), ("lost", a)), "games - lost", f"Of the {a + c} games {a} were lost, so subtract."),
    ))
