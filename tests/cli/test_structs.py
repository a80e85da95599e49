"""Where a struct can be described, and what is said where it is not."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from recording.samples import STATUS

from fastrec.cli.structs import schema_from
from fastrec.errors import FastrecError
from fastrec.schema import Schema

Run = Callable[..., str]
HEADER = '#include "types.h"\nstruct motor { real speed; int mode; };\nstruct pump { char on; };\n'


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("inc").mkdir()
    Path("inc/motor.h").write_text(HEADER)
    Path("inc/types.h").write_text("typedef double real; /* gr\xfcn */\n", encoding="latin-1")
    return tmp_path


def test_a_header_and_its_neighbours(here: Path) -> None:
    schema = schema_from("inc/motor.h:motor")
    assert (schema.name, schema.size) == ("motor", 16)
    assert schema_from("inc/motor.h:pump").size == 1


def test_how_c_is_read(here: Path) -> None:
    Path("other").mkdir()
    Path("other/more.h").write_text("typedef LONG_T word;\n")
    Path("a.h").write_text('#include "more.h"\nstruct a { char c; word w; char cells[N]; };\n')
    options = {"defines": {"N": "3", "LONG_T": "long"}, "include": ["other"]}
    assert schema_from("a.h", **options).size == 24
    assert schema_from("a.h", abi="msvc-x64", **options).size == 12
    assert schema_from("a.h", pack=1, **options).size == 12


def test_a_header_that_is_not_there_counts_where_a_struct_needs_it(here: Path, command: Run) -> None:
    Path("a.h").write_text(
        '#include "cfg.h"\nstruct a { char c;\n#ifdef WIDE\nlong w;\n#endif\n};\nstruct b { int x; };\n'
    )
    assert schema_from("a.h:b").size == 4
    with pytest.raises(
        FastrecError, match=r"^a\.h: line 3, column 8: 'WIDE' may be a macro of cfg\.h.*-U WIDE"
    ):
        schema_from("a.h:a")
    for options, size in (("-U WIDE", 1), ("-D WIDE", 16), ("-U WIDE -D WIDE", 16), ("-D WIDE -U WIDE", 1)):
        assert f" {size} byte" in command("schema", "a.h:a", *options.split())
    Path("other").mkdir()
    Path("other/cfg.h").write_text("#define WIDE\n")
    assert " 16 bytes" in command("schema", "a.h:a", "-I", "other")


def test_a_text_looks_for_brackets_in_folders_alone(here: Path) -> None:
    """As compilers do: a limits.h beside the header is not that of <limits.h>."""
    Path("limits.h").write_text("#define CHAR_BIT 99\n")
    Path("a.h").write_text("#include <limits.h>\nstruct a { char c[CHAR_BIT]; };\n")
    assert schema_from("a.h").size == 8
    assert schema_from("a.h", include=["."]).size == 99


def test_what_says_itself_how_it_lies(bench: Path) -> None:
    Path("s.json").write_text(STATUS.to_json())
    for place in ("s.json", f"s.json:{STATUS.name}", "small.fastrec", "small.fastrec:status"):
        assert schema_from(place) == STATUS, place


def test_a_program_with_debug_information(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = "struct motor { char c; double speed; int a : 3, b : 9; };\n"
    Path("m.cpp").write_text(f"namespace ns {{ {text} motor it; }}\n")
    subprocess.run(["g++", "-g", "-c", "m.cpp"], check=True)
    assert schema_from("m.o:ns::motor") == Schema.from_c(text)


def test_sources_need_no_argument_to_have_a_schema() -> None:
    assert schema_from("linux:tcp_info").name == "tcp_info"
    assert schema_from("linux:fstat") == schema_from("linux:fstat:/")
    assert schema_from("wmdrm:individualization").name == "WM_INDIVIDUALIZE_STATUS"


def test_the_longest_path_counts_and_a_path_goes_before_a_source(here: Path) -> None:
    Path("a.h").write_text("struct b { int x; };\n")
    Path("a.h:b").write_text("struct c { double x; };\n")
    assert schema_from("a.h:b").name == schema_from("a.h:b:c").name == "c"
    Path("linux").write_text("struct rusage { char c; };\n")
    assert schema_from("linux:rusage").size == 1


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("inc/motor.h:moto", "inc/motor.h: .*did you mean 'motor'"),
        ("inc/motor.h", "'motor'.*'pump'"),
        ("inc/moter.h:motor", "no such file; did you mean 'motor.h'"),
        ("nowhere/motor.h", "nor a folder nowhere"),
        ("inc/motor.h:", "behind the colon"),
        ("inc", "recording"),
        ("", "empty"),
        ("a\0b", "empty"),
        ("linux:rusege", "did you mean 'rusage'"),
        ("lunix:rusage", "did you mean 'linux'"),
        ("fifo", "no regular file"),
        ("bad.json", "must be JSON"),
        ("good.json:motor", "no struct 'motor'; there is"),
        ("short.elf:x", "short.elf is no ELF"),
        ("empty.h", "empty.h: "),
    ],
)
def test_one_line_says_what_is_wrong(here: Path, place: str, message: str) -> None:
    os.mkfifo("fifo")
    Path("bad.json").write_bytes(b' {"name": \xff}')
    Path("good.json").write_text(STATUS.to_json())
    Path("short.elf").write_bytes(b"\x7fELF\0")
    Path("empty.h").touch()
    with pytest.raises(FastrecError, match=message) as caught:
        schema_from(place)
    assert "\n" not in str(caught.value)


def test_options_of_c_are_never_ignored(here: Path) -> None:
    for options in ({"abi": "msvc-x86"}, {"pack": 1}, {"defines": {"N": 1}}):
        with pytest.raises(FastrecError, match="says itself"):
            schema_from("linux:rusage", **options)
