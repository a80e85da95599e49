"""The texts of a segment, read on from where the last reading ended."""

from __future__ import annotations

from pathlib import Path

from fastrec.errors import CorruptionError, RecordingError
from fastrec.recording.lines import read_lines
from fastrec.schema.texts import LOST, Text

__all__ = ["StoredTexts"]

_UNREADABLE = frozenset({0xFFFF_FFFF, 0xFFFF_FFFF_FFFF_FFFF})  # all ones, in pointers of either width


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
        self._read = 0  # bytes
        self._whole = 0  # number after the last whole line
        self._texts: list[str | RecordingError] = []

    def text(self, identifier: int, stop: int) -> Text:
        """Text of an id among those in the first `stop` bytes; None for 0 (NULL), LOST for all ones
        (unreadable, or no room).

        Raises
        ------
        CorruptionError
            Its line is damaged, or there is no such id.
        """
        if identifier == 0:
            return None
        if identifier in _UNREADABLE:
            return LOST
        texts = self.upto(stop)
        if not 0 < identifier <= len(texts):
            where = self._root.joinpath(*self._parts)
            raise CorruptionError(f"{where}: has no text {identifier}, only 1 to {len(texts)}")
        text = texts[identifier - 1]
        if isinstance(text, RecordingError):
            raise text
        return text

    def upto(self, stop: int) -> list[str | RecordingError]:
        """The texts in the first `stop` bytes, or more; an error in the place of a damaged one."""
        if stop > self._read:
            begin, self._read = self._read, stop
            lines = read_lines(
                self._root,
                *self._parts,
                base=self._base,
                stop=stop,
                begin=begin,
                first=len(self._texts),
                after=self._whole,
            )
            for number, line in lines:
                text: str | RecordingError
                if isinstance(line, RecordingError):
                    text = line
                elif line.get("id") != number + 1 or not isinstance(line.get("text"), str):
                    where = self._root.joinpath(*self._parts)
                    text = CorruptionError(f"{where}: line {number}: is not text {number + 1}")
                else:
                    text = line["text"]
                    self._whole = number + 1
                # Behind a line in two pieces comes a number once more, and this time it is whole.
                self._texts[number:] = [text]
        return self._texts
