"""Headers: compiled for six targets, whose compilers then hold every offset against ours."""

from __future__ import annotations

import re
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from schemas import places, schemas

from fastrec import wmdrm
from fastrec.schema import Enumeration, Schema
from fastrec.schema.field import Field
from fastrec.schema.members import Bit, Member, Struct
from fastrec.sources import registry

COMPILERS = {
    "gcc": "gcc -std=c11 -x c",
    "g++": "g++ -std=c++17 -x c++",
    "gcc -m32": "gcc -std=gnu11 -x c -m32 -ffreestanding",
    "msvc-x64": "clang -std=c11 -x c --target=x86_64-pc-windows-msvc -ffreestanding",
    "msvc-x86": "clang -std=c++17 -x c++ --target=i686-pc-windows-msvc -ffreestanding",
    "arm": "clang -std=c11 -x c --target=armv7m-none-eabi -ffreestanding",
}
SLOW = settings(
    max_examples=25,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),  # to shrink takes minutes of compilers
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def compiled(folder: Path, text: str, compiler: str, *flags: str) -> str:
    """What the compiler prints of a header that it takes without a warning."""
    path = folder / "schema.h"
    path.write_text(text)
    command = [*COMPILERS[compiler].split(), "-Wall", "-Wextra", "-Werror", "-fsyntax-only", *flags, path]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, f"{compiler}: {done.stderr}\n{text}"
    return done.stdout


def built_in() -> Iterator[Schema]:
    with socket.socket() as sock:
        yield registry.source(f"linux:tcp_info:{sock.fileno()}").schema
    yield from (wmdrm.schema(32), wmdrm.schema(64), registry.source("linux:timex").schema)


@pytest.mark.parametrize("compiler", COMPILERS)
def test_what_is_built_in_has_the_same_offsets_with_every_compiler(compiler: str, tmp_path: Path) -> None:
    for schema in built_in():
        compiled(tmp_path, schema.to("c"), compiler)


@given(schema=schemas())
@SLOW
def test_any_schema_has_the_same_offsets_with_every_compiler(schema: Schema, tmp_path: Path) -> None:
    text = schema.to("c")
    for compiler in COMPILERS:
        compiled(tmp_path, text, compiler)


def as_bit_fields(schema: Schema, text: str) -> list[Field]:
    """The bit-fields that are bit-fields in the header too."""
    there = set(re.findall(r"^ *u?int\d+_t (\w+) : \d+;", text, re.MULTILINE))
    return [one for one in schema.fields if one.bits and one.name.rpartition(".")[2] in there]


@given(schema=schemas(odd=False, plain=True))
@SLOW
def test_gcc_stores_bit_fields_where_the_schema_has_them(schema: Schema, tmp_path: Path) -> None:
    text = schema.to("c")
    fields = as_bit_fields(schema, text)
    assert len(fields) == sum(1 for field in schema.fields if field.bits)
    sets = "".join(f"memset(&v, 0, sizeof v); v.{one.name} = -1; show();\n" for one in fields)
    (tmp_path / "bits.c").write_text(
        f"#include <stdio.h>\n#include <string.h>\n{text}\nstatic s v;\n"
        "static void show(void) { fwrite(&v, sizeof v, 1, stdout); }\n"
        f"int main(void) {{ {sets} (void)show; return 0; }}\n"
    )
    subprocess.run(["gcc", "-w", "-o", tmp_path / "bits", tmp_path / "bits.c"], check=True)
    shown = subprocess.run([tmp_path / "bits"], capture_output=True, check=True).stdout
    rows = np.frombuffer(shown, schema.dtype)
    assert len(rows) == len(fields)
    for field, row in zip(fields, rows, strict=True):
        expected = np.zeros(1, schema.dtype)
        field.put(expected, [-1 if field.dtype.kind == "i" else (1 << field.bits[1]) - 1])
        assert row.tobytes() == expected.tobytes(), field


@pytest.mark.parametrize("compiler", ["msvc-x64", "msvc-x86"])
@given(schema=schemas(odd=False, plain=True))
@SLOW
def test_microsofts_rules_put_bit_fields_where_the_schema_has_them(
    compiler: str, schema: Schema, tmp_path: Path
) -> None:
    text = schema.to("c")
    dump = compiled(tmp_path, text, compiler, "-Xclang", "-fdump-record-layouts")
    whole = next(
        part for part in dump.split("*** Dumping AST Record Layout") if re.search(r"0 \| \w+ s$", part, re.M)
    )
    found = {
        name: (8 * int(byte) + int(low), int(high) - int(low) + 1)
        for byte, low, high, name in re.findall(r"^ *(\d+):(\d+)-(\d+) \| .*?(\w+)$", whole, re.MULTILINE)
    }
    for field in as_bit_fields(schema, text):
        if "." not in field.name:
            shift, width = field.bits
            assert found[field.name] == (8 * field.offset + shift, width), field


