"""What the C spooler writes, judged byte by byte by FORMAT.md and by nothing of the package's own."""

from __future__ import annotations

import contextlib
import json
import struct
import time
from pathlib import Path

import google_crc32c
import numpy as np
import pytest

import fastrec as fr
from fastrec.core.zone import zone_of

PAYLOAD = np.dtype(
    {
        "names": ["a", "b", "c", "d", "e", "f", "g", "h"],
        "formats": ["<i1", "<u2", ">i4", "<u8", "<f4", "<f8", "<f2", ("<i2", (3,))],
        "offsets": [0, 2, 4, 8, 16, 24, 32, 34],
        "itemsize": 41,
    }
)


def crc(seed: int, data: bytes) -> int:
    return google_crc32c.extend(seed, data)


def seed(uuid: bytes, channel: bytes, segment: int, row: int) -> int:
    return crc(0, uuid + channel + struct.pack("<IQ", segment, row))


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four segments, odd blocks, a gap in the numbers, drops before and after."""
    path = tmp_path_factory.mktemp("written") / "run.fastrec"
    random = np.random.default_rng(1)
    rec = fr.Recorder(path, segment_bytes=1024 * 56, flush="20ms")
    channel = rec.add("s", schema=PAYLOAD, capacity=3000)
    with contextlib.ExitStack() as running:
        for count in (1500, 1500, 1000, 200, 777):  # the first 4000 before anybody drains
            rows = np.frombuffer(random.bytes(count * 41), PAYLOAD).copy()
            for name in ("e", "f", "g"):
                rows[name] = random.normal(size=count)
                rows[name][random.random(count) < 0.01] = np.nan
            channel.extend(rows)
            if count == 1000:
                running.enter_context(rec)
            while count != 1500 and channel.stats.written < channel.stats.published:
                time.sleep(0.005)
    return path


def rows_of(path: Path, size: int) -> list[bytes]:
    data = path.read_bytes()
    assert data[:8] == b"\x93NUMPY\x01\x00"
    begin = 10 + struct.unpack("<H", data[8:10])[0]
    assert begin % 64 == 0
    body = data[begin:]
    assert len(body) % size == 0
    return [body[i : i + size] for i in range(0, len(body), size)]


def test_every_row_by_the_specification(written: Path) -> None:
    uuid = bytes.fromhex(json.loads((written / "recording.json").read_text())["uuid"])
    folder = written / "channels" / "s"
    following = 0
    gaps = []
    for segment in range(4):
        records = np.load(folder / f"records.{segment:06}.npy")
        assert records.dtype.itemsize == 56
        row = 0
        for number, raw in enumerate(rows_of(folder / f"index.{segment:06}.npy", 64)):
            first, t_min, t_max, durable, gap_rows, _, rows, crc_rows, flags, own = struct.unpack(
                "<QqqQQQIIII", raw
            )
            assert own == crc(seed(uuid, b"s", segment, number), raw[:60])
            assert first >= following and durable <= first and flags == 8
            assert rows <= 1024 and row // 1024 == (row + max(rows, 1) - 1) // 1024
            block = records[row : row + rows]
            assert crc_rows == crc(seed(uuid, b"s", segment, row), block.tobytes())
            if rows:
                assert (t_min, t_max) == (block["mono_ns"].min(), block["mono_ns"].max())
            following, row = first + rows, row + rows
        assert row == len(records)
        rows = rows_of(folder / f"gaps.{segment:06}.npy", 48)
        assert gap_rows == len(rows)
        for number, raw in enumerate(rows):
            *gap, reserved, own = struct.unpack("<QQIiqqII", raw)
            assert reserved == 0 and own == crc(seed(uuid, b"s", segment, number), raw[:44])
            gaps.append(gap)
        check_zones(folder / f"zones.{segment:06}.npy", records, uuid, segment)
        assert (folder / f"strings.{segment:06}.jsonl").read_bytes() == b""
    assert [gap[2] for gap in gaps] == [1] and gaps[0][:2] == [0, 1000]
    assert following == 4977


def check_zones(path: Path, records: np.ndarray, uuid: bytes, segment: int) -> None:
    k = 7
    zones = rows_of(path, 16 + 32 * k)
    assert len(zones) == len(records) // 1024
    for number, raw in enumerate(zones):
        rows = records[number * 1024 : (number + 1) * 1024]
        assert struct.unpack("<I", raw[-4:])[0] == crc(seed(uuid, b"s", segment, number), raw[:-4])
        assert struct.unpack("<Q", raw[:8])[0] == 1024
        longest = int(np.diff(rows["mono_ns"]).max())
        assert struct.unpack("<I", raw[-8:-4])[0] == max(1, -(-longest // 1000))
        parts = [raw[8 + i * 8 * k : 8 + (i + 1) * 8 * k] for i in range(4)]
        for j, name in enumerate("abcdefg"):
            kind = {"i": "<i8", "u": "<u8", "f": "<f8"}[rows[name].dtype.kind]
            low, high, total = (np.frombuffer(part, kind)[j] for part in parts[:3])
            nans = struct.unpack_from("<Q", parts[3], 8 * j)[0]
            values = rows[name].astype(kind)
            good = values[~np.isnan(values)] if kind == "<f8" else values
            assert (low, high, nans) == (good.min(), good.max(), len(values) - len(good)), name
            if kind == "<f8":
                assert total == pytest.approx(good.sum(), rel=1e-9)
            else:
                assert int(total) % 2**64 == sum(int(v) for v in good) % 2**64


def test_numbers_are_held_by_numpy(written: Path) -> None:
    """The counts of every array are those of its file, after a clean stop."""
    for path in written.rglob("*.npy"):
        array = np.load(path)
        data = path.read_bytes()
        begin = 10 + struct.unpack("<H", data[8:10])[0]
        assert len(array) * array.dtype.itemsize == len(data) - begin, path
        assert data[10:24] == b"{'shape': (   " and data[32:35] == b",),"


def test_json_lines(written: Path) -> None:
    uuid = bytes.fromhex(json.loads((written / "recording.json").read_text())["uuid"])
    for name, channel, own in (
        ("recording.json", b"", 0), ("sessions.jsonl", b"", None), ("stats.jsonl", b"", None),
        ("closed.json", b"", None), ("channels/s/channel.json", b"s", None),
    ):  # fmt: skip
        for number, line in enumerate((written / name).read_bytes().splitlines()):
            body, _, tail = line.rpartition(b',"crc":"')
            start = own if own is not None else seed(uuid, channel, 0, number)
            assert int(tail[:8], 16) == crc(start, body), name
            assert tail[8:] == b'"}'
            json.loads(line)


def test_closed_counts_every_file(written: Path) -> None:
    closed = json.loads((written / "closed.json").read_text())
    there = {
        str(path.relative_to(written)): path.stat().st_size for path in written.rglob("*") if path.is_file()
    }
    del there["closed.json"]
    assert closed["files"] == there
    assert closed["channels"]["s"]["records"] == 4977 and closed["channels"]["s"]["segments"] == 4


@pytest.mark.parametrize("weighted", [False, True])
def test_zone_of_anything(weighted: bool) -> None:
    """Integer extremes wrap, bit-fields extend their sign, weights count."""
    random = np.random.default_rng(2)
    rows = np.zeros(1000, [("polls", "<u8"), ("i", "<i8"), ("u", "<u8"), ("bits", "<u4")])
    rows["polls"] = random.integers(1, 10, 1000)
    rows["i"] = random.integers(-(2**63), 2**63 - 1, 1000)
    rows["u"] = random.integers(0, 2**64, 1000, dtype="u8")
    rows["bits"] = random.integers(0, 2**32, 1000)
    fields = [
        (8, "i", 8, False, 0, 0),
        (16, "u", 8, False, 0, 0),
        (24, "i", 4, False, 5, 7),
        (24, "u", 4, False, 28, 4),
    ]
    raw = zone_of(rows.view("u1"), rows.itemsize, fields, 0)
    weights = np.ones(1000, int)
    if weighted:  # the weight stands at an offset above 0, as in a record
        shifted = np.zeros(1000, [("t", "<i8"), *rows.dtype.descr])
        for name in rows.dtype.names:
            shifted[name] = rows[name]
        raw = zone_of(shifted.view("u1"), shifted.itemsize, [(o + 8, *rest) for o, *rest in fields], 8)
        weights = rows["polls"]
    part = (rows["bits"] >> 5 & 127).astype(int)
    part[part > 63] -= 128
    values = [rows["i"].tolist(), rows["u"].tolist(), part.tolist(), (rows["bits"] >> 28).tolist()]
    assert struct.unpack_from("<Q", raw)[0] == weights.sum()
    for j, column in enumerate(values):
        kind = "<q" if j in (0, 2) else "<Q"
        low, high, total = (struct.unpack_from(kind, raw, 8 + 8 * (4 * i + j))[0] for i in range(3))
        assert (low, high) == (min(column), max(column))
        assert total % 2**64 == sum(v * int(w) for v, w in zip(column, weights, strict=True)) % 2**64
