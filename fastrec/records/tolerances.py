"""How far apart two answers may be: ``"5%"``, ``"durations=50ms"``, ``"losses=0"``.

A percentage is of what the first of the two runs had, and compares what does not depend on how long they
are: shares, and numbers per second. An amount compares what was counted or measured itself. What is exactly
as far apart as it may be is within.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from fractions import Fraction
from typing import NamedTuple

from fastrec.durations import parse_duration
from fastrec.errors import SchemaError, shown, suggest

__all__ = ["KINDS", "Measure", "Tolerances"]

KINDS = {
    "length": "a time",
    "rate": "a number per second",
    "durations": "a time",
    "unknown": "a time",
    "transitions": "a number",
    "failures": "a number",
    "losses": "a number",
}
"""What may be told apart, and what an amount of it is."""

_NOT_BY_DEFAULT = ("length",)  # two runs may have any
_TOLERANCE = re.compile(r"\s*(?:([^=]*?)\s*=)?\s*(.*?)\s*", re.DOTALL)
_NUMBER = re.compile(r"([0-9]{1,20}(?:\.[0-9]{0,20})?|\.[0-9]{1,20})\s*(%?)")
_FORMS = 'write "5%" for all kinds that have none of their own, "durations=10%", "durations=50ms", "losses=0"'


class Measure(NamedTuple):
    """How much of something a run had.

    Attributes
    ----------
    amount : int or None
        A number, or ns; None: it had no such state, which is not the same as for no time.
    relative : Fraction or None
        The same as a share, or per second; None: of nothing.
    """

    amount: int | None
    relative: Fraction | None

    @property
    def number(self) -> int:
        """The amount, of what there is not 0."""
        return self.amount or 0


class _Limit(NamedTuple):
    value: Fraction
    is_share: bool


class Tolerances:
    """What two runs may differ by.

    Parameters
    ----------
    texts : iterable of str
        ``[KIND=]AMOUNT``. The kinds are those of `KINDS`; without one it is of all that have none of their
        own, but for ``length``, and a percentage (or 0, which is 0 %). ``AMOUNT`` is a percentage, a number
        or a duration. Of several for one kind it is enough to be within one.

    Raises
    ------
    SchemaError
        A text that is none of these; the message says what it may be.
    """

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self._limits: dict[str | None, list[_Limit]] = {}
        for text in texts:
            kind, limit = _parsed(text)
            self._limits.setdefault(kind, []).append(limit)

    def __bool__(self) -> bool:
        return bool(self._limits)

    def judges(self, kind: str) -> bool:
        """Whether there is a tolerance for a kind."""
        return bool(self._of(kind))

    def exceeded(self, kind: str, before: Measure, after: Measure) -> bool:
        """Whether two runs differ by more of a kind than they may; where nothing is said of it they may."""
        limits = self._of(kind)
        return bool(limits) and not any(_within(kind, before, after, limit) for limit in limits)

    def _of(self, kind: str) -> list[_Limit]:
        given = self._limits.get(kind, [])
        return given or ([] if kind in _NOT_BY_DEFAULT else self._limits.get(None, []))


def _parsed(text: str) -> tuple[str | None, _Limit]:
    if not isinstance(text, str):
        raise SchemaError(f"a tolerance is a text, not {shown(text)}; {_FORMS}")
    kind, amount = _TOLERANCE.fullmatch(text).groups()
    if kind is not None and kind not in KINDS:
        raise SchemaError(f"tolerance {shown(text)}: there is no kind {kind!r:.40}{suggest(kind, KINDS)}")
    number = _NUMBER.fullmatch(amount)
    if number and number[2]:
        return kind, _Limit(Fraction("0" + number[1].rstrip(".")) / 100, True)
    value = Fraction("0" + number[1].rstrip(".")) if number else None
    if kind is None:
        if value != 0:
            raise SchemaError(f"tolerance {shown(text)}: without a kind it is a percentage; {_FORMS}")
        return None, _Limit(value, True)
    if KINDS[kind] == "a time" and value != 0:
        value = None if value is not None else _duration(amount)
    if value is None:
        what, such = KINDS[kind], "50ms" if KINDS[kind] == "a time" else "5"
        raise SchemaError(
            f"tolerance {shown(text)}: {shown(amount)} is neither a percentage, such as 5%, nor {what},"
            f" such as {such}"
        )
    return kind, _Limit(value, False)


def _duration(text: str) -> Fraction | None:
    try:
        return Fraction(parse_duration(text))
    except SchemaError:
        return None


def _within(kind: str, before: Measure, after: Measure, limit: _Limit) -> bool:
    if limit.is_share or kind == "rate":
        if before.relative is None or after.relative is None:
            return before == after
        most = limit.value * abs(before.relative) if limit.is_share else limit.value
        return abs(after.relative - before.relative) <= most
    apart = abs(after.number - before.number)
    # How long a state was that came with the last record nobody knows: more than the 0 ns it is said to be.
    lone = (before.amount is None) != (after.amount is None)
    return apart < limit.value if lone else apart <= limit.value
