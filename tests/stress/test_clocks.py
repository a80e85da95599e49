"""Clocks that are set, a machine that sleeps, a process that stands still, starves or has its GIL kept.

All of it goes on at the same time, each in a process of its own: what one waits for is no time lost.
"""

from __future__ import annotations

import mmap
import os
import shutil
import struct
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from children import child
from programs import build
from troubled import Trouble, check_account, troubled
from waiting import until

import fastrec as fr
from fastrec.schema.gaps import Cause

pytestmark = pytest.mark.once  # a long way through code that is the same wherever the package lies

MS, S = 10**6, 10**9
HOUR = 3600 * S
REGULAR = 10 * S
"""From one reading of the clocks to the next, where nothing happens."""

MOVES = [
    ("step", HOUR),
    ("step", -2 * HOUR),
    ("step", 50 * MS),
    ("step", -S),
    ("suspend", 1800 * S),
    ("suspend", 3 * HOUR),
]
STOPS = (0.3, 1.5, 0.05)
STARVED_SECONDS = 3.0
HELD_SECONDS = 10.0


class Clocks:
    """How far a process's clock of dates, and the one that counts sleep, are from the system's."""

    def __init__(self, path: Path) -> None:
        path.write_bytes(bytes(16))
        self.path = path
        with path.open("r+b") as file:
            self._moved = mmap.mmap(file.fileno(), 16)

    def move(self, kind: str, by: int) -> None:
        date, asleep = struct.unpack("qq", self._moved)
        self._moved[:] = struct.pack("qq", date + by, asleep + (by if kind == "suspend" else 0))


def count(path: Path) -> int:
    """Rows that a header counts. Not `numpy.load`: CPython 3.11 cannot parse in two threads at once."""
    with path.open("rb") as file:
        return int(file.read(32)[24:])


def moved(path: Path, library: Path) -> tuple[int, Path]:
    """Set the clocks of a process that records; another one goes on with a copy after a sleep: slot 0, it."""
    clocks = Clocks(path.with_suffix(".clocks"))
    preloaded = {"LD_PRELOAD": str(library), "FASTREC_CLOCKS": str(clocks.path)}
    with troubled(path, library, **preloaded) as process:
        process.go()
        for kind, by in MOVES:
            before = count(path / "clocks.npy")
            with process.stopped():
                clocks.move(kind, by)
            until(lambda before=before: count(path / "clocks.npy") > before)
            process.go()
        process.end()
    again = path.with_name("again.fastrec")
    shutil.copytree(path, again)
    clocks.move("suspend", HOUR)
    clocks.move("step", -7 * HOUR)
    with troubled(again, library, **preloaded) as second:
        second.go()
        second.end()
    return process.start, again


class Stop(NamedTuple):
    """When a process stood still, by the monotonic clock."""

    begin: int
    end: int


def stopped(path: Path, library: Path) -> tuple[int, list[Stop]]:
    """Stop a process again and again."""
    stops = []
    with troubled(path, library) as process:
        process.go()
        for seconds in STOPS:
            with process.stopped():
                begin = time.monotonic_ns()
                time.sleep(seconds)
                stops.append(Stop(begin, time.monotonic_ns()))
            process.go()
        process.end()
    return process.start, stops


def starved(path: Path, library: Path) -> tuple[int, list[Stop]]:
    """Leave a process what two greedy ones leave of one processor to the lowest class."""
    core = {max(os.sched_getaffinity(0))}
    with troubled(path, library) as process, ExitStack() as hogs:
        process.go()
        for task in process.tasks():
            os.sched_setaffinity(task, core)
            os.sched_setscheduler(task, os.SCHED_IDLE, os.sched_param(0))
        begin = time.monotonic_ns()
        for _ in range(2):
            hog = hogs.enter_context(child(["sh", "-c", "while :; do :; done"]))
            os.sched_setaffinity(hog.pid, core)
        time.sleep(STARVED_SECONDS)
        end = time.monotonic_ns()
        hogs.close()
        process.go()
        process.end()
    return process.start, [Stop(begin, end)]


def held(path: Path, library: Path) -> tuple[int, int, list[int]]:
    """Keep the GIL, and look from outside how many records the file has, until it is given up."""
    records = path / "channels" / "polled" / "records.000000.npy"
    with troubled(path, library) as process:
        process.go()
        process.tell(f"hold {HELD_SECONDS}")
        assert process.line() == "holding"
        begin, counts = time.monotonic_ns(), []
        while process.quiet():
            counts.append(count(records))
            time.sleep(0.02)
        took = time.monotonic_ns() - begin
        assert process.line() == "done hold"
        process.go()
        process.end()
    return process.start, took, counts


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("troubled")


@pytest.fixture(scope="module")
def troubles(folder: Path) -> Iterator[dict[str, Future]]:
    library = build(folder, "moved_clocks.c", "-shared", "-fPIC")
    with ThreadPoolExecutor() as pool:
        yield {
            kind.__name__: pool.submit(kind, folder / f"{kind.__name__}.fastrec", library)
            for kind in (moved, stopped, starved, held)
        }


def off(run: fr.Recording) -> np.ndarray:
    """By how many ns dates are wrong: none where a reading between two of the monotonic clock fits."""
    polled = run["polled"]
    early = polled["date"] - run.clock.walls(polled["after"])
    late = run.clock.walls(polled["called"]) - polled["date"]
    return np.maximum(np.maximum(early, late), 0)


