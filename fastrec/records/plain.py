"""Columns as plain Python values, and values as the JSON that every parser takes."""

from __future__ import annotations

import json
import math

import numpy as np

__all__ = ["plain", "to_json"]


def plain(values: np.ndarray) -> list:
    """A column as Python values that JSON has.

    Of a char array the characters before its NUL, of raw bytes hexadecimal digits; floats narrower than a
    double get the fewest digits that tell them apart.
    """
    if values.ndim > 1:
        return [plain(row) for row in values]
    kind = values.dtype.kind
    if kind == "f" and values.dtype.itemsize < 8:
        return [float(str(value)) for value in values]
    if kind == "c":
        return [str(value).strip("()") for value in values]
    if kind == "S":
        texts = (value.split(b"\0", 1)[0] for value in values.tolist())
        return [text.decode("utf-8", "surrogateescape") for text in texts]
    if kind == "V":
        return [bytes(value).hex() for value in values]
    return values.tolist()


def to_json(value: object, *, indent: int | None = None) -> str:
    """JSON in ASCII, strict: a lone surrogate is its escape in text, ``NaN`` and ``Infinity`` are texts."""
    return json.dumps(_sound(value), indent=indent, allow_nan=False).replace("\x7f", "\\u007f")


def _sound(value: object) -> object:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, dict):
        return {_sound(str(key)): _sound(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_sound(one) for one in value]
    return value
