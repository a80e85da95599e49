"""Short random records with all that questions about time must get right: holds, losses, equal stamps.

Beside the records stand the rows as an oracle sees them.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from common import gaps, rows_of
from hypothesis import strategies as st
from moments import Known
from recording.writer import CREATED_NS

from fastrec.records import ArrayChunk, Records
from fastrec.records.numbering import Numbering
from fastrec.schema import Schema
from fastrec.schema.gaps import OWN_NUMBERS, Cause
from fastrec.schema.members import Bit, Member, Struct
from fastrec.times import CLOCK_PAIR_DTYPE, Clock

NAN, INF = float("nan"), float("inf")

VALUES: dict[str, list[Any]] = {
    "mode": [0, 1, 2, 7],
    "level": [0.0, -0.0, NAN, 1.5, -INF],
    "big": [0, 1, 2**63, 2**64 - 1, 2**64 - 2],
    "far": [-(2**31), -1, 0, 5, 2**31 - 1],
    "low": [0, 3, 7],
    "high": [0, -1, 15, -16],
    "trace": [[0, 0], [0, 1]],
    "tag": [b"", b"a", b"abcd"],
    "temp": [0, 1, 250, 255],
    "url": [None, "a", "b"],
}
NAMES = list(VALUES)
NUMBERS = ["mode", "level", "big", "far", "low", "high", "temp"]
TEXTS = {None: [0], "a": [1, 3], "b": [2]}


def _schema() -> Schema:
    members = (
        Member("mode", 0, np.dtype("<i4")),
        Member("level", 8, np.dtype("<f8")),
        Member("big", 16, np.dtype("<u8")),
        Member("far", 24, np.dtype(">i4")),
        Member("bits", 28, np.dtype("<u4"), bits=(Bit("low", 0, 3, False), Bit("high", 9, 5, True))),
        Member("trace", 32, np.dtype("<i2"), (2,)),
        Member("tag", 36, np.dtype("S4")),
        Member("temp", 40, np.dtype("u1")),
        Member("url", 48, np.dtype("<u8")),
    )
    meanings = {"mode": {"labels": {"IDLE": 0, "RUN": 1, "FAULT": 2}}, "temp": {"scale": 0.5, "bias": -40.0}}
    made = Schema("sequence", Struct(56, members), meanings, abi="sysv-x64", byteorder="little")
    return made.with_field("url", text=True)


SCHEMA = _schema()


def _chunk(array: np.ndarray, pieces: list[tuple[int, int, int]]) -> ArrayChunk:
    """Rows of an array, where they begin and end and the number of the first, as one chunk."""
    begin, _, first = pieces[0]
    chunk = ArrayChunk(array[begin : pieces[-1][1]], first, text)
    skips = [(begin, first)]
    for start, _, number in pieces:
        if number - skips[-1][1] != start - skips[-1][0]:
            skips.append((start, number))
    chunk.numbering = Numbering(
        np.array([start - begin for start, _ in skips]), np.array([number for _, number in skips], np.uint64)
    )
    return chunk


def text(identifier: int) -> str | None:
    return next(text for text, known in TEXTS.items() if identifier in known)


MAX_GAPS = [None, 0, "8ns", "40ns"]


@st.composite
def sequences(
    draw: st.DrawFn, *, falling: bool = False, name: str = "it", store: str | None = None, most: int = 24
) -> Known:
    """Records of `SCHEMA`; if `falling`, their stamps may run backwards."""
    store = draw(st.sampled_from(["every", "changes"])) if store is None else store
    count = draw(st.integers(0, most))
    steps = draw(st.lists(st.sampled_from([0, 1, 3, 10, 10, 60]), min_size=count, max_size=count))
    if falling:
        backwards = draw(st.lists(st.sampled_from([0, 0, 0, 25]), min_size=count, max_size=count))
        steps = [step - back for step, back in zip(steps, backwards, strict=True)]
    array = np.zeros(count, SCHEMA.record(store))
    times = array["mono_ns"] = 1_000 + np.cumsum(np.array(steps, np.int64))
    if store == "changes":
        held = draw(st.lists(st.sampled_from([0, 0, 1, 9, 60]), min_size=count, max_size=count))
        until = times + np.array(held, np.int64)
        if not falling:
            until[:-1] = np.minimum(until[:-1], times[1:])
        array["until_ns"] = until
        polls = draw(st.lists(st.integers(2, 13), min_size=count, max_size=count))
        array["polls"] = np.where(until > times, np.array(polls, np.int64), 1)
        array["max_gap_ns"] = until - times
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    runs = np.cumsum(random.random((len(VALUES), count)) < draw(st.sampled_from([0.1, 0.5, 1.0])), axis=1)
    states: dict[str, list[Any]] = {}
    for (field, values), run in zip(VALUES.items(), runs, strict=True):
        which = random.integers(0, len(values), count + 1)[run] if count else run
        states[field] = [values[n] for n in which.tolist()]
    for field in ("mode", "level", "big", "far", "tag", "temp", "trace"):
        if count:
            array[field] = np.array(states[field], array[field].dtype.base)
    array["bits"] = [low | (high & 31) << 9 for low, high in zip(states["low"], states["high"], strict=True)]
    array["url"] = [int(random.choice(TEXTS[one])) for one in states["url"]]

    cuts = sorted(draw(st.sets(st.integers(1, max(1, count - 1)), max_size=3))) if count > 1 else []
    lost, number = [], draw(st.sampled_from([0, 5]))
    pieces: list[list[tuple[int, int, int]]] = []  # of each chunk where rows begin and end, and their number
    for start, stop in pairwise([0, *cuts, count]):
        kind = draw(st.sampled_from(["whole", "told", "untold", "own"])) if start else "whole"
        if kind == "told":
            lost.append((number, 3, Cause.MISSED))
        elif kind == "own":
            lost.append((number, 4, Cause.OVERWRITTEN))
        number += {"own": 4, "untold": 2}.get(kind, 0)
        if not pieces or draw(st.booleans()):
            pieces.append([])
        pieces[-1].append((start, stop, number))
        number += stop - start
    if count and draw(st.booleans()):
        start, stop, first = pieces[-1][-1]
        lost.append((first + draw(st.integers(0, stop - start)), 1, Cause.FAILED))
    assert int(Cause.OVERWRITTEN) in {int(cause) for cause in OWN_NUMBERS}
    records = Records(
        name,
        SCHEMA,
        [_chunk(array, some) for some in pieces],
        gaps=gaps(*lost),
        clock=Clock(np.array([(0, CREATED_NS)], CLOCK_PAIR_DTYPE)),
        period_ns=draw(st.sampled_from([None, 1])),
        store=store,
    )
    numbers = records.seq.tolist()
    rows = {field: rows_of(array, np.zeros(count), numbers) for field in VALUES}
    rows = {
        field: [row._replace(state=state) for row, state in zip(rows[field], states[field], strict=True)]
        for field in VALUES
    }
    return Known(records, rows)
