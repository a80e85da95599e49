"""What makes a schema the same schema: its digest. And the way in for its JSON."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any

from fastrec.errors import SchemaError
from fastrec.schema.field import Field

__all__ = ["MAX_JSON", "digest", "parse"]

MAX_JSON = 2 << 20
"""Longest JSON of a schema, in characters; it bounds what a hostile file can make us allocate."""

_TEXTS = {"utf-8": "*text", "utf-16": "*utf-16", "utf-32": "*utf-32"}


def digest(abi: str, byteorder: str, size: int, fields: Iterable[Field]) -> str:
    """Return blake2b-128, in hexadecimal, of everything that decides what the bytes are.

    That is ABI, byte order and size, and of each field: name, type (pointers and texts apart from numbers),
    offset, shape, bits, labels. Of a text its encoding counts, not how it is read. Names of schemas, units,
    scales and docs do not count.
    """
    rows = [
        [
            field.name,
            # The same eight bytes may be a text's id, an address, or a number with zones.
            field.dtype.str + _TEXTS.get(field.encoding, "*" if field.pointer else ""),
            field.offset,
            field.shape,
            field.bits,
            None if field.labels is None else field.labels.to_json(),
        ]
        for field in fields
    ]
    canonical = json.dumps(
        {"abi": abi, "byteorder": byteorder, "size": size, "fields": rows},
        sort_keys=True,
        separators=(",", ":"),
    )
    return hashlib.blake2b(canonical.encode("ascii"), digest_size=16).hexdigest()


def parse(text: str) -> dict[str, Any]:
    """Return the object that a text from anywhere holds.

    Raises
    ------
    SchemaError
        Too long, no JSON, or no object.
    """
    if len(text) > MAX_JSON:
        raise SchemaError(f"a schema of {len(text)} characters is longer than the {MAX_JSON} possible")
    try:
        obj = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SchemaError(f"a schema must be JSON: {str(error)[:200]}") from None
    if not isinstance(obj, dict):
        raise SchemaError(f"the JSON of a schema is an object, not {type(obj).__name__}")
    return obj
