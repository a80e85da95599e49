"""PyCall: a Python function as a source."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from fastrec.core.call import SAME, PythonCall
from fastrec.errors import SourceError, shown
from fastrec.ring import refuse_other
from fastrec.sources.payloads import payload_of
from fastrec.sources.registry import as_schema
from fastrec.sources.source import Source

__all__ = ["PyCall"]

_FORMS = "bytes, a ctypes struct, a NumPy row, a mapping, a tuple, or None for nothing new"


class PyCall(Source):
    """A Python function that returns a payload: the slow way, with the GIL.

    Deadlines, stamps and accounts are those of every source; but each call waits for the GIL, so what other
    Python threads do makes it late.

    Parameters
    ----------
    function : callable without arguments
        Returns the struct: a buffer of its size (bytes, ctypes structure, NumPy row), a mapping of every
        field's name to its raw value, or a tuple of them in order. None: nothing new.
    schema : Schema, ctypes.Structure class, dtype or name such as ``"linux:rusage"``

    Attributes
    ----------
    error : BaseException or None
        What the function raised last. It was recorded as failed, with the errno of an OSError for its code,
        else -1.

    Raises
    ------
    SourceError
        What is to be called cannot be, or its struct has texts, which only C code's pointers lead to.
    """

    needs_gil = True

    def __init__(self, function: Callable[[], Any], *, schema: Any) -> None:
        self.name = getattr(function, "__name__", None) or type(function).__name__
        if not callable(function):
            raise SourceError(f"{function!r:.60} cannot be called; pass a function without arguments")
        self.schema = as_schema(schema)
        if self.schema.texts:
            raise SourceError(
                f"{self.name}: {self.schema.texts[0].name!r} is text, which only pointers of C lead to"
            )
        self._function = function
        self._names = frozenset(field.name for field in self.schema.fields)
        self.getter = PythonCall(self._payload, self.schema.size)

    @property
    def error(self) -> BaseException | None:
        return self.getter.error

    def check(self, code: int, excess: int) -> None:
        """Judge a first call; see `Source.check`."""
        if code not in (0, SAME):
            raise SourceError(
                f"{self.name} failed when first called: {shown(self.error)}; it returns {_FORMS}"
            ) from self.error

    def _payload(self) -> Any:
        value = self._function()
        if isinstance(value, Mapping):
            if missing := self._names - value.keys():
                raise SourceError(f"{self.name} said nothing of {min(missing)!r}; every field needs a value")
            return payload_of(self.schema, value, self.name)
        if isinstance(value, tuple):
            rows = np.zeros(1, self.schema.dtype)
            rows[0] = value
            return rows.tobytes()
        dtype = getattr(value, "dtype", None)
        if isinstance(dtype, np.dtype):
            refuse_other(self.schema, dtype, f"{self.name} returned")
        return value
