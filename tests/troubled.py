"""Processes that record while their clocks, their threads and their time are interfered with.

Run as a program it records into three channels: one polled every millisecond, one that holds what it polls
as often, and one that the main thread pushes whenever it has nothing else to do. It tells the time of slot 0,
then does what it reads, one line a command, and answers each with a line: ``go N`` records on until N more
were polled, ``hold SECONDS`` keeps the GIL as long, ``end`` stops.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from children import PIPES, child
from grids import Grid, check_slots
from waiting import until

import fastrec as fr
from fastrec.schema.gaps import OWN_NUMBERS, Cause

HERTZ = 1000
DATES = np.dtype([("called", "<i8"), ("date", "<i8"), ("after", "<i8"), ("number", "<u8")])
STATE = np.dtype([("state", "<u8")])
PUSHED = np.dtype([("number", "<u8"), ("pushed", "<i8")])

_HOLD = ctypes.PyDLL(None).usleep  # a foreign call that does not give the GIL up


def record(path: str, library: str) -> None:
    """Record, and do what the standard input says."""
    getters = ctypes.CDLL(library)
    dates = fr.Call(getters.get_dates, fr.OUT, schema=DATES)
    state = fr.Call(getters.get_state, fr.OUT, schema=STATE)
    number = 0

    def push() -> None:
        nonlocal number
        pushed.push(np.array((number, time.monotonic_ns()), PUSHED))
        number += 1
        time.sleep(0.0005)

    with fr.Recorder(path, flush="10ms", resume=True) as rec:
        polled = rec.add("polled", dates, rate=HERTZ)
        rec.add("held", state, rate=HERTZ, store="changes", heartbeat="200ms", thread="held")
        pushed = rec.add("pushed", schema=PUSHED, capacity=4096)
        while not polled.stats.recorded:
            push()
        _say(polled.ring.core.account()["start"])
        while True:
            while not select.select([sys.stdin], [], [], 0)[0]:
                push()
            # Not the buffered file: select looks at what is behind it.
            command, _, argument = os.read(0, 100).decode().strip().partition(" ")
            if command == "end":
                break
            if command == "hold":
                _say("holding")
                _HOLD(int(float(argument) * 1e6))
            recorded = polled.stats.recorded
            while command == "go" and polled.stats.recorded < recorded + int(argument):
                push()
            _say(f"done {command}")


def _say(what: object) -> None:
    os.write(1, f"{what}\n".encode())


class Troubled:
    """Such a process; see `troubled`.

    Attributes
    ----------
    start : int
        Slot 0 of the polled channel, by the monotonic clock.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.start = int(self.line())

    def line(self) -> str:
        """The next line that it says."""
        line = self.process.stdout.readline()
        assert line, self.process.stderr.read()
        return line.rstrip("\n")

    def tell(self, command: str) -> None:
        """Give a command, and do not wait for the answer."""
        self.process.stdin.write(f"{command}\n")
        self.process.stdin.flush()

    def go(self, count: int = 100) -> None:
        """Wait until that many more were polled."""
        self.tell(f"go {count}")
        assert self.line() == "done go"

    def quiet(self) -> bool:
        """Whether it has said nothing that was not read."""
        return not select.select([self.process.stdout], [], [], 0)[0]

    def tasks(self) -> list[int]:
        """Numbers of its threads."""
        return [int(task.name) for task in Path(f"/proc/{self.process.pid}/task").iterdir()]

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Nothing of it runs meanwhile."""
        self.process.send_signal(signal.SIGSTOP)
        stats = [Path(f"/proc/{self.process.pid}/task/{task}/stat") for task in self.tasks()]
        until(lambda: all(stat.read_text().rpartition(")")[2].split()[0] == "T" for stat in stats))
        yield
        self.process.send_signal(signal.SIGCONT)

    def end(self) -> None:
        """Have it stop."""
        self.tell("end")
        _, errors = self.process.communicate(timeout=60)
        assert self.process.returncode == 0, errors


@contextmanager
def troubled(path: Path, library: Path, **environment: str) -> Iterator[Troubled]:
    """Record into `path`, a new recording or one that is gone on with, for the length of a ``with``."""
    command = [sys.executable, __file__, path, library]
    with child(command, env=os.environ | environment, stdin=subprocess.PIPE, **PIPES) as process:
        yield Troubled(process)


@dataclass
class Trouble:
    """What came of a process whose only session it was: its recording, slot 0, and the slots of `polled`."""

    run: fr.Recording
    start: int
    slots: np.ndarray


def check_account(path: Path, start: int) -> Trouble:
    """Prove a closed recording of one session: a slot has one fate, a record is there once, all in order."""
    run = fr.open(path)
    assert run.state == "closed"
    report = run.verify()
    assert report.ok, report.problems
    for name, stats in run.stats.items():
        records = run[name]
        gone = int(records.gaps["count"][np.isin(records.gaps["cause"], list(OWN_NUMBERS))].sum())
        missed = int(records.gaps["count"][records.gaps["cause"] == Cause.MISSED].sum())
        polls = int(records["polls"].sum()) if name == "held" else len(records)
        assert stats["slots"] == stats["recorded"] + stats["held"] + stats["missed"], (name, stats)
        assert (missed, gone) == (stats["missed"], stats["overwritten"] + stats["disk"]), (name, stats)
        assert len(records) + gone == stats["published"] == stats["written"], (name, stats)
        assert gone or polls == stats["recorded"] + stats["held"], (name, stats)
        stamps = records["mono_ns"]
        ends = records["until_ns"] if name == "held" else stamps
        assert (np.diff(stamps) >= 0).all() and (stamps[1:] >= ends[:-1]).all()
    pushed, polled = run["pushed"], run["polled"]
    np.testing.assert_array_equal(pushed["number"], pushed.seq)
    assert (pushed["mono_ns"] >= pushed["pushed"]).all()
    np.testing.assert_array_equal(polled["number"], polled.seq + 1)  # 0 was the first call
    slots = check_slots(Grid(start, HERTZ), _Counters(run.stats["polled"]), polled["called"], polled.gaps)
    return Trouble(run, start, slots)


class _Counters:
    """Statistics as they were stored."""

    def __init__(self, stats: dict[str, int]) -> None:
        self.__dict__.update(stats)


if __name__ == "__main__":
    record(*sys.argv[1:])
