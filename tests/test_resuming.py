"""A recorder that goes on with a recording: numbers, stamps, what a dead one left, and what it refuses."""

from __future__ import annotations

import errno
import json
import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

import fastrec as fr
from fastrec.channel import Channel
from fastrec.cli import main
from fastrec.core.ring import Ring as CoreRing
from fastrec.recording import layout
from fastrec.recording.writing import journals, resuming, rings, writer
from fastrec.recording.writing.journals import Lines
from fastrec.recording.writing.resuming import Moment
from fastrec.schema.gaps import Cause

pytestmark = pytest.mark.once  # a long way through code that is the same wherever the package lies

STATUS = np.dtype([("count", "<u8"), ("level", "<f8")])
SHARED = Path("/dev/shm")
HOUR = 3_600_000_000_000


def push(rec: fr.Recorder, start: int, stop: int, name: str = "c") -> Channel:
    channel = rec.channels.get(name) or rec.add(name, schema=STATUS, capacity=10_000)
    rows = np.zeros(stop - start, STATUS)
    rows["count"], rows["level"] = np.arange(start, stop), np.arange(start, stop) / 2
    channel.extend(rows)
    return channel


def check(path: Path, count: int, name: str = "c") -> fr.Records:
    """All of them, in order, once; and nothing wrong with the recording."""
    run = fr.open(path)
    records = run[name]
    np.testing.assert_array_equal(records["count"], np.arange(count))
    np.testing.assert_array_equal(records.seq, np.arange(count))
    assert (np.diff(records["mono_ns"]) >= 0).all()
    report = run.verify()
    assert report.ok, report.problems
    return records


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "run.fastrec"
    yield path
    with suppress(fr.RecordingError):  # there is none, or not any more
        for ring in rings_of(path):
            ring.unlink()


@pytest.fixture
def recorded(path: Path) -> Path:
    with fr.Recorder(path) as rec:
        push(rec, 0, 1000)
    return path


def rings_of(path: Path) -> list[Path]:
    prefixes = [session["rings"] for session in fr.open(path).sessions]
    return [ring for prefix in prefixes for ring in SHARED.glob(f"{prefix}.*")]


