"""Schemas of ctypes classes, against what ctypes itself reads and writes."""

from __future__ import annotations

import ctypes
import random
import subprocess
import sys
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
from agreement import schema_of
from ctypes_classes import class_of, sayable
from hypothesis import given
from hypothesis import strategies as st
from structs import some

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


@pytest.mark.parametrize(
    ("attribute", "base", "namespace", "least"),
    [
        ("", Structure, {}, 30),
        ("packed", Structure, {"_pack_": 1}, 20),
        ("", Structure, {"_pack_": 2}, 20),
        ('scalar_storage_order("big-endian")', BigEndianStructure, {}, 30),
        ('packed, scalar_storage_order("big-endian")', BigEndianStructure, {"_pack_": 1}, 10),
    ],
)
def test_bit_fields_are_refused_or_lie_where_the_c_compiler_puts_them(
    attribute: str, base: type, namespace: dict, least: int, tmp_path: Path
) -> None:
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
        lines.append(f"{{ struct {{ {body} }} __attribute__(({attribute})) s = {{ 0 }}; {sets} {out} }}")
    pack = namespace.get("_pack_")
    source = tmp_path / "bits.c"
    source.write_text("\n".join([f"#pragma pack({pack})" if pack == 2 else "", *lines, "return 0; }"]))
    subprocess.run(["gcc", "-w", "-o", tmp_path / "bits", source], check=True)
    output = subprocess.run([tmp_path / "bits"], check=True, capture_output=True).stdout
    taken = 0
    for members, row in zip(structs, written, strict=True):
        size, output = output[0], output[1:]
        payload, output = output[:size], output[size:]
        fields = [(field, C_TYPES[name], *([width] if width else [])) for field, name, width in members]
        struct = type("Bits", (base,), {**namespace, "_fields_": fields})
        try:
            schema = Schema.from_ctypes(struct)
        except SchemaError as error:
            assert "declare whole words" in str(error)
            continue
        taken += 1
        assert schema.size == size
        seen = np.frombuffer(payload, schema.dtype)
        assert [int(schema.column(seen, field)[0]) for field, *_ in members] == row
        overlay = struct.from_buffer_copy(payload)
        assert [getattr(overlay, field) for field, *_ in members] == row
    assert not output
    assert taken > least


def test_bit_fields_that_ctypes_places_otherwise_than_c_are_named_with_both_places() -> None:
    class Mixed(Structure):
        _fields_ = [("a", c_uint32, 3), ("b", c_uint8, 5)]

    class Behind(Structure):
        _fields_ = [("a", c_uint8), ("b", c_uint32, 4)]

    class Swapped(BigEndianStructure):
        _fields_ = [("a", c_uint64, 2), ("b", c_uint16, 7)]

    for struct, complaint in (
        (Mixed, r"ctypes puts Mixed\.b at bit \d+, C at bit 3; declare whole words"),
        (Behind, r"ctypes puts Behind\.b at bit 32, C at bit 8; declare whole words"),
        (Swapped, r"ctypes reads Swapped\.b at bits that its 2 bytes lack; declare whole words"),
    ):
        if sys.version_info < (3, 14):
            with pytest.raises(SchemaError, match=complaint):
                Schema.from_ctypes(struct)
        else:
            assert Schema.from_ctypes(struct).field("b").bits


def test_big_endian_structs_keep_their_order_in_every_member() -> None:
    class Inner(BigEndianStructure):
        _fields_ = [("x", c_double), ("b", c_uint8)]

    class Register(BigEndianStructure):
        _fields_ = [
            ("a", c_uint16),
            ("inner", Inner * 2),
            ("levels", c_int32 * 2),
            ("low", c_uint16, 3),
            ("high", c_int16, 13),
            ("small", c_uint8, 5),
        ]

    schema = Schema.from_ctypes(Register)
    assert [schema.field(name).dtype.str for name in ("a", "inner[1].x", "inner[1].b", "levels")] == [
        ">u2",
        ">f8",
        "|u1",
        ">i4",
    ]
    struct = Register(a=0x1234, low=5, high=-7, small=19)
    struct.inner[1].x = 2.5
    records = records_of(schema, struct)
    for path in ("a", "inner[1].x", "low", "high", "small"):
        assert schema.column(records, path)[1] == leaf_of(struct, path)
    # The first bit-field of a big-endian word has its most significant bits, in a single byte, too.
    assert (schema.field("low").bits, schema.field("small").bits) == ((13, 3), (3, 5))


def test_bit_fields_of_unions_and_of_derived_classes() -> None:
    class Word(Union):
        _fields_ = [("low", c_uint32, 5), ("whole", c_uint32), ("level", c_int16, 7)]

    class First(Structure):
        _fields_ = [("a", c_uint16, 3), ("word", Word)]

    class Second(First):
        _fields_ = [("b", c_uint16, 9), ("c", c_uint16, 7)]

    struct = Second(a=5, b=300, c=100)
    struct.word.whole = 0xFFFF_FFC3
    schema = Schema.from_ctypes(Second)
    records = records_of(schema, struct)
    for path in ("a", "b", "c", "word.whole", "word.low", "word.level"):
        assert schema.column(records, path)[1] == leaf_of(struct, path)


