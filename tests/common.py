"""Contracts that several rooms share, and oracles that answer row by row what the code answers in bulk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import pytest

from fastrec.errors import SchemaError
from fastrec.expressions.binding import bind
from fastrec.records import Records
from fastrec.schema import Field, Labels, Schema
from fastrec.schema.gaps import GAP_DTYPE, OWN_NUMBERS

PAYLOAD = np.dtype(
    {
        "names": ["mode", "level", "total", "axis", "trace", "tag"],
        "formats": ["<i4", "<f8", "<u8", np.dtype([("pos", "<f4"), ("on", "u1")]), ("<i2", (3,)), "S6"],
        "offsets": [0, 8, 16, 24, 32, 38],
        "itemsize": 48,
    }
)
SCHEMA = Schema.from_dtype(
    PAYLOAD, name="plant", labels={"mode": {"IDLE": 0, "RUN": 1, "FAULT": 2}}, units={"level": "m"}
)


class Row(NamedTuple):
    """One record as an oracle sees it."""

    seq: int
    time: int
    until: int
    polls: int
    state: Any


def passes(*modules: ModuleType, sizes: Sequence[int], autouse: bool = False) -> Any:
    """A fixture: rows per pass of modules, all in one or with borders nearly everywhere."""

    @pytest.fixture(params=sizes, autouse=autouse)
    def block(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
        for one in modules:
            monkeypatch.setattr(one, "BLOCK", request.param)

    return block


def sample(count: int, *, store: str = "every", seed: int = 0) -> np.ndarray:
    """Records of `SCHEMA` in runs of equal states, with increasing stamps."""
    random = np.random.default_rng(seed)
    rows = np.zeros(count, dtype=SCHEMA.record(store))
    rows["mono_ns"] = 5_000 + np.cumsum(random.integers(900, 1_100, count))
    if store == "changes":
        rows["until_ns"] = rows["mono_ns"] + random.integers(0, 800, count)
        rows["polls"] = random.integers(1, 9, count)
        rows["max_gap_ns"] = 100
    rows["mode"] = np.repeat(random.integers(0, 4, count), random.integers(1, 6, count))[:count]
    rows["level"] = random.choice([0.0, -0.0, 1.5, np.nan, np.inf], count)
    rows["total"] = random.choice(np.array([0, 2**63, 2**64 - 1, 2**64 - 2], dtype=np.uint64), count)
    rows["axis"]["pos"] = random.integers(0, 3, count)
    rows["trace"] = random.integers(0, 2, (count, 3))
    rows["tag"] = random.choice(np.array([b"", b"a", b"abcdef", b"a\0b"], dtype="S6"), count)
    return rows


def gaps(*entries: tuple[int, int, int]) -> np.ndarray:
    """Gaps by (seq, count, cause)."""
    found = np.zeros(len(entries), dtype=GAP_DTYPE)
    for row, (seq, count, cause) in zip(found, entries, strict=True):
        row["seq"], row["count"], row["cause"] = seq, count, cause
    return found


def same(one: object, other: object) -> bool:
    """Whether two states are equal; NaN is equal to NaN."""
    if one is other:
        return True
    if isinstance(one, float | complex) and one != one and other != other:
        return True
    if isinstance(one, list):
        return all(same(a, b) for a, b in zip(one, other, strict=True))
    return one == other


def raw(rows: np.ndarray) -> np.ndarray:
    """Rows as bytes; NumPy's own copies of structured rows do not keep the padding."""
    return rows.view(np.dtype((np.void, rows.dtype.itemsize)))


def naive_transitions(rows: Sequence[Row]) -> list[tuple]:
    return [
        (row.seq, row.time, before.state, row.state)
        for before, row in pairwise(rows)
        if not same(before.state, row.state)
    ]


def naive_intervals(
    rows: Sequence[Row], lost: np.ndarray, silence_ns: int | None, every_gap: bool
) -> list[dict[str, Any]]:
    """Intervals by the words of the design, one record at a time."""
    own = {int(cause) for cause in OWN_NUMBERS}
    told = [(int(gap["seq"]), int(gap["count"]), int(gap["cause"])) for gap in lost]
    found: list[dict[str, Any]] = []
    for place, row in enumerate(rows):
        opened_by = "start"
        if place:
            before = rows[place - 1]
            between = [gap for gap in told if before.seq < gap[0] <= row.seq]
            named = sum(count for _, count, cause in between if cause in own)
            silent = silence_ns is not None and row.time - before.until > silence_ns
            skipped = row.seq - before.seq - 1 > named
            if silent or skipped or (every_gap and between):
                found[-1].update(end=before.until, closed_by="gap")
                opened_by = "gap"
            else:
                found[-1]["lost"] += sum(count for _, count, _ in between)
                opened_by = ""
                if not same(before.state, row.state):
                    found[-1].update(end=row.time, closed_by="change")
                    opened_by = "change"
        if opened_by:
            found.append({"state": row.state, "start": row.time, "opened_by": opened_by})
            found[-1].update(records=0, polls=0, lost=0)
        found[-1]["records"] += 1
        found[-1]["polls"] += row.polls
    if found:
        found[-1].update(end=rows[-1].until, closed_by="end")
    for one in found:
        one["duration"] = one["end"] - one["start"]
    return found


