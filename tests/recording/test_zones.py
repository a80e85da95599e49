"""Zones against sums made one record at a time."""

from __future__ import annotations

import ctypes
import math
import random
import struct
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from everything import everything, payloads, scalars
from programs import build, run, seeded, some_now
from recording.writer import silence_us, turn

import fastrec as fr
from fastrec.core.zone import zone_of
from fastrec.recording.layout import zone_dtype
from fastrec.recording.zones import summarise, zone_fields
from fastrec.schema import Schema

SANITIZED = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g", "-O1")


class Mixed(ctypes.Structure):
    _fields_ = [
        ("low", ctypes.c_uint16, 3),
        ("big", ctypes.c_uint64),
        ("high", ctypes.c_int16, 5),
        ("small", ctypes.c_int64),
        ("flag", ctypes.c_bool),
        ("level", ctypes.c_float),
        ("array", ctypes.c_int * 2),
        ("where", ctypes.c_void_p),
    ]


SCHEMA = Schema.from_ctypes(Mixed)
KINDS = {"low": "<u8", "big": "<u8", "high": "<i8", "small": "<i8", "flag": "<u8", "level": "<f8"}


def rows(store: str, zones: int = 2) -> np.ndarray:
    random = np.random.default_rng(7)
    count = 1024 * zones
    raw = random.integers(0, 256, (count, SCHEMA.record(store).itemsize), np.uint8)
    records = raw.view(SCHEMA.record(store)).reshape(count)
    records["level"] = random.normal(size=count)
    records["flag"] = random.integers(0, 2, count)
    if store == "changes":
        records["polls"] = random.integers(1, 1000, count)
    return records


@pytest.mark.parametrize("store", ["every", "changes"])
def test_every_kind_of_scalar(store: str) -> None:
    records = rows(store)
    records["level"][[3, 1000]] = np.nan
    made = summarise(records, SCHEMA.numeric)
    assert [field.name for field in SCHEMA.numeric] == list(KINDS)
    for zone, one in enumerate(made):
        part = records[zone * 1024 : (zone + 1) * 1024]
        weights = [int(w) for w in part["polls"]] if store == "changes" else [1] * 1024
        assert one["polls"] == sum(weights)
        for column, field in enumerate(SCHEMA.numeric):
            pattern = KINDS[field.name]
            values = field.of(part).tolist()
            known = [(v, w) for v, w in zip(values, weights, strict=True) if v == v]
            got = {name: one[name][column : column + 1].view(pattern)[0] for name in ("min", "max", "sum")}
            assert got["min"] == min(v for v, _ in known)
            assert got["max"] == max(v for v, _ in known)
            whole = pattern != "<f8" and store == "every"
            stamps = part["mono_ns"].tolist()
            nan = turn(values, stamps) if whole else sum(weights) - sum(w for _, w in known)
            assert one["nan"][column] == nan
            total = sum(v * w for v, w in known)
            if pattern == "<f8":
                assert math.isclose(got["sum"], total, rel_tol=1e-12, abs_tol=1e-9)
            else:
                assert int(one["sum"][column]) == total % 2**64


@pytest.mark.parametrize("store", ["every", "changes"])
def test_every_kind_of_field(store: str, tmp_path: Path) -> None:
    """Bit-fields that straddle bytes, big-endian ones, unions and nested structs, read by plain Python."""
    schema, given = everything(), payloads(2048, seed=3)
    start, size = schema.payload_offset(store), schema.record(store).itemsize
    weights = [1 + n % 7 for n in range(2048)] if store == "changes" else [1] * 2048
    columns = [(n, n, w, 0) if store == "changes" else (n,) for n, w in enumerate(weights)]
    raw = b"".join(
        (struct.pack(f"<{start // 8}q", *column) + payload).ljust(size, b"\0")
        for column, payload in zip(columns, given, strict=True)
    )
    made = [summarise(np.frombuffer(raw, schema.record(store)), schema.numeric)]
    if store == "every":
        with fr.Recorder(tmp_path / "run.fastrec") as rec:
            channel = rec.add("one", schema=schema)
            for payload in given:
                channel.push(payload)
        whole = (tmp_path / "run.fastrec/channels/one/zones.000000.npy").read_bytes()
        layout = zone_dtype(len(schema.numeric))
        made.append(np.frombuffer(whole[-2 * layout.itemsize :], layout))
    readings = scalars()
    values = {name: [read(payload) for payload in given] for name, read in readings.items()}
    numbers = {name for name, of in values.items() if isinstance(of[0], int | float)}
    wanted = {field.name for field in schema.fields if field.name in numbers} - {"where"}  # a pointer
    assert {field.name for field in schema.numeric} == wanted
    for zones in made:
        for zone, one in enumerate(zones):
            part = slice(zone * 1024, (zone + 1) * 1024)
            for column, field in enumerate(schema.numeric):
                check(one, column, field.kind, values[field.name][part], weights[part])


