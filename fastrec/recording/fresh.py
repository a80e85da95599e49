"""A folder that has its name only when it is whole and durable, and never in the place of another."""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from fastrec.core.spooler import sync_file_system
from fastrec.errors import RecordingError
from fastrec.recording.files import take_back
from fastrec.recording.opening import FOLDER

__all__ = ["fresh_folder"]

_RENAME_NOREPLACE = 1
_AT_FDCWD = -100
_FEW = 32  # files that are made durable one by one


def _of_libc(name: str, *arguments: type) -> Any:
    try:
        function = getattr(ctypes.CDLL(None, use_errno=True), name)
    except (OSError, AttributeError):
        return None
    function.argtypes, function.restype = arguments, ctypes.c_int
    return function


_renameat2 = _of_libc(
    "renameat2", ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint
)


@contextmanager
def fresh_folder(path: Path) -> Iterator[Path]:
    """A hidden folder beside `path`, to be filled within the ``with``, which becomes `path` at its end.

    If the ``with`` ends by an exception, nothing is left.

    Raises
    ------
    RecordingError
        `path` exists, also if it came to be meanwhile; or the folder cannot be made or made durable.
    """
    taken = f"{path}: exists; use another path"
    if os.path.lexists(path):
        raise RecordingError(taken)
    hidden = path.with_name(f".{path.name}.new")
    try:
        os.mkdir(hidden, 0o700)
    except FileExistsError as error:
        raise RecordingError(
            f"{hidden}: another recover is at work here, or was killed; if it was killed, remove that folder"
        ) from error
    except OSError as error:
        raise RecordingError(f"{path}: cannot be created: {error.strerror}") from error
    try:
        yield hidden
        try:
            _make_durable(hidden)
            _rename(hidden, path)
        except FileExistsError as error:
            raise RecordingError(taken) from error
        except OSError as error:
            if isinstance(error, RecordingError):
                raise
            raise RecordingError(f"{path}: cannot be made durable: {error.strerror}") from error
    except BaseException:
        take_back(hidden)
        raise
    with suppress(OSError):
        _sync(path.parent, FOLDER)


def _make_durable(folder: Path) -> None:
    paths = [Path(place, name) for place, _, names in os.walk(folder) for name in names]
    if len(paths) <= _FEW:
        for path in paths:
            _sync(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        for place, _, _ in os.walk(folder, topdown=False):
            _sync(Path(place), FOLDER)
        return
    descriptor = os.open(folder, FOLDER)
    try:
        sync_file_system(descriptor)  # one call for all; it waits for what others wrote to that disk, too
    finally:
        os.close(descriptor)


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _rename(hidden: Path, path: Path) -> None:
    if _renameat2 is not None:
        names = os.fsencode(hidden), os.fsencode(path)
        if not _renameat2(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_NOREPLACE):
            return
        code = ctypes.get_errno()
        if code not in (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP):
            raise OSError(code, os.strerror(code), str(path))
    # A file system without that call: a folder takes the place of an empty one only, and this one is ours.
    os.mkdir(path, 0o700)
    try:
        os.rename(hidden, path)
    except OSError:
        os.rmdir(path)
        raise
