"""Headers that were not read: what a text makes of them is refused, and nothing else is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from fastrec.errors import SchemaError
from fastrec.schema import Schema
from fastrec.schema.c.headers import may_define

pytestmark = pytest.mark.once  # the answers of oracles, wherever the package lies

COUNT = 1500
NAMES = ("A", "B", "C")
VALUES = ("", "0", "1", "2", "long", "__attribute__((packed))", "__attribute__((aligned(16)))", "F", "int")
HEADERS = (
    "",
    "#define A\n",
    "#define A 1\n#define B 0\n",
    "#define A 2\n#define C __attribute__((packed))\n",
    "#define B 1\n#define C 1\n",
    "#define A 0\n#define B 2\n#define C 2\n#define F 3\n",
    "#define B\n#define F(x) long x;\n",
)
CONDITIONS = (
    "ifdef {0}", "ifndef {0}", "if {0}", "if {0} > 1", "if defined({0})", "if !defined {0}", "if {0} == {1}",
    "if defined({0}) && {1}", "if defined {0} || 1", "if 0 && {0}", "if D", "ifdef D", "if D && {0}", "if 0",
    "if 1",
    "if D ? {0} : {1}", "if F",
)  # fmt: skip


def conditional(draw: st.DrawFn, inner: st.SearchStrategy[str]) -> str:
    """A condition around pieces, with other branches or none."""
    asked = st.sampled_from(CONDITIONS)
    name = st.sampled_from((*NAMES, "D"))
    lines = [f"#{draw(asked).format(draw(name), draw(name))}", draw(inner)]
    for _ in range(draw(st.integers(0, 1))):
        lines += [f"#el{draw(asked).format(draw(name), draw(name))}", draw(inner)]
    if draw(st.booleans()):
        lines += ["#else", draw(inner)]
    return "\n".join([*lines, "#endif"])


@st.composite
def members(draw: st.DrawFn, depth: int = 1) -> str:
    kind = draw(st.integers(0, 9))
    number = draw(st.integers(0, 999))
    if kind < 3:
        return f"int m{number};"
    if kind == 3 and depth:
        return conditional(draw, members(depth - 1))
    plain = (
        "char {0};",
        "W {0};",
        "char {0}[N];",
        "E {0};",
        "int {0} : 3;",
        "char {0}[K + 1];",
        "T {0};",
        "FN({0})",
    )
    return draw(st.sampled_from(plain)).format(f"m{number}")


@st.composite
def pieces(draw: st.DrawFn, depth: int = 2) -> str:
    """What may stand in a file."""
    kind = draw(st.integers(0, 13))
    if kind < 4 and depth:
        return conditional(draw, pieces(depth - 1))
    name = draw(st.sampled_from((*NAMES, "D", "F", "N", "P")))
    return draw(
        st.sampled_from(
            (
                f"#define {name} {draw(st.sampled_from(VALUES))}",
                f"#undef {name}",
                f"#define FN(x) {draw(st.sampled_from(('char x;', 'long x;', '', 'F x;')))}",
                f"typedef {draw(st.sampled_from(('int', 'long', 'W', 'char')))} W;",
                f"enum {{ K = {draw(st.sampled_from(('0', '1', '2', 'N')))} }};",
                f"typedef enum {{ E0 = {draw(st.sampled_from(('1', '1ll << 40')))} }} E;",
                f"struct t {{ char t0; {draw(members(0))} }};",
                "typedef struct t T;",
                "typedef struct { char u; long v; } P T;",
                "void f(int);",
                "#pragma pack(1)",
                "#include <stdint.h>",
                "extern int g;",
            )
        )
    )


@st.composite
def texts(draw: st.DrawFn) -> str:
    before = draw(st.lists(pieces(), max_size=3))
    after = draw(st.lists(pieces(), max_size=5))
    body = draw(st.lists(members(), min_size=1, max_size=4))
    known = "#define D 1\n#define N 2\n#define P\n#define FN(x) char x;\n"
    tail = draw(st.sampled_from(("", " P", " __attribute__((packed))", "")))
    lines = [known, '#include "cfg.h"', *before, *after, "struct s {", *body, f"}}{tail};"]
    return "\n".join(lines) + "\n"


def read(text: str, **how: object) -> Schema | None:
    try:
        return Schema.from_c(text, "s", **how)  # type: ignore[arg-type]
    except SchemaError:
        return None


def test_what_is_accepted_is_so_whatever_the_header_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = []
    for number, header in enumerate(HEADERS):
        folders.append(tmp_path / str(number))
        folders[-1].mkdir()
        lines = [
            f"#ifndef {line.split()[1].partition('(')[0]}\n{line}\n#endif" for line in header.splitlines()
        ]
        (folders[-1] / "cfg.h").write_text("\n".join(lines))
    seen = {"alike": 0, "accepted": 0, "needed": 0, "refused": 0}

    @settings(
        max_examples=COUNT, derandomize=True, database=None, deadline=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(texts())
    def check(text: str) -> None:
        ours = read(text)
        whole = [made for made in (read(text, include=folder) for folder in folders) if made is not None]
        layouts = {one.digest for one in whole}
        if ours is not None:
            seen["accepted"] += 1
            assert layouts <= {ours.digest}, text
        elif whole:
            seen["refused"] += 1
            seen["needed"] += len(layouts) > 1 or len(whole) < len(HEADERS)
        seen["alike"] += len(layouts) == 1

    check()
    with capsys.disabled():
        sys.stdout.write(f"\n{COUNT} texts with an unread header: {seen}\n")
    assert seen["accepted"] > COUNT // 5 and seen["needed"] > COUNT // 20
    # Refused, though no header tried makes a difference: that may happen, but must be the exception.
    assert seen["refused"] - seen["needed"] < COUNT // 20


X = '#include "x.h"\n'
CFG = '#include "cfg.h"\n'
STRUCT = "struct s { int a; };\n"
MAYBE = (
    "'{0}' may be a macro of {1}, which was not read; name its folder in include (-I), or say what it is in"
)
EXPORTS = """
#include <windows.h>
#ifdef MOTOR_EXPORTS
#define API __declspec(dllexport)
#else
#define API __declspec(dllimport)
#endif
"""


@pytest.mark.parametrize(
    ("text", "word", "file"),
    [
        ('#include "cfg.h"\nstruct s { int a;\n#if WIDE\nlong b;\n#endif\n};', "WIDE", "cfg.h"),
        (CFG + 'struct s { int a;\n#if 0\n#elif WIDE\n#else\nlong b;\n#endif\n};', "WIDE", "cfg.h"),
        ("#include <limits.h>\n#ifndef IOV_MAX\n#define IOV_MAX 9\n#endif\nstruct s { char p[IOV_MAX]; };",
         "IOV_MAX", "limits.h"),
        (f"{EXPORTS}struct s {{ API int a; }};", "MOTOR_EXPORTS", "windows.h"),
        ('#include "x.h"\n#ifdef P\n#pragma pack(1)\n#endif\n' + STRUCT, "P", "x.h"),
        ('#include "x.h"\n#ifdef P\n#include <pshpack1.h>\n#endif\n' + STRUCT, "P", "x.h"),
        ('#include "x.h"\n#ifndef P\n#error no\n#endif\n' + STRUCT, "P", "x.h"),
        ('#include "x.h"\n#ifdef P\n#define F "y.h"\n#endif\n#define G F\n#include G\n' + STRUCT, "P", "x.h"),
        ('#include "x.h"\nstruct s { int a; } PACKED;', "PACKED", "x.h"),
        ('#include "x.h"\ntypedef struct ALIGN4 { int a; } s;', "ALIGN4", "x.h"),
        (X + '#ifdef D\ntypedef long w;\n#else\ntypedef int w;\n#endif\nstruct s { w a; };', "D", "x.h"),
        (X + '#ifdef D\nenum { N = 3 };\n#else\nenum { N };\n#endif\nstruct s { int a[N]; };', "D", "x.h"),
        (X + '#ifdef D\n#define N 3\n#else\n#define N 4\n#endif\nstruct s { int a[N]; };', "D", "x.h"),
        (X + "#ifdef D\n#define E\n#endif\n#ifdef E\nstruct s { int a; };\n#endif", "D", "x.h"),
        (X + "#ifdef D\n#define E 1\n#else\n#define E 0\n#endif\n#if E\nstruct s { long a; };\n#else\n"
         + STRUCT
         + "#endif", "D", "x.h"),
        (X + "#ifdef D\n#define W long\n#else\n#define W int\n#endif\nW typedef w;\nstruct s { w a; };",
         "D", "x.h"),
        (X + "#ifdef D\n#define P __attribute__((packed))\n#else\n#define P\n#endif\n"
         "struct s { char c; int a; } P;", "D", "x.h"),
        (X + "#ifdef D\n#define E\n#endif\n#ifdef E\nstruct s { long a; };\n#else\n" + STRUCT + "#endif",
         "D", "x.h"),
        (X + "#define F(x) x\nstruct s { F(\n#ifdef D\nlong\n#else\nint\n#endif\n) a; };", "D", "x.h"),
        (X + '#ifdef D\n#define F(x) x;\n#else\n#define F(x)\n#endif\nstruct s { F(int a) };', "D", "x.h"),
        ('#include "x.h"\n#ifdef D\nstruct s { int a; };\n#endif', "D", "x.h"),
        ('#include "x.h"\n#ifndef D\nstruct s { int a; };\n#endif', "D", "x.h"),
        ('#include "x.h"\n#if D\n#define E 1\n#endif\n#if E\nstruct s { int a; };\n#endif', "D", "x.h"),
        ('#include "x.h"\n#ifdef D\n#define S 1\n#endif\n#pragma pack(S)\n' + STRUCT, "D", "x.h"),
        ("#include <stdint.h>\n#ifdef __GLIBC__\nstruct s { int a; };\n#endif", "__GLIBC__", "stdint.h"),
    ],
)  # fmt: skip
def test_what_may_depend_on_it_is_refused(text: str, word: str, file: str) -> None:
    abi = "msvc-x64" if "pack(S" in text else "sysv-x64"
    with pytest.raises(SchemaError) as refused:
        Schema.from_c(text, "s", abi=abi)
    assert MAYBE.format(word, file) in str(refused.value)
    value = "__attribute__((packed))" if "PACKED" in text else "" if "ALIGN4" in text else "1"
    known = {word: None if text.startswith('#include "x.h"\n#ifndef D') else value}
    assert Schema.from_c(text.replace("#error no", ""), "s", abi, defines=known).size


@pytest.mark.parametrize(
    "text",
    [
        "#include <stdint.h>\nstruct s { int a;\n#if WIDE\nlong b;\n#endif\n};",
        "#include <limits.h>\n#if INT_MAX > 3 && CHAR_MIN < 0 && ULONG_MAX\nstruct s { int a; };\n#endif",
        "#include <stdint.h>\n#if UINT8_MAX == 255 && INT64_C(-9) < 0\nstruct s { int a;};\n#endif",
        "#include <stdbool.h>\n#if true && !false\nstruct s { int a; };\n#endif",
        EXPORTS + STRUCT + "API int f(struct s *);",
        '#include "x.h"\n#if defined(__cplusplus) || defined(X)\nextern "C" {\n#endif\n' + STRUCT
        + "#ifdef __cplusplus\n}\n#endif",
        '#include "x.h"\n#ifdef D\n#define N 3\n#endif\n#undef N\n#define N 1\nstruct s { int a[N]; };',
        '#include "x.h"\n#ifdef D\nstruct r { int a; };\n#endif\n' + STRUCT + "#ifdef E\nint x;\n#endif",
        X + "#ifdef D\nint x;\n#endif\ntypedef struct { int a; } s;\n#ifdef E\nint y;\n#endif\n",
        '#include "x.h"\n#ifdef D\n#error no\n#endif\n#ifdef E\n#include "y.h"\n#endif\n' + STRUCT,
        '#include "x.h"\n#if D || 1\nint x;\n#endif\n#if 1 || D\nstruct s { int a; };\n#endif',
        '#include "x.h"\n#if 0 && D\nint x;\n#else\nstruct s { int a; };\n#endif',
        "#include <windows.h>\n#ifdef UNICODE\nstruct s { long a; };\n#else\nstruct s { BOOL a; };\n#endif",
        "#include <sys/types.h>\nstruct s { DWORD a; };",
        "#include <windef.h>\nstruct s { union { int a; } DUMMYUNIONNAME; };\nDECLARE_HANDLE(HX);",
    ],
)  # fmt: skip
def test_what_cannot_is_read(text: str) -> None:
    assert Schema.from_c(text, "s").size == 4


def test_what_is_included_under_a_doubt_is_in_doubt(tmp_path: Path) -> None:
    (tmp_path / "types.h").write_text("#if 1\ntypedef long word;\n#define N 3\n#endif\n")
    text = X + '#ifndef D\n#include "types.h"\n#endif\nstruct s {{ {} }};'
    for member in ("word a;", "char a[N];"):
        with pytest.raises(SchemaError, match=r"'D' may be a macro of x\.h"):
            Schema.from_c(text.format(member), include=tmp_path)
    assert Schema.from_c(text.format("char a;"), include=tmp_path).size == 1


def test_a_name_is_said_to_be_no_macro() -> None:
    text = '#include "cfg.h"\nstruct s { int a;\n#ifdef WIDE\nlong b;\n#endif\n};'
    assert Schema.from_c(text, defines={"WIDE": None}).size == 4
    assert Schema.from_c(text, defines={"WIDE": ""}).size == 16
    assert Schema.from_c("#ifdef __linux__\nstruct s { long a; };\n#endif\nstruct r { int a; };", "r",
                         "sysv-x64", defines={"__linux__": None}).size == 4  # fmt: skip


def test_a_type_of_windows_may_be_another_elsewhere() -> None:
    text = '#include "types.h"\nstruct s { BOOL on; uint8_t a; };'
    with pytest.raises(
        SchemaError, match=r"'BOOL' is a type of Windows, which types\.h may declare as another"
    ):
        Schema.from_c(text, abi="sysv-x64")
    assert Schema.from_c(text, abi="msvc-x64").size == 8
    assert Schema.from_c(text.replace("struct", "typedef char BOOL;\nstruct"), abi="sysv-x64").size == 2


def test_the_next_file_of_a_name_is_included(tmp_path: Path) -> None:
    for folder, text in (
        ("a", "#include_next <n.h>\n#define A 1\n"),
        ("b", "#include_next <n.h>\n"),
        ("c", "#define N 3"),
    ):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "n.h").write_text(text)
    folders = [tmp_path / folder for folder in "abc"]
    assert Schema.from_c("#include <n.h>\nstruct s { char a[N + A]; };", include=folders).size == 4
    with pytest.raises(SchemaError, match="'N' is no constant"):
        Schema.from_c("#include <n.h>\nstruct s { char a[N]; };", include=folders[:2])


def test_a_file_is_asked_for(tmp_path: Path) -> None:
    text = '#ifdef __has_include\n#if __has_include("y.h")\n#include "y.h"\n#endif\n#endif\n'
    text += "#ifndef N\n#define N 1\n#endif\nstruct s { char a[N]; };"
    with pytest.raises(SchemaError, match=r"'N' may be a macro of y\.h"):
        Schema.from_c(text)
    with pytest.raises(SchemaError, match=r"asks for 'y\.h', which is in no folder of include"):
        Schema.from_c('#if __has_include("y.h")\nstruct s { int a; };\n#endif')
    (tmp_path / "y.h").write_text("#define N 3")
    assert (
        Schema.from_c(text, include=tmp_path).size == Schema.from_c(text, include=[str(tmp_path)]).size == 3
    )
    assert Schema.from_c(text.replace('"y.h"', "<y.h>"), include=tmp_path).size == 3
    assert Schema.from_c(text, path=tmp_path / "main.h").size == 3


@pytest.mark.parametrize(("abi", "size"), [("sysv-x64", 5), ("msvc-x64", 8)])
def test_an_attribute_is_asked_for(abi: str, size: int) -> None:
    text = (
        "#if defined(__has_attribute)\n#if __has_attribute(__packed__)\n#define P __attribute__((packed))\n"
    )
    text += "#endif\n#else\n#define P\n#endif\nstruct s { char c; int a; } P;"
    assert Schema.from_c(text, abi=abi).size == size


@pytest.mark.parametrize("include", ["nothing", ["nothing"], [3], [None], __file__])
def test_a_folder_that_is_none_is_refused(include: object) -> None:
    with pytest.raises(SchemaError, match=r"include: .* is no folder"):
        Schema.from_c(STRUCT, include=include)  # type: ignore[arg-type]


OWN = {
    "w.h": "#pragma pack(1)\n",
    "cells.h": "#ifndef CELLS\n#define CELLS 8\n#endif\n",
    "g.h": "/* x */\n#ifndef G_H_\n#define G_H_ 1\ntypedef int w;\n#endif /* G_H_ */\n",
    "motor_types.h": "#ifndef PROJ_MOTOR_TYPES\n#define PROJ_MOTOR_TYPES\ntypedef int w;\n#endif\n",
}
"""Headers that are there."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in OWN.items():
        (tmp_path / name).write_text(text)
    return tmp_path


