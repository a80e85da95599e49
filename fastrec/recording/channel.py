"""A channel of a recording: what ``channel.json`` says, and its segments put in order.

Where two segments hold a number the later one counts, and a number that nobody holds and no gap names becomes
a gap of its own: what was lost to damage is as visible as any other loss.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from fastrec.errors import FormatError, SchemaError
from fastrec.recording import layout, opening
from fastrec.recording.chunk import EvolvedChunk, SegmentChunk
from fastrec.recording.committed import NUMBER_LIMIT
from fastrec.recording.segment import Segment, Stock
from fastrec.records import Chunk
from fastrec.schema import Schema
from fastrec.schema.conversion import Conversion
from fastrec.schema.gaps import GAP_DTYPE, OWN_NUMBERS, Cause, join

__all__ = ["Channel", "Content", "Span", "spans_of_gaps"]


Span = tuple[int, int]
"""Numbers from the first up to, not including, the second."""


@dataclass(frozen=True)
class Content:
    """A channel's segments, in order, as they were at one moment.

    Attributes
    ----------
    segments : list of Segment
    kept : list of int
        How many index rows of each count; those behind are in a later segment again.
    chunks : list of SegmentChunk
        Ascending in number.
    gaps : ndarray of GAP_DTYPE
        Joined: the recorded ones, and what is missing without one.
    end : int
        Number after the last record or loss.
    problems, tail : list of str
    holes : ndarray of GAP_DTYPE
        Those of the gaps that nobody recorded: what is missing without one.
    """

    segments: list[Segment]
    kept: list[int]
    chunks: list[SegmentChunk]
    gaps: np.ndarray
    end: int
    problems: list[str]
    tail: list[str]
    holes: np.ndarray


class Channel:
    """A channel as ``channel.json`` describes it.

    Parameters
    ----------
    root : Path
        Folder of the recording.
    uuid : bytes
    name : str
    schema : Schema, optional
        As which to read the rows, instead of the recorded one.
    renamed : mapping of str to (str or None), optional
        Names of the recorded schema that are others in `schema`.

    Raises
    ------
    CorruptionError, FormatError
        ``channel.json`` is damaged, or says what cannot be.
    SchemaError
        Something recorded would be lost in `schema`, or may be one field or another.
    """

    def __init__(
        self,
        root: Path,
        uuid: bytes,
        name: str,
        schema: Schema | None = None,
        renamed: Mapping[str, str | None] | None = None,
    ) -> None:
        parts = ("channels", name, "channel.json")
        self.where = root.joinpath(*parts)
        self.name = name
        self.members = opening.read_json(root, *parts, seed=layout.row_seed(uuid, name, 0, 0))
        if self.members.get("name") != name:
            raise FormatError(f"{self.where}: describes channel {self.members.get('name')!r:.80}")
        try:
            recorded = Schema.from_json(self.members.get("schema"))
        except SchemaError as error:
            raise FormatError(f"{self.where}: {error}") from error
        if self.members.get("digest") != recorded.digest:
            raise FormatError(f"{self.where}: the schema's digest is {recorded.digest}, not the one stated")
        self.options: dict[str, Any] = self._object(self.members.get("options"))
        self.store = self.options.get("store", "every")
        if self.store not in ("every", "changes"):
            raise FormatError(f"{self.where}: store is {self.store!r:.40}; it can be 'every' or 'changes'")
        stored = recorded.storage(self.store)
        if self.members.get("record_size") != stored.itemsize:
            raise FormatError(
                f"{self.where}: record_size is not {stored.itemsize}, the size of the schema's records"
            )
        self.schema = recorded if schema is None else schema
        self.conversion: Conversion | None = None
        if schema is not None:
            try:
                self.conversion = Conversion(recorded, schema, renamed, self.store)
            except SchemaError as error:
                raise SchemaError(
                    f"{root}: records of {name!r} cannot be read as {schema.name!r}: {error}"
                ) from error
        header = layout.npy_header(stored)
        self.stock = Stock(root, uuid, name, recorded, self.store, header, recorded.record(self.store))

    def _object(self, value: object) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise FormatError(f"{self.where}: options is no object")
        return value

    @property
    def period_ns(self) -> int | None:
        """Nanoseconds from poll to poll; None for a channel that is pushed or polled flat out."""
        rate = self.options.get("rate")
        if rate is None or rate == "max":
            return None
        # Matched first: Fraction would compute 1e999999999 in full.
        if not isinstance(rate, str) or not layout.RATE.fullmatch(rate):
            raise FormatError(
                f"{self.where}: rate {rate!r:.40} is no number in Hz, no fraction and not 'max'"
            )
        try:
            return max(1, round(1_000_000_000 / Fraction(rate)))
        except ZeroDivisionError as error:
            raise FormatError(f"{self.where}: a rate of {rate} Hz has no period") from error

    def read(self, published: int | None = None, start_ns: int = 0) -> Content:
        """Load the segments as they are now.

        Parameters
        ----------
        published : int, optional
            Records that ``closed.json`` says there were.
        start_ns : int
            Time of a loss before the first record.
        """
        segments = self._segments()
        problems = [line for segment in segments for line in segment.problems]
        tail = [line for segment in segments for line in segment.tail]
        rows, kept, limits = _cut(segments)
        chunks = [
            chunk for segment, stop in zip(segments, rows, strict=True) for chunk in _chunks(segment, stop)
        ]
        pieces = [np.empty(0, GAP_DTYPE)]
        for segment, count, limit in zip(segments, kept, limits, strict=True):
            committed = int(segment.index["gap_rows"][count - 1]) if count else 0
            # A loss before the number where a later segment takes over is told by this one alone.
            mine = (segment.gap_numbers < committed) | (segment.gaps["seq"] < limit)
            pieces.append(segment.gaps[mine])
        gaps = join(np.concatenate(pieces))
        ends = [segment.end for segment in segments] + [stop for _, stop in spans_of_gaps(gaps)]
        end = max([*ends, published or 0])
        retired = segments[0].number > 0 if segments else False
        holes = _holes(chunks, gaps, end, retired=retired, start_ns=start_ns)
        problems += [
            f"{self.where.parent}: records {gap['seq']} to {gap['seq'] + gap['count'] - 1}"
            " are in no block and no gap"
            for gap in holes
            if gap["cause"] != Cause.RETIRED
        ]
        if len(holes):
            gaps = join(np.concatenate([gaps, holes]))
        return Content(segments, kept, chunks, gaps, end, problems, tail, holes)

    def seen(self, content: Content) -> Iterable[Chunk]:
        """The chunks, as the schema given has their rows."""
        if self.conversion is None:
            return content.chunks
        return [EvolvedChunk(chunk, self.conversion) for chunk in content.chunks]

    def _segments(self) -> list[Segment]:
        names = opening.folder_names(self.stock.root, "channels", self.name)
        names = [name for name in names if name.startswith(("records.", "index."))]
        found = {number for name in names if (number := layout.segment_number(name)) is not None}
        loaded = [Segment(self.stock, number) for number in sorted(found)]
        # Retention removes the oldest segment, records first: what is left of it counts for nothing.
        present = [place for place, segment in enumerate(loaded) if segment.present]
        return loaded[present[0] :] if present else loaded


def _cut(segments: list[Segment]) -> tuple[list[int], list[int], list[int]]:
    """Per segment, the rows and index rows that no later one replaces, and the number from which one does."""
    rows: list[int] = []
    kept: list[int] = []
    limits: list[int] = []
    limit = NUMBER_LIMIT
    for segment in reversed(segments):
        index = segment.index
        row, count = segment.length, len(index)
        if segment.end > limit:
            ends = index["first_seq"] + index["rows"]
            count = int(np.searchsorted(ends, np.uint64(limit), "right"))
            row = int(segment.at[count]) + max(0, limit - int(index["first_seq"][count]))
        rows.append(row)
        kept.append(count)
        limits.append(limit)
        if len(index):
            # A segment that begins with a loss replaces what the one before held of it.
            lost = segment.gaps[np.isin(segment.gaps["cause"], [Cause.OVERWRITTEN, Cause.DISK])]
            limit = min([limit, int(index["first_seq"][0]), *lost["seq"].tolist()])
    return rows[::-1], kept[::-1], limits[::-1]


def _chunks(segment: Segment, stop: int) -> list[SegmentChunk]:
    filled = np.flatnonzero((segment.index["rows"] > 0) & (segment.at < stop))
    if not len(filled):
        return []
    first = segment.index["first_seq"][filled]
    # A break where a block does not go on with the number the one before ended with.
    breaks = np.flatnonzero(np.append(True, first[1:] != first[:-1] + segment.index["rows"][filled][:-1]))
    starts = segment.at[filled][breaks].tolist()
    stops = [*starts[1:], stop]
    numbers = first[breaks].tolist()
    return [SegmentChunk(segment, *piece) for piece in zip(starts, stops, numbers, strict=True)]


def spans_of_gaps(gaps: np.ndarray) -> list[Span]:
    """The numbers that gaps stand for, one span for each gap that has numbers."""
    own = gaps[np.isin(gaps["cause"], [int(cause) for cause in OWN_NUMBERS])]
    return list(zip(own["seq"].tolist(), (own["seq"] + own["count"]).tolist(), strict=True))


def _holes(
    chunks: list[SegmentChunk], gaps: np.ndarray, end: int, *, retired: bool, start_ns: int
) -> np.ndarray:
    """Gaps for the numbers below `end` that neither a chunk nor a gap accounts for."""
    spans: list[tuple[int, int, SegmentChunk | None]]
    spans = [(chunk.first_seq, chunk.first_seq + len(chunk), chunk) for chunk in chunks]
    spans += [(start, stop, None) for start, stop in spans_of_gaps(gaps)]
    spans.sort(key=lambda span: span[:2])
    holes = []
    reached, before = 0, start_ns
    for start, stop, chunk in [*spans, (end, end, None)]:
        if start > reached:
            after = chunk.index_first if chunk else before
            # Segments go missing from the front only by retention; a hole anywhere else is damage.
            cause = (Cause.RETIRED, 0) if retired and reached == 0 else (Cause.DISK, errno.EIO)
            holes.append((reached, start - reached, *cause, before, max(before, after)))
        reached = max(reached, stop)
        if chunk:
            before = max(before, chunk.index_last)
    return np.array(holes, GAP_DTYPE)
