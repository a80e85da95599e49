"""A recording made of records that were recorded before: with their numbers, stamps, losses and texts.

They go through a ring of their own and the spooler's commits, so what lies on the disk is what a recorder
would have written.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fastrec.core.excerpt import LOST, Excerpt
from fastrec.errors import RecordingError
from fastrec.recording import layout
from fastrec.recording.opening import refusal
from fastrec.recording.writing.files import (
    create_channel,
    create_closed,
    create_recording,
    create_whole,
    take_back,
)
from fastrec.recording.writing.fresh import publish
from fastrec.recording.writing.journals import Lines
from fastrec.recording.writing.rings import new_prefix
from fastrec.recording.writing.spooling import open_channel, spool
from fastrec.recording.writing.storing import SEGMENT_BYTES
from fastrec.records import Chunk, Records
from fastrec.ring import Ring
from fastrec.schema import Schema
from fastrec.schema.gaps import GAP_DTYPE, Cause
from fastrec.schema.texts import Lost

__all__ = ["About", "Part", "write_excerpt"]

_CAPACITY = 4096  # records of the ring; what it takes at once
_MOST_GAPS = 8192  # that wait for a commit


class Part(NamedTuple):
    """What is taken of a channel.

    Attributes
    ----------
    records : Records
        Their gaps are taken, but for those that retention made.
    options : mapping
        Of ``channel.json``.
    end : int
        Number of the next record, where there are neither records nor losses.
    """

    records: Records
    options: Mapping[str, Any]
    end: int


class About(NamedTuple):
    """What is taken of the recording itself, and what is new.

    Attributes
    ----------
    info : mapping
        Members of its ``recording.json``.
    sessions : sequence of mapping
        Those of its ``sessions.jsonl`` that made the records.
    readings : ndarray of CLOCK_DTYPE
        Of its clocks.
    metadata : mapping
    marks : sequence of mapping
        Lines of the new ``marks.jsonl``.
    """

    info: Mapping[str, Any]
    sessions: Sequence[Mapping[str, Any]]
    readings: np.ndarray
    metadata: Mapping[str, Any]
    marks: Sequence[Mapping[str, Any]]


def write_excerpt(path: Path, parts: Sequence[Part], about: About) -> None:
    """Create a recording, closed and durable: whole, or not at all.

    Until then it has the name ``.NAME.new`` beside `path`, where nobody else may make one: what has that name
    is removed.

    Raises
    ------
    RecordingError
        `path` exists, or the disk will not have it; nothing is left behind.
    CorruptionError
        Of what is taken something is damaged.
    """
    hidden = path.with_name(f".{path.name}.new")
    take_back(hidden)
    own = uuid.uuid4().bytes
    try:
        held = create_recording(
            hidden,
            uuid=own,
            host=str(about.info.get("host")),
            tool=f"fastrec {version('fastrec')}",
            timezone=str(about.info.get("timezone")),
            created_ns=time.time_ns(),
            metadata=about.metadata,
        )
        try:
            _write(hidden, own, parts, about)
        finally:
            os.close(held)
        publish(hidden, path)
    except BaseException as error:
        take_back(hidden)
        if isinstance(error, OSError) and not isinstance(error, RecordingError):
            raise refusal(path, (), error) from error
        raise


def _write(root: Path, own: bytes, parts: Sequence[Part], about: About) -> None:
    prefix = new_prefix()  # of rings that there never are
    _lines(
        root, "sessions.jsonl", own, [{**line, "rings": prefix, "segments": {}} for line in about.sessions]
    )
    _lines(root, "marks.jsonl", own, about.marks)
    rows = layout.seal_rows(about.readings.copy(), layout.place(own))
    data = layout.npy_header(layout.CLOCK_DTYPE, len(rows)) + rows.tobytes()
    os.close(create_whole(root, "clocks.npy", data=data))
    totals = {part.records.name: _write_channel(root, own, part, about) for part in parts}
    number = next((line["session"] for line in reversed(about.sessions) if "session" in line), 0)
    create_closed(
        root,
        own,
        session=number,
        mono_ns=max([part.records.end or 0 for part in parts], default=0),
        channels=totals,
    )


def _lines(root: Path, name: str, own: bytes, lines: Sequence[Mapping[str, Any]]) -> None:
    file = Lines(root, name, own)
    try:
        for line in lines:
            file.append({key: value for key, value in line.items() if key != "crc"})
    finally:
        file.close()


def _write_channel(root: Path, own: bytes, part: Part, about: About) -> dict[str, Any]:
    """Its total for ``closed.json``."""
    records = part.records
    schema, store = records.schema, records.store
    create_channel(
        root,
        own,
        {
            "name": records.name,
            "schema": schema.to_dict(),
            "digest": schema.digest,
            "record_size": schema.storage(store).itemsize,
            "options": dict(part.options),
        },
    )
    gaps = records.gaps[records.gaps["cause"] != Cause.RETIRED]  # they are told by what is not there
    begin = min([int(one["seq"]) for one in gaps[:1]] + [int(one) for one in records[:1].seq], default=None)
    if begin is None:
        return {"records": part.end, "segments": 0, "stats": {}}
    folder = open_channel(root, records.name)
    try:
        ring = Ring(schema, _CAPACITY, store=store, first=begin)
        channel = spool(
            ring.core,
            folder,
            own,
            records.name,
            schema,
            store,
            segment_bytes=SEGMENT_BYTES,
            # What is before them was not taken: as where retention took it.
            first_segment=int(begin > 0),
            last=records.start if records.start is not None else int(gaps["t_first"][0]),
        )
        excerpt = Excerpt(ring.core, channel)
        _fill(excerpt, records, gaps)
        end = excerpt.end()
    finally:
        os.close(folder)
    return {"records": end, "segments": int(begin > 0) + channel.marks()["segments"], "stats": {}}


def _fill(excerpt: Excerpt, records: Records, gaps: np.ndarray) -> None:
    texts: dict[str, int] = {}
    for chunk, start, stop in _runs(records):
        first = chunk.number(start)
        gaps = _tell(excerpt, gaps, first)
        while start < stop:
            near = gaps["seq"][_MOST_GAPS : _MOST_GAPS + 1]
            end = min([stop, start + _CAPACITY, *(start + int(one) - first for one in near if one > first)])
            rows = chunk.rows(start, end)
            gaps = _tell(excerpt, gaps, first + end - start - 1)
            excerpt.put(first, _with_texts(excerpt, chunk, rows, records.schema, texts))
            first, start = first + end - start, end
    _tell(excerpt, gaps, 1 << 63)


def _runs(records: Records) -> Iterator[tuple[Chunk, int, int]]:
    """Rows of consecutive numbers."""
    for span in records.spans:
        cuts = [span.start, *span.chunk.skips(span.start, span.stop).tolist(), span.stop]
        for start, stop in pairwise(cuts):
            yield span.chunk, start, stop


def _tell(excerpt: Excerpt, gaps: np.ndarray, last: int) -> np.ndarray:
    """Tell those that lie before record `last` or one before it; the others are returned."""
    count = int(np.searchsorted(gaps["seq"], last, "right"))
    for low in range(0, count, _MOST_GAPS):
        excerpt.tell(np.ascontiguousarray(gaps[low : min(low + _MOST_GAPS, count)], GAP_DTYPE).view(np.uint8))
        if low + _MOST_GAPS < count:
            excerpt.drain()
    return gaps[count:]


def _with_texts(
    excerpt: Excerpt, chunk: Chunk, rows: np.ndarray, schema: Schema, known: dict[str, int]
) -> np.ndarray:
    """The bytes of rows, their texts by the ids that the excerpt has given them."""
    if not schema.texts:
        return np.ascontiguousarray(rows).view(np.uint8)
    rows = rows.copy()
    for field in schema.texts:
        ids = field.of(rows)
        distinct, inverse = np.unique(ids, return_inverse=True)
        given = [_id(excerpt, chunk.text(one), known) for one in distinct.tolist()]
        width = np.iinfo(ids.dtype).max  # an id that is lost is all ones, however wide the pointer
        ids[...] = np.array([min(one, width) for one in given], np.uint64).astype(ids.dtype)[inverse]
    return rows.view(np.uint8)


def _id(excerpt: Excerpt, text: str | Lost | None, known: dict[str, int]) -> int:
    if not isinstance(text, str):
        return 0 if text is None else LOST
    if text not in known:
        known[text] = excerpt.text(text.encode("utf-8", "surrogateescape"))
    return known[text]
