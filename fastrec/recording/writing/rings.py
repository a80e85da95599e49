"""Rings that a recorder which died left in shared memory: what was published, and not yet written.

They are found by the names in ``sessions.jsonl``, as long as the machine has not been started anew. What is
found is not trusted: it is a file of our own that nobody else can reach, and whose header fits it, or it is
left alone.
"""

from __future__ import annotations

import errno
import os
import pwd
import re
import secrets
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fastrec.core.ring import Ring
from fastrec.recording import layout
from fastrec.recording.channel import Channel, Content
from fastrec.recording.committed import NUMBER_LIMIT
from fastrec.recording.gone import Gone, gone_channels
from fastrec.recording.opening import identity, open_folder
from fastrec.recording.precedence import settle
from fastrec.recording.stock import segment_numbers
from fastrec.recording.writing.spooling import open_channel, spool
from fastrec.recording.writing.storing import SEGMENT_BYTES
from fastrec.ring import ENTRY_DTYPE
from fastrec.schema.gaps import GAP_DTYPE, Cause, gaps_of

__all__ = [
    "Left",
    "begin_of_rest",
    "boot_id",
    "home_of",
    "is_of_original",
    "left_rings",
    "mismatch",
    "new_prefix",
    "next_segment",
    "not_kept",
    "refusal",
    "stray_rings",
    "sweep",
    "take_over",
]

_SHARED = Path("/dev/shm")
_SHARE = 4
_PREFIX = re.compile(r"fastrec\.[0-9]{1,10}\.[0-9a-f]{16}")
_NEWEST = 20_000  # rows of gaps among which the newest of the lane is looked for
_RING = re.compile(_PREFIX.pattern + r"\.[A-Za-z0-9_.-]{1,64}")
_PASSING = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EINTR, errno.EAGAIN)
_WRITERS = (Cause.DROPPED, Cause.MISSED, Cause.FAILED)


def boot_id() -> str:
    """What the kernel calls this run of the machine."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def new_prefix() -> str:
    """What the names of a session's rings begin with; nobody can have guessed it."""
    return f"fastrec.{os.geteuid()}.{secrets.token_hex(8)}"


def not_kept(channel: str, size: int, error: OSError) -> str:
    """That a ring of `size` bytes has no place in shared memory, why, what that means and what to do."""
    why, cure = f"{_SHARED}: {error.strerror}", "see that it is a tmpfs that this user may write to"
    with suppress(OSError):
        about = os.statvfs(_SHARED)
        if error.errno == errno.ENOSPC:
            free = about.f_bavail * about.f_frsize
            why = f"{_SHARED} has no room for its {size:,} bytes, {free:,} are free"
            cure = "remove what fills it, make it larger (mount -o remount,size=...), or lower capacity="
    return (
        f"channel {channel!r}: its ring is not kept in shared memory: {why}. Recording goes on, but what is"
        f" not written yet is lost if this process is killed; {cure}"
    )


def sweep() -> None:
    """Remove the oldest rings that nobody took over, while they take more than a quarter of shared memory.

    A recorder that dies again and again, each time with a new folder, would fill the memory otherwise.
    """
    try:
        with open_folder(_SHARED, ()) as folder:
            about = os.fstatvfs(folder)
            found = []
            for name in os.listdir(folder):
                if _RING.fullmatch(name) and name.startswith(f"fastrec.{os.geteuid()}."):
                    entry = os.stat(name, dir_fd=folder, follow_symlinks=False)
                    found.append((entry.st_ctime_ns, entry.st_size, name))
    except OSError:
        return  # others may remove theirs at the same time: there will be another start
    unused = []
    for _, size, name in sorted(found):
        with suppress(OSError):
            ring = Ring(left=name.encode("ascii"))
            if not ring.used:
                unused.append((size, ring))
    total = sum(size for size, _ in unused)
    for size, ring in unused:
        if total <= about.f_blocks * about.f_frsize // _SHARE:
            break
        ring.unlink()
        total -= size


class Left(NamedTuple):
    """A ring in shared memory.

    Attributes
    ----------
    name : str
        In shared memory.
    channel : str
    session : dict
        The line of ``sessions.jsonl``.
    ring : Ring or None
        A private copy of its header, and after `refusal` of all of it; None: it is not one to be taken, for
        the reason in `why`.
    why : str
    root : Path
        The recording that has the session.
    behind : int or None
        Number of the first segment that a later session can have written; None: there was none.
    newest : bool
        The session is the newest one.
    """

    name: str
    channel: str
    session: Mapping[str, Any]
    ring: Ring | None
    why: str
    root: Path
    behind: int | None
    newest: bool


