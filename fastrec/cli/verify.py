"""``fastrec verify RUN``: read everything, and say whether it is whole."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from fastrec.cli.output import byte_count, mendable, plural, say, say_json, visible
from fastrec.recording import Report, open
from fastrec.recording.ends import NOT_CLOSED
from fastrec.recording.writing.remains import remains

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    parser.add_argument("run", metavar="RUN", help="folder of the recording")
    parser.add_argument("--json", action="store_true", help="print it as JSON")


def run(options: argparse.Namespace) -> int:
    """Verify; 1 if there is a problem."""
    recording = open(options.run)
    report, state = recording.verify(), recording.state
    left = remains(recording)
    report.notes += [f"{recording.path}: {NOT_CLOSED}"] if state == "unclean" else []
    report.notes += left.notes
    if options.json:
        about = {"path": options.run, "state": state, "ok": report.ok, **asdict(report)}
        say_json(about | {"waiting": left.waiting})
    else:
        _show(options.run, report)
    return 0 if report.ok else 1


def _show(path: str, report: Report) -> None:
    for problem in report.problems:
        say(f"problem: {visible(problem)}")
    for note in report.notes:
        say(f"note: {visible(note)}")
    for name, channel in report.channels.items():
        losses = ", ".join(f"{cause} {count:,}" for cause, count in channel.lost.items())
        numbers = f"numbers {channel.first:,} to {channel.end:,}" if channel.end else "no numbers"
        say(f"{name}: {plural(channel.records, 'record')}, {numbers}, lost {losses or 'nothing'}")
    verdict = "whole" if report.ok else plural(len(report.problems), "problem")
    if not report.ok:
        say(visible(mendable(path)))
    say(f"{visible(path)}: {verdict}, {byte_count(report.checked)} checked")
