"""A closed recording is opened by the ends of its indexes; what lies between is read when it is asked for."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from recording import samples, writer
from recording.samples import PERIOD, START_NS
from recording.test_verify import reseal

from fastrec.errors import CorruptionError, RecordingError
from fastrec.recording import channel as channels
from fastrec.recording import committed, layout, reader

HEADER = layout.header_size(layout.INDEX_DTYPE)
WIDTH = layout.INDEX_DTYPE.itemsize


@pytest.fixture
def root(tmp_path: Path) -> Path:
    samples.large(tmp_path / "r")
    return tmp_path / "r"


def index_of(root: Path, segment: int, name: str = "status") -> Path:
    return root / "channels" / name / f"index.{segment:06d}.npy"


def harm(path: Path, row: int, byte: int = 3) -> None:
    data = bytearray(path.read_bytes())
    data[HEADER + row * WIDTH + byte] ^= 1
    path.write_bytes(data)


def no_index(monkeypatch: pytest.MonkeyPatch) -> None:
    def read_index(*args: object) -> None:
        raise AssertionError("the index was read whole")

    monkeypatch.setattr(committed, "read_index", read_index)


def test_no_row_between_the_ends_is_read(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    no_index(monkeypatch)
    run = reader.open(root)
    assert {name: len(run[name]) for name in run} == {"status": 5900, "held": 2048}
    assert run["status"].gaps[["seq", "count", "cause"]].tolist() == [(2500, 100, 5)]


def test_segments_outside_a_window_are_not_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many segments a window, or a time, is found by the ends of their indexes alone."""
    root, made = tmp_path / "r", samples.status_channel

    def steady(folder: writer.Folder) -> writer.Channel:
        channel = made(folder)
        channel.tells_steady = True
        return channel

    monkeypatch.setattr(samples, "status_channel", steady)
    samples.large(root)
    records = reader.open(root)["status"]
    for path in (root / "channels" / "status").glob("*.00000[02].*"):
        path.unlink()
    first, last = (START_NS + seq * PERIOD for seq in (2600, 3999))
    for time, seq in ((first, 2600), (first + 7 * PERIOD + 1, 2607), (last, 3999), (last + 1, 3999)):
        assert records.at(time).seq.tolist() == [seq]
    for begin, end, numbers in (
        (first, last + 1, [*range(2600, 4000)]),
        (first + 1, first + PERIOD, []),
        (first + 1, first + PERIOD + 1, [2601]),
        (last - PERIOD, last, [3998]),
        (last, last + 1, [3999]),
    ):
        assert records.between(begin, end).seq.tolist() == numbers, (begin, end)
    assert len(records) == 5900
    with pytest.raises(RecordingError, match="is gone"):
        records.at(first - PERIOD * 500).to_numpy()


def test_the_same_as_by_the_whole_index(root: Path) -> None:
    run = reader.open(root)
    whole = {name: (channel, content) for name, channel, content in run.contents()}
    for name, (channel, content) in whole.items():
        brief = channel.read(content.end, START_NS, brief=True)
        for one, other in zip(brief.segments, content.segments, strict=True):
            assert (one.read, one.length, one.end) == (other.read, other.length, other.end)
            assert one.first == other.first
        assert brief.gaps.tolist() == content.gaps.tolist()
        spans = [[(c.first_seq, c.start, c.stop) for c in found.chunks] for found in (brief, content)]
        assert spans[0] == spans[1]
        records = run[name]
        assert records.seq.tolist() == [
            seq for chunk in content.chunks for seq in chunk.numbers(0, len(chunk)).tolist()
        ]


def test_what_is_incomplete_is_read_whole(tmp_path: Path) -> None:
    """A hole within a segment, rows that no index row tells of, a header that counts less."""
    samples.small(tmp_path / "hole", close=True)
    assert reader.open(tmp_path / "hole")["status"].seq.tolist() == [*range(5), *range(8, 20)]
    folder, channels = samples.large(tmp_path / "rest")
    segment = channels["status"].segments[1]
    writer.append(segment.path("records"), b"x" * 32)
    assert len(reader.open(folder.root)["status"]) == 5900
    folder, channels = samples.large(tmp_path / "fewer")
    writer.set_count(channels["status"].segments[1].path("index"), 1)
    assert len(reader.open(folder.root)["status"]) == 5900


