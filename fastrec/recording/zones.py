"""Zones: 1024 records summed up in one row, made anew where a file has none or a damaged one."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from fastrec.core.zone import zone_of
from fastrec.recording.layout import BLOCK_ROWS, zone_dtype
from fastrec.schema import Field
from fastrec.schema.forms import payload_offset
from fastrec.schema.loads import Load, load

__all__ = ["same_zone", "summarise", "told", "told_dtype", "zone_fields"]


def zone_fields(numeric: Sequence[Field], begin: int) -> list[Load]:
    """The numeric scalars as the core has them; `begin` is where the payload begins in a record."""
    return [load(one, begin) for one in numeric]


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
    # A payload's own members of these names are called polls_ and until_ns_ in records.
    holds = "polls" in rows.dtype.fields
    fields = zone_fields(numeric, payload_offset("changes" if holds else "every"))
    columns = [rows.dtype.fields[name][1] for name in ("polls", "until_ns")] if holds else [0, 0]
    data, size = np.ascontiguousarray(rows).view(np.uint8), rows.dtype.itemsize
    zone = BLOCK_ROWS * size
    zones = [
        zone_of(data[begin : begin + zone], size, fields, *columns)
        for begin in range(0, len(data) // zone * zone, zone)
    ]
    return np.frombuffer(b"".join(zones), zone_dtype(len(numeric))).copy()


@lru_cache(maxsize=64)
def told_dtype(k: int) -> np.dtype:
    """Dtype of what a zone tells of ``k`` numeric scalars: a `zone_dtype` in which integers have a ``turn``
    beside a ``nan`` of 0, and floats a ``nan`` beside a ``turn`` of 0.
    """
    columns = [(name, "<u8", (k,)) for name in ("min", "max", "sum", "nan", "turn")]
    return np.dtype([("polls", "<u8"), *columns, ("silence_us", "<u4"), ("crc", "<u4")])


def told(zones: np.ndarray, numeric: Sequence[Field]) -> np.ndarray:
    """What zone rows tell: ndarray of told_dtype(k), from one of zone_dtype(k)."""
    found = np.zeros(len(zones), told_dtype(len(numeric)))
    for name in zones.dtype.names:
        found[name] = zones[name]
    whole = np.array([field.kind != "f8" for field in numeric], bool)
    found["turn"][:, whole], found["nan"][:, whole] = zones["nan"][:, whole], 0
    return found


def same_zone(stored: np.void, made: np.void, kinds: Sequence[str | None]) -> bool:
    """Whether a zone row as it is stored sums up the records from which another was made.

    Parameters
    ----------
    stored, made : void
        Of `layout.told_dtype`.
    kinds : sequence of (str or None)
        Of the numeric fields.
    """
    if stored["polls"] != made["polls"] or not np.array_equal(stored["nan"], made["nan"]):
        return False
    if ((stored["turn"] != 0) & (stored["turn"] != made["turn"])).any():
        return False
    if stored["silence_us"] not in (0, made["silence_us"]):
        return False
    for column, kind in enumerate(kinds):
        for name in ("min", "max", "sum"):
            one, other = stored[name][column : column + 1], made[name][column : column + 1]
            if kind != "f8":
                if one[0] != other[0]:
                    return False
                continue
            a, b = float(one.view("<f8")[0]), float(other.view("<f8")[0])
            if name == "sum":
                # Writers may add in another order; the largest summand bounds how far that can lead them
                # apart.
                low, high = float(made["min"][column].view("<f8")), float(made["max"][column].view("<f8"))
                slack = 1e-12 * float(made["polls"]) * max(abs(low), abs(high))
                if np.isfinite(low) and np.isfinite(high) and slack > 1e295:
                    continue  # whether the sum passes the largest double depends on the order
                if not np.isclose(a, b, rtol=1e-9, atol=slack if np.isfinite(slack) else 0.0, equal_nan=True):
                    return False
            elif a != b:
                return False
    return True
