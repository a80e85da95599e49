"""Labels: decoding never raises, encoding is strict, and the two agree."""

from __future__ import annotations

import enum
import json

import numpy as np
import pytest
from common import select
from hypothesis import given
from hypothesis import strategies as st

from fastrec.errors import SchemaError
from fastrec.schema import (
    HRESULT,
    Enumeration,
    Flags,
    Labels,
    Masked,
    as_labels,
    labels_from_json,
)
from fastrec.schema.labels import register_kind

INDI = {
    "INDI_UNDEFINED": 0,
    "INDI_BEGIN": 1,
    "INDI_SUCCEED": 2,
    "INDI_FAIL": 4,
    "INDI_ALL": 0x3F,
    "INDI_END": 6,
}
DRIVE = {
    "NOT_READY": (0x4F, 0x00),
    "SWITCH_ON_DISABLED": (0x4F, 0x40),
    "READY": (0x6F, 0x21),
    "OP_ENABLED": (0x6F, 0x27),
    "FAULT": (0x4F, 0x08),
}
ALL = [Enumeration({"STOPPED": 0, "RUNNING": 3, "LOST": -1}), Flags(INDI), Masked(DRIVE)]
WORDS = st.one_of(st.integers(-70, 70), st.integers(-(1 << 63), (1 << 64) - 1))


class Mode(enum.IntEnum):
    IDLE = 0
    REST = 0
    RUN = 7


class Bits(enum.IntFlag):
    A = 1
    B = 2
    AB = 3
    D = 8


@pytest.mark.parametrize("labels", ALL, ids=lambda labels: labels.kind)
@given(value=WORDS)
def test_every_value_has_a_name(labels: Labels, value: int) -> None:
    name = labels.name(value)
    assert name
    if labels.kind == "enum":
        assert labels.value(name) == value
    elif labels.kind == "flags":
        assert labels.value(name) == value % (1 << (32 if -(1 << 31) <= value < 0 else 64))
    else:
        assert labels.name(labels.value(name)) == name


@pytest.mark.parametrize("labels", [*ALL, HRESULT], ids=lambda labels: labels.kind)
@pytest.mark.parametrize("code", ["<i1", "<u1", ">i2", "<i4", "<u4", "<i8", ">u8"])
def test_select_finds_exactly_what_names_shows(labels: Labels, code: str) -> None:
    info = np.iinfo(code)
    values = np.array([0, 1, 2, 3, 6, 7, 8, 0x21, 0x27, 0x67, 0x3F, 0x40, 0x7F, info.min, info.max], code)
    values = np.concatenate([values, (values[:13].astype("i8") - 1).astype(code)]).reshape(4, 7)
    names = labels.names(values)
    assert names.shape == values.shape
    assert names.dtype == object
    words = values.astype(code.replace("i", "u")) if labels.kind in ("flags", "masked") else values
    assert names.ravel().tolist() == [labels.name(int(word)) for word in words.ravel()]
    for label in set(names.ravel().tolist()) - {name for name in names.ravel() if name.endswith("?")}:
        assert select(labels, values, label).tolist() == (names == label).tolist(), label


@pytest.mark.parametrize("labels", [*ALL, HRESULT], ids=lambda labels: labels.kind)
def test_json_round_trip(labels: Labels) -> None:
    text = json.dumps(labels.to_json())
    again = labels_from_json(json.loads(text))
    assert type(again) is type(labels)
    assert again == labels
    assert hash(again) == hash(labels)
    assert again.enumerators == labels.enumerators
    assert [again.name(value) for value in range(-99, 99)] == [labels.name(value) for value in range(-99, 99)]


