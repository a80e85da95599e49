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
    "spelled",
    "unique",
    "walk",
]

_KINDS = {"f2": "half precision", "c8": "complex", "c16": "complex"}


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
    groups = list(_groups(struct.members))
    nexts = [low for low, _, _ in groups[1:]] + [struct.size]
    for (low, high, group), limit in zip(groups, nexts, strict=True):
        if low > end:
            found.append(Pad(low - end))
        if len(group) > 1:
            found.append(_choice(group, low))
            end = high
        else:
            parts, size = _single(group[0], limit - low)
            found += parts
            end = low + size
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


def _choice(group: list[Member], low: int) -> Choice:
    ways: list[list[Piece]] = []
    end = math.inf
    for member in group:
        if member.offset < end:
            ways.append([])
            end = low
        if member.offset > end:
            ways[-1].append(Pad(member.offset - int(end)))
        ways[-1] += _single(member, member.nbytes)[0]
        end = member.offset + member.nbytes
    return Choice(tuple(map(tuple, ways)))


def _single(member: Member, room: int) -> tuple[list[Piece], int]:
    """The pieces of one member, which may use the padding behind it, and their bytes."""
    whole: tuple[list[Piece], int] = [Plain(member)], member.nbytes
    if not member.bits or isinstance(member.type, Struct) or member.type.str[0] == ">":
        return whole
    ways: list[list[Bit]] = []
    end = math.inf
    for bit in member.bits:
        if bit.shift < end:
            ways.append([])
        ways[-1].append(bit)
        end = bit.shift + bit.width
    if member.type.kind == "u":
        filled = [_word(way, 0, member.itemsize) for way in ways]
        return [filled[0] if len(filled) == 1 else Choice(tuple((one,) for one in filled))], member.nbytes
    words = _words(ways[0], member.nbytes, room) if len(ways) == 1 else None
    return whole if words is None else ([*words], sum(one.word.itemsize for one in words))


def _words(bits: Sequence[Bit], size: int, room: int) -> list[Bits] | None:
    """Words for the bit-fields of raw bytes, none of which lies across two; None: there are none."""
    words: list[Bits] = []
    low = 0
    while low < size:
        for width in (1, 2, 4, 8):
            end = 8 * (low + width)
            if low + width <= room and not any(bit.shift < end < bit.shift + bit.width for bit in bits):
                break
        else:
            return None
        words.append(_word([bit for bit in bits if 8 * low <= bit.shift < end], low, width))
        low += width
    return words


def _word(bits: Sequence[Bit], low: int, size: int) -> Bits:
    """A word at byte `low` of its unit, with its bit-fields and the gaps between them."""
    fields: list[Bit] = []
    end = 0
    for bit in bits:
        shift = bit.shift - 8 * low
        if shift > end:
            fields.append(Bit("", end, shift - end, False))
        fields.append(bit._replace(shift=shift))
        end = shift + bit.width
    if end < 8 * size:
        fields.append(Bit("", end, 8 * size - end, False))
    return Bits(np.dtype(f"<u{size}"), tuple(fields))


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


def spelled(dtype: np.dtype, shape: tuple[int, ...]) -> tuple[str, tuple[int, ...], list[str]]:
    """How a language without complex numbers and opaque bytes says a member.

    Returns
    -------
    code : str
        ``"S"``, ``"V"``, or NumPy's code of a number without its byte order.
    shape : tuple of int
        With an axis more for the parts of complex numbers and for bytes.
    notes : list of str
        What it is not by itself.
    """
    code = dtype.kind if dtype.kind in "SV" else dtype.str.lstrip("<>|")
    notes = [_KINDS[code]] if code in _KINDS else []
    if dtype.kind == "c":
        shape = (*shape, 2)
    elif dtype.kind == "V" or (dtype.kind == "S" and (dtype.itemsize > 1 or shape)):
        shape = (*shape, dtype.itemsize)
        notes += ["raw bytes"] if dtype.kind == "V" else []
    return code, shape, notes


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
