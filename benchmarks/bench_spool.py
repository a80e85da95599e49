"""From a ring to the disk with checksums, index and zones, against the same bytes written in one go.

A ring is filled first; what is timed is a recorder's start and its stop, which writes all of it and, on a
disk, makes it durable; the folder and its small files, each of which is flushed for itself, are a part of
that. On tmpfs, where nothing is flushed, it is the processor's work alone. In the last case a getter is
polled at 1 MHz, and what is measured is the time of the threads that write.
"""

from __future__ import annotations

import ctypes
import time
from pathlib import Path

import numpy as np

import fastrec
from benchmarks import rivals, stores
from benchmarks.harness import Bench, BenchmarkError, Case, Claim, Contestant, WrongAnswerError
from benchmarks.payloads import OPAQUE, SCHEMA, compare, payloads, statuses
from benchmarks.stores import RECORD, Storing

WHOLE = fastrec.Schema.from_dtype(np.dtype([("status", OPAQUE)]), name="opaque")
"""The same bytes as one field that has no numbers: no zones can be made of it."""

MEGAHERTZ = 1_000_000

DRAINING, FLUSHING = ("draining a million a second", "flushing them")

PIECE = 1 << 20  # records compared at once


class Recording(Storing):
    """A full ring, and a recorder that drains it.

    Parameters
    ----------
    folder : Path
    count : int
    durable : bool
    zones : bool
        Whether there are numbers to be summed up.
    """

    def __init__(self, folder: Path, count: int, *, durable: bool, zones: bool = True) -> None:
        super().__init__("fastrec" + ", no zones" * (not zones), folder, count, durable=durable)
        self.schema = SCHEMA if zones else WHOLE
        self.zones = count // 1024 if zones else 0

    def prepare(self, turn: int) -> None:
        super().prepare(turn)
        self.recorder = fastrec.Recorder(self.path, durability="1s" if self.durable else None)
        self.channel = self.recorder.add("status", schema=self.schema, capacity=self.operations)
        rows = np.ascontiguousarray(payloads(self.records)).view(self.schema.dtype)
        self.channel.extend(rows, self.records["mono_ns"].copy())

    def work(self) -> None:
        self.recorder.start()
        self.recorder.stop()

    def stored(self) -> np.ndarray:
        stats, run = self.channel.stats, fastrec.open(self.path)
        kept = stats.durable if self.durable else stats.written
        if run.state != "closed" or kept != self.operations or len(run["status"].gaps):
            raise WrongAnswerError(f"{self.who}: {kept} of {self.operations} records are stored, {run.state}")
        files = sorted((self.path / "channels" / "status").glob("zones.*.npy"))
        zones = sum(len(np.load(file)) for file in files if self.zones)
        if zones != self.zones:
            raise WrongAnswerError(f"{self.who}: {zones} zones of {self.zones}")
        if self.turn == 0:  # it reads all again, and makes the zones anew
            report = run.verify()
            if not report.ok:
                raise WrongAnswerError(f"{self.who}: {report.problems[0]}")
        return run["status"].to_numpy().view(RECORD)


class Polled(Contestant):
    """A getter polled at 1 MHz into a recording; what the threads that write take of a processor.

    Parameters
    ----------
    folder : Path
    loops : ctypes.CDLL
        bare.c.
    seconds : float
    """

    def __init__(self, folder: Path, loops: ctypes.CDLL, seconds: float) -> None:
        super().__init__("fastrec, 1 MHz")
        self.loops = loops
        self.calls = ctypes.c_uint64.in_dll(loops, "calls")
        self.seconds = seconds
        self._store = stores.ToFile(folder, 1, durable=False)  # for its folder

    def run(self) -> dict[str, float]:
        self._store.clear()
        self.first = self.calls.value + 1  # the probe call takes a number, and no slot
        with fastrec.Recorder(self._store.path) as recorder:
            getter = fastrec.Call(self.loops.get_status, fastrec.OUT, schema=SCHEMA)
            self.channel = recorder.add("status", getter, rate=MEGAHERTZ)
            before = _writers()
            time.sleep(self.seconds)
            spent = _writers()
        stats = self.stats = self.channel.stats
        # Where others have the processor fewer are polled: what is found is scaled to a million a second.
        full = stats.recorded * 1_000_000_000 / MEGAHERTZ / 100
        return {
            f"% of a core, {DRAINING}": (spent["fastrec-spool"] - before["fastrec-spool"]) / full,
            f"% of a core, {FLUSHING}": (spent["fastrec-sync"] - before["fastrec-sync"]) / full,
            "records lost": float(stats.overwritten + stats.dropped + stats.disk),
            "% of the deadlines missed": 100 * stats.missed / stats.slots,
        }

    def check(self) -> None:
        stats, run = self.stats, fastrec.open(self._store.path)
        called, records = self.calls.value - self.first, run["status"]
        lost = stats.overwritten + stats.disk
        if stats.recorded != called or stats.slots != called + stats.missed + stats.dropped:
            raise WrongAnswerError(
                f"{self.who}: {called} calls, {stats.recorded} recorded and {stats.missed} missed of"
                f" {stats.slots} slots"
            )
        if len(records) + lost != called or int(records.gaps["count"].sum()) != lost + stats.missed:
            raise WrongAnswerError(f"{self.who}: {called} calls, {len(records)} on the disk, {lost} lost")
        for at in range(0, len(records), PIECE):
            part = records[at : at + PIECE]
            rows, numbers = part.to_numpy(), part.seq
            if (np.diff(rows["mono_ns"]) < 0).any():
                raise WrongAnswerError(f"{self.who}: stamps decrease after record {numbers[0]}")
            if numbers[-1] - numbers[0] == len(part) - 1:  # else the gaps have said so
                compare(self.who, payloads(rows), statuses(self.first + int(numbers[0]), len(part)))

    def close(self) -> None:
        self._store.close()


