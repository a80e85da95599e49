"""Zones: 1024 records summed up in one row, made anew where a file has none or a damaged one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fastrec.recording.layout import BLOCK_ROWS, zone_dtype
from fastrec.schema import Field

__all__ = ["summarise"]


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
        Sums of floats depend on the order of adding: two writers agree to rounding only.
    """
    zones = np.zeros(len(rows) // BLOCK_ROWS, zone_dtype(len(numeric)))
    shape = (len(zones), BLOCK_ROWS)
    weight = np.ones(shape, "<u8")
    # A payload's own member of that name is called polls_ in records, so this is the recorder's.
    if "polls" in rows.dtype.names:
        weight[:] = rows["polls"].reshape(shape)
    zones["polls"] = weight.sum(axis=1)
    for column, field in enumerate(numeric):
        values = field.of(rows).astype("<" + field.kind).reshape(shape)
        if field.kind == "f8":
            absent = np.isnan(values)
            low, high = np.where(absent, np.inf, values), np.where(absent, -np.inf, values)
            with np.errstate(all="ignore"):
                total = (np.where(absent, 0.0, values) * weight).sum(axis=1)
            zones["nan"][:, column] = absent.sum(axis=1)
        else:
            low = high = values
            total = (values.view("<u8") * weight).sum(axis=1)
        zones["min"][:, column] = low.min(axis=1).view("<u8")
        zones["max"][:, column] = high.max(axis=1).view("<u8")
        zones["sum"][:, column] = total.view("<u8")
    return zones
