"""Texts that nobody means well with: one clear line, in bounded time and memory."""

from __future__ import annotations

import resource
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastrec.errors import SchemaError
from fastrec.schema import Schema

pytestmark = pytest.mark.once  # the answers of oracles, wherever the package lies

SECONDS = 60
MEMORY = 1 << 30


def doubled(count: int) -> str:
    return "#define a0 x x\n" + "".join(f"#define a{i + 1} a{i} a{i}\n" for i in range(count))


BAD = {
    "brackets that never end": ("(" * 10_000_000, "expected"),
    "brackets in a size": ("struct a { int x[" + "(" * 10_000_000, "nested deeper"),
    "structs in structs": ("struct a {" * 1_000_000, "nested deeper"),
    "dimensions": ("struct a { int x" + "[1]" * 1_000_000, "dimension"),
    "pointers": ("struct a { int " + "*" * 1_000_000 + "x; };", "pointer"),
    "signs": ("struct a { int x[" + "- " * 1_000_000 + "1]; };", "operands"),
    "casts": ("struct a { int x[" + "(int)" * 300_000 + "1]; };", "operands"),
    "choices": ("struct a { int x[" + "1?" * 1_000_000, "nested deeper"),
    "a sum": ("struct a { int x[" + "1+" * 500_000 + "1]; };", "operands"),
    "fields": ("struct a {" + "".join(f"int a{i};" for i in range(1_000_000)) + "};", "4096"),
    "fields of one type": ("struct a { int " + ",".join(f"a{i}" for i in range(1_000_000)) + ";};", "4096"),
    "enumerators": ("enum a {" + ",".join(f"a{i}" for i in range(1_000_000)) + "};", "16384"),
    "macros that double": (doubled(60) + "struct s { a60 };", "tokens"),
    "macros in conditions": (doubled(60).replace("x x", "1+1") + "#if a60\n#endif", "tokens"),
    "arguments that multiply": (
        "#define f(x) x x x x x x\nstruct s { " + "f(" * 50 + "y" + ")" * 50,
        "tokens",
    ),
    "arguments without end": ("#define f(x) x\nf(" + "(" * 5_000_000, "nested deeper"),
    "a number": ("struct a { int x[" + "1" * 10_000_000 + "]; };", "constant"),
    "a text": ('"' + "a" * 10_000_000, "expected"),
    "a comment": ("/*" + "a" * 10_000_000, "does not end"),
    "conditions one after another": (
        "#if 1\n#endif\n" * 20_000 + "struct s { int a[U]; };",
        "'U' is no constant",
    ),
    "guards one after another": (
        "".join(f"#ifndef X{i}_H\n#define X{i}_H\n#endif\n" for i in range(15_000))
        + "struct s { U a; };\n#if 1\n#endif",
        "'U' is no type",
    ),
    "typedefs that do not end": ("#if 1\n#endif\n" + "typedef " * 1_000_000, "tokens"),
    "comments before a guard": (
        "#ifndef X\n" + "/**/ " * 40 + "\nint x;\n#endif\nstruct s { U a; };",
        "'U' is no type",
    ),
    "quotes that do not end": (
        "#if 0\n" + '"\\' * 400_000 + "\n#endif\n",
        "has no #endif",
    ),
    "a long text of a macro": (
        "#define Q(x) #x\n" + "int a = " + "Q(" + "y" * 1_000_000 + ");\n",
        "makes a text of more",
    ),
    "backslashes": (
        "#define S(x) #x\n#define X(x) S(x)\nint q = " + "X(" * 40 + "'\"'" + ")" * 40 + ";",
        "of more",
    ),
    "closed and then opened": ("int x = " + ")" * 5000 + "; struct s{int a[" + "(" * 3000, "nested deeper"),
    "typedefs of typedefs": (
        "typedef int A0;"
        + "".join(f"typedef A{i} A{i + 1}[1];" for i in range(2000))
        + "struct s { A2000 a; U b; };",
        "more than 128|'U'",
    ),
    "arrays of arrays": (
        "typedef int A0;"
        + "".join(f"typedef A{i} A{i + 1}{'[2147483647]' * 32};" for i in range(20))
        + "struct s { A20 a; };",
        "more than 128",
    ),
    "an array of nothing": ("struct s { int x; struct {} e[2000000000]; U b; };", "'U' is no type"),
    "bad choices": (
        "".join(f"struct b{i} {{ int a[1 ? U : 2]; }};" for i in range(100)) + "struct s { U a; };",
        "defines 'b0'",
    ),
    "unknown among many": (
        "".join(f"typedef int T{i};" for i in range(20_000))
        + "".join(f"U{i} x{i};" for i in range(20_000))
        + "struct s { U a; };",
        "'U' is no type",
    ),
    "constants among many": (
        "enum {"
        + ",".join(f"E{i}" for i in range(16_000))
        + "};"
        + "".join(f"struct q{i} {{ int a[U{i}]; }};" for i in range(200)),
        "defines 'q0'",
    ),
    "macros one after another": (
        "".join(f"#define A{i} A{i + 1}\n" for i in range(40_000)) + "int a[A0];",
        "tokens",
    ),
    "blanks behind comments": (
        "struct s { /*c*/" + " " * 10_000_000 + "".join(f"int a{i};" for i in range(1000)) + "U b; };",
        "'U' is no type",
    ),
    "conditions": ("#if 1\n" * 1_000_000, "nested deeper"),
    "packings": ("#pragma pack(push, 1)\n" * 500_000, "pushes"),
    "sizes that multiply": (
        "struct a0 {char x[2147483648];};"
        + "".join(f"struct a{i + 1} {{struct a{i} x[2147483648];}};" for i in range(20)),
        "bytes",
    ),
    "too long": (" " * ((1 << 24) + 1), "characters"),
}


