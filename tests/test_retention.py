"""Rotation and retention: a recorder that runs for ever within a budget, and sixty-four channels at once."""

from __future__ import annotations

import errno
import os
import shutil
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from waiting import until

import fastrec as fr
from fastrec.channel import Channel
from fastrec.recording.writing import journals, writer
from fastrec.recording.writing.remains import remains
from fastrec.schema.gaps import Cause

pytestmark = pytest.mark.once  # a long way through code that is the same wherever the package lies

STATUS = np.dtype([("count", "<u8"), ("pad", "V56")])
ROW = 72
SEGMENT = 1024 * ROW


def push(channel: Channel, start: int, stop: int) -> None:
    rows = np.zeros(stop - start, STATUS)
    rows["count"] = np.arange(start, stop)
    channel.extend(rows)
    until(lambda: channel.stats.written >= stop)


def segments(path: Path, name: str = "c") -> list[int]:
    return sorted(int(file.name[8:14]) for file in (path / "channels" / name).glob("records.*.npy"))


def size(path: Path) -> int:
    total = 0
    for file in (path / "channels").rglob("*.*.*"):
        with suppress(FileNotFoundError):  # it has just been removed
            total += file.stat().st_size
    return total


def check(path: Path, end: int, name: str = "c") -> fr.Records:
    """The newest are there, what is older is named as retired, and nothing is wrong."""
    run = fr.open(path)
    records = run[name]
    first = int(records.seq[0]) if len(records) else end
    assert records.seq.tolist() == list(range(first, end))
    np.testing.assert_array_equal(records["count"], records.seq)
    retired = records.gaps[records.gaps["cause"] == Cause.RETIRED]
    assert retired[["seq", "count"]].tolist() == ([(0, first)] if first else [])
    report = run.verify()
    assert report.ok, report.problems
    return records


def test_bytes(tmp_path: Path) -> None:
    path, keep = tmp_path / "run", 10 * SEGMENT
    with fr.Recorder(path, segment_bytes=SEGMENT, keep_bytes=keep, flush="1ms", durability="5ms") as rec:
        channel = rec.add("c", schema=STATUS, capacity=4096)
        for start in range(0, 40_000, 1000):
            push(channel, start, start + 1000)
        until(lambda: size(path) <= keep)
    records = check(path, 40_000)
    assert keep / 2 < size(path) <= keep
    assert len(records) >= 5000


def test_the_oldest_of_all_channels_goes_first(tmp_path: Path) -> None:
    path, keep = tmp_path / "run", 12 * SEGMENT
    with fr.Recorder(path, segment_bytes=SEGMENT, keep_bytes=keep, flush="1ms", durability="5ms") as rec:
        early = rec.add("early", schema=STATUS, capacity=8192)
        late = rec.add("late", schema=STATUS, capacity=8192)
        push(early, 0, 5000)
        for start in range(0, 5000, 1000):
            push(late, start, start + 1000)
        until(lambda: size(path) <= keep)
        assert segments(path, "late")[:5] == [0, 1, 2, 3, 4]
        for start in range(5000, 20_000, 1000):
            push(late, start, start + 1000)
        until(lambda: size(path) <= keep)
        assert segments(path, "early")[0] == 4  # that one it still writes to
    check(path, 5000, "early")
    check(path, 20_000, "late")


def test_one_that_still_is_written_to_is_ended_for_the_budget(tmp_path: Path) -> None:
    path = tmp_path / "run"
    with fr.Recorder(path, segment_bytes=1 << 20, keep_bytes=2 << 20, flush="1ms", durability="5ms") as rec:
        channels = [rec.add(f"c{n}", schema=STATUS, capacity=16_384) for n in range(4)]
        for channel in channels:
            push(channel, 0, 10_000)
        until(lambda: size(path) <= 2 << 20)
    for channel in channels:
        check(path, 10_000, channel.name)


def test_time(tmp_path: Path) -> None:
    path = tmp_path / "run"
    options = {"segment_seconds": "50ms", "keep_seconds": "400ms", "flush": "1ms", "durability": "5ms"}
    with fr.Recorder(path, **options) as rec:
        channel = rec.add("c", schema=STATUS, capacity=4096)
        began = time.monotonic_ns()
        end = 0
        while time.monotonic_ns() - began < 1_500_000_000:
            push(channel, end, end + 10)
            end += 10
            time.sleep(0.002)
        until(lambda: segments(path)[0] > 0)
    records = check(path, end)
    assert records.start > began + 200_000_000
    assert len(segments(path)) > 2


def test_a_segment_ends_when_its_time_is_up(tmp_path: Path) -> None:
    path = tmp_path / "run"
    with fr.Recorder(path, segment_seconds=0.02, flush="1ms") as rec:
        channel = rec.add("c", schema=STATUS)
        for start in range(5):
            push(channel, start, start + 1)
            time.sleep(0.03)
    assert len(segments(path)) in (5, 6)  # the last may have ended, too
    check(path, 5)


