"""Opening what nobody vouches for: no link is followed, no size believed.

A path below the folder is walked name by name from the folder's descriptor, so no link anywhere in it is
followed; only the folder itself may be one, because the user named it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from fastrec.core import below
from fastrec.errors import FormatError, RecordingError, shown
from fastrec.recording import layout

__all__ = [
    "FLOCK",
    "FOLDER",
    "JSON_LIMIT",
    "MOST_LEVELS",
    "GoneError",
    "Where",
    "folder_names",
    "foreign",
    "has_file",
    "identity",
    "is_live",
    "is_of",
    "open_file",
    "open_folder",
    "read_bytes",
    "read_json",
    "read_line",
    "refusal",
    "staying",
    "subfolders",
]

T = TypeVar("T")

JSON_LIMIT = 64 << 20
"""Largest JSON file that is read, in bytes."""

MOST_LEVELS = 128
"""How deep JSON may be nested. What Python could just read, it could not write where more calls are open."""

FLOCK = "hhqqixxxx"
"""``struct flock`` of Linux with 64-bit offsets: type, whence, start, length, pid."""

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
"""How a folder is opened."""


class Where(NamedTuple):
    """Path of a file below the root as text, which is made only when it is told."""

    root: Path
    parts: tuple[str, ...]

    def __str__(self) -> str:
        return str(self.root.joinpath(*self.parts))


class GoneError(RecordingError):
    """A file that was there a moment ago: retention removes whole segments."""


_kept = threading.local()
"""Of this thread: ``place``, the root and the parts of a folder, and ``descriptor``, its own."""


def _kept_folder(root: Path, parts: tuple[str, ...]) -> int:
    """The descriptor of a folder, if this thread stays in it; else -1."""
    return _kept.descriptor if getattr(_kept, "place", None) == (root, parts) else -1


class open_folder:  # noqa: N801 - it stands where a function would
    """Descriptor of a folder below the root for the length of a ``with``; system errors pass through."""

    def __init__(self, root: Path, parts: tuple[str, ...]) -> None:
        self._root, self._parts = root, parts
        self._own = -1

    def __enter__(self) -> int:
        kept = _kept_folder(self._root, self._parts)
        if kept >= 0:
            return kept
        self._own = below.open_folder(self._root, self._parts)
        return self._own

    def __exit__(self, *_: object) -> None:
        if self._own >= 0:
            own, self._own = self._own, -1
            os.close(own)


class staying(open_folder):  # noqa: N801
    """Walk to a folder once for all files of it that are opened within a ``with``, by this thread."""

    def __enter__(self) -> int:
        self._before = getattr(_kept, "place", None), getattr(_kept, "descriptor", -1)
        try:
            descriptor = super().__enter__()
            _kept.place, _kept.descriptor = (self._root, self._parts), descriptor
            return descriptor
        except BaseException:  # an interrupt, perhaps
            self.__exit__()
            raise

    def __exit__(self, *error: object) -> None:
        _kept.place, _kept.descriptor = self._before
        super().__exit__(*error)


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
    descriptor = _asked(below.open_file, root, parts, flags)
    if descriptor < 0:
        raise _no_regular_file(root, parts)
    return descriptor


def _asked(ask: Callable[..., T], root: Path, parts: tuple[str, ...], *more: int) -> T:
    """What the core says of something below the root; errors as of `open_file`."""
    try:
        return ask(root, parts, *more, _kept_folder(root, parts[:-1]))
    except FileNotFoundError:
        raise
    except OSError as error:
        raise refusal(root, parts, error) from error


def _no_regular_file(root: Path, parts: tuple[str, ...]) -> RecordingError:
    return RecordingError(f"{root.joinpath(*parts)}: is no regular file")


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
        below.identity(root, parts, _kept_folder(root, parts[:-1]))
    except (OSError, FormatError):
        return False
    return True


def identity(root: Path, *parts: str) -> tuple[int, ...]:
    """What differs if there is another file now, or other bytes in it; `FileNotFoundError` without one.

    Raises
    ------
    RecordingError
        It lies behind a link.
    """
    return _asked(below.identity, root, parts)


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
    return read_line(read_bytes(root, *parts), seed, Where(root, parts))


def read_line(line: bytes, seed: int, where: object) -> dict[str, Any]:
    """Members of a sealed object; errors as of `layout.check_json`, and where it is nested too deep."""
    members = layout.check_json(line, seed, where)
    if line.count(b"{") + line.count(b"[") > MOST_LEVELS:  # it goes no deeper than it has brackets
        _check_levels(members, where)
    return members


def is_of(root: Path, uuid: str) -> bool:
    """Whether a folder is still that of a recording; errors as of `read_json`."""
    try:
        return read_json(root, "recording.json", seed=0).get("uuid") == uuid
    except FileNotFoundError:
        return False


def _check_levels(members: dict[str, Any], where: object) -> None:
    """FormatError if they are nested deeper than `MOST_LEVELS`."""
    level: list[Any] = [members]
    for _ in range(MOST_LEVELS):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return
    raise FormatError(f"{where}: is nested deeper than {MOST_LEVELS} levels")


def read_bytes(root: Path, *parts: str) -> bytes:
    """A small file as it is; `FileNotFoundError` and `FormatError` as for `read_json`."""
    found = _asked(below.read_file, root, parts, JSON_LIMIT)
    if isinstance(found, bytes):
        return found
    if found < 0:
        raise _no_regular_file(root, parts)
    raise FormatError(f"{root.joinpath(*parts)}: {found:,} bytes; more than {JSON_LIMIT:,} are not read")


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
