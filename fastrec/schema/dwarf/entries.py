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

MAX_WORK = 1 << 29
"""Bytes of entries and their texts that are looked at; hostile ones could share one text a million times."""

_MAX_COMPARED = 20_000  # names, when one is not found
_SCOPES = RECORDS | {"DW_TAG_namespace", "DW_TAG_module"}
_KEYWORDS = ("struct ", "union ", "class ")


class Found(NamedTuple):
    """A type that has a name: the unit and the place of its entry."""

    unit: Any
    offset: int
    typedef: bool


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
        for child, depth in self._below(die, lambda child, depth: True):
            if depth == 1:
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
        scopes: list[str | None] = [""]

        def leave(die: DIE, depth: int) -> bool:
            # Of functions nothing is wanted.
            return scopes[depth] is None

        for die, depth in self._below(top, leave):
            scope = scopes[depth - 1]
            del scopes[depth:]
            scopes.append(None if scope is None else self._named(die, scope))

    def _named(self, die: DIE, scope: str) -> str | None:
        """Note an entry if it is a type; return the scope that it opens, as a prefix."""
        typedef = die.tag == "DW_TAG_typedef"
        if not typedef and die.tag not in _SCOPES:
            return None
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

    def _below(self, top: DIE, leave: Callable[[DIE, int], bool]) -> Iterator[tuple[DIE, int]]:
        """Yield all entries below one with their depth; those below an entry that `leave` says are left out.

        An entry may point to the next at its level. It is followed forwards only, so that this ends.
        """
        if not top.has_children:
            return
        unit, stream = top.cu, top.stream
        end = unit.cu_offset + unit.size
        offset, depth = top.offset + top.size, 1
        while offset < end:
            die = DIE(unit, stream, offset)
            offset += die.size
            if die.is_null():
                depth -= 1
                if not depth:
                    return
                continue
            self._pay(unit, die)
            yield die, depth
            if die.has_children:
                after = die.attributes.get("DW_AT_sibling")
                behind = unit.cu_offset + after.value if after and after.form != "DW_FORM_ref_addr" else 0
                if offset <= behind <= end and leave(die, depth):
                    offset = behind
                else:
                    depth += 1

    def _pay(self, unit: Any, die: DIE) -> None:
        attributes = unit.get_abbrev_table().get_abbrev(die.abbrev_code)["attr_spec"]
        texts = sum(len(one.value) for one in die.attributes.values() if isinstance(one.value, bytes))
        self._work -= 16 + 4 * len(attributes) + texts
        if self._work < 0:
            raise SchemaError(
                f"{self.where} has more debug information than is read;"
                " pass the object file in which the struct is used"
            )
