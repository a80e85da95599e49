"""Ranges of rows: which of them are zones, and how the core takes them."""

from __future__ import annotations

import numpy as np

from fastrec.records.chunks import ZONE, Part
from fastrec.records.rows import Span

__all__ = ["ZONES", "bytes_of", "inside", "one_range", "stretches"]

ZONES = 8_192
"""Zones that are looked at in one go."""


def one_range(start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
    """One range of rows, or none if it is empty."""
    return np.full(int(start < stop), start), np.full(int(start < stop), stop)


def inside(zones: range, span: Span) -> tuple[int, int]:
    """Which of the zones lie wholly within some rows."""
    if not zones:
        return 0, 0
    low = max(0, -(-(span.start - zones.start) // ZONE))
    return low, max(low, min(len(zones), (span.stop - zones.start) // ZONE))


def stretches(truths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where stretches of True begin, and where they end."""
    edges = np.flatnonzero(np.diff(truths, prepend=False, append=False))
    return edges[::2], edges[1::2]


def bytes_of(part: Part) -> np.ndarray:
    """The rows as the core takes them."""
    return np.ascontiguousarray(part.array).view(np.uint8)
