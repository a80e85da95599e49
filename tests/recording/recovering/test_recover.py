"""Recovering: all that is whole is saved, byte for byte; what is not is named; nothing else changes."""

from __future__ import annotations

import errno
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from children import child
from recording import damaged, samples, writer
from recording.samples import PERIOD, START_NS, is_status, status
from recording.test_verify import flip, reseal

import fastrec as fr
from fastrec.errors import FormatError, RecordingError
from fastrec.recording import layout
from fastrec.recording.recovering import recover as recovering
from fastrec.recording.recovering.recover import recover
from fastrec.recording.recovery import Lost, Recovery
from fastrec.recording.writing import fresh
from fastrec.recording.writing.rings import Left
from fastrec.schema.gaps import Cause

pytestmark = pytest.mark.once  # a long way through code that is the same wherever the package lies

STATUS = Path("channels/status")
WIDTH, BEGIN = 32, 192
INDEX = layout.header_size(layout.INDEX_DTYPE)


def contents(root: Path) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def saved(root: Path, **options: object) -> Recovery:
    """Recover beside the source, which must stay as it was, and verify."""
    before = contents(root)
    recovery = recover(root, root.with_name("saved"), **options)
    assert contents(root) == before
    assert [path.name for path in root.parent.glob(".*")] == []
    report = fr.open(recovery.path).verify()
    assert report.problems == []
    return recovery


