"""A ring on its way into a channel's folder: what the core needs to know for it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from fastrec.core.ring import Ring
from fastrec.core.spooler import SpoolChannel
from fastrec.recording import layout
from fastrec.recording.opening import FOLDER
from fastrec.recording.storing import SEGMENT_BYTES
from fastrec.recording.zones import zone_fields
from fastrec.schema import Schema
from fastrec.schema.forms import Store

__all__ = ["Kept", "open_channel", "spool"]


class Kept(NamedTuple):
    """A segment that is there already: its number, the bytes of its files, its latest stamp."""

    number: int
    size: int
    last: int


def open_channel(root: Path, name: str) -> int:
    """Descriptor of a channel's folder."""
    return os.open(root / "channels" / name, FOLDER | os.O_NOFOLLOW)


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
    kept: Sequence[Kept] = (),
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
    dtype, zones = schema.storage(store), layout.zone_dtype(len(schema.numeric))
    begin = schema.payload_offset(store)
    kinds = {
        "gaps": layout.GAP_ROW_DTYPE,
        "zones": zones,
        "index": layout.INDEX_DTYPE,
        "records": dtype,
    }
    return SpoolChannel(
        ring,
        dir=folder,
        name=name.encode("ascii"),
        uuid=uuid,
        files={"strings": (b"", 1)}
        | {kind: (layout.npy_header(one), one.itemsize) for kind, one in kinds.items()},
        segment_rows=min(segment_bytes // dtype.itemsize, layout.MAX_ROWS),
        segment_ns=segment_ns,
        zone_fields=zone_fields(schema.numeric, begin),
        texts=[(begin + field.offset, field.dtype.itemsize) for field in schema.texts],
        holds=store == "changes",
        first_segment=first_segment,
        kept=kept,
        cursor=cursor,
        seen=seen,
        last=last,
    )
