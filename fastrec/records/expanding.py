"""Expanding: holds as the polls that they stand for."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from functools import cached_property
from itertools import accumulate
from typing import Self

import numpy as np

from fastrec.errors import CorruptionError, SchemaError
from fastrec.records.chunks import BLOCK, Chunk
from fastrec.records.copying import as_unsigned
from fastrec.records.numbering import Numbering
from fastrec.records.rows import Rows, Span
from fastrec.records.windows import elapsed
from fastrec.schema import Schema
from fastrec.schema.forms import Store, payload_offset
from fastrec.schema.texts import Text

__all__ = ["Expanding", "passed"]

_MOST_POLLS = 2**62

_FEW = 16
"""Holds of a block before which polls are counted one by one."""


def passed(start: np.ndarray, until: np.ndarray, polls: np.ndarray, stamps: np.ndarray) -> np.ndarray:
    """How many polls of each hold came before a time.

    Poll k of n, from 0 on, is at ``start + k * (until - start) // (n - 1)``.

    Parameters
    ----------
    start, until : ndarray of int64, shape (n,)
        When each hold was seen first, and last; one before its start counts as that.
    polls : ndarray of uint64, shape (n,)
    stamps : ndarray of int64, shape (n,)

    Returns
    -------
    ndarray of uint64, shape (n,)
    """
    length, time = elapsed(start, until), elapsed(start, stamps)
    steps = np.maximum(polls, np.uint64(1)) - np.uint64(1)
    inside = (time > 0) & (time <= length)
    exact = inside & (time.astype(np.float64) * steps < 2.0**63)
    found = np.where(time > length, polls, np.uint64(0))
    # The smallest whole number that is not below the quotient.
    found[exact] = -(-(time[exact] * steps[exact]).view(np.int64) // length[exact].view(np.int64))
    for row in np.flatnonzero(inside & ~exact).tolist():
        found[row] = -(-int(time[row]) * int(steps[row]) // int(length[row]))
    # One poll alone is the first.
    found[inside & (steps == 0)] = polls[inside & (steps == 0)]
    return found


def _stamps(start: np.ndarray, until: np.ndarray, polls: np.ndarray, poll: np.ndarray) -> np.ndarray:
    """When some polls of holds, from 0 on, came: ndarray of int64."""
    length = elapsed(start, until)
    steps = np.maximum(np.maximum(polls, np.uint64(1)) - np.uint64(1), np.uint64(1))
    rare = np.flatnonzero(length.astype(np.float64) * poll >= 2.0**63)
    after = length * poll // steps
    for row in rare.tolist():
        after[row] = int(length[row]) * int(poll[row]) // int(steps[row])
    return (start.astype(np.int64).view(np.uint64) + after).view(np.int64)


class Expanding:
    """The part of `Records` that takes holds apart."""

    schema: Schema
    store: Store
    _rows: Rows
    _gaps: np.ndarray

    def expand(self) -> Self:
        """Holds as the polls they stand for, a record each; made when they are looked at.

        Returns
        -------
        Records
            With ``store="every"``: as many records as there were `polls`; for a channel that stores every
            record these records. All polls of a hold have its payload. Their stamps are exact for the first
            and the last of a hold and equally spaced between: when these polls came in truth was not kept,
            only that they were at most ``max_gap_ns`` apart. Numbers count polls; `gaps` are told by these
            numbers. They cannot be followed.

        Raises
        ------
        SchemaError
            If they stand for more than 2**62 polls, as only those of a damaged file do.

        Notes
        -----
        Of each 65,536 holds, and at each loss, one number is kept. What is asked of the records makes so many
        polls at a time as it looks at; ``expand().chunks()`` hands them out a part at a time.
        """
        if self.store == "every":
            return self
        chunks, more, done = [], 0, 0
        gaps = self._gaps.copy()
        for span in self._rows.spans:
            chunk = _Polls(span, self.schema, more)
            # A loss lies before the first record with its number or a larger one.
            last = np.uint64(span.chunk.number(span.stop - 1))
            end = int(np.searchsorted(self._gaps["seq"], last, "right"))
            gaps["seq"][done:end] += chunk.more_before(self._gaps["seq"][done:end])
            more, done = chunk.more, end
            chunks.append(chunk)
        gaps["seq"][done:] += np.uint64(more % 2**64)
        polls = self._twin()
        polls.store = "every"
        polls._tail = None
        polls._begin(Rows(Span(chunk, 0, len(chunk)) for chunk in chunks), gaps)
        return polls


class _Polls(Chunk):
    """The polls of some holds. Their numbers are those of the holds, with the polls held before them added.

    Parameters
    ----------
    span : Span
        Of holds, at least one.
    schema : Schema
    more : int
        By how much the polls of the holds before are more than these.

    Attributes
    ----------
    more : int
        The same behind these.
    """

    def __init__(self, span: Span, schema: Schema, more: int) -> None:
        self._span = span
        self._more = more
        self._dtype = schema.record("every")
        self._size = schema.dtype.itemsize
        self._ordered: bool | None = None
        self._kept: tuple[int, np.ndarray] | None = None
        polls = [span.chunk.polls(block.start, block.stop) for block in span.blocks()]
        if sum(polls) + more > _MOST_POLLS:
            raise SchemaError(f"these holds stand for {sum(polls) + more} polls: more than can be numbered")
        self._ends = list(accumulate(polls))
        self.more = more + self._ends[-1] - (span.stop - span.start)
        self.first_seq = (span.chunk.number(span.start) + more) % 2**64

    def __len__(self) -> int:
        return self._ends[-1]

    def _block(self, number: int) -> Span:
        start = self._span.start + number * BLOCK
        return Span(self._span.chunk, start, min(start + BLOCK, self._span.stop))

    def _through(self, number: int) -> np.ndarray:
        """Of each hold of a block, how many polls there were with its own: ndarray of int64."""
        if self._kept is None or self._kept[0] != number:
            polls = self._block(number).rows()["polls"]
            before = self._ends[number - 1] if number else 0
            through = np.cumsum(polls, dtype=np.uint64)
            if int(through[-1]) != self._ends[number] - before or (through[1:] < through[:-1]).any():
                raise CorruptionError(
                    f"these holds stand for {self._ends[number] - before} polls by their zones, and for"
                    f" {int(through[-1])} by the records"
                )
            self._kept = number, through.view(np.int64) + before
        return self._kept[1]

    @cached_property
    def numbering(self) -> Numbering:
        span = self._span
        holds = np.append(span.start, span.chunk.skips(span.start, span.stop))
        begins = self._polls_before(holds - span.start)
        more = self._more + begins - (holds - span.start)
        return Numbering(begins, span.chunk.numbers_at(holds) + as_unsigned(more))

    def more_before(self, numbers: np.ndarray) -> np.ndarray:
        """By how much the polls before holds of some numbers, increasing, are more than the holds."""
        span = self._span
        holds = np.clip(span.chunk.places_of(numbers), span.start, span.stop) - span.start
        return as_unsigned(self._more + self._polls_before(holds) - holds)

    def _polls_before(self, holds: np.ndarray) -> np.ndarray:
        """How many polls there are before some holds, which count from the first: ndarray of int64."""
        found = np.empty(len(holds), np.int64)
        blocks = np.minimum(holds // BLOCK, len(self._ends) - 1)
        for number in np.unique(blocks).tolist():
            some = np.flatnonzero(blocks == number)
            before = self._ends[number - 1] if number else 0
            if len(some) <= _FEW:  # zones tell of most, and the others are read alone
                start = self._block(number).start
                stops = (self._span.start + holds[some]).tolist()
                found[some] = [before + self._span.chunk.polls(start, stop) for stop in stops]
            else:
                found[some] = np.append(before, self._through(number))[holds[some] - number * BLOCK]
        return found

    def _holds(self, start: int, stop: int) -> Iterator[tuple[Span, np.ndarray, np.ndarray]]:
        """The holds of some polls: which block, of each poll its hold there, and which of its polls it is."""
        number = bisect_right(self._ends, start)
        while start < stop:
            through = self._through(number)
            end = min(stop, self._ends[number])
            first, last = np.searchsorted(through, [start, end - 1], "right")
            ends = np.minimum(through[first : last + 1], end)
            counts = np.diff(ends, prepend=start)
            which = np.repeat(np.arange(first, last + 1), counts)
            before = np.append(self._ends[number - 1] if number else 0, through)[which]
            yield self._block(number), which, np.arange(start, end) - before
            start, number = end, number + 1

    def rows(self, start: int, stop: int) -> np.ndarray:
        rows = np.zeros(stop - start, self._dtype)
        into, done = rows.view(np.uint8).reshape(len(rows), self._dtype.itemsize), 0
        begin, source = payload_offset("every"), payload_offset("changes")
        for block, which, poll in self._holds(start, stop):
            low = int(which[0])
            holds = block.rows()[low : int(which[-1]) + 1]
            data = np.ascontiguousarray(holds).view(np.uint8).reshape(len(holds), holds.dtype.itemsize)
            part = slice(done, done + len(which))
            into[part, begin : begin + self._size] = data[which - low, source : source + self._size]
            columns = (holds[name][which - low] for name in ("mono_ns", "until_ns", "polls"))
            rows["mono_ns"][part] = _stamps(*columns, poll.astype(np.uint64))
            done += len(which)
        rows.flags.writeable = False
        return rows

    def text(self, identifier: int) -> Text:
        return self._span.chunk.text(identifier)

    @property
    def ordered(self) -> bool:
        if self._ordered is None:
            self._ordered = self._span.ordered and not self._overlapping()
        return self._ordered

    def _overlapping(self) -> bool:
        """Whether a hold was seen after the next began."""
        last = None
        for block in self._span.blocks():
            holds = block.rows()
            seen = np.maximum(holds["mono_ns"], holds["until_ns"])
            if (holds["mono_ns"][1:] < seen[:-1]).any() or (last is not None and holds["mono_ns"][0] < last):
                return True
            last = seen[-1]
        return False
