"""CRCs run backwards, and uuids made to measure."""

from __future__ import annotations

import random
from pathlib import Path

from recording import samples, writer

from fastrec.core.crc32c import crc32c
from fastrec.recording import layout
from fastrec.recording.recovering.unseeding import state_behind, told_states, uuid_with


def test_backwards() -> None:
    luck = random.Random(1)
    for length in (0, 1, 4, 60, 1000):
        seed, data = luck.getrandbits(32), luck.randbytes(length)
        assert state_behind(crc32c(data, seed), data) == seed


def test_a_uuid_with_the_checksum_of_another() -> None:
    uuid = random.Random(2).randbytes(16)
    made = uuid_with(crc32c(uuid))
    assert len(made) == 16 and made != uuid
    assert layout.row_seed(made, "motor", 3, 99) == layout.row_seed(uuid, "motor", 3, 99)
    assert made != uuid_with(crc32c(uuid))


def test_every_kind_of_file_tells(tmp_path: Path) -> None:
    folder, _ = samples.large(tmp_path / "r")
    segments = {"status": [0, 1, 2], "held": [0]}
    told = told_states(folder.root, list(segments), segments)
    assert set(told) == {crc32c(writer.UUID)}
    for name in ("sessions.jsonl", "marks.jsonl", "stats.jsonl", "clocks.npy"):
        before = told.total()
        (folder.root / name).unlink()
        told = told_states(folder.root, list(segments), segments)
        assert told.total() < before
    for name in segments:
        for path in sorted((folder.root / "channels" / name).iterdir()):
            if path.name.startswith(("channel", "index", "gaps.000001")):
                before = told.total()
                path.unlink()
                told = told_states(folder.root, list(segments), segments)
                assert told.total() < before
    assert not told


def test_junk_tells_nothing_twice(tmp_path: Path) -> None:
    folder, _ = samples.large(tmp_path / "r")
    luck = random.Random(3)
    for path in folder.root.rglob("*"):
        if path.is_file():
            path.write_bytes(luck.randbytes(2000))
    told = told_states(folder.root, ["status"], {"status": [0, 1, 2]})
    assert not told or told.most_common(1)[0][1] == 1
