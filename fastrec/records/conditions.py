"""Conditions: which rows meet one. Read are those alone of which the zones do not tell."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from itertools import chain, groupby
from typing import NamedTuple

import numpy as np

from fastrec.expressions.binding import Bound
from fastrec.records.chunks import ZONE, Chunk
from fastrec.records.columns import Columns
from fastrec.records.copying import join_rows
from fastrec.records.looking import met
from fastrec.records.parts import Met, Part, each, made_of, outermost
from fastrec.records.pruning import Pruning, Verdict
from fastrec.records.ranges import Stretch, ahead, divided, joined, one_range, zone_behind
from fastrec.records.rows import Rows, Span
from fastrec.schema import Field

__all__ = ["Meeting"]

_Ranges = tuple[np.ndarray, np.ndarray]
"""Where ranges of rows begin and where they end."""


class _Found(NamedTuple):
    """Ranges of rows that meet a condition.

    Attributes
    ----------
    starts : ndarray of int64
    stops : ndarray of int64 or None
        None: each range is one row.
    stamps : ndarray of int64 or None
        Of each row; None: a zone told of them, and nothing was read.
    rows : ndarray or None
        Copies of them, if they are few.
    """

    starts: np.ndarray
    stops: np.ndarray | None
    stamps: np.ndarray | None = None
    rows: np.ndarray | None = None


_FIRST = 64 * ZONE
"""Rows that are read first where a few are wanted."""

_JUDGED = 2_048 * ZONE
"""Rows of which zones are asked first then."""

_LONG = 1_024
"""Rows side by side, on average, that are kept as spans; fewer are picked one by one."""

_SHORT = 16
"""Rows side by side, on average, of which there are no ranges: to take them apart again takes longer."""


class Meeting:
    """The rows that meet a condition.

    Parameters
    ----------
    what : Bound
    columns : Columns
        Of the rows that are asked.
    changes : sequence of (sequence of ndarray of int64)
        For each field that is asked whether it changed, of each span the places at which it did.
    """

    def __init__(self, what: Bound, columns: Columns, changes: Sequence[Sequence[np.ndarray]]) -> None:
        self._what = what
        self._condition = what.steps.condition()
        self._pruning = Pruning(what.steps, columns.schema, columns.store)
        self._changes = changes

    def rows(self, rows: Rows) -> Rows:
        """Those that meet it, in their order; searched for when they are needed."""

        def search(place: int, few: bool) -> tuple[list[Span], int] | None:
            count = 0 if few else len(rows)  # all of them, in as few steps as that takes
            found = rows.holding(place)
            if found is None:
                return None
            number, span, shift = found
            first = number, span._replace(start=shift + place)
            if few:
                # Of a few that are wanted the next may be near; the more was looked at in vain, the farther.
                spans, stop = self._nearest(*first, max(_FIRST, 3 * place))
                return spans, stop - shift
            behind = enumerate(rows.spans[number + 1 :], number + 1)
            return self._spans(chain([first], behind)), count

        return Rows(search=search)

    def _spans(self, asked: Iterable[tuple[int, Span]]) -> list[Span]:
        """What meets it of some spans, each with its number."""
        begun = (
            (number, span, self._begun(span, stretch, [places[number] for places in self._changes]))
            for number, span in asked
            for stretch in divided(span, zoned=self._pruning.useful)
        )
        return _spans_of(begun)

    def _nearest(self, number: int, span: Span, most: int) -> tuple[list[Span], int]:
        """What meets it of the first rows of a span, so many read at most; and where these rows end."""
        changed = [places[number] for places in self._changes]
        zoned = self._pruning.useful and bool(span.chunk.zone_starts)
        stop = zone_behind(span, span.start + (max(most, _JUDGED) if zoned else most))
        stretch = next(divided(span._replace(stop=stop), zoned=zoned))
        verdict = self._verdict(span.chunk, stretch, changed)
        if verdict is not None:
            doubtful = np.flatnonzero(verdict.may & ~verdict.must)[max(1, most // ZONE) :]
            if len(doubtful):
                stretch, verdict = stretch.first(int(doubtful[0])), verdict.first(int(doubtful[0]))

        def begun() -> Iterator[tuple[int, Span, Iterator[_Found]]]:
            # When it is asked for: an error keeps this frame, and none of what has begun to read.
            yield number, span, self._ranges(span.chunk, stretch, verdict, changed)

        return _spans_of(begun()), stretch.stop

    def _begun(self, span: Span, stretch: Stretch, changed: list[np.ndarray]) -> Iterator[_Found]:
        """Ranges of rows of a stretch that meet it, in any order; reading has begun."""
        return self._ranges(span.chunk, stretch, self._verdict(span.chunk, stretch, changed), changed)

    def _verdict(self, chunk: Chunk, stretch: Stretch, changed: list[np.ndarray]) -> Verdict | None:
        """What the zones of a stretch say; None: it has none."""
        if not stretch.zones:
            return None
        starts = stretch.starts
        touched = [
            np.searchsorted(places, starts) < np.searchsorted(places, starts + ZONE) for places in changed
        ]
        return self._pruning.verdict(chunk.zones(*stretch.zones, self._pruning.columns), touched)

    def _ranges(
        self, chunk: Chunk, stretch: Stretch, verdict: Verdict | None, changed: list[np.ndarray]
    ) -> Iterator[_Found]:
        """As of `_begun`, by what the zones say."""
        if verdict is None:
            return self._read(chunk, *one_range(stretch.start, stretch.stop), changed)
        starts = stretch.starts[verdict.must]
        ranges = stretch.untold(verdict.may & ~verdict.must)
        return chain([_Found(starts, starts + ZONE)], self._read(chunk, *ranges, changed))

    def _read(
        self, chunk: Chunk, starts: np.ndarray, stops: np.ndarray, changed: list[np.ndarray]
    ) -> Iterator[_Found]:
        condition = self._condition
        if condition.alone:
            return made_of(chunk.meeting(starts, stops, condition), _found)
        known: list[tuple[set[int], list[int]]] = [(set(), []) for _ in self._what.texts]

        def given(part: Part) -> _Found:
            ids = [self._ids(part, chunk, *one) for one in zip(self._what.texts, known, strict=True)]
            return _found(met(part, condition, ids, [_truths(part, places) for places in changed]))

        return made_of(chunk.parts(starts, stops), given)

    def _ids(
        self, part: Part, chunk: Chunk, wanted: tuple[Field, tuple[object, ...]], known: tuple[set, list]
    ) -> np.ndarray:
        """The ids of some texts in a chunk, among those that its rows have, as far as they were seen."""
        field, texts = wanted
        ids = field.of(part.array)
        some = [ids[start:stop] for start, stop in zip(part.begins, part.ends, strict=True)]
        seen, same = known
        new = set(np.unique(np.concatenate(some)).tolist()) - seen
        seen |= new
        same += [one for one in new if chunk.text(one) in texts]
        return np.sort(np.array(same, np.uint64))


def _spans_of(begun: Iterator[tuple[int, Span, Iterator[_Found]]]) -> list[Span]:
    """What meets a condition of stretches of some spans, each with its number."""
    spans: list[Span] = []
    with closing(ahead(begun)) as some:
        for (_, span), stretches in groupby(some, key=lambda one: one[:2]):
            spans += _picked(span, [one for *_, found in stretches for one in found if len(one.starts)])
    return spans


def _picked(span: Span, found: list[_Found]) -> list[Span]:
    """These rows of a span."""
    if found and all(one.stops is None for one in found):
        places = np.concatenate([one.starts for one in found])
    else:
        starts, stops = _joined(found)
        if (stops - starts).sum() >= _LONG * len(starts):
            ranges = zip(starts.tolist(), stops.tolist(), strict=True)
            return [Span(span.chunk, start, stop) for start, stop in ranges]
        places = each(starts, stops)
    stamps, rows = [one.stamps for one in found], [one.rows for one in found]
    return [
        span.pick(
            places,
            np.concatenate(stamps) if all(some is not None for some in stamps) else None,
            join_rows(rows) if all(some is not None for some in rows) else None,
        )
    ]


def _found(some: Met) -> _Found:
    """The rows, in ranges where many lie side by side."""
    places, count = some.places, len(some.places)
    apart = places[1:] - places[:-1] != 1
    if _SHORT * np.count_nonzero(apart) > count:
        return _Found(places, None, some.stamps, some.array)
    first, last = outermost(apart, count)
    return _Found(places[first], places[last] + 1, some.stamps, some.array)


def _truths(part: Part, places: np.ndarray) -> np.ndarray:
    """Ones for those rows of a part, from the first range on, that are among the places."""
    begin, end = int(part.begins[0]), int(part.ends[-1])
    truths = np.zeros(end - begin, np.uint8)
    low, high = np.searchsorted(places, [part.starts[0], part.stops[-1]])
    truths[part.within(places[low:high]) - begin] = 1
    return truths


def _joined(found: Sequence[_Found]) -> _Ranges:
    """Ranges in order; those that touch are one."""
    if not found:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    starts = np.concatenate([one.starts for one in found])
    stops = np.concatenate([one.starts + 1 if one.stops is None else one.stops for one in found])
    if any(one.stamps is None for one in found):  # what zones tell comes before what was read
        order = np.argsort(starts, kind="stable")
        starts, stops = starts[order], stops[order]
    return joined(starts, stops)
