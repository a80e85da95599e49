"""Rates, against plain Python that looks at one poll after another."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from common import Row, naive_intervals
from hypothesis import given
from hypothesis import strategies as st
from records.test_expanding import polled
from records.test_resampling import naive_windows
from sequences import MAX_GAPS, NUMBERS, SCHEMA, Sequence, sequences

from fastrec.errors import SchemaError
from fastrec.records import ArrayChunk, Records, chunks, rates, resampling, rows
from fastrec.schema import Schema
from fastrec.schema.gaps import GAP_DTYPE

BITS = {"big": 64, "temp": 8, "low": 3}
"""Of the unsigned numbers of `SCHEMA`."""


@pytest.fixture(autouse=True, params=[65_536, 3])
def block(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows per pass."""
    for one in (rows, chunks, resampling):
        monkeypatch.setattr(one, "BLOCK", request.param)


def naive_step(name: str, before: Any, after: Any) -> tuple[Fraction, bool] | None:
    if not (math.isfinite(before) and math.isfinite(after)):
        return None
    if after >= before:
        return Fraction(after) - Fraction(before), False
    if name in BITS:
        over = after + 2 ** BITS[name] - before
        if over < before - after:
            return Fraction(over), False
    return Fraction(after), True


def naive_counter(
    name: str, those: list[Row], gaps: np.ndarray, breaking: tuple, windows: list[tuple[int, int]]
) -> list[tuple[Fraction, int, int]]:
    """Of each window the increase, how often it was set back, for how long it was known."""
    pieces = []
    for place, row in enumerate(those):
        if math.isfinite(row.state):
            pieces.append((row.time, row.until, Fraction(0), False))
        if not place:
            continue
        before = those[place - 1]
        broken = len(naive_intervals([before._replace(state=0), row._replace(state=0)], gaps, *breaking)) > 1
        step = naive_step(name, before.state, row.state)
        if step is not None and not broken:
            pieces.append((before.until, row.time, *step))
    found = []
    for start, end in windows:
        increase, resets, known = Fraction(0), 0, 0
        for low, high, step, reset in pieces:
            inside = max(0, min(high, end) - max(low, start))
            known += inside
            resets += reset and start <= high < end
            if low == high:
                increase += step if start <= low < end else 0
            else:
                increase += step * inside / (high - low)
        found.append((increase, resets, known))
    return found


def check(given: Sequence, names: list[str], period: int | None, origin: int | None, max_gap: Any) -> None:
    those = given.rows["mode"]
    every = None if period is None else f"{period}ns"
    found = given.records.rate(*names, every=every, origin=origin, max_gap=max_gap)
    if period is not None:
        windows = naive_windows(those, period, origin)
    else:
        windows = [(those[0].time, those[-1].until + 1)] if those else []
    assert [(row["start"], row["end"]) for row in found] == windows
    times = [time for row in those for time in polled(row.time, row.until, row.polls)][1:]
    for row, (start, end) in zip(found, windows, strict=True):
        polls = sum(start <= time < end for time in times)
        inside = max(0, min(end, those[-1].until) - max(start, those[0].time))
        assert (row["polls"], row["valid"]) == (polls, inside > 0)
        assert row["rate"] == pytest.approx(polls * 1e9 / inside) if inside else math.isnan(row["rate"])
    for name in names:
        wanted = naive_counter(name, given.rows[name], given.records.gaps, given.breaking(max_gap), windows)
        scale = Fraction(SCHEMA.field(name).scale)
        for row, (increase, resets, known) in zip(found[name], wanted, strict=True):
            assert (row["resets"], row["known"], row["valid"]) == (resets, known, known > 0), name
            assert row["increase"] == pytest.approx(float(increase * scale), rel=1e-12)
            if known:
                assert row["rate"] == pytest.approx(float(increase * scale * 10**9 / known), rel=1e-12)
            else:
                assert math.isnan(row["rate"])


@given(st.data())
def test_every_window(data: st.DataObject) -> None:
    given = data.draw(sequences())
    start, step = data.draw(st.sampled_from([(0, 1), (0, 1), (2, 1), (0, 3)]))
    period = data.draw(st.sampled_from([None, 1, 7, 20, 45, 1_000]))
    origin = None if period is None else data.draw(st.sampled_from([None, 0, 1_003, 5_000]))
    names = data.draw(st.lists(st.sampled_from(NUMBERS), max_size=3, unique=True))
    check(given.part(start, 24, step), names, period, origin, data.draw(st.sampled_from(MAX_GAPS)))