PACKED = "struct s { char a; int b; };"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("#ifdef PK\nstruct __attribute__((packed)) s {\n#else\nstruct s {\n#endif\nchar a; int b; };",
         "'PK' may be"),
        ("struct\n#ifdef PK\n__attribute__((packed))\n#endif\ns { char a; int b; };", "'PK' may be"),
        ("enum\n#ifdef PK\n__attribute__((packed))\n#endif\ne { A, B };\nstruct s { enum e x; };",
         "'PK' may be"),
        ("#ifdef PK\n#define S struct __attribute__((packed))\n#else\n#define S struct\n#endif\n"
         "S s { char a; int b; };", "'PK' may be"),
        ("#ifdef NEED\ntypedef int size_t;\n#endif\nstruct s { size_t a; };", "'NEED' may be"),
        ("#include <time.h>\n#if !HAVE\nstruct timespec { int a;};\n#endif\nstruct s { struct timespec t; };",
         "'HAVE' may be"),
        ('#ifdef PK\n_Pragma("pack(push, 1)")\n#endif\n' + PACKED, "'PK' may be"),
        ('#define P_PUSH _Pragma("pack(push, 1)")\n#ifdef PK\nP_PUSH\n#endif\n' + PACKED, "'PK' may be"),
        ('#define P _Pragma("pack(1)")\n#define BEGIN P\n#ifdef PK\nBEGIN\n#endif\n' + PACKED, "'PK' may be"),
        ('#if PK\n#include "w.h"\n#endif\n' + PACKED, "'PK' may be"),
        ('#ifdef PK\n#pragma push_macro("X")\n#endif\n' + PACKED, "'PK' may be"),
        ('#include "cells.h"\nstruct s { char a[CELLS]; };', "'CELLS' may be a macro of x.h"),
        ('#include "limits.h"\nstruct s { int a;\n#ifdef WITH_TEMP\nint t;\n#endif\n};',
         "macro of limits.h, x.h"),
        ('struct s {\n#include "y.h"\nint a; };', "'y.h' stands between declarations"),
        ('enum e { A,\n#include "y.h"\nB };\nstruct s { enum e a; };', "'y.h' stands between"),
        ("struct s { u32 a; };", "'u32' is a type of Linux"),
        ("struct s { char a; int b; } packed_attr;", "'packed_attr' may be"),
        ('#include "pack_begin.h"\n' + PACKED, "'pack_begin.h' stands between"),
        ('#include "packing.h"\n' + PACKED, "'packing.h' stands between"),
        ("#include <sys/board.h>\nstruct s { DWORD a; };", "which sys/board.h, x.h may declare"),
        ("#ifdef __LITTLE_ENDIAN__\nstruct s { int a; };\n#endif", "'__LITTLE_ENDIAN__' may be"),
        ('#include "rpc.h"\nstruct s { DWORD a; };', "which rpc.h, x.h may declare"),
        ('#include "stdbool.h"\nstruct s { bool a; };', "which stdbool.h, x.h may declare"),
        ("pack_push(1);\n" + PACKED, "'pack_push' is no type"),
        ("PACK_BEGIN;\n" + PACKED, "'PACK_BEGIN'"),
        ("struct s { DWORD a; };", "'DWORD' is a type of Windows, which x.h may declare as another"),
        ("#include <wintypes.h>\nstruct s { DWORD a; };", "which wintypes.h, x.h may declare as another"),
        ('#include "sys/config.h"\nstruct s { DWORD a; };', "which sys/config.h, x.h may declare as another"),
        ("struct s { mode_t a; };", "'mode_t' is a type of POSIX, which x.h may declare as another"),
        ("struct s { struct timeval a; };", "'timeval' is a type of POSIX, which x.h may declare as another"),
        ("struct s { bool a; };", "'bool' is a type of stdbool.h, which x.h may declare as another"),
        ('typedef int q;\n#include "arch/bpstruct.h"\n' + PACKED, "'arch/bpstruct.h' stands between"),
        ("#include <stdlib.h>\nstruct s {\n#if BYTE_ORDER == BIG_ENDIAN\nchar x;\n#else\nlong y;\n#endif\n};",
         "'BYTE_ORDER' may be a macro of x.h, stdlib.h"),
        ("struct s { int a; } PKD;", "'PKD' may be"),
        ("struct s { char a; UNALIGNED int b; };",
         "'UNALIGNED' is no type .* from x.h.*define it \\(-D UNALIGNED=\\)"),
        ("#ifdef NDEBUG\nstruct s { char a; };\n#else\nstruct s { int a; };\n#endif", "'NDEBUG' may be"),
        ("API_BEGIN\n" + STRUCT, "'API_BEGIN' is no type .*define it \\(-D API_BEGIN=\\)"),
        ("PACK_BEGIN(1);\n" + STRUCT, "'PACK_BEGIN' is no type"),
    ],
)  # fmt: skip
def test_ways_in_which_a_header_can_matter(folder: Path, text: str, message: str) -> None:
    with pytest.raises(SchemaError, match=message):
        Schema.from_c(X + text, "s", "sysv-x64", include=folder)


