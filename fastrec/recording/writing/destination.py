"""Where a recorder's records go: to a folder, new or one to go on with, or no further than memory."""

from __future__ import annotations

import os
import time
import warnings
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fastrec.core.spooler import SpoolChannel
from fastrec.errors import RecordingError, SchemaError
from fastrec.recording.marks import Mark
from fastrec.recording.opening import absolute
from fastrec.recording.reader import Recording
from fastrec.recording.writing.files import checked_metadata, let_go, take_back_unborn
from fastrec.recording.writing.resuming import Resumed, resume
from fastrec.recording.writing.room import check_min_free
from fastrec.recording.writing.storing import Storing
from fastrec.recording.writing.watching import Watch
from fastrec.recording.writing.writer import Writer
from fastrec.ring import Ring
from fastrec.schema import Schema
from fastrec.schema.forms import Store

__all__ = ["Destination"]

_MARKS = 4096


class Destination:
    """The folder of a recorder, if it has one. Made before it exists, begun when the recorder starts.

    What it holds of the system is let go by `release`, wherever an interrupt came.

    Parameters
    ----------
    path : path, optional
        Without, records stay in memory.
    storing : Storing
    metadata : mapping, optional

    Attributes
    ----------
    path : Path or None
    storing : Storing
    offset_ns : int
        Added to every stamp.

    Raises
    ------
    RecordingError
        The path or the metadata are none.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None,
        storing: Storing,
        metadata: Mapping[str, Any] | None,
    ) -> None:
        self.path: Path | None = None if path is None else absolute(path)
        self.storing = storing
        self._metadata = checked_metadata(metadata)
        self._resumed: Resumed | None = None
        self._held: list[int] = []  # descriptors, the writer's too; the one that holds the lock is the last
        self._writer: Writer | None = None
        self._watch: Watch | None = None
        self._marks: deque[Mark] = deque(maxlen=_MARKS)
        self.offset_ns = 0

    def look(self, *, again: bool) -> None:
        """See what is there; lock it, if it is to be gone on with.

        Parameters
        ----------
        again : bool
            Go on with what is there; create it if nothing is.

        Raises
        ------
        RecordingError
            There is something at the path that is not to be gone on with, or cannot be.
        """
        if self.path is None and again:
            raise RecordingError("resume=True needs a path: without one there is nothing to go on with")
        if self.path is not None and self.storing.min_free:
            check_min_free(self.path, self.storing.min_free)
        if again:
            take_back_unborn(self.path)
        if self.path is not None and os.path.lexists(self.path):
            if not again:
                raise RecordingError(f"{self.path}: exists; use another path, or go on with it: resume=True")
            if self._metadata and self._metadata != Recording(self.path).info.get("metadata"):
                raise RecordingError(f"{self.path}: exists, and has other metadata for good; leave them out")
            try:
                self._resumed = resume(self.path, self.storing, self._held)
                self.offset_ns = self._resumed.offset_ns
                for note in self._resumed.notes:
                    warnings.warn(note, RuntimeWarning, stacklevel=3)
            except BaseException:
                self.release()
                raise

    def place(
        self, name: str, schema: Schema, store: Store, rate: str | None, ignore: tuple[str, ...]
    ) -> tuple[int, int]:
        """Number of a channel's first record, and the stamp that it may not be before.

        Raises
        ------
        SchemaError
            The channel is there already, with other records.
        """
        there = self._resumed.channels if self._resumed else {}
        end = there.get(name)
        if end is None:
            for other in there:
                if other.lower() == name.lower():
                    raise SchemaError(f"channel {name!r}: there is {other!r} already; write it so")
            return 0, 0
        end.check(name, schema, store, rate, ignore)
        return end.number, end.last

    def begin(self) -> None:
        """Create the folder, or go on with it, and start the threads that fill it."""
        if self.path is not None:
            self._writer = Writer(self.path, self._metadata, self.storing, self._resumed, self._held)
            self._writer.begin()
            self._watch = Watch(self.path, self.storing.sync_ns, self._writer.reason)
            self._watch.start()
        if self._resumed is not None:
            while self._resumed.taken:
                self._resumed.taken.pop().unlink()

    def add(self, name: str, ring: Ring, options: Mapping[str, Any]) -> SpoolChannel | None:
        """Make room for a channel in it; see `Writer.add`. None: it stays in memory."""
        if self._writer is None:
            return None
        spooling = self._writer.add(name, ring, options)
        self._watch.add(name, ring, spooling)
        return spooling

    def drain(self, name: str) -> None:
        """From now on what is in the ring of a channel goes there."""
        if self._writer is not None:
            self._writer.drain(name)

    def drop(self, name: str, ring: Ring) -> None:
        """Take back an `add`, before `drain`."""
        if self._writer is not None:
            self._watch.drop(name)
            self._writer.drop(name, ring)

    def mark(self, text: object, kind: str, mono_ns: int | None = None) -> int:
        """Mark this moment, or that of a stamp; its time on the line of the stamps, ns."""
        when = time.monotonic_ns() + self.offset_ns if mono_ns is None else mono_ns
        mark = Mark(when, str(text), kind)
        if self._writer is not None:
            self._writer.marks.append(mark._asdict())
        self._marks.append(mark)
        return mark.mono_ns

    @property
    def goes_on(self) -> bool:
        """There was a recording before."""
        return self._resumed is not None

    @property
    def marks(self) -> tuple[Mark, ...]:
        """The newest marks."""
        return tuple(self._marks)

    def end(self, stats: Callable[[], Mapping[str, Mapping[str, Any]]]) -> None:
        """Drain what is left, and close it; see `Writer.close`."""
        self._look_no_more()
        if self._writer is not None:
            self._writer.close(stats)
        self.release()

    def discard(self) -> None:
        """Leave nothing behind of what never held anything, and what was there as it was."""
        self._look_no_more()
        if self._writer is not None:
            self._writer.discard()
        self.release()

    def _look_no_more(self) -> None:
        if self._watch is not None:
            self._watch.stop()

    def forget(self) -> None:
        """Let go of them in a forked child: all of it is the parent's."""
        if self._writer is not None:
            self._writer.forget()
        self.release()

    def release(self) -> None:
        """Let go of the files and the lock."""
        let_go(self._held)
