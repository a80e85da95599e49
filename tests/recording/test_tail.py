"""Following what the oracle writes: every row once, in order, and every loss once."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from recording import samples, writer
from recording.samples import PERIOD, START_NS, is_status, status

from fastrec.errors import CorruptionError
from fastrec.recording import opening, reader, texts
from fastrec.records import Records
from fastrec.schema.gaps import OWN_NUMBERS, Cause

Following = Iterator[Records]


@pytest.fixture
def live(tmp_path: Path) -> Iterator[tuple[writer.Folder, writer.Channel]]:
    """`samples.small`, with a recorder's lock."""
    folder, channel = samples.small(tmp_path / "r")
    lock = writer.hold(folder.root)
    yield folder, channel
    os.close(lock)


def status_of(folder: writer.Folder) -> Records:
    return reader.open(folder.root)["status"]


def rows(start: int, stop: int) -> list[bytes]:
    return [status(n) for n in range(start, stop)]


def lost(seq: int, count: int, cause: Cause, at: int = 0) -> tuple[int, ...]:
    return seq, count, int(cause), 0, START_NS + (at or seq) * PERIOD, START_NS + (at or seq) * PERIOD


def told(parts: list[Records]) -> tuple[list[int], list[tuple[int, int, int]]]:
    """Numbers of the rows, each proved true, and the losses."""
    numbers = []
    for part in parts:
        for row, seq in zip(part.to_numpy(), part.seq.tolist(), strict=True):
            assert is_status(row, seq)
            numbers.append(seq)
    return numbers, [tuple(gap) for part in parts for gap in part.gaps[["seq", "count", "cause"]].tolist()]


# What comes


def test_rows_and_losses_behind_the_records(live: tuple[writer.Folder, writer.Channel]) -> None:
    folder, channel = live
    follow = status_of(folder).follow(timeout="0s")
    assert list(follow) == []
    segment = channel.segments[0]
    segment.commit(20, rows(20, 25))
    segment.commit(25, rows(25, 27), gaps=[lost(25, 4, Cause.MISSED)])
    assert told(list(follow)) == ([*range(20, 27)], [(25, 4, Cause.MISSED)])
    assert list(follow) == []
    segment.commit(27, [], gaps=[lost(27, 1, Cause.FAILED)])
    assert told(list(follow)) == ([], [(27, 1, Cause.FAILED)])
    segment.commit(30, rows(30, 31), gaps=[lost(27, 3, Cause.OVERWRITTEN)])
    assert told(list(follow)) == ([30], [(27, 3, Cause.OVERWRITTEN)])
    assert list(follow) == []


def test_across_rotation(live: tuple[writer.Folder, writer.Channel]) -> None:
    folder, channel = live
    follow = status_of(folder).follow(timeout="0s")
    channel.segments[0].commit(20, [status(20, url=3)], texts=["x"])
    second = channel.segment()
    assert told(list(follow))[0] == [20]
    channel.segments[0].commit(21, [status(21, url=3)])
    second.commit(22, [status(22, url=1)], texts=["y"])
    channel.segment().commit(23, rows(23, 24))
    parts = list(follow)
    assert told(parts) == ([21, 22, 23], [])
    # The same id is another text in each segment.
    assert [part.decode()["url"].tolist() for part in parts] == [["x"], ["y"], [None]]
    assert list(follow) == []


def test_an_empty_segment_hides_nothing_behind_it(live: tuple[writer.Folder, writer.Channel]) -> None:
    folder, channel = live
    follow = status_of(folder).follow(timeout="0s")
    for _ in range(3):
        channel.segment()
    channel.segments[-1].commit(20, rows(20, 22))
    assert told(list(follow))[0] == [20, 21]


