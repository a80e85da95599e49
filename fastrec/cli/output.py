"""What verbs print with: text nobody can hide commands in, tables, JSON."""

from __future__ import annotations

import os
import re
import shlex
import signal
import sys
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from fastrec.records.plain import to_json
from fastrec.schema.texts import LOST

__all__ = [
    "byte_count",
    "cell",
    "complain",
    "folder_bytes",
    "mendable",
    "part_with",
    "plural",
    "say",
    "say_json",
    "table",
    "uninterrupted",
    "visible",
]

_PLAIN = re.compile(r"[ -~]*")

# Controls, formats (among them those that turn the direction of writing), halves of pairs, line separators.
_UNSEEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}


def visible(text: str) -> str:
    """The text with every character escaped that a terminal would obey rather than show."""
    if _PLAIN.fullmatch(text):
        return text
    return "".join(_escaped(one) if unicodedata.category(one) in _UNSEEN else one for one in text)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


def say(text: str = "") -> None:
    """Print a line; what the terminal's encoding cannot express is escaped."""
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Within it no Ctrl-C comes: in the middle of a write it would leave a part of a line.

    Where it is blocked it stays so. A reader that takes nothing is waited for.
    """
    interrupt = {signal.SIGINT} - signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, interrupt)


def complain(text: str) -> None:
    """Print a line about what is wrong; a terminal that has gone cannot be told."""
    with suppress(OSError, ValueError):
        encoding = sys.stderr.encoding or "utf-8"
        line = f"fastrec: {visible(text)}".encode(encoding, "backslashreplace").decode(encoding)
        sys.stderr.write(line + "\n")
        sys.stderr.flush()


def part_with(stream: IO[str]) -> None:
    """Write what was printed so far; if nobody takes it, the interpreter must not try again when it ends."""
    try:
        stream.flush()
    except (OSError, ValueError):
        with suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)


def say_json(value: object, *, indent: int | None = 2) -> None:
    """Print a JSON value; see `to_json`."""
    say(to_json(value, indent=indent))


def cell(value: object) -> str:
    """One of the values that `records.plain` makes, for people."""
    if isinstance(value, str):
        return visible(value) or '""'
    if value is None:
        return "NULL"
    if value is LOST:
        return "LOST"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return "[" + " ".join(cell(one) for one in value) + "]"
    return str(value)


def table(rows: Iterable[Sequence[str]], *, indent: str = "", right: Collection[int] = ()) -> None:
    """Print rows in columns; those whose place is in `right` are flush right."""
    lines = list(rows)
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = zip(line, widths, strict=True)
        aligned = [
            text.rjust(w) if place in right else text.ljust(w) for place, (text, w) in enumerate(cells)
        ]
        say((indent + "  ".join(aligned)).rstrip())


def plural(count: int, what: str) -> str:
    """``1 record``, ``3,000 records``."""
    return f"{count:,} {what}" + ("" if count == 1 else "s")


def mendable(run: object) -> str:
    """What to do about damage: the command to paste."""
    return f"save what is whole: fastrec recover {shlex.quote(str(run))} NEW-FOLDER"


def folder_bytes(folder: Path) -> int:
    """Size of the files below a folder; links are not followed, what vanishes meanwhile counts nothing."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                total += os.lstat(os.path.join(place, name)).st_size
    return total


def byte_count(count: int) -> str:
    """``145 kB``, with three digits or so."""
    size, unit = float(count), "bytes"
    for larger in ("kB", "MB", "GB", "TB"):
        if size < 999.5:
            break
        size, unit = size / 1000, larger
    return f"{size:.3g} {unit}"
