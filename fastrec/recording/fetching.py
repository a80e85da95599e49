"""Rows of a segment by the block: read into memory that is used again, and proved, a batch ahead.

What is read in passing is read so. What is kept, or looked at again and again, is mapped: `Segment.rows`.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise

import numpy as np

from fastrec.core.fetch import Fetch
from fastrec.errors import CorruptionError
from fastrec.recording.segment import Segment
from fastrec.records.chunks import BLOCK, Part
from fastrec.records.ranges import each

__all__ = ["fetched"]

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
    near = segment.near(starts, stops)
    low, high = near.of(starts, stops)
    # A range may end in the block in which the next one begins.
    begins = np.maximum(low, np.append(0, high[:-1]))
    blocks = each(begins, np.maximum(high, begins))
    blocks = blocks[near.index["rows"][blocks] > 0]
    rows = near.index["rows"][blocks].astype(np.int64)
    # All these blocks one behind the other: where each of them, of the ranges and of the batches begins.
    at = np.cumsum(rows) - rows
    width = segment.stock.dtype.itemsize
    batch = at // max(1, min(BLOCK, _BATCH // width))
    cuts = np.concatenate([[0], np.flatnonzero(np.diff(batch)) + 1, [len(blocks)]])
    borders = np.append(at, at[-1] + rows[-1])[cuts]
    first = np.searchsorted(blocks, low)
    shift = at[first] - near.at[blocks[first]]
    sparse = 2 * int(rows.sum()) < int(near.at[blocks[-1]] - near.at[blocks[0]])
    batches = _divided(starts + shift, stops + shift, borders)
    most = int(np.diff(borders).max()) * width  # of wide records one block alone may be 64 MB
    with (
        _memory(max(1, min(_AHEAD, len(cuts) - 1, _KEPT // most)) * most) as memory,
        io.FileIO(_opened(segment, sparse=sparse)) as file,
    ):
        fetch = Fetch(
            file.fileno(),
            len(segment.stock.header),
            width,
            segment.base,
            near.at[blocks],
            rows,
            near.index["crc_rows"][blocks],
            cuts,
            memory,
            _helpers(int(borders[-1]) * width),
        )
        try:
            array = memory[: len(memory) // width * width].view(segment.stock.dtype)
            for border, size, (which, begin, end) in zip(
                borders.tolist(), np.diff(borders).tolist(), batches, strict=False
            ):
                row, wrong = _taken(fetch, segment)
                if wrong >= 0:
                    segment.check_index()  # perhaps it is the index that is wrong
                    raise CorruptionError(segment.describe(near, int(blocks[wrong])))
                batch = array[row : row + size]
                yield Part(batch, begin - border, begin - shift[which], end - shift[which])
        finally:
            fetch.close()


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


def _taken(fetch: Fetch, segment: Segment) -> tuple[int, int]:
    try:
        return fetch.take()
    except EOFError as error:
        raise CorruptionError(f"{segment.path('records')}: became shorter than its index says") from error


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
