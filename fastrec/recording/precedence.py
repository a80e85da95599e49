"""Where segments overlap: which records and losses of each one count (FORMAT.md, section 6).

A recorder writes rows again in a new segment when it does not know what became of the old one. The later
segment counts, number by number: what it has not come to yet is still that of the earlier one.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable

import numpy as np

from fastrec.recording import layout
from fastrec.recording.committed import IndexRow
from fastrec.recording.segment import Segment
from fastrec.schema.gaps import GAP_DTYPE, numbered

__all__ = [
    "Piece",
    "Span",
    "begin_of",
    "left_of",
    "merged",
    "numbers_of_gaps",
    "pieces_of",
    "settle",
    "spans_of_gaps",
]

Span = tuple[int, int]
"""Numbers from the first up to, not including, the second."""

Piece = tuple[int, int, int]
"""Rows of a segment from the first up to, not including, the second; and the number of the first."""


def numbers_of_gaps(gaps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each gap that has numbers the first, and that behind its last; u8."""
    own = gaps[numbered(gaps)]
    return own["seq"], own["seq"] + own["count"]


def spans_of_gaps(gaps: np.ndarray) -> list[Span]:
    """The numbers that gaps stand for, one span for each gap that has numbers."""
    return list(zip(*(side.tolist() for side in numbers_of_gaps(gaps)), strict=True)) if len(gaps) else []


def begin_of(first: IndexRow | None, gaps: np.ndarray) -> int | None:
    """The lowest number that a segment tells of, by its first index row and its losses; None: of none."""
    numbers = [] if first is None else [first.first_seq]
    return min([*numbers, *(start for start, _ in spans_of_gaps(gaps))], default=None)


def settle(segments: list[Segment]) -> tuple[list[list[Piece]], list[np.ndarray]]:
    """Of each segment, the records and the losses that count.

    Parameters
    ----------
    segments : list of Segment
        In the order of their numbers.

    Returns
    -------
    pieces : list of list of Piece
    gaps : list of ndarray of GAP_DTYPE
    """
    if _apart(segments):
        return [pieces_of(segment) for segment in segments], [segment.gaps for segment in segments]
    pieces: list[list[Piece]] = []
    gaps: list[np.ndarray] = []
    later = _Later()
    for segment in reversed(segments):
        own, spans = pieces_of(segment), spans_of_gaps(segment.gaps)
        pieces.append([part for piece in own for part in _uncovered(piece, later.spans)])
        gaps.append(_counting(segment, later))
        later.take([(number, number + stop - start) for start, stop, number in own] + spans, segment)
    return pieces[::-1], gaps[::-1]


def _apart(segments: list[Segment]) -> bool:
    """Whether each begins at the end of the one before, or behind it, and none says that it tells losses
    again: then no record is in two, and no loss is told twice.
    """
    reached = 0
    for segment in segments:
        first = segment.first
        if first is None:
            if len(segment.gaps):
                return False
            continue
        begin, end = _hull(segment)
        if begin < reached or first.flags & layout.INDEX_AGAIN:
            return False
        reached = end
    return True


def _hull(segment: Segment) -> Span:
    """From the lowest number that a segment with index rows holds or names up to its end."""
    begin, end = segment.first.first_seq, segment.end
    if not len(segment.gaps):
        return begin, end
    starts, stops = numbers_of_gaps(segment.gaps)
    return int(starts.min(initial=begin)), int(stops.max(initial=end))


class _Later:
    """What later segments hold or name: disjoint spans in order, and their hulls."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.hulls: list[tuple[int, int, bool]] = []

    def take(self, spans: list[Span], segment: Segment) -> None:
        if segment.first is None:
            return
        hull = *_hull(segment), bool(segment.first.flags & layout.INDEX_AGAIN)
        apart = []
        for one in self.hulls:
            if one[0] <= hull[1] and hull[0] <= one[1]:
                again = min(one, hull, key=lambda each: each[0])[2]
                hull = min(one[0], hull[0]), max(one[1], hull[1]), again
            else:
                apart.append(one)
        self.hulls = sorted([*apart, hull])
        self.spans = merged([*self.spans, *spans])


def merged(spans: Iterable[Span]) -> list[Span]:
    """Spans in order, those that touch joined."""
    joined: list[Span] = []
    for start, stop in sorted(spans):
        if joined and start <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(joined[-1][1], stop)
        else:
            joined.append((start, stop))
    return joined


def pieces_of(segment: Segment) -> list[Piece]:
    """The rows of a segment by themselves, cut where a number does not follow the one before."""
    if segment.first is None:
        return []
    start, row = segment.first.first_seq, segment.begin
    if segment.length - row == segment.end - start > 0:
        return [(row, segment.length, start)]  # as many rows as numbers: each goes on with the next
    filled = np.flatnonzero(segment.index["rows"])
    if not len(filled):
        return []
    first, rows = segment.index["first_seq"][filled], segment.index["rows"][filled]
    breaks = np.flatnonzero(np.append(True, first[1:] != first[:-1] + rows[:-1]))
    starts = segment.at[filled][breaks].tolist()
    return list(zip(starts, [*starts[1:], segment.length], first[breaks].tolist(), strict=True))


def left_of(span: Span, covered: list[Span]) -> list[Span]:
    """What is left of a span without those that are covered, which are disjoint and in order."""
    start, stop = span
    left = []
    for low, high in covered[max(0, bisect.bisect_right(covered, (start,)) - 1) :]:
        if low >= stop:
            break
        if low > start:
            left.append((start, low))
        start = max(start, high)
    return [*left, (start, stop)] if start < stop else left


def _uncovered(piece: Piece, covered: list[Span]) -> list[Piece]:
    start, stop, number = piece
    return [
        (start + low - number, start + high - number, low)
        for low, high in left_of((number, number + stop - start), covered)
    ]


def _counting(segment: Segment, later: _Later) -> np.ndarray:
    """Its losses but for those that a later segment tells."""
    gaps = segment.gaps
    if not len(gaps) or not later.hulls or segment.end < later.hulls[0][0]:
        return gaps
    own, told = numbered(gaps), np.zeros(len(gaps), bool)
    place = gaps["seq"].astype(np.int64)
    near = ~own & (place >= later.hulls[0][0])
    if near.any():
        # A loss without numbers was told by a commit: when its records are in a later segment, so is the
        # loss. A commit of losses alone at the very number where that begins was before it, if it does not
        # say otherwise.
        segment.check_index()
        commit = segment.index[np.searchsorted(segment.index["gap_rows"], segment.gap_numbers[near], "right")]
        first, alone = commit["first_seq"].astype(np.int64), commit["rows"] == 0
        for low, high, again in later.hulls:
            within = (place[near] >= low) & (place[near] <= high)
            told[near] |= (first - (alone & (not again)) >= low) & within
    parts = [gaps[~told & ~own]]
    for gap in gaps[own]:
        left = left_of((int(gap["seq"]), int(gap["seq"] + gap["count"])), later.spans)
        part = np.repeat(gap.reshape(1), len(left)).astype(GAP_DTYPE)
        part["seq"] = [start for start, _ in left]
        part["count"] = [stop - start for start, stop in left]
        parts.append(part)
    return np.concatenate(parts)
