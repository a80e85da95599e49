"""Reading what the oracle wrote: whole, torn, damaged, hostile, and while it grows."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from recording import samples, writer
from recording.samples import PERIOD, START_NS, is_status, status

import fastrec as fr
from fastrec.errors import CorruptionError, FormatError, RecordingError
from fastrec.recording import layout, opening, reader
from fastrec.recording.opening import GoneError
from fastrec.records import Records
from fastrec.schema import LOST, Schema
from fastrec.schema.gaps import Cause
from fastrec.times import Clock


def numbers(records: Records) -> list[int]:
    return records.seq.tolist()


def assert_true(records: Records) -> None:
    """Every record is the one that its number says."""
    rows = records.to_numpy()
    for row, seq in zip(rows, numbers(records), strict=True):
        assert is_status(row, seq)


def accounted(records: Records, end: int) -> bool:
    """Whether every number below `end` is there or in a gap that says so."""
    there = set(numbers(records))
    for gap in records.gaps:
        if gap["cause"] in (1, 5, 7):
            there |= set(range(int(gap["seq"]), int(gap["seq"] + gap["count"])))
    return there >= set(range(end))


# Whole recordings


def test_every_record_gap_and_text(tmp_path: Path) -> None:
    samples.small(tmp_path / "r")
    run = reader.open(tmp_path / "r")
    records = run["status"]
    assert list(run) == ["status"]
    assert numbers(records) == [*range(5), *range(8, 20)]
    assert_true(records)
    assert records.gaps[["seq", "count", "cause", "code"]].tolist() == [(5, 3, 1, 0), (12, 1, 4, -5)]
    urls = records.decode()["url"].tolist()
    assert urls == [None, "http://a", None, "http://a", None, *["\udcff\u20ac"] * 4, *[None] * 8]
    assert run.problems == []


def test_segments_follow_one_another_as_one(tmp_path: Path) -> None:
    samples.large(tmp_path / "r")
    run = reader.open(tmp_path / "r")
    records = run["status"]
    assert len(run) == 2
    assert numbers(records) == [*range(2500), *range(2600, 6000)]
    assert_true(records)
    assert records.gaps[["seq", "count", "cause", "code"]].tolist() == [(2500, 100, 5, 28)]
    # The same id names another text in each segment.
    assert [records[place : place + 1].decode()["url"][0] for place in (0, 2400, 3900, 5899)] == [
        "text 0",
        "text 0",
        "text 4000",
        "text 4000",
    ]
    assert run.problems == []
    assert records.store == "every"
    assert run["held"].store == "changes"


def test_rows_agree_with_numpy_load(tmp_path: Path) -> None:
    samples.large(tmp_path / "r")
    rows = reader.open(tmp_path / "r")["held"].to_numpy()
    plain = np.load(tmp_path / "r/channels/held/records.000000.npy", mmap_mode="r")
    assert rows.tobytes() == plain.tobytes()
    assert rows["until_ns"][3] == plain["until_ns"][3]


@pytest.mark.parametrize("window", [(0, 1), (699, 701), (1023, 1025), (2499, 2501), (3000, 5000), (0, 5900)])
def test_slices_across_blocks_and_segments(tmp_path: Path, window: tuple[int, int]) -> None:
    samples.large(tmp_path / "r")
    records = reader.open(tmp_path / "r")["status"]
    expected = [*range(2500), *range(2600, 6000)][slice(*window)]
    piece = records[slice(*window)]
    assert numbers(piece) == expected
    assert_true(piece)


@pytest.mark.parametrize("number", [0, 1, 1023, 1024, 2499, 2600, 3999, 4000, 5999])
def test_between_finds_a_record_by_its_time(tmp_path: Path, number: int) -> None:
    samples.large(tmp_path / "r")
    records = reader.open(tmp_path / "r")["status"]
    stamp = START_NS + number * PERIOD
    assert numbers(records.between(stamp, stamp + 1)) == [number]
    assert numbers(records.between(stamp - 1, stamp)) == []


def test_the_last_stamp_of_holds_is_no_until(tmp_path: Path) -> None:
    samples.large(tmp_path / "r")
    chunk = reader.open(tmp_path / "r")._channel("held").read().chunks[0]
    assert chunk.t_last == START_NS + 2047 * 10 * PERIOD
    assert chunk.index_last == chunk.t_last + 3 * PERIOD
    # A hold that began before the time asked for is not found by its end.
    assert chunk.find(START_NS + 10 * PERIOD * 511 + 1) == 512
    assert chunk.find(chunk.t_last + 1) == 2048


def test_stamps_that_run_backwards_are_found_all_the_same(tmp_path: Path) -> None:
    folder = writer.Folder(tmp_path / "r")
    segment = samples.status_channel(folder).segment()
    segment.commit(0, [status(n, stamp=1000 - n) for n in range(10)])
    segment.commit(10, [status(n, stamp=500 + n) for n in range(10, 20)])
    records = reader.open(tmp_path / "r")["status"]
    assert numbers(records.between(995, 998)) == [3, 4, 5]
    assert numbers(records.between(515, 517)) == [15, 16]
    assert reader.open(tmp_path / "r").verify().ok


@pytest.mark.parametrize("commits", [0, 1])
def test_a_channel_without_records(tmp_path: Path, commits: int) -> None:
    folder = writer.Folder(tmp_path / "r")
    channel = samples.status_channel(folder)
    for _ in range(commits):
        channel.segment()
    run = reader.open(tmp_path / "r")
    records = run["status"]
    assert len(records) == 0
    assert len(records.gaps) == 0
    assert len(records["tick"]) == 0
    assert run.verify().ok


def test_a_channel_of_losses_alone(tmp_path: Path) -> None:
    folder = writer.Folder(tmp_path / "r")
    segment = samples.status_channel(folder).segment()
    segment.commit(0, [], gaps=[(0, 4, 4, -1, 10, 40)])
    segment.commit(0, [], gaps=[(0, 2, 4, -1, 50, 60), (0, 9, 3, 0, 61, 62)])
    segment.commit(7, [], gaps=[(0, 7, 1, 0, 63, 64)])
    records = reader.open(tmp_path / "r")["status"]
    assert len(records) == 0
    assert sorted(records.gaps[["seq", "count", "cause"]].tolist()) == [(0, 6, 4), (0, 7, 1), (0, 9, 3)]
    assert reader.open(tmp_path / "r").problems == []


def test_records_after_losses_alone(tmp_path: Path) -> None:
    folder = writer.Folder(tmp_path / "r")
    segment = samples.status_channel(folder).segment()
    segment.commit(0, [], gaps=[(0, 1, 4, -1, 10, 40)])
    segment.commit(0, [status(0), status(1)])
    segment.commit(2, [], gaps=[(2, 1, 4, -1, 10, 40)])
    segment.commit(2, [status(2)])
    segment.commit(3, [], gaps=[(3, 1, 4, -1, 10, 40)])
    records = reader.open(tmp_path / "r")["status"]
    assert numbers(records) == [0, 1, 2]
    assert numbers(records[1:2]) == [1]
    assert_true(records)


def test_no_channels_at_all(tmp_path: Path) -> None:
    writer.Folder(tmp_path / "r")
    run = reader.open(tmp_path / "r")
    assert dict(run) == {}
    with pytest.raises(KeyError, match="no channel 'cpu'"):
        run["cpu"]


def test_unknown_files_and_members_are_ignored(tmp_path: Path) -> None:
    folder, _ = samples.small(tmp_path / "r")
    folder.line("marks.jsonl", mono_ns=1, text="a", kind="mark", colour="red")
    for name in ("notes.txt", "channels/notes", "channels/.cache", "channels/status/thumb.png"):
        (folder.root / name).write_bytes(b"x")
    (folder.root / "windows").mkdir()
    (folder.root / "channels/half-made").mkdir()
    run = reader.open(folder.root)
    assert list(run) == ["status"]
    assert run.marks == (reader.Mark(1, "a", "mark"),)
    assert len(run["status"]) == 17


# The recording's own files


def test_info_sessions_clock_and_stats(tmp_path: Path) -> None:
    samples.large(tmp_path / "r")
    run = reader.open(tmp_path / "r")
    assert run.uuid == writer.UUID.hex()
    assert run.info["host"] == "bench"
    assert "crc" not in run.info
    assert [session["start_ns"] for session in run.sessions] == [START_NS]
    assert run.clock.wall(START_NS + 500_000_000) == writer.CREATED_NS + 500_000_500
    assert run.clock.text(START_NS).endswith("+02:00")
    assert run.stats == {"status": {"slots": 7}, "held": {"slots": 7}}
    assert run.marks == (reader.Mark(START_NS + 5, "valve", "mark"),)


def test_stats_of_an_unclean_recording_are_the_last_written(tmp_path: Path) -> None:
    folder, _ = samples.large(tmp_path / "r", close=False)
    folder.line("stats.jsonl", mono_ns=START_NS + 9, channel="held", slots=5)
    assert reader.open(tmp_path / "r").stats["held"] == {"mono_ns": START_NS + 9, "slots": 5}


def test_for_dates_alone_the_clock_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, _ = samples.small(tmp_path / "r")
    asked, real = [], reader.clock_of

    def clock_of(*given: object) -> Clock:
        asked.append(given)
        return real(*given)

    monkeypatch.setattr(reader, "clock_of", clock_of)
    records = reader.open(folder.root)["status"]
    first, last = records.start, records.end
    records.between(first, last).transitions("mode"), records.at(first), records.last("1s"), records["tick"]
    records.between("+0s", "-0s"), records.resample("1s", "mode")
    assert asked == []
    assert len(records.dates()) == len(records) and len(records[:1].dates()) == 1
    assert records.between("2001-01-01", None).clock is records.clock and len(asked) == 1


def test_dates_of_a_recording_that_is_gone_are_no_others(tmp_path: Path) -> None:
    """Its records can still be read, and dates come back with it; another one in its place tells none."""
    folder, _ = samples.small(tmp_path / "r")
    records = reader.open(folder.root)["status"]
    dates, columns = reader.open(folder.root)["status"].dates(), records.to_numpy().tobytes()
    names = [*records.schema.dtype.names, "mono_ns"]
    assert all(len(records[name]) for name in names)  # they are kept
    folder.root.rename(tmp_path / "away")
    for ask in (records.dates, records.to_pandas, lambda: records.between("2001-01-01", None)):
        with pytest.raises(GoneError, match=r"is gone.*dates"):
            ask()
    assert records.to_numpy().tobytes() == columns
    with fr.Recorder(tmp_path / "r") as recorder:
        recorder.add("status", schema=fr.Schema.from_dtype(np.dtype([("tick", "<u4")]), name="OTHER"))
    with pytest.raises(GoneError, match=r"is gone.*dates"):
        records.dates()
    shutil.rmtree(tmp_path / "r")
    (tmp_path / "away").rename(tmp_path / "r")
    assert (records.dates() == dates).all()


def test_without_clock_readings_the_creation_counts(tmp_path: Path) -> None:
    folder, _ = samples.small(tmp_path / "r")
    (folder.root / "clocks.npy").unlink()
    assert reader.open(folder.root).clock.wall(START_NS + 7) == writer.CREATED_NS + 7


def test_clock_readings_that_are_too_many_cost_no_record(tmp_path: Path) -> None:
    folder, _ = samples.small(tmp_path / "r")
    os.truncate(folder.root / "clocks.npy", 1 << 40)
    run = reader.open(folder.root)
    assert_true(run["status"])
    assert run.clock.wall(START_NS) == writer.CREATED_NS
    assert any("are not read" in problem for problem in run.verify().problems)


def test_damaged_clock_readings_are_not_used(tmp_path: Path) -> None:
    folder, _ = samples.large(tmp_path / "r")
    with (folder.root / "clocks.npy").open("r+b") as file:
        file.seek(-48 * 2 + 9, os.SEEK_END)
        file.write(b"\xff")
    assert reader.open(folder.root).clock.pairs["monotonic"].tolist() == [START_NS, START_NS + 2 * 10**9]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("+05:30", "+05:30"),
        ("-01:00", "-01:00"),
        ("UTC", "+00:00"),
        ("Europe/Berlin", "+02:00"),
        ("../../etc/passwd", "+00:00"),
        ("Nowhere/Land", "+00:00"),
        ("+99:99", "+00:00"),
        (7, "+00:00"),
    ],
)
def test_time_zones(tmp_path: Path, name: str, text: str) -> None:
    folder = writer.Folder(tmp_path / "r", timezone=name)
    folder.clock(START_NS, writer.CREATED_NS)
    assert reader.open(tmp_path / "r").clock.text(START_NS).endswith(text)


@pytest.mark.parametrize(
    ("rate", "period"),
    [
        ("10/3", 300_000_000),
        ("1000", 1_000_000),
        ("0.5", 2_000_000_000),
        ("1e6", 1000),
        ("max", None),
        (None, None),
    ],
)
def test_rates(tmp_path: Path, rate: str | None, period: int | None) -> None:
    folder = writer.Folder(tmp_path / "r")
    options = {
        "schema": samples.STATUS.to_dict(),
        "digest": samples.STATUS.digest,
        "descr": samples.STATUS_DESCR,
    }
    writer.Channel(folder, "c", size=32, numeric=[], rate=rate, **options)
    assert reader.open(tmp_path / "r")._channel("c").period_ns == period


@pytest.mark.parametrize("rate", ["1e999999999", "0", "-1", "1/0", "fast", 10, "nan"])
def test_rates_that_are_none(tmp_path: Path, rate: object) -> None:
    folder = writer.Folder(tmp_path / "r")
    options = {
        "schema": samples.STATUS.to_dict(),
        "digest": samples.STATUS.digest,
        "descr": samples.STATUS_DESCR,
    }
    writer.Channel(folder, "c", size=32, numeric=[], rate=rate, **options)
    with pytest.raises(FormatError, match="rate"):
        reader.open(tmp_path / "r")["c"]


# State, and a recording that grows


def test_closed_live_unclean(tmp_path: Path) -> None:
    folder, _ = samples.large(tmp_path / "r")
    run = reader.open(folder.root)
    assert run.state == "closed"
    (folder.root / "closed.json").unlink()
    assert run.state == "unclean"
    lock = writer.hold(folder.root)
    assert run.state == "live"
    assert run.state == "live"
    assert repr(run).startswith(f"<Recording {folder.root}: live")
    os.close(lock)
    assert run.state == "unclean"


def test_a_damaged_closed_json_is_none(tmp_path: Path) -> None:
    folder, _ = samples.large(tmp_path / "r")
    path = folder.root / "closed.json"
    path.write_bytes(path.read_bytes().replace(b'"records":6000', b'"records":6001'))
    run = reader.open(folder.root)
    assert run.state == "unclean"
    assert "closed.json: is damaged" in run.problems[-1]
    assert len(run["status"]) == 5900


def test_a_growing_recording(tmp_path: Path) -> None:
    folder, channel = samples.small(tmp_path / "r")
    lock = writer.hold(folder.root)
    run = reader.open(folder.root)
    before = run["status"]
    segment = channel.segments[0]
    segment.commit(20, [status(n, url=3) for n in range(20, 30)], texts=["new"])
    channel.segment().commit(30, [status(n, url=1) for n in range(30, 40)], texts=["newer"])
    after = run["status"]
    assert len(before) == 17
    assert_true(before)
    assert len(after) == 37
    assert_true(after)
    assert after.decode()["url"][[-11, -1]].tolist() == ["new", "newer"]
    os.close(lock)


STAGES = ("strings", "gaps", "records", "index", "count", "zones")


@pytest.mark.parametrize("stages", [STAGES[:n] for n in range(len(STAGES) + 1)], ids=len)
def test_a_writer_killed_between_two_writes(tmp_path: Path, stages: tuple[str, ...]) -> None:
    folder, channel = samples.small(tmp_path / "r")
    gap = (20, 1, 3, 0, 1, 2)
    channel.segments[0].commit(20, [status(20, url=3)], gaps=[gap], texts=["x"], stages=stages)
    run = reader.open(folder.root)
    records = run["status"]
    committed = "index" in stages
    assert numbers(records)[-1] == (20 if committed else 19)
    assert len(records.gaps) == (3 if committed else 2)
    assert records.decode()["url"][-1] == ("x" if committed else None)
    assert run.problems == []
    assert run.verify().ok
    shown = np.load(folder.root / "channels/status/records.000000.npy")
    assert len(shown) == len(records) - (committed and "count" not in stages)


def test_the_rest_of_a_failed_commit_is_written_over(tmp_path: Path) -> None:
    folder, channel = samples.small(tmp_path / "r")
    segment = channel.segments[0]
    size = segment.path("records").stat().st_size
    segment.commit(20, [status(99), status(98)], stages=("records",))
    with segment.path("records").open("r+b") as file:
        file.seek(size)
        file.write(status(20))
    segment.stored = segment.stored[:17]
    segment.commit(20, [status(20)], stages=("index", "count"))
    records = reader.open(folder.root)["status"]
    assert numbers(records)[-1] == 20
    assert_true(records)


# Several segments: resumed, retired, poisoned


def test_retired_segments_are_a_gap(tmp_path: Path) -> None:
    folder, channels = samples.large(tmp_path / "r", close=False)
    for path in channels["status"].path.glob("*.000000.*"):
        path.unlink()
    run = reader.open(folder.root)
    records = run["status"]
    assert numbers(records)[0] == 2600
    assert records.gaps[["seq", "count", "cause"]].tolist() == [
        (0, 2500, Cause.RETIRED),
        (2500, 100, Cause.DISK),
    ]
    assert run.problems == []
    assert run.verify().ok


def test_retention_interrupted_after_the_records(tmp_path: Path) -> None:
    folder, channels = samples.large(tmp_path / "r", close=False)
    channels["status"].segments[0].path("records").unlink()
    run = reader.open(folder.root)
    assert numbers(run["status"])[0] == 2600
    assert run["status"].gaps["cause"].tolist() == [Cause.RETIRED, Cause.DISK]
    assert run.problems == []


def test_records_that_vanish_under_a_reader(tmp_path: Path) -> None:
    folder, channels = samples.large(tmp_path / "r")
    records = reader.open(folder.root)["status"]
    channels["status"].segments[0].path("records").unlink()
    with pytest.raises(RecordingError, match="retention may have removed it"):
        records[:10].to_numpy()
    assert_true(records[2500:])


def test_the_retired_gap_is_from_the_start_to_what_is_there(tmp_path: Path) -> None:
    folder, channels = samples.large(tmp_path / "r", close=False)
    for path in channels["status"].path.glob("*.00000[01].*"):
        path.unlink()
    records = reader.open(folder.root)["status"]
    first = START_NS + 4000 * PERIOD
    assert records.gaps[["seq", "count", "t_first", "t_last"]].tolist() == [(0, 4000, START_NS, first)]
    assert records.between(first + 1, None).gaps["cause"].tolist() == []
    assert records.between(first - 1, None).gaps["cause"].tolist() == [Cause.RETIRED]
    # Of the time before the first record nothing is known, and nothing is said.
    found = records.intervals("mode")
    assert (found["opened_by"][0], found["start"][0], found["lost"].sum()) == ("start", first, 0)
    assert records.durations("mode")["known"].all()


def remove(channel: writer.Channel, *kinds: str) -> None:
    for segment in channel.segments:
        for kind in kinds or ("records", "index", "gaps", "zones", "strings"):
            segment.path(kind).unlink(missing_ok=True)


def test_a_channel_all_of_whose_segments_are_retired(tmp_path: Path) -> None:
    folder, channels = samples.large(tmp_path / "r", close=False)
    folder.line("stats.jsonl", mono_ns=START_NS + 9, channel="status", written=5800)
    remove(channels["status"])
    run = reader.open(folder.root)
    assert len(run["status"]) == 0
    assert run["status"].gaps[["seq", "count", "cause"]].tolist() == [(0, 5800, Cause.RETIRED)]
    # A segment that has nothing yet tells no more.
    channels["status"].segment()
    assert run["status"].gaps[["seq", "count", "cause"]].tolist() == [(0, 5800, Cause.RETIRED)]
    follow = run["status"].follow(timeout="0s")
    channels["status"].segments[-1].commit(6000, [status(6000)])
    (part,) = follow
    assert (numbers(part), part.gaps[["seq", "count", "cause"]].tolist()) == (
        [6000],
        [(5800, 200, Cause.RETIRED)],
    )
    remove(channels["status"])
    channels["status"].segments.clear()
    folder.close(channels)
    run = reader.open(folder.root)
    assert run["status"].gaps[["seq", "count", "cause"]].tolist() == [(0, 6001, Cause.RETIRED)]
    assert run.problems == []
    assert run.verify().problems == []
    assert run.ends["status"].end == 6001


def test_segments_that_were_there_at_the_close_are_not_retired(tmp_path: Path) -> None:
    folder, channels = samples.large(tmp_path / "r")
    remove(channels["status"])
    run = reader.open(folder.root)
    assert run["status"].gaps[["seq", "count", "cause"]].tolist() == [(0, 6000, Cause.DISK)]
    assert run.problems and not run.verify().ok


@pytest.mark.parametrize(
    "before", ["records.000000.npy", "index.000000.npy", "gaps.000001.npy", "gaps.000000.npy"]
)
@pytest.mark.parametrize("taken", [1, 2])
def test_segments_that_go_while_they_are_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: str, taken: int
) -> None:
    folder, channels = samples.large(tmp_path / "r", close=False)
    segments, real = channels["status"].segments, opening.open_file

    def retire_first(root: Path, *parts: str, **more: int) -> int:
        if parts[-1] == before and parts[-2] == "status":
            for segment in segments[:taken]:
                for kind in ("records", "index", "gaps", "zones", "strings"):
                    segment.path(kind).unlink(missing_ok=True)
        return real(root, *parts, **more)

    run = reader.open(folder.root)
    monkeypatch.setattr(opening, "open_file", retire_first)
    records = run["status"]
    first = [0, 2600, 4000][taken]
    assert numbers(records)[0] == first
    assert_true(records)
    assert records.gaps["cause"][0] == Cause.RETIRED
    assert run.problems == []
    assert run.ends["status"].end == 6000


def test_gaps_that_go_between_two_looks_at_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, channel = samples.small(tmp_path / "r")
    channel.segment().commit(20, [status(n) for n in range(20, 30)])
    real, looks = opening.open_file, []

    def retire_first(root: Path, *parts: str, **more: int) -> int:
        looks.append(parts[-1])
        if looks.count("gaps.000000.npy") == 2 and channel.segments[0].path("gaps").exists():
            for kind in ("records", "index", "gaps", "zones", "strings"):
                channel.segments[0].path(kind).unlink()
        return real(root, *parts, **more)

    run = reader.open(folder.root)
    follow = run["status"][:0].follow(timeout="0s")
    looks.clear()
    monkeypatch.setattr(opening, "open_file", retire_first)
    (part,) = follow
    assert (numbers(part), part.gaps["cause"].tolist()) == ([*range(20, 30)], [Cause.RETIRED])
    shutil.rmtree(folder.root)
    folder, channel = samples.small(tmp_path / "r")
    channel.segment().commit(20, [status(n) for n in range(20, 30)])
    run = reader.open(folder.root)
    looks.clear()
    assert numbers(run["status"]) == [*range(20, 30)]
    assert run.problems == []


def test_all_segments_go_and_others_come_while_they_are_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, channel = samples.small(tmp_path / "r")
    real = opening.open_file

    def retire_all(root: Path, *parts: str, **more: int) -> int:
        if parts[-1] == "gaps.000000.npy" and len(channel.segments) == 1:
            remove(channel)
            channel.segment().commit(30, [status(30)])
        return real(root, *parts, **more)

    run = reader.open(folder.root)
    monkeypatch.setattr(opening, "open_file", retire_all)
    assert numbers(run["status"]) == [30]
    assert run["status"].gaps[["seq", "count", "cause"]].tolist() == [(0, 30, Cause.RETIRED)]
    assert run.problems == []


def test_a_writer_that_rotates_while_it_is_looked_at_leaves_no_hole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, channel = samples.small(tmp_path / "r")
    old, new = channel.segments[0], channel.segment()  # opened ahead
    real, looks = opening.open_file, []

    def rotate_after(root: Path, *parts: str, **more: int) -> int:
        if parts[-1].startswith("gaps."):
            looks.append(parts[-1])
        elif looks and new.blocks == 0:
            old.commit(20, [status(n) for n in range(20, 30)])
            new.commit(30, [status(n) for n in range(30, 40)])
        return real(root, *parts, **more)

    run = reader.open(folder.root)
    monkeypatch.setattr(opening, "open_file", rotate_after)
    records = run["status"]
    assert new.blocks
    assert numbers(records) == numbers(run["status"])[: len(records)]
    assert Cause.DISK not in records.gaps["cause"]


def test_a_segment_missing_in_the_middle_is_damage(tmp_path: Path) -> None:
    folder, channels = samples.large(tmp_path / "r", close=False)
    for path in channels["status"].path.glob("*.000001.*"):
        path.unlink()
    run = reader.open(folder.root)
    records = run["status"]
    assert numbers(records) == [*range(2500), *range(4000, 6000)]
    assert records.gaps[["seq", "count", "cause", "code"]].tolist() == [(2500, 1500, Cause.DISK, 5)]
    assert "records 2500 to 3999 are in no block and no gap" in run.problems[0]
    assert not run.verify().ok


def test_where_two_segments_hold_a_number_the_later_counts(tmp_path: Path) -> None:
    folder, channel = samples.small(tmp_path / "r")
    poisoned = channel.segments[0]
    poisoned.commit(20, [status(n, temp=-1.0) for n in range(20, 30)], gaps=[(30, 5, 3, 0, 1, 2)])
    fresh = channel.segment()
    fresh.commit(17, [status(n) for n in range(17, 25)])
    fresh.commit(25, [status(n) for n in range(25, 40)], gaps=[(30, 5, 3, 0, 1, 2)])
    run = reader.open(folder.root)
    records = run["status"]
    assert numbers(records) == [*range(5), *range(8, 40)]
    assert_true(records)
    assert records.gaps[["seq", "count", "cause"]].tolist() == [(5, 3, 1), (12, 1, 4), (30, 5, 3)]
    chunks = run._channel("status").read().chunks
    assert [(chunk.first_seq, len(chunk)) for chunk in chunks] == [(0, 14), (17, 23)]
    assert [[side.tolist() for side in chunk.number_spans] for chunk in chunks] == [
        [[0, 8], [5, 17]],
        [[17], [40]],
    ]
    assert [chunk.t_first for chunk in chunks] == [START_NS + n * PERIOD for n in (0, 17)]
    assert [chunk.t_last for chunk in chunks] == [START_NS + n * PERIOD for n in (16, 39)]
    assert run.problems == []
    assert run.verify().ok


def test_a_later_segment_replaces_where_nothing_was_lost(tmp_path: Path) -> None:
    """Whatever comes behind it, and however far the one before had come."""
    folder = writer.Folder(tmp_path / "r")
    channel = samples.status_channel(folder)
    for first, count in ((0, 6), (4, 4), (8, 3), (9, 1)):
        channel.segment().commit(first, [status(seq) for seq in range(first, first + count)])
    records = reader.open(folder.root)["status"]
    assert numbers(records) == [*range(11)]
    assert [len(span.rows()) for span in records.spans] == [4, 4, 1, 1, 1]
    assert_true(records)


def test_a_later_segment_that_begins_with_a_loss_replaces_too(tmp_path: Path) -> None:
    folder, channel = samples.small(tmp_path / "r")
    fresh = channel.segment()
    fresh.commit(22, [status(22)], gaps=[(18, 4, 5, 5, 1, 2)])
    run = reader.open(folder.root)
    assert numbers(run["status"]) == [*range(5), *range(8, 18), 22]
    assert run.verify().ok


def test_more_segments_than_descriptors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = writer.Folder(tmp_path / "r")
    channel = samples.status_channel(folder)
    for seq in range(200):
        channel.segment().commit(seq, [status(seq)])
    records = reader.open(folder.root)["status"]
    assert_true(records)
    assert len(os.listdir("/proc/self/fd")) < 150


# Hostile and damaged


LINKED = [
    "recording.json",
    "channels",
    "channels/status",
    "channels/status/channel.json",
    "channels/status/records.000000.npy",
    "channels/status/index.000000.npy",
    "channels/status/gaps.000000.npy",
    "channels/status/strings.000000.jsonl",
    "clocks.npy",
    "sessions.jsonl",
]


@pytest.mark.parametrize("name", LINKED)
def test_links_are_refused(tmp_path: Path, name: str) -> None:
    folder, _ = samples.small(tmp_path / "r")
    shutil.move(folder.root / name, tmp_path / "elsewhere")
    (folder.root / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RecordingError, match="link"):
        records = reader.open(folder.root)["status"]
        records.decode()
        records.dates()


def test_the_folder_itself_may_be_a_link(tmp_path: Path) -> None:
    samples.small(tmp_path / "r")
    (tmp_path / "link").symlink_to(tmp_path / "r")
    assert len(reader.open(tmp_path / "link")["status"]) == 17


@pytest.mark.parametrize("name", ["recording.json", "channels/status/records.000000.npy", "marks.jsonl"])
def test_a_fifo_does_not_hang_the_reader(tmp_path: Path, name: str) -> None:
    folder, _ = samples.small(tmp_path / "r")
    (folder.root / name).unlink(missing_ok=True)
    os.mkfifo(folder.root / name)
    with pytest.raises(RecordingError, match="no regular file"):
        run = reader.open(folder.root)
        _ = run["status"].to_numpy(), run.marks


def test_what_is_no_recording(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="no such folder"):
        reader.open(tmp_path / "nothing")
    with pytest.raises(RecordingError, match=r"no recording\.json"):
        reader.open(tmp_path)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(RecordingError):
        reader.open(tmp_path / "file")


@pytest.mark.parametrize(
    ("member", "value"), [("format", 2), ("uuid", "A" * 32), ("uuid", None), ("uuid", "00")]
)
def test_formats_and_uuids_that_are_none_of_ours(tmp_path: Path, member: str, value: object) -> None:
    folder = writer.Folder(tmp_path / "r")
    path = folder.root / "recording.json"
    members = json.loads(path.read_bytes())
    del members["crc"]
    path.write_bytes(writer.sealed(members | {member: value}, 0))
    with pytest.raises(FormatError, match=member):
        reader.open(folder.root)


def test_json_beyond_the_limit_is_not_read(tmp_path: Path) -> None:
    folder = writer.Folder(tmp_path / "r")
    os.truncate(folder.root / "recording.json", opening.JSON_LIMIT + 1)
    with pytest.raises(FormatError, match="are not read"):
        reader.open(folder.root)


@pytest.mark.parametrize(
    ("member", "value", "message"),
    [
        ("name", "other", "describes channel 'other'"),
        ("digest", "0" * 32, "digest"),
        ("record_size", 40, "record_size is not 32"),
        ("schema", {"name": "x"}, "channel.json"),
        ("schema", None, "channel.json"),
        ("options", [], "options"),
        ("options", {"store": "some"}, "store is 'some'"),
    ],
)
def test_a_channel_json_that_cannot_be(tmp_path: Path, member: str, value: object, message: str) -> None:
    folder, channel = samples.small(tmp_path / "r")
    path = channel.path / "channel.json"
    members = json.loads(path.read_bytes())
    del members["crc"]
    seed = writer.seed(writer.UUID, "status", 0, 0)
    path.write_bytes(writer.sealed(members | {member: value}, seed))
    run = reader.open(folder.root)
    with pytest.raises(FormatError, match=message):
        run["status"]
    assert message in run.problems[0]


def test_a_channel_moved_to_another_name_is_refused(tmp_path: Path) -> None:
    folder, channel = samples.small(tmp_path / "r")
    channel.path.rename(folder.root / "channels/moved")
    with pytest.raises(CorruptionError, match=r"moved/channel\.json: does not match"):
        reader.open(folder.root)["moved"]


def test_files_of_another_segment_are_not_believed(tmp_path: Path) -> None:
    folder, channels = samples.large(tmp_path / "r", close=False)
    first, second, _ = channels["status"].segments
    shutil.copy(first.path("index"), second.path("index"))
    run = reader.open(folder.root)
    records = run["status"]
    assert numbers(records) == [*range(2500), *range(4000, 6000)]
    assert any("records 2500 to 3999 are in no block and no gap" in problem for problem in run.problems)
    assert any("index.000001.npy: row 0 does not match" in note for note in run.verify().notes)


@pytest.mark.parametrize("kind", ["records", "index", "gaps"])
def test_a_wrong_header_is_seen(tmp_path: Path, kind: str) -> None:
    folder, channel = samples.small(tmp_path / "r")
    path = channel.segments[0].path(kind)
    path.write_bytes(path.read_bytes().replace(b"'<u8'", b"'<i8'", 1).replace(b"'<u4'", b"'<f4'", 1))
    run = reader.open(folder.root)
    assert any("the header is not the one that its schema calls for" in problem for problem in run.problems)
    # Rows prove themselves; what they are is said by channel.json.
    assert_true(run["status"])
    assert len(run["status"]) == 17


def test_a_header_is_never_evaluated(tmp_path: Path) -> None:
    folder, channel = samples.small(tmp_path / "r")
    path = channel.segments[0].path("records")
    data = path.read_bytes()
    evil = (
        data[:10]
        + b"{'shape': (   __import__('os').abort()".ljust(len(data[10:128]))[: len(data[10:128])]
        + data[128:]
    )
    path.write_bytes(evil)
    run = reader.open(folder.root)
    assert_true(run["status"])
    assert any("records.000000.npy: the header is not" in problem for problem in run.problems)


def damaged_index(tmp_path: Path, at: int = 1, **changes: int) -> reader.Recording:
    """An index row of `samples.small` with other values and a checksum that fits them."""
    folder, channel = samples.small(tmp_path / "r")
    path = channel.segments[0].path("index")
    data = bytearray(path.read_bytes())
    start = len(data) - (3 - at) * 64
    row = np.frombuffer(data[start : start + 64], layout.INDEX_DTYPE).copy()
    for name, value in changes.items():
        row[name] = value
    layout.seal_rows(row, layout.place(writer.UUID, "status", 0), at)
    data[start : start + 64] = row.tobytes()
    path.write_bytes(data)
    return reader.open(folder.root)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rows": 1025}, "more than 1024 rows"),
        ({"rows": 2**32 - 1}, "more than 1024 rows"),
        ({"rows": 500}, "records beyond the end"),
        ({"rows": 1020}, "a block across a multiple of 1024"),
        ({"first_seq": 4}, "numbers that blocks before it have"),
        ({"first_seq": 2**64 - 2}, "a number beyond all numbers"),
        ({"first_seq": 2**62 - 4}, "a number beyond all numbers"),
        ({"string_bytes": 5}, "fewer texts than the one before"),
    ],
)
def test_an_index_row_that_claims_too_much_ends_the_segment(
    tmp_path: Path, changes: dict[str, int], message: str
) -> None:
    run = damaged_index(tmp_path, **changes)
    assert numbers(run["status"]) == [*range(5)]
    assert any(f"row 1 claims {message}" in problem for problem in run.problems)
    assert not run.verify().ok


def test_gap_rows_that_fall_end_the_segment(tmp_path: Path) -> None:
    run = damaged_index(tmp_path, at=2, gap_rows=0)
    assert numbers(run["status"]) == [*range(5), *range(8, 12)]
    assert any("row 2 claims fewer gap rows than the one before" in problem for problem in run.problems)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"gap_rows": 3}, "gap rows that are not there"),
        ({"gap_rows": 2**63}, "gap rows that are not there"),
        ({"string_bytes": 10**3}, "texts that are not there"),
        ({"string_bytes": 10**15}, "texts that are not there"),
    ],
)
def test_losses_and_texts_that_are_not_there_cost_no_record(
    tmp_path: Path, changes: dict[str, int], message: str
) -> None:
    run = damaged_index(tmp_path, at=2, **changes)
    assert_true(run["status"])
    assert numbers(run["status"]) == [*range(5), *range(8, 20)]
    assert run["status"].gaps["seq"].tolist() == [5, 12]
    assert run["status"].decode()["url"].tolist()[5] == "\udcff\u20ac"
    assert any(f"row 2 claims {message}" in problem for problem in run.problems)
    assert not run.verify().ok


@pytest.mark.parametrize(
    "changes",
    [
        {"cause": 0},
        {"cause": 8},
        {"count": 0},
        {"seq": 2**63},
        {"count": 2**64 - 1},
        {"cause": 1, "count": 2**62 - 12},
    ],
    ids=str,
)
def test_a_gap_that_cannot_be_is_damage(tmp_path: Path, changes: dict[str, int]) -> None:
    folder, channel = samples.small(tmp_path / "r")
    path = channel.segments[0].path("gaps")
    data = bytearray(path.read_bytes())
    row = np.frombuffer(data[-48:], layout.GAP_ROW_DTYPE).copy()
    for name, value in changes.items():
        row[name] = value
    data[-48:] = layout.seal_rows(row, layout.place(writer.UUID, "status", 0), 1).tobytes()
    path.write_bytes(data)
    run = reader.open(folder.root)
    assert run["status"].gaps["seq"].tolist() == [5]
    assert any("1 of 2 rows are damaged, the first is row 1" in problem for problem in run.problems)


def test_a_count_ahead_of_what_is_committed_is_told(tmp_path: Path) -> None:
    folder, channel = samples.small(tmp_path / "r")
    path = channel.segments[0].path("index")
    os.truncate(path, path.stat().st_size - 64)
    run = reader.open(folder.root)
    assert numbers(run["status"]) == [*range(5), *range(8, 12)]
    assert ["the header counts 17 rows, but 9 are committed" in problem for problem in run.problems] == [True]


def test_a_damaged_block_is_never_returned(tmp_path: Path) -> None:
    folder, channel = samples.small(tmp_path / "r")
    with channel.segments[0].path("records").open("r+b") as file:
        file.seek(-32 * 10 + 3, os.SEEK_END)
        file.write(b"\xaa")
    records = reader.open(folder.root)["status"]
    for _ in range(2):
        with pytest.raises(CorruptionError, match=r"records 8 to 11 \(rows 5 to 8\) do not match"):
            records.to_numpy()
    assert_true(records[:5])
    assert_true(records[9:])
    assert repr(records[5:]) == "<Records status: 12, not all of them readable, 1 lost>"
    assert "over" in repr(records)


def test_a_damaged_text_is_never_returned(tmp_path: Path) -> None:
    folder, channel = samples.small(tmp_path / "r")
    path = channel.segments[0].path("strings")
    path.write_bytes(path.read_bytes().replace(b"http://a", b"http://b"))
    records = reader.open(folder.root)["status"]
    with pytest.raises(CorruptionError, match="line 0: does not match"):
        records[:2].decode()
    assert records[5:6].decode()["url"][0] == "\udcff\u20ac"
    assert_true(records)


def test_text_ids_without_a_text(tmp_path: Path) -> None:
    folder, channel = samples.small(tmp_path / "r")
    channel.segments[0].commit(20, [status(20, url=2**64 - 1), status(21, url=9)])
    records = reader.open(folder.root)["status"]
    assert records[17:18].decode()["url"].tolist() == [LOST]
    with pytest.raises(CorruptionError, match="no text 9"):
        records[18:].decode()


def test_a_file_of_somebody_else_is_read_without_mapping_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples.large(tmp_path / "r")
    monkeypatch.setattr(opening, "foreign", lambda descriptor: True)

    def refuse(*arguments: object, **options: object) -> None:
        raise AssertionError("mapped")

    monkeypatch.setattr("mmap.mmap", refuse)
    records = reader.open(tmp_path / "r")["status"]
    assert_true(records)
    assert_true(records[1020:1030])
    path = tmp_path / "r/channels/status/records.000000.npy"
    with path.open("r+b") as file:
        file.seek(500)
        file.write(b"\xaa\xaa")
    # Whoever owns it may change it at any time: what was proved is kept apart, and all else is checked.
    assert_true(records[:10])
    with pytest.raises(CorruptionError, match="do not match"):
        reader.open(tmp_path / "r")["status"][:10].to_numpy()


def test_foreign_files_are_those_of_neither_us_nor_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"")
    with path.open("rb") as file:
        owner = os.fstat(file.fileno()).st_uid
        assert not opening.foreign(file.fileno())
        monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
        assert opening.foreign(file.fileno()) == (owner != 0)


def snapshot(root: Path) -> dict[str, tuple[bytes, int]]:
    return {str(p): (p.read_bytes(), p.stat().st_mtime_ns) for p in sorted(root.rglob("*")) if p.is_file()}


def test_reading_changes_nothing(tmp_path: Path) -> None:
    folder, channel = samples.small(tmp_path / "r")
    with channel.segments[0].path("index").open("ab") as file:
        file.write(b"torn")
    before = snapshot(folder.root)
    run = reader.open(folder.root)
    _ = run["status"].decode(), run.clock, run.marks, run.stats, run.state, run.problems, run.verify()
    assert snapshot(folder.root) == before


# Every byte, every bit


FILES = ["records", "index", "gaps", "strings"]


def read_all(root: Path) -> Records | None:
    """The records, each proved true; None if reading them raised what damage raises."""
    try:
        records = reader.open(root)["status"]
        assert_true(records)
        urls = records.decode()["url"].tolist()
    except CorruptionError:
        return None
    for seq, url in zip(numbers(records), urls, strict=True):
        assert url == (None if seq > 11 else "\udcff\u20ac" if seq > 7 else [None, "http://a"][seq % 2])
    return records


@pytest.mark.parametrize("kind", FILES)
def test_truncated_at_every_byte_there_is_never_a_wrong_record(tmp_path: Path, kind: str) -> None:
    folder, channel = samples.small(tmp_path / "r")
    path = channel.segments[0].path(kind)
    whole = path.read_bytes()
    lengths = set()
    for size in range(len(whole), -1, -1):
        os.truncate(path, size)
        records = read_all(folder.root)
        if records is not None:
            lengths.add(len(records))
            assert accounted(records, len(numbers(records)) and numbers(records)[-1] + 1)
            # Numbers are a prefix of what was committed, nothing else.
            assert numbers(records) == [*range(5), *range(8, 20)][: len(records)]
            if size < len(whole):
                assert len(records) < 17 or kind == "gaps"
        if size < len(whole):
            assert reader.open(folder.root).problems != [] or kind == "index"
    # Lost gap rows cost no record; a lost text is told by whoever asks for it.
    assert lengths == {"gaps": {17}, "strings": {17}}.get(kind, {17, 9, 5, 0})


@pytest.mark.parametrize("kind", FILES)
def test_every_bit_that_flips_is_detected(tmp_path: Path, kind: str) -> None:
    folder, channel = samples.small(tmp_path / "r", close=True)
    path = channel.segments[0].path(kind)
    whole = path.read_bytes()
    start = 0 if kind == "strings" else len(layout.npy_header(layout.INDEX_DTYPE)) if kind == "index" else 64
    with path.open("r+b") as file:
        # Every bit of the index; of the others one in every byte, each of the eight in turn.
        for bit in range(8 * start, 8 * len(whole), 1 if kind == "index" else 9):
            file.seek(bit // 8)
            file.write(bytes([whole[bit // 8] ^ 1 << bit % 8]))
            file.flush()
            run = reader.open(folder.root)
            records = read_all(folder.root)
            assert records is None or run.problems
            if records is not None:
                assert accounted(records, 20) or kind == "gaps"
            file.seek(bit // 8)
            file.write(whole[bit // 8 : bit // 8 + 1])
            file.flush()
    assert read_all(folder.root) is not None
    assert reader.open(folder.root).problems == []


# Zones


def stated(zones: np.ndarray, schema: Schema) -> list[tuple]:
    """What zone rows of a file tell, member by member; apart, how many of floats are NaN, and turns."""
    floats = [field.kind == "f8" for field in schema.numeric]
    apart = [
        [
            [value if one == floating else 0 for value, one in zip(row, floats, strict=True)]
            for row in zones["nan"]
        ]
        for floating in (True, False)
    ]
    members = [zones[name].tolist() for name in ("polls", "min", "max", "sum")]
    return list(zip(*members, *apart, zones["silence_us"].tolist(), strict=True))


def told(zones: np.ndarray) -> list[tuple]:
    members = ("polls", "min", "max", "sum", "nan", "turn", "silence_us")
    return list(zip(*(zones[name].tolist() for name in members), strict=True))


@pytest.mark.parametrize("name", ["status", "held"])
@pytest.mark.parametrize("damage", ["none", "absent", "flipped", "header"])
def test_zones_are_the_oracles_whatever_became_of_the_file(tmp_path: Path, name: str, damage: str) -> None:
    folder, channels = samples.large(tmp_path / "r")
    path = channels[name].segments[0].path("zones")
    data = path.read_bytes()
    start = len(layout.npy_header(layout.zone_dtype(len(channels[name].numeric))))
    zones = np.frombuffer(data, layout.zone_dtype(len(channels[name].numeric)), 2, start)
    if damage == "absent":
        path.unlink()
    elif damage == "flipped":
        path.write_bytes(data[: start + 9] + bytes([data[start + 9] ^ 1]) + data[start + 10 :])
    elif damage == "header":
        path.write_bytes(b"x" + data[1:])
    run = reader.open(folder.root)
    chunk = run._channel(name).read().chunks[0]
    assert list(chunk.zone_starts) == [0, 1024]
    found = chunk.zones(0, 2, range(len(channels[name].numeric)))
    assert told(found) == stated(zones, run[name].schema)


@pytest.mark.parametrize("falls", [False, True])
def test_damage_far_from_a_loss_is_not_touched(tmp_path: Path, falls: bool) -> None:
    """Zones tell how many polls there were before it; and a time that falls behind it does so there alone."""
    folder = writer.Folder(tmp_path / "r")
    folder.session()
    channels = samples.held_channel(folder), samples.status_channel(folder)
    number, missing = 0, 10
    for channel, row in zip(channels, (samples.held, status), strict=True):
        segment = channel.segment()
        for block in range(12):
            number = 1024 * block + missing * (block >= 8)
            rows = [row(n) for n in range(number, number + 1024)]
            if falls and block == 10 and row is status:
                rows[5] = status(number + 5, stamp=START_NS + number * PERIOD)
            lost = [(number - missing, missing, 1, 0, START_NS, START_NS + 1)] if block == 8 else []
            segment.commit(number, rows, gaps=lost)
        data = bytearray(segment.path("records").read_bytes())
        data[-(12 * 1024 - 2000) * len(rows[0]) + 9] ^= 1  # in its second block
        segment.path("records").write_bytes(data)
    folder.close({channel.name: channel for channel in channels})
    held, plain = (reader.open(folder.root)[channel.name] for channel in channels)
    assert len(held.expand()) == 3 * 12 * 1024
    assert held.expand()[-1:].seq.tolist() == [3 * 12 * 1024 + missing - 1]
    begin = START_NS + 4000 * PERIOD
    assert plain.between(begin, begin + 1000 * PERIOD).seq.tolist() == [*range(4000, 5000)]
    assert plain.at(begin).seq.tolist() == [4000] and len(plain.last("100ms")) == 101
    assert [len(chunk) for chunk in reader.open(folder.root)._channel("status").read().chunks] == (
        [8 * 1024, 4 * 1024] if falls else [12 * 1024]
    )


def test_zones_of_a_chunk_that_begins_within_one(tmp_path: Path) -> None:
    folder = writer.Folder(tmp_path / "r")
    segment = samples.status_channel(folder).segment()
    segment.commit(0, [status(n) for n in range(100)])
    segment.commit(200, [status(n) for n in range(200, 200 + 924)])
    segment.commit(1124, [status(n) for n in range(1124, 1124 + 1024)])
    (whole,) = reader.open(tmp_path / "r")._channel("status").read().chunks
    assert list(whole.zone_starts) == [0, 1024] and whole.zones(0, 1, [0])["max"][0, 0] == 1123 * 7
    chunks = whole.runs()
    assert [len(chunk) for chunk in chunks] == [100, 1948]
    assert not chunks[0].zone_starts
    assert list(chunks[1].zone_starts) == [924]
    assert chunks[1].zones(0, 1, [0])["min"][0, 0] == 1124 * 7
