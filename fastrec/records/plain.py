"""Columns as plain Python values, records as rows of them, and values as the JSON that every parser takes."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence

import numpy as np

from fastrec.errors import RecordingError
from fastrec.records.columns import column_names, spare
from fastrec.records.records import Records
from fastrec.schema.texts import LOST
from fastrec.times import Clock

__all__ = ["date", "headings", "plain", "rows", "spare", "to_json"]


def plain(values: np.ndarray) -> list:
    """A column as Python values that JSON has, or `to_json` knows.

    Of a char array the characters before its NUL, of raw bytes hexadecimal digits; floats narrower than a
    double get the fewest digits that tell them apart.
    """
    if values.ndim > 1:
        return [plain(row) for row in values]
    kind = values.dtype.kind
    if kind == "f" and values.dtype.itemsize < 8:
        return [float(str(value)) for value in values]
    if kind == "c":
        return [str(value).strip("()") for value in values]
    if kind == "S":
        texts = (value.split(b"\0", 1)[0] for value in values.tolist())
        return [text.decode("utf-8", "surrogateescape") for text in texts]
    if kind == "V":
        return [bytes(value).hex() for value in values]
    return values.tolist()


def headings(records: Records, names: Sequence[str], *, raw: bool = False) -> list[str]:
    """What the values of `rows` are called.

    Parameters
    ----------
    records : Records
    names : sequence of str
        The columns asked for.
    raw : bool

    Returns
    -------
    list of str
        ``"seq"``, unless raw ``"time"``, and the names. If a field of the schema, asked for or not, is called
        ``seq`` or ``time``, ours are ``seq_`` and ``time_``.
    """
    taken = column_names(records.schema, records.store)
    return [*(spare(name, taken) for name in ("seq", *(() if raw else ("time",)))), *names]


def rows(
    records: Records, names: Sequence[str], *, raw: bool = False, zoned: bool = True
) -> Iterator[tuple[object, ...]]:
    """Records as plain values, one by one. All of them are gathered at once; ask for a block.

    Parameters
    ----------
    records : Records
    names : sequence of str
        Columns: leaves, or the recorder's.
    raw : bool
        False: dates, labels, physical values, texts. True: no dates, and values as C stored them; a text is
        its id.
    zoned : bool
        Whether a date has its offset from UTC.

    Yields
    ------
    tuple
        The record's number, unless raw its `date`, then a value per name, as `plain` makes them.

    Raises
    ------
    SchemaError
        If there is no such column.
    """
    columns = [records[name] if raw else records.decode(name)[name] for name in names]
    first = [records.seq.tolist()]
    if not raw:
        first.append([date(records.clock, stamp, zoned=zoned) for stamp in records["mono_ns"].tolist()])
    return zip(*first, *map(plain, columns), strict=True)


def date(clock: Clock | None, stamp: int | None, *, zoned: bool = True) -> str | None:
    """Date of a stamp in the recording's zone, as every option that takes a time reads it; None: unknown."""
    if clock is None or stamp is None:
        return None
    try:
        when = clock.datetime(stamp)
    except RecordingError:
        return None
    # An hour that comes twice is told apart by its offset only.
    twice = when.utcoffset() != when.replace(fold=1 - when.fold).utcoffset()
    return (when if zoned or twice else when.replace(tzinfo=None)).isoformat(timespec="microseconds")


def to_json(value: object, *, indent: int | None = None) -> str:
    """JSON in ASCII, strict: a lone surrogate is its escape, ``NaN`` and ``Infinity`` are texts, a text
    that was lost is ``{"lost": true}``.
    """
    return json.dumps(_sound(value), indent=indent, allow_nan=False).replace("\x7f", "\\u007f")


def _sound(value: object) -> object:
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if value is LOST:
        return {"lost": True}
    if isinstance(value, dict):
        return {_sound(str(key)): _sound(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_sound(one) for one in value]
    return value
