"""The benchmark of sizes: what is weighed is a whole recording of the right records."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import bench_size, stores
from benchmarks.harness import WrongAnswerError

COUNT = 100_000


@pytest.fixture
def sized(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[bench_size.Sized]:
    monkeypatch.setattr(stores, "disk", lambda: tmp_path)
    bench = bench_size.bench(True, count=COUNT, seconds=0.35)
    return [case.ours[0] for case in bench.cases]


def test_what_is_weighed_is_really_checked(sized: list[bench_size.Sized]) -> None:
    for contestant in sized:
        contestant.prepare(0)
        (weight,) = contestant.run().values()
        contestant.check()
        assert 40_000 < weight < 80_000
        rows = contestant.rows
        contestant.rows = rows.copy()
        contestant.rows["dwHTTPRequest"][1] += 1
        with pytest.raises(WrongAnswerError, match="records are wrong"):
            contestant.check()
        contestant.rows = rows[:-1]
        with pytest.raises(WrongAnswerError):
            contestant.check()
        contestant.rows, contestant.lost = rows, 1
        with pytest.raises(WrongAnswerError):
            contestant.check()
        contestant.lost, contestant.state = 0, "unclean"
        with pytest.raises(WrongAnswerError, match="unclean"):
            contestant.check()


def test_every_byte_of_the_folder_counts(sized: list[bench_size.Sized], tmp_path: Path) -> None:
    full, _ = sized
    path = tmp_path / "run.fastrec"
    full.make(path)
    sizes = {str(file): file.stat().st_size for file in path.rglob("*") if file.is_file()}
    assert full.weigh(sizes, path) == sum(sizes.values()) / COUNT > 40
    sizes["another"] = COUNT
    assert full.weigh(sizes, path) == pytest.approx(sum(sizes.values()) / COUNT)


def test_a_line_of_statistics_in_an_hour() -> None:
    line = b'{"mono_ns":5,"channel":"status","slots":63,"held":0,"written":9,"crc":"00000000"}\n'
    grown = line.replace(b"63", b"36000").replace(b":9,", b":36000,")
    assert bench_size._longest(line, 36_000) == len(grown)
