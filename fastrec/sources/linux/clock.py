"""The system clock and who disciplines it: ``struct timex`` of adjtimex(2)."""

from __future__ import annotations

import ctypes
import enum
from functools import cache

from fastrec.schema import Schema
from fastrec.sources.call import OUT, Call
from fastrec.sources.linux.layout import Known, described, laid_out

__all__ = ["timex"]

_PPM = ("ppm", 1 / 65536)  # "scaled ppm" of adjtimex(2): 16 bits of fraction
_NANO = "us; ns while status has STA_NANO"


class _Status(enum.IntFlag):
    """``STA_*`` of ``sys/timex.h``."""

    STA_PLL = 0x0001  #: phase-locked loop
    STA_PPSFREQ = 0x0002  #: frequency follows the pulse per second
    STA_PPSTIME = 0x0004  #: time follows the pulse per second
    STA_FLL = 0x0008  #: frequency-locked loop
    STA_INS = 0x0010  #: a second will be inserted at the end of the day
    STA_DEL = 0x0020  #: a second will be deleted
    STA_UNSYNC = 0x0040  #: nobody synchronizes the clock
    STA_FREQHOLD = 0x0080  #: frequency is held
    STA_PPSSIGNAL = 0x0100  #: there is a pulse per second
    STA_PPSJITTER = 0x0200  #: its jitter is too large
    STA_PPSWANDER = 0x0400  #: its wander is too large
    STA_PPSERROR = 0x0800  #: its calibration failed
    STA_CLOCKERR = 0x1000  #: the clock's hardware failed
    STA_NANO = 0x2000  #: some members are in ns instead of us
    STA_MODE = 0x4000  #: the frequency-locked loop is in use
    STA_CLK = 0x8000  #: clock source B


_KNOWN = {
    "modes": Known("what to set: 0, because this source only looks"),
    "offset": Known(f"what the clock still has to be moved by, in {_NANO}"),
    "freq": Known("correction of the frequency", *_PPM),
    "maxerror": Known("largest error of the clock", "us"),
    "esterror": Known("estimated error of the clock", "us"),
    "status": Known("what disciplines the clock, and what is wrong with it", labels=_Status),
    "constant": Known("time constant of the phase-locked loop"),
    "precision": Known("precision of the clock", "us"),
    "tolerance": Known("largest correction of the frequency that is possible", *_PPM),
    "time.tv_sec": Known("time of day when asked: whole seconds since 1970", "s"),
    "time.tv_usec": Known(f"time of day when asked: the rest, in {_NANO}"),
    "tick": Known("length of a clock tick of 1/100 s", "us"),
    "ppsfreq": Known("pulse per second: frequency", *_PPM),
    "jitter": Known(f"pulse per second: jitter, in {_NANO}"),
    "shift": Known("pulse per second: length of a calibration interval, 2**shift s"),
    "stabil": Known("pulse per second: wander of the frequency", *_PPM),
    "jitcnt": Known("pulse per second: pulses beyond the limit of jitter"),
    "calcnt": Known("pulse per second: calibration intervals"),
    "errcnt": Known("pulse per second: calibration errors"),
    "stbcnt": Known("pulse per second: intervals beyond the limit of wander"),
    "tai": Known("TAI - UTC; 0 until somebody sets it", "s"),
}


class _Timeval(ctypes.Structure):
    _fields_ = [("tv_sec", ctypes.c_long), ("tv_usec", ctypes.c_long)]


class _Timex(ctypes.Structure):
    """``struct timex`` of ``sys/timex.h``."""

    _fields_ = [
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("constant", ctypes.c_long),
        ("precision", ctypes.c_long),
        ("tolerance", ctypes.c_long),
        ("time", _Timeval),
        ("tick", ctypes.c_long),
        ("ppsfreq", ctypes.c_long),
        ("jitter", ctypes.c_long),
        ("shift", ctypes.c_int),
        ("stabil", ctypes.c_long),
        ("jitcnt", ctypes.c_long),
        ("calcnt", ctypes.c_long),
        ("errcnt", ctypes.c_long),
        ("stbcnt", ctypes.c_long),
        ("tai", ctypes.c_int),
        ("_reserved", ctypes.c_int * 11),
    ]


@cache
def _schema() -> Schema:
    return described("timex", laid_out(_Timex), _KNOWN)


def timex() -> Call:
    """``linux:timex``: the system clock's time, error, frequency and discipline; by adjtimex(2).

    Returns
    -------
    Call
        Payload ``struct timex``, 208 bytes. Frequencies are ppm as physical values, 1/65536 ppm raw.
        ``offset``, ``jitter`` and ``time.tv_usec`` are in us, or in ns in records whose ``status`` has
        STA_NANO.

    Notes
    -----
    ``modes`` is 0 before every call, so nothing is ever set and no privilege is needed. The state that
    adjtimex returns is not kept: ``STA_INS``, ``STA_DEL`` and ``STA_UNSYNC`` in ``status`` tell what it says.
    """
    function = ctypes.CDLL(None).adjtimex
    return Call(function, OUT(init={"modes": 0}), schema=_schema(), returns="nonnegative")
