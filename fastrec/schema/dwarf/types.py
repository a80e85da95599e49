"""Types of debug information: from an entry to a struct of C, placed where the compiler placed it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from elftools.dwarf.die import DIE

from fastrec.errors import SchemaError
from fastrec.schema.c.types import Array, Declared, Placed, Record, Scalar, Type
from fastrec.schema.c.wellknown import known_by_name
from fastrec.schema.dwarf.entries import RECORDS, Entries, Found, text_of
from fastrec.schema.labels import MAX_ENUMERATORS, Enumeration
from fastrec.schema.members import MAX_AXES, MAX_DEPTH, MAX_FIELDS

__all__ = ["Types"]

_MAX_CHAIN = 64  # typedefs and qualifiers, one behind the other

_QUALIFIERS = {
    "DW_TAG_const_type",
    "DW_TAG_volatile_type",
    "DW_TAG_restrict_type",
    "DW_TAG_atomic_type",
    "DW_TAG_packed_type",
    "DW_TAG_typedef",
}
_POINTERS = {
    "DW_TAG_pointer_type",
    "DW_TAG_reference_type",
    "DW_TAG_rvalue_reference_type",
    "DW_TAG_ptr_to_member_type",
    "DW_TAG_unspecified_type",  # nullptr_t
}
_WIDE = {"wchar_t", "char16_t", "char32_t"}

# DW_ATE_*, DWARF 5, table 7.11.
_BOOLEAN, _COMPLEX, _FLOAT, _SIGNED, _SIGNED_CHAR, _UNSIGNED, _UNSIGNED_CHAR, _UTF = 2, 3, 4, 5, 6, 7, 8, 0x10
_LETTERS = {
    _BOOLEAN: "u",
    _SIGNED: "i",
    _SIGNED_CHAR: "i",
    _UNSIGNED: "u",
    _UNSIGNED_CHAR: "u",
    _UTF: "u",
}
_NUMBERS = {_FLOAT: {2: "f2", 4: "f4", 8: "f8"}, _COMPLEX: {8: "c8", 16: "c16"}}
_END_BIG, _END_LITTLE = 1, 2
_NONE = (-1, (1 << 32) - 1, (1 << 64) - 1)  # upper bounds of arrays without elements
_PLUS_UCONST = 0x23


class Types:
    """The types of a file, as `fastrec.schema.c.types`.

    Parameters
    ----------
    entries : Entries
    big : bool
        Whether the machine is big-endian.
    """

    def __init__(self, entries: Entries, *, big: bool) -> None:
        self._entries = entries
        self._big = big
        self._records: dict[tuple[int, int], Record | None] = {}
        self._enumerations: dict[tuple[int, int], Scalar] = {}

    def record(self, name: str) -> Record:
        """Return the struct, union or typedef of a name.

        Raises
        ------
        SchemaError
            There is none, only a declaration of it, or several that differ.
        """
        found = self._entries.called(name)
        tag = name.strip().split("::")[-1].split()[-1]
        return replace(self._agreed(found, name, 1), tag=tag)

    def _agreed(self, found: list[Found], name: str, level: int) -> Record:
        """The one struct that all of these are; sources that include one header each have their own."""
        chosen, first = None, None
        for one in found:
            die, record = self._stripped(self._entries.entry(one)), None
            if die is not None and die.tag in RECORDS:
                record = self._record(die, name, level)
            if record is None:
                continue
            if chosen is not None and record != chosen:
                raise SchemaError(
                    f"{self._entries.where} has different structs {name!r:.80}: in"
                    f" {self._entries.unit_of(first)} and in {self._entries.unit_of(one)};"
                    " pass the object file of one, or a name with its namespace or 'struct' before it"
                )
            chosen, first = record, first or one
        if chosen is None:
            raise SchemaError(f"{name!r:.80} is no struct or union whose members {self._entries.where} has")
        return chosen

    def _stripped(self, die: DIE | None) -> DIE | None:
        """What is left of a type without typedefs and qualifiers; None: ``void``."""
        for _ in range(_MAX_CHAIN):
            if die is None or die.tag not in _QUALIFIERS:
                return die
            die = self._entries.target(die)
        raise SchemaError(f"{self._entries.where} has a typedef of more than {_MAX_CHAIN} steps")

    def _record(self, die: DIE, where: str, level: int) -> Record | None:
        """A struct; None: it is declared, and defined nowhere."""
        if level > MAX_DEPTH:
            raise SchemaError(f"{where!r:.80} lies in structs nested deeper than {MAX_DEPTH}; flatten some")
        if "DW_AT_declaration" in die.attributes:
            defined = self._entries.definitions(die)
            return self._agreed(defined, where, level) if defined else None
        key = (id(die.cu), die.offset)
        if key not in self._records:
            self._records[key] = None
            self._records[key] = self._placed(die, text_of(die) or where, level)
        elif self._records[key] is None:
            raise SchemaError(f"{where!r:.80} contains itself by value; {self._entries.where} is damaged")
        return self._records[key]

    def _placed(self, die: DIE, tag: str, level: int) -> Record:
        members: list[Placed] = []
        bases: list[int] = []
        big = self._big
        union = die.tag == "DW_TAG_union_type"
        for child in self._entries.children(die):
            if len(members) > MAX_FIELDS:
                raise SchemaError(
                    f"{tag!r:.80} has more than {MAX_FIELDS} members; declare bulk data as arrays"
                )
            if child.tag == "DW_TAG_variant_part":
                raise SchemaError(f"{tag!r:.80} has variants, which no record can hold")
            if child.tag not in ("DW_TAG_member", "DW_TAG_inheritance"):
                continue
            if child.tag == "DW_TAG_inheritance":
                bases.append(len(members))
            elif {"DW_AT_external", "DW_AT_declaration"} & child.attributes.keys():
                continue  # a static member is nowhere in the struct
            if "DW_AT_bit_size" in child.attributes:
                big = big or self._is_big(self._entries.target(child))
            members.append(self._member(child, tag, level, union))
        for number in bases:
            members[number] = _trimmed(members, number)
        members = [one for one in members if not _is_empty(one.declared.type)]
        if not union:
            _check_apart(members, tag)
        size = self._number(die, "DW_AT_byte_size") or 0
        return Record(tag, union, tuple(members), size, self._number(die, "DW_AT_alignment") or 1, big=big)

    def _member(self, die: DIE, tag: str, level: int, union: bool) -> Placed:
        name = text_of(die)
        where = f"{tag}.{name}"
        if self._number(die, "DW_AT_virtuality"):
            raise SchemaError(f"{tag!r:.80} has a virtual base, whose place only the running program knows")
        kind = self._type(self._entries.target(die), where, level)
        if die.tag == "DW_TAG_inheritance" or (not name and isinstance(kind, Record)):
            name = ""
        elif name.startswith(("_vptr.", "_vptr$")):  # what compilers call the pointer to virtual functions
            name = name.replace(".", "_").replace("$", "_")
        width = self._number(die, "DW_AT_bit_size")
        if not name and width is None and not isinstance(kind, Record):
            raise SchemaError(f"{tag!r:.80} has a member without a name, which no struct of C has")
        if width is not None:
            kind = self._bits(die, kind, width, where)
        # gcc counts the place of a bit-field in a union from a word that may begin before the union.
        at = 0 if union else self._place(die, kind, width, where)
        return Placed(Declared(name, kind, width), at)

    def _bits(self, die: DIE, kind: Type, width: int, where: str) -> Scalar:
        """The type of a bit-field, whose bytes are those of its struct, whatever its name says of others."""
        if isinstance(kind, Scalar) and kind.dtype.str == "|S1":
            base = self._stripped(self._entries.target(die))
            signed = base is not None and self._number(base, "DW_AT_encoding") == _SIGNED_CHAR
            kind = replace(kind, dtype=np.dtype("i1" if signed else "u1"), integer=True)
        if not isinstance(kind, Scalar) or not kind.integer or not 0 < width <= 8 * kind.size:
            raise SchemaError(f"{where} is a bit-field of {width} bits, which its type cannot have")
        order = ">" if self._is_big(self._entries.target(die)) else "<"
        return replace(kind, dtype=kind.dtype.newbyteorder(order))

    def _place(self, die: DIE, kind: Type, width: int | None, where: str) -> int:
        """The bit at which a member begins."""
        from_begin = self._number(die, "DW_AT_data_bit_offset")
        if from_begin is not None:
            return from_begin
        at = 8 * (self._number(die, "DW_AT_data_member_location") or 0)
        if width is None:
            return at
        # DWARF 2 to 4: counted from the most significant bit of a word of this size.
        size = self._number(die, "DW_AT_byte_size") or kind.size
        above = self._number(die, "DW_AT_bit_offset") or 0
        if above >= 1 << 63:  # clang writes a field that goes on beyond its word so
            above -= 1 << 64
        at += above if self._big else 8 * size - above - width
        if at < 0:
            raise SchemaError(f"{where} begins before its struct; {self._entries.where} is damaged")
        return at

    def _type(self, die: DIE | None, where: str, level: int) -> Type:
        counts: list[int | None] = []
        name = ""  # of the outermost typedef that means something
        for _ in range(_MAX_CHAIN):
            if die is None:
                raise SchemaError(f"{where} has the type void; {self._entries.where} is damaged")
            if die.tag == "DW_TAG_array_type":
                counts += self._counts(die, where)
                name = ""
            elif die.tag in _QUALIFIERS:
                called = text_of(die) if die.tag == "DW_TAG_typedef" else ""
                name = called if called == "HRESULT" or called.startswith("__be") else name
            else:
                break
            die = self._entries.target(die)
        else:
            raise SchemaError(f"{where} has a type of more than {_MAX_CHAIN} steps")
        kind: Type
        if die.tag in RECORDS:
            record = self._record(die, where, level + 1)
            if record is None:
                raise SchemaError(
                    f"{where} is a {text_of(die)!r:.80}, whose members {self._entries.where} lacks"
                )
            kind = record
        else:
            kind = known_by_name(name, self._scalar(die, where))
        for count in reversed(counts):
            kind = Array(kind, count)
        return kind

    def _counts(self, die: DIE, where: str) -> list[int | None]:
        if {"DW_AT_byte_stride", "DW_AT_bit_stride"} & die.attributes.keys():
            raise SchemaError(f"{where} is an array with gaps between its elements, which C does not have")
        counts: list[int | None] = []
        for child in self._entries.children(die):
            if child.tag != "DW_TAG_subrange_type" or len(counts) == MAX_AXES:
                raise SchemaError(f"{where} is an array of no plain bounds")
            lower = self._number(child, "DW_AT_lower_bound") or 0
            count = self._number(child, "DW_AT_count")
            upper = self._number(child, "DW_AT_upper_bound")
            if count is None and upper is not None:
                count = 0 if upper in _NONE else upper - lower + 1
            counts.append(count or None)  # [0] has no bytes either
        return counts

    def _scalar(self, die: DIE, where: str) -> Scalar:
        pointer = die.cu["address_size"]
        if die.tag in _POINTERS:
            target = None if die.tag == "DW_TAG_unspecified_type" else self._entries.target(die)
            size = self._number(die, "DW_AT_byte_size") or pointer
            stripped = self._stripped(target)
            if (
                die.tag == "DW_TAG_ptr_to_member_type"
                and getattr(stripped, "tag", 0) == "DW_TAG_subroutine_type"
            ):
                return Scalar(np.dtype((np.void, 2 * pointer)), 1)  # Itanium C++ ABI, 2.3
            if size not in (4, 8):
                raise SchemaError(f"{where} is a pointer of {size} bytes, which no record can hold")
            wide = self._pointer(target) if die.tag == "DW_TAG_pointer_type" else True
            return Scalar(np.dtype(f"{'>' if self._big else '<'}u{size}"), 1, pointer=wide)
        if die.tag == "DW_TAG_enumeration_type":
            key = (id(die.cu), die.offset)
            if key not in self._enumerations:
                self._enumerations[key] = self._enumeration(die, where)
            return self._enumerations[key]
        if die.tag != "DW_TAG_base_type":
            kind = str(die.tag).removeprefix("DW_TAG_").replace("_", " ")
            raise SchemaError(f"{where} is a {kind}, which no record can hold")
        size = self._number(die, "DW_AT_byte_size") or 0
        dtype = self._number_type(die, size, self._number(die, "DW_AT_encoding"))
        return Scalar(dtype, 1, integer=dtype.kind in "iub")

    def _pointer(self, target: DIE | None) -> bool | str:
        """What a pointer says of where it leads: wide characters, or nothing."""
        for _ in range(_MAX_CHAIN):
            if target is None:
                break
            if text_of(target) in _WIDE:
                base = self._stripped(target)
                size = None if base is None else self._number(base, "DW_AT_byte_size")
                return f"utf-{8 * size}" if size in (2, 4) else True
            if target.tag not in _QUALIFIERS:
                break
            target = self._entries.target(target)
        return True

    def _number_type(self, die: DIE, size: int, encoding: int | None) -> np.dtype:
        order = ">" if self._is_big(die) else "<"
        name = text_of(die)
        if name == "char" and size == 1:
            return np.dtype("|S1")
        if encoding == _BOOLEAN and size == 1:
            return np.dtype("|b1")
        if encoding in _LETTERS and size in (1, 2, 4, 8):
            return np.dtype(f"{order}{_LETTERS[encoding]}{size}")
        code = _NUMBERS.get(encoding, {}).get(size)
        if code and name != "__bf16":
            return np.dtype(order + code)
        # long double, __int128, decimal and fixed-point numbers: NumPy has none that is the same everywhere.
        return np.dtype((np.void, size))

    def _enumeration(self, die: DIE, where: str) -> Scalar:
        under = self._stripped(self._entries.target(die))  # from DWARF 3 on
        size = self._number(die, "DW_AT_byte_size")
        encoding = self._number(die, "DW_AT_encoding")
        if under is not None:
            size = self._number(under, "DW_AT_byte_size") if size is None else size
            encoding = self._number(under, "DW_AT_encoding") if encoding is None else encoding
        values: dict[str, int] = {}
        for child in self._entries.children(die):
            value = self._number(child, "DW_AT_const_value") if child.tag == "DW_TAG_enumerator" else None
            if value is not None:
                values[text_of(child)] = value
            if len(values) > MAX_ENUMERATORS:
                raise SchemaError(f"{where} is an enumeration of more than {MAX_ENUMERATORS} names")
        if size not in (1, 2, 4, 8):
            raise SchemaError(f"{where} is an enumeration of {size} bytes, which no record can hold")
        if encoding is None:
            encoding = _SIGNED if any(value < 0 for value in values.values()) else _UNSIGNED
        labels = Enumeration(values) if values else None
        return Scalar(self._number_type(die, size, encoding), 1, labels=labels, integer=True)

    def _is_big(self, die: DIE | None) -> bool:
        """Whether numbers of a type are big-endian, as types of one byte are in such structs, too."""
        stripped = self._stripped(die)
        end = None if stripped is None else self._number(stripped, "DW_AT_endianity")
        return end == _END_BIG or (self._big and end != _END_LITTLE)

    def _number(self, die: DIE, attribute: str) -> int | None:
        """The value of an attribute; None: there is no such attribute."""
        one = die.attributes.get(attribute)
        if one is None:
            return None
        value = one.value
        if isinstance(value, list) and value[:1] == [_PLUS_UCONST]:  # places of members in DWARF 2 and 3
            value = sum((byte & 0x7F) << 7 * place for place, byte in enumerate(value[1:11]))
            # gcc wraps round where a bit-field's word begins before its struct.
            value = (value + (1 << 63)) % (1 << 64) - (1 << 63)
        if not isinstance(value, int) or one.form.startswith("DW_FORM_ref"):
            what = text_of(die) or str(die.tag)
            raise SchemaError(f"{what!r:.80}: only the running program knows its {attribute}")
        return int(value)


def _check_apart(members: list[Placed], tag: str) -> None:
    """Refuse bit-fields that share bits with another member.

    clang describes a bit-field as wide as its type as if it were none, and at the wrong place if it does not
    begin with a byte.
    """
    end, before = 0, None
    for placed in sorted(members, key=lambda one: one.at):
        declared = placed.declared
        if before is not None and placed.at < end and (declared.width, before.width) != (None, None):
            raise SchemaError(
                f"{tag}.{before.name} and {tag}.{declared.name} lie in the same bits, as clang describes"
                " bit-fields as wide as their type; compile with gcc or use from_c"
            )
        width = 8 * declared.type.size if declared.width is None else declared.width
        if placed.at + width >= end:
            end, before = placed.at + width, declared


def _is_empty(type_: Type) -> bool:
    """Whether a class has no members, which as a base has no bytes either."""
    return isinstance(type_, Record) and not type_.members


def _trimmed(members: list[Placed], number: int) -> Placed:
    """A base class without its padding at the end, where that holds members of the class derived from it."""
    placed = members[number]
    base = placed.declared.type
    if not isinstance(base, Record):
        raise SchemaError(f"a base class of {type(base).__name__} is no struct")
    behind = [other.at // 8 for other in members if other.at > placed.at]
    size = min([base.size, *(at - placed.at // 8 for at in behind)])
    return replace(placed, declared=replace(placed.declared, type=replace(base, size=size)))
