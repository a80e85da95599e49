"""Channels merged by time: as one stable sort of all would have it, with no more than a part of each."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastrec.records import ArrayChunk, Chunk, Records
from fastrec.records.merging import merge, parts
from fastrec.schema import Schema
from fastrec.schema.gaps import GAP_DTYPE

SCHEMA = Schema.from_dtype(np.dtype([("n", "<u4")]), name="n")


def rows_stamped(stamps: np.ndarray) -> np.ndarray:
    rows = np.zeros(len(stamps), SCHEMA.record())
    rows["mono_ns"] = stamps
    rows["n"] = np.arange(len(stamps))
    return rows


def records_of(*chunks: Chunk) -> Records:
    return Records("n", SCHEMA, chunks, gaps=np.empty(0, GAP_DTYPE), clock=None)


def records(stamps: np.ndarray, cuts: int = 1) -> Records:
    """Records in `cuts` chunks."""
    pieces = np.array_split(rows_stamped(stamps), cuts)
    firsts = np.cumsum([0, *map(len, pieces[:-1])]).tolist()
    return records_of(*(ArrayChunk(piece, first) for piece, first in zip(pieces, firsts, strict=True)))


def numbers(name: str, parts: Iterator[Records]) -> Iterator[tuple[int, int]]:
    for part in parts:
        yield from zip(part["mono_ns"].tolist(), part["n"].tolist(), strict=True)


def by_sorting(channels: dict[str, np.ndarray]) -> list[tuple[int, str, int]]:
    """The oracle. A stamp that runs backwards has its place right behind those before it."""
    stamps = np.concatenate([*channels.values(), np.empty(0, int)])
    keys = np.concatenate([*(np.maximum.accumulate(one) for one in channels.values()), np.empty(0, int)])
    order = np.argsort(keys, kind="stable")
    names = [name for name, one in channels.items() for _ in one]
    counts = [n for one in channels.values() for n in range(len(one))]
    return [(int(stamps[k]), names[k], counts[k]) for k in order]


# Steps of few sizes: stamps are often equal, within a channel and between them.
CHANNELS = st.lists(
    st.tuples(st.integers(0, 700), st.integers(0, 3), st.integers(0, 2**32), st.integers(1, 5)), max_size=5
)


@settings(max_examples=100, deadline=None)
@given(shapes=CHANNELS, backwards=st.booleans())
def test_as_one_stable_sort(shapes: list[tuple[int, int, int, int]], backwards: bool) -> None:
    stamps, given_ = {}, {}
    for place, (count, step, seed, cuts) in enumerate(shapes):
        steps = np.random.default_rng(seed).integers(-2 * backwards, step + 1, count)
        # Named against the alphabet: the order of the mapping counts.
        name = f"c{9 - place}"
        stamps[name] = 1000 + np.cumsum(steps)
        given_[name] = records(stamps[name], cuts)
    merged = list(merge(given_, numbers))
    assert merged == by_sorting(stamps)
    for name, one in stamps.items():
        assert [n for _, channel, n in merged if channel == name] == list(range(len(one)))


def test_equal_stamps_come_in_the_order_of_the_mapping() -> None:
    same = np.full(300, 7)
    merged = list(merge({"b": records(same), "a": records(same)}, numbers))
    assert [name for _, name, _ in merged] == ["b"] * 300 + ["a"] * 300


def test_parts_are_all_of_it() -> None:
    whole = records(np.arange(3000), 4)
    sizes = [len(part) for part in parts(whole)]
    assert sum(sizes) == 3000 and sizes[0] == 64 and max(sizes) == 256
    assert np.concatenate([part["n"] for part in parts(whole)]).tolist() == list(range(3000))
    assert list(parts(records(np.arange(0)))) == []


def test_what_is_read_may_leave_out_and_add() -> None:
    def read(name: str, parts: Iterator[Records]) -> Iterator[tuple[int, str]]:
        for part in parts:
            for n in part["n"].tolist():
                if n % 2:
                    yield n, f"{name}{n}"
        yield 2, f"end of {name}"

    merged = [item for _, _, item in merge({"a": records(np.arange(4)), "b": records(np.arange(4))}, read)]
    assert merged == ["a1", "b1", "a3", "end of a", "b3", "end of b"]


class Counting(ArrayChunk):
    """Says how far it was read."""

    def __init__(self, array: np.ndarray) -> None:
        super().__init__(array)
        self.read, self.most = 0, 0

    def rows(self, start: int, stop: int) -> np.ndarray:
        self.read, self.most = max(self.read, stop), max(self.most, stop - start)
        return super().rows(start, stop)


@pytest.mark.parametrize("count", [100_000])
def test_no_more_than_a_part_of_each_is_read_ahead(count: int) -> None:
    chunks = {name: Counting(rows_stamped(np.arange(count) * step)) for name, step in (("a", 1), ("b", 10))}
    taken = dict.fromkeys(chunks, 0)
    for _, name, n in merge({name: records_of(chunk) for name, chunk in chunks.items()}, numbers):
        assert n == taken[name]
        taken[name] += 1
        if n == 0:
            assert chunks[name].read <= 64
        if n % 1000 == 0:
            assert all(chunk.read <= taken[one] + 256 for one, chunk in chunks.items())
    assert taken == dict.fromkeys(chunks, count) and max(chunk.most for chunk in chunks.values()) <= 256
