"""Segments of blocks of all sizes, with losses committed alone before, between and behind them.

The oracle writes them, and all that is asked of their blocks is known beside them.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from recording import samples, writer

from fastrec.recording import layout
from fastrec.recording.channel import Channel
from fastrec.recording.chunk import SegmentChunk
from fastrec.recording.segment import Segment
from fastrec.recording.stock import Stock

HEADER = layout.header_size(layout.INDEX_DTYPE)
WIDTH = layout.INDEX_DTYPE.itemsize
MISSED = 3
"""Cause of a loss that has no numbers."""


@dataclass
class Made:
    """A closed segment, and what is in it.

    Attributes
    ----------
    rows : list of bytes
    stamps, ends : list of int
        Of each row its stamp, and to when it says something.
    index : list of (int, int, int, int)
        Of each index row, losses alone too: its first row of the segment, its rows, t_min and t_max.
    steady : bool
        Whether no time decreases, by `index` and the stamps.
    """

    root: Path
    name: str
    begin: int
    rows: list[bytes] = field(default_factory=list)
    stamps: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    index: list[tuple[int, int, int, int]] = field(default_factory=list)

    @property
    def steady(self) -> bool:
        return all(steady_upto(self))

    @property
    def blocks(self) -> list[tuple[int, int]]:
        """Rows ``start ... stop - 1`` of each that has some."""
        return [(at, at + rows) for at, rows, *_ in self.index if rows]

    def path(self, kind: str) -> Path:
        return self.root / "channels" / self.name / f"{kind}.000000.npy"

    def segment(self, *, brief: bool = True) -> Segment:
        return Segment(self._stock, 0, brief=brief)

    @cached_property
    def _stock(self) -> Stock:
        return Channel(self.root, writer.UUID, self.name).stock

    def chunk(self, start: int, stop: int, *, brief: bool = True) -> SegmentChunk:
        return SegmentChunk(self.segment(brief=brief), start, stop, self.begin + start)

    def ranges(self, luck: random.Random, most: int) -> tuple[np.ndarray, np.ndarray]:
        """Some ranges of rows, at most so many, none of them empty; they may touch."""
        edges = sorted(luck.choices(range(len(self.rows) + 1), k=2 * luck.randint(1, most)))
        some = [(low, high) for low, high in zip(edges[::2], edges[1::2], strict=True) if low < high]
        starts, stops = zip(*(some or [(0, 1)]), strict=True)
        return np.array(starts), np.array(stops)

    @contextmanager
    def spoiled(self, kind: str, at: int, data: bytes) -> Iterator[None]:
        """With other bytes at a place of one of its files."""
        path = self.path(kind)
        whole = path.read_bytes()
        path.write_bytes(whole[:at] + data + whole[at + len(data) :])
        try:
            yield
        finally:
            path.write_bytes(whole)

    @contextmanager
    def damaged(self, row: int, byte: int = 3) -> Iterator[None]:
        """With a bit of an index row changed."""
        at = HEADER + row * WIDTH + byte
        with self.spoiled("index", at, bytes([self.path("index").read_bytes()[at] ^ 1])):
            yield

    @contextmanager
    def lying(self, row: int | list[int] | slice, **members: int | np.ndarray) -> Iterator[None]:
        """With index rows that say something else, and have the checksums of that."""
        path = self.path("index")
        rows = np.frombuffer(path.read_bytes(), layout.INDEX_DTYPE, offset=HEADER).copy()
        for member, value in members.items():
            rows[member][row] = value
        layout.seal_rows(rows, layout.place(writer.UUID, self.name, 0))
        with self.spoiled("index", HEADER, rows.tobytes()):
            yield


def steady_upto(one: Made) -> list[bool]:
    """Of each index row, whether no time has fallen up to there."""
    told, reached = [], -(2**63)
    for at, rows, least, most in one.index:
        stamps = one.stamps[at : at + rows]
        told.append(all(told) and stamps == sorted(stamps) and least >= reached)
        reached = most
    return told


def made(
    root: Path,
    luck: random.Random,
    *,
    store: str = "every",
    times: str = "steady",
    commits: int = 30,
    most: int = 30,
    start: int = writer.START_NS,
    steps: Sequence[int] = (1, 7, 1000),
    begins: Sequence[int] = (0, 1, 5_000),
    falls: float = 0.02,
) -> Made:
    """Times are "steady", of which many are equal, or "falling" now and then."""
    folder = writer.Folder(root)
    folder.session()
    channel = samples.held_channel(folder) if store == "changes" else samples.status_channel(folder)
    channel.tells_steady = True
    segment = channel.segment()
    one = Made(root, channel.name, luck.choice(begins))
    now, alone = start, False
    for number in range(commits):
        seq = one.begin + len(one.rows)
        last = number == commits - 1
        alone = luck.random() < 0.3 and (bool(one.rows) or not last)
        loss = [(seq, 2, MISSED, 0, now, now)] if alone or luck.random() < 0.2 else []
        size = (
            0 if alone else min(luck.choice((1, 2, luck.randint(1, most), most)), 1024 - len(one.rows) % 1024)
        )
        rows = []
        for place in range(size):
            if times == "falling" and luck.random() < falls:
                now = max(now - luck.choice((1, 700, 100_000)), -(2**63))
            elif luck.random() < 0.7:
                now += luck.choice(steps)
            end = now
            if store == "changes":
                end = now + luck.choice((0, 0, 5, 600))
                rows.append(struct.pack("<qqQqf4x", now, end, 1 + (end > now), end - now, (seq + place) % 5))
            else:
                rows.append(samples.status(seq + place, stamp=now))
            one.stamps.append(now)
            one.ends.append(end)
            now = end if times == "steady" else now
        reached = one.index[-1][3] if one.index else now
        stamp = now if times == "falling" and luck.random() < 0.1 else reached
        segment.commit(seq, rows, gaps=loss, stamp=stamp)
        covered = slice(len(one.rows), None)
        own = (min(one.stamps[covered]), max(one.ends[covered])) if size else (stamp, stamp)
        one.index.append((len(one.rows), size, *own))
        one.rows += rows
    folder.close({channel.name: channel})
    return one
