"""Writer: the recording of a running recorder. Its files, and the threads that fill them."""

from __future__ import annotations

import fcntl
import os
import re
import socket
import time
import uuid
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

from fastrec.core.spooler import SpoolChannel, Spooler
from fastrec.errors import RecordingError
from fastrec.recording import layout
from fastrec.recording.opening import FOLDER, has_file, refusal
from fastrec.recording.writing import files
from fastrec.recording.writing.ends import ChannelEnd
from fastrec.recording.writing.journals import Lines, open_readings
from fastrec.recording.writing.outcome import Spooled, Spooling, check_end, check_there, reason, unanswered
from fastrec.recording.writing.resuming import Resumed
from fastrec.recording.writing.rings import home_of, new_prefix, not_kept, sweep
from fastrec.recording.writing.room import is_full, make_room, no_room, resting
from fastrec.recording.writing.sessions import begin_session, closed_before
from fastrec.recording.writing.spooling import open_channel, spool
from fastrec.recording.writing.storing import Storing
from fastrec.ring import Ring
from fastrec.timezones import local_zone_name

__all__ = ["Writer"]

_PATIENCE = 30.0  # s that a stop waits for the disk

_STEMS = ("recording", "channel", "closed", "sessions", "clocks", "stats", "marks", *layout.KINDS)
_OURS = re.compile(rf"(channels/[^/]+/)?\.?({'|'.join(_STEMS)})\.")
"""Files of a recording, below its folder: those of a user, or of a recording in there, are not ours."""


