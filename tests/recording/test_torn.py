"""Reading what may be damaged anywhere: whole rows and lines are found, whatever lies between them."""

from __future__ import annotations

import errno
import os
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from recording import samples, writer

from fastrec.errors import RecordingError
from fastrec.recording import layout
from fastrec.recording.torn import Line, Patch, TornFile, between

BASE = layout.place(writer.UUID)


def lines(root: Path) -> tuple[list[int], list[tuple[int, int]]]:
    with TornFile(root, "marks.jsonl") as file:
        found = list(file.lines(BASE))
    return (
        [one.number for one in found if isinstance(one, Line)],
        [(one.start, one.stop) for one in found if isinstance(one, Patch)],
    )


def marks(root: Path, count: int = 6) -> bytes:
    folder, _ = samples.small(root)
    for number in range(count):
        folder.line("marks.jsonl", mono_ns=number, text=f"mark {number}", kind="mark")
    return (root / "marks.jsonl").read_bytes()


def test_lines(tmp_path: Path) -> None:
    data = marks(tmp_path / "r")
    assert lines(tmp_path / "r") == ([0, 1, 2, 3, 4, 5], [])
    starts = [0, *(place + 1 for place, one in enumerate(data) if one == 10)]
    luck = random.Random(4)
    for _ in range(200):
        place = luck.randrange(len(data))
        hurt = bytearray(data)
        hurt[place] ^= luck.randrange(1, 256)
        (tmp_path / "r" / "marks.jsonl").write_bytes(hurt)
        number = max(n for n, start in enumerate(starts) if start <= place)
        found, patches = lines(tmp_path / "r")
        if place + 1 in starts:  # the end of a line is no part of it
            assert found == [0, 1, 2, 3, 4, 5]
        else:
            assert found == [n for n in range(6) if n != number]
            assert any(start <= place < stop for start, stop in patches)


def test_lines_behind_a_long_stretch_of_damage(tmp_path: Path) -> None:
    data = marks(tmp_path / "r", 3000)
    middle = len(data) // 2
    (tmp_path / "r" / "marks.jsonl").write_bytes(data[:1000] + bytes(middle - 1000) + data[middle:])
    found, patches = lines(tmp_path / "r")
    assert found[-1] == 2999 and len(found) > 1400 and len(patches) <= 3


def test_a_line_that_stands_there_again_is_damage(tmp_path: Path) -> None:
    _, channel = samples.small(tmp_path / "r")
    path = channel.segments[0].path("strings")
    data = path.read_bytes()
    path.write_bytes(data + data.splitlines(keepends=True)[0])
    with TornFile(tmp_path / "r", "channels", "status", path.name) as file:
        found = list(file.lines(layout.place(writer.UUID, "status", 0)))
    assert [type(one) for one in found] == [Line, Line, Patch]


def test_rows(tmp_path: Path) -> None:
    _, channels = samples.large(tmp_path / "r")
    path = channels["status"].segments[0].path("index")
    data = bytearray(path.read_bytes())
    head = layout.header_size(layout.INDEX_DTYPE)
    data[10] ^= 255
    data[head + 70] ^= 1
    path.write_bytes(data + data[head : head + 64] + b"rest")
    base = layout.place(writer.UUID, "status", 0)
    with TornFile(tmp_path / "r", "channels", "status", "index.000000.npy") as file:
        numbers, rows = file.rows(layout.INDEX_DTYPE, base)
    assert numbers.tolist() == [0, *range(2, (len(data) - head) // 64)]
    assert rows["first_seq"][0] == 0


def test_a_disk_that_cannot_read_a_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = random.Random(5).randbytes(40_000)
    (tmp_path / "file").write_bytes(data)
    real = os.preadv

    def failing(descriptor: int, buffers: Sequence[memoryview], offset: int) -> int:
        size = len(buffers[0])
        if offset < 12_288 and offset + size > 8192:
            if offset >= 8192:
                raise OSError(errno.EIO, "bad sector")
            return real(descriptor, [buffers[0][: 8192 - offset]], offset)
        return real(descriptor, buffers, offset)

    monkeypatch.setattr(os, "preadv", failing)
    with TornFile(tmp_path, "file") as file:
        assert file.read(100, 50_000) == data[100:8192] + bytes(4096) + data[12_288:]
    monkeypatch.setattr(os, "preadv", lambda *_: (_ for _ in ()).throw(OSError(errno.EACCES, "no")))
    with TornFile(tmp_path, "file") as file, pytest.raises(RecordingError):
        file.read(0, 10)


def test_absent(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "folder")
    for name, why in (("none", "is missing"), ("folder", "no regular file"), ("link", "links")):
        with TornFile(tmp_path, name) as file:
            assert not file.present and why in file.why and file.size == 0
            assert file.read(0, 10) == b"" and list(file.lines(0)) == []
            assert len(file.rows(layout.INDEX_DTYPE, 0)[0]) == 0 and file.last_filled() == 0


def test_between() -> None:
    assert between(np.array([0, 1, 4, 9]), 8) == [(2, 4), (5, 8)]
    assert between(np.array([], np.int64), 1 << 60) == [(0, 1 << 60)]
    assert between(np.array([0]), 1) == []
