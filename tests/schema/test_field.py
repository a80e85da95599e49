"""Bit-fields read and written, against Python's whole numbers."""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np
import pytest
from everything import ORACLES, everything, payloads
from hypothesis import given
from hypothesis import strategies as st

from fastrec.errors import SchemaError
from fastrec.schema import Flags, Masked, Schema
from fastrec.schema.members import Bit, Member, Struct
from fastrec.schema.readable import readable, words

FORMS = ("payload", "record every", "record changes", "storage every", "storage changes")


class Bits(NamedTuple):
    """A struct with one unit of bit-fields and bytes on both sides of it."""

    struct: Struct
    before: int
    size: int
    order: str


@st.composite
def structs(draw: st.DrawFn) -> Bits:
    before, after = draw(st.integers(0, 9)), draw(st.integers(0, 3))
    order = draw(st.sampled_from(["little", "big"]))
    size = draw(st.sampled_from([1, 2, 4, 8] if order == "big" else [*range(1, 18)]))
    bits, at = [], 0
    while at < 8 * size and len(bits) < 12:
        shift = at + draw(st.integers(0, 9))
        width = draw(st.integers(1, 64))
        if shift + width > 8 * size:
            break
        bits.append(Bit(f"b{len(bits)}", shift, width, draw(st.booleans())))
        at = shift + width
    bits = bits or [Bit("b0", 0, 8, True)]
    code = f"{'>' if order == 'big' else '<'}u{size}" if size in (1, 2, 4, 8) else f"V{size}"
    unit = Member("unit", before, np.dtype(code), bits=tuple(bits))
    around = [Member("first", 0, np.dtype(f"V{before}"))] if before else []
    around += [Member("last", before + size, np.dtype(f"V{after}"))] if after else []
    return Bits(Struct(before + size + after, (*around, unit)), before, size, order)


def rows_of(schema: Schema, form: str, content: list[bytes]) -> tuple[np.ndarray, int]:
    """Writable rows of a form, and where the payload begins in them."""
    kind, _, store = form.partition(" ")
    if not store:
        return np.frombuffer(bytearray(b"".join(content)), schema.dtype), 0
    dtype = getattr(schema, kind)(store)
    start = schema.payload_offset(store)
    raw = b"".join((b"\xa5" * start + one).ljust(dtype.itemsize, b"\x5a") for one in content)
    return np.frombuffer(bytearray(raw), dtype), start


def word(bits: Bits, payload: bytes) -> int:
    return int.from_bytes(payload[bits.before : bits.before + bits.size], bits.order)


def with_word(bits: Bits, payload: bytes, value: int) -> bytes:
    there = value.to_bytes(bits.size, bits.order)
    return payload[: bits.before] + there + payload[bits.before + bits.size :]


def signed(value: int, bit: Bit) -> int:
    return value - (1 << bit.width) if bit.signed and value >> bit.width - 1 else value


@pytest.mark.parametrize("form", FORMS)
@given(bits=structs(), data=st.data())
def test_bit_fields_are_what_pythons_numbers_say(form: str, bits: Bits, data: st.DataObject) -> None:
    """Read, then written one after another: every other bit of the row stays as it was."""
    schema = Schema("bits", bits.struct, {})
    size = schema.size
    content = data.draw(st.lists(st.binary(min_size=size, max_size=size), min_size=1, max_size=3))
    rows, start = rows_of(schema, form, content)
    outside = rows.tobytes()
    unit = next(member for member in bits.struct.members if member.bits)
    for bit in unit.bits:
        field = schema.field(bit.name)
        ones = (1 << bit.width) - 1
        assert field.of(rows).tolist() == [
            signed(word(bits, one) >> bit.shift & ones, bit) for one in content
        ]
        least, most = (-(1 << bit.width - 1), ones >> 1) if bit.signed else (0, ones)
        values = data.draw(st.lists(st.integers(least, most), min_size=len(content), max_size=len(content)))
        field.put(rows, values)
        content = [
            with_word(bits, one, word(bits, one) & ~(ones << bit.shift) | (value & ones) << bit.shift)
            for one, value in zip(content, values, strict=True)
        ]
        assert field.of(rows).tolist() == values
        for wrong in (least - 1, most + 1):
            with pytest.raises(SchemaError, match=f"{bit.width} bits"):
                field.put(rows, wrong)
    step = rows.dtype.itemsize
    expected = bytearray(outside)
    for place, one in enumerate(content):
        expected[place * step + start : place * step + start + size] = one
    assert rows.tobytes() == expected


@pytest.mark.parametrize("wrong", [1.0, "1", None, [0, 0.5], 1j, [[0, 1]] * 2])
def test_what_is_no_whole_number_is_not_written(wrong: object) -> None:
    schema = everything()
    rows = np.zeros(3, schema.dtype)
    for name in ("a", "u", "mid", "mode", "be_u", "where", "cells[1]"):
        with pytest.raises((SchemaError, ValueError)):
            schema.field(name).put(rows, wrong)
    assert not any(rows.tobytes())