def test_the_domain_reads_as_documented() -> None:
    flags = Flags(INDI)
    shown = {
        0: "INDI_UNDEFINED",
        1: "INDI_BEGIN",
        5: "INDI_BEGIN|INDI_FAIL",
        0x41: "INDI_BEGIN|0x40",
        0x3F: "INDI_ALL",
    }
    assert {value: flags.name(value) for value in shown} == shown
    assert flags.name(7) == "INDI_BEGIN|INDI_END"
    assert Flags({"R": 1, "W": 2, "RW": 3}).name(7) == "RW|0x4"
    assert Flags({"TOP": 1 << 31}).name(-(1 << 31)) == "TOP"
    assert Flags({"A": 1}).name(0) == "0"
    assert Enumeration({"HTTP_CONNECTING": 1}).name(7) == "7?"
    drive = Masked(DRIVE)
    assert [drive.name(word) for word in (0x0637, 0x0218, 0x0250, 0x006F)] == [
        "OP_ENABLED",
        "FAULT",
        "SWITCH_ON_DISABLED",
        "0x6f?",
    ]
    assert drive.enumerators[3] == ("OP_ENABLED", 0x27)


def test_flags_select_the_whole_word() -> None:
    flags, words = Flags(INDI), np.array([1, 5, 4, 0x41, -127], "<i1")
    assert select(flags, words, "INDI_BEGIN").tolist() == [True, False, False, False, False]
    assert select(flags, words, "INDI_FAIL | INDI_BEGIN").tolist() == [False, True, False, False, False]
    assert select(flags, words, "INDI_BEGIN|0x40").tolist() == [False, False, False, True, False]
    assert select(flags, words, "INDI_BEGIN|0x80").tolist() == [False, False, False, False, True]
    assert not select(flags, words, "INDI_BEGIN|0x100").any()


def test_a_value_outside_the_dtype_selects_nothing() -> None:
    wide = Enumeration({"LOST": -1, "FAR": 300})
    assert not select(wide, np.array([255, 44], "u1"), "LOST").any()
    assert not select(wide, np.array([255, 44], "u1"), "FAR").any()
    assert select(wide, np.array([255, -1], "<i2"), "LOST").tolist() == [False, True]
    assert not select(Flags({"HIGH": 0x180}), np.array([-128, 0, 127], "i1"), "HIGH").any()
    assert not select(Enumeration({"TWO": 2}), np.array([True, False]), "TWO").any()


def test_of_two_names_the_first_is_shown_and_both_are_known() -> None:
    labels = as_labels(Mode)
    assert (labels.name(0), labels.value("REST"), labels.value("IDLE")) == ("IDLE", 0, 0)
    assert labels.enumerators == (("IDLE", 0), ("REST", 0), ("RUN", 7))


def test_as_labels_takes_what_users_have() -> None:
    assert as_labels(None) is None
    assert as_labels(HRESULT) is HRESULT
    assert (as_labels(Mode).kind, as_labels(Bits).kind, as_labels({"A": np.int8(1)}).kind) == (
        "enum",
        "flags",
        "enum",
    )
    assert as_labels(Bits).name(11) == "AB|D"
    assert as_labels({"A": 1}) == Enumeration({"A": 1}) != Flags({"A": 1})
    for wrong in (3, "A", ["A"], int, Mode.IDLE, enum.Enum("Names", {"A": "a"})):
        with pytest.raises(SchemaError):
            as_labels(wrong)


@pytest.mark.parametrize(
    "enumerators",
    [
        {},
        {"": 1},
        {"A|B": 1},
        {"7?": 1},
        {"0x40": 1},
        {" A": 1},
        {"A\n": 1},
        {3: 1},
        {"A" * 300: 1},
        {"A": 1.0},
        {"A": True},
        {"A": "1"},
        {"A": 1 << 64},
        {"A": -(1 << 63) - 1},
        {f"A{i}": i for i in range(20_000)},
    ],
)
def test_names_and_values_that_cannot_be_labels(enumerators: dict) -> None:
    for kind in (Enumeration, Flags):
        with pytest.raises(SchemaError):
            kind(enumerators)
    with pytest.raises(SchemaError):
        Masked({name: (0xFF, value) for name, value in enumerators.items()})


