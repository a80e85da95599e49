"""The harness: no figure without a right answer, and every figure shown, the unfavourable ones too."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from benchmarks import bench_holds, bench_pacing, bench_poll, bench_push, harness, rivals
from benchmarks.harness import Bench, BenchmarkError, Case, Claim, Contestant, Timed, WrongAnswerError
from benchmarks.payloads import FORMS, Feed, compare_stamps, statuses

pytestmark = pytest.mark.once  # a long way through code that is the same wherever the package lies

ROOT = Path(__file__).parents[2]
ROW_KEYS = {"case", "who", "unit", "runs", "median"}


class Counting(Contestant):
    """Costs what it was told, and keeps a diary."""

    def __init__(self, who: str, costs: list[float], diary: list[str], wrong_in: int | None = None) -> None:
        super().__init__(who)
        self.costs = costs
        self.diary = diary
        self.wrong_in = wrong_in

    def run(self) -> dict[str, float]:
        self.diary.append(f"{self.who}{self.turn}")
        return {"ns": self.costs[self.turn]}

    def check(self) -> None:
        self.diary.append("checked")
        if self.turn == self.wrong_in:
            raise WrongAnswerError(f"{self.who}: wrong")

    def close(self) -> None:
        self.diary.append(f"{self.who} closed")


def test_runs_alternate_and_each_is_checked() -> None:
    diary: list[str] = []
    first, second = (Counting(who, [99, 8, 2, 3, 4, 5, 6, 7], diary) for who in "AB")
    result = harness.measure("fake", Bench([Case("c", [first], [second])]), {"cpu": "x"}, lambda line: None)
    turns = [f"{who}{turn}" for turn in range(harness.RUNS + 1) for who in "AB"]
    assert [entry for entry in diary if entry[1:].isdigit()] == turns
    assert diary[1:-2:2] == ["checked"] * len(turns)
    assert sorted(diary[-2:]) == ["A closed", "B closed"]
    assert result == {
        "bench": "fake",
        "checked": True,
        "machine": {"cpu": "x"},
        "rows": [
            {"case": "c", "who": who, "unit": "ns", "runs": [8, 2, 3, 4, 5, 6, 7], "median": 5}
            for who in "AB"
        ],
        "claims": [],
    }


@pytest.mark.parametrize("turn", [0, 1, harness.RUNS])
def test_one_wrong_answer_spoils_it_all(turn: int) -> None:
    diary: list[str] = []
    case = Case("c", [Counting("A", [1] * 8, diary)], [Counting("B", [1] * 8, diary, wrong_in=turn)])
    with pytest.raises(WrongAnswerError, match="B: wrong"):
        harness.measure("fake", Bench([case]), {}, lambda line: None)
    assert diary[-3:] == ["checked", "B closed", "A closed"]


def test_a_rival_that_wins_is_named() -> None:
    lines: list[str] = []
    ours = [Counting("ours", [9] + [30] * 7, []), Counting("ours too", [9] + [20] * 7, [])]
    theirs = [Counting("quicker", [9] + [50] * 6 + [10], []), Counting("slower", [9] + [25] * 7, [])]
    harness.measure("fake", Bench([Case("c", ours, theirs)]), {}, lines.append)
    assert [line for line in lines if "wins" in line] == ["  ! quicker wins: 10.0 against 20.0"]
    shown = next(line for line in lines if line.startswith("  quicker"))
    assert shown.endswith("50.0 50.0 50.0 50.0 50.0 50.0 10.0")


def test_claims_compare_the_best_runs() -> None:
    lines: list[str] = []
    case = Case(
        "c", [Counting("ours", [9] + [30] * 6 + [10], [])], [Counting("rival", [9] + [50] * 6 + [40], [])]
    )
    claims = [
        Claim("a.at_least", "c", "rival", "ours", 4),
        Claim("b.at_least", "c", "rival", "ours", 4.1),
        Claim("c.at_most", "c", "ours", "rival", 0.25),
        Claim("d.at_most", "c", "ours", "rival", 0.24),
    ]
    judged = harness.measure("fake", Bench([case], claims), {}, lines.append)["claims"]
    assert judged == [
        {"id": "a.at_least", "ratio": 4, "target": 4, "holds": True},
        {"id": "b.at_least", "ratio": 4, "target": 4.1, "holds": False},
        {"id": "c.at_most", "ratio": 0.25, "target": 0.25, "holds": True},
        {"id": "d.at_most", "ratio": 0.25, "target": 0.24, "holds": False},
    ]
    assert [line.endswith("DOES NOT HOLD") for line in lines[-4:]] == [False, True, False, True]


def test_of_several_the_best_one_counts() -> None:
    ours = [Counting(who, [9] + [cost] * 7, []) for who, cost in (("ours", 4), ("ours too", 2))]
    theirs = [Counting(who, [9] + [cost] * 7, []) for who, cost in (("A", 30), ("B", 20), ("C", 10))]
    claims = [
        Claim("a.at_least", "c", ("A", "B"), "ours", 5),
        Claim("b.at_least", "c", ("B", "A"), ("ours", "ours too"), 10.1),
        Claim("c.at_most", "c", ["ours", "ours too"], ["A", "B", "C"], 0.2),
        Claim("d.at_most", "c", ["ours", "ours too"], None, 1.9),
    ]
    judged = harness.measure("fake", Bench([Case("c", ours, theirs)], claims), {}, lambda line: None)[
        "claims"
    ]
    assert [(claim["ratio"], claim["holds"]) for claim in judged] == [
        (5, True),
        (10, False),
        (0.2, True),
        (2, False),
    ]


def test_a_figure_of_one_run_is_said_to_be_one() -> None:
    class Once(Counting):
        def run(self) -> dict[str, float]:
            return super().run() | ({"MB": 3.0} if self.turn == harness.RUNS else {})

    lines: list[str] = []
    result = harness.measure("fake", Bench([Case("c", [Once("A", [1] * 8, [])])]), {}, lines.append)
    assert [(row["unit"], len(row["runs"])) for row in result["rows"]] == [("ns", 7), ("MB", 1)]
    assert [line.split()[-2:] for line in lines if "median" in line] == [["7", "runs"], ["1", "run"]]


class Sampling(Counting):
    """Takes as many samples as were asked for, most of them 10, and one of what the run costs."""

    def run(self) -> dict[str, float | np.ndarray]:
        return {"cost": 1.0, "ns": np.array([10.0] * 9 + [super().run()["ns"]])}


def test_samples_are_judged_by_their_percentiles_of_all_runs() -> None:
    lines: list[str] = []
    ours = Sampling("ours", [9] + [10] * 6 + [1_000], [])
    rival = Sampling("rival", [9] + [10] * 5 + [500, 400], [])
    claims = [
        Claim("a.at_most", "c", "ours", "rival", 2, unit="ns, max"),
        Claim("b.at_most", "c", "ours", "rival", 2, unit="ns, max", pooled=True),
        Claim("c.at_most", "c", "rival", "ours", 2, unit="ns, p50", floor=20),
        Claim("d.at_most", "c", "ours", "rival", 2, unit="ns, max", pooled=True, floor=800),
    ]
    result = harness.measure("fake", Bench([Case("c", [ours], [rival])], claims), {}, lines.append)
    assert [row["unit"] for row in result["rows"] if row["who"] == "ours"] == [
        "cost",
        *(f"ns, {name}" for name in harness.PERCENTILES),
    ]
    rows = {(row["who"], row["unit"]): row for row in result["rows"]}
    assert "pooled" not in rows["ours", "cost"]
    worst = rows["ours", "ns, max"]
    assert worst["runs"] == [10] * 6 + [1_000] and worst["median"] == 10 and worst["pooled"] == 1_000
    assert rows["ours", "ns, p99"]["pooled"] == np.percentile([10] * 69 + [1_000], 99)
    assert [(claim["ratio"], claim["holds"]) for claim in result["claims"]] == [
        (1, True),
        (2, True),
        (1, True),
        (1.25, True),
    ]
    assert any(line.startswith("  ours") and line.endswith("1000.0; all together 1000.0") for line in lines)


def test_two_of_one_name_are_refused() -> None:
    with pytest.raises(BenchmarkError, match="two contestants"):
        harness.measure(
            "fake", Bench([Case("c", [Counting("A", [1] * 8, []) for _ in "12"])]), {}, lambda line: None
        )


def test_timed_without_garbage_collection() -> None:
    class Work(Timed):
        def work(self) -> None:
            self.collecting = gc.isenabled()

        def check(self) -> None: ...

    work = Work("A", "ns/op", 1000)
    ((unit, cost),) = work.run().items()
    assert unit == "ns/op" and cost > 0 and not work.collecting and gc.isenabled()


def test_a_missing_rival_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numpy_ringbuffer", None)
    with pytest.raises(BenchmarkError, match=r"numpy_ringbuffer .*\[bench\]"):
        bench_push.bench(True)


def test_a_missing_compiler_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "/nowhere/cc")
    for use in (rivals.bare_loops, lambda: harness.machine(quick=True)):
        with pytest.raises(BenchmarkError, match="/nowhere/cc"):
            use()


@pytest.fixture(scope="module")
def push() -> Iterator[list[rivals.Pushing]]:
    bench = bench_push.bench(True)
    contestants = [contestant for case in bench.cases for contestant in (*case.ours, *case.rivals)]
    yield contestants
    for contestant in contestants:
        contestant.close()


def test_every_push_contestant_is_really_checked(push: list[rivals.Pushing]) -> None:
    """A right run passes; a run that did not happen, or stored two payloads in the wrong order, does not."""
    assert len(push) == 9 + 5 + 6 + 3 + 6 + 3 + 7 + 7
    for contestant in push:
        contestant.prepare(0)
        contestant.run()
        contestant.check()

        contestant.prepare(1)
        contestant.begin = contestant.end = 0
        with pytest.raises(WrongAnswerError):
            contestant.check()

        contestant.prepare(2)
        fed = contestant.records if isinstance(contestant, rivals.Copying) else contestant.payloads
        fed[3], fed[4] = fed[4].copy() if isinstance(fed, np.ndarray) else fed[4], fed[3]
        contestant.run()
        with pytest.raises(WrongAnswerError, match="records are wrong; row"):
            contestant.check()


def test_a_stamp_outside_the_run_is_wrong() -> None:
    for stamps in ([5, 7], [11, 21], [12, 11], [12, 12]):
        with pytest.raises(WrongAnswerError, match="stamps"):
            compare_stamps("A", np.array(stamps), 10, 20)
    compare_stamps("A", np.array([10, 15, 15, 20]), 10, 20)


def test_poll_contestants_are_really_checked() -> None:
    bench = bench_poll.bench(True)
    for contestant in (contestant for case in bench.cases for contestant in (*case.ours, *case.rivals)):
        contestant.prepare(0)
        contestant.run()
        contestant.check()
        contestant.calls.value += 1  # as if one call had not been recorded
        with pytest.raises(WrongAnswerError):
            contestant.check()
        contestant.calls.value -= 1
        contestant.first += 1  # as if each record were one too old
        with pytest.raises(WrongAnswerError):
            contestant.check()


def test_hold_contestants_are_really_checked() -> None:
    bench = bench_holds.bench(True)
    for contestant in (contestant for case in bench.cases for contestant in (*case.ours, *case.rivals)):
        contestant.prepare(0)
        contestant.run()
        contestant.check()
        contestant.called += 1  # as if one poll had been left out
        with pytest.raises(WrongAnswerError):
            contestant.check()
        contestant.called -= 1
        contestant.turn += 1  # as if the status were that of another run
        with pytest.raises(WrongAnswerError, match="records are wrong; row 0"):
            contestant.check()


def test_pacing_contestants_are_really_checked() -> None:
    """A slot left out, a call before its time, a grid that is not the one of the gaps: each is told."""
    bench = bench_pacing.bench(True)
    contestants = [contestant for case in bench.cases for contestant in (*case.ours, *case.rivals)]
    for contestant in contestants:
        contestant.prepare(0)
        (late,) = contestant.run().values()
        contestant.check()
        assert len(late) == contestant.count and late.min() >= -contestant.early
        served = contestant.served
        for wrong in (served[:-1], np.roll(served, 1)):
            contestant.served = wrong
            with pytest.raises(WrongAnswerError):
                contestant.check()
        contestant.served = served.copy()
        contestant.served["called"][3] = contestant.intended[3] - 10_000
        with pytest.raises(WrongAnswerError, match="before its time"):
            contestant.check()
    recording = contestants[0]
    recording.prepare(1)
    recording.run()
    recording.gaps = np.zeros(1, recording.gaps.dtype)
    recording.gaps[0] = (1, recording.stats.missed, 3, 0, recording.start + 1, recording.start + 1)
    with pytest.raises(WrongAnswerError, match=r"on the grid|slots"):
        recording.check()


def test_no_two_runs_store_the_same() -> None:
    feed = Feed(64, 3, 128)
    seen = [row.tobytes() for turn in range(9) for row in feed.rows(turn)]
    assert len(set(seen)) == len(seen) == 9 * 64
    assert feed.left(1).tobytes() == feed.rows(1).tobytes() * 2
    assert [form(feed.rows(5)) is not None and bytes(form(feed.rows(5))[7]) for form in FORMS.values()] == [
        statuses(5 * 64 + 7, 1).tobytes()
    ] * len(FORMS)


def benchmarks(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)


def check_result(result: dict, name: str) -> None:
    assert set(result) == {"bench", "checked", "machine", "rows", "claims"}
    assert result["bench"] == name and result["checked"] is True
    machine = result["machine"]
    assert {"cpu", "cores", "kernel", "python", "numpy", "compiler", "fastrec"} <= set(machine)
    assert all(machine[key] for key in ("cpu", "cores", "kernel", "compiler")) and machine["quick"] is True
    for row in result["rows"]:
        assert set(row) == ROW_KEYS and len(row["runs"]) == 7
        assert row["median"] == sorted(row["runs"])[3]
    best = {(row["case"], row["who"]): min(row["runs"]) for row in result["rows"]}
    assert result["claims"] and len(best) > 1
    for claim in result["claims"]:
        assert set(claim) == {"id", "ratio", "target", "holds"}
        least = claim["id"].endswith(".at_least")
        assert least or claim["id"].endswith(".at_most")
        assert claim["holds"] == (
            claim["ratio"] >= claim["target"] if least else claim["ratio"] <= claim["target"]
        )


def test_one_benchmark_writes_an_object(tmp_path: Path) -> None:
    done = benchmarks("push", "--quick", "--json", tmp_path / "push.json")
    assert done.returncode == 0, done.stderr
    assert "every answer was checked" in done.stdout and "not to be quoted" in done.stdout
    result = json.loads((tmp_path / "push.json").read_text())
    check_result(result, "push")
    assert {"numpy_ringbuffer.append", "dvg-ringbuffer.append", "fastrec channel.push"} <= {
        row["who"] for row in result["rows"]
    }
    for row in result["rows"]:
        assert row["who"] in done.stdout and " ".join(f"{run:.1f}" for run in row["runs"]) in done.stdout


def test_several_write_a_list(tmp_path: Path) -> None:
    done = benchmarks("poll", "push", "--quick", "--json", tmp_path / "all.json")
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "all.json").read_text())
    for result, name in zip(results, ("poll", "push"), strict=True):
        check_result(result, name)


def test_list_and_unknown_name(tmp_path: Path) -> None:
    listed = benchmarks("--list")
    assert [line.split()[0] for line in listed.stdout.splitlines()] == harness.names()
    assert {"poll", "push"} <= set(harness.names())
    wrong = benchmarks("pull", "--json", tmp_path / "x.json")
    assert wrong.returncode == 1 and ", ".join(harness.names()) in wrong.stderr
    assert not list(tmp_path.iterdir())
