r"""What a closing sentence states: `The total cost is $391.`, `The final answer is $X$.`

A sentence states an answer where it announces one (`the answer is`), ends in an equation, or says one number and
nothing else that could be meant. Only the last 600 characters are looked at, and every pattern is bounded.
"""

from __future__ import annotations

import re

from runtime.grade.reading.decoration import without_markdown
from runtime.grade.reading.units import is_unit

_TAIL = 600
_LONGEST_VALUE = 200
_SPANS = re.compile(
    r"\\\((.{1,200}?)\\\)|\\\[(.{1,200}?)\\\]|\$\$([^$]{1,200})\$\$|\$(?! )([^$\n]{1,200})(?<![ $])\$(?!\d)", re.DOTALL
)
_FIRST_SPAN = 0xE000  # private use: a span of mathematics is one character while sentences are told apart
_SPAN = "[\ue000-\ue0ff]"

_IN_FONT = re.compile(r"\\(?:textbf|textit|emph|text)\s?\{([^{}]{0,200}\banswer\b[^{}]{0,200})\}", re.IGNORECASE)

ANNOUNCED = (
    r"(?:the|my|our|a|an)?\s{0,3}(?:final|correct|right|exact|numerical|numeric|simplified|required|desired)?\s{0,3}"
    r"(?:answer|ans(?=[\s.:=]))\.?(?:\s{1,3}(?:to|for|of)\s[^.:=\n]{1,80}?)?\s{0,3}"
    r"(?:\b(?:is|are|was|equals|becomes|comes (?:out )?to|(?:would|should|will|must) be)\b|[:=]|(?=\s[-\d\\$]))"
    r"\s{0,3}(?:(?:that|thus|therefore|then|given by|equal to|simply|just|exactly|indeed)\b)?\s{0,3}[:=]?\s{0,3}"
)
"""What says that an answer follows."""
_ANNOUNCED = re.compile(rf"(?<![A-Za-z]){ANNOUNCED}", re.IGNORECASE)
_SENTENCE_END = re.compile(r"(?<![ap]\.m)[.!?](?=\s|$)|\n")
_FILLER = re.compile(
    r"(?:i hope|thank|let me know|q\.?e\.?d|done|hope this|please|this (?:is|completes) (?:the|our|my)|which completes)"
    r"\b",
    re.IGNORECASE,
)
_NOT_STATED = re.compile(
    r"\b(?:not|never|cannot|isn|doesn|wasn|aren|can't|won't|unknown|unclear|impossible|neither|nor|maybe|perhaps|might|whether)\b"
    r"|n't\b|\?",
    re.IGNORECASE,
)
_GOES_ON = re.compile(
    r"(?:now|let|let's|suppose|assume|if|first|next|compute|calculate|find|consider|given|since|because|when|while|to|"
    r"we (?:need|have to|must|want|will|can|should|know)|i (?:need|will|have to)|note|recall|step|"
    r"solve|using|use|where)\b",
    re.IGNORECASE,
)
_LEAD = re.compile(
    r"(?:(?:so|thus|hence|therefore|then|finally|and|but|consequently|accordingly|in (?:total|conclusion|all|summary)|"
    r"as a result|overall|(?:that|this|it|which) (?:gives|means|yields)(?: us)?|we (?:get|have|find|obtain|conclude)|"
    r"it follows|that)\b(?!')[,:]?\s{0,3})+",
    re.IGNORECASE,
)
_LABEL = re.compile(r"(?:(?:the )?(?:final )?(?:result|solution|total|sum|value)|A|Ans)\s?[:=]\s?(?=\S)", re.IGNORECASE)
_VERB = re.compile(
    r"(?:\b(?:it|that|there|he|she)'s|\b(?:is|are|was|were|equals?|has|have|had|costs?|gets?|got|makes?|made|earns?|earned|needs?|needed|takes?|took|"
    r"spends?|spent|saves?|saved|pays?|paid|sells?|sold|buys?|bought|gives?|gave|leaves|left|remains?|owns?|uses?|used|"
    r"weighs?|covers?|contains?|holds?|receives?|received|reads?|runs?|ran|walks?|walked|travels?|travell?ed|ate|eats?|"
    r"becomes?|totals?|works?|worked|drives?|drove|bakes?|baked|collects?|collected|loses?|lost|keeps?|kept|sees?|saw|"
    r"grows?|grew|drinks?|drank|ends? up|comes? to|amounts? to|will be|would be|must be|should be|arrives?|arrived|"
    r"starts?|started|begins?|began|ends?|ended|finish(?:es|ed)?|lasts?|measures?))\b",
    re.IGNORECASE,
)
_NUMERAL = r"(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?"
_NUMBER = re.compile(
    rf"{_SPAN}|\d{{1,2}}:\d\d(?:\s?[ap]\.?m\b\.?)?"
    rf"|(?<![\w.,])[-+]?[$€£]?\s?{_NUMERAL}(?:\s\d+/\d+|\s?/\s?\d+|:\d+)?(?:\s?\\?%)?(?![\w]*\d)(?!(?:st|nd|rd|th)\b)"
)
_OPTION = re.compile(
    r"(?:\b(?:option|choice|answer)\s+\(?|\()([A-J])\)?\s+is\s+(?:the\s+)?(?:correct|right|answer)\b", re.IGNORECASE
)
_UNLIKE = re.compile(r"\b(?:than|least|most|between|every|each|per|out of|step|case|part|equation|number of)\s*$", re.I)
_ENGLISH = re.compile(
    r"(?<![\\A-Za-z])(?!(?:and|arc\w+|sin|cos|tan|cot|sec|csc|log|exp|lcm|gcd|max|min|mod|sqrt|abc|xyz)\b)"
    r"(?:[A-Za-z]{3,}|(?:so|is|it|we|he|of|in|at|by|an|be|as|my|if|no|on|do|up|us|am)\b)",
    re.IGNORECASE,
)
_QUALIFIER = re.compile(
    r"(?:(?:at|about|approximately|roughly|exactly|only|now|still|also|therefore|thus|simply|just|equal to|given by)\b"
    r"[:,]?\s{0,3}){1,3}",
    re.IGNORECASE,
)
_BECAUSE = re.compile(
    r"\s*(?:,?\s(?:because|since|as (?:we|it|the)|which|where|when|so|for the|in (?:total|all)|if)\b|;).*",
    re.DOTALL | re.I,
)
_GLUED = re.compile(r"(?<![\\A-Za-z_{])[A-Za-z]?[a-z]+\d|\d(?:we|the|so|then|that)\b")
_KEEPS_DIGITS = re.compile(r"(?:sqrt|log|ln|sin|cos|tan|pi|base|cm|mm|km|ft|yd|mi|in|x|y|z|theta|alpha|beta|v)\d?")
_FUNCTION_WORD = re.compile(
    r"(?<![A-Za-z])(?:so|we|the|is|then|that|thus|has|have|it|this|there|she|he|they)(?![A-Za-z])", re.IGNORECASE
)
_WORK = re.compile(
    r"(?:(?:now|first|next|so|then),?\s)?(?:let's|let us|we (?:need|have to|must|want to|will)|suppose|assume)\s", re.I
)
_CUT_OFF = re.compile(
    r"(?:^|\s)(?:the|an|is|are|was|were|of|and|so|to|that|we|with|for|by|then|has|have|will|if|or|either|because|where|equals|from|"
    r"at|than|our|their|its|get|let|let's|now|thus|hence|therefore)$|(?:[=+*/^_<,(\[{&-]|\\(?:cdot|times|frac|sqrt))$",
    re.IGNORECASE,
)


