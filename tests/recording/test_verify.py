"""Verifying: silent on what is whole, and never silent on what is not."""

from __future__ import annotations

import errno
import json
import os
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from recording import samples, writer
from recording.samples import START_NS, status

import fastrec as fr
from fastrec.core import below
from fastrec.recording import layout, opening, reader

CHANNEL = "channels/status/"


def flip(path: Path, place: int, mask: int = 1) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= mask
    path.write_bytes(data)


def reseal(path: Path, dtype: np.dtype, row: int, base: int, **changes: int) -> None:
    """Change a row and make its checksum fit: what a wrong writer would have written."""
    data = bytearray(path.read_bytes())
    at = len(layout.npy_header(dtype)) + row * dtype.itemsize
    one = np.frombuffer(data[at : at + dtype.itemsize], dtype).copy()
    for name, value in changes.items():
        one[name] = value
    data[at : at + dtype.itemsize] = layout.seal_rows(one, base, row).tobytes()
    path.write_bytes(data)


def test_a_closed_recording(tmp_path: Path) -> None:
    folder, _ = samples.large(tmp_path / "r")
    report = reader.open(folder.root).verify()
    assert report.ok
    assert report.problems == report.notes == []
    assert vars(report.channels["status"]) == {
        "records": 5900,
        "first": 0,
        "end": 6000,
        "segments": 3,
        "lost": {"disk": 100},
    }
    assert report.channels["held"].records == 2048
    beside = sum(
        (folder.root / name).stat().st_size for name in ("sessions.jsonl", "marks.jsonl", "stats.jsonl")
    )
    below = sum(path.stat().st_size for path in folder.root.glob("channels/*/*.0*.*"))
    assert report.checked == beside + below + 3 * 48


def test_an_unclean_recording_is_no_problem(tmp_path: Path) -> None:
    folder, channel = samples.small(tmp_path / "r")
    segment = channel.segments[0]
    with segment.path("index").open("ab") as file:
        file.write(b"\x01" * 30)
    with segment.path("records").open("ab") as file:
        file.write(status(20) + b"rest")
    report = reader.open(folder.root).verify()
    assert report.problems == []
    assert any("row 3 is unfinished" in note for note in report.notes)
    assert report.channels["status"].lost == {"overwritten": 3, "failed": 1}


def test_salvaged_records_are_a_note(tmp_path: Path) -> None:
    folder, channels = samples.large(tmp_path / "r")
    path = channels["status"].segments[1].path("index")
    reseal(path, layout.INDEX_DTYPE, 1, layout.place(writer.UUID, "status", 1), flags=layout.INDEX_UNPROVEN)
    report = reader.open(folder.root).verify()
    assert report.ok
    (note,) = report.notes
    assert "records among" in note and "no checksum proved them" in note


def test_a_fall_from_block_to_block_is_none_within_one(tmp_path: Path) -> None:
    for flags in (0, layout.INDEX_DECREASING):
        folder = writer.Folder(tmp_path / f"r{flags}")
        folder.session()
        channel = samples.status_channel(folder)
        segment = channel.segment()
        segment.commit(0, [status(n) for n in range(50, 60)])
        segment.commit(10, [status(n) for n in range(10)])
        folder.close({"status": channel})
        reseal(segment.path("index"), layout.INDEX_DTYPE, 1, layout.place(writer.UUID, "status"), flags=flags)
        problems = reader.open(folder.root).verify().problems
        assert [line for line in problems if "bear out" in line] == problems and len(problems) == flags


def test_zeros_after_a_loss_of_power_are_no_problem(tmp_path: Path) -> None:
    folder, channel = samples.small(tmp_path / "r")
    with channel.segments[0].path("index").open("ab") as file:
        file.write(bytes(128))
    report = reader.open(folder.root).verify()
    assert report.problems == []
    assert any("zeros from row 3 on" in note for note in report.notes)


def test_an_index_shorter_than_its_count_is_damage(tmp_path: Path) -> None:
    folder, channel = samples.small(tmp_path / "r")
    channel.segments[0].commit(20, [], gaps=[(20, 1, 3, 0, 1, 2)])
    channel.segments[0].raise_counts()
    path = channel.segments[0].path("index")
    # No record is missing: only the count tells that a loss was committed behind the others.
    flip(path, -1)
    report = reader.open(folder.root).verify()
    assert [
        "index.000000.npy: the header counts 4 rows, but 3" in problem for problem in report.problems
    ] == [True]


