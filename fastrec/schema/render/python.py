"""What the texts that are Python share: names, comments, and what is known of fields as constants."""

from __future__ import annotations

import keyword
from collections.abc import Iterator
from typing import TYPE_CHECKING

from fastrec.schema.labels import Enumeration
from fastrec.schema.readable import is_scaled
from fastrec.schema.render.pieces import one_line

if TYPE_CHECKING:
    from fastrec.schema.model import Schema

__all__ = ["constants", "heading", "identifier"]


def identifier(name: str) -> str:
    """Return a name that Python takes: the same one if it does."""
    valid = "".join(one if one.isascii() and (one.isalnum() or one == "_") else "_" for one in name)
    if valid[0].isdigit():
        valid = f"_{valid}"
    return f"{valid}_" if keyword.iskeyword(valid) or keyword.issoftkeyword(valid) else valid


def heading(schema: Schema) -> str:
    """The first line: a comment that says what this is."""
    return f"# {one_line(schema.name)}: {schema.size} bytes, {schema.abi}, fastrec schema {schema.digest}"


def constants(schema: Schema) -> Iterator[str]:
    """Yield lines for what `Schema.from_ctypes` and `from_dtype` take: ``LABELS``, ``UNITS``, ``DOCS``; and
    ``SCALES``, of each field that has them scale and bias, for `Schema.with_field`.

    Labels of flags, masks and codes stand for more than a mapping says, and are left out.
    """
    named = [field for field in schema.fields if type(field.labels) is Enumeration]
    yield from _mapping("LABELS", {field.name: dict(field.labels.enumerators) for field in named})
    yield from _mapping("UNITS", {field.name: field.unit for field in schema.fields if field.unit})
    scaled = {field.name: (field.scale, field.bias) for field in schema.fields if is_scaled(field)}
    yield from _mapping("SCALES", scaled)
    yield from _mapping("DOCS", {field.name: field.doc for field in schema.fields if field.doc})


def _mapping(name: str, values: dict[str, object]) -> Iterator[str]:
    if values:
        yield from ("", f"{name} = {{", *(f"    {key!a}: {value!a}," for key, value in values.items()), "}")
