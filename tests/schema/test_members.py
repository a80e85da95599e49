"""The limits of a layout, and layouts from files nobody vouches for."""

from __future__ import annotations

import copy
import json
import random
import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest

from fastrec.errors import SchemaError
from fastrec.schema import Schema
from fastrec.schema.identity import MAX_JSON

INNER = np.dtype([("x", "<i4")])


def nested(levels: int) -> np.dtype:
    dtype = INNER
    for _ in range(levels - 1):
        dtype = np.dtype([("inner", dtype)])
    return dtype


def layout(names: list[str], formats: list[str], offsets: list[int], itemsize: int = 64) -> np.dtype:
    return np.dtype({"names": names, "formats": formats, "offsets": offsets, "itemsize": itemsize})


@pytest.mark.parametrize(
    ("dtype", "message"),
    [
        ([("a", "O")], "Python objects"),
        ([("a", "U4")], "UTF-8"),
        ([("a", np.dtypes.StringDType())], "StringDType"),
        ([("a", "V0")], "1 to 65536"),
        ([("a", "S0")], "1 to 65536"),
        ([("a", "M8[ns]")], "<i8"),
        ([("a", "m8[s]")], "<i8"),
        ([("a", np.longdouble)], "<f8"),
        ([("a", np.clongdouble)], "<c16"),
        ([("in", [("a", "O")])], "Python objects"),
        ([("first", "<i4"), ("a", "<i4", (0,))], "65536 elements"),
        ([("a", "u1", (65529,))], "at most 65536"),
        ([("a", "V65529")], "at most 65536"),
        ([("a", "S1000000000")], "1 to 65536"),
        ([("a", INNER, (1025,))], "1025 fields"),
        ([("a", [("b", INNER, (60,))], (60,))], "3600 fields"),
        ([(f"f{i}", "u1") for i in range(1025)], "1025 fields"),
        ([("n" * 256, "u1")], "255 bytes"),
        ([("é" * 128, "u1")], "255 bytes"),
        ([("a\n", "u1")], "printable"),
        ([("a.b", "u1")], "rename"),
        ([("a[0]", "u1")], "rename"),
        (nested(17), "deeper than 16"),
        (nested(30), "deeper than 16"),
        (layout(["a", "b"], ["<i4", "<i4"], [0, 2]), "neither contains"),
        (layout(["a", "b", "c"], ["<i8", "<i2", "<i4"], [0, 6, 7]), "neither contains"),
        (np.dtype([]), "1 to 65536"),
        (layout([], [], [], 8), "no members"),
        ("<i4", "no struct"),
        (np.dtype(("<i4", (2,))), "no struct"),
        ([("a", "nonsense")], "no structured dtype"),
        ([("a", "V1073741824")], "1 to 65536"),
        ([("a", "<f8", (1 << 27,))], "1 to 65536"),
        ([("a", [("b", "O", (2,))], (2,))], "Python objects"),
        ([("a", "<i4"), ("a", "<i4")], "no structured dtype: field 'a' occurs more than once"),
        ([("a", "<i4", (-1,))], "no structured dtype"),
        ([("a", "<i4", (1 << 40,))], "no structured dtype"),
        ({"names": ["a"], "formats": ["<i4"], "offsets": [-4]}, "no structured dtype"),
        ({"names": ["a"], "formats": ["<i4"], "offsets": [0], "itemsize": 1 << 40}, "no structured dtype"),
        ({"names": ["a"], "formats": ["<i4"], "offsets": [0], "itemsize": (1 << 31) - 1}, "1 to 65536"),
        ({"names": ["a"], "formats": ["<i4"], "offsets": [(1 << 31) - 8]}, "1 to 65536"),
        ([(f"f{i}", "<i4") for i in range(10_000)], "10000 fields"),
        (7, "no structured dtype"),
    ],
)
def test_a_dtype_outside_the_limits_is_refused(dtype: object, message: str) -> None:
    with pytest.raises(SchemaError, match=message) as caught:
        Schema.from_dtype(dtype)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize(
    "dtype",
    [
        [("a", "V65528")],
        [(f"f{i}", "u1") for i in range(1024)],
        [("a", INNER, (1024,))],
        [("n" * 255, "u1")],
        nested(4),
        layout(["a", "b", "c"], ["<i8", "<i2", "<i2"], [0, 6, 8]),
    ],
    ids=["bytes", "fields", "structs", "name", "depth", "union"],
)
def test_a_dtype_at_the_limits_is_taken(dtype: object) -> None:
    schema = Schema.from_dtype(dtype)
    assert Schema.from_json(schema.to_json()) == schema
    assert schema.storage_dtype.itemsize <= 65536


