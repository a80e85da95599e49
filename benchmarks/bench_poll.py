"""Polling a C getter: flat out against a bare loop in C, and what a paced channel costs.

Both call one getter through a pointer and keep as many records. The bare loop runs on this thread, the
poller on its own, while this one sleeps. Cold: the ring, and the array, are larger than any cache, so that
each record goes to lines that nobody has.
"""

from __future__ import annotations

import ctypes
import time

import numpy as np

import fastrec
from benchmarks import rivals
from benchmarks.harness import Bench, Case, Claim, Contestant, Timed, WrongAnswerError
from benchmarks.payloads import SCHEMA, compare, compare_stamps, payloads, statuses
from benchmarks.watching import PARTS, ns_per_poll
from fastrec.core.ring import tsc_refusal
from fastrec.ring import Clocked

CAPACITY = 65536
COLD_CAPACITY = 4 << 20  # of 40 bytes each
GUARD = 64  # slots of a ring beyond its capacity
PACED_HZ = 10_000


_OURS = {"monotonic": 'fastrec, rate="max"', "tsc": 'fastrec, rate="max", clock="tsc"'}
_BARE = {"monotonic": "bare C loop", "tsc": "bare C loop with rdtsc"}


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
    capacity : int
        Records of the ring.
    clock : str
        What stamps.
    """

    def __init__(
        self,
        who: str,
        loops: ctypes.CDLL,
        rate: float | str,
        seconds: float,
        *,
        capacity: int = CAPACITY,
        clock: Clocked = "monotonic",
    ) -> None:
        super().__init__(who)
        self.loops = loops
        self.calls = ctypes.c_uint64.in_dll(loops, "calls")
        self.rate = rate
        self.seconds = seconds
        self.capacity = capacity
        self.clock = clock

    def run(self) -> dict[str, float]:
        self.first = self.calls.value + 1  # the probe call takes a number, and no slot
        self.begin = time.monotonic_ns()
        with fastrec.Recorder() as recorder:
            getter = fastrec.Call(self.loops.get_status, fastrec.OUT, schema=SCHEMA)
            self.channel = recorder.add(
                "status", getter, rate=self.rate, capacity=self.capacity, clock=self.clock
            )
            figures = self.watch()
        self.end = time.monotonic_ns()
        return figures

    def watch(self) -> dict[str, float]:
        """Seen from outside."""
        return {"ns/poll": ns_per_poll(self.channel, self.seconds)}

    def check(self) -> None:
        stats, records = self.channel.stats, self.channel.snapshot()
        called = self.calls.value - self.first
        if stats.recorded != called or stats.slots != called + stats.missed:
            raise WrongAnswerError(
                f"{self.who}: {called} calls, {stats.recorded} recorded, "
                f"{stats.missed} missed of {stats.slots} slots"
            )
        rows = records.to_numpy()
        count = min(called, self.capacity)
        compare(self.who, payloads(rows), statuses(self.first + called - count, count))
        off = stats.clock_error
        compare_stamps(self.who, rows["mono_ns"], self.begin - off, self.end + off)


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
    """{call, clock, memcpy into an array}, in C.

    Parameters
    ----------
    who : str
    loops : ctypes.CDLL
    polls : int
    clock : str
        What stamps: as fastrec's, but the bare counter in its own ticks.
    capacity : int
        Records of the array, beside as many as a ring keeps free.
    """

    def __init__(
        self, who: str, loops: ctypes.CDLL, polls: int, clock: Clocked, capacity: int = CAPACITY
    ) -> None:
        super().__init__(who, "ns/poll", polls // PARTS)
        self.loop = {"monotonic": loops.poll_bare, "tsc": loops.poll_bare_tsc}[clock]
        self.now = {"monotonic": loops.monotonic, "tsc": loops.counter}[clock]
        self.calls = ctypes.c_uint64.in_dll(loops, "calls")
        self.getter = ctypes.cast(loops.get_status, ctypes.c_void_p)
        self.array = np.zeros(capacity + GUARD, SCHEMA.record_dtype)
        self.array["mono_ns"] = 1  # pages are there before the first run, as those of a ring are

    def prepare(self, turn: int) -> None:
        super().prepare(turn)
        self.first = self.calls.value

    def run(self) -> dict[str, float]:
        self.slot, self.failed, self.begin = ctypes.c_uint64(0), 0, self.now()
        figures = [super(BareLoop, self).run() for _ in range(PARTS)]
        self.end = self.now()
        return min(figures, key=lambda figure: figure[self.unit])

    def work(self) -> None:
        self.failed += self.loop(
            self.getter, self.array.ctypes.data, len(self.array), ctypes.byref(self.slot), self.operations
        )

    def check(self) -> None:
        called = self.calls.value - self.first
        if self.failed or called != self.operations * PARTS:
            raise WrongAnswerError(
                f"{self.who}: {called} calls, {self.failed} failed, of {self.operations * PARTS}"
            )
        count = min(called, len(self.array))
        places = np.arange(called - count, called) % len(self.array)
        compare(self.who, payloads(self.array)[places], statuses(self.first + called - count, count))
        compare_stamps(self.who, self.array["mono_ns"][places], self.begin, self.end)


def _flat_out(
    name: str, loops: ctypes.CDLL, clock: Clocked, capacity: int, seconds: float, polls: int
) -> Case:
    ours = Polling(_OURS[clock], loops, "max", seconds, capacity=capacity, clock=clock)
    return Case(name, [ours], [BareLoop(_BARE[clock], loops, polls, clock, capacity)])


def bench(quick: bool) -> Bench:
    """Flat out in ns per poll, by both clocks; at 10 kHz the share of a core, lateness and missed slots."""
    loops = rivals.bare_loops()
    seconds, polls = (0.01, 200_000) if quick else (0.2, 4_000_000)
    cold = COLD_CAPACITY // 64 if quick else COLD_CAPACITY
    cases = [_flat_out("flat out", loops, "monotonic", CAPACITY, seconds, polls)]
    cases.append(_flat_out("flat out, cold", loops, "monotonic", cold, seconds, polls))
    claims = [Claim("poll.bare_loop.at_most", "flat out", _OURS["monotonic"], _BARE["monotonic"], 1.10)]
    if not tsc_refusal():
        cases.append(_flat_out("flat out, tsc", loops, "tsc", CAPACITY, seconds, polls))
        cases.append(_flat_out("flat out, tsc, cold", loops, "tsc", cold, seconds, polls))
        claims.append(Claim("poll.bare_loop_tsc.at_most", "flat out, tsc", _OURS["tsc"], _BARE["tsc"], 1.15))
    pacing = Pacing(f"fastrec, rate={PACED_HZ}", loops, PACED_HZ, 0.02 if quick else 0.5)
    return Bench([*cases, Case(f"paced, {PACED_HZ} Hz", [pacing])], claims)
