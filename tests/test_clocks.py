"""``clock="tsc"``: the processor's counter stamps, within a bound that `stats` tells."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
from waiting import until

import fastrec as fr
from fastrec.core.ring import tsc_refusal

SCHEMA = fr.Schema.from_dtype([("n", "<u8")], name="counted")

CLOCKSOURCE = "/sys/devices/system/clocksource/clocksource0/current_clocksource"

counted = pytest.mark.skipif(tsc_refusal() is not None, reason="the kernel does not keep time by the counter")


@counted
def test_pushes_are_stamped_within_the_bound() -> None:
    with fr.Recorder() as rec:
        channel = rec.add("n", schema=SCHEMA, clock="tsc")
        brackets = []
        for n in range(2000):
            before = time.monotonic_ns()
            channel.push(n.to_bytes(8, "little"))
            brackets.append((before, time.monotonic_ns()))
            if n % 500 == 0:
                time.sleep(0.02)  # longer than a line is followed
        stamps = channel.snapshot()["mono_ns"]
        off = channel.stats.clock_error
    assert 0 < off < 1_000_000
    assert (stamps[1:] >= stamps[:-1]).all()
    assert all(
        before - off <= stamp <= after + off
        for (before, after), stamp in zip(brackets, stamps.tolist(), strict=True)
    )


@counted
def test_polls_are_stamped_within_the_bound(tmp_path: Path) -> None:
    with fr.Recorder(tmp_path / "run.fastrec") as rec:
        flat = rec.add("flat", "linux:rusage", rate="max", clock="tsc", capacity=1 << 20)
        paced = rec.add("paced", "linux:rusage", rate=1000, clock="tsc", thread="other")
        plain = rec.add("plain", "linux:rusage", rate=1000, thread="other")
        before = time.monotonic_ns()
        first = flat.stats.recorded
        until(lambda: flat.stats.recorded > first + 10_000 and paced.stats.recorded > 100)
        stats, after = flat.stats, time.monotonic_ns()
        stamps = flat.snapshot()["mono_ns"]
        assert stats.clock_error and paced.stats.clock_error and not plain.stats.clock_error
    # One call may have begun before, and been interrupted; the one behind it begins where that one ended.
    inside = stamps[first + 2 : stats.recorded].tolist()
    assert before - stats.clock_error <= inside[0] and inside[-1] <= after + stats.clock_error
    run = fr.open(tmp_path / "run.fastrec")
    assert run.verify().ok
    for name in ("flat", "paced"):
        assert (run[name]["mono_ns"][1:] >= run[name]["mono_ns"][:-1]).all()


def test_a_counter_that_the_kernel_does_not_trust_is_refused(tmp_path: Path) -> None:
    """In a mount namespace in which the kernel says that it keeps time by another clock."""
    other = tmp_path / "current_clocksource"
    other.write_text("hpet\n")
    script = """
import fastrec as fr
rec = fr.Recorder()
try:
    rec.add("n", schema=[("n", "<u8")], clock="tsc")
except fr.SourceError as error:
    print(error)
print(sorted(rec.channels))
"""
    inner = f'mount --bind {other} {CLOCKSOURCE} && exec "$@"'
    command = ["unshare", "--mount", "sh", "-c", inner, "sh", sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    said, channels = done.stdout.splitlines()
    assert said.startswith("clock='tsc': the kernel does not keep time by the counter")
    assert said.endswith("leave clock= out") and channels == "[]"


def test_another_clock_is_refused() -> None:
    with pytest.raises(fr.SourceError, match="clock='rdtsc'; it is 'monotonic' or 'tsc'"):
        fr.Recorder().add("n", schema=SCHEMA, clock="rdtsc")
