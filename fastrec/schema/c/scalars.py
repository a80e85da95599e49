"""The types that C has words for."""

from __future__ import annotations

from collections import Counter

import numpy as np

from fastrec.schema.abi import Abi
from fastrec.schema.c.types import Scalar

__all__ = ["WORDS", "bits_of", "floating", "integer", "opaque", "pointer", "scalar"]

_CANONICAL = {
    "__signed": "signed", "__signed__": "signed", "_Bool": "bool", "__int8": "char", "__int16": "short",
    "__int32": "int", "__complex__": "_Complex", "__complex": "_Complex", "__int128_t": "__int128",
    "__float128": "_Float128",
}  # fmt: skip
WORDS = frozenset(
    ("void", "char", "short", "int", "long", "float", "double", "signed", "unsigned", "_Complex", "__int64",
     "__int128", "_Float16", "_Float32", "_Float64", "_Float128", "_Float32x", "_Float64x", "__uint128_t",
     *_CANONICAL)
)  # fmt: skip
"""Words of which types are made."""

_FLOATS = {"float": 4, "double": 8, "_Float16": 2, "_Float32": 4, "_Float64": 8, "_Float32x": 8}


def integer(abi: Abi, size: int, signed: bool) -> Scalar:
    """An integer of 1, 2, 4 or 8 bytes."""
    return Scalar(
        np.dtype(f"<{'i' if signed else 'u'}{size}"), abi.align_8 if size == 8 else size, integer=True
    )


def floating(abi: Abi, size: int) -> Scalar:
    """A floating number of 2, 4 or 8 bytes."""
    return Scalar(np.dtype(f"<f{size}"), abi.align_8 if size == 8 else size)


def opaque(size: int, align: int) -> Scalar:
    """Bytes that NumPy has no number for."""
    return Scalar(np.dtype((np.void, size)), align)


def pointer(abi: Abi, text: bool | str = True) -> Scalar:
    """An address."""
    return Scalar(np.dtype(f"<u{abi.pointer}"), abi.pointer, pointer=text)


def scalar(abi: Abi, words: list[str]) -> Scalar | None:
    """The type that words such as ``long unsigned int long`` are in any order; None: there is none."""
    found = Counter(_CANONICAL.get(word, word) for word in words)
    signs = {word: found.pop(word, 0) for word in ("signed", "unsigned")}
    signed = not signs["unsigned"]
    if sum(signs.values()) > 1 or found.get("long", 0) > 2 or max(found.values(), default=1) > 2:
        return None
    if any(count > 1 for word, count in found.items() if word != "long"):
        return None
    kinds = set(found)
    if any(signs.values()):
        if not kinds <= {"char", "short", "int", "long", "__int64", "__int128"}:
            return None
    elif kinds == {"char"}:
        return Scalar(np.dtype("S1"), 1, integer=True)
    if "_Complex" in kinds:
        kinds -= {"_Complex"}
        return _complex(abi, kinds or {"double"})
    if kinds == {"bool"}:
        return Scalar(np.dtype("?"), 1, integer=True)
    if kinds == {"long", "double"} and found["long"] == 1:
        size, align = abi.long_double
        return floating(abi, 8) if size == 8 else opaque(size, align)
    if len(kinds) == 1 and kinds <= set(_FLOATS):
        return floating(abi, _FLOATS[kinds.pop()])
    if kinds in ({"_Float128"}, {"_Float64x"}) and not abi.microsoft:
        return opaque(abi.long_double[0], abi.long_double[1]) if kinds == {"_Float64x"} else opaque(16, 16)
    if kinds in ({"__int128"}, {"__uint128_t"}) and abi.int128:
        return opaque(16, 16)
    return _integer(abi, kinds, found.get("long", 0), signed)


def _integer(abi: Abi, kinds: set[str], longs: int, signed: bool) -> Scalar | None:
    plain = kinds - {"int"}
    if kinds == {"char"}:
        return integer(abi, 1, signed)
    if plain == {"short"}:
        return integer(abi, 2, signed)
    if not plain:
        return integer(abi, 4, signed)
    if plain == {"long"}:
        return integer(abi, 8 if longs == 2 else abi.long, signed)
    return integer(abi, 8, signed) if kinds == {"__int64"} else None


def _complex(abi: Abi, kinds: set[str]) -> Scalar | None:
    if kinds not in ({"float"}, {"double"}) or abi.microsoft:
        return None
    size = _FLOATS[kinds.pop()]
    return Scalar(np.dtype(f"<c{2 * size}"), abi.align_8 if size == 8 else size)


def bits_of(type_: Scalar) -> tuple[int, bool]:
    """Bits of an integer's values, and whether it is signed; a bool has one."""
    return (1, False) if type_.dtype.kind == "b" else (8 * type_.size, type_.dtype.kind == "i")
