"""Two runs: what they had of the same, and how far apart that is.

States are the same where people read the same: by their labels, physical values, texts. Whatever may differ
because one run is longer than the other is told as it was counted and relative to the run.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Iterator, Mapping
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from fastrec.errors import RecordingError, SchemaError, shown, suggest
from fastrec.records.columns import column_names, has_column, recorder_columns
from fastrec.records.plain import plain
from fastrec.records.records import Records
from fastrec.records.states import Distinct, state_dtype
from fastrec.records.tolerances import Measure, Tolerances
from fastrec.schema import Field
from fastrec.schema.gaps import Cause
from fastrec.schema.readable import readable

__all__ = ["DIFF_DTYPE", "channels_of", "diff"]

DIFF_DTYPE = np.dtype(
    [
        ("channel", "O"),
        ("kind", "O"),
        ("field", "O"),
        ("of", "O"),
        ("to", "O"),
        ("a", "O"),
        ("b", "O"),
        ("a_relative", "<f8"),
        ("b_relative", "<f8"),
        ("change", "<f8"),
        ("beyond", "?"),
    ]
)
"""Of a row of `diff`."""

_STEP = 1 << 20
"""Records whose transitions are looked at together: as many as there are of them, memory is bounded."""

_SECOND = 1_000_000_000
_NAN = math.nan  # of a dictionary's keys it is the same as itself, and no other NaN is
_MEANING = ("narrowed", "widened", "retyped", "reshaped", "text", "labels", "unit", "scale", "bias")
_NONE = Measure(None, None)

Runs = tuple[Records, Records]


class _Row(NamedTuple):
    kind: str
    field: str | None
    of: object
    to: object
    before: Any
    after: Any


def diff(
    a: Mapping[str, Records],
    b: Mapping[str, Records],
    *,
    channels: Iterable[str] | None = None,
    fields: Iterable[str] | None = None,
    tolerance: str | Iterable[str] = (),
    equal: bool = False,
) -> np.ndarray:
    """How two runs differ: of every channel that both have how long it was in which state, and so on.

    Parameters
    ----------
    a, b : Recording, or mapping of channel name to Records
        Windows of recordings too: ``{"cpu": run["cpu"].between("+1s", "+2s")}``.
    channels : iterable of str, optional
        Default: all.
    fields : iterable of str, optional
        Whose states are compared: leaves, elements, or the recorder's columns. Default: all that have labels.
    tolerance : str or iterable of str
        What they may differ by: ``"5%"``, ``"durations=50ms"``; see `fastrec.records.tolerances`.
    equal : bool
        Whether what is equal has its row, too.

    Returns
    -------
    structured ndarray of DIFF_DTYPE, shape (n,)
        ``channel``; ``kind`` and ``field``, None where it is of no field; ``of`` and ``to``, what it is of;
        ``a`` and ``b``, how much of it each had; ``a_relative`` and ``b_relative``, the same where the length
        of the runs does not matter, NaN of nothing; ``change`` of that, as a share of what `a` had: inf where
        it had none, NaN where nobody can say; ``beyond``: by more than the tolerance of its kind allows. By
        kind:

        * ``length``: ns from the first record to the last.
        * ``rate``: polls; relative: per second.
        * ``unknown``: ns in which nothing is known; relative: share of the length.
        * ``durations``: ns in the state ``of``, None where a run never was in it; relative: share of the
          time that is known.
        * ``transitions``: number of those from the state ``of`` to the state ``to``; relative: per second
          that is known.
        * ``failures``: failed calls by code, ``of``; ``losses``: records, deadlines and calls lost, by cause.
          Relative: share of the slots, which are polls and losses.
        * ``channel``, ``field``: whether a run has it, where one has not. That is beyond any tolerance, of a
          field where its states would have been compared.
        * ``store``, ``schema``: how it was recorded, and how its schema was called or meant; never beyond.

    Raises
    ------
    SchemaError
        `a` or `b` is no mapping, no channel has such a field, or a tolerance is none.
    RecordingError
        No such channel in either run.
    """
    for run in (a, b):
        if not isinstance(run, Mapping):
            raise SchemaError(
                f"diff() takes two recordings, or mappings of channel name to Records, not {shown(run)}"
            )
    limits = Tolerances([tolerance] if isinstance(tolerance, str) else tolerance)
    names = channels_of(a, b, channels)
    # Each is asked for once: of a recording that goes on, the next would be another one.
    runs = {name: [run.get(name) for run in (a, b)] for name in names}
    asked = None if fields is None else list(dict.fromkeys([fields] if isinstance(fields, str) else fields))
    _check_known(runs, asked or ())
    found = []
    for name, (before, after) in runs.items():
        if before is None or after is None:
            there = before is not None
            rows = iter([_Row("channel", None, None, None, there, not there)])
        else:
            rows = _rows((before, after), asked)
        for row in rows:
            if equal or row.before != row.after:
                found.append((name, *_told(row), _beyond(row, limits, runs[name], asked)))
    return np.array(found, DIFF_DTYPE)


def channels_of(
    a: Mapping[str, Records], b: Mapping[str, Records], wanted: Iterable[str] | None = None
) -> list[str]:
    """Names of the channels of two runs, those of the first run first.

    Raises
    ------
    RecordingError
        One that is `wanted` is in neither.
    """
    if wanted is None:
        return list(dict.fromkeys([*a, *b]))
    names = list(dict.fromkeys([wanted] if isinstance(wanted, str) else wanted))
    for name in names:
        if name not in a and name not in b:
            known = dict.fromkeys([*a, *b])
            raise RecordingError(f"neither run has a channel {name!r:.80}{suggest(str(name), known)}")
    return names


def _check_known(runs: Mapping[str, Iterable[Records | None]], fields: Iterable[str]) -> None:
    every = [records for pair in runs.values() for records in pair if records is not None]
    for name in fields:
        if not any(_has(records, name) for records in every):
            known = dict.fromkeys(one for each in every for one in column_names(each.schema, each.store))
            where = ", ".join(runs) or "two runs without channels"
            raise SchemaError(f"no field {name!r:.80} in {where}{suggest(str(name), known)}")


def _has(records: Records, name: str) -> bool:
    return has_column(records.schema, records.store, name)


def _field(records: Records, name: str) -> Field | None:
    """None: it is one of the recorder's columns."""
    return None if name in recorder_columns(records.store) else records.schema.field(name)


