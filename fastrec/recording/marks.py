"""Marks: moments of a recording that somebody, or something, has said a word about."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from fastrec.recording.clocks import is_stamp

__all__ = ["Mark", "marks_of"]


class Mark(NamedTuple):
    """What the user marked while recording."""

    mono_ns: int
    text: str
    kind: str


def marks_of(lines: Iterable[object]) -> tuple[Mark, ...]:
    """Of lines of ``marks.jsonl`` those that are marks; the others are damaged."""
    return tuple(
        Mark(line["mono_ns"], line["text"], str(line.get("kind", "mark")))
        for line in lines
        if isinstance(line, dict) and is_stamp(line.get("mono_ns")) and isinstance(line.get("text"), str)
    )