def test_a_recording_killed_then_resumed_then_closed(tmp_path: Path) -> None:
    folder, channel = samples.small(tmp_path / "r")
    first = channel.segments[0]
    first.commit(20, [status(20)], stages=("strings", "gaps", "records", "index"))
    with first.path("index").open("ab") as file:
        file.write(bytes(64) + b"torn")
    channel.segment().commit(21, [status(n) for n in range(21, 30)])
    folder.close({"status": channel})
    writer.set_count(first.path("index"), 2)
    report = reader.open(folder.root).verify()
    assert report.problems == []
    assert any("zeros from row 4 on" in note for note in report.notes)
    assert report.channels["status"].end == 30


@pytest.mark.parametrize("before", ["records", "strings", "zones"])
@pytest.mark.parametrize("foreign", [False, True])
def test_what_retention_takes_meanwhile_is_no_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: str, foreign: bool
) -> None:
    folder, channels = samples.large(tmp_path / "r", close=False)
    first, real, loaded = channels["status"].segments[0], opening.open_file, []

    def retire_first(root: Path, *parts: str, **more: int) -> int:
        if f"{before}.000000" in parts[-1] and loaded.count("gaps.000000.npy") == 2:
            for kind in ("records", "index", "gaps", "zones", "strings"):
                first.path(kind).unlink(missing_ok=True)
        loaded.extend(parts[-1:] if "status" in parts else ())
        return real(root, *parts, **more)

    lock = writer.hold(folder.root)
    try:
        run = reader.open(folder.root)
        monkeypatch.setattr(opening, "open_file", retire_first)
        monkeypatch.setattr(opening, "foreign", lambda descriptor: foreign)
        report = run.verify()
    finally:
        os.close(lock)
    assert not first.path("records").exists()
    assert report.problems == []
    assert any("it is retired" in note for note in report.notes)


def test_turns_need_not_be_told(tmp_path: Path) -> None:
    """A writer may tell none: then the records are read. One that is wrong is found."""
    schema = fr.Schema.from_dtype(np.dtype([("mode", "<i4"), ("level", "<f8")]), name="S")
    states = np.zeros(2048, schema.dtype)
    states["mode"][300:] = 7
    states["mode"][1500:] = -2
    with fr.Recorder(tmp_path / "r") as rec:
        rec.add("c", schema=schema).extend(states, np.arange(2048) * 1_000)
    path = tmp_path / "r/channels/c/zones.000000.npy"
    run, dtype = fr.open(tmp_path / "r"), layout.zone_dtype(2)
    base = layout.place(bytes.fromhex(run.uuid), "c", 0)
    due = run["c"].transitions("mode").tolist()
    assert [one[0] for one in due] == [300, 1500] and run.verify().problems == []
    turns = np.load(path)["nan"][:, 0].tolist()
    assert turns == [2**63 + 300_000, 2**63 + 2**62 + 1_500_000]
    for told, problems in ((0, 0), (turns[1] + 1, 1)):
        reseal(path, dtype, 1, base, nan=np.array([told, 0], np.uint64))
        run = fr.open(tmp_path / "r")
        assert len(run.verify().problems) == problems
        assert told or run["c"].transitions("mode").tolist() == due


def test_a_live_recording(tmp_path: Path) -> None:
    folder, channel = samples.small(tmp_path / "r")
    lock = writer.hold(folder.root)
    with channel.segments[0].path("index").open("ab") as file:
        file.write(b"\x01" * 64)
    report = reader.open(folder.root).verify()
    assert report.problems == []
    assert "row 3 does not match its checksum: nothing from there on is committed" in report.notes[0]
    os.close(lock)


Damage = Callable[[Path, dict[str, writer.Channel]], None]


def closed(root: Path) -> dict[str, object]:
    members = json.loads((root / "closed.json").read_bytes())
    del members["crc"]
    return members


def rewrite_closed(root: Path, members: dict[str, object]) -> None:
    (root / "closed.json").write_bytes(writer.sealed(members, writer.seed(writer.UUID, "", 0, 0)))


def shrink(root: Path, channels: dict[str, writer.Channel]) -> None:
    os.truncate(channels["status"].segments[2].path("records"), 20_000)


def publish_more(root: Path, channels: dict[str, writer.Channel]) -> None:
    members = closed(root)
    members["channels"]["status"]["records"] = 6007
    rewrite_closed(root, members)


def publish_less(root: Path, channels: dict[str, writer.Channel]) -> None:
    members = closed(root)
    members["channels"]["status"]["records"] = 5990
    rewrite_closed(root, members)


def count_a_channel_more(root: Path, channels: dict[str, writer.Channel]) -> None:
    members = closed(root)
    members["channels"]["ghost"] = members["channels"].pop("held")
    rewrite_closed(root, members)


