"""Asking about numbers: how large they are, all in all and in the course of time."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from fastrec.errors import SchemaError
from fastrec.records.chunks import ZONE, Chunk
from fastrec.records.columns import Column, Columns, Texts
from fastrec.records.parts import made_of
from fastrec.records.ranges import inside
from fastrec.records.rows import Rows, Span
from fastrec.records.states import State
from fastrec.records.sums import SUM_DTYPE, exact, physical_ends, pieces, total
from fastrec.records.windows import by_state
from fastrec.schema import Field, Schema
from fastrec.schema.forms import Store
from fastrec.schema.readable import is_scaled, native, parts_of

__all__ = ["Measuring"]

_SNAPPING = 4
"""Zones of a bucket that begins with one."""

_POINTS = 1 << 24
"""More than anybody draws, and few enough for memory."""

_LATEST = 2**63 - 1
_MOST = 2**64 - 1

_BUCKET = np.dtype(
    [
        ("bucket", "<i8"),  # in which it begins
        ("reached", "<i8"),  # to which its time goes on
        ("start", "<i8"),
        ("end", "<i8"),
        ("records", "<i8"),
        ("min", "<u8"),  # as in a zone
        ("max", "<u8"),
    ]
)


def _run_dtype(state: State) -> np.dtype:
    """Of a run of a state in `Records.downsample`."""
    dtype = [("start", "<i8"), ("end", "<i8"), ("records", "<i8"), ("state", *state), ("intervals", "<i8")]
    return np.dtype(dtype)


class Measuring:
    """The part of `Records` that answers questions about numbers."""

    schema: Schema
    store: Store
    latest: int
    _rows: Rows
    _columns: Columns
    _until: str

    def describe(self, *fields: str) -> np.ndarray:
        """How large some fields are.

        Parameters
        ----------
        *fields : str
            Numbers: leaves, elements, or the recorder's columns. Default: every numeric scalar of the schema.

        Returns
        -------
        structured ndarray, shape (n,)
            A row per field: ``field`` (str), ``count`` u8 and ``nan`` u8, how many polls had a number and how
            many NaN; ``min``, ``max``, Python numbers, exact, and ``mean`` f8, of physical values: a hold
            counts as often as it was polled. Without a number they are None, None and NaN. Whole numbers are
            summed exactly, floats in any order: the mean is infinite or NaN if a sum of them is.

        Raises
        ------
        SchemaError
            If there is no such field, or it is no number.
        """
        asked = fields or tuple(field.name for field in self.schema.numeric)
        columns = [self._numeric(name) for name in asked]
        dtype = [
            ("field", "O"),
            ("count", "<u8"),
            ("nan", "<u8"),
            ("min", "O"),
            ("max", "O"),
            ("mean", "<f8"),
        ]
        found = np.empty(len(columns), dtype)
        for row, column in zip(found, columns, strict=True):
            row["field"] = column.field.name
            parts = [(span.chunk, part) for span in self._rows.spans for part in pieces(span, column)]
            sums = np.concatenate([np.empty(0, SUM_DTYPE), *(part for _, part in parts)])
            # In Python, because what a file claims may be beyond 64 bits, or less than its NaN.
            nan = exact(sums["nan"])
            count = exact(sums["polls"]) - nan
            row["nan"], row["count"] = min(nan, _MOST), min(max(count, 0), _MOST)
            row["min"] = row["max"] = None
            row["mean"] = np.nan
            if count > 0:
                kind = f"<{column.load.kind}8"
                ends = sums["min"].view(kind).min(keepdims=True), sums["max"].view(kind).max(keepdims=True)
                row["min"], row["max"] = (one.item() for one in physical_ends(column.field, *ends))
                whole = sum(total(chunk, part, column) for chunk, part in parts)
                row["mean"] = _mean(whole, count, column.field)
        return found

    def downsample(
        self, points: int, field: str, max_gap: str | int | dt.timedelta | None = None
    ) -> np.ndarray:
        """A field in the course of time, in fewer points: no spike and no state is lost.

        Parameters
        ----------
        points : int
            Stretches of equal time into which the time from the first record to the last is divided. Of
            numbers where they are as long as `ZONE` records four times and more, each begins with a zone, so
            that records need not be read.
        field : str
            A number as in `describe`, or what has states: a field with labels, a text, characters, an array.
        max_gap : str or timedelta, optional
            Of states, as for `intervals`.

        Returns
        -------
        structured ndarray, shape (n,)
            Of numbers a row per stretch that has records: ``start``, ``end`` i8, ns at which the earliest was
            seen, and the latest was seen last; ``records`` i8; ``min`` and ``max``: physical values in native
            byte order, NaN aside; NaN where there is no other.

            Of states a row per run: ``start``, ``end``, ``records``; ``state`` as in `transitions`;
            ``intervals`` i8. A run is one of the `intervals`, or those of one state that begin in one
            stretch, from the start of the first to the end of the last: a state that lasts is one run however
            long, and however often states change in a stretch, each has a run in it. Rows are in order of
            their stretch, then of their start.

        Raises
        ------
        SchemaError
            If there is no such field, or `points` is below 1 or above 2**24.
        """
        count = isinstance(points, int | np.integer) and not isinstance(points, bool)
        if not count or not 1 <= points <= _POINTS:
            raise SchemaError(f"downsample() takes a count of points, 1 to {_POINTS:,}, not {points!r:.40}")
        column, texts, state = self._asked_of(field)
        if column.load is None or column.field.labels is not None:
            found = np.concatenate(
                [np.empty(0, _run_dtype(state)), *self._runs(int(points), column, state, max_gap)]
            )
            return self._spelled(found, column, texts, "state")
        found = [part for part in self._buckets(column, int(points)) if len(part)]
        raw = np.dtype(f"<{column.load.kind}8")
        number = np.dtype(np.float64) if is_scaled(column.field) else column.field.dtype.newbyteorder("=")
        dtype = [("start", "<i8"), ("end", "<i8"), ("records", "<i8"), ("min", number), ("max", number)]
        if not found:
            return np.empty(0, dtype)
        rows = np.concatenate(found)
        # Where stamps fall, the time goes on from the latest.
        bucket = rows["bucket"].copy()
        bucket[1:] = np.maximum(bucket[1:], rows["reached"][:-1])
        first = np.flatnonzero(np.diff(np.maximum.accumulate(bucket), prepend=-1))
        line = np.empty(len(first), dtype)
        line["start"] = np.minimum.reduceat(rows["start"], first)
        line["end"] = np.maximum.reduceat(rows["end"], first)
        line["records"] = np.add.reduceat(rows["records"], first)
        least = np.minimum.reduceat(rows["min"].view(raw), first)
        most = np.maximum.reduceat(rows["max"].view(raw), first)
        if raw.kind == "f":
            nothing = least > most
            least[nothing] = most[nothing] = np.nan
        line["min"], line["max"] = physical_ends(column.field, least, most)
        return line

    def _numeric(self, name: str) -> Column:
        column = self._columns.column(name, Texts())
        if column.load is None:
            field = column.field
            what = "a text" if field.text else f"{field.dtype} of shape {field.shape}"
            raise SchemaError(f"{name!r:.80} is no number, but {what}")
        return column

    def _runs(
        self, points: int, column: Column, state: State, max_gap: str | int | dt.timedelta | None
    ) -> Iterator[np.ndarray]:
        """Intervals joined by state where they begin in one bucket: ndarray of `_run_dtype`."""
        if not len(self._rows):
            return
        edges = _edges(self._rows.t_first, self.latest, points)
        held = np.empty(0, _run_dtype(state))  # what began in the last bucket so far
        reached = 0
        for some in self._intervals(column, max_gap):
            # Where stamps fall, the time goes on from the latest.
            bucket = np.maximum(np.maximum.accumulate(_bucket(edges, some.start)), reached)
            rows = np.empty(len(held) + len(bucket), held.dtype)
            rows[: len(held)] = held
            for name in ("start", "end", "records", "state"):
                rows[name][len(held) :] = getattr(some, name)
            rows["intervals"][len(held) :] = 1
            bucket = np.append(np.full(len(held), reached), bucket)
            found = by_state(bucket, rows["state"], state, rows["records"], rows["intervals"])
            joined = rows[found.first]
            joined["end"], (joined["records"], joined["intervals"]) = rows["end"][found.last], found.sums
            reached = int(bucket[-1])
            begun = found.window == reached
            yield joined[~begun]
            held = joined[begun]
        yield held

    def _buckets(self, column: Column, points: int) -> Iterator[np.ndarray]:
        """Pieces of records, each in one bucket of time: ndarray of `_BUCKET`."""
        if not len(self._rows):
            return
        edges = _edges(self._rows.t_first, self.latest, points)
        snaps = len(self._rows) >= _SNAPPING * ZONE * points
        for span in self._rows.spans:
            low, high = inside(span.chunk.zone_starts, span)
            times = span.chunk.times(span.start, span.stop) if snaps and low < high else None
            if times is None or column.zone is None:
                yield from _cut(span, column, edges, self._until)
                continue
            for part, whole in _parted(span):
                if whole:
                    for found in pieces(part, column):
                        yield _snapped(span.chunk, found, edges, self._until)
                else:
                    yield from _cut(part, column, edges, self._until)


def _edges(first: int, latest: int, points: int) -> np.ndarray:
    """Where buckets of equal time begin: ndarray of int64, shape (points,)."""
    whole, rest = divmod(max(0, latest - first) + 1, points)
    steps = np.arange(points, dtype=np.uint64)
    passed = steps * np.uint64(whole % 2**64) + steps * np.uint64(rest) // np.uint64(points)
    return (passed + np.uint64(first % 2**64)).view(np.int64)


def _parted(span: Span) -> Iterator[tuple[Span, bool]]:
    """Some rows in parts, and whether no record is missing within a zone of a part, or before or behind its
    zones: what lies on both sides of a loss may be far apart in time.
    """
    zones, skips = span.chunk.zone_starts, span.chunk.skips(span.start, span.stop)
    low, high = inside(zones, span)
    borders = np.unique([span.start, *zones[low:high], zones[high - 1] + ZONE, span.stop])
    which = np.searchsorted(borders, skips, "right") - 1
    broken = np.zeros(len(borders) - 1, bool)
    broken[which[borders[which] < skips]] = True
    cuts = np.flatnonzero(np.diff(broken)) + 1
    for first, last in pairwise([0, *cuts.tolist(), len(broken)]):
        yield Span(span.chunk, int(borders[first]), int(borders[last])), not broken[first]


def _bucket(edges: np.ndarray, stamps: np.ndarray) -> np.ndarray:
    """Of each stamp its bucket; stamps that fall may lie before them all."""
    return np.maximum(np.searchsorted(edges, stamps, "right") - 1, 0)


def _snapped(chunk: Chunk, found: np.ndarray, edges: np.ndarray, until: str) -> np.ndarray:
    """Pieces in the buckets in which they begin."""
    rows = np.empty(len(found), _BUCKET)
    rows["min"], rows["max"], rows["records"] = found["min"], found["max"], found["stop"] - found["start"]
    times = chunk.times(int(found["start"][0]), int(found["stop"][-1]))
    low = np.searchsorted(times.starts, found["start"], "right") - 1
    high = np.searchsorted(times.stops, found["stop"], "left")
    ends = np.column_stack([low, high + 1]).ravel()
    rows["start"] = np.minimum.reduceat(np.append(times.least, _LATEST), ends)[::2]
    rows["end"] = np.maximum.reduceat(np.append(times.most, -_LATEST), ends)[::2]
    # Of some blocks only a part is meant.
    for cut in np.flatnonzero((times.starts[low] != found["start"]) | (times.stops[high] != found["stop"])):
        some = chunk.rows(int(found["start"][cut]), int(found["stop"][cut]))
        rows["start"][cut], rows["end"][cut] = some["mono_ns"].min(), some[until].max()
    rows["bucket"], rows["reached"] = _bucket(edges, rows["start"]), _bucket(edges, rows["end"])
    return rows


def _cut(span: Span, column: Column, edges: np.ndarray, until: str) -> Iterator[np.ndarray]:
    """Pieces of records that are all in one bucket, by their stamps."""

    def cut(rows: np.ndarray) -> np.ndarray:
        stamps = np.ascontiguousarray(rows["mono_ns"])
        first, bucket = _begins(edges, stamps)
        found = np.empty(len(first), _BUCKET)
        found["bucket"] = found["reached"] = bucket
        found["start"] = np.minimum.reduceat(stamps, first)
        found["end"] = np.maximum.reduceat(rows[until], first)
        found["records"] = np.diff(first, append=len(rows))
        least = most = native(column.numbers(rows)).astype(f"<{column.load.kind}8")
        if column.load.kind == "f" and (nan := np.isnan(least)).any():
            least, most = np.where(nan, np.inf, least), np.where(nan, -np.inf, most)
        found["min"] = np.minimum.reduceat(least, first).view(np.uint64)
        found["max"] = np.maximum.reduceat(most, first).view(np.uint64)
        return found

    return made_of(span.pieces(), cut)


def _begins(edges: np.ndarray, stamps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of stamps, at least one, those with which another bucket begins, and which; a bucket goes on where
    stamps fall.
    """
    low, high = _bucket(edges, stamps[[0, -1]]).tolist()
    if high - low >= len(stamps) or (stamps[1:] < stamps[:-1]).any():
        bucket = np.maximum.accumulate(_bucket(edges, stamps))
        first = np.flatnonzero(np.diff(bucket, prepend=-1))
        return first, bucket[first]
    first = np.append(0, stamps.searchsorted(edges[low + 1 : high + 1]))
    filled = first < np.append(first[1:], len(stamps))
    return first[filled], np.arange(low, high + 1)[filled]


def _mean(whole: int | float, polls: int, field: Field) -> float:
    """Physical value of the mean of so many polls."""
    if parts := parts_of(field):
        return (whole + parts[0] * polls) / (parts[1] * polls)
    mean = whole / polls
    return mean * field.scale + field.bias if is_scaled(field) else mean
