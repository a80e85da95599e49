"""Rates: how often a channel was polled, and how fast its counters counted."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from fastrec.errors import SchemaError
from fastrec.records.breaks import Breaks
from fastrec.records.columns import Column, Columns, spare
from fastrec.records.rows import Rows
from fastrec.records.states import shifted
from fastrec.records.windows import Origin, Windows, gather, overlaps
from fastrec.schema import Field
from fastrec.schema.readable import native, parts_of

__all__ = ["Rates"]

_OWN = ("start", "end", "polls", "rate", "valid")
_COUNTED = np.dtype(
    [("increase", "<f8"), ("rate", "<f8"), ("resets", "<i8"), ("known", "<i8"), ("valid", "?")]
)


class Rates:
    """The part of `Records` that says how fast things went."""

    start: int | None
    end: int | None
    _rows: Rows
    _columns: Columns
    _until: str

    def rate(
        self,
        *counters: str,
        every: str | dt.timedelta | None = None,
        origin: Origin = None,
        max_gap: str | int | dt.timedelta | None = None,
    ) -> np.ndarray:
        """How often per second there was a poll, and how much per second some counters went up.

        Parameters
        ----------
        *counters : str
            Numbers that count up.
        every : str or timedelta, optional
            In windows of this length. Default: from the first record to the last.
        origin : int, str or datetime, optional
            As in `resample`.
        max_gap : str or timedelta, optional
            As for `intervals`.

        Returns
        -------
        structured ndarray, shape (n,)
            A row per window: ``start``, ``end`` i8 ns; and of its time between the first record and the last
            ``polls`` u8, ``rate`` f8, polls per second, whatever was lost, and ``valid``, whether there is
            any such time. The very last poll is not counted: each stands for the time up to the next. Then a
            struct per counter, ``found["packets"]["rate"]``:

            ========  ===========================================================================
            increase  f8: by how much it went up where it was known
            rate      f8: that per second of known time; NaN where there is none
            resets    i8: how often it was set back
            known     i8 ns: for how long it was known
            valid     bool: whether for any time
            ========  ===========================================================================

            Values are physical, so ``rate`` is in units per second. If a counter is called like one of the
            first five columns, those get a ``_``.

        Raises
        ------
        SchemaError
            As in `resample`; if a counter is no number.

        Notes
        -----
        What a counter went up by between two polls is spread evenly over the time between them; within a hold
        it stood still. Nothing is extrapolated, and no difference is taken where an interval breaks (see
        `intervals`), or where a value is no finite number.

        A counter that falls was set back and began again at a raw 0, as PromQL's ``rate`` has it: it went up
        by its new value. But an unsigned one that is nearer to where it was by way of its largest value went
        over that: 250, 255, 4 of a ``uint8_t`` are an increase of 10. What goes up and down has no rate.
        """
        columns = {name: self._numeric(name) for name in counters}
        if every is None and origin is not None:
            raise SchemaError("rate() takes origin= with every= only")
        windows = self._windows(every, origin)
        own = [spare(name, columns) for name in _OWN]
        dtypes = zip(own, ("<i8", "<i8", "<u8", "<f8", "?"), strict=True)
        found = np.zeros(windows.count, [*dtypes, *((name, _COUNTED) for name in columns)])
        if windows.count:
            edges, (polls, _) = windows.edges(), self._totals(windows, [])
            last = int(windows.of(np.array([self.end]))[0])
            polls[last] -= np.minimum(polls[last], np.uint64(1))
            inside = np.minimum(edges[1:], self.end) - np.maximum(edges[:-1], self.start)
            answers = edges[:-1], edges[1:], polls, _per_second(polls, inside), inside > 0
            for name, values in zip(own, answers, strict=True):
                found[name] = values
        for name, column in columns.items():
            found[name] = self._count(windows, column, self._breaks(max_gap))
        return found

    def _count(self, windows: Windows, column: Column, breaks: Breaks) -> np.ndarray:
        """What a counter did in each window: ndarray of `_COUNTED`."""
        increase, known = np.zeros(windows.count), np.zeros(windows.count, np.int64)
        resets = np.zeros(windows.count, np.int64)
        for some in _steps_of(self._rows, column, self._until, breaks):
            lap = overlaps(windows, some.start, some.end, some.end == some.start)
            length, inside = (some.end - some.start)[lap.which], lap.end - lap.start
            share = np.where(length > 0, inside / np.maximum(length, 1), 1.0)
            gather(np.add, increase, lap.window, some.step[lap.which] * share)
            gather(np.add, known, lap.window, inside)
            back = windows.of(some.end[some.reset])
            gather(np.add, resets, back, np.ones(len(back), np.int64))
        parts = parts_of(column.field)
        with np.errstate(over="ignore", invalid="ignore"):
            increase = increase / parts[1] if parts else increase * column.field.scale
        found = np.zeros(windows.count, _COUNTED)
        found["increase"], found["resets"], found["known"] = increase, resets, known
        found["rate"], found["valid"] = _per_second(increase, known), known > 0
        return found


def _per_second(amount: np.ndarray, length_ns: np.ndarray) -> np.ndarray:
    """ndarray of float64; NaN where no time passed."""
    seconds = np.where(length_ns > 0, length_ns, np.nan) / 1e9
    with np.errstate(over="ignore"):
        return amount / seconds


class _Steps(NamedTuple):
    """Stretches of time in which a counter is known, in order; arrays of one length.

    Attributes
    ----------
    start, end : ndarray of int64
        ns.
    step : ndarray of float64
        By how much it went up, raw.
    reset : ndarray of bool
        Whether it was set back.
    """

    start: np.ndarray
    end: np.ndarray
    step: np.ndarray
    reset: np.ndarray


def _steps_of(rows: Rows, column: Column, until: str, breaks: Breaks) -> Iterator[_Steps]:
    """Stretches between polls, and those within holds, a block at a time."""
    last: tuple[int, int, np.ndarray] | None = (
        None  # number of the row before, when it was seen last, its value
    )
    for span in rows.spans:
        for block in span.blocks():
            some = block.rows()
            start = some["mono_ns"].astype(np.int64)
            end = np.maximum(start, some[until])
            values = native(column.numbers(some)).astype(f"<{column.load.kind}8")
            known = np.isfinite(values)
            new = np.zeros(len(some), bool)  # nothing before leads to it
            if block.start > span.start:
                cuts = breaks.within(span.chunk, block.start - 1, block.stop)
            else:
                cuts = breaks.within(span.chunk, block.start, block.stop)
                new[0] = last is None or breaks.before(block, *last[:2])
            new[cuts - block.start] = True
            before, seen = shifted(values, None if last is None else last[2]), shifted(end, None)
            seen[0] = start[0] if last is None else last[1]
            step, reset = _step(column.field, before, values)
            linked = ~new & known & np.isfinite(before)
            seen = np.minimum(seen, start)
            yield _Steps(*(one[linked] for one in (seen, start, step, reset)))
            held = known & (end > start)
            if held.any():
                none = np.zeros(int(held.sum()))
                yield _Steps(start[held], end[held], none, none > 0)
            last = int(block.numbers()[-1]), int(end[-1]), values[-1:]


def _step(field: Field, before: np.ndarray, after: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """By how much a counter went up from one value to the next, and whether it was set back."""
    fell = after < before
    if after.dtype.kind == "f":
        with np.errstate(over="ignore", invalid="ignore"):
            return np.where(fell, after, after - before), fell
    # Two numbers of 64 bits may lie further apart than 63 bits tell.
    up = after.view(np.uint64) - before.view(np.uint64)
    if after.dtype.kind == "u":
        bits = field.bits[1] if field.bits else 8 * field.dtype.itemsize
        up &= np.uint64(2**bits - 1)
        fell &= up >= np.uint64(2 ** (bits - 1))
    return np.where(fell, after.astype(np.float64), up.astype(np.float64)), fell
