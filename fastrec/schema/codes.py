"""The table of type codes: the only types of a payload, the only strings that become dtypes."""

from __future__ import annotations

import re
from typing import Literal

import numpy as np

from fastrec.errors import SchemaError

__all__ = ["MAX_BYTES", "Pattern", "decode", "encode", "pattern"]

Pattern = Literal["i8", "u8", "f8"]

MAX_BYTES = 65536
"""Largest record, columns of the recorder included."""

_NUMBERS = ("i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "c8", "c16", "b1")
# The number of digits is bounded here, so that no text from a file becomes a large integer first.
_BYTES = re.compile(r"\|([SV])([1-9][0-9]{0,4})")
_BY_CODE = {dtype.str: dtype for code in _NUMBERS for dtype in (np.dtype("<" + code), np.dtype(">" + code))}
_PATTERNS: dict[str, Pattern] = {"i": "i8", "u": "u8", "b": "u8", "f": "f8"}
_ADVICE = {
    "O": "Python objects are addresses; record what they hold",
    "U": "declare 'S<n>' and store UTF-8",
    "T": "declare 'S<n>' and store UTF-8",
    "M": "declare '<i8' and give the field a unit",
    "m": "declare '<i8' and give the field a unit",
    "f": "declare '<f8'",
    "c": "declare '<c16'",
}


def encode(dtype: np.dtype, where: str) -> str:
    """Return the code of one element, such as ``"<f8"``, ``"|b1"`` or ``"|S16"``.

    Parameters
    ----------
    dtype : numpy.dtype
        Neither structured nor with a shape.
    where : str
        What the message calls it.

    Raises
    ------
    SchemaError
        The type is not in the table.
    """
    code = dtype.str
    if dtype.names is None and dtype.subdtype is None:
        if code in _BY_CODE:
            return code
        if dtype.kind in "SV" and dtype.itemsize <= MAX_BYTES and _BYTES.fullmatch(code):
            return code
        if dtype.kind in "SV":
            raise SchemaError(f"{where} has {dtype.itemsize} bytes; a field has 1 to {MAX_BYTES}")
    advice = _ADVICE.get(dtype.kind, "use one of i1..i8 u1..u8 f2..f8 c8 c16 b1 S<n> V<n>")
    raise SchemaError(f"{where} has type {code[:40]!r}, which a record cannot hold; {advice}")


def decode(code: object, where: str) -> np.dtype:
    """Return the dtype of a code, looked up and never evaluated.

    Raises
    ------
    SchemaError
        Not a string, or not in the table. The table takes ``"<i4"`` and ``">i4"``, ``"|u1"`` (also
        ``"<u1"``), ``"|S<n>"`` and ``"|V<n>"`` up to 64 KiB.
    """
    if isinstance(code, str):
        if code in _BY_CODE:
            return _BY_CODE[code]
        single = "|" + code[1:]
        if code[:1] in ("<", ">") and single in _BY_CODE:
            return _BY_CODE[single]
        match = _BYTES.fullmatch(code)
        if match and int(match[2]) <= MAX_BYTES:
            return np.dtype((np.bytes_ if match[1] == "S" else np.void, int(match[2])))
    shown = repr(code)[:40] if isinstance(code, str | int | float | None) else type(code).__name__
    raise SchemaError(
        f"{where} has type {shown}; known are i1..i8 u1..u8 f2..f8 c8 c16 b1 S<n> V<n> behind < > or |"
    )


def pattern(dtype: np.dtype) -> Pattern | None:
    """Return how a zone summarises this type: ``"i8"``, ``"u8"`` (booleans too), ``"f8"``, or None."""
    return _PATTERNS.get(dtype.kind)
