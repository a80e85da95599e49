"""From text to a tree: one pass over the words, by the precedence of operators."""

from __future__ import annotations

from contextlib import suppress

from fastrec.durations import parse_duration
from fastrec.errors import ExpressionError, SchemaError, shown, suggest
from fastrec.expressions.pointing import pointed
from fastrec.expressions.precedence import COMPARISONS, LEVELS, UNARY
from fastrec.expressions.tree import (
    FUNCTIONS,
    MAX_CHOICES,
    MAX_LENGTH,
    MAX_NESTING,
    Binary,
    Call,
    Compare,
    In,
    Logic,
    Name,
    Node,
    Number,
    Unary,
    walk,
)
from fastrec.expressions.words import Word, words

__all__ = ["parse"]

_INSTEAD = {
    "&&": "write and",
    "||": "write or",
    "!": "write not",
    "=": "write ==",
    ":=": "write ==",
    "===": "write ==",
    "!==": "write !=",
    "<>": "write !=",
    "=<": "write <=",
    "=>": "write >=",
    "<=>": "write <, == or >",
    "**": "write x * x",
    "is": "write ==, or != for 'is not'",
    "if": "write the condition alone; a field of this name is put in back quotes",
    "else": "write conditions with and, or, not",
    "?": "write conditions with and, or, not",
    ":": "write conditions with and, or, not",
    "->": "write a dot, as in motors[2].pos",
    "::": "write the label alone, or all of it in back quotes",
    "[": "an index is digits in brackets, right behind the name, as in cells[3]",
    "{": "write a list in parentheses, as in x in (A, B)",
    ".": "paths have no spaces about their dots; other names are put in back quotes",
    "xor": "write ^",
    "between": "write 1 <= x <= 5",
}
_BETWEEN = ("and", "or", "in", "not in")
_TOO_DEEP = f"this lies more than {MAX_NESTING} operators or parentheses deep"


def parse(text: str) -> Node:
    """Read an expression.

    Parameters
    ----------
    text : str
        See `fastrec.expressions`.

    Returns
    -------
    Node
        A tree at most `MAX_NESTING` high, of at most `MAX_LENGTH` nodes.

    Raises
    ------
    ExpressionError
        It cannot be read; the message says what to write instead, ``at`` is where.
    """
    if not isinstance(text, str):
        raise ExpressionError(f"an expression is a text, such as 'hr < 0', not {shown(text)}")
    if len(text) > MAX_LENGTH:
        raise pointed(
            text, MAX_LENGTH, f"an expression has at most {MAX_LENGTH} characters, this one has {len(text)}"
        )
    parser = _Parser(text)
    if parser.word.kind == "end":
        raise pointed(text, 0, "the expression is empty; write a condition, such as hr < 0")
    tree = parser.expression(1, 1)
    if parser.word.text == ")":
        raise parser.wrong("nothing is open that this ) could close")
    if parser.word.text == ",":
        raise parser.wrong("a list stands in parentheses behind in, as in x in (A, B)")
    _check_size(text, tree)
    return tree


def _check_size(text: str, tree: Node) -> None:
    """Refuse what would be hard on those who go through a tree."""
    for count, (node, depth) in enumerate(walk(tree), 1):
        if depth > MAX_NESTING:
            raise pointed(text, node.at, f"{_TOO_DEEP}; put parts of long sums in parentheses of their own")
        # Only what stands in the middle of a chain is in the tree twice, and what is in the middle of that.
        if count > MAX_LENGTH:
            raise pointed(text, tree.at, "these chains of comparisons are too many in one another; use and")


