"""The file an export goes to: there as a whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from fastrec.errors import FastrecError, FormatError

__all__ = ["replacing"]


@contextmanager
def replacing(path: str | os.PathLike[str], *, overwrite: bool = False) -> Iterator[BinaryIO]:
    """Open a file that takes its name when the block ends without an error.

    It is written under a hidden name beside `path`; if the block fails, it is removed and `path` is as it
    was.

    Parameters
    ----------
    path : path
    overwrite : bool
        Whether a file of this name may be replaced.

    Yields
    ------
    binary file
        Open for writing.

    Raises
    ------
    FormatError
        If `path` is there and `overwrite` is False, also if it came to be meanwhile; or if the system
        refuses.
    """
    target = Path(path)
    # A link is replaced, not followed: whoever made it would decide where the export goes.
    if target.is_dir() and not target.is_symlink():
        raise FormatError(f"{target} is a folder; name a file")
    if not overwrite and os.path.lexists(target):
        raise _exists(target)
    stem = os.fsdecode(os.fsencode(target.name)[:200])  # a name has 255 bytes, not letters
    hidden = target.with_name(f".{stem}.{secrets.token_hex(4)}.new")
    try:
        with open(hidden, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        _name(hidden, target, overwrite)
    except FastrecError:
        # Damage found while reading is an OSError too, and no fault of the target.
        raise
    except OSError as error:
        raise _refused(target, error) from error
    finally:
        # An interrupt may come as soon as the file is there.
        with suppress(OSError):
            hidden.unlink()


def _name(hidden: Path, target: Path, overwrite: bool) -> None:
    if not overwrite:
        try:
            # A link fails if the name is taken, even by a process that took it a moment ago; a rename would
            # not.
            os.link(hidden, target)
        except FileExistsError as error:
            raise _exists(target) from error
        except OSError as error:
            # Some file systems have no hard links.
            if os.path.lexists(target):
                raise _exists(target) from error
        else:
            return
    os.replace(hidden, target)


def _exists(target: Path) -> FormatError:
    return FormatError(
        f"{target} is there already; choose another name, or overwrite=True (--force) to replace it"
    )


def _refused(target: Path, error: OSError) -> FormatError:
    return FormatError(f"{target} cannot be written: {error.strerror or error}")