def left_rings(root: Path, sessions: Sequence[Mapping[str, Any]], channels: Sequence[str]) -> Iterator[Left]:
    """The rings that sessions of this run of the machine have left, the oldest session first.

    Raises
    ------
    OSError
        The system has no descriptor or memory to look at one.
    """
    boot = boot_id()
    for place, session in enumerate(sessions):
        prefix = session.get("rings")
        if session.get("boot_id") != boot or not isinstance(prefix, str) or not _PREFIX.fullmatch(prefix):
            continue
        for channel in channels:
            name, newest = f"{prefix}.{channel}", place == len(sessions) - 1
            try:
                ring = Ring(left=name.encode("ascii"))
            except FileNotFoundError:
                continue
            except OSError as error:
                if error.errno in _PASSING:
                    raise
                why = f"ring {name} is left alone: {_of_another(name) or error.strerror}"
                yield Left(name, channel, session, None, why, root, None, newest)
                continue
            behind = _behind(sessions[place + 1 :], channel)
            yield Left(name, channel, session, ring, "", root, behind, newest)


def stray_rings(root: Path, sessions: Sequence[Mapping[str, Any]], present: Collection[str]) -> list[Left]:
    """The rings of channels of this very recording of which nothing is there: nobody can take them over.

    Only what is ours is told: anybody can put a file into shared memory, of whatever name.

    Parameters
    ----------
    present : collection of str
        Channels that are there.

    Raises
    ------
    OSError
        Shared memory cannot be listed, or as of `left_rings`.
    """
    boot = boot_id()
    begun = {str(line.get("rings")) for line in sessions if line.get("boot_id") == boot}
    if not begun:
        return []
    with open_folder(_SHARED, ()) as folder:
        listed = [name for name in os.listdir(folder) if _RING.fullmatch(name)]
    told = {
        name: Gone(None, "")
        for prefix, name in map(_parted, listed)
        if prefix in begun and name not in present and layout.CHANNEL_NAME.fullmatch(name)
    }
    gone = [name for name, one in gone_channels(root, told, present).items() if not one.there]
    return [left for left in left_rings(root, sessions, gone) if left.ring is not None and _is_at_home(left)]


def _parted(name: str) -> tuple[str, str]:
    prefix = ".".join(name.split(".", 3)[:3])
    return prefix, name[len(prefix) + 1 :]


def _of_another(name: str) -> str:
    """Whose a ring is that is not ours, and what to do; empty: it is ours, or has gone."""
    try:
        uid = os.lstat(_SHARED / name).st_uid
    except OSError:
        return ""
    if uid == os.geteuid():
        return ""
    user = str(uid)
    with suppress(KeyError):
        user = pwd.getpwuid(uid).pw_name
    return f"it belongs to user {user}, who alone can take what is in it: run this as user {user}"


def _behind(later: Sequence[Mapping[str, Any]], channel: str) -> int | None:
    for session in later:
        segments = session.get("segments")
        number = segments.get(channel) if isinstance(segments, dict) else None
        if type(number) is int:
            return number
    return None


def next_segment(root: Path, channel: str) -> int:
    """A number that no segment has, nor what is left of one."""
    return max(segment_numbers(root, channel), default=-1) + 1


def home_of(root: Path) -> tuple[int, int]:
    """What tells a recording from a copy of it."""
    try:
        return identity(root, "recording.json")[:2]
    except OSError:
        return 0, 0


def begin_of_rest(left: Left, end: int, written: object) -> int:
    """The number from which on a ring tells of its channel: what it holds, and what it had to let go.

    Parameters
    ----------
    end : int
        Where the segments of the channel end; 0: they tell nothing, nor is a number of theirs known.
    written : int, optional
        How far it had come, as the statistics tell. What no segment holds of that the ring of the newest
        session may hold still.
    """
    if end or left.ring is None:
        return end
    told = written if type(written) is int and 0 <= written < NUMBER_LIMIT else 0
    if not left.newest or told > left.ring.head:
        return told
    return max(int(left.ring.about["first"]), min(told, left.ring.first))


def _is_at_home(left: Left) -> bool:
    """Whether a ring was made for this very folder, since the machine was started."""
    about = left.ring.about
    return about["boot_id"].decode("ascii", "replace") == boot_id() and about["home"] == home_of(left.root)


