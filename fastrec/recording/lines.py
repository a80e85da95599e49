"""Files of sealed lines of JSON, of which nobody vouches for any: no line is too long, none hides another."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fastrec.errors import CorruptionError, FormatError, RecordingError
from fastrec.recording import layout, opening

__all__ = ["LINE_LIMIT", "read_lines"]

LINE_LIMIT = 1 << 20
"""Longest line of a ``.jsonl`` file: a text of 4,096 bytes has at most 24,576 in JSON."""

_NEAR = 100
"""Lines by which damage may shift those behind it: as many as a page of 4 KiB has."""

_SEARCH = 64 << 20
"""Bytes to compare for that in one file, so that no file takes for ever."""

_SHORT, _PATIENCE = 40, 1 << 18
"""Damaged lines shorter than any that is whole, and for how many bytes that they lack they are borne: each
costs an error, so a file of newlines would take a hundred times its size."""


def read_lines(
    root: Path,
    *parts: str,
    base: int,
    stop: int | None = None,
    begin: int = 0,
    first: int = 0,
    after: int = 0,
) -> Iterator[tuple[int, dict[str, Any] | RecordingError]]:
    """Yield the lines of a ``.jsonl`` file: number and members, or number and what is wrong with the line.

    Each line is sealed with its own number, so a damaged one does not hide those behind it, nor does a
    newline that is gone or came to be: a line that is whole is known by the number near by that fits. No
    number comes twice, but that of a line in two pieces: it was told as damaged and comes once more, whole.
    A file that is not there has no lines.

    Parameters
    ----------
    base : int
        `layout.place` of the file.
    stop : int, optional
        Read no more than that many bytes of the file, all of which were committed: that the last line has no
        newline is damage. Without it, such a line was never finished and is left out.
    begin, first, after : int
        Byte of the file at which to begin, the number expected of the line that begins there, and that after
        the last whole line before it.
    """
    try:
        descriptor = opening.open_file(root, *parts)
    except FileNotFoundError:
        return
    where = root.joinpath(*parts)
    left = (os.fstat(descriptor).st_size if stop is None else stop) - begin
    with open(descriptor, "rb") as file:
        file.seek(min(begin, os.fstat(descriptor).st_size))
        number = first
        search, patience = _SEARCH, _PATIENCE
        while left > 0:
            line = file.readline(min(left, LINE_LIMIT))
            left -= len(line)
            if not line.endswith(b"\n"):
                if len(line) == LINE_LIMIT:
                    yield number, FormatError(f"{where}: line {number} is longer than {LINE_LIMIT:,} bytes")
                elif stop is not None:
                    yield number, CorruptionError(f"{where}: line {number} was cut off")
                return
            read = _read_line(line, base, number, where)
            if isinstance(read, CorruptionError):
                near = range(max(after, number - _NEAR), number + _NEAR)
                search -= len(near) * len(line)
                found = layout.line_number(line, base, near) if search > 0 else None
                if found is None:
                    patience += len(line) - _SHORT
                    if patience < 0:
                        yield (
                            number,
                            FormatError(f"{where}: is full of line ends: not read from line {number} on"),
                        )
                        return
                    yield number, read
                    number += 1
                    continue
                for missing in range(number, found):
                    yield missing, CorruptionError(f"{where}: line {missing} is missing")
                number, read = found, _read_line(line, base, found, where)
            yield number, read
            number += 1
            after = number


def _read_line(line: bytes, base: int, number: int, path: Path) -> dict[str, Any] | RecordingError:
    where = f"{path}: line {number}"
    try:
        return opening.read_line(line, layout.seed_at(base, number), where)
    except (CorruptionError, FormatError) as error:
        error.__cause__ = None
        return error.with_traceback(None)  # with it, the frames would be kept for every line
