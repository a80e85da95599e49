"""Two runs, made so that every number in which they differ is known."""

from __future__ import annotations

import math
from collections import Counter, UserDict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

import numpy as np
import pytest
from common import SCHEMA, sample

import fastrec as fr
from fastrec.errors import RecordingError, SchemaError
from fastrec.records import ArrayChunk, Records, comparing
from fastrec.schema.gaps import GAP_DTYPE, Cause

MS = 1_000_000
IDLE, RUN, FAULT = range(3)
LABELS = {"IDLE": 0, "RUN": 1, "FAULT": 2}


def schema_of(labels: Mapping[str, int] | None = LABELS, **more: object) -> fr.Schema:
    named = {} if labels is None else {"mode": labels}
    return fr.Schema.from_dtype([("mode", "<i4"), ("n", "<u4")], name="s", labels=named, **more)


def records(
    modes: Sequence[int],
    *,
    times: Iterable[int] | None = None,
    lost: Sequence[tuple] = (),
    schema: fr.Schema | None = None,
    period_ns: int | None = MS,
) -> Records:
    """One each ms, unless `times`, in ms, say otherwise; losses by (seq, count, cause, code)."""
    schema = schema or schema_of()
    rows = np.zeros(len(modes), schema.record_dtype)
    rows["mono_ns"] = 10**9 + np.array(list(range(len(modes)) if times is None else times), np.int64) * MS
    rows["mode"], rows["n"] = modes, np.arange(len(modes))
    gaps = np.zeros(len(lost), GAP_DTYPE)
    for gap, (seq, count, cause, code) in zip(gaps, lost, strict=True):
        gap["seq"], gap["count"], gap["cause"], gap["code"] = seq, count, cause, code
    chunks = [ArrayChunk(rows, 0)] if len(rows) else []
    return Records("c", schema, chunks, gaps=gaps, clock=None, period_ns=period_ns)


def compared(a: Records, b: Records, *tolerance: str, **more: object) -> list[tuple]:
    """Rows without their channel, and whether they are beyond; NaN as None."""
    found = fr.diff({"c": a}, {"c": b}, tolerance=tolerance, **more)
    assert found.dtype == comparing.DIFF_DTYPE and set(found["channel"]) <= {"c"}
    return [tuple(None if one != one else one for one in row[1:-1]) for row in found.tolist()]


def beyond(a: Records, b: Records, *tolerance: str, **more: object) -> set[tuple]:
    """Kind and what it is of, of the rows that are beyond."""
    found = fr.diff({"c": a}, {"c": b}, tolerance=tolerance, **more)
    return {(row["kind"], row["of"]) for row in found if row["beyond"]}


def test_known_differences() -> None:
    lost = [(3, 2, Cause.FAILED, -5), (5, 1, Cause.FAILED, -7), (6, 1, Cause.FAILED, -5)]
    a = records([IDLE, IDLE, IDLE, RUN, RUN, IDLE], lost=[(4, 4, Cause.MISSED, 0)])
    # Nothing is known for 15 ms, which is longer than ten periods.
    b = records([IDLE, RUN, RUN, RUN, IDLE, FAULT], times=[0, 1, 2, 17, 18, 21], lost=lost)
    second = 1000  # ms
    assert compared(a, b) == [
        ("length", None, None, None, 5 * MS, 21 * MS, None, None, 16 / 5),
        ("rate", None, None, None, 6, 6, 1000.0, pytest.approx(5 / 0.021), pytest.approx(5 / 21 - 1)),
        ("unknown", None, None, None, 0, 15 * MS, 0.0, 15 / 21, math.inf),
        ("durations", "mode", "IDLE", None, 3 * MS, 4 * MS, 3 / 5, 4 / 6, pytest.approx(1 / 9)),
        ("durations", "mode", "RUN", None, 2 * MS, 2 * MS, 2 / 5, 2 / 6, pytest.approx(-1 / 6)),
        ("durations", "mode", "FAULT", None, None, 0, None, 0.0, math.inf),
        ("transitions", "mode", "IDLE", "RUN", 1, 1, second / 5, second / 6, pytest.approx(-1 / 6)),
        ("transitions", "mode", "RUN", "IDLE", 1, 1, second / 5, second / 6, pytest.approx(-1 / 6)),
        ("transitions", "mode", "IDLE", "FAULT", 0, 1, 0.0, second / 6, math.inf),
        ("failures", None, -5, None, 0, 3, 0.0, 3 / 10, math.inf),
        ("failures", None, -7, None, 0, 1, 0.0, 1 / 10, math.inf),
        ("losses", None, "missed", None, 4, 0, 4 / 10, 0.0, -1.0),
        ("losses", None, "failed", None, 0, 4, 0.0, 4 / 10, math.inf),
    ]
    # The other way round nothing else is told, and what A alone has is gone.
    back = {(row[0], row[2], row[3]): row for row in compared(b, a)}
    for kind, _, of, to, before, after, *_ in compared(a, b):
        assert back[kind, of, to][4:6] == (after, before)
    assert back["durations", "FAULT", None][4:] == (0, None, 0.0, None, -1.0)


