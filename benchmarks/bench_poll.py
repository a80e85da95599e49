"""Polling a C getter: flat out against a bare loop in C, and what a paced channel costs.

Both call one getter through a pointer and keep as many records. The bare loop runs on this thread, the
poller on its own, while this one sleeps.
"""

from __future__ import annotations

import ctypes
import time

import numpy as np

import fastrec
from benchmarks import rivals
from benchmarks.harness import Bench, Case, Claim, Contestant, Timed, WrongAnswerError
from benchmarks.payloads import SCHEMA, compare, compare_stamps, payloads, statuses

CAPACITY = 65536
GUARD = 64  # slots of a ring beyond its capacity
PACED_HZ = 10_000


class Polling(Contestant):
    """A recorder with one channel, made anew for every run.

    Parameters
    ----------
    who : str
    loops : ctypes.CDLL
        bare.c.
    rate : float or "max"
    seconds : float
        How long it is watched.
    """

    def __init__(self, who: str, loops: ctypes.CDLL, rate: float | str, seconds: float) -> None:
        super().__init__(who)
        self.loops = loops
        self.calls = ctypes.c_uint64.in_dll(loops, "calls")
        self.rate = rate
        self.seconds = seconds

    def run(self) -> dict[str, float]:
        self.first = self.calls.value + 1  # the probe call takes a number, and no slot
        self.begin = time.monotonic_ns()
        with fastrec.Recorder() as recorder:
            getter = fastrec.Call(self.loops.get_status, fastrec.OUT, schema=SCHEMA)
            self.channel = recorder.add("status", getter, rate=self.rate, capacity=CAPACITY)
            figures = self.watch()
        self.end = time.monotonic_ns()
        return figures

    def watch(self) -> dict[str, float]:
        """Polls in a time, both by the clock of this thread."""
        while not self.channel.stats.slots:
            time.sleep(0.001)
        slots, begin = self.channel.stats.slots, time.perf_counter_ns()
        time.sleep(self.seconds)
        slots, elapsed = self.channel.stats.slots - slots, time.perf_counter_ns() - begin
        return {"ns/poll": elapsed / slots}

    def check(self) -> None:
        stats, records = self.channel.stats, self.channel.snapshot()
        called = self.calls.value - self.first
        if stats.recorded != called or stats.slots != called + stats.missed:
            raise WrongAnswerError(
                f"{self.who}: {called} calls, {stats.recorded} recorded, "
                f"{stats.missed} missed of {stats.slots} slots"
            )
        rows = records.to_numpy()
        count = min(called, CAPACITY)
        compare(self.who, payloads(rows), statuses(self.first + called - count, count))
        compare_stamps(self.who, rows["mono_ns"], self.begin, self.end)


class Pacing(Polling):
    """What a paced channel says of itself; whether that is true, `pacing` measures from outside."""

    def watch(self) -> dict[str, float]:
        time.sleep(self.seconds)
        stats = self.channel.stats
        late = {"p50": stats.lateness.p50, "p90": stats.lateness.p90, "p99": stats.lateness.p99}
        late |= {"p99.9": stats.lateness.p999, "max": stats.lateness.max}
        return {
            "% of a core": 100 * stats.cpu,
            **{f"ns late, {name}": float(value) for name, value in late.items()},
            "missed slots, %": 100 * stats.missed / stats.slots,
        }


class BareLoop(Timed):
    """{call, clock_gettime, memcpy into an array}, in C."""

    def __init__(self, who: str, loops: ctypes.CDLL, polls: int) -> None:
        super().__init__(who, "ns/poll", polls)
        self.loops = loops
        self.calls = ctypes.c_uint64.in_dll(loops, "calls")
        self.getter = ctypes.cast(loops.get_status, ctypes.c_void_p)
        self.array = np.zeros(CAPACITY + GUARD, SCHEMA.record_dtype)
        self.array["mono_ns"] = 1  # pages are there before the first run, as those of a ring are

    def prepare(self, turn: int) -> None:
        super().prepare(turn)
        self.first = self.calls.value

    def work(self) -> None:
        self.begin = time.monotonic_ns()
        self.failed = self.loops.poll_bare(
            self.getter, self.array.ctypes.data, len(self.array), self.operations
        )
        self.end = time.monotonic_ns()

    def check(self) -> None:
        called = self.calls.value - self.first
        if self.failed or called != self.operations:
            raise WrongAnswerError(f"{self.who}: {called} calls, {self.failed} failed, of {self.operations}")
        count = min(called, len(self.array))
        places = np.arange(called - count, called) % len(self.array)
        compare(self.who, payloads(self.array)[places], statuses(self.first + called - count, count))
        compare_stamps(self.who, self.array["mono_ns"][places], self.begin, self.end)


def bench(quick: bool) -> Bench:
    """Flat out in ns per poll; at 10 kHz the share of a core, lateness and missed slots."""
    loops = rivals.bare_loops()
    seconds, polls = (0.01, 200_000) if quick else (0.2, 4_000_000)
    flat = Case(
        "flat out",
        [Polling('fastrec, rate="max"', loops, "max", seconds)],
        [BareLoop("bare C loop", loops, polls)],
    )
    pacing = Pacing(f"fastrec, rate={PACED_HZ}", loops, PACED_HZ, 0.02 if quick else 0.5)
    paced = Case(f"paced, {PACED_HZ} Hz", [pacing])
    claim = Claim("poll.bare_loop.at_most", "flat out", 'fastrec, rate="max"', "bare C loop", 1.10)
    return Bench([flat, paced], [claim])
