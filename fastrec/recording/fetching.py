"""Rows of a segment by the block: read into memory that is used again, and proved, a batch ahead.

What is read in passing is read so. What is kept, or looked at again and again, is mapped: `Segment.rows`.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, NamedTuple, Self

import numpy as np

from fastrec.core.condition import Condition
from fastrec.core.fetch import Fetch
from fastrec.errors import CorruptionError
from fastrec.recording.blocks import Blocks
from fastrec.recording.segment import Segment
from fastrec.records.chunks import BLOCK
from fastrec.records.copying import join_rows
from fastrec.records.looking import FEW
from fastrec.records.parts import Met, Part, Picked, Tallied, each

__all__ = ["ALONE", "changed", "fetched", "meeting", "tallied"]

_BATCH = 4 << 20
"""Bytes that are looked at in one go, but for one block: they stay in the caches."""

_AHEAD = 3
"""Batches in memory."""

ALONE = 1 << 20
"""Bytes that are there before a thread that helps to read them has begun."""

_MOST_HELPERS = 3

_spare: list[np.ndarray] = []
"""Memory that was used: to get it anew takes as long as to fill it."""

_KEPT = (_AHEAD * _BATCH * 5) // 4
"""Bytes of it that are kept, at most, in one piece."""

_SPARE = 2
"""Pieces of it that are kept: who reads one segment has begun with the next."""

_WORD = 8
"""Bytes that say which row is kept, or how many have its state."""

_MANY = 16_384
"""Rows that are kept of some batches before they are handed out."""


class _Plan(NamedTuple):
    """Which blocks are read.

    Attributes
    ----------
    near : Blocks
        Among which they are.
    low : ndarray of int64
        Of each range that was asked for the block in which it begins.
    blocks : ndarray of int64, shape (b,)
        Those that have rows, by their places in `near`.
    rows, at : ndarray of int64, shape (b,)
        How many each has, and where it begins if they lie one behind the other.
    cuts : ndarray of int64
        Which of them begin a batch, and their number.
    """

    near: Blocks
    low: np.ndarray
    blocks: np.ndarray
    rows: np.ndarray
    at: np.ndarray
    cuts: np.ndarray

    @property
    def borders(self) -> np.ndarray:
        """Where batches begin, and the last one ends."""
        return np.append(self.at, self.at[-1] + self.rows[-1])[self.cuts]


def _plan(segment: Segment, starts: np.ndarray, stops: np.ndarray) -> _Plan:
    """Batches of up to `BLOCK` rows."""
    near = segment.near(starts, stops)
    low, high = near.of(starts, stops)
    # A range may end in the block in which the next one begins.
    begins = np.maximum(low, np.append(0, high[:-1]))
    blocks = each(begins, np.maximum(high, begins))
    blocks = blocks[near.index["rows"][blocks] > 0]
    rows = near.index["rows"][blocks].astype(np.int64)
    at = np.cumsum(rows) - rows
    batch = at // max(1, min(BLOCK, _BATCH // segment.stock.dtype.itemsize))
    cuts = np.concatenate([[0], np.flatnonzero(np.diff(batch)) + 1, [len(blocks)]])
    return _Plan(near, low, blocks, rows, at, cuts)


class _Look(NamedTuple):
    """What is looked for in each block, from which row on, and up to which.

    Attributes
    ----------
    what : "changes", "states" or "condition"
        See `Fetch`, as for the others.
    of : (offset, size, mask) or Condition
    firsts, stops : ndarray of int64
    """

    what: str
    of: tuple[int, int, int] | Condition
    firsts: np.ndarray
    stops: np.ndarray

    @property
    def room(self) -> int:
        """Bytes beside each row."""
        return 2 * _WORD if self.what == "states" else _WORD

    @property
    def given(self) -> dict[str, Any]:
        """As `Fetch` takes it."""
        return {self.what: self.of, "firsts": self.firsts, "stops": self.stops}


class _Reading:
    """Batches by the plan. It begins when it is made, ahead of who takes the first; and ends when it is
    closed, or forgotten.
    """

    _fetch: Fetch | None = None
    _file: io.FileIO | None = None
    _memory: np.ndarray | None = None

    def __init__(self, segment: Segment, plan: _Plan, look: _Look | None = None) -> None:
        self._segment, self._plan = segment, plan
        try:
            self._begin(segment, plan, look)
        except BaseException:
            self.close()
            raise

    def _begin(self, segment: Segment, plan: _Plan, look: _Look | None) -> None:
        near, blocks, width = plan.near, plan.blocks, segment.stock.dtype.itemsize
        size = int(plan.rows.sum())
        room = width + (look.room if look else 0)
        sparse = 2 * size < int(near.at[blocks[-1]] - near.at[blocks[0]])
        most = int(np.diff(plan.borders).max()) * room  # of wide records one block alone may be 64 MB
        self._file = io.FileIO(_opened(segment, sparse=sparse))
        self._memory = _memory(max(1, min(_AHEAD, len(plan.cuts) - 1, _KEPT // most)) * most)
        self._fetch = Fetch(
            self._file.fileno(),
            len(segment.stock.header),
            width,
            segment.base,
            near.at[blocks],
            plan.rows,
            near.index["crc_rows"][blocks],
            plan.cuts,
            self._memory,
            _helpers(size * width),
            **(look.given if look else {}),
        )

    @property
    def array(self) -> np.ndarray:
        """The memory in which batches come, as rows."""
        dtype = self._segment.stock.dtype
        return self._memory[: len(self._memory) // dtype.itemsize * dtype.itemsize].view(dtype)

    def take(self) -> int:
        """The next batch; at which row of the memory it begins."""
        segment, plan = self._segment, self._plan
        try:
            row, wrong = self._fetch.take()
        except EOFError as error:
            raise CorruptionError(f"{segment.path('records')}: became shorter than its index says") from error
        if wrong >= 0:
            segment.check_index()  # perhaps it is the index that is wrong
            raise CorruptionError(segment.describe(plan.near, int(plan.blocks[wrong])))
        return row

    @property
    def kept(self) -> int:
        """How many rows were kept of the batch that was taken last."""
        return self._fetch.kept

    def gather(self) -> tuple[np.ndarray, np.ndarray]:
        """Which they are, and copies of them."""
        places, array = np.empty(self.kept, np.int64), np.empty(self.kept, self._segment.stock.dtype)
        self._fetch.gather(places, array.view(np.uint8), 0, array.dtype.itemsize)
        return places, array

    def stamps(self) -> tuple[np.ndarray, np.ndarray]:
        """Which they are, and when they were recorded, ns."""
        dtype, offset = self._segment.stock.dtype.fields["mono_ns"]
        places, stamps = np.empty(self.kept, np.int64), np.empty(self.kept, dtype)
        self._fetch.gather(places, stamps.view(np.uint8), offset, dtype.itemsize)
        return places, stamps

    def counts(self) -> np.ndarray:
        """How many rows of its block have the state of each."""
        counts = np.empty(self.kept, np.int64)
        self._fetch.counts(counts)
        return counts

    def close(self) -> None:
        """Have the helpers end, before their file and their memory are others'."""
        fetch, file, memory = self._fetch, self._file, self._memory
        self._fetch = self._file = self._memory = None
        if fetch is not None:
            fetch.close()
        if file is not None:
            file.close()
        if memory is not None:
            _give_back(memory)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()