def test_room_for_others(small_disk: Path) -> None:
    path, spare = small_disk / "run", 2 << 20
    with fr.Recorder(path, segment_bytes=SEGMENT, min_free=spare, flush="1ms", durability="5ms") as rec:
        channel = rec.add("c", schema=STATUS, capacity=4096)
        for start in range(0, 100_000, 1000):
            push(channel, start, start + 1000)
            time.sleep(0.005)
        about = os.statvfs(small_disk)
        until(lambda: os.statvfs(small_disk).f_bavail * about.f_frsize >= spare)
    assert segments(path)[0] > 0
    check(path, 100_000)


def test_no_room_and_nothing_to_remove_is_a_full_disk(small_disk: Path) -> None:
    path = small_disk / "run"
    filler = small_disk / "filler"
    filler.write_bytes(bytes(3 << 20))
    with fr.Recorder(path, min_free=2 << 20, flush="1ms", durability="5ms") as rec:
        channel = rec.add("c", schema=STATUS, capacity=4096)
        rows = np.zeros(64, STATUS)
        while not channel.spooling.marks()["error"]:
            channel.extend(rows)
            time.sleep(0.001)
        published = channel.stats.published
        filler.unlink()
        until(lambda: channel.stats.written >= published)
    assert fr.open(path).verify().ok


@pytest.mark.filterwarnings("ignore:.*the disk takes no records. less than min_free=2,097,152 bytes")
def test_a_stop_names_min_free(small_disk: Path) -> None:
    (small_disk / "filler").write_bytes(bytes(3 << 20))
    rec = fr.Recorder(small_disk / "run", min_free=2 << 20, flush="1ms", durability="5ms")
    rec.start()
    channel = rec.add("c", schema=STATUS, capacity=4096)
    until(lambda: channel.extend(np.zeros(64, STATUS)) or channel.spooling.marks()["error"])
    channel.extend(np.zeros(64, STATUS))
    with pytest.raises(fr.RecordingError) as caught:
        rec.stop()
    said = str(caught.value)
    assert "could not be written: less than min_free=2,097,152 bytes are free, and nothing is left to" in said
    assert ": free space, or lower min_free, then" in said and "No space left" not in said


@pytest.mark.parametrize("resume", [True, False])
def test_more_than_can_ever_be_free_is_refused(small_disk: Path, resume: bool) -> None:
    path = small_disk / "run"
    for least in (4 << 20, 100 * 10**12):
        with pytest.raises(fr.RecordingError, match=rf"^min_free={least:,}: .*disk/run 4,194,304 bytes can"):
            fr.Recorder(path, resume=resume, min_free=least)
    assert not path.exists()
    fr.Recorder(path, resume=resume, min_free=3 << 20).stop()


def test_a_resumed_recorder_keeps_to_the_budget(tmp_path: Path) -> None:
    path, keep = tmp_path / "run", 10 * SEGMENT
    with fr.Recorder(path, segment_bytes=SEGMENT, flush="1ms") as rec:
        push(rec.add("c", schema=STATUS, capacity=32_768), 0, 30_000)
    assert size(path) > 2 * keep
    with fr.Recorder(path, resume=True, segment_bytes=SEGMENT, keep_bytes=keep, durability="5ms") as rec:
        push(rec.add("c", schema=STATUS, capacity=32_768), 30_000, 30_100)
        until(lambda: size(path) <= keep)
    check(path, 30_100)


