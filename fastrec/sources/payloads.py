"""Payloads made of Python values, and Python values of payloads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from fastrec.core.ring import read_text
from fastrec.errors import SourceError
from fastrec.schema import Schema
from fastrec.schema.readable import readable
from fastrec.schema.texts import LOST, UNITS

__all__ = ["decoded", "payload_of"]


def payload_of(schema: Schema, values: Mapping[str, Any], where: str) -> bytes:
    """The bytes of a struct with these raw values, by field name; what is not named is zero.

    Raises
    ------
    SchemaError, SourceError
        A name or a value that the struct cannot hold; `where` begins the message.
    """
    rows = np.zeros(1, schema.dtype)
    for name, value in values.items():
        field = schema.field(name)
        try:
            field.put(rows, value)
        except (ValueError, TypeError, OverflowError) as error:
            raise SourceError(f"{where}: {name!r} cannot be {value!r:.60}: {error}") from error
    return rows.tobytes()


def decoded(schema: Schema, payload: bytes) -> dict[str, Any]:
    """One struct as people read it, by field name; texts are read where their pointers point now."""
    row = np.frombuffer(payload, schema.dtype)
    values = {}
    for field in schema.fields:
        raw = field.of(row)
        if field.text:
            address = int(raw[0])
            text = read_text(address, UNITS[field.encoding])
            missing = LOST if address else None
            values[field.name] = missing if text is None else text.decode("utf-8", "surrogateescape")
        else:
            values[field.name] = readable(field, raw).tolist()[0]
    return values
