"""What a complete segment commits, by the first and the last row of its index: the same for any length.

The rows between are read when a record is looked for, and prove themselves then.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fastrec.recording import layout, opening
from fastrec.recording.committed import IndexRow, Since
from fastrec.recording.stock import SegmentFiles

__all__ = ["Outline", "outline_of"]


class Outline(NamedTuple):
    """What the ends of an index say.

    Attributes
    ----------
    rows : ndarray of INDEX_DTYPE, shape (2,)
        The first and the last.
    first, last : IndexRow
        The same.
    read : Since
        All that is committed.
    """

    rows: np.ndarray
    first: IndexRow
    last: IndexRow
    read: Since

    @property
    def steady(self) -> bool:
        """No stamp of the segment is smaller than one before it. False: it may be all the same."""
        return bool(self.last.flags & layout.INDEX_STEADY)

    def stamp(self, row: int, store: str) -> int | None:
        """Stamp of a row of the segment, ns, if it begins or ends one of the two blocks, by the rule of
        `told_stamps`; None: not told.
        """
        for end in (self.first, self.last):
            at = row - (end.first_seq - self.first.first_seq)
            if 0 <= at < end.rows and not end.flags & layout.INDEX_DECREASING:
                if at == end.rows - 1 and store == "every":
                    return end.t_max
                if at == 0:
                    return end.t_min
        return None

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
        apart = (index["rows"] > 0) & (ahead != self.first.first_seq - begin)
        return int(np.argmax(apart)) if apart.any() else None


def outline_of(files: SegmentFiles) -> Outline | None:
    """What a segment commits, if its files are as complete as they say; None: its index tells."""
    stock = files.stock
    try:
        with opening.open_folder(stock.root, stock.folder) as folder:
            found = stock.ends.of(folder, files.number, files.base)
    except OSError:
        return None  # who reads the index says what is wrong with the folder
    if found is None:
        return None
    data, index = found
    both = np.frombuffer(data, layout.INDEX_DTYPE)
    first, last = map(IndexRow._make, both.tolist())
    end = last.first_seq + last.rows
    read = Since(index, end - first.first_seq, last.gap_rows, last.string_bytes, end)
    return Outline(both, first, last, read)
