"""What a user may write for a time, and how monotonic stamps become dates.

Stamps are nanoseconds of the monotonic clock in Python ints, so nothing here rounds through a float: at
today's epoch a float64 steps by 256 ns.
"""

from __future__ import annotations

import bisect
import datetime as dt
import operator
import re
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, Protocol
from zoneinfo import ZoneInfo

import numpy as np

from fastrec.durations import parse_duration
from fastrec.errors import RecordingError, SchemaError

__all__ = [
    "CLOCK_PAIR_DTYPE",
    "Clock",
    "Extent",
    "Known",
    "parse_time",
]

CLOCK_PAIR_DTYPE = np.dtype([("monotonic", "<i8"), ("realtime", "<i8")])
"""The two columns of a clock reading that :class:`Clock` uses; an array may have more."""

_FINE_ISO = re.compile(r"(.+:[0-9]{2}:[0-9]{2})[.,]([0-9]{1,9})(|Z|[+-][0-9:]{2,8})")
_CLOCK_TIME = re.compile(r"T?[0-9]{2}:[0-9]{2}")
_FORMS = (
    'write "+1.5s" (from the start), "-2s" (from the end), "12:03:07", an ISO date, a datetime or mono_ns'
)
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MAX_NS = 2**63 - 1
_HALF, _QUARTER = 2**62, 2**61

# A monotonic clock counts from boot: no machine has been up since 2000, so a stamp this large is an epoch
# time.
_YEAR_2000_NS = 946_684_800_000_000_000


