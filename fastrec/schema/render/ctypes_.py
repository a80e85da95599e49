"""A schema as Python that declares its struct with ``ctypes`` alone."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from fastrec.schema.members import Member, Struct
from fastrec.schema.render.pieces import (
    Bits,
    Choice,
    Pad,
    Piece,
    Plain,
    Scope,
    facts,
    is_union,
    pieces,
    spelled,
)
from fastrec.schema.render.python import constants, heading, identifier

if TYPE_CHECKING:
    from fastrec.schema.model import Schema

__all__ = ["render"]

_TYPES = {
    **{f"{kind}{n}": f"c_{sign}int{8 * n}" for kind, sign in (("i", ""), ("u", "u")) for n in (1, 2, 4, 8)},
    "b1": "c_bool",
    "f4": "c_float",
    "f8": "c_double",
    "f2": "c_uint16",
    "c8": "c_float",
    "c16": "c_double",
    "S": "c_char",
    "V": "c_uint8",
}
_OURS = frozenset(dir(ctypes.Structure)) | frozenset(
    ["_fields_", "_pack_", "_layout_", "_anonymous_", "_align_", "_padding_"]
)

_ADDRESS = """\
def _address(number):  # a pointer as wide as those of this machine is one, any other a number
    return ctypes.c_void_p if ctypes.sizeof(ctypes.c_void_p) == ctypes.sizeof(number) else number
"""


def render(schema: Schema, layout: Struct) -> str:
    """Return a module with a class of the schema's name, and ``LABELS``, ``UNITS``, ``SCALES``, ``DOCS``.

    Nothing is left to an ABI: structs are packed and padding has names (``_pad0``). Raw bytes are arrays
    of ``c_uint8``, complex numbers arrays of two, half precision ``c_uint16``. Bit-fields are bit-fields of
    words that they fill (``_gap0``); in big-endian words, and in units that are no word, the unit is there.
    """
    module = _Module(schema)
    name = module.declare(layout, identifier(schema.name), "")
    address = ["", "", *_ADDRESS.splitlines()] if any(field.pointer for field in schema.fields) else []
    check = f"assert ctypes.sizeof({name}) == {schema.size}"
    lines = [heading(schema), "import ctypes", *address, *module.lines, "", "", check, *constants(schema)]
    return "\n".join(lines) + "\n"


def _member_name(name: str) -> str:
    valid = identifier(name)
    return f"{valid}_" if valid in _OURS or (valid[:2] == "__" and valid[-2:] != "__") else valid


class _Module:
    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        # What else the module has.
        self._classes = {"ctypes", "_address", "LABELS", "UNITS", "SCALES", "DOCS"}
        self.lines: list[str] = []

    def declare(self, struct: Struct, name: str, path: str) -> str:
        """Write the class of a struct, those within it first; return its name."""
        return self._class(pieces(struct), name, Scope(struct, _member_name), path)

    def _class(self, found: tuple[Piece, ...], wanted: str, scope: Scope, path: str) -> str:
        union = is_union(found)
        rows: list[str] = []
        anonymous: list[str] = []
        padding: list[str] = []
        ways = found[0].ways if union else (found,)
        for way in ways:
            if union and (len(way) > 1 or isinstance(way[0], Bits)):
                self._anonymous(way, wanted, scope, path, rows, anonymous)
                continue
            for place, piece in enumerate(way):
                before = way[place - 1] if place else None
                if isinstance(piece, Bits) and isinstance(before, Bits) and before.word != piece.word:
                    # Before Python 3.14 a wider word would grow from the one before it.
                    self._anonymous((piece,), wanted, scope, path, rows, anonymous)
                elif isinstance(piece, Choice) or (isinstance(piece, Plain) and not piece.member.name):
                    inner = piece if isinstance(piece, Choice) else piece.member.type
                    parts = (inner,) if isinstance(inner, Choice) else pieces(inner)
                    self._anonymous(parts, wanted, scope, path, rows, anonymous)
                else:
                    rows += self._rows(piece, wanted, scope, path, padding)
        name = wanted
        while name in self._classes:
            name += "_"
        self._classes.add(name)
        self.lines += ["", "", f"class {name}(ctypes.{'Union' if union else 'Structure'}):"]
        self.lines += ["    _pack_ = 1", '    _layout_ = "ms"']
        if anonymous:
            self.lines.append(f"    _anonymous_ = {anonymous}")
        if padding:
            self.lines.append(
                f"    _padding_ = {padding}  # for fastrec.Schema.from_ctypes, which leaves it out"
            )
        self.lines += ["    _fields_ = [", *(f"        {row}" for row in rows), "    ]"]
        return name

    def _anonymous(
        self,
        parts: tuple[Piece, ...],
        outer: str,
        scope: Scope,
        path: str,
        rows: list[str],
        anonymous: list[str],
    ) -> None:
        inner = self._class(parts, f"{outer}_anonymous", scope, path)
        anonymous.append(scope.new("_anonymous"))
        rows.append(f"({anonymous[-1]!r}, {inner}),")

    def _rows(
        self, piece: Pad | Bits | Plain, outer: str, scope: Scope, path: str, padding: list[str]
    ) -> Iterator[str]:
        if isinstance(piece, Pad):
            padding.append(scope.new("_pad"))
            yield f"({padding[-1]!r}, ctypes.c_uint8 * {piece.size}),"
        elif isinstance(piece, Bits):
            size = 8 * piece.word.itemsize
            for bit in piece.fields:
                new = scope[bit.name] if bit.name else scope.new("_gap")
                padding += [] if bit.name else [new]
                notes = [*facts(self._schema.field(path + bit.name))] if bit.name else []
                sign = "" if bit.signed else "u"
                yield f"({new!r}, ctypes.c_{sign}int{size}, {bit.width}),{_comment(notes)}"
        else:
            yield self._row(piece.member, outer, scope, path)

    def _row(self, member: Member, outer: str, scope: Scope, path: str) -> str:
        new = scope[member.name]
        notes = [] if new == member.name else [ascii(member.name)]
        if isinstance(member.type, Struct):
            below = path + member.name + "[0]" * len(member.shape) + "."
            type_, shape = self.declare(member.type, f"{outer}_{new}", below), member.shape
        else:
            type_, shape, kind = _declared(member.type, member.shape)
            notes += kind
            if member.bits:
                notes += [
                    f"{bit.name}: bits {bit.shift} to {bit.shift + bit.width - 1}" for bit in member.bits
                ]
            else:
                field = self._schema.field(path + member.name)
                if field.pointer and field.dtype.isnative:
                    type_ = f"_address({type_})"
                notes += facts(field)
        return f"({new!r}, {_array(type_, shape)}),{_comment(notes)}"


def _declared(dtype: np.dtype, shape: tuple[int, ...]) -> tuple[str, tuple[int, ...], list[str]]:
    code, shape, notes = spelled(dtype, shape)
    order = {"<": ".__ctype_le__", ">": ".__ctype_be__"}.get(dtype.str[0], "")
    if dtype.isnative:
        order = ""
    return f"ctypes.{_TYPES[code]}{order}", shape, notes


def _array(type_: str, shape: tuple[int, ...]) -> str:
    for count in reversed(shape):
        type_ = f"{type_} * {count}" if " * " not in type_ else f"({type_}) * {count}"
    return type_


def _comment(notes: list[str]) -> str:
    return f"  # {'; '.join(notes)}" if notes else ""
