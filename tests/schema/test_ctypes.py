"""Schemas of ctypes classes, against what ctypes itself reads and writes."""

from __future__ import annotations

import ctypes
import random
import subprocess
from ctypes import (
    CFUNCTYPE,
    POINTER,
    BigEndianStructure,
    Structure,
    Union,
    c_bool,
    c_byte,
    c_char,
    c_char_p,
    c_double,
    c_float,
    c_int,
    c_int8,
    c_int16,
    c_int32,
    c_int64,
    c_long,
    c_longdouble,
    c_short,
    c_ubyte,
    c_uint,
    c_uint8,
    c_uint16,
    c_uint32,
    c_uint64,
    c_void_p,
    c_wchar,
    c_wchar_p,
    py_object,
)
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastrec.errors import SchemaError
from fastrec.schema import HRESULT, Schema

SIMPLE = [
    c_bool,
    c_byte,
    c_ubyte,
    c_short,
    c_uint16,
    c_int,
    c_uint,
    c_long,
    c_uint64,
    c_float,
    c_double,
    c_int64,
]

C_TYPES = {
    "int8_t": c_int8,
    "uint8_t": c_uint8,
    "int16_t": c_int16,
    "uint16_t": c_uint16,
    "int32_t": c_int32,
    "uint32_t": c_uint32,
    "int64_t": c_int64,
    "uint64_t": c_uint64,
}


class Timeval(Structure):
    _fields_ = [("tv_sec", c_long), ("tv_usec", c_long)]


class Motor(Structure):
    _fields_ = [("mode", c_uint8), ("pos", c_double)]


class Value(Union):
    _fields_ = [("i", c_int), ("d", c_double), ("raw", c_ubyte * 3)]


class Status(Structure):
    _fields_ = [
        ("hr", c_int),
        ("url", c_char_p),
        ("started", Timeval),
        ("motors", Motor * 2),
        ("name", c_char * 10),
        ("lines", (c_char * 4) * 3),
        ("matrix", (c_float * 3) * 2),
        ("next", c_void_p),
        ("links", POINTER(Timeval) * 2),
        ("wide", c_wchar_p),
        ("callback", CFUNCTYPE(c_int)),
        ("value", Value),
        ("letter", c_char),
        ("on", c_bool),
    ]


class Bits(Structure):
    _fields_ = [
        ("ready", c_uint32, 1),
        ("mode", c_uint32, 3),
        ("level", c_int32, 5),
        ("whole", c_uint32, 32),
        ("low", c_uint16, 9),
        ("flag", c_uint8),
        ("fraction", c_double),
        ("big", c_int64, 40),
    ]


def leaf_of(struct: Structure, path: str) -> object:
    for step in path.split("."):
        name, *indices = step.replace("]", "").split("[")
        struct = getattr(struct, name)
        for index in indices:
            struct = struct[int(index)]
    return struct


def records_of(schema: Schema, struct: Structure) -> np.ndarray:
    """Two records with ``store="changes"``; the second holds the struct."""
    records = np.zeros(2, schema.record("changes"))
    records.view("u1").reshape(2, -1)[1, 32 : 32 + schema.size] = np.frombuffer(bytes(struct), "u1")
    return records


