"""Conditions on rows in memory, against Python row by row."""

from __future__ import annotations

import math

import numpy as np
import pytest
from common import gaps
from expressions.rowwise import Chance, columns

from fastrec.errors import ExpressionError, SchemaError
from fastrec.records import ArrayChunk, Records
from fastrec.schema import Flags, Masked, Schema
from fastrec.schema.hresult import HRESULT
from fastrec.schema.texts import LOST

NUMBERS = ["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", ">i2", ">i4", ">i8", ">u4", ">u8", "?"]
FLOATS = ["f2", "f4", "f8", ">f2", ">f4", ">f8"]
DRIVE = Masked({"READY": (0x6F, 0x21), "ON": (0x6F, 0x27), "READY_TOO": (0x2F, 0x21), "FAULT": (0x4F, 8)})
BITS = Flags({"NONE": 0, "A": 1, "B": 2, "AB": 3, "TOP": 0x80000000, "C": 0x40})
MODES = {"IDLE": 0, "RUN": 1, "RUNNING": 1, "FAULT": -1}
COLUMNS = [
    *((f"n{place}", kind, {}) for place, kind in enumerate(NUMBERS)),
    *((f"f{place}", kind, {}) for place, kind in enumerate(FLOATS)),
    ("tenths", "i2", {"scale": 0.1, "bias": -40.0}),
    ("down", "i4", {"scale": -0.01}),
    ("odd", ">u2", {"scale": -0.3, "bias": 0.1}),
    ("narrow", "f4", {"scale": -2.5, "bias": 1.0}),
    ("wide", "f8", {"scale": 1e-3}),
    ("mode", "i2", {"labels": MODES}),
    ("bits", "i4", {"labels": BITS}),
    ("drive", "u2", {"labels": DRIVE}),
    ("hr", "i4", {"labels": HRESULT}),
    ("uhr", "u4", {"labels": HRESULT}),
    ("ms", "i4", {"unit": "ms"}),
    ("cells", "i4", {}),
]
TEXTS = {0: None, 1: "http://a", 2: "", 3: "\udcff", 2**64 - 1: LOST}
BIT_FIELDS = """
struct __attribute__((packed)) words {
    unsigned int one : 1; int minus : 1; unsigned int three : 3; int five : 5; unsigned int rest : 22;
    unsigned char before : 3; unsigned long long nine : 64; long long minus_nine : 62;
    unsigned char behind : 7;
};
"""


def schema() -> Schema:
    dtype = [(name, kind, *([(3,)] if name == "cells" else [])) for name, kind, _ in COLUMNS]
    dtype += [("tag", "S4"), ("opaque", "V3"), ("c", "c8"), ("z", "c16"), ("url", "u8")]
    made = Schema.from_dtype(np.dtype(dtype), name="all")
    for name, _, meaning in COLUMNS:
        if meaning:
            made = made.with_field(name, **meaning)
    return made.with_field("url", text=True).with_field("z", scale=2.0, bias=-1.0)


