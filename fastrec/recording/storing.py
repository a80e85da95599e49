"""How a running recorder stores: what was asked of it, in the units of the core."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from fastrec.errors import RecordingError, shown
from fastrec.times import named_duration

__all__ = ["SEGMENT_BYTES", "Storing", "as_storing"]

SEGMENT_BYTES = 256 << 20

_LEAST_SYNC = 1_000_000  # ns between two flushes


@dataclass(frozen=True)
class Storing:
    """What `as_storing` makes.

    Attributes
    ----------
    flush_ns : int
        Between two rounds of draining at most.
    durability : str
        ``"timed"``: flushed to the disk every `sync_ns`; ``"commit"``: each time; ``"never"``.
    sync_ns : int
    segment_bytes : int
        A new file is begun beyond this.
    """

    flush_ns: int
    durability: Literal["never", "timed", "commit"]
    sync_ns: int
    segment_bytes: int


def as_storing(*, flush: Any, durability: Any, segment_bytes: Any) -> Storing:
    """Check what a user said of storing; see `fastrec.Recorder`.

    Raises
    ------
    RecordingError
        A value that means nothing; the message names it.
    """
    if (
        isinstance(segment_bytes, bool)
        or not isinstance(segment_bytes, int | np.integer)
        or segment_bytes < 1
    ):
        raise RecordingError(f"segment_bytes={shown(segment_bytes)}; it is a number of bytes above 0")
    flush_ns = named_duration("flush", flush, "a duration such as '100ms'", RecordingError)
    kind, sync_ns = durability, 0
    if durability is None:
        kind = "never"
    elif not isinstance(durability, str) or durability != "commit":
        forms = "a duration such as '1s', 'commit' or None"
        kind, sync_ns = (
            "timed",
            max(named_duration("durability", durability, forms, RecordingError), _LEAST_SYNC),
        )
    return Storing(flush_ns, kind, sync_ns, int(segment_bytes))
