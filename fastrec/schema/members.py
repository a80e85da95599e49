"""The tree under a schema: structs, their members, and what C allows them to be.

Everything that becomes a schema, whether a dtype, a ctypes class or JSON from a file nobody vouches for,
becomes this tree first and is checked here once.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from fastrec.errors import SchemaError
from fastrec.schema import codes

__all__ = [
    "MAX_DEPTH",
    "MAX_FIELDS",
    "MAX_NAME",
    "Bit",
    "Leaf",
    "Member",
    "Struct",
    "check_name",
    "from_dtype",
    "from_json",
]

MAX_DEPTH = 16
MAX_FIELDS = 1024
MAX_NAME = 255
MAX_AXES = 32


class Bit(NamedTuple):
    """One bit-field of a unit; ``shift`` counts from the unit's least significant bit."""

    name: str
    shift: int
    width: int
    signed: bool


class Leaf(NamedTuple):
    """One leaf of the tree at its absolute place."""

    name: str
    dtype: np.dtype
    offset: int
    shape: tuple[int, ...]
    bits: tuple[int, int] | None
    pointer: bool | str


@dataclass(frozen=True, slots=True)
class Member:
    """One member of a struct.

    ``type`` is one element; ``bits`` are the bit-fields of which this is the unit: an unsigned integer, or
    raw bytes (little endian) where no integer has their size. A struct without a name is anonymous, as in C:
    its members are those of the struct around it.
    """

    name: str
    offset: int
    type: np.dtype | Struct
    shape: tuple[int, ...] = ()
    pointer: bool | str = False
    bits: tuple[Bit, ...] = ()

    @property
    def itemsize(self) -> int:
        """Bytes of one element."""
        return self.type.size if isinstance(self.type, Struct) else self.type.itemsize

    @property
    def nbytes(self) -> int:
        """Bytes of all elements."""
        return self.itemsize * math.prod(self.shape)

    @property
    def leaf_count(self) -> int:
        """How many fields of the schema lie in here; cheap, so that it can be asked before they are made."""
        if isinstance(self.type, Struct):
            return math.prod(self.shape) * self.type.leaf_count
        return len(self.bits) or 1

    def to_numpy(self) -> np.dtype:
        """Return the dtype of one element."""
        return self.type.to_numpy() if isinstance(self.type, Struct) else self.type

    def to_json(self) -> dict[str, object]:
        """Return the member as an object of JSON."""
        obj: dict[str, object] = {"name": self.name} if self.name else {}
        obj["offset"] = self.offset
        if isinstance(self.type, Struct):
            obj |= self.type.to_json()
        else:
            obj["type"] = self.type.str
        if self.shape:
            obj["shape"] = list(self.shape)
        if self.bits:
            obj["bits"] = [[*bit[:3], "i" if bit.signed else "u"] for bit in self.bits]
        return obj


