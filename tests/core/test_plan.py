"""Blocks of some ranges, and the batches in which they are read, against a look at every row."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from core.test_index import packed, with_sums

from fastrec.core.plan import batched


class Task:
    """Blocks of some sizes, 0 of losses alone, and ranges of rows in them."""

    def __init__(self, sizes: list[int], ranges: list[tuple[int, int]], most: int) -> None:
        self.sizes, self.ranges, self.most = sizes, ranges, most
        self.at = np.cumsum([0, *sizes])[:-1].astype(np.int64)
        rows = [packed(int(at), size, 0, 0) for at, size in zip(self.at, sizes, strict=True)]
        self.index = np.frombuffer(with_sums(b"".join(rows)), np.uint8).copy()
        self.index.reshape(-1, 64)[:, 52:56].view("<u4")[:, 0] = 1_000_000_007 * np.arange(1, 1 + len(sizes))

    def arguments(self) -> dict[str, Any]:
        starts, stops = np.array(self.ranges, np.int64).reshape(-1, 2).T.copy()
        low, high = np.searchsorted(self.at, starts, "right") - 1, np.searchsorted(self.at, stops, "left")
        room = int((high - low).sum())
        return {
            "index": self.index,
            "at": self.at,
            "starts": starts,
            "stops": stops,
            "low": low,
            "high": high,
            "most": self.most,
            "blocks": np.full((6, room), -7, np.int64),
            "crcs": np.zeros(room, np.uint32),
            "begins": np.full(len(starts), -7, np.int64),
            "cuts": np.full(room + 1, -7, np.int64),
        }

    def found(self) -> tuple[list[list[int]], list[int], list[int], list[int]]:
        """Blocks, checksums, where ranges begin, cuts."""
        given = self.arguments()
        count, batches = batched(*given.values())
        blocks, crcs = given["blocks"][:, :count].T.tolist(), given["crcs"][:count].tolist()
        assert (given["blocks"][:, count:] == -7).all() and (given["cuts"][batches + 1 :] == -7).all()
        return blocks, crcs, given["begins"].tolist(), given["cuts"][: batches + 1].tolist()

    def due(self) -> tuple[list[list[int]], list[int], list[int], list[int]]:
        blocks: list[list[int]] = []
        crcs: list[int] = []
        cuts: list[int] = []
        place = 0
        for number, (at, size) in enumerate(zip(self.at.tolist(), self.sizes, strict=True)):
            inside = [one for one in self.ranges if max(one[0], at) < min(one[1], at + size)]
            if not inside:
                continue
            start, stop = max(inside[0][0], at) - at, min(inside[0][1], at + size) - at
            if not blocks or place // self.most != blocks[-1][3] // self.most:
                cuts.append(len(blocks))
            blocks.append([number, at, size, place, start, stop])
            crcs.append(int(self.index[64 * number + 52 :][:4].view("<u4")[0]))
            place += size
        begins = [
            next(n for n, block in enumerate(blocks) if block[1] <= start < block[1] + block[2])
            for start, _ in self.ranges
        ]
        return blocks, crcs, begins, [*cuts, len(blocks)]


def drawn(luck: random.Random) -> Task:
    sizes = [luck.choice((0, 1, 2, 5, 1024)) for _ in range(luck.randint(1, 30))]
    sizes[luck.randrange(len(sizes))] = luck.randint(1, 9)
    total = sum(sizes)
    edges = sorted(luck.sample(range(total + 1), min(total + 1, 2 * luck.randint(1, 6))))
    pairs = list(zip(edges[::2], edges[1::2], strict=False))
    if luck.random() < 0.3:  # one begins where the one before ends
        pairs = list(pairwise(edges))
    return Task(sizes, pairs, luck.choice((1, 3, 1024, 2_000, 65_536)))


def test_every_block_that_has_rows_of_them_is_there_once() -> None:
    luck = random.Random(7)
    several = 0
    for _ in range(3_000):
        task = drawn(luck)
        assert task.found() == task.due()
        several += len(task.due()[3]) > 2
    assert several > 500


def test_a_range_that_begins_where_another_ended_in_the_same_block() -> None:
    task = Task([4, 0, 4, 4], [(1, 5), (6, 7), (7, 9)], 100)
    assert task.found()[0] == [[0, 0, 4, 0, 1, 4], [2, 4, 4, 4, 0, 1], [3, 8, 4, 8, 0, 1]]
    assert task.found()[2] == [0, 1, 1]


def test_there_need_be_room_for_what_is_written_alone() -> None:
    task = Task([4, 4, 4], [(0, 12)], 8)
    given = task.arguments() | {"cuts": np.zeros(3, np.int64)}
    assert batched(*given.values()) == (3, 2)
    assert given["cuts"].tolist() == [0, 2, 3]
    with pytest.raises(ValueError, match="more than 1 batches"):
        batched(*(given | {"cuts": np.zeros(2, np.int64)}).values())


SMALL = Task([3, 0, 5], [(0, 2), (4, 8)], 4)

WRONG: dict[str, dict[str, Any]] = {
    "no ranges": {name: np.empty(0, np.int64) for name in ("starts", "stops", "low", "high", "begins")},
    "fewer ends": {"stops": np.array([2], np.int64)},
    "fewer blocks of theirs": {"low": np.array([0], np.int64)},
    "more blocks of theirs": {"high": np.array([1, 3, 3], np.int64)},
    "no room for begins": {"begins": np.empty(1, np.int64)},
    "no rows at most": {"most": 0},
    "fewer rows below none": {"most": -1},
    "half an index row": {"index": SMALL.index[:-1]},
    "an index row too few": {"index": SMALL.index[:-64]},
    "no index": {"index": SMALL.index[:0]},
    "seven columns": {"blocks": np.empty((7, 2), np.int64)},
    "room for others": {"blocks": np.empty((6, 3), np.int64)},
    "room for one": {"blocks": np.empty((6, 1), np.int64), "crcs": np.empty(1, np.uint32)},
    "no room for cuts": {"cuts": np.empty(1, np.int64)},
    "none at all": {"cuts": np.empty(0, np.int64)},
    "blocks before": {"low": np.array([-1, 2], np.int64)},
    "blocks beyond": {"high": np.array([1, 4], np.int64)},
    "blocks that end first": {"low": np.array([2, 2], np.int64)},
    "blocks without rows": {"low": np.array([1, 1], np.int64), "high": np.array([2, 2], np.int64)},
    "a range without a block": {"low": np.array([0, 1], np.int64), "high": np.array([1, 2], np.int64)},
    "a block before the first row": {"at": np.array([0, 3, -1], np.int64)},
    "an empty range": {"stops": np.array([0, 8], np.int64)},
    "a range before the first row": {"starts": np.array([-1, 4], np.int64)},
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_arguments_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        batched(*(SMALL.arguments() | WRONG[name]).values())