def stated(text: str) -> str | None:
    """The value that the end of `text` states as its answer, or None."""
    text = _IN_FONT.sub(r"\1", without_markdown(text[-_TAIL:])).strip()
    spans: list[str] = []

    def keep(match: re.Match[str]) -> str:
        if len(spans) > 0xFF:
            return match.group()
        spans.append(next(group for group in match.groups() if group is not None).strip())
        return chr(_FIRST_SPAN + len(spans) - 1)

    masked = _SPANS.sub(keep, text)
    announced = _announced(masked)
    value = announced or _closing(masked)
    if value is None:
        return None
    if len(value) == 1 and ord(value) >= _FIRST_SPAN:
        return _of_span(spans[ord(value) - _FIRST_SPAN]) if announced is None else spans[ord(value) - _FIRST_SPAN]
    for index, span in enumerate(spans):
        value = value.replace(chr(_FIRST_SPAN + index), span)
    value = value.strip()
    return value if value and len(value) <= _LONGEST_VALUE else None


def _of_span(span: str) -> str:
    """`a + b = 7` in a closing sentence says 7; an equation whose right side has letters says itself."""
    left, _, right = span.rpartition("=")
    plain = re.sub(r"\\(?:frac|sqrt|pi|text\s?\{[^{}]*\}|[dt]frac|cdot|times|%|\$)", "", right)
    if not left or re.search(r"[A-Za-z<>,;]|\\(?:le|ge|ne|pm)", plain) or re.search(r"[<>,;]|and|or\b", left):
        return span
    return right.strip()


def _announced(text: str) -> str | None:
    """What follows the last `the answer is`."""
    found = None
    for match in _ANNOUNCED.finditer(text):
        if match.group().strip():
            found = match
    if found is None:
        return None
    rest = text[found.end() :].lstrip()
    end = _SENTENCE_END.search(rest)
    value = (rest[: end.start()] if end else rest).strip()
    if _NOT_STATED.search(value) or _NOT_STATED.search(
        text[max(0, found.start() - 30) : found.start()].rpartition(".")[2]
    ):
        return None
    value = _BECAUSE.sub("", value).strip(" .,:;")
    if len(_ENGLISH.findall(value)) <= 5:
        return value or None
    numbers = list(_NUMBER.finditer(value))
    return _with_unit(value, numbers[0]) if len(numbers) == 1 else None


