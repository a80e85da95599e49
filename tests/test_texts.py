"""Texts of every kind from the getter to the command line: followed, lost, kept, read back."""

from __future__ import annotations

import csv
import ctypes
import json
import mmap
import signal
import subprocess
import sys
from collections.abc import Iterator
from ctypes import Structure, c_char_p, c_uint32, c_void_p, c_wchar_p
from pathlib import Path

import numpy as np
import pytest
from programs import build, load_apart
from waiting import until

import fastrec as fr
from fastrec.cli import main

ONE = np.dtype([("text", "<u8"), ("n", "<u8")])
LOST = np.uint64(2**64 - 1)
MAP_32BIT = 0x40


class Members(Structure):
    """What ``get_members`` of ``text.c`` fills."""

    _fields_ = [
        ("narrow", c_char_p),
        ("utf16", c_void_p),
        ("wide", c_wchar_p),
        ("low", c_uint32),
        ("n", c_uint32),
    ]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("text"), "text.c", "-shared", "-fPIC")


@pytest.fixture
def getters(library: Path, tmp_path: Path) -> ctypes.CDLL:
    """The library under a name of its own, so that its counters begin at zero."""
    return load_apart(library, tmp_path)


class Memory:
    """Pages that go when the test says so, below 4 GiB."""

    def __init__(self, content: bytes) -> None:
        libc = ctypes.CDLL(None)
        libc.mmap.restype = c_void_p
        libc.mmap.argtypes = [c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
        libc.munmap.argtypes = [c_void_p, ctypes.c_size_t]
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_32BIT
        self.address = libc.mmap(None, mmap.PAGESIZE, mmap.PROT_READ | mmap.PROT_WRITE, flags, -1, 0)
        assert self.address < 1 << 32
        self._munmap = libc.munmap
        ctypes.memmove(self.address, content, len(content))

    def unmap(self) -> None:
        assert self._munmap(self.address, mmap.PAGESIZE) == 0


@pytest.fixture
def low() -> Iterator[Memory]:
    yield (memory := Memory("unten ↓\0".encode("utf-16-le")))
    memory.unmap()


def schema_of(kind: bool | str) -> fr.Schema:
    return fr.Schema.from_dtype(ONE).with_field("text", text=kind)


def hand_out(getters: ctypes.CDLL, contents: list[bytes | None]) -> object:
    """Let ``get_next`` go round these; the result keeps them alive."""
    buffers = [None if one is None else ctypes.create_string_buffer(one, len(one)) for one in contents]
    table = (c_void_p * len(buffers))(*[None if one is None else ctypes.addressof(one) for one in buffers])
    c_void_p.in_dll(getters, "table").value = ctypes.addressof(table)
    ctypes.c_uint64.in_dll(getters, "table_size").value = len(buffers)
    return buffers, table


def printed(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    capsys.readouterr()
    assert main([str(one) for one in arguments]) == 0
    return capsys.readouterr().out


def test_all_kinds_at_once(
    getters: ctypes.CDLL, low: Memory, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kinds = {"narrow": True, "utf16": "utf-16", "wide": True, "low": "utf-16:direct"}
    schema = fr.Schema.from_ctypes(Members, text=kinds)
    wide = ctypes.create_unicode_buffer("breit \U0001f600")
    utf16 = ctypes.create_string_buffer("LPWSTR \U0001f600\0".encode("utf-16-le"))
    members = Members.in_dll(getters, "given")
    members.narrow, members.utf16 = b"schmal", ctypes.addressof(utf16)
    members.wide, members.low = ctypes.cast(wide, c_wchar_p), low.address
    texts = {"narrow": "schmal", "utf16": "LPWSTR \U0001f600", "wide": "breit \U0001f600", "low": "unten ↓"}
    source = fr.Call(getters.get_members, fr.OUT, schema=schema)
    read = source.read()
    assert {name: read[name] for name in texts} == texts
    path = tmp_path / "run.fastrec"
    with fr.Recorder(path) as rec:
        channel = rec.add("m", source, rate=5000)
        until(lambda: channel.stats.recorded > 20)
        members.utf16 = None
        until(lambda: channel.last(1)[0]["utf16"] == 0)
        last = channel.last(1).decode()
        assert {name: last[name][0] for name in texts} == {**texts, "utf16": None}
    assert channel.stats.texts_lost == 0
    run = fr.open(path)
    assert run.verify().ok and run["m"].schema == schema
    records = run["m"]
    for name, text in texts.items():
        assert set(records.decode(name)[name]) == ({text, None} if name == "utf16" else {text})
    assert [(one["from"], one["to"]) for one in records.transitions("utf16")] == [(texts["utf16"], None)]
    first = records.where(utf16=texts["utf16"], wide=texts["wide"], low=texts["low"])
    assert len(first) + len(records.where(utf16=None)) == len(records) and len(first)
    assert first.to_pandas()[[*texts]].drop_duplicates().to_dict("records") == [texts]
    found = json.loads(printed(capsys, "cat", path, "--json").splitlines()[0])
    assert {name: found[name] for name in texts} == texts
    assert all(text in printed(capsys, "cat", path) for text in texts.values())
    printed(capsys, "export", path, "-o", tmp_path / "x.csv")
    with open(tmp_path / "x.csv", newline="", encoding="utf-8") as file:
        row = next(csv.DictReader(file))
    assert {name: row[name] for name in texts} == texts
    about = json.loads(printed(capsys, "info", path, "--json"))
    here = {2: "utf-16", 4: "utf-32"}[ctypes.sizeof(ctypes.c_wchar)]
    fields = {one["name"]: one["text"] for one in about["channels"]["m"]["schema"]["fields"]}
    assert fields == {"narrow": True, "utf16": "utf-16", "wide": here, "low": "utf-16:direct", "n": False}


def odd_texts(size: int) -> list[bytes]:
    """Texts of code units of all magnitudes, many of them no characters; none twice."""
    random = np.random.default_rng(size)
    found = {bytes(size), b"a" + bytes(2 * size - 1)}
    for _ in range(1500):
        units = random.integers(
            1, 1 << random.integers(1, 8 * size + 1, random.integers(1, 12)), dtype=np.uint64
        )
        if size > 1 and random.random() < 0.5:
            units[: len(units) // 2] = random.integers(0xD800, 0xE000, len(units) // 2)
        found.add(units.astype(f"<u{size}").tobytes() + bytes(size))
    return sorted(found)


def by_python(content: bytes, size: int) -> str:
    """What such a text is read back as, by Python's codecs where they go."""
    content = content[:-size] if content != bytes(size) else b""
    if size == 1:
        kept = content.decode("utf-8", "surrogateescape").encode("utf-8", "surrogateescape")
    elif size == 2:
        kept = content.decode("utf-16-le", "surrogatepass").encode("utf-8", "surrogatepass")
    else:
        kept = b"".join(pattern(one) for one in np.frombuffer(content, "<u4").tolist())
    return kept.decode("utf-8", "surrogateescape")


def pattern(value: int) -> bytes:
    """UTF-8 as it was before it had a limit."""
    if value < 0x110000:
        return chr(value).encode("utf-8", "surrogatepass")
    length = next(n for n in (4, 5, 6, 7) if value < 1 << (5 * n + 1) or n == 7)
    bits = f"{value:0{6 * (length - 1)}b}"
    split = len(bits) - 6 * (length - 1)
    first = ("1" * length + "0" * 8)[: 8 - split] + bits[:split]
    rest = ["10" + bits[at : at + 6] for at in range(split, len(bits), 6)]
    return bytes(int(one, 2) for one in (first, *rest))


@pytest.mark.parametrize("kind", ["utf-8", "utf-16", "utf-32", "utf-16:direct", "utf-32:direct"])
def test_what_is_no_character_comes_back_from_ring_and_disk(
    getters: ctypes.CDLL, tmp_path: Path, kind: str
) -> None:
    size = {"utf-8": 1, "utf-16": 2, "utf-32": 4}[kind.partition(":")[0]]
    contents = odd_texts(size)
    kept = hand_out(getters, contents)
    expected = np.array([by_python(one, size) for one in contents], dtype=object)
    assert len(set(expected)) == len(contents) > 1000
    path = tmp_path / "run.fastrec"
    source = fr.Call(getters.get_next, fr.OUT, schema=schema_of(kind))
    with fr.Recorder(path, segment_bytes=65_536) as rec:
        channel = rec.add("t", source, rate=50_000)
        until(lambda: channel.stats.recorded > 2 * len(contents))
        live = channel.snapshot()
        assert live.decode("text")["text"].tolist() == expected[live["n"]].tolist()
    records = fr.open(path)["t"]
    assert records.decode("text")["text"].tolist() == expected[records["n"]].tolist()
    assert fr.open(path).verify().ok and channel.stats.texts_lost == 0
    del kept


def test_freed_under_the_poller(
    getters: ctypes.CDLL, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Text that is unmapped while it is polled is lost from then on; nothing else is."""
    members = Members.in_dll(getters, "given")
    memory = Memory("hier\0".encode("utf-16-le"))
    members.narrow, members.utf16, members.low = b"bleibt", memory.address, memory.address
    kinds = {"narrow": True, "utf16": "utf-16", "low": "utf-16"}
    source = fr.Call(getters.get_members, fr.OUT, schema=fr.Schema.from_ctypes(Members, text=kinds))
    path = tmp_path / "run.fastrec"
    with fr.Recorder(path) as rec:
        channel = rec.add("m", source, rate=20_000)
        until(lambda: channel.stats.recorded > 100)
        assert channel.stats.texts_lost == 0
        memory.unmap()
        until(lambda: channel.stats.texts_lost > 200)
    stats = channel.stats
    for records in (channel.snapshot(), fr.open(path)["m"]):
        lost = {"utf16": records.where(utf16=fr.LOST), "low": records.where(low=fr.LOST)}
        assert sum(map(len, lost.values())) == stats.texts_lost
        for name, gone in lost.items():
            assert gone.seq.tolist() == list(range(stats.recorded - len(gone), stats.recorded))
            assert (gone[name] == LOST.astype(gone[name].dtype)).all()
            assert set(gone.decode(name)[name]) == {fr.LOST}
            assert not len(records.where(**{name: None}))
            assert len(records.where(**{name: "hier"})) == stats.recorded - len(gone)
        assert len(records.where(narrow="bleibt")) == stats.recorded
    assert fr.open(path).verify().ok
    assert fr.open(path).stats["m"]["texts_lost"] == stats.texts_lost
    logged = json.loads((path / "stats.jsonl").read_text().splitlines()[-1])
    assert logged["texts_lost"] == stats.texts_lost
    found = json.loads(printed(capsys, "cat", path, "--json", "--last", "1"))
    assert (found["narrow"], found["utf16"], found["low"]) == ("bleibt", {"lost": True}, {"lost": True})
    assert source.read()["low"] is fr.LOST
    told = printed(capsys, "cat", path, "--where", "low=LOST", "--limit", "1", "--fields", "narrow,low")
    assert told.split()[-2:] == ["bleibt", "LOST"]
    assert "LOST" not in printed(capsys, "cat", path, "--where", "low=NULL")
    assert (
        json.loads(printed(capsys, "info", path, "--json"))["channels"]["m"]["texts_lost"] == stats.texts_lost
    )
    assert f"texts   {stats.texts_lost:,} could not be read or kept" in printed(capsys, "info", path)


def place(records: fr.Records, texts: list[str]) -> np.ndarray:
    """The how-manieth new text each record has, from 0; the first call, at `add`, is no record."""
    return (records["n"].astype(np.int64) - 1) % len(texts)


def test_more_texts_than_ids(getters: ctypes.CDLL, tmp_path: Path) -> None:
    """What comes after the 65,536th is lost, counted, and seen in its records; what is known is found."""
    count = 65_536
    expected = [f"text {n}" for n in range(count + 500)]
    kept = hand_out(getters, [one.encode() + b"\0" for one in expected])
    path = tmp_path / "run.fastrec"
    source = fr.Call(getters.get_next, fr.OUT, schema=schema_of("direct"))
    with fr.Recorder(path) as rec:
        channel = rec.add("t", source, rate=200_000, capacity=1 << 20)
        until(lambda: channel.stats.recorded > 2 * len(expected))
    records = fr.open(path)["t"]
    assert len(records) == channel.stats.recorded
    gone = records["text"] == LOST
    assert (gone == (place(records, expected) >= count)).all() and gone.any()
    assert channel.stats.texts_lost == gone.sum() == len(records.where(text=fr.LOST))
    assert not len(records.where(text=None))
    found = records.decode("text")["text"]
    assert (found[~gone] == np.array(expected, dtype=object)[records["n"]][~gone]).all()
    del kept


def test_more_text_than_the_arena_holds(getters: ctypes.CDLL, tmp_path: Path) -> None:
    """4 MiB of 3,072 bytes each; only then is the rest lost, for good."""
    expected = [f"{n:05}" + "€" * 1024 for n in range(2000)]
    kept = hand_out(getters, [one.encode("utf-16-le") + b"\0\0" for one in expected])
    path = tmp_path / "run.fastrec"
    source = fr.Call(getters.get_next, fr.OUT, schema=schema_of("utf-16"))
    with fr.Recorder(path) as rec:
        channel = rec.add("t", source, rate=20_000)
        until(lambda: channel.stats.recorded > 3 * len(expected))
    records = fr.open(path)["t"]
    gone = records["text"] == LOST
    room = (4 << 20) // (4 + 5 + 3 * 1024 + 7 & ~7)
    assert (gone == (place(records, expected) >= room)).all() and 1000 < room < 2000
    assert channel.stats.texts_lost == gone.sum()
    found = records.decode("text")["text"]
    assert (found[~gone] == np.array(expected, dtype=object)[records["n"]][~gone]).all()
    assert fr.open(path).verify().ok
    del kept


@pytest.mark.parametrize(("kind", "ends"), [("utf-16", False), ("utf-16:direct", True), ("direct", True)])
def test_direct_trusts_the_pointer(library: Path, kind: str, ends: bool) -> None:
    """No safe read stands between a dangling pointer and the process: that is what was asked for."""
    script = f"""
import ctypes, fastrec as fr, numpy as np
lib = ctypes.CDLL({str(library)!r})
ctypes.c_uint64.in_dll(lib, "table_size").value = 1
table = (ctypes.c_void_p * 1)(16)
ctypes.c_void_p.in_dll(lib, "table").value = ctypes.addressof(table)
schema = fr.Schema.from_dtype([("text", "<u8"), ("n", "<u8")]).with_field("text", text={kind!r})
with fr.Recorder() as rec:
    channel = rec.add("t", fr.Call(lib.get_next, fr.OUT, schema=schema), rate=1000)
    while channel.stats.recorded < 10: pass
print(channel.stats.texts_lost >= 10)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    expected = (-signal.SIGSEGV, "") if ends else (0, "True\n")
    assert (done.returncode, done.stdout) == expected, done.stderr


def test_refused_where_no_pointer_of_c_is_followed() -> None:
    for kind in ("utf-16", "utf-32:direct"):
        with pytest.raises(fr.SchemaError, match="'text' is text, which only a polled source has"):
            fr.Recorder().add("t", schema=schema_of(kind))
        with pytest.raises(fr.SourceError, match="'text' is text"):
            fr.PyCall(lambda: bytes(16), schema=schema_of(kind))


def test_another_encoding_is_another_schema(getters: ctypes.CDLL) -> None:
    kept = hand_out(getters, [b"a\0\0\0"])
    source = fr.Call(getters.get_next, fr.OUT, schema=schema_of("utf-16"))
    with pytest.raises(fr.SchemaError, match="field 'text' differs"):
        fr.Recorder().add("t", source, schema=schema_of("utf-32"), rate=10)
    del kept
