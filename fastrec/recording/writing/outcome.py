"""What the end of a recording has to say about what the disk took, channel by channel."""

from __future__ import annotations

import errno
import os
import warnings
from contextlib import suppress
from pathlib import Path

from fastrec.core.spooler import SpoolChannel, Spooler
from fastrec.errors import RecordingError
from fastrec.recording.writing.files import place_of
from fastrec.recording.writing.journals import Lines
from fastrec.recording.writing.storing import Storing
from fastrec.ring import Ring

__all__ = ["Spooling", "check_end", "check_there", "reason", "unanswered"]

Spooling = dict[str, tuple[Ring, SpoolChannel]]
"""By channel name, what is written and who writes it."""


def reason(error: int, storing: Storing, spooler: Spooler) -> str:
    """What an errno of the spooler means."""
    if error == errno.ENOSPC and spooler.scarce:
        return f"less than min_free={storing.min_free:,} bytes are free, and nothing is left to be removed"
    return "its folder was removed" if error == errno.ENOENT else os.strerror(error)


def unanswered(spooling: Spooling) -> str:
    """What a disk that does not answer leaves open, as the middle of a message."""
    said = ""
    for name, (ring, channel) in spooling.items():
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


def check_there(root: Path, folder: int, lock: int, spooling: Spooling) -> None:
    """Whether a recording is still in any place; if not, nobody could take over its rings.

    Parameters
    ----------
    folder, lock : int
        Descriptors, of it and of its ``recording.json``.

    Raises
    ------
    RecordingError
        It was removed; the message says how much is lost.
    """
    if os.fstat(folder).st_nlink:
        return
    with suppress(RecordingError):
        place_of(lock, root)  # not every file system counts names
        return
    for ring, _ in spooling.values():
        ring.core.unlink()
    lost = (
        f"{ring.core.head - ring.first:,} records of channel {name!r}" for name, (ring, _) in spooling.items()
    )
    raise RecordingError(
        f"{root}: was removed while it was recorded to; {', '.join(lost) or 'its marks'} are not on the disk"
    )


def _check_written(root: Path, spooling: Spooling, storing: Storing, spooler: Spooler) -> None:
    """Whether all is on the disk, and durable if it is to be.

    Raises
    ------
    RecordingError
        Something is not; the message says how much, and why.
    """
    for name, (ring, channel) in spooling.items():
        marks, head = channel.marks(), ring.core.head
        if marks["error"] == errno.ENOENT:
            raise RecordingError(
                f"{root}: the folder of channel {name!r} was removed while it was recorded to;"
                f" {head - marks['written']:,} records of it are not on the disk"
            )
    unwritten = {
        name: (ring, channel) for name, (ring, channel) in spooling.items() if channel.marks()["error"]
    }
    if unwritten:
        raise RecordingError(f"{root}: {_unwritten(unwritten, storing, spooler)}")
    for name, (ring, channel) in spooling.items():
        marks, head = channel.marks(), ring.core.head
        if storing.durability != "never" and marks["durable"] < head:
            why = f" ({os.strerror(marks['sync_error'])})" if marks["sync_error"] else ""
            raise RecordingError(
                f"{root}: channel {name!r} is whole, but a flush failed{why}: from record"
                f" {marks['durable']:,} on it may not survive a loss of power"
            )


def _unwritten(spooling: Spooling, storing: Storing, spooler: Spooler) -> str:
    """What the disk would not have, what is to become of it, and what to do."""
    missing, waiting = [], 0
    for name, (ring, channel) in spooling.items():
        marks = channel.marks()
        count, why = ring.core.head - marks["written"], reason(marks["error"], storing, spooler)
        missing.append(f"{count:,} records of channel {name!r} could not be written: {why}")
        waiting += min(count, ring.capacity) if ring.core.linked else 0
    text = f"{'; '.join(missing)}; what was written before is whole"
    if not waiting:
        return text
    cure = "free space, or lower min_free" if spooler.scarce else "free space"
    return (
        f"{text}, and {waiting:,} records wait in shared memory until the machine is started anew: {cure},"
        " then go on with resume=True (fastrec record --resume), or save all with fastrec recover"
    )


def _check_counts(root: Path, spooling: Spooling) -> None:
    """Warn of headers that count too few rows."""
    for name, (_, channel) in spooling.items():
        why = channel.marks()["side_error"]
        if why:
            warnings.warn(
                f"{root}: channel {name!r} is whole, but the headers of some index, gaps and zones"
                f" files count too few rows: {os.strerror(why)}; fastrec reads all of them, numpy.load"
                " does not",
                RuntimeWarning,
                stacklevel=6,
            )
