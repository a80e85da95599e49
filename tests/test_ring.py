"""What a ring takes for payloads and stamps, and what it refuses: nothing of a refused call is published."""

from __future__ import annotations

import array
import ctypes
import decimal
import re
import threading
from collections.abc import Iterator

import numpy as np
import pytest
from layouts import LAYOUTS, reading

import fastrec as fr
from fastrec import Ring, Schema, SchemaError

DTYPE = np.dtype([("mode", "<i4"), ("count", "<u4"), ("level", "<f8")])
SCHEMA = Schema.from_dtype(DTYPE)
OTHER_ORDER = DTYPE.newbyteorder()
OTHER_NAMES = np.dtype([("a", "<i4"), ("b", "<u4"), ("c", "<f8")])
RAW = bytes(range(16))


@pytest.fixture(autouse=True, params=LAYOUTS)
def layout(request: pytest.FixtureRequest) -> Iterator[None]:
    with reading(request.param):
        yield


class Impostor:
    """No buffer, but something that calls itself a dtype."""

    dtype = "float64"


def refused(ring: Ring, call, *args: object) -> str:
    """The message of one refusal; the ring is as it was."""
    with pytest.raises(SchemaError) as caught:
        call(*args)
    assert ring.core.head == 0 and not any(ring.core.account().values())
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 600
    return str(caught.value)


PAYLOADS = {
    "objects": (np.zeros(2, object), "pushed object"),
    "floats": (np.zeros(2), "pushed float64"),
    "text": (np.zeros(1, "U4"), "pushed <U4"),
    "dates": (np.zeros(2, "M8[s]"), "pushed datetime64"),
    "complex": (np.zeros(1, "c16"), "pushed complex128"),
    "other order": (np.zeros((), OTHER_ORDER), "pushed .*>i4.* convert with astype"),
    "other names": (np.zeros(1, OTHER_NAMES), "pushed .*'a'.* convert with astype"),
    "an other row": (np.zeros(1, OTHER_NAMES)[0], "convert with astype"),
    "a number": (np.float64(5), "pushed float64"),
    "every other byte": (np.zeros(32, "u1")[::2], "contiguous"),
    "backwards": (memoryview(RAW)[::-1], "contiguous"),
    "no buffer": (Impostor(), "bytes-like .* pass bytes"),
    "str": ("x" * 16, "not 'str'; pass bytes"),
    "None": (None, "NoneType.* pass bytes"),
    "int": (5, "not 'int'; pass bytes"),
    "list": ([1, 2, 3.0], "not 'list'; pass bytes"),
    "tuple": ((1, 2, 3.0), "not 'tuple'; pass bytes"),
    "too short": (RAW[1:], "15 bytes"),
    "too long": (RAW + b"x", "17 bytes"),
}


@pytest.mark.parametrize("name", PAYLOADS)
def test_payloads_that_are_none(name: str) -> None:
    payload, complaint = PAYLOADS[name]
    ring = Ring(SCHEMA, 64)
    for call in (ring.push, ring.extend):
        assert re.search(complaint, refused(ring, call, payload))


@pytest.mark.parametrize(
    "payload",
    [
        RAW,
        bytearray(RAW),
        memoryview(RAW),
        memoryview(RAW).cast("d"),
        memoryview(RAW).cast("B", (4, 4)),
        array.array("i", [1, 2, 3, 4]),
        (ctypes.c_uint8 * 16).from_buffer_copy(RAW),
        np.frombuffer(RAW, "u1"),
        np.frombuffer(RAW, "i1").reshape(4, 4),
        np.frombuffer(RAW, "S16"),
        np.frombuffer(RAW, "V16")[0],
        np.frombuffer(RAW, DTYPE),
        np.frombuffer(RAW, DTYPE).reshape(()),
        np.frombuffer(RAW, DTYPE).reshape(1, 1),
        np.frombuffer(RAW * 3, DTYPE)[::-2][:1],
        np.frombuffer(RAW, DTYPE).view(np.recarray),
    ],
    ids=str,
)
def test_sixteen_bytes_of_any_shape(payload: object) -> None:
    ring = Ring(SCHEMA, 64)
    ring.push(payload)
    assert ring.snapshot().array.tobytes()[8:] == bytes(payload) == ring.array.tobytes()[8:24]


