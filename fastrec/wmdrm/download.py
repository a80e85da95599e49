"""The file that is being downloaded: next to its target, where it is put whole or not at all."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path

from fastrec.wmdrm import failures
from fastrec.wmdrm.failures import IndividualizationFailure

__all__ = ["Download", "download"]

BLOCK = 1 << 16


class Download:
    """A file under a name of its own in the folder of `target`."""

    def __init__(self, file: FileIO, name: str, target: Path) -> None:
        self._file = file
        self._name = name
        self._target = target

    def expect(self, size: int) -> None:
        """Fail now, not in the middle, where the file system says that it has no room for `size` bytes."""
        folder = self._target.parent
        with disk():
            system = os.statvfs(folder)
        free = system.f_bavail * system.f_frsize
        if system.f_blocks and size > free:  # one that tells 0 blocks in all does not know
            raise IndividualizationFailure(
                "ERROR_DISK_FULL", f"{size:,} bytes are to come, {folder} has room for {free:,}"
            )

    def write(self, block: bytes) -> None:
        """Append."""
        rest = memoryview(block)
        with disk():
            while rest:
                rest = rest[self._file.write(rest) :]

    def install(self, sha256: str, check: Callable[[], None]) -> None:
        """Verify what the disk holds, make it durable, move it into place; `check` may end it before that."""
        found = hashlib.sha256()
        with disk():
            self._file.seek(0)
            while block := self._file.read(BLOCK):
                found.update(block)
                check()
            if found.hexdigest() != sha256.lower():
                reason = f"the download's SHA-256 is {found.hexdigest()}, not {sha256}"
                raise IndividualizationFailure("TRUST_E_BAD_DIGEST", reason)
            os.fsync(self._file.fileno())
            check()
            os.replace(self._name, self._target)


@contextmanager
def download(target: Path) -> Iterator[Download]:
    """A new `Download`; nothing stays of one that was not installed."""
    with disk():
        stem = os.fsdecode(os.fsencode(target.name)[:200])  # a name has 255 bytes, not letters
        handle, name = tempfile.mkstemp(prefix=f".{stem}.", dir=target.parent)
    try:
        with FileIO(handle, "r+") as file:
            yield Download(file, name, target)
    finally:
        with suppress(FileNotFoundError):  # installed
            os.unlink(name)


@contextmanager
def disk() -> Iterator[None]:
    """Name what a file system raises."""
    try:
        yield
    except OSError as error:
        raise failures.of_disk(error) from error
