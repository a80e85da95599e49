"""``fastrec play RUN [CHANNEL ...]``: records as JSON lines, at the times at which they were recorded."""

from __future__ import annotations

import argparse
import sys
from contextlib import suppress
from fractions import Fraction

from fastrec.cli import lines, selection
from fastrec.cli.lines import Line
from fastrec.cli.output import complain, plural, say, uninterrupted
from fastrec.durations import format_duration
from fastrec.errors import SchemaError
from fastrec.records.merging import merge
from fastrec.records.plain import to_json
from fastrec.replay import Pacing, Report, as_speed

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    selection.add_arguments(parser, several=True)
    lines.add_arguments(parser)
    parser.add_argument(
        "--speed",
        type=_speed,
        default="1",
        metavar="N",
        help='times as fast as it happened, such as 0.5; "max": as fast as they are taken; default: 1',
    )
    parser.add_argument("--quiet", action="store_true", help="no report on stderr at the end")
    parser.add_argument("--json", action="store_true", help="the report as JSON; records always are")


def _speed(text: str) -> Fraction | None:
    if text == "max":
        return None
    try:
        return as_speed(float(text))
    except SchemaError:
        raise argparse.ArgumentTypeError(f"{text!r}: a speed is finite and above 0, or max") from None
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no speed; write a number such as 0.5, or max"
        ) from None


def run(options: argparse.Namespace) -> int:
    """Play the records."""
    chosen = selection.select_all(options)
    items, pacing = merge(*lines.json_lines(chosen, options)), Pacing(options.speed)

    def tell(stamp: int, channel: str, line: Line) -> None:
        with uninterrupted():
            say(line.text)
            if options.speed is not None:
                sys.stdout.flush()

    try:
        pacing.run(items, tell)
        sys.stdout.flush()
    except BrokenPipeError:
        raise  # the reader has had enough, and is told nothing more
    except BaseException:
        _report(pacing.report(), options)
        raise
    _report(pacing.report(), options)
    return selection.tell_damage(chosen.run)


def _report(report: Report, options: argparse.Namespace) -> None:
    if options.quiet:
        return
    if options.json:
        with suppress(OSError, ValueError):
            sys.stderr.write(to_json(report.as_dict()) + "\n")
        return
    taken = f"{plural(report.records, 'record')} in {format_duration(report.duration_ns)}"
    if options.speed is None:
        complain(f"{taken}, as fast as they were taken")
        return
    late = report.lateness
    shown = ", ".join(
        f"{name} {format_duration(ns)}"
        for name, ns in (("p50", late.p50), ("p99", late.p99), ("max", late.max))
    )
    intended = format_duration(report.intended_ns)
    complain(f"{taken}, intended {intended}" + (f"; late {shown}" if report.records else ""))
