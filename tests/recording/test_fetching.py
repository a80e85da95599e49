"""Rows read in batches are those of the file, whatever they are cut into; and nothing is left of a reader."""

from __future__ import annotations

import gc
import os
import random
import re
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from recording import samples, writer
from recording.pieces import Made, made
from tasks import tasks
from waiting import until

import fastrec as fr
from fastrec.errors import CorruptionError
from fastrec.recording import batches, chunk, opening
from fastrec.recording.chunk import SegmentChunk
from fastrec.recording.fetching import fetched
from fastrec.recording.opening import GoneError
from fastrec.records import Chunk, Records, chunks, columns, conditions
from fastrec.records.chunks import Selection
from fastrec.records.copying import picked
from fastrec.records.parts import Part
from fastrec.schema.gaps import Cause

pytestmark = pytest.mark.once  # a long way through code that is the same wherever the package lies


@pytest.fixture(autouse=True)
def nothing_left(tmp_path: Path) -> Iterator[None]:
    """Neither a thread nor a descriptor, nor memory in plenty."""
    yield
    until(lambda: not tasks("fr-fetch"))
    assert descriptors(tmp_path) == []
    assert len(batches._spare) <= 2


def descriptors(folder: Path) -> list[str]:
    """Files of records below a folder that are open; what is mapped is one until it is let go."""
    gc.collect()
    found = []
    for one in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            found.append(os.readlink(one))
    return sorted(one for one in found if one.startswith(str(folder)) and one.endswith(".npy"))


@pytest.fixture(params=[(0, 400), (1, 3_000), (3, 400), (3, 1)], ids=lambda way: "{} of {}".format(*way))
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> tuple[int, int]:
    """How many helpers, and bytes of a batch."""
    helpers, size = request.param
    monkeypatch.setattr(batches, "_helpers", lambda _: helpers)
    monkeypatch.setattr(batches, "_BATCH", size)
    return request.param


def told(one: Made, parts: Iterator[Part], batch: int = 1 << 30) -> list[tuple[int, int, bytes]]:
    """Ranges and their bytes; pieces of one range that batches divide are joined again."""
    found: list[tuple[int, int, bytes]] = []
    width = len(one.rows[0])
    for part in parts:
        assert len(part.begins) == len(part.starts) == len(part.stops) > 0
        assert (part.ends - part.begins == part.stops - part.starts).all()
        # A batch ends with the block that fills it.
        assert part.array.dtype.itemsize == width and len(part.array) * width < batch + 1024 * width
        for begin, end, start, stop in zip(part.begins, part.ends, part.starts, part.stops, strict=True):
            assert 0 <= begin < end <= len(part.array)
            found.append((int(start), int(stop), part.array[begin:end].tobytes()))
    return found


def joined(
    pieces: list[tuple[int, int, bytes]], ranges: list[tuple[int, int]]
) -> list[tuple[int, int, bytes]]:
    whole = []
    left = iter(pieces)
    for start, stop in ranges:
        data, at = b"", start
        while at < stop:
            begin, end, some = next(left)
            assert begin == at and end <= stop
            data, at = data + some, end
        whole.append((start, stop, data))
    assert next(left, None) is None
    return whole


@pytest.mark.parametrize("store", ["every", "changes"])
def test_ranges_are_those_of_the_file(tmp_path: Path, store: str, way: tuple[int, int]) -> None:
    luck = random.Random(str((store, way)))
    for turn in range(3):
        one = made(
            tmp_path / f"{turn}", luck, store=store, times=luck.choice(("steady", "falling")), commits=40
        )
        for _ in range(25):
            starts, stops = one.ranges(luck, luck.choice((1, 2, 3, 20)))
            found = told(one, fetched(one.segment(brief=luck.random() < 0.8), starts, stops), way[1])
            ranges = list(zip(starts.tolist(), stops.tolist(), strict=True))
            assert joined(found, ranges) == [(*pair, b"".join(one.rows[slice(*pair)])) for pair in ranges]


