"""How many rows have each state: by zones, or by one pass over the rows, whatever their order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from fastrec.core.scan import Codes
from fastrec.records.chunks import ZONE, Chunk
from fastrec.records.columns import Column
from fastrec.records.ranges import divided, each, mostly, one_range
from fastrec.records.rows import Span
from fastrec.records.runs import runs

__all__ = ["tallies"]

_STATES = 4_096
"""States of some rows; where there are more, counting saves nothing."""


class _Tally(NamedTuple):
    """States, the row at which each came first, and how many rows have it; one may come several times."""

    places: np.ndarray
    values: np.ndarray
    records: np.ndarray


def tallies(span: Span, column: Column) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """States in the order in which they come first, and how many rows have each; one may come again."""
    if column.part[1] > 8:
        for run in runs(span, column):
            yield run.values, np.diff(run.places, append=run.stop)
        return
    codes = Codes()
    room = np.empty(_STATES, np.uint64), np.empty(_STATES, np.int64)
    for stretch in divided(span, zoned=column.zone is not None):
        if stretch.zones:
            steady, values = column.of_zones(span.chunk.zones(*stretch.zones, [column.zone]))
            places, ranges = stretch.starts[steady], stretch.untold(~steady)
            found = [_Tally(places, values[steady], np.full(len(places), ZONE))]
        else:
            ranges, found = one_range(stretch.start, stretch.stop), []
        if stretch.zones and mostly(steady):
            found += _lengths(span.chunk, column, *ranges)
        else:
            found += _read(span.chunk, column, *ranges, codes, room)
        order = np.argsort(np.concatenate([one.places for one in found]), kind="stable")
        # Only now that they stand in order: of the words of one state the first stands for all.
        states = column.states(np.concatenate([one.values for one in found])[order])
        yield states, np.concatenate([one.records for one in found])[order]


def _lengths(chunk: Chunk, column: Column, starts: np.ndarray, stops: np.ndarray) -> Iterator[_Tally]:
    """By the lengths of runs."""
    for some in chunk.changed(starts, stops, column.part, few=True):
        ends = stops[np.searchsorted(starts, some.places, "right") - 1]
        records = np.minimum(np.append(some.places[1:], some.stop), ends) - some.places
        yield _Tally(some.places, column.values(chunk, some.array), records)


def _read(
    chunk: Chunk,
    column: Column,
    starts: np.ndarray,
    stops: np.ndarray,
    codes: Codes,
    room: tuple[np.ndarray, np.ndarray],
) -> Iterator[_Tally]:
    """By looking at each row."""
    for part in chunk.parts(starts, stops):
        data, width = part.bytes, part.array.dtype.itemsize
        count = codes.tally(data, width, *column.part, part.begins, part.ends, *room)
        if count >= 0:
            records, rows = (one[:count].copy() for one in room)
        else:
            rows = each(part.begins, part.ends)
            records = np.ones(len(rows), np.int64)
        yield _Tally(part.places(rows), column.values(chunk, part.array, rows), records.astype(np.int64))
