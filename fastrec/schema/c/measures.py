"""What is measured in constant expressions: ``sizeof``, ``_Alignof``, ``offsetof``."""

from __future__ import annotations

from fastrec.schema.c.numbers import Number
from fastrec.schema.c.specifiers import Specifiers
from fastrec.schema.c.tokens import Token, refusal
from fastrec.schema.c.types import Array, Record, Scalar, Type

__all__ = ["Measures"]


class Measures(Specifiers):
    """Measures types."""

    def alignment_of_type(self) -> int:
        token = self.peek()
        return self.resolved(self.type_name(), token).align

    def measured(self, word: Token) -> Number:
        self.expect("(", f"behind {word.text!r}")
        token = self.peek()
        if not self.begins_type(token):
            if word.text != "sizeof":
                raise refusal(token, "stands where a type is expected")
            return self._of_value(token)
        found = self.resolved(self.type_name(), token)
        if word.text in ("offsetof", "__builtin_offsetof"):
            value = self._offset(found)
        elif word.text == "sizeof":
            value = found.size
        else:
            value = found.align
            gcc = word.text.startswith("__") and not self.abi.microsoft
            element = found
            while isinstance(element, Array):
                element = element.element
            if gcc and isinstance(element, Scalar) and element.align == self.abi.align_8 < element.size == 8:
                value = 8  # the alignment outside of structs, which i386 has apart
        self.expect(")", f"behind {word.text!r}")
        return Number(value, 8 * self.abi.pointer, False)

    def _of_value(self, token: Token) -> Number:
        if token.kind == "string":
            raise refusal(token, "is a text; write its size as a number")
        if token.text == "(" and self.peek(1).text == "(":
            place = self.place
            self.take()
            self.take()
            if self.begins_type(self.peek()):
                return self._of_member()
            self.back(place)
        value = self.conditional("sizeof")
        self.expect(")", "behind sizeof")
        return Number(max(8, value.bits) // 8, 8 * self.abi.pointer, False)

    def _of_member(self) -> Number:
        """``sizeof(((struct foo *)0)->member)``, its two first brackets taken."""
        token = self.peek()
        base = self.specifiers(strict=True).type
        self.expect("*", "in sizeof")
        for mark in (")", "0", ")", "->"):
            if self.peek().text != mark:
                raise refusal(self.peek(), "is not understood in sizeof")
            self.take()
        found, _ = self._path(self.resolved(base, token))
        self.expect(")", "behind sizeof")
        return Number(found.size, 8 * self.abi.pointer, False)

    def _offset(self, found: Type) -> int:
        self.expect(",", "in offsetof")
        return self._path(found)[1]

    def _path(self, found: Type) -> tuple[Type, int]:
        at = 0
        first = True
        while first or self.at(".", "["):
            if not first and self.accept("["):
                if not isinstance(found, Array):
                    raise refusal(self.peek(), "is an index into what is no array")
                found = found.element
                at += self.constant("an index") * found.size
                self.expect("]", "behind an index")
                continue
            if not first:
                self.take()
            first = False
            token = self.take()
            place = _member(found, token.text) if isinstance(found, Record) else None
            if place is None:
                raise refusal(token, "is no member there that has an offset")
            found, offset = place
            at += offset
        return found, at


def _member(record: Record, name: str) -> tuple[Type, int] | None:
    for placed in record.members:
        declared = placed.declared
        if declared.name == name and declared.width is None:
            return declared.type, placed.at // 8
        if not declared.name and isinstance(declared.type, Record):
            below = _member(declared.type, name)
            if below:
                return below[0], placed.at // 8 + below[1]
    return None
