"""The line that a session begins with, and what the one before has said last."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fastrec.errors import FastrecError
from fastrec.recording.closing import read_closed, totals
from fastrec.recording.writing.journals import Lines
from fastrec.recording.writing.resuming import Moment

__all__ = ["begin_session", "closed_before"]


def begin_session(
    root: Path, uuid: bytes, *, number: int, offset_ns: int, rings: str, segments: Mapping[str, int]
) -> None:
    """Write its line into ``sessions.jsonl``.

    Parameters
    ----------
    rings : str
        What the names of its rings begin with.
    segments : mapping of str to int
        Number of the next segment of each channel that is there.

    Raises
    ------
    OSError, RecordingError
        The disk will not have it.
    """
    moment = Moment.now()
    sessions = Lines(root, "sessions.jsonl", uuid)
    try:
        sessions.append(
            {
                "session": number,
                "boot_id": moment.boot_id,
                "time_namespace": moment.time_namespace,
                "clock": "monotonic",
                "offset_ns": offset_ns,
                "start_ns": moment.monotonic + offset_ns,
                "pid": os.getpid(),
                "rings": rings,
                "segments": dict(segments),
            }
        )
    finally:
        sessions.close()


def closed_before(root: Path, uuid: bytes, number: int) -> tuple[int, dict[str, Any]]:
    """Number of the session that closed the recording, and the totals of all channels that it counted.

    `number` is for where ``closed.json`` does not say it.
    """
    try:
        closed = read_closed(root, uuid)
    except (FastrecError, OSError):
        return number, {}  # it went when a ring was taken over
    told = closed.get("session")
    return (told if type(told) is int else number), totals(closed)
