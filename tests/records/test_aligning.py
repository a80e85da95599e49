"""What other channels knew at the times of one, or at times of equal distance."""

from __future__ import annotations

import numpy as np
import pytest
from common import gaps
from hypothesis import given, settings
from hypothesis import strategies as st
from moments import check_matched, naive_windows
from sequences import MAX_GAPS, SCHEMA, sequences

import fastrec as fr
from fastrec.errors import SchemaError
from fastrec.records import ArrayChunk, Records, chunks, locating, rows

pytestmark = pytest.mark.once  # the answers of oracles, wherever the package lies

DIRECTIONS = ["backward", "forward", "nearest"]


@pytest.fixture(autouse=True, params=[65_536, 5])
def block(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows, and times, per pass."""
    for one in (rows, chunks, locating):
        monkeypatch.setattr(one, "BLOCK", request.param)


def plain_records(
    times: list[int], *, name: str = "it", until: list[int] | None = None, **more: object
) -> Records:
    """One record for each time; ``temp`` counts them, ``mode`` is 1."""
    store = "every" if until is None else "changes"
    array = np.zeros(len(times), SCHEMA.record(store))
    array["mono_ns"], array["temp"], array["mode"] = times, np.arange(len(times)) % 256, 1
    if until is not None:
        array["until_ns"], array["polls"] = until, 2
    more = {"gaps": gaps(), "clock": None, "period_ns": 1_000_000, **more}
    return Records(name, SCHEMA, [ArrayChunk(array)], store=store, **more)


class TestAsof:
    @given(st.data())
    def test_every_row(self, data: st.DataObject) -> None:
        asking, other = (data.draw(sequences(falling=data.draw(st.booleans()), name=name)) for name in "ab")
        direction = data.draw(st.sampled_from(DIRECTIONS))
        tolerance = data.draw(st.sampled_from([None, 0, 3, 25]))
        max_gap = data.draw(st.sampled_from(MAX_GAPS))
        parts = [(0, 24), (0, 24), (3, 20), (0, 24, 3)]
        other = other.part(*data.draw(st.sampled_from(parts)))
        found = asking.records.asof(
            other.records,
            direction=direction,
            tolerance=None if tolerance is None else f"{tolerance}ns",
            max_gap=max_gap,
        )
        check_matched(found, other, [row.time for row in asking.any_rows], direction, tolerance, max_gap)

    def test_it_is_what_at_says(self) -> None:
        asking = plain_records(list(range(0, 120, 3)))
        other = plain_records([5, 20, 30, 100], until=[9, 20, 41, 110], period_ns=None)
        for max_gap in (None, 0, "10ns", "70ns"):
            found = asking.asof(other, max_gap=max_gap)
            wanted = [other.at(time, max_gap).seq.tolist() for time in range(0, 120, 3)]
            assert [[seq] if seq is not None else [] for seq in found.seq.tolist()] == wanted

    def test_holds_ties_and_equal_stamps(self) -> None:
        other = plain_records([10, 20, 20, 40], until=[14, 20, 20, 45])

        def told(time: int, **how: str) -> tuple[int, int, bool]:
            found = plain_records([time]).asof(other, **how)
            return found.place[0], found.distance[0], found.valid[0]

        assert told(12) == (0, 0, True) and told(17) == (0, 3, True)
        assert told(20) == (2, 0, True) and told(20, direction="forward") == (1, 0, True)
        assert told(12, direction="nearest") == (0, 0, True)
        assert told(17, direction="nearest") == (0, 3, True), "14 is as near as 20, and earlier"
        assert told(18, direction="nearest") == (1, 2, True)
        assert told(12, direction="forward") == (1, 8, True)
        assert told(17, tolerance="2ns") == (-1, -1, False) and told(17, tolerance="3ns") == (0, 3, True)
        assert told(9) == (-1, -1, False) and told(9, direction="forward") == (0, 1, False)
        assert told(46) == (3, 1, False) and told(46, direction="forward") == (-1, -1, False)

    def test_several_channels(self) -> None:
        asking, one, other = (
            plain_records(list(range(0, 90, step)), name=f"c{step}") for step in (9, 10, 30)
        )
        for found in (asking.asof(one, other), asking.asof({"c10": one, "c30": other})):
            assert list(found) == ["c10", "c30"] and found.time.tolist() == asking["mono_ns"].tolist()
            assert found["c30"]["temp"].tolist() == [0, 0, 0, 0, 1, 1, 1, None, None, None]
            assert found.valid.dtype.names == ("c10", "c30")
            assert found.valid["c30"].tolist() == [True] * 7 + [False] * 3
            assert repr(found) == "<Aligned c10, c30: 10>"
        assert list(asking.asof({"x": one})) == ["x"]
        assert repr(asking.asof(other)) == "<Matched c30: 10, 7 valid>"
        assert found["c30"].records.seq.tolist() == [0, 1]

    def test_nothing(self) -> None:
        some, none = plain_records([1, 2, 3]), plain_records([])
        for direction in DIRECTIONS:
            found = some.asof(none, direction=direction)
            assert found.place.tolist() == [-1] * 3 and not found.valid.any()
            assert found["level"].tolist() == [None] * 3 and found["level"].dtype == np.float64
            assert found.decode("url")["url"].data.tolist() == [None] * 3
            empty = none.asof(some, direction=direction)
            for column in (empty.time, empty.place, empty.distance):
                assert column.dtype == np.int64 and column.shape == (0,)
            assert empty.valid.dtype == bool and empty["trace"].shape == (0, 2)
            assert empty.seq.dtype == np.uint64 and set(empty.decode()) == set(some.decode())

    def test_stamps_as_far_apart_as_can_be(self) -> None:
        asking, other = plain_records([2**63 - 1]), plain_records([-(2**63), -5], period_ns=None)
        assert asking.asof(other).distance.tolist() == [2**63 - 1]
        assert other.asof(asking, direction="forward").distance.tolist() == [2**63 - 1] * 2
        assert not asking.asof(other, tolerance="290000h").valid.any()

    def test_columns_are_those_of_records(self) -> None:
        found = plain_records([1, 5]).asof(plain_records([1, 2]))
        assert found["mono_ns"].tolist() == [1, None] and found.decode("mode")["mode"].tolist() == [
            "RUN",
            None,
        ]
        assert found["temp"].tolist() == [0, None] and found.decode("temp")["temp"].tolist() == [-40.0, None]
        for name in ("tempo", 5, None):
            with pytest.raises(SchemaError):
                found[name]

    @pytest.mark.parametrize(
        ("others", "how", "message"),
        [
            ((), {}, "no channel is given"),
            ((5,), {}, "channels are given as Records, or by name in a mapping, not as 5"),
            (({"a": "b"},), {}, "not as 'b'"),
            ((0, 0), {}, "two channels are called 'it'"),
            (
                (0,),
                {"direction": "sideways"},
                'direction is "backward", "forward" or "nearest", not \'sideways\'',
            ),
            ((0,), {"tolerance": "some"}, "not a duration"),
            ((0,), {"tolerance": 5}, "durations are strings"),
            ((0,), {"max_gap": "some"}, "not a duration"),
        ],
    )
    def test_what_is_wrong(self, others: tuple, how: dict, message: str) -> None:
        for times in ([], [1, 2]):
            records = plain_records(times)
            given = [records if one == 0 else one for one in others]
            with pytest.raises(SchemaError, match=message):
                records.asof(*given, **how)


class TestAlign:
    @settings(max_examples=40)
    @given(st.data())
    def test_every_time(self, data: st.DataObject) -> None:
        known = {name: data.draw(sequences(name=name)) for name in "ab"}
        period = data.draw(st.sampled_from([1, 7, 20, 1_000]))
        origin = data.draw(st.sampled_from([None, 0, 1_003, 5_000]))
        direction = data.draw(st.sampled_from(DIRECTIONS))
        channels = {name: one.records for name, one in known.items()}
        found = fr.align(channels, every=f"{period}ns", origin=origin, direction=direction, tolerance="30ns")
        both = sorted((row for one in known.values() for row in one.any_rows), key=lambda row: row.time)
        last = max((row.until for row in both), default=0)
        times = [
            start
            for start, _ in naive_windows(
                both + [row._replace(time=last) for row in both[:1]], period, origin
            )
        ]
        times = [time for time in times if time >= both[0].time]
        assert found.time.tolist() == times
        for name, one in known.items():
            check_matched(found[name], one, times, direction, 30)

    def test_on_the_stamps_of_another(self) -> None:
        one, other = plain_records([0, 10, 20], name="a"), plain_records([5, 15], name="b")
        found = fr.align(one, on=other)
        assert found.time.tolist() == [5, 15] and found["a"]["temp"].tolist() == [0, 1]

    def test_channels_without_records(self) -> None:
        none = plain_records([], name="n")
        found = fr.align(none, every="1s")
        assert found.time.shape == (0,) and found["n"]["level"].dtype == np.float64
        found = fr.align(none, plain_records([1, 3], name="some"), every="1ns")
        assert found.time.tolist() == [1, 2, 3] and found.valid.tolist() == [(False, True)] * 3

    @pytest.mark.parametrize(
        ("how", "message"),
        [
            ({}, "either every="),
            ({"every": "1ms", "on": 0}, "either every="),
            ({"on": 0, "origin": 5}, "origin= with every= only"),
            ({"every": "0s"}, "at least 1 ns"),
            ({"every": "1ns"}, "at most 16,777,216"),
            ({"every": "soon"}, "not a duration"),
        ],
    )
    def test_what_is_wrong(self, how: dict, message: str) -> None:
        records = plain_records([0, 10**9])
        if "on" in how:
            how = {**how, "on": records}
        with pytest.raises(SchemaError, match=message):
            fr.align(records, **how)
