"""What is committed in a segment: its index rows while they are whole, and claim only what there is."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fastrec.errors import CorruptionError
from fastrec.recording import layout, opening

__all__ = ["NUMBER_LIMIT", "SLICE", "Index", "Since", "read_index", "true_claims"]

NUMBER_LIMIT = 1 << 62
"""Numbers and counts from here on are taken for damage, so that their sums never wrap."""

SLICE = 16_384
"""Rows read at once: a sparse file of any size costs no more memory than that."""


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
            index.problems.append(str(error))
            return index
        row = first
        while data := os.pread(descriptor, SLICE * width, len(header) + row * width):
            rows = np.frombuffer(data, layout.INDEX_DTYPE, len(data) // width)
            whole = layout.whole_rows(rows, base, row)
            good = len(rows) if whole.all() else int(np.argmin(whole))
            slices.append(rows[:good])
            row += good
            if good < len(rows):
                _describe_end(index, where, row, rows[good:], more=bool(whole[good:].any()))
                break
            if len(data) % width:
                index.tail.append(f"{where}: row {row} is unfinished and not committed")
                break
    index.rows = np.concatenate(slices)
    return index


def _describe_end(index: Index, where: str, row: int, rows: np.ndarray, *, more: bool) -> None:
    wrong = f"{where}: row {row} does not match its checksum"
    if more:
        index.problems.append(f"{wrong}, though rows behind it do: what it and they commit is not read")
    elif rows.view(np.uint8).any():
        index.tail.append(f"{wrong}: nothing from there on is committed")
    else:
        index.tail.append(f"{where}: zeros from row {row} on, which a loss of power leaves behind")


def true_claims(
    index: np.ndarray, *, rows: int, gap_rows: int, string_bytes: int, since: Since = _NOTHING
) -> tuple[int, str]:
    """How many index rows claim only what there is, and what the next one claims instead.

    Parameters
    ----------
    index : ndarray of INDEX_DTYPE
    rows, gap_rows, string_bytes : int
        What the files have room for, asked after the index was read.
    since : Since
        What the index rows before these commit.
    """
    if not len(index):
        return 0, ""
    counts = index["rows"].astype(np.int64)
    ends = since.rows + np.cumsum(counts)
    starts = ends - counts
    first, stop = index["first_seq"], index["first_seq"] + index["rows"]
    block = layout.BLOCK_ROWS
    crossing = (counts > 0) & (starts // block != (ends - 1) // block)
    rules = (
        (counts > block, f"more than {block} rows"),
        (crossing, f"a block across a multiple of {block} rows"),
        (first >= NUMBER_LIMIT, "a number beyond all numbers"),
        (first < np.append(np.uint64(since.end), stop[:-1]), "numbers that blocks before it have"),
        (ends > min(rows, layout.MAX_ROWS), "records beyond the end of their file"),
        (
            (index["gap_rows"] > gap_rows) | _falls(index["gap_rows"], since.gap_rows),
            "gap rows that are not there",
        ),
        (
            (index["string_bytes"] > string_bytes) | _falls(index["string_bytes"], since.string_bytes),
            "texts that are not there",
        ),
    )
    broken = [(int(np.argmax(mask)), what) for mask, what in rules if mask.any()]
    return min(broken, key=lambda one: one[0]) if broken else (len(index), "")


def _falls(totals: np.ndarray, before: int) -> np.ndarray:
    return totals < np.append(np.uint64(before), totals[:-1])
