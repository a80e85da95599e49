"""What of a segment is whole, wherever in it: its blocks, its gaps, and the rows that nothing proves."""

from __future__ import annotations

from fastrec.recording import layout
from fastrec.recording.committed import NUMBER_LIMIT, row_of, sensible_gaps
from fastrec.recording.precedence import Span, begin_of, merged, spans_of_gaps
from fastrec.recording.recovering.placing import Placing, Stretch
from fastrec.recording.stock import Stock
from fastrec.recording.torn import TornFile

__all__ = ["Survey"]


class Survey:
    """A segment of which any part may be damaged.

    Parameters
    ----------
    stock : Stock
        Of the channel, as its ``channel.json`` says or as it was rebuilt.
    number : int
    before : int or None
        Number after the last of the segments before; None if nobody knows.

    Attributes
    ----------
    slots, blocks, at, remade, stretches, tail, damaged_slots, unplaced
        As `Placing` found them.
    committed_rows, committed_gaps, string_bytes : int
        Records, gap rows and bytes of texts that whole index rows tell of.
    gap_numbers : ndarray of int64; gaps : ndarray of GAP_ROW_DTYPE
        Whole gap rows.
    first, end : int or None
        The lowest number that it tells of, and the one after the last committed; None if nobody knows.
    whole_gaps : ndarray of int64
        All gap rows that match their checksum, also those that count for nothing.
    """

    def __init__(self, stock: Stock, number: int, before: int | None) -> None:
        self.stock, self.number = stock, number
        self.base = layout.place(stock.uuid, stock.name, number)
        self._read_gaps()
        with self.open("index") as index, self.open("records") as records:
            self.records_why, self.records_size = records.why, records.size
            placing = Placing(stock, self.base, index, records, before, self.free)
        self.slots, self.blocks, self.at = placing.slots, placing.blocks, placing.at
        self.remade, self.stretches, self.tail = placing.remade, placing.stretches, placing.tail
        self.damaged_slots, self.unplaced = placing.damaged_slots, placing.unplaced
        self.committed_rows, self.end = placing.rows, placing.end
        self.committed_gaps = int(self.blocks["gap_rows"].max(initial=0))
        self.string_bytes = int(self.blocks["string_bytes"].max(initial=0))
        self._drop_stale_gaps()
        self.first = begin_of(row_of(self.blocks[0]) if len(self.blocks) else None, self.gaps)

    def open(self, kind: str) -> TornFile:
        """One of the segment's files; close it."""
        return TornFile(self.stock.root, *self.stock.parts(layout.segment_file(kind, self.number)))

    def file(self, kind: str) -> str:
        """Path of one of the segment's files below the recording, for reports."""
        return "/".join(self.stock.parts(layout.segment_file(kind, self.number)))

    def bytes_of(self, at: int, rows: int) -> Span:
        """Where rows stand in ``records``."""
        width = self.stock.dtype.itemsize
        begin = len(self.stock.header) + at * width
        return begin, begin + rows * width

    # Gaps

    def _read_gaps(self) -> None:
        with self.open("gaps") as file:
            numbers, rows = file.rows(layout.GAP_ROW_DTYPE, self.base)
            self.gap_why = file.why
            filled = file.last_filled() if file.present else 0
        begin, width = layout.header_size(layout.GAP_ROW_DTYPE), layout.GAP_ROW_DTYPE.itemsize
        self.gap_rows_there = max(0, -(-(filled - begin) // width))
        self.whole_gaps = numbers
        good = sensible_gaps(rows)
        self.gap_numbers, self.gaps = numbers[good], rows[good]
        self._own = merged(spans_of_gaps(self.gaps))

    def held(self) -> list[Span]:
        """The numbers of its blocks."""
        first = self.blocks["first_seq"]
        stops = (first + self.blocks["rows"]).tolist()
        return merged(span for span in zip(first.tolist(), stops, strict=True) if span[0] < span[1])

    def free(self, start: int, stop: int) -> list[Span]:
        """The numbers from `start` up to `stop` that no gap stands for."""
        found = []
        for low, high in self._own:
            if high <= start:
                continue
            if low >= stop:
                break
            if low > start:
                found.append((start, low))
            start = max(start, high)
        if start < stop:
            found.append((start, stop))
        return found

    def numbers(self, stretch: Stretch, limit: int) -> list[Span]:
        """The numbers of a stretch's rows, in order; fewer where a later segment has them."""
        stop = limit if stretch.stop is None else min(stretch.stop, limit)
        start = stretch.start
        if start is None:
            start = self._back(stop, stretch.rows) if stop < NUMBER_LIMIT else 0
        left, found = stretch.rows, []
        for low, high in self.free(start, stop):
            high = min(high, low + left)
            found.append((low, high))
            left -= high - low
            if not left:
                break
        return [span for span in found if span[0] < span[1]]

    def _back(self, stop: int, count: int) -> int:
        """The number from which `count` numbers that no gap stands for lead up to `stop`."""
        for low, high in reversed(self._own):
            if high <= stop:
                if stop - high >= count:
                    break
                count, stop = count - (stop - high), low
        return max(0, stop - count)

    def _drop_stale_gaps(self) -> None:
        """Of rows that were not committed those count that tell of what came after."""
        fine = (self.gap_numbers < self.committed_gaps) | (self.gaps["seq"] >= (self.end or 0))
        self.gap_numbers, self.gaps = self.gap_numbers[fine], self.gaps[fine]
