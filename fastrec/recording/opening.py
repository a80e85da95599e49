"""Opening what nobody vouches for: no link is followed, no size believed, no line too long.

A path below the folder is walked name by name from the folder's descriptor, so no link anywhere in it is
followed; only the folder itself may be one, because the user named it.
"""

from __future__ import annotations

import errno
import fcntl
import io
import os
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fastrec.errors import CorruptionError, FormatError, RecordingError, shown
from fastrec.recording import layout

__all__ = [
    "FLOCK",
    "JSON_LIMIT",
    "LINE_LIMIT",
    "GoneError",
    "checked_name",
    "folder_names",
    "foreign",
    "has_file",
    "is_live",
    "open_file",
    "open_folder",
    "read_bytes",
    "read_json",
    "read_lines",
    "refusal",
    "subfolders",
]

JSON_LIMIT = 64 << 20
"""Largest JSON file that is read, in bytes."""

LINE_LIMIT = 1 << 20
"""Longest line of a ``.jsonl`` file: a text of 4,096 bytes has at most 24,576 in JSON."""

FLOCK = "hhqqixxxx"
"""``struct flock`` of Linux with 64-bit offsets: type, whence, start, length, pid."""

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class GoneError(RecordingError):
    """A file that was there a moment ago: retention removes whole segments."""


