"""Records: a lazy sequence of records, and the questions one asks about it."""

from __future__ import annotations

import datetime as dt
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from typing import Self, overload

import numpy as np

from fastrec.durations import parse_duration
from fastrec.errors import SchemaError
from fastrec.expressions.binding import bind
from fastrec.records.aligning import Aligning
from fastrec.records.asking import Asking
from fastrec.records.chunks import Chunk
from fastrec.records.columns import Columns
from fastrec.records.conditions import Meeting
from fastrec.records.copying import copy_of
from fastrec.records.exits import Exits
from fastrec.records.expanding import Expanding
from fastrec.records.following import Begin, Follows
from fastrec.records.measuring import Measuring
from fastrec.records.rates import Rates
from fastrec.records.resampling import Resampling
from fastrec.records.rows import Rows, Span
from fastrec.schema import Schema
from fastrec.schema.forms import Store
from fastrec.schema.gaps import join
from fastrec.times import Clock, parse_time

__all__ = ["Records"]

_FOREVER = 2**63


class Records(Asking, Aligning, Measuring, Resampling, Rates, Expanding, Exits, Follows):
    """Records of one channel, in the order of their numbers.

    Slicing and `between` copy nothing. Columns are gathered when they are asked for; the newest 64 MiB of
    them are kept. Records are a snapshot: they never change under their reader.

    Parameters
    ----------
    name : str
        Of the channel.
    schema : Schema
    chunks : iterable of Chunk
        Numbers increase from one to the next. Empty ones are left out.
    gaps : ndarray of GAP_DTYPE
        What was lost, in any order; pieces that adjoin are joined.
    clock : Clock, callable or None
        For dates; or what is asked for it when a date is asked for.
    period_ns : int, optional
        Distance at which the channel is polled; None if it has no rate.
    store : "every" or "changes"
        ``"changes"``: equal records were held as one, which has all of the recorder's columns.
    tail : Begin, optional
        Where `follow` finds what comes behind them.

    Attributes
    ----------
    name, schema, store
        As given.
    """

    def __init__(
        self,
        name: str,
        schema: Schema,
        chunks: Iterable[Chunk],
        *,
        gaps: np.ndarray,
        clock: Clock | Callable[[], Clock | None] | None,
        period_ns: int | None = None,
        store: Store = "every",
        tail: Begin | None = None,
    ) -> None:
        self.name = name
        self.schema = schema
        self._clock = clock
        self._period_ns = period_ns
        self.store: Store = store
        self._tail = tail
        self._begin(Rows(Span(chunk, 0, len(chunk)) for chunk in chunks), join(gaps))

    def _begin(self, rows: Rows, gaps: np.ndarray) -> None:
        self._rows, self._gaps = rows, gaps
        self._columns = Columns(rows, self.schema, self.store)
        self._gaps.flags.writeable = False

    def _twin(self) -> Self:
        other = object.__new__(type(self))  # `copy.copy` would ask how it is pickled
        other.__dict__.update(self.__dict__)
        return other

    def _with(self, rows: Rows, gaps: np.ndarray) -> Self:
        other = self._twin()
        other._begin(rows, gaps)
        return other

    @property
    def clock(self) -> Clock | None:
        """From stamps to dates, as far as that is known."""
        clock = self._clock
        if callable(clock):
            self._clock = clock = clock()
        return clock

    @property
    def gaps(self) -> np.ndarray:
        """What was lost within these records: ndarray of GAP_DTYPE, sorted, read-only.

        Losses before the first and after the last record count where the records are all there were, and for
        `between` those whose time touches the window. An entry is never cut in two.
        """
        return self._gaps

    @property
    def start(self) -> int | None:
        """Stamp of the first record, ns; None if there is no record."""
        return int(self._rows.at(0).rows()["mono_ns"][0]) if self._rows.reach(1) else None

    @property
    def end(self) -> int | None:
        """When the last record was last seen, ns: ``until_ns`` of a hold; None if there is no record."""
        return int(self._rows.at(len(self) - 1).rows()[self._until][0]) if len(self) else None

    @property
    def latest(self) -> int:
        """Largest stamp, ns: the last one unless stamps run backwards; -2**63 if there is no record."""
        return max((span.latest(self.store) for span in self._rows.spans), default=-_FOREVER)

    @property
    def _until(self) -> str:
        return "until_ns" if self.store == "changes" else "mono_ns"

    @property
    def seq(self) -> np.ndarray:
        """Number of each record: ndarray of uint64, shape (n,)."""
        numbers = np.empty(len(self._rows), np.uint64)
        for span, within in self._rows.each():
            span.numbers(numbers[within])
        return numbers

    @property
    def spans(self) -> tuple[Span, ...]:
        """The rows as they are stored, chunk by chunk."""
        return self._rows.spans

    @property
    def polls(self) -> int:
        """For how many polls they stand: as many as there are records, more of holds."""
        if self.store == "every":
            return len(self)
        return sum(span.chunk.polls(span.start, span.stop) for span in self._rows.spans)

    def __len__(self) -> int:
        return len(self._rows)

    def __bool__(self) -> bool:
        return self._rows.reach(1) > 0

    @overload
    def __getitem__(self, key: str) -> np.ndarray: ...
    @overload
    def __getitem__(self, key: int) -> np.void: ...
    @overload
    def __getitem__(self, key: slice) -> Self: ...

    def __getitem__(self, key: str | int | slice) -> np.ndarray | np.void | Self:
        """A column, a record, or a part of the records.

        Parameters
        ----------
        key : str, int or slice
            A str names a field (``"ru_utime.tv_sec"``), an element (``"cells[3]"``), a struct within the
            payload (``"ru_utime"``), a member of all structs of an array (``"motors.pos"``) or one of the
            recorder's columns (``"mono_ns"``). An int counts from the first record here, not by
            number. A slice's step is positive.

        Returns
        -------
        ndarray, shape (n, *shape)
            For a str: raw values, contiguous, read-only; a structured array for a struct.
        numpy.void
            For an int: a copy of one record, with NumPy's names: bit-fields and paths are read by
            ``schema.field("mode").of(record)``.
        Records
            For a slice.

        Raises
        ------
        SchemaError
            If there is no such field, or the key is none of these.
        IndexError
            If there is no such record.
        """
        if isinstance(key, str):
            return self._columns.raw(key)
        if isinstance(key, slice):
            return self._slice(key)
        if not isinstance(key, int | np.integer):
            raise SchemaError(f"records are asked by field name, place or slice, not by {key!r:.60}")
        place = int(key)
        if not (self._rows.reach(place + 1) > place if place >= 0 else -len(self) <= place):
            raise IndexError(f"record {place} of {len(self)} in {self.name}")
        return copy_of(self._rows.at(place if place >= 0 else place + len(self)).rows(), 0)

    def __iter__(self) -> Iterator[np.void]:
        for block in self._rows.blocks():
            rows = block.rows()
            for place in range(len(rows)):
                yield copy_of(rows, place)

    def __array__(self, dtype: np.dtype | None = None, copy: bool | None = None) -> np.ndarray:
        if copy is False:
            raise SchemaError("records are in pieces, so an array of them is a copy; leave out copy=False")
        array = self.to_numpy()
        return array if dtype is None else array.astype(dtype, copy=False)

    def _slice(self, key: slice) -> Self:
        begin, end = key.start or 0, key.stop
        # Of rows that are searched for no more are than the slice needs.
        whole = end is None or end < 0 or begin < 0
        start, stop, step = key.indices(len(self) if whole else self._rows.reach(max(begin, end)))
        if step < 0:
            raise SchemaError("records run forwards only; turn a column round instead: records[name][::-1]")
        rows = self._rows.slice(start, stop, step)
        at_end = len(self._gaps) > 0 and self._rows.reach(stop + 1) == stop
        if not len(self._gaps) or (start == 0 and at_end):
            part = self._with(rows, self._gaps)
        elif start >= stop:
            part = self._with(rows, self._gaps[:0])
        else:
            seq = self._gaps["seq"]
            inside = (seq > self._rows.number(start)) | (start == 0)
            inside &= (seq <= self._rows.number(stop - 1)) | at_end
            part = self._with(rows, self._gaps[inside])
        part._follows(self._edge(start), self._edge(max(start, stop)), known=step == 1)
        return part

    def between(self, start: int | str | dt.datetime | None, end: int | str | dt.datetime | None) -> Self:
        """Records whose stamp lies in ``[start, end)``.

        A hold belongs to the window in which it began, so windows side by side share no record. Stamps that
        run backwards are looked at one by one, others bisected.

        Parameters
        ----------
        start, end : int, str, datetime or None
            Times, see `fastrec.times.parse_time`, which also says what it raises; None: no limit.
        """
        return self.within(
            -_FOREVER if start is None else parse_time(start, self),
            _FOREVER if end is None else parse_time(end, self),
        )

    def within(self, begin: int, end: int) -> Self:
        """`between` for stamps that have been parsed: any ints, ns."""
        rows = self._rows.within(begin, end)
        inside = (self._gaps["t_first"] < end) & (self._gaps["t_last"] >= begin)
        if len(rows):
            seq = self._gaps["seq"]
            inside |= (seq > rows.number(0)) & (seq <= rows.number(len(rows) - 1))
        window = self._with(rows, self._gaps[inside])
        window._follows_window(self._rows, self._behind, ended=end < _FOREVER)
        return window

    def window(self, begin: int, end: int) -> Self:
        """`within`, in one piece, and the record before, which says how it was at the beginning.

        Their gaps are those behind that record, up to the last record here, and those whose time touches the
        window.

        Parameters
        ----------
        begin, end : int
            Stamps, ns.
        """
        rows, before = self._rows.within(begin, end), self._rows.within(-_FOREVER, begin)
        if len(rows):
            first, stop = self.place(rows.number(0)), self.place(rows.number(len(rows) - 1)) + 1
        else:
            first = stop = self.place(before.number(len(before) - 1)) + 1 if len(before) else 0
        found, start = self._rows.slice(max(first - 1, 0), stop, 1), max(first - 1, 0)
        seq, inside = self._gaps["seq"], (self._gaps["t_first"] < end) & (self._gaps["t_last"] >= begin)
        if len(found):
            inside |= seq <= self._rows.number(stop - 1)
            inside &= (seq > self._rows.number(start)) | (first == 0)
        return self._with(found, self._gaps[inside])

    def place(self, number: int) -> int:
        """Place of the first record of at least this number; how many there are, if there is none."""
        return bisect_left(range(len(self)), number, key=self._rows.number)

    def at(self, time: int | str | dt.datetime, max_gap: str | int | dt.timedelta | None = None) -> Self:
        """The record that says how it was at a time: the last one stamped then or before.

        Parameters
        ----------
        time : int, str or datetime
            As for `between`.
        max_gap : str or timedelta, optional
            As for `intervals`.

        Returns
        -------
        Records
            One record; none where nothing is known: before the first, after the last was seen last, and
            where an interval would break between this record and the next.

        Raises
        ------
        SchemaError
            If `max_gap` is no duration; of `time` see `fastrec.times.parse_time`.
        """
        when = parse_time(time, self)
        breaks = self._breaks(max_gap)
        before = self._rows.within(-_FOREVER, when + 1)
        if not len(before):
            return self[:0]
        place = len(before) - 1
        number = before.number(place)
        if self._rows.number(place) != number:  # some stamps run backwards
            place = self.place(number)
        row = self._rows.at(place)
        if when > int(row.rows()[self._until][0]):
            last = place + 1 == len(self)
            if last or self._nothing_known(breaks, row, self._rows.at(place + 1)):
                return self[:0]
        return self[place : place + 1]

    def last(self, amount: int | str | dt.timedelta) -> Self:
        """The newest records.

        Parameters
        ----------
        amount : int, str or timedelta
            How many, or how long before `end` the oldest of them may have been seen (``"2s"``): a hold that
            lasted into that time is one of them.

        Raises
        ------
        SchemaError
            If it is negative or no duration.
        """
        if isinstance(amount, str | dt.timedelta):
            begin = (self.end or 0) - parse_duration(amount)
            newest = self.within(begin, _FOREVER)
            before = len(self) - len(newest) - 1
            if self.store == "changes" and before >= 0 and self[before]["until_ns"] >= begin:
                return self[before:]
            return newest
        if not isinstance(amount, int | np.integer) or amount < 0:
            raise SchemaError(
                f'last() takes a count of records or a duration such as "2s", not {amount!r:.60}'
            )
        return self[max(0, len(self) - int(amount)) :]

    def where(self, expression: str | None = None, /, **wanted: object) -> Self:
        """Records that meet a condition; they keep their numbers.

        Parameters
        ----------
        expression : str, optional
            In the language of `fastrec.expressions`: ``"hr < 0 and dwHTTPRequest > 2"``, ``"mode in (FAULT,
            RUN)"``, ``"has(status, INDI_BEGIN)"``, ``"changed(mode)"``. Values are physical, names are
            fields, or labels of the field that they are compared with. Whole numbers are exact; NaN equals
            NaN, and is neither more nor less than anything.
        **wanted
            Field and value: a label (``mode="FAULT"``), a physical value, the characters of a char array, a
            text, None for NULL, or `fastrec.LOST` for a text that could not be read or kept. Dotted names and
            elements by ``where(**{"ru_utime.tv_sec": 1, "cells[3]": 5})``. NaN finds NaN.

        Returns
        -------
        Records
            Those that meet all of it. Their `gaps` are those of the records asked. What lay between its
            records it does not know: `intervals` of a selection break there.

        Raises
        ------
        ExpressionError
            If the text is no expression, or not one about these fields; it names the column.
        SchemaError
            If a field or label is unknown, or a field can hold no such value.
        """
        if expression is not None and not isinstance(expression, str):
            raise SchemaError(f"where() takes an expression, such as 'hr < 0', not {expression!r:.60}")
        if expression is None and not wanted:
            raise SchemaError("""where() needs a condition, such as where("hr < 0") or where(mode="FAULT")""")
        what = bind(self._columns.placed, expression, wanted)
        changes = [self._changes(name) for name in what.changed]
        found = self._with(Meeting(what, self._columns, changes).rows(self._rows), self._gaps)
        found._asked = (*self._asked, (expression, wanted))
        if what.changed:
            found._tail = None  # of the first record that comes nobody would know what was before it
        return found
