"""A push: every form by every way, an account that always adds up, and no allocation."""

from __future__ import annotations

import array
import ctypes
import inspect
import mmap
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from layouts import LAYOUTS, proof, reading
from programs import build

from fastrec import Ring, Schema, SchemaError
from fastrec.core.push import learn_numpy

PADDED = np.dtype([("mode", "u1"), ("level", "<f8")], align=True)
SCHEMA = Schema.from_dtype(PADDED)
RAW = bytes([7, 0, 0, 0, 0, 0, 0, 0, *range(8)])


class Struct(ctypes.Structure):
    _fields_ = [("mode", ctypes.c_uint8), ("level", ctypes.c_double)]


class Either(ctypes.Union):
    _fields_ = [("struct", Struct), ("words", ctypes.c_uint64 * 2)]


class Named(Struct):
    dtype = PADDED


class Text(bytes):
    pass


def unaligned(count: int) -> np.ndarray:
    return np.frombuffer(b"x" + RAW * count, PADDED, offset=1)


def mapped() -> mmap.mmap:
    memory = mmap.mmap(-1, 16)
    memory[:] = RAW
    return memory


def rows(count: int = 1) -> np.ndarray:
    return np.frombuffer(RAW * count, SCHEMA.dtype)


FORMS: dict[str, Callable[[], object]] = {
    "bytes": lambda: RAW,
    "bytes' subclass": lambda: Text(RAW),
    "bytearray": lambda: bytearray(RAW),
    "memoryview": lambda: memoryview(RAW),
    "memoryview of doubles": lambda: memoryview(RAW).cast("d"),
    "array.array": lambda: array.array("q", RAW),
    "mmap": mapped,
    "ctypes": lambda: Struct.from_buffer_copy(RAW),
    "ctypes with a dtype": lambda: Named.from_buffer_copy(RAW),
    "ctypes array": lambda: (ctypes.c_double * 2).from_buffer_copy(RAW),
    "ctypes union": lambda: Either.from_buffer_copy(RAW),
    "row": lambda: rows()[0],
    "row that owns itself": lambda: rows()[0].copy(),
    "row of a reversed array": lambda: rows(3)[::-1][1],
    "row of a column": lambda: np.asfortranarray(rows(6).reshape(2, 3))[1, 2],
    "row out of line": lambda: unaligned(2)[1],
    "record": lambda: rows().view(np.recarray)[0],
    "opaque row": lambda: np.frombuffer(RAW, "V16")[0],
    "row of an equal dtype": lambda: np.frombuffer(RAW, PADDED)[0],
    "array": lambda: rows(),
    "array of no dimension": lambda: rows().reshape(()),
    "array of three": lambda: rows().reshape(1, 1, 1),
    "array out of line": lambda: unaligned(1),
    "reversed array": lambda: rows(3)[::-1][:1],
    "recarray": lambda: rows().view(np.recarray),
    "masked array": lambda: np.ma.MaskedArray(rows()),
    "bytes of numpy": lambda: np.frombuffer(RAW, "u1").reshape(4, 4),
    "text of numpy": lambda: np.frombuffer(RAW, "S16"),
}


@pytest.fixture(params=LAYOUTS)
def layout(request: pytest.FixtureRequest) -> Iterator[str]:
    with reading(request.param):
        yield request.param


@pytest.mark.parametrize("form", FORMS)
def test_forms(layout: str, form: str) -> None:
    """Twice, as what was judged once may take another way; stamped and not; among other forms."""
    ring = Ring(SCHEMA, 64)
    payload = FORMS[form]()
    for stamp in (None, None, 2**61, 2**61 + 1):
        assert ring.push(payload, stamp) is True
        assert ring.push(RAW) and ring.push(memoryview(RAW))
    flat = getattr(payload, "ndim", 1) == 1 or payload.dtype.names is None
    for stamps in (None, None, [2**62 - 1]):
        if flat:
            assert ring.extend(payload, stamps) == 1
    array = ring.snapshot().array
    assert len(array) == 12 + 3 * flat
    # By value: a copy of NumPy's leaves out the padding.
    assert set(array["mode"]) == {7} and {level.tobytes() for level in array["level"]} == {RAW[8:]}
    assert array["mono_ns"][[6, 9]].tolist() == [2**61, 2**61 + 1]
    assert (np.diff(array["mono_ns"]) >= 0).all()
    account = ring.core.account()
    assert (account["start"], account["last"]) == (array["mono_ns"][0], array["mono_ns"][-1])
    assert account["slots"] == account["recorded"] == ring.core.head == len(array)


