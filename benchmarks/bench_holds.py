"""A status that does not change: what its polls cost, and its records on disk, with either `store`.

Flat out both stores poll one getter that fills the same struct every time; their rings are what a recorder
gives them unasked, which is more than the processor's caches. On disk each records it at 1 kHz
for some seconds: the bytes of the channel's rows, extrapolated to an hour; what was missed meanwhile costs
either of them rows of its own.
"""

from __future__ import annotations

import ctypes
import tempfile
from pathlib import Path

import numpy as np

import fastrec
from benchmarks import rivals
from benchmarks.harness import Bench, Case, Claim, Contestant, WrongAnswerError
from benchmarks.payloads import SCHEMA, compare, statuses
from benchmarks.watching import ns_per_poll
from fastrec.schema.forms import Store

PACED_HZ = 1000
HOUR_NS = 3_600_000_000_000


class Steady(Contestant):
    """A recorder with one channel of one status, made anew for every run, which has another status.

    Parameters
    ----------
    store : {"every", "changes"}
    loops : ctypes.CDLL
        bare.c.
    times : {1, 8}
        How often the status is in the struct that is polled.
    seconds : float
        How long it is watched.
    """

    rate: float | str = "max"

    def __init__(self, store: Store, loops: ctypes.CDLL, times: int, seconds: float) -> None:
        super().__init__(f'store="{store}"')
        self.store = store
        self.calls = ctypes.c_uint64.in_dll(loops, "calls")
        self.steady = ctypes.c_uint64.in_dll(loops, "steady")
        self.getter = loops.get_steady if times == 1 else loops.get_steady_8
        self.dtype = np.dtype([("each", SCHEMA.dtype, (times,))])
        self.seconds = seconds

    def prepare(self, turn: int) -> None:
        super().prepare(turn)
        self.steady.value = turn + 1

    def record(self, path: Path | None) -> float:
        """ns per poll while it was watched."""
        self.first = self.calls.value + 1  # the probe call takes a number, and no slot
        with fastrec.Recorder(path) as recorder:
            getter = fastrec.Call(self.getter, fastrec.OUT, schema=self.dtype)
            channel = recorder.add("status", getter, rate=self.rate, store=self.store)
            figure = ns_per_poll(channel, self.seconds)
        self.called = self.calls.value - self.first
        self.stats = channel.stats
        self.keep(channel.snapshot())
        return figure

    def keep(self, records: fastrec.Records) -> None:
        """For `check`."""
        self.rows, self.polls = records.to_numpy(), records.polls

    def run(self) -> dict[str, float]:
        return {"ns/poll": self.record(None)}

    def check(self) -> None:
        stats, rows = self.stats, self.rows
        recorded = 1 if self.store == "changes" else self.called
        if stats.recorded != recorded or stats.recorded + stats.held != self.called:
            raise WrongAnswerError(
                f"{self.who}: {self.called} calls, {stats.recorded} recorded, {stats.held} held"
            )
        told = self.polls + (stats.published - len(rows) if self.store == "every" else 0)
        if told != self.called:
            raise WrongAnswerError(f"{self.who}: {self.called} calls, {told} in the records")
        stored = rows["each"].reshape(-1)
        compare(self.who, stored, np.repeat(statuses(self.turn + 1, 1), len(stored)))


class OnDisk(Steady):
    """The same at 1 kHz, into a recording of its own."""

    rate = PACED_HZ

    def run(self) -> dict[str, float]:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "run.fastrec")
            self.record(path)
            run = fastrec.open(path)
            files = (path / "channels" / "status").glob("*.npy")
            written = sum(np.load(file, mmap_mode="r").nbytes for file in files)
            records = run["status"]
            self.keep(records)
            return {"kB/hour": written / 1000 * HOUR_NS / (records.end - records.start)}


def bench(quick: bool) -> Bench:
    """Flat out in ns per poll; at 1 kHz in kB per hour."""
    loops = rivals.bare_loops()
    flat, paced = (0.01, 0.05) if quick else (0.2, 4.0)
    cases = [
        Case(
            f"flat out, one status of {SCHEMA.size * times} bytes",
            [Steady("changes", loops, times, flat)],
            [Steady("every", loops, times, flat)],
        )
        for times in (1, 8)
    ]
    disk = Case(
        f"on disk at {PACED_HZ} Hz, one status, extrapolated",
        [OnDisk("changes", loops, 1, paced)],
        [OnDisk("every", loops, 1, paced)],
    )
    claims = [
        Claim(f"holds.{name}.at_least", case.name, 'store="every"', 'store="changes"', 1.0)
        for name, case in zip(("small", "large"), cases, strict=True)
    ]
    return Bench([*cases, disk], claims)
