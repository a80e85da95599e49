"""Recordings for the tests of this folder, written by the oracle."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
from recording.writer import CREATED_NS, START_NS, Channel, Folder, append, set_count

from fastrec.schema import Schema

STATUS = Schema.from_dtype(
    np.dtype(
        {
            "names": ["tick", "mode", "temp", "url"],
            "formats": ["<u4", "<i2", "<f8", "<u8"],
            "offsets": [0, 4, 8, 16],
            "itemsize": 24,
        }
    ),
    name="status",
    labels={"mode": {"IDLE": 0, "RUN": 1, "FAULT": -1}},
).with_field("url", text=True)
STATUS_DESCR = (
    "[('mono_ns', '<i8'), ('tick', '<u4'), ('mode', '<i2'), ('', '|V2'), ('temp', '<f8'), ('url', '<u8')]"
)
STATUS_NUMERIC = [(8, "I", "u8"), (12, "h", "i8"), (16, "d", "f8")]

HELD_DESCR = (
    "[('mono_ns', '<i8'), ('until_ns', '<i8'), ('polls', '<u8'), ('max_gap_ns', '<i8'), "
    "('level', '<f4'), ('', '|V4')]"
)
HELD = Schema.from_dtype(np.dtype([("level", "<f4")]), name="held")

PERIOD = 1_000_000


def status(seq: int, *, url: int = 0, temp: float | None = None, stamp: int | None = None) -> bytes:
    """Record `seq`: everything in it follows from the number, so any wrong record shows."""
    stamp = START_NS + seq * PERIOD if stamp is None else stamp
    return struct.pack(
        "<qIhxxdQ", stamp, seq * 7 % 2**32, seq % 3 - 1, seq / 4 if temp is None else temp, url
    )


def is_status(row: np.void, seq: int) -> bool:
    return (int(row["mono_ns"]), int(row["tick"]), int(row["mode"]), float(row["temp"])) == (
        START_NS + seq * PERIOD,
        seq * 7 % 2**32,
        seq % 3 - 1,
        seq / 4,
    )


def held(seq: int, polls: int = 3) -> bytes:
    stamp = START_NS + seq * 10 * PERIOD
    most = PERIOD if polls > 1 else 0
    return struct.pack("<qqQqf4x", stamp, stamp + (polls - 1) * PERIOD, polls, most, seq % 5)


def status_channel(folder: Folder, name: str = "status", **options: object) -> Channel:
    return Channel(
        folder,
        name,
        schema=STATUS.to_dict(),
        digest=STATUS.digest,
        descr=STATUS_DESCR,
        size=32,
        numeric=STATUS_NUMERIC,
        rate="1000",
        **options,
    )


def held_channel(folder: Folder, name: str = "held") -> Channel:
    return Channel(
        folder,
        name,
        schema=HELD.to_dict(),
        digest=HELD.digest,
        descr=HELD_DESCR,
        size=40,
        numeric=[(32, "f", "f8")],
        store="changes",
        rate="1000",
    )


def small(root: Path, *, close: bool = False) -> tuple[Folder, Channel]:
    """Numbers 0 to 19: three blocks in one segment, 5 to 7 overwritten, one failure before 12, two texts."""
    folder = Folder(root)
    folder.session()
    folder.clock(START_NS, CREATED_NS)
    channel = status_channel(folder)
    segment = channel.segment()
    segment.commit(0, [status(n, url=n % 2) for n in range(5)], texts=["http://a"])
    lost = (5, 3, 1, 0, START_NS + 5 * PERIOD, START_NS + 7 * PERIOD)
    segment.commit(
        8, [status(n, url=2) for n in range(8, 12)], gaps=[lost], texts=["\udcff\u20ac"], durable=5
    )
    failed = (12, 1, 4, -5, START_NS + 12 * PERIOD, START_NS + 12 * PERIOD)
    segment.commit(12, [status(n) for n in range(12, 20)], gaps=[failed], durable=12)
    if close:
        folder.close({"status": channel})
    return folder, channel


def miscounted(root: Path) -> Folder:
    """Numbers 0 to 9 and 20 to 39 of one segment, closed, whose header counts the ten between as well."""
    folder = Folder(root)
    folder.session()
    channel = status_channel(folder)
    segment = channel.segment()
    lost = (10, 10, 1, 0, START_NS, START_NS + 5)
    segment.commit(0, [status(n) for n in range(10)])
    segment.commit(20, [status(n) for n in range(20, 30)], gaps=[lost])
    segment.commit(30, [status(n) for n in range(30, 40)])
    folder.close({"status": channel})
    append(segment.path("records"), bytes(320))
    set_count(segment.path("records"), 40)
    return folder


def large(root: Path, *, close: bool = True) -> tuple[Folder, dict[str, Channel]]:
    """Two channels; ``status`` has numbers 0 to 5999 in three segments, 2500 to 2599 lost to the disk."""
    folder = Folder(root)
    folder.session()
    for second in range(3):
        folder.clock(START_NS + second * 10**9, CREATED_NS + second * (10**9 + 1000))
    channel = status_channel(folder)
    for start, stop in ((0, 2500), (2600, 4000), (4000, 6000)):
        segment = channel.segment()
        gaps = (
            [(2500, 100, 5, 28, START_NS + 2500 * PERIOD, START_NS + 2599 * PERIOD)] if start == 2600 else []
        )
        seq = start
        while seq < stop:
            # Never across 1024 rows of the segment, and otherwise of all sizes.
            room = 1024 - len(segment.stored) % 1024
            size = min(room, stop - seq, 1024 if seq % 2 else 700)
            segment.commit(
                seq, [status(n, url=1) for n in range(seq, seq + size)], texts=[f"text {seq}"], gaps=gaps
            )
            gaps, seq = [], seq + size
    other = held_channel(folder)
    segment = other.segment()
    for seq in range(0, 2048, 512):
        segment.commit(seq, [held(n, n % 4 + 1) for n in range(seq, seq + 512)])
    folder.line("marks.jsonl", mono_ns=START_NS + 5, text="valve", kind="mark")
    folder.line("stats.jsonl", mono_ns=START_NS, channel="status", slots=1)
    folder.line("stats.jsonl", mono_ns=START_NS + 1, channel="held", slots=2)
    channels = {"status": channel, "held": other}
    if close:
        folder.close(channels)
    return folder, channels
