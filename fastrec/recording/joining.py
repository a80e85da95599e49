"""Pieces of segments as chunks: as few as can be, for each costs every question something."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise

import numpy as np

from fastrec.recording import layout
from fastrec.recording.chunk import SegmentChunk
from fastrec.recording.precedence import Piece
from fastrec.recording.segment import Segment
from fastrec.records.copying import as_unsigned
from fastrec.records.numbering import Numbering

__all__ = ["chunks_of"]


def chunks_of(pieces: Iterable[tuple[Segment, Piece]]) -> list[SegmentChunk]:
    """Pieces of segments as chunks.

    Parameters
    ----------
    pieces : iterable of (Segment, Piece)
        In the order of their numbers. Those that lie side by side in a segment become one chunk, as long as
        no time in it falls: where one does, more has to be read, and that should not be more than needs be.
    """
    found: list[tuple[Segment, list[Piece]]] = []
    for segment, piece in pieces:
        if found and found[-1][0] is segment and found[-1][1][-1][1] == piece[0]:
            found[-1][1].append(piece)
        else:
            found.append((segment, [piece]))
    return [chunk for segment, side in found for chunk in _joined(segment, side)]


def _joined(segment: Segment, pieces: list[Piece]) -> Iterator[SegmentChunk]:
    """Pieces that lie side by side, those together in which no time falls."""
    if len(pieces) == 1:
        start, stop, number = pieces[0]
        yield SegmentChunk(segment, start, stop, number)
        return
    starts, stops, numbers = np.array(pieces, np.int64).T
    falls, borders = _falling(segment, starts, int(stops[-1]))
    cuts = np.flatnonzero(borders[1:] | falls[1:] | falls[:-1]) + 1
    for first, last in pairwise([0, *cuts.tolist(), len(pieces)]):
        numbering = Numbering(starts[first:last] - starts[first], as_unsigned(numbers[first:last].copy()))
        yield SegmentChunk(segment, int(starts[first]), int(stops[last - 1]), int(numbers[first]), numbering)


def _falling(segment: Segment, starts: np.ndarray, stop: int) -> tuple[np.ndarray, np.ndarray]:
    """Of pieces that begin at some rows, the last of which ends at another, in which a time falls by the
    index, and before which one does.
    """
    index, at = segment.index, segment.at
    asked = np.flatnonzero((index["rows"] > 0) & (at + index["rows"] > starts[0]) & (at < stop))
    index, at = index[asked], at[asked]
    piece = np.maximum(np.searchsorted(starts, at, "right") - 1, 0)
    below = np.append(False, index["t_min"][1:] < index["t_max"][:-1])
    first = at == starts[piece]
    within, before = np.zeros(len(starts), bool), np.zeros(len(starts), bool)
    within[piece[(below & ~first) | (index["flags"] & layout.INDEX_DECREASING != 0)]] = True
    before[piece[below & first]] = True
    return within, before