def numbers(chance: np.random.Generator, dtype: np.dtype, count: int) -> np.ndarray:
    """Of all sizes; some of them often."""
    if dtype.kind == "f":
        some = [0.0, -0.0, 1.0, 0.1, -2.5, 1e30, math.nan, math.inf, -math.inf, 5e-324, 3.5, 65504.0, 2.0**24]
        with np.errstate(over="ignore"):
            return chance.choice(np.array(some), count).astype(dtype)
    if dtype.kind == "b":
        return chance.random(count) < 0.5
    end = np.iinfo(dtype)
    some = [end.min, end.max, end.min + 1, end.max - 1, 0, 1, 2, 3, 0x27, end.max // 2, 100]
    some += [-1, -40] if dtype.kind == "i" else [end.max // 2 + 1]
    return np.array([some[place] for place in chance.integers(0, len(some), count)], dtype)


def rows(count: int, store: str = "every", seed: int = 0) -> np.ndarray:
    chance = np.random.default_rng(seed)
    made = np.zeros(count, SCHEMA.record(store))
    for name in made.dtype.names:
        one = made.dtype[name]
        if one.base.kind in "iufb":
            column = numbers(chance, one.base, count * math.prod(one.shape))
            made[name] = column.reshape(count, *one.shape)
    made["drive"] = chance.choice([0x21, 0x27, 0x227, 0x31, 8, 0x4F, 0, 0xFFFF], count)
    made["bits"] = chance.choice(np.array([0, 1, 2, 3, 0x41, -(2**31), -1, 0x400], "i4"), count)
    made["mode"] = chance.choice([0, 1, -1, 7], count)
    made["hr"] = chance.choice(np.array([0, 1, 0x80004005 - 2**32, 0x80072EFD - 2**32, -5]), count)
    made["uhr"] = chance.choice(np.array([0, 1, 0x80004005, 0x80072EFD, 2**32 - 5]), count)
    made["tag"] = chance.choice(np.array([b"", b"ab", b"abcd", b"ab\0d", b"\xff"], "S4"), count)
    made["opaque"] = chance.choice(np.array([b"abc", b"ab\0"], "V3"), count)
    made["c"] = chance.choice(np.array([0.1, 1 + 2j, math.nan, 1], "c8"), count)
    made["z"] = chance.choice(np.array([0.5, 1 + 2j, math.nan, 1], "c16"), count)
    made["url"] = chance.choice(np.array(list(TEXTS), "u8"), count)
    return made


SCHEMA = schema()


def records(array: np.ndarray, cut: int = 0, store: str = "every", of: Schema = SCHEMA) -> Records:
    parts = [ArrayChunk(array[:cut], 0, TEXTS.get), ArrayChunk(array[cut:], cut, TEXTS.get)]
    return Records("all", of, parts, gaps=gaps(), clock=None, store=store)


def check(asked: Records, chance: Chance, count: int) -> int:
    """Ask for `count` conditions; how many of them some rows meet, and some not."""
    parted = 0
    for _ in range(count):
        text, truth = chance.condition()
        expected = [row for row in range(len(asked)) if truth(row)]
        found = asked.where(text).seq.tolist()
        assert found == expected, f"{text}: {sorted(set(found) ^ set(expected))[:5]}"
        parted += 0 < len(expected) < len(asked)
    return parted


@pytest.mark.parametrize(("count", "conditions", "store"), [(70, 1500, "every"), (2500, 25, "changes")])
def test_random_conditions(count: int, conditions: int, store: str) -> None:
    asked = records(rows(count, store, seed=count), count // 3, store)
    names = [name for name, _, _ in COLUMNS if name != "cells"]
    own = ["mono_ns"] + ["until_ns", "polls"] * (store == "changes")
    known = columns(asked, [*names, "cells[2]", *own])
    assert check(asked, Chance(count, known, ["n13"]), conditions) > conditions / 3


def test_random_conditions_on_bits() -> None:
    made = Schema.from_c(BIT_FIELDS, "words").with_field("minus_nine", labels=BITS)
    made = made.with_field("rest", scale=0.5).with_field("five", labels=DRIVE)
    assert 9 in {field.nbytes for field in made.fields}
    chance = np.random.default_rng(5)
    array = np.zeros(60, made.record("every"))
    for field in made.fields:
        least = -1 << field.bits[1] - 1 if field.dtype.kind == "i" else 0
        most = least + (1 << field.bits[1]) - 1
        some = [least, most, 0, least // 2, most // 2, min(1, most), max(-1, least)]
        field.put(array, np.array([some[one] for one in chance.integers(0, 7, len(array))], field.dtype))
    asked = records(array, 20, of=made)
    known = columns(asked, [field.name for field in made.fields])
    assert check(asked, Chance(6, known, ["one", "minus"]), 500) > 150


def found(text: str | None = None, **wanted: object) -> list[int]:
    return records(ROWS, 30).where(text, **wanted).seq.tolist()


def places(name: str, *values: object) -> list[int]:
    return [row for row, one in enumerate(ROWS[name].tolist()) if one in values]


ROWS = rows(100, seed=3)


def test_texts_and_bytes() -> None:
    urls = [TEXTS[one] for one in ROWS["url"].tolist()]
    for text, wanted in [
        ("url == 'http://a'", ["http://a"]),
        ("url == ''", [""]),
        ("url == null", [None]),
        ("url == lost", [LOST]),
        (r"url == '\udcff'", ["\udcff"]),
        ("url == 'nowhere'", []),
        ("url in (null, 'http://a', lost)", [None, "http://a", LOST]),
        ("not (url not in (null, ''))", [None, ""]),
        ("null == url or lost == url", [None, LOST]),
    ]:
        assert found(text) == [row for row, one in enumerate(urls) if one in wanted], text
    assert found("url != null") == [row for row, one in enumerate(urls) if one is not None]
    assert found(url=None) == places("url", 0) and found(url=LOST) == places("url", 2**64 - 1)
    assert found("tag == 'ab'") == places("tag", b"ab", b"ab\0d") == found(tag=b"ab")
    assert found("tag == ''") == places("tag", b"")
    assert found("tag in ('abcd', '\\udcff')") == places("tag", b"abcd", b"\xff")
    assert found("tag == 'abcde'") == found("tag == 'ab\\x00d'") == found(r"tag == '\ud800'") == []
    assert found("tag != 'ab'") == places("tag", b"", b"abcd", b"\xff")
    assert found("opaque == 'abc'") == places("opaque", b"abc") and found("opaque == 'ab'") == []
    assert found(opaque=np.void(b"ab\0")) == places("opaque", b"ab\0")


def test_many_texts_and_changes() -> None:
    """Each was a list of its own once, and there is room for 256 of such."""
    many = ", ".join(f"'t{n}'" for n in range(300))
    assert found(f"url in ({many}, 'http://a')") == places("url", 1)
    every = " or ".join(f"url == 't{n}'" for n in range(300))
    assert found(f"{every} or url == 'http://a'") == places("url", 1)
    assert found(f"{every} or mode == RUN") == places("mode", 1)
    assert len(found("changed(mode)" + " or changed(mode)" * 299)) == len(found("changed(mode)")) > 50


def test_complex_numbers() -> None:
    c, z = ROWS["c"].tolist(), (ROWS["z"] * 2 - 1).tolist()
    nan = [row for row, one in enumerate(c) if one != one]
    assert found("c == 1") == places("c", 1 + 0j) == found(c=1 + 0j)
    assert found("c == 0.1") == [row for row, one in enumerate(c) if abs(one - 0.1) < 1e-6]
    assert found(c=1 + 2j) == places("c", 1 + 2j)
    assert found(c=complex(math.nan)) == found("c == nan") == nan
    assert found("c == 16777217") == found("c == 1e300") == []
    assert found(z=1 + 4j) == [row for row, one in enumerate(z) if one == 1 + 4j] != []
    assert found("z in (0, 1)") == [row for row, one in enumerate(z) if one in (0, 1)] != []
    assert found(z=complex(0, math.nan)) == [row for row, one in enumerate(z) if one != one]
    assert found(n3=1 + 0j) == places("n3", 1) and found(n3=1j) == []


def test_the_ends_of_128_bits() -> None:
    everything, least = list(range(100)), 2**127
    for text in [
        f"n3 * 0 - {least - 1} > {-least}",
        f"n3 * 0 + {least} == {least - 1}",
        f"-{10**39} + (n3 & 0) == {-least}",
        f"-(n3 * 0 + {-least}) == {least - 1}",
        f"abs(n3 * 0 + {-least}) == {least - 1}",
        f"~(n3 * 0 + {least - 1}) == {-least}",
        f"(n3 * 0 + 1) << 127 == {least - 1} and (n3 * 0 - 1) << 127 == {-least}",
        f"(n3 * 0 + 1) << 126 == {least // 2} and (n3 * 0 - 3) << 126 == {-least}",
        f"(n3 * 0 + {-least}) // -1 == {least - 1} and (n3 * 0 + {-least}) >> 200 == -1",
        "(n3 * 0) << 500 == 0 and (n3 * 0 + 1) << -1 == 0 and (n3 * 0 - 1) >> -1 == 0",
        f"{least} * (n3 * 0 - 2) == {-least} and {least} * (n3 * 0 + 2) == {least - 1}",
        f"f2 < {10**39} or f2 >= 1e39 or isnan(f2)",
    ]:
        assert found(text) == everything, text
    assert found(f"f2 > {10**39 - 1}") == places("f2", math.inf) == found(f"{10**39} <= f2")


def test_durations_are_in_the_unit_of_the_field() -> None:
    ms = ROWS["ms"].tolist()
    for text, truth in [
        ("ms < 50ms", lambda one: one < 50),
        ("ms >= -40ms", lambda one: one >= -40),
        ("ms == -40ms", lambda one: one == -40),
        ("ms in (-40ms, 3000us, +1ms)", lambda one: one in (-40, 3, 1)),
        ("1500us < ms", lambda one: one > 1.5),
        ("ms - 1 < 2ms", lambda one: one - 1 < 2),
        ("abs(ms) + -2ms < 39500us", lambda one: abs(one) - 2 < 39.5),
        ("ms + n0 * 0 <= 2ms", lambda one: one <= 2),
    ]:
        assert found(text) == [row for row, one in enumerate(ms) if truth(one)], text
    assert found("n3 < 2us") == [row for row, one in enumerate(ROWS["n3"].tolist()) if one < 2000]
    assert found("n3 + 0 < 2us") == found("n3 < 2us")


def test_of_states_that_share_bits_the_first_counts() -> None:
    drive = ROWS["drive"].tolist()
    for label in ("READY", "ON", "READY_TOO", "FAULT"):
        expected = [row for row, one in enumerate(drive) if DRIVE.name(one) == label]
        assert found(f"drive == {label}") == found(drive=label) == expected
    assert found("drive == READY") and not found("drive == READY and has(drive, FAULT)")
    assert len(found("has(drive, READY_TOO)")) > len(found("drive == READY_TOO"))


@pytest.mark.parametrize("label", ["TOP", "0x80000000"])
def test_words_have_no_sign_in_a_relation_either(label: str) -> None:
    words = [one % 2**32 for one in ROWS["bits"].tolist()]
    assert found(f"bits >= '{label}'") == [row for row, one in enumerate(words) if one >= 2**31]
    assert found("hr <= E_FAIL") == [row for row, one in enumerate(ROWS["hr"]) if one <= 0x80004005 - 2**32]
    assert found("uhr <= E_FAIL") == [row for row, one in enumerate(ROWS["uhr"]) if one <= 0x80004005]
    assert found("mode < RUN") == places("mode", 0, -1)


def test_changed_is_not_what_the_row_before_was() -> None:
    for name, states in [
        ("mode", ROWS["mode"].tolist()),
        ("drive", [DRIVE.name(one) for one in ROWS["drive"].tolist()]),
        ("f2", [repr(one) if one != one else one for one in ROWS["f2"].tolist()]),
        ("url", ROWS["url"].tolist()),
        ("cells", ROWS["cells"].tolist()),
    ]:
        expected = [row for row in range(1, 100) if states[row] != states[row - 1]]
        assert found(f"changed({name})") == expected
        assert found(f"changed({name}) and n0 > 0") == [row for row in expected if ROWS["n0"][row] > 0]
        assert found(f"not changed({name})") == [row for row in range(100) if row not in expected]


def test_both_spellings_at_once() -> None:
    expected = [row for row in places("mode", 1) if ROWS["n0"][row] > 0 and ROWS["drive"][row] == 8]
    assert found("n0 > 0", mode="RUN", drive=8) == expected
    assert found(mode="RUN", drive=8, n13=True) == [
        row for row in places("mode", 1) if ROWS["drive"][row] == 8 and ROWS["n13"][row]
    ]
    assert found("true") == list(range(100)) and found("false or not true") == []


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        ("modus == 1", 1, "did you mean 'mode'"),
        ("mode == 1 and 3 < modus", 19, "modus"),
        ("mode == RUNN", 9, "did you mean 'RUN'"),
        ("mode in (IDLE, RUNN)", 16, "RUNN"),
        ("n0 == RUN", 7, "RUN"),
        ("n0 == 'RUN'", 7, "no labels"),
        ("n0 < 'RUN'", 6, "neither more nor less"),
        ("'x' < tag", 1, "neither more nor less"),
        ("url < 'x'", 7, "is a text"),
        ("url == 1", 8, "is a text"),
        ("url in ('a', 1)", 14, "is a text"),
        ("url + 1 == 2", 1, "is a text, and nothing to compute with"),
        ("tag == 1", 8, "holds bytes"),
        ("tag + 1 == 1", 1, "nothing to compute with"),
        ("c < 1", 5, "neither more nor less"),
        ("c + 1 == 1", 1, "nothing to compute with"),
        ("n0 == null", 7, "never None"),
        ("n0 < null", 6, "neither more nor less"),
        ("f2 == lost", 7, "never LOST"),
        ("cells == 1", 10, "cells[0]"),
        ("1 < cells", 1, "cells[0]"),
        ("cells + 1 == 1", 1, "cells[0]"),
        ("cells in (1, 2)", 11, "cells[0]"),
        ("has(cells, 1)", 5, "cells[0]"),
        ("mode", 1, "is no flag"),
        ("not mode", 5, "is no flag"),
        ("cells", 1, "is no flag"),
        ("RUN", 1, "RUN"),
        ("n0 + 1", 4, "is a value and no condition"),
        ("5", 1, "is a value and no condition"),
        ("'RUN' or n13", 1, "is a value and no condition"),
        ("50ms", 1, "is a value and no condition"),
        ("abs(n0)", 1, "is a value and no condition"),
        ("n13 and null", 9, "is a value and no condition"),
        ("(n0 < 1) + 1 == 2", 5, "is no number"),
        ("n0 + 'x' == 1", 6, "is no number"),
        ("n0 + null == 1", 6, "is no number"),
        ("mode + 1 == RUN", 13, "RUN"),
        ("isnan(tag)", 7, "nothing to compute with"),
        ("isnan(n0 < 1)", 10, "is no number"),
        ("~f2 == 1", 1, "for whole numbers"),
        ("n0 & 1.5 == 1", 4, "for whole numbers"),
        ("f2 << 1 == 1", 4, "for whole numbers"),
        ("tenths | 1 == 1", 8, "for whole numbers"),
        ("n0 ^ (n1 / 2) == 1", 4, "for whole numbers"),
        ("n0 in (1, n1)", 4, "a list holds values"),
        ("n0 in (1, 2 + 3)", 4, "a list holds values"),
        ("has(f2, 1)", 5, "words of bits"),
        ("has(url, 1)", 5, "words of bits"),
        ("has(n13, 1)", 5, "words of bits"),
        ("has(mode + 1, 1)", 10, "asks of a field"),
        ("has(bits, AA)", 11, "did you mean 'A'"),
        ("has(bits, 1.5)", 11, "has() takes labels"),
        ("has(bits, -1)", 11, "has() takes labels"),
        ("has(bits, 18446744073709551616)", 11, "has() takes labels"),
        ("has(bits, n0)", 11, "has() takes labels"),
        ("has(mode, FAULT)", 11, "has() takes labels"),
        ("has(n0, A)", 9, "A"),
        ("has(mode, true)", 11, "has() takes labels"),
        ("changed(1)", 9, "asks of a field"),
        ("changed(modus)", 9, "modus"),
        ("ms + us < 3us", 11, "ms and us"),
    ],
)
def test_what_is_refused_and_where(text: str, column: int, message: str) -> None:
    asked = records(ROWS, of=SCHEMA.with_field("n2", unit="us"))
    text = text.replace("us <", "n2 <")
    with pytest.raises(ExpressionError) as caught:
        asked.where(text)
    assert (caught.value.at + 1, message in str(caught.value)) == (column, True), caught.value
    assert f"column {column}:" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"n0": "RUN"}, "no labels"),
        ({"modus": 1}, "did you mean 'mode'"),
        ({"mode": "RUNN"}, "did you mean 'RUN'"),
        ({"n0": None}, "never None"),
        ({"n0": [1]}, "never"),
        ({"url": 5}, "is a text"),
        ({"tag": 5}, "holds bytes"),
        ({"cells": 1}, "cells\\[0\\]"),
    ],
)
def test_what_is_refused_of_keywords(wanted: dict, message: str) -> None:
    with pytest.raises(SchemaError, match=message) as caught:
        records(ROWS).where("n13", **wanted)
    assert not isinstance(caught.value, ExpressionError)


