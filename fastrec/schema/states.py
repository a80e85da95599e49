"""States: which bits of a payload make one, where equal polls are held (``store="changes"``)."""

from __future__ import annotations

from collections.abc import Collection

from fastrec.schema.field import Field
from fastrec.schema.model import Schema
from fastrec.schema.paths import of_all, split

__all__ = ["fields_below", "mask", "own_bits"]


def fields_below(schema: Schema, path: str) -> tuple[Field, ...]:
    """Return the leaves of a part of the payload.

    Parameters
    ----------
    schema : Schema
    path : str
        A field (``"ru_utime.tv_sec"``), a nested struct (``"ru_utime"``), an array of structs or one of them
        (``"motors"``, ``"motors[0]"``), one member of all of them (``"motors.pos"``), an element
        (``"raw[3]"``).

    Raises
    ------
    SchemaError
        No such part; the message names the nearest field.
    """
    found = tuple(
        field
        for field in schema.fields
        if any(
            name == path or name.startswith((f"{path}.", f"{path}["))
            for name in (field.name, of_all(field.name))
        )
    )
    return found or (schema.field(path),)


def mask(schema: Schema, ignore: Collection[str] = ()) -> bytes:
    """Return the bits of a payload by which two polls are told apart.

    Parameters
    ----------
    schema : Schema
    ignore : collection of str
        Names of fields, or of elements of arrays, that do not count. Of a union the bytes count as long as
        one of its members does.

    Returns
    -------
    bytes
        As many as the payload has, up to a multiple of 8. Ones: the fields that count, of a bit-field its own
        bits. Zeros: padding, and what is ignored alone.
    """
    bits = bytearray(-(-schema.size // 8) * 8)
    elements = [split(name) for name in ignore]
    for field in schema.fields:
        if field.name in ignore:
            continue
        own = own_bits(field)
        for element in (field.element(index) for whole, index in elements if whole == field.name):
            start = element.offset - field.offset
            own[start : start + element.nbytes] = bytes(element.nbytes)
        for place, byte in enumerate(own, field.offset):
            bits[place] |= byte
    return bytes(bits)


def own_bits(field: Field) -> bytearray:
    """Return ones for the bits of the field, as many bytes as it has in the payload."""
    if field.bits is None:
        return bytearray(b"\xff" * field.nbytes)
    shift, width = field.bits
    order = "big" if field.dtype.str[0] == ">" else "little"
    return bytearray(((1 << width) - 1 << shift).to_bytes(field.nbytes, order))
