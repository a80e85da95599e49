"""``linux:sysinfo`` against what the kernel says in /proc."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from waiting import until

import fastrec as fr


def meminfo(name: str) -> int:
    """A line of /proc/meminfo in bytes."""
    lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    return int(lines[name].split()[0]) * 1024


def loadavg() -> tuple[list[float], int]:
    """Load averages with two digits, and the number of threads."""
    *loads, running, _ = Path("/proc/loadavg").read_text().split()
    return [float(load) for load in loads], int(running.partition("/")[2])


def uptime() -> float:
    return float(Path("/proc/uptime").read_text().split()[0])


@pytest.fixture(scope="module")
def agreed() -> Iterator[Callable[[Callable[[], object], Callable[[fr.Records], object]], object]]:
    """What /proc and the source say of one moment: the system moves, so it may take many."""
    with fr.Recorder() as rec:  # before anything is compared, because its rings are shared memory
        channel = rec.add("system", fr.linux.sysinfo(), rate=5000)

        def agree(told: Callable[[], object], member: Callable[[fr.Records], object]) -> object:
            for _ in range(3000):
                before, polls = told(), channel.stats.slots
                until(lambda polls=polls: channel.stats.slots > polls + 1)
                seen, after = member(channel.last(1)), told()
                if before == seen == after:
                    return seen
            raise AssertionError(f"/proc said {before}, then {after}; in between the source said {seen}")

        yield agree


@pytest.mark.parametrize(
    ("member", "line"),
    [
        ("totalram", "MemTotal"),
        ("freeram", "MemFree"),
        ("sharedram", "Shmem"),
        ("bufferram", "Buffers"),
        ("totalswap", "SwapTotal"),
        ("freeswap", "SwapFree"),
    ],
)
def test_memory(agreed: Callable, member: str, line: str) -> None:
    assert agreed(lambda: meminfo(line), lambda records: records.decode()[member][0]) >= 0
    assert fr.linux.sysinfo().schema.field(member).unit == "B"


def test_high_memory_is_of_other_machines() -> None:
    read = fr.linux.sysinfo().read()
    assert (read["totalhigh"], read["freehigh"]) == (0, 0)


def test_load_and_threads(agreed: Callable) -> None:
    assert agreed(lambda: loadavg()[1] % 65536, lambda records: records["procs"][0]) > 0

    def printed(records: fr.Records) -> list[float]:
        """As loadavg_proc_show of the kernel rounds: in 1/2048, half a hundredth added, then cut."""
        physical = records.decode()["loads"][0]
        return [(int(load * 2048) + 10) * 100 // 2048 / 100 for load in physical.tolist()]

    assert len(agreed(lambda: loadavg()[0], printed)) == 3


def test_uptime_recorded(tmp_path: Path) -> None:
    """Over a second of the system's life, each sample between what /proc said before and after."""
    path = tmp_path / "run.fastrec"
    before = uptime()
    with fr.Recorder(path) as rec:
        channel = rec.add("system", fr.linux.sysinfo(), rate=1000)
        until(lambda: channel.stats.recorded)
        first = channel.current()["uptime"]
        until(lambda: channel.current()["uptime"] > first)
    after = uptime()
    records = fr.open(path)["system"]
    column = records["uptime"]
    assert math.floor(before) <= column[0] < column[-1] <= math.ceil(after) + 1
    assert np.isin(np.diff(column), (0, 1)).all()
    loads = records.decode()["loads"]
    np.testing.assert_array_equal(loads, records["loads"] / 65536)
    assert fr.open(path)["system"].schema == fr.linux.sysinfo().schema
