"""The schema that a header of records still tells, and the many that tell none."""

from __future__ import annotations

import numpy as np
import pytest
from recording.samples import HELD, STATUS

from fastrec.errors import FormatError
from fastrec.recording import layout
from fastrec.recording.recovering.describing import described, stored_header
from fastrec.schema import Schema

NESTED = Schema.from_dtype(
    np.dtype(
        {
            "names": ["polls", "it's", 'q"', "\u00e9\\", "flag", "name"],
            "formats": [
                "<i4",
                ("<f8", (2, 3)),
                np.dtype([("a", ">u2"), ("b", "|S5", (2,))], align=False),
                "|u1",
                "|b1",
                "|V3",
            ],
            "offsets": [0, 8, 56, 80, 81, 90],
            "itemsize": 101,
        }
    )
)
LARGE = Schema.from_dtype(np.dtype([(f"field_{n:04d}", "<f4") for n in range(900)]))


@pytest.mark.parametrize("store", ["every", "changes"])
@pytest.mark.parametrize("schema", [STATUS, HELD, NESTED, LARGE], ids=lambda one: one.name)
def test_back_again(schema: Schema, store: str) -> None:
    header = layout.npy_header(schema.storage(store), 1234)
    rebuilt, found = described(stored_header(header + b"\x01\x02\x03"))
    assert found == store
    assert layout.npy_header(rebuilt.storage(store), 1234) == header
    assert rebuilt.record(store).itemsize == schema.record(store).itemsize


def header_of(descr: str) -> bytes:
    text = f"{{'shape': (   {0:8d},), 'fortran_order': False, 'descr': {descr}}}"
    text += " " * (-(10 + len(text) + 1) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode("latin-1")


@pytest.mark.parametrize(
    "descr",
    [
        "[]",
        "[('mono_ns', '<i8')]",
        "[('mono_ns', '<i8'), ('a', '|O')]",
        "[('mono_ns', '<i8'), ('a', '<M8[ns]')]",
        "[('mono_ns', '<i8'), ('a', '|V0')]",
        "[('mono_ns', '<i8'), ('a', '|V65536')]",
        "[('mono_ns', '<i8'), ('a', '<f8', (100000, 100000))]",
        "[('mono_ns', '<i8'), ('a', '<f8', (0,))]",
        "[('mono_ns', '<i8'), ('a', '<f8'), ('a', '<f8')]",
        "[('mono_ns', '<f8'), ('a', '<f8')]",
        "[('a', '<f8'), ('mono_ns', '<i8')]",
        "[('mono_ns', '<i8'), ('a', __import__('os'))]",
        "[('mono_ns', '<i8'), ('a', '<f8')] or []",
        "[('mono_ns', '<i8'), ('a', '<f4')]",  # not padded to 8
        "[" * 5000,
        "[('mono_ns', '<i8'), ('a', " + "[('b', " * 9 + "'<i8'" + ")]" * 9 + ")]",
        "'<f8'",
    ],
)
def test_no_records(descr: str) -> None:
    with pytest.raises(FormatError):
        described(stored_header(header_of(descr)))


def test_no_header() -> None:
    good = layout.npy_header(STATUS.storage("every"))
    for data in (
        b"",
        good[:5],
        good[:100],
        b"\x93NUMPY\x02\x00" + good[8:],
        good[:8] + b"\xff\xff" + good[10:],
    ):
        with pytest.raises(FormatError):
            stored_header(data)
