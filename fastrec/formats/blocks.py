"""Records a block at a time: what every format writes in, and tells its progress by."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from fastrec.records import Records
from fastrec.records.chunks import BLOCK

__all__ = ["blocks"]


def blocks(
    records: Records, size: int | None = None, progress: Callable[[int, int], object] | None = None
) -> Iterator[Records]:
    """The records, `size` at a time, or so many that their values are no burden.

    `progress` is told how many are done, and the total: at the start, and when the next block is asked for.
    """
    total, size = len(records), size or BLOCK
    if progress:
        progress(0, total)
    for start in range(0, total, size):
        part = records[start : start + size]
        yield part
        if progress:
            progress(start + len(part), total)