def test_more_columns_can_be_too_many() -> None:
    schema = Schema.from_dtype([("a", "V65528")])
    assert schema.record_dtype.itemsize == 65536
    for form in (schema.record, schema.storage):
        with pytest.raises(SchemaError, match="store='changes'"):
            form("changes")


GOOD = Schema.from_dtype(
    [("hr", "<i4"), ("motors", [("pos", "<f8"), ("mode", "u1")], (2,)), ("url", "<u8")],
    labels={"motors[1].mode": {"IDLE": 0}},
    units={"hr": "V"},
).with_field("url", text=True)
BITS = {"name": "w", "offset": 0, "type": "<u4", "bits": [["a", 0, 3, "u"]]}


def member(**changes: object) -> dict[str, object]:
    """A good schema with its first member changed."""
    obj = GOOD.to_dict()
    obj["members"] = [{**obj["members"][0], **changes}, *obj["members"][1:]]
    return obj


def deep(levels: int, **named: str) -> dict[str, object]:
    inner: dict[str, object] = {"name": "a", "offset": 0, "type": "|u1"}
    for _ in range(levels):
        inner = {**named, "offset": 0, "size": 1, "members": [inner]}
    return {**GOOD.to_dict(), "size": 1, "members": [inner], "fields": {}}


def unnamed(**changes: object) -> dict[str, object]:
    """A schema of one anonymous struct."""
    obj = deep(1)
    return {**obj, "size": 2, "members": [{**obj["members"][0], **changes}]}


def bits(*rows: object, **changes: object) -> dict[str, object]:
    return {**GOOD.to_dict(), "size": 8, "members": [{**BITS, "bits": list(rows), **changes}], "fields": {}}


