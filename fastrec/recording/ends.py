"""Where the channels of a recording end, and why: told by the newest segments' indexes alone."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastrec.errors import FastrecError
from fastrec.recording import layout
from fastrec.recording.channel import Channel
from fastrec.recording.closing import published
from fastrec.recording.precedence import spans_of_gaps
from fastrec.recording.segment import Segment

__all__ = ["NOT_CLOSED", "End", "ends_of"]

NOT_CLOSED = "it was not closed: killed, or its disk took no more; what was committed is whole"


@dataclass(frozen=True)
class End:
    """Where a channel ends.

    Attributes
    ----------
    end : int
        Number after the last record or loss that is committed.
    time : int or None
        Stamp at which the last record was last seen, ns; None: no index says so.
    why : str
        Why it ends there.
    """

    end: int
    time: int | None
    why: str


def ends_of(
    names: Iterable[str], channel: Callable[[str], Channel], state: str, closed: Mapping[str, Any] | None
) -> dict[str, End]:
    """Where each channel ends; no record is read.

    Parameters
    ----------
    names : iterable of str
    channel : callable
        The channel of a name; what it raises is why that one ends at once.
    state : str
        Of the recording.
    closed : mapping or None
        The members of ``closed.json``.
    """
    found = {}
    for name in names:
        try:
            found[name] = _end_of(channel(name), state, closed)
        except FastrecError as error:
            found[name] = End(0, None, str(error))
    return found


def _end_of(channel: Channel, state: str, closed: Mapping[str, Any] | None) -> End:
    newest: Segment | None = None  # the last one in which there is something, or in which something is wrong
    end, time, begin, apart = published(closed, channel.name) or 0, None, None, 0
    for number in reversed(channel.numbers()):
        segment = Segment(channel.stock, number)
        if not segment.present:
            continue
        if newest is None and (segment.first is not None or segment.tail or segment.problems):
            newest = segment
        if segment.first is None:
            continue
        ends = [segment.end, *(stop for _, stop in spans_of_gaps(segment.gaps))]
        # What holds nothing that a later one was to have again may itself be again what is in one before it.
        apart = apart + 1 if begin is not None and max(ends) <= begin else 0
        if apart == 2:
            break
        end = max([end, *ends])
        filled = np.flatnonzero(segment.index["rows"])
        if len(filled):
            latest = int(segment.index["t_max"][filled[-1]])
            time = latest if time is None else max(time, latest)
        first = segment.first.first_seq
        begin = first if begin is None else min(begin, first)
        if time is not None and begin == 0:
            break
    return End(end, time, _why(newest, state))


def _why(newest: Segment | None, state: str) -> str:
    if state == "closed":
        return "closed"
    if state == "live":
        return "a recorder is writing it"
    if newest is None:
        return "nothing was committed"
    index = newest.path("index")
    said = [line for line in [*newest.tail, *newest.problems] if str(index) in line]
    if said:
        row = newest.read.index
        byte = layout.header_size(layout.INDEX_DTYPE) + row * layout.INDEX_DTYPE.itemsize
        return f"{_short(said[0], newest)} (byte {byte})"
    ahead = [line for line in newest.problems if "loss of power" in line]
    return _short(ahead[0], newest) if ahead else NOT_CLOSED


def _short(line: str, segment: Segment) -> str:
    """A problem of a segment with the names of its files alone."""
    return line.replace(str(segment.path("index").parent) + os.sep, "")