def fetched(segment: Segment, starts: np.ndarray, stops: np.ndarray) -> Iterator[Part]:
    """Some ranges of rows, in batches; what was yielded before is overwritten by the next. Reading begins at
    once.

    Parameters
    ----------
    segment : Segment
    starts, stops : ndarray of int64, shape (r,), at least one
        Rows of the segment, increasing. None is empty.

    Yields
    ------
    Part
        Its ranges count in rows of the segment.

    Raises
    ------
    CorruptionError
        A block in which some of them lie does not match its checksum, or the file ends before it.
    GoneError
        The file is gone.
    """
    plan = _plan(segment, starts, stops)
    first = np.searchsorted(plan.blocks, plan.low)
    shift = plan.at[first] - plan.near.at[plan.blocks[first]]
    return _parts(_Reading(segment, plan), plan, starts + shift, stops + shift, shift)


def _parts(
    reading: _Reading, plan: _Plan, starts: np.ndarray, stops: np.ndarray, shift: np.ndarray
) -> Iterator[Part]:
    """Ranges as they lie in blocks one behind the other, `shift` rows from where they are in the segment."""
    borders = plan.borders
    sizes, batches = np.diff(borders).tolist(), _divided(starts, stops, borders)
    with reading:
        array = reading.array
        for border, size, (which, begin, end) in zip(borders.tolist(), sizes, batches, strict=False):
            row = reading.take()
            yield Part(array[row : row + size], begin - border, begin - shift[which], end - shift[which])


