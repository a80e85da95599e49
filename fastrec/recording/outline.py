"""What a complete segment commits, by the first and the last row of its index: the same for any length.

The rows between are read when a record is looked for, and prove themselves then.
"""

from __future__ import annotations

import io
import os
from typing import NamedTuple

import numpy as np

from fastrec.errors import CorruptionError
from fastrec.recording import layout
from fastrec.recording.committed import NUMBER_LIMIT, Since, true_claims
from fastrec.recording.stock import SegmentFiles

__all__ = ["Outline", "outline_of"]


class Outline(NamedTuple):
    """What the ends of an index say.

    Attributes
    ----------
    first, last : ndarray of INDEX_DTYPE, shape ()
        Its rows.
    read : Since
        All that is committed.
    """

    first: np.ndarray
    last: np.ndarray
    read: Since

    @property
    def steady(self) -> bool:
        """No stamp of the segment is smaller than one before it. False: it may be all the same."""
        return bool(self.last["flags"] & layout.INDEX_STEADY)

    def contradicted(self, index: np.ndarray, at: np.ndarray, begin: int) -> int | None:
        """The first index row whose number does not follow the one before, as it must; None: all do.

        Parameters
        ----------
        index : ndarray of INDEX_DTYPE
        at : ndarray of int64
            Row of the segment at which the block of each begins.
        begin : int
            That at which the first begins.
        """
        index, at = index[: self.read.index], at[: self.read.index]  # a live writer may have gone on
        ahead = index["first_seq"].astype(np.int64) - at
        apart = (index["rows"] > 0) & (ahead != int(self.first["first_seq"]) - begin)
        return int(np.argmax(apart)) if apart.any() else None


def outline_of(files: SegmentFiles, count: int, size: int) -> Outline | None:
    """What a segment commits, if its files are as complete as the headers say; else its index is to be read.

    Parameters
    ----------
    files : SegmentFiles
    count, size : int
        Records by the header of ``records``, and bytes of that file.
    """
    try:
        ends = _ends(files)
    except (FileNotFoundError, CorruptionError):
        return None
    if ends is None:
        return None
    (first, last), rows = ends
    begin, end = int(first["first_seq"]), int(last["first_seq"]) + int(last["rows"])
    since = Since(rows - 1, int(last["first_seq"]) - begin, end=int(last["first_seq"]))
    if since.rows < 0 or _claims_too_much(first, Since(), count) or _claims_too_much(last, since, count):
        return None
    read = Since(rows, count, int(last["gap_rows"]), int(last["string_bytes"]), end)
    complete = (
        # As many records as numbers: each goes on with the next, and a block ends where the next begins.
        end - begin == count == files.records_in(size)
        and 0 < count <= layout.MAX_ROWS
        and end < NUMBER_LIMIT
        and (not read.gap_rows or read.gap_rows <= files.gap_room())
        and (not read.string_bytes or read.string_bytes <= files.size("strings"))
    )
    return Outline(first, last, read) if complete else None


def _claims_too_much(row: np.ndarray, since: Since, count: int) -> bool:
    return bool(true_claims(row.reshape(1), rows=count, since=since)[1])


def _ends(files: SegmentFiles) -> tuple[np.ndarray, int] | None:
    """The first and the last row of an index, and how many there are; None: it does not end so."""
    header, width = layout.npy_header(layout.INDEX_DTYPE), layout.INDEX_DTYPE.itemsize
    descriptor = files.open("index", sparse=True)
    with io.FileIO(descriptor):
        begin = os.pread(descriptor, len(header) + width, 0)
        rows = layout.check_header(begin, header, "index")
        if not rows or os.fstat(descriptor).st_size != len(header) + rows * width:
            return None
        last = os.pread(descriptor, width, len(header) + (rows - 1) * width)
    if len(last) != width:
        return None
    ends = np.frombuffer(begin[len(header) :] + last, layout.INDEX_DTYPE)
    whole = [layout.whole_rows(ends[at : at + 1], files.base, row)[0] for at, row in enumerate((0, rows - 1))]
    return (ends, rows) if all(whole) else None
