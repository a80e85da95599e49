"""What all segments of a channel have in common, and where the files of one are."""

from __future__ import annotations

import io
import os
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from fastrec.core.outline import Ends
from fastrec.core.zone import read_runs, read_zones
from fastrec.recording import layout, opening
from fastrec.recording.committed import NUMBER_LIMIT
from fastrec.recording.zones import told_dtype
from fastrec.schema import Schema

__all__ = ["SegmentFiles", "Stock", "segment_numbers"]

# Segments whose mapping is kept: each costs a descriptor, and a day at 1 MHz has 20,000 segments.
_OPEN_MAPS = 64

_RECENT = 4


@dataclass(frozen=True)
class Stock:
    """What all segments of a channel have in common.

    Attributes
    ----------
    root : Path
        Folder of the recording.
    uuid : bytes
    name : str
        Of the channel.
    schema : Schema
        As recorded.
    store : str
    header : bytes
        Of ``records``, as written for the recorded schema.
    dtype : numpy.dtype
        Of a row in memory; of the same size as a row on disk.
    maps : deque
        Keeps the mappings of the segments used last.
    recent : deque
        Rows that were read by themselves last, all of them proved: (segment, row, array).
    """

    root: Path
    uuid: bytes
    name: str
    schema: Schema
    store: str
    header: bytes
    dtype: np.dtype
    maps: deque = field(default_factory=lambda: deque(maxlen=_OPEN_MAPS))
    recent: deque = field(default_factory=lambda: deque(maxlen=_RECENT))

    def read_lately(self, segment: object, start: int, stop: int) -> np.ndarray | None:
        """Rows of a segment, if they are among the `recent` ones."""
        for owner, first, array in tuple(self.recent):
            if owner is segment and first <= start and stop <= first + len(array):
                return array[start - first : stop - first]
        return None

    @cached_property
    def ends(self) -> Ends:
        """Reads the ends of their indexes."""
        return Ends(
            layout.npy_header(layout.INDEX_DTYPE),
            len(self.header),
            self.dtype.itemsize,
            layout.header_size(layout.GAP_ROW_DTYPE),
            layout.GAP_ROW_DTYPE.itemsize,
            layout.MAX_ROWS,
            NUMBER_LIMIT,
        )

    @cached_property
    def folder(self) -> tuple[str, str]:
        """Names from the recording's folder down to that of the channel."""
        return "channels", self.name

    def parts(self, file: str) -> tuple[str, str, str]:
        """Names from the recording's folder down to a file of the channel."""
        return *self.folder, file


def segment_numbers(root: Path, channel: str, starts: tuple[str, ...] = ("",)) -> list[int]:
    """Numbers of the segments that files of a channel belong to, ascending.

    Parameters
    ----------
    starts : tuple of str
        Only files whose names begin with one of these; default: any, what is left of a segment, too.

    Raises
    ------
    RecordingError
        The channel's folder cannot be listed, or is a link.
    """
    names = [name for name in opening.folder_names(root, "channels", channel) if name.startswith(starts)]
    return sorted({number for name in names if (number := layout.segment_number(name)) is not None})


