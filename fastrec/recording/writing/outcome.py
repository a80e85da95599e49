"""What the end of a recording has to say about what the disk took, channel by channel."""

from __future__ import annotations

import errno
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from fastrec.core.spooler import SpoolChannel, Spooler
from fastrec.errors import RecordingError
from fastrec.recording.writing.journals import Lines
from fastrec.recording.writing.storing import Storing
from fastrec.ring import Ring

__all__ = ["Spooled", "Spooling", "check_end", "check_there", "reason", "unanswered"]


class Spooled(NamedTuple):
    """A channel on its way to the disk.

    Attributes
    ----------
    ring : Ring
    channel : SpoolChannel
        Who writes it.
    folder : int
        Descriptor.
    before : int
        How many records of it were there before.
    """

    ring: Ring
    channel: SpoolChannel
    folder: int
    before: int


Spooling = dict[str, Spooled]
"""By channel name."""


def reason(error: int, folder: int, storing: Storing, spooler: Spooler) -> str:
    """What an errno of the spooler means to a channel, whose folder's descriptor this is."""
    if error == errno.ENOSPC and spooler.scarce:
        return f"less than min_free={storing.min_free:,} bytes are free, and nothing is left to be removed"
    if error == errno.ENOENT:
        return "its folder was removed" if _is_removed(folder) else "a file of it was removed"
    return os.strerror(error)


def _is_removed(folder: int) -> bool:
    """Whether a folder has no name any more."""
    try:
        about = os.fstat(folder)
        if about.st_nlink:
            return False
        # Not every file system counts names.
        return not os.path.samestat(os.stat(os.readlink(f"/proc/self/fd/{folder}")), about)
    except OSError:
        return True


def unanswered(spooling: Spooling) -> str:
    """What a disk that does not answer leaves open, as the middle of a message."""
    said = ""
    for name, (ring, channel, *_) in spooling.items():
        marks, head = channel.marks(), ring.core.head
        if head > marks["durable"]:
            said += (
                f"; channel {name!r}: of {head:,} records {marks['written']:,} are written, and"
                f" {marks['durable']:,} of them durable"
            )
    return said


def check_end(root: Path, marks: Lines, spooler: Spooler, spooling: Spooling, storing: Storing) -> None:
    """Whether all is on the disk that is to be, now that the spooler has stopped.

    Raises
    ------
    RecordingError
        Something is not; the message says how much, and why.
    """
    _close_marks(root, marks, spooler)
    _check_written(root, spooling, storing, spooler)
    _check_counts(root, spooling)


def _close_marks(root: Path, marks: Lines, spooler: Spooler) -> None:
    """Close marks.jsonl, which the spooler has flushed.

    Raises
    ------
    RecordingError
        It may not be durable.
    """
    try:
        marks.close()
        if spooler.marks_error:
            raise OSError(spooler.marks_error, os.strerror(spooler.marks_error))
    except OSError as error:
        raise RecordingError(
            f"{root}: the marks may not survive a loss of power: {error.strerror}; the records are whole"
        ) from error


def check_there(
    root: Path, folder: int, spooling: Spooling, storing: Storing, before: Mapping[str, int]
) -> None:
    """Whether a recording is still in any place; if not, nobody could take over its rings.

    Parameters
    ----------
    folder : int
        Its descriptor.
    before : mapping of str to int
        How many records of each channel were there before.

    Raises
    ------
    RecordingError
        It was removed; the message says how much is lost.
    """
    if not _is_removed(folder):
        return
    for one in spooling.values():
        one.ring.core.unlink()
    counts = {name: _lost(count, storing) for name, count in before.items()}
    counts |= {
        name: _lost(one.before + one.ring.core.head - one.ring.first, storing)
        for name, one in spooling.items()
    }
    lost = (f"{count} records of channel {name!r}" for name, count in counts.items())
    raise RecordingError(
        f"{root}: was removed while it was recorded to; {', '.join(lost) or 'its marks'} are not on the disk"
    )


def _lost(count: int, storing: Storing) -> str:
    """How many records are lost; what was removed for the budget is not."""
    return f"{'up to ' if storing.limited else ''}{count:,}"


def _check_written(root: Path, spooling: Spooling, storing: Storing, spooler: Spooler) -> None:
    """Whether all is on the disk, and durable if it is to be.

    Raises
    ------
    RecordingError
        Something is not; the message says how much, and why.
    """
    said, unwritten, waiting, full = [], [], 0, False
    for name, (ring, channel, folder, before) in spooling.items():
        marks, head = channel.marks(), ring.core.head
        safe = head
        if _is_removed(folder):
            said.append(
                f"the folder of channel {name!r} was removed while it was recorded to;"
                f" {_lost(before + head - ring.first, storing)} records of it are not on the disk"
            )
            ring.core.unlink()  # nobody could take it over
        elif marks["error"]:
            safe = marks["written"]
            why = reason(marks["error"], folder, storing, spooler)
            unwritten.append(f"{head - safe:,} records of channel {name!r} could not be written: {why}")
            full |= marks["error"] != errno.ENOENT
        elif marks["sync_error"] == errno.ENOENT and marks["durable"] < head:
            safe = marks["durable"]
            said.append(
                f"a file of channel {name!r} was removed while it was recorded to: from record"
                f" {safe:,} on nothing is on the disk for sure"
            )
        elif storing.durability != "never" and marks["durable"] < head:
            why = f" ({os.strerror(marks['sync_error'])})" if marks["sync_error"] else ""
            said.append(
                f"channel {name!r} is whole, but a flush failed{why}: from record"
                f" {marks['durable']:,} on it may not survive a loss of power"
            )
        waiting += min(head - safe, ring.capacity) if ring.core.linked else 0
    if said or unwritten:
        cure = ("free space, or lower min_free, then " if spooler.scarce else "free space, then ") * full
        whole = ["what was written before is whole"] * bool(unwritten)
        raise RecordingError(f"{root}: {'; '.join(said + unwritten + whole)}{_waiting(waiting, cure)}")


def _waiting(count: int, cure: str) -> str:
    """What is to become of records that are not on the disk, and what to do, as the end of a message."""
    if not count:
        return ""
    return (
        f", and {count:,} records wait in shared memory until the machine is started anew: {cure}go on with"
        " resume=True (fastrec record --resume), or save all with fastrec recover"
    )


def _check_counts(root: Path, spooling: Spooling) -> None:
    """Warn of headers that count too few rows."""
    for name, (_, channel, *_) in spooling.items():
        why = channel.marks()["side_error"]
        if why:
            warnings.warn(
                f"{root}: channel {name!r} is whole, but the headers of some index, gaps and zones"
                f" files count too few rows: {os.strerror(why)}; fastrec reads all of them, numpy.load"
                " does not",
                RuntimeWarning,
                stacklevel=6,
            )
