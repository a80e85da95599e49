"""The ring: nothing torn, every number accounted for, and what a push refuses."""

from __future__ import annotations

import ctypes
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from children import PIPES, child
from programs import INCLUDE, build, run, seeded, some_now

from fastrec import Ring, Schema, SchemaError, SourceError

DTYPE = np.dtype([("mode", "<i4"), ("level", "<u2")])
SCHEMA = Schema.from_dtype(DTYPE, name="odd")  # 6 bytes: the last word of a record is not full


def filled(count: int, capacity: int = 100) -> Ring:
    ring = Ring(SCHEMA, capacity)
    for i in range(count):
        ring.push(np.array((i, i % 7), DTYPE), 1000 + i)
    return ring


WRITERS = ["put", "payloads", "poll"]

SANITIZERS = {
    "thread": ["-fsanitize=thread", "-DFR_RACE_CHECK"],
    "address": ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-DFR_RACE_CHECK"],
}
"""No sanitizer sees into the assembly of a copy: FR_RACE_CHECK does without."""


def stress(program: Path, records: int, capacity: int, writer: str) -> None:
    """Two readers and a writer of records that prove themselves: the program checks, and prints."""
    result = run(program, records, capacity, writer, timeout=3600)
    assert result.returncode == 0, result.stdout + result.stderr
    returned = [int(n) for n in re.findall(r"returned (\d+)", result.stdout)]
    assert len(returned) == 2 and min(returned) > 0


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("capacity", [100, 4096])
def test_stress(tmp_path: Path, capacity: int, writer: str) -> None:
    stress(build(tmp_path, "ring_stress.c"), 5_000_000 if writer == "poll" else 30_000_000, capacity, writer)


@pytest.mark.stress
@pytest.mark.parametrize("writer", WRITERS)
def test_a_billion_records(tmp_path: Path, writer: str) -> None:
    records = 100_000_000 if writer == "poll" else 1_000_000_000
    stress(build(tmp_path, "ring_stress.c"), records, 4096, writer)


@pytest.mark.stress
@pytest.mark.parametrize("writer", WRITERS)
def test_ten_million_records_raced(tmp_path: Path, writer: str) -> None:
    stress(build(tmp_path, "ring_stress.c", *SANITIZERS["thread"]), 10_000_000, 1000, writer)


@pytest.mark.once
@pytest.mark.parametrize("sanitizer", SANITIZERS)
def test_stress_sanitized(tmp_path: Path, sanitizer: str) -> None:
    program = build(tmp_path, "ring_stress.c", *SANITIZERS[sanitizer])
    for writer in WRITERS:
        stress(program, 200_000, 1000, writer)


@pytest.mark.once
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("fr_store_relaxed((uint64_t *)(void *)to, w);", "*(uint64_t *)(void *)to = w;"),
        ("w = fr_load_relaxed((const uint64_t *)(const void *)from);", "memcpy(&w, from, sizeof w);"),
    ],
    ids=["plain store", "plain load"],
)
def test_a_plain_access_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: str, after: str
) -> None:
    monkeypatch.setenv("TSAN_OPTIONS", "halt_on_error=1")
    include = seeded(tmp_path, "atomic.h", before, after)
    program = build(tmp_path, "ring_stress.c", *SANITIZERS["thread"], include=include)
    for writer in WRITERS:
        results = (run(program, 200_000, 1000, writer) for _ in range(10))
        assert any("ThreadSanitizer: data race" in result.stderr for result in results), writer


@pytest.mark.once
@pytest.mark.parametrize("flags", [[], ["-O3"], *SANITIZERS.values()], ids=["O2", "O3", *SANITIZERS])
def test_every_size_is_copied_whole(tmp_path: Path, flags: list[str]) -> None:
    result = run(build(tmp_path, "copies.c", *flags))
    assert result.stdout == "wrong 0\n", result.stderr


