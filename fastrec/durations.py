"""What a user may write for a duration, and how durations are told to people."""

from __future__ import annotations

import datetime as dt
import operator
import re
from fractions import Fraction
from typing import Any

from fastrec.errors import FastrecError, SchemaError, shown

__all__ = ["format_duration", "is_unit", "named_duration", "parse_duration", "unit_ns"]

_UNITS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "μs": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "min": 60_000_000_000,
    "h": 3_600_000_000_000,
}
_TERM = re.compile(r"([0-9]{1,20}(?:\.[0-9]{0,20})?|\.[0-9]{1,20})\s*(ns|us|µs|μs|ms|min|s|h)\s*")
_MAX_NS = 2**63 - 1


def is_unit(unit: str) -> bool:
    """Whether it is a unit of time, such as ``"ms"``."""
    return unit in _UNITS


def unit_ns(unit: str) -> int:
    """Nanoseconds of a unit of time, such as ``"ms"``; 1 for any other."""
    return _UNITS.get(unit, 1)


def parse_duration(value: str | dt.timedelta) -> int:
    """Length of time in nanoseconds.

    Parameters
    ----------
    value : str or datetime.timedelta
        A number and a unit, ``ns us ms s min h``: ``"1.5s"``, ``"20ms"``; or several, ``"1 h 30 min"``.

    Returns
    -------
    int
        Nanoseconds, at least 0, rounded to the nearest.

    Raises
    ------
    SchemaError
        If it is not a duration, negative, or longer than 292 years; for a bare number, which has no unit.
    """
    if isinstance(value, dt.timedelta):
        length = (value.days * 86_400 + value.seconds) * _UNITS["s"] + value.microseconds * 1_000
        if not 0 <= length <= _MAX_NS:
            raise SchemaError(f"a duration is from 0 to 292 years, not {shown(value)}")
        return length
    if not isinstance(value, str):
        raise SchemaError(f'durations are strings with a unit, such as "1.5s" or "20ms", not {shown(value)}')
    text = value.strip()
    total = Fraction(0)
    place = 0
    while term := _TERM.match(text, place):
        total += Fraction("0" + term[1].rstrip(".")) * _UNITS[term[2]]
        place = term.end()
    if place == 0 or place != len(text):
        raise SchemaError(
            f'{shown(value)} is not a duration; write "1.5s", "20ms", "3us", "5ns", "2min" or "1h"'
        )
    if total > _MAX_NS:
        raise SchemaError(f"{shown(value)} is longer than 292 years")
    return round(total)


def named_duration(name: str, value: Any, forms: str, error: type[FastrecError]) -> int:
    """`parse_duration` of what was said of an option; the error names it, and says what it may be."""
    try:
        return parse_duration(value)
    except SchemaError as wrong:
        raise error(f"{name}={shown(value)}; it is {forms}") from wrong


def format_duration(ns: int) -> str:
    """Length of time for people, to at most four or so digits: ``"5 ns"``, ``"1.234 s"``, ``"2 min 3.5 s"``.

    Parameters
    ----------
    ns : int
        Nanoseconds; negative ones get a minus sign.

    Returns
    -------
    str
        What :func:`parse_duration` reads back, rounded to a thousandth of its unit (tenths of seconds from a
        minute on, whole seconds from an hour on).
    """
    ns = operator.index(ns)
    if ns < 0:
        return "-" + format_duration(-ns)
    if ns < 1_000:
        return f"{ns} ns"
    # Rounded before the unit is chosen: 999.9996 ms is 1 s, never 1000 ms.
    for unit, limit in (("us", 1_000_000), ("ms", 1_000_000_000), ("s", 60_000_000_000)):
        step = _UNITS[unit] // 1_000
        rounded = (ns + step // 2) // step * step
        if rounded < limit:
            return f"{_decimal(rounded, _UNITS[unit])} {unit}"
    tenths = (ns + 50_000_000) // 100_000_000
    if tenths < 36_000:
        minutes, rest = divmod(tenths, 600)
        return f"{minutes} min" + (f" {_decimal(rest, 10)} s" if rest else "")
    minutes, seconds = divmod((ns + 500_000_000) // 1_000_000_000, 60)
    hours, minutes = divmod(minutes, 60)
    parts = [(hours, "h"), (minutes, "min"), (seconds, "s")]
    return " ".join(f"{count} {unit}" for count, unit in parts if count)


def _decimal(value: int, one: int) -> str:
    whole, rest = divmod(value, one)
    if not rest:
        return str(whole)
    digits = len(str(one)) - 1
    return f"{whole}.{rest:0{digits}d}".rstrip("0")