def test_a_segment_that_fills_while_the_one_behind_it_is_looked_for(
    live: tuple[writer.Folder, writer.Channel], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, channel = live
    follow = status_of(folder).follow(timeout="0s")
    second = channel.segment()
    real = opening.open_file

    def fill(root: Path, *parts: str, **more: int) -> int:
        if parts[-1] == "records.000002.npy" and len(channel.segments) == 2:
            second.commit(20, rows(20, 30))
            channel.segment().commit(30, rows(30, 31))
        return real(root, *parts, **more)

    monkeypatch.setattr(opening, "open_file", fill)
    assert told(list(follow)) == ([*range(20, 31)], [])


def test_from_the_first_record_on(tmp_path: Path) -> None:
    folder, _ = samples.large(tmp_path / "r")
    records = status_of(folder)
    numbers, gaps = told(list(records[:0].follow()))
    assert (numbers, gaps) == (records.seq.tolist(), [(2500, 100, Cause.DISK)])


@pytest.mark.parametrize("place", [1, 699, 700, 1024, 2499, 2500, 2501, 3899, 3900, 5899, 5900])
def test_from_any_place_on(tmp_path: Path, place: int) -> None:
    folder, _ = samples.large(tmp_path / "r")
    records = status_of(folder)
    for part in (records[:place], records[place:place], records[place // 2 :][: place - place // 2]):
        numbers, gaps = told(list(part.follow()))
        assert numbers == records.seq.tolist()[place:]
        assert gaps == ([(2500, 100, Cause.DISK)] if place <= 2500 else [])


@pytest.mark.parametrize(
    ("place", "losses"), [(8, [(12, 1, Cause.FAILED)]), (9, [(12, 1, Cause.FAILED)]), (10, [])]
)
def test_losses_before_the_place_are_not_told_again(
    live: tuple[writer.Folder, writer.Channel], place: int, losses: list[tuple[int, int, int]]
) -> None:
    folder, channel = live
    records = status_of(folder)
    follow = records[:place].follow(timeout="0s")
    # One that lies before, and was committed after it was looked at, is told.
    channel.segments[0].commit(20, rows(20, 21), gaps=[lost(9, 1, Cause.MISSED)])
    wanted = sorted([*losses, (9, 1, Cause.MISSED)])
    assert told(list(follow)) == ([*records.seq.tolist()[place:], 20], wanted)


def test_it_ends_when_the_recording_is_closed(live: tuple[writer.Folder, writer.Channel]) -> None:
    folder, channel = live
    records = status_of(folder)
    channel.segments[0].commit(20, rows(20, 23))
    folder.close({"status": channel})
    follow = records.follow(poll="1ms", timeout="0s")
    assert told(list(follow))[0] == [20, 21, 22]


def test_it_ends_when_the_recorder_has_died(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, channel = samples.small(tmp_path / "r")
    lock = writer.hold(folder.root)
    follow = status_of(folder).follow(poll="1ms")

    def die(seconds: float) -> None:
        # A segment behind a number that is missing is found by the last look.
        channel.segment(5).commit(20, rows(20, 22))
        os.close(lock)

    monkeypatch.setattr("time.sleep", die)
    assert told(list(follow)) == ([20, 21], [])


def test_a_resume_goes_on(live: tuple[writer.Folder, writer.Channel]) -> None:
    folder, channel = live
    follow = status_of(folder).follow(timeout="0s")
    with channel.segments[0].path("index").open("ab") as file:
        file.write(b"torn")
    assert list(follow) == []
    channel.segment().commit(23, rows(23, 25), gaps=[lost(20, 3, Cause.OVERWRITTEN)])
    assert told(list(follow)) == ([23, 24], [(20, 3, Cause.OVERWRITTEN)])


# Retention


def remove(segment: writer.Segment, *kinds: str) -> None:
    for kind in kinds or ("records", "index", "gaps", "zones", "strings"):
        segment.path(kind).unlink()


@pytest.mark.parametrize("kinds", [(), ("records",)])
def test_what_retention_took_is_a_gap(
    live: tuple[writer.Folder, writer.Channel], kinds: tuple[str, ...]
) -> None:
    folder, channel = live
    follow = status_of(folder).follow(timeout="0s")
    channel.segments[0].commit(20, rows(20, 25))
    assert told(list(follow))[0] == [*range(20, 25)]
    channel.segments[0].commit(25, rows(25, 30))
    channel.segment().commit(30, rows(30, 40))
    channel.segment().commit(42, rows(42, 50), gaps=[lost(40, 2, Cause.OVERWRITTEN)])
    for segment in channel.segments[:2]:
        remove(segment, *kinds)
    (part,) = follow
    assert told([part]) == (
        [*range(42, 50)],
        [(25, 15, Cause.RETIRED), (40, 2, Cause.OVERWRITTEN)],
    )
    # From the last stamp that was read to the first that is there.
    assert part.gaps["t_first"][0] == START_NS + 24 * PERIOD
    assert part.gaps["t_last"][0] == START_NS + 40 * PERIOD
    # What is missing behind that is no retention.
    channel.segments[2].commit(51, rows(51, 52))
    assert told(list(follow)) == ([51], [(50, 1, Cause.DISK)])


def test_retention_before_and_after(live: tuple[writer.Folder, writer.Channel]) -> None:
    folder, channel = live
    channel.segment().commit(20, rows(20, 30))
    remove(channel.segments[0])
    records = status_of(folder)
    assert told(list(records[:0].follow(timeout="0s"))) == ([*range(20, 30)], [(0, 20, Cause.RETIRED)])
    follow = records.follow(timeout="0s")
    channel.segment().commit(30, rows(30, 31))
    remove(channel.segments[1])
    # What was read before it went is not lost.
    assert told(list(follow)) == ([30], [])


def test_all_segments_gone_and_a_new_one(live: tuple[writer.Folder, writer.Channel]) -> None:
    folder, channel = live
    follow = status_of(folder).follow(timeout="0s")
    remove(channel.segments[0])
    assert list(follow) == []
    channel.segment()
    assert list(follow) == []
    channel.segments[1].commit(33, rows(33, 34))
    assert told(list(follow)) == ([33], [(20, 13, Cause.RETIRED)])


def test_a_part_can_be_read_after_retention_took_it(live: tuple[writer.Folder, writer.Channel]) -> None:
    folder, channel = live
    follow = status_of(folder).follow(timeout="0s")
    channel.segments[0].commit(20, [status(20, url=3)], texts=["x"])
    part = next(follow)
    channel.segment().commit(21, rows(21, 22))
    remove(channel.segments[0])
    part._rows.spans[0].chunk.segment.stock.maps.clear()  # of many other records that were looked at
    assert told([part])[0] == [20]
    assert part.decode()["url"].tolist() == ["x"]
    assert told(list(follow))[0] == [21]


def test_a_segment_that_goes_while_it_is_looked_at(
    live: tuple[writer.Folder, writer.Channel], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, channel = live
    follow = status_of(folder).follow(timeout="0s")
    channel.segments[0].commit(20, rows(20, 30))
    channel.segment().commit(30, rows(30, 31))
    real = opening.open_file

    def retire_first(root: Path, *parts: str, **more: int) -> int:
        # After its index was read, before its records are.
        if parts[-1] == "gaps.000000.npy" and channel.segments[0].path("records").exists():
            remove(channel.segments[0], "records")
        return real(root, *parts, **more)

    monkeypatch.setattr(opening, "open_file", retire_first)
    assert told(list(follow)) == ([30], [(20, 10, Cause.RETIRED)])


# What a later segment replaces


def test_rows_written_again_come_once(live: tuple[writer.Folder, writer.Channel]) -> None:
    folder, channel = live
    follow = status_of(folder).follow(timeout="0s")
    gaps = [lost(22, 2, Cause.MISSED), lost(30, 5, Cause.MISSED), lost(30, 1, Cause.FAILED)]
    channel.segments[0].commit(20, rows(20, 30), gaps=gaps, durable=12)
    assert told(list(follow)) == ([*range(20, 30)], [tuple(gap[:3]) for gap in gaps])
    fresh = channel.segment()
    fresh.commit(17, rows(17, 25), gaps=gaps[:1])
    assert list(follow) == []
    fresh.commit(25, rows(25, 40), gaps=[*gaps[1:], lost(30, 7, Cause.MISSED, at=31)])
    assert told(list(follow)) == ([*range(30, 40)], [(30, 7, Cause.MISSED)])
    # Of too many losses that are told again, only their sum is.
    channel.segment().commit(35, rows(35, 45), gaps=[lost(36, 9, Cause.MISSED), lost(41, 3, Cause.MISSED)])
    assert told(list(follow)) == ([*range(40, 45)], [(41, 3, Cause.MISSED)])


def test_rows_written_again_that_were_not_read(live: tuple[writer.Folder, writer.Channel]) -> None:
    folder, channel = live
    records = status_of(folder)
    poisoned = channel.segments[0]
    poisoned.commit(20, [status(n, temp=-1.0) for n in range(20, 30)], gaps=[lost(24, 5, Cause.MISSED)])
    fresh = channel.segment()
    fresh.commit(20, rows(20, 40), gaps=[lost(24, 5, Cause.MISSED)])
    assert told(list(records.follow(timeout="0s"))) == ([*range(20, 40)], [(24, 5, Cause.MISSED)])


@pytest.mark.parametrize("damaged", [False, True])
def test_rows_that_are_not_yet_written_again(
    live: tuple[writer.Folder, writer.Channel], *, damaged: bool
) -> None:
    folder, channel = live
    follow, early = (status_of(folder).follow(timeout="0s") for _ in range(2))
    given_up = channel.segments[0]
    for seq in range(20, 40, 5):
        given_up.commit(seq, rows(seq, seq + 5))
    assert told(list(early))[0] == [*range(20, 40)]
    if damaged:
        with given_up.path("records").open("r+b") as file:
            file.seek(-32 * 10, os.SEEK_END)
            file.write(bytes(32 * 10))
    fresh = channel.segment()
    fresh.commit(22, rows(22, 25))
    assert told(list(follow))[0] == [*range(20, 30 if damaged else 40)]
    fresh.commit(25, rows(25, 42))
    assert told(list(follow))[0] == [*range(30 if damaged else 40, 42)]
    assert told(list(early))[0] == [40, 41]


def test_rows_that_were_damaged_and_never_written_again(tmp_path: Path) -> None:
    folder, channel = samples.small(tmp_path / "r")
    records = status_of(folder)
    given_up = channel.segments[0]
    given_up.commit(20, rows(20, 25))
    given_up.commit(25, rows(25, 30))
    with given_up.path("records").open("r+b") as file:
        file.seek(-32, os.SEEK_END)
        file.write(bytes(32))
    channel.segment().commit(20, rows(20, 22))
    assert told(list(records.follow())) == ([*range(20, 25)], [(25, 5, Cause.DISK)])


def test_what_was_read_is_not_told_as_lost(live: tuple[writer.Folder, writer.Channel]) -> None:
    folder, channel = live
    follow = status_of(folder).follow(timeout="0s")
    channel.segments[0].commit(20, rows(20, 30))
    assert told(list(follow))[0] == [*range(20, 30)]
    channel.segment().commit(35, rows(35, 36), gaps=[lost(22, 13, Cause.DISK)])
    assert told(list(follow)) == ([35], [(30, 5, Cause.DISK)])


def test_numbers_that_nobody_has_are_damage(live: tuple[writer.Folder, writer.Channel]) -> None:
    folder, channel = live
    follow = status_of(folder).follow(timeout="0s")
    channel.segments[0].commit(25, rows(25, 26))
    (part,) = follow
    assert part.gaps[["seq", "count", "cause", "code"]].tolist() == [(20, 5, Cause.DISK, 5)]


def test_damage_is_where_it_is_touched_and_ends_nothing(live: tuple[writer.Folder, writer.Channel]) -> None:
    folder, channel = live
    records = status_of(folder)
    follow, faults = records.follow(timeout="0s"), records.where(mode="FAULT").follow(timeout="0s")
    segment = channel.segments[0]
    segment.commit(20, rows(20, 25))
    with segment.path("records").open("r+b") as file:
        file.seek(-40, os.SEEK_END)
        file.write(b"\xaa")
    (part,) = follow
    with pytest.raises(CorruptionError, match="records 20 to 24"):
        part.to_numpy()
    with pytest.raises(CorruptionError, match="records 20 to 24"):
        next(faults)
    segment.commit(25, rows(25, 28))
    assert told(list(follow))[0] == [25, 26, 27]
    assert told(list(faults))[0] == [27]


def test_segments_beyond_six_digits(live: tuple[writer.Folder, writer.Channel]) -> None:
    folder, channel = live
    channel.segment(999_999).commit(20, rows(20, 21))
    follow = status_of(folder).follow(timeout="0s")
    assert list(follow) == []
    channel.segment(1_000_000).commit(21, rows(21, 22))
    assert told(list(follow))[0] == [21]


# What it costs


def test_a_look_reads_what_is_new(
    live: tuple[writer.Folder, writer.Channel], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, channel = live
    segment = channel.segments[0]
    for seq in range(20, 320):
        segment.commit(seq, rows(seq, seq + 1), texts=[f"text {seq}"] if seq % 2 else [])
    for seq in range(320, 340):
        segment = channel.segment()
        segment.commit(seq, rows(seq, seq + 1))
    follow = status_of(folder).follow(timeout="0s")
    assert list(follow) == []
    read: list[tuple[str, int]] = []
    real, into, names = os.pread, os.preadv, opening.folder_names

    def pread(descriptor: int, size: int, offset: int) -> bytes:
        data = real(descriptor, size, offset)
        read.append((os.readlink(f"/proc/self/fd/{descriptor}"), len(data)))
        return data

    def preadv(descriptor: int, buffers: list, offset: int) -> int:
        size = into(descriptor, buffers, offset)
        read.append((os.readlink(f"/proc/self/fd/{descriptor}"), size))
        return size

    monkeypatch.setattr(os, "pread", pread)
    monkeypatch.setattr(os, "preadv", preadv)
    monkeypatch.setattr(opening, "folder_names", lambda *parts: pytest.fail("listed") or names(*parts))
    assert list(follow) == []
    assert sum(size for _, size in read) == 0
    segment.commit(340, rows(340, 345))
    assert told(list(follow))[0] == [*range(340, 345)]
    assert sum(size for path, size in read if "index" in path) == 64
    assert {Path(path).name.split(".")[1] for path, _ in read} == {f"{segment.number:06d}"}


def test_texts_are_read_on_too(
    live: tuple[writer.Folder, writer.Channel], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, channel = live
    follow = status_of(folder).follow(timeout="0s")
    lines = []
    real = texts.read_lines

    def counted(*parts: object, **more: object) -> Iterator:
        for line in real(*parts, **more):
            lines.append(line)
            yield line

    monkeypatch.setattr(texts, "read_lines", counted)
    for seq in range(20, 40):
        channel.segments[0].commit(seq, [status(seq, url=seq - 17)], texts=[f"text {seq}"])
        (part,) = follow
        assert part.decode()["url"].tolist() == [f"text {seq}"]
    assert len([line for line in lines if "text" in line[1]]) == 22


# Anything at all


@pytest.mark.parametrize("seed", range(60))
def test_any_order_of_events(tmp_path: Path, seed: int) -> None:
    """Every number is told once, as a row or as lost; every loss without numbers is told once."""
    chance = random.Random(seed)
    folder = writer.Folder(tmp_path / "r")
    folder.session()
    channel = samples.status_channel(folder)
    lock = writer.hold(folder.root)
    follow = reader.open(folder.root)["status"].follow(timeout="0s")
    parts: list[Records] = []
    seen: list[tuple[list[int], list[tuple[int, int, int]]]] = []
    seq = durable = 0
    present: list[writer.Segment] = []
    since_durable: list[tuple[int, ...]] = []
    named, stamp = [], 0

    def commit(first: int, count: int, gaps: list[tuple[int, ...]]) -> None:
        segment = present[-1]
        room = 1024 - len(segment.stored) % 1024
        done = min(count, room)
        segment.commit(first, rows(first, first + done), gaps=gaps, durable=durable)
        if done < count:
            segment.commit(first + done, rows(first + done, first + count), durable=durable)

    for _ in range(60):
        event = chance.choice(["rows", "rows", "losses", "overwritten", "rotate", "retire", "poison", "look"])
        if event == "rotate" or not present:
            present.append(channel.segment())
        if event == "rows":
            count = chance.randrange(1, 400)
            commit(seq, count, [])
            seq += count
        elif event in ("losses", "overwritten"):
            count, stamp = chance.randrange(0, 5), stamp + 1
            gap = lost(seq, chance.randrange(1, 9), chance.choice([Cause.MISSED, Cause.FAILED]), at=stamp)
            if event == "overwritten":
                gap = lost(seq, chance.randrange(1, 9), Cause.OVERWRITTEN)
                seq += gap[1]
            named.append(gap[:3])
            since_durable.append(gap)
            commit(seq, count, [gap])
            seq += count
        elif event == "retire" and len(present) > 1:
            remove(present.pop(0), *chance.choice([(), ("records",)]))
        elif event == "poison" and seq:
            present.append(channel.segment())
            again = [gap for gap in since_durable if gap[0] >= durable]
            # What is named as lost has no rows to write again.
            begin = durable
            for gap in again:
                own = gap[2] in OWN_NUMBERS
                if gap[0] > begin:
                    commit(begin, gap[0] - begin, [])
                commit(gap[0] + gap[1] if own else gap[0], 0, [gap])
                begin = gap[0] + gap[1] if own else max(begin, gap[0])
            if seq > begin:
                commit(begin, seq - begin, [])
        elif event == "look":
            parts = list(follow)
            seen.append(told(parts))
        if chance.random() < 0.2:
            durable, since_durable = seq, [gap for gap in since_durable if gap[0] >= seq]
    if not seq:
        os.close(lock)
        return
    os.close(lock)
    seen.append(told(list(follow)))
    numbers = [number for found, _ in seen for number in found]
    assert numbers == sorted(set(numbers))
    gaps = [gap for _, found in seen for gap in found]
    own = [(start, count) for start, count, cause in gaps if cause in OWN_NUMBERS]
    there = sorted(numbers + [number for start, count in own for number in range(start, start + count)])
    assert there == list(range(len(there))) and len(there) == seq
    assert all(cause != Cause.DISK for _, _, cause in gaps)
    retired = [range(start, start + count) for start, count, cause in gaps if cause == Cause.RETIRED]
    got: dict[tuple[int, int], int] = {}
    for start, count, cause in gaps:
        if cause not in OWN_NUMBERS:
            got[start, cause] = got.get((start, cause), 0) + count
    wanted: dict[tuple[int, int], int] = {}
    for start, count, cause in named:
        if cause not in OWN_NUMBERS:
            wanted[start, cause] = wanted.get((start, cause), 0) + count
    for place, count in got.items():
        assert count <= wanted[place]
    if not retired:
        assert got == wanted


def test_many_readers_of_one_recording_have_own_places(live: tuple[writer.Folder, writer.Channel]) -> None:
    folder, channel = live
    records = status_of(folder)
    one, other = records.follow(timeout="0s"), records[:10].follow(timeout="0s")
    channel.segments[0].commit(20, rows(20, 22))
    assert told(list(one)) == ([20, 21], [])
    assert told(list(other)) == ([*range(13, 22)], [])
    assert np.all(records.seq == status_of(folder).seq[:17])
