"""How a running recorder stores: what was asked of it, in the units of the core."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from fastrec.durations import named_duration
from fastrec.errors import RecordingError, shown

__all__ = ["SEGMENT_BYTES", "Storing", "as_storing", "byte_count"]

SEGMENT_BYTES = 256 << 20

_LEAST_SYNC = 1_000_000  # ns between two flushes
_PARTS = 16  # segments to which what is kept comes, if nothing is said of them
_MOST_SECONDS = 1e9
_SIZE = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,9})?) *(?:([kKMGT])(i?))?B?")


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
    segment_ns : int
        And after this time; 0: no limit.
    keep_bytes, keep_ns, min_free : int
        What is kept of what was recorded; 0: all of it.
    keep_windows, keep_window_bytes : int
        How many windows are kept, and how many bytes of them; 0: all.
    """

    flush_ns: int
    durability: Literal["never", "timed", "commit"]
    sync_ns: int
    segment_bytes: int
    segment_ns: int = 0
    keep_bytes: int = 0
    keep_ns: int = 0
    min_free: int = 0
    keep_windows: int = 0
    keep_window_bytes: int = 0

    @property
    def limited(self) -> bool:
        """Whether anything is ever removed."""
        return bool(self.keep_bytes or self.keep_ns or self.min_free)


def as_storing(
    *,
    flush: Any,
    durability: Any,
    segment_bytes: Any = None,
    segment_seconds: Any = None,
    keep_bytes: Any = None,
    keep_seconds: Any = None,
    min_free: Any = None,
    keep_windows: Any = None,
) -> Storing:
    """Check what a user said of storing; see `fastrec.Recorder`.

    Raises
    ------
    RecordingError
        A value that means nothing; the message names it.
    """
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
    keep, keep_ns = _bytes("keep_bytes", keep_bytes), _seconds("keep_seconds", keep_seconds)
    size, segment_ns = _bytes("segment_bytes", segment_bytes), _seconds("segment_seconds", segment_seconds)
    # Segments are removed whole: what is kept is to be many of them, so that it stays near the budget.
    size = size or min(SEGMENT_BYTES, max(keep // _PARTS, 1) if keep else SEGMENT_BYTES)
    if keep and size > keep // 2:
        raise RecordingError(
            f"keep_bytes={keep:,} with segment_bytes={size:,}: segments are removed whole; let at least two"
            " be kept, or leave segment_bytes out"
        )
    if keep_ns and segment_ns > keep_ns:
        raise RecordingError(
            f"keep_seconds={keep_seconds} with segment_seconds={segment_seconds}: segments are removed"
            " whole; let them be shorter, or leave segment_seconds out"
        )
    if keep_ns and not segment_ns:
        segment_ns = max(keep_ns // _PARTS, 1_000_000_000)
    free, windows = _bytes("min_free", min_free), _windows(keep_windows)
    return Storing(flush_ns, kind, sync_ns, size, segment_ns, keep, keep_ns, free, *windows)


def byte_count(text: str) -> int | None:
    """Bytes: a number, with a unit of 1000 (``20GB``) or of 1024 (``256MiB``); None: it is none."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        return None
    number = float(match[1]) * (1024 if match[3] else 1000) ** " KMGT".index((match[2] or " ").upper())
    return int(number) if 1 <= number < 1 << 62 else None


def _windows(value: Any) -> tuple[int, int]:
    """How many windows are kept, and how many bytes of them."""
    if value is None:
        return 0, 0
    if isinstance(value, int | np.integer) and not isinstance(value, bool) and value >= 1:
        return min(int(value), 1 << 62), 0
    if isinstance(value, str) and (size := byte_count(value)):
        return 0, size
    raise RecordingError(
        f"keep_windows={shown(value)}; it is a number of windows, bytes such as '2GB', or None"
    )


def _bytes(name: str, value: Any) -> int:
    """A number of bytes; 0 for None."""
    if value is None:
        return 0
    number = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not number or value < 1:
        raise RecordingError(f"{name}={shown(value)}; it is a number of bytes above 0")
    return min(int(value), 1 << 62)


def _seconds(name: str, value: Any) -> int:
    """Seconds, or a duration, in ns; 0 for None."""
    if value is None:
        return 0
    number = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    if number and 0.001 <= value <= _MOST_SECONDS:
        return round(value * 1_000_000_000)
    forms = "a number of seconds, or a duration such as '10min'; at least 1 ms"
    if number:
        raise RecordingError(f"{name}={shown(value)}; it is {forms}")
    length = named_duration(name, value, forms, RecordingError)
    if length < 1_000_000:
        raise RecordingError(f"{name}={shown(value)}; it is {forms}")
    return length
