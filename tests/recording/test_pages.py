"""What a question reads of the disk: the pages that the kernel has of a recording of which it had none."""

from __future__ import annotations

import ctypes
import mmap
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from waiting import until

import fastrec as fr
from fastrec.records import Records

_PAGE = mmap.PAGESIZE
_STATUS = np.dtype([("hr", "<i4"), ("mode", "<i4"), ("bytes", "<u8"), ("rest", "V24")])
_ROWS = 400_000  # of 48 bytes: 19 MB
_BLOCK = 12 + 2  # pages of a block, and those at its ends

RUNS = 4
"""States, in runs of equal length: three changes, each in a zone of its own, which tells it."""


def recorded(path: Path, stamps: np.ndarray) -> Path:
    rows = np.zeros(_ROWS, _STATUS)
    rows["mode"] = np.minimum((np.arange(_ROWS) + 500) * RUNS // _ROWS, RUNS - 1)
    rows["bytes"] = np.arange(_ROWS)
    rows["hr"][300_000] = -5
    with fr.Recorder(path, segment_bytes=8 << 20) as rec:
        channel = rec.add("c", schema=fr.Schema.from_dtype(_STATUS, name="S"), capacity=1 << 17)
        for start in range(0, _ROWS, 1 << 16):
            some = slice(start, start + (1 << 16))
            channel.extend(rows[some], stamps[some])
            until(lambda: channel.stats.written == channel.stats.recorded)
    return path


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return recorded(tmp_path_factory.mktemp("pages") / "r", np.arange(_ROWS) * 1000)


def files(run: Path) -> Iterator[Path]:
    return run.glob("channels/c/*.npy")


def forget(run: Path) -> None:
    """Have the kernel drop what it has of the files, as far as it can."""
    for path in files(run):
        descriptor = os.open(path, os.O_RDONLY)
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)


def resident(run: Path) -> int:
    """Pages of the files that are in memory."""
    libc, found = ctypes.CDLL(None, use_errno=True), 0
    for path in files(run):
        size = path.stat().st_size
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as mapped:
            pages = np.empty(-(-size // _PAGE), np.uint8)
            at = np.frombuffer(mapped, np.uint8)
            wanted = ctypes.c_void_p(at.ctypes.data), ctypes.c_size_t(size)
            assert libc.mincore(*wanted, ctypes.c_void_p(pages.ctypes.data)) == 0
            found += int((pages & 1).sum())
            del at
    return found


QUESTIONS: dict[str, tuple[Callable[[Records], object], int]] = {
    "at": (lambda r: r.at(317_000_000).to_numpy()["bytes"].tolist() == [317_000], 2),
    "window": (lambda r: len(r.between(200_000_000, 201_000_000)) == 1000, 3),
    "transitions": (lambda r: len(r.transitions("mode")) == RUNS - 1, 1),
    "counts": (
        lambda r: (
            sorted(r.counts("mode")["records"])
            == [_ROWS // RUNS - 500, *[_ROWS // RUNS] * 2, _ROWS // RUNS + 500]
        ),
        1,
    ),
    "durations": (lambda r: len(r.durations("mode")) == RUNS, 1),
    "first failure": (lambda r: r.where("hr < 0")[0]["bytes"] == 300_000, 2),
    "mean": (lambda r: r.describe("bytes")["mean"][0] == (_ROWS - 1) / 2, 1),
}
"""What is asked, and whether the answer is right; how many blocks it may read."""


SLOW: dict[str, tuple[Callable[[Records], object], int]] = {
    "intervals": (lambda r: len(r.intervals("mode")) == RUNS, 1),
    "durations": (lambda r: len(r.durations("mode", "3ms")) == RUNS, 1),
    "a silence": (lambda r: len(r.intervals("mode", "2ms")) == RUNS + 1, 2),
    "resample": (lambda r: r.resample("100s", "mode")["known"].sum() == r.end - r.start, RUNS + 1),
}
"""Of records 1 ms apart, so that a zone takes far longer than the silence at which an interval breaks."""


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One silence of 3 ms."""
    stamps = np.arange(_ROWS) * 1_000_000
    stamps[250_000:] += 2_000_000
    return recorded(tmp_path_factory.mktemp("slow") / "r", stamps)


@pytest.mark.parametrize("question", SLOW)
def test_pages_read_of_slow_channels(slow: Path, question: str) -> None:
    """No stamp is read where a zone tells that none is far from the one before."""
    check(slow, *SLOW[question])


@pytest.mark.parametrize("question", QUESTIONS)
def test_pages_read(run: Path, question: str) -> None:
    check(run, *QUESTIONS[question])


def check(run: Path, ask: Callable[[Records], object], blocks: int) -> None:
    """Of 4,700 pages of records: those of a few blocks, and those that say what is in all others."""
    forget(run)
    there = resident(run)
    whole = sum(-(-path.stat().st_size // _PAGE) for path in files(run))
    assert there < whole / 20, "the kernel kept the files: the temporary folder is in memory; set TMPDIR"
    assert ask(fr.open(run)["c"])
    summed = sum(-(-path.stat().st_size // _PAGE) for path in files(run) if path.name[0] in "iz")
    read = resident(run) - there
    assert read <= summed + blocks * _BLOCK
