"""Where the blocks of a segment lie, also behind index rows that are damaged.

An index row that is damaged takes away where the blocks behind it lie. Their own checksums tell: a block
proves itself at one place alone. And the damaged row's block is whole if what is left of its row proves it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain, islice
from typing import NamedTuple

import numpy as np

from fastrec.recording import layout
from fastrec.recording.committed import NUMBER_LIMIT
from fastrec.recording.precedence import Span, merged
from fastrec.recording.stock import Stock
from fastrec.recording.torn import TornFile

__all__ = ["NOWHERE", "Placing", "Stretch"]

NOWHERE = -1
"""Where a block lies of which nobody knows."""

_WITNESSES = 8  # blocks that are asked whether a place is theirs
_ASKED = 64  # blocks that must not cross a multiple of 1024 rows there
_MOST_PLACES = 1 << 18
_MOST_TRIED = 1 << 30  # bytes that are read again for it
_MOST_SLOTS = 4096  # damaged index rows, one behind the other, of which remains are looked at
_PIECE = 4 << 20


class Stretch(NamedTuple):
    """Rows that no index row proves.

    Attributes
    ----------
    at, rows : int
        Row of the segment at which they begin, and how many.
    start, stop : int or None
        The numbers they can have: from `start` up to, not including, `stop`.
    why : str
    """

    at: int
    rows: int
    start: int | None
    stop: int | None
    why: str


@dataclass
class _Run:
    """Index rows that stand one behind the other, all whole."""

    slot: int
    rows: np.ndarray

    def __post_init__(self) -> None:
        counts = self.rows["rows"].astype(np.int64)
        self.ends = np.cumsum(counts)
        self.starts = self.ends - counts
        self.length = int(self.ends[-1])

    @property
    def first(self) -> int:
        return int(self.rows["first_seq"][0])

    @property
    def end(self) -> int:
        return int(self.rows["first_seq"][-1]) + int(self.rows["rows"][-1])


class Placing:
    """The blocks of a segment and their places.

    Parameters
    ----------
    stock : Stock
    base : int
        `layout.place` of the segment.
    index, records : TornFile
        Needed while this is made.
    before : int or None
        Number after the last of the segments before; None if nobody knows.
    free : callable
        Given two numbers: the spans between them that no gap stands for.

    Attributes
    ----------
    slots : ndarray of int64; blocks : ndarray of INDEX_DTYPE; at : ndarray of int64
        Blocks in order: at which row of ``index`` each is told of, its index row, and at which row of the
        segment it begins, or `NOWHERE`.
    remade : set of int
        Slots whose index rows are damaged, but whose blocks are proven all the same.
    stretches : list of Stretch
        Within the committed part; `tail` is the one behind it, if there is one.
    damaged_slots : list of (int, int)
        Rows of ``index`` that do not match their checksum.
    unplaced : list of (int, int)
        Numbers of blocks of which nobody knows where they lie.
    rows, end : int, int or None
        Committed rows; number after the last of them.
    """

    def __init__(
        self,
        stock: Stock,
        base: int,
        index: TornFile,
        records: TornFile,
        before: int | None,
        free: Callable[[int, int], list[Span]],
    ) -> None:
        self._stock, self._base, self._index, self._records, self._free = stock, base, index, records, free
        self.remade: set[int] = set()
        self.stretches: list[Stretch] = []
        self.tail: Stretch | None = None
        self.unplaced: list[Span] = []
        self.damaged_slots: list[Span] = []
        self._slots: list[np.ndarray] = []
        self._blocks: list[np.ndarray] = []
        self._at: list[np.ndarray] = []
        self._tried = 0
        filled = index.last_filled() if index.present else 0
        begin, width = layout.header_size(layout.INDEX_DTYPE), layout.INDEX_DTYPE.itemsize
        self._slots_there = max(0, -(-(filled - begin) // width))
        self.end = self._place(*_sane(*index.rows(layout.INDEX_DTYPE, base)), before)

    def _bytes_of(self, at: int, rows: int) -> Span:
        width = self._stock.dtype.itemsize
        begin = len(self._stock.header) + at * width
        return begin, begin + rows * width

    def _place(self, slots: np.ndarray, rows: np.ndarray, before: int | None) -> int | None:
        cuts = np.flatnonzero(np.diff(slots) != 1) + 1
        runs = [
            _Run(int(numbers[0]), part)
            for numbers, part in zip(np.split(slots, cuts), np.split(rows, cuts), strict=True)
            if len(numbers)
        ]
        known, slot, number = 0, 0, before  # up to where all is placed
        skipped = 0  # rows of runs since then that are nowhere
        for run in runs:
            missing = run.slot - slot
            if missing:
                self.damaged_slots.append((slot, run.slot))
            place: int | None = known
            if missing or skipped:
                place = self._find(known, number, run, missing, skipped)
            if place is None:
                self.unplaced += _spans(run.rows)
                self._add(run.slot, run.rows, np.full(len(run.rows), NOWHERE))
                skipped += run.length
            else:
                if place > known and not skipped:
                    self._between(known, place - known, number, run.first, range(slot, run.slot))
                self._add(run.slot, run.rows, place + run.starts)
                known, skipped, number = place + run.length, 0, run.end
            slot = run.slot + len(run.rows)
            number = run.end
        number = self._trailing(known, number, slot, skipped)
        self.slots, self.blocks, self.at = (
            np.concatenate([np.empty(0, kind), *parts]).astype(kind, copy=False)
            for kind, parts in (
                (np.dtype(np.int64), self._slots),
                (layout.INDEX_DTYPE, self._blocks),
                (np.dtype(np.int64), self._at),
            )
        )
        return number

    def _add(self, slot: int, rows: np.ndarray, at: np.ndarray) -> None:
        self._slots.append(np.arange(slot, slot + len(rows)))
        self._blocks.append(rows)
        self._at.append(at)

    def _proves(self, at: int, rows: int, crc: int) -> bool:
        start, stop = self._bytes_of(at, rows)
        if stop > self._records.size or at < 0:
            return False
        self._tried += stop - start
        data = self._records.read(start, stop - start)
        return len(data) == stop - start and layout.crc32c(data, layout.seed_at(self._base, at)) == crc

    def _find(self, known: int, number: int | None, run: _Run, missing: int, skipped: int) -> int | None:
        """Row at which a run begins behind damaged index rows, and runs that lie nobody knows where."""
        low, high = known + skipped, known + skipped + missing * layout.BLOCK_ROWS
        guesses = []
        if missing <= _MOST_SLOTS:
            claimed = self._raw(range(run.slot - missing, run.slot))["rows"]
            guesses.append(low + int(claimed.sum(dtype=np.int64)))
        if number is not None and run.first >= number:
            guesses.append(low + sum(stop - start for start, stop in self._free(number, run.first)))
        witnesses = np.flatnonzero(run.rows["rows"])[:_WITNESSES].tolist()
        if not witnesses:
            return next((guess for guess in guesses if low <= guess <= high), low)
        room = (self._records.size - len(self._stock.header)) // self._stock.dtype.itemsize
        places = range(low, min(high, room) + 1)
        for place in chain(guesses, islice(places, _MOST_PLACES)):
            if place not in places or self._crosses(place, run):
                continue
            for block in witnesses:
                row = run.rows[block]
                if self._proves(place + int(run.starts[block]), int(row["rows"]), int(row["crc_rows"])):
                    return place
            if self._tried > _MOST_TRIED:
                break
        return None

    def _crosses(self, place: int, run: _Run) -> bool:
        first, after = run.starts[:_ASKED], run.ends[:_ASKED]
        filled = first != after
        starts, ends = place + first[filled], place + after[filled] - 1
        return bool((starts // layout.BLOCK_ROWS != ends // layout.BLOCK_ROWS).any())

    def _raw(self, slots: range) -> np.ndarray:
        width = layout.INDEX_DTYPE.itemsize
        begin = layout.header_size(layout.INDEX_DTYPE)
        data = self._index.read(begin + slots.start * width, len(slots) * width)
        return np.frombuffer(data.ljust(len(slots) * width, b"\0"), layout.INDEX_DTYPE)

    def _between(self, at: int, rows: int, number: int | None, after: int, slots: range) -> None:
        """Rows whose index rows are damaged: from both ends, those blocks that their remains still prove."""
        why = "no whole index row tells of them"
        free = self._free(number, after) if number is not None and number <= after else []
        exact = sum(stop - start for start, stop in free) == rows
        if not exact or rows > len(slots) * layout.BLOCK_ROWS or len(slots) > _MOST_SLOTS:
            self.stretches.append(Stretch(at, rows, number, after, why))
            return
        raw = self._raw(slots)
        numbers = np.concatenate([np.arange(start, stop) for start, stop in free])
        low, high, left = 0, rows, list(slots)
        front, back = [], []
        while left:
            count = high - low if len(left) == 1 else int(raw["rows"][left[0] - slots.start])
            if not self._proven(at, low, count, high, numbers, raw[left[0] - slots.start]):
                break
            front.append((left.pop(0), low, count))
            low += count
        while left:
            count = high - low if len(left) == 1 else int(raw["rows"][left[-1] - slots.start])
            if not self._proven(at, high - count, count, high, numbers, raw[left[-1] - slots.start]):
                break
            back.append((left.pop(), high - count, count))
            high -= count
        for slot, begin, count in [*front, *back[::-1]]:
            if count:
                self._remake(slot, at + begin, count, int(numbers[begin]), raw[slot - slots.start])
        if low < high:
            self.stretches.append(
                Stretch(at + low, high - low, int(numbers[low]), int(numbers[high - 1]) + 1, why)
            )

    def _proven(self, at: int, low: int, count: int, high: int, numbers: np.ndarray, row: np.void) -> bool:
        if not 0 < count <= layout.BLOCK_ROWS or low < 0 or low + count > high:
            return False
        if numbers[low + count - 1] - numbers[low] != count - 1:
            return False  # a block holds consecutive numbers only
        return self._proves(at + low, count, int(row["crc_rows"]))

    def _remake(self, slot: int, at: int, count: int, number: int, row: np.void) -> None:
        made = np.zeros(1, layout.INDEX_DTYPE)
        made["first_seq"], made["rows"], made["crc_rows"] = number, count, row["crc_rows"]
        made["t_min"] = 1  # after t_max, so that it is never taken for the block's own row
        self.remade.add(slot)
        place = next((i for i, slots in enumerate(self._slots) if slots[0] > slot), len(self._slots))
        self._slots.insert(place, np.array([slot]))
        self._blocks.insert(place, made)
        self._at.insert(place, np.array([at]))

    def _trailing(self, known: int, number: int | None, slot: int, skipped: int) -> int | None:
        """Damaged index rows behind the last whole one, and the rows behind all of them."""
        there = min(self._slots_there, slot + _MOST_SLOTS)
        if slot < self._slots_there:
            self.damaged_slots.append((slot, self._slots_there))
        for one, row in zip(range(slot, there), self._raw(range(slot, max(slot, there))), strict=True):
            expected = self._free(number, NUMBER_LIMIT)[0][0] if number is not None else None
            count = int(row["rows"])
            if skipped or int(row["first_seq"]) != expected or not 0 < count <= layout.BLOCK_ROWS:
                break
            if not self._proves(known, count, int(row["crc_rows"])):
                break
            self._remake(one, known, count, expected, row)
            known, number = known + count, expected + count
        known += skipped
        rows = min(self._filled_rows(known), layout.MAX_ROWS) - known
        if rows > 0:
            self.tail = Stretch(known, rows, number, None, self._tail_why(slot))
        self.rows = known
        return number

    def _tail_why(self, slot: int) -> str:
        if not self._index.present:
            return f"their index {self._index.why}"
        if not slot:
            return "no whole index row tells of them"
        return "behind the last whole index row: not committed, or their index rows are damaged"

    def _filled_rows(self, known: int) -> int:
        """Rows up to the last that is whole in length and not all zeros."""
        width, begin = self._stock.dtype.itemsize, len(self._stock.header)
        if not self._records.present:
            return 0
        stop = (min(self._records.last_filled(), self._records.size) - begin) // width
        stop = min(stop, layout.MAX_ROWS)
        step = max(1, _PIECE // width)
        while stop > known:
            start = max(known, stop - step)
            data = np.frombuffer(self._records.read(begin + start * width, (stop - start) * width), np.uint8)
            filled = np.flatnonzero(data)
            if len(filled):
                return start + int(filled[-1]) // width + 1
            stop = start
        return known


def _sane(slots: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Without rows that a wrong writer sealed: they count as damaged."""
    fine = (rows["rows"] <= layout.BLOCK_ROWS) & (rows["first_seq"] < np.uint64(NUMBER_LIMIT) - rows["rows"])
    slots, rows = slots[fine], rows[fine]
    if len(rows):
        ends = np.maximum.accumulate(rows["first_seq"] + rows["rows"])
        fine = np.append(True, rows["first_seq"][1:] >= ends[:-1])
        slots, rows = slots[fine], rows[fine]
    return slots, rows


def _spans(blocks: np.ndarray) -> list[Span]:
    filled = blocks[blocks["rows"] > 0]
    return merged(
        list(zip(filled["first_seq"].tolist(), (filled["first_seq"] + filled["rows"]).tolist(), strict=True))
    )