def check(one: np.void, column: int, kind: str, values: list, weights: list[int]) -> None:
    known = [(v, w) for v, w in zip(values, weights, strict=True) if v == v]
    low, high, total = (one[name][column : column + 1].view(f"<{kind}")[0] for name in ("min", "max", "sum"))
    assert (low, high) == (
        min((v for v, _ in known), default=math.inf),
        max((v for v, _ in known), default=-math.inf),
    ), column
    assert one["nan"][column] == sum(weights) - sum(w for _, w in known)
    if kind != "f8":
        assert int(total) % 2**64 == sum(v * w for v, w in known) % 2**64
        return
    # In any order: what rounding makes of it depends on the sizes of what was added, and so does an overflow.
    sizes = sum(abs(Fraction(v)) * w for v, w in known if math.isfinite(v))
    endless = [v for v, _ in known if not math.isfinite(v)]
    if sizes >= sys.float_info.max:
        return
    if endless:
        assert total == sum(endless) or (total != total and len(set(endless)) == 2)
    else:
        assert abs(Fraction(total) - sum(Fraction(v) * w for v, w in known)) <= sizes / 10**13


@pytest.mark.parametrize("kind", ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"])
def test_any_number_of_records(kind: str) -> None:
    """The core takes four at once: none is left out or taken twice, wherever the odd ones lie."""
    chance = random.Random(kind)
    numeric = Schema.from_dtype(np.dtype([("x", kind)])).numeric
    fields = zone_fields(numeric, 8)
    for count in [*range(1, 14), 1024]:
        rows = np.zeros(count, np.dtype({"names": ["x"], "formats": [kind], "offsets": [8], "itemsize": 16}))
        rows["x"] = np.frombuffer(chance.randbytes(count * 8), kind)[:count]
        if kind[0] == "f":
            rows["x"] = [
                chance.choice([math.nan, math.inf, -math.inf])
                if chance.random() < 0.1
                else chance.uniform(-9, 9)
                for _ in range(count)
            ]
        one = np.frombuffer(zone_of(rows.view(np.uint8), 16, fields), zone_dtype(1))[0]
        check(one, 0, numeric[0].kind, rows["x"].tolist(), [1] * count)


@pytest.mark.parametrize("store", ["every", "changes"])
def test_integers_side_by_side(store: str) -> None:
    """The core takes up to four of them at once, signed or not; those apart, or of another kind, alone."""
    chance = random.Random(store)
    kinds = ["i4", "u4", "<i4", "<u4", "u8", "f4", ">i4", "u2"]
    for fields in range(1, 10):
        for count in (1, 2, 1024):
            members = [(f"m{n}", chance.choice(kinds[:4] * 3 + kinds[4:])) for n in range(fields)]
            between = chance.randrange(fields + 1)  # an array has no place in a zone
            members.insert(between, ("between", "u4", (3,)))
            schema = Schema.from_dtype(np.dtype(members, align=bool(fields % 2)))
            begin, size = schema.payload_offset(store), schema.record(store).itemsize
            data = bytearray(chance.randbytes(count * size))
            weights = [1 + n % 3 for n in range(count)] if store == "changes" else [1] * count
            for n, weight in enumerate(weights if store == "changes" else []):
                data[n * size + 16 : n * size + 24] = weight.to_bytes(8, "little")
            layout = {"names": schema.dtype.names, "itemsize": size}
            layout["formats"] = [schema.dtype[name] for name in schema.dtype.names]
            layout["offsets"] = [begin + schema.dtype.fields[name][1] for name in schema.dtype.names]
            rows = np.frombuffer(data, np.dtype(layout))
            for name in (name for name, kind, *_ in members if kind == "f4"):
                rows[name] = np.linspace(-3, 3, count)
            row = zone_of(data, size, zone_fields(schema.numeric, begin), 16 if store == "changes" else 0)
            one = np.frombuffer(row, zone_dtype(fields))[0]
            for column, field in enumerate(schema.numeric):
                check(one, column, field.kind, rows[field.name].tolist(), weights)


@pytest.mark.once
def test_no_byte_beyond_a_bit_field_is_read(tmp_path: Path) -> None:
    """All that there can be, signed or not, in either byte order, at the end of the memory."""
    done = run(build(tmp_path, "zone_bits.c", *SANITIZED))
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    assert int(done.stdout) > 8_000


@pytest.mark.once
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("f->size > 8 ? 8 : f->size)", "8)"),
        ("record[f->offset + 8] << (64 - f->shift)", "record[f->offset + 8] << (63 - f->shift)"),
        ("v = __builtin_bswap64(v) >> (64 - 8 * f->size);", "v = __builtin_bswap64(v);"),
    ],
)
def test_the_test_of_the_bytes_can_fail(tmp_path: Path, before: str, after: str) -> None:
    include = seeded(tmp_path, "zone.h", before, after)
    assert run(build(tmp_path, "zone_bits.c", *SANITIZED, include=include)).returncode != 0