def test_every_member_lies_where_ctypes_put_it() -> None:
    schema = Schema.from_ctypes(Status)
    pointer = f"<u{ctypes.sizeof(c_void_p)}"
    long = f"<i{ctypes.sizeof(c_long)}"
    assert (schema.name, schema.size) == ("Status", ctypes.sizeof(Status))
    expected = {
        "hr": ("<i4", ()),
        "url": (pointer, ()),
        "started.tv_sec": (long, ()),
        "started.tv_usec": (long, ()),
        "motors[0].mode": ("|u1", ()),
        "motors[0].pos": ("<f8", ()),
        "motors[1].mode": ("|u1", ()),
        "motors[1].pos": ("<f8", ()),
        "name": ("|S10", ()),
        "lines": ("|S4", (3,)),
        "matrix": ("<f4", (2, 3)),
        "next": (pointer, ()),
        "links": (pointer, (2,)),
        "wide": (pointer, ()),
        "callback": (pointer, ()),
        "value.i": ("<i4", ()),
        "value.d": ("<f8", ()),
        "value.raw": ("|u1", (3,)),
        "letter": ("|S1", ()),
        "on": ("|b1", ()),
    }
    assert {field.name: (field.dtype.str, field.shape) for field in schema.fields} == expected
    assert schema.field("matrix").offset == Status.matrix.offset
    assert (
        schema.field("motors[1].pos").offset == Status.motors.offset + ctypes.sizeof(Motor) + Motor.pos.offset
    )
    pointers = [field.name for field in schema.fields if field.pointer]
    assert pointers == ["url", "next", "links", "wide", "callback"]
    assert all(schema.field(name).kind is None for name in pointers)
    assert schema.dtype["started"] == np.dtype(Timeval)


def test_values_are_those_that_ctypes_reads() -> None:
    struct = Status(hr=-5, name=b"bench", letter=b"x", on=True)
    struct.motors[1].pos, struct.started.tv_usec, struct.matrix[1][2], struct.value.d = 2.5, 7, 1.5, 0.1
    struct.lines[2].value = b"abc"
    schema = Schema.from_ctypes(Status)
    records = records_of(schema, struct)
    for path in ("hr", "started.tv_usec", "motors[1].pos", "name", "letter", "on", "value.i", "value.d"):
        assert schema.column(records, path)[1] == leaf_of(struct, path)
    assert schema.column(records, "matrix[1][2]").tolist() == [0, 1.5]
    assert schema.column(records, "lines[2]").tolist() == [b"", b"abc"]


def test_labels_units_docs_and_text_find_their_fields() -> None:
    schema = Schema.from_ctypes(
        Status,
        name="status",
        labels={"hr": HRESULT},
        units={"motors[1].pos": "rad"},
        docs={"on": "power"},
        text=["url"],
    )
    assert schema.name == "status"
    assert schema.field("hr").labels is HRESULT
    assert (schema.field("motors[1].pos").unit, schema.field("on").doc) == ("rad", "power")
    assert [field.name for field in schema.texts] == ["url"]
    assert Schema.from_ctypes(Status, text="url").texts == (schema.with_field("url").texts)
    assert Schema.from_json(schema.to_json()).fields == schema.fields
    for wrong in ("hr", "links", "nothing"):
        with pytest.raises(SchemaError):
            Schema.from_ctypes(Status, text=[wrong])


@given(
    st.tuples(
        st.integers(0, 1),
        st.integers(0, 7),
        st.integers(-16, 15),
        st.integers(0, (1 << 32) - 1),
        st.integers(0, 511),
        st.integers(0, 255),
        st.just(1.5),
        st.integers(-(1 << 39), (1 << 39) - 1),
    )
)
def test_bit_fields_read_as_ctypes_wrote_them(values: tuple[int, ...]) -> None:
    schema = Schema.from_ctypes(Bits)
    records = records_of(schema, Bits(*values))
    names = [name for name, *_ in Bits._fields_]
    assert [schema.column(records, name)[1] for name in names] == list(values)
    assert [field.kind for field in schema.fields] == ["u8", "u8", "i8", "u8", "u8", "u8", "f8", "i8"]


def test_bit_fields_of_one_word_share_a_member() -> None:
    schema = Schema.from_ctypes(Bits, labels={"mode": {"RUN": 2}}, units={"level": "V"})
    assert schema.dtype.names[0] == "ready|mode|level"
    assert schema.field("mode").bits == (1, 3)
    assert schema.field("level").dtype == np.dtype("<i4")
    assert "level" not in schema.dtype.names
    assert Schema.from_json(schema.to_json()).fields == schema.fields
    assert (
        schema.digest
        != Schema.from_json(schema.to_json().replace('["mode",1,3,"u"]', '["mode",1,4,"u"]')).digest
    )
    assert (
        np.lib.format.descr_to_dtype(np.lib.format.dtype_to_descr(schema.storage_dtype))
        == schema.storage_dtype
    )


