"""What a record of equal polls can say of them (FORMAT.md, "Holds")."""

from __future__ import annotations

import numpy as np

__all__ = ["impossible"]


def impossible(rows: np.ndarray) -> np.ndarray:
    """Which holds cannot be, or do not end before the next one begins.

    Parameters
    ----------
    rows : structured ndarray, shape (n,)
        Consecutive records of a channel with ``store="changes"``.

    Returns
    -------
    ndarray of bool, shape (n,)
    """
    stamps, polls, most = rows["mono_ns"], rows["polls"], rows["max_gap_ns"]
    length = rows["until_ns"] - stamps
    between = np.maximum(polls.astype(np.int64), 2) - 1
    wrong = (polls == 0) | (most < 0) | (most > length) | ((polls == 1) & (length != 0))
    wrong |= (polls > 1) & (most < -(-length // between))
    wrong[:-1] |= rows["until_ns"][:-1] > stamps[1:]
    return wrong
