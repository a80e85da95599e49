"""Triggers of ``fastrec record``: what is kept of what, and what makes the exit code 1."""

from __future__ import annotations

import argparse
import re
from typing import Any

from fastrec.cli import values
from fastrec.cli.output import plural, say, visible
from fastrec.recorder import Recorder
from fastrec.triggers.trigger import Trigger

__all__ = ["Added", "add_arguments"]

_ON = re.compile(r"\s*([A-Za-z0-9_][A-Za-z0-9_.-]{0,63})\s*:(.*)", re.DOTALL)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of triggers."""
    parser.add_argument(
        "--trigger",
        action="append",
        default=[],
        metavar="[CHANNEL:]EXPR",
        help="keep a window around each moment at which it comes to hold, such as 'hr < 0', below windows/",
    )
    parser.add_argument(
        "--fail-on",
        action="append",
        default=[],
        metavar="[CHANNEL:]EXPR",
        help="the same, also if it holds at the start; if it ever did, exit with 1 (where -- COMMAND failed,"
        " with its code)",
    )
    for name, what in (("pre", "before"), ("post", "behind")):
        parser.add_argument(
            f"--{name}",
            type=reach,
            default="1s",
            metavar="TIME|N",
            help=f"how much a window has {what} it: a time, or a number of records; default 1s",
        )
    parser.add_argument(
        "--dwell", type=values.seconds, metavar="TIME", help="how long it must hold before that counts"
    )
    parser.add_argument(
        "--holdoff",
        type=values.seconds,
        default="100ms",
        metavar="TIME",
        help="after one there is none for so long; default 100ms",
    )


def reach(text: str) -> int | str:
    """Of a window: a number of records, or a duration as it was written."""
    return int(text) if text.isdecimal() and len(text) < 19 else values.time(text)


class Added:
    """The triggers of a command line.

    Parameters
    ----------
    recorder : Recorder
        With its channels.
    options : namespace

    Raises
    ------
    ExpressionError, SchemaError
        One of them can be asked of no channel, or of several.
    """

    def __init__(self, recorder: Recorder, options: argparse.Namespace) -> None:
        asked = {name: getattr(options, name) for name in ("pre", "post", "dwell", "holdoff")}
        self._kept = [_add(recorder, text, asked) for text in options.trigger]
        self._fatal = [_add(recorder, text, asked | {"at_once": True}) for text in options.fail_on]

    @property
    def failures(self) -> list[str]:
        """What came to hold that never should have."""
        return [
            f"{one.condition} (channel {one.channel}) came to hold {_times(one)}"
            for one in self._fatal
            if one.fired
        ]

    def show(self) -> None:
        """Say what became of each."""
        for one in [*self._kept, *self._fatal]:
            stats = one.stats
            text = f"  {visible(one.condition)}: fired {_times(one)}, {plural(stats.windows, 'window')}"
            more = [
                f"{count:,} {what}"
                for count, what in (
                    (stats.held_off, "held off"),
                    (stats.missed, "records not looked at"),
                    (stats.failed, "windows failed"),
                )
                if count
            ]
            say(", ".join([text, *more]))

    def as_list(self) -> list[dict[str, Any]]:
        """For JSON."""
        return [
            {"condition": one.condition, "channel": one.channel, "fails": one in self._fatal}
            | vars(one.stats)
            for one in [*self._kept, *self._fatal]
        ]


def _add(recorder: Recorder, text: str, asked: dict[str, Any]) -> Trigger:
    named = _ON.fullmatch(text)
    if named and named[1] in recorder.channels:
        return recorder.trigger(named[2], on=named[1], **asked)
    return recorder.trigger(text, **asked)


def _times(one: Trigger) -> str:
    return "once" if one.fired == 1 else f"{one.fired:,} times"
