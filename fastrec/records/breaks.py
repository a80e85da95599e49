"""Where knowledge breaks off: nothing was seen for too long, or records are missing."""

from __future__ import annotations

import numpy as np

from fastrec.records.chunks import Chunk
from fastrec.records.queries import accounts, holes
from fastrec.records.rows import Span
from fastrec.records.runs import silences

__all__ = ["Breaks"]


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
        self._accounted = accounts(gaps)
        self._silence_ns = silence_ns
        self._every_gap = every_gap
        self._holds = holds

    def within(self, chunk: Chunk, start: int, stop: int) -> np.ndarray:
        """Rows of ``start + 1 ... stop - 1`` before which it breaks: ndarray of int64, increasing."""
        found: list[np.ndarray] = []
        if self._silence_ns is not None:
            found.append(silences(chunk, start, stop, self._silence_ns, holds=self._holds))
        seq = None
        if not chunk.consecutive:
            seq = chunk.numbers(start, stop)
            left_out = holes(seq[:-1], seq[1:], self._gaps, self._accounted)
            found.append(np.flatnonzero(left_out) + start + 1)
        if self._every_gap:
            ends = chunk.numbers_at(np.array([start, stop - 1]))
            low, high = np.searchsorted(self._gaps["seq"], ends, side="right")
            nearby = self._gaps["seq"][low:high]
            if seq is None:
                found.append((nearby - ends[0]).astype(np.int64) + start)
            else:
                found.append(np.searchsorted(seq, nearby, side="left") + start)
        found = [some for some in found if len(some)]
        return np.unique(np.concatenate(found)) if found else np.empty(0, np.int64)

    def before(self, span: Span, seq_before: int, until_before: int) -> bool:
        """Whether it breaks before the first of some rows, after a record of this number, last seen then."""
        first = Span(span.chunk, span.start, span.start + 1)
        seq, time = int(first.numbers()[0]), int(first.rows()["mono_ns"][0])
        if self._silence_ns is not None and time - until_before > self._silence_ns:
            return True
        ends = np.array([seq_before, seq], np.uint64)
        if self._every_gap:
            low, high = np.searchsorted(self._gaps["seq"], ends, side="right")
            if high > low:
                return True
        return bool(holes(ends[:1], ends[1:], self._gaps, self._accounted)[0])
