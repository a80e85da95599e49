"""Rings that a recorder which died left in shared memory: what was published, and not yet written.

They are found by the names in ``sessions.jsonl``, as long as the machine has not been started anew. What is
found is not trusted: it is a file of our own that nobody else can reach, and whose header fits it, or it is
left alone.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fastrec.core.ring import Ring
from fastrec.recording.channel import Channel, Content
from fastrec.recording.layout import segment_number
from fastrec.recording.opening import folder_names, open_folder
from fastrec.recording.precedence import settle
from fastrec.recording.spooling import open_channel, spool
from fastrec.schema.gaps import Cause

__all__ = ["Left", "boot_id", "left_rings", "new_prefix", "next_segment", "refusal", "sweep", "take_over"]

_SHARED = Path("/dev/shm")
_SHARE = 4
_PREFIX = re.compile(r"fastrec\.[0-9]{1,10}\.[0-9a-f]{16}")
_RING = re.compile(_PREFIX.pattern + r"\.[A-Za-z0-9_.-]{1,64}")
_WRITERS = (Cause.DROPPED, Cause.MISSED, Cause.FAILED)


def boot_id() -> str:
    """What the kernel calls this run of the machine."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def new_prefix() -> str:
    """What the names of a session's rings begin with; nobody can have guessed it."""
    return f"fastrec.{os.geteuid()}.{secrets.token_hex(8)}"


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
    found.sort()
    total = sum(size for _, size, _ in found)
    for _, size, name in found:
        if total <= about.f_blocks * about.f_frsize // _SHARE:
            break
        with suppress(OSError):
            ring = Ring(left=name.encode("ascii"))
            if not ring.used:
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
        A private copy of it; None: it is not one to be taken, for the reason in `why`.
    why : str
    """

    name: str
    channel: str
    session: Mapping[str, Any]
    ring: Ring | None
    why: str = ""


def left_rings(sessions: Sequence[Mapping[str, Any]], channels: Sequence[str]) -> Iterator[Left]:
    """The rings that sessions of this run of the machine have left, the oldest session first."""
    boot = boot_id()
    for session in sessions:
        prefix = session.get("rings")
        if session.get("boot_id") != boot or not isinstance(prefix, str) or not _PREFIX.fullmatch(prefix):
            continue
        for channel in channels:
            name = f"{prefix}.{channel}"
            try:
                ring = Ring(left=name.encode("ascii"))
            except FileNotFoundError:
                continue
            except OSError as error:
                yield Left(name, channel, session, None, f"ring {name} is left alone: {error.strerror}")
                continue
            yield Left(name, channel, session, ring)


def next_segment(root: Path, channel: str) -> int:
    """A number that no segment has, nor what is left of one."""
    numbers = map(segment_number, folder_names(root, "channels", channel))
    return max((number for number in numbers if number is not None), default=-1) + 1


def refusal(left: Left, channel: Channel, end: int) -> str:
    """Why a ring does not go on where its channel ends, with number `end`; empty: it does."""
    if left.ring is None:
        return left.why
    about = left.ring.about
    dtype = channel.stock.schema.record(channel.store)
    if about["digest"] != channel.stock.schema.digest or about["record_size"] != dtype.itemsize:
        return f"ring {left.name} is left alone: its schema is another than that of channel {left.channel!r}"
    if (
        about["store"] != int(channel.store == "changes")
        or about["boot_id"].decode("ascii", "replace") != boot_id()
    ):
        return f"ring {left.name} is left alone: it is not that of channel {left.channel!r}"
    if about["first"] > end:
        return (
            f"ring {left.name} is left alone: it begins with record {about['first']:,}, but channel"
            f" {left.channel!r} ends at {end:,}"
        )
    return ""


def take_over(left: Left, root: Path, uuid: bytes, channel: Channel, content: Content) -> int:
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
            first_segment=next_segment(root, channel.name),
            cursor=content.end,
            seen=_seen(left.session, channel.name, content),
            last=max(
                (chunk.index_last for chunk in content.chunks[-1:]), default=int(left.session["start_ns"])
            ),
        )
        spooling.drain_left()
    finally:
        os.close(folder)
    return spooling.marks()["written"]


def _seen(session: Mapping[str, Any], channel: str, content: Content) -> tuple[int, int, int]:
    """How many dropped, missed and failed ones the segments of a session tell of."""
    segments = session.get("segments")
    first = segments.get(channel, 0) if isinstance(segments, dict) else 0
    _, losses = settle(content.segments)
    told = [gaps for segment, gaps in zip(content.segments, losses, strict=True) if segment.number >= first]
    return tuple(
        sum(int(gaps["count"][gaps["cause"] == cause].astype(np.uint64).sum()) for gaps in told)
        for cause in _WRITERS
    )
