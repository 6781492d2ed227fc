"""Families about rates: travel, work together, ages, mixtures, ratios, fuel, units of time."""

from __future__ import annotations

from fractions import Fraction

from recipes.nano.family import Family, Step

FAMILIES = (
    Family(
        name="travel_two_legs",
        wordings=(
            "A {vehicle} drives {h} hours at {v} km per hour and then {k} hours at {w} km per hour. "
            "How many km does it cover?",
            "How far does a {vehicle} go in {h} hours at {v} km per hour followed by {k} hours at {w} km per hour?",
            "A {vehicle} first travels at {v} km per hour for {h} hours, then at {w} km per hour for {k} hours. "
            "Find the whole distance.",
            "{name} rides in a {vehicle}, at first for {h} hours at {v} km per hour, later for {k} hours at {w} km per "
            "hour. What distance is that in km?",
            "Find the total distance of a trip: {h} hours at {v} km per hour, then {k} hours at {w} km per hour.",
            "The first part of a trip takes {h} hours at {v} km per hour. The second part takes {k} hours at {w} km "
            "per hour. How long is the trip in km?",
            "On the way to {city} a {vehicle} goes at {v} km per hour for {h} hours and at {w} km per hour for the "
            "last {k} hours. How many km is the way?",
            "What is the length of the way if {name} drives for {h} hours at {v} km per hour and for {k} more hours at "
            "{w} km per hour?",
            "At {v} km per hour for {h} hours, and after that at {w} km per hour for {k} hours, how far does the "
            "{vehicle} get?",
            "During {h} hours a {vehicle} keeps a speed of {v} km per hour. During the next {k} hours its speed is "
            "{w} km per hour. Compute the distance.",
            "{name} needs {h} hours at {v} km per hour and another {k} hours at {w} km per hour to reach {city}. "
            "How far away is it?",
            "A {vehicle} has a speed of {v} km per hour for {h} hours and of {w} km per hour for the next {k} hours. "
            "Compute how many km it travels altogether.",
            "Let a {vehicle} go {h} hours at {v} km per hour, and let it go {k} hours at {w} km per hour after "
            "that. Work out the whole way.",
            "Determine the distance in km: {h} hours with {v} km per hour, afterwards {k} hours with {w} km per hour.",
            "Part one: {h} hours, {v} km per hour. Part two: {k} hours, {w} km per hour. Distance in km?",
            "If {name} travels {h} hours at {v} km per hour and then changes to {w} km per hour for {k} hours, "
            "then how many km does {name} travel?",
            "A {vehicle} starts with {v} km per hour and keeps this up for {h} hours. Then the speed changes to "
            "{w} km per hour, and {k} hours later it stops. How far did it go?",
            "{name} left home and drove at {v} km per hour for {h} hours. After a rest, {name} went on at {w} km "
            "per hour for {k} hours. Give the length of the trip in km.",
            "{v} km per hour is the speed of a {vehicle} until {h} hours have passed. Then it moves on with {w} km "
            "per hour, and this lasts {k} hours. Say how long the road was in km.",
            "The road to {city} was good at first, so the {vehicle} went {v} km per hour for {h} hours. Then it "
            "was bad, and the {vehicle} went {w} km per hour for {k} hours. How many km was the road?",
            "A driver keeps to {v} km per hour on the first day, {h} hours long, and to {w} km per hour on the "
            "second day, {k} hours long. Work out the km of both days.",
            "First come {h} hours of driving at {v} km per hour. Then come {k} hours of driving at {w} km per "
            "hour. What number of km are driven?",
        ),
        unseen_wordings=(
            "For {h} hours {name} drives at {v} km per hour, and for the next {k} hours at {w} km per hour. "
            "Compute the total number of km.",
            "The speed of a {vehicle} is {v} km per hour in the first {h} hours and {w} km per hour in the last {k} "
            "hours. What distance does it cover?",
            "How many km lie behind a {vehicle} that went {h} hours at {v} km per hour and then {k} hours at {w} km "
            "per hour?",
        ),
        numbers={"h": (11, 99), "v": (11, 150), "k": (11, 99), "w": (11, 150)},
        accept=lambda v: len(set(v.values())) == 4,
        steps=(
            Step(
                texts=(
                    "First we find the distance of the first part: the hours times the speed.",
                    "Distance is speed times time. We begin with the first part of the trip.",
                ),
                code="hours1 = {h}\nspeed1 = {v}\ndistance1 = hours1 * speed1\ndistance1",
            ),
            Step(
                texts=(
                    "The first part is {out1} km long. The second part is found in the same way.",
                    "That makes {out1} km. Now comes the second part with its own speed.",
                ),
                code="hours2 = {k}\nspeed2 = {w}\ndistance2 = hours2 * speed2\ndistance2",
            ),
            Step(
                texts=(
                    "The second part is {out2} km long. The trip is the sum of both parts.",
                    "At last we add the two distances to find the whole way.",
                ),
                code="total = distance1 + distance2\ntotal",
            ),
        ),
        closings=("The whole distance is \\boxed{{result}} km.", "The trip is \\boxed{{result}} km long."),
        answer=lambda v: v["h"] * v["v"] + v["k"] * v["w"],
    ),
    Family(
        name="trains_meet",
        wordings=(
            "Two trains are {d} km apart and drive toward each other, one at {u} km per hour, the other at {v} km per "
            "hour. After how many hours do they meet?",
            "In how many hours do two trains meet if they drive toward each other at {u} km per hour and {v} km per "
            "hour from a distance of {d} km?",
            "One train goes at {u} km per hour and another comes toward it at {v} km per hour. They start {d} km "
            "apart. Find the hours until they meet.",
            "Two stations are {d} km apart. From each a train starts toward the other, at {u} km per hour and at {v} "
            "km per hour. When do the trains meet, in hours?",
            "Driving toward each other at {u} km per hour and {v} km per hour, when will two cars that are {d} km "
            "apart meet? Give the hours.",
            "Find after how many hours two cars meet that start {d} km apart and drive toward each other with {u} km "
            "per hour and {v} km per hour.",
            "{name} and {name2} are {d} km apart. They ride toward each other, {name} at {u} km per hour and {name2} "
            "at {v} km per hour. How many hours pass until they meet?",
            "{name} drives at {u} km per hour toward {name2}, who comes at {v} km per hour. They are {d} km apart. "
            "In how many hours do they meet?",
            "The way between two towns is {d} km. Two buses leave the towns toward each other at {u} km per hour and "
            "{v} km per hour. How many hours is it until they meet?",
            "Speeds of {u} km per hour and {v} km per hour bring two boats toward each other. At first they are {d} km "
            "apart. Compute the hours until they meet.",
            "A car starts at {u} km per hour toward a bus that comes at {v} km per hour from {d} km away. "
            "How many hours is it until they meet?",
            "What time in hours do two trains need to meet when they are {d} km apart and come toward each other at "
            "{u} km per hour and {v} km per hour?",
            "Let two trains start toward each other from {d} km apart, with {u} km per hour and {v} km per hour. "
            "Work out when they meet, in hours.",
            "Determine the hours until two cars meet: {d} km apart, {u} km per hour and {v} km per hour, toward "
            "each other.",
            "Distance: {d} km. Speeds toward each other: {u} km per hour and {v} km per hour. Hours until they meet?",
            "If two buses that are {d} km apart come toward each other with speeds of {u} km per hour and {v} km "
            "per hour, then how long does it take before they meet, in hours?",
            "A road of {d} km joins the homes of {name} and {name2}. Both start at once toward each other. {name}"
            " makes {u} km per hour and {name2} makes {v} km per hour. How many hours later do they meet?",
            "{name} leaves {city} at {u} km per hour. At the same time {name2} starts {d} km away and comes "
            "toward {name} at {v} km per hour. Give the time in hours until both meet.",
            "A boat makes {u} km per hour and another boat makes {v} km per hour. They are {d} km away from each "
            "other and come closer. How many hours go by before they meet?",
            "How long must {name} drive at {u} km per hour to meet {name2}, who is {d} km away and drives toward "
            "{name} at {v} km per hour? Give hours.",
            "Between two trains there are {d} km of track. The first moves at {u} km per hour toward the second, "
            "the second at {v} km per hour toward the first. After what time in hours do they meet?",
            "One bus drives at {u} km per hour, and one truck drives at {v} km per hour the other way, straight "
            "toward the bus. With {d} km between them, how many hours remain until they meet? Work it out.",
        ),
        unseen_wordings=(
            "Two boats start {d} km apart, and they come toward each other. Their speeds are {u} km per hour and {v} "
            "km per hour. Find the number of hours until they meet.",
            "At {u} km per hour {name} rides toward {name2}, who rides toward {name} at {v} km per hour. If they start "
            "{d} km apart, how many hours does it take until they meet?",
            "How many hours pass until a train at {u} km per hour and a train at {v} km per hour meet, if they drive "
            "toward each other and are {d} km apart?",
        ),
        numbers={"d": (200, 3000), "u": (11, 99), "v": (11, 99)},
        accept=lambda v: v["u"] != v["v"],
        steps=(
            Step(
                texts=(
                    "They come closer with the sum of both speeds, so we divide the distance by it.",
                    "The two speeds add up. The time is the distance over their sum, as an exact fraction.",
                ),
                code=(
                    "from sympy import Rational\n"
                    "distance = {d}\n"
                    "speed1 = {u}\n"
                    "speed2 = {v}\n"
                    "Rational(distance, speed1 + speed2)"
                ),
            ),
        ),
        closings=("They meet after \\boxed{{result}} hours.", "It takes \\boxed{{result}} hours until they meet."),
        answer=lambda v: Fraction(v["d"], v["u"] + v["v"]),
    ),
    Family(
        name="work_together",
        wordings=(
            "{name} can do a job alone in {a} hours, and {name2} can do it alone in {b} hours. How many hours do they "
            "need together?",
            "One machine needs {a} hours for a job, another needs {b} hours alone. How long do both take together?",
            "How many hours do {name} and {name2} need together for a job that takes {name} {a} hours alone and "
            "{name2} {b} hours alone?",
            "Working alone, {name} needs {a} hours for a job. {name2} alone needs {b} hours. "
            "Find the time for both together.",
            "A pump empties a pool in {a} hours alone, a second pump in {b} hours alone. In how many hours do both "
            "pumps empty it together?",
            "Alone a {job} finishes a job in {a} hours. A helper finishes it alone in {b} hours. "
            "How long does it take when they work together?",
            "Find the hours that two machines need together if one alone takes {a} hours and the other alone takes "
            "{b} hours for the job.",
            "If {name} paints a house alone in {a} hours and {name2} paints it alone in {b} hours, how many hours "
            "does it take them together?",
            "Together, how many hours do two workers need, when the first alone needs {a} hours and the second alone "
            "needs {b} hours for the same job?",
            "A job takes {name} {a} hours alone and {name2} {b} hours alone. They work together. Compute the hours.",
            "Two pumps work together to fill a pool. Alone the first takes {a} hours and the second takes {b} hours. "
            "What time in hours do they need?",
            "{a} hours are needed by one machine alone, {b} hours by another machine alone. What time does the job "
            "take with both together?",
            "Let one worker need {a} hours alone and let another need {b} hours alone. Work out the hours for the"
            " two together.",
            "Determine the time together, in hours: the first alone {a} hours, the second alone {b} hours.",
            "First machine alone: {a} hours. Second machine alone: {b} hours. Both together?",
            "If one pump alone fills a tank in {a} hours and another alone fills it in {b} hours, then how long "
            "do they take side by side, in hours?",
            "{name} can build a wall alone in {a} hours. With the help of {name2}, who alone would take {b} "
            "hours, the wall is done sooner. After how many hours?",
            "There is a field to clean. {name} could clean it alone in {a} hours, and {name2} could clean it "
            "alone in {b} hours. They share the work. Give the time in hours.",
            "How soon, in hours, is a job done by two machines at once, when the old machine alone needs {a} "
            "hours and the new one alone {b} hours?",
            "It takes a {job} {a} hours to finish a room alone, and a friend {b} hours to finish it alone. Both "
            "begin at the same time in the same room. How many hours pass until it is done?",
            "Two people share one job. By himself the first is done in {a} hours, by himself the second is done "
            "in {b} hours. What time in hours do the two take?",
            "A tank is filled by two pipes at once. One pipe alone would take {a} hours, the other alone would "
            "take {b} hours. Work out how many hours the filling takes.",
        ),
        unseen_wordings=(
            "{name} and {name2} work together on a job. {name} alone would need {a} hours, {name2} alone {b} hours. "
            "In how many hours do they finish?",
            "To fill a pool, one pump alone takes {a} hours and another alone takes {b} hours. "
            "Find the hours when both work together.",
            "What time do a {job} and a helper need together for a house, if the {job} alone needs {a} hours and the "
            "helper alone needs {b} hours?",
        ),
        numbers={"a": (11, 200), "b": (11, 200)},
        accept=lambda v: v["a"] != v["b"],
        steps=(
            Step(
                texts=(
                    "Every hour each does its part of the job. We add the two rates and invert the sum.",
                    "The rates are one over the hours. The time together is one over their sum.",
                ),
                code=(
                    "from sympy import Rational\n"
                    "hours1 = {a}\n"
                    "hours2 = {b}\n"
                    "rate = Rational(1, hours1) + Rational(1, hours2)\n"
                    "1 / rate"
                ),
            ),
        ),
        closings=("Together they need \\boxed{{result}} hours.", "It takes \\boxed{{result}} hours together."),
        answer=lambda v: Fraction(v["a"] * v["b"], v["a"] + v["b"]),
    ),
    Family(
        name="ages_sum",
        wordings=(
            "The {old} is {k} years older than the {old2}. Their ages add up to {s} years. How old is the {old}?",
            "The ages of a {old} and a {old2} add up to {s} years, and the {old} is {k} years older. How old is the "
            "{old}?",
            "How old is a {old} that is {k} years older than the {old2}, if their ages add up to {s} years?",
            "Together the {old} and the {old2} are {s} years old. The {old} is {k} years older than the {old2}. "
            "Find the age of the {old}.",
            "Find the age of the older tree: one is {k} years older than the other, and together they are {s} years "
            "old.",
            "Two houses are together {s} years old. One is {k} years older than the other. How old is the older one?",
            "In {city} a {old} is {k} years older than a {old2}. Their ages have a sum of {s} years. "
            "What is the age of the {old}?",
            "The sum of two ages is {s} years. The {old} is older by {k} years. What age does the {old} have?",
            "A {old} is older than a {old2} by {k} years. The sum of their ages is {s} years. Compute the age of the "
            "{old}.",
            "If two towers are {s} years old together and the first is {k} years older, what is the age of the first?",
            "With {k} years more than the {old2}, the {old} is the older one. Both together are {s} years old. "
            "How old is the {old}?",
            "What is the age of the older one of two castles that are together {s} years old, if it is {k} years "
            "older?",
            "Let a {old} be {k} years older than a {old2}, and let their ages have the sum {s} years. Work out "
            "the age of the {old}.",
            "Determine how old the {old} is: {k} years older than the {old2}, both ages together {s} years.",
            "Sum of the ages: {s} years. The {old} is {k} years older than the {old2}. Age of the {old}?",
            "If the {old} was built {k} years before the {old2} and their ages make {s} years together, then how "
            "old is the {old}?",
            "There are two bridges in {city}. Their ages give {s} years when added. One is {k} years older than "
            "the other. How many years old is the older bridge?",
            "Adding the age of a {old} and the age of a {old2} gives {s} years. Between them lie {k} years, and "
            "the {old} is older. Give the age of the {old}.",
            "A guide tells {name} that the {old} and the {old2} are {s} years old in total. The {old} is the "
            "older one by {k} years. How many years old is it?",
            "The difference of two ages is {k} years and their sum is {s} years. How large is the greater age?",
            "{k} years lie between the ages of two churches, and {s} years is the sum of the ages. How old is the"
            " church that was built first?",
            "How many years ago was the {old} built, if it is {k} years older than the {old2} and both ages add "
            "up to {s} years? Work it out.",
        ),
        unseen_wordings=(
            "Their ages add up to {s} years, and the {old} is older than the {old2} by {k} years. "
            "What is the age of the {old}?",
            "Compute the age of a {old}: it is {k} years older than the {old2}, and together they are {s} years old.",
            "{name} lives in a {old} near a {old2}. The {old} is {k} years older, and the sum of both ages is {s} "
            "years. How old is the {old}?",
        ),
        numbers={"k": (11, 300), "y": (11, 400)},
        accept=lambda v: v["k"] != v["y"],
        derive=lambda v: {"s": 2 * v["y"] + v["k"]},
        steps=(
            Step(
                texts=(
                    "Let x be the greater age. The other age is smaller by the difference, and both give the sum.",
                    "We write x for the age of the older one, set up the sum and solve for x.",
                ),
                code=(
                    "from sympy import symbols, Eq, solve\n"
                    "difference = {k}\n"
                    "total = {s}\n"
                    "x = symbols('x')\n"
                    "solve(Eq(x + (x - difference), total), x)[0]"
                ),
            ),
        ),
        closings=("The age is \\boxed{{result}} years.", "The older one is \\boxed{{result}} years old."),
        answer=lambda v: v["y"] + v["k"],
    ),
    Family(
        name="mixture_percent",
        wordings=(
            "{a} liters of {liquid} with {p} percent sugar are mixed with {b} liters of {liquid} with {q} percent "
            "sugar. What percent of the mixture is sugar?",
            "What percent of sugar does a mixture have that is made of {a} liters with {p} percent sugar and {b} "
            "liters with {q} percent sugar?",
            "{name} mixes {a} liters of {p} percent acid with {b} liters of {q} percent acid. "
            "How many percent acid does the mixture have?",
            "One tank holds {a} liters with {p} percent salt, another {b} liters with {q} percent salt. Both are "
            "mixed. Find the percent of salt in the mixture.",
            "Find the percent of salt when {a} liters of water with {p} percent salt and {b} liters of water with "
            "{q} percent salt are mixed.",
            "A mixture contains {a} liters of {p} percent acid and {b} liters of {q} percent acid. "
            "Compute the percent of acid in it.",
            "Mixing {a} liters of {p} percent {liquid} and {b} liters of {q} percent {liquid}, what percent does "
            "{name} get?",
            "To {a} liters of {p} percent {liquid}, {name} adds {b} liters of {q} percent {liquid}. "
            "What percent does the mixture have?",
            "How strong, in percent, is a mixture of {a} liters at {p} percent and {b} liters at {q} percent?",
            "When {a} liters of a {p} percent liquid are added to {b} liters of a {q} percent liquid, how many percent "
            "has the mixture?",
            "There is {p} percent salt in {a} liters of water and {q} percent salt in {b} liters of water. "
            "If both are mixed, what is the percent of salt?",
            "From {p} percent acid, {a} liters are taken, and from {q} percent acid, {b} liters. They are mixed. "
            "What percent is acid then?",
            "Let {a} liters contain {p} percent sugar and let {b} liters contain {q} percent sugar. Work out the "
            "percent of sugar after mixing.",
            "Determine the percent of acid in a mixture: {a} liters at {p} percent, {b} liters at {q} percent.",
            "First bottle: {a} liters, {p} percent. Second bottle: {b} liters, {q} percent. Percent of the mixture?",
            "If {a} liters with {p} percent acid are poured together with {b} liters with {q} percent acid, then "
            "how many percent acid are in the new liquid?",
            "{name} pours {a} liters of {liquid} into a pot. It is {p} percent sugar. Then {name} pours in {b} "
            "liters that are {q} percent sugar. How many percent of the pot is sugar now?",
            "Two cans are emptied into one bowl. There are {a} liters of {p} percent {liquid} in one can and {b} "
            "liters of {q} percent {liquid} in the other. Give the percent of the mixture in the bowl.",
            "How many percent salt does the water contain when {a} liters of {p} percent salt water meet {b} "
            "liters of {q} percent salt water?",
            "A {job} has {liquid} of {p} percent, {a} liters of it, and {liquid} of {q} percent, {b} liters of "
            "it. All is poured into one tank. What percent is in the tank?",
            "A factory needs a weaker acid. It takes {a} liters of the {p} percent kind and {b} liters of the {q}"
            " percent kind and mixes them. Which percent does the result have?",
            "In one bowl there are {a} liters, {p} percent of them sugar. In another bowl there are {b} liters, "
            "{q} percent of them sugar. The bowls are poured together. Work out the percent of sugar.",
        ),
        unseen_wordings=(
            "A tank with {a} liters of {p} percent {liquid} gets {b} liters of {q} percent {liquid} more. "
            "How many percent does the mixture in the tank have?",
            "Compute how many percent salt there are in a mixture: {a} liters have {p} percent salt and {b} liters "
            "have {q} percent salt.",
            "If {name} mixes {a} liters of water that has {p} percent sugar with {b} liters that have {q} percent "
            "sugar, what percent is the sugar?",
        ),
        numbers={"a": (11, 150), "p": (11, 90), "b": (11, 150), "q": (11, 90)},
        accept=lambda v: len(set(v.values())) == 4,
        steps=(
            Step(
                texts=(
                    "First we add the parts: liters times percent of the one and of the other.",
                    "We weigh each percent with its liters and add both products.",
                ),
                code=(
                    "liters1 = {a}\n"
                    "percent1 = {p}\n"
                    "liters2 = {b}\n"
                    "percent2 = {q}\n"
                    "parts = liters1 * percent1 + liters2 * percent2\n"
                    "parts"
                ),
            ),
            Step(
                texts=(
                    "We divide {out1} by all the liters and keep the exact fraction.",
                    "Now {out1} is divided by the liters of the whole mixture.",
                ),
                code="from sympy import Rational\nRational(parts, liters1 + liters2)",
            ),
        ),
        closings=("The mixture has \\boxed{{result}} percent.", "It is \\boxed{{result}} percent."),
        answer=lambda v: Fraction(v["a"] * v["p"] + v["b"] * v["q"], v["a"] + v["b"]),
    ),
    Family(
        name="ratio_split",
        wordings=(
            "{name} and {name2} share {n} dollars in the ratio {a} to {b}. How much does {name} get?",
            "How much does {name} get when {n} dollars are split between {name} and {name2} in the ratio {a} to {b}?",
            "In the ratio {a} to {b}, {name} and {name2} divide {n} dollars. Find the share of {name}.",
            "A sum of {n} dollars is divided in the ratio {a} to {b}. What is the first part?",
            "Divide {n} {sweet} in the ratio {a} to {b}. How many are in the first part?",
            "The ratio of two parts is {a} to {b}, and together they are {n} dollars. Compute the first part.",
            "{n} {sweet} are split between two {group} in the ratio {a} to {b}. How many does the first get?",
            "Find the first of two parts of {n} meters that are in the ratio {a} to {b}.",
            "Two farmers share {n} kg of {food} in the ratio {a} to {b}. How many kg does the first farmer get?",
            "A rope of {n} meters is cut in the ratio {a} to {b}. How long is the first piece?",
            "The ratio {a} to {b} is used to split {n} kg of {food} between {name} and {name2}. "
            "What is the share of {name}?",
            "If {name} and {name2} split {n} {sweet} in the ratio {a} to {b}, how many {sweet} does {name} receive?",
            "Let {n} dollars be shared in the ratio {a} to {b}. Work out the first share.",
            "Determine the first part when {n} {sweet} are shared in the ratio {a} to {b}.",
            "Sum: {n} dollars. Ratio: {a} to {b}. First part?",
            "If the shares of {name} and {name2} are in the ratio {a} to {b} and make {n} dollars together, then "
            "how many dollars belong to {name}?",
            "{name} and {name2} own a {shop} together. They earned {n} dollars and share them in the ratio {a} to"
            " {b}. What amount goes to {name}?",
            "Two numbers have the sum {n}, and they are in the ratio {a} to {b}. Give the first number.",
            "A prize of {n} dollars is won by two {group}. They agree on the ratio {a} to {b}. How many dollars "
            "are for the first one?",
            "How large is the first share of {n} kg of {food} when the ratio of the two shares is {a} to {b}?",
            "The ratio between the {sweet} of {name} and those of {name2} is {a} to {b}. In all there are {n} "
            "{sweet}. How many {sweet} does {name} own?",
            "A wire is {n} meters long. It is bent into two parts whose lengths have the ratio {a} to {b}. Work "
            "out how many meters the first part has.",
        ),
        unseen_wordings=(
            "Between {name} and {name2}, {n} kg of {food} are divided in the ratio {a} to {b}. Find how much {name} "
            "gets.",
            "A farmer cuts {n} meters of rope into two pieces in the ratio {a} to {b}. Compute the first piece.",
            "What is the first share if two {group} divide {n} dollars in the ratio {a} to {b}?",
        ),
        numbers={"a": (11, 150), "b": (11, 150), "u": (11, 99)},
        accept=lambda v: v["a"] != v["b"],
        derive=lambda v: {"n": (v["a"] + v["b"]) * v["u"]},
        steps=(
            Step(
                texts=(
                    "One unit is the whole divided by the sum of the ratio. The first part has its number of units.",
                    "We divide by the sum of both ratio numbers and multiply by the first one.",
                ),
                code="total = {n}\nfirst = {a}\nsecond = {b}\nunit = total // (first + second)\nfirst * unit",
            ),
        ),
        closings=("The first part is \\boxed{{result}}.", "The first share is \\boxed{{result}}."),
        answer=lambda v: v["a"] * v["u"],
    ),
    Family(
        name="fuel_cost",
        wordings=(
            "A {vehicle} goes {k} km per liter of fuel. A liter costs {c} dollars. What does the fuel for {d} km cost?",
            "How much does the fuel for {d} km cost if a {vehicle} goes {k} km per liter and one liter costs {c} "
            "dollars?",
            "{name} drives {d} km in all. The {vehicle} goes {k} km per liter, and fuel costs {c} dollars a liter. "
            "Find the cost of the fuel.",
            "Find the fuel cost of a trip of {d} km with a {vehicle} that goes {k} km per liter, at {c} dollars a "
            "liter.",
            "Fuel costs {c} dollars a liter. How many dollars of fuel does {name} need for {d} km at {k} km per liter?",
            "With fuel at {c} dollars a liter, a {vehicle} goes {k} km per liter. What is the fuel cost for {d} km?",
            "The way to {city} is {d} km long. One liter of fuel costs {c} dollars, and the {vehicle} goes {k} km per "
            "liter. Compute the cost of the fuel.",
            "Going {k} km per liter, a {vehicle} covers {d} km. What is paid for the fuel at {c} dollars a liter?",
            "At {c} dollars a liter, what does {name} pay for the fuel of {d} km, going {k} km per liter?",
            "A trip of {d} km is planned with a {vehicle} that goes {k} km per liter. If fuel costs {c} dollars a "
            "liter, how much money is needed for the fuel?",
            "{name} has a {vehicle} that goes {k} km per liter. On {day} {name} drove {d} km. Fuel was {c} dollars a "
            "liter. How much did the fuel cost?",
            "{d} km are driven at {k} km per liter of fuel, and fuel is {c} dollars a liter. Compute the fuel cost.",
            "Let a {vehicle} make {k} km per liter and let fuel be {c} dollars a liter. Work out the cost of "
            "driving {d} km.",
            "Determine the cost in dollars: distance {d} km, {k} km per liter, fuel {c} dollars a liter.",
            "Distance: {d} km. Use: {k} km per liter. Fuel price: {c} dollars a liter. Cost?",
            "If each liter costs {c} dollars and is enough for {k} km, then how many dollars does {name} spend to"
            " drive {d} km?",
            "One liter of fuel brings a {vehicle} {k} km further. {name} has {d} km to drive and buys fuel for "
            "{c} dollars a liter. How much money does {name} spend?",
            "The tank is empty, and {city} is {d} km away. Fuel is sold at {c} dollars a liter, and one liter is "
            "enough for {k} km. Give the cost of the fuel.",
            "How expensive is a drive of {d} km when the price of fuel is {c} dollars a liter and the {vehicle} "
            "makes {k} km per liter?",
            "A {job} drives {d} km for a customer. The {vehicle} makes {k} km per liter, and {c} dollars a liter "
            "are paid for fuel. What amount should the customer pay for the fuel?",
            "{c} dollars a liter is the price of fuel. With {k} km per liter, what amount of money is used up on "
            "{d} km?",
            "After {d} km {name} adds up the cost of the fuel. Each liter lasted {k} km and cost {c} dollars. "
            "Work out the sum.",
        ),
        unseen_wordings=(
            "To reach {city}, {name} must drive {d} km. Fuel is {c} dollars a liter, and the {vehicle} goes {k} km per "
            "liter. What does the fuel cost?",
            "What does {name} pay for fuel on a way of {d} km, if the {vehicle} goes {k} km per liter and the price is "
            "{c} dollars a liter?",
            "The {vehicle} of {name} goes {k} km per liter of fuel, which costs {c} dollars a liter. "
            "How much money does a trip of {d} km need?",
        ),
        numbers={"k": (11, 99), "l": (11, 99), "c": (11, 99)},
        accept=lambda v: v["k"] != v["c"],
        derive=lambda v: {"d": v["k"] * v["l"]},
        steps=(
            Step(
                texts=(
                    "First we find how many liters are needed: the distance over the km per liter.",
                    "We divide the whole distance by the km that one liter is enough for.",
                ),
                code="distance = {d}\nper_liter = {k}\nliters = distance // per_liter\nliters",
            ),
            Step(
                texts=(
                    "The trip takes {out1} liters. We multiply them by the price of one liter.",
                    "Now {out1} liters are paid, each at the same price.",
                ),
                code="price = {c}\ncost = liters * price\ncost",
            ),
        ),
        closings=("The fuel costs \\boxed{{result}} dollars.", "\\boxed{{result}} dollars are paid for fuel."),
        answer=lambda v: v["l"] * v["c"],
    ),
    Family(
        name="to_seconds",
        wordings=(
            "How many seconds are {h} hours, {m} minutes and {s} seconds?",
            "Convert {h} hours, {m} minutes and {s} seconds to seconds.",
            "A {event} lasts {h} hours, {m} minutes and {s} seconds. How many seconds is that in all?",
            "{name} needs {h} hours, {m} minutes and {s} seconds for the way. Find the time in seconds.",
            "Write the time of {h} hours, {m} minutes and {s} seconds in seconds alone.",
            "What is the number of seconds in a time of {h} hours, {m} minutes and {s} seconds?",
            "The {vehicle} was on the road for {m} minutes and {s} seconds more than {h} hours. "
            "How many seconds is that?",
            "In seconds, how long is a trip of {h} hours and {m} minutes and {s} seconds?",
            "A clock shows that {h} hours, {m} minutes and {s} seconds have passed. Compute the seconds.",
            "Find how many seconds pass in {s} seconds, {m} minutes and {h} hours together.",
            "After {s} seconds, {m} minutes and {h} hours a machine stops. How many seconds did it run?",
            "Add {m} minutes, {s} seconds and {h} hours. Give the sum in seconds.",
            "Let a film last {h} hours, {m} minutes and {s} seconds. Work out its length in seconds.",
            "Determine the total of {s} seconds, {h} hours and {m} minutes, in seconds.",
            "Time: {h} hours, {m} minutes, {s} seconds. In seconds?",
            "If {name} sleeps {h} hours and {m} minutes and {s} seconds, then how many seconds does {name} sleep?",
            "The flight to {city} takes {h} hours. Then {m} minutes and {s} seconds go by before the door opens. "
            "Give the whole time in seconds.",
            "A runner finishes after {m} minutes and {s} seconds on top of {h} full hours. What is the result in "
            "seconds only?",
            "How many seconds must {name} wait for the {event} when it starts in {h} hours, {m} minutes and {s} "
            "seconds?",
            "Change {m} minutes, {h} hours and {s} seconds into seconds and say how many there are.",
            "A {job} worked for {h} hours. It took {m} more minutes and {s} more seconds to clean up. Work out "
            "how many seconds all this took.",
            "{s} seconds and {m} minutes are added to {h} hours. How long is that when it is counted in seconds?",
        ),
        unseen_wordings=(
            "The machine ran for {h} hours, {m} minutes and {s} seconds. What was its time in seconds?",
            "Give the length of a {event} in seconds, if it lasts {m} minutes and {s} seconds more than {h} hours.",
            "For {h} hours, {m} minutes and {s} seconds {name} was on a trip. Compute how many seconds that makes.",
        ),
        numbers={"h": (11, 99), "m": (11, 59), "s": (11, 59)},
        accept=lambda v: len(set(v.values())) == 3,
        steps=(
            Step(
                texts=(
                    "An hour has 3600 seconds and a minute has 60. We change everything to seconds and add.",
                    "We multiply the hours by 3600 and the minutes by 60, then add the seconds.",
                ),
                code="hours = {h}\nminutes = {m}\nseconds = {s}\ntotal = hours * 3600 + minutes * 60 + seconds\ntotal",
            ),
        ),
        closings=("That is \\boxed{{result}} seconds.", "The time is \\boxed{{result}} seconds."),
        answer=lambda v: (v["h"] * 60 + v["m"]) * 60 + v["s"],
    ),
    Family(
        name="recipe_scale",
        wordings=(
            "A recipe for {a} people needs {b} grams of {food}. How many grams are needed for {c} people?",
            "How many grams of {food} does {name} need for {c} guests, if the recipe for {a} people takes {b} grams?",
            "For {a} people {name} cooks {b} grams of {food}. Find the grams for {c} guests with the same recipe.",
            "{b} grams of {food} are enough for {a} people. What amount in grams do {c} guests need by the same "
            "recipe?",
            "The recipe takes {b} grams of {food} for {a} people. {name} wants to cook for {c} guests. "
            "Compute the grams.",
        ),
        unseen_wordings=(
            "With the same recipe, how many grams of {food} are enough for {c} guests, if {a} people need {b} grams?",
            "Find the amount of {food} in grams for {c} guests when the recipe has {b} grams for {a} people.",
            "By a recipe, {a} people get {b} grams of {food}. {name} invites {c} guests. How many grams must be "
            "cooked?",
        ),
        numbers={"a": (11, 99), "b": (200, 3000), "c": (11, 99)},
        accept=lambda v: v["a"] != v["c"],
        steps=(
            Step(
                texts=(
                    "We find the grams for one person and multiply by the number of guests.",
                    "The amount grows with the number of people, so we scale it and keep the exact fraction.",
                ),
                code=(
                    "from sympy import Rational\npeople = {a}\ngrams = {b}\nguests = {c}\n"
                    "Rational(grams, people) * guests"
                ),
            ),
        ),
        closings=("\\boxed{{result}} grams are needed.", "The amount is \\boxed{{result}} grams."),
        answer=lambda v: Fraction(v["b"] * v["c"], v["a"]),
        stage="base_only",
    ),
    Family(
        name="new_average",
        wordings=(
            "The average of {n} tests is {m} points. The next test has {s} points. What is the new average?",
            "{name} has an average of {m} points in {n} tests and then gets {s} points in one more. Find the new "
            "average.",
            "What is the new average if {n} tests had an average of {m} points and one more test has {s} points?",
            "After {n} tests with an average of {m} points, {name} gets {s} points. Compute the new average.",
            "One more test with {s} points follows {n} tests with an average of {m} points. "
            "What does the average become?",
        ),
        unseen_wordings=(
            "In {n} tests {name} reached an average of {m} points. One more test brings {s} points. "
            "What is the average then?",
            "Find the new average of {name} when {s} points in the next test follow an average of {m} points in {n} "
            "tests.",
            "A test of {s} points is added to {n} tests whose average is {m} points. Compute the new average.",
        ),
        numbers={"n": (11, 150), "m": (11, 99), "s": (11, 99)},
        accept=lambda v: len(set(v.values())) == 3,
        steps=(
            Step(
                texts=(
                    "First we find the sum of all points: the tests times their average, plus the new points.",
                    "The old sum is the number of tests times the average. We add the new test.",
                ),
                code="tests = {n}\naverage = {m}\nnew = {s}\ntotal = tests * average + new\ntotal",
            ),
            Step(
                texts=(
                    "The sum is {out1}. There is one test more, so we divide by that number.",
                    "Now {out1} is divided by the number of tests, which is greater by one.",
                ),
                code="from sympy import Rational\nRational(total, tests + 1)",
            ),
        ),
        closings=("The new average is \\boxed{{result}} points.", "It becomes \\boxed{{result}} points."),
        answer=lambda v: Fraction(v["n"] * v["m"] + v["s"], v["n"] + 1),
        stage="base_only",
    ),
    Family(
        name="tank_leak",
        wordings=(
            "A tank holds {c} liters. A pipe fills in {a} liters per minute, and {b} liters per minute leak out. "
            "After how many minutes is the empty tank full?",
            "How many minutes does it take to fill a tank of {c} liters if {a} liters per minute flow in and {b} "
            "liters per minute leak out?",
            "Into an empty tank of {c} liters flow {a} liters per minute, but {b} liters per minute leak out. "
            "Find the minutes until it is full.",
            "While {b} liters per minute leak out, {a} liters per minute flow into a tank of {c} liters. "
            "In how many minutes is it full?",
            "Find the time in minutes to fill {c} liters when {a} liters per minute flow in and {b} liters per minute "
            "leak out.",
        ),
        unseen_wordings=(
            "Compute how many minutes pass until a tank of {c} liters is full, with {a} liters per minute flowing in "
            "and {b} liters per minute leaking out.",
            "Each minute {a} liters flow in and {b} liters leak out of a tank. It holds {c} liters. "
            "How many minutes does it take to fill it?",
            "An empty tank loses {b} liters per minute by a leak and gets {a} liters per minute from a pipe. "
            "When are {c} liters in it? Give the minutes.",
        ),
        numbers={"c": (200, 3000), "a": (31, 250), "b": (11, 150)},
        accept=lambda v: v["a"] > v["b"] + 1,
        steps=(
            Step(
                texts=(
                    "Per minute the tank gains what flows in minus what leaks out. We divide the liters by that.",
                    "We subtract the leak from the flow and divide the size of the tank by the difference.",
                ),
                code=(
                    "from sympy import Rational\n"
                    "liters = {c}\n"
                    "flow_in = {a}\n"
                    "leak_out = {b}\n"
                    "Rational(liters, flow_in - leak_out)"
                ),
            ),
        ),
        closings=("It takes \\boxed{{result}} minutes.", "The tank is full after \\boxed{{result}} minutes."),
        answer=lambda v: Fraction(v["c"], v["a"] - v["b"]),
        stage="never",
    ),
)
