"""The texts of a segment, read on from where the last reading ended."""

from __future__ import annotations

from pathlib import Path

from fastrec.errors import CorruptionError, RecordingError
from fastrec.recording import opening

__all__ = ["StoredTexts"]


class StoredTexts:
    """Lines of a ``strings`` file in order of their ids. What was read is kept.

    Parameters
    ----------
    root : Path
        Folder of the recording.
    parts : tuple of str
        Names from there down to the file.
    base : int
        `layout.place` of the file.
    """

    def __init__(self, root: Path, parts: tuple[str, ...], base: int) -> None:
        self._root = root
        self._parts = parts
        self._base = base
        self._read = 0
        self._texts: list[str | RecordingError] = []

    def upto(self, stop: int) -> list[str | RecordingError]:
        """The texts in the first `stop` bytes, or more; an error in the place of a damaged one."""
        if stop > self._read:
            begin, self._read = self._read, stop
            lines = opening.read_lines(
                self._root, *self._parts, base=self._base, stop=stop, begin=begin, first=len(self._texts)
            )
            for number, line in lines:
                where = f"{self._root.joinpath(*self._parts)}: line {number}"
                if isinstance(line, RecordingError):
                    self._texts.append(line)
                elif line.get("id") != number + 1 or not isinstance(line.get("text"), str):
                    self._texts.append(CorruptionError(f"{where}: is not the text {number + 1}"))
                else:
                    self._texts.append(line["text"])
        return self._texts