class SegmentFiles:
    """The files of a segment: ``records``, ``index``, ``gaps``, ``strings``, ``zones``.

    Parameters
    ----------
    stock : Stock
    number : int

    Attributes
    ----------
    base : int
        `layout.place` of the segment.
    """

    def __init__(self, stock: Stock, number: int) -> None:
        self.stock = stock
        self.number = number
        self.base = layout.place(stock.uuid, stock.name, number)

    def path(self, kind: str) -> Path:
        """Path of one of the files, for messages."""
        return self.stock.root.joinpath(*self.parts(kind))

    def where(self, kind: str) -> opening.Where:
        """The same, for messages that are seldom told."""
        return opening.Where(self.stock.root, self.parts(kind))

    def parts(self, kind: str) -> tuple[str, str, str]:
        """Names from the recording's folder down to one of the files."""
        return self.stock.parts(layout.segment_file(kind, self.number))

    def open(self, kind: str, *, sparse: bool = False) -> int:
        """A descriptor of one of the files; errors as of `opening.open_file`.

        Parameters
        ----------
        kind : str
        sparse : bool
            A little is read here and there: the system is not to read what lies behind it, too.
        """
        descriptor = opening.open_file(self.stock.root, *self.parts(kind))
        if sparse:
            with suppress(OSError):  # some file systems take no advice
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_RANDOM)
        return descriptor

    def size(self, kind: str) -> int:
        """Bytes of one of the files, 0 if it is not there."""
        try:
            descriptor = self.open(kind)
        except FileNotFoundError:
            return 0
        try:
            return os.fstat(descriptor).st_size
        finally:
            os.close(descriptor)

    def room(self) -> dict[str, int]:
        """How many ``rows``, ``gap_rows`` and ``string_bytes`` the files have room for."""
        return {
            "rows": self.records_in(self.size("records")),
            "gap_rows": self.gap_room(),
            "string_bytes": self.size("strings"),
        }

    def records_in(self, size: int) -> int:
        """For how many records a file of so many bytes has room."""
        return max(0, size - len(self.stock.header)) // self.stock.dtype.itemsize

    def gap_room(self) -> int:
        """For how many gap rows there is room."""
        rows = self.size("gaps") - layout.header_size(layout.GAP_ROW_DTYPE)
        return max(0, rows) // layout.GAP_ROW_DTYPE.itemsize

    @property
    def zone_dtype(self) -> np.dtype:
        """Of a row of ``zones``."""
        return layout.zone_dtype(len(self.stock.schema.numeric))

    def zone_rows(self) -> int:
        """How many zone rows the file has room for, whole or not."""
        dtype = self.zone_dtype
        return max(0, self.size("zones") - layout.header_size(dtype)) // dtype.itemsize

    def stored_zones(
        self, first: int, last: int, columns: Sequence[int] | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """What zone rows ``first ... last - 1`` tell, by the file; and which of them are there and whole.

        Parameters
        ----------
        first, last : int
        columns : sequence of int, optional
            Numeric fields to which the rows are reduced; their ``crc`` is still that of the file.

        Returns
        -------
        zones : ndarray of told_dtype(len(columns))
        whole : ndarray of bool
        """
        numeric = self.stock.schema.numeric
        k = len(numeric)
        chosen = np.arange(k) if columns is None else np.array(columns, np.int64)
        turns = np.array([numeric[one].kind != "f8" for one in chosen.tolist()], np.uint8)
        words = np.empty((last - first, 2 + 5 * len(chosen)), np.uint64)
        whole = np.zeros(last - first, np.uint8)
        try:
            file, at = self._open_zones(first)
        except FileNotFoundError:
            words[:] = 0
        else:
            with file:
                read_zones(file.fileno(), at, k, chosen, turns, self.base, first, words, whole)
        return words.view(told_dtype(len(chosen)))[:, 0], whole.astype(bool)

    def stored_runs(
        self, first: int, last: int, column: int, place: int, *, floating: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        """The states that zone rows ``first ... last - 1`` tell, by the file; see `Chunk.zone_runs`. A row
        that is not there, or not whole, tells none.

        Raises
        ------
        OSError
            There is no file, or none that can be read.
        """
        known = np.zeros(last - first, np.uint8)
        runs = np.empty((2 * len(known), 4), np.int64)
        k = len(self.stock.schema.numeric)
        file, at = self._open_zones(first)
        with file:
            turns = not floating
            found = read_runs(file.fileno(), at, k, column, turns, self.base, first, place, runs, known)
        return known.view(bool), runs[:found]

    def _open_zones(self, row: int) -> tuple[io.FileIO, int]:
        """Their file, and where a row begins in it; CorruptionError if its header is not what it must be."""
        dtype = self.zone_dtype
        header = layout.npy_header(dtype)
        file = io.FileIO(self.open("zones"))
        try:
            layout.check_header(file.read(len(header)), header, self.where("zones"))
        except BaseException:
            file.close()
            raise
        return file, len(header) + row * dtype.itemsize