@pytest.mark.parametrize("expression", [5, b"n0 < 1", ["n0 < 1"]])
def test_an_expression_is_a_text(expression: object) -> None:
    with pytest.raises(SchemaError, match="takes an expression"):
        records(ROWS).where(expression)
    with pytest.raises(SchemaError, match="needs a condition"):
        records(ROWS).where()


def test_nothing_of_a_record_that_is_cut_short() -> None:
    """A field at the very end, one byte each: nothing behind it is looked at."""
    made = Schema.from_dtype(np.dtype([("a", "u1"), ("b", "i1")]), name="two")
    array = np.zeros(1025, made.record("every"))
    array["b"] = -1
    assert len(records(array, of=made).where("b == -1 and b < a")) == 1025


def test_whole_numbers_beside_doubles_are_not_rounded() -> None:
    made = Schema.from_dtype(np.dtype([("x", "f8")]), name="one")
    array = np.zeros(3, made.record("every"))
    array["x"] = [2.0**53, 2.0**53 + 2, 2.0**53 + 4]
    asked = records(array, of=made)
    for number in (2**53 + 1, 2**53 + 3):  # one is rounded down, the other up
        below = [row for row in range(3) if array["x"][row].item() < number]
        above = [row for row in range(3) if row not in below]
        assert [asked.where(f"x {one} {number}").seq.tolist() for one in ("<", "<=")] == [below, below]
        assert [asked.where(f"x {one} {number}").seq.tolist() for one in (">", ">=")] == [above, above]
        assert asked.where(f"x == {number}").seq.tolist() == []


def test_whole_numbers_are_divided_as_such_by_all_but_0() -> None:
    big = [2**60 + one for one in range(10)]
    array = np.array([(one,) for one in big], [("x", "<i8")])
    schema = Schema.from_dtype(array.dtype, name="big")
    rows = np.zeros(10, schema.record_dtype)
    rows["x"] = array["x"]
    records = Records("big", schema, [ArrayChunk(rows)], gaps=gaps(), clock=None)
    for divisor in (2, -2, 3, -3, -1):
        for operation, computed in (("%", int.__mod__), ("//", int.__floordiv__)):
            wanted = computed(big[7], divisor)
            text = f"x {operation} {divisor} == {wanted}"
            found = records.where(text).seq.tolist()
            assert found == [n for n, one in enumerate(big) if computed(one, divisor) == wanted], text


def test_what_would_be_computed_too_often_is_refused() -> None:
    item, choices = " + ".join(["n3"] * 60), ", ".join(map(str, range(600)))
    with pytest.raises(ExpressionError, match="is much to compute so often"):
        found(f"({item}) in ({choices})")
    assert found(f"({item}) in (0, 60)") == found("n3 in (0, 1)")
