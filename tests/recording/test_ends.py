"""Where channels end, and why, of recordings that the oracle wrote."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from recording import samples, writer
from recording.samples import PERIOD, START_NS, status

from fastrec.recording import layout, reader
from fastrec.recording.ends import End
from fastrec.recording.segment import Segment

HEADER = layout.header_size(layout.INDEX_DTYPE)
KILLED = "it was not closed: killed, or its disk took no more; what was committed is whole"


def ends(root: Path) -> End:
    return reader.open(root).ends["status"]


def test_closed_live_and_killed(tmp_path: Path) -> None:
    folder, _ = samples.large(tmp_path / "r")
    last = START_NS + 5999 * PERIOD
    assert ends(folder.root) == End(6000, last, "closed")
    # With holds: until when it was seen.
    held = START_NS + 2047 * 10 * PERIOD + 3 * PERIOD
    assert reader.open(folder.root).ends["held"] == End(2048, held, "closed")
    (folder.root / "closed.json").unlink()
    assert ends(folder.root) == End(6000, last, KILLED)
    lock = writer.hold(folder.root)
    assert ends(folder.root) == End(6000, last, "a recorder is writing it")
    os.close(lock)
    assert repr(reader.open(folder.root)) == (
        f"<Recording {folder.root}: unclean, held up to record 2,048, status up to record 6,000>"
    )


def test_a_row_that_is_not_whole(tmp_path: Path) -> None:
    folder, channel = samples.small(tmp_path / "r")
    path = channel.segments[0].path("index")
    with path.open("ab") as file:
        file.write(b"torn")
    wanted = f"index.000000.npy: row 3 is unfinished and not committed (byte {HEADER + 3 * 64})"
    assert ends(folder.root) == End(20, START_NS + 19 * PERIOD, wanted)
    assert reader.open(folder.root).problems == []
    with path.open("r+b") as file:
        file.seek(HEADER + 2 * 64 + 5)
        file.write(b"\xaa")
    wanted = (
        "index.000000.npy: row 2 does not match its checksum: nothing from there on is committed"
        f" (byte {HEADER + 2 * 64})"
    )
    assert ends(folder.root) == End(12, START_NS + 11 * PERIOD, wanted)


def test_a_loss_of_power(tmp_path: Path) -> None:
    folder, channel = samples.small(tmp_path / "r")
    path = channel.segments[0].path("index")
    with path.open("r+b") as file:
        file.seek(HEADER + 2 * 64)
        file.write(bytes(64))
    assert ends(folder.root).why == (
        f"index.000000.npy: zeros from row 2 on, which a loss of power leaves behind (byte {HEADER + 2 * 64})"
    )
    os.truncate(path, HEADER + 64)
    assert ends(folder.root) == End(
        5,
        START_NS + 4 * PERIOD,
        "records.000000.npy: the header counts 17 rows, but 5 are committed: damage, or a loss of power",
    )


def test_rows_that_claim_too_much(tmp_path: Path) -> None:
    folder, channel = samples.small(tmp_path / "r")
    os.truncate(channel.segments[0].path("records"), channel.segments[0].path("records").stat().st_size - 1)
    found = ends(folder.root)
    assert found.end == 12
    assert found.why.startswith("index.000000.npy: row 2 claims records beyond the end of their file")


@pytest.mark.parametrize("committed", [False, True])
def test_channels_of_nothing(tmp_path: Path, *, committed: bool) -> None:
    folder = writer.Folder(tmp_path / "r")
    channel = samples.status_channel(folder)
    assert ends(folder.root) == End(0, None, "nothing was committed")
    segment = channel.segment()
    if committed:
        segment.commit(0, [], gaps=[(0, 4, 1, 0, 10, 40)])
        assert ends(folder.root) == End(4, None, KILLED)


def test_the_segment_behind_is_empty_and_the_one_before_is_the_end(tmp_path: Path) -> None:
    folder, channel = samples.small(tmp_path / "r")
    channel.segment()
    assert ends(folder.root) == End(20, START_NS + 19 * PERIOD, KILLED)


def test_rows_that_were_being_written_again(tmp_path: Path) -> None:
    folder, channel = samples.small(tmp_path / "r")
    channel.segments[0].commit(20, [status(n) for n in range(20, 40)])
    for begin in (25, 14):
        channel.segment().commit(begin, [status(n) for n in range(begin, begin + 3)])
    assert ends(folder.root) == End(40, START_NS + 39 * PERIOD, KILLED)
    assert reader.open(folder.root)._channel("status").read().end == 40
    channel.segment().commit(30, [status(n) for n in range(30, 35)])
    assert ends(folder.root) == End(40, START_NS + 39 * PERIOD, KILLED)
    channel.segment().commit(10, [status(n) for n in range(10, 50)])
    assert ends(folder.root) == End(50, START_NS + 49 * PERIOD, KILLED)


def test_only_the_newest_segments_are_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = writer.Folder(tmp_path / "r")
    channel = samples.status_channel(folder)
    for seq in range(50):
        channel.segment().commit(seq, [status(seq)])
    looked = []
    real = Segment.__init__

    def counted(self: Segment, stock: object, number: int, *more: object) -> None:
        looked.append(number)
        real(self, stock, number, *more)

    monkeypatch.setattr(Segment, "__init__", counted)
    assert ends(folder.root).end == 50
    assert looked == [49, 48, 47]


def test_a_channel_that_cannot_be_read(tmp_path: Path) -> None:
    folder, channel = samples.small(tmp_path / "r")
    path = channel.path / "channel.json"
    path.write_bytes(path.read_bytes().replace(b"status", b"states"))
    found = ends(folder.root)
    assert (found.end, found.time) == (0, None)
    assert "channel.json" in found.why
    assert "status up to record 0" in repr(reader.open(folder.root))
