"""Rows of many chunks as one sequence: slices and selections of it are new sequences of the same chunks."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from fastrec.records.chunks import BLOCK, Chunk, Selection, in_order
from fastrec.schema.forms import Store

__all__ = ["Rows", "Span"]

_FOREVER = 2**63


class Span(NamedTuple):
    """Rows ``start ... stop - 1`` of a chunk."""

    chunk: Chunk
    start: int
    stop: int

    def rows(self) -> np.ndarray:
        """The rows themselves, read-only."""
        return self.chunk.rows(self.start, self.stop)

    def pieces(self) -> Iterator[np.ndarray]:
        """The rows in pieces; see `Chunk.pieces`."""
        return self.chunk.pieces(self.start, self.stop)

    def numbers(self, out: np.ndarray | None = None) -> np.ndarray:
        """Their numbers, u8; into an array, if there is one."""
        return self.chunk.numbers(self.start, self.stop, out)

    def stamp(self, place: int) -> int:
        """Stamp of the row at a place in the chunk, ns."""
        return int(self.chunk.at(np.array([place]), "mono_ns")[0])

    def end(self, until: str) -> tuple[int, int]:
        """Number of the last row, and when it was seen last, which `until` says."""
        last = np.array([self.stop - 1])
        return self.chunk.number(self.stop - 1), int(self.chunk.at(last, until)[0])

    def blocks(self) -> Iterator[Span]:
        """The same rows, a block at a time."""
        for start in range(self.start, self.stop, BLOCK):
            yield Span(self.chunk, start, min(start + BLOCK, self.stop))

    def latest(self, store: Store) -> int:
        """Largest stamp of the rows, at least one, ns; by an index where there is one that tells it."""
        chunk = self.chunk
        if chunk.ordered:
            whole = self.stop == len(chunk)
            return chunk.t_last if whole else int(chunk.rows(self.stop - 1, self.stop)["mono_ns"][0])
        # With holds an index says until when rows were seen.
        times = chunk.times(self.start, self.stop) if store == "every" else None
        if times is None:
            return max(int(block.rows()["mono_ns"].max()) for block in self.blocks())
        starts, stops = np.maximum(times.starts, self.start), np.minimum(times.stops, self.stop)
        most = times.most.copy()
        for cut in np.flatnonzero((starts > times.starts) | (stops < times.stops)):
            most[cut] = chunk.rows(int(starts[cut]), int(stops[cut]))["mono_ns"].max()
        return int(most.max())

    @property
    def ordered(self) -> bool:
        """Whether no stamp is smaller than the one before it; by an index where there is one."""
        return self.chunk.ordered or in_order(block.rows()["mono_ns"] for block in self.blocks())

    def pick(
        self, places: np.ndarray, stamps: np.ndarray | None = None, rows: np.ndarray | None = None
    ) -> Span:
        """The rows at `places`, an increasing int64 array that counts within the chunk; of what is given with
        them, nothing is read again.
        """
        if len(places) == 0:
            return Span(self.chunk, self.start, self.start)
        first, last = int(places[0]), int(places[-1])
        if last - first + 1 == len(places) and rows is None:
            return Span(self.chunk, first, last + 1)
        return Span(Selection(self.chunk, places, stamps, rows), 0, len(places))


class _Known(NamedTuple):
    """What is known of rows that are searched for, and how far the search has come."""

    spans: Sequence[Span] = ()
    ends: Sequence[int] = ()
    searched: int = 0
    complete: bool = False

    @property
    def count(self) -> int:
        return self.ends[-1] if self.ends else 0

    def with_more(self, found: Iterable[Span], searched: int = 0) -> _Known:
        spans, ends = list(self.spans), list(self.ends)
        for span in found:
            if span.stop > span.start:
                ends.append((ends[-1] if ends else 0) + span.stop - span.start)
                spans.append(span)
        return _Known(spans, ends, searched)


Search = Callable[[int, bool], tuple[Iterable[Span], int] | None]
"""From how far it has come, 0 at first, and whether a few rows are wanted, not all, to the spans that one
step finds and how far it has come then; None: there is nothing behind."""


class Rows:
    """Spans of chunks, one after another; numbers increase.

    Parameters
    ----------
    spans : iterable of Span
        Empty ones are left out.
    search : callable, optional
        What finds them step by step, when they are needed. A step that raises is made again by the next who
        needs it; several threads may make the same.
    """

    def __init__(self, spans: Iterable[Span] = (), *, search: Search | None = None) -> None:
        self._search = search
        self._known = _Known().with_more(spans)._replace(complete=search is None)

    @property
    def complete(self) -> bool:
        """Whether all of them are known."""
        return self._known.complete

    def _upto(self, place: int) -> _Known:
        """What is known with the rows before a place."""
        known = self._known
        while known.count < place and not known.complete:
            found = self._search(known.searched, place < _FOREVER)
            known = known._replace(complete=True) if found is None else known.with_more(*found)
            # At once: an interrupt leaves it as it was, or as it is now; of two threads either is right.
            self._known = known
        return known

    def reach(self, place: int) -> int:
        """Have the rows before a place, and return how many there are: `place`, or fewer if these are all."""
        return min(place, self._upto(place).count)

    @property
    def spans(self) -> Sequence[Span]:
        """All of them."""
        return self._upto(_FOREVER).spans

    def each(self) -> Iterator[tuple[Span, slice]]:
        """The spans, and which of all rows each has."""
        known = self._upto(_FOREVER)
        for span, end in zip(known.spans, known.ends, strict=True):
            yield span, slice(end - (span.stop - span.start), end)

    def copy(self, offset: int, into: np.ndarray) -> None:
        """Copy some bytes of each of them; see `Chunk.copy`."""
        for span, within in self.each():
            span.chunk.copy(span.start, span.stop, offset, into[within])

    def __len__(self) -> int:
        return self.reach(_FOREVER)

    def holding(self, place: int) -> tuple[int, Span, int] | None:
        """The span in which a place lies: its number, itself, and what leads from a place here to one in its
        chunk; None: there are not so many rows.
        """
        known = self._upto(place + 1)
        number = bisect_right(known.ends, place)
        if number == len(known.spans):
            return None
        return number, known.spans[number], known.spans[number].stop - known.ends[number]

    def at(self, place: int) -> Span:
        """The one row at a place, ``0 <= place < len``."""
        _, span, shift = self.holding(place)
        return Span(span.chunk, shift + place, shift + place + 1)

    def number(self, place: int) -> int:
        """Number of the row at a place."""
        span = self.at(place)
        return span.chunk.number(span.start)

    def shift(self, number: int) -> int:
        """What leads from a place here to one in the chunk of a span."""
        known = self._upto(_FOREVER)
        return known.spans[number].stop - known.ends[number]

    def divided(self, places: np.ndarray) -> list[slice]:
        """Of each span which of some places, increasing, lie in it."""
        cuts = [0, *np.searchsorted(places, self._upto(_FOREVER).ends).tolist()]
        return [slice(begin, end) for begin, end in pairwise(cuts)]

    def taken(self, places: np.ndarray, name: str) -> np.ndarray:
        """One of the recorder's columns at some places, increasing: ndarray of int64."""
        found = np.empty(len(places), np.int64)
        for number, within in enumerate(self.divided(places)):
            if within.start < within.stop:
                found[within] = self.spans[number].chunk.at(places[within] + self.shift(number), name)
        return found

    def pick(self, places: np.ndarray) -> Rows:
        """The rows at some places, never decreasing; one that comes several times is there as often."""
        found = []
        for number, within in enumerate(self.divided(places)):
            if within.start < within.stop:
                picked = Selection(self.spans[number].chunk, places[within] + self.shift(number))
                found.append(Span(picked, 0, len(picked)))
        return Rows(found)

    @property
    def ordered(self) -> bool:
        """Whether no stamp is smaller than the one before it."""
        if not all(span.ordered for span in self.spans):
            return False
        pairs = pairwise(self.spans)
        return all(one.stamp(one.stop - 1) <= behind.stamp(behind.start) for one, behind in pairs)

    @property
    def t_first(self) -> int:
        """Stamp of the first row, ns; there must be one."""
        span = self._upto(1).spans[0]
        whole = span.start == 0
        return span.chunk.t_first if whole else int(self.at(0).rows()["mono_ns"][0])

    def blocks(self) -> Iterator[Span]:
        """All rows, at most a block at a time."""
        number = done = 0
        while (known := self._upto(done + 1)).count > done:
            span, done = known.spans[number], known.ends[number]
            number += 1
            yield from span.blocks()

    def slice(self, start: int, stop: int, step: int) -> Rows:
        """Every `step`-th row of ``start ... stop - 1``; all within the rows, `step` positive."""
        found = []
        known = self._upto(stop)
        for span, end in zip(known.spans, known.ends, strict=True):
            shift = span.stop - end  # from a place here to one in the chunk
            first = max(start, span.start - shift)
            first += (start - first) % step
            final = min(stop, end)
            if first >= final:
                continue
            whole = Span(span.chunk, shift + first, shift + final)
            found.append(whole if step == 1 else whole.pick(np.arange(whole.start, whole.stop, step)))
        return Rows(found)

    def within(self, begin: int, end: int) -> Rows:
        """Rows stamped ``begin <= mono_ns < end``, in their order."""

        def mask(block: Span) -> np.ndarray:
            times = block.rows()["mono_ns"]
            return (times >= begin) & (times < end)

        return Rows(
            _bisected(span, begin, end) if span.chunk.ordered else _picked(span, mask) for span in self.spans
        )


def _picked(span: Span, mask: Callable[[Span], np.ndarray]) -> Span:
    return span.pick(np.concatenate([np.flatnonzero(mask(block)) + block.start for block in span.blocks()]))


def _bisected(span: Span, begin: int, end: int) -> Span:
    first, last = max(span.start, span.chunk.find(begin)), min(span.stop, span.chunk.find(end))
    return Span(span.chunk, first, max(first, last))