def _closing(text: str) -> str | None:
    """The value of the last sentence that is no courtesy."""
    sentences = [sentence.strip() for sentence in _SENTENCE_END.split(text) if sentence.strip()]
    while len(sentences) > 1 and _FILLER.match(sentences[-1]):
        sentences.pop()
    if not sentences or text.rstrip().endswith("?"):
        return None
    sentence = sentences[-1]
    # Mathematics that is opened and never closed is cut off.
    if not _ENGLISH.search(text) or len(sentence) > 400 or _is_glued(sentence) or re.search(r"\\[\[(]", text[-220:]):
        return None
    chosen = _OPTION.search(sentence)
    if chosen:
        return chosen[1]
    sentence = _LABEL.sub("", sentence[_lead(sentence) :])
    if _NOT_STATED.search(sentence) or _GOES_ON.match(sentence):
        return None
    if not _ENGLISH.search(sentence):
        # A line of mathematics at the end of prose; a system of equations has several.
        return None if len(sentences) > 1 and _is_equation(sentences[-2]) else _of_line(sentence)
    return _of_equation(sentence) or _of_statement(sentence)


def _is_equation(sentence: str) -> bool:
    return "=" in sentence and not _ENGLISH.search(sentence)


def _of_line(line: str) -> str | None:
    line = line.strip(" :")
    if re.fullmatch(_SPAN, line) or _NUMBER.fullmatch(line):
        return line
    return _of_span(line).strip(" =") if "=" in line else None


def _lead(sentence: str) -> int:
    match = _LEAD.match(sentence)
    return match.end() if match else 0


def _of_equation(sentence: str) -> str | None:
    """What stands behind the last equals sign; the whole where several equations stand side by side."""
    if "=" not in sentence or re.search(r"[<>]|!=|\\n?eq?\b", sentence):
        return None
    left, _, right = sentence.rpartition("=")
    right = right.strip()
    if re.search(r"=[^=]*(?:,|;|\band\b|\bor\b)[^=]*$", left) or ("," in right and not _NUMBER.fullmatch(right)):
        return sentence if not _ENGLISH.search(sentence) else None
    if not right:
        return None
    if not _ENGLISH.search(right):
        return right
    numbers = list(_NUMBER.finditer(right))
    return _with_unit(right, numbers[0]) if len(numbers) == 1 and numbers[0].start() <= 1 else None


def _of_statement(sentence: str) -> str | None:
    """The value behind the last verb, or the only number of a sentence with a verb."""
    verbs = list(_VERB.finditer(sentence))
    if not verbs:
        return None
    rest = _QUALIFIER.sub("", sentence[verbs[-1].end() :].strip(" :,"))
    before = sentence[: verbs[-1].start()]
    if re.search(rf"(?:is|are|was|equals|=)\s+(?:{_NUMBER.pattern})", before):
        return None  # x is 5 and y is 3
    if rest and not _ENGLISH.search(rest) and re.search(rf"[\d\\]|{_SPAN}|^[A-Za-z]$|^\(", rest):
        return rest
    word = _ENGLISH.search(rest)
    if word and "\\" in rest[: word.start()] and not _NUMBER.search(rest, word.start()):
        return rest[: word.start()].strip(" ,")
    numbers = list(_NUMBER.finditer(rest)) or list(_NUMBER.finditer(sentence))
    if len(numbers) != 1:
        return None
    source = numbers[0].string
    if _UNLIKE.search(source[: numbers[0].start()]):
        return None
    return _with_unit(source, numbers[0])


def _with_unit(text: str, number: re.Match[str]) -> str:
    """A number with the unit behind it, where it is one that the grader knows; `391 apples left` is 391."""
    value = number.group().strip()
    following = re.match(
        r"\s?((?:square |cubic |sq\.? )?[A-Za-z]{1,12})\b((?:\s?/\s?|\sper\s)[A-Za-z]{1,12}\b)?", text[number.end() :]
    )
    if following and is_unit(following[1]) and not value.startswith(("$", "€", "£")):
        return f"{value} {following[1]}{following[2] or ''}"
    return value


def is_broken(text: str) -> bool:
    """Whether `text` is cut off or no sentence at all: `So we7`, `The}$`, `so x =`."""
    depth = 0
    for match in re.finditer(r"\\.|[{}]", text, re.DOTALL):
        depth += (match.group() == "{") - (match.group() == "}")
        if depth < 0:
            return True
    if depth:
        return True
    has_word = _ENGLISH.search(text) is not None
    if has_word and text.replace(r"\$", "").count("$") % 2 and not re.search(r"\$\s?[-\d.\\]", text):
        return True
    if _CUT_OFF.search(text.rstrip(" .:")) and len(text) > 1:
        return True
    if _WORK.match(text) or not re.search(r"\w|[^\x00-\x7f]", text) or re.search(r"\\f?boxed\s*$", text):
        return True
    return _is_glued(text)


def _is_glued(text: str) -> bool:
    """Whether words and digits of a sentence run together; `2hours30minutes` only lost its spaces."""
    if not _FUNCTION_WORD.search(text):
        return False
    return any(not _KEEPS_DIGITS.fullmatch(match.group()) for match in _GLUED.finditer(text))
