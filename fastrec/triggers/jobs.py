"""What is still to be done of windows that are over: to be cut, stored, and handed to who asked for them."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from fastrec.channel import Channel
from fastrec.errors import FastrecError
from fastrec.recording.opening import GoneError
from fastrec.recording.reader import Recording
from fastrec.recording.writing.destination import Destination
from fastrec.recording.writing.watching import tell
from fastrec.records import Records
from fastrec.triggers import storing
from fastrec.triggers.trigger import Trigger
from fastrec.triggers.windows import Open, Window

__all__ = ["Complaints", "Jobs"]

_MOST_WAITING = 256  # windows that wait for the disk to have their records
_SLACK_NS = 1_000_000_000  # that a loss behind the last record may be under way to the disk, at most
_TRIES = 3  # at a window of which retention takes some


class Complaints:
    """Warns of what goes wrong once, until it has succeeded again.

    Parameters
    ----------
    where : object
        Begins each message.
    """

    def __init__(self, where: object) -> None:
        self.where = where
        self._open: set[str] = set()

    def say(self, about: str, message: str) -> None:
        """It went wrong."""
        if about not in self._open:
            self._open.add(about)
            tell(f"{self.where}: {message}; recording goes on")

    def over(self, about: str) -> None:
        """It went well."""
        self._open.discard(about)


@dataclass
class _Job:
    """A window that is over."""

    window: Open
    trigger: Trigger | None
    needs: Mapping[str, int] = field(default_factory=dict)  # records that have to be written before
    after: int = 0  # not before this time
    channels: Mapping[str, Records] | None = None  # None: they are in the recording

    def count(self, what: str) -> None:
        """One more of a trigger's counters."""
        if self.trigger is not None:
            self.trigger.count(what)


class Jobs:
    """Windows that are over.

    They wait for their records to be on the disk; `look` finds that out, and `work` does the rest: one thread
    at a time.

    Parameters
    ----------
    channels : mapping of str to Channel
        The recorder's own, to which it adds.
    destination : Destination
    complaints : Complaints
    """

    def __init__(
        self,
        channels: Mapping[str, Channel],
        destination: Destination,
        complaints: Complaints,
    ) -> None:
        self._channels, self._destination, self._complaints = channels, destination, complaints
        self._waiting: deque[_Job] = deque()
        self._ready: deque[_Job] = deque()
        self._turn = threading.RLock()  # of whoever works; a callback may stop the recorder
        self._bell = threading.Semaphore(0)

    def add(self, window: Open, trigger: Trigger | None, channels: Mapping[str, Channel], now: int) -> None:
        """One that is over."""
        if self._destination.path is None:
            snapshots = {name: _newest(one, window) for name, one in channels.items()}
            self._hand_on(_Job(window, trigger, channels=storing.cut(snapshots, window)))
            return
        needs = {name: one.ring.core.head for name, one in channels.items()}
        flush = min(self._destination.storing.flush_ns, _SLACK_NS)
        self._waiting.append(_Job(window, trigger, needs, now + 2 * flush))
        if len(self._waiting) > _MOST_WAITING:
            self._fail(self._waiting.popleft(), "the disk has not taken its records")

    def look(self, now: int) -> None:
        """See of which the records are on the disk by now."""
        while self._waiting and self._is_written(self._waiting[0], now):
            self._hand_on(self._waiting.popleft())

    def _is_written(self, job: _Job, now: int) -> bool:
        channels = self._channels
        return now >= job.after and all(
            channels[name].spooling is None or channels[name].spooling.marks()["written"] >= need
            for name, need in job.needs.items()
        )

    def _hand_on(self, job: _Job) -> None:
        self._ready.append(job)
        self.ring()

    def ring(self) -> None:
        """Wake who waits."""
        self._bell.release()

    def wait(self) -> None:
        """Until there may be something to do."""
        self._bell.acquire()

    def work(self) -> None:
        """Do what can be done."""
        with self._turn:
            while self._ready:
                self._do(self._ready.popleft())

    def finish(self, patience: float) -> None:
        """All is on the disk that will be: do the rest. Who works already is waited for so many s."""
        while self._waiting:
            self._hand_on(self._waiting.popleft())
        if self._turn.acquire(timeout=patience):
            try:
                self.work()
            finally:
                self._turn.release()

    def give_up(self) -> None:
        """Nothing can be done any more."""
        left = [*self._waiting, *self._ready]
        self._waiting.clear()
        self._ready.clear()
        for job in left:
            self._fail(job, "the recorder has stopped")

    def forget(self) -> None:
        """Become inert, as in a forked child."""
        self._turn = threading.RLock()
        self._waiting, self._ready = deque(), deque()

    def _do(self, job: _Job) -> None:
        plan, path = job.window.plan, None
        try:
            channels = job.channels
            if channels is None:
                run = Recording(self._destination.path)
                channels = storing.cut(run, job.window)
                if plan.store:
                    path = self._store(run, job.window, channels)
                    channels = Recording(path)
            self._complaints.over("store")
        except Exception as error:  # whatever it is, neither the recording nor the next window is to suffer
            known = isinstance(error, FastrecError | OSError)
            self._fail(job, str(error) if known else f"{type(error).__name__}: {error}")
            return
        if plan.callback is not None:
            try:
                plan.callback(Window(job.window, channels, path))
            except BaseException as error:  # a sys.exit is to end neither our thread nor a stop
                job.count("failed")
                if (
                    isinstance(error, KeyboardInterrupt)
                    and threading.current_thread() is threading.main_thread()
                ):
                    raise  # it is the user's, at a stop: the second one goes on
                tell(f"the callback of {plan.why!r} raised {type(error).__name__}: {error}; triggers go on")
                return
        job.count("windows")

    def _store(self, run: Recording, window: Open, channels: Mapping[str, Records]) -> Path:
        marks = [mark for mark in self._destination.marks if mark.kind not in ("trigger", "fire")]
        for left in reversed(range(_TRIES)):
            try:
                path = storing.store(run, window, channels, marks)
                break
            except GoneError:  # retention was quicker: what it took is not in the window
                if not left:
                    raise
                channels = storing.cut(run, window)
        kept = self._destination.storing
        try:
            storing.keep(run.path, kept.keep_windows, kept.keep_window_bytes)
            self._complaints.over("keep")
        except (FastrecError, OSError) as error:
            self._complaints.say("keep", f"old windows could not be removed: {error}")
        return path

    def _fail(self, job: _Job, why: str) -> None:
        job.count("failed")
        self._complaints.say("store", f"a window around {job.window.plan.why!r} is not stored: {why}")


def _newest(channel: Channel, window: Open) -> Records:
    """Of a ring what a window may need, and one record more: rings can be large."""
    core = channel.ring.core
    record = np.empty(1, channel.ring.array.dtype)

    def stamp(number: int) -> int:
        core.read_into(record.view(np.uint8), number)
        return int(record["mono_ns"][0])

    head = core.head
    numbers = range(core.first, head)
    first = numbers.start + bisect_left(numbers, window.begin, key=stamp) if numbers else head
    if window.plan.pre.records is not None and window.plan.on == channel.name:
        first = min(first, window.firings[0].number - window.plan.pre.records)
    # Those that come while this is done are at its end.
    return channel.snapshot(max(core.head - max(first - 1, 0), 0))
