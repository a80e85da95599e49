"""The passes over records against plain Python, for every width, with masks, and for stamps that wrap."""

from __future__ import annotations

import random
from time import process_time_ns

import numpy as np
import pytest

from fastrec.core.scan import Codes, before, changes, silences

STRIDE = 24


def rows_of(chance: random.Random, count: int, places: range) -> bytes:
    """Records like the one before but for a bit, of some bytes or of any."""
    now, made = bytearray(chance.randbytes(STRIDE)), bytearray()
    for _ in range(count):
        if chance.random() < 0.5:
            now[chance.choice([*places, chance.randrange(STRIDE)])] ^= 1 << chance.randrange(8)
        made += now
    return bytes(made)


def ranges_of(chance: random.Random, count: int) -> list[tuple[int, int]]:
    edges = sorted(chance.choices(range(count + 1), k=2 * chance.randint(1, 5)))
    return list(zip(edges[::2], edges[1::2], strict=True))


def asked(question: object, rows: bytes, *where: int, ranges: list[tuple[int, int]]) -> list[int]:
    starts, stops = (np.array([one[side] for one in ranges], np.int64) for side in (0, 1))
    out = np.full(sum(stop - start for start, stop in ranges) + 1, -7, np.int64)
    found = question(rows, *where, starts, stops, out)
    assert out[-1] == -7, "beyond what it looked at"
    return out[:found].tolist()


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 6, 7, 8, 9, 16])
@pytest.mark.parametrize("masked", [False, True])
def test_changes_are_those_of_the_bytes(size: int, masked: bool) -> None:
    chance = random.Random(f"{size} {masked}")
    found = 0
    for offset in (0, 1, 5, STRIDE - size):
        for count in (1, 2, 3, 200):
            rows = rows_of(chance, count, range(offset, offset + size))
            ranges = ranges_of(chance, count)
            mask = chance.randrange(1, 2 ** (8 * min(size, 8))) & chance.randrange(2**64) or 1
            mask = mask if masked and size <= 8 else 0
            keep = mask or 2 ** (8 * size) - 1

            def value(row: int, rows: bytes = rows, offset: int = offset, keep: int = keep) -> int:
                begin = row * STRIDE + offset
                return int.from_bytes(rows[begin : begin + size], "little") & keep

            expected = [
                row
                for start, stop in ranges
                for row in range(start + 1, stop)
                if value(row) != value(row - 1)
            ]
            assert asked(changes, rows, STRIDE, offset, size, mask, ranges=ranges) == expected
            found += len(expected)
    assert found > 10


def test_the_top_bit_of_a_mask_counts() -> None:
    rows = bytes(7) + b"\x00" + bytes(7) + b"\x80" + bytes(7) + b"\x81"
    assert asked(changes, rows, 8, 0, 8, 1 << 63, ranges=[(0, 3)]) == [1]


@pytest.mark.parametrize("places", [(0, 0), (0, 8), (8, 16), (16, 3)])
def test_silences_are_the_distances_that_are_longer(places: tuple[int, int]) -> None:
    chance = random.Random(f"{places}")
    time, until = places
    edge = [0, 1, 99, 100, 101, 2**63 - 1, -(2**63), -(2**63) + 50, -1, 2**63 - 50]
    found = 0
    for limit in (0, 100, 2**63 - 1, 2**63 - 2):
        rows = bytearray(chance.randbytes(50 * STRIDE))
        for row in range(50):
            for place in {time, until}:
                stamp = chance.choice(edge) % 2**64
                rows[row * STRIDE + place : row * STRIDE + place + 8] = stamp.to_bytes(8, "little")

        def stamp(row: int, place: int, rows: bytes = rows) -> int:
            return int.from_bytes(rows[row * STRIDE + place : row * STRIDE + place + 8], "little")

        def silent(row: int, stamp: object = stamp) -> int:
            passed = (stamp(row, time) - stamp(row - 1, until)) % 2**64
            return passed - 2**64 * (passed >> 63)

        ranges = ranges_of(chance, 50)
        expected = [row for start, stop in ranges for row in range(start + 1, stop) if silent(row) > limit]
        assert asked(silences, bytes(rows), STRIDE, time, until, limit, ranges=ranges) == expected
        found += len(expected)
    assert found > 5


