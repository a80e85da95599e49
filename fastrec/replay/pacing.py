"""Handing out what is stamped at the times of its stamps, and the account of how well that went."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from fractions import Fraction
from numbers import Rational, Real
from typing import Any

from fastrec.core.pacer import Pacer
from fastrec.errors import SchemaError
from fastrec.stats import Quantiles

__all__ = ["Pacing", "Report", "as_speed"]

_FOREVER = 2**63 - 1  # ns, as far as the core counts


@dataclass(frozen=True)
class Report:
    """How a replay went.

    Attributes
    ----------
    records : int
        How many were handed to the callback, with the one that it raised something at.
    duration_ns : int
        From the start until the callback was done with the last of them.
    intended_ns : int
        From the start to the deadline of the last of them; 0 where nothing was paced.
    lateness : Quantiles
        ns from the deadline of a record to the call with it, the wait of this thread for the GIL included; -1
        where nothing was paced.
    """

    records: int
    duration_ns: int
    intended_ns: int
    lateness: Quantiles

    def as_dict(self) -> dict[str, Any]:
        """All of it, the quantiles as a dictionary."""
        return asdict(self)


def as_speed(speed: float | Fraction | None) -> Fraction | None:
    """Check a speed; it becomes the very fraction that its digits say: 0.1 is a tenth.

    Raises
    ------
    SchemaError
        It is no finite number above 0.
    """
    if speed is None:
        return None
    if isinstance(speed, Real) and not isinstance(speed, bool):
        try:
            exact = (
                Fraction(int(speed.numerator), int(speed.denominator))
                if isinstance(speed, Rational)
                else Fraction(repr(float(speed)))
            )
            if float(exact) > 0:
                return exact
        except (ValueError, OverflowError):  # NaN, infinite, or beyond what is finite for a double
            pass
    raise SchemaError(
        f"speed={speed!r:.60}; it is a finite number above 0, such as 2.0 (twice as fast as it happened),"
        " or None: as fast as the records are taken"
    )


class Pacing:
    """One replay.

    Every deadline is the start plus the record's distance from the first one, divided by the speed, in whole
    numbers: a late call makes none of those after it late, as long as there is time to catch up. A stamp that
    runs backwards is due with the record before it.

    Parameters
    ----------
    speed : number or None
        See `as_speed`.
    """

    def __init__(self, speed: float | Fraction | None) -> None:
        self._speed = as_speed(speed)
        self._pacer = Pacer()
        self._records = 0
        self._duration_ns = 0
        self._intended_ns = 0

    def run(self, items: Iterable[tuple[int, str, Any]], callback: Callable[[int, str, Any], object]) -> None:
        """Call back with each item when it is due; once.

        Parameters
        ----------
        items : iterable of (int, str, object)
            Stamp in ns, channel, what is handed out.
        callback : callable
            Takes these three. What it raises ends the replay.
        """
        speed, first, began, due = self._speed, None, 0, 0
        for stamp, channel, item in items:
            if first is None:
                first, began = stamp, time.monotonic_ns()
            if speed is not None:
                due = max(due, (stamp - first) * speed.denominator // speed.numerator)
                self._pacer.wait(min(began + due, _FOREVER))
            self._records, self._intended_ns = self._records + 1, due
            try:
                callback(stamp, channel, item)
            finally:
                self._duration_ns = time.monotonic_ns() - began

    def report(self) -> Report:
        """How it went so far."""
        return Report(self._records, self._duration_ns, self._intended_ns, Quantiles(*self._pacer.lateness))
