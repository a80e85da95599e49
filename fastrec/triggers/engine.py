"""The engine: looks at what is published, away from whoever publishes, and has windows stored.

One thread looks: at each record once, in the ring, as any reader. A second one stores windows and calls back,
so that neither a slow disk nor a slow callback keeps the first from looking.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from fastrec.channel import Channel
from fastrec.errors import FastrecError, RecordingError
from fastrec.recording.reader import Recording
from fastrec.recording.writing.destination import Destination
from fastrec.recording.writing.watching import deaf, tell
from fastrec.records import Records
from fastrec.triggers import storing
from fastrec.triggers.feeds import Feed, settled
from fastrec.triggers.firing import Event
from fastrec.triggers.trigger import Trigger
from fastrec.triggers.windows import Open, Plan, Window

__all__ = ["Engine"]

_EVERY = 0.02  # s between two looks
_LINGER = 5.0  # s that a stop waits for a look, a window that is being stored, or a callback
_MOST_WAITING = 256  # windows that wait for the disk
_SLACK_NS = 1_000_000_000  # that a loss behind the last record may be under way to the disk, at most


@dataclass
class _Job:
    """A window that is over, and what is still to be done."""

    window: Open
    trigger: Trigger | None
    needs: Mapping[str, int] = field(default_factory=dict)  # records that have to be written before
    after: int = 0  # not before this time
    channels: Mapping[str, Records] | None = None  # None: they are in the recording


class Engine:
    """All triggers of a recorder.

    Parameters
    ----------
    channels : callable
        The recorder's, by name.
    destination : Destination

    Attributes
    ----------
    clock : callable
        Time on the clock of the stamps, ns.
    turn : RLock
        Held by whoever looks, or changes a trigger.
    by_hand : bool
        Nobody looks but who calls `look` and `work`.
    """

    def __init__(self, channels: Callable[[], Mapping[str, Channel]], destination: Destination) -> None:
        self._channels = channels
        self._destination = destination
        self.clock: Callable[[], int] = lambda: time.monotonic_ns() + destination.offset_ns
        self.turn = threading.RLock()
        self.by_hand = False
        self._storing = threading.Lock()  # of whoever stores
        self._feeds: dict[str, Feed] = {}
        self._triggers: list[Trigger] = []
        self._open: list[tuple[Open, Trigger | None]] = []
        self._waiting: deque[_Job] = deque()
        self._ready: deque[_Job] = deque()
        self._over = threading.Event()
        self._bell = threading.Semaphore(0)
        self._threads: list[threading.Thread] = []
        self._running = False
        self._complained: set[str] = set()  # of what was warned, and did not succeed since

    # Triggers

    @property
    def channels(self) -> Mapping[str, Channel]:
        """The recorder's, by name."""
        return self._channels()

    def add(self, trigger: Trigger) -> None:
        """Look for it from now on."""
        with self.turn:
            channel = self._channels()[trigger.channel]
            now = self.clock()
            if channel.name in self._feeds:
                self._look_at(self._feeds[channel.name], now)  # these were before
            else:
                self._feeds[channel.name] = Feed(channel)
            feed = self._feeds[channel.name]
            trigger.begin(now, feed.last, feed.next - 1)
            self._triggers.append(trigger)
        self._run_threads()

    @property
    def triggers(self) -> tuple[Trigger, ...]:
        """In the order in which they were made."""
        return tuple(self._triggers)

    def fire(self, plan: Plan) -> int:
        """Fire by hand; the time, ns."""
        with self.turn:
            now = self.clock()
            self._fire(plan, None, Event(now, -1))
        self._run_threads()
        return now

    # Looking

    def look(self, now: int | None = None) -> None:
        """Look at what is new, at windows that are over, and whether some can be stored.

        Parameters
        ----------
        now : int, optional
            Nothing stamped before this will be published any more; default: as the clocks tell.
        """
        with self.turn:
            time_is = self.clock() if now is None else now
            for feed in self._feeds.values():
                self._look_at(feed, settled(feed.channel, time_is) if now is None else now)
            for window, trigger in list(self._open):
                if self._is_over(window, time_is, given=now is not None):
                    self._close(window, trigger, time_is)
            while self._waiting and self._is_written(self._waiting[0], time_is):
                self._hand_on(self._waiting.popleft())

    def _look_at(self, feed: Feed, until: int) -> None:
        triggers = [one for one in self._triggers if one.channel == feed.channel.name]
        for batch in feed.take():
            stamps = batch.new["mono_ns"]
            for trigger in triggers:
                for event in trigger.see(batch, int(stamps[-1])):
                    self._fire(trigger.plan, trigger, event)
            for window, trigger in self._open:
                if window.plan.on == feed.channel.name and trigger is not None:
                    window.see(stamps, batch.first)
        for trigger in triggers:
            for event in trigger.see(None, until):
                self._fire(trigger.plan, trigger, event)

    def _fire(self, plan: Plan, trigger: Trigger | None, event: Event) -> None:
        try:
            self._destination.mark(plan.why, plan.kind, event.mono_ns)
            self._complained.discard("mark")
        except RecordingError as error:
            self._complain("mark", f"a firing could not be marked: {error}")
        if not plan.store and plan.callback is None:
            return
        for window, _ in self._open:
            if window.plan == plan and window.takes(event):
                window.add(event)
                return
        window = Open(plan, event.mono_ns - plan.pre.ns)
        window.add(event)
        self._open.append((window, trigger))

    def _is_over(self, window: Open, now: int, *, given: bool) -> bool:
        """Whether all that belongs to a window has been published, and no firing can come to it any more."""
        if window.sure is None:
            return False
        for name, channel in self._of(window.plan).items():
            end = window.sure if window.plan.on in (None, name) else window.end
            if not given and channel.ring.store == "changes" and not channel.ended:
                # What was equal up to the end of the window is told with the next heartbeat.
                end = max(end, window.end + min(channel.options.heartbeat_ns, _SLACK_NS))
            if (now if given else settled(channel, now)) <= end:
                return False
        return True

    def _of(self, plan: Plan) -> dict[str, Channel]:
        return {
            name: one
            for name, one in self._channels().items()
            if plan.channels is None or name in plan.channels or name == plan.on
        }

    def _close(self, window: Open, trigger: Trigger | None, now: int) -> None:
        self._open.remove((window, trigger))
        channels = self._of(window.plan)
        if self._destination.path is None:
            snapshots = {name: one.snapshot() for name, one in channels.items()}
            self._hand_on(_Job(window, trigger, channels=storing.cut(snapshots, window)))
            return
        needs = {name: one.ring.core.head for name, one in channels.items()}
        flush = min(self._destination.storing.flush_ns, _SLACK_NS)
        self._waiting.append(_Job(window, trigger, needs, now + 2 * flush))
        if len(self._waiting) > _MOST_WAITING:
            self._fail(self._waiting.popleft(), "the disk has not taken its records")

    def _is_written(self, job: _Job, now: int) -> bool:
        channels = self._channels()
        return now >= job.after and all(
            channels[name].spooling is None or channels[name].spooling.marks()["written"] >= need
            for name, need in job.needs.items()
        )

    def _hand_on(self, job: _Job) -> None:
        self._ready.append(job)
        self._bell.release()

    # Storing

    def work(self) -> None:
        """Store what is ready, and call back."""
        with self._storing:
            while self._ready:
                self._do(self._ready.popleft())

    def _do(self, job: _Job) -> None:
        plan, path = job.window.plan, None
        try:
            channels = job.channels
            if channels is None:
                root = self._destination.path
                run = Recording(root)
                channels = storing.cut(run, job.window)
                if plan.store:
                    marks = [mark for mark in self._destination.marks if mark.kind not in ("trigger", "fire")]
                    path = storing.store(root, run, job.window, channels, marks)
                    kept = self._destination.storing
                    storing.keep(root, kept.keep_windows, kept.keep_window_bytes)
                    channels = Recording(path)
            self._complained.discard("store")
        except (FastrecError, OSError, MemoryError) as error:
            self._fail(job, str(error) or type(error).__name__)
            return
        if plan.callback is not None:
            try:
                plan.callback(Window(job.window, channels, path))
            except Exception as error:
                self._count(job, "failed")
                tell(f"the callback of {plan.why!r} raised {type(error).__name__}: {error}; triggers go on")
                return
        self._count(job, "windows")

    def _fail(self, job: _Job, why: str) -> None:
        self._count(job, "failed")
        self._complain("store", f"a window around {job.window.plan.why!r} is not stored: {why}")

    def _count(self, job: _Job, what: str) -> None:
        if job.trigger is not None:
            with self.turn:
                setattr(job.trigger, what, getattr(job.trigger, what) + 1)

    def _complain(self, about: str, message: str) -> None:
        """Once, until it succeeded again."""
        if about not in self._complained:
            self._complained.add(about)
            tell(f"{self._destination.path or 'in memory'}: {message}; recording goes on")

    # Life

    def begin(self) -> None:
        """The recorder runs: what was added before is armed now."""
        with self.turn:
            self._running = True
            if self._destination.path is not None:
                storing.tidy(self._destination.path)
            now = self.clock()
            for trigger in self._triggers:
                feed = self._feeds[trigger.channel]
                trigger.begin(now, feed.last, feed.next - 1)
        self._run_threads()

    def _run_threads(self) -> None:
        """Have the threads, as soon as there is anything to look at."""
        with self.turn:
            if self._threads or self._over.is_set() or not self._running or self.by_hand:
                return
            if not self._triggers and not self._open:
                return
            self._threads = [
                threading.Thread(target=body, name=f"fastrec-{name}", daemon=True)
                for name, body in (("trigger", self._run), ("window", self._run_work))
            ]
            try:
                with deaf():
                    for thread in self._threads:
                        thread.start()
            except RuntimeError as error:
                tell(f"nobody looks at triggers before the recorder stops: {error}; end other threads")

    def _run(self) -> None:
        while not self._over.wait(_EVERY):
            try:
                self.look()
                self._complained.discard("look")
            except Exception as error:  # whatever it is, the next look may succeed
                self._complain("look", f"a look at triggers failed: {error or type(error).__name__}")

    def _run_work(self) -> None:
        while not self._over.is_set():
            self._bell.acquire()
            if not self._over.is_set():
                self.work()

    def end(self) -> None:
        """Nothing is published any more: look a last time, and close every window."""
        self._over.set()
        self._bell.release()
        for thread in self._threads:
            if thread is not threading.current_thread() and thread.ident is not None:
                thread.join(_LINGER)
        if not self._running:
            return
        with self.turn:
            self._running = False
            now = self.clock()
            self.look()
            for window, trigger in list(self._open):
                if window.end is None or window.end > now:
                    window.end, window.cut = now + 1, True
                self._close(window, trigger, now)
        if self._destination.path is None:
            self.finish()

    def finish(self) -> None:
        """All is on the disk that will be: store what is left."""
        with self.turn:
            while self._waiting:
                self._hand_on(self._waiting.popleft())
        if self._storing.acquire(timeout=_LINGER):
            self._storing.release()
            self.work()

    def give_up(self) -> None:
        """Nothing can be stored any more."""
        with self.turn:
            left = [*self._waiting, *self._ready]
            self._waiting.clear()
            self._ready.clear()
        for job in left:
            self._fail(job, "the recorder has stopped")

    def forget(self) -> None:
        """Become inert, as in a forked child."""
        self.turn, self._storing = threading.RLock(), threading.Lock()
        self._over.set()
        self._running, self._threads = False, []
        self._open, self._waiting, self._ready = [], deque(), deque()
        for trigger in self._triggers:
            trigger.forget(self.turn)
