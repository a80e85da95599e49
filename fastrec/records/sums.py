"""Sums of a numeric column: of records that zones sum up by the zones, of others by the same kernel."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from fastrec.core.zone import zone_of
from fastrec.records.chunks import BLOCK, ZONE, Chunk
from fastrec.records.columns import Column
from fastrec.records.ranges import divided
from fastrec.records.rows import Span
from fastrec.schema import Field
from fastrec.schema.readable import native, physical

__all__ = ["SUM_DTYPE", "exact", "physical_ends", "pieces", "total", "widths_fit"]

SUM_DTYPE = np.dtype(
    [
        ("start", "<i8"),
        ("stop", "<i8"),
        ("polls", "<u8"),
        ("min", "<u8"),
        ("max", "<u8"),
        ("sum", "<u8"),
        ("nan", "<u8"),
    ]
)
"""Rows ``start ... stop - 1`` of a chunk, and what a zone says of them (FORMAT.md): patterns of 8 bytes."""


def pieces(span: Span, column: Column) -> Iterator[np.ndarray]:
    """Some rows in pieces, one behind the other: zones where there are some.

    Parameters
    ----------
    span : Span
    column : Column
        Of a numeric scalar.

    Yields
    ------
    ndarray of SUM_DTYPE
    """
    chunk = span.chunk
    for stretch in divided(span, zoned=column.zone is not None):
        yield from _read(chunk, column, stretch.start, stretch.begin)
        if stretch.zones:
            some = chunk.zones(*stretch.zones, [column.zone])
            found = np.empty(len(some), SUM_DTYPE)
            found["start"] = stretch.starts
            found["stop"] = found["start"] + ZONE
            found["polls"] = some["polls"]
            for name in ("min", "max", "sum", "nan"):
                found[name] = some[name][:, 0]
            yield found
        yield from _read(chunk, column, stretch.end, stretch.stop)


def _read(chunk: Chunk, column: Column, start: int, stop: int) -> Iterator[np.ndarray]:
    for low in range(start, stop, BLOCK):
        high = min(low + BLOCK, stop)
        yield _piece(column, chunk.rows(low, high), low)


def _piece(column: Column, rows: np.ndarray, start: int) -> np.ndarray:
    """Some rows of a chunk, from place `start` on, as one piece: ndarray of SUM_DTYPE, shape (1,)."""
    holds = rows.dtype.fields.get("until_ns")
    weight = rows.dtype.fields["polls"][1] if holds else 0
    data = np.ascontiguousarray(rows).view(np.uint8)
    found = zone_of(data, rows.dtype.itemsize, [column.load], weight)
    return np.array([(start, start + len(rows), *np.frombuffer(found, "<u8", 5).tolist())], SUM_DTYPE)


def total(chunk: Chunk, found: np.ndarray, column: Column) -> int | float:
    """Sum of all polls of some pieces of a chunk, NaN aside; of integers exactly.

    Parameters
    ----------
    chunk : Chunk
    found : ndarray of SUM_DTYPE
    column : Column
    """
    if column.load.kind == "f":
        with np.errstate(over="ignore", invalid="ignore"):
            return float(found["sum"].view("<f8").sum())
    # Sums are kept modulo 2**64. What is above `polls` times the smallest is known where it is less; where
    # it may be more the numbers themselves are asked.
    narrow = widths_fit(found["min"], found["max"], found["polls"])
    wide = (
        _of_rows(chunk.rows(start, min(start + BLOCK, stop)), column)
        for begin, stop in found[["start", "stop"]][~narrow].tolist()
        for start in range(begin, stop, BLOCK)
    )
    some = found[narrow]
    polls, least = some["polls"], some["min"]
    above = some["sum"] - polls * least
    return _weighted(least.view(f"<{column.load.kind}8"), polls) + exact(above) + sum(wide)


def _of_rows(rows: np.ndarray, column: Column) -> int:
    """Sum of the polls of some rows, number by number."""
    values = native(column.numbers(rows)).astype(f"<{column.load.kind}8")
    holds = rows.dtype.fields.get("until_ns")
    return _weighted(values, rows["polls"] if holds else np.ones(len(rows), np.uint64))


def _weighted(values: np.ndarray, weights: np.ndarray) -> int:
    """Sum of products of integers of 64 bits."""
    if not len(values):
        return 0
    floor = int(values.min())
    over = values.view(np.uint64) - np.uint64(floor % 2**64)
    if _fits(over, weights).all():
        return floor * exact(weights) + exact(weights * over)
    if (weights == 1).all():
        return floor * len(values) + exact(over)
    return int(np.dot(weights.astype(object), values.astype(object)))


def widths_fit(least: np.ndarray, most: np.ndarray, polls: np.ndarray) -> np.ndarray:
    """Of which zones a sum of integers modulo 2**64 tells the sum; all of them are patterns of 8 bytes."""
    return _fits(most - least, polls)


def _fits(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Which products of these are surely below 2**64."""
    return one.astype(np.float64) * other.astype(np.float64) < 2.0**63


def exact(numbers: np.ndarray) -> int:
    """Sum of numbers of 64 bits, beyond 64 bits."""
    return (int((numbers >> np.uint64(32)).sum()) << 32) + int((numbers & np.uint64(0xFFFF_FFFF)).sum())


def physical_ends(field: Field, least: np.ndarray, most: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Physical values of the ends; a scale below 0 turns them round."""
    ends = [physical(field, one.astype(field.dtype)) for one in (least, most)]
    return tuple(ends if field.scale > 0 else reversed(ends))
