"""Following: records as they come, behind those that one has.

Where they come from is the business of a `Tail`, which a recording or a channel gives to its records.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol, Self

import numpy as np

from fastrec.durations import named_duration
from fastrec.errors import SchemaError
from fastrec.records.chunks import Chunk
from fastrec.records.rows import Rows, Span
from fastrec.schema.gaps import join
from fastrec.times import Clock

if TYPE_CHECKING:
    from fastrec.records.records import Records

__all__ = ["Begin", "Following", "Follows", "Piece", "Tail"]

_LEAST_POLL_NS = 1_000_000  # looking more often would keep a processor busy
_FORMS = "a duration such as '100ms'"


class Piece(NamedTuple):
    """What is new.

    Attributes
    ----------
    chunks : sequence of Chunk
    first : int
        Rows with lower numbers are none of it.
    gaps : ndarray of GAP_DTYPE
    clock : Clock or None
        For their dates.
    """

    chunks: Sequence[Chunk]
    first: int
    gaps: np.ndarray
    clock: Clock | None


class Tail(Protocol):
    """What comes behind some records, piece by piece: every row and every loss once, in order."""

    @property
    def ended(self) -> bool:
        """Whether nothing will be added any more. What has been added by now may still be there to be had."""

    def look(self) -> Piece | None:
        """The next piece; None: there is nothing new by now."""


Begin = Callable[[int | None], Tail]
"""A tail that begins with the record of a number; None: behind everything that the records knew of."""


_Edge = int | None | Callable[[], int | None]
"""A number at which records begin or end, or what finds it; None: with all there was."""


def _number(edge: _Edge) -> int | None:
    return edge() if callable(edge) else edge


class Following(Iterator["Records"]):
    """What `Records.follow` returns: an iterator that an error does not end.

    Parameters
    ----------
    like : Records
        What the new records have in common with those before; its conditions are asked of each piece.
    tail : Tail
    poll_ns : int
    timeout_ns : int or None
    """

    def __init__(self, like: Records, tail: Tail, poll_ns: int, timeout_ns: int | None) -> None:
        self._like = like
        self._tail = tail
        self._poll_ns = poll_ns
        self._timeout_ns = timeout_ns

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Records:
        give_up = None if self._timeout_ns is None else time.monotonic_ns() + self._timeout_ns
        while True:
            # Asked first: when nothing will be added any more, what is there then is all there is.
            ended = self._tail.ended
            piece = self._tail.look()
            if piece is not None:
                found = self._like._piece(piece)
                if len(found) or len(found.gaps):
                    return found
                continue
            pause = self._poll_ns
            if give_up is not None:
                pause = min(pause, give_up - time.monotonic_ns())
            if ended or pause <= 0:
                raise StopIteration
            time.sleep(pause / 1e9)


class Follows:
    """The part of `Records` that knows what comes behind them.

    A number stands where these records begin and where they end; None where they end with all there was.
    """

    _rows: Rows
    _tail: Begin | None = None
    _before: _Edge = 0
    _behind: _Edge = None
    _asked: tuple[tuple[str | None, dict[str, object]], ...] = ()

    def follow(
        self, poll: str | dt.timedelta = "100ms", timeout: str | dt.timedelta | None = None
    ) -> Iterator[Records]:
        """Go on with what comes behind these records: an iterator that waits for more.

        Of a recording these are the rows that its recorder commits; of `Channel.snapshot` and `Channel.last`
        what is published in the ring. Each row comes once, in order, and each loss is once in the `gaps` of
        the records that it comes with. What retention removed before it was read is a ``retired`` gap, what
        left a ring an ``overwritten`` one. A part that holds losses alone has no rows.

        It begins behind the last of these records, even if they are a slice or a window: rows that the
        recording had already come first, and the window's end does not bind. ``records[:0].follow()`` begins
        with the first record of all, ``records[len(records):].follow()`` behind the last. The conditions of
        `where` are asked of what comes, too.

        It ends when the recording is closed, or its recorder has died, and all was handed out; it goes on
        where a recorder resumes within `poll`. Records that are not kept up with cost nothing: the disk has
        them. Damage raises `CorruptionError` where it is touched; the next step goes on behind it.

        Parameters
        ----------
        poll : str or timedelta
            How long to wait before looking again when nothing was new; at least 1 ms.
        timeout : str or timedelta, optional
            End when nothing new has come for that long. Default: wait for ever.

        Returns
        -------
        iterator of Records
            Each a part of the new rows. The last one that was handed out can be read even after retention
            has removed it; older ones like any records.

        Raises
        ------
        SchemaError
            At once: nothing comes behind these records (they are an array's, a part that was followed, every
            n-th row, those at which a field changed, or an empty window), or `poll` or `timeout` is no
            duration.
        """
        poll_ns = max(named_duration("poll", poll, _FORMS, SchemaError), _LEAST_POLL_NS)
        timeout_ns = None if timeout is None else named_duration("timeout", timeout, _FORMS, SchemaError)
        if self._tail is None:
            raise SchemaError(
                f"nothing comes behind these records of {self.name!r}; follow those of a recording or of a"
                " live channel, a slice of them without a step, or a window that has records; what changed is"
                " asked of each part that comes"
            )
        return Following(self, self._tail(_number(self._behind)), poll_ns, timeout_ns)

    def _edge(self, place: int) -> _Edge:
        """Number of the first record that may come behind those before a place."""
        if not self._rows.complete:
            return lambda: self._edge_of(place)  # without it, nobody may ever need the others
        return self._edge_of(place)

    def _edge_of(self, place: int) -> int | None:
        if self._rows.reach(place + 1) == place:
            return _number(self._behind)
        return self._rows.number(place - 1) + 1 if place else _number(self._before)

    def _follows(self, before: _Edge, behind: _Edge, *, known: bool = True) -> None:
        self._before, self._behind = before, behind
        if not known:
            self._tail = None

    def _follows_window(self, all_rows: Rows, behind: _Edge, *, ended: bool) -> None:
        rows = self._rows
        if not len(rows):
            # A window without an end lies behind all, one that has an end nowhere in particular.
            self._follows(behind, behind, known=not ended or not len(all_rows))
            return
        last = rows.number(len(rows) - 1)
        newest = last == all_rows.number(len(all_rows) - 1)
        self._follows(rows.number(0), behind if newest else last + 1)

    def _piece(self, piece: Piece) -> Self:
        other = self._twin()
        other._clock, other._tail, other._asked = piece.clock, None, ()
        first = np.array([piece.first], np.uint64)
        spans = (Span(one, int(one.places_of(first)[0]), len(one)) for one in piece.chunks)
        other._begin(Rows(spans), join(piece.gaps))
        for expression, wanted in self._asked:
            other = other.where(expression, **wanted)
        return other