def patch(path: Path, start: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(start)
        file.write(data)


def lost(recovery: Recovery, name: str = "status") -> list[tuple[int, int]]:
    return [(one.first, one.last) for one in recovery.channels[name].lost]


def numbers(recovery: Recovery, name: str = "status") -> list[int]:
    return sorted(damaged.by_number(Path(recovery.path), name))


def assert_true(recovery: Recovery, original: Path, name: str = "status") -> None:
    before, after = damaged.by_number(original, name), damaged.by_number(Path(recovery.path), name)
    assert [n for n in after if before.get(n) != after[n]] == []


# What is whole


def test_whole_is_copied_byte_for_byte(tmp_path: Path) -> None:
    folder = damaged.manifold(tmp_path / "r")
    recovery = saved(folder.root)
    assert recovery.ok and recovery.torn == recovery.problems == recovery.notes == ()
    before, after = contents(folder.root), contents(tmp_path / "saved")
    assert before.keys() == after.keys()
    assert [name for name in before if before[name] != after[name]] == ["closed.json"]  # in another order
    closed = [json.loads(one["closed.json"]) for one in (before, after)]
    assert closed[0] | {"crc": ""} == closed[1] | {"crc": ""}
    assert fr.open(tmp_path / "saved").stats == fr.open(folder.root).stats
    told = recovery.channels["status"]
    assert (told.records, told.first, told.end, told.lost, told.unproven) == (5900, 0, 6000, (), ())
    assert json.loads(json.dumps(recovery.as_dict()))["ok"] is True


def test_of_a_killed_recorder(tmp_path: Path) -> None:
    folder, _ = samples.small(tmp_path / "r")
    folder.line("marks.jsonl", mono_ns=1, text="a", kind="mark")
    folder.line("stats.jsonl", mono_ns=1, channel="status", slots=9)
    recovery = saved(folder.root)
    assert recovery.ok
    assert any("no closed.json" in note for note in recovery.notes)
    run = fr.open(tmp_path / "saved")
    assert run.state == "closed" and run.stats["status"] == {"slots": 9}
    assert run["status"].gaps.tolist() == fr.open(folder.root)["status"].gaps.tolist()
    assert np.load(tmp_path / "saved" / STATUS / "index.000000.npy").shape == (3,)


def test_what_a_kill_tears_off(tmp_path: Path) -> None:
    folder, channel = samples.small(tmp_path / "r")
    segment = channel.segments[0]
    failed = (20, 1, 4, -5, START_NS + 20 * PERIOD, START_NS + 20 * PERIOD)
    segment.commit(20, [status(n) for n in range(20, 23)], gaps=[failed], stages=("gaps", "records"))
    writer.append(segment.path("records"), status(23)[:9])
    recovery = saved(folder.root)
    rows = [(one.start, one.stop, one.first, one.last) for one in recovery.torn]
    start = BEGIN + 17 * WIDTH
    assert rows == [
        (start + 3 * WIDTH, start + 3 * WIDTH + 9, None, None),
        (start, start + 3 * WIDTH, 20, 22),
    ]
    assert not recovery.ok and lost(recovery) == [(20, 22)]
    gaps = fr.open(recovery.path)["status"].gaps
    assert (20, 3, 5, 5) in gaps[["seq", "count", "cause", "code"]].tolist()
    assert (20, 1, 4, -5) in gaps[["seq", "count", "cause", "code"]].tolist()  # it was whole


def test_a_killed_recorders_recording(tmp_path: Path) -> None:
    victim = (
        "import sys, numpy as np, fastrec as fr\n"
        "with fr.Recorder(sys.argv[1], segment_bytes=1 << 16, flush='2ms') as rec:\n"
        "    c = rec.add('pushed', schema=np.dtype([('n', '<u8'), ('x', '<f8')]), capacity=100_000)\n"
        "    rows, n = np.zeros(100, [('n', '<u8'), ('x', '<f8')]), 0\n"
        "    while True:\n"
        "        rows['n'] = np.arange(n, n + 100)\n"
        "        n += c.extend(rows)\n"
        "        print(c.stats.written, flush=True)\n"
    )
    path = tmp_path / "r"
    with child([sys.executable, "-c", victim, path], stdout=subprocess.PIPE, text=True) as process:
        end = time.monotonic() + 30
        while int(process.stdout.readline()) < 20_000:
            assert time.monotonic() < end
        process.send_signal(signal.SIGKILL)
        process.stdout.read()
    recovery = saved(path)
    before, after = fr.open(path)["pushed"], fr.open(recovery.path)["pushed"]
    assert len(before) > 1000
    assert len(after) >= len(before)  # the ring is in shared memory still
    np.testing.assert_array_equal(before.to_numpy(), after[: len(before)].to_numpy())
    np.testing.assert_array_equal(after["n"], after.seq)


# Damage


def test_a_damaged_block(tmp_path: Path) -> None:
    folder, channels = samples.large(tmp_path / "r")
    segment = channels["status"].segments[0]
    place = BEGIN + 800 * WIDTH
    flip(segment.path("records"), place)
    recovery = saved(folder.root)
    assert lost(recovery) == [(700, 1023)]
    (torn,) = recovery.torn
    assert (torn.file, torn.start, torn.stop, torn.first, torn.last) == (
        "channels/status/records.000000.npy",
        BEGIN + 700 * WIDTH,
        BEGIN + 1024 * WIDTH,
        700,
        1023,
    )
    records = fr.open(recovery.path)["status"]
    assert numbers(recovery) == [*range(700), *range(1024, 2500), *range(2600, 6000)]
    assert all(is_status(row, n) for row, n in zip(records.to_numpy(), records.seq.tolist(), strict=True))
    (gap,) = records.gaps[records.gaps["code"] == 5].tolist()
    assert gap == (700, 324, 5, 5, START_NS + 700 * PERIOD, START_NS + 1023 * PERIOD)
    # The others are as they were; behind the block everything was cut anew.
    for number in (1, 2):
        for kind in layout.KINDS:
            name = layout.segment_file(kind, number)
            assert (folder.root / STATUS / name).read_bytes() == (
                tmp_path / "saved" / STATUS / name
            ).read_bytes()
    index = np.load(tmp_path / "saved" / STATUS / "index.000000.npy")
    assert (np.cumsum(index["rows"])[:-1] % 1024 == 0).any() and index["rows"].sum() == 2500 - 324


@pytest.mark.parametrize("field", ["t_min", "durable_seq", "gap_rows", "rows", "first_seq", "crc"])
@pytest.mark.parametrize("row", [0, 1, 3])
def test_a_damaged_index_row(tmp_path: Path, row: int, field: str) -> None:
    """Its block is proven by its own checksum, its numbers by its neighbours: nothing is lost."""
    folder, channels = samples.large(tmp_path / "r")
    flip(channels["status"].segments[0].path("index"), INDEX + row * 64 + layout.INDEX_DTYPE.fields[field][1])
    recovery = saved(folder.root)
    assert lost(recovery) == [] and recovery.ok
    assert [(one.file[-16:], one.start, one.saved) for one in recovery.torn] == [
        ("index.000000.npy", INDEX + row * 64, True)
    ]
    assert_true(recovery, samples.large(tmp_path / "whole")[0].root)
    assert numbers(recovery) == [*range(2500), *range(2600, 6000)]


def test_an_index_row_that_proves_nothing(tmp_path: Path) -> None:
    folder, channels = samples.large(tmp_path / "r")
    path = channels["status"].segments[0].path("index")
    flip(path, INDEX + 64 + layout.INDEX_DTYPE.fields["crc_rows"][1])
    recovery = saved(folder.root)
    assert lost(recovery) == [(700, 1023)]
    assert {one.first for one in recovery.torn} == {None, 700}


def test_index_rows_of_a_sector(tmp_path: Path) -> None:
    """Blocks behind them prove where they lie; what was in between is salvaged with its true numbers."""
    folder = damaged.manifold(tmp_path / "r")
    original = damaged.by_number(folder.root, "status")
    patch(folder.root / STATUS / "index.000001.npy", INDEX + 128, bytes(192))
    recovery = saved(folder.root)
    (span,) = lost(recovery)
    assert 2510 < span[0] < span[1] < 4000
    assert numbers(recovery) == [n for n in original if not span[0] <= n <= span[1]]
    second = recover(folder.root, tmp_path / "more", salvage=True)
    assert damaged.by_number(tmp_path / "more", "status") == original
    assert second.channels["status"].unproven == (span,) and not second.ok
    report = fr.open(tmp_path / "more").verify()
    assert report.ok and any("salvaged" in note for note in report.notes)


def test_blocks_behind_a_damaged_index_row_and_a_hole(tmp_path: Path) -> None:
    """Neither its claim nor the numbers tell where they lie; their own checksums do."""
    folder, channel = samples.small(tmp_path / "r", close=False)
    segment = channel.segments[0]
    segment.commit(25, [status(n) for n in range(25, 32)])
    original = damaged.by_number(folder.root, "status")
    flip(segment.path("index"), INDEX + 64 + layout.INDEX_DTYPE.fields["rows"][1], 2)
    flip(segment.path("gaps"), 256)  # it told of 5 to 7
    recovery = saved(folder.root)
    assert lost(recovery) == [(5, 8), (9, 11), (20, 24)]
    assert numbers(recovery) == [*range(5), *range(12, 20), *range(25, 32)]
    # Salvaged rows follow the last that is proven: here nobody can know better.
    more = recover(folder.root, tmp_path / "more", salvage=True)
    assert more.channels["status"].unproven == ((5, 8),)
    assert {n: damaged.by_number(tmp_path / "more", "status")[n] for n in numbers(recovery)} == {
        n: original[n] for n in numbers(recovery)
    }


def test_blocks_of_which_nobody_knows_where_they_lie(tmp_path: Path) -> None:
    folder = writer.Folder(tmp_path / "r")
    folder.session()
    channel = samples.status_channel(folder)
    segment = channel.segment()
    for start in range(0, 600, 100):
        segment.commit(start, [status(n) for n in range(start, start + 100)])
    original = damaged.by_number(folder.root, "status")
    for row in (1, 3):
        patch(segment.path("index"), INDEX + row * 64, bytes(64))
    flip(segment.path("records"), BEGIN + 250 * WIDTH)
    recovery = saved(folder.root, salvage=True)
    assert lost(recovery) == [(100, 199), (200, 299), (300, 399)]
    assert recovery.channels["status"].unproven == ()
    assert numbers(recovery) == [*range(100), *range(400, 600)]
    after = damaged.by_number(Path(recovery.path), "status")
    assert after == {n: original[n] for n in after}


def test_no_index(tmp_path: Path) -> None:
    folder = damaged.manifold(tmp_path / "r", close=False)
    original = damaged.by_number(folder.root, "status")
    (folder.root / STATUS / "index.000002.npy").unlink()
    recovery = saved(folder.root)
    assert lost(recovery) == [(4500, 5999)]
    assert numbers(recovery) == [*range(4000), *range(4100, 4500)]
    more = recover(folder.root, tmp_path / "more", salvage=True)
    assert damaged.by_number(tmp_path / "more", "status") == original
    assert more.channels["status"].unproven == ((4500, 5999),)
    run = fr.open(tmp_path / "more")
    assert run.verify().ok
    assert [(mark.kind, "status: records 4500 to 5999" in mark.text) for mark in run.marks] == [
        ("mark", False),
        ("salvaged", True),
        ("lost", False),  # it was not closed: what else there was of either channel nobody knows
        ("lost", False),
    ]
    index = np.load(tmp_path / "more" / STATUS / "index.000002.npy")
    assert set(index["flags"][index["rows"] > 0].tolist()) == {layout.INDEX_UNPROVEN | layout.INDEX_STEADY}
    # And once more: what is unproven stays so.
    again = recover(tmp_path / "more", tmp_path / "again")
    assert again.ok
    assert (tmp_path / "again" / STATUS / "index.000002.npy").read_bytes() == (
        tmp_path / "more" / STATUS / "index.000002.npy"
    ).read_bytes()


def test_no_index_where_segments_overlap(tmp_path: Path) -> None:
    """What an older segment proves is not replaced by what nothing proves."""
    folder = damaged.manifold(tmp_path / "r", close=False)
    original = damaged.by_number(folder.root, "status")
    (folder.root / STATUS / "index.000001.npy").unlink()
    recovery = saved(folder.root, salvage=True)
    assert damaged.by_number(Path(recovery.path), "status") == original
    assert recovery.channels["status"].unproven == ((3000, 3999), (4100, 4499))


def test_salvage_takes_what_can_be_records_only(tmp_path: Path) -> None:
    folder, channel = samples.small(tmp_path / "r")
    rows = [status(20), status(21), status(3), status(23)]  # the third is older than the second
    channel.segments[0].commit(20, rows, stages=("records",))
    recovery = saved(folder.root, salvage=True)
    assert recovery.channels["status"].unproven == ((20, 21),)
    assert lost(recovery) == [(22, 23)]
    assert numbers(recovery)[-1] == 21


def test_salvage_takes_no_zeros_and_nothing_older_than_the_recording(tmp_path: Path) -> None:
    for name, rows in (
        ("zeros", [status(0), status(1), bytes(32), status(3)]),
        ("old", [status(0, stamp=START_NS - 1), status(1)]),
        ("wild", [status(0), status(1), status(2, stamp=1 << 62), status(3)]),
        ("unknown", [bytes(32), status(1)]),
    ):
        folder = writer.Folder(tmp_path / name)
        if name != "unknown":
            folder.session()
        samples.status_channel(folder).segment().commit(0, rows, stages=("records",))
        recovery = recover(folder.root, tmp_path / f"{name}.saved", salvage=True)
        taken = 0 if name in ("old", "unknown") else 2
        assert recovery.channels["status"].records == taken
        assert lost(recovery) == [(taken, len(rows) - 1)]


def test_salvage_takes_no_wild_ids(tmp_path: Path) -> None:
    folder, channel = samples.small(tmp_path / "r")
    segment = channel.segments[0]
    segment.commit(20, [status(20, url=3), status(21, url=1 << 40)], stages=("records",))
    recovery = saved(folder.root, salvage=True)
    assert recovery.channels["status"].unproven == ((20, 20),)
    assert fr.open(recovery.path)["status"].decode()["url"][-1] == "\ufffd"


def test_a_file_that_ends_before(tmp_path: Path) -> None:
    folder = damaged.manifold(tmp_path / "r")
    os.truncate(folder.root / STATUS / "records.000002.npy", BEGIN + 1100 * WIDTH + 5)
    recovery = saved(folder.root)
    assert lost(recovery) == [(5524, 5999)]
    assert fr.open(recovery.path)["status"].gaps[-1].tolist()[:4] == (6000, 7, 4, -3)
    assert (tmp_path / "saved" / STATUS / "strings.000002.jsonl").read_bytes() == (
        folder.root / STATUS / "strings.000002.jsonl"
    ).read_bytes()


def test_a_missing_segment(tmp_path: Path) -> None:
    folder = damaged.manifold(tmp_path / "r")
    for kind in layout.KINDS:
        (folder.root / STATUS / layout.segment_file(kind, 1)).unlink()
    recovery = saved(folder.root)
    assert lost(recovery) == [(3000, 4499)]
    assert recovery.channels["status"].lost == (Lost(3000, 4499, "nothing tells of them"),)


@pytest.mark.parametrize("retired", [False, True])
def test_no_segment_at_all(tmp_path: Path, retired: bool) -> None:
    """All records are lost, or retention took them: ``closed.json`` says which, and how many there were."""
    folder, _ = samples.large(tmp_path / "r")
    for path in (folder.root / STATUS).glob("*.*.*"):
        path.unlink()
    if retired:
        path, seed = folder.root / "closed.json", layout.row_seed(writer.UUID, "", 0, 0)
        members = layout.check_json(path.read_bytes(), seed)
        files = {name: size for name, size in members["files"].items() if not name.startswith(f"{STATUS}/r")}
        path.write_bytes(layout.seal_json(members | {"files": files}, seed))
    recovery = saved(folder.root)
    assert lost(recovery) == ([] if retired else [(0, 5999)])
    (gap,) = fr.open(recovery.path)["status"].gaps
    cause = Cause.RETIRED if retired else Cause.DISK
    assert (gap["seq"], gap["count"], gap["cause"]) == (0, 6000, cause)
    assert len(fr.open(recovery.path)["held"]) == 2048


def test_the_first_segment_missing_and_no_index(tmp_path: Path) -> None:
    """Rows that are lost are none that retention took, nor is what follows them."""
    folder = writer.Folder(tmp_path / "r")
    channel = samples.status_channel(folder)
    for first in (0, 5):
        channel.segment().commit(first, [status(n) for n in range(first, first + 5)])
    folder.close({"status": channel})
    for path in [*(folder.root / STATUS).glob("*.000000.*"), folder.root / STATUS / "index.000001.npy"]:
        path.unlink()
    recovery = saved(folder.root)
    assert (recovery.channels["status"].records, recovery.channels["status"].end) == (0, 10)


def test_damage_to_what_a_later_segment_holds_again(tmp_path: Path) -> None:
    folder = damaged.manifold(tmp_path / "r")
    original = damaged.by_number(folder.root, "status")
    flip(folder.root / STATUS / "records.000000.npy", BEGIN + 2700 * WIDTH)
    recovery = saved(folder.root)
    assert recovery.ok and lost(recovery) == []
    assert damaged.by_number(Path(recovery.path), "status") == original


def test_what_a_later_segment_lost_is_taken_from_the_earlier_one(tmp_path: Path) -> None:
    folder = damaged.manifold(tmp_path / "r")
    original = damaged.by_number(folder.root, "status")
    flip(folder.root / STATUS / "records.000001.npy", BEGIN + 100 * WIDTH)  # of 2510 to 2809
    recovery = saved(folder.root)
    assert recovery.ok and [(one.first, one.last, one.saved) for one in recovery.torn] == [(2510, 2809, True)]
    assert damaged.by_number(Path(recovery.path), "status") == original


def test_a_segment_still_says_that_it_tells_losses_again(tmp_path: Path) -> None:
    folder = damaged.manifold(tmp_path / "r")
    path = folder.root / STATUS / "index.000001.npy"
    reseal(path, layout.INDEX_DTYPE, 0, layout.place(writer.UUID, "status", 1), flags=layout.INDEX_AGAIN)
    recovery = saved(folder.root)
    assert recovery.ok
    copied = tmp_path / "saved" / STATUS / "index.000001.npy"
    assert copied.read_bytes() == path.read_bytes()
    flip(folder.root / STATUS / "strings.000001.jsonl", 12)  # everything is sealed anew
    again = recover(folder.root, tmp_path / "again")
    assert np.load(tmp_path / "again" / STATUS / "index.000001.npy")["flags"].tolist()[:2] == [12, 8]
    assert fr.open(again.path).verify().ok


def test_gaps(tmp_path: Path) -> None:
    folder, channel = samples.small(tmp_path / "r")
    flip(channel.segments[0].path("gaps"), 256 + 16)
    recovery = saved(folder.root)
    assert [(one.file[-15:], one.start, one.stop) for one in recovery.torn] == [("gaps.000000.npy", 256, 304)]
    assert lost(recovery) == [(5, 7)]
    causes = fr.open(recovery.path)["status"].gaps[["seq", "count", "cause"]].tolist()
    assert causes == [(5, 3, 5), (12, 1, 4)]


def test_gap_rows_of_a_commit_that_failed_are_stale(tmp_path: Path) -> None:
    folder, channel = samples.small(tmp_path / "r")
    stale = (3, 9, 4, -7, START_NS, START_NS)
    channel.segments[0].commit(20, [], gaps=[stale], stages=("gaps",))
    recovery = saved(folder.root)
    assert -7 not in fr.open(recovery.path)["status"].gaps["code"]


def test_no_gaps(tmp_path: Path) -> None:
    folder, channel = samples.small(tmp_path / "r")
    channel.segments[0].path("gaps").unlink()
    recovery = saved(folder.root)
    assert len(numbers(recovery)) == 17 and lost(recovery) == [(5, 7)]
    assert any("is missing" in one.why for one in recovery.torn)


def test_a_damaged_text(tmp_path: Path) -> None:
    folder, channel = samples.small(tmp_path / "r")
    flip(channel.segments[0].path("strings"), 15)
    recovery = saved(folder.root)
    records = fr.open(recovery.path)["status"]
    assert records.decode()["url"][:8].tolist() == [
        None,
        "\ufffd",
        None,
        "\ufffd",
        None,
        *["\udcff\u20ac"] * 3,
    ]
    assert any("texts 1 are lost" in problem for problem in recovery.problems)


@pytest.mark.parametrize(("identifier", "made"), [(65_536, 65_536), (65_537, 3), (1_000_000, 3)])
def test_no_table_has_so_many_texts(tmp_path: Path, identifier: int, made: int) -> None:
    """Whatever id a whole record has, no more lines are made for it than a recorder's table holds."""
    folder, channel = samples.small(tmp_path / "r")
    channel.segments[0].commit(20, [status(20, url=3), status(21, url=identifier)])
    recovery = recover(folder.root, tmp_path / "saved")
    strings = Path(recovery.path, "channels/status/strings.000000.jsonl")
    assert strings.read_bytes().count(b"\n") == made
    assert recovery.channels["status"].records == 19
    told = [problem for problem in fr.open(recovery.path).verify().problems if "has no text" in problem]
    assert len(told) == (identifier > made)


def test_lines_that_ran_together(tmp_path: Path) -> None:
    """The end of a line is under no checksum: both lines are whole."""
    folder, channel = samples.small(tmp_path / "r")
    strings = channel.segments[0].path("strings")
    strings.write_bytes(strings.read_bytes().replace(b"}\n{", b"}\r{"))
    recovery = saved(folder.root)
    texts = set(fr.open(recovery.path)["status"].decode()["url"].tolist())
    assert texts == {None, "http://a", "\udcff\u20ac"}


def test_no_texts(tmp_path: Path) -> None:
    folder, channel = samples.small(tmp_path / "r")
    channel.segments[0].path("strings").unlink()
    recovery = saved(folder.root)
    assert set(fr.open(recovery.path)["status"].decode()["url"].tolist()) == {None, "\ufffd"}


def test_zones_are_made_anew(tmp_path: Path) -> None:
    folder = damaged.manifold(tmp_path / "r")
    whole = (folder.root / STATUS / "zones.000000.npy").read_bytes()
    flip(folder.root / STATUS / "zones.000000.npy", 300)
    recovery = saved(folder.root)
    assert recovery.ok
    assert (tmp_path / "saved" / STATUS / "zones.000000.npy").read_bytes() == whole


def test_lines_of_marks_sessions_and_stats(tmp_path: Path) -> None:
    folder, _ = samples.large(tmp_path / "r", close=False)
    for number in range(5):
        folder.line("marks.jsonl", mono_ns=number, text=f"mark {number}", kind="mark")
    path = folder.root / "marks.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    lines[1], lines[3] = b"x" + lines[1][1:], lines[3][:20] + b"\n"
    path.write_bytes(b"".join(lines) + b'{"mono_ns":9')
    recovery = saved(folder.root)
    marks = [mark.text for mark in fr.open(recovery.path).marks if mark.kind == "mark"]
    assert marks == ["valve", "mark 1", "mark 3", "mark 4"]
    assert {one.file for one in recovery.torn} == {"marks.jsonl"} and len(recovery.torn) == 3


def test_clocks(tmp_path: Path) -> None:
    folder, _ = samples.large(tmp_path / "r", close=False)
    flip(folder.root / "clocks.npy", 256 + 48)
    recovery = saved(folder.root)
    assert [(one.file, one.start) for one in recovery.torn] == [("clocks.npy", 304)]
    assert len(np.load(tmp_path / "saved" / "clocks.npy")) == 2


# What names things


@pytest.mark.parametrize("how", ["missing", "no uuid", "uuid left", "another's"])
def test_recording_json(tmp_path: Path, how: str) -> None:
    folder = damaged.manifold(tmp_path / "r")
    path = folder.root / "recording.json"
    data = path.read_bytes()
    if how == "missing":
        path.unlink()
    elif how == "no uuid":
        path.write_bytes(data.replace(writer.UUID.hex().encode(), b"?" * 32))
    elif how == "uuid left":
        path.write_bytes(data.replace(b'"host"', b'"hose"'))
    else:
        members = {"format": 1, "uuid": "ab" * 16, "host": "other", "timezone": "+01:00"}
        path.write_bytes(layout.seal_json(members, 0))
    recovery = saved(folder.root)
    assert not recovery.ok and len(recovery.problems) == 1 and "recording.json" in recovery.problems[0]
    before, after = contents(folder.root), contents(tmp_path / "saved")
    same = [name for name in after if before.get(name) == after[name]]
    assert len(same) == len(after) - 2  # closed.json counts the bytes of the other
    run = fr.open(recovery.path)
    assert layout.crc32c(bytes.fromhex(run.uuid)) == layout.crc32c(writer.UUID)
    assert (run.uuid == writer.UUID.hex()) is (how == "uuid left")
    if how == "no uuid":
        assert run.info["metadata"] == {"rig": 7} and run.info["host"] == "bench"
    if how == "missing":
        assert run.info["created_ns"] == 10**18


@pytest.mark.parametrize("file", ["recording.json", "channels/status/channel.json"])
def test_a_newline_that_is_gone(tmp_path: Path, file: str) -> None:
    damaged.manifold(tmp_path / "r")
    path = tmp_path / "r" / file
    size = path.stat().st_size
    os.truncate(path, size - 1)
    recovery = saved(tmp_path / "r")
    assert [(one.file, one.start, one.stop, one.saved) for one in recovery.torn] == [
        (file, size - 1, size, True)
    ]
    assert recovery.channels["status"].lost == ()


@pytest.mark.parametrize("rate", ["overwrite", "1/0", 2])
def test_a_rate_that_is_none(tmp_path: Path, rate: object) -> None:
    """Nothing opens such a channel, and so `verify` says so; what is saved of it has no rate."""
    damaged.manifold(tmp_path / "r")
    path = tmp_path / "r" / STATUS / "channel.json"
    members = json.loads(path.read_bytes())
    del members["crc"]
    members["options"]["rate"] = rate
    path.write_bytes(writer.sealed(members, writer.seed(writer.UUID, "status", 0, 0)))
    told = [
        ": rate " in problem or ": a rate " in problem
        for problem in fr.open(tmp_path / "r").verify().problems
    ]
    assert any(told)
    recovery = saved(tmp_path / "r")
    assert len(fr.open(recovery.path)["status"]) == recovery.channels["status"].records > 5000


def test_a_sealed_line_that_is_no_json(tmp_path: Path) -> None:
    damaged.manifold(tmp_path / "r", close=False)
    body = b'{"session":Infinity'
    line = body + b',"crc":"%08x"}\n' % writer.crc(writer.seed(writer.UUID, "", 0, 0), body)
    (tmp_path / "r" / "sessions.jsonl").write_bytes(line)
    assert [one.file for one in saved(tmp_path / "r").torn] == ["sessions.jsonl"]


def test_a_format_of_the_future(tmp_path: Path) -> None:
    folder = damaged.manifold(tmp_path / "r")
    (folder.root / "recording.json").write_bytes(layout.seal_json({"format": 2, "uuid": "ab" * 16}, 0))
    with pytest.raises(FormatError, match="update it"):
        recover(folder.root, tmp_path / "saved")
    assert not (tmp_path / "saved").exists()


def test_no_channel_json(tmp_path: Path) -> None:
    folder = damaged.manifold(tmp_path / "r")
    for name in ("status", "held"):
        (folder.root / "channels" / name / "channel.json").unlink()
    recovery = saved(folder.root)
    assert len(recovery.problems) == 2 and all("names and types alone" in one for one in recovery.problems)
    run = fr.open(recovery.path)
    records = run["status"]
    assert [field.name for field in records.schema.fields] == ["tick", "mode", "temp", "url"]
    np.testing.assert_array_equal(records["tick"], records.seq * 7)
    assert run["held"].store == "changes" and len(run["held"]) == 1024


def test_a_damaged_channel_json_that_fits(tmp_path: Path) -> None:
    folder = damaged.manifold(tmp_path / "r")
    path = folder.root / STATUS / "channel.json"
    path.write_bytes(path.read_bytes().replace(b'"thread":"main"', b'"thread":"mail"'))
    recovery = saved(folder.root)
    assert "fits the records" in recovery.problems[0]
    records = fr.open(recovery.path)["status"]
    assert records.decode()["mode"][1] == "IDLE" and len(records) == 5900
    assert (tmp_path / "saved" / STATUS / "records.000000.npy").read_bytes() == (
        folder.root / STATUS / "records.000000.npy"
    ).read_bytes()


def test_a_channel_that_nothing_describes(tmp_path: Path) -> None:
    folder = damaged.manifold(tmp_path / "r")
    (folder.root / STATUS / "channel.json").unlink()
    for number in range(3):
        flip(folder.root / STATUS / f"records.{number:06d}.npy", 3)
    recovery = saved(folder.root)
    assert list(recovery.channels) == ["held"]
    assert any("channels/status: is gone" in problem for problem in recovery.problems)
    (folder.root / "channels/held/channel.json").unlink()
    flip(folder.root / "channels/held/records.000000.npy", 3)
    with pytest.raises(RecordingError, match="no channel could be saved"):
        recover(folder.root, tmp_path / "none")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["r", "saved"]


def test_a_damaged_header_of_records(tmp_path: Path) -> None:
    folder = damaged.manifold(tmp_path / "r")
    flip(folder.root / STATUS / "records.000000.npy", 60)
    recovery = saved(folder.root)
    assert recovery.ok and [(one.start, one.stop, one.saved) for one in recovery.torn] == [(0, BEGIN, True)]
    assert len(numbers(recovery)) == 5900


def test_windows(tmp_path: Path) -> None:
    folder = damaged.manifold(tmp_path / "r")
    _, channel = samples.small(folder.root / "windows" / "fault")
    flip(channel.segments[0].path("records"), BEGIN)
    (folder.root / "windows" / "empty").mkdir()
    recovery = saved(folder.root)
    assert list(recovery.windows) == ["fault"] and lost(recovery.windows["fault"]) == [(0, 4)]
    assert not recovery.ok and any("windows/empty" in problem for problem in recovery.problems)
    assert fr.open(recovery.windows["fault"].path).verify().ok
    assert recovery.as_dict()["windows"]["fault"]["ok"] is False


# Around it


def test_windows_in_windows_without_end(tmp_path: Path) -> None:
    folder, _ = samples.small(tmp_path / "r")
    place, about = folder.root, (folder.root / "recording.json").read_bytes()
    for _ in range(20):
        place = place / "windows" / "w"
        place.mkdir(parents=True)
        (place / "recording.json").write_bytes(about)
    window, levels = recover(folder.root, tmp_path / "saved"), 0
    while window.windows:
        window, levels = window.windows["w"], levels + 1
    assert 0 < levels < 20
    assert any("too deep" in problem for problem in window.problems)


def test_a_recorder_that_begins_meanwhile(tmp_path: Path) -> None:
    """What it takes of shared memory would be in neither."""
    folder, _ = samples.small(tmp_path / "r", close=True)
    told: list[int] = []

    def resume(done: int, total: int) -> None:
        told.append(done)
        if len(told) > 1:
            return
        with fr.Recorder(folder.root, resume=True) as rec:
            rec.mark("here")

    with pytest.raises(RecordingError, match="went on with it meanwhile"):
        recover(folder.root, tmp_path / "saved", progress=resume)
    assert [path.name for path in tmp_path.iterdir()] == ["r"]
    assert saved(folder.root).ok


def test_refusals(tmp_path: Path) -> None:
    folder, _ = samples.small(tmp_path / "r")
    (tmp_path / "there").mkdir()
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    (tmp_path / "file").write_text("x")
    for dst, what in (
        ("there", "exists"),
        ("dangling", "exists"),
        ("r/x", "within"),
        ("no/where", "created"),
    ):
        with pytest.raises(RecordingError, match=what):
            recover(folder.root, tmp_path / dst)
    for src, what in (("nothing", "no such folder"), ("file", "is a file"), ("there", "holds no recording")):
        with pytest.raises(RecordingError, match=what):
            recover(tmp_path / src, tmp_path / "new")
    descriptor = writer.hold(folder.root)
    try:
        with pytest.raises(RecordingError, match="a recorder is writing to it"):
            recover(folder.root, tmp_path / "new")
    finally:
        os.close(descriptor)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dangling", "file", "r", "there"]


def test_what_is_left_of_a_killed_recover_is_not_touched(tmp_path: Path) -> None:
    folder, _ = samples.small(tmp_path / "r")
    (tmp_path / ".new.new").mkdir()
    (tmp_path / ".new.new" / "mine").write_text("x")
    with pytest.raises(RecordingError, match="another recover"):
        recover(folder.root, tmp_path / "new")
    assert (tmp_path / ".new.new" / "mine").read_text() == "x"


def test_an_interrupt_leaves_nothing(tmp_path: Path) -> None:
    folder = damaged.manifold(tmp_path / "r")

    def interrupt(done: int, total: int) -> None:
        if done > 100_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        recover(folder.root, tmp_path / "new", progress=interrupt)
    assert [path.name for path in tmp_path.iterdir()] == ["r"]


def not_here(old: bytes, new: bytes) -> None:
    """What a file system answers that cannot rename without replacing."""
    raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))


