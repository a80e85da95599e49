"""Writer: the recording of a running recorder. Its files, and the threads that fill them."""

from __future__ import annotations

import fcntl
import os
import socket
import time
import uuid
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

from fastrec.core.spooler import RestingChannel, SpoolChannel, Spooler
from fastrec.errors import RecordingError
from fastrec.recording import files, layout
from fastrec.recording.journals import Lines, open_readings
from fastrec.recording.opening import FOLDER, refusal
from fastrec.recording.resuming import ChannelEnd, Moment, Resumed
from fastrec.recording.rings import home_of, new_prefix, sweep
from fastrec.recording.spooling import open_channel, rest, spool
from fastrec.recording.storing import Storing
from fastrec.ring import Ring
from fastrec.timezones import local_zone_name

__all__ = ["Writer"]

_PATIENCE = 30.0  # s that a stop waits for the disk


class Writer:
    """Creates a recording, or goes on with one; drains rings into it, and closes it.

    Parameters
    ----------
    root : path
        The folder to create.
    metadata : mapping
        For recording.json.
    storing : Storing
    resumed : Resumed, optional
        The recording that it goes on with; its lock is the writer's from now on.

    Attributes
    ----------
    marks : Lines
        marks.jsonl.

    Raises
    ------
    RecordingError
        The folder exists, or cannot be created; nothing is left behind.
    """

    def __init__(
        self, root: Path, *, metadata: Mapping[str, Any], storing: Storing, resumed: Resumed | None = None
    ) -> None:
        self._root = root
        self._storing = storing
        self._resumed = resumed
        self._uuid = resumed.uuid if resumed else uuid.uuid4().bytes
        self._offset_ns = resumed.offset_ns if resumed else 0
        self._session = resumed.session if resumed else 0
        self._prefix = new_prefix()
        self._descriptors: list[int] = [resumed.lock] if resumed else []
        self._spooler: Spooler | None = None
        self.marks: Lines | None = None
        self._spooling: dict[str, tuple[Ring, SpoolChannel]] = {}
        with self._told():
            if not resumed:
                lock = files.create_recording(
                    root,
                    uuid=self._uuid,
                    host=socket.gethostname(),
                    tool=f"fastrec {version('fastrec')}",
                    timezone=local_zone_name(),
                    created_ns=time.time_ns(),
                    metadata=metadata,
                )
                self._descriptors.append(lock)
            try:
                self._begin()
            except BaseException:
                self.discard()
                raise

    def _begin(self) -> None:
        folder = self._folder = os.open(self._root, FOLDER)
        self._descriptors.insert(0, folder)
        files.remove_closed(self._root)
        clocks_header = layout.npy_header(layout.CLOCK_DTYPE)
        clocks, clock_rows = open_readings(self._root, self._uuid)
        self._descriptors.insert(0, clocks)
        stats = Lines(self._root, "stats.jsonl", self._uuid)
        self._descriptors.insert(0, stats.descriptor)
        self.marks = Lines(self._root, "marks.jsonl", self._uuid)
        sweep()
        self._begin_session()
        self._spooler = Spooler(
            dir=folder,
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
            resting=list(self._resting()) if self._storing.limited else (),
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

    def _resting(self) -> Iterator[RestingChannel]:
        """What is there already counts, whether its channels are written again or not."""
        for name, end in self._ends.items():
            if end.kept:
                folder = open_channel(self._root, name)
                self._descriptors.insert(0, folder)
                yield rest(
                    folder,
                    self._uuid,
                    name,
                    end.schema,
                    end.store,
                    number=end.number,
                    segment=end.segment,
                    kept=end.kept,
                )

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
        """Create a channel's folder, or go on with it, and drain `ring` into it.

        `options` are for ``channel.json``.

        Raises
        ------
        RecordingError
            The disk or the system will not have it; nothing is left behind.
        """
        end = self._ends.get(name)
        with self._told():
            if end is None:
                self._create_channel(name, ring, options)
            folder = -1
            try:
                folder = open_channel(self._root, name)
                spooling = spool(
                    ring.core,
                    folder,
                    self._uuid,
                    name,
                    ring.schema,
                    ring.store,
                    segment_bytes=self._storing.segment_bytes,
                    segment_ns=self._storing.segment_ns,
                    first_segment=end.segment if end else 0,
                )
                self._spooler.add(spooling)
            except BaseException:
                if folder >= 0:
                    os.close(folder)
                if end is None:
                    files.take_back(self._root / "channels" / name)
                raise
        self._descriptors.insert(0, folder)
        self._spooling[name] = ring, spooling
        self._name_ring(name, ring)
        return spooling

    def _create_channel(self, name: str, ring: Ring, options: Mapping[str, Any]) -> None:
        members = {
            "name": name,
            "schema": ring.schema.to_dict(),
            "digest": ring.schema.digest,
            "record_size": ring.schema.storage(ring.store).itemsize,
            "options": dict(options),
        }
        files.create_channel(self._root, self._uuid, members)

    def _name_ring(self, name: str, ring: Ring) -> None:
        """From now on what is in the ring outlives this process."""
        try:
            ring.core.link(f"{self._prefix}.{name}".encode("ascii"), home_of(self._root))
        except OSError as error:
            warnings.warn(
                f"channel {name!r}: its ring is not kept in shared memory ({error.strerror}): what was not"
                " written yet is lost if the process is killed",
                RuntimeWarning,
                stacklevel=4,
            )

    def close(self, stats: Callable[[], Mapping[str, Mapping[str, Any]]]) -> None:
        """Drain, write closed.json with the final counters of each channel, give the lock back.

        Raises
        ------
        RecordingError
            The disk did not take everything; what it took is whole, and the recording is not marked closed.
            The rest stays in shared memory. It did not answer in time: the threads go on, and so the files
            stay open and the recording locked.
        """
        if not self._descriptors:
            return  # it was closed, or cannot be: the lock is somebody else's now
        if not self._spooler.stop(_PATIENCE):
            raise RecordingError(
                f"{self._root}: the disk has not answered for {_PATIENCE:g} s{self._unanswered()}; what is"
                " not written is in shared memory, and as long as this process lives, it is tried on"
            )
        try:
            self.marks.close()
            self._check_written()
            self._check_counts()
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
        files.create_closed(
            self._root,
            self._uuid,
            session=self._session,
            mono_ns=time.monotonic_ns() + self._offset_ns,
            channels={name: dict(end.total) for name, end in self._ends.items()} | dict(totals),
        )

    def _unanswered(self) -> str:
        """What a disk that does not answer leaves open, by channel."""
        said = ""
        for name, (ring, spooling) in self._spooling.items():
            marks, head = spooling.marks(), ring.core.head
            if head > marks["durable"]:
                said += (
                    f"; channel {name!r}: of {head:,} records {marks['written']:,} are written, and"
                    f" {marks['durable']:,} of them durable"
                )
        return said

    def _check_counts(self) -> None:
        for name, (_, spooling) in self._spooling.items():
            why = spooling.marks()["side_error"]
            if why:
                warnings.warn(
                    f"{self._root}: channel {name!r} is whole, but the headers of some index, gaps and zones"
                    f" files count too few rows: {os.strerror(why)}; fastrec reads all of them, numpy.load"
                    " does not",
                    RuntimeWarning,
                    stacklevel=5,
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
        if self._spooler is not None and not self._spooler.stop(_PATIENCE):
            return  # its threads are still in the folder: it stays, and so do its descriptors
        if self.marks is not None:
            self.marks.close()
        for ring, _ in self._spooling.values():
            ring.core.unlink()
        if self._resumed is not None and self._resumed.closed and self._spooler and not self._spooling:
            self._create_closed({})
        self.release()
        if self._resumed is None:
            files.take_back(self._root)

    def forget(self) -> None:
        """In a forked child: close what the parent has open, so that files and lock are not held by both.

        What its threads have open, the system tells: their own lists may have been changed at the very moment
        of the fork.
        """
        if not self._descriptors:
            return
        home = os.readlink(f"/proc/self/fd/{self._folder}")
        self.marks.descriptor = -1
        for entry in os.listdir("/proc/self/fd"):
            with suppress(OSError):  # that of listdir itself is closed again
                is_inside = os.readlink(f"/proc/self/fd/{entry}").startswith(f"{home}/")
                # No reader has them open to be written.
                if is_inside and fcntl.fcntl(int(entry), fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDWR:
                    self._descriptors.append(int(entry))
        self._descriptors = list(dict.fromkeys(self._descriptors))
        self.release()

    def release(self) -> None:
        """Close the files; the lock is the last. Nothing is written."""
        while self._descriptors:
            os.close(self._descriptors.pop(0))
