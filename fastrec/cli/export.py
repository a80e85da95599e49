"""``fastrec export RUN [CHANNEL] -o FILE``: records in the format of the file's suffix."""

from __future__ import annotations

import argparse
import inspect
from collections.abc import Collection
from pathlib import Path
from typing import Any

from fastrec.cli import selection
from fastrec.cli.ending import ended_by_exceptions
from fastrec.cli.output import byte_count, plural, say, say_json, visible
from fastrec.cli.progress import progress
from fastrec.errors import FormatError
from fastrec.formats.registry import known, writer

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    selection.add_arguments(parser)
    suffixes = ", ".join(f".{name}" for name in known())
    parser.add_argument(
        "-o", "--output", metavar="FILE", required=True, help=f"its suffix is the format: {suffixes}"
    )
    forms = parser.add_mutually_exclusive_group()
    forms.add_argument(
        "--raw", action="store_true", help="values as C stored them; what .npy and .npz have by themselves"
    )
    forms.add_argument(
        "--decoded",
        action="store_true",
        help="labels, scales, texts; what .csv and .jsonl have by themselves",
    )
    parser.add_argument("--force", action="store_true", help="replace the file if it is there")
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")
    parser.add_argument("--json", action="store_true", help="print what was written as JSON")


def run(options: argparse.Namespace) -> int:
    """Write the file."""
    taken = inspect.signature(writer(options.output)).parameters
    arguments: dict[str, Any] = {"overwrite": options.force, **_form(options, taken)}
    chosen = selection.select(options)
    records = chosen.of(chosen.records)
    with ended_by_exceptions(), progress(len(records), wanted=not (options.quiet or options.json)) as show:
        if "progress" in taken:
            arguments["progress"] = lambda done, total: show(done, f"{done:,} of {plural(total, 'record')}")
        records.export(options.output, **arguments)
    size = Path(options.output).stat().st_size
    if options.json:
        say_json({"path": options.output, "records": len(records), "bytes": size})
    elif not options.quiet:
        say(f"{visible(options.output)}: {plural(len(records), 'record')}, {byte_count(size)}")
    return selection.tell_damage(chosen.run)


def _form(options: argparse.Namespace, taken: Collection[str]) -> dict[str, bool]:
    """The form that was asked for; a format has an option for the one that is not its own."""
    if not options.raw and not options.decoded:
        return {}
    for name, value in (("raw", options.raw), ("decoded", options.decoded)):
        if name in taken:
            return {name: value}
    raise FormatError(f"{options.output} has one form only; leave out --raw and --decoded")
