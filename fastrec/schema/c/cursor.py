"""A place in a stream of tokens: looking ahead, taking, going back; nesting is bounded here for all."""

from __future__ import annotations

from collections.abc import Iterator

from fastrec.errors import SchemaError
from fastrec.schema.c.tokens import UNSURE, Token, refusal

__all__ = ["MAX_NESTING", "Cursor", "Fatal", "fatal"]

MAX_NESTING = 64
"""Brackets of all kinds within each other."""

_OPEN = {"(": ")", "[": "]", "{": "}"}
_CLOSED = frozenset(_OPEN.values())


class Fatal(SchemaError):
    """An error behind which nothing is understood: it concerns the whole text, not one struct of it."""


def fatal(token: Token, message: str) -> Fatal:
    """Such an error at a token."""
    return Fatal(str(refusal(token, message)))


class Cursor:
    """Where reading stands.

    Attributes
    ----------
    pack : int or None
        What ``#pragma pack`` has set, as of the last token looked at.
    """

    def __init__(self, tokens: Iterator[Token], end: Token, pack: int | None = None) -> None:
        self._tokens = tokens
        self._end = end
        self._seen: list[Token] = []
        self._next = 0
        self._depth = 0
        self._doubts: list[tuple[int, Token]] = []
        self.pack = pack
        self.packed_by: Token | None = None

    def peek(self, ahead: int = 0) -> Token:
        """The token that many behind the next; of kind ``"end"`` behind the last."""
        while self._next + ahead >= len(self._seen):
            token = next(self._tokens, self._end)
            if token.kind == "pack":
                self.pack = int(token.text) or None
                self.packed_by = token
                continue
            if token.kind in UNSURE:
                self._doubts.append((len(self._seen), token))
                continue
            if token.kind == "mark":
                if token.text in _OPEN:
                    self._depth += 1
                    if self._depth > MAX_NESTING:
                        raise fatal(token, f"is nested deeper than {MAX_NESTING}")
                elif token.text in _CLOSED:
                    self._depth = max(0, self._depth - 1)
            self._seen.append(token)
        return self._seen[self._next + ahead]

    def take(self) -> Token:
        """The next token, which is then passed."""
        token = self.peek()
        if token.kind != "end":
            self._next += 1
        return token

    def at(self, *texts: str) -> bool:
        """Whether the next token is one of these words or marks."""
        token = self.peek()
        return token.text in texts and token.kind in ("word", "mark")

    def accept(self, *texts: str) -> Token | None:
        """Pass the next token if it is one of these words or marks."""
        return self.take() if self.at(*texts) else None

    def expect(self, text: str, after: str) -> Token:
        """Pass this mark or word.

        Raises
        ------
        SchemaError
            It is another.
        """
        if not self.at(text):
            raise refusal(self.peek(), f"stands where {text!r} is expected, {after}")
        return self.take()

    @property
    def place(self) -> int:
        """For `back`."""
        return self._next

    def back(self, place: int) -> None:
        """Go back to a place that was taken since `forget`."""
        self._next = place

    def forget(self) -> None:
        """Let go of the tokens passed; nothing goes back behind this."""
        del self._seen[: self._next]
        self._doubts = [(at - self._next, token) for at, token in self._doubts if at >= self._next]
        self._next = 0

    def doubt(self, since: int) -> SchemaError | None:
        """Why nobody knows what was read since a `place`: a condition that could not be decided."""
        for at, token in self._doubts:
            if since - (token.kind == "doubt") < at <= self._next:
                return SchemaError(token.text)
        return None

    def skip(self) -> Token:
        """Pass a bracket and all up to its partner, which is returned.

        Raises
        ------
        SchemaError
            It has none.
        """
        first = self.take()
        open_ = [_OPEN[first.text]]
        while open_:
            token = self.take()
            if token.kind == "end":
                raise fatal(first, "is never closed")
            if token.kind != "mark":
                continue
            if token.text in _OPEN:
                open_.append(_OPEN[token.text])
            elif token.text in _CLOSED and token.text != open_.pop():
                raise fatal(token, "closes what was not opened")
        return token
