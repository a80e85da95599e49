"""Conversion: every value of an old record is that of the new one, told by Python's own numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from schema.evolving import Grown, grown

from fastrec.errors import SchemaError
from fastrec.schema import Schema
from fastrec.schema.conversion import Conversion


def made(dtype: object, name: str = "s", **text: bool | str) -> Schema:
    schema = Schema.from_dtype(dtype, name=name)
    for field, kind in text.items():
        schema = schema.with_field(field, text=kind)
    return schema


def spread(*members: tuple[str, str, int], size: int) -> np.dtype:
    """A dtype of (name, code, offset), which may overlap."""
    names, formats, offsets = zip(*members, strict=True)
    return np.dtype(
        {"names": list(names), "formats": list(formats), "offsets": list(offsets), "itemsize": size}
    )


def records(schema: Schema, payloads: list[bytes], store: str = "every") -> np.ndarray:
    """Records with these payloads, stamped 1, 2, 3 ..."""
    rows = np.zeros(len(payloads), schema.record(store))
    raw = rows.view(np.uint8).reshape(len(rows), -1)
    start = schema.payload_offset(store)
    for place, payload in enumerate(payloads):
        raw[place, start : start + schema.size] = np.frombuffer(payload, np.uint8)
        raw[place, :8] = np.frombuffer(np.int64(place + 1).tobytes(), np.uint8)
        if store == "changes":
            rows["polls"][place] = 7 + place
    rows.flags.writeable = False
    return rows


def converted(old: Schema, new: Schema, values: object, **renamed: str | None) -> np.ndarray:
    rows = np.array(values, old.dtype)
    return Conversion(old, new, renamed).rows(records(old, [row.tobytes() for row in rows]))


@settings(deadline=None)
@given(grown(), st.sampled_from(["every", "changes"]))
def test_every_value_of_a_grown_struct(case: Grown, store: str) -> None:
    old, new = case.old.schema("old"), case.new.schema("new")
    rows = records(old, case.payloads, store)
    got = Conversion(old, new, case.renamed, store).rows(rows)
    assert got.dtype == new.record(store) and not got.flags.writeable
    assert got["mono_ns"].tolist() == rows["mono_ns"].tolist()
    if store == "changes":
        assert got["polls"].tolist() == rows["polls"].tolist()
    for name, expected in case.expected.items():
        assert new.field(name).of(got).tolist() == expected, name
    # Whatever is not a field is zero.
    start = new.payload_offset(store)
    whole = got.view(np.uint8).reshape(len(got), -1)[:, start:]
    for place, row in enumerate(whole):
        values = {name: column[place] for name, column in case.expected.items()}
        assert row[: new.size].tobytes() == case.new.payload(values)
        assert not row[new.size :].any()


@settings(deadline=None)
@given(grown())
def test_the_same_schema_gives_the_same_bytes(case: Grown) -> None:
    old = case.old.schema("old")
    rows = records(old, case.payloads)
    conversion = Conversion(old, old)
    assert conversion.same
    got = conversion.rows(rows)
    assert got.tobytes() == rows.tobytes() and np.shares_memory(got, rows)
    assert old.diff(case.old.schema("old")) == ()


def test_the_same_layout_is_viewed_and_not_copied() -> None:
    old = made([("a", "<u4"), ("b", "<f8")])
    new = Schema.from_dtype([("a", "<u4"), ("c", "<f8")], labels={"a": {"ON": 1}}, units={"c": "V"})
    conversion = Conversion(old, new, {"b": "c"})
    rows = records(old, [np.array((3, 2.5), old.dtype).tobytes()])
    assert conversion.same and np.shares_memory(conversion.rows(rows), rows)
    assert conversion.rows(rows)["c"].tolist() == [2.5]
    assert not Conversion(old, made([("b", "<f8"), ("a", "<u4")])).same
    assert not Conversion(old, made([("a", "<u4"), ("b", "<f8"), ("c", "u1")])).same


def test_what_lay_in_padding_is_no_value_of_a_field_that_is_new_there() -> None:
    old = made(spread(("a", "u1", 0), ("b", "<u4", 4), size=8))
    new = made(spread(("a", "u1", 0), ("c", "u1", 1), ("b", "<u4", 4), size=8))
    got = Conversion(old, new).rows(records(old, [b"\xff" * 8]))
    assert got[["a", "c", "b"]].tolist() == [(255, 0, 2**32 - 1)]


@pytest.mark.parametrize(
    ("before", "after", "why"),
    [
        ("<u4", "<u2", "narrowed <u4 -> <u2"),
        ("<i4", "<u8", "retyped <i4 -> <u8"),
        ("<u4", "<i4", "retyped <u4 -> <i4"),
        ("<i8", "<f8", "retyped <i8 -> <f8"),
        ("<i4", "<f4", "retyped"),
        ("<u2", "<f2", "retyped"),
        ("<f4", "<i8", "retyped"),
        ("<f8", "<f4", "narrowed"),
        ("<f8", "<c8", "retyped"),
        ("<c16", "<f8", "retyped"),
        ("S4", "<u4", "retyped"),
        ("<u4", "S4", "retyped"),
        ("S8", "S4", "narrowed"),
        ("V8", "V16", "retyped V8 -> V16"),
        ("V4", "<u4", "retyped"),
        ("<u4", "?", "retyped"),
        ("(3,)u1", "(2,)u1", r"reshaped \[3\] -> \[2\]"),
        ("u1", "(2,)u1", r"reshaped one value -> \[2\]"),
        ("(2,)u1", "(2,2)u1", r"reshaped \[2\] -> \[2\]\[2\]"),
    ],
)
def test_what_would_lose_values_is_refused(before: str, after: str, why: str) -> None:
    old, new = made([("keep", "u1"), ("x", before)]), made([("keep", "u1"), ("x", after)])
    with pytest.raises(SchemaError, match=f"'x': {why}.*renamed={{'x': None}}") as caught:
        Conversion(old, new)
    assert "\n" not in str(caught.value)
    assert any(change.lossy for change in old.diff(new))
    # Said to be gone, it is new, and zero.
    conversion = Conversion(old, new, {"x": None})
    rows = records(old, [b"\xff" * old.size])
    assert not new.field("x").of(conversion.rows(rows)).tobytes().strip(b"\0")
    assert conversion.rows(rows)["keep"].tolist() == [255]


def test_what_may_be_lost_is_named_with_what_keeps_it() -> None:
    types = [(name, "<u8") for name in "abcdef"]
    old, new = made(types), made([(name, "<u4") for name in "abcdef"])
    with pytest.raises(SchemaError, match=r"renamed={'a': None, 'b': None, 'c': None, 'd': None, \.\.\.}$"):
        Conversion(old, new)
    for kind in (True, "utf-16"):
        with pytest.raises(
            SchemaError, match=rf"; to keep it, \.with_field\('a', text={kind!r}\); to go without"
        ):
            Conversion(old.with_field("a", text=kind), made(types))


@pytest.mark.parametrize(
    ("before", "after", "why"),
    [
        ({"labels": {"IDLE": 0, "RUN": 1}}, {"labels": {"IDLE": 1, "RUN": 0}}, "labels .*labels=\\.\\.\\."),
        ({"scale": 0.1}, {"scale": 0.01}, "scale 0.1 -> 0.01, by which.*scale=0.1"),
        ({"scale": 0.1}, {"scale": 0.1, "bias": 2.0}, "bias 0.0 -> 2.0"),
        ({"unit": "degC"}, {"unit": "K"}, "unit 'degC' -> 'K', by which old values would be others"),
    ],
)
def test_old_values_never_become_others(before: dict, after: dict, why: str) -> None:
    old, new = (made([("x", "<i4")]).with_field("x", **meaning) for meaning in (before, after))
    with pytest.raises(SchemaError, match=f"'x': {why}"):
        Conversion(old, new)
    for one in (old, new):
        plain = made([("x", "<i4")])
        assert Conversion(plain, one) and Conversion(one, plain)  # said later, or not said
    grown = made([("x", "<i4")]).with_field("x", labels={"IDLE": 0, "RUN": 1, "FAULT": 2})
    assert Conversion(made([("x", "<i4")]).with_field("x", labels={"IDLE": 0, "RUN": 1}), grown)


@pytest.mark.parametrize("kinds", [(True, "utf-16"), (False, True), (True, False), ("utf-16", "utf-32")])
def test_texts_stay_texts(kinds: tuple[bool | str, bool | str]) -> None:
    old, new = (made([("k", "u1"), ("t", "<u8")]).with_field("t", text=kind) for kind in kinds)
    with pytest.raises(SchemaError, match=r"'t': text .* -> "):
        Conversion(old, new)
    assert Conversion(made([("t", "<u8")], t=True), made([("t", "<u8")], t="direct")).same


def test_a_text_that_was_lost_is_lost_in_a_wider_pointer() -> None:
    old, new = made([("t", "<u4")], t=True), made([("t", "<u8")], t=True)
    assert converted(old, new, [(0,), (1,), (0xFFFF_FFFF,)])["t"].tolist() == [0, 1, 2**64 - 1]
    plain = converted(made([("t", "<u4")]), made([("t", "<u8")]), [(0xFFFF_FFFF,)])
    assert plain["t"].tolist() == [0xFFFF_FFFF]


def test_many_problems_are_one_line() -> None:
    old = made([(f"f{n}", "<u8") for n in range(1000)])
    new = made([(f"f{n}", "<u4") for n in range(1000)])
    with pytest.raises(SchemaError) as caught:
        Conversion(old, new)
    message = str(caught.value)
    assert "'f0'" in message and "'f3'" in message and "996 more" in message
    assert len(message) < 500 and "\n" not in message


def test_floats_of_every_kind() -> None:
    bits = np.array([0x7F80_0001, 0x7FC0_0000, 0xFF80_0000, 0x8000_0000, 1], np.uint32)
    old = made([("x", "<f4")])
    rows = records(old, [word.tobytes() for word in bits])
    got = Conversion(old, made([("x", "<f8")])).rows(rows)["x"]
    assert np.isnan(got[:2]).all() and got[2] == -math.inf
    assert math.copysign(1, got[3]) == -1 and got[4] == 2.0**-149
    whole = Conversion(old, made([("x", "<c16")])).rows(rows)["x"]
    assert whole[2] == complex(-math.inf, 0)


def test_bytes_of_texts_are_kept_whole() -> None:
    """Behind a zero too, which is where NumPy stops showing them."""
    for shape in ((), (2,)):
        old, new = (made([("s", code, shape)]) for code in ("S4", "S6"))
        data = b"a\0b\xff" * (2 if shape else 1)
        got = Conversion(old, new).rows(records(old, [data]))
        assert got.tobytes()[8 : 8 + new.size] == b"a\0b\xff\0\0" * (2 if shape else 1)


def test_any_byte_but_zero_is_true() -> None:
    old, new = made([("b", "?")]), made([("b", "<i4")])
    assert Conversion(old, new).rows(records(old, [b"\x02", b"\0"]))["b"].tolist() == [1, 0]


def test_axes_behind_the_first_may_grow() -> None:
    old, new = made([("m", "<u2", (2, 2))]), made([("m", "<u2", (2, 3))])
    got = converted(old, new, [([[1, 2], [3, 4]],)])
    assert got["m"].tolist() == [[[1, 2, 0], [3, 4, 0]]]


# Unions


UNION = spread(("kind", "u1", 0), ("i", "<i4", 4), ("f", "<f4", 4), size=8)


def test_a_union_that_moves_is_one_copy() -> None:
    old = made(UNION)
    new = made(spread(("new", "<u8", 0), ("i", "<i4", 8), ("f", "<f4", 8), ("kind", "u1", 12), size=16))
    row = np.zeros(1, UNION)
    row["f"], row["kind"] = -1.5, 2
    got = converted(old, new, row)
    assert (got["f"].tolist(), got["i"].tolist()) == ([-1.5], [row["i"][0]])
    assert (got["kind"].tolist(), got["new"].tolist()) == ([2], [0])


def test_a_member_that_is_new_in_a_union_shows_the_bytes_of_the_others() -> None:
    old, row = made(UNION), np.zeros(1, UNION)
    row["f"] = -1.5
    new = made(spread(("kind", "u1", 0), ("i", "<i4", 4), ("f", "<f4", 4), ("u", "<u8", 4), size=12))
    got = converted(old, new, row)
    assert got["u"].tolist() == [int.from_bytes(np.float32(-1.5).tobytes(), "little")]
    assert Conversion(old, new).numeric is None


@pytest.mark.parametrize(
    ("before", "after", "same"),
    [
        ({"a": "<u4", "b": "<i2"}, {"b": ">i8", "a": "<i8"}, (1, 0)),
        ({"a": "<f4"}, {"new": "<f8", "a": ">f8", "text": "S4", "more": "u1"}, (None, 0, None)),
        ({"a": "?"}, {"a": "?"}, (0,)),
        ({"a": "?"}, {"a": "u1"}, None),
        ({"a": "<i2"}, {"a": "<f4"}, None),
        ({"a": "<i2", "b": "<i2"}, {"b": "<i2"}, (1,)),
    ],
)
def test_which_numbers_are_the_same(
    before: dict[str, str], after: dict[str, str], same: tuple[int | None, ...] | None
) -> None:
    old, new = (made(np.dtype([*one.items()])) for one in (before, after))
    gone = {name: None for name in before if name not in after}
    assert Conversion(old, new, gone).numeric == same


def test_a_pointer_in_a_union_may_become_wider() -> None:
    """Of two unsigned members each with zeros above, as where a 32-bit struct becomes one of 64."""
    old = made(spread(("p", "<u4", 0), ("q", "<u4", 0), size=4))
    new = made(spread(("p", "<u8", 0), ("q", "<u4", 0), size=8))
    got = converted(old, new, np.array([(7, 7)], old.dtype))
    assert (got["p"].tolist(), got["q"].tolist()) == ([7], [7])


@pytest.mark.parametrize(
    ("after", "why"),
    [
        ((("i", "<i8", 4), ("f", "<f4", 4)), "one is converted"),
        ((("i", ">i4", 4), ("f", "<f4", 4)), "one is swapped"),
        ((("f", "<f4", 4), ("i", "<i4", 4), ("f2", "<f8", 4)), "one is converted under another name"),
    ],
)
def test_a_union_whose_members_would_contradict(after: tuple, why: str) -> None:
    new = made(spread(("kind", "u1", 0), ("whole", "V12", 4), *after, size=16))
    with pytest.raises(SchemaError, match=r"'[if]' and '\w+' share bytes now"):
        Conversion(made(UNION), new, {"f": "f2"} if "f2" in new.dtype.names else None)


def test_a_struct_that_becomes_a_union_is_refused_and_the_other_way_is_not() -> None:
    apart = made([("kind", "u1"), ("i", "<i4"), ("f", "<f4")])
    with pytest.raises(SchemaError, match=r"'i' and 'f' share bytes now.*renamed={'f': None}"):
        Conversion(apart, made(UNION))
    shown = converted(apart, made(UNION), [(1, -1, 0.5)], f=None)
    assert shown["f"].tobytes() == b"\xff" * 4
    row = np.zeros(1, UNION)
    row["i"] = 5
    got = converted(made(UNION), apart, row)
    assert (got["i"].tolist(), got["f"].tolist()) == ([5], row["f"].tolist())


def test_bytes_that_only_one_member_had_do_not_leak_into_a_wider_one() -> None:
    """With the wide member active, the narrow one's new upper bytes would be the wide one's."""
    old = made(spread(("a", "<u2", 0), ("c", "<u4", 0), size=4))
    new = made(spread(("a", "<u4", 0), ("c", "<u4", 0), size=4))
    with pytest.raises(SchemaError, match="'a' and 'c' share bytes"):
        Conversion(old, new)


def test_another_struct_altogether_is_refused() -> None:
    with pytest.raises(SchemaError, match="'other' has no field of 's': is it another struct"):
        Conversion(made([("a", "<u4"), ("b", "u1")]), made([("c", "<u8"), ("d", "u1")], name="other"))


def test_many_fields_are_few_copies() -> None:
    """Neighbours that move together are one copy, or a thousand fields would be a thousand."""
    old = made([(f"f{n}", "<u4") for n in range(1000)])
    new = made([("first", "u1"), *((f"f{n}", "<u4") for n in range(1000))])
    conversion = Conversion(old, new)
    assert conversion._runs == [(0, 0, 8), (8, 9, 4000)]