@pytest.mark.parametrize("atomic", [True, False])
def test_a_folder_that_comes_to_be_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, atomic: bool
) -> None:
    folder = damaged.manifold(tmp_path / "r")
    if not atomic:
        monkeypatch.setattr(fresh, "rename_new", not_here)
    assert recover(folder.root, tmp_path / "first").ok

    def intrude(done: int, total: int) -> None:
        (tmp_path / "new").mkdir(exist_ok=True)

    with pytest.raises(RecordingError, match="exists"):
        recover(folder.root, tmp_path / "new", progress=intrude)
    assert list((tmp_path / "new").iterdir()) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["first", "new", "r"]


def test_progress(tmp_path: Path) -> None:
    folder = damaged.manifold(tmp_path / "r")
    told: list[tuple[int, int]] = []
    recover(folder.root, tmp_path / "new", progress=lambda *one: told.append(one))
    assert told == sorted(told)
    assert all(done <= total for done, total in told) and told[-1][0] > told[-1][1] * 0.9


def test_links_are_not_followed(tmp_path: Path) -> None:
    folder = damaged.manifold(tmp_path / "r")
    secret = tmp_path / "secret"
    secret.write_bytes((folder.root / STATUS / "records.000000.npy").read_bytes())
    (folder.root / STATUS / "records.000000.npy").unlink()
    (folder.root / STATUS / "records.000000.npy").symlink_to(secret)
    (folder.root / "channels" / "more").symlink_to(folder.root / STATUS)
    (folder.root / "marks.jsonl").unlink()
    os.mkfifo(folder.root / "marks.jsonl")
    (folder.root / "recording.json").unlink()
    os.mkfifo(folder.root / "recording.json")
    recovery = recover(folder.root, tmp_path / "saved")
    assert fr.open(recovery.path).verify().ok
    assert lost(recovery) == [(0, 2499)]
    assert any("channels/more: is a link" in one for one in recovery.problems)
    assert any("marks.jsonl" in one and "no regular file" in one for one in recovery.problems)
    assert not any(path.is_symlink() for path in (tmp_path / "saved").rglob("*"))


