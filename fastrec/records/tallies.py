"""How many rows have each state: by zones, or by one pass over the rows, whatever their order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from itertools import chain
from typing import NamedTuple

import numpy as np

from fastrec.records.chunks import Chunk
from fastrec.records.columns import Column
from fastrec.records.parts import Picked, made_of
from fastrec.records.ranges import Stretch, ahead, divided, one_range, seldom
from fastrec.records.rows import Span
from fastrec.records.runs import runs
from fastrec.records.zone_runs import zone_runs

__all__ = ["tallies"]


class _Tally(NamedTuple):
    """States, the row at which each came first, and how many rows have it; one may come several times."""

    places: np.ndarray
    values: np.ndarray
    records: np.ndarray


def tallies(spans: Iterable[Span], column: Column) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """States in the order in which they come first, and how many rows have each; one may come again."""
    if column.part[1] > 8:
        for _, run in runs(spans, column):
            yield run.values, np.diff(run.places, append=run.stop)
        return
    begun = (
        _begun(span.chunk, column, stretch)
        for span in spans
        for stretch in divided(span, zoned=column.zone is not None)
    )
    with closing(ahead(begun)) as some:
        for found in map(list, some):
            order = np.argsort(np.concatenate([one.places for one in found]), kind="stable")
            # Only now that they stand in order: of the words of one state the first stands for all.
            states = column.states(np.concatenate([one.values for one in found])[order])
            yield states, np.concatenate([one.records for one in found])[order]


def _begun(chunk: Chunk, column: Column, stretch: Stretch) -> Iterator[_Tally]:
    """Those of a stretch, of which reading has begun: by the zones alone where these tell them."""
    by_zones, ranges, known = [], one_range(stretch.start, stretch.stop), None
    if stretch.zones:
        zones = zone_runs(chunk, stretch, column)
        by_zones = [_Tally(zones.places, zones.values, zones.stops - zones.places)]
        known, ranges = zones.known, stretch.untold(~zones.known)
    if seldom(chunk, column.part, *ranges, known):
        changed = chunk.changed(*ranges, column.part, few=True)
        found = made_of(changed, lambda some: _lengths(some, *ranges, column.values(chunk, some.array)))
    else:
        tallied = chunk.tallied(*ranges, column.part)
        found = made_of(
            tallied, lambda some: _Tally(some.places, column.values(chunk, some.array), some.records)
        )
    return chain(by_zones, found)


def _lengths(some: Picked, starts: np.ndarray, stops: np.ndarray, values: np.ndarray) -> _Tally:
    """By the lengths of runs."""
    ends = stops[np.searchsorted(starts, some.places, "right") - 1]
    records = np.minimum(np.append(some.places[1:], some.stop), ends) - some.places
    return _Tally(some.places, values, records)
