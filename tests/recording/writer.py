"""A second writer of the format, straight from FORMAT.md: struct, google_crc32c and text.

It uses nothing of fastrec. The reader is judged by what it makes of these recordings, and the spooler by the
reader.
"""

from __future__ import annotations

import fcntl
import json
import math
import os
import struct
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import google_crc32c

UUID = bytes(range(100, 116))
CREATED_NS = 1_790_000_000_000_000_000
START_NS = 5_000_000_000

DESCR = {
    "index": "[('first_seq', '<u8'), ('t_min', '<i8'), ('t_max', '<i8'), ('durable_seq', '<u8'), "
    "('gap_rows', '<u8'), ('string_bytes', '<u8'), ('rows', '<u4'), "
    "('crc_rows', '<u4'), ('flags', '<u4'), ('crc', '<u4')]",
    "gaps": "[('seq', '<u8'), ('count', '<u8'), ('cause', '<u4'), ('code', '<i4'), ('t_first', '<i8'), "
    "('t_last', '<i8'), ('reserved', '<u4'), ('crc', '<u4')]",
    "clocks": "[('monotonic', '<i8'), ('realtime', '<i8'), ('boottime', '<i8'), ('tsc', '<i8'), "
    "('uncertainty', '<i8'), ('reserved', '<u4'), ('crc', '<u4')]",
    "zones": "[('polls', '<u8'), ('min', '<u8', ({k},)), ('max', '<u8', ({k},)), ('sum', '<u8', ({k},)), "
    "('nan', '<u8', ({k},)), ('silence_us', '<u4'), ('crc', '<u4')]",
}


def crc(seed: int, data: bytes) -> int:
    return google_crc32c.extend(seed, data)


def seed(uuid: bytes, channel: str, segment: int, row: int) -> int:
    return crc(0, uuid + channel.encode("ascii") + struct.pack("<IQ", segment, row))


def header(descr: str, rows: int) -> bytes:
    text = "{'shape': (   " + str(rows).rjust(8) + ",), 'fortran_order': False, 'descr': " + descr + "}"
    while (10 + len(text) + 1) % 64:
        text += " "
    text += "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode("ascii")


def sealed(members: dict, start: int) -> bytes:
    body = json.dumps(members, separators=(",", ":"), ensure_ascii=True)[:-1].encode("ascii")
    return body + b',"crc":"%08x"}' % crc(start, body) + b"\n"


