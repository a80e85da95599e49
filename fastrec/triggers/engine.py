"""The engine: looks at what is published, away from whoever publishes, and has windows stored.

One thread looks: at each record once, in the ring, as any reader. A second one stores windows and calls back,
so that neither a slow disk nor a slow callback keeps the first from looking.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress

from fastrec.channel import Channel
from fastrec.errors import RecordingError
from fastrec.recording.writing.destination import Destination
from fastrec.recording.writing.watching import deaf, tell
from fastrec.triggers import storing
from fastrec.triggers.feeds import Feed, settled, told
from fastrec.triggers.firing import Event
from fastrec.triggers.jobs import Complaints, Jobs
from fastrec.triggers.trigger import Trigger
from fastrec.triggers.windows import Open, Plan

__all__ = ["Engine"]

_EVERY = 0.02  # s between two looks
_LINGER = 10.0  # s that a stop waits for looks, windows that are being stored, and callbacks: for all of them
_LEAST = 0.5  # s for each of them, if one has taken all of that
_HOLD_NS = 60_000_000_000  # that a window waits for what was held at its end, at most
_HOLD_IN_MEMORY_NS = 1_000_000_000  # there what it waits for may have left the ring meanwhile


class Engine:
    """All triggers of a recorder.

    Parameters
    ----------
    channels : mapping of str to Channel
        The recorder's own, to which it adds.
    destination : Destination

    Attributes
    ----------
    clock : callable
        Time on the clock of the stamps, ns.
    turn : RLock
        Held by whoever looks, or changes a trigger; never while the disk is waited for.
    by_hand : bool
        Nobody looks but who calls `look` and `work`.
    """

    def __init__(self, channels: Mapping[str, Channel], destination: Destination) -> None:
        self._channels = channels
        self._destination = destination
        self.clock: Callable[[], int] = lambda: time.monotonic_ns() + destination.offset_ns
        self.turn = threading.RLock()
        self.by_hand = False
        self._feeds: dict[str, Feed] = {}
        self._triggers: list[Trigger] = []
        self._open: list[tuple[Open, Trigger | None]] = []
        self._to_mark: deque[tuple[Plan, int]] = deque()  # firings
        self._ends_at = 0.0  # time.monotonic until which a stop waits
        self._over = threading.Event()
        self._threads: list[threading.Thread] = []
        self._running = self._gave_up = False
        self._began = 0
        self._complaints = Complaints(destination.path or "in memory")
        self._jobs = Jobs(channels, destination, self._complaints)

    # Triggers

    @property
    def channels(self) -> Mapping[str, Channel]:
        """The recorder's, by name."""
        return dict(self._channels)

    def add(self, trigger: Trigger) -> None:
        """Look for it from now on."""
        with self.turn:
            channel = self._channels[trigger.channel]
            now = self.clock()
            if channel.name in self._feeds:
                known = self._known(channel, now)
                self._look_at(self._feeds[channel.name], known, told(channel, known))  # these were before
            else:
                self._feeds[channel.name] = Feed(channel)
            feed = self._feeds[channel.name]
            trigger.begin(self._known(channel, now), feed.last, feed.next - 1)
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
            self._keep(plan, None, Event(now, -1))
        self._mark(plan, now)
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
        self._look(now)
        self._mark_all()

    def _look(self, now: int | None = None) -> None:
        with self.turn:
            time_is = self.clock() if now is None else now
            for feed in self._feeds.values():
                known = self._known(feed.channel, time_is) if now is None else now
                self._look_at(feed, known, told(feed.channel, known) if now is None else now)
            for window, trigger in list(self._open):
                if self._is_over(window, time_is, given=now is not None):
                    self._close(window, trigger, time_is)
            self._jobs.look(time_is)

    def _mark_all(self) -> None:
        while self._to_mark:
            self._mark(*self._to_mark.popleft())

    def _mark(self, plan: Plan, when: int) -> None:
        try:
            self._destination.mark(plan.why, plan.kind, when)
            self._complaints.over("mark")
        except RecordingError as error:
            if not self._gave_up:
                self._complaints.say("mark", f"a firing could not be marked: {error}")

    def work(self) -> None:
        """Store windows that are over, and call back."""
        self._jobs.work()

    @property
    def calls_back(self) -> bool:
        """Whether this thread is the one that calls back."""
        return threading.current_thread() in self._threads[1:]

    def _close(self, window: Open, trigger: Trigger | None, now: int) -> None:
        self._open.remove((window, trigger))
        self._jobs.add(window, trigger, self._of(window.plan), now)

    def _known(self, channel: Channel, now: int) -> int:
        return settled(channel, now, self._began)

    def _look_at(self, feed: Feed, until: int, all_told: int) -> None:
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
            for event in trigger.see(None, all_told if trigger.is_silence else until):
                self._fire(trigger.plan, trigger, event)

    def _fire(self, plan: Plan, trigger: Trigger | None, event: Event) -> None:
        self._to_mark.append((plan, event.mono_ns))
        self._keep(plan, trigger, event)

    def _keep(self, plan: Plan, trigger: Trigger | None, event: Event) -> None:
        """Have a window around a firing, if one is asked for."""
        if not plan.store and plan.callback is None:
            return
        for window, whose in self._open:
            if whose is trigger and window.plan == plan and window.takes(event):
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
            known = now if given else self._known(channel, now)
            if not given:  # what was equal up to the end of the window is told with the next heartbeat
                most = _HOLD_IN_MEMORY_NS if self._destination.path is None else _HOLD_NS
                end = max(end, window.end + min(known - told(channel, known), most))
            if known <= end:
                return False
        return True

    def _of(self, plan: Plan) -> dict[str, Channel]:
        return {
            name: one
            for name, one in self.channels.items()
            if plan.channels is None or name in plan.channels or name == plan.on
        }

    # Life

    def begin(self) -> None:
        """The recorder runs: what was added before is armed now."""
        if self._destination.path is not None:
            with suppress(RecordingError):  # who stores a window will tell
                storing.tidy(self._destination.path)
        with self.turn:
            self._running = True
            self._began = now = self.clock()
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
            self._try_to_look()
        self._look_last()
        self._mark_all()  # on this thread: who stops does not wait for ever for a disk that does not answer

    def _try_to_look(self) -> None:
        with self._told():
            self.look()

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
            self._complaints.over("look")
        except Exception as error:  # whatever it is, the next look may succeed
            self._complaints.say("look", f"a look at triggers failed: {type(error).__name__}: {error}")

    def _run_work(self) -> None:
        while not self._over.is_set():
            self._jobs.wait()
            if not self._over.is_set():
                self.work()

    def end(self) -> None:
        """Nothing is published any more: look a last time, and close every window."""
        self._ends_at = time.monotonic() + _LINGER
        self._over.set()
        self._jobs.ring()
        for thread in self._threads:
            if thread is not threading.current_thread() and thread.ident is not None:
                thread.join(self._patience())
        self._look_last()
        if self._threads and self._threads[0].is_alive():
            self._gave_up = True
            tell(f"{self._complaints.where}: a firing may not be marked: the disk does not answer")
        else:
            self._mark_all()
        if self._destination.path is None:
            self.finish()

    def _patience(self) -> float:
        """For how many s more a stop waits for us."""
        return max(_LEAST, self._ends_at - time.monotonic())

    def _look_last(self) -> None:
        """Look, and close every window, if nobody has done so."""
        if not self.turn.acquire(timeout=self._patience()):
            tell(f"{self._complaints.where}: windows are given up: a look does not come to its end")
            return
        try:
            if not self._running:
                return
            with self._told():
                self._look()
            now = self.clock()
            for window, trigger in list(self._open):
                on = self.channels.get(window.plan.on or "")
                known = now if on is None else self._known(on, now)
                if window.end is None or window.end > known + 1:
                    window.end, window.cut = known + 1, True
                self._close(window, trigger, now)
            self._running = False
        finally:
            self.turn.release()

    def finish(self) -> None:
        """All is on the disk that will be: store what is left."""
        self._jobs.finish(self._patience())

    def give_up(self) -> None:
        """Nothing can be stored any more."""
        self._jobs.give_up()

    def forget(self) -> None:
        """Become inert, as in a forked child."""
        self.turn = threading.RLock()
        self._jobs.forget()
        self._over.set()
        self._running, self._threads = False, []
        self._open = []
        self._to_mark.clear()
        for trigger in self._triggers:
            trigger.forget(self.turn)
