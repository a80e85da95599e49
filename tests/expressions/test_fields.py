import enum
from decimal import Decimal

import numpy as np
import pytest
from common import matches

from fastrec.errors import SchemaError
from fastrec.schema import HRESULT, Field, Flags, HResult
from fastrec.schema.readable import physical


def mask(kind, values, wanted, **options):
    return matches(Field("x", np.dtype(kind), 0, **options), np.array(values, dtype=kind), wanted).tolist()


NAN = float("nan")


@pytest.mark.parametrize(
    ("kind", "values", "wanted", "expected"),
    [
        ("<u8", [2**64 - 1, 2**64 - 2, 0], 2**64 - 1, [1, 0, 0]),
        ("<u8", [2**64 - 1, 2**53, 2**53 + 1], float(2**53), [0, 1, 0]),
        ("<u8", [2**64 - 1, 0], -1, [0, 0]),
        ("<u8", [2**64 - 1, 0], 2**64, [0, 0]),
        ("<u8", [2**64 - 1, 0], float(2**64), [0, 0]),
        ("<u8", [0, 1], 10**400, [0, 0]),
        ("<i8", [-(2**63), 2**63 - 1], -(2**63), [1, 0]),
        ("<i8", [-1, 2**63 - 1], 2**64 - 1, [0, 0]),
        (">i4", [1, 2**24], 2**24, [0, 1]),
        ("<i4", [1, 2], 1.5, [0, 0]),
        ("<i4", [0, 2], NAN, [0, 0]),
        ("<i4", [0, 2], float("inf"), [0, 0]),
        ("<i4", [0, 1], True, [0, 1]),
        ("?", [True, False], 1, [1, 0]),
        ("?", [True, False], 2, [0, 0]),
        ("<f8", [NAN, 1.0], NAN, [1, 0]),
        ("<f8", [2.0**53, 1.0], 2**53 + 1, [0, 0]),
        ("<f8", [2.0**53, 1.0], 2**53, [1, 0]),
        ("<f8", [float("inf"), 1.0], 10**400, [0, 0]),
        ("<f8", [float("inf"), 1.0], float("inf"), [1, 0]),
        ("<f8", [0.0, -0.0], 0, [1, 1]),
        ("<f4", [0.1, 0.2], 0.1, [1, 0]),
        ("<f4", [0.1, 0.2], np.float32(0.1), [1, 0]),
        ("<f4", [float("inf"), 1.0], 1e300, [0, 0]),
        (">f4", [0.5, NAN], 0.5, [1, 0]),
        ("<c16", [1 + 2j, 1], 1 + 2j, [1, 0]),
        ("<c16", [1 + 2j, 1], 1, [0, 1]),
        ("S4", [b"ab", b"abcd", b"ab\0d", b""], "ab", [1, 0, 1, 0]),
        ("S4", [b"ab", b"abcd", b"ab\0d", b""], b"abcd", [0, 1, 0, 0]),
        ("S4", [b"ab", b""], "", [0, 1]),
        ("S4", [b"ab", b"abcd"], "abcde", [0, 0]),
        ("S4", [b"ab", b"\xff"], "\udcff", [0, 1]),
        ("V2", [b"a\0", b"ab"], b"a\0", [1, 0]),
        ("V2", [b"a\0", b"ab"], b"a", [0, 0]),
    ],
)
def test_matches(kind, values, wanted, expected):
    assert mask(kind, values, wanted) == [bool(one) for one in expected]


class Mode(enum.IntEnum):
    IDLE = 0
    RUN = 1


def test_labels_and_their_numbers():
    assert mask("<i4", [0, 1, 7], "RUN", labels=Mode) == [False, True, False]
    assert mask("<i4", [0, 1, 7], Mode.RUN, labels=Mode) == [False, True, False]
    assert mask("<i4", [0, 1, 7], 7, labels=Mode) == [False, False, True]
    flags = Flags({"A": 1, "B": 2})
    assert mask("<u4", [1, 2, 3], "A", labels=flags) == [True, False, False]
    assert mask("<u4", [1, 2, 3], "B|A", labels=flags) == [False, False, True]
    with pytest.raises(SchemaError, match="RUN"):
        mask("<i4", [0], "RUNN", labels=Mode)


