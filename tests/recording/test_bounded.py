"""A recording is asked with less memory than its records take, whatever the question."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from waiting import until

import fastrec as fr

pytestmark = pytest.mark.once  # a long way through code that is the same wherever the package lies

RECORDS = 6_000_000
RUN = 20_000  # records of one state
ROOM = 64 << 20  # of what is the process's own, beside what it had before the question

FORM = np.dtype([("mode", "<i4"), ("noise", "<u4"), ("total", "<u8"), ("level", "<f8"), ("rest", "V16")])

MET = 149_984  # records that meet the condition of `where`, by NumPy: `large` counts them

ASK = """
import resource, sys
import numpy as np
import fastrec as fr

run = fr.open(sys.argv[1])
r, room = run["bench"], int(sys.argv[2])
every = slice(None, None, 1000)
questions = {
    "transitions": lambda: len(r.transitions("mode")),
    "intervals": lambda: int(r.intervals("mode")["records"].sum()),
    "durations": lambda: int(r.durations("mode")["records"].sum()),
    "durations of noise": lambda: int(r.durations("noise")["records"].sum()),
    "counts": lambda: int(r.counts("mode")["records"].sum()),
    "counts of noise": lambda: int(r.counts("noise")["records"].sum()),
    "where": lambda: len(r.where("noise == 3 and total > 1000 and mode == 2")),
    "changed": lambda: len(r.where("changed(mode)")),
    "describe": lambda: int(r.describe("total")["max"][0]),
    "downsample": lambda: int(r.downsample(2000, "level")["records"].sum()),
    "resample": lambda: int(r.resample("100ms", ["mode", "total", "noise"])["polls"].sum()),
    "rate": lambda: int(r.rate("total", every="1s")["polls"].sum()),
    "asof": lambda: int(r[every].asof(r, direction="nearest").valid.sum()),
    "align": lambda: len(fr.align(r, every="10ms")["bench"]["level"]),
    "at": lambda: int(r.at("+1s")["total"][0]),
    "between": lambda: len(r.between("+1s", "+1100ms")),
    "chunks": lambda: sum(len(chunk["total"]) for chunk in r.chunks()),
    "gaps": lambda: len(r.gaps),
    "expand": lambda: len(r.expand()),
    "export": lambda: r.export(sys.argv[3]) or len(np.load(sys.argv[3], mmap_mode="r")),
    "verify": lambda: int(run.verify().ok),
    "the whole": lambda: len(r.to_numpy()),
}
ask = questions[sys.argv[4]]
with open("/proc/self/status") as status:
    data = next(int(line.split()[1]) for line in status if line.startswith("VmData")) * 1024
resource.setrlimit(resource.RLIMIT_DATA, (data + room,) * 2)
print(ask())
"""


def noise(number: np.ndarray) -> np.ndarray:
    """Eight states in no order."""
    return (number * 2_654_435_761 & 0xFFFF_FFFF) >> 29


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """300 MB of records, in five segments."""
    path = tmp_path_factory.mktemp("large") / "run.fastrec"
    with fr.Recorder(path, segment_bytes=64 << 20) as rec:
        channel = rec.add("bench", schema=FORM, capacity=1 << 18)
        rows, met = np.zeros(100_000, FORM), 0
        for first in range(0, RECORDS, len(rows)):
            number = np.arange(first, first + len(rows))
            rows["mode"], rows["total"], rows["level"] = number // RUN % 5, number, number % 977
            rows["noise"] = noise(number)
            met += ((rows["noise"] == 3) & (rows["total"] > 1000) & (rows["mode"] == 2)).sum()
            until(lambda: channel.stats.published - channel.stats.written <= 1 << 17)
            channel.extend(rows, 10**9 + number * 1_000)
    assert met == MET
    return path


ANSWERS = {
    "transitions": RECORDS // RUN - 1,
    "intervals": RECORDS,
    "durations": RECORDS,
    "durations of noise": RECORDS,
    "counts": RECORDS,
    "counts of noise": RECORDS,
    "where": MET,
    "changed": RECORDS // RUN - 1,
    "describe": RECORDS - 1,
    "downsample": RECORDS,
    "resample": RECORDS,
    "rate": RECORDS - 1,  # from each poll to the next
    "asof": RECORDS // 1000,
    "align": RECORDS // 10_000,
    "at": 1_000_000,
    "between": 100_000,
    "chunks": RECORDS,
    "gaps": 0,
    "expand": RECORDS,
    "export": RECORDS,
    "verify": 1,
}


def asked(path: Path, name: str, saved: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", ASK, path, ROOM, saved, name]
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=300, check=False)


@pytest.mark.parametrize("name", ANSWERS)
def test_every_question(large: Path, tmp_path: Path, name: str) -> None:
    done = asked(large, name, tmp_path / "saved.npy")
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == ANSWERS[name]


def test_there_is_no_more_memory_than_said(large: Path, tmp_path: Path) -> None:
    done = asked(large, "the whole", tmp_path / "saved.npy")
    assert done.returncode == 1 and "MemoryError" in done.stderr
