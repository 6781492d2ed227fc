"""Names, things, places and times that the worlds speak of."""

from __future__ import annotations

from dataclasses import dataclass

# What a world says is easier to read a line a fact.
# fmt: off

SHE = tuple(
    "Anna Beth Carla Diana Elena Fatima Grace Hannah Isha Jane Kendra Lucy Mandy Nora Olga Paula Rachel Sara Tina Uma "
    "Vera Wendy Yara Zoe Alice Bridget Cindy Debby Emily Faye Gwen Haley Iris Joan Karen Lisa Maria Nancy Olivia Pam "
    "Rosa Sally Tanya Amy Robin Jessica Megan Katie Priya Mei Aisha Ingrid Chloe Victoria Marta Leila Sofia".split()
)
HE = tuple(
    "Adam Brian Carlos Dan Edward Frank George Henry Ivan Jack Kevin Luke Mike Nathan Oscar Paco Robert Sam Tom Victor "
    "Will Zach Alan Ben Chris David Eric Fred Greg Haroldo Ian James Keith Leo Matthew Neil Omar Peter Randy Steven "
    "Tim Walter Ahmed Bobby Dave Jerry Josh Kenji Ravi Mateo Lewis Ned Faisal Jason Jake Philip Roger Todd".split()
)


@dataclass(frozen=True)
class Thing:
    """A countable noun.

    Attributes:
        many, one: plural and singular.
        kinds: adjectives that tell two sorts of it apart.
        gained, lost: verbs (past) with which somebody comes to have some, or has them no more.
    """

    many: str
    one: str
    kinds: tuple[str, ...]
    gained: tuple[str, ...]
    lost: tuple[str, ...]


_TOY_GAIN = ("bought", "found", "won", "collected", "got", "received")
_TOY_LOSS = ("lost", "sold", "gave away", "threw away", "broke", "donated", "traded")
_FOOD_GAIN = ("bought", "got", "ordered", "received", "brought home")
_FOOD_LOSS = ("ate", "sold", "gave away", "threw away", "shared")
_BAKED_GAIN = ("baked", "made", "bought", "prepared")
_FRUIT_GAIN = ("picked", "bought", "gathered", "found", "received")
_TOOL_LOSS = ("used", "lost", "gave away", "lent out", "sold", "threw away")
_COLOURS = ("red", "blue", "green", "yellow", "white", "black", "orange", "purple", "pink")
_SIZES = ("big", "small")
_AGES = ("old", "new")


def _things(text: str, kinds: tuple[str, ...], gained: tuple[str, ...], lost: tuple[str, ...]) -> list[Thing]:
    result = []
    for entry in text.split(","):
        many, _, one = entry.strip().partition("/")
        result.append(Thing(many, one or many.removesuffix("s"), kinds, gained, lost))
    return result


THINGS: list[Thing] = [
    *_things(
        "marbles, stickers, coins, stamps, bottle caps, toy cars, dolls, blocks, beads, shells, action figures, "
        "puzzles, badges, postcards, trading cards, video games, rings, ribbons, balloons, buttons, kites, balls, "
        "model planes, key chains, magnets, posters, hats, scarves/scarf, shirts, socks, gloves, shoes, necklaces, "
        "dvds, albums, crystals, feathers, pebbles, figurines, comics, bracelets, tickets",
        _COLOURS + _SIZES + _AGES, _TOY_GAIN, _TOY_LOSS,
    ),
    *_things(
        "pencils, pens, erasers, notebooks, markers, crayons, folders, rulers, batteries/battery, candles, envelopes, "
        "nails, screws, bricks, boards, paint cans, plates, cups, napkins, towels, chairs, lamps, books, magazines, "
        "paper clips, glue sticks, brushes/brush, boxes/box, bags, bottles, tiles, ropes, sheets of paper/sheet of paper",
        _COLOURS + _SIZES + _AGES, ("bought", "got", "found", "ordered", "received"), _TOOL_LOSS,
    ),
    *_things(
        "cookies/cookie, cakes, cupcakes, muffins, pies/pie, brownies/brownie, loaves of bread/loaf of bread, pastries/pastry, "
        "pancakes, donuts, biscuits, rolls, tarts, waffles",
        ("chocolate", "vanilla", "sweet", "salty", "lemon", "big", "small", "plain"), _BAKED_GAIN, _FOOD_LOSS,
    ),
    *_things(
        "apples, pears, oranges, lemons, limes, peaches/peach, plums, bananas, mangoes/mango, strawberries/strawberry, "
        "cherries/cherry, tomatoes/tomato, potatoes/potato, carrots, onions, pumpkins, cucumbers, melons, peppers, nuts, figs",
        ("ripe", "green", "red", "big", "small", "fresh", "yellow"), _FRUIT_GAIN, _FOOD_LOSS,
    ),
    *_things(
        "candies/candy, chocolate bars, lollipops, sandwiches/sandwich, pizzas, burgers, eggs, slices of cheese/slice of cheese, "
        "ice cream cones, juice boxes/juice box, bottles of water/bottle of water, cans of soda/can of soda, gumballs, crackers, "
        "hot dogs, bagels, pretzels, jelly beans",
        ("large", "small", "cheap", "plain", "fresh"), _FOOD_GAIN, _FOOD_LOSS,
    ),
    *_things(
        "roses/rose, tulips, daisies/daisy, sunflowers, lilies/lily, seeds, leaves/leaf, branches/branch, pine cones",
        _COLOURS + _SIZES, ("picked", "bought", "planted", "gathered", "received"), ("gave away", "sold", "threw away", "lost"),
    ),
]  # fmt: skip