VICTIM = """
import os, signal, sys, time, numpy as np, fastrec as fr
path, start, stop, flush = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
status = np.dtype([("count", "<u8"), ("level", "<f8")])
rec = fr.Recorder(path, resume=True, flush=flush)
rec.start()
c = rec.add("c", schema=status, capacity=10_000)
time.sleep(0.3)  # the first round is over, and another comes when an eighth of the ring is full
rows = np.zeros(1, status)
if len(sys.argv) > 5:  # at once, before the spooler comes
    rows = np.zeros(stop - start, status)
    rows["count"], rows["level"] = np.arange(start, stop), np.arange(start, stop) / 2
    c.extend(rows)
for n in range(start, stop if len(sys.argv) == 5 else start):
    rows["count"], rows["level"] = n, n / 2
    c.extend(rows)
while flush == "1ms" and c.stats.written < stop:
    time.sleep(0.001)
print(c.stats.written, c.stats.published, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def killed(path: Path, start: int, stop: int, flush: str = "1h", *, several: bool = False) -> tuple[int, int]:
    """What a recorder said that was written and published, and then was killed."""
    command = [sys.executable, "-c", VICTIM, path, str(start), str(stop), flush, *["several"] * several]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (-signal.SIGKILL, "")
    written, published = map(int, done.stdout.split())
    return written, published


# Going on


def test_numbers_and_stamps_go_on(recorded: Path) -> None:
    for start in (1000, 2000):
        with fr.Recorder(recorded, resume=True) as rec:
            assert rec.offset_ns == 0
            channel = push(rec, start, start + 1000)
            assert channel.ring.first == start
            assert channel.stats.published == start + 1000
            assert channel.snapshot().seq.tolist() == list(range(start, start + 1000))
    check(recorded, 3000)
    run = fr.open(recorded)
    assert run.state == "closed"
    assert [session["session"] for session in run.sessions] == [0, 1, 2]
    assert [session["segments"] for session in run.sessions] == [{}, {"c": 1}, {"c": 2}]


def test_who_had_opened_it_before_sees_what_came(recorded: Path) -> None:
    run = fr.open(recorded)
    assert run["c"] is run["c"] and len(run["c"]) == 1000
    with fr.Recorder(recorded, resume=True, flush="1ms") as rec:
        channel = push(rec, 1000, 1010)
        while channel.stats.written < 1010:
            pass
        assert (run.state, len(run["c"])) == ("live", 1010)
        push(rec, 1010, 1020)
    assert (run.state, len(run["c"])) == ("closed", 1020)


def test_a_channel_may_be_added_before_it_starts(recorded: Path) -> None:
    rec = fr.Recorder(recorded, resume=True)
    push(rec, 1000, 1500)
    with rec:
        push(rec, 1500, 2000)
    check(recorded, 2000)


def test_channels_come_and_rest(recorded: Path) -> None:
    with fr.Recorder(recorded, resume=True) as rec:
        push(rec, 0, 10, "other")
    check(recorded, 1000)
    check(recorded, 10, "other")
    with fr.Recorder(recorded, resume=True) as rec:
        push(rec, 1000, 1001)
    check(recorded, 1001)
    check(recorded, 10, "other")


def test_marks_readings_and_statistics_go_on(recorded: Path) -> None:
    before = len(fr.open(recorded).readings)
    with fr.Recorder(recorded, resume=True) as rec:
        rec.mark("again")
        push(rec, 1000, 1001)
    run = fr.open(recorded)
    assert [mark.text for mark in run.marks] == ["again"]
    assert (
        len(run.readings) > before
    )  # the one at the start is that at the stop where there is little between
    assert (np.diff(run.readings["monotonic"]) > 0).all()
    check(recorded, 1001)


def test_nothing_there_is_created(path: Path) -> None:
    with fr.Recorder(path, resume=True, metadata={"rig": 3}) as rec:
        push(rec, 0, 10)
    check(path, 10)


def test_one_that_never_starts_changes_nothing(recorded: Path) -> None:
    before = {file: file.read_bytes() for file in recorded.rglob("*") if file.is_file()}
    rec = fr.Recorder(recorded, resume=True)
    push(rec, 1000, 1001)
    rec.stop()
    assert {file: file.read_bytes() for file in recorded.rglob("*") if file.is_file()} == before
    with fr.Recorder(recorded, resume=True) as rec:  # nor does it hold the lock
        push(rec, 1000, 1001)
    check(recorded, 1001)


def test_one_that_records_nothing_leaves_what_was_there(recorded: Path) -> None:
    with fr.Recorder(recorded, resume=True):
        pass
    check(recorded, 1000)
    assert fr.open(recorded).state == "closed"


def test_a_folder_of_one_that_died_while_creating_it(path: Path) -> None:
    (path / "channels").mkdir(parents=True)
    (path / ".recording.json.new").write_bytes(b"half")
    with fr.Recorder(path, resume=True) as rec:
        push(rec, 0, 10)
    check(path, 10)


def test_what_is_stored_of_the_options_is_what_the_newest_session_uses(path: Path) -> None:
    def stored() -> dict[str, object]:
        return json.loads((path / "channels" / "cpu" / "channel.json").read_text())["options"]

    options = {"rate": 1000, "store": "changes"}
    with fr.Recorder(path) as rec:
        rec.add("cpu", "linux:rusage", **options)
    first, before = stored(), (path / "channels" / "cpu" / "channel.json").stat()
    with fr.Recorder(path, resume=True) as rec:
        rec.add("cpu", "linux:rusage", **options)
    assert (path / "channels" / "cpu" / "channel.json").stat().st_ino == before.st_ino  # written once
    with fr.Recorder(path, resume=True) as rec:
        added = rec.add("cpu", "linux:rusage", **options, heartbeat="20ms", capacity=500, thread="other")
    assert stored() == first | {"heartbeat_ns": 20_000_000, "capacity": 500, "thread": "other"}
    assert stored() == added.options.to_dict()
    run = fr.open(path)
    assert run.verify().ok and len(run["cpu"])
    assert sorted(file.name for file in path.rglob("*.new")) == []


# What is refused


def test_other_fields_that_are_ignored_are_refused(path: Path) -> None:
    options = {"rate": 1000, "store": "changes"}
    with fr.Recorder(path) as rec:
        rec.add("cpu", "linux:rusage", ignore="ru_utime", **options)
    rec = fr.Recorder(path, resume=True)
    with pytest.raises(
        fr.SchemaError, match=r"ignored are ru_stime\.tv_sec, ru_stime\.tv_usec, and were ru_utime"
    ):
        rec.add("cpu", "linux:rusage", ignore="ru_stime", **options)
    rec.add("cpu", "linux:rusage", ignore=["ru_utime.tv_usec", "ru_utime.tv_sec"], **options)
    rec.stop()


def test_another_layout_store_or_rate_is_refused(path: Path) -> None:
    with fr.Recorder(path) as rec:
        push(rec, 0, 10)
        rec.add("cpu", "linux:rusage", rate=1000)
    rec = fr.Recorder(path, resume=True)
    other = np.dtype([("count", "<u8"), ("level", "<f4"), ("pad", "<u4")])
    with pytest.raises(fr.SchemaError, match="'c' cannot go on: field 'level' differs"):
        rec.add("c", schema=other)
    with pytest.raises(fr.SchemaError, match="'cpu' cannot go on: rate is 100, and was 1000"):
        rec.add("cpu", "linux:rusage", rate=100)
    with pytest.raises(fr.SchemaError, match="'cpu' cannot go on: store is 'changes', and was 'every'"):
        rec.add("cpu", "linux:rusage", rate=1000, store="changes")
    with pytest.raises(fr.SchemaError, match="there is 'c' already; write it so"):
        rec.add("C", schema=STATUS)
    rec.stop()


def test_what_cannot_be_gone_on_with(recorded: Path, tmp_path: Path) -> None:
    with pytest.raises(fr.RecordingError, match="resume=True needs a path"):
        fr.Recorder(resume=True)
    with pytest.raises(fr.RecordingError, match="exists; use another path, or go on with it: resume=True"):
        fr.Recorder(recorded)
    with pytest.raises(fr.RecordingError, match="metadata"):
        fr.Recorder(recorded, resume=True, metadata={"a": 1})
    (tmp_path / "empty").mkdir()
    with pytest.raises(fr.RecordingError, match="holds no recording"):
        fr.Recorder(tmp_path / "empty", resume=True)
    with fr.Recorder(recorded, resume=True) as rec:
        with pytest.raises(fr.RecordingError, match="another recorder is writing to it"):
            fr.Recorder(recorded, resume=True)
        push(rec, 1000, 1001)
    damaged = recorded / "recording.json"
    damaged.write_bytes(damaged.read_bytes()[:-9])
    with pytest.raises(fr.CorruptionError):
        fr.Recorder(recorded, resume=True)


# Stamps of the user's own


def test_stamps_go_on_where_the_session_before_ended(path: Path) -> None:
    row = np.zeros(1, STATUS)
    with fr.Recorder(path) as rec:
        channel = rec.add("c", schema=STATUS)
        assert channel.push(row[0], 100) and channel.extend(row, [200]) == 1
    with fr.Recorder(path, resume=True) as rec:
        channel = rec.add("c", schema=STATUS)
        for stamp in (0, 199):
            with pytest.raises(
                fr.SchemaError, match=f"{stamp} is before 200, the last one of the session bef"
            ):
                channel.push(row[0], stamp)
            for stamps in ([stamp], np.array([stamp])):
                with pytest.raises(
                    fr.SchemaError, match=f"row 0: stamp {stamp} is before 200, the last one of"
                ):
                    channel.extend(row, stamps)
        assert channel.push(row[0], 200) and channel.extend(row, [200]) == 1
        with pytest.raises(fr.SchemaError, match="stamp 199 is before 200, the one before it"):
            channel.push(row[0], 199)
        other = rec.add("other", schema=STATUS)
        assert other.push(row[0], 5)  # each channel has its own
    run = fr.open(path)
    assert run["c"]["mono_ns"].tolist() == [100, 200, 200, 200] and run["other"]["mono_ns"].tolist() == [5]
    assert run.verify().ok


def test_nothing_comes_behind_the_last_stamp_there_can_be(path: Path) -> None:
    with fr.Recorder(path) as rec:
        assert rec.add("c", schema=STATUS).push(bytes(16), 2**62 - 1)
    with pytest.raises(
        fr.RecordingError, match=f"its last stamp, {2**62 - 1} ns, is so late that none can be"
    ):
        fr.Recorder(path, resume=True)
    assert fr.open(path).state == "closed"


# What a dead one left


def test_the_last_record_before_the_kill_is_taken(recorded: Path) -> None:
    """Written was nothing of it: it is in shared memory alone."""
    assert killed(recorded, 1000, 2200) == (1000, 2200)
    assert len(fr.open(recorded)["c"]) == 1000
    assert len(rings_of(recorded)) == 1
    with fr.Recorder(recorded, resume=True) as rec:
        push(rec, 2200, 2201)
    check(recorded, 2201)
    assert rings_of(recorded) == []


def test_counts_that_a_kill_left_behind_are_no_finding_for_ever(recorded: Path) -> None:
    assert killed(recorded, 1000, 1100, "1ms") == (1100, 1100)
    header = len(layout.npy_header(layout.INDEX_DTYPE))
    index = recorded / "channels" / "c" / "index.000001.npy"
    assert len(np.load(index)) < (index.stat().st_size - header) // 64
    for start in (1100, 1200):
        with fr.Recorder(recorded, resume=True) as rec:
            push(rec, start - 1100, start - 1000, "other")  # c rests: what the kill left is its newest
        report = fr.open(recorded).verify()
        assert (report.problems, report.notes) == ([], [])
    with fr.Recorder(recorded, resume=True) as rec:
        push(rec, 1100, 1200)
    report = fr.open(recorded).verify()
    assert (report.problems, report.notes) == ([], [])
    with index.open("r+b") as file:
        file.seek(24)
        file.write(b"%8d" % 99_999)
    assert any("99,999 rows" in note for note in fr.open(recorded).verify().notes)


def test_recovering_takes_it_too_and_leaves_it_there(recorded: Path, tmp_path: Path) -> None:
    killed(recorded, 1000, 2000)
    before = {file: file.read_bytes() for file in recorded.rglob("*") if file.is_file()}
    saved = tmp_path / "saved"
    result = fr.recover(recorded, saved)
    assert result.ok, result
    assert any("1,000 records that were not written yet" in note for note in result.notes)
    check(saved, 2000)
    assert {file: file.read_bytes() for file in recorded.rglob("*") if file.is_file()} == before
    assert len(rings_of(recorded)) == 1
    fr.Recorder(recorded, resume=True).stop()
    check(recorded, 2000)


def test_what_a_ring_has_is_neither_torn_nor_lost(recorded: Path, tmp_path: Path) -> None:
    """Of a row that was being written, and of a segment whose index is gone."""
    killed(recorded, 1000, 1001)
    records = recorded / "channels/c/records.000000.npy"
    with records.open("ab") as file:
        file.write(b"torn")
    result = fr.recover(recorded, tmp_path / "saved")
    assert (result.ok, result.torn) == (True, ())
    assert any("1 record" in note and "came from shared memory" in note for note in result.notes)
    check(tmp_path / "saved", 1001)
    killed(recorded, 1001, 1100, "1ms")
    max(recorded.glob("channels/c/index.*")).unlink()
    result = fr.recover(recorded, tmp_path / "again")
    assert (result.channels["c"].lost, result.problems) == ((), ())
    check(tmp_path / "again", 1100)


def test_what_the_ring_lost_is_a_gap(recorded: Path) -> None:
    written, published = killed(recorded, 1000, 20_000, "1h", several=True)
    with fr.Recorder(recorded, resume=True) as rec:
        push(rec, published, published + 1)
    records = fr.open(recorded)["c"]
    lost = records.gaps[records.gaps["cause"] == Cause.OVERWRITTEN]
    assert int(lost["count"].sum()) >= 20_000 - 10_000 - written > 0
    np.testing.assert_array_equal(records["count"], records.seq)
    assert records.seq[-10_001:].tolist() == list(range(10_000, 20_001))
    assert fr.open(recorded).verify().ok


@pytest.mark.parametrize(
    ("before", "stop", "written", "lost"),
    [
        (0, 1000, 1000, []),
        (1000, 2000, 1990, [(0, 1000, Cause.RETIRED)]),
        (0, 20_000, 4000, [(0, 4000, Cause.RETIRED), (4000, 6000, Cause.OVERWRITTEN)]),
    ],
)
def test_what_no_segment_holds_any_more_is_taken(
    path: Path,
    before: int,
    stop: int,
    written: int,
    lost: list[tuple[int, int, int]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Statistics that count it are no reason to leave it: it may be in shared memory alone."""
    if before:
        with fr.Recorder(path) as rec:
            push(rec, 0, before)
    killed(path, before, stop, "1ms" if stop < 20_000 else "1h", several=stop == 20_000)
    for file in (path / "channels/c").glob("*.0*"):
        file.unlink()
    (path / "stats.jsonl").unlink(missing_ok=True)
    lines = Lines(path, "stats.jsonl", bytes.fromhex(fr.open(path).uuid))
    lines.append(
        {"mono_ns": fr.open(path).readings["monotonic"][-1].item(), "channel": "c", "written": written}
    )
    lines.close()
    retired = sum(count for _, count, cause in lost if cause == Cause.RETIRED)
    main(["info", "--json", str(path)])
    about = json.loads(capsys.readouterr().out)
    assert about["waiting"] == {"c": stop - retired}
    assert about["channels"]["c"]["gaps"] == ({"retired": {"count": retired, "gaps": 1}} if retired else {})
    fr.recover(path, saved := path.with_name("saved"))
    with fr.Recorder(path, resume=True) as rec:
        push(rec, stop, stop + 1)
    for folder, more in ((path, 1), (saved, 0)):
        run = fr.open(folder)
        kept = [*range(sum(count for _, count, _ in lost), stop + more)]
        assert run["c"]["count"].tolist() == run["c"].seq.tolist() == kept
        assert run["c"].gaps[["seq", "count", "cause"]].tolist() == lost
        assert run.verify().ok


