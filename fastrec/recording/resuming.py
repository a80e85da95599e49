"""Going on with a recording that is there: where its channels end, and what its stamps go on from."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from fastrec.core.spooler import sync_file_system
from fastrec.errors import RecordingError, SchemaError
from fastrec.recording import files, layout, rings
from fastrec.recording.channel import Channel, Content
from fastrec.recording.opening import open_file, refusal
from fastrec.recording.reader import Recording
from fastrec.recording.spooling import Kept
from fastrec.recording.verify import totals
from fastrec.schema import Schema
from fastrec.schema.forms import Store

__all__ = ["ChannelEnd", "Moment", "Resumed", "resume"]

_LEAP_NS = 1_000_000  # what stamps move on by where the clock of dates does not tell how long it was


class Moment(NamedTuple):
    """Which run of the machine this is, and what its clocks show."""

    boot_id: str
    time_namespace: int
    monotonic: int
    realtime: int

    @classmethod
    def now(cls) -> Moment:
        """This moment."""
        namespace = os.stat("/proc/self/ns/time").st_ino
        return cls(rings.boot_id(), namespace, time.monotonic_ns(), time.time_ns())


@dataclass(frozen=True)
class ChannelEnd:
    """Where a channel ends that is to go on.

    Attributes
    ----------
    schema, store, rate
        As its ``channel.json`` says.
    number : int
        Of the next record.
    segment : int
        Number of the next segment.
    kept : tuple of Kept
        The segments that are there, oldest first.
    total : dict
        What ``closed.json`` says of it, if nothing is recorded in the session to come.
    """

    schema: Schema
    store: Store
    rate: str | None
    number: int
    segment: int
    kept: tuple[Kept, ...]
    total: Mapping[str, Any]

    def check(self, name: str, schema: Schema, store: Store, rate: str | None) -> None:
        """Refuse to go on with other records than those that are there.

        Raises
        ------
        SchemaError
            The message names the first difference.
        """
        what = ""
        if schema.digest != self.schema.digest:
            ours = {field.name: field for field in schema.fields}
            names = [field.name for field in self.schema.fields if ours.get(field.name) != field]
            added = [name for name in ours if name not in {field.name for field in self.schema.fields}]
            what = f"field {(names + added)[0]!r} differs" if names or added else "its layout differs"
        elif store != self.store:
            what = f"store is {store!r}, and was {self.store!r}"
        elif rate != self.rate:
            what = f"rate is {rate}, and was {self.rate}"
        if what:
            raise SchemaError(
                f"channel {name!r} cannot go on: {what}; record under another name, or into another folder"
            )


@dataclass(frozen=True)
class Resumed:
    """A recording that a recorder goes on with, locked.

    Attributes
    ----------
    root : Path
    uuid : bytes
    lock : int
        The descriptor that holds the lock.
    session : int
        Number of the session to come.
    offset_ns : int
        To be added to its stamps.
    channels : dict of str to ChannelEnd
    notes : tuple of str
        What was found that is not as it should be.
    """

    root: Path
    uuid: bytes
    lock: int
    session: int
    offset_ns: int
    channels: Mapping[str, ChannelEnd]
    notes: tuple[str, ...]


def resume(root: Path) -> Resumed:
    """Lock a recording, and take over what the rings of sessions that died still hold.

    Raises
    ------
    RecordingError
        There is none, it cannot be read, or somebody records into it.
    """
    recording = Recording(root)
    lock = -1
    try:
        lock = open_file(root, "recording.json", flags=os.O_RDWR)
        files.lock(lock, root)
        sync_file_system(lock)  # what was written by a session that died is durable only now
        notes = _take_rings(recording)
        recording = Recording(root)
        sessions = recording.sessions
        closed = totals(recording.closed)
        ends, last = {}, [0]
        for name, channel, content in recording.contents():
            ends[name] = _end(root, channel, content, closed.get(name, {}))
            last += [chunk.index_last for chunk in content.chunks] + content.gaps["t_last"].tolist()
        last += [mark.mono_ns for mark in recording.marks]
        return Resumed(
            root,
            bytes.fromhex(recording.uuid),
            lock,
            len(sessions),
            _offset(recording, sessions[-1] if sessions else {}, max(last), Moment.now()),
            ends,
            tuple(notes),
        )
    except BaseException as error:
        if lock >= 0:
            os.close(lock)
        if isinstance(error, OSError) and not isinstance(error, RecordingError):
            raise refusal(root, (), error) from error
        raise


def _take_rings(recording: Recording) -> list[str]:
    """Bring to the disk what dead sessions left in shared memory, and remove it there; what was not taken."""
    notes, uuid = [], bytes.fromhex(recording.uuid)
    contents = {name: (channel, content) for name, channel, content in recording.contents()}
    for left in rings.left_rings(recording.sessions, list(contents)):
        channel, content = contents[left.channel]
        why = rings.refusal(left, channel, content.end)
        if why:
            notes.append(why)
            continue
        rings.take_over(left, recording.path, uuid, channel, content)
        left.ring.unlink()
        contents[left.channel] = channel, channel.read()
    return notes


def _end(root: Path, channel: Channel, content: Content, total: Any) -> ChannelEnd:
    kept = tuple(
        Kept(
            segment.number,
            sum(segment.size(kind) for kind in layout.KINDS),
            int(segment.index["t_max"].max()) if len(segment.index) else 0,
        )
        for segment in content.segments
    )
    return ChannelEnd(
        channel.stock.schema,
        channel.store,
        channel.options.get("rate"),
        content.end,
        rings.next_segment(root, channel.name),
        kept,
        total if isinstance(total, dict) else {},
    )


def _offset(recording: Recording, session: Mapping[str, Any], last: int, now: Moment) -> int:
    """What to add to the clock so that stamps go on: by as much as the clock of dates did, and never back."""
    offset = session.get("offset_ns")
    offset = offset if type(offset) is int and abs(offset) < 1 << 62 else 0
    readings = recording.readings
    if len(readings):
        last = max(last, int(readings["monotonic"][-1]))
    same = (session.get("boot_id"), session.get("time_namespace")) == (now.boot_id, now.time_namespace)
    if same and now.monotonic + offset >= last:
        return offset
    stamp = last + _LEAP_NS
    if len(readings):
        newest = readings[-1]
        stamp = max(stamp, int(newest["monotonic"]) + now.realtime - int(newest["realtime"]))
    return stamp - now.monotonic