PEOPLE: list[tuple[str, str, tuple[str, str]]] = [
    ("children", "child", ("boys", "girls")), ("students", "student", ("boys", "girls")),
    ("visitors", "visitor", ("adults", "children")), ("guests", "guest", ("men", "women")),
    ("passengers", "passenger", ("men", "women")), ("workers", "worker", ("managers", "clerks")),
    ("players", "player", ("beginners", "experts")), ("teachers", "teacher", ("men", "women")),
    ("campers", "camper", ("boys", "girls")), ("dancers", "dancer", ("boys", "girls")),
    ("customers", "customer", ("adults", "children")), ("swimmers", "swimmer", ("adults", "children")),
    ("runners", "runner", ("men", "women")), ("singers", "singer", ("men", "women")),
]  # fmt: skip
ANIMALS: list[tuple[str, str]] = [
    ("birds", "bird"), ("ducks", "duck"), ("cows", "cow"), ("sheep", "sheep"), ("horses", "horse"), ("frogs", "frog"),
    ("rabbits", "rabbit"), ("fish", "fish"), ("bees", "bee"), ("chickens", "chicken"), ("monkeys", "monkey"),
    ("dogs", "dog"), ("cats", "cat"), ("goats", "goat"), ("squirrels", "squirrel"), ("turtles", "turtle"),
    ("penguins", "penguin"), ("deer", "deer"), ("storks", "stork"), ("ants", "ant"), ("geese", "goose"),
]  # fmt: skip
TREES = ("oak", "maple", "walnut", "pine", "cherry", "apple", "palm", "birch", "orange", "willow", "plum", "lemon")
ANIMAL_PLACES = ("on the fence", "in the pond", "on the farm", "in the field", "under the tree", "in the park",
                 "on the hill", "near the lake", "in the yard", "at the zoo")  # fmt: skip
PEOPLE_PLACES = ("on the bus", "in the library", "in the museum", "on the playground", "at the pool", "in the hall",
                 "on the train", "in the gym", "at the fair", "in the theater", "at the party", "in the shop")  # fmt: skip
CONTAINERS: list[tuple[str, str]] = [
    ("boxes", "box"), ("bags", "bag"), ("baskets", "basket"), ("packs", "pack"), ("jars", "jar"), ("trays", "tray"),
    ("crates", "crate"), ("cartons", "carton"), ("shelves", "shelf"), ("drawers", "drawer"), ("rows", "row"),
    ("piles", "pile"), ("bins", "bin"), ("packages", "package"), ("containers", "container"), ("buckets", "bucket"),
    ("groups", "group"), ("cases", "case"),
]  # fmt: skip
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
TIMES: list[tuple[str, str, str]] = [
    ("in the morning", "in the afternoon", "in the evening"),
    ("yesterday", "today", "the day before yesterday"),
    ("in the first week", "in the second week", "in the third week"),
    ("in March", "in April", "in May"),
    ("in the first hour", "in the second hour", "in the third hour"),
    ("last year", "this year", "two years ago"),
    ("last week", "this week", "two weeks ago"),
]
ACTIVITIES: list[tuple[str, str, str, str]] = [
    # verb (past), verb (plain), unit, place of the verb's object
    ("read", "read", "pages", "of the book"), ("ran", "run", "miles", ""), ("walked", "walk", "kilometers", ""),
    ("biked", "bike", "miles", ""), ("swam", "swim", "laps", ""), ("did", "do", "push-ups", ""),
    ("solved", "solve", "problems", ""), ("typed", "type", "words", ""), ("scored", "score", "points", ""),
    ("drove", "drive", "miles", ""), ("wrote", "write", "letters", ""), ("picked", "pick", "oranges", ""),
    ("sold", "sell", "tickets", ""), ("made", "make", "bracelets", ""), ("washed", "wash", "cars", ""),
    ("painted", "paint", "pictures", ""), ("earned", "earn", "dollars", ""), ("saved", "save", "dollars", ""),
    ("caught", "catch", "fish", ""), ("planted", "plant", "flowers", ""), ("learned", "learn", "words", ""),
    ("did", "do", "jumping jacks", ""), ("climbed", "climb", "steps", ""), ("baked", "bake", "cakes", ""),
    ("folded", "fold", "shirts", ""), ("delivered", "deliver", "newspapers", ""), ("took", "take", "photos", ""),
]  # fmt: skip
