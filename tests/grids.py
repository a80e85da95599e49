"""What exact pacing is: an oracle that knows every slot of a paced channel from its records and its gaps."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from fastrec.schema.gaps import Cause
from fastrec.stats import Stats


class Grid:
    """Slot i is at start + i * period, rounded down to a whole ns."""

    def __init__(self, start: int, hertz: Fraction | int) -> None:
        self.start = start
        self.period = Fraction(1_000_000_000) / hertz

    def at(self, slot: int) -> int:
        """Its intended time, ns."""
        return self.start + int(slot * self.period)

    def passed(self, now: int) -> int:
        """How many deadlines lie at or before a time."""
        slot = int((now - self.start) / self.period)
        return slot + (self.at(slot + 1) <= now) + 1 if now >= self.start else 0


def check_slots(grid: Grid, stats: Stats, called: np.ndarray, gaps: np.ndarray) -> np.ndarray:
    """Hold every slot against the grid: each is recorded or missed, once, in its place.

    Parameters
    ----------
    grid : Grid
    stats : Stats
        After the stop, of a channel that fails, holds and drops nothing.
    called : ndarray of int64, shape (recorded,)
        When each record's getter was called, noted by the getter.
    gaps : ndarray of GAP_DTYPE
        All of them.

    Returns
    -------
    ndarray of int64, shape (recorded,)
        The slot of each record.
    """
    assert stats.slots == stats.recorded + stats.missed and stats.recorded == len(called)
    missed = gaps[gaps["cause"] == Cause.MISSED]
    assert len(missed) == len(gaps) and missed["count"].sum() == stats.missed
    before = np.zeros(len(called) + 1, np.int64)
    np.add.at(before, missed["seq"].astype(np.int64), missed["count"].astype(np.int64))
    slots = np.arange(len(called)) + np.cumsum(before)[: len(called)]
    for gap in missed:
        seq, count = int(gap["seq"]), int(gap["count"])
        first = int(slots[seq - 1]) + 1 if seq else 0
        # Two gaps in one place differ by cause or code; the first of them begins behind the record.
        earlier = missed[(missed["seq"] == gap["seq"]) & (missed["t_first"] < gap["t_first"])]["count"].sum()
        first += int(earlier)
        assert (gap["t_first"], gap["t_last"]) == (grid.at(first), grid.at(first + count - 1))
    intended = np.array([grid.at(int(slot)) for slot in slots], np.int64)
    assert (called >= intended).all(), "a call came before its time"
    return slots
