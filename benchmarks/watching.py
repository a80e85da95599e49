"""What a poll costs, seen from outside: a look at the counters, a sleep, another look."""

from __future__ import annotations

import time

from fastrec.channel import Channel

__all__ = ["PARTS", "ns_per_poll"]

PARTS = 10
"""Parts of a run, the quickest of which counts: in the others somebody else may have had the processor."""


def ns_per_poll(channel: Channel, seconds: float) -> float:
    """Of the quickest part of a time, by the clock of this thread, which sleeps meanwhile."""
    while not channel.stats.slots:
        time.sleep(0.001)
    return min(_watched(channel, seconds / PARTS) for _ in range(PARTS))


def _watched(channel: Channel, seconds: float) -> float:
    begin = time.perf_counter_ns()  # before the first look, so that nothing makes a poll seem cheaper
    slots = channel.stats.slots
    time.sleep(seconds)
    while (after := channel.stats.slots) == slots:  # others had the processor all the time
        time.sleep(0.001)
    return (time.perf_counter_ns() - begin) / (after - slots)
