"""One segment of a channel: what is committed in it, its records, texts and zones.

Loading reads the index and the gaps, and checks every row of them; or the ends of the index alone, and the
rest when a record is looked for. Records are mapped when they are first asked for, and each block is compared
with its checksum when it is first touched. Nothing is ever written.
"""

from __future__ import annotations

import io
import mmap
import os
import weakref
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cached_property

import numpy as np

from fastrec.core.crc32c import block_checksums
from fastrec.errors import CorruptionError, RecordingError
from fastrec.recording import committed, layout, opening
from fastrec.recording.blocks import Blocks, all_blocks, block_behind, blocks_near, blocks_of
from fastrec.recording.committed import IndexRow, Since, row_of
from fastrec.recording.outline import outline_of
from fastrec.recording.stock import SegmentFiles, Stock
from fastrec.recording.texts import StoredTexts
from fastrec.recording.zones import summarise, told, told_dtype
from fastrec.schema.gaps import GAP_DTYPE
from fastrec.schema.texts import Text

__all__ = ["Segment"]

_WHOLE = Since()

_NO_GAPS = np.empty(0, np.int64), np.empty(0, GAP_DTYPE)

_FEW = 4 << 20
"""Bytes that are read by themselves, as long as the index is searched."""

_SEARCHES = 32
"""Times that an index is searched for some of its blocks before it is read whole."""


