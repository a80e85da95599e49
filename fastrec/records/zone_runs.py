"""What zones tell of the states of a column, without a record being read."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fastrec.records.chunks import Chunk
from fastrec.records.columns import Column
from fastrec.records.ranges import Stretch

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


def zone_runs(chunk: Chunk, stretch: Stretch, column: Column) -> ZoneRuns:
    """What the zones of a stretch, which has some, tell of a column that they sum up."""
    field = column.field
    known, runs = chunk.zone_runs(*stretch.zones, column.zone, floating=field.kind == "f8")
    places, stops, patterns, stamps = runs.T.copy()
    with np.errstate(over="ignore", invalid="ignore"):
        values = patterns.view("<" + field.kind).astype(field.dtype)
    return ZoneRuns(known, places, stops, values, stamps)
