"""The benchmark of questions: every answer is really checked, and memory is seen that is given back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks import anonymous, bench_query, questions, stores
from benchmarks.bench_query import CLAIMED, LENGTHS, QUESTIONS, Asked, Asking
from benchmarks.harness import RUNS, Bench, BenchmarkError, WrongAnswerError
from benchmarks.query_rivals import Duckdb, Numpy, Pandas, Polars

COUNT = 64 * 1024 + 100

ASKED = [
    (length, question) for length in LENGTHS for question in QUESTIONS if bench_query._asked(question, length)
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("query")


@pytest.fixture(scope="module")
def bench(folder: Path) -> Iterator[Bench]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stores, "disk", lambda: folder)
        made = bench_query.bench(True, count=COUNT)
        yield made
        for case in made.cases:
            for asking in (*case.ours, *case.rivals):
                asking.close()
    assert not list(folder.iterdir())


@pytest.fixture(scope="module")
def cases(bench: Bench) -> dict[tuple[int, str], list[Asking]]:
    return dict(zip(ASKED, ([*case.ours, *case.rivals] for case in bench.cases), strict=True))


@pytest.fixture
def place(cases: dict[tuple[int, str], list[Asking]]) -> questions.Place:
    cases[CLAIMED, "counts"][0].prepare(0)
    return cases[CLAIMED, "counts"][0].asked.place


@pytest.mark.parametrize(("length", "question"), ASKED)
def test_answers_are_really_checked(
    cases: dict[tuple[int, str], list[Asking]], folder: Path, length: int, question: str
) -> None:
    """A right answer passes; one with a value too large, a row too few or a column too few does not."""
    asked = cases[length, question]
    kinds = {Numpy, Polars, Duckdb} | (set() if question in bench_query.WITHOUT_PANDAS else {Pandas})
    assert {type(asking.tool) for asking in asked[1:]} == kinds
    assert [asking.who for asking in asked[:2]] == ["fastrec", "NumPy on the map"]
    for asking in asked:
        asking.prepare(1)
        assert set(asking.run()) == {"us"}
        (answer,) = asking.answers
        asking.check()
        names = getattr(getattr(answer, "dtype", None), "names", None) or list(answer)
        right = {name: np.ravel(np.array(answer[name])) for name in names}
        needed = questions.NEEDED.get(question, set(asking.wanted))
        assert needed and all(len(right[name]) for name in needed)
        spoilt = {"a row too few": {name: column[:-1] for name, column in right.items()}}
        for name in needed:
            spoilt[f"no {name}"] = {other: column for other, column in right.items() if other != name}
        for name in needed | (set(asking.wanted) & set(right)):
            wrong = right[name].copy()
            wrong[-1] += 1
            spoilt[f"{name} too large"] = right | {name: wrong}
        for what, columns in spoilt.items():
            asking.answers = [answer, columns]
            with pytest.raises(WrongAnswerError, match=asking.who):
                asking.check()
                pytest.fail(f"{asking.who}, {question}: {what}, and nobody says so")
    assert len(list(folder.iterdir())) == 1  # of the other lengths nothing is left


def test_buckets_begin_with_zones_of_equal_time(cases: dict[tuple[int, str], list[Asking]]) -> None:
    numpy = cases[CLAIMED, "downsample"][1]
    numpy.prepare(0)
    wanted, place = numpy.wanted, numpy.asked.place
    assert len(place.borders) == COUNT // 10_000 and place.borders[0] == 0

    def moved(by: int) -> dict[str, np.ndarray]:
        borders = (0, place.borders[1] + by, *place.borders[2:])
        found = dict(numpy.tool.downsample(replace(place, borders=borders)))
        stamps = np.append(wanted["stamps"][np.array(borders) // questions.ZONE], wanted["stamps"][-1])
        return found | {"start": stamps[:-1], "end": stamps[1:]}

    for zones in (-1, 0, 1):
        questions.compare("A", "downsample", moved(zones * questions.ZONE), wanted)
    for by in (100, 2 * questions.ZONE):
        with pytest.raises(WrongAnswerError, match="buckets begin"):
            questions.compare("A", "downsample", moved(by), wanted)
    for name in ("start", "end"):
        late = moved(0)
        late[name] = late[name] + 5_000_000
        with pytest.raises(WrongAnswerError, match=f"{name} of bucket 0"):
            questions.compare("A", "downsample", late, wanted)


def test_what_is_claimed_is_measured(bench: Bench) -> None:
    contestants = {case.name: {asking.who for asking in (*case.ours, *case.rivals)} for case in bench.cases}
    ids = [claim.id for claim in bench.claims]
    assert len(set(ids)) == len(ids) and len(contestants) == len(bench.cases)
    for claim in bench.claims:
        assert claim.unit in ("us", "MB")
        for who in (claim.over, claim.under):
            assert who is None or {*([who] if isinstance(who, str) else who)} <= contestants[claim.case]
    assert {claim.case for claim in bench.claims if claim.unit == "MB"} == set(contestants)


def test_memory_is_taken_of_ours_and_where_there_is_time_of_rivals(bench: Bench) -> None:
    def weighed(made: Bench) -> set[str]:
        every = (asking for case in made.cases for asking in (*case.ours, *case.rivals))
        return {asking.who for asking in every if asking.weighed}

    assert weighed(bench) == {"fastrec"}
    rivals = {"NumPy on the map", "pandas on the map", "Polars", "DuckDB"}
    assert weighed(bench_query.bench(False, count=COUNT)) == {"fastrec"} | rivals


def test_an_old_record_is_found_behind_a_silence(place: questions.Place) -> None:
    """Polars and DuckDB first look near the time, and then everywhere."""
    later = replace(place, when=place.when + 10**12)
    last = int(np.load(place.segments[-1], mmap_mode="r")["mono_ns"][-1])
    for tool in (Numpy("A"), Polars("B"), Duckdb("C", grouped=True)):
        assert tool.at(later)["mono_ns"].tolist() == [last]


def test_memory_is_seen_that_is_given_back(place: questions.Place) -> None:
    """A column of 8 bytes a record, of 50 times as many, is needed only until its buckets are known."""
    long = replace(place, segments=place.segments * 50)
    size = 50 * 8 * COUNT / 1e6
    peak, answer = anonymous.peak(Asked(Numpy("A"), "downsample", long))
    assert size <= peak < size + 15
    assert answer["min"].tolist() == Numpy("A").downsample(long)["min"].tolist()
    peak, answer = anonymous.peak(Asked(Numpy("A"), "rare", place))
    assert peak < 10 and len(answer["seq"]) == questions.FAILURES


def test_the_answer_of_the_other_process_is_checked(
    cases: dict[tuple[int, str], list[Asking]], monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = cases[CLAIMED, "transitions"][0]
    ours.prepare(RUNS)
    assert set(ours.run()) == {"us", "MB"} and len(ours.answers) == 2
    ours.check()
    seen = []

    def peak(work: Asked) -> tuple[float, questions.Answer]:
        seen.append(work)
        return 5.0, work.ask()[1:]

    monkeypatch.setattr(anonymous, "peak", peak)
    ours.prepare(RUNS)
    assert ours.run()["MB"] == 5 and seen == [ours.asked]
    with pytest.raises(WrongAnswerError, match="fastrec"):
        ours.check()


def test_work_that_fails_has_no_memory(place: questions.Place, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(BenchmarkError, match="could not be measured"):
        anonymous.peak(Asked(Numpy("A"), "counts", replace(place, segments=("/nowhere.npy",))))
    assert "/nowhere.npy" in capfd.readouterr().err
