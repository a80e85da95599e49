"""Windows around firings: from when to when, whether one more firing still belongs to it, what is in it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fastrec.durations import named_duration
from fastrec.errors import SchemaError, shown
from fastrec.records import Records
from fastrec.records.bychannel import ByChannel
from fastrec.triggers.firing import Event

__all__ = ["MOST_FIRINGS", "Extent", "Open", "Plan", "Window", "extent"]

MOST_FIRINGS = 100
"""Of one window: one that fires again and again would have no end."""

_FORMS = "a duration such as '50ms', or a number of records"


@dataclass(frozen=True)
class Extent:
    """How far a window reaches: so many ns, or records of the trigger's channel."""

    ns: int = 0
    records: int | None = None


def extent(name: str, value: Any) -> Extent:
    """What was said of `pre` or `post`, the `name`.

    Raises
    ------
    SchemaError
        It is neither a duration nor a number of records.
    """
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        if not 0 <= value < 1 << 62:
            raise SchemaError(f"{name}={shown(value)}; it is {_FORMS}")
        return Extent(records=int(value))
    if not isinstance(value, str | dt.timedelta):
        raise SchemaError(f"{name}={shown(value)}; it is {_FORMS}")
    return Extent(named_duration(name, value, _FORMS, SchemaError))


class Window(ByChannel[Records]):
    """What was recorded around one firing, or several that overlap: a mapping of channel name to `Records`.

    Attributes
    ----------
    path : Path or None
        Where it is stored; None: nowhere.
    why : str
        What fired: the trigger's condition, or what `Recorder.fire` was told.
    mono_ns : int
        When it fired, the first time: t = 0.
    firings : tuple of int
        All times at which it did, ns.
    start, end : int
        From when to when the window reaches, ns; `end` is no part of it.
    cut : bool
        The recorder stopped before it was over.
    """

    def __init__(self, of: Open, channels: Mapping[str, Records], path: Path | None) -> None:
        super().__init__(channels)
        self.path = path
        self.why = of.plan.why
        self.firings = tuple(one.mono_ns for one in of.firings)
        self.mono_ns = self.firings[0]
        self.start, self.end, self.cut = of.begin, of.end or self.mono_ns, of.cut

    def __repr__(self) -> str:
        return f"<Window around {self.why!r} at {self.mono_ns}: {', '.join(self) or 'no channels'}>"


@dataclass(frozen=True)
class Plan:
    """What is to become of a firing.

    Attributes
    ----------
    name : str
        Of the trigger, for the window's own name.
    why : str
    kind : str
        Of the marks.
    on : str or None
        The channel whose records count.
    pre, post : Extent
    channels : tuple of str or None
        Which are taken; None: all.
    store : bool
    callback : callable or None
    """

    name: str
    why: str
    kind: str
    on: str | None
    pre: Extent
    post: Extent
    channels: tuple[str, ...] | None
    store: bool
    callback: Callable[[Window], object] | None


@dataclass(eq=False)
class Open:
    """A window that is not over.

    Attributes
    ----------
    plan : Plan
    begin : int
        Its first stamp; where `pre` counts records, not before the first of these.
    firings : list of Event
    end : int or None
        The stamp behind the last; None: it is not known by now.
    last : int
        Number of the last record of the channel, where `post` counts them.
    cut : bool
        It ended before its time.
    """

    plan: Plan
    begin: int
    firings: list[Event] = field(default_factory=list)
    end: int | None = None
    last: int = -1
    cut: bool = False

    def takes(self, event: Event) -> bool:
        """Whether the window around a firing would overlap this one: it becomes part of it then."""
        if len(self.firings) == MOST_FIRINGS:
            return False
        return self.end is None or event.mono_ns - self.plan.pre.ns <= self.end

    def add(self, event: Event) -> None:
        """One more firing."""
        self.firings.append(event)
        if not self.plan.post.records:
            self.end = max(self.end or 0, event.mono_ns + self.plan.post.ns + 1)
        else:
            self.end, self.last = None, max(self.last, event.number + self.plan.post.records)

    def see(self, stamps: np.ndarray, first: int) -> None:
        """Records of the channel, from number `first` on: one of them may be the last."""
        if self.end is None and len(stamps) and first + len(stamps) > self.last:
            self.end = int(stamps[max(self.last - first, 0)]) + 1

    @property
    def sure(self) -> int | None:
        """The time behind which no firing can belong to it any more; None: it is not known by now."""
        return None if self.end is None else self.end + self.plan.pre.ns