@pytest.mark.parametrize("what", BAD)
def test_what_a_bad_text_costs_is_bounded(what: str) -> None:
    text, said = BAD[what]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.process_time()
    with pytest.raises(SchemaError, match=said) as caught:
        Schema.from_c(text)
    assert time.process_time() - began < SECONDS
    assert 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) < MEMORY
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400


GOOD = """
#define N 4
enum mode { IDLE, RUN = 5, FAULT };
#pragma pack(push, 1)
typedef struct _pose { double x; float y, z[N * 2]; } pose_t;
#pragma pack(pop)
struct status {
    enum mode mode; /* how it is */
    uint32_t a : 3, b : 5, : 2;
    union { int i; float f; };
    pose_t pose;
    int (*call)(void *, int);
    HRESULT hr;
} __attribute__((aligned(16)));
"""
WORDS = """
struct union enum typedef int char long unsigned a b x y __attribute__ packed aligned sizeof _Alignas
#define #if #else #endif #pragma pack push pop defined 0 1 8 0x7f 1.5 'a' "t" /* */ // ## ...
static extern const _Static_assert typeof _Pragma offsetof DWORD uint8_t __be32 wchar_t
"""
PIECES = [
    *WORDS.split(), *"(){}[];:,*=<>?#&|+-/%~!.'\"\\\n ",
    "\n#define f(x) x##x\n", "\n#include <x.h>\n", '\n# 1 "f.h"\n', "__VA_ARGS__", "f(", "\0", "é",
]  # fmt: skip


def read(text: str) -> None:
    began = time.process_time()
    try:
        Schema.from_c(text)
    except SchemaError as error:
        assert "\n" not in str(error)
    assert time.process_time() - began < SECONDS


@settings(deadline=None, max_examples=400)
@given(st.lists(st.sampled_from(PIECES), max_size=40), st.booleans())
def test_any_soup_is_a_schema_or_a_clear_error(pieces: list[str], spaced: bool) -> None:
    read((" " if spaced else "").join(pieces))


@settings(deadline=None, max_examples=400)
@given(
    st.lists(st.tuples(st.integers(0, len(GOOD)), st.integers(0, 12), st.sampled_from(PIECES)), max_size=4)
)
def test_any_damage_is_a_schema_or_a_clear_error(damages: list[tuple[int, int, str]]) -> None:
    text = GOOD
    for at, gone, piece in damages:
        text = text[:at] + piece + text[at + gone :]
    read(text)
