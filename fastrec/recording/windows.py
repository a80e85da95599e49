"""The windows of a recording: recordings of their own, which triggers have cut out of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from fastrec.errors import RecordingError, suggest
from fastrec.recording import opening
from fastrec.recording.report import Report

if TYPE_CHECKING:
    from fastrec.recording.reader import Recording

__all__ = ["FOLDER", "Windows"]

FOLDER = "windows"
"""Where they lie in the recording."""


class Windows(Mapping[str, "Recording"]):
    """A mapping of name to `Recording`, the oldest first; one is opened when it is asked for.

    Every access looks at the folder again. Their marks of the kinds ``trigger`` and ``fire`` say when it
    fired, and ``info["metadata"]["window"]`` the rest.

    Parameters
    ----------
    root : Path
        Of the recording that they belong to.
    opened : callable
        What opens one.
    """

    def __init__(self, root: Path, opened: type[Recording]) -> None:
        self._root = root
        self._opened = opened

    def __iter__(self) -> Iterator[str]:
        for name in opening.subfolders(self._root, FOLDER):
            if not name.startswith(".") and opening.has_file(self._root, FOLDER, name, "recording.json"):
                yield name

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __getitem__(self, name: str) -> Recording:
        """The window of that name.

        Raises
        ------
        KeyError
            There is none.
        RecordingError
            It cannot be read; it is a link.
        """
        if name not in self:
            raise KeyError(f"{self._root} has no window {name!r}{suggest(str(name), list(self))}")
        return self._opened(self._root / FOLDER / name)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name in list(self)

    def verify(self, report: Report) -> None:
        """Verify each, and tell what was found in the report of the recording."""
        try:
            names = list(self)
        except RecordingError as error:
            report.problems.append(str(error))
            return
        for name in names:
            try:
                found = self._opened(self._root / FOLDER / name).verify()
            except RecordingError as error:
                if opening.has_file(self._root, FOLDER, name):  # a newer one may have taken its place
                    report.problems.append(str(error))
                continue
            report.problems += found.problems
            report.notes += found.notes
            report.checked += found.checked

    def __repr__(self) -> str:
        return f"<Windows of {self._root}: {', '.join(self) or 'none'}>"
