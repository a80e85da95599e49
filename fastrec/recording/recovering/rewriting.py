"""A segment written anew from what is whole of another: byte for byte as long as nothing is left out.

Rows that come where they were keep their blocks, index rows and zones. Behind the first that is left out,
blocks are cut anew and everything is sealed for its new place.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from fastrec.core.spooler import start_writing
from fastrec.recording import layout
from fastrec.recording.committed import Since, steady, true_claims
from fastrec.recording.lines import LINE_LIMIT
from fastrec.recording.recovering.survey import Survey
from fastrec.recording.stock import Stock
from fastrec.recording.torn import Line, Patch
from fastrec.recording.writing.files import create, write_all
from fastrec.recording.zones import summarise

__all__ = ["LOST_TEXT", "MOST_TEXTS", "SegmentWriter"]

LOST_TEXT = "\ufffd"
"""Stands for a text whose line is damaged."""

MOST_TEXTS = 65536
"""Of a recorder's table (FORMAT 3): ids beyond are damage, for which no lines are made."""

_PIECE = 4 << 20
# Flags that the records of a block do not bear out.
_SAID = np.uint32(layout.INDEX_UNPROVEN | layout.INDEX_AGAIN | layout.INDEX_STEADY)


class SegmentWriter:
    """Writes the five files of a segment; `finish` completes them.

    Parameters
    ----------
    stock : Stock
        Of the channel that is written.
    survey : Survey
        Of the segment that is read: it gives number, gaps, texts and zones.
    begin : int
        Number after the last of the segments before, or the first of this one.

    Attributes
    ----------
    rows : int
        Written so far.
    end : int
        Number after the last of them.
    last_stamp : int or None
    texts_lost : list of int
        Ids whose texts are lost.
    patches : list of Patch
        Where ``strings`` is damaged.
    """

    def __init__(self, stock: Stock, survey: Survey, begin: int) -> None:
        self.stock, self._survey = stock, survey
        self._base = layout.place(stock.uuid, stock.name, survey.number)
        self.end = begin
        self.rows = self._index_rows = self._gap_rows = self._exact_rows = 0
        self.last_stamp: int | None = None
        self.texts_lost: list[int] = []
        self._index: list[np.ndarray] = []
        self._falls = False
        self._gaps: list[np.ndarray] = []
        committed = survey.gap_numbers[survey.gap_numbers < survey.committed_gaps]
        self._exact = len(committed) == survey.committed_gaps
        self._width = stock.dtype.itemsize
        self._records = create(self._path("records"))
        try:
            self._copy_texts()
        except BaseException:
            os.close(self._records)
            raise

    def _path(self, kind: str) -> Path:
        stock = self.stock
        return stock.root.joinpath(*stock.parts(layout.segment_file(kind, self._survey.number)))

    # Texts

    def _copy_texts(self) -> None:
        committed = self._survey.string_bytes
        lines: dict[int, bytes] = {}
        self._spare: dict[int, bytes] = {}
        self.patches: list[Patch] = []
        with self._survey.open("strings") as file:
            for one in file.lines(self._base):
                if isinstance(one, Patch):
                    self.patches.append(one)
                elif one.number < MOST_TEXTS and _is_text(one):
                    (lines if one.start < committed else self._spare)[one.number] = one.body
            self._texts = max(lines, default=-1) + 1
            made = b"".join(
                layout.seal_body(lines.get(number) or _lost(number), layout.seed_at(self._base, number))
                for number in range(self._texts)
            )
            if len(made) != committed or made != file.read(0, committed):
                self._exact = False
        self.texts_lost += [number + 1 for number in range(self._texts) if number not in lines]
        self.string_bytes = len(made)
        self._made = [made]

    def _need_texts(self, rows: np.ndarray) -> None:
        """Have a line for every id that rows refer to."""
        for text in self.stock.schema.texts:
            ids = text.of(rows)
            most = int(ids[ids <= MOST_TEXTS].max(initial=0))
            while self._texts < most:
                self._exact = False
                body = self._spare.get(self._texts)
                if body is None:
                    self.texts_lost.append(self._texts + 1)
                    body = _lost(self._texts)
                line = layout.seal_body(body, layout.seed_at(self._base, self._texts))
                self._made.append(line)
                self.string_bytes += len(line)
                self._texts += 1

    # Rows

    def put(self, data: memoryview, blocks: np.ndarray, slots: np.ndarray, at: int) -> None:
        """Append proven rows: those of consecutive index rows, one behind the other from row `at` on."""
        filled = blocks["rows"] > 0
        self._gaps_below(int(blocks["gap_rows"].max()))
        if not filled.any():
            if self._is_exact(blocks, slots, at):
                self._append(blocks)
                self.end = int(blocks["first_seq"][-1])
            return
        rows = np.frombuffer(data, self.stock.dtype)
        self._need_texts(rows)
        counts = blocks["rows"][filled].astype(np.int64)
        starts = np.cumsum(counts) - counts
        t_min, t_max, flags = self._times(rows, starts)
        own = blocks[filled]
        true = (own["t_min"] == t_min) & (own["t_max"] == t_max) & (own["flags"] & ~_SAID == flags)
        if self._is_exact(blocks, slots, at) and true.all():
            self._write(data)
            self._append(blocks)
            self.rows += len(rows)
            self._exact_rows = self.rows
            self.end = int(blocks["first_seq"][-1]) + int(blocks["rows"][-1])
            self.last_stamp = int(rows["mono_ns"][-1])
            return
        self._exact = False
        first = own["first_seq"].astype(np.int64)
        bits = own["flags"] & layout.INDEX_UNPROVEN
        breaks = np.append(True, (first[1:] != first[:-1] + counts[:-1]) | (bits[1:] != bits[:-1]))
        cuts = [*starts[breaks].tolist(), len(rows)]
        for begin, stop, number, flag in zip(
            cuts[:-1], cuts[1:], first[breaks].tolist(), bits[breaks].tolist(), strict=True
        ):
            self._recut(data[begin * self._width : stop * self._width], number, flag)

    def put_unproven(self, data: memoryview, number: int) -> None:
        """Append rows that nothing proves, from this number on."""
        self._need_texts(np.frombuffer(data, self.stock.dtype))
        self._exact = False
        self._recut(data, number, layout.INDEX_UNPROVEN)

    def _is_exact(self, blocks: np.ndarray, slots: np.ndarray, at: int) -> bool:
        """Whether index rows can stay as they are; what a wrong writer sealed, a reader would stop at."""
        last = self._index[-1][-1] if self._index else np.zeros((), layout.INDEX_DTYPE)
        since = Since(
            rows=self.rows,
            gap_rows=int(last["gap_rows"]),
            string_bytes=int(last["string_bytes"]),
            end=int(last["first_seq"]) + int(last["rows"]),
        )
        return (
            self._exact
            and at == self.rows
            and int(slots[0]) == self._index_rows
            and int(slots[-1]) - int(slots[0]) == len(slots) - 1
            and not true_claims(blocks, rows=layout.MAX_ROWS, since=since)[1]
            and not (self._unsteady(blocks) & (blocks["flags"] & layout.INDEX_STEADY != 0)).any()
        )

    def _times(self, rows: np.ndarray, starts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        stamps = np.ascontiguousarray(rows["mono_ns"])
        latest = rows["until_ns"] if self.stock.store == "changes" else stamps
        falls = np.zeros(len(rows), bool)
        np.less(stamps[1:], stamps[:-1], out=falls[1:])
        falls[starts] = False
        flags = np.logical_or.reduceat(falls, starts) * np.uint32(layout.INDEX_DECREASING)
        return np.minimum.reduceat(stamps, starts), np.maximum.reduceat(latest, starts), flags

    def _recut(self, data: memoryview, number: int, flag: int) -> None:
        rows = np.frombuffer(data, self.stock.dtype)
        block = layout.BLOCK_ROWS
        first = (self.rows // block + 1) * block
        edges = np.array([self.rows, *range(first, self.rows + len(rows), block), self.rows + len(rows)])
        starts, counts = edges[:-1] - self.rows, np.diff(edges)
        index = np.zeros(len(counts), layout.INDEX_DTYPE)
        index["first_seq"] = number + starts
        index["rows"] = counts
        index["t_min"], index["t_max"], flags = self._times(rows, starts)
        index["flags"] = flags | np.uint32(flag)
        index["durable_seq"] = int(self._index[-1]["durable_seq"][-1]) if self._index else 0
        width = self._width
        for place, (start, count) in enumerate(zip(starts.tolist(), counts.tolist(), strict=True)):
            seed = layout.seed_at(self._base, self.rows + start)
            index["crc_rows"][place] = layout.crc32c(data[start * width : (start + count) * width], seed)
        self._write(data)
        self.rows += len(rows)
        self.end = number + len(rows)
        self.last_stamp = int(rows["mono_ns"][-1])
        self._append(self._seal(index))

    def _seal(self, index: np.ndarray) -> np.ndarray:
        index["gap_rows"], index["string_bytes"] = self._gap_rows, self.string_bytes
        if not self._index and len(self._survey.blocks) and self._survey.slots[0] == 0:
            index["flags"][0] |= self._survey.blocks["flags"][0] & np.uint32(layout.INDEX_AGAIN)
        index["flags"][~self._unsteady(index)] |= np.uint32(layout.INDEX_STEADY)
        return layout.seal_rows(index, self._base, self._index_rows)

    def _unsteady(self, index: np.ndarray) -> np.ndarray:
        """Up to which of the next index rows some time of the segment decreases."""
        before = self._index[-1][-1:] if self._index else index[:0]
        return ~steady(np.concatenate([before, index]))[len(before) :] | self._falls

    def _append(self, index: np.ndarray) -> None:
        self._falls = bool(self._unsteady(index)[-1])
        self._index.append(index)
        self._index_rows += len(index)

    def _write(self, data: memoryview) -> None:
        offset = len(self.stock.header) + self.rows * self._width
        write_all(self._records, data, offset)
        start_writing(self._records, offset, len(data))

    # Gaps

    def _gaps_below(self, number: int) -> None:
        taken = sum(map(len, self._gaps))
        stop = int(np.searchsorted(self._survey.gap_numbers, number))
        if stop > taken:
            self._gaps.append(self._survey.gaps[taken:stop])
            self._gap_rows += stop - taken

    # The end

    def finish(self, stamp: int) -> None:
        """Complete the files; `stamp` is the time of losses that no record follows."""
        try:
            self._gaps_below(1 << 62)
            told = self._index[-1][-1] if self._index else np.zeros((), layout.INDEX_DTYPE)
            if self._gap_rows > told["gap_rows"] or self.string_bytes > told["string_bytes"]:
                row = np.zeros(1, layout.INDEX_DTYPE)
                row["first_seq"] = self.end
                row["t_min"] = row["t_max"] = stamp if self.last_stamp is None else self.last_stamp
                self._append(self._seal(row))
            write_all(
                self._records, layout.npy_header(self.stock.schema.storage(self.stock.store), self.rows), 0
            )
            gaps = np.concatenate([np.empty(0, layout.GAP_ROW_DTYPE), *self._gaps])
            index = np.concatenate([np.empty(0, layout.INDEX_DTYPE), *self._index])
            self._create("index", layout.npy_header(layout.INDEX_DTYPE, len(index)), index)
            self._create(
                "gaps",
                layout.npy_header(layout.GAP_ROW_DTYPE, len(gaps)),
                layout.seal_rows(gaps, self._base) if len(gaps) else gaps,
            )
            self._create("strings", b"".join(self._made))
            zones = self._zones()
            self._create("zones", layout.npy_header(zones.dtype, len(zones)), zones)
        finally:
            os.close(self._records)
            self._records = -1

    def abandon(self) -> None:
        """Close what is open."""
        if self._records >= 0:
            os.close(self._records)
            self._records = -1

    def _create(self, kind: str, header: bytes, rows: np.ndarray | None = None) -> None:
        descriptor = create(self._path(kind))
        try:
            write_all(descriptor, header, 0)
            if rows is not None and len(rows):
                write_all(descriptor, memoryview(np.ascontiguousarray(rows).view(np.uint8)), len(header))
        finally:
            os.close(descriptor)

    def _zones(self) -> np.ndarray:
        """A zone for every full 1024 rows: those of rows that stayed in their place, the others made anew."""
        block, numeric = layout.BLOCK_ROWS, self.stock.schema.numeric
        dtype = layout.zone_dtype(len(numeric))
        zones = np.zeros(self.rows // block, dtype)
        missing = np.ones(len(zones), bool)
        with self._survey.open("zones") as file:
            numbers, rows = file.rows(dtype, self._survey.base)
        kept = numbers < self._exact_rows // block
        zones[numbers[kept]] = rows[kept]
        missing[numbers[kept]] = False
        at_once = max(1, _PIECE // (block * self._width))
        wanted = np.flatnonzero(missing)
        for group in np.split(wanted, np.flatnonzero(np.diff(wanted) != 1) + 1):
            for low in range(0, len(group), at_once):
                part = group[low : low + at_once]
                first = int(part[0])
                data = os.pread(
                    self._records,
                    len(part) * block * self._width,
                    len(self.stock.header) + first * block * self._width,
                )
                made = summarise(np.frombuffer(data, self.stock.dtype), numeric)
                zones[first : first + len(part)] = layout.seal_rows(made, self._base, first)
        return zones


def _lost(number: int) -> bytes:
    return b'{"id":%d,"text":"\\ufffd"' % (number + 1)


def _is_text(line: Line) -> bool:
    return len(line.body) < LINE_LIMIT and line.body.startswith(b'{"id":%d,"text":"' % (line.number + 1))
