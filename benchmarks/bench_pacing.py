"""Pacing a C getter: how late each call is, by its own clock, against a bare loop in C and loops in Python.

The lateness of a slot is the time of the call that served it, or was the first after it was missed, less its
intended time. The bare loop sleeps and spins as the poller does; loops in Python call the getter through
ctypes, and the naive one is late against a grid that it does not know.
"""

from __future__ import annotations

import asyncio
import ctypes
import sched
import threading
import time
from abc import abstractmethod
from collections.abc import Callable

import numpy as np

import fastrec
from benchmarks.harness import Bench, Case, Claim, Contestant, WrongAnswerError
from benchmarks.rivals import compiled

CALL = np.dtype([("called", "<i8"), ("number", "<u8")])
RECORD = np.dtype([("mono_ns", "<i8"), ("called", "<i8"), ("number", "<u8")])

LATE = "ns late"
LEAD_NS = 1_000_000  # from here to slot 0, as a recorder's
TURNS = 1_000  # short, so that one of many batches is undisturbed


class Paced(Contestant):
    """Calls the getter once a period.

    Parameters
    ----------
    who : str
    loops : ctypes.CDLL
        pacing.c.
    rate : int
        Hz; its period is a whole number of ns.
    count : int
        Slots.
    """

    early = 0  # ns by which a call may come before its time

    def __init__(self, who: str, loops: ctypes.CDLL, rate: int, count: int) -> None:
        super().__init__(who)
        self.loops = loops
        self.calls = ctypes.c_uint64.in_dll(loops, "calls")
        self.rate = rate
        self.period = 1_000_000_000 // rate
        self.count = count

    def prepare(self, turn: int) -> None:
        super().prepare(turn)
        self.first = self.calls.value

    def run(self) -> dict[str, float | np.ndarray]:
        self.begin = time.monotonic_ns()
        self.pace()
        self.end = time.monotonic_ns()
        return {LATE: self.served["called"] - self.intended}

    @abstractmethod
    def pace(self) -> None:
        """Serve the slots: set `start`, and `served`, the record of the call that served each."""

    @property
    def intended(self) -> np.ndarray:
        """When each slot was due."""
        return self.start + np.arange(self.count) * self.period

    def check(self) -> None:
        numbers, called = self.served["number"], self.served["called"]
        if len(numbers) != self.count or not self.begin < self.start < self.end:
            raise WrongAnswerError(f"{self.who}: {len(numbers)} slots from {self.start}, not {self.count}")
        if numbers[0] != self.first or not np.isin(np.diff(numbers), (0, 1)).all():
            raise WrongAnswerError(f"{self.who}: calls are left out, or not in their order")
        if (
            (called < self.intended - self.early).any()
            or called[-1] > self.end
            or (np.diff(called) < 0).any()
        ):
            raise WrongAnswerError(f"{self.who}: a call came before its time")


class Recording(Paced):
    """A recorder in memory, made anew for every run."""

    def prepare(self, turn: int) -> None:
        super().prepare(turn)
        self.first += 1  # the first call takes no slot

    def pace(self) -> None:
        with fastrec.Recorder() as recorder:
            getter = fastrec.Call(self.loops.note_call, fastrec.OUT, schema=CALL)
            channel = recorder.add("call", getter, rate=self.rate, capacity=max(64, 2 * self.count))
            while (left := self.count - channel.stats.slots) > 0:
                time.sleep(left / self.rate)
        self.stats, records = channel.stats, channel.snapshot()
        self.rows, self.gaps = records.to_numpy(), records.gaps
        self.start = channel.ring.core.account()["start"]
        # A missed slot is one of those just before the record that its gap names.
        missed = np.bincount(self.gaps["seq"].astype(np.int64), self.gaps["count"], len(self.rows) + 1)
        self.served = np.repeat(self.rows, missed[: len(self.rows)].astype(np.int64) + 1)[: self.count]

    def check(self) -> None:
        super().check()
        stats, gaps = self.stats, self.gaps
        if stats.slots != stats.recorded + stats.missed or gaps["count"].sum() != stats.missed:
            raise WrongAnswerError(f"{self.who}: {stats.recorded} and {stats.missed} of {stats.slots} slots")
        lengths = (gaps["t_last"] - gaps["t_first"]) // self.period + 1
        off = (gaps["t_first"] - self.start) % self.period + (gaps["t_last"] - self.start) % self.period
        if off.any() or (lengths != gaps["count"]).any():
            raise WrongAnswerError(f"{self.who}: gaps that are not on the grid")