@pytest.mark.parametrize("alone", [0, 1 << 20])
@pytest.mark.parametrize("store", ["every", "changes"])
def test_copies_are_those_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store: str, alone: int, way: tuple[int, int]
) -> None:
    """Of whole rows and of some of their bytes, wherever the rows begin and end; and nothing beside them."""
    monkeypatch.setattr(chunk, "ALONE", alone)
    luck = random.Random(str((store, alone, way)))
    one = made(tmp_path / "r", luck, store=store, commits=40)
    width, before = len(one.rows[0]), one.segment()
    for turn in range(60):
        segment = one.segment(brief=luck.random() < 0.8) if turn % 2 else before
        start, stop = sorted(luck.sample(range(len(one.rows) + 1), 2))
        begin = luck.randint(0, start)
        size = luck.choice([1, 2, 4, 8, width, luck.randint(1, width)])
        offset = luck.randint(0, width - size)
        rows = SegmentChunk(segment, begin, stop, 0)
        room = np.full(stop - start + 2, b"\xa5" * size, f"V{size}")
        rows.copy(start - begin, stop - begin, offset, room[1:-1])
        due = [row[offset : offset + size] for row in one.rows[start:stop]]
        guard = b"\xa5" * size
        assert room.tobytes() == guard + b"".join(due) + guard


@pytest.mark.parametrize("block", [7, 65_536])
def test_copies_of_rows_that_were_picked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int, way: tuple[int, int]
) -> None:
    """Their stamps may be known, or they themselves; none of them is read again then."""
    monkeypatch.setattr(chunks, "BLOCK", block)
    luck = random.Random(str(way))
    one = made(tmp_path / "r", luck, commits=40)
    rows, stamps = np.frombuffer(b"".join(one.rows), one.segment().stock.dtype), np.array(one.stamps)
    for _ in range(20):
        places = np.sort(luck.sample(range(len(rows)), luck.randint(1, len(rows))))
        parts = (0, 8), (0, rows.itemsize), (8, 4)
        for known in ({}, {"stamps": stamps[places]}, {"rows": picked(rows, places, None)}):
            found = Selection(SegmentChunk(one.segment(), 0, len(rows), 0), places, **known)
            start, stop = sorted(luck.sample(range(len(places) + 1), 2))
            for offset, size in parts:
                into = np.empty(stop - start, f"V{size}")
                found.copy(start, stop, offset, into)
                due = [one.rows[place][offset : offset + size] for place in places[start:stop]]
                assert into.tobytes() == b"".join(due)
    one.path("records").unlink()
    known = {"stamps": stamps[places]}, {"rows": picked(rows, places, None)}
    for given, size in zip((*known, known[1]), (8, 8, rows.itemsize), strict=True):
        found = Selection(SegmentChunk(one.segment(brief=True), 0, len(rows), 0), places, **given)
        found.copy(0, len(places), 0, into := np.empty(len(places), f"V{size}"))
        assert into.tobytes() == b"".join(one.rows[place][:size] for place in places)


@pytest.mark.parametrize("alone", [0, 1 << 20])
def test_nothing_is_made_up_where_an_index_lies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, alone: int
) -> None:
    """Losses alone that are to be where no record is: what is found is right, or refused."""
    monkeypatch.setattr(chunk, "ALONE", alone)
    luck = random.Random(alone)
    refused = right = 0
    for turn in range(3):
        one = made(tmp_path / f"{turn}", luck, times="steady", commits=40)
        for row, (_, rows, *_) in enumerate(one.index):
            if rows or not 1 < row < len(one.index) - 1:
                continue
            with one.lying(row, first_seq=one.begin + len(one.rows) + luck.choice([1, 5_000])):
                begin = one.index[row - 1][2]
                due = b"".join(
                    data for data, stamp in zip(one.rows, one.stamps, strict=True) if stamp >= begin
                )
                records = fr.open(tmp_path / f"{turn}")["status"]
                try:
                    found = records.between(begin, one.stamps[-1] + 1).to_numpy().tobytes()
                except fr.FastrecError:
                    refused += 1
                    continue
                # The index may have been read as far as it is true: what lies behind is lost, and said so.
                lost = int(records.gaps["count"][records.gaps["cause"] == Cause.DISK].sum())
                assert due.startswith(found) and (found == due or lost >= len(one.rows) - len(records) > 0)
                right += 1
    assert refused + right > 10


