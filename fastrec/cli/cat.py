"""``fastrec cat RUN [CHANNEL ...]``: records, one a line; ``--follow``: and those that come, as they come."""

from __future__ import annotations

import argparse
import errno
import heapq
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import itemgetter

import numpy as np

from fastrec.cli import following, lines, selection
from fastrec.cli.lines import Line
from fastrec.cli.output import cell, say, uninterrupted, visible
from fastrec.cli.selection import Selections
from fastrec.durations import format_duration
from fastrec.errors import SchemaError
from fastrec.recording import Recording
from fastrec.recording.reader import Mark
from fastrec.records import Records
from fastrec.records.merging import merge
from fastrec.records.plain import date, headings, rows
from fastrec.schema.gaps import Cause
from fastrec.schema.paths import split
from fastrec.schema.texts import Lost

__all__ = ["add_arguments", "run"]

_BEFORE_ALL = -(2**63)

_Read = Callable[[str, Records, Iterator[Records]], Iterable[tuple[int, Line]]]
"""From a channel's name, some of its records, and these part by part, to lines with their stamps."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    selection.add_arguments(parser, several=True)
    lines.add_arguments(parser)
    parser.add_argument("--limit", type=selection.limit, metavar="N", help="at most the first N")
    parser.add_argument("--json", action="store_true", help="a JSON object a line")
    parser.add_argument(
        "--follow",
        action="store_true",
        help="go on with what a recorder commits, until it ends or is killed, or Ctrl-C; --last 0: only that",
    )


def run(options: argparse.Namespace) -> int:
    """Print the records."""
    if options.follow and options.between and options.between[1].strip() != "end":
        raise SchemaError("--follow has no end; write --between START end")
    chosen = selection.select_all(options)
    if options.follow and any(one.conditions.changes for one in chosen.channels.values()):
        raise SchemaError("--follow asks of what comes record by record; leave out changed()")
    channels, read = _for_programs(chosen, options) if options.json else _for_people(chosen, options)
    marks = [] if options.json or options.where else chosen.marks
    wanted = _Limited(options.limit)
    try:
        wanted.say(_lines(chosen.run, channels, marks, read))
        if options.follow and wanted.more:
            sys.stdout.flush()
            for came in following.rounds(chosen.run, channels, chosen.made):
                marks = [] if options.json or options.where else came.marks
                wanted.say(_lines(chosen.run, came.channels, marks, read))
                sys.stdout.flush()
                if not wanted.more:
                    break
            else:
                following.tell_end(chosen.run)
    except KeyboardInterrupt:
        if not options.follow:
            raise
        return 0  # so it is ended
    return selection.tell_damage(chosen.run)


class _Limited:
    """Lines up to the record that is the last one wanted."""

    def __init__(self, limit: int | None) -> None:
        self._left = limit

    @property
    def more(self) -> bool:
        return self._left != 0

    def say(self, told: Iterable[tuple[int, str, Line]]) -> None:
        for _, _, line in told if self.more else ():
            with uninterrupted():
                say(line.text)
            if self._left is not None and line.is_record:
                self._left -= 1
                if not self.more:
                    break


def _lines(
    run: Recording, channels: dict[str, Records], marks: Sequence[Mark], read: _Read
) -> Iterator[tuple[int, str, Line]]:
    """What some records have to tell, and marks, by time."""
    told = [(mark.mono_ns, "", Line(_told_mark(run, mark), is_record=False)) for mark in marks]
    found = merge(channels, lambda name, parts: read(name, channels[name], parts))
    return heapq.merge(told, found, key=itemgetter(0))


def _for_programs(chosen: Selections, options: argparse.Namespace) -> tuple[dict[str, Records], _Read]:
    channels, read = lines.json_lines(chosen, options)
    return channels, lambda channel, records, parts: read(channel, parts)


def _for_people(chosen: Selections, options: argparse.Namespace) -> tuple[dict[str, Records], _Read]:
    """Channels, and how to read each: one as a table, several as a list; losses are lines between records."""
    names = lines.fields(chosen, options)
    width = max(map(len, names), default=0)

    forms: dict[str, _Table | _List] = {}
    if options.fields is None and (chosen.merged or not options.raw):
        # Not the stamp: before it stands the date, or in a list itself.
        names = {channel: shown[1:] for channel, shown in names.items()}
    for channel, shown in names.items():
        records = chosen.channels[channel].records
        forms[channel] = (
            _List(records, shown, options, channel.ljust(width))
            if chosen.merged
            else _Table(records, shown, options)
        )

    def read(channel: str, records: Records, parts: Iterator[Records]) -> Iterator[tuple[int, Line]]:
        one, shown, form = chosen.channels[channel], names[channel], forms[channel]
        who = f"{channel}: " if chosen.merged else ""
        losses = iter(() if options.where else records.gaps)
        loss = next(losses, None)
        for part in filter(len, map(one.of, parts)):
            found = list(rows(part, shown, raw=options.raw, zoned=False))
            if not options.raw:
                found = _readable(records, shown, found)
            if heading := form.heading(found):
                yield _BEFORE_ALL, Line(heading, is_record=False)
            for stamp, row in zip(part["mono_ns"].tolist(), found, strict=True):
                while loss is not None and loss["seq"] <= row[0]:
                    yield min(int(loss["t_first"]), stamp), _told_loss(who, records, loss)
                    loss = next(losses, None)
                yield stamp, Line(form.text(stamp, row))
        while loss is not None:
            yield int(loss["t_first"]), _told_loss(who, records, loss)
            loss = next(losses, None)

    return {name: chosen.channels[name].records for name in names}, read


def _readable(records: Records, shown: Sequence[str], found: list[tuple]) -> list[tuple]:
    """Rows whose recorder's columns say when and how long, where a hold has more of them than its stamp."""
    if records.store == "every" or not {"until_ns", "max_gap_ns"} & set(shown):
        return found
    when = {"until_ns": lambda stamp: date(records.clock, stamp, zoned=False) or stamp}
    told = when | {"max_gap_ns": format_duration}
    ways = [None, None, *(told.get(name) for name in shown)]  # first the number and the date
    return [
        tuple(way(value) if way else value for way, value in zip(ways, row, strict=True)) for row in found
    ]


