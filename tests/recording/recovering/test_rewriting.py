"""What a recovery writes tells whether times have fallen: as what it copies does, or anew."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from recording import samples, writer
from recording.pieces import HEADER, Made, made, steady_upto

import fastrec as fr
from fastrec.recording import layout
from fastrec.recording.recovering.recover import recover

STEADY = layout.INDEX_STEADY


def recovered(one: Made, root: Path, **options: object) -> tuple[Made, np.ndarray]:
    """What is in a recovery of it, and its index."""
    recovery = recover(one.root, root, **options)
    assert fr.open(recovery.path).verify().problems == []
    again = Made(root, one.name, one.begin)
    index = np.load(again.path("index"))
    records = np.load(again.path("records"))
    again.stamps = records["mono_ns"].tolist()
    at = np.cumsum(index["rows"]) - index["rows"]
    again.index = list(
        zip(at.tolist(), *(index[name].tolist() for name in ("rows", "t_min", "t_max")), strict=True)
    )
    return again, index


def told(index: np.ndarray) -> list[bool]:
    return (index["flags"] & STEADY != 0).tolist()


@pytest.mark.parametrize("times", ["steady", "falling"])
def test_it_is_kept_with_what_is_copied(tmp_path: Path, times: str) -> None:
    """Also where a writer never tells it."""
    one = made(tmp_path / "r", random.Random(times), times=times, begins=(0,))
    index = one.path("index").read_bytes()
    recovered(one, tmp_path / "told")
    assert (tmp_path / "told" / one.path("index").relative_to(one.root)).read_bytes() == index
    rows = np.load(one.path("index"))
    with one.lying(slice(None), flags=rows["flags"] & ~np.uint32(STEADY)):
        silent = one.path("index").read_bytes()
        recovered(one, tmp_path / "silent")
    assert (tmp_path / "silent" / one.path("index").relative_to(one.root)).read_bytes() == silent


@pytest.mark.parametrize("times", ["steady", "falling"])
def test_it_is_told_anew_of_what_is_sealed_anew(tmp_path: Path, times: str) -> None:
    """Behind a block that is lost, and without an index."""
    luck = random.Random(times)
    seen = set()
    for turn in range(6):
        one = made(tmp_path / f"{turn}", luck, times=times, most=12, begins=(0,))
        low, _ = luck.choice(one.blocks)
        place = len(one.path("records").read_bytes()) - (len(one.rows) - low) * len(one.rows[0]) + 20
        with one.spoiled("records", place, bytes([one.path("records").read_bytes()[place] ^ 1])):
            again, index = recovered(one, tmp_path / f"block {turn}")
        assert told(index) == steady_upto(again)
        seen |= set(told(index))
        whole = one.path("index").read_bytes()
        one.path("index").write_bytes(whole[:HEADER])
        again, index = recovered(one, tmp_path / f"index {turn}", salvage=True)
        one.path("index").write_bytes(whole)
        assert told(index) == steady_upto(again)
        assert len(again.stamps) > 0
    assert seen == ({True} if times == "steady" else {True, False})


@pytest.mark.parametrize(
    ("begins", "due"),
    [
        ((100, 150, 200, 250, 300), [True, True, True]),
        ((100, 150, 95, 250, 300), [True, False, False]),
        ((100, 150, 104, 250, 110), [True, False, False]),
        ((100, 150, 200, 250, 205), [True, True, False]),
    ],
)
def test_pieces_between_lost_blocks_go_on_from_one_another(
    tmp_path: Path, begins: tuple[int, ...], due: list[bool]
) -> None:
    """Blocks of ten records, of which the second and the fourth are lost."""
    folder = writer.Folder(tmp_path / "r")
    folder.session()
    channel = samples.status_channel(folder)
    channel.tells_steady = True
    segment = channel.segment()
    for number, begin in enumerate(begins):
        stamps = range(writer.START_NS + begin, writer.START_NS + begin + 10)
        segment.commit(10 * number, [samples.status(0, stamp=stamp) for stamp in stamps])
    folder.close({"status": channel})
    one = Made(folder.root, "status", 0, segment.stored)
    data = bytearray(one.path("records").read_bytes())
    for lost in (10, 30):
        data[len(data) - (50 - lost) * 32 + 20] ^= 1
    one.path("records").write_bytes(data)
    again, index = recovered(one, tmp_path / "again")
    assert told(index) == steady_upto(again)
    assert told(index[index["rows"] > 0]) == due


def test_what_is_told_and_false_is_not_copied(tmp_path: Path) -> None:
    luck = random.Random(5)
    for turn in range(5):
        one = made(tmp_path / f"{turn}", luck, times="falling", most=12, begins=(0,))
        truth = steady_upto(one)
        false = [row for row, true in enumerate(truth) if not true]
        if false:
            rows = np.load(one.path("index"))
            some = luck.sample(false, min(2, len(false)))
            with one.lying(some, flags=rows["flags"][some] | STEADY):
                again, index = recovered(one, tmp_path / f"again {turn}")
            assert told(index) == steady_upto(again)
            assert again.stamps == one.stamps
