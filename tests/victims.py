"""Processes that record into two channels until they are killed, and what must be found of them afterwards.

Run as a program it is a fork server: it has imported everything, and makes a process of each line it reads, which
costs milliseconds where an interpreter costs half a second. Lines in: the path of a recording. Lines out: ``pid
N``, then the process's own, ``polled.written pushed.written polled.durable pushed.durable`` over and over, then
``ended``.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from children import child

import fastrec as fr
from fastrec.schema.gaps import Cause

STATUS = np.dtype([("mode", "<i4"), ("count", "<u4"), ("level", "<f8")])

CHANNELS = {"polled": 2, "pushed": 0}
"""What `count` is in the first record: `add` makes a call of its own."""


def record(path: str, library: str) -> None:
    """Record until somebody puts an end to it, and tell the marks."""
    getters = ctypes.CDLL(library)
    with fr.Recorder(path, segment_bytes=1 << 16, flush="5ms", durability="20ms") as rec:
        polled = rec.add("polled", fr.Call(getters.get_status, fr.OUT, schema=STATUS), rate=20_000)
        pushed = rec.add("pushed", schema=STATUS, capacity=100_000)
        rows, n = np.zeros(100, STATUS), 0
        while True:
            rows["count"] = np.arange(n, n + 100)
            rows["level"] = rows["count"] * 0.5
            n += pushed.extend(rows)
            one, other = polled.stats, pushed.stats
            # In one call: a pipe takes a line whole, or not at all.
            os.write(1, f"{one.written} {other.written} {one.durable} {other.durable}\n".encode())
            time.sleep(0.0005)


def serve(library: str) -> None:
    """Fork for each line of the standard input."""
    for line in sys.stdin:
        pid = os.fork()
        if not pid:
            record(line.rstrip("\n"), library)
        os.write(1, f"pid {pid}\n".encode())
        os.waitpid(pid, 0)
        os.write(1, b"ended\n")


@dataclass(frozen=True)
class Marks:
    """What a process told last, by channel."""

    written: Mapping[str, int]
    durable: Mapping[str, int]


class Victims:
    """The fork server; see `victims`."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def trial(self, path: Path, moment: float, harm: Callable[[], None] = lambda: None) -> Marks:
        """Have one record into `path`; `moment` seconds after its first marks do `harm`, then kill it."""
        self.process.stdin.write(f"{path}\n")
        self.process.stdin.flush()
        pid, told = 0, ["0 0 0 0"]
        while not pid or len(told) == 1:  # its first line may overtake the server's
            line = self._line()
            pid, told = (int(line[4:]), told) if line.startswith("pid ") else (pid, [*told, line])
        try:
            end = time.monotonic() + moment
            while time.monotonic() < end:
                told = [self._line()]
            harm()
        finally:
            os.kill(pid, signal.SIGKILL)
        while (line := self._line()) != "ended":
            told = [line]
        one, other, *durable = map(int, told[-1].split())
        return Marks(
            dict(zip(CHANNELS, (one, other), strict=True)), dict(zip(CHANNELS, durable, strict=True))
        )

    def _line(self) -> str:
        line = self.process.stdout.readline()
        assert line, "the fork server has ended"
        return line.rstrip("\n")


@contextmanager
def victims(library: Path, **environment: str) -> Iterator[Victims]:
    """A fork server for the length of a ``with``; `environment` is added to the processes'."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with child([sys.executable, __file__, library], env=os.environ | environment, **pipes) as process:
        yield Victims(process)


def take_away(path: Path) -> None:
    """Remove a recording, and the rings that a killed process left in memory."""
    for line in (path / "sessions.jsonl").read_text().splitlines():
        if prefix := json.loads(line)["rings"]:
            for ring in Path("/dev/shm").glob(f"{prefix}.*"):
                ring.unlink()
    shutil.rmtree(path)


def check_killed(path: Path, marks: Marks) -> int:
    """Prove a killed process's recording against its marks; how many records it holds."""
    run = fr.open(path)
    assert run.state == "unclean"
    total = 0
    for name, first in CHANNELS.items():
        mark, records = marks.written[name], run[name]
        files = sorted((path / "channels" / name).glob("records.*.npy"))
        shown = np.concatenate([np.load(file)["count"] for file in files] or [np.empty(0, "u4")])
        # A hole that no gap of the file names is one of the reader's own, of the disk: that is no excuse.
        missing = int(records.gaps["count"][records.gaps["cause"] == Cause.OVERWRITTEN].sum())
        assert len(records) + missing >= mark, (name, mark)
        assert mark - missing <= len(shown) <= len(records), (name, mark, len(shown))
        np.testing.assert_array_equal(records["count"], records.seq + first)
        np.testing.assert_array_equal(shown, records["count"][: len(shown)])
        np.testing.assert_array_equal(records["level"], records["count"] * 0.5)
        assert (np.diff(records["mono_ns"].astype("i8")) >= 0).all()
        total += len(records)
    report = run.verify()
    assert report.ok, report.problems
    return total


if __name__ == "__main__":
    serve(sys.argv[1])
