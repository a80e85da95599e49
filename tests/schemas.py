"""Schemas that Hypothesis makes: nested, packed, with unions, bit-fields, odd names, labels and docs."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from hypothesis import strategies as st

from fastrec.schema import Schema
from fastrec.schema.members import Bit, Member, Struct

__all__ = ["NUMBERS", "places", "schemas"]

WIDE = ("i2", "i4", "i8", "u2", "u4", "u8", "f2", "f4", "f8", "c8", "c16")
NUMBERS = [*(f"{order}{code}" for order in "<>" for code in WIDE), "|i1", "|u1", "|b1"]
ODD = [
    "int",
    "a b",
    "2x",
    "é",
    "class",
    "linux",
    "uint8_t",
    "_pad0",
    "_X",
    "x__y",
    "from",
    "_fields_",
    "Motor",
]
TEXTS = ["", "ends */ here", "two\nlines", "a \\ and ?", '"quoted"', "grün"]


class _Names:
    """Names that never repeat, some of which no language takes."""

    def __init__(self, draw: st.DrawFn, odd: bool) -> None:
        self._draw = draw
        self._odd = [one for one in ODD if odd and draw(st.integers(0, 5)) == 0]
        self._count = 0

    def next(self) -> str:
        if self._odd:
            return self._odd.pop()
        self._count += 1
        return f"f{self._count}"


@st.composite
def schemas(draw: st.DrawFn, *, odd: bool = True, plain: bool = False) -> Schema:
    """A schema; without `odd` every name is one of C, with `plain` types are those that C has everywhere."""
    names = _Names(draw, odd)
    layout = _struct(draw, names, 0, plain)
    schema = Schema(draw(st.sampled_from(["s", "motor status"])) if odd else "s", layout, {}, abi="sysv-x64")
    meanings: dict[str, dict[str, Any]] = {}
    declared: dict[str, dict[str, Any]] = {}
    for field in schema.fields:
        # What C declares of one element of an array of structs it declares of all.
        name = re.sub(r"\[[0-9]+\]", "", field.name)
        if name not in declared:
            declared[name] = _meaning(draw, field.dtype, bool(field.bits), field.shape)
        if declared[name]:
            meanings[field.name] = declared[name]
    return Schema(schema.name, layout, meanings, abi="sysv-x64")


def _meaning(draw: st.DrawFn, dtype: np.dtype, bits: bool, shape: tuple[int, ...]) -> dict[str, Any]:
    kind = draw(st.integers(0, 9))
    meaning: dict[str, Any] = {}
    if kind == 0 and dtype.kind in "iu":
        values = st.integers(-100, 2**40)
        labels = st.sampled_from(["IDLE", "in flight", "int", "ERROR", "7up", "f1", "s"])
        meaning["labels"] = draw(st.dictionaries(labels, values, min_size=1))
    if kind == 1 and dtype.str in ("<u8", "<u4") and not bits:
        meaning["pointer"] = True
    if kind == 2 and dtype.str == "<u8" and not bits and not shape:
        meaning["text"] = True
    if kind == 3:
        meaning["unit"] = "degC"
        if dtype.kind in "iufc":
            meaning |= {"scale": 0.5, "bias": -2.0}
    if kind == 4:
        meaning["doc"] = draw(st.sampled_from(TEXTS))
    return meaning


def _struct(draw: st.DrawFn, names: _Names, level: int, plain: bool) -> Struct:
    members: list[Member] = []
    end = 0
    for _ in range(draw(st.integers(1, 6 if level == 0 else 3))):
        start = end + draw(st.sampled_from([0, 0, 0, 1, 3]))
        union = draw(st.integers(0, 4)) == 0
        group = [_member(draw, names, start, level, plain)]
        if union:
            # What comes later fits the first, which is what makes it a union.
            most = group[0].nbytes
            others = [_member(draw, names, start, level + 1, plain) for _ in range(draw(st.integers(1, 3)))]
            group += [one for one in others if one.nbytes <= most]
        members += group
        end = start + group[0].nbytes
    return Struct(end + draw(st.sampled_from([0, 0, 1, 4])), tuple(members))


def _member(draw: st.DrawFn, names: _Names, offset: int, level: int, plain: bool) -> Member:
    kind = draw(st.sampled_from(["number"] * 4 + ["bytes", "bits", "bits", "struct", "anonymous"]))
    shape = draw(st.sampled_from([(), (), (), (2,), (2, 3)]))
    if kind == "struct" and level < 3:
        return Member(names.next(), offset, _struct(draw, names, level + 1, plain), shape)
    if kind == "anonymous" and level < 3:
        return Member("", offset, _struct(draw, names, level + 1, plain))
    if kind == "bits":
        return _unit(draw, names, offset, plain)
    if kind == "bytes":
        code = draw(st.sampled_from("S" if plain else "SV"))
        dtype = np.dtype(f"{code}{draw(st.sampled_from([1, 3, 16]))}")
        return Member(names.next(), offset, dtype, shape)
    portable = [code for code in NUMBERS if code[0] != ">" and code[1:] not in ("f2", "c8", "c16")]
    return Member(
        names.next(), offset, np.dtype(draw(st.sampled_from(portable if plain else NUMBERS))), shape
    )


def _unit(draw: st.DrawFn, names: _Names, offset: int, plain: bool) -> Member:
    units = ["<u1", "<u2", "<u4", "<u8"] + ([] if plain else [">u2", ">u4", "V3", "V9"])
    unit = np.dtype(draw(st.sampled_from(units)))
    size = 8 * unit.itemsize
    bits: list[Bit] = []
    end = 0
    overlapping = not plain and draw(st.integers(0, 5)) == 0
    for _ in range(draw(st.integers(1, 4))):
        shift = 0 if overlapping else end + draw(st.sampled_from([0, 0, 1, 5]))
        if shift >= size:
            break
        width = draw(st.integers(1, min(size - shift, 33)))
        bits.append(Bit(names.next(), shift, width, draw(st.booleans())))
        end = shift + width
    name = "|".join(bit.name for bit in bits) + ("|" if len(bits) == 1 else "")
    return Member(name, offset, unit, bits=tuple(bits))


def places(schema: Schema) -> list[tuple]:
    """Every field by name and where it lies, to the bit; padding that has a name is left out."""
    found: list[tuple] = []
    for field in schema.fields:
        if re.search(r"(^|\.)_(pad|gap)\d+$", field.name):
            continue
        if field.bits and field.dtype.str[0] != ">":
            shift, width = field.bits
            found.append((field.name, field.dtype.kind, 8 * field.offset + shift, width))
        else:
            found.append((field.name, field.dtype.str, field.offset, field.shape, field.bits))
    return found