def test_anonymous_members_are_those_of_the_struct_around() -> None:
    class Inner(Structure):
        _fields_ = [("low", c_uint32, 4), ("high", c_uint32, 28)]

    class Either(Union):
        _anonymous_ = ("bits",)
        _fields_ = [("whole", c_uint32), ("bits", Inner)]

    class Outer(Structure):
        _anonymous_ = ("either",)
        _fields_ = [("first", c_int), ("either", Either)]

    schema = Schema.from_ctypes(Outer)
    assert [field.name for field in schema.fields] == ["first", "whole", "low", "high"]
    records = records_of(schema, Outer(first=1, whole=0x12345678))
    assert [schema.column(records, name)[1] for name in ("whole", "low", "high")] == [
        0x12345678,
        8,
        0x1234567,
    ]


def test_wide_characters_long_doubles_and_arrays_of_pointers() -> None:
    class Odd(Structure):
        _fields_ = [
            ("letter", c_wchar),
            ("word", c_wchar * 4),
            ("long", c_longdouble),
            ("pointers", (c_void_p * 2) * 3),
            ("callbacks", CFUNCTYPE(c_int, c_int) * 2),
        ]

    odd = Odd(letter="\u20ac", word="abc")
    schema = Schema.from_ctypes(Odd)
    records = records_of(schema, odd)
    assert schema.column(records, "letter")[1] == 0x20AC
    assert schema.column(records, "word")[1].tolist() == [97, 98, 99, 0]
    size = ctypes.sizeof(c_longdouble)
    assert schema.field("long").dtype == np.dtype("f8" if size == 8 else (np.void, size))
    assert (schema.field("pointers").shape, schema.field("pointers").pointer) == ((3, 2), True)
    assert (schema.field("callbacks").shape, schema.field("callbacks").pointer) == ((2,), True)


def test_an_integer_called_hresult_has_its_labels() -> None:
    class HRESULT32(c_long if ctypes.sizeof(c_long) == 4 else c_int):
        pass

    named = type("HRESULT", (HRESULT32,), {})
    struct = type("Result", (Structure,), {"_fields_": [("hr", named), ("plain", HRESULT32)]})
    schema = Schema.from_ctypes(struct)
    assert schema.field("hr").labels is HRESULT
    assert schema.field("plain").labels is None
    own = Schema.from_ctypes(struct, labels={"hr": {"OK": 0}}, units={"hr": "code"})
    assert (own.field("hr").labels.name(0), own.field("hr").unit) == ("OK", "code")
    assert Schema.from_ctypes(struct, units={"hr": "code"}).field("hr").labels is HRESULT


def test_ctypes_and_c_text_make_the_same_schema() -> None:
    class Motor(Structure):
        _fields_ = [
            ("mode", c_uint8, 3),
            ("fault", c_uint8, 5),
            ("angle", c_double),
            ("name", c_char * 10),
            ("wide", c_wchar * 2),
            ("next", c_void_p),
            ("steps", (c_int16 * 3) * 2),
            ("started", Timeval),
        ]

    text = """
    #include <stdint.h>
    struct timeval_ { long tv_sec, tv_usec; };
    struct Motor { uint8_t mode : 3, fault : 5; double angle; char name[10]; wchar_t wide[2]; void *next;
                   int16_t steps[2][3]; struct timeval_ started; };
    """
    assert Schema.from_ctypes(Motor) == Schema.from_c(text, "Motor")


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


@pytest.mark.parametrize("member", [py_object, c_char * 0, c_int * 0, Timeval * 0])
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
        (struct(("many", c_double * (1 << 27))), "1073741824 bytes"),
        (struct(*((f"f{i}", c_int) for i in range(10_000))), "10000 fields"),
        (struct(("inner", struct(("object", py_object)) * 2)), "py_object"),
    ):
        with pytest.raises(SchemaError, match=complaint):
            Schema.from_ctypes(odd)


def test_generated_structs_lie_where_c_puts_them() -> None:
    """Refused are bit-fields alone: before Python 3.14 ctypes has places of its own for some."""
    equal = refused = 0
    for struct in filter(sayable, some(3000, seed=11)):
        expected = schema_of(struct, "native")
        try:
            made = Schema.from_ctypes(class_of(struct), name="S")
        except SchemaError:
            assert "bit-fields" in struct.traits(), struct.whole("S")
            refused += 1
            continue
        known = [(one.name, one.dtype, one.offset, one.shape, one.bits) for one in made.fields]
        places = [(one.name, one.dtype, one.offset, one.shape, one.bits) for one in expected.fields]
        assert (known, made.size) == (places, expected.size), struct.whole("S")
        equal += 1
    assert equal > 600 and refused < equal