def test_a_channel_without_a_record_goes_on(path: Path) -> None:
    with fr.Recorder(path) as rec:
        push(rec, 0, 0)
    assert [file.name for file in (path / "channels/c").iterdir()] == ["channel.json"]
    with fr.Recorder(path, resume=True) as rec:
        push(rec, 0, 10)
    check(path, 10)


def test_a_second_look_takes_nothing_twice(recorded: Path) -> None:
    for start in range(1000, 5000, 1000):
        killed(recorded, start, start + 1000, "5ms" if start % 2000 else "1h")
    fr.Recorder(recorded, resume=True).stop()
    fr.Recorder(recorded, resume=True).stop()
    check(recorded, 5000)


def test_losses_that_were_told_are_not_told_again(path: Path) -> None:
    """Some of a poller's losses are in the file, some in the ring, some in its counters alone."""
    program = """
import ctypes, os, signal, sys, time, fastrec as fr
path, library = sys.argv[1:]
getters = ctypes.CDLL(library)
rec = fr.Recorder(path, flush="20ms")
rec.start()
c = rec.add("c", fr.Call(getters.fail_often, fr.OUT, schema=[("count", "<u8")]), rate=20_000)
while c.stats.failed < 2000:
    time.sleep(0.001)
while True:
    s = c.stats
    os.write(1, f"{s.slots} {s.recorded} {s.missed} {s.failed}\\n".encode())
    if s.failed > 3000:
        os.kill(os.getpid(), signal.SIGKILL)
"""
    library = path.parent / "getter.so"
    source = path.parent / "getter.c"
    source.write_text(
        "#include <stdint.h>\nstatic uint64_t n;\n"
        "int fail_often(uint64_t *out) { n++; *out = n; return n > 5 && n % 7 < 3 ? -5 : 0; }\n"
    )
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, source], check=True)
    command = [sys.executable, "-c", program, path, library]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    _, recorded, missed, failed = map(int, done.stdout.split("\n")[-2].split())
    fr.Recorder(path, resume=True).stop()
    records = fr.open(path)["c"]
    gaps = {cause: int(records.gaps["count"][records.gaps["cause"] == cause].sum()) for cause in Cause}
    assert gaps[Cause.OVERWRITTEN] == gaps[Cause.DISK] == 0
    assert len(records) >= recorded
    assert gaps[Cause.FAILED] >= failed
    assert gaps[Cause.MISSED] >= missed
    # The getter counts its calls, one of which `add` made: no poll is told twice.
    last = int(records["count"][-1])
    tail = gaps[Cause.FAILED] + len(records) - (last - 1)
    assert 0 <= tail <= 3, (tail, last)
    assert fr.open(path).verify().ok


