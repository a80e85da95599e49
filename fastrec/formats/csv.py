"""CSV: a line per record, for spreadsheets and for tools that read nothing else.

UTF-8, LF, cells quoted only where they must be. An array has a column per element: ``pos[0]``, ``pos[1]``.
NULL is an empty cell, an empty text ``""``. CSV has nothing of its own for a text that was lost: it is an
empty cell too, and ``raw=True`` tells them apart, by 0 and all ones.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from fastrec.formats.blocks import blocks
from fastrec.formats.target import replacing
from fastrec.records import Records
from fastrec.records.columns import column_names, elements
from fastrec.schema.texts import LOST

__all__ = ["cell_of", "cells_of", "write"]

_BLOCK = 16_384
_SPECIAL = re.compile(r'[",\r\n]')
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def write(
    records: Records,
    path: str | os.PathLike[str],
    *,
    raw: bool = False,
    exact: bool = False,
    overwrite: bool = False,
    progress: Callable[[int, int], object] | None = None,
) -> None:
    """Write records to a CSV file.

    Parameters
    ----------
    records : Records
    path : path
    raw : bool
        False: label names, physical values, texts, ``true`` and ``false``. True: numbers as C stored them; a
        text is its id.
    exact : bool
        False: a cell of text that begins with ``= + - @``, a tab or a carriage return gets a ``'`` before it,
        for spreadsheets would run it as a formula. True: texts are left as they are.
    overwrite : bool
        Whether a file of this name may be replaced.
    progress : callable, optional
        Called with the number of records written so far and their total, at the start, after each block, and
        so at the end. What it raises ends the export, and no file is left.

    Raises
    ------
    FormatError
        If the file is there and `overwrite` is False, or cannot be written.

    Notes
    -----
    Floats are written with as many digits as their width needs to be read back exactly. Bytes of a text that
    are not UTF-8 appear as ``\\udc80`` to ``\\udcff``, bytes that are no text in hexadecimal.
    """

    def line(cells: Iterable[str]) -> bytes:
        return (",".join(cells) + "\n").encode("utf-8", "backslashreplace")

    with replacing(path, overwrite=overwrite) as file:
        empty = _columns(records[:0], raw)
        file.write(
            line(
                cell_of(called, exact)
                for name, values in empty
                for called, _ in elements(name, values.shape[1:])
            )
        )
        for part in blocks(records, _BLOCK, progress):
            cells = [
                cells_of(values[place], exact)
                for name, values in _columns(part, raw)
                for _, place in elements(name, values.shape[1:])
            ]
            lines = "\n".join(map(",".join, zip(*cells, strict=True))) + "\n"
            file.write(lines.encode("utf-8", "backslashreplace"))


def _columns(part: Records, raw: bool) -> Iterator[tuple[str, np.ndarray]]:
    if not raw:
        yield from part.decode().items()
        return
    for name in column_names(part.schema, part.store):
        values = part[name]
        yield name, values.view(np.uint8) if values.dtype.kind == "b" else values


def cells_of(values: np.ndarray, exact: bool) -> list[str]:
    """The cells of a column, or of one element of its arrays, shape (n,)."""
    kind = values.dtype.kind
    if kind in "iu":
        return [str(value) for value in values.tolist()]
    if kind == "b":
        return ["true" if value else "false" for value in values.tolist()]
    if kind in "fc":
        # NumPy writes the fewest digits that this width needs; Python would write a float32 with those of a
        # float64.
        return [value.strip("()") for value in values.astype("U64").tolist()]
    if kind == "V":
        return [bytes(value).hex() for value in values]
    known: dict[object, str] = {None: "", LOST: ""}
    return [
        known[value] if value in known else known.setdefault(value, cell_of(value, exact))
        for value in values.tolist()
    ]


def cell_of(value: str | bytes, exact: bool) -> str:
    """One cell of text."""
    if isinstance(value, bytes):
        # As C reads it: to the first NUL.
        value = value.split(b"\0", 1)[0].decode("utf-8", "surrogateescape")
    if not exact and value.startswith(_FORMULA):
        value = "'" + value
    if not value or _SPECIAL.search(value):
        return '"' + value.replace('"', '""') + '"'
    return value
