"""The status cell: whole copies, a COM object's manners, texts that outlive their writer."""

from __future__ import annotations

import ctypes
import gc
import subprocess
import sysconfig
import threading
import uuid
from pathlib import Path

import numpy as np
import pytest

import fastrec
from fastrec.core.cell import StatusCell
from fastrec.errors import SchemaError

INCLUDE = Path(fastrec.__file__).parent / "include"
PROGRAM = Path(__file__).parents[1] / "c" / "cell.c"
STATUS_IID = uuid.UUID("7DB091BD-DB6A-4FA4-BCBF-0783E256C78C").bytes_le
UNKNOWN_IID = uuid.UUID("00000000-0000-0000-C000-000000000046").bytes_le
OTHER_IID = uuid.UUID("08548704-75B1-4982-9B26-FB385DEE741D").bytes_le
E_NOINTERFACE = 0x80004002 - 2**32
E_POINTER = 0x80004003 - 2**32

QUERY = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)
COUNT = ctypes.CFUNCTYPE(ctypes.c_uint32, ctypes.c_void_p)
STATUS = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p)


class Unknown:
    """A COM client that knows an interface pointer and nothing else."""

    def __init__(self, pointer: int) -> None:
        self.pointer = pointer
        slots = (ctypes.c_void_p * 4).from_address(ctypes.c_void_p.from_address(pointer).value)
        self._query, self._add_ref, self._release, self._status = (
            kind(slot) for kind, slot in zip((QUERY, COUNT, COUNT, STATUS), slots, strict=True)
        )

    def query(self, iid: bytes | None, out: ctypes.c_void_p | None) -> int:
        return self._query(self.pointer, iid, None if out is None else ctypes.addressof(out))

    def add_ref(self) -> int:
        return self._add_ref(self.pointer)

    def release(self) -> int:
        return self._release(self.pointer)

    def status(self, out: ctypes.Array | None) -> int:
        return self._status(self.pointer, None if out is None else ctypes.addressof(out))


def compile_program(folder: Path, include: Path) -> Path:
    program = folder / "cell"
    compiler = sysconfig.get_config_var("CC").split()
    flags = ["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", f"-I{include}", "-pthread"]
    subprocess.run([*compiler, *flags, PROGRAM, "-o", program], check=True)
    return program


def run(program: Path, *arguments: str) -> str:
    """What the program complains about; empty when it is content."""
    done = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode == 0) == (done.stdout == ""), done
    return done.stdout


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_program(tmp_path_factory.mktemp("cell"), INCLUDE)


def mutant(folder: Path, *changes: tuple[str, str]) -> Path:
    """The program over a cell.h with these changes."""
    text = (INCLUDE / "fastrec" / "cell.h").read_text()
    for old, new in changes:
        assert text.count(old) == 1
        text = text.replace(old, new)
    (folder / "fastrec").mkdir()
    (folder / "fastrec" / "cell.h").write_text(text)
    (folder / "fastrec" / "atomic.h").write_text((INCLUDE / "fastrec" / "atomic.h").read_text())
    return compile_program(folder, folder)


@pytest.mark.parametrize(
    ("suffix", "flags"),
    [(".c", ["-std=c11", "-Wpedantic"]), (".cpp", ["-x", "c++", "-std=c++17"])],
)
def test_header_compiles_alone(tmp_path: Path, suffix: str, flags: list[str]) -> None:
    source = tmp_path / f"alone{suffix}"
    body = "int main(void) { return !fr_cell_create(8, &fr_iid_unknown); }"
    source.write_text(f"#include <fastrec/cell.h>\n{body}\n")
    compiler = sysconfig.get_config_var("CC").split()
    flags = [*flags, "-Wall", "-Wextra", "-Werror", f"-I{INCLUDE}", "-c"]
    subprocess.run([*compiler, *flags, source, "-o", tmp_path / "alone.o"], check=True)


class TestWhole:
    def test_writer_that_comes_round_midway(self, program: Path) -> None:
        assert run(program, "lapped") == ""

    @pytest.mark.parametrize(
        ("bound", "complaint"),
        [("<= FR_CELL_SLOTS", "a-lapped-copy-was-kept"), ("< FR_CELL_SLOTS - 1", "a-whole-copy-was-dropped")],
    )
    def test_bound_is_exact(self, tmp_path: Path, bound: str, complaint: str) -> None:
        moved = mutant(tmp_path, ("- newest < FR_CELL_SLOTS", f"- newest {bound}"))
        assert complaint in run(moved, "lapped")

    def test_race(self, program: Path) -> None:
        assert run(program, "race", "0.5") == ""

    def test_race_sees_a_tear(self, tmp_path: Path) -> None:
        unguarded = mutant(
            tmp_path,
            ("#define FR_CELL_SLOTS 8", "#define FR_CELL_SLOTS 1"),
            ("- newest < FR_CELL_SLOTS", "- newest < UINT64_MAX"),
        )
        assert "torn" in run(unguarded, "race", "20")

    def test_race_through_python(self) -> None:
        cell = StatusCell(800)
        rows = np.arange(3000, dtype="<u8")[:, None] * np.ones(100, dtype="<u8")
        seen: list[bytes] = []
        stop = threading.Event()

        def read() -> None:
            while not stop.is_set():
                seen.append(cell.read())

        reader = threading.Thread(target=read)
        reader.start()
        for row in rows:
            cell.write(row)
        stop.set()
        reader.join()
        copies = np.frombuffer(b"".join([*seen, cell.read()]), dtype="<u8").reshape(-1, 100)
        assert (copies == copies[:, :1]).all()
        assert (np.diff(copies[:, 0].astype("<i8")) >= 0).all()
        assert copies[-1, 0] == 2999


