"""Conditions of a text: which parts of it count, and where nobody knows it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from fastrec.errors import SchemaError, shown
from fastrec.schema.abi import Abi
from fastrec.schema.c.attributes import understood
from fastrec.schema.c.constants import Constants
from fastrec.schema.c.cursor import Fatal, fatal
from fastrec.schema.c.macros import Macros
from fastrec.schema.c.numbers import Number
from fastrec.schema.c.tokens import Source, Token, refusal
from fastrec.schema.c.unread import Unread

__all__ = ["CONDITIONS", "Conditions", "Questions", "included_file"]

CONDITIONS = ("if", "ifdef", "ifndef", "elif", "elifdef", "elifndef", "else", "endif")
"""Directives for `Conditions`."""

_MAX_OPEN = 256
_BETWEEN = r"(?:\s|/\*(?s:.*?)\*/|//[^\n]*)*+"
_GUARD = re.compile(
    r"#[ \t]*(?:ifndef[ \t]+|if[ \t]+![ \t]*defined[ \t]*\(?[ \t]*)(\w+)[ \t]*\)?"
    rf"{_BETWEEN}#[ \t]*define[ \t]+\1[ \t]*(?:1|\1)?[ \t]*(?:/\*[^\n]*\*/|//[^\n]*)?\r?\n"
)
_LIKE_GUARD = re.compile(r"_H(?:PP|XX|_?INCLUDED|_GUARD)?_*$|INCLUDED|(?:^|_)H_", re.IGNORECASE)
_LAST = re.compile(rf"#[ \t]*endif[^\n]*\n?{_BETWEEN}$")


def _guards(source: Source, at: int) -> bool:
    """Whether a condition looks like one that keeps a file from being read twice, and not like a default."""
    match = _GUARD.match(source.text, at)
    if match is None:
        return False
    stem = re.sub(r"\W", "_", re.split(r"[/\\]", source.name)[-1].partition(".")[0])
    own = len(stem) > 2 and stem.upper() in match[1].upper() and match[1].upper() != stem.upper()
    return bool(own or _LIKE_GUARD.search(match[1]))


def included_file(line: list[Token]) -> str | None:
    """What is included; None: this names no file."""
    if line and line[0].kind == "string":
        return line[0].text[1:-1]
    if line and line[0].text == "<":
        return "".join(token.text for token in line[1:]).partition(">")[0]
    return None


class _Doubtful(SchemaError):
    """Nobody knows the value of a condition."""


class _Asked(Constants):
    """The expression of an ``#if``, in which a name that may be anything is an error where it matters."""

    def __init__(self, tokens: Iterator[Token], end: Token, abi: Abi, doubt: Callable[[Token], str]) -> None:
        super().__init__(tokens, end, abi, widest=True)
        self._why = doubt

    def named(self, token: Token) -> Number:
        why = self._why(token)
        return Number(0, 64, error=_Doubtful(why) if why else None)


class Questions:
    """What conditions ask, and what is known of it.

    Parameters
    ----------
    macros : Macros
    unread : Unread
    abi : Abi
    has_file : callable
        Whether a file can be included, ``"..."`` or not.
    """

    def __init__(
        self, macros: Macros, unread: Unread, abi: Abi, has_file: Callable[[str, bool], bool]
    ) -> None:
        self._macros = macros
        self._unread = unread
        self._abi = abi
        self._has_file = has_file

    def asked(self, name: Token, line: list[Token], guard: bool) -> tuple[bool, str]:
        """Whether a condition holds; and, if nobody knows that, why: it is then taken not to."""
        if name.text.endswith("def"):
            if not line or line[0].kind != "word":
                raise fatal(name, "names no macro")
            doubt = "" if guard else self._doubt(line[0])
            return self._is_defined(line[0]) == (name.text[-4] != "n"), doubt
        try:
            if guard:
                return self._value(name, line, lambda token: "") != 0, ""
            return self._value(name, line, self._doubt) != 0, ""
        except _Doubtful as doubt:
            return False, str(doubt)
        except SchemaError as error:
            raise Fatal(str(error)) from None

    def _is_defined(self, word: Token) -> bool:
        return (
            word.text in self._macros.defined
            or word.text == "__has_include"
            or (word.text == "__has_attribute" and not self._abi.microsoft)
        )

    def _doubt(self, word: Token) -> str:
        if word.text in self._macros.doubts:
            return self._macros.doubts[word.text]
        return "" if self._is_defined(word) else self._unread.doubt(word)

    def _value(self, name: Token, line: list[Token], doubt: Callable[[Token], str]) -> int:
        asked: list[Token] = []
        rest = iter(line)
        for token in rest:
            if token.kind == "word" and token.text == "defined":
                word = _operand(token, rest)
                # Where nobody knows, the name itself stays, which no macro may replace then.
                number = token._replace(kind="number", text=str(int(self._is_defined(word))))
                asked.append(word._replace(hidden=frozenset((word.text,))) if doubt(word) else number)
            elif token.kind == "word" and token.text == "__has_include":
                asked.append(token._replace(kind="number", text=self._has(token, rest)))
            else:
                asked.append(token)
        end = name._replace(kind="end", text="")
        expanded: list[Token] = []
        rest = self._macros.expanded(iter(asked))
        for token in rest:
            if token.kind == "doubt":
                raise _Doubtful(token.text)
            if token.kind == "word" and token.text in ("__has_include", "__has_attribute"):
                expanded.append(token._replace(kind="number", text=self._has(token, rest)))
            elif token.kind == "word" and token.text in ("defined", "__has_include_next"):
                raise refusal(token, "is not understood here")
            else:
                expanded.append(token)
        return _Asked(iter(expanded), end, self._abi, doubt).whole(f"#{name.text}")

    def _has(self, token: Token, rest: Iterator[Token]) -> str:
        inner = []
        for one in rest:
            if one.text == ")" and one.kind == "mark":
                break
            inner.append(one)
        if token.text == "__has_attribute" and [one.kind for one in inner] == ["mark", "word"]:
            if understood(inner[1].text):
                return "1"
            raise _Doubtful(str(refusal(inner[1], "is no attribute that is known here")))
        file = included_file(inner[1:])
        if file is None:
            raise refusal(token, "is not understood here")
        if not self._has_file(file, inner[1].kind == "string"):
            raise _Doubtful(
                str(refusal(token, f"asks for {shown(file)}, which is in no folder of include (-I)"))
            )
        return "1"


