"""Reading a file of which any part may be damaged, unreadable or missing: every row and line that is whole.

A reader stops where an order is broken. Here each row and each line is tried on its own, at the place that
its checksum names, so one that is damaged hides none of those behind it. Nothing is mapped: a file that
becomes shorter meanwhile must not kill us.
"""

from __future__ import annotations

import errno
import io
import os
import re
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import numpy as np

from fastrec.errors import RecordingError
from fastrec.recording import layout, opening
from fastrec.recording.committed import SLICE
from fastrec.recording.lines import LINE_LIMIT

__all__ = ["Line", "Patch", "TornFile", "between", "whole_file"]

_PAGE = 4096
_PIECE = 4 << 20
_SEAL = re.compile(rb',"crc":"([0-9a-f]{8})"\}')
_IDENTIFIER = re.compile(rb'\{"id":([1-9][0-9]{0,9}),')
_LEAST_LINE = 24  # bytes: what a damaged stretch can have held of lines at most follows from it


class Line(NamedTuple):
    """A whole line: its number, where it begins, and its bytes up to the checksum."""

    number: int
    start: int
    body: bytes


def between(numbers: np.ndarray, count: int) -> list[tuple[int, int]]:
    """The spans of ``0 ... count - 1`` that are not among `numbers`, which ascend."""
    edges = np.concatenate([[-1], numbers[numbers < count], [count]])
    places = np.flatnonzero(np.diff(edges) > 1)
    return list(zip((edges[places] + 1).tolist(), edges[places + 1].tolist(), strict=True))


class Patch(NamedTuple):
    """Bytes of a file that are no whole line."""

    start: int
    stop: int