def test_numbers_where_every_field_is_one_of_them() -> None:
    ring = Ring(Schema.from_dtype([("x", "<f8"), ("y", "<f8")]), 64)
    ring.push(np.array([1.5, 2.5]))
    assert ring.extend(np.arange(6.0)) == 3
    assert ring.snapshot().array["y"].tolist() == [2.5, 1, 3, 5]
    for wrong in (np.zeros(2, "<f4"), np.zeros(2, ">f8"), np.zeros(2, "<i8"), np.zeros(4, "<f4")):
        with pytest.raises(SchemaError, match="pushed"):
            ring.push(wrong)
    assert ring.core.head == 4


STAMPS = {
    "before 0": -1,
    "beyond": 2**62,
    "beyond any": 2**63,
    "far beyond": 10**400,
    "unsigned": np.uint64(2**63),
    "float": 1.5,
    "whole float": 3.0,
    "numpy float": np.float64(3),
    "decimal": decimal.Decimal(3),
    "text": "5",
    "bool": True,
    "nan": float("nan"),
    "list": [1],
    "array": np.array([5]),
    "date": np.datetime64(5, "ns"),
}


@pytest.mark.parametrize("name", STAMPS)
def test_stamps_that_are_none(name: str) -> None:
    ring = Ring(SCHEMA, 64)
    message = refused(ring, ring.push, RAW, STAMPS[name])
    assert message.startswith("mono_ns=") and "whole number of ns from 0 to 2**62 - 1" in message


def test_stamps_at_the_limits() -> None:
    ring = Ring(SCHEMA, 64)
    for stamp in (0, np.int64(7), np.uint8(9), np.array(10), 2**62 - 1, 2**62 - 1):
        assert ring.push(RAW, stamp)
    with pytest.raises(SchemaError, match=r"stamp 5 is before 4611686018427387903.* never decrease$"):
        ring.push(RAW, 5)
    assert ring.push(RAW) and ring.snapshot().array["mono_ns"].tolist()[-2:] == [2**62 - 1] * 2


