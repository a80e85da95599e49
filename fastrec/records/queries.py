"""Questions about states, as pure functions on arrays.

They are told the rows at which something may begin, batch by batch, and keep no more of them than the answer
needs. No function here knows where rows come from.

A state ends with the record that shows another one, or with its last record where the interval breaks,
because then nobody knows how long it went on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from fastrec.records.states import State, Totals, shifted

__all__ = [
    "Intervals",
    "Openings",
    "counts",
    "durations",
    "interval_rows",
    "intervals",
    "transition_dtype",
]


class Openings(NamedTuple):
    """Successive rows, and those among them at which an interval opens; arrays of one length n.

    Attributes
    ----------
    rows, polls : int
        How many rows there are, and how often they were seen together.
    row : ndarray of int64
        Which of them open, increasing.
    passed : ndarray of uint64
        How often the rows before each were seen.
    seq : ndarray of uint64
        Their numbers, strictly increasing, also from one batch to the next.
    time : ndarray of int64
        First ns at which each was seen.
    values : ndarray, shape (n, *shape)
        Their states.
    broke : ndarray of bool
        Whether nothing was known for too long before it.
    seq_before : ndarray of uint64; until_before : ndarray of int64
        Number of the row before, and the last ns at which that was seen; asked for only where it broke.
    last_seq, last_until : int
        Of the last row of all.
    """

    rows: int
    polls: int
    row: np.ndarray
    passed: np.ndarray
    seq: np.ndarray
    time: np.ndarray
    values: np.ndarray
    broke: np.ndarray
    seq_before: np.ndarray
    until_before: np.ndarray
    last_seq: int
    last_until: int


def transition_dtype(state: State) -> np.dtype:
    """Of a row of `Records.transitions`."""
    return np.dtype([("seq", "<u8"), ("time", "<i8"), ("from", *state), ("to", *state)])


_START, _CHANGE, _GAP, _END = range(4)
_WHY = np.array(["start", "change", "gap", "end"])


class Intervals(NamedTuple):
    """Successive intervals; arrays of one length n.

    Attributes
    ----------
    state : ndarray, shape (n, *shape)
    start, end : ndarray of int64
        ns.
    records : ndarray of int64
    polls, lost : ndarray of uint64
    opened, closed : ndarray of int8
        Why: places in ``("start", "change", "gap", "end")``.
    """

    state: np.ndarray
    start: np.ndarray
    end: np.ndarray
    records: np.ndarray
    polls: np.ndarray
    lost: np.ndarray
    opened: np.ndarray
    closed: np.ndarray

    @property
    def inclusive(self) -> np.ndarray:
        """Which of them still held at their `end`, where no other state began: ndarray of bool."""
        return self.closed > _CHANGE


class _Borders(NamedTuple):
    """Rows at which one interval opens, and where the one before it ends."""

    state: np.ndarray
    seq: np.ndarray
    time: np.ndarray
    row: np.ndarray
    polls: np.ndarray
    why: np.ndarray
    seq_end: np.ndarray
    time_end: np.ndarray

    def part(self, start: int | None, stop: int | None) -> _Borders:
        return _Borders(*(column[start:stop] for column in self))


def intervals(batches: Iterable[Openings], gaps: np.ndarray) -> Iterator[Intervals]:
    """Stretches of one state.

    Parameters
    ----------
    batches : iterable of Openings
        Of all rows; the first row opens an interval.
    gaps : ndarray of GAP_DTYPE
        Sorted by ``seq``.

    Yields
    ------
    Intervals
        In order, some at a time. ``lost`` counts the gaps inside.
    """
    rows = polls = 0
    held = None
    for batch in batches:
        why = np.where(batch.broke, np.int8(_GAP), np.int8(_CHANGE))
        if held is None:
            why[0] = _START
        opened = _Borders(
            batch.values,
            batch.seq,
            batch.time,
            batch.row + rows,
            batch.passed + np.uint64(polls),
            why,
            np.where(batch.broke, batch.seq_before, batch.seq),
            np.where(batch.broke, batch.until_before, batch.time),
        )
        if held is not None:
            opened = _Borders(*map(np.concatenate, zip(held, opened, strict=True)))
        if len(opened.row) > 1:
            yield _closed(opened.part(None, -1), opened.part(1, None), gaps)
        held = opened.part(-1, None)
        # In Python, because a NumPy scalar warns where the sum of hostile counts wraps.
        rows, polls = rows + batch.rows, (polls + batch.polls) % 2**64
        end = batch.last_seq, batch.last_until
    if held is not None:
        last = {"row": rows, "polls": polls, "why": _END, "seq_end": end[0], "time_end": end[1]}
        columns = {name: np.array([value], getattr(held, name).dtype) for name, value in last.items()}
        yield _closed(held, held._replace(**columns), gaps)


def _closed(opened: _Borders, after: _Borders, gaps: np.ndarray) -> Intervals:
    """Intervals, from the borders at which they open and those behind them."""
    # A gap lies between two rows. It is inside an interval up to the row that ends it, unless it is what
    # broke it.
    low, high = np.searchsorted(gaps["seq"], [opened.seq[0], after.seq_end[-1]], side="right")
    some = gaps[low:high]
    owner = np.searchsorted(opened.seq, some["seq"], side="left") - 1
    inside = some["seq"] <= after.seq_end[owner]
    lost = np.zeros(len(opened.row), np.uint64)
    np.add.at(lost, owner[inside], some["count"][inside])
    return Intervals(
        opened.state,
        opened.time,
        after.time_end,
        after.row - opened.row,
        after.polls - opened.polls,
        lost,
        opened.why,
        after.why,
    )


def interval_rows(found: Iterable[Intervals], state: State) -> np.ndarray:
    """All of them as `Records.intervals` returns them."""
    dtype = np.dtype(
        [
            ("state", *state),
            ("start", "<i8"),
            ("end", "<i8"),
            ("duration", "<i8"),
            ("records", "<i8"),
            ("polls", "<u8"),
            ("lost", "<u8"),
            ("opened_by", "U6"),
            ("closed_by", "U6"),
        ]
    )
    parts = [np.empty(0, dtype)]
    for some in found:
        part = np.empty(len(some.start), dtype)
        for name in ("state", "start", "end", "records", "polls", "lost"):
            part[name] = getattr(some, name)
        part["duration"] = some.end - some.start
        part["opened_by"], part["closed_by"] = _WHY[some.opened], _WHY[some.closed]
        parts.append(part)
    return np.concatenate(parts)


def counts(batches: Iterable[tuple[np.ndarray, np.ndarray, np.ndarray]], state: State) -> np.ndarray:
    """How many records there are in each state.

    Parameters
    ----------
    batches : iterable of (states, records, polls)
        Of each run how many records it has, and for how many polls they stand.
    state : State

    Returns
    -------
    structured ndarray, shape (n,)
        A row per state in order of first appearance: ``state``, ``records`` i8, ``polls`` u8.
    """
    totals = Totals(state, 2)
    for states, records, polls in batches:
        totals.add(states, records, polls)
    found = np.empty(len(totals.distinct), [("state", *state), ("records", "<i8"), ("polls", "<u8")])
    found["state"] = totals.distinct.states
    found["records"], found["polls"] = totals.sums
    return found


def durations(found: Iterable[Intervals], state: State) -> np.ndarray:
    """Total time in each state.

    Parameters
    ----------
    found : iterable of Intervals
    state : State

    Returns
    -------
    structured ndarray
        A row per state in order of first appearance: ``state``, ``known`` (bool), ``duration`` i8 ns,
        ``intervals`` i8, ``records`` i8, ``share`` f8 of the time from the first record to the last. If
        intervals broke, the unknown time between them is the last row, ``known`` False, and its ``intervals``
        counts the breaks.
    """
    totals = Totals(state, 3)
    unknown = broke = 0
    end = None
    for some in found:
        totals.add(some.state, some.end - some.start, 1, some.records)
        breaks = some.opened == _GAP
        unknown += int((some.start - shifted(some.end, end))[breaks].sum())
        broke += int(breaks.sum())
        end = some.end[-1:]
    dtype = np.dtype(
        [
            ("state", *state),
            ("known", "?"),
            ("duration", "<i8"),
            ("intervals", "<i8"),
            ("records", "<i8"),
            ("share", "<f8"),
        ]
    )
    total = np.zeros(len(totals.distinct) + bool(broke), dtype)
    known = total[: len(totals.distinct)]
    known["state"], known["known"] = totals.distinct.states, True
    known["duration"], known["intervals"], known["records"] = totals.sums
    if broke:
        total["duration"][-1:] = np.array([unknown % 2**64], np.uint64).view(np.int64)
        total["intervals"][-1] = broke
        if state[0].kind in "fc":
            total["state"][-1] = np.nan
    whole = int(total["duration"].sum())
    if whole:
        total["share"] = total["duration"] / whole
    return total
