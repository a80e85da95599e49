"""Blocks of a segment in batches: which they are, and memory that is used again for those that come next."""

from __future__ import annotations

import io
import os
from typing import Any, NamedTuple, Self

import numpy as np

from fastrec.core.condition import Condition
from fastrec.core.fetch import Fetch
from fastrec.core.plan import batched
from fastrec.errors import CorruptionError
from fastrec.recording.blocks import Blocks
from fastrec.recording.segment import Segment
from fastrec.records.chunks import BLOCK, STAMP
from fastrec.records.looking import FEW

__all__ = ["ALONE", "Look", "Plan", "Reading", "plan_of"]

_BATCH = 4 << 20
"""Bytes that are looked at in one go, but for one block: they stay in the caches."""

_AHEAD = 3
"""Batches in memory."""

ALONE = 1 << 20
"""Bytes that are there before a thread that helps to read them has begun."""

_MOST_HELPERS = 3

_spare: list[np.ndarray] = []
"""Memory that was used: to get it anew takes as long as to fill it."""

_KEPT = (_AHEAD * _BATCH * 5) // 4
"""Bytes of it that are kept, at most, in one piece."""

_SPARE = 2
"""Pieces of it that are kept: who reads one segment has begun with the next."""

_WORD = 8
"""Bytes that say which row is kept, or how many have its state."""

_WINDOW = 4 << 20
"""Bytes that are copied as a window of a recording is: what lies behind it is not wanted, too."""


class Plan(NamedTuple):
    """Which blocks are read.

    Attributes
    ----------
    near : Blocks
        Among which they are.
    blocks : ndarray of int64, shape (b,)
        Those that have rows, by their places in `near`.
    begins, counts, places : ndarray of int64, shape (b,)
        Row of the segment at which each begins, how many it has, and at which row it begins if they lie one
        behind the other.
    firsts, stops : ndarray of int64, shape (b,)
        From which row of each on, and up to which, the first of the ranges goes that have rows of it.
    crcs : ndarray of uint32, shape (b,)
    found : ndarray of int64
        Of each range that was asked for, in which of the blocks it begins.
    cuts : ndarray of int64
        Which of them begin a batch, and their number.
    """

    near: Blocks
    blocks: np.ndarray
    begins: np.ndarray
    counts: np.ndarray
    places: np.ndarray
    firsts: np.ndarray
    stops: np.ndarray
    crcs: np.ndarray
    found: np.ndarray
    cuts: np.ndarray

    @property
    def size(self) -> int:
        """How many rows all of them have."""
        return int(self.places[-1] + self.counts[-1])

    @property
    def borders(self) -> np.ndarray:
        """Where batches begin, and the last one ends, if they lie one behind the other."""
        return np.concatenate([self.places, [self.size]])[self.cuts]

    @property
    def longest(self) -> int:
        """How many rows the largest batch has."""
        borders = self.borders
        return int((borders[1:] - borders[:-1]).max())


