"""How the core reads a number of a record."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fastrec.schema import codes
from fastrec.schema.field import Field

__all__ = ["Load", "load"]


class Load(NamedTuple):
    """A numeric scalar, as ``fr_zone_field`` of the core has it.

    Attributes
    ----------
    offset : int
        In the record.
    kind : "i", "u" or "f"
        Its pattern of 8 bytes.
    size : int
        Bytes; of a bit-field those that hold it.
    swapped : bool
        Whether it is of the other byte order than this machine.
    shift, width : int
        Of a bit-field; else 0.
    """

    offset: int
    kind: str
    size: int
    swapped: bool
    shift: int = 0
    width: int = 0


def load(field: Field, begin: int) -> Load:
    """How to read a field of integers, booleans or floats that is no array; the payload lies at `begin`."""
    kind = codes.pattern(np.dtype(field.dtype))[0]
    return Load(begin + field.offset, kind, field.nbytes, not field.dtype.isnative, *(field.bits or (0, 0)))
