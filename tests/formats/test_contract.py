"""What every format promises, told of each in turn; what is its own is in the file of its name."""

import csv
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from common import SCHEMA, gaps, sample

import fastrec.formats.csv
import fastrec.formats.jsonl
import fastrec.formats.npy
import fastrec.formats.target
from fastrec.errors import CorruptionError, FormatError
from fastrec.formats import registry
from fastrec.records import ArrayChunk, Records
from fastrec.records.columns import column_names
from fastrec.schema import Schema

PAYLOAD = np.dtype(
    [("mode", "<i4"), ("modes", "u1", (2,)), ("level", "<f8"), ("all", "<u8"), ("big", ">i2"), ("url", "<u8")]
)
MIXED = Schema.from_dtype(
    PAYLOAD, labels={name: {"IDLE": 0, "RUN": 1} for name in ("mode", "modes")}
).with_field("url", text=True)
MIXED = MIXED.with_field("big", scale=0.5)


def mixed(count, store="every"):
    """Records in two segments, in which an id means another text."""
    array = np.zeros(count, dtype=MIXED.record(store))
    array["mono_ns"] = np.arange(count) * 1_000
    array["mode"] = np.arange(count) % 3
    array["modes"] = np.arange(2 * count).reshape(count, 2) % 3
    array["level"], array["all"], array["big"] = 0.1, 2**64 - 1, np.arange(count)
    array["url"] = np.arange(count) % 3
    if store == "changes":
        array["until_ns"], array["polls"], array["max_gap_ns"] = array["mono_ns"] + 7, 2, 5
    half = count // 2
    texts = [{1: "http://a", 2: "b,\u20ac"}, {1: "b,\u20ac", 2: "c" * 99}]
    chunks = [ArrayChunk(array[:half], 0, texts[0].get), ArrayChunk(array[half:], half, texts[1].get)]
    return Records("plant", MIXED, chunks, gaps=gaps((half, 2, 3)), clock=None, store=store)


def of_csv(path):
    """Numbers where a cell is one; arrays are put together again."""
    columns = {}
    with open(path, newline="", encoding="utf-8") as file:
        header, *lines = csv.reader(file, strict=True)
    for place, name in enumerate(header):
        values = [line[place] for line in lines]
        parts = re.fullmatch(r"(.*)\[\d\]", name)
        if parts:
            columns.setdefault(parts[1], [[] for _ in lines])
            for row, value in zip(columns[parts[1]], values, strict=True):
                row.append(number(value))
        else:
            columns[name] = [number(value) for value in values]
    return columns


def number(text):
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text or None


def of_npy(path):
    loaded = np.load(path, allow_pickle=False)
    return {name: plain(loaded[name]) for name in loaded.dtype.names}


def of_npz(path):
    with np.load(path, allow_pickle=False) as loaded:
        return {name: plain(loaded[name]) for name in loaded.files if name not in ("seq", "gaps")}


def of_jsonl(path):
    rows = [json.loads(line) for line in Path(path).read_text().splitlines()]
    names = [name for name in rows[0] if name not in ("seq", "time")] if rows else []
    return {name: [row[name] for row in rows] for name in names}


def plain(values):
    return [value or None for value in values.tolist()] if values.dtype.kind == "U" else values.tolist()


READ = {"csv": of_csv, "npy": of_npy, "npz": of_npz, "jsonl": of_jsonl}
FORM = {"csv": "raw", "npy": "decoded", "npz": "decoded", "jsonl": "raw"}
"""The option for the form that is not the format's own."""


@pytest.fixture(params=sorted(READ))
def suffix(request):
    return request.param


@pytest.fixture(params=[None, 3])
def block(request, monkeypatch):
    """Records at a time: as they are, or so few that there are borders everywhere."""
    if request.param:
        monkeypatch.setattr("fastrec.formats.blocks.BLOCK", request.param)
        monkeypatch.setattr(fastrec.formats.csv, "_BLOCK", request.param)
        monkeypatch.setattr(fastrec.formats.jsonl, "_BLOCK", request.param)


def form(suffix, raw):
    return {FORM[suffix]: raw if FORM[suffix] == "raw" else not raw}


def names(folder):
    return sorted(one.name for one in folder.iterdir())


def test_every_built_in_format_is_told_of():
    assert set(READ) == set(FORM) == set(registry.known())


@pytest.mark.parametrize("store", ["every", "changes"])
def test_every_value_is_there(block, tmp_path, suffix, store):
    records = mixed(11, store)
    columns = column_names(records.schema, store)
    for raw in (False, True):
        path = tmp_path / f"{raw}.{suffix}"
        records.export(path, **form(suffix, raw))
        found = READ[suffix](path)
        if raw and suffix == "npy":
            assert found.pop("big") == list(range(11))  # in its own byte order
        expected = {name: (records[name] if raw else records.decode()[name]).tolist() for name in columns}
        assert found == {name: expected[name] for name in found}
        assert len(found) == len(columns) - (raw and suffix == "npy")
    own = tmp_path / f"own.{suffix}"
    records.export(own)
    assert own.read_bytes() == (tmp_path / f"{FORM[suffix] != 'raw'}.{suffix}").read_bytes()


def test_a_selection_and_a_window(block, tmp_path, suffix):
    records = mixed(11)
    records.where(mode="RUN").export(tmp_path / f"run.{suffix}", **form(suffix, False))
    found = READ[suffix](tmp_path / f"run.{suffix}")
    assert found["mono_ns"] == [1_000, 4_000, 7_000, 10_000] and set(found["mode"]) == {"RUN"}
    assert found["url"] == ["http://a", "http://a", "b,\u20ac", "b,\u20ac"]


