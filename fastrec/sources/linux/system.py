"""The system as a whole: ``struct sysinfo`` of sysinfo(2)."""

from __future__ import annotations

import ctypes
from functools import cache

from fastrec.schema import Schema
from fastrec.sources.call import OUT, Call
from fastrec.sources.linux.layout import Known, described, laid_out

__all__ = ["sysinfo"]

_LOAD_SCALE = 1 / 65536  # SI_LOAD_SHIFT of linux/sysinfo.h

_MEMORY = {
    "totalram": "main memory that can be used",
    "freeram": "main memory that nothing uses",
    "sharedram": "memory of tmpfs and System V shared memory",
    "bufferram": "memory of block device buffers",
    "totalswap": "swap space",
    "freeswap": "swap space that nothing uses",
    "totalhigh": "memory the kernel has no permanent mapping of; 0 on 64-bit systems",
    "freehigh": "the free part of it",
}


class _Sysinfo(ctypes.Structure):
    """``struct sysinfo`` of ``linux/sysinfo.h``, whose last member is empty on 64-bit systems."""

    _fields_ = [
        ("uptime", ctypes.c_long),
        ("loads", ctypes.c_ulong * 3),
        ("totalram", ctypes.c_ulong),
        ("freeram", ctypes.c_ulong),
        ("sharedram", ctypes.c_ulong),
        ("bufferram", ctypes.c_ulong),
        ("totalswap", ctypes.c_ulong),
        ("freeswap", ctypes.c_ulong),
        ("procs", ctypes.c_uint16),
        ("_pad", ctypes.c_uint16),
        ("totalhigh", ctypes.c_ulong),
        ("freehigh", ctypes.c_ulong),
        ("mem_unit", ctypes.c_uint32),
    ]


@cache
def _schema(mem_unit: int) -> Schema:
    """The schema under which memory sizes are physical values in bytes."""
    known = {
        "uptime": Known("since boot, suspended time included, rounded up", "s"),
        "loads": Known("load average of 1, 5 and 15 minutes", scale=_LOAD_SCALE),
        "procs": Known("threads in the system, modulo 65,536"),
        "mem_unit": Known("what memory sizes count", "B"),
    }
    known |= {name: Known(doc, "B", mem_unit) for name, doc in _MEMORY.items()}
    return described("sysinfo", laid_out(_Sysinfo), known)


def sysinfo() -> Call:
    """``linux:sysinfo``: uptime, load, memory and swap of the system; by sysinfo(2).

    Returns
    -------
    Call
        Payload ``struct sysinfo``, 112 bytes. Physical values of memory are bytes, those of ``loads`` the
        load averages; raw ones count units of ``mem_unit`` bytes and of 1/65536.

    Raises
    ------
    SourceError
        The call failed. It is made once here, because only the kernel knows its ``mem_unit``.
    """
    function = ctypes.CDLL(None).sysinfo
    mem_unit = Call(function, OUT, schema=_schema(1)).read()["mem_unit"]
    return Call(function, OUT, schema=_schema(mem_unit or 1))
