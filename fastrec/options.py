"""What may be asked of a channel: checked, and in the units of the core."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from numbers import Real
from typing import Any, Literal

import numpy as np

from fastrec.durations import named_duration
from fastrec.errors import SourceError, shown
from fastrec.privileges import as_thread_privileges
from fastrec.recording.layout import RATE
from fastrec.ring import LEAST_CAPACITY, MOST_CAPACITY, Clocked
from fastrec.schema import Schema
from fastrec.schema.forms import Store
from fastrec.schema.states import fields_below, mask
from fastrec.threads import check_thread

__all__ = ["Options", "WhenFull", "as_options", "hertz"]

WhenFull = Literal["overwrite", "drop"]

_MOST_BYTES = 256 << 20
_USUAL_RECORDS = 65_536
_USUAL_SECONDS = 4
_FINEST_RATE = 1_000_000  # denominators up to this, so that 0.1 Hz is a tenth and not its nearest double
_MOST_HERTZ = 10_000_000
_AUTO_SPIN_SHORTEST = 100_000  # ns: shorter periods are spun through, a sleep would overshoot several slots
_AUTO_SPIN_MOST = 100_000
_LEAST_HEARTBEAT = 1_000_000  # ns
_MOST_HEARTBEAT = 365 * 86_400 * 1_000_000_000


@dataclass(frozen=True)
class Options:
    """What was asked of a channel, in the units of the core.

    Attributes
    ----------
    rate : str or None
        In Hz as channel.json has it; ``"max"``: flat out; None: pushed.
    period : (int, int)
        ns as a fraction; (0, 1): no grid.
    spin : int
        ns before a deadline.
    capacity : int
        Records.
    when_full : str
    thread : str
    store : str
    ignore : tuple of str
        Fields whose changes are none: leaves.
    heartbeat_ns : int
        A state that lasts is put down this often.
    clock : str
        What stamps the records.
    of_thread : mapping
        What was asked for the thread, by name: ``realtime``, a priority; ``affinity``, processors.
    lock_memory : bool
        The ring is to stay in memory.
    """

    rate: str | None
    period: tuple[int, int]
    spin: int
    capacity: int
    when_full: WhenFull
    thread: str
    store: Store = "every"
    ignore: tuple[str, ...] = ()
    heartbeat_ns: int = 1_000_000_000
    clock: Clocked = "monotonic"
    of_thread: Mapping[str, int | frozenset[int]] = field(default_factory=dict)
    lock_memory: bool = False

    @property
    def period_ns(self) -> int | None:
        """The period in whole ns; None: no grid."""
        num, den = self.period
        return max(1, num // den) if num else None

    @property
    def sleeps(self) -> bool:
        """The thread that polls it sleeps between two polls."""
        return self.spin * self.period[1] < self.period[0]

    def to_dict(self) -> dict[str, object]:
        """The ``options`` of channel.json."""
        return {
            "rate": self.rate,
            "capacity": self.capacity,
            "store": self.store,
            "ignore": list(self.ignore),
            "when_full": self.when_full,
            "thread": self.thread,
            "heartbeat_ns": self.heartbeat_ns,
            "clock": self.clock,
        }


def as_options(
    schema: Schema,
    *,
    rate: float | str | Fraction | None,
    capacity: int | str | None,
    when_full: WhenFull,
    thread: str,
    spin: str | int,
    store: Store,
    ignore: str | Iterable[str],
    heartbeat: str,
    clock: Clocked,
    realtime: bool | int | None,
    affinity: int | Iterable[int] | None,
    lock_memory: bool,
) -> Options:
    """Check what a user said of a channel; see `fastrec.Recorder.add`.

    Raises
    ------
    SourceError
        A value that means nothing; the message names it.
    """
    period, text = (0, 1), None
    if isinstance(rate, str) and rate == "max":
        text = "max"
    elif rate is not None:
        frequency = hertz(rate)
        fraction = 1_000_000_000 / frequency
        period, text = (fraction.numerator, fraction.denominator), str(frequency)
    of_thread = as_thread_privileges(realtime, affinity)
    if of_thread and rate is None:
        raise SourceError(f"{next(iter(of_thread))}= is for the thread that polls; this channel is pushed")
    record_size = schema.record(_one_of("store", store, ("every", "changes"))).itemsize
    if store == "changes" and rate is None:
        raise SourceError(
            "store='changes' needs a source: only a polling thread puts down in time how long a state lasted;"
            " push when something changes"
        )
    return Options(
        text,
        period,
        _spin(spin, period),
        _capacity(capacity, period, record_size),
        _one_of("when_full", when_full, ("overwrite", "drop")),
        check_thread(thread),
        store,
        _ignored(ignore, schema, store),
        _heartbeat(heartbeat),
        _one_of("clock", clock, ("monotonic", "tsc")),
        of_thread,
        _flag("lock_memory", lock_memory),
    )


def _one_of(name: str, value: Any, known: tuple[str, ...]) -> Any:
    if not isinstance(value, str) or value not in known:
        raise SourceError(f"{name}={shown(value)}; it is {' or '.join(map(repr, known))}")
    return value


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise SourceError(f"{name}={shown(value)}; it is True or False")
    return value


def _ignored(ignore: Any, schema: Schema, store: Store) -> tuple[str, ...]:
    try:
        names = (ignore,) if isinstance(ignore, str) else tuple(ignore)
    except TypeError:
        raise SourceError(f"ignore={shown(ignore)}; it is the name of a field, or several") from None
    if names and store != "changes":
        raise SourceError(f"ignore={shown(ignore)} without store='changes'; every poll is recorded whole")
    found = [field.name for name in names for field in fields_below(schema, name)]
    if found and not any(mask(schema, found)):
        raise SourceError(f"ignore={shown(ignore)}: that is every field; leave one that can change")
    return tuple(dict.fromkeys(found))


def _heartbeat(heartbeat: Any) -> int:
    forms = "a duration from 1ms to 8760h, such as '1s'"
    length = named_duration("heartbeat", heartbeat, forms, SourceError)
    if not _LEAST_HEARTBEAT <= length <= _MOST_HEARTBEAT:
        raise SourceError(f"heartbeat={shown(heartbeat)}; it is {forms}")
    return length


def hertz(rate: Any) -> Fraction:
    """A rate in Hz, a string or a number; see `Recorder.add`.

    Raises
    ------
    SourceError
        It is none, or out of range.
    """
    number = rate.item() if isinstance(rate, np.generic) else rate
    try:
        if isinstance(number, str) and RATE.fullmatch(number):
            number = Fraction(number)
        # Compared as a double: Fraction works for ever on Decimal("1e999999999").
        known = isinstance(number, Real | Decimal) and not isinstance(number, bool)
        if known and 1 / _FINEST_RATE <= float(number) <= _MOST_HERTZ:
            return Fraction(number).limit_denominator(_FINEST_RATE)
    except (ValueError, TypeError, OverflowError, ZeroDivisionError):
        pass
    raise SourceError(
        f"rate={shown(rate)}; it is a number of Hz from 1/{_FINEST_RATE:,} to {_MOST_HERTZ:,}, or 'max'"
    )


def _spin(spin: str | int, period: tuple[int, int]) -> int:
    ns = period[0] // period[1]
    if isinstance(spin, str) and spin == "auto":
        return min(ns // 10, _AUTO_SPIN_MOST) if ns >= _AUTO_SPIN_SHORTEST else ns
    if type(spin) is int and spin == 0:
        return 0
    return min(named_duration("spin", spin, "'auto', 0 or a duration such as '20us'", SourceError), ns)


def _capacity(capacity: int | str | None, period: tuple[int, int], record_size: int) -> int:
    most = _MOST_BYTES // record_size
    forms = "a number of records, or at a rate in Hz a duration above 0 such as '10s'"
    if isinstance(capacity, str):
        if not period[0]:
            raise SourceError(f"capacity={shown(capacity)} needs a rate in Hz; give a number of records")
        length = named_duration("capacity", capacity, forms, SourceError)
        if not length:
            raise SourceError(f"capacity={shown(capacity)}; it is {forms}")
        records = max(LEAST_CAPACITY, -(-length * period[1] // period[0]))
    elif capacity is not None:
        if not isinstance(capacity, int | np.integer) or isinstance(capacity, bool):
            raise SourceError(f"capacity={shown(capacity)}; it is {forms}")
        records = int(capacity)
    if capacity is not None:
        if not LEAST_CAPACITY <= records <= MOST_CAPACITY:
            raise SourceError(
                f"capacity={shown(capacity)}: a ring holds at least {LEAST_CAPACITY} records and at most"
                f" {MOST_CAPACITY:,}"
            )
        return records
    wanted = _USUAL_SECONDS * 1_000_000_000 * period[1] // period[0] if period[0] else 1_000_000
    return max(LEAST_CAPACITY, min(max(wanted, _USUAL_RECORDS), most))
