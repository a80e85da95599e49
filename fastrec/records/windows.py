"""Windows of time of one length, side by side, and what of a stretch of time lies in which."""

from __future__ import annotations

import datetime as dt
from typing import NamedTuple

import numpy as np

from fastrec.durations import parse_duration
from fastrec.errors import SchemaError, shown
from fastrec.records.parts import each
from fastrec.records.states import Distinct, State

__all__ = ["Origin", "Overlaps", "Windows", "by_state", "elapsed", "gather", "overlaps", "windows_of"]

Origin = int | str | dt.datetime | None

_MOST = 1 << 24
_REACH = 2**63


class Windows(NamedTuple):
    """Window k is ``[begin + k * period, begin + (k + 1) * period)``, ns.

    Attributes
    ----------
    begin, period, count : int
        All windows end below 2**63.
    """

    begin: int
    period: int
    count: int

    def edges(self) -> np.ndarray:
        """Where each begins, and where the last ends: ndarray of int64, shape (count + 1,)."""
        steps = np.arange(self.count + 1, dtype=np.uint64) * np.uint64(self.period)
        return (steps + np.uint64(self.begin % 2**64)).view(np.int64)

    def of(self, stamps: np.ndarray) -> np.ndarray:
        """Which window each stamp lies in: ndarray of int64; the first or the last for those outside."""
        # Two stamps may lie further apart than 63 bits tell.
        passed = stamps.astype(np.int64).view(np.uint64) - np.uint64(self.begin % 2**64)
        place = np.minimum(passed // np.uint64(self.period), np.uint64(max(0, self.count - 1)))
        return np.where(stamps < self.begin, 0, place.astype(np.int64))


def windows_of(
    start: int | None, end: int | None, every: str | dt.timedelta | None, origin: int | None
) -> Windows:
    """The windows in which a stretch of time lies.

    Parameters
    ----------
    start, end : int or None
        Its first and its last ns; None: there is none, so no window either.
    every : str or timedelta, or None
        Their length; None: it is one window.
    origin : int or None
        Where one of them begins, ns; None: at `start`.

    Raises
    ------
    SchemaError
        If the length is none, there were more than 2**24 windows, or they reached beyond 64 bits.
    """
    period = 1 if every is None else parse_duration(every)
    if not period:
        raise SchemaError(f"windows are at least 1 ns long, not {shown(every)}")
    if start is None:
        return Windows(0, period, 0)
    if end < start:  # by a damaged index, or one that lies
        raise SchemaError("the last of these records was seen before the first: they have no windows of time")
    begin = start if origin is None else origin + (start - origin) // period * period
    if every is None:
        period = end - begin + 1
    count = (end - begin) // period + 1
    if count > _MOST:
        raise SchemaError(
            f"{shown(every)} makes {count:,} windows of these records; at most {_MOST:,} are made"
        )
    if begin < -_REACH or begin + count * period >= _REACH or period >= _REACH:
        raise SchemaError("windows of these records reach beyond the stamps that 64 bits hold")
    return Windows(begin, period, count)


class Overlaps(NamedTuple):
    """What of some stretches of time lies in which window; arrays of one length.

    Attributes
    ----------
    which : ndarray of int64
        Of the stretches, never decreasing.
    window : ndarray of int64
    start, end : ndarray of int64
        ns.
    """

    which: np.ndarray
    window: np.ndarray
    start: np.ndarray
    end: np.ndarray


def overlaps(windows: Windows, start: np.ndarray, end: np.ndarray, closed: np.ndarray | bool) -> Overlaps:
    """Cut stretches of time at the borders of windows.

    Parameters
    ----------
    start, end : ndarray of int64
        In order: starts never fall. What reaches beyond the next start is cut there.
    closed : ndarray of bool or bool
        Whether its last ns belongs to it; one that does not and ends where it begins is in no window.
    """
    end = np.append(np.minimum(end[:-1], start[1:]), end[-1:])
    inside = np.flatnonzero((end > start) | (closed & (end == start)))
    start, end, closed = start[inside], end[inside], np.broadcast_to(closed, len(end))[inside]
    first = windows.of(start)
    border = windows.begin + (first + 1) * windows.period
    cut = np.flatnonzero(np.where(closed, end >= border, end > border))
    if not len(cut):
        return Overlaps(inside, first, start, end)
    last = first.copy()
    last[cut] = windows.of(np.where(closed[cut], end[cut], end[cut] - 1))
    count = last - first + 1
    which, window = np.repeat(np.arange(len(inside)), count), each(first, last + 1)
    edges = windows.begin + window * windows.period
    return Overlaps(
        inside[which],
        window,
        np.where(window == first[which], start[which], edges),
        np.where(window == last[which], end[which], edges + windows.period),
    )


def elapsed(start: np.ndarray, stamps: np.ndarray) -> np.ndarray:
    """ns from one to the other, 0 if that is the earlier: ndarray of uint64."""
    # Two stamps may lie further apart than 63 bits tell.
    length = stamps.astype(np.int64).view(np.uint64) - start.astype(np.int64).view(np.uint64)
    return np.where(stamps > start, length, np.uint64(0))


def gather(how: np.ufunc, into: np.ndarray, window: np.ndarray, values: np.ndarray) -> None:
    """Take values into those of their windows: ``into[window] = how(into[window], values)``, one by one."""
    if len(window):
        begins = np.flatnonzero(np.append(True, window[1:] != window[:-1]))
        with np.errstate(over="ignore", invalid="ignore"):  # floats may be as large as there are
            how.at(into, window[begins], how.reduceat(values, begins))


class ByState(NamedTuple):
    """Sums by window and state, in the order in which these first came; arrays of one length.

    Attributes
    ----------
    window : ndarray of int64
    first, last : ndarray of int64
        Which row was the first of each, and which the last.
    sums : list of ndarray of int64
    """

    window: np.ndarray
    first: np.ndarray
    last: np.ndarray
    sums: list[np.ndarray]


def by_state(window: np.ndarray, states: np.ndarray, state: State, *amounts: np.ndarray) -> ByState:
    """Sum amounts up by window and state.

    Parameters
    ----------
    window : ndarray of int64
        Never decreasing, from 0 on.
    states : ndarray, shape (n, *shape)
    state : State
    *amounts : ndarray of int64
    """
    distinct = Distinct(state)
    codes = distinct.codes(states)
    keys = window * max(1, len(distinct)) + codes
    order = np.argsort(keys, kind="stable")
    begins = np.flatnonzero(np.diff(keys[order], prepend=-1))
    first, last = order[begins], order[np.append(begins[1:], len(order))[: len(begins)] - 1]
    came = np.argsort(first, kind="stable")
    sums = [np.add.reduceat(amount[order], begins)[came] if len(begins) else amount[:0] for amount in amounts]
    return ByState(window[first[came]], first[came], last[came], sums)
