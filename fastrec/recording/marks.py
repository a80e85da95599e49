"""Marks: moments that somebody named while it was recorded."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from fastrec.recording.clocks import is_stamp

__all__ = ["Mark", "marks_of"]


class Mark(NamedTuple):
    """A moment of a recording.

    Attributes
    ----------
    mono_ns : int
    text : str
    kind : str
        ``"mark"``: of the user; ``"trigger"``: a trigger fired; ``"fire"``: by hand; others of the recorder.
    """

    mono_ns: int
    text: str
    kind: str


def marks_of(lines: Iterable[Any]) -> tuple[Mark, ...]:
    """Those that lines of ``marks.jsonl`` tell of, as far as they are whole."""
    return tuple(
        Mark(line["mono_ns"], line["text"], str(line.get("kind", "mark")))
        for line in lines
        if isinstance(line, dict) and is_stamp(line.get("mono_ns")) and isinstance(line.get("text"), str)
    )
