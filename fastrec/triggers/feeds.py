"""What was published of a channel, each record once, for those who look at it as it comes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from fastrec.channel import Channel

__all__ = ["Batch", "Feed", "settled", "told"]

_PIECE = 4 << 20  # bytes that are looked at together
_OWN_NS = 1_000_000_000  # stamps so far from all that the clock has shown are not of it
_UNDER_WAY_NS = 1_000_000  # from a call's end until what it filled is published, a thread that waits included


class Batch(NamedTuple):
    """Records that are new.

    Attributes
    ----------
    array : structured ndarray, shape (lead + n,)
    lead : int
        1: the first of them was there before.
    first : int
        Number of the first new one.
    lost : int
        How many before that were overwritten before anybody looked.
    """

    array: np.ndarray
    lead: int
    first: int
    lost: int

    @property
    def new(self) -> np.ndarray:
        """Those that are."""
        return self.array[self.lead :]


class Feed:
    """Reads the ring of a channel from now on: the last record there is comes first, as one that was before.

    Parameters
    ----------
    channel : Channel

    Attributes
    ----------
    channel : Channel
    next : int
        Number of the next record.
    last : structured ndarray, shape (0,) or (1,)
        The last one that was read.
    """

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        head, core = channel.ring.core.head, channel.ring.core
        self.next = max(core.first, head - 1)
        self.last = np.empty(0, channel.ring.array.dtype)
        for batch in self.take():
            self.last = batch.array[-1:].copy()

    def take(self) -> Iterator[Batch]:
        """What is new, piece by piece."""
        core, dtype = self.channel.ring.core, self.channel.ring.array.dtype
        while (ready := core.head - self.next) > 0:
            lead = len(self.last)
            room = min(ready, max(1, _PIECE // dtype.itemsize))
            array = np.empty(lead + room, dtype)
            first, count, skip, lost = core.read_into(array[lead:].view(np.uint8), self.next)
            self.next = first + count
            if not count:
                return
            array = array[skip : lead + skip + count]
            array[:lead] = self.last
            self.last = array[-1:].copy()
            yield Batch(array, lead, first, lost)


def settled(channel: Channel, now: int, began: int) -> int:
    """A time, on the clock of the stamps, before which nothing is published any more.

    Who pushes with stamps from before the recorder began, or from the future, has a time of its own: it
    passes as records come.

    Parameters
    ----------
    channel : Channel
    now, began : int
        That clock, read before, and when the recorder began.
    """
    core = channel.ring.core
    if channel.source is None:
        last = core.account()["last"]
        own = core.head > channel.ring.first and not began - _OWN_NS <= last <= now + _OWN_NS
        return last if own else now
    if channel.ended:
        return now
    since = core.in_call
    # What a call fills is stamped with its middle, wherever its end will be.
    return ((since + channel.ring.clock_offset + now) // 2 if since else now) - _UNDER_WAY_NS


def told(channel: Channel, until: int) -> int:
    """A time up to which every poll is in a record, if nothing is published any more before `until`.

    What is equal is told of at a heartbeat only: before that nobody knows whether polls went on.
    """
    if channel.ring.store != "changes" or channel.ended:
        return until
    return until - channel.options.heartbeat_ns - 2 * (channel.options.period_ns or 0)
