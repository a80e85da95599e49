"""One suite of questions, asked of the same records wherever they are.

A channel is polled, with calls that fail; then its records are in the ring of the running recorder, in its
recording while that is being written, in the closed one, and in one that was recovered from it. Everywhere
the answers are those of plain Python that looks at one record after another.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from itertools import chain, repeat
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from common import (
    PAYLOAD,
    SCHEMA,
    check_at,
    check_counts,
    check_intervals,
    naive_durations,
    naive_intervals,
    naive_transitions,
    raw,
    rows_of,
    same,
    sample,
)
from moments import Known, check_expanded, check_matched, check_rates, check_resampled, expanded, plain
from waiting import until

import fastrec as fr
from fastrec.schema.gaps import Cause

PLACES = ["ring", "being written", "closed", "recovered"]
STORES = ["every", "changes"]
CHANNELS = {"every": "each", "changes": "held"}
FIELDS = ["mode", "level", "total", "trace", "tag"]
RECORDS = 500
MAX_GAPS: list[Any] = [None, 0, "3ms"]


class Script:
    """What the calls of a channel return: payloads that stay for a while, and failures in between."""

    def __init__(self, seed: int) -> None:
        self.returned: list[bytes] = []
        self._luck = random.Random(seed)
        begin = SCHEMA.payload_offset("every")
        rows = [bytes(row)[begin:] for row in raw(sample(4 * RECORDS, seed=seed))]
        self._payloads = chain.from_iterable(repeat(row, self._luck.choice([1, 1, 2, 7])) for row in rows)

    def __call__(self) -> bytes:
        if self.returned and self._luck.random() < 0.03:
            raise OSError(5, "it does not answer")
        self.returned.append(next(self._payloads))
        return self.returned[-1]


class Asked(NamedTuple):
    """A channel at one of the places, and what its calls had returned by then."""

    known: Known
    other: Known
    returned: list[bytes]

    @property
    def records(self) -> fr.Records:
        return self.known.records

    @property
    def rows(self) -> np.ndarray:
        """As they are stored."""
        return self.records.to_numpy()


@pytest.fixture(scope="module")
def everywhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, dict[str, fr.Records]]]:
    """By place and store; all of a store are of the same records."""
    path = tmp_path_factory.mktemp("asked") / "run.fastrec"
    scripts = {store: Script(seed) for seed, store in enumerate(STORES)}
    found: dict[str, dict[str, fr.Records]] = {}
    with fr.Recorder(path, segment_bytes=1 << 13) as rec:
        channels = {
            store: rec.add(CHANNELS[store], fr.PyCall(script, schema=SCHEMA), rate=1000, store=store)
            for store, script in scripts.items()
        }
        until(lambda: all(channel.stats.published >= RECORDS for channel in channels.values()))
        with rec.thread("python:each").paused(), rec.thread("python:held").paused():
            rings = {store: channel.snapshot() for store, channel in channels.items()}
            seen = {store: len(records) - 1 for store, records in rings.items()}  # the last hold goes on
            found["ring"] = {store: records[: seen[store]] for store, records in rings.items()}
            returned = {store: list(script.returned) for store, script in scripts.items()}
            until(lambda: all(len(fr.open(path)[CHANNELS[store]]) >= seen[store] for store in STORES))
            found["being written"] = opened(path, seen)
    saved = path.with_name("saved.fastrec")
    fr.recover(path, saved)
    found |= {"closed": opened(path, seen), "recovered": opened(saved, seen)}
    yield {
        place: {store: (records, returned[store]) for store, records in of.items()}
        for place, of in found.items()
    }


def opened(path: Path, seen: dict[str, int]) -> dict[str, fr.Records]:
    run = fr.open(path)
    return {store: run[CHANNELS[store]][: seen[store]] for store in STORES}


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest) -> str:
    return request.param


def known(records: fr.Records) -> Known:
    rows = records.to_numpy()
    return Known(records, {name: rows_of(rows, rows[name], records.seq) for name in FIELDS})


@pytest.fixture
def asked(everywhere: dict, place: str, store: str) -> Asked:
    (records, returned), (other, _) = everywhere[place][store], everywhere[place]["every"]
    return Asked(known(records), known(other), returned)


def test_they_are_what_the_calls_returned(everywhere: dict, store: str, place: str, asked: Asked) -> None:
    """Numbers, stamps, bytes and losses are the same everywhere."""
    rows, begin = asked.rows, SCHEMA.payload_offset(store)
    polls = rows["polls"].tolist() if store == "changes" else repeat(1)
    stored = [bytes(row)[begin : begin + PAYLOAD.itemsize] for row in raw(rows)]
    told = list(chain.from_iterable(repeat(one, count) for one, count in zip(stored, polls, strict=False)))
    assert told == asked.returned[1 : len(told) + 1]  # what `add` asked for first is no record
    ring = everywhere["ring"][store][0]
    assert rows.tobytes() == ring.to_numpy().tobytes()
    assert asked.records.seq.tolist() == ring.seq.tolist()
    failed = asked.records.gaps
    failed = failed[failed["cause"] == Cause.FAILED]
    assert len(failed) > 5
    np.testing.assert_array_equal(failed, ring.gaps[ring.gaps["cause"] == Cause.FAILED])


def test_parts(asked: Asked) -> None:
    records, rows = asked.records, asked.rows
    times, count = rows["mono_ns"], len(rows)
    for part in (slice(3, -7), slice(-9, None), slice(None, None, 7), slice(40, 40)):
        assert records[part].to_numpy().tobytes() == raw(rows)[part].tobytes()
    for place in (0, count // 3, -1):
        assert bytes(raw(records[place : place + 1 or None].to_numpy())[0]) == bytes(raw(rows)[place])
    begin, end = int(times[count // 4]), int(times[count // 2])
    assert records.between(begin, end).seq.tolist() == records.seq[(times >= begin) & (times < end)].tolist()
    assert records.last(9).seq.tolist() == records.seq[-9:].tolist()
    newest = records.seq[times >= records.end - 50_000_000]
    assert records.last("50ms").seq.tolist()[-len(newest) :] == newest.tolist()
    assert [int(row["mono_ns"]) for chunk in records.chunks(64) for row in chunk] == times.tolist()
    check_at(records, asked.known.rows["mode"], 3_000_000, "3ms")


def test_conditions(asked: Asked) -> None:
    records, rows = asked.records, asked.rows
    fault, high = rows["mode"] == 2, rows["total"] > 2**63
    changed = np.array([True, *(rows["mode"][1:] != rows["mode"][:-1])])
    for found, wanted in [
        (records.where(mode="FAULT"), fault),
        (records.where("mode == FAULT or total > 9223372036854775808"), fault | high),
        (records.where("not (level < 1) and mode in (IDLE, RUN)"), ~(rows["level"] < 1) & (rows["mode"] < 2)),
        (records.where("(total & 1) + mode >= 2"), (rows["total"] & np.uint64(1)) + rows["mode"] >= 2),
        (records.where("changed(mode) and not mode == FAULT"), changed & ~fault),
        (records.where("axis.pos < -1"), rows["axis"]["pos"] < -1),
    ]:
        np.testing.assert_array_equal(found.seq, records.seq[wanted])
        np.testing.assert_array_equal(raw(found.to_numpy()), raw(rows)[wanted])


@pytest.mark.parametrize("max_gap", MAX_GAPS)
def test_states(asked: Asked, max_gap: str | int | None) -> None:
    records = asked.records
    for name, rows in asked.known.rows.items():
        wanted = naive_intervals(rows, records.gaps, *asked.known.breaking(max_gap))
        assert (
            max_gap is None
            or len(wanted) > len(naive_transitions(rows))
            or any(one["lost"] for one in wanted)
        )
        check_intervals(records.intervals(name, max_gap), wanted)
        check_intervals(records.durations(name, max_gap), naive_durations(wanted))
        changes = [tuple(row) for row in records.transitions(name).tolist()]
        assert len(changes) == len(naive_transitions(rows))
        assert all(
            same(list(map(plain, a)), list(map(plain, b)))
            for a, b in zip(changes, naive_transitions(rows), strict=True)
        )
        check_counts(records.counts(name), rows)


def test_numbers(asked: Asked) -> None:
    """Sums of numbers, exact where they are whole ones; each poll counts."""
    rows, records = asked.rows, asked.records
    polls = rows["polls"].tolist() if "polls" in rows.dtype.names else [1] * len(rows)
    mode, total = (list(zip(rows[name].tolist(), polls, strict=True)) for name in ("mode", "total"))
    for row, values in zip(records.describe("mode", "total"), (mode, total), strict=True):
        assert (row["count"], row["min"], row["max"]) == (sum(polls), min(values)[0], max(values)[0])
        assert row["mean"] == sum(value * times for value, times in values) / sum(polls)
    points = records.downsample(7, "total")
    assert 1 < len(points) <= 7 and points["records"].sum() == len(rows)
    ends = np.cumsum(points["records"]).tolist()
    for point, begin, end in zip(points, [0, *ends], ends, strict=False):
        inside = rows["total"][begin:end]
        assert (point["min"], point["max"]) == (inside.min(), inside.max())


def test_windows_of_time(asked: Asked) -> None:
    some = asked.known.part(50, 250)
    check_resampled(some, FIELDS, 13_000_001, None, "3ms")
    check_rates(some, ["total", "mode"], 29_000_000, None, "3ms")
    check_rates(some, ["total"], None, None, None)


@pytest.mark.parametrize("direction", ["backward", "forward", "nearest"])
def test_other_channels(asked: Asked, direction: str) -> None:
    times = asked.rows["mono_ns"]
    other = asked.other.part(20, 400, 3)
    found = asked.records.asof(other.records, direction=direction, tolerance="4ms", max_gap="10ms")
    check_matched(found, other, times.tolist(), direction, 4_000_000, "10ms")
    if asked.records.name == asked.other.records.name:
        return
    both = fr.align(asked.records, other.records, every="3ms", direction=direction, max_gap="10ms")
    assert list(both) == [asked.records.name, other.records.name]
    assert (np.diff(both.time) == 3_000_000).all()
    for one in (asked.known, other):
        check_matched(both[one.records.name], one, both.time.tolist(), direction, None, "10ms")


def test_polls(asked: Asked) -> None:
    check_expanded(expanded(asked.known))


def test_labels_and_dates(asked: Asked) -> None:
    rows, records = asked.rows, asked.records
    labels = [{0: "IDLE", 1: "RUN", 2: "FAULT"}.get(mode, f"{mode}?") for mode in rows["mode"].tolist()]
    assert records.decode("mode")["mode"].tolist() == labels
    dates = records.dates()
    assert dates.dtype == np.dtype("M8[ns]")
    now = time.time_ns() - time.monotonic_ns()
    assert abs(dates.astype(np.int64) - rows["mono_ns"] - now).max() < 10**8


def test_nothing_has_the_same_columns(asked: Asked) -> None:
    """Where nothing is found the answer has its dtype."""
    records, nothing = asked.records, asked.records.where("mode == 77")
    assert len(nothing) == 0 and nothing.schema == records.schema
    for ask in (
        *(lambda one, name=name: one.transitions(name) for name in FIELDS),
        *(lambda one, name=name: one.intervals(name) for name in FIELDS),
        *(lambda one, name=name: one.durations(name) for name in FIELDS),
        *(lambda one, name=name: one.counts(name) for name in FIELDS),
        lambda one: one.resample("10ms", "mode"),
        lambda one: one.rate("total"),
        lambda one: one.downsample(9, "total"),
        lambda one: one.to_numpy(),
        lambda one: one["level"],
        lambda one: one.dates(),
        lambda one: one.expand().to_numpy(),
    ):
        assert ask(nothing).dtype == ask(records).dtype and len(ask(nothing)) == 0
