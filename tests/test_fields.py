"""Every kind of field, from the getter to the files of others, against plain Python on the same bytes."""

from __future__ import annotations

import csv
import ctypes
import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import common
import numpy as np
import pytest
from common import same
from everything import LABELS, ORACLES, SCALES, SHAPES, TREE, UNITS, everything, payloads, scalars
from waiting import until

import fastrec as fr
from fastrec.cli import main
from fastrec.errors import SchemaError, SourceError
from fastrec.records.columns import recorder_columns
from fastrec.records.plain import plain, to_json
from fastrec.schema import Schema
from fastrec.schema.members import Member, Struct
from fastrec.schema.paths import split
from fastrec.schema.states import mask

SCALARS = scalars()
CHARS = ("name", "tags")  # the fields of S<n>
NAMES = [f"{'long_name' * 5}{n}" for n in range(260)]
OPAQUE = Struct(  # so many names that numpy would not read the header
    TREE.size + len(NAMES),
    (*TREE.members, *(Member(name, TREE.size + n, np.dtype("u1")) for n, name in enumerate(NAMES))),
)


class Taken(NamedTuple):
    """A recording, and the payload of every record in it."""

    path: Path
    records: fr.Records
    payloads: list[bytes]


def schema_of(kind: str) -> Schema:
    schema = everything()
    if kind != "opaque":
        return schema
    meanings = {
        field.name: {key: getattr(field, key) for key in ("labels", "unit", "scale", "bias")}
        for field in schema.fields
    }
    return Schema("everything", OPAQUE, meanings, abi=schema.abi, byteorder="little")


def copying(status: ctypes.Array, schema: Schema) -> fr.Call:
    """The C library's memcpy is a getter of any memory."""
    memcpy = ctypes.CDLL(None).memcpy
    return fr.Call(memcpy, fr.OUT, ctypes.addressof(status), schema.size, schema=schema, returns="void")


def polled(channel: fr.Channel, polls: int = 2) -> None:
    """Wait for so many polls more."""
    most = channel.stats.slots + polls
    until(lambda: channel.stats.slots >= most)


def pushed(path: Path, schema: Schema, given: list[bytes]) -> None:
    with fr.Recorder(path) as rec:
        channel = rec.add("one", schema=schema)
        for payload in given:
            channel.push(payload.ljust(schema.size, b"\0"))


def held(path: Path, schema: Schema, given: list[bytes]) -> None:
    status = ctypes.create_string_buffer(given[0], schema.size)
    with fr.Recorder(path) as rec:
        channel = rec.add("one", copying(status, schema), rate=20_000, store="changes")
        for payload in given:
            with rec.thread("main").paused():
                ctypes.memmove(status, payload, len(payload))
            polled(channel)


@pytest.fixture(scope="module", params=["every", "opaque", "changes"])
def taken(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Taken:
    path = tmp_path_factory.mktemp("fields") / "run.fastrec"
    schema = schema_of(request.param)
    given = payloads(150)
    (held if request.param == "changes" else pushed)(path, schema, given)
    records = fr.open(path)["one"]
    assert records.schema == schema
    assert ("payload" in schema.storage(records.store).names) == (request.param == "opaque")
    bits, start = mask(schema), schema.payload_offset(records.store)
    rows = np.load(next(path.glob("channels/one/records.*.npy")))
    assert rows.dtype == schema.storage(records.store)
    stored = [bytes(row)[start : start + TREE.size] for row in rows.view(f"V{rows.itemsize}")[: len(records)]]

    def distinct(found: list[bytes]) -> list[bytes]:
        zeroed = [bytes(a & b for a, b in zip(one, bits, strict=False)) for one in found]
        return [one for place, one in enumerate(zeroed) if not place or zeroed[place - 1] != one]

    assert distinct(stored) == distinct(given)
    return Taken(path, records, stored)


def rows_of(taken: Taken, read: Callable[[bytes], object]) -> list[common.Row]:
    array = taken.records.to_numpy()
    states = np.empty(len(array), dtype=object)
    states[:] = [read(payload) for payload in taken.payloads]
    return common.rows_of(array, states, range(len(array)))


def nested(name: str, value: object) -> object:
    """An oracle's value as NumPy has it: in rows, and a char array without the zeros at its end."""
    if isinstance(value, list):
        one = [nested(name, each) for each in value]
        return [one[:3], one[3:]] if name == "grid" else one
    return value.rstrip(b"\0") if name.startswith(CHARS) else value


def readings() -> dict[str, Callable[[bytes], object]]:
    """Every field whole, and every element."""
    every = {name: one.of for name, one in ORACLES.items()} | SCALARS
    return {name: lambda payload, name=name, of=of: nested(name, of(payload)) for name, of in every.items()}


READINGS = readings()


def whole_of(name: str) -> str:
    """Of an element the array."""
    whole = split(name)[0]
    return whole if whole in ORACLES else name


def as_read(name: str, raw: object) -> object:
    """What people read of a value."""
    if isinstance(raw, list):
        return [as_read(name, one) for one in raw]
    whole = whole_of(name)
    if whole in LABELS:
        return LABELS[whole].name(raw & 0xF if whole == "top" else raw)  # four bits, that have no sign
    scale, bias = SCALES.get(whole, (1, 0))
    return raw * scale + bias if whole in SCALES else raw


def close(one: object, other: object) -> bool:
    if isinstance(one, list):
        return all(close(a, b) for a, b in zip(one, other, strict=True))
    if isinstance(one, float) and one == one and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-12)
    return same(one, other)