class Segment(SegmentFiles):
    """A segment as it was when it was loaded; what is committed later is not in it.

    Parameters
    ----------
    stock : Stock
    number : int
    since : Since, optional
        Load only what is committed behind that; `index`, `at`, `gaps` and `gap_numbers` have only this.
    texts : StoredTexts, optional
        Of the same segment, as far as they are read.
    brief : bool, optional
        Of a segment that is complete, the ends of the index will do until a record is looked for.

    Attributes
    ----------
    number : int
    index : ndarray of INDEX_DTYPE
        The committed index rows.
    at : ndarray of int64
        Row of the segment at which the block of each index row begins.
    begin, length : int
        Committed records: those of `since`, and all.
    read : Since
        What has been read of it by now, to go on from there.
    count : int or None
        What the header of ``records`` said before the index was read; None if it is damaged.
    gaps : ndarray of GAP_DTYPE; gap_numbers : ndarray of int64
        Whole gap rows, and at which row of the file each stands.
    present : bool
        Whether there is a ``records`` file at all.
    mapped : callable
        All records, as long as somebody keeps them mapped; else None.
    problems, tail : lists of str
        What is damaged; what is not committed, as a writer leaves it that is busy or was killed.
    """

    def __init__(
        self,
        stock: Stock,
        number: int,
        since: Since = _WHOLE,
        texts: StoredTexts | None = None,
        *,
        brief: bool = False,
    ) -> None:
        super().__init__(stock, number)
        self.problems: list[str] = []
        self.tail: list[str] = []
        self._since = since
        self.begin = since.rows
        self._texts = texts
        self._searches = 0
        self._lately: Blocks | None = None  # those that were found last, side by side
        self.mapped: Callable[[], np.ndarray | None] = lambda: None
        self._outline = outline_of(self) if brief else None
        # The count first: a live writer raises it last, so the index read after it always covers it.
        self.present, self.count = (True, self._outline.read.rows) if self._outline else self._read_count()
        self.read = (
            self._outline.read if self._outline else committed.reached(self.index, self.blocks.stop, since)
        )
        self.length = self.read.rows
        self.gap_numbers, self.gaps = self._read_gaps()

    @cached_property
    def blocks(self) -> Blocks:
        """All that are committed."""
        self._lately = None
        if self._outline is not None:
            with suppress(FileNotFoundError):
                if (found := all_blocks(self, self._outline)) is not None:
                    self._checked = found.index["rows"] == 0
                    return found
        found = blocks_of(self, self._since, self.count, self._outline)
        self.problems += found.problems
        self.tail += found.tail
        self._checked = found.blocks.index["rows"] == 0
        return found.blocks

    @property
    def index(self) -> np.ndarray:
        return self.blocks.index

    @property
    def at(self) -> np.ndarray:
        return self.blocks.at

    @property
    def first(self) -> IndexRow | None:
        """The first index row; None: nothing is committed."""
        if self._outline:
            return self._outline.first
        return row_of(self.index[0]) if len(self.index) else None

    def stamp(self, row: int) -> int | None:
        """Stamp of a row, ns, if the ends of the index tell it; None: they do not."""
        return self._outline.stamp(row, self.stock.store) if self._outline else None

    @property
    def end(self) -> int:
        """Number after the last that an index row covers; 0 without index rows."""
        return self.read.end

    # Loading

    def _read_count(self) -> tuple[bool, int | None]:
        header = self.stock.header
        try:
            descriptor = self.open("records", sparse=True)
        except FileNotFoundError:
            return False, 0
        with io.FileIO(descriptor) as file:
            try:
                return True, layout.check_header(file.read(len(header)), header, self.where("records"))
            except CorruptionError as error:
                self.problems.append(str(error))
                return True, None

    def _read_gaps(self) -> tuple[np.ndarray, np.ndarray]:
        begin, total = self._since.gap_rows, self.read.gap_rows
        if begin == total:
            return _NO_GAPS
        numbers, gaps, problems = committed.read_gaps(
            self.stock.root, self.parts("gaps"), self.base, begin, total
        )
        self.problems += problems
        if len(numbers) < total - begin:
            whole = numbers == begin + np.arange(len(numbers))
            missing = begin + (len(whole) if whole.all() else int(np.argmin(whole)))
            self.problems.append(
                f"{self.path('gaps')}: {total - begin - len(numbers)} of {total} rows are damaged,"
                f" the first is row {missing}: losses are missing from the gaps"
            )
        return numbers, gaps

    # Records

    def rows(self, start: int, stop: int) -> np.ndarray:
        """Rows ``start ... stop - 1`` of the segment: read-only, of the record dtype, checked.

        Raises
        ------
        CorruptionError
            A block that they lie in does not match its checksum, or the file is not what its schema calls
            for.
        GoneError
            The file is gone: retention may have removed the segment.
        """
        if start >= stop:
            return np.frombuffer(b"", self.stock.dtype)
        if (recent := self.stock.read_lately(self, start, stop)) is not None:
            return recent
        blocks = self.near(np.array([start]), np.array([stop]))
        low, high = blocks.of(start, stop)
        damaged, array, offset = self._damaged(blocks, int(low), int(high))
        if len(damaged):
            if blocks is not self.blocks:
                return self.rows(start, stop)  # perhaps it is the index that is wrong
            raise CorruptionError(self.describe(blocks, int(damaged[0])))
        if self.mapped() is None and array.nbytes <= _FEW:
            self.stock.recent.append((self, offset, array))  # who looks once often looks beside it next
        return array[start - offset : stop - offset]

    def near(self, starts: np.ndarray, stops: np.ndarray) -> Blocks:
        """Blocks among which are those in which some rows lie.

        Parameters
        ----------
        starts, stops : ndarray of int64, at least one
            Ranges of rows of the segment, increasing.

        Raises
        ------
        CorruptionError
            The index is damaged before that, which was not known while only its ends were read.
        GoneError
            Since then retention may have removed the segment.
        """
        one, lately = len(starts) == 1, self._lately
        if one and lately and lately.at[0] <= starts[0] and stops[0] <= lately.stop:
            return lately
        if self._outline is not None and self._searches_on():
            with suppress(FileNotFoundError):
                if found := blocks_near(self, self._outline, starts, stops):
                    self._lately = found if one else lately
                    return found
        reached = self.blocks.stop
        if stops[-1] > reached:
            if not opening.has_file(self.stock.root, *self.parts("records")):
                raise self.gone()
            known = [line for line in self.problems if line.startswith(str(self.path("index")))]
            raise CorruptionError(
                "; ".join([*known[:1], f"the index of rows {reached} to {self.length - 1} cannot be read"])
            )
        return self.blocks

    @property
    def steady(self) -> bool:
        """The end of the index says that no stamp is smaller than one before it."""
        return self._outline is not None and self._outline.steady

    def block_behind(self, time_ns: int) -> tuple[int, int] | None:
        """Rows at which the first block begins and ends that reaches a time, if the index can be searched for
        it; behind the last row if none does.
        """
        if not self.steady:
            return None
        if time_ns > self._outline.last.t_max:  # that of the last block, or of one before it
            return self.length, self.length
        if not self._searches_on():
            return None
        with suppress(FileNotFoundError):
            if found := block_behind(self, self._outline, time_ns):
                self._lately = found[1] or self._lately
                return found[0]
        return None

    def gone(self) -> opening.GoneError:
        """What to raise where its file is not there any more."""
        return opening.GoneError(
            f"{self.path('records')}: is gone; retention may have removed it, so open the recording again"
        )

    def _searches_on(self) -> bool:
        """Whether to search the index once more, and not to read it whole."""
        self._searches += 1
        return self._searches <= _SEARCHES and "blocks" not in self.__dict__

    def check_index(self) -> None:
        """Whether the index can be read as far as its ends said; errors as of `near`."""
        self._searches = _SEARCHES
        self.near(np.array([self.begin]), np.array([self.length]))
        if len(self.index) + self._since.index < self.read.index:
            raise CorruptionError(f"{self.path('index')}: its last rows cannot be read")

    def damaged(self, low: int, high: int) -> list[int]:
        """Index rows among ``low ... high - 1`` whose blocks do not match their checksum."""
        return self._damaged(self.blocks, low, high)[0].tolist()

    def describe(self, blocks: Blocks, block: int) -> str:
        """What to say about a block that does not match its checksum."""
        row = blocks.index[block]
        first, rows, at = int(row["first_seq"]), int(row["rows"]), int(blocks.at[block])
        return (
            f"{self.path('records')}: records {first} to {first + rows - 1} (rows {at} to {at + rows - 1})"
            " do not match their checksum; the others can be read"
        )

    def _damaged(self, blocks: Blocks, low: int, high: int) -> tuple[np.ndarray, np.ndarray, int]:
        """Which of some blocks do not match; an array with their rows, and the row with which it begins."""
        end = int(blocks.at[high - 1]) + int(blocks.index["rows"][high - 1])
        begin = int(blocks.at[low])
        # Who looks at a segment now and then needs a few of its pages, and a mapping would read many.
        few = blocks is not self.__dict__.get("blocks") and (end - begin) * self.stock.dtype.itemsize <= _FEW
        array, offset = self._array(begin, end, mapped=not few)
        # What was proved once need not be again, as long as it is the same memory.
        known = blocks is self.__dict__.get("blocks") and self.mapped() is array
        asked = np.arange(low, high)
        asked = asked[~self._checked[asked]] if known else asked[blocks.index["rows"][asked] > 0]
        counts = blocks.index["rows"][asked].astype(np.int64)
        sums, width = np.empty(len(asked), np.uint32), array.dtype.itemsize
        begins = blocks.at[asked] - offset
        block_checksums(array.view(np.uint8), width, self.base, begins, counts, offset, sums)
        whole = sums == blocks.index["crc_rows"][asked]
        if known:
            self._checked[asked[whole]] = True
        return asked[~whole], array, offset

    def _array(self, first: int, last: int, *, mapped: bool = True) -> tuple[np.ndarray, int]:
        """An array that holds rows ``first ... last - 1``, or, `mapped`, all there are; and with which row it
        begins.
        """
        if (array := self.mapped()) is not None:
            return array, self.begin
        stock = self.stock
        where = self.where("records")
        try:
            descriptor = self.open("records", sparse=not mapped)
        except FileNotFoundError as error:
            raise self.gone() from error
        with io.FileIO(descriptor):
            # The header is not asked: a block proves itself, and loading has told of any other header.
            width, start = stock.dtype.itemsize, len(stock.header)
            found = None
            if os.fstat(descriptor).st_size < start + self.length * width:
                raise CorruptionError(f"{where}: became shorter than its index says")
            begin = start + self.begin * width
            page = begin // mmap.ALLOCATIONGRANULARITY * mmap.ALLOCATIONGRANULARITY
            if mapped and not opening.foreign(descriptor):
                size = start + self.length * width - page
                with suppress(OSError):  # more than there are addresses for
                    found = mmap.mmap(descriptor, size, prot=mmap.PROT_READ, offset=page)
            if found is None:
                data = os.pread(descriptor, (last - first) * width, start + first * width)
                if len(data) < (last - first) * width:
                    raise CorruptionError(f"{where}: became shorter than its index says")
                return np.frombuffer(data, stock.dtype), first
        array = np.frombuffer(found, stock.dtype, self.length - self.begin, begin - page)
        self.mapped = weakref.ref(array)
        stock.maps.append(array)
        return array, self.begin

    def hold(self) -> object:
        """What keeps the records readable when their file is removed, for as long as it is kept itself.

        The records of a file of somebody else are read anew each time: nothing keeps them.

        Raises
        ------
        GoneError
            It is too late.
        """
        if self.length == self.begin:
            return None
        if self.stock.schema.texts:
            self.texts()
        return self._array(self.begin, self.begin)[0]

    # Texts and zones

    def text(self, identifier: int) -> Text:
        """Text of an id in this segment; see `StoredTexts.text`."""
        return self.stored_texts.text(identifier, self.read.string_bytes)

    @property
    def stored_texts(self) -> StoredTexts:
        """Its texts, as far as they are read."""
        if self._texts is None:
            self._texts = StoredTexts(self.stock.root, self.parts("strings"), self.base)
        return self._texts

    def texts(self) -> list[str | RecordingError]:
        """The committed texts in order of their ids; an error in the place of a damaged one."""
        return self.stored_texts.upto(self.read.string_bytes)

    def zones(self, first: int, last: int, columns: Sequence[int]) -> np.ndarray:
        """Zone rows ``first ... last - 1`` of some numeric fields; what the file lacks is made anew."""
        zones, whole = self._told_zones(first, last, columns)
        fields, block = [self.stock.schema.numeric[one] for one in columns], layout.BLOCK_ROWS
        for zone in np.flatnonzero(~whole).tolist():
            at = (first + zone) * block
            zones[zone] = told(summarise(self.rows(at, at + block), fields), fields)[0]
        return zones

    def silences(self, first: int, last: int) -> np.ndarray:
        """The silences that zone rows ``first ... last - 1`` tell, us; 0: one is absent, or tells none."""
        zones, whole = self._told_zones(first, last, ())
        # A record is at least one poll: a zone that has fewer than records was made up.
        return zones["silence_us"] * (whole & (zones["polls"] >= layout.BLOCK_ROWS))

    def _told_zones(self, first: int, last: int, columns: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """As of `stored_zones`; none is there of what cannot be read, or is a link: none of it is needed."""
        try:
            return self.stored_zones(first, last, columns)
        except OSError:
            return np.zeros(last - first, told_dtype(len(columns))), np.zeros(last - first, bool)
