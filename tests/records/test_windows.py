"""Windows of equal time, by plain Python's integers."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fastrec.records.windows import Windows, by_state, gather, overlaps, windows_of

MOST = 2**63 - 1


@given(st.integers(-(2**63), 2**63 - 2), st.integers(1, 2**62), st.integers(1, 40), st.data())
def test_which_window_a_stamp_lies_in(begin: int, period: int, count: int, data: st.DataObject) -> None:
    count = min(count, (MOST - begin) // period)
    if not count:
        return
    windows = Windows(begin, period, count)
    edges = windows.edges().tolist()
    assert edges == [begin + place * period for place in range(count + 1)]
    stamps = data.draw(st.lists(st.sampled_from([begin, *edges]), min_size=1, max_size=5))
    stamps = [stamp + data.draw(st.sampled_from([0, 1, -1])) for stamp in stamps]
    stamps = [max(-(2**63), min(stamp, MOST)) for stamp in stamps]
    wanted = [min(max(0, (stamp - begin) // period), count - 1) for stamp in stamps]
    assert windows.of(np.array(stamps)).tolist() == wanted


@given(st.data())
def test_what_of_a_stretch_lies_in_which(data: st.DataObject) -> None:
    windows = Windows(-7, data.draw(st.sampled_from([1, 3, 50])), 60)
    starts = sorted(data.draw(st.lists(st.integers(-7, 40), max_size=8)))
    ends = [start + data.draw(st.sampled_from([-2, 0, 0, 1, 4, 90])) for start in starts]
    ends = [min(end, 52) for end in ends]
    closed = [data.draw(st.booleans()) for _ in starts]
    wanted = []
    for place, (start, end, last) in enumerate(zip(starts, ends, closed, strict=True)):
        end = min(end, *starts[place + 1 : place + 2], end)
        for window in range(windows.count):
            low, high = windows.begin + window * windows.period, windows.begin + (window + 1) * windows.period
            inside = min(end, high) - max(start, low)
            if inside > 0 or (last and end >= start and low <= end < high):
                wanted.append((place, window, max(start, low), min(end, high)))
    found = overlaps(windows, np.array(starts, np.int64), np.array(ends, np.int64), np.array(closed, bool))
    assert list(zip(*(column.tolist() for column in found), strict=True)) == wanted


def test_values_are_gathered_whatever_their_order() -> None:
    into = np.array([1, 1, 1])
    gather(np.add, into, np.array([0, 0, 2, 0]), np.array([1, 2, 3, 4]))
    assert into.tolist() == [8, 1, 4]
    gather(np.add, into, np.array([], np.int64), np.array([], np.int64))
    assert into.tolist() == [8, 1, 4]


def test_floats_may_be_as_large_as_there_are() -> None:
    into = np.zeros(2)
    gather(np.add, into, np.array([0, 0, 1, 1]), np.array([1.7e308, 1.7e308, np.inf, -np.inf]))
    assert into[0] == np.inf and np.isnan(into[1])


def test_sums_by_window_and_state() -> None:
    window, states = np.array([0, 0, 0, 1, 1]), np.array([2.0, np.nan, 2.0, np.nan, np.nan])
    found = by_state(window, states, (states.dtype, ()), np.array([1, 2, 3, 4, 5]))
    assert [column.tolist() for column in found[:3]] == [[0, 0, 1], [0, 1, 3], [2, 1, 4]]
    assert found.sums[0].tolist() == [4, 2, 9]
    nothing = by_state(window[:0], states[:0], (states.dtype, ()), window[:0])
    assert len(nothing.window) == len(nothing.sums[0]) == 0


def test_windows_from_an_origin() -> None:
    assert windows_of(17, 40, "10ns", None) == (17, 10, 3)
    assert windows_of(17, 40, "10ns", 0) == (10, 10, 4)
    assert windows_of(17, 40, "10ns", 1_002) == (12, 10, 3)
    assert windows_of(17, 40, None, None) == (17, 24, 1)
    assert windows_of(None, None, "10ns", None).count == 0
