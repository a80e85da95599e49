"""``fastrec query RUN CHANNEL --durations FIELD``: what `Records` answers about states and numbers."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

import numpy as np

from fastrec.cli import selection
from fastrec.cli.answers import Answer, Column, show
from fastrec.cli.losses import by_cause, told
from fastrec.cli.output import say, say_json, table
from fastrec.durations import format_duration
from fastrec.errors import SchemaError
from fastrec.records import Records
from fastrec.records.columns import recorder_columns
from fastrec.records.plain import date, plain
from fastrec.schema import Field
from fastrec.schema.readable import is_scaled, native

__all__ = ["add_arguments", "run"]

_OF_STATES = {
    "transitions": "when the field changed, and from what to what",
    "intervals": "when it was in which state, and what opened and closed that",
    "durations": "how long it was in each state; unknown time by itself",
    "counts": "how many records, and polls, there are of each state",
}
_WITH_GAPS = ("intervals", "durations")
_KINDS = {
    "from": "state",
    "to": "state",
    "state": "state",
    "time": "stamp",
    "start": "stamp",
    "end": "stamp",
    "duration": "span",
    "share": "share",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    selection.add_arguments(parser)
    asked = parser.add_mutually_exclusive_group()
    for question, what in _OF_STATES.items():
        asked.add_argument(f"--{question}", metavar="FIELD", help=what)
    asked.add_argument(
        "--stats",
        nargs="*",
        metavar="FIELD",
        help="how many numbers there are, how many NaN, the least, the largest and the mean, by polls;"
        " default: of all fields that are numbers",
    )
    parser.add_argument(
        "--max-gap",
        metavar="TIME",
        help='nothing may be known for that long within an interval, such as "50ms"; 0: every gap breaks it;'
        " default: ten periods, at least 10 ms",
    )
    parser.add_argument("--limit", type=selection.limit, metavar="N", help="at most the first N rows")
    parser.add_argument(
        "--raw", action="store_true", help="states as C stored them: no labels, no scales; texts are texts"
    )
    forms = parser.add_mutually_exclusive_group()
    forms.add_argument("--json", action="store_true", help="a JSON object; times also in ns")
    forms.add_argument("--csv", action="store_true", help="comma-separated values; times in ns")


def run(options: argparse.Namespace) -> int:
    """Ask, and print the answer."""
    field, question = next(
        ((field, name) for name in _OF_STATES if (field := getattr(options, name)) is not None), (None, None)
    )
    if options.max_gap is not None and question not in _WITH_GAPS:
        raise SchemaError("--max-gap is of --intervals and --durations; leave it out, or ask one of these")
    if options.raw and question is None:
        raise SchemaError("--raw is of states; ask one of " + ", ".join(f"--{name}" for name in _OF_STATES))
    chosen = selection.select(options)
    records = chosen.of(chosen.records)
    if question is not None:
        show(_of_states(records, question, field, options), options)
    elif options.stats is not None:
        show(_of_numbers(records, options.stats), options)
    else:
        _show_summary(records, options)
    return selection.tell_damage(chosen.run)


def _of_states(records: Records, question: str, field: str, options: argparse.Namespace) -> Answer:
    more: dict[str, object] = {}
    if question in _WITH_GAPS:
        more["max_gap"] = 0 if selection.whole_number(options.max_gap or "") == 0 else options.max_gap
    found = getattr(records, question)(field, **more)
    one = _field(records, field)
    unit = "" if one is None or options.raw else one.unit
    read = None if one is None or options.raw else one
    # Polls are records where each was recorded; whether a state is known, a row says by itself.
    hidden = {"known", *(() if records.store == "changes" else ("polls",))}
    columns = [
        Column(name, _KINDS.get(name, "plain"), found[name], shown=name not in hidden)
        for name in found.dtype.names
    ]
    known = found["known"] if "known" in found.dtype.names else None
    about = {"channel": records.name, "field": field, "unit": unit}
    return Answer(question, about, columns, records.clock, read, unit, known)


def _field(records: Records, name: str) -> Field | None:
    """None: it is one of the recorder's columns."""
    return None if name in recorder_columns(records.store) else records.schema.field(name)


def _of_numbers(records: Records, names: list[str]) -> Answer:
    found = records.describe(*names)
    fields = [_field(records, name) for name in found["field"].tolist()]
    rows = list(zip(fields, found, strict=True))
    values: dict[str, list[Any]] = {
        "field": found["field"].tolist(),
        "unit": ["" if field is None else field.unit for field in fields],
        "count": found["count"].tolist(),
        "nan": found["nan"].tolist(),
        "min": [_end(field, row["min"]) for field, row in rows],
        "max": [_end(field, row["max"]) for field, row in rows],
        "mean": [float(row["mean"]) if row["count"] else None for row in found],
    }
    columns = []
    for name, some in values.items():
        column = np.empty(len(some), object)
        column[:] = some
        columns.append(Column(name, "number" if name in ("min", "max", "mean") else "plain", column))
    return Answer("stats", {"channel": records.name}, columns, records.clock)


def _end(field: Field | None, value: float | None) -> float | None:
    """The least or the largest, in as many digits as the field's own width needs."""
    if value is None or field is None or field.dtype.kind != "f" or is_scaled(field):
        return value
    return plain(native(np.array([value], field.dtype)))[0]


def _show_summary(records: Records, options: argparse.Namespace) -> None:
    """What there is, where nothing else is asked."""
    start, end, losses = records.start, records.end, by_cause(records.gaps)
    length = None if start is None else end - start
    about = {
        "channel": records.name,
        "records": len(records),
        "polls": records.polls,
        "start": date(records.clock, start),
        "end": date(records.clock, end),
        "start_ns": start,
        "end_ns": end,
        "duration_ns": length,
        "lost": losses,
    }
    if options.json:
        say_json(about)
    elif options.csv:
        numbers = ("records", "polls", "start_ns", "end_ns", "duration_ns")
        lost = sum(loss["count"] for loss in losses.values())
        say(",".join((*numbers, "lost")))
        say(",".join([*("" if about[name] is None else str(about[name]) for name in numbers), str(lost)]))
    else:
        _show_lines(about, records)


def _show_lines(about: Mapping[str, Any], records: Records) -> None:
    lines = [("records", f"{about['records']:,}")]
    if records.store == "changes":
        lines.append(("polls", f"{about['polls']:,}"))
    for name in ("start", "end"):
        stamp = about[f"{name}_ns"]
        if stamp is not None:
            lines.append((name, date(records.clock, stamp, zoned=False) or str(stamp)))
    if about["duration_ns"] is not None:
        lines.append(("length", format_duration(about["duration_ns"])))
    table([*lines, ("lost", told(about["lost"]))])