def random_structs(count: int) -> list[list[tuple[str, str, int]]]:
    """Members (name, C type, width or 0) of structs in which bit-fields meet every kind of neighbour."""
    choose = random.Random(5)
    structs = []
    for _ in range(count):
        members = []
        for i in range(choose.randint(1, 7)):
            name = choose.choice([*C_TYPES] if choose.random() < 0.5 else ["uint32_t", "int32_t"])
            width = choose.randint(1, 8 * ctypes.sizeof(C_TYPES[name])) if choose.random() < 0.8 else 0
            members.append((f"f{i}", name, width))
        structs.append(members)
    return structs


def test_bit_fields_are_refused_or_lie_where_the_c_compiler_puts_them(tmp_path: Path) -> None:
    structs = random_structs(150)
    lines = ["#include <stdint.h>", "#include <stdio.h>", "int main(void) {"]
    values = random.Random(6)
    written: list[list[int]] = []
    for members in structs:
        row = []
        for _, name, width in members:
            bits = width or 8 * ctypes.sizeof(C_TYPES[name])
            row.append(values.getrandbits(bits) - (1 << (bits - 1) if name.startswith("int") else 0))
        written.append(row)
        body = " ".join(f"{name} {field}{f' : {width}' if width else ''};" for field, name, width in members)
        sets = " ".join(
            f"s.{field} = ({name}) {value % (1 << 64)}ULL;"
            for (field, name, _), value in zip(members, row, strict=True)
        )
        out = "putchar(sizeof s); fwrite(&s, sizeof s, 1, stdout);"
        lines.append(f"{{ struct {{ {body} }} s = {{ 0 }}; {sets} {out} }}")
    source = tmp_path / "bits.c"
    source.write_text("\n".join([*lines, "return 0; }"]))
    subprocess.run(["cc", "-o", tmp_path / "bits", source], check=True)
    output = subprocess.run([tmp_path / "bits"], check=True, capture_output=True).stdout
    taken = 0
    for members, row in zip(structs, written, strict=True):
        size, output = output[0], output[1:]
        payload, output = output[:size], output[size:]
        fields = [(field, C_TYPES[name], *([width] if width else [])) for field, name, width in members]
        try:
            schema = Schema.from_ctypes(type("Bits", (Structure,), {"_fields_": fields}))
        except SchemaError as error:
            assert "declare whole words" in str(error)
            continue
        taken += 1
        assert schema.size == size
        seen = np.frombuffer(payload, schema.dtype)
        assert [int(schema.column(seen, field)[0]) for field, *_ in members] == row
    assert not output
    assert taken > 30


def test_bit_fields_of_packed_structs_are_refused() -> None:
    packed = type("Packed", (Structure,), {"_pack_": 1, "_fields_": [("a", c_uint8, 5), ("b", c_uint8, 5)]})
    with pytest.raises(SchemaError, match="of Packed as C does; declare whole words"):
        Schema.from_ctypes(packed)


def test_big_endian_structs_keep_their_order_but_not_bit_fields() -> None:
    class Inner(BigEndianStructure):
        _fields_ = [("x", c_double), ("b", c_uint8)]

    class Register(BigEndianStructure):
        _fields_ = [("a", c_uint16), ("inner", Inner * 2), ("levels", c_int32 * 2)]

    class Flags(BigEndianStructure):
        _fields_ = [("a", c_uint16, 3)]

    schema = Schema.from_ctypes(Register)
    assert [schema.field(name).dtype.str for name in ("a", "inner[1].x", "inner[1].b", "levels")] == [
        ">u2",
        ">f8",
        "|u1",
        ">i4",
    ]
    struct = Register(a=0x1234)
    struct.inner[1].x = 2.5
    records = records_of(schema, struct)
    assert (schema.column(records, "a")[1], schema.column(records, "inner[1].x")[1]) == (0x1234, 2.5)
    with pytest.raises(SchemaError, match=r"Flags\.a is a bit-field of \w+ in foreign byte order"):
        Schema.from_ctypes(Flags)


