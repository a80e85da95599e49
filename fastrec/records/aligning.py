"""Aligning: what other channels knew at the times of one, or at times of equal distance."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, get_args

import numpy as np

from fastrec.durations import parse_duration
from fastrec.errors import SchemaError, shown
from fastrec.records.bychannel import ByChannel
from fastrec.records.locating import Direction, located
from fastrec.records.windows import Origin, windows_of
from fastrec.times import Known, parse_time

if TYPE_CHECKING:
    from fastrec.records.records import Records

__all__ = ["Aligned", "Aligning", "Matched", "align"]


class Matched:
    """Of many times, the record of a channel that was in force then: what `Records.asof` returns.

    ``matched["temp"]`` is a column of the channel at these times, masked where nothing is known.

    Attributes
    ----------
    time : ndarray of int64, shape (n,)
        The times asked for, ns.
    place : ndarray of int64, shape (n,)
        Which record of the channel it is, counted from its first; -1 where there is none within `tolerance`.
        It says nothing about what was known.
    distance : ndarray of int64, shape (n,)
        How far away it is, ns; 0 from when it was first seen until it was last seen, -1 where there is none.
    valid : ndarray of bool, shape (n,)
        Whether there is a record and the time lies in an interval of the channel, as `Records.at` has it.
    """

    def __init__(
        self, records: Records, time: np.ndarray, place: np.ndarray, distance: np.ndarray, valid: np.ndarray
    ) -> None:
        self._of = records
        self.time = time
        self.place = place
        self.distance = distance
        self.valid = valid
        for column in (time, place, distance, valid):
            column.flags.writeable = False

    def __len__(self) -> int:
        return len(self.time)

    def __repr__(self) -> str:
        return f"<Matched {self._of.name}: {len(self)}, {int(self.valid.sum())} valid>"

    @cached_property
    def _order(self) -> np.ndarray | None:
        """How the valid rows are sorted by their records; None: they are."""
        places = self.place[self.valid]
        return np.argsort(places, kind="stable") if (places[1:] < places[:-1]).any() else None

    @cached_property
    def _each(self) -> Records:
        """The record of each valid row, in their own order."""
        places = self.place[self.valid]
        return self._picked(places if self._order is None else places[self._order])

    @property
    def records(self) -> Records:
        """The records that are valid at any of the times, each once."""
        return self._picked(np.unique(self.place[self.valid]))

    def _picked(self, places: np.ndarray) -> Records:
        found = self._of._with(self._of._rows.pick(places), self._of.gaps)
        found._tail = None  # nobody knows at which times what comes will be asked for
        return found

    @property
    def seq(self) -> np.ma.MaskedArray:
        """Number of each record: masked ndarray of uint64, shape (n,)."""
        return self._spread(self._each.seq)

    def __getitem__(self, name: str) -> np.ma.MaskedArray:
        """A column as `Records` have it: raw values, masked where nothing is known.

        Returns
        -------
        numpy.ma.MaskedArray, shape (n, *shape)

        Raises
        ------
        SchemaError
            If there is no such column.
        """
        if not isinstance(name, str):
            raise SchemaError(f"what was matched is asked by field name, not by {shown(name)}")
        return self._spread(self._each[name])

    def decode(self, *names: str) -> dict[str, np.ma.MaskedArray]:
        """Columns as people read them; see `Records.decode`. Masked where nothing is known."""
        return {name: self._spread(values) for name, values in self._each.decode(*names).items()}

    def _spread(self, values: np.ndarray) -> np.ma.MaskedArray:
        if len(values) == len(self) and self._order is None:
            return np.ma.MaskedArray(values, mask=np.zeros(values.shape, bool))
        spread = np.zeros((len(self), *values.shape[1:]), values.dtype)
        if values.dtype == object:
            spread[...] = None
        valid = np.flatnonzero(self.valid)
        spread[valid if self._order is None else valid[self._order]] = values
        mask = np.zeros(spread.shape, bool)
        mask[~self.valid] = True
        return np.ma.MaskedArray(spread, mask=mask)


class Aligned(ByChannel[Matched]):
    """Several channels at the same times: a mapping from a channel's name to what was `Matched` there.

    Attributes
    ----------
    time : ndarray of int64, shape (n,)
        The times, ns.
    """

    def __init__(self, time: np.ndarray, channels: Mapping[str, Matched]) -> None:
        super().__init__(channels)
        self.time = time

    def __repr__(self) -> str:
        return f"<Aligned {', '.join(self) or 'nothing'}: {len(self.time)}>"

    @property
    def valid(self) -> np.ndarray:
        """Where each channel is known: structured ndarray, shape (n,), of a bool per channel."""
        found = np.zeros(len(self.time), [(name, "?") for name in self])
        for name, one in self.items():
            found[name] = one.valid
        return found


class Aligning:
    """The part of `Records` that asks other channels what they knew."""

    def asof(
        self,
        *others: Records | Mapping[str, Records],
        direction: Direction = "backward",
        tolerance: str | dt.timedelta | None = None,
        max_gap: str | int | dt.timedelta | None = None,
    ) -> Matched | Aligned:
        """For each of these records the one of another channel that was the newest at its ``mono_ns``.

        Parameters
        ----------
        *others : Records, or a mapping of str to Records
            One or several channels; `fastrec.open` returns such a mapping.
        direction : "backward", "forward" or "nearest"
            The last record stamped then or before, the first stamped then or later, or the nearer of these
            two, at equal distances the earlier. Of equal stamps backward takes the last record, forward the
            first.
        tolerance : str or timedelta, optional
            How far away a record may be. From a hold, backward and nearest, it counts from when that was last
            seen: within it the distance is 0.
        max_gap : str or timedelta, optional
            As for `intervals`, of the other channel.

        Returns
        -------
        Matched or Aligned
            A row per record here: `Matched` of one channel, `Aligned` of a mapping or several channels. A row
            whose time is in no interval of the other channel is not ``valid``, whatever the direction:
            before its first record, after its last was last seen, and where nothing is known for longer than
            `max_gap`. Backward and without a tolerance, valid rows are those for which ``other.at(time)``
            finds a record.

        Raises
        ------
        SchemaError
            If a name comes twice, or an argument is none of these.

        Notes
        -----
        Of the other channel only blocks are read in which one of the times lies. It takes 25 bytes a row; of
        more records than memory holds, ask ``r.chunks()`` one after another. Where stamps of the other
        channel run backwards, all of its stamps are looked at.
        """
        time = self["mono_ns"].astype(np.int64, copy=False)
        asked = _asked(others)
        found = _matched(asked, time, direction, tolerance, max_gap)
        single = len(others) == 1 and not isinstance(others[0], Mapping)
        return next(iter(found.values())) if single else Aligned(time, found)


def align(
    *channels: Records | Mapping[str, Records],
    every: str | dt.timedelta | None = None,
    on: Records | None = None,
    origin: Origin = None,
    direction: Direction = "backward",
    tolerance: str | dt.timedelta | None = None,
    max_gap: str | int | dt.timedelta | None = None,
) -> Aligned:
    """Several channels at the same times.

    Parameters
    ----------
    *channels : Records, or a mapping of str to Records
    every : str or timedelta
        Times of this distance, from `origin` or the first record of all up to the last.
    on : Records
        Or the stamps of these.
    origin : int, str or datetime, optional
        One of the times of `every`, see `fastrec.times.parse_time`: they are counted from it in both
        directions. Default: the first record of all.
    direction, tolerance, max_gap
        As in `Records.asof`.

    Returns
    -------
    Aligned
        ``aligned["motor"]["pos"]`` is a column, masked where its channel did not know it;
        ``aligned.valid["motor"]`` says where it did.

    Raises
    ------
    SchemaError
        If not just one of `every` and `on` is given, a name comes twice, or there were more than 2**24 times.
    """
    asked = _asked(channels)
    if (every is None) == (on is None):
        raise SchemaError('align() takes either every="10ms", times of that distance, or on=records')
    if on is not None:
        if origin is not None:
            raise SchemaError("align() takes origin= with every= only")
        time = on["mono_ns"].astype(np.int64, copy=False)
    else:
        some = [one for one in asked.values() if len(one)]
        first = min((one.start for one in some), default=None)
        last = max((max(one.latest, one.end) for one in some), default=None)
        if origin is not None:
            clock = next((one.clock for one in some if one.clock is not None), None)
            origin = parse_time(origin, Known(first, last, clock))
        grid = windows_of(first, last, every, origin)
        time = grid.edges()[:-1]
        time = time[time >= first] if some else time
    return Aligned(time, _matched(asked, time, direction, tolerance, max_gap))


def _asked(given: tuple[Records | Mapping[str, Records], ...]) -> dict[str, Records]:
    """The channels by name."""
    found: dict[str, Records] = {}
    for one in given:
        some = one.items() if isinstance(one, Mapping) else [(getattr(one, "name", None), one)]
        for name, records in some:
            if not isinstance(records, Aligning):
                raise SchemaError(
                    f"channels are given as Records, or by name in a mapping, not as {shown(records)}"
                )
            if name in found:
                raise SchemaError(
                    f'two channels are called {name!r:.80}; give them names: {{"a": ..., "b": ...}}'
                )
            found[name] = records
    if not found:
        raise SchemaError("no channel is given; give Records, or a mapping of names to Records")
    return found


def _matched(
    asked: dict[str, Records],
    time: np.ndarray,
    direction: Direction,
    tolerance: str | dt.timedelta | None,
    max_gap: str | int | dt.timedelta | None,
) -> dict[str, Matched]:
    if direction not in get_args(Direction):
        raise SchemaError(f'direction is "backward", "forward" or "nearest", not {shown(direction)}')
    limit = None if tolerance is None else parse_duration(tolerance)
    found = {}
    for name, records in asked.items():
        breaks = records._breaks(max_gap)
        answer = located(records._rows, records._until, breaks, time, direction, limit)
        found[name] = Matched(records, time, *answer)
    return found
