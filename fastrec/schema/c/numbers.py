"""Integers of C: their types, their arithmetic, and how they are written."""

from __future__ import annotations

import operator
import re
from dataclasses import dataclass, replace

from fastrec.errors import SchemaError
from fastrec.schema.abi import Abi
from fastrec.schema.c.tokens import Token, refusal

__all__ = ["Number", "binary", "cast", "character", "common", "literal", "truth", "unary"]

_LITERAL = re.compile(r"(0[xX][0-9a-fA-F]+|0[bB][01]+|[0-9]+)([uUlL]*|[uU]?[iI](?:8|16|32|64))", re.ASCII)
_SUFFIX = re.compile(r"u?(?:l|ll)?|(?:l|ll)u", re.ASCII)
_ESCAPES = {
    "a": 7,
    "b": 8,
    "f": 12,
    "n": 10,
    "r": 13,
    "t": 9,
    "v": 11,
    "e": 27,
    "\\": 92,
    "'": 39,
    '"': 34,
    "?": 63,
}
_CHARACTER = re.compile(r"\\([0-7]{1,3})|\\x([0-9a-fA-F]{1,8})|\\(.)|([^\\])", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Number:
    """A value of an integer type, or what is wrong with it: an error counts only where the value does."""

    value: int
    bits: int = 32
    signed: bool = True
    error: SchemaError | None = None

    def fits(self) -> bool:
        """Whether the type can hold the value."""
        low = -(1 << self.bits - 1) if self.signed else 0
        return low <= self.value < 1 << self.bits - self.signed


def cast(number: Number, bits: int, signed: bool) -> Number:
    """The value in another type, as C converts it."""
    value = number.value & (1 << bits) - 1
    if signed and value >> bits - 1:
        value -= 1 << bits
    return Number(value, bits, signed, number.error)


def truth(number: Number) -> Number:
    """The value as a bool."""
    return Number(int(bool(number.value)), 8, False, number.error)


def _promoted(number: Number) -> Number:
    return replace(number, bits=32, signed=True) if number.bits < 32 else number


def common(one: Number, other: Number) -> tuple[Number, Number]:
    """Both in the type that C's usual arithmetic conversions give them."""
    one, other = _promoted(one), _promoted(other)
    bits = max(one.bits, other.bits)
    signed = all(number.signed for number in (one, other) if number.bits == bits)
    return cast(one, bits, signed), cast(other, bits, signed)


_ARITHMETIC = {"+": operator.add, "-": operator.sub, "*": operator.mul}
_BITS = {"&": operator.and_, "|": operator.or_, "^": operator.xor}
_COMPARED = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
}


def unary(token: Token, number: Number) -> Number:
    """``+ - ~ !`` of a value."""
    if token.text == "!":
        return Number(int(not number.value), error=number.error)
    number = _promoted(number)
    if token.text == "~":
        return cast(replace(number, value=~number.value), number.bits, number.signed)
    return _exact(token, replace(number, value=-number.value)) if token.text == "-" else number


def binary(token: Token, one: Number, other: Number) -> Number:
    """An operator between two values.

    Division by zero, shifts by no possible number of bits and sums that their type cannot hold are errors of
    the result.
    """
    mark = token.text
    if mark in ("&&", "||"):
        decided = one.error or bool(one.value) == (mark == "||")
        right = other if not decided else one
        return Number(int(bool(right.value)), error=right.error)
    error = one.error or other.error
    if mark in ("<<", ">>"):
        one = _promoted(one)
        return replace(one, error=error) if error else _shifted(token, one, other.value)
    one, other = common(one, other)
    if mark in _COMPARED:
        return Number(int(_COMPARED[mark](one.value, other.value)), error=error)
    if error:
        return replace(one, error=error)  # it still has a type, which decides that of all around it
    if mark in _BITS:
        return replace(one, value=_BITS[mark](one.value, other.value))
    if mark in _ARITHMETIC:
        return _exact(token, replace(one, value=_ARITHMETIC[mark](one.value, other.value)))
    if not other.value:
        return replace(one, error=refusal(token, "divides by zero"))
    quotient = abs(one.value) // abs(other.value)
    if (one.value < 0) != (other.value < 0):
        quotient = -quotient
    value = quotient if mark == "/" else one.value - quotient * other.value
    return _exact(token, replace(one, value=value))