def test_sparse_giants(tmp_path: Path) -> None:
    folder = damaged.manifold(tmp_path / "r", close=False)
    for name in ("records.000002.npy", "index.000002.npy", "gaps.000002.npy", "strings.000002.jsonl"):
        os.truncate(folder.root / STATUS / name, 1 << 40)
    for name in ("recording.json", "marks.jsonl", "channels/held/channel.json"):
        os.truncate(folder.root / name, 1 << 38)
    for name in ("index.000001.npy", "gaps.000001.npy", "zones.000001.npy"):
        patch(folder.root / STATUS / name, 1 << 40, b"x")
    recovery = recover(folder.root, tmp_path / "saved")
    assert fr.open(recovery.path).verify().ok
    assert numbers(recovery) == [*range(4000), *range(4100, 6000)]
    assert any("zeros" in one.why and one.stop == 1 << 40 for one in recovery.torn)
    assert fr.open(recovery.path).marks[0].text == "valve"


def test_a_sealed_lie(tmp_path: Path) -> None:
    """Rows that a wrong writer sealed are no reason to believe them."""
    folder = damaged.manifold(tmp_path / "r")
    base = layout.place(writer.UUID, "status", 0)
    path = folder.root / STATUS / "index.000000.npy"
    reseal(path, layout.INDEX_DTYPE, 2, base, t_min=7)
    reseal(path, layout.INDEX_DTYPE, 4, base, rows=2000)
    recovery = saved(folder.root)
    assert len(numbers(recovery)) == 5900