HOSTILE: dict[str, object] = {
    **{
        f"type {code!r:.20}": member(type=code)
        for code in (
            "O",
            "|O",
            "<O8",
            "T",
            "|T16",
            "V0",
            "|V0",
            "|S0",
            "<U4",
            "<M8[ns]",
            "<f16",
            "<i3",
            "=i4",
            "i4",
            "",
            "<i4,<i4",
            "(2,)<i4",
            "|S1000000000",
            "|V99999999999999999999",
            "|S٣",
            "|S1_0",
            "<i4\n",
            "[('a','O')]",
            None,
            4,
            1e300,
            ["<i4"],
            {"a": 1},
            True,
            "x" * 100_000,
        )
    },
    **{
        f"offset {value!r}": member(offset=value)
        for value in (-1, 0.0, None, "0", True, 1 << 70, 60_000, [0])
    },
    **{
        f"shape {str(value)[:20]}": member(shape=value)
        for value in (
            [0],
            [-1],
            [1 << 40],
            [65536, 65536],
            [2] * 33,
            [1] * 100_000,
            3,
            "3",
            {"0": 1},
            [1.0],
            [True],
            [None],
        )
    },
    **{
        f"name {value!r:.20}": member(name=value)
        for value in (
            "",
            "n" * 300,
            "a.b",
            "a[1]",
            "\0",
            "a\n",
            "\ud800",
            None,
            3,
            ["a"],
            "url",
            "x" * 1_000_000,
        )
    },
    **{
        f"size {value!r}": {**GOOD.to_dict(), "size": value}
        for value in (0, -8, 8, 65_529, 1 << 40, 40.0, None, "40", True)
    },
    **{
        f"schema name {value!r:.20}": {**GOOD.to_dict(), "name": value}
        for value in ("", "n" * 300, None, 3, "a\n")
    },
    **{f"abi {value!r:.20}": {**GOOD.to_dict(), "abi": value} for value in ("", "a b", "A" * 99, None, 3)},
    **{
        f"byteorder {value!r:.20}": {**GOOD.to_dict(), "byteorder": value}
        for value in ("", "middle", None, [])
    },
    **{
        f"members {str(value)[:20]}": {**GOOD.to_dict(), "members": value}
        for value in (
            [],
            {},
            None,
            "abc",
            [None],
            [[]],
            [3],
            [{}],
            [{"name": "a"}],
            [{"name": "a", "offset": 0, "members": []}],
        )
    },
    **{
        f"fields {str(value)[:40]}": {**GOOD.to_dict(), "fields": value}
        for value in (
            [],
            None,
            "hr",
            {"hr": None},
            {"hr": []},
            {"nothing": {}},
            {"hr": {"unit": 3}},
            {"hr": {"scale": 0}},
            {"hr": {"scale": 10**400}},
            {"hr": {"bias": "1"}},
            {"hr": {"doc": []}},
            {"hr": {"text": 1}},
            {"hr": {"text": True}},
            {"hr": {"pointer": True}},
            {"hr": {"pointer": "yes"}},
            {"hr": {"labels": None}},
            {"hr": {"labels": {"kind": "enum", "enumerators": []}}},
            {"hr": {"labels": {"kind": "pickle"}}},
            {"motors[0].pos": {"labels": {"kind": "hresult"}}},
            {"hr": {"unit": "V" * 1000}},
        )
    },
    "two of a name": {**GOOD.to_dict(), "members": [member()["members"][0]] * 2, "fields": {}},
    "overlap": member(type="<i8"),
    "too many members": {
        **GOOD.to_dict(),
        "members": [{"name": f"f{i}", "offset": 0, "type": "|u1"} for i in range(5000)],
    },
    "too many leaves": {
        **GOOD.to_dict(),
        "fields": {},
        "size": 65_000,
        "members": [
            {
                "name": "a",
                "offset": 0,
                "size": 1,
                "shape": [65_000],
                "members": [{"name": "b", "offset": 0, "type": "|u1"}],
            },
        ],
    },
    "deep": deep(16, name="a"),
    "very deep": deep(400, name="a"),
    "deep without names": deep(16),
    "very deep without names": deep(400),
    "an array without a name": unnamed(shape=[2]),
    "a number without a name": {**unnamed(), "members": [{"offset": 0, "type": "|u1"}]},
    "an empty name": unnamed(name=""),
    "a name twice without names": {**unnamed(), "size": 2, "members": [*unnamed()["members"] * 2]},
    "bits outside": bits(["a", 30, 3, "u"]),
    "bits of none": bits(["a", 0, 0, "u"]),
    "bits twice": bits(["a", 0, 1, "u"], ["a", 1, 1, "u"]),
    "bits unknown": bits(["a", 0, 1, "x"]),
    "bits short": bits(["a", 0, 1]),
    "bits huge": bits(["a", 1 << 70, 1, "u"]),
    "bits many": bits(*(["a", 0, 1, "u"] for _ in range(5000))),
    "bits of floats": bits(["a", 0, 1, "u"], type="<f4"),
    "bits of arrays": bits(["a", 0, 1, "u"], shape=[2]),
    "bits no list": bits("aaaa"),
}
TEXTS = {
    "empty": "",
    "no JSON": "{",
    "list": "[]",
    "null": "null",
    "number": "1",
    "text": '"a"',
    "empty object": "{}",
    "deep lists": "[" * 500_000,
    "deep objects": '{"members":' * 100_000,
    "long": " " * (3 << 20),
    "digits": "9" * 100_000,
    "NaN scale": GOOD.to_json().replace('"unit":"V"', '"scale":NaN'),
    "pair of surrogates": '{"name":"\\ud800"}',
}


