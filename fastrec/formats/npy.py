"""NumPy's ``.npy``: one structured array, which ``numpy.load`` opens without fastrec and without pickle."""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np

from fastrec.errors import FormatError
from fastrec.formats.blocks import blocks
from fastrec.formats.target import replacing
from fastrec.records import Records
from fastrec.records.columns import column_names
from fastrec.schema.texts import LOST

__all__ = ["decoded", "decoded_dtype", "header", "write"]

_MOST_HEADER = 10_000


def write(
    records: Records,
    path: str | os.PathLike[str],
    *,
    decoded: bool = False,
    overwrite: bool = False,
    progress: Callable[[int, int], object] | None = None,
) -> None:
    """Write records to a ``.npy`` file.

    Parameters
    ----------
    records : Records
    path : path
    decoded : bool
        False: the bytes as they were recorded, described by ``schema.storage(store)``; texts are ids. True: a
        flat array with a column per leaf under its dotted name: ``U<n>`` for labels and texts (empty for
        NULL, and for one that was lost: their ids, 0 and all ones, tell them apart), float64 where there is a
        scale.
    overwrite : bool
        Whether a file of this name may be replaced.
    progress : callable, optional
        Called with the number of records written so far and their total, at the start, after each block, and
        so at the end. What it raises ends the export, and no file is left.

    Raises
    ------
    FormatError
        If the file is there and `overwrite` is False, if it cannot be written, or if there are so many
        columns that numpy would not read it.
    """
    with replacing(path, overwrite=overwrite) as file:
        dtype = _decoded_dtype(records) if decoded else records.schema.storage(records.store)
        file.write(header(dtype, (len(records),)))
        for part in blocks(records, progress=progress):
            array = _decoded(part, dtype) if decoded else part.to_numpy()
            file.write(array.tobytes())


def header(dtype: np.dtype, shape: tuple[int, ...]) -> bytes:
    """What stands before the values of an array, in C order, in a ``.npy`` file.

    Raises
    ------
    FormatError
        If numpy would not read so long a header.
    """
    descr = np.lib.format.dtype_to_descr(dtype)
    text = repr({"descr": descr, "fortran_order": False, "shape": shape}) + "\n"
    if len(text) > _MOST_HEADER:
        raise FormatError(
            f"{len(dtype.names)} columns make a header of {len(text)} characters, and numpy.load reads at"
            f" most {_MOST_HEADER}; export without decoded=True, or to .npz or .csv"
        )
    # Version 1.0 is Latin-1; 3.0, with a longer length, is UTF-8.
    version, size = ((1, 0), 2) if text.isascii() else ((3, 0), 4)
    start = np.lib.format.magic(*version)
    body = text.encode("utf-8")
    body = body[:-1] + b" " * (-(len(start) + size + len(body)) % 64) + b"\n"
    return start + len(body).to_bytes(size, "little") + body


def decoded_dtype(records: Records, name: str) -> tuple[np.dtype, tuple[int, ...]]:
    """Type and shape of one value of a column, as `decoded` makes it.

    Looks at every value once where there are texts, because NumPy's texts have one width per column.
    """
    values = records[:0].decode(name)[name]
    if values.dtype != object:
        return values.dtype, values.shape[1:]
    width = 1
    for part in blocks(records):
        texts = set(part.decode(name)[name].flat) - {None, LOST}
        width = max(width, *map(len, texts), 1)
    return np.dtype(f"U{width}"), values.shape[1:]


def decoded(part: Records, name: str) -> np.ndarray:
    """Values of a column as people read them, but NULL and what was lost are empty texts."""
    values = part.decode(name)[name]
    if values.dtype != object:
        return values
    return np.where(np.equal(values, None) | np.equal(values, LOST), "", values)


def _decoded_dtype(records: Records) -> np.dtype:
    names = column_names(records.schema, records.store)
    return np.dtype([(name, *decoded_dtype(records, name)) for name in names])


def _decoded(part: Records, dtype: np.dtype) -> np.ndarray:
    array = np.empty(len(part), dtype=dtype)
    for name in dtype.names:
        array[name] = decoded(part, name)
    return array