def test_physical_values():
    assert mask("<i2", [10, 15, 20], 2.5, scale=0.5, bias=-5.0) == [False, True, False]
    assert mask("<f4", [NAN, 1.0], NAN, scale=2.0) == [True, False]


@pytest.mark.parametrize(
    ("scale", "bias"),
    [
        (0.1, 0.0),
        (0.01, 0.0),
        (0.001, 0.0),
        (0.1, -40.0),
        (0.01, 273.15),
        (0.05, 1.5),
        (0.3, 0.1),
        (-0.1, 2.0),
    ],
)
def test_a_number_as_people_write_it_finds_its_row(scale, bias):
    """3 * 0.1 is 0.30000000000000004; whoever asks for 0.3 means that row, and no other one."""
    raw = np.arange(-2000, 2000, dtype="<i2")
    field = Field("x", np.dtype("<i2"), 0, scale=scale, bias=bias)
    written = [float(Decimal(one) * Decimal(str(scale)) + Decimal(str(bias))) for one in raw.tolist()]
    for place, number in enumerate(written):
        assert np.flatnonzero(matches(field, raw, number)).tolist() == [place]
    assert not matches(field, raw, written[0] + scale / 3).any()
    if scale != 0.3:
        assert physical(field, raw).tolist() == written


def test_a_scaled_float_is_found_by_what_it_can_hold():
    assert mask("<f4", [0.3, 3.0], 0.03, scale=0.1) == [True, False]
    assert mask("<f4", [0.3, 3.0], NAN, scale=0.1) == [False, False]
    assert mask("<i2", [3], float("inf"), scale=0.1) == [False]


@pytest.mark.parametrize(
    ("kind", "wanted"),
    [("<i4", "RUN"), ("<i4", None), ("<i4", b"x"), ("<f8", [1]), ("S4", 1), ("S4", None), ("V2", 1.0)],
)
def test_what_a_field_never_holds_is_refused(kind, wanted):
    with pytest.raises(SchemaError, match="x "):
        mask(kind, [0] if kind != "S4" else [b""], wanted) if kind != "V2" else mask(kind, [b"ab"], wanted)


def test_arrays_are_refused():
    with pytest.raises(SchemaError, match="array"):
        matches(Field("x", np.dtype("<i4"), 0, shape=(2,)), np.zeros(3, dtype="<i4"), 1)


@pytest.mark.parametrize(
    ("kind", "stored"), [("<i4", -2147467259), ("<u4", 0x80004005), (">i4", -2147467259)]
)
def test_an_hresult_with_and_without_a_sign(kind, stored):
    values = [stored, 0, 1]
    for wanted in (0x80004005, -2147467259, "E_FAIL", HResult(0x80004005)):
        assert mask(kind, values, wanted, labels=HRESULT) == [True, False, False]
    assert mask(kind, values, 2**32, labels=HRESULT) == [False, False, False]


def test_whatever_is_not_0_is_true():
    field, values = Field("x", np.dtype("?"), 0), np.array([0, 1, 2, 255], np.uint8).view(bool)
    for wanted in (True, 1, 1.0):
        assert matches(field, values, wanted).tolist() == [False, True, True, True]
    assert matches(field, values, False).tolist() == [True, False, False, False]
    assert not matches(field, values, 2).any()


def test_a_narrow_complex_is_found_by_what_it_can_hold():
    assert mask("<c8", [0.1 + 0.2j, 1], 0.1 + 0.2j) == [True, False]
    assert mask("<c8", [0.1, 1], 0.1) == [True, False]
    assert mask("<c8", [1, complex(np.inf)], 1e300 + 0j) == [False, False]
    assert mask("<c16", [0.1 + 0.2j, 1], 0.1 + 0.2j) == [True, False]


def test_no_infinity_is_found_by_a_number():
    assert mask("<f8", [np.inf, 1.0], 1e10, scale=1e-300) == [False, False]
    assert mask("<f8", [np.inf, 1.0], np.inf, scale=1e-300) == [True, False]