def test_what_stands_before_a_header_may_define_what_it_asks_for() -> None:
    text = "#if NTDDI_VERSION > 5\nstruct s { GUID a; };\n#else\nstruct s { DWORD a; };\n#endif\n"
    for abi in ("sysv-x64", "msvc-x86"):
        with pytest.raises(
            SchemaError, match="'NTDDI_VERSION' may be a macro of headers that it expects before"
        ):
            Schema.from_c(text, "s", abi)
    for begin in ("#include <pshpack1.h>\n", "/* includes */\n"):
        with pytest.raises(SchemaError, match="'NTDDI_VERSION' may be"):
            Schema.from_c(begin + text, "s")
    declared = "typedef unsigned DWORD;\ntypedef struct { int a; } GUID;\n"
    assert Schema.from_c(declared + text, "s").size == 4


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ('#include "g.h"\n#include "g.h"\nstruct s { w a; };', 4),
        ('#include "motor_types.h"\nstruct s { w a; };', 4),
        ("#include <sys/types.h>\nstruct s { mode_t m; unsigned char e; };", 8),
        ("#include <stdbool.h>\nstruct s { bool m; uint8_t e; u8 x; };", 3),
        ("#include <linux/types.h>\nstruct s { u32 x; };", 4),
        ('extern "C" {\n#include "y.h"\nstruct s { int x; };\n}', 4),
        ('struct s { int x; };\n#include "y.h"\n', 4),
        ('#include "battery_pack.h"\nstruct s { char a; int b; };', 8),
        ("#include <endian.h>\nstruct s {\n#if BYTE_ORDER == BIG_ENDIAN\nchar x;\n#endif\nlong y;\n};", 8),
        ("struct battery_pack { int a; };\ntypedef struct { struct battery_pack p; } bms_pack_t;\n"
         "struct s { bms_pack_t a; };", 4),
        ("typedef struct { int a; } MOTOR_STATE, *PMOTOR_STATE;\nstruct s { MOTOR_STATE a; };", 4),
        ("typedef enum { IDLE, RUN } MODE;\nstruct s { MODE a; };", 4),
        ("struct s { struct { int a; } BITS; };", 4),
        ("#include <stdlib.h>\n#include <sys/types.h>\nstruct s { int a; };", 4),
        ("typedef int w;\n#ifdef OTHER\n#include <other.h>\n#endif\nstruct s { w a; };", 4),
        ("#include <unistd.h>\n#ifdef VMS\n#include <unixio.h>\n#endif\nstruct s { int a; };", 4),
        (STRUCT + "API_END\n", 4),
        ('extern "C" {\nDEFINE_GUID(a, 1);\nC_ASSERT(sizeof(int) == 4);\nT_Code f(int x, T_x *y);\n' + STRUCT
         + "API_END\n}", 4),
    ],
)  # fmt: skip
def test_ways_in_which_it_cannot(folder: Path, text: str, size: int) -> None:
    assert Schema.from_c(X + text, "s", "sysv-x64", include=folder).size == size


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("#include <windows.h>\n#ifdef UNICODE\nstruct s { char a; };\n#else\n" + STRUCT + "#endif", 4),
        ("#include <pthread.h>\n#ifdef EC_BIG_ENDIAN\nstruct s { char a; };\n#else\n" + STRUCT + "#endif", 4),
        ("#include <stdint.h>\n#if __WORDSIZE == 64\nstruct s { char a; };\n#endif", 1),
        ("#include <limits.h>\nstruct s { char a[PATH_MAX]; };", 4096),
        ("#include <stdlib.h>\n#if defined(WIN32) || defined(DEBUG)\nstruct s { char a; };\n#else\n" + STRUCT
         + "#endif", 4),
        ("#include <asm/byteorder.h>\nstruct s {\n#ifdef __LITTLE_ENDIAN_BITFIELD\nint a:3;\n#endif\n};", 4),
    ],
)  # fmt: skip
def test_headers_of_the_system_are_known(text: str, size: int) -> None:
    assert Schema.from_c(text, "s", "sysv-x64").size == size


