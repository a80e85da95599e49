"""``#pragma pack``: a stack of packings, and the pragmas that are not passed over."""

from __future__ import annotations

from collections.abc import Sequence

from fastrec.schema.c.cursor import fatal
from fastrec.schema.c.tokens import Token

__all__ = ["PACKS", "Packing"]

PACKS = (1, 2, 4, 8, 16)
_MAX_PUSHED = 1024
_CHANGING = ("ms_struct", "scalar_storage_order", "options", "align", "reverse_bitfields", "bitfield")
"""Pragmas that lay structs out in ways that we do not know."""


class Packing:
    """The packing that holds, and those that it replaced."""

    def __init__(self, start: int | None) -> None:
        self._start = start
        self._now = start
        self._pushed: list[tuple[str, int | None]] = []

    def push(self, token: Token, pack: int | None, label: str = "") -> Token:
        """Keep the packing that holds; `pack`, if any, holds from now on."""
        if len(self._pushed) >= _MAX_PUSHED:
            raise fatal(token, f"pushes more than {_MAX_PUSHED} packings")
        self._pushed.append((label, self._now))
        if pack is not None:
            self._now = pack or self._start
        return self._token(token)

    def pop(self, token: Token, label: str = "") -> Token:
        """Go back to a packing that was kept: the last one, or the last of a label.

        Raises
        ------
        SchemaError
            There is none.
        """
        labels = [one for one, _ in self._pushed]
        if not labels or (label and label not in labels):
            raise fatal(token, "takes back a packing that was never pushed")
        if label:
            last = len(labels) - 1 - labels[::-1].index(label)
            del self._pushed[last + 1 :]
        self._now = self._pushed.pop()[1]
        return self._token(token)

    def pragma(self, name: Token, line: Sequence[Token]) -> Token | None:
        """Do what a pragma says; None: nothing that changes the packing.

        Raises
        ------
        SchemaError
            It is wrong, or changes layouts in a way that is not understood.
        """
        if not line:
            return None
        if line[0].text == "GCC" and len(line) > 1:
            line = line[1:]
        if line[0].text in _CHANGING:
            raise fatal(line[0], "is a pragma that changes layouts; it is not understood")
        if line[0].text != "pack":
            return None
        if len(line) < 3 or line[1].text != "(" or line[-1].text != ")":
            raise fatal(line[0], "is written as #pragma pack(push, n), pack(pop), pack(n) or pack()")
        words = list(line[2:-1])
        if any(token.text != "," for token in words[1::2]) or (words and len(words) % 2 == 0):
            raise fatal(words[1], "stands where a comma is expected, in #pragma pack")
        words = words[::2]
        if not words:
            self._now = self._start
            return self._token(name)
        first = words[0].text
        if first == "show":
            return None
        if first not in ("push", "pop"):
            if len(words) > 1:
                raise fatal(words[1], "is one too many for #pragma pack")
            self._now = _number(words[0]) or self._start
            return self._token(name)
        label = words[1].text if len(words) > 1 and words[1].kind == "word" else ""
        rest = words[2 if label else 1 :]
        if len(rest) > 1:
            raise fatal(rest[1], "is one too many for #pragma pack")
        pack = _number(rest[0]) if rest else None
        if first == "push":
            return self.push(name, pack, label)
        self.pop(name, label)
        if pack is not None:
            self._now = pack or self._start
        return self._token(name)

    def _token(self, name: Token) -> Token:
        return name._replace(kind="pack", text=str(self._now or 0))


def _number(token: Token) -> int:
    if token.text not in map(str, (0, *PACKS)):
        raise fatal(token, "is no packing; 1, 2, 4, 8 and 16 are")
    return int(token.text)
