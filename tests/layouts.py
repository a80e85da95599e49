"""The two ways to read NumPy's objects: by the layout that was proved, and as buffers like any other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from fastrec.core.push import learn_numpy

LAYOUTS = ("layout", "buffers")


def proof(array: np.ndarray) -> tuple[np.ndarray, np.void, np.record, np.dtype]:
    """What `learn_numpy` takes."""
    return array, array[1, 2], array.view(np.recarray)[1, 2], np.dtype(np.int64)


@contextmanager
def reading(layout: str) -> Iterator[None]:
    """NumPy's objects are read by one of `LAYOUTS`."""
    good = proof(np.zeros((2, 3), "<i4,<f8"))
    assert learn_numpy(good[0], object(), *good[2:]) is False
    try:
        assert layout == "buffers" or learn_numpy(*good)
        yield
    finally:
        assert learn_numpy(*good)
