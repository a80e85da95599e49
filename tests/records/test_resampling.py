"""What there was in windows of equal time."""

from __future__ import annotations

import math

import numpy as np
import pytest
from common import gaps, passes
from hypothesis import given
from hypothesis import strategies as st
from moments import check_resampled
from records.test_aligning import plain_records
from sequences import MAX_GAPS, NAMES, SCHEMA, sequences

from fastrec.errors import SchemaError
from fastrec.records import ArrayChunk, Records, chunks, resampling, rows
from fastrec.schema import Schema

pytestmark = pytest.mark.once  # the answers of oracles, wherever the package lies


block = passes(rows, chunks, resampling, sizes=(65_536, 3), autouse=True)


@given(st.data())
def test_every_window(data: st.DataObject) -> None:
    given = data.draw(sequences())
    given = given.part(*data.draw(st.sampled_from([(0, 24), (0, 24), (2, 20), (0, 24, 3)])))
    period = data.draw(st.sampled_from([1, 7, 20, 45, 1_000]))
    origin = data.draw(st.sampled_from([None, 0, 1_003, 5_000]))
    names = data.draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=3, unique=True))
    check_resampled(given, names, period, origin, data.draw(st.sampled_from(MAX_GAPS)))


def test_the_state_that_held_longest() -> None:
    """All of its intervals together; of equally long ones the earlier."""
    records = plain_records([0, 10, 14, 20, 24, 30, 40, 49])
    array = records.to_numpy()
    array["mode"] = [0, 1, 0, 1, 0, 2, 1, 1]
    records = Records("it", SCHEMA, [ArrayChunk(array)], gaps=gaps(), clock=None, period_ns=1)
    found = records.resample("20ns", {"mode": ["longest", "first", "last"]})
    assert found["mode"].tolist() == [(0, 0, 0), (2, 1, 2), (1, 1, 1)]
    assert found[["start", "end", "polls", "known", "valid"]].tolist() == [
        (0, 20, 3, 20, True),
        (20, 40, 3, 20, True),
        (40, 60, 2, 9, True),
    ]


def test_a_window_in_a_gap_is_a_row() -> None:
    records = plain_records([0, 5, 20_000_035], period_ns=1)
    found = records.resample("10000000ns", {"mode": "longest", "level": "mean", "temp": "max", "far": "min"})
    assert found[["polls", "known", "valid"]].tolist() == [(2, 5, True), (0, 0, False), (1, 0, True)]
    assert found["mode"]["longest"].tolist() == [1, 0, 1] and found["far"]["min"].tolist() == [0, 0, 0]
    for name, how in (("level", "mean"), ("temp", "max")):
        assert [math.isnan(one) for one in found[name][how]] == [False, True, False]


def test_a_window_within_a_hold_has_its_state_and_the_polls_that_fall_into_it() -> None:
    records = plain_records([0, 100], until=[90, 100])
    found = records.resample("30ns", {"mode": "longest", "temp": "count"})
    assert found["mode"]["longest"].tolist() == [1, 1, 1, 1]
    assert found["polls"].tolist() == [1, 0, 0, 3] == found["temp"]["count"].tolist(), (
        "at 0; at 90 and twice at 100"
    )


def test_defaults() -> None:
    found = plain_records([0, 5]).resample("10ns")
    asked = {name: found.dtype[name].names for name in found.dtype.names[5:]}
    numbers = ("min", "max", "mean")
    assert asked == {
        name: numbers if name in ("level", "big", "far", "low", "high", "temp") else ("longest",)
        for name in [field.name for field in SCHEMA.fields]
    }
    assert found.dtype.names[:5] == ("start", "end", "polls", "known", "valid")
    assert plain_records([0, 5]).resample("10ns", "temp").dtype["temp"].names == numbers
    assert plain_records([0, 5]).resample("10ns", ["mode", "temp"]).dtype.names[5:] == ("mode", "temp")
    assert plain_records([0, 5]).resample("10ns", {"mode": "mean"})["mode"]["mean"].tolist() == [1.0]


def test_dtypes() -> None:
    full = plain_records([0, 5]).resample("10ns", dict.fromkeys(NAMES, "last"))
    for name in NAMES:
        field = SCHEMA.field(name)
        wanted = object if field.text else field.dtype.newbyteorder("=")
        assert full.dtype[name]["last"] == np.dtype((wanted, field.shape))
    found = plain_records([0]).resample("10ns", {"far": ["min", "mean"], "temp": ["max", "count"]})
    assert [found["far"].dtype[n].str for n in range(2)] == ["<i4", "<f8"]
    assert [found["temp"].dtype[n].str for n in range(2)] == ["<f8", "<u8"]
    assert [found.dtype[n].str for n in range(5)] == ["<i8", "<i8", "<u8", "<i8", "|b1"]
    hows = dict.fromkeys(NAMES, "last")
    for empty in (plain_records([]), plain_records([1, 2])[1:1], plain_records([1], until=[4]).between(8, 9)):
        assert empty.resample("10ns", hows).dtype == full.dtype and len(empty.resample("10ns", hows)) == 0


