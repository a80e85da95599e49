"""The blocks of a segment: the rows of its index, all of them or those in which some records lie."""

from __future__ import annotations

import io
import os
from typing import NamedTuple

import numpy as np

from fastrec.core.index import pick, prove, search
from fastrec.recording import committed, layout
from fastrec.recording.committed import Since
from fastrec.recording.outline import Outline
from fastrec.recording.stock import SegmentFiles

__all__ = ["Blocks", "Loaded", "all_blocks", "block_behind", "blocks_near", "blocks_of"]


class Blocks(NamedTuple):
    """Index rows that are whole and claim what there is, in order.

    Attributes
    ----------
    index : ndarray of INDEX_DTYPE, shape (b,)
    at : ndarray of int64, shape (b,)
        Row of the segment at which the block of each begins.
    stop : int
        Row of the segment up to which they go.
    """

    index: np.ndarray
    at: np.ndarray
    stop: int

    def of(self, start: int | np.ndarray, stop: int | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Those ``low ... high - 1`` in which rows ``start ... stop - 1`` lie; or of many such ranges."""
        return self.at.searchsorted(start, "right") - 1, self.at.searchsorted(stop, "left")


class Loaded(NamedTuple):
    """All blocks of a segment, and what was wrong on the way.

    Attributes
    ----------
    blocks : Blocks
    problems, tail : list of str
        As of `Segment`.
    """

    blocks: Blocks
    problems: list[str]
    tail: list[str]


def blocks_of(files: SegmentFiles, since: Since, count: int | None, outline: Outline | None) -> Loaded:
    """All blocks that are committed, behind what was read before.

    Parameters
    ----------
    files : SegmentFiles
    since : Since
        What has been read of it.
    count : int or None
        Records by the header of ``records``; None if it is damaged.
    outline : Outline or None
        What the ends of the index said.
    """
    found = committed.read_index(files.stock.root, files.parts("index"), files.base, since.index)
    # Sizes after the index: what a row claims was in its file before the row was.
    room = files.room() if len(found.rows) else {"rows": 0, "gap_rows": 0, "string_bytes": 0}
    at, broken = committed.true_claims(found.rows, rows=room["rows"], since=since)
    index = found.rows[: len(at)]
    problems, where = list(found.problems), files.path("index")
    if broken:
        problems.append(
            f"{where}: row {since.index + len(at)} claims {broken}: nothing from there on is read"
        )
    for claim, what in (("gap_rows", "gap rows"), ("string_bytes", "texts")):
        beyond = np.flatnonzero(index[claim] > room[claim])
        if len(beyond):
            problems.append(f"{where}: row {since.index + beyond[0]} claims {what} that are not there")
    stop = int(at[-1]) + int(index["rows"][-1]) if len(at) else since.rows
    apart = None if outline is None else outline.contradicted(index, at, since.rows)
    if apart is not None:
        stop = int(at[apart])
        problems.append(
            f"{where}: row {apart} does not go on with the number before, as all do by the headers"
        )
    for kind, counted, there in (
        ("records", count, stop),
        ("index", found.count, since.index + len(index)),
    ):
        if counted is not None and counted > there:
            problems.append(
                f"{files.path(kind)}: the header counts {counted:,} rows, but {there:,} are committed:"
                " damage, or a loss of power"
            )
    return Loaded(Blocks(index, at, stop), problems, found.tail)


_MANY = 512
"""Index rows beyond which the whole index is read, for what comes next."""

_FEW = 4
"""Ranges that are always searched for by themselves."""

_WORTH = 32
"""Index rows that are read with all others in the time in which one is searched for."""


def blocks_near(
    files: SegmentFiles, outline: Outline, starts: np.ndarray, stops: np.ndarray
) -> Blocks | None:
    """The blocks in which some rows of a complete segment lie, of which no other index row is read.

    Parameters
    ----------
    files : SegmentFiles
    outline : Outline
    starts, stops : ndarray of int64, at least one
        Ranges of rows, increasing.

    Returns
    -------
    Blocks or None
        None: they are many, or not all that was read is whole and goes on from one to the next.
    """
    begin = outline.first.first_seq
    if len(starts) == 1:
        for place, end in enumerate((outline.first, outline.last)):
            at = end.first_seq - begin
            if at <= starts[0] and stops[0] <= at + end.rows:
                return _blocks(outline, outline.rows[place : place + 1])
    many = (stops - starts).sum() > _MANY * layout.BLOCK_ROWS
    if many or len(starts) > max(_FEW, outline.read.index // _WORTH):
        return None
    rows, at = np.empty(_MANY, layout.INDEX_DTYPE), np.empty(_MANY, np.int64)
    with io.FileIO(files.open("index", sparse=True)) as file:
        count = pick(
            file.fileno(),
            layout.header_size(layout.INDEX_DTYPE),
            outline.read.index,
            files.base,
            begin,
            outline.read.rows,
            committed.NUMBER_LIMIT,
            starts,
            stops,
            rows.view(np.uint8),
            at,
        )
    if count is None:
        return None
    rows, at = rows[:count], at[:count]
    return Blocks(rows, at, int(at[-1]) + int(rows["rows"][-1]))


def all_blocks(files: SegmentFiles, outline: Outline) -> Blocks | None:
    """The blocks of a complete segment; None: they are many, or not all of them are whole and go on."""
    if outline.read.index > committed.SLICE:
        return None
    rows = np.empty(outline.read.index, layout.INDEX_DTYPE)
    at = np.empty(outline.read.index, np.int64)
    with io.FileIO(files.open("index", sparse=True)) as file:
        header, most = layout.header_size(layout.INDEX_DTYPE), outline.read.rows
        limit = committed.NUMBER_LIMIT
        if not prove(file.fileno(), header, files.base, most, limit, rows.view(np.uint8), at):
            return None
    read = committed.reached(rows, int(at[-1]) + int(rows["rows"][-1]), committed.Since())
    # Each goes on with the number before, as there are as many rows as numbers, and no two have the same.
    whole = read == outline.read and rows["first_seq"][0] == outline.first.first_seq
    return Blocks(rows, at, read.rows) if whole else None


def block_behind(
    files: SegmentFiles, outline: Outline, time_ns: int
) -> tuple[tuple[int, int], Blocks | None] | None:
    """Rows at which the first block begins and ends that has a time, or is behind it, of a steady segment;
    and blocks among which it is.

    Parameters
    ----------
    files : SegmentFiles
    outline : Outline
    time_ns : int
        An int64, but not the smallest.

    Returns
    -------
    ((start, stop), blocks) or None
        Both are behind the last row if no block is; None: not all that was read is whole.
    """
    header, at = layout.header_size(layout.INDEX_DTYPE), layout.INDEX_DTYPE.fields["t_max"][1]
    with io.FileIO(files.open("index", sparse=True)) as file:
        row = search(file.fileno(), header, outline.read.index, files.base, at, time_ns - 1)
        if row is None:
            return None
        if row == outline.read.index:
            return (outline.read.rows, outline.read.rows), None
        # With those beside it: it could say any number, and of its place nothing is proved by its time.
        low, high = max(0, row - 1), min(row + 2, outline.read.index)
        rows = _read(file.fileno(), low, high)
    if len(rows) < high - low or not _true(files, outline, rows, low):
        return None
    blocks = _blocks(outline, rows)
    start = int(blocks.at[row - low])
    # Losses that were committed alone have the time of the block before, and the place of the next.
    return (start, start + int(rows["rows"][row - low])), blocks


def _blocks(outline: Outline, index: np.ndarray) -> Blocks:
    """Those of successive index rows."""
    at = _places(outline, index)
    return Blocks(index, at, int(at[-1]) + int(index["rows"][-1]))


def _places(outline: Outline, index: np.ndarray) -> np.ndarray:
    """Rows of the segment at which their blocks begin, by their numbers."""
    return (index["first_seq"] - np.uint64(outline.first.first_seq)).astype(np.int64)


def _read(file: int, low: int, high: int) -> np.ndarray:
    width = layout.INDEX_DTYPE.itemsize
    data = os.pread(file, (high - low) * width, layout.header_size(layout.INDEX_DTYPE) + low * width)
    return np.frombuffer(data, layout.INDEX_DTYPE, len(data) // width)


def _true(files: SegmentFiles, outline: Outline, rows: np.ndarray, low: int) -> bool:
    """Whether index rows from this one on are whole, claim what can be and have numbers without a hole."""
    if not layout.whole_rows(rows, files.base, low).all():
        return False
    one = rows[0]
    row = int(one["first_seq"]) - outline.first.first_seq
    if not 0 <= row <= outline.read.rows:
        return False
    since = Since(low, row, int(one["gap_rows"]), int(one["string_bytes"]), int(one["first_seq"]))
    at, broken = committed.true_claims(rows, rows=outline.read.rows, since=since)
    # Losses alone have the number of the next record, too: in such a segment no number is missing.
    return not broken and bool((_places(outline, rows) == at).all())