class BareLoop(Paced):
    """In C; sleeps and spins as the poller does."""

    def __init__(self, who: str, loops: ctypes.CDLL, rate: int, count: int, spin: int) -> None:
        super().__init__(who, loops, rate, count)
        self.spin = spin
        self.served = np.zeros(count, RECORD)
        self.served["mono_ns"] = 1  # pages are there before the first run, as those of a ring are

    def pace(self) -> None:
        self.start = time.monotonic_ns() + LEAD_NS
        getter = ctypes.cast(self.loops.note_call, ctypes.c_void_p)
        memory = self.served.ctypes.data
        error = self.loops.pace_bare(getter, memory, self.count, self.start, self.period, self.spin)
        if error:
            raise WrongAnswerError(f"{self.who}: no thread, errno {error}")


class PythonLoop(Paced):
    """`loop` is told the start, the period in s, the count, and what to call in each slot."""

    early = 1_000  # its grid is made of doubles

    def __init__(
        self,
        who: str,
        loops: ctypes.CDLL,
        rate: int,
        count: int,
        loop: Callable[[float, float, int, Callable[[], None]], object],
    ) -> None:
        super().__init__(who, loops, rate, count)
        self.loop = loop
        self.served = np.zeros(count, CALL)

    def pace(self) -> None:
        slots = iter(range(self.served.ctypes.data, self.served.ctypes.data + self.served.nbytes, 16))
        getter = self.loops.note_call
        self.start = time.monotonic_ns() + LEAD_NS
        self.loop(self.start / 1e9, self.period / 1e9, self.count, lambda: getter(next(slots)))


def naive(start: float, period: float, count: int, call: Callable[[], None]) -> None:
    """Sleep for a period between two calls."""
    time.sleep(max(0.0, start - time.monotonic()))
    for _ in range(count):
        call()
        time.sleep(period)


def anchored(start: float, period: float, count: int, call: Callable[[], None]) -> None:
    """Sleep until each slot."""
    for slot in range(count):
        rest = start + slot * period - time.monotonic()
        if rest > 0:
            time.sleep(rest)
        call()


def timers(start: float, period: float, count: int, call: Callable[[], None]) -> None:
    """Each timer makes the next, for the slot after its own."""
    over = threading.Event()

    def due(slot: int) -> None:
        call()
        if slot + 1 == count:
            over.set()
        else:
            make(slot + 1)

    def make(slot: int) -> None:
        rest = start + slot * period - time.monotonic()
        threading.Timer(max(0.0, rest), due, (slot,)).start()

    make(0)
    over.wait()


def scheduler(start: float, period: float, count: int, call: Callable[[], None]) -> None:
    """All slots in a sched.scheduler."""
    events = sched.scheduler(time.monotonic, time.sleep)
    for slot in range(count):
        events.enterabs(start + slot * period, 0, call)
    events.run()


def loop_of_asyncio(start: float, period: float, count: int, call: Callable[[], None]) -> None:
    """Each callback makes the next, by the loop's own clock."""

    async def run() -> None:
        loop = asyncio.get_running_loop()
        over = loop.create_future()

        def due(slot: int) -> None:
            call()
            if slot + 1 == count:
                over.set_result(None)
            else:
                loop.call_at(start + (slot + 1) * period, due, slot + 1)

        loop.call_at(start, due, 0)
        await over

    asyncio.run(run())


PYTHON = {
    "time.sleep, a period between calls": naive,
    "time.sleep, until the slot": anchored,
    "threading.Timer, one makes the next": timers,
    "sched.scheduler": scheduler,
    "asyncio, call_at": loop_of_asyncio,
}


def bench(quick: bool) -> Bench:
    """At 1 and 10 kHz; p50 of the best runs, p99 of all runs together."""
    loops = compiled("pacing.c")
    loops.pace_bare.argtypes = (ctypes.c_void_p,) * 2 + (ctypes.c_uint64,) + (ctypes.c_int64,) * 3
    loops.note_call.argtypes = (ctypes.c_void_p,)
    loops.punctual.restype = ctypes.c_double
    punctual = min(loops.punctual(ctypes.c_uint64(TURNS)) for _ in range(200))
    cases, claims = [], []
    for rate, spin in ((1_000, 100_000), (10_000, 10_000)):
        count = rate // 20 if quick else rate // 2
        case, ours, bare = f"{rate:,} Hz", f"fastrec, rate={rate}", "bare C loop, absolute sleep, same spin"
        cases.append(
            Case(
                case,
                [Recording(ours, loops, rate, count)],
                [
                    BareLoop(bare, loops, rate, count, spin),
                    *(PythonLoop(who, loops, rate, count, loop) for who, loop in PYTHON.items()),
                ],
            )
        )
        # A deadline falls anywhere in a turn of the loop that spins: below that there is nothing to compare.
        p50 = Claim(
            f"pacing.{rate}hz.p50.at_most", case, ours, bare, 1.2, unit=f"{LATE}, p50", floor=punctual
        )
        p99 = Claim(f"pacing.{rate}hz.p99.at_most", case, ours, bare, 1.5, unit=f"{LATE}, p99", pooled=True)
        claims += [p50, p99]
    return Bench(cases, claims)
