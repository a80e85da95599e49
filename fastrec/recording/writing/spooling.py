"""A ring on its way into a channel's folder: what the core needs to know for it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from fastrec.core.ring import Ring
from fastrec.core.spooler import RestingChannel, SpoolChannel
from fastrec.recording import layout
from fastrec.recording.opening import FOLDER
from fastrec.recording.writing.storing import SEGMENT_BYTES
from fastrec.recording.zones import zone_fields
from fastrec.schema import Schema
from fastrec.schema.forms import Store

__all__ = ["Kept", "open_channel", "rest", "spool"]


class Kept(NamedTuple):
    """A segment that is there already: its number, the bytes of its files, its latest stamp."""

    number: int
    size: int
    last: int


def open_channel(root: Path, name: str) -> int:
    """Descriptor of a channel's folder."""
    return os.open(root / "channels" / name, FOLDER | os.O_NOFOLLOW)


def _files(schema: Schema, store: Store) -> dict[str, tuple[bytes, int]]:
    """Header of an empty file and bytes of a row, by kind."""
    kinds = {
        "gaps": layout.GAP_ROW_DTYPE,
        "zones": layout.zone_dtype(len(schema.numeric)),
        "index": layout.INDEX_DTYPE,
        "records": schema.storage(store),
    }
    return {"strings": (b"", 1)} | {
        kind: (layout.npy_header(one), one.itemsize) for kind, one in kinds.items()
    }


def rest(
    folder: int,
    uuid: bytes,
    name: str,
    schema: Schema,
    store: Store,
    *,
    number: int,
    segment: int,
    kept: Sequence[Kept],
) -> RestingChannel:
    """What counts, and removes when their time has come, the segments of a channel that nobody writes.

    `number` and `segment` are those of its next record and segment, `kept` the segments that are there.
    """
    return RestingChannel(
        dir=folder,
        name=name.encode("ascii"),
        uuid=uuid,
        files=_files(schema, store),
        number=number,
        segment=segment,
        kept=kept,
    )


def spool(
    ring: Ring,
    folder: int,
    uuid: bytes,
    name: str,
    schema: Schema,
    store: Store,
    *,
    segment_bytes: int = SEGMENT_BYTES,
    segment_ns: int = 0,
    first_segment: int = 0,
    cursor: int | None = None,
    seen: tuple[int, int, int] = (0, 0, 0),
    last: int | None = None,
) -> SpoolChannel:
    """What drains `ring` into segments of the channel whose folder is open as `folder`.

    Parameters
    ----------
    cursor, seen, last
        Of a ring that somebody else began to drain; see `SpoolChannel`.
    """
    begin = schema.payload_offset(store)
    return SpoolChannel(
        ring,
        dir=folder,
        name=name.encode("ascii"),
        uuid=uuid,
        files=_files(schema, store),
        segment_rows=min(segment_bytes // schema.storage(store).itemsize, layout.MAX_ROWS),
        segment_ns=segment_ns,
        zone_fields=zone_fields(schema.numeric, begin),
        texts=[(begin + field.offset, field.dtype.itemsize) for field in schema.texts],
        holds=store == "changes",
        first_segment=first_segment,
        cursor=cursor,
        seen=seen,
        last=last,
    )
