"""kill -9 at a random moment: everything below the last mark that was seen is there, once, unaltered."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from children import child
from programs import build

import fastrec as fr
from fastrec.schema.gaps import Cause

STATUS = np.dtype([("mode", "<i4"), ("count", "<u4"), ("level", "<f8")])

VICTIM = """
import ctypes, sys, numpy as np, fastrec as fr
path, library = sys.argv[1:]
status = np.dtype([("mode", "<i4"), ("count", "<u4"), ("level", "<f8")])
getters = ctypes.CDLL(library)
with fr.Recorder(path, segment_bytes=1 << 16, flush="5ms", durability="50ms") as rec:
    polled = rec.add("polled", fr.Call(getters.get_status, fr.OUT, schema=status), rate=20_000)
    pushed = rec.add("pushed", schema=status, capacity=100_000)
    rows, n = np.zeros(100, status), 0
    while True:
        rows["count"] = np.arange(n, n + 100)
        rows["level"] = rows["count"] * 0.5
        n += pushed.extend(rows)
        sys.stdout.write(f"{polled.stats.written} {pushed.stats.written}\\n")
        sys.stdout.flush()
"""


def trial(path: Path, library: Path, moment: float) -> tuple[int, int]:
    """Marks that the victim told before it died."""
    with child([sys.executable, "-c", VICTIM, path, library], stdout=subprocess.PIPE, text=True) as victim:
        victim.stdout.readline()
        end = time.monotonic() + moment
        told = "0 0\n"
        while time.monotonic() < end:
            told = victim.stdout.readline()
        victim.send_signal(signal.SIGKILL)
        rest = victim.stdout.read()
    whole = [line for line in (told + rest).split("\n")[:-1] if line]
    polled, pushed = map(int, whole[-1].split())
    return polled, pushed


def check(path: Path, marks: tuple[int, int]) -> int:
    """Prove the recording against the marks; how many records it holds."""
    run = fr.open(path)
    assert run.state == "unclean"
    total = 0
    for name, mark, first in zip(("polled", "pushed"), marks, (2, 0), strict=True):
        files = sorted((path / "channels" / name).glob("records.*.npy"))
        shown = sum(len(np.load(file)) for file in files)
        records = run[name]
        lost = int(
            records.gaps["count"][np.isin(records.gaps["cause"], (Cause.OVERWRITTEN, Cause.DISK))].sum()
        )
        assert len(records) + lost >= mark, (name, mark)
        assert mark - lost <= shown <= len(records), (name, mark, shown)
        np.testing.assert_array_equal(records["count"], records.seq + first)
        np.testing.assert_array_equal(records["level"], records["count"] * 0.5)
        assert (np.diff(records["mono_ns"].astype("i8")) >= 0).all()
        total += len(records)
    report = run.verify()
    assert report.ok, report.problems
    return total


def trials(tmp_path: Path, count: int) -> None:
    library = build(tmp_path, "getters.c", "-shared", "-fPIC")
    seed = int(os.environ.get("FASTREC_SEED", random.SystemRandom().randrange(1 << 32)))
    moments = random.Random(seed)
    held = 0
    for number in range(count):
        path = tmp_path / f"{number}.fastrec"
        marks = trial(path, library, moments.uniform(0, 0.3))
        try:
            held += check(path, marks)
        except AssertionError as error:
            error.add_note(f"trial {number} of FASTREC_SEED={seed}")
            raise
    assert held > count * 1000


def test_kill(tmp_path: Path) -> None:
    trials(tmp_path, 50)


@pytest.mark.stress
def test_kill_many(tmp_path: Path) -> None:
    trials(tmp_path, 2000)


def test_check_sees_a_lost_block(tmp_path: Path) -> None:
    """The check itself: a recording that lost its last block does not pass."""
    library = build(tmp_path, "getters.c", "-shared", "-fPIC")
    path = tmp_path / "run.fastrec"
    marks = trial(path, library, 0.3)
    check(path, marks)
    last = max((path / "channels" / "pushed").glob("index.*.npy"))
    os.truncate(last, 256)
    with pytest.raises(AssertionError):
        check(path, marks)
