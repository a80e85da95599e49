"""The index rows of some ranges of records against a look at all of them."""

from __future__ import annotations

import os
import random
from pathlib import Path

import numpy as np
import pytest
from core.test_index import BASE, BLOCK, LIMIT, packed, with_sums

from fastrec.core.index import pick

HEAD = 128


class Index:
    """The index of a segment whose blocks have some sizes; 0: losses that were committed alone."""

    def __init__(self, path: Path, sizes: list[int], begin: int) -> None:
        self.path, self.sizes, self.begin = path, sizes, begin
        self.at = np.cumsum([0, *sizes]).tolist()
        rows = [
            packed(begin + at, size, number, 2 * number)
            for number, (at, size) in enumerate(zip(self.at, sizes, strict=False))
        ]
        self.data = with_sums(b"".join(rows))
        self.write(self.data)

    def write(self, data: bytes) -> None:
        self.path.write_bytes(bytes(HEAD) + data)

    def pick(
        self, starts: list[int], stops: list[int], room: int = 4096, **other: int
    ) -> list[tuple[int, bytes]] | None:
        """Where each block begins that was found, and its index row."""
        index, at = np.zeros(64 * room, np.uint8), np.zeros(room, np.int64)
        given = {"count": len(self.sizes), "base": BASE, "begin": self.begin, "most": self.at[-1]}
        given |= {"numbers": LIMIT} | other
        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            ranges = np.array(starts, np.int64), np.array(stops, np.int64)
            found = pick(descriptor, HEAD, *given.values(), *ranges, index, at)
        finally:
            os.close(descriptor)
        if found is None:
            return None
        data = index.tobytes()
        return [(row, data[64 * n : 64 * n + 64]) for n, row in enumerate(at[:found].tolist())]

    def due(self, starts: list[int], stops: list[int]) -> list[tuple[int, bytes]]:
        ranges = list(zip(starts, stops, strict=True))
        return [
            (at, self.data[64 * number : 64 * number + 64])
            for number, (at, size) in enumerate(zip(self.at, self.sizes, strict=False))
            if size and any(at < stop and start < at + size for start, stop in ranges)
        ]