@pytest.mark.once
def test_the_turn_of_every_kind_of_integer(tmp_path: Path) -> None:
    """By pieces of any size; and the runs of states that zones tell by it, unless it was made up."""
    done = run(build(tmp_path, "zone_turns.c", *SANITIZED), "4000")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    turns, runs = map(int, done.stdout.split())
    assert turns > 1_000 and runs > 2_000


@pytest.mark.once
@pytest.mark.parametrize(
    ("header", "before", "after"),
    some_now(
        [
            ("zone.h", "held == most ? FR_TURN_FALLS : 0", "held == least ? FR_TURN_FALLS : 0"),
            ("zone.h", "told & FR_TURN_FALLS ? low : high", "told & FR_TURN_FALLS ? high : low"),
            ("zone.h", "if (told || fr_zone_alike(", "if (fr_zone_alike("),
            ("zone.h", "(begun && low != high && !told)", "(begun && low != high)"),
            ("zone.h", "    *turn = 0;\n", ""),
            ("zone.h", " && most - least < FR_TURN_WIDTH", ""),
            ("zone.h", "if (stamp <= FR_TURN_STAMP && ", "if ("),
            ("zone.h", "if (v != (TYPE)value)", "if (v == (TYPE)value)"),
            ("runs.h", "largest * width == above && ", ""),
            ("runs.h", " && largest > 0 && largest < FR_BLOCK_ROWS", ""),
            ("runs.h", " || z->polls != FR_BLOCK_ROWS", ""),
            ("runs.h", "runs[n - 1].stop == next.place", "1"),
            ("runs.h", ": last->state == next.state", ": 0"),
            ("runs.h", "z->turn & FR_TURN_FALLS ? largest : ", "z->turn & FR_TURN_FALLS ? 1 : "),
        ]
    ),
)
def test_the_test_of_turns_can_fail(tmp_path: Path, header: str, before: str, after: str) -> None:
    include = seeded(tmp_path, header, before, after)
    assert run(build(tmp_path, "zone_turns.c", *SANITIZED, include=include), "4000").returncode != 0


@pytest.mark.parametrize("store", ["every", "changes"])
def test_the_longest_silence(store: str) -> None:
    """By every step there is, from one record to the next; where a stamp falls, nothing is said of it."""
    steps = [0, 1, 999, 1_000, 1_001, 10**6, 2**32 * 1_000 - 1_000, 2**32 * 1_000 - 999, 2**61]
    chance, records = random.Random(store), rows(store, 1)
    told = set()
    for longest in range(len(steps)):
        for fall in (None, 1, 1023):
            times, now = [], -(2**62)
            for place in range(1024):
                now += 0 if place == 0 else chance.choice(steps[: max(1, longest - 5)])
                now += {500: steps[longest], fall: -1}.get(place, 0)
                times.append([now])
                if store == "changes":
                    now += -1 if place == fall == 1023 else chance.choice([0, 1, 10**7])
                    times[-1].append(now)
            records["mono_ns"] = [one[0] for one in times]
            if store == "changes":
                records["until_ns"] = [one[-1] for one in times]
            wanted = silence_us([tuple(one) for one in times])
            assert summarise(records, SCHEMA.numeric)["silence_us"].tolist() == [wanted], (longest, fall)
            told.add(wanted)
    assert {0, 1, 2, 1_000, 2**32 - 1} <= told


def test_what_lies_outside_of_a_record_is_refused() -> None:
    records = bytes(64)
    for fields, columns in [
        ([(9, "u", 8, False, 0, 0)], ()),
        ([(15, "u", 2, False, 0, 0)], ()),
        ([(2**32 - 4, "u", 4, False, 0, 0)], ()),
        ([(0, "u", 8, False, 0, 0), (2**32 - 1, "u", 9, False, 1, 64)], ()),
        ([], (9,)),
        ([], (0, 9)),
        ([], (0, 2**64 - 1)),
    ]:
        with pytest.raises(ValueError, match="16 bytes"):
            zone_of(records, 16, fields, *columns)
    for size in (0, 7):
        with pytest.raises(ValueError, match=f"{size} bytes"):
            zone_of(records, size, [])


def test_less_than_a_record_is_none() -> None:
    """Nothing is read of it, wherever in a record the field would lie."""
    for count in (0, 8):
        empty = np.frombuffer(
            zone_of(bytes(count), 2**40, [(2**32 - 16, "i", 4, False, 0, 0)], 0, 0), zone_dtype(1)
        )
        assert empty[["polls", "sum", "nan"]].tolist() == [(0, [0], [0])]
        assert (empty["min"].view("<i8") > empty["max"].view("<i8")).all()


def test_nothing_but_nan() -> None:
    records = rows("every", 1)
    records["level"] = np.nan
    one = summarise(records, SCHEMA.numeric)[0]
    column = list(KINDS).index("level")
    low, high, total = (one[name].view("<f8")[column] for name in ("min", "max", "sum"))
    assert (low, high, total, one["nan"][column]) == (math.inf, -math.inf, 0.0, 1024)


def test_no_rows_no_zones() -> None:
    assert summarise(rows("every", 1)[:1000], SCHEMA.numeric[:0]).shape == (0,)
