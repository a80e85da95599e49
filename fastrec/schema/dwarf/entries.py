"""Entries of debug information: a walk over all of them that ends, and where the names of types are.

Source: DWARF Debugging Information Format, versions 2 to 5.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, NamedTuple

from elftools.dwarf.die import DIE

from fastrec.errors import SchemaError, suggest

__all__ = ["RECORDS", "Entries", "Found", "text_of"]

RECORDS = frozenset({"DW_TAG_structure_type", "DW_TAG_class_type", "DW_TAG_union_type"})
"""Tags of what C calls struct or union."""

MAX_WORK = 1 << 28
"""Bytes of entries and their texts that are looked at; hostile ones could share one text a million times."""

# Bytes of the forms (7.5.6) that have always as many.
_LENGTHS = {
    f"DW_FORM_{form}": length
    for length, forms in (
        (0, "flag_present implicit_const"),
        (1, "data1 ref1 flag strx1 addrx1"),
        (2, "data2 ref2 strx2 addrx2"),
        (3, "strx3 addrx3"),
        (4, "data4 ref4 strx4 addrx4 ref_sup4"),
        (8, "data8 ref8 ref_sig8 ref_sup8"),
        (16, "data16"),
    )
    for form in forms.split()
}
_OFFSETS = {
    f"DW_FORM_{form}"
    for form in ("strp", "sec_offset", "line_strp", "strp_sup", "GNU_ref_alt", "GNU_strp_alt")
}

_MAX_COMPARED = 20_000  # names, when one is not found
_SCOPES = RECORDS | {"DW_TAG_namespace", "DW_TAG_module"}
_KEYWORDS = ("struct ", "union ", "class ")


class Found(NamedTuple):
    """A type that has a name: the unit and the place of its entry."""

    unit: Any
    offset: int
    typedef: bool


class _Shape(NamedTuple):
    """What an abbreviation says of its entries: their length without its code, if all have one."""

    tag: str
    has_children: bool
    count: int
    length: int | None
    sibling: int


def text_of(die: DIE, attribute: str = "DW_AT_name") -> str:
    """Return a text of an entry; ``""``: it has none."""
    value = getattr(die.attributes.get(attribute), "value", b"")
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else ""


class Entries:
    """The named types of a file's debug information.

    Attributes
    ----------
    where : str
        The file.
    """

    def __init__(self, info: Any, where: str) -> None:
        self.where = where
        self._work = MAX_WORK
        self._found: dict[str, list[Found]] = {}
        self._scopes: dict[tuple[int, int], str] = {}
        self._signed: dict[int, tuple[Any, int]] = {}
        self._split: set[str] = set()
        self._shapes: dict[tuple[int, ...], _Shape] = {}
        self._data: dict[int, memoryview] = {}
        self._order = "little" if info.config.little_endian else "big"
        # Kept, because entries are known by the identity of their unit.
        self._units = [*info.iter_CUs(), *info.iter_TUs()]
        for unit in self._units:
            signature = unit.header.get("signature", unit.header.get("type_signature"))
            if signature is not None:
                self._signed[signature] = (unit, unit.cu_offset + unit["type_offset"])
        for unit in self._units:
            self._note(unit)

    def entry(self, found: Found) -> DIE:
        """Return the entry of a type."""
        return found.unit.get_DIE_from_refaddr(found.offset)

    def unit_of(self, found: Found) -> str:
        """Return the name of the source that a unit was made of."""
        return text_of(found.unit.get_top_DIE()) or "a unit without a name"

    def target(self, die: DIE, attribute: str = "DW_AT_type") -> DIE | None:
        """Return the type that an entry refers to; None: it has no such attribute (``void``)."""
        value = die.attributes.get(attribute)
        if value is None:
            return None
        referred = self._referred(die, value)
        signature = referred.attributes.get("DW_AT_signature")
        return referred if signature is None else self._referred(referred, signature)

    def _referred(self, die: DIE, value: Any) -> DIE:
        if value.form == "DW_FORM_ref_sig8":
            if value.raw_value not in self._signed:
                raise SchemaError(f"{self.where} refers to a type unit that it does not have")
            unit, offset = self._signed[value.raw_value]
            return unit.get_DIE_from_refaddr(offset)
        if value.form in ("DW_FORM_GNU_ref_alt", "DW_FORM_ref_sup4", "DW_FORM_ref_sup8"):
            raise SchemaError(
                f"{self.where} shares its types with another file, as dwz does; pass one from before that"
            )
        return die.get_DIE_from_attribute(value.name)

    def children(self, die: DIE) -> Iterator[DIE]:
        """Yield the entries right below one, in the order of the file."""
        for child, _ in self._below(die, lambda tag, depth: depth == 1):
            yield child

    def definitions(self, die: DIE) -> list[Found]:
        """Return the structs that a mere declaration may mean."""
        scope = self._scopes.get((id(die.cu), die.offset), "")
        return [found for found in self._found.get(scope, ()) if not found.typedef]

    def called(self, name: str) -> list[Found]:
        """Return the structs and typedefs of a name: ``"status_t"``, ``"struct status"``, ``"ns::x"``.

        Those of the outermost scope go before those of namespaces and classes.

        Raises
        ------
        SchemaError
            There is none; the message names the nearest.
        """
        if not isinstance(name, str) or not name:
            raise SchemaError("from_dwarf needs the name of a struct or typedef")
        wanted, tags_only = name.strip().removeprefix("::"), False
        for keyword in _KEYWORDS:
            if wanted.startswith(keyword):
                wanted, tags_only = wanted.removeprefix(keyword).strip(), True
        for known in (
            self._found.get(wanted, []),
            [one for key, many in self._found.items() if key.endswith("::" + wanted) for one in many],
        ):
            known = [found for found in known if not (found.typedef and tags_only)]
            if known:
                return known
        names = self._found if "::" in wanted else [key.rpartition("::")[2] for key in self._found]
        near = suggest(wanted, dict.fromkeys(islice(names, _MAX_COMPARED)))
        message = f"{self.where} has no struct or typedef {name!r:.80}{near}"
        if self._split:
            message += f" (its types may be in {sorted(self._split)[0]!r}: compile without -gsplit-dwarf)"
        raise SchemaError(message)

    def _note(self, unit: Any) -> None:
        """Note the named types of one unit."""
        top = unit.get_top_DIE()
        for attribute in ("DW_AT_dwo_name", "DW_AT_GNU_dwo_name"):
            if attribute in top.attributes:
                self._split.add(text_of(top, attribute))
        scopes: list[str | None] = [""]  # of the entries below each depth; None: nothing is wanted of them

        def wanted(tag: str, depth: int) -> bool:
            outer = scopes[depth - 1]
            scopes[depth:] = [None]
            return outer is not None and (tag == "DW_TAG_typedef" or tag in _SCOPES)

        for die, depth in self._below(top, wanted):
            scopes[depth] = self._named(die, scopes[depth - 1] or "")

    def _named(self, die: DIE, scope: str) -> str | None:
        """Note an entry if it is a type; return the scope that it opens, as a prefix."""
        typedef = die.tag == "DW_TAG_typedef"
        name = text_of(die)
        specified = die.attributes.get("DW_AT_specification")
        full = scope + name if name else ""
        if specified is not None and die.tag in RECORDS:
            # What was declared in a class or namespace and is defined outside of it.
            declared = self._referred(die, specified)
            full = self._scopes.get((id(declared.cu), declared.offset), full)
        if die.tag in RECORDS and full:
            self._scopes[id(die.cu), die.offset] = full
        if full and die.tag in RECORDS | {"DW_TAG_typedef"} and "DW_AT_declaration" not in die.attributes:
            self._found.setdefault(full, []).append(Found(die.cu, die.offset, typedef))
        if typedef:
            return None
        if die.tag == "DW_TAG_namespace" and not name:
            full = scope + "(anonymous namespace)"
        return f"{full}::" if full else scope

    def _below(self, top: DIE, wanted: Callable[[str, int], bool]) -> Iterator[tuple[DIE, int]]:
        """Yield the entries below one, with their depth, for whose tag and depth `wanted` is true.

        Most entries are not, and are passed over unread where their abbreviation tells their length. What
        lies below them is passed over, too, where they tell the place of the next at their level: forwards
        only, so that this ends.
        """
        if not top.has_children:
            return
        unit, stream = top.cu, top.stream
        data = self._data.setdefault(id(stream), stream.getbuffer())
        end = unit.cu_offset + unit.size
        offset, depth = top.offset + top.size, 1
        while offset < end:
            code, behind_code = _uleb(data, offset)
            if not code:
                offset = behind_code
                depth -= 1
                if not depth:
                    return
                continue
            shape = self._shape(unit, code)
            self._pay(16)
            needed = wanted(shape.tag, depth)
            if needed or shape.length is None:
                die = DIE(unit, stream, offset)
                self._pay(4 * shape.count + sum(map(_text_length, die.attributes.values())))
                offset += die.size
                after = die.attributes.get("DW_AT_sibling")
                sibling = after.value if after and after.form == "DW_FORM_ref4" else 0
                if needed:
                    yield die, depth
            else:
                offset = behind_code + shape.length
                place = behind_code + shape.sibling
                sibling = int.from_bytes(data[place : place + 4], self._order) if shape.sibling >= 0 else 0
            if shape.has_children:
                sibling += unit.cu_offset
                if not needed and offset <= sibling <= end:
                    offset = sibling
                else:
                    depth += 1

    def _shape(self, unit: Any, code: int) -> _Shape:
        table = unit.get_abbrev_table()
        version, formats = unit["version"], (unit.structs.dwarf_format // 8, unit["address_size"])
        key = (id(table), code, version, *formats)
        if key not in self._shapes:
            declared = table.get_abbrev(code)
            self._shapes[key] = _shape_of(declared, version, *formats)
        return self._shapes[key]

    def _pay(self, work: int) -> None:
        self._work -= work
        if self._work < 0:
            raise SchemaError(
                f"{self.where} has more debug information than is read;"
                " pass the object file in which the struct is used"
            )


def _shape_of(declared: Any, version: int, offset: int, address: int) -> _Shape:
    lengths = {"DW_FORM_addr": address, "DW_FORM_ref_addr": address if version == 2 else offset}
    length: int | None = 0
    sibling = -1
    for spec in declared["attr_spec"]:
        if spec.name == "DW_AT_sibling" and spec.form == "DW_FORM_ref4" and length is not None:
            sibling = length
        size = lengths.get(spec.form, offset if spec.form in _OFFSETS else _LENGTHS.get(spec.form))
        length = None if size is None or length is None else length + size
    return _Shape(declared["tag"], declared.has_children(), len(declared["attr_spec"]), length, sibling)


def _uleb(data: memoryview, offset: int) -> tuple[int, int]:
    """A number of DWARF's variable length (7.6), and the offset behind it."""
    value, shift = 0, 0
    while True:
        byte = data[offset]
        value |= (byte & 0x7F) << shift
        offset, shift = offset + 1, shift + 7
        if byte < 0x80 or shift > 63:
            return value, offset


def _text_length(attribute: Any) -> int:
    return len(attribute.value) if isinstance(attribute.value, bytes) else 0
