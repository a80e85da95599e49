"""``fastrec cat RUN [CHANNEL]``: records, one a line, as they come."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence

import numpy as np

from fastrec.cli import selection
from fastrec.cli.output import cell, date, say, say_json, visible
from fastrec.records import Records
from fastrec.records.columns import recorder_columns
from fastrec.records.plain import plain
from fastrec.schema.gaps import Cause
from fastrec.times import format_duration

__all__ = ["add_arguments", "run"]

# The first block is small, so that `| head` has what it wants at once.
_FIRST_BLOCK = 64
_LARGEST_BLOCK = 4096


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    selection.add_arguments(parser)
    parser.add_argument("--fields", metavar="A,B", help="these fields, or structs of them; default: all")
    parser.add_argument("--limit", type=_limit, metavar="N", help="at most the first N")
    parser.add_argument(
        "--raw",
        action="store_true",
        help="numbers as C stored them: no labels, no scales; of texts their ids",
    )
    parser.add_argument("--json", action="store_true", help="a JSON object a line")


def _limit(text: str) -> int:
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is no number of records")
    return int(text)


def run(options: argparse.Namespace) -> int:
    """Print the records."""
    chosen = selection.select(options)
    names = _names(chosen.records, options)
    if options.json:
        keys = _headings(names, options)
        for part in _parts(chosen, options.limit):
            for row in _rows(part, names, options):
                say_json(dict(zip(keys, row, strict=True)), indent=None)
    else:
        _show(chosen, names, options)
    return selection.tell_damage(chosen.run)


def _names(records: Records, options: argparse.Namespace) -> list[str]:
    """The columns that are asked for, all of them leaves or the recorder's own."""
    own = recorder_columns(records.store)
    leaves = [field.name for field in records.schema.fields]
    if options.fields is None:
        return [*(own if options.raw or options.json else own[1:]), *leaves]
    names: list[str] = []
    for name in map(str.strip, options.fields.split(",")):
        inner = [leaf for leaf in leaves if leaf.startswith((f"{name}.", f"{name}["))]
        names += [name] if name in own else inner or [records.schema.field(name).name]
    return list(dict.fromkeys(names))


def _headings(names: Sequence[str], options: argparse.Namespace) -> list[str]:
    return ["seq", *names] if options.raw else ["seq", "time", *names]


def _parts(chosen: selection.Selection, limit: int | None) -> Iterator[Records]:
    """What is wanted, block by block; at least one record each."""
    start, size, left = 0, _FIRST_BLOCK, limit
    while start < len(chosen.records) and left != 0:
        part = chosen.of(chosen.records[start : start + size])[:left]
        start, size = start + size, min(2 * size, _LARGEST_BLOCK)
        if len(part):
            left = None if left is None else left - len(part)
            yield part


def _rows(part: Records, names: Sequence[str], options: argparse.Namespace) -> Iterator[tuple]:
    """Per record its number, its date unless raw, and its values."""
    columns = {name: part[name] for name in names} if options.raw else part.decode()
    values = [part.seq.tolist()]
    if not options.raw:
        values.append([date(part.clock, stamp, zoned=options.json) for stamp in part["mono_ns"].tolist()])
    return zip(*values, *(plain(columns[name]) for name in names), strict=True)


def _show(chosen: selection.Selection, names: Sequence[str], options: argparse.Namespace) -> None:
    """As a table, its columns as wide as the first block needs them; losses are lines between records."""
    records, shown = chosen.records, 0
    losses = iter(() if chosen.conditions else records.gaps)
    loss = next(losses, None)
    layout: _Layout | None = None
    for part in _parts(chosen, options.limit):
        rows = list(_rows(part, names, options))
        lines = [[cell(value) for value in row] for row in rows]
        if layout is None:
            headings = [visible(_with_unit(records, name)) for name in _headings(names, options)]
            layout = _Layout(headings, lines, rows[0])
            layout.say(headings)
        for row, line in zip(rows, lines, strict=True):
            while loss is not None and loss["seq"] <= row[0]:
                say(_told(records, loss))
                loss = next(losses, None)
            layout.say(line)
        shown += len(rows)
    while loss is not None and shown == len(records):
        say(_told(records, loss))
        loss = next(losses, None)


def _with_unit(records: Records, name: str) -> str:
    units = {field.name: field.unit for field in records.schema.fields}
    return f"{name} ({units[name]})" if units.get(name) else name


def _told(records: Records, loss: np.void) -> str:
    """A loss in words."""
    code = f", code {loss['code']}" if loss["code"] else ""
    first, last = int(loss["t_first"]), int(loss["t_last"])
    length = f" within {format_duration(last - first)}" if last > first else ""
    known = {int(cause): cause.name.lower() for cause in Cause}
    cause = known.get(int(loss["cause"]), f"cause {loss['cause']}")
    return f"-- {int(loss['count']):,} {cause}{code} at {date(records.clock, first, zoned=False)}{length}"


class _Layout:
    """Widths of columns; texts are flush left, numbers flush right."""

    def __init__(
        self, headings: Sequence[str], lines: Sequence[Sequence[str]], like: Sequence[object]
    ) -> None:
        self._widths = [max(map(len, column)) for column in zip(headings, *lines, strict=True)]
        self._left = [isinstance(value, str | list | None) for value in like]

    def say(self, line: Sequence[str]) -> None:
        cells = zip(line, self._widths, self._left, strict=True)
        say(
            "  ".join(
                text.ljust(width) if left else text.rjust(width) for text, width, left in cells
            ).rstrip()
        )