@pytest.mark.parametrize("how", ["block", "gap"])
def test_numbers_that_end_beyond_all_numbers(tmp_path: Path, how: str) -> None:
    folder, channel = samples.small(tmp_path / "r")
    lie = (2**62 - 4, 8, 1, 0, START_NS, START_NS)
    first = 2**62 - 4 if how == "block" else 20
    channel.segments[0].commit(first, [status(n) for n in range(20, 28)], gaps=[lie] * (how == "gap"))
    result = saved(folder.root)
    assert result.channels["status"].end == 28


def test_counts_of_gaps_that_fall(tmp_path: Path) -> None:
    """A reader would stop at such an index row, so no copy of it is written."""
    folder = damaged.manifold(tmp_path / "r")
    path = folder.root / STATUS / "index.000001.npy"
    reseal(path, layout.INDEX_DTYPE, 3, layout.place(writer.UUID, "status", 1), gap_rows=0)
    patch(folder.root / STATUS / "records.000002.npy", BEGIN + 5, b"?")  # a loss is told behind it
    assert len(numbers(saved(folder.root))) > 4000


# Whatever it is


@pytest.mark.parametrize("seed", range(40))
def test_random_damage(tmp_path: Path, seed: int) -> None:
    """Once: nothing is lost but what was damaged. Several times: nothing wrong, nothing lost in silence."""
    luck = random.Random(seed)
    root = tmp_path / "r"
    make = luck.choice((damaged.manifold, samples.small, samples.large))
    make(root, close=luck.random() < 0.5)
    names = list(fr.open(root))
    original = {name: damaged.by_number(root, name) for name in names}
    places = damaged.blocks(root)
    times = luck.choice((1, 1, 3))
    done = [damaged.damage(root, luck) for _ in range(times)]
    before = contents(root)
    salvage = luck.random() < 0.4
    try:
        recovery = recover(root, tmp_path / "saved", salvage=salvage)
    except RecordingError:
        assert times > 1 or len(names) == 1  # all that there was is gone
        assert [path.name for path in tmp_path.iterdir()] == ["r"]
        return
    assert contents(root) == before
    gone = damaged.check(recovery, original)
    if times == 1:
        path, start, stop = done[0]
        for name, missing in gone.items():
            hit = {
                n
                for channel, file, low, high, first, end in places
                if path == root / "channels" / name / file and channel == name and low < stop and high > start
                for n in range(first, end)
            }
            assert missing <= hit


