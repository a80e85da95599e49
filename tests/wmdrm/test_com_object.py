"""A COM object in C, with the header's own struct: what GetStatus fills is recorded, call by call."""

from __future__ import annotations

import ctypes
import gc
import subprocess
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from programs import SOURCES, build
from waiting import until

import fastrec as fr
from fastrec.schema.gaps import Cause
from fastrec.wmdrm import Status, schema

INDIVIDUALIZING = 0xC00D272C - 2**32
STATES = (  # enIndiStatus, enHTTPStatus, hr, whether there is a total, whether there is a URL
    (0x00, 0, 0, False, False),
    (0x01, 0, 0, False, False),
    (0x10, 1, 0, False, True),
    (0x10, 2, 0, False, True),
    (0x10, 3, 0, True, True),
    (0x10, 4, 0, True, True),
    (0x20, 4, 0, True, True),
    (0x02, 4, 0x000D2727, True, True),
)


def status(number: int) -> tuple:
    """What call `number` fills, from 0, in the order of the struct."""
    indi, http, hr, total, url = STATES[number % 8]
    text = f"http://indi.example/{number % 100}" if url else None
    return (hr, indi, text, number // 8, http, 2**32 - 1 - number, 2**32 - 1 if total else 0)


class Com(NamedTuple):
    """The library, and an object of it."""

    library: ctypes.CDLL
    memory: ctypes.Array

    @property
    def pointer(self) -> int:
        return ctypes.addressof(self.memory)

    def of(self, what: str) -> int:
        return getattr(self.library, what)(ctypes.c_void_p(self.pointer))


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    folder = tmp_path_factory.mktemp("individualization")
    loaded = ctypes.CDLL(str(build(folder, "individualization.c", "-shared", "-fPIC")))
    loaded.object_size.restype = ctypes.c_size_t
    return loaded


@pytest.fixture
def create(library: ctypes.CDLL) -> Iterator[Callable[..., Com]]:
    """Objects that fail each so many calls; at the end nobody holds one, and nobody called one as another."""
    made: list[Com] = []

    def run(fail_every: int = 0) -> Com:
        memory = ctypes.create_string_buffer(library.object_size())
        library.create(memory, fail_every, INDIVIDUALIZING)
        made.append(Com(library, memory))
        assert made[-1].of("references") == 1
        return made[-1]

    yield run
    gc.collect()
    assert [(com.of("references"), com.of("strangers")) for com in made] == [(1, 0)] * len(made)


def rows(records: fr.Records) -> list[tuple]:
    columns = {name: records[name].tolist() for name in Status._fields}
    columns["pszIndiRespUrl"] = list(records.decode()["pszIndiRespUrl"])
    return list(zip(*columns.values(), strict=True))


def recorded(path: Path, source: fr.ComMethod, count: int, rate: object = 5000) -> tuple[fr.Records, object]:
    with fr.Recorder(path) as rec:
        channel = rec.add("status", source, rate=rate)
        until(lambda: channel.stats.recorded >= count)
    return fr.open(path)["status"], channel.stats


@pytest.mark.parametrize("width", ["-m32", "-m64"])
def test_layout_of_the_header(width: str) -> None:
    """The assertions in the file; that for 32 bits needs no 32-bit library."""
    compiler = sysconfig.get_config_var("CC").split()
    flags = ["-std=gnu11", width, "-ffreestanding", "-fsyntax-only", "-DLAYOUT_ONLY"]
    subprocess.run([*compiler, *flags, SOURCES / "individualization.c"], check=True)


def test_every_call_is_a_record(tmp_path: Path, create: Callable[..., Com]) -> None:
    """In order, the URLs as they were at the call although all share one buffer."""
    com = create()
    records, stats = recorded(tmp_path / "run.fastrec", fr.ComMethod(com.pointer, 3, schema=schema()), 500)
    assert rows(records) == [status(number) for number in range(1, len(records) + 1)]  # 0: the first call
    assert com.of("calls") == stats.recorded + 1 == len(records) + 1
    assert stats.failed == stats.texts_lost == 0


def test_flat_out(create: Callable[..., Com]) -> None:
    com = create()
    with fr.Recorder() as rec:
        channel = rec.add("status", fr.ComMethod(com.pointer, 3, schema=schema()), rate="max")
        until(lambda: channel.stats.recorded >= 20_000)
        newest = channel.last(5000)
    numbers = newest.seq.astype(np.int64) + 1
    assert rows(newest) == [status(number) for number in numbers.tolist()]


def test_failing_calls_are_gaps(tmp_path: Path, create: Callable[..., Com]) -> None:
    com = create(fail_every=5)
    records, stats = recorded(tmp_path / "run.fastrec", fr.ComMethod(com.pointer, 3, schema=schema()), 400)
    calls = com.of("calls")
    good = [number for number in range(1, calls) if (number + 1) % 5]
    assert rows(records) == [status(number) for number in good]
    lost = records.gaps[records.gaps["cause"] == Cause.FAILED]
    assert lost["count"].sum() == stats.failed == calls // 5
    assert set(lost["code"].tolist()) == {INDIVIDUALIZING}
    # A failure lies before the record that came after it: four records from one to the next.
    assert set(lost["seq"].tolist()) == set(range(3, len(records) + 1, 4)[: calls // 5])


def test_object_that_fails_at_first_is_refused(create: Callable[..., Com]) -> None:
    com = create(fail_every=1)
    with fr.Recorder() as rec, pytest.raises(fr.SourceError, match="0xc00d272c") as caught:
        rec.add("status", fr.ComMethod(com.pointer, 3, schema=schema()), rate=10)
    assert "\n" not in str(caught.value)


def test_this_is_the_object(create: Callable[..., Com]) -> None:
    """The object notices when it is called as another: as a copy of itself, here."""
    com, other = create(), create()
    assert fr.ComMethod(com.pointer, 3, schema=schema()).read()["dwHTTPReadProgress"] == 2**32 - 1
    assert (com.of("calls"), other.of("calls")) == (1, 0)
    moved = Com(com.library, ctypes.create_string_buffer(com.memory.raw))
    with pytest.raises(fr.SourceError, match="0x80070006"):
        fr.ComMethod(moved.pointer, 3, schema=schema()).read()
    assert (moved.of("strangers"), com.of("strangers")) == (1, 0)


def test_reference_is_held_as_long_as_the_source(tmp_path: Path, create: Callable[..., Com]) -> None:
    com = create()
    source = fr.ComMethod(ctypes.c_void_p(com.pointer), 3, schema=schema())
    assert com.of("references") == 2
    rec = fr.Recorder(tmp_path / "run.fastrec")
    rec.add("status", source, rate=1000)
    del source
    gc.collect()
    with rec:
        assert com.of("references") == 2
        until(lambda: rec["status"].stats.recorded > 10)
    assert com.of("references") == 2
    rec = None
    gc.collect()
    assert com.of("references") == 1


@pytest.mark.parametrize(("slot", "code"), [(0, "0x80004003"), (4, "0x80004001")])
def test_wrong_slot(create: Callable[..., Com], slot: int, code: str) -> None:
    """QueryInterface, which is given no place for an interface, and a method that does nothing but fail."""
    com = create()
    with fr.Recorder() as rec, pytest.raises(fr.SourceError) as caught:
        rec.add("status", fr.ComMethod(com.pointer, slot, schema=schema()), rate=10)
    message = str(caught.value)
    assert f"slot {slot} of the object at {com.pointer:#x} failed, with code" in message
    assert code in message and "\n" not in message


@pytest.mark.parametrize("small", [schema(32), [("hr", "<i4")]], ids=["28 bytes", "4 bytes"])
def test_struct_is_larger_than_the_schema(create: Callable[..., Com], small: object) -> None:
    com = create()
    with fr.Recorder() as rec, pytest.raises(fr.SourceError) as caught:
        rec.add("status", fr.ComMethod(com.pointer, 3, schema=small), rate=10)
    size = getattr(small, "size", 4)
    assert f"wrote 32 bytes into {size}" in str(caught.value) and "\n" not in str(caught.value)


def test_more_arguments(tmp_path: Path, create: Callable[..., Com]) -> None:
    """After ``this``, in their order; what is in and out is set again before each call."""
    com = create()
    source = fr.ComMethod(com.pointer, 5, 12, fr.OUT, fr.INOUT(32), b"http://other.example/", schema=schema())
    records, stats = recorded(tmp_path / "run.fastrec", source, 100)
    expected = list(status(12))
    expected[2] = "http://other.example/"
    assert set(rows(records)) == {tuple(expected)} and stats.failed == 0


@pytest.mark.parametrize(
    ("pointer", "slot", "complaint"),
    [
        (None, 3, "NULL"),
        (0, 3, "NULL"),
        (1234, 3, "no COM object at 0x4d2"),
        ((1 << 64) - 8, 3, "no COM object"),
        (1 << 64, 3, "is no pointer"),
        (-1, 3, "is no pointer"),
        ("x", 3, "is no pointer"),
        (1.5, 3, "is no pointer"),
        (True, 3, "is no pointer"),
        (b"12345678", 3, "is no pointer"),
        (1234, -3, "slot=-3"),
        (1234, 1 << 40, "slot=1099511627776"),
        (1234, "3", "slot='3'"),
        (1234, True, "slot=True"),
    ],
)
def test_what_is_no_object(pointer: object, slot: object, complaint: str) -> None:
    """Nothing is followed that cannot be: no wrong argument ends the interpreter."""
    with pytest.raises(fr.SourceError, match=complaint):
        fr.ComMethod(pointer, slot, schema=schema())


def test_memory_that_is_no_object() -> None:
    """A pointer to something else: zeros, a word that leads nowhere, a table of what is no code."""
    zeros = ctypes.create_string_buffer(64)
    nowhere = ctypes.c_uint64(0x10)
    table = (ctypes.c_uint64 * 8)(*range(8))
    leads = ctypes.c_uint64(ctypes.addressof(table))
    for memory in (zeros, nowhere, leads):
        with pytest.raises(fr.SourceError, match=r"no COM object|lies in no loaded library"):
            fr.ComMethod(ctypes.addressof(memory), 3, schema=schema())
        with pytest.raises(fr.SourceError, match=r"no COM object|lies in no loaded library"):
            fr.ComMethod(ctypes.pointer(memory), 3, schema=schema())
