"""How often a channel was polled, and how fast its counters counted."""

from __future__ import annotations

import math

import numpy as np
import pytest
from common import gaps, passes
from hypothesis import given
from hypothesis import strategies as st
from moments import check_rates
from records.test_aligning import plain_records
from sequences import MAX_GAPS, NUMBERS, sequences

from fastrec.errors import SchemaError
from fastrec.records import ArrayChunk, Records, chunks, resampling, rows
from fastrec.schema import Schema
from fastrec.schema.gaps import Cause

pytestmark = pytest.mark.once  # the answers of oracles, wherever the package lies


block = passes(rows, chunks, resampling, sizes=(65_536, 3), autouse=True)


@given(st.data())
def test_every_window(data: st.DataObject) -> None:
    given = data.draw(sequences())
    given = given.part(*data.draw(st.sampled_from([(0, 24), (0, 24), (2, 20), (0, 24, 3)])))
    period = data.draw(st.sampled_from([None, 1, 7, 20, 45, 1_000]))
    origin = None if period is None else data.draw(st.sampled_from([None, 0, 1_003, 5_000]))
    names = data.draw(st.lists(st.sampled_from(NUMBERS), max_size=3, unique=True))
    check_rates(given, names, period, origin, data.draw(st.sampled_from(MAX_GAPS)))


def counting(values: list, code: str, *, step: int = 10**9, lost: np.ndarray | None = None) -> Records:
    schema = Schema.from_dtype(np.dtype([("n", code)]), name="s")
    array = np.zeros(len(values), schema.record("every"))
    array["mono_ns"], array["n"] = np.arange(len(values)) * step, values
    pieces = [ArrayChunk(array)]
    return Records("it", schema, pieces, gaps=gaps() if lost is None else lost, clock=None)


@pytest.mark.parametrize(
    ("code", "values", "increase", "resets"),
    [
        ("u1", [250, 255, 4], 10, 0),
        ("<u8", [2**64 - 2, 2**64 - 1, 7], 9, 0),
        (">u4", [2**32 - 1, 0], 1, 0),
        ("u1", [0, 255], 255, 0),
        ("u1", [100, 3], 3, 1),
        ("<u4", [1_000_000, 0, 5], 5, 1),
        ("<i4", [2**31 - 1, -(2**31)], -(2**31), 1),
        ("<i8", [-(2**63), 2**63 - 1], 2**64 - 1, 0),
        ("<f8", [1.5, 2.0, math.nan, 9.0, 9.25, 0.5], 1.25, 1),
        ("<f8", [1.0, math.inf, 3.0], 0, 0),
    ],
)
def test_counters_that_wrap_and_that_are_set_back(
    code: str, values: list, increase: float, resets: int
) -> None:
    found = counting(values, code).rate("n")["n"][0]
    assert (found["increase"], found["resets"]) == (increase, resets)


def test_per_second() -> None:
    records = counting(list(range(0, 1_001, 10)), "<u4", step=1_000_000)
    (whole,) = records.rate("n")
    assert (whole["polls"], whole["rate"], whole["n"]["rate"], whole["n"]["known"]) == (
        100,
        1_000,
        10_000,
        10**8,
    )
    found = records.rate("n", every="25ms")
    np.testing.assert_array_equal(found["rate"], [1_000, 1_000, 1_000, 1_000, math.nan])
    assert found["n"]["rate"].tolist()[:4] == [10_000] * 4
    assert found["polls"].sum() == 100 and found["valid"].tolist() == [True] * 4 + [False]


def test_no_difference_is_taken_over_a_gap() -> None:
    """Without a rate every loss breaks; polls are counted all the same."""
    records = counting([0, 5, 900, 910], "<u4", lost=gaps((2, 3, Cause.MISSED)))
    (found,) = records.rate("n")
    assert (found["n"]["increase"], found["n"]["known"], found["rate"]) == (15, 2 * 10**9, 1.0)
    (found,) = records.rate("n", max_gap="2s")
    assert (found["n"]["increase"], found["n"]["known"]) == (910, 3 * 10**9)


def test_within_a_hold_a_counter_stands_still() -> None:
    found = plain_records([0, 100], until=[80, 100]).rate("temp", every="40ns")["temp"]
    assert found["increase"].tolist() == [0.0, 0.0, 0.5] and found["known"].tolist() == [40, 40, 20]


def test_nothing() -> None:
    none, full = plain_records([]).rate("temp", "far"), plain_records([1, 5]).rate("temp", "far")
    assert none.dtype == full.dtype and len(none) == 0
    assert none.dtype.names == ("start", "end", "polls", "rate", "valid", "temp", "far")
    (one,) = plain_records([7]).rate("temp")
    assert (one["polls"], one["valid"], one["temp"]["valid"]) == (0, False, False) and math.isnan(one["rate"])
    assert len(plain_records([1, 2]).rate("temp", "temp")) == 1


@pytest.mark.parametrize(
    ("counter", "how", "message"),
    [
        ("tag", {}, "'tag' is no number"),
        ("tempo", {}, "no field 'tempo'"),
        ("temp", {"every": "0s"}, "at least 1 ns"),
        ("temp", {"origin": 5}, "origin= with every= only"),
        ("temp", {"max_gap": "some"}, "not a duration"),
    ],
)
def test_what_is_wrong(counter: str, how: dict, message: str) -> None:
    for times in ([], [1, 5]):
        with pytest.raises(SchemaError, match=message):
            plain_records(times).rate(counter, **how)
