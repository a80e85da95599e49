"""Sources with a life of their own: begun once they are polled, ended while they still are."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterable

from fastrec.channel import Channel
from fastrec.sources.source import Living

__all__ = ["begin", "finish", "living"]


def living(channels: Iterable[Channel]) -> list[Channel]:
    """Those whose sources have a life of their own."""
    return [channel for channel in channels if isinstance(channel.source, Living)]


def begin(channels: Iterable[Channel], start_ns: int, patience: float) -> None:
    """Wait for the start (monotonic ns); begin each once it has been polled, so that its past is recorded.

    After `patience` s they begin in any case.
    """
    time.sleep(max(0, start_ns - time.monotonic_ns()) / 1e9)
    give_up = time.monotonic() + patience
    for channel in living(channels):
        _wait(channel, 1, give_up)
        channel.source.begin()


def _wait(channel: Channel, slots: int, give_up: float) -> None:
    """Until so many slots of a channel are decided, or a moment of `time.monotonic`."""
    while channel.stats.slots < slots and time.monotonic() < give_up:
        time.sleep(0.001)


def finish(channels: Iterable[Channel], patience: float) -> list[Channel]:
    """Let them come to their ends, and wait, at most `patience` s, until these have been polled.

    Returns
    -------
    list of Channel
        Those that had a life. What a source raises is warned of: what was recorded is to be closed all the
        same.
    """
    ending = living(channels)
    for channel in ending:
        try:
            channel.source.finish()
        except Exception as error:
            warnings.warn(f"channel {channel.name!r}: {error}", RuntimeWarning, stacklevel=5)
    give_up = time.monotonic() + patience
    for channel in ending:
        # Two, for a call that is under way may have begun before the end.
        _wait(channel, channel.stats.slots + 2, give_up)
    return ending
