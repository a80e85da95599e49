"""Holds as the polls that they stand for."""

from __future__ import annotations

import numpy as np
import pytest
from common import check_intervals, naive_intervals, passes
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from moments import Known, check_expanded, expanded, polled
from sequences import MAX_GAPS, SCHEMA, sequences

from fastrec.errors import SchemaError
from fastrec.records import ArrayChunk, Records, chunks, expanding, rows
from fastrec.records.expanding import passed
from fastrec.schema.gaps import GAP_DTYPE

pytestmark = pytest.mark.once  # the answers of oracles, wherever the package lies


block = passes(rows, chunks, expanding, sizes=(65_536, 3), autouse=True)


@pytest.mark.parametrize("few", [0, 16])
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_every_poll(monkeypatch: pytest.MonkeyPatch, few: int, data: st.DataObject) -> None:
    monkeypatch.setattr(expanding, "_FEW", few)
    given = data.draw(sequences(store="changes", falling=data.draw(st.booleans())))
    start, step = data.draw(st.sampled_from([(0, 1), (2, 1), (0, 3)]))
    found = expanded(given.part(start, 24, step))
    check_expanded(found)
    check_expanded(found.part(5, 40))
    check_expanded(found.part(1, 60, 7))
    assert found.records.polls == given.part(start, 24, step).records.polls
    records, those = found.records, found.any_rows
    assert [row["mono_ns"] for row in records] == [row.time for row in those]
    max_gap = data.draw(st.sampled_from(MAX_GAPS))
    wanted = naive_intervals(those, records.gaps, *given.breaking(max_gap))
    check_intervals(records.intervals("mode", max_gap), wanted)
    for row in those[::5]:
        window = [one.seq for one in those if row.time <= one.time < row.time + 20]
        assert records.between(row.time, row.time + 20).seq.tolist() == window


@settings(max_examples=40)
@given(sequences(store="changes"), st.sampled_from([0, "200ns"]))
def test_intervals_are_those_of_the_holds(given: Known, max_gap: str | int) -> None:
    """States, times and polls; what was lost lies between the same polls."""
    columns = ["state", "start", "end", "polls", "lost", "opened_by", "closed_by"]
    found = given.records.expand().intervals("big", max_gap)[columns]
    assert found.tolist() == given.records.intervals("big", max_gap)[columns].tolist()
    losses = ["count", "cause", "t_first", "t_last"]
    assert given.records.expand().gaps[losses].tolist() == given.records.gaps[losses].tolist()


def test_records_that_are_no_holds() -> None:
    records = Records("x", SCHEMA, [ArrayChunk(np.zeros(3, SCHEMA.record("every")))], gaps=NONE, clock=None)
    assert records.expand() is records


NONE = np.empty(0, GAP_DTYPE)


def held(*rows: tuple[int, int, int]) -> Records:
    array = np.zeros(len(rows), SCHEMA.record("changes"))
    for place, (start, until, polls) in enumerate(rows):
        array["mono_ns"][place], array["until_ns"][place], array["polls"][place] = start, until, polls
    return Records("x", SCHEMA, [ArrayChunk(array)], gaps=NONE, clock=None, store="changes")


def test_a_hold_of_days_is_not_made_at_once() -> None:
    day = 86_400 * 10**9
    records = held((0, 30 * day, 2_592_000_001), (30 * day + 1, 30 * day + 1, 1)).expand()
    assert len(records) == 2_592_000_002
    assert records[-2:]["mono_ns"].tolist() == [30 * day, 30 * day + 1]
    assert records[10**9 : 10**9 + 2]["mono_ns"].tolist() == [10**15, 10**15 + 10**6]
    assert records.between(10**15, 10**15 + 1).seq.tolist() == [10**9]
    assert [len(part) for part, _ in zip(records.chunks(100), range(3), strict=False)] == [100, 100, 100]


def test_what_a_file_claims_may_be_anything() -> None:
    records = held((0, -5, 3), (7, 7, 0), (8, 2**63 - 1, 2**61)).expand()
    assert len(records) == 2**61 + 3
    assert records[:4]["mono_ns"].tolist() == [0, 0, 0, 8]
    assert records[-1:]["mono_ns"].tolist() == [2**63 - 1]
    halfway = 8 + (2**60) * (2**63 - 9) // (2**61 - 1)
    assert records[2**60 + 3 : 2**60 + 4]["mono_ns"].tolist() == [halfway]
    assert len(held((7, 7, 0)).expand()) == 0
    with pytest.raises(SchemaError, match=f"these holds stand for {2**63} polls: more than can be numbered"):
        held((0, 1, 2**62), (1, 2, 2**62)).expand()


def test_they_cannot_be_followed() -> None:
    records = held((0, 5, 3))
    records._tail = lambda number: None
    for some in (records.expand(), records.asof(records).records):
        with pytest.raises(SchemaError, match="nothing comes behind these records"):
            some.follow()


@given(st.data())
def test_polls_before_a_time(data: st.DataObject) -> None:
    wide = data.draw(st.booleans())
    length = st.integers(0, 2**62) if wide else st.integers(0, 40)
    start = data.draw(st.integers(-(2**62), 0)) if wide else 0
    until = start + data.draw(length) - (0 if wide else 3)
    polls = data.draw(st.integers(0, 9))
    stamp = start + data.draw(length) - 5
    columns = (np.array([one], np.int64) for one in (start, until, stamp))
    first, last, when = columns
    found = passed(first, last, np.array([polls], np.uint64), when)
    assert found.tolist() == [sum(time < stamp for time in polled(start, until, polls))]


def test_polls_before_a_time_in_a_hold_that_no_register_holds() -> None:
    first, last = np.array([0]), np.array([2**62])
    for polls in (2**40, 2**61 + 1):
        for when in (1, 2**50 + 7, 2**62 - 1, 2**62):
            wanted = -(-when * (polls - 1) // 2**62)
            assert passed(first, last, np.array([polls], np.uint64), np.array([when])).tolist() == [wanted]