def _told(row: _Row) -> tuple[object, ...]:
    """A row without its channel."""
    kind, field, of, to, before, after = row
    if not isinstance(before, Measure):
        return kind, field, of, to, before, after, math.nan, math.nan, math.nan
    relative = [math.nan if one.relative is None else float(one.relative) for one in (before, after)]
    change = _change(before, after)
    if kind == "length":
        relative = [math.nan, math.nan]  # it would be relative to itself
    return kind, field, of, to, before.amount, after.amount, *relative, change


def _change(before: Measure, after: Measure) -> float:
    if before.amount is None:
        return math.inf
    if after.amount is None:
        return -1.0
    if before.relative is None or after.relative is None:
        return math.nan
    if not before.relative:
        return math.inf if after.relative else 0.0
    return float((after.relative - before.relative) / abs(before.relative))


def _beyond(row: _Row, limits: Tolerances, runs: Iterable[Records | None], asked: list[str] | None) -> bool:
    if isinstance(row.before, Measure):
        return limits.exceeded(row.kind, row.before, row.after)
    if row.kind == "field":
        compared = asked is not None or any(_has_labels(run, row.field) for run in runs if run is not None)
        return compared and (limits.judges("durations") or limits.judges("transitions"))
    return row.kind == "channel" and bool(limits)


def _has_labels(records: Records, name: str) -> bool:
    return _has(records, name) and (one := _field(records, name)) is not None and one.labels is not None


# What there is of one channel


def _rows(runs: Runs, asked: list[str] | None) -> Iterator[_Row]:
    before, after = runs
    yield _Row("store", None, None, None, before.store, after.store)
    yield from _of_schemas(runs, asked)
    yield _Row("length", None, None, None, *map(_length, runs))
    yield _Row("rate", None, None, None, *map(_rate, runs))
    both = [name for name in _compared(runs, asked) if all(_has(run, name) for run in runs)]
    for place, name in enumerate(both):
        yield from _of_states(runs, name, first=not place)
    slots = [run.polls + sum(run.gaps["count"].tolist()) for run in runs]
    for kind, numbers in (("failures", map(_failures, runs)), ("losses", map(_losses, runs))):
        yield from _of_numbers(kind, None, *numbers, *(_parts_of(whole, 1) for whole in slots))


def _of_schemas(runs: Runs, asked: list[str] | None) -> Iterator[_Row]:
    old, new = (run.schema for run in runs)
    if old.digest != new.digest:
        yield _Row("schema", None, "digest", None, old.digest, new.digest)
    if old.name != new.name:
        yield _Row("schema", None, "name", None, old.name, new.name)
    lone = []
    for change in old.diff(new):
        if change.kind in _MEANING:
            yield _Row("schema", change.field, change.kind, None, change.old, change.new)
        elif change.kind in ("removed", "added"):
            lone.append(change.field)
    for name in lone if asked is None else asked:
        there = [_has(run, name) for run in runs]
        if there[0] != there[1]:
            yield _Row("field", name, None, None, *there)


def _compared(runs: Runs, asked: list[str] | None) -> list[str]:
    if asked is not None:
        return asked
    names = dict.fromkeys(field.name for run in runs for field in run.schema.fields)
    return [name for name in names if any(_has_labels(run, name) for run in runs)]


