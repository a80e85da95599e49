"""Following records: where it begins, what is asked of what comes, and when it ends."""

from __future__ import annotations

import time

import numpy as np
import pytest
from common import SCHEMA, gaps, sample

from fastrec.errors import CorruptionError, SchemaError
from fastrec.records import ArrayChunk, Records
from fastrec.records.following import Piece
from fastrec.schema.gaps import GAP_DTYPE

NOTHING = np.empty(0, GAP_DTYPE)


class Script:
    """A tail that was told what will come: pieces, None for nothing new, "end", errors."""

    def __init__(self, *steps: object) -> None:
        self.steps = list(steps)
        self.begun: list[int | None] = []
        self.ended = False

    def __call__(self, begin: int | None) -> Script:
        self.begun.append(begin)
        return self

    def look(self) -> Piece | None:
        step = self.steps.pop(0) if self.steps else None
        if isinstance(step, Exception):
            raise step
        if step == "end":
            self.ended = True
            return None
        return step


def piece(start: int, count: int, *lost: tuple[int, int, int], first: int = 0) -> Piece:
    array = sample(count, seed=start)
    array["mono_ns"] += start * 1_000
    array["mode"] = np.arange(start, start + count) % 3
    return Piece([ArrayChunk(array, start)] if count else [], first, gaps(*lost), None)


def records(script: Script, count: int = 20, **options: object) -> Records:
    array = sample(count)
    array["mode"] = np.arange(count) % 3
    chunks = [ArrayChunk(array[:9], 0), ArrayChunk(array[9:], 9)]
    return Records("plant", SCHEMA, chunks, gaps=NOTHING, clock=None, tail=script, **options)


def test_parts_come_until_the_end() -> None:
    script = Script(
        piece(20, 5), None, piece(25, 0, (25, 3, 3)), piece(25, 2, (25, 1, 3)), "end", piece(27, 1)
    )
    parts = list(records(script).follow(poll="1ms"))
    assert [part.seq.tolist() for part in parts] == [[*range(20, 25)], [], [25, 26], [27]]
    assert [part.gaps["count"].tolist() for part in parts] == [[], [3], [1], []]
    assert script.begun == [None]
    assert all(part.schema == SCHEMA and part.name == "plant" for part in parts)


def test_rows_below_the_first_that_is_meant_are_left_out() -> None:
    (part,) = records(Script(piece(15, 10, first=20), "end")).follow(poll="1ms")
    assert part.seq.tolist() == [*range(20, 25)]


@pytest.mark.parametrize(
    ("key", "begin"),
    [
        (slice(None), None),
        (slice(0, 0), 0),
        (slice(0, 9), 9),
        (slice(3, 5), 5),
        (slice(5, 5), 5),
        (slice(7, 3), 7),
        (slice(20, None), None),
        (slice(-3, None), None),
        (slice(9, 20), None),
    ],
)
def test_where_a_slice_ends(key: slice, begin: int | None) -> None:
    script = Script()
    list(records(script)[key].follow(timeout="0s"))
    list(records(script)[1:][key][:].follow(timeout="0s"))
    assert script.begun[0] == begin
    assert script.begun[1] == (begin if begin is None else begin + 1)


def test_where_windows_end() -> None:
    script = Script()
    whole = records(script)
    times = whole["mono_ns"].tolist()
    for window in (
        whole.between(times[3], None),
        whole.last(4),
        whole.last("1us"),
        whole.between(None, times[19] + 1),
        whole.between(times[19] + 1, None),
        whole.between(times[3], times[5]),
        whole.between(times[3], times[5])[:1],
    ):
        list(window.follow(timeout="0s"))
    assert script.begun == [None, None, None, None, None, 5, 4]


def test_conditions_are_asked_of_what_comes() -> None:
    script = Script(piece(20, 5), piece(25, 1), piece(26, 0, (26, 3, 3)), piece(26, 3), "end")
    found = records(script).where(mode="FAULT").follow(poll="1ms")
    assert [(part.seq.tolist(), len(part.gaps)) for part in found] == [([20, 23], 0), ([], 1), ([26], 0)]
    script = Script(piece(20, 30), "end")
    found = records(script).where(mode="FAULT").where(level=1.5)[:2].follow(poll="1ms")
    (part,) = found
    assert len(part) and set(part["mode"]) == {2} and set(part["level"]) == {1.5}


def test_records_behind_which_nothing_comes() -> None:
    whole = records(Script(piece(20, 5)))
    times = whole["mono_ns"].tolist()
    alone = Records("plant", SCHEMA, [], gaps=NOTHING, clock=None)
    part = next(whole.follow(timeout="0s"))
    changed = whole.where("changed(mode)")
    for one in (alone, whole[::2], whole.between(times[3] + 1, times[3] + 2), part, changed, changed[:1]):
        with pytest.raises(SchemaError, match="nothing comes behind these records of 'plant'"):
            one.follow()


@pytest.mark.parametrize("name", ["poll", "timeout"])
@pytest.mark.parametrize("value", [5, "soon", "-1s", ""])
def test_durations_that_are_none(name: str, value: object) -> None:
    with pytest.raises(SchemaError, match=f"{name}="):
        records(Script()).follow(**{name: value})


def test_an_error_ends_nothing() -> None:
    follow = records(Script(CorruptionError("a block"), piece(20, 2))).follow(timeout="0s")
    with pytest.raises(CorruptionError, match="a block"):
        next(follow)
    assert next(follow).seq.tolist() == [20, 21]


def test_it_waits_only_where_nothing_was_new(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    script = Script(piece(20, 1), piece(21, 1), None, piece(22, 1), None, None, "end", None)
    assert len(list(records(script).follow(poll="250ms"))) == 3
    assert slept == [0.25] * 4
    slept.clear()
    list(records(Script("end")).follow(poll="0s"))
    assert slept == [0.001]


def test_a_timeout_counts_from_the_last_part(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0]
    monkeypatch.setattr(time, "monotonic_ns", lambda: now[0])
    monkeypatch.setattr(time, "sleep", lambda seconds: now.__setitem__(0, now[0] + round(seconds * 1e9)))
    script = Script(None, None, None, piece(20, 1), None, None, None, None, None, piece(21, 1))
    follow = records(script).follow(poll="100ms", timeout="350ms")
    assert [len(part) for part in follow] == [1]
    assert now[0] == 300_000_000 + 350_000_000
