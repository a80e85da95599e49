"""A channel of a recording: what ``channel.json`` says, and its segments put in order.

Where two segments hold a number the later one counts, and a number that nobody holds and no gap names becomes
a gap of its own: what was lost to damage is as visible as any other loss.
"""

from __future__ import annotations

import errno
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from fastrec.errors import CorruptionError, FormatError, SchemaError
from fastrec.recording import layout, opening
from fastrec.recording.chunk import EvolvedChunk, SegmentChunk
from fastrec.recording.joining import chunks_of
from fastrec.recording.precedence import numbers_of_gaps, settle, spans_of_gaps
from fastrec.recording.segment import Segment
from fastrec.recording.stock import Stock, segment_numbers
from fastrec.records import Chunk
from fastrec.schema import Schema
from fastrec.schema.conversion import Conversion
from fastrec.schema.gaps import GAP_DTYPE, Cause, join, numbered

__all__ = ["Channel", "Content", "holes", "period_of"]

_LOOKS = 100
"""At the folder, before a channel all of whose segments go while they are looked at is taken for empty."""


@dataclass(frozen=True)
class Content:
    """A channel's segments, in order, as they were at one moment.

    Attributes
    ----------
    segments : list of Segment
    chunks : list of SegmentChunk
        Ascending in number.
    gaps : ndarray of GAP_DTYPE
        Joined: the recorded ones, and what is missing without one.
    end : int
        Number after the last record or loss.
    problems, tail : list of str
    missing : ndarray of GAP_DTYPE
        Those of the gaps that nobody recorded: what is missing without one.
    """

    segments: list[Segment]
    chunks: list[SegmentChunk]
    gaps: np.ndarray
    end: int
    problems: list[str]
    tail: list[str]
    missing: np.ndarray

    @property
    def lost(self) -> dict[str, int]:
        """How many were lost, by cause, in lower case."""
        counts = {cause: int(self.gaps["count"][self.gaps["cause"] == cause].sum()) for cause in Cause}
        return {cause.name.lower(): count for cause, count in counts.items() if count}


def period_of(rate: object) -> int | None:
    """Nanoseconds from poll to poll, of the rate of a channel's options.

    Returns
    -------
    int or None
        None for a channel that is pushed or polled flat out.

    Raises
    ------
    FormatError
        It is no rate.
    """
    if rate is None or rate == "max":
        return None
    # Matched first: Fraction would compute 1e999999999 in full.
    if not isinstance(rate, str) or not layout.RATE.fullmatch(rate):
        raise FormatError(f"rate {rate!r:.40} is no number in Hz, no fraction and not 'max'")
    try:
        return max(1, round(1_000_000_000 / Fraction(rate)))
    except ZeroDivisionError as error:
        raise FormatError(f"a rate of {rate} Hz has no period") from error


_WRITER = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False)  # to make one takes as long as to write


@lru_cache(maxsize=64)
def _recorded(text: str) -> Schema:
    """A schema of the recording; of many channels, and of many recordings, it is the same."""
    return Schema.from_json(text)


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

    Attributes
    ----------
    period_ns : int or None
        See `period_of`.

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
        self.where = opening.Where(root, parts)
        self.name = name
        self.members = opening.read_json(root, *parts, seed=layout.row_seed(uuid, name, 0, 0))
        if self.members.get("name") != name:
            raise FormatError(f"{self.where}: describes channel {self.members.get('name')!r:.80}")
        try:
            recorded = _recorded(_WRITER.encode(self.members.get("schema")))
        except SchemaError as error:
            raise FormatError(f"{self.where}: {error}") from error
        if self.members.get("digest") != recorded.digest:
            raise FormatError(f"{self.where}: the schema's digest is {recorded.digest}, not the one stated")
        self.options: dict[str, Any] = self._object(self.members.get("options"))
        self.store = self.options.get("store", "every")
        if self.store not in ("every", "changes"):
            raise FormatError(f"{self.where}: store is {self.store!r:.40}; it can be 'every' or 'changes'")
        try:
            self.period_ns = period_of(self.options.get("rate"))
        except FormatError as error:
            raise FormatError(f"{self.where}: {error}") from error
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

    @property
    def folder(self) -> Path:
        """Where its files are, for messages."""
        return self.stock.root.joinpath(*self.stock.folder)

    def _object(self, value: object) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise FormatError(f"{self.where}: options is no object")
        return value

    def read(
        self,
        published: int | None = None,
        start_ns: Callable[[], int] = lambda: 0,
        *,
        all_retired: Callable[[], bool] = lambda: False,
        brief: bool = False,
    ) -> Content:
        """Load the segments as they are now.

        Parameters
        ----------
        published : int, optional
            Records that there were, as far as is known elsewhere.
        start_ns : callable
            Time of a loss before the first record; asked for where there is one.
        all_retired : callable
            Whether retention took all segments; asked for where there is none.
        brief : bool
            Of complete segments, read the ends of the index alone: what is damaged between shows later.
        """
        with opening.staying(self.stock.root, self.stock.folder):
            segments = self._segments(brief)
        try:
            return self._in_order(segments, published, start_ns, all_retired)
        except (CorruptionError, opening.GoneError):
            if not brief:
                raise
            # What lies between the ends of an index is needed to say what counts: it is damaged, or retention
            # was quicker.
            return self.read(published, start_ns, all_retired=all_retired)

    def _in_order(
        self,
        segments: list[Segment],
        published: int | None,
        start_ns: Callable[[], int],
        all_retired: Callable[[], bool],
    ) -> Content:
        problems = [line for segment in segments for line in segment.problems]
        tail = [line for segment in segments for line in segment.tail]
        pieces, losses = settle(segments)
        placed = [(segment, piece) for segment, own in zip(segments, pieces, strict=True) for piece in own]
        chunks = chunks_of(sorted(placed, key=lambda each: each[1][2]))
        lossy = [some for some in losses if len(some)]
        gaps = join(np.concatenate(lossy)) if lossy else np.empty(0, GAP_DTYPE)
        ends = [segment.end for segment in segments] + [stop for _, stop in spans_of_gaps(gaps)]
        end = max([*ends, published or 0])
        retired = segments[0].number > 0 if segments else all_retired()
        missing = holes(chunks, gaps, end, retired=retired, before_ns=start_ns)
        problems += [
            f"{self.folder}: records {gap['seq']} to {gap['seq'] + gap['count'] - 1}"
            " are in no block and no gap"
            for gap in missing
            if gap["cause"] != Cause.RETIRED
        ]
        if len(missing):
            gaps = join(np.concatenate([gaps, missing]))
        return Content(segments, chunks, gaps, end, problems, tail, missing)

    def seen(self, chunks: Sequence[SegmentChunk]) -> Sequence[Chunk]:
        """The chunks, as the schema given has their rows."""
        if self.conversion is None:
            return chunks
        return [EvolvedChunk(chunk, self.conversion) for chunk in chunks]

    def numbers(self) -> list[int]:
        """Numbers of the segments of which there is something, ascending."""
        return segment_numbers(self.stock.root, self.name, ("records.", "index."))

    def _segments(self, brief: bool) -> list[Segment]:
        loaded: list[Segment] = []
        for _ in range(_LOOKS):
            # The newest first: once there is something in one, those before it are complete.
            numbers = reversed(self.numbers())
            loaded = [Segment(self.stock, number, brief=brief) for number in numbers][::-1]
            # Retention removes the oldest segment, records first: what is left of it counts for nothing.
            present = [place for place, segment in enumerate(loaded) if segment.present]
            if not present:
                return loaded
            # It may have removed some while they were looked at. If one is there now, so are all behind it.
            for place in present:
                if opening.has_file(self.stock.root, *loaded[place].parts("records")):
                    return loaded[place:]
        return loaded


