"""Blocks of a segment by number and by time, found in its index or in all of it, against plain Python."""

from __future__ import annotations

import bisect
import os
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from recording import samples, test_outline
from recording.pieces import Made, made

from fastrec.errors import CorruptionError, RecordingError
from fastrec.recording import blocks, opening, reader, segment
from fastrec.recording.chunk import SegmentChunk
from fastrec.recording.opening import GoneError
from fastrec.recording.segment import Segment

pytestmark = pytest.mark.once  # a long way through code that is the same wherever the package lies

KINDS = [("every", "steady"), ("every", "falling"), ("changes", "steady"), ("changes", "falling")]
LEAST, MOST = -(2**63), 2**63 - 1


@pytest.fixture(params=KINDS, ids="-".join)
def kind(request: pytest.FixtureRequest) -> dict[str, str]:
    return dict(zip(("store", "times"), request.param, strict=True))


@pytest.fixture
def no_index(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody reads an index whole."""

    def whole(*_: object) -> None:
        raise AssertionError("the index was read whole")

    test_outline.no_index(monkeypatch)
    monkeypatch.setattr(segment.Segment, "blocks", property(whole))


def touched(one: Made, start: int, stop: int) -> list[tuple[int, int]]:
    return [(low, high) for low, high in one.blocks if low < stop and start < high]


@pytest.mark.parametrize("brief", [True, False])
def test_the_blocks_of_some_rows(tmp_path: Path, kind: dict[str, str], brief: bool) -> None:
    luck = random.Random(str(kind))
    for turn in range(4):
        one = made(tmp_path / f"{turn}", luck, **kind)
        assert one.segment(brief=brief).length == len(one.rows)
        for _ in range(40):
            starts, stops = one.ranges(luck, luck.choice((1, 1, 2, 4, 12)))
            near = one.segment(brief=brief).near(starts, stops)
            lows, highs = near.of(starts, stops)
            for start, stop, low, high in zip(
                *map(np.ndarray.tolist, (starts, stops, lows, highs)), strict=True
            ):
                assert (low, high) == tuple(int(place) for place in near.of(start, stop))
                some, at = near.index[low:high], near.at[low:high]
                spans = zip(at.tolist(), (at + some["rows"]).tolist(), some["rows"].tolist(), strict=True)
                assert [(begin, end) for begin, end, rows in spans if rows] == touched(one, start, stop)
                assert (some["first_seq"] == at + one.begin).all()


def test_of_a_few_rows_no_more_is_read(
    tmp_path: Path, kind: dict[str, str], no_index: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A few ranges, or few among many blocks: those from the first to the last row of each, and no other."""
    luck = random.Random(str(kind))
    one = made(tmp_path / "r", luck, **kind, commits=60)
    for turn in range(100):
        if turn == 50:
            monkeypatch.setattr(blocks, "_WORTH", 4)
        starts, stops = one.ranges(luck, luck.choice((1, 2, 4)) if turn < 50 else 15)
        near = one.segment().near(starts, stops)
        due = {block for pair in zip(starts, stops, strict=True) for block in touched(one, *pair)}
        there = zip(near.at.tolist(), (near.at + near.index["rows"]).tolist(), strict=True)
        assert [span for span in there if span[0] < span[1]] == sorted(due)
        for start, stop in zip(starts.tolist(), stops.tolist(), strict=True):
            assert one.segment().rows(start, stop).tobytes() == b"".join(one.rows[start:stop])


def test_many_searches_are_as_many_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At some point it is quicker to read the index, of which nothing is asked of the file any more."""
    luck = random.Random(5)
    one = made(tmp_path / "r", luck, commits=80)
    searches = []
    for name in ("search", "pick"):
        real = getattr(blocks, name)
        monkeypatch.setattr(blocks, name, lambda *a, real=real: searches.append(a) or real(*a))
    whole = one.segment()
    for _ in range(200):
        start = luck.randrange(len(one.rows))
        assert whole.rows(start, start + 1).tobytes() == one.rows[start]
        found = whole.block_behind(luck.choice(one.stamps))
        assert found is None or found in one.blocks or found[0] == found[1]
    assert 0 < len(searches) <= 2 * segment._SEARCHES


def test_what_was_found_last_is_not_searched_for_again(
    tmp_path: Path, kind: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor is a row read again: who looks once often looks beside it next."""
    one = made(tmp_path / "r", random.Random(9), **kind, commits=80)
    searches, read = [], []
    monkeypatch.setattr(blocks, "pick", lambda *a, real=blocks.pick: searches.append(a) or real(*a))
    monkeypatch.setattr(
        Segment, "_array", lambda *a, real=Segment._array, **k: read.append(a) or real(*a, **k)
    )
    chunk = one.chunk(0, len(one.rows))
    for begin, end in one.blocks[10:60:7]:
        assert chunk.rows(begin, begin + 1).tobytes() == one.rows[begin]
        before = len(searches), len(read)
        for place in range(begin, end):
            near = chunk.segment.near(np.array([place]), np.array([place + 1]))
            low, high = near.of(place, place + 1)
            assert high - low == 1 and near.at[low] == begin
            assert chunk.at(np.array([place])).tobytes() == one.rows[place]
            assert chunk.at(np.array([place]), "mono_ns").tolist() == [one.stamps[place]]
        assert (len(searches), len(read)) == before
    assert len(searches) >= len(read) > 4


def test_many_ranges_and_wide_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = made(tmp_path / "r", random.Random(6), commits=200, most=3)
    count = len(one.rows)
    for many in (2, 30, 512):
        monkeypatch.setattr(blocks, "_MANY", many)
        for start, stop in ((0, count), (1, count - 1), (5, 60), (7, 8)):
            part = one.segment()
            assert part.rows(start, stop).tobytes() == b"".join(one.rows[start:stop])
            rows = [row for row, (at, size, *_) in enumerate(one.index) if at < stop and start < at + size]
            assert ("blocks" in vars(part)) == (rows[-1] - rows[0] >= many)


def test_of_more_than_are_found_none_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However large the blocks, such a range has more: the whole index is read at once."""
    one = made(tmp_path / "r", random.Random(6), commits=200, most=1024)
    found = []
    monkeypatch.setattr(blocks, "pick", lambda *a, real=blocks.pick: found.append(a) or real(*a))
    monkeypatch.setattr(blocks, "_MANY", 3)
    assert one.segment().rows(0, 3 * 1024 + 1).tobytes() == b"".join(one.rows[: 3 * 1024 + 1])
    assert found == []
    assert one.segment().rows(7, 8).tobytes() == one.rows[7]
    assert len(found) == 1


def test_the_block_of_a_time(tmp_path: Path, kind: dict[str, str]) -> None:
    """The first index row that reaches it; none is named where times fall."""
    luck = random.Random(str(kind))
    seen = set()
    for turn in range(8):
        one = made(tmp_path / f"{turn}", luck, **kind, commits=luck.choice((3, 30)), most=8)
        seen.add(one.steady)
        assert one.segment().steady == one.steady
        assert not one.segment(brief=False).steady
        size = len(one.rows)
        for time in sorted({edge + by for _, _, *edges in one.index for edge in edges for by in (-1, 0, 1)}):
            due = next(((at, at + rows) for at, rows, _, most in one.index if most >= time), (size, size))
            assert one.segment().block_behind(time) == (due if one.steady else None)
            assert one.segment(brief=False).block_behind(time) is None
    assert seen == ({True} if kind["times"] == "steady" else {False, True}) or seen == {False}


def pieces_of(luck: random.Random, one: Made) -> list[tuple[int, int]]:
    """All of it, what begins or ends with its blocks, and any part."""
    size = len(one.rows)
    edges = sorted({edge for block in one.blocks for edge in block})
    some = [(0, size), (0, 1), (size - 1, size)]
    for among in (edges, range(size + 1)):
        for _ in range(3):
            low, high = sorted(luck.choices(among, k=2))
            some += [(low, high)] if low < high else []
    return some


@pytest.mark.parametrize("brief", [True, False])
def test_a_piece_of_a_segment(tmp_path: Path, kind: dict[str, str], brief: bool) -> None:
    """Its first and last stamp, whether any falls, and where a time is."""
    luck = random.Random(str(kind))
    ordered = set()
    for turn in range(3):
        one = made(tmp_path / f"{turn}", luck, **kind, commits=(3, 25, 12)[turn], most=8)
        for start, stop in pieces_of(luck, one):
            stamps = one.stamps[start:stop]

            def chunk(one: Made = one, start: int = start, stop: int = stop):
                return one.chunk(start, stop, brief=brief)

            assert (chunk().t_first, chunk().t_last) == (stamps[0], stamps[-1])
            inner = [
                block for block in one.index if block[1] and start < block[0] + block[1] and block[0] < stop
            ]
            assert chunk().index_first == min(least for _, _, least, _ in inner)
            assert chunk().index_last == max(most for *_, most in inner)
            known = chunk().ordered
            ordered.add(known)
            assert not known or stamps == sorted(stamps)
            assert known or not one.steady
            if kind["store"] == "every" and {start, stop} <= {edge for block in one.blocks for edge in block}:
                assert known == (stamps == sorted(stamps))
            if known:
                for time in {
                    near
                    for stamp in stamps[:: len(stamps) // 8 + 1]
                    for near in (stamp - 1, stamp, stamp + 1)
                }:
                    assert chunk().find(time) == bisect.bisect_left(stamps, time)
                for time in (min(stamps) - 9, max(stamps) + 9, LEAST, MOST):
                    assert chunk().find(time) == bisect.bisect_left(stamps, time)
    assert ordered == {True} if kind["times"] == "steady" else ordered == {False, True}


def test_what_an_index_says_of_times(tmp_path: Path, kind: dict[str, str]) -> None:
    luck = random.Random(str(kind))
    one = made(tmp_path / "r", luck, **kind)
    for start, stop in pieces_of(luck, one):
        low, high = sorted(luck.sample(range(stop - start + 1), 2))
        times = one.chunk(start, stop).times(low, high)
        blocks = touched(one, start + low, start + high)
        assert list(zip(times.starts.tolist(), times.stops.tolist(), strict=True)) == [
            (begin - start, end - start) for begin, end in blocks
        ]
        for place, (begin, end) in enumerate(blocks):
            stamps, ends = one.stamps[begin:end], one.ends[begin:end]
            assert (times.least[place], times.most[place]) == (min(stamps), max(ends))
            assert bool(times.falls[place]) == (stamps != sorted(stamps))


def test_picked_rows_and_parts_of_a_piece(tmp_path: Path, kind: dict[str, str]) -> None:
    luck = random.Random(str(kind))
    one = made(tmp_path / "r", luck, **kind, commits=60)
    for start, stop in pieces_of(luck, one):
        count = luck.randint(1, min(20, stop - start))
        places = np.array(sorted(luck.sample(range(stop - start), count)))
        assert one.chunk(start, stop).at(places).tobytes() == b"".join(one.rows[start + at] for at in places)
        assert one.chunk(start, stop).at(places, "mono_ns").tolist() == [
            one.stamps[start + at] for at in places
        ]
        low, high = sorted(luck.sample(range(stop - start + 1), 2))
        told = []
        for part in one.chunk(start, stop).parts(np.array([low]), np.array([high])):
            for begin, first, last in zip(part.begins, part.starts, part.stops, strict=True):
                told += [
                    (first + by, part.array[begin + by : begin + by + 1].tobytes())
                    for by in range(last - first)
                ]
        assert told == [(at, one.rows[start + at]) for at in range(low, high)]
        assert not list(one.chunk(start, stop).parts(np.array([], int), np.array([], int)))


def test_stamps_that_the_index_tells(tmp_path: Path, kind: dict[str, str]) -> None:
    """With which a block begins, and ends if its rows are no holds; all rows are damaged."""
    luck = random.Random(str(kind))
    one = made(tmp_path / "r", luck, **kind, commits=40, most=9)
    size, width = len(one.rows), len(one.rows[0])
    begin = one.path("records").stat().st_size - width * size
    in_order = [
        (low, high) for low, high in one.blocks if one.stamps[low:high] == sorted(one.stamps[low:high])
    ]
    edges = {low for low, _ in in_order}
    edges |= {high - 1 for _, high in in_order if kind["store"] == "every"}
    assert 0 < len(edges) < size
    with one.spoiled("records", begin, b"".join(bytes(byte ^ 1 for byte in row) for row in one.rows)):
        for place in range(size):
            chunk, asked = one.chunk(0, size, brief=luck.random() < 0.5), np.array([place])
            if place in edges:
                assert chunk.at(asked, "mono_ns").tolist() == [one.stamps[place]]
            else:
                with pytest.raises(CorruptionError, match="do not match"):
                    chunk.at(asked, "mono_ns")
        many = np.array(sorted(edges))
        stamps = [one.stamps[place] for place in many]
        assert one.chunk(0, size).at(many, "mono_ns").tolist() == stamps


@pytest.mark.parametrize("start", [LEAST, LEAST + 1, MOST - 20])
def test_the_ends_of_all_times(tmp_path: Path, start: int) -> None:
    luck = random.Random(start)
    for turn in range(6):
        one = made(tmp_path / f"{turn}", luck, start=start, commits=8, most=3, steps=(0, 0, 0, 1))
        for time in (LEAST - 10, LEAST - 1, LEAST, LEAST + 1, LEAST + 2, MOST - 1, MOST, MOST + 1, MOST + 2):
            for brief in (True, False):
                whole = one.chunk(0, len(one.rows), brief=brief)
                assert whole.find(time) == bisect.bisect_left(one.stamps, time), (time, brief)


def test_questions_of_a_few_rows_read_no_index(tmp_path: Path, no_index: None) -> None:
    one = made(tmp_path / "r", random.Random(1), commits=200)
    size = len(one.rows)

    def records() -> reader.Records:
        return reader.open(one.root)[one.name]

    for start, stop in ((0, 1), (40, 70), (size - 3, size), (7, size - 7)):
        assert records()[start:stop].to_numpy().tobytes() == b"".join(one.rows[start:stop])
    assert records().last(5).to_numpy().tobytes() == b"".join(one.rows[-5:])
    for time in one.stamps[::40]:
        place = bisect.bisect_right(one.stamps, time)
        assert records().at(time).to_numpy().tobytes() == one.rows[place - 1]
        begin, end = (bisect.bisect_left(one.stamps, when) for when in (time, time + 5_000))
        assert records().between(time, time + 5_000).to_numpy().tobytes() == b"".join(one.rows[begin:end])


# Damage


def read(one: Made, start: int, stop: int) -> bytes | None:
    """Rows, or None if an error says that they cannot be read."""
    try:
        return one.segment().rows(start, stop).tobytes()
    except CorruptionError:
        return None


def test_damage_of_an_index_row_costs_no_more_than_what_is_behind(tmp_path: Path) -> None:
    """Its block never comes; those before it always, those behind it where it is not in the way."""
    one = made(tmp_path / "r", random.Random(2), commits=24, most=5)
    behind = 0
    for damaged in range(1, len(one.index) - 1):
        with one.damaged(damaged, damaged % 64):
            for row, (at, rows, *_) in enumerate(one.index):
                if rows:
                    found = read(one, at, at + rows)
                    assert found in (None, b"".join(one.rows[at : at + rows]))
                    assert row >= damaged or found is not None
                    assert row != damaged or found is None
                    behind += row > damaged and found is not None
            for time in one.stamps[::4]:
                for start, stop in ((0, len(one.rows)), (3, 20)):
                    try:
                        found = one.chunk(start, stop).find(time)
                    except CorruptionError:
                        continue
                    assert found == bisect.bisect_left(one.stamps[start:stop], time)
    assert behind > 50


def test_damage_of_times_is_not_told_as_times(tmp_path: Path) -> None:
    """Of a block among those asked for, whose row no search looks at."""
    one = made(tmp_path / "r", random.Random(12), commits=30, most=5)
    right = 0
    for damaged in range(1, len(one.index) - 1):
        with one.damaged(damaged, 8 + damaged % 16):
            for reach in (0, 2, 5):
                low = one.index[max(0, damaged - reach)][0]
                high = one.index[min(len(one.index) - 1, damaged + reach)][0] + 1
                try:
                    times = one.chunk(0, len(one.rows)).times(low, high)
                except CorruptionError:
                    continue
                due = [
                    block[2:]
                    for block in one.index
                    if block[1] and block[0] < high and low < block[0] + block[1]
                ]
                assert list(zip(times.least.tolist(), times.most.tolist(), strict=True)) == due
                right += 1
    assert right < 60


def test_damage_of_a_block_costs_that_block(tmp_path: Path) -> None:
    one = made(tmp_path / "r", random.Random(3), commits=20)
    width = len(one.rows[0])
    begin = len(one.path("records").read_bytes()) - width * len(one.rows)
    for low, high in one.blocks:
        with one.spoiled("records", begin + (high - 1) * width, b"\xff"):
            for brief in (True, False):
                whole = one.segment(brief=brief)
                numbers = (
                    f"records {one.begin + low} to {one.begin + high - 1} .rows {low} to {high - 1}. do not"
                )
                for start, stop in ((low, low + 1), (max(0, low - 3), high), (0, len(one.rows))):
                    with pytest.raises(CorruptionError, match=numbers):
                        whole.rows(start, stop)
                assert whole.rows(0, low).tobytes() == b"".join(one.rows[:low])
                assert whole.rows(high, len(one.rows)).tobytes() == b"".join(one.rows[high:])


LIES: dict[str, Callable[[int], int]] = {
    "first_seq": lambda seq: seq + 1,
    "rows": lambda rows: rows + 1,
    "crc_rows": lambda crc: crc ^ 1,
    "gap_rows": lambda rows: rows + 90,
    "string_bytes": lambda size: size + 90,
}


@pytest.mark.parametrize("value", [None, 0, 2**63, 2**64 - 1])
@pytest.mark.parametrize("member", ["first_seq", "rows", "crc_rows", "gap_rows", "string_bytes", "t_max"])
def test_a_row_that_lies_costs_no_more(tmp_path: Path, member: str, value: int | None) -> None:
    """Whatever a sealed row claims: records come as they were, or an error says that they do not."""
    luck = random.Random(4)
    one = made(tmp_path / "r", luck, commits=16, most=5)
    rows = np.load(one.path("index"))
    for row in range(1, len(rows) - 1):
        claim = (
            LIES.get(member, lambda time: time - 10**6)(int(rows[member][row])) if value is None else value
        )
        info = np.iinfo(rows.dtype[member])
        if not info.min <= claim <= info.max:
            continue
        with one.lying(row, **{member: claim}):
            for start in range(0, len(one.rows), 2):
                assert read(one, start, start + 1) in (None, one.rows[start])
            for start, stop in ((0, 9), (4, len(one.rows)), (0, len(one.rows))):
                assert read(one, start, stop) in (None, b"".join(one.rows[start:stop]))
            for time in one.stamps[::3]:
                whole = one.chunk(0, len(one.rows))
                try:
                    found = whole.find(time)
                except CorruptionError:
                    continue
                assert member == "t_max" or found == bisect.bisect_left(one.stamps, time)


def test_where_the_index_is_wrong_it_is_named(tmp_path: Path) -> None:
    """And not the records, which do not match where it says that they lie."""
    one = made(tmp_path / "r", random.Random(5), commits=30)
    row = next(row for row, (_, rows, *_) in enumerate(one.index) if row > 3 and rows > 2)
    at, rows, *_ = one.index[row]
    with one.lying(row, first_seq=one.begin + at + 1), pytest.raises(CorruptionError, match=r"index.*claims"):
        one.segment().rows(at + 1, at + rows)


def test_a_header_that_counts_too_many(tmp_path: Path) -> None:
    """As many records as numbers, with a hole among them: none comes under another number."""
    folder = samples.miscounted(tmp_path / "r")
    for start in range(40):
        for stop in (start + 1, start + 2, start + 11, 40):
            records = reader.open(folder.root)["status"]
            try:
                found = records[start:stop].to_numpy()
            except CorruptionError:
                assert stop > 10
            else:
                told = records.seq[start:stop].tolist()
                assert all(samples.is_status(row, seq) for row, seq in zip(found, told, strict=True))


@pytest.mark.parametrize("brief", [True, False])
def test_files_of_somebody_else_are_never_mapped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, brief: bool
) -> None:
    luck = random.Random(7)
    one = made(tmp_path / "r", luck)
    monkeypatch.setattr(opening, "foreign", lambda descriptor: True)
    whole = one.segment(brief=brief)
    for _ in range(30):
        (start,), (stop,) = one.ranges(luck, 1)
        assert whole.rows(start, stop).tobytes() == b"".join(one.rows[start:stop])
    assert not whole.stock.maps
    with open(one.path("records"), "rb+") as file:
        file.truncate(os.path.getsize(one.path("records")) - 1)
    with pytest.raises(CorruptionError, match="became shorter than its index says"):
        whole.rows(0, len(one.rows))


def test_a_segment_that_goes_meanwhile(tmp_path: Path) -> None:
    """All of it, or the index alone: the error says which; what was found before stays."""
    one = made(tmp_path / "r", random.Random(8), commits=40)
    middle = len(one.rows) // 2
    kept, later, index = one.segment(), one.segment(), one.segment()
    first = kept.rows(middle, middle + 1)
    index_file = one.path("index").read_bytes()
    one.path("index").unlink()
    with pytest.raises(CorruptionError, match="the index of rows 0 to"):
        index.rows(middle, middle + 1)
    assert later.block_behind(one.stamps[0]) is None
    one.path("index").write_bytes(index_file)
    for kind in ("index", "records"):
        one.path(kind).unlink()
    assert first.tobytes() == one.rows[middle]
    for ask in (
        lambda: later.rows(middle, middle + 1),
        lambda: later.near(np.array([3]), np.array([middle])),
        lambda: SegmentChunk(later, 0, later.length, one.begin).find(one.stamps[middle]),
        lambda: SegmentChunk(later, 0, later.length, one.begin).times(3, 4),
        lambda: later.check_index(),
    ):
        with pytest.raises(GoneError, match="retention may have removed it"):
            ask()


@pytest.mark.parametrize("kind_of_file", ["index", "records"])
def test_a_file_that_becomes_shorter(tmp_path: Path, kind_of_file: str) -> None:
    one = made(tmp_path / "r", random.Random(9), commits=40)
    whole = one.segment()
    path = one.path(kind_of_file)
    os.truncate(path, os.path.getsize(path) // 2)
    for start in range(0, len(one.rows), 7):
        try:
            assert whole.rows(start, start + 1).tobytes() == one.rows[start]
        except RecordingError as error:
            assert isinstance(error, CorruptionError)
    with pytest.raises(CorruptionError):
        whole.rows(len(one.rows) - 9, len(one.rows))
