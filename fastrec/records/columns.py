"""Columns of records: gathered from the chunks, raw or readable (label names, physical values, texts)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator

import numpy as np

from fastrec.records.chunks import ArrayChunk, Chunk, as_bytes
from fastrec.records.rows import Rows, Span
from fastrec.schema import Field, Schema
from fastrec.schema.forms import COLUMNS, Store
from fastrec.schema.readable import readable
from fastrec.schema.texts import Text

__all__ = ["Columns", "Read", "Texts", "column_names", "elements", "recorder_columns"]

Read = Callable[[Span], np.ndarray]
"""From some rows to the values of a column in them."""

_CACHE_BYTES = 64 << 20


def recorder_columns(store: Store) -> tuple[str, ...]:
    """Names of the columns that the recorder puts before the payload."""
    return tuple(name for name, _ in (COLUMNS if store == "changes" else COLUMNS[:1]))


def column_names(schema: Schema, store: Store) -> list[str]:
    """Names of all columns: the recorder's, then the leaves of the payload in order of offset."""
    return [*recorder_columns(store), *(field.name for field in schema.fields)]


def elements(name: str, shape: tuple[int, ...]) -> Iterator[tuple[str, tuple]]:
    """Every element of a column of arrays: what it is called, ``name[0]``, and the index of its values."""
    for place in np.ndindex(shape):
        yield name + "".join(f"[{index}]" for index in place), (slice(None), *place)


class Texts:
    """Texts of many chunks as small numbers.

    An id means its text only within its chunk: the same text has another id in the next segment. Codes can be
    compared across chunks, without a Python object per row.
    """

    def __init__(self) -> None:
        self._codes: dict[Text, int] = {}

    def codes(self, chunk: Chunk, identifiers: np.ndarray) -> np.ndarray:
        """Code of each text; equal texts have equal codes.

        Parameters
        ----------
        chunk : Chunk
            Whose ids they are.
        identifiers : ndarray of unsigned int, shape (n,)

        Returns
        -------
        ndarray of int64, shape (n,)
        """
        distinct, inverse = np.unique(identifiers, return_inverse=True)
        codes = [self._codes.setdefault(chunk.text(one), len(self._codes)) for one in distinct.tolist()]
        return np.array(codes, dtype=np.int64)[inverse]

    def code(self, text: Text) -> int:
        """Code of one text; -1 if no chunk had it."""
        return self._codes.get(text, -1)

    def texts(self, codes: np.ndarray) -> np.ndarray:
        """From codes back to texts.

        Returns
        -------
        ndarray of object, shape (n,)
            str, None for NULL, LOST for what could not be read or kept.
        """
        known = np.empty(len(self._codes), dtype=object)
        known[:] = list(self._codes)
        return known[codes]

    def spell(self, found: np.ndarray, names: tuple[str, ...]) -> np.ndarray:
        """A query's result, a structured array, with texts in place of the codes in the fields named."""
        dtype = [(name, object if name in names else found.dtype[name]) for name in found.dtype.names]
        spelled = np.empty(len(found), dtype=dtype)
        for name in found.dtype.names:
            spelled[name] = self.texts(found[name]) if name in names else found[name]
        return spelled


class Columns:
    """Columns of some rows; the newest 64 MiB of them are kept.

    Parameters
    ----------
    rows : Rows
    schema : Schema
    store : "every" or "changes"
    """

    def __init__(self, rows: Rows, schema: Schema, store: Store) -> None:
        self._rows = rows
        self._schema = schema
        self._own = recorder_columns(store)
        self._dtype = schema.record(store)
        self._kept: OrderedDict[str, np.ndarray] = OrderedDict()

    def nothing(self) -> Span:
        """No rows, but of the right dtype: so an empty result has the dtypes of a full one."""
        return Span(ArrayChunk(np.empty(0, dtype=self._dtype)), 0, 0)

    def field(self, name: str) -> Field:
        """The field of a leaf or of one of the recorder's columns.

        Raises
        ------
        SchemaError
            If there is no such field; the message names those that are near.
        """
        if name in self._own:
            return Field(name, self._dtype[name], 8 * self._own.index(name))
        return self._schema.field(name)

    def reader(self, name: str, texts: Texts) -> Read:
        """How to read a field: raw values, but of texts their codes."""
        if name in self._own:
            return lambda block: block.rows()[name]
        field = self._schema.field(name)
        if field.text:
            return lambda block: texts.codes(block.chunk, field.of(block.rows()))
        return lambda block: field.of(block.rows())

    def states(self, name: str, texts: Texts) -> Read:
        """How to read a field's states: as `reader`, but one value for all that its labels call the same."""
        read, labels = self.reader(name, texts), self.field(name).labels
        if labels is None:
            return read
        seen: dict[str, int] = {}
        return lambda block: labels.states(read(block), seen)

    def raw(self, name: str) -> np.ndarray:
        """Raw values of a leaf, a struct or one of the recorder's columns: contiguous, read-only."""
        column = self._kept.pop(name, None)
        if column is None:
            own = name in self._own
            column = self._gather(
                lambda block: block.rows()[name] if own else self._schema.column(block.rows(), name)
            )
            column.flags.writeable = False
        self._kept[name] = column
        kept = sum(one.nbytes for one in self._kept.values())
        while kept > _CACHE_BYTES:
            kept -= self._kept.popitem(last=False)[1].nbytes
        return column

    def readable(self, name: str) -> np.ndarray:
        """Values of a leaf, or of one of the recorder's columns, as people read them; see `readable`."""
        field = self.field(name)
        if not field.text:
            return readable(field, self.raw(name))
        texts = Texts()
        return texts.texts(self._gather(self.reader(name, texts)))

    def _gather(self, read: Read) -> np.ndarray:
        like = read(self.nothing())
        whole = np.empty((len(self._rows), *like.shape[1:]), dtype=like.dtype)
        struct = like.dtype.names is not None
        into = as_bytes(whole) if struct else whole
        place = 0
        for block in self._rows.blocks():
            values = read(block)
            into[place : place + len(values)] = as_bytes(values) if struct else values
            place += len(values)
        return whole