@pytest.mark.parametrize("form", FORMS)
def test_nothing_is_held(layout: str, form: str) -> None:
    """Neither by what was taken, nor by what was refused."""
    ring, small = Ring(SCHEMA, 64), Ring(Schema.from_dtype([("n", "u1")]), 64)
    payload = FORMS[form]()
    ring.push(payload)
    before = sys.getrefcount(payload), sys.getrefcount(None)
    for _ in range(1000):
        ring.push(payload)
        ring.push(payload, 2**61)
        for refused in (small.push, ring.push):
            with pytest.raises(SchemaError):
                refused(payload, 5)
        if getattr(payload, "ndim", 1) == 1:
            ring.extend(payload)
            ring.extend(payload, [2**61])
    assert sys.getrefcount(payload) == before[0] and abs(sys.getrefcount(None) - before[1]) < 900


def test_how_many(layout: str) -> None:
    """One to push, any number to extend."""
    ring = Ring(SCHEMA, 64)
    ring.push(rows()[0])
    for wrong in (rows(2), rows(0), rows(4).reshape(2, 2), RAW * 2, b"", memoryview(RAW * 2)):
        with pytest.raises(SchemaError, match="bytes pushed, the schema has 16"):
            ring.push(wrong)
    numbers = np.zeros(300, SCHEMA.dtype)
    numbers["level"] = np.arange(300)
    for count in (0, 1, 63, 64, 65, 107):
        assert ring.extend(numbers[:count]) == count
        numbers = numbers[count:]
    for wrong in (rows(4).reshape(2, 2), rows().reshape(())):
        with pytest.raises(SchemaError, match=r"pass array.ravel\(\)"):
            ring.extend(wrong)
    assert ring.snapshot().array["level"].tolist() == list(range(236, 300)) and ring.core.head == 301


def test_each_call_says_what_it_takes() -> None:
    ring = Ring(SCHEMA, 64)
    assert str(inspect.signature(ring.push)) == "(payload, mono_ns=None)"
    assert str(inspect.signature(ring.extend)) == "(payloads, mono_ns=None)"
    assert ring.push(mono_ns=3, payload=RAW) and ring.extend(mono_ns=[5], payloads=RAW) == 1
    assert ring.array["mono_ns"][:2].tolist() == [3, 5]
    for wrong in ((), (RAW, 9, 9)):
        with pytest.raises(TypeError):
            ring.push(*wrong)
    assert ring.core.head == 2


def test_what_was_judged_stays_judged(layout: str) -> None:
    """Another dtype is refused after one that passed, and a class with a dtype after one without."""

    class Other(Struct):
        dtype = np.dtype("<f4,<f4,<f4,<f4")

    class Loose(array.array):
        pass

    loose = Loose("q", RAW)
    loose.dtype = Other.dtype
    ring = Ring(SCHEMA, 64)
    for good in (
        rows()[0],
        np.frombuffer(RAW, "V16")[0],
        np.frombuffer(RAW, "u1"),
        Struct(),
        Loose("q", RAW),
    ):
        for _ in range(2):
            ring.push(good)
        for bad in (
            np.zeros(2), np.zeros(1, Other.dtype), np.zeros(1, Other.dtype)[0], Other(), np.zeros(17, "u1"),
            np.zeros(32, "u1")[::2], np.zeros(3, PADDED)[::2], loose,
        ):  # fmt: skip
            with pytest.raises(SchemaError):
                ring.push(bad)
            with pytest.raises(SchemaError):
                ring.extend(bad)
    assert ring.core.head == 10


def test_stamps_that_decrease(layout: str) -> None:
    """Nothing of the call is published, however late it is found."""
    ring = Ring(SCHEMA, 64)
    ring.push(RAW, 100)
    for stamps, row, before in (([99, 101], 0, 100), ([100, 101, 100], 2, 101), ([0], 0, 100)):
        with pytest.raises(SchemaError, match=f"row {row}: stamp {stamps[row]} is before {before}, the one"):
            ring.extend(RAW * len(stamps), np.array(stamps))
    late = np.arange(100, 1100)
    late[999] = 5
    with pytest.raises(SchemaError, match="row 999: stamp 5 is before 1098, the one"):
        ring.extend(rows(1000), late)
    with pytest.raises(SchemaError, match="999 stamps for 1000 payloads"):
        ring.extend(rows(1000), np.arange(100, 1100)[:999])
    assert ring.core.head == 1 and ring.core.account()["last"] == 100
    assert ring.extend(rows(3), np.array([1, 100, 2, 100, 3, 101])[1::2]) == 3
    assert ring.extend(rows(2), np.array([101, 102], "M8[ns]").view("i8")) == 2
    assert ring.snapshot().array["mono_ns"].tolist() == [100, 100, 100, 101, 101, 102]


@pytest.mark.parametrize("offset", [0, 1])
def test_stamps_out_of_line(layout: str, offset: int) -> None:
    stamps = np.frombuffer(b"x" * offset + np.arange(5, 9).tobytes(), "<i8", offset=offset)
    ring = Ring(SCHEMA, 64)
    assert ring.extend(RAW * 4, stamps) == 4
    assert ring.snapshot().array["mono_ns"].tolist() == [5, 6, 7, 8]