def test_a_pattern_that_no_word_matches_is_refused() -> None:
    with pytest.raises(SchemaError, match="no word would match"):
        Masked({"OP_ENABLED": (0x0F, 0x27)})


@pytest.mark.parametrize(
    "patterns", [{"A": 1}, {"A": ("x", 1)}, {"A": (1, "x")}, {"A": (1, 1, 1)}, {"A": (-1, 0)},
                 [("A", (1, 1))], {}, None,
                 {"A": (1.0, 1)}, {"A": (1 << 64, 1)}, {"A": None}],
)  # fmt: skip
def test_patterns_that_are_none(patterns: object) -> None:
    with pytest.raises(SchemaError, match=r"A|Masked|labels"):
        Masked(patterns)  # type: ignore[arg-type]


@pytest.mark.parametrize("labels", ALL, ids=lambda labels: labels.kind)
def test_unknown_labels_are_answered_with_near_ones(labels: Labels) -> None:
    name = labels.enumerators[-1][0]
    with pytest.raises(SchemaError, match=f"did you mean .*'{name}'"):
        labels.value(name + "X")
    for wrong in ("", "|", "A||B", "x" * 100_000, "9" * 100, "9" * 20, "0x" + "f" * 17, None, 3, ["A"], "٣"):
        with pytest.raises(SchemaError):
            labels.value(wrong)
        if isinstance(wrong, str):
            with pytest.raises(SchemaError):
                select(labels, np.zeros(2, "<u4"), wrong)


@pytest.mark.parametrize("labels", [*ALL, HRESULT], ids=lambda labels: labels.kind)
def test_empty_and_scalar_arrays(labels: Labels) -> None:
    assert labels.names(np.zeros((0, 3), "<u4")).shape == (0, 3)
    assert labels.names(np.uint32(0)).tolist() == labels.name(0)
    assert labels.names(np.array([True, False])).tolist() == [labels.name(1), labels.name(0)]
    assert select(labels, np.zeros((0, 3), "<u4"), labels.name(0)).shape == (0, 3)


@pytest.mark.parametrize(
    "obj",
    [
        None,
        [],
        "enum",
        {},
        {"kind": None},
        {"kind": []},
        {"kind": "enum"},
        {"kind": "unknown", "enumerators": []},
        {"kind": "enum", "enumerators": []},
        {"kind": "enum", "enumerators": {"A": 1}},
        {"kind": "enum", "enumerators": [["A"]]},
        {"kind": "enum", "enumerators": [["A", 1, 2]]},
        {"kind": "enum", "enumerators": [["A", 1], ["A", 2]]},
        {"kind": "enum", "enumerators": [["A", True]]},
        {"kind": "enum", "enumerators": [["A", 1.5]]},
        {"kind": "enum", "enumerators": [[["A"], 1]]},
        {"kind": "flags", "enumerators": [["A", 10**30]]},
        {"kind": "masked", "enumerators": [["A", 1]]},
        {"kind": "masked", "enumerators": [["A", 1, 2]]},
        {"kind": "masked", "enumerators": [["A", -1, 2]]},
        {"kind": "enum", "enumerators": [["A", 1]] * 20_000},
    ],
)
def test_hostile_json(obj: object) -> None:
    with pytest.raises(SchemaError):
        labels_from_json(obj)


def test_a_plug_in_can_add_a_kind() -> None:
    with pytest.raises(SchemaError, match="known are enum, flags, hresult, masked"):
        labels_from_json({"kind": "test-even"})
    register_kind("test-even", lambda obj: Enumeration({"EVEN": obj["even"]}))
    assert labels_from_json({"kind": "test-even", "even": 2}).name(2) == "EVEN"


def test_values_to_names_are_the_wrong_way_round() -> None:
    with pytest.raises(SchemaError, match=r"names to values, as in \{'IDLE': 0\}"):
        as_labels({0: "IDLE", 1: "RUN"})
