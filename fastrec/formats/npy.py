"""NumPy's ``.npy``: one structured array, which ``numpy.load`` opens without fastrec and without pickle."""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np

from fastrec.errors import FormatError
from fastrec.formats.target import replacing
from fastrec.records import Records
from fastrec.records.chunks import BLOCK

__all__ = ["write"]

_MOST_HEADER = 10_000


def write(
    records: Records, path: str | os.PathLike[str], *, decoded: bool = False, overwrite: bool = False
) -> None:
    """Write records to a ``.npy`` file.

    Parameters
    ----------
    records : Records
    path : path
    decoded : bool
        False: the bytes as they were recorded, described by ``schema.storage(store)``; texts are ids. True: a
        flat array with a column per leaf under its dotted name: ``U<n>`` for labels and texts (NULL is
        empty), float64 where there is a scale.
    overwrite : bool
        Whether a file of this name may be replaced.

    Raises
    ------
    FormatError
        If the file is there and `overwrite` is False, if it cannot be written, or if there are so many
        columns that numpy would not read it.
    """
    with replacing(path, overwrite=overwrite) as file:
        dtype = _decoded_dtype(records) if decoded else records.schema.storage(records.store)
        file.write(_header(dtype, len(records)))
        for part in _parts(records):
            array = _decoded(part, dtype) if decoded else part.to_numpy()
            file.write(array.tobytes())


def _header(dtype: np.dtype, count: int) -> bytes:
    descr = np.lib.format.dtype_to_descr(dtype)
    text = repr({"descr": descr, "fortran_order": False, "shape": (count,)}) + "\n"
    if len(text) > _MOST_HEADER:
        raise FormatError(
            f"{len(dtype.names)} columns make a header of {len(text)} characters, and numpy.load reads at"
            f" most {_MOST_HEADER}; export without decoded=True, or to .csv"
        )
    # Version 1.0 is Latin-1; 3.0, with a longer length, is UTF-8.
    version, size = ((1, 0), 2) if text.isascii() else ((3, 0), 4)
    start = np.lib.format.magic(*version)
    body = text.encode("utf-8")
    body = body[:-1] + b" " * (-(len(start) + size + len(body)) % 64) + b"\n"
    return start + len(body).to_bytes(size, "little") + body


def _parts(records: Records) -> Iterator[Records]:
    for start in range(0, len(records), BLOCK):
        yield records[start : start + BLOCK]


def _decoded_dtype(records: Records) -> np.dtype:
    """Looks at every value once, because NumPy's texts have one width per column."""
    columns = records[:0].decode()
    widths = {name: 1 for name, values in columns.items() if values.dtype == object}
    if widths:
        for part in _parts(records):
            values = part.decode()
            for name, width in widths.items():
                longest = max((len(text) for text in set(values[name].flat) if text is not None), default=1)
                widths[name] = max(width, longest)
    return np.dtype(
        [
            (name, f"U{widths[name]}" if name in widths else values.dtype, values.shape[1:])
            for name, values in columns.items()
        ]
    )


def _decoded(part: Records, dtype: np.dtype) -> np.ndarray:
    array = np.empty(len(part), dtype=dtype)
    for name, values in part.decode().items():
        if values.dtype == object:
            values = np.where(np.equal(values, None), "", values)
        array[name] = values
    return array