STATES = """
#include <stdint.h>
#include <stdio.h>
static struct { const char *text; uint64_t n; } now;
static char texts[7][16];
static uint64_t calls;
int get_state(void *out) {
    now.n = calls++ / 10;
    snprintf(texts[now.n % 7], 16, "state %d", (int)(now.n % 7));
    now.text = texts[now.n % 7];
    __builtin_memcpy(out, &now, sizeof now);
    return 0;
}
"""

STATES_VICTIM = """
import ctypes, os, signal, sys, time, fastrec as fr
path, library = sys.argv[1:]
class State(ctypes.Structure):
    _fields_ = [("text", ctypes.c_char_p), ("n", ctypes.c_uint64)]
schema = fr.Schema.from_ctypes(State, text=["text"])
getter = fr.Call(ctypes.CDLL(library).get_state, fr.OUT, schema=schema)
rec = fr.Recorder(path, resume=True, flush="1h")
rec.start()
c = rec.add("c", getter, rate=1000, store="changes", heartbeat="1h")
while c.stats.recorded < 100:
    time.sleep(0.001)
c = c.stats
print(c.written, c.published, c.recorded, c.held, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("how", ["resume", "recover"])
def test_texts_and_holds_are_taken(path: Path, how: str) -> None:
    """Of states that each lasted ten polls, in two sessions that died: with their texts, times and polls."""
    library = path.parent / "states.so"
    (path.parent / "states.c").write_text(STATES)
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, path.parent / "states.c"], check=True)
    least, starts = [], [0]
    for _ in range(2):
        command = [sys.executable, "-c", STATES_VICTIM, path, library]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode, done.stderr) == (-signal.SIGKILL, "")
        written, published, recorded, held = map(int, done.stdout.split())
        assert written < published - 100  # most of it is in the ring alone
        least.append((published - sum(count for count, _ in least), recorded + held))
    saved = path
    if how == "recover":
        saved = path.with_name("saved")
        result = fr.recover(path, saved)
        assert result.ok and any("that were not written yet" in note for note in result.notes), result
    else:
        with fr.Recorder(path, resume=True):
            pass
        assert rings_of(path) == []
    run = fr.open(saved)
    assert run.verify().ok, run.verify().problems
    records = run["c"]
    starts += (1 + np.flatnonzero(np.diff(records["n"].astype(int)) < 0)).tolist()
    sessions = [records[start:stop] for start, stop in zip(starts, [*starts[1:], len(records)], strict=True)]
    assert len(sessions) == 2
    for session, (published, polls) in zip(sessions, least, strict=True):
        assert len(session) >= published and session.polls >= polls - 10  # not those that nobody told yet
        assert session.decode("text")["text"].tolist() == [f"state {n % 7}" for n in session["n"].tolist()]
        assert (session["until_ns"] >= session["mono_ns"]).all()
        assert (session["mono_ns"][1:] >= session["until_ns"][:-1]).all()
        told = [int(session["polls"][session["n"] == n].sum()) for n in np.unique(session["n"])]
        missed = int(session.gaps["count"].sum())
        assert sum(told[1:-1]) == 10 * len(told[1:-1]) or missed


def test_a_disk_that_was_full_is_gone_on_with(small_disk: Path) -> None:
    path, filler = small_disk / "run.fastrec", small_disk / "filler"
    rec = fr.Recorder(path, flush="5ms")
    rec.start()
    push(rec, 0, 100)
    while rec["c"].stats.written < 100:
        pass
    with filler.open("wb") as file, pytest.raises(OSError, match="No space"):
        while True:
            file.write(bytes(1 << 16))
            file.flush()
    for start in range(100, 8100, 1000):
        push(rec, start, start + 1000)
    with pytest.raises(fr.RecordingError, match="could not be written: No space"):
        rec.stop()
    assert len(rings_of(path)) == 1
    filler.unlink()
    with fr.Recorder(path, resume=True) as rec:
        push(rec, 8100, 8101)
    check(path, 8101)
    assert rings_of(path) == []


# Rings that are not to be trusted


@pytest.fixture
def left(recorded: Path) -> Iterator[tuple[Path, Path]]:
    killed(recorded, 1000, 2000)
    (ring,) = rings_of(recorded)
    yield recorded, ring
    if os.path.lexists(ring):
        ring.unlink()


def test_a_copy_leaves_the_ring_to_the_original(left: tuple[Path, Path], tmp_path: Path) -> None:
    path, ring = left
    shutil.copytree(path, tmp_path / "copy")
    resumed_with_warning(tmp_path / "copy", "of which this one is a copy")
    assert ring.exists()
    fr.Recorder(path, resume=True).stop()
    check(path, 2000)


def test_one_that_was_recovered_has_all_and_leaves_the_ring_to_the_original(
    left: tuple[Path, Path], tmp_path: Path
) -> None:
    path, ring = left
    saved, again = tmp_path / "saved", tmp_path / "again"
    fr.recover(path, saved)
    result = fr.recover(saved, again)
    assert result.ok, result
    with fr.Recorder(saved, resume=True) as rec:
        push(rec, 2000, 2001)
    check(saved, 2001)
    assert ring.exists()
    fr.Recorder(path, resume=True).stop()
    check(path, 2000)


def test_what_was_left_alone_is_not_taken_when_others_went_on(
    left: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, ring = left
    ring.chmod(0o644)
    with pytest.warns(RuntimeWarning, match="left alone"):
        rec = fr.Recorder(path, resume=True)
    with rec:
        push(rec, 1000, 1010)
    ring.chmod(0o600)
    with pytest.warns(RuntimeWarning, match="was gone on with in the meantime"):
        rec = fr.Recorder(path, resume=True)
    rec.stop()
    check(path, 1010)


def test_damage_in_the_index_costs_no_number(recorded: Path) -> None:
    """What is behind it can be recovered still: its numbers are not used again."""
    with fr.Recorder(recorded, resume=True, flush="1ms") as rec:
        for start in range(1000, 1400, 100):
            channel = push(rec, start, start + 100)
            while channel.stats.written < start + 100:
                pass
    index = recorded / "channels" / "c" / "index.000001.npy"
    data = bytearray(index.read_bytes())
    data[-100] ^= 1
    index.write_bytes(data)
    (recorded / "closed.json").unlink()
    with pytest.warns(RuntimeWarning) as told:
        rec = fr.Recorder(recorded, resume=True)
    assert any("rows behind it do" in str(one.message) for one in told)
    with rec:
        assert push(rec, 1400, 1500).ring.first == 1400
    saved = recorded.with_name("saved")
    fr.recover(recorded, saved)
    check(saved, 1500)


def test_segments_that_nothing_describes_are_not_written_over(recorded: Path, tmp_path: Path) -> None:
    (recorded / "channels" / "c" / "channel.json").unlink()
    before = {file: file.read_bytes() for file in recorded.rglob("*") if file.is_file()}
    with pytest.raises(fr.RecordingError, match=r"no channel\.json .* recover first"):
        fr.Recorder(recorded, resume=True)
    assert {file: file.read_bytes() for file in recorded.rglob("*") if file.is_file()} == before
    fr.recover(recorded, tmp_path / "saved")
    check(tmp_path / "saved", 1000)


@pytest.mark.parametrize(("row", "size"), [(-1, 0), (-2, 65 << 20), (0, 0)])
def test_damage_at_the_end_of_the_index_costs_no_number(path: Path, row: int, size: int) -> None:
    """Not even where no whole row tells of a record any more, and however long the file was made."""
    with fr.Recorder(path) as rec:
        push(rec, 0, 100)
    with fr.Recorder(path, resume=True, flush="1ms") as rec:
        for start in range(100, 400, 100):
            channel = push(rec, start, start + 100)
            while channel.stats.written < start + 100:
                pass
    (path / "closed.json").unlink()
    index = path / "channels" / "c" / "index.000001.npy"
    data = bytearray(index.read_bytes())
    data[row * 64] ^= 1
    index.write_bytes(data if row else b"")
    if size:
        os.truncate(index, size)
    with pytest.warns(RuntimeWarning):
        rec = fr.Recorder(path, resume=True)
    with rec:
        assert push(rec, 400, 410).ring.first == 400
    records = fr.open(path)["c"]
    assert records["count"].tolist() == records.seq.tolist()
    lost = records.gaps[records.gaps["cause"] == Cause.DISK]
    assert len(records) + int(lost["count"].sum()) == 410


def resumed_with_warning(path: Path, match: str, count: int = 1000) -> None:
    with pytest.warns(RuntimeWarning, match=match):
        rec = fr.Recorder(path, resume=True)
    rec.stop()
    check(path, count)


def test_a_link_is_not_followed(left: tuple[Path, Path], tmp_path: Path) -> None:
    path, ring = left
    (tmp_path / "ring").write_bytes(ring.read_bytes())
    ring.unlink()
    ring.symlink_to(tmp_path / "ring")
    resumed_with_warning(path, "left alone")
    assert (tmp_path / "ring").exists()


@pytest.mark.parametrize("mode", [0o644, 0o620, 0o601])
def test_what_others_can_reach_is_left_alone(left: tuple[Path, Path], mode: int) -> None:
    path, ring = left
    ring.chmod(mode)
    resumed_with_warning(path, "left alone")


@pytest.mark.parametrize("uid", [12345, pwd.getpwnam("nobody").pw_uid])
def test_what_is_of_somebody_else_is_left_alone(left: tuple[Path, Path], tmp_path: Path, uid: int) -> None:
    path, ring = left
    os.chown(ring, uid, uid)
    user = "12345" if uid == 12345 else "nobody"
    said = f"{ring.name} is left alone: it belongs to user {user}, .* run this as user {user}"
    result = fr.recover(path, tmp_path / "saved")
    assert any(re.search(said, problem) for problem in result.problems) and not result.ok
    resumed_with_warning(path, said)


def test_a_second_name_is_left_alone(left: tuple[Path, Path]) -> None:
    path, ring = left
    other = ring.with_name("fastrec.test.other")
    os.link(ring, other)
    try:
        resumed_with_warning(path, "left alone")
    finally:
        other.unlink()


def test_a_pipe_is_left_alone(left: tuple[Path, Path]) -> None:
    path, ring = left
    ring.unlink()
    os.mkfifo(ring, 0o600)
    resumed_with_warning(path, "left alone")


@pytest.mark.parametrize("size", [0, 100, 4096, 8192, 100_000])
def test_one_cut_short_is_left_alone(left: tuple[Path, Path], size: int) -> None:
    path, ring = left
    os.truncate(ring, size)
    resumed_with_warning(path, "left alone")


def test_one_that_is_cut_short_while_it_is_read(
    left: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its header is whole when it is looked at, and then the file ends there: a finding, no SIGBUS."""
    path, ring = left
    asked, size = rings.home_of, ring.stat().st_size

    def cut(root: Path) -> tuple[int, int]:
        os.truncate(ring, 8192)
        return asked(root)

    monkeypatch.setattr(rings, "home_of", cut)
    result = fr.recover(path, tmp_path / "saved")
    assert any(f"ring {ring.name} is left alone: it is cut off" in problem for problem in result.problems)
    check(tmp_path / "saved", 1000)
    os.truncate(ring, size)
    resumed_with_warning(path, "left alone: it is cut off")


