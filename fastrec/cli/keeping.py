"""What a command line says of the folder: how it is written, what is kept, whether to go on with it."""

from __future__ import annotations

import argparse
from typing import Any

from fastrec.cli import values
from fastrec.cli.values import Misuse

__all__ = ["add_arguments", "said"]

_NAMES = (
    "resume",
    "segment_bytes",
    "segment_seconds",
    "keep_bytes",
    "keep_seconds",
    "min_free",
    "keep_windows",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the folder. What is not given is None, and left to `Recorder`."""
    parser.add_argument(
        "--resume",
        action="store_true",
        help="go on with the recording at -o, if there is one; what a killed recorder left is taken first",
    )
    parser.add_argument(
        "--flush",
        type=values.time,
        default="100ms",
        metavar="TIME",
        help="how long a record may wait for the disk; default 100ms",
    )
    parser.add_argument(
        "--durability",
        type=lambda text: values.time(text, "commit", "never"),
        default="1s",
        metavar="TIME|commit|never",
        help="how often what was written is made to survive a loss of power; default 1s",
    )
    parser.add_argument(
        "--segment-bytes",
        type=values.size,
        metavar="SIZE",
        help='begin a new file beyond this, such as "64MB"; default 256MiB, or a sixteenth of --keep-bytes',
    )
    parser.add_argument(
        "--segment-seconds", type=values.seconds, metavar="TIME", help="begin a new file after this time"
    )
    parser.add_argument(
        "--keep-bytes",
        type=values.size,
        metavar="SIZE",
        help='remove the oldest files while all take more than this, such as "20GB"',
    )
    parser.add_argument(
        "--keep-seconds",
        type=values.seconds,
        metavar="TIME",
        help='remove files whose last record is older than this, such as "24h"',
    )
    parser.add_argument(
        "--min-free",
        type=values.size,
        metavar="SIZE",
        help="leave so much of the disk to others: remove the oldest files, or else write no more",
    )
    parser.add_argument(
        "--keep-windows",
        type=windows,
        metavar="N|SIZE",
        help='remove the oldest windows while there are more, or all take more, such as "2GB"; default 1000',
    )


def windows(text: str) -> int | str:
    """How many are kept: a number, or bytes as they were written."""
    if text.isdecimal():
        return values.count(text)
    values.size(text)
    return text


def said(options: argparse.Namespace) -> dict[str, Any]:
    """The options of the folder, as `Recorder` calls them.

    Raises
    ------
    Misuse
        They make no sense together.
    """
    if options.resume and not options.output:
        raise Misuse("--resume needs -o PATH: the recording to go on with")
    if options.resume and options.metadata:
        raise Misuse("--metadata is stored when a recording is created; leave it out with --resume")
    given = {name: getattr(options, name) for name in _NAMES}
    return {
        "flush": options.flush,
        "durability": None if options.durability == "never" else options.durability,
        **{name: value for name, value in given.items() if value is not None},
    }
