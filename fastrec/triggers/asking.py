"""What a recorder's user says of moments: marks, triggers, and firings by hand."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, Literal

from fastrec.errors import RecordingError, SchemaError, shown, suggest
from fastrec.recording.marks import Mark
from fastrec.recording.writing.destination import Destination
from fastrec.triggers.conditions import pick
from fastrec.triggers.engine import Engine
from fastrec.triggers.firing import Edge
from fastrec.triggers.requests import Requests
from fastrec.triggers.trigger import Trigger
from fastrec.triggers.windows import Plan, Window, extent

__all__ = ["Reach", "Triggered"]

Reach = int | str
"""A duration, or a number of records."""

_WORDS = {"==": "is", "!=": "not", "<=": "le", ">=": "ge", "<": "lt", ">": "gt"}
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")


class Triggered:
    """The part of a `Recorder` that tells of moments."""

    _state: str
    _destination: Destination
    _engine: Engine
    _requests: Requests | None = None

    def mark(self, text: object) -> int:
        """Mark this moment, from any thread, also in the handler of a signal.

        Parameters
        ----------
        text : str, or what `str` makes one of
            Any characters; about 1 MB at most.

        Returns
        -------
        int
            Its time, monotonic ns.

        Raises
        ------
        RecordingError
            The recorder does not run, the text is too long, or the disk does not take it.
        """
        self._check_runs("marks are set")
        return self._destination.mark(text, "mark")

    @property
    def marks(self) -> tuple[Mark, ...]:
        """The newest marks, at most 4,096; a recording keeps them all."""
        return self._destination.marks

    def trigger(
        self,
        condition: str | None = None,
        *,
        on: str | None = None,
        edge: Edge = "rising",
        dwell: str | None = None,
        silence: str | None = None,
        pre: Reach = "1s",
        post: Reach = "1s",
        holdoff: str | None = "100ms",
        rearm: Literal["auto", "once"] | str = "auto",
        at_once: bool = False,
        channels: Iterable[str] | None = None,
        store: bool = True,
        callback: Callable[[Window], object] | None = None,
        name: str | None = None,
    ) -> Trigger:
        """Keep what is around the moments at which something happens, as an oscilloscope does.

        Each firing is marked (kind ``trigger``). The window around it, with every channel and of each the
        record before, is a recording of its own below ``windows/``, or goes to `callback`.

        Parameters
        ----------
        condition : str, optional
            In the language of `fastrec.expressions`, asked of every record: ``"hr < 0"``, ``"mode in (FAULT,
            LOST)"``, ``"changed(serial)"``. One that holds already when the trigger is armed is no edge;
            `dwell` counts from there.
        on : str, optional
            The channel that is asked; default: the only one that has these fields.
        edge : {"rising", "falling", "both", "each"}
            It fires when the condition comes to hold, ceases to, or either; ``"each"``: at every record that
            meets it.
        dwell : str, optional
            How long it must have held (``"2s"``), or not held if `edge` is ``"falling"``: then it fires at
            the end of that time.
        silence : str, optional
            It fires when no record, or none that meets the condition, has come for that long. Of a channel
            with ``store="changes"`` polls count; a silence is known a heartbeat later.
        pre, post : str or int
            How much is kept before and after: a duration, or a number of records of that channel. What is
            not there any more, or not yet when the recorder stops, is not in it. Windows that overlap are
            one; of one by records only those that fire before it is over. With a channel of
            ``store="changes"`` it is there a heartbeat later: at most a minute, without a path a second.
        holdoff : str, optional
            After a firing there is none for so long. None: at every edge.
        rearm : {"auto", "once"} or str
            ``"once"``: it fires once, until `Trigger.arm`. Else a condition: armed again when a record meets
            that (``"temp < 70"`` with ``"temp > 80"``).
        at_once : bool
            It also fires if the condition holds already.
        channels : iterable of str, optional
            Which are kept; default: all.
        store : bool
            Needs a path. What is stored, retention does not remove, but ``keep_windows`` does.
        callback : callable, optional
            Called with the `Window` once it is over, on a thread of its own; what it raises, SystemExit too,
            is warned of. It may stop the recorder. At a stop, who stops calls back what is left.
        name : str, optional
            For the names of the windows: letters, digits and ``_.-``.

        Returns
        -------
        Trigger
            Armed now, or when the recorder starts.

        Raises
        ------
        ExpressionError, SchemaError
            A condition is none, or not one about the channel; an option means nothing.
        RecordingError
            The recorder has stopped, or has no path to store windows at.

        Notes
        -----
        Nothing of this is done on the threads that poll: a thread reads the rings, as any reader, each record
        once. What was overwritten before counts as `TriggerStats.missed`.
        """
        if self._state not in ("new", "running"):
            raise RecordingError(f"the recorder is {self._state}; make a new one")
        channel = pick(self._engine.channels, on, condition if isinstance(condition, str) else None)
        found = Trigger(
            channel,
            condition,
            self._engine.turn,
            edge=edge,
            dwell=dwell,
            silence=silence,
            holdoff=holdoff,
            rearm=rearm,
            at_once=at_once,
        )
        found.name = _slug(found.condition) if name is None else _checked_name(name)
        found.plan = self._plan(
            found.name, found.condition, "trigger", channel.name, pre, post, channels, store, callback
        )
        self._engine.add(found)
        return found

    @property
    def triggers(self) -> tuple[Trigger, ...]:
        """In the order in which they were made."""
        return self._engine.triggers

    def fire(
        self,
        why: object,
        *,
        pre: str = "1s",
        post: str = "1s",
        channels: Iterable[str] | None = None,
        store: bool = True,
        callback: Callable[[Window], object] | None = None,
    ) -> int:
        """Fire by hand, from where `mark` may be called: a mark of kind ``fire``, and what is around it kept.

        Parameters
        ----------
        why : str, or what `str` makes one of
        pre, post : str
            Durations.
        channels, store, callback
            As of `trigger`.

        Returns
        -------
        int
            Its time, monotonic ns.

        Raises
        ------
        SchemaError
            An option means nothing.
        RecordingError
            The recorder does not run, or has no path to store windows at.
        """
        self._check_runs("it fires")
        plan = self._plan("fire", str(why), "fire", None, pre, post, channels, store, callback)
        return self._engine.fire(plan)

    def _begin_to_look(self) -> None:
        self._engine.begin()
        if self._destination.path is not None:
            self._requests = Requests(self._destination.path, {"mark": self.mark, "fire": self.fire})
            self._requests.begin()

    def _look_no_more(self) -> None:
        if self._requests is not None:
            self._requests.end()
            self._requests = None  # it holds us
        self._engine.end()

    def _forget_to_look(self) -> None:
        if self._requests is not None:
            self._requests.forget()
        self._engine.forget()

    def _check_runs(self, what: str) -> None:
        if self._state != "running":
            raise RecordingError(f"the recorder is {self._state}; {what} while it runs")

    def _plan(
        self,
        name: str,
        why: str,
        kind: str,
        on: str | None,
        pre: Any,
        post: Any,
        channels: Iterable[str] | None,
        store: bool,
        callback: Callable[[Window], object] | None,
    ) -> Plan:
        before, after = extent("pre", pre), extent("post", post)
        if on is None and (before.records is not None or after.records is not None):
            raise SchemaError("pre and post of a firing by hand are durations: it has no channel to count")
        if not isinstance(store, bool):
            raise SchemaError(f"store={shown(store)}; it is True or False")
        if store and self._destination.path is None:
            raise RecordingError("without a path no window is stored: say store=False, and callback=")
        if callback is not None and not callable(callback):
            raise SchemaError(f"callback={shown(callback)}; it is called with the window")
        return Plan(name, why, kind, on, before, after, self._chosen(channels), store, callback)

    def _chosen(self, channels: Iterable[str] | None) -> tuple[str, ...] | None:
        if channels is None:
            return None
        there = self._engine.channels
        if not isinstance(channels, Iterable):
            raise SchemaError(f"channels={shown(channels)}; it is a list of names, such as {list(there)[:1]}")
        names = (channels,) if isinstance(channels, str) else tuple(channels)
        for name in names:
            if not isinstance(name, str) or name not in there:
                raise SchemaError(f"channels: there is no {shown(name)}{suggest(str(name), there)}")
        return names


def _checked_name(name: Any) -> str:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise SchemaError(f"name={shown(name)}; it is 1 to 64 letters, digits and '_.-', none of '.-' first")
    return name


def _slug(text: str) -> str:
    """Of a condition, what can stand in a name."""
    for sign, word in _WORDS.items():
        text = text.replace(sign, f" {word} ")
    return re.sub(r"[^A-Za-z0-9_]+", "-", text).strip("-")[:40].strip("-") or "trigger"
