"""The benchmarks of publishing in C and of snapshots: whatever they time is really checked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from benchmarks import bench_publish, bench_snapshot, rivals
from benchmarks.harness import BenchmarkError, Contestant, WrongAnswerError

pytestmark = pytest.mark.once  # a long way through code that is the same wherever the package lies

ROOT = Path(__file__).parents[2]


def contestants(bench: object) -> list[Contestant]:
    return [contestant for case in bench.cases for contestant in (*case.ours, *case.rivals)]


@pytest.fixture(scope="module")
def passing() -> Iterator[list[bench_publish.Passing]]:
    made = contestants(bench_publish.bench(True))
    yield made
    for contestant in made:
        contestant.close()


def ran(contestant: Contestant, turn: int) -> None:
    contestant.prepare(turn)
    contestant.run()
    contestant.check()


def test_what_goes_through_is_really_checked(passing: list[bench_publish.Passing]) -> None:
    """A right run passes; another payload, one too few or too many, or another order does not."""
    assert len(passing) == 2 * (2 + 6 + 6)
    for contestant in passing:
        ran(contestant, 0)
        ran(contestant, 1)
        contestant.rows[[3, 4]] = contestant.rows[[4, 3]]
        with pytest.raises(WrongAnswerError, match="records are wrong"):
            contestant.check()

        ran(contestant, 2)
        contestant.operations += 1
        with pytest.raises(WrongAnswerError):
            contestant.check()
        contestant.operations -= 1

        ran(contestant, 3)
        contestant.answer.wrong = 1
        with pytest.raises(WrongAnswerError, match="in the wrong order"):
            contestant.check()


def test_only_the_ring_that_may_lose_does(passing: list[bench_publish.Passing]) -> None:
    for contestant in passing:
        if contestant.container != bench_publish.RING:
            ran(contestant, 4)
            contestant.answer.lost, contestant.answer.popped = 1, contestant.answer.popped - 1
            with pytest.raises(WrongAnswerError, match="1 were lost"):
                contestant.check()


def test_order_is_judged_while_it_is_timed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container that gives a record twice, and one that leaves one out, from a spoiled source."""
    source = (ROOT / "benchmarks" / "publish.cpp").read_text()
    taking = "cursor = span.first + span.count;"
    assert source.count(taking) == 1
    monkeypatch.setattr(rivals, "HERE", tmp_path)
    for spoiled in (
        "cursor = span.first + span.count - (span.count > 1);",
        taking + " cursor += !(cursor % 640);",
    ):
        (tmp_path / "publish.cpp").write_text(source.replace(taking, spoiled))
        library = rivals.compiled("publish.cpp")
        contestant = bench_publish.Passing("A", library, bench_publish.BOUNDED, "alone", 4096, 10_000, 64)
        with pytest.raises(WrongAnswerError):
            ran(contestant, 0)
        contestant.close()


@pytest.mark.parametrize(
    ("header", "package"),
    [
        ("readerwriterqueue/readerwriterqueue.h", "libreaderwriterqueue-dev"),
        ("boost/lockfree/spsc_queue.hpp", "libboost-dev"),
    ],
)
def test_a_missing_header_names_its_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, header: str, package: str
) -> None:
    source = (ROOT / "benchmarks" / "publish.cpp").read_text()
    family, _, name = header.partition("/")
    (tmp_path / "publish.cpp").write_text(source.replace(f"<{header}>", f"<{family}/missing/{name}>"))
    monkeypatch.setattr(rivals, "HERE", tmp_path)
    with pytest.raises(BenchmarkError, match=f"missing/.*apt-get install {package}$"):
        rivals.compiled("publish.cpp")
    monkeypatch.setenv("CXX", "/nowhere/c++")
    with pytest.raises(BenchmarkError, match="no compiler '/nowhere/c"):
        rivals.compiled("publish.cpp")


def test_snapshots_are_really_checked() -> None:
    made = contestants(bench_snapshot.bench(True))
    try:
        for contestant in made:
            ran(contestant, 0)
            if isinstance(contestant, bench_snapshot.Consistent):
                whole = contestant.copy
                spoiled = whole.array.copy()
                spoiled["hr"][len(spoiled) // 2] += 1
                for array, first, lost in (
                    (spoiled, whole.first_seq, whole.lost),
                    (whole.array, whole.first_seq + 1, whole.lost),
                    (whole.array[1:], whole.first_seq + 1, 0),
                    (whole.array, whole.first_seq, whole.lost + 2 * contestant.ring.capacity),
                ):
                    contestant.copy = type(whole)(array, first, lost)
                    with pytest.raises(WrongAnswerError):
                        contestant.check()
            else:
                contestant.copy = np.roll(contestant.copy, 4)
                with pytest.raises(WrongAnswerError, match="were never there"):
                    contestant.check()
    finally:
        for contestant in made:
            contestant.close()


def test_quick(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks", "publish", "snapshot", "--quick", "--json", "all.json"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    publish, snapshot = json.loads((tmp_path / "all.json").read_text())
    assert {claim["id"] for claim in publish["claims"]} == {
        "publish.array.at_most",
        *(
            f"publish.{way}.{rival}.at_most"
            for way in ("alone", "beside")
            for rival in ("moodycamel", "boost")
        ),
    }
    assert {claim["id"] for claim in snapshot["claims"]} == {
        "snapshot.copyto.at_least",
        "snapshot.copy.at_least",
    }
    assert {row["unit"] for row in publish["rows"]} == {"ns/record", "% lost"}