def is_of_original(left: Left, end: int) -> bool:
    """Whether a ring belongs to the folder that this one is a copy of, and its channel has all of it here."""
    return left.ring is not None and left.ring.head <= end and left.ring.about["home"] != home_of(left.root)


def refusal(left: Left, channel: Channel, end: int) -> str:
    """Why a ring does not go on where its channel ends, with number `end`; empty: it does, and has been read.

    Raises
    ------
    OSError
        The system lacks what is needed to look at it: it may be the one.
    """
    why = mismatch(left, channel, end)
    if not why:
        try:
            left.ring.fetch()
        except OSError as error:
            if error.errno in _PASSING:
                raise
            why = f"ring {left.name} is left alone: {error.strerror}"
    return why


def mismatch(left: Left, channel: Channel, end: int) -> str:
    """Why a ring does not go on where its channel ends, as far as its header tells; empty: it does."""
    if left.ring is None:
        return left.why
    about = left.ring.about
    dtype = channel.stock.schema.record(channel.store)
    why = ""
    if about["digest"] != channel.stock.schema.digest or about["record_size"] != dtype.itemsize:
        why = f"its schema is another than that of channel {left.channel!r}"
    elif about["store"] != int(channel.store == "changes"):
        why = f"it is not that of channel {left.channel!r}"
    elif not _is_at_home(left):
        why = "it belongs to another folder, of which this one is a copy"
    elif about["first"] > end:
        why = f"it begins with record {about['first']:,}, but channel {left.channel!r} ends at {end:,}"
    elif left.behind is not None and next_segment(left.root, left.channel) > left.behind:
        why = f"channel {left.channel!r} was gone on with in the meantime"
    return f"ring {left.name} is left alone: {why}" if why else ""


def take_over(
    left: Left,
    root: Path,
    uuid: bytes,
    channel: Channel,
    content: Content,
    *,
    segment_bytes: int = SEGMENT_BYTES,
) -> int:
    """Write what the ring has beyond the end of its channel into a new segment of it, durably.

    Parameters
    ----------
    root : Path
        Of the recording into which to write.
    channel, content
        The channel as it is there.

    Returns
    -------
    int
        The number after its last record.

    Raises
    ------
    OSError
        The disk will not have it.
    """
    folder = open_channel(root, channel.name)
    try:
        spooling = spool(
            left.ring,
            folder,
            uuid,
            channel.name,
            channel.stock.schema,
            channel.store,
            segment_bytes=segment_bytes,
            # Of those before it nothing is left: they count as retired, as the statistics alone have it.
            first_segment=max(next_segment(root, channel.name), int(content.end > 0)),
            cursor=content.end,
            seen=_seen(left, content),
            last=max(
                (chunk.index_last for chunk in content.chunks[-1:]), default=int(left.session["start_ns"])
            ),
        )
        spooling.drain_left()
    finally:
        os.close(folder)
        left.ring.clear()  # of many channels one after another takes memory
    return spooling.marks()["written"]


def _seen(left: Left, content: Content) -> tuple[int, int, int]:
    """How many dropped, missed and failed ones were told already: the totals at the newest that was."""
    segments = left.session.get("segments")
    first = segments.get(left.channel, 0) if isinstance(segments, dict) else 0
    _, losses = settle(content.segments)
    told = [gaps for segment, gaps in zip(content.segments, losses, strict=True) if segment.number >= first]
    rows = np.concatenate([np.empty(0, GAP_DTYPE), *told])
    rows = rows[np.isin(rows["cause"], [int(cause) for cause in _WRITERS])]
    entries = np.frombuffer(left.ring.read_gaps()[0], ENTRY_DTYPE)
    known = {gap.tobytes() for gap in rows[-_NEWEST:]}
    for entry, gap in zip(entries[::-1], gaps_of(entries)[::-1], strict=True):
        if gap.tobytes() in known:
            return tuple(entry["totals"].tolist())
    if content.segments and content.segments[0].number > first and len(entries):
        # What was told is retired, but for what the lane still has.
        before = entries[0]["totals"].astype(np.int64)
        before[int(entries[0]["cause"]) - Cause.DROPPED] -= int(entries[0]["count"])
        return tuple(before.tolist())
    return tuple(int(rows["count"][rows["cause"] == cause].astype(np.uint64).sum()) for cause in _WRITERS)
