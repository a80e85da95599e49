"""What was polled in which window: how often, and which numbers."""

from __future__ import annotations

import numpy as np

from fastrec.records.chunks import ZONE
from fastrec.records.columns import Column
from fastrec.records.expanding import passed
from fastrec.records.parts import Times, outermost
from fastrec.records.sums import physical_ends, widths_fit
from fastrec.records.windows import Windows, gather, overlaps
from fastrec.schema import Field
from fastrec.schema.readable import is_scaled, native, parts_of

__all__ = ["Totals", "add_rows", "add_zones"]


class Totals:
    """Of some windows the numbers of a column.

    Parameters
    ----------
    count : int
        How many windows.
    kind : "i", "u" or "f"

    Attributes
    ----------
    polls, nan : ndarray of uint64
    """

    def __init__(self, count: int, kind: str) -> None:
        self.polls, self.nan = np.zeros(count, np.uint64), np.zeros(count, np.uint64)
        self._kind = np.dtype(f"<{kind}8")
        most = (np.inf, -np.inf) if kind == "f" else (np.iinfo(self._kind).max, np.iinfo(self._kind).min)
        self._least, self._most = (np.full(count, end, self._kind) for end in most)
        # Whole numbers modulo 2**64, exact while their sum fits; and as floats, in case that it does not.
        self._sum, self._rough = np.zeros(count, np.uint64), np.zeros(count)

    def add(
        self, window: np.ndarray, polls: np.ndarray, nan: np.ndarray, least: np.ndarray, most: np.ndarray
    ) -> None:
        """Count polls of some windows, and take in the ends of their numbers, patterns of 8 bytes."""
        gather(np.add, self.polls, window, polls)
        gather(np.add, self.nan, window, nan)
        gather(np.minimum, self._least, window, least.view(self._kind))
        gather(np.maximum, self._most, window, most.view(self._kind))

    def sum(self, window: np.ndarray, whole: np.ndarray | None, rough: np.ndarray) -> None:
        """Add up numbers: modulo 2**64, None of floats; and as floats."""
        if whole is not None:
            gather(np.add, self._sum, window, whole)
        gather(np.add, self._rough, window, rough)

    @property
    def count(self) -> np.ndarray:
        """How many polls had a number: ndarray of uint64."""
        # A forged zone has more NaN than polls.
        return self.polls - np.minimum(self.nan, self.polls)

    def _ends(self, field: Field) -> tuple[np.ndarray, np.ndarray]:
        none = self.count == 0
        least, most = self._least.copy(), self._most.copy()
        least[none] = most[none] = np.nan if self._kind.kind == "f" else 0
        ends = physical_ends(field, least, most)
        if is_scaled(field):
            for end in ends:
                end[none] = np.nan
        return ends

    def min(self, field: Field) -> np.ndarray:
        """Smallest physical values; NaN, or 0 of whole numbers, where there is none."""
        return self._ends(field)[0]

    def max(self, field: Field) -> np.ndarray:
        """As `min`."""
        return self._ends(field)[1]

    def mean(self, field: Field) -> np.ndarray:
        """Means of physical values: ndarray of float64, NaN where there is no number."""
        polls = self.count.astype(np.float64)
        total = self._rough
        if self._kind.kind != "f":
            largest = np.maximum(
                np.abs(self._least.astype(np.float64)), np.abs(self._most.astype(np.float64))
            )
            # A sum that fits into 63 bits is what it is modulo 2**64.
            total = np.where(largest * polls < 2.0**62, self._sum.view(np.int64), total)
        with np.errstate(all="ignore"):
            if parts := parts_of(field):
                return (total + parts[0] * polls) / (parts[1] * polls)
            mean = total / polls
            return mean * field.scale + field.bias if is_scaled(field) else mean


def add_rows(
    windows: Windows, rows: np.ndarray, columns: list[Column], polls: np.ndarray, totals: list[Totals]
) -> None:
    """Count the polls of some rows, whose stamps never fall."""
    if "until_ns" in rows.dtype.fields:
        until = np.maximum(rows["mono_ns"], rows["until_ns"])
        lap = overlaps(windows, rows["mono_ns"], until, True)
        which, window, weight = lap.which, lap.window, _polls_in(windows, rows, until, lap.which, lap.window)
        some = np.flatnonzero(weight)
        which, window, weight = which[some], window[some], weight[some]
    else:
        which, window = np.arange(len(rows)), windows.of(rows["mono_ns"])
        weight = np.ones(len(rows), np.uint64)
    gather(np.add, polls, window, weight)
    for column, into in zip(columns, totals, strict=True):
        values = native(column.numbers(rows)).astype(f"<{column.load.kind}8")[which]
        if column.load.kind == "f":
            nan = np.isnan(values)
            least, most = np.where(nan, np.inf, values), np.where(nan, -np.inf, values)
            into.add(window, weight, np.where(nan, weight, np.uint64(0)), least, most)
            with np.errstate(over="ignore", invalid="ignore"):
                into.sum(window, None, np.where(nan, 0.0, values) * weight)
        else:
            into.add(window, weight, np.zeros(len(window), np.uint64), values, values)
            into.sum(window, values.view(np.uint64) * weight, values.astype(np.float64) * weight)


def _polls_in(
    windows: Windows, rows: np.ndarray, until: np.ndarray, which: np.ndarray, window: np.ndarray
) -> np.ndarray:
    """How many polls of a hold lie in each window that it touches: ndarray of uint64."""
    edges = windows.begin + (window + 1) * windows.period
    through = passed(rows["mono_ns"][which], until[which], rows["polls"][which], edges)
    first, last = outermost(which[1:] != which[:-1], len(which))
    through[last] = rows["polls"][which[last]]
    before = np.where(first, np.uint64(0), np.append(np.uint64(0), through[:-1])[: len(which)])
    return through - before


def add_zones(
    windows: Windows,
    times: Times,
    start: int,
    zones: np.ndarray,
    columns: list[Column],
    polls: np.ndarray,
    totals: list[Totals],
) -> np.ndarray:
    """Count the polls of those zones that lie in one window.

    Parameters
    ----------
    times : Times
        Of the chunk; its stamps never fall.
    start : int
        Where in the chunk the first zone begins.
    zones : ndarray of told_dtype(len(columns))
        One behind the other.

    Returns
    -------
    ndarray of bool
        Which of them were counted.
    """
    begins = start + np.arange(len(zones)) * ZONE
    low = np.maximum(np.searchsorted(times.starts, begins, "right") - 1, 0)
    high = np.minimum(np.searchsorted(times.stops, begins + ZONE, "left"), len(times.stops) - 1)
    window = windows.of(times.least[low])
    whole = (times.starts[low] == begins) & (times.stops[high] == begins + ZONE)
    whole &= window == windows.of(times.most[high])
    for place, column in enumerate(columns):
        if column.load.kind != "f":
            whole &= widths_fit(zones["min"][:, place], zones["max"][:, place], zones["polls"])
    window, some = window[whole], zones[whole]
    gather(np.add, polls, window, some["polls"])
    for place, (column, into) in enumerate(zip(columns, totals, strict=True)):
        least, most, nan, summed = (some[name][:, place].copy() for name in ("min", "max", "nan", "sum"))
        into.add(window, some["polls"], nan, least, most)
        if column.load.kind == "f":
            into.sum(window, None, summed.view(np.float64))
        else:
            above = summed - some["polls"] * least
            numbers = least.view(f"<{column.load.kind}8").astype(np.float64)
            into.sum(window, summed, numbers * some["polls"] + above)
    return whole
