"""Room on a full disk for what is to be written first: what is beyond the budget makes way before that."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from fastrec.core import spooler
from fastrec.core.spooler import RestingChannel
from fastrec.errors import RecordingError
from fastrec.recording.opening import FOLDER, subfolders
from fastrec.recording.stock import segment_numbers
from fastrec.recording.writing.ends import ChannelEnd
from fastrec.recording.writing.rings import next_segment
from fastrec.recording.writing.spooling import open_channel, rest
from fastrec.recording.writing.storing import Storing

__all__ = ["check_min_free", "is_full", "make_room", "no_room", "resting"]


def check_min_free(path: Path, min_free: int) -> None:
    """Refuse to leave so many bytes free where there can never be as many: nothing would be written.

    Raises
    ------
    RecordingError
        The message says how many that are.
    """
    place = next(one for one in (path, *path.parents) if os.path.exists(one))
    about = os.statvfs(place)
    most = (about.f_blocks - (about.f_bfree - about.f_bavail)) * about.f_frsize  # but what root keeps back
    if about.f_blocks and min_free >= most:
        raise RecordingError(
            f"min_free={min_free:,}: of the file system of {path} {most:,} bytes can be free at most, so"
            " nothing would ever be written; say less"
        )


def is_full(error: BaseException | None) -> bool:
    """Whether an error, or what it was raised from, says that the disk has no room."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        error = error.__cause__
    return False


def no_room(root: Path, storing: Storing, *, goes_on: bool) -> RecordingError:
    """That a full disk has no room even to begin, and what to do; `goes_on`: with a recording."""
    cure = "free space"
    if goes_on and not storing.limited:
        cure += ", or let its oldest segments make way: keep_bytes=, keep_seconds= or min_free="
    return RecordingError(f"{root}: {os.strerror(errno.ENOSPC)}: nothing can be recorded to it; {cure}")


def resting(root: Path, uuid: bytes, ends: Mapping[str, ChannelEnd], held: list[int]) -> list[RestingChannel]:
    """What is there already counts, whether its channels are written again or not.

    `held` takes the descriptors of their folders, as long as these are used.
    """
    channels = []
    for name, end in ends.items():
        if end.kept:
            held.insert(0, open_channel(root, name))
            channels.append(
                rest(
                    held[0],
                    uuid,
                    name,
                    end.schema,
                    end.store,
                    number=end.number,
                    segment=end.segment,
                    kept=end.kept,
                )
            )
    return channels


def make_room(
    root: Path, channels: Sequence[RestingChannel], storing: Storing, offset_ns: int
) -> dict[str, int]:
    """Remove what is beyond the budget, as a recorder that runs would, before anything is written.

    Returns
    -------
    dict of str to int
        Channels of which anything was removed, or written to tell the next number; and the number of the next
        segment of each.
    """
    if not storing.limited or not channels:
        return {}
    before = _numbers(root)
    folder = os.open(root, FOLDER)
    try:
        spooler.make_room(
            folder,
            channels,
            keep_bytes=storing.keep_bytes,
            keep_ns=storing.keep_ns,
            min_free=storing.min_free,
            now=time.monotonic_ns() + offset_ns,
        )
    finally:
        os.close(folder)
    return {name: next_segment(root, name) for name, now in _numbers(root).items() if now != before.get(name)}


def _numbers(root: Path) -> dict[str, list[int]]:
    return {name: segment_numbers(root, name) for name in subfolders(root, "channels")}
