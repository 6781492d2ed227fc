"""A native dialect derived from a chat template: what stands around a rendered call's code and output.

The template is rendered with a question, with a call after it, and with the call's result (see `conversations`). What
the renderings have in common is the prompt; what stands before the code, between code and output, and behind the
output are the call and the frame of its result. The encoding in which the code is found names the decoder. A second
call, which nothing was derived from, must then be rendered exactly as the derived form writes it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from runtime.solver.dialects.form import Call, Decode, Frame, Result, Think
from runtime.solver.dialects.markers import SPELLED
from runtime.solver.dialects.native import NativeDialect
from runtime.solver.dialects.template.check import NotDerivedError, check
from runtime.solver.dialects.template.conversations import (
    CALL_ID,
    CODE,
    DONE,
    FORMS,
    MORE_ID,
    MORE_OUTPUT,
    NEXT_QUESTION,
    OUTPUT,
    QUESTION,
    SAID,
    SYSTEM,
    requests,
    tool,
)
from runtime.solver.dialects.template.known import ENDS, THINKING
from runtime.solver.dialects.template.render import Rendered, render

_LITERAL = re.compile(r"\[[\w.]+\(\w+=['\"]$")


@dataclass(frozen=True)
class Reading:
    """What a template says.

    Attributes:
        dialect: read off it, with evidence `template`; None: it shows no call that could be read back.
        problem: why not.
        plain: how turns are laid out without tools; None: it does not render them.
        think: where the model thinks.
        declares: whether the prompt tells the model of the tool.
        is_dated: whether the prompt holds today's date.
    """

    dialect: NativeDialect | None
    problem: str
    plain: Frame | None
    think: Think | None
    declares: bool
    is_dated: bool


def derive(
    template: str,
    *,
    name: str = "python",
    argument: str = "code",
    bos: str = "<s>",
    eos: str = "</s>",
    keeps_bos: bool = False,
    is_end: Callable[[str], bool] | None = None,
) -> Reading:
    """What `template` says of turns, calls and results.

    Args:
        template: jinja source.
        name: of the tool, as the model was trained with it.
        argument: its argument with the code.
        bos: spelling of the token that begins a text.
        eos: of the one that ends it.
        keeps_bos: whether the first is left in the prompt, for vocabularies that do not put it there.
        is_end: whether a spelling is a token that ends generation; None: the known ones (`ENDS`) are.

    Raises:
        ModelError: it cannot be rendered within the limits.
    """
    asked = requests(name, argument, {"bos_token": bos, "eos_token": eos})
    renderings = render(template, list(asked.values()))
    results = [one if keeps_bos else one._replace(text=one.text.removeprefix(bos)) for one in renderings.results]
    texts = dict(zip(asked, results, strict=True))
    plain, think = _frame(texts, ", plain"), _think(template, texts)
    problems: list[str] = [texts["asked"].error] if texts["asked"].error else []
    is_end = is_end or (ENDS | {eos}).__contains__
    for form in () if problems else FORMS:
        try:
            dialect = _derived(texts, form, name, argument, think, is_end)
        except NotDerivedError as error:
            problems.append(error.cause)
            continue
        declares = tool(name, argument)["function"]["description"][:40] in texts["asked"].text
        dialect = replace(dialect, plain=plain)
        return Reading(dialect, "", plain, think, declares, renderings.is_dated)
    # What is said of the plainest conversation tells most.
    return Reading(None, problems[0], plain, think, False, renderings.is_dated)


def _derived(
    texts: dict[str, Rendered],
    form: str,
    name: str,
    argument: str,
    think: Think | None,
    is_end: Callable[[str], bool],
) -> NativeDialect:
    """The dialect, from a call in one of the ways to put it (see `FORMS`).

    Raises:
        NotDerivedError: it is not shown so.
    """
    called = texts[f"called, {form}"]
    if called.error:
        raise NotDerivedError(called.error)
    shown = _taken_apart(called.text, texts["asked"].text)
    call, result = _split(shown, texts, form, name, argument, is_end)
    frame = _frame(texts, "")
    if frame is None:
        raise NotDerivedError("the question does not stand in what it renders")
    dialect = NativeDialect(
        name="template",
        evidence="template",
        why="its chat template declares tools",
        frame=frame,
        think=think,
        call=call,
        result=_with_thinking(result, think),
        forbidden=_runtimes_own(call, result, frame, think),
    )
    check(dialect, texts[f"called otherwise, {form}"].text, is_raw=shown.decode == "raw")
    return dialect


# The call and its result


@dataclass(frozen=True)
class _Shown:
    """A rendered call, taken apart around code and output."""

    said: bool
    before: str
    decode: Decode
    between: str
    quoted: bool
    behind: str


def _taken_apart(text: str, asked: str) -> _Shown:
    from_question = text.rfind(QUESTION)
    found = ((decode, text.find(one, max(0, from_question)), len(one)) for decode, one in _encodings(CODE))
    decode, at, length = next((one for one in found if one[1] >= 0), ("raw", -1, 0))
    if at < 0:
        raise NotDerivedError("the code of a call does not stand in what it renders")
    code_end = at + length
    out_at, quoted, out_end = text.find(OUTPUT, code_end), False, 0
    if out_at >= 0:
        out_end = out_at + len(OUTPUT)
    else:
        inner = json.dumps(OUTPUT, ensure_ascii=False)[1:-1]
        out_at, quoted = text.find(inner, code_end), True
        out_end = out_at + len(inner)
    if out_at < 0:
        raise NotDerivedError("the result of a call does not stand in what it renders")
    said_at = text.rfind(SAID, 0, at)
    said = said_at > from_question
    if SAID in text[at:]:
        raise NotDerivedError("what is said with a call stands behind it")
    start = said_at + len(SAID) if said else _begins_to_differ(text, asked)
    if not text[start:at].strip() or QUESTION in text[start:at]:
        raise NotDerivedError("nothing stands before the code of a call")
    return _Shown(said, text[start:at], decode, text[code_end:out_at], quoted, text[out_end:])


def _begins_to_differ(text: str, asked: str) -> int:
    """Where `text` is no longer what `asked` is; a token that begins alike is another one."""
    at = next((n for n, (one, other) in enumerate(zip(text, asked, strict=False)) if one != other), len(asked))
    for found in SPELLED.finditer(text, max(0, at - 60)):
        if found.start() < at < found.end():
            return found.start()
    return at


def _encodings(code: str) -> Iterable[tuple[Decode, str]]:
    yield "raw", code
    inner = json.dumps(code)[1:-1]
    yield "json", inner
    yield "pyliteral", repr(code)[1:-1]
    yield "json", json.dumps(inner)[1:-1]


def _split(
    shown: _Shown, texts: dict[str, Rendered], form: str, name: str, argument: str, is_end: Callable[[str], bool]
) -> tuple[Call, Result]:
    before = shown.before
    if not shown.said:
        before = _without_thinking(before)
    lead = before[: len(before) - len(before.lstrip())]
    before = before.lstrip()
    open_, inner = _opening(before, name, is_end)
    inner_after, close, end, opening = _closing(shown.between, open_, is_end)
    is_same_turn = not texts["asked"].text.endswith(shown.behind[-12:]) if shown.behind else True
    more = _between_results(texts, form)
    copies, (opening, more, behind, quiet) = _ids(
        [before, inner_after], opening, more, shown.behind, _behind_output(texts[f"called, {form}, not thinking"])
    )
    call = Call(
        open=open_,
        close=close,
        decode="pyliteral" if shown.decode == "raw" and _LITERAL.match(inner or before) else shown.decode,
        name=name,
        argument=argument,
        before=inner,
        after=inner_after,
        ends_on="turn" if end or not close else "close",
        end=end,
        copies=copies,
        lead=lead,
    )
    result = Result(
        open=opening,
        close=behind,
        more=more or opening,
        quiet=quiet if quiet != behind else "",
        continues="same_turn" if is_same_turn else "new_turn",
        quoted=shown.quoted,
    )
    return call, result


def _opening(before: str, name: str, is_end: Callable[[str], bool]) -> tuple[str, str]:
    """The marker that begins a call, and what stands between it and the code."""
    first = SPELLED.match(before)
    if first is not None and name not in first.group() and not is_end(first.group()):
        return first.group(), before[first.end() :]
    at = before.find(name)
    if at <= 0:
        raise NotDerivedError(f"it begins a call without a mark: {before[:40]!r}")
    return before[:at], before[at:]


def _closing(between: str, opening: str, is_end: Callable[[str], bool]) -> tuple[str, str, str, str]:
    """What stands between code and end marker, the marker, the end of the turn, and the result's start."""
    found = list(SPELLED.finditer(between))
    ends = [one for one in found if is_end(one.group())]
    stop = ends[0].end() if ends else len(between)
    # The tag that closes the opening one; else the last of the call's own.
    closing = [one for one in found if one.group() == opening.replace("<", "</", 1) and one.end() <= stop]
    if not closing and ends and (before_end := [one for one in found if one.end() <= ends[0].start()]):
        closing = [one for one in before_end[-1:] if not between[one.end() : ends[0].start()].strip()]
    if closing:
        end = between[closing[0].end() : stop] if ends else ""
        return between[: closing[0].start()], closing[0].group(), end, between[closing[0].end() + len(end) :]
    if ends:
        return between[: ends[0].start()], "", ends[0].group(), between[stop:]
    stop = found[0].start() if found else len(between)
    return between[:stop], "", "", between[stop:]


