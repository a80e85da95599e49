"""Pacing in the real world: the process stands still, signals rain, the thread starves, a call blocks."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from children import PIPES, child
from grids import Grid, check_slots
from programs import build, load_apart
from seen import SEEN, seen
from waiting import until

import fastrec as fr
from fastrec.schema.gaps import Cause


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("pacing"), "pacing.c", "-shared", "-fPIC")


@pytest.fixture
def getters(library: Path, tmp_path: Path) -> ctypes.CDLL:
    """The library under a name of its own: nobody has called it yet."""
    return load_apart(library, tmp_path)


def trouble(
    getters: ctypes.CDLL,
    make: Callable[[fr.channel.Channel], object],
    *,
    hertz: Fraction | int = 1000,
    thread: str = "main",
    recorder: fr.Recorder | None = None,
) -> tuple[fr.channel.Channel, np.ndarray]:
    """A channel that was polled before, during and after some trouble, and the slot of each of its records.

    Every slot has been held against the grid by then, and the grid's end against the clock.
    """
    rec = recorder or fr.Recorder()
    channel = rec.add("a", seen(getters), rate=hertz, thread=thread)
    begun = time.monotonic_ns()
    rec.start()
    started = time.monotonic_ns()
    until(lambda: channel.stats.recorded >= 20)
    make(channel)
    until(lambda recorded=channel.stats.recorded: channel.stats.recorded >= recorded + 20)
    before = time.monotonic_ns()
    rec.stop()
    after = time.monotonic_ns()
    records = channel.snapshot()
    grid = Grid(channel.ring.core.account()["start"], hertz)
    assert begun < grid.start <= started
    assert grid.passed(before) - 1 <= channel.stats.slots <= grid.passed(after)
    slots = check_slots(grid, channel.stats, records["called"], records.gaps)
    assert records["number"].tolist() == list(range(2, len(records) + 2))  # 1 was the first call
    return channel, slots


@pytest.mark.parametrize("hertz", [1000, Fraction(44_100), Fraction(1_000_000, 7)])
def test_undisturbed(getters: ctypes.CDLL, hertz: Fraction | int) -> None:
    trouble(getters, lambda channel: time.sleep(0.1), hertz=hertz)


def test_spinning_is_paid_for(getters: ctypes.CDLL) -> None:
    """A tenth of the period, none of it, all of it: in this order `cpu` shows what punctuality costs."""
    spins = {"none": 0, "tenth": "auto", "all": "1ms"}
    with fr.Recorder() as rec:
        channels = {
            name: rec.add(name, seen(getters), rate=1000, spin=spin, thread=name)
            for name, spin in spins.items()
        }
        until(lambda: all(channel.stats.slots > 300 for channel in channels.values()))
        cpu = {name: channel.stats.cpu for name, channel in channels.items()}
    assert cpu["none"] < cpu["tenth"] < cpu["all"]


def test_a_call_that_blocks(getters: ctypes.CDLL) -> None:
    """For two seconds: the slots that it overran are one gap, each as late as it was; in_call tells it."""
    ctypes.c_int.in_dll(getters, "block_ms").value = 2_010

    def block(channel: fr.channel.Channel) -> None:
        ctypes.c_uint64.in_dll(getters, "block_at").value = channel.stats.recorded + 100
        rising = []
        until(lambda: channel.stats.in_call > 100_000_000)
        until(lambda: rising.append(channel.stats.in_call) or rising[-1] < rising[-2:][0])
        rising.pop()  # it has returned
        assert rising == sorted(rising) and rising[-1] > 1_000_000_000
        assert len(set(rising)) > 100

    channel, _ = trouble(getters, block)
    stats, records = channel.stats, channel.snapshot()
    blocked = int(np.diff(records["called"]).argmax())
    wide = records.gaps[records.gaps["count"] > 1_000]
    assert wide["seq"].tolist() == [blocked + 1]  # one gap, in its place: the pieces are joined
    # How many slots a call of that length overran, by the grid alone.
    assert wide["count"][0] == wide["t_last"][0] // 1_000_000 - wide["t_first"][0] // 1_000_000 + 1 >= 2_008
    assert stats.lateness.max >= 2_000_000_000 and stats.duration.max >= 2_010_000_000
    # The missed ones were late by up to two seconds, and are many more than the others.
    assert stats.missed > 2 * stats.recorded and stats.lateness.p50 > 500_000_000


def test_the_process_is_stopped_and_goes_on(library: Path, tmp_path: Path) -> None:
    """For half a second nothing of it runs: neither a slot nor a record is lost count of."""
    path = tmp_path / "run.fastrec"
    script = f"""
