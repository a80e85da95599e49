"""Questions about states, as pure functions on arrays.

Records are passed over once, block by block, and each block is a handful of NumPy calls; what is kept are the
rows at which something begins. No function here knows where rows come from.

A state ends with the record that shows another one, or with its last record where the interval breaks,
because then nobody knows how long it went on. Two values are the same state when they compare equal; NaN is
the same state as NaN.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from fastrec.schema.gaps import numbered
from fastrec.times import parse_duration

__all__ = ["Block", "State", "breaking", "durations", "equal", "intervals", "state_dtype", "transitions"]

State = tuple[np.dtype, tuple[int, ...]]
"""Dtype, in native byte order, and shape of one state of a column."""

_LEAST_SILENCE_NS = 10_000_000


class Block(NamedTuple):
    """Successive rows as a query sees them; arrays of one length n.

    Attributes
    ----------
    seq : ndarray of uint64
        Numbers, strictly increasing, also from one block to the next.
    time, until : ndarray of int64
        First and last ns at which the record was seen; the same without holds.
    polls : ndarray of uint64 or None
        How often it was seen; None without holds: once.
    values : ndarray, shape (n, *shape)
        The states.
    """

    seq: np.ndarray
    time: np.ndarray
    until: np.ndarray
    polls: np.ndarray | None
    values: np.ndarray


def equal(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Whether states are the same, row by row.

    Parameters
    ----------
    before, after : ndarray, shape (n, *shape)
        Of the same dtype.

    Returns
    -------
    ndarray of bool, shape (n,)
        Elements of an array field must all be equal. NaN equals NaN.
    """
    same = before == after
    if before.dtype.kind in "fc":
        same |= np.isnan(before) & np.isnan(after)
    return same.all(axis=tuple(range(1, same.ndim))) if same.ndim > 1 else same


def state_dtype(values: np.ndarray) -> State:
    """What a column of an array holds, as a `State`."""
    return values.dtype.newbyteorder("="), values.shape[1:]