def _between_results(texts: dict[str, Rendered], form: str) -> str:
    """What stands between the results of two calls of one turn; empty where the template does not tell."""
    text = texts[f"called twice, {form}"].text
    for spell in (lambda one: one, lambda one: json.dumps(one, ensure_ascii=False)[1:-1]):
        first, second = text.find(spell(OUTPUT)), text.find(spell(MORE_OUTPUT))
        if 0 <= first < second:
            return text[first + len(spell(OUTPUT)) : second]
    return ""


def _behind_output(shown: Rendered) -> str:
    """What stands behind the output of a call; empty where that is not shown."""
    for one in (OUTPUT, json.dumps(OUTPUT, ensure_ascii=False)[1:-1]):
        _, found, behind = shown.text.rpartition(one)
        if found and not shown.error:
            return behind
    return ""


def _ids(call: list[str], opening: str, *others: str) -> tuple[str, list[str]]:
    """For results that name their call: the pattern of its id, and the frame with `{id}` in its place."""
    frame = [text.replace(CALL_ID, "{id}").replace(MORE_ID, "{id}") for text in (opening, *others)]
    part = next((text for text in call if CALL_ID in text), "")
    if not part or not any("{id}" in text for text in frame):
        # An id that the call does not hold is anybody's: ours serves.
        return "", [opening, *(text.replace(MORE_ID, CALL_ID) for text in others)]
    lead = part[: part.index(CALL_ID)][-12:]
    return re.escape(lead) + r"([\w.:-]+)", frame