def test_what_was_read_of_one_outlives_its_file(left: tuple[Path, Path]) -> None:
    _, path = left
    ring = CoreRing(left=path.name.encode())
    ring.fetch()
    os.truncate(path, 0)
    rows = np.zeros(1000, np.dtype([("mono_ns", "<i8"), *STATUS.descr]))
    assert ring.read_into(rows.view("u1"), 1000) == (1000, 1000, 0, 0)
    assert rows["count"].tolist() == list(range(1000, 2000))
    ring.clear()
    assert ring.read_into(rows.view("u1"), 1000) == (1000, 1000, 0, 0)
    assert not rows["count"].any()


def test_every_byte_of_a_header(left: tuple[Path, Path]) -> None:
    """Whatever a byte of the header becomes: refused, or what is taken is what was published."""
    path, ring = left
    whole = ring.read_bytes()
    ends = whole.index(rings.boot_id().encode()) + 40  # behind it are the counters
    for at in range(ends):
        with ring.open("r+b") as file:
            file.seek(at)
            file.write(bytes([whole[at] ^ 0x41]))
        with pytest.raises(OSError, match=r"ring|version|checksum|sizes|belong|counters"):
            CoreRing(left=ring.name.encode())
        with ring.open("r+b") as file:
            file.seek(at)
            file.write(whole[at : at + 1])
    fr.Recorder(path, resume=True).stop()
    check(path, 2000)


