"""What stands in a call: the code a model asks to run, in the encodings of the formats.

Models write JSON with raw line breaks and quotes that are not escaped, leave arguments out and name tools that do not
exist. What can be read without guessing is read; of the rest a sentence says what is wrong, which the model is told.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from runtime.solver.dialects.form import Call
from runtime.solver.dialects.markers import SPELLED

LONGEST_CALL = 200_000
"""Characters; a longer call is answered with an error, unread."""
_JSON_START = re.compile(r"\[\s*\{|\{")
_NAME = re.compile(r"[A-Za-z_][\w.-]*")
_CODE_PART = re.compile(r"<code>\n?(.*?)\n?</code>", re.DOTALL)
_FENCED = re.compile(r"```[ \t]*\w*[ \t]*\n(.*?)(?:\n```|$)", re.DOTALL)
_ALIASES = frozenset({"python", "ipython", "code_interpreter", "functions.python", "python_interpreter"})
"""Names of an interpreter that models use whatever it was declared as."""


@dataclass(frozen=True)
class Asked:
    """One call: the code, or what is wrong with it."""

    code: str
    fault: str = ""


def decoded(body: str, call: Call) -> list[Asked]:
    """The calls that stand in `body`, what was written between a call's opening and its end."""
    if len(body) > LONGEST_CALL:
        return [Asked(body[:200], f"the call has {len(body):,} characters; the most is {LONGEST_CALL:,}")]
    stripped = body.strip()
    if call.decode == "json":
        return _from_json(body, call)
    if call.decode == "pyliteral":
        return [_from_literal(stripped, call)]
    if call.before.strip() and call.decode == "raw":
        return _unwrapped(body, call)
    if stripped.startswith("{") and (found := _from_object_of_code(stripped, call)):
        return [found]
    if call.decode == "fence" and (fenced := _FENCED.search(body)):
        body = fenced[1]
    code = body.strip("\n")
    return [Asked(code, "" if code.strip() else "the call holds no code")]


def last_call(text: str, call: Call) -> tuple[str, list[Asked]] | None:
    """The call that `text` ends with, and what stands before it; None without one, or a broken one."""
    begin = text.rfind(call.open) if call.open and call.close else -1
    end = text.find(call.close, begin + len(call.open))
    if begin < 0 or end < 0 or text[end + len(call.close) :].strip():
        return None
    asked = decoded(text[begin + len(call.open) : end], call)
    return None if any(one.fault for one in asked) else (text[:begin], asked)


def encoded(code: str, call: Call) -> str:
    """`code` as a call holds it, inside of `call.before` and `call.after`; `decoded` reads it back."""
    if call.decode == "json":
        return json.dumps(code, ensure_ascii=False)[1:-1]
    if call.decode == "pyliteral":
        return repr(code)[1:-1].replace('"', '\\"') if call.before.endswith('"') else _single_quoted(code)
    return f"```python\n{code}\n```" if call.decode == "fence" else code


def _single_quoted(code: str) -> str:
    written = repr(code)
    return written[1:-1] if written[0] == "'" else written[1:-1].replace("'", "\\'")


# JSON


def _from_json(body: str, call: Call) -> list[Asked]:
    found: list[Asked] = []
    position = 0
    while (start := _JSON_START.search(body, position)) is not None:
        named = _named(body[position : start.start()], call)
        payload = body[start.start() :]
        try:
            value, length = json.JSONDecoder(strict=False).raw_decode(payload)
        except (ValueError, RecursionError) as error:
            code = _repaired(payload, call)
            fault = "" if code is not None else f"it is not valid JSON ({error})"
            return [*found, Asked(body.strip() if code is None else code, fault)]
        position = start.start() + length
        beside = _CODE_PART.search(body, position)
        values = value if isinstance(value, list) else [value]
        found += [_from_value(one, call, named, beside[1] if beside else "") for one in values]
    return found or [Asked(body.strip(), f"it holds no JSON object with the argument {call.argument!r}")]


def _named(head: str, call: Call) -> str:
    """The tool that is named before the arguments."""
    words = _NAME.findall(SPELLED.sub(" ", head))
    return call.name if call.name in head else words[0] if words else ""


