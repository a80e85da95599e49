"""What a chunk has of some of its rows: they themselves, a few of them, or what is known of their times."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeVar

import numpy as np

from fastrec.records.copying import picked

__all__ = ["Met", "Part", "Picked", "Tallied", "Times", "each", "made_of", "outermost"]

S = TypeVar("S")
T = TypeVar("T")


class Part(NamedTuple):
    """Some ranges of rows of a chunk in one array; what else is in it was perhaps not checked.

    Attributes
    ----------
    array : ndarray
        Of the record dtype. Its memory may be used again for the next part.
    begins : ndarray of int64, shape (r,)
        Rows of the array at which the ranges begin.
    starts, stops : ndarray of int64, shape (r,)
        The ranges, by places in the chunk.
    """

    array: np.ndarray
    begins: np.ndarray
    starts: np.ndarray
    stops: np.ndarray

    @property
    def bytes(self) -> np.ndarray:
        """The array as the core takes it: of uint8."""
        return np.ascontiguousarray(self.array).view(np.uint8)

    @property
    def rows(self) -> np.ndarray:
        """The rows of its ranges alone, one behind the other."""
        if len(self.begins) == 1:
            return self.array[self.begins[0] : self.ends[0]]
        return picked(self.array, each(self.begins, self.ends), None)

    @property
    def ends(self) -> np.ndarray:
        """Rows of the array at which the ranges end."""
        return self.begins + (self.stops - self.starts)

    def moved(self, by: int) -> Part:
        """The same rows, at places that are so many more."""
        return self._replace(starts=self.starts + by, stops=self.stops + by)

    def places(self, rows: np.ndarray) -> np.ndarray:
        """Places in the chunk of some rows of the array, all of them within ranges."""
        shift = self.starts - self.begins
        return rows + (shift if len(shift) == 1 else shift[np.searchsorted(self.begins, rows, "right") - 1])

    def within(self, places: np.ndarray) -> np.ndarray:
        """Rows of the array that are at some places of the chunk; those in no range are left out."""
        which = np.searchsorted(self.starts, places, "right") - 1
        inside = (which >= 0) & (places < self.stops[which])
        return places[inside] + (self.begins - self.starts)[which[inside]]


class Picked(NamedTuple):
    """Some of the rows of a chunk.

    Attributes
    ----------
    start, stop : int
        The rows among which they were looked for, by places in the chunk.
    places : ndarray of int64, shape (n,)
        Where they are in the chunk, increasing.
    array : ndarray, shape (n,)
        Copies of them, of the record dtype.
    """

    start: int
    stop: int
    places: np.ndarray
    array: np.ndarray

    def moved(self, by: int) -> Picked:
        """The same rows, at places that are so many more."""
        return self._replace(start=self.start + by, stop=self.stop + by, places=self.places + by)


class Met(NamedTuple):
    """Rows of a chunk that meet a condition.

    Attributes
    ----------
    places : ndarray of int64, shape (n,)
        Where they are in the chunk, increasing.
    stamps : ndarray of int64, shape (n,)
        When they were recorded, ns.
    array : ndarray, shape (n,), or None
        Copies of them, if they are few.
    """

    places: np.ndarray
    stamps: np.ndarray
    array: np.ndarray | None

    def moved(self, by: int) -> Met:
        """The same rows, at places that are so many more."""
        return self._replace(places=self.places + by)


class Tallied(NamedTuple):
    """Of some stretches of rows the first ones that have a state.

    Attributes
    ----------
    places : ndarray of int64, shape (n,)
        Where they are in the chunk, increasing.
    array : ndarray, shape (n,)
        Copies of them, of the record dtype.
    records : ndarray of int64, shape (n,)
        How many rows of the stretch have that state.
    """

    places: np.ndarray
    array: np.ndarray
    records: np.ndarray

    def moved(self, by: int) -> Tallied:
        """The same rows, at places that are so many more."""
        return self._replace(places=self.places + by)


class Times(NamedTuple):
    """What an index says of the stamps of successive rows, block by block; none has rows of two zones.

    Attributes
    ----------
    starts, stops : ndarray of int64, shape (b,)
        Places in the chunk; a block may reach beyond what was asked for.
    least, most : ndarray of int64, shape (b,)
        Smallest and largest stamp, ns; of holds the largest is that of when they were last seen.
    falls : ndarray of bool, shape (b,)
        Whether a stamp in it is smaller than the one before.
    """

    starts: np.ndarray
    stops: np.ndarray
    least: np.ndarray
    most: np.ndarray
    falls: np.ndarray


def each(starts: np.ndarray, stops: np.ndarray) -> np.ndarray:
    """All places of some ranges, one range behind the other: ndarray of int64."""
    counts = stops - starts
    return np.repeat(stops - np.cumsum(counts), counts) + np.arange(counts.sum())


def outermost(apart: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Which of `count` neighbours are the first, and which the last, of those that lie together.

    Parameters
    ----------
    apart : ndarray of bool
        Between which of them there is a border.
    """
    edge = np.ones(count + 1, bool)
    edge[1:count] = apart
    return edge[:count], edge[1:]


def made_of(some: Iterator[S], make: Callable[[S], T]) -> Iterator[T]:
    """What is made of each; an error that is kept keeps none of what has begun to read."""
    try:
        for one in some:
            yield make(one)
    finally:
        del some
