"""The formats and conversions that are installed, built-in ones and others alike.

A distribution adds a format by an entry point of the group ``fastrec.formats``: its name is the suffix, its
value ``"module:function"``. The function is ``write(records, path, **options) -> None``; it takes
``overwrite=False`` and writes through `fastrec.formats.target.replacing`. One that takes `progress` calls it
with the number of records written so far and their total.

The group ``fastrec.conversions`` has what stays in memory: the entry point ``pandas`` is behind
`Records.to_pandas`, its function is ``convert(records, **options) -> object``.

The lookup itself lives with `Records`, which may not import this room.
"""

from fastrec.records.exits import CONVERSIONS, FORMATS, converter, known, writer

__all__ = ["CONVERSIONS", "FORMATS", "converter", "known", "writer"]