# Thinking


def _think(template: str, texts: dict[str, Rendered]) -> Think | None:
    asked = texts["asked"].text
    for opening, closing in THINKING:
        if opening.strip() in template and closing in template:
            break
    else:
        return None
    ask = asked[asked.rfind(QUESTION) + len(QUESTION) :]
    prefilled = ask.rstrip().endswith(opening.strip())
    quiet = texts["asked, not thinking"]
    off = None
    if not quiet.error and quiet.text != asked and asked.startswith(quiet.text[: quiet.text.rfind(QUESTION)]):
        off = quiet.text[quiet.text.rfind(QUESTION) + len(QUESTION) :]
    return Think(opening, closing, prefilled=prefilled, off=off)


def _without_thinking(text: str) -> str:
    """`text` without the empty block of thinking that some templates render before a call."""
    for opening, closing in THINKING:
        head = text.lstrip()
        if head.startswith(opening.strip()):
            _, found, rest = text.partition(closing)
            if found:
                return rest
        # Where the prompt ends inside thinking, what it has in common with a rendered call holds the opening.
        elif head.startswith(closing):
            return head[len(closing) :]
    return text


def _with_thinking(result: Result, think: Think | None) -> Result:
    if think is None or not result.close.rstrip().endswith(think.open.strip()):
        return result
    return replace(result, prefills_thinking=True)


# The prompt


def _frame(texts: dict[str, Rendered], which: str) -> Frame | None:
    asked, with_system, again = (texts[f"{title}{which}"] for title in ("asked", "asked with system", "asked again"))
    at = asked.text.rfind(QUESTION)
    if at < 0:
        return None
    bare, ask = asked.text[:at], asked.text[at + len(QUESTION) :]
    opening, closing = bare, "\n\n"
    system_at, question_at = with_system.text.rfind(SYSTEM), with_system.text.rfind(QUESTION)
    if not with_system.error and 0 <= system_at < question_at:
        opening = with_system.text[:system_at]
        closing = with_system.text[system_at + len(SYSTEM) : question_at]
    past = following = ""
    done_at, next_at = again.text.rfind(DONE), again.text.rfind(NEXT_QUESTION)
    if not again.error and 0 <= done_at < next_at:
        question_at = again.text.find(QUESTION)
        past = again.text[question_at + len(QUESTION) : done_at]
        following = again.text[done_at + len(DONE) : next_at]
    return Frame(ask=ask, open=opening, close=closing, bare=bare, past=past or ask, next=following)


def _runtimes_own(call: Call, result: Result, frame: Frame, think: Think | None) -> tuple[str, ...]:
    """Tokens that only the runtime writes: a model that went on to write its own result would believe it."""
    ours = {name for text in (result.open, result.close, frame.next) for name in SPELLED.findall(text)}
    model = [call.open, call.before, call.after, call.close, call.end]
    model += [think.open, think.close] if think is not None else []
    theirs = {name for text in model for name in SPELLED.findall(text)}
    return tuple(sorted(name for name in ours - theirs if name not in ENDS))
