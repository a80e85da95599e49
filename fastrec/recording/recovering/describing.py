"""A channel's schema from the header of its records, where ``channel.json`` is lost.

The header is parsed by a grammar of its own, and types are looked up in the table of type codes; nothing in
it is evaluated, and the header that the schema calls for must be the one that was read, byte for byte.
"""

from __future__ import annotations

import re
import struct
from typing import Any

import numpy as np

from fastrec.errors import FastrecError, FormatError
from fastrec.recording import layout
from fastrec.schema import Schema
from fastrec.schema.codes import decode

__all__ = ["described", "stored_header"]

_MOST_BYTES = 10_000
_MOST_FIELDS = 1024
_MOST_LEVELS = 8
_TOKEN = re.compile(r"\s*(?:('(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\")|([0-9]{1,6})|([\[\](),]))")
_ESCAPE = re.compile(r"\\(x[0-9a-f]{2}|.)", re.DOTALL)
_PLAIN = {"\\": "\\", "'": "'", '"': '"', "n": "\n", "r": "\r", "t": "\t"}
_HOLDS = ["until_ns", "polls", "max_gap_ns"]


def stored_header(start: bytes) -> bytes:
    """The header at the start of a ``.npy`` file, its count included.

    Raises
    ------
    FormatError
        It is none that a recorder wrote.
    """
    if start[:8] != b"\x93NUMPY\x01\x00" or len(start) < 10:
        raise FormatError("it does not begin with a header")
    size = 10 + struct.unpack_from("<H", start, 8)[0]
    if size > _MOST_BYTES + 10 or size > len(start):
        raise FormatError("its header is too long, or cut off")
    return start[:size]


def described(header: bytes) -> tuple[Schema, str]:
    """Schema and store of the records that a header describes: names, types and places, no meanings.

    Raises
    ------
    FormatError
        It is none that a recorder would have written for any schema.
    """
    text = header[10:].decode("latin-1")
    match = re.fullmatch(r"\{'shape': \(.{11},\), 'fortran_order': False, 'descr': (\[.*\])\} *\n", text)
    if match is None:
        raise FormatError("its header is no recorder's")
    try:
        dtype = _Descr(match[1]).dtype()
        schema, store = _payload(dtype)
        layout.check_header(header, layout.npy_header(schema.storage(store)), "records")
    except FormatError:
        raise
    except (FastrecError, ValueError, TypeError) as error:
        raise FormatError(f"its header describes no records: {error}") from error
    return schema, store


def _payload(dtype: np.dtype) -> tuple[Schema, str]:
    names = list(dtype.names or ())
    if names[:1] != ["mono_ns"] or dtype["mono_ns"] != np.dtype("<i8"):
        raise FormatError("its records have no mono_ns")
    store = "changes" if names[1:4] == _HOLDS else "every"
    begin = 32 if store == "changes" else 8
    kept = names[4:] if store == "changes" else names[1:]
    if not kept or any(dtype.fields[name][1] < begin for name in kept):
        raise FormatError("its records have no payload")
    payload = np.dtype(
        {
            "names": kept,
            "formats": [dtype.fields[name][0] for name in kept],
            "offsets": [dtype.fields[name][1] - begin for name in kept],
            "itemsize": dtype.itemsize - begin,
        }
    )
    return Schema.from_dtype(payload, name="rebuilt"), store


class _Descr:
    """A parser of what `layout.descr` makes, as Python spells it."""

    def __init__(self, text: str) -> None:
        self._tokens: list[Any] = []
        place = 0
        while place < len(text):
            token = _TOKEN.match(text, place)
            if token is None:
                raise FormatError("its header is no list of members")
            string, number, mark = token.groups()
            if string is not None:
                self._tokens.append(("name", _ESCAPE.sub(_unescaped, string[1:-1])))
            else:
                self._tokens.append(("number", int(number)) if number else ("mark", mark))
            place = token.end()
        self._at = 0

    def dtype(self) -> np.dtype:
        found = self._members(0)
        if self._at != len(self._tokens):
            raise FormatError("its header goes on behind its members")
        return found

    def _next(self, kind: str, value: str | None = None) -> Any:
        token = self._tokens[self._at] if self._at < len(self._tokens) else ("end", "")
        if token[0] != kind or (value is not None and token[1] != value):
            raise FormatError("its header is no list of members")
        self._at += 1
        return token[1]

    def _is(self, value: str) -> bool:
        return self._at < len(self._tokens) and self._tokens[self._at] == ("mark", value)

    def _members(self, level: int) -> np.dtype:
        if level > _MOST_LEVELS:
            raise FormatError("its header nests structs too deep")
        self._next("mark", "[")
        names, formats, offsets, size = [], [], [], 0
        while not self._is("]"):
            if names or size:
                self._next("mark", ",")
            self._next("mark", "(")
            name = self._next("name")
            self._next("mark", ",")
            inner = self._members(level + 1) if self._is("[") else decode(self._next("name"), "a member")
            if self._is(","):
                self._at += 1
                inner = np.dtype((inner, self._shape()))
            self._next("mark", ")")
            if name:
                names.append(name)
                formats.append(inner)
                offsets.append(size)
            size += inner.itemsize
            if size > 65_536 or len(names) > _MOST_FIELDS:
                raise FormatError("its header describes more than a record can hold")
        self._next("mark", "]")
        return np.dtype({"names": names, "formats": formats, "offsets": offsets, "itemsize": size})

    def _shape(self) -> tuple[int, ...]:
        self._next("mark", "(")
        shape = []
        while not self._is(")"):
            shape.append(self._next("number"))
            if not self._is(")"):
                self._next("mark", ",")
        self._next("mark", ")")
        count = 1
        for length in shape:
            count *= length
        if not 0 < count <= 65_536 or len(shape) > _MOST_LEVELS:
            raise FormatError("its header describes more than a record can hold")
        return tuple(shape)


def _unescaped(match: re.Match[str]) -> str:
    code = match[1]
    if code[0] == "x" and len(code) == 3:
        return chr(int(code[1:], 16))
    if code not in _PLAIN:
        raise FormatError("its header spells a name in a way that Python does not")
    return _PLAIN[code]