def fill(folder: Path) -> Path:
    """Nothing more has room there."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(bytes(4096)):
            pass
    return filler


def test_a_resume_makes_room_before_it_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, write = tmp_path / "run", journals.write_all
    with fr.Recorder(path, segment_bytes=800_000, flush="1ms") as rec:
        push(rec.add("c", schema=STATUS, capacity=65_536), 0, 34_000)

    def full(descriptor: int, data: bytes, offset: int) -> None:
        if size(path) > 2_000_000:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(descriptor, data, offset)

    monkeypatch.setattr(journals, "write_all", full)
    before = segments(path)
    cure = r"No space left .*; free space, or let its oldest segments make way: keep_bytes="
    with pytest.raises(fr.RecordingError, match=cure):
        fr.Recorder(path, resume=True).start()
    assert segments(path) == before and fr.open(path).state == "closed"
    with fr.Recorder(path, resume=True, keep_bytes=2_000_000, flush="1ms") as rec:
        push(rec.add("c", schema=STATUS, capacity=65_536), 34_000, 35_000)
    check(path, 35_000)
    assert segments(path)[0] > before[0]


def test_room_made_for_a_start_that_fails_is_no_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "run"
    record(path, {"c": (0, 20_000), "gone": (0, 10)}, segment_bytes=SEGMENT)
    shutil.rmtree(path / "channels/gone")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(journals, "write_all", full)  # for the mark that a channel is gone
        with pytest.warns(RuntimeWarning, match="'gone' is gone"):
            rec = fr.Recorder(path, resume=True, keep_bytes=10 * SEGMENT)
        with pytest.raises(fr.RecordingError, match="No space left"):
            rec.start()
    assert segments(path)[0] > 0
    run = fr.open(path)
    assert run.closed["session"] == run.sessions[-1]["session"] == 0
    assert [text for text in run.verify().problems if "channels/gone" not in text] == []


def test_what_waits_in_memory_has_room_made_for_it(small_disk: Path) -> None:
    path = small_disk / "run"
    rec = fr.Recorder(path, segment_bytes=400_000, flush="1ms")
    rec.start()
    channel = rec.add("c", schema=STATUS, capacity=32_768)
    push(channel, 0, 20_000)
    fill(small_disk)
    rows = np.zeros(10_000, STATUS)
    rows["count"] = np.arange(20_000, 30_000)
    channel.extend(rows)
    with pytest.raises(fr.RecordingError, match="wait in shared memory"):
        rec.stop()
    with pytest.raises(fr.RecordingError, match=r"No space left .* make way"):
        fr.Recorder(path, resume=True)
    with fr.Recorder(path, resume=True, min_free=1 << 20, segment_bytes=400_000) as rec:
        pass
    check(path, 30_000)


SMALL = np.dtype([("count", "<u8")])


def record(path: Path, amounts: dict[str, tuple[int, int]], **options: Any) -> None:
    """Record numbers from, to into the channels."""
    with fr.Recorder(path, resume=True, flush="1ms", durability="5ms", **options) as rec:
        for name, amount in amounts.items():
            push(rec.add(name, schema=STATUS, capacity=32_768), *amount)


def test_channels_that_rest_are_in_the_budget(tmp_path: Path) -> None:
    """What a session does not add is old: it goes first, and the numbers go on when it comes again."""
    path, keep = tmp_path / "run", 10 * SEGMENT
    record(path, {"a": (0, 20_000), "b": (0, 20_000)}, segment_bytes=SEGMENT)
    record(path, {"c": (0, 8000)}, segment_bytes=SEGMENT, keep_bytes=keep)
    assert keep / 2 < size(path) <= keep
    assert segments(path, "c") == [*range(8)]
    assert len(segments(path, "a")) + len(segments(path, "b")) < 4
    record(path, {"a": (20_000, 22_000)}, segment_bytes=SEGMENT, keep_bytes=keep)
    for name, end in (("a", 22_000), ("b", 20_000), ("c", 8000)):
        check(path, end, name)


@pytest.mark.parametrize("added", [False, True])
def test_the_only_segment_of_a_channel_that_rests_goes(tmp_path: Path, added: bool) -> None:
    """All that is left of it is the next number; also if it was added, and nothing is pushed."""
    path, keep = tmp_path / "run", 10 * SEGMENT
    record(path, {"a": (0, 20_000), "b": (0, 20_000)})
    assert segments(path, "a") == segments(path, "b") == [0]
    options = {"segment_bytes": SEGMENT, "keep_bytes": keep, "flush": "1ms", "durability": "5ms"}
    with fr.Recorder(path, resume=True, **options) as rec:
        if added:
            rec.add("a", schema=STATUS)
        until(lambda: size(path) < keep)
        assert segments(path, "a") == segments(path, "b") == [1]
        late = rec.add("b", schema=STATUS)  # it rested until now
        push(late, 20_000, 20_010)
    assert (path / "channels" / "b" / "records.000002.npy").exists()
    record(path, {"a": (20_000, 20_010)}, keep_bytes=keep)
    check(path, 20_010, "a")
    check(path, 20_010, "b")


def test_what_rests_grows_old(tmp_path: Path) -> None:
    path = tmp_path / "run"
    record(path, {"a": (0, 1000)})
    with fr.Recorder(path, resume=True, keep_seconds=0.05, durability="5ms"):
        until(lambda: not list(path.glob("channels/a/*.000000.*")))
        before = set(path.rglob("*.npy"))
        time.sleep(0.6)  # what tells the next number stays, and is not told again
        assert set(path.rglob("*.npy")) == before
    check(path, 1000, "a")


@pytest.mark.parametrize("begun", [False, True])
def test_what_rests_loses_nothing_with_a_session_that_dies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, begun: bool
) -> None:
    """Though a segment was written, to tell the next number: before the session began, or in it."""
    path, copy = tmp_path / "run", tmp_path / "copy"

    def copied() -> bool:
        """As a kill leaves it; whether nothing was removed meanwhile."""
        try:
            return bool(shutil.copytree(path, copy))
        except shutil.Error:
            shutil.rmtree(copy)
            return False

    record(path, {"a": (0, 1000), "b": (0, 1000)})
    if begun:
        monkeypatch.setattr(writer, "make_room", lambda *_: {})
    else:
        time.sleep(0.05)  # so old is all by then
    with fr.Recorder(path, resume=True, keep_seconds=0.05, flush="1ms", durability="5ms") as rec:
        push(rec.add("a", schema=STATUS), 1000, 1010)
        until(lambda: segments(path, "b") == [1])
        until(copied)
        dead = fr.open(copy)
        assert dead.state == "unclean" and remains(dead).notes == ()
        assert dead.sessions[-1]["segments"] == ({"a": 1, "b": 1} if begun else {"a": 2, "b": 2})
        if begun:
            with (copy / "channels/b/index.000001.npy").open("r+b") as file:
                file.seek(-64, os.SEEK_END)
                file.write(bytes(64))  # damage
            assert "left no ring of channel 'b'" in remains(fr.open(copy)).notes[0]


def test_a_stop_removes_all_that_is_beyond_the_budget(fast_disk: Path) -> None:
    """However much that is: flushes, which come between, are not asked to wait for it."""
    path, keep, end = fast_disk / "run", 1 << 20, 400 * 1024
    with fr.Recorder(path, segment_bytes=1024, flush="1ms", durability="1ms") as rec:
        channel = rec.add("c", schema=SMALL, capacity=32_768)
        rows = np.arange(end, dtype="<u8").view(SMALL)
        for start in range(0, end, 8192):
            channel.extend(rows[start : start + 8192])
            until(lambda stop=start + 8192: channel.stats.durable >= stop)
    assert len(segments(path)) > 350
    with fr.Recorder(path, resume=True, keep_bytes=keep):
        pass  # though nothing is recorded
    assert size(path) <= keep
    check(path, end)


def test_what_makes_no_sense_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run"
    for options, match in (
        ({"keep_bytes": 0}, "keep_bytes=0; it is a number of bytes above 0"),
        ({"keep_bytes": "1GB"}, "keep_bytes='1GB'; it is a number of bytes"),
        ({"keep_bytes": 1000, "segment_bytes": 600}, "segments are removed whole"),
        ({"keep_seconds": 0}, "keep_seconds=0; it is a number of seconds, or a duration"),
        ({"keep_seconds": float("nan")}, "keep_seconds=nan"),
        ({"keep_seconds": "soon"}, "keep_seconds='soon'"),
        ({"keep_seconds": 10, "segment_seconds": 11}, "let them be shorter"),
        ({"min_free": True}, "min_free=True"),
    ):
        with pytest.raises(fr.RecordingError, match=match):
            fr.Recorder(path, **options)


# Many channels


def switches(thread: str) -> int:
    """How often the threads of that name have gone to sleep."""
    total = 0
    for task in Path("/proc/self/task").iterdir():
        if (task / "comm").read_text().strip() == thread:
            status = (task / "status").read_text()
            total += int(status.split("\nvoluntary_ctxt_switches:")[1].split()[0])
    return total


def test_64_channels_at_different_rates(tmp_path: Path) -> None:
    """One thread drains, one makes durable, and neither wakes up more often for more channels."""
    path = tmp_path / "run"
    with fr.Recorder(path, durability="200ms") as rec:
        for n in range(64):
            rec.add(f"c{n}", "linux:rusage", rate=[0.5, 1, 10, 100, 500][n % 5] if n else 2000)
        names = [(task / "comm").read_text().strip() for task in Path("/proc/self/task").iterdir()]
        assert names.count("fastrec-spool") == names.count("fastrec-sync") == 1
        before, began = switches("fastrec-spool"), time.monotonic()
        flushes = switches("fastrec-sync")
        time.sleep(2)
        elapsed = time.monotonic() - began
        # Ten rounds a second, twice that where a ring is found fuller, and writing itself may sleep.
        assert switches("fastrec-spool") - before < 64 * 10 * elapsed
        assert switches("fastrec-sync") - flushes < 64 * 10 * elapsed
        stats = rec.stats
        assert all(one.slots == one.recorded + one.missed for one in stats.values())
    run = fr.open(path)
    assert run.verify().ok
    assert len(run) == 64
    for name, records in run.items():
        assert not np.isin(records.gaps["cause"], [Cause.OVERWRITTEN, Cause.DISK]).any(), name
        assert records.seq.tolist() == list(range(len(records)))


def test_a_65th_channel_is_refused(tmp_path: Path) -> None:
    with fr.Recorder(tmp_path / "run") as rec:
        for n in range(64):
            rec.add(f"c{n}", schema=STATUS, capacity=64)
        with pytest.raises(fr.SourceError, match="at most 64 channels"):
            rec.add("more", schema=STATUS)
