"""The table of type codes."""

from __future__ import annotations

import numpy as np
import pytest

from fastrec.errors import SchemaError
from fastrec.schema.codes import decode, encode, pattern


@pytest.mark.parametrize("code", ["<i2", ">u8", "<f2", ">c16", "|i1", "|b1", "|S1", "|S65536", "|V7"])
def test_a_code_is_numpys_own(code: str) -> None:
    assert decode(code, "a") == np.dtype(code)
    assert decode(code, "a").str == encode(np.dtype(code), "a") == code


def test_single_bytes_have_no_order_but_may_say_one() -> None:
    assert decode("<u1", "a") == decode(">u1", "a") == np.dtype("u1")
    assert encode(np.dtype(">u1"), "a") == "|u1"


@pytest.mark.parametrize(
    "code", ["|S65537", "|V99999", "|S0", "|S01", "|i4", "<S4", "i4", "<f16", "|O", "", None, 4]
)
def test_what_is_not_in_the_table_is_refused_by_the_name_of_its_field(code: object) -> None:
    with pytest.raises(SchemaError, match="field 'a' has type"):
        decode(code, "field 'a'")


def test_patterns_are_those_of_zones() -> None:
    codes = {"<i1": "i8", ">u4": "u8", "|b1": "u8", ">f2": "f8", "<c8": None, "|S4": None, "|V4": None}
    assert {code: pattern(np.dtype(code)) for code in codes} == codes
