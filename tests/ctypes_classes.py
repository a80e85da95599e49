"""The structs of `structs` as classes of ctypes, under the native ABI."""

from __future__ import annotations

import ctypes
from typing import Any

from structs import ALIGNED, Struct

__all__ = ["class_of", "sayable"]

TYPES: dict[str, Any] = {
    "unsigned": ctypes.c_uint, "int": ctypes.c_int, "unsigned char": ctypes.c_ubyte,
    "short": ctypes.c_short, "long long": ctypes.c_longlong, "_Bool": ctypes.c_bool, "char": ctypes.c_char,
    "signed char": ctypes.c_byte, "unsigned short": ctypes.c_ushort,
    "unsigned long long": ctypes.c_ulonglong, "long": ctypes.c_long, "unsigned long": ctypes.c_ulong,
    "wchar_t": ctypes.c_wchar, "int64_t": ctypes.c_int64, "uint8_t": ctypes.c_uint8,
    "uint32_t": ctypes.c_uint32, "enum few": ctypes.c_uint, "enum below": ctypes.c_int,
    "enum tiny": ctypes.c_uint8, "enum small": ctypes.c_int16, "float": ctypes.c_float,
    "double": ctypes.c_double, "long double": ctypes.c_longdouble, "void *": ctypes.c_void_p,
    "size_t": ctypes.c_size_t, "int8_t": ctypes.c_int8, "int16_t": ctypes.c_int16,
    "uint16_t": ctypes.c_uint16, "int32_t": ctypes.c_int32, "uint64_t": ctypes.c_uint64,
    "char16_t *": ctypes.POINTER(ctypes.c_wchar), "intptr_t": ctypes.c_ssize_t,
}  # fmt: skip


def sayable(struct: Struct) -> bool:
    """Whether ctypes can declare a struct: it knows a packing, and no attributes of members."""
    members = [member for part in struct.records() for member in part.members]
    return not any(part.aligned or not part.members for part in struct.records()) and not any(
        member.packed
        or member.aligned
        or member.alignas
        or member.renamed
        or member.type in ALIGNED
        or None in member.dims
        or 0 in member.dims
        or (member.width is not None and (not member.name or member.type in ("wchar_t", "char", "_Bool")))
        for member in members
    )


def class_of(struct: Struct, pack: int = 0) -> type:
    """Return the class of a struct; what surrounds it may pack it, as a pragma does."""
    pack = struct.pack if struct.outside else pack
    fields: list[tuple[Any, ...]] = []
    anonymous = []
    for member in struct.members:
        type_ = class_of(member.type, pack) if isinstance(member.type, Struct) else TYPES[member.type]
        for count in reversed(member.dims):
            type_ = type_ * count
        name = member.name
        if isinstance(member.type, Struct) and member.type.anonymous:
            name = f"_anonymous{len(anonymous)}"
            anonymous.append(name)
        fields.append((name, type_, *(() if member.width is None else (member.width,))))
    own: dict[str, Any] = {"_anonymous_": anonymous} if anonymous else {}
    if struct.packed or pack:
        own["_pack_"] = 1 if struct.packed else pack
    return type("S", (ctypes.Union if struct.union else ctypes.Structure,), own | {"_fields_": fields})