def _shifted(token: Token, one: Number, by: int) -> Number:
    if not 0 <= by < one.bits:
        return replace(one, error=refusal(token, f"shifts by {by} of {one.bits} bits"))
    # 1 << 31 is what headers write for the sign bit; compilers let it be that.
    return cast(
        replace(one, value=one.value << by if token.text == "<<" else one.value >> by), one.bits, one.signed
    )


def _exact(token: Token, number: Number) -> Number:
    if number.fits():
        return number
    if not number.signed:
        return cast(number, number.bits, False)
    return replace(
        number, value=0, error=refusal(token, f"gives a number that {number.bits} bits cannot hold")
    )


def literal(token: Token, abi: Abi, *, widest: bool = False) -> Number:
    """The value of an integer constant, in the first type of C's list that holds it.

    Parameters
    ----------
    token : Token
    abi : Abi
    widest : bool
        As in ``#if``: 64 bits at least.

    Raises
    ------
    SchemaError
        No integer constant, or one beyond 64 bits.
    """
    text = token.text.replace("'", "")
    match = _LITERAL.fullmatch(text) if len(text) <= 80 else None
    if not match or (match[1][0] == "0" and match[1].isdigit() and set(match[1]) & set("89")):
        raise refusal(token, "is no integer constant")
    digits, suffix = match[1], match[2]
    decimal = digits[0] != "0"
    octal = digits.isdigit() and not decimal
    value = int(digits, 8 if octal else 0)
    lower = suffix.lower()
    if "i" in lower:
        bits = int(lower.partition("i")[2])
        exact = Number(value, max(bits, 64 if widest else 8), "u" not in lower)
        if not exact.fits():
            raise refusal(token, f"does not fit {bits} bits")
        return exact
    if not _SUFFIX.fullmatch(lower) or "lL" in suffix or "Ll" in suffix:
        raise refusal(token, "is no integer constant")
    least = 64 if "ll" in lower or widest else 8 * abi.long if "l" in lower else 32
    kinds = (False,) if "u" in lower else (True,) if decimal and value < 1 << 63 else (True, False)
    for bits in (32, 64):
        for signed in kinds:
            number = Number(value, bits, signed)
            if bits >= least and number.fits():
                return number
    raise refusal(token, "does not fit 64 bits")


def character(token: Token, abi: Abi) -> Number:
    """The value of a character constant.

    Raises
    ------
    SchemaError
        An escape that C does not know, or more characters than an int holds.
    """
    prefix, _, rest = token.text.partition("'")
    values = []
    for match in _CHARACTER.finditer(rest[:-1]):
        octal, hexadecimal, escape, plain = match.groups()
        if escape is not None and escape not in _ESCAPES:
            raise refusal(token, "has an escape that is not known here")
        if plain and not prefix and not plain.isascii():
            raise refusal(token, "is no character constant that is understood here: its bytes are not known")
        values.append(
            int(octal, 8) if octal else int(hexadecimal, 16) if hexadecimal
            else _ESCAPES[escape] if escape else ord(plain)
        )  # fmt: skip
    if prefix or any(value > 255 for value in values):
        if len(values) != 1 or prefix in ("", "u8") or values[0] >= 1 << 16:
            raise refusal(token, "is no character constant that is understood here")
        wide = {"L": int(abi.wchar[-1]), "U": 4}.get(prefix, 2)
        unsigned = wide == 2 or prefix == "U" or abi.wchar[1] == "u"
        return Number(values[0], 8 * wide, not unsigned)
    if len(values) > 4:
        raise refusal(token, "has more than four characters")
    value = 0
    for one in values:
        value = value << 8 | one
    return _promoted(cast(Number(value), 8 if len(values) == 1 and abi.signed_char else 32, True))
