"""Where knowledge breaks off near some rows: every place is found, and nothing far from them is looked at."""

from __future__ import annotations

import numpy as np
import pytest
from common import gaps
from sequences import SCHEMA

from fastrec.records import ArrayChunk, locating
from fastrec.records.breaks import Breaks
from fastrec.records.rows import Rows, Span


class Watched(Breaks):
    """Breaks that remember for which rows they were asked."""

    def within(self, chunk: ArrayChunk, start: int, stop: int) -> np.ndarray:
        self.asked = [*getattr(self, "asked", []), (start, stop)]
        return super().within(chunk, start, stop)


def rows_of(times: list[int], first: int = 0) -> Rows:
    array = np.zeros(len(times), SCHEMA.record("every"))
    array["mono_ns"] = times
    half = len(times) // 2
    chunk = ArrayChunk(array)
    return Rows([Span(chunk, first, half), Span(chunk, half, len(times))])


@pytest.mark.parametrize("block", [1, 2, 5, 7, 65_536])
def test_every_place_at_which_an_interval_ends(monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(locating, "BLOCK", block)
    steps = np.random.default_rng(3).choice([1, 100], 46).tolist()
    rows, breaks = rows_of(np.cumsum(steps).tolist(), 2), Breaks(gaps(), 50, False, holds=False)
    wanted = [place - 3 for place in range(3, 46) if steps[place] == 100] + [43]
    for places in (np.arange(44), np.repeat(np.arange(44), 3)):
        assert locating._cuts(rows, "mono_ns", breaks, places).tolist() == wanted
    for step in (2, 5, 20):
        places = np.arange(1, 44, step)
        found = locating._cuts(rows, "mono_ns", breaks, places).tolist()
        assert sorted(found) == found and set(found) & set(places.tolist()) == set(wanted) & set(
            places.tolist()
        )
    assert locating._cuts(rows, "mono_ns", breaks, np.arange(0)).tolist() == []


def test_rows_far_from_all_places_are_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locating, "BLOCK", 4)
    rows, breaks = rows_of(list(range(200))), Watched(gaps(), 50, False, holds=False)
    assert locating._cuts(rows, "mono_ns", breaks, np.array([3, 5, 40, 150, 199])).tolist() == [199]
    assert breaks.asked == [(3, 7), (40, 42), (150, 152), (199, 200)]


@pytest.mark.parametrize("direction", ["backward", "forward", "nearest"])
def test_rows_that_were_picked_are_not_read_for_each_block_of_times_again(
    monkeypatch: pytest.MonkeyPatch, direction: locating.Direction
) -> None:
    monkeypatch.setattr(locating, "BLOCK", 8)
    read: list[int] = []

    class Chunk(ArrayChunk):
        def at(self, places: np.ndarray, name: str | None = None) -> np.ndarray:
            read.append(len(places))
            return super().at(places, name)

    array = np.zeros(300, SCHEMA.record("every"))
    array["mono_ns"] = np.arange(300) * 10
    rows = Rows([Span(Chunk(array), 0, 300)]).pick(np.arange(0, 300, 3))
    times = np.arange(-7, 3100)
    found = locating.located(
        rows, "mono_ns", Breaks(gaps(), None, False, holds=False), times, direction, None
    )
    before, behind = times // 30, -(-times // 30)
    before, behind = np.minimum(before, 99), np.where(behind > 99, -1, np.maximum(behind, 0))
    before[times < 0] = -1
    nearer = (before >= 0) & ((behind < 0) | (times - 30 * before <= 30 * behind - times))
    wanted = {"backward": before, "forward": behind, "nearest": np.where(nearer, before, behind)}[direction]
    assert found.place.tolist() == wanted.tolist()
    assert sum(read) < 10 * len(rows)  # in 388 blocks of times; it would be over 3,000
