"""kill -9 at a random moment: everything below the last mark that was seen is there, once, unaltered."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
from programs import build
from victims import check_killed, take_away, victims

import fastrec as fr

pytestmark = pytest.mark.once  # a long way through code that is the same wherever the package lies


def trials(tmp_path: Path, disk: Path, count: int) -> None:
    library = build(tmp_path, "getters.c", "-shared", "-fPIC")
    seed = int(os.environ.get("FASTREC_SEED", random.SystemRandom().randrange(1 << 32)))
    moments = random.Random(seed)
    held = 0
    with victims(library) as victim:
        for number in range(count):
            path = disk / f"{number}.fastrec"
            marks = victim.trial(path, moments.uniform(0, 0.15))
            try:
                held += check_killed(path, marks)
            except Exception as error:
                error.add_note(f"trial {number} of FASTREC_SEED={seed}, killed at {marks}")
                raise
            take_away(path)
    assert held > count * 1000


def test_kill(tmp_path: Path, fast_disk: Path) -> None:
    trials(tmp_path, fast_disk, 300)


@pytest.mark.stress
def test_kill_many(tmp_path: Path, fast_disk: Path) -> None:
    trials(tmp_path, fast_disk, 20_000)


@pytest.mark.parametrize("harm", ["index", "records"])
def test_check_sees_harm(tmp_path: Path, harm: str) -> None:
    """The check itself: a recording that lost its last blocks, or some of its rows, does not pass."""
    library = build(tmp_path, "getters.c", "-shared", "-fPIC")
    path = tmp_path / "run.fastrec"
    with victims(library) as victim:
        marks = victim.trial(path, 0.2)
    check_killed(path, marks)
    last = max((path / "channels" / "pushed").glob(f"{harm}.*.npy"))
    if harm == "index":
        os.truncate(last, 128)
    else:
        with last.open("r+b") as file:
            file.seek(-100, os.SEEK_END)
            file.write(b"7")
    harmed = r"^\('pushed', \d+|do not match their checksum|header is not the one|shorter than its header"
    with pytest.raises((AssertionError, fr.CorruptionError), match=harmed):
        check_killed(path, marks)
    take_away(path)
