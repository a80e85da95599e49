"""Copies of rows, byte for byte."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from fastrec.errors import CorruptionError

__all__ = ["as_bytes", "as_unsigned", "bytes_of_rows", "copy_of", "filled", "join_rows", "part_of", "picked"]


def as_bytes(rows: np.ndarray) -> np.ndarray:
    """The same memory with each row, or struct, as plain bytes.

    NumPy copies structs member by member: the padding of the copy is whatever its memory held before, and of
    a union one member survives. Bytes are copied as they are.
    """
    return rows.view(np.dtype((np.void, rows.dtype.itemsize)))


def as_unsigned(places: np.ndarray) -> np.ndarray:
    """Places as numbers are, u8, without a copy."""
    return np.asarray(places, np.int64).view(np.uint64)


def bytes_of_rows(array: np.ndarray) -> np.ndarray:
    """The memory of a contiguous array of any shape, what belongs to a row as plain bytes: shape (n,)."""
    size = array.dtype.itemsize * math.prod(array.shape[1:])
    return array.reshape(-1).view(np.uint8).reshape(len(array), size).view(np.dtype((np.void, size)))[:, 0]


def filled(into: np.ndarray, place: int) -> np.ndarray:
    """The array, if rows have come up to its end; else CorruptionError: its memory held something before."""
    if place < len(into):
        raise CorruptionError(f"of {len(into):,} records only {place:,} can be read")
    return into


def part_of(rows: np.ndarray, offset: int, size: int) -> np.ndarray:
    """These bytes of each row, as plain bytes: a view."""
    return as_bytes(rows).getfield(np.dtype((np.void, size)), offset)


def copy_of(rows: np.ndarray, place: int) -> np.void:
    """A record of its own, byte for byte."""
    return as_bytes(rows[place : place + 1]).copy().view(rows.dtype)[0]


def picked(rows: np.ndarray, places: np.ndarray, name: str | None) -> np.ndarray:
    """Copies of some rows, byte for byte, or of one column of theirs."""
    return as_bytes(rows)[places].view(rows.dtype) if name is None else rows[name][places]


def join_rows(parts: Sequence[np.ndarray]) -> np.ndarray:
    """One new array of several, at least one, of the same structured dtype; byte for byte."""
    return np.concatenate([as_bytes(part) for part in parts]).view(parts[0].dtype)
