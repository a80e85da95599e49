"""PyCall: Python functions keep the deadlines and the accounts of every source."""

from __future__ import annotations

import ctypes
import errno
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tasks import tasks
from waiting import until

import fastrec as fr
from fastrec.schema.gaps import Cause

DTYPE = np.dtype([("n", "<i4"), ("pad", "<i4"), ("level", "<f8")])


class Status(ctypes.Structure):
    _fields_ = [("n", ctypes.c_int32), ("pad", ctypes.c_int32), ("level", ctypes.c_double)]


def balanced(stats: fr.stats.Stats) -> bool:
    return stats.slots == stats.recorded + stats.held + stats.missed + stats.failed + stats.dropped


FORMS: list[Callable[[int], Any]] = [
    lambda n: np.array((n, 0, n / 2), DTYPE).tobytes(),
    lambda n: bytearray(np.array((n, 0, n / 2), DTYPE).tobytes()),
    lambda n: Status(n, 0, n / 2),
    lambda n: np.array((n, 0, n / 2), DTYPE),
    lambda n: np.array([(n, 0, n / 2)], DTYPE)[0],
    lambda n: {"n": n, "pad": 0, "level": n / 2},
    lambda n: (n, 0, n / 2),
]


@pytest.mark.parametrize("form", FORMS)
def test_what_it_may_return(tmp_path: Path, form: Callable[[int], Any]) -> None:
    path, calls = tmp_path / "run.fastrec", []

    def status() -> Any:
        calls.append(threading.current_thread())
        return form(len(calls))

    source = fr.PyCall(status, schema=DTYPE)
    assert source.read() == {"n": 1, "pad": 0, "level": 0.5}
    with fr.Recorder(path) as rec:
        channel = rec.add("py", source, rate=1000)
        until(lambda: channel.stats.recorded > 50)
    records = fr.open(path)["py"]
    np.testing.assert_array_equal(records["n"], np.arange(3, len(calls) + 1))  # 1 was read, 2 the first call
    np.testing.assert_array_equal(records["level"], records["n"] / 2)
    assert balanced(channel.stats) and channel.stats.failed == 0
    (thread,) = set(calls[1:])
    assert thread is not threading.main_thread() and not thread.is_alive() and thread.name == "fr-python:py"


def test_it_is_paced_by_the_grid(tmp_path: Path) -> None:
    """Deadlines are served, missed and accounted for as those of C getters: none is shifted."""
    path = tmp_path / "run.fastrec"
    with fr.Recorder(path) as rec:
        channel = rec.add("py", fr.PyCall(lambda: bytes(16), schema=DTYPE), rate=1000)
        until(lambda: channel.stats.slots > 300)
    stats, records = channel.stats, fr.open(path)["py"]
    assert balanced(stats) and records.gaps["count"].sum() == stats.missed and stats.failed == 0
    slots = stats.slots * 1_000_000
    assert (
        slots - 2_000_000 <= records.end - records.start + stats.missed * 1_000_000 and stats.duration.p50 > 0
    )
    assert (
        np.diff(records["mono_ns"]) > 0
    ).all() and records.end - records.start <= slots + stats.lateness.max


def test_a_slow_function_costs_deadlines(tmp_path: Path) -> None:
    path, slow = tmp_path / "run.fastrec", threading.Event()

    def status() -> bytes:
        if slow.is_set():
            slow.clear()
            time.sleep(0.2)
        return bytes(16)

    with fr.Recorder(path) as rec:
        channel = rec.add("py", fr.PyCall(status, schema=DTYPE), rate=1000)
        until(lambda: channel.stats.recorded > 20)
        slow.set()
        until(lambda: channel.stats.in_call > 50_000_000)
        until(lambda: not channel.stats.in_call and not slow.is_set())
        until(lambda seen=channel.stats.recorded: channel.stats.recorded > seen + 20)
    gaps = fr.open(path)["py"].gaps
    assert 190 <= gaps["count"].max() <= channel.stats.missed and balanced(channel.stats)