def flags(array: np.ndarray, **lie: bool) -> SimpleNamespace:
    true = np.asarray(array).flags
    return SimpleNamespace(**{"c_contiguous": true.c_contiguous, "aligned": true.aligned, **lie})


LIES: dict[str, Callable[[np.ndarray], object]] = {
    "dtype": lambda array: np.dtype("V16"),
    "ndim": lambda array: 3,
    "shape": lambda array: (3, 2),
    "flags.c_contiguous": lambda array: flags(array, c_contiguous=False),
    "flags.aligned": lambda array: flags(array, aligned=False),
    "__array_interface__": lambda array: {"data": (id(RAW), False)},
}


def lying(base: type, fact: str) -> type:
    """NumPy's array or row, but one fact is not what its memory says: as it would be with another layout."""
    return type("Lying", (base,), {fact.partition(".")[0]: property(LIES[fact])})


@pytest.mark.parametrize(
    "fact", ["dtype", "ndim", "shape", "flags.c_contiguous", "flags.aligned", "__array_interface__"]
)
def test_an_array_of_another_layout_is_found_out(fact: str) -> None:
    array, *others = proof(np.zeros((2, 3), PADDED))
    with reading("layout"):
        assert learn_numpy(array, *others) is True
        assert learn_numpy(array.view(lying(np.ndarray, fact)), *others) is False
        still_pushed()


@pytest.mark.parametrize("fact", ["dtype", "__array_interface__"])
def test_a_row_of_another_layout_is_found_out(fact: str) -> None:
    array, row, record, stamps = proof(np.zeros((2, 3), PADDED))
    liar = array.view(np.dtype((lying(np.void, fact), PADDED)))[1, 2]
    with reading("layout"):
        assert learn_numpy(array, liar, record, stamps) is False
        assert learn_numpy(array, row, liar, stamps) is False
        still_pushed()


def test_an_object_too_small_is_not_looked_at() -> None:
    array, row, record, stamps = proof(np.zeros((2, 3), PADDED))
    with reading("layout"):
        for wrong in ((object(), row, record, stamps), (array, object(), record, stamps)):
            assert learn_numpy(*wrong) is False
        still_pushed()


def still_pushed() -> None:
    """Rows and arrays are buffers now, and go where they should."""
    ring = Ring(SCHEMA, 64)
    assert ring.push(rows()[0]) and ring.extend(rows(2)) == 2 and ring.array.tobytes()[8:24] == RAW


def test_this_numpy_has_the_layout() -> None:
    assert learn_numpy(*proof(np.zeros((2, 3), PADDED)))


PLAIN = ["row", "record", "array", "bytes", "bytearray", "ctypes", "memoryview", "row of an equal dtype"]


@pytest.mark.parametrize("form", PLAIN)
def test_a_push_allocates_nothing(form: str) -> None:
    ring = Ring(SCHEMA, 64)
    payload, push, extend = FORMS[form](), ring.push, ring.extend
    push(payload)
    last = 2**61

    def blocks(count: int) -> int:
        """Blocks that are held after `count` calls, and were not before."""
        before = sys.getallocatedblocks()
        for _ in range(count):
            push(payload)
        for _ in range(count):
            push(payload, last)
        for _ in range(100):
            extend(payload)
        return sys.getallocatedblocks() - before

    blocks(10)
    assert blocks(300_000) <= 2


class Seen(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in ("samples", "torn", "ahead", "wrong", "records")]


@pytest.mark.parametrize("bounded", [False, True], ids=["overwrite", "drop"])
def test_every_sample_adds_up(tmp_path: Path, bounded: bool) -> None:
    """A thread in C looks on while Python pushes and extends: accounts, records and stamps are whole."""
    watch = ctypes.CDLL(str(build(tmp_path, "push_watch.c", "-shared", "-fPIC"))).watch
    ring = Ring(Schema.from_dtype([("n", "<u8")]), 100, bounded=bounded)
    seen, stop = Seen(), ctypes.c_int()
    looking = threading.Thread(
        target=watch, args=(ctypes.c_void_p(ring.array.ctypes.data), ctypes.byref(stop), ctypes.byref(seen))
    )
    looking.start()
    pushed = 0
    try:
        while seen.samples < 20_000 or pushed < 4_000_000:
            numbers = np.arange(pushed, pushed + 10_000, dtype="u8")
            for row in numbers[:200].view([("n", "<u8")]):
                ring.push(row)
            ring.extend(numbers[200:])
            pushed += len(numbers)
    finally:
        stop.value = 1
        looking.join()
    account = ring.core.account()
    assert account["slots"] == pushed and account["recorded"] == ring.core.head == (
        100 if bounded else pushed
    )
    assert account["dropped"] == pushed - account["recorded"]
    assert (seen.torn, seen.ahead, seen.wrong) == (0, 0, 0) and seen.records > 0