def holes(
    chunks: list[SegmentChunk],
    gaps: np.ndarray,
    end: int,
    *,
    begin: int = 0,
    retired: bool = False,
    before_ns: Callable[[], int],
) -> np.ndarray:
    """Gaps for the numbers from `begin` up to `end` that neither a chunk nor a gap accounts for.

    Parameters
    ----------
    retired : bool
        Whether retention may have taken those that `begin` begins with.
    before_ns : callable
        Stamp of what was before them; asked for where something is missing.
    """
    if _adjoin(begin, end, chunks) or _all_there(begin, end, chunks, gaps):
        return np.empty(0, GAP_DTYPE)
    spans: list[tuple[int, int, SegmentChunk | None, tuple[int, int]]]
    spans = [(one.first_seq, one.end_seq, one, (0, 0)) for chunk in chunks for one in chunk.runs()]
    own = gaps[numbered(gaps)]
    times = zip(own["t_first"].tolist(), own["t_last"].tolist(), strict=True)
    spans += [(*span, None, when) for span, when in zip(spans_of_gaps(gaps), times, strict=True)]
    spans.sort(key=lambda span: span[:2])
    found = []
    reached, before, asked = begin, before_ns(), 0
    for place, (start, stop, chunk, when) in enumerate([*spans, (end, end, None, (before, before))]):
        if start > reached:
            # The index of a chunk is read only where something is missing beside it.
            for _, _, one, times_of in spans[asked:place]:
                before = max(before, one.index_last if one else times_of[1])
            asked = place
            first = chunk.index_first if chunk else when[0]
            # Segments go missing from the front only by retention; a hole anywhere else is damage.
            cause = (Cause.RETIRED, 0) if retired and reached == begin else (Cause.DISK, errno.EIO)
            found.append((reached, start - reached, *cause, before, max(before, first)))
        reached = max(reached, stop)
    return np.array(found, GAP_DTYPE)


def _adjoin(begin: int, end: int, chunks: list[SegmentChunk]) -> bool:
    """Whether each chunk, none of which leaves out a number, goes on where those before it ended."""
    reached = begin
    for chunk in chunks:
        if chunk.broken or chunk.first_seq > reached:
            return False
        reached = chunk.end_seq
    return reached >= end


def _all_there(begin: int, end: int, chunks: list[SegmentChunk], gaps: np.ndarray) -> bool:
    """Whether chunks and gaps leave out no number from `begin` up to `end`."""
    spans = [*(one.number_spans for one in chunks), numbers_of_gaps(gaps)]
    starts, stops = (np.concatenate([np.empty(0, np.uint64), *side]) for side in zip(*spans, strict=True))
    order = np.argsort(starts)
    reached = np.maximum.accumulate(np.append(np.uint64(begin), stops[order]))
    return bool((starts[order] <= reached[:-1]).all() and reached[-1] >= end)
