r"""Characters beyond ASCII: mathematics typed with Unicode, as LaTeX or plain ASCII.

Superscripts, subscripts, roots, vulgar fractions, Greek letters, digits of other scripts, letters of the mathematical
alphabets. What stands for nothing on paper (zero-width characters, a byte order mark) goes; what is unknown stays.
"""

from __future__ import annotations

import re
import unicodedata

_CHARACTERS = {
    "−": "-", "–": "-", "—": "-", "‐": "-", "‑": "-", "‒": "-", "―": "-",
    "×": r"\times ", "·": r"\cdot ", "⋅": r"\cdot ", "∙": r"\cdot ",
    "∗": "*", "÷": "/", "∕": "/", "⁄": "/", "∞": r"\infty ", "≤": r"\le ", "⩽": r"\le ", "≥": r"\ge ", "⩾": r"\ge ",
    "≠": r"\ne ", "≈": r"\approx ", "±": r"\pm ", "∓": r"\mp ", "∪": r"\cup ", "∩": r"\cap ", "∈": r"\in ",
    "∖": r"\setminus ", "∅": r"\emptyset ", "°": r"^\circ ", "˚": r"^\circ ", "º": r"^\circ ",
    "∣": "|", "∠": r"\angle ", "…": "...", "⋯": "...",
    "’": "'", "‘": "'", "′": "'", "“": '"', "”": '"', "€": r"\eur ", "£": r"\gbp ", "¢": r"\text{cents}",
    "⟨": r"\langle ", "⟩": r"\rangle ", "〈": r"\langle ", "〉": r"\rangle ", "⌊": r"\lfloor ", "⌋": r"\rfloor ",
    "⌈": r"\lceil ", "⌉": r"\rceil ", "ℝ": r"\mathbb{R}", "ℤ": r"\mathbb{Z}", "ℚ": r"\mathbb{Q}", "ℕ": r"\mathbb{N}",
    "ℂ": r"\mathbb{C}", "∑": r"\sum ", "∏": r"\prod ", "∫": r"\int ", "√": r"\sqrt ", "∛": r"\sqrt[3]",
    "∜": r"\sqrt[4]", "、": ",", "\u2009": r"\,", "\u202f": r"\,", "\u00a0": "~", "\u066c": ",",
    "₹": r"\inr ", "¥": r"\jpy ",
}  # fmt: skip
GREEK = dict(
    zip(
        "αβγδεζηθικλμνξπρστφχψωΓΔΘΛΞΠΣΦΨΩϕ",
        "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau phi chi psi omega "
        "Gamma Delta Theta Lambda Xi Pi Sigma Phi Psi Omega phi".split(),
        strict=True,
    )
)
# A root covers the whole numeral that follows it: √12 is the root of twelve, where `\sqrt 12` is that of one, times 2.
_ROOT = re.compile(r"([√∛∜])\s*(\d+(?:\.\d+)?)")
_RAISED = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁽⁾ⁿⁱ]+")
_LOWERED = re.compile("[₀₁₂₃₄₅₆₇₈₉₊₋]+")


def in_ascii(text: str) -> str:
    """`text` with LaTeX or ASCII in place of every character that has an equivalent there."""
    if text.isascii():
        return text
    text = _ROOT.sub(r"\1{\2}", text)
    text = _RAISED.sub(lambda match: f"^{{{_flat(match.group())}}}", text)
    text = _LOWERED.sub(lambda match: f"_{{{_flat(match.group())}}}", text)
    return "".join(character if character.isascii() else _one(character) for character in text)


def _flat(text: str) -> str:
    return unicodedata.normalize("NFKC", text).replace("−", "-")


def _one(character: str) -> str:
    if character in _CHARACTERS:
        return _CHARACTERS[character]
    category = unicodedata.category(character)
    if category == "Cf":
        return ""
    if category == "Nd":
        return str(unicodedata.decimal(character))
    flat = unicodedata.normalize("NFKC", character)
    if flat in GREEK:
        return rf"\{GREEK[flat]} "
    if flat.isspace():
        return " "
    if "⁄" in flat:
        top, _, bottom = flat.partition("⁄")
        return rf"\frac{{{top}}}{{{bottom}}}" if bottom else f"{top}/"
    return flat if flat.isascii() else character
