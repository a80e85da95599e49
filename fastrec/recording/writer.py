"""Writer: the recording of a running recorder. Its files, and the threads that fill them."""

from __future__ import annotations

import os
import socket
import time
import uuid
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from fastrec.core.spooler import SpoolChannel, Spooler
from fastrec.errors import RecordingError
from fastrec.recording import files, layout
from fastrec.recording.journals import Lines, open_readings
from fastrec.recording.opening import FOLDER, has_file, refusal
from fastrec.recording.resuming import ChannelEnd, Moment, Resumed
from fastrec.recording.rings import home_of, new_prefix, not_kept, sweep
from fastrec.recording.spooling import open_channel, spool
from fastrec.recording.storing import Storing
from fastrec.ring import Ring
from fastrec.timezones import local_zone_name

__all__ = ["Writer"]


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
        self._session = resumed.session if resumed else 0
        self._prefix = new_prefix()
        self._held = held
        self._folders: dict[str, int] = {}  # descriptors, too
        self._spooler: Spooler | None = None
        self.marks: Lines | None = None
        self._spooling: dict[str, tuple[Ring, SpoolChannel]] = {}

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
        self._held.insert(0, os.open(self._root, FOLDER))
        folder = self._held[0]
        files.remove_closed(self._root)
        clocks_header = layout.npy_header(layout.CLOCK_DTYPE)
        clocks, clock_rows = open_readings(self._root, self._uuid)
        self._held.insert(0, clocks)
        stats = Lines(self._root, "stats.jsonl", self._uuid)
        self._held.insert(0, stats.descriptor)
        self.marks = Lines(self._root, "marks.jsonl", self._uuid)
        sweep()
        self._begin_session()
        self._spooler = Spooler(
            dir=folder,
            clocks=clocks,
            clocks_header=len(clocks_header),
            clock_rows=clock_rows,
            stats=stats.descriptor,
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
        )
        try:
            self._spooler.begin()
        except OSError as error:
            raise RecordingError(
                f"{self._root}: no thread to write it: {error.strerror}; end other threads, or free memory"
            ) from error

    def _begin_session(self) -> None:
        moment = Moment.now()
        sessions = Lines(self._root, "sessions.jsonl", self._uuid)
        try:
            sessions.append(
                {
                    "session": self._session,
                    "boot_id": moment.boot_id,
                    "time_namespace": moment.time_namespace,
                    "clock": "monotonic",
                    "offset_ns": self._offset_ns,
                    "start_ns": moment.monotonic + self._offset_ns,
                    "pid": os.getpid(),
                    "rings": self._prefix,
                    "segments": {name: end.segment for name, end in self._ends.items()},
                }
            )
        finally:
            sessions.close()

    @property
    def _ends(self) -> Mapping[str, ChannelEnd]:
        return self._resumed.channels if self._resumed else {}

    @contextmanager
    def _told(self) -> Iterator[None]:
        """What the system has not got, as an error that says so."""
        try:
            yield
        except OSError as error:
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
            if end is None:
                files.create_channel(self._root, self._uuid, members)
            try:
                self._folders[name] = open_channel(self._root, name)
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
                    kept=end.kept if end else (),
                )
                self._name_ring(name, ring)
                if end is not None and end.options != members["options"]:
                    files.replace_channel(self._root, self._uuid, members)
                self._spooling[name] = ring, spooling
            except BaseException:
                self.drop(name, ring)
                raise
        return spooling

    def drain(self, name: str) -> None:
        """From now on what is in the ring goes to the disk; of a channel that was dropped nothing does."""
        if name in self._spooling:
            self._spooler.add(self._spooling[name][1])

    def drop(self, name: str, ring: Ring) -> None:
        """Take back an `add`, as long as nothing is drained: nothing is left of it."""
        self._spooling.pop(name, None)
        ring.core.unlink()
        if name in self._folders:
            os.close(self._folders.pop(name))
        if not self._held:
            return  # it was closed meanwhile
        if name not in self._ends:
            files.take_back(self._root / "channels" / name)

    def _name_ring(self, name: str, ring: Ring) -> None:
        """From now on what is in the ring outlives this process."""
        why = ring.not_linkable
        try:
            if why is None:
                ring.core.link(f"{self._prefix}.{name}".encode("ascii"), home_of(self._root))
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
            The rest stays in shared memory.
        """
        if not self._held:
            return  # it was closed, or cannot be: the lock is somebody else's now
        if self._spooler is None:
            self.release()  # an interrupt came before it began
            return
        for name in self._spooling:
            self.drain(name)  # an interrupt may have come before
        if not self._spooler.stop():
            raise RecordingError(
                f"{self._root}: the disk has not answered for 30 s; what it took is whole, the rest is in"
                " shared memory"
            )
        try:
            self.marks.close()
            self._check_written()
            totals, final = {}, stats()
            for name, (ring, spooling) in self._spooling.items():
                before = self._ends[name].segment if name in self._ends else 0
                totals[name] = {
                    "records": ring.core.head,
                    "segments": before + spooling.marks()["segments"],
                    "stats": final.get(name, {}),
                }
            self._create_closed(totals)
            for ring, _ in self._spooling.values():
                ring.core.unlink()
        except Exception:
            self.release()
            raise
        self.release()  # not when it is interrupted: a second call goes on

    def _create_closed(self, totals: Mapping[str, Mapping[str, Any]]) -> None:
        if has_file(self._root, "closed.json"):
            files.remove_closed(self._root)  # one that an interrupt left: what it says may not be all
        files.create_closed(
            self._root,
            self._uuid,
            session=self._session,
            mono_ns=time.monotonic_ns() + self._offset_ns,
            channels={name: dict(end.total) for name, end in self._ends.items()} | dict(totals),
        )

    def _check_written(self) -> None:
        for name, (ring, spooling) in self._spooling.items():
            marks, head = spooling.marks(), ring.core.head
            if marks["error"]:
                missing, why = head - marks["written"], os.strerror(marks["error"])
                raise RecordingError(
                    f"{self._root}: {missing:,} records of channel {name!r} could not be written: {why}; "
                    f"what was written before is whole"
                )
            if marks["sync_error"] and marks["durable"] < marks["written"]:
                raise RecordingError(
                    f"{self._root}: channel {name!r} is whole, but a flush failed"
                    f" ({os.strerror(marks['sync_error'])}): from record {marks['durable']:,} on it may not"
                    f" survive a loss of power"
                )

    def discard(self) -> None:
        """Remove a recording that never held anything; one that was there before stays."""
        if self._spooler is not None and not self._spooler.stop():
            return  # its threads are still in the folder: it stays, and so do its descriptors
        if not self._held:
            return  # nothing was created, or all is over: what is there is somebody else's
        if self.marks is not None:
            self.marks.close()
        for ring, _ in self._spooling.values():
            ring.core.unlink()
        try:
            if self._resumed is None:
                files.take_back(self._root)
            elif self._resumed.closed and not self._spooling:
                self._create_closed({})
        finally:
            self.release()

    def release(self) -> None:
        """Close the files; the lock is the last. Nothing is written."""
        while self._folders:
            os.close(self._folders.popitem()[1])
        while self._held:
            os.close(self._held.pop(0))
