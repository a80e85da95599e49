"""What an expression is once it is read.

Nodes are tuples: they are equal by content alone, so that ``Name("a", 0) == Text("a", 0)`` and
``Constant(True, 0) == Number(1, 0)``. Ask for the type first, also before a node becomes a key.

``at`` is the place in the text, in characters from 0: of names, values and calls that of the first character,
of everything else that of the operator, of several the first one's.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from fastrec.schema.texts import Lost

__all__ = [
    "FUNCTIONS",
    "MAX_CHOICES",
    "MAX_LENGTH",
    "MAX_NESTING",
    "Binary",
    "Call",
    "Compare",
    "Constant",
    "Duration",
    "In",
    "Logic",
    "Name",
    "Node",
    "Number",
    "Text",
    "Unary",
    "names",
    "parts",
    "walk",
]

MAX_LENGTH = 65_536
"""Characters of an expression, and nodes of its tree, where those that occur twice count twice."""

MAX_NESTING = 64
"""How deep parentheses lie within one another, and how high a tree is."""

MAX_CHOICES = 16_384
"""Values of a list, and arguments of a function."""

FUNCTIONS = {"has": (2, MAX_CHOICES), "changed": (1, 1), "isnan": (1, 1), "abs": (1, 1)}
"""The least and the most arguments of each function there is."""


class Name(NamedTuple):
    """A field, or a label of one: ``"hr"``, ``"ru_utime.tv_sec"``, ``"motors[2].pos"``."""

    text: str
    at: int


class Number(NamedTuple):
    """A whole number from 0 to below 10**40, or a double that is not negative; `math.nan` itself for NaN."""

    value: int | float
    at: int


class Text(NamedTuple):
    """What stood in quotes, without them and with its escapes resolved."""

    value: str
    at: int


class Duration(NamedTuple):
    """A length of time, from 0 ns to 292 years."""

    ns: int
    at: int


class Constant(NamedTuple):
    """``true``, ``false``, ``null`` (which is None) or ``lost`` (`fastrec.LOST`)."""

    value: bool | Lost | None
    at: int


class Unary(NamedTuple):
    """``-``, ``+``, ``~`` or ``not`` of a value."""

    operator: str
    operand: Node
    at: int


class Binary(NamedTuple):
    """``+ - * / // % & | ^ << >>`` of two values."""

    operator: str
    left: Node
    right: Node
    at: int


class Compare(NamedTuple):
    """``== != < <= > >=`` of two values."""

    operator: str
    left: Node
    right: Node
    at: int


class In(NamedTuple):
    """Whether a value is one of several, of at least one; `negated`: is none of them."""

    item: Node
    choices: tuple[Node, ...]
    negated: bool
    at: int


class Logic(NamedTuple):
    """``and`` or ``or`` of two parts or more, none of which is a `Logic` of the same operator.

    ``0 < x < 5`` is ``0 < x and x < 5``; `x` is in the tree twice, as the same node.
    """

    operator: str
    parts: tuple[Node, ...]
    at: int


class Call(NamedTuple):
    """A function of `FUNCTIONS` with as many arguments as it takes."""

    function: str
    arguments: tuple[Node, ...]
    at: int


Node = Name | Number | Text | Duration | Constant | Unary | Binary | Compare | In | Logic | Call


def parts(node: Node) -> tuple[Node, ...]:
    """Return the nodes right below one, in the order of the text."""
    match node:
        case Unary():
            return (node.operand,)
        case Binary() | Compare():
            return (node.left, node.right)
        case In():
            return (node.item, *node.choices)
        case Logic():
            return node.parts
        case Call():
            return node.arguments
    return ()


def walk(node: Node) -> Iterator[tuple[Node, int]]:
    """Yield every node of a tree of any height, parents first, and how deep it lies, from 1."""
    left = [(node, 1)]
    while left:
        node, depth = left.pop()
        yield node, depth
        left.extend((part, depth + 1) for part in reversed(parts(node)))


def names(node: Node) -> tuple[Name, ...]:
    """Return every name in a tree, in the order of the text, as often as it occurs."""
    return tuple(one for one, _ in walk(node) if isinstance(one, Name))
