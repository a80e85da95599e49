"""A struct as a text must write it: one piece behind the other, no byte left out, overlaps as choices."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from fastrec.schema.field import Field
from fastrec.schema.members import Bit, Member, Struct

__all__ = [
    "Bits",
    "Choice",
    "Pad",
    "Piece",
    "Plain",
    "Scope",
    "facts",
    "is_union",
    "one_line",
    "pieces",
    "unique",
    "walk",
]


class Pad(NamedTuple):
    """Bytes that are no field's."""

    size: int


class Plain(NamedTuple):
    """A member; of a unit whose bit-fields no compiler's rules can place, the whole unit."""

    member: Member


class Bits(NamedTuple):
    """A word and its bit-fields from the least significant bit up; a field without a name is a gap.

    They fill the word, so that every compiler begins what comes next behind it.
    """

    word: np.dtype
    fields: tuple[Bit, ...]


class Choice(NamedTuple):
    """A union: sequences of pieces that begin at one place."""

    ways: tuple[tuple[Piece, ...], ...]


Piece = Pad | Plain | Bits | Choice


def pieces(struct: Struct) -> tuple[Piece, ...]:
    """Return the pieces of a struct, in order; members keep the order of their declaration where they can."""
    found: list[Piece] = []
    end = 0
    for low, high, group in _groups(struct.members):
        if low > end:
            found.append(Pad(low - end))
        found.append(_piece(group, low))
        end = high
    if end < struct.size:
        found.append(Pad(struct.size - end))
    return tuple(found)


def is_union(found: Sequence[Piece]) -> bool:
    """Whether the whole struct is one union."""
    return len(found) == 1 and isinstance(found[0], Choice)


def _groups(members: Iterable[Member]) -> Iterator[tuple[int, int, list[Member]]]:
    """Members that overlap, with the bytes they cover; groups in order, members as declared."""
    widest = sorted(members, key=lambda member: (member.offset, -member.nbytes))
    spans: list[list[int]] = []
    for member in widest:
        end = member.offset + member.nbytes
        if spans and member.offset < spans[-1][1]:
            spans[-1][1] = max(spans[-1][1], end)
        else:
            spans.append([member.offset, end])
    groups: list[list[Member]] = [[] for _ in spans]
    starts = [low for low, _ in spans]
    for member in members:
        groups[int(np.searchsorted(starts, member.offset, "right")) - 1].append(member)
    for (low, high), group in zip(spans, groups, strict=True):
        yield low, high, group


def _piece(group: list[Member], low: int) -> Piece:
    if len(group) == 1:
        return _single(group[0])
    ways: list[list[Piece]] = []
    end = math.inf
    for member in group:
        if member.offset < end:
            ways.append([])
            end = low
        if member.offset > end:
            ways[-1].append(Pad(member.offset - int(end)))
        ways[-1].append(_single(member))
        end = member.offset + member.nbytes
    return Choice(tuple(map(tuple, ways)))


def _single(member: Member) -> Piece:
    if not member.bits or member.type.kind != "u" or member.type.str[0] == ">":
        return Plain(member)
    ways: list[list[Bit]] = []
    end = math.inf
    for bit in member.bits:
        if bit.shift < end:
            ways.append([])
            end = 0
        if bit.shift > end:
            ways[-1].append(Bit("", int(end), bit.shift - int(end), False))
        ways[-1].append(bit)
        end = bit.shift + bit.width
    filled = [Bits(member.type, _filled(way, 8 * member.itemsize)) for way in ways]
    return filled[0] if len(filled) == 1 else Choice(tuple((one,) for one in filled))


def _filled(fields: list[Bit], width: int) -> tuple[Bit, ...]:
    end = fields[-1].shift + fields[-1].width
    return (*fields, Bit("", end, width - end, False)) if end < width else tuple(fields)


def walk(struct: Struct, name: Callable[[Struct, str], str]) -> Iterator[tuple[str, str, int, Member]]:
    """Yield every member that is no struct: its path, the same with new names, its offset, itself.

    ``name`` gives a member's new name, of the struct that its scope is; one with bit-fields is its unit.
    """
    yield from _walk(struct, struct, name, "", "", 0)


def _walk(
    struct: Struct, scope: Struct, name: Callable[[Struct, str], str], path: str, new: str, base: int
) -> Iterator[tuple[str, str, int, Member]]:
    for member in struct.members:
        offset = base + member.offset
        below = path + member.name, new + (name(scope, member.name) if member.name else "")
        if not isinstance(member.type, Struct):
            yield *below, offset, member
        elif not member.name:
            yield from _walk(member.type, scope, name, path, new, offset)
        else:
            for number, index in enumerate(np.ndindex(*member.shape)):
                at = "".join(f"[{i}]" for i in index) + "."
                place = offset + number * member.itemsize
                yield from _walk(member.type, member.type, name, below[0] + at, below[1] + at, place)


def unique(
    names: Iterable[str], made: Callable[[str], str], taken: Iterable[str] = (), *, apart: str = "_"
) -> dict[str, str]:
    """Return a new name for each: itself where `made` leaves it as it is, and never one twice.

    Parameters
    ----------
    names : iterable of str
    made : callable
        Turns a name into a valid one; what it returns stays valid with `apart` and a number behind it.
    taken : iterable of str
        Names that none may become.
    apart : str
        What stands before a number.
    """
    wanted = {name: made(name) for name in names}
    used = set(taken)
    kept = {name for name, new in wanted.items() if new == name and name not in used}
    used |= kept
    found = {}
    for name, new in wanted.items():
        number = 2
        candidate = new
        while name not in kept and candidate in used:
            candidate = f"{new}{apart}{number}"
            number += 1
        found[name] = candidate
        used.add(candidate)
    return found


class Scope:
    """The names of one struct, with those of its anonymous members; and names for its padding."""

    def __init__(self, struct: Struct, made: Callable[[str], str]) -> None:
        flat = list(struct.flat())
        names = [name for member in flat for name in (member.name, *(bit.name for bit in member.bits))]
        self._names = unique(names, made)
        self._taken = set(self._names.values())
        self._pads = 0

    def __getitem__(self, name: str) -> str:
        return self._names[name]

    def new(self, stem: str) -> str:
        """Return a name that nothing here has yet: `stem` and a number."""
        while (name := f"{stem}{self._pads}") in self._taken:
            self._pads += 1
        self._taken.add(name)
        return name


def one_line(text: str) -> str:
    """The text on one line, without letters that could end or turn it."""
    return "".join(one if one.isprintable() else f"\\u{ord(one):04x}" for one in " ".join(text.split()))


def facts(field: Field) -> Iterator[str]:
    """Yield what a comment says of a field: unit, scale, what it points to, doc."""
    if field.text:
        yield f"text ({field.encoding})"
    elif field.pointer:
        yield "pointer"
    if field.unit:
        yield f"[{one_line(field.unit)}]"
    if field.scale != 1.0 or field.bias != 0.0:
        yield f"value = raw * {field.scale!r}" + (f" + {field.bias!r}" if field.bias else "")
    if field.doc:
        yield one_line(field.doc)
