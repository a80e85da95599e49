"""How much of each round trip is done, from records of WM_INDIVIDUALIZE_STATUS."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from fastrec.wmdrm.status import DRM_HTTP_STATUS

__all__ = ["Columns", "Progress", "RoundTrip", "progress"]


class Columns(Protocol):
    """Anything with the columns of the struct: `fastrec.records.Records`, or a structured array."""

    def __getitem__(self, name: str, /) -> np.ndarray: ...


@dataclass(frozen=True, slots=True)
class RoundTrip:
    """One round trip, as its last record left it.

    Attributes
    ----------
    number : int
        From 1.
    fraction : float or None
        0.0 to 1.0; None while the total is 0.
    progress, total : int
        Bytes, as recorded; `total` is 0 while unknown.
    first, stop : int
        Its records are ``records[first:stop]``.
    """

    number: int
    fraction: float | None
    progress: int
    total: int
    first: int
    stop: int


@dataclass(frozen=True, slots=True, eq=False)
class Progress:
    """What `progress` returns.

    Attributes
    ----------
    fraction : ndarray of float64, shape (n,)
        Of every record: 0.0 to 1.0, nan while the total is 0.
    round_trips : tuple of RoundTrip
        In the order of the records. A recording that starts late lacks the earlier ones, and one with several
        individualizations counts each from 1.
    """

    fraction: np.ndarray
    round_trips: tuple[RoundTrip, ...]


def progress(records: Columns | np.void) -> Progress:
    """Fraction done, per record and per round trip.

    Parameters
    ----------
    records : Records, structured ndarray, or one structured scalar
        With the members of ``WM_INDIVIDUALIZE_STATUS``, in order of time.

    Returns
    -------
    Progress

    Notes
    -----
    Computed in floating point: ``progress * 100`` in the struct's own 32 bits is wrong past 42,949,672 bytes.
    More progress than total counts as all of it; the records themselves keep what was read. `dwHTTPRequest`
    counts completed round trips, so a record belongs to the one after, except once its `enHTTPStatus` says
    HTTP_COMPLETED. Records from before the first round trip belong to none.
    """
    source = np.atleast_1d(records) if isinstance(records, np.void) else records
    done = np.asarray(source["dwHTTPReadProgress"])
    total = np.asarray(source["dwHTTPReadTotal"])
    fraction = np.full(len(total), np.nan)
    np.divide(done, total, out=fraction, where=total != 0)
    np.minimum(fraction, 1.0, out=fraction)
    return Progress(fraction, _round_trips(source, done, total, fraction))


def _round_trips(
    source: Columns | np.ndarray, done: np.ndarray, total: np.ndarray, fraction: np.ndarray
) -> tuple[RoundTrip, ...]:
    http = np.asarray(source["enHTTPStatus"])
    number = np.asarray(source["dwHTTPRequest"]).astype(np.int64)
    number[(http != DRM_HTTP_STATUS.HTTP_COMPLETED) & (http != DRM_HTTP_STATUS.HTTP_NOTINITIATED)] += 1
    bounds = np.concatenate(([0], np.flatnonzero(np.diff(number)) + 1, [len(number)]))
    return tuple(
        RoundTrip(
            number=int(number[first]),
            fraction=None if total[stop - 1] == 0 else float(fraction[stop - 1]),
            progress=int(done[stop - 1]),
            total=int(total[stop - 1]),
            first=int(first),
            stop=int(stop),
        )
        for first, stop in itertools.pairwise(bounds)
        if first < stop and number[first] > 0
    )
