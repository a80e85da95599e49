"""Values that C wrote are read, and written as C does, wherever a compiler put them."""

from __future__ import annotations

import ctypes
import math
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from compilers import HEAD
from structs import ALIGNED, Member, Struct, some

from fastrec.schema import Schema
from fastrec.schema.states import mask

NUMBERS = {
    "char": (8, True), "signed char": (8, True), "unsigned char": (8, False), "short": (16, True),
    "unsigned short": (16, False), "int": (32, True), "unsigned": (32, False), "long": (64, True),
    "unsigned long": (64, False), "long long": (64, True), "unsigned long long": (64, False),
    "int8_t": (8, True), "uint8_t": (8, False), "int16_t": (16, True), "uint16_t": (16, False),
    "int32_t": (32, True), "uint32_t": (32, False), "int64_t": (64, True), "uint64_t": (64, False),
    "size_t": (64, False), "intptr_t": (64, True), "wchar_t": (32, True), "void *": (64, False),
    "char16_t *": (64, False), "_Bool": (1, False), "enum few": (32, False), "enum below": (32, True),
    "enum tiny": (8, False), "enum small": (16, True),
}  # fmt: skip
"""Bits and sign, as gcc has them on x86-64."""
ROWS = 2

Value = int | float


def written(record: Struct, choose: random.Random, prefix: str = "") -> Iterator[tuple[str, Member]]:
    """Yield the leaves that C writes: of a union those of one member."""
    members = [choose.choice(record.members)] if record.union else record.members
    for member in members:
        if isinstance(member.type, Struct):
            for path in [""] if member.type.anonymous else member.paths():
                yield from written(member.type, choose, f"{prefix}{path}." if path else prefix)
        elif member.name and None not in member.dims and member.type != "long double":
            yield prefix + member.name, member


def value_of(member: Member, choose: random.Random) -> Value:
    type_ = ALIGNED.get(member.type, member.type)
    if type_ in ("float", "double"):
        return choose.randrange(-4096, 4096) / 8
    bits, signed = NUMBERS[type_]
    bits = bits if member.width is None else member.width
    least = -1 << bits - 1 if signed else 0
    most = least + (1 << bits) - 1
    if type_ == "char" and member.width is None:
        least = 1  # the end of a text is no part of it
    return choose.choice((least, most, choose.randint(least, most), choose.randint(least, most)))


def literal(value: Value) -> str:
    return repr(value) if isinstance(value, float) else f"{value % (1 << 64)}ull"


def as_read(values: list[Value], member: Member) -> np.ndarray:
    """What a schema makes of the values of a leaf, row by row."""
    type_ = ALIGNED.get(member.type, member.type)
    if type_ == "char" and member.width is None:
        length = member.dims[-1] if member.dims else 1
        return np.frombuffer(bytes(values), f"S{length}").reshape(ROWS, *member.dims[:-1])
    number = NUMBERS.get(type_)
    dtype = np.float64 if number is None else np.int64 if number[1] else np.uint64
    return np.array(values, dtype).reshape(ROWS, *member.dims)


@pytest.fixture(scope="module")
def structs() -> list[Struct]:
    having = [(one, one.traits()) for one in some(1500, 7)]
    packed = [one for one, traits in having if {"bit-fields", "packing"} <= traits][:200]
    return (
        packed + [one for one, traits in having if "bit-fields" in traits and "packing" not in traits][:200]
    )


def test_values_are_those_of_the_c_program(structs: list[Struct], tmp_path: Path) -> None:
    assert len(structs) == 400
    choose = random.Random(23)
    text, wanted = HEAD, []
    for number, one in enumerate(structs):
        leaves = {}
        body = ""
        for path, member in written(one, choose):
            count = math.prod(member.dims)
            values = [value_of(member, choose) for _ in range(ROWS * count)]
            leaves[path] = values, member
            suffixes = [place.removeprefix(member.name) for place in member.paths()]
            cast = f"({member.type})" if "*" in member.type else ""
            for place, value in enumerate(values):
                row, element = divmod(place, count)
                body += f"  p[{row}].{path}{suffixes[element]} = {cast}{literal(value)};\n"
        wanted.append(leaves)
        text += f"{one.text(f'S{number}')}void fill{number}({one.tag(f'S{number}')} *p) {{\n{body}}}\n"
    (tmp_path / "values.c").write_text(text)
    subprocess.run(
        ["gcc", "-std=gnu11", "-w", "-shared", "-fPIC", "-o", "values.so", "values.c"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    library = ctypes.CDLL(tmp_path / "values.so")
    for number, (one, leaves) in enumerate(zip(structs, wanted, strict=True)):
        schema = Schema.from_c(one.whole("S"), "S")
        # Aligned, as the compiler may rely on it.
        memory = ctypes.create_string_buffer(ROWS * schema.size + 64)
        start = -ctypes.addressof(memory) % 64
        library[f"fill{number}"](ctypes.c_void_p(ctypes.addressof(memory) + start))
        payload = memory.raw[start : start + ROWS * schema.size]
        check(schema, payload, leaves, one)


def check(schema: Schema, payload: bytes, leaves: dict, one: Struct) -> None:
    rows = np.frombuffer(payload, schema.dtype)
    forms = {"payload": (rows, np.zeros(ROWS, schema.dtype), 0)}
    for store in ("every", "changes"):
        record = np.zeros(ROWS, schema.record(store))
        start = schema.payload_offset(store)
        as_bytes(record)[:, start : start + schema.size] = as_bytes(rows)
        forms[store] = (record, np.zeros(ROWS, schema.record(store)), start)
    counted = np.frombuffer(mask(schema), np.uint8)[: schema.size]
    for form, (array, empty, start) in forms.items():
        for path, (values, member) in leaves.items():
            field, read = schema.field(path), as_read(values, member)
            found = field.of(array)
            assert found.shape == read.shape and (found == read).all(), (form, path, one.text("S"))
            field.put(empty, read)
        put = as_bytes(empty)
        assert (put[:, start : start + schema.size] & counted == as_bytes(rows) & counted).all(), (
            form,
            one.text("S"),
        )
        assert not put[:, :start].any() and not put[:, start + schema.size :].any()


def as_bytes(array: np.ndarray) -> np.ndarray:
    return array.view(np.uint8).reshape(len(array), array.dtype.itemsize)