def _length(records: Records) -> Measure:
    length = 0 if records.start is None else records.end - records.start
    return Measure(length, Fraction(length))


def _rate(records: Records) -> Measure:
    """Between the first poll and the last lies one less: so the rate of a short run is that of a long one."""
    polls, length = records.polls, _length(records).number
    return Measure(polls, Fraction((polls - 1) * _SECOND, length) if length > 0 else None)


def _failures(records: Records) -> dict[Hashable, int]:
    failed = records.gaps[records.gaps["cause"] == Cause.FAILED]
    counts: dict[Hashable, int] = {}
    for code, count in zip(failed["code"].tolist(), failed["count"].tolist(), strict=True):
        counts[code] = counts.get(code, 0) + count
    return counts


def _losses(records: Records) -> dict[Hashable, int]:
    gaps = records.gaps
    counts = {cause: sum(gaps["count"][gaps["cause"] == cause].tolist()) for cause in Cause}
    return {cause.name.lower(): count for cause, count in counts.items() if count}


class _Parts(NamedTuple):
    """Of what numbers are parts; None: of nothing."""

    each: Fraction | None

    def of(self, number: int) -> Measure:
        return Measure(number, None if self.each is None else number * self.each)


def _parts_of(whole: int, unit: int) -> _Parts:
    return _Parts(Fraction(unit, whole) if whole > 0 else None)


def _of_numbers(
    kind: str,
    field: str | None,
    before: Mapping[Hashable, int],
    after: Mapping[Hashable, int],
    old: _Parts,
    new: _Parts,
) -> Iterator[_Row]:
    """What is not counted is 0 times there."""
    for key in dict.fromkeys([*before, *after]):
        of, to = key if kind == "transitions" else (key, None)
        yield _Row(kind, field, of, to, old.of(before.get(key, 0)), new.of(after.get(key, 0)))


def _of_states(runs: Runs, name: str, *, first: bool) -> Iterator[_Row]:
    times, unknown = zip(*(_durations(run, name) for run in runs), strict=True)
    known = [sum(one.values()) for one in times]
    if first:  # of every field it is the same
        # Of no time at all nothing is unknown.
        whole = [_parts_of(sum(pair) or 1, 1) for pair in zip(known, unknown, strict=True)]
        yield _Row("unknown", None, None, None, whole[0].of(unknown[0]), whole[1].of(unknown[1]))
    parts = [_parts_of(one, 1) for one in known]
    for state in dict.fromkeys([*times[0], *times[1]]):
        both = (
            part.of(one[state]) if state in one else _NONE for part, one in zip(parts, times, strict=True)
        )
        yield _Row("durations", name, state, None, *both)
    numbers = (_transitions(run, name) for run in runs)
    yield from _of_numbers("transitions", name, *numbers, *(_parts_of(one, _SECOND) for one in known))


def _durations(records: Records, name: str) -> tuple[dict[Hashable, int], int]:
    """Time in each state, and that in which none is known; ns."""
    found = records.durations(name)
    seen = found[found["known"]]
    times: dict[Hashable, int] = {}
    for state, length in zip(_read(records, name, seen["state"]), seen["duration"].tolist(), strict=True):
        times[state] = times.get(state, 0) + length
    return times, sum(found["duration"][~found["known"]].tolist())


def _transitions(records: Records, name: str) -> dict[Hashable, int]:
    """How often it went from one state to another, by both."""
    numbers: dict[Hashable, int] = {}
    for start in range(0, len(records), _STEP):
        found = records[max(0, start - 1) : start + _STEP].transitions(name)
        if not len(found):
            continue
        both = np.concatenate([found["from"], found["to"]])
        if both.dtype.kind == "O":
            texts: dict[object, int] = {}
            codes = np.array([texts.setdefault(one, len(texts)) for one in both.tolist()])
            states = list(texts)
        else:
            distinct = Distinct(state_dtype(both))
            codes = distinct.codes(both)
            states = _read(records, name, distinct.states)
        before, after = np.split(codes, 2)
        pairs, counts = np.unique(before * len(states) + after, return_counts=True)
        for pair, count in zip(pairs.tolist(), counts.tolist(), strict=True):
            key = states[pair // len(states)], states[pair % len(states)]
            if key[0] != key[1]:  # what reads alike is one state
                numbers[key] = numbers.get(key, 0) + count
    return numbers


def _read(records: Records, name: str, states: np.ndarray) -> list[Hashable]:
    """States as people read them, and as keys."""
    field = _field(records, name)
    return [_key(one) for one in plain(states if field is None or field.text else readable(field, states))]


def _key(value: object) -> Hashable:
    if isinstance(value, list):
        return tuple(map(_key, value))
    return _NAN if isinstance(value, float) and math.isnan(value) else value
