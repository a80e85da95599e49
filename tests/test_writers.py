"""A ring has one writer: who else pushes is refused, and a forked child's is inert."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from programs import build
from waiting import until

import fastrec as fr

SCHEMA = fr.Schema.from_dtype([("n", "<u8")], name="counted")


def test_a_ring_that_a_poller_fills_takes_no_push() -> None:
    with fr.Recorder() as rec:
        channel = rec.add("cpu", "linux:rusage", rate=1000)
        until(lambda: channel.stats.recorded > 10)
        payload = bytes(channel.schema.size)
        for push in (channel.ring.push, channel.ring.extend):
            with pytest.raises(fr.RecordingError, match="a poller fills it"):
                push(payload)
            with pytest.raises(fr.RecordingError, match="a poller fills it"):
                push(memoryview(payload))
        until(lambda: channel.stats.recorded > 20)
        stats = channel.stats
        assert stats.slots == stats.recorded + stats.missed
        assert (np.diff(channel.snapshot()["mono_ns"].astype(np.int64)) >= 0).all()


def test_a_ring_in_a_forked_child_takes_no_push() -> None:
    script = """
import os, sys
import fastrec as fr
ring = fr.Ring(fr.Schema.from_dtype([("n", "<u8")]), 100)
for n in range(3):
    ring.push(n.to_bytes(8, "little"))
child = os.fork()
if not child:
    try:
        ring.push(bytes(8))
    except fr.RecordingError as error:
        os._exit(7 if "parent process" in str(error) else 8)
    os._exit(9)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
ring.push(bytes(8))
assert ring.snapshot().array["n"].tolist() == [0, 1, 2, 0]
"""
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", script]
    subprocess.run(command, check=True, timeout=60)


@pytest.mark.parametrize("text", [True, "direct"])
@pytest.mark.parametrize("store", ["every", "changes"])
def test_a_getter_finds_its_own_pointers_again(tmp_path: Path, text: bool | str, store: str) -> None:
    """One that sets its text only when it changes: what it left is a pointer still, not an id."""
    library = ctypes.CDLL(str(build(tmp_path, "rarely.c", "-shared", "-fPIC")))
    layout = np.dtype([("text", "<u8"), ("n", "<u8")])
    schema = fr.Schema.from_dtype(layout).with_field("text", text=text)
    with fr.Recorder() as rec:
        source = fr.Call(library.rarely, fr.OUT, schema=schema)
        channel = rec.add("t", source, rate=2000, store=store)
        until(lambda: channel.stats.slots > 300)
    assert channel.stats.texts_lost == 0
    assert set(channel.snapshot().decode()["text"]) == {"set once"}
    assert set(channel.snapshot()["text"].tolist()) == {1}


@pytest.mark.parametrize("code", [ctypes.c_int, type("Status", (ctypes.c_int,), {})])
def test_a_subclass_of_a_signed_type_is_signed(code: type) -> None:
    libc = ctypes.CDLL(None)
    libc.close.restype = code
    source = fr.Call(libc.close, -1, fr.OUT, schema=SCHEMA, returns="nonnegative")
    with pytest.raises(fr.SourceError, match="code 9"):
        fr.Recorder().add("closed", source, rate=10)


def test_arguments_that_argtypes_forbids_are_refused() -> None:
    libc = ctypes.CDLL(None)
    for types, message in (
        ([ctypes.c_double, ctypes.c_void_p], "argument 1 is declared a c_double; only integers and pointers"),
        ([ctypes.c_void_p, type("S", (ctypes.Structure,), {"_fields_": []})], "argument 2 is declared a S;"),
        ([ctypes.c_int, ctypes.c_void_p, ctypes.c_int], "takes 3 arguments by its argtypes, not 2"),
    ):
        libc.getrusage.argtypes = types
        with pytest.raises(fr.SourceError, match=message):
            fr.Call(libc.getrusage, 0, fr.OUT, schema=fr.linux.rusage().schema)
    libc.getrusage.argtypes = [ctypes.c_int, ctypes.c_void_p]
    assert fr.Call(libc.getrusage, 0, fr.OUT, schema=fr.linux.rusage().schema).read()["ru_maxrss"]


def test_an_unsigned_number_is_never_negative() -> None:
    libc = ctypes.CDLL(None)
    libc.getpid.restype = ctypes.c_uint
    with pytest.raises(fr.SourceError, match="would see no failure; set restype"):
        fr.Call(libc.getpid, fr.OUT, schema=SCHEMA, returns="nonnegative")


def test_a_loss_is_told_though_nothing_new_follows() -> None:
    """A lone failure among polls that find nothing new is in the gaps at once, and no part of the next."""
    calls = 0

    def status() -> bytes | None:
        nonlocal calls
        calls += 1
        if calls in (10, 60):
            raise OSError(5, os.strerror(5))
        return bytes(8) if calls < 3 else None

    with fr.Recorder() as rec:
        channel = rec.add("n", fr.PyCall(status, schema=SCHEMA), rate="max")
        until(lambda: channel.stats.held > 200)
        entries, _ = channel.ring.core.read_gaps()
        assert len(entries) == 2 * 64
        assert channel.ring.losses()["count"].tolist() == [1, 1]


@pytest.mark.parametrize("count", [3, 6])
def test_structs_of_another_size_are_no_rows(count: int) -> None:
    """Though all of them together are as long as some whole number of payloads."""
    other = type(
        "Other", (ctypes.Structure,), {"_fields_": [("mode", ctypes.c_int32), ("a", ctypes.c_double)]}
    )
    ring = fr.Ring(fr.Schema.from_dtype([("mode", "<i4"), ("a", "<f8")]), 64)
    with pytest.raises(fr.SchemaError, match="items of 16 bytes, the schema has payloads of 12"):
        ring.extend((other * count)())
    assert ring.extend(memoryview(bytes(24)).cast("i")) == 2 and len(ring) == 2
