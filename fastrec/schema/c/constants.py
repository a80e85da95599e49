"""Constant expressions of C, read and computed at once, without recursion but for brackets and ``?:``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from fastrec.schema.abi import Abi
from fastrec.schema.c import numbers
from fastrec.schema.c.cursor import Cursor, fatal
from fastrec.schema.c.numbers import Number
from fastrec.schema.c.tokens import Token, refusal

__all__ = ["Constants"]

_MAX_CHOICES = 64
_MAX_OPERANDS = 16384
_LEVELS = {
    mark: level
    for level, marks in enumerate(
        ("||", "&&", "|", "^", "&", "== !=", "< > <= >=", "<< >>", "+ -", "* / %"), start=1
    )
    for mark in marks.split()
}


class Constants(Cursor):
    """Reads constant expressions; the names and types in them are for who extends it to know."""

    def __init__(
        self, tokens: Iterator[Token], end: Token, abi: Abi, pack: int | None = None, *, widest: bool = False
    ) -> None:
        super().__init__(tokens, end, pack)
        self.abi = abi
        self._widest = widest
        self._choices = 0
        self._operands = 0

    def named(self, token: Token) -> Number:
        """The value of a word in an expression; here, as in ``#if``, 0."""
        return Number(0, 64)

    def begins_type(self, token: Token) -> bool:
        """Whether a type begins with this token."""
        return False

    def cast_type(self) -> tuple[int, bool]:
        """Read the type of a cast: bits, and whether it is signed."""
        raise NotImplementedError

    def measured(self, word: Token) -> Number:
        """Read what follows ``sizeof`` and the like."""
        raise NotImplementedError

    def constant(self, what: str) -> int:
        """Read a constant expression.

        Raises
        ------
        SchemaError
            There is none, or C gives it no value.
        """
        before, self._operands = self._operands, 0
        try:
            return self.checked(self.conditional(what))
        finally:
            self._operands += before

    def checked(self, number: Number) -> int:
        """The value; its error is raised."""
        if number.error:
            raise number.error
        return number.value

    def conditional(self, what: str) -> Number:
        """Read an expression with ``?:`` or without."""
        choices: list[tuple[Number, Number]] = []
        value = self._binary(what)
        while self.at("?"):
            token = self.take()
            self._choices += 1
            try:
                if self._choices > _MAX_CHOICES:
                    raise fatal(token, f"is nested deeper than {_MAX_CHOICES}")
                taken = self.conditional(what)
            finally:
                self._choices -= 1
            self.expect(":", f"in {what}")
            choices.append((value, taken))
            if len(choices) > _MAX_OPERANDS:
                raise fatal(token, f"goes on with more than {_MAX_OPERANDS} choices, in {what}")
            value = self._binary(what)
        for asked, taken in reversed(choices):
            one, other = numbers.common(taken, value)
            value = replace(one, error=asked.error) if asked.error else one if asked.value else other
        return value

    def _binary(self, what: str) -> Number:
        values = [self._operand(what)]
        marks: list[Token] = []
        while True:
            token = self.peek()
            level = _LEVELS.get(token.text, 0) if token.kind == "mark" else 0
            while marks and _LEVELS[marks[-1].text] >= level:
                right = values.pop()
                values.append(self._widened(numbers.binary(marks.pop(), values.pop(), right)))
            if not level:
                return values[0]
            if self._operands > _MAX_OPERANDS:
                raise fatal(token, f"goes on with more than {_MAX_OPERANDS} operands, in {what}")
            marks.append(self.take())
            values.append(self._operand(what))

    def _operand(self, what: str) -> Number:
        before: list[Token | tuple[int, bool]] = []
        self._operands += 1
        while True:
            if self.at("-", "+", "~", "!", "__extension__"):
                before.append(self.take())
            elif self.at("(") and self.begins_type(self.peek(1)):
                self.take()
                before.append(self.cast_type())
                self.expect(")", "behind the type of a cast")
            else:
                break
            if self._operands + len(before) > _MAX_OPERANDS:
                raise fatal(self.peek(), f"goes on with more than {_MAX_OPERANDS} operands, in {what}")
        value = self._primary(what)
        for one in reversed(before):
            if not isinstance(one, Token):
                value = numbers.cast(value, *one) if one[0] > 1 else numbers.truth(value)
            elif one.text != "__extension__":
                value = self._widened(numbers.unary(one, value))
        return value

    def _widened(self, number: Number) -> Number:
        return replace(number, bits=64) if self._widest else number

    def _primary(self, what: str) -> Number:
        token = self.peek()
        if token.kind == "number":
            return numbers.literal(self.take(), self.abi, widest=self._widest)
        if token.kind == "char":
            return self._widened(numbers.character(self.take(), self.abi))
        if token.kind == "word":
            return self.named(self.take())
        if token.text == "(" and token.kind == "mark":
            self.take()
            value = self.conditional(what)
            self.expect(")", f"in {what}")
            return value
        raise refusal(token, f"stands where a number is expected, in {what}")

    def whole(self, what: str) -> int:
        """Read a constant expression behind which nothing is left."""
        value = self.constant(what)
        token = self.peek()
        if token.kind != "end":
            raise refusal(token, f"is not understood in {what}")
        return value
