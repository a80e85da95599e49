"""What ``fastrec record`` polls: ``[NAME=]SOURCE[@RATE] ... --rate HZ``, a library's function, or a file."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from fastrec.cli import library, values
from fastrec.cli.values import Misuse
from fastrec.recording.layout import CHANNEL_NAME, RATE
from fastrec.sources import registry

__all__ = ["Wanted", "add_arguments", "chosen", "file_of"]

_NO_FILE = re.compile(r"(?:[^=:/]*=)?[A-Za-z0-9_.-]+:")  # begins what has a family: linux:fstat:/etc/x.py

_OPTIONS = {
    "url": (str, "of the first round trip, http or https"),
    "target": (str, "the file that is downloaded and put into place"),
    "timeout": (float, "longest wait for the network, in seconds; default 30"),
}
"""Options of sources, here those of wmdrm:individualization; see `registry.options_of`."""


class Wanted(NamedTuple):
    """One channel of the command line.

    Attributes
    ----------
    text : str
        The source as it was written.
    rate : str
        Hz, or ``"max"``.
    source : object
        What a recorder takes.
    """

    text: str
    rate: str
    source: Any


class _Named(NamedTuple):
    """One ``[NAME=]SOURCE[@RATE]``."""

    name: str | None
    source: str
    rate: str | None

    @property
    def channel(self) -> str:
        """``linux:fstat:/etc/passwd`` is called fstat."""
        return self.name or self.source.split(":")[:2][-1]

    def __str__(self) -> str:
        return f"{self.name}={self.source}" if self.name else self.source


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what says which sources."""
    parser.add_argument(
        "sources",
        metavar="[NAME=]SOURCE[@RATE]",
        nargs="*",
        type=_named,
        help="what to poll: linux:rusage (of this command itself), linux:sysinfo, linux:timex,"
        " linux:fstat:PATH, linux:tcp_info:FD, wmdrm:individualization, or a plug-in's; NAME is that of the"
        " channel, RATE goes before --rate. Or a FILE.py alone: its function setup(rec) adds channels to the"
        " recorder, for which the other options are defaults; teardown(rec), if there is one, comes last",
    )
    parser.add_argument("--name", help="of the channel of --lib, or of SOURCE, where there is one only")
    library.add_arguments(parser)
    group = parser.add_argument_group("options of wmdrm:individualization")
    for option, (kind, meaning) in _OPTIONS.items():
        group.add_argument(f"--{option}", type=kind, metavar=option.upper(), help=meaning)


def _named(text: str) -> _Named | Path:
    if text.endswith(".py") and not _NO_FILE.match(text):
        return Path(text)
    name, equals, source = text.partition("=")
    if not equals or not CHANNEL_NAME.fullmatch(name):
        name, source = "", text
    before, at, rate = source.rpartition("@")
    # What is behind a second colon, a path perhaps, may have any character: there only a rate is one.
    free = source.count(":") > 1
    if at and (not free or rate == "max" or RATE.fullmatch(rate)):
        source = before
    else:
        rate = ""
    if not source or (at and not free and not rate) or (not free and set("=@") & set(source)):
        raise argparse.ArgumentTypeError(
            f"{text!r} is no source; write SOURCE, NAME=SOURCE or NAME=SOURCE@RATE"
        )
    return _Named(name or None, source, values.rate(rate) if rate else None)


def file_of(options: argparse.Namespace) -> Path | None:
    """The file of Python that says what is recorded; None: there is none."""
    return next((one for one in options.sources if isinstance(one, Path)), None)


def chosen(options: argparse.Namespace) -> dict[str, Wanted]:
    """Channels by name, without those of a file.

    Raises
    ------
    Misuse
        The options make no sense together.
    SourceError, SchemaError, RecordingError
        There is no such source, library or struct, or it cannot be had.
    """
    library.check(options)
    if (file := file_of(options)) is not None:
        _check_alone(file, options)
        return {}
    named = _by_name(options)
    if not named and options.lib is None:
        raise Misuse("there is nothing to record; name a SOURCE such as linux:rusage, a FILE.py, or --lib")
    given = {option: getattr(options, option) for option in _OPTIONS if getattr(options, option) is not None}
    taken = {name: given.keys() & registry.options_of(one.source) for name, one in named.items()}
    for option in given:
        if not any(option in options for options in taken.values()):
            raise Misuse(f"--{option} is for none of these sources; leave it out")
    found = {
        name: registry.source(one.source, **{option: given[option] for option in taken[name]})
        for name, one in named.items()
    }
    wanted = [(name, one.source, one.rate or options.rate, found[name]) for name, one in named.items()]
    if options.lib is not None:
        name = options.name or options.call
        _check_free(name, named)
        what = f"{options.call} of {options.lib}"
        wanted.append((name, what, options.rate, library.source_of(options)))
    for _, text, rate, _ in wanted:
        if rate is None:
            raise Misuse(f"{text} has no rate; say --rate 1000 (Hz), or --rate max")
    return {name: Wanted(text, rate, source) for name, text, rate, source in wanted}


def _check_alone(file: Path, options: argparse.Namespace) -> None:
    others = [str(one) for one in options.sources if one is not file]
    if options.lib is not None:
        others.append(f"--lib {options.lib}")
    if others:
        raise Misuse(f"{file} says what is recorded; leave {others[0]} out, and add it in its setup(rec)")
    for option in ("name", *_OPTIONS):
        if getattr(options, option) is not None:
            raise Misuse(f"--{option} is for a SOURCE; say it in {file}")


def _by_name(options: argparse.Namespace) -> dict[str, _Named]:
    alone = None if options.lib is not None else options.name  # else it is that of the library's channel
    if alone and len(options.sources) > 1:
        raise Misuse("--name is for one SOURCE; write NAME=SOURCE for each of several")
    named: dict[str, _Named] = {}
    for one in options.sources:
        if alone and one.name:
            raise Misuse(f"--name {alone} and {one}: give the channel one name")
        _check_free(alone or one.channel, named)
        named[alone or one.channel] = one
    return named


def _check_free(name: str, named: Mapping[str, _Named]) -> None:
    if name in named:
        raise Misuse(f"two channels are called {name!r}; write NAME=SOURCE for one of them")