def test_damage_between_the_ends_shows_when_it_is_touched(root: Path) -> None:
    rows = np.load(index_of(root, 2))
    assert len(rows) > 2
    harm(index_of(root, 2), 1)
    before = 3900 + int(rows["rows"][0])
    run = reader.open(root)
    records = run["status"]
    assert len(records) == 5900
    assert records.seq[before - 1] == records[before - 1 : before].seq[0]
    samples_read = records[:before].to_numpy()
    assert all(
        samples.is_status(row, seq)
        for row, seq in zip(samples_read, records.seq[:before].tolist(), strict=True)
    )
    with pytest.raises(CorruptionError, match=r"index\.000002\.npy: row 1 does not match its checksum"):
        records[before : before + 1].to_numpy()
    with pytest.raises(CorruptionError, match=r"index\.000002\.npy: row 1 .* cannot be read"):
        records.between(START_NS + 5000 * PERIOD, None)
    assert any("index.000002.npy: row 1" in line for line in run.problems)
    assert not run.verify().ok


def test_records_that_were_cut_off_show_at_once(root: Path) -> None:
    path = root / "channels" / "status" / "records.000002.npy"
    with open(path, "rb+") as file:
        file.truncate(path.stat().st_size - 32)
    rows = np.load(index_of(root, 2))
    assert len(reader.open(root)["status"]) == 5900 - int(rows["rows"][-1])


@pytest.mark.parametrize("byte", [3, 17, 63])
@pytest.mark.parametrize("row", [0, -1])
def test_damage_of_an_end_shows_at_once(root: Path, row: int, byte: int) -> None:
    rows = np.load(index_of(root, 2))
    harm(index_of(root, 2), row % len(rows), byte)
    left = 3900 + (0 if row == 0 else int(rows["rows"][:-1].sum()))
    assert len(reader.open(root)["status"]) == left


def test_a_hostile_row_between_is_none_that_counts(root: Path) -> None:
    """It has its checksum, and claims what its neighbours have."""
    path = index_of(root, 2)
    rows = np.load(path)
    base = layout.place(writer.UUID, "status", 2)
    rows["first_seq"][1] += 3
    data = bytearray(path.read_bytes())
    data[HEADER:] = layout.seal_rows(rows, base).tobytes()
    path.write_bytes(data)
    records = reader.open(root)["status"]
    first = 3900 + int(rows["rows"][0])
    for start in (first, first + 1, first + int(rows["rows"][1]) - 1):
        with pytest.raises(CorruptionError, match="numbers that blocks before it have"):
            records[start : start + 1].to_numpy()


@pytest.mark.parametrize("rows", [1025, 2**32 - 1])
@pytest.mark.parametrize("place", [0, -1])
def test_an_end_that_claims_what_cannot_be(tmp_path: Path, place: int, rows: int) -> None:
    """It has its checksum; the headers count as many records as it says."""
    folder = writer.Folder(tmp_path / "r")
    folder.session()
    channel = samples.status_channel(folder)
    segment = channel.segment()
    for first in range(0, 30, 10):
        segment.commit(first, [samples.status(n) for n in range(first, first + 10)])
    folder.close({"status": channel})
    path, base = index_of(tmp_path / "r", 0), layout.place(writer.UUID, "status", 0)
    index = np.load(path)
    index["rows"][place] = rows
    data = bytearray(path.read_bytes())
    data[HEADER:] = layout.seal_rows(index, base).tobytes()
    path.write_bytes(data)
    run = reader.open(tmp_path / "r")
    records, whole = run["status"], 0 if place == 0 else 20
    assert len(records) == whole and run.problems
    assert len(records.where("tick >= 0")) == len(records.to_numpy()) == whole


def test_losses_between_segments_are_told_as_by_the_whole_index(tmp_path: Path) -> None:
    """A gap without numbers where the next segment begins: where that tells losses again, its commit has to
    be looked up, damaged or not.
    """
    for again, harmed in ((0, False), (0, True), (layout.INDEX_AGAIN, False), (layout.INDEX_AGAIN, True)):
        folder = writer.Folder(tmp_path / f"r{again}{harmed}")
        folder.session()
        channel = samples.status_channel(folder)
        for number, (start, stop) in enumerate(((0, 30), (30, 60))):
            segment = channel.segment()
            for first in range(start, stop, 10):
                missed = (first + 10, 2, 3, 0, START_NS + first * PERIOD, START_NS + (first + 10) * PERIOD)
                segment.commit(first, [samples.status(n) for n in range(first, first + 10)], gaps=[missed])
            assert segment.number == number
        folder.close({"status": channel})
        place = layout.place(writer.UUID, "status", 1)
        reseal(index_of(folder.root, 1), layout.INDEX_DTYPE, 0, place, flags=again)
        if harmed:
            harm(index_of(folder.root, 0), 1)
        gaps = reader.open(folder.root)["status"].gaps
        there = [(10, 2, 3), (20, 2, 3), (30, 2, 3), (40, 2, 3), (50, 2, 3), (60, 2, 3)]
        found = gaps[["seq", "count", "cause"]].tolist()
        assert (found == there) != (again and harmed) and ((10, 20, 5) in found) == bool(again and harmed)


