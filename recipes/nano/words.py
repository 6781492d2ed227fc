"""Vocabularies for the slots of problem templates; names have a side that only evaluation draws from."""

from __future__ import annotations

NAMES = (
    "Ada Alan Alice Amir Amy Anna Ari Ben Bella Boris Carl Carla Chen Clara Cora Dan Dana David Diego Dora Ed Eli "
    "Ella Emil Emma Erik Eva Felix Finn Fred Gina Grace Greta Hana Hans Hugo Ida Igor Ines Iris Ivan Jack Jana "
    "Jane Jim Joan Joe John Jon Julia June Kai Karl Kate Kim Lara Lea Lena Leo Lily Lisa Luca Lucy Luis Maja Marc "
    "Maria Mark Mary Max Maya Mia Milo Mina Nadia Nick Nina Noah Nora Olga Oscar Paul Pedro Peter Petra Pia Rosa "
    "Ruth Sam Sara Sofia Sven Tara Tim Tina Tom Uma Vera Victor Will Yuki Zoe"
).split()
HELD_OUT_NAMES = (
    "Agnes Bruno Celine Dmitri Edith Farid Gustav Helga Imran Jasper Kemal Lorna Magnus Nelson Ophelia Pavel Quentin "
    "Rachel Stefan Tobias Ursula Valentin Wanda Xavier Yasmin Zacharias"
).split()

WORDS: dict[str, tuple[str, ...]] = {
    "item": tuple(
        "apples books pens pencils notebooks oranges cookies stickers marbles cards balloons candles cups plates toys "
        "shirts hats lamps chairs tickets stamps coins shells beads buttons bottles boxes bags eggs muffins".split()
    ),
    "thing": tuple("apple book pen notebook ticket lamp chair shirt hat toy cup plate candle bag bottle box".split()),
    "food": tuple("rice flour sugar beans corn wheat oats salt nuts tea coffee honey".split()),
    "animal": tuple("cows sheep goats horses ducks hens rabbits pigs geese bees".split()),
    "place": tuple("shop market school library farm factory museum park bakery garden station office".split()),
    "city": tuple("Rome Paris Oslo Lima Cairo Delhi Tokyo Berlin Madrid Boston Dallas Vienna Athens Dublin".split()),
    "color": tuple("red blue green yellow white black brown purple orange pink".split()),
    "marble_color": tuple("red blue green yellow white black brown purple pink".split()),
    "day": tuple("Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()),
    "vehicle": tuple("car train bus truck van boat tram".split()),
    "job": tuple("baker farmer teacher driver painter carpenter tailor gardener plumber writer".split()),
    "var": tuple("x y z n t".split()),
    "shop": tuple("shop market store kiosk supermarket bazaar".split()),
    "goods": tuple(
        "bicycle camera table sofa radio watch jacket coat guitar desk mirror carpet phone tent bed".split()
    ),
    "group": tuple("children friends pupils guests players neighbors workers students".split()),
    "sweet": tuple("candies cookies stickers marbles cards balloons toys shells beads buttons coins stamps".split()),
    "bird": tuple("hens ducks geese chickens turkeys".split()),
    "beast": tuple("cows sheep goats horses pigs donkeys".split()),
    "event": tuple("concert play show match movie circus fair".split()),
    "liquid": tuple("juice milk syrup paint vinegar lemonade".split()),
    "coinage": tuple("pesos euros yen crowns rupees".split()),
    "old": tuple("tree house tower castle bridge church temple mill palace".split()),
}