def _told_mark(run: Recording, mark: Mark) -> str:
    when = date(run.clock, mark.mono_ns, zoned=False) or str(mark.mono_ns)
    return f'-- {visible(mark.kind)} "{visible(mark.text)}" at {when}'


def _told_loss(who: str, records: Records, loss: np.void) -> Line:
    cause, code = _told_cause(loss)
    first, last = int(loss["t_first"]), int(loss["t_last"])
    length = f" within {format_duration(last - first)}" if last > first else ""
    when = date(records.clock, first, zoned=False) or str(first)
    return Line(f"-- {who}{int(loss['count']):,} {cause}{code} at {when}{length}", is_record=False)


def _told_cause(loss: np.void) -> tuple[str, str]:
    """The cause, and what its code adds."""
    if loss["cause"] == Cause.MISSED and loss["code"] == errno.EBUSY:
        return "missed while paused", ""
    known = {int(cause): cause.name.lower() for cause in Cause}
    code = f", code {loss['code']}" if loss["code"] else ""
    return known.get(int(loss["cause"]), f"cause {loss['cause']}"), code


def _units(records: Records, names: Sequence[str]) -> list[str]:
    """Of each column its unit; an element has that of its array."""
    units = {field.name: field.unit for field in records.schema.fields}
    return [units.get(split(name)[0], "") for name in names]


class _List:
    """Records of one of several channels: date, channel, then ``name=value``."""

    def __init__(
        self, records: Records, names: Sequence[str], options: argparse.Namespace, channel: str
    ) -> None:
        units = _units(records, names)
        self._channel = channel
        self._ours = 1 if options.raw else 2  # values before those of the fields
        self._names = [visible(name) for name in names]
        self._units = ["" if options.raw or not unit else f" {visible(unit)}" for unit in units]

    def heading(self, found: Sequence[tuple]) -> str:
        return ""

    def text(self, stamp: int, row: tuple) -> str:
        named = zip(self._names, row[self._ours :], self._units, strict=True)
        values = [f"{name}={cell(value)}{unit}" for name, value, unit in named]
        when = row[1] if self._ours > 1 and row[1] else str(stamp)
        return "  ".join([when, self._channel, *values])


class _Table:
    """Columns as wide as the first rows need them; texts are flush left, numbers flush right."""

    def __init__(self, records: Records, names: Sequence[str], options: argparse.Namespace) -> None:
        units = [""] * len(names) if options.raw else _units(records, names)  # raw values have none
        named = [f"{name} ({unit})" if unit else name for name, unit in zip(names, units, strict=True)]
        self._headings = [visible(name) for name in headings(records, named, raw=options.raw)]
        self._widths: list[int] = []
        self._left: list[bool] = []

    def heading(self, found: Sequence[tuple]) -> str:
        """Above the first rows; empty if it was told."""
        if self._widths:
            return ""
        cells = ([cell(value) for value in row] for row in found)
        self._widths = [max(map(len, column)) for column in zip(self._headings, *cells, strict=True)]
        self._left = [isinstance(value, str | list | Lost | None) for value in found[0]]
        return self._aligned(self._headings)

    def text(self, stamp: int, row: tuple) -> str:
        return self._aligned([cell(value) for value in row])

    def _aligned(self, texts: Sequence[str]) -> str:
        cells = zip(texts, self._widths, self._left, strict=True)
        return "  ".join(
            text.ljust(width) if left else text.rjust(width) for text, width, left in cells
        ).rstrip()
