"""What libraries offer, against binutils; and files that are none, which must not end the process."""

from __future__ import annotations

import os
import random
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from programs import build

from fastrec.errors import SourceError
from fastrec.sources import elf

TEXT = """
int get(void) { return 0; }
int data = 5;
__thread int mine;
static int hidden_by_static(void) { return 1; }
__attribute__((visibility("hidden"))) int hidden(void) { return hidden_by_static(); }
__attribute__((weak)) int weak(void) { return hidden(); }
static int (*chosen(void))(void) { return get; }
int late(void) __attribute__((ifunc("chosen")));
extern int elsewhere(void);
int calls(void) { return elsewhere(); }
"""


def library(folder: Path, *flags: str, text: str = TEXT) -> Path:
    source, target = folder / "one.c", folder / "one.so"
    source.write_text(text)
    subprocess.run(["gcc", "-shared", "-fPIC", "-nostdlib", *flags, source, "-o", target], check=True)
    return target


@pytest.fixture(scope="module")
def motor(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("elf"), "motor.c", "-shared", "-fPIC")


def of_nm(path: Path) -> dict[str, bool]:
    """By binutils: letters B, C, D, G, R, S, u are data; V weak data; readelf alone knows TLS."""
    done = subprocess.run(["nm", "-D", "--defined-only", path], capture_output=True, text=True, check=True)
    rows = [line.split() for line in done.stdout.splitlines()]
    return {row[-1].partition("@")[0]: row[-2] in "BCDGRSuVbdr" for row in rows if row[-2] != "A"}


@pytest.mark.parametrize("bits", ["-m64", "-m32"])
def test_what_a_library_offers(bits: str, tmp_path: Path) -> None:
    path = library(tmp_path, bits, text=TEXT if bits == "-m64" else TEXT.replace("__thread ", ""))
    found = elf.exported(str(path))
    assert found == of_nm(path)
    assert {"get": False, "data": True, "mine": True, "weak": False, "late": False}.items() <= found.items()
    assert not {"hidden", "hidden_by_static", "elsewhere", "chosen"} & found.keys()


def test_the_systems_own_libraries() -> None:
    import ctypes

    from fastrec.sources.loaded import file_of_library

    for name in ("libc.so.6", "libm.so.6"):
        path = file_of_library(ctypes.CDLL(name))
        assert path is not None
        elf.check_loadable(path)
        found, expected = elf.exported(path), of_nm(Path(path))
        assert len(found) > 500 and found.keys() >= expected.keys()
        assert {name for name in expected if found[name] != expected[name]} == set()


def test_stripped_of_what_debuggers_read_it_says_the_same(tmp_path: Path) -> None:
    path = library(tmp_path)
    before = elf.exported(str(path))
    subprocess.run(["strip", path], check=True)
    assert elf.exported(str(path)) == before != {}


def patched(path: Path, target: Path, at: int, value: bytes) -> str:
    data = bytearray(path.read_bytes())
    data[at : at + len(value)] = value
    target.write_bytes(data)
    return str(target)


def test_what_this_process_loads(motor: Path) -> None:
    elf.check_loadable(str(motor))


def test_other_machines(motor: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"is for aarch64 \(64-bit\), this process is x86-64 \(64-bit\)$"):
        elf.check_loadable(patched(motor, tmp_path / "a", 18, (183).to_bytes(2, "little")))
    with pytest.raises(SourceError, match=r"is for x86 \(32-bit\), this"):
        elf.check_loadable(str(library(tmp_path, "-m32", text="int get(void) { return 0; }")))
    with pytest.raises(SourceError, match=r"is for machine 15872 \(64-bit, big-endian\)"):
        elf.check_loadable(patched(motor, tmp_path / "b", 5, b"\2"))


