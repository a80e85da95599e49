"""Files that grow by a line of JSON at a time: sessions and marks."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fastrec.errors import RecordingError
from fastrec.recording import layout
from fastrec.recording.files import create_whole, write_all
from fastrec.recording.opening import LINE_LIMIT, open_file

__all__ = ["Lines"]


class Lines:
    """A ``.jsonl`` file of the recording itself, open for more lines.

    A last line that a killed writer did not finish is cut off: it was never committed, and a line behind it
    would be lost.
    """

    def __init__(self, root: Path, name: str, uuid: bytes) -> None:
        try:
            self._descriptor = open_file(root, name, flags=os.O_RDWR)
        except FileNotFoundError:
            self._descriptor = create_whole(root, name, data=b"")
        self._base = layout.place(uuid)
        self._turn = threading.Lock()
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
        with self._turn:
            if self._descriptor < 0:
                raise RecordingError("a line could not be written: the recording is closed")
            line = layout.seal_json(members, layout.seed_at(self._base, self._count))
            if len(line) > LINE_LIMIT:
                raise RecordingError(
                    f"a line of {len(line):,} bytes; at most {LINE_LIMIT:,} could be read back"
                )
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
        """Make the lines durable and close the file. A second call does nothing."""
        with self._turn:
            descriptor, self._descriptor = self._descriptor, -1
            if descriptor >= 0:
                try:
                    os.fdatasync(descriptor)
                finally:
                    os.close(descriptor)