def count_what_has_no_name(root: Path, channels: dict[str, writer.Channel]) -> None:
    members = closed(root)
    members["channels"]["../" * 1000] = members["channels"]["held"]
    rewrite_closed(root, members)


def break_closed(root: Path, channels: dict[str, writer.Channel]) -> None:
    flip(root / "closed.json", 30)


def index_row(row: int, **changes: int) -> Damage:
    def damage(root: Path, channels: dict[str, writer.Channel]) -> None:
        base = layout.place(writer.UUID, "status", 0)
        reseal(channels["status"].segments[0].path("index"), layout.INDEX_DTYPE, row, base, **changes)

    return damage


def zone_row(name: str, value: int) -> Damage:
    def damage(root: Path, channels: dict[str, writer.Channel]) -> None:
        path = channels["status"].segments[0].path("zones")
        reseal(path, layout.zone_dtype(3), 1, layout.place(writer.UUID, "status", 0), **{name: value})

    return damage


def float_sum(root: Path, channels: dict[str, writer.Channel]) -> None:
    path = channels["status"].segments[0].path("zones")
    dtype = layout.zone_dtype(3)
    row = np.frombuffer(path.read_bytes(), dtype, 1, len(layout.npy_header(dtype)))
    sums = row["sum"][0].copy()
    sums[2] = np.float64(sums.view("<f8")[2] * 1.001).view("<u8")
    reseal(path, dtype, 0, layout.place(writer.UUID, "status", 0), sum=sums)


def bit(kind: str, place: int, segment: int = 0, mask: int = 1) -> Damage:
    def damage(root: Path, channels: dict[str, writer.Channel]) -> None:
        flip(channels["status"].segments[segment].path(kind), place, mask)

    return damage


def line(name: str) -> Damage:
    return lambda root, channels: flip(root / name, 12)


def remove(name: str) -> Damage:
    return lambda root, channels: (root / name).unlink()


def refer_to_no_text(root: Path, channels: dict[str, writer.Channel]) -> None:
    (root / "closed.json").unlink()
    channels["status"].segments[2].commit(6000, [status(6000, url=77)])


def hold_twice(root: Path, channels: dict[str, writer.Channel]) -> None:
    (root / "closed.json").unlink()
    channels["status"].segments[2].commit(6000, [status(6000)], gaps=[(5990, 3, 7, 0, START_NS, START_NS)])


def leave_a_hole(root: Path, channels: dict[str, writer.Channel]) -> None:
    (root / "closed.json").unlink()
    channels["status"].segments[2].commit(6010, [status(6010)])


def empty_row_with_times(root: Path, channels: dict[str, writer.Channel]) -> None:
    (root / "closed.json").unlink()
    segment = channels["status"].segments[0]
    segment.commit(2500, [])
    base = layout.place(writer.UUID, "status", 0)
    reseal(segment.path("index"), layout.INDEX_DTYPE, segment.blocks - 1, base, t_min=1)


def odd_count(root: Path, channels: dict[str, writer.Channel]) -> None:
    (root / "closed.json").unlink()
    writer.set_count(channels["status"].segments[0].path("records"), 77)


