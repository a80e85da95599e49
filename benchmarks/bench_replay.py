"""Replay at the recorded times: how late each record is, how far the end has drifted, what it costs.

All take the same records from memory and note when each came; what is said of a player is measured here, and
not what it says of itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

import fastrec
from benchmarks.harness import Bench, Case, Contestant, WrongAnswerError
from benchmarks.payloads import SCHEMA, compare, payloads, statuses

Heard = Callable[[int, str, object], None]


class Replay(Contestant):
    """Records at a rate, replayed by `play`.

    Parameters
    ----------
    who : str
    records : Records
    play : callable
        Takes the records and what is to be called with each.
    """

    def __init__(
        self, who: str, records: fastrec.Records, play: Callable[[fastrec.Records, Heard], object]
    ) -> None:
        super().__init__(who)
        self.records = records
        self.stamps = records["mono_ns"]
        self.play = play

    def run(self) -> dict[str, float]:
        self.came: list[tuple[int, np.void]] = []
        heard, now, cpu = self.came.append, time.monotonic_ns, time.thread_time_ns()
        self.play(self.records, lambda t, channel, record: heard((now(), record)))
        cpu = time.thread_time_ns() - cpu
        came = np.array([when for when, _ in self.came])
        late = came - self.stamps
        late -= (
            late.min()
        )  # when it was to begin is known to itself alone: the most punctual one is the measure
        p50, p99 = np.percentile(late, [50, 99])
        return {
            "us late, p50": float(p50) / 1e3,
            "us late, p99": float(p99) / 1e3,
            "us of drift, from first to last": abs(float(late[-20:].mean() - late[:20].mean())) / 1e3,
            "% of a core": 100 * cpu / int(came[-1] - came[0]),
        }

    def check(self) -> None:
        rows = np.array([record for _, record in self.came], SCHEMA.record_dtype)
        if not np.array_equal(rows["mono_ns"], self.stamps):
            raise WrongAnswerError(f"{self.who}: {len(rows)} records came, or in another order")
        compare(self.who, payloads(rows), statuses(1, len(self.stamps)))


def player(records: fastrec.Records, heard: Heard) -> None:
    """Ours."""
    fastrec.Player(records).run(heard)


def anchored(records: fastrec.Records, heard: Heard) -> None:
    """Sleep until the start and the record's distance from it."""
    begin, first = time.monotonic_ns(), records.start
    for record in records:
        stamp = int(record["mono_ns"])
        rest = begin + stamp - first - time.monotonic_ns()
        if rest > 0:
            time.sleep(rest / 1e9)
        heard(stamp, records.name, record)


def relative(records: fastrec.Records, heard: Heard) -> None:
    """Sleep for the distance from the record before."""
    before = records.start
    for record in records:
        stamp = int(record["mono_ns"])
        time.sleep((stamp - before) / 1e9)
        heard(stamp, records.name, record)
        before = stamp


def recorded(rate: int, seconds: float) -> fastrec.Records:
    """Records with stamps on the grid of a rate."""
    count = max(2, int(rate * seconds))
    with fastrec.Recorder() as recorder:
        channel = recorder.add("status", schema=SCHEMA, capacity=max(64, count))
        channel.extend(statuses(1, count), np.arange(1, count + 1) * (1_000_000_000 // rate))
        return channel.snapshot()


def bench(quick: bool) -> Bench:
    """At 1 and 10 kHz against two loops around time.sleep, one of which drifts."""
    cases = []
    for rate in (1_000, 10_000):
        records = recorded(rate, 0.05 if quick else 1.0)
        cases.append(
            Case(
                f"{rate:,} records a second",
                [Replay("fastrec.Player.run", records, player)],
                [
                    Replay("time.sleep, anchored to the start", records, anchored),
                    Replay("time.sleep, from record to record", records, relative),
                ],
            )
        )
    return Bench(cases, [])
