"""Several channels as one sequence in the order of time."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping
from operator import itemgetter
from typing import TypeVar

from fastrec.records.chunks import BLOCK
from fastrec.records.records import Records

__all__ = ["Reader", "merge", "parts"]

Item = TypeVar("Item")

Reader = Callable[[str, Iterator[Records]], Iterable[tuple[int, Item]]]
"""From a channel's name and its records, part by part, to its items, each with its stamp."""

# The first part is small, so that the first record is there at once. The largest holds up a replay for no
# longer than it takes to decode it.
_FIRST_PART = 64
_LARGEST_PART = 256


def parts(records: Records) -> Iterator[Records]:
    """The same records in consecutive parts of at most 256; the first is smaller."""
    size = _FIRST_PART
    for begin in range(0, len(records), BLOCK):
        # A slice looks at all chunks and gaps of what it is cut from: small ones are cut from a small one.
        block, start = records[begin : begin + BLOCK], 0
        while start < len(block):
            yield block[start : start + size]
            start, size = start + size, min(2 * size, _LARGEST_PART)


def merge(channels: Mapping[str, Records], read: Reader[Item]) -> Iterator[tuple[int, str, Item]]:
    """Items of several channels in the order of their stamps.

    Every channel keeps its own order: where its stamps run backwards, what is late comes as soon as what was
    before it. Equal stamps come in the order of the mapping. One part of each channel is in memory at a time.

    Parameters
    ----------
    channels : mapping of str to Records
    read : Reader
        Makes items of a channel's parts. It may leave records out, and add items between them.

    Yields
    ------
    (int, str, item)
        The stamp in ns, the channel's name in the mapping, what `read` made.
    """
    return heapq.merge(
        *(_named(name, read(name, parts(records))) for name, records in channels.items()), key=itemgetter(0)
    )


def _named(name: str, items: Iterable[tuple[int, Item]]) -> Iterator[tuple[int, str, Item]]:
    for stamp, item in items:
        yield stamp, name, item
