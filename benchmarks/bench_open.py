"""Opening a clean recording against numpy.load of its segments, memory-mapped; whether its length matters.

Opened means: every channel was asked for, and how many records it has. Of one recording there are two, of as
many segments, one a 64th of the other. Their files are in the page cache, as all runs find them.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path

import numpy as np

import fastrec
from benchmarks import stores
from benchmarks.harness import Bench, Case, Claim, Timed, WrongAnswerError
from benchmarks.payloads import SCHEMA, compare, payloads, statuses
from benchmarks.stores import RECORD

SEGMENTS = 8

PART = 64

OPENINGS = 20
"""Of one run."""

PIECE = 1 << 20  # records pushed at once


class Recorded:
    """A recording of `SEGMENTS` segments, made when it is first asked for.

    Parameters
    ----------
    folder : Path
    rows : int
        Of a segment: a multiple of 1,024.
    """

    def __init__(self, folder: Path, rows: int) -> None:
        self.folder = folder
        self.count = SEGMENTS * rows
        self.rows = rows
        self._path: Path | None = None

    @property
    def path(self) -> Path:
        if self._path is None:
            self._path = Path(tempfile.mkdtemp(prefix="fastrec-bench-", dir=self.folder)) / "run.fastrec"
            record(self._path, self.count, self.rows * RECORD.itemsize)
        return self._path

    @property
    def segments(self) -> list[Path]:
        """The files of the records."""
        return sorted((self.path / "channels" / "status").glob("records.*.npy"))

    def row(self, number: int) -> np.ndarray:
        """The record of a number: ndarray of RECORD, shape (1,)."""
        rows = np.zeros(1, RECORD)
        rows["mono_ns"] = stores.stamps(number, 1)
        payloads(rows)[:] = statuses(number, 1).view(payloads(rows).dtype)
        return rows

    def remove(self) -> None:
        if self._path is not None:
            shutil.rmtree(self._path.parent, ignore_errors=True)
            self._path = None


def record(path: Path, count: int, segment_bytes: int) -> None:
    """Record statuses 0 to `count` - 1, without a loss."""
    with fastrec.Recorder(path, durability=None, segment_bytes=segment_bytes) as recorder:
        channel = recorder.add("status", schema=SCHEMA, capacity=4 * min(PIECE, count))
        for first in range(0, count, PIECE):
            size = min(PIECE, count - first)
            while first - channel.stats.written > PIECE:
                time.sleep(0.001)
            channel.extend(statuses(first, size), stores.stamps(first, size))


class Opening(Timed):
    """Opens a recording `OPENINGS` times; subclasses say how, and what they then have.

    Parameters
    ----------
    who : str
    recorded : Recorded
    """

    def __init__(self, who: str, recorded: Recorded) -> None:
        super().__init__(who, "us/opening", 1000 * OPENINGS)  # Timed counts ns
        self.recorded = recorded

    def prepare(self, turn: int) -> None:
        super().prepare(turn)
        self.counts = [0] * OPENINGS
        self.recorded.path  # noqa: B018 (made now, and not when it is timed)

    def check(self) -> None:
        if self.counts != [self.recorded.count] * OPENINGS:
            raise WrongAnswerError(f"{self.who}: {self.counts[0]} records of {self.recorded.count}")
        for number in (0, self.recorded.rows, self.recorded.count - 1):
            found, wanted = self.found(number), self.recorded.row(number)
            compare(self.who, payloads(found), payloads(wanted))
            if found["mono_ns"] != wanted["mono_ns"]:
                raise WrongAnswerError(f"{self.who}: record {number} has another stamp")

    def found(self, number: int) -> np.ndarray:
        """The record of a number, of the last opening: ndarray of RECORD, shape (1,)."""
        raise NotImplementedError

    def close(self) -> None:
        self.recorded.remove()


class Recording(Opening):
    """``fastrec.open``."""

    def work(self) -> None:
        path = self.recorded.path
        for turn in range(OPENINGS):
            self.run_ = fastrec.open(path)
            self.counts[turn] = sum(len(self.run_[name]) for name in self.run_)

    def check(self) -> None:
        super().check()
        if self.run_.state != "closed" or self.run_.problems or len(self.run_["status"].gaps):
            raise WrongAnswerError(f"{self.who}: the recording is not clean")

    def found(self, number: int) -> np.ndarray:
        return self.run_["status"][number : number + 1].to_numpy().view(RECORD)


class Loading(Opening):
    """``numpy.load`` of each segment, which checks nothing and knows no losses."""

    def work(self) -> None:
        files = self.recorded.segments
        for turn in range(OPENINGS):
            self.arrays = [np.load(file, mmap_mode="r") for file in files]
            self.counts[turn] = sum(map(len, self.arrays))

    def found(self, number: int) -> np.ndarray:
        segment, row = divmod(number, self.recorded.rows)
        return np.array(self.arrays[segment][row : row + 1]).view(RECORD)


def bench(quick: bool, rows: int | None = None) -> Bench:
    """Two recordings: 2 GiB, and 32 MiB.

    Parameters
    ----------
    quick : bool
    rows : int, optional
        Of a segment of the larger one: a multiple of 64 Ki. 256 MiB of them, or 64 Ki.
    """
    rows = rows or (64 << 10 if quick else (256 << 20) // RECORD.itemsize // (64 << 10) * (64 << 10))
    folder = stores.disk()
    long, short = Recorded(folder, rows), Recorded(folder, rows // PART)
    case = f"{SEGMENTS} segments of {rows:,} records; a {PART}th of them"
    ours, theirs = "fastrec.open", "numpy.load, memory-mapped"
    part = f", a {PART}th"
    return Bench(
        [
            Case(
                case,
                [Recording(ours, long), Recording(ours + part, short)],
                [Loading(theirs, long), Loading(theirs + part, short)],
            )
        ],
        [
            Claim("open.numpy.at_most", case, ours, theirs, 4),
            Claim("open.numpy.part.at_most", case, ours + part, theirs + part, 4),
            Claim("open.length.at_most", case, ours, ours + part, 1.2),
        ],
    )
