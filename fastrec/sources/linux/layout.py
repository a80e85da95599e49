"""Schemas of the kernel's structs: the layout that C gives them, and what is known of their members."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from typing import NamedTuple

from fastrec.schema import Schema
from fastrec.schema.c import struct_of
from fastrec.schema.ctypes_ import record_from_ctypes
from fastrec.schema.members import Struct

__all__ = ["Known", "described", "laid_out"]


class Known(NamedTuple):
    """What is known of a member beyond its place: as in `fastrec.schema.Field`."""

    doc: str
    unit: str = ""
    scale: float = 1.0
    labels: object = None


def laid_out(struct: type[ctypes.Structure]) -> Struct:
    """The layout of a ctypes class. Members whose name begins with ``_`` are padding and left out."""
    whole = struct_of(record_from_ctypes(struct))
    return Struct(whole.size, tuple(member for member in whole.members if not member.name.startswith("_")))


def described(name: str, layout: Struct, known: Mapping[str, Known]) -> Schema:
    """The schema of a layout; `known` is by field name."""
    return Schema(name, layout, {field: one._asdict() for field, one in known.items()})
