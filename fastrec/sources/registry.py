"""Sources by name: ``"linux:rusage"`` is the getter ``rusage`` of the entry point ``linux``."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Any

import numpy as np

from fastrec.errors import SourceError, suggest
from fastrec.schema import Schema

__all__ = ["as_schema", "source"]

GROUP = "fastrec.sources"
"""Entry points: a function from the part after the colon to a source."""


def source(name: str) -> Any:
    """The source called `name`, as ``fastrec record`` takes it.

    Raises
    ------
    SourceError
        There is none of this name.
    """
    family, colon, rest = name.partition(":")
    known = {entry.name: entry for entry in entry_points(group=GROUP)}
    if not colon or family not in known:
        raise SourceError(f"no source is called {name!r}{suggest(family, known)} (a name is FAMILY:GETTER)")
    build: Callable[[str], Any] = known[family].load()
    return build(rest)


def as_schema(schema: Any) -> Schema:
    """A schema from what a user may pass for one.

    Parameters
    ----------
    schema : Schema, ctypes.Structure class, numpy.dtype or str
        A str is the name of a source, whose schema is meant.
    """
    if isinstance(schema, Schema):
        return schema
    if isinstance(schema, str):
        return source(schema).schema
    if isinstance(schema, type) and issubclass(schema, ctypes.Structure | ctypes.Union):
        return Schema.from_ctypes(schema)
    if isinstance(schema, np.dtype | list):
        return Schema.from_dtype(np.dtype(schema))
    raise SourceError(
        f"schema={schema!r}: pass a Schema, a ctypes structure, a dtype or the name of a source"
    )
