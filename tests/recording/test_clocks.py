"""Dates across steps, sleep and boots: from recordings that the oracle wrote."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from recording.writer import CREATED_NS, START_NS, Folder

from fastrec.recording import clocks, layout, reader
from fastrec.recording.clocks import ClockEvent

S = 10**9
HOUR = 3600 * S


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    folder = Folder(tmp_path / "r")
    folder.session()
    return folder


def at(seconds: float) -> int:
    return START_NS + round(seconds * S)


def date(seconds: float) -> int:
    return CREATED_NS + round(seconds * S)


def open_(folder: Folder) -> reader.Recording:
    return reader.open(folder.root)


def test_clocks_that_drift_run_evenly(folder: Folder) -> None:
    for second in range(0, 50, 10):
        folder.clock(at(second), date(second * 1.0004))
    run = open_(folder)
    assert run.clock_events == []
    assert run.clock.wall(at(15)) == date(15 * 1.0004)


@pytest.mark.parametrize("step", [HOUR, -HOUR, S, -S, 5_100_000, -5_100_000])
def test_a_clock_that_was_set_jumps_at_the_reading_behind(folder: Folder, step: int) -> None:
    for second in range(0, 50, 10):
        folder.clock(at(second), date(second) + (step if second > 25 else 0))
    run = open_(folder)
    assert run.clock_events == [ClockEvent("step", at(20), at(30), step)]
    clock = run.clock
    assert [clock.wall(at(t)) for t in (15, 20, 25)] == [date(t) for t in (15, 20, 25)]
    assert clock.wall(at(30) - 1) == date(30) - 1
    assert [clock.wall(at(t)) for t in (30, 31, 99)] == [date(t) + step for t in (30, 31, 99)]
    assert clock.mono(date(25)) == at(25)
    # What the clock never showed is the moment at which it had it behind it.
    assert clock.mono(date(35) + step) == at(35)
    if step > S:
        assert clock.mono(date(30) + step // 2) == at(30)


def test_what_slewing_explains_is_no_step(folder: Folder) -> None:
    for second, by in ((0, 0), (10, 5_000_000), (20, 0), (30, 5_000_100)):
        folder.clock(at(second), date(second) + by)
    assert open_(folder).clock_events == []
    folder.clock(at(40), date(40) + 10_000_202)
    folder.clock(at(40) + 1000, date(40) + 10_000_202 + 1000 + 100)
    assert open_(folder).clock_events == [ClockEvent("step", at(30), at(40), 5_000_102)]


def test_uncertain_readings_make_no_step(folder: Folder) -> None:
    folder.clock(at(0), date(0))
    folder.clock(at(10), date(10) + 20_000_000, uncertainty=15_000_000)
    folder.clock(at(20), date(20))
    assert open_(folder).clock_events == []
    folder.clock(at(30), date(30) + 20_000_000)
    assert [event.by_ns for event in open_(folder).clock_events] == [20_000_000]


def test_a_machine_that_slept(folder: Folder) -> None:
    slept = 1800 * S
    for second in range(0, 50, 10):
        more = slept if second > 25 else 0
        folder.clock(at(second), date(second) + more, boottime=at(second) + more)
    run = open_(folder)
    assert run.clock_events == [ClockEvent("suspend", at(20), at(30), slept)]
    assert [run.clock.wall(at(t)) for t in (25, 30)] == [date(25), date(30) + slept]


def test_a_clock_that_was_set_while_the_machine_slept(folder: Folder) -> None:
    folder.clock(at(0), date(0))
    folder.clock(at(10), date(10) + 1800 * S - HOUR, boottime=at(10) + 1800 * S)
    folder.clock(at(20), date(20) + 1800 * S - HOUR + 900_000, boottime=at(20) + 1800 * S + 900_000)
    folder.clock(at(30), date(30) + 1800 * S - HOUR + 2_900_000, boottime=at(30) + 1800 * S + 2_900_000)
    assert open_(folder).clock_events == [
        ClockEvent("suspend", at(0), at(10), 1800 * S),
        ClockEvent("step", at(0), at(10), -HOUR),
        ClockEvent("suspend", at(20), at(30), 2_000_000),
    ]


# Sessions


def second_session(folder: Folder, *, boot: str, real: int, boottime: int, offset: int = 0) -> None:
    """From second 100 on; its first reading is a millisecond behind its start."""
    folder.session(1, boot=boot, start=at(100), offset=offset)
    folder.clock(at(100.001), real + S // 1000, boottime=boottime + S // 1000)
    folder.clock(at(110), real + 10 * S, boottime=boottime + 10 * S)


def test_two_sessions_in_one_boot(folder: Folder) -> None:
    folder.clock(at(0), date(0))
    folder.clock(at(10), date(10))
    second_session(folder, boot="b", real=date(100), boottime=at(100))
    run = open_(folder)
    assert run.clock_events == []
    assert [run.clock.wall(at(t)) for t in (5, 50, 100, 105)] == [date(t) for t in (5, 50, 100, 105)]


def test_a_boot_between_two_sessions(folder: Folder) -> None:
    folder.clock(at(0), date(0))
    folder.clock(at(10), date(10))
    # The clocks begin anew; the offset makes the stamps go on, as the clock of dates tells.
    second_session(folder, boot="c", real=date(100), boottime=20 * S, offset=at(100) - 20 * S)
    run = open_(folder)
    assert run.clock_events == []
    assert [run.clock.wall(at(t)) for t in (10, 12, 100, 105)] == [date(t) for t in (10, 12, 100, 105)]


def test_dates_of_a_session_are_not_bent_towards_the_next(folder: Folder) -> None:
    folder.clock(at(0), date(0))
    folder.clock(at(10), date(10))
    second_session(folder, boot="c", real=date(100) + 20_000_000, boottime=20 * S, offset=at(100) - 20 * S)
    run = open_(folder)
    assert run.clock_events == []
    assert [run.clock.wall(at(t)) for t in (12, 99)] == [date(12), date(99)]
    assert run.clock.wall(at(100)) == date(100) + 20_000_000


@pytest.mark.parametrize("back", [HOUR, -HOUR])
def test_a_clock_set_between_two_sessions(folder: Folder, back: int) -> None:
    folder.clock(at(0), date(0))
    folder.clock(at(10), date(10))
    second_session(folder, boot="c", real=date(100) - back, boottime=20 * S, offset=at(100) - 20 * S)
    run = open_(folder)
    assert run.clock_events == [ClockEvent("step", at(10), at(100.001), -back)]
    # A session's dates are its own, from its start to its end.
    assert [run.clock.wall(at(t)) for t in (10, 12, 99)] == [date(t) for t in (10, 12, 99)]
    assert [run.clock.wall(at(t)) for t in (100, 100.0005, 105)] == [
        date(t) - back for t in (100, 100.0005, 105)
    ]


def test_sleep_between_two_sessions_is_told_in_one_boot_only(folder: Folder) -> None:
    folder.clock(at(0), date(0))
    slept = 3 * S
    second_session(folder, boot="b", real=date(100) + slept, boottime=at(100) + slept)
    assert open_(folder).clock_events == [ClockEvent("suspend", at(0), at(100.001), slept)]
    # An offset is no sleep.
    folder.session(2, start=at(200), offset=at(100))
    folder.clock(at(200), date(200) + slept, boottime=at(200) - at(100) + slept)
    assert len(open_(folder).clock_events) == 1
    folder.clock(at(210), date(210) + 2 * slept, boottime=at(210) - at(100) + 2 * slept)
    folder.session(3, start=at(300), offset=at(50))
    folder.clock(at(300), date(300) + 3 * slept, boottime=at(300) - at(50) + 3 * slept)
    assert [event.by_ns for event in open_(folder).clock_events] == [slept] * 3
    folder.session(4, start=at(400), namespace=2)
    folder.clock(at(400), date(400) + 3 * slept, boottime=at(400) + 99 * S)
    assert len(open_(folder).clock_events) == 3


def test_lines_that_say_nothing(folder: Folder) -> None:
    folder.line("sessions.jsonl", session="x", start_ns="soon", offset_ns=None)
    folder.line("sessions.jsonl", start_ns=at(5), offset_ns=2**70)
    folder.clock(at(0), date(0))
    folder.clock(at(10), date(10))
    run = open_(folder)
    assert run.clock.wall(at(5)) == date(5)
    assert isinstance(run.clock_events, list)


def test_the_clock_is_read_again_when_there_is_more(folder: Folder) -> None:
    folder.clock(at(0), date(0))
    run = open_(folder)
    clock = run.clock
    assert run.clock is clock
    folder.clock(at(10), date(10) + HOUR)
    assert run.clock.wall(at(10)) == date(10) + HOUR
    folder.session(1, start=at(5))
    assert run.clock.wall(at(6)) == date(6) + HOUR


STAMP = st.one_of(st.integers(-(2**63), 2**63 - 1), st.integers(0, 10**11))


@given(
    st.lists(st.tuples(STAMP, STAMP, STAMP, STAMP), max_size=6),
    st.lists(st.tuples(STAMP, STAMP, st.sampled_from("ab")), max_size=3),
    st.lists(STAMP, min_size=1, max_size=5),
)
def test_readings_of_any_kind(
    readings: list[tuple[int, int, int, int]], sessions: list[tuple[int, int, str]], stamps: list[int]
) -> None:
    rows = np.zeros(len(readings), layout.CLOCK_DTYPE)
    for row, values in zip(rows, readings, strict=True):
        for name, value in zip(("monotonic", "realtime", "boottime", "uncertainty"), values, strict=True):
            row[name] = value
    lines = [{"start_ns": start, "offset_ns": offset, "boot_id": boot} for start, offset, boot in sessions]
    clock = clocks.clock_of(rows, lines, (0, 0), None)
    assert (np.diff(clock.pairs["monotonic"].astype(object)) >= 0).all()
    for event in clocks.events_of(rows, lines):
        assert event.after <= event.before and event.by_ns
    for stamp in stamps:
        if abs(wall := clock.wall(stamp)) < 2**63:
            assert clock.walls(np.array([stamp])).tolist() == [wall]