def test_what_is_equal_has_no_row() -> None:
    a, again = (records([IDLE, RUN, RUN, FAULT], lost=[(1, 3, Cause.FAILED, 5)]) for _ in range(2))
    assert compared(a, again, "0", "length=0") == []
    assert fr.diff({"c": a}, {"c": again}).shape == (0,)
    found = compared(a, again, "0", equal=True)
    assert [(row[0], row[2], row[4]) for row in found] == [
        ("store", None, "every"),
        ("length", None, 3 * MS),
        ("rate", None, 4),
        ("unknown", None, 0),
        ("durations", "IDLE", 1 * MS),
        ("durations", "RUN", 2 * MS),
        ("durations", "FAULT", 0),
        ("transitions", "IDLE", 1),
        ("transitions", "RUN", 1),
        ("failures", 5, 3),
        ("losses", "failed", 3),
    ]
    assert all(row[4] == row[5] and row[6] == row[7] and row[8] in (0, None) for row in found)
    assert beyond(a, again, "0", "length=0", equal=True) == set()


def test_a_longer_run_of_the_same_differs_in_amounts_alone() -> None:
    a, b = (records([IDLE, RUN] * n + [IDLE], lost=[(1, 2 * n + 1, Cause.MISSED, 0)]) for n in (2, 400))
    found = compared(a, b, equal=True)
    assert {row[8] for row in found if row[0] not in ("length", "store")} == {0.0}
    assert beyond(a, b, "0") == set()
    assert beyond(a, b, "0", "length=0") == {("length", None)}
    assert beyond(a, b, "durations=0", "transitions=0", "losses=0") == {
        ("durations", "IDLE"),
        ("durations", "RUN"),
        ("transitions", "IDLE"),
        ("transitions", "RUN"),
        ("losses", "missed"),
    }


def test_a_limit_is_exact() -> None:
    # 3 of 10 ms, and 33 of 100: as floats they are more than 10 % of 0.3 apart.
    a = records([IDLE, RUN, RUN], times=[0, 3, 10])
    b = records([IDLE, RUN, RUN], times=[0, 33, 100], period_ns=None)
    assert beyond(a, b, "durations=10%") == set()
    assert beyond(a, b, "durations=9.99%") == {("durations", "IDLE")}
    assert beyond(a, b, "durations=60ms") == set()
    assert beyond(a, b, "durations=59.999999ms") == {("durations", "RUN")}
    assert beyond(a, b, "rate=90%", "rate=180") == set()  # 200 and 20 a second
    assert beyond(a, b, "rate=89.9%", "rate=179.9") == {("rate", None)}


def test_without_a_tolerance_anything_may_differ() -> None:
    assert compared(records([IDLE]), records([RUN, FAULT])) and not beyond(records([IDLE]), records([RUN]))
    assert not beyond(records([IDLE] * 9), records([RUN, FAULT]), "losses=0")


