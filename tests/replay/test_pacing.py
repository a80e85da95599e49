"""Deadlines, by a clock of our own: exact, anchored to the start, and what a slow callback does to them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastrec.errors import SchemaError
from fastrec.replay import Pacing, Report, as_speed, pacing
from fastrec.stats import Quantiles

US = 1_000
START = 5_000_000_000


class Time:
    """A clock that moves only when somebody waits or works; it wakes `overshoot` ns late."""

    def __init__(self, overshoot: int = 0) -> None:
        self.now = START
        self.overshoot = overshoot
        self.deadlines: list[int] = []
        self.lateness = (-1,) * 5

    def monotonic_ns(self) -> int:
        return self.now

    def wait(self, deadline: int) -> None:
        self.deadlines.append(deadline)
        if deadline > self.now:
            self.now = deadline + self.overshoot


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], Time]:
    def make(overshoot: int = 0) -> Time:
        moved = Time(overshoot)
        monkeypatch.setattr(pacing, "time", moved)
        monkeypatch.setattr(pacing, "Pacer", lambda: moved)
        return moved

    return make


def items(stamps: Iterable[int]) -> list[tuple[int, str, int]]:
    return [(stamp, "c", place) for place, stamp in enumerate(stamps)]


def nothing(stamp: int, channel: str, item: Any) -> None:
    pass


def test_deadlines_are_counted_from_the_start(clock: Callable[[int], Time]) -> None:
    """Every wake-up is 60 us late, every tenth call takes five periods; no deadline knows of it."""
    time = clock(60 * US)
    called: list[int] = []

    def callback(stamp: int, channel: str, place: int) -> None:
        called.append(time.now)
        time.now += 5_000 * US if place % 10 == 0 else 10 * US

    replay = Pacing(1.0)
    stamps = [77 + 1_000 * US * n for n in range(1_000)]
    replay.run(items(stamps), callback)
    assert time.deadlines == [START + 1_000 * US * n for n in range(1_000)]
    # It catches up: five periods after a slow call there is nothing left of its lateness.
    late = np.array(called) - time.deadlines
    assert late[1] > 3_000 * US and (late.reshape(100, 10)[:, 6:] == 60 * US).all()
    report = replay.report()
    assert report.records == 1_000 and report.intended_ns == 999_000 * US
    assert report.duration_ns == report.intended_ns + 70 * US


SPEEDS = st.one_of(
    st.floats(1e-6, 1e6),
    st.integers(1, 10**6),
    st.fractions(Fraction(1, 10**6), 10**6, max_denominator=10**9),
)


@settings(deadline=None)
@given(
    speed=SPEEDS,
    stamps=st.lists(st.integers(-(2**62), 2**62), min_size=1, max_size=30),
)
def test_deadlines_are_exact(speed: Any, stamps: list[int]) -> None:
    """No more than the ns into which they are cut is ever missing, from the first stamp on."""
    with pytest.MonkeyPatch.context() as patch:
        time = Time()
        patch.setattr(pacing, "time", time)
        patch.setattr(pacing, "Pacer", lambda: time)
        Pacing(speed).run(items(stamps), nothing)
    exact = Fraction(speed) if not isinstance(speed, float) else Fraction(repr(speed))
    latest = Fraction(0)
    for stamp, deadline in zip(stamps, time.deadlines, strict=True):
        latest = max(latest, Fraction(stamp - stamps[0]) / exact)
        assert deadline == min(START + math.floor(latest), 2**63 - 1)


def test_a_tenth_is_a_tenth(clock: Callable[[int], Time]) -> None:
    """Of a float its digits count: 30 years at 0.1 are 300 years, to the last nanosecond."""
    time = clock(0)
    years = 30 * 365 * 86_400 * 10**9 // 100
    Pacing(0.1).run(items([0, years + 1]), nothing)
    assert time.deadlines[1] == START + 10 * years + 10


def test_stamps_that_run_backwards_are_due_at_once(clock: Callable[[int], Time]) -> None:
    time = clock(0)
    Pacing(2).run(items([100, 300, 50, -(2**62), 299, 500]), nothing)
    assert [one - START for one in time.deadlines] == [0, 100, 100, 100, 100, 200]


def test_as_fast_as_taken(clock: Callable[[int], Time]) -> None:
    time = clock(0)

    def callback(stamp: int, channel: str, place: int) -> None:
        time.now += 5

    replay = Pacing(None)
    replay.run(items([0, 10**12]), callback)
    assert time.deadlines == []
    assert replay.report() == Report(records=2, duration_ns=10, intended_ns=0, lateness=Quantiles())


def test_nothing_to_play() -> None:
    replay = Pacing(1)
    replay.run([], nothing)
    assert replay.report() == Report(0, 0, 0, Quantiles())


def test_the_report_of_a_run_that_an_exception_ended(clock: Callable[[int], Time]) -> None:
    clock(0)

    def callback(stamp: int, channel: str, place: int) -> None:
        if place == 3:
            raise LookupError

    replay = Pacing(0.5)
    with pytest.raises(LookupError):
        replay.run(items(range(0, 1000, 100)), callback)
    assert replay.report().as_dict() == {
        "records": 4,
        "duration_ns": 600,
        "intended_ns": 600,
        "lateness": {"p50": -1, "p90": -1, "p99": -1, "p999": -1, "max": -1},
    }


@pytest.mark.parametrize(
    ("speed", "exact"),
    [
        (None, None),
        (1, 1),
        (0.1, Fraction(1, 10)),
        (2.5, Fraction(5, 2)),
        (Fraction(1, 3), Fraction(1, 3)),
        (np.float64(0.1), Fraction(1, 10)),
        (np.int32(7), 7),
        (np.float32(0.5), Fraction(1, 2)),
        (5e-324, Fraction("5e-324")),
        (1.7e308, Fraction("1.7e308")),
    ],
)
def test_speeds(speed: Any, exact: Fraction | None) -> None:
    found = as_speed(speed)
    assert found == exact
    assert found is None or type(found.numerator) is type(found.denominator) is int  # which never wrap


@pytest.mark.parametrize(
    "speed",
    [0, 0.0, -1, -0.5, math.nan, math.inf, -math.inf, True, False, np.True_, "2", "max", b"1", 1j, [1],
     10**400, Fraction(1, 10**400), np.array([1.0])],
)  # fmt: skip
def test_what_is_no_speed(speed: Any) -> None:
    with pytest.raises(SchemaError, match="finite number above 0"):
        as_speed(speed)
