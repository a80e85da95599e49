"""pandas: records as a DataFrame. No pyarrow, and no Python object per row where numbers will do."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from fastrec.errors import FormatError, RecordingError
from fastrec.records import Records
from fastrec.records.columns import column_names, elements, recorder_columns
from fastrec.records.plain import plain, spare
from fastrec.schema import Field
from fastrec.schema.labels import Labels, Masked
from fastrec.schema.readable import is_scaled, native, physical, words
from fastrec.schema.texts import LOST

try:
    import pandas as pd
except ImportError as error:
    raise FormatError(f"to_pandas() needs pandas; run: pip install pandas ({error})") from error

__all__ = ["convert"]

_FURTHEST = 2**63 - 1 - 86_400_000_000_000


def convert(records: Records, *, raw: bool = False) -> pd.DataFrame:
    """Make a DataFrame; see `Records.to_pandas`."""
    index = _index(records)
    columns: dict[str, object] = {name: native(records[name]) for name in recorder_columns(records.store)}
    units: dict[str, str] = {}
    for field in records.schema.fields:
        for name, values in _columns(records, field, raw):
            # Left to guess, pandas would give texts a type of its own, which holds no broken UTF-8.
            objects = isinstance(values, np.ndarray) and values.dtype == object
            columns[name] = pd.Series(values, index, dtype=object) if objects else values
            if field.unit and not (raw and is_scaled(field)):
                units[name] = field.unit
    frame = pd.DataFrame(columns, index)
    frame.attrs["units"] = units
    return frame


def _index(records: Records) -> pd.Index:
    name = spare("time", column_names(records.schema, records.store))
    stamps, clock = native(records["mono_ns"]), records.clock
    try:
        walls = None if clock is None else clock.walls(stamps)
    except RecordingError:
        walls = None
    # A zone moves dates by up to a day, and there nothing may be out of what ns can tell.
    if walls is None or (len(walls) and not -_FURTHEST <= walls.min() <= walls.max() <= _FURTHEST):
        return pd.TimedeltaIndex(stamps.view("m8[ns]"), name=name)
    return pd.DatetimeIndex(walls.view("M8[ns]"), tz="UTC", name=name).tz_convert(clock.zone)


def _columns(records: Records, field: Field, raw: bool) -> Iterator[tuple[str, np.ndarray | pd.Categorical]]:
    """A field's columns, one per element."""
    if field.text and not raw:
        texts = records.decode(field.name)[field.name]
        yield field.name, np.where(np.equal(texts, LOST), pd.NA, texts)
        return
    values = records[field.name]
    labelled = field.labels is not None and not raw
    if labelled:
        values, dtype = _coded(field.labels, words(field, values))
    elif not raw:
        values = physical(field, values)
    for name, place in elements(field.name, field.shape):
        column = values[place]
        if labelled:
            yield name, pd.Categorical.from_codes(column, dtype=dtype)
        elif column.dtype.kind == "S":
            yield name, np.array(plain(column), dtype=object)
        elif column.dtype.kind == "V":
            yield name, np.array(column.tolist(), dtype=object)
        else:
            yield name, native(column)


def _coded(labels: Labels, values: np.ndarray) -> tuple[np.ndarray, pd.CategoricalDtype]:
    """Places of the values' names among the categories, of the same shape, and the categories."""
    numbers = native(values).view(np.uint8) if values.dtype.kind == "b" else native(values)
    codes, distinct = pd.factorize(numbers.ravel(), sort=True)
    texts = labels.names(distinct).tolist()
    places: dict[str, int] = {}
    for text in (*_declared(labels), *texts):
        places.setdefault(text, len(places))
    found = np.array([places[text] for text in texts], dtype=np.intp)
    # Named, the type is that of texts also where there is none.
    return found[codes].reshape(values.shape), pd.CategoricalDtype(pd.Index(list(places), dtype=str))


def _declared(labels: Labels) -> Iterator[str]:
    """Declared names but for those that never show, because their value has another one before."""
    for name, value in labels.enumerators:
        if isinstance(labels, Masked) or labels.name(value) == name:
            yield name
