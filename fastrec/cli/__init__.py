"""The ``fastrec`` command: one verb per file, and the only room that prints.

Exit codes: 0 all is well, 1 a problem was found or something failed, 2 the command line makes no sense,
3 recovering lost something, 130 it was interrupted. What goes wrong is one line on stderr.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn

from fastrec import __version__
from fastrec.cli.output import complain, part_with, visible
from fastrec.errors import CorruptionError, FastrecError

__all__ = ["VERBS", "main"]

VERBS = {
    "demo": "record a real download whose status is a WM_INDIVIDUALIZE_STATUS, and tell what happened",
    "record": "poll sources into a recording",
    "info": "say what is in a recording",
    "cat": "print records",
    "query": "ask when, how long and how often a field was in which state, and how large numbers are",
    "diff": "compare two recordings: times in states, transitions, rates, failures, losses",
    "play": "print records at the times at which they were recorded",
    "export": "write records to a .csv, .jsonl, .npy or .npz file",
    "mark": "mark this moment in a recording that somebody is writing",
    "fire": "have whoever records keep a window around this moment",
    "schema": "say where the fields of a struct lie, or write it as C, Python, JSON or a ROS 2 message",
    "verify": "check every byte and every number of a recording",
    "recover": "save all that is whole of a damaged recording in a new one, and list what is not",
}
"""Verb and what it does; its module has ``add_arguments(parser)`` and ``run(options) -> exit code``. If it
says ``FOR_OTHERS``, what stands behind ``--`` is no argument of ours: it is in ``options.rest``, None without
``--``."""

_FROM_THE_END = re.compile(r"-[0-9.]")
_SHIELD = re.compile(r"['\"] -[0-9.]")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Parameters
    ----------
    argv : sequence of str, optional
        Without the program's name; default: of this process.

    Returns
    -------
    int
        The exit code.
    """
    _open_what_is_closed()
    arguments = list(sys.argv[1:] if argv is None else argv)
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        try:
            code = _run(arguments)
            sys.stdout.flush()
            return code
        except BrokenPipeError:
            code, reason = 0, ""  # the reader, `head` for one, has had enough
        except KeyboardInterrupt:
            code, reason = 130, "interrupted"
        except (FastrecError, OSError) as error:
            code, reason = 1, _told(error, mends=arguments[:1] == ["recover"])
        part_with(sys.stdout)
        if reason:
            complain(reason)
        return code


def _run(arguments: Sequence[str]) -> int:
    verb = arguments[0] if arguments and arguments[0] in VERBS else None
    try:
        if verb is None:
            _parser().parse_args(arguments)  # --help, --version, or nothing that makes sense
            return 2
        module = import_module(f"fastrec.cli.{verb}")
        parser = _Parser(prog=f"fastrec {verb}", description=_sentence(VERBS[verb]), allow_abbrev=False)
        module.add_arguments(parser)
        rest: list[str] | None = None
        if getattr(module, "FOR_OTHERS", False) and "--" in arguments:
            cut = list(arguments).index("--")
            arguments, rest = arguments[:cut], list(arguments[cut + 1 :])
        # A channel may stand behind an option, as with other commands.
        options = parser.parse_intermixed_args([_shielded(argument) for argument in arguments[1:]])
        options.rest = rest
        for name in ("run", "other", "output"):  # a path is what it is
            path = getattr(options, name, None)
            if path and path.startswith(" ") and path not in arguments:
                setattr(options, name, path[1:])
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else 0
    return module.run(options)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        complain(f"{visible(_SHIELD.sub(_bare, message))}; see {self.prog} --help")
        self.exit(2)


def _parser() -> argparse.ArgumentParser:
    """That of the command itself; verbs have parsers of their own, and only the one asked for is imported."""
    parser = _Parser(
        prog="fastrec", description="A flight recorder for C status structs.", allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=f"fastrec {__version__}")
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    for name, purpose in VERBS.items():
        verbs.add_parser(name, help=purpose)
    return parser


def _sentence(purpose: str) -> str:
    return f"{purpose[0].upper()}{purpose[1:]}."


def _bare(match: re.Match[str]) -> str:
    return match[0].replace(" ", "", 1)


def _shielded(argument: str) -> str:
    """``-2s`` is a time, but argparse would take it for an option; a time may have blanks around it."""
    return f" {argument}" if _FROM_THE_END.match(argument) else argument


def _told(error: Exception, *, mends: bool) -> str:
    if isinstance(error, CorruptionError) and not mends:
        return f"{error}; fastrec recover saves all that is whole in a new recording"
    if isinstance(error, OSError) and not isinstance(error, FastrecError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error) or type(error).__name__


def _show_warning(message: Warning | str, *where: object, **more: object) -> None:
    complain(f"warning: {message}")


def _open_what_is_closed() -> None:
    """Python has None for a stream whose descriptor was closed before it began."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 - as long as the process
