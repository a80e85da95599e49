"""Old recordings read as the structs of today: by name, converted when looked at, or refused."""

from __future__ import annotations

import ctypes
import json
import os
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from recording import samples, writer
from recording.samples import PERIOD, START_NS, held, status
from schema.evolving import Grown, grown

import fastrec as fr
from fastrec.errors import CorruptionError, SchemaError, SourceError
from fastrec.recording import reader
from fastrec.recording.chunk import EvolvedChunk
from fastrec.recording.zones import same_zone, summarise, told, told_dtype
from fastrec.records.chunks import ArrayChunk
from fastrec.schema import Schema
from fastrec.schema.conversion import Conversion
from fastrec.wmdrm import schema as individualization

NEWER = Schema.from_dtype(
    [("serial", "<u8"), ("ticks", "<u8"), ("link", "<u8"), ("temp", "<f8"), ("mode", "<i4"), ("load", "<f4")],
    name="newer",
    labels={"mode": {"STOPPED": 0, "RUN": 1, "FAULT": -1}},
    units={"temp": "degC"},
).with_field("link", text=True)
RENAMED = {"tick": "ticks", "url": "link"}
NUMBERS = [*range(2500), *range(2600, 6000)]


def newer(root: Path) -> reader.Recording:
    return reader.open(root, schema={"status": NEWER}, renamed={"status": RENAMED})


def test_every_column_is_that_of_the_number(tmp_path: Path) -> None:
    samples.large(tmp_path / "r")
    run = newer(tmp_path / "r")
    old, new = reader.open(tmp_path / "r")["status"], run["status"]
    assert new.schema is NEWER and len(new) == len(old)
    for records in (new, new[10:5000:3], new.between("+1s", "+3s")):
        numbers = records.seq.tolist()
        assert records["ticks"].tolist() == [seq * 7 % 2**32 for seq in numbers]
        assert records["mode"].tolist() == [seq % 3 - 1 for seq in numbers]
        assert records["temp"].tolist() == [seq / 4 for seq in numbers]
        assert records["mono_ns"].tolist() == [START_NS + seq * PERIOD for seq in numbers]
        assert not records["serial"].any() and not records["load"].any()
    assert new.seq.tolist() == NUMBERS and new.gaps.tolist() == old.gaps.tolist()
    # Other segments, other ids; the names are those of today.
    assert new[3899:3901].decode()["link"].tolist() == [*old[3899:3901].decode()["url"]]
    assert set(new.decode("mode")["mode"]) == {"STOPPED", "RUN", "FAULT"}
    assert len(new.where(mode="STOPPED", link="text 0")) == len(old.where(mode="IDLE", url="text 0")) > 0
    assert new.transitions("mode").tolist() == old.transitions("mode").tolist()
    assert run["held"].schema == samples.HELD


