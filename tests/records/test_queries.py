import ctypes
from unittest import mock

import numpy as np
import pytest
from common import (
    SCHEMA,
    check_intervals,
    gaps,
    naive_durations,
    naive_intervals,
    naive_transitions,
    rows_of,
    same,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from fastrec.errors import SchemaError
from fastrec.records import ArrayChunk, Records, breaks, rows
from fastrec.schema import Schema
from fastrec.schema.gaps import Cause, join

pytestmark = pytest.mark.once  # the answers of oracles, wherever the package lies

STATES = {
    "<i4": [0, 1, -1, 2**31 - 1],
    ">i8": [0, 2**63 - 1, -(2**63), 2**53, 2**53 + 1],
    "<u8": [0, 2**64 - 1, 2**64 - 2, 2**63],
    ">u2": [0, 1, 256],
    "<f4": [0.0, -0.0, 1.5, float("nan"), float("inf")],
    ">f8": [0.0, -0.0, float("nan"), -float("nan"), float("-inf")],
    "<f2": [0.0, float("nan"), 1.0],
    "<c8": [0j, 1j],
    "?": [False, True],
    "S3": [b"", b"a", b"a\0b", b"abc"],
    "V2": [b"\0\0", b"\0\1", b"\1\0"],
}


@st.composite
def recordings(draw):
    """Records with one field, in any number of chunks, with losses of all kinds; and what an oracle needs."""
    kind = draw(st.sampled_from(sorted(STATES)))
    store = draw(st.sampled_from(["every", "changes"]))
    shape = draw(st.sampled_from([(), (), (2,)]))
    count = draw(st.integers(0, 30))
    schema = Schema.from_dtype(np.dtype([("state", kind, shape), ("after", "u1")]))
    array = np.zeros(count, dtype=schema.record(store))
    times, numbers, losses = [], [], []
    now, number = 1_000, draw(st.sampled_from([0, 2**63 - 5, 2**64 - 2_000]))
    choices = st.sampled_from(STATES[kind])
    for row in array:
        step = draw(st.integers(0, 9))
        if step == 7:
            losses.append((number, draw(st.integers(1, 9)), draw(st.sampled_from([2, 3, 4, 6]))))
        if step >= 8:
            skipped = draw(st.integers(1, 4))
            if step == 9:
                losses.append((number, skipped, draw(st.sampled_from([1, 5, 7]))))
            number += skipped
        now += draw(st.sampled_from([0, 1, 10, 100, -3]))
        row["mono_ns"] = now
        if store == "changes":
            now += draw(st.integers(0, 20))
            row["until_ns"], row["polls"] = now, draw(st.integers(1, 5))
        row["state"] = np.array([draw(choices) for _ in range(int(np.prod(shape)))], dtype=kind).reshape(
            shape
        )
        times.append(now)
        numbers.append(number)
        number += 1
    if draw(st.booleans()):
        losses.append((number, 2, int(Cause.FAILED)))
    chunks, first = [], 0
    for place in range(1, count + 1):
        adjoin = place < count and numbers[place] == numbers[place - 1] + 1
        if not adjoin or draw(st.integers(0, 5)) == 0:
            chunks.append(ArrayChunk(array[first:place], numbers[first]))
            first = place
    lost = gaps(*losses)
    records = Records("x", schema, chunks, gaps=lost, clock=None, store=store)
    return records, rows_of(array, array["state"], numbers), join(lost), draw(st.integers(1, 8))


@settings(max_examples=250, deadline=None)
@given(recordings(), st.sampled_from(["5ns", "50ns", "1s", 0, None]))
def test_against_the_oracle(recording, max_gap):
    records, seen, lost, block = recording
    with mock.patch.object(rows, "BLOCK", block):
        changes = records.transitions("state")
        expected = naive_transitions(seen)
        assert len(changes) == len(expected)
        for row, wanted in zip(changes, expected, strict=True):
            assert (int(row["seq"]), int(row["time"])) == wanted[:2]
            assert same(row["from"].tolist(), wanted[2]) and same(row["to"].tolist(), wanted[3])
        silence = {"5ns": 5, "50ns": 50, "1s": 10**9}.get(max_gap)
        wanted = naive_intervals(seen, lost, silence, max_gap in (0, None))
        check_intervals(records.intervals("state", max_gap), wanted)
        check_intervals(records.durations("state", max_gap), naive_durations(wanted))


@settings(max_examples=100, deadline=None)
@given(recordings(), st.data())
def test_a_selection_breaks_where_rows_were_left_out(recording, data):
    records, seen, lost, block = recording
    wanted = data.draw(
        st.sampled_from(STATES[records["state"].dtype.str.replace("|b1", "?").replace("|", "")])
    )
    if records["state"].ndim > 1 or isinstance(wanted, bytes):
        return
    with mock.patch.object(rows, "BLOCK", block):
        found = records.where(state=wanted)
        kept = [row for row in seen if same(row.state, wanted)]
        assert found.seq.tolist() == [row.seq for row in kept]
        check_intervals(found.intervals("state", "50ns"), naive_intervals(kept, lost, 50, False))
        thin = records[::3]
        check_intervals(thin.intervals("state", "50ns"), naive_intervals(seen[::3], lost, 50, False))


@settings(max_examples=100, deadline=None)
@given(recordings(), st.data())
def test_windows_against_the_oracle(recording, data):
    records, seen, _, block = recording
    # Limits that are stamps, or beside one: a window has its first instant and not its last.
    limits = st.sampled_from([row.time + off for row in seen for off in (-1, 0, 1)] or [0])
    begin, end = data.draw(limits), data.draw(limits)
    with mock.patch.object(rows, "BLOCK", block):
        expected = [row.seq for row in seen if begin <= row.time < end]
        assert records.between(begin, end).seq.tolist() == expected
        assert records[2:9].between(begin, end).seq.tolist() == [
            row.seq for row in seen[2:9] if begin <= row.time < end
        ]


def one(states, times, *, lost=(), store="every", until=None, polls=None, numbers=0):
    schema = Schema.from_dtype(np.dtype([("state", "<i4")]))
    array = np.zeros(len(states), dtype=schema.record(store))
    array["state"], array["mono_ns"] = states, times
    if store == "changes":
        array["until_ns"], array["polls"] = until, polls
    return Records("x", schema, [ArrayChunk(array, numbers)], gaps=gaps(*lost), clock=None, store=store)


def test_holds_are_joined_and_end_when_they_were_last_seen():
    records = one(
        [1, 1, 2, 2, 2, 2],
        [0, 10, 50, 60, 500, 510],
        until=[0, 40, 50, 90, 500, 590],
        polls=[1, 4, 1, 4, 1, 9],
        store="changes",
    )
    found = records.intervals("state", "100ns")
    assert found["start"].tolist() == [0, 50, 500]
    assert found["end"].tolist() == [50, 90, 590]
    assert found["duration"].tolist() == [50, 40, 90]
    assert found["polls"].tolist() == [5, 5, 10]
    assert found["closed_by"].tolist() == ["change", "gap", "end"]
    total = records.durations("state", "100ns")
    assert total["state"].tolist() == [1, 2, 0]
    assert total["known"].tolist() == [True, True, False]
    assert total["duration"].tolist() == [50, 130, 410]
    assert total["intervals"].tolist() == [1, 2, 1]
    assert total["records"].tolist() == [2, 4, 0]
    assert total["share"].tolist() == [50 / 590, 130 / 590, 410 / 590]


def test_silence_is_longer_than_max_gap_not_as_long():
    records = one([1, 1, 1], [0, 100, 201])
    assert len(records.intervals("state", "100ns")) == 2
    assert len(records.intervals("state", "101ns")) == 1


def test_losses_belong_to_the_interval_that_goes_on():
    lost = [(0, 1, 4), (1, 2, 3), (2, 4, 3), (4, 8, 3), (5, 16, 3), (6, 32, 4)]
    found = one([1, 1, 2, 2, 2, 2], [0, 10, 20, 30, 40, 500], lost=lost).intervals("state", "100ns")
    assert found["lost"].tolist() == [6, 8, 0]
    assert found["closed_by"].tolist() == ["change", "gap", "end"]


def test_a_gap_within_a_selection_breaks_before_the_record_of_its_number():
    picked = one([1, 1, 1, 2, 1], [0, 10, 20, 30, 40], lost=[(1, 1, 3)]).where(state=1)
    assert picked.intervals("state", 0)["start"].tolist() == [0, 10, 40]
    assert picked.intervals("state", "1s")["start"].tolist() == [0, 40]


def test_a_state_that_no_time_passes_in_has_no_share():
    total = one([1], [7]).durations("state")
    assert total["share"].tolist() == [0.0] and total["duration"].tolist() == [0]


def test_polls_of_a_hostile_file_wrap_in_silence():
    most = 2**64 - 1
    records = one([1, 1, 1, 2], [0, 1, 2, 3], until=[0, 1, 2, 3], polls=[most, most, 5, 7], store="changes")
    with mock.patch.object(rows, "BLOCK", 1):
        assert records.intervals("state", "1s")["polls"].tolist() == [3, 7]


@pytest.mark.parametrize(
    ("max_gap", "period", "expected"),
    [
        (None, None, (None, True)),
        (None, 100, (10_000_000, False)),
        (None, 2_000_000, (20_000_000, False)),
        (0, None, (None, True)),
        (0, 2_000_000, (20_000_000, True)),
        ("0s", 100, (10_000_000, True)),
        ("5ns", 100, (5, False)),
        ("5ns", None, (5, False)),
    ],
)
def test_breaking(max_gap, period, expected):
    assert breaks.breaking(max_gap, period) == expected


def test_results_are_in_native_byte_order():
    schema = Schema.from_dtype(np.dtype([("state", ">i4")]))
    array = np.zeros(3, dtype=schema.record_dtype)
    array["state"] = [1, 256, 256]
    records = Records("x", schema, [ArrayChunk(array)], gaps=gaps(), clock=None)
    assert records["state"].dtype == np.dtype(">i4")
    for found, name in ((records.transitions("state"), "to"), (records.intervals("state"), "state")):
        assert found.dtype[name] == np.dtype("=i4")
    assert records.transitions("state")[["from", "to"]].tolist() == [(1, 256)]


def test_bit_fields_have_states():
    class Word(ctypes.Structure):
        _fields_ = [("low", ctypes.c_uint16, 3), ("high", ctypes.c_int16, 5)]

    schema = Schema.from_ctypes(Word)
    array = np.zeros(4, dtype=schema.record_dtype)
    words = b"".join(bytes(Word(low, high)) for low, high in [(1, -1), (1, -2), (7, -2), (7, 3)])
    payloads = array.view(np.uint8).reshape(4, -1)[:, 8 : 8 + ctypes.sizeof(Word)]
    payloads[:] = np.frombuffer(words, dtype=np.uint8).reshape(4, -1)
    records = Records("x", schema, [ArrayChunk(array)], gaps=gaps(), clock=None)
    assert records["high"].tolist() == [-1, -2, -2, 3]
    assert records.transitions("low")["seq"].tolist() == [2]
    assert records.transitions("high")["to"].tolist() == [-2, 3]
    assert records.where(high=-2, low=7).seq.tolist() == [2]


def test_an_unknown_field_names_its_neighbour():
    with pytest.raises(SchemaError, match="did you mean 'state'"):
        one([1], [0]).intervals("stat")


def test_unknown_time_that_no_64_bits_count() -> None:
    """Stamps of a forged file: it wraps, as their differences do."""
    array = np.zeros(8, SCHEMA.record_dtype)
    array["mono_ns"] = [0, 2**62] * 4
    parts = [ArrayChunk(array[place : place + 2], place) for place in range(0, 8, 2)]
    records = Records("x", SCHEMA, parts, gaps=gaps(), clock=None, period_ns=1_000)
    assert records.durations("mode")["known"].tolist() == [True, False]