def check_moves(run: fr.Recording, moves: list[tuple[str, int]]) -> None:
    """Each was told, between the records around it; dates are right but from there to the next reading."""
    polled = run["polled"]
    doubt = 2 * int(run.readings["uncertainty"].max()) + 1000  # the system's own clocks keep step
    sure = np.flatnonzero(polled["after"] - polled["called"] < 10 * MS)  # what it looked at is of one moment
    called = polled["called"][sure]
    jumps = np.flatnonzero(np.abs(np.diff(polled["date"][sure] - called)) > 30 * MS) + 1
    assert [kind for kind, _ in moves] == [event.kind for event in run.clock_events]
    right = np.ones(len(polled), bool)
    for event, (_, by), jump in zip(run.clock_events, moves, jumps, strict=True):
        assert abs(event.by_ns - by) <= doubt
        assert event.after <= called[jump] and called[jump - 1] <= event.before
        right &= (polled["called"] <= called[jump - 1]) | (polled["called"] >= event.before)
    assert off(run)[right].max() <= doubt and right.sum() > 0.5 * len(right)


def test_clocks_that_are_set_and_a_machine_that_sleeps(troubles: dict[str, Future], folder: Path) -> None:
    """Forward, back, by little; asleep: told at once, with its size and place; stamps and accounts go on."""
    start, _ = troubles["moved"].result()
    trouble = check_account(folder / "moved.fastrec", start)
    check_moves(trouble.run, MOVES)
    for event in trouble.run.clock_events:
        assert event.before - event.after < REGULAR, "nobody noticed before the next reading was due"


def test_going_on_after_a_sleep_and_a_clock_that_was_set(troubles: dict[str, Future]) -> None:
    """Between two sessions of one boot: numbers, stamps and dates go on."""
    _, again = troubles["moved"].result()
    run = fr.open(again)
    report = run.verify()
    assert report.ok, report.problems
    events = run.clock_events
    assert [(one.kind, round(one.by_ns / S)) for one in events[len(MOVES) :]] == [
        ("suspend", 3600),
        ("step", -7 * 3600),
    ]
    assert all(one.after < run.sessions[1]["start_ns"] <= one.before for one in events[len(MOVES) :])
    polled = run["polled"]
    assert polled.seq.tolist() == list(range(len(polled))) and (np.diff(polled["mono_ns"]) > 0).all()
    later = polled["mono_ns"] >= run.sessions[1]["start_ns"]
    doubt = 2 * int(run.readings["uncertainty"].max()) + 1000
    assert later.sum() >= 100 and off(run)[later].max() <= doubt


def check_missed(trouble: Trouble, stop: Stop) -> None:
    """No call was made meanwhile, and every deadline that passed is in one gap, with the time it had."""
    polled, period = trouble.run["polled"], S // 1000
    assert not ((polled["called"] > stop.begin) & (polled["called"] < stop.end)).any()
    gaps = polled.gaps[polled.gaps["cause"] == Cause.MISSED]
    (wide,) = gaps[(gaps["t_first"] < stop.end - 2 * period) & (gaps["t_last"] > stop.begin + 2 * period)]
    assert wide["t_first"] <= stop.begin + 2 * period and wide["t_last"] >= stop.end - 2 * period
    assert wide["code"] == 0 and wide["count"] >= (stop.end - stop.begin) // period - 2


def test_a_process_that_is_stopped(troubles: dict[str, Future], folder: Path) -> None:
    start, stops = troubles["stopped"].result()
    trouble = check_account(folder / "stopped.fastrec", start)
    for stop in stops:
        check_missed(trouble, stop)
    stats = trouble.run.stats
    for name in ("polled", "held"):
        assert stats[name]["lateness"]["max"] >= (max(STOPS) * S) - 2 * MS
    held = trouble.run["held"]
    for stop in stops:
        assert not ((held["mono_ns"] < stop.end) & (held["until_ns"] > stop.begin)).any(), "held over a gap"


def test_a_process_that_starves(troubles: dict[str, Future], folder: Path) -> None:
    start, (famine,) = troubles["starved"].result()
    trouble = check_account(folder / "starved.fastrec", start)
    called = trouble.run["polled"]["called"]
    due = (famine.end - famine.begin) // MS
    served = int(((called > famine.begin) & (called < famine.end)).sum())
    assert served < due * 0.9, "it did not starve"
    missed = trouble.run["polled"].gaps
    inside = missed[(missed["t_last"] > famine.begin) & (missed["t_first"] < famine.end)]
    assert served + int(inside["count"].sum()) >= due - 2


def test_the_gil_is_held_for_ten_seconds(troubles: dict[str, Future], folder: Path) -> None:
    """Polls go on, and so does the spooler: the file grows all the while."""
    start, took, counts = troubles["held"].result()
    assert took >= HELD_SECONDS * S
    trouble = check_account(folder / "held.fastrec", start)
    for stats in trouble.run.stats.values():
        assert stats["overwritten"] == stats["disk"] == 0 and stats["written"] == stats["durable"]
    grown = np.flatnonzero(np.diff(counts))
    assert len(grown) > 20 and np.diff(grown).max() < len(counts) / 2, counts
    # What was polled before the end of the hold but for one flush was on the disk by then.
    assert counts[-1] - counts[0] > 0.5 * len(trouble.run["polled"]) * took / _span(trouble)


def _span(trouble: Trouble) -> int:
    called = trouble.run["polled"]["called"]
    return int(called[-1] - called[0])
