"""Tokens of C text, each with its place; comments are set aside, as docs of what they stand next to."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from functools import cached_property
from typing import NamedTuple

from fastrec.errors import SchemaError, shown

__all__ = ["MAX_TEXT", "UNSURE", "Comment", "Source", "Token", "refusal", "tokens_of"]

MAX_TEXT = 1 << 24
"""Longest text in characters, those that it includes counted in."""

UNSURE = ("doubt", "gap")
"""Kinds of tokens that only say what is not known of those around them."""

_TOKEN = re.compile(
    r"""
      (?P<blank>(?:[ \t\f\v\r]|\\[ \t]*\r?\n)++)
    | (?P<line>\n(?:[ \t\f\v\r]*+\n)*+)
    | (?P<comment>//[^\n\\]*+(?:\\(?:\r?\n)?[^\n\\]*+)*+ | /\*.*?\*/)
    | (?P<open>/\*)
    | (?P<string>(?:u8|[uUL])?"[^"\\\n]*+(?:\\(?:\r\n|.)[^"\\\n]*+)*+")
    | (?P<char>(?:u8|[uUL])?'[^'\\\n]++(?:\\(?:\r\n|.)[^'\\\n]*+)*+'
              |(?:u8|[uUL])?'(?:\\(?:\r\n|.)[^'\\\n]*+)++')
    | (?P<word>[A-Za-z_$][\w$]*+)
    | (?P<number>\.?[0-9](?:[eEpP][-+]|'?\w|\.)*+)
    | (?P<mark>\.\.\.|<<=|>>=|[-+*/%&|^<>=!]=|<<|>>|->|\+\+|--|&&|\|\||\#\#|::|[-+*/%&|^~!<>=?:;,.(){}\[\]\#])
    | (?P<odd>(?:u8|[uUL])?["'](?:[^\\\n]|\\(?:\r\n|.))*+|.)
    """,
    re.VERBOSE | re.DOTALL | re.ASCII,
)
_CONTINUED = re.compile(r"(?:\\[ \t]*\r?\n)+")


class Comment(NamedTuple):
    """Where a comment lies, and whether code stands before it on its line."""

    start: int
    end: int
    behind: bool


class Source:
    """A text, and which file and line a place in it is.

    Attributes
    ----------
    name : str
        Of the file; ``""``: nobody said one.
    text : str
    comments : list of Comment
        Those that the tokens taken so far have passed.
    """

    def __init__(self, text: str, name: str = "") -> None:
        self.name = name
        self.text = text
        self.comments: list[Comment] = []
        self._markers: list[tuple[int, int, str]] = []

    @cached_property
    def _lines(self) -> list[int]:
        return [match.start() for match in re.finditer("\n", self.text)]

    def line(self, at: int) -> int:
        """The line of a place in this text, from 1 on, whatever line markers say."""
        return bisect_right(self._lines, at - 1) + 1

    def column(self, at: int) -> int:
        """The column of a place, from 1 on."""
        return at - (self.text.rfind("\n", 0, at) + 1) + 1

    def mark(self, at: int, number: int, name: str) -> None:
        """Say that the line behind this place is line `number` of a file."""
        self._markers.append((self.line(at) + 1, number, name))

    def where(self, at: int) -> tuple[str, int]:
        """File and line as their author knows them."""
        line = self.line(at)
        after = bisect_right(self._markers, line, key=lambda marker: marker[0])
        if not after:
            return self.name, line
        begins, number, name = self._markers[after - 1]
        return name, line - begins + number

    def place(self, at: int) -> tuple[str, int, int]:
        """File, line and column as their author knows them."""
        return *self.where(at), self.column(at)


class Token(NamedTuple):
    """One token.

    Attributes
    ----------
    kind : str
        ``"word"``, ``"number"``, ``"string"``, ``"char"``, ``"mark"``, ``"odd"`` (no token of C), ``"line"``
        (the end of one), ``"pack"`` (the packing that holds from here on), ``"end"``; ``"gap"``: nobody knows
        which tokens stand here, ``"doubt"``: nor what the next one is, `text` says why.
    text : str
    at : int
        Where it, or the macro that it comes from, stands in `source`.
    source : Source
    spaced : bool
        Blanks stand before it.
    begins : bool
        It is the first of its line.
    hidden : frozenset of str
        Macros that it comes from, which do not expand again.
    """

    kind: str
    text: str
    at: int
    source: Source
    spaced: bool = False
    begins: bool = False
    hidden: frozenset[str] = frozenset()

    @property
    def file(self) -> str:
        """Name of the file, as line markers have it."""
        return self.source.where(self.at)[0]


def refusal(token: Token, message: str, *, quoted: bool = True) -> SchemaError:
    """An error at a token: its place, the token itself, what is wrong with it."""
    file, line, column = token.source.place(token.at)
    where = f"{shown(file)[1:-1]}, " if file else ""
    what = "" if not quoted else "the end of the text " if token.kind == "end" else f"{shown(token.text)} "
    return SchemaError(f"{where}line {line}, column {column}: {what}{message}")


def tokens_of(source: Source) -> Iterator[Token]:
    """Yield the tokens of a text, the ends of its lines among them.

    Raises
    ------
    SchemaError
        A comment without an end, or a word that goes on behind a backslash at the end of its line.
    """
    text = source.text
    spaced, begins = False, True
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup or ""
        at = match.start()
        if kind == "blank":
            end = match.end()
            split = _CONTINUED.fullmatch(text, at, end) is not None
            spaced = spaced or not split
            if split and at and end < len(text) and _is_one(text[at - 1] + text[end]):
                raise refusal(
                    Token("odd", "\\", at, source), "continues a line within a word or mark; break elsewhere"
                )
        elif kind == "comment":
            spaced = True
            source.comments.append(Comment(at, match.end(), not begins))
        elif kind == "open":
            raise refusal(Token("odd", "/*", at, source), "begins a comment that does not end")
        else:
            yield Token(kind, match.group(), at, source, spaced, begins)
            spaced, begins = False, kind == "line"


def _is_one(pair: str) -> bool:
    """Whether two characters could belong to one token, or begin a comment."""
    match = _TOKEN.match(pair)
    kind = match.lastgroup if match is not None and match.end() == 2 else ""
    return kind in ("word", "number", "mark", "comment") or pair == "/*"
