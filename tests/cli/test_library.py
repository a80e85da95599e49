"""``fastrec record --lib``: a stranger's library, from the command line alone."""

from __future__ import annotations

import ctypes
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from programs import build

import fastrec as fr

Run = Callable[..., str]


class MotorStatus(ctypes.Structure):
    _fields_ = [
        ("cbSize", ctypes.c_uint32),
        ("axis", ctypes.c_int32),
        ("angle", ctypes.c_double),
        ("name", ctypes.c_char_p),
        ("calls", ctypes.c_uint32),
        ("raw", ctypes.c_uint8 * 4),
    ]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("motor"), "motor.c", "-shared", "-fPIC")


@pytest.fixture(autouse=True)
def here(built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a library that nobody has loaded, and what describes its struct."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(built, "libmotor.so")
    Path("motor.json").write_text(fr.Schema.from_ctypes(MotorStatus, name="motor_status").to_json())
    return tmp_path


MOTOR = ("record", "--lib", "./libmotor.so", "--struct", "motor.json:motor_status")
STATUS = (*MOTOR, "--call", "get_status")


def test_the_command_of_the_readme(command: Run) -> None:
    given = ("--args", "3,OUT", "--returns", "zero", "--rate", "1000", "-o", "run.fastrec", "--text", "name")
    text = command(*STATUS, *given, "--duration", "0.3")
    assert "get_status: get_status of ./libmotor.so at 1000 Hz\n" in text
    run = fr.open("run.fastrec")
    records = run["get_status"]
    assert run.state == "closed" and run.verify().ok and len(records) > 100
    calls = records["calls"].astype(int)
    assert set(records["axis"].tolist()) == {3}
    assert np.array_equal(records["angle"], calls * 0.5) and (np.diff(calls) == 1).all()
    names = records.decode("name")["name"]
    assert [*names] == ["odd" if call & 1 else "even" for call in calls]


def test_a_struct_of_c(command: Run) -> None:
    Path("motor.h").write_text(
        "#define RAW 4\n"
        "typedef struct motor_status {\n    unsigned cbSize; int axis; double angle;\n"
        "    const char *name; unsigned calls; unsigned char raw[RAW];\n} motor_status;\n"
    )
    struct = ("--struct", "motor.h:motor_status", "--text", "name")
    command(*STATUS, *struct, "--args", "3,OUT", "--rate", "200", "--records", "5", "-o", "r")
    records = fr.open("r")["get_status"]
    assert records.schema.size == ctypes.sizeof(MotorStatus) and records["axis"][-1] == 3
    assert records.decode("name")["name"][-1] in ("odd", "even")


def test_every_form_of_argument_and_success(command: Run) -> None:
    command(
        *MOTOR,
        *("--call", "GetMotor", "--returns", "nonzero", "--name", "m", "--rate", "100", "--records", "3"),
        *("--args", r'"COM1,\"x\"\n", OUT(cbSize=32), INOUT(0x40), NULL', "-o", "r", "--quiet"),
    )
    assert fr.open("r")["m"]["calls"].tolist()[0] == 0x77


def test_the_return_value_is_read_at_its_width(command: Run, refused: Run) -> None:
    wide = (*MOTOR, "--call", "get_wide", "--rate", "100", "--records", "2", "-o", "r")
    assert "get_wide failed, with code" in refused(1, *wide, "--return-type", "int64")
    command(*wide)
    assert fr.open("r")["get_wide"]["axis"].tolist()[0] == 5


def test_a_function_that_returns_nothing(command: Run, refused: Run) -> None:
    given = (*MOTOR, "--call", "get_nothing", "--return-type", "void", "--rate", "100", "--records", "2")
    command(*given, "-o", "r")
    assert fr.open("r")["get_nothing"]["axis"].tolist()[0] == 6
    assert "returns nothing; say returns='void'" in refused(1, *given, "--returns", "zero", "-o", "q")


def test_beside_other_sources(command: Run) -> None:
    given = ("--args", "3,OUT", "--name", "motor", "--rate", "100", "--records", "3", "--json", "-o", "r")
    about = json.loads(command(*STATUS, "cpu=linux:rusage@50", *given))
    assert list(about["channels"]) == ["cpu", "motor"] and list(fr.open("r")) == ["cpu", "motor"]


def test_options_of_channels(command: Run) -> None:
    held = ("--store", "changes", "--ignore", "calls", "--ignore", "angle", "--ignore", "name")
    pace = ("--spin", "0", "--clock", "monotonic", "--capacity", "1000")
    given = ("--args", "3,OUT", "--rate", "500", "--duration", "0.2", "-o", "r")
    command(*STATUS, *given, *held, *pace)
    options = json.loads(Path("r/channels/get_status/channel.json").read_text())["options"]
    assert (options["store"], options["ignore"], options["capacity"]) == (
        "changes",
        ["calls", "angle", "name"],
        1000,
    )
    assert fr.open("r").stats["get_status"]["held"] > 20


@pytest.mark.parametrize(
    ("code", "given", "told"),
    [
        (1, ("--lib", "./libmoter.so"), "there is no such library; did you mean 'libmotor.so'?"),
        (1, ("--lib", "libmotor.so"), "for the file in this folder write ./libmotor.so"),
        (1, ("--lib", "./motor.json"), "./motor.json: is no shared library (an ELF file)"),
        (1, ("--call", "get_sttus"), "./libmotor.so has no function 'get_sttus'; did you mean 'get_status'?"),
        (1, ("--call", "calls"), "'calls' of ./libmotor.so is data; name a function"),
        (1, ("--struct", "moter.json:motor_status"), "did you mean 'motor.json'"),
        (1, ("--struct", "motor.json:moter_status"), "there is 'motor_status'"),
        (2, ("--args", "3,OUTT"), "argument 2, column 3: 'OUTT' is not understood"),
        (1, ("--args", "3"), "get_status: 0 of the arguments are OUT; exactly one says"),
        (1, ("--args", "OUT,OUT"), "get_status: 2 of the arguments are OUT"),
        (1, ("--args", "1,2,3,4,5,6,OUT"), "7 arguments; at most 6 integers or pointers can be passed"),
        (1, ("--args", "3,OUT(cbsize=1)"), "no field 'cbsize'; did you mean 'cbSize'"),
        (1, ("--args", "3,OUT(cbSize=4294967296)"), "'cbSize' cannot be 4294967296"),
        (1, ("--args", "3,OUT(0x01)"), "has 1 bytes, 'motor_status' has 32; give them all"),
        (1, ("--args", "-1,OUT"), "get_status failed, with code -22"),
        (1, ("--call", "get_big", "--args", "OUT"), "get_big wrote 80 bytes into 32"),
        (1, ("--text", "nam"), "did you mean 'name'"),
        (1, ("--text", "angle"), "angle"),
        (2, ("--returns", "zer"), "invalid choice: 'zer'"),
        (2, ("--return-type", "float"), "invalid choice: 'float'"),
        (1, ("--returns", "nonnegative", "--return-type", "uint"), "never negative"),
        (2, ("--pack", "3"), "invalid choice: 3"),
        (2, ("-D", "1=2"), "'1=2' names no macro"),
        (1, ("-D", "A"), "folders are for C declarations"),
        (2, ("get_status=linux:rusage",), "two channels are called 'get_status'"),
        (2, ("bench.py",), "bench.py says what is recorded; leave --lib ./libmotor.so out"),
        (2, ("--rate", "0"), "rate="),
        (1, ("--name", "a/b"), "a/b"),
    ],
)  # fmt: skip
def test_one_line_says_what_is_wrong(
    here: Path, refused: Run, code: int, given: tuple[str, ...], told: str
) -> None:
    before = sorted(here.iterdir())
    assert told in refused(code, *STATUS, "--args", "3,OUT", "--rate", "100", "--records", "1", *given)
    assert sorted(here.iterdir()) == before


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (("--lib", "./libmotor.so", "--rate", "1"), "--lib ./libmotor.so needs --call, its function"),
        (("--lib", "./libmotor.so", "--call", "x", "--rate", "1"), "needs --struct, the struct"),
        (("--call", "x"), "--call is for a function of a library; say which: --lib"),
        (("linux:rusage", "--rate", "1", "-I", "."), "-I is for a function of a library"),
        (("linux:rusage", "--rate", "1", "--return-type", "int"), "--return-type is for a function"),
        ((*STATUS[1:],), "get_status of ./libmotor.so has no rate; say --rate 1000 (Hz)"),
        ((), "there is nothing to record; name a SOURCE"),
        (("linux:rusage", "--rate", "1", "--spin", "soon"), "'soon' is not a duration"),
        (("linux:rusage", "--rate", "1", "--clock", "sun"), "invalid choice: 'sun'"),
    ],
)  # fmt: skip
def test_what_makes_no_sense(given: tuple[str, ...], told: str, refused: Run) -> None:
    assert told in refused(2, "record", *given)


def test_a_library_that_is_cut_short_or_of_another_machine(refused: Run) -> None:
    data = Path("libmotor.so").read_bytes()
    Path("libmotor.so").write_bytes(data[: len(data) // 2])
    assert "is cut short" in refused(1, *STATUS, "--rate", "1")
    Path("libmotor.so").write_bytes(data[:18] + b"\xb7\0" + data[20:])
    assert "./libmotor.so: is for aarch64 (64-bit), this process is x86-64" in refused(
        1, *STATUS, "--rate", "1"
    )


def test_a_name_that_is_mangled(refused: Run) -> None:
    Path("m.cpp").write_text("struct s { int a; }; int get_status(s *p) { return p->a = 0; }")
    subprocess.run(["g++", "-shared", "-fPIC", "m.cpp", "-o", "libmotor.so"], check=True)
    assert "in C++ only: declare it extern \"C\", or name '_Z10get_statusP1s'" in refused(
        1, *STATUS, "--rate", "1"
    )