class TestPython:
    def test_starts_as_zeros(self) -> None:
        assert StatusCell(28).read() == bytes(28)

    @pytest.mark.parametrize("size", [1, 7, 8, 28, 32, 33, 65536])
    def test_round_trip(self, size: int) -> None:
        cell = StatusCell(size)
        assert cell.size == size
        for version in range(20):
            payload = bytes((version + k) % 256 for k in range(size))
            cell.write(payload)
            assert cell.read() == payload

    def test_takes_any_buffer(self) -> None:
        cell = StatusCell(8)
        for payload in (
            memoryview(b"12345678"),
            (ctypes.c_uint32 * 2)(1, 2),
            np.array([(3, 4)], dtype=[("a", "<i4"), ("b", "<u4")]),
        ):
            cell.write(payload)
            assert cell.read() == bytes(payload)

    @pytest.mark.parametrize("size", [0, 65537])
    def test_size_refused(self, size: int) -> None:
        with pytest.raises(SchemaError, match=f"{size} bytes"):
            StatusCell(size)

    @pytest.mark.parametrize("payload", [b"", bytes(27), bytes(29)])
    def test_wrong_payload_changes_nothing(self, payload: bytes) -> None:
        cell = StatusCell(28)
        cell.write(b"x" * 28)
        with pytest.raises(SchemaError, match="pass 28"):
            cell.write(payload)
        assert cell.read() == b"x" * 28

    @pytest.mark.parametrize("iid", [b"short", STATUS_IID + b"\0", "7DB091BD"])
    def test_iid_refused(self, iid: bytes) -> None:
        with pytest.raises(SchemaError, match="interface id"):
            StatusCell(32, iid=iid)


class TestCom:
    def test_query_interface(self) -> None:
        cell = StatusCell(32, iid=STATUS_IID)
        com = Unknown(cell.pointer)
        for iid in (STATUS_IID, UNKNOWN_IID):
            out = ctypes.c_void_p()
            assert com.query(iid, out) == 0
            assert out.value == cell.pointer
        assert cell.refcount == 3
        out = ctypes.c_void_p(1)
        assert com.query(OTHER_IID, out) == E_NOINTERFACE
        assert out.value is None
        assert cell.refcount == 3
        assert com.release() == 2
        assert com.release() == 1

    def test_null_pointers(self) -> None:
        cell = StatusCell(32, iid=STATUS_IID)
        com = Unknown(cell.pointer)
        out = ctypes.c_void_p(1)
        assert com.query(STATUS_IID, None) == E_POINTER
        assert com.query(None, out) == E_POINTER
        assert out.value is None
        assert com.status(None) == E_POINTER
        assert cell.refcount == 1

    def test_without_an_interface_of_its_own(self) -> None:
        cell = StatusCell(32)
        assert Unknown(cell.pointer).query(STATUS_IID, ctypes.c_void_p()) == E_NOINTERFACE

    def test_counts(self) -> None:
        cell = StatusCell(32)
        com = Unknown(cell.pointer)
        assert [com.add_ref(), com.add_ref(), com.release(), com.release()] == [2, 3, 2, 1]

    @pytest.mark.parametrize("size", [28, 32])
    def test_get_status_writes_the_struct_and_no_more(self, size: int) -> None:
        cell = StatusCell(size, iid=STATUS_IID)
        out = ctypes.create_string_buffer(b"\xee" * 48, 48)
        cell.write(bytes(range(size)))
        assert Unknown(cell.pointer).status(out) == 0
        assert out.raw == bytes(range(size)) + b"\xee" * (48 - size)

    def test_getter(self) -> None:
        cell = StatusCell(28)
        cell.write(bytes(range(28)))
        out = ctypes.create_string_buffer(b"\xee" * 40, 40)
        assert STATUS(cell.getter)(cell.pointer, ctypes.addressof(out)) == 0
        assert out.raw == bytes(range(28)) + b"\xee" * 12


class TestTexts:
    def test_equal_texts_share_one_copy(self) -> None:
        cell = StatusCell(8)
        first = cell.text(b"http://127.0.0.1/")
        assert cell.text(b"http://127.0.0.1/x") != first
        assert cell.text(b"http://127.0.0.1/"[:]) == first
        assert ctypes.string_at(first) == b"http://127.0.0.1/"
        assert ctypes.string_at(cell.text(b"")) == b""

    def test_nul_refused(self) -> None:
        with pytest.raises(SchemaError, match="NUL"):
            StatusCell(8).text(b"a\0b")

    def test_alive_until_the_last_release(self) -> None:
        cell = StatusCell(8, iid=STATUS_IID)
        com = Unknown(cell.pointer)
        texts = [b"text number %d" % k for k in range(1000)]
        addresses = [cell.text(text) for text in texts]
        cell.write(addresses[7].to_bytes(8, "little"))
        com.add_ref()
        del cell
        gc.collect()
        noise = [bytes(100) for _ in range(10_000)]
        out = ctypes.create_string_buffer(8)
        assert com.status(out) == 0
        assert ctypes.string_at(int.from_bytes(out.raw, "little")) == texts[7]
        assert [ctypes.string_at(address) for address in addresses] == texts
        assert len(noise) == 10_000
        assert com.release() == 0

    def test_python_object_owns_one_reference(self) -> None:
        cell = StatusCell(8)
        com = Unknown(cell.pointer)
        com.add_ref()
        assert cell.refcount == 2
        del cell
        gc.collect()
        assert com.release() == 0
