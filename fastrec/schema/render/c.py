"""A schema as a header for C11 and C++17: the same bytes with every compiler, proved by assertions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from fastrec.schema.field import Field
from fastrec.schema.labels import Labels, Masked
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
    one_line,
    pieces,
    spelled,
    unique,
    walk,
)

if TYPE_CHECKING:
    from fastrec.schema.model import Schema

__all__ = ["identifier", "render"]

_TYPES = {
    **{f"i{n}": f"int{8 * n}_t" for n in (1, 2, 4, 8)},
    **{f"u{n}": f"uint{8 * n}_t" for n in (1, 2, 4, 8)},
    "b1": "bool",
    "f4": "float",
    "f8": "double",
    "f2": "uint16_t",
    "c8": "float",
    "c16": "double",
    "S": "char",
    "V": "uint8_t",
}

# Keywords of C23 and C++20, the types used here, and what compilers for Unix define in lower case.
_WORDS = """
    alignas alignof and and_eq asm atomic_cancel auto bitand bitor bool break case catch char char8_t char16_t
    char32_t class co_await co_return co_yield compl concept const const_cast consteval constexpr constinit
    continue decltype default delete do double dynamic_cast else enum explicit export extern false float for
    friend goto if inline int long mutable namespace new noexcept not not_eq nullptr operator or or_eq private
    protected public register reinterpret_cast requires restrict return short signed sizeof static
    static_assert static_cast struct switch template this thread_local throw true try typedef typeid typename
    typeof typeof_unqual union unsigned using virtual void volatile wchar_t while xor xor_eq
    int8_t int16_t int32_t int64_t uint8_t uint16_t uint32_t uint64_t size_t offsetof NULL HRESULT
    linux unix i386 errno near far interface FASTREC_ASSERT
