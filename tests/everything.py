"""One struct with every kind of field, and what its bytes mean in plain Python: an oracle without NumPy."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from fastrec.schema import HRESULT, Enumeration, Flags, Masked, Schema
from fastrec.schema.members import Bit, Member, Struct

MODES = Enumeration({"IDLE": 0, "RUN": 1, "FAULT": 2})
STATES = Masked({"READY": (0x4F, 0x01), "OPERATION": (0x6F, 0x27), "FAULT": (0x4F, 0x08)})
POWERS = Flags({"MAIN": 1, "AUX": 2, "CHARGING": 4})


def number(code: str) -> np.dtype:
    return np.dtype(code)


def plain(name: str, offset: int, code: str, shape: tuple[int, ...] = (), **more: object) -> Member:
    return Member(name, offset, number(code), shape, **more)


def unit(offset: int, code: str, *bits: tuple[str, int, int, bool]) -> Member:
    return Member(
        "|".join(bit[0] for bit in bits) + "|", offset, number(code), bits=tuple(map(Bit._make, bits))
    )


MOTOR = Struct(
    12,
    (
        plain("pos", 0, "<f4"),
        plain("cells", 4, "|u1", (3,)),
        unit(7, "|u1", ("on", 0, 1, False), ("drift", 1, 4, True)),
        Member("", 8, Struct(4, (plain("near", 0, "<i2"), plain("far", 2, ">i2")))),
    ),
)
POSE = Struct(
    24, (plain("x", 0, "<f8"), Member("inner", 8, Struct(16, (plain("y", 0, ">f8"), plain("n", 8, "|i1")))))
)
EITHER = Struct(
    8,
    (
        plain("whole", 0, "<u8"),
        plain("half", 0, "<u4", (2,)),
        Member("pair", 0, Struct(8, (plain("lo", 0, "<u2"), plain("hi", 4, "<f4")))),
    ),
)
ARMS = Struct(  # an anonymous union whose structs overlap in parts
    12,
    (
        Member("", 0, Struct(8, (plain("left", 0, "<u4"), plain("right", 4, "<i4")))),
        Member("", 0, Struct(10, (plain("first", 0, "<u2"), plain("second", 2, "<i8")))),
        Member("wide", 0, Struct(12, (plain("third", 0, "|V3"), plain("fourth", 3, "<u8")))),
    ),
)
TREE = Struct(
    252,
    (
        unit(0, "<u4", ("a", 0, 3, False), ("b", 3, 5, True), ("c", 8, 1, False), ("d", 9, 20, True)),
        unit(4, "|V3", ("p", 0, 5, False), ("q", 5, 13, True), ("r", 18, 6, False)),
        unit(7, "|V5", ("s", 0, 1, True), ("t", 3, 34, True)),
        unit(12, "|V9", ("u", 5, 64, False), ("v", 69, 3, True)),
        Member("either", 24, EITHER),
        Member("", 32, ARMS),
        plain("be_i", 44, ">i2"),
        plain("be_u", 46, ">u2"),
        plain("be_f", 48, ">f4"),
        unit(52, ">u4", ("top", 28, 4, True), ("mid", 9, 12, False), ("end", 0, 2, False)),
        plain("be_d", 56, ">f8"),
        Member("pose", 64, POSE),
        plain("cells", 88, "<i2", (4,)),
        plain("grid", 96, ">u2", (2, 3)),
        Member("motors", 108, MOTOR, (2,)),
        plain("name", 132, "|S6"),
        plain("tags", 138, "|S3", (2,)),
        plain("modes", 144, "|u1", (3,)),
        plain("flag", 147, "|b1"),
        plain("mode", 148, "<i4"),
        plain("state", 152, "<u2"),
        plain("power", 154, "|u1"),
        plain("oks", 155, "|b1", (2,)),
        plain("half_float", 158, "<f2"),
        plain("temp", 160, "<i2"),
        plain("temps", 162, ">i2", (3,)),
        plain("where", 168, "<u8", pointer=True),
        plain("z", 176, "<c8"),
        plain("waves", 184, ">c16", (2,)),
        plain("blob", 216, "|V5"),
        plain("blobs", 221, "|V2", (2,)),
        plain("hr", 228, "<i4"),
        plain("bias", 232, "<f4"),
        unit(236, "|V7", ("m", 2, 4, False), ("w", 7, 40, False)),
        unit(243, "|V9", ("last", 7, 63, True)),
    ),
)  # fmt: skip
LABELS = {
    "mode": MODES,
    "modes": MODES,
    "state": STATES,
    "power": POWERS,
    "hr": HRESULT,
    "m": MODES,
    "top": POWERS,
}
SCALES = {
    "temp": (0.01, -40.0),
    "temps": (0.5, 0.0),
    "q": (0.25, 1.0),
    "be_u": (2.0, 0.0),
    "bias": (1.0, 0.5),
}
UNITS = {"temp": "degC", "temps": "K", "q": "V"}


def everything() -> Schema:
    meanings: dict[str, dict[str, object]] = {name: {"labels": labels} for name, labels in LABELS.items()}
    for name, (scale, bias) in SCALES.items():
        meanings.setdefault(name, {}).update(scale=scale, bias=bias)
    for name, unit_ in UNITS.items():
        meanings[name]["unit"] = unit_
    return Schema("everything", TREE, meanings, abi="sysv-x64", byteorder="little")


class Oracle(NamedTuple):
    """Where a field lies and what its bytes mean: a code of `struct`, or bits of an integer."""

    offset: int
    code: str
    count: int = 1
    bits: tuple[int, int, bool] | None = None

    def of(self, payload: bytes) -> object:
        """The value; a list of an array's elements one after another."""
        if self.bits:
            shift, width, signed = self.bits
            order = "big" if self.code[0] == ">" else "little"
            word = int.from_bytes(payload[self.offset : self.offset + int(self.code[1:])], order)
            value = word >> shift & (1 << width) - 1
            return value - (1 << width) if signed and value >> width - 1 else value
        size = struct.calcsize(self.code)
        values = []
        for place in range(self.count):
            parts = struct.unpack_from(self.code, payload, self.offset + place * size)
            values.append(complex(*parts) if len(parts) == 2 else parts[0])
        return values[0] if self.count == 1 else values


