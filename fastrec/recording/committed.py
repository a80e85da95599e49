"""What is committed in a segment: its index rows while they are whole, and claim only what there is."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from fastrec.errors import CorruptionError
from fastrec.recording import layout, opening

__all__ = ["NUMBER_LIMIT", "SLICE", "Index", "read_index", "true_claims"]

NUMBER_LIMIT = 1 << 62
"""Numbers and counts from here on are taken for damage, so that their sums never wrap."""

SLICE = 16_384
"""Rows read at once: a sparse file of any size costs no more memory than that."""


@dataclass
class Index:
    """The whole rows at the start of an index, and what is behind them.

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


def read_index(root: Path, parts: tuple[str, ...], base: int) -> Index:
    """Read index rows up to the first that does not match its checksum.

    Parameters
    ----------
    root : Path
        Folder of the recording.
    parts : tuple of str
        Names from there down to the file, which may be absent.
    base : int
        `layout.place` of the file.
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
        row = 0
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


def true_claims(index: np.ndarray, *, rows: int) -> tuple[int, str]:
    """How many index rows claim only what there is, and what the next one claims instead.

    Gap rows and texts that are not there are damage of their own files, and cost no record.

    Parameters
    ----------
    index : ndarray of INDEX_DTYPE
    rows : int
        How many records the file has room for, asked after the index was read.
    """
    if not len(index):
        return 0, ""
    counts = index["rows"].astype(np.int64)
    ends = np.cumsum(counts)
    starts = ends - counts
    first, stop = index["first_seq"], index["first_seq"] + index["rows"]
    block = layout.BLOCK_ROWS
    crossing = (counts > 0) & (starts // block != (ends - 1) // block)
    rules = (
        (counts > block, f"more than {block} rows"),
        (crossing, f"a block across a multiple of {block} rows"),
        (first >= NUMBER_LIMIT, "a number beyond all numbers"),
        (np.append(False, first[1:] < stop[:-1]), "numbers that blocks before it have"),
        (ends > min(rows, layout.MAX_ROWS), "records beyond the end of their file"),
        (_falls(index["gap_rows"]), "fewer gap rows than the one before"),
        (_falls(index["string_bytes"]), "fewer texts than the one before"),
    )
    broken = [(int(np.argmax(mask)), what) for mask, what in rules if mask.any()]
    return min(broken, key=lambda one: one[0]) if broken else (len(index), "")


def _falls(totals: np.ndarray) -> np.ndarray:
    return np.append(False, totals[1:] < totals[:-1])