def test_of_another_run_of_the_machine(recorded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    killed(recorded, 1000, 1100, "1ms")
    (ring,) = rings_of(recorded)
    monkeypatch.setattr(rings, "boot_id", lambda: "another")
    resumed_with_warning(recorded, "left no ring of channel 'c'", 1100)
    assert ring.exists()


def test_what_is_lost_with_a_ring_is_told_for_good(
    recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, saved = recorded, tmp_path / "saved"
    killed(path, 1000, 1100, "1ms")
    rings_of(path)[0].unlink()
    said = (
        "session 1 was not closed and left no ring of channel 'c': what was published after record 1,099 and"
        " not written is lost; nobody knows how many"
    )
    for verb in (["info"], ["verify"], ["recover", "--json", str(saved)]):
        assert main([verb[0], str(path), *verb[1:]]) == 0
        assert said in capsys.readouterr().out
    resumed_with_warning(path, said, 1100)  # one that does not start leaves it to the next
    with pytest.warns(RuntimeWarning, match=said):
        rec = fr.Recorder(path, resume=True)
    with rec:
        pass  # it leaves the recording as it was, not closed, and loses nothing
    with fr.Recorder(path, resume=True) as rec:
        push(rec, 1100, 1110)
    check(path, 1110)
    for folder in (path, saved):
        assert [(mark.kind, mark.text) for mark in fr.open(folder).marks] == [("lost", said)]


@pytest.mark.parametrize("fails", ["session", "spooler"])
def test_what_is_lost_with_a_ring_is_told_once_by_a_start_that_fails(
    recorded: Path, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    """Before its session is in the recording, or just after."""
    killed(recorded, 1000, 1100, "1ms")
    rings_of(recorded)[0].unlink()

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    with monkeypatch.context() as patched:
        if fails == "session":
            patched.setattr(writer.Writer, "_begin_session", refuse)
        else:
            patched.setattr(writer, "Spooler", refuse)
        with pytest.warns(RuntimeWarning, match="left no ring"):
            rec = fr.Recorder(recorded, resume=True)
        with pytest.raises(fr.RecordingError, match="temporarily unavailable"):
            rec.start()
    fr.Recorder(recorded, resume=True).stop()
    fr.recover(recorded, saved := recorded.with_name("saved"))
    with fr.Recorder(recorded, resume=True) as rec:
        push(rec, 1100, 1110)
    check(recorded, 1110)
    for folder in (recorded, saved):
        assert [mark.kind for mark in fr.open(folder).marks] == ["lost"]


def test_a_channel_that_is_gone_is_told_for_good(recorded: Path) -> None:
    """What comes after it counts channels anew: then only the mark tells that it was there."""
    with fr.Recorder(recorded, resume=True) as rec:
        push(rec, 0, 10, "other")
    shutil.rmtree(recorded / "channels/other")
    said = "channel 'other' is gone, with 10 records, as closed.json counts"
    with pytest.warns(RuntimeWarning, match=said):
        rec = fr.Recorder(recorded, resume=True)
    with rec:
        push(rec, 1000, 1010)
    fr.Recorder(recorded, resume=True).stop()
    check(recorded, 1010)
    assert [(mark.kind, mark.text) for mark in fr.open(recorded).marks] == [("lost", said)]


@pytest.mark.parametrize("fails", ["mark", "session"])
def test_a_channel_that_is_gone_is_no_less_so_after_a_start_that_fails(
    recorded: Path, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    """Where nothing was changed, closed.json stays; else another tells the same, of the same session."""
    with fr.Recorder(recorded, resume=True) as rec:
        push(rec, 0, 10, "other")
    shutil.rmtree(recorded / "channels/other")
    before, write = (recorded / "closed.json").read_bytes(), journals.write_all

    def full(descriptor: int, data: bytes, offset: int) -> None:
        if fails == "mark" or b'"session"' in data:
            write(descriptor, data[:9], offset)  # all that there is room for
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(descriptor, data, offset)

    with monkeypatch.context() as patched:
        patched.setattr(journals, "write_all", full)
        with pytest.warns(RuntimeWarning, match="channel 'other' is gone"):
            rec = fr.Recorder(recorded, resume=True)
        with pytest.raises(fr.RecordingError, match="No space left"):
            rec.start()
    run = fr.open(recorded)
    assert run.closed["session"] == run.sessions[-1]["session"] == 1
    assert ((recorded / "closed.json").read_bytes() == before) == (fails == "mark")
    assert sorted(run.closed["channels"]) == ["c", "other"] and "other is gone" in repr(run)
    assert (recorded / "marks.jsonl").read_bytes().count(b"\n") == len(run.marks) == (fails == "session")
    assert not [text for text in run.verify().problems if "channels/other" not in text]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        rec = fr.Recorder(recorded, resume=True)
    with rec:
        push(rec, 1000, 1010)
    check(recorded, 1010)
    assert len(fr.open(recorded).marks) == 1


def test_a_channel_that_is_gone_again_is_told_again(recorded: Path) -> None:
    """In the same words, where it was there anew; each time behind all that was recorded until then."""
    said, reached = "channel 'other' is gone, with 10 records, as closed.json counts", []
    for start in range(1000, 1020, 10):
        with fr.Recorder(recorded, resume=True) as rec:
            push(rec, 0, 10, "other")
        shutil.rmtree(recorded / "channels/other")
        reached.append(fr.open(recorded).sessions[-1]["start_ns"])
        with pytest.warns(RuntimeWarning, match=said):
            rec = fr.Recorder(recorded, resume=True)
        with rec:
            push(rec, start, start + 10)
        reached.append(fr.open(recorded).sessions[-1]["start_ns"])
    marks = fr.open(recorded).marks
    assert [mark.text for mark in marks] == [said, said]
    assert reached[0] <= marks[0].mono_ns <= reached[1] < reached[2] <= marks[1].mono_ns <= reached[3]


@pytest.mark.parametrize("start_fails", [False, True])
def test_the_ring_of_a_channel_that_is_gone(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], start_fails: bool
) -> None:
    """Nothing else may tell of the channel, and nobody else would ever remove the ring."""
    killed(path, 0, 1000)
    (ring,) = rings_of(path)
    shutil.copytree(path, copy := path.with_name("copy"))
    for folder in (path, copy):
        shutil.rmtree(folder / "channels/c")
    said = "the folder of channel 'c' was removed: 1,000 records of it"
    for verb in ("info", "verify"):
        assert main([verb, str(path)]) == 0
        assert f"note: {said} are in shared memory alone" in capsys.readouterr().out
    assert said in "".join(fr.recover(path, path.with_name("saved")).problems)
    fr.Recorder(copy, resume=True).stop()  # it is none of the copy's
    with pytest.warns(RuntimeWarning, match=said):
        rec = fr.Recorder(path, resume=True)
    if start_fails:
        with monkeypatch.context() as patched:
            patched.setattr(writer, "Spooler", lambda **_: os.listdir(path / "none"))
            with pytest.raises(fr.RecordingError, match="No such file"):
                rec.start()
        assert ring.exists()
        rec = fr.Recorder(path, resume=True)
    with rec:
        push(rec, 0, 10)
    check(path, 10)
    assert not ring.exists()
    lost = f"{said} that were in shared memory alone are lost"
    assert [(mark.kind, mark.text) for mark in fr.open(path).marks] == [("lost", lost)]


@pytest.mark.parametrize("how", ["mode", "owner", "link", "pipe", "short"])
def test_what_is_not_ours_is_no_ring_of_a_channel_that_is_gone(
    left: tuple[Path, Path], tmp_path: Path, how: str
) -> None:
    """Whoever may put files into shared memory could have nobody read of them, nor any of them removed."""
    path, ring = left
    other = ring.with_suffix(".b")
    if how == "link":
        other.symlink_to(ring)
    elif how == "pipe":
        os.mkfifo(other, 0o600)
    else:
        shutil.copyfile(ring, other)
        other.chmod(0o644 if how == "mode" else 0o600)
    if how == "owner":
        os.chown(other, 12345, 12345)
    if how == "short":
        os.truncate(other, 8192)
    try:
        with fr.Recorder(path, resume=True) as rec:
            push(rec, 2000, 2010)
        assert os.path.lexists(other)
    finally:
        other.unlink()
    check(path, 2010)
    assert fr.open(path).marks == ()


@pytest.mark.parametrize("prefix", [None, 3, "", "fastrec.0", ["x"], {}])
def test_what_is_no_prefix_names_no_rings(recorded: Path, prefix: object) -> None:
    line = {"session": 0, "boot_id": rings.boot_id(), "rings": prefix}
    assert rings.stray_rings(recorded, [line], []) == []


def test_nothing_is_lost_where_closed_json_is_damaged(
    recorded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It was written when nothing was left in a ring, whatever it says now."""
    closed = recorded / "closed.json"
    closed.write_bytes(closed.read_bytes().replace(b"1000", b"1001", 1))
    for verb in ("info", "verify"):
        assert main([verb, str(recorded)]) == 1
        assert "left no ring" not in capsys.readouterr().out
    with fr.Recorder(recorded, resume=True) as rec:
        push(rec, 1000, 1010)
    check(recorded, 1010)
    assert not fr.open(recorded).marks


def test_a_recording_is_closed_until_the_next_session_begins(
    recorded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of one that is killed while it makes room nobody says that the session before had died."""
    seen = []

    def make_room(*_: object) -> dict[str, int]:
        seen.append(fr.open(recorded).closed is not None)
        return {}

    monkeypatch.setattr(writer, "make_room", make_room)
    with fr.Recorder(recorded, resume=True):
        pass
    assert seen == [True]


def test_what_waits_in_shared_memory_is_told(
    left: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    path, _ = left
    waits = (
        "note: 1,000 records of channel 'c' wait in shared memory until the machine is started anew: fastrec"
        " recover, or --resume, takes them"
    )
    for verb in ("info", "verify"):
        assert main([verb, str(path)]) == 0
        assert [line for line in capsys.readouterr().out.splitlines() if "shared memory" in line] == [waits]
        assert main([verb, str(path), "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["waiting"] == {"c": 1000}


def test_a_channel_that_cannot_be_read_hides_nothing_else(
    left: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """Its ring cannot be compared with it: that is a line, and all else is told."""
    path, ring = left
    about = path / "channels/c/channel.json"
    about.write_bytes(about.read_bytes().replace(b"level", b"lever", 1))
    for verb in ("info", "verify"):
        assert main([verb, str(path), "--json"]) == 1
        told = json.loads(capsys.readouterr().out)
        assert told["state"] == "unclean" and len(told["problems"]) == 1
        assert [note for note in told["notes"] if f"ring {ring.name} is left alone" in note]


def test_what_was_taken_is_not_lost(left: tuple[Path, Path]) -> None:
    """Not even where the recorder that took it never started."""
    path, ring = left
    for _ in range(2):
        fr.Recorder(path, resume=True).stop()
        assert ring.exists()
    with fr.Recorder(path, resume=True) as rec:
        assert not ring.exists()
        push(rec, 2000, 2010)
    check(path, 2010)
    assert fr.open(path).marks == ()


def test_shared_memory_that_is_full(tmp_path: Path) -> None:
    """Recording goes on all the same; a warning says what a crash would cost."""
    program = """
import subprocess, sys, warnings, numpy as np, fastrec as fr
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", "/dev/shm"], check=True)
warnings.simplefilter("always")
with fr.Recorder(sys.argv[1]) as rec:
    c = rec.add("c", schema=[("count", "<u8")], capacity=100_000)
    c.extend(np.arange(1000, dtype="<u8").view([("count", "<u8")]))
run = fr.open(sys.argv[1])
assert run["c"]["count"].tolist() == list(range(1000)) and run.verify().ok
"""
    done = subprocess.run(
        ["unshare", "-m", "--propagation", "private", sys.executable, "-c", program, tmp_path / "run"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = done.stderr
    assert "channel 'c': its ring is not kept in shared memory: /dev/shm has no room for its " in told
    assert re.search(r"its \d[\d,]+ bytes, 65,536 are free", told), told
    assert "Recording goes on, but what is not written yet is lost if this process is killed; remove" in told
    assert told.count("RuntimeWarning") == 1 and "<string>:6" in told  # the user's own line


def test_rings_that_nobody_takes_do_not_fill_the_memory(tmp_path: Path) -> None:
    program = """
import os, subprocess, sys
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", "/dev/shm"], check=True)
victim = '''
import os, sys, fastrec as fr
rec = fr.Recorder(sys.argv[1]); rec.start()
rec.add("c", schema=[("count", "<u8")], capacity=60_000).push(bytes(8))
os.kill(os.getpid(), 9)
'''
for n in range(12):
    subprocess.run([sys.executable, "-c", victim, f"{sys.argv[1]}/{n}"])
left = [os.stat(f"/dev/shm/{name}").st_size for name in os.listdir("/dev/shm")]
assert 1 <= len(left) <= 3 and sum(left) <= 4 << 20, left
"""
    done = subprocess.run(
        ["unshare", "-m", "--propagation", "private", sys.executable, "-c", program, tmp_path],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr


# After a new start of the machine


def another_start(monkeypatch: pytest.MonkeyPatch, *, real_ns: int) -> None:
    """The machine is started anew, and its clock of dates is so much further."""
    real = Moment.now

    def now() -> Moment:
        moment = real()
        return moment._replace(boot_id="b" * 36, realtime=moment.realtime + real_ns)

    monkeypatch.setattr(resuming.Moment, "now", staticmethod(now))


@pytest.mark.parametrize("real_ns", [HOUR, 0, -HOUR])
def test_stamps_increase_across_a_new_start(
    recorded: Path, monkeypatch: pytest.MonkeyPatch, real_ns: int
) -> None:
    last = int(fr.open(recorded)["c"]["mono_ns"][-1])
    another_start(monkeypatch, real_ns=real_ns)
    with fr.Recorder(recorded, resume=True) as rec:
        channel = push(rec, 1000, 2000)
        stamp = int(channel.current()["mono_ns"])
        mark = rec.mark("now")
    assert last < stamp <= mark
    if real_ns > 0:
        assert HOUR <= stamp - last < HOUR + 60_000_000_000
    else:
        assert stamp - last < 60_000_000_000
    records = check(recorded, 2000)
    assert records.clock.wall(stamp) - records.clock.wall(last) < HOUR + 120_000_000_000
    assert fr.open(recorded).sessions[-1]["offset_ns"] == rec.offset_ns