"""
_RESERVED = frozenset(_WORDS.split())
_NO_LETTER = re.compile(r"[^A-Za-z0-9_]")
_INDEX = re.compile(r"\[\d+\]")
_INT = range(-(1 << 31), 1 << 31)

_ASSERT = """\
#ifndef FASTREC_ASSERT
#ifdef __cplusplus
#define FASTREC_ASSERT static_assert
#else
#define FASTREC_ASSERT _Static_assert
#endif
#endif
"""
_LITTLE = """\
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "these bit-fields lie elsewhere on machines that are not little-endian"
#endif
"""


def identifier(name: str) -> str:
    """Return a name that C and C++ take: the same one if they do."""
    valid = _NO_LETTER.sub("_", name)
    if valid[0].isdigit():
        valid = f"_{valid}"
    # Two underscores, or one before a capital, belong to the compiler and its libraries.
    return f"{valid}_" if valid in _RESERVED or re.match("_[A-Z_]", valid) else valid


def render(schema: Schema, layout: Struct) -> str:
    """Return the text of the header.

    Numbers have the types of ``<stdint.h>`` and nothing is left to an ABI: padding has names (``_pad0``), so
    that an initialiser zeroes it; pointers are integers of their width, enumerations are declared beside
    integers of theirs, raw bytes are arrays of ``uint8_t``, complex numbers arrays of two, half precision
    ``uint16_t``. A comment says so, and where a number is big-endian. Bit-fields are bit-fields of words
    that they fill. Where no word does, or a big-endian one, compilers differ: there the unit is a number or
    raw bytes, with macros ``..._SHIFT`` and ``..._WIDTH``.
    """
    return _Header(schema, layout).text()


class _Header:
    def __init__(self, schema: Schema, layout: Struct) -> None:
        self._schema = schema
        self._layout = layout
        self._name = identifier(schema.name)
        self._tags, self._enumerators = self._enumerations()
        self._macros: list[str] = []
        self._bits = False
        self._units: set[str] = set()

    def text(self) -> str:
        schema, name = self._schema, self._name
        found = pieces(self._layout)
        scope = Scope(self._layout, identifier)
        kind = "union" if is_union(found) else "struct"
        body = list(self._body(found, scope, "", 1))
        guard = f"FASTREC_SCHEMA_{name}_H"
        enums = [
            line
            for labels, tag in self._tags.items()
            for line in _enum(tag, labels, self._enumerators[labels])
        ]
        types = {field.dtype.str.lstrip("<>|") for field in schema.fields}
        lines = [
            f"/* {_safe(schema.name)}: {schema.size} bytes, {schema.abi}, {schema.byteorder}-endian",
            f" * fastrec schema {schema.digest} */",
            f"#ifndef {guard}",
            f"#define {guard}",
            "",
            "#include <stddef.h>",
            "#include <stdint.h>",
            *(["#include <stdbool.h>"] if "b1" in types else []),
            "",
            *_ASSERT.splitlines(),
            *(_LITTLE.splitlines() if self._bits else []),
            *(_hresult() if any(map(_is_hresult, schema.fields)) else []),
            "",
            *enums,
            "#pragma pack(push, 1)",
            f"typedef {kind} {name} {{",
            *body,
            f"}} {name};",
            "#pragma pack(pop)",
            "",
            *self._macros,
            *self._assertions(),
            "",
            "#endif",
        ]
        return "\n".join(lines) + "\n"

    # Members

    def _body(self, found: tuple[Piece, ...], scope: Scope, path: str, level: int) -> Iterator[str]:
        indent = "    " * level
        for piece in found:
            if isinstance(piece, Pad):
                yield f"{indent}uint8_t {scope.new('_pad')}[{piece.size}];"
            elif isinstance(piece, Bits):
                self._bits = True
                yield from (indent + line for line in self._fields(piece, scope, path))
            elif isinstance(piece, Choice):
                yield f"{indent}union {{"
                yield from self._ways(piece, scope, path, level + 1)
                yield f"{indent}}};"
            else:
                yield from self._member(piece, scope, path, level)

    def _ways(self, choice: Choice, scope: Scope, path: str, level: int) -> Iterator[str]:
        for way in choice.ways:
            if len(way) == 1 and not isinstance(way[0], Bits):
                yield from self._body(way, scope, path, level)
            else:
                yield "    " * level + "struct {"
                yield from self._body(way, scope, path, level + 1)
                yield "    " * level + "};"

    def _member(self, piece: Plain, scope: Scope, path: str, level: int) -> Iterator[str]:
        member, indent = piece.member, "    " * level
        if isinstance(member.type, Struct):
            inner = pieces(member.type)
            below = path + member.name + "[0]" * len(member.shape) + "." if member.name else path
            inner_scope = Scope(member.type, identifier) if member.name else scope
            yield f"{indent}{'union' if is_union(inner) else 'struct'} {{"
            if is_union(inner):
                yield from self._ways(inner[0], inner_scope, below, level + 1)
            else:
                yield from self._body(inner, inner_scope, below, level + 1)
            new = scope[member.name] if member.name else ""
            comment = _comment(_renamed(member.name, new)) if member.name else ""
            yield f"{indent}}}{f' {new}' if new else ''}{_axes(member.shape)};{comment}"
            return
        new = scope[member.name]
        type_, shape, kind = _declared(member.type, member.shape)
        notes = [*_renamed(member.name, new), *kind]
        if member.bits:
            notes.append("of bit-fields")
            self._units.add(_INDEX.sub("", path + member.name))
            self._macros += _macros(self._name, member, scope, path)
        else:
            field = self._schema.field(path + member.name)
            notes += self._notes(field)
            if _is_hresult(field):
                type_ = "HRESULT"
        yield f"{indent}{type_} {new}{_axes(shape)};{_comment(notes)}"

    def _fields(self, piece: Bits, scope: Scope, path: str) -> Iterator[str]:
        size = 8 * piece.word.itemsize
        for bit in piece.fields:
            if bit.name:
                new = scope[bit.name]
                notes = [*_renamed(bit.name, new), *self._notes(self._schema.field(path + bit.name))]
                yield f"{'' if bit.signed else 'u'}int{size}_t {new} : {bit.width};{_comment(notes)}"
            else:
                yield f"uint{size}_t : {bit.width};"

    def _notes(self, field: Field) -> Iterator[str]:
        if field.labels in self._tags:
            yield f"enum {self._tags[field.labels]}"
        yield from facts(field)

    # What stands beside the struct

    def _enumerations(self) -> tuple[dict[Labels, str], dict[Labels, dict[str, str]]]:
        """Tags of enumerations, after the first field that has them; names of their enumerators."""
        stems: dict[Labels, str] = {}
        for field in self._schema.fields:
            if field.labels is not None and field.labels.kind != "hresult":
                stems.setdefault(field.labels, f"{self._name}_{_INDEX.sub('', field.name)}")
        tags = {}
        names = {}
        taken = {self._name}
        for labels, stem in stems.items():
            tag = tags[labels] = unique([stem], identifier, taken)[stem]
            taken.add(tag)
            own = unique(dict(labels.enumerators), identifier, taken)
            if not _are_ints(labels) or any(new != identifier(name) for name, new in own.items()):
                # All enumerators of C share one scope, where two may meet, and a macro hides members too:
                # such names carry their enumeration's before them.
                own = unique(own, partial(_tagged, tag), taken)
            taken.update(own.values())
            names[labels] = own
        return tags, names

    def _assertions(self) -> Iterator[str]:
        name = self._name
        scopes: dict[int, Scope] = {}

        def new(struct: Struct, member: str) -> str:
            if id(struct) not in scopes:
                scopes[id(struct)] = Scope(struct, identifier)
            return scopes[id(struct)][member]

        yield f'FASTREC_ASSERT(sizeof({name}) == {self._schema.size}, "size");'
        for path, c_path, offset, member in walk(self._layout, new):
            if not member.bits or _INDEX.sub("", path) in self._units:
                yield f'FASTREC_ASSERT(offsetof({name}, {c_path}) == {offset}, "{c_path}");'


def _is_hresult(field: Field) -> bool:
    is_long = field.dtype.str == "<i4" and field.bits is None
    return is_long and field.labels is not None and field.labels.kind == "hresult"


def _hresult() -> list[str]:
    # Under the guard that Windows' own headers have for it.
    return ["#ifndef _HRESULT_DEFINED", "#define _HRESULT_DEFINED", "typedef int32_t HRESULT;", "#endif"]


def _declared(dtype: np.dtype, shape: tuple[int, ...]) -> tuple[str, tuple[int, ...], list[str]]:
    """The type, its axes, and what it is not by itself."""
    code, shape, notes = spelled(dtype, shape)
    if dtype.str[0] == ">":
        notes.append("big-endian")
    return _TYPES[code], shape, notes


def _axes(shape: tuple[int, ...]) -> str:
    return "".join(f"[{n}]" for n in shape)


def _renamed(name: str, new: str) -> list[str]:
    return [] if name == new else [f"'{one_line(name)}'"]


def _comment(notes: list[str]) -> str:
    return f" /* {_safe('; '.join(notes))} */" if notes else ""


def _safe(text: str) -> str:
    return one_line(text).replace("*/", "* /").replace("/*", "/ *")


def _macros(struct: str, member: Member, scope: Scope, path: str) -> Iterator[str]:
    stem = _NO_LETTER.sub("_", f"{struct}_{_INDEX.sub('', path)}")
    for bit in member.bits:
        name = f"{stem}{scope[bit.name]}"
        yield f"#define {name}_SHIFT {bit.shift} /* {_safe(_within(member))} */"
        yield f"#define {name}_WIDTH {bit.width}{' /* signed */' if bit.signed else ''}"


def _within(member: Member) -> str:
    order = "big" if member.type.str[0] == ">" else "little"
    return f"from the least significant bit of '{member.name}' as a {order}-endian number"


def _are_ints(labels: Labels) -> bool:
    """Whether an enumeration of C can hold them everywhere."""
    return all(value in _INT for _, value in labels.enumerators)


def _tagged(tag: str, name: str) -> str:
    return f"{tag}_{_NO_LETTER.sub('_', name)}"


def _enum(tag: str, labels: Labels, own: dict[str, str]) -> Iterator[str]:
    masks = {name: mask for name, mask, _ in labels.patterns} if isinstance(labels, Masked) else {}
    small = _are_ints(labels)
    yield f"enum {tag} {{" if small else f"/* enum {tag}, whose values an int cannot hold */"
    for name, value in labels.enumerators:
        notes = _renamed(name, own[name])
        if name in masks:
            notes.append(f"where word & {masks[name]:#x}")
        number = _number(value)
        declared = f"    {own[name]} = {number}," if small else f"#define {own[name]} {number}"
        yield declared + _comment(notes)
    yield from ["};", ""] if small else [""]


def _number(value: int) -> str:
    if value in _INT:
        return str(value) if value != -(1 << 31) else "(-2147483647 - 1)"
    if value == -(1 << 63):
        return "(-INT64_C(9223372036854775807) - 1)"
    return f"UINT64_C({value})" if value >= 0 else f"(-INT64_C({-value}))"