def _from_value(value: Any, call: Call, name: str, beside: str) -> Asked:
    if isinstance(value, dict) and isinstance(value.get("function"), dict):
        value = value["function"]
    if not isinstance(value, dict):
        return Asked(str(value), f"it is not a JSON object with the argument {call.argument!r}")
    arguments: Any = value
    if len(value) == 1 and isinstance(value.get(call.name), dict):
        arguments = value[call.name]
    elif call.argument not in value:
        named = value.get("name", value.get("tool_name"))
        name = named if isinstance(named, str) else name
        arguments = value.get("arguments", value.get("parameters", {}))
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments, strict=False)
        except (ValueError, RecursionError) as error:
            return Asked(str(value.get("arguments")), f"its arguments are not valid JSON ({error})")
    if fault := _wrong_tool(name, call):
        return Asked(json.dumps(value, ensure_ascii=False), fault)
    code = arguments.get(call.argument) if isinstance(arguments, dict) else None
    if beside and not code:
        return Asked(beside)
    if not isinstance(code, str) or not code.strip():
        return Asked(json.dumps(value, ensure_ascii=False), f"the argument {call.argument!r} with the code is missing")
    return Asked(code)


def _wrong_tool(name: str, call: Call) -> str:
    bare = name.removeprefix("functions.").partition(":")[0]
    if not name or bare in (call.name, *_ALIASES):
        return ""
    return f"there is no tool {name[:60]!r}; the only one is {call.name}({call.argument})"


def _repaired(payload: str, call: Call) -> str | None:
    """The code of an object whose quotes are not escaped: all from the argument to the last quote."""
    opening = re.search(rf'"{re.escape(call.argument)}"\s*:\s*"', payload)
    closing = re.search(r'"[\s}\]]*$', payload)
    if opening is None or closing is None or closing.start() < opening.end():
        return None
    inner = re.sub(
        r'(\\.)|"', lambda found: found[1] or '\\"', payload[opening.end() : closing.start()], flags=re.DOTALL
    )
    try:
        code = json.loads(f'"{inner}"', strict=False)
    except ValueError:
        return None
    return code if isinstance(code, str) and code.strip() else None


def _from_object_of_code(text: str, call: Call) -> Asked | None:
    """The code of a JSON object that holds it; None where the text is code itself (a dict, a set)."""
    try:
        value, end = json.JSONDecoder(strict=False).raw_decode(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict) or text[end:].strip():
        return None
    arguments = value.get("arguments", value.get("parameters", value))
    code = arguments.get(call.argument) if isinstance(arguments, dict) else None
    return _from_value(value, call, "", "") if isinstance(code, str) else None


# Wrapped in tags


def _unwrapped(body: str, call: Call) -> list[Asked]:
    found = [Asked(code, fault) for code, fault in _in_wrapper(body, call)]
    if found:
        return found
    if _JSON_START.match(body.strip()):
        return _from_json(body, call)
    return [Asked(body.strip(), "it is not in the form that was asked for")]


def _in_wrapper(body: str, call: Call) -> Iterator[tuple[str, str]]:
    before = re.compile(_loose(call.before, call.name))
    after = re.compile(_loose(call.after, "")) if call.after.strip() else None
    position = 0
    while (opening := before.search(body, position)) is not None:
        ending = after.search(body, opening.end()) if after is not None else None
        end, position = ending.span() if ending is not None else (len(body), len(body))
        # The line breaks that the tags are written with are theirs; further ones are the code's.
        code = body[opening.end() : end]
        code = code.removeprefix("\n") if call.before.endswith("\n") else code
        code = code.removesuffix("\n") if call.after.startswith("\n") else code
        fault = _wrong_tool(opening.groupdict().get("tool") or "", call) or ("" if code.strip() else "it holds no code")
        yield code, fault


def _loose(text: str, name: str) -> str:
    """A pattern for `text` that takes other white space and, once, another name of the tool."""
    words = [re.escape(word) for word in text.split()]
    pattern = r"\s*".join(words)
    return pattern.replace(re.escape(name), r"(?P<tool>[\w.:-]+)", 1) if name else pattern


# Python


def _from_literal(text: str, call: Call) -> Asked:
    try:
        tree = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        loose = re.search(rf"{re.escape(call.argument)}\s*=\s*(['\"])(.*)\1\s*\)?\s*\]?\s*$", text, re.DOTALL)
        if loose and loose[2].strip():
            return Asked(loose[2])
        return Asked(text, f"it is not a call in Python's syntax ({type(error).__name__})")
    node = tree.elts[0] if isinstance(tree, ast.List | ast.Tuple) and tree.elts else tree
    if not isinstance(node, ast.Call):
        return Asked(text, f"it is not a call of {call.name}({call.argument}=...)")
    if fault := _wrong_tool(ast.unparse(node.func), call):
        return Asked(text, fault)
    values = [word.value for word in node.keywords if word.arg == call.argument] + node.args
    if values and isinstance(values[0], ast.Constant) and isinstance(values[0].value, str):
        return Asked(values[0].value)
    return Asked(text, f"the argument {call.argument!r} with the code is missing")
