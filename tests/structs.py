"""Structs of C made up by Hypothesis: everything that decides a layout and that compilers accept.

A struct is made of a string of bytes, each one a choice; no byte left is the simplest choice. So Hypothesis
draws it at the cost of one draw, and what is shorter and smaller is the simpler struct.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from hypothesis import strategies as st

__all__ = [
    "ALIGNED",
    "PRELUDE",
    "TRAITS",
    "Member",
    "Struct",
    "choices",
    "made_of",
    "simplest",
    "some",
    "structs",
]

_ENUMS = {
    "enum few": "enum few { FEW_A, FEW_B = 5, FEW_C };",
    "enum below": "enum below { BELOW_A = -3, BELOW_B = 4 };",
    "enum tiny": "enum tiny { TINY_A, TINY_B } __attribute__((packed));",
    "enum small": "enum small { SMALL_A = -200, SMALL_B = 9 } __attribute__((packed));",
}
_BITS = {  # and the most that every ABI can hold
    "unsigned": 32,
    "int": 32,
    "unsigned char": 8,
    "short": 16,
    "long long": 64,
    "_Bool": 1,
    "char": 8,
    "signed char": 8,
    "unsigned short": 16,
    "unsigned long long": 64,
    "long": 32,
    "unsigned long": 32,
    "wchar_t": 16,
    "int64_t": 64,
    "uint8_t": 8,
    "uint32_t": 32,
    "enum few": 32,
    "enum below": 32,
    "enum tiny": 8,
    "enum small": 16,
}
_PLAIN = (*_BITS, "float", "double", "long double", "void *", "size_t", "int8_t", "int16_t", "uint16_t",
          "int32_t", "uint64_t", "char16_t *", "intptr_t")  # fmt: skip
ALIGNED = {
    f"{base.replace(' ', '_')}_{align}": base
    for base in ("char", "short", "int", "long long", "double", "_Bool", "unsigned")
    for align in (1, 2, 4, 8, 16)
}
"""Names of types that ask for an alignment, and what they are otherwise."""
_IN_ARRAYS = {
    name for name in ALIGNED if re.fullmatch("(int|unsigned|double|long_long)_[124]|short_[12]", name)
}


PRELUDE = _ENUMS | {
    name: f"typedef {base} {name} __attribute__((aligned({name.rpartition('_')[2]})));"
    for name, base in ALIGNED.items()
}
"""Definitions by the names that structs use for them."""

TRAITS = ("bit-fields", "packing", "nesting", "unions", "alignment", "arrays")


@dataclass(eq=False)
class Member:
    """A member.

    ``type`` is a name or a struct; ``renamed`` the alignment that a typedef of the struct asks for;
    ``alignas`` what _Alignas says.
    """

    name: str
    type: str | Struct
    dims: tuple[int | None, ...] = ()
    width: int | None = None
    packed: bool = False
    aligned: int = 0
    alignas: str = ""
    renamed: int = 0

    def paths(self) -> Iterator[str]:
        """Yield the name with the index of every element."""
        for index in product(*map(range, self.dims)):
            yield self.name + "".join(f"[{i}]" for i in index)


@dataclass(eq=False)
class Struct:
    """A struct or union. ``number`` 0 is the whole; ``pack`` holds where it is defined: outside the others,
    if it says so."""

    number: int
    union: bool
    members: list[Member]
    packed: bool = False
    aligned: int = 0
    pack: int = 0
    outside: bool = True
    anonymous: bool = False

    def tag(self, tag: str) -> str:
        """Return ``struct <tag>`` of this part of the struct ``tag``."""
        own = f"{tag}_{self.number}" if self.number else tag
        return f"{'union' if self.union else 'struct'} {own}"

    def text(self, tag: str) -> str:
        """Return its definition and, before it, those of the structs it uses."""
        before = "".join(
            part.text(tag) + (_renaming(part, tag, member.renamed) if member.renamed else "")
            for member in self.nested()
            if isinstance(part := member.type, Struct) and part.outside
        )
        body = f"{self.defined(tag)};\n"
        return (
            f"{before}#pragma pack(push, {self.pack})\n{body}#pragma pack(pop)\n"
            if self.pack
            else before + body
        )

    def whole(self, tag: str) -> str:
        """Return its text with those definitions of the prelude that it needs."""
        text = self.text(tag)
        words = set(re.findall(r"enum \w+|\w+", text))
        return "".join(f"{line}\n" for name, line in PRELUDE.items() if name in words) + text

    def nested(self) -> Iterator[Member]:
        """Yield the members whose structs are defined before this one ends; not those of structs outside."""
        for member in self.members:
            if isinstance(member.type, Struct):
                yield member
                if not member.type.outside:
                    yield from member.type.nested()

    def records(self) -> Iterator[Struct]:
        """Yield every struct within, then this one: the order in which they are laid out."""
        for member in self.members:
            if isinstance(member.type, Struct):
                yield from member.type.records()
        yield self

    def nameless(self) -> Iterator[Struct]:
        """Yield the anonymous structs whose members are this one's, as they begin in the text."""
        for member in self.members:
            if isinstance(member.type, Struct) and member.type.anonymous:
                yield member.type
                yield from member.type.nameless()

    def leaves(self, prefix: str = "") -> Iterator[tuple[str, Member]]:
        """Yield the path of every leaf, one for each element of an array of structs."""
        for member in self.members:
            if None in member.dims or (member.width is not None and not member.name):
                continue
            if not isinstance(member.type, Struct):
                yield prefix + member.name, member
            elif member.type.anonymous:
                yield from member.type.leaves(prefix)
            else:
                for path in member.paths():
                    yield from member.type.leaves(f"{prefix}{path}.")

    def traits(self) -> set[str]:
        """Return which of `TRAITS` it has."""
        records = list(self.records())
        members = [member for record in records for member in record.members]
        found = {
            "bit-fields": any(member.width is not None for member in members),
            "packing": any(record.packed or record.pack for record in records)
            or any(member.packed for member in members),
            "nesting": len(records) > 1,
            "unions": any(record.union for record in records),
            "alignment": any(record.aligned for record in records)
            or any(
                member.aligned or member.alignas or member.renamed or member.type in ALIGNED
                for member in members
            ),
            "arrays": any(member.dims for member in members),
        }
        return {name for name, has in found.items() if has}

    def defined(self, tag: str) -> str:
        """Return its definition alone."""
        head = self.tag(tag).split()[0] if self.anonymous else self.tag(tag)
        lines = "".join(f"  {_declared(member, tag)};\n" for member in self.members)
        return f"{head} {{\n{lines}}}{_attribute(self.packed, self.aligned)}"


