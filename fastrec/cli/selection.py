"""Which records a command is about: ``RUN [CHANNEL] --between START END --last N --where CONDITION``."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from fastrec.cli.conditions import Conditions, condition, conditioned
from fastrec.cli.output import complain, mendable, plural
from fastrec.durations import parse_duration
from fastrec.errors import RecordingError, suggest
from fastrec.recording import Recording, open
from fastrec.recording.reader import Mark
from fastrec.records import Records
from fastrec.times import Known, parse_time

__all__ = [
    "Selection",
    "Selections",
    "add_arguments",
    "add_between",
    "limit",
    "limits",
    "select",
    "select_all",
    "tell_damage",
    "whole_number",
]

_OPEN = ("start", "end")
_PROBLEMS = 3  # that are told one by one
_WHOLE = re.compile(r"[0-9]{1,19}")


def add_arguments(parser: argparse.ArgumentParser, *, several: bool = False) -> None:
    """Add what says which records, of one channel or of `several`."""
    parser.add_argument("run", metavar="RUN", help="folder of the recording")
    if several:
        parser.add_argument(
            "channels",
            metavar="CHANNEL",
            nargs="*",
            default=[],
            help="several are merged by time; default: all",
        )
    else:
        parser.add_argument(
            "channel", metavar="CHANNEL", nargs="?", help="may be left out if there is one only"
        )
    add_between(parser)
    parser.add_argument(
        "--last", metavar="N|TIME", help='the newest N records; or those of the newest TIME, as in "2s"'
    )
    parser.add_argument(
        "--where",
        metavar="CONDITION",
        action="append",
        type=condition,
        default=[],
        help="only records that meet it: FIELD=VALUE, a value or label; of a text NULL for none, LOST for one"
        " that could not be read or kept; or an expression, such as 'hr < 0 and mode in (RUN, FAULT)'; may be"
        " given several times",
    )


def add_between(parser: argparse.ArgumentParser) -> None:
    """Add what says which window of time."""
    parser.add_argument(
        "--between",
        nargs=2,
        metavar=("START", "END"),
        help='from START up to, not including, END: "+1.5s" from the start, "-2s" from the end, "12:03:07" or'
        ' an ISO date in the recording\'s zone, "start", "end"',
    )


def whole_number(text: str) -> int | None:
    """The number that a text is: digits and nothing else; None: it is none."""
    return int(text) if _WHOLE.fullmatch(text) else None


def limit(text: str) -> int:
    """How many are to be shown at most."""
    count = whole_number(text)
    if count is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of records")
    return count


class Selection(NamedTuple):
    """Records of one channel to look at, and what is to hold of those that are wanted.

    Attributes
    ----------
    records : Records
        The window, or, where the newest N were asked, these.
    conditions : Conditions
        They are left to the caller, who may show the first matches before the last record has been looked at.
    """

    records: Records
    conditions: Conditions
    run: Recording

    def of(self, records: Records) -> Records:
        """Those of some records for which all conditions hold."""
        return self.conditions.of(records)


class Selections(NamedTuple):
    """What several channels have to tell.

    Attributes
    ----------
    channels : dict of str to Selection
        Without those that have not the fields of the conditions.
    merged : bool
        Whether it was asked about several, however many are left.
    marks : list of Mark
        The user's marks within the window, in order of time.
    made : int
        How many marks there were in all.
    """

    run: Recording
    channels: dict[str, Selection]
    merged: bool
    marks: list[Mark]
    made: int


def tell_damage(run: Recording) -> int:
    """Complain about what a recording has lost to damage; the exit code.

    What could be read was told; that it is not everything must not go unsaid.
    """
    problems = run.problems
    for problem in problems[:_PROBLEMS]:
        complain(problem)
    if len(problems) > _PROBLEMS:
        more = plural(len(problems) - _PROBLEMS, "more problem")
        complain(f"and {more}; fastrec verify tells them all; {mendable(run.path)}")
    elif problems:
        complain(mendable(run.path))
    return 1 if problems else 0


def select(options: argparse.Namespace) -> Selection:
    """Find the records of one channel that the options of `add_arguments` describe.

    Raises
    ------
    RecordingError
        There is no such recording or channel.
    SchemaError
        A time, field or value that means nothing.
    """
    run = open(options.run)
    names = _names(run, [options.channel] if options.channel else [])
    if len(names) > 1:
        raise RecordingError(f"{run.path}: name one of its {len(names)} channels: {', '.join(names)}")
    return _select(run, names, options).channels[names[0]]


def select_all(options: argparse.Namespace) -> Selections:
    """Find the records of the channels named, or of all.

    Times are relative to the first start and the last end of all these channels, and the newest N are those
    of the merge. A field must exist in one of them; what has it not is left out.

    Raises
    ------
    RecordingError, SchemaError
        As `select`.
    """
    run = open(options.run)
    return _select(run, _names(run, options.channels), options)


def _names(run: Recording, wanted: Iterable[str]) -> list[str]:
    names = list(run)
    if not names:
        raise RecordingError(f"{run.path}: it has no channels")
    for name in wanted:
        if name not in names:
            raise RecordingError(f"{run.path} has no channel {name!r:.80}{suggest(name, names)}")
    return list(dict.fromkeys(wanted)) or names


def _select(run: Recording, names: Iterable[str], options: argparse.Namespace) -> Selections:
    windows, marks = {name: run[name] for name in names}, sorted(run.marks)
    merged, made = len(windows) > 1, len(marks)
    if options.between:
        windows, marks = _within(windows, marks, *limits(run, windows, options.between))
    newest = (options.last or "").strip()
    count = whole_number(newest)
    if newest and count is None:
        windows, marks = _within(windows, marks, _span(windows)[1] - parse_duration(newest), None)
    chosen = {
        name: Selection(records, conditions, run)
        for name, (records, conditions) in conditioned(windows, options.where).items()
    }
    if count is not None:
        windows = _newest({name: one.of(one.records) for name, one in chosen.items()}, count)
        met = {name: one.conditions._replace(expression=None, values=()) for name, one in chosen.items()}
        chosen = {name: Selection(records, met[name], run) for name, records in windows.items()}
        begin = min((records.start for records in windows.values() if len(records)), default=None)
        marks = [] if begin is None else [mark for mark in marks if mark.mono_ns >= begin]
    return Selections(run, chosen, merged, marks, made)


def limits(
    run: Recording, windows: Mapping[str, Records], between: Iterable[str]
) -> tuple[int | None, int | None]:
    """First stamp of ``--between`` and the one behind it, of several channels together; None: no limit."""
    span = _span(windows)
    begin, end = (_time(text, run, *span) for text in between)
    return begin, end


def _span(windows: Mapping[str, Records]) -> tuple[int, int]:
    """First start and last end of all; 0 where there are no records."""
    some = [records for records in windows.values() if len(records)]
    return min((one.start for one in some), default=0), max((one.end for one in some), default=0)


def _within(
    windows: Mapping[str, Records], marks: Iterable[Mark], begin: int | None, end: int | None
) -> tuple[dict[str, Records], list[Mark]]:
    # Stamps, not times: of several channels one may count from boot and another from 1970.
    begin, end = -(2**63) if begin is None else begin, 2**63 if end is None else end
    return {name: records.within(begin, end) for name, records in windows.items()}, [
        mark for mark in marks if begin <= mark.mono_ns < end
    ]


def _newest(windows: Mapping[str, Records], count: int) -> dict[str, Records]:
    """Of each channel what belongs to the newest `count` of all: of its own newest those with latest stamps.

    Equal stamps count in the order of the merge.
    """
    newest = {name: records.last(count) for name, records in windows.items()}
    if sum(map(len, newest.values())) <= count:
        return newest
    # A stamp that runs backwards has its place behind all before it, also behind those that are not newest.
    stamps = [
        np.maximum.accumulate(np.maximum(one["mono_ns"], whole[: len(whole) - len(one)].latest))
        for whole, one in zip(windows.values(), newest.values(), strict=True)
    ]
    channels = np.repeat(np.arange(len(stamps)), [len(one) for one in stamps])
    kept = channels[np.argsort(np.concatenate(stamps), kind="stable")[-count:]]
    counts = np.bincount(kept, minlength=len(stamps)).tolist()
    return {name: records.last(n) for (name, records), n in zip(newest.items(), counts, strict=True)}


def _time(text: str, run: Recording, start: int, end: int) -> int | None:
    stamp = text.strip()
    if stamp in _OPEN:
        return None
    number = whole_number(stamp)
    return parse_time(stamp if number is None else number, Known(start, end, run.clock))
