"""Sums, buckets of time and the record of a time, against plain Python that looks at one record at a time."""

from __future__ import annotations

import datetime as dt
import math
import shutil
import struct
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import groupby, pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from common import SCHEMA, gaps, naive_at, naive_intervals, passes, rows_of, same, sample
from everything import SCALES, everything, payloads, scalars
from hypothesis import given, settings
from hypothesis import strategies as st
from recording.samples import HELD, PERIOD, STATUS, held, held_channel, status, status_channel
from recording.writer import CREATED_NS, START_NS, Folder
from sequences import MAX_GAPS, sequences

from fastrec.errors import CorruptionError, SchemaError
from fastrec.recording import reader
from fastrec.records import ArrayChunk, Records, chunks, measuring, ranges, rows, sums
from fastrec.schema import Field, Schema
from fastrec.schema.gaps import Cause
from fastrec.times import CLOCK_PAIR_DTYPE, Clock

pytestmark = pytest.mark.once  # the answers of oracles, wherever the package lies

ZONE = chunks.ZONE

CODES = ["i1", "<i2", ">i2", "<i4", ">i4", "<i8", ">i8", "u1", "<u2", ">u2", "<u4", ">u4", "<u8", ">u8", "?"]
FLOATS = ["<f2", ">f2", "<f4", ">f4", "<f8", ">f8"]
NUMBERS = Schema.from_dtype(
    np.dtype([(f"v{n}", code) for n, code in enumerate([*CODES, *FLOATS])] + [("many", "<i8", (2, 2))]),
    name="numbers",
)


def made(
    array: np.ndarray,
    schema: Schema,
    places: tuple[int, ...] = (),
    *,
    store: str = "every",
    lost: np.ndarray | None = None,
    period_ns: int | None = None,
) -> Records:
    pieces = [ArrayChunk(array[a:b], a) for a, b in pairwise([0, *places, len(array)])]
    clock = Clock(np.array([(0, CREATED_NS)], CLOCK_PAIR_DTYPE))
    lost = gaps() if lost is None else lost
    return Records("it", schema, pieces, gaps=lost, clock=clock, period_ns=period_ns, store=store)