def transitions(blocks: Iterable[Block], state: State) -> np.ndarray:
    """Rows whose state is not that of the row before; the first row is none.

    Parameters
    ----------
    blocks : iterable of Block
        Without empty ones.
    state : State

    Returns
    -------
    structured ndarray, shape (n,)
        ``seq u8, time i8`` of the row, ``from`` and ``to``. A gap in between is no transition, but may hide
        some.
    """
    dtype = np.dtype([("seq", "<u8"), ("time", "<i8"), ("from", *state), ("to", *state)])
    found = [np.empty(0, dtype=dtype)]
    last = None
    for block in blocks:
        before = _shifted(block.values, last)
        rows = np.flatnonzero(~equal(before, block.values))
        part = np.empty(len(rows), dtype=dtype)
        part["seq"], part["time"] = block.seq[rows], block.time[rows]
        part["from"], part["to"] = before[rows], block.values[rows]
        found.append(part)
        last = block.values[-1:]
    return np.concatenate(found)


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
        As `intervals` takes them.
    """
    usual = None if period_ns is None else max(10 * period_ns, _LEAST_SILENCE_NS)
    if max_gap is None:
        return usual, usual is None
    limit = 0 if max_gap == 0 else parse_duration(max_gap)
    # 0 is the strictest choice: what breaks by default breaks then too.
    return (limit, False) if limit else (usual, True)


def intervals(
    blocks: Iterable[Block],
    state: State,
    *,
    gaps: np.ndarray,
    silence_ns: int | None,
    every_gap: bool,
) -> np.ndarray:
    """Stretches of one state.

    Parameters
    ----------
    blocks : iterable of Block
        Without empty ones.
    state : State
    gaps : ndarray of GAP_DTYPE
        Sorted by ``seq``.
    silence_ns : int or None
        An interval breaks where more time than this passes from one record to the next.
    every_gap : bool
        It also breaks at every gap.

    Returns
    -------
    structured ndarray, shape (n,)
        ``state``; ``start, end, duration`` i8 ns; ``records`` i8; ``polls`` u8; ``lost`` u8, the counts of
        the gaps inside; ``opened_by`` and ``closed_by``: ``"start"``, ``"change"``, ``"gap"``, ``"end"``.

    Notes
    -----
    Numbers that are skipped without a gap that says why (rows left out by a selection) break an interval too.
    """
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
    openings, last = _openings(blocks, gaps, silence_ns, every_gap)
    if last is None:
        return np.empty(0, dtype=dtype)
    seq, time, row, polls, values, broke, seq_before, until_before = openings
    found = np.empty(len(seq), dtype=dtype)
    found["state"], found["start"] = values, time
    found["end"] = np.append(np.where(broke[1:], until_before[1:], time[1:]), last.until)
    found["duration"] = found["end"] - found["start"]
    found["records"] = np.diff(np.append(row, last.row))
    found["polls"] = np.diff(np.append(polls, last.polls))
    # A gap lies between two rows. It is inside an interval up to the row that ends it, unless it is what
    # broke it.
    final = np.append(np.where(broke[1:], seq_before[1:], seq[1:]), last.seq)
    owner = np.searchsorted(seq, gaps["seq"], side="left") - 1
    inside = (owner >= 0) & (gaps["seq"] <= final[owner])
    found["lost"] = 0
    np.add.at(found["lost"], owner[inside], gaps["count"][inside])
    found["opened_by"] = np.where(broke, "gap", "change")
    found["opened_by"][0] = "start"
    found["closed_by"][:-1] = found["opened_by"][1:]
    found["closed_by"][-1] = "end"
    return found


class _Last(NamedTuple):
    """Where a pass over the records ended: the last row, and totals."""

    seq: np.uint64
    until: np.int64
    row: int
    polls: np.uint64


def _openings(
    blocks: Iterable[Block], gaps: np.ndarray, silence_ns: int | None, every_gap: bool
) -> tuple[list[np.ndarray], _Last | None]:
    """Of each row that opens an interval: seq, time, row, polls before it, state, whether it broke, seq and
    until of the row before."""
    own = numbered(gaps)
    accounted = np.concatenate(
        [np.zeros(1, np.uint64), np.cumsum(np.where(own, gaps["count"], 0), dtype=np.uint64)]
    )
    parts: list[tuple[np.ndarray, ...]] = []
    last: _Last | None = None
    value = None
    for block in blocks:
        seq_before = _shifted(block.seq, None if last is None else last.seq)
        until_before = _shifted(block.until, None if last is None else last.until)
        broke = np.zeros(len(block.seq), dtype=bool)
        if silence_ns is not None:
            broke |= block.time - until_before > silence_ns
        # Few rows follow a gap or a hole, so only those are looked at closely.
        holes = np.flatnonzero(block.seq - seq_before > 1)
        past = np.searchsorted(gaps["seq"], block.seq[holes], side="right")
        before = np.searchsorted(gaps["seq"], seq_before[holes], side="right")
        skipped = block.seq[holes] - seq_before[holes] - np.uint64(1)
        broke[holes[accounted[past] - accounted[before] < skipped]] = True
        if every_gap:
            nearby = gaps["seq"][(gaps["seq"] > seq_before[0]) & (gaps["seq"] <= block.seq[-1])]
            broke[np.searchsorted(block.seq, nearby, side="left")] = True
        opens = broke | ~equal(_shifted(block.values, value), block.values)
        if last is None:
            opens[0] = True
            last = _Last(block.seq[0], block.until[0], 0, np.uint64(0))
        rows = np.flatnonzero(opens)
        if block.polls is None:
            polls = rows.astype(np.uint64)
            total = np.uint64(len(block.seq))
        else:
            through = np.cumsum(block.polls, dtype=np.uint64)
            polls, total = through[rows] - block.polls[rows], through[-1]
        parts.append(
            (
                block.seq[rows],
                block.time[rows],
                rows + last.row,
                polls + last.polls,
                block.values[rows],
                broke[rows],
                seq_before[rows],
                until_before[rows],
            )
        )
        # In Python, because a NumPy scalar warns where the sum of hostile counts wraps.
        total = np.uint64((int(total) + int(last.polls)) % 2**64)
        last = _Last(block.seq[-1], block.until[-1], last.row + len(block.seq), total)
        value = block.values[-1:]
    return [np.concatenate(column) for column in zip(*parts, strict=True)], last


def _shifted(values: np.ndarray, first: np.ndarray | np.generic | None) -> np.ndarray:
    """Of each row, what the row before had; the first row is given, or stands for itself."""
    before = np.empty_like(values)
    before[1:] = values[:-1]
    before[:1] = values[:1] if first is None else first
    return before


def durations(found: np.ndarray) -> np.ndarray:
    """Total time in each state.

    Parameters
    ----------
    found : structured ndarray
        What `intervals` returned.

    Returns
    -------
    structured ndarray
        A row per state in order of first appearance: ``state``, ``known`` (bool), ``duration`` i8 ns,
        ``intervals`` i8, ``records`` i8, ``share`` f8 of the time from the first record to the last. If
        intervals broke, the unknown time between them is the last row, ``known`` False, and its ``intervals``
        counts the breaks.
    """
    state = found.dtype["state"]
    dtype = np.dtype(
        [
            ("state", state.base, state.shape),
            ("known", "?"),
            ("duration", "<i8"),
            ("intervals", "<i8"),
            ("records", "<i8"),
            ("share", "<f8"),
        ]
    )
    breaks = np.flatnonzero(found["opened_by"] == "gap")
    first, which = _distinct(found["state"])
    total = np.zeros(len(first) + bool(len(breaks)), dtype=dtype)
    known = total[: len(first)]
    known["state"], known["known"] = found["state"][first], True
    np.add.at(known["duration"], which, found["duration"])
    np.add.at(known["records"], which, found["records"])
    known["intervals"] = np.bincount(which, minlength=len(first))
    if len(breaks):
        total["duration"][-1] = (found["start"][breaks] - found["end"][breaks - 1]).sum()
        total["intervals"][-1] = len(breaks)
        if state.base.kind in "fc":
            total["state"][-1] = np.nan
        elif state.base.kind == "O":
            total["state"][-1] = None
    whole = int(total["duration"].sum())
    if whole:
        total["share"] = total["duration"] / whole
    return total


def _distinct(states: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Row of the first appearance of each state, in that order, and for each row which of them it is."""
    if states.dtype.kind == "O":
        codes: dict[object, int] = {}
        keys = np.array([codes.setdefault(state, len(codes)) for state in states], dtype=np.int64)
    else:
        if states.dtype.kind in "fc":
            # States that are equal must have the same bytes: one NaN, and no negative zero.
            states = np.where(np.isnan(states), np.nan, states) + 0.0
        size = states.dtype.itemsize * math.prod(states.shape[1:])
        keys = np.frombuffer(states.tobytes(), dtype=np.dtype((np.void, size)))
    _, first, which = np.unique(keys, return_index=True, return_inverse=True)
    order = np.argsort(first)
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    return first[order], place[which]
