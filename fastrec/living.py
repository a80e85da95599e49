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


def begin(channels: Iterable[Channel]) -> None:
    """Begin what is polled by now."""
    for channel in living(channels):
        channel.source.begin()


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
        seen = channel.stats.slots + 1  # a call that is under way may have begun before the end
        while channel.stats.slots <= seen and time.monotonic() < give_up:
            time.sleep(0.001)
    return ending
