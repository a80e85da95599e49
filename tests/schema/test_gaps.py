"""Gaps: the layout of an entry, and joining the pieces of one loss."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastrec.schema
from fastrec.schema.gaps import GAP_DTYPE, OWN_NUMBERS, Cause, join

FORMAT = Path(fastrec.schema.__file__).parents[1] / "recording" / "FORMAT.md"


def gaps(*rows: tuple[int, ...]) -> np.ndarray:
    return np.array(list(rows), GAP_DTYPE)


@st.composite
def losses(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Whole losses, sorted, no two adjoining, and the shuffled pieces in which they were published."""
    whole, pieces, seq, time = [], [], draw(st.integers(0, 1 << 40)), 0
    for _ in range(draw(st.integers(0, 6))):
        cause, code = draw(st.sampled_from(Cause)), draw(st.integers(-2, 2))
        counts = draw(st.lists(st.integers(1, 9), min_size=1, max_size=4))
        start, began = seq, time
        for count in counts:
            pieces.append((seq, count, cause, code, time, time + 3))
            seq += count if cause in OWN_NUMBERS else 0
            time += 10
        whole.append((start, sum(counts), cause, code, began, time - 7))
        seq += draw(st.integers(1, 5))
    order = draw(st.permutations(range(len(pieces))))
    return gaps(*whole), gaps(*(pieces[i] for i in order))


def test_an_entry_is_forty_bytes_and_causes_are_those_of_the_format() -> None:
    assert GAP_DTYPE.itemsize == 40
    rows = re.findall(
        r"^\| (\d+) \| ([ui]\d) \| (\w+) \|", FORMAT.read_text().split("### gaps")[1], re.MULTILINE
    )
    documented = {name: (int(offset), np.dtype("<" + code)) for offset, code, name in rows}
    for name, (dtype, offset) in GAP_DTYPE.fields.items():
        assert documented[name] == (offset, dtype)
    causes = re.search(r"\| cause \| (.*) \|", FORMAT.read_text())[1]
    assert causes == ", ".join(f"{cause} {cause.name.lower()}" for cause in Cause)
    assert {cause.name for cause in OWN_NUMBERS} == {"OVERWRITTEN", "DISK", "RETIRED"}


@given(loss=losses())
def test_pieces_join_to_the_losses_they_came_from(loss: tuple[np.ndarray, np.ndarray]) -> None:
    whole, pieces = loss
    before = pieces.tobytes()
    assert join(pieces).tolist() == whole.tolist()
    assert pieces.tobytes() == before


@given(
    rows=st.lists(
        st.tuples(
            st.integers(0, 20),
            st.integers(1, 5),
            st.integers(1, 7),
            st.integers(0, 1),
            st.integers(0, 9),
            st.integers(0, 9),
        ),
        max_size=12,
    )
)
def test_counts_survive_whatever_is_joined(rows: list[tuple[int, ...]]) -> None:
    def totals(entries: np.ndarray) -> Counter:
        counter: Counter = Counter()
        for entry in entries:
            counter[int(entry["cause"]), int(entry["code"])] += int(entry["count"])
        return counter

    joined = join(gaps(*rows))
    assert totals(joined) == totals(gaps(*rows))
    assert joined["seq"].tolist() == sorted(joined["seq"].tolist())


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ((5, 3, Cause.OVERWRITTEN, 0, 0, 1), (9, 1, Cause.OVERWRITTEN, 0, 2, 3)),
        ((5, 3, Cause.OVERWRITTEN, 0, 0, 1), (8, 1, Cause.DISK, 0, 2, 3)),
        ((5, 3, Cause.DISK, 28, 0, 1), (8, 1, Cause.DISK, 5, 2, 3)),
        ((5, 3, Cause.MISSED, 0, 0, 1), (8, 3, Cause.MISSED, 0, 2, 3)),
        ((5, 3, Cause.FAILED, -1, 0, 1), (5, 3, Cause.FAILED, -2, 2, 3)),
    ],
)
def test_what_does_not_adjoin_stays_apart(first: tuple[int, ...], second: tuple[int, ...]) -> None:
    assert len(join(gaps(first, second))) == 2


def test_pieces_of_one_loss_add_up() -> None:
    pieces = gaps((5, 3, Cause.MISSED, 0, 0, 1), (5, 4, Cause.MISSED, 0, 2, 3))
    assert join(pieces).tolist() == [(5, 7, Cause.MISSED, 0, 0, 3)]


def test_a_copy_is_returned_even_if_nothing_joins() -> None:
    for entries in (gaps(), gaps((1, 1, 1, 0, 0, 0))):
        joined = join(entries)
        assert joined.dtype == GAP_DTYPE
        assert joined.tolist() == entries.tolist()
        assert not np.shares_memory(joined, entries) or not len(entries)
