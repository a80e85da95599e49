"""Numbers of rows among which some are missing, against lists of them."""

from __future__ import annotations

from bisect import bisect_left
from itertools import accumulate

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fastrec.records import ArrayChunk
from fastrec.records.chunks import Selection
from fastrec.records.numbering import Numbering

ROW = np.dtype([("mono_ns", "<i8")])


@st.composite
def numbered(draw: st.DrawFn) -> tuple[Numbering, list[int]]:
    """Runs of consecutive numbers, up to the largest that there is."""
    lengths = draw(st.lists(st.integers(1, 6), min_size=1, max_size=6))
    holes = draw(st.lists(st.sampled_from([1, 1, 2, 9, 2**40]), min_size=len(lengths), max_size=len(lengths)))
    span = sum(lengths) + sum(holes)
    reached = draw(st.sampled_from([0, 1, 2**63 - span // 2, 2**64 - span]))
    firsts, numbers = [], []
    for length, hole in zip(lengths, holes, strict=True):
        firsts.append(reached)
        numbers += range(reached, reached + length)
        reached += length + hole
    starts = [0, *accumulate(lengths)][:-1]
    return Numbering(np.array(starts), np.array(firsts, np.uint64)), numbers


@given(numbered(), st.data())
def test_numbers(case: tuple[Numbering, list[int]], data: st.DataObject) -> None:
    numbering, numbers = case
    count = len(numbers)
    start = data.draw(st.integers(0, count))
    stop = data.draw(st.integers(start, count))
    assert numbering.of(start, stop).tolist() == numbers[start:stop]
    into = np.zeros(stop - start, np.uint64)
    assert numbering.of(start, stop, into) is into and into.tolist() == numbers[start:stop]
    rows = data.draw(st.lists(st.integers(0, count - 1)))
    into = np.zeros(len(rows), np.uint64)
    assert numbering.at(np.array(rows, np.int64)).tolist() == [numbers[row] for row in rows]
    assert numbering.at(np.array(rows, np.int64), into) is into
    assert into.tolist() == [numbers[row] for row in rows]
    skips = [row for row in range(start + 1, stop) if numbers[row] != numbers[row - 1] + 1]
    assert numbering.skips(start, stop).tolist() == skips
    firsts, ends = numbering.spans(count)
    held = [number for span in zip(firsts.tolist(), ends.tolist(), strict=True) for number in range(*span)]
    assert held == numbers or numbers[-1] == 2**64 - 1


@given(numbered(), st.data())
def test_some_of_the_rows(case: tuple[Numbering, list[int]], data: st.DataObject) -> None:
    numbering, numbers = case
    start = data.draw(st.integers(0, len(numbers) - 1))
    stop = data.draw(st.integers(start, len(numbers)))
    part = numbering.within(start, stop)
    assert part.starts[0] == 0 and part.of(0, stop - start).tolist() == numbers[start:stop]
    assert part.skips(0, stop - start).tolist() == (numbering.skips(start, stop) - start).tolist()
    again = numbering.of(0, len(numbers)).tolist()
    assert again == numbers  # it is not changed by that


@given(numbered(), st.data())
def test_where_numbers_are(case: tuple[Numbering, list[int]], data: st.DataObject) -> None:
    numbering, numbers = case
    near = [one + step for one in numbers for step in (-1, 0, 1)]
    asked = [one for one in [0, *near, 2**62, 2**63, 2**64 - 1] if 0 <= one < 2**64]
    chunk = ArrayChunk(np.zeros(len(numbers), ROW), numbers[0])
    chunk.numbering = numbering
    found = chunk.places_of(np.array(asked, np.uint64))
    assert found.dtype == np.int64 and found.tolist() == [bisect_left(numbers, one) for one in asked]
    places = sorted(data.draw(st.sets(st.integers(0, len(numbers) - 1), min_size=1)))
    some = Selection(chunk, np.array(places))
    left = [numbers[place] for place in places]
    assert some.numbers(0, len(left)).tolist() == left and some.first_seq == left[0]
    assert some.places_of(np.array(asked, np.uint64)).tolist() == [bisect_left(left, one) for one in asked]
    skips = [row for row in range(1, len(left)) if left[row] != left[row - 1] + 1]
    assert some.skips(0, len(left)).tolist() == skips


def test_consecutive_numbers() -> None:
    chunk = ArrayChunk(np.zeros(3, ROW), 2**64 - 3)
    assert chunk.numbers(0, 3).tolist() == [2**64 - 3, 2**64 - 2, 2**64 - 1]
    assert chunk.skips(0, 3).tolist() == []
    assert chunk.places_of(np.array([0, 2**64 - 2], np.uint64)).tolist() == [0, 1]
