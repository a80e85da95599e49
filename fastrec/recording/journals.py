"""Files that grow by a line or a row while a recorder runs: marks, statistics, sessions; readings of the clocks."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fastrec.errors import RecordingError
from fastrec.recording import layout
from fastrec.recording.files import create_whole, write_all
from fastrec.recording.opening import LINE_LIMIT, open_file

__all__ = ["Lines", "Rows"]


class Lines:
    """A ``.jsonl`` file of the recording itself, open for more lines.

    A last line that a killed writer did not finish is cut off: it was never committed, and a line behind it would be lost.
    """

    def __init__(self, root: Path, name: str, uuid: bytes) -> None:
        try:
            self._descriptor = open_file(root, name, flags=os.O_RDWR)
        except FileNotFoundError:
            self._descriptor = create_whole(root, name, data=b"")
        self._base = layout.place(uuid)
        self._count, self._end = 0, 0
        with open(self._descriptor, "rb", closefd=False) as file:
            for line in iter(lambda: file.readline(LINE_LIMIT), b""):
                if line.endswith(b"\n"):
                    self._count += 1
                    self._end = file.tell()
        os.ftruncate(self._descriptor, self._end)

    def __len__(self) -> int:
        return self._count

    def append(self, members: Mapping[str, Any]) -> None:
        """Write one line with one call; an error leaves the lines before it as they were."""
        line = layout.seal_json(members, layout.seed_at(self._base, self._count))
        if len(line) > LINE_LIMIT:
            raise RecordingError(f"a line of {len(line):,} bytes; at most {LINE_LIMIT:,} could be read back")
        try:
            write_all(self._descriptor, line, self._end)
        except OSError as error:
            raise RecordingError(f"a line could not be written: {error.strerror}") from error
        self._end += len(line)
        self._count += 1

    def sync(self) -> None:
        """Make the lines durable."""
        os.fdatasync(self._descriptor)

    def close(self) -> None:
        """Make the lines durable and close the file."""
        self.sync()
        os.close(self._descriptor)


class Rows:
    """``clocks.npy``, open for more rows; rows that do not match their checksum are overwritten."""

    def __init__(self, root: Path, name: str, dtype: np.dtype, uuid: bytes) -> None:
        header = layout.npy_header(dtype)
        try:
            self._descriptor = open_file(root, name, flags=os.O_RDWR)
        except FileNotFoundError:
            self._descriptor = create_whole(root, name, data=header)
        self._dtype, self._start, self._base = dtype, len(header), layout.place(uuid)
        data = os.pread(self._descriptor, os.fstat(self._descriptor).st_size, 0)
        rows, whole = layout.read_rows(data, dtype, self._base, str(root / name))
        self._count = len(rows) if whole.all() else int(np.argmin(whole))
        os.ftruncate(self._descriptor, self._start + self._count * dtype.itemsize)

    def __len__(self) -> int:
        return self._count

    def append(self, **values: int) -> None:
        """Write one row; members not named are 0."""
        row = np.zeros(1, self._dtype)
        for name, value in values.items():
            row[name] = value
        layout.seal_rows(row, self._base, self._count)
        try:
            write_all(self._descriptor, row.tobytes(), self._start + self._count * self._dtype.itemsize)
        except OSError as error:
            raise RecordingError(f"a row could not be written: {error.strerror}") from error
        self._count += 1

    def sync(self) -> None:
        """Raise the count in the header to the rows there are, and make them durable."""
        digits = f"{self._count:{layout.COUNT_DIGITS}d}".encode()
        write_all(self._descriptor, digits, layout.COUNT_OFFSET)
        os.fdatasync(self._descriptor)

    def close(self) -> None:
        """Sync and close the file."""
        self.sync()
        os.close(self._descriptor)
