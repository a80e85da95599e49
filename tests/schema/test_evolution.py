"""What is different between two schemas, told field by field, and what nobody can tell."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from hypothesis import given, settings
from schema.evolving import Grown, grown

from fastrec.errors import SchemaError
from fastrec.schema import HRESULT, Masked, Schema
from fastrec.schema.conversion import Conversion


def made(dtype: object, **more: object) -> Schema:
    return Schema.from_dtype(dtype, **more)


def told(old: Schema, new: Schema, renamed: dict | None = None) -> list[tuple]:
    return [(one.kind, one.field, one.old, one.new) for one in old.diff(new, renamed)]


BASE = made([("tick", "<u4"), ("mode", "<i2"), ("temp", "<f4"), ("gone", "S8")], name="base")


def test_nothing() -> None:
    assert BASE.diff(BASE) == () and not BASE.diff(Schema.from_json(BASE.to_json()))


def test_every_kind_of_change_in_the_order_of_the_new_schema() -> None:
    new = made(
        [("first", "u1"), ("count", "<u8"), ("temp", "<f8"), ("mode", ">i2"), ("last", "<u4", (3,))],
        name="next",
        abi="msvc-x86",
    )
    assert told(BASE, new, {"tick": "count"}) == [
        ("name", "", "base", "next"),
        ("abi", "", BASE.abi, "msvc-x86"),
        ("size", "", 18, 31),
        ("added", "first", None, "u1 at byte 0"),
        ("renamed", "count", "tick", "count"),
        ("moved", "count", "byte 0", "byte 1"),
        ("widened", "count", "<u4", "<u8"),
        ("moved", "temp", "byte 6", "byte 9"),
        ("widened", "temp", "<f4", "<f8"),
        ("removed", "gone", "S8 at byte 10", None),
        ("moved", "mode", "byte 4", "byte 17"),
        ("byteorder", "mode", "<i2", ">i2"),
        ("added", "last", None, "<u4[3] at byte 19"),
    ]
    assert [str(one) for one in BASE.diff(new, {"tick": "count"})][2:10:2] == [
        "size 18 -> 31",
        "'count': renamed tick -> count",
        "'count': widened <u4 -> <u8",
        "'temp': widened <f4 -> <f8",
    ]
    assert not any(one.lossy for one in BASE.diff(new, {"tick": "count"}))


@pytest.mark.parametrize(
    ("said", "line"),
    [
        ({"unit": "degC"}, "'temp': unit '' -> 'degC'"),
        ({"scale": 0.01}, "'temp': scale 1.0 -> 0.01"),
        ({"bias": -40.0}, "'temp': bias 0.0 -> -40.0"),
        ({"doc": "of the\nmotor " + "x" * 90}, "'temp': doc '' -> 'of the"),
    ],
)
def test_another_meaning_is_no_loss(said: dict, line: str) -> None:
    (change,) = BASE.diff(BASE.with_field("temp", **said))
    assert str(change).startswith(line) and "\n" not in str(change) and len(str(change)) < 120
    assert not change.lossy and change.as_dict() == {
        "kind": next(iter(said)),
        "field": "temp",
        "old": getattr(BASE.field("temp"), change.kind),
        "new": said[change.kind],
        "lossy": False,
    }
    assert json.loads(json.dumps(change.as_dict())) == change.as_dict()


@pytest.mark.parametrize(
    ("before", "after", "line"),
    [
        ({"RUN": 1, "OFF": 0}, {"RUN": 1, "IDLE": 0, "FAULT": 2}, "labels OFF=0 -> IDLE=0, FAULT=2"),
        ({"RUN": 1}, {"RUN": 1, "FAULT": 2}, "labels nothing -> FAULT=2"),
        ({"RUN": 1, "GO": 1}, {"GO": 1, "RUN": 1}, "labels enum of 2 -> enum of 2, in another order"),
        (None, {"RUN": 1}, "labels none -> enum of 1"),
        ({"RUN": 1}, HRESULT, "labels enum of 1 -> hresult of 0"),
        (Masked({"A": (3, 1)}), Masked({"A": (7, 1)}), "labels masked of 1 -> masked of 1, in another order"),
    ],
)
def test_labels(before: object, after: object, line: str) -> None:
    (change,) = BASE.with_field("mode", labels=before).diff(BASE.with_field("mode", labels=after))
    assert str(change).startswith(f"'mode': {line}") and not change.lossy


def test_texts_and_pointers() -> None:
    old = made([("p", "<u8")])
    assert [str(one) for one in old.diff(old.with_field("p", text="utf-16"))] == [
        "'p': text no text -> utf-16, which cannot hold every old value",
        "'p': pointer False -> True",
    ]
    (change,) = old.with_field("p", text=True).diff(old.with_field("p", text="direct"))
    assert (change.kind, change.lossy) == ("text", False)
    (change,) = old.diff(old.with_field("p", pointer=True))
    assert (change.kind, change.lossy) == ("pointer", False)


def test_bit_fields() -> None:
    def bits(*fields: list) -> Schema:
        unit = {"name": "u|", "offset": 0, "type": "<u4", "bits": list(fields)}
        return Schema.from_json(
            {"name": "s", "abi": "test", "byteorder": "little", "size": 4, "members": [unit]}
        )

    old = bits(["a", 0, 3, "u"], ["b", 3, 5, "i"])
    assert told(old, bits(["a", 0, 4, "u"], ["b", 4, 5, "i"])) == [
        ("widened", "a", "<u4:3", "<u4:4"),
        ("moved", "b", "byte 0 bit 3", "byte 0 bit 4"),
    ]
    (change,) = old.diff(bits(["a", 0, 2, "u"], ["b", 3, 5, "i"]))
    assert (change.kind, change.lossy) == ("narrowed", True)
    (change,) = old.diff(bits(["a", 0, 3, "i"], ["b", 3, 5, "i"]))
    assert (change.kind, change.lossy) == ("retyped", True)
    eight = bits(["a", 0, 8, "u"])
    size, change = eight.diff(made([("a", "u1")], name="s", abi="test"))
    assert (size.kind, change.kind, change.lossy) == ("size", "retyped", False)


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("code", ["<f2", "<f4", "<f8"])
def test_a_float_holds_the_integers_that_it_gives_back(code: str, signed: bool) -> None:
    """Of every width: NumPy's own conversions are asked, there and back."""
    for width in range(1, 65):
        kind = "i" if signed else "u"
        unit = {"name": "x|", "offset": 0, "type": "<u8", "bits": [["x", 0, width, kind]]}
        old = Schema.from_json(
            {"name": "s", "abi": "test", "byteorder": "little", "size": 8, "members": [unit]}
        )
        ends = [(1 << width - signed) - 1, -1 << width - 1 if signed else 0]
        with np.errstate(over="ignore"):
            floats = np.array(ends, f"{kind}8").astype(code)
        kept = np.isfinite(floats).all() and [int(one) for one in floats.tolist()] == ends
        changes = old.diff(made([("x", code)]))
        assert any(change.lossy for change in changes) == (not kept), width


