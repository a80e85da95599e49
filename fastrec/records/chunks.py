"""Pieces that records are made of.

A ring gives one chunk, a recording one per segment; records know neither. Only a chunk knows where its rows
are and checks them when they are touched. A query that picks rows out wraps a chunk into a
:class:`Selection`, so that a row keeps the number it was recorded with and only its place is stored.
"""

from __future__ import annotations

import bisect
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from typing import Protocol

import numpy as np

from fastrec.core import zone
from fastrec.core.condition import Condition
from fastrec.records.copying import as_bytes, filled, join_rows, part_of, picked
from fastrec.records.looking import Tally, changes, met
from fastrec.records.numbering import Numbering
from fastrec.records.parts import Met, Part, Picked, Tallied, Times, made_of, outermost
from fastrec.schema.texts import LOST, Text

__all__ = ["BLOCK", "STAMP", "ZONE", "ArrayChunk", "Chunk", "Selection", "in_order"]

BLOCK = 65_536
"""Rows that a query looks at in one go: enough for NumPy's loops, few enough for the processor's caches."""

ZONE = 1_024
"""Rows that a zone sums up."""

STAMP = 0, 8
"""Where in a row its stamp is: offset and size."""


def in_order(pieces: Iterable[np.ndarray]) -> bool:
    """Whether no stamp is smaller than the one before it, from one piece to the next; none is empty."""
    last = None
    for stamps in pieces:
        if (stamps[1:] < stamps[:-1]).any() or (last is not None and stamps[0] < last):
            return False
        last = stamps[-1]
    return True


