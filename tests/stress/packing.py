"""A small recording in one piece of bytes, as the fuzzer takes, keeps and changes it."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

CHANNELS = ("status", "held")
BESIDE = ("recording.json", "sessions.jsonl", "clocks.npy", "marks.jsonl", "stats.jsonl", "closed.json")
ROLES = BESIDE + tuple(
    f"channels/{channel}/{name}"
    for channel in CHANNELS
    for name in (
        "channel.json",
        *(
            f"{kind}.00000{segment}.npy"
            for segment in (0, 1)
            for kind in ("records", "index", "gaps", "zones")
        ),
        *(f"strings.00000{segment}.jsonl" for segment in (0, 1)),
    )
)
"""The files that a packed recording can have, in the order of their numbers. New ones come behind."""

MOST = 1 << 20
"""Bytes of all files together."""

Files = dict[str, bytes]


def pack(files: Files) -> bytes:
    """The number of its role, the size and the bytes of each file, all of it deflated."""
    parts = []
    for number, role in enumerate(ROLES):
        if role in files:
            parts += [struct.pack("<BI", number, len(files[role])), files[role]]
    return zlib.compress(b"".join(parts), 6)


def unpack(data: bytes) -> Files:
    """The files; bytes that are no packed recording have none, or those before the fault."""
    try:
        whole = zlib.decompressobj().decompress(data, MOST)
    except zlib.error:
        return {}
    files: Files = {}
    at = 0
    while at + 5 <= len(whole):
        number, size = struct.unpack_from("<BI", whole, at)
        at += 5
        if number >= len(ROLES) or size > len(whole) - at:
            break
        files[ROLES[number]] = whole[at : at + size]
        at += size
    return files


def gather(root: Path) -> Files:
    """The files of a recording that have a role."""
    return {role: (root / role).read_bytes() for role in ROLES if (root / role).is_file()}


class Folder:
    """A folder that becomes one recording after the other: only what differs is written."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._files: Files = {}
        for channel in CHANNELS:
            (root / "channels" / channel).mkdir(parents=True)

    def become(self, files: Files) -> Path:
        for role in self._files.keys() - files.keys():
            (self.root / role).unlink()
        for role, data in files.items():
            if self._files.get(role) != data:
                (self.root / role).write_bytes(data)
        self._files = files
        return self.root
