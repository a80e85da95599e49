"""Going on with a recording that is there: where its channels end, and what its stamps go on from."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fastrec.core.ring import Ring
from fastrec.core.spooler import sync_file_system
from fastrec.errors import RecordingError
from fastrec.recording import layout
from fastrec.recording.channel import Channel, Content
from fastrec.recording.clocks import is_stamp
from fastrec.recording.closing import totals
from fastrec.recording.committed import NUMBER_LIMIT, sensible_gaps
from fastrec.recording.gone import gone_channels, told_channels
from fastrec.recording.opening import has_file, open_file, refusal, subfolders
from fastrec.recording.precedence import spans_of_gaps
from fastrec.recording.reader import Mark, Recording
from fastrec.recording.segment import Segment
from fastrec.recording.torn import TornFile
from fastrec.recording.writing import files, rings
from fastrec.recording.writing.ends import ChannelEnd
from fastrec.recording.writing.remains import LOST, lost_with_rings, told_strays
from fastrec.recording.writing.room import is_full, make_room, no_room, resting
from fastrec.recording.writing.spooling import Kept
from fastrec.recording.writing.storing import Storing

__all__ = ["Moment", "Resumed", "resume"]

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
        namespace = 0  # of kernels that have none
        with suppress(FileNotFoundError):
            namespace = os.stat("/proc/self/ns/time").st_ino
        return cls(rings.boot_id(), namespace, time.monotonic_ns(), time.time_ns())


@dataclass(frozen=True)
class Resumed:
    """A recording that a recorder goes on with, locked.

    Attributes
    ----------
    root : Path
    uuid : bytes
    session : int
        Number of the session to come.
    offset_ns : int
        To be added to its stamps.
    closed : bool
        The session before stopped cleanly.
    channels : dict of str to ChannelEnd
    notes : tuple of str
        What was found that is not as it should be.
    taken : list of Ring
        In shared memory still; all of them is in the recording, or told by `lost`. Once the session to come
        is there, they go.
    lost : tuple of Mark
        To be put into it before: what the session to come would hide, of which nobody may know how many.
    """

    root: Path
    uuid: bytes
    session: int
    offset_ns: int
    closed: bool
    channels: Mapping[str, ChannelEnd]
    notes: tuple[str, ...]
    taken: list[Ring]
    lost: tuple[Mark, ...]


def resume(root: Path, storing: Storing, held: list[int]) -> Resumed:
    """Lock a recording, and take over what the rings of sessions that died still hold.

    Parameters
    ----------
    held : list of int
        The descriptor that holds the lock is put there as soon as there is one, and is the caller's.
    storing : Storing
        How it is written. What is beyond the budget makes way where the disk is full.

    Raises
    ------
    RecordingError
        There is none, it cannot be read, is somebody else's, or somebody records into it.
    """
    recording = Recording(root)
    try:
        held.append(open_file(root, "recording.json", flags=os.O_RDWR))
        lock = held[-1]
        if os.fstat(lock).st_uid != os.geteuid():
            raise RecordingError(
                f"{root}: belongs to another user, who could not read what is added; be that one"
            )
        files.lock(lock, root)
        sync_file_system(lock)  # what was written by a session that died is durable only now
        _check_described(recording)
        contents = list(recording.contents())
        sessions, closed, newest = recording.sessions, totals(recording.closed), recording.stats
        finished = has_file(root, "closed.json")
        gone = gone_channels(root, told_channels(recording.closed, sessions, newest), recording)
        notes, taken, found = _take_rings(recording, contents, sessions, newest, storing)
        if taken:
            contents = list(recording.contents())
        ends, last = {}, [0]
        for name, channel, content in contents:
            total = closed.get(name) or {"records": content.end, "stats": newest.get(name, {})}
            ends[name] = _end(root, channel, content, total)
            notes += content.problems
            last += [chunk.index_last for chunk in content.chunks] + content.gaps["t_last"].tolist()
        marks = recording.marks
        last += [mark.mono_ns for mark in marks]
        begun = _start(sessions[-1]) if sessions else 0
        stamp = max(begun, *last)  # the newest that is known
        texts = [f"channel {name!r} {one.why}" for name, one in gone.items() if not one.there]
        if not finished:
            reached = {name: content.end for name, _, content in contents}
            texts += lost_with_rings(root, sessions, newest, reached, found).values()
        lost = _untold(marks, texts, stamp, begun)
        for left in rings.stray_rings(root, sessions, list(recording)):
            lost += _untold(marks, told_strays([left], lost=True), stamp, _start(left.session))
            taken.append(left.ring)
        notes += [mark.text for mark in lost]
        return Resumed(
            root,
            bytes.fromhex(recording.uuid),
            max((_number(line) for line in sessions), default=-1) + 1,
            _offset(recording, sessions[-1] if sessions else {}, max(last), Moment.now()),
            recording.closed is not None,
            ends,
            tuple(notes),
            taken,
            lost,
        )
    except RecordingError:
        raise
    except OSError as error:
        raise (
            no_room(root, storing, goes_on=True) if is_full(error) else refusal(root, (), error)
        ) from error


def _check_described(recording: Recording) -> None:
    """Refuse to begin a channel anew where segments lie that nothing describes: it would write over them."""
    for name in sorted(set(subfolders(recording.path, "channels")) - set(recording)):
        if layout.CHANNEL_NAME.fullmatch(name) and rings.next_segment(recording.path, name):
            raise RecordingError(
                f"{recording.path / 'channels' / name}: has segments, but no channel.json that says what they"
                " are; save them with fastrec recover first, and go on with what that makes"
            )


def _take_rings(
    recording: Recording,
    contents: Sequence[tuple[str, Channel, Content]],
    sessions: Sequence[Mapping[str, Any]],
    stats: Mapping[str, Mapping[str, Any]],
    storing: Storing,
) -> tuple[list[str], list[Ring], set[str]]:
    """Bring to the disk what dead sessions left in shared memory.

    Returns
    -------
    notes : list of str
        What was not taken.
    taken : list of Ring
        What was. A ring stays until the session to come is in the recording: that there is none is what tells
        of a loss. Taken twice it adds nothing.
    found : set of str
        Channels of the newest session that have a ring.
    """
    notes, taken, found, uuid = [], [], set(), bytes.fromhex(recording.uuid)
    closed = recording.closed is not None
    known = {name: (channel, content) for name, channel, content in contents}
    for left in list(rings.left_rings(recording.path, sessions, list(known))):
        channel, content = known[left.channel]
        if left.newest:
            found.add(left.channel)
            if not closed and not content.chunks and not channel.read().end:
                # The statistics tell how far it had come. What no segment holds the ring may hold.
                written = stats.get(left.channel, {}).get("written")
                content = channel.read(rings.begin_of_rest(left, 0, written))
        if rings.is_of_original(left, content.end):
            continue
        if closed and left.ring is not None and left.ring.head <= content.end:
            left.ring.unlink()  # it died between closing and this
            continue
        why = rings.refusal(left, channel, content.end)
        if why:
            notes.append(why)
            continue
        files.remove_closed(recording.path)
        size = storing.segment_bytes
        try:
            rings.take_over(left, recording.path, uuid, channel, content, segment_bytes=size)
        except OSError as error:
            if not storing.limited or not is_full(error):
                raise
            _make_room(recording, storing)
            content = channel.read()
            left.ring.fetch()
            rings.take_over(left, recording.path, uuid, channel, content, segment_bytes=size)
        taken.append(left.ring)
        known[left.channel] = channel, channel.read()
    return notes, taken, found


def _untold(marks: Sequence[Mark], texts: Sequence[str], stamp: int, begun: int) -> tuple[Mark, ...]:
    """Marks of losses, but for those that a resume has made whose session did not begin, or ended at once.

    Marks from before the session that lost something, which has begun at `begun`, are of other losses.
    """
    told = {mark.text for mark in marks if mark.kind == LOST and mark.mono_ns >= begun}
    return tuple(Mark(stamp, text, LOST) for text in texts if text not in told)


def _start(session: Mapping[str, Any]) -> int:
    start = session.get("start_ns")
    return start if is_stamp(start) else 0


def _make_room(recording: Recording, storing: Storing) -> None:
    held: list[int] = []
    uuid = bytes.fromhex(recording.uuid)
    try:
        ends = {name: _end(recording.path, channel, read, {}) for name, channel, read in recording.contents()}
        session = recording.sessions[-1] if recording.sessions else {}
        last = max((end.last for end in ends.values()), default=0)
        offset = _offset(recording, session, last, Moment.now())
        make_room(recording.path, resting(recording.path, uuid, ends, held), storing, offset)
    finally:
        files.let_go(held)


def _end(root: Path, channel: Channel, content: Content, total: Any) -> ChannelEnd:
    kept = tuple(
        Kept(
            segment.number,
            sum(segment.size(kind) for kind in layout.KINDS),
            int(segment.index["t_max"].max()) if len(segment.index) else 0,
        )
        for segment in content.segments
    )
    stamps = [segment.index["t_max"][segment.index["rows"] > 0] for segment in content.segments]
    number = max(content.end, _claimed(content.segments))
    firsts = [int(segment.index["first_seq"][:1].max(initial=0)) for segment in content.segments[:1]]
    return ChannelEnd(
        channel.stock.schema,
        channel.store,
        channel.options.get("rate"),
        tuple(str(one) for one in channel.options.get("ignore") or ()),
        channel.options,
        min([number, *firsts]),
        number,
        max((int(part.max(initial=0)) for part in stamps), default=0),
        rings.next_segment(root, channel.name),
        kept,
        total if isinstance(total, dict) else {},
    )


def _claimed(segments: Sequence[Segment]) -> int:
    """The number after all that segments tell of, also where they are damaged: for none twice.

    Index rows behind a damaged one tell of it; rows that no whole index row does, by the header's count: they
    have the numbers behind those that are told, of segments before it if of none of its own.
    """
    reached = 0
    for segment in segments:
        reached = max([reached, segment.end, *(stop for _, stop in spans_of_gaps(segment.gaps))])
        if not segment.problems:
            continue
        with TornFile(segment.stock.root, *segment.parts("index")) as file:
            _, rows = file.rows(layout.INDEX_DTYPE, segment.base)
        with TornFile(segment.stock.root, *segment.parts("gaps")) as file:
            _, gaps = file.rows(layout.GAP_ROW_DTYPE, segment.base)
        told = max([reached, *(stop for _, stop in spans_of_gaps(gaps[sensible_gaps(gaps)]))])
        rows = rows[rows["first_seq"] < np.uint64(NUMBER_LIMIT) - rows["rows"]]
        beyond = min(segment.count or 0, segment.room()["rows"]) - segment.length
        reached = max(told + max(0, beyond), int((rows["first_seq"] + rows["rows"]).max(initial=0)))
    return reached


def _number(session: Mapping[str, Any]) -> int:
    number = session.get("session")
    return number if type(number) is int and 0 <= number < 1 << 31 else 0


def _offset(recording: Recording, session: Mapping[str, Any], last: int, now: Moment) -> int:
    """What to add to the clock so that stamps go on: by as much as the clock of dates did, and never back.

    Raises
    ------
    RecordingError
        Some are so late that none could be behind them.
    """
    offset = session.get("offset_ns")
    offset = offset if is_stamp(offset) else 0
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
    if not is_stamp(stamp):
        raise RecordingError(
            f"{recording.path}: its last stamp, {last} ns, is so late that none can be behind it; record into"
            " another folder"
        )
    return stamp - now.monotonic