def _new_name(record: Struct, tag: str) -> str:
    return record.tag(tag).split()[1] + "_t"


def _renaming(record: Struct, tag: str, aligned: int) -> str:
    return f"typedef {record.tag(tag)} {_new_name(record, tag)} __attribute__((aligned({aligned})));\n"


def _declared(member: Member, tag: str) -> str:
    alignas = f"_Alignas({member.alignas}) " if member.alignas else ""
    if not isinstance(member.type, Struct):
        type_ = member.type
    elif member.renamed:
        type_ = _new_name(member.type, tag)
    elif member.type.outside:
        type_ = member.type.tag(tag)
    else:
        type_ = member.type.defined(tag)
    dims = "".join(f"[{'' if n is None else n}]" for n in member.dims)
    width = "" if member.width is None else f" : {member.width}"
    name = f" {member.name}" if member.name else ""
    return f"{alignas}{type_}{name}{dims}{width}{_attribute(member.packed, member.aligned)}"


def _attribute(packed: bool, aligned: int) -> str:
    said = [*(["packed"] if packed else []), *([f"aligned({aligned})"] if aligned else [])]
    return f" __attribute__(({', '.join(said)}))" if said else ""


def structs() -> st.SearchStrategy[Struct]:
    """Structs and unions, at most four deep."""
    return choices().map(made_of)


def choices() -> st.SearchStrategy[bytes]:
    """What `made_of` takes."""
    return st.integers(0, 72).flatmap(lambda size: st.binary(min_size=size, max_size=size))


def made_of(choices: bytes) -> Struct:
    """Return the struct that these choices make."""
    return _Maker(choices).struct(0)


def some(count: int, seed: int) -> list[Struct]:
    """As many structs, the same ones for the same seed."""
    choose = random.Random(seed)
    return [made_of(choose.randbytes(choose.randrange(73))) for _ in range(count)]


