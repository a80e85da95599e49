"""Words of an expression: names, values and operators, one after the other."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import NamedTuple

from fastrec.durations import parse_duration
from fastrec.errors import SchemaError, shown
from fastrec.expressions.pointing import pointed
from fastrec.expressions.tree import Constant, Duration, Name, Node, Number, Text
from fastrec.schema.texts import LOST

__all__ = ["CONSTANTS", "Word", "is_plain", "words"]

CONSTANTS = {
    "true": True,
    "True": True,
    "false": False,
    "False": False,
    "null": None,
    "None": None,
    "lost": LOST,
}
"""The words for values that are neither numbers nor texts; Python's own words are known, too."""

_NUMBERS = {"nan": math.nan, "NaN": math.nan, "inf": math.inf}
_OPERATORS = {"and", "or", "not", "in", "if"}  # if is none, but the parser says so better than a schema could

_STEP = r"[^\W\d]\w*(?:\[[0-9]+\])*"
_NAME = re.compile(rf"{_STEP}(?:\.{_STEP})*")
# Numbers are taken as C does it, with all letters that follow: so 12abc is a wrong number, not two words.
# Of operators those of other languages are words, too, so that messages name the whole of one.
_WORD = re.compile(
    rf"""
      (?P<name> {_NAME.pattern} )
    | (?P<number> 0[xX][\w.]* | \.?[0-9](?: [eE][+-](?=[0-9]) | [\w.] )* )
    | (?P<text> '(?: [^'\\] | \\. )*' | "(?: [^"\\] | \\. )*" )
    | (?P<quoted> `[^`]+` )
    | (?P<operator> ===|!==|<=>|:=|::|->|=>|=<|<>|&&|\|\||\*\*|//|<<|>>|<=|>=|==|!=|. )
    """,
    re.VERBOSE | re.DOTALL,
)
_SPACE = re.compile(r"[ \t\r\n\f\v]*")

_DIGITS = r"[0-9](?:_?[0-9])*"
_WHOLE = re.compile(r"0(?:_?0)*|[1-9](?:_?[0-9])*|0[xX](?:_?[0-9a-fA-F])+|0[bB](?:_?[01])+|0[oO](?:_?[0-7])+")
_FRACTION = re.compile(
    rf"(?:{_DIGITS}\.(?:{_DIGITS})?|\.{_DIGITS})(?:[eE][+-]?{_DIGITS})?|{_DIGITS}[eE][+-]?{_DIGITS}"
)
_SUFFIXED = re.compile(r"(0[xX][0-9a-fA-F]+|[0-9]+)(?:[uU][lL]{0,2}|[lL]{1,2}[uU]?)|([0-9.]+)[fF]")
_TIMED = re.compile(r"(?!0[xXbBoO])[0-9.]+[^\W\d_]\w*(?:\.\w*)*")
_MOST = 10**40

_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|(.))", re.DOTALL)
_ESCAPES = {"\\": "\\", "'": "'", '"': '"', "n": "\n", "t": "\t"}


class Word(NamedTuple):
    """One word.

    Attributes
    ----------
    kind : str
        ``"operator"``: whatever is none of the others, known or not; ``"name"``, ``"quoted"`` (a name, too),
        ``"value"`` or ``"end"``.
    text : str
        As it was written.
    at : int
    node : Node or None
        Of names and values.
    """

    kind: str
    text: str
    at: int
    node: Node | None = None


def is_plain(name: str) -> bool:
    """Whether a name can be written without back quotes."""
    known = name in CONSTANTS or name in _NUMBERS or name in _OPERATORS
    return not known and _NAME.fullmatch(name) is not None


def words(text: str) -> Iterator[Word]:
    """Yield the words of an expression; the last one is of the kind ``"end"``.

    Raises
    ------
    ExpressionError
        When it comes to what begins as a number, a text or a quoted name, and is none.
    """
    place = _SPACE.match(text).end()
    while found := _WORD.match(text, place):
        yield _word(text, place, found.lastgroup, found[0])
        place = _SPACE.match(text, found.end()).end()
    yield Word("end", "", len(text))


def _word(text: str, at: int, kind: str, word: str) -> Word:
    if kind == "name":
        if word in CONSTANTS:
            return Word("value", word, at, Constant(CONSTANTS[word], at))
        if word in _NUMBERS:
            return Word("value", word, at, Number(_NUMBERS[word], at))
        if word in _OPERATORS:
            return Word("operator", word, at)
        return Word("name", word, at, Name(word, at))
    if kind == "number":
        return Word("value", word, at, _number(text, at, word))
    if kind == "text":
        return Word("value", word, at, Text(_unescaped(text, at, word), at))
    if kind == "quoted":
        return Word("quoted", word, at, Name(word[1:-1], at))
    if word in "'\"":
        raise pointed(text, at, f"the text that begins here has no end; close it with {word}")
    if word == "`":
        raise pointed(text, at, "back quotes hold a name of at least one character: `name`")
    return Word("operator", word, at)


def _number(text: str, at: int, word: str) -> Number | Duration:
    if _WHOLE.fullmatch(word):
        digits = word.replace("_", "")
        if len(digits) <= 160:  # as many as 0b needs; a longer text is not worth to be computed
            value = int(digits, 0)
            if value < _MOST:
                return Number(value, at)
        raise pointed(text, at, f"{shown(word)} has more than 40 digits; no field holds so many")
    if _FRACTION.fullmatch(word):
        value = float(word)
        if math.isinf(value):
            raise pointed(text, at, f"{shown(word)} is beyond the range of a double; write inf")
        return Number(value, at)
    if suffixed := _SUFFIXED.fullmatch(word):
        bare = suffixed[1] or suffixed[2]
        raise pointed(text, at, f"{shown(word)} is no number here; write {bare:.40}, without C's suffix")
    if re.fullmatch(r"0[0-9]+", word):
        octal = f" or 0o{word[1:]:.40}" if re.fullmatch(r"[0-7]+", word) else ""
        raise pointed(text, at, f"{shown(word)} would be octal in C; write {word.lstrip('0'):.40}{octal}")
    if not _TIMED.fullmatch(word):
        raise pointed(text, at, f"{shown(word)} is no number; write 12, 0x1F, 0b101, 1_000, 1.5 or 1e-3")
    try:
        return Duration(parse_duration(word), at)
    except SchemaError as wrong:
        raise pointed(text, at, str(wrong)) from wrong


def _unescaped(text: str, at: int, word: str) -> str:
    inner = word[1:-1]
    if "\\" not in inner:
        return inner

    def meant(escape: re.Match[str]) -> str:
        code = escape[1] or escape[2]
        if code:
            return chr(int(code, 16))
        if escape[3] not in _ESCAPES:
            place = at + 1 + escape.start()
            known = "\\\\ \\' \\\" \\n \\t, \\x and two or \\u and four hex digits"
            raise pointed(text, place, f"there is no escape {shown(escape[0])}; there is {known}")
        return _ESCAPES[escape[3]]

    return _ESCAPE.sub(meant, inner)
