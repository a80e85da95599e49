from __future__ import annotations

import numpy as np
import pytest
from common import SCHEMA, gaps, sample

from fastrec.errors import SchemaError
from fastrec.records import ArrayChunk, Records
from fastrec.records.columns import elements


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