def test_a_segment_that_went_before_its_index_was_read(root: Path) -> None:
    records = reader.open(root)["status"]
    for path in (root / "channels" / "status").glob("*.000000.*"):
        path.unlink()
    with pytest.raises(RecordingError, match="retention may have removed it"):
        records[:10].to_numpy()
    with pytest.raises(RecordingError, match="retention may have removed it"):
        records.between(None, START_NS + 5 * PERIOD)


def test_what_a_live_writer_adds_later_is_not_in_it(tmp_path: Path) -> None:
    folder, channels = samples.large(tmp_path / "r", close=False)
    lock = writer.hold(folder.root)
    segment = channels["status"].segments[-1]
    segment.raise_counts()
    records = reader.open(folder.root)["status"]
    segment.commit(6000, [samples.status(n) for n in range(6000, 6010)])
    assert len(records) == len(records.to_numpy()) == 5900
    os.close(lock)


def test_after_a_crash_the_index_is_read_whole(tmp_path: Path) -> None:
    """A loss of power may have taken any row that was not durable."""
    folder, channels = samples.large(tmp_path / "r", close=False)
    for segment in channels["status"].segments:
        segment.raise_counts()
    rows = np.load(index_of(folder.root, 2))
    harm(index_of(folder.root, 2), 1)
    assert len(reader.open(folder.root)["status"]) == 3900 + int(rows["rows"][0])


def test_a_count_that_hides_a_hole(tmp_path: Path) -> None:
    """As many records as numbers, by a header that no checksum covers; none is told under another number."""
    run = reader.open(samples.miscounted(tmp_path / "r").root)
    records = run["status"]
    assert all(samples.is_status(row, seq) for seq, row in enumerate(records[:10].to_numpy()))
    for wrong in (records[10:12], records[25:26]):
        with pytest.raises(CorruptionError, match="row 1 does not go on with the number before"):
            wrong.to_numpy()
    assert any("the header counts 40 rows" in line for line in run.problems)


def test_damage_among_losses_at_the_end(tmp_path: Path) -> None:
    """Every record can be read, but not who told which loss: that is asked of the whole index."""
    folder = writer.Folder(tmp_path / "r")
    folder.session()
    channel = samples.status_channel(folder)
    segment = channel.segment()
    segment.commit(0, [samples.status(n) for n in range(100)])
    for first in (0, 6):
        lost = (100, 5, 4, -1, START_NS + first, START_NS + first + 1)
        segment.commit(100, [], gaps=[lost], stamp=START_NS + 100)
    channel.segment().commit(100, [samples.status(n) for n in range(100, 200)])
    folder.close({"status": channel})
    assert len(reader.open(folder.root)["status"]) == 200
    harm(index_of(folder.root, 0), 1)
    assert reader.open(folder.root)["status"].seq.tolist() == list(range(200))


def test_retention_that_is_quicker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest segment goes after the ends of its index were read, and before the rest is needed."""
    folder = writer.Folder(tmp_path / "r")
    folder.session()
    channel = samples.status_channel(folder)
    for number in range(1, 4):
        segment = channel.segment(number)
        segment.commit(number * 100, [samples.status(n) for n in range(number * 100, number * 100 + 100)])
        segment.raise_counts()
    lock = writer.hold(folder.root)
    settle = channels.settle

    def slow(segments: list) -> tuple:
        for path in channel.path.glob("*.000001.*"):
            path.unlink()
        return settle(segments)

    monkeypatch.setattr(channels, "settle", slow)
    records = reader.open(folder.root)["status"]
    assert records.seq.tolist() == list(range(200, 400))
    assert records.gaps[["seq", "count", "cause"]].tolist() == [(0, 200, 7)]
    os.close(lock)
