"""``fastrec fire RUN WHY``: have whoever records keep what is around this moment."""

from __future__ import annotations

import argparse

from fastrec.cli import asking, values

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    asking.add_arguments(parser, "WHY", "why, for the mark and the window")
    parser.add_argument(
        "--pre", type=values.seconds, default="1s", metavar="TIME", help="how much before; default 1s"
    )
    parser.add_argument(
        "--post", type=values.seconds, default="1s", metavar="TIME", help="how much behind; default 1s"
    )


def run(options: argparse.Namespace) -> int:
    """Fire."""
    return asking.told(options, "fire", pre=options.pre, post=options.post)
