"""What a process has used: ``struct rusage`` of getrusage(2)."""

from __future__ import annotations

import ctypes
from functools import cache

from fastrec.schema import Schema
from fastrec.sources.call import OUT, Call
from fastrec.sources.linux.layout import Known, described, laid_out

__all__ = ["rusage"]

RUSAGE_SELF = 0

_UNUSED = Known("always 0: Linux does not keep it")

_KNOWN = {
    "ru_utime.tv_sec": Known("time in user mode: whole seconds", "s"),
    "ru_utime.tv_usec": Known("time in user mode: the rest", "us"),
    "ru_stime.tv_sec": Known("time in the kernel: whole seconds", "s"),
    "ru_stime.tv_usec": Known("time in the kernel: the rest", "us"),
    "ru_maxrss": Known("largest resident set so far", "KiB"),
    "ru_ixrss": _UNUSED,
    "ru_idrss": _UNUSED,
    "ru_isrss": _UNUSED,
    "ru_minflt": Known("page faults served without I/O"),
    "ru_majflt": Known("page faults that needed I/O"),
    "ru_nswap": _UNUSED,
    "ru_inblock": Known("blocks read from disk", "512 B"),
    "ru_oublock": Known("blocks written to disk", "512 B"),
    "ru_msgsnd": _UNUSED,
    "ru_msgrcv": _UNUSED,
    "ru_nsignals": _UNUSED,
    "ru_nvcsw": Known("waits: the processor was given up"),
    "ru_nivcsw": Known("preemptions: the processor was taken away"),
}


class _Timeval(ctypes.Structure):
    _fields_ = [("tv_sec", ctypes.c_long), ("tv_usec", ctypes.c_long)]


class _Rusage(ctypes.Structure):
    """``struct rusage`` of ``sys/resource.h``."""

    _fields_ = [
        ("ru_utime", _Timeval),
        ("ru_stime", _Timeval),
        *((name, ctypes.c_long) for name in _KNOWN if "." not in name),
    ]


@cache
def _schema() -> Schema:
    return described("rusage", laid_out(_Rusage), _KNOWN)


def rusage() -> Call:
    """``linux:rusage``: what this process, all its threads together, has used; by getrusage(2).

    Returns
    -------
    Call
        Payload ``struct rusage``, 144 bytes: times in ``s`` and ``us``, sizes in ``KiB``, counts that never
        fall.
    """
    return Call(ctypes.CDLL(None).getrusage, RUSAGE_SELF, OUT, schema=_schema())