# What is ambiguous


def ambiguous(was: str, now: str) -> str:
    question = f"field '{was}' is gone and '{now}' is new in its place: renamed?"
    return re.escape(f"{question} say renamed={{'{was}': '{now}'}}, or {{'{was}': None}}")


@pytest.mark.parametrize(
    "after",
    [
        [("tick", "<u4"), ("state", "<i2"), ("temp", "<f4"), ("gone", "S8")],
        [("new", "<u8"), ("tick", "<u4"), ("state", "<i2"), ("temp", "<f4"), ("gone", "S8")],
        [("tick", "<u4"), ("state", ">i2"), ("temp", "<f4"), ("gone", "S8")],
        [("filler", "<u2"), ("temp", "<f4"), ("tick", "<u4"), ("state", "<i2"), ("gone", "S8")],
    ],
    ids=["same offset", "behind the same field", "other byte order", "both moved"],
)
def test_a_field_gone_and_one_new_in_its_place(after: list) -> None:
    new = made(after)
    with pytest.raises(SchemaError, match=ambiguous("mode", "state")):
        Conversion(BASE, new)
    for said in ({"mode": "state"}, {"mode": None}):
        Conversion(BASE, new, said)


@pytest.mark.parametrize(
    "after",
    [
        [("tick", "<u4"), ("state", "<u2"), ("temp", "<f4"), ("gone", "S8")],
        [("tick", "<u4"), ("temp", "<f4"), ("gone", "S8"), ("state", "<i2")],
        [("tick", "<u4"), ("state", "<i2", (1,)), ("temp", "<f4"), ("gone", "S8")],
    ],
    ids=["other type", "other place", "other shape"],
)
def test_no_question_where_there_is_none(after: list) -> None:
    Conversion(BASE, made(after))


