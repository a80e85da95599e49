"""Records as lines: which fields of them ``--fields A,B`` and ``--raw`` ask for, as JSON or one by one."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from fastrec.cli.fields import check_known, columns, has
from fastrec.cli.selection import Selections
from fastrec.records import Records
from fastrec.records.merging import Reader
from fastrec.records.plain import headings, rows, spare, to_json
from fastrec.schema.paths import of_all

__all__ = ["Line", "add_arguments", "fields", "json_lines"]


class Line(NamedTuple):
    """What is printed at a time: a record, or a note about what happened between two."""

    text: str
    is_record: bool = True


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what says how records look."""
    parser.add_argument(
        "--fields", metavar="A,B", help="these fields, elements or structs of them; default: all"
    )
    parser.add_argument(
        "--raw",
        action="store_true",
        help="numbers as C stored them: no labels, no scales; of texts their ids",
    )


def fields(chosen: Selections, options: argparse.Namespace) -> dict[str, list[str]]:
    """Columns that are asked for, all of them leaves, elements or the recorder's own, by channel.

    Channels that have none of them are left out.

    Raises
    ------
    SchemaError
        None of the channels has such a field, or one has no such element.
    """
    channels = {name: one.records for name, one in chosen.channels.items()}
    known = {name: columns(records) for name, records in channels.items()}
    if options.fields is None:
        return known
    found: dict[str, list[str]] = {name: [] for name in channels}
    for wanted in dict.fromkeys(map(str.strip, options.fields.split(","))):
        inner = {name: _inside(channels[name], own, wanted) for name, own in known.items()}
        if not any(inner.values()):
            check_known(channels, [wanted])
        for name, some in inner.items():
            found[name] += some
    return {name: list(dict.fromkeys(some)) for name, some in found.items() if some}


def _inside(records: Records, known: Sequence[str], wanted: str) -> list[str]:
    """The column of this name, those of the struct or of the structs' member so named, or the element."""
    if wanted in known:
        return [wanted]
    inside = (f"{wanted}.", f"{wanted}[")
    below = [name for name in known if name.startswith(inside) or of_all(name) == wanted]
    if not below and has(records, wanted):
        return [records.schema.field(wanted).name]
    return below


def json_lines(chosen: Selections, options: argparse.Namespace) -> tuple[dict[str, Records], Reader[Line]]:
    """Channels, and how to read each as JSON objects; merged ones have the name of their channel first.

    It is called ``channel``, or, if a field of one of them is called so, ``channel_``.
    """
    names = fields(chosen, options)
    taken = {column for name in names for column in columns(chosen.channels[name].records)}
    told = [spare("channel", taken)] if chosen.merged else []

    def read(channel: str, parts: Iterator[Records]) -> Iterator[tuple[int, Line]]:
        one = chosen.channels[channel]
        keys = [*told, *headings(one.records, names[channel], raw=options.raw)]
        for part in filter(len, map(one.of, parts)):
            found = rows(part, names[channel], raw=options.raw)
            for stamp, row in zip(part["mono_ns"].tolist(), found, strict=True):
                values = (channel, *row) if chosen.merged else row
                yield stamp, Line(to_json(dict(zip(keys, values, strict=True))))

    return {name: chosen.channels[name].records for name in names}, read
