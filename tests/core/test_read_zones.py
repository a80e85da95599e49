"""Zone rows of a file, reduced to some fields, against NumPy."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import google_crc32c
import numpy as np
import pytest

from fastrec.core.zone import read_runs, read_zones, zone_runs

BASE, HEAD, FIRST = 4711, 192, 5
PIECE = 1 << 16
"""Bytes that are read at once."""


def seal(rows: np.ndarray) -> None:
    """Put the checksums into rows of uint64."""
    for number, row in enumerate(rows.view(np.uint32)):
        seed = google_crc32c.extend(BASE, (FIRST + number).to_bytes(8, "little"))
        row[-1] = google_crc32c.extend(seed, row[:-1].tobytes())


def rows_of(k: int, count: int) -> np.ndarray:
    """Rows of random words, sealed: ndarray of uint64, shape (count, 2 + 4 * k)."""
    rows = np.random.default_rng(k).integers(0, 2**64, (count, 2 + 4 * k), np.uint64)
    seal(rows)
    return rows


def reduced(rows: np.ndarray, k: int, columns: list[int], turns: list[int]) -> np.ndarray:
    parts = [rows[:, 1 + k * n : 1 + k * (n + 1)][:, columns] for n in range(4)]
    whole = np.array(turns, bool)
    parts[3:] = [np.where(whole, 0, parts[3]), np.where(whole, parts[3], 0)]
    return np.concatenate([rows[:, :1], *parts, rows[:, -1:]], axis=1, dtype=np.uint64)


def read(
    path: Path, k: int, count: int, columns: list[int], turns: list[int], first: int = FIRST
) -> tuple[np.ndarray, np.ndarray]:
    out, whole = np.full((count, 2 + 5 * len(columns)), 7, np.uint64), np.full(count, 9, np.uint8)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        chosen = np.array(columns, np.int64), np.array(turns, np.uint8)
        read_zones(descriptor, HEAD + (first - FIRST) * (16 + 32 * k), k, *chosen, BASE, first, out, whole)
    finally:
        os.close(descriptor)
    return out, whole


def counts(k: int) -> list[int]:
    many = PIECE // (16 + 32 * k)
    return [1, 2, many - 1, many, many + 1, 2 * many, 7 * many + 1]


@pytest.mark.parametrize("k", [1, 6, 40])
def test_some_fields_of_any_number_of_zones(tmp_path: Path, k: int) -> None:
    rows = rows_of(k, counts(k)[-1])
    path = tmp_path / "zones"
    path.write_bytes(bytes(HEAD) + rows.tobytes())
    for count in counts(k):
        for columns in ([], [0], [k - 1], [*range(k)]):
            turns = [column % 2 for column in columns]
            out, whole = read(path, k, count, columns, turns)
            assert whole.all() and np.array_equal(out, reduced(rows[:count], k, columns, turns))
    skipped = len(rows) // 3
    out, whole = read(path, k, len(rows) - skipped, [0], [1], FIRST + skipped)
    assert whole.all() and np.array_equal(out, reduced(rows[skipped:], k, [0], [1]))


def test_each_row_proves_itself(tmp_path: Path) -> None:
    """Damaged ones are told, wherever they lie; the others are as they were."""
    k, path = 6, tmp_path / "zones"
    for count in counts(k):
        rows = rows_of(k, count)
        harmed = sorted({0, count // 2 - 1, count // 2, count - 1} & set(range(count)))
        data = bytearray(rows.tobytes())
        for number in harmed:
            data[number * 208 + (number * 7) % 208] ^= 4
        path.write_bytes(bytes(HEAD) + data)
        out, whole = read(path, k, count, [3], [0])
        assert np.flatnonzero(whole == 0).tolist() == harmed
        assert np.array_equal(out[whole == 1], reduced(rows, k, [3], [0])[whole == 1])
        path.write_bytes(bytes(HEAD) + np.roll(rows, 1, axis=0).tobytes())  # each in another's place
        assert not read(path, k, count, [3], [0])[1].any() or count == 1


def test_a_file_that_ends_before(tmp_path: Path) -> None:
    """What is not there is zeros, and not whole."""
    k, path = 6, tmp_path / "zones"
    count = counts(k)[-1]
    rows = rows_of(k, count)
    for size in (0, 207, 208, 208 * (count // 2) - 1, 208 * (count // 2) + 300, 208 * count - 1):
        path.write_bytes(bytes(HEAD) + rows.tobytes()[:size])
        out, whole = read(path, k, count, [1], [1])
        there = size // 208
        assert whole.tolist() == [1] * there + [0] * (count - there)
        assert np.array_equal(out[:there], reduced(rows[:there], k, [1], [1])) and not out[there:].any()


def test_what_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    folder = os.open(tmp_path, os.O_RDONLY)
    for count in counts(1):
        out, whole = np.empty((count, 7), np.uint64), np.empty(count, np.uint8)
        with pytest.raises(OSError) as caught:
            read_zones(folder, 0, 1, np.zeros(1, np.int64), np.zeros(1, np.uint8), BASE, 0, out, whole)
        assert caught.value.errno == errno.EISDIR
    os.close(folder)


def test_wrong_arguments_are_refused() -> None:
    def given(
        columns: list[int], turns: int = 1, rows: int = 3, words: int = 7, whole: int = 3
    ) -> tuple[object, ...]:
        out = np.empty((rows, words), np.uint64)
        return np.array(columns), np.zeros(turns, np.uint8), BASE, 0, out, np.empty(whole, np.uint8)

    for wrong, said in (
        (given([6]), "no field 6 of 6"),
        (given([-1]), "no field -1 of 6"),
        (given([0], turns=2), "2 columns, not 1"),
        (given([0], words=6), "3 x 6 words for 3 zones of 1 fields"),
        (given([0], whole=4), "3 x 7 words for 4 zones"),
    ):
        with pytest.raises(ValueError, match=said):
            read_zones(-1, 0, 6, *wrong)
    read_zones(-1, 0, 6, *given([0], whole=0))  # there is nothing to read


@pytest.mark.parametrize("floating", [False, True])
def test_runs_are_those_of_the_rows_that_are_whole(tmp_path: Path, floating: bool) -> None:
    """Steady zones, some that turn, noise, and damaged ones, in pieces."""
    k, column, chance = 6, 4, np.random.default_rng(floating)
    count = counts(k)[-1]
    rows = chance.integers(0, 2**64, (count, 2 + 4 * k), np.uint64)
    polls, least, most, sums, last = (rows[:, place] for place in (0, *range(1 + column, 2 + 4 * k - 1, k)))
    polls[:] = 1024
    kind = chance.integers(0, 4, count)
    calm = kind > 0
    least[calm] = np.where(chance.random(count) < 0.7, 7, 9)[calm]
    most[calm], last[calm] = least[calm], 0
    turns = kind == 1
    most[turns] += np.uint64(5)
    before = chance.integers(1, 1024, count).astype(np.uint64)
    sums[turns] = (1024 * least + 5 * before)[turns]
    last[turns] = (1 << 63) + np.arange(count, dtype=np.uint64)[turns]
    if floating:
        for ends in (least, most):
            ends[calm] = ends[calm].astype(np.float64).view(np.uint64)
    seal(rows)
    rows[kind == 3, 0] ^= np.uint64(chance.integers(0, 2**62)) * (chance.random((kind == 3).sum()) < 0.1)
    (tmp_path / "zones").write_bytes(bytes(HEAD) + rows.tobytes())
    words, whole = read(tmp_path / "zones", k, count, [column], [not floating])
    words[whole == 0] = 0
    due, known_due = np.empty((2 * count, 4), np.int64), np.empty(count, np.uint8)
    found_due = zone_runs(words, 3, floating, due, known_due)
    found, known = np.empty((2 * count, 4), np.int64), np.empty(count, np.uint8)
    descriptor = os.open(tmp_path / "zones", os.O_RDONLY)
    given = descriptor, HEAD, k, column, not floating, BASE, FIRST, 3
    assert read_runs(*given, found, known) == found_due > 100
    assert np.array_equal(found[:found_due], due[:found_due]) and np.array_equal(known, known_due)
    assert 0 < (whole == 0).sum() < count and 0 < known.sum() < count
    assert (found[:found_due, 3] > 0).any() != floating  # with a stamp: behind a turn
    os.truncate(tmp_path / "zones", HEAD + 208 * 50 + 7)
    assert read_runs(*given, found, known) < found_due and not known[50:].any()
    assert np.array_equal(known[:50], known_due[:50])
    os.close(descriptor)


def test_runs_that_cannot_be_read(tmp_path: Path) -> None:
    room = np.empty((6, 4), np.int64), np.empty(3, np.uint8)
    folder = os.open(tmp_path, os.O_RDONLY)
    with pytest.raises(IsADirectoryError):
        read_runs(folder, 0, 6, 0, True, BASE, 0, 0, *room)
    os.close(folder)
    with pytest.raises(ValueError, match="no field 6 of 6"):
        read_runs(-1, 0, 6, 6, True, BASE, 0, 0, *room)
    with pytest.raises(ValueError, match="5 runs of 4 words for 3 zones"):
        read_runs(-1, 0, 6, 0, True, BASE, 0, 0, room[0][:5], room[1])
    assert read_runs(-1, 0, 6, 0, True, BASE, 0, 0, room[0], room[1][:0]) == 0


def test_runs_need_room() -> None:
    zones = np.zeros((3, 7), np.uint64)
    for rows, width, runs, known, said in (
        (3, 6, 6, 3, "3 zones of 6 words, 3 to be known"),
        (3, 7, 6, 2, "3 zones of 7 words, 2 to be known"),
        (3, 7, 5, 3, "5 runs of 4 words for 3 zones"),
    ):
        room = np.zeros((runs, 4), np.int64), np.zeros(known, np.uint8)
        with pytest.raises(ValueError, match=said):
            zone_runs(zones[:rows, :width].copy(), 0, False, *room)
    assert zone_runs(zones[:0], 0, False, np.zeros((0, 4), np.int64), np.zeros(0, np.uint8)) == 0
    assert zone_runs(zones, 0, False, np.zeros((6, 4), np.int64), np.zeros(3, np.uint8)) == 0
