"""Gaps: what a lost record leaves behind. The numbers are those of ``format.h``; a test compares the two."""

from __future__ import annotations

import enum

import numpy as np

__all__ = ["GAP_DTYPE", "OWN_NUMBERS", "Cause", "gaps_of", "join", "numbered"]

GAP_DTYPE = np.dtype(
    [
        ("seq", "<u8"),
        ("count", "<u8"),
        ("cause", "<u4"),
        ("code", "<i4"),
        ("t_first", "<i8"),
        ("t_last", "<i8"),
    ]
)
"""One loss: 40 bytes, as in the gap ring and, with a checksum behind it, in ``gaps.npy``."""


class Cause(enum.IntEnum):
    """Why records are missing."""

    OVERWRITTEN = 1  #: the ring lapped whoever was reading it
    DROPPED = 2  #: the ring was full and its channel drops
    MISSED = 3  #: a deadline passed while a call went on or nobody ran us; ``code`` 16 (EBUSY): paused
    FAILED = 4  #: the call said so; ``code`` is what it returned
    DISK = 5  #: the recording could not take them; ``code`` is the errno
    PRODUCER = 6  #: the process that publishes died or started again
    RETIRED = 7  #: retention removed the segment that held them


OWN_NUMBERS = frozenset({Cause.OVERWRITTEN, Cause.DISK, Cause.RETIRED})
"""Causes whose gaps stand for the numbers ``seq ... seq + count - 1``; the others lie just before ``seq``."""


def gaps_of(rows: np.ndarray) -> np.ndarray:
    """The losses, ndarray of GAP_DTYPE, of rows that have more members: of ``gaps.npy``, or of a ring."""
    return rows[list(GAP_DTYPE.names)].astype(GAP_DTYPE)


def numbered(gaps: np.ndarray) -> np.ndarray:
    """Which gaps stand for records that had numbers: ndarray of bool."""
    if not len(gaps):  # as of most segments, and what follows takes as long as for a thousand
        return np.zeros(0, bool)
    return np.isin(gaps["cause"], [int(cause) for cause in OWN_NUMBERS])


def join(gaps: np.ndarray) -> np.ndarray:
    """Sort gaps and join the pieces in which one loss was published.

    A loss that goes on is published every 10 ms. Two pieces adjoin when cause and code are the same and the
    second lies where the first ended: at ``seq + count`` for causes that use up numbers, at the same ``seq``
    for the others.

    Parameters
    ----------
    gaps : ndarray of GAP_DTYPE, shape (n,)
        In any order.

    Returns
    -------
    ndarray of GAP_DTYPE, shape (m,), m <= n
        Sorted by ``seq``, then time; a copy. Counts add up to the same total per cause and code.
    """
    pieces = np.asarray(gaps, dtype=GAP_DTYPE)
    if len(pieces) < 2:
        return pieces.copy()
    pieces = pieces[np.lexsort((pieces["t_first"], pieces["seq"], pieces["code"], pieces["cause"]))]
    counts = np.where(numbered(pieces), pieces["count"], 0)
    first = np.ones(len(pieces), dtype=bool)
    first[1:] = (
        (pieces["cause"][1:] != pieces["cause"][:-1])
        | (pieces["code"][1:] != pieces["code"][:-1])
        | (pieces["seq"][1:] != pieces["seq"][:-1] + counts[:-1])
    )
    starts = np.flatnonzero(first)
    joined = pieces[starts]
    joined["count"] = np.add.reduceat(pieces["count"], starts)
    joined["t_first"] = np.minimum.reduceat(pieces["t_first"], starts)
    joined["t_last"] = np.maximum.reduceat(pieces["t_last"], starts)
    return joined[np.lexsort((joined["cause"], joined["t_first"], joined["seq"]))]