@dataclass(frozen=True, slots=True)
class Struct:
    """A struct of ``size`` bytes. Making one checks it; members may overlap only as in a union."""

    size: int
    members: tuple[Member, ...]

    def __post_init__(self) -> None:
        if not 0 < self.size <= codes.MAX_BYTES:
            raise SchemaError(f"a struct has {self.size} bytes; 1 to {codes.MAX_BYTES} are possible")
        if not self.members:
            raise SchemaError(f"a struct of {self.size} bytes has no members; give it at least one")
        for member in self.members:
            _check_member(member, self.size)
        seen: set[str] = set()
        for member in self.flat():
            for name in (member.name, *(bit.name for bit in member.bits)):
                if name in seen:
                    raise SchemaError(f"two members are named {name!r}; rename one")
                seen.add(name)
        if self.leaf_count > MAX_FIELDS:
            raise SchemaError(
                f"the layout has {self.leaf_count} fields, at most {MAX_FIELDS} are possible;"
                " declare bulk data as arrays of numbers"
            )
        self.disjoint()

    @property
    def leaf_count(self) -> int:
        """Number of fields."""
        return sum(member.leaf_count for member in self.members)

    def flat(self, base: int = 0) -> Iterator[Member]:
        """Yield the members with those of anonymous structs in their place, offsets from ``base``."""
        for member in self.members:
            if member.name:
                yield replace(member, offset=base + member.offset) if base else member
            elif isinstance(member.type, Struct):
                yield from member.type.flat(base + member.offset)

    def disjoint(self) -> tuple[Member, ...]:
        """Return the members in offset order, of overlapping ones only the widest (the first on a tie).

        Raises
        ------
        SchemaError
            Two members overlap and neither contains the other, which no union of C does.
        """
        order = sorted(
            range(len(self.members)), key=lambda i: (self.members[i].offset, -self.members[i].nbytes, i)
        )
        widest: list[Member] = []
        open_: list[Member] = []
        for member in (self.members[i] for i in order):
            while open_ and open_[-1].offset + open_[-1].nbytes <= member.offset:
                open_.pop()
            if not open_:
                widest.append(member)
            elif member.offset + member.nbytes > open_[-1].offset + open_[-1].nbytes:
                one, other = (shown.name or "an anonymous struct" for shown in (open_[-1], member))
                raise SchemaError(
                    f"members {one!r} and {other!r} overlap and neither contains the other;"
                    " check their offsets"
                )
            open_.append(member)
        return tuple(widest)

    def storable(self) -> Struct:
        """Return the struct with every union reduced to its widest member: what ``.npy`` can hold."""
        return Struct(
            self.size,
            tuple(
                Member(m.name, m.offset, m.type.storable() if isinstance(m.type, Struct) else m.type, m.shape)
                for m in self.disjoint()
            ),
        )

    def to_numpy(self) -> np.dtype:
        """Return the structured dtype, offsets and size exact."""
        members = list(self.flat())
        return np.dtype(
            {
                "names": [member.name for member in members],
                "formats": [(member.to_numpy(), member.shape) for member in members],
                "offsets": [member.offset for member in members],
                "itemsize": self.size,
            }
        )

    def leaves(self, prefix: str = "", base: int = 0) -> Iterator[Leaf]:
        """Yield every leaf in declaration order, with its path and its offset from ``base``."""
        for member in self.members:
            offset = base + member.offset
            if isinstance(member.type, Struct):
                for number, index in enumerate(np.ndindex(*member.shape)):
                    path = prefix + member.name + "".join(f"[{i}]" for i in index)
                    below = path + "." if member.name else prefix
                    yield from member.type.leaves(below, offset + number * member.itemsize)
            elif member.bits:
                for bit in member.bits:
                    yield _bit_leaf(prefix, member.type, offset, bit)
            else:
                yield Leaf(prefix + member.name, member.type, offset, member.shape, None, member.pointer)

    def to_json(self) -> dict[str, object]:
        """Return ``{"size": ..., "members": [...]}``."""
        return {"size": self.size, "members": [member.to_json() for member in self.members]}


def _bit_leaf(prefix: str, unit: np.dtype, offset: int, bit: Bit) -> Leaf:
    order, size, shift = unit.str[0], unit.itemsize, bit.shift
    if unit.kind == "V":
        # The smallest integer that holds the value, from the byte on in which it begins.
        order, size = "<", next(size for size in (1, 2, 4, 8) if bit.width <= 8 * size)
        offset, shift = offset + shift // 8, shift % 8
    dtype = np.dtype(f"{order if size > 1 else '|'}{'i' if bit.signed else 'u'}{size}")
    return Leaf(prefix + bit.name, dtype, offset, (), (shift, bit.width), False)


def check_name(name: object, what: str = "a field") -> str:
    """Return a name if it can be one: printable, and of 1 to 255 bytes."""
    if not isinstance(name, str) or not name:
        raise SchemaError(f"{what} has no name; every one needs a text of its own")
    if not name.isprintable() or len(name.encode()) > MAX_NAME:
        raise SchemaError(
            f"{what} is named {name[:40]!r}...; names are printable and have at most {MAX_NAME} bytes"
        )
    return name