def row_before(
    rows: bytes, ranges: list[tuple[int, int]], times: list[int], *, equal: bool
) -> tuple[list[int], list[int]]:
    out, seen = (np.full(len(times) + 1, -7, np.int64) for _ in "ab")
    where = (np.array([one[side] for one in ranges], np.int64) for side in (0, 1))
    before(rows, STRIDE, 3, 11, *where, np.array(times, np.int64), equal, out[:-1], seen[:-1])
    assert out[-1] == seen[-1] == -7, "beyond what it looked at"
    return out[:-1].tolist(), seen[:-1].tolist()


@pytest.mark.parametrize("equal", [False, True])
@pytest.mark.parametrize("step", [1, 5, 1_000])
def test_the_row_before_each_time(step: int, equal: bool) -> None:
    """Times that are dense, and sparse ones; several ranges, and rows between them that nobody asked for."""
    chance = random.Random(f"{step} {equal}")
    for count in (1, 2, 3, 40, 300):
        stamps, now = [], -(2**63)
        for _ in range(count):
            stamps.append(now)
            now += chance.choice([0, 1, 3, 3, 40])
        if count > 3:
            stamps[-1] = 2**63 - 1
        rows = bytearray(chance.randbytes(count * STRIDE))
        for row, stamp in enumerate(stamps):
            rows[row * STRIDE + 3 : row * STRIDE + 11] = stamp.to_bytes(8, "little", signed=True)
        untils = [
            int.from_bytes(rows[n * STRIDE + 11 : n * STRIDE + 19], "little", signed=True)
            for n in range(count)
        ]
        edges = sorted(chance.sample(range(count + 1), min(count + 1, 2 * chance.randint(1, 4)) // 2 * 2))
        ranges = list(zip(edges[::2], edges[1::2], strict=True))
        inside = [row for start, stop in ranges for row in range(start, stop)]
        times = sorted(chance.choice(stamps) + chance.choice([0, 0, 1, 2]) for _ in range(0, 400, step))
        times = [*(min(time, 2**63 - 1) for time in times), 2**63 - 1]
        expected = []
        for time in times:
            some = [row for row in inside if stamps[row] < time or (equal and stamps[row] == time)]
            expected.append((some[-1] + 1, untils[some[-1]]) if some else (inside[0], 0))
        assert list(zip(*row_before(bytes(rows), ranges, times, equal=equal), strict=True)) == expected


def test_the_row_before_where_stamps_or_times_fall_lies_within_the_ranges() -> None:
    chance = random.Random(7)
    for _ in range(50):
        rows = chance.randbytes(30 * STRIDE)
        edges = sorted(chance.sample(range(31), 6))
        ranges = list(zip(edges[::2], edges[1::2], strict=True))
        times = [chance.randrange(-(2**63), 2**63) for _ in range(40)]
        out, _ = row_before(rows, ranges, times, equal=True)
        assert all(any(start <= row <= stop for start, stop in ranges) for row in out)


@pytest.mark.parametrize(
    ("stride", "time", "until", "starts", "stops", "room"),
    [
        (0, 0, 0, [0], [1], 3),
        (STRIDE, STRIDE - 7, 0, [0], [1], 3),
        (STRIDE, 0, STRIDE - 7, [0], [1], 3),
        (STRIDE, 2**64 - 1, 0, [0], [1], 3),
        (STRIDE, 0, 8, [], [], 3),
        (STRIDE, 0, 8, [0], [1, 2], 3),
        (STRIDE, 0, 8, [-1], [1], 3),
        (STRIDE, 0, 8, [0], [11], 3),
        (STRIDE, 0, 8, [3], [3], 3),
        (STRIDE, 0, 8, [3], [2], 3),
        (STRIDE, 0, 8, [0, 2], [3, 5], 3),
        (STRIDE, 0, 8, [0], [1], 2),
        (STRIDE, 0, 8, [0], [1], 4),
    ],
)
def test_ranges_that_have_no_row_before_are_refused(
    stride: int, time: int, until: int, starts: list[int], stops: list[int], room: int
) -> None:
    times, ranges = np.arange(3), (np.array(starts, np.int64), np.array(stops, np.int64))
    for rooms in ((room, 3), (3, room)):
        out = [np.full(one, -7, np.int64) for one in rooms]
        with pytest.raises(ValueError, match=r"stamps|rows|room|to"):
            before(ROWS, stride, time, until, *ranges, times, True, *out)
        assert all((one == -7).all() for one in out)


def test_codes_are_those_of_a_dict() -> None:
    """Growing past 2**16 patterns, in batches that end anywhere; half of them differ in their top bits."""
    chance = random.Random(1)
    patterns = [n << 44 for n in range(40_000)] + [chance.randrange(2**64) for _ in range(40_000)]
    patterns += [0, 1, 2**64 - 1, *range(100)]
    keys = patterns + chance.choices(patterns, k=30_000)
    chance.shuffle(keys)
    known: dict[int, int] = {}
    expected = [known.setdefault(key, len(known)) for key in keys]
    codes, found, done = Codes(), [], 0
    while done < len(keys):
        some = np.array(keys[done : done + chance.choice([0, 1, 31, 32, 33, 5_000, 40_000])], np.uint64)
        out = np.full(len(some) + 1, -7, np.int64)
        codes.of(some, out)
        assert out[-1] == -7
        found += out[:-1].tolist()
        done += len(some)
        assert len(codes) == max(found, default=-1) + 1
    assert found == expected and len(codes) == len(known) > 2**16


def test_codes_of_floats_are_found_as_fast_as_any() -> None:
    """Whole numbers as floats differ in their top bits alone: they must not all fall into one place."""
    chance = np.random.default_rng(1)
    costs = []
    for states in (chance.random(20_000), np.arange(20_000.0)):
        keys, codes = chance.permutation(states).view(np.uint64), Codes()
        out, start = np.empty(len(keys), np.int64), process_time_ns()
        codes.of(keys, out)
        codes.of(keys[::-1].copy(), out)
        costs.append(process_time_ns() - start)
    assert costs[1] < 30 * costs[0], "a hundred times as long"


ROWS = bytes(10 * STRIDE)
HUGE = 2**64 - 1


@pytest.mark.parametrize(
    ("stride", "offset", "size", "mask", "starts", "stops", "room"),
    [
        (0, 0, 1, 0, [0], [1], 9),
        (STRIDE, 0, 0, 0, [0], [1], 9),
        (STRIDE, STRIDE, 1, 0, [0], [1], 9),
        (STRIDE, STRIDE - 7, 8, 0, [0], [1], 9),
        (STRIDE, HUGE, 1, 0, [0], [1], 9),
        (STRIDE, 8, HUGE - 3, 0, [0], [2], 9),
        (STRIDE, 0, HUGE, 0, [0], [2], 9),
        (STRIDE, 0, 9, 1, [0], [1], 9),
        (STRIDE, 0, 8, 0, [-1], [1], 9),
        (STRIDE, 0, 8, 0, [0], [11], 19),
        (STRIDE, 0, 8, 0, [11], [11], 19),
        (STRIDE, 0, 8, 0, [3], [2], 9),
        (STRIDE, 0, 8, 0, [0, 5], [3], 9),
        (STRIDE, 0, 8, 0, [0], [3, 5], 9),
        (STRIDE, 0, 8, 0, [0], [10], 9),
        (STRIDE, 0, 8, 0, [0, 0], [5, 5], 9),
        (STRIDE + 1, 0, 8, 0, [0], [10], 19),
    ],
)
def test_what_does_not_lie_within_the_rows_is_refused(
    stride: int, offset: int, size: int, mask: int, starts: list[int], stops: list[int], room: int
) -> None:
    ranges = np.array(starts, np.int64), np.array(stops, np.int64), np.full(room, -7, np.int64)
    with pytest.raises(ValueError, match=r"bytes|rows|room"):
        changes(ROWS, stride, offset, size, mask, *ranges)
    assert (ranges[2] == -7).all()
    if mask == 0 and (offset, size) == (0, 8):
        with pytest.raises(ValueError, match=r"bytes|rows|room"):
            silences(ROWS, stride, 0, 8, 5, *ranges)
    if offset:
        with pytest.raises(ValueError, match=r"bytes|stamps"):
            silences(ROWS, stride, 0, max(offset, STRIDE - 7), 5, *ranges)
        with pytest.raises(ValueError, match=r"bytes|stamps"):
            silences(ROWS, stride, max(offset, STRIDE - 7), 0, 5, *ranges)


def test_no_room_for_codes() -> None:
    with pytest.raises(ValueError, match="room"):
        Codes().of(np.arange(3, dtype=np.uint64), np.empty(2, np.int64))


def test_nothing_at_all() -> None:
    none, out = np.empty(0, np.int64), np.empty(0, np.int64)
    assert changes(b"", 8, 0, 8, 0, none, none, out) == 0
    assert silences(b"", 8, 0, 0, 5, none, none, out) == 0
    assert changes(ROWS, STRIDE, 0, 8, 0, np.array([4]), np.array([4]), out) == 0
    before(ROWS, STRIDE, 0, 8, np.array([4]), np.array([5]), none, False, out, out)
    Codes().of(np.empty(0, np.uint64), out)


@pytest.mark.parametrize(
    ("size", "mask"), [(1, 0), (2, 0), (4, 0), (8, 0), (3, 0), (7, 0), (1, 0x3C), (3, 0x0FFF0), (8, 7 << 61)]
)
@pytest.mark.parametrize("states", [1, 5, 300])
def test_rows_are_counted_by_their_patterns(size: int, mask: int, states: int) -> None:
    random = np.random.default_rng([size, mask & 0xFF, states])
    stride, offset = 21, 9
    rows = random.integers(0, 256, (3000, stride), np.uint8)
    some = random.integers(0, 256, (states, size), np.uint8)
    rows[:, offset : offset + size] = some[random.integers(0, states, len(rows))]
    starts, stops = np.array([0, 10, 11, 500, 2999]), np.array([10, 10, 400, 2900, 3000])
    keys = [int.from_bytes(row[offset : offset + size].tobytes(), "little") for row in rows]
    wanted: dict[int, list[int]] = {}
    for start, stop in zip(starts.tolist(), stops.tolist(), strict=True):
        for row in range(start, stop):
            wanted.setdefault(keys[row] & (mask or 2**64 - 1), [0, row])[0] += 1
    codes, counts, first = Codes(), np.full(2048, 77, np.uint64), np.full(2048, -1)
    for _ in range(2):  # nothing is left of the call before
        found = codes.tally(rows.reshape(-1), stride, offset, size, mask, starts, stops, counts, first)
        assert found == len(wanted)
        pairs = zip(counts[:found].tolist(), first[:found].tolist(), strict=True)
        assert [list(one) for one in pairs] == list(wanted.values())
    assert (counts[found + 1 :] == 77).all() or states == 300


def test_of_more_patterns_than_there_is_room_for_none_is_counted() -> None:
    rows = np.arange(5000, dtype=np.uint64)
    codes, ends = Codes(), (np.array([0]), np.array([5000]))
    for room in (0, 1, 31, 32, 33, 1000):
        counts, first = np.full(room + 9, 77, np.uint64), np.full(room, 77)
        assert codes.tally(rows.view(np.uint8), 8, 0, 8, 0, *ends, counts[:room], first) == -1
        assert (counts[room:] == 77).all()
    counts, first = np.empty(8192, np.uint64), np.empty(8192, np.int64)
    assert codes.tally(rows.view(np.uint8), 8, 0, 8, 0, *ends, counts, first) == 5000
    assert (counts[:5000] == 1).all() and (first[:5000] == np.arange(5000)).all()


@pytest.mark.parametrize(
    ("size", "offset", "starts", "stops"),
    [
        (0, 0, [0], [1]),
        (9, 0, [0], [1]),
        (4, 14, [0], [1]),
        (4, 2**63, [0], [1]),
        (4, 0, [-1], [1]),
        (4, 0, [0], [11]),
        (4, 0, [5], [4]),
        (4, 0, [0, 1], [1]),
    ],
)
def test_nothing_beyond_the_rows_is_counted(
    size: int, offset: int, starts: list[int], stops: list[int]
) -> None:
    rows, room = np.zeros(160, np.uint8), (np.empty(99, np.uint64), np.empty(99, np.int64))
    with pytest.raises(ValueError):
        Codes().tally(rows, 16, offset, size, 0, np.array(starts), np.array(stops), *room)
