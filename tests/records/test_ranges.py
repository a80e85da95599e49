"""Which rows of a span are zones, and what is read of those of which no zone tells; what is begun ahead."""

from __future__ import annotations

import random
from collections.abc import Iterator

import numpy as np
import pytest

from fastrec.records import ranges
from fastrec.records.chunks import ArrayChunk
from fastrec.records.parts import each
from fastrec.records.ranges import ZONE, ahead, divided, seldom, zone_behind
from fastrec.records.rows import Span


@pytest.fixture
def chunk() -> ArrayChunk:
    """Nine zones, and rows before and behind them."""
    made = ArrayChunk(np.zeros(9 * ZONE + 900, [("mono_ns", "i8")]))
    made.zone_starts = range(700, 700 + 9 * ZONE, ZONE)
    return made


@pytest.mark.parametrize("zoned", [True, False])
@pytest.mark.parametrize("at_once", [1, 2, 8_192])
def test_each_row_is_of_a_zone_or_is_read(
    monkeypatch: pytest.MonkeyPatch, chunk: ArrayChunk, at_once: int, zoned: bool
) -> None:
    luck = random.Random(at_once)
    monkeypatch.setattr(ranges, "ZONES", at_once)
    edges = [*chunk.zone_starts, 0, len(chunk)]
    for _ in range(200):
        start, stop = sorted(luck.sample([*edges, *luck.choices(range(len(chunk)), k=6)], 2))
        if start == stop:
            continue
        reached = start
        for stretch in divided(Span(chunk, start, stop), zoned=zoned):
            assert stretch.start == reached < stretch.stop
            reached = stretch.stop
            zones = range(*stretch.zones) if stretch.zones else range(0)
            assert len(zones) <= at_once and (zoned or not zones)
            assert stretch.starts.tolist() == [chunk.zone_starts[zone] for zone in zones]
            doubtful = np.array([luck.random() < 0.5 for _ in zones], bool)
            untold = set(range(stretch.start, stretch.stop))
            for zone, doubt in zip(zones, doubtful, strict=True):
                whole = set(range(chunk.zone_starts[zone], chunk.zone_starts[zone] + ZONE))
                assert whole <= untold
                untold -= set() if doubt else whole
            starts, stops = stretch.untold(doubtful)
            assert (starts < stops).all() and (starts[1:] > stops[:-1]).all()
            assert untold == set(each(starts, stops).tolist())
        assert reached == stop


@pytest.mark.parametrize(("length", "few"), [(1, False), (7, False), (9, True), (5_000, True)])
def test_how_often_bytes_change_is_seen_in_a_few_rows(length: int, few: bool) -> None:
    """Of the first, the middle and the last range; of short ones nothing is looked at."""
    rows = np.zeros(200 * ZONE, [("mono_ns", "i8"), ("state", "i4")])
    rows["state"] = np.arange(len(rows)) // length
    chunk, part, asked = ArrayChunk(rows), (8, 4, 0), []
    chunk.changed = lambda starts, stops, *rest, **how: (
        asked.extend(zip(starts.tolist(), stops.tolist(), strict=True))
        or ArrayChunk.changed(chunk, starts, stops, *rest, **how)
    )
    starts = np.array([0, 30 * ZONE, 70 * ZONE, 110 * ZONE])
    stops = np.array([20 * ZONE, 60 * ZONE, 100 * ZONE, 110 * ZONE + 5])
    assert seldom(chunk, part, starts, stops) == few
    assert asked == [(0, ZONE), (70 * ZONE, 71 * ZONE), (110 * ZONE, 110 * ZONE + 5)]
    asked.clear()
    assert seldom(chunk, part, starts[:1], stops[:1]) is False and asked == []
    zones = np.arange(100)
    assert (
        seldom(chunk, part, starts, stops, zones > 24) == few and asked
    )  # three of four are no more than that
    asked.clear()
    assert seldom(chunk, part, starts, stops, zones > 23) is True and asked == []


def test_the_zone_behind_a_place(chunk: ArrayChunk) -> None:
    span = Span(chunk, 100, 9 * ZONE)
    for place in (100, 700, 701, 699, 700 + ZONE, 8 * ZONE, 8 * ZONE + 700, 8 * ZONE + 701, 99_999):
        due = min([start for start in chunk.zone_starts if start >= place] + [span.stop])
        assert zone_behind(span, place) == min(due, span.stop)


def test_each_is_made_before_the_one_before_it_is_looked_at() -> None:
    made: list[int] = []

    def several(count: int) -> Iterator[int]:
        for number in range(count):
            made.append(number)
            yield number

    some = ahead(several(3))
    assert made == [0]
    seen = []
    for one in some:
        seen.append(one)
        assert made == list(range(min(one + 2, 3)))
    assert seen == [0, 1, 2] and list(ahead(several(0))) == [] and list(ahead(several(1))) == [0]