import ctypes, sys, fastrec as fr, numpy as np
getters = ctypes.CDLL({str(library)!r})
seen = fr.Call(getters.get_seen, fr.OUT, schema=np.dtype({SEEN.descr!r}))
with fr.Recorder({str(path)!r}, flush="5ms") as rec:
    channel = rec.add("a", seen, rate=1000)
    while channel.stats.recorded < 50: pass
    print(channel.ring.core.account()["start"], flush=True)
    sys.stdin.readline()
    recorded = channel.stats.recorded
    while channel.stats.recorded < recorded + 50: pass
"""
    with child([sys.executable, "-c", script], stdin=-1, **PIPES) as process:
        start = int(process.stdout.readline())
        tasks = Path(f"/proc/{process.pid}/task")

        def states() -> set[str]:
            return {(task / "stat").read_text().rpartition(")")[2].split()[0] for task in tasks.iterdir()}

        process.send_signal(signal.SIGSTOP)
        until(lambda: states() == {"T"})
        stopped = time.monotonic_ns()
        time.sleep(0.5)
        continued = time.monotonic_ns()
        process.send_signal(signal.SIGCONT)
        _, errors = process.communicate("\n", timeout=60)
        assert process.returncode == 0, errors
    run = fr.open(path)
    records, stats = run["a"], run.stats["a"]
    grid = Grid(start, 1000)
    check_slots(grid, _Counters(stats), records["called"], records.gaps)
    (wide,) = records.gaps[records.gaps["t_last"] - records.gaps["t_first"] > (continued - stopped) // 2]
    assert wide["t_first"] <= stopped + 1_000_000 and wide["t_last"] >= continued - 2_000_000
    assert run.verify().ok and stats["lateness"]["max"] >= continued - stopped - 2_000_000


class _Counters:
    """Statistics as they were stored."""

    def __init__(self, stats: dict[str, int]) -> None:
        self.__dict__.update(stats)


def test_signals_that_interrupt_every_wait(getters: ctypes.CDLL) -> None:
    """Ten thousand a second, for the process and for the polling thread, which a library made take them."""
    interrupted = ctypes.c_uint64.in_dll(getters, "interrupted")  # on the polling thread
    rec = fr.Recorder()
    rec.thread("sdk", start=[fr.Call(getters.take_signal, int(signal.SIGUSR2))])
    assert getters.take_signal(int(signal.SIGALRM)) == 0
    signal.setitimer(signal.ITIMER_REAL, 0.0001, 0.0001)
    try:

        def storm(channel: fr.channel.Channel) -> None:
            assert getters.storm_begin(int(channel.current()["thread"]), int(signal.SIGUSR2)) == 0
            seen = interrupted.value
            until(lambda: interrupted.value > seen + 2_000)
            getters.trouble_end()

        channel, _ = trouble(getters, storm, thread="sdk", recorder=rec)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number in (signal.SIGALRM, signal.SIGUSR2):
            signal.signal(number, signal.SIG_DFL)
    assert channel.stats.failed == 0


def test_a_thread_that_starves(getters: ctypes.CDLL) -> None:
    """Of the lowest class, on one processor, which another has for itself for a while."""
    rec = fr.Recorder()
    processor = max(os.sched_getaffinity(0))
    rec.thread("sdk", start=[fr.Call(getters.give_way)], affinity=processor)

    def starve(channel: fr.channel.Channel) -> None:
        assert os.sched_getscheduler(int(channel.current()["thread"])) == os.SCHED_IDLE
        missed = channel.stats.missed
        assert getters.hog_begin(processor) == 0
        time.sleep(0.3)
        getters.trouble_end()
        until(lambda: channel.stats.missed > missed)

    channel, slots = trouble(getters, starve, thread="sdk", recorder=rec)
    gaps = channel.snapshot().gaps
    assert set(gaps["cause"]) == {Cause.MISSED} and np.diff(slots).max() > 10
    assert channel.stats.lateness.max > 10_000_000