@pytest.mark.parametrize("seed", range(3))
def test_holds_are_the_polls_they_stand_for(seed: int) -> None:
    random = np.random.default_rng(seed)
    states, times = random.integers(0, 3, 9), random.integers(1, 6, 9)
    lost = [(0, 7, Cause.FAILED, -1)]
    every = records(np.repeat(states, times).tolist(), lost=lost)
    rows = np.zeros(len(states), every.schema.record("changes"))
    rows["mode"], rows["polls"], rows["max_gap_ns"] = states, times, MS
    rows["mono_ns"] = 10**9 + (np.cumsum(times) - times) * MS
    rows["until_ns"] = rows["mono_ns"] + (times - 1) * MS
    held = Records(
        "c",
        every.schema,
        [ArrayChunk(rows, 0)],
        gaps=every.gaps,
        clock=None,
        period_ns=MS,
        store="changes",
    )
    assert compared(every, held, "0") == [("store", None, None, None, "every", "changes", None, None, None)]
    assert beyond(every, held, "0", "length=0", equal=True) == set()
    assert len(compared(every, held, equal=True)) > 8


def test_unknown_time_is_of_the_channel() -> None:
    layout = [("mode", "<i4"), ("n", "<u4")]
    schema = fr.Schema.from_dtype(layout, labels={"mode": LABELS, "n": {"ZERO": 0}})
    found = compared(records([IDLE, RUN], schema=schema), records([IDLE, RUN], times=[0, 50], schema=schema))
    assert [row[4:6] for row in found if row[0] == "unknown"] == [(0, 50 * MS)]


def test_states_are_the_same_by_their_labels() -> None:
    a = records([0, 1, 1, 7, 0])
    b = records([2, 0, 0, 7, 2], schema=schema_of({"RUN": 0, "FAULT": 1, "IDLE": 2}))
    found = compared(a, b, "0")
    assert [row[:3] for row in found] == [("schema", None, "digest"), ("schema", "mode", "labels")]
    assert found[0][4:6] == (a.schema.digest, b.schema.digest)
    assert "IDLE=0" in found[1][4] and "IDLE=2" in found[1][5]
    assert beyond(a, b, "0") == set()
    # A state that has a name in one of them alone is another state.
    c = records([0, 1, 1, 7, 0], schema=schema_of(LABELS | {"LOST": 7}))
    assert beyond(a, c, "durations=5%") == {("durations", "7?"), ("durations", "LOST")}
    # So are numbers beside names.
    d = records([0, 1, 1, 7, 0], schema=schema_of(None))
    assert {("durations", "IDLE"), ("durations", 0)} <= beyond(a, d, "5%")


def test_from_what_reads_alike_to_itself_nothing_changes() -> None:
    """As strcpy leaves it: what lies behind the end of a text is no part of it."""
    schema = fr.Schema.from_dtype([("word", "S4")], name="s")

    def run(*words: bytes) -> Records:
        rows = np.zeros(len(words), schema.record_dtype)
        rows["mono_ns"], rows["word"] = np.arange(len(words)) * MS, words
        return Records("c", schema, [ArrayChunk(rows)], gaps=np.empty(0, GAP_DTYPE), clock=None)

    one, other = run(b"ab", b"ab\0c", b"ab", b"cd"), run(b"ab", b"ab", b"ab", b"cd")
    assert compared(one, other, "0", fields="word") == []


def test_states_are_physical_values() -> None:
    tenths = fr.Schema.from_dtype([("mode", "<i4"), ("n", "<u4")]).with_field("mode", scale=0.1)
    doubles = fr.Schema.from_dtype([("mode", "<f8"), ("n", "<u4")])
    a, b = records([3, 3, 7, 7], schema=tenths), records([0.3, 0.3, 0.7, 0.7], schema=doubles)
    found = compared(a, b, fields=["mode"])
    assert [row[:3] for row in found if row[1]] == [
        ("schema", "mode", "widened"),
        ("schema", "mode", "scale"),
    ]
    assert {row[0] for row in found} == {"schema"}
    assert compared(a, b) and all(row[0] == "schema" for row in compared(a, b))  # no labels, no states


