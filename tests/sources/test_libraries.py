"""Functions by name: what is found is called, and what is not is told with what was meant."""

from __future__ import annotations

import ctypes
import subprocess
from pathlib import Path

import pytest
from programs import build

import fastrec as fr
from fastrec.errors import SourceError
from fastrec.sources.libraries import RETURN_TYPES, function_of

CPP = """
struct status { int mode; };
namespace motor { int get_status(status *s) { s->mode = 1; return 0; } }
extern "C" int get_count() { return 0; }
"""


@pytest.fixture(scope="module")
def motor(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("libraries"), "motor.c", "-shared", "-fPIC")


@pytest.fixture
def here(motor: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(motor.parent)
    return motor


def refused(library: str, symbol: str, *more: str) -> str:
    with pytest.raises(SourceError) as error:
        function_of(library, symbol, *more)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_by_path_and_by_the_loaders_name(here: Path) -> None:
    assert function_of("./motor.so", "get_status")(-1, ctypes.create_string_buffer(64)) == -22
    usage = fr.Call(function_of("libc.so.6", "getrusage"), 0, fr.OUT, schema="linux:rusage")
    assert usage.read()["ru_maxrss"] > 0


def test_what_a_library_takes_from_another_is_found_through_it() -> None:
    assert function_of("libm.so.6", "getpid")() > 0


@pytest.mark.parametrize("name", RETURN_TYPES)
def test_the_value_is_read_at_the_width_of_its_type(name: str, here: Path) -> None:
    function = function_of("./motor.so", "get_wide", name)
    assert function.restype is RETURN_TYPES[name]
    if name != "void":
        wide = ctypes.sizeof(RETURN_TYPES[name]) == 8
        source = fr.Call(function, fr.OUT, schema=[("x", "V32")], returns="nonzero" if wide else "zero")
        source.read()


def test_no_such_function(here: Path) -> None:
    assert (
        refused("./motor.so", "get_sttus")
        == "./motor.so has no function 'get_sttus'; did you mean 'get_status'?"
    )
    assert "; there is " in refused("./motor.so", "zzzzzzzz")
    assert "has no function ''" in refused("./motor.so", "")
    assert "'calls'" not in refused("./motor.so", "call")  # data is no suggestion


def test_data_is_no_function(here: Path) -> None:
    assert refused("./motor.so", "calls").startswith("'calls' of ./motor.so is data; ")
    assert refused("libm.so.6", "environ").startswith("'environ' of libm.so.6 is data; ")


def test_data_of_each_thread_is_no_function(tmp_path: Path) -> None:
    (tmp_path / "t.c").write_text("__thread int mine = 5;")
    subprocess.run(["gcc", "-shared", "-fPIC", tmp_path / "t.c", "-o", tmp_path / "t.so"], check=True)
    assert f"'mine' of {tmp_path}/t.so is data" in refused(f"{tmp_path}/t.so", "mine")


def test_a_name_that_is_mangled(tmp_path: Path) -> None:
    (tmp_path / "m.cpp").write_text(CPP)
    path = tmp_path / "m.so"
    subprocess.run(["g++", "-shared", "-fPIC", tmp_path / "m.cpp", "-o", path], check=True)
    line = refused(str(path), "get_status")
    assert line.endswith(
        "it has it in C++ only: declare it extern \"C\", or name '_ZN5motor10get_statusEP6status'"
    )
    assert function_of(str(path), "_ZN5motor10get_statusEP6status")


def test_no_such_library(here: Path) -> None:
    assert refused("./moter.so", "f") == "./moter.so: there is no such library; did you mean 'motor.so'?"
    assert refused("./no/such/moter.so", "f") == "./no/such/moter.so: there is no such library"
    assert refused("motor.so", "f").endswith("for the file in this folder write ./motor.so")
    assert refused("moter.so", "f").endswith("did you mean './motor.so'?")
    assert "did you mean 'libc.so.6'" in refused("libc.so.66", "f")
    assert "without a name" in refused("", "f") and "without a name" in refused("a\0", "f")
    assert refused("./", "f") == "./: is no file; a library is one"


def test_a_library_whose_own_library_is_missing(tmp_path: Path) -> None:
    (tmp_path / "a.c").write_text("int a(void) { return 1; }")
    (tmp_path / "b.c").write_text("int a(void); int b(void) { return a(); }")
    run = {"cwd": tmp_path, "check": True}
    subprocess.run(["gcc", "-shared", "-fPIC", "a.c", "-o", "libgone.so"], **run)
    subprocess.run(["gcc", "-shared", "-fPIC", "b.c", "-L.", "-lgone", "-o", "b.so"], **run)
    assert refused(f"{tmp_path}/b.so", "b") == (
        f"{tmp_path}/b.so cannot be loaded: libgone.so: cannot open shared object file:"
        " No such file or directory"
    )


def test_a_program_is_no_library(tmp_path: Path) -> None:
    (tmp_path / "p.c").write_text("int main(void) { return 0; }")
    for flag, told in (("-no-pie", "is a program, and no library"), ("-pie", "cannot be loaded: cannot dyn")):
        subprocess.run(["gcc", flag, tmp_path / "p.c", "-o", tmp_path / "p"], check=True)
        assert told in refused(f"{tmp_path}/p", "main")


def test_a_library_that_nobody_may_read(tmp_path: Path, here: Path) -> None:
    (tmp_path / "loop.so").symlink_to("loop.so")
    assert refused(f"{tmp_path}/loop.so", "f").endswith("Too many levels of symbolic links")


def test_an_unknown_return_type(here: Path) -> None:
    assert "did you mean 'uint32'" in refused("./motor.so", "get_status", "uint3")
