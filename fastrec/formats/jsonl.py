"""JSON lines: an object per record, strict JSON in ASCII, as ``fastrec cat --json`` prints them."""

from __future__ import annotations

import os
from collections.abc import Callable

from fastrec.formats.blocks import blocks
from fastrec.formats.target import replacing
from fastrec.records import Records
from fastrec.records.columns import column_names
from fastrec.records.plain import headings, rows, to_json

__all__ = ["write"]

_BLOCK = 4_096


def write(
    records: Records,
    path: str | os.PathLike[str],
    *,
    raw: bool = False,
    overwrite: bool = False,
    progress: Callable[[int, int], object] | None = None,
) -> None:
    """Write records to a file of JSON lines.

    Parameters
    ----------
    records : Records
    path : path
    raw : bool
        False: label names, physical values, texts, NULL as ``null``, a text that was lost as
        ``{"lost": true}``. True: numbers as C stored them; a text is its id.
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
    The keys: ``seq``, the record's number; unless raw ``time``, its date with offset, cut to microseconds,
    ``null`` if nobody knows; the recorder's columns; every leaf under its dotted name, arrays as lists. If a
    field is called ``seq`` or ``time``, ours are ``seq_`` and ``time_``.

    Integers have all their digits, also those beyond 2**53 that JavaScript rounds. NaN and the infinities,
    which JSON has not, are the texts ``"NaN"``, ``"Infinity"``, ``"-Infinity"``; raw bytes are hexadecimal;
    bytes of a text that are not UTF-8 appear as ``\\udc80`` to ``\\udcff``, spelled out.

    Losses are no lines: what was lost between two numbers is in `Records.gaps`, and in an ``.npz``.
    """
    names = column_names(records.schema, records.store)
    keys = headings(records, names, raw=raw)
    with replacing(path, overwrite=overwrite) as file:
        for part in blocks(records, _BLOCK, progress):
            for row in rows(part, names, raw=raw):
                file.write(to_json(dict(zip(keys, row, strict=True))).encode("ascii") + b"\n")
