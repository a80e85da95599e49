"""Paths: how a user names a part of a payload that is more, or less, than one field."""

from __future__ import annotations

import re

import numpy as np

from fastrec.errors import SchemaError

__all__ = ["indices", "of_all", "split", "walk"]

_STEP = re.compile(r"([^.\[\]]+)((?:\[[0-9]{1,5}\])*)")
_INDEX = re.compile(r"\[([0-9]+)\]")
# As many indices as an array has axes, so that a long text of brackets is not searched again from each.
_ELEMENT = re.compile(r"(.+?)((?:\[[0-9]{1,5}\]){1,32})", re.DOTALL)


def split(path: str) -> tuple[str, tuple[int, ...]]:
    """Return a path without the index at its end, and that: ``"a[0].raw[3]"`` is ``"a[0].raw", (3,)``."""
    match = _ELEMENT.fullmatch(path)
    return (match[1], indices(match[2])) if match else (path, ())


def indices(path: str) -> tuple[int, ...]:
    """Return every index in a path, in its order."""
    return tuple(int(number) for number in _INDEX.findall(path))


def of_all(path: str) -> str:
    """Return the path of the same member of all structs: ``"motors[0].pos"`` is ``"motors.pos"``."""
    return _INDEX.sub("", path)


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
        index = indices(match[2])
        shape = rows.shape[axes:]
        if len(index) > len(shape) or any(i >= n for i, n in zip(index, shape, strict=False)):
            raise SchemaError(f"{path!r:.80}: {match[1]!r} has shape {shape}; index within it")
        rows = rows[(slice(None),) * axes + index]
    return rows
