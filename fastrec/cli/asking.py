"""What ``fastrec mark`` and ``fastrec fire`` have in common: they ask whoever records."""

from __future__ import annotations

import argparse
from typing import Any

from fastrec.cli.output import say, say_json, visible
from fastrec.recording import open
from fastrec.records.plain import date
from fastrec.triggers.requests import ask

__all__ = ["add_arguments", "told"]


def add_arguments(parser: argparse.ArgumentParser, text: str, purpose: str) -> None:
    """Add the arguments of both."""
    parser.add_argument("run", metavar="RUN", help="folder of a recording that is being written")
    parser.add_argument("text", metavar=text, help=purpose)
    parser.add_argument("--json", action="store_true", help="print the time as JSON")


def told(options: argparse.Namespace, what: str, **more: Any) -> int:
    """Ask, and say at which time it was done."""
    run = open(options.run)
    mono_ns = ask(run.path, what, options.text, **more)
    when = date(run.clock, mono_ns)
    if options.json:
        say_json({"mono_ns": mono_ns, "time": when, "text": options.text})
    else:
        say(f"{when or mono_ns}  {visible(options.text)}")
    return 0
