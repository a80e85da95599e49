"""What a recorder writes beside its rows: the folder, files of one JSON object, the lock that says "live".

Every file is created exclusively, with mode 0600, under a dot name, and gets its real name when it is whole
and durable. All but `create_recording` are called while holding the lock that it returns.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import stat
import struct
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from fastrec.core.below import checked_name
from fastrec.errors import FormatError, RecordingError, shown
from fastrec.recording import layout
from fastrec.recording.opening import (
    FLOCK,
    JSON_LIMIT,
    folder_names,
    open_file,
    open_folder,
    refusal,
)
from fastrec.recording.windows import FOLDER as WINDOWS

__all__ = [
    "checked_metadata",
    "create",
    "create_channel",
    "create_closed",
    "create_recording",
    "create_whole",
    "let_go",
    "lock",
    "place_of",
    "remove_closed",
    "replace_channel",
    "take_back",
    "take_back_unborn",
    "write_all",
]

MOST_LEVELS = 100
"""How deep metadata may be nested."""

_NEVER_LISTED = {"closed.json", ".closed.json.new", WINDOWS}

_EXCLUSIVE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def lock(descriptor: int, root: Path) -> None:
    """Say that a recorder is live, as long as the descriptor (and every copy a fork made of it) is open.

    Raises
    ------
    RecordingError
        Another recorder is, or the file system has no locks.
    """
    wanted = struct.pack(FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    try:
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, wanted)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EAGAIN):
            raise RecordingError(
                f"{root}: another recorder is writing to it; stop that one, or use another folder"
            ) from error
        raise RecordingError(
            f"{root}: cannot be locked: {error.strerror}; record to a local file system"
        ) from error


def let_go(held: list[int], keep: int = 0) -> None:
    """Close descriptors in their order, but for the last `keep`. An interrupt leaves those not closed yet."""
    while len(held) > keep:
        os.close(held.pop(0))


def create_whole(root: Path, *parts: str, data: bytes, locked: bool = False, replacing: bool = False) -> int:
    """Create a file that has its real name only once it is whole and durable; return its descriptor.

    Parameters
    ----------
    locked : bool
        It has the lock of a live recorder before it has its name: no one ever sees it unlocked.
    replacing : bool
        It takes the place of the one that has the name.

    Raises
    ------
    RecordingError
        The name is taken, or the disk will not have it.
    """
    name = checked_name(parts[-1])
    fresh = f".{name}.new"
    descriptor = -1
    try:
        try:
            with open_folder(root, parts[:-1]) as folder:
                with suppress(FileNotFoundError):  # a killed writer left it; the lock's holder alone is here
                    os.unlink(fresh, dir_fd=folder)
                try:
                    descriptor = os.open(fresh, _EXCLUSIVE, 0o600, dir_fd=folder)
                    if locked:
                        lock(descriptor, root)
                    write_all(descriptor, data, 0)
                    os.fsync(descriptor)
                    if replacing:
                        os.replace(fresh, name, src_dir_fd=folder, dst_dir_fd=folder)
                    else:
                        os.link(fresh, name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
                finally:
                    with suppress(FileNotFoundError):
                        os.unlink(fresh, dir_fd=folder)
                os.fsync(folder)
            return descriptor
        except BaseException:
            if descriptor >= 0:
                os.close(descriptor)
            raise
    except FileExistsError as error:
        raise RecordingError(f"{root.joinpath(*parts)}: exists already and is never written again") from error
    except OSError as error:
        raise refusal(root, parts, error) from error


def create(path: Path) -> int:
    """Create a file of a folder that is ours alone, and return its descriptor; system errors pass through."""
    return os.open(path, _EXCLUSIVE, 0o600)


def write_all(descriptor: int, data: bytes, offset: int) -> None:
    """``pwrite`` until all is written; errors of the system pass through."""
    while data:
        done = os.pwrite(descriptor, data, offset)
        data, offset = data[done:], offset + done


def checked_metadata(metadata: Mapping[str, Any] | None) -> dict[str, Any]:
    """What a user wants stored with a recording, if JSON can hold it.

    Raises
    ------
    RecordingError
        It cannot, or not so that it could be read back anywhere.
    """
    if not isinstance(metadata, Mapping | None):
        raise RecordingError(f"metadata={shown(metadata)}; it is a mapping of names to what JSON can hold")
    try:
        kept = json.loads(json.dumps(dict(metadata or {}), allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise RecordingError(f"metadata cannot be written as JSON: {error}") from error
    # What is nested as deep as Python can write here, it cannot read where more calls are on the stack.
    if not _within(kept, MOST_LEVELS):
        raise RecordingError(f"metadata is nested deeper than {MOST_LEVELS} levels; flatten it")
    return kept


def _within(value: object, levels: int) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return levels >= 0 and all(_within(one, levels - 1) for one in inner)


def _make_folder(root: Path, *parts: str) -> None:
    try:
        with open_folder(root, parts[:-1]) as folder:
            os.mkdir(checked_name(parts[-1]), 0o700, dir_fd=folder)
            os.fsync(folder)
    except FileExistsError:
        raise
    except OSError as error:
        raise refusal(root, parts, error) from error


def create_recording(
    root: Path,
    *,
    uuid: bytes,
    host: str,
    tool: str,
    timezone: str,
    created_ns: int,
    metadata: Mapping[str, Any],
) -> int:
    """Create the folder and its ``recording.json``, and return the descriptor that holds the lock.

    The lock lasts until the descriptor (and every copy a fork made of it) is closed.

    Raises
    ------
    RecordingError
        The folder exists, or cannot be created.
    """
    members = {
        "format": layout.FORMAT_VERSION,
        "uuid": uuid.hex(),
        "host": host,
        "tool": tool,
        "timezone": timezone,
        "created_ns": created_ns,
        "metadata": dict(metadata),
    }
    data = layout.seal_json(members, 0)
    if len(data) > JSON_LIMIT:
        raise RecordingError(f"metadata of {len(data):,} bytes; at most {JSON_LIMIT:,} could be read back")
    made = False
    try:
        made = os.mkdir(root, 0o700) is None  # in one line: whenever an interrupt comes, it is known
        _make_folder(root, "channels")
        return create_whole(root, "recording.json", data=data, locked=True)
    except BaseException as error:
        if made:
            take_back(root)
        elif isinstance(error, FileExistsError):
            raise RecordingError(f"{root}: exists; use another path") from error
        elif isinstance(error, OSError):
            raise RecordingError(f"{root}: cannot be created: {error.strerror}") from error
        raise


def place_of(lock: int, root: Path) -> Path:
    """Where the recording is now that was at `root`: it may have been moved, and another be in its place.

    Parameters
    ----------
    lock : int
        Descriptor of its ``recording.json``.

    Raises
    ------
    RecordingError
        It was removed.
    """
    own = os.fstat(lock)
    for place in (root, Path(os.readlink(f"/proc/self/fd/{lock}")).parent):
        with suppress(OSError):
            if os.path.samestat(os.stat(place / "recording.json"), own):
                return place
    raise RecordingError(f"{root}: was removed while it was recorded to, or its recording.json was")


def take_back(folder: Path) -> None:
    """Remove a folder that was made by us, and what is in it; of a link, the link.

    Not shutil.rmtree, which needs a descriptor more than may be left where there are too few.
    """
    if os.path.islink(folder):  # os.walk would go into it
        with suppress(OSError):
            os.unlink(folder)
        return
    for path, folders, names in os.walk(folder, topdown=False):
        with suppress(OSError):
            for name in (*names, *(one for one in folders if os.path.islink(os.path.join(path, one)))):
                os.unlink(os.path.join(path, name))
            os.rmdir(path)


def take_back_unborn(root: Path) -> None:
    """Remove what a recorder left that was killed while it created its folder, if it is just that."""
    draft = ".recording.json.new"
    with suppress(OSError):
        names = set(os.listdir(root))
        if not names <= {"channels", draft} or not names or os.listdir(root / "channels"):
            return
        if draft in names:
            descriptor = open_file(root, draft, flags=os.O_RDWR)
            try:
                lock(descriptor, root)  # whoever is creating it has it
                take_back(root)
            finally:
                os.close(descriptor)
        else:
            take_back(root)


def create_channel(root: Path, uuid: bytes, members: Mapping[str, Any]) -> None:
    """Create a channel's folder and its ``channel.json``.

    Parameters
    ----------
    members : mapping
        ``name``, ``schema`` (`Schema.to_dict`), ``digest``, ``record_size``, ``options``.

    Raises
    ------
    FormatError
        The name cannot be one.
    RecordingError
        The channel exists.
    """
    name = members["name"]
    if not layout.CHANNEL_NAME.fullmatch(name):
        raise FormatError(
            f"channel {name!r}: a name is 1 to 64 letters, digits and '_.-', and begins with none of '.-'"
        )
    # A recorder killed between the two steps leaves an empty folder; create_whole refuses one that has a
    # channel.
    made = False
    try:
        with suppress(FileExistsError):
            made = _make_folder(root, "channels", name) is None
        os.close(create_whole(root, "channels", name, "channel.json", data=_sealed(uuid, members)))
    except BaseException:
        if made:
            take_back(root / "channels" / name)
        raise


def replace_channel(root: Path, uuid: bytes, members: Mapping[str, Any]) -> None:
    """Put another ``channel.json`` in the place of that which is there; `members` as of `create_channel`.

    Whoever reads it meanwhile finds the one or the other.
    """
    data = _sealed(uuid, members)
    os.close(create_whole(root, "channels", members["name"], "channel.json", data=data, replacing=True))


def _sealed(uuid: bytes, members: Mapping[str, Any]) -> bytes:
    return layout.seal_json(members, layout.row_seed(uuid, members["name"], 0, 0))


def create_closed(
    root: Path, uuid: bytes, *, session: int, mono_ns: int, channels: Mapping[str, Any]
) -> None:
    """Write ``closed.json``, the last act of a clean stop: every other file is whole and will not change.

    Parameters
    ----------
    channels : mapping
        Per name ``{"records": published, "segments": count, "stats": final counters}``.
    """
    members = {
        "session": session,
        "mono_ns": mono_ns,
        "channels": dict(channels),
        "files": dict(_sizes(root)),
    }
    data = layout.seal_json(members, layout.row_seed(uuid, "", 0, 0))
    os.close(create_whole(root, "closed.json", data=data))


def remove_closed(root: Path) -> None:
    """Remove ``closed.json``: from now on the files may change."""
    try:
        with open_folder(root, ()) as folder:
            with suppress(FileNotFoundError):
                os.unlink("closed.json", dir_fd=folder)
            os.fsync(folder)
    except OSError as error:
        raise refusal(root, ("closed.json",), error) from error


def _sizes(root: Path, *parts: str) -> Iterator[tuple[str, int]]:
    for name in folder_names(root, *parts):
        with open_folder(root, parts) as folder:
            entry = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if not parts and name in _NEVER_LISTED:
            continue  # windows are closed by themselves, and come and go
        if stat.S_ISDIR(entry.st_mode):
            yield from _sizes(root, *parts, name)
        elif stat.S_ISREG(entry.st_mode):
            yield "/".join((*parts, name)), entry.st_size
