"""Where a compiler puts the members of a struct.

Two families of rules. *System V* is what gcc does on Linux (``stor-layout.c``: a bit-field is never across
more words of its type than one, unless packing says so) and clang after it. *Microsoft* is what cl does, as
clang documents it (``RecordLayoutBuilder.cpp``): bit-fields share a word with neighbours of one size only.
"""

from __future__ import annotations

from collections.abc import Sequence

from fastrec.schema.abi import Abi
from fastrec.schema.c.types import Declared, Placed, Record, Scalar

__all__ = ["lay_out"]


def lay_out(
    abi: Abi,
    tag: str,
    members: Sequence[Declared],
    *,
    union: bool = False,
    pack: int | None = None,
    packed: bool = False,
    aligned: int = 0,
) -> Record:
    """Place the members of a struct or union.

    Parameters
    ----------
    abi : Abi
    tag : str
    members : sequence of Declared
    union : bool
    pack : int, optional
        Of ``#pragma pack``.
    packed : bool
        ``__attribute__((packed))``.
    aligned : int
        The least alignment that an attribute of the struct asks for; 0: none.
    """
    place = _microsoft if abi.microsoft else _system_v
    return place(abi, tag, members, union, pack, packed, aligned)


def _up(value: int, step: int) -> int:
    return -(-value // step) * step


def _system_v(
    abi: Abi,
    tag: str,
    members: Sequence[Declared],
    union: bool,
    pack: int | None,
    packed: bool,
    aligned: int,
) -> Record:
    placed = []
    end = 0  # bits
    align = max(1, aligned)
    for member in members:
        tight = packed or member.packed
        natural = member.type.align
        at = 0 if union else end
        if member.width is None:
            own = max(1 if tight else natural, member.aligned)
            own = min(own, pack or own)
            at = _up(at, 8 * own)
            size = 8 * member.type.size
            align = max(align, own)
        elif member.width == 0:
            # Packing means nothing to it, and it lends the struct no alignment but on Arm.
            own = max(natural, member.aligned)
            at = _up(at, 8 * own)
            size = 0
            if abi.clang:
                align = max(align, own)
        else:
            size = member.width
            place = _clang_bits if abi.clang else _gcc_bits
            at, wanted = place(abi, at, member, tight, pack)
            if member.name or abi.clang:
                own = min(natural, pack) if pack else 1 if tight else natural
                align = max(align, own, wanted)
        placed.append(Placed(member, at))
        end = max(end, at + size)
    return Record(tag, union, tuple(placed), _up(-(-end // 8), align), align)


def _gcc_bits(abi: Abi, at: int, member: Declared, tight: bool, pack: int | None) -> tuple[int, int]:
    """Where a bit-field begins, and the alignment of its own, if any, that the struct gets from it."""
    size, wanted = member.width, member.aligned
    # Wide as an integer and where one may lie, it is an integer to gcc, whose alignment is not the type's.
    whole = size in (8, 16, 32, 64) and not tight and at % size == 0
    if whole:
        wanted = max(wanted, size // 8) if wanted else min(size // 8, abi.align_8)
    wanted = min(wanted, pack or wanted)
    if wanted:
        at = _up(at, 8 * wanted)
    word = 8 * member.type.align
    # A type that is aligned to more than its size has no word of its own: always a new one.
    if not (whole or tight or pack) and -(-(at % word + size) // word) > 8 * member.type.size // word:
        at = _up(at, word)
    return at, wanted


def _clang_bits(abi: Abi, at: int, member: Declared, tight: bool, pack: int | None) -> tuple[int, int]:
    word = max(1 if tight else 8 * member.type.align, 8 * member.aligned)
    if not pack and at % word + member.width > 8 * member.type.size:
        return _up(at, word), member.aligned
    if not member.aligned:
        return at, 0
    # Packing to less than the attribute asks for makes it void.
    within = not pack or member.aligned <= pack
    return _up(at, 8 * member.aligned) if within else at, min(member.aligned, pack or member.aligned)


def _microsoft(
    abi: Abi,
    tag: str,
    members: Sequence[Declared],
    union: bool,
    pack: int | None,
    packed: bool,
    aligned: int,
) -> Record:
    limit = 1 if packed else pack if pack and pack <= abi.pointer else None
    required = 0
    placed = []
    size = 0  # bytes; of bit-fields with their whole word
    align = 1
    word, left = 0, 0  # the size of the last word of bit-fields and its free bits; 0: the last was none
    for member in members:
        asked = max(member.aligned, member.type.required)
        # Attributes of a type's name only add: a scalar's alignment is its size. Arrays have the name's.
        own = member.type.size if isinstance(member.type, Scalar) else member.type.align
        if member.width is None:
            required = max(required, asked)
        else:
            own = max(own, asked)
        own = min(own, limit or own)
        if member.packed:
            own = 1
        own = max(own, asked)
        width, length = member.width, member.type.size
        if width and not union and word == length and width <= left:
            placed.append(Placed(member, 8 * size - left))
            left -= width
            continue
        if width == 0 and not word:
            placed.append(Placed(member, 0 if union else 8 * size))
            continue
        at = 0 if union else _up(size, own)
        placed.append(Placed(member, 8 * at))
        if width is None:
            word, left = 0, 0
            align = max(align, own)
            size = max(size, length) if union else at + length
        elif width == 0:
            word, left = 0, 0
            size = max(size, length) if union else at
            align = align if union else max(align, own)
        else:
            word, left = length, 8 * length - width
            size = max(size, length) if union else at + length
            align = align if union else max(align, own)
    required = max(required, aligned)
    align = max(align, required)
    size = _up(size, align)
    return Record(tag, union, tuple(placed), size, align, align if aligned else required, required)
