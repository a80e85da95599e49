"""Bit-fields are put into the words that one would choose by hand, whatever else lies beside them."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastrec.errors import SchemaError
from fastrec.schema.members import Member, Struct
from fastrec.schema.units import BitField, with_units


def field(name: str, at: int, width: int, type_: str = "<u4") -> BitField:
    return BitField(name, at, width, np.dtype(type_))


def plain(name: str, at: int, type_: str = "<u4", shape: tuple[int, ...] = ()) -> Member:
    return Member(name, at, np.dtype(type_), shape)


def said(members: tuple[Member, ...]) -> list[tuple]:
    """Name, offset, type and bit-fields, a signed one with its width below zero."""
    return [
        (
            member.name,
            member.offset,
            member.type.str,
            *((bit.name, bit.shift, -bit.width if bit.signed else bit.width) for bit in member.bits),
        )
        for member in members
    ]


def units(fields: list[BitField], size: int, *members: Member, **kinds: bool) -> list[tuple]:
    return said(with_units(members, fields, size, **kinds))


def test_the_bytes_of_a_bit_field() -> None:
    assert field("a", 0, 1).bytes == (0, 1)
    assert field("a", 7, 2).bytes == (0, 2)
    assert field("a", 8, 8).bytes == (1, 2)
    assert field("a", 31, 33).bytes == (3, 8)


def test_fields_of_one_word() -> None:
    fields = [field("a", 0, 3), field("b", 3, 29, "<i4"), field("c", 32, 4)]
    assert units(fields, 8) == [
        ("a|b", 0, "<u4", ("a", 0, 3), ("b", 3, -29)),
        ("c|", 4, "<u4", ("c", 0, 4)),
    ]


@pytest.mark.parametrize("type_", ["<u8", "<i4", "<u2", "|i1", "|b1"])
def test_a_word_is_as_long_as_the_declared_type(type_: str) -> None:
    dtype = np.dtype(type_)
    at = 8 * dtype.itemsize  # the second word
    width = -1 if dtype.kind == "i" else 1
    unsigned = np.dtype(f"<u{dtype.itemsize}").str
    assert units([field("a", at, 1, type_)], 16) == [("a|", dtype.itemsize, unsigned, ("a", 0, width))]


def test_a_word_is_no_longer_than_the_struct() -> None:
    assert units([field("a", 0, 3)], 4) == [("a|", 0, "<u4", ("a", 0, 3))]
    assert units([field("a", 0, 3)], 3) == [("a|", 0, "|u1", ("a", 0, 3))]
    assert units([field("a", 32, 9)], 6) == [("a|", 4, "<u2", ("a", 0, 9))]


def test_a_word_holds_no_other_member() -> None:
    beside = [("a|", 0, "|u1", ("a", 2, 3)), ("m", 1, "|u1")]
    assert units([field("a", 2, 3)], 4, plain("m", 1, "u1")) == beside
    assert units([field("a", 34, 3)], 8, plain("m", 3, "u1")) == [
        ("m", 3, "|u1"),
        ("a|", 4, "<u4", ("a", 2, 3)),
    ]
    assert units([field("a", 26, 3)], 4, plain("m", 1, "<u2")) == [
        ("m", 1, "<u2"),
        ("a|", 3, "|u1", ("a", 2, 3)),
    ]
    # An array counts with all its elements.
    assert units([field("a", 24, 3)], 4, plain("m", 0, "u1", (3,)))[1] == ("a|", 3, "|u1", ("a", 0, 3))
    # A struct counts with its padding.
    below = Member("s", 0, Struct(6, (plain("x", 0, "u1"),)))
    made = with_units([below], [field("a", 48, 3)], 8)
    assert (made[1].offset, made[1].type) == (6, np.dtype("u1"))


def test_a_field_across_words_has_its_own_bytes() -> None:
    assert units([field("a", 30, 10)], 8) == [("a|", 3, "<u2", ("a", 6, 10))]
    assert units([field("a", 30, 20)], 8) == [("a|", 3, "<u4", ("a", 6, 20))]
    # No integer has three bytes, or nine.
    assert units([field("a", 30, 18)], 8) == [("a|", 3, "|V3", ("a", 6, 18))]
    assert units([field("a", 4, 64, "<i8")], 9) == [("a|", 0, "|V9", ("a", 4, -64))]


def test_units_with_a_byte_in_common_are_one() -> None:
    assert units([field("a", 0, 3, "u1"), field("b", 3, 9, "<u2")], 4) == [
        ("a|b", 0, "<u2", ("a", 0, 3), ("b", 3, 9))
    ]
    # The second goes into both neighbours.
    fields = [field("a", 0, 20), field("b", 20, 20), field("c", 40, 20)]
    assert units(fields, 8) == [("a|b|c", 0, "<u8", ("a", 0, 20), ("b", 20, 20), ("c", 40, 20))]
    assert units(fields[:2], 5) == [("a|b", 0, "|V5", ("a", 0, 20), ("b", 20, 20))]
    # The last one's word holds those of two bytes before it.
    fields = [field("a", 0, 2, "u1"), field("b", 8, 2, "u1"), field("c", 16, 2)]
    assert units(fields, 4) == [("a|b|c", 0, "<u4", ("a", 0, 2), ("b", 8, 2), ("c", 16, 2))]
    # Side by side is not in common.
    assert units(fields[:2], 4) == [("a|", 0, "|u1", ("a", 0, 2)), ("b|", 1, "|u1", ("b", 0, 2))]


def test_in_a_union_units_are_one_only_if_they_are_the_same_bytes() -> None:
    fields = [field("a", 0, 3), field("b", 0, 7, "<i4"), field("c", 0, 9, "<u2")]
    assert units(fields, 4, plain("f", 0, "<f4"), union=True) == [
        ("f", 0, "<f4"),
        ("a|b", 0, "<u4", ("a", 0, 3), ("b", 0, -7)),
        ("c|", 0, "<u2", ("c", 0, 9)),
    ]
    # The word of a member as long as the union needs no bytes to itself.
    assert units([field("a", 0, 3)], 2, plain("m", 0, "u1"), union=True)[1][1:3] == (0, "|u1")


def test_big_endian_bits_are_counted_from_the_other_end() -> None:
    fields = [field("a", 0, 3, ">u4"), field("b", 3, 29, ">i4")]
    expected = [("a|b", 0, ">u4", ("a", 29, 3), ("b", 0, -29))]
    assert units(fields, 4) == units(fields, 4, big=True) == expected
    # Of one byte only the struct says it.
    narrow = [field("a", 0, 3, "u1"), field("b", 3, 5, "u1")]
    assert units(narrow, 1, big=True) == [("a|b", 0, "|u1", ("a", 5, 3), ("b", 0, 5))]
    assert units(narrow, 1) == [("a|b", 0, "|u1", ("a", 0, 3), ("b", 3, 5))]
    assert units([field("a", 30, 10, ">u4")], 8) == [("a|", 3, ">u2", ("a", 0, 10))]
    with pytest.raises(SchemaError, match="bit-field 'a' is big-endian and lies in no word"):
        units([field("a", 30, 18, ">u4")], 8)


def test_the_name_of_a_unit_is_one_that_c_cannot_have() -> None:
    assert units([field("a", 0, 32)], 4)[0][0] == "a|"
    assert units([field("a", 0, 1), field("b", 1, 1), field("c", 9, 1)], 4)[0][0] == "a|b|c"
    # Names have at most 255 bytes.
    at_most = [field("a" * 127, 0, 1), field("b" * 127, 1, 1)]
    assert units(at_most, 4)[0][0] == "a" * 127 + "|" + "b" * 127
    assert units([field("a" * 127, 64, 1), field("é" * 64, 65, 1)], 12)[0][0] == "bits@8/4"
    assert units([field("a" * 255, 0, 1)], 4)[0][0] == "bits@0/4"


def test_members_alone_are_put_in_order() -> None:
    assert [one.name for one in with_units([plain("b", 4), plain("a", 0)], [], 8)] == ["a", "b"]
    # Of a union they keep theirs.
    assert [one.name for one in with_units([plain("b", 0), plain("a", 0)], [], 4, union=True)] == ["b", "a"]


@st.composite
def layouts(draw: st.DrawFn) -> tuple[list[Member], list[BitField], int]:
    """Members and bit-fields, none on another, with gaps."""
    members, fields, end = [], [], 0
    for number in range(draw(st.integers(1, 9))):
        end += draw(st.sampled_from([0, 0, 0, 1, 5, 8, 24]))
        size = draw(st.sampled_from([1, 2, 4, 8]))
        if draw(st.booleans()):
            width = draw(st.integers(1, 8 * size))
            sign = draw(st.sampled_from("ui"))
            fields.append(field(f"m{number}", end, width, f"<{sign}{size}"))
            end += width
        else:
            end = -(-end // 8) * 8
            members.append(plain(f"m{number}", end // 8, f"<u{size}"))
            end += 8 * size
    return members, fields, -(-end // 8) + draw(st.integers(0, 8))


def expected(members: list[Member], fields: list[BitField], size: int) -> list[tuple[int, int]]:
    """The bytes of units, painted: of a free word, else of the field; those with a byte in common are one."""
    taken = {one.offset + place for one in members for place in range(one.nbytes)}
    found: list[set[int]] = []
    for one in fields:
        exact = {bit // 8 for bit in range(one.at, one.at + one.width)}
        low = min(exact) - min(exact) % one.type.itemsize
        word = set(range(low, low + one.type.itemsize))
        mine = word if exact <= word and max(word) < size and not word & taken else exact
        found = [other for other in found if not other & mine] + [
            mine.union(*(other for other in found if other & mine))
        ]
    return sorted((min(one), max(one) + 1) for one in found)


@settings(max_examples=300, deadline=None)
@given(layouts(), st.randoms())
def test_units_hold_all_bits_and_nothing_else(layout, choose) -> None:
    members, fields, size = layout
    made = with_units(members, fields, size)
    Struct(size, made)  # which checks that they lie within it
    spans = [(member.offset, member.offset + member.nbytes) for member in made]
    assert all(end <= begin for (_, end), (begin, _) in pairwise(spans))
    assert [member for member in made if not member.bits] == members
    holding = [member for member in made if member.bits]
    assert [(one.offset, one.offset + one.nbytes) for one in holding] == expected(members, fields, size)
    bits = [
        (bit.name, 8 * one.offset + bit.shift, bit.width, bit.signed) for one in holding for bit in one.bits
    ]
    assert bits == [(one.name, one.at, one.width, one.type.kind == "i") for one in fields]
    choose.shuffle(members)
    choose.shuffle(fields)
    assert with_units(members, fields, size) == made
