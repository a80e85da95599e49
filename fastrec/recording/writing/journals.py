"""Files of the recording itself that grow: lines of JSON, and the readings of the clocks."""

from __future__ import annotations

import errno
import os
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from fastrec.errors import CorruptionError, FastrecError, RecordingError
from fastrec.recording import layout
from fastrec.recording.lines import LINE_LIMIT, read_lines
from fastrec.recording.opening import open_file, read_bytes
from fastrec.recording.torn import Line, TornFile
from fastrec.recording.writing.files import create_whole, write_all

__all__ = ["Lines", "open_readings"]

_PATIENCE = 10.0  # s for the disk to take the line before


class Lines:
    """A ``.jsonl`` file of the recording itself, open for more lines.

    A last line that a killed writer did not finish is cut off: it was never committed, and a line behind it
    would be lost.

    Attributes
    ----------
    descriptor : int
        Of the file; -1: it is closed.
    end : int
        Bytes of its lines.
    """

    def __init__(self, root: Path, name: str, uuid: bytes) -> None:
        self._base = layout.place(uuid)
        self._turn = threading.RLock()
        self._to_write: deque[Mapping[str, Any]] = deque()  # more than one: by signals
        self._writes = self._closes = (
            False  # this thread writes a line; and a signal has closed them meanwhile
        )
        self._count, self.end, self.descriptor = 0, 0, -1
        try:
            try:
                self.descriptor = open_file(root, name, flags=os.O_RDWR)
            except FileNotFoundError:
                self.descriptor = create_whole(root, name, data=b"")
            last = b""
            with open(self.descriptor, "rb", closefd=False) as file:
                for line in iter(lambda: file.readline(LINE_LIMIT), b""):
                    if line.endswith(b"\n"):
                        last = line
                        self._count += 1
                        self.end = file.tell()
            os.ftruncate(self.descriptor, self.end)
            if last and layout.line_number(last, self._base, [self._count - 1]) is None:
                self._count = self._behind_all(root, name)
        except BaseException:
            self.close()
            raise

    def _behind_all(self, root: Path, name: str) -> int:
        """A number that neither a reader nor `recover` finds: damage has hidden line ends, or made some."""
        most = max((number for number, _ in read_lines(root, name, base=self._base)), default=-1)
        with TornFile(root, name) as file:
            whole = (one.number for one in file.lines(self._base) if isinstance(one, Line))
            return max(most, max(whole, default=-1)) + 1

    def __len__(self) -> int:
        """The number of the line to come: how many there are, if none is damaged."""
        return self._count

    @contextmanager
    def _held(self) -> Iterator[None]:
        if not self._turn.acquire(timeout=_PATIENCE):
            raise OSError(errno.ETIMEDOUT, f"the disk has not taken the one before in {_PATIENCE:g} s")
        try:
            yield
        finally:
            self._turn.release()

    def append(self, members: Mapping[str, Any]) -> None:
        """Write one line with one call; an error leaves the lines before it as they were.

        The handler of a signal may call this while its thread writes another line: its own is written behind
        that, by who writes it, who is also told of an error.
        """
        errors: list[FastrecError] = []
        try:
            with self._held():
                if self.descriptor < 0 or self._closes:
                    raise RecordingError("a line could not be written: the recording is closed")
                self._to_write.append(members)
                if not self._writes:
                    self._write_all(errors)
        except TimeoutError as error:
            raise RecordingError(f"a line could not be written: {error.strerror}") from error
        if errors:
            raise errors[0]

    def _write_all(self, errors: list[FastrecError]) -> None:
        while self._to_write:  # a signal may come behind the last look of the loop within
            self._writes = True
            try:
                while self._to_write:
                    try:
                        self._write(self._to_write.popleft())
                    except FastrecError as error:
                        errors.append(error)
            finally:
                self._writes = False
                if self._closes:
                    self._to_write.clear()
                    self.descriptor = os.close(self.descriptor) or -1

    def _write(self, members: Mapping[str, Any]) -> None:
        line = layout.seal_json(members, layout.seed_at(self._base, self._count))
        if len(line) > LINE_LIMIT:
            raise RecordingError(f"a line of {len(line):,} bytes; at most {LINE_LIMIT:,} could be read back")
        try:
            write_all(self.descriptor, line, self.end)
        except OSError as error:
            if self._closes:
                raise RecordingError("a line could not be written: the recording is closed") from error
            with suppress(OSError):
                os.ftruncate(self.descriptor, self.end)  # of what the disk took of it
            raise RecordingError(f"a line could not be written: {error.strerror}") from error
        self.end, self._count = self.end + len(line), self._count + 1  # an interrupt parts no line

    def sync(self) -> None:
        """Make the lines durable."""
        os.fdatasync(self.descriptor)

    def close(self) -> None:
        """Make the lines durable and close the file. A second call does nothing."""
        with self._held():
            if self.descriptor < 0 or self._closes:
                return
            try:
                os.fdatasync(self.descriptor)
            finally:
                if self._writes:
                    self._wall_off()
                else:
                    self.descriptor = os.close(self.descriptor) or -1  # an interrupt finds it open, or closed

    def _wall_off(self) -> None:
        """For a signal that closes them while its thread writes a line: it is to reach no file any more.

        The descriptor stays, and who writes closes it: its number could be that of another file by then.
        """
        nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        os.dup2(nothing, self.descriptor, inheritable=False)
        os.close(nothing)
        self._closes = True


def open_readings(root: Path, uuid: bytes) -> tuple[int, int]:
    """Open ``clocks.npy`` for more rows, or create it: its descriptor, and how many rows it has."""
    header = layout.npy_header(layout.CLOCK_DTYPE)
    try:
        descriptor = open_file(root, "clocks.npy", flags=os.O_RDWR)
    except FileNotFoundError:
        return create_whole(root, "clocks.npy", data=header), 0
    try:
        data = read_bytes(root, "clocks.npy")
        try:
            _, whole = layout.read_rows(
                data, layout.CLOCK_DTYPE, layout.place(uuid), str(root / "clocks.npy")
            )
        except CorruptionError:
            write_all(descriptor, header, 0)  # without it the rows to come could not be read
            _, whole = layout.read_rows(
                header + data[len(header) :], layout.CLOCK_DTYPE, layout.place(uuid), "clocks.npy"
            )
        # A damaged row among whole ones stays where it is; what a killed writer left at the end goes.
        return descriptor, int(np.flatnonzero(whole)[-1]) + 1 if whole.any() else 0
    except BaseException:
        os.close(descriptor)
        raise
