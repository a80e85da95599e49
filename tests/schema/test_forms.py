"""Any struct in every form: nested, anonymous, overlapping, with bit-fields, named as the recorder names."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastrec.errors import SchemaError
from fastrec.schema import Schema
from fastrec.schema.forms import COLUMNS
from fastrec.schema.members import Bit, Member, Struct
from fastrec.schema.states import fields_below, mask
from fastrec.schema.units import BitField, with_units

CODES = ["|u1", "|i1", "<i2", ">u4", "<i8", ">f8", "<f4", "|S3", "|V5", "|b1", ">c8"]
OURS = [name for name, _ in COLUMNS]


@st.composite
def trees(draw: st.DrawFn, level: int = 0, names: Iterator[str] | None = None) -> Struct:
    """A struct or a union; members anywhere, and bit-fields behind them."""
    if names is None:
        taken = [*draw(st.permutations([*OURS, "mono_ns_", "polls_"])), *(f"n{n}" for n in range(2000))]
        names = iter(taken if draw(st.booleans()) else taken[6:])
    union = draw(st.booleans())
    members: list[Member] = []
    end = 0
    for _ in range(draw(st.integers(1, 4))):
        at = 0 if union else end + draw(st.integers(0, 3))
        shape = draw(st.sampled_from([(), (), (2,), (2, 3)]))
        if level < 3 and draw(st.booleans()):
            below = draw(trees(level + 1, names))
            name = "" if not shape and draw(st.booleans()) else next(names)
            members.append(Member(name, at, below, shape if below.leaf_count < 20 else ()))
        else:
            members.append(Member(next(names), at, np.dtype(draw(st.sampled_from(CODES))), shape))
        end = max(end, at + members[-1].nbytes)
    size = end + draw(st.integers(0, 9))
    fields, at = [], 8 * end
    for _ in range(draw(st.integers(0, 4))):
        at = 0 if union else at + draw(st.integers(0, 9))
        width = draw(st.integers(1, 40))
        if at + width <= 8 * size:
            fields.append(
                BitField(next(names), at, width, np.dtype(draw(st.sampled_from(["<u4", "<i8", "|u1"]))))
            )
            at += width
    return Struct(size, with_units(members, fields, size, union=union))


def twisted() -> Struct:
    """Unions whose arms are anonymous structs that overlap in parts, with bit-fields in their words."""
    left = Struct(8, (Member("mono_ns", 0, np.dtype("<u4")), Member("b", 4, np.dtype("<u4"))))
    bits = Member("c|d|", 6, np.dtype("<u4"), bits=(Bit("polls", 0, 3, False), Bit("d", 3, 29, True)))
    right = Struct(10, (Member("e", 0, np.dtype("V6")), bits))
    arms = Struct(12, (Member("", 0, left), Member("", 0, right), Member("whole", 0, np.dtype("V9"))))
    return Struct(20, (Member("", 4, arms), Member("until_ns", 16, np.dtype(">i4"))))


def rows(schema: Schema, count: int = 3) -> np.ndarray:
    raw = np.random.default_rng(5).integers(0, 256, count * schema.size, np.uint8)
    return raw.view(schema.dtype)


def form(schema: Schema, dtype: np.dtype, store: str, payloads: np.ndarray) -> np.ndarray:
    """Rows of a form that hold these payloads."""
    start, end = schema.payload_offset(store), schema.payload_offset(store) + schema.size
    raw = np.zeros((len(payloads), dtype.itemsize), np.uint8)
    raw[:, start:end] = payloads.view(np.uint8).reshape(len(payloads), -1)
    return raw.reshape(-1).view(dtype)


def saved(stored: np.ndarray) -> np.ndarray:
    """Rows as numpy loads them from a file."""
    # A file, for NumPy reads others by copies, which leave out padding where a member of a union may lie.
    header = {
        "descr": np.lib.format.dtype_to_descr(stored.dtype),
        "fortran_order": False,
        "shape": stored.shape,
    }
    with tempfile.NamedTemporaryFile(suffix=".npy") as file:
        np.lib.format.write_array_header_1_0(file, header)
        file.write(stored.tobytes())
        file.flush()
        return np.load(file.name)


def check(schema: Schema) -> None:
    payloads = rows(schema)
    again = Schema.from_json(schema.to_json())
    assert again == schema and again.fields == schema.fields and again.dtype == schema.dtype
    assert not set(schema.dtype.names) & set(OURS)
    assert not {field.name for field in schema.fields} & set(OURS)
    for store in ("every", "changes"):
        storage = schema.storage(store)
        loaded = saved(form(schema, storage, store, payloads))
        assert loaded.dtype == storage and loaded.dtype.itemsize == storage.itemsize
        ends = [(storage.fields[name][1], storage.fields[name][0].itemsize) for name in storage.names]
        assert all(a + size <= b for (a, size), (b, _) in itertools.pairwise(ends))
        for seen in (form(schema, schema.record(store), store, payloads), loaded):
            for field in schema.fields:
                assert field.of(seen).tobytes() == field.of(payloads).tobytes(), field.name
                assert schema.column(seen, field.name).tobytes() == field.of(payloads).tobytes()
            for name in schema.dtype.names:
                part = schema.column(seen, name)
                if part.dtype.names is None and "|" not in name:
                    assert part.tobytes() == payloads[name].tobytes()
    bits = np.zeros(schema.size, np.uint8)
    for field in schema.fields:
        full = np.zeros(1, schema.dtype)
        if field.bits:
            field.put(full, -1 if field.dtype.kind == "i" else (1 << field.bits[1]) - 1)
            bits |= full.view(np.uint8)
        else:
            bits[field.offset : field.offset + field.nbytes] = 0xFF
    assert mask(schema)[: schema.size] == bits.tobytes()


@settings(max_examples=100, deadline=None)
@given(tree=trees())
def test_any_struct(tree: Struct) -> None:
    schema = Schema("any", tree, {})
    check(schema)
    heads = {field.name.split(".")[0].split("[")[0] for field in schema.fields}
    below = [field.name for head in heads for field in fields_below(schema, head)]
    assert sorted(below) == sorted(field.name for field in schema.fields)


def test_arms_that_overlap_in_parts() -> None:
    schema = Schema("twisted", twisted(), {"mono_ns": {"unit": "V"}, "polls": {"labels": {"ON": 1}}})
    check(schema)
    assert [field.name for field in schema.fields] == [
        "mono_ns_",
        "e",
        "whole",
        "b",
        "polls_",
        "d",
        "until_ns_",
    ]
    assert schema.field("mono_ns_").unit == "V" and schema.field("polls_").labels is not None
    assert schema.storage().names == ("mono_ns", "e", "c|d|", "until_ns_")


def test_a_header_that_numpy_would_not_read() -> None:
    many = tuple(Member(f"{'long' * 10}{n}", 20 + n, np.dtype("u1")) for n in range(250))
    schema = Schema("long", Struct(280, (Member("", 0, twisted()), *many)), {})
    for store in ("every", "changes"):
        assert schema.storage(store).names[-1] == "payload"
    check(schema)


@pytest.mark.parametrize("where", ["beside", "within", "bits", "two levels"])
def test_a_name_twice_on_levels_without_a_name(where: str) -> None:
    one, other = (Struct(4, (Member("x", 0, np.dtype("<i4")),)) for _ in range(2))
    bits = Member("y|", 4, np.dtype("<u4"), bits=(Bit("x", 0, 3, False),))
    members = {
        "beside": (Member("", 0, one), Member("", 4, other)),
        "within": (Member("", 0, one), Member("x", 4, np.dtype("<i4"))),
        "bits": (Member("", 0, one), bits),
        "two levels": (Member("", 0, Struct(4, (Member("", 0, one),))), Member("x", 4, other)),
    }
    with pytest.raises(SchemaError, match="two members are named 'x'"):
        Struct(8, members[where])
    Struct(8, (Member("", 0, one), Member("y", 4, other)))  # a name of its own opens a level


def test_a_struct_without_a_name_is_no_array() -> None:
    one = Struct(4, (Member("x", 0, np.dtype("<i4")),))
    for bad in (Member("", 0, one, (2,)), Member("", 0, np.dtype("<i4"))):
        with pytest.raises(SchemaError, match="has no name"):
            Struct(8, (bad,))
