"""NumPy's ``.npz``: an array per column, which ``numpy.load`` reads one by one, without fastrec or pickle."""

from __future__ import annotations

import math
import os
import re
import zipfile
from collections.abc import Callable, Iterable

import numpy as np

from fastrec.formats import npy
from fastrec.formats.blocks import blocks
from fastrec.formats.target import replacing
from fastrec.records import Records
from fastrec.records.columns import column_names
from fastrec.records.plain import spare

__all__ = ["write"]

# What a path from a root begins with on some system; and what such a beginning is turned into here.
_ROOTED = re.compile(r"[/\\]|[A-Za-z]:|%[0-9A-F]{2}")


def write(
    records: Records,
    path: str | os.PathLike[str],
    *,
    decoded: bool = False,
    compress: bool = False,
    overwrite: bool = False,
    progress: Callable[[int, int], object] | None = None,
) -> None:
    """Write records to a ``.npz`` file: ``numpy.load(path)["ru_utime.tv_sec"]``.

    Parameters
    ----------
    records : Records
    path : path
    decoded : bool
        False: raw values as C stored them; texts are ids. True: ``U<n>`` for labels and texts (empty for
        NULL, and for one that was lost: their ids, 0 and all ones, tell them apart), float64 where there is a
        scale, else the raw values in native byte order.
    compress : bool
        Whether arrays are deflated; that takes many times as long.
    overwrite : bool
        Whether a file of this name may be replaced.
    progress : callable, optional
        Called with the number of records written so far and their total, at the start, after each block, and
        at the end; of ``n`` arrays each counts for an ``n``-th of every record. What it raises ends the
        export, and no file is left.

    Raises
    ------
    FormatError
        If the file is there and `overwrite` is False, or cannot be written.

    Notes
    -----
    The arrays: ``seq``, the records' numbers, u8; every column under its name, of shape ``(n, *shape)``;
    ``gaps``, what was lost, structured as `Records.gaps`, whose ``seq`` counts as the first array does. If a
    field is called ``seq`` or ``gaps``, ours are ``seq_`` and ``gaps_``.

    Columns are written one after another, so the records are read once per column, a block at a time.

    An archive may be unpacked by other tools, so no name in it is a path from a root: of a name that begins
    with a slash, a backslash or a drive (``C:``) the first character is written as ``%`` and two hexadecimal
    digits, and so it is where a name begins like that by itself. No such name is one of C.
    """
    names = column_names(records.schema, records.store)
    # numpy.load finds an array under the name of its member too, which ends in .npy.
    taken = {one for name in names for one in (name, name.removesuffix(".npy"))}
    total, arrays = len(records), len(names) + 1
    method = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
    with replacing(path, overwrite=overwrite) as file, zipfile.ZipFile(file, "w", method) as archive:

        def told(before: int, parts: Iterable[Records]) -> Iterable[Records]:
            done = before * total
            for part in parts:
                yield part
                done += len(part)
                if progress:
                    progress(done // arrays, total)

        if progress:
            progress(0, total)
        parts = (part.seq for part in told(0, blocks(records)))
        _add(archive, spare("seq", taken), np.dtype(np.uint64), (total,), parts)
        for before, name in enumerate(names, 1):
            if decoded:
                dtype, shape = npy.decoded_dtype(records, name)
            else:
                empty = records[:0][name]
                dtype, shape = empty.dtype, empty.shape[1:]
            parts = (
                npy.decoded(part, name) if decoded else part[name] for part in told(before, blocks(records))
            )
            _add(archive, name, dtype, (total, *shape), parts)
        gaps = records.gaps
        _add(archive, spare("gaps", taken), gaps.dtype, gaps.shape, [gaps])


def _add(
    archive: zipfile.ZipFile, name: str, dtype: np.dtype, shape: tuple[int, ...], parts: Iterable[np.ndarray]
) -> None:
    """Write one array, piece by piece."""
    if _ROOTED.match(name):
        name = f"%{ord(name[0]):02X}{name[1:]}"
    head = npy.header(dtype, shape)
    member = zipfile.ZipInfo(f"{name}.npy")
    member.compress_type = archive.compression
    # Known beforehand, it lets zipfile choose the longer fields that 4 GiB need.
    member.file_size = len(head) + math.prod(shape) * dtype.itemsize
    with archive.open(member, "w") as file:
        file.write(head)
        for part in parts:
            file.write(part.astype(dtype, copy=False).tobytes())