def _writers() -> dict[str, int]:
    """Processor time of the threads that write, in ns."""
    spent = {"fastrec-spool": 0, "fastrec-sync": 0}
    for task in Path("/proc/self/task").iterdir():
        name = (task / "comm").read_text().strip()
        if name in spent:
            try:
                spent[name] += int((task / "schedstat").read_text().split()[0])
            except FileNotFoundError as error:
                raise BenchmarkError("this kernel counts no time of threads (CONFIG_SCHED_INFO)") from error
    return spent


def bench(quick: bool, count: int | None = None, seconds: float | None = None) -> Bench:
    """On tmpfs and on a disk; among what else appends records to files; 1 MHz for 30 seconds.

    Parameters
    ----------
    quick : bool
    count : int, optional
        Records of a run; 16 Mi, or 8,192 where it is to be quick.
    seconds : float, optional
        How long 1 MHz lasts; 30, or 0.1.
    """
    count = count or (8192 if quick else 16 << 20)
    few = min(count, 1 << 20)
    seconds = seconds or (0.1 if quick else 30.0)
    loops = rivals.bare_loops()
    memory, disk = stores.memory_disk(), stores.disk()
    kind = f"disk ({stores.file_system(disk)})"
    on_tmpfs, on_disk = (f"{count:,} records of 40 bytes, {where}" for where in ("tmpfs", kind))
    paced = f"1 MHz for {seconds:g} s, {kind}"
    ours, tofile = "fastrec", "ndarray.tofile + fsync"
    return Bench(
        [
            Case(
                on_tmpfs,
                [Recording(memory, count, durable=False, zones=zones) for zones in (True, False)],
                [stores.ToFile(memory, count, durable=False)],
            ),
            Case(
                on_disk,
                [Recording(disk, count, durable=True, zones=zones) for zones in (True, False)],
                [stores.ToFile(disk, count, durable=True)],
            ),
            Case(
                f"{few:,} records of 40 bytes, {kind}, batches of {stores.BATCH:,}",
                [Recording(disk, few, durable=True)],
                [
                    stores.ToFile(disk, few, durable=True),
                    stores.Hdf5(disk, few, checked=False),
                    stores.Hdf5(disk, few, checked=True),
                    stores.Pytables(disk, few),
                    stores.Arrow(disk, few, columns=True),
                    stores.Arrow(disk, few, columns=False),
                    stores.Mcap(disk, few),
                    stores.Sqlite(disk, few),
                ],
            ),
            Case(paced, [Polled(disk, loops, seconds)]),
        ],
        [
            Claim("spool.tofile.at_least", on_disk, tofile, ours, 0.9),
            Claim("spool.zones.tmpfs.at_most", on_tmpfs, ours, "fastrec, no zones", 1.2),
            Claim("spool.zones.disk.at_most", on_disk, ours, "fastrec, no zones", 1.2),
            Claim("spool.cpu.at_most", paced, "fastrec, 1 MHz", None, 15, unit=f"% of a core, {DRAINING}"),
            Claim("spool.lost.at_most", paced, "fastrec, 1 MHz", None, 0, unit="records lost", worst=True),
        ],
    )