@pytest.mark.parametrize("count", [63, 64, 65])
def test_a_few_rows_of_a_block_are_kept_whole(tmp_path: Path, count: int) -> None:
    """As many as are handed out whole; of more there are their stamps."""
    rows = np.zeros(3_000, [("state", "<i4"), ("rest", "S28")])
    rows["state"][1_500 : 1_500 + count] = 1
    rows["rest"] = b"x"
    with fr.Recorder(tmp_path / "r") as recorder:
        recorder.add("c", schema=fr.Schema.from_dtype(rows.dtype, name="S")).extend(rows, np.arange(3_000))
    found = fr.open(tmp_path / "r")["c"].where("state == 1")
    assert found["mono_ns"].tolist() == [*range(1_500, 1_500 + count)]
    assert found["rest"].tolist() == [b"x"] * count


def test_blocks_that_are_between_are_not_read(tmp_path: Path, way: tuple[int, int]) -> None:
    """All others are damaged; and one in which two ranges lie is read once."""
    one = made(tmp_path / "r", random.Random(3), commits=40, most=20)
    (first, last) = one.blocks[3], one.blocks[-2]
    starts = np.array([first[0], first[1] - 1, last[0]])
    stops = np.array([first[0] + 1, first[1], last[1]])
    starts, stops = (starts, stops) if first[1] - first[0] > 1 else (starts[1:], stops[1:])
    width = len(one.rows[0])
    begin = len(one.path("records").read_bytes()) - width * len(one.rows)
    data = bytearray(one.path("records").read_bytes())
    for low, high in one.blocks:
        if (low, high) not in (first, last):
            data[begin + low * width] ^= 1
    one.path("records").write_bytes(data)
    found = told(one, fetched(one.segment(), starts, stops))
    ranges = list(zip(starts.tolist(), stops.tolist(), strict=True))
    assert joined(found, ranges) == [(*pair, b"".join(one.rows[slice(*pair)])) for pair in ranges]
    with pytest.raises(CorruptionError, match="do not match their checksum"):
        list(fetched(one.segment(), starts, stops + np.array([0] * (len(stops) - 1) + [1])))


def test_damage_comes_after_what_is_whole_before_it(tmp_path: Path, way: tuple[int, int]) -> None:
    luck = random.Random(str(way))
    one = made(tmp_path / "r", luck, commits=30)
    size, width = len(one.rows), len(one.rows[0])
    begin = len(one.path("records").read_bytes()) - width * size
    for low, high in luck.sample(one.blocks, 8):
        place = begin + luck.randrange(low, high) * width + luck.randrange(width)
        with one.spoiled("records", place, bytes([one.path("records").read_bytes()[place] ^ 4])):
            seen = []
            parts = fetched(one.segment(), np.array([0]), np.array([size]))
            with pytest.raises(CorruptionError, match=rf"rows {low} to {high - 1}\) do not match") as caught:
                for part in parts:
                    seen += told(one, iter([part]))
            assert str(one.path("records")) in str(caught.value) and next(parts, None) is None
            reached = seen[-1][1] if seen else 0
            assert reached <= low and b"".join(data for *_, data in seen) == b"".join(one.rows[:reached])


def test_an_index_that_is_wrong_is_named_and_not_the_records(tmp_path: Path, way: tuple[int, int]) -> None:
    """Where a sealed row gives another checksum nobody knows which is wrong; one that is damaged is known."""
    one = made(tmp_path / "r", random.Random(5), commits=30)
    row = next(row for row, (_, rows, *_) in enumerate(one.index) if row > 3 and rows > 2)
    at, rows, *_ = one.index[row]
    ask = np.array([at]), np.array([at + rows])
    with one.lying(row, crc_rows=1), pytest.raises(CorruptionError, match=r"records .* do not match their"):
        list(fetched(one.segment(), *ask))
    with one.lying(row, first_seq=one.begin + at + 1), pytest.raises(CorruptionError, match=r"index.*claims"):
        list(fetched(one.segment(), ask[0] + 1, ask[1]))
    with one.damaged(row), pytest.raises(CorruptionError, match=rf"index\.000000\.npy: row {row} does not"):
        list(fetched(one.segment(), *ask))


def consumed(part: Part) -> None:
    raise ZeroDivisionError(len(part.array))


