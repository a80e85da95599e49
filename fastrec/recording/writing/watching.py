"""Says while a recorder runs that a disk takes nothing, and later that it does again: a stop may be far."""

from __future__ import annotations

import math
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from fastrec.core.spooler import SpoolChannel
from fastrec.durations import format_duration
from fastrec.ring import Ring

__all__ = ["Watch", "deaf", "tell"]

_EVERY = 0.25  # s between two looks
_PATIENCE = 1.0  # s that an error may last before anything is said: most are over at once
_LINGER = 1.0  # s that a stop waits for a warning that is being shown: its reader may wait for the stop


@dataclass
class _Trouble:
    """Errors of one kind: of writing records, or of flushing them."""

    since: float | None = None  # time.monotonic; one was there at every look
    told: bool = False
    lost: int = 0  # when there was none

    def lasts(self, now: float, patience: float, since: float = -math.inf) -> bool:
        """There is one: whether it is to be told now, as it has lasted, also `since` then."""
        if self.since is None:
            self.since = now
        tells = not self.told and now - max(since, self.since) >= patience
        self.told |= tells
        return tells

    def over(self, now: float, lost: int) -> str:
        """There is none any more: what is to be said of how it was, if anything was said of it."""
        since, told, before = self.since, self.told, self.lost
        self.since, self.told, self.lost = None, False, lost
        if since is None or not told:
            return ""
        were = f"{lost - before:,} records were" if lost - before != 1 else "1 record was"
        return f"after {format_duration(round((now - since) * 1e9))}; {were} lost meanwhile"


@dataclass
class _Watched:
    """A channel, and what was seen of it at the look before."""

    ring: Ring
    spooling: SpoolChannel
    head: int
    at: float  # time.monotonic
    refused: _Trouble = field(default_factory=_Trouble)
    flushed: _Trouble = field(default_factory=_Trouble)
    taken: float = -math.inf  # records were not, up to then


class Watch:
    """Looks at channels, and warns once of an error that lasts, and once when it is over.

    Its thread runs from `start` to `stop`.

    Parameters
    ----------
    root : Path
        The recording, as a message calls it.
    sync_ns : int
        Between two flushes: an error of one is told of once another had its turn.
    reason : callable
        What an errno of the spooler means to the channel of that name.
    """

    def __init__(self, root: Path, sync_ns: int, reason: Callable[[str, int], str]) -> None:
        self._root = root
        self._sync = sync_ns / 1e9
        self._reason = reason
        self._channels: dict[str, _Watched] = {}
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def add(self, name: str, ring: Ring, spooling: SpoolChannel) -> None:
        """Look at this channel, too."""
        self._channels[name] = _Watched(ring, spooling, ring.core.head, time.monotonic())

    def drop(self, name: str) -> None:
        """Look at it no more."""
        self._channels.pop(name, None)

    def start(self) -> None:
        """Begin to look; no thread to be had is no reason not to record."""
        thread = threading.Thread(target=self._run, name="fastrec-watch", daemon=True)
        try:
            with deaf():
                thread.start()
            self._thread = thread
        except RuntimeError as error:
            said = f"{self._root}: nobody looks whether the disk takes all: {error}"
            warnings.warn(said, RuntimeWarning, stacklevel=4)

    def stop(self) -> None:
        """Look no more, from any thread; what is wrong then, the end of the recording tells."""
        self._over.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(_LINGER)

    def _run(self) -> None:
        while not self._over.wait(_EVERY):
            for message in self.look(time.monotonic()):
                if not self._over.is_set():
                    tell(message)

    def look(self, now: float) -> list[str]:
        """What is to be said at this time (s, of `time.monotonic`)."""
        return [
            f"{self._root}: channel {name!r}: {message}"
            for name, one in list(self._channels.items())
            for message in self._look(name, one, now)
        ]

    def _look(self, name: str, one: _Watched, now: float) -> Iterator[str]:
        marks, head = one.spooling.marks(), one.ring.core.head
        rate = (head - one.head) / (now - one.at) if now > one.at else 0.0
        one.head, one.at = head, now
        lost = marks["disk"] + marks["overwritten"] + one.ring.core.account()["dropped"]
        if marks["error"] or one.refused.since is not None:
            one.taken = now
        if marks["error"]:
            if one.refused.lasts(now, _PATIENCE):
                left = max(0, one.ring.capacity - (head - marks["written"]))
                yield (
                    f"the disk takes no records: {self._reason(name, marks['error'])}; recording goes on in"
                    f" memory{_lasting(left, rate)}"
                )
        elif how := one.refused.over(now, lost):
            yield f"the disk takes records again, {how}"
        if not marks["sync_error"]:
            if how := one.flushed.over(now, lost):
                yield f"a flush succeeded again, {how}"
        elif one.flushed.lasts(now, _PATIENCE + self._sync, one.taken):
            yield (
                f"a flush failed, and none after it succeeded: {self._reason(name, marks['sync_error'])};"
                " recording goes on, but what is written may not survive a loss of power"
            )


def tell(message: str) -> None:
    """Warn from a thread of ours, however often it was said before: without a registry each is one, too."""
    code = tell.__code__
    where = RuntimeWarning, code.co_filename, code.co_firstlineno
    try:
        try:
            warnings.warn_explicit(message, *where, module=__name__)
        except RuntimeWarning as warning:  # of a filter: nobody could catch it here
            warnings.showwarning(warning, *where)
    except Exception:  # of who shows it: there is more to say
        threading.excepthook(threading.ExceptHookArgs((*sys.exc_info(), threading.current_thread())))


@contextmanager
def deaf() -> Iterator[None]:
    """Threads begun within it get no signals: one that others block, to wait for it, is not for them."""
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _lasting(left: int, rate: float) -> str:
    """How long a ring with room for so many more lasts, as the end of a message."""
    if not left:
        return ", whose room is used up: records are being lost"
    if not rate:
        return f", which has room for {left:,} records more"
    tenths = round(left / rate * 10)
    lasts = format_duration(tenths * 100_000_000) if tenths else "less than 100 ms"
    return f", which has room for {lasts} more at this rate"
