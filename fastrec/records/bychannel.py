"""Answers by channel: from the names of channels to what each of them said."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeVar

__all__ = ["ByChannel"]

T = TypeVar("T")


class ByChannel(Mapping[str, T]):
    """A mapping of channel name to something.

    Parameters
    ----------
    channels : mapping
        Kept as it is: one that opens things when they are asked for goes on doing so.
    """

    def __init__(self, channels: Mapping[str, T]) -> None:
        self._channels = channels

    def __getitem__(self, name: str) -> T:
        return self._channels[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._channels)

    def __len__(self) -> int:
        return len(self._channels)