@contextmanager
def open_folder(root: Path, parts: tuple[str, ...]) -> Iterator[int]:
    """Descriptor of a folder below the root for the length of a ``with``; system errors pass through."""
    descriptor = os.open(root, _FOLDER)
    try:
        for part in parts:
            inner = os.open(checked_name(part), _FOLDER | os.O_NOFOLLOW, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = inner
        yield descriptor
    finally:
        os.close(descriptor)


def checked_name(name: str) -> str:
    """The name, if it can be that of an entry of a folder."""
    if name in ("", ".", "..") or "/" in name or "\0" in name:
        raise FormatError(f"{name!r} is no name of a file in a recording")
    return name


def absolute(path: str | os.PathLike[str]) -> Path:
    """The folder of a recording, whatever the working directory becomes meanwhile.

    Raises
    ------
    RecordingError
        The path is empty, no path at all, or of letters that no file name has.
    """
    try:
        text = os.fsdecode(path)
        encoded = os.fsencode(text)
    except (TypeError, UnicodeError) as error:
        raise RecordingError(f"{shown(path)} is no path") from error
    if not encoded or b"\0" in encoded:
        raise RecordingError(f"{shown(text)} names no folder")
    try:
        return Path(os.path.abspath(text))
    except OSError as error:
        raise RecordingError(f"{shown(text)}: the working directory is gone; give a whole path") from error


def refusal(root: Path, parts: tuple[str, ...], error: OSError) -> RecordingError:
    """What to raise for an error of the system."""
    if isinstance(error, RecordingError):
        return error
    where = root.joinpath(*parts)
    if error.errno in (errno.ELOOP, errno.ENOTDIR, errno.EMLINK):
        if not parts[1:] and root.exists() and not root.is_dir():
            return RecordingError(f"{root}: is a file; a recording is a folder")
        return RecordingError(
            f"{where}: is a link or no folder, or lies behind one; links in a recording are not followed"
        )
    return RecordingError(f"{where}: {os.strerror(error.errno or 0)}")


def open_file(root: Path, *parts: str, flags: int = os.O_RDONLY) -> int:
    """Open a regular file below the folder of a recording and return its descriptor.

    Raises
    ------
    FileNotFoundError
        It is not there.
    RecordingError
        It cannot be opened, is a link or lies behind one, or is no regular file.
    """
    try:
        with open_folder(root, parts[:-1]) as folder:
            # Not blocking: a FIFO put there must not hang us before we see that it is one.
            mode = flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
            descriptor = os.open(checked_name(parts[-1]), mode, dir_fd=folder)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise refusal(root, parts, error) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise RecordingError(f"{root.joinpath(*parts)}: is no regular file")
    return descriptor


def folder_names(root: Path, *parts: str) -> list[str]:
    """Names in a folder of the recording, sorted; none if it is not there.

    Raises
    ------
    RecordingError
        It cannot be listed, or is a link.
    """
    try:
        with open_folder(root, parts) as folder:
            return sorted(os.listdir(folder))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise refusal(root, parts, error) from error


def subfolders(root: Path, *parts: str) -> list[str]:
    """Names of the folders in a folder of the recording, sorted; other files are left out.

    Raises
    ------
    RecordingError
        One of them is a link, or the folder cannot be listed.
    """
    try:
        with open_folder(root, parts) as folder, os.scandir(folder) as entries:
            found = []
            for entry in entries:
                if entry.is_symlink():
                    raise RecordingError(
                        f"{root.joinpath(*parts, entry.name)}: is a link; put the folder itself there"
                    )
                if entry.is_dir():
                    found.append(entry.name)
            return sorted(found)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise refusal(root, parts, error) from error


def has_file(root: Path, *parts: str) -> bool:
    """Whether there is something of that name; whether it can be opened is another question."""
    try:
        with open_folder(root, parts[:-1]) as folder:
            os.stat(parts[-1], dir_fd=folder, follow_symlinks=False)
    except OSError:
        return False
    return True


def foreign(descriptor: int) -> bool:
    """Whether a file belongs to somebody who is neither us nor root.

    Its owner may shorten it at any time, and a mapping of it would then kill us with SIGBUS.
    """
    return os.fstat(descriptor).st_uid not in (os.geteuid(), 0)


def read_json(root: Path, *parts: str, seed: int) -> dict[str, Any]:
    """Members of a file that is one sealed object.

    Raises
    ------
    FileNotFoundError
        It is not there.
    FormatError
        It is larger than 64 MiB, or no JSON.
    CorruptionError
        It does not match its checksum.
    """
    return layout.check_json(read_bytes(root, *parts), seed, str(root.joinpath(*parts)))


def read_bytes(root: Path, *parts: str) -> bytes:
    """A small file as it is; `FileNotFoundError` and `FormatError` as for `read_json`."""
    with io.FileIO(open_file(root, *parts)) as file:
        size = os.fstat(file.fileno()).st_size
        if size > JSON_LIMIT:
            raise FormatError(
                f"{root.joinpath(*parts)}: {size:,} bytes; more than {JSON_LIMIT:,} are not read"
            )
        # A bound of its own, because the file may grow between the two calls.
        return file.read(size) or b""


def read_lines(
    root: Path, *parts: str, base: int, stop: int | None = None, begin: int = 0, first: int = 0
) -> Iterator[tuple[int, dict[str, Any] | RecordingError]]:
    """Yield the lines of a ``.jsonl`` file: number and members, or number and what is wrong with the line.

    Each line is sealed with its own number, so a damaged one does not hide those behind it. A last line
    without a newline was never finished and is left out. A file that is not there has no lines.

    Parameters
    ----------
    base : int
        `layout.place` of the file.
    stop : int, optional
        Read no more than that many bytes of the file.
    begin, first : int
        Byte of the file at which to begin, and the number of the line that begins there.
    """
    try:
        descriptor = open_file(root, *parts)
    except FileNotFoundError:
        return
    where = root.joinpath(*parts)
    left = (os.fstat(descriptor).st_size if stop is None else stop) - begin
    with open(descriptor, "rb") as file:
        file.seek(begin)
        number = first
        while left > 0:
            line = file.readline(min(left, LINE_LIMIT))
            left -= len(line)
            if not line.endswith(b"\n"):
                if len(line) == LINE_LIMIT:
                    yield number, FormatError(f"{where}: line {number} is longer than {LINE_LIMIT:,} bytes")
                return
            try:
                yield number, layout.check_json(line, layout.seed_at(base, number), f"{where}: line {number}")
            except (CorruptionError, FormatError) as error:
                yield number, error
            number += 1


def is_live(root: Path) -> bool:
    """Whether a recorder holds the lock of the recording. Asking takes no lock, not even for a moment."""
    try:
        descriptor = open_file(root, "recording.json")
    except FileNotFoundError:
        return False
    try:
        asked = struct.pack(FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        return struct.unpack(FLOCK, fcntl.fcntl(descriptor, fcntl.F_OFD_GETLK, asked))[0] != fcntl.F_UNLCK
    except OSError as error:
        # Some network file systems have no such locks; a recorder could not have taken one there either.
        if error.errno in (errno.EINVAL, errno.ENOLCK, errno.ENOTSUP):
            return False
        raise RecordingError(f"{root}: cannot ask for the lock: {error.strerror}") from error
    finally:
        os.close(descriptor)
