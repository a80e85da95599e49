"""Classes of ctypes: executed, and read again."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
from hypothesis import given, settings
from schemas import places, schemas

from fastrec import wmdrm
from fastrec.schema import Schema
from fastrec.schema.members import Bit, Member, Struct


def executed(schema: Schema) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(schema.to("ctypes"), names)
    return names


@given(schema=schemas(odd=False, plain=True))
@settings(max_examples=100, deadline=None)
def test_the_class_is_the_schema_again(schema: Schema) -> None:
    names = executed(schema)
    again = Schema.from_ctypes(names["s"])
    assert (again.name, again.size) == (schema.name, schema.size)
    assert sorted(places(again)) == sorted(places(schema))
    assert {field.name for field in again.fields} == {field.name for field in schema.fields}
    pointers = {field.name for field in schema.fields if field.pointer and field.dtype.itemsize == 8}
    assert pointers == {field.name for field in again.fields if field.pointer and field.dtype.itemsize == 8}


@given(schema=schemas())
@settings(max_examples=100, deadline=None)
def test_any_schema_is_a_class_of_its_size(schema: Schema) -> None:
    names = executed(schema)
    assert any(
        isinstance(one, type)
        and issubclass(one, ctypes.Structure | ctypes.Union)
        and ctypes.sizeof(one) == schema.size
        for one in names.values()
    )


def test_words_of_bit_fields_stay_apart() -> None:
    """A wider word of bit-fields behind a full one: ctypes would let the first grow into the second."""
    narrow, wide = (Bit("a", 0, 8, False),), (Bit("b", 0, 5, False), Bit("c", 5, 20, True))
    layout = Struct(
        6,
        (
            Member("a|", 0, np.dtype("u1"), bits=narrow),
            Member("b|c", 1, np.dtype("<u4"), bits=wide),
            Member("d|", 5, np.dtype("u1"), bits=(Bit("d", 7, 1, False),)),
        ),
    )
    schema = Schema("s", layout, {})
    assert sorted(places(Schema.from_ctypes(executed(schema)["s"]))) == sorted(places(schema))


def test_what_is_known_of_fields_comes_along() -> None:
    schema = Schema.from_dtype(
        [("mode", "<i4"), ("temp", "<f8")],
        name="motor",
        labels={"mode": {"IDLE": 0, "RUN": 1}},
        units={"temp": "degC"},
        docs={"temp": 'of the "coil"'},
    )
    names = executed(schema)
    again = Schema.from_ctypes(
        names["motor"], labels=names["LABELS"], units=names["UNITS"], docs=names["DOCS"]
    )
    assert again.to_json() == schema.to_json()
    scaled = schema.with_field("temp", scale=0.5, bias=-2.0)
    for form in ("ctypes", "numpy"):
        known: dict[str, Any] = {}
        exec(scaled.to(form), known)
        assert known["SCALES"] == {"temp": (0.5, -2.0)}


def test_bytes_mean_the_same() -> None:
    bits = (Bit("a", 1, 3, False), Bit("b", 6, 9, True))
    layout = Struct(
        24,
        (
            Member("a|b", 0, np.dtype("<u2"), bits=bits),
            Member("net", 2, np.dtype(">u4")),
            Member("x", 8, np.dtype("<f8")),
            Member("y", 8, np.dtype("<u4")),
            Member("name", 16, np.dtype("S5")),
        ),
    )
    schema = Schema("s", layout, {})
    raw = np.random.default_rng(5).integers(1, 255, schema.size, np.uint8)
    row, value = raw.view(schema.dtype), executed(schema)["s"].from_buffer_copy(raw)
    for field in schema.fields:
        assert getattr(value, field.name) == field.of(row)[0], field.name


def test_a_pointer_of_another_machine_is_a_number() -> None:
    assert executed(wmdrm.schema(32))["WM_INDIVIDUALIZE_STATUS"].pszIndiRespUrl.size == 4
    fields = dict(executed(wmdrm.schema(64))["WM_INDIVIDUALIZE_STATUS"]._fields_)
    assert fields["pszIndiRespUrl"] is ctypes.c_void_p
