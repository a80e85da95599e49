"""Arguments of a C call as a command line has them: ``3,OUT(cbSize=64),INOUT(64),NULL,"text"``."""

from __future__ import annotations

import argparse
import re
from typing import Any

from fastrec.errors import SourceError, shown
from fastrec.sources.call import INOUT, OUT

__all__ = ["FORMS", "arguments"]

FORMS = 'a whole number, OUT, OUT(FIELD=VALUE,...), OUT(0xBYTES), INOUT(NUMBER), NULL or "text"'
"""What one of them can be, for people."""

_BLANKS = re.compile(r"\s*")
_TEXT = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_WORD = re.compile(r'[^\s,()="]+')
_FLOATING = re.compile(r"[+-]?[0-9]*\.[0-9]*(?:[eE][+-]?[0-9]+)?")
_ESCAPE = re.compile(r"\\(x[0-9A-Fa-f]{2}|.)", re.DOTALL)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "0": "\0", "\\": "\\", '"': '"'}


def arguments(text: str) -> tuple[Any, ...]:
    """The arguments of `Call`.

    Parameters
    ----------
    text : str
        Separated by commas, with blanks as one likes, each of `FORMS`. Numbers as in Python: ``-5``,
        ``0x1F``, ``0b101``, ``1_000``. A text is passed as UTF-8 with a zero behind it.

    Raises
    ------
    argparse.ArgumentTypeError
        It is not understood; the message names argument, column and what stands there.
    """
    return _Scanner(text.strip()).all()


class _Scanner:
    """What has been read of a text, and what comes next."""

    def __init__(self, text: str) -> None:
        self._text, self._at, self._number = text, 0, 1

    def all(self) -> tuple[Any, ...]:
        found: list[Any] = []
        while self._text:
            found.append(self._one())
            if self._ended():
                break
            self._expect(",", f"argument {self._number} ends before it; put a comma between two")
            self._number += 1
        return tuple(found)

    def _one(self) -> Any:
        text = self._quoted()
        if text is not None:
            return text
        begin, word = self._word()
        if word == "OUT":
            return self._out() if self._next("(") else OUT
        if word == "INOUT":
            self._expect("(", "write INOUT(64): the number that it holds before each call")
            begin, word = self._word()
            number = self._integer(begin, word)
            self._expect(")", "INOUT has one number")
            try:
                return INOUT(number)
            except SourceError as error:
                raise self._wrong(begin, str(error)) from None
        return None if word == "NULL" else self._integer(begin, word)

    def _out(self) -> Any:
        begin, word = self._word()
        if self._next(")"):
            try:
                return OUT(init=bytes.fromhex(word.removeprefix("0x") if word.startswith("0x") else "?"))
            except ValueError:
                why = f"{shown(word)}: write OUT(FIELD=VALUE), or all bytes as OUT(0x0102...)"
                raise self._wrong(begin, why) from None
        values: dict[str, Any] = {}
        while True:
            if word in values:
                raise self._wrong(begin, f"{shown(word)} is given twice")
            self._expect("=", "write OUT(FIELD=VALUE)")
            values[word] = self._value()
            if self._next(")"):
                return OUT(init=values)
            self._expect(",", "write OUT(FIELD=VALUE,FIELD=VALUE)")
            begin, word = self._word()

    def _value(self) -> Any:
        text = self._quoted()
        if text is not None:
            return text
        begin, word = self._word()
        for kind in (lambda one: int(one, 0), float):
            try:
                return kind(word)
            except ValueError:
                continue
        raise self._wrong(begin, f'{shown(word)} is no value of a field; it is a number or "text"')

    def _integer(self, begin: int, word: str) -> int:
        try:
            return int(word, 0)
        except ValueError:
            pass
        if word.upper() in ("OUT", "INOUT", "NULL"):
            raise self._wrong(begin, f"{shown(word)}; did you mean {word.upper()}?")
        if _FLOATING.fullmatch(word):
            raise self._wrong(begin, f"{shown(word)}: only whole numbers and pointers can be passed")
        raise self._wrong(begin, f"{shown(word)} is not understood; it is {FORMS}")

    def _quoted(self) -> bytes | None:
        self._skip()
        if not self._text.startswith('"', self._at):
            return None
        match = _TEXT.match(self._text, self._at)
        if match is None:
            raise self._wrong(self._at, "the text has no closing quote")
        begin, self._at = self._at, match.end()
        return b"".join(self._bytes(begin, part) for part in re.split(r"(\\x..|\\.)", match[1], flags=re.S))

    def _bytes(self, begin: int, part: str) -> bytes:
        if not part.startswith("\\"):
            return part.encode("utf-8", "surrogateescape")
        match = _ESCAPE.fullmatch(part)
        if match is not None and match[1] in _ESCAPES:
            return _ESCAPES[match[1]].encode()
        if match is not None and len(match[1]) == 3:
            return bytes([int(match[1][1:], 16)])
        raise self._wrong(begin, rf"{shown(part)} means nothing in a text; there is \n \t \r \0 \\ \" \xNN")

    def _word(self) -> tuple[int, str]:
        self._skip()
        match = _WORD.match(self._text, self._at)
        if match is None:
            there = self._text[self._at : self._at + 1]
            raise self._wrong(self._at, f"{shown(there) if there else 'nothing'} stands where {FORMS} should")
        self._at = match.end()
        return match.start(), match[0]

    def _skip(self) -> None:
        self._at = _BLANKS.match(self._text, self._at).end()

    def _ended(self) -> bool:
        self._skip()
        return self._at == len(self._text)

    def _next(self, sign: str) -> bool:
        self._skip()
        is_there = self._text.startswith(sign, self._at)
        self._at += is_there
        return is_there

    def _expect(self, sign: str, otherwise: str) -> None:
        if not self._next(sign):
            raise self._wrong(self._at, otherwise)

    def _wrong(self, at: int, why: str) -> argparse.ArgumentTypeError:
        return argparse.ArgumentTypeError(f"argument {self._number}, column {at + 1}: {why}")