def test_a_reader_that_stops_early_leaves_nothing(tmp_path: Path, way: tuple[int, int]) -> None:
    """`nothing_left` looks; here it is closed, forgotten, or ends with an error of its own."""
    one = made(tmp_path / "r", random.Random(6), commits=40)
    ask = np.array([0]), np.array([len(one.rows)])
    for takes in (0, 1, 2):
        with closing(fetched(one.segment(), *ask)) as parts:
            for _ in range(takes):
                next(parts, None)
            until(lambda: len(tasks("fr-fetch")) <= way[0])
        forgotten = fetched(one.segment(), *ask)
        for _ in range(takes):
            next(forgotten, None)
        del forgotten
        until(lambda: not tasks("fr-fetch"))
    assert descriptors(tmp_path) == []
    with pytest.raises(ZeroDivisionError):
        for part in fetched(one.segment(), *ask):
            consumed(part)
    until(lambda: not tasks("fr-fetch"))
    assert descriptors(tmp_path) == []


@pytest.mark.parametrize("takes", [0, 1, 99])
def test_helpers_end_before_their_file_and_their_memory_are_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, takes: int
) -> None:
    one = made(tmp_path / "r", random.Random(12), commits=30)
    ended = []

    class Watched:
        def __init__(self, fd: int, *rest: object) -> None:
            self.fd, self.real = fd, fetching_class(fd, *rest)

        def take(self) -> tuple[int, int]:
            return self.real.take()

        def close(self) -> None:
            ended.append((os.fstat(self.fd).st_size, len(batches._spare)))
            self.real.close()

    fetching_class = batches.Fetch
    monkeypatch.setattr(batches, "Fetch", Watched)
    monkeypatch.setattr(batches, "_spare", [])
    parts = fetched(one.segment(), np.array([0]), np.array([len(one.rows)]))
    for _ in range(takes):
        next(parts, None)
    assert len(ended) == (takes == 99)
    parts.close()
    del parts
    assert ended == [(one.path("records").stat().st_size, 0)]
    assert len(batches._spare) == 1


@pytest.mark.parametrize("kept", [False, True])
def test_reading_begins_before_somebody_looks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: bool
) -> None:
    """And ends when nobody will: `nothing_left` looks."""
    one = made(tmp_path / "r", random.Random(14), commits=40)
    monkeypatch.setattr(batches, "_helpers", lambda _: 2)
    monkeypatch.setattr("fastrec.recording.chunk.ALONE", 0)
    size, ask = len(one.rows), (np.array([0]), np.array([len(one.rows)]))
    chunk = one.chunk(0, size)
    some = chunk.changed(*ask, (0, 8, 0), few=True) if kept else chunk.parts(*ask)
    assert len(descriptors(tmp_path)) == 1
    until(lambda: len(tasks("fr-fetch")) <= 2)
    assert sum(1 for _ in some) == 1
    forgotten = chunk.changed(*ask, (0, 8, 0), few=True) if kept else chunk.parts(*ask)
    del forgotten
    assert descriptors(tmp_path) == []


