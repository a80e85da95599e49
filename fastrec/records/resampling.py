"""Resampling: what there was in windows of equal time, of states and of numbers."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import numpy as np

from fastrec.errors import SchemaError, shown
from fastrec.records.breaks import Breaks
from fastrec.records.chunks import BLOCK
from fastrec.records.columns import Column, Columns, Texts, spare
from fastrec.records.polling import Totals, add_rows, add_zones
from fastrec.records.ranges import divided
from fastrec.records.rows import Rows
from fastrec.records.states import State
from fastrec.records.windows import Origin, Windows, by_state, gather, overlaps, windows_of
from fastrec.schema import Schema
from fastrec.schema.forms import Store
from fastrec.schema.readable import is_scaled
from fastrec.times import Clock, parse_time

__all__ = ["Resampling"]

How = Literal["longest", "first", "last", "min", "max", "mean", "count"]

_STATES, _NUMBERS = ("longest", "first", "last"), ("min", "max", "mean")
_OWN = ("start", "end", "polls", "known", "valid")


class Resampling:
    """The part of `Records` that answers for windows of equal time."""

    name: str
    schema: Schema
    store: Store
    clock: Clock | None
    start: int | None
    end: int | None
    latest: int
    _rows: Rows
    _columns: Columns
    _until: str

    def resample(
        self,
        every: str | dt.timedelta,
        fields: Mapping[str, How | Sequence[How]] | Sequence[str] | str | None = None,
        *,
        origin: Origin = None,
        max_gap: str | int | dt.timedelta | None = None,
    ) -> np.ndarray:
        """What there was in windows of equal time, side by side from the first record to the last.

        Parameters
        ----------
        every : str or timedelta
            How long a window is: ``"10ms"``. Its start belongs to it, its end to the next.
        fields : mapping of str to str or sequence of str, or names, optional
            What to tell of which field, ``{"mode": "longest", "temp": ["min", "max"]}``:

            ==================  ==================================================================
            longest             the state that held longest in the window, all of its intervals
                                together; of equally long ones the earlier
            first, last         the state at the first, and at the last, known time of the window; of
                                records with one stamp the last is the state then, as for `at`
            min, max, mean      of the numbers that were polled in it, NaN aside
            count               how many polls had a number; of a field that is none, how many
            ==================  ==================================================================

            Of names alone, and of all leaves by default: min, max and mean of numbers without labels,
            longest of all else.
        origin : int, str or datetime, optional
            Where a window begins, see `fastrec.times.parse_time`; the others follow in both directions.
            Default: the first record.
        max_gap : str or timedelta, optional
            As for `intervals`.

        Returns
        -------
        structured ndarray, shape (n,)
            A row per window, also where there is nothing: ``start``, ``end`` i8 ns; ``polls`` u8; ``known``
            i8, for how many ns of it an interval tells the states; ``valid``, whether for any time of it.
            Then a struct per field, ``found["temp"]["max"]``. States are raw values as in `transitions`; 0,
            NaN or None where the window is not valid. Numbers are physical values as in `describe`; where
            none was polled, means and other floats are NaN, and whole numbers 0: ``polls``, or count, tells.
            If a field asked for is called like one of the first five, those get a ``_``.

        Raises
        ------
        SchemaError
            If there is no such field, or one is no number where that is asked for; if stamps run backwards;
            of windows, if their length is none or there were more than 2**24.

        Notes
        -----
        States follow the intervals of `durations`. Numbers are counted by polls, not by time: a hold counts
        as often as it was polled in the window, where its polls are taken to lie at equal distances, as
        `expand` has them. A hold that began in an earlier window has its state in this one even if no poll
        fell into it; no number then. Of whole zones that lie in one window no record is read.
        """
        asked = self._asked_fields(fields)
        windows = self._windows(every, origin)
        columns = {name: self._asked_of(name) for name in asked}
        numeric = [name for name in asked if not set(_STATES) >= set(asked[name]) and self._is_number(name)]
        polls, totals = self._totals(windows, [columns[name][0] for name in numeric])
        sums = dict(zip(numeric, totals, strict=True))
        own = [spare(name, asked) for name in _OWN]
        parts = [
            (name, [(how, *self._dtype_of(how, *columns[name])) for how in asked[name]]) for name in asked
        ]
        found = np.zeros(windows.count, [*zip(own, ("<i8", "<i8", "<u8", "<i8", "?"), strict=True), *parts])
        edges = windows.edges()
        known, valid = self._known(windows, max_gap)
        for name, values in zip(own, (edges[:-1], edges[1:], polls, known, valid), strict=True):
            found[name] = values
        for name, hows in asked.items():
            column, texts, state = columns[name]
            states = set(_STATES) & set(hows)
            answers = self._states_in(windows, column, state, max_gap) if states else {}
            for how in hows:
                if how in states:
                    found[name][how] = _spelled(*answers[how], column, texts)
                elif how == "count":
                    found[name][how] = sums[name].count if name in sums else polls
                else:
                    found[name][how] = getattr(sums[name], how)(column.field)
        return found

    def _windows(self, every: str | dt.timedelta | None, origin: Origin) -> Windows:
        """Windows of a length, or one from the first record to the last."""
        if not self._rows.ordered:
            raise SchemaError(
                f"stamps of {self.name!r} run backwards, so it cannot be divided into windows of time;"
                " ask a part in which they do not, or downsample()"
            )
        last = max(self.latest, self.end) if len(self._rows) else None
        return windows_of(self.start, last, every, None if origin is None else parse_time(origin, self))

    def _is_number(self, name: str) -> bool:
        return self._columns.column(name, Texts()).load is not None

    def _asked_fields(
        self, fields: Mapping[str, How | Sequence[How]] | Sequence[str] | str | None
    ) -> dict[str, tuple[How, ...]]:
        """What to tell of each field."""
        if fields is None:
            fields = [field.name for field in self.schema.fields]
        if isinstance(fields, str):
            fields = [fields]
        if not isinstance(fields, Mapping | list | tuple):
            raise SchemaError(
                f'resample() takes fields as {{"mode": "longest"}}, or names, not {shown(fields)}'
            )
        asked: dict[str, tuple[How, ...]] = {}
        for name in fields:
            number = self._is_number(name)
            usual = _NUMBERS if number and self._columns.field(name).labels is None else _STATES[:1]
            hows = fields[name] if isinstance(fields, Mapping) else usual
            asked[name] = (hows,) if isinstance(hows, str) else tuple(hows)
            for how in asked[name]:
                if how in _NUMBERS and not number:
                    self._numeric(name)  # tells what it is
                if how not in (*_STATES, *_NUMBERS, "count"):
                    known = ", ".join((*_STATES, *_NUMBERS, "count"))
                    raise SchemaError(f"of {name!r:.80} one may ask {known}, not {shown(how)}")
        return asked

    def _dtype_of(self, how: How, column: Column, texts: Texts, state: State) -> tuple:
        if how in _STATES:
            return (object,) if column.field.text else state
        if how == "count":
            return ("<u8",)
        return ("<f8",) if how == "mean" or is_scaled(column.field) else (state[0],)

    def _totals(self, windows: Windows, columns: list[Column]) -> tuple[np.ndarray, list[Totals]]:
        """Polls of each window, and what numbers they had."""
        polls = np.zeros(windows.count, np.uint64)
        totals = [Totals(windows.count, column.load.kind) for column in columns]
        zoned = all(column.zone is not None for column in columns)
        for span in self._rows.spans:
            chunk = span.chunk
            times = chunk.times(span.start, span.stop) if zoned else None
            for stretch in divided(span, zoned=times is not None):
                uncounted = np.zeros(0, bool)
                if stretch.zones:
                    some = chunk.zones(*stretch.zones, [column.zone for column in columns])
                    uncounted = ~add_zones(windows, times, stretch.begin, some, columns, polls, totals)
                for part in chunk.parts(*stretch.untold(uncounted)):
                    add_rows(windows, part.rows, columns, polls, totals)
        return polls, totals

    def _known(
        self, windows: Windows, max_gap: str | int | dt.timedelta | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Of each window for how long an interval covers it, and whether at all."""
        known, valid = np.zeros(windows.count, np.int64), np.zeros(windows.count, bool)
        for start, end in _stretches(self._rows, self._until, self._breaks(max_gap)):
            found = overlaps(windows, start, end, True)
            gather(np.add, known, found.window, found.end - found.start)
            valid[found.window] = True
        return known, valid

    def _states_in(
        self, windows: Windows, column: Column, state: State, max_gap: str | int | dt.timedelta | None
    ) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Of each window the states asked for, and whether there is one."""
        seen = np.zeros(windows.count, bool)
        found = {how: np.zeros((windows.count, *state[1]), state[0]) for how in _STATES}
        held: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None  # in the last window so far
        for some in self._intervals(column, max_gap):
            lap = overlaps(windows, some.start, some.end, some.inclusive)
            if not len(lap.window):
                continue
            window, states, length = lap.window, some.state[lap.which], lap.end - lap.start
            ends = np.flatnonzero(np.append(window[1:] != window[:-1], True))
            found["last"][window[ends]] = states[ends]
            seen[window] = True
            if held is not None:
                window, states, length = map(np.concatenate, zip(held, (window, states, length), strict=True))
            sums = by_state(window, states, state, length)
            window, states, length = sums.window, states[sums.first], sums.sums[0]
            begins = np.flatnonzero(np.append(True, window[1:] != window[:-1]))
            found["first"][window[begins]] = states[begins]
            longest = np.lexsort((-length, window))[begins]
            found["longest"][window[longest]] = states[longest]
            last = window == window[-1]
            held = window[last], states[last], length[last]
        return {how: (values, seen) for how, values in found.items()}


def _spelled(values: np.ndarray, seen: np.ndarray, column: Column, texts: Texts) -> np.ndarray:
    if column.field.text:
        spelled = np.full(len(values), None, object)
        spelled[seen] = texts.texts(values[seen])
        return spelled
    if values.dtype.kind in "fc":
        values[~seen] = np.nan
    return values


def _stretches(rows: Rows, until: str, breaks: Breaks) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Stretches of time in which nothing breaks an interval: where they begin, and were seen last."""
    begin = last = None
    for span in rows.spans:
        chunk = span.chunk
        if last is not None and breaks.before(span, *last):
            yield np.array([begin]), np.array([last[1]])
            begin = None
        begin = span.stamp(span.start) if begin is None else begin
        for low in range(span.start, span.stop, BLOCK):
            cuts = breaks.within(chunk, max(span.start, low - 1), min(low + BLOCK, span.stop))
            if len(cuts):
                starts = chunk.at(cuts, "mono_ns")
                yield np.append(begin, starts[:-1]), chunk.at(cuts - 1, until)
                begin = int(starts[-1])
        last = span.end(until)
    if last is not None:
        yield np.array([begin]), np.array([last[1]])
