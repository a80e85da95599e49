"""Ranges of rows: which of them are zones, and how the core takes them."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import NamedTuple, TypeVar

import numpy as np

from fastrec.records.chunks import ZONE, Chunk
from fastrec.records.parts import outermost
from fastrec.records.rows import Span

__all__ = [
    "ZONES",
    "Stretch",
    "ahead",
    "divided",
    "inside",
    "joined",
    "one_range",
    "seldom",
    "stretches",
    "zone_behind",
]

T = TypeVar("T")

_ASKED = 64
"""Zones of which some are looked at to know how to look at the others."""

ZONES = 8_192
"""Zones that are looked at in one go."""


class Stretch(NamedTuple):
    """Rows of a span that lie together, and which of them are whole zones.

    Attributes
    ----------
    start, stop : int
        By places in the chunk.
    begin, end : int
        Rows from which on, and up to which, they are zones; if none is, both are `stop`.
    zones : (low, high) or None
        Which zones of the chunk these are; None: there is none.
    """

    start: int
    stop: int
    begin: int
    end: int
    zones: tuple[int, int] | None

    @property
    def starts(self) -> np.ndarray:
        """Where its zones begin: ndarray of int64."""
        return np.arange(self.begin, self.end, ZONE)

    def first(self, count: int) -> Stretch:
        """The part of it that ends behind so many of its zones, which are fewer than all."""
        end = self.begin + count * ZONE
        return Stretch(self.start, end, self.begin, end, (self.zones[0], self.zones[0] + count))

    def untold(self, doubtful: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where ranges begin and end of the rows that no zone tells of: of doubtful zones, and of no zone.

        Parameters
        ----------
        doubtful : ndarray of bool
            For each of its zones.
        """
        which = np.flatnonzero(doubtful)
        starts = np.concatenate([[self.start], self.begin + which * ZONE, [self.end]])
        stops = np.concatenate([[self.begin], self.begin + (which + 1) * ZONE, [self.stop]])
        filled = starts < stops  # there may be none before the zones, or behind them
        return joined(starts[filled], stops[filled])


def divided(span: Span, *, zoned: bool) -> Iterator[Stretch]:
    """The rows of a span, in order, up to `ZONES` whole zones at a time; with these what lies beside them.

    Parameters
    ----------
    span : Span
    zoned : bool
        False: all of them together, as if it had no zones.
    """
    zones = span.chunk.zone_starts if zoned else range(0)
    low, high = inside(zones, span)
    if low == high:
        yield Stretch(span.start, span.stop, span.stop, span.stop, None)
    start = span.start
    for first in range(low, high, ZONES):
        last = min(first + ZONES, high)
        begin, end = zones[first], zones[last - 1] + ZONE
        stop = span.stop if last == high else end
        yield Stretch(start, stop, begin, end, (first, last))
        start = stop


def ahead(made: Iterator[T]) -> Generator[T, None, None]:
    """What is made, one behind the other, each when the one before it is handed out; the first at once. Of
    what begins to read when it is made, one reads while another is looked at. To be closed by who may not
    come to the end: an error keeps what it has seen.
    """
    return _handed_out(next(made, None), made)


def _handed_out(first: T | None, made: Iterator[T]) -> Generator[T, None, None]:
    try:
        while first is not None:
            behind = next(made, None)
            yield first
            first = behind
    finally:
        first = behind = None  # an error keeps this frame


def one_range(start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
    """The only range of rows, as `Chunk.parts` takes ranges."""
    return np.array([start]), np.array([stop])


def joined(starts: np.ndarray, stops: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ranges in order, of which those that touch are one."""
    first, last = outermost(starts[1:] != stops[:-1], len(starts))
    return starts[first], stops[last]


def inside(zones: range, span: Span) -> tuple[int, int]:
    """Which of the zones lie wholly within some rows."""
    if not zones:
        return 0, 0
    low = max(0, -(-(span.start - zones.start) // ZONE))
    return low, max(low, min(len(zones), (span.stop - zones.start) // ZONE))


def zone_behind(span: Span, place: int) -> int:
    """Where the first zone begins at a place or behind it; the end of the span, if none does within it."""
    begin = span.chunk.zone_starts.start
    return min(span.stop, place + (begin - place) % ZONE)


def seldom(
    chunk: Chunk,
    watched: tuple[int, int, int],
    starts: np.ndarray,
    stops: np.ndarray,
    known: np.ndarray | None = None,
) -> bool:
    """Whether some bytes seem to change at few rows of some ranges, at one of eight or less.

    Parameters
    ----------
    known : ndarray of bool, optional
        For each zone among which the ranges are, whether it tells its states, of which it has two at most.
        Where three of four do, runs in the others are long; else a few rows are looked at.
    """
    if known is not None and 4 * np.count_nonzero(known) > 3 * len(known):
        return True
    if (stops - starts).sum() < _ASKED * ZONE:
        return False
    some = np.unique([0, len(starts) // 2, len(starts) - 1])
    first, last = starts[some], np.minimum(starts[some] + ZONE, stops[some])
    found = chunk.changed(first, last, watched, few=False)
    return 8 * sum(len(one.places) for one in found) <= int((last - first).sum())


def stretches(truths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where stretches of True begin, and where they end."""
    edges = np.flatnonzero(np.diff(truths, prepend=False, append=False))
    return edges[::2], edges[1::2]