def blank(count: int, schema: Schema, store: str = "every", *, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    array = np.zeros(count, schema.record(store))
    array["mono_ns"] = 1_000 + np.cumsum(random.integers(0, 40, count))
    if store == "changes":
        array["until_ns"] = array["mono_ns"] + random.integers(0, 40, count)
        array["polls"] = random.integers(1, 1 << 40, count)
    return array


def extremes(dtype: np.dtype, count: int, random: np.random.Generator) -> np.ndarray:
    if dtype.kind == "b":
        return random.integers(0, 2, count).astype(bool)
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        ends = [info.min, info.max, info.min + 1, info.max - 1, 0, 1, info.max // 3]
    else:
        info = np.finfo(dtype)
        ends = [0.0, -0.0, np.nan, np.inf, -np.inf, info.max, info.min, info.tiny, 1.5, 0.1]
    return np.array(ends, dtype.newbyteorder("="))[random.integers(0, len(ends), count)].astype(dtype)


def weights_of(array: np.ndarray) -> list[int]:
    return array["polls"].tolist() if "polls" in array.dtype.names else [1] * len(array)


def check_row(row: np.void, values: list, weights: list[int], field: Field | None = None) -> None:
    """One row of `describe` against raw values and how often each was polled."""
    numbers = [(value, weight) for value, weight in zip(values, weights, strict=True) if value == value]
    polls = sum(weight for _, weight in numbers)
    assert (row["count"], row["nan"]) == (polls, sum(weights) - polls)
    if not numbers:
        assert row["min"] is None and row["max"] is None and math.isnan(row["mean"])
        return
    scale, bias = (Fraction(field.scale), Fraction(field.bias)) if field else (Fraction(1), Fraction(0))
    whole = all(isinstance(value, int) for value, _ in numbers)
    ends = min(numbers)[0], max(numbers)[0]
    if (scale, bias) == (1, 0):
        assert [type(row["min"]), type(row["max"])] == [type(end) for end in ends]
        assert (row["min"], row["max"]) == ends
        if whole:
            assert row["mean"] == float(Fraction(sum(v * w for v, w in numbers), polls))
            return
    else:
        physical = sorted(float(Fraction(end) * scale + bias) for end in ends)
        assert [row["min"], row["max"]] == pytest.approx(physical, rel=1e-12, abs=1e-12)
    if not whole and math.inf in [abs(end) for end in ends]:
        both = {math.inf, -math.inf} <= {value for value, _ in numbers}
        wanted = math.nan if both else ends[0] if ends[0] == -math.inf else math.inf
        assert row["mean"] == wanted or (math.isnan(row["mean"]) and both)
        return
    mean = float(sum(Fraction(v) * w for v, w in numbers) / polls * scale + bias)
    slack = 1e-12 * max(abs(float(row["min"])), abs(float(row["max"])))
    assert math.isclose(row["mean"], mean, rel_tol=1e-12, abs_tol=slack)


block = passes(rows, chunks, sums, sizes=(65_536, 7))


class TestDescribe:
    @pytest.mark.usefixtures("block")
    @pytest.mark.parametrize("store", ["every", "changes"])
    def test_every_type_with_its_ends(self, store: str) -> None:
        random = np.random.default_rng(5)
        array = blank(300, NUMBERS, store)
        for name in names(NUMBERS):
            values = extremes(array[name].dtype.base, 300, random)
            if values.dtype.kind == "f":  # mixed infinities are a NaN: half of the fields are finite
                values[np.isinf(values)] = 3.0 if random.integers(2) else np.inf
                # The sum of the largest doubles is none; see below.
                values = np.where(np.abs(values) > 1e300, 7.0, values) if values.itemsize == 8 else values
            array[name] = values[:, None, None] if array[name].ndim > 1 else values
        records = made(array, NUMBERS, (1, 2, 200), store=store)
        found = records.describe()
        assert found["field"].tolist() == names(NUMBERS)[:-1]
        for row in found:
            check_row(row, array[row["field"]].tolist(), weights_of(array))
        for part in (slice(3, 250), slice(5, 6), slice(None, None, 7), slice(9, 9), slice(1, 2)):
            for row in records[part].describe("v5", "v12", "v4", "v18", "v14", "many[1][0]"):
                name = row["field"]
                values = array["many"][:, 1, 0] if name == "many[1][0]" else array[name]
                check_row(row, values[part].tolist(), weights_of(array[part]))
        picked = records.where("v0 > 0")
        inside = array[array["v0"] > 0]
        assert 9 < len(picked) == len(inside) < 250
        for row in picked.describe("v6", "v19", "mono_ns"):
            check_row(row, inside[row["field"]].tolist(), weights_of(inside))

    def test_every_kind_of_field(self) -> None:
        """Bit-fields, other byte orders, unions, scales: what their bytes mean is read without NumPy."""
        schema, given = everything(), payloads(200, seed=8)
        size = schema.record("every").itemsize
        raw = b"".join((n.to_bytes(8, "little") + one).ljust(size, b"\0") for n, one in enumerate(given))
        records = made(np.frombuffer(raw, schema.record("every")), schema, (77,))
        readings, fields = scalars(), {field.name: field for field in schema.numeric}
        found = records.describe()
        assert found["field"].tolist() == list(fields)
        with np.errstate(all="ignore"):
            for row in found:
                values = [readings[row["field"]](payload) for payload in given]
                finite = all(value != value or abs(value) < 1e290 for value in values)
                if finite or isinstance(values[0], int):
                    check_row(row, values, [1] * 200, fields[row["field"]])
        assert set(SCALES) & set(fields) == {"temp", "q", "be_u", "bias"}
        for name in ("cells[3]", "grid[1][2]", "motors[1].drift", "motors[0].cells[2]", "temps[1]"):
            values = [readings[name](payload) for payload in given]
            check_row(records.describe(name)[0], values, [1] * 200, schema.field(name))

    @pytest.mark.parametrize("store", ["every", "changes"])
    def test_the_recorders_columns(self, store: str) -> None:
        array = blank(50, SCHEMA, store)
        for name in ["mono_ns"] if store == "every" else ["mono_ns", "until_ns", "polls", "max_gap_ns"]:
            row = made(array, SCHEMA, (9,), store=store).describe(name)[0]
            check_row(row, array[name].tolist(), weights_of(array))

    @pytest.mark.usefixtures("block")
    def test_sums_that_no_register_holds(self) -> None:
        """Far beyond 64 and also 100 bits: the mean is the float64 nearest to the exact quotient."""
        schema = Schema.from_dtype(np.dtype([("u", "<u8"), ("i", "<i8")]), name="wide")
        for seed in range(8):
            random = np.random.default_rng(seed)
            array = blank(40, schema, "changes")
            array["polls"] = 1 << random.integers(0, 58, 40)
            array["u"] = 2**64 - 1 - (1 << random.integers(0, 3 + 8 * seed, 40)).astype(np.uint64)
            array["i"] = -(2**63) + (1 << random.integers(0, 3 + 7 * seed, 40)).astype(np.int64)
            array["i"][::5] = 2**63 - 1 - seed if seed % 2 else array["i"][0]
            for row in made(array, schema, (11, 12), store="changes").describe():
                check_row(row, array[row["field"]].tolist(), array["polls"].tolist())
            # Pieces of one value each, far from one another.
            array["u"], array["i"] = (extremes(array[name].dtype, 40, random) for name in "ui")
            for row in made(array, schema, tuple(range(1, 40)), store="changes").describe():
                check_row(row, array[row["field"]].tolist(), array["polls"].tolist())

    @pytest.mark.parametrize("size", [1, 2])
    def test_many_pieces_that_fit(self, size: int) -> None:
        """Each sum fits into 64 bits, all of them do not."""
        schema = Schema.from_dtype(np.dtype([("u", "<u8"), ("i", "<i8")]), name="wide")
        array = blank(80, schema)
        array["u"], array["i"] = (np.arange(80) % 2) << 61, -((np.arange(80) % 2) << 61)
        for row in made(array, schema, tuple(range(size, 80, size))).describe():
            check_row(row, array[row["field"]].tolist(), [1] * 80)

    def test_a_single_hold_as_wide_as_can_be(self) -> None:
        schema = Schema.from_dtype(np.dtype([("u", "<u8")]), name="wide")
        array = blank(2, schema, "changes")
        array["u"], array["polls"] = [2**64 - 1, 0], [2**62, 2**62]
        row = made(array, schema, store="changes").describe()[0]
        assert (row["count"], row["mean"]) == (2**63, float(Fraction(2**64 - 1, 2)))

    def test_floats_without_a_finite_sum(self) -> None:
        schema = Schema.from_dtype(np.dtype([("x", "<f8")]), name="x")
        for values, mean in (
            ([math.inf, 1.0, -math.inf], math.nan),
            ([math.inf, 1.0, 2.0], math.inf),
            ([1.7e308, 1.7e308, 1.7e308], math.inf),
            ([-math.inf, math.nan, -1.0], -math.inf),
            ([math.nan] * 3, math.nan),
        ):
            array = blank(3, schema)
            array["x"] = values
            for places in ((), (1, 2), (2,)):
                row = made(array, schema, places).describe("x")[0]
                assert row["mean"] == mean or (math.isnan(mean) and math.isnan(row["mean"]))
        array["x"] = [0.0, -0.0, math.nan]
        row = made(array, schema).describe("x")[0]
        assert (row["min"], row["max"], row["mean"], row["count"], row["nan"]) == (0, 0, 0, 2, 1)

    @pytest.mark.parametrize("scale, bias", [(0.1, 0.0), (-0.1, 0.5), (-3.0, 1.0), (1e-3, -40.0), (1.0, 2.5)])
    def test_scales(self, scale: float, bias: float) -> None:
        """The mean of one value is that value as the column has it: 3 * 0.1 is not 0.3."""
        field = np.dtype([("n", "<i4"), ("x", "<f4")])
        schema = Schema.from_dtype(field, name="scaled")
        for name in field.names:
            schema = schema.with_field(name, scale=scale, bias=bias)
        array = blank(60, schema)
        array["n"], array["x"] = np.arange(60) - 20, np.arange(60) / 3
        array["x"][7] = np.nan
        records = made(array, schema, (20,))
        for row in records.describe():
            check_row(row, array[row["field"]].tolist(), [1] * 60, schema.field(row["field"]))
        for place in range(60):
            low, high, mean = records[place : place + 1].describe("n")[["min", "max", "mean"]][0]
            assert low == high == mean == records[place : place + 1].decode()["n"][0]
            assert isinstance(low, float)
        found = records.downsample(1, "n")
        values = records.decode()["n"]
        assert (found["min"][0], found["max"][0]) == (values.min(), values.max())
        assert found["min"].dtype == np.float64

    def test_nothing(self) -> None:
        records = made(blank(0, NUMBERS), NUMBERS)
        full = made(blank(9, NUMBERS), NUMBERS)
        for empty in (records, full[4:4], full.where("v5 > 7")):
            found = empty.describe()
            assert found.dtype == full.describe().dtype and len(found) == len(names(NUMBERS)) - 1
            assert {(row["count"], row["nan"], row["min"], row["max"]) for row in found} == {
                (0, 0, None, None)
            }
            assert np.isnan(found["mean"]).all()
            assert len(empty.at(2_000)) == 0

    def test_dtypes(self) -> None:
        found = made(blank(3, NUMBERS), NUMBERS).describe("v3")
        assert found.dtype == np.dtype(
            [("field", "O"), ("count", "u8"), ("nan", "u8"), ("min", "O"), ("max", "O"), ("mean", "f8")]
        )
        nothing = Schema.from_dtype(np.dtype([("s", "S3")]), name="s")
        assert made(blank(3, nothing), nothing).describe().shape == (0,)

    @pytest.mark.parametrize(
        "schema, name, message",
        [
            (SCHEMA, "tag", r"'tag' is no number, but \|S6 of shape"),
            (SCHEMA, "trace", r"'trace' is no number, but int16 of shape \(3,\)"),
            (SCHEMA, "modus", "no field 'modus'; did you mean 'mode'"),
            (SCHEMA, "until_ns", "no field 'until_ns'"),
            (SCHEMA, 5, "no field 5"),
            (STATUS, "url", "'url' is no number, but a text$"),
        ],
    )
    def test_what_is_no_number(self, schema: Schema, name: str, message: str) -> None:
        for count in (0, 3):
            records = made(blank(count, schema), schema)
            with pytest.raises(SchemaError, match=message):
                records.describe(name)
            if isinstance(name, str) and "is no number" in message:
                records.downsample(3, name)  # but it has states
                continue
            with pytest.raises(SchemaError, match=message):
                records.downsample(3, name)


def names(schema: Schema) -> list[str]:
    return [field.name for field in schema.fields]


def naive_buckets(times: list[int], points: int) -> list[int]:
    """Of each record its stretch of time; where stamps fall it goes on from the latest."""
    first = times[0]
    length = max(times) - first + 1
    edges = [first + length * one // points for one in range(points)]
    found, reached = [], 0
    for time in times:
        reached = max(reached, bisect_right(edges, time) - 1)
        found.append(reached)
    return found


def naive_points(array: np.ndarray, values: list, buckets: list[int]) -> list[tuple]:
    until = array["until_ns" if "until_ns" in array.dtype.names else "mono_ns"].tolist()
    times = array["mono_ns"].tolist()
    found = []
    for _, group in groupby(range(len(array)), lambda place: buckets[place]):
        some = list(group)
        numbers = [values[place] for place in some if values[place] == values[place]]
        ends = (min(numbers), max(numbers)) if numbers else (math.nan, math.nan)
        found.append((min(times[n] for n in some), max(until[n] for n in some), len(some), *ends))
    return found


def check_points(found: np.ndarray, wanted: list[tuple]) -> None:
    assert len(found) == len(wanted)
    for row, one in zip(found.tolist(), wanted, strict=True):
        assert all(a == b or (a != a and b != b) for a, b in zip(row, one, strict=True)), (row, one)


class TestDownsample:
    @pytest.mark.parametrize("bits", [0x7FF8000000000000, 0x7FF0000000000001, 0xFFF0000000000001])
    @pytest.mark.parametrize("code", ["<f8", ">f8"])
    def test_every_nan_is_set_aside(self, code: str, bits: int) -> None:
        """A signaling one too, of which a maximum may be NaN whatever else there is."""
        schema = Schema.from_dtype(np.dtype([("x", code)]), name="numbers")
        array = blank(6, schema)
        array["mono_ns"] = range(6)
        array["x"] = [100.0, 0.0, 1.0, -3.0, 0.0, 0.0]
        array["x"].view(code.replace("f", "u"))[[1, 4, 5]] = bits
        records = Records("it", schema, [ArrayChunk(array)], gaps=gaps(), clock=None)
        assert records.downsample(1, "x").tolist() == [(0, 5, 6, -3.0, 100.0)]
        assert records.downsample(3, "x")[["min", "max"]].tolist()[:2] == [(100.0, 100.0), (-3.0, 1.0)]
        assert np.isnan(records.downsample(3, "x")["min"][2])

    @pytest.mark.usefixtures("block")
    @pytest.mark.parametrize("store", ["every", "changes"])
    @pytest.mark.parametrize("order", ["rising", "falling", "mixed", "equal", "silent"])
    def test_every_row_in_its_bucket(self, store: str, order: str) -> None:
        array = blank(200, SCHEMA, store, seed=3)
        array["level"] = sample(200)["level"]
        array["level"][50:90] = np.nan
        array["total"] = sample(200)["total"]
        random = np.random.default_rng(2)
        if order == "falling":
            array["mono_ns"] = array["mono_ns"][::-1]
        elif order == "mixed":
            array["mono_ns"] += random.integers(-900, 900, 200)
        elif order == "equal":
            array["mono_ns"] = 77
        elif order == "silent":
            array["mono_ns"][100:] += 10**9
        if store == "changes":
            array["until_ns"] = array["mono_ns"] + random.integers(0, 30, 200)
        for places in ((), (1, 30, 31, 100)):
            records = made(array, SCHEMA, places, store=store)
            for points in (1, 2, 7, 64, 100_000):
                buckets = naive_buckets(array["mono_ns"].tolist(), points)
                for name in ("level", "total", "mono_ns"):
                    found = records.downsample(points, name)
                    check_points(found, naive_points(array, array[name].tolist(), buckets))
                    assert found["records"].sum() == 200
        picked = records.where("level == 1.5")
        inside = array[array["level"] == 1.5]
        wanted = naive_buckets(inside["mono_ns"].tolist(), 5)
        check_points(picked.downsample(5, "total"), naive_points(inside, inside["total"].tolist(), wanted))

    def test_every_type(self) -> None:
        array = blank(90, NUMBERS)
        random = np.random.default_rng(6)
        for name in names(NUMBERS)[:-1]:
            array[name] = extremes(array[name].dtype, 90, random)
        records, empty = made(array, NUMBERS, (40,)), made(array[:0], NUMBERS)
        buckets = naive_buckets(array["mono_ns"].tolist(), 10)
        for name in names(NUMBERS)[:-1]:
            found = records.downsample(10, name)
            check_points(found, naive_points(array, array[name].tolist(), buckets))
            number = array[name].dtype.newbyteorder("=")
            assert found.dtype == np.dtype(
                [("start", "i8"), ("end", "i8"), ("records", "i8"), ("min", number), ("max", number)]
            )
            assert found["min"].dtype.isnative
            for nothing in (empty, records[3:3], records.between(0, 1)):
                assert nothing.downsample(10, name).dtype == found.dtype
                assert len(nothing.downsample(10, name)) == 0

    @pytest.mark.parametrize("points", [0, -1, True, False, "3", 1.5, None, 2**24 + 1, 2**70])
    def test_what_is_no_count(self, points: object) -> None:
        for count in (0, 3):
            with pytest.raises(SchemaError, match=r"takes a count of points, 1 to 16,777,216, not"):
                made(blank(count, SCHEMA), SCHEMA).downsample(points, "level")

    def test_stamps_as_far_apart_as_can_be(self) -> None:
        array = blank(4, SCHEMA)
        array["mono_ns"] = [-(2**63), -1, 0, 2**63 - 1]
        array["total"] = range(4)
        for points in (1, 2, 3, 1_000_003):
            buckets = naive_buckets(array["mono_ns"].tolist(), points)
            wanted = naive_points(array, [0, 1, 2, 3], buckets)
            check_points(made(array, SCHEMA).downsample(np.int64(points), "total"), wanted)


class Edges(Sequence[int]):
    """Where stretches of equal time begin; there may be millions of them."""

    def __init__(self, first: int, length: int, points: int) -> None:
        self.first, self.length, self.points = first, length, points

    def __len__(self) -> int:
        return self.points

    def __getitem__(self, place: int) -> int:
        return self.first + self.length * place // self.points


def naive_runs(times: list[int], found: list[dict], points: int) -> list[tuple]:
    """Intervals joined by state where they begin in one stretch of time."""
    if not found:
        return []
    first, length = times[0], max(times) - times[0] + 1
    edges = Edges(first, length, points)
    runs: list[list] = []
    reached = 0
    for one in found:
        reached = max(reached, bisect_right(edges, one["start"]) - 1)
        run = next((run for run in runs if run[0] == reached and same(run[4], one["state"])), None)
        if run is None:
            runs.append([reached, one["start"], one["end"], one["records"], one["state"], 1])
        else:
            run[2], run[3], run[5] = one["end"], run[3] + one["records"], run[5] + 1
    return [tuple(run[1:]) for run in runs]


class TestRunsOfStates:
    @settings(max_examples=40)
    @given(st.data())
    def test_every_interval_is_in_a_run(self, data: st.DataObject) -> None:
        given = data.draw(sequences(falling=data.draw(st.booleans())))
        given = given.part(*data.draw(st.sampled_from([(0, 24), (2, 20), (0, 24, 3)])))
        points = data.draw(st.sampled_from([1, 2, 5, 64, 2**24]))
        max_gap = data.draw(st.sampled_from(MAX_GAPS))
        some = data.draw(st.sampled_from([3, 65_536]))
        for name in ("mode", "url", "tag", "trace"):
            intervals = naive_intervals(given.rows[name], given.records.gaps, *given.breaking(max_gap))
            with pytest.MonkeyPatch.context() as patch:
                for one in (rows, chunks):
                    patch.setattr(one, "BLOCK", some)
                found = given.records.downsample(points, name, max_gap)
            wanted = naive_runs(given.records["mono_ns"].tolist(), intervals, points)
            assert len(found) == len(wanted)
            for row, run in zip(found.tolist(), wanted, strict=True):
                state = row[3].tolist() if isinstance(row[3], np.ndarray) else row[3]
                assert (*row[:3], row[4]) == (*run[:3], run[4]) and same(state, run[3])

    def test_nothing(self) -> None:
        array = blank(3, SCHEMA)
        records = made(array, SCHEMA)
        for name in ("mode", "tag", "trace"):
            full = records.downsample(5, name)
            assert full.dtype.names == ("start", "end", "records", "state", "intervals") and len(full)
            for empty in (records[1:1], records.between(0, 1)):
                assert empty.downsample(5, name).dtype == full.dtype and not len(empty.downsample(5, name))

    def test_a_state_that_lasts_is_one_run_however_many_points(self) -> None:
        array = blank(9_000, SCHEMA)
        array["mono_ns"] = np.arange(9_000) * 10
        array["mode"][4_000:4_003] = [1, 2, 1]
        found = made(array, SCHEMA).downsample(100, "mode", "1s")
        assert found.tolist() == [
            (0, 40_000, 4_000, 0, 1),
            (40_000, 40_030, 2, 1, 2),
            (40_010, 40_020, 1, 2, 1),
            (40_030, 89_990, 4_997, 0, 1),
        ]


class Stored(NamedTuple):
    """A recording on disk, and the same rows as plain ones."""

    root: Path
    name: str
    array: np.ndarray
    starts: list[int]
    """Rows at which a segment or a zone begins."""
    broken: range = range(0)
    """Those of the zone in which records are missing."""

    def records(self) -> Records:
        return reader.open(self.root)[self.name]

    def plain(self) -> Records:
        schema, store = (HELD, "changes") if self.name == "held" else (STATUS, "every")
        return made(self.array, schema, store=store)


def written(
    root: Path, count: int, segments: list[int], stamp: Callable[[int], int], *, lost: range = range(0)
) -> Stored:
    """Numbers up to `count`, without those lost; new segments at some of them."""
    folder = Folder(root)
    folder.session()
    folder.clock(START_NS, CREATED_NS)
    channel = status_channel(folder)
    random = np.random.default_rng(1)
    temps = random.normal(size=count)
    temps[random.integers(0, count, 40)] = [math.nan, 1e9, -1e9, -0.0] * 10
    temps[4096:5130] = math.nan
    stored, starts, broken = [], [], range(0)
    seq = 0
    while seq < count:
        if seq in (0, *segments):
            segment = channel.segment()
        before = len(segment.stored)
        if before % ZONE == 0 or seq in (0, *segments):
            starts.append(len(stored))
        if lost and seq == lost.stop and before % ZONE:
            broken = range(starts[-1], starts[-1] + ZONE)
        some = [seq, lost.start, *segments, count, seq + ZONE - before % ZONE, seq + 600 + seq % 400]
        stop = min(one for one in some if one > seq)
        told = [(lost.start, len(lost), 5, 28, stamp(lost.start), stamp(lost.stop))]
        block = [status(n, temp=float(temps[n]), stamp=stamp(n)) for n in range(seq, stop)]
        segment.commit(seq, block, gaps=told if lost and seq == lost.stop else [])
        stored += block
        seq = lost.stop if lost and stop == lost.start else stop
    folder.close({"status": channel})
    return Stored(root, "status", np.frombuffer(b"".join(stored), STATUS.record("every")), starts, broken)


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Stored:
    """Three segments; a disk failed within the second, so zones there begin within chunks."""
    root = tmp_path_factory.mktemp("long") / "r"
    return written(root, 19_000, [5_000, 12_300], lambda n: START_NS + n * PERIOD, lost=range(9_000, 9_700))


@pytest.fixture(scope="module")
def unsteady(tmp_path_factory: pytest.TempPathFactory) -> Stored:
    """Stamps that fall here and there, in some zones to before the first record, and a long silence."""

    def stamp(n: int) -> int:
        far = 6_000 if n > 10_000 else 0
        back = 3_000 if n % 1_500 == 77 or (6_000 <= n < 9_200 and n % 1_000 == 500) else n * 37 % 5
        return START_NS + (n + far - back) * PERIOD

    return written(tmp_path_factory.mktemp("unsteady") / "r", 17_000, [7_000], stamp)


@pytest.fixture(scope="module")
def holds(tmp_path_factory: pytest.TempPathFactory) -> Stored:
    folder = Folder(tmp_path_factory.mktemp("holds") / "r")
    folder.session()
    channel = held_channel(folder)
    stored: list[bytes] = []
    starts = []
    for begin, stop in ((0, 5_000), (5_000, 9_000)):
        segment = channel.segment()
        for seq in range(begin, stop, 200):
            room = ZONE - len(segment.stored) % ZONE
            both = [held(n, n % 4 + 1) for n in range(seq, seq + 200)]
            for some, first in ((both[:room], seq), (both[room:], seq + room)):
                if some:
                    starts += [len(stored)] if len(segment.stored) % ZONE == 0 else []
                    segment.commit(first, some)
                    stored += some
    folder.close({"held": channel})
    return Stored(folder.root, "held", np.frombuffer(b"".join(stored), HELD.record("changes")), starts)


@pytest.fixture(params=["long", "unsteady", "holds"])
def stored(request: pytest.FixtureRequest) -> Stored:
    return request.getfixturevalue(request.param)


PARTS = [
    slice(None),
    slice(1, -1),
    slice(700, 1_500),
    slice(1_024, 7_168),
    slice(3_000, 3_001),
    slice(5, None),
]


def same_described(one: Records, other: Records, *fields: str) -> None:
    a, b = one.describe(*fields), other.describe(*fields)
    for name in ("field", "count", "nan", "min", "max"):
        assert a[name].tolist() == b[name].tolist()
    assert np.allclose(a["mean"], b["mean"], rtol=1e-12, atol=1e-3, equal_nan=True)
    whole = np.array([not isinstance(low, float) for low in a["min"]])
    assert a["mean"][whole].tolist() == b["mean"][whole].tolist()


def damage(stored: Stored, root: Path, row: int) -> Stored:
    """A copy with one byte of a row changed, all rows counted through the segments."""
    shutil.copytree(stored.root, root)
    for path in sorted((root / "channels" / stored.name).glob("records.*")):
        data = bytearray(path.read_bytes())
        begin, size = 10 + int.from_bytes(data[8:10], "little"), stored.array.dtype.itemsize
        count = (len(data) - begin) // size
        if row < count:
            data[begin + row * size + size - 9] ^= 0x40
            path.write_bytes(data)
            return stored._replace(root=root)
        row -= count
    raise AssertionError("there is no such row")


class TestRecordings:
    def test_describe(self, stored: Stored) -> None:
        records, plain = stored.records(), stored.plain()
        for part in PARTS:
            same_described(records[part], plain[part])
        same_described(records, plain, "mono_ns")
        same_described(records[::3], plain[::3])
        low, high = (int(stored.array["mono_ns"][n]) for n in (800, 6_000))
        same_described(records.between(low, high), plain.between(low, high))

    @pytest.mark.parametrize("became", ["removed", "damaged", "cut"])
    def test_zones_are_not_needed(self, stored: Stored, became: str, tmp_path: Path) -> None:
        root = tmp_path / "r"
        shutil.copytree(stored.root, root)
        for path in sorted((root / "channels" / stored.name).glob("zones.*")):
            data = path.read_bytes()
            if became == "removed":
                path.unlink()
            elif became == "damaged":
                path.write_bytes(data[:300] + bytes([data[300] ^ 1]) + data[301:])
            else:
                path.write_bytes(data[:-1])
        records = stored._replace(root=root).records()
        same_described(records, stored.plain())
        field = "level" if stored.name == "held" else "temp"
        assert records.downsample(2, field).tobytes() == stored.records().downsample(2, field).tobytes()

    def test_few_records_of_a_bucket_are_cut_by_time(self, stored: Stored) -> None:
        field = "level" if stored.name == "held" else "temp"
        records, plain = stored.records(), stored.plain()
        for part, points in ((slice(None), 100), (slice(800, 8_991), 2), (slice(2_000, 6_095), 3)):
            array = stored.array[part]
            buckets = naive_buckets(array["mono_ns"].tolist(), points)
            wanted = naive_points(array, array[field].tolist(), buckets)
            check_points(records[part].downsample(points, field), wanted)
            check_points(plain[part].downsample(points, field), wanted)
        # What no zone sums up is cut by time as well.
        buckets = naive_buckets(stored.array["mono_ns"].tolist(), 2)
        wanted = naive_points(stored.array, stored.array["mono_ns"].tolist(), buckets)
        check_points(records.downsample(2, "mono_ns"), wanted)

    @pytest.mark.parametrize("points", [1, 2, 3, 4])
    @pytest.mark.parametrize("part", [slice(None), slice(1_500, None), slice(0, -300)])
    def test_snapped_to_zones(self, stored: Stored, points: int, part: slice) -> None:
        array, field = stored.array[part], "level" if stored.name == "held" else "temp"
        if len(array) < 4 * ZONE * points:
            return
        found = stored.records()[part].downsample(points, field)
        buckets = naive_buckets(array["mono_ns"].tolist(), points)
        borders = np.cumsum(found["records"])
        starts = [0, *(row - (part.start or 0) for row in stored.starts if row > (part.start or 0))]
        starts = [row for row in starts if row < len(array)]
        if stored.broken:  # a zone in which records are missing is cut by time
            starts = sorted({*starts, *(row - (part.start or 0) for row in stored.broken)})
        assert borders[-1] == len(array) and {0, *borders[:-1].tolist()} <= set(starts)
        exact = [n for n in range(1, len(array)) if buckets[n] != buckets[n - 1]]
        if (np.diff(array["mono_ns"]) >= 0).all():
            snapped = sorted({starts[bisect_left(starts, n)] for n in exact if n <= starts[-1]})
            assert borders[:-1].tolist() == snapped
        else:
            assert len(borders) == len(exact) + 1
            assert all(0 <= late - n <= ZONE for late, n in zip(borders.tolist(), exact, strict=False))
        which = np.repeat(np.arange(len(found)), found["records"]).tolist()
        check_points(found, naive_points(array, array[field].tolist(), which))

    def test_what_is_not_needed_is_not_read(self, stored: Stored, tmp_path: Path) -> None:
        field = "level" if stored.name == "held" else "temp"
        whole = stored.records()
        rises = (np.diff(stored.array["mono_ns"][:500]) >= 0).all()
        # Where the stamps of the first block fall, only itself can tell the first.
        for number, row in enumerate((3, 2_060) if rises else (2_060,)):
            records = damage(stored, tmp_path / f"{number}", row).records()
            same_described(records, whole)
            for points in (1, 2):
                found, wanted = (one.downsample(points, field) for one in (records, whole))
                assert found.tobytes() == wanted.tobytes()
            for ask in (
                lambda some: some[field],
                lambda some: some.describe("mono_ns"),
                lambda some: some.downsample(2, "mono_ns"),
                lambda some: some.downsample(100, field),
                lambda some: some[2:2_500].describe(field),
            ):
                ask(whole)
                with pytest.raises(CorruptionError):
                    ask(records)
        records = damage(stored, tmp_path / "edge", len(stored.array) - 1).records()
        with pytest.raises(CorruptionError):
            records.describe(field)
        with pytest.raises(CorruptionError):
            records.downsample(1, field)

    def test_latest(self, stored: Stored) -> None:
        for part in PARTS:
            assert stored.records()[part].latest == stored.array["mono_ns"][part].max()

    def test_latest_of_a_part_of_a_block(self, tmp_path: Path) -> None:
        folder = Folder(tmp_path / "r")
        folder.session()
        channel = status_channel(folder)
        channel.segment().commit(0, [status(n, stamp=START_NS + t) for n, t in enumerate((99, 50, 60, 98))])
        folder.close({"status": channel})
        records = reader.open(folder.root)["status"]
        assert [records[1:3].latest - START_NS, records[1:].latest - START_NS] == [60, 98]

    def test_latest_of_holds_whose_stamps_fall(self, tmp_path: Path) -> None:
        """An index says when they were seen last, which is later."""
        folder = Folder(tmp_path / "r")
        folder.session()
        channel = held_channel(folder)
        times = [START_NS + n for n in (0, 50, 20)]
        channel.segment().commit(0, [struct.pack("<qqQqf4x", n, n + 40, 2, 40, 1.0) for n in times])
        folder.close({"held": channel})
        assert reader.open(folder.root)["held"].latest == START_NS + 50

    def test_at(self, stored: Stored) -> None:
        records = stored.records()
        lost = records.gaps
        seen = rows_of(stored.array, stored.array["mono_ns"], records.seq.tolist())
        for place in [*range(0, len(seen), 3_001), 8_995, 8_999, len(seen) - 1]:
            row = seen[place]
            for when in (row.time, row.until, row.until + 1, row.time - 1, row.time + PERIOD // 2):
                wanted = naive_at(seen, lost, when, 10 * PERIOD, False)
                assert records.at(when).seq.tolist() == wanted, (place, when - row.time)


class TestAt:
    @pytest.mark.parametrize("store", ["every", "changes"])
    @pytest.mark.parametrize("order", ["rising", "mixed"])
    @pytest.mark.parametrize("period_ns", [None, 1_000_000])
    def test_every_time(self, store: str, order: str, period_ns: int | None) -> None:
        random = np.random.default_rng(9)
        array = blank(40, SCHEMA, store, seed=4)
        array["mono_ns"] = 1_000 + np.cumsum(random.choice([0, 0, 7, 20, 60, 11_000_000], 40))
        if order == "mixed":
            array["mono_ns"][random.integers(0, 40, 14)] -= 90
        if store == "changes":
            array["until_ns"] = array["mono_ns"] + random.integers(0, 8, 40)
        lost = gaps((11, 2, Cause.OVERWRITTEN), (30, 4, Cause.MISSED), (38, 1, Cause.FAILED))
        pieces = [ArrayChunk(array[:9]), ArrayChunk(array[9:20], 11), ArrayChunk(array[20:], 22)]
        clock = Clock(np.array([(0, CREATED_NS)], CLOCK_PAIR_DTYPE))
        records = Records("it", SCHEMA, pieces, gaps=lost, clock=clock, period_ns=period_ns, store=store)
        usual = (None, True) if period_ns is None else (10_000_000, False)
        silence = None if period_ns is None else 10_000_000
        seen = rows_of(array, array["mode"], records.seq.tolist())
        selections = [(records, seen), (records[3:35], seen[3:35]), (records[::3], seen[::3])]
        times = sorted({time + by for time in array["mono_ns"].tolist() for by in (-1, 0, 5, 9_000_000)})
        known = set()
        for some, those in selections:
            for when in times:
                for max_gap, breaking in ((None, usual), ("25ns", (25, False)), (0, (silence, True))):
                    found = some.at(when, max_gap)
                    assert found.seq.tolist() == naive_at(those, some.gaps, when, *breaking), (when, max_gap)
                    known.add((max_gap, len(found)))
        assert known == {(max_gap, count) for max_gap in (None, "25ns", 0) for count in (0, 1)}

    def test_forms_of_time(self) -> None:
        array = blank(5, SCHEMA)
        array["mono_ns"] = np.array([1, 2, 3, 4, 5]) * 10**9
        records = made(array, SCHEMA)
        epoch = dt.datetime.fromtimestamp(CREATED_NS // 10**9, dt.UTC)
        for time, wanted in (
            ("+1s", [1]),
            ("+1.9s", [1]),
            ("-1s", [3]),
            ("-0s", [4]),
            ("-5s", []),
            ("+5s", []),
            (epoch + dt.timedelta(seconds=2.5), [1]),
            (2 * 10**9 - 1, [0]),
            (np.int64(3 * 10**9), [2]),
            (0, []),
            (-(2**63), []),
            (-(2**80), []),
            (5 * 10**9 + 1, []),
        ):
            found = records.at(time)
            assert found.seq.tolist() == wanted and type(found) is Records, time
        assert records[2:4].at("+0s").seq.tolist() == [2]
        assert records.at(4 * 10**9)["mono_ns"].tolist() == [4 * 10**9]

    @pytest.mark.parametrize("time", [None, True, 1.5, "soon", [3]])
    def test_what_is_no_time(self, time: object) -> None:
        for count in (0, 3):
            with pytest.raises(SchemaError):
                made(blank(count, SCHEMA), SCHEMA).at(time)

    def test_what_is_no_duration(self) -> None:
        """Also where nobody has to know it."""
        records = made(blank(5, SCHEMA), SCHEMA)
        for time in (0, records.start, records.start + 1, records.end + 1):
            with pytest.raises(SchemaError, match="not a duration"):
                records.at(time, "some")


def test_a_loss_between_two_zones_breaks_none(tmp_path: Path) -> None:
    stored = written(
        tmp_path / "r", 10_500, [], lambda n: START_NS + n * PERIOD, lost=range(5 * ZONE, 5 * ZONE + 100)
    )
    assert not stored.broken
    found = stored.records().downsample(2, "temp")
    edge = stored.array["mono_ns"].tolist().index(START_NS + 5_250 * PERIOD)
    assert edge % ZONE and found["records"][0] == -(-edge // ZONE) * ZONE


def test_rows_without_a_whole_zone_are_cut_by_time(tmp_path: Path) -> None:
    """Rows 100 to 1999 of a segment: they end one zone and begin another."""
    stored = written(
        tmp_path / "r", 10_500, [4_200, 6_300], lambda n: START_NS + n * PERIOD, lost=range(4_300, 4_400)
    )
    buckets = naive_buckets(stored.array["mono_ns"].tolist(), 2)
    found = stored.records().downsample(2, "temp")
    check_points(found, naive_points(stored.array, stored.array["temp"].tolist(), buckets))
    assert found["records"][0] % ZONE and found["records"][0] not in stored.starts


def test_zones_are_read_some_at_a_time(stored: Stored, monkeypatch: pytest.MonkeyPatch) -> None:
    field = "level" if stored.name == "held" else "temp"
    described, points = stored.records().describe(), stored.records().downsample(2, field)
    for some in (1, 2, 3):
        monkeypatch.setattr(ranges, "ZONES", some)
        found = stored.records()
        assert found.describe()[["count", "min", "max"]].tolist() == (
            described[["count", "min", "max"]].tolist()
        )
        assert found.downsample(2, field).tobytes() == points.tobytes()


def test_points_of_a_recording_in_the_order_of_time(unsteady: Stored) -> None:
    """An outlier in every zone does not hold the time back."""
    found = unsteady.records().downsample(4, "temp")
    exact = naive_buckets(unsteady.array["mono_ns"].tolist(), 4)
    assert len(found) == len(set(exact)) and measuring.ZONE == ZONE


def test_sums_that_a_file_claims_may_be_anything() -> None:
    """Polls of forged holds go beyond 64 bits together, and a forged zone has more NaN than polls."""
    array = sample(3, store="changes")
    array["polls"] = 2**63
    parts = [ArrayChunk(array[place : place + 1], place) for place in range(3)]
    (row,) = Records("x", SCHEMA, parts, gaps=gaps(), clock=None, store="changes").describe("total")
    assert row["count"] == 2**64 - 1 and row["min"] <= row["mean"] <= row["max"]


@pytest.mark.parametrize("kind", ["<u8", "<i8", ">i8"])
def test_numbers_that_are_wide_apart_are_summed_one_by_one(kind: str) -> None:
    """And those of other pieces are not; holds weigh their polls."""
    info, chance = np.iinfo(kind), np.random.default_rng(5)
    schema = Schema.from_dtype(np.dtype([("x", kind)]), name="wide")
    for store in ("every", "changes"):
        array = np.zeros(5_000, schema.record(store))
        array["x"] = chance.integers(info.min, info.max, 5_000, dtype=kind[1:], endpoint=True)
        polls = np.ones(5_000, np.uint64)
        if store == "changes":
            array["polls"] = polls = chance.integers(1, 2**40, 5_000).astype(np.uint64)
        parts = [ArrayChunk(array[:1_000], 0), ArrayChunk(array[1_000:], 1_000)]
        (row,) = Records("x", schema, parts, gaps=gaps(), clock=None, store=store).describe("x")
        weighted = sum(one * n for one, n in zip(array["x"].tolist(), polls.tolist(), strict=True))
        assert row["mean"] == weighted / sum(polls.tolist())
