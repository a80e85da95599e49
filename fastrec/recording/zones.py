"""Zones: 1024 records summed up in one row, made anew where a file has none or a damaged one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fastrec.core.spooler import zone_of
from fastrec.recording.layout import BLOCK_ROWS, zone_dtype
from fastrec.schema import Field

__all__ = ["summarise", "zone_fields"]

_HOLDS = 16
"""Where `polls` stands in a record of a channel with holds."""


def zone_fields(numeric: Sequence[Field], begin: int) -> list[tuple[int, str, int, bool, int, int]]:
    """The numeric scalars as the core has them; `begin` is where the payload begins in a record."""
    return [
        (begin + one.offset, one.kind[0], one.nbytes, not one.dtype.isnative, *(one.bits or (0, 0)))
        for one in numeric
    ]


def summarise(rows: np.ndarray, numeric: Sequence[Field]) -> np.ndarray:
    """Zone rows of whole zones, as FORMAT.md defines them; their ``crc`` is left 0.

    Parameters
    ----------
    rows : structured ndarray, shape (1024 * z,)
        Consecutive records of one segment, from a multiple of 1024 on. With holds they have the column
        ``polls``.
    numeric : sequence of Field, length k
        `Schema.numeric`.

    Returns
    -------
    ndarray of zone_dtype(k), shape (z,)
    """
    # A payload's own member of that name is called polls_ in records, so this is the recorder's.
    holds = "polls" in rows.dtype.names
    fields = zone_fields(numeric, 32 if holds else 8)
    data, size = np.ascontiguousarray(rows).view(np.uint8), rows.dtype.itemsize
    zone = BLOCK_ROWS * size
    zones = [
        zone_of(data[begin : begin + zone], size, fields, _HOLDS if holds else 0)
        for begin in range(0, len(data) // zone * zone, zone)
    ]
    return np.frombuffer(b"".join(zones), zone_dtype(len(numeric))).copy()
