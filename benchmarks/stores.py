"""Finished records brought to a file, by what people use instead of a recording; and where the files are.

All store the same records of 40 bytes. Those of one file make it durable at the end, where they are asked to.
What can be told to keep columns or checksums is shown both ways.
"""

from __future__ import annotations

import importlib
import os
import shutil
import sqlite3
import tempfile
from abc import abstractmethod
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from benchmarks.harness import BenchmarkError, Timed, WrongAnswerError
from benchmarks.payloads import SCHEMA, compare, payloads, statuses

__all__ = [
    "BATCH",
    "RAW",
    "RECORD",
    "Arrow",
    "Hdf5",
    "Mcap",
    "Pytables",
    "Sqlite",
    "Storing",
    "ToFile",
    "disk",
    "file_system",
    "library",
    "memory_disk",
    "stamps",
]

RECORD = SCHEMA.storage("every")
"""A record: stamp and status, as on disk."""

RAW = np.dtype(("V", RECORD.itemsize))
"""A record as bytes that nobody looks into."""

BATCH = 4096
"""Records of one append."""

_IN_MEMORY = frozenset({"tmpfs", "ramfs", "overlay"})


def file_system(path: Path) -> str:
    """Type of the file system that a folder lies on, ``""`` if nobody says."""
    where = path.resolve()
    best, found = -1, ""
    for line in Path("/proc/mounts").read_text().splitlines():
        _, point, kind, *_ = line.split(" ")
        mounted = Path(point.encode("ascii", "surrogateescape").decode("unicode_escape"))
        if where.is_relative_to(mounted) and len(mounted.parts) >= best:
            best, found = len(mounted.parts), kind
    return found


def disk() -> Path:
    """A folder on a disk: of the temporary files, or, where that is memory, the working directory.

    Raises
    ------
    BenchmarkError
        Neither is on a disk.
    """
    for folder in (Path(tempfile.gettempdir()), Path.cwd()):
        if file_system(folder) not in _IN_MEMORY:
            return folder
    raise BenchmarkError("no folder on a disk to measure; set TMPDIR to one")


def memory_disk() -> Path:
    """A folder that is memory: what is written there costs the processor alone."""
    folder = Path("/dev/shm")
    if file_system(folder) != "tmpfs":
        raise BenchmarkError("/dev/shm is no tmpfs; mount one there")
    return folder


def stamps(first: int, count: int) -> np.ndarray:
    """Stamps of records number `first` and on, a microsecond apart: ndarray of int64."""
    return np.arange(first, first + count, dtype=np.int64) * 1000


class Storing(Timed):
    """Stores `count` records in a file, or folder, that is new in every run.

    Parameters
    ----------
    who : str
    folder : Path
        Where the file is made.
    count : int
    durable : bool
        Whether what is stored survives a loss of power when the run is over.
    """

    def __init__(self, who: str, folder: Path, count: int, *, durable: bool) -> None:
        super().__init__(who, "ns/record", count)
        self.durable = durable
        self._folder = Path(tempfile.mkdtemp(prefix="fastrec-bench-", dir=folder))
        self.path = self._folder / "stored"

    def prepare(self, turn: int) -> None:
        super().prepare(turn)
        self.clear()
        self.records = np.zeros(self.operations, RECORD)
        self.records["mono_ns"] = stamps(turn * self.operations, self.operations)
        payloads(self.records)[:] = statuses(turn * self.operations, self.operations).view(
            payloads(self.records).dtype
        )

    @abstractmethod
    def stored(self) -> np.ndarray:
        """What the last run stored, read again by the format's own reader: ndarray of RECORD."""

    def check(self) -> None:
        stored = self.stored()
        wanted = np.asarray(self.records)
        compare(self.who, np.ascontiguousarray(payloads(stored)), np.ascontiguousarray(payloads(wanted)))
        if not np.array_equal(stored["mono_ns"], wanted["mono_ns"]):
            raise WrongAnswerError(f"{self.who}: the stamps are not those given")

    def sync(self) -> None:
        """Make the file durable."""
        if self.durable:
            descriptor = os.open(self.path, os.O_RDONLY)
            os.fsync(descriptor)
            os.close(descriptor)

    def clear(self) -> None:
        """Remove what was stored."""
        if self.path.is_dir():
            shutil.rmtree(self.path)
        self.path.unlink(missing_ok=True)

    def close(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)


