"""Directives and macros, against gcc where it has a say."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from fastrec.errors import SchemaError
from fastrec.schema import Schema
from fastrec.schema.abi import ABIS
from fastrec.schema.c.preprocessor import Preprocessor
from fastrec.schema.c.tokens import Source

MACROS = r"""
#define EMPTY
#define ONE 1
#define F(x) x + f(ONE) EMPTY x
#define f(a) a * g
#define g(b) [b]
#define STR(x) #x
#define XSTR(x) STR(x)
#define CAT(a, b) a ## b
#define XCAT(a, b) CAT(a, b)
#define REST(format, ...) p(format, ## __VA_ARGS__)
#define NAMED(rest...) { rest }
#define SELF SELF + OTHER
#define OTHER SELF
#define T f
#define ID(x) x
#define M ID
#define ff(a) a * gg
#define gg(a) ff(a)
F(2) F(F(3)) f(1)(2) f
(7)
STR( a  "b\n" 'c' ) XSTR(ONE) STR(ONE) STR()
CAT(x, ONE) XCAT(x, ONE) CAT(, y) CAT(x,) CAT(,)
REST("a") REST("a", 1, (2, 3)) NAMED() NAMED(1, 2)
ID(ID)(3) ID(M)(3) ID(SELF) ff(2)(9)
SELF OTHER T(1) EMPTY g
#if 0
'unbalanced " text
#elif defined(ONE) && !defined TWO && ONE == 1 && (-1 > 0u) && 0x7fffffffffffffff > 1
taken
#else
not taken
#endif
#ifdef TWO
#elif 1
# if UNKNOWN
# else
deep
# endif
#endif
#undef ONE
ONE \
continued /* a
comment */ end // and \
more
#pragma once
#ident "x"
"""


def ours(text: str) -> list[str]:
    return [token.text for token in Preprocessor(ABIS["sysv-x64"]).tokens(Source(text))]


def test_macros_expand_as_gcc_has_them() -> None:
    done = subprocess.run(
        ["gcc", "-E", "-P", "-x", "c", "-"], input=MACROS, capture_output=True, text=True, check=True
    )
    said = re.sub(r"#(pragma|ident).*", "", done.stdout)
    assert ours(MACROS) == ours(said)


def test_every_predefined_macro_has_the_value_of_gcc() -> None:
    done = subprocess.run(
        ["gcc", "-E", "-dM", "-x", "c", os.devnull], capture_output=True, text=True, check=True
    )
    theirs = dict(re.findall(r"#define (\w+) (.*)", done.stdout))
    for name, macro in Preprocessor(ABIS["sysv-x64"])._macros.defined.items():
        if not name.startswith("__GNUC"):
            assert " ".join(ours(theirs[name])).lower() == " ".join(
                ours(" ".join(token.text for token in macro.body))
            ).lower() or int(theirs[name].rstrip("uUlL"), 0) == int(macro.body[0].text.rstrip("uUlL"), 0), (
                name
            )


def test_defines_are_macros() -> None:
    text = "#if MODE == 2\nstruct s { TYPE x[COUNT]; };\n#endif"
    schema = Schema.from_c(text, defines={"MODE": 2, "TYPE": "unsigned char", "COUNT": "(1 + 2)"})
    assert schema.size == 3
    for bad in ({"1": 1}, {"A": 1.5}, {"A\n": 1}, {1: 1}, {"A": True}, {"": 1}):
        with pytest.raises(SchemaError):
            Schema.from_c(text, defines=bad)


def test_includes_are_looked_up_in_the_folders(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "b.h").write_text("#pragma once\n#include <stdint.h>\nstruct b { uint8_t x; };\n")
    (tmp_path / "a.h").write_text(
        '#include "sub/b.h"\n#include "sub/b.h"\nstruct a { struct b x[COUNT]; };\n'
    )
    (tmp_path / "loop.h").write_text('#include "loop.h"\n')
    (tmp_path / "bad.h").write_text("\nstruct c { foo_t x; };\n")
    os.mkfifo(tmp_path / "pipe.h")
    text = '#define COUNT 3\n#include "a.h"\nstruct top { struct a x; int y; };'
    assert Schema.from_c(text, include=[tmp_path]).size == 8
    with pytest.raises(SchemaError, match=r"^loop\.h, line 1, column 2: 'include' is nested deeper than 32"):
        Schema.from_c('#include "loop.h"', include=[tmp_path])
    with pytest.raises(SchemaError, match=r"^bad\.h, line 2, column 12: 'foo_t' is no type"):
        Schema.from_c('#include "bad.h"', include=[tmp_path])
    for missing in ('"pipe.h"', '"none.h"', "<none.h>", f'"{tmp_path}/a.h"'):
        with pytest.raises(SchemaError, match=r"'foo_t' is no type.*may come from .*, which was not read"):
            Schema.from_c(f"#include {missing}\nstruct s {{ foo_t x; }};", include=[tmp_path])


@pytest.mark.parametrize(
    ("directives", "offset"),
    [
        ("#pragma pack(1)", 1),
        ("#pragma pack(push, 2)", 2),
        ("#pragma pack(push)\n#pragma pack(4)", 4),
        ("#pragma pack(push, 1)\n#pragma pack(pop)", 8),
        ("#pragma pack(push, one, 1)\n#pragma pack(push, 2)\n#pragma pack(pop, one)", 8),
        ("#pragma pack(1)\n#pragma pack()", 8),
        ("#pragma pack(1)\n#pragma pack(0)", 8),
        ("#pragma pack(show)", 8),
        ("#define TWO 2\n#pragma pack(TWO)", 2),
        ('_Pragma("pack(push, 1)")', 1),
        ("__pragma(pack(push, 2))", 2),
        ("#include <pshpack1.h>", 1),
        ("#include <PSHPACK4.H>\n#include <poppack.h>", 8),
        ("#pragma GCC diagnostic push\n#pragma omp parallel", 8),
    ],
)
def test_packing(directives: str, offset: int) -> None:
    schema = Schema.from_c(f"{directives}\nstruct s {{ char a; double b; }};", abi="sysv-x64")
    assert schema.fields[1].offset == offset


def test_the_packing_asked_for_is_where_it_begins() -> None:
    text = (
        "struct a { char x; double y; };\n#pragma pack(4)\nstruct b { char x; double y; };\n#pragma pack()\n"
    )
    text += "struct c { char x; double y; };"
    sizes = [Schema.from_c(text, name, "sysv-x64", pack=2).size for name in "abc"]
    assert sizes == [10, 12, 10]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("#if 1\nstruct a { int x; };", "line 1, column 2: 'if' has no #endif"),
        ("#endif", "behind no #if"),
        ("#if 1\n#else\n#else\n#endif", "behind #else"),
        ("#if 1 +\n#endif", "expected"),
        ("#if 1 / 0\n#endif", "divides by zero"),
        ("#if f(1)\n#endif", "not understood"),
        ("#error no such machine", "no such machine"),
        ("#nonsense", "no directive"),
        ("#define", "defines nothing"),
        ("#define 1", "no name"),
        ("#define f(a, a) a", "no parameter"),
        ("#define f(a\n", "never closed"),
        ("#define f(a) a\nf(1, 2)", "1 arguments, not 2"),
        ("#define f(a) a\nf(1", "do not end"),
        ("#define f(a) a ## +\nf(-)", "no token"),
        ("#define f(a) ## a\n", "joins nothing"),
        ("#pragma pack(3)", "no packing"),
        ("#pragma pack(pop)", "never pushed"),
        ("#pragma pack(pop, x)", "never pushed"),
        ("#pragma pack 1", "written as"),
        ("#pragma ms_struct on", "changes layouts"),
        ("#pragma scalar_storage_order big-endian", "changes layouts"),
        ("#pragma options align=packed", "changes layouts"),
        ("struct a {\n#pragma pack(1)\nint x; };", "within a struct"),
        ('# 7 "my.h"\nstruct a { foo_t x; };', "my.h, line 7, column 12"),
        ("/* never", "does not end"),
        ("struct a { in\\\nt x; };", "within a word"),
        ("#include", 'no "file"'),
    ],
)
def test_what_is_wrong_is_refused_by_place(text: str, said: str) -> None:
    with pytest.raises(SchemaError) as caught:
        Schema.from_c(text)
    assert said in str(caught.value)
