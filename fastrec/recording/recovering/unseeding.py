"""The uuid of a recording whose ``recording.json`` is lost, from the checksums that it seeded.

All seeds need of a uuid is ``crc32c(0, uuid)``, 32 bits; and a CRC can be run backwards. So a row that is
whole tells those 32 bits, and any uuid that has them makes every checksum of the recording true again.
"""

from __future__ import annotations

import os
import struct
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from fastrec.core.crc32c import crc32c
from fastrec.recording import layout
from fastrec.recording.torn import TornFile

__all__ = ["state_behind", "told_states", "uuid_with"]

_ENOUGH = 4  # rows of a file that are asked


def _tables() -> tuple[list[int], list[int]]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    ends = [0] * 256
    for place, value in enumerate(table):
        ends[value >> 24] = place
    return table, ends


_TABLE, _ENDS = _tables()


def state_behind(crc: int, data: bytes) -> int:
    """The checksum from which `data` led to `crc`: ``crc32c(data, state) == crc``."""
    state = crc ^ 0xFFFF_FFFF
    for byte in reversed(data):
        place = _ENDS[state >> 24]
        state = ((state ^ _TABLE[place]) << 8 | place ^ byte) & 0xFFFF_FFFF
    return state ^ 0xFFFF_FFFF


def uuid_with(state: int) -> bytes:
    """A new random uuid of 16 bytes with this checksum."""
    first = os.urandom(12)
    wanted = state_behind(state, bytes(4)) ^ crc32c(first)
    uuid = first + struct.pack("<I", wanted)
    assert crc32c(uuid) == state
    return uuid


def told_states(root: Path, channels: list[str], segments: dict[str, list[int]]) -> Counter[int]:
    """What rows of the recording say of the checksum of its uuid: how many say which.

    Two that agree are no accident: a damaged row says any of 2**32 values.
    """
    told: Counter[int] = Counter()
    for name, place in (("sessions.jsonl", ""), ("marks.jsonl", ""), ("stats.jsonl", "")):
        with TornFile(root, name) as file:
            for number, line in enumerate(file.read(0, 1 << 16).split(b"\n")[:_ENOUGH]):
                told.update(_line(line, place, number))
    with TornFile(root, "clocks.npy") as file:
        told.update(_rows(file, layout.CLOCK_DTYPE, "", 0))
    for name in channels:
        with TornFile(root, "channels", name, "channel.json") as file:
            told.update(_line(file.read(0, 1 << 20), name, 0))
        numbers = segments[name]
        for number in sorted({*numbers[:2], *numbers[-2:]}):
            with TornFile(root, "channels", name, layout.segment_file("index", number)) as file:
                told.update(_rows(file, layout.INDEX_DTYPE, name, number))
            with TornFile(root, "channels", name, layout.segment_file("gaps", number)) as file:
                told.update(_rows(file, layout.GAP_ROW_DTYPE, name, number))
    return told


def _place(channel: str, segment: int, row: int) -> bytes:
    return channel.encode("ascii") + struct.pack("<IQ", segment, row)


def _rows(file: TornFile, dtype: np.dtype, channel: str, segment: int) -> Iterator[int]:
    width = dtype.itemsize
    data = file.read(layout.header_size(dtype), _ENOUGH * width)
    for row in range(len(data) // width):
        one = data[row * width : (row + 1) * width]
        if one.strip(b"\0"):
            crc = int.from_bytes(one[-4:], "little")
            yield state_behind(crc, _place(channel, segment, row) + one[:-4])


def _line(line: bytes, channel: str, number: int) -> Iterator[int]:
    body, mark, end = line.rstrip(b"\n").rpartition(b',"crc":"')
    if mark and len(end) == 10 and len(body) < 1 << 20:
        try:
            yield state_behind(int(end[:8], 16), _place(channel, 0, number) + body)
        except ValueError:
            return