@dataclass(slots=True)
class _Condition:
    """An ``#if`` that is open.

    Attributes
    ----------
    directive : Token
    outer : bool
        Whether what is around it counts.
    taken : bool
        A branch of it has been taken.
    doubt : str
        Why nobody knows which; ``""``: it is known.
    last : bool
        It is behind ``#else``.
    """

    directive: Token
    outer: bool
    taken: bool = False
    doubt: str = ""
    last: bool = False


class Conditions:
    """The conditions of one file that are open.

    Parameters
    ----------
    questions : Questions
    source : Source
    live : bool
        Whether the file itself counts.

    Attributes
    ----------
    live : bool
        Whether what comes next counts, or does if its doubts are mistaken.
    doubts : list of str
        Why nobody knows that.
    """

    def __init__(self, questions: Questions, source: Source, *, live: bool) -> None:
        self.live = live
        self.doubts: list[str] = []
        self._questions = questions
        self._source = source
        self._closes: bool | None = None
        self._open: list[_Condition] = []

    def meet(self, hash_: Token, name: Token, line: list[Token], *, first: bool) -> None:
        """Take a directive of `CONDITIONS`; `first`: it may guard its file, as nothing stands before it.

        Raises
        ------
        SchemaError
            It is no condition, or stands where it cannot.
        """
        guard = first and _guards(self._source, hash_.at)
        if guard and self._closes is None:
            self._closes = _LAST.search(self._source.text) is not None
        self.live = self._met(name, line, guard=guard and bool(self._closes))
        self.doubts = [one.doubt for one in self._open if one.doubt]

    def end(self) -> None:
        """Refuse what is still open."""
        if self._open:
            raise fatal(self._open[-1].directive, "has no #endif")

    def _met(self, name: Token, line: list[Token], *, guard: bool) -> bool:
        if name.text in ("if", "ifdef", "ifndef"):
            if len(self._open) == _MAX_OPEN:
                raise fatal(name, f"is nested deeper than {_MAX_OPEN}")
            current = _Condition(name, self.live)
            self._open.append(current)
            if self.live:
                current.taken, current.doubt = self._questions.asked(name, line, guard)
            return current.taken
        if not self._open:
            raise fatal(name, "stands behind no #if")
        current = self._open[-1]
        if name.text == "endif":
            self._open.pop()
            return current.outer
        if current.last:
            raise fatal(name, "stands behind #else")
        before = current.taken
        if name.text == "else":
            current.last = current.taken = True
        elif current.outer and not before:
            current.taken, doubt = self._questions.asked(name, line, guard=False)
            current.doubt = current.doubt or doubt
        return current.outer and current.taken and not before


def _operand(token: Token, rest: Iterator[Token]) -> Token:
    """The name behind ``defined``, with brackets or without."""
    word = next(rest, token)
    bracketed = word.text == "(" and word.kind == "mark"
    if bracketed:
        word = next(rest, token)
    if word is token or word.kind != "word" or (bracketed and next(rest, token).text != ")"):
        raise refusal(token, "names no macro")
    return word