class _Parser:
    """Knows the next word; goes down only as deep as the limits let it, which any stack of calls bears."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.rest = words(text)
        self.word = next(self.rest)
        self.open = 0

    def wrong(self, message: str) -> ExpressionError:
        return pointed(self.text, self.word.at, message)

    def advance(self) -> Word:
        """Go on to the next word; return the one before."""
        passed = self.word
        self.word = next(self.rest)
        return passed

    def at_operator(self, *operators: str) -> bool:
        return self.word.kind == "operator" and self.word.text in operators

    def expression(self, least: int, depth: int) -> Node:
        """Read all that binds at least so tight, below `depth` - 1 operators."""
        if depth > MAX_NESTING:
            raise self.wrong(f"{_TOO_DEEP}; write it as several expressions")
        left = self.operand(least, depth)
        while self.word.kind != "end" and not self.at_operator(")", ","):
            word = self.word
            if word.kind != "operator" or word.text not in LEVELS:
                raise self.no_operator(left)
            level = LEVELS["in" if word.text == "not" else word.text]
            if level < least:
                break
            if word.text in ("and", "or"):
                left = self.logic(left, word.text, depth)
            elif word.text in COMPARISONS or word.text == "not":
                left = self.comparisons(left, depth)
            else:
                self.advance()
                left = Binary(word.text, left, self.expression(level + 1, depth + 1), word.at)
        return left

    def logic(self, left: Node, operator: str, depth: int) -> Node:
        at = self.word.at
        parts = [left]
        while self.at_operator(operator):
            self.advance()
            parts.append(self.expression(LEVELS[operator] + 1, depth + 1))
        return _joined(operator, parts, at)

    def comparisons(self, left: Node, depth: int) -> Node:
        found: list[Node] = []
        while self.at_operator(*COMPARISONS, "not"):
            word = self.advance()
            if word.text in ("in", "not"):
                negated = word.text == "not"
                if negated and not self.at_operator("in"):
                    raise pointed(self.text, word.at, "behind a value stands not in; or put and before not")
                if negated:
                    self.advance()
                found.append(In(left, self.choices(depth), negated, word.at))
                # All that binds tighter has its turn before a comparison, unless it comes behind a list.
                if self.word.kind == "operator" and LEVELS.get(self.word.text, 0) >= LEVELS["not"]:
                    raise self.wrong("a list has no value; put what stands before this in parentheses")
            else:
                right = self.expression(LEVELS[word.text] + 1, depth + 1)
                found.append(Compare(word.text, left, right, word.at))
                left = right
        return found[0] if len(found) == 1 else _joined("and", found, found[0].at)

    def choices(self, depth: int) -> tuple[Node, ...]:
        if not self.at_operator("("):
            raise self.wrong("behind in stands a list in parentheses, as in x in (A, B)")
        opening = self.advance()
        choices = self.listed(opening, depth)
        if not choices:
            raise pointed(self.text, opening.at, "this list is empty; write values, as in x in (A, B)")
        return choices

    def listed(self, opening: Word, depth: int) -> tuple[Node, ...]:
        """Read values with commas between them, and the parenthesis that closes."""
        found: list[Node] = []
        while not self.at_operator(")"):
            if len(found) == MAX_CHOICES:
                raise self.wrong(f"there are more than {MAX_CHOICES} values in these parentheses")
            found.append(self.enclosed(opening, depth + 1))
            if self.at_operator(","):
                self.advance()
        self.advance()
        return tuple(found)

    def enclosed(self, opening: Word, depth: int) -> Node:
        """Read an expression in parentheses, up to what ends it."""
        self.open += 1
        if self.open > MAX_NESTING:
            raise self.wrong(f"{_TOO_DEEP}; write it as several expressions")
        inner = self.expression(1, depth)
        if self.word.kind == "end":
            raise pointed(self.text, opening.at, "this ( is never closed; write ) where it ends")
        self.open -= 1
        return inner

    def operand(self, least: int, depth: int) -> Node:
        word = self.word
        if word.kind in ("value", "quoted"):
            return self.advance().node
        if word.kind == "name":
            self.advance()
            return self.call(word, depth) if self.at_operator("(") else word.node
        if word.text in ("-", "+", "~"):
            self.advance()
            return Unary(word.text, self.expression(UNARY, depth + 1), word.at)
        if word.text == "not":
            if least > LEVELS["not"]:
                raise self.wrong("not binds looser than what stands before it; write (not x)")
            self.advance()
            return Unary("not", self.expression(LEVELS["not"], depth + 1), word.at)
        if word.text == "(":
            self.advance()
            inner = self.enclosed(word, depth)
            if self.word.text == ",":
                raise self.wrong("a list stands behind in, as in x in (A, B)")
            self.advance()
            return inner
        raise self.no_value()

    def call(self, name: Word, depth: int) -> Call:
        if name.text not in FUNCTIONS:
            raise pointed(
                self.text, name.at, f"there is no function {shown(name.text)}{suggest(name.text, FUNCTIONS)}"
            )
        arguments = self.listed(self.advance(), depth)
        least, most = FUNCTIONS[name.text]
        if not least <= len(arguments) <= most:
            takes = "1 argument" if most == 1 else f"{least} arguments or more"
            example = name.text + ("(field, NAME)" if least == 2 else "(field)")
            message = f"{name.text} takes {takes}, not {len(arguments)}; write {example}"
            raise pointed(self.text, name.at, message)
        return Call(name.text, arguments, name.at)

    def no_operator(self, left: Node) -> ExpressionError:
        """What is wrong with a word that stands behind a value."""
        word = self.word
        quoted = shown(word.text)
        if word.text in _INSTEAD:
            return self.wrong(f"{quoted} is no operator; {_INSTEAD[word.text]}")
        if isinstance(left, Name) and left.text.lower() == "not":
            return pointed(self.text, left.at, f"{left.text!r} is no operator; write not")
        if isinstance(left, Name) and left.text in FUNCTIONS:
            return pointed(self.text, left.at, f"{left.text!r} is a function; write {left.text}(...)")
        if word.kind == "name":
            if word.text.lower() in LEVELS:
                return self.wrong(f"{quoted} is no operator; write {word.text.lower()}")
            if isinstance(left, Number) and _is_unit(word.text):
                return self.wrong(f"between a number and its unit is no space; write {left.value}{word.text}")
            return self.wrong(f"{quoted} is no operator{suggest(word.text, _BETWEEN)}")
        if word.kind in ("value", "quoted") or word.text in ("(", "~"):
            return self.wrong(f"an operator is missing before {quoted}")
        return self.no_meaning()

    def no_value(self) -> ExpressionError:
        """What is wrong with a word that stands where a value should."""
        word = self.word
        quoted = shown(word.text)
        if word.kind == "end":
            return self.wrong("the expression ends where a name or a value is missing")
        if word.text in _INSTEAD:
            return self.wrong(f"{quoted} is no operator; {_INSTEAD[word.text]}")
        if word.text in LEVELS or word.text in (")", ","):
            return self.wrong(f"a name or a value is missing before {quoted}")
        return self.no_meaning()

    def no_meaning(self) -> ExpressionError:
        seen = self.word.text.isprintable()
        instead = "a name with it is put in back quotes" if seen else "leave it out"
        return self.wrong(f"{shown(self.word.text)} has no meaning here; {instead}")


def _is_unit(word: str) -> bool:
    with suppress(SchemaError):
        return parse_duration(f"1{word}") > 0
    return False


def _joined(operator: str, found: list[Node], at: int) -> Logic:
    """The parts, and instead of those that are of the same operator theirs."""
    first = found[0]
    if isinstance(first, Logic) and first.operator == operator:
        at = first.at
    parts: list[Node] = []
    for part in found:
        parts.extend(part.parts if isinstance(part, Logic) and part.operator == operator else (part,))
    return Logic(operator, tuple(parts), at)
