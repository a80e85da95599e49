"""A schema as a message definition of ROS 2 (``.msg``)."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from fastrec.schema.field import Field
from fastrec.schema.labels import Enumeration
from fastrec.schema.members import Struct
from fastrec.schema.render.pieces import facts, one_line, unique

if TYPE_CHECKING:
    from fastrec.schema.model import Schema

__all__ = ["render"]

_TYPES = {
    **{f"{kind}{n}": f"{sign}int{8 * n}" for kind, sign in (("i", ""), ("u", "u")) for n in (1, 2, 4, 8)},
    "b1": "bool",
    "f2": "float32",
    "f4": "float32",
    "f8": "float64",
    "c8": "float32",
    "c16": "float64",
}
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_NO_LETTER = re.compile(r"[^A-Za-z0-9]+")


def render(schema: Schema, layout: Struct) -> str:
    """Return the definition: one field for each of the schema's, in the order of their offsets.

    Names become lower case with underscores, those of nested fields joined (``motors[0].pos``:
    ``motors_0_pos``); a comment keeps what changed. A message has values, no bytes: padding and byte order
    are gone, a bit-field is the smallest integer that holds it, half precision ``float32``, an array of
    more dimensions flat, a complex number two neighbours, raw bytes and ``char[n]`` an array of ``uint8``, a
    text behind a pointer ``string``. Names of values are constants, behind the field's name.
    """
    names = unique((field.name for field in schema.fields), _field_name, apart="_n")
    lines = [f"# {one_line(schema.name)}: {schema.abi}, fastrec schema {schema.digest}"]
    taken: set[str] = set()
    for field in schema.fields:
        lines += ["", *_constants(field, names[field.name], taken), _line(field, names[field.name])]
    return "\n".join(lines) + "\n"


def _field_name(path: str) -> str:
    if path and re.fullmatch(r"[a-z](?:_?[a-z0-9]+)*", path):
        return path
    snake = _NO_LETTER.sub("_", _CAMEL.sub("_", path)).strip("_").lower()
    return snake if snake[:1].isalpha() else f"f_{snake}".rstrip("_")


def _line(field: Field, name: str) -> str:
    type_, count, notes = _declared(field)
    if name != field.name:
        notes.insert(0, one_line(field.name))
    notes += facts(field)
    comment = f"  # {'; '.join(notes)}" if notes else ""
    return f"{type_}{'' if count is None else f'[{count}]'} {name}{comment}"


def _declared(field: Field) -> tuple[str, int | None, list[str]]:
    notes = ["x".join(map(str, field.shape))] if len(field.shape) > 1 else []
    count = math.prod(field.shape) if field.shape else None
    if field.text:
        return "string", count, notes
    if field.bits:
        return _of_bits(field), count, [f"{field.bits[1]} bits"]
    if field.dtype.kind in "SV":
        notes.append("characters" if field.dtype.kind == "S" else "raw bytes")
        return "uint8", (count or 1) * field.dtype.itemsize, notes
    code = field.dtype.str.lstrip("<>|")
    if code == "f2":
        notes.append("half precision")
    if field.dtype.kind == "c":
        notes.append("real, imaginary")
        count = 2 * (count or 1)
    return _TYPES[code], count, notes


def _of_bits(field: Field) -> str:
    size = next(size for size in (8, 16, 32, 64) if field.bits[1] <= size)
    return f"{'' if field.dtype.kind == 'i' else 'u'}int{size}"


def _constants(field: Field, name: str, taken: set[str]) -> Iterator[str]:
    """Yield what the field's values are called; only those that its type has."""
    if not isinstance(field.labels, Enumeration) or field.dtype.kind == "b":
        return
    type_ = _declared(field)[0]
    bits = int(type_.rpartition("int")[2])
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if type_[0] == "i" else (0, (1 << bits) - 1)
    prefix = name.upper()
    new = unique(
        (f"{prefix}_{label}" for label, _ in field.labels.enumerators), _constant_name, taken, apart="_N"
    )
    taken.update(new.values())
    for label, value in field.labels.enumerators:
        constant = new[f"{prefix}_{label}"]
        note = "" if constant == f"{prefix}_{label}" else f"  # {one_line(label)}"
        if low <= value <= high:
            yield f"{type_} {constant}={value}{note}"
        else:
            yield f"# {constant} = {value}, which is no {type_}{note}"


def _constant_name(name: str) -> str:
    return _NO_LETTER.sub("_", name).strip("_").upper()