def test_failures_and_nothing_new(tmp_path: Path) -> None:
    path, calls = tmp_path / "run.fastrec", []

    def status() -> bytes | None:
        calls.append(None)
        match len(calls) % 4:
            case 1:
                return None
            case 2:
                raise OSError(errno.EIO, "no answer")
            case 3:
                raise ValueError("odd")
        return len(calls).to_bytes(16, "little")

    calls.extend([None] * 3)  # so that the first call, which takes no slot, succeeds
    source = fr.PyCall(status, schema=DTYPE)
    with fr.Recorder(path) as rec:
        channel = rec.add("py", source, rate=2000)
        until(lambda: channel.stats.slots - channel.stats.missed > 400)
    stats, records = channel.stats, fr.open(path)["py"]
    assert balanced(stats)
    failed = records.gaps[records.gaps["cause"] == Cause.FAILED]
    codes = {int(code): int(failed["count"][failed["code"] == code].sum()) for code in set(failed["code"])}
    polls = range(5, len(calls) + 1)
    # "Nothing new" of poll 5 came before there was anything.
    assert codes == {
        errno.EIO: sum(n % 4 == 2 for n in polls),
        -1: sum(n % 4 == 3 for n in polls),
        errno.ENODATA: 1,
    }
    assert stats.held == sum(n % 4 == 1 for n in polls) - 1
    assert records["n"].tolist() == [n for n in polls if n % 4 == 0]
    assert isinstance(source.error, ValueError | OSError)


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        (bytes(15), "15 bytes came, not 16"),
        ("text", "bytes-like"),
        (7, "bytes-like"),
        ({"n": 1, "pad": 0}, "said nothing of 'level'"),
        ({"n": 1, "pad": 0, "level": 1.0, "more": 2}, "no field 'more'"),
        ({"n": "x", "pad": 0, "level": 1.0}, "'n' cannot be 'x'"),
        ((1, 2), "tuple of length 2"),
        (np.zeros(1, [("a", "<i8"), ("b", "<f8")]), "the schema has"),
        (np.zeros(32, "u1")[::2], "contiguous"),
        (np.float64(1.5), "the schema has"),
        (np.zeros(2, object), "the schema has"),
    ],
)
def test_what_it_may_not_return(value: Any, complaint: str) -> None:
    source = fr.PyCall(lambda: value, schema=DTYPE)
    with fr.Recorder() as rec, pytest.raises(fr.SourceError, match=complaint):
        rec.add("py", source, rate=10)
    assert source.error is not None


def test_refused() -> None:
    with pytest.raises(fr.SourceError, match="cannot be called"):
        fr.PyCall(7, schema=DTYPE)
    texts = fr.Schema.from_dtype([("name", "<u8")]).with_field("name", text=True)
    with pytest.raises(fr.SourceError, match="'name' is text"):
        fr.PyCall(lambda: bytes(8), schema=texts)
    with fr.Recorder() as rec, pytest.raises(fr.SourceError, match="thread of its own"):
        rec.add("py", fr.PyCall(lambda: bytes(16), schema=DTYPE), rate=10, thread="mine")

    def raises() -> bytes:
        raise KeyError("broken")

    with fr.Recorder() as rec, pytest.raises(fr.SourceError, match="failed when first called: KeyError"):
        rec.add("py", fr.PyCall(raises, schema=DTYPE), rate=10)


def test_beside_c_getters_and_others_of_its_kind(tmp_path: Path) -> None:
    """C channels do not wait for the GIL that a Python function holds."""
    hold = ctypes.PyDLL(None).usleep

    def status() -> bytes:
        hold(30_000)
        return bytes(16)

    with fr.Recorder(tmp_path / "run.fastrec") as rec:
        slow = rec.add("slow", fr.PyCall(status, schema=DTYPE), rate=10)
        quick = rec.add("quick", fr.PyCall(lambda: bytes(16), schema=DTYPE), rate=100)
        cpu = rec.add("cpu", "linux:rusage", rate=1000)
        until(lambda: slow.stats.recorded > 10)
    assert balanced(slow.stats) and balanced(quick.stats) and balanced(cpu.stats)
    assert quick.stats.recorded > slow.stats.recorded and cpu.stats.missed < cpu.stats.slots / 10
    assert fr.open(tmp_path / "run.fastrec").verify().ok


def test_a_pause_gives_python_the_device() -> None:
    inside = []

    def status() -> bytes:
        assert not inside
        return bytes(16)

    with fr.Recorder() as rec:
        channel = rec.add("py", fr.PyCall(status, schema=DTYPE), rate="max")
        for _ in range(20):
            with rec.thread("python:py").paused():
                inside.append(1)
                time.sleep(0.001)
                inside.pop()
            until(lambda seen=channel.stats.recorded: channel.stats.recorded > seen)
    assert channel.stats.failed == 0