def test_files_that_are_no_library(tmp_path: Path) -> None:
    def told(name: str, data: bytes) -> str:
        (tmp_path / name).write_bytes(data)
        with pytest.raises(SourceError) as error:
            elf.check_loadable(str(tmp_path / name))
        assert elf.exported(str(tmp_path / name)) == {}
        return str(error.value)

    assert "of Windows" in told("x.dll", b"MZ" + bytes(100))
    assert "static archive" in told("x.a", b"!<arch>\n" + bytes(100))
    assert "no shared library (an ELF file)" in told("x.so", b"INPUT(-lc)")
    assert "no shared library (an ELF file)" in told("empty", b"")
    assert "no shared library (an ELF file)" in told("short", b"\x7fELF\2\1\1")
    source = tmp_path / "one.c"
    source.write_text("int get(void) { return 0; }")
    subprocess.run(["gcc", "-c", source, "-o", tmp_path / "one.o"], check=True)
    with pytest.raises(SourceError, match="an object file; link it"):
        elf.check_loadable(str(tmp_path / "one.o"))


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_is_no_file(make: Callable[[str], None], tmp_path: Path) -> None:
    make(str(tmp_path / "x.so"))
    for read in (elf.check_loadable, elf.exported):
        with pytest.raises(SourceError, match=r"x\.so: is no file"):
            read(str(tmp_path / "x.so"))


def test_a_library_that_is_cut_short_is_told_before_the_loader_dies_of_it(
    motor: Path, tmp_path: Path
) -> None:
    data = motor.read_bytes()
    cut = tmp_path / "cut.so"
    for size in (64, 200, 5000, len(data) // 2):
        cut.write_bytes(data[:size])
        with pytest.raises(SourceError, match=f"is cut short: {size:,} bytes of "):
            elf.check_loadable(str(cut))
        elf.exported(str(cut))


def test_damage_anywhere_is_read_in_bounded_time(motor: Path, tmp_path: Path) -> None:
    data, chance, path = motor.read_bytes(), random.Random(7), tmp_path / "x.so"
    sections = int.from_bytes(data[40:48], "little")
    began, seen = time.monotonic(), 0
    for _ in range(500):
        damaged = bytearray(data)
        for _ in range(chance.randint(1, 4)):
            start, end = chance.choice([(4, 64), (64, 900), (sections, len(data))])
            damaged[chance.randrange(start, end)] = chance.choice([0, 1, 0x7F, 0x80, 0xFF])
        path.write_bytes(damaged)
        try:
            elf.check_loadable(str(path))
        except SourceError:
            seen += 1
        assert len(elf.exported(str(path))) < 100
    assert seen > 30 and time.monotonic() - began < 30


def crowded(path: Path, names: range, strings: bytes) -> float:
    """A library with a symbol for each of these places in these strings; how long it took to read, in s."""
    data = bytearray(library(path.parent, text="int get(void) { return 0; }").read_bytes())
    symbols = b"".join(name.to_bytes(4, "little") + bytes([0x12, 0, 1, 0]) + bytes(16) for name in names)
    at, count = int.from_bytes(data[40:48], "little"), int.from_bytes(data[60:62], "little")
    rows = [at + 64 * i for i in range(count)]
    dynamic = next(row for row in rows if data[row + 4] == 11)
    for row, table in ((dynamic, symbols), (rows[data[dynamic + 40]], strings)):
        data[row + 24 : row + 40] = len(data).to_bytes(8, "little") + len(table).to_bytes(8, "little")
        data += table
    path.write_bytes(data)
    began = time.monotonic()
    found = elf.exported(str(path))
    assert sum(map(len, found)) <= 64 << 20
    return time.monotonic() - began


def test_names_that_share_their_bytes_cost_no_more_than_they_may(tmp_path: Path) -> None:
    letters = bytes(97 + byte % 26 for byte in random.Random(7).randbytes(999 * 250))
    strings = b"".join(letters[at : at + 999] + b"\0" for at in range(0, len(letters), 999))
    assert crowded(tmp_path / "a", range(250_000), strings) < 5
    assert crowded(tmp_path / "b", range(100_000), b"x" * 999_999 + b"\0") < 5
    assert elf.exported(str(tmp_path / "b")) == {}
    assert crowded(tmp_path / "c", range(10), b"\0" + b"x" * 99 + b"\0") < 5
    assert [len(name) for name in elf.exported(str(tmp_path / "c"))] == [*range(99, 90, -1)]