@dataclass(frozen=True)
class Clock:
    """Monotonic stamps as dates, by readings of both clocks taken together.

    Between two readings the clocks are taken to run evenly; before the first and after the last, at the same
    pace. Where they are known not to have, because one was set or stood still, nobody knows when in between:
    dates go on from the reading before, at the same pace, and jump at the one behind.

    Attributes
    ----------
    pairs : ndarray, shape (n,)
        With the integer fields ``monotonic`` (ns, never decreasing) and ``realtime`` (ns since 1970, UTC).
    zone : tzinfo
        Where the recording was made; naive times are read and dates written in it.
    leaps : ndarray of bool, shape (n,), optional
        Whether the clocks did not run evenly from a reading to the next. Default: they always did.
    """

    pairs: np.ndarray
    zone: ZoneInfo | dt.tzinfo = dt.UTC
    leaps: np.ndarray | None = None

    @cached_property
    def _leaps(self) -> list[bool]:
        """Of each reading, whether dates go on from it at the same pace up to the next; so after the last."""
        known = [False] * len(self.pairs) if self.leaps is None else self.leaps.tolist()
        return [*known[:-1], True]

    @cached_property
    def _readings(self) -> tuple[list[int], list[int]]:
        if len(self.pairs) == 0:
            raise RecordingError(
                'there is no clock reading, so dates are unknown; write times as "+1.5s" or "-2s"'
            )
        return self.pairs["monotonic"].tolist(), self.pairs["realtime"].tolist()

    def wall(self, mono_ns: int) -> int:
        """Realtime nanoseconds since 1970 (UTC) at a stamp.

        Raises
        ------
        RecordingError
            If there is no reading at all.
        """
        mono, real = self._readings
        mono_ns = operator.index(mono_ns)
        k = bisect.bisect_right(mono, mono_ns) - 1
        if k < 0:
            return real[0] + mono_ns - mono[0]
        if self._leaps[k]:
            return real[k] + mono_ns - mono[k]
        return real[k] + (mono_ns - mono[k]) * (real[k + 1] - real[k]) // (mono[k + 1] - mono[k])

    @cached_property
    def _paces(self) -> np.ndarray:
        """Of each reading, what makes of stamps from it to the next realtime by arithmetic of 64 bits."""
        mono, real = self._readings
        paces = np.zeros(len(mono), [("shift", "<i8"), ("drift", "<i8"), ("span", "<i8"), ("fits", "?")])
        paces["span"] = 1
        for k, (start, wall) in enumerate(zip(mono, real, strict=True)):
            leaps = self._leaps[k]
            span = 1 if leaps else mono[k + 1] - start
            drift = 0 if leaps else real[k + 1] - wall - span
            if abs(wall - start) < _HALF and 0 < span * max(1, abs(drift)) <= _MAX_NS:
                paces[k] = (wall - start, drift, span, True)
        return paces

    def walls(self, mono_ns: np.ndarray) -> np.ndarray:
        """`wall` of many stamps at once, as exact.

        Parameters
        ----------
        mono_ns : ndarray of int64, shape (n,)

        Returns
        -------
        ndarray of int64, shape (n,)

        Raises
        ------
        RecordingError
            If there is no reading, or one puts a stamp where 64 bits do not reach: before 1677 or after 2262.
        """
        stamps = np.asarray(mono_ns, dtype=np.int64)
        mono = np.array(self._readings[0], dtype=np.int64)
        place = np.searchsorted(mono, stamps, side="right") - 1
        pace = self._paces[np.maximum(place, 0)]
        drift = np.where(place < 0, 0, pace["drift"])
        # Only what the clocks drifted apart is scaled, so that the product fits. Where it would not, which
        # takes a clock that was set, or a stamp of a century, stamps are asked one by one.
        walls = stamps + pace["shift"] + (stamps - mono[place]) * drift // pace["span"]
        rare = np.flatnonzero(~pace["fits"] | (stamps <= -_QUARTER) | (stamps >= _QUARTER))
        for row, stamp in zip(rare.tolist(), stamps[rare].tolist(), strict=True):
            realtime = self.wall(stamp)
            if abs(realtime) > _MAX_NS:
                raise RecordingError(
                    f"stamp {stamp} is {realtime} ns from 1970: more than 64 bits; see the clock readings"
                )
            walls[row] = realtime
        return walls

    def mono(self, realtime_ns: int) -> int:
        """First stamp at or after which the realtime clock showed ``realtime_ns``; within 1 ns of the inverse
        of `wall`.

        A realtime clock that was set back shows a time twice: the first counts. One that was set forward
        never shows what it left out: the reading behind counts.
        """
        mono, real = self._readings
        realtime_ns = operator.index(realtime_ns)
        for k in range(len(mono) - 1):
            if self._leaps[k]:
                if real[k] <= realtime_ns < real[k] + mono[k + 1] - mono[k]:
                    return mono[k] + realtime_ns - real[k]
                if real[k] <= realtime_ns < real[k + 1]:
                    return mono[k + 1]
            elif real[k] <= realtime_ns < real[k + 1]:
                return mono[k] + -(
                    -(realtime_ns - real[k]) * (mono[k + 1] - mono[k]) // (real[k + 1] - real[k])
                )
        k = -1 if realtime_ns >= real[-1] else 0
        return mono[k] + realtime_ns - real[k]

    def datetime(self, mono_ns: int) -> dt.datetime:
        """Date of a stamp in the zone, cut to microseconds.

        Raises
        ------
        RecordingError
            If the readings put the stamp outside the years 1 to 9999, or there are none.
        """
        realtime = self.wall(mono_ns)
        try:
            return (_EPOCH + dt.timedelta(microseconds=realtime // 1_000)).astimezone(self.zone)
        except OverflowError as error:
            raise RecordingError(
                f"stamp {mono_ns} is {realtime} ns from 1970: no date; see the clock readings"
            ) from error

    def text(self, mono_ns: int) -> str:
        """Date of a stamp as ISO 8601 with microseconds and offset: ``2026-09-21T12:03:07.000250+02:00``."""
        return self.datetime(mono_ns).isoformat(timespec="microseconds")


class Extent(Protocol):
    """When something was recorded. Each of these may take time to find, and is asked for where it counts."""

    @property
    def start(self) -> int | None:
        """First stamp, ns; None: there is none."""

    @property
    def end(self) -> int | None:
        """Last stamp, ns; None: there is none."""

    @property
    def clock(self) -> Clock | None:
        """For dates; None if there is none."""


class Known(NamedTuple):
    """An `Extent` that is known."""

    start: int | None
    end: int | None
    clock: Clock | None


def parse_time(value: int | str | dt.datetime, of: Extent) -> int:
    """Stamp that a user means.

    Parameters
    ----------
    value : int, str or datetime.datetime
        An int is a stamp. ``"+1.5s"`` counts from the start, ``"-2s"`` back from the end. ``"12:03:07"`` is a
        time on the day of the start, in the clock's zone; ISO dates without a zone are in it, too. Fractions
        of seconds have up to nine digits.
    of : Extent
        The records that are asked.

    Returns
    -------
    int
        Monotonic ns; not limited to the records' extent.

    Raises
    ------
    SchemaError
        If it is none of these, or an int that is a time since 1970 while the records' stamps count from boot.
    RecordingError
        If a date is given and no clock reading says when that was.
    """
    if isinstance(value, bool | float | np.floating | np.bool_):
        raise SchemaError(
            f'{value!r} is no time; stamps are ints (mono_ns), other times text such as "+1.5s"'
        )
    if isinstance(value, int | np.integer):
        stamp = int(value)
        if stamp >= _YEAR_2000_NS > max(of.start or 0, of.end or 0):
            raise SchemaError(
                f"{stamp} looks like ns since 1970, but stamps here count from boot"
                f" ({of.start or 0} ... {of.end or 0}); pass a datetime or ISO text instead"
            )
        return stamp
    if isinstance(value, dt.datetime):
        clock = _clock(of, value)
        return clock.mono(_realtime(value, clock))
    if not isinstance(value, str):
        raise SchemaError(f"{value!r} is no time; {_FORMS}")
    text = value.strip()
    if text[:1] == "+":
        return (of.start or 0) + parse_duration(text[1:])
    if text[:1] == "-":
        return (of.end or 0) - parse_duration(text[1:])
    when, nanoseconds = _iso(text, value, of)
    clock = _clock(of, value)
    return clock.mono(_realtime(when, clock) + nanoseconds)


def _clock(of: Extent, value: object) -> Clock:
    clock = of.clock
    if clock is None:
        raise RecordingError(f'no clock reading says when {value!r} was; write times as "+1.5s" or "-2s"')
    return clock


def _iso(text: str, value: str, of: Extent) -> tuple[dt.datetime, int]:
    # datetime keeps six digits and drops the rest in silence; records are finer than that.
    nanoseconds = 0
    fine = _FINE_ISO.fullmatch(text)
    if fine:
        text = fine[1] + fine[3]
        nanoseconds = int(fine[2].ljust(9, "0"))
    try:
        if "." in text or "," in text:
            raise ValueError("a fraction that does not follow whole seconds, or is finer than 1 ns")
        if not _CLOCK_TIME.match(text):
            return dt.datetime.fromisoformat(text), nanoseconds
        time = dt.time.fromisoformat(text)
    except ValueError as error:
        raise SchemaError(f"{value!r} is no time; {_FORMS}") from error
    known = _clock(of, value)
    began = known.datetime(of.start or 0).astimezone(time.tzinfo or known.zone)
    # Of an hour that comes twice the one is meant that the recording did not miss.
    return dt.datetime.combine(began.date(), time.replace(fold=began.fold)), nanoseconds


def _realtime(when: dt.datetime, clock: Clock) -> int:
    if when.tzinfo is None:
        when = when.replace(tzinfo=clock.zone)
    try:
        since = when - _EPOCH
    except OverflowError as error:
        raise SchemaError(f"{when} is outside the years that have an offset") from error
    return (since.days * 86_400 + since.seconds) * 1_000_000_000 + since.microseconds * 1_000