def plan_of(segment: Segment, starts: np.ndarray, stops: np.ndarray, *, looked: bool = False) -> Plan:
    """Batches of up to `BLOCK` rows; of twice as many where they are looked at, and few handed out."""
    near = segment.near(starts, stops)
    low, high = near.of(starts, stops)
    room = int((high - low).sum())
    blocks, crcs = np.empty((6, room), np.int64), np.empty(room, np.uint32)
    found, cuts = np.empty(len(starts), np.int64), np.empty(room + 1, np.int64)
    most = max(1, min(BLOCK, _BATCH // segment.stock.dtype.itemsize))
    given = near.index.view(np.uint8), near.at, starts, stops, low, high, most << looked
    count, batches = batched(*given, blocks, crcs, found, cuts)
    return Plan(near, *blocks[:, :count], crcs[:count], found, cuts[: batches + 1])


class Look(NamedTuple):
    """What is looked for in each block.

    Attributes
    ----------
    what : "part", "changes", "states" or "condition"
        See `Fetch`, as for the others.
    of : (offset, size), (offset, size, mask) or Condition
    into : ndarray of void, optional
        With a part, where it goes.
    """

    what: str
    of: tuple[int, int] | tuple[int, int, int] | Condition
    into: np.ndarray | None = None

    @property
    def room(self) -> int:
        """Bytes beside each row that is kept."""
        return 2 * _WORD if self.what == "states" else _WORD

    def given(self, plan: Plan) -> dict[str, Any]:
        """As `Fetch` takes it."""
        given = {self.what: self.of, "firsts": plan.firsts, "stops": plan.stops}
        return given | {"brief": (STAMP[0], FEW + 1)} if self.what == "condition" else given


class Reading:
    """Batches by the plan. It begins when it is made, ahead of who takes the first; and ends when it is
    closed, or forgotten.
    """

    _fetch: Fetch | None = None
    _file: io.FileIO | None = None
    _memory: np.ndarray | None = None

    def __init__(self, segment: Segment, plan: Plan, look: Look | None = None) -> None:
        self._segment, self._plan = segment, plan
        try:
            self._begin(segment, plan, look)
        except BaseException:
            self.close()
            raise

    def _begin(self, segment: Segment, plan: Plan, look: Look | None) -> None:
        width, into = segment.stock.dtype.itemsize, look.into if look else None
        sparse = 2 * plan.size < int(plan.begins[-1] - plan.begins[0])
        sparse |= into is not None and plan.size * width <= _WINDOW and plan.size < segment.length
        self._file = io.FileIO(_opened(segment, sparse=sparse))
        if into is None:
            most = plan.longest * (width + (look.room if look else 0))
            # Of wide records one block alone may be 64 MB.
            self._memory = _memory(max(1, min(_AHEAD, len(plan.cuts) - 1, _KEPT // most)) * most)
        self._fetch = Fetch(
            self._file.fileno(),
            len(segment.stock.header),
            width,
            segment.base,
            plan.begins,
            plan.counts,
            plan.crcs,
            plan.cuts,
            self._memory if into is None else into.view(np.uint8),
            _helpers(plan.size * width),
            **(look.given(plan) if look else {}),
        )

    @property
    def array(self) -> np.ndarray:
        """The memory in which batches come, as rows."""
        dtype = self._segment.stock.dtype
        return self._memory[: len(self._memory) // dtype.itemsize * dtype.itemsize].view(dtype)

    def take(self) -> int:
        """The next batch; at which row of the memory it begins."""
        segment, plan = self._segment, self._plan
        try:
            row, wrong = self._fetch.take()
        except EOFError as error:
            raise CorruptionError(f"{segment.path('records')}: became shorter than its index says") from error
        if wrong >= 0:
            segment.check_index()  # perhaps it is the index that is wrong
            raise CorruptionError(segment.describe(plan.near, int(plan.blocks[wrong])))
        return row

    @property
    def kept(self) -> int:
        """How many rows were kept of the batch that was taken last."""
        return self._fetch.kept

    def gather(self) -> tuple[np.ndarray, np.ndarray]:
        """Which they are, and copies of them."""
        places, array = np.empty(self.kept, np.int64), np.empty(self.kept, self._segment.stock.dtype)
        self._fetch.gather(places, array.view(np.uint8), 0, array.dtype.itemsize)
        return places, array

    def stamps(self) -> tuple[np.ndarray, np.ndarray]:
        """Which they are, and when they were recorded, ns."""
        places, stamps = np.empty(self.kept, np.int64), np.empty(self.kept, np.int64)
        self._fetch.gather(places, stamps.view(np.uint8), *STAMP)
        return places, stamps

    def counts(self) -> np.ndarray:
        """How many rows of its block have the state of each."""
        counts = np.empty(self.kept, np.int64)
        self._fetch.counts(counts)
        return counts

    def close(self) -> None:
        """Have the helpers end, before their file and their memory are others'."""
        fetch, file, memory = self._fetch, self._file, self._memory
        self._fetch = self._file = self._memory = None
        if fetch is not None:
            fetch.close()
        if file is not None:
            file.close()
        if memory is not None:
            _give_back(memory)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()


def _opened(segment: Segment, *, sparse: bool) -> int:
    try:
        return segment.open("records", sparse=sparse)
    except FileNotFoundError as error:
        raise segment.gone() from error


def _helpers(size: int) -> int:
    return min(len(os.sched_getaffinity(0)) - 1, _MOST_HELPERS) if size > ALONE else 0


def _memory(size: int) -> np.ndarray:
    """So many bytes, or more."""
    try:
        memory = _spare.pop()
    except IndexError:
        memory = np.empty(0, np.uint8)
    return memory if len(memory) >= size else np.empty(size, np.uint8)


def _give_back(memory: np.ndarray) -> None:
    if len(_spare) < _SPARE and len(memory) <= _KEPT:
        _spare.append(memory)
