"""Records as lines: which fields of them ``--fields A,B`` and ``--raw`` ask for, as JSON or one by one."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from fastrec.cli.output import date
from fastrec.cli.selection import Selections, check_known, columns
from fastrec.records import Records
from fastrec.records.merging import Reader
from fastrec.records.plain import plain, to_json

__all__ = ["Line", "add_arguments", "fields", "headings", "json_lines", "rows"]


class Line(NamedTuple):
    """What is printed at a time: a record, or a note about what happened between two."""

    text: str
    is_record: bool = True


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what says how records look."""
    parser.add_argument("--fields", metavar="A,B", help="these fields, or structs of them; default: all")
    parser.add_argument(
        "--raw",
        action="store_true",
        help="numbers as C stored them: no labels, no scales; of texts their ids",
    )


def fields(chosen: Selections, options: argparse.Namespace) -> dict[str, list[str]]:
    """Columns that are asked for, all of them leaves or the recorder's own, by channel.

    Channels that have none of them are left out.

    Raises
    ------
    SchemaError
        None of the channels has such a field.
    """
    channels = {name: one.records for name, one in chosen.channels.items()}
    if options.fields is None:
        return {name: columns(records) for name, records in channels.items()}
    found: dict[str, list[str]] = {name: [] for name in channels}
    for wanted in dict.fromkeys(map(str.strip, options.fields.split(","))):
        inner = {name: _inside(columns(records), wanted) for name, records in channels.items()}
        if not any(inner.values()):
            check_known(channels, [wanted])
        for name, some in inner.items():
            found[name] += some
    return {name: list(dict.fromkeys(some)) for name, some in found.items() if some}


def _inside(known: Sequence[str], wanted: str) -> list[str]:
    """The column of this name, or those of the struct of this name."""
    return [name for name in known if name == wanted] or [
        name for name in known if name.startswith((f"{wanted}.", f"{wanted}["))
    ]


def headings(names: Sequence[str], options: argparse.Namespace) -> list[str]:
    """What the values of `rows` are called."""
    return ["seq", *names] if options.raw else ["seq", "time", *names]


def rows(part: Records, names: Sequence[str], options: argparse.Namespace, *, zoned: bool) -> Iterator[tuple]:
    """Per record its number, its date unless raw, and its values."""
    read = {name: part[name] for name in names} if options.raw else part.decode()
    values = [part.seq.tolist()]
    if not options.raw:
        values.append([date(part.clock, stamp, zoned=zoned) for stamp in part["mono_ns"].tolist()])
    return zip(*values, *(plain(read[name]) for name in names), strict=True)


def json_lines(chosen: Selections, options: argparse.Namespace) -> tuple[dict[str, Records], Reader[Line]]:
    """Channels, and how to read each as JSON objects; merged ones have the name of their channel first."""
    names = fields(chosen, options)

    def read(channel: str, parts: Iterator[Records]) -> Iterator[tuple[int, Line]]:
        told = ["channel"] if chosen.merged else []
        keys = _distinct([*told, *headings(names[channel], options)])
        for part in filter(len, map(chosen.channels[channel].of, parts)):
            found = rows(part, names[channel], options, zoned=True)
            for stamp, row in zip(part["mono_ns"].tolist(), found, strict=True):
                values = (channel, *row) if chosen.merged else row
                yield stamp, Line(to_json(dict(zip(keys, values, strict=True))))

    return {name: chosen.channels[name].records for name in names}, read


def _distinct(keys: Sequence[str]) -> list[str]:
    """The keys, with ``_`` behind a field that is called as one of ours before it."""
    found: list[str] = []
    for key in keys:
        while key in found:
            key += "_"
        found.append(key)
    return found