class Chunk(Protocol):
    """Rows that live in one place, immutable, numbered upwards.

    Implementations derive from this class: a chunk whose numbers are consecutive need only say where it
    begins and how rows and texts are read; another one has a `numbering` of its own. `ordered` and `find`
    read rows; a chunk with an index of its times overrides them.

    Attributes
    ----------
    first_seq : int
        Number of its first record.
    zone_starts : range
        Rows at which its zones begin, `ZONE` rows each; it may have none.
    near : int
        Rows between two that are picked, so few that they are read with them.
    """

    first_seq: int
    zone_starts = range(0)
    near = 8_192

    @abstractmethod
    def __len__(self) -> int:
        """Count of rows; it never changes."""

    @abstractmethod
    def rows(self, start: int, stop: int) -> np.ndarray:
        """Rows ``start ... stop - 1``, ``0 <= start <= stop <= len``: read-only, of the record dtype,
        checked.
        """

    def parts(self, starts: np.ndarray, stops: np.ndarray) -> Iterator[Part]:
        """The rows of some ranges, about `BLOCK` of them at a time; a long range is divided. A chunk that has
        to read them begins when it is asked, ahead of who looks at the first.

        Parameters
        ----------
        starts, stops : ndarray of int64
            Places, increasing, no two ranges overlap.
        """
        for start, stop in zip(starts.tolist(), stops.tolist(), strict=True):
            for low in range(start, stop, BLOCK):
                high = min(low + BLOCK, stop)
                yield Part(self.rows(low, high), np.array([0]), np.array([low]), np.array([high]))

    def changed(
        self, starts: np.ndarray, stops: np.ndarray, watched: tuple[int, int, int], *, few: bool
    ) -> Iterator[Picked]:
        """Of some ranges of rows the first ones, and those at which some bytes are not as in the row before.
        Others of the ranges may come with them. It begins as `parts` does.

        Parameters
        ----------
        starts, stops : ndarray of int64
            As of `parts`.
        watched : (offset, size, mask)
            As `fastrec.core.scan.changes` takes them.
        few : bool
            Whether there should be few such rows.
        """
        return made_of(self.parts(starts, stops), lambda part: changes(part, watched))

    def tallied(
        self, starts: np.ndarray, stops: np.ndarray, watched: tuple[int, int, int]
    ) -> Iterator[Tallied]:
        """How many rows of some ranges have each pattern of some bytes, at most 8, by stretches of rows. It
        begins as `parts` does. Arguments as of `changed`.
        """
        return made_of(self.parts(starts, stops), Tally(watched).of)

    def meeting(self, starts: np.ndarray, stops: np.ndarray, condition: Condition) -> Iterator[Met]:
        """The rows of some ranges that meet a condition which is `alone`. It begins as `parts` does."""
        return made_of(self.parts(starts, stops), lambda part: met(part, condition))

    def at(self, places: np.ndarray, name: str | None = None) -> np.ndarray:
        """Copies of the rows at some places, checked.

        Parameters
        ----------
        places : ndarray of int64
            Increasing.
        name : str, optional
            One of the recorder's columns: only that.
        """
        if len(places) == 0:
            return picked(self.rows(0, 0), places, name)
        # Rows far from any of them are not read, and so not checked either.
        first, last = outermost(places[1:] - places[:-1] > self.near, len(places))
        parts = []
        for part in self.parts(places[first], places[last] + 1):
            low, high = places.searchsorted([part.starts[0], part.stops[-1]])
            parts.append(picked(part.array, part.within(places[low:high]), name))
        return join_rows(parts) if name is None else np.concatenate(parts)

    def copy(self, start: int, stop: int, offset: int, into: np.ndarray) -> None:
        """Copy some bytes of each of the rows ``start ... stop - 1``, checked.

        Parameters
        ----------
        offset : int
            Of the bytes in a row.
        into : ndarray of void, shape (stop - start,)
            Contiguous; its itemsize says how many bytes.
        """
        place = 0
        for rows in self.pieces(start, stop):
            into[place : place + len(rows)] = part_of(rows, offset, into.itemsize)
            place += len(rows)
        filled(into, place)

    def pieces(self, start: int, stop: int) -> Iterator[np.ndarray]:
        """The rows ``start ... stop - 1`` as `parts` has them: pieces that may all have the same memory."""
        parts = self.parts(np.array([start]), np.array([stop]))
        return made_of(parts, lambda part: part.array[part.begins[0] : part.ends[0]])

    def zones(self, low: int, high: int, columns: Sequence[int]) -> np.ndarray:
        """The zones that begin at ``zone_starts[low:high]``, of some of the numeric fields of the schema:
        ndarray of told_dtype(len(columns)), whose ``crc`` means nothing.
        """
        raise IndexError(f"zones {low} to {high} of a chunk that has none")

    def zone_runs(self, low: int, high: int, column: int, *, floating: bool) -> tuple[np.ndarray, np.ndarray]:
        """The states that these zones tell of a numeric field, run by run.

        Parameters
        ----------
        low, high : int
            As of `zones`.
        column : int
            Of the numeric fields of the schema.
        floating : bool
            Whether the field is of floats.

        Returns
        -------
        known : ndarray of bool, shape (high - low,)
            Which zones tell theirs.
        runs : ndarray of int64, shape (n, 4)
            As of `fastrec.core.zone.zone_runs`.
        """
        words = self.zones(low, high, [column]).view(np.uint64).reshape(high - low, -1)
        known, runs = np.empty(len(words), np.uint8), np.empty((2 * len(words), 4), np.int64)
        found = zone.zone_runs(words, self.zone_starts[low], floating, runs, known)
        return known.view(bool), runs[:found]

    def silences(self, low: int, high: int) -> np.ndarray:
        """The longest time between two records of each of these zones, us, of uint32, as a zone tells it: 0
        where that is not known without reading them.
        """
        raise IndexError(f"zones {low} to {high} of a chunk that has none")

    def times(self, start: int, stop: int) -> Times | None:
        """What is known of the stamps of the rows ``start ... stop - 1`` without reading them."""
        return None

    def text(self, identifier: int) -> Text:
        """Text of an id as its rows hold it; None for 0 (NULL), LOST for what could not be read or kept."""
        return LOST if identifier else None

    @cached_property
    def numbering(self) -> Numbering:
        """Which row has which number."""
        return Numbering.consecutive(self.first_seq)

    def numbers(self, start: int, stop: int, out: np.ndarray | None = None) -> np.ndarray:
        """Numbers of the rows ``start ... stop - 1``, u8, strictly increasing; into an array, if there is
        one.
        """
        return self.numbering.of(start, stop, out)

    def numbers_at(self, places: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """Numbers of the rows at some places, u8; into an array, if there is one."""
        return self.numbering.at(places, out)

    def number(self, place: int) -> int:
        """Number of the row at a place."""
        return self.numbering.number(place)

    def skips(self, start: int, stop: int) -> np.ndarray:
        """Of the rows ``start + 1 ... stop - 1`` those whose number does not follow the one before."""
        return self.numbering.skips(start, stop)

    def places_of(self, numbers: np.ndarray) -> np.ndarray:
        """Places of the first rows that have some numbers, u8, or higher ones; ``len``: none has."""
        return self.numbering.rows(numbers, len(self))

    def polls(self, start: int, stop: int) -> int:
        """For how many polls the rows ``start ... stop - 1`` stand, of a chunk of holds."""
        blocks = ((low, min(low + BLOCK, stop)) for low in range(start, stop, BLOCK))
        return sum(int(self.rows(*block)["polls"].sum(dtype=np.uint64)) for block in blocks)

    @property
    def t_first(self) -> int:
        """Stamp of the first row, ns."""
        return int(self.at(np.array([0]), "mono_ns")[0])

    @property
    def t_last(self) -> int:
        """Stamp of the last row, ns."""
        return int(self.at(np.array([len(self) - 1]), "mono_ns")[0])

    @property
    def ordered(self) -> bool:
        """Whether no stamp is smaller than the one before it. Some producers' stamps run backwards."""
        starts = range(0, len(self), BLOCK)
        return in_order(self.rows(start, min(start + BLOCK, len(self)))["mono_ns"] for start in starts)

    def find(self, time_ns: int) -> int:
        """Place of the first row stamped `time_ns` or later, ``len`` if there is none. Needs `ordered`."""

        def stamp(place: int) -> int:
            return int(self.rows(place, place + 1)["mono_ns"][0])

        # Most chunks lie wholly inside or outside a window, and then need not be searched.
        if not len(self) or time_ns <= self.t_first:
            return 0
        if time_ns > self.t_last:
            return len(self)
        return bisect.bisect_left(range(len(self)), time_ns, key=stamp)


class ArrayChunk(Chunk):
    """Consecutive rows in an array: a ring's snapshot.

    Parameters
    ----------
    array : ndarray, shape (n,)
        Rows of the record dtype. It must not change any more; it is seen through a read-only view.
    first_seq : int
        Number of the first row.
    text : callable, optional
        From an id to its text.
    """

    def __init__(
        self, array: np.ndarray, first_seq: int = 0, text: Callable[[int], Text] | None = None
    ) -> None:
        self._array = array.view()
        self._array.flags.writeable = False
        self._text = text
        self._ordered: bool | None = None
        self.first_seq = first_seq

    def __len__(self) -> int:
        return len(self._array)

    def rows(self, start: int, stop: int) -> np.ndarray:
        return self._array[start:stop]

    def at(self, places: np.ndarray, name: str | None = None) -> np.ndarray:
        return picked(self._array, places, name)

    def text(self, identifier: int) -> Text:
        return self._text(identifier) if self._text else super().text(identifier)

    @property
    def ordered(self) -> bool:
        if self._ordered is None:
            self._ordered = super().ordered
        return self._ordered


class Selection(Chunk):
    """Rows picked out of another chunk, in its order; nothing of them is copied until it is read, and none
    is read that was not picked, but for those beside it.

    Parameters
    ----------
    chunk : Chunk
        Where the rows are; a selection is looked through, so that selections never nest.
    places : ndarray of int64, shape (n,)
        Increasing places in `chunk`; at least one.
    stamps : ndarray of int64, shape (n,), optional
    rows : ndarray, shape (n,), optional
        Copies of these rows, where they were at hand.
    """

    def __init__(
        self,
        chunk: Chunk,
        places: np.ndarray,
        stamps: np.ndarray | None = None,
        rows: np.ndarray | None = None,
    ) -> None:
        if type(chunk) is Selection:  # of a protocol `isinstance` asks far more
            if rows is None and chunk._rows is not None:
                rows = picked(chunk._rows, places, None)
            if stamps is None and chunk._stamps is not None:
                stamps = chunk._stamps[places]
            chunk, places = chunk._chunk, chunk._places[places]
        self._stamps = stamps
        self._rows = rows
        self._chunk = chunk
        self._places = places
        self._ordered: bool | None = None
        self.first_seq = self.number(0)

    def __len__(self) -> int:
        return len(self._places)

    def rows(self, start: int, stop: int) -> np.ndarray:
        kept = self._rows
        rows = self._chunk.at(self._places[start:stop]) if kept is None else kept[start:stop].view()
        rows.flags.writeable = False
        return rows

    def copy(self, start: int, stop: int, offset: int, into: np.ndarray) -> None:
        known = self._stamps
        if (offset, into.itemsize) != STAMP or (known is None and self._rows is not None):
            super().copy(start, stop, offset, into)
            return
        for low in range(start, stop, BLOCK):
            some = slice(low, min(low + BLOCK, stop))
            stamps = self._chunk.at(self._places[some], "mono_ns") if known is None else known[some]
            into[low - start : some.stop - start] = as_bytes(stamps)

    def at(self, places: np.ndarray, name: str | None = None) -> np.ndarray:
        if name == "mono_ns" and self._stamps is not None:
            return self._stamps[places]
        return super().at(places, name)

    def text(self, identifier: int) -> Text:
        return self._chunk.text(identifier)

    def numbers(self, start: int, stop: int, out: np.ndarray | None = None) -> np.ndarray:
        return self._chunk.numbers_at(self._places[start:stop], out)

    def numbers_at(self, places: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        return self._chunk.numbers_at(self._places[places], out)

    def number(self, place: int) -> int:
        return self._chunk.number(int(self._places[place]))

    def skips(self, start: int, stop: int) -> np.ndarray:
        numbers = self.numbers(start, stop)
        return np.flatnonzero(numbers[1:] - numbers[:-1] > 1) + start + 1

    def places_of(self, numbers: np.ndarray) -> np.ndarray:
        return np.searchsorted(self._places, self._chunk.places_of(numbers))

    @property
    def ordered(self) -> bool:
        if self._ordered is None:
            self._ordered = self._chunk.ordered or super().ordered
        return self._ordered