def test_the_users_word_goes_before_what_is_known() -> None:
    text = (
        "#include <limits.h>\n#ifndef PATH_MAX\n#define PATH_MAX 9\n#endif\nstruct s { char a[PATH_MAX]; };"
    )
    assert Schema.from_c(text, defines={"PATH_MAX": None}).size == 9
    assert Schema.from_c(text, defines={"PATH_MAX": 7}).size == 7


def test_a_macro_is_kept_and_brought_back() -> None:
    text = '#define N 4\n#pragma push_macro("N")\n#undef N\n#define N 8\nstruct a { char a[N]; };\n'
    text += '#pragma pop_macro("N")\n#pragma pop_macro("M")\nstruct s { char a[N]; };'
    assert (Schema.from_c(text, "a").size, Schema.from_c(text, "s").size) == (8, 4)
    for wrong in ("", " N", "(N)", '("N"', '("N") x'):
        with pytest.raises(SchemaError, match="'push_macro' is followed by no"):
            Schema.from_c(f"#pragma push_macro{wrong}\n{STRUCT}")


ISO = """
    assert complex ctype errno fenv float inttypes iso646 limits locale math setjmp signal stdalign stdarg
    stdatomic stdbool stddef stdint stdio stdlib stdnoreturn string tgmath threads time uchar wchar wctype
"""
POSIX = """
    aio arpa/inet dirent dlfcn endian byteswap fcntl glob grp iconv langinfo libgen mqueue net/if netdb
    netinet/in netinet/tcp poll pthread pwd regex sched search semaphore spawn strings sys/file sys/ioctl
    sys/mman sys/param sys/poll sys/resource sys/select sys/shm sys/socket sys/stat sys/statvfs sys/time
    sys/times sys/types sys/uio sys/un sys/utsname sys/wait sys/epoll sys/eventfd sys/timerfd sys/sysinfo
    syslog termios ulimit unistd utime wordexp
"""


def test_no_header_of_the_system_defines_more_than_is_known() -> None:
    def macros(text: str) -> set[str]:
        made = subprocess.run(
            ["gcc", "-E", "-dM", "-x", "c", "-"], input=text, capture_output=True, text=True, check=True
        )
        return {line.split()[1].partition("(")[0] for line in made.stdout.splitlines()}

    before = macros("")
    for name in (ISO + POSIX).split():
        defined = macros(f"#include <{name}.h>\n") - before
        assert [one for one in defined if not may_define(f"<{name}.h>", one)] == [], name
    assert not may_define("<stdint.h>", "WIDE") and not may_define("<unistd.h>", "MOTOR_WIDE")
    assert (
        may_define('"stdint.h"', "WIDE")
        and may_define("<motor.h>", "WIDE")
        and may_define("<linux/a.h>", "A_B")
    )
