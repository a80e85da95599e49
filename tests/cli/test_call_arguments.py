"""Arguments of a C call in a command line: each form, and what is told of each that is none."""

from __future__ import annotations

import argparse
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastrec.cli.call_arguments import arguments
from fastrec.sources.call import INOUT, OUT


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("", ()),
        ("3,OUT", (3, OUT)),
        (" -3 , OUT ", (-3, OUT)),
        ("0x1F,0b101,0o17,1_000,+5,-0x10", (31, 5, 15, 1000, 5, -16)),
        ("18446744073709551615", (2**64 - 1,)),
        ("OUT(cbSize=64)", (OUT(init={"cbSize": 64}),)),
        ("OUT( a = 1 , pose.x=-1.5,cells[3]=0x10, s=\"a,b\")", (_ := (
            OUT(init={"a": 1, "pose.x": -1.5, "cells[3]": 16, "s": b"a,b"}),
        ))),
        ("OUT(0x00ffA0)", (OUT(init=b"\x00\xff\xa0"),)),
        ("INOUT(64),INOUT( 0x40 )", (INOUT(64), INOUT(64))),
        ("NULL,OUT,NULL", (None, OUT, None)),
        ('"COM1"', (b"COM1",)),
        ('"a,b)(=" , ""', (b"a,b)(=", b"")),
        (r'"\"\\\n\t\r\0\x41\xff"', (b'"\\\n\t\r\0A\xff',)),
        ('"é"', ("é".encode(),)),
    ],
)  # fmt: skip
def test_forms(text: str, meant: tuple[object, ...]) -> None:
    assert arguments(text) == meant


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("3,abc", "argument 2, column 3: 'abc' is not understood; it is a whole number, OUT, "),
        ("3,,OUT", "argument 2, column 3: ',' stands where a whole number"),
        ("3,", "argument 2, column 3: nothing stands where"),
        (",", "argument 1, column 1: ',' stands where"),
        ("3 OUT", "argument 1, column 3: argument 1 ends before it; put a comma"),
        ("out", "argument 1, column 1: 'out'; did you mean OUT?"),
        ("Null", "did you mean NULL?"),
        ("1.5,OUT", "argument 1, column 1: '1.5': only whole numbers and pointers can be passed"),
        ("010", "'010' is not understood"),
        ("9" * 5000, "is not understood"),
        ("OUT(", "argument 1, column 5: nothing stands where"),
        ("OUT()", "argument 1, column 5: ')' stands where"),
        ("OUT(64)", "'64': write OUT(FIELD=VALUE), or all bytes as OUT(0x0102...)"),
        ("OUT(0x123)", "or all bytes as OUT(0x0102...)"),
        ("OUT(a=1", "argument 1, column 8: write OUT(FIELD=VALUE,FIELD=VALUE)"),
        ("OUT(a=1,a=2)", "argument 1, column 9: 'a' is given twice"),
        ("OUT(a=b)", "'b' is no value of a field"),
        ("OUT(a 1)", "write OUT(FIELD=VALUE)"),
        ("INOUT", "argument 1, column 6: write INOUT(64)"),
        ("INOUT(-1)", "it is a whole number from 0 to 2**32 - 1"),
        ("INOUT(4", "INOUT has one number"),
        ('1,"abc', "argument 2, column 3: the text has no closing quote"),
        (r'"\q"', r"'\\q' means nothing in a text"),
        (r'"\xZZ"', "means nothing in a text"),
        ("'abc'", "is not understood"),
    ],
)
def test_what_is_none(text: str, told: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError) as error:
        arguments(text)
    assert told in str(error.value)


@given(st.text(alphabet='OUTIN0123456789x,()="\\ a.-', max_size=40) | st.text(max_size=40))
def test_anything_is_understood_or_told(text: str) -> None:
    try:
        assert isinstance(arguments(text), tuple)
    except argparse.ArgumentTypeError as error:
        assert str(error).startswith("argument ")


@pytest.mark.parametrize(
    "text", ["(" * 10**6, "OUT(" * 10**5, '"' + "\\x41" * 10**5, "1," * 10**5, "a" * 10**6]
)
def test_much_is_told_in_bounded_time(text: str) -> None:
    began = time.monotonic()
    with pytest.raises(argparse.ArgumentTypeError):
        arguments(text)
    assert time.monotonic() - began < 5
