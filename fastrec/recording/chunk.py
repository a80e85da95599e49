"""Rows of a segment, as a chunk of `Records` that finds times in the index.

And the same rows as a newer schema has them: only rows that are looked at are converted.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np

from fastrec.core.condition import Condition
from fastrec.recording import layout
from fastrec.recording.batches import ALONE
from fastrec.recording.blocks import Blocks
from fastrec.recording.committed import steady, told_stamps
from fastrec.recording.fetching import changed, copied, fetched, meeting, tallied
from fastrec.recording.opening import GoneError
from fastrec.recording.segment import Segment
from fastrec.recording.zones import told_dtype
from fastrec.records import Chunk
from fastrec.records.copying import picked
from fastrec.records.numbering import Numbering
from fastrec.records.parts import Met, Part, Picked, Tallied, Times, made_of
from fastrec.schema.conversion import Conversion
from fastrec.schema.texts import Text

__all__ = ["EvolvedChunk", "SegmentChunk"]

_FOREVER = 2**63

_WIDE = 1_024
"""Bytes of a record, at most, of which who reads a block has it in the caches next to his processor."""


class SegmentChunk(Chunk):
    """Rows of a segment, one behind the other.

    Parameters
    ----------
    segment : Segment
    start, stop : int
        Rows of the segment.
    first_seq : int
        Number of row `start`.
    numbering : Numbering, optional
        Of the rows, where not each number follows the one before.

    Attributes
    ----------
    broken : bool
        Whether there may be such a row.
    """

    near = layout.BLOCK_ROWS // 16

    def __init__(
        self, segment: Segment, start: int, stop: int, first_seq: int, numbering: Numbering | None = None
    ) -> None:
        self.segment = segment
        self.start = start
        self.stop = stop
        self.first_seq = first_seq
        self.broken = numbering is not None
        if numbering is not None:
            self.numbering = numbering

    def cut(self, start: int, stop: int) -> SegmentChunk:
        """Some of the rows by themselves."""
        numbering = self.numbering.within(start, stop)
        first = int(numbering.firsts[0])
        return SegmentChunk(self.segment, self.start + start, self.start + stop, first, numbering)

    def runs(self) -> list[SegmentChunk]:
        """Each run of consecutive numbers by itself."""
        return [self.cut(*rows) for rows in pairwise([*self.numbering.starts.tolist(), len(self)])]

    def ended(self, number: int) -> SegmentChunk:
        """Its runs of consecutive numbers that end before a number."""
        starts, ends = self.numbering.starts, self.number_spans[1]
        count = int(np.count_nonzero(ends <= np.uint64(number)))
        return self.cut(0, len(self) if count == len(starts) else int(starts[count]))

    @property
    def number_spans(self) -> tuple[np.ndarray, np.ndarray]:
        """Its numbers: with which each run of them begins, and that behind its last; u8."""
        return self.numbering.spans(len(self))

    @property
    def end_seq(self) -> int:
        """Number behind the last."""
        if not self.broken:
            return self.first_seq + len(self)
        return int(self.numbering.firsts[-1]) + len(self) - int(self.numbering.starts[-1])

    @cached_property
    def _found(self) -> tuple[np.ndarray, np.ndarray]:
        """Index rows of the chunk, and where the block of each begins in the segment."""
        self.segment.check_index()
        return self._filled(self.segment.blocks, self.start, self.stop)

    def _filled(self, blocks: Blocks, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        low, high = blocks.of(start, stop)
        index, at = blocks.index[low:high], blocks.at[low:high]
        # Losses committed alone lie between blocks and have no rows to find.
        filled = index["rows"] > 0
        return (index, at) if filled.all() else (index[filled], at[filled])

    @property
    def _blocks(self) -> np.ndarray:
        return self._found[0]

    @property
    def _at(self) -> np.ndarray:
        return self._found[1]

    def __len__(self) -> int:
        return self.stop - self.start

    def rows(self, start: int, stop: int) -> np.ndarray:
        return self.segment.rows(self.start + start, self.start + stop)

    def text(self, identifier: int) -> Text:
        return self.segment.text(identifier)

    @property
    def index_first(self) -> int:
        """Smallest stamp of its blocks, by the index alone."""
        return int(self._blocks["t_min"].min())

    @property
    def index_last(self) -> int:
        """Largest stamp of its blocks, by the index alone."""
        return int(self._blocks["t_max"].max())

    @property
    def ordered(self) -> bool:
        if self.segment.steady:
            return True
        return bool(steady(self._blocks)[-1])

    def find(self, time_ns: int) -> int:
        if not -_FOREVER < time_ns < _FOREVER:
            return 0 if time_ns < 0 else len(self)
        begin = self.segment.stamp(self.start)
        if begin is not None and time_ns <= begin:
            return 0
        found = self.segment.block_behind(time_ns)
        if found is None:
            block = int(np.searchsorted(self._blocks["t_max"], time_ns, "left"))
            if block == len(self._blocks):
                return len(self)
            found = int(self._at[block]), int(self._at[block]) + int(self._blocks["rows"][block])
        low, high = max(found[0], self.start), min(found[1], self.stop)
        if low >= high:  # in front of the chunk, or behind it; or a loss between two blocks
            return min(low, self.stop) - self.start
        stamps = self.segment.rows(low, high)["mono_ns"]
        return low - self.start + int(stamps.searchsorted(time_ns, "left"))

    def at(self, places: np.ndarray, name: str | None = None) -> np.ndarray:
        if len(places) == 1:
            row = self.start + int(places[0])
            recent = self.segment.stock.read_lately(self.segment, row, row + 1)
            if recent is not None:
                return picked(recent, np.zeros(1, np.int64), name)
            if name == "mono_ns" and (stamp := self.segment.stamp(row)) is not None:
                return np.array([stamp])
        if name != "mono_ns" or not len(places):
            return super().at(places, name)
        rows = places + self.start
        blocks = self.segment.near(rows, rows + 1)
        which = blocks.of(rows, rows + 1)[0]
        stamps, known = told_stamps(blocks.index[which], blocks.at[which], rows, self.segment.stock.store)
        unknown = places[~known]
        if len(unknown) == 1:  # who looks at one row often looks at it, or beside it, again
            stamps[~known] = self.rows(int(unknown[0]), int(unknown[0]) + 1)[name]
        elif len(unknown):
            stamps[~known] = super().at(unknown, name)
        return stamps

    def parts(self, starts: np.ndarray, stops: np.ndarray) -> Iterator[Part]:
        if not len(starts):
            return iter(())
        if not self._few(starts, stops):
            with self._unless_kept():
                found = fetched(self.segment, starts + self.start, stops + self.start)
                return made_of(found, lambda part: part.moved(-self.start))
        return super().parts(starts, stops)

    @contextmanager
    def _unless_kept(self) -> Iterator[None]:
        """Where the file is gone, what is mapped of it is looked at behind the ``with``."""
        try:
            yield
        except GoneError:
            if self.segment.mapped() is None:
                raise

    def _few(self, starts: Sequence[int] | np.ndarray, stops: Sequence[int] | np.ndarray) -> bool:
        """Whether it is one range, so short that who asks reads it himself, and again, for it is kept."""
        return len(starts) == 1 and (stops[0] - starts[0]) * self.segment.stock.dtype.itemsize <= ALONE

    def copy(self, start: int, stop: int, offset: int, into: np.ndarray) -> None:
        if not self._few([start], [stop]):
            with self._unless_kept():
                copied(self.segment, self.start + start, self.start + stop, offset, into)
                return
        super().copy(start, stop, offset, into)

    def changed(
        self, starts: np.ndarray, stops: np.ndarray, watched: tuple[int, int, int], *, few: bool
    ) -> Iterator[Picked]:
        found = self._looked(changed, starts, stops, watched) if few else None
        return found or super().changed(starts, stops, watched, few=few)

    def tallied(
        self, starts: np.ndarray, stops: np.ndarray, watched: tuple[int, int, int]
    ) -> Iterator[Tallied]:
        found = self._looked(tallied, starts, stops, watched)
        return found or super().tallied(starts, stops, watched)

    def meeting(self, starts: np.ndarray, stops: np.ndarray, condition: Condition) -> Iterator[Met]:
        found = self._looked(meeting, starts, stops, condition)
        return found or super().meeting(starts, stops, condition)

    def _looked(
        self, look: Callable[..., Iterator[Any]], starts: np.ndarray, stops: np.ndarray, of: object
    ) -> Iterator[Any] | None:
        """What those who read the blocks find, by places in the chunk; None: they are not to look."""
        if self._looks(starts, stops):
            with self._unless_kept():
                found = look(self.segment, starts + self.start, stops + self.start, of)
                return made_of(found, lambda some: some.moved(-self.start))
        return None

    def _looks(self, starts: np.ndarray, stops: np.ndarray) -> bool:
        """Whether who reads the blocks of some ranges can look at them: none has rows of two ranges."""
        if not len(starts) or self._few(starts, stops):
            return False
        first, last = (
            (self.start + starts) // layout.BLOCK_ROWS,
            (self.start + stops - 1) // layout.BLOCK_ROWS,
        )
        apart = (first[1:] > last[:-1]).all()
        return bool(apart and self.segment.stock.dtype.itemsize <= _WIDE)

    def times(self, start: int, stop: int) -> Times:
        low, high = start + self.start, stop + self.start
        some, at = self._filled(self.segment.near(np.array([low]), np.array([high])), low, high)
        begins = at - self.start
        return Times(
            begins,
            begins + some["rows"],
            some["t_min"].copy(),
            some["t_max"].copy(),
            some["flags"] & layout.INDEX_DECREASING != 0,
        )

    def polls(self, start: int, stop: int) -> int:
        zones = self.zone_starts
        low, high = (bisect.bisect_left(zones, start), bisect.bisect_right(zones, stop - layout.BLOCK_ROWS))
        if low >= high:
            return super().polls(start, stop)
        begin, end = zones[low], zones[high - 1] + layout.BLOCK_ROWS
        summed = int(self.zones(low, high, ())["polls"].sum(dtype=np.uint64))
        return super().polls(start, begin) + summed + super().polls(end, stop)

    @property
    def zone_starts(self) -> range:
        block = layout.BLOCK_ROWS
        first, last = self._first_zone * block, self.stop // block * block
        return range(first - self.start, last - self.start, block)

    @property
    def _first_zone(self) -> int:
        """Of the segment's zones the first that lies wholly in the chunk."""
        return -(-self.start // layout.BLOCK_ROWS)

    def zones(self, low: int, high: int, columns: Sequence[int]) -> np.ndarray:
        return self.segment.zones(self._first_zone + low, self._first_zone + high, columns)

    def zone_runs(self, low: int, high: int, column: int, *, floating: bool) -> tuple[np.ndarray, np.ndarray]:
        first, place = self._first_zone, self.zone_starts[low]
        try:
            return self.segment.stored_runs(first + low, first + high, column, place, floating=floating)
        except OSError:  # none of it is needed, whatever became of the file
            return np.zeros(high - low, bool), np.empty((0, 4), np.int64)

    def silences(self, low: int, high: int) -> np.ndarray:
        return self.segment.silences(self._first_zone + low, self._first_zone + high)


class EvolvedChunk(Chunk):
    """Rows of a chunk under another schema; times, numbers and polls are asked of the chunk itself.

    Parameters
    ----------
    chunk : SegmentChunk
    conversion : Conversion
        From the schema of `chunk`.
    """

    def __init__(self, chunk: SegmentChunk, conversion: Conversion) -> None:
        self.first_seq = chunk.first_seq
        self.numbering = chunk.numbering
        self._chunk = chunk
        self._conversion = conversion

    def __len__(self) -> int:
        return len(self._chunk)

    def rows(self, start: int, stop: int) -> np.ndarray:
        return self._conversion.rows(self._chunk.rows(start, stop))

    def parts(self, starts: np.ndarray, stops: np.ndarray) -> Iterator[Part]:
        found = self._chunk.parts(starts, stops)
        return made_of(found, lambda part: part._replace(array=self._conversion.rows(part.array)))

    def pieces(self, start: int, stop: int) -> Iterator[np.ndarray]:
        return made_of(self._chunk.pieces(start, stop), self._conversion.rows)

    def times(self, start: int, stop: int) -> Times:
        return self._chunk.times(start, stop)

    @property
    def zone_starts(self) -> range:
        return range(0) if self._conversion.numeric is None else self._chunk.zone_starts

    def zones(self, low: int, high: int, columns: Sequence[int]) -> np.ndarray:
        before = [self._conversion.numeric[one] for one in columns]
        known = [place for place, one in enumerate(before) if one is not None]
        found = self._chunk.zones(low, high, [before[place] for place in known])
        if len(known) == len(columns):
            return found
        zones = np.zeros(len(found), told_dtype(len(columns)))  # a field that is new is zero
        for name in found.dtype.names:
            if found[name].ndim == 1:
                zones[name] = found[name]
            else:
                zones[name][:, known] = found[name]
        return zones

    def zone_runs(self, low: int, high: int, column: int, *, floating: bool) -> tuple[np.ndarray, np.ndarray]:
        before = self._conversion.numeric[column]
        if before is None:
            return super().zone_runs(low, high, column, floating=floating)
        return self._chunk.zone_runs(low, high, before, floating=floating)

    def silences(self, low: int, high: int) -> np.ndarray:
        return self._chunk.silences(low, high)

    def text(self, identifier: int) -> Text:
        return self._chunk.text(identifier)

    def polls(self, start: int, stop: int) -> int:
        return self._chunk.polls(start, stop)

    @property
    def t_first(self) -> int:
        return self._chunk.t_first

    @property
    def t_last(self) -> int:
        return self._chunk.t_last

    @property
    def ordered(self) -> bool:
        return self._chunk.ordered

    def find(self, time_ns: int) -> int:
        return self._chunk.find(time_ns)