def test_fields_that_are_called_like_our_columns() -> None:
    schema = Schema.from_dtype(np.dtype([("start", "<i4"), ("valid", "<f8")]), name="s")
    array = np.zeros(3, schema.record("every"))
    array["mono_ns"], array["start"] = [0, 1, 2], 7
    records = Records("it", schema, [ArrayChunk(array)], gaps=gaps(), clock=None)
    found = records.resample("1s")
    assert found.dtype.names == ("start_", "end", "polls", "known", "valid_", "start", "valid")
    assert found["start"]["max"].tolist() == [7] and found["start_"].tolist() == [0]
    assert records.rate("valid").dtype.names == ("start", "end", "polls", "rate", "valid_", "valid")


def test_whole_numbers_are_summed_exactly_while_their_sum_fits() -> None:
    schema = Schema.from_dtype(np.dtype([("u", "<u8"), ("i", ">i8")]), name="wide")
    array = np.zeros(6, schema.record("every"))
    array["mono_ns"] = np.arange(6)
    array["i"] = [2**60 + 1, -(2**60), 0, 5, 2**62, -(2**62) + 3]
    array["u"] = [2**64 - 1, 2**64 - 1, 2**63, 3, 2**53 + 1, 2**53 + 1]
    found = Records("it", schema, [ArrayChunk(array)], gaps=gaps(), clock=None).resample(
        "3ns", {"u": "mean", "i": "mean"}
    )
    assert found["i"]["mean"][0] == 1 / 3 and found["i"]["mean"][1] == pytest.approx(8 / 3, abs=1e3)
    assert found["u"]["mean"] == pytest.approx(
        [(2 * (2**64 - 1) + 2**63) / 3, (2 * 2**53 + 5) / 3], rel=1e-15
    )


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"every": "0s"}, "at least 1 ns long, not '0s'"),
        ({"every": "soon"}, "not a duration"),
        ({"every": 5}, "durations are strings"),
        ({"every": "1ns"}, "'1ns' makes 1,000,000,001 windows of these records; at most 16,777,216 are made"),
        ({"every": "1s", "fields": {"modus": "last"}}, "no field 'modus'"),
        ({"every": "1s", "fields": {"mode": "median"}}, "of 'mode' one may ask longest, .*, not 'median'"),
        ({"every": "1s", "fields": {"mode": [5]}}, "one may ask"),
        ({"every": "1s", "fields": {"tag": "max"}}, "'tag' is no number"),
        ({"every": "1s", "fields": {"url": ["last", "mean"]}}, "'url' is no number, but a text"),
        ({"every": "1s", "fields": 5}, 'resample\\(\\) takes fields as {"mode": "longest"}, or names, not 5'),
        ({"every": "1s", "origin": 1.5}, "is no time"),
        ({"every": "1s", "max_gap": "some", "fields": "temp"}, "not a duration"),
        ({"every": "200000h"}, "windows of these records reach beyond the stamps that 64 bits hold"),
    ],
)
def test_what_is_wrong(how: dict, message: str) -> None:
    times = [2**62, 2**62 + 10**9] if "200000h" in how.values() else [0, 10**9]
    how = {**how, "every": "2000000h"} if "200000h" in how.values() else how
    with pytest.raises(SchemaError, match=message):
        plain_records(times).resample(**how)


def test_holds_of_a_damaged_file_that_overlap() -> None:
    """Every poll is counted once, and a state ends where the next is."""
    records = plain_records([0, 10, 20, 50], until=[2**62, 90, -7, 95])
    found = records.resample("20ns", {"temp": ["last", "max"]})
    assert found["polls"].tolist() == [3, 3, 1, 0, 1] and found["polls"].sum() == records.polls
    assert found["known"].tolist() == [20, 20, 20, 20, 15]
    assert found["temp"]["last"].tolist() == [1, 2, 3, 3, 3]


@pytest.mark.parametrize("every", [None, "1h"])
def test_stamps_that_no_window_holds(every: str | None) -> None:
    for times in ([5, 2**63 - 1], [-(2**63), 2**63 - 2]):
        with pytest.raises(SchemaError, match="windows of these records"):
            plain_records(times).rate(every="200000h" if every else None)


def test_stamps_that_run_backwards_are_refused() -> None:
    records = plain_records([5, 9, 8, 20])
    for ask in (
        lambda some: some.resample("1s"),
        lambda some: some.rate(),
        lambda some: some.rate(every="1s"),
    ):
        with pytest.raises(SchemaError, match="stamps of 'it' run backwards"):
            ask(records)
        assert len(ask(records[2:])) == 1 and len(ask(records[::3])) == 1
