"""What zones tell of the states of a column, without a record being read."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fastrec.core import zone
from fastrec.records.columns import Column

__all__ = ["UNSEEN", "ZoneRuns", "zone_runs"]

UNSEEN = -(2**63)
"""A stamp that no row has but by damage; then it is read once more."""


class ZoneRuns(NamedTuple):
    """The states of zones that lie one behind the other, as far as they are known.

    Attributes
    ----------
    known : ndarray of bool, shape (z,)
        Zones that have one state throughout, or one and then another.
    places, stops : ndarray of int64, shape (n,)
        Of each run of one state in known zones where it begins, increasing, and where it ends. A state may go
        on in the next run.
    values : ndarray, shape (n,)
        The states.
    stamps : ndarray of int64, shape (n,)
        When the runs begin, ns; `UNSEEN` of those with which a zone begins.
    """

    known: np.ndarray
    places: np.ndarray
    stops: np.ndarray
    values: np.ndarray
    stamps: np.ndarray


def zone_runs(zones: np.ndarray, column: Column, place: int) -> ZoneRuns:
    """What some zones tell of a column.

    Parameters
    ----------
    zones : ndarray of told_dtype(1), shape (z,)
        Of the field of the column.
    column : Column
    place : int
        Where the first begins.
    """
    field, count = column.field, len(zones)
    words = np.ascontiguousarray(zones).view(np.uint64).reshape(count, -1)
    known, runs = np.empty(count, bool), np.empty((2 * count, 4), np.int64)
    found = runs[: zone.zone_runs(words, place, field.kind == "f8", runs, known.view(np.uint8))]
    places, stops, patterns, stamps = found.T.copy()
    with np.errstate(over="ignore", invalid="ignore"):
        values = patterns.view("<" + field.kind).astype(field.dtype)
    return ZoneRuns(known, places, stops, values, stamps)
