"""What questions about time answer, by plain Python that looks at one time, interval and poll after another.

The same checks are asked of arrays, of live rings and of recordings.
"""

from __future__ import annotations

import cmath
import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
import pytest
from common import Row, naive_at, naive_intervals, same

from fastrec.durations import parse_duration
from fastrec.records import Records
from fastrec.records.aligning import Matched
from fastrec.schema import Field

STATES = ["longest", "first", "last"]


class Known(NamedTuple):
    """Records, and what is in them.

    Attributes
    ----------
    records : Records
    rows : dict of str to list of Row
        By field.
    meant : callable
        From a field's name and a value to the state that it is.
    """

    records: Records
    rows: dict[str, list[Row]]
    meant: Callable[[str, Any], Any] = lambda name, value: value

    @property
    def any_rows(self) -> list[Row]:
        return next(iter(self.rows.values()))

    def breaking(self, max_gap: str | int | None) -> tuple[int | None, bool]:
        """Where intervals break, as oracles take it."""
        period = self.records._period_ns
        usual = None if period is None else max(10 * period, 10_000_000)
        if max_gap is None:
            return usual, period is None
        return (usual, True) if max_gap == 0 else (parse_duration(max_gap), False)

    def part(self, start: int, stop: int, step: int = 1) -> Known:
        key = slice(start, stop, step)
        return Known(self.records[key], {name: rows[key] for name, rows in self.rows.items()}, self.meant)

    def numbers(self, name: str) -> Field | None:
        """The field, if its rows have numbers."""
        field = self.records.schema.field(name)
        scalar = field.dtype.kind in "iubf" and not field.shape and not field.text
        return field if scalar and self.meant(name, 17) == 17 else None


def plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.generic | np.ndarray) else value


def naive_asof(
    other: Known, when: int, direction: str, tolerance: int | None, max_gap: str | int | None
) -> tuple[int, int, bool]:
    """Place, distance, validity, by the words of `Records.asof`."""
    those = other.any_rows
    before = [place for place, row in enumerate(those) if row.time <= when][-1:]
    after = [place for place, row in enumerate(those) if row.time >= when][:1]
    away = {place: max(0, when - those[place].until) for place in before}
    ahead = {place: those[place].time - when for place in after}
    if direction == "backward":
        chosen = [(place, away[place]) for place in before]
    elif direction == "forward":
        chosen = [(place, ahead[place]) for place in after]
    else:
        both = [(away[place], 0, place) for place in before] + [(ahead[place], 1, place) for place in after]
        chosen = [(place, distance) for distance, _, place in sorted(both)[:1]]
    place, distance = chosen[0] if chosen else (-1, -1)
    if tolerance is not None and distance > tolerance:
        place, distance = -1, -1
    known = bool(naive_at(those, other.records.gaps, when, *other.breaking(max_gap)))
    return place, distance, place >= 0 and known


def check_matched(
    found: Matched,
    other: Known,
    times: list[int],
    direction: str = "backward",
    tolerance: int | None = None,
    max_gap: str | int | None = None,
) -> None:
    wanted = [naive_asof(other, when, direction, tolerance, max_gap) for when in times]
    assert found.time.tolist() == times
    answers = found.place.tolist(), found.distance.tolist(), found.valid.tolist()
    assert list(zip(*answers, strict=True)) == wanted
    valid = [one[2] for one in wanted]
    numbers = [row.seq for row in other.any_rows]
    assert found.seq.tolist() == [numbers[place] if known else None for place, _, known in wanted]
    for name, rows in other.rows.items():
        field = other.records.schema.field(name)
        column = found.decode(name)[name] if field.text else found[name]
        assert column.dtype == (object if field.text else other.records[name].dtype)
        for value, (place, _, known) in zip(column, wanted, strict=True):
            if known:
                assert same(other.meant(name, plain(value)), rows[place].state), name
            else:
                assert np.ma.is_masked(value) and np.ma.getmaskarray(value).all(), name
    assert len(found) == len(valid)


