"""A segment's rows on their way: read once, each block compared with its checksum, written if it is whole."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from fastrec.recording import layout
from fastrec.recording.committed import NUMBER_LIMIT
from fastrec.recording.holds import impossible
from fastrec.recording.precedence import Span, left_of
from fastrec.recording.recovering.findings import Findings
from fastrec.recording.recovering.placing import NOWHERE, Stretch
from fastrec.recording.recovering.rewriting import MOST_TEXTS, SegmentWriter
from fastrec.recording.recovering.survey import Survey
from fastrec.recording.torn import TornFile

__all__ = ["Copier", "Loss"]

_PIECE = 4 << 20
_AHEAD = 16 << 20


class Loss(NamedTuple):
    """Numbers that damage took, from the first up to, not including, the second, and their time."""

    start: int
    stop: int
    t_first: int
    t_last: int
    why: str


class Copier:
    """Copies what is whole of a segment.

    Parameters
    ----------
    survey : Survey
    writer : SegmentWriter
    limit : int
        From this number on rows that nothing proves are those of a later segment.
    salvage : bool
        Take rows that nothing proves, too.
    elsewhere : list of (int, int)
        Numbers that index rows of other segments tell of; disjoint, in order.
    start_ns : int
        No record is older.
    findings : Findings
    done : callable
        Told how many bytes were read.

    Attributes
    ----------
    losses : list of Loss
    unproven : list of (int, int)
        Numbers, from the first up to, not including, the second.
    """

    def __init__(
        self,
        survey: Survey,
        writer: SegmentWriter,
        *,
        limit: int,
        salvage: bool,
        elsewhere: list[Span],
        start_ns: int,
        findings: Findings,
        done: Callable[[int], None],
    ) -> None:
        self._survey, self._writer, self._limit = survey, writer, limit
        self._salvage, self._elsewhere, self._start_ns = salvage, elsewhere, start_ns
        self._findings, self._done = findings, done
        self.losses: list[Loss] = []
        self.unproven: list[Span] = []
        width = survey.stock.dtype.itemsize
        self._width = width
        self._buffer = memoryview(bytearray(max(_PIECE, layout.BLOCK_ROWS * width)))

    def run(self) -> None:
        """Copy everything up to the last whole index row, then what is behind it."""
        survey = self._survey
        with survey.open("records") as file:
            stretches = sorted(survey.stretches, key=lambda one: one.at)
            for low, high in self._pieces():
                while stretches and stretches[0].at < survey.at[low]:
                    self._stretch(file, stretches.pop(0))
                self._blocks(file, low, high)
            for stretch in stretches:
                self._stretch(file, stretch)
            if survey.tail is not None:
                self._stretch(file, survey.tail)
        for start, stop in survey.unplaced:
            self._lose(start, stop, "nobody knows where in the file they are")

    def _pieces(self) -> list[Span]:
        """Index rows of blocks that lie one behind the other, as many as the buffer holds."""
        survey = self._survey
        placed = np.flatnonzero(survey.at != NOWHERE)
        if not len(placed):
            return []
        at = survey.at[placed]
        ends = at + survey.blocks["rows"][placed]
        room = len(self._buffer) // self._width
        cuts = np.flatnonzero((at[1:] != ends[:-1]) | (np.diff(placed) != 1)) + 1
        pieces = []
        for group in np.split(np.arange(len(placed)), cuts):
            low, last = int(group[0]), int(group[-1]) + 1
            while low < last:
                high = int(np.searchsorted(ends[low:last], at[low] + room, "right")) + low
                pieces.append((int(placed[low]), int(placed[high - 1]) + 1))
                low = high
        return pieces

    # What index rows tell of

    def _blocks(self, file: TornFile, low: int, high: int) -> None:
        survey, writer, width = self._survey, self._writer, self._width
        first = int(survey.at[low])
        rows = survey.blocks["rows"][low:high].astype(np.int64)
        starts = (survey.at[low:high] - first) * width
        stops = starts + rows * width
        offset, size = survey.bytes_of(first, int(rows.sum()))
        size -= offset
        file.soon(offset + size, _AHEAD)
        got = file.into(self._buffer[:size], offset)
        crcs = survey.blocks["crc_rows"][low:high].tolist()
        good = np.ones(high - low, bool)
        base = survey.base
        for place, (start, stop, crc) in enumerate(zip(starts.tolist(), stops.tolist(), crcs, strict=True)):
            if start < stop:
                seed = layout.seed_at(base, first + start // width)
                good[place] = stop <= got and layout.crc32c(self._buffer[start:stop], seed) == crc
        self._done(size)
        edges = [0, *(np.flatnonzero(np.diff(good)) + 1).tolist(), high - low]
        for begin, end in pairwise(edges):
            part = slice(low + begin, low + end)
            if good[begin]:
                data = self._buffer[int(starts[begin]) : int(stops[end - 1])]
                writer.put(data, survey.blocks[part], survey.slots[part], int(survey.at[low + begin]))
            else:
                for block in range(low + begin, low + end):
                    self._damaged(block)

    def _damaged(self, block: int) -> None:
        survey = self._survey
        row = survey.blocks[block]
        first, count = int(row["first_seq"]), int(row["rows"])
        stop = first + count
        start_byte, stop_byte = survey.bytes_of(int(survey.at[block]), count)
        why = "does not match its checksum"
        if not survey.records_size:
            why = f"{survey.records_why or 'is empty'}"
        elif stop_byte > survey.records_size:
            why = "the file ends before"
        file = survey.file("records")
        self._findings.tear(file, start_byte, stop_byte, why, first=first, last=stop - 1)
        self._lose(first, stop, why, int(row["t_min"]), int(row["t_max"]))

    # What nothing proves

    def _stretch(self, file: TornFile, stretch: Stretch) -> None:
        survey, width = self._survey, self._width
        at = stretch.at
        for start, stop in survey.numbers(stretch, self._limit):
            for low, high in left_of((start, stop), self._elsewhere):
                self._part(file, at + low - start, low, high, stretch.why)
            at += stop - start
        if at > stretch.at or stretch is not survey.tail:
            self._done((at - stretch.at) * width)

    def _part(self, file: TornFile, at: int, start: int, stop: int, why: str) -> None:
        taken = self._salvaged(file, at, start, stop - start) if self._salvage else 0
        if taken:
            self._told(at, taken, start, f"{why}; salvaged")
            self.unproven.append((start, start + taken))
        if taken < stop - start:
            if self._salvage:
                why += "; not salvaged, because it cannot be records"
            self._told(at + taken, stop - start - taken, start + taken, why)
            self._lose(start + taken, stop, why)

    def _told(self, at: int, rows: int, number: int, why: str) -> None:
        start, stop = self._survey.bytes_of(at, rows)
        file = self._survey.file("records")
        self._findings.tear(file, start, stop, why, first=number, last=number + rows - 1)

    def _lose(self, start: int, stop: int, why: str, t_first: int | None = None, t_last: int = 0) -> None:
        if t_first is None:
            last = self._writer.last_stamp
            t_first = t_last = self._start_ns if last is None else last
        self.losses.append(Loss(start, stop, t_first, max(t_first, t_last), why))

    def _salvaged(self, file: TornFile, at: int, number: int, count: int) -> int:
        """Write those rows that can be records, up to the first that cannot; how many."""
        done, width = 0, self._width
        step = len(self._buffer) // width
        while done < count:
            size = min(step, count - done) * width
            offset, _ = self._survey.bytes_of(at + done, 1)
            whole = file.into(self._buffer[:size], offset) // width
            data = self._buffer[: whole * width]
            fine = self._believable(data) if whole else 0
            if fine:
                self._writer.put_unproven(data[: fine * width], number + done)
            done += fine
            if fine * width < size:
                break
        return done

    def _believable(self, data: memoryview) -> int:
        """How many rows, from the first on, can be records that follow the one before."""
        stock = self._survey.stock
        rows = np.frombuffer(data, stock.dtype)
        stamps = rows["mono_ns"]
        floor = self._start_ns if self._writer.last_stamp is None else self._writer.last_stamp
        wrong = np.append(stamps[:1] < floor, stamps[1:] < stamps[:-1])
        wrong |= (stamps >= NUMBER_LIMIT) | (stamps < -NUMBER_LIMIT)
        wrong |= ~np.frombuffer(data, np.uint8).reshape(len(rows), self._width).any(axis=1)
        if stock.store == "changes":
            odd = impossible(rows)
            odd |= (rows["until_ns"] >= NUMBER_LIMIT) | (rows["until_ns"] < stamps)
            # The row before an impossible one may be right, but not both.
            wrong |= odd
        for text in stock.schema.texts:
            ids = text.of(rows)
            wrong |= (ids > MOST_TEXTS) & (ids != np.iinfo(ids.dtype).max)
        return int(np.argmax(wrong)) if wrong.any() else len(rows)
