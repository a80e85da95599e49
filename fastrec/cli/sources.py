"""What ``fastrec record`` polls: ``[NAME=]SOURCE[@RATE] ... --rate HZ``, and what sources need to be told."""

from __future__ import annotations

import argparse
from typing import Any, NamedTuple

from fastrec.cli.output import complain
from fastrec.recording.layout import CHANNEL_NAME, RATE
from fastrec.sources import registry

__all__ = ["Wanted", "add_arguments", "chosen"]

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


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what says which sources."""
    parser.add_argument(
        "sources",
        metavar="[NAME=]SOURCE[@RATE]",
        nargs="+",
        type=_named,
        help="what to poll: linux:rusage (of this command itself), linux:sysinfo, linux:timex,"
        " linux:fstat:PATH, linux:tcp_info:FD, wmdrm:individualization, or a plug-in's; NAME is that of the"
        " channel, RATE goes before --rate",
    )
    parser.add_argument(
        "--rate", type=_rate, metavar="HZ", help='polls a second: 1000, 0.1, 1/3, or "max": flat out'
    )
    parser.add_argument("--name", help="of the channel, where there is one SOURCE only")
    group = parser.add_argument_group("options of wmdrm:individualization")
    for option, (kind, meaning) in _OPTIONS.items():
        group.add_argument(f"--{option}", type=kind, metavar=option.upper(), help=meaning)


def _named(text: str) -> _Named:
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
    return _Named(name or None, source, _rate(rate) if rate else None)


def _rate(text: str) -> str:
    if text.strip() != "max" and not RATE.fullmatch(text.strip()):
        raise argparse.ArgumentTypeError(f"{text!r} is no rate; write Hz, such as 1000 or 1/3, or max")
    return text.strip()


def chosen(options: argparse.Namespace) -> dict[str, Wanted] | None:
    """Channels by name; None: there is something wrong, and it has been said.

    Raises
    ------
    SourceError
        There is no such source, or it cannot be had.
    """
    named = _by_name(options)
    if named is None:
        return None
    given = {option: getattr(options, option) for option in _OPTIONS if getattr(options, option) is not None}
    taken = {name: given.keys() & registry.options_of(one.source) for name, one in named.items()}
    for option in given:
        if not any(option in options for options in taken.values()):
            complain(f"--{option} is for none of these sources; leave it out")
            return None
    found = {
        name: registry.source(one.source, **{option: given[option] for option in taken[name]})
        for name, one in named.items()
    }
    for one in named.values():
        if one.rate is None and options.rate is None:
            complain(f"{one.source} has no rate; say --rate 1000 (Hz), or --rate max")
            return None
    return {name: Wanted(one.source, one.rate or options.rate, found[name]) for name, one in named.items()}


def _by_name(options: argparse.Namespace) -> dict[str, _Named] | None:
    if options.name and len(options.sources) > 1:
        complain("--name is for one SOURCE; write NAME=SOURCE for each of several")
        return None
    named: dict[str, _Named] = {}
    for one in options.sources:
        if options.name and one.name:
            complain(f"--name {options.name} and {one.name}={one.source}: give the channel one name")
            return None
        name = options.name or one.channel
        if name in named:
            complain(f"two channels are called {name!r}; write NAME=SOURCE for one of them")
            return None
        named[name] = one
    return named
