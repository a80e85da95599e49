"""``fastrec mark RUN TEXT``: mark this moment in a recording that somebody is writing."""

from __future__ import annotations

import argparse

from fastrec.cli import asking

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    asking.add_arguments(parser, "TEXT", "what happens now")


def run(options: argparse.Namespace) -> int:
    """Mark it."""
    return asking.told(options, "mark")
