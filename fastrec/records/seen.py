"""How often the rows of holds were seen: of whole zones by what these sum up, of others by themselves."""

from __future__ import annotations

import numpy as np

from fastrec.records.chunks import ZONE, Chunk
from fastrec.records.ranges import inside
from fastrec.records.rows import Span

__all__ = ["polls_before"]


def polls_before(chunk: Chunk, start: int, places: np.ndarray) -> np.ndarray:
    """For how many polls the rows from one on stand, up to each of some places.

    Parameters
    ----------
    chunk : Chunk
        Of holds.
    start : int
    places : ndarray of int64, shape (n,)
        Increasing, at least one, none before `start`.

    Returns
    -------
    ndarray of uint64, shape (n,)
        Modulo 2**64. Of a zone in which none of the places lies nothing is read.
    """
    zones = chunk.zone_starts
    low, high = inside(zones, Span(chunk, start, int(places[-1])))
    summed, borders = np.empty(0, np.uint64), places[-1:]
    if low < high:
        told = chunk.zones(low, high, ())["polls"]
        if (told >= ZONE).all():  # a record is at least one poll: what has fewer than records was made up
            summed, borders = told, np.arange(zones[low], zones[high - 1] + ZONE + 1, ZONE)
    # Of the pieces between them the first is in no whole zone, and neither is what lies behind the last.
    edges = np.concatenate([[start], borders])
    piece = np.searchsorted(edges, places, "right") - 1
    within = places > edges[piece]
    asked = np.concatenate([edges[1:2], places[within]])
    owner = np.concatenate([[0], piece[within]])
    known = _read(chunk, asked, edges[owner])
    before = np.concatenate([np.zeros(1, np.uint64), known[:1], summed]).cumsum(dtype=np.uint64)
    found = before[piece]
    found[within] += known[1:]
    return found


def _read(chunk: Chunk, places: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """The polls of the rows from some starts, which never decrease, up to places; by the rows."""
    found = np.zeros(len(places), np.uint64)
    begins, which = np.unique(starts, return_inverse=True)
    ends = begins.copy()
    np.maximum.at(ends, which, places)
    filled = begins < ends
    carried = np.zeros(1, np.uint64)  # an array: sums of scalars warn where they wrap
    for part in chunk.parts(begins[filled], ends[filled]):
        through = np.concatenate([np.zeros(1, np.uint64), np.cumsum(part.array["polls"], dtype=np.uint64)])
        first, last = through[part.begins], through[part.ends]
        # Of a range that was divided, what lies before this part.
        shift = np.zeros(len(first), np.uint64)
        if part.starts[0] not in begins:
            shift[:1] = carried
        here = np.searchsorted(part.stops, places)
        inner = here < len(first)
        inner[inner] = part.starts[here[inner]] < places[inner]
        at = here[inner]
        found[inner] = shift[at] + through[part.begins[at] + places[inner] - part.starts[at]] - first[at]
        carried = shift[-1:] + last[-1:] - first[-1:]
    return found