def library(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise BenchmarkError(
            f"the rival {name} is not installed; the extra 'bench' has it: pip install -e '.[bench]'"
        ) from error


def _batches(records: np.ndarray) -> list[np.ndarray]:
    return [records[at : at + BATCH] for at in range(0, len(records), BATCH)]


class ToFile(Storing):
    """``ndarray.tofile`` in one go: the bytes alone."""

    def __init__(self, folder: Path, count: int, *, durable: bool) -> None:
        super().__init__("ndarray.tofile" + " + fsync" * durable, folder, count, durable=durable)

    def work(self) -> None:
        with open(self.path, "wb") as file:
            self.records.tofile(file)
            if self.durable:
                file.flush()
                os.fsync(file.fileno())

    def stored(self) -> np.ndarray:
        return np.fromfile(self.path, RECORD)


class Hdf5(Storing):
    """A dataset of h5py that is resized for each batch."""

    def __init__(self, folder: Path, count: int, *, checked: bool) -> None:
        super().__init__("h5py append" + ", fletcher32" * checked, folder, count, durable=True)
        self.h5py = library("h5py")
        self.checked = checked

    def work(self) -> None:
        with self.h5py.File(self.path, "w") as file:
            dataset = file.create_dataset(
                "status", (0,), RECORD, maxshape=(None,), chunks=(BATCH,), fletcher32=self.checked
            )
            for batch in _batches(self.records):
                at = len(dataset)
                dataset.resize((at + len(batch),))
                dataset[at:] = batch
        self.sync()

    def stored(self) -> np.ndarray:
        with self.h5py.File(self.path, "r") as file:
            return file["status"][:]


class Pytables(Storing):
    """A table of PyTables, appended to."""

    def __init__(self, folder: Path, count: int) -> None:
        super().__init__("PyTables append", folder, count, durable=True)
        self.tables = library("tables")

    def work(self) -> None:
        with self.tables.open_file(str(self.path), "w") as file:
            table = file.create_table("/", "status", RECORD, expectedrows=self.operations)
            for batch in _batches(self.records):
                table.append(batch)
        self.sync()

    def stored(self) -> np.ndarray:
        with self.tables.open_file(str(self.path), "r") as file:
            return file.root.status.read().astype(RECORD)


class Arrow(Storing):
    """A stream of Arrow's record batches; columns, or, quicker, one of opaque bytes."""

    def __init__(self, folder: Path, count: int, *, columns: bool) -> None:
        kind = "" if columns else ", V40"
        super().__init__(f"pyarrow IPC stream{kind}", folder, count, durable=True)
        self.arrow = library("pyarrow")
        self.columns = columns

    def _batch(self, rows: np.ndarray) -> Any:
        if self.columns:
            return self.arrow.RecordBatch.from_arrays(
                [self.arrow.array(rows[name]) for name in RECORD.names], list(RECORD.names)
            )
        kind = self.arrow.binary(RECORD.itemsize)
        whole = self.arrow.FixedSizeBinaryArray.from_buffers(
            kind, len(rows), [None, self.arrow.py_buffer(rows)]
        )
        return self.arrow.RecordBatch.from_arrays([whole], ["record"])

    def work(self) -> None:
        batches = _batches(self.records)
        with (
            self.arrow.OSFile(str(self.path), "wb") as file,
            self.arrow.ipc.new_stream(file, self._batch(batches[0]).schema) as stream,
        ):
            for batch in batches:
                stream.write_batch(self._batch(batch))
        self.sync()

    def stored(self) -> np.ndarray:
        with self.arrow.OSFile(str(self.path), "rb") as file:
            table = self.arrow.ipc.open_stream(file).read_all()
        if not self.columns:
            return np.frombuffer(b"".join(table["record"].to_pylist()), RECORD)
        rows = np.zeros(len(table), RECORD)
        for name in RECORD.names:
            rows[name] = table[name].to_numpy()
        return rows


class Mcap(Storing):
    """The writer of the ``mcap`` package: a message a record, in chunks with checksums, not compressed."""

    def __init__(self, folder: Path, count: int) -> None:
        super().__init__("mcap writer", folder, count, durable=True)
        self.writer = library("mcap.writer")
        self.reader = library("mcap.reader")

    def work(self) -> None:
        none = self.writer.CompressionType.NONE
        with open(self.path, "wb") as file:
            writer = self.writer.Writer(file, compression=none)
            writer.start()
            schema = writer.register_schema("status", "fastrec", b"")
            channel = writer.register_channel("status", "fastrec", schema)
            add = writer.add_message
            raw = self.records.tobytes()
            width = RECORD.itemsize
            for at, stamp in zip(range(0, len(raw), width), self.records["mono_ns"].tolist(), strict=True):
                add(channel, stamp, raw[at : at + width], stamp)
            writer.finish()
        self.sync()

    def stored(self) -> np.ndarray:
        with open(self.path, "rb") as file:
            messages = self.reader.make_reader(file, validate_crcs=True).iter_messages()
            return np.frombuffer(b"".join(message.data for _, _, message in messages), RECORD)


class Sqlite(Storing):
    """A table of stamp and status, a transaction a batch of batches, at last durable."""

    def __init__(self, folder: Path, count: int) -> None:
        super().__init__("sqlite3 executemany", folder, count, durable=True)

    def work(self) -> None:
        base = sqlite3.connect(self.path)
        base.execute("CREATE TABLE status (mono_ns INTEGER PRIMARY KEY, status BLOB)")
        for batch in _batches(self.records):
            rows = zip(batch["mono_ns"].tolist(), map(bytes, payloads(batch).tolist()), strict=True)
            base.executemany("INSERT INTO status VALUES (?, ?)", rows)
        base.commit()
        base.close()
        self.sync()

    def stored(self) -> np.ndarray:
        base = sqlite3.connect(self.path)
        found = base.execute("SELECT mono_ns, status FROM status ORDER BY mono_ns").fetchall()
        base.close()
        rows = np.zeros(len(found), RECORD)
        rows["mono_ns"] = [stamp for stamp, _ in found]
        payloads(rows)[:] = np.frombuffer(b"".join(status for _, status in found), payloads(rows).dtype)
        return rows