def test_a_state_that_came_with_the_last_record_is_a_difference() -> None:
    a, b = records([IDLE, IDLE, IDLE]), records([IDLE, IDLE, FAULT])
    for tolerance in ("5%", "1000%", "durations=0"):
        assert ("durations", "FAULT") in beyond(a, b, tolerance)
        assert ("durations", "FAULT") in beyond(b, a, tolerance)
    assert beyond(a, b, "durations=1ns") == set()
    assert beyond(a, b, "transitions=0") == {("transitions", "IDLE")}


def test_empty_channels() -> None:
    none, one, some = records([]), records([IDLE]), records([IDLE, RUN, IDLE])
    assert compared(none, none, "0") == compared(none, records([]), "0", "length=0") == []
    assert beyond(none, none, "0", equal=True) == set()
    kinds = ["length", "rate", *["durations"] * 2, *["transitions"] * 2]
    assert [row[0] for row in compared(none, some)] == kinds
    expected = {("rate", None), ("durations", "IDLE"), ("durations", "RUN"), ("transitions", "IDLE")}
    assert beyond(none, some, "5%") >= expected and beyond(some, none, "5%") >= expected
    rates = [row for row in compared(none, some) if row[0] == "rate"]
    assert rates == [("rate", None, None, None, 0, 3, None, 1000.0, None)]
    # One record has no rate, and its state no time.
    assert beyond(one, records([IDLE]), "0", equal=True) == set()
    assert beyond(one, records([RUN]), "0") == {("durations", "IDLE"), ("durations", "RUN")}
    assert ("durations", "IDLE") in beyond(one, some, "50%")
    # Where all failed there is no record at all.
    lost = [(0, 9, Cause.FAILED, -1)]
    assert beyond(records([], lost=lost), records([], lost=lost), "0", equal=True) == set()
    assert beyond(none, records([], lost=lost), "5%") == {("failures", -1), ("losses", "failed")}


def test_losses_are_shares_of_the_slots() -> None:
    def lossy(count: int, *lost: tuple) -> Records:
        return records([IDLE] * count, lost=lost)

    a = lossy(6, (3, 2, Cause.MISSED, 0), (4, 2, Cause.DROPPED, 0))
    b = lossy(60, (3, 20, Cause.MISSED, 16), (5, 20, Cause.DROPPED, 0))
    assert beyond(a, b, "losses=0%") == set()
    assert beyond(a, b, "losses=18") == set()
    assert beyond(a, b, "losses=17") == {("losses", "missed"), ("losses", "dropped")}
    most = 2**64 - 1
    forged = lossy(1, (0, most, Cause.FAILED, -1), (1, most, Cause.FAILED, -1))
    found = {row[0]: row[5] for row in compared(a, forged) if row[0] in ("failures", "losses")}
    assert found == {"failures": 2 * most, "losses": 2 * most}


def test_what_only_one_has() -> None:
    a, b = records([IDLE, RUN]), records([IDLE, RUN])
    found = fr.diff({"x": a, "y": a}, {"y": b, "z": b})
    assert found[["channel", "kind", "a", "b"]].tolist() == [
        ("x", "channel", True, False),
        ("z", "channel", False, True),
    ]
    assert not found["beyond"].any()
    assert fr.diff({"x": a}, {"z": b}, tolerance="losses=5")["beyond"].all()
    assert not len(fr.diff({"x": a, "y": a}, {"y": b, "z": b}, channels="y", tolerance="0"))
    assert fr.diff({"x": a}, {"z": b}, channels=["z"])["channel"].tolist() == ["z"]


def test_fields_that_only_one_has() -> None:
    a = records([IDLE, RUN])
    layout = [("mode", "<i4"), ("n", "<u4"), ("m", "<u4")]
    plain = fr.Schema.from_dtype(layout, name="s", labels={"mode": LABELS})
    named = fr.Schema.from_dtype(layout, name="s", labels={"mode": LABELS, "m": {"OFF": 0}})
    for more, judged in ((plain, set()), (named, {("field", None)})):
        c = records([IDLE, RUN], schema=more)
        rows = [row for row in compared(a, c, "0") if row[0] == "field"]
        assert rows == [("field", "m", None, None, False, True, None, None, None)]
        assert [row[4:6] for row in compared(c, a) if row[0] == "field"] == [(True, False)]
        assert beyond(a, c, "0") == beyond(c, a, "0") == judged
        assert beyond(a, c, "losses=0") == set()
        assert beyond(a, c, "transitions=0", fields=["m"]) == {("field", None)}
        assert beyond(a, c, "0", fields="mode") == set()
        assert "field" not in {row[0] for row in compared(a, c, fields=["mode"])}


