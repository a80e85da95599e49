"""What verify says of index rows that tell, or do not, that no time has fallen, against plain Python."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from recording.pieces import made, steady_upto

from fastrec.recording import layout, reader
from fastrec.recording.committed import steady

STEADY = layout.INDEX_STEADY


def test_times_that_fall_are_those_of_plain_python() -> None:
    luck = random.Random(1)
    for _ in range(500):
        index = np.zeros(luck.randrange(6), layout.INDEX_DTYPE)
        index["t_min"] = sorted(luck.randrange(9) for _ in index)
        index["t_max"] = [least + luck.choice((0, 0, 1, 2)) for least in index["t_min"]]
        index["flags"] = [luck.choice((0, 0, 2, 4, 6, 14)) | (luck.random() < 0.1) for _ in index]
        due, reached = [], -1
        for row in index:
            due.append(all(due) and not row["flags"] & 1 and row["t_min"] >= reached)
            reached = row["t_max"]
        assert steady(index).tolist() == due


@pytest.mark.parametrize("times", ["steady", "falling"])
def test_a_false_flag_is_named_and_a_missing_one_is_none(tmp_path: Path, times: str) -> None:
    luck = random.Random(times)
    told = 0
    for turn in range(6):
        one = made(tmp_path / f"{turn}", luck, times=times, commits=9, most=3, begins=(0,), falls=0.2)
        rows = np.load(one.path("index"))
        truth = steady_upto(one)
        assert (rows["flags"] & STEADY != 0).tolist() == truth
        assert reader.open(one.root).verify().problems == []
        for row, true in enumerate(truth):
            with one.lying(row, flags=rows["flags"][row] ^ STEADY):
                problems = reader.open(one.root).verify().problems
            told += len(problems)
            if true:
                assert problems == []
            else:
                assert problems == [f"{one.path('index')}: row {row} has flag 8, though times before it fall"]
        with one.lying(slice(None), flags=rows["flags"] | STEADY):
            problems = reader.open(one.root).verify().problems
        assert len(problems) == truth.count(False)
    assert (told > 10) == (times == "falling")