@pytest.fixture
def touched(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many rows are converted each time that some are."""
    found: list[int] = []
    rows = Conversion.rows
    monkeypatch.setattr(Conversion, "rows", lambda self, old: found.append(len(old)) or rows(self, old))
    return found


def test_rows_are_converted_when_they_are_looked_at(tmp_path: Path, touched: list[int]) -> None:
    samples.large(tmp_path / "r")
    records = newer(tmp_path / "r")["status"]
    window = records.between("+2s", "+2.01s")
    assert (len(window), window.seq.tolist()) == (10, [*range(2000, 2010)])
    assert sum(touched) < 10
    assert window["ticks"].tolist() == [seq * 7 for seq in range(2000, 2010)]
    assert sum(touched) < 40


def test_zones_tell_which_rows_need_not_be_converted(tmp_path: Path, touched: list[int]) -> None:
    samples.large(tmp_path / "r")
    records = newer(tmp_path / "r")["status"]
    assert records.where("temp >= 1450 and serial == 0").seq.tolist() == [*range(5800, 6000)]
    # Behind the last zone of each of the segments none tells.
    assert sum(touched) < 1024 + 2500 % 1024 + 1400 % 1024 + 2000 % 1024 + 10
    assert len(records.where("serial > 0")) == 0 and len(records.where("serial == 0")) == 5900
    assert records.describe("temp")["max"] == 5999 / 4
    assert records.counts("serial")["records"].tolist() == [5900]


def test_holds(tmp_path: Path) -> None:
    samples.large(tmp_path / "r")
    schema = Schema.from_dtype([("more", "<u4"), ("level", "<f8")])
    old = reader.open(tmp_path / "r")["held"]
    new = reader.open(tmp_path / "r", schema={"held": schema})["held"]
    assert (new.store, new.polls, new.end) == ("changes", old.polls, old.end)
    for name in ("mono_ns", "until_ns", "polls", "max_gap_ns", "level"):
        assert new[name].tolist() == old[name].tolist()
    assert new.durations("level").tolist() == old.durations("level").tolist()
    assert new[100:1500].polls == old[100:1500].polls


def test_a_recording_that_grows(tmp_path: Path) -> None:
    folder, channel = samples.small(tmp_path / "r")
    lock = writer.hold(folder.root)
    try:
        run = reader.open(folder.root, schema=NEWER, renamed=RENAMED)
        assert run.state == "live" and len(run["status"]) == 17
        channel.segments[0].commit(20, [status(n, url=2) for n in range(20, 25)])
        records = run["status"]
        assert records["ticks"][-5:].tolist() == [seq * 7 for seq in range(20, 25)]
        assert records.seq.tolist() == [*range(5), *range(8, 25)]
        assert records.decode()["link"].tolist()[-6:] == [None, *["\udcff\u20ac"] * 5]
    finally:
        os.close(lock)


def test_the_recorded_schema_gives_the_recorded_bytes(tmp_path: Path) -> None:
    samples.large(tmp_path / "r")
    plain = reader.open(tmp_path / "r")["status"].to_numpy()
    meant = samples.STATUS.with_field("temp", unit="K", scale=0.5, labels=None)
    for schema in (samples.STATUS, meant):
        run = reader.open(tmp_path / "r", schema={"status": schema})
        assert run["status"].to_numpy().tobytes() == plain.tobytes()
        chunk = run._channel("status").read().chunks[0]
        assert np.shares_memory(run._channel("status").conversion.rows(chunk.rows(0, 9)), chunk.rows(0, 9))
    assert run["status"].decode("temp")["temp"].tolist() == (plain["temp"] * 0.5).tolist()


def test_checks_of_the_folder_are_those_of_the_recorded_schema(tmp_path: Path) -> None:
    folder, _ = samples.large(tmp_path / "r")
    run = newer(folder.root)
    assert run.verify().ok and run.problems == [] and len(run["status"]) == 5900
    path = folder.root / "channels" / "status" / "records.000001.npy"
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(data)
    records = newer(folder.root)["status"]
    with pytest.raises(CorruptionError, match=r"records .* do not match their checksum"):
        records["ticks"]
    assert records[:2500]["ticks"].tolist() == [seq * 7 for seq in range(2500)]


def test_a_capture_of_32_bits_as_the_struct_of_64(tmp_path: Path) -> None:
    """WM_INDIVIDUALIZE_STATUS: 28 bytes as 32, the text and the HRESULT with it."""
    old, new = individualization(32), individualization(64)
    folder = writer.Folder(tmp_path / "r")
    folder.session()
    names = [field.name for field in old.fields]
    codes = ["<i4", "<i4", "<u4", "<u4", "<i4", "<u4", "<u4"]
    descr = repr([("mono_ns", "<i8"), *zip(names, codes, strict=True), ("", "|V4")])
    numeric = [(8, "i", "i8"), (12, "i", "i8")]
    numeric += [(20, "I", "u8"), (24, "i", "i8"), (28, "I", "u8"), (32, "I", "u8")]
    channel = writer.Channel(
        folder, "s", schema=old.to_dict(), digest=old.digest, descr=descr, size=40, numeric=numeric
    )
    rows = [
        struct.pack("<qiiIIiII4x", START_NS + n, -2147012867, 0x10, text, n, n % 5, 100 * n, 2**32 - 1)
        for n, text in enumerate([0, 1, 2, 2**32 - 1])
    ]
    channel.segment().commit(0, rows, texts=["http://a", "http://b"])
    folder.close({"s": channel})
    run = reader.open(folder.root, schema=new)
    records = run["s"]
    assert records.schema.abi == "msvc-x64" and records.schema.size == 32
    found = records.decode()
    assert found["pszIndiRespUrl"].tolist() == [None, "http://a", "http://b", fr.LOST]
    assert records["pszIndiRespUrl"].tolist() == [0, 1, 2, 2**64 - 1]
    assert records["dwHTTPRequest"].tolist() == [0, 1, 2, 3]
    assert found["enHTTPStatus"][3] == "HTTP_RECEIVING" and "CANNOT_CONNECT" in str(found["hr"][0])
    assert found["hr"].tolist() == reader.open(folder.root)["s"].decode()["hr"].tolist()
    assert records["dwHTTPReadTotal"].tolist() == [2**32 - 1] * 4
    with pytest.raises(SchemaError, match="'pszIndiRespUrl': narrowed <u8 -> <u4"):
        Conversion(new, old)
    assert run.verify().ok


def test_what_a_recorder_wrote(tmp_path: Path) -> None:
    class Old(ctypes.Structure):
        _fields_ = [
            ("low", ctypes.c_uint32, 3),
            ("high", ctypes.c_uint32, 5),
            ("word", ctypes.c_uint32),
            ("name", ctypes.c_char * 8),
            ("cells", ctypes.c_uint16 * 3),
        ]

    class New(ctypes.BigEndianStructure):
        _fields_ = [
            ("cells", ctypes.c_uint32 * 4),
            ("word", ctypes.c_uint32),
            ("low", ctypes.c_uint8),
            ("name", ctypes.c_char * 12),
            ("high", ctypes.c_int64),
        ]

    with fr.Recorder(tmp_path / "r") as rec:
        channel = rec.add("m", schema=Old)
        for n in range(100):
            channel.push(Old(n % 8, n % 32, n << 20, b"n%d" % n, (n, 65535 - n, 2 * n)))
    records = fr.open(tmp_path / "r", schema=New)["m"]
    for n in (0, 1, 57, 99):
        row = New.from_buffer_copy(records.to_numpy()[n].tobytes()[8 : 8 + ctypes.sizeof(New)])
        assert (row.low, row.high, row.word) == (n % 8, n % 32, n << 20)
        assert row.name == b"n%d" % n
        assert list(row.cells) == [n, 65535 - n, 2 * n, 0]
    assert records["high"].tolist() == [n % 32 for n in range(100)]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(grown())
def test_any_grown_struct(tmp_path_factory: pytest.TempPathFactory, case: Grown) -> None:
    path = tmp_path_factory.mktemp("grown") / "r"
    with fr.Recorder(path, flush="10s", durability=None) as rec:
        channel = rec.add("m", schema=case.old.schema("old"))
        for payload in case.payloads:
            channel.push(payload)
    records = fr.open(path, schema=case.new.schema("new"), renamed=case.renamed)["m"]
    for name, expected in case.expected.items():
        assert records[name].tolist() == expected, name


class Zoned(ArrayChunk):
    """A chunk of one zone, which it has of all its numeric fields."""

    zone_starts = range(0, 1024, 1024)

    def __init__(self, rows: np.ndarray, schema: Schema) -> None:
        super().__init__(rows, 0)
        self.all = told(summarise(rows, schema.numeric), schema.numeric)

    def zones(self, low: int, high: int, columns: list[int]) -> np.ndarray:
        found = np.zeros(high - low, told_dtype(len(columns)))
        for name in found.dtype.names:
            found[name] = self.all[name][:, columns] if self.all[name].ndim == 2 else self.all[name]
        return found


@settings(max_examples=300, deadline=None)
@given(grown())
def test_zones_say_the_same_of_a_struct_that_grew(case: Grown) -> None:
    old, new = case.old.schema("old"), case.new.schema("new")
    size = old.record().itemsize
    data = b"".join(
        struct.pack("<q", n) + case.payloads[n * len(case.payloads) // 1024].ljust(size - 8, b"\0")
        for n in range(1024)
    )
    chunk = Zoned(np.frombuffer(data, old.record()), old)
    evolved = EvolvedChunk(chunk, Conversion(old, new, case.renamed))
    kinds = {case.renamed.get(one.name, one.name): one.kind for one in case.old.fields}
    steps = {(kinds.get(one.name, one.kind), one.kind) for one in case.new.fields if not one.count}
    # True is any byte but zero, and becomes 1; what becomes a float has other bits.
    unlike = any((before == kind) != (now == kind) for before, now in steps for kind in "bf")
    assert bool(evolved.zone_starts) == (not unlike)
    if unlike:
        return
    made = told(summarise(evolved.rows(0, 1024), new.numeric), new.numeric)
    for columns in ([*range(len(new.numeric))], [*range(len(new.numeric))][::-1][:2], []):
        got, wanted = evolved.zones(0, 1, columns), np.zeros(1, told_dtype(len(columns)))
        for name in wanted.dtype.names:
            wanted[name] = made[name][:, columns] if made[name].ndim == 2 else made[name]
        # Floats are added in another order where records are longer.
        assert same_zone(got[0], wanted[0], [new.numeric[one].kind for one in columns])
        assert got["turn"].tolist() == wanted["turn"].tolist()
        assert got["silence_us"] == wanted["silence_us"]


def test_what_is_refused_says_where_and_which(tmp_path: Path) -> None:
    folder, _ = samples.small(tmp_path / "r")
    narrow = Schema.from_dtype([("tick", "<u2"), ("mode", "<i2"), ("temp", "<f4"), ("url", "<u8")])
    run = reader.open(folder.root, schema=narrow)
    with pytest.raises(SchemaError) as caught:
        run["status"]
    message = str(caught.value)
    assert message.startswith(f"{folder.root}: records of 'status' cannot be read as 'record': ")
    assert all(f"'{name}'" in message for name in ("tick", "temp", "url")) and "\n" not in message
    with pytest.raises(SchemaError, match="field 'tick' is gone and 'ticks' is new in its place"):
        reader.open(folder.root, schema=[("ticks", "<u4"), ("mode", "<i2")])["status"]
    with pytest.raises(SchemaError, match="is it another struct"):
        reader.open(folder.root, schema=[("both", "<u8"), ("rest", "V16")])["status"]


def test_what_open_takes(tmp_path: Path) -> None:
    folder, _ = samples.small(tmp_path / "r")
    for schema in ([("tick", "<u4")], np.dtype([("tick", ">u8")]), {"status": np.dtype([("tick", "<f8")])}):
        assert reader.open(folder.root, schema=schema)["status"]["tick"][:2].tolist() == [0, 7]
    for schema, renamed, error, why in (
        ({"statu": NEWER}, None, SchemaError, "no channel 'statu'; did you mean 'status'"),
        ({"status": 5}, None, SourceError, "pass a Schema"),
        (None, {"tick": "ticks"}, SchemaError, "pass schema too"),
        ({"status": NEWER}, RENAMED, SchemaError, "no schema is given for a channel 'tick'"),
        ({"status": NEWER}, "tick", SchemaError, "mapping of channel name"),
    ):
        with pytest.raises(error, match=why):
            reader.open(folder.root, schema=schema, renamed=renamed)
    for renamed, why in (
        ({"tik": "ticks"}, "there was no field 'tik'; did you mean 'tick'"),
        ("tick", "pass a mapping"),
    ):
        with pytest.raises(SchemaError, match=why):
            reader.open(folder.root, schema=NEWER, renamed=renamed)["status"]
    samples.large(tmp_path / "two")
    with pytest.raises(SchemaError, match="2 channels"):
        reader.open(tmp_path / "two", schema=NEWER)


def test_the_newest_hold_and_empty_windows(tmp_path: Path) -> None:
    folder = writer.Folder(tmp_path / "r")
    folder.session()
    samples.held_channel(folder).segment().commit(0, [held(n) for n in range(9)])
    records = reader.open(folder.root, schema=[("level", "<f8"), ("x", "u1")])["held"]
    assert records.between("+1h", "+2h")["level"].dtype == np.float64
    assert records.last(2)["level"].tolist() == [2.0, 3.0]
    assert json.loads(json.dumps(records[-1]["level"].item())) == 3.0
