"""Windows of equal time, against plain Python that looks at one window, interval and poll after another."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from common import Row, naive_intervals, same
from hypothesis import given
from hypothesis import strategies as st
from records.test_expanding import polled
from sequences import MAX_GAPS, NAMES, NUMBERS, SCHEMA, Sequence, sequences

from fastrec.errors import SchemaError
from fastrec.records import ArrayChunk, Records, chunks, resampling, rows

STATES = ["longest", "first", "last"]


@pytest.fixture(autouse=True, params=[65_536, 3])
def block(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows per pass."""
    for one in (rows, chunks, resampling):
        monkeypatch.setattr(one, "BLOCK", request.param)


def naive_windows(those: list[Row], period: int, origin: int | None) -> list[tuple[int, int]]:
    if not those:
        return []
    begin = those[0].time
    if origin is not None:
        begin = origin
        while begin > those[0].time:
            begin -= period
        while begin + period <= those[0].time:
            begin += period
    found = [(begin, begin + period)]
    while found[-1][1] <= max(those[-1].time, those[-1].until):
        found.append((found[-1][1], found[-1][1] + period))
    return found


def naive_states(intervals: list[dict[str, Any]], start: int, end: int) -> list[tuple[Any, int]]:
    """States that are known in a window, in order, and how long each held."""
    found = []
    for one in intervals:
        low, high = max(start, one["start"]), min(end, one["end"])
        instant = one["closed_by"] in ("gap", "end") and low == one["end"] and low < end
        if high > low or instant:
            found.append((one["state"], high - low))
    return found


def naive_window(those: list[Row], intervals: list[dict[str, Any]], start: int, end: int) -> dict[str, Any]:
    """What `Records.resample` says of one window; numbers are raw."""
    polls = [
        row.state for row in those for time in polled(row.time, row.until, row.polls) if start <= time < end
    ]
    held = naive_states(intervals, start, end)
    found = {"polls": len(polls), "known": sum(length for _, length in held), "valid": bool(held)}
    totals: list[list[Any]] = []
    for state, length in held:
        total = next((one for one in totals if same(one[0], state)), None)
        if total is None:
            totals.append(total := [state, 0])
        total[1] += length
    found["longest"] = max(totals, key=lambda one: one[1])[0] if totals else None
    found["first"], found["last"] = (held[0][0], held[-1][0]) if held else (None, None)
    numbers = [state for state in polls if not isinstance(state, float) or state == state]
    found["numbers"] = numbers
    return found


def check_numbers(row: np.void, numbers: list, field: Any) -> None:
    scale, bias = Fraction(field.scale), Fraction(field.bias)
    assert row["count"] == len(numbers)
    if not numbers:
        assert math.isnan(row["mean"])
        assert all(row[name] == 0 or math.isnan(row[name]) for name in ("min", "max"))
        assert math.isnan(row["min"]) == (row["min"].dtype.kind == "f")
        return
    ends = [min(numbers), max(numbers)]
    physical = ends if (scale, bias) == (1, 0) else [float(end * scale + bias) for end in ends]
    assert [row["min"], row["max"]] == physical
    if any(isinstance(one, float) and math.isinf(one) for one in numbers):
        assert row["mean"] == -math.inf
        return
    mean = float(sum(map(Fraction, numbers)) / len(numbers) * scale + bias)
    slack = 1e-15 * max(abs(float(end)) for end in ends)
    assert math.isclose(row["mean"], mean, rel_tol=1e-14, abs_tol=slack)


def check(given: Sequence, period: int, origin: int | None, names: list[str], max_gap: Any) -> None:
    those = given.rows["mode"]
    hows = {name: [*STATES, "count", *(["min", "max", "mean"] if name in NUMBERS else [])] for name in names}
    found = given.records.resample(f"{period}ns", hows, origin=origin, max_gap=max_gap)
    windows = naive_windows(those, period, origin)
    assert [(row["start"], row["end"]) for row in found] == windows
    for name in names:
        rows_ = given.rows[name]
        intervals = naive_intervals(rows_, given.records.gaps, *given.breaking(max_gap))
        for row, (start, end) in zip(found, windows, strict=True):
            wanted = naive_window(rows_, intervals, start, end)
            for column in ("polls", "known", "valid"):
                assert row[column] == wanted[column], (column, start)
            answer = row[name]
            for how in STATES:
                state = (
                    answer[how].tolist() if isinstance(answer[how], np.generic | np.ndarray) else answer[how]
                )
                if wanted["valid"]:
                    assert same(state, wanted[how]), (name, how, start)
                else:
                    assert state is None or state != state or not np.any(np.array(state, dtype=bool)), state
            if name in NUMBERS:
                check_numbers(answer, wanted["numbers"], SCHEMA.field(name))
            else:
                assert answer["count"] == wanted["polls"]


@given(st.data())
def test_every_window(data: st.DataObject) -> None:
    given = data.draw(sequences())
    start, step = data.draw(st.sampled_from([(0, 1), (0, 1), (2, 1), (0, 3)]))
    period = data.draw(st.sampled_from([1, 7, 20, 45, 1_000]))
    origin = data.draw(st.sampled_from([None, 0, 1_003, 5_000]))
    names = data.draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=3, unique=True))
    check(given.part(start, 24, step), period, origin, names, data.draw(st.sampled_from(MAX_GAPS)))
