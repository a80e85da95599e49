"""Recovering what a killed recorder left, against a copy of its folder, both from a cold cache and synced.

The recording ends as a kill leaves it: not closed, with rows that no index row names and half an index row.
"""

from __future__ import annotations

import filecmp
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np

import fastrec
from benchmarks import stores
from benchmarks.bench_open import record
from benchmarks.harness import Bench, BenchmarkError, Case, Claim, Timed, WrongAnswerError
from benchmarks.payloads import compare, payloads, statuses

SEGMENT_BYTES = 256 << 20

PIECE = 1 << 20  # records compared at once


class Crashed:
    """A recording whose recorder was killed, made when it is first asked for.

    Parameters
    ----------
    folder : Path
    count : int
        Committed records.
    """

    def __init__(self, folder: Path, count: int) -> None:
        self.folder = folder
        self.count = count
        self._path: Path | None = None

    @property
    def path(self) -> Path:
        if self._path is None:
            self._path = Path(tempfile.mkdtemp(prefix="fastrec-bench-", dir=self.folder)) / "crashed.fastrec"
            record(self._path, self.count, SEGMENT_BYTES)
            (self._path / "closed.json").unlink()
            channel = self._path / "channels" / "status"
            for kind, rest in (("records", 40 * 100), ("index", 32)):
                with open(max(channel.glob(f"{kind}.*.npy")), "ab") as file:
                    file.write(os.urandom(rest))
        return self._path

    def forget(self) -> None:
        """Drop the recording's files from the page cache."""
        os.sync()
        for file in self.path.rglob("*"):
            if file.is_file():
                descriptor = os.open(file, os.O_RDONLY)
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
                os.close(descriptor)

    def remove(self) -> None:
        if self._path is not None:
            shutil.rmtree(self._path.parent, ignore_errors=True)
            self._path = None


class Saving(Timed):
    """Makes something of the crashed recording beside it; subclasses say how."""

    def __init__(self, who: str, crashed: Crashed) -> None:
        super().__init__(who, "ns/record", crashed.count)
        self.crashed = crashed

    @property
    def saved(self) -> Path:
        return self.crashed.path.parent / "saved.fastrec"

    def prepare(self, turn: int) -> None:
        super().prepare(turn)
        shutil.rmtree(self.saved, ignore_errors=True)
        self.crashed.forget()

    def close(self) -> None:
        self.crashed.remove()


class Recovering(Saving):
    """``fastrec.recover``."""

    def __init__(self, crashed: Crashed) -> None:
        if not hasattr(fastrec, "recover"):
            raise BenchmarkError("this fastrec has no recover; update it")
        super().__init__("fastrec.recover", crashed)

    def work(self) -> None:
        fastrec.recover(self.crashed.path, self.saved)
        os.sync()

    def check(self) -> None:
        run = fastrec.open(self.saved)
        records, report = run["status"], run.verify()
        if run.state != "closed" or not report.ok:
            raise WrongAnswerError(f"{self.who}: the result is {run.state}; {report.problems[:1]}")
        # That there were rows which no index row names may be told, as lost behind the last record.
        if len(records) != self.operations or (records.gaps["seq"] < self.operations).any():
            raise WrongAnswerError(f"{self.who}: {len(records)} records of {self.operations}")
        for at in range(0, len(records), PIECE):
            rows = records[at : at + PIECE].to_numpy()
            compare(self.who, payloads(rows), statuses(at, len(rows)))
            if not np.array_equal(rows["mono_ns"], stores.stamps(at, len(rows))):
                raise WrongAnswerError(f"{self.who}: stamps from record {at} on are wrong")


class Copying(Saving):
    """``cp -r`` and ``sync``, which look at nothing."""

    def __init__(self, crashed: Crashed) -> None:
        super().__init__("cp -r and sync", crashed)

    def work(self) -> None:
        subprocess.run(["cp", "-r", self.crashed.path, self.saved], check=True)
        os.sync()

    def check(self) -> None:
        files = [file for file in self.crashed.path.rglob("*") if file.is_file()]
        for file in files:
            if not filecmp.cmp(file, self.saved / file.relative_to(self.crashed.path), shallow=False):
                raise WrongAnswerError(f"{self.who}: {file.name} is another one")


def bench(quick: bool, count: int | None = None) -> Bench:
    """A recording of 1.3 GB.

    Parameters
    ----------
    quick : bool
    count : int, optional
        Records: 32 Mi, or 64 Ki where it is to be quick.
    """
    crashed = Crashed(stores.disk(), count or (64 << 10 if quick else 32 << 20))
    case = f"{crashed.count:,} records of 40 bytes, cold cache"
    return Bench(
        [Case(case, [Recovering(crashed)], [Copying(crashed)])],
        [Claim("recover.copy.at_most", case, "fastrec.recover", "cp -r and sync", 2)],
    )
