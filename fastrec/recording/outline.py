"""What a complete segment commits, by the first and the last row of its index: the same for any length.

The rows between are read when a record is looked for, and prove themselves then.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fastrec.core.outline import ends
from fastrec.recording import layout, opening
from fastrec.recording.committed import NUMBER_LIMIT, Since, told_stamps
from fastrec.recording.stock import SegmentFiles

__all__ = ["Outline", "outline_of"]


_KINDS = "records", "index", "gaps", "strings"

_INDEX, _GAPS = layout.npy_header(layout.INDEX_DTYPE), layout.header_size(layout.GAP_ROW_DTYPE)


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

    def stamp(self, row: int, store: str) -> int | None:
        """Stamp of a row of the segment, ns, if it begins or ends one of the two blocks; None: not told."""
        for end in (self.first, self.last):
            at = int(end["first_seq"]) - int(self.first["first_seq"])
            if at <= row < at + int(end["rows"]):
                stamp, known = told_stamps(end, at, row, store)
                if known:
                    return int(stamp)
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
        apart = (index["rows"] > 0) & (ahead != int(self.first["first_seq"]) - begin)
        return int(np.argmax(apart)) if apart.any() else None


def outline_of(files: SegmentFiles) -> Outline | None:
    """What a segment commits, if its files are as complete as the headers say; None: its index tells."""
    try:
        with opening.open_folder(files.stock.root, files.stock.folder) as folder:
            found = ends(
                folder,
                *(layout.segment_file(kind, files.number).encode() for kind in _KINDS),
                files.stock.header,
                _INDEX,
                layout.COUNT_OFFSET,
                layout.COUNT_DIGITS,
                files.stock.dtype.itemsize,
                _GAPS,
                layout.GAP_ROW_DTYPE.itemsize,
                files.base,
                layout.MAX_ROWS,
                NUMBER_LIMIT,
            )
    except OSError:
        return None  # who reads the index says what is wrong with the folder
    if found is None:
        return None
    data, rows, count = found
    first, last = np.frombuffer(data, layout.INDEX_DTYPE)
    end = int(last["first_seq"]) + int(last["rows"])
    return Outline(first, last, Since(rows, count, int(last["gap_rows"]), int(last["string_bytes"]), end))
