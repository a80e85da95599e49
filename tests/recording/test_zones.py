"""Zones against sums made one record at a time."""

from __future__ import annotations

import ctypes
import math

import numpy as np
import pytest

from fastrec.recording.zones import summarise
from fastrec.schema import Schema


class Mixed(ctypes.Structure):
    _fields_ = [
        ("low", ctypes.c_uint16, 3),
        ("big", ctypes.c_uint64),
        ("high", ctypes.c_int16, 5),
        ("small", ctypes.c_int64),
        ("flag", ctypes.c_bool),
        ("level", ctypes.c_float),
        ("array", ctypes.c_int * 2),
        ("where", ctypes.c_void_p),
    ]


SCHEMA = Schema.from_ctypes(Mixed)
KINDS = {"low": "<u8", "big": "<u8", "high": "<i8", "small": "<i8", "flag": "<u8", "level": "<f8"}


def rows(store: str, zones: int = 2) -> np.ndarray:
    random = np.random.default_rng(7)
    count = 1024 * zones
    raw = random.integers(0, 256, (count, SCHEMA.record(store).itemsize), np.uint8)
    records = raw.view(SCHEMA.record(store)).reshape(count)
    records["level"] = random.normal(size=count)
    records["flag"] = random.integers(0, 2, count)
    if store == "changes":
        records["polls"] = random.integers(1, 1000, count)
    return records


@pytest.mark.parametrize("store", ["every", "changes"])
def test_every_kind_of_scalar(store: str) -> None:
    records = rows(store)
    records["level"][[3, 1000]] = np.nan
    made = summarise(records, SCHEMA.numeric)
    assert [field.name for field in SCHEMA.numeric] == list(KINDS)
    for zone, one in enumerate(made):
        part = records[zone * 1024 : (zone + 1) * 1024]
        weights = [int(w) for w in part["polls"]] if store == "changes" else [1] * 1024
        assert one["polls"] == sum(weights)
        for column, field in enumerate(SCHEMA.numeric):
            pattern = KINDS[field.name]
            values = field.of(part).tolist()
            known = [(v, w) for v, w in zip(values, weights, strict=True) if v == v]
            got = {name: one[name][column : column + 1].view(pattern)[0] for name in ("min", "max", "sum")}
            assert got["min"] == min(v for v, _ in known)
            assert got["max"] == max(v for v, _ in known)
            assert one["nan"][column] == sum(weights) - sum(w for _, w in known)
            total = sum(v * w for v, w in known)
            if pattern == "<f8":
                assert math.isclose(got["sum"], total, rel_tol=1e-12, abs_tol=1e-9)
            else:
                assert int(one["sum"][column]) == total % 2**64


def test_nothing_but_nan() -> None:
    records = rows("every", 1)
    records["level"] = np.nan
    one = summarise(records, SCHEMA.numeric)[0]
    column = list(KINDS).index("level")
    low, high, total = (one[name].view("<f8")[column] for name in ("min", "max", "sum"))
    assert (low, high, total, one["nan"][column]) == (math.inf, -math.inf, 0.0, 1024)


def test_no_rows_no_zones() -> None:
    assert summarise(rows("every", 1)[:1000], SCHEMA.numeric[:0]).shape == (0,)
