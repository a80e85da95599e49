"""Sources by name: ``"linux:rusage"`` is the getter ``rusage`` of the entry point ``linux``."""

from __future__ import annotations

import ctypes
import inspect
from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Any

import numpy as np

from fastrec.errors import SourceError, suggest
from fastrec.schema import Schema
from fastrec.schema.cffi_ import is_cffi_type

__all__ = ["as_schema", "options_of", "source"]

GROUP = "fastrec.sources"
"""Entry points: a function from the part after the colon, and options by keyword, to a source."""


def source(name: str, **options: object) -> Any:
    """The source called `name`, as ``fastrec record`` takes it.

    Parameters
    ----------
    name : str
        ``FAMILY:GETTER``, or what else its family understands behind the colon.
    **options
        Those of `options_of`.

    Raises
    ------
    SourceError
        There is none of this name, or it has no such option.
    """
    build, rest = _builder(name)
    known = _keywords(build)
    for option in options:
        if option not in known:
            raise SourceError(f"{name!r} has no option {option!r}{suggest(option, known)}")
    return build(rest, **options)


def options_of(name: str) -> frozenset[str]:
    """Names of the options that `source` takes for this name; what it raises, too."""
    return _keywords(_builder(name)[0])


def _builder(name: str) -> tuple[Callable[..., Any], str]:
    family, colon, rest = name.partition(":")
    known = {entry.name: entry for entry in entry_points(group=GROUP)}
    if not colon or family not in known:
        near = "" if family in known else suggest(family, known)
        raise SourceError(
            f"no source is called {name!r:.80}{near} (a name is FAMILY:GETTER, such as linux:rusage)"
        )
    return known[family].load(), rest


def _keywords(build: Callable[..., Any]) -> frozenset[str]:
    parameters = inspect.signature(build).parameters.values()
    return frozenset(one.name for one in parameters if one.kind is one.KEYWORD_ONLY)


def as_schema(schema: Any) -> Schema:
    """A schema from what a user may pass for one.

    Parameters
    ----------
    schema : Schema, ctypes.Structure class, type of cffi, numpy.dtype or str
        A str is the name of a source, whose schema is meant.
    """
    if isinstance(schema, Schema):
        return schema
    if isinstance(schema, str):
        return source(schema).schema
    if isinstance(schema, type) and issubclass(schema, ctypes.Structure | ctypes.Union):
        return Schema.from_ctypes(schema)
    if is_cffi_type(schema):
        return Schema.from_cffi(schema)
    if isinstance(schema, np.dtype | list):
        return Schema.from_dtype(schema)
    raise SourceError(
        f"schema={schema!r}: pass a Schema, a struct of ctypes or cffi, a dtype or the name of a source"
    )
