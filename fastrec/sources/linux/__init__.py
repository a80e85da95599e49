"""Getters of Linux that fill a struct: ``fr.linux.sysinfo()``, or by name ``"linux:sysinfo"``.

Schemas are complete. Layouts are those of this process's C ABI; where the kernel decides, it is asked.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from fastrec.errors import SourceError, suggest
from fastrec.sources.call import Call
from fastrec.sources.linux.clock import timex
from fastrec.sources.linux.files import fstat
from fastrec.sources.linux.system import sysinfo
from fastrec.sources.linux.tcp import tcp_info
from fastrec.sources.linux.usage import rusage

__all__ = ["build", "fstat", "rusage", "sysinfo", "tcp_info", "timex"]

_DESCRIPTOR = re.compile("[0-9]{1,10}", re.ASCII)


def _tcp_info(text: str) -> Call:
    if not _DESCRIPTOR.fullmatch(text):
        raise SourceError(f"linux:tcp_info:{text}: {text!r} is no descriptor; write its number")
    return tcp_info(int(text))


class _Getter(NamedTuple):
    """How a name becomes a source: with an argument, if it has a word for one."""

    make: Callable[..., Call]
    argument: str = ""


_GETTERS = {
    "rusage": _Getter(rusage),
    "sysinfo": _Getter(sysinfo),
    "timex": _Getter(timex),
    "fstat": _Getter(fstat, "PATH"),
    "tcp_info": _Getter(_tcp_info, "FD"),
}


def build(name: str) -> Call:
    """The getter ``linux:NAME`` or ``linux:NAME:ARGUMENT``; what follows the first colon is the argument.

    Raises
    ------
    SourceError
        There is none of this name, or its argument is missing, of no use or too much.
    """
    name, colon, argument = name.partition(":")
    if name not in _GETTERS:
        raise SourceError(f"linux has no getter {name!r}{suggest(name, _GETTERS)}")
    getter = _GETTERS[name]
    if not getter.argument and colon:
        raise SourceError(f"linux:{name} takes no argument; write linux:{name}")
    if getter.argument and not argument:
        raise SourceError(f"linux:{name} needs an argument; write linux:{name}:{getter.argument}")
    return getter.make(argument) if getter.argument else getter.make()