@pytest.mark.parametrize("whole", [True, False])
def test_channels_that_are_gone_are_no_success(tmp_path: Path, whole: bool) -> None:
    root = samples.large(tmp_path / "r")[0].root
    shutil.rmtree(root / "channels" / "status" if whole else root / "channels")
    result = fr.recover(root, tmp_path / "saved")
    assert not result.ok
    wanted = ["channels/status: is gone, with 6,000 records, as closed.json counts"]
    wanted += [] if whole else ["channels/held: is gone, with 2,048 records, as closed.json counts"]
    assert sorted(result.problems) == sorted(wanted)
    saved = fr.open(tmp_path / "saved")
    assert (saved.problems, saved.verify().problems) == ([], [])
    with fr.Recorder(tmp_path / "saved", resume=True):
        pass
    (tmp_path / "saved" / "closed.json").unlink()
    assert fr.open(tmp_path / "saved").problems == []


# What is gone, or lost with a ring


def left(session: dict[str, object], name: str, why: str, *, newest: bool) -> Left:
    return Left(f"fastrec.0.{name}", name, session, None, why, Path("/r"), None, newest)


def unclosed(tmp_path: Path) -> writer.Folder:
    """Of the channels ``status`` and ``held``; of two sessions, the newer was not closed."""
    folder = damaged.manifold(tmp_path / "r", close=False)
    folder.session(1)
    return folder


