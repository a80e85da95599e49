"""The threads that poll: calls that run first and last on them, and pauses."""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any, Self

from fastrec.core.poller import LEAD_NS, PollChannel, Poller
from fastrec.errors import SourceError, shown, suggest
from fastrec.privileges import Privileges, as_thread_privileges
from fastrec.sources.source import Source

__all__ = ["Thread", "Threads", "check_thread"]

_OPENING = 30.0  # s for one of the calls of `start` or `stop`, or of `run`, or for somebody else's pause
_RETURNING = 10.0  # s for a poll that is under way to return, or for a first call

_MOST_LETTERS = 64

_PYTHON = "python:"  # begins the names of threads that are one channel's alone


def check_thread(name: Any) -> str:
    """The name, if a thread can have it; else a SourceError."""
    if isinstance(name, str) and name.startswith(_PYTHON):
        raise SourceError(f"thread={shown(name)}: threads of Python functions alone are called {_PYTHON}...")
    if isinstance(name, str) and name.isprintable() and 0 < len(name) <= _MOST_LETTERS:
        return name
    raise SourceError(f"thread={shown(name)}; it is a name of 1 to {_MOST_LETTERS} printable letters")


def _check_call(call: Any, name: str) -> None:
    if not isinstance(call, Source):
        raise SourceError(f"thread {name!r}: {shown(call)} is no call; wrap the function in fr.Call")


