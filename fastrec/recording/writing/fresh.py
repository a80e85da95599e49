"""A folder that has its name only when it is whole and durable, and never in the place of another."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from fastrec.core.spooler import rename_new, sync_file_system
from fastrec.errors import RecordingError
from fastrec.recording.opening import FOLDER
from fastrec.recording.writing.files import take_back

__all__ = ["fresh_folder", "publish"]

_FEW = 32  # files that are made durable one by one


@contextmanager
def fresh_folder(path: Path) -> Iterator[Path]:
    """A hidden folder beside `path`, to be filled within the ``with``, which becomes `path` at its end.

    If the ``with`` ends by an exception, nothing is left.

    Raises
    ------
    RecordingError
        `path` exists, also if it came to be meanwhile; or the folder cannot be made or made durable.
    """
    if os.path.lexists(path):
        raise RecordingError(f"{path}: exists; use another path")
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
        publish(hidden, path)
    except BaseException:
        take_back(hidden)
        raise


def publish(hidden: Path, path: Path) -> None:
    """Make a folder and all in it durable, and give it its name.

    Raises
    ------
    RecordingError
        There is one of that name, or the disk will not have it; the folder is as it was.
    """
    try:
        _make_durable(hidden)
        _rename(hidden, path)
    except FileExistsError as error:
        raise RecordingError(f"{path}: exists; use another path") from error
    except OSError as error:
        if isinstance(error, RecordingError):
            raise
        raise RecordingError(f"{path}: cannot be made durable: {error.strerror}") from error
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
    try:
        rename_new(os.fsencode(hidden), os.fsencode(path))
    except OSError as error:
        if error.errno not in (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP):
            raise
    else:
        return
    # A file system without that call: a folder takes the place of an empty one only, and this one is ours.
    os.mkdir(path, 0o700)
    try:
        os.rename(hidden, path)
    except OSError:
        os.rmdir(path)
        raise
