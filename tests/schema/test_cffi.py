"""Schemas of cffi's types, against what cffi itself reads and writes, and against C text."""

from __future__ import annotations

import random
import subprocess
import sys

import cffi
import numpy as np
import pytest

from fastrec.errors import SchemaError, SourceError
from fastrec.schema import Enumeration, Schema
from fastrec.sources.registry import as_schema

TEXT = """
enum mode { OFF, RUN = 5, ALSO = 5, FAULT = -1 };
enum word { NONE, ALL = 0x80000000 };
typedef struct { int px, py; } point_t;
typedef struct status {
    int number; unsigned long long wide; signed char small; unsigned char byte; _Bool on;
    float f; double d; long double ld; float _Complex fc; double _Complex dc;
    char letter; char name[12]; char lines[3][4]; int grid[2][3];
    wchar_t w; char16_t c16[3]; char32_t c32;
    void *address; const char *text; const wchar_t *wide_text; char16_t *short_text; int *links[3];
    int (*call)(int); struct status *next;
    enum mode mode; enum word word; enum mode modes[2];
    point_t at; point_t points[2];
    unsigned x : 3; int y : 9; unsigned : 4; unsigned char z : 2;
    union { int i; double real; };
    struct { short deep; struct { short deeper; }; };
    uint8_t u8; int64_t i64;
    int rest[];
} status_t;
union either { int i; double d; unsigned low : 7; };
struct registers { int before; union { struct { unsigned lo : 4; unsigned hi : 9; }; unsigned short whole; };
                   int after; };
"""


@pytest.fixture(scope="module")
def ffi() -> cffi.FFI:
    made = cffi.FFI()
    made.cdef(TEXT + "struct declared;")
    return made


@pytest.mark.parametrize("name", ["status_t", "struct status", "union either", "struct registers", "point_t"])
def test_the_schema_is_that_of_the_c_text(ffi: cffi.FFI, name: str) -> None:
    schema = Schema.from_cffi(ffi.typeof(name))
    text = Schema.from_c("#include <uchar.h>\n" + TEXT, name.split()[-1])
    assert schema.name == ("status_t" if "status" in name else name.split()[-1])  # as cffi prints the type
    for one, other in zip(schema.fields, text.fields, strict=True):
        assert (one.name, one.dtype, one.offset, one.shape, one.bits) == (
            (other.name, other.dtype, other.offset, other.shape, other.bits)
        )
        assert (one.labels, one.pointer) == (other.labels, other.pointer)
    assert schema == text


def test_values_are_those_that_cffi_wrote(ffi: cffi.FFI) -> None:
    struct = ffi.new("status_t *")
    struct.number, struct.on, struct.d, struct.name, struct.mode = -5, True, 2.5, b"bench", -1
    struct.x, struct.y, struct.z, struct.points[1].py, struct.real = 5, -200, 2, 77, 0.1
    struct.deeper, struct.grid[1][2] = 9, 1234
    schema = Schema.from_cffi(
        "status_t", ffi, units={"d": "V"}, labels={"number": {"BAD": -5}}, text=["text"]
    )
    rows = np.frombuffer(ffi.buffer(struct)[: schema.size], schema.dtype)
    read = {
        path: schema.column(rows, path)[0] for path in ("number", "on", "d", "name", "mode", "x", "y", "z")
    }
    assert read == {
        "number": -5, "on": True, "d": 2.5, "name": b"bench", "mode": -1, "x": 5, "y": -200, "z": 2
    }  # fmt: skip
    assert schema.column(rows, "points[1].py")[0] == 77
    assert (schema.column(rows, "real")[0], schema.column(rows, "deeper")[0]) == (0.1, 9)
    assert schema.column(rows, "grid[1][2]")[0] == 1234
    assert schema.field("mode").labels == Enumeration({"OFF": 0, "RUN": 5, "ALSO": 5, "FAULT": -1})
    assert (schema.field("d").unit, schema.field("number").labels.name(-5)) == ("V", "BAD")
    assert [field.name for field in schema.texts] == ["text"]
    assert schema.field("wide_text").pointer == f"utf-{8 * ffi.sizeof('wchar_t')}"


def random_texts(count: int) -> list[str]:
    """C structs in which bit-fields meet every kind of neighbour."""
    choose = random.Random(11)
    kinds = {"char": 8, "unsigned char": 8, "short": 16, "unsigned": 32, "int": 32, "long long": 64}
    texts = []
    for number in range(count):
        fields = []
        for i in range(choose.randint(1, 7)):
            kind = choose.choice(list(kinds))
            width = choose.randint(1, kinds[kind]) if choose.random() < 0.7 else 0
            fields.append(f"{kind} f{i}{f' : {width}' if width else ''};")
        texts.append(f"struct s{number} {{ {' '.join(fields)} }};")
    return texts


def test_random_structs_are_those_of_the_c_text() -> None:
    texts = random_texts(300)
    made = cffi.FFI()
    made.cdef("\n".join(texts))
    for number, text in enumerate(texts):
        assert Schema.from_cffi(f"struct s{number}", made) == Schema.from_c(text)


def test_packed_structs() -> None:
    made = cffi.FFI()
    text = "struct p { char a; double d; unsigned char x : 3; short s; };"
    made.cdef(text, packed=True)
    assert Schema.from_cffi("struct p", made) == Schema.from_c(text, "p", pack=1)
    assert Schema.from_cffi("struct p", made).size == 12


def test_what_is_no_struct_is_refused(ffi: cffi.FFI) -> None:
    for wrong, complaint in (
        (ffi.typeof("struct declared"), "'struct declared' is only declared; give cffi its members"),
        (ffi.typeof("int"), r"takes a struct or union such as ffi\.typeof\('struct s'\), not a cffi 'int'"),
        (ffi.typeof("point_t *"), "not a cffi 'point_t \\*'"),
        (ffi.new("point_t *"), "takes a struct or union"),
        ("point_t", "needs the ffi that declares it: pass ffi="),
        (None, "takes a struct or union"),
    ):
        with pytest.raises(SchemaError, match=complaint):
            Schema.from_cffi(wrong)
    with pytest.raises(SchemaError, match="this ffi knows no 'no_such_t'"):
        Schema.from_cffi("no_such_t", ffi)
    deep = cffi.FFI()
    deep.cdef(
        "struct d0 { int i; };" + "".join(f"struct d{i} {{ struct d{i - 1} s; }};" for i in range(1, 20))
    )
    with pytest.raises(SchemaError, match="nested deeper than 16"):
        Schema.from_cffi("struct d19", deep)


def test_a_source_takes_a_type_of_cffi_for_its_schema(ffi: cffi.FFI) -> None:
    assert as_schema(ffi.typeof("point_t")) == Schema.from_cffi("point_t", ffi)
    with pytest.raises(SchemaError, match="takes a struct"):
        as_schema(ffi.typeof("int"))
    with pytest.raises(SourceError, match="pass a Schema, a struct of ctypes or cffi"):
        as_schema(ffi.new("point_t *"))


def test_importing_fastrec_imports_no_cffi() -> None:
    program = "import sys, fastrec; assert not {'cffi', '_cffi_backend', 'elftools'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