def test_fields_of_all_kinds() -> None:
    random = [sample(400, seed=seed) for seed in (1, 2)]
    made = [
        Records(
            "c",
            SCHEMA,
            [ArrayChunk(rows[:150], 0), ArrayChunk(rows[150:], 150)],
            gaps=np.zeros(0, GAP_DTYPE),
            clock=None,
        )
        for rows in random
    ]
    for name in ("mode", "level", "total", "axis.pos", "trace", "trace[1]", "tag"):
        asked = {"c": made[0]}, {"c": made[1]}
        found = fr.diff(*asked, fields=[name], equal=True)
        of_states = found[found["kind"] == "transitions"]
        for place, one in zip("ab", made, strict=True):
            decoded = one.decode(name.split("[")[0])[name.split("[")[0]]
            raw = (decoded[:, 1] if "[" in name else decoded).tolist()
            # People read characters up to the first that is none.
            values = [repr(value.split(b"\0")[0] if isinstance(value, bytes) else value) for value in raw]
            changes = [{x, y} for x, y in pairwise(values) if x != y]
            changes = [pair for pair in changes if pair != {"0.0", "-0.0"}]
            assert sum(of_states[place].tolist()) == len(changes)
        times = found[found["kind"] == "durations"]
        for place, one in zip("ab", made, strict=True):
            assert sum(n for n in times[place].tolist() if n is not None) == one.end - one.start
        assert len({repr(of) for of in times["of"]}) == len(times)
        assert not len(fr.diff(asked[0], asked[0], fields=[name], tolerance="0"))


@pytest.mark.parametrize("step", [1, 2, 7, 1000])
def test_transitions_are_counted_piece_by_piece(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparing, "_STEP", step)
    modes = np.random.default_rng(step).integers(0, 3, 100).tolist()
    names = list(LABELS)
    expected = Counter((names[x], names[y]) for x, y in pairwise(modes) if x != y)
    found = compared(records(modes), records([]))
    assert {row[2:4]: row[4] for row in found if row[0] == "transitions"} == expected


def test_each_is_asked_for_once() -> None:
    """The records of a run that goes on are others at every look."""

    class Live(UserDict):
        looks = 0

        def __getitem__(self, name: str) -> Records:
            self.looks += 1
            return super().__getitem__(name)

    a = Live(c=records([IDLE, RUN]))
    fr.diff(a, {"c": records([RUN, RUN])}, fields=["mode", "n"])
    assert a.looks == 1


@pytest.mark.parametrize(
    ("more", "error", "said"),
    [
        ({"channels": ["d"]}, RecordingError, "neither run has a channel 'd'"),
        ({"channels": "cc"}, RecordingError, "did you mean 'c'?"),
        ({"fields": ["mod"]}, SchemaError, "no field 'mod' in c; did you mean 'mode'?"),
        ({"tolerance": "losses=5ms"}, SchemaError, "'5ms' is neither a percentage"),
        ({"tolerance": ["5%", "lost=5"]}, SchemaError, "no kind 'lost'"),
    ],
)
def test_what_makes_no_sense(more: dict, error: type, said: str) -> None:
    run = {"c": records([IDLE, RUN])}
    with pytest.raises(error, match=said.replace("?", r"\?")):
        fr.diff(run, run, **more)


@pytest.mark.parametrize("other", ["b.fastrec", records([IDLE]), None])
def test_recordings_are_opened_first(other: object) -> None:
    with pytest.raises(SchemaError, match="two recordings, or mappings of channel name to Records"):
        fr.diff({"c": records([IDLE])}, other)
