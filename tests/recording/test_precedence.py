"""Segments that lie apart are settled at one glance: to the same as one by one."""

from __future__ import annotations

from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastrec.recording import layout, precedence
from fastrec.recording.chunk import SegmentChunk
from fastrec.recording.committed import row_of
from fastrec.recording.joining import chunks_of
from fastrec.schema.gaps import GAP_DTYPE, OWN_NUMBERS, Cause

OWN = [Cause.OVERWRITTEN, Cause.DISK]
OTHERS = [Cause.MISSED, Cause.PRODUCER]


@st.composite
def segments(draw: st.DrawFn) -> list[SimpleNamespace]:
    """Commits of records and losses; the next segment begins at the end of the last, or near it."""
    found, number = [], 0
    for _ in range(draw(st.integers(1, 4))):
        number = max(0, number + draw(st.sampled_from([0, 0, 0, 1, 3, -1, -2])))
        rows, gaps = [], []
        for commit in range(draw(st.integers(0, 4))):
            for cause in draw(st.lists(st.sampled_from([*OWN, *OTHERS]), max_size=2)):
                # A loss lies behind what was committed, and one without numbers at the next number, or near.
                count, shift = draw(st.integers(1, 3)), draw(st.sampled_from([0, 0, 0, 1, -1]))
                gaps.append((max(0, number + shift), count, int(cause), 0, number, number))
                number += count if cause in OWN and shift == 0 else 0
            size = draw(st.sampled_from([0, 1, 2, 4]))
            falls, flags = draw(st.sampled_from([(0, 0), (0, 0), (0, 0), (9, 0), (0, 1)]))
            again = layout.INDEX_AGAIN if commit == 0 and draw(st.sampled_from([0, 0, 0, 1])) else 0
            rows.append((number, number - falls, number, 0, len(gaps), 0, size, 0, again | flags, 0))
            number += size
        index, sizes = np.array(rows, layout.INDEX_DTYPE), [row[6] for row in rows]
        found.append(
            SimpleNamespace(
                index=index,
                at=np.cumsum([0, *sizes])[: len(rows)],
                begin=0,
                length=sum(sizes),
                first=row_of(index[0]) if rows else None,
                end=rows[-1][0] + rows[-1][6] if rows else 0,
                gaps=np.array(gaps, GAP_DTYPE),
                gap_numbers=np.arange(len(gaps)),
                check_index=lambda: None,
            )
        )
    return found


@settings(max_examples=600, deadline=None)
@given(segments())
def test_settled_at_one_glance(some: list[SimpleNamespace]) -> None:
    assert {*OWN} <= {*OWN_NUMBERS} and not {*OTHERS} & {*OWN_NUMBERS}
    pieces, gaps = precedence.settle(some)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(precedence, "_apart", lambda _: False)
        other, others = precedence.settle(some)
    assert pieces == other
    assert [sorted(one.tolist()) for one in gaps] == [sorted(one.tolist()) for one in others]
    placed = [(segment, piece) for segment, own in zip(some, pieces, strict=True) for piece in own]
    chunks = chunks_of(sorted(placed, key=lambda each: each[1][2]))
    numbers = [number for chunk in chunks for number in chunk.numbers(0, len(chunk)).tolist()]
    assert numbers == sorted(
        n for _, (start, stop, first) in placed for n in range(first, first + stop - start)
    )
    for chunk in chunks:
        rows = {
            number: (segment, start + number - first)
            for segment, (start, stop, first) in placed
            for number in range(first, first + stop - start)
        }
        of = [rows[number] for number in chunk.numbers(0, len(chunk)).tolist()]
        assert all(segment is chunk.segment for segment, _ in of)
        assert [row for _, row in of] == list(range(chunk.start, chunk.stop))
    for chunk in chunks:
        runs = chunk.runs()
        assert len(runs) == 1 or not any(falls_in(run) for run in runs)
        assert not any(falls_before(run) for run in runs[1:])
    for one, behind in pairwise(chunks):
        if one.segment is behind.segment and one.stop == behind.start:
            assert falls_before(behind) or falls_in(one.runs()[-1]) or falls_in(behind.runs()[0])


def blocks_of(chunk: SegmentChunk) -> list[tuple[bool, bool]]:
    """Of each block in which it has rows whether its times fall, and whether it begins below the one before,
    which lies in it, too.
    """
    found, before = [], None
    for row, at in zip(chunk.segment.index, chunk.segment.at, strict=True):
        if row["rows"] and at < chunk.stop and at + row["rows"] > chunk.start:
            found.append((bool(row["flags"] & 1), before is not None and row["t_min"] < before))
            before = row["t_max"]
    return found


def falls_in(chunk: SegmentChunk) -> bool:
    return any(within or below for within, below in blocks_of(chunk))


def falls_before(run: SegmentChunk) -> bool:
    index, at = run.segment.index, run.segment.at
    ahead = index["t_max"][(index["rows"] > 0) & (at < run.start)]
    first = index["t_min"][(index["rows"] > 0) & (at == run.start)]
    return bool(len(ahead) and len(first) and first[0] < ahead[-1])


def steady(*sizes: int) -> SimpleNamespace:
    """A segment of blocks of some sizes, no time of which falls."""
    index = np.zeros(len(sizes), layout.INDEX_DTYPE)
    index["rows"] = sizes
    return SimpleNamespace(index=index, at=np.cumsum([0, *sizes[:-1]]))


def test_rows_that_do_not_count_part_those_beside_them() -> None:
    segment = steady(5, 2, 2, 1)
    chunks = chunks_of([(segment, (0, 5, 0)), (segment, (7, 9, 7)), (segment, (9, 10, 30))])
    assert [(one.first_seq, one.start, one.stop) for one in chunks] == [(0, 0, 5), (7, 7, 10)]
    assert [one.numbers(0, len(one)).tolist() for one in chunks] == [[0, 1, 2, 3, 4], [7, 8, 30]]


def test_what_lies_between_in_number_parts_what_lies_side_by_side() -> None:
    early, late = steady(5, 4, 1), steady(5)
    chunks = chunks_of([(early, (0, 5, 0)), (late, (0, 5, 5)), (early, (5, 9, 10)), (early, (9, 10, 20))])
    assert [(one.segment is early, one.first_seq, one.start, one.stop) for one in chunks] == [
        (True, 0, 0, 5),
        (False, 5, 0, 5),
        (True, 10, 5, 10),
    ]
    assert chunks[2].numbers(0, 5).tolist() == [10, 11, 12, 13, 20] and chunks[2].end_seq == 21
    assert [(one.first_seq, len(one), one.start) for one in chunks[2].runs()] == [(10, 4, 5), (20, 1, 9)]
    for number, rows in ((9, 0), (13, 0), (14, 4), (20, 4), (21, 5), (2**40, 5)):
        assert len(chunks[2].ended(number)) == rows
