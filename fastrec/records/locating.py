"""Locating: which record was the newest one, or is the next one, at each of many times.

Times are taken in their order, some at a time. Of rows whose stamps never fall only those blocks are looked
at in which one of the times lies, by what an index, or the first stamps of blocks, say. Stamps that run
backwards are all looked at, 8 bytes each.
"""

from __future__ import annotations

from itertools import pairwise, starmap
from typing import Literal, NamedTuple

import numpy as np

from fastrec.core import scan
from fastrec.records.breaks import Breaks
from fastrec.records.chunks import BLOCK
from fastrec.records.parts import Part, outermost
from fastrec.records.rows import Rows
from fastrec.records.windows import elapsed

__all__ = ["Direction", "Located", "located"]

Direction = Literal["backward", "forward", "nearest"]
_FURTHEST = np.uint64(2**63 - 1)


class Located(NamedTuple):
    """Arrays of one length n, a row per time.

    Attributes
    ----------
    place : ndarray of int64
        Which row; -1: none.
    distance : ndarray of int64
        How far away it is, ns; 0 within a hold, -1 where there is none.
    known : ndarray of bool
        Whether there is one, and an interval of the rows covers the time.
    """

    place: np.ndarray
    distance: np.ndarray
    known: np.ndarray


def located(
    rows: Rows, until: str, breaks: Breaks, times: np.ndarray, direction: Direction, tolerance_ns: int | None
) -> Located:
    """The row for each time.

    Parameters
    ----------
    rows : Rows
    until : str
        The column that says when a row was seen last.
    breaks : Breaks
        Where intervals of the rows break.
    times : ndarray of int64
        In any order.
    direction : "backward", "forward" or "nearest"
    tolerance_ns : int or None
        Rows that are further away are none.
    """
    order = None
    if (times[1:] < times[:-1]).any():
        order = np.argsort(times, kind="stable")
        times = times[order]
    found = Located(*(np.empty(len(times), dtype) for dtype in (np.int64, np.int64, bool)))
    finder = (_Bisecting if rows.ordered else _Scanning)(rows, until)
    for low in range(0, len(times), BLOCK):
        some = np.ascontiguousarray(times[low : low + BLOCK])
        part = _located(finder, breaks, some, direction)
        if tolerance_ns is not None:
            far = part.distance > tolerance_ns
            part.place[far] = part.distance[far] = -1
            part.known[far] = False
        for column, values in zip(found, part, strict=True):
            column[low : low + len(some)] = values
    if order is None:
        return found
    back = np.empty(len(order), np.int64)
    back[order] = np.arange(len(order))
    return Located(*(column[back] for column in found))


def _located(
    finder: _Bisecting | _Scanning, breaks: Breaks, times: np.ndarray, direction: Direction
) -> Located:
    before, seen = finder.last(times)
    known, away = before >= 0, _apart(seen, times)
    away[~known] = -1
    cuts = _cuts(finder.rows, finder.until, breaks, before[np.searchsorted(before, 0) :])
    if len(cuts):
        near = np.minimum(np.searchsorted(cuts, before), len(cuts) - 1)
        known &= (away == 0) | (cuts[near] != before)
    if direction == "backward":
        return Located(before, away, known)
    place, stamps = finder.next(times)
    distance = np.where(place >= 0, _apart(times, stamps), -1)
    if direction == "nearest":
        earlier = (before >= 0) & ((place < 0) | (away <= distance))
        place, distance = np.where(earlier, before, place), np.where(earlier, away, distance)
    return Located(place, distance, known & (place >= 0))


def _apart(earlier: np.ndarray, later: np.ndarray) -> np.ndarray:
    """ns from one to the other, 0 if that is the earlier: ndarray of int64."""
    return np.minimum(elapsed(earlier, later), _FURTHEST).view(np.int64)