def test_the_oracle_has_every_field() -> None:
    schema = everything()
    shapes = {name: SHAPES.get(name, ()) for name in ORACLES}
    assert {field.name: field.shape for field in schema.fields} == shapes
    again = Schema.from_json(schema.to_json())
    assert again == schema and again.fields == schema.fields


@pytest.mark.parametrize("name", READINGS)
def test_columns_and_decoding(taken: Taken, name: str) -> None:
    expected = [READINGS[name](payload) for payload in taken.payloads]
    assert same(taken.records[name].tolist(), expected)
    decoded = taken.records.decode(name)[name]
    assert decoded.dtype.isnative
    assert close(decoded.tolist(), [as_read(name, one) for one in expected])


@pytest.mark.parametrize("name", READINGS)
def test_questions(taken: Taken, name: str) -> None:
    rows = rows_of(taken, READINGS[name])
    found = taken.records.transitions(name)
    wanted = common.naive_transitions(rows)
    assert len(found) == len(wanted)
    for row, (seq, time, before, after) in zip(found, wanted, strict=True):
        assert (row["seq"], row["time"]) == (seq, time)
        assert same(row["from"].tolist(), before) and same(row["to"].tolist(), after)
    gaps = taken.records.gaps
    expected = common.naive_intervals(rows, gaps, 10**15, False)
    common.check_intervals(taken.records.intervals(name, max_gap="1000000s"), expected)
    common.check_intervals(
        taken.records.durations(name, max_gap="1000000s"), common.naive_durations(expected)
    )


@pytest.mark.parametrize("name", SCALARS)
def test_where(taken: Taken, name: str) -> None:
    raw = [READINGS[name](payload) for payload in taken.payloads]
    if name.startswith(CHARS):
        raw = [one.split(b"\0")[0] for one in raw]  # where compares as C does
    read = [as_read(name, one) for one in raw]
    for wanted in (read[0], read[70], read[-1]):
        expected = [seq for seq, one in enumerate(read) if same(one, wanted)]
        assert taken.records.where(**{name: wanted}).seq.tolist() == expected
        if name in LABELS and name != "top":
            number = raw[read.index(wanted)]
            assert taken.records.where(**{name: number}).seq.tolist() == [
                seq for seq, one in enumerate(raw) if one == number
            ]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("cells[4]", "shape \\(4,\\)"),
        ("grid[1][3]", "shape \\(2, 3\\)"),
        ("grid[0][0][0]", "shape \\(2, 3\\)"),
        ("motors[1].cells[3]", "shape \\(3,\\)"),
        ("mode[0]", "shape \\(\\)"),
        ("cell[0]", "no field"),
        ("cells[-1]", "no field"),
        ("motors[2].pos", "no field"),
        ("motors[0]", "no field"),
    ],
)
def test_an_element_that_is_none(taken: Taken, name: str, message: str) -> None:
    records = taken.records
    for ask in (records.transitions, records.durations, records.decode, records.schema.field):
        with pytest.raises(SchemaError, match=message):
            ask(name)
    with pytest.raises(SchemaError, match=message):
        records.where(**{name: 1})


