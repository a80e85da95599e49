"""Asking about states: how records answer, from what lies in their chunks."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

import numpy as np

from fastrec.records import queries
from fastrec.records.breaks import Breaks, breaking
from fastrec.records.columns import Column, Columns, Texts
from fastrec.records.rows import Rows, Span
from fastrec.records.runs import Runs, runs, stamps_at
from fastrec.records.seen import polls_before
from fastrec.records.states import State, equal, shifted, state_dtype
from fastrec.records.tallies import tallies
from fastrec.schema.forms import Store

__all__ = ["Asking"]


class Asking:
    """The part of `Records` that answers questions about states."""

    store: Store
    _rows: Rows
    _columns: Columns
    _gaps: np.ndarray
    _period_ns: int | None
    _until: str

    def transitions(self, field: str) -> np.ndarray:
        """Records whose state is not that of the record before; the first record is none.

        Parameters
        ----------
        field : str
            A leaf, an element of one (``"cells[3]"``), or one of the recorder's columns.

        Returns
        -------
        structured ndarray, shape (n,)
            ``seq`` u8, ``time`` i8 ns, ``from`` and ``to``: raw values in native byte order, of texts as in
            `decode`, of `fastrec.Masked` labels the first word of each state. What a gap hid is not in it.

        Raises
        ------
        SchemaError
            If there is no such field.
        """
        column, texts, state = self._asked_of(field)
        dtype = queries.transition_dtype(state)
        found = [np.empty(0, dtype)]
        for number, run, rows, before in self._changed(column):
            chunk, places = self._rows.spans[number].chunk, run.places[rows]
            part = np.empty(len(rows), dtype)
            part["seq"], part["time"] = chunk.numbers_at(places), stamps_at(chunk, run, places)
            part["from"], part["to"] = before[rows], run.values[rows]
            found.append(part)
        return self._spelled(np.concatenate(found), column, texts, "from", "to")

    def intervals(self, field: str, max_gap: str | int | dt.timedelta | None = None) -> np.ndarray:
        """Stretches in which a field kept one state.

        An interval ends when the record comes that opens the next, or, where it breaks, with its last record
        (the ``until_ns`` of a hold). It breaks where nothing is known for longer than `max_gap`; shorter gaps
        are counted in its ``lost``. Neighbouring holds of one state are one interval, and none is cut: within
        one, polls are at most its ``max_gap_ns`` apart.

        Parameters
        ----------
        field : str
            A leaf, an element of one (``"cells[3]"``), or one of the recorder's columns.
        max_gap : str or timedelta, optional
            A duration; 0: every gap breaks. Default: ten periods, at least 10 ms; of a channel without a
            rate, 0.

        Returns
        -------
        structured ndarray, shape (n,)
            ``state`` as in `transitions`; ``start``, ``end``, ``duration`` i8 ns; ``records`` i8; ``polls``
            u8, how often the state was seen; ``lost`` u8; ``opened_by`` and ``closed_by``: ``"start"``,
            ``"change"``, ``"gap"``, ``"end"``.

        Raises
        ------
        SchemaError
            If there is no such field, or `max_gap` is no duration.
        """
        column, texts, state = self._asked_of(field)
        found = queries.interval_rows(self._intervals(column, max_gap), state)
        return self._spelled(found, column, texts, "state")

    def durations(self, field: str, max_gap: str | int | dt.timedelta | None = None) -> np.ndarray:
        """Total time in each state.

        Parameters
        ----------
        field, max_gap
            As in `intervals`.

        Returns
        -------
        structured ndarray, shape (n,)
            A row per state in order of first appearance: ``state``, ``known`` (bool), ``duration`` i8 ns,
            ``intervals`` i8, ``records`` i8, ``share`` f8 of the time from first to last record. Unknown
            time, if there is any, is the last row, with ``known`` False.
        """
        column, texts, state = self._asked_of(field)
        found = queries.durations(self._intervals(column, max_gap), state)
        spelled = self._spelled(found, column, texts, "state")
        if column.field.text:
            spelled["state"][~spelled["known"]] = None
        return spelled

    def counts(self, field: str) -> np.ndarray:
        """How many records there are in each state.

        Parameters
        ----------
        field : str
            As in `transitions`.

        Returns
        -------
        structured ndarray, shape (n,)
            A row per state in order of first appearance: ``state`` as in `transitions`, ``records`` i8,
            ``polls`` u8, how often it was seen.

        Raises
        ------
        SchemaError
            If there is no such field.
        """
        column, texts, state = self._asked_of(field)
        found = queries.counts(self._run_lengths(column), state)
        return self._spelled(found, column, texts, "state")

    def _breaks(self, max_gap: str | int | dt.timedelta | None) -> Breaks:
        return Breaks(self._gaps, *breaking(max_gap, self._period_ns), holds=self.store == "changes")

    def _nothing_known(self, breaks: Breaks, before: Span, after: Span) -> bool:
        """Whether an interval breaks between two neighbours."""
        return breaks.before(after, *before.end(self._until))

    def _asked_of(self, field: str) -> tuple[Column, Texts, State]:
        column = self._columns.column(field, texts := Texts())
        nothing = self._columns.nothing()
        return column, texts, state_dtype(column.states(column.values(nothing.chunk, nothing.rows())))

    def _spelled(self, found: np.ndarray, column: Column, texts: Texts, *names: str) -> np.ndarray:
        return texts.spell(found, names) if column.field.text else found

    def _changed(self, column: Column) -> Iterator[tuple[int, Runs, np.ndarray, np.ndarray]]:
        """Runs, and in which span they are: which of them change the state, the state before each."""
        last = None
        for number, run in runs(self._rows.spans, column):
            before = shifted(run.values, last)
            last = run.values[-1:]
            yield number, run, np.flatnonzero(~equal(before, run.values)), before

    def _changes(self, field: str) -> list[np.ndarray]:
        """Of each span the places at which the state is not that of the row before; the first row is none."""
        found = [[np.empty(0, np.int64)] for _ in self._rows.spans]
        for number, run, rows, _ in self._changed(self._columns.column(field, Texts())):
            found[number].append(run.places[rows])
        return [np.concatenate(places) for places in found]

    def _run_lengths(self, column: Column) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        spans = self._rows.spans
        if self.store == "every":
            for states, records in tallies(spans, column):
                yield states, records, records
            return
        for number, run in runs(spans, column):
            polls = polls_before(spans[number].chunk, run.start, np.append(run.places, run.stop))
            yield run.values, np.diff(run.places, append=run.stop), np.diff(polls)

    def _intervals(
        self, column: Column, max_gap: str | int | dt.timedelta | None
    ) -> Iterator[queries.Intervals]:
        return queries.intervals(self._openings(column, self._breaks(max_gap)), self._gaps)

    def _openings(self, column: Column, breaks: Breaks) -> Iterator[queries.Openings]:
        """Where a state begins, or knowledge broke off before."""
        holds, until = self.store == "changes", self._until
        value = before = last = None  # of the row before, and of the last of the span before and of this one
        spans = self._rows.spans
        for number, run in runs(spans, column):
            span, chunk = spans[number], spans[number].chunk
            first = run.start == span.start
            if first:
                before, last = last, span.end(until)
            broken = breaks.within(chunk, max(span.start, run.start - 1), run.stop)
            seq_before, until_before = chunk.numbers_at(broken - 1), chunk.at(broken - 1, until)
            if first and before is not None and breaks.before(span, *before):
                broken = np.insert(broken, 0, run.start)
                seq_before = np.insert(seq_before, 0, before[0])
                until_before = np.insert(until_before, 0, before[1])
            opens = ~equal(shifted(run.values, value), run.values)
            opens[0] |= value is None
            row, values = run.places[opens], run.values[opens]
            if len(broken):
                row = _merged(row, broken)
                values = run.values[np.searchsorted(run.places, row, side="right") - 1]
            broke = np.zeros(len(row), bool)
            broke[np.searchsorted(row, broken)] = True
            passed, polls = row - run.start, run.stop - run.start
            if holds:
                passed = polls_before(chunk, run.start, np.append(row, run.stop))
                passed, polls = passed[:-1], int(passed[-1])
            yield queries.Openings(
                rows=run.stop - run.start,
                polls=polls,
                row=row - run.start,
                passed=passed.astype(np.uint64),
                seq=chunk.numbers_at(row),
                time=stamps_at(chunk, run, row),
                values=values,
                broke=broke,
                seq_before=_spread(seq_before, broke),
                until_before=_spread(until_before, broke),
                last_seq=last[0],
                last_until=last[1],
            )
            value = run.values[-1:]


def _merged(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Two increasing arrays as one; what is in both is once in it."""
    both = np.sort(np.concatenate([one, other]))
    return both[np.diff(both, prepend=-1) > 0]


def _spread(values: np.ndarray, where: np.ndarray) -> np.ndarray:
    """The values where it is true, in order, and 0 elsewhere."""
    spread = np.zeros(len(where), values.dtype)
    spread[where] = values
    return spread
