"""What verify says of index rows that tell, or do not, that no time has fallen, against plain Python."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from recording.pieces import made, steady_upto

from fastrec.recording import layout, reader

STEADY = layout.INDEX_STEADY


@pytest.mark.parametrize("times", ["steady", "falling"])
def test_a_false_flag_is_named_and_a_missing_one_is_none(tmp_path: Path, times: str) -> None:
    luck = random.Random(times)
    told = 0
    for turn in range(4):
        one = made(tmp_path / f"{turn}", luck, times=times, commits=14, most=12, begins=(0,))
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
