"""Rows of a segment by the block: read into memory, and proved, a batch ahead.

What is read in passing is read so. What is kept, or looked at again and again, is mapped: `Segment.rows`.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from fastrec.core.condition import Condition
from fastrec.recording.batches import Look, Plan, Reading, plan_of
from fastrec.recording.segment import Segment
from fastrec.records.copying import join_rows
from fastrec.records.looking import FEW
from fastrec.records.parts import Met, Part, Picked, Tallied, each
from fastrec.records.ranges import one_range

__all__ = ["changed", "copied", "fetched", "meeting", "tallied"]

_MANY = 16_384
"""Rows that are kept of some batches before they are handed out."""


def fetched(segment: Segment, starts: np.ndarray, stops: np.ndarray) -> Iterator[Part]:
    """Some ranges of rows, in batches; what was yielded before is overwritten by the next. Reading begins at
    once.

    Parameters
    ----------
    segment : Segment
    starts, stops : ndarray of int64, shape (r,), at least one
        Rows of the segment, increasing. None is empty.

    Yields
    ------
    Part
        Its ranges count in rows of the segment.

    Raises
    ------
    CorruptionError
        A block in which some of them lie does not match its checksum, or the file ends before it.
    GoneError
        The file is gone.
    """
    plan = plan_of(segment, starts, stops)
    shift = (plan.places - plan.begins)[plan.found]
    return _parts(Reading(segment, plan), plan, starts + shift, stops + shift, shift)


def _parts(
    reading: Reading, plan: Plan, starts: np.ndarray, stops: np.ndarray, shift: np.ndarray
) -> Iterator[Part]:
    """Ranges as they lie in blocks one behind the other, `shift` rows from where they are in the segment."""
    borders = plan.borders
    sizes, batches = np.diff(borders).tolist(), _divided(starts, stops, borders)
    with reading:
        array = reading.array
        for border, size, (which, begin, end) in zip(borders.tolist(), sizes, batches, strict=False):
            row = reading.take()
            yield Part(array[row : row + size], begin - border, begin - shift[which], end - shift[which])


def _looking(
    segment: Segment,
    starts: np.ndarray,
    stops: np.ndarray,
    what: str,
    of: tuple[int, int] | tuple[int, int, int] | Condition,
    into: np.ndarray | None = None,
) -> tuple[Reading, list[int]]:
    """Rows that are looked for in some ranges, of which no two lie in one zone; and with which row each batch
    ends.
    """
    plan = plan_of(segment, starts, stops, looked=True)
    reading = Reading(segment, plan, Look(what, of, into))
    return reading, (plan.begins + plan.stops)[plan.cuts[1:] - 1].tolist()


def copied(segment: Segment, start: int, stop: int, offset: int, into: np.ndarray) -> None:
    """Some bytes of each of some rows, at least one, into an array of them; errors as of `fetched`.

    Parameters
    ----------
    start, stop : int
        Rows of the segment.
    offset : int
        Of the bytes in a row.
    into : ndarray of void, shape (stop - start,)
        Contiguous.
    """
    reading, stops = _looking(segment, *one_range(start, stop), "part", (offset, into.itemsize), into)
    with reading:
        for _ in stops:
            reading.take()


def changed(
    segment: Segment, starts: np.ndarray, stops: np.ndarray, watched: tuple[int, int, int]
) -> Iterator[Picked]:
    """Of some ranges of rows those with which some bytes change; see `fetched`.

    Parameters
    ----------
    starts, stops : ndarray of int64
        As of `fetched`; and no two of them lie in one zone.
    watched : (offset, size, mask)
        As `fastrec.core.scan.changes` takes them.

    Yields
    ------
    Picked
        Of each block the first row that was asked for, and those that are not as the one before.
    """
    return _picks(*_looking(segment, starts, stops, "changes", watched))


def tallied(
    segment: Segment, starts: np.ndarray, stops: np.ndarray, watched: tuple[int, int, int]
) -> Iterator[Tallied]:
    """How many rows of each block have each pattern of some bytes, at most 8; see `changed`."""
    return _tallies(*_looking(segment, starts, stops, "states", watched))


def meeting(segment: Segment, starts: np.ndarray, stops: np.ndarray, condition: Condition) -> Iterator[Met]:
    """The rows of some ranges that meet a condition which is `alone`; see `changed`."""
    return _met(*_looking(segment, starts, stops, "condition", condition))


def _picks(reading: Reading, stops: list[int]) -> Iterator[Picked]:
    """What is kept of batches that end with some rows."""
    kept: list[tuple[np.ndarray, np.ndarray]] = []
    with reading:
        for stop in stops:
            reading.take()
            kept.append(reading.gather())
            if stop == stops[-1] or sum(len(places) for places, _ in kept) >= _MANY:
                some, rows = zip(*kept, strict=True)
                places = np.concatenate(some)
                yield Picked(int(places[0]) if len(places) else stop, stop, places, join_rows(rows))
                kept = []


def _tallies(reading: Reading, stops: list[int]) -> Iterator[Tallied]:
    with reading:
        for _ in stops:
            reading.take()
            yield Tallied(*reading.gather(), reading.counts())


def _met(reading: Reading, stops: list[int]) -> Iterator[Met]:
    with reading:
        for _ in stops:
            reading.take()
            if reading.kept <= FEW:
                places, rows = reading.gather()
                yield Met(places, rows["mono_ns"], rows)
            else:
                yield Met(*reading.stamps(), None)


def _divided(
    starts: np.ndarray, stops: np.ndarray, borders: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Ranges cut at borders: for what lies between two of them, which ranges, and their starts and stops."""
    first = np.searchsorted(borders, starts, "right") - 1
    last = np.searchsorted(borders, stops, "left") - 1
    which, part = np.repeat(np.arange(len(starts)), last - first + 1), each(first, last + 1)
    begin, end = np.maximum(starts[which], borders[part]), np.minimum(stops[which], borders[part + 1])
    edges = np.searchsorted(part, np.arange(len(borders))).tolist()
    for low, high in pairwise(edges):
        yield which[low:high], begin[low:high], end[low:high]
