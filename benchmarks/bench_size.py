"""What a recording has on the disk beyond its records: every byte of the folder, over the records alone.

Full blocks: records pushed as fast as they are written, and the folder as it is after a clean stop. Ten a
second with ``flush="1s"``: the same, of some seconds, and what grows extrapolated to an hour: index rows and
zones as the records, statistics and readings of the clocks by their number in an hour.
"""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path

import numpy as np

import fastrec
from benchmarks import rivals, stores
from benchmarks.bench_open import record
from benchmarks.harness import Bench, Case, Claim, Contestant, WrongAnswerError
from benchmarks.payloads import SCHEMA, compare, payloads, statuses
from benchmarks.stores import RECORD

SLOW_HZ = 10

HOUR = 3600  # seconds

LOG = 10  # seconds between two readings of the clocks, and two lines of statistics

SEGMENT_BYTES = 256 << 20


class Raw(Contestant):
    """The records as ``ndarray.tofile`` writes them."""

    def __init__(self) -> None:
        super().__init__("the records alone")

    def run(self) -> dict[str, float]:
        return {"bytes/1,000 records": 1000.0 * RECORD.itemsize}

    def check(self) -> None:
        if len(np.zeros(3, RECORD).tobytes()) != 3 * RECORD.itemsize:
            raise WrongAnswerError(f"{self.who}: three have another size")


class Sized(Contestant):
    """A recording that is made anew in every run, and weighed.

    Parameters
    ----------
    folder : Path
        Where it is made.
    """

    def __init__(self, who: str, folder: Path) -> None:
        super().__init__(who)
        self.folder = folder

    def make(self, path: Path) -> None:
        """Record statuses, the first of which is number `first`."""
        raise NotImplementedError

    def weigh(self, sizes: dict[str, int], path: Path) -> float:
        """Bytes a record, from the bytes of each file."""
        raise NotImplementedError

    def run(self) -> dict[str, float]:
        with tempfile.TemporaryDirectory(dir=self.folder, prefix="fastrec-bench-") as folder:
            path = Path(folder, "run.fastrec")
            self.make(path)
            files = [file for file in path.rglob("*") if file.is_file()]
            sizes = {str(file.relative_to(path)): file.stat().st_size for file in files}
            run = fastrec.open(path)
            self.state, self.problems = run.state, run.verify().problems
            self.rows, self.lost = run["status"].to_numpy(), int(run["status"].gaps["count"].sum())
            return {"bytes/1,000 records": 1000 * self.weigh(sizes, path)}

    first = 0

    def check(self) -> None:
        if self.state != "closed" or self.problems:
            raise WrongAnswerError(f"{self.who}: the recording is {self.state}; {self.problems[:1]}")
        compare(self.who, payloads(self.rows), statuses(self.first, len(self.rows)))


class FullBlocks(Sized):
    """Records pushed as fast as they are written: all blocks but the last have 1,024."""

    def __init__(self, folder: Path, count: int) -> None:
        super().__init__("fastrec, full blocks", folder)
        self.count = count

    def make(self, path: Path) -> None:
        record(path, self.count, SEGMENT_BYTES)

    def weigh(self, sizes: dict[str, int], path: Path) -> float:
        return sum(sizes.values()) / self.count

    def check(self) -> None:
        super().check()
        if len(self.rows) != self.count or self.lost:
            raise WrongAnswerError(f"{self.who}: {len(self.rows)} records of {self.count}")


class Slow(Sized):
    """Polled ten times a second and written once a second."""

    def __init__(self, folder: Path, seconds: float) -> None:
        super().__init__('fastrec, flush="1s"', folder)
        self.seconds = seconds
        self.loops = rivals.bare_loops()

    def make(self, path: Path) -> None:
        with fastrec.Recorder(path, flush="1s") as recorder:
            getter = fastrec.Call(self.loops.get_status, fastrec.OUT, schema=SCHEMA)
            channel = recorder.add("status", getter, rate=SLOW_HZ)
            time.sleep(self.seconds)
        self.stats = channel.stats

    def weigh(self, sizes: dict[str, int], path: Path) -> float:
        inner = path / "channels" / "status"
        index, zones = (np.load(inner / f"{kind}.000000.npy") for kind in ("index", "zones"))
        clocks, lines = np.load(path / "clocks.npy"), (path / "stats.jsonl").read_bytes().splitlines(True)
        self.told = int(index["rows"].sum())
        records, logs = HOUR * SLOW_HZ, HOUR // LOG + 1
        # The first and the last block are those of the start and the stop, which an hour has once.
        steady = index["rows"][1:-1] if len(index) > 2 else index["rows"]
        grown = (
            self.told * RECORD.itemsize + index.nbytes + zones.nbytes + clocks.nbytes + sum(map(len, lines))
        )
        return (
            sum(sizes.values())
            - grown
            + records * RECORD.itemsize
            + index.itemsize * (records / steady.mean() + 2)
            + zones.itemsize * (records // 1024)
            + logs * (clocks.itemsize + _longest(lines[-1], records))
        ) / records

    def check(self) -> None:
        self.first = int(self.rows["pszIndiRespUrl"][0])  # each status holds its number
        super().check()
        stats = self.stats
        if not len(self.rows) == stats.recorded == self.told or stats.slots != stats.recorded + self.lost:
            raise WrongAnswerError(f"{self.who}: {len(self.rows)} records, {stats.recorded} recorded")


def _longest(line: bytes, records: int) -> int:
    """Bytes of a line of statistics when its counters have come to the records of an hour."""
    counters = {key: value for key, value in json.loads(line).items() if type(value) is int and value}
    counters.pop("mono_ns")
    return len(line) + sum(len(str(records)) - len(str(value)) for value in counters.values())


def bench(quick: bool, count: int | None = None, seconds: float | None = None) -> Bench:
    """A million records in full blocks; ten a second.

    Parameters
    ----------
    quick : bool
    count : int, optional
        Records in full blocks: 4 Mi, or 1 Mi where it is to be quick.
    seconds : float, optional
        How long ten a second are recorded: 12, or 0.35.
    """
    folder = stores.disk()
    count = count or (1 << 20 if quick else 4 << 20)
    seconds = seconds or (0.35 if quick else 12.0)
    full = f"{count:,} records of 40 bytes"
    slow = f"{SLOW_HZ} Hz, extrapolated to an hour"
    raw = "the records alone"
    return Bench(
        [
            Case(full, [FullBlocks(folder, count)], [Raw()]),
            Case(slow, [Slow(folder, seconds)], [Raw()]),
        ],
        [
            Claim("size.full.at_most", full, "fastrec, full blocks", raw, 1.008),
            Claim("size.slow.at_most", slow, 'fastrec, flush="1s"', raw, 1.25),
        ],
    )
