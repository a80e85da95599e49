"""Conditions on recordings, of which zones tell much, find the rows that they find without zones."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, pairwise
from pathlib import Path

import numpy as np
import pytest
from common import gaps
from expressions.rowwise import Chance, columns
from waiting import until

import fastrec as fr
from fastrec.errors import CorruptionError
from fastrec.recording import reader
from fastrec.recording.zones import summarise, told
from fastrec.records import ArrayChunk, Records, conditions
from fastrec.records.parts import Part
from fastrec.records.pruning import Pruning
from fastrec.schema import Flags, Masked, Schema
from fastrec.schema.gaps import Cause

pytestmark = pytest.mark.once  # the answers of oracles, wherever the package lies

DRIVE = Masked({"READY": (0x6F, 0x21), "ON": (0x6F, 0x27), "ALSO": (0x21, 0x21), "FAULT": (0x4F, 8)})
SCHEMA = Schema.from_c(
    """
    #include <stdbool.h>
    struct plant {
        unsigned long long count; long long sorted; unsigned long long noise; double part; double huge;
        float level; int down; unsigned word : 9; int sign : 7; unsigned rest : 16; int bits; short mode;
        unsigned short drive; bool on; signed char small; short cells[2];
    };
    """,
    "plant",
)
for _name, _meaning in {
    "down": {"scale": -0.1, "bias": 3.0},
    "small": {"scale": -0.3},
    "huge": {"scale": 2.0},
    "level": {"scale": -2.5, "bias": 1.0},
    "bits": {"labels": Flags({"A": 1, "B": 2, "TOP": 0x80000000})},
    "sign": {"labels": Flags({"LOW": 1, "HIGH": 0x40})},
    "mode": {"labels": {"IDLE": 0, "RUN": 1, "FAULT": -1}},
    "drive": {"labels": DRIVE},
}.items():
    SCHEMA = SCHEMA.with_field(_name, **_meaning)
SCALARS = [one.name for one in SCHEMA.fields if not one.shape]
COUNT = 5_500
SOME = {
    "sorted": [-(2**63), -1, 0, 5, 2**63 - 1],
    "noise": [0, 1, 2**63 - 1, 2**63, 2**64 - 1],
    "part": [0.0, -0.0, 1.5, -2.5, np.inf, -np.inf, np.nan],
    "huge": [1e308, -1e308, 1.0, np.nan],
    "level": [0.1, -2.0, 4.0, np.inf, np.nan],
    "down": [-(2**31), -3, 0, 3, 2**31 - 1],
    "word": [0, 1, 255, 256, 511],
    "sign": [-64, -1, 0, 1, 63],
    "bits": [0, 1, 2, 3, -1, -(2**31)],
    "mode": [-1, 0, 1, 7],
    "drive": [0x21, 0x27, 0x31, 8, 0, 0xFFFF],
    "on": [0, 1],
    "small": [-128, -1, 0, 1, 127],
}


def payloads(seed: int) -> np.ndarray:
    """Each field in stretches that are constant, nearly constant, sorted, or of all that there is."""
    chance = np.random.default_rng(seed)
    made = np.zeros(COUNT, SCHEMA.dtype)
    made["count"] = np.arange(COUNT)
    made["cells"][:, 1] = np.arange(COUNT) // 700
    for name, some in SOME.items():
        field = SCHEMA.field(name)
        values = np.zeros(COUNT, object)
        for start in range(0, COUNT, 1024):
            size = len(values[start : start + 1024])
            part = np.full(size, some[chance.integers(len(some))], object)
            kind = chance.integers(5)
            if kind == 1:
                part[chance.integers(size)] = some[chance.integers(len(some))]
            elif kind > 1:
                part[:] = [some[one] for one in chance.integers(0, len(some), size)]
                if kind == 2:
                    part = np.sort(part)
            values[start : start + size] = part
        kind = {"f": np.float64, "u": np.uint64, "b": np.uint64}.get(field.dtype.kind, np.int64)
        field.put(made, values.astype(kind))
    return made


def plain(records: Records) -> Records:
    """The same rows in memory, in other pieces."""
    rows = records.to_numpy()
    starts = [0, *(one for one in (1, 3000) if one < len(rows)), len(rows)]
    parts = [ArrayChunk(rows[start:stop], start) for start, stop in pairwise(starts)]
    return Records("plant", SCHEMA, parts, gaps=gaps(), clock=None, store=records.store)


class Zoned(ArrayChunk):
    """Rows of a segment, the first of which belong to a zone that began before."""

    def __init__(self, array: np.ndarray, first_seq: int, begin: int) -> None:
        super().__init__(array, first_seq)
        self.zone_starts = range(begin, len(array) - 1023, 1024)

    def zones(self, low: int, high: int, columns: Sequence[int]) -> np.ndarray:
        begin, end = self.zone_starts.start + 1024 * low, self.zone_starts.start + 1024 * high
        fields = [SCHEMA.numeric[column] for column in columns]
        return told(summarise(self._array[begin:end], fields), fields)


@pytest.fixture(scope="module", params=["every", "changes"])
def recorded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Records:
    if request.param == "every":
        path = tmp_path_factory.mktemp("conditions") / "r"
        with fr.Recorder(path, segment_bytes=1 << 18) as recorder:
            channel = recorder.add("plant", schema=SCHEMA, capacity=16_384)
            for start in range(0, COUNT, 500):
                channel.extend(payloads(1)[start : start + 500], np.arange(start, start + 500) + 10**9)
        records = fr.open(path)["plant"]
    else:
        rows = np.zeros(COUNT, SCHEMA.record("changes"))
        for name in SCHEMA.dtype.names:
            rows[name] = payloads(2)[name]
        rows["mono_ns"] = np.arange(COUNT) * 10 + 10**9
        rows["until_ns"] = rows["mono_ns"] + 5
        rows["polls"] = np.arange(COUNT) % 4 + 1
        parts = [Zoned(rows[:2048], 0, 0), Zoned(rows[2048:3300], 2048, 0), Zoned(rows[3300:], 3300, 800)]
        records = Records("plant", SCHEMA, parts, gaps=gaps(), clock=None, store="changes")
    assert len(records) == COUNT
    chunks = [span.chunk for span in records._rows.spans]
    assert len(chunks) > 1 and sum(len(chunk.zone_starts) for chunk in chunks) > 3
    return records


def views(records: Records) -> list[Records]:
    """Those that keep their zones, wholly or in part, and those that have none any more."""
    begin = int(records[1500]["mono_ns"])
    end = int(records[4900]["mono_ns"])
    return [
        records,
        records[1000:-600],
        records.between(begin, end),
        records[1025:1030],
        records[::3],
        records.where("count % 5 != 0"),
        records.where("count >= 1024").where("count < 5000"),
    ]


def zoned_numbers(zoned: Records, other: Records, text: str) -> np.ndarray:
    """The numbers of the rows that meet a condition, where the rows in memory are numbered by their place."""
    return zoned.seq[np.isin(np.arange(len(zoned)), other.where(text).seq.astype(int))]


def test_the_rows_are_those_of_no_zones(recorded: Records, monkeypatch: pytest.MonkeyPatch) -> None:
    told = []
    verdict = Pruning.verdict

    def remembered(self, zones, changed):
        found = verdict(self, zones, changed)
        told.append((found.may.all(), found.must.any()))
        assert not (found.must & ~found.may).any()
        return found

    monkeypatch.setattr(Pruning, "verdict", remembered)
    luck = random.Random(4)
    chance = Chance(5, columns(recorded[::97], SCALARS), ["on"])
    pairs = [(one, plain(one)) for one in views(recorded)]
    for _ in range(200):
        text, _ = chance.condition(2)
        if luck.random() < 0.2:
            word, negated = luck.choice(("and", "or")), luck.choice(("", "not "))
            text = f"({text}) {word} {negated}changed({luck.choice(SCALARS)})"
        zoned, other = luck.choice(pairs[:1] * 4 + pairs)
        due = zoned_numbers(zoned, other, text)
        assert np.array_equal(zoned.where(text).seq, due), text
        monkeypatch.setattr(conditions, "_FIRST", luck.choice((1, 1_024, 3_000)))
        found = zoned.where(text)  # a few at first, then a few more
        for count in sorted(luck.choices(range(1 + len(due)), k=2)):
            assert np.array_equal(found[:count].seq, due[:count]), text
        assert np.array_equal(found.seq, due), text
    assert sum(not may for may, _ in told) > 20 and sum(must for _, must in told) > 20


def test_what_zones_say_of_each_comparison(recorded: Records) -> None:
    """Every relation of every field with every value that it has, from both sides."""
    whole = plain(recorded)
    for name in SCALARS:
        if name == "count":
            continue
        values = {repr(one) for one in columns(recorded[::211], [name])[name].values}
        for value in [*sorted(values)[:4], "nan"]:
            for relation in ("==", "!=", "<", "<=", ">", ">="):
                text = f"{name} {relation} {value}"
                assert np.array_equal(recorded.where(text).seq, whole.where(text).seq), text
            for text in (f"not {name} == {value}", f"+{name} == {value}", f"+{name} != {value}"):
                assert np.array_equal(recorded.where(text).seq, whole.where(text).seq), text
    for name, labels in (("mode", ["RUN"]), ("bits", ["A", "TOP"]), ("sign", ["LOW", "HIGH"])):
        for label in labels:
            for text in (f"{name} == {label}", f"{name} != {label}", f"{name} in ({label}, 7)"):
                assert np.array_equal(recorded.where(text).seq, whole.where(text).seq), text
            if name != "mode":
                text = f"has({name}, {label})"
                assert np.array_equal(recorded.where(text).seq, whole.where(text).seq), text
    for number in (1, 0x1FF, 0x200, 0x8000, 2**31, 2**63):
        for name in ("word", "sign", "bits", "drive", "sorted", "noise"):
            text = f"has({name}, {number})"
            assert np.array_equal(recorded.where(text).seq, whole.where(text).seq), text
    for text in ("isnan(part)", "isnan(huge)", "isnan(level)", "not isnan(part)", "isnan(1.5) or on"):
        assert np.array_equal(recorded.where(text).seq, whole.where(text).seq), text


def test_changed_is_where_a_transition_is(recorded: Records) -> None:
    for one in views(recorded):
        for name in [*SCALARS, "cells", "cells[1]"]:
            assert np.array_equal(one.where(f"changed({name})").seq, one.transitions(name)["seq"]), name
    chunks = [int(span.chunk.first_seq) for span in recorded._rows.spans]
    borders = recorded.where("changed(count)").seq
    assert np.isin(chunks[1:], borders).all() and 0 not in borders
    assert not len(recorded[:1].where("changed(count)")) and not len(recorded[:0].where("changed(count)"))


def test_selections_of_selections(recorded: Records) -> None:
    both = recorded.where("mode == RUN and part > 0")
    assert both.seq.tolist() == recorded.where("mode == RUN").where("part > 0").seq.tolist()
    assert both.seq.tolist() == recorded.where("part > 0").where(mode="RUN").seq.tolist() != []
    assert both.seq.tolist() == recorded.where("part > 0", mode="RUN").seq.tolist()
    assert recorded[:0].where("part > 0").seq.tolist() == []
    assert recorded[100:3000].where("on").seq.tolist() == [
        seq for seq in recorded.where("on").seq.tolist() if 100 <= seq < 3000
    ]


@pytest.mark.parametrize("recorded", ["every"], indirect=True)
def test_conditions_are_asked_of_what_follows(recorded: Records) -> None:
    for text in ("part > 0 and on", "mode == RUN", "count < 100 or count > 5000"):
        expected = recorded.where(text).seq.tolist()
        parts = [part.seq.tolist() for part in recorded[:0].where(text).follow(timeout="10ms")]
        assert list(chain(*parts)) == expected != []
        half = recorded[:3000].where(text)
        parts = [part.seq.tolist() for part in half.follow(timeout="10ms")]
        assert list(chain(*parts)) == [seq for seq in expected if seq >= 3000]


# Files, damaged on purpose

SMALL = Schema.from_dtype(
    np.dtype([("step", "<i8"), ("sum", "<f8"), ("level", "<f4"), ("pad", "<f4"), ("noise", "<u8")]),
    name="small",
)


@pytest.fixture
def stepped(tmp_path: Path) -> Path:
    """Five zones in one segment; `step` is the number of the zone, `sum` NaN in the second one."""
    rows = np.zeros(5 * 1024 + 100, SMALL.dtype)
    rows["step"] = np.arange(len(rows)) // 1024
    rows["sum"] = np.where(rows["step"] == 1, np.nan, rows["step"] * 1.5)
    rows["level"] = rows["step"]
    rows["noise"] = np.random.default_rng(3).integers(0, 2**63, len(rows))
    with fr.Recorder(tmp_path / "r") as recorder:
        recorder.add("small", schema=SMALL).extend(rows)
    return tmp_path / "r"


def spoil(path: Path, row: int) -> None:
    """Damage a record; its block is no longer what its checksum says."""
    file = path / "channels/small/records.000000.npy"
    data = bytearray(file.read_bytes())
    size = SMALL.record("every").itemsize
    data[_begin(data) + row * size + 33] ^= 1
    file.write_bytes(data)


def _begin(data: bytes) -> int:
    return 10 + int.from_bytes(data[8:10], "little")


def test_what_zones_tell_is_not_read(stepped: Path) -> None:
    spoil(stepped, 2 * 1024 + 7)
    records = reader.open(stepped)["small"]
    zone = list(range(2048, 3072))
    for text in (
        "step == 4",
        "step in (0, 4, 9)",
        "sum > 4 and noise > 5",
        "step != 2 and noise >= 0",
        "sum == nan and not changed(step)",
        "has(step, 4) and noise < 5",
        "level > 2.5 and noise > 5",
        "not (step <= 3)",
        "isnan(sum)",
        "step < 0 or false",
    ):
        assert not set(zone) & set(records.where(text).seq.tolist()), text
    for text in (
        "step >= 2 and step < 3",
        "has(step, 2)",
        "step in (2, 9)",
        "sum == 3",
        "not isnan(sum)",
    ):
        assert set(zone) <= set(records.where(text).seq.tolist()), text
    for text in (
        "step == 2 and noise > 4611686018427387904",
        "step + 0 == 4",
        "sum > 2 and noise > 4611686018427387904",
        "step != 2 or noise == 4611686018427387904",
        "noise < 4611686018427387904",
        "sum / 2 > 100",
        "mono_ns < 0",
    ):
        with pytest.raises(CorruptionError, match="do not match"):
            len(records.where(text))
    assert len(records[:2048].where("noise >= 0 and step + 0 < 9")) == 2048
    with pytest.raises(CorruptionError):
        len(records[2049:3000].where("step == 4"))  # of a part of a zone the zone does not tell
    assert len(records[1000:4000].where("step == 4")) == 0


def test_no_more_is_searched_for_than_is_asked(tmp_path: Path) -> None:
    """What lies in later segments may be damaged; what comes behind the first is known all the same."""
    rows = np.zeros(9_000, SMALL.dtype)
    rows["step"] = np.arange(len(rows)) // 1000
    rows["noise"] = np.arange(len(rows))
    with fr.Recorder(tmp_path / "r", segment_bytes=96 * 1024) as recorder:
        channel = recorder.add("small", schema=SMALL)
        for start in range(0, len(rows), 500):
            channel.extend(rows[start : start + 500])
            until(lambda: channel.stats.written == channel.stats.recorded)
    path = tmp_path / "r/channels/small/records.000002.npy"
    data = bytearray(path.read_bytes())
    data[-40] ^= 1
    path.write_bytes(data)
    records = reader.open(tmp_path / "r")["small"]
    found = records.where("noise >= 100 and noise + 0 != 200")
    assert found[0]["noise"] == 100 and found[:3].seq.tolist() == [100, 101, 102]
    assert found[99:102].seq.tolist() == [199, 201, 202] and found.start == records[100]["mono_ns"]
    assert [found[place]["noise"] for place in (5, 150)] == [105, 251]
    behind = next(iter(found[:3].follow(timeout="10ms"))).seq
    assert behind[0] == 103
    for _ in range(2):
        with pytest.raises(CorruptionError, match="do not match"):
            len(found)
        with pytest.raises(CorruptionError, match="do not match"):
            found[-1]
        assert found[:3].seq.tolist() == [100, 101, 102]


@pytest.mark.parametrize("begin", [0, 300, 1_000])
def test_a_few_are_looked_for_near_the_beginning(monkeypatch: pytest.MonkeyPatch, begin: int) -> None:
    """Zones are asked four times as far each time, and none beyond the one in which the last one may be."""
    asked = []

    class Asked(Zoned):
        def zones(self, low: int, high: int, columns: Sequence[int]) -> np.ndarray:
            asked.append((low, high))
            return super().zones(low, high, columns)

    rows = np.zeros(64 * 1024 + begin, SCHEMA.record("every"))
    rows["count"] = np.arange(len(rows))
    monkeypatch.setattr(conditions, "_FIRST", 2 * 1024)
    monkeypatch.setattr(conditions, "_JUDGED", 0)
    records = Records("plant", SCHEMA, [Asked(rows, 0, begin)], gaps=gaps(), clock=None)
    for wanted in (1_500, 5 * 1_024, 30 * 1_024, 60 * 1_024):
        asked.clear()
        found = records.where(f"count == {wanted}")
        assert found[0]["count"] == wanted
        place, zone, due = 0, 0, []
        while place <= wanted:
            behind = min(64, -(-(max(2 * 1024, 4 * place) - begin) // 1024))
            due.append((zone, behind))
            place, zone = begin + 1024 * behind, behind
        assert asked == due
        assert len(found) == 1 and asked[len(due) :] == [(zone, 64)] * (zone < 64)
    asked.clear()
    assert len(records.where("count == 7")) == 1 and asked == [(0, 64)]
    asked.clear()  # no farther among those that meet another condition
    both = records.where("count >= 100 and count < 60000").where("count + 0 > 200")
    assert asked == []
    assert both[0]["count"] == 201 and asked and all(high <= 2 for _, high in asked)
    assert len(both) == 59_799


@pytest.mark.parametrize("begin", [0, 300])
def test_no_more_is_read_for_a_few(monkeypatch: pytest.MonkeyPatch, begin: int) -> None:
    """Zones are asked far ahead. Of those that may have such a row two are read, then three times as many as
    lie behind; between them those that have none are passed over.
    """
    read = []

    class Read(Zoned):
        def parts(self, starts: np.ndarray, stops: np.ndarray) -> Iterator[Part]:
            ranges = list(zip(starts.tolist(), stops.tolist(), strict=True))
            read.append([zone for zone in range(64) if any(a <= begin + 1024 * zone < b for a, b in ranges)])
            return super().parts(starts, stops)

    rows = np.zeros(64 * 1024 + begin, SCHEMA.record("every"))
    rows["noise"][begin::2048] = 3  # every other zone may have what is asked for; the last but one has it
    rows["noise"][begin + 62 * 1024 + 5] = 2
    monkeypatch.setattr(conditions, "_FIRST", 2 * 1024)
    records = Records("plant", SCHEMA, [Read(rows, 0, begin)], gaps=gaps(), clock=None)
    found = records.where("noise in (1, 2)")
    assert found[:1].seq.tolist() == [begin + 62 * 1024 + 5]
    assert [zone for some in read for zone in some] == list(range(0, 64, 2))
    assert len(read[0]) == 2 and len(read) < 6
    assert len(found) == 1


@pytest.mark.parametrize("text", ["noise == 1", "noise + 0 == 1"])
def test_no_more_is_read_of_what_has_no_zones(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """Four times as many rows each time, be the condition one that zones could judge, or not."""
    read = []

    class Read(ArrayChunk):
        def rows(self, start: int, stop: int) -> np.ndarray:
            read.append((start, stop))
            return super().rows(start, stop)

    rows = np.zeros(100 * 1024, SCHEMA.record("every"))
    rows["noise"][[10, 30 * 1024]] = 1
    monkeypatch.setattr(conditions, "_FIRST", 2 * 1024)
    records = Records("plant", SCHEMA, [Read(rows)], gaps=gaps(), clock=None)
    found = records.where(text)
    assert found[0]["noise"] == 1 and max(stop for _, stop in read) == 2 * 1024
    assert found[:2].seq.tolist() == [10, 30 * 1024] and max(stop for _, stop in read) == 32 * 1024


@pytest.mark.parametrize("lost", [False, True])
def test_so_many_chunks_are_searched(lost: bool) -> None:
    """A loss lies before one of two records: whether there is another behind them is asked only then."""
    asked = []

    class Asked(ArrayChunk):
        def parts(self, *ranges: np.ndarray) -> Iterator[Part]:
            asked.append(self.first_seq)
            return super().parts(*ranges)

    rows = np.zeros(10, SMALL.record("every"))
    rows["step"] = np.arange(10) % 5
    chunks = [Asked(rows, first) for first in range(0, 400, 10)]
    losses = gaps(*([(25, 3, Cause.MISSED)] if lost else []))
    records = Records("small", SMALL, chunks, gaps=losses, clock=None)

    def needs(question: Callable[[Records], object], count: int) -> None:
        asked.clear()
        question(records.where("step + 0 == 2"))
        assert asked == list(range(0, 10 * count, 10)), question

    needs(lambda found: found[0], 1)
    needs(bool, 1)
    needs(lambda found: next(iter(found)), 1)
    needs(lambda found: next(found.chunks(3)), 2)
    needs(lambda found: found[:2], 2 if lost else 1)
    needs(lambda found: found[1:4], 3 if lost else 2)
    needs(lambda found: found[-1], 40)
    needs(len, 40)
    found = records.where("step + 0 == 2")
    assert [len(found[:stop].gaps) for stop in (4, 5, 6, 7, 80)] == [0, 0, lost, lost, lost]
    assert len(found[5:].gaps) == 0 and len(found[4:].gaps) == (1 if lost else 0)


@pytest.mark.parametrize("damage", ["removed", "empty", "cut", "turned", "zeroed"])
def test_zones_that_are_no_more_are_made_again(stepped: Path, damage: str) -> None:
    texts = ["step == 4", "sum > 2 and noise > 1", "isnan(sum) or level < 1", "changed(step) and noise > 5"]
    before = [reader.open(stepped)["small"].where(text).seq.tolist() for text in texts]
    file = stepped / "channels/small/zones.000000.npy"
    data = file.read_bytes()
    if damage == "removed":
        file.unlink()
    elif damage == "turned":
        row = _begin(data) + 2 * (len(data) - _begin(data)) // 5
        file.write_bytes(data[: row + 16] + bytes([data[row + 16] ^ 4]) + data[row + 17 :])
    else:
        left = {
            "empty": b"",
            "cut": data[:-90],
            "zeroed": data[: _begin(data)] + bytes(len(data) - _begin(data)),
        }
        file.write_bytes(left[damage])
    records = reader.open(stepped)["small"]
    assert [records.where(text).seq.tolist() for text in texts] == before
    assert len(before[0]) == 1024
    # Without them the damaged rows are needed.
    spoil(stepped, 2 * 1024 + 7)
    spoil(stepped, 4 * 1024 + 7)
    with pytest.raises(CorruptionError):
        len(reader.open(stepped)["small"].where("step == 1"))


def test_a_scale_below_0_and_what_is_nearly_constant() -> None:
    """The smallest raw value is the largest physical one; a NaN among equal values is not one of them."""
    rows = np.zeros(1024, SCHEMA.record("every"))
    rows["mono_ns"] = np.arange(1024)
    rows["down"] = np.arange(1024) // 512 * 100
    rows["small"] = np.arange(1024) // 512 * 10
    rows["level"] = 4.0
    rows["level"][7] = np.nan
    records = Records("plant", SCHEMA, [Zoned(rows, 0, 0)], gaps=gaps(), clock=None)
    first, second = list(range(512)), list(range(512, 1024))
    assert records.where("down > 0").seq.tolist() == first == records.where("down == 3").seq.tolist()
    assert records.where("down <= -7").seq.tolist() == second == records.where("small < -1").seq.tolist()
    assert records.where("level == -9").seq.tolist() == [row for row in first + second if row != 7]
    assert records.where("not level == -9").seq.tolist() == [7] == records.where("isnan(level)").seq.tolist()
    rows["sorted"] = 5
    assert len(records.where("sorted in (-1, 5)")) == len(records.where("sorted not in (-1, 4)")) == 1024


def test_zones_that_claim_too_few_polls_tell_nothing() -> None:
    """As many NaN as polls, none: which is no reason to take all for NaN."""
    rows = np.zeros(2048, SCHEMA.record("changes"))
    rows["mono_ns"] = rows["until_ns"] = np.arange(2048)
    for name in SOME:
        SCHEMA.field(name).put(rows, payloads(3)[name][:2048] if SCHEMA.field(name).bits is None else 0)
    rows["polls"] = 0
    records = Records("plant", SCHEMA, [Zoned(rows, 0, 0)], gaps=gaps(), clock=None, store="changes")
    without = Records("plant", SCHEMA, [ArrayChunk(rows)], gaps=gaps(), clock=None, store="changes")
    for field in SCHEMA.numeric:
        name = field.name
        for text in (f"isnan({name})", f"not {name} < 1", f"{name} == 0", f"changed({name})"):
            assert records.where(text).seq.tolist() == without.where(text).seq.tolist(), text
        assert records.transitions(name)["seq"].tolist() == without.transitions(name)["seq"].tolist()