DAMAGE: dict[str, tuple[Damage, str]] = {
    "shrunk": (shrink, "when the recording was closed"),
    "more published": (publish_more, "records 6000 to 6006 are in no block and no gap"),
    "fewer published": (publish_less, "numbers reach 6,000, but 5,990 records were published"),
    "another channel": (count_a_channel_more, "ghost: is gone"),
    "no name of a channel": (count_what_has_no_name, "which is no name of a channel"),
    "channel not counted": (count_a_channel_more, "has no count of channel 'held'"),
    "closed.json": (break_closed, "closed.json: is damaged"),
    "t_min": (index_row(0, t_min=START_NS - 1), "which are not those of its records"),
    "t_max": (index_row(0, t_max=START_NS), "which are not those of its records"),
    "flags": (index_row(0, flags=1), "has flags 1, which its records do not bear out"),
    "flags within": (index_row(1, flags=4), "row 1 has flags 4, which its records do not bear out"),
    "flags beyond": (index_row(0, flags=16), "has flags 16, which its records do not bear out"),
    "steady": (index_row(1, flags=8, t_min=START_NS), "row 1 has flag 8, though times before it fall"),
    "crc_rows": (index_row(0, crc_rows=1), "records 0 to 699 (rows 0 to 699) do not match"),
    "records": (bit("records", -10, 2), "do not match their checksum"),
    "count": (bit("records", 31, 2), "though closed"),
    "count, unclean": (odd_count, "which no commit did"),
    "index": (bit("index", -10, 1), "index.000001.npy: the header counts"),
    "index within": (bit("index", 330), "row 0 does not match its checksum, though rows behind it do"),
    "index count": (bit("index", 31, 2), "the header counts"),
    "gaps": (bit("gaps", -10, 1), "1 of 1 rows are damaged"),
    "gaps count": (bit("gaps", 31, 2), "the header counts"),
    "strings": (bit("strings", 12), "strings.000000.jsonl: line 0: does not match"),
    "zones": (bit("zones", -10), "zones.000000.npy: row 1 does not match"),
    "zones header": (bit("zones", 12), "zones.000000.npy: the header"),
    "zone polls": (zone_row("polls", 1023), "row 1 does not sum up"),
    "zone min": (zone_row("min", 0), "row 1 does not sum up"),
    "zone max": (zone_row("max", 0), "row 1 does not sum up"),
    "zone sum": (zone_row("sum", 0), "row 1 does not sum up"),
    "zone nan": (zone_row("nan", 1), "row 1 does not sum up"),
    "zone sum of floats": (float_sum, "row 0 does not sum up"),
    "channel.json": (line(CHANNEL + "channel.json"), "channel.json: does not match"),
    "sessions": (line("sessions.jsonl"), "sessions.jsonl: line 0"),
    "marks": (line("marks.jsonl"), "marks.jsonl: line 0"),
    "stats": (line("stats.jsonl"), "stats.jsonl: line 0"),
    "clocks": (lambda root, channels: flip(root / "clocks.npy", -60), "clocks.npy: row 1 does not match"),
    "clocks header": (line("clocks.npy"), "clocks.npy: the header"),
    "no marks": (remove("marks.jsonl"), "marks.jsonl: is gone; 69 bytes when"),
    "no texts": (remove(CHANNEL + "strings.000002.jsonl"), "texts that are not there"),
    "no records": (remove(CHANNEL + "records.000001.npy"), "records beyond the end"),
    "unknown text": (refer_to_no_text, "has no text 77, to which 'url' refers"),
    "held and lost": (hold_twice, "records 5990 to 5992 are held, or lost, twice"),
    "a hole": (leave_a_hole, "records 6000 to 6009 are in no block and no gap"),
    "empty row": (empty_row_with_times, "has no records, but a range of time"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_named(tmp_path: Path, name: str) -> None:
    folder, channels = samples.large(tmp_path / "r")
    damage, message = DAMAGE[name]
    damage(folder.root, channels)
    report = reader.open(folder.root).verify()
    assert not report.ok
    assert any(message in problem for problem in report.problems), report.problems


def test_all_damage_is_listed_not_the_first_alone(tmp_path: Path) -> None:
    folder, channels = samples.large(tmp_path / "r")
    path = channels["status"].segments[2].path("records")
    flip(path, 200)
    flip(path, -1)
    flip(channels["held"].segments[0].path("records"), -1)
    report = reader.open(folder.root).verify()
    assert len([problem for problem in report.problems if "do not match their checksum" in problem]) == 3
    assert report.channels["held"].records == 2048 - 512


def test_zones_may_be_absent_or_behind(tmp_path: Path) -> None:
    folder, channels = samples.large(tmp_path / "r", close=False)
    segments = channels["status"].segments
    segments[0].path("zones").unlink()
    os.truncate(segments[1].path("zones"), segments[1].path("zones").stat().st_size - 5)
    assert reader.open(folder.root).verify().problems == []


def test_floats_may_be_added_in_any_order(tmp_path: Path) -> None:
    folder = writer.Folder(tmp_path / "r")
    segment = samples.status_channel(folder).segment()
    # The exact sum is 0.5; adding from the left or in pairs gives other last digits.
    values = [1e9 * (-1) ** n + n / 3e7 for n in range(1024)]
    segment.commit(0, [status(n, temp=value) for n, value in enumerate(values)])
    assert reader.open(tmp_path / "r").verify().problems == []


@pytest.mark.parametrize("kind", ["records", "index", "gaps", "strings", "zones"])
def test_every_byte_of_a_closed_channel_counts(tmp_path: Path, kind: str) -> None:
    folder, channel = samples.small(tmp_path / "r")
    channel.segments[0].commit(20, [status(n) for n in range(20, 20 + 1007)])
    folder.close({"status": channel})
    path = channel.segments[0].path(kind)
    assert reader.open(folder.root).verify().ok
    step = 331 if kind == "records" else 5
    for place in [*range(64), *range(64, path.stat().st_size, step)]:
        if place < path.stat().st_size:
            flip(path, place, 1 << place % 8)
            problems = reader.open(folder.root).verify().problems
            # A zone's header counts rows that nobody reads by it; a space may become another character numpy
            # skips.
            assert problems or (kind == "zones" and 24 <= place < 32)
            flip(path, place, 1 << place % 8)


@pytest.mark.parametrize(
    ("length", "polls", "most", "fine"),
    [
        (0, 1, 0, True),
        (0, 2, 0, True),  # stamps may be equal
        (30, 4, 10, True),
        (30, 2, 30, True),
        (30, 4, 9, False),
        (10**15, 3, 10**15, False),  # into the record after it
        (0, 0, 0, False),
        (5, 1, 0, False),
        (5, 1, 5, False),
        (5, 2, 6, False),
        (5, 2, -1, False),
        (-5, 2, 0, False),
        (1 - 2**64, 2, 0, False),  # more than a number of 64 bits
    ],
)
def test_a_hold_that_cannot_be(tmp_path: Path, length: int, polls: int, most: int, fine: bool) -> None:
    """Whole as bytes, and still nothing that a recorder writes."""
    folder = writer.Folder(tmp_path / "r")
    folder.session()
    rows = [samples.held(n) for n in range(3)]
    stamp = struct.unpack_from("<q", rows[1])[0]
    until = stamp + length
    if abs(length) > 2**63:
        stamp, until = 2**63 - 1, -(2**63)
    rows[1] = struct.pack("<qqQq", stamp, until, polls, most) + rows[1][32:]
    samples.held_channel(folder).segment().commit(0, rows)
    problems = reader.open(folder.root).verify().problems
    assert not problems if fine else [f"row 1 holds {polls} polls" in one for one in problems] == [True]


@pytest.mark.parametrize("closed", [True, False])
def test_channels_that_are_gone_are_named(tmp_path: Path, closed: bool) -> None:
    folder, _ = samples.large(tmp_path / "r", close=closed)
    shutil.rmtree(folder.root / "channels" / "status")
    known = "6,000 records, as closed.json counts" if closed else "nobody knows how many records it had"
    run = reader.open(folder.root)
    for problems in (run.problems, run.verify().problems):
        assert any("status: is gone" in one and known in one for one in problems), problems
    assert run.ends["status"].end == 6000 * closed and "is gone" in run.ends["status"].why
    assert "status is gone" in repr(run)
    assert run.ends["held"].end == 2048


def test_a_channel_that_may_not_be_looked_into_is_not_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor is any file in it. Whoever runs tests may be root, whom nothing is denied."""
    folder, _ = samples.large(tmp_path / "r")

    def refusing(name: str, least: int) -> None:
        real = getattr(below, name)

        def refused(root: bytes, parts: tuple[str, ...], *rest: int) -> object:
            if parts[:2] == ("channels", "status") and len(parts) >= least:
                raise PermissionError(errno.EACCES, "Permission denied")
            return real(root, parts, *rest)

        monkeypatch.setattr(below, name, refused)

    for name, least in (("open_folder", 2), ("open_file", 3), ("identity", 3)):
        refusing(name, least)
    run = reader.open(folder.root)
    said = [one for one in run.problems if "status" in one]
    assert [one.partition(": ")[2] for one in said] == ["cannot be looked into: Permission denied"]
    assert "gone" not in run.ends["status"].why + repr(run)
    told = [one for one in run.verify().problems if "status" in one]
    assert len(told) > 5
    assert all("cannot be looked into: Permission denied" in one and "gone" not in one for one in told), told


def test_segments_that_nothing_describes_are_named(tmp_path: Path) -> None:
    folder, _ = samples.large(tmp_path / "r")
    (folder.root / "channels" / "status" / "channel.json").unlink()
    problems = reader.open(folder.root).problems
    assert [one.partition(": ")[2] for one in problems] == [
        "has segments, but no channel.json that says what they are; fastrec recover can save them"
    ]


def test_statistics_of_earlier_sessions_call_nothing_gone(tmp_path: Path) -> None:
    """A channel that was gone when the recording was recovered is none of what was recorded since."""
    folder, _ = samples.large(tmp_path / "r", close=False)
    folder.line("stats.jsonl", mono_ns=START_NS, channel="ghost", published=7)
    assert any("ghost: is gone, with 7 records, at least" in one for one in reader.open(folder.root).problems)
    folder.session(1, start=START_NS + 10**9)
    assert reader.open(folder.root).problems == []
