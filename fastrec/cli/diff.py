"""``fastrec diff A B --tolerance 5%``: how two recordings differ; 1 if by more than they may."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import numpy as np

from fastrec.cli import selection
from fastrec.cli.answers import Answer, Column, percent, show
from fastrec.cli.output import cell, visible
from fastrec.durations import format_duration
from fastrec.errors import SchemaError
from fastrec.recording import Recording, open
from fastrec.records import Records
from fastrec.records.comparing import channels_of, diff
from fastrec.records.tolerances import KINDS, Tolerances

__all__ = ["add_arguments", "run"]

_TIMES = tuple(kind for kind, what in KINDS.items() if what == "a time")
_PER_SECOND = ("rate", "transitions")
_PRESENCE = ("channel", "field")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    parser.add_argument("run", metavar="A", help="folder of the recording that percentages are of")
    parser.add_argument("other", metavar="B", help="folder of the other one")
    parser.add_argument(
        "--channel", action="append", metavar="NAME", help="may be given several times; default: all"
    )
    parser.add_argument(
        "--field",
        action="append",
        metavar="FIELD",
        help="whose states are compared; may be given several times; default: all that have labels",
    )
    selection.add_between(parser)
    parser.add_argument(
        "--tolerance",
        action="append",
        type=_tolerance,
        default=[],
        metavar="[KIND=]AMOUNT",
        help="by how much they may differ, or the exit code is 1: 5%% of what A had, of every kind but length"
        " that has no tolerance of its own; durations=10%% of the share of the known time, durations=50ms;"
        " rate=1%%, losses=0; may be given several times, of one kind it is enough to be within one; kinds:"
        f" {', '.join(KINDS)}; default: anything",
    )
    parser.add_argument("--all", action="store_true", help="show what is equal, too")
    forms = parser.add_mutually_exclusive_group()
    forms.add_argument("--json", action="store_true", help="a JSON object; times in ns")
    forms.add_argument("--csv", action="store_true", help="comma-separated values; times in ns")
    parser.set_defaults(limit=None)


def _tolerance(text: str) -> str:
    try:
        Tolerances([text])
    except SchemaError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def run(options: argparse.Namespace) -> int:
    """Compare, and print what differs; 1 if by more than it may, or if one of them is damaged."""
    runs = open(options.run), open(options.other)
    names = channels_of(*runs, options.channel)
    windows = _windows(runs, names, options.between)
    found = diff(*windows, fields=options.field, tolerance=options.tolerance, equal=options.all)
    show(_answer(found, runs, options), options)
    damaged = [selection.tell_damage(one) for one in runs]
    return max(*damaged, int(found["beyond"].any()))


def _windows(
    runs: Iterable[Recording], names: Iterable[str], between: Iterable[str] | None
) -> list[Mapping[str, Records]]:
    """Of each run its records; its own times, from the first start of what both have to the last end."""
    windows = [{name: run[name] for name in names if name in run} for run in runs]
    if between is None:
        return windows
    both = [name for name in names if all(name in one for one in windows)]
    cut: list[Mapping[str, Records]] = []
    for run, one in zip(runs, windows, strict=True):
        begin, end = selection.limits(run, {name: one[name] for name in both or one}, between)
        begin, end = -(2**63) if begin is None else begin, 2**63 if end is None else end
        cut.append({name: records.within(begin, end) for name, records in one.items()})
    return cut


class _Row(NamedTuple):
    """One of `diff`."""

    channel: str
    kind: str
    field: str | None
    of: object
    to: object
    a: object
    b: object
    a_relative: float
    b_relative: float
    change: float
    beyond: bool


def _answer(found: np.ndarray, runs: Iterable[Recording], options: argparse.Namespace) -> Answer:
    a, b = (str(run.path) for run in runs)
    about = {"a": a, "b": b, "tolerance": options.tolerance, "beyond": int(found["beyond"].sum())}
    rows = [_Row(*row) for row in found.tolist()]
    of, to = ([getattr(row, name) for row in rows] for name in ("of", "to"))
    if options.csv:
        of = [_simple(row, row.of) for row in rows]
        to = [_simple(row, row.to) if row.kind == "transitions" else None for row in rows]

    def column(name: str, told: Callable[[_Row], str], values: list | None = None) -> Column:
        values = [getattr(row, name) for row in rows] if values is None else values
        return Column(name, "plain", np.fromiter(values, object), told=[visible(told(row)) for row in rows])

    def number(name: str, told: Callable[[_Row, float], str]) -> Column:
        values = [getattr(row, name) for row in rows]
        texts = ["" if math.isnan(one) else told(row, one) for row, one in zip(rows, values, strict=True)]
        known = [one if math.isfinite(one) else None for one in values]
        return Column(name, "number", np.fromiter(known, object), told=texts)

    columns = [
        column("channel", lambda row: row.channel),
        column("kind", lambda row: row.kind),
        column("field", lambda row: row.field or ""),
        column("of", _told_of, of),
        column("to", lambda row: "", to)._replace(shown=False),
        column("a", lambda row: _amount(row, row.a))._replace(kind="number"),
        column("b", lambda row: _amount(row, row.b))._replace(kind="number"),
        number("a_relative", _relative),
        number("b_relative", _relative),
        number("change", _change),
        column("beyond", lambda row: "beyond" if row.beyond else "")._replace(shown=bool(options.tolerance)),
    ]
    return Answer("differences", about, columns, None)


def _state(row: _Row, state: object) -> str:
    if row.of is None and row.kind not in ("durations", "transitions"):
        return ""
    return cell(_listed(state))


def _simple(row: _Row, state: object) -> object:
    """A number or a text, for CSV; None where the row is of no state."""
    return state if isinstance(state, int | float | str) else _state(row, state) or None


def _listed(value: object) -> object:
    return [_listed(one) for one in value] if isinstance(value, tuple) else value


def _told_of(row: _Row) -> str:
    of = _state(row, row.of)
    return f"{of} -> {_state(row, row.to)}" if row.kind == "transitions" else of


def _amount(row: _Row, amount: object) -> str:
    if row.kind in _PRESENCE:
        return "there" if amount else "missing"
    if isinstance(amount, str) or amount is None:
        return "-" if amount is None else amount
    if row.kind in _TIMES:
        return format_duration(amount)
    return f"{amount:,}"


def _relative(row: _Row, relative: float) -> str:
    return f"{relative:,.6g} /s" if row.kind in _PER_SECOND else percent(relative)


def _change(row: _Row, change: float) -> str:
    return "new" if math.isinf(change) else f"{change * 100:+,.2f} %"