@pytest.mark.parametrize("name", ["cells", "grid", "grid[1]", "motors[0].cells"])
def test_an_array_is_no_condition(taken: Taken, name: str) -> None:
    with pytest.raises(SchemaError, match=r"is an array.*'.*\[0\]'"):
        taken.records.where(**{name: 1})


def test_the_recording_is_sound(taken: Taken) -> None:
    report = fr.open(taken.path).verify()
    assert report.ok, report.problems


def test_parts(taken: Taken) -> None:
    """Structs, rows of arrays, and one member of every struct of an array, bit-fields among them."""
    records = taken.records
    assert same(records["grid[1]"].tolist(), [READINGS["grid"](one)[1] for one in taken.payloads])
    assert records["motors"].shape == (len(records), 2)
    for member in ("pos", "on", "drift", "near", "far"):
        expected = [[READINGS[f"motors[{n}].{member}"](one) for n in (0, 1)] for one in taken.payloads]
        assert same(records[f"motors.{member}"].tolist(), expected), member
    assert records["motors.cells"].shape == (len(records), 2, 3)
    assert records["motors.cells[2]"].shape == (len(records), 2)
    assert records["pose.inner"].dtype.names == ("y", "n")


@pytest.mark.parametrize("decoded", [False, True])
def test_npz(taken: Taken, tmp_path: Path, decoded: bool) -> None:
    taken.records.export(tmp_path / "a.npz", decoded=decoded)
    with np.load(tmp_path / "a.npz") as arrays:
        for name in ORACLES:
            expected = [READINGS[name](one) for one in taken.payloads]
            if decoded:
                expected = [as_read(name, one) for one in expected]
            assert close(arrays[name].tolist(), expected), name


def test_npy(taken: Taken, tmp_path: Path) -> None:
    taken.records.export(tmp_path / "a.npy")
    rows = np.load(tmp_path / "a.npy")
    for field in taken.records.schema.fields:
        assert field.of(rows).tobytes() == taken.records[field.name].tobytes()
    if "payload" in rows.dtype.names:
        return  # and as a flat array, more columns than numpy reads
    taken.records.export(tmp_path / "b.npy", decoded=True)
    rows = np.load(tmp_path / "b.npy")
    for name in ORACLES:
        expected = [as_read(name, READINGS[name](one)) for one in taken.payloads]
        assert close(rows[name].tolist(), expected), name


def test_csv(taken: Taken, tmp_path: Path) -> None:
    taken.records.export(tmp_path / "a.csv", exact=True)
    with (tmp_path / "a.csv").open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    own = recorder_columns(taken.records.store)
    assert set(lines[0]) - set(own) - set(NAMES) == set(SCALARS)
    for name in SCALARS:
        expected = [as_read(name, READINGS[name](one)) for one in taken.payloads]
        for line, value in zip(lines, expected, strict=True):
            check_cell(line[name], value)


def check_cell(cell: str, value: object) -> None:
    if isinstance(value, bool):
        assert cell == ("true" if value else "false")
    elif isinstance(value, bytes):
        text = value.split(b"\0")[0].decode("utf-8", "surrogateescape").encode("utf-8", "backslashreplace")
        assert cell in (value.hex(), text.decode())
    elif isinstance(value, float):
        # As many digits as the field's own width needs.
        assert cell == str(value) or math.isclose(float(cell), value, rel_tol=1e-3)
    elif isinstance(value, complex):
        assert same(complex(cell), value) or abs(complex(cell) - value) <= 1e-6 * abs(value)
    else:
        assert cell == str(value)


