from __future__ import annotations

from zoneinfo import ZoneInfo

import numpy as np
import pytest
from common import SCHEMA, gaps, sample

from fastrec.errors import RecordingError, SchemaError
from fastrec.records import ArrayChunk, Records
from fastrec.records.columns import elements
from fastrec.times import CLOCK_PAIR_DTYPE, Clock


def build(count: int) -> Records:
    return Records("plant", SCHEMA, [ArrayChunk(sample(count))], gaps=gaps(), clock=None)


def test_some_columns_decoded() -> None:
    records = build(30)
    whole = records.decode()
    some = records.decode("trace", "mono_ns", "mode")
    assert list(some) == ["trace", "mono_ns", "mode"]
    for name, values in some.items():
        np.testing.assert_array_equal(values, whole[name])
    with pytest.raises(SchemaError, match="did you mean 'mode'"):
        records.decode("level", "mod")


CLOCK = Clock(np.array([(0, 10**18), (10_000, 10**18 + 20_000)], CLOCK_PAIR_DTYPE), ZoneInfo("Asia/Tokyo"))


@pytest.mark.parametrize("store", ["every", "changes"])
def test_dates_of_any_answer(store: str) -> None:
    """UTC, to the ns, between the readings as evenly as the clock runs."""
    array = sample(40, store=store)
    records = Records(
        "plant", SCHEMA, [ArrayChunk(array)], gaps=gaps(), clock=CLOCK, period_ns=100, store=store
    )
    assert records.dates().dtype == np.dtype("M8[ns]")
    assert records.dates().view(np.int64).tolist() == [CLOCK.wall(one) for one in array["mono_ns"].tolist()]
    other = records[::3]
    for stamps in (
        records.transitions("mode")["time"],
        records.intervals("mode")["end"],
        records.downsample(5, "mode")["start"],
        records.downsample(5, "total")["end"],
        records.resample("5us")["start"],
        records.rate(every="5us")["end"],
        records.asof(other).time,
        records.gaps["t_first"],
        array["mono_ns"].reshape(4, 10),
    ):
        dates = records.dates(stamps)
        assert dates.shape == stamps.shape and dates.dtype == np.dtype("M8[ns]")
        assert dates.astype(np.int64).ravel().tolist() == [CLOCK.wall(one) for one in stamps.ravel().tolist()]
    assert records[:0].dates().dtype == np.dtype("M8[ns]") and len(records[:0].dates()) == 0
    assert str(records.dates(np.array([1]))[0]) == "2001-09-09T01:46:40.000000002"


def test_dates_that_nobody_knows() -> None:
    with pytest.raises(RecordingError, match="no clock reading says when 'plant' was recorded"):
        build(3).dates()
    empty = Clock(np.empty(0, CLOCK_PAIR_DTYPE))
    records = Records("plant", SCHEMA, [ArrayChunk(sample(3))], gaps=gaps(), clock=empty)
    with pytest.raises(RecordingError, match="no clock reading"):
        records.dates()
    records = Records("plant", SCHEMA, [ArrayChunk(sample(3))], gaps=gaps(), clock=CLOCK)
    with pytest.raises(RecordingError, match="more than 64 bits"):
        records.dates(np.array([2**63 - 1]))
    for stamps in (records["level"], np.array(["now"]), records.dates()):
        with pytest.raises(SchemaError, match="stamps are whole numbers of ns, not"):
            records.dates(stamps)


def test_to_pandas_goes_to_who_converts(monkeypatch: pytest.MonkeyPatch) -> None:
    class Entry:
        name, value = "pandas", "somewhere:convert"

        def load(self) -> object:
            return lambda records, **options: (records, options)

    def entry_points(group: str) -> list[Entry]:
        return [Entry()] if group == "fastrec.conversions" else []

    monkeypatch.setattr("fastrec.records.exits.entry_points", entry_points)
    records = build(3)
    assert records.to_pandas(raw=True) == (records, {"raw": True})


def test_elements_of_arrays() -> None:
    values = np.arange(12).reshape(3, 2, 2)
    assert {name: values[place].tolist() for name, place in elements("m", (2, 2))} == {
        "m[0][0]": [0, 4, 8],
        "m[0][1]": [1, 5, 9],
        "m[1][0]": [2, 6, 10],
        "m[1][1]": [3, 7, 11],
    }
    assert [name for name, _ in elements("n", ())] == ["n"]
