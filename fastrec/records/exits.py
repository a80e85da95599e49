"""Exits: what records become elsewhere. Formats and conversions lie to the right of records, so they are
reached by entry points, never imported.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from importlib.metadata import entry_points
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from fastrec.durations import format_duration
from fastrec.errors import FastrecError, FormatError, RecordingError, SchemaError
from fastrec.records.chunks import BLOCK
from fastrec.records.columns import Columns, column_names
from fastrec.records.copying import as_bytes
from fastrec.records.rows import Rows
from fastrec.schema import Schema
from fastrec.schema.forms import Store
from fastrec.times import Clock

if TYPE_CHECKING:
    import pandas

__all__ = ["CONVERSIONS", "FORMATS", "Exits", "converter", "known", "writer"]

FORMATS = "fastrec.formats"
"""Entry point group: the name is a suffix without its dot, the value ``"module:function"``."""

CONVERSIONS = "fastrec.conversions"
"""Entry point group: the name is what follows ``to_``, the value ``"module:function"``."""


class Exits:
    """The part of `Records` that hands them on: as a word about them, as arrays, as frames, as files."""

    name: str
    schema: Schema
    store: Store
    clock: Clock | None
    _rows: Rows
    _columns: Columns
    _gaps: np.ndarray

    def __repr__(self) -> str:
        if not len(self._rows):
            return f"<Records {self.name}: none>"
        lost = int(self._gaps["count"].sum())
        try:
            extent = f" over {format_duration(self.end - self.start)}"
        except FastrecError:  # whoever asks for the first or the last is told why
            extent = ", not all of them readable"
        return f"<Records {self.name}: {len(self._rows)}{extent}{f', {lost} lost' if lost else ''}>"

    def decode(self, *names: str) -> dict[str, np.ndarray]:
        """Columns as people read them.

        Parameters
        ----------
        *names : str
            Leaves, elements of them, or the recorder's columns. Default: every column, the recorder's first.

        Returns
        -------
        dict of str to ndarray, shape (n, *shape)
            In the order asked: str objects for labels, float64 where there is a scale, else the raw values in
            native byte order. Of texts str objects, None for NULL, and `fastrec.LOST` for one that could not
            be read or kept; raw it is all ones.

        Raises
        ------
        SchemaError
            If there is no such column.
        """
        asked = names or column_names(self.schema, self.store)
        return {name: self._columns.readable(name) for name in asked}

    def dates(self, stamps: np.ndarray | None = None) -> np.ndarray:
        """Stamps as wall time, by the recorded readings of the clocks.

        Parameters
        ----------
        stamps : ndarray of int64, optional
            Of any answer, ns: ``r.dates(r.transitions("mode")["time"])``. Default: those of these records.

        Returns
        -------
        ndarray of datetime64[ns], of the same shape
            UTC, as NumPy's dates have no zone; ``r.clock.zone`` is where it was recorded.

        Raises
        ------
        RecordingError
            If there is no clock reading, or one puts a stamp where 64 bits do not reach: before 1677 or after
            2262.
        SchemaError
            If these are no stamps.
        """
        if stamps is None:
            stamps = self["mono_ns"]
        stamps = np.asarray(stamps)
        if stamps.dtype.kind not in "iu":
            raise SchemaError(f"stamps are whole numbers of ns, not {stamps.dtype}")
        if self.clock is None:
            raise RecordingError(
                f"no clock reading says when {self.name!r} was recorded, so dates are unknown"
            )
        return self.clock.walls(stamps.ravel()).view("M8[ns]").reshape(stamps.shape)

    def chunks(self, size: int = BLOCK) -> Iterator[Self]:
        """The same records, at most `size` at a time: what is made of one of them needs so much memory.

        Raises
        ------
        SchemaError
            If the size is below 1.
        """
        if not isinstance(size, int | np.integer) or size < 1:
            raise SchemaError(f"chunks() takes a count of records from 1 on, not {size!r:.40}")
        return self._parts(int(size))

    def _parts(self, size: int) -> Iterator[Self]:
        place = 0
        while self._rows.reach(place + 1) > place:
            yield self[place : place + size]
            place += size

    def to_numpy(self) -> np.ndarray:
        """All records as one new array.

        Returns
        -------
        structured ndarray, shape (n,)
            Of the record dtype, contiguous. The ids of texts mean what they meant in their segment; see
            `decode`.
        """
        whole = np.empty(len(self._rows), self._columns.nothing().rows().dtype)
        self._rows.copy(0, as_bytes(whole))
        return whole

    def to_pandas(self, *, raw: bool = False) -> pandas.DataFrame:
        """All records as a pandas DataFrame. It needs pandas, and no pyarrow.

        Parameters
        ----------
        raw : bool
            False: labels, physical values, texts. True: numbers as C stored them; a text is its id.

        Returns
        -------
        pandas.DataFrame
            A row per record. Its index is when: a DatetimeIndex of ns in the recording's zone, exact to the
            ns between the clock readings, named ``"time"``. If there is no reading, or one puts a stamp
            outside the years that ns can tell (1677 to 2262), nobody knows the date, and the index is a
            TimedeltaIndex of ``mono_ns``, of the same name. If a field is called ``time``, the index is
            ``time_``.

            Its columns are the recorder's, then every leaf under its dotted name; of an array a column per
            element: ``pos[0]``, ``pos[1]``. Empty records give the same dtypes:

            =================  =====================================================================
            labels             category: the declared names in their order, then what else was seen,
                               in order of value (``"7?"``, ``"A|0x40"``). HRESULTs declare none, so
                               two frames of them agree after ``pandas.api.types.union_categoricals``
            a scale, a bias    float64
            texts              object: str, None for NULL, ``pandas.NA`` for what was lost:
                               both are ``isna()``, and ``is None`` tells them apart
            char arrays        object: str, to the first NUL
            raw bytes          object: bytes
            other numbers      as C stored them, in native byte order
            =================  =====================================================================

            ``attrs["units"]`` has the unit, str, of each column that has one; of raw numbers only where there
            is no scale. Losses are no rows: ``pandas.DataFrame(records.gaps)``.

        Raises
        ------
        FormatError
            If pandas is not installed.
        """
        return converter("pandas")(self, raw=raw)

    def export(self, path: str | os.PathLike[str], **options: object) -> None:
        """Write a file in the format of its suffix.

        Parameters
        ----------
        path : path
            An installed format has its suffix: ``".npy"``, ``".csv"`` ...
        **options
            Those of the format's ``write``; all know ``overwrite``.

        Raises
        ------
        FormatError
            If no format has the suffix, or the file is there and ``overwrite`` is not True.
        """
        writer(path)(self, path, **options)


def known() -> dict[str, str]:
    """Suffixes that can be written, sorted, each with the ``"module:function"`` that writes it; nothing is
    imported.
    """
    return {
        entry.name: entry.value for entry in sorted(entry_points(group=FORMATS), key=lambda entry: entry.name)
    }


def writer(path: str | os.PathLike[str]) -> Callable[..., None]:
    """Function ``write(records, path, **options)`` for the suffix of a path; case does not matter.

    Raises
    ------
    FormatError
        If the path has no suffix, no installed format has it, or the format cannot be imported.
    """
    name = PurePath(path).name
    suffix = PurePath(path).suffix[1:].lower()
    what = f"no format is called .{suffix}" if suffix else "it has no suffix to tell the format by"
    return _loaded(FORMATS, suffix, f"{name!r} cannot be written", what, ".")


def converter(name: str) -> Callable[..., Any]:
    """Function ``convert(records, **options)`` behind ``to_<name>``.

    Raises
    ------
    FormatError
        If no installed conversion has the name, or it cannot be imported.
    """
    return _loaded(CONVERSIONS, name, f"to_{name}() cannot be answered", "nothing converts to it", "to_")


def _loaded(group: str, name: str, problem: str, missing: str, before: str) -> Callable[..., Any]:
    found = {entry.name: entry for entry in entry_points(group=group)}
    if name not in found:
        listed = (
            ", ".join(f"{before}{one}" for one in sorted(found))
            or "none: fastrec is not installed, so it has no entry points"
        )
        raise FormatError(f"{problem}: {missing}; there is {listed}")
    try:
        return found[name].load()
    except (ImportError, AttributeError) as error:
        raise FormatError(f"{problem}: {found[name].value} does not load ({error})") from error