def test_jsonl_cat_and_play(taken: Taken, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    taken.records.export(tmp_path / "a.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    for name in ORACLES:
        expected = json.loads(to_json(plain(taken.records.decode(name)[name])))
        assert [line[name] for line in lines] == expected, name
    asked = ["--fields", ",".join(SCALARS)]
    for verb in (["cat", "--json"], ["play", "--speed", "max", "--quiet"]):
        assert main([verb[0], str(taken.path), *verb[1:], *asked]) == 0
        printed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert len(printed) == len(lines)
        for name in SCALARS:
            expected = [line[whole_of(name)] for line in lines]
            for place in split(name)[1]:
                expected = [one[place] for one in expected]
            assert [line[name] for line in printed] == expected


def test_pandas(taken: Taken) -> None:
    frame = taken.records.to_pandas()
    for name in SCALARS:
        column = frame[name].tolist()
        expected = [as_read(name, READINGS[name](one)) for one in taken.payloads]
        if name.startswith(CHARS):
            expected = [one.split(b"\0")[0].decode("utf-8", "surrogateescape") for one in expected]
        assert close(column, expected), name
    assert frame.attrs["units"] == {
        name: UNITS[whole_of(name)] for name in SCALARS if whole_of(name) in UNITS
    }


def test_the_command_line(taken: Taken, capsys: pytest.CaptureFixture[str]) -> None:
    value = READINGS["cells[3]"](taken.payloads[0])
    asked = ["--fields", "cells[3],temps[1],q", "--where", f"cells[3]={value}"]
    assert main(["cat", str(taken.path), *asked]) == 0
    heading, first = capsys.readouterr().out.splitlines()[:2]
    assert heading.split()[-5:] == ["cells[3]", "temps[1]", "(K)", "q", "(V)"]
    assert first.split()[-3:] == [
        str(as_read(name, READINGS[name](taken.payloads[0]))) for name in ("cells[3]", "temps[1]", "q")
    ]
    assert main(["info", str(taken.path)]) == 0
    assert "u2[2][3]" in capsys.readouterr().out
    assert main(["cat", str(taken.path), "--fields", "motors.on", "--limit", "1"]) == 0
    assert "motors[0].on  motors[1].on" in capsys.readouterr().out
    said = []
    for word in ("true", "True"):
        assert main(["cat", str(taken.path), "--where", f"flag={word}"]) == 0
        said.append(capsys.readouterr().out)
    assert said[0] == said[1] and said[0]
    for wrong in ("--fields", "cells[4]"), ("--where", "cells[4]=1"), ("--where", "cells=1"):
        assert main(["cat", str(taken.path), *wrong]) != 0
        out, err = capsys.readouterr()
        assert out == "" and err.startswith("fastrec: ") and err.count("\n") == 1
        assert "(4,)" in err


def test_what_elements_ignored_leave() -> None:
    """Polls that differ in them alone are one state."""
    schema = everything()
    status = ctypes.create_string_buffer(schema.size)
    ignored = ["cells[3]", "grid[1]", "motors.on"]
    with fr.Recorder() as rec:
        channel = rec.add(
            "one", copying(status, schema), rate="max", store="changes", ignore=ignored, heartbeat="1000h"
        )
        for place, opens in ((94, False), (102, False), (107, False), (115, False), (93, True), (101, True)):
            polled(channel)
            before = channel.stats.recorded
            status[place] = b"\1"
            polled(channel)
            assert (channel.stats.recorded > before) == opens, place
    with fr.Recorder() as rec, pytest.raises(SchemaError, match="shape"):
        rec.add("one", copying(status, schema), rate=1, store="changes", ignore="cells[4]")


def test_values_before_a_call() -> None:
    schema = everything()
    init = {
        "a": 5,
        "b": -16,
        "d": -(2**19),
        "q": -1,
        "u": 2**64 - 1,
        "v": -4,
        "mid": 4095,
        "last": -(2**62),
        "cells[2]": -7,
        "grid[1]": [1, 2, 3],
        "motors[1].drift": -8,
        "name": b"abc",
    }
    strlen = ctypes.CDLL(None).strlen  # reads, and leaves all as it is
    read = fr.Call(strlen, fr.OUT(init=init), schema=schema, returns="void").read()
    for name, value in init.items():
        got = read[whole_of(name)]
        for place in split(name)[1]:
            got = got[place]
        assert got == as_read(name, value), name
    assert not any(read[name] for name in ("c", "p", "r", "s", "t", "left", "end", "be_i", "w"))
    wrong = {"a": 8, "b": 16, "v": 4, "u": 2**64, "top": 8, "cells[2]": 40_000, "c": 1.5, "d": "x"}
    for name, value in wrong.items():
        with pytest.raises(SourceError, match=re.escape(f"'{name}'")):
            fr.Call(strlen, fr.OUT(init={name: value}), schema=schema, returns="void").read()
