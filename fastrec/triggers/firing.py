"""When a trigger fires: what is decided record by record, for many records at a time.

Nothing here knows rings, threads or clocks: stamps and answers come in, times of firings go out. How records
are divided into looks changes nothing.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

__all__ = ["Edge", "Event", "Firing", "Seen"]

Edge = Literal["rising", "falling", "both", "each"]

_NEVER = -(2**63)


class Seen(NamedTuple):
    """Records that a trigger looks at, in their order.

    Attributes
    ----------
    stamps, ends : ndarray of int64, shape (n,)
        When each was made, and until when a hold was seen.
    numbers : ndarray of uint64, shape (n,)
    meets : ndarray of bool, shape (n,)
        Which meet the condition.
    rearms : ndarray of bool, shape (n,)
        Which meet the one that arms again.
    lost : int
        How many before them nobody has looked at.
    """

    stamps: np.ndarray
    ends: np.ndarray
    numbers: np.ndarray
    meets: np.ndarray
    rearms: np.ndarray
    lost: int = 0


class Event(NamedTuple):
    """A firing: its stamp, and the number of its record, or of the last one before; -1: there was none."""

    mono_ns: int
    number: int


class Firing:
    """Whether and when a trigger fires.

    Parameters
    ----------
    edge : Edge
        ``"each"``: at every record that meets the condition.
    dwell : int
        ns for which it must last; 0: it fires at the edge.
    silence : int
        ns without a record that meets it; 0: it is not asked for. Then neither edge nor dwell are.
    holdoff : int
        ns after a firing within which there is no other.
    rearm : {"auto", "once", "condition"}
    at_once : bool
        What holds already at the first record counts as an edge.

    Attributes
    ----------
    armed : bool
    fired, held_off : int
        How often, and how often it would have but for the holdoff or because it was not armed.
    """

    def __init__(
        self,
        *,
        edge: Edge = "rising",
        dwell: int = 0,
        silence: int = 0,
        holdoff: int = 0,
        rearm: Literal["auto", "once", "condition"] = "auto",
        at_once: bool = False,
    ) -> None:
        self._edge, self._dwell, self._silence = edge, dwell, silence
        self._holdoff, self._rearm, self._at_once = holdoff, rearm, at_once
        self.armed = True
        self.fired = self.held_off = 0
        # The record at which it fired last, that from which it is armed, and the time from which it may fire.
        self._last_fired, self._armed_at, self._free = -1, -1, _NEVER
        self._rearmed = -1  # the last record that armed it, or would have
        self._last, self._numbers = _NEVER, (-1, -1)  # stamp of the last record; the one before it, and it
        # Of the state that the last record has, or the silence behind it: which, since when, and whether all
        # was told of it.
        self._value: bool | None = None
        self._since, self._told = 0, False

    def begin(self, mono_ns: int, meets: bool | None = None, number: int = -1) -> None:
        """It is armed from this time on.

        Parameters
        ----------
        mono_ns : int
            From here on a silence counts, and a state that is there already.
        meets : bool, optional
            Whether the last record meets the condition; None: there is none yet.
        number : int
            Of that record.
        """
        self._since, self._value = mono_ns, None if self._silence else meets
        self._told = meets is not None and not self._silence and not self._dwell and not self._at_once
        self._numbers = number, number

    def see(self, seen: Seen, until: int) -> list[Event]:
        """Look at what comes next.

        Parameters
        ----------
        seen : Seen
        until : int
            A time before which there is no other record.
        """
        if len(seen.stamps):
            until = max(until, int(seen.stamps[-1]))
            self._since = min(
                self._since, int(seen.stamps[0])
            )  # stamps need not be of the clock it was armed by
        if self._silence:
            times = self._silences(seen, until)
            numbers = self._numbers_at(seen, times)
        elif self._edge == "each":
            times, numbers = seen.stamps[seen.meets], seen.numbers[seen.meets]
        else:
            times, numbers = self._edges(seen, until)
        found = self._let(times, numbers.astype(np.int64), seen.numbers[seen.rearms].astype(np.int64))
        if len(seen.stamps):
            before = int(self._numbers_at(seen, seen.stamps[-1:])[0])
            self._last, self._numbers = int(seen.stamps[-1]), (before, int(seen.numbers[-1]))
        return found

    def _numbers_at(self, seen: Seen, times: np.ndarray) -> np.ndarray:
        stamps = np.append(np.int64(self._last), seen.stamps)
        numbers = np.append(np.array(self._numbers, np.int64), seen.numbers.astype(np.int64))
        return numbers[np.searchsorted(stamps, times, "left")]

    # What could fire

    def _edges(self, seen: Seen, until: int) -> tuple[np.ndarray, np.ndarray]:
        """Where a state begins, or has lasted: stamps and numbers."""
        meets, stamps = seen.meets, seen.stamps
        first = np.ones(min(len(meets), 1), bool) if self._value is None else meets[:1] != self._value
        starts = np.flatnonzero(np.append(first, meets[1:] != meets[:-1]))
        # The state of before, then those that begin here; and which of them nothing is to be told of.
        begins = np.append(np.int64(self._since), stamps[starts])
        values = np.append(bool(self._value), meets[starts])
        told = np.zeros(len(begins), bool)
        told[0] = self._told or self._value is None
        if self._value is None:
            told[1:2] = not self._dwell and not self._at_once
        if seen.lost and len(starts) and starts[0] == 0:
            told[0] = True  # nobody knows how long it lasted
        elif seen.lost and len(stamps) and not told[0]:
            begins[0] = stamps[0]  # nor whether it lasted meanwhile
        times = begins + self._dwell
        lasted = times <= np.append(begins[1:], until)
        wanted = {"rising": (True,), "falling": (False,), "both": (True, False)}[self._edge]
        due = lasted & ~told & np.isin(values, wanted)
        if len(starts) or self._value is not None:
            self._value, self._since = bool(values[-1]), int(begins[-1])
            self._told = bool(told[-1] or lasted[-1])
        if self._dwell:
            return times[due], self._numbers_at(seen, times[due])
        return times[due], np.append(np.int64(self._numbers[1]), seen.numbers[starts].astype(np.int64))[due]

    def _silences(self, seen: Seen, until: int) -> np.ndarray:
        """Where nothing came for too long: stamps."""
        if seen.lost and len(seen.stamps):  # there was something
            self._since, self._told = int(seen.stamps[0]), False
        begins = np.append(np.int64(self._since), seen.ends[seen.meets])
        due = np.append(seen.stamps[seen.meets], np.int64(until)) - begins > self._silence
        lasts = bool(due[-1])
        due[0] &= not self._told
        self._told = lasts or (self._told and len(begins) == 1)
        self._since = int(begins[-1])
        return begins[due] + self._silence

    # What does

    def _let(self, times: np.ndarray, numbers: np.ndarray, rearms: np.ndarray) -> list[Event]:
        found: list[Event] = []
        place = 0
        rearms = np.append(np.int64(self._rearmed), rearms)  # at one a silence may only be found out now
        while place < len(times):
            if not self.armed and not self._arm_again(rearms):
                self.held_off += len(times) - place
                break
            if numbers[place] < self._armed_at:  # a silence may be found out behind the record that armed it
                place = self._skip(numbers, place, self._armed_at)
            elif times[place] < self._free:
                place = self._skip(times, place, self._free)
            else:
                event = Event(int(times[place]), int(numbers[place]))
                found.append(event)
                self.fired += 1
                self._last_fired, self._free = event.number, event.mono_ns + self._holdoff
                self.armed = self._rearm == "auto"
                place += 1
        if not self.armed:
            self._arm_again(rearms)
        self._rearmed = int(rearms[-1])
        return found

    def _arm_again(self, rearms: np.ndarray) -> bool:
        """Whether a record behind the last firing arms it again."""
        if self._rearm != "condition":
            return False
        place = int(np.searchsorted(rearms, self._last_fired, "right"))
        if place < len(rearms):
            self.armed, self._armed_at = True, int(rearms[place])
        return self.armed

    def _skip(self, places: np.ndarray, place: int, until: int) -> int:
        stop = max(place, int(np.searchsorted(places, until, "left")))
        self.held_off += stop - place
        return stop
