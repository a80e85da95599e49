"""What is looked for in some rows: where bytes change, which states there are, what meets a condition."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fastrec.core import scan
from fastrec.core.condition import Condition
from fastrec.records.copying import picked
from fastrec.records.parts import Met, Part, Picked, Tallied, each

__all__ = ["FEW", "Tally", "changes", "met"]

FEW = 64
"""Rows of a part that are kept: who asks for so few looks at them next."""

_STATES = 4_096
"""States of some rows; where there are more, counting saves nothing."""


def changes(part: Part, watched: tuple[int, int, int]) -> Picked:
    """The first rows of the ranges of a part, and those at which some bytes are not as in the row before."""
    found = np.empty(int((part.stops - part.starts).sum()), np.int64)
    count = scan.changes(part.bytes, part.array.dtype.itemsize, *watched, part.begins, part.ends, found)
    rows = np.concatenate([part.begins, found[:count]])
    if len(part.begins) > 1:
        rows.sort()
    span = int(part.starts[0]), int(part.stops[-1])
    return Picked(*span, part.places(rows), picked(part.array, rows, None))


class Tally:
    """Counts how many rows have each pattern of some bytes, part by part.

    Parameters
    ----------
    watched : (offset, size, mask)
        As `fastrec.core.scan.changes` takes them; at most 8 bytes.
    """

    def __init__(self, watched: tuple[int, int, int]) -> None:
        self._watched = watched
        self._codes = scan.Codes()
        self._counts = np.empty(_STATES, np.uint64)
        self._firsts = np.empty(_STATES, np.int64)

    def of(self, part: Part) -> Tallied:
        """The states of a part, if they are not too many; else each row by itself."""
        found, width = (self._counts, self._firsts), part.array.dtype.itemsize
        count = self._codes.tally(part.bytes, width, *self._watched, part.begins, part.ends, *found)
        if count >= 0:
            rows, records = self._firsts[:count], self._counts[:count].astype(np.int64)
        else:
            rows = each(part.begins, part.ends)
            records = np.ones(len(rows), np.int64)
        return Tallied(part.places(rows), picked(part.array, rows, None), records)


def met(
    part: Part, condition: Condition, ids: Sequence[np.ndarray] = (), truths: Sequence[np.ndarray] = ()
) -> Met:
    """The rows of a part that meet a condition, and what it is given for them: truths from its first range
    on.
    """
    rows = np.empty(int((part.stops - part.starts).sum()), np.int64)
    width, first = part.array.dtype.itemsize, int(part.begins[0])
    rows = rows[: condition.meeting(part.bytes, width, part.begins, part.ends, rows, ids, truths, first)]
    kept = picked(part.array, rows, None) if len(rows) <= FEW else None
    return Met(part.places(rows), part.array["mono_ns"][rows], kept)
