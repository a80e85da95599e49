"""Structs of ``ctypes``: the layout that ctypes computed, read off its own descriptors."""

from __future__ import annotations

import ctypes
import sys
from dataclasses import replace
from typing import Any

import numpy as np

from fastrec.errors import SchemaError
from fastrec.schema.abi import ABIS, abi_named, native_abi
from fastrec.schema.c.layout import lay_out
from fastrec.schema.c.types import Array, Declared, Placed, Record, Scalar, Type
from fastrec.schema.c.wellknown import known_by_name
from fastrec.schema.members import MAX_DEPTH

__all__ = ["record_from_ctypes"]

# By the code a simple class carries in _type_; sizes come from ctypes.sizeof, because C's long has two.
_SIGNED = frozenset("bhilqv")
_UNSIGNED = frozenset("BHILQ")
_FLOATS = frozenset("fdg")
_COMPLEX = frozenset("FDG")
_FUNCTION: Any = ctypes.CFUNCTYPE(None).__base__
_ADDRESSES = frozenset("PzZ")
_WIDE = f"utf-{8 * ctypes.sizeof(ctypes.c_wchar)}"
_NATIVE, _SWAPPED = ("<", ">") if sys.byteorder == "little" else (">", "<")
_SWAPPED_ATTRIBUTE = "__ctype_be__" if sys.byteorder == "little" else "__ctype_le__"


def record_from_ctypes(cls: Any, level: int = 1) -> Record:
    """Return a Structure or Union class as a struct of C, placed where ctypes placed it.

    A derived class continues its base, which is an anonymous struct at its beginning. Members that a class
    names in ``_padding_`` only make room.

    Raises
    ------
    SchemaError
        Not such a class; a member that a record cannot hold; or bit-fields that ctypes places otherwise than
        C does, which before Python 3.14 it often did. The message names class and member.
    """
    if not _is_struct(cls):
        raise SchemaError(f"from_ctypes takes a Structure or Union class, not {cls!r:.60}")
    if level > MAX_DEPTH:
        raise SchemaError(f"{cls.__name__} lies in structs nested deeper than {MAX_DEPTH}; flatten some")
    if not hasattr(cls, "_fields_"):
        raise SchemaError(f"{cls.__name__} has no _fields_ yet; assign them first")
    record = None
    for base in reversed(cls.__mro__):
        if base.__dict__.get("_fields_"):
            record = _own(base, record, cls.__name__, level)
    size, union = ctypes.sizeof(cls), issubclass(cls, ctypes.Union)
    return record or Record(cls.__name__, union, (), size, ctypes.alignment(cls))


def _own(cls: Any, base: Record | None, tag: str, level: int) -> Record:
    """The fields that a class itself declares, behind those of its base."""
    union, big = issubclass(cls, ctypes.Union), _is_big(cls)
    members = [Placed(Declared("", base), 0)] if base else []
    for name, type_, *width in cls._fields_:
        where = f"{tag}.{name}"
        place = cls.__dict__.get(name)
        if not hasattr(place, "offset"):
            raise SchemaError(
                f"{cls.__name__}.{name} is no field any more; leave the class as its _fields_ made it"
            )
        kind = _type(type_, where, level)
        at = 8 * place.offset
        if width:
            # Until Python 3.14 a descriptor packs shift and width into ``size``.
            shift = getattr(place, "bit_offset", place.size & 0xFFFF)
            if shift + width[0] > 8 * kind.size:
                raise SchemaError(
                    f"ctypes reads {where} at bits that its {kind.size} bytes lack; declare whole words"
                )
            at += 8 * kind.size - shift - width[0] if big else shift
        anonymous = name in cls.__dict__.get("_anonymous_", ()) and isinstance(kind, Record)
        members.append(Placed(Declared("" if anonymous else name, kind, *width), at))
    size, align = ctypes.sizeof(cls), ctypes.alignment(cls)
    record = Record(tag, union, tuple(members), size, align, big=big)
    if any(placed.declared.width for placed in members):
        _check_bit_fields(cls, record)
    padding = cls.__dict__.get("_padding_", ())
    return replace(record, members=tuple(one for one in members if one.declared.name not in padding))


def _is_big(cls: type) -> bool:
    return hasattr(cls, "_swappedbytes_") == (sys.byteorder == "little")


def _check_bit_fields(cls: Any, record: Record) -> None:
    # Until Python 3.14 ctypes has rules of its own for neighbours of different sizes: a struct that C packs
    # into 16 bytes can have 24.
    expected = lay_out(
        abi_named("native"),
        record.tag,
        [placed.declared for placed in record.members],
        union=record.union,
        pack=getattr(cls, "_pack_", None) or None,
        aligned=getattr(cls, "_align_", 0) if sys.version_info >= (3, 13) else 0,
    )
    for own, other in zip(record.members, expected.members, strict=True):
        if own.at != other.at:
            raise SchemaError(
                f"ctypes puts {record.tag}.{own.declared.name} at bit {own.at}, C at bit {other.at};"
                " declare whole words"
            )
    if record.size != expected.size:
        raise SchemaError(
            f"ctypes gives {record.tag} {record.size} bytes because of its bit-fields, C {expected.size};"
            " declare whole words"
        )


def _is_struct(type_: object) -> bool:
    return isinstance(type_, type) and issubclass(type_, ctypes.Structure | ctypes.Union)


def _type(type_: Any, where: str, level: int) -> Type:
    counts: list[int] = []
    while issubclass(type_, ctypes.Array):
        counts.append(type_._length_)
        type_ = type_._type_
    kind: Type = record_from_ctypes(type_, level + 1) if _is_struct(type_) else _scalar(type_, where)
    for count in reversed(counts):
        kind = Array(kind, count)
    return kind


def _scalar(type_: Any, where: str) -> Scalar:
    code = getattr(type_, "_type_", None)
    size, align = ctypes.sizeof(type_), ctypes.alignment(type_)
    if issubclass(type_, ctypes._Pointer | _FUNCTION) or code in _ADDRESSES:
        wide = code == "Z" or getattr(code, "_type_", None) == "u"  # c_wchar_p, or a POINTER(c_wchar)
        return Scalar(np.dtype(f"{_NATIVE}u{size}"), align, pointer=_WIDE if wide else True)
    order = _SWAPPED if getattr(type_, _SWAPPED_ATTRIBUTE, None) is type_ else _NATIVE
    if code in _SIGNED or code in _UNSIGNED:
        letter = "i" if code in _SIGNED else "u"
        number = Scalar(np.dtype(f"{order}{letter}{size}"), align, integer=True)
        return known_by_name(type_.__name__, number)
    if code == "?" and size == 1:
        return Scalar(np.dtype("|b1"), align, integer=True)
    if code == "c":
        return Scalar(np.dtype("|S1"), align)
    if code == "u":
        native = ABIS.get(native_abi())
        return Scalar(np.dtype(native.wchar if native else f"{_NATIVE}u{size}"), align)
    if code in _FLOATS or code in _COMPLEX:
        # What is wider than a double has no type of NumPy that is the same everywhere.
        number, widest = ("f", 8) if code in _FLOATS else ("c", 16)
        return Scalar(np.dtype(f"{order}{number}{size}" if size <= widest else (np.void, size)), align)
    raise SchemaError(f"{where} is a {type_.__name__}, which no record can hold; declare integers or bytes")