def damaged(paths: list[Path], patch: pytest.MonkeyPatch) -> type[Exception]:
    """The next segment is being read when the first proves to be damaged."""
    data = bytearray(paths[0].read_bytes())
    data[len(data) // 2] ^= 1
    paths[0].write_bytes(data)
    return CorruptionError


def gone(paths: list[Path], patch: pytest.MonkeyPatch) -> type[Exception]:
    """The first is being read when there is no second."""
    paths[1].unlink()
    return GoneError


def no_memory(paths: list[Path], patch: pytest.MonkeyPatch) -> type[Exception]:
    """The second is open, but cannot be read."""
    real, made = batches.Fetch, []

    def refused(*given: object, **other: object) -> object:
        made.append(given)
        if len(made) == 2:
            raise MemoryError
        return real(*given, **other)

    patch.setattr(batches, "Fetch", refused)
    return MemoryError


def no_more_memory(paths: list[Path], patch: pytest.MonkeyPatch) -> type[Exception]:
    """Who looks at the first batch of several finds no room for what he makes of it."""

    real = columns.Column.values

    def values(column: columns.Column, some: Chunk, rows: np.ndarray, *rest: object) -> np.ndarray:
        if len(rows):
            raise MemoryError
        return real(column, some, rows, *rest)

    def found(some: object) -> None:
        raise MemoryError

    patch.setattr(columns.Column, "values", values)
    patch.setattr(conditions, "_found", found)
    return MemoryError


ASKED: dict[str, Callable[[Records], object]] = {
    "transitions": lambda records: records.transitions("state"),
    "counts": lambda records: records.counts("state"),
    "where": lambda records: records.where("state == 3").seq,
    "where it changed": lambda records: records.where("changed(state) and state == 3").seq,
    "column": lambda records: records["state"],
}
HARMS = (damaged, gone, no_memory, no_more_memory)


@pytest.mark.parametrize(("question", "harm"), [*product(ASKED, HARMS)][:-1])
def test_an_error_keeps_no_reading_that_was_begun(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    question: str,
    harm: Callable[[list[Path], pytest.MonkeyPatch], type[Exception]],
) -> None:
    """Who keeps the error has no file open, and no memory that others could use."""
    monkeypatch.setattr(batches, "_helpers", lambda _: 2)
    monkeypatch.setattr(batches, "_BATCH", 1 << 16)
    monkeypatch.setattr(chunk, "ALONE", 0)
    rows = np.zeros(40_000, [("state", "<i4"), ("rest", "S28")])
    rows["state"] = np.arange(len(rows)) % 5
    with fr.Recorder(tmp_path / "r", segment_bytes=1 << 19) as recorder:
        channel = recorder.add("c", schema=fr.Schema.from_dtype(rows.dtype, name="S"), capacity=1 << 16)
        for start in range(0, len(rows), 5_000):
            channel.extend(rows[start : start + 5_000])
            until(lambda: channel.stats.written == channel.stats.recorded)
    paths = sorted((tmp_path / "r/channels/c").glob("records.*.npy"))
    assert len(paths) > 2
    records = fr.open(tmp_path / "r")["c"]
    monkeypatch.setattr(batches, "_spare", spare := [])
    with monkeypatch.context() as patch:
        error = harm(paths, patch)
        with pytest.raises(error) as caught:
            ASKED[question](records)
    until(lambda: not tasks("fr-fetch"))
    assert descriptors(tmp_path) == []
    assert len(spare) <= 2 and (spare or question == "column")  # it goes where it stays
    assert caught.traceback  # which has the frames of all that was asked


def test_losses_alone_have_no_block_to_prove(tmp_path: Path, way: tuple[int, int]) -> None:
    """A recorder gives no checksum of nothing."""
    one = made(tmp_path / "r", random.Random(13), commits=40)
    alone = [row for row, (_, rows, *_) in enumerate(one.index) if not rows]
    assert alone
    with one.lying(alone, crc_rows=0):
        for brief in (True, False):
            found = told(one, fetched(one.segment(brief=brief), np.array([0]), np.array([len(one.rows)])))
            assert b"".join(data for *_, data in found) == b"".join(one.rows)
            assert one.segment(brief=brief).rows(0, len(one.rows)).tobytes() == b"".join(one.rows)


def test_some_at_the_same_time_have_memory_of_their_own(tmp_path: Path, way: tuple[int, int]) -> None:
    luck = random.Random(7)
    some = [made(tmp_path / f"{number}", luck, commits=20) for number in range(3)]
    asked = [fetched(one.segment(), np.array([0]), np.array([len(one.rows)])) for one in some]
    at, over = [0] * 3, 0
    while over < 3:
        parts = [next(parts, None) for parts in asked]  # all are kept until all were looked at
        over = parts.count(None)
        for number, (one, part) in enumerate(zip(some, parts, strict=True)):
            if part is not None:
                for start, stop, data in told(one, iter([part])):
                    assert (start, data) == (at[number], b"".join(one.rows[start:stop]))
                    at[number] = stop
    assert at == [len(one.rows) for one in some]


def test_memory_is_used_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it is large enough, and not so large that it is better given back."""
    one = made(tmp_path / "r", random.Random(8), commits=20)
    ask = np.array([0]), np.array([len(one.rows)])
    monkeypatch.setattr(batches, "_spare", [])
    list(fetched(one.segment(), *ask))
    (kept,) = batches._spare
    size = len(kept)
    for _ in range(3):
        list(fetched(one.segment(), *ask))
    assert [id(memory) for memory in batches._spare] == [id(kept)] and len(kept) == size
    batches._spare[:] = [np.empty(size - 1, np.uint8)]
    list(fetched(one.segment(), *ask))
    assert len(batches._spare[0]) >= size
    monkeypatch.setattr(batches, "_KEPT", size - 1)
    batches._spare.clear()
    list(fetched(one.segment(), *ask))
    assert batches._spare == []


def test_a_file_that_is_gone_or_shorter(tmp_path: Path, way: tuple[int, int]) -> None:
    one = made(tmp_path / "r", random.Random(9), commits=40)
    size, width = len(one.rows), len(one.rows[0])
    ask = np.array([0]), np.array([size])
    shorter, gone, held = one.segment(), one.segment(), fetched(one.segment(), *ask)
    first = told(one, iter([next(held)]))
    path = one.path("records")
    length = path.stat().st_size
    os.truncate(path, length - width // 2)
    with pytest.raises(CorruptionError, match=re.escape(f"{path}: became shorter than its index says")):
        list(fetched(shorter, *ask))
    (last,) = (block for block in one.blocks if block[1] == size)
    found = told(one, fetched(shorter, np.array([0]), np.array([last[0]])))
    assert b"".join(data for *_, data in found) == b"".join(one.rows[: last[0]])
    path.unlink()
    with pytest.raises(GoneError, match="retention may have removed it"):
        list(fetched(gone, *ask))
    # Who has it open goes on.
    with suppress(CorruptionError):
        first += told(one, held)
    assert first[0][0] == 0 and all(data == b"".join(one.rows[low:high]) for low, high, data in first)
    held.close()


def test_files_of_somebody_else_are_read_no_other_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: tuple[int, int]
) -> None:
    one = made(tmp_path / "r", random.Random(10), commits=30)
    monkeypatch.setattr(opening, "foreign", lambda descriptor: True)
    part = one.segment()
    found = told(one, fetched(part, np.array([3]), np.array([len(one.rows)])))
    assert b"".join(data for *_, data in found) == b"".join(one.rows[3:])
    assert not part.stock.maps


def test_blocks_of_a_thousand_rows_and_zones(tmp_path: Path) -> None:
    """As a recorder writes them, and more than one thread is worth it."""
    folder = writer.Folder(tmp_path / "r")
    folder.session()
    channel = samples.status_channel(folder)
    part = channel.segment()
    rows = [samples.status(n) for n in range(1024)]
    for first in range(0, 40 * 1024, 1024):
        part.commit(first, rows, stages=("records", "index", "count"))
    folder.close({"status": channel})
    one = Made(tmp_path / "r", "status", 0, rows * 40)
    assert batches._helpers(len(one.rows) * 32) <= 3 and batches._helpers(1 << 20) == 0
    starts, stops = np.array([1, 5_000, 20_480]), np.array([3, 20_000, 40_960])
    found = told(one, fetched(one.segment(), starts, stops))
    ranges = list(zip(starts.tolist(), stops.tolist(), strict=True))
    assert joined(found, ranges) == [(*pair, b"".join(one.rows[slice(*pair)])) for pair in ranges]


def test_places_of_a_part() -> None:
    """By plain Python: where a row is in the chunk, and a place in the array."""
    luck = random.Random(11)
    for _ in range(200):
        edges = sorted(luck.sample(range(60), 2 * luck.randint(1, 6)))
        starts, stops = np.array(edges[::2]), np.array(edges[1::2])
        gaps = [luck.randrange(4) for _ in starts]
        begins = np.cumsum(gaps) + np.cumsum(stops - starts) - (stops - starts)
        part = Part(np.arange(99), begins, starts, stops)
        rows = [row for low, high in zip(begins, part.ends, strict=True) for row in range(low, high)]
        places = [place for low, high in zip(starts, stops, strict=True) for place in range(low, high)]
        assert len(rows) == len(places)
        some = sorted(luck.sample(range(len(rows)), luck.randint(0, len(rows))))
        asked, due = np.array([rows[at] for at in some], int), [places[at] for at in some]
        assert part.places(asked).tolist() == due
        assert part.moved(7).places(asked).tolist() == [place + 7 for place in due]
        assert (part.moved(-3).starts.tolist(), part.moved(-3).begins.tolist()) == (
            (starts - 3).tolist(),
            begins.tolist(),
        )
        wanted = sorted(luck.sample(range(-3, 64), 20))
        there = dict(zip(places, rows, strict=True))
        assert part.within(np.array(wanted)).tolist() == [there[place] for place in wanted if place in there]
