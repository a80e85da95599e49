"""The wait for a deadline: never early, honest about how late, and nobody else stands still meanwhile."""

from __future__ import annotations

import ctypes
import signal
import threading
import time

import pytest

from fastrec.core.pacer import Pacer
from fastrec.core.poller import QUANTILES

MS = 1_000_000
PR_GET_TIMERSLACK = 30


@pytest.mark.parametrize("spin", [0, 100_000, 10 * MS])
def test_never_early(spin: int) -> None:
    pacer = Pacer(spin)
    start = time.monotonic_ns()
    for number in range(50):
        deadline = start + number * MS
        pacer.wait(deadline)
        assert time.monotonic_ns() >= deadline
    assert pacer.lateness[-1] >= 0


def test_nothing_yet() -> None:
    assert Pacer().lateness == (-1,) * (len(QUANTILES) + 1)


def test_how_late_it_was() -> None:
    """Deadlines that have passed by known times: the quantiles are those, but for a 32nd and our own time."""
    pacer = Pacer()
    began = time.monotonic_ns()
    for late in (10_000 * MS, *[1_000 * MS] * 98, 100 * MS):
        pacer.wait(time.monotonic_ns() - late)
    took = time.monotonic_ns() - began
    lateness = dict(zip((*QUANTILES, 1.0), pacer.lateness, strict=True))
    for quantile, late in ((0.5, 1_000 * MS), (0.9, 1_000 * MS), (0.99, 1_000 * MS), (0.999, 10_000 * MS)):
        assert late <= lateness[quantile] <= (late + took) * 33 / 32
    assert 10_000 * MS <= lateness[1.0] <= 10_000 * MS + took


@pytest.mark.parametrize("spin", [0, 10_000 * MS])
def test_other_threads_go_on(spin: int) -> None:
    """Asleep or spinning, the GIL is theirs: they do about as much as without us."""
    count, done = 0, threading.Event()

    def work() -> None:
        nonlocal count
        while not done.is_set():
            count += 1

    thread = threading.Thread(target=work)
    thread.start()
    try:
        before = count
        time.sleep(0.3)
        alone, before = count - before, count
        Pacer(spin).wait(time.monotonic_ns() + 300 * MS)
        assert count - before > alone / 10
    finally:
        done.set()
        thread.join()


def test_the_wait_for_the_gil_counts() -> None:
    """Whoever waits can do nothing before it has the GIL again; that is late, too."""
    hold = ctypes.PyDLL(None).usleep  # a foreign call that does not give the GIL up
    pacer, ready = Pacer(), threading.Event()

    def work() -> None:
        ready.wait()
        hold(100_000)

    thread = threading.Thread(target=work)
    thread.start()
    deadline = time.monotonic_ns() + 50 * MS
    ready.set()
    pacer.wait(deadline)
    late = time.monotonic_ns() - deadline
    thread.join()
    assert late > 10 * MS and pacer.lateness[-1] > 10 * MS


@pytest.mark.parametrize("to_main", [True, False])
def test_an_interrupt_ends_the_wait(to_main: bool) -> None:
    """Also one that another thread of ours was sent, which does not end the sleep of this one."""
    main = threading.get_ident()

    def interrupt() -> None:
        time.sleep(0.1)
        signal.pthread_kill(main if to_main else threading.get_ident(), signal.SIGINT)
        time.sleep(0.1)

    thread = threading.Thread(target=interrupt)
    deadline = time.monotonic_ns() + 20_000 * MS
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        Pacer().wait(deadline)
    assert time.monotonic_ns() < deadline
    thread.join()


def test_a_handler_that_raises_nothing_ends_nothing() -> None:
    seen: list[int] = []
    before = signal.signal(signal.SIGUSR1, lambda number, frame: seen.append(number))
    try:
        deadline = time.monotonic_ns() + 150 * MS
        timer = threading.Timer(0.05, signal.pthread_kill, (threading.get_ident(), signal.SIGUSR1))
        timer.start()
        Pacer().wait(deadline)
        assert seen == [signal.SIGUSR1] and time.monotonic_ns() >= deadline
        timer.join()
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_the_timer_slack_stays_the_threads_own() -> None:
    prctl = ctypes.CDLL(None).prctl
    before = prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0)
    Pacer().wait(time.monotonic_ns() + 5 * MS)
    assert prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0) == before > 0


def test_a_spin_below_nothing() -> None:
    with pytest.raises(ValueError, match="from 0 on"):
        Pacer(-1)
