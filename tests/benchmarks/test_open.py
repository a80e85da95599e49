"""The benchmark of opening: whatever it times is really checked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import bench_open, stores
from benchmarks.harness import WrongAnswerError
from fastrec.errors import CorruptionError

ROWS = 64 * 1024


@pytest.fixture
def openings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bench_open.Opening]]:
    monkeypatch.setattr(stores, "disk", lambda: tmp_path)
    (case,) = bench_open.bench(True, rows=ROWS).cases
    made = [*case.ours, *case.rivals]
    yield made
    for opening in made:
        opening.close()
    assert not list(tmp_path.iterdir())


def ran(opening: bench_open.Opening) -> None:
    opening.prepare(0)
    opening.run()
    opening.check()


def test_what_was_opened_is_really_checked(openings: list[bench_open.Opening]) -> None:
    assert [len(one.recorded.segments) for one in openings] == [bench_open.SEGMENTS] * 4
    for opening in openings:
        ran(opening)
        opening.counts[3] -= 1
        with pytest.raises(WrongAnswerError, match="records of"):
            opening.check()
        opening.prepare(1)
        with pytest.raises(WrongAnswerError, match="records of"):
            opening.check()  # nothing was opened in this run
        opening.run()
        opening.check()
    ours, _, theirs, _ = openings
    theirs.arrays[1], theirs.arrays[2] = theirs.arrays[2], theirs.arrays[1]
    with pytest.raises(WrongAnswerError, match="records are wrong"):
        theirs.check()
    last = ours.recorded.segments[-1]
    data = last.read_bytes()
    last.write_bytes(data[:-20] + b"\1" + data[-19:])
    for opening in (ours, theirs):
        opening.run()
        with pytest.raises((CorruptionError, WrongAnswerError), match=r"checksum|records are wrong"):
            opening.check()
    last.write_bytes(data)


def test_what_is_not_clean_is_no_answer(openings: list[bench_open.Opening]) -> None:
    ours = openings[0]
    ran(ours)
    (ours.recorded.path / "closed.json").unlink()
    with pytest.raises(WrongAnswerError, match="not clean"):
        ours.check()