class Writer:
    """Creates a recording, or goes on with one; drains rings into it, and closes it.

    Nothing is touched before `begin`. An interrupt, wherever it comes, leaves the rest to the next call of
    `close` or `discard`.

    Parameters
    ----------
    root : path
        The folder to create.
    metadata : mapping
        For recording.json.
    storing : Storing
    resumed : Resumed, optional
        The recording that it goes on with.
    held : list of int
        Where its descriptors go; the one that holds the lock is the last, and there already if it goes on.

    Attributes
    ----------
    marks : Lines
        marks.jsonl.
    """

    def __init__(
        self,
        root: Path,
        metadata: Mapping[str, Any],
        storing: Storing,
        resumed: Resumed | None,
        held: list[int],
    ) -> None:
        self._root = root
        self._metadata = metadata
        self._storing = storing
        self._resumed = resumed
        self._uuid = resumed.uuid if resumed else uuid.uuid4().bytes
        self._offset_ns = resumed.offset_ns if resumed else 0
        self._session = self._last = resumed.session if resumed else 0  # ours; that has begun
        self._gone: Mapping[str, Any] = {}  # totals of channels that are, as closed.json counted
        self._changed = False  # files that it lists
        # Records that are there; what was lost among them counts, too.
        self._before = {name: end.number - end.first for name, end in self._ends.items() if end.kept}
        self._segments = {name: end.segment for name, end in self._ends.items()}
        self._prefix = new_prefix()
        self._held = held
        self._folder = -1  # descriptor
        self._folders: dict[str, int] = {}  # descriptors of channels' folders
        self._spooler: Spooler | None = None
        self.marks: Lines | None = None
        self._spooling: Spooling = {}
        self._ended = False  # all that is to be there is

    def begin(self) -> None:
        """Create the folder, or go on with it, and start the threads.

        Raises
        ------
        RecordingError
            The folder exists, or cannot be created; nothing is left behind.
        """
        with self._told():
            try:
                if self._resumed is None:
                    self._create()
                self._begin()
            except BaseException:
                self.discard()
                raise

    def _create(self) -> None:
        host, tool, zone = socket.gethostname(), f"fastrec {version('fastrec')}", local_zone_name()
        self._held.append(
            files.create_recording(
                self._root,
                uuid=self._uuid,
                host=host,
                tool=tool,
                timezone=zone,
                created_ns=time.time_ns(),
                metadata=self._metadata,
            )
        )

    def _begin(self) -> None:
        if self._resumed and self._resumed.closed:
            self._last, told = closed_before(self._root, self._uuid, self._session - 1)
            self._gone = {name: total for name, total in told.items() if name not in self._ends}
        self._folder = os.open(self._root, FOLDER)
        self._held.insert(0, self._folder)
        clocks_header = layout.npy_header(layout.CLOCK_DTYPE)
        clocks, clock_rows = open_readings(self._root, self._uuid)
        self._held.insert(0, clocks)
        stats = Lines(self._root, "stats.jsonl", self._uuid)
        self._held.insert(0, stats.descriptor)
        self.marks = Lines(self._root, "marks.jsonl", self._uuid)
        sweep()
        rests = resting(self._root, self._uuid, self._ends, self._held) if self._storing.limited else []
        made = make_room(self._root, rests, self._storing, self._offset_ns)
        self._segments |= made
        self._changed = bool(made) or not has_file(self._root, "closed.json")  # a ring was taken over
        if self._resumed and self._resumed.lost:
            for mark in self._resumed.lost:
                self.marks.append(mark._asdict())
                self._changed = True
            self.marks.sync()  # behind a session to come nobody would find it lost again
        self._changed = True
        files.remove_closed(self._root)  # as late as may be: without, the last session seems to have died
        self._begin_session()
        self._spooler = Spooler(
            dir=self._folder,
            clocks=clocks,
            clocks_header=len(clocks_header),
            clock_rows=clock_rows,
            stats=stats.descriptor,
            marks=self.marks.descriptor,
            stat_bytes=stats.end,
            stat_lines=len(stats),
            uuid=self._uuid,
            durability=self._storing.durability,
            flush_ns=self._storing.flush_ns,
            sync_ns=self._storing.sync_ns,
            clock_offset=self._offset_ns,
            keep_bytes=self._storing.keep_bytes,
            keep_ns=self._storing.keep_ns,
            min_free=self._storing.min_free,
            resting=rests,
        )
        try:
            self._spooler.begin()
        except OSError as error:
            raise RecordingError(
                f"{self._root}: no thread to write it: {error.strerror}; end other threads, or free memory"
            ) from error

    def _begin_session(self) -> None:
        begin_session(
            self._root,
            self._uuid,
            number=self._session,
            offset_ns=self._offset_ns,
            rings=self._prefix,
            segments=self._segments,
        )
        self._last = self._session

    @property
    def _place(self) -> Path:
        """The folder, wherever it was moved to: what has its old path may be somebody else's."""
        return files.place_of(self._held[-1], self._root) if self._held else self._root

    @property
    def _ends(self) -> Mapping[str, ChannelEnd]:
        return self._resumed.channels if self._resumed else {}

    @contextmanager
    def _told(self) -> Iterator[None]:
        """What the system has not got, as an error that says so."""
        try:
            yield
        except OSError as error:
            if is_full(error):
                raise no_room(self._root, self._storing, goes_on=self._resumed is not None) from error
            raise refusal(self._root, (), error) from error
        except MemoryError as error:
            raise RecordingError(f"{self._root}: no memory to record with; free some") from error

    def add(self, name: str, ring: Ring, options: Mapping[str, Any]) -> SpoolChannel:
        """Create a channel's folder, or go on with it, and name its ring; `drain` begins to empty that.

        `options` are for ``channel.json``.

        Raises
        ------
        RecordingError
            The disk or the system will not have it; nothing is left behind.
        """
        end = self._ends.get(name)
        members = {
            "name": name,
            "schema": ring.schema.to_dict(),
            "digest": ring.schema.digest,
            "record_size": ring.schema.storage(ring.store).itemsize,
            "options": dict(options),
        }
        with self._told():
            place, before = self._place, self._before.get(name, 0)
            if end is None:
                files.create_channel(place, self._uuid, members)
            try:
                self._folders[name] = open_channel(place, name)
                spooling = spool(
                    ring.core,
                    self._folders[name],
                    self._uuid,
                    name,
                    ring.schema,
                    ring.store,
                    segment_bytes=self._storing.segment_bytes,
                    segment_ns=self._storing.segment_ns,
                    first_segment=end.segment if end else 0,
                )
                self._name_ring(name, ring)
                if end is not None and end.options != members["options"]:
                    files.replace_channel(place, self._uuid, members)
                self._spooling[name] = Spooled(ring, spooling, self._folders[name], before)
            except BaseException:
                self.drop(name, ring)
                raise
        return spooling

    def drain(self, name: str) -> None:
        """From now on what is in the ring goes to the disk; of a channel that was dropped nothing does."""
        if name in self._spooling:
            self._spooler.add(self._spooling[name].channel)

    def drop(self, name: str, ring: Ring) -> None:
        """Take back an `add`, as long as nothing is drained: nothing is left of it."""
        self._spooling.pop(name, None)
        ring.core.unlink()
        if name in self._folders:
            os.close(self._folders.pop(name))
        if not self._held:
            return  # it was closed meanwhile
        if name not in self._ends:
            with suppress(RecordingError):  # all of it was removed
                files.take_back(self._place / "channels" / name)

    def _name_ring(self, name: str, ring: Ring) -> None:
        """From now on what is in the ring outlives this process."""
        why = ring.not_linkable
        try:
            if why is None:
                ring.core.link(f"{self._prefix}.{name}".encode("ascii"), home_of(self._place))
        except OSError as error:
            why = error
        if why is not None:
            warnings.warn(not_kept(name, ring.core.size, why), RuntimeWarning, stacklevel=7)

    def close(self, stats: Callable[[], Mapping[str, Mapping[str, Any]]]) -> None:
        """Drain, write closed.json with the final counters of each channel, give the lock back.

        Raises
        ------
        RecordingError
            The disk did not take everything; what it took is whole, and the recording is not marked closed.
            The rest stays in shared memory. It did not answer in time: the threads go on, and so the files
            stay open and the recording locked.
        """
        if not self._held:
            return  # it was closed, or cannot be: the lock is somebody else's now
        if self._spooler is None or self._ended:
            self.release()  # an interrupt came before it began, or in the release below
            return
        for name in self._spooling:
            self.drain(name)  # an interrupt may have come before
        if not self._spooler.stop(_PATIENCE):
            raise RecordingError(
                f"{self._root}: the disk has not answered for {_PATIENCE:g} s{unanswered(self._spooling)};"
                " what is not written is in shared memory, and as long as this process lives, it is tried on"
            )
        try:
            check_there(self._root, self._folder, self._spooling, self._storing, self._before)
            check_end(self._root, self.marks, self._spooler, self._spooling, self._storing)
            totals, final = {}, stats()
            for name, (ring, spooling, *_) in self._spooling.items():
                before = self._ends[name].segment if name in self._ends else 0
                totals[name] = {
                    "records": ring.core.head,
                    "segments": before + spooling.marks()["segments"],
                    "stats": final.get(name, {}),
                }
            self._create_closed(totals)
            for one in self._spooling.values():
                one.ring.core.unlink()
            self._ended = True
        except Exception:
            self.release()
            raise
        self.release()  # not when it is interrupted: a second call goes on

    def _create_closed(self, totals: Mapping[str, Mapping[str, Any]]) -> None:
        place = self._place
        if has_file(place, "closed.json"):
            files.remove_closed(place)  # one that an interrupt left: what it says may not be all
        files.create_closed(
            place,
            self._uuid,
            session=self._last,
            mono_ns=time.monotonic_ns() + self._offset_ns,
            channels={name: dict(end.total) for name, end in self._ends.items()} | dict(totals),
        )

    def reason(self, name: str, error: int) -> str:
        """What an errno of a channel's spooler means."""
        return reason(error, self._folders.get(name, -1), self._storing, self._spooler)

    def discard(self) -> None:
        """Remove a recording that never held anything; one that was there before stays.

        Raises
        ------
        RecordingError
            The disk did not answer in time: the threads are still in the folder, so it stays, with its files
            open and locked.
        """
        if self._spooler is not None and not self._spooler.stop(_PATIENCE):
            raise RecordingError(
                f"{self._root}: the disk has not answered for {_PATIENCE:g} s; nothing was recorded, and the"
                " folder stays locked as long as this process lives"
            )
        if not self._held:
            return  # nothing was created, or all is over: what is there is somebody else's
        if self.marks is not None:
            with suppress(OSError):  # it has no mark
                self.marks.close()
        for one in self._spooling.values():
            one.ring.core.unlink()
        try:
            self._release_all_but_lock()  # there may be none left to remove a folder with
            if self._resumed is None:
                with suppress(RecordingError):  # it was removed
                    files.take_back(self._place)
            elif self._resumed.closed and self._changed and not self._spooling:
                self._create_closed(self._gone)
        finally:
            self.release()

    def forget(self) -> None:
        """In a forked child: close what the parent has open, so that files and lock are not held by both.

        What its threads have open, the system tells: their own lists may have been changed at the very moment
        of the fork.
        """
        if not self._held:
            return
        if self.marks is not None:
            self.marks.descriptor = -1
        home = os.readlink(f"/proc/self/fd/{self._folder}") if self._folder >= 0 else self._root
        for entry in os.listdir("/proc/self/fd"):
            with suppress(OSError):  # that of listdir itself is closed again
                file = os.path.relpath(os.readlink(f"/proc/self/fd/{entry}"), home)
                # No reader has them open to be written.
                if _OURS.match(file) and fcntl.fcntl(int(entry), fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDWR:
                    self._held.append(int(entry))
        self._held[:] = dict.fromkeys(self._held)
        self.release()

    def release(self) -> None:
        """Close the files; the lock is the last. Nothing is written."""
        self._release_all_but_lock()
        files.let_go(self._held)

    def _release_all_but_lock(self) -> None:
        while self._folders:
            os.close(self._folders.popitem()[1])
        files.let_go(self._held, keep=1)
