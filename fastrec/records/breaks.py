"""Where knowledge breaks off: nothing was seen for too long, or records are missing."""

from __future__ import annotations

import datetime as dt
from functools import cached_property

import numpy as np

from fastrec.durations import parse_duration
from fastrec.records.chunks import Chunk
from fastrec.records.rows import Span
from fastrec.records.runs import silences
from fastrec.schema.gaps import numbered

__all__ = ["Breaks", "breaking"]

_LEAST_SILENCE_NS = 10_000_000


def breaking(max_gap: str | int | dt.timedelta | None, period_ns: int | None) -> tuple[int | None, bool]:
    """Where intervals break.

    Parameters
    ----------
    max_gap : str or timedelta, or 0, or None
        The longest time without knowledge within an interval; 0: every gap breaks. Default: ten periods, at
        least 10 ms; without a period as 0.
    period_ns : int or None
        Distance at which the channel is polled.

    Returns
    -------
    (silence_ns, every_gap)
        As `Breaks` takes them.
    """
    usual = None if period_ns is None else max(10 * period_ns, _LEAST_SILENCE_NS)
    if max_gap is None:
        return usual, usual is None
    limit = 0 if max_gap == 0 else parse_duration(max_gap)
    # 0 is the strictest choice: what breaks by default breaks then too.
    return (limit, False) if limit else (usual, True)


class Breaks:
    """Between which neighbours an interval breaks.

    Parameters
    ----------
    gaps : ndarray of GAP_DTYPE
        Sorted by ``seq``.
    silence_ns : int or None
        It breaks where more time than this passes from one record to the next.
    every_gap : bool
        It also breaks at every gap.
    holds : bool
        Whether records say until when they were seen.

    Notes
    -----
    Numbers that are skipped without a gap that says why (rows left out by a selection) break an interval too.
    """

    def __init__(self, gaps: np.ndarray, silence_ns: int | None, every_gap: bool, *, holds: bool) -> None:
        self._gaps = gaps
        self._silence_ns = silence_ns
        self._every_gap = every_gap
        self._holds = holds

    @cached_property
    def _accounted(self) -> np.ndarray:
        """How many numbers the gaps before each stand for; one more for all of them."""
        counts = np.where(numbered(self._gaps), self._gaps["count"], np.uint64(0))
        return np.concatenate([np.zeros(1, np.uint64), np.cumsum(counts, dtype=np.uint64)])

    def within(self, chunk: Chunk, start: int, stop: int) -> np.ndarray:
        """Rows of ``start + 1 ... stop - 1`` before which it breaks: ndarray of int64, increasing."""
        found: list[np.ndarray] = []
        if self._silence_ns is not None:
            found.append(silences(chunk, start, stop, self._silence_ns, holds=self._holds))
        skips = chunk.skips(start, stop)
        if len(skips):
            neighbours = chunk.numbers_at(skips - 1), chunk.numbers_at(skips)
            found.append(skips[self._holes(*neighbours)])
        if self._every_gap:
            ends = chunk.numbers_at(np.array([start, stop - 1]))
            low, high = self._gaps["seq"].searchsorted(ends, side="right")
            found.append(chunk.places_of(self._gaps["seq"][low:high]))
        found = [some for some in found if len(some)]
        return np.unique(np.concatenate(found)) if found else np.empty(0, np.int64)

    def before(self, span: Span, seq_before: int, until_before: int) -> bool:
        """Whether it breaks before the first of some rows, after a record of this number, last seen then."""
        seq, time = span.chunk.number(span.start), span.stamp(span.start)
        if self._silence_ns is not None and time - until_before > self._silence_ns:
            return True
        ends = np.array([seq_before, seq], np.uint64)
        if self._every_gap:
            low, high = self._gaps["seq"].searchsorted(ends, side="right")
            if high > low:
                return True
        return bool(self._holes(ends[:1], ends[1:])[0])

    def _holes(self, before: np.ndarray, seq: np.ndarray) -> np.ndarray:
        """Between which neighbours numbers are left out that no gap stands for.

        Parameters
        ----------
        before, seq : ndarray of uint64, shape (n,)
            Numbers of neighbours.

        Returns
        -------
        ndarray of bool, shape (n,)
        """
        found = seq - before > 1
        # Few rows follow a hole, so only those are looked at closely.
        rows = np.flatnonzero(found)
        if len(rows):
            known, past = (self._gaps["seq"].searchsorted(side[rows], "right") for side in (before, seq))
            accounted = self._accounted[past] - self._accounted[known]
            found[rows] = accounted < seq[rows] - before[rows] - np.uint64(1)
        return found
