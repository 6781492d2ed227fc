"""A recursive descent parser for expressions in LaTeX and plain notation.

It knows what answers are made of and refuses the rest; a refusal costs nothing, because what it cannot read is compared
as text. Depth and length are bounded, so no input can make it slow.
"""

from __future__ import annotations

from fractions import Fraction

from runtime.grade.reading.nodes import Call, Expression, Number, Symbol, Unreadable
from runtime.grade.reading.numerals import product_of, read_number
from runtime.grade.reading.series import MOST_TERMS, bound, written_out
from runtime.grade.reading.tokens import Token

DEEPEST = 60
"""Levels of brackets, arguments and exponents within each other."""
_MOST_QUOTIENTS, _MOST_POSTFIXES = 20, 4
_LONGEST_PRODUCT_OF_LETTERS = 3
_CLOSERS = {"(": ")", "[": "]", "{": "}", "|": "|"}
_FUNCTION_NAMES = "fghFGHPQ"
_FLOORS = {r"\lfloor": (r"\rfloor", "floor"), r"\lceil": (r"\rceil", "ceil")}
_INVERSES = {"sin": "arcsin", "cos": "arccos", "tan": "arctan"}


class ExpressionParser:
    """Reads one expression from a token list; `finish` makes sure that nothing is left over."""

    def __init__(self, tokens: list[Token]) -> None:
        self.tokens = tokens
        self.position = 0
        self.depth = 0
        self.bars = 0
        self.terms = 1

    def finish(self) -> Expression:
        """The expression that all tokens make up.

        Raises:
            Unreadable: they do not.
        """
        expression = self.sum()
        if self.position != len(self.tokens):
            raise Unreadable
        return expression

    def peek(self, *texts: str) -> bool:
        """Whether the next token is one of these operators."""
        return self.position < len(self.tokens) and self.at(self.position, *texts)

    def at(self, position: int, *texts: str) -> bool:
        """Whether the token at `position` is one of these operators."""
        if not 0 <= position < len(self.tokens):
            return False
        token = self.tokens[position]
        return token.kind == "operator" and token.text in texts

    def take(self) -> Token:
        """The next token, consumed."""
        if self.position >= len(self.tokens):
            raise Unreadable
        self.position += 1
        return self.tokens[self.position - 1]

    def accept(self, *texts: str) -> bool:
        """Consume the next token where it is one of these operators; whether it was."""
        found = self.peek(*texts)
        self.position += found
        return found

    def expect(self, text: str) -> None:
        """Consume the operator `text`."""
        if not self.accept(text):
            raise Unreadable

    def descend(self) -> None:
        """Note that one level more is read; whoever calls it takes the level back at its end.

        Raises:
            Unreadable: there are too many levels.
        """
        self.depth += 1
        if self.depth > DEEPEST:
            raise Unreadable

    def sum(self) -> Expression:
        """term (+|- term)*"""
        self.descend()
        terms = [self.product()]
        while self.peek("+", "-"):
            sign = self.take().text
            term = self.product()
            terms.append(Call("neg", (term,)) if sign == "-" else term)
        self.depth -= 1
        return terms[0] if len(terms) == 1 else Call("add", tuple(terms))

    def product(self) -> Expression:
        """Factors joined by `*`, `/` or nothing, from left to right."""
        factors = [self.signed()]
        quotients = 0
        while True:
            if self.accept("*"):
                factors.append(self.signed())
            elif self.accept("/"):
                quotients += 1
                if quotients > _MOST_QUOTIENTS:
                    raise Unreadable
                factors = [Call("div", (product_of(factors), self.signed()))]
            elif self.starts_factor():
                # Two numerals side by side are a sequence or a slip, never a product; 3!7! is one, and n 2^n.
                is_number = self.tokens[self.position].kind == "number"
                if is_number and not self.at(self.position - 1, "!") and not self.begins_a_power():
                    raise Unreadable
                factors.append(self.power())
            else:
                return product_of(factors)

    def begins_a_power(self) -> bool:
        """Whether the numeral here is the base of a power, and what stands before it is none: `(n-2) 2^{n}`."""
        return self.at(self.position + 1, "^") and self.tokens[self.position - 1].kind != "number"

    def signed(self) -> Expression:
        """A factor with its signs."""
        negative = False
        signs = 0
        while self.peek("+", "-"):
            negative ^= self.take().text == "-"
            signs += 1
            if signs > 4:
                raise Unreadable
        factor = self.power()
        return Call("neg", (factor,)) if negative else factor

    def starts_factor(self) -> bool:
        """Whether a factor follows without an operator."""
        if self.position >= len(self.tokens):
            return False
        token = self.tokens[self.position]
        if token.kind in ("number", "name", "function", "symbol"):
            return True
        return self.peek("(", "{", r"\frac", r"\binom", r"\sum", r"\prod", *_FLOORS) or (
            self.bars == 0 and self.peek("|")
        )

    def power(self) -> Expression:
        """primary [!] [^ exponent]"""
        base = self.primary()
        base = self.postfix(base)
        if self.peek("^"):
            self.take()
            base = self.postfix(Call("pow", (base, self.exponent())))
        return base

    def postfix(self, base: Expression) -> Expression:
        """Factorials and degree signs."""
        for _ in range(_MOST_POSTFIXES):
            if not self.peek("!", r"\deg"):
                break
            base = Call("factorial" if self.take().text == "!" else "degrees", (base,))
        return base

    def exponent(self) -> Expression:
        """What follows `^`: a braced expression, or one signed factor with an exponent of its own."""
        self.descend()
        negative = self.peek("-")
        if negative or self.peek("+"):
            self.take()
        if self.position < len(self.tokens) and self.tokens[self.position].kind == "name":
            value: Expression = self.one_letter()
        else:
            value = self.postfix(self.primary())
        if self.peek("^"):
            self.take()
            value = Call("pow", (value, self.exponent()))
        self.depth -= 1
        return Call("neg", (value,)) if negative else value

    def one_letter(self) -> Expression:
        """The first letter of a name: in `x^ab` the exponent is `a`."""
        token = self.tokens[self.position]
        if len(token.text) == 1:
            self.position += 1
        else:
            self.tokens = [*self.tokens]
            self.tokens[self.position] = Token("name", token.text[1:], False)
        return self.subscripted(token.text[0])

    def primary(self) -> Expression:
        """A numeral, a name, a bracket, a fraction, a root or a function with its argument."""
        self.descend()
        expression = self._primary(self.take())
        self.depth -= 1
        return expression

    def _primary(self, token: Token) -> Expression:
        if token.kind == "number":
            return self.mixed(token)
        if token.kind == "symbol":
            return self.subscripted(token.text)
        if token.kind == "name":
            return self.letters(token.text)
        if token.kind == "function":
            return self.function(token.text)
        if token.kind != "operator":
            raise Unreadable
        if token.text in _CLOSERS:
            return self.bracket(token.text)
        if token.text == r"\frac":
            return Call("div", (self.argument(), self.argument()))
        if token.text == r"\binom":
            return Call("binomial", (self.argument(), self.argument()))
        if token.text in (r"\sum", r"\prod"):
            return self.series(token.text)
        if token.text in _FLOORS:
            closer, name = _FLOORS[token.text]
            inner = self.sum()
            self.expect(closer)
            return Call(name, (inner,))
        raise Unreadable

    def series(self, command: str) -> Expression:
        """A sum or product with numerals as bounds, written out; the summand ends where a product does."""
        self.expect("_")
        self.expect("{")
        name = self.take()
        self.expect("=")
        first = bound(self.sum())
        self.expect("}")
        self.expect("^")
        last = bound(self.exponent())
        # Sums within sums multiply.
        self.terms *= last - first + 1
        if name.kind not in ("name", "symbol") or last < first or self.terms > MOST_TERMS:
            raise Unreadable
        body = self.product()
        self.terms //= last - first + 1
        return written_out(command, name.text, first, last, body)

    def bracket(self, opener: str) -> Expression:
        """The inside of a bracket; bars mean the absolute value."""
        if opener == "|":
            self.bars += 1
        inner = self.sum()
        self.expect(_CLOSERS[opener])
        if opener == "|":
            self.bars -= 1
            return Call("abs", (inner,))
        return inner

    def mixed(self, token: Token) -> Expression:
        """A numeral, or a mixed number such as `2 1/2` or `2\\frac{1}{2}`."""
        whole = read_number(token.text)
        if not token.text.isdigit():
            return whole
        rest = self.tokens[self.position : self.position + 3]
        if (
            len(rest) == 3
            and rest[0].kind == rest[2].kind == "number"
            and rest[0].spaced
            and rest[0].text.isdigit()
            and rest[2].text.isdigit()
            and rest[1].text == "/"
            and int(rest[0].text) < int(rest[2].text)
        ):
            self.position += 3
            part: Expression = Call("div", (read_number(rest[0].text), read_number(rest[2].text)))
            return Call("add", (whole, part))
        if self.peek(r"\frac"):
            start = self.position
            self.take()
            top, bottom = self.argument(), self.argument()
            if isinstance(top, Number) and isinstance(bottom, Number):
                return Call("add", (whole, Call("div", (top, bottom))))
            self.position = start
        return whole

    def argument(self) -> Expression:
        """One LaTeX argument: a braced expression, or a single token (`\\frac12` cuts `12` in two)."""
        self.descend()
        expression = self._argument()
        self.depth -= 1
        return expression

    def _argument(self) -> Expression:
        if self.peek("{"):
            self.take()
            return self.bracket("{")
        token = self.take()
        if token.kind == "number":
            if len(token.text) > 1 and token.text.isdigit():
                self.position -= 1
                self.tokens = [*self.tokens]
                self.tokens[self.position] = Token("number", token.text[1:], False)
            return read_number(token.text[0] if token.text.isdigit() else token.text)
        if token.kind == "name":
            self.position -= 1
            return self.one_letter()
        if token.kind == "symbol":
            return self.subscripted(token.text)
        if token.kind == "operator" and token.text in (r"\frac",):
            return Call("div", (self.argument(), self.argument()))
        if token.kind == "function" and token.text == "sqrt":
            return self.function("sqrt")
        raise Unreadable

    def letters(self, text: str) -> Expression:
        """A variable, or a product of up to three; longer runs are words."""
        if len(text) > _LONGEST_PRODUCT_OF_LETTERS:
            raise Unreadable
        # Nobody multiplies by (0): I(0) and V(0) are values, too.
        zero = self.tokens[self.position + 1 : self.position + 2] == [Token("number", "0")]
        if (zero or text[-1] in _FUNCTION_NAMES) and (applied := self.applied()):
            symbol: Expression = Symbol(f"{text[-1]}({applied})")
            for letter in reversed(text[:-1]):
                symbol = Call("mul", (Symbol(letter), symbol))
            return symbol
        if len(text) > 1 and (self.peek("_") or self.peek("^")):
            # The exponent or subscript belongs to the last letter alone.
            self.position -= 1
            self.tokens = [*self.tokens]
            self.tokens[self.position] = Token("name", text[1:], False)
            return Call("mul", (Symbol(text[0]), self.power()))
        result: Expression = self.subscripted(text[0])
        for letter in text[1:]:
            result = Call("mul", (result, Symbol(letter)))
        return result

    def applied(self) -> str:
        """The numeral in brackets that follows, consumed; empty if none.

        `f(2)` is a value of f, not its double.
        """
        rest = self.tokens[self.position : self.position + 3]
        if len(rest) < 3 or rest[1].kind != "number" or not self.peek("(") or not self.at(self.position + 2, ")"):
            return ""
        self.position += 3
        return rest[1].text

    def subscripted(self, name: str) -> Expression:
        """A name with its subscript, which is part of the name."""
        while self.peek("'"):
            name += self.take().text
        if not self.accept("_"):
            return Symbol(name)
        if self.accept("{"):
            parts = []
            while not self.peek("}"):
                parts.append(self.take().text)
                if len(parts) > 8:
                    raise Unreadable
            self.take()
            return Symbol(f"{name}_{''.join(parts)}")
        return Symbol(f"{name}_{self.take().text}")

    def function(self, name: str) -> Expression:
        """A function and its argument: bracketed, braced, or the factors that follow up to the next operator."""
        if name == "sqrt":
            return self.root()
        power: Expression | None = None
        base: Expression | None = None
        if name == "log" and self.accept("_"):
            base = self.argument()
        if self.accept("^"):
            power = self.exponent()
        arguments = self.function_arguments(name)
        if base is not None:
            arguments = (*arguments, base)
        if power == Call("neg", (Number(Fraction(1), 0, 1),)) and name in _INVERSES:
            name, power = _INVERSES[name], None
        result: Expression = Call(name, arguments)
        return Call("pow", (result, power)) if power is not None else result

    def root(self) -> Expression:
        """A square root, or another one where an index in brackets follows."""
        index: Expression | None = None
        if self.accept("["):
            index = self.sum()
            self.expect("]")
        inner = self.bracket(self.take().text) if self.peek("(") else self.argument()
        return Call("sqrt", (inner,)) if index is None else Call("root", (inner, index))

    def function_arguments(self, name: str) -> tuple[Expression, ...]:
        """The arguments after a function's name."""
        if self.peek("(", "{", "["):
            opener = self.take().text
            arguments = [self.sum()]
            while name in ("gcd", "lcm", "max", "min") and self.accept(","):
                arguments.append(self.sum())
            self.expect(_CLOSERS[opener])
            return tuple(arguments)
        negative = self.accept("-")
        factors = [self.power()]
        while (
            self.position < len(self.tokens)
            and (self.tokens[self.position].kind in ("name", "symbol") or self.peek(r"\frac"))
            and self.tokens[self.position].text != "sqrt"
        ):
            factors.append(self.power())
        argument = product_of(factors)
        return (Call("neg", (argument,)) if negative else argument,)