def test_a_nested_struct_is_asked_for_once() -> None:
    pose = np.dtype([("x", "<f8"), ("y", "<f8")])
    old = made([("n", "u1"), ("pose", pose), ("motors", [("pos", "<i4"), ("v", "<i4")], (3,))])
    new = made([("n", "u1"), ("position", pose), ("motors", [("angle", "<i4"), ("v", "<i4")], (3,))])
    with pytest.raises(SchemaError) as caught:
        Conversion(old, new)
    assert str(caught.value).count("is gone") == 2
    for was, now in (("pose", "position"), ("motors.pos", "motors.angle")):
        assert f"say renamed={{'{was}': '{now}'}}" in str(caught.value)
    said = {"pose": "position", "motors.pos": "motors.angle"}
    assert Conversion(old, new, said).same
    assert {change.kind for change in old.diff(new, said)} == {"renamed"}
    with pytest.raises(SchemaError, match=r"'motors\.pos'"):
        Conversion(old, new, {"pose": None})


def test_a_shorter_array_of_structs_is_as_lossy_as_any() -> None:
    motor = np.dtype([("pos", "<i4"), ("v", "<i4")])
    old, new = made([("motors", motor, (3,))]), made([("motors", motor, (2,))])
    with pytest.raises(
        SchemaError,
        match=r"'motors\[2\].pos': removed .*shorter.*renamed={'motors\[2\].pos': None, .*\.v': None}",
    ):
        Conversion(old, new)
    Conversion(old, new, {"motors[2]": None})
    assert [one.kind for one in new.diff(old)] == ["size", "added", "added"]


@settings(deadline=None)
@given(grown())
def test_a_grown_struct_loses_nothing_and_its_way_back_is_told(case: Grown) -> None:
    old, new = case.old.schema("old"), case.new.schema("new")
    changes = old.diff(new, case.renamed)
    assert not any(change.lossy for change in changes)
    assert len({(one.kind, one.field) for one in changes}) == len(changes)
    assert bool([one for one in changes if one.kind != "name"]) == (old != new)
    assert all("\n" not in str(one) for one in changes)
    gone = [one.field for one in changes if one.kind == "removed"]
    assert sorted(gone) == sorted(name for name, target in case.renamed.items() if target is None)
    renamed = {one.new: one.old for one in changes if one.kind == "renamed"}
    back = {
        ("removed", "added").index(one.kind)
        for one in new.diff(old, renamed)
        if one.kind in ("added", "removed")
    }
    assert (0 in back, 1 in back) == (any(one.kind == "added" for one in changes), bool(gone))
    # A field that became wider cannot become narrower again, unless both have the same values.
    lossy = {one.field for one in new.diff(old, renamed) if one.lossy}
    wide = {renamed.get(one.field, one.field) for one in changes if one.kind in ("widened", "reshaped")}
    assert lossy == wide
