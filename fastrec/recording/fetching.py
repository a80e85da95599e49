"""Rows of a segment by the block: read into memory that is used again, and proved, a batch ahead.

What is read in passing is read so. What is kept, or looked at again and again, is mapped: `Segment.rows`.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from fastrec.core.fetch import Fetch
from fastrec.errors import CorruptionError
from fastrec.recording.blocks import Blocks
from fastrec.recording.segment import Segment
from fastrec.records.chunks import BLOCK
from fastrec.records.parts import Part, Picked
from fastrec.records.ranges import each

__all__ = ["changed", "fetched"]

_BATCH = 4 << 20
"""Bytes that are looked at in one go, but for one block: they stay in the caches."""

_AHEAD = 3
"""Batches in memory."""

_ALONE = 1 << 20
"""Bytes that are there before a thread that helps to read them has begun."""

_MOST_HELPERS = 3

_spare: list[np.ndarray] = []
"""Memory that was used: to get it anew takes as long as to fill it."""

_KEPT = (_AHEAD * _BATCH * 5) // 4
"""Bytes of it that are kept, at most."""

_PLACE = 8
"""Bytes that say which row is kept."""

_FEW = 2
"""Times as many rows are looked at in one go where few of them are kept."""


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


def _plan(segment: Segment, starts: np.ndarray, stops: np.ndarray, factor: int = 1) -> _Plan:
    """Batches of up to `BLOCK` rows, or so many times as many."""
    near = segment.near(starts, stops)
    low, high = near.of(starts, stops)
    # A range may end in the block in which the next one begins.
    begins = np.maximum(low, np.append(0, high[:-1]))
    blocks = each(begins, np.maximum(high, begins))
    blocks = blocks[near.index["rows"][blocks] > 0]
    rows = near.index["rows"][blocks].astype(np.int64)
    at = np.cumsum(rows) - rows
    batch = at // (factor * max(1, min(BLOCK, _BATCH // segment.stock.dtype.itemsize)))
    cuts = np.concatenate([[0], np.flatnonzero(np.diff(batch)) + 1, [len(blocks)]])
    return _Plan(near, low, blocks, rows, at, cuts)


class _Watched(NamedTuple):
    """What is watched of each block: which bytes of a row, from which row on, and up to which."""

    part: tuple[int, int, int]
    firsts: np.ndarray
    stops: np.ndarray


@contextmanager
def _reading(
    segment: Segment, plan: _Plan, watched: _Watched | None = None
) -> Iterator[tuple[Fetch, np.ndarray]]:
    """Batches by the plan, and the memory in which they come."""
    near, blocks, width = plan.near, plan.blocks, segment.stock.dtype.itemsize
    size = int(plan.rows.sum())
    room = width if watched is None else width + _PLACE
    sparse = 2 * size < int(near.at[blocks[-1]] - near.at[blocks[0]])
    most = int(np.diff(plan.borders).max()) * room  # of wide records one block alone may be 64 MB
    with (
        _memory(max(1, min(_AHEAD, len(plan.cuts) - 1, _KEPT // most)) * most) as memory,
        io.FileIO(_opened(segment, sparse=sparse)) as file,
    ):
        fetch = Fetch(
            file.fileno(),
            len(segment.stock.header),
            width,
            segment.base,
            near.at[blocks],
            plan.rows,
            near.index["crc_rows"][blocks],
            plan.cuts,
            memory,
            _helpers(size * width),
            *(watched or ()),
        )
        try:
            yield fetch, memory
        finally:
            fetch.close()


def fetched(segment: Segment, starts: np.ndarray, stops: np.ndarray) -> Iterator[Part]:
    """Some ranges of rows, in batches; what was yielded before is overwritten by the next.

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
    borders = plan.borders
    batches = _divided(starts + shift, stops + shift, borders)
    with _reading(segment, plan) as (fetch, memory):
        dtype = segment.stock.dtype
        array = memory[: len(memory) // dtype.itemsize * dtype.itemsize].view(dtype)
        for border, size, (which, begin, end) in zip(
            borders.tolist(), np.diff(borders).tolist(), batches, strict=False
        ):
            row = _taken(fetch, segment, plan)
            yield Part(array[row : row + size], begin - border, begin - shift[which], end - shift[which])


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
    plan = _plan(segment, starts, stops, _FEW)
    at = plan.near.at[plan.blocks]
    which = np.searchsorted(stops, at, "right")
    first, stop = np.maximum(starts[which], at), np.minimum(stops[which], at + plan.rows)
    with _reading(segment, plan, _Watched(watched, first - at, stop - at)) as (fetch, _):
        for end in plan.cuts[1:].tolist():
            _taken(fetch, segment, plan)
            kept = fetch.kept
            places, array = np.empty(kept, np.int64), np.empty(kept, segment.stock.dtype)
            fetch.gather(places, array.view(np.uint8))
            yield Picked(int(places[0]), int(stop[end - 1]), places, array)


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


def _taken(fetch: Fetch, segment: Segment, plan: _Plan) -> int:
    """The next batch; at which row of the memory it begins."""
    try:
        row, wrong = fetch.take()
    except EOFError as error:
        raise CorruptionError(f"{segment.path('records')}: became shorter than its index says") from error
    if wrong >= 0:
        segment.check_index()  # perhaps it is the index that is wrong
        raise CorruptionError(segment.describe(plan.near, int(plan.blocks[wrong])))
    return row


def _opened(segment: Segment, *, sparse: bool) -> int:
    try:
        return segment.open("records", sparse=sparse)
    except FileNotFoundError as error:
        raise segment.gone() from error


def _helpers(size: int) -> int:
    return min(len(os.sched_getaffinity(0)) - 1, _MOST_HELPERS) if size > _ALONE else 0


@contextmanager
def _memory(size: int) -> Iterator[np.ndarray]:
    """So many bytes, or more, for the length of a ``with``."""
    try:
        memory = _spare.pop()
    except IndexError:
        memory = np.empty(0, np.uint8)
    if len(memory) < size:
        memory = np.empty(size, np.uint8)
    try:
        yield memory
    finally:
        if not _spare and len(memory) <= _KEPT:
            _spare.append(memory)