def test_a_wrong_offset_does_not_compile(tmp_path: Path) -> None:
    text = wmdrm.schema(64).to("c")
    with pytest.raises(AssertionError, match="static assertion"):
        compiled(tmp_path, text.replace("uint32_t dwHTTPRequest", "uint64_t dwHTTPRequest"), "gcc")


def test_every_field_is_asserted() -> None:
    schema = Schema.from_dtype([("in", [("x", "<f4"), ("y", "<i8", (2,))], (2,)), ("last", "S4")])
    asserted = re.findall(r"offsetof\(record, (.*)\) == (\d+)", schema.to("c"))
    assert [(path, int(at)) for path, at in asserted] == [(one.name, one.offset) for one in schema.fields]


def test_what_a_compiler_does_not_have_is_said() -> None:
    dtype = [("h", "<f2"), ("z", "<c8", (3,)), ("raw", "V5"), ("net", ">u4"), ("p", "<u8"), ("int", "S1")]
    schema = Schema.from_dtype(dtype).with_field("p", pointer=True).with_field("net", doc="*/ in */")
    text = schema.to("c")
    for line in (
        "uint16_t h; /* half precision */",
        "float z[3][2]; /* complex */",
        "uint8_t raw[5]; /* raw bytes */",
        "uint32_t net; /* big-endian; * / in * / */",
        "uint64_t p; /* pointer */",
        "char int_; /* 'int' */",
    ):
        assert f"    {line}\n" in text


def test_bit_fields_that_compilers_place_differently_are_macros() -> None:
    bits = (Bit("a", 3, 9, False), Bit("b", 12, 9, True))
    for unit in (">u4", "V3"):  # in the latter it is the one that lies across all its bytes
        dtype = np.dtype(unit)
        text = Schema("s", Struct(dtype.itemsize, (Member("a|b", 0, dtype, bits=bits),)), {}).to("c")
        assert "#define s_a_SHIFT 3 " in text
        assert "#define s_b_SHIFT 12 " in text
        assert "#define s_b_WIDTH 9 /* signed */\n" in text
        assert "FASTREC_ASSERT(offsetof(s, a_b) == 0" in text


def test_enumerations_share_one_scope() -> None:
    one, two = Enumeration({"IDLE": 0, "RUN": 1}), Enumeration({"IDLE": 5, "int": 6})
    labels = {"a": one, "b": one, "c": two, "d": {"BIG": 2**31}}
    schema = Schema.from_dtype([(name, "u1") for name in "abcd"], name="s", labels=labels)
    text = schema.to("c")
    assert text.count("enum s_a {\n    IDLE = 0,\n    RUN = 1,\n};") == 1
    assert "uint8_t b; /* enum s_a */" in text
    assert "    s_c_IDLE = 5, /* 'IDLE' */\n    s_c_int = 6, /* 'int' */\n" in text
    assert "#define s_d_BIG UINT64_C(2147483648) /* 'BIG' */\n" in text


@given(schema=schemas(odd=False, plain=True))
@settings(max_examples=200, deadline=None)
def test_the_header_is_the_schema_again(schema: Schema) -> None:
    again = Schema.from_c(schema.to("c"), abi=schema.abi)
    assert (again.name, again.size) == (schema.name, schema.size)
    assert sorted(places(again)) == sorted(places(schema))


def test_a_struct_without_holes_has_the_same_digest_again() -> None:
    text = """
    typedef struct {
        HRESULT hr;
        unsigned mode : 3, fault : 1, : 4, speed : 24;
        struct { double x, y; char name[8]; } pose[2][3];
        union { float celsius; unsigned int raw; struct { short low, high; }; };
        unsigned char cells[4];
    } status;
    """
    for abi in ("sysv-x64", "msvc-x86"):
        schema = Schema.from_c(text, abi=abi)
        again = Schema.from_c(schema.to("c"), abi=abi)
        assert again == schema
        assert again.dtype == schema.dtype
