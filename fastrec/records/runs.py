"""Where a state begins, and where time passes unseen: the places at which questions about states look.

Only rows among which something may change are read. Of the others a zone says which states they have, or the
index or a zone that no time passes in it that is long enough to matter. Bytes are compared first,
by a kernel without the GIL; what they mean is asked of the few rows at which they differ.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from typing import NamedTuple

import numpy as np

from fastrec.core import scan
from fastrec.records.chunks import ZONE, Chunk
from fastrec.records.columns import Column
from fastrec.records.parts import Picked, Times, made_of
from fastrec.records.ranges import Stretch, ahead, divided, one_range, seldom, stretches
from fastrec.records.rows import Span
from fastrec.records.zone_runs import UNSEEN, zone_runs

__all__ = ["Runs", "runs", "silences", "stamps_at"]

_LONGEST = 2**63 - 1

_UNTOLD = 2**32 - 1
"""A silence in us for which a zone has no room."""


class Runs(NamedTuple):
    """States of successive rows of a chunk.

    Attributes
    ----------
    start, stop : int
        The rows, by places in the chunk.
    places : ndarray of int64, shape (n,)
        Where a run of one state begins, increasing; the first is `start`. A state may go on in the next run.
    values : ndarray, shape (n, *shape)
        The states.
    stamps : ndarray of int64, shape (n,)
        What `stamps_at` has seen of their stamps, ns; `UNSEEN` where a zone alone was asked.
    """

    start: int
    stop: int
    places: np.ndarray
    values: np.ndarray
    stamps: np.ndarray


def stamps_at(chunk: Chunk, run: Runs, places: np.ndarray) -> np.ndarray:
    """Stamps of some rows, increasing places among those of a run; those that were read are known."""
    at = np.minimum(np.searchsorted(run.places, places), len(run.places) - 1)
    found = run.stamps[at]
    unseen = (run.places[at] != places) | (found == UNSEEN)
    if unseen.any():
        found[unseen] = chunk.at(places[unseen], "mono_ns")
    return found


def runs(spans: Iterable[Span], column: Column) -> Iterator[tuple[int, Runs]]:
    """The states of a column in some rows, in order; every row is in one of the runs.

    Parameters
    ----------
    spans : iterable of Span
    column : Column

    Yields
    ------
    number : int
        Of the span.
    run : Runs
    """
    begun = (
        (number, _begun(span.chunk, column, stretch))
        for number, span in enumerate(spans)
        for stretch in divided(span, zoned=column.zone is not None)
    )
    with closing(ahead(begun)) as found:
        for number, some in found:
            for one in some:
                # Only now that they stand in order: of the words of one state the first stands for all.
                yield number, one._replace(values=column.states(one.values))


def _begun(chunk: Chunk, column: Column, stretch: Stretch) -> Iterator[Runs]:
    """The runs of a stretch, of which reading has begun: by the zones alone where these tell them."""
    if not stretch.zones:
        return _read(chunk, column, *one_range(stretch.start, stretch.stop), few=False)
    zones = zone_runs(chunk, stretch, column)
    told = Runs(stretch.start, stretch.stop, zones.places, zones.values, zones.stamps)
    ranges = stretch.untold(~zones.known)
    return _joined(told, _read(chunk, column, *ranges, few=seldom(chunk, column.part, *ranges, zones.known)))


def _joined(told: Runs, read: Iterator[Runs]) -> Iterator[Runs]:
    """The runs of which zones tell, and between them those that were read."""
    start, stop, places, values, stamps = told
    done = 0
    for found in read:
        until = int(np.searchsorted(places, found.stop))
        merged = np.concatenate([places[done:until], found.places])
        order = np.argsort(merged, kind="stable")
        states = np.concatenate([values[done:until], found.values])[order]
        times = np.concatenate([stamps[done:until], found.stamps])[order]
        yield Runs(start, found.stop, merged[order], states, times)
        start, done = found.stop, until
    if start < stop:
        yield Runs(start, stop, places[done:], values[done:], stamps[done:])


def _read(
    chunk: Chunk, column: Column, starts: np.ndarray, stops: np.ndarray, *, few: bool
) -> Iterator[Runs]:
    """The runs of some ranges of rows, by the rows themselves; between the ranges it knows nothing."""

    def run(some: Picked) -> Runs:
        values = column.values(chunk, some.array)
        return Runs(some.start, some.stop, some.places, values, some.array["mono_ns"])

    return made_of(chunk.changed(starts, stops, column.part, few=few), run)


def silences(chunk: Chunk, start: int, stop: int, limit_ns: int, *, holds: bool) -> np.ndarray:
    """Rows that begin more than so many ns after the row before was last seen.

    Parameters
    ----------
    chunk : Chunk
    start, stop : int
        The rows, by places in the chunk. The first has none before it.
    limit_ns : int
    holds : bool
        Whether the rows say until when they were seen.

    Returns
    -------
    ndarray of int64, shape (n,)
        Places in the chunk, increasing.
    """
    limit = min(limit_ns, _LONGEST)
    times = chunk.times(start, stop)
    if times is None:
        return _silent(chunk, *one_range(start, stop), limit, holds)
    length = times.most - times.least
    # Of holds the index does not say whether each begins behind the one before.
    unsure = times.falls | holds
    doubtful = unsure | (length > limit) | (length < 0)
    quiet = _quiet(chunk, times, doubtful, limit)
    unsure, doubtful = unsure & ~quiet, doubtful & ~quiet
    # Then it does not say which row has the smallest, or the largest.
    doubtful[1:] |= unsure[:-1]
    doubtful[:-1] |= unsure[1:]
    apart = times.least[1:] - times.most[:-1] > limit
    between = times.starts[1:][apart & ~(doubtful[1:] & doubtful[:-1])]
    first, last = stretches(doubtful)
    starts, stops = np.maximum(times.starts[first], start), np.minimum(times.stops[last - 1], stop)
    return np.sort(np.concatenate([between, _silent(chunk, starts, stops, limit, holds)]))


def _quiet(chunk: Chunk, times: Times, doubtful: np.ndarray, limit: int) -> np.ndarray:
    """Of which of the doubtful blocks a zone says that no silence in them is longer, and no stamp falls."""
    quiet = np.zeros(len(doubtful), bool)
    zones = chunk.zone_starts
    at = (times.starts - zones.start) // ZONE
    asked = np.flatnonzero(doubtful & (at >= 0) & (at < len(zones)))
    if len(asked):
        low, high = int(at[asked[0]]), int(at[asked[-1]]) + 1
        silence = chunk.silences(low, high)[at[asked] - low].astype(np.int64)
        quiet[asked] = (silence > 0) & (silence < _UNTOLD) & (silence <= limit // 1000)
    return quiet


def _silent(chunk: Chunk, starts: np.ndarray, stops: np.ndarray, limit: int, holds: bool) -> np.ndarray:
    found = [np.empty(0, np.int64)]
    reached, seen = -1, 0
    for part in chunk.parts(starts, stops):
        first, last = part.begins, part.ends
        places = np.empty(int((last - first).sum()), np.int64)
        until = "until_ns" if holds else "mono_ns"
        columns = (part.array.dtype.fields[name][1] for name in ("mono_ns", until))
        count = scan.silences(part.bytes, part.array.dtype.itemsize, *columns, limit, first, last, places)
        # Of a range that was divided, each piece begins behind the one before.
        before = np.concatenate([[reached], part.stops[:-1]])
        silent = part.array["mono_ns"][first] - np.concatenate([[seen], part.array[until][last[:-1] - 1]])
        borders = part.starts[(part.starts == before) & (silent > limit)]
        found += [borders, part.places(places[:count])]
        reached, seen = int(part.stops[-1]), int(part.array[until][last[-1] - 1])
    return np.sort(np.concatenate(found))