def silence_us(times: Sequence[tuple[int, ...]]) -> int:
    """Of records seen at a time, or from one time to another, as a zone tells it."""
    flat = [time for one in times for time in one]
    if any(after < before for before, after in pairwise(flat)):
        return 0
    longest = max((after[0] - before[-1] for before, after in pairwise(times)), default=0)
    return min(max(1, -(-longest // 1000)), 2**32 - 1)


def turn(values: Sequence[int], stamps: Sequence[int]) -> int:
    """Of whole numbers and the times of their records, as a zone tells it."""
    changes = [place for place in range(1, len(values)) if values[place] != values[place - 1]]
    if len(changes) != 1 or abs(values[0] - values[-1]) >= 2**54 or not 0 <= stamps[changes[0]] < 2**62:
        return 0
    return 2**63 + 2**62 * (values[0] > values[-1]) + stamps[changes[0]]


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


def set_count(path: Path, rows: int) -> None:
    with path.open("r+b") as file:
        file.seek(24)
        file.write(b"%8d" % rows)


def hold(root: Path) -> int:
    """Lock a recording as a running recorder does; closing the descriptor gives the lock back."""
    descriptor = os.open(root / "recording.json", os.O_RDWR)
    fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))
    return descriptor


class Folder:
    """A recording: ``recording.json`` and the files beside it."""

    def __init__(self, root: Path, *, timezone: str = "+02:00", metadata: dict | None = None) -> None:
        self.root = root
        self.lines: dict[str, int] = {}
        self.rows = 0
        (root / "channels").mkdir(parents=True)
        members = {
            "format": 1,
            "uuid": UUID.hex(),
            "host": "bench",
            "tool": "oracle",
            "timezone": timezone,
            "created_ns": CREATED_NS,
            "metadata": metadata or {},
        }
        (root / "recording.json").write_bytes(sealed(members, 0))

    def line(self, file: str, **members: object) -> None:
        number = self.lines.get(file, 0)
        append(self.root / file, sealed(members, seed(UUID, "", 0, number)))
        self.lines[file] = number + 1

    def session(
        self, number: int = 0, *, boot: str = "b", namespace: int = 1, start: int = START_NS, offset: int = 0
    ) -> None:
        self.line(
            "sessions.jsonl",
            session=number,
            boot_id=boot,
            time_namespace=namespace,
            clock="monotonic",
            offset_ns=offset,
            start_ns=start,
            pid=1,
            rings=None,
        )

    def clock(
        self, monotonic: int, realtime: int, *, boottime: int | None = None, uncertainty: int = 50
    ) -> None:
        path = self.root / "clocks.npy"
        if not self.rows:
            path.write_bytes(header(DESCR["clocks"], 0))
        body = struct.pack(
            "<qqqqqI",
            monotonic,
            realtime,
            monotonic if boottime is None else boottime,
            0,
            uncertainty,
            0,
        )
        append(path, body + struct.pack("<I", crc(seed(UUID, "", 0, self.rows), body)))
        self.rows += 1
        set_count(path, self.rows)

    def close(self, channels: dict[str, Channel]) -> None:
        for channel in channels.values():
            for segment in channel.segments:
                segment.raise_counts()
        totals = {
            name: {"records": channel.published, "segments": len(channel.segments), "stats": {"slots": 7}}
            for name, channel in channels.items()
        }
        files = {
            path.relative_to(self.root).as_posix(): path.stat().st_size
            for path in sorted(self.root.rglob("*"))
            if path.is_file()
        }
        members = {"session": 0, "mono_ns": START_NS, "channels": totals, "files": files}
        (self.root / "closed.json").write_bytes(sealed(members, seed(UUID, "", 0, 0)))


class Channel:
    """A channel's folder.

    ``descr`` is the header's text for ``records``; ``numeric`` the zones' fields: (offset in the row, struct
    code, kind), or instead of a code what reads the value from a whole row.
    """

    def __init__(
        self,
        folder: Folder,
        name: str,
        *,
        schema: object,
        digest: str,
        descr: str,
        size: int,
        numeric: list[tuple[int, str | Callable[[bytes], float], str]],
        store: str = "every",
        rate: str | None = None,
    ) -> None:
        self.name, self.descr, self.size, self.numeric, self.store = name, descr, size, numeric, store
        self.path = folder.root / "channels" / name
        self.segments: list[Segment] = []
        self.tells_steady = False
        self.published = 0
        self.path.mkdir()
        options = {
            "rate": rate,
            "capacity": 65536,
            "store": store,
            "when_full": "overwrite",
            "thread": "main",
            "heartbeat_ns": 10**9,
        }
        members = {"name": name, "schema": schema, "digest": digest, "record_size": size}
        members["options"] = options
        (self.path / "channel.json").write_bytes(sealed(members, seed(UUID, name, 0, 0)))

    def segment(self, number: int | None = None) -> Segment:
        self.segments.append(Segment(self, len(self.segments) if number is None else number))
        return self.segments[-1]


class Segment:
    """The five files of a segment, and what has been committed to them."""

    def __init__(self, channel: Channel, number: int) -> None:
        self.channel, self.number = channel, number
        self.stored: list[bytes] = []
        self.blocks = self.gap_rows = self.text_lines = self.zone_rows = 0
        self.steady, self.reached = channel.tells_steady, -(2**63)
        descr = DESCR | {"records": channel.descr, "zones": DESCR["zones"].format(k=len(channel.numeric))}
        for kind in ("records", "index", "gaps", "zones"):
            self.path(kind).write_bytes(header(descr[kind], 0))
        self.path("strings").write_bytes(b"")

    def path(self, kind: str) -> Path:
        return self.channel.path / f"{kind}.{self.number:06d}.{'jsonl' if kind == 'strings' else 'npy'}"

    def seed(self, row: int) -> int:
        return seed(UUID, self.channel.name, self.number, row)

    def commit(
        self,
        first_seq: int,
        rows: list[bytes],
        *,
        gaps: list[tuple[int, ...]] = (),
        texts: list[str] = (),
        durable: int = 0,
        stamp: int = START_NS,
        stages: tuple[str, ...] = ("strings", "gaps", "records", "index", "count", "zones"),
    ) -> None:
        """One block; ``stages`` leaves out what a killed writer did not come to."""
        if "strings" in stages:
            for text in texts:
                members = {"id": self.text_lines + 1, "text": text}
                append(self.path("strings"), sealed(members, self.seed(self.text_lines)))
                self.text_lines += 1
        if "gaps" in stages:
            for gap in gaps:
                body = struct.pack("<QQIiqqI", *gap, 0)
                append(self.path("gaps"), body + struct.pack("<I", crc(self.seed(self.gap_rows), body)))
                self.gap_rows += 1
        if "records" in stages:
            append(self.path("records"), b"".join(rows))
        if "index" in stages:
            append(self.path("index"), self._index_row(first_seq, rows, durable, stamp))
            self.blocks += 1
            self.stored += rows
            self.channel.published = max(self.channel.published, first_seq + len(rows))
        if "count" in stages:
            set_count(self.path("records"), len(self.stored))
        if "zones" in stages:
            while (self.zone_rows + 1) * 1024 <= len(self.stored):
                append(self.path("zones"), self._zone_row())
                self.zone_rows += 1

    def _index_row(self, first_seq: int, rows: list[bytes], durable: int, stamp: int) -> bytes:
        stamps = [struct.unpack_from("<q", row)[0] for row in rows] or [stamp]
        latest = (
            [struct.unpack_from("<q", row, 8)[0] for row in rows]
            if self.channel.store == "changes"
            else stamps
        )
        flags = int(any(b < a for a, b in pairwise(stamps)))
        self.steady = self.steady and not flags and min(stamps) >= self.reached
        self.reached = max(latest or [stamp])
        flags |= 8 if self.steady else 0
        body = struct.pack(
            "<QqqQQQIII",
            first_seq,
            min(stamps),
            max(latest or [stamp]),
            durable,
            self.gap_rows,
            self.path("strings").stat().st_size,
            len(rows),
            crc(self.seed(len(self.stored)), b"".join(rows)),
            flags,
        )
        return body + struct.pack("<I", crc(self.seed(self.blocks), body))

    def _zone_row(self) -> bytes:
        rows = self.stored[self.zone_rows * 1024 : (self.zone_rows + 1) * 1024]
        holds = self.channel.store == "changes"
        weights = [struct.unpack_from("<Q", row, 16)[0] if holds else 1 for row in rows]
        stamps = [struct.unpack_from("<q", row)[0] for row in rows]
        columns: list[tuple[bytes, bytes, bytes, bytes]] = []
        for offset, code, kind in self.channel.numeric:
            if callable(code):
                values = [code(row) for row in rows]
            else:
                values = [struct.unpack_from("<" + code, row, offset)[0] for row in rows]
            pack = "<d" if kind == "f8" else "<q" if kind == "i8" else "<Q"
            known = [
                (v, w) for v, w in zip(values, weights, strict=True) if not (kind == "f8" and math.isnan(v))
            ]
            total = sum(v * w for v, w in known)
            nan = sum(weights) - sum(w for _, w in known)
            columns.append(
                (
                    struct.pack(pack, min([v for v, _ in known], default=math.inf)),
                    struct.pack(pack, max([v for v, _ in known], default=-math.inf)),
                    struct.pack("<d", total) if kind == "f8" else struct.pack("<Q", total % 2**64),
                    struct.pack("<Q", nan if kind == "f8" else 0 if holds else turn(values, stamps)),
                )
            )
        body = struct.pack("<Q", sum(weights)) + b"".join(
            b"".join(part) for part in zip(*columns, strict=True)
        )
        body += struct.pack("<I", silence_us([struct.unpack_from("<q" + "q" * holds, row) for row in rows]))
        return body + struct.pack("<I", crc(self.seed(self.zone_rows), body))

    def raise_counts(self) -> None:
        for kind, rows in (("index", self.blocks), ("gaps", self.gap_rows), ("zones", self.zone_rows)):
            set_count(self.path(kind), rows)
