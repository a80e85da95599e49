"""What is committed in a segment: its index rows while they are whole, and claim only what there is."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fastrec.core.index import survey
from fastrec.errors import CorruptionError
from fastrec.recording import layout, opening
from fastrec.schema.gaps import GAP_DTYPE, Cause, gaps_of, numbered

__all__ = [
    "NUMBER_LIMIT",
    "SLICE",
    "Index",
    "IndexRow",
    "Since",
    "reached",
    "read_gaps",
    "read_index",
    "row_of",
    "sensible_gaps",
    "steady",
    "told_stamps",
    "true_claims",
]

NUMBER_LIMIT = 1 << 62
"""Numbers and counts from here on are taken for damage, so that their sums never wrap."""

SLICE = 16_384
"""Rows read at once: a sparse file of any size costs no more memory than that."""


class IndexRow(NamedTuple):
    """A row of an index as Python's integers, which are asked for one by one much quicker than NumPy's.

    Attributes
    ----------
    first_seq, t_min ... : int
        As of `layout.INDEX_DTYPE`.
    """

    first_seq: int
    t_min: int
    t_max: int
    durable_seq: int
    gap_rows: int
    string_bytes: int
    rows: int
    crc_rows: int
    flags: int
    crc: int


def row_of(row: np.void) -> IndexRow:
    """A row of INDEX_DTYPE."""
    return IndexRow._make(row.item())


class Since(NamedTuple):
    """What has been read of a segment: what is committed behind it can be read alone.

    Attributes
    ----------
    index, rows, gap_rows, string_bytes : int
        Committed so far: index rows, records, gap rows, bytes of texts.
    end : int
        Number after the last that these index rows cover.
    """

    index: int = 0
    rows: int = 0
    gap_rows: int = 0
    string_bytes: int = 0
    end: int = 0


_NOTHING = Since()


@dataclass
class Index:
    """The whole rows at the start of an index, or from a row on, and what is behind them.

    Attributes
    ----------
    rows : ndarray of INDEX_DTYPE
    count : int
        Rows by the header, which is raised at a sync, a rotation and the close.
    problems : list of str
        Damage.
    tail : list of str
        What a killed or a busy writer leaves, which cannot be told from damage at the end of the file.
    """

    rows: np.ndarray = field(default_factory=lambda: np.empty(0, layout.INDEX_DTYPE))
    count: int = 0
    problems: list[str] = field(default_factory=list)
    tail: list[str] = field(default_factory=list)


def read_index(root: Path, parts: tuple[str, ...], base: int, first: int = 0) -> Index:
    """Read index rows up to the first that does not match its checksum.

    Parameters
    ----------
    root : Path
        Folder of the recording.
    parts : tuple of str
        Names from there down to the file, which may be absent.
    base : int
        `layout.place` of the file.
    first : int
        Row to begin with; those before it are known to be whole.
    """
    index = Index()
    where = str(root.joinpath(*parts))
    header, width = layout.npy_header(layout.INDEX_DTYPE), layout.INDEX_DTYPE.itemsize
    slices = [index.rows]
    try:
        descriptor = opening.open_file(root, *parts)
    except FileNotFoundError:
        return index
    with io.FileIO(descriptor) as file:
        try:
            # Before the rows: a live writer raises it after them.
            index.count = layout.check_header(file.read(len(header)), header, where)
        except CorruptionError as error:
            # Rows prove themselves, so a bit of the header costs none of them.
            index.problems.append(str(error))
        row = first
        # No more at once than there is: memory that is not needed costs as much to get.
        room = max(0, os.fstat(descriptor).st_size - len(header)) // width
        while True:
            data = np.empty(max(1, min(SLICE, room - row + 1)) * width, np.uint8)
            got = os.preadv(descriptor, [data], len(header) + row * width)
            if not got:
                break
            rows = data[: got - got % width].view(layout.INDEX_DTYPE)
            whole = layout.whole_rows(rows, base, row)
            good = len(rows) if whole.all() else int(np.argmin(whole))
            slices.append(rows[:good])
            row += good
            if good < len(rows):
                _describe_end(index, where, row, rows[good:], more=bool(whole[good:].any()))
                break
            if got % width:
                index.tail.append(f"{where}: row {row} is unfinished and not committed")
                break
    index.rows = slices[-1] if len(slices) <= 2 else np.concatenate(slices)  # most have one, beside the empty
    return index


def _describe_end(index: Index, where: str, row: int, rows: np.ndarray, *, more: bool) -> None:
    wrong = f"{where}: row {row} does not match its checksum"
    if more:
        index.problems.append(f"{wrong}, though rows behind it do: what it and they commit is not read")
    elif rows.view(np.uint8).any():
        index.tail.append(f"{wrong}: nothing from there on is committed")
    else:
        index.tail.append(f"{where}: zeros from row {row} on, which a loss of power leaves behind")


_RULES = (
    f"more than {layout.BLOCK_ROWS} rows",
    f"a block across a multiple of {layout.BLOCK_ROWS} rows",
    "a number beyond all numbers",
    "numbers that blocks before it have",
    "records beyond the end of their file",
    "fewer gap rows than the one before",
    "fewer texts than the one before",
)


def true_claims(index: np.ndarray, *, rows: int, since: Since = _NOTHING) -> tuple[np.ndarray, str]:
    """Which index rows claim only what there is, and what the next one claims instead.

    Gap rows and texts that are not there are damage of their own files, and cost no record.

    Parameters
    ----------
    index : ndarray of INDEX_DTYPE
    rows : int
        How many records the file has room for, asked after the index was read.
    since : Since
        What the index rows before these commit.

    Returns
    -------
    at : ndarray of int64
        Of each that does, from the first on, at which row of the segment its block begins.
    what : str
        Empty: all do.
    """
    at = np.full(len(index), since.rows, np.int64)
    before = since.end, since.gap_rows, since.string_bytes
    count, rule = survey(index.view(np.uint8), *before, min(rows, layout.MAX_ROWS), NUMBER_LIMIT, at)
    return at[:count], "" if rule < 0 else _RULES[rule]


def steady(index: np.ndarray) -> np.ndarray:
    """Up to which of some successive index rows no time decreases: ndarray of bool, True and then False."""
    falls = index["flags"] & layout.INDEX_DECREASING != 0
    falls[1:] |= index["t_min"][1:] < index["t_max"][:-1]
    return ~np.logical_or.accumulate(falls)


def told_stamps(
    index: np.ndarray, at: np.ndarray | int, rows: np.ndarray | int, store: str
) -> tuple[np.ndarray, np.ndarray]:
    """Stamps of rows that begin or end their blocks, and which do, so that the index tells them.

    Parameters
    ----------
    index, at
        Of each row the index row of its block, and the row at which that begins.
    rows : ndarray of int64, or int
    store : "every" or "changes"
    """
    # If none falls the first of a block is the smallest, and the last the largest; but of holds that is when
    # it was last seen.
    last = (rows == at + index["rows"] - 1) & (store == "every")
    known = ((rows == at) | last) & (index["flags"] & layout.INDEX_DECREASING == 0)
    return np.where(last, index["t_max"], index["t_min"]), known


def reached(index: np.ndarray, rows: int, since: Since) -> Since:
    """What has been read when these index rows have, up to so many records."""
    if not len(index):
        return since
    last = index[-1]
    return Since(
        since.index + len(index),
        rows,
        int(last["gap_rows"]),
        int(last["string_bytes"]),
        int(last["first_seq"]) + int(last["rows"]),
    )


def read_gaps(
    root: Path, parts: tuple[str, ...], base: int, begin: int, total: int
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Read the gap rows ``begin ... total - 1`` that are whole, up to many in a row that are not.

    Parameters
    ----------
    root, parts, base
        As for `read_index`. Of a file that is not there no row is whole.

    Returns
    -------
    numbers : ndarray of int64
        At which row of the file each stands.
    gaps : ndarray of GAP_DTYPE
    problems : list of str
        What is wrong with the header.
    """
    numbers, slices = [np.empty(0, np.int64)], [np.empty(0, GAP_DTYPE)]
    problems: list[str] = []
    header, width = layout.npy_header(layout.GAP_ROW_DTYPE), layout.GAP_ROW_DTYPE.itemsize
    try:
        descriptor = opening.open_file(root, *parts) if total > begin else -1
    except FileNotFoundError:
        descriptor = -1
    if descriptor < 0:
        return numbers[0], slices[0], problems
    with io.FileIO(descriptor) as file:
        try:
            layout.check_header(file.read(len(header)), header, str(root.joinpath(*parts)))
        except CorruptionError as error:
            problems.append(str(error))
        for first in range(begin, total, SLICE):
            data = os.pread(descriptor, min(SLICE, total - first) * width, len(header) + first * width)
            rows = np.frombuffer(data, layout.GAP_ROW_DTYPE, len(data) // width)
            whole = layout.whole_rows(rows, base, first) & sensible_gaps(rows)
            numbers.append(first + np.flatnonzero(whole))
            kept = gaps_of(rows[whole])
            slices.append(kept)
            if not len(kept):
                break  # a sparse file of any size ends here
    return np.concatenate(numbers), np.concatenate(slices), problems


def sensible_gaps(rows: np.ndarray) -> np.ndarray:
    """Which gap rows say what a gap can be."""
    fits = (rows["seq"] < NUMBER_LIMIT) & (rows["count"] > 0) & (rows["count"] < NUMBER_LIMIT)
    fits &= ~numbered(rows) | (rows["seq"] + rows["count"] < NUMBER_LIMIT)
    return fits & (rows["cause"] >= min(Cause)) & (rows["cause"] <= max(Cause))