def test_unions_packing_and_derived_classes() -> None:
    class Packed(Structure):
        _pack_ = 1
        _fields_ = [("a", c_uint8), ("b", c_double)]

    class Derived(Packed):
        _fields_ = [("c", c_int16)]

    assert [field.offset for field in Schema.from_ctypes(Packed).fields] == [0, 1]
    derived = Schema.from_ctypes(Derived)
    assert [(field.name, field.offset) for field in derived.fields] == [
        ("a", 0),
        ("b", 1),
        ("c", Derived.c.offset),
    ]
    assert Schema.from_ctypes(Value).storage_dtype.names == ("mono_ns", "d")


@given(st.lists(st.tuples(st.sampled_from(SIMPLE), st.integers(0, 3)), min_size=1, max_size=8))
def test_plain_structs_equal_what_numpy_makes_of_them(kinds: list[tuple[type, int]]) -> None:
    fields = [(f"f{i}", kind * count if count else kind) for i, (kind, count) in enumerate(kinds)]
    struct = type("Plain", (Structure,), {"_fields_": fields})
    assert Schema.from_ctypes(struct).dtype == np.dtype(struct)


@pytest.mark.parametrize(
    "member", [c_longdouble, py_object, c_wchar, c_wchar * 4, c_char * 0, c_int * 0, Timeval * 0]
)
def test_members_no_record_can_hold(member: type) -> None:
    struct = type("Odd", (Structure,), {"_fields_": [("first", c_int), ("odd", member)]})
    with pytest.raises(SchemaError, match="odd"):
        Schema.from_ctypes(struct)


def test_what_is_no_struct_is_refused() -> None:
    deep = Timeval
    for _ in range(16):
        deep = type("Deep", (Structure,), {"_fields_": [("inner", deep)]})
    for wrong in (c_int, Timeval(), Timeval * 2, int, None, "Timeval", Structure, deep):
        with pytest.raises(SchemaError):
            Schema.from_ctypes(wrong)


def test_a_field_that_a_derived_class_hides_is_where_it_was() -> None:
    class Base(Structure):
        _fields_ = [("first", c_int), ("mode", c_int)]

    class Named(Base):
        mode = property(lambda self: "IDLE")

    class Bits(Structure):
        _fields_ = [("low", c_uint32, 3), ("high", c_uint32, 29)]

    class NamedBits(Bits):
        high = 5

    assert Schema.from_ctypes(Named) == Schema.from_ctypes(Base)
    assert Schema.from_ctypes(NamedBits) == Schema.from_ctypes(Bits)


def test_a_class_that_is_no_longer_what_its_fields_made_it() -> None:
    for change in (
        lambda struct: setattr(struct, "mode", 5),
        lambda struct: delattr(struct, "mode"),
        lambda struct: struct._fields_.append(("mode2", c_int)),
    ):
        struct = type("Changed", (Structure,), {"_fields_": [("first", c_int), ("mode", c_int)]})
        change(struct)
        with pytest.raises(SchemaError, match=r"Changed\.mode2? is no field any more; leave"):
            Schema.from_ctypes(struct)


def test_structs_that_lead_to_themselves_or_to_nothing() -> None:
    def struct(*fields: tuple) -> type:
        return type("Odd", (Structure,), {"_fields_": list(fields)})

    class Node(Structure):
        pass

    Node._fields_ = [("next", POINTER(Node)), ("value", c_int)]
    assert [(field.name, field.pointer) for field in Schema.from_ctypes(Node).fields] == [
        ("next", True),
        ("value", False),
    ]
    for odd, complaint in (
        (struct(), "0 bytes"),
        (struct(("nothing", struct()), ("value", c_int)), "0 bytes"),
        (struct(("many", c_double * (1 << 27))), "1073741824 bytes"),
        (struct(*((f"f{i}", c_int) for i in range(10_000))), "10000 fields"),
        (struct(("inner", struct(("object", py_object)) * 2)), "py_object"),
    ):
        with pytest.raises(SchemaError, match=complaint):
            Schema.from_ctypes(odd)
