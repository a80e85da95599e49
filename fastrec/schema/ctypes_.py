"""Schemas of ``ctypes`` classes: the layout that ctypes computed, read off its own descriptors."""

from __future__ import annotations

import ctypes
import sys
from typing import Any

import numpy as np

from fastrec.errors import SchemaError
from fastrec.schema import codes
from fastrec.schema.members import MAX_DEPTH, Member, Struct
from fastrec.schema.units import BitField, with_units

__all__ = ["struct_from_ctypes"]

# By the code a simple class carries in _type_; sizes come from ctypes.sizeof, because C's long has two.
_SIGNED = frozenset("bhilqv")
_UNSIGNED = frozenset("BHILQ")
_FLOATS = frozenset("fd")
_FUNCTION: Any = ctypes.CFUNCTYPE(None).__base__
_ADDRESSES = frozenset("PzZ")
_WIDE = f"utf-{8 * ctypes.sizeof(ctypes.c_wchar)}"
_NATIVE, _SWAPPED = ("<", ">") if sys.byteorder == "little" else (">", "<")
_SWAPPED_ATTRIBUTE = "__ctype_be__" if sys.byteorder == "little" else "__ctype_le__"


def struct_from_ctypes(cls: type, level: int = 1) -> Struct:
    """Return the tree of a Structure or Union class.

    Raises
    ------
    SchemaError
        Not such a class, or a member that a record cannot hold; the message names class and member.
    """
    if not _is_struct(cls):
        raise SchemaError(f"from_ctypes takes a Structure or Union class, not {cls!r:.60}")
    if level > MAX_DEPTH:
        raise SchemaError(f"{cls.__name__} lies in structs nested deeper than {MAX_DEPTH}; flatten some")
    if not hasattr(cls, "_fields_"):
        raise SchemaError(f"{cls.__name__} has no _fields_ yet; assign them first")
    _check_bit_fields(cls)
    members: list[Member] = []
    fields: list[BitField] = []
    # A derived class continues the fields of its base.
    for base in reversed(cls.__mro__):
        for name, type_, *width in base.__dict__.get("_fields_", ()):
            where = f"{cls.__name__}.{name}"
            place = _place(base, name)
            if width:
                unit = _bit_unit(type_, where)
                fields.append(BitField(name, 8 * place.offset + _shift(place), width[0], unit))
                continue
            element, shape = _unwrapped(type_)
            if _is_struct(element):
                below = struct_from_ctypes(element, level + 1)
                anonymous = name in base.__dict__.get("_anonymous_", ()) and not shape
                members.append(Member("" if anonymous else name, place.offset, below, shape))
            elif getattr(element, "_type_", None) == "c" and shape:
                text = codes.decode(f"|S{shape[-1]}", where)
                members.append(Member(name, place.offset, text, shape[:-1]))
            else:
                dtype, pointer = _scalar(element, where)
                members.append(Member(name, place.offset, dtype, shape, pointer))
    size = ctypes.sizeof(cls)
    return Struct(size, with_units(members, fields, size, union=issubclass(cls, ctypes.Union)))


def _place(base: type, name: str) -> Any:
    """Where a field lies, by the descriptor of the class that declared it: a derived class may hide it."""
    place = base.__dict__.get(name)
    if not hasattr(place, "offset"):
        raise SchemaError(
            f"{base.__name__}.{name} is no field any more; leave the class as its _fields_ made it"
        )
    return place


def _shift(place: Any) -> int:
    # Until Python 3.14 a descriptor packs shift and width into ``size``.
    return getattr(place, "bit_offset", place.size & 0xFFFF)


def _check_bit_fields(cls: type) -> None:
    """Refuse bit-fields that ctypes does not place where C does.

    Until Python 3.14 ctypes has rules of its own for neighbours of different sizes: a struct that C packs
    into 16 bytes can have 24. System V ABI, 3.1.2: a bit-field lies wholly in a unit of its type, at the
    first place where it can. On Windows ctypes follows the compiler's rule.
    """
    own = [(base, base.__dict__.get("_fields_", ())) for base in reversed(cls.__mro__)]
    if sys.platform == "win32" or not any(len(field) > 2 for _, fields in own for field in fields):
        return
    end, alignment = 0, 8
    places = []
    for base, fields in own:
        for name, type_, *width in fields:
            if width:
                _bit_unit(type_, f"{cls.__name__}.{name}")
            unit, step = 8 * ctypes.sizeof(type_), 8 * ctypes.alignment(type_)
            start = 0 if issubclass(cls, ctypes.Union) else end
            if not width or start // unit != (start + width[0] - 1) // unit:
                start = -(-start // step) * step
            end = max(end, start + (width[0] if width else unit))
            alignment = max(alignment, step)
            place = _place(base, name)
            places.append(8 * place.offset + (_shift(place) if width else 0) == start)
        end = -(-end // alignment) * alignment
    if getattr(cls, "_pack_", 0) or not all(places) or end != 8 * ctypes.sizeof(cls):
        raise SchemaError(
            f"ctypes does not lay out the bit-fields of {cls.__name__} as C does; declare whole words"
        )


def _is_struct(type_: object) -> bool:
    return isinstance(type_, type) and issubclass(type_, ctypes.Structure | ctypes.Union)


def _unwrapped(type_: Any) -> tuple[type, tuple[int, ...]]:
    shape: list[int] = []
    while issubclass(type_, ctypes.Array):
        shape.append(type_._length_)
        type_ = type_._type_
    return type_, tuple(shape)


def _scalar(type_: type, where: str) -> tuple[np.dtype, bool | str]:
    code = getattr(type_, "_type_", None)
    size = ctypes.sizeof(type_)
    if issubclass(type_, ctypes._Pointer | _FUNCTION) or code in _ADDRESSES:
        wide = code == "Z" or getattr(code, "_type_", None) == "u"  # c_wchar_p, or a POINTER(c_wchar)
        return np.dtype(f"{_NATIVE}u{size}"), _WIDE if wide else True
    order = _SWAPPED if getattr(type_, _SWAPPED_ATTRIBUTE, None) is type_ else _NATIVE
    for known, letter in ((_SIGNED, "i"), (_UNSIGNED, "u"), (_FLOATS, "f")):
        if code in known:
            return np.dtype(f"{order}{letter}{size}"), False
    if code == "?" and size == 1:
        return np.dtype("|b1"), False
    if code == "c":
        return np.dtype("|S1"), False
    raise SchemaError(f"{where} is a {type_.__name__}, which no record can hold; declare integers or bytes")


def _bit_unit(type_: type, where: str) -> np.dtype:
    dtype, pointer = _scalar(type_, where)
    if not dtype.isnative or pointer or dtype.kind not in "iub":
        raise SchemaError(
            f"{where} is a bit-field of {type_.__name__} in foreign byte order; declare whole words"
        )
    return dtype