def _cuts(rows: Rows, until: str, breaks: Breaks, places: np.ndarray) -> np.ndarray:
    """Rows with which an interval ends, because nothing is known for too long behind it, or because it is the
    last: those near some places. What lies far from all of them is not looked at.

    Parameters
    ----------
    places : ndarray of int64
        Never decreasing.

    Returns
    -------
    ndarray of int64
        Increasing; all those that there are among `places`.
    """
    cuts = [np.empty(0, np.int64)]
    for number, within in enumerate(rows.divided(places)):
        if within.start == within.stop:
            continue
        span, shift, some = rows.spans[number], rows.shift(number), places[within]
        first, last = outermost(some[1:] - some[:-1] > BLOCK, len(some))
        begins, ends = some[first], some[last]
        for low, high in zip((begins + shift).tolist(), (ends + shift + 2).tolist(), strict=True):
            high = min(high, span.stop)
            for start in range(low, high, BLOCK):
                cuts.append(breaks.within(span.chunk, start, min(start + BLOCK + 1, high)) - (shift + 1))
        if some[-1] + shift == span.stop - 1 and _ends(rows, number, until, breaks):
            cuts.append(some[-1:])
    return np.concatenate(cuts)


def _ends(rows: Rows, number: int, until: str, breaks: Breaks) -> bool:
    """Whether an interval ends with the last row of a span."""
    if number + 1 == len(rows.spans):
        return True
    return breaks.before(rows.spans[number + 1], *rows.spans[number].end(until))


