from __future__ import annotations

import ctypes

import numpy as np
import pytest

from fastrec.errors import SchemaError
from fastrec.schema import Field, Schema
from fastrec.schema.states import fields_below, mask


class Bits(ctypes.Structure):
    _fields_ = [
        ("low", ctypes.c_int32, 3),
        ("sign", ctypes.c_int32, 1),
        ("wide", ctypes.c_int32, 20),
        ("after", ctypes.c_uint32),
    ]


class Either(ctypes.Union):
    _fields_ = [("whole", ctypes.c_uint32), ("half", ctypes.c_uint16)]


class Point(ctypes.Structure):
    _fields_ = [("on", ctypes.c_bool), ("pos", ctypes.c_double)]


class Odd(ctypes.Structure):
    _fields_ = [
        ("mode", ctypes.c_int8),
        ("either", Either),
        ("points", Point * 2),
        ("bits", Bits),
        ("name", ctypes.c_char * 3),
        ("url", ctypes.c_char_p),
        ("trace", ctypes.c_int16 * 5),
    ]


ODD = Schema.from_ctypes(Odd, text=["url"])
BIG = Schema.from_dtype(np.dtype([("a", ">i2"), ("b", ">f8"), ("c", "u1")], align=True))
IGNORED = [
    [],
    ["mode"],
    ["points[0].pos"],
    ["bits.sign"],
    ["bits.low", "bits.wide"],
    ["either.half"],
    ["trace"],
    ["trace[0]", "trace[3]"],
    ["trace[4]", "either.whole"],
]


def scalars(field: Field) -> list[Field]:
    """The field, or every element of an array."""
    return [field.element(index) for index in np.ndindex(field.shape)]


@pytest.mark.parametrize("schema", [ODD, BIG], ids=["odd", "big"])
@pytest.mark.parametrize("ignore", IGNORED, ids=",".join)
def test_a_bit_counts_when_it_is_seen_in_a_field_that_counts(schema: Schema, ignore: list[str]) -> None:
    """Every bit of the payload turned over, one after another."""
    bits = mask(schema, ignore)
    assert len(bits) == -(-schema.size // 8) * 8 and not any(bits[schema.size :])
    nothing = np.zeros(1, schema.dtype)
    for bit in range(8 * schema.size):
        turned = bytearray(schema.size)
        turned[bit // 8] = 1 << bit % 8
        other = np.frombuffer(turned, schema.dtype)
        seen = any(
            field.of(nothing).tobytes() != field.of(other).tobytes()
            for whole in schema.fields
            for field in scalars(whole)
            if not {field.name, whole.name} & set(ignore)
        )
        assert seen == bool(bits[bit // 8] >> bit % 8 & 1), (bit // 8, bit % 8)


def test_a_big_endian_bit_field() -> None:
    """Its unit is swapped, and so is its mask."""
    layout = BIG.to_dict()
    layout["members"] = [
        {"name": "word", "offset": 0, "type": ">u2", "bits": [["top", 12, 4, "u"], ["low", 0, 3, "u"]]}
    ]
    layout["size"] = 2
    schema = Schema.from_json(layout)
    assert mask(schema)[:2] == b"\xf0\x07" and mask(schema, ["top"])[:2] == b"\x00\x07"


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("mode", ["mode"]),
        ("either", ["either.whole", "either.half"]),
        ("points", ["points[0].on", "points[0].pos", "points[1].on", "points[1].pos"]),
        ("points[1]", ["points[1].on", "points[1].pos"]),
        ("points.pos", ["points[0].pos", "points[1].pos"]),
        ("trace", ["trace"]),
        ("trace[3]", ["trace[3]"]),
        ("bits", ["bits.low", "bits.sign", "bits.wide", "bits.after"]),
    ],
)
def test_fields_below_a_path(path: str, names: list[str]) -> None:
    assert sorted(field.name for field in fields_below(ODD, path)) == sorted(names)


@pytest.mark.parametrize(
    "path", ["", "point", "points[2]", "points[", "mode.x", "bits.", "trac[1]", "points.trace[1]", 7, None]
)
def test_what_is_no_part_of_the_payload(path: object) -> None:
    with pytest.raises(SchemaError, match="no field"):
        fields_below(ODD, path)


def test_one_member_of_many_structs() -> None:
    """However many digits their places have."""
    many = Schema.from_ctypes(type("Many", (ctypes.Structure,), {"_fields_": [("points", Point * 12)]}))
    assert [field.name for field in fields_below(many, "points.pos")] == [
        f"points[{n}].pos" for n in range(12)
    ]
