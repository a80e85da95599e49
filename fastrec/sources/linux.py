"""Getters of Linux that fill a struct. Layouts are those of the 64-bit kernel ABI (getrusage(2))."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache

import numpy as np

from fastrec.errors import SourceError, suggest
from fastrec.schema import Schema
from fastrec.sources.call import OUT, Call

__all__ = ["build", "rusage"]

RUSAGE_SELF = 0

_TIMEVAL = np.dtype([("tv_sec", "<i8"), ("tv_usec", "<i8")])

_RUSAGE = {  # field: (unit, what it counts); those that Linux leaves at zero say so
    "ru_utime.tv_sec": ("s", "time in user mode: whole seconds"),
    "ru_utime.tv_usec": ("us", "time in user mode: the rest"),
    "ru_stime.tv_sec": ("s", "time in the kernel: whole seconds"),
    "ru_stime.tv_usec": ("us", "time in the kernel: the rest"),
    "ru_maxrss": ("KiB", "largest resident set so far"),
    "ru_ixrss": ("", "unused on Linux"),
    "ru_idrss": ("", "unused on Linux"),
    "ru_isrss": ("", "unused on Linux"),
    "ru_minflt": ("", "page faults served without I/O"),
    "ru_majflt": ("", "page faults that needed I/O"),
    "ru_nswap": ("", "unused on Linux"),
    "ru_inblock": ("512 B", "blocks read from disk"),
    "ru_oublock": ("512 B", "blocks written to disk"),
    "ru_msgsnd": ("", "unused on Linux"),
    "ru_msgrcv": ("", "unused on Linux"),
    "ru_nsignals": ("", "unused on Linux"),
    "ru_nvcsw": ("", "waits: the processor was given up"),
    "ru_nivcsw": ("", "preemptions: the processor was taken away"),
}


@cache
def _rusage_schema() -> Schema:
    members = [("ru_utime", _TIMEVAL), ("ru_stime", _TIMEVAL)]
    members += [(name, np.dtype("<i8")) for name in _RUSAGE if "." not in name]
    return Schema.from_dtype(
        np.dtype(members),
        name="rusage",
        units={name: unit for name, (unit, _) in _RUSAGE.items() if unit},
        docs={name: doc for name, (_, doc) in _RUSAGE.items()},
    )


def rusage() -> Call:
    """``getrusage(RUSAGE_SELF)``: what this process has used. 144 bytes."""
    return Call(ctypes.CDLL(None).getrusage, RUSAGE_SELF, OUT, schema=_rusage_schema())


_GETTERS: dict[str, Callable[[], Call]] = {"rusage": rusage}


def build(name: str) -> Call:
    """The getter ``linux:NAME``.

    Raises
    ------
    SourceError
        There is none of this name.
    """
    if name not in _GETTERS:
        raise SourceError(f"linux has no getter {name!r}{suggest(name, _GETTERS)}")
    return _GETTERS[name]()