ARRAYS = {
    "none": ([], r"shape \(0,\)|0 stamps for 2 payloads"),
    "too few": ([1], "1 stamps for 2 payloads"),
    "too many": ([1, 2, 3], "3 stamps for 2 payloads"),
    "one for all": (5, r"shape \(\)"),
    "decreasing": ([2, 1], "row 1: stamp 1 is before 2.* never decrease$"),
    "negative": ([-5, -3], r"row 0: stamp -5 is none; they are whole ns from 0 to 2\*\*62 - 1"),
    "negative array": (np.array([-5, -3]), "row 0: stamp -5 is none"),
    "beyond": (np.array([1, 2**62]), "row 1: stamp 4611686018427387904 is none"),
    "floats": ([1.5, 2.5], "array of float64"),
    "whole floats": (np.array([1.0, 2.0]), "array of float64"),
    "nan": ([float("nan"), 2], "array of float64"),
    "text": (["1", "2"], "array of <U1"),
    "bools": ([False, True], "array of bool"),
    "nothing": ([None, None], "array of object"),
    "big": ([2**64, 2**65], "array of object"),
    "unsigned": (np.array([1, 2**63], "u8"), "row 1: stamp 9223372036854775808"),
    "column": (np.zeros((2, 1), "i8"), r"shape \(2, 1\)"),
    "dates": (np.array([1, 2], "M8[ns]"), "datetime64"),
    "complex": ([1j, 2j], "complex128"),
    "set": ({1, 2}, "array of object"),
    "str": ("ab", "array of <U2"),
    "bytes": (bytes(16), r"array of .S"),
    "ragged": ([[1], [2, 3]], "no array of stamps"),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_stamps_of_many_that_are_none(name: str) -> None:
    stamps, complaint = ARRAYS[name]
    ring = Ring(SCHEMA, 64)
    with pytest.raises(SchemaError, match=complaint):
        ring.extend(RAW * 2, stamps)
    assert ring.core.head == 0 and not any(ring.core.account().values())


@pytest.mark.parametrize(
    "stamps",
    [range(1, 3), (1, 2), np.array([1, 2], ">i8"), np.array([1, 9, 2, 9])[::2], np.array([1, 2], "u1")],
    ids=str,
)
def test_stamps_of_many_in_other_forms(stamps: object) -> None:
    ring = Ring(SCHEMA, 64)
    assert ring.extend(RAW * 2, stamps) == 2
    assert ring.snapshot().array["mono_ns"].tolist() == [1, 2]


def test_extend_by_nothing() -> None:
    ring = Ring(SCHEMA, 64)
    for nothing in (b"", np.zeros(0, DTYPE), bytearray()):
        assert (
            ring.extend(nothing) == ring.extend(nothing, []) == ring.extend(nothing, np.zeros(0, "i8")) == 0
        )
    assert ring.core.head == 0 and not any(ring.core.account().values())


def test_extend_takes_a_row_of_rows() -> None:
    ring = Ring(SCHEMA, 64)
    for rows in (np.zeros((2, 3), DTYPE), np.zeros((), DTYPE), np.zeros((0, 3), DTYPE)):
        assert "(n,): pass array.ravel()" in refused(ring, ring.extend, rows)
    assert "31 bytes are no whole number" in refused(ring, ring.extend, bytes(31))


@pytest.mark.parametrize("many", [False, True])
def test_two_threads_at_once(many: bool) -> None:
    """Against the rules, so the order is anybody's: but nothing is torn, and every push is counted."""
    ring = Ring(SCHEMA, 200_000)
    payload = [bytes([number]) * 16 * (50 if many else 1) for number in (1, 2)]
    rounds = 2_000 if many else 20_000
    start = threading.Barrier(2)

    def push(number: int) -> None:
        start.wait()
        for _ in range(rounds):
            (ring.extend if many else ring.push)(payload[number])

    threads = [threading.Thread(target=push, args=(number,)) for number in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    total = 2 * rounds * (50 if many else 1)
    account, rows = ring.core.account(), ring.snapshot().array
    assert account["slots"] == account["recorded"] == ring.core.head == len(rows) == total
    assert (np.diff(rows["mono_ns"]) >= 0).all()
    bodies = np.ascontiguousarray(rows).view("u1").reshape(total, -1)[:, 8:]
    assert (bodies == bodies[:, :1]).all() and np.bincount(bodies[:, 0]).tolist() == [
        0,
        total // 2,
        total // 2,
    ]


@pytest.mark.parametrize("capacity", [None, True, "64", b"64", 64.0, float("nan"), [64], np.float64(64)])
def test_capacities_that_are_none(capacity: object) -> None:
    with pytest.raises(SchemaError, match=r"capacity=.*number of records"):
        Ring(SCHEMA, capacity)


@pytest.mark.parametrize("schema", [None, DTYPE, "linux:rusage", 5])
def test_schemas_that_are_none(schema: object) -> None:
    with pytest.raises(SchemaError, match="no Schema"):
        Ring(schema, 64)


def test_a_channel_that_outlives_its_recorder() -> None:
    channel = fr.Recorder().add("s", schema=DTYPE)
    for call in (channel.push, channel.extend):
        with pytest.raises(fr.RecordingError, match="was dropped"):
            call(RAW)
    assert len(channel.snapshot()) == 0