def refused(source: object) -> int:
    """Check that a source is refused, and return the peak of memory it took."""
    tracemalloc.start()
    try:
        with pytest.raises(SchemaError) as caught:
            Schema.from_json(source)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1000
    return peak


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_objects_are_refused_cheaply(name: str) -> None:
    assert Schema.from_json(GOOD.to_dict()) == GOOD
    assert refused(HOSTILE[name]) < 2 << 20
    if not name.startswith("very deep"):
        assert refused(json.dumps(HOSTILE[name])) < 16 << 20


@pytest.mark.parametrize("name", TEXTS)
def test_hostile_texts_are_refused_cheaply(name: str) -> None:
    assert refused(TEXTS[name]) < 16 << 20


def test_a_good_schema_in_too_long_a_text_is_refused() -> None:
    text = GOOD.to_json()
    assert Schema.from_json(text + " " * (MAX_JSON - len(text))) == GOOD
    with pytest.raises(SchemaError, match="is longer than"):
        Schema.from_json(text + " " * (MAX_JSON + 1 - len(text)))
    with pytest.raises(SchemaError, match="shorten docs"):
        Schema.from_dtype(
            [(f"f{i}", "u1") for i in range(40)], docs={f"f{i}": "x" * 65_000 for i in range(40)}
        )


def test_a_struct_without_a_name_is_taken() -> None:
    for obj in (unnamed(), deep(15)):
        schema = Schema.from_json(obj)
        assert [field.name for field in schema.fields] == ["a"] and schema.dtype.names == ("a",)
        assert Schema.from_json(schema.to_json()) == schema and schema.to_dict()["members"] == obj["members"]


def test_lists_are_measured_before_they_are_walked() -> None:
    for name, message in (("too many members", "5000 entries"), ("bits many", "bits of .* 5000 entries")):
        with pytest.raises(SchemaError, match=message):
            Schema.from_json(HOSTILE[name])


@pytest.mark.parametrize("source", [None, 3, b"{}", [], (), {1: 2}, np.dtype("O")])
def test_what_is_neither_text_nor_object(source: object) -> None:
    refused(source)


def test_mutations_of_a_good_schema_never_do_anything_but_mean_something_or_fail() -> None:
    values = [None, -1, 0, 1, 7, 65_536, 1 << 64, 0.5, "", "x", "<i4", "|O", [], [1], {}, True]
    choose = random.Random(3)

    def mutate(obj: object) -> None:
        keys: list = list(obj) if isinstance(obj, dict) else list(range(len(obj)))
        key = choose.choice(keys)
        if isinstance(obj[key], dict | list) and obj[key] and choose.random() < 0.8:
            mutate(obj[key])
        else:
            obj[key] = choose.choice(values)

    outcomes = set()
    for _ in range(3000):
        obj = copy.deepcopy(GOOD.to_dict())
        mutate(obj)
        try:
            schema = Schema.from_json(obj)
        except SchemaError:
            outcomes.add("refused")
        else:
            outcomes.add("taken")
            assert Schema.from_json(schema.to_json()) == schema
            assert not schema.dtype.hasobject
    assert outcomes == {"refused", "taken"}


def test_unknown_members_of_the_json_are_ignored() -> None:
    obj = member(colour="red")
    obj["later"] = [1, 2]
    obj["fields"]["hr"]["precision"] = 3
    assert Schema.from_json(obj) == GOOD


@pytest.mark.parametrize(
    "change", [lambda s: s.replace("<i4", "<u4"), lambda s: s.replace('"IDLE",0', '"IDLE",1')]
)
def test_the_json_is_what_is_believed(change: Callable[[str], str]) -> None:
    assert Schema.from_json(change(GOOD.to_json())) != GOOD
