"""Structs of ``cffi``: the layout that its types carry. cffi is met only by whoever passes one of them."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from fastrec.errors import SchemaError, shown
from fastrec.schema.abi import ABIS, native_abi
from fastrec.schema.c.types import Array, Declared, Placed, Record, Scalar, Type
from fastrec.schema.labels import Enumeration
from fastrec.schema.members import MAX_DEPTH

__all__ = ["is_cffi_type", "record_from_cffi"]

_FLOATS = ("float", "double", "long double")
_COMPLEX = ("float _Complex", "double _Complex", "_cffi_float_complex_t", "_cffi_double_complex_t")
_WIDE = {"wchar_t", "char16_t", "char32_t"}
_ORDER = "<" if sys.byteorder == "little" else ">"


def is_cffi_type(value: object) -> bool:
    """Whether this is what ``ffi.typeof`` returns."""
    return type(value).__module__ == "_cffi_backend" and type(value).__name__ == "CType"


def record_from_cffi(type_: Any, ffi: Any = None) -> Record:
    """Return a type of cffi as a struct of C, placed where cffi placed it.

    Raises
    ------
    SchemaError
        No struct or union, one that is only declared, or a member that a record cannot hold.
    """
    if isinstance(type_, str):
        if ffi is None:
            raise SchemaError(f"from_cffi({shown(type_)}) needs the ffi that declares it: pass ffi=")
        try:
            type_ = ffi.typeof(type_)
        except Exception as error:  # cffi raises a class of its own, which we do not import
            raise SchemaError(f"this ffi knows no {shown(type_)}: {str(error)[:200]}") from None
    if not is_cffi_type(type_) or type_.kind not in ("struct", "union"):
        what = f"a cffi {type_.cname!r}" if is_cffi_type(type_) else shown(type_)
        raise SchemaError(f"from_cffi takes a struct or union such as ffi.typeof('struct s'), not {what}")
    return _record(type_, 1)


def _record(type_: Any, level: int) -> Record:
    if level > MAX_DEPTH:
        raise SchemaError(f"{type_.cname!r} lies in structs nested deeper than {MAX_DEPTH}; flatten some")
    import _cffi_backend

    fields = type_.fields
    if fields is None:
        raise SchemaError(f"{type_.cname!r} is only declared; give cffi its members")
    members = []
    for name, field in fields:
        kind = _type(field.type, f"{type_.cname}.{name}", level)
        at, width = 8 * field.offset, None
        if field.bitsize >= 0:
            width, shift = field.bitsize, field.bitshift
            # On big-endian machines we count from the other end than cffi does.
            at += shift if _ORDER == "<" else 8 * kind.size - shift - width
        members.append(Placed(Declared(name, kind, width), at))
    union = type_.kind == "union"
    size, align = _cffi_backend.sizeof(type_), _cffi_backend.alignof(type_)
    tag = type_.cname.removeprefix(f"{type_.kind} ")
    runs = [] if union else _runs(members)
    if len(runs) > 1 and any(one.declared.width for one in members):
        # Bit-fields beside an anonymous union: they share words within their part of it alone.
        parts = [Record(tag, False, tuple(run), size, align, big=_ORDER == ">") for run in runs]
        union, members = True, [Placed(Declared("", part), 0) for part in parts]
    return Record(tag, union, tuple(members), size, align, big=_ORDER == ">")


def _runs(members: list[Placed]) -> list[list[Placed]]:
    """The parts of a struct within which no member lies before the end of another.

    cffi gives the members of anonymous structs and unions as if they were the struct's own.
    """
    runs: list[list[Placed]] = []
    end = 0
    for placed in members:
        if not runs or placed.at < end:
            runs.append([])
        declared = placed.declared
        end = placed.at + (8 * declared.type.size if declared.width is None else declared.width)
        runs[-1].append(placed)
    return runs


def _type(type_: Any, where: str, level: int) -> Type:
    counts = []
    while type_.kind == "array":
        counts.append(type_.length)
        type_ = type_.item
    record = type_.kind in ("struct", "union")
    kind: Type = _record(type_, level + 1) if record else _scalar(type_, where)
    for count in reversed(counts):
        kind = Array(kind, count)
    return kind


def _scalar(type_: Any, where: str) -> Scalar:
    import _cffi_backend

    size, align = _cffi_backend.sizeof(type_), _cffi_backend.alignof(type_)
    if type_.kind in ("pointer", "function"):
        item = type_.item.cname if type_.kind == "pointer" else ""
        wide = f"utf-{8 * _cffi_backend.sizeof(type_.item)}" if item in _WIDE else True
        return Scalar(np.dtype(f"{_ORDER}u{size}"), align, pointer=wide)
    if type_.kind not in ("primitive", "enum"):
        raise SchemaError(f"{where} is a {type_.cname!r}, which no record can hold")
    name = type_.cname
    if name in ("_Bool", "bool") and size == 1:
        return Scalar(np.dtype("|b1"), align, integer=True)
    if name == "char":
        return Scalar(np.dtype("|S1"), align)
    if name == "wchar_t":
        native = ABIS.get(native_abi())
        return Scalar(np.dtype(native.wchar if native else f"{_ORDER}u{size}"), align, integer=True)
    if name in _FLOATS or name in _COMPLEX:
        # What is wider than a double has no type of NumPy that is the same everywhere.
        number, widest = ("f", 8) if name in _FLOATS else ("c", 16)
        return Scalar(np.dtype(f"{_ORDER}{number}{size}" if size <= widest else (np.void, size)), align)
    if name in _WIDE:
        return Scalar(np.dtype(f"{_ORDER}u{size}"), align, integer=True)
    letter = "i" if int(_cffi_backend.cast(type_, -1)) < 0 else "u"
    # cffi keeps enumerators in the reverse order of their declaration.
    named = dict(reversed(type_.relements.items())) if type_.kind == "enum" else {}
    labels = Enumeration(named) if named else None
    return Scalar(np.dtype(f"{_ORDER}{letter}{size}"), align, labels=labels, integer=True)
