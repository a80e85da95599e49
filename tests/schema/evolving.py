"""Structs that grow: random fields, what becomes of them, and payloads written without fastrec.

A payload is built as one Python integer, bit by bit, from Python's own numbers; what a new schema must read
is known from them alone.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from typing import Any

from hypothesis import strategies as st

from fastrec.schema import Schema

FLOATS = {2: "e", 4: "f", 8: "d"}
DIGITS = {2: 11, 4: 24, 8: 53}


@dataclass(frozen=True)
class Model:
    """A field: kind u, i, f, b (bool), S (text) or x (bit-field), bytes, order, elements, bits and sign."""

    name: str
    kind: str
    size: int
    order: str = "<"
    count: int = 0
    width: int = 0
    signed: bool = False

    @property
    def code(self) -> str:
        if self.kind == "x":
            return f"{self.order}u{self.size}"
        return f"{self.order if self.size > 1 and self.kind != 'S' else '|'}{self.kind}{self.size}"

    def encoded(self, value: Any) -> bytes:
        order = "little" if self.order == "<" else "big"
        if self.kind == "S":
            return value.ljust(self.size, b"\0")
        if self.kind == "f":
            return struct.pack(self.order + FLOATS[self.size], value)
        return int(value).to_bytes(self.size, order, signed=self.kind == "i")


@dataclass(frozen=True)
class Laid:
    """Where a struct has its fields: byte, and of bit-fields the shift in their unit."""

    fields: tuple[Model, ...]
    places: tuple[tuple[int, int], ...]
    size: int

    def schema(self, name: str) -> Schema:
        members = []
        for field, (offset, shift) in zip(self.fields, self.places, strict=True):
            member: dict[str, object] = {"name": field.name, "offset": offset, "type": field.code}
            if field.kind == "x":
                member["name"] = field.name + "|"
                member["bits"] = [[field.name, shift, field.width, "i" if field.signed else "u"]]
            elif field.count:
                member["shape"] = [field.count]
            members.append(member)
        return Schema.from_json(
            {"name": name, "abi": "test", "byteorder": "little", "size": self.size, "members": members}
        )

    def payload(self, values: dict[str, Any]) -> bytes:
        """The struct with these values, and nothing but zeros around them."""
        data = bytearray(self.size)
        for field, (offset, shift) in zip(self.fields, self.places, strict=True):
            value = values[field.name]
            if field.kind == "x":
                word = (value & (1 << field.width) - 1) << shift
                raw = word.to_bytes(field.size, "little" if field.order == "<" else "big")
            elif field.count:
                raw = b"".join(field.encoded(one) for one in value)
            else:
                raw = field.encoded(value)
            data[offset : offset + len(raw)] = raw
        return bytes(data)


@st.composite
def fields(draw: st.DrawFn, name: str) -> Model:
    kind = draw(st.sampled_from("uuiifbSxxx"))
    order = draw(st.sampled_from("<<>"))
    if kind == "x":
        size = draw(st.sampled_from([1, 2, 4, 8]))
        width = draw(st.integers(1, 8 * size))
        return Model(name, kind, size, order if size > 1 else "<", 0, width, draw(st.booleans()))
    sizes = {"f": [2, 4, 8], "b": [1], "S": [1, 3, 8]}.get(kind, [1, 2, 4, 8])
    size = draw(st.sampled_from(sizes))
    order = "<" if size == 1 or kind == "S" else order
    return Model(name, kind, size, order, draw(st.sampled_from([0, 0, 0, 1, 3])))


@st.composite
def laid(draw: st.DrawFn, models: list[Model]) -> Laid:
    """The fields in this order, with holes between them."""
    at, places = 0, []
    for field in models:
        at += draw(st.sampled_from([0, 0, 1, 3, 4]))
        shift = draw(st.integers(0, 8 * field.size - field.width)) if field.kind == "x" else 0
        places.append((at, shift))
        at += field.size * max(1, field.count)
    return Laid(tuple(models), tuple(places), at + draw(st.sampled_from([0, 1, 8])))


def wider(draw: st.DrawFn, old: Model) -> Model:
    """A field that has every value of the old one, by the rules of arithmetic."""
    if old.kind == "S":
        return replace(old, size=old.size + draw(st.integers(0, 9)))
    new = replace(old, count=old.count and old.count + draw(st.integers(0, 2)))
    bits = old.width if old.kind == "x" else 8 * old.size
    signed = old.signed if old.kind == "x" else old.kind == "i"
    if old.kind == "f":
        new = replace(new, size=draw(st.sampled_from([n for n in (2, 4, 8) if n >= old.size])))
    elif old.kind == "b":
        new = replace(new, kind=draw(st.sampled_from("bui")), size=1)
        if new.kind != "b":
            new = replace(new, size=draw(st.sampled_from([1, 2, 4, 8])))
    else:
        kinds = [
            *(("u", n) for n in (1, 2, 4, 8) if not signed and 8 * n >= bits),
            *(("i", n) for n in (1, 2, 4, 8) if 8 * n >= bits + (not signed)),
            *(("f", n) for n in (2, 4, 8) if DIGITS[n] >= bits - signed),
            *(("x", n) for n in (1, 2, 4, 8) if not old.count and 8 * n >= bits),
        ]
        kind, size = draw(st.sampled_from(kinds)) if kinds else (old.kind, old.size)
        new = replace(new, kind=kind, size=size, width=0, signed=False)
        if kind == "x":
            more = draw(st.integers(bits, 8 * size))
            # Of an unsigned value a signed bit-field needs one bit more.
            new = replace(new, width=more, signed=signed or (more > bits and draw(st.booleans())))
    return replace(new, order=draw(st.sampled_from("<>")) if new.size > 1 else "<")


@st.composite
def values(draw: st.DrawFn, field: Model) -> Any:
    if field.count:
        single = replace(field, count=0)
        return [draw(values(single)) for _ in range(field.count)]
    if field.kind == "S":
        return draw(st.binary(max_size=field.size)).rstrip(b"\0")
    if field.kind == "b":
        return draw(st.booleans())
    if field.kind == "f":
        return draw(st.floats(width=8 * field.size, allow_nan=False))
    bits = field.width if field.kind == "x" else 8 * field.size
    signed = field.signed if field.kind == "x" else field.kind == "i"
    low, high = (-1 << bits - 1, (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    return draw(st.one_of(st.sampled_from([low, high]), st.integers(low, high)))


def nothing(field: Model) -> Any:
    """What a field has that the old struct had not."""
    zero: Any = {"S": b"", "b": False, "f": 0.0}.get(field.kind, 0)
    return [zero] * field.count if field.count else zero


def filled(old: Model, new: Model, value: Any) -> Any:
    """The value an old field has as a new one."""
    if new.count:
        return [*value, *[nothing(replace(new, count=0))] * (new.count - old.count)]
    return value


@dataclass(frozen=True)
class Grown:
    """An old struct, a newer one, the names that changed, rows of the old and what the new must read."""

    old: Laid
    new: Laid
    renamed: dict[str, str | None]
    payloads: list[bytes]
    expected: dict[str, list]


@st.composite
def grown(draw: st.DrawFn) -> Grown:
    names = [f"f{n}" for n in range(draw(st.integers(1, 7)))]
    old = [draw(fields(name)) for name in names]
    rows = [{one.name: draw(values(one)) for one in old} for _ in range(draw(st.integers(1, 4)))]
    renamed: dict[str, str | None] = {}
    new: list[Model] = []
    expected: dict[str, list] = {}
    for number, one in enumerate(old):
        step = (
            draw(st.sampled_from(["keep", "keep", "wider", "wider", "rename", "remove"]))
            if number
            else "wider"
        )
        if step == "remove":
            renamed[one.name] = None
            continue
        made = one if step == "keep" else wider(draw, one)
        if step == "rename":
            made = replace(made, name="r" + one.name)
            renamed[one.name] = made.name
        new.append(made)
        expected[made.name] = [filled(one, made, row[one.name]) for row in rows]
    for number in range(draw(st.integers(0, 3))):
        made = draw(fields(f"n{number}"))
        new.append(made)
        expected[made.name] = [nothing(made)] * len(rows)
    before, after = draw(laid(old)), draw(laid(draw(st.permutations(new))))
    return Grown(before, after, renamed, [before.payload(row) for row in rows], expected)