def ringless_of(name: str, end: int) -> str:
    return (
        f"session 1 was not closed and left no ring of channel {name!r}: what was published after record"
        f" {end - 1:,} and not written is lost; nobody knows how many"
    )


@pytest.mark.parametrize("closed", [True, False])
def test_a_channel_with_an_empty_folder_is_gone(tmp_path: Path, closed: bool) -> None:
    """What tells of it knows better than to take it for one that was never recorded."""
    folder = damaged.manifold(tmp_path / "r", close=closed)
    for path in (folder.root / STATUS).iterdir():
        path.unlink()
    (folder.root / "channels" / "new").mkdir()
    if not closed:
        folder.line("stats.jsonl", mono_ns=START_NS, channel="status", published=6000)
    recovery = saved(folder.root)
    who = "as closed.json counts" if closed else "at least, as stats.jsonl says"
    assert recovery.problems == (f"channels/status: is gone, with 6,000 records, {who}",)
    assert [note for note in recovery.notes if note.startswith("channels/")] == [
        "channels/new: is empty, as a recorder leaves it that died early"
    ]
    assert list(recovery.channels) == ["held"]


def test_each_ring_is_of_one_channel_and_of_one_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is left alone is named; one of the newest session is there, so nothing was lost with it."""
    folder = unclosed(tmp_path)

    def left_rings(root: Path, sessions: list[dict[str, object]], names: list[str]) -> list[Left]:
        assert (root, names) == (folder.root, ["held", "status"])
        old = left(sessions[0], "status", "an old one", newest=False)
        return [old, left(sessions[1], "held", "a new one", newest=True)]

    monkeypatch.setattr(recovering, "left_rings", left_rings)
    recovery = saved(folder.root)
    assert recovery.problems == ("a new one", "an old one")
    assert [note for note in recovery.notes if "left no ring" in note] == [ringless_of("status", 6000)]
    marks = [mark.text for mark in fr.open(recovery.path).marks if mark.kind == "lost"]
    assert marks == [ringless_of("status", 6000)]


def test_what_was_lost_with_a_ring_is_marked_once(tmp_path: Path) -> None:
    """A mark that somebody made with the same words is another."""
    folder = unclosed(tmp_path)
    folder.line("marks.jsonl", mono_ns=START_NS, text=ringless_of("held", 1024), kind="lost")
    folder.line("marks.jsonl", mono_ns=START_NS, text=ringless_of("status", 6000), kind="mark")
    recovery = saved(folder.root)
    made = [(mark.kind, mark.text) for mark in fr.open(recovery.path).marks[1:]]
    assert made == [
        ("lost", ringless_of("held", 1024)),
        ("mark", ringless_of("status", 6000)),
        ("lost", ringless_of("status", 6000)),
    ]


def test_a_damaged_closed_json_was_written_all_the_same(tmp_path: Path) -> None:
    folder = damaged.manifold(tmp_path / "r")
    flip(folder.root / "closed.json", 30)
    recovery = saved(folder.root)
    assert any("closed.json: is damaged" in note for note in recovery.notes)
    assert not any("left no ring" in note for note in recovery.notes)


def test_a_channel_that_cannot_be_saved_hides_no_loss(tmp_path: Path) -> None:
    folder = unclosed(tmp_path)
    (folder.root / STATUS / "channel.json").unlink()
    for number in range(3):
        flip(folder.root / STATUS / f"records.{number:06d}.npy", 3)
    recovery = saved(folder.root)
    assert [note for note in recovery.notes if "left no ring" in note] == [ringless_of("held", 1024)]


@pytest.mark.parametrize("began", [True, False])
def test_what_is_left_of_a_segment_tells_that_it_began(tmp_path: Path, began: bool) -> None:
    """Of a session that recorded into no whole one; without it the channel rested."""
    folder = damaged.manifold(tmp_path / "r", close=False)
    folder.line("sessions.jsonl", session=1, start_ns=START_NS + 10**9, segments={"status": 3, "held": 1})
    if began:
        (folder.root / STATUS / "strings.000003.jsonl").touch()
    recovery = saved(folder.root)
    told = [note for note in recovery.notes if "left no ring" in note]
    assert told == [ringless_of("status", 6000)] * began