@pytest.mark.parametrize(
    ("name", "least", "most"),
    [
        ("cells[1]", -(2**15), 2**15 - 1),
        ("be_u", 0, 2**16 - 1),
        ("second", -(2**63), 2**63 - 1),
        ("u", 0, 2**64 - 1),
    ],
)
def test_the_limits_of_integers(name: str, least: int, most: int) -> None:
    """Also of NumPy's own, which it would cut off in silence."""
    field, rows = everything().field(name), np.zeros(3, everything().dtype)
    for value in (least, most, [least, 1, most]):
        field.put(rows, value)
        assert field.of(rows).tolist() == (value if isinstance(value, list) else [value] * 3)
    wrong = [least - 1, most + 1, [0, most + 1, 0]]
    if most < 2**63 - 1:
        wrong += [np.int64(most + 1), np.full(3, most + 1)]
    for value in wrong:
        with pytest.raises(SchemaError, match=f"from {least} to {most}"):
            field.put(rows, value)


@pytest.mark.parametrize("form", FORMS)
def test_every_field_is_written_where_it_is_read(form: str) -> None:
    schema = everything()
    given_, other = payloads(2, seed=1), payloads(2, seed=2)
    rows, start = rows_of(schema, form, given_)
    values, _ = rows_of(schema, "payload", other)
    for field in schema.fields:
        one = np.frombuffer(bytearray(rows.tobytes()), rows.dtype)
        field.put(one, field.of(values))
        assert field.of(one).tobytes() == field.of(values).tobytes(), field.name
        step = rows.dtype.itemsize
        changed = {
            place % step - start
            for place, (a, b) in enumerate(zip(one.tobytes(), rows.tobytes(), strict=True))
            if a != b
        }
        assert changed <= set(range(field.offset, field.offset + field.nbytes)), field.name
        for index in np.ndindex(field.shape):
            assert field.element(index).of(one).tobytes() == field.of(one)[(slice(None), *index)].tobytes()


def test_one_row_is_rows_of_no_axis() -> None:
    schema = everything()
    content = payloads(1)
    row = rows_of(schema, "record changes", content)[0][0]
    for name in ("a", "q", "u", "top", "be_f", "cells[3]", "last"):
        assert schema.field(name).of(row).shape == ()
    assert schema.field("q").of(row) == ORACLES["q"].of(content[0])


def test_rows_that_are_too_short() -> None:
    schema = everything()
    short = np.zeros(2, np.dtype((np.void, 251)))
    with pytest.raises(SchemaError, match="'last' ends at byte 252, but the rows have 251"):
        schema.field("last").of(short)
    with pytest.raises(SchemaError, match="rows have 251"):
        schema.field("last").put(short, 0)


def test_an_element_means_what_its_array_does() -> None:
    schema = everything().with_field("modes", unit="-", doc="how it runs", scale=2.0, bias=1.0)
    whole, one = schema.field("modes"), schema.field("modes[2]")
    assert (one.name, one.offset, one.shape, one.dtype) == ("modes[2]", whole.offset + 2, (), whole.dtype)
    assert one.meaning() == whole.meaning() and one.kind == "u8" and whole.kind is None
    row = schema.field("grid[1]")
    assert (row.name, row.shape, row.offset, row.nbytes) == ("grid[1]", (3,), 102, 6)
    assert schema.field("grid[01][2]").name == "grid[1][2]"
    for index in ((3,), (-1,), (0, 0)):
        with pytest.raises(SchemaError, match=r"shape \(3,\)"):
            whole.element(index)


MEANINGS = {
    "unit": "V",
    "scale": 0.25,
    "bias": -3.0,
    "doc": "what it is",
    "labels": Masked({"ON": (3, 1), "OFF": (3, 0)}),
}


@pytest.mark.parametrize("name", [field.name for field in everything().fields])
def test_every_meaning_of_every_kind(name: str) -> None:
    schema = everything()
    field = schema.field(name)
    kinds = {
        "labels": "iub",
        "scale": "" if field.pointer else "iufc",
        "bias": "" if field.pointer else "iufc",
    }
    for key, value in MEANINGS.items():
        if key in kinds and field.dtype.kind not in kinds[key]:
            with pytest.raises(SchemaError, match=f"'{re.escape(name)}' has .*{key}"):
                schema.with_field(name, **{key: value})
            continue
        changed = schema.with_field(name, **{key: value})
        again = Schema.from_json(changed.to_json())
        for one in (changed, again):
            assert getattr(one.field(name), key) == value
            for other in schema.fields:
                if other.name != name:
                    assert one.field(other.name) == other
        assert (changed == schema) == (key != "labels")


def test_a_change_of_an_element_is_refused() -> None:
    for name in ("cells[0]", "grid[1]"):
        with pytest.raises(SchemaError, match=rf"'{name[:-3]}', the array"):
            everything().with_field(name, unit="V")
    with pytest.raises(SchemaError, match="shape"):
        everything().with_field("cells[4]", unit="V")


@pytest.mark.parametrize("labels", [Flags({"LOW": 1, "HIGH": 8}), Masked({"LOW": (9, 1), "HIGH": (8, 8)})])
def test_words_in_signed_bit_fields_have_no_sign(labels: Flags | Masked) -> None:
    unit = Member("unit", 0, np.dtype("<u4"), bits=(Bit("four", 3, 4, True),))
    field = Schema("bits", Struct(4, (unit,)), {"four": {"labels": labels}}).field("four")
    raw = field.of(np.arange(0, 128, 8, dtype="<u4").view([("word", "<u4")]))
    assert raw.tolist() == [*range(8), *range(-8, 0)]
    assert readable(field, raw).tolist() == [labels.name(word) for word in range(16)]
    assert words(field, raw).tolist() == [*range(16)]