def polled(start: int, until: int, polls: int) -> list[int]:
    """When the polls of a hold came."""
    return [start + poll * max(0, until - start) // max(1, polls - 1) for poll in range(polls)]


def expanded(given: Known) -> Known:
    """By the words of `Records.expand`; numbers count polls."""
    if given.records.store == "every":
        return Known(given.records.expand(), given.rows, given.meant)
    told: dict[str, list[Row]] = {}
    for name, those in given.rows.items():
        more, told[name] = 0, []
        for row in those:
            for poll, time in enumerate(polled(row.time, row.until, row.polls)):
                told[name].append(row._replace(seq=row.seq + more + poll, time=time, until=time, polls=1))
            more += row.polls - 1
    return Known(given.records.expand(), told, given.meant)


def check_expanded(found: Known) -> None:
    records = found.records
    assert records.seq.tolist() == [row.seq for row in found.any_rows]
    assert records["mono_ns"].tolist() == [row.time for row in found.any_rows]
    assert records.store == "every" and len(records) == len(found.any_rows)
    for name, rows in found.rows.items():
        field = records.schema.field(name)
        column = records.decode(name)[name] if field.text else records[name]
        for value, row in zip(column.tolist(), rows, strict=True):
            assert same(found.meant(name, value), row.state)


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


def check_numbers(row: np.void, numbers: list, field: Field) -> None:
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
    if isinstance(numbers[0], float) and max(map(abs, numbers)) > 1e300:
        infinite = {one for one in numbers if math.isinf(one)}
        if len(infinite) == 1 and all(math.isinf(one) or abs(one) < 1e300 for one in numbers):
            assert row["mean"] in infinite
        return  # the sum may be none
    mean = float(sum(map(Fraction, numbers)) / len(numbers) * scale + bias)
    slack = 1e-15 * max(abs(float(end)) for end in ends)
    assert math.isclose(row["mean"], mean, rel_tol=1e-14, abs_tol=slack)


def check_resampled(
    given: Known, names: list[str], period: int, origin: int | None, max_gap: str | int | None
) -> None:
    fields = {name: given.numbers(name) for name in names}
    hows = {
        name: [*STATES, *(["count", "min", "max", "mean"] if fields[name] else ["count"])] for name in names
    }
    found = given.records.resample(f"{period}ns", hows, origin=origin, max_gap=max_gap)
    windows = naive_windows(given.any_rows, period, origin)
    assert [(row["start"], row["end"]) for row in found] == windows
    for name in names:
        those = given.rows[name]
        intervals = naive_intervals(those, given.records.gaps, *given.breaking(max_gap))
        for row, (start, end) in zip(found, windows, strict=True):
            wanted = naive_window(those, intervals, start, end)
            for column in ("polls", "known", "valid"):
                assert row[column] == wanted[column], (column, start)
            for how in STATES:
                state = plain(row[name][how])
                if wanted["valid"]:
                    assert same(given.meant(name, state), wanted[how]), (name, how, start)
                elif isinstance(state, float | complex):
                    assert cmath.isnan(state)
                else:
                    assert state is None or not np.any(np.array(state, dtype=bool)), state
            if fields[name]:
                check_numbers(row[name], wanted["numbers"], fields[name])
            elif given.records.schema.field(name).shape or given.records.schema.field(name).text:
                assert row[name]["count"] == wanted["polls"]


def naive_step(bits: int | None, before: Any, after: Any) -> tuple[Fraction, bool] | None:
    if not (math.isfinite(before) and math.isfinite(after)):
        return None
    if after >= before:
        return Fraction(after) - Fraction(before), False
    if bits:
        over = after + 2**bits - before
        if over < before - after:
            return Fraction(over), False
    return Fraction(after), True


def naive_counter(
    bits: int | None, those: list[Row], gaps: np.ndarray, breaking: tuple, windows: list[tuple[int, int]]
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
        step = naive_step(bits, before.state, row.state)
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


def check_rates(
    given: Known, names: list[str], period: int | None, origin: int | None, max_gap: str | int | None
) -> None:
    those = given.any_rows
    every = None if period is None else f"{period}ns"
    found = given.records.rate(*names, every=every, origin=origin, max_gap=max_gap)
    if period is not None:
        windows = naive_windows(those, period, origin)
    else:
        windows = [(those[0].time, those[-1].until + 1)] if those else []
    assert [(row["start"], row["end"]) for row in found] == windows
    times = [time for row in those for time in polled(row.time, row.until, row.polls)][:-1]
    for row, (start, end) in zip(found, windows, strict=True):
        polls = sum(start <= time < end for time in times)
        inside = max(0, min(end, those[-1].until) - max(start, those[0].time))
        assert (row["polls"], row["valid"]) == (polls, inside > 0)
        assert row["rate"] == pytest.approx(polls * 1e9 / inside) if inside else math.isnan(row["rate"])
    for name in names:
        field = given.records.schema.field(name)
        bits = field.bits[1] if field.bits else 8 * field.dtype.itemsize
        bits = bits if field.dtype.kind in "ub" else None
        wanted = naive_counter(bits, given.rows[name], given.records.gaps, given.breaking(max_gap), windows)
        # Steps up and down that are large leave of their sum what float64 has digits for.
        states = [abs(row.state) for row in given.rows[name] if math.isfinite(row.state)]
        digits = 4e-15 * float(sum(states)) * abs(field.scale)
        for row, (increase, resets, known) in zip(found[name], wanted, strict=True):
            assert (row["resets"], row["known"], row["valid"]) == (resets, known, known > 0), name
            increase *= Fraction(field.scale)
            assert row["increase"] == pytest.approx(float(increase), rel=1e-12, abs=digits)
            if known:
                rate = pytest.approx(float(increase * 10**9 / known), rel=1e-12, abs=digits * 1e9 / known)
                assert row["rate"] == rate
            else:
                assert math.isnan(row["rate"])
