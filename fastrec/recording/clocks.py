"""What the readings of all clocks tell: dates of stamps, and where a clock was set or the machine slept.

Of a machine's clocks the monotonic one alone stamps. It may run faster or slower by what NTP slews, it stands
still while the machine sleeps, and it begins anew at a boot; a session's offset makes its stamps go on.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeGuard

import numpy as np

from fastrec.core.push import STAMP_END
from fastrec.errors import CorruptionError, FormatError
from fastrec.recording import layout, opening
from fastrec.times import CLOCK_PAIR_DTYPE, Clock

__all__ = ["ClockEvent", "clock_of", "events_of", "is_stamp", "readings_of"]

_SLEW = 2_000  # one part in so many, 500 ppm: no clock is slewed by more
_SLEEP_NS = 1_000_000  # less of a difference than this is no sleep
_DOUBT_NS = 1_000_000_000  # no reading is believed to be more uncertain


@dataclass(frozen=True)
class ClockEvent:
    """Something that the clocks do not tell the moment of, only between which readings it was.

    Attributes
    ----------
    kind : "step" or "suspend"
        The clock of dates was set; or the machine slept, and its monotonic clock stood still.
    after, before : int
        Stamps of the readings between which that was.
    by_ns : int
        By how much the clock was set, negative if back; how long the machine slept.
    """

    kind: Literal["step", "suspend"]
    after: int
    before: int
    by_ns: int


def readings_of(root: Path, uuid: bytes) -> np.ndarray:
    """The rows of ``clocks.npy`` that are whole: ndarray of CLOCK_DTYPE."""
    with suppress(FileNotFoundError, CorruptionError, FormatError):
        data = opening.read_bytes(root, "clocks.npy")
        rows, whole = layout.read_rows(data, layout.CLOCK_DTYPE, layout.place(uuid), "clocks.npy")
        return rows[whole]
    return np.empty(0, layout.CLOCK_DTYPE)


def clock_of(
    readings: np.ndarray,
    sessions: Sequence[Mapping[str, Any]],
    start: tuple[int, int] | None,
    zone: dt.tzinfo,
) -> Clock:
    """From stamps to dates.

    Where a clock was set, the machine slept or one session ended, nobody knows when in between; dates go on
    from the reading before, and jump at the one behind. A session's dates begin with it.

    Parameters
    ----------
    readings : ndarray of CLOCK_DTYPE
    sessions : sequence of mapping
        Lines of ``sessions.jsonl``.
    start : (int, int) or None
        A stamp and its realtime, where there is no reading.
    zone : tzinfo
    """
    rows = _believed(readings)
    pairs = np.empty(len(rows), CLOCK_PAIR_DTYPE)
    for name in CLOCK_PAIR_DTYPE.names:
        pairs[name] = rows[name]
    if not len(pairs):
        return Clock(np.array([] if start is None else [start], CLOCK_PAIR_DTYPE), zone)
    known = _Sessions(sessions)
    of = known.of(pairs["monotonic"])
    leaps = (np.abs(_drift(rows)) > _slack(rows)) | (of[1:] != of[:-1])
    first = 1 + np.flatnonzero(of[1:] != of[:-1])
    begins = np.array([known.starts[session] for session in of[first].tolist()], np.int64)
    late = begins < pairs["monotonic"][first]
    first, begins = first[late], begins[late]
    opening = pairs[first]
    opening["realtime"] -= opening["monotonic"] - begins
    opening["monotonic"] = begins
    return Clock(
        np.insert(pairs, first, opening),
        zone,
        np.insert(np.append(leaps, False), first, np.zeros(len(first), bool)),
    )


def events_of(readings: np.ndarray, sessions: Sequence[Mapping[str, Any]]) -> list[ClockEvent]:
    """Where the clock of dates was set by more than it can have been slewed, or the machine slept.

    Parameters
    ----------
    readings : ndarray of CLOCK_DTYPE
    sessions : sequence of mapping
        Lines of ``sessions.jsonl``.

    Returns
    -------
    list of ClockEvent
        By time. A set clock of less than 500 ppm of the time between two readings, and their uncertainty, is
        not told from a slewed one; a machine that booted is not one that slept.
    """
    rows = _believed(readings)
    if len(rows) < 2:
        return []
    known = _Sessions(sessions)
    of = known.of(rows["monotonic"])
    asleep = np.diff(rows["boottime"] - (rows["monotonic"] - known.offsets[of]))
    asleep[(asleep <= _SLEEP_NS) | (known.boots[of][1:] != known.boots[of][:-1])] = 0
    set_by = _drift(rows) - asleep
    set_by[np.abs(set_by) <= _slack(rows)] = 0
    found = []
    for row in np.flatnonzero((asleep != 0) | (set_by != 0)).tolist():
        between = int(rows["monotonic"][row]), int(rows["monotonic"][row + 1])
        if asleep[row]:
            found.append(ClockEvent("suspend", *between, int(asleep[row])))
        if set_by[row]:
            found.append(ClockEvent("step", *between, int(set_by[row])))
    return found


def _believed(readings: np.ndarray) -> np.ndarray:
    # A reading older than one before it would make dates ambiguous; such a row is not believed.
    if not len(readings):
        return readings
    return readings[readings["monotonic"] >= np.maximum.accumulate(readings["monotonic"])]


def _drift(rows: np.ndarray) -> np.ndarray:
    """From each reading to the next, how much further the clock of dates went than the monotonic one."""
    return np.diff(rows["realtime"] - rows["monotonic"])


def _slack(rows: np.ndarray) -> np.ndarray:
    """How much of that slewing and the readings' uncertainty explain."""
    doubt = np.clip(rows["uncertainty"], 0, _DOUBT_NS)
    return np.diff(rows["monotonic"]) // _SLEW + doubt[1:] + doubt[:-1]


class _Sessions:
    """Which session a stamp is of.

    Attributes
    ----------
    starts, offsets : ndarray of int64
    boots : ndarray of int64
        Equal for sessions in the same boot and time namespace.
    """

    def __init__(self, sessions: Sequence[Mapping[str, Any]]) -> None:
        lines = [one for one in sessions if is_stamp(one.get("start_ns"))] or [{"start_ns": 0}]
        lines.sort(key=lambda one: one["start_ns"])
        self.starts = np.array([one["start_ns"] for one in lines], np.int64)
        offsets = (one.get("offset_ns") for one in lines)
        self.offsets = np.array([one if is_stamp(one) else 0 for one in offsets], np.int64)
        names: dict[tuple[str, str], int] = {}
        keys = [(str(one.get("boot_id")), str(one.get("time_namespace"))) for one in lines]
        self.boots = np.array([names.setdefault(key, len(names)) for key in keys])

    def of(self, stamps: np.ndarray) -> np.ndarray:
        """Place of the session that each stamp is of; what is before all of them belongs to the first."""
        return np.maximum(np.searchsorted(self.starts, stamps, "right") - 1, 0)


def is_stamp(value: object) -> TypeGuard[int]:
    """Whether a member of JSON can be a stamp, or an offset of stamps: sums of them never wrap."""
    return type(value) is int and abs(value) < STAMP_END
