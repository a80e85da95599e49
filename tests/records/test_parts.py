"""Ranges of rows in an array: which rows these are, and which of many lie together."""

from __future__ import annotations

import numpy as np
import pytest

from fastrec.records.parts import Part, each, outermost


@pytest.mark.parametrize("ranges", [[(0, 3)], [(4, 9)], [(2, 3), (3, 5), (7, 10)], [(0, 1), (9, 10)]])
def test_the_rows_of_ranges_alone(ranges: list[tuple[int, int]]) -> None:
    array = np.zeros(10, [("mono_ns", "<i8"), ("n", "<u2")])
    array["n"] = np.arange(10)
    begins, ends = np.array(ranges).T
    part = Part(array, begins, begins + 100, ends + 100)
    places = [place for begin, end in ranges for place in range(begin, end)]
    assert part.rows["n"].tolist() == places == each(begins, ends).tolist()
    assert part.rows.dtype == array.dtype
    assert part.within(np.arange(110) + 50).tolist() == places


@pytest.mark.parametrize(
    ("apart", "count", "first", "last"),
    [
        ([], 0, [], []),
        ([], 1, [0], [0]),
        ([False, False], 3, [0], [2]),
        ([True, True], 3, [0, 1, 2], [0, 1, 2]),
        ([False, True, False], 4, [0, 2], [1, 3]),
    ],
)
def test_the_outermost_of_those_that_lie_together(
    apart: list[bool], count: int, first: list[int], last: list[int]
) -> None:
    found = outermost(np.array(apart, bool), count)
    assert [np.flatnonzero(one).tolist() for one in found] == [first, last]
