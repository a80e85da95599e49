"""Units of bit-fields: the words in which they are stored, the same ones whoever described the struct."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from fastrec.errors import SchemaError
from fastrec.schema.members import MAX_NAME, Bit, Member

__all__ = ["BitField", "with_units"]


@dataclass(frozen=True, slots=True)
class BitField:
    """One bit-field where the compiler put it.

    Attributes
    ----------
    name : str
    at : int
        Its first bit, counted from the struct's beginning: in a byte from the least significant bit up, in
        big-endian structs from the most significant bit down.
    width : int
    type : numpy.dtype
        As declared: an integer or boolean.
    """

    name: str
    at: int
    width: int
    type: np.dtype

    @property
    def bytes(self) -> tuple[int, int]:
        """The bytes that hold it: from the first up to, not including, the second."""
        return self.at // 8, -(-(self.at + self.width) // 8)


def with_units(
    members: Iterable[Member],
    fields: Sequence[BitField],
    size: int,
    *,
    union: bool = False,
    big: bool = False,
) -> tuple[Member, ...]:
    """Return the members of a struct, in order of offset, with its bit-fields in units.

    A bit-field's unit is the aligned word of its declared type, as long as the struct has it and no member
    but bit-fields lies in it; else the bytes that hold the field. Units with a byte in common become one.
    `big`: the struct is big-endian, which types of one byte cannot say.

    Raises
    ------
    SchemaError
        Big-endian bit-fields that no word holds.
    """
    plain = list(members)
    taken = [] if union else [(member.offset, member.offset + member.nbytes) for member in plain]
    groups: list[tuple[int, int, list[BitField]]] = []
    for field in sorted(fields, key=lambda one: one.at):
        low, high = _word(field, size, taken)
        own = [field]
        while groups and not union and groups[-1][1] > low:
            before_low, before_high, before = groups.pop()
            low, high, own = min(low, before_low), max(high, before_high), [*before, *own]
        same = next((group for group in groups if union and group[:2] == (low, high)), None)
        if same:
            same[2].append(field)
        else:
            groups.append((low, high, own))
    plain += [_unit(*group, big) for group in groups]
    return tuple(sorted(plain, key=lambda member: member.offset))


def _word(field: BitField, size: int, taken: Sequence[tuple[int, int]]) -> tuple[int, int]:
    first, last = field.bytes
    width = field.type.itemsize
    low = first // width * width
    high = low + width
    fits = last <= high <= size
    return (low, high) if fits and all(b <= low or a >= high for a, b in taken) else (first, last)


def _unit(low: int, high: int, fields: list[BitField], big: bool) -> Member:
    size = high - low
    order = ">" if big or any(field.type.str[0] == ">" for field in fields) else "<"
    if order == ">" and size not in (1, 2, 4, 8):
        raise SchemaError(
            f"bit-field {fields[0].name!r} is big-endian and lies in no word; declare whole words"
        )
    bits = []
    for field in fields:
        shift = field.at - 8 * low
        if order == ">":
            shift = 8 * size - shift - field.width
        bits.append(Bit(field.name, shift, field.width, field.type.kind == "i"))
    unit = np.dtype(f"{order}u{size}" if size in (1, 2, 4, 8) else (np.void, size))
    return Member(_name(bits, low, size), low, unit, bits=tuple(bits))


def _name(bits: list[Bit], low: int, size: int) -> str:
    # A lone bit-field cannot lend its name: the word holds bits that are not the field's.
    name = "|".join(bit.name for bit in bits) + ("|" if len(bits) == 1 else "")
    return name if len(name.encode()) <= MAX_NAME else f"bits@{low}/{size}"
