"""Numbers of rows that lie side by side: each follows the one before, but where records are missing."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fastrec.records.copying import as_unsigned

__all__ = ["Numbering"]

_FAR = np.uint64(1 << 62)


class Numbering(NamedTuple):
    """Which number each of some rows has.

    Attributes
    ----------
    starts : ndarray of int64, shape (n,)
        Rows with which runs of consecutive numbers begin, never decreasing; the first is 0.
    firsts : ndarray of uint64, shape (n,)
        Their numbers, increasing.
    """

    starts: np.ndarray
    firsts: np.ndarray

    @classmethod
    def consecutive(cls, first: int) -> Numbering:
        """One run."""
        return cls(np.zeros(1, np.int64), np.array([first], np.uint64))

    def within(self, start: int, stop: int) -> Numbering:
        """Those of the rows ``start ... stop - 1``, counted from the first."""
        low = int(np.searchsorted(self.starts, start, "right")) - 1
        high = max(low + 1, int(np.searchsorted(self.starts, stop, "left")))
        starts = np.maximum(self.starts[low:high] - start, 0)
        firsts = self.firsts[low:high].copy()
        firsts[0] += np.uint64(start - int(self.starts[low]))
        return Numbering(starts, firsts)

    def of(self, start: int, stop: int, out: np.ndarray | None = None) -> np.ndarray:
        """Numbers of the rows ``start ... stop - 1``, u8; into an array, if there is one."""
        # Not arange(first, last): NumPy counts its length in floats, and numbers go up to 2**64.
        rows = np.arange(start, stop)
        if len(self.starts) == 1:
            return np.add(as_unsigned(rows), self.firsts[0], out=out)
        ahead, runs = self.within(start, stop), as_unsigned(rows)
        counts = np.diff(ahead.starts, append=stop - start)
        return np.add(runs, np.repeat(ahead.firsts - as_unsigned(ahead.starts + start), counts), out=out)

    def at(self, rows: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """Numbers of some rows, u8; into an array, if there is one."""
        if len(self.starts) == 1:
            return np.add(as_unsigned(rows), self.firsts[0], out=out)
        run = np.searchsorted(self.starts, rows, "right") - 1
        return np.add(as_unsigned(rows - self.starts[run]), self.firsts[run], out=out)

    def number(self, row: int) -> int:
        """Number of one row."""
        run = int(self.starts.searchsorted(row, "right")) - 1 if len(self.starts) > 1 else 0
        return (int(self.firsts[run]) + row - int(self.starts[run])) % 2**64

    def skips(self, start: int, stop: int) -> np.ndarray:
        """Of the rows ``start + 1 ... stop - 1`` those whose number does not follow the one before."""
        low, high = np.searchsorted(self.starts, [start + 1, stop])
        return self.starts[low:high]

    def rows(self, numbers: np.ndarray, count: int) -> np.ndarray:
        """Of `count` rows the first that have these numbers, u8, or higher ones; `count` where none has."""
        run = np.maximum(np.searchsorted(self.firsts, numbers, "right") - 1, 0)
        ahead = np.where(numbers > self.firsts[run], numbers - self.firsts[run], np.uint64(0))
        ends = np.append(self.starts[1:], count)
        return np.minimum(self.starts[run] + np.minimum(ahead, _FAR).astype(np.int64), ends[run])

    def spans(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Of `count` rows the numbers that runs begin with, and those behind their last; each u8."""
        lengths = np.diff(self.starts, append=count)
        return self.firsts, self.firsts + as_unsigned(lengths)
