"""Records of one version of a struct, made into records of the next.

The plan of it is a map: for every bit of the new payload, which bit of the old one it is. Most fields come
over as they are and need no more; adjacent ones become one copy. What has another type is converted as a
column. A plan is made once and used for every block.

The rule for unions follows from the map: two fields that share bits must take them from the same place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from fastrec.errors import SchemaError
from fastrec.schema import evolution
from fastrec.schema.field import Field
from fastrec.schema.forms import Store, see
from fastrec.schema.model import Schema

__all__ = ["Conversion"]

_NOBODY, _ZERO = -1, -2  # below: fields that are converted, each a number of its own
_MENTIONED = 4


class _Bits(NamedTuple):
    """Bits of an old byte that go to a new one, moved up by ``shift`` (down if it is negative)."""

    old: int
    new: int
    shift: int
    mask: int


class Conversion:
    """How records of one schema become records of another, by the names of their fields.

    A field that is new has zero bytes, as in a C program that cleared the struct first: 0, 0.0, no text. A
    member that is new in a union shows the bytes of the others, as in C. What was padding is zero.

    Parameters
    ----------
    old, new : Schema
    renamed : mapping of str to (str or None), optional
        As `Schema.diff` takes it.
    store : "every" or "changes"

    Attributes
    ----------
    same : bool
        Whether the bytes are the same: rows are viewed and not copied.
    numeric : tuple of (int or None), or None
        Of each of the new schema's numeric fields which of the old one's has the same numbers; None: it is
        new, and zero. None alone: one is made of several, or of part of another, and nothing is the same.

    Raises
    ------
    SchemaError
        A change would lose values, or may mean one thing or another; one line that names the fields.
    """

    def __init__(
        self,
        old: Schema,
        new: Schema,
        renamed: Mapping[str, str | None] | None = None,
        store: Store = "every",
    ) -> None:
        found = evolution.pairs(old, new, renamed)
        lossy = [change for change in evolution.diff(old, new, renamed) if change.lossy]
        self._casts = [pair for pair in found.kept.values() if not _as_bits(*pair)]
        source, shared = _map(new.size, found, {new.name for _, new in self._casts})
        problems = [*map(str, lossy), *evolution.ambiguities(old, new, found), *shared]
        if not found.kept:
            problems = [f"{new.name!r} has no field of {old.name!r}: is it another struct?"]
        if problems:
            raise SchemaError(evolution.listed(problems) + _way_out(lossy, found))
        self.dtype = new.record(store)
        self.same = old.size == new.size and not self._casts and _identity(source, old, new)
        start = new.payload_offset(store)
        self._runs, self._bits = _copies(source, start)
        self.numeric = _numeric(source, found, old, new)

    def rows(self, rows: np.ndarray) -> np.ndarray:
        """Return records of the new schema; read-only.

        Parameters
        ----------
        rows : ndarray, shape (n,)
            Of the old schema's record dtype, contiguous.

        Returns
        -------
        ndarray, shape (n,)
            A view where that is possible, otherwise a copy.
        """
        if self.same:
            return rows.view(self.dtype)
        made = np.zeros(len(rows), self.dtype)
        for old, new, length in self._runs:
            _window(made, new, f"V{length}")[...] = _window(rows, old, f"V{length}")
        for part in self._bits:
            byte = _window(rows, part.old, "u1")
            moved = byte << part.shift if part.shift >= 0 else byte >> -part.shift
            into = _window(made, part.new, "u1")
            into |= moved & part.mask
        # Signalling NaNs become quiet ones, which is no event here.
        with np.errstate(invalid="ignore"):
            for old, new in self._casts:
                _cast(old, new, rows, made)
        made.flags.writeable = False
        return made


def _way_out(lossy: Sequence[evolution.Change], found: evolution.Pairs) -> str:
    """What the user can say so that the rest is read."""
    if not lossy:
        return ""
    names = {change.field: None for change in lossy}
    old = [found.kept[name][0].name if name in found.kept else name for name in names]
    said = ", ".join(f"{name!r}: None" for name in old[:_MENTIONED]) + ", ..." * (len(old) > _MENTIONED)
    told = next((change for change in lossy if change.kind in ("text", *evolution.TOLD)), None)
    kept = ""
    if told is not None and getattr(before := found.kept[told.field][0], told.kind):
        value = "..." if told.kind == "labels" else repr(getattr(before, told.kind))
        kept = f"; to keep it, .with_field({told.field!r}, {told.kind}={value})"
    return f"{kept}; to go without the old values, say renamed={{{said}}}"


def _as_bits(old: Field, new: Field) -> bool:
    """Whether a field comes over bit by bit, at most with zeros behind it."""
    if old.bits or new.bits:
        # An unsigned value is the same value with zeros above; a signed one only at the same width.
        kinds = old.dtype.kind + new.dtype.kind
        alike = kinds == "ii" and old.bits and new.bits and old.bits[1] == new.bits[1]
        return _ascending(old) and _ascending(new) and bool(kinds == "uu" or alike)
    if old.dtype == new.dtype:
        return old.shape[1:] == new.shape[1:]
    if old.shape or new.shape or old.text:
        return False
    kinds = old.dtype.kind + new.dtype.kind
    return kinds == "SS" or (kinds == "uu" and _ascending(old) and _ascending(new))


def _ascending(field: Field) -> bool:
    """Whether `_where` gives the bits in order of significance."""
    return field.bits is not None or field.dtype.str[0] != ">"


def _where(field: Field) -> np.ndarray:
    """Bits of the payload that a field has, as numbers: ``8 * byte`` and the place in it from the lowest up.

    Of a bit-field they are in order of significance, of anything else in order of memory.
    """
    if field.bits is None:
        return 8 * field.offset + np.arange(8 * field.nbytes)
    shift, width = field.bits
    places = shift + np.arange(width)
    if field.dtype.str[0] == ">":
        return 8 * (field.offset + field.dtype.itemsize - 1 - places // 8) + places % 8
    return 8 * field.offset + places


def _map(size: int, found: evolution.Pairs, cast: set[str]) -> tuple[np.ndarray, list[str]]:
    """For every bit of the new payload the old one, ``_ZERO``, ``_NOBODY`` or less; and what contradicts."""
    source = np.full(8 * size, _NOBODY, np.int64)
    owner: list[Field] = []
    shared = []
    for number, (old, new) in enumerate(found.kept.values()):
        bits = _where(new)
        wanted = np.full(len(bits), _ZERO)
        if new.name in cast:
            wanted[:] = _ZERO - 1 - number
        else:
            before = _where(old)[: len(bits)]
            wanted[: len(before)] = before
        taken = source[bits]
        if ((taken != _NOBODY) & (taken != wanted)).any():
            other = next(one for one in owner if np.isin(_where(one), bits).any())
            shared.append(
                f"{other.name!r} and {new.name!r} share bytes now, but would need different ones:"
                f" leave one out, renamed={{{old.name!r}: None}}"
            )
        source[bits] = wanted
        owner.append(new)
    return source, shared


def _identity(source: np.ndarray, old: Schema, new: Schema) -> bool:
    covered = np.zeros((2, len(source)), bool)
    for row, schema in zip(covered, (old, new), strict=True):
        for field in schema.fields:
            row[_where(field)] = True
    there = np.flatnonzero(covered[0])
    return bool((covered[0] == covered[1]).all() and (source[there] == there).all())


def _numeric(
    source: np.ndarray, found: evolution.Pairs, old: Schema, new: Schema
) -> tuple[int | None, ...] | None:
    """As `Conversion.numeric`."""
    places = {one.name: place for place, one in enumerate(old.numeric)}
    same: list[int | None] = []
    for field in new.numeric:
        before = found.kept[field.name][0] if field.name in found.kept else None
        if before is None:
            if (source[_where(field)] != _NOBODY).any():
                return None  # a member of a union, which shows the bytes of the others
            same.append(None)
        elif _alike(before, field):
            same.append(places[before.name])
        else:
            return None
    return tuple(same)


def _alike(old: Field, new: Field) -> bool:
    """Whether every number that an old field had is the same one of 8 bytes in the new field."""
    if "b" in (old.dtype.kind, new.dtype.kind):
        return old.dtype == new.dtype  # any byte but zero is true, and becomes 1 elsewhere
    return old.kind is not None and (old.kind == "f8") == (new.kind == "f8")


def _copies(source: np.ndarray, start: int) -> tuple[list[tuple[int, int, int]], list[_Bits]]:
    """Runs of whole bytes as (old, new, length), the recorder's columns first; and single bits by byte."""
    table = source.reshape(-1, 8)
    whole = (table[:, 0] >= 0) & (table[:, 0] % 8 == 0) & (table == table[:, :1] + np.arange(8)).all(axis=1)
    runs = [(0, 0, start)]
    for new in np.flatnonzero(whole).tolist():
        old = int(table[new, 0]) // 8
        before_old, before_new, length = runs[-1]
        if before_old + length == start + old and before_new + length == start + new:
            runs[-1] = (before_old, before_new, length + 1)
        else:
            runs.append((start + old, start + new, 1))
    parts: dict[tuple[int, int, int], int] = {}
    for new in np.flatnonzero(~whole & (table >= 0).any(axis=1)).tolist():
        for place, bit in enumerate(table[new].tolist()):
            if bit >= 0:
                key = (start + bit // 8, start + new, place - bit % 8)
                parts[key] = parts.get(key, 0) | 1 << place
    return runs, [_Bits(*key, mask) for key, mask in parts.items()]


def _window(rows: np.ndarray, at: int, code: str) -> np.ndarray:
    window = {"names": ["_"], "formats": [code], "offsets": [at], "itemsize": rows.dtype.itemsize}
    return rows.view(np.dtype(window))["_"]


def _cast(old: Field, new: Field, rows: np.ndarray, made: np.ndarray) -> None:
    if old.dtype.kind == "b":
        # Any byte but zero is true in C, and NumPy would hand on the byte.
        values = see(rows, np.dtype(np.uint8), old.shape, old.offset, old.name) != 0
    else:
        values = old.of(rows)
    if new.bits:
        new.put(made, values)
        return
    into = new.of(made)
    into[(slice(None), *(slice(n) for n in old.shape))] = values
    if old.text:
        # All ones say that there was a text which nobody could read, in a pointer of either width.
        into[values == np.iinfo(values.dtype).max] = np.iinfo(new.dtype).max
