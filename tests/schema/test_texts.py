"""Kinds of text: what may be said of a pointer, in what form it is kept, and what is refused."""

from __future__ import annotations

import pickle
from ctypes import CFUNCTYPE, POINTER, Structure, Union, c_char, c_char_p, c_int, c_void_p, c_wchar, c_wchar_p

import numpy as np
import pytest

from fastrec.errors import SchemaError
from fastrec.schema import Schema
from fastrec.schema.texts import UNITS, followed

KINDS = [True, "direct", "utf-16", "utf-16:direct", "utf-32", "utf-32:direct"]
BASE = Schema.from_dtype(
    [("n", "<i4"), ("low", "<u4"), ("text", "<u8"), ("many", "<u8", (2,))], abi="sysv-x64"
)


class Names(Structure):
    _fields_ = [
        ("narrow", c_char_p),
        ("wide", c_wchar_p),
        ("letters", POINTER(c_wchar)),
        ("bytes", POINTER(c_char)),
        ("list", POINTER(c_wchar_p)),
        ("any", c_void_p),
        ("call", CFUNCTYPE(c_int)),
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_survives_json_and_pickle(kind: bool | str) -> None:
    schema = BASE.with_field("text", text=kind)
    for one in (schema, Schema.from_json(schema.to_json()), pickle.loads(pickle.dumps(schema))):
        assert one.field("text").text == kind and one.field("text").pointer is True
        assert one.to_json() == schema.to_json() and one == schema


def test_digest_and_json_of_8_bit_texts_are_the_same_for_ever() -> None:
    schema = BASE.with_field("text", text=True).with_field("low", pointer=True)
    assert schema.digest == "a5f2721f5f49a03075dc1cd36418df1c"
    assert schema.to_dict()["fields"] == {"low": {"pointer": True}, "text": {"text": True}}
    assert schema.with_field("text", text="utf-8").to_json() == schema.to_json()


def test_the_encoding_counts_and_the_way_of_reading_does_not() -> None:
    digests = [BASE.with_field("text", text=kind).digest for kind in KINDS]
    assert digests[::2] == digests[1::2] and len(set(digests)) == 3
    assert BASE.digest not in digests and BASE.with_field("text", pointer=True).digest not in digests


def test_followed() -> None:
    schema = BASE.with_field("low", text="utf-16:direct").with_field("text", text="utf-32")
    assert followed(schema.texts) == [(4, 4, 2, True), (8, 8, 4, False)]
    assert followed(BASE.with_field("text", text=True).texts) == [(8, 8, 1, False)]
    assert followed(BASE.with_field("text", text="utf-8:direct").texts) == [(8, 8, 1, True)]
    assert set(UNITS) == {BASE.with_field("text", text=kind).field("text").encoding for kind in KINDS}
    assert BASE.field("text").encoding is None


def test_wide_characters_of_ctypes() -> None:
    """``text=True`` is what C declares, also when it is said later, of a schema that was a file's."""
    plain = Schema.from_ctypes(Names)
    pointers = {field.name: field.pointer for field in plain.fields}
    here = {2: "utf-16", 4: "utf-32"}[np.dtype("U1").itemsize]
    assert pointers == {
        "narrow": True, "wide": here, "letters": here, "bytes": True, "list": True, "any": True, "call": True,
    }  # fmt: skip
    names = ["narrow", "wide", "letters"]
    said = Schema.from_ctypes(Names, text=names)
    assert [said.field(name).text for name in names] == [True, here, here]
    later = Schema.from_json(plain.to_json())
    for name in names:
        later = later.with_field(name, text=True)
    assert later.to_json() == said.to_json()
    again = Schema.from_json(said.to_json()).with_field("wide", text=False)
    assert again.with_field("wide", text=True).to_json() == said.to_json()
    assert later.with_field("wide", text="direct").field("wide").text == f"{here}:direct"
    assert (
        said.with_field("wide", text=False).to_json()
        == Schema.from_ctypes(Names, text=["narrow", "letters"]).to_json()
    )


def test_ctypes_by_name() -> None:
    kinds = {"wide": "utf-16", "any": "utf-16:direct", "bytes": True}
    schema = Schema.from_ctypes(Names, text=kinds)
    assert {field.name: field.text for field in schema.texts} == kinds


@pytest.mark.parametrize(
    ("field", "text", "complaint"),
    [
        ("text", "utf16", "text='utf16'; did you mean 'utf-16'"),
        ("text", "UTF-16", "text='UTF-16'; "),
        ("text", "latin-1", "there is 'utf-8', 'utf-16', 'utf-32', 'direct', "),
        ("text", "utf-16:", "did you mean 'utf-16"),
        ("text", "", "text=''"),
        ("text", 16, "text=16; it is True, False or an encoding"),
        ("text", None, "text=None; it is True"),
        ("text", ["utf-16"], "it is True, False or an encoding"),
        ("n", "utf-16", "is <i4; pointers are u4 or u8"),
        ("many", "utf-16", "only a single pointer can be followed"),
    ],
)
def test_refused(field: str, text: object, complaint: str) -> None:
    with pytest.raises(SchemaError, match=complaint) as caught:
        BASE.with_field(field, text=text)
    assert repr(field) in str(caught.value)


def test_wide_characters_are_not_8_bit() -> None:
    schema = Schema.from_ctypes(Names)
    for text in ("utf-8", "utf-8:direct"):
        with pytest.raises(SchemaError, match=r"field 'wide': .* is 8-bit, but C .* say text=True"):
            schema.with_field("wide", text=text)
    for pointer in ("utf-8", "wchar_t", 4, None, []):
        with pytest.raises(SchemaError, match="pointer="):
            schema.with_field("wide", pointer=pointer)


def test_pointers_of_another_byte_order() -> None:
    schema = Schema.from_dtype([("text", ">u8")])
    assert schema.with_field("text", pointer=True).field("text").pointer
    with pytest.raises(SchemaError, match="'text' is a big-endian pointer"):
        schema.with_field("text", text=True)


def test_two_texts_in_the_same_bytes() -> None:
    """After the first was followed, the second would follow its id."""

    class Either(Union):
        _fields_ = [("narrow", c_char_p), ("wide", c_wchar_p)]

    Schema.from_ctypes(Either, text=["narrow"])
    with pytest.raises(SchemaError, match="'narrow' and 'wide' lie in the same bytes"):
        Schema.from_ctypes(Either, text=["narrow", "wide"])
