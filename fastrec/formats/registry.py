"""The formats that are installed, built-in ones and others alike.

A distribution adds one by an entry point of the group ``fastrec.formats``: its name is the suffix, its value
``"module:function"``. The function is ``write(records, path, **options) -> None``; it takes
``overwrite=False`` and writes through `fastrec.formats.target.replacing`. The lookup itself lives with
`Records.export`, which may not import this room.
"""

from fastrec.records.exits import GROUP, known, writer

__all__ = ["GROUP", "known", "writer"]