def test_stuck_and_exit(tmp_path: Path) -> None:
    """A function that does not come back delays neither the stop nor the interpreter's end."""
    script = f"""
import fastrec as fr, fastrec.recorder, time, threading
fastrec.recorder._STUCK = 0.3
never = threading.Event()
seen = []
def status():
    seen.append(1)
    if len(seen) > 20: never.wait()
    return bytes(16)
rec = fr.Recorder({str(tmp_path / "run.fastrec")!r})
channel = rec.add("py", fr.PyCall(status, schema=[("a", "<i8"), ("b", "<i8")]), rate=1000)
rec.start()
while not channel.stats.in_call > 100_000_000: time.sleep(0.01)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0 and "has not returned" in done.stderr, done.stderr
    run = fr.open(tmp_path / "run.fastrec")
    assert run.state == "closed" and run.verify().ok and len(run["py"]) == 19


def test_what_it_starts_can_be_signalled() -> None:
    """The thread's signals are those of any Python thread, and a child inherits them."""
    seen = []

    def status() -> bytes:
        if not seen:
            seen.append(
                subprocess.run(["grep", "SigBlk", "/proc/self/status"], capture_output=True, check=True)
            )
        return bytes(16)

    with fr.Recorder() as rec:
        rec.add("py", fr.PyCall(status, schema=DTYPE), rate=100)
    assert int(seen[0].stdout.split()[1], 16) == 0


def test_an_interrupt_is_answered_while_it_polls() -> None:
    script = """
import fastrec as fr, os, signal, threading, time
rec = fr.Recorder()
rec.add("py", fr.PyCall(lambda: bytes(8), schema=[("a", "<i8")]), rate=100)
rec.start()
threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
try:
    time.sleep(30)
except KeyboardInterrupt:
    rec.stop()
    print("stopped")
"""
    done = subprocess.run(
        ["env", "--default-signal=INT", sys.executable, "-c", script],
        capture_output=True, text=True, timeout=20, check=False,
    )  # fmt: skip
    assert done.stdout == "stopped\n", done.stderr


def test_an_error_that_cannot_be_asked_is_a_failure_too() -> None:
    class Odd(OSError):
        @property
        def errno(self) -> int:
            raise ZeroDivisionError

    calls = []

    def status() -> bytes:
        calls.append(None)
        if len(calls) > 1:
            raise Odd
        return bytes(16)

    with fr.Recorder() as rec:
        channel = rec.add("py", fr.PyCall(status, schema=DTYPE), rate=1000)
        until(lambda: channel.stats.failed > 20)
    assert channel.stats.recorded == 0 and set(channel.snapshot().gaps["code"]) <= {0, -1}


def test_nothing_new_is_nothing() -> None:
    assert fr.PyCall(lambda: None, schema=DTYPE).read() == {}


def test_refused_ones_leave_no_thread() -> None:
    before = threading.active_count()
    with fr.Recorder() as rec:
        for number in range(10):
            with pytest.raises(fr.SourceError, match="failed when first called"):
                rec.add(f"py{number}", fr.PyCall(lambda: 5, schema=DTYPE), rate=10)
        assert threading.active_count() == before
        with pytest.raises(fr.SourceError, match="alone are called python:"):
            rec.add("cpu", "linux:rusage", rate=10, thread="python:x")


def test_a_fork_within_it_is_inert(tmp_path: Path) -> None:
    """Only one process ever writes into the ring, and the child comes to its end."""
    script = f"""
import fastrec as fr, os, time
calls = []
def status():
    calls.append(1)
    if len(calls) == 10 and not os.fork():
        pass
    return os.getpid().to_bytes(8, "little")
with fr.Recorder({str(tmp_path / "run.fastrec")!r}) as rec:
    channel = rec.add("py", fr.PyCall(status, schema=[("pid", "<u8")]), rate=1000)
    parent = os.getpid()
    while channel.stats.recorded < 200: time.sleep(0.01)
os.waitpid(-1, 0)
assert set(fr.open(rec.path)["py"]["pid"].tolist()) == {{parent}}
"""
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_cycles_leak_nothing() -> None:
    def cycle() -> None:
        with fr.Recorder() as rec:
            rec.add("py", fr.PyCall(lambda: bytes(16), schema=DTYPE), rate=1000, capacity=64)

    def counts() -> tuple[int, int, int]:
        return threading.active_count(), len(tasks()), len(os.listdir("/proc/self/fd"))

    at_first = counts()
    cycle()
    until(lambda: counts()[:2] == at_first[:2])  # a thread that was joined is still there for a moment
    before = counts()
    for _ in range(50):
        cycle()
    until(lambda: counts() == before)