@pytest.mark.parametrize("store", ["every", "changes"])
def test_no_records_are_a_file_too(tmp_path, suffix, store):
    for place, empty in enumerate((mixed(11, store)[4:4], mixed(0, store))):
        for raw in (False, True):
            path = tmp_path / f"{place}{raw}.{suffix}"
            empty.export(path, **form(suffix, raw))
            found = READ[suffix](path)
            # A file of lines that has no lines has no names either.
            assert list(found) == ([] if suffix == "jsonl" else column_names(MIXED, store))
            assert not any(found.values())


HOSTILE = [
    "file", "allow_pickle", "self", "__class__", "arr_0", "npy", "f", "a/b", "a\\b", "=1+1", '"', ",", " ",
    "\u20ac", "-", "'", "%", "$(ls)", "time_", "None", "{}", "#", "a" * 255,
]  # fmt: skip


def test_any_name_a_field_may_have(tmp_path, suffix):
    schema = Schema.from_dtype(np.dtype([(name, "<i4") for name in HOSTILE]))
    array = np.zeros(2, dtype=schema.record_dtype)
    for value, name in enumerate(HOSTILE):
        array[name] = value
    records = Records("evil", schema, [ArrayChunk(array)], gaps=gaps(), clock=None)
    # As bytes, a .npy has fields of Latin-1 only; CSV makes formulas harmless.
    options = {"csv": {"exact": True}, "npy": {"decoded": True}}.get(suffix, {})
    records.export(tmp_path / f"a.{suffix}", **options)
    found = READ[suffix](tmp_path / f"a.{suffix}")
    assert list(found) == ["mono_ns", *HOSTILE]
    assert [found[name] for name in HOSTILE] == [[value, value] for value in range(len(HOSTILE))]


def test_progress(block, tmp_path, suffix):
    seen = []
    for count in (11, 0):
        mixed(count).export(tmp_path / f"{count}.{suffix}", progress=lambda *told: seen.append(told))
        done = [one for one, _ in seen]
        assert done[0] == 0 and done[-1] == count and done == sorted(done)
        assert {total for _, total in seen} == {count}
        assert len(seen) > 1 or not count
        seen.clear()


@pytest.mark.parametrize("before", [0, 1, 2])
def test_what_progress_raises_leaves_no_file(block, tmp_path, suffix, before):
    calls = []

    def stop(done, total):
        calls.append(done)
        if len(calls) > before:
            raise KeyboardInterrupt

    try:
        mixed(11).export(tmp_path / f"a.{suffix}", progress=stop)
    except KeyboardInterrupt:
        assert names(tmp_path) == []
    else:
        assert len(calls) <= before, "it was told to stop, and went on"


def test_an_existing_file_is_refused(tmp_path, suffix):
    (tmp_path / f"a.{suffix}").write_text("mine")
    with pytest.raises(FormatError, match="overwrite=True"):
        mixed(3).export(tmp_path / f"a.{suffix}")
    assert (tmp_path / f"a.{suffix}").read_text() == "mine"
    mixed(3).export(tmp_path / f"a.{suffix}", overwrite=True)
    assert len(READ[suffix](tmp_path / f"a.{suffix}")["mono_ns"]) == 3
    assert names(tmp_path) == [f"a.{suffix}"]


def test_a_link_is_replaced_and_not_followed(tmp_path, suffix):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / f"a.{suffix}").symlink_to(victim)
    (tmp_path / f"b.{suffix}").symlink_to(tmp_path / "nowhere")
    for one in "ab":
        with pytest.raises(FormatError, match="there already"):
            mixed(3).export(tmp_path / f"{one}.{suffix}")
        mixed(3).export(tmp_path / f"{one}.{suffix}", overwrite=True)
        assert not (tmp_path / f"{one}.{suffix}").is_symlink()
    assert victim.read_text() == "precious" and not (tmp_path / "nowhere").exists()


class Damaged(ArrayChunk):
    def rows(self, start, stop):
        if stop > 8:
            raise CorruptionError("records 8 to 11 do not match their checksum")
        return super().rows(start, stop)


def test_damage_leaves_no_file(block, tmp_path, suffix):
    records = Records("plant", SCHEMA, [Damaged(sample(11))], gaps=gaps(), clock=None)
    (tmp_path / f"old.{suffix}").write_bytes(b"old")
    for name, overwrite in ((f"new.{suffix}", False), (f"old.{suffix}", True)):
        with pytest.raises(CorruptionError, match="8 to 11"):
            records.export(tmp_path / name, overwrite=overwrite)
    assert names(tmp_path) == [f"old.{suffix}"] and (tmp_path / f"old.{suffix}").read_bytes() == b"old"


class Full(io.FileIO):
    """A file on a disk that has room for so many writes."""

    room = 0

    def write(self, data):
        if self.room == 0:
            raise OSError(28, "No space left on device")
        self.room -= 1
        return super().write(data)


@pytest.mark.parametrize("room", [0, 1, 2, 3])
def test_a_full_disk_leaves_no_file(monkeypatch, tmp_path, suffix, room):
    monkeypatch.setattr(Full, "room", room)
    monkeypatch.setattr(fastrec.formats.target, "open", Full, raising=False)
    monkeypatch.setattr("fastrec.formats.blocks.BLOCK", 3)
    monkeypatch.setattr(fastrec.formats.csv, "_BLOCK", 3)
    with pytest.raises(FormatError, match=rf"a\.{suffix} cannot be written: No space left on device"):
        mixed(11).export(tmp_path / f"a.{suffix}")
    assert names(tmp_path) == []
