"""Conditions: which rows have a value."""

from __future__ import annotations

import math

import numpy as np

from fastrec.errors import SchemaError
from fastrec.records.columns import Column, Read, Texts
from fastrec.records.states import equal
from fastrec.schema import Field
from fastrec.schema.readable import is_scaled, native, physical, words
from fastrec.schema.texts import LOST

__all__ = ["condition", "matches"]

_NEAR = 1e-6
"""Of a field's scale."""


def condition(column: Column, wanted: object, texts: Texts) -> Read:
    """How to tell for some rows which of them have a value.

    Parameters
    ----------
    column : Column
    wanted : object
        See `matches`; of a text, a str, None (NULL) or `fastrec.LOST`.
    texts : Texts
        Whose codes the column has, if it is a text.

    Raises
    ------
    SchemaError
        At once, or when it is used, if the field can hold no such value.
    """
    field = column.field
    if not field.text:
        return lambda block: matches(field, column.values(block.chunk, block.rows()), wanted)
    if wanted is not None and wanted is not LOST and not isinstance(wanted, str):
        raise SchemaError(
            f"{field.name} is a text; compare it with a str, None or fastrec.LOST, not {wanted!r:.60}"
        )
    return lambda block: column.values(block.chunk, block.rows()) == texts.code(wanted)


def matches(field: Field, raw: np.ndarray, wanted: object) -> np.ndarray:
    """Which rows have a value; texts behind pointers are compared by their codes elsewhere.

    Parameters
    ----------
    field : Field
        A scalar.
    raw : ndarray, shape (n,)
        What C stored.
    wanted : str, bytes, bool, int, float or complex
        A label (of flags: the whole word), the characters of a char array, or the physical value, of a scaled
        field the nearest one. NaN finds NaN.

    Returns
    -------
    ndarray of bool, shape (n,)

    Raises
    ------
    SchemaError
        If the field can hold no such value; an unknown label names those that are near.
    """
    if raw.ndim > 1:
        one = field.name + "[0]" * len(field.shape)
        raise SchemaError(f"{field.name} is an array of {field.shape}; compare an element, such as {one!r}")
    if raw.dtype.kind in "SV":
        return _same_bytes(field, raw, wanted)
    if isinstance(wanted, str):
        if field.labels is None:
            raise SchemaError(
                f"{field.name} has no labels, so it is never {wanted!r}; compare it with a number"
            )
        return field.labels.select(words(field, raw), wanted)
    if isinstance(wanted, np.generic):
        wanted = wanted.item()
    if not isinstance(wanted, int | float | complex):
        raise SchemaError(
            f"{field.name} is {raw.dtype}; it is never {wanted!r} of type {type(wanted).__name__}"
        )
    if not is_scaled(field):
        return _same_number(native(raw), wanted)
    values = physical(field, raw)
    same = _same_number(values, wanted)
    if isinstance(wanted, complex) or raw.dtype.kind == "c" or not math.isfinite(wanted):
        return same
    if raw.dtype.kind == "f":
        # As without a scale: what a field of float32 can hold of the number.
        return same | _same_number(native(raw), (wanted - field.bias) / field.scale)
    # What lies between two raw values by far less than their distance is how the number was computed.
    near = max(abs(field.scale) * _NEAR, abs(wanted) * float(np.finfo(np.float64).eps))
    return same | (np.abs(values - wanted) <= near)


def _same_number(values: np.ndarray, wanted: complex) -> np.ndarray:
    none = np.zeros(values.shape, dtype=bool)
    if isinstance(wanted, complex):
        return equal(values.astype(np.complex128), np.full(values.shape, wanted))
    if values.dtype.kind in "biu":
        # A float64 cannot tell neighbouring 64-bit integers apart, so a whole float is compared as the
        # integer it is.
        if isinstance(wanted, float) and not wanted.is_integer():
            return none
        return values == int(wanted)
    if wanted != wanted:
        return np.isnan(values)
    real = values.dtype.type(0).real.dtype
    with np.errstate(over="ignore"):
        try:
            near = real.type(wanted)
        except OverflowError:
            return none
    if (np.isinf(near) and not math.isinf(wanted)) or (isinstance(wanted, int) and int(near) != wanted):
        return none
    return values == near


def _same_bytes(field: Field, raw: np.ndarray, wanted: object) -> np.ndarray:
    if isinstance(wanted, str):
        wanted = wanted.encode("utf-8", "surrogateescape")
    if not isinstance(wanted, bytes):
        raise SchemaError(f"{field.name} holds bytes; compare it with bytes or text, not {wanted!r}")
    size = raw.dtype.itemsize
    possible = len(wanted) == size if raw.dtype.kind == "V" else len(wanted) <= size and 0 not in wanted
    if not possible:
        return np.zeros(raw.shape, dtype=bool)
    # As C compares: what follows the first NUL of a char array is not part of its text.
    columns = np.ascontiguousarray(raw).view(np.uint8).reshape(len(raw), size)
    same = (columns[:, : len(wanted)] == np.frombuffer(wanted, dtype=np.uint8)).all(axis=1)
    return same & (columns[:, len(wanted)] == 0) if len(wanted) < size else same
