"""What a recorder left behind that did not close its recording: records in memory, or nobody knows what.

A ring holds what was published and not written. Where the newest session was not closed and a channel of it
has no ring any more, as after a new start of the machine, that is lost, and no number tells how much it was.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fastrec.errors import FastrecError
from fastrec.recording import layout
from fastrec.recording.channel import Channel
from fastrec.recording.opening import has_file
from fastrec.recording.reader import Recording
from fastrec.recording.stock import segment_numbers
from fastrec.recording.torn import TornFile
from fastrec.recording.writing.rings import (
    Left,
    begin_of_rest,
    is_of_original,
    left_rings,
    mismatch,
    stray_rings,
)

__all__ = ["LOST", "Remains", "lost_with_rings", "remains", "told_strays"]

LOST = "lost"
"""Kind of the mark that keeps the memory of such a loss when the recording is gone on with."""


class Remains(NamedTuple):
    """What is known of a recording that was not closed, beside what was committed.

    Attributes
    ----------
    waiting : dict of str to int
        How many records of a channel are in shared memory alone.
    begins : dict of str to int
        Number of the first of them.
    notes : tuple of str
        The same, and what was lost or cannot be had, for people.
    """

    waiting: dict[str, int]
    begins: dict[str, int]
    notes: tuple[str, ...]


def remains(recording: Recording) -> Remains:
    """Look at the rings of a recording; there is nothing to say of one that is closed or being written.

    Raises
    ------
    OSError
        The system has no descriptor or memory to look at one.
    """
    if recording.state != "unclean":
        return Remains({}, {}, ())
    names, sessions, stats = list(recording), recording.sessions, recording.stats
    ends = {name: end.end for name, end in recording.ends.items() if name in names}
    waiting: dict[str, int] = {}
    begins: dict[str, int] = {}
    notes, found = [], set()
    for left in left_rings(recording.path, sessions, names):
        name = left.channel
        if left.newest:
            found.add(name)
        ends[name] = begin_of_rest(left, ends[name], stats.get(name, {}).get("written"))
        if is_of_original(left, ends[name]):
            continue
        try:
            channel = Channel(recording.path, bytes.fromhex(recording.uuid), name)
            why = mismatch(left, channel, ends[name])
        except FastrecError as error:  # a problem of the recording, which must not hide the others
            why = f"ring {left.name} is left alone: {error}"
        if why:
            notes.append(why)
        elif left.ring.head > ends[name]:
            begins.setdefault(name, ends[name])
            waiting[name] = waiting.get(name, 0) + left.ring.head - ends[name]
            ends[name] = left.ring.head
    notes += [
        f"{count:,} record{' ' if count == 1 else 's '}of channel {name!r} wait{'s' if count == 1 else ''} in"
        " shared memory until the machine is started anew: fastrec recover, or --resume, takes"
        f" {'it' if count == 1 else 'them'}"
        for name, count in waiting.items()
    ]
    notes += told_strays(stray_rings(recording.path, sessions, names), lost=False)
    # One that is damaged was written all the same, when nothing was left in a ring.
    finished = has_file(recording.path, "closed.json")
    if not finished:
        notes += lost_with_rings(recording.path, sessions, stats, ends, found).values()
    return Remains(waiting, begins, tuple(notes))


def told_strays(strays: Iterable[Left], *, lost: bool) -> list[str]:
    """What to say of rings whose channels are gone; `lost`: now that they are to be removed."""
    told = []
    for left in strays:
        count = left.ring.head - left.ring.first
        few = count == 1
        start = f"the folder of channel {left.channel!r} was removed"
        records = f"{count:,} record{'' if few else 's'} of it"
        if count and lost:
            told.append(
                f"{start}: {records} that {'was' if few else 'were'} in shared memory alone"
                f" {'is' if few else 'are'} lost"
            )
        elif count:
            told.append(
                f"{start}: {records} {'is' if few else 'are'} in shared memory alone, and nothing takes"
                f" {'it' if few else 'them'}: a resume makes a mark of that and frees the memory"
            )
    return told


def lost_with_rings(
    root: Path,
    sessions: Sequence[Mapping[str, Any]],
    stats: Mapping[str, Mapping[str, Any]],
    ends: Mapping[str, int],
    found: Collection[str],
) -> dict[str, str]:
    """Channels of the newest session that have no ring in shared memory, though it was not closed.

    Parameters
    ----------
    root : Path
        Of the recording.
    sessions : sequence of mapping
        The lines of ``sessions.jsonl``.
    stats : mapping of str to mapping
        The newest counters of each channel.
    ends : mapping of str to int
        The number after the last that was written, by channel.
    found : collection of str
        Channels that have a ring.

    Returns
    -------
    dict of str to str
        What to say of each.
    """
    if not sessions:
        return {}
    newest = sessions[-1]
    segments, since = newest.get("segments"), newest.get("start_ns")

    def was_recorded(name: str) -> bool:
        first = segments.get(name) if isinstance(segments, dict) else None
        numbers = segment_numbers(root, name)
        told = stats.get(name, {}).get("mono_ns")
        # One that was there before the session rested in it, as far as is known, if nothing was committed.
        return (
            type(first) is not int
            or any(number >= first and not _is_of_retention(root, name, number) for number in numbers)
            or (type(told) is int and type(since) is int and told >= since)
        )

    lost = {}
    for name, end in ends.items():
        if name not in found and was_recorded(name):
            after = f" after record {end - 1:,}" if end else ""
            lost[name] = (
                f"session {newest.get('session')!r:.20} was not closed and left no ring of channel {name!r}:"
                f" what was published{after} and not written is lost; nobody knows how many"
            )
    return lost


def _is_of_retention(root: Path, name: str, number: int) -> bool:
    """Whether a segment tells the next number and nothing else, so that those of a channel at rest can go."""
    row = layout.INDEX_DTYPE.itemsize
    with TornFile(root, "channels", name, f"index.{number:06d}.npy") as file:
        data = file.read(layout.header_size(layout.INDEX_DTYPE), 2 * row)
    if len(data) != row or not any(data):  # one of zeros was never written
        return False
    (only,) = np.frombuffer(data, layout.INDEX_DTYPE)
    return not only["rows"] and not only["gap_rows"]