def _looking(
    segment: Segment, starts: np.ndarray, stops: np.ndarray, what: str, of: tuple[int, int, int] | Condition
) -> tuple[_Reading, list[int]]:
    """Rows that are looked for in some ranges, of which no two lie in one zone; and with which row each batch
    ends.
    """
    plan = _plan(segment, starts, stops)
    at = plan.near.at[plan.blocks]
    which = np.searchsorted(stops, at, "right")
    first, stop = np.maximum(starts[which], at), np.minimum(stops[which], at + plan.rows)
    reading = _Reading(segment, plan, _Look(what, of, first - at, stop - at))
    return reading, stop[plan.cuts[1:] - 1].tolist()


def changed(
    segment: Segment, starts: np.ndarray, stops: np.ndarray, watched: tuple[int, int, int]
) -> Iterator[Picked]:
    """Of some ranges of rows those with which some bytes change; see `fetched`.

    Parameters
    ----------
    starts, stops : ndarray of int64
        As of `fetched`; and no two of them lie in one zone.
    watched : (offset, size, mask)
        As `fastrec.core.scan.changes` takes them.

    Yields
    ------
    Picked
        Of each block the first row that was asked for, and those that are not as the one before.
    """
    return _picks(*_looking(segment, starts, stops, "changes", watched))


def tallied(
    segment: Segment, starts: np.ndarray, stops: np.ndarray, watched: tuple[int, int, int]
) -> Iterator[Tallied]:
    """How many rows of each block have each pattern of some bytes, at most 8; see `changed`."""
    return _tallies(*_looking(segment, starts, stops, "states", watched))


def meeting(segment: Segment, starts: np.ndarray, stops: np.ndarray, condition: Condition) -> Iterator[Met]:
    """The rows of some ranges that meet a condition which is `alone`; see `changed`."""
    return _met(*_looking(segment, starts, stops, "condition", condition))


def _picks(reading: _Reading, stops: list[int]) -> Iterator[Picked]:
    """What is kept of batches that end with some rows."""
    kept: list[tuple[np.ndarray, np.ndarray]] = []
    with reading:
        for stop in stops:
            reading.take()
            kept.append(reading.gather())
            if stop == stops[-1] or sum(len(places) for places, _ in kept) >= _MANY:
                some, rows = zip(*kept, strict=True)
                places = np.concatenate(some)
                yield Picked(int(places[0]) if len(places) else stop, stop, places, join_rows(rows))
                kept = []


def _tallies(reading: _Reading, stops: list[int]) -> Iterator[Tallied]:
    with reading:
        for _ in stops:
            reading.take()
            yield Tallied(*reading.gather(), reading.counts())


def _met(reading: _Reading, stops: list[int]) -> Iterator[Met]:
    with reading:
        for _ in stops:
            reading.take()
            if reading.kept <= FEW:
                places, rows = reading.gather()
                yield Met(places, rows["mono_ns"], rows)
            else:
                yield Met(*reading.stamps(), None)


def _divided(
    starts: np.ndarray, stops: np.ndarray, borders: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Ranges cut at borders: for what lies between two of them, which ranges, and their starts and stops."""
    first = np.searchsorted(borders, starts, "right") - 1
    last = np.searchsorted(borders, stops, "left") - 1
    which, part = np.repeat(np.arange(len(starts)), last - first + 1), each(first, last + 1)
    begin, end = np.maximum(starts[which], borders[part]), np.minimum(stops[which], borders[part + 1])
    edges = np.searchsorted(part, np.arange(len(borders))).tolist()
    for low, high in pairwise(edges):
        yield which[low:high], begin[low:high], end[low:high]


def _opened(segment: Segment, *, sparse: bool) -> int:
    try:
        return segment.open("records", sparse=sparse)
    except FileNotFoundError as error:
        raise segment.gone() from error


def _helpers(size: int) -> int:
    return min(len(os.sched_getaffinity(0)) - 1, _MOST_HELPERS) if size > ALONE else 0


def _memory(size: int) -> np.ndarray:
    """So many bytes, or more."""
    try:
        memory = _spare.pop()
    except IndexError:
        memory = np.empty(0, np.uint8)
    return memory if len(memory) >= size else np.empty(size, np.uint8)


def _give_back(memory: np.ndarray) -> None:
    if len(_spare) < _SPARE and len(memory) <= _KEPT:
        _spare.append(memory)