class Thread:
    """A polling thread of a recorder. Made by `Recorder.thread`, or by the first channel that names it.

    Parameters
    ----------
    name : str
    start : sequence of Call
        Run at once, on this thread, before anything else is called there.
    stop : sequence of Call
        Run last on it, in any case where the first of `start` succeeded.
    python : bool
        Its getters need the GIL: it is a thread that Python knows.
    asked : mapping
        Of `as_thread_privileges`. Asked for after the calls of `start`: threads that a library begins there
        do not inherit them.

    Attributes
    ----------
    name : str
    turn : RLock
        Held by whoever has calls made on it, or has it paused.

    Raises
    ------
    SourceError
        One of `start` failed, or has not returned within 30 s; the thread has ended, after those of `stop`.
    """

    def __init__(
        self,
        name: str,
        *,
        start: Sequence[Source] = (),
        stop: Sequence[Source] = (),
        python: bool = False,
        asked: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        start, stop = ((calls,) if isinstance(calls, Source) else tuple(calls) for calls in (start, stop))
        for call in (*start, *stop):
            _check_call(call, name)
        self.name = name
        self._stop = stop
        self.turn = threading.RLock()  # of whoever may have calls made on it
        self._pauses = 0
        self._is_ours = True
        self._python: threading.Thread | None = None
        self._poller = Poller(f"fr-{name}")
        self._privileges = Privileges(name, self._poller)
        try:
            self._poller.begin(self._spawn if python else None)
        except (OSError, RuntimeError) as error:
            why = error.strerror if isinstance(error, OSError) else str(error)
            raise SourceError(
                f"thread {name!r} cannot be started: {why}; end other threads, or free memory"
            ) from error
        except BaseException:  # an interrupt, which waits until it has begun
            self._poller.stop(_RETURNING)
            raise
        try:
            for done, call in enumerate(start):
                try:
                    self.run(call)
                except SourceError:  # an interrupt comes after it has succeeded
                    self._stop = self._stop if done else ()
                    raise
            with self._asked():
                self._privileges.demand(asked)
        except BaseException:
            self.end(_OPENING)
            raise

    def __repr__(self) -> str:
        state = "ended" if not self._poller.alive else "paused" if self._pauses else "alive"
        return f"<Thread {self.name!r}, {state}>"

    def _spawn(self, body: Callable[[], None]) -> None:
        self._python = threading.Thread(target=body, name=f"fr-{self.name}", daemon=True)
        self._python.start()

    @contextmanager
    def _asked(self) -> Iterator[None]:
        """A call that does not return, as an error that says whose it is."""
        try:
            yield
        except TimeoutError as error:
            raise SourceError(f"thread {self.name!r}: {error}") from error

    def run(self, call: Source) -> dict[str, Any]:
        """Make one call on this thread, between two polls.

        Returns
        -------
        dict
            What it filled, decoded, by field name; empty if it fills nothing.

        Raises
        ------
        SourceError
            It failed, wrote past its struct, or has not returned within 30 s; or the thread has ended.
        """
        _check_call(call, self.name)
        with self.held(), self._asked():
            self._check_alive()
            return call.result(*self._poller.call(call.getter, _OPENING))

    @contextmanager
    def paused(self) -> Iterator[Self]:
        """Within it the thread makes no call: what it polls is the caller's alone.

        Begins when the call that is under way has returned. Deadlines that pass meanwhile are missed, with
        the code EBUSY. Other threads that pause it, or add a channel to it, wait. It may be nested.

        Raises
        ------
        SourceError
            A call has not returned within 10 s, somebody else's pause is not over within 30 s, or the thread
            has ended. It was not paused then.
        """
        with self.held():
            if not self._pauses:
                self._check_alive()
                try:
                    with self._asked():
                        self._poller.pause(_RETURNING)
                except SourceError:
                    raise  # it was never paused
                except BaseException:  # an interrupt, which waits until it is
                    self._poller.resume()
                    raise
            self._pauses += 1
            try:
                yield self
            finally:
                self._pauses -= 1
                if not self._pauses and self._poller.alive:
                    with self._asked():
                        self._poller.resume()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Within it nobody else has it paused, or has calls made on it.

        Raises
        ------
        SourceError
            Somebody else has not given it back within 30 s.
        """
        turn = self.turn  # a fork within it gives the child another
        if not turn.acquire(timeout=_OPENING):
            raise SourceError(f"thread {self.name!r} has been paused by somebody else for {_OPENING:g} s")
        try:
            yield
        finally:
            turn.release()

    def _check_alive(self) -> None:
        if not self._poller.alive or not self._is_ours:
            raise SourceError(f"thread {self.name!r} has ended: the recorder has stopped")

    # For the recorder

    def probe(self, polling: PollChannel) -> tuple[int, int]:
        """A channel's first call: (code, excess)."""
        with self._asked():
            return self._poller.probe(polling, _RETURNING)

    def check(self, channel: str, asked: Mapping[str, Any], *, sleeps: bool) -> None:
        """Refuse what a channel asks for that is decided already; see `Privileges`."""
        self._privileges.check(channel, asked, sleeps=sleeps)

    def decide(self, asked: Mapping[str, Any], *, sleeps: bool) -> None:
        """Ask the system for what the first channel wants; see `Privileges`."""
        with self._asked():
            self._privileges.decide(asked, sleeps=sleeps)

    @property
    def privileges(self) -> dict[str, str]:
        """What was asked of the system for it: ``"granted"``, or ``"refused: ..."`` and why."""
        return self._privileges.outcomes

    def add(self, polling: PollChannel) -> None:
        """Poll this channel too."""
        with self._asked():
            self._poller.add(polling, _RETURNING)

    def begin(self, start_ns: int) -> None:
        """Begin polling, with slot 0 at `start_ns` (monotonic)."""
        with self._asked():
            self._poller.run(start_ns)

    @property
    def cpu_ns(self) -> int:
        """Processor time so far; 0 once it has ended, and in a forked child, where its memory may be gone."""
        return self._poller.cpu_ns if self._is_ours else 0

    @property
    def alive(self) -> bool:
        """It has not ended."""
        return self._poller.alive

    def forget(self) -> None:
        """Become inert, as in a forked child: the thread is the parent's."""
        self._is_ours, self.turn, self._pauses = False, threading.RLock(), 0
        self._poller.forget()

    def end(self, timeout: float) -> None:
        """Stop polling, make the last calls, end the thread; what goes wrong is warned of, no record is lost.

        A poll that has not returned within `timeout` s, or a last call within 30 s, is left behind with its
        thread.
        """
        patience = timeout
        if self._stop and self.turn.acquire(timeout=timeout):
            try:
                patience = timeout if self._make_last_calls(timeout) else 0.0
            finally:
                self.turn.release()
        elif self._stop:
            _warn(f"thread {self.name!r} is still paused: its last calls were not made")
        if not self._poller.stop(patience):
            _warn(f"a call on thread {self.name!r} has not returned in {timeout:g} s; the thread stays")
        elif self._python is not None:
            self._python.join()

    def _make_last_calls(self, timeout: float) -> bool:
        """False: a call has not returned, so there was nobody to make the others."""
        try:
            self._poller.halt(timeout)
            while self._stop:
                call, self._stop = self._stop[0], self._stop[1:]
                try:
                    call.result(*self._poller.call(call.getter, _OPENING))
                except SourceError as error:
                    _warn(f"thread {self.name!r}: {error}")
        except TimeoutError:
            self._stop = ()
            return False
        return True


class Threads:
    """The polling threads of a recorder, by name."""

    def __init__(self) -> None:
        self._threads: dict[str, Thread] = {}
        self._turn = threading.Lock()  # of whoever makes one
        self._running = self._ended = False

    def __getitem__(self, name: str) -> Thread:
        """Raises SourceError if there is none."""
        if name not in self._threads:
            raise SourceError(
                f"there is no thread {name!r}{suggest(str(name), self._threads)}; a channel that names it"
                " makes it, or start= and stop="
            )
        return self._threads[name]

    def make(self, name: str, *, realtime: Any, affinity: Any, **calls: Any) -> Thread:
        """Make a thread that is not there yet; see `Thread` and `as_thread_privileges`."""
        check_thread(name)
        asked = as_thread_privileges(realtime, affinity)
        with self._turn:
            if name in self._threads:
                raise SourceError(f"thread {name!r} runs already; say what it is before it is used")
            return self._new(name, asked=asked, **calls)

    def of(self, channel: str, source: Any, name: str) -> Thread:
        """The thread that will poll a channel; a source that needs the GIL has its own."""
        with self._turn:
            if not getattr(source, "needs_gil", False):
                return self._threads.get(name) or self._new(name)
            if name != "main":
                raise SourceError(
                    f"channel {channel!r}: {source!r} has a thread of its own; leave thread= out"
                )
            name = f"{_PYTHON}{channel}"
            return self._threads.get(name) or self._new(name, python=True)

    def _new(self, name: str, **options: Any) -> Thread:
        self._threads[name] = thread = Thread(name, **options)  # known before an interrupt can come
        try:
            if self._running:
                thread.begin(time.monotonic_ns() + LEAD_NS)
        except BaseException:
            thread.end(_OPENING)
            self._threads.pop(name, None)
            raise
        if self._ended and self._threads.pop(name, None):  # meanwhile: nobody else would end it
            thread.end(_OPENING)
            raise SourceError(f"thread {name!r} is not begun: the recorder has stopped")
        return thread

    def drop(self, thread: Thread) -> None:
        """End a thread that a channel had alone and that was refused."""
        if thread.name.startswith(_PYTHON) and self._threads.pop(thread.name, None):
            thread.end(_OPENING)

    def begin(self, start_ns: int) -> None:
        """Begin polling on all of them, and from now on on every new one."""
        with self._turn:
            self._running = True
            for thread in self._threads.values():
                thread.begin(start_ns)

    def forget(self) -> None:
        """Become inert, as in a forked child."""
        self._ended, self._turn = True, threading.Lock()
        for thread in self._threads.values():
            thread.forget()
        self._threads = {}

    def end(self, timeout: float) -> None:
        """End all of them; see `Thread.end`. An interrupt leaves what has not ended to the next call."""
        self._ended = True
        while self._threads:
            name = next(iter(self._threads))
            self._threads[name].end(timeout)
            self._threads.pop(name, None)


def _warn(text: str) -> None:
    warnings.warn(text, RuntimeWarning, stacklevel=4)
