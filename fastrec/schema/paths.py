"""Paths: how a user names a part of a payload that is more, or less, than one field."""

from __future__ import annotations

import re

import numpy as np

from fastrec.errors import SchemaError

__all__ = ["walk"]

_STEP = re.compile(r"([^.\[\]]+)((?:\[[0-9]{1,5}\])*)")


def walk(rows: np.ndarray, path: str) -> np.ndarray | None:
    """Return a view of one part of every row, or None if there is no such part.

    Parameters
    ----------
    rows : structured ndarray, shape (n,)
    path : str
        ``"motors"``, ``"motors[0]"``, ``"motors[0].pos"``, ``"motors.pos"`` (of all of them), ``"raw[3]"``.

    Raises
    ------
    SchemaError
        The part is there, but the index is outside it.
    """
    for step in path.split("."):
        match = _STEP.fullmatch(step)
        if match is None or match[1] not in (rows.dtype.names or ()):
            return None
        axes = rows.ndim
        rows = rows[match[1]]
        index = tuple(int(number) for number in re.findall("[0-9]+", match[2]))
        shape = rows.shape[axes:]
        if len(index) > len(shape) or any(i >= n for i, n in zip(index, shape, strict=False)):
            raise SchemaError(f"{path!r:.80}: {match[1]!r} has shape {shape}; index within it")
        rows = rows[(slice(None),) * axes + index]
    return rows
