"""What cffi says of the structs of `structs`, under the native ABI."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

from cffi import FFI
from compilers import Placed
from structs import ALIGNED, PRELUDE, Struct

__all__ = ["declared", "new_ffi", "places", "sayable"]

_PACKED_ENUMS = {name for name, text in PRELUDE.items() if "packed" in text}


def sayable(struct: Struct) -> bool:
    """Whether cffi can declare a struct, and then lays it out as gcc does.

    cffi knows no attributes, but packs what one ``cdef`` defines. It has packed bit-fields wrong: under the
    pragma gcc lets them go on in the next word of their type, and under both has its own alignment.
    """
    parts = list(_defined_in(struct))
    members = [member for part in parts for member in part.members]
    bits = any(member.width is not None for member in members)
    # By the attribute gcc packs one struct alone; by the pragma those inside it too, as cffi does.
    if (struct.packed and len(parts) > 1) or ((struct.packed or struct.pack) and bits):
        return False
    return (
        not any(part.aligned for part in parts)
        and not any(part.packed for part in parts[1:])
        and not any(member.packed or member.aligned or member.alignas or member.renamed for member in members)
        and not any(member.type in ALIGNED or member.type in _PACKED_ENUMS for member in members)
        and all(sayable(part) for part in _defined_before(struct))
    )


def new_ffi() -> FFI:
    """Return an ffi that knows the enumerations."""
    ffi = FFI()
    ffi.cdef("".join(PRELUDE[name] for name in ("enum few", "enum below")))
    return ffi


def declared(ffi: FFI, struct: Struct, tag: str) -> Any:
    """Declare a struct to cffi, and those it uses before; return its type."""
    for part in _defined_before(struct):
        declared(ffi, part, tag)
    text = f"{struct.defined(tag)};".replace("__attribute__((packed))", "")
    ffi.cdef(text, packed=struct.packed, pack=None if struct.packed else struct.pack or None)
    return ffi.typeof(struct.tag(tag))


def places(ffi: FFI, type_: Any) -> Placed:
    """Return what cffi says of a type."""
    return Placed(ffi.sizeof(type_), dict(_leaves(ffi, type_, "", 0)))


def _leaves(ffi: FFI, type_: Any, prefix: str, base: int) -> Iterator[tuple[str, tuple[int, int | None]]]:
    for name, field in type_.fields:
        at, element, dims = base + field.offset, field.type, []
        while element.kind == "array":
            dims.append(element.length)
            element = element.item
        if field.bitsize >= 0:
            yield prefix + name, (8 * at + field.bitshift, field.bitsize)
        elif element.kind not in ("struct", "union"):
            if None not in dims:
                yield prefix + name, (8 * at, None)
        else:
            for number, index in enumerate(product(*map(range, dims))):
                path = prefix + name + "".join(f"[{i}]" for i in index)
                yield from _leaves(ffi, element, f"{path}.", at + number * ffi.sizeof(element))


def _defined_in(struct: Struct) -> Iterator[Struct]:
    """Yield a struct and those that its definition defines."""
    yield struct
    for member in struct.members:
        if isinstance(member.type, Struct) and not member.type.outside:
            yield from _defined_in(member.type)


def _defined_before(struct: Struct) -> Iterator[Struct]:
    for member in struct.nested():
        if isinstance(member.type, Struct) and member.type.outside:
            yield member.type
