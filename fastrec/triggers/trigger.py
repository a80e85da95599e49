"""Trigger: a condition that is looked at while it is recorded, and how often it has fired."""

from __future__ import annotations

import datetime as dt
import threading
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastrec.channel import Channel
from fastrec.durations import format_duration, named_duration
from fastrec.errors import SchemaError, shown
from fastrec.triggers.conditions import Asked, asked
from fastrec.triggers.feeds import Batch
from fastrec.triggers.firing import Edge, Event, Firing, Seen
from fastrec.triggers.windows import Plan

__all__ = ["Trigger", "TriggerStats", "duration"]

_EDGES = ("rising", "falling", "both", "each")
_NONE = np.empty(0, np.int64)


@dataclass(frozen=True)
class TriggerStats:
    """What became of a trigger by now.

    Attributes
    ----------
    fired : int
    held_off : int
        How often it would have fired, but for its holdoff or because it was not armed.
    missed : int
        Records that were overwritten before anybody looked whether they meet the condition.
    windows : int
        Windows that are stored, or were handed to the callback.
    failed : int
        Those that could be neither: a full disk, a callback that raised.
    """

    fired: int = 0
    held_off: int = 0
    missed: int = 0
    windows: int = 0
    failed: int = 0


def duration(name: str, value: Any) -> int:
    """ns of an option that is a duration, 0 for None.

    Raises
    ------
    SchemaError
        It is none, or not above 0.
    """
    if value is None:
        return 0
    forms = "a duration above 0 such as '200ms'"
    if not isinstance(value, str | dt.timedelta) or not (
        ns := named_duration(name, value, forms, SchemaError)
    ):
        raise SchemaError(f"{name}={shown(value)}; it is {forms}")
    return ns


class Trigger:
    """A condition that is looked at while it is recorded. Made by `Recorder.trigger`.

    Attributes
    ----------
    name : str
    channel : str
        Whose records are looked at.
    condition : str
        What it waits for, in words.
    """

    def __init__(
        self,
        channel: Channel,
        condition: Any,
        turn: threading.RLock,
        *,
        edge: Any,
        dwell: Any,
        silence: Any,
        holdoff: Any,
        rearm: Any,
        at_once: Any,
    ) -> None:
        if condition is None and silence is None:
            raise SchemaError("a trigger needs a condition such as 'hr < 0', or silence= such as '1s'")
        if not isinstance(edge, str) or edge not in _EDGES:
            raise SchemaError(f"edge={shown(edge)}; it is {', '.join(map(repr, _EDGES[:-1]))} or 'each'")
        if silence is not None and (dwell is not None or edge != "rising"):
            raise SchemaError("silence= is about records that do not come: leave dwell= and edge= out")
        if dwell is not None and edge == "each":
            raise SchemaError("edge='each' is about single records, which do not last: leave dwell= out")
        if not isinstance(at_once, bool):
            raise SchemaError(f"at_once={shown(at_once)}; it is True or False")
        self.channel = channel.name
        self._asked: Asked | None = None if condition is None else asked(condition, channel, "condition")
        words = rearm in ("auto", "once") if isinstance(rearm, str) else False
        self._rearms: Asked | None = None if words else asked(rearm, channel, "rearm")
        self._until = "until_ns" if channel.ring.store == "changes" else "mono_ns"
        self._turn = turn
        self._lasts = duration("dwell", dwell), duration("silence", silence)
        self._firing = Firing(
            edge=edge,
            dwell=self._lasts[0],
            silence=self._lasts[1],
            holdoff=0 if holdoff is None else _holdoff(holdoff),
            rearm=rearm if words else "condition",
            at_once=at_once,
        )
        self.condition = self._spelled(edge)
        self.name = ""
        self.plan: Plan | None = None
        self.missed = self.windows = self.failed = 0

    def _spelled(self, edge: Edge) -> str:
        text = "" if self._asked is None else self._asked.text
        dwell, silence = self._lasts
        if silence:
            return f"no record{f' with {text}' if text else ''} for {format_duration(silence)}"
        how = {"rising": "", "falling": " no more", "both": " or no more", "each": ", each"}[edge]
        return f"{text}{how}{f' for {format_duration(dwell)}' if dwell else ''}"

    def __repr__(self) -> str:
        state = "armed" if self._firing.armed else "not armed"
        return f"<Trigger {self.condition!r} on {self.channel!r}: {state}, fired {self.fired:,} times>"

    @property
    def armed(self) -> bool:
        """Whether it can fire; within a holdoff it is armed."""
        return self._firing.armed

    def arm(self) -> None:
        """Arm it again: one with ``rearm="once"`` that has fired, or one that was disarmed."""
        with self._turn:
            self._firing.armed = True

    def disarm(self) -> None:
        """Let it fire no more, until `arm`; one whose `rearm` is a condition, until that is met."""
        with self._turn:
            self._firing.armed = False

    @property
    def is_silence(self) -> bool:
        """Whether it fires where no record comes."""
        return self._lasts[1] > 0

    @property
    def fired(self) -> int:
        """How often it has."""
        return self._firing.fired

    @property
    def stats(self) -> TriggerStats:
        """The counters as they are now."""
        with self._turn:
            firing = self._firing
            return TriggerStats(firing.fired, firing.held_off, self.missed, self.windows, self.failed)

    # For the engine

    def count(self, what: str) -> None:
        """One more of ``windows`` or ``failed``."""
        with self._turn:
            setattr(self, what, getattr(self, what) + 1)

    def begin(self, now: int, last: np.ndarray, number: int) -> None:
        """It is armed from now on.

        Parameters
        ----------
        now : int
        last : structured ndarray, shape (0,) or (1,)
            The last record by now.
        number : int
            Of that record.
        """
        meets = bool(self._meets(last, 0)[0]) if len(last) else None
        self._firing.begin(now, meets, number if len(last) else -1)

    def forget(self, turn: threading.RLock) -> None:
        """In a forked child: the lock may be held by a thread of the parent's."""
        self._turn = turn

    def see(self, batch: Batch | None, until: int) -> list[Event]:
        """Look at records, and at the time `until` which there are no others; when it fired."""
        if batch is None:
            return self._firing.see(Seen(_NONE, _NONE, _NONE, _NONE > 0, _NONE > 0), until)
        new, rearms = batch.new, np.zeros(len(batch.new), bool)
        if self._rearms is not None:
            rearms = self._rearms.of(batch.array, batch.lead)
        self.missed += batch.lost
        numbers = np.arange(batch.first, batch.first + len(new))
        meets = self._meets(batch.array, batch.lead)
        stamps, ends = (np.ascontiguousarray(new[name]) for name in ("mono_ns", self._until))
        return self._firing.see(Seen(stamps, ends, numbers, meets, rearms, batch.lost), until)

    def _meets(self, array: np.ndarray, lead: int) -> np.ndarray:
        return np.ones(len(array) - lead, bool) if self._asked is None else self._asked.of(array, lead)


def _holdoff(value: Any) -> int:
    forms = "a duration such as '100ms', or None"
    if not isinstance(value, str | dt.timedelta):
        raise SchemaError(f"holdoff={shown(value)}; it is {forms}")
    return named_duration("holdoff", value, forms, SchemaError)