def some_index(path: Path, luck: random.Random) -> Index:
    """Blocks of one size, as a rule; of all sizes; small ones in front of large ones, or behind."""
    kind, count = luck.choice(["even", "any", "front", "behind"]), luck.choice([1, 2, 30, 300])
    sizes, row = [], 0
    for number in range(count):
        small = kind == "any" or kind == ("front" if number < count // 2 else "behind")
        size = 0 if luck.random() < 0.1 else luck.choice([1, 5, 1000]) if small else BLOCK
        sizes.append(min(size, BLOCK - row % BLOCK))
        row += sizes[-1]
    if not row:
        sizes.append(7)
    return Index(path, sizes, luck.choice([0, 5, 2**61]))


def some_ranges(index: Index, luck: random.Random) -> tuple[list[int], list[int]]:
    edges = sorted({luck.randrange(index.at[-1] + 1) for _ in range(2 * luck.choice([1, 2, 9]))} | {0})
    edges = [0, index.at[-1]] if len(edges) < 2 else edges[len(edges) % 2 :]
    starts, stops = edges[::2], edges[1::2]
    if luck.random() < 0.5:  # short ones
        stops = [
            min(stop, start + luck.choice([1, BLOCK])) for start, stop in zip(starts, stops, strict=True)
        ]
    return starts, stops


def test_the_rows_of_the_blocks_of_some_ranges(tmp_path: Path) -> None:
    luck = random.Random(3)
    for _ in range(60):
        index = some_index(tmp_path / "index", luck)
        for _ in range(20):
            starts, stops = some_ranges(index, luck)
            found = index.pick(starts, stops)
            assert found is not None
            sizes = [int.from_bytes(row[48:52], "little") for _, row in found]
            assert [one for one, size in zip(found, sizes, strict=True) if size] == index.due(starts, stops)
            assert index.pick(starts, stops, len(found)) == found
            assert index.pick(starts, stops, len(found) - 1) is None


def test_damage_is_never_taken_for_an_answer(tmp_path: Path) -> None:
    """Where a row is not whole, or claims another place, it finds what it would, or nothing."""
    luck = random.Random(4)
    told = 0
    for _ in range(300):
        index = some_index(tmp_path / "index", luck)
        starts, stops = some_ranges(index, luck)
        whole = index.pick(starts, stops)
        number = luck.randrange(len(index.sizes))
        data = bytearray(index.data)
        if luck.random() < 0.5:
            data[64 * number + luck.randrange(64)] ^= 1 << luck.randrange(8)
        else:
            liar = packed(luck.choice([0, index.begin, index.begin + luck.randrange(9000), 2**63]), BLOCK)
            data[64 * number : 64 * number + 64] = with_sums(liar, number)
        index.write(bytes(data))
        found = index.pick(starts, stops)
        if bytes(data[64 * number : 64 * number + 64]) in [row for _, row in found or ()]:
            at, row = next(one for one in found if one[1] == data[64 * number : 64 * number + 64])
            assert row[:8] == (index.begin + at).to_bytes(8, "little")  # it could be true
        elif found is not None:
            sizes = [int.from_bytes(row[48:52], "little") for _, row in found]
            assert [one for one, size in zip(found, sizes, strict=True) if size] == index.due(starts, stops)
        told += found is None
        index.write(index.data[: 64 * number + 63])
        assert index.pick(starts, stops) in (None, whole)
    assert told > 50


def test_no_block_lies_in_another(tmp_path: Path) -> None:
    index = Index(tmp_path / "index", [100] * 10, 7)
    for at, found in ((100, True), (99, False), (50, False), (101, True), (120, True), (121, False)):
        index.write(index.data[:64] + with_sums(packed(7 + at, 100, 1, 2), 1) + index.data[128:])
        assert (index.pick([5, 120], [6, 121]) is not None) == found


def test_what_is_not_in_the_segment_is_not_found(tmp_path: Path) -> None:
    index = Index(tmp_path / "index", [BLOCK, BLOCK, 5], 7)
    for start, stop in ((-1, 3), (3, 3), (4, 3), (0, 2 * BLOCK + 6), (2 * BLOCK + 5, 2 * BLOCK + 6)):
        assert index.pick([start], [stop]) is None
    assert index.pick([5], [9], most=2 * BLOCK) is not None  # the last was not asked
    assert index.pick([2 * BLOCK], [2 * BLOCK + 1], most=2 * BLOCK + 1) is None
    assert index.pick([0], [1], begin=8) is None
    assert index.pick([0], [1], numbers=7 + BLOCK) is None
    assert index.pick([0], [1], base=BASE + 1) is None
    assert index.pick([0], [1], count=0) is None
    assert index.pick([], []) == []


def test_wrong_arguments_are_refused(tmp_path: Path) -> None:
    ones, at = np.ones(1, np.int64), np.empty(1, np.int64)
    folder = os.open(tmp_path, os.O_RDONLY)
    with pytest.raises(IsADirectoryError):
        pick(folder, 0, 1, BASE, 0, 9, LIMIT, ones - 1, ones, np.empty(64, np.uint8), at)
    os.close(folder)
    for size, ends in ((63, ones), (128, ones), (64, np.ones(2, np.int64))):
        with pytest.raises(ValueError, match=f"{size} bytes for 1 rows, 1 ranges"):
            pick(folder, 0, 1, BASE, 0, 9, LIMIT, ones - 1, ends, np.empty(size, np.uint8), at)
    assert pick(folder, 0, 1, BASE, 0, 9, LIMIT, ones - 1, ones, np.empty(0, np.uint8), at[:0]) is None
