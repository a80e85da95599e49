"""What the system may refuse: real-time priority, processors, memory that stays."""

from __future__ import annotations

import operator
import os
import resource
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from fastrec.core.poller import MOST_PROCESSORS, Poller
from fastrec.errors import SourceError, shown

__all__ = ["GRANTED", "Privileges", "as_thread_privileges", "of_lock_memory"]

GRANTED = "granted"

_USUAL_PRIORITY = 10  # above whatever is not real-time, below what the system itself runs so
_MOST_PRIORITY = 50  # interrupt threads of a real-time kernel have this one


def as_thread_privileges(
    realtime: bool | int | None, affinity: int | Iterable[int] | None
) -> dict[str, int | frozenset[int]]:
    """What was asked for a thread, by name; what was not is not there.

    Parameters
    ----------
    realtime : bool or int, optional
        Priority of SCHED_FIFO, 1 to 50; True: 10. None and False: not asked.
    affinity : int or iterable of int, optional
        Processors that the thread may run on. None: not asked.

    Raises
    ------
    SourceError
        A value that means nothing; the message names it.
    """
    asked = {"realtime": _priority(realtime), "affinity": _processors(affinity)}
    return {name: value for name, value in asked.items() if value is not None}


def _priority(realtime: Any) -> int | None:
    if realtime is None or realtime is False:
        return None
    if realtime is True:
        return _USUAL_PRIORITY
    if not isinstance(realtime, int | np.integer) or not 1 <= realtime <= _MOST_PRIORITY:
        raise SourceError(
            f"realtime={shown(realtime)}; it is True, or a priority of SCHED_FIFO from 1 to {_MOST_PRIORITY}"
        )
    return int(realtime)


def _processors(affinity: Any) -> frozenset[int] | None:
    if affinity is None:
        return None
    wanted = (affinity,) if isinstance(affinity, int | np.integer) else affinity
    try:
        numbers = frozenset(operator.index(number) for number in wanted)
    except TypeError:
        numbers = frozenset()
    if isinstance(affinity, bool) or not numbers or not all(0 <= n < MOST_PROCESSORS for n in numbers):
        raise SourceError(
            f"affinity={shown(affinity)}; it is the number of a processor, or several, from 0 to"
            f" {MOST_PROCESSORS - 1:,}"
        )
    return numbers


class Privileges:
    """Those of one polling thread. Its first channel decides, unless its maker did.

    Parameters
    ----------
    thread : str
        Its name.
    poller : Poller
        Whose thread makes the demands, for itself.

    Attributes
    ----------
    outcomes : dict of str to str
        By what was asked: ``"granted"``, or ``"refused: ..."`` and why.
    """

    def __init__(self, thread: str, poller: Poller) -> None:
        self.outcomes: dict[str, str] = {}
        self._thread = thread
        self._poller = poller
        self._asked: dict[str, Any] = {}
        self._decided = False  # there is a channel

    def check(self, channel: str, asked: Mapping[str, Any], *, sleeps: bool) -> None:
        """Refuse a channel that asks for something else than is decided; without a wish it takes what is.

        Raises
        ------
        SourceError
            It does; or it never `sleeps`, and real-time it would leave nothing of the only processor.
        """
        for what, value in asked.items():
            has = self._asked.get(what)
            if value != has and (has is not None or self._decided):
                raise SourceError(
                    f"channel {channel!r}: {what}={_said(value)}, but for thread {self._thread!r}"
                    f" {_said(has)} was asked first; leave it out, or name another thread="
                )
        if not sleeps and self.outcomes.get("realtime") == GRANTED and _only_processor():
            raise SourceError(
                f"channel {channel!r} never sleeps, and thread {self._thread!r} is real-time: nothing else"
                " could run on the only processor; lower rate= or spin=, or name another thread="
            )

    def decide(self, asked: Mapping[str, Any], *, sleeps: bool) -> None:
        """Demand what a channel asks for that passed `check`, if it is the first.

        Raises
        ------
        TimeoutError
            A call on the thread has not returned.
        """
        if not self._decided:
            self.demand(asked, sleeps=sleeps)
            self._decided = True

    def demand(self, asked: Mapping[str, Any], *, sleeps: bool = True) -> None:
        """Ask the system for it, and note what it said."""
        for what, value in asked.items():
            if what == "affinity":
                outcome = _of_affinity(self._poller.affinity(value), value)
            elif sleeps or not _only_processor():
                outcome = _of_realtime(self._poller.realtime(value), value)
            else:
                outcome = "refused: it never sleeps, and nothing else could run on the only processor"
            self._asked[what], self.outcomes[what] = value, outcome


def _said(value: Any) -> str:
    return "nothing" if value is None else str(sorted(value) if isinstance(value, frozenset) else value)


def _only_processor() -> bool:
    return len(os.sched_getaffinity(0)) == 1


def _of_realtime(code: int, priority: int) -> str:
    allowed = _limit(resource.RLIMIT_RTPRIO)
    return _outcome(
        code, f"RLIMIT_RTPRIO is {allowed}; raise it to {priority} (ulimit -r), or give CAP_SYS_NICE"
    )


def _of_affinity(code: int, numbers: frozenset[int]) -> str:
    own = os.sched_getaffinity(0)
    return _outcome(
        code, f"{_said(numbers)} asked for; this process has {len(own)} from {min(own)} to {max(own)}"
    )


def of_lock_memory(code: int, size: int) -> str:
    """The outcome of keeping `size` bytes in memory, to which the system answered with an errno, or 0."""
    allowed = _limit(resource.RLIMIT_MEMLOCK)
    return _outcome(
        code,
        f"{size:,} bytes to lock, and RLIMIT_MEMLOCK is {allowed}; raise it (ulimit -l), or lower capacity",
    )


def _limit(which: int) -> str:
    soft = resource.getrlimit(which)[0]
    return "unlimited" if soft == resource.RLIM_INFINITY else f"{soft:,}"


def _outcome(code: int, why: str) -> str:
    return f"refused: {os.strerror(code)}: {why}" if code else GRANTED