@pytest.mark.once
@pytest.mark.parametrize(
    ("header", "before", "after"),
    some_now(
        [
            ("atomic.h", "fr_move_pairs(way, to + end - 64,", "fr_move_pairs(way, to + 64,"),
            ("atomic.h", "} else if (words > 3) {", "} else if (words > 2) {"),
            ("atomic.h", "words -= 8, to += 64, from += 64", "words -= 8, to += 64, from += 56"),
            ("atomic.h", "for (; (uintptr_t)to % 16; words--, to += 8, from += 8)", "if (0)"),
            ("ring.h", "word >> (64 - 8 * rest)", "word >> (56 - 8 * rest)"),
            ("ring.h", "payload + size - 8, 8);", "payload + size / 8 * 8, 8);"),
            ("ring.h", "case 7: function(__VA_ARGS__, 7);", "case 7: function(__VA_ARGS__, 6);"),
            ("ring.h", "payloads += part * size)", "payloads += size)"),
        ]
    ),
    ids=[
        "a block's end",
        "a block too soon",
        "past the cache",
        "off its boundary",
        "a last word",
        "read beyond",
        "a size's end",
        "after the turn",
    ],
)
def test_a_wrong_copy_is_seen(tmp_path: Path, header: str, before: str, after: str) -> None:
    include = seeded(tmp_path, header, before, after)
    flags = SANITIZERS["address"][:-1]  # what is shipped: it has a way past the cache
    assert run(build(tmp_path, "copies.c", *flags, include=include)).returncode != 0


@pytest.mark.parametrize(
    "language", [["-x", "c", "-std=c11", "-D_DEFAULT_SOURCE"], ["-x", "c++", "-std=c++17"]]
)
@pytest.mark.parametrize(
    "header", ["atomic", "crc32c", "format", "os", "ring", "text", "histogram", "poll", "tsc"]
)
def test_headers_compile_alone(tmp_path: Path, header: str, language: list[str]) -> None:
    source = tmp_path / "alone.c"
    source.write_text(f"#include <fastrec/{header}.h>\nint main(void) {{ return 0; }}\n")
    command = ["g++" if "c++" in language else "gcc", *language, "-Wall", "-Werror", f"-I{INCLUDE}"]
    subprocess.run([*command, "-c", source, "-o", tmp_path / "alone.o"], check=True)


class TestSnapshot:
    def test_newest(self) -> None:
        snapshot = filled(350).snapshot()
        assert snapshot.first_seq == 250 and snapshot.lost == 0
        np.testing.assert_array_equal(snapshot.array["mode"], np.arange(250, 350))
        np.testing.assert_array_equal(snapshot.array["mono_ns"], np.arange(1250, 1350))
        assert not snapshot.array.flags.writeable

    def test_count(self) -> None:
        assert filled(50).snapshot(7).array["mode"].tolist() == list(range(43, 50))
        assert len(filled(3).snapshot(7).array) == 3
        assert len(filled(0).snapshot().array) == 0

    def test_lost_is_exact(self) -> None:
        ring = filled(350)
        room = np.empty(1000, SCHEMA.record_dtype).view(np.uint8)
        first, count, skip, lost = ring.core.read_into(room, 20)
        assert (first, count, skip, lost) == (250, 100, 0, 230)

    def test_padding_is_zero(self) -> None:
        raw = filled(300).snapshot().array.tobytes()
        assert all(raw[i + 14 : i + 16] == b"\0\0" for i in range(0, len(raw), 16))


def test_array_is_live() -> None:
    ring = filled(1)
    assert ring.array.shape == (164,) and ring.array.dtype == SCHEMA.record_dtype
    assert not ring.array.flags.writeable
    ring.push(np.array((99, 1), DTYPE))
    assert ring.array["mode"][1] == 99


