"""Writer: the recording of a running recorder. Its files, and the threads that fill them."""

from __future__ import annotations

import os
import socket
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from fastrec.core.spooler import SpoolChannel, Spooler
from fastrec.errors import RecordingError
from fastrec.recording import files, layout
from fastrec.recording.journals import Lines
from fastrec.recording.opening import refusal
from fastrec.recording.storing import Storing
from fastrec.recording.zones import zone_fields
from fastrec.ring import Ring
from fastrec.timezones import local_zone_name

__all__ = ["Writer"]

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class Writer:
    """Creates a recording, drains rings into it, and closes it.

    Parameters
    ----------
    root : path
        The folder to create.
    metadata : mapping
        For recording.json.
    storing : Storing

    Attributes
    ----------
    marks : Lines
        marks.jsonl.

    Raises
    ------
    RecordingError
        The folder exists, or cannot be created; nothing is left behind.
    """

    def __init__(self, root: Path, *, metadata: Mapping[str, Any], storing: Storing) -> None:
        self._root = root
        self._uuid = uuid.uuid4().bytes
        self._storing = storing
        self._descriptors: list[int] = []
        self._spooler: Spooler | None = None
        self.marks: Lines | None = None
        self._spooling: dict[str, tuple[Ring, SpoolChannel]] = {}
        with self._told():
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
        clocks_header = layout.npy_header(layout.CLOCK_DTYPE)
        clocks = files.create_whole(self._root, "clocks.npy", data=clocks_header)
        self._descriptors.insert(0, clocks)
        stats = files.create_whole(self._root, "stats.jsonl", data=b"")
        self._descriptors.insert(0, stats)
        folder = os.open(self._root, _FOLDER)
        self._descriptors.insert(0, folder)
        self.marks = Lines(self._root, "marks.jsonl", self._uuid)
        sessions = Lines(self._root, "sessions.jsonl", self._uuid)
        sessions.append(
            {
                "session": 0,
                "boot_id": Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
                "time_namespace": os.stat("/proc/self/ns/time").st_ino,
                "clock": "monotonic",
                "offset_ns": 0,
                "start_ns": time.monotonic_ns(),
                "pid": os.getpid(),
                "rings": None,
            }
        )
        sessions.close()
        self._spooler = Spooler(
            dir=folder,
            clocks=clocks,
            clocks_header=len(clocks_header),
            stats=stats,
            uuid=self._uuid,
            durability=self._storing.durability,
            flush_ns=self._storing.flush_ns,
            sync_ns=self._storing.sync_ns,
        )
        try:
            self._spooler.begin()
        except OSError as error:
            raise RecordingError(
                f"{self._root}: no thread to write it: {error.strerror}; end other threads, or free memory"
            ) from error

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
        """Create a channel's folder and drain `ring` into it; `options` are for channel.json.

        Raises
        ------
        RecordingError
            The disk or the system will not have it; nothing is left behind.
        """
        schema, dtype = ring.schema, ring.schema.storage(ring.store)
        zones = layout.zone_dtype(len(schema.numeric))
        headers = {
            "strings": (b"", 1),
            "gaps": (layout.npy_header(layout.GAP_ROW_DTYPE), layout.GAP_ROW_DTYPE.itemsize),
            "zones": (layout.npy_header(zones), zones.itemsize),
            "index": (layout.npy_header(layout.INDEX_DTYPE), layout.INDEX_DTYPE.itemsize),
            "records": (layout.npy_header(dtype), dtype.itemsize),
        }
        members = {
            "name": name,
            "schema": schema.to_dict(),
            "digest": schema.digest,
            "record_size": dtype.itemsize,
            "options": dict(options),
        }
        begin = schema.payload_offset(ring.store)
        root = self._root / "channels" / name
        with self._told():
            files.create_channel(self._root, self._uuid, members)
            folder = -1
            try:
                folder = os.open(root, _FOLDER)
                spooling = SpoolChannel(
                    ring.core,
                    dir=folder,
                    name=name.encode("ascii"),
                    uuid=self._uuid,
                    files=headers,
                    segment_rows=min(self._storing.segment_bytes // dtype.itemsize, layout.MAX_ROWS),
                    zone_fields=zone_fields(schema.numeric, begin),
                    texts=[(begin + f.offset, f.dtype.itemsize) for f in schema.texts],
                    holds=ring.store == "changes",
                )
                self._spooler.add(spooling)
            except BaseException:
                if folder >= 0:
                    os.close(folder)
                files.take_back(root)
                raise
        self._descriptors.insert(0, folder)
        self._spooling[name] = ring, spooling
        return spooling

    def close(self, stats: Callable[[str], Mapping[str, Any]]) -> None:
        """Drain, write closed.json with the final counters of each channel, give the lock back.

        Raises
        ------
        RecordingError
            The disk did not take everything; what it took is whole, and the recording is not marked closed.
        """
        if not self._spooler.stop():
            raise RecordingError(f"{self._root}: the disk has not answered for 30 s; what it took is whole")
        try:
            self.marks.close()
            self._check_written()
            totals = {
                name: {
                    "records": ring.core.head,
                    "segments": spooling.marks()["segments"],
                    "stats": stats(name),
                }
                for name, (ring, spooling) in self._spooling.items()
            }
            files.create_closed(
                self._root, self._uuid, session=0, mono_ns=time.monotonic_ns(), channels=totals
            )
        finally:
            self.release()

    def _check_written(self) -> None:
        for name, (ring, spooling) in self._spooling.items():
            marks, head = spooling.marks(), ring.core.head
            if marks["error"]:
                missing, why = head - marks["written"], os.strerror(marks["error"])
                raise RecordingError(
                    f"{self._root}: {missing:,} records of channel {name!r} could not be written: {why}; "
                    f"what was written before is whole"
                )
            if marks["sync_error"]:
                raise RecordingError(
                    f"{self._root}: channel {name!r} is whole, but a flush failed"
                    f" ({os.strerror(marks['sync_error'])}): from record {marks['durable']:,} on it may not"
                    f" survive a loss of power"
                )

    def discard(self) -> None:
        """Remove a recording that never held anything."""
        if self._spooler is not None and not self._spooler.stop():
            return  # its threads are still in the folder: it stays, and so do its descriptors
        if self.marks is not None:
            self.marks.close()
        self.release()
        files.take_back(self._root)

    def release(self) -> None:
        """Close the files; the lock is the last. Nothing is written."""
        for descriptor in self._descriptors:
            os.close(descriptor)
        self._descriptors = []
