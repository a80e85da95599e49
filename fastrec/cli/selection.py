"""Which records a command is about: ``RUN [CHANNEL] --between START END --last N --where FIELD=VALUE``."""

from __future__ import annotations

import argparse
from typing import NamedTuple

from fastrec.cli.output import complain, plural
from fastrec.errors import RecordingError, suggest
from fastrec.recording import Recording, open
from fastrec.records import Records
from fastrec.records.columns import recorder_columns

__all__ = ["Selection", "add_arguments", "select", "tell_damage"]

_OPEN = {"start": None, "end": None}
_NULL = "NULL"
_PROBLEMS = 3  # that are told one by one


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what says which records."""
    parser.add_argument("run", metavar="RUN", help="folder of the recording")
    parser.add_argument("channel", metavar="CHANNEL", nargs="?", help="may be left out if there is one only")
    parser.add_argument(
        "--between",
        nargs=2,
        metavar=("START", "END"),
        help='from START up to, not including, END: "+1.5s" from the start, "-2s" from the end, "12:03:07" or'
        ' an ISO date in the recording\'s zone, "start", "end"',
    )
    parser.add_argument(
        "--last", metavar="N|TIME", help='the newest N records; or those of the newest TIME, as in "2s"'
    )
    parser.add_argument(
        "--where",
        metavar="FIELD=VALUE",
        action="append",
        type=_condition,
        default=[],
        help="only records with this value or label; NULL for no text; may be given several times",
    )


def _condition(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise argparse.ArgumentTypeError(f"{text!r} is no condition; write FIELD=VALUE")
    return name, value


class Selection(NamedTuple):
    """Records to look at, and what is to hold of those that are wanted.

    Attributes
    ----------
    records : Records
        The window, or, where the newest N were asked, these.
    conditions : list of (str, object)
        Field and value, for one `Records.where` each. They are left to the caller, who may show the first
        matches before the last record has been looked at.
    """

    records: Records
    conditions: list[tuple[str, object]]
    run: Recording

    def of(self, records: Records) -> Records:
        """Those of some records for which all conditions hold."""
        for name, value in self.conditions:
            records = records.where(**{name: value})
        return records


def tell_damage(run: Recording) -> int:
    """Complain about what a recording has lost to damage; the exit code.

    What could be read was told; that it is not everything must not go unsaid.
    """
    problems = run.problems
    for problem in problems[:_PROBLEMS]:
        complain(problem)
    if len(problems) > _PROBLEMS:
        complain(f"and {plural(len(problems) - _PROBLEMS, 'more problem')}; fastrec verify tells them all")
    return 1 if problems else 0


def select(options: argparse.Namespace) -> Selection:
    """Find the records that the options of `add_arguments` describe.

    Raises
    ------
    RecordingError
        There is no such recording or channel.
    SchemaError
        A time, field or value that means nothing.
    """
    run = open(options.run)
    records = run[_channel(run, options.channel)]
    if options.between:
        start, end = (_OPEN.get(text.strip(), _time(text)) for text in options.between)
        records = records.between(start, end)
    newest = (options.last or "").strip()
    if newest and not newest.isdigit():
        records = records.last(newest)
    chosen = Selection(records, [(name, _value(records, name, text)) for name, text in options.where], run)
    # A field that can hold no such value is an error also where there is no record to look at.
    chosen.of(records[:0])
    if newest.isdigit():
        return Selection(chosen.of(records).last(int(newest)), [], run)
    return chosen


def _channel(run: Recording, name: str | None) -> str:
    names = list(run)
    if name is None:
        if len(names) == 1:
            return names[0]
        listed = (
            f"name one of its {len(names)} channels: {', '.join(names)}" if names else "it has no channels"
        )
        raise RecordingError(f"{run.path}: {listed}")
    if name not in names:
        raise RecordingError(f"{run.path} has no channel {name!r:.80}{suggest(name, names)}")
    return name


def _time(text: str) -> int | str:
    stamp = text.strip()
    return int(stamp) if stamp.isdigit() else stamp


def _value(records: Records, name: str, text: str) -> object:
    """What the user wrote, as the field would hold it; `Records.where` refuses what it cannot hold."""
    if name in recorder_columns(records.store):
        return _number(text)
    field = records.schema.field(name)
    if field.text:
        return None if text == _NULL else text
    if field.labels is not None or field.dtype.kind == "S":
        return text
    if field.dtype.kind == "V":
        return _bytes(text)
    if field.dtype.kind == "b" and text in ("true", "false"):
        return text == "true"
    return _number(text)


def _bytes(text: str) -> bytes | str:
    try:
        return bytes.fromhex(text)
    except ValueError:
        return text


def _number(text: str) -> complex | str:
    for kind in (lambda one: int(one, 0), float, complex):
        try:
            return kind(text.strip())
        except ValueError:
            continue
    return text