class TestPush:
    def test_any_buffer(self) -> None:
        class Status(ctypes.Structure):
            _pack_ = 2
            _fields_ = [("mode", ctypes.c_int32), ("level", ctypes.c_uint16)]

        ring = Ring(SCHEMA, 64)
        for payload in (
            np.array((1, 2), DTYPE), np.array([(1, 2)], DTYPE), np.array((1, 2), DTYPE)[()], Status(1, 2),
            bytes(Status(1, 2)), bytearray(bytes(Status(1, 2))), memoryview(bytes(Status(1, 2))),
        ):  # fmt: skip
            assert ring.push(payload)
        array = ring.snapshot().array
        assert array["mode"].tolist() == [1] * 7 and array["level"].tolist() == [2] * 7
        assert (np.diff(array["mono_ns"]) >= 0).all()

    @pytest.mark.parametrize(
        "payload", [b"", b"12345", b"1234567", np.zeros(1, "<f4,<u2"), np.zeros(2, DTYPE), "text", 5, None]
    )
    def test_refused(self, payload: object) -> None:
        ring = Ring(SCHEMA, 64)
        with pytest.raises(SchemaError):
            ring.push(payload)
        assert ring.core.head == 0 and ring.core.account()["slots"] == 0

    def test_stamps_never_decrease(self) -> None:
        ring = Ring(SCHEMA, 64)
        ring.push(b"123456", 10)
        ring.push(b"123456", 10)
        with pytest.raises(SchemaError, match="stamp 9 is before 10"):
            ring.push(b"123456", 9)
        assert ring.core.head == 2

    def test_extend(self) -> None:
        ring = Ring(SCHEMA, 64)
        rows = np.zeros(200, DTYPE)
        rows["mode"] = np.arange(200)
        assert ring.extend(rows[:150], np.arange(150)) == 150
        assert ring.extend(rows[150:].tobytes()) == 50
        snapshot = ring.snapshot()
        assert snapshot.first_seq == 136 and snapshot.array["mode"].tolist() == list(range(136, 200))
        late = ring.core.account()["last"]
        with pytest.raises(SchemaError, match=f"row 2: stamp {late + 3} is before {late + 9}"):
            ring.extend(rows[:3], late + np.array([0, 9, 3]))
        with pytest.raises(SchemaError, match="not contiguous"):
            ring.extend(rows[::2])
        assert ring.core.head == 200


def test_bounded_ring_drops_the_newest() -> None:
    ring = Ring(SCHEMA, 64, bounded=True)
    assert [ring.push(b"123456", i) for i in range(70)] == [True] * 64 + [False] * 6
    assert ring.core.account()["dropped"] == 6 and ring.core.head == 64
    (gap,) = ring.losses()
    assert (gap["seq"], gap["count"], gap["cause"], gap["t_first"], gap["t_last"]) == (64, 6, 2, 64, 69)


def test_lapped_gap_lane_keeps_the_counts() -> None:
    """A hundred thousand losses with other codes between: places coarsen, counts do not."""
    ring = Ring(SCHEMA, 64, bounded=True)
    ring.extend(np.zeros(64, DTYPE), np.zeros(64, "<i8"))
    for i in range(30_000):
        ring.push(b"123456", i * 20_000_000)  # each beyond the 10 ms of the piece before
    gaps = ring.losses()
    assert gaps["count"].sum() == 30_000 and len(gaps) <= 4098


def test_too_large_is_refused() -> None:
    for capacity in (1 << 50, 1 << 60, -(1 << 60), 1.5):
        with pytest.raises(SchemaError, match="capacity"):
            Ring(SCHEMA, capacity)
    with pytest.raises(SourceError, match="lower capacity"):
        Ring(SCHEMA, 1 << 32)
    with pytest.raises(SchemaError, match="at least 64"):
        Ring(SCHEMA, 3)


def test_its_header_names_one_process_alone() -> None:
    """A pid comes again; with the moment at which its process began it does not."""
    program = (
        "import ctypes, os; from fastrec.core.ring import Ring; print(os.getpid());"
        "ctypes.CDLL(None).prctl(15, b') 1 (', 0, 0, 0);"  # field 2 of its stat may look like any others
        "about = Ring(capacity=64).about; print(about['pid'], about['pid_start']); input()"
    )
    with child([sys.executable, "-c", program], stdin=subprocess.PIPE, **PIPES) as process:
        pid = int(process.stdout.readline())
        told = tuple(map(int, process.stdout.readline().split()))
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        process.communicate("\n", timeout=60)
    assert told == (pid, int(fields[22 - 3]))