def _bits(offset: int, size: int, order: str, shift: int, width: int, signed: bool = False) -> Oracle:
    return Oracle(offset, f"{order}{size}", bits=(shift, width, signed))


def _motor(base: int) -> dict[str, Oracle]:
    return {
        "pos": Oracle(base, "<f"),
        "cells": Oracle(base + 4, "<B", 3),
        "on": _bits(base + 7, 1, "<", 0, 1),
        "drift": _bits(base + 7, 1, "<", 1, 4, True),
        "near": Oracle(base + 8, "<h"),
        "far": Oracle(base + 10, ">h"),
    }


ORACLES: dict[str, Oracle] = {
    "a": _bits(0, 4, "<", 0, 3),
    "b": _bits(0, 4, "<", 3, 5, True),
    "c": _bits(0, 4, "<", 8, 1),
    "d": _bits(0, 4, "<", 9, 20, True),
    "p": _bits(4, 3, "<", 0, 5),
    "q": _bits(4, 3, "<", 5, 13, True),
    "r": _bits(4, 3, "<", 18, 6),
    "s": _bits(7, 5, "<", 0, 1, True),
    "t": _bits(7, 5, "<", 3, 34, True),
    "u": _bits(12, 9, "<", 5, 64),
    "v": _bits(12, 9, "<", 69, 3, True),
    "either.whole": Oracle(24, "<Q"),
    "either.half": Oracle(24, "<I", 2),
    "either.pair.lo": Oracle(24, "<H"),
    "either.pair.hi": Oracle(28, "<f"),
    "left": Oracle(32, "<I"),
    "right": Oracle(36, "<i"),
    "first": Oracle(32, "<H"),
    "second": Oracle(34, "<q"),
    "wide.third": Oracle(32, "<3s"),
    "wide.fourth": Oracle(35, "<Q"),
    "be_i": Oracle(44, ">h"),
    "be_u": Oracle(46, ">H"),
    "be_f": Oracle(48, ">f"),
    "top": _bits(52, 4, ">", 28, 4, True),
    "mid": _bits(52, 4, ">", 9, 12),
    "end": _bits(52, 4, ">", 0, 2),
    "be_d": Oracle(56, ">d"),
    "pose.x": Oracle(64, "<d"),
    "pose.inner.y": Oracle(72, ">d"),
    "pose.inner.n": Oracle(80, "<b"),
    "cells": Oracle(88, "<h", 4),
    "grid": Oracle(96, ">H", 6),
    **{f"motors[{n}].{name}": one for n in (0, 1) for name, one in _motor(108 + 12 * n).items()},
    "name": Oracle(132, "<6s"),
    "tags": Oracle(138, "<3s", 2),
    "modes": Oracle(144, "<B", 3),
    "flag": Oracle(147, "<?"),
    "mode": Oracle(148, "<i"),
    "state": Oracle(152, "<H"),
    "power": Oracle(154, "<B"),
    "oks": Oracle(155, "<?", 2),
    "half_float": Oracle(158, "<e"),
    "temp": Oracle(160, "<h"),
    "temps": Oracle(162, ">h", 3),
    "where": Oracle(168, "<Q"),
    "z": Oracle(176, "<ff"),
    "waves": Oracle(184, ">dd", 2),
    "blob": Oracle(216, "<5s"),
    "blobs": Oracle(221, "<2s", 2),
    "hr": Oracle(228, "<i"),
    "bias": Oracle(232, "<f"),
    "m": _bits(236, 7, "<", 2, 4),
    "w": _bits(236, 7, "<", 7, 40),
    "last": _bits(243, 9, "<", 7, 63, True),
}
SHAPES = {name: (one.count,) for name, one in ORACLES.items() if one.count > 1} | {"grid": (2, 3)}


def scalars() -> dict[str, Callable[[bytes], object]]:
    """Every scalar there is, elements of arrays among them, and how to read it."""
    found: dict[str, Callable[[bytes], object]] = {}
    for name, one in ORACLES.items():
        if one.count == 1:
            found[name] = one.of
            continue
        columns = SHAPES[name][-1]
        for place in range(one.count):
            index = f"[{place}]" if len(SHAPES[name]) == 1 else f"[{place // columns}][{place % columns}]"
            found[name + index] = lambda payload, one=one, place=place: one.of(payload)[place]
    return found


def payloads(count: int, seed: int = 0) -> list[bytes]:
    """Structs in short runs of equal ones; a few bytes differ from one to the next."""
    choose = random.Random(seed)
    now = bytearray(choose.randbytes(TREE.size))
    made: list[bytes] = []
    while len(made) < count:
        for place in choose.sample(range(TREE.size), 12):
            now[place] = choose.choice((0, 1, 2, 0xFF, choose.randrange(256)))
        for place in (147, 155, 156):
            now[place] &= 1
        now[148:152] = struct.pack("<i", choose.choice((0, 1, 2, 7)))
        made += [bytes(now)] * choose.randint(1, 3)
    return made[:count]