def _check_member(member: Member, size: int) -> None:
    anonymous = member.name == "" and isinstance(member.type, Struct) and not member.shape
    for name in (*(() if anonymous else (member.name,)), *(bit.name for bit in member.bits)):
        check_name(name)
        if any(mark in name for mark in ".[]"):
            raise SchemaError(
                f"field {name!r} contains one of '.[]', which paths of nested fields use; rename it"
            )
    where = "an anonymous struct" if anonymous else f"field {member.name!r}"
    if len(member.shape) > MAX_AXES or not all(0 < n <= codes.MAX_BYTES for n in member.shape):
        raise SchemaError(
            f"{where} has {len(member.shape)} axes, or an empty or huge one; declare 1 to 65536 elements"
        )
    if not isinstance(member.type, Struct):
        codes.encode(member.type, where)
    if member.offset < 0 or member.offset + member.nbytes > size:
        raise SchemaError(
            f"{where} ends at byte {member.offset + member.nbytes} of a struct of {size}; check its offset"
        )
    kind = None if isinstance(member.type, Struct) else member.type.kind
    if member.pointer and (kind != "u" or member.itemsize not in (4, 8)):
        raise SchemaError(f"{where} is said to be a pointer, but is not a u4 or u8; correct its type")
    if member.bits:
        if kind not in ("u", "V") or member.shape or member.pointer:
            raise SchemaError(f"{where} has bit-fields, but is not one unsigned integer; correct its type")
        for name, shift, width, _ in member.bits:
            if shift < 0 or not 1 <= width <= 64 or shift + width > 8 * member.itemsize:
                raise SchemaError(
                    f"bit-field {name!r} lies outside its {8 * member.itemsize} bits; check shift and width"
                )


def from_dtype(dtype: np.dtype, level: int = 1) -> Struct:
    """Return the tree of a structured dtype.

    Raises
    ------
    SchemaError
        A type, size, count or depth outside the limits.
    """
    if level > MAX_DEPTH:
        raise SchemaError(f"structs are nested deeper than {MAX_DEPTH}; flatten some")
    if dtype.names is None or dtype.fields is None:
        raise SchemaError(
            f"{dtype.str[:40]!r} is no struct; name its value, as in [('value', {dtype.str[:40]!r})]"
        )
    members = []
    for name in dtype.names:
        field, offset = dtype.fields[name][:2]
        element, shape = field.base, field.shape
        members.append(
            Member(name, offset, from_dtype(element, level + 1) if element.names else element, shape)
        )
    return Struct(dtype.itemsize, tuple(members))


def from_json(obj: object, level: int = 1) -> Struct:
    """Return the tree of an object made by `Struct.to_json`; nothing in it is believed.

    Raises
    ------
    SchemaError
        Anything but a valid layout.
    """
    if level > MAX_DEPTH:
        raise SchemaError(f"structs are nested deeper than {MAX_DEPTH}")
    if not isinstance(obj, Mapping):
        raise SchemaError(f"a layout is an object, not {type(obj).__name__}")
    rows = _sequence(obj.get("members"), "members", MAX_FIELDS)
    size = _integer(obj.get("size"), "size", codes.MAX_BYTES)
    return Struct(size, tuple(_member(row, level) for row in rows))


def _member(row: object, level: int) -> Member:
    if not isinstance(row, Mapping):
        raise SchemaError(f"a member is an object, not {type(row).__name__}")
    nested = "members" in row
    anonymous = nested and "name" not in row
    name = "" if anonymous else check_name(row.get("name"))
    where = "an anonymous struct" if anonymous else f"field {name!r}"
    bits = []
    for one in _sequence(row.get("bits", ()), f"bits of {where}", MAX_FIELDS):
        parts = _sequence(one, f"bit-field of {where}", 4)
        if len(parts) != 4 or parts[3] not in ("i", "u"):
            raise SchemaError(f"a bit-field of {where} is [name, shift, width, 'i' or 'u']")
        shift = _integer(parts[1], "shift", 8 * codes.MAX_BYTES)
        width = _integer(parts[2], "width", 64)
        bits.append(Bit(check_name(parts[0]), shift, width, parts[3] == "i"))
    return Member(
        name,
        _integer(row.get("offset"), f"offset of {where}", codes.MAX_BYTES),
        from_json(row, level + 1) if nested else codes.decode(row.get("type"), where),
        tuple(
            _integer(n, f"shape of {where}", codes.MAX_BYTES)
            for n in _sequence(row.get("shape", ()), f"shape of {where}", MAX_AXES)
        ),
        bits=tuple(bits),
    )


def _integer(value: object, what: str, most: int) -> int:
    if type(value) is not int or not 0 <= value <= most:
        raise SchemaError(f"{what} must be a whole number from 0 to {most}")
    return value


def _sequence(value: object, what: str, most: int) -> Sequence[object]:
    if not isinstance(value, list | tuple):
        raise SchemaError(f"{what} must be a list, not {type(value).__name__}")
    if len(value) > most:
        raise SchemaError(f"{what} has {len(value)} entries; at most {most} are possible")
    return value
