"""What verifying a recording found."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["ChannelReport", "Report"]


@dataclass(frozen=True)
class ChannelReport:
    """What a channel holds.

    Attributes
    ----------
    records : int
        That can be read; the ones in damaged blocks are not among them.
    first, end : int
        Numbers go from the first up to, not including, the end.
    segments : int
    lost : dict of str to int
        By cause, in lower case: ``{"missed": 3}``.
    """

    records: int
    first: int
    end: int
    segments: int
    lost: dict[str, int]


@dataclass
class Report:
    """What verifying found.

    Attributes
    ----------
    problems : list of str
        Each thing that is wrong, with its place.
    notes : list of str
        What is not committed, as a killed recorder or one that is writing leaves it; nothing wrong.
    channels : dict of str to ChannelReport
    checked : int
        Bytes read and compared.
    """

    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    channels: dict[str, ChannelReport] = field(default_factory=dict)
    checked: int = 0

    @property
    def ok(self) -> bool:
        """Whether there is no problem."""
        return not self.problems
