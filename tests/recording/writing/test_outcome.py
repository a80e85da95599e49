"""What the end of a recording says of what the disk did not take, and of what somebody removed."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from waiting import taken_away, until

import fastrec as fr
from fastrec.recording.writing.outcome import Spooled, check_end, reason
from fastrec.recording.writing.storing import Storing

ROW = np.dtype([("count", "<u8")])
SPOOLER = SimpleNamespace(marks_error=0, scarce=False)
STORING = Storing(1, "timed", 1, 1)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[int]:
    """Descriptor of a channel's folder, which is there."""
    descriptor = os.open(tmp_path, os.O_RDONLY)
    yield descriptor
    os.close(descriptor)


def said(folder: int, **marks: int) -> str:
    """At the end of a channel of 100 records, all of them in a ring that is kept, after so many before."""
    ring = SimpleNamespace(core=SimpleNamespace(head=100, linked=True), first=0, capacity=1000)
    told = {"written": 100, "durable": 100, "error": 0, "sync_error": 0, "side_error": 0} | marks
    spooling = {"c": Spooled(ring, SimpleNamespace(marks=lambda: told), folder, 0)}
    with pytest.raises(fr.RecordingError) as caught:
        check_end(Path("/run"), SimpleNamespace(close=lambda: None), SPOOLER, spooling, STORING)
    return str(caught.value)


WAITS = (
    " records wait in shared memory until the machine is started anew: {}go on with resume=True (fastrec"
    " record --resume), or save all with fastrec recover"
)


def test_a_file_that_was_removed_is_no_folder(folder: int) -> None:
    assert reason(errno.ENOENT, folder, STORING, SPOOLER) == "a file of it was removed"
    assert said(folder, error=errno.ENOENT, written=60, durable=60) == (
        "/run: 40 records of channel 'c' could not be written: a file of it was removed; what was written"
        " before is whole, and 40" + WAITS.format("")
    )


def test_what_was_removed_is_not_whole(folder: int) -> None:
    assert said(folder, sync_error=errno.ENOENT, durable=30) == (
        "/run: a file of channel 'c' was removed while it was recorded to: from record 30 on nothing is on"
        " the disk for sure, and 70" + WAITS.format("")
    )


def test_what_a_flush_failed_for_is_whole(folder: int) -> None:
    assert said(folder, sync_error=errno.EIO, durable=30) == (
        "/run: channel 'c' is whole, but a flush failed (Input/output error): from record 30 on it may not"
        " survive a loss of power"
    )


def test_a_disk_that_is_full(folder: int) -> None:
    assert said(folder, error=errno.ENOSPC, written=60) == (
        "/run: 40 records of channel 'c' could not be written: No space left on device; what was written"
        " before is whole, and 40" + WAITS.format("free space, then ")
    )


def push(rec: fr.Recorder, count: int, *names: str) -> None:
    for name in names:
        channel = rec.channels.get(name) or rec.add(name, schema=ROW, capacity=10_000)
        channel.extend(np.zeros(count, ROW))


@pytest.mark.parametrize("limits", [{}, {"keep_bytes": 1 << 30}])
def test_every_folder_that_was_removed_is_told_with_all_it_had(
    tmp_path: Path, limits: dict[str, int]
) -> None:
    path, options = tmp_path / "run", {"flush": "1ms", "durability": "5ms"} | limits
    with fr.Recorder(path) as rec:
        push(rec, 1000, "a", "b", "rests")
    rec = fr.Recorder(path, resume=True, **options)
    rec.start()
    push(rec, 5, "a", "b", "c", "d")
    until(lambda: all(channel.stats.durable == channel.stats.published for channel in rec.channels.values()))
    for name in "abc":
        until(partial(taken_away, path / "channels" / name))
    push(rec, 5, "a", "c", "d")
    with pytest.raises(fr.RecordingError) as caught:
        rec.stop()
    most = "up to " if limits else ""
    assert str(caught.value) == f"{path}: " + "; ".join(
        f"the folder of channel {name!r} was removed while it was recorded to; {most}{count} records of it"
        " are not on the disk"
        for name, count in (("a", "1,010"), ("b", "1,005"), ("c", "10"))
    )
    (left,) = Path("/dev/shm").glob(f"{fr.open(path).sessions[-1]['rings']}.*")  # nobody takes the others
    assert left.suffix == ".d"
    left.unlink()


def test_a_recording_that_was_removed_is_told_with_all_it_had(tmp_path: Path) -> None:
    path = tmp_path / "run"
    with fr.Recorder(path) as rec:
        push(rec, 1000, "a", "rests")
    with (
        pytest.raises(
            fr.RecordingError, match=r"; 1,005 records of channel 'a', 1,000 .* 'rests' are not on"
        ),
        fr.Recorder(path, resume=True) as rec,
    ):
        push(rec, 5, "a")
        until(lambda: taken_away(path))
