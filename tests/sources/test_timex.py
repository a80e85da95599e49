"""``linux:timex`` against the clocks of Python and a raw call."""

from __future__ import annotations

import ctypes
import struct
import time
from pathlib import Path

import numpy as np
from waiting import until

import fastrec as fr

STA_NANO = 0x2000


def nanoseconds(read: dict) -> int:
    unit = 1 if "STA_NANO" in read["status"] else 1000
    return read["time.tv_sec"] * 10**9 + read["time.tv_usec"] * unit


def raw() -> bytes:
    """adjtimex into plain bytes."""
    buffer = ctypes.create_string_buffer(208)
    assert ctypes.CDLL(None).adjtimex(buffer) >= 0
    return buffer.raw


def test_time_is_that_of_the_clock(tmp_path: Path) -> None:
    before = time.time_ns() // 1000 * 1000  # without STA_NANO, digits below 1 us are cut off
    read = fr.linux.timex().read()
    after = time.time_ns()
    assert before <= nanoseconds(read) <= after


def test_every_member_is_what_a_raw_call_says() -> None:
    """Offsets by hand, from the header; the time of day apart, which never stands still."""
    source = fr.linux.timex()
    places = {
        **dict(zip(("offset", "freq", "maxerror", "esterror"), (8, 16, 24, 32), strict=True)),
        **dict(zip(("constant", "precision", "tolerance"), (48, 56, 64), strict=True)),
        **dict(zip(("tick", "ppsfreq", "jitter"), (88, 96, 104), strict=True)),
        **dict(zip(("stabil", "jitcnt", "calcnt", "errcnt", "stbcnt"), range(120, 160, 8), strict=True)),
    }
    for _ in range(10_000):
        before, read, after = raw(), source.read(), raw()
        if before[:72] + before[88:] == after[:72] + after[88:]:
            break
    for name, offset in places.items():
        scale = 1 / 65536 if source.schema.field(name).unit == "ppm" else 1
        assert read.pop(name) == struct.unpack_from("<q", before, offset)[0] * scale, name
    labels = source.schema.field("status").labels
    assert labels.value(read.pop("status")) == struct.unpack_from("<i", before, 40)[0]
    assert read.pop("shift") == struct.unpack_from("<i", before, 112)[0]
    assert read.pop("tai") == struct.unpack_from("<i", before, 160)[0]
    assert read == {"modes": 0, "time.tv_sec": read["time.tv_sec"], "time.tv_usec": read["time.tv_usec"]}


def test_what_is_known_of_every_clock_of_linux() -> None:
    """Limits that the kernel compiles in: 500 ppm, 100 ticks a second; TAI as the other clock has it."""
    read = fr.linux.timex().read()
    assert read["tolerance"] == 500.0 and read["precision"] == 1 and 9000 <= read["tick"] <= 11000
    assert abs(read["freq"]) <= read["tolerance"]
    apart = time.clock_gettime_ns(time.CLOCK_TAI) - time.clock_gettime_ns(time.CLOCK_REALTIME)
    assert read["tai"] == round(apart / 1e9)


def test_members_whose_unit_depends_on_the_record_say_so() -> None:
    schema = fr.linux.timex().schema
    depends = {field.name for field in schema.fields if "STA_NANO" in field.doc}
    assert depends == {"offset", "jitter", "time.tv_usec"}
    assert not any(schema.field(name).unit for name in depends)


def test_recorded_time_goes_with_the_records(tmp_path: Path) -> None:
    """The time of day in a payload lies between the stamps of the records beside it."""
    path = tmp_path / "run.fastrec"
    with fr.Recorder(path) as rec:
        channel = rec.add("clock", fr.linux.timex(), rate=500)
        until(lambda: channel.stats.recorded > 200)
    assert channel.stats.failed == 0
    records = fr.open(path)["clock"]
    unit = np.where(records["status"] & STA_NANO, 1, 1000)
    told = records["time.tv_sec"] * 10**9 + records["time.tv_usec"] * unit
    stamps = np.array([records.clock.wall(int(stamp)) for stamp in records["mono_ns"]])
    assert (stamps[:-2] < told[1:-1]).all() and (told[1:-1] < stamps[2:]).all()