def naive_durations(intervals: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    totals: list[dict[str, Any]] = []
    unknown = {"known": False, "duration": 0, "intervals": 0, "records": 0}
    for place, one in enumerate(intervals):
        total = next((total for total in totals if same(total["state"], one["state"])), None)
        if total is None:
            total = {"state": one["state"], "known": True, "duration": 0, "intervals": 0, "records": 0}
            totals.append(total)
        total["duration"] += one["duration"]
        total["intervals"] += 1
        total["records"] += one["records"]
        if one["opened_by"] == "gap":
            unknown["duration"] += one["start"] - intervals[place - 1]["end"]
            unknown["intervals"] += 1
    if unknown["intervals"]:
        totals.append(unknown)
    return totals


def naive_counts(rows: Sequence[Row]) -> list[dict[str, Any]]:
    totals: list[dict[str, Any]] = []
    for row in rows:
        total = next((total for total in totals if same(total["state"], row.state)), None)
        if total is None:
            total = {"state": row.state, "records": 0, "polls": 0}
            totals.append(total)
        total["records"] += 1
        total["polls"] += row.polls
    return totals


def rows_of(array: np.ndarray, states: np.ndarray, numbers: Sequence[int]) -> list[Row]:
    """Records as an oracle sees them."""
    holds = "until_ns" in array.dtype.names
    return [
        Row(
            int(number),
            int(row["mono_ns"]),
            int(row["until_ns"] if holds else row["mono_ns"]),
            int(row["polls"]) if holds else 1,
            state,
        )
        for number, row, state in zip(numbers, array, states.tolist(), strict=True)
    ]


def check_intervals(found: np.ndarray, expected: list[dict[str, Any]]) -> None:
    """Compare what `intervals` or `durations` returned with an oracle."""
    assert len(found) == len(expected)
    for row, wanted in zip(found, expected, strict=True):
        for name, value in wanted.items():
            assert same(row[name].tolist() if hasattr(row[name], "tolist") else row[name], value), (name, row)


def check_records(
    factory: Callable[[np.ndarray, str], Records], *, count: int = 300, store: str = "every"
) -> None:
    """What every place that hands out Records promises.

    Parameters
    ----------
    factory : callable
        Called with rows of ``SCHEMA.record(store)`` and the store; returns Records that hold just these,
        numbered from 0, nothing lost.
    count : int
        How many rows to ask for; a place with borders (segments, the end of a ring) asks for several.
    store : str
    """
    array = sample(count, store=store)
    records = factory(raw(array).copy().view(array.dtype), store)
    assert len(records) == count and records.schema == SCHEMA and records.store == store
    assert records.seq.dtype == np.uint64 and records.seq.tolist() == list(range(count))
    assert records.start == array["mono_ns"][0]
    assert records.end == array["until_ns" if store == "changes" else "mono_ns"][-1]
    assert len(records.gaps) == 0 and records.gaps.dtype == GAP_DTYPE

    whole = records.to_numpy()
    assert whole.dtype == array.dtype and whole.flags.c_contiguous
    assert whole.tobytes() == array.tobytes()
    for name in array.dtype.names:
        np.testing.assert_array_equal(whole[name], array[name])
        column = records[name]
        np.testing.assert_array_equal(column, array[name])
        assert column.flags.c_contiguous and not column.flags.writeable
    np.testing.assert_array_equal(records["axis.pos"], array["axis"]["pos"])
    assert [row["mono_ns"] for row in records] == array["mono_ns"].tolist()

    for place in (0, 1, count // 2, count - 1, -1, -count):
        assert records[place]["mono_ns"] == array["mono_ns"][place]
    for place in (count, -count - 1):
        with pytest.raises(IndexError):
            records[place]
    for part in (slice(0, 0), slice(3, count - 2), slice(-7, None), slice(None, None, 7), slice(5, 99, 13)):
        assert records[part].seq.tolist() == list(range(count))[part]
        np.testing.assert_array_equal(records[part]["total"], array["total"][part])
        np.testing.assert_array_equal(records[part][1:]["total"], array["total"][part][1:])

    middle = int(array["mono_ns"][count // 2])
    for begin, end in (
        (None, int(array["mono_ns"][-1])),
        (middle, middle + 40_000),
        (0, middle),
        (middle, None),
        (middle, middle),
        (None, None),
    ):
        times = array["mono_ns"]
        inside = (times >= (begin or 0)) & (times < (2**62 if end is None else end))
        assert records.between(begin, end).seq.tolist() == np.flatnonzero(inside).tolist()
    assert records.last(3).seq.tolist() == list(range(count - 3, count))

    running = records.where(mode="RUN")
    assert running.seq.tolist() == np.flatnonzero(array["mode"] == 1).tolist()
    assert (
        records.where("mode == RUN and level == 1.5").seq.tolist()
        == np.flatnonzero((array["mode"] == 1) & (array["level"] == 1.5)).tolist()
    )
    assert running.where(total=2**64 - 1).seq.tolist() == [
        seq for seq in running.seq.tolist() if array["total"][seq] == 2**64 - 1
    ]
    with pytest.raises(SchemaError, match="RUN"):
        records.where(mode="RUNN")

    for name in ("mode", "level", "total", "trace"):
        rows = rows_of(array, array[name], range(count))
        found = records.transitions(name)
        assert [(int(row["seq"]), int(row["time"])) for row in found] == [
            one[:2] for one in naive_transitions(rows)
        ]
        expected = naive_intervals(rows, records.gaps, 3_000, False)
        check_intervals(records.intervals(name, max_gap="3us"), expected)
        check_intervals(records.durations(name, max_gap="3us"), naive_durations(expected))
        check_counts(records.counts(name), rows)
    check_described(records, array)
    check_at(records, rows_of(array, array["mode"], range(count)), 1_000, "1us")


def check_counts(found: np.ndarray, rows: Sequence[Row]) -> None:
    """Compare what `counts` returned with records counted one by one."""
    totals: list[list] = []
    for row in rows:
        total = next((total for total in totals if same(total[0], row.state)), None)
        if total is None:
            totals.append(total := [row.state, 0, 0])
        total[1] += 1
        total[2] += row.polls
    assert len(found) == len(totals)
    for one, (state, records, polls) in zip(found, totals, strict=True):
        assert same(one["state"].tolist(), state) and (one["records"], one["polls"]) == (records, polls)


def check_described(records: Records, array: np.ndarray) -> None:
    """`describe` and `downsample` of records of `SCHEMA`, by Python's own numbers."""
    weights = array["polls"].tolist() if "polls" in array.dtype.names else [1] * len(array)
    known = {
        "mode": array["mode"].tolist(),
        "level": array["level"].tolist(),
        "total": array["total"].tolist(),
        "axis.pos": array["axis"]["pos"].tolist(),
        "axis.on": array["axis"]["on"].tolist(),
    }
    found = records.describe()
    assert found["field"].tolist() == list(known)
    for row, values in zip(found, known.values(), strict=True):
        numbers = [(value, weight) for value, weight in zip(values, weights, strict=True) if value == value]
        polls = sum(weight for _, weight in numbers)
        assert (row["count"], row["nan"]) == (polls, sum(weights) - polls)
        assert (row["min"], row["max"]) == (min(numbers)[0], max(numbers)[0])
        assert row["mean"] == sum(value * weight for value, weight in numbers) / polls
    one = records.downsample(1, "total")
    assert one.tolist() == [
        (records.start, records.end, len(array), min(known["total"]), max(known["total"]))
    ]


def naive_at(rows: Sequence[Row], lost: np.ndarray, when: int, silence_ns: int | None, every: bool) -> list:
    """Numbers of the records, one or none, that say how it was at a time."""
    before = [place for place, row in enumerate(rows) if row.time <= when]
    if not before:
        return []
    near = [row._replace(state=0) for row in rows[before[-1] : before[-1] + 2]]
    goes_on = len(near) == 2 and len(naive_intervals(near, lost, silence_ns, every)) == 1
    return [near[0].seq] if when <= near[0].until or goes_on else []


def check_at(records: Records, rows: Sequence[Row], silence_ns: int, max_gap: str) -> None:
    """`at` around many stamps; the rows have increasing numbers."""
    for row in rows[:: max(1, len(rows) // 12)]:
        for when in (row.time - 1, row.time, row.until, row.until + 1, row.until + 300):
            wanted = naive_at(rows, records.gaps, when, silence_ns, False)
            assert records.at(when, max_gap).seq.tolist() == wanted, when


def matches(field: Field, values: np.ndarray, wanted: object) -> np.ndarray:
    """Which rows of an array have a value; the array is all there is in a record."""
    what = bind(lambda _: (field, 0), None, {"x": wanted})
    found = np.empty(len(values), np.int64)
    ends = np.zeros(1, np.int64), np.full(1, len(values))
    rows = np.ascontiguousarray(values).view(np.uint8)
    count = what.steps.condition().meeting(rows, values.dtype.itemsize, *ends, found)
    mask = np.zeros(len(values), bool)
    mask[found[:count]] = True
    return mask


def select(labels: Labels, values: np.ndarray, label: str) -> np.ndarray:
    """Which values of a field a label means."""
    field = Field("x", values.dtype, 0, labels=labels)
    return matches(field, values.reshape(-1), label).reshape(values.shape)
