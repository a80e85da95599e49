"""From a struct of C to the tree under a schema, and what its declarations say of its fields."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from fastrec.errors import SchemaError
from fastrec.schema import codes, members
from fastrec.schema.c.types import Array, Placed, Record, Scalar, Type
from fastrec.schema.units import BitField, with_units

__all__ = ["meanings_of", "struct_of"]


def struct_of(
    record: Record, level: int = 1, made: dict[tuple[int, int], members.Struct] | None = None
) -> members.Struct:
    """Return the tree of a struct whose members are placed.

    Raises
    ------
    SchemaError
        A member that a record cannot hold, or too many of them; the message names it.
    """
    if level > members.MAX_DEPTH:
        raise SchemaError(
            f"{record.tag!r} lies in structs nested deeper than {members.MAX_DEPTH}; flatten some"
        )
    made = {} if made is None else made
    found: list[members.Member] = []
    fields: list[BitField] = []
    for placed in record.members:
        declared = placed.declared
        element, shape = _unwrapped(declared.type)
        if declared.width is not None:
            if declared.name and isinstance(element, Scalar):
                fields.append(BitField(declared.name, placed.at, declared.width, element.dtype))
        elif None in shape:
            continue  # a flexible array member has no bytes in its struct
        elif isinstance(element, Record):
            if not element.size:
                continue  # nor has a struct of nothing, which headers put before such an array
            # A struct may be the type of a thousand members, and have a thousand of its own.
            key = (id(element), level)
            if key not in made:
                made[key] = struct_of(element, level + 1, made)
            below = made[key]
            found.append(members.Member(declared.name, placed.at // 8, below, shape))
        else:
            dtype, shape = _text(element.dtype, shape)
            found.append(members.Member(declared.name, placed.at // 8, dtype, shape, element.pointer))
    placed_all = with_units(found, fields, record.size, union=record.union, big=record.big)
    return members.Struct(record.size, placed_all)


def meanings_of(record: Record, prefix: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the path of every field of which more is known than its place, and what: ``labels``, ``doc``."""
    for placed in record.members:
        element, shape = _unwrapped(placed.declared.type)
        if isinstance(element, Record):
            if None in shape or not element.size:
                continue
            for index in np.ndindex(*shape):
                path = prefix + placed.declared.name + "".join(f"[{i}]" for i in index)
                yield from meanings_of(element, f"{path}." if placed.declared.name else prefix)
        elif placed.declared.name and None not in shape:
            known = _known(placed, element)
            if known:
                yield prefix + placed.declared.name, known


def _known(placed: Placed, element: Scalar) -> dict[str, Any]:
    known: dict[str, Any] = {}
    if element.labels is not None:
        known["labels"] = element.labels
    if placed.declared.doc:
        known["doc"] = placed.declared.doc
    return known


def _unwrapped(type_: Type) -> tuple[Scalar | Record, tuple[int, ...]]:
    shape = []
    while isinstance(type_, Array):
        shape.append(type_.count)
        type_ = type_.element
    return type_, tuple(shape)


def _text(dtype: np.dtype, shape: tuple[int, ...]) -> tuple[np.dtype, tuple[int, ...]]:
    """An array of plain char is a text of bytes."""
    if dtype.str == "|S1" and shape and math.prod(shape) <= codes.MAX_BYTES:
        return np.dtype((np.bytes_, shape[-1])), shape[:-1]
    return dtype, shape