def simplest(choices: bytes, failing: Callable[[list[bytes]], list[bytes]]) -> bytes:
    """Return what is simpler and still fails, until nothing is; `failing` is asked of many at once."""
    while found := failing(list(_simpler(choices))):
        choices = min(found, key=lambda one: (len(made_of(one).whole("S")), len(one), one))
    return choices


def _simpler(choices: bytes) -> Iterator[bytes]:
    size = len(choices)
    while size:
        for start in range(0, len(choices), size):
            yield choices[:start] + choices[start + size :]
        size //= 2
    for place, choice in enumerate(choices):
        for less in {0, choice // 2, choice - 1}:
            if 0 <= less < choice:
                yield choices[:place] + bytes([less]) + choices[place + 1 :]


class _Maker:
    def __init__(self, choices: bytes) -> None:
        self.choices = iter(choices)
        self.left = len(choices)
        self.records = 0
        self.names = 0

    def below(self, count: int) -> int:
        """The next choice, from 0, the simplest, up."""
        self.left -= 1
        return next(self.choices, 0) % count

    def of(self, options: Sequence):
        return options[self.below(len(options))]

    def rarely(self, one_of: int) -> bool:
        return self.below(one_of) == one_of - 1

    def name(self) -> str:
        self.names += 1
        return f"m{self.names}"

    def struct(self, level: int) -> Struct:
        number, self.records = self.records, self.records + 1
        union = self.rarely(6)
        anonymous = level > 0 and self.rarely(3)
        outside = level == 0 or (not anonymous and self.rarely(3))
        pack = self.of((1, 2, 4, 8, 16)) if outside and self.rarely(5) else 0
        packed = self.rarely(7)
        aligned = self.of((2, 4, 8, 16, 32)) if self.rarely(9) else 0
        members = []
        for _ in range(1 + self.below(9 if level == 0 else 4)):
            members.append(self.member(level))
            if self.left <= 0:
                break
        if not any(member.name or isinstance(member.type, Struct) for member in members):
            members.append(Member(self.name(), "char"))
        if level == 0 and not union and self.rarely(24):
            members.append(Member(self.name(), self.of(("char", "int", "double")), (None,)))
        return Struct(number, union, members, packed, aligned, pack, outside, anonymous)

    def member(self, level: int) -> Member:
        kind = self.below(8)
        if kind in (3, 6) and level < 3 and self.left > 0:
            inner = self.struct(level + 1)
            if inner.anonymous:
                return Member("", inner)
            if inner.outside and self.rarely(3):
                return self.adorned(Member(self.name(), inner, renamed=self.of((1, 2, 4, 8, 16, 64))))
            return self.adorned(Member(self.name(), inner, self.dims(4)))
        if kind in (1, 4, 7):
            return self.bit_field()
        if self.rarely(10):
            name = self.of(tuple(ALIGNED))
            return self.adorned(Member(self.name(), name, self.dims(4) if name in _IN_ARRAYS else ()))
        return self.adorned(Member(self.name(), self.of(_PLAIN), self.dims(4)))

    def bit_field(self) -> Member:
        if self.rarely(9):
            name = self.of([name for name, base in ALIGNED.items() if base in _BITS])
            most = _BITS[ALIGNED[name]]
        else:
            name = self.of(tuple(_BITS))
            most = _BITS[name]
        width = 1 + self.below(most)
        if self.rarely(7):
            return self.adorned(Member("", name, width=0 if self.rarely(2) else width))
        return self.adorned(Member(self.name(), name, width=width))

    def dims(self, one_of: int) -> tuple[int, ...]:
        if not self.rarely(one_of):
            return ()
        return tuple(1 + self.below(3) for _ in range(2 if self.rarely(3) else 1))

    def adorned(self, member: Member) -> Member:
        member.packed = self.rarely(11)
        if self.rarely(11):
            member.aligned = self.of((1, 2, 4, 8, 16, 32))
        elif member.width is None and self.rarely(14):
            # _Alignas must not ask for less than the type does, under no ABI.
            member.alignas = self.of(("64" if isinstance(member.type, Struct) else "32", "0"))
            if member.type in ("char", "short", "int8_t", "_Bool"):
                member.alignas = self.of(("2", "4", "8", "double", "short", "long long"))
        return member
