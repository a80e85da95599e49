"""Columns of records: gathered from the chunks, raw or readable (label names, physical values, texts)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator
from contextlib import closing
from functools import cache
from itertools import chain

import numpy as np

from fastrec.records.chunks import ArrayChunk, Chunk
from fastrec.records.copying import as_bytes, bytes_of_rows, filled
from fastrec.records.parts import made_of
from fastrec.records.ranges import ahead
from fastrec.records.rows import Rows, Span
from fastrec.schema import Field, Schema
from fastrec.schema.forms import COLUMNS, Store, payload_offset
from fastrec.schema.loads import load
from fastrec.schema.paths import split
from fastrec.schema.readable import readable
from fastrec.schema.states import own_bits
from fastrec.schema.texts import Text

__all__ = [
    "Column",
    "Columns",
    "Texts",
    "column_names",
    "elements",
    "has_column",
    "recorder_columns",
    "spare",
]

_CACHE_BYTES = 64 << 20


@cache
def recorder_columns(store: Store) -> tuple[str, ...]:
    """Names of the columns that the recorder puts before the payload."""
    return tuple(name for name, _ in (COLUMNS if store == "changes" else COLUMNS[:1]))


def column_names(schema: Schema, store: Store) -> list[str]:
    """Names of all columns: the recorder's, then the leaves of the payload in order of offset."""
    return [*recorder_columns(store), *(field.name for field in schema.fields)]


def has_column(schema: Schema, store: Store, name: str) -> bool:
    """Whether a name is a column, or an element of one, be it outside."""
    return not {name, split(name)[0]}.isdisjoint(column_names(schema, store))


def elements(name: str, shape: tuple[int, ...]) -> Iterator[tuple[str, tuple]]:
    """Every element of a column of arrays: what it is called, ``name[0]``, and the index of its values."""
    for place in np.ndindex(shape):
        yield name + "".join(f"[{index}]" for index in place), (slice(None), *place)


def spare(name: str, taken: Collection[str]) -> str:
    """A name for what stands beside the columns: with as many ``_`` behind it as keep it from theirs."""
    while name in taken:
        name += "_"
    return name


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


class Column:
    """How to read the values of a leaf, or of one of the recorder's columns.

    Parameters
    ----------
    field : Field
    offset : int
        In the record.
    zone : int or None
        Which of the numeric fields it is that zones sum up; None: none.
    texts : Texts
        Gives the codes of its texts.

    Attributes
    ----------
    load : Load or None
        How the core reads it; None of what is no number.
    part : (offset, size, mask)
        The bytes of a record that make it, and which bits of them: 0 is all, else `size` is at most 8. Where
        these are equal, so are the values.
    """

    def __init__(self, field: Field, offset: int, zone: int | None, texts: Texts) -> None:
        self.field = field
        self.zone = zone
        self._texts = texts
        self._own = field.offset == offset  # a payload begins behind them
        self._seen: dict[str, int] = {}
        bits = own_bits(field)
        masked = field.bits is not None and len(bits) <= 8
        scalar = not field.shape and not field.text and field.dtype.kind in "iubf"
        self.load = load(field, offset - field.offset) if scalar else None
        self.part = (offset, len(bits), int.from_bytes(bits, "little") if masked else 0)

    def numbers(self, rows: np.ndarray) -> np.ndarray:
        """Raw values of rows, of texts their ids."""
        return rows[self.field.name] if self._own else self.field.of(rows)

    def values(self, chunk: Chunk, rows: np.ndarray, places: np.ndarray | None = None) -> np.ndarray:
        """Raw values, but of texts their codes.

        Parameters
        ----------
        chunk : Chunk
        rows : structured ndarray
            Of the chunk.
        places : ndarray of int64, optional
            Only those of `rows`.
        """
        if places is not None and self.field.bits:
            rows, places = as_bytes(rows)[places].view(rows.dtype), None
        raw = self.numbers(rows)
        if places is not None:
            raw = raw[places]
        return self._texts.codes(chunk, raw) if self.field.text else raw

    def states(self, values: np.ndarray) -> np.ndarray:
        """One value for all that its labels call the same: the first that there was."""
        return values if self.field.labels is None else self.field.labels.states(values, self._seen)


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
        self.schema = schema
        self.store: Store = store
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
        return self.schema.field(name)

    def placed(self, name: str) -> tuple[Field, int]:
        """The field, and where in a record that begins by which its offset counts; raises as `field`."""
        return self.field(name), 0 if name in self._own else payload_offset(self.store)

    def column(self, name: str, texts: Texts) -> Column:
        """How to read a column; raises as `field`."""
        field, begin = self.placed(name)
        zone = next((place for place, one in enumerate(self.schema.numeric) if one.name == name), None)
        return Column(field, begin + field.offset, zone if begin else None, texts)

    def raw(self, name: str) -> np.ndarray:
        """Raw values of a leaf, a struct or one of the recorder's columns: contiguous, read-only."""
        column = self._kept.pop(name, None)
        if column is None:
            column = self._column(name)
            column.flags.writeable = False
        self._kept[name] = column
        kept = sum(one.nbytes for one in tuple(self._kept.values()))  # others may ask meanwhile
        while kept > _CACHE_BYTES:
            kept -= self._kept.popitem(last=False)[1].nbytes
        return column

    def readable(self, name: str) -> np.ndarray:
        """Values of a leaf, or of one of the recorder's columns, as people read them; see `readable`."""
        field = self.field(name)
        if not field.text:
            return readable(field, self.raw(name))
        column = self.column(name, texts := Texts())
        codes = self._gather(np.empty(0, np.int64), lambda span, rows: column.values(span.chunk, rows))
        return texts.texts(codes)

    def _column(self, name: str) -> np.ndarray:
        """Raw values, as of `raw`."""

        def values(rows: np.ndarray) -> np.ndarray:
            return rows[name] if name in self._own else self.schema.column(rows, name)

        row = np.zeros(1, self._dtype)  # where in it the values are, they are in every row
        one = values(row)
        if not (np.may_share_memory(row, one) and one.flags.c_contiguous):
            return self._gather(one[:0], lambda _, rows: values(rows))  # it is computed, or lies in pieces
        whole = np.empty((len(self._rows), *one.shape[1:]), one.dtype)
        self._rows.copy(one.ctypes.data - row.ctypes.data, bytes_of_rows(whole))
        return whole

    def _gather(self, nothing: np.ndarray, values: Callable[[Span, np.ndarray], np.ndarray]) -> np.ndarray:
        """What is made of all rows, where `nothing` is what is made of none."""
        whole = np.empty((len(self._rows), *nothing.shape[1:]), nothing.dtype)
        struct = nothing.dtype.names is not None
        into = as_bytes(whole) if struct else whole
        place = 0

        def read(span: Span) -> Iterator[np.ndarray]:
            return made_of(span.pieces(), lambda rows: values(span, rows))

        with closing(ahead(map(read, self._rows.spans))) as found:
            for some in chain.from_iterable(found):
                into[place : place + len(some)] = as_bytes(some) if struct else some
                place += len(some)
        return filled(whole, place)
