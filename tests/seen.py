"""The getter of ``pacing.c``: what it saw when it was called."""

from __future__ import annotations

import ctypes

import numpy as np

import fastrec as fr

SEEN = np.dtype([("called", "<i8"), ("number", "<u8"), ("thread", "<i4"), ("slack", "<i4")])


def seen(getters: ctypes.CDLL) -> fr.Call:
    """A source of its own at each call."""
    return fr.Call(getters.get_seen, fr.OUT, schema=SEEN)
