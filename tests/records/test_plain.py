from __future__ import annotations

import json

import numpy as np
import pytest
from common import SCHEMA, gaps, sample

from fastrec.errors import SchemaError
from fastrec.records import ArrayChunk, Records
from fastrec.records.plain import date, headings, plain, rows, spare, to_json
from fastrec.schema import Schema
from fastrec.times import CLOCK_PAIR_DTYPE, Clock


def test_columns_as_values() -> None:
    assert plain(np.array([1, 2**64 - 1], "<u8")) == [1, 2**64 - 1]
    assert plain(np.array([0.1, np.inf], "<f4")) == [0.1, float("inf")]
    assert plain(np.array([0.1], "<f8")) == [0.1]
    assert plain(np.array([True, False])) == [True, False]
    assert plain(np.array([b"ab\0c", b"\xff"], "S4")) == ["ab", "\udcff"]
    assert plain(np.array([b"\x01\x02"], "V2")) == ["0102"]
    assert plain(np.array([[1, 2], [3, 4]], "<i2")) == [[1, 2], [3, 4]]
    assert plain(np.array([1 + 2j])) == ["1+2j"]
    assert plain(np.array(["RUN", None], object)) == ["RUN", None]


def build(array: np.ndarray, clock: Clock | None = None) -> Records:
    return Records("plant", SCHEMA, [ArrayChunk(array, 40)], gaps=gaps(), clock=clock)


def test_rows_are_number_date_and_values() -> None:
    array = sample(3)
    array["mono_ns"], array["mode"], array["total"] = [0, 1_000, 2_000], [0, 1, 7], 2**64 - 1
    records = build(array, Clock(np.array([(0, 0)], CLOCK_PAIR_DTYPE)))
    names = ["total", "mode", "total"]
    assert headings(records, names) == ["seq", "time", *names]
    assert list(rows(records, names))[1:] == [
        (41, "1970-01-01T00:00:00.000001+00:00", 2**64 - 1, "RUN", 2**64 - 1),
        (42, "1970-01-01T00:00:00.000002+00:00", 2**64 - 1, "7?", 2**64 - 1),
    ]
    assert next(rows(records, ["mode"], zoned=False)) == (40, "1970-01-01T00:00:00.000000", "IDLE")
    assert headings(records, ["mode"], raw=True) == ["seq", "mode"]
    assert list(rows(records, ["mode"], raw=True)) == [(40, 0), (41, 1), (42, 7)]
    assert list(rows(records, [])) == [row[:2] for row in rows(records, ["mode"])]
    assert list(rows(records[:0], names)) == []
    for raw in (False, True):
        with pytest.raises(SchemaError, match="did you mean 'mode'"):
            rows(records, ["mod"], raw=raw)


def test_headings_do_not_depend_on_what_is_asked_for() -> None:
    schema = Schema.from_dtype(np.dtype([("time", "<i4"), ("n", "<i4")]))
    array = np.zeros(1, dtype=schema.record_dtype)
    records = Records("x", schema, [ArrayChunk(array)], gaps=gaps(), clock=None)
    assert headings(records, ["n"]) == ["seq", "time_", "n"]
    assert headings(records, ["time"]) == ["seq", "time_", "time"]
    assert headings(records, ["time"], raw=True) == ["seq", "time"]
    assert spare("a", {"a", "a_", "b"}) == "a__" and spare("a", ()) == "a"


def test_a_date_that_nobody_knows() -> None:
    clock = Clock(np.array([(0, 0)], CLOCK_PAIR_DTYPE))
    assert date(clock, 1) == "1970-01-01T00:00:00.000000+00:00"
    assert date(clock, None) is date(None, 1) is date(Clock(clock.pairs[:0]), 1) is None
    assert date(clock, 10**21) is None


def test_json_that_every_parser_takes() -> None:
    value = {"a\udcff": [float("nan"), float("inf"), -float("inf"), (1, None, True)], "\x7f\u20ac": "\ud800"}
    text = to_json(value)
    assert text.isascii() and text.isprintable()
    assert json.loads(text) == {
        "a\\udcff": ["NaN", "Infinity", "-Infinity", [1, None, True]],
        "\x7f\u20ac": "\\ud800",
    }
