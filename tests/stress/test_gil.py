"""Another thread holds the GIL: what records does not notice."""

from __future__ import annotations

import ctypes
import statistics
import threading
import time
from pathlib import Path

import pytest

import fastrec as fr

pytestmark = pytest.mark.once  # a long way through code that is the same wherever the package lies

HOLD = ctypes.PyDLL(None).usleep  # a foreign call that does not give the GIL up
SECONDS = 5
LEAST, MOST = 3, 8
"""Runs of either kind: what else the machine does falls on either, in some minutes more than in others."""


def record(path: Path, *, held: bool) -> tuple[fr.Recorder, int]:
    """Statistics of a run at 100 kHz; how many deadlines were missed while the GIL was held, or was not."""
    with fr.Recorder(path) as rec:
        channel = rec.add("cpu", "linux:rusage", rate=100_000)
        time.sleep(0.2)
        before = channel.stats.missed
        if held:
            thread = threading.Thread(target=HOLD, args=(SECONDS * 1_000_000,))
            began = time.monotonic()
            thread.start()
            thread.join()
            assert time.monotonic() - began >= SECONDS
        else:
            time.sleep(SECONDS)
        missed = channel.stats.missed - before
    return channel.stats, missed


def test_held_for_five_seconds(tmp_path: Path) -> None:
    """At 100 kHz nothing is overwritten, dropped or lost to the disk; no more is missed than without."""
    missed: dict[bool, list[int]] = {True: [], False: []}
    for number in range(2 * MOST):
        held = number % 2 == 0
        path = tmp_path / f"{number}.fastrec"
        stats, lost = record(path, held=held)
        assert stats.overwritten == stats.dropped == stats.disk == stats.failed == 0
        assert stats.slots == stats.recorded + stats.missed > SECONDS * 100_000
        assert stats.written == stats.durable == stats.recorded == len(fr.open(path)["cpu"])
        missed[held].append(lost)
        if len(missed[False]) >= LEAST and not held and costs_nothing(missed):
            return
    assert costs_nothing(missed), missed


def costs_nothing(missed: dict[bool, list[int]]) -> bool:
    """Whether a run with the GIL held is, by the median, as good as one without, but for half as much again
    and a thousandth of the slots: by so much do runs differ that are alike.
    """
    held, free = (statistics.median(missed[one]) for one in (True, False))
    return held <= 1.5 * free + SECONDS * 100_000 / 1000
