"""Recordings to be damaged, and what a recovery of them is judged by: records by number, and a report."""

from __future__ import annotations

import random
from pathlib import Path

from recording.samples import PERIOD, held, held_channel, status, status_channel
from recording.writer import START_NS, Folder, Segment

from fastrec.recording import Recovery, layout, reader
from fastrec.recording.channel import Channel
from fastrec.schema.gaps import OWN_NUMBERS, Cause


def fill(segment: Segment, start: int, stop: int, *, size: int = 300, url: int = 1) -> None:
    """Commit numbers in blocks of at most `size`, a new text with two of three."""
    seq = start
    while seq < stop:
        count = min(size, stop - seq, 1024 - len(segment.stored) % 1024)
        texts = [f"text {seq}"] if seq % 3 or not segment.text_lines else []
        segment.commit(seq, [status(n, url=url) for n in range(seq, seq + count)], texts=texts)
        seq += count


def manifold(root: Path, *, close: bool = True) -> Folder:
    """Numbers 0 to 5999 in three segments: the second holds again what the first held from 2500 on.

    4000 to 4099 are overwritten; losses of three causes, one of them committed alone; a channel of holds.
    """
    folder = Folder(root, metadata={"rig": 7})
    folder.session()
    folder.clock(START_NS, 10**18)
    channel = status_channel(folder)
    first = channel.segment()
    fill(first, 0, 2500)
    fill(first, 2500, 3000, url=0)
    second = channel.segment()
    missed = (2500, 3, 3, 0, START_NS + 2499 * PERIOD, START_NS + 2500 * PERIOD)
    second.commit(2500, [status(n) for n in range(2500, 2510)], texts=["x"], gaps=[missed])
    fill(second, 2510, 3000, url=0)
    fill(second, 3000, 4000)
    lost = (4000, 100, 1, 0, START_NS + 4000 * PERIOD, START_NS + 4099 * PERIOD)
    second.commit(4100, [], gaps=[lost], stamp=START_NS + 4000 * PERIOD)
    fill(second, 4100, 4500)
    third = channel.segment()
    fill(third, 4500, 6000, size=1024)
    failed = (6000, 7, 4, -3, START_NS + 6000 * PERIOD, START_NS + 6001 * PERIOD)
    third.commit(6000, [], gaps=[failed], stamp=START_NS + 6000 * PERIOD)
    other = held_channel(folder)
    segment = other.segment()
    for seq in range(0, 1024, 256):
        segment.commit(seq, [held(n, n % 4 + 1) for n in range(seq, seq + 256)])
    folder.line("marks.jsonl", mono_ns=START_NS + 5, text="valve", kind="mark")
    folder.line("stats.jsonl", mono_ns=START_NS, channel="status", slots=1)
    if close:
        folder.close({"status": channel, "held": other})
    return folder


def by_number(root: Path, name: str) -> dict[int, bytes]:
    """The bytes of every record of a channel that the reader finds."""
    run = reader.open(root)
    found = {}
    for chunk in Channel(root, bytes.fromhex(run.uuid), name).read().chunks:
        rows = chunk.rows(0, len(chunk))
        data, width = rows.tobytes(), rows.dtype.itemsize
        for place, number in enumerate(chunk.numbers(0, len(chunk)).tolist()):
            found[number] = data[place * width : (place + 1) * width]
    return found


def blocks(root: Path) -> list[tuple[str, str, int, int, int, int]]:
    """Of every block: channel, kind of file, bytes in it, numbers; for its rows and for its index row."""
    run = reader.open(root)
    found = []
    for name in run:
        for segment in Channel(root, bytes.fromhex(run.uuid), name).read().segments:
            width, begin = segment.stock.dtype.itemsize, len(segment.stock.header)
            head, row = layout.header_size(layout.INDEX_DTYPE), layout.INDEX_DTYPE.itemsize
            for place, block in enumerate(segment.index):
                at, first, count = int(segment.at[place]), int(block["first_seq"]), int(block["rows"])
                numbers = first, first + count
                file = layout.segment_file("records", segment.number)
                found.append((name, file, begin + at * width, begin + (at + count) * width, *numbers))
                file = layout.segment_file("index", segment.number)
                found.append((name, file, head + place * row, head + (place + 1) * row, *numbers))
    return found


def damage(root: Path, luck: random.Random) -> tuple[Path, int, int]:
    """Damage one file somehow; which, and the bytes that are no longer what they were."""
    path = luck.choice(sorted(one for one in root.rglob("*") if one.is_file()))
    data = bytearray(path.read_bytes())
    size = len(data)
    at = luck.randrange(max(1, size))
    kind = luck.choice(("flip", "cut", "sector", "delete", "junk", "newline", "turned", "longer"))
    start, stop = at, min(size, at + 1)
    if kind == "delete":
        path.unlink()
        return path, 0, size
    if kind == "flip" and size:
        data[at] ^= 1 << luck.randrange(8)
    elif kind == "newline" and size:
        data[at] = 10
    elif kind == "cut":
        stop = size
        del data[at:]
    elif kind == "sector":
        start = at // 512 * 512
        stop = min(size, start + 512 * luck.choice((1, 8)))
        data[start:stop] = bytes(stop - start)
    elif kind == "junk":
        stop = min(size, at + luck.randrange(1, 300))
        data[start:stop] = luck.randbytes(stop - start)
    elif kind == "turned":
        stop = min(size, at + 64)
        data[start:stop] = data[start:stop][::-1]
    else:
        start = stop = size
        data += luck.randbytes(luck.randrange(1, 200))
    path.write_bytes(data)
    return path, start, stop


def check(recovery: Recovery, original: dict[str, dict[int, bytes]]) -> dict[str, set[int]]:
    """Prove a result: what is in it is what was recorded, and what is not is told; the missing numbers."""
    run = reader.open(recovery.path)
    report = run.verify()
    assert report.problems == []
    assert run.state == "closed"
    gone: dict[str, set[int]] = {}
    for name, before in original.items():
        if name not in recovery.channels:
            assert any(name in problem for problem in recovery.problems)
            gone[name] = set(before)
            continue
        told = recovery.channels[name]
        after = by_number(Path(recovery.path), name)
        unproven = {n for first, last in told.unproven for n in range(first, last + 1)}
        assert [n for n in after.keys() - unproven if before.get(n) != after[n]] == []
        assert len(after) == told.records
        missing = before.keys() - after.keys()
        lost = {n for one in told.lost for n in range(one.first, one.last + 1)}
        gaps = run[name].gaps
        in_gaps = {
            n
            for gap in gaps[[Cause(cause) in OWN_NUMBERS for cause in gaps["cause"]]]
            for n in range(int(gap["seq"]), int(gap["seq"] + gap["count"]))
        }
        # Behind the end nobody knows of them; below the lowest segment they count as retired.
        known = {n for n in missing if n < told.end}
        retired = {n for n in known if n not in lost}
        assert not retired or max(retired) < told.first
        assert known <= in_gaps
        assert not in_gaps & after.keys()
        gone[name] = missing
    if any(gone.values()):
        assert not recovery.ok
    return gone
