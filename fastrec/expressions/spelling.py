"""Trees as text."""

from __future__ import annotations

from contextlib import suppress

from fastrec.durations import format_duration, parse_duration
from fastrec.errors import SchemaError
from fastrec.expressions.precedence import LEVELS, UNARY, VALUE
from fastrec.expressions.tree import (
    Binary,
    Call,
    Compare,
    Constant,
    Duration,
    In,
    Logic,
    Name,
    Node,
    Number,
    Text,
    Unary,
)
from fastrec.expressions.words import CONSTANTS, is_plain

__all__ = ["spell"]

_ESCAPES = {"\\": "\\\\", "'": "\\'", "\n": "\\n", "\t": "\\t"}


def spell(node: Node) -> str:
    """Return a tree that `parse` made as text, with no more parentheses than it takes.

    Returns
    -------
    str
        `parse` makes the same tree of it, but for ``at``. It can be longer than what was parsed, so the text
        of a tree near the limits may go beyond them. Lines and characters that cannot be seen are escaped
        where the language has an escape for them: in texts.
    """
    match node:
        case Name(text, _):
            return text if is_plain(text) else f"`{text}`"
        case Number(value, _):
            return repr(value)
        case Text(value, _):
            return "'" + "".join(map(_letter, value)) + "'"
        case Duration(ns, _):
            return _duration(ns)
        case Constant(value, _):
            return next(word for word, known in CONSTANTS.items() if known is value)
        case Unary(operator, operand, _):
            gap = " " if operator == "not" else ""
            return operator + gap + _within(operand, _level(node))
        case Binary(operator, left, right, _):
            level = _level(node)
            return f"{_within(left, level)} {operator} {_within(right, level + 1)}"
        case Compare(operator, left, right, _):
            above = LEVELS[operator] + 1
            return f"{_within(left, above)} {operator} {_within(right, above)}"
        case In(item, choices, negated, _):
            word = "not in" if negated else "in"
            return f"{_within(item, LEVELS['in'] + 1)} {word} ({', '.join(map(spell, choices))})"
        case Logic(operator, parts, _):
            above = LEVELS[operator] + 1
            return f" {operator} ".join(_within(part, above) for part in parts)
        case Call(function, arguments, _):
            return f"{function}({', '.join(map(spell, arguments))})"
    raise TypeError(f"{type(node).__name__} is no node of an expression")


def _level(node: Node) -> int:
    match node:
        case Unary("not"):
            return LEVELS["not"]
        case Unary():
            return UNARY
        case Binary() | Compare() | Logic():
            return LEVELS[node.operator]
        case In():
            return LEVELS["in"]
    return VALUE


def _within(node: Node, least: int) -> str:
    return spell(node) if _level(node) >= least else f"({spell(node)})"


def _letter(letter: str) -> str:
    if letter in _ESCAPES:
        return _ESCAPES[letter]
    if letter.isprintable() or (code := ord(letter)) > 0xFFFF:
        return letter
    return f"\\x{code:02x}" if code <= 0xFF else f"\\u{code:04x}"


def _duration(ns: int) -> str:
    """As people write it, where that is exact."""
    text = format_duration(ns).replace(" ", "")
    with suppress(SchemaError):  # rounded up, the longest are too long
        if parse_duration(text) == ns:
            return text
    return f"{ns}ns"