class _Scanning:
    """Rows some of whose stamps fall.

    Where the last row up to a time is asked for, a row counts with the smallest stamp from it on; where the
    first from a time on, with the largest up to it: these never fall.
    """

    def __init__(self, rows: Rows, until: str) -> None:
        self.rows = rows
        self.until = until
        stamps = np.concatenate([block.rows()["mono_ns"] for block in rows.blocks()])
        self._least = np.minimum.accumulate(stamps[::-1])[::-1]
        self._most = np.maximum.accumulate(stamps)

    def last(self, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The last row stamped then or before, -1: none; and when it was seen last."""
        return _seen(self.rows, np.searchsorted(self._least, times, "right") - 1, self.until)

    def next(self, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The first row stamped then or later, -1: none; and its stamp."""
        place = np.searchsorted(self._most, times, "left")
        return _seen(self.rows, np.where(place < len(self.rows), place, -1), "mono_ns")


def _seen(rows: Rows, places: np.ndarray, name: str) -> tuple[np.ndarray, np.ndarray]:
    """The places, never decreasing but for -1, and a column of theirs."""
    values = np.zeros(len(places), np.int64)
    some = places >= 0
    values[some] = rows.taken(places[some], name)
    return places, values


class _Blocks(NamedTuple):
    """Of blocks of a chunk where they begin and end, their first stamps, and whether an index told them."""

    starts: np.ndarray
    stops: np.ndarray
    least: np.ndarray
    indexed: bool


_NO_TIMES = np.empty(0, np.int64)


class _Bisecting:
    """Rows whose stamps never fall."""

    def __init__(self, rows: Rows, until: str) -> None:
        self.rows = rows
        self.until = until
        self._first = np.array([span.stamp(span.start) for span in rows.spans], np.int64)
        self._blocks: dict[int, _Blocks] = {}
        self._lately: tuple[tuple[int, int] | None, np.ndarray, np.ndarray] = (None, _NO_TIMES, _NO_TIMES)

    def last(self, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """As that of `_Scanning`."""
        place, seen = self._before(times, equal=True)
        return place - 1, seen

    def next(self, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """As that of `_Scanning`."""
        place, _ = self._before(times, equal=False)
        return _seen(self.rows, np.where(place < len(self.rows), place, -1), "mono_ns")

    def _before(self, times: np.ndarray, *, equal: bool) -> tuple[np.ndarray, np.ndarray]:
        """How many rows stand before each time, or at it where `equal`; when the last was seen last."""
        found, seen = np.zeros(len(times), np.int64), np.zeros(len(times), np.int64)
        numbers, cuts = _divided(self._first, times, equal=equal)
        for number, some in zip(numbers, starmap(slice, pairwise(cuts)), strict=True):
            self._in_span(number, times[some], found[some], seen[some], equal=equal)
            found[some] -= self.rows.shift(number)
        return found, seen

    def _in_span(
        self, number: int, times: np.ndarray, found: np.ndarray, seen: np.ndarray, *, equal: bool
    ) -> None:
        """The same within a chunk, for times behind the first row of a span."""
        starts, stops, least, indexed = self._blocks_of(number)
        asked, cuts = _divided(least, times, equal=equal)
        if not indexed:
            for block, some in zip(asked, starmap(slice, pairwise(cuts)), strict=True):
                start, stop = int(starts[block]), int(stops[block])
                stamps, ends = self._times_of(number, start, stop)
                row = stamps.searchsorted(times[some], "right" if equal else "left")
                found[some], seen[some] = start + row, ends[row - 1]
            return
        # Blocks side by side are read in one go.
        first, last = outermost(asked[1:] - asked[:-1] > 1, len(asked))
        ranges = starts[asked[first]], stops[asked[last]]
        side, done = "left" if equal else "right", 0
        reached = (0, 0)  # how many rows stand before those times that are behind the part before; until when
        for part in self.rows.spans[number].chunk.parts(*ranges):
            ends = part.array["mono_ns"][[part.begins[0], part.ends[-1] - 1]]
            low, high = np.searchsorted(times, ends, side).tolist()
            found[done:low], seen[done:low] = reached
            if low < high:
                _fill(part, self.until, times[low:high], found[low:high], seen[low:high], equal=equal)
            reached, done = (int(part.stops[-1]), int(part.array[self.until][part.ends[-1] - 1])), high
        found[done:], seen[done:] = reached

    def _times_of(self, number: int, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        """Of a block of a span its stamps, and when its rows were seen last. Times that come next are often
        in it, too, and of rows that were picked those between them would be read again.
        """
        if self._lately[0] != (number, start):
            rows = self.rows.spans[number].chunk.rows(start, stop)
            self._lately = (number, start), rows["mono_ns"].copy(), rows[self.until].copy()
        return self._lately[1:]

    def _blocks_of(self, number: int) -> _Blocks:
        """The blocks of a span."""
        if number not in self._blocks:
            span = self.rows.spans[number]
            known = span.chunk.times(span.start, span.stop)
            if known is None:
                starts = np.arange(span.start, span.stop, BLOCK)
                least = span.chunk.at(starts, "mono_ns")
                stops = np.minimum(starts + BLOCK, span.stop)
            else:
                starts, stops = np.maximum(known.starts, span.start), np.minimum(known.stops, span.stop)
                least = np.append(self._first[number], known.least[1:])  # a block may begin before the span
            self._blocks[number] = _Blocks(starts, stops, least, known is not None)
        return self._blocks[number]


def _divided(first: np.ndarray, times: np.ndarray, *, equal: bool) -> tuple[np.ndarray, np.ndarray]:
    """Which rows have times behind them, and with which of the times those behind each begin, and all end.

    Parameters
    ----------
    first : ndarray of int64
        Stamps of the rows.
    times : ndarray of int64
        At least one. Times before the first row are left out.
    equal : bool
        Whether a time that is the row's stamp is behind it.
    """
    ends = np.searchsorted(first, times[[0, -1]], "right" if equal else "left")
    low, high = max(0, int(ends[0]) - 1), int(ends[1])
    cuts = np.append(np.searchsorted(times, first[low:high], "left" if equal else "right"), len(times))
    filled = np.flatnonzero(cuts[1:] > cuts[:-1])
    return filled + low, np.append(cuts[filled], len(times))


def _fill(
    part: Part, until: str, times: np.ndarray, found: np.ndarray, seen: np.ndarray, *, equal: bool
) -> None:
    """Of times that are none of them before the first row of a part."""
    fields = part.array.dtype.fields
    offsets = fields["mono_ns"][1], fields[until][1]
    ranges = part.begins, part.ends
    scan.before(part.bytes, part.array.dtype.itemsize, *offsets, *ranges, times, equal, found, seen)
    found[:] = part.places(found - 1) + 1  # the last row before is in a range, that behind it perhaps not