class TornFile:
    """A file below the folder of a recording, open for reading; use it in a ``with``.

    Attributes
    ----------
    name : str
        Path below the folder, for reports.
    size : int
        Bytes; 0 if it is not there.
    present : bool
    why : str
        Why it is not there: missing, or what stands in its place.
    """

    def __init__(self, root: Path, *parts: str) -> None:
        self.name = "/".join(parts)
        self.why = ""
        self._descriptor = -1
        try:
            self._descriptor = opening.open_file(root, *parts)
        except FileNotFoundError:
            self.why = "is missing"
        except RecordingError as error:
            self.why = str(error).removeprefix(f"{root.joinpath(*parts)}: ")
        self.present = self._descriptor >= 0
        self.size = os.fstat(self._descriptor).st_size if self.present else 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def into(self, view: memoryview, offset: int) -> int:
        """Fill `view` from `offset` on; how many bytes the file had. What a bad disk will not give is 0."""
        done = 0
        while self.present and done < len(view):
            try:
                got = os.preadv(self._descriptor, [view[done:]], offset + done)
            except OSError as error:
                if error.errno != errno.EIO:
                    raise RecordingError(f"{self.name}: {error.strerror}") from error
                got = self._page_into(view[done:], offset + done)
            if not got:
                break
            done += got
        return done

    def _page_into(self, view: memoryview, offset: int) -> int:
        """The same up to the end of the page, which the disk may refuse."""
        part = view[: _PAGE - offset % _PAGE]
        try:
            return os.preadv(self._descriptor, [part], offset)
        except OSError:
            part = part[: max(0, self.size - offset)]
            part[:] = bytes(len(part))
            return len(part)

    def read(self, offset: int, size: int) -> bytes:
        """At most `size` bytes from `offset` on."""
        data = bytearray(max(0, min(size, self.size - offset)))
        return bytes(data[: self.into(memoryview(data), offset)])

    def soon(self, offset: int, size: int) -> None:
        """Let the disk begin to bring what is read next."""
        if self.present:
            os.posix_fadvise(self._descriptor, offset, size, os.POSIX_FADV_WILLNEED)

    def _filled(self, start: int) -> Iterator[tuple[int, int]]:
        """Where data is, from `start` on: the holes of a sparse file are neither read nor searched."""
        while start < self.size:
            try:
                start = os.lseek(self._descriptor, start, os.SEEK_DATA)
                stop = os.lseek(self._descriptor, start, os.SEEK_HOLE)
            except OSError as error:
                if error.errno == errno.ENXIO:  # nothing but a hole up to the end
                    return
                stop = self.size
            yield start, min(stop, self.size)
            start = stop

    def last_filled(self) -> int:
        """Where the data ends and nothing but a hole follows."""
        return max((stop for _, stop in self._filled(0)), default=0)

    def rows(self, dtype: np.dtype, base: int) -> tuple[np.ndarray, np.ndarray]:
        """The whole rows behind the header, wherever they are.

        Parameters
        ----------
        dtype : structured dtype
            It ends in a ``crc``.
        base : int
            `layout.place` of the file.

        Returns
        -------
        numbers : ndarray of int64, shape (n,)
            At which row of the file each stands.
        rows : ndarray of dtype, shape (n,)
        """
        width, begin = dtype.itemsize, layout.header_size(dtype)
        numbers, found = [np.empty(0, np.int64)], [np.empty(0, dtype)]
        reached = 0
        for start, stop in self._filled(begin):
            first = max(reached, (start - begin) // width)
            last = (stop - begin + width - 1) // width
            for row in range(first, last, SLICE):
                data = self.read(begin + row * width, min(SLICE, last - row) * width)
                rows = np.frombuffer(data, dtype, len(data) // width)
                if rows.view(np.uint8).any():
                    whole = np.flatnonzero(layout.whole_rows(rows, base, row))
                    numbers.append(row + whole)
                    found.append(rows[whole])
            reached = max(reached, last)
        return np.concatenate(numbers), np.concatenate(found)

    def header_is(self, expected: bytes) -> bool:
        """Whether the file begins with this header; the count may be any number."""
        try:
            layout.check_header(self.read(0, len(expected)), expected, self.name)
        except RecordingError:
            return False
        return True

    def lines(self, base: int) -> Iterator[Line | Patch]:
        """The whole lines of a ``.jsonl`` file in order of their numbers, and what lies between them.

        A line ends with its checksum. Where one is damaged the number of the next is found by trying; a line
        of ``strings`` says it itself.
        """
        number, before = 0, 0  # bytes of damage since the last whole line
        for start, body, crc in self._sealed():
            found = _try(body, crc, base, number, 1 + before // _LEAST_LINE) if crc is not None else None
            if found is None:
                before += len(body) + (0 if crc is None else 19)
                yield Patch(start, start + len(body) + (0 if crc is None else 19))
                continue
            skipped, number = found
            if skipped:
                yield Patch(start, start + skipped)
            yield Line(number, start + skipped, body[skipped:])
            number, before = number + 1, 0

    def _sealed(self) -> Iterator[tuple[int, bytes, int | None]]:
        """Bytes up to each checksum, where they begin, and the checksum; None for what is behind the last."""
        at, rest = 0, b""
        for start, stop in self._filled(0):
            if start > at + len(rest):
                yield from _left(at, rest)
                at, rest = start, b""
            for place in range(start, stop, _PIECE):
                rest += self.read(place, min(_PIECE, stop - place))
                begin = 0
                for end in _SEAL.finditer(rest):
                    begin += rest[begin : begin + 1] == b"\n"
                    yield at + begin, rest[begin : end.start()], int(end[1], 16)
                    begin = end.end()
                at, rest = at + begin, rest[begin:]
                if len(rest) > LINE_LIMIT:
                    spare = len(rest) - LINE_LIMIT
                    yield at, rest[:spare], None
                    at, rest = at + spare, rest[spare:]
        yield from _left(at, rest)


def _left(at: int, rest: bytes) -> Iterator[tuple[int, bytes, None]]:
    if rest.strip(b"\n"):
        yield at, rest, None


def _try(body: bytes, crc: int, base: int, number: int, most: int) -> tuple[int, int] | None:
    """Which line it is that ends with this checksum: bytes before it, and its number, `number` at least."""
    if len(body) > 2 * LINE_LIMIT:
        return None
    if layout.crc32c(body, layout.seed_at(base, number)) == crc:
        return 0, number
    # A damaged line end is no part of a line; damage before it may hold or hide others.
    for skipped in dict.fromkeys(
        (0, 1, body.rfind(b"\n") + 1, body.rfind(b'{"id":'), body.rfind(b'\n{"') + 1)
    ):
        if not 0 <= skipped < len(body):
            continue
        line = body[skipped:]
        named = _IDENTIFIER.match(line)
        candidates = range(number, number + min(most, 4096) + 1)
        for one in [int(named[1]) - 1] if named else candidates:
            if one >= number and layout.crc32c(line, layout.seed_at(base, one)) == crc:
                return skipped, one
    return None


def whole_file(root: Path, *parts: str) -> bytes | None:
    """A file of one JSON object as it is; None if it is not there, is too large, or cannot be read."""
    try:
        return opening.read_bytes(root, *parts)
    except (OSError, io.UnsupportedOperation):
        return None
