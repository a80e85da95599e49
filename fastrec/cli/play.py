"""``fastrec play RUN [CHANNEL ...]``: records as JSON lines, at the times at which they were recorded."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from contextlib import suppress
from fractions import Fraction
from types import FrameType, TracebackType
from typing import Self

from fastrec.cli import lines, selection
from fastrec.cli.lines import Line
from fastrec.cli.output import complain, plural, say
from fastrec.errors import SchemaError
from fastrec.records.merging import merge
from fastrec.records.plain import to_json
from fastrec.replay import Pacing, Report, as_speed
from fastrec.times import format_duration

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
    with _Output(flush=options.speed is not None) as output:
        try:
            pacing.run(items, lambda stamp, channel, line: output.tell(line))
            sys.stdout.flush()
        except BrokenPipeError:
            raise  # the reader has had enough, and is told nothing more
        except BaseException:
            _report(pacing.report(), options)
            raise
    _report(pacing.report(), options)
    return selection.tell_damage(chosen.run)


class _Output:
    """Whole lines: an interrupt ends the replay between two of them, and waits for the reader of one.

    Parameters
    ----------
    flush : bool
        Whether every line is due, so that it must not wait for others.
    """

    def __init__(self, *, flush: bool) -> None:
        self._flush = flush
        self._busy = False
        self._interrupted = False
        self._ours = False

    def __enter__(self) -> Self:
        # Python lets the main thread alone handle signals; where they are ignored, that is somebody's wish.
        if (
            threading.current_thread() is threading.main_thread()
            and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        ):
            signal.signal(signal.SIGINT, self._note)
            self._ours = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if not self._busy:
            raise KeyboardInterrupt
        self._interrupted = True

    def tell(self, line: Line) -> None:
        self._busy = True
        try:
            say(line.text)
            if self._flush:
                sys.stdout.flush()
        finally:
            self._busy = False
        if self._interrupted:
            raise KeyboardInterrupt


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
