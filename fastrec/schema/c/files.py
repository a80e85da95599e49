"""Files that a text includes: where they are looked for, and how they are read."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path

from fastrec.errors import SchemaError, shown
from fastrec.schema.c.cursor import fatal
from fastrec.schema.c.tokens import MAX_TEXT, Token

__all__ = ["Folders", "read"]

_NOT_WAITING = getattr(os, "O_NONBLOCK", 0)


class Folders:
    """The folders in which included files are looked for, in this order.

    Raises
    ------
    SchemaError
        One is none.
    """

    def __init__(self, folders: Iterable[str | os.PathLike[str]]) -> None:
        self._folders = [_folder(folder) for folder in folders]

    def find(self, file: str, path: Path | None, *, quoted: bool, again: bool = False) -> Path | None:
        """Where a file is; `again`: behind the folder that the one at `path` is from."""
        if "\0" in file or Path(file).is_absolute():
            return None
        folders = ([path.parent] if path and quoted else []) + self._folders
        if again:
            own = [
                place
                for place, one in enumerate(self._folders)
                if path and path.is_relative_to(one.resolve())
            ]
            folders = self._folders[own[0] + 1 :] if own else []
        for folder in folders:
            try:
                # Only files: a pipe or a device would never end.
                if stat.S_ISREG(os.stat(folder / file).st_mode):
                    return (folder / file).resolve()
            except (OSError, ValueError):
                continue
        return None


def _folder(folder: object) -> Path:
    if not isinstance(folder, str | os.PathLike) or not os.path.isdir(folder):
        told = os.fspath(folder) if isinstance(folder, os.PathLike) else folder
        raise SchemaError(f"include: {shown(told)} is no folder")
    return Path(folder)


def read(path: Path, name: Token) -> str:
    """Return the text of an included file; `name` is the directive.

    Raises
    ------
    SchemaError
        It cannot be read, or is too long.
    """
    try:
        # Some files of /proc wait for more like a pipe does.
        with open(path, "rb", opener=lambda file, flags: os.open(file, flags | _NOT_WAITING)) as file:
            raw = file.read(MAX_TEXT + 1) or b""
    except OSError as error:
        raise fatal(name, f"of {shown(str(path))} cannot be read: {error.strerror}") from error
    if len(raw) > MAX_TEXT:
        raise fatal(name, f"of {shown(str(path))} takes more than {MAX_TEXT} bytes in")
    return raw.decode("utf-8-sig", "replace")
