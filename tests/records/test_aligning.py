"""What other channels knew, against plain Python that looks at one time and one record after another."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from common import naive_at, same
from hypothesis import given
from hypothesis import strategies as st
from sequences import MAX_GAPS, NAMES, SCHEMA, Sequence, sequences

import fastrec as fr
from fastrec.errors import SchemaError
from fastrec.records import ArrayChunk, Records, chunks, locating, rows
from fastrec.schema.gaps import GAP_DTYPE

DIRECTIONS = ["backward", "forward", "nearest"]


def naive_asof(
    other: Sequence, when: int, direction: str, tolerance: int | None, max_gap: str | int | None
) -> tuple[int, int, bool]:
    """Place, distance, validity, by the words of `Records.asof`."""
    those = other.rows["mode"]
    before = [place for place, row in enumerate(those) if row.time <= when][-1:]
    after = [place for place, row in enumerate(those) if row.time >= when][:1]
    away = {place: max(0, when - those[place].until) for place in before}
    ahead = {place: those[place].time - when for place in after}
    if direction == "backward":
        chosen = [(place, away[place]) for place in before]
    elif direction == "forward":
        chosen = [(place, ahead[place]) for place in after]
    else:
        both = [(away[place], 0, place) for place in before] + [(ahead[place], 1, place) for place in after]
        chosen = [(place, distance) for distance, _, place in sorted(both)[:1]]
    place, distance = chosen[0] if chosen else (-1, -1)
    if tolerance is not None and distance > tolerance:
        place, distance = -1, -1
    known = bool(naive_at(those, other.records.gaps, when, *other.breaking(max_gap)))
    return place, distance, place >= 0 and known


def check(found: Any, other: Sequence, times: list[int], *how: Any) -> None:
    wanted = [naive_asof(other, when, *how) for when in times]
    assert found.time.tolist() == times
    assert (
        list(zip(found.place.tolist(), found.distance.tolist(), found.valid.tolist(), strict=True)) == wanted
    )
    for name in NAMES:
        field = other.records.schema.field(name)
        column = found.decode(name)[name] if field.text else found[name]
        assert len(column) == len(times)
        for value, (place, _, valid) in zip(column.tolist(), wanted, strict=True):
            assert same(value, other.rows[name][place].state if valid else unknown(field))


def unknown(field: Any) -> Any:
    return [None] * field.shape[0] if field.shape else None


@pytest.fixture(autouse=True, params=[65_536, 5])
def block(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows, and times, per pass."""
    for one in (rows, chunks, locating):
        monkeypatch.setattr(one, "BLOCK", request.param)


class TestAsof:
    @given(st.data())
    def test_every_row(self, data: st.DataObject) -> None:
        falling = data.draw(st.booleans())
        asking, other = (data.draw(sequences(falling=falling, name=name)) for name in "ab")
        direction = data.draw(st.sampled_from(DIRECTIONS))
        tolerance = data.draw(st.sampled_from([None, 0, 3, 25]))
        max_gap = data.draw(st.sampled_from(MAX_GAPS))
        step = data.draw(st.sampled_from([1, 1, 3]))
        other = other.part(data.draw(st.integers(0, 3)), data.draw(st.integers(3, 24)), step)
        found = asking.records.asof(
            other.records,
            direction=direction,
            tolerance=None if tolerance is None else f"{tolerance}ns",
            max_gap=max_gap,
        )
        times = [row.time for row in asking.rows["mode"]]
        check(found, other, times, direction, tolerance, max_gap)
