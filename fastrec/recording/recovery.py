"""What recovering found: what was saved, what is torn, what is gone and why."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

__all__ = ["ChannelRecovery", "Lost", "Recovery", "Torn"]


@dataclass(frozen=True)
class Torn:
    """Bytes of the source that are damaged, or that nothing proves.

    Attributes
    ----------
    file : str
        Path below the source.
    start, stop : int
        Bytes from the first up to, not including, the second.
    first, last : int or None
        Numbers of the first and the last record in them, where they are known.
    why : str
    saved : bool
        Everything that the bytes told is in the result all the same.
    """

    file: str
    start: int
    stop: int
    first: int | None
    last: int | None
    why: str
    saved: bool = False


@dataclass(frozen=True)
class Lost:
    """Records that damage took; those that the recorder itself had lost are not among them.

    Attributes
    ----------
    first, last : int
        Their numbers, both included.
    why : str
    """

    first: int
    last: int
    why: str


@dataclass(frozen=True)
class ChannelRecovery:
    """What was saved of a channel.

    Attributes
    ----------
    records : int
        In the result.
    first, end : int
        Their numbers go from the first up to, not including, the end.
    lost : tuple of Lost
    unproven : tuple of (int, int)
        Numbers of the first and last of each stretch of records that were salvaged: no checksum proves them.
    losses : dict of str to int
        What the recording itself says that it lost, by cause, in lower case: ``{"missed": 3}``.
    """

    records: int
    first: int
    end: int
    lost: tuple[Lost, ...] = ()
    unproven: tuple[tuple[int, int], ...] = ()
    losses: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Recovery:
    """What `recover` saved, and what it could not.

    Attributes
    ----------
    source, path : str
        The folder that was read, and the new one.
    channels : dict of str to ChannelRecovery
    torn : tuple of Torn
    problems : tuple of str
        What is gone beside records: a channel, labels, marks, counters.
    notes : tuple of str
        What is no loss: how the recording ended, what was made anew.
    windows : dict of str to Recovery
        The recordings below ``windows/``, by name.
    """

    source: str
    path: str
    channels: dict[str, ChannelRecovery] = field(default_factory=dict)
    torn: tuple[Torn, ...] = ()
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    windows: dict[str, Recovery] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether everything that was recorded is in the result, and proven."""
        return (
            not self.problems
            and all(one.saved for one in self.torn)
            and not any(channel.lost or channel.unproven for channel in self.channels.values())
            and all(window.ok for window in self.windows.values())
        )

    def as_dict(self) -> dict[str, Any]:
        """The same as plain values, with ``ok``."""
        plain = {key: value for key, value in asdict(self).items() if key != "windows"}
        return {
            "ok": self.ok,
            **plain,
            "windows": {name: window.as_dict() for name, window in self.windows.items()},
        }
